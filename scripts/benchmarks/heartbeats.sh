# shellcheck shell=bash disable=SC2154 # variables of scripts/bench and common.sh
# `heartbeats`: what one costs beside an UPDATE to Knot that changes nothing, what it costs questions, and changes that last.

# The fleet whose heartbeats are measured, and those that wait for replies at a time.
readonly BEATING_POOLS=8000 BEATING_MEMBERS=10 WINDOW=64
# Changes: a zone of 1,000 names, so many new members or rounds of new addresses, and messages on the way.
readonly NAMES_POOLS=250 NAMES_MEMBERS=4 NEW_POOLS=5000 MOVES=10 CHANGING=200
# Heartbeats a second beside so many questions a second.
readonly BEAT_RATE=20000 QUESTION_RATE=100000

# beat_leg WHAT SERVER ARGUMENT...: appends to $work/beat-legs: what, CPU us a heartbeat, accepted a second, mean latency us, refused, lost.
beat_leg() {
    local what=$1 server=$2 out=$work/beat.out
    shift 2
    fleet "$server" "$BEATING_POOLS" "$BEATING_MEMBERS" --present --seconds "$leg_s" --window "$WINDOW" \
        --pid "${pid_of[$server]}" "$@" >"$out" || fail "$what: $(tail -n 3 "$out")"
    echo "$what $(value cpu_us "$out") $(value accepted_a_second "$out") $(value latency_us "$out") $(value refused "$out")" \
        "$(value lost "$out")" | tee -a "$work/beat-legs" >&2
    [[ $(value refused "$out") == 0 ]] || fault "$(value refused "$out") heartbeats were refused: $what"
    # What Knot loses is a matter of its socket's buffer.
    [[ $server == knot* || $(value lost "$out") == 0 ]] || fault "$(value lost "$out") heartbeats had no reply: $what"
}

# durable_leg SERVER: appends to $work/durable: joins or addresses, server, changes a second.
durable_leg() {
    local server=$1 kind=${1%%-*} out=$work/durable.out
    fleet "$server" "$NEW_POOLS" "$NAMES_MEMBERS" --first-pool "$NAMES_POOLS" --window "$CHANGING" >"$out" || fail "$server: $(tail -n 3 "$out")"
    echo "joins-$kind $(value joins_a_second "$out")" | tee -a "$work/durable" >&2
    fleet "$server" "$NAMES_POOLS" "$NAMES_MEMBERS" --addresses "$MOVES" --window "$CHANGING" >"$out" || fail "$server: $(tail -n 3 "$out")"
    echo "addresses-$kind $(value changes_a_second "$out")" | tee -a "$work/durable" >&2
}

# beside_leg alone|beside: questions, alone or beside heartbeats. Appends to $work/beside: leg, answers/s, p99 us, CPU us of the
# process, answers, heartbeats.
beside_leg() {
    local out=$work/dnsperf.out beside=$work/beside.out other="" before seconds=$((leg_s + 1)) beats=0
    : >"$beside"
    before=$(cpu_ns "${pid_of[beats]}")
    if [[ $1 == beside ]]; then
        fleet beats "$BEATING_POOLS" "$BEATING_MEMBERS" --present --seconds "$leg_s" --rate "$BEAT_RATE" >"$beside" & other=$!
        # All are signed first.
        await 30 has_begun || fail "the heartbeats did not begin: $(<"$beside")"
        before=$(cpu_ns "${pid_of[beats]}")
    fi
    ask "$QUESTION_RATE" "$seconds" "$out" beats
    [[ -z $other ]] || wait "$other" || fail "the heartbeats beside the questions: $(tail -n 3 "$beside")"
    before=$(($(cpu_ns "${pid_of[beats]}") - before))
    if [[ $1 == beside ]]; then
        beats=$(value accepted "$beside")
        [[ $(value lost "$beside") == 0 ]] || fault "$(value lost "$beside") of $beats heartbeats beside questions had no reply"
    fi
    awk -v leg="$1" -v us="$((before / 1000))" -v p99="$(p99_us "$out")" -v beats="$beats" '
        /Queries completed:/ { answers = $3 }
        /Queries per second:/ { rate = $4 }
        END { printf "%s %.0f %s %s %s %s\n", leg, rate, p99, us, answers, beats }' "$out" | tee -a "$work/beside" >&2
}

# Whether the server has had a heartbeat since its counters were taken last.
has_begun() { (($(cpu_ns "${pid_of[beats]}") - before > 5000000)); }

