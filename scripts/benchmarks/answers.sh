# shellcheck shell=bash disable=SC2154 # variables of scripts/bench and common.sh
# `answers`: what an answer costs, beside peers that serve the same records; in pools of other sizes; beside changes.

# A rate at which all servers have time: there, latency is compared.
readonly LATENCY_RATE=50000
# Members of the pool that changes, its number, and its changes a second.
readonly CROWD=1000 CROWD_POOL=100 CHANGE_RATE=100
# In the order of a round. gdnsd-again is gdnsd, after ours.
if [[ -n $quick ]]; then
    readonly PEERS=(knot gdnsd) TURNS=(knot gdnsd rollcall gdnsd-again) QUESTIONS=(A SRV)
else
    readonly PEERS=(knot gdnsd nsd) TURNS=(knot gdnsd rollcall gdnsd-again nsd) QUESTIONS=(A SRV NXDOMAIN mix)
fi

# Files of questions, always the same. Those for random names and for pools among many are in random order.
write_questions() {
    awk -v pools="$POOLS" -v zone="$ZONE" -v dir="$work" -v crowd="p$CROWD_POOL" '
        function pool(n) { return sprintf("p%02d.%s", n, zone) }
        function nobody(   name, i) {
            for (i = 0; i < 12; i++) name = name sprintf("%c", 97 + int(rand() * 26))
            return name "." zone
        }
        BEGIN {
            srand(1)
            for (n = 0; n < pools; n++) {
                print pool(n), "A" >(dir "/A")
                print "_http._tcp." pool(n), "SRV" >(dir "/SRV")
                print pool(n) " A\n" crowd "." zone " A" >(dir "/crowd")
            }
            for (n = 0; n < 100000; n++) {
                print nobody(), "A" >(dir "/NXDOMAIN")
                which = rand()
                any = pool(int(rand() * pools))
                print which < 0.5 ? any " A" : which < 0.75 ? "_http._tcp." any " SRV" : \
                    which < 0.85 ? any " AAAA" : nobody() " A" >(dir "/mix")
                order = rand()
                print order, pool(n), "A" >(dir "/A-ordered")
                print order, "_http._tcp." pool(n), "SRV" >(dir "/SRV-ordered")
            }
        }'
    local what
    for what in A SRV; do sort -n "$work/$what-ordered" | cut -d' ' -f2- >"$work/$what-100000"; done
}

# Ours in pools of other sizes, and with one pool more, which changes.
start_larger() {
    say "joining: 100 pools of 10 members, 100 of 4 with one of $CROWD, then 100000 of 10, which takes about a minute"
    start_rollcall rollcall-100x10
    fleet rollcall-100x10 100 10 >&2
    start_rollcall rollcall-crowd "
[[pool]]
name = \"p$CROWD_POOL\"
policy = \"weighted-random\"
answers = $MEMBERS"
    fleet rollcall-crowd "$POOLS" "$MEMBERS" >&2
    fleet rollcall-crowd 1 "$CROWD" --first-pool "$CROWD_POOL" >&2
    start_rollcall rollcall-100000x10
    fleet rollcall-100000x10 100000 10 >&2
    has rollcall-100x10 10 "p00.$ZONE" A
    has rollcall-100x10 10 "_http._tcp.p99.$ZONE" SRV
    has rollcall-100000x10 10 "p99999.$ZONE" A
    has rollcall-100000x10 10 "_http._tcp.p99999.$ZONE" SRV
    has rollcall-crowd "$CROWD" "all.p$CROWD_POOL.$ZONE" A
    has rollcall-crowd "$MEMBERS" "p$CROWD_POOL.$ZONE" A
}

# ask_once SERVER NAME TYPE: RCODE and the answer section, sorted.
ask_once() {
    dig +noall +comments +answer @127.0.0.1 -p "${port_of[$1]}" "$2" "$3" |
        awk '/status:/ { sub(/.*status: /, ""); sub(/,.*/, ""); print " " $0 } /^[^;]/ { $1 = $1; print }' | sort
}

