# shellcheck shell=bash disable=SC2153,SC2154 # variables of scripts/bench and common.sh
# Servers under test, each on core 0 and on a loopback port of its own: rollcall, its fleet and its counters, and its peers.
#
# Peers are set up as their own manuals have it for one thread that answers over UDP; what else is set keeps their files here.

# By name. There may be several rollcalls.
declare -A pid_of port_of

# start NAME COMMAND...: what it says goes to its log.
start() {
    local name=$1
    shift
    : >"$work/$name/log"
    PATH=$PATH:/usr/sbin taskset -c 0 "$@" >"$work/$name/log" 2>&1 &
    pid_of[$name]=$!
    pids+=("$!")
}

# await_log NAME TEXT
await_log() { await 10 grep -q "$2" "$work/$1/log" || fail "$1 did not start: $(tail -n 3 "$work/$1/log")"; }

# start_rollcall NAME [POOLS [SETTINGS [GRANT]]]: with these tables and settings in its zone's TOML, and so much more in its grant.
start_rollcall() {
    local dir=$work/$1
    mkdir -p "$dir/zones" && chmod 700 "$work"
    [[ -e $work/key.toml ]] || "$bin/rollcall" keygen bench --key-file "$work/bench.key" >"$work/key.toml" 2>/dev/null
    # Room for the largest fleet, and one more.
    { cat "$work/key.toml" && printf '[udp]\nworkers = 1\n[limits]\nmembers = 1100000\n'; } >"$dir/rollcall.toml"
    # shellcheck disable=SC2016 # a zone file's $TTL
    printf '$TTL 5\n@ IN SOA ns hostmaster 1 1200 180 1209600 5\n@ IN NS ns\nns IN A 127.0.0.1\n' >"$dir/zones/$ZONE.zone"
    # A lease that outlasts the run, so that nobody leaves because the machine is slow.
    cat >"$dir/zones/$ZONE.toml" <<TOML
create_pools = true
default_lease = 3600
${3-}
[[grant]]
key = "bench."
addresses = ["0.0.0.0/0"]
${4-}
${2-}
TOML
    # As the README says for many pools: Debian's kernels need nothing for it.
    local pages=()
    [[ $1 != *x10 ]] || pages=(env _RJEM_MALLOC_CONF=thp:always)
    start "$1" "${pages[@]}" "$bin/rollcall" serve --config "$dir/rollcall.toml" --zones "$dir/zones" --state "$dir/state" \
        --listen 127.0.0.1:0
    learn_port "$1"
}

