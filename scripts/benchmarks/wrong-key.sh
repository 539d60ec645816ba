# shellcheck shell=bash disable=SC2154 # variables of scripts/bench and common.sh
# `wrong-key`: answers alone, and beside UPDATEs with a wrong key.

# UPDATEs with a wrong key a second, and in the legs beside those as many questions more.
readonly WRONG_RATE=10000

# wrong_key_leg LEG: questions alone, beside UPDATEs with a wrong key, or beside more questions. Appends to $work/legs:
# leg, answers/s, lost, mean, 99th percentile and longest latency us, CPU us an answer, refusals/s, CPU us of the
# registrar a refusal, CPU us of the process a second.
wrong_key_leg() {
    local out=$work/dnsperf.out beside=$work/beside before registrar other="" p99 refused=0
    : >"$beside"
    case $1 in
        wrong-key) fleet rollcall "$POOLS" "$MEMBERS" --wrong-key "$WRONG_RATE" --seconds $((leg_s + 1)) >"$beside" & other=$! ;;
        more-questions) ask "$WRONG_RATE" $((leg_s + 1)) "$beside" & other=$! ;;
    esac
    [[ -z $other ]] || sleep 0.5
    before=$(cpu_ns "${pid_of[rollcall]}") registrar=$(thread_ns "${pid_of[rollcall]}" registrar)
    ask "$FIXED_RATE" "$leg_s" "$out"
    before=$(($(cpu_ns "${pid_of[rollcall]}") - before))
    registrar=$(($(thread_ns "${pid_of[rollcall]}" registrar) - registrar))
    [[ -z $other ]] || wait "$other" || fail "the load beside the questions: $(tail -n 3 "$beside")"
    if [[ $1 == wrong-key ]]; then
        refused=$(awk '$1 == "refused_a_second" { print $2 }' "$beside")
        [[ $(awk '$1 == "lost" { print $2 }' "$beside") == 0 ]] || say "some UPDATEs had no reply: $(tr '\n' ' ' <"$beside")"
    fi
    p99=$(p99_us "$out")
    awk -v leg="$1" -v ns="$before" -v registrar="$registrar" -v p99="$p99" -v refused="$refused" '
        /Queries completed:/ { answers = $3 }
        /Queries lost:/ { lost = $3 }
        /Run time \(s\):/ { time = $4 }
        /Queries per second:/ { rate = $4 }
        /Average Latency/ { mean = $4; sub(/\).*/, "", $NF); longest = $NF }
        END {
            printf "%s %.0f %d %.1f %.0f %.0f %.3f %.0f %.3f %.0f\n", leg, rate, lost, mean * 1e6, p99, longest * 1e6,
                ns / answers / 1000, refused, refused ? registrar / (refused * time) / 1000 : 0, ns / time / 1000
        }
    ' "$out" | tee -a "$work/legs" >&2
}

measure_wrong_key() {
    local pool round leg
    for ((pool = 0; pool < POOLS; pool++)); do printf 'p%02d.%s A\n' "$pool" "$ZONE" >>"$work/A"; done
    everybody >"$work/members-before"
    for ((round = 1; round <= rounds; round++)); do
        say "round $round of $rounds: leg, answers/s, lost, mean, p99, longest us, CPU us an answer, refusals/s, CPU us"
        for leg in alone wrong-key more-questions; do wrong_key_leg "$leg"; done
    done
    everybody >"$work/members-after"
    [[ $(wc -l <"$work/members-before") == $((POOLS * MEMBERS)) ]] || fail "not every member was there"
    cmp -s "$work/members-before" "$work/members-after" || fail "a wrong key has changed a member"
    take_counters
    [[ $(counter joined) == $((POOLS * MEMBERS)) && $(counter deregistered) == 0 && $(counter expired) == 0 ]] ||
        fail "a wrong key has changed a member: $(<"$work/counters")"
}

print_wrong_key() {
    local leg field ratios=""
    cat <<MD
## A wrong key

Printed by \`$command\` on $(date -u +%F), load $load when the run began.

$FIXED_RATE questions a second (type A, with EDNS), alone; beside $WRONG_RATE UPDATEs a second of one member each that are
signed with another secret under the server's key's name; and beside $WRONG_RATE questions more, which is what any load does
to the others. Load and questions come from one core, the server has the other. CPU is the process's, all of it over the
answers to the $FIXED_RATE questions. Each leg $leg_s s, medians of $rounds.

| leg | answers/s | lost | mean latency us | p99 us | longest us | CPU us an answer | refusals/s |
|---|---:|---:|---:|---:|---:|---:|---:|
MD
    for leg in alone wrong-key more-questions; do
        # shellcheck disable=SC2046 # seven numbers
        printf "| $leg | %.0f | %.0f | %.0f | %.0f | %.0f | %.2f | %.0f |\n" $(
            for field in 2 3 4 5 6 7 8; do median "$work/legs" "$leg" "$field"; done
        )
    done
    # Legs of a round come in the order alone, wrong-key, more-questions.
    awk '{ mean[$1] = $4; p99[$1] = $5; cpu[$1] = $7; second[$1] = $10; refused[$1] = $8 }
        $1 == "more-questions" {
            for (leg in mean) if (leg != "alone") {
                print leg "-mean-latency", mean[leg] / mean["alone"]
                print leg "-p99-latency", p99[leg] / p99["alone"]
                print leg "-cpu-an-answer", cpu[leg] / cpu["alone"]
            }
            print "cpu-us-a-refusal", (second["wrong-key"] - second["alone"]) / refused["wrong-key"]
        }' "$work/legs" >"$work/ratios"
    for leg in wrong-key more-questions; do
        for field in mean-latency p99-latency cpu-an-answer; do
            ratios+=$(printf 'ratio %s %.2f (%.2f to %.2f)' "$leg-$field" "$(median "$work/ratios" "$leg-$field" 2)" \
                "$(least "$work/ratios" "$leg-$field" 2)" "$(most "$work/ratios" "$leg-$field" 2)")$'\n'
        done
    done
    cat <<MD

Over the leg alone, in the same round; median, least and most in brackets:

\`\`\`text
${ratios%$'\n'}
\`\`\`

A refused UPDATE costs $(printf '%.1f' "$(median "$work/ratios" cpu-us-a-refusal 2)") us of CPU in all, of which the registrar's \
thread spends $(printf '%.1f' "$(median "$work/legs" wrong-key 9)"). In the whole run
$(counter unverified) were refused, in $(grep -c 'UPDATE refused' "$work/rollcall/log") lines of the log; all \
$((POOLS * MEMBERS)) members were as before.
MD
}