# All must say the same before it is compared what it costs them.
compare_answers() {
    local question peer ours theirs
    for question in "p00.$ZONE A" "p99.$ZONE A" "_http._tcp.p42.$ZONE SRV" "p07.$ZONE AAAA" "nobody.$ZONE A"; do
        # shellcheck disable=SC2086 # a name and a type
        ours=$(ask_once rollcall $question)
        [[ -n $ours ]] || fail "rollcall does not answer $question"
        for peer in "${PEERS[@]}"; do
            # shellcheck disable=SC2086
            theirs=$(ask_once "$peer" $question)
            [[ $ours == "$theirs" ]] || fail "rollcall and $peer differ on $question: <$ours> and <$theirs>"
        done
    done
}

# has SERVER COUNT NAME TYPE: that so many records are the answer.
has() {
    [[ $(ask_once "$1" "$3" "$4" | grep -c ' IN ') == "$2" ]] || fail "$1 has not $2 records: $3 $4"
}

# is_right WHAT FILE: whether dnsperf counted the RCODEs that these questions have, and no others.
is_right() {
    case $1 in
        NXDOMAIN) grep -Eq 'Response codes: +NXDOMAIN [0-9]+ \(100\.00%\)$' "$2" ;;
        mix) grep -Eq 'Response codes: +NOERROR [0-9]+ \(8[3-6]\.[0-9]+%\), NXDOMAIN [0-9]+ \(1[4-7]\.[0-9]+%\)$' "$2" ;;
        *) grep -Eq 'Response codes: +NOERROR [0-9]+ \(100\.00%\)$' "$2" ;;
    esac
}

# leg SERVER WHAT RATE [QUESTIONS]: one dnsperf run against one server. Appends to $work/legs: server, what, rate, CPU us an
# answer, answers/s, lost, mean latency us, octets of an answer, CPU us an answer of the thread for UDP alone (ours; else 0),
# round.
leg() {
    local server=${1%-again} what=$2 rate=$3 pid before worker=0 out=$work/dnsperf.out limit=() lost sent loss
    pid=${pid_of[$server]}
    [[ $rate == max ]] || limit=(-Q "$rate")
    [[ $server != rollcall* ]] || worker=$(thread_ns "$pid" udp-0)
    before=$(cpu_ns "$pid")
    timeout $((leg_s + 20)) taskset -c 1 dnsperf -s 127.0.0.1 -p "${port_of[$server]}" -d "$work/${4:-$what}" -e \
        -l "$leg_s" -q "$OUTSTANDING" -c "$CLIENTS" -t 1 "${limit[@]}" >"$out" 2>&1 ||
        fail "dnsperf against $server: $(tail -n 3 "$out")"
    before=$(($(cpu_ns "$pid") - before))
    [[ $server != rollcall* ]] || worker=$(($(thread_ns "$pid" udp-0) - worker))
    is_right "$what" "$out" || fail "$server answers questions of $what wrongly: $(grep 'Response codes' "$out")"
    lost=$(awk '/Queries lost:/ { print $3 }' "$out") sent=$(awk '/Queries sent:/ { print $3 }' "$out")
    if ((lost > 0)); then
        loss="$server lost $lost of $sent answers to questions of $what at the rate $rate, in round $round"
        # Knot keeps the kernel's default receive buffer, which a burst can fill: too few to change the figure.
        if [[ $server == rollcall* ]] || ((lost * 1000 > sent)); then fault "$loss"; else say "$loss"; fi
    fi
    awk -v leg="$1 $what $rate" -v ns="$before" -v worker="$worker" -v round="$round" '
        /Queries completed:/ { answers = $3 }
        /Queries lost:/ { lost = $3 }
        /Queries per second:/ { rate = $4 }
        /Average Latency/ { latency = $4 }
        /Average packet size:/ { octets = $NF }
        END {
            printf "%s %.3f %.0f %d %.1f %d %.3f %d\n", leg, ns / answers / 1000, rate, lost, latency * 1e6, octets,
                worker / answers / 1000, round
        }
    ' "$out" | tee -a "$work/legs" >&2
}

serial() { dig +short @127.0.0.1 -p "${port_of[$1]}" "$ZONE" SOA | cut -d' ' -f3; }

