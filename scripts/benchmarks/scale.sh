# shellcheck shell=bash disable=SC2154 # variables of scripts/bench and common.sh
# `scale`: a million members in pools of 10. Memory, a restart, leases that run out together, what a change costs.

# Leases that run out together, in a zone of so many more, and how long they are, seconds.
readonly SILENT_POOLS=10000 LASTING_POOLS=15000 SILENT_LEASE=30 IN_EACH=10

# memory NAME FIELD: VmRSS or VmHWM of a server, octets.
memory() { awk -v field="$2:" '$1 == field { print $2 * 1024 }' "/proc/${pid_of[$1]}/status"; }

# figure KEY VALUE: appends to $work/scale-figures.
figure() { echo "$1 $2" | tee -a "$work/scale-figures" >&2; }
of_scale() { value "$1" "$work/scale-figures"; }

# sweep NAME: every pool is asked for its addresses, once. The mean length of an answer: less is missing nobody.
sweep() {
    local out=$work/sweep.out
    timeout 120 taskset -c 1 dnsperf -s 127.0.0.1 -p "${port_of[$1]}" -d "$work/pools" -e -n 1 -q "$OUTSTANDING" -c "$CLIENTS" >"$out" 2>&1 ||
        fail "dnsperf: $(tail -n 3 "$out")"
    grep -Eq 'Response codes: +NOERROR [0-9]+ \(100\.00%\)$' "$out" || fail "not every pool is answered: $(grep 'Response codes' "$out")"
    grep -Eq 'Queries lost: +0 ' "$out" || fail "answers were lost: $(grep 'lost' "$out")"
    awk '/Average packet size/ { print $NF }' "$out"
}

measure_memory_and_restart() {
    local pools=$((scale / IN_EACH)) before began len
    awk -v pools="$pools" -v zone="$ZONE" 'BEGIN { for (n = 0; n < pools; n++) printf "p%02d.%s A\n", n, zone }' >"$work/pools"
    start_rollcall scale
    before=$(memory scale VmRSS)
    say "joining $scale members in $pools pools, which takes a minute or two"
    fleet scale "$pools" "$IN_EACH" --window 128 >"$work/joined" || fail "the fleet: $(tail -n 3 "$work/joined")"
    figure joins_a_second "$(value joins_a_second "$work/joined")"
    # What was freed on the way is given back in ten seconds.
    sleep 12
    figure rss $((($(memory scale VmRSS) - before) / scale))
    figure peak $((($(memory scale VmHWM) - before) / scale))
    figure disk $(($(stat -c %s "$work/scale/state/rollcall.redb") / scale))
    len=$(sweep scale)
    kill -9 "${pid_of[scale]}"
    wait "${pid_of[scale]}" 2>/dev/null || true
    say "restarting"
    # On the same port, so that who asks before it serves is answered by who serves.
    began=$(date +%s%N)
    : >"$work/scale/log"
    "$bin/rollcall" serve --config "$work/scale/rollcall.toml" --zones "$work/scale/zones" --state "$work/scale/state" \
        --listen "127.0.0.1:${port_of[scale]}" >"$work/scale/log" 2>&1 &
    pid_of[scale]=$!
    pids+=("$!")
    await 60 answers_last || fail "nobody is answered after the restart: $(tail -n 3 "$work/scale/log")"
    figure restart_ms $((($(date +%s%N) - began) / 1000000))
    [[ $(sweep scale) == "$len" ]] || fail "members are missing after the restart"
    figure restart_rss $((($(memory scale VmRSS) - before) / scale))
    figure restart_peak $((($(memory scale VmHWM) - before) / scale))
    say "all of them leave"
    fleet scale "$pools" "$IN_EACH" --leave --window 128 >"$work/left" || fail "the fleet: $(tail -n 3 "$work/left")"
    figure leaves_a_second "$(value leaves_a_second "$work/left")"
    sleep 12
    figure left_rss $((($(memory scale VmRSS) - before) / scale))
    kill -9 "${pid_of[scale]}"
}

# Whether the last pool in the store's order is answered whole.
answers_last() {
    local last
    last=$(LC_ALL=C sort "$work/pools" | tail -n 1)
    # shellcheck disable=SC2086 # a name and a type
    [[ $(dig +short +tries=1 +time=10 @127.0.0.1 -p "${port_of[scale]}" $last 2>/dev/null | grep -c '^[0-9]') == "$IN_EACH" ]]
}

