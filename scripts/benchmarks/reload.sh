# shellcheck shell=bash disable=SC2154 # variables of scripts/bench and common.sh
# `reload`: answers alone, and beside reloads.

# Names of the zone file in the legs with reloads, and seconds between one reload and the next.
readonly RELOADED_NAMES=10000 RELOAD_EVERY_S=1.5

# write_zone GENERATION: beside the old one, then in its place, as editors do.
write_zone() {
    {
        # shellcheck disable=SC2016 # a zone file's $TTL
        printf '$TTL 5\n@ IN SOA ns hostmaster 1 1200 180 1209600 5\n@ IN NS ns\nns IN A 127.0.0.1\n'
        printf 'generation IN TXT %s\n' "$1"
        seq -f 'static%.0f IN A 192.0.2.1' "$RELOADED_NAMES"
    } >"$work/rollcall/zones/next"
    mv "$work/rollcall/zones/next" "$work/rollcall/zones/$ZONE.zone"
}

# reload_all: every other time by SIGHUP; by the watched directory else.
reload_all() {
    local n
    for ((n = 1; n <= reloads; n++)); do
        write_zone "$n"
        ((n % 2)) || kill -HUP "${pid_of[rollcall]}"
        await 10 sees "$n" || fail "reload $n did not happen: $(tail -n 3 "$work/rollcall/log")"
        sleep "$RELOAD_EVERY_S"
    done
}

sees() { [[ $(dig +short @127.0.0.1 -p "${port_of[rollcall]}" "generation.$ZONE" TXT) == "\"$1\"" ]]; }

# reload_leg LEG: questions alone, or beside reloads. Appends to $work/legs: leg, answers/s, lost, mean, 99th percentile and
# longest latency us, CPU us an answer.
reload_leg() {
    local out=$work/dnsperf.out before other=""
    if [[ $1 == reload ]]; then
        reload_all & other=$!
    fi
    before=$(cpu_ns "${pid_of[rollcall]}")
    ask "$FIXED_RATE" "$leg_s" "$out"
    before=$(($(cpu_ns "${pid_of[rollcall]}") - before))
    [[ -z $other ]] || wait "$other" || fail "not every reload happened while questions were asked"
    awk '$1 == ">" { print $NF }' "$out" | sort -n | awk '{ v[NR] = $1 } END { print v[int(NR * 0.99)] * 1e6 }' >"$work/p99"
    awk -v leg="$1" -v ns="$before" -v p99="$(<"$work/p99")" '
        /Queries completed:/ { answers = $3 }
        /Queries lost:/ { lost = $3 }
        /Queries per second:/ { rate = $4 }
        /Average Latency/ { mean = $4; sub(/\).*/, "", $NF); longest = $NF }
        END { printf "%s %.0f %d %.1f %.0f %.0f %.3f\n", leg, rate, lost, mean * 1e6, p99, longest * 1e6, ns / answers / 1000 }
    ' "$out" | tee -a "$work/legs" >&2
}

measure_reload() {
    local pool round leg
    for ((pool = 0; pool < POOLS; pool++)); do printf 'p%02d.%s A\n' "$pool" "$ZONE" >>"$work/A"; done
    everybody >"$work/members-before"
    write_zone 0
    await 10 sees 0 || fail "the zone of $RELOADED_NAMES names is not served"
    for ((round = 1; round <= rounds; round++)); do
        say "round $round of $rounds: leg, answers/s, lost, mean, p99, longest us, CPU us an answer"
        for leg in alone reload; do reload_leg "$leg"; done
    done
    everybody >"$work/members-after"
    cmp -s "$work/members-before" "$work/members-after" || fail "a reload has changed a member"
    take_counters
    # The first one made the zone large.
    [[ $(counter "done") == $((reloads * rounds + 1)) ]] || fail "$(counter "done") reloads, not $((reloads * rounds + 1))"
}

print_reload() {
    local leg field
    cat <<MD
## Reloads

Printed by \`$command\` on $(date -u +%F), load $load when the run began.

$FIXED_RATE questions a second for pools (type A, with EDNS), alone and while the zone's file of $RELOADED_NAMES names is
written anew $reloads times, every other time with a SIGHUP. Each reload was seen in an answer before the next. The server has
one core for everything: what a reload costs, questions feel. Each leg $leg_s s, medians of $rounds.

| leg | answers/s | lost | mean latency us | p99 us | longest us | CPU us an answer |
|---|---:|---:|---:|---:|---:|---:|
MD
    for leg in alone reload; do
        # shellcheck disable=SC2046 # six numbers
        printf "| $leg | %.0f | %.0f | %.0f | %.0f | %.0f | %.2f |\n" $(
            for field in 2 3 4 5 6 7; do median "$work/legs" "$leg" "$field"; done
        )
    done
    printf '\nAll %s members were answered as before.\n' "$(wc -l <"$work/members-before")"
}