# Questions while one pool changes. Every change has to be accepted, and the serial says that the zone did change.
leg_beside_changes() {
    local before other beside=$work/beside accepted lost
    before=$(serial rollcall-crowd)
    fleet rollcall-crowd 1 "$CROWD" --first-pool "$CROWD_POOL" --changes "$CHANGE_RATE" --seconds $((leg_s + 1)) \
        >"$beside" & other=$!
    sleep 0.5
    leg rollcall-crowd A-changing max crowd
    wait "$other" || fail "the changes beside the questions: $(tail -n 3 "$beside")"
    accepted=$(awk '$1 == "accepted" { print $2 }' "$beside") lost=$(awk '$1 == "lost" { print $2 }' "$beside")
    ((lost == 0)) || fault "rollcall-crowd lost $lost changes in round $round"
    # Changes that come together have one serial.
    (($(serial rollcall-crowd) - before >= accepted / 2)) || fail "the zone did not change with $accepted changes"
    echo "$accepted" >>"$work/changes"
}

measure_answers() {
    local peer
    write_questions
    for peer in "${PEERS[@]}"; do start_peer "$peer"; done
    compare_answers
    in_rounds beside_peers
    [[ -z $quick ]] || return 0
    # Not before: a server of a million members has something to do even when nobody asks.
    start_larger
    in_rounds larger
}

# in_rounds COMMAND
in_rounds() {
    local round
    for ((round = 1; round <= rounds; round++)); do
        say "round $round of $rounds ($1): server, what, rate, CPU us, answers/s, lost, latency us, octets," \
            "CPU us of the thread, round"
        "$1"
    done
}

beside_peers() {
    local what server
    for what in "${QUESTIONS[@]}"; do
        for server in "${TURNS[@]}"; do leg "$server" "$what" max; done
    done
    [[ -z $quick ]] || return 0
    for what in A SRV; do
        for server in "${TURNS[@]}"; do leg "$server" "$what" "$LATENCY_RATE"; done
    done
}

larger() {
    local what
    for what in A SRV; do
        leg rollcall-100x10 "$what" max
        leg rollcall-100000x10 "$what" max "$what-100000"
    done
    leg rollcall-crowd A-still max crowd
    leg_beside_changes
}

# idle SERVER...: CPU that each spends when nobody asks it anything, us a second.
idle() {
    local server text=""
    local -A before
    for server in "$@"; do before[$server]=$(cpu_ns "${pid_of[$server]}"); done
    sleep 2
    for server in "$@"; do
        text+="${text:+, }$server $((($(cpu_ns "${pid_of[$server]}") - before[$server]) / 2000))"
    done
    echo "$text"
}

# row SERVER WHAT RATE: of the table. What was lost is that of all rounds.
row() {
    local key="$1 $2 $3" lost
    lost=$(awk -v key="$key " 'index($0, key) == 1 { sum += $6 } END { print sum }' "$work/legs")
    printf '| %s | %s | %s | %.2f | %.0f | %d | %.0f | %.0f |\n' "$2" "$3" "$1" "$(median "$work/legs" "$key" 4)" \
        "$(median "$work/legs" "$key" 5)" "$lost" "$(median "$work/legs" "$key" 7)" "$(median "$work/legs" "$key" 8)"
}

rows() {
    local what server
    for what in "${QUESTIONS[@]}"; do
        for server in "${TURNS[@]}"; do row "$server" "$what" max; done
    done
    [[ -z $quick ]] || return 0
    for what in A SRV; do
        for server in "${TURNS[@]}"; do row "$server" "$what" "$LATENCY_RATE"; done
    done
    for what in A SRV; do
        for server in rollcall-100x10 rollcall-100000x10; do row "$server" "$what" max; done
    done
    row rollcall-crowd A-still max
    row rollcall-crowd A-changing max
}

# ratio NAME OURS FIELD THEIRS...: in each round that field of one leg over the mean of others; median, least and most.
ratio() {
    local name=$1 ours=$2 field=$3 all
    shift 3
    printf -v all '%s,' "$@"
    awk -v ours="$ours" -v field="$field" -v all="${all%,}" '
        BEGIN { count = split(all, keys, ","); for (n in keys) theirs[keys[n]] }
        { key = $1 " " $2 " " $3 }
        key == ours { own[$NF] = $field }
        key in theirs { sum[$NF] += $field }
        END { for (round in own) print "ratio", own[round] * count / sum[round] }' "$work/legs" >"$work/ratios"
    printf 'ratio %s %.2f (%.2f to %.2f)\n' "$name" "$(median "$work/ratios" ratio 2)" "$(least "$work/ratios" ratio 2)" \
        "$(most "$work/ratios" ratio 2)"
}

