//! Who is there after a stop, and after a crash.

use super::server::{Server, Site};

fn serial(server: &Server) -> u32 {
    server.dig("pool.example SOA").answer[0].data.split(' ').nth(2).unwrap().parse().unwrap()
}

fn comes_back(stop_and_start: impl FnOnce(Server) -> Server) {
    let Some(server) = Site::new("[[grant]]\nkey = 'fleet'\n").key("fleet", "hmac-sha256").serve() else {
        return;
    };
    let m1 = "update add m1.web.pool.example. 30 A 10.0.0.1
              update add _http._tcp.web.pool.example. 30 SRV 3 10 8080 m1.web.pool.example.
              update add m1.web.pool.example. 30 TXT weight=20";
    let fleet = ["-k", "fleet.key"];
    server.update(&fleet, m1);
    server.update(&fleet, "update add m2.web.pool.example. 30 A 10.0.0.2");
    server.update(&fleet, "update add m1.made.pool.example. 30 A 10.0.0.3");
    server.update(&fleet, "update delete m2.web.pool.example.");
    let serial_before = serial(&server);

    let server = stop_and_start(server);
    server.log.wait(&["members from the last run", "restored=2", "grace_over=0"]);
    server.log.wait(&["state directory", "run=2"]);
    assert_eq!(server.web(), ["10.0.0.1"], "m2 left, and stays away");
    assert_eq!(server.dig("_http._tcp.web.pool.example SRV").data(), ["3 10 8080 m1.web.pool.example."]);
    assert_eq!(server.dig("m1.web.pool.example TXT").data(), ["\"weight=20\""]);
    assert_eq!(server.dig("made.pool.example A").data(), ["10.0.0.3"]);
    assert!(serial(&server) > serial_before, "{} after {serial_before}", serial(&server));

    // It is still its owner's, and its heartbeat is no new join and moves no serial.
    server.refused(&[], m1, "REFUSED", &["belongs to fleet."]);
    let serial_after = serial(&server);
    server.update(&fleet, m1);
    assert_eq!(serial(&server), serial_after, "RFC 9664: a refresh moves no serial");
    server.counts(&[("/changes/joined", 0)]);
}

#[test]
fn members_come_back_after_a_stop() {
    comes_back(Server::restart);
}

#[test]
fn members_come_back_after_a_crash() {
    comes_back(Server::crash);
}

#[test]
fn what_was_acknowledged_just_before_a_crash_is_there_after_it() {
    let Some(mut server) = Site::new("").serve() else { return };
    let mut members = Vec::new();
    for n in 1..=3 {
        server.update(&[], &format!("update add m{n}.web.pool.example. 30 A 10.0.0.{n}"));
        server = server.crash();
        members.push(format!("10.0.0.{n}"));
        assert_eq!(server.web(), members);
    }
}
