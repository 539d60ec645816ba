# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/bench, and for the parts
# What several parts of scripts/bench need: programs and what they cost, questions at a rate, medians.

# dnsperf: questions on the way, sockets. Large enough to keep one core busy, small enough that none is dropped.
readonly OUTSTANDING=200 CLIENTS=16
readonly ZONE=pool.example POOLS=100 MEMBERS=4
# A rate at which a server has time. CPU an answer depends on how many questions a system call finds waiting, so that
# figures at full speed say little about such a one.
readonly FIXED_RATE=20000

# Programs that this run has started; nothing else is ever ended.
pids=()
finish() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}

say() { echo "bench: $*" >&2; }
fail() { say "$*"; exit 1; }
# What is wrong with a figure, though the run can go on: the run ends with an error, after all is printed.
fault() { say "$*"; echo "$*" >>"$work/faults"; }

install_missing() {
    local missing=() pair
    for pair in dnsperf:dnsperf gdnsd:gdnsd knotd:knot nsd:nsd dig:bind9-dnsutils taskset:util-linux; do
        command -v "${pair%:*}" >/dev/null || [[ -x /usr/sbin/${pair%:*} ]] || missing+=("${pair#*:}")
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        fail "missing: ${missing[*]}; install them, on Debian with: apt-get install ${missing[*]}"
    fi
    say "installing ${missing[*]} (Debian may start services on port 53, which are not used here)"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy "${missing[@]}"; } >&2
}

# A loopback port that no socket of this machine has, below those that the kernel hands out.
free_port() {
    local port hex
    while :; do
        port=$((20000 + RANDOM % 12000))
        printf -v hex ':%04X ' "$port"
        grep -qs "$hex" /proc/net/{udp,udp6,tcp,tcp6} || break
    done
    echo "$port"
}

# await SECONDS COMMAND...: until the command succeeds.
await() {
    local until=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < until)) || return 1
        sleep 0.05
    done
}

# p99_us FILE: the 99th percentile of the latencies that `ask` left there.
p99_us() {
    awk '$1 == ">" { print $NF }' "$1" | sort -n | awk '{ v[NR] = $1 } END { printf "%.0f", v[int(NR * 0.99)] * 1e6 }'
}

# met VALUE BAR least|most: whether a figure keeps its bar.
met() { awk -v value="$1" -v bar="$2" -v which="$3" 'BEGIN { print (which == "most" ? value <= bar : value >= bar) ? "yes" : "**no**" }'; }

# A process and its children, and theirs.
family() {
    local child
    echo "$1"
    cat /proc/"$1"/task/*/children | tr ' ' '\n' | while read -r child; do family "$child"; done
}

# Nanoseconds of CPU, user and system, that all threads of a process and of its children have had. /proc/PID/stat counts in
# 10 ms.
cpu_ns() {
    local pid
    for pid in $(family "$1"); do cat /proc/"$pid"/task/*/schedstat; done | awk '{ sum += $1 } END { printf "%.0f", sum }'
}

# thread_ns PID NAME: the same as cpu_ns, of one thread.
thread_ns() {
    local task
    for task in /proc/"$1"/task/*; do
        [[ $(<"$task/comm") != "$2" ]] || cut -d' ' -f1 "$task/schedstat"
    done
}

# value KEY FILE: of the last line with this key.
value() { awk -v key="$1" '$1 == key { value = $2 } END { print value }' "$2"; }

# median FILE KEY FIELD: of that field in the lines that start with the key.
median() {
    awk -v key="$2 " -v field="$3" 'index($0, key) == 1 { print $field }' "$1" | sort -n |
        awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# least, most FILE KEY FIELD: as median.
least() { awk -v key="$2 " -v field="$3" 'index($0, key) == 1 { print $field }' "$1" | sort -n | head -n 1; }
most() { awk -v key="$2 " -v field="$3" 'index($0, key) == 1 { print $field }' "$1" | sort -n | tail -n 1; }

commit() { echo "$(git rev-parse --short HEAD 2>/dev/null || echo unknown)$(git diff --quiet HEAD 2>/dev/null || echo ' with changes')"; }

package() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null || echo "of unknown version"; }

# ask RATE SECONDS FILE [SERVER]: questions at a rate; each answer and its latency into the file.
ask() {
    timeout $(($2 + 20)) taskset -c 1 dnsperf -s 127.0.0.1 -p "${port_of[${4-rollcall}]}" -d "$work/A" -e -l "$2" -Q "$1" \
        -q "$OUTSTANDING" -c "$CLIENTS" -v >"$3" 2>&1 || fail "dnsperf: $(tail -n 3 "$3")"
    grep -Eq 'Response codes: +NOERROR [0-9]+ \(100\.00%\)$' "$3" ||
        fail "rollcall did not answer everything: $(grep 'Response codes' "$3")"
}