# ratios_with_peers LABEL WHAT RATE FIELD
ratios_with_peers() {
    local peer key="$2 $3"
    ratio "gdnsd $1" "rollcall $key" "$4" "gdnsd $key" "gdnsd-again $key"
    ratio "gdnsd-again $1" "gdnsd-again $key" "$4" "gdnsd $key"
    for peer in "${PEERS[@]}"; do
        [[ $peer == gdnsd ]] || ratio "$peer $1" "rollcall $key" "$4" "$peer $key"
    done
}

ratios() {
    local what many still="rollcall-crowd A-still max" changing="rollcall-crowd A-changing max"
    for what in "${QUESTIONS[@]}"; do ratios_with_peers "$what" "$what" max 4; done
    [[ -z $quick ]] || return 0
    for what in A SRV; do
        ratios_with_peers "$what@$LATENCY_RATE" "$what" "$LATENCY_RATE" 4
        ratios_with_peers "latency-$what@$LATENCY_RATE" "$what" "$LATENCY_RATE" 7
    done
    for what in A SRV; do
        many="$what-100000x10-over-100x10"
        ratio "self $many" "rollcall-100000x10 $what max" 4 "rollcall-100x10 $what max"
        ratio "self $many-thread" "rollcall-100000x10 $what max" 9 "rollcall-100x10 $what max"
    done
    ratio "self NXDOMAIN-over-A" "rollcall NXDOMAIN max" 4 "rollcall A max"
    ratio "self A-changing-over-still" "$changing" 9 "$still"
    ratio "self A-changing-over-still-whole-process" "$changing" 4 "$still"
}

print_answers() {
    local servers=("${PEERS[@]}" rollcall) idle
    [[ -n $quick ]] || servers+=(rollcall-100x10 rollcall-100000x10 rollcall-crowd)
    idle=$(idle "${servers[@]}")
    cat <<MD
## Answers

$POOLS pools of $MEMBERS members; questions with EDNS, one server thread for UDP, $OUTSTANDING questions on the way from $CLIENTS
sockets of one thread of dnsperf. CPU is user and system time of the server's processes over the answers in the leg. At \`max\`
it is often the load generator on its one core that ends the race: compare CPU, not answers a second. Each leg $leg_s s, medians of
$rounds; all servers run, one is asked, and they were seen to give the same answers first. NXDOMAIN is asked for random names;
lost are those of all rounds.
MD
    [[ -n $quick ]] || print_other_questions
    cat <<MD

| question | rate | server | CPU us an answer | answers/s | lost | mean latency us | octets |
|---|---|---|---:|---:|---:|---:|---:|
$(rows)

Where octets differ, it is in what servers send along: gdnsd leaves the addresses of SRV targets for a client to ask.
With nobody asking, servers spend CPU too, which at a fixed rate is part of an answer, us a second:
$idle.

Ours over theirs, CPU an answer if it does not say latency: with gdnsd over the mean of its legs before and after ours
(\`gdnsd-again\`: gdnsd after over gdnsd before, what noise alone makes). Median of the rounds, least and most in brackets:

\`\`\`text
$(ratios)
\`\`\`

MD
}

print_other_questions() {
    local changes still changing
    changes=$(awk '{ sum += $1 } END { print sum }' "$work/changes")
    printf -v still '%.2f' "$(median "$work/legs" "rollcall-crowd A-still max" 9)"
    printf -v changing '%.2f' "$(median "$work/legs" "rollcall-crowd A-changing max" 9)"
    cat <<MD

mix: A 50 %, SRV 25 %, AAAA that is not there 10 %, NXDOMAIN 15 %, in random order. \`100x10\` and \`100000x10\` have so many pools of
10 members, and are asked about all pools, the latter in random order; they run after the legs beside peers,
and with huge pages for their memory, as the README says for many pools. \`crowd\` has
the pools of $MEMBERS and one of $CROWD members more, weighted-random with $MEMBERS an answer, to which every second question goes.
A-changing is asked while signed UPDATEs change that pool $CHANGE_RATE times a second: members leave, join and say other weights
($changes were accepted, none refused). A change is the work of the registrar, a thread of its own; so
\`A-changing-over-still\` compares the thread that answers, $changing us an answer with $still, and with
\`-whole-process\` all threads. Elsewhere it is all threads but for \`-thread\`. Debian builds NSD without recvmmsg.
MD
}