# learn_port NAME: once it serves.
learn_port() {
    await_log "$1" 'listening, UDP and TCP'
    port_of[$1]=$(sed -n 's/.*listening, UDP and TCP.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/$1/log")
}

# fleet NAME POOLS MEMBERS ARGUMENT...: of that rollcall.
fleet() {
    local port=${port_of[$1]} pools=$2 members=$3
    shift 3
    timeout 600 taskset -c 1 "$bin/examples/heartbeat" "127.0.0.1:$port" --key "$work/bench.key" --zone "$ZONE." \
        --pools "$pools" --members "$members" "$@"
}

# Has rollcall log its counters, into $work/counters.
take_counters() {
    kill -USR1 "${pid_of[rollcall]}"
    await 5 grep -q 'counters {' "$work/rollcall/log" || fail "rollcall logged no counters"
    grep 'counters {' "$work/rollcall/log" >"$work/counters"
}

# counter NAME: of those taken. The name occurs once.
counter() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$work/counters"; }

everybody() {
    local pool
    for ((pool = 0; pool < POOLS; pool++)); do
        printf 'all.p%02d.%s A\n' "$pool" "$ZONE"
    done | dig +short @127.0.0.1 -p "${port_of[rollcall]}" -f -
}

# The zone that peers serve: what the fleet registers.
write_peers_zone() {
    local pool member name
    # shellcheck disable=SC2016 # a zone file's $TTL
    printf '$TTL 5\n@ SOA ns hostmaster 1 1200 180 1209600 5\n@ NS ns\nns A 127.0.0.1\n'
    for ((pool = 0; pool < POOLS; pool++)); do
        printf -v name 'p%02d' "$pool"
        for ((member = 1; member <= MEMBERS; member++)); do
            echo "$name A 10.0.$pool.$member"
            echo "m$member.$name A 10.0.$pool.$member"
            echo "m$member.$name TXT weight=10"
            echo "_http._tcp.$name SRV 0 10 8080 m$member.$name"
        done
    done
}

# start_peer NAME: gdnsd, knot or nsd.
start_peer() {
    local dir=$work/$1
    mkdir -p "$dir/zones"
    port_of[$1]=$(free_port)
    write_peers_zone >"$dir/zones/$ZONE"
    "start_$1" "$dir" "${port_of[$1]}"
}

# stop NAME: for a server that only a part of a run needs.
stop() {
    kill "${pid_of[$1]}" && wait "${pid_of[$1]}" 2>/dev/null || true
}

# start_knot_updates NAME POOLS MEMBERS: Knot with the fleet's key and records, as if the fleet had registered. A change is on disk before
# it is acknowledged: that is its journal's default, journal-db-mode robust.
start_knot_updates() {
    local dir=$work/$1 secret
    mkdir -p "$dir/zones"
    port_of[$1]=$(free_port)
    secret=$(sed -n 's/.*secret "\(.*\)".*/\1/p' "$work/bench.key")
    awk -v pools="$2" -v members="$3" 'BEGIN {
        print "$TTL 30\n@ IN SOA ns hostmaster 1 1200 180 1209600 5\n@ IN NS ns\nns IN A 127.0.0.1"
        for (p = 0; p < pools; p++) {
            n = sprintf("p%02d", p)
            for (m = 1; m <= members; m++)
                printf "m%d.%s A %d.%d.%d.%d\nm%d.%s TXT weight=10 load=0.25\n_http._tcp.%s SRV 0 10 8080 m%d.%s\n", \
                    m, n, 10 + int(p / 65536), int(p / 256) % 256, p % 256 + int(m / 256), m % 256, m, n, n, m, n
        }
    }' >"$dir/zones/$ZONE"
    cat >"$dir/config" <<CONFIG
server:
    rundir: $dir
    listen: 127.0.0.1@${port_of[$1]}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: $dir
key:
  - id: bench.
    algorithm: hmac-sha256
    secret: $secret
acl:
  - id: fleet
    key: bench.
    action: update
template:
  - id: default
    zonefile-sync: -1
    journal-content: changes
zone:
  - domain: $ZONE
    file: $dir/zones/$ZONE
    acl: fleet
CONFIG
    start "$1" knotd -c "$dir/config"
    await_log "$1" 'server started'
}

start_gdnsd() {
    cat >"$1/config" <<CONFIG
options => {
  listen => { 127.0.0.1:$2 => { udp_threads = 1, tcp_threads = 1 } }
  run_dir = $1/run, state_dir = $1/state
}
CONFIG
    start gdnsd gdnsd -c "$1" start
    await_log gdnsd 'DNS listeners started'
}

start_knot() {
    cat >"$1/config" <<CONFIG
server:
    rundir: $1
    listen: 127.0.0.1@$2
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: $1
template:
  - id: default
    zonefile-sync: -1
    journal-content: none
zone:
  - domain: $ZONE
    file: $1/zones/$ZONE
CONFIG
    start knot knotd -c "$1/config"
    await_log knot 'server started'
}

# Without its limit of answers a second to one client, which is for the open network.
start_nsd() {
    cat >"$1/config" <<CONFIG
server:
    server-count: 1
    reuseport: yes
    ip-address: 127.0.0.1@$2
    username: ""
    chroot: ""
    database: ""
    pidfile: ""
    zonesdir: "$1"
    zonelistfile: "$1/zone.list"
    xfrdfile: "$1/xfrd.state"
    xfrdir: "$1"
    rrl-ratelimit: 0
    rrl-whitelist-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: "$ZONE"
    zonefile: "$1/zones/$ZONE"
CONFIG
    start nsd nsd -d -c "$1/config"
    await_log nsd 'nsd started'
}
