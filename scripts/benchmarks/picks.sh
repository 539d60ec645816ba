# shellcheck shell=bash disable=SC2154 # variables of scripts/bench and common.sh
# `picks`: what a pick of each policy costs, without a server.

readonly POLICIES=(
    round-robin weighted-round-robin random weighted-random priority
    least-used least-used-degradation priority-least-used randomized-least-used
)

measure_picks() {
    say "building"
    cargo bench --bench picks --no-run >&2
    CRITERION_HOME=$work/picks taskset -c 0 cargo bench --bench picks -- --noplot >&2
}

# pick_ns GROUP POLICY MEMBERS: the median of the samples.
pick_ns() {
    local file=$work/picks/$1/$2/$3/new/estimates.json ns
    ns=$(sed -n 's/.*"median":{[^}]*},"point_estimate":\([0-9.]*\).*/\1/p' "$file")
    echo "${ns:?no median in $file}"
}

# picks_row GROUP FORMAT AWK-EXPRESSION: a line a policy, a column a size of pool; the expression is of ns.
picks_row() {
    local policy members ns
    for policy in "${POLICIES[@]}"; do
        printf '| %s |' "$policy"
        for members in 4 64 1000 10000; do
            ns=$(pick_ns "$1" "$policy" "$members")
            awk -v ns="$ns" "BEGIN { printf \" $2 |\", $3 }"
        done
        echo
    done
}

print_picks() {
    local picked
    cat <<MD
## Picks

Printed by \`$command\` on $(date -u +%F), load $load when the run began; commit $(commit), $(rustc --version | cut -d' ' -f1,2).

What one answer asks of a policy (\`benches/picks.rs\`): nanoseconds of one thread's CPU time and, in brackets, millions a second.
No two members have the same load, few the same weight; priorities are 0 to 3. Medians of 30 samples.

MD
    for picked in 1 3; do
        cat <<MD
| $picked picked of | 4 members | 64 | 1000 | 10000 |
|---|---:|---:|---:|---:|
MD
        picks_row "picked-$picked" '%.1f (%.1f)' 'ns, 1000 / ns'
        echo
    done
    cat <<MD
What it costs to rank a list, once it changes or, under the policies that go by load, 50 ms after a load did, us:

| ranking of | 4 members | 64 | 1000 | 10000 |
|---|---:|---:|---:|---:|
MD
    picks_row ranking '%.2f' 'ns / 1000'
    cat <<MD

The same of rsplib 3.5.10, RSerPool's own registrar: its handlespace core with the tree that it is built with (red-black), gcc -O2,
one pool, the same distribution of weights, loads and priorities, medians of 9 runs of CPU time. Measured by hand on 2026-11-23, on
the same machine, beside an earlier run of the figures above; this script does not measure it. Of 3 picked it counts the first by default; rollcall
counts all three, which the last column has it do too (by lot it makes no difference but noise). Nanoseconds:

| rsplib | 1 of 4 | 1 of 64 | 1 of 1000 | 1 of 10000 | 3 of 10000 | 3, all counted |
|---|---:|---:|---:|---:|---:|---:|
| round-robin | 35 | 79 | 124 | 179 | 259 | 719 |
| weighted-round-robin | 35 | 50 | 74 | 103 | 106 | 296 |
| random | 85 | 136 | 240 | 559 | 1785 | 1208 |
| weighted-random | 89 | 136 | 242 | 546 | 1809 | 1593 |
| priority | 26 | 51 | 94 | 150 | 153 | 370 |
| least-used | 26 | 42 | 68 | 72 | 78 | 204 |
| least-used-degradation | 31 | 63 | 123 | 208 | 214 | 532 |
| priority-least-used | 27 | 43 | 72 | 80 | 79 | 223 |
| randomized-least-used | 81 | 134 | 250 | 669 | 2690 | 2627 |

Nobody is slower than rsplib but weighted-round-robin with 3 picked, where rsplib counts the first alone; with 1 picked of 1000 or more
it is as fast. rsplib takes the first of a sorted tree that belongs to one thread and moves it back. Here workers share a list that never
changes and keep one number each: whose turn it is takes log n steps, of which no processor can guess the next. By lot, rsplib's figures
have the reading of random numbers from the kernel in them; under least-used-degradation its counts run on. For this core 2.7 to 7.0 million picks a second are
quoted for round-robin, 8.7 to 13.3 for least-used and 0.5 to 1.0 for weighted-random, at 10,000 elements and 3 picked.
MD
}