measure_heartbeats() {
    local round pool
    say "joining $((BEATING_POOLS * BEATING_MEMBERS)) members"
    start_rollcall beats "" 'policy = "least-used"'
    fleet beats "$BEATING_POOLS" "$BEATING_MEMBERS" >&2
    start_knot_updates knot-beats "$BEATING_POOLS" "$BEATING_MEMBERS"
    [[ -e $work/A ]] || for ((pool = 0; pool < POOLS; pool++)); do printf 'p%02d.%s A\n' "$pool" "$ZONE" >>"$work/A"; done
    # The first of each member is judged.
    fleet beats "$BEATING_POOLS" "$BEATING_MEMBERS" --present --seconds 3 --window "$WINDOW" >/dev/null
    for ((round = 1; round <= rounds; round++)); do
        say "round $round of $rounds: what, CPU us a heartbeat, heartbeats/s, mean latency us, refused, lost"
        beat_leg knot knot-beats
        beat_leg unchanged beats
        beat_leg load beats --loads
        say "leg, answers/s, p99 us, CPU us, answers, heartbeats"
        beside_leg alone
        beside_leg beside
    done
    stop knot-beats
    stop beats
    for ((round = 1; round <= (rounds + 2) / 3; round++)); do
        start_rollcall "ours-$round"
        fleet "ours-$round" "$NAMES_POOLS" "$NAMES_MEMBERS" >&2
        start_knot_updates "knot-$round" "$NAMES_POOLS" "$NAMES_MEMBERS"
        say "durable changes a second, $round of $(((rounds + 2) / 3))"
        durable_leg "knot-$round"
        durable_leg "ours-$round"
        stop "knot-$round"
        stop "ours-$round"
    done
}

print_heartbeats() {
    local knot unchanged load joins addresses added p99
    knot=$(median "$work/beat-legs" knot 2) unchanged=$(median "$work/beat-legs" unchanged 2) load=$(median "$work/beat-legs" load 2)
    over() { awk -v one="$1" -v other="$2" 'BEGIN { printf "%.2f", one / other }'; }
    joins=$(over "$(median "$work/durable" joins-ours 2)" "$(median "$work/durable" joins-knot 2)")
    addresses=$(over "$(median "$work/durable" addresses-ours 2)" "$(median "$work/durable" addresses-knot 2)")
    p99=$(over "$(median "$work/beside" beside 3)" "$(median "$work/beside" alone 3)")
    # What the same answers cost alone is taken away, leg by leg.
    awk '$1 == "alone" { each = $4 / $5 } $1 == "beside" { print "added", ($4 - each * $5) / $6 }' "$work/beside" >"$work/added"
    added=$(awk -v us="$(median "$work/added" added 2)" 'BEGIN { printf "%.2f", us }')
    cat <<MD
## Heartbeats

$((BEATING_POOLS * BEATING_MEMBERS)) members in $BEATING_POOLS pools, policy least-used; one UPDATE a heartbeat (hmac-sha256; A, SRV and TXT of one
member), signed ahead, $WINDOW on the way from one socket, $leg_s s a leg, medians of $rounds. Knot has the same records and the same key, and is
sent the same messages: UPDATEs that change nothing. CPU is user and system time of the server's process, all threads.

| | CPU us each | a second | mean latency us |
|---|---:|---:|---:|
MD
    local what
    for what in knot unchanged load; do
        printf '| %s | %.2f | %.0f | %.0f |\n' "$what" "$(median "$work/beat-legs" "$what" 2)" "$(median "$work/beat-legs" "$what" 3)" \
            "$(median "$work/beat-legs" "$what" 4)"
    done
    cat <<MD

Changes that are on disk before they are acknowledged, each message sent once, $CHANGING on the way, into a fresh zone of
$((NAMES_POOLS * NAMES_MEMBERS)) names: $((NEW_POOLS * NAMES_MEMBERS)) new members, then $MOVES rounds in which each of the first says another address. Both write to the same
disk; Knot with its journal as it comes (\`journal-db-mode: robust\`). Medians of $(((rounds + 2) / 3)).

| changes a second | knot | rollcall |
|---|---:|---:|
MD
    for what in joins addresses; do
        printf '| %s | %.0f | %.0f |\n' "$what" "$(median "$work/durable" "$what-knot" 2)" "$(median "$work/durable" "$what-ours" 2)"
    done
    cat <<MD

$BEAT_RATE heartbeats a second beside $QUESTION_RATE questions a second asked for, $(median "$work/beside" alone 2) answered alone and
$(median "$work/beside" beside 2) beside; both loads share one core, and the server has the other. The 99th percentile of a question's latency is
$(median "$work/beside" alone 3) us alone, $(median "$work/beside" beside 3) us beside.

| figure | bar | measured | met |
|---|---:|---:|---|
| CPU of an unchanged heartbeat over Knot's UPDATE | 0.45 | $(over "$unchanged" "$knot") | $(met "$(over "$unchanged" "$knot")" 0.45 most) |
| CPU of one with another load over an unchanged one | 1.5 | $(over "$load" "$unchanged") | $(met "$(over "$load" "$unchanged")" 1.5 most) |
| durable joins a second over Knot's | 5 | $joins | $(met "$joins" 5 least) |
| durable changes of address a second over Knot's | 5 | $addresses | $(met "$addresses" 5 least) |
| added CPU us a heartbeat beside questions | 8 | $added | $(met "$added" 8 most) |
| p99 of questions beside heartbeats over alone | 1.5 | $p99 | $(met "$p99" 1.5 most) |
MD
}
