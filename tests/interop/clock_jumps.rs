//! The machine's clock is set by an hour either way under a running server: libfaketime, which Debian has, tells it another
//! wall clock, and leaves it its monotonic one.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::clients;
use super::server::{Server, Site};

const LEASE: Duration = Duration::from_secs(3);
const M1: &str = "update add m1.web.pool.example. 30 A 192.0.2.1";
const FLEET: [&str; 2] = ["-k", "fleet.key"];

/// The library that `faketime` would load. `None` where there is none, which the test runs must not hide.
fn library() -> Option<String> {
    let output = Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
    let found =
        output.ok().filter(|output| output.status.success()).map(|output| clients::text(output.stdout));
    clients::or_say(found.is_some(), "faketime is missing: apt-get install -y faketime");
    found.map(|path| path.trim().to_owned())
}

/// Sets the clock: so much ahead of the right time, or behind it.
fn set(dir: &Path, ahead: &str) {
    // In one step, for the server may read it at any moment.
    let (draft, file) = (dir.join("clock.new"), dir.join("clock"));
    fs::write(&draft, ahead).unwrap();
    fs::rename(draft, file).unwrap();
}

/// A server whose wall clock can be set, and leases of three seconds for who signs.
fn serve() -> Option<Server> {
    let library = library()?;
    let site = Site::new("[[grant]]\nkey = 'fleet'\nlease = 3\n").key("fleet", "hmac-sha256");
    set(site.path(), "+0");
    let clock = site.path().join("clock").display().to_string();
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.as_str()),
        // Read at every look at the clock.
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_DONT_RESET", "1"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    site.environment(environment.into()).serve()
}

/// Turned away for its time, as the server's clock is now: nsupdate knows it, and ends in a way of its own.
fn is_out_of_time(server: &Server) {
    let at = server.address;
    let script = format!("server {} {}\n{M1}\nsend\n", at.ip(), at.port());
    fs::write(server.path().join("script"), script).unwrap();
    let output = server.client("nsupdate").args(FLEET).arg("script").output().unwrap();
    let said = clients::text(output.stderr);
    assert!(!output.status.success() && said.contains("clocks are unsynchronized"), "{said}");
}

#[test]
fn members_stay_to_the_end_of_their_leases_and_no_longer_whatever_the_clock_says() {
    let Some(server) = serve() else { return };
    for (first, second) in [("+3600", "-3600"), ("-3600", "+3600")] {
        set(server.path(), "+0");
        let joining = Instant::now();
        server.update(&FLEET, M1);
        let joined = Instant::now();
        set(server.path(), first);
        assert_eq!(server.web(), ["192.0.2.1"]);
        set(server.path(), second);
        loop {
            let asking = Instant::now();
            let answer = server.dig("web.pool.example A");
            let Some(record) = answer.answer.first() else { break };
            assert!(asking < joined + LEASE, "answered after the lease was over");
            let ttl = Duration::from_secs(record.ttl_s.into());
            assert!(asking + ttl <= joined + LEASE, "{record:?} {:?} after joining", asking - joined);
        }
        assert!(joining.elapsed() >= LEASE, "gone {:?} after joining: early", joining.elapsed());
    }
    server.counts(&[("/changes/joined", 2), ("/changes/expired", 2), ("/clock/suspended", 0)]);
}

#[test]
fn who_signs_by_the_right_time_is_told_badtime_until_the_server_s_is_right_too() {
    let Some(server) = serve() else { return };
    server.update(&FLEET, M1);
    set(server.path(), "+3600");
    is_out_of_time(&server);
    server.log.wait(&["UPDATE refused", "BADTIME: key fleet.", "s behind our clock; 300 s are allowed"]);
    set(server.path(), "-3600");
    // Of signatures, one line a second is logged.
    is_out_of_time(&server);
    // Who does not sign has no such trouble.
    server.update(&[], "update add m2.web.pool.example. 30 A 10.0.0.2");
    set(server.path(), "+0");
    server.update(&FLEET, M1);
    assert_eq!(server.web(), ["10.0.0.2", "192.0.2.1"]);
    server.counts(&[("/updates/refused", 2), ("/updates/unverified", 2), ("/clock/suspended", 0)]);
}