measure_expiry() {
    local out=$work/silence.out other pool
    for ((pool = 10000; pool < 10000 + POOLS; pool++)); do echo "p$pool.$ZONE A"; done >"$work/A"
    start_rollcall expiry "
[[grant]]
key = \"bench.\"
addresses = [\"0.0.0.0/0\"]
pools = [\"p3*\"]
lease = $SILENT_LEASE" "" 'pools = ["p1*", "p2*"]'
    say "joining $(((LASTING_POOLS + SILENT_POOLS) * IN_EACH)) members, $((SILENT_POOLS * IN_EACH)) of them with leases of $SILENT_LEASE s, which are let run out"
    fleet expiry "$LASTING_POOLS" "$IN_EACH" --first-pool 10000 --window 128 >&2
    fleet expiry "$SILENT_POOLS" "$IN_EACH" --first-pool 30000 --window 128 --silence "$SILENT_LEASE" >"$out" & other=$!
    await 60 grep -q renewed_in_ms "$out" || fail "the fleet: $(<"$out")"
    ask "$FIXED_RATE" 5 "$work/quiet.out" expiry
    sleep $((SILENT_LEASE - 7))
    ask "$FIXED_RATE" 5 "$work/expiring.out" expiry
    wait "$other" || fail "the fleet: $(tail -n 3 "$out")"
    cat "$out" >&2
    figure renewed_in_ms "$(value renewed_in_ms "$out")"
    figure late_median_ms "$(value late_median_ms "$out")"
    figure late_p99_ms "$(value late_p99_ms "$out")"
    figure late_longest_ms "$(value late_longest_ms "$out")"
    figure quiet_p99_us "$(p99_us "$work/quiet.out")"
    figure expiring_p99_us "$(p99_us "$work/expiring.out")"
    stop expiry
}

measure_scale() {
    measure_memory_and_restart
    measure_expiry
    say "changes, without a server"
    taskset -c 0 "$bin/examples/changing" --members "$scale" --large $((scale / 10)) >"$work/changes" || fail "examples/changing failed"
    cat "$work/changes" >&2
    # The medians' worst.
    figure change_small "$(awk -F'|' '$2 == " 10 " && $4 + 0 > worst { worst = $4 + 0 } END { print worst }' "$work/changes")"
    figure change_large "$(awk -F'|' -v of=" $((scale / 10)) " '$2 == of && $4 + 0 > worst { worst = $4 + 0 } END { print worst / 1000 }' "$work/changes")"
}

print_scale() {
    cat <<MD
## Scale

One zone of $scale members, each with A, SRV and TXT, in pools of $IN_EACH; signed UPDATEs over loopback, one server thread for UDP, the
server on one core while they join. Octets are those of the process over its members, its start taken away, redb's cache of 16 MiB included.

| | |
|---|---:|
| joins a second, on disk before they are acknowledged | $(of_scale joins_a_second) |
| departures a second, likewise | $(of_scale leaves_a_second) |
| octets a member in memory after they joined | $(of_scale rss) |
| the same after a restart | $(of_scale restart_rss) |
| octets a member that were left once all had left | $(of_scale left_rss) |
| octets a member of the store's file | $(of_scale disk) |
| from the start after SIGKILL to an answer that has all of the last pool, ms | $(of_scale restart_ms) |

The restart has both cores. Every pool was asked before and after it, and said the same.

$((SILENT_POOLS * IN_EACH)) members of $(((LASTING_POOLS + SILENT_POOLS) * IN_EACH)) were renewed within $(of_scale renewed_in_ms) ms and then fell silent. A thousand of them were asked for by name from 5 ms
before their leases were over: they were gone from the answers $(of_scale late_median_ms) ms after that moment (median; the way of the heartbeat, that of
the question and the wait for its turn included), the last $(of_scale late_longest_ms) ms. The 99th percentile of the latency of $FIXED_RATE questions a second was
$(of_scale quiet_p99_us) us before, and $(of_scale expiring_p99_us) us in the seconds in which they ran out.

One change, CPU of the thread that writes, without the disk:

$(<"$work/changes")

| figure | bar | measured | met |
|---|---:|---:|---|
| octets in memory a member | 800 | $(of_scale rss) | $(met "$(of_scale rss)" 800 most) |
| octets a member at the peak | 1500 | $(most_of peak restart_peak) | $(met "$(most_of peak restart_peak)" 1500 most) |
| restart until all are answered, ms | 3000 | $(of_scale restart_ms) | $(met "$(of_scale restart_ms)" 3000 most) |
| lateness out of answers, p99, ms | 100 | $(of_scale late_p99_ms) | $(met "$(of_scale late_p99_ms)" 100 most) |
| one change in a pool of 10, us | 50 | $(of_scale change_small) | $(met "$(of_scale change_small)" 50 most) |
| one change in a pool of $((scale / 10)), ms | 5 | $(of_scale change_large) | $(met "$(of_scale change_large)" 5 most) |
MD
}

# most_of KEY KEY: the larger figure.
most_of() { printf '%s\n' "$(of_scale "$1")" "$(of_scale "$2")" | sort -n | tail -n 1; }
