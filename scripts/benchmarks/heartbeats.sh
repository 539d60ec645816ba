# shellcheck shell=bash disable=SC2154 # variables of scripts/bench and common.sh
# `heartbeats`: how many heartbeats a second the server accepts, and what one costs.

measure_heartbeats() {
    local round
    for ((round = 1; round <= rounds; round++)); do
        fleet rollcall "$POOLS" "$MEMBERS" --seconds "$leg_s" --window 64 --pid "${pid_of[rollcall]}" | tee -a "$work/beats" >&2
    done
}

print_heartbeats() {
    cat <<MD
## Heartbeats

Signed UPDATEs (hmac-sha256; A, SRV and TXT of one member) of the same $((POOLS * MEMBERS)) members, signed ahead, 64 on the way
from one socket, ${leg_s} s, medians of ${rounds}.

| accepted/s | refused | lost | mean latency us | CPU us a heartbeat |
|---:|---:|---:|---:|---:|
MD
    printf '| %.0f | %.0f | %.0f | %.0f | %.2f |\n\n' "$(median "$work/beats" accepted_a_second 2)" \
        "$(median "$work/beats" refused 2)" "$(median "$work/beats" lost 2)" \
        "$(median "$work/beats" latency_us 2)" "$(median "$work/beats" cpu_us 2)"
    echo "Joining, each group of them on disk before it is acknowledged: $(awk '/^joins/ { print $2 }' "$work/loaded") joins/s."
}
