# shellcheck shell=bash disable=SC2154 # variables of scripts/bench and common.sh
# `questions`: what a question costs with no kernel in the way: CPU time by criterion, instructions by callgrind.

readonly QUESTION_KINDS=(A SRV NXDOMAIN NODATA mix)
readonly QUESTION_SIZES=(100x4 100x10 100000x10)
# A million members take 80 s of CPU under callgrind, and instructions hardly depend on how many there are.
readonly COUNTED_SIZES=(100x4 100x10 10000x10)
# Counted of each kind. Instructions repeat to a thousandth, and under callgrind each takes some 50 times as long.
readonly COUNTED_BATCHES=1000

install_valgrind() {
    ! command -v valgrind >/dev/null || return 0
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        fail "missing: valgrind; install it, on Debian with: apt-get install valgrind"
    fi
    say "installing valgrind"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy valgrind; } >&2
}

measure_questions() {
    local size
    install_valgrind
    say "building"
    cargo bench --bench questions --no-run >&2
    cargo build --release --example answering >&2
    CRITERION_HOME=$work/questions taskset -c 0 cargo bench --bench questions -- --noplot >&2
    for size in "${COUNTED_SIZES[@]}"; do count_instructions "$size"; done
}

# count_instructions SIZE: of one answer of each kind. Appends to $work/instructions: kind, size, instructions.
count_instructions() {
    local out=$work/callgrind.$1 log=$work/callgrind.log kind at=0 total answers
    say "counting instructions at $1"
    # One file a kind, in the order of the program's lines; what precedes a kind's batches is not counted.
    valgrind --tool=callgrind --callgrind-out-file="$out" --collect-atstart=no '--toggle-collect=*counted_batch*' \
        '--dump-after=*one_kind*' "${CARGO_TARGET_DIR:-target}/release/examples/answering" \
        --untimed --batches "$COUNTED_BATCHES" "$1" >"$work/answered" 2>"$log" || fail "callgrind: $(tail -n 3 "$log")"
    for kind in "${QUESTION_KINDS[@]}"; do
        at=$((at + 1))
        total=$(sed -n 's/^totals: //p' "$out.$at")
        answers=$(awk -v kind="$kind" -v line="$at" 'NR == line && $1 == kind { print $3 }' "$work/answered")
        ((${total:-0} > 0 && ${answers:-0} > 0)) || fail "callgrind counted nothing for $kind at $1: see $log"
        echo "$kind $1 $(((total + answers / 2) / answers))" | tee -a "$work/instructions" >&2
    done
}

# question_ns NAME...: the median of the samples, of the benchmark with this path.
question_ns() {
    local IFS=/ file ns
    file="$work/questions/$*/new/estimates.json"
    ns=$(sed -n 's/.*"median":{[^}]*},"point_estimate":\([0-9.]*\).*/\1/p' "$file")
    printf '%.1f' "${ns:?no median in $file}"
}

print_questions() {
    cat <<MD
## Questions without a kernel

Printed by \`$command\` on $(date -u +%F), load $load when the run began; commit $(commit), $(rustc --version | cut -d' ' -f1,2),
valgrind $(package valgrind).

What a UDP worker spends on a question between the system calls that receive a batch and send it (\`benches/questions.rs\`,
\`examples/answering\`), in nanoseconds of one thread's CPU time, medians of 30 samples, and in instructions. Questions have EDNS;
pools are round-robin's and answer with all their members.

MD
    print_whole_answers
    print_parts_of_answers
    cat <<MD
Instructions an answer, by callgrind, of $COUNTED_BATCHES batches; nothing is counted but reading and answering:

\`\`\`text
$(sed 's/^/instructions /' "$work/instructions")
\`\`\`

They hardly depend on how many pools there are; the time does, by what it waits for memory.
MD
}

print_whole_answers() {
    local kind size
    cat <<MD
A whole answer, in batches of 16 over all pools in no order, ns:

| question | ${QUESTION_SIZES[0]} | ${QUESTION_SIZES[1]} | ${QUESTION_SIZES[2]} |
|---|---:|---:|---:|
MD
    for kind in "${QUESTION_KINDS[@]}"; do
        printf '| %s |' "$kind"
        for size in "${QUESTION_SIZES[@]}"; do
            printf ' %s |' "$(question_ns answer "$kind" "$size")"
        done
        echo
    done
    echo
}

print_parts_of_answers() {
    local kind policy
    cat <<MD
Of which, with everything in the processor's caches but the names that are looked up:

| part | | ns |
|---|---|---:|
| read | without EDNS | $(question_ns read plain) |
| read | with EDNS | $(question_ns read EDNS) |
| lookup | one of 100 pools | $(question_ns lookup found 100) |
| lookup | one of 100,000 | $(question_ns lookup found 100000) |
| lookup | not there, of 100 | $(question_ns lookup not-there 100) |
| lookup | not there, of 100,000 | $(question_ns lookup not-there 100000) |
MD
    for kind in A SRV NXDOMAIN NODATA; do
        echo "| encode | $kind, 4 members | $(question_ns encode "$kind" 100x4) |"
        echo "| encode | $kind, 10 members | $(question_ns encode "$kind" 100x10) |"
    done
    cat <<MD

\`encode\` is the second stage of a worker, with a lookup and a pick in it. Of each policy, a pick of as many members as it shows by
default:

| pick | of 4 | of 10 |
|---|---:|---:|
MD
    for policy in round-robin weighted-round-robin random weighted-random priority least-used least-used-degradation \
        priority-least-used randomized-least-used; do
        echo "| $policy | $(question_ns pick "$policy" 4) | $(question_ns pick "$policy" 10) |"
    done
    echo
}
