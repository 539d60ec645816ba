#!/usr/bin/env bash
# A host of its own, on which Avahi browses a zone over unicast DNS: resolv.conf names the server, which has to be on port 53.
# Run by tests/interop/browsing.rs in namespaces that end with it and everything in them, and in a directory that has the
# server's configuration and nsupdate's script `join`. $1 is the server.
set -eu
program=$1
ip link set lo up
printf 'nameserver 127.0.0.1\n' >resolv.conf
mount --bind resolv.conf /etc/resolv.conf
mount -t tmpfs none /run
cat >bus.conf <<.
<busconfig>
  <type>system</type>
  <listen>unix:path=$PWD/bus</listen>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
.
cat >avahi.conf <<.
[server]
use-ipv6=no
[wide-area]
enable-wide-area=yes
[publish]
disable-publishing=yes
.
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$PWD/bus

"$program" serve --config rollcall.toml --listen 127.0.0.1:53 --state state 2>rollcall.log &
dbus-daemon --config-file=bus.conf --nofork --nopidfile 2>bus.log &
# Each is there when the next finds it; the test has a time limit for all of it.
until nsupdate join 2>nsupdate.log; do sleep 0.1; done
until [[ -S bus ]]; do sleep 0.1; done
avahi-daemon -f avahi.conf --no-drop-root --no-chroot --no-rlimits --debug >avahi.log 2>&1 &
until grep -q 'Server startup complete' avahi.log; do sleep 0.1; done

browse() { avahi-browse --parsable --no-db-lookup --terminate --domain=pool.example "$@"; }
browse --all
browse --resolve _http._tcp
