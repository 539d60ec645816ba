//! Joining, renewing and leaving with nsupdate, in every way in which it signs and sends.

use super::server::{RENEWALS, Server, Site};

const M1: &str = "\
    update add m1.web.pool.example. 30 A 10.0.0.1
    update add _http._tcp.web.pool.example. 30 SRV 0 10 8080 m1.web.pool.example.
    update add m1.web.pool.example. 30 TXT \"weight=20\" \"site=fra\"";

fn fleet(algorithm: &str) -> Option<Server> {
    let grant = "[[grant]]\nkey = 'fleet'\npools = ['web']\naddresses = ['10.0.0.0/8', '2001:db8::/32']\n";
    Site::new(grant).key("fleet", algorithm).serve()
}

/// The tour: join, heartbeat, leave.
fn life_of_m1(server: &Server, arguments: &[&str], owner: &str) {
    assert!(server.web().is_empty());
    server.update(arguments, M1);
    server.log.wait(&["joined", "pool=\"web.pool.example.\"", "member=\"m1\"", owner]);
    assert_eq!(server.web(), ["10.0.0.1"]);
    assert_eq!(server.dig("_http._tcp.web.pool.example SRV").data(), ["0 10 8080 m1.web.pool.example."]);
    assert_eq!(server.dig("m1.web.pool.example TXT").data(), ["\"site=fra\" \"weight=20\""]);

    server.update(arguments, M1);
    assert_eq!(server.web(), ["10.0.0.1"]);
    server.counts(&[("/changes/joined", 1), (RENEWALS, 1)]);

    server.update(arguments, "update delete m1.web.pool.example.");
    server.dig("web.pool.example A").is_nothing("NOERROR");
    server.dig("_http._tcp.web.pool.example SRV").is_nothing("NOERROR");
    server.dig("m1.web.pool.example A").is_nothing("NXDOMAIN");
    server.log.wait(&["deregistered", "member=\"m1\""]);
}

#[test]
fn unsigned_from_loopback_as_the_shipped_zone_allows() {
    let Some(server) = Site::new("").serve() else { return };
    life_of_m1(&server, &[], "owner=\"127.0.0.1\"");
}

#[test]
fn signed_with_a_key_file_of_each_algorithm() {
    for algorithm in ["hmac-sha256", "hmac-sha384", "hmac-sha512"] {
        let Some(server) = fleet(algorithm) else { return };
        life_of_m1(&server, &["-k", "fleet.key"], "owner=\"fleet.\"");
    }
}

#[test]
fn signed_with_a_secret_on_the_command_line_whatever_the_case_of_the_key_s_name() {
    let Some(server) = fleet("hmac-sha512") else { return };
    let key = format!("hmac-sha512:Fleet:{}", server.secret("fleet"));
    life_of_m1(&server, &["-y", &key], "owner=\"fleet.\"");
}

#[test]
fn over_tcp_signed_and_not() {
    let Some(server) = fleet("hmac-sha256") else { return };
    life_of_m1(&server, &["-v"], "owner=\"127.0.0.1\"");
    // Its name is kept for who has left; another name is free.
    server.update(&["-v", "-k", "fleet.key"], &M1.replace("m1", "m2"));
    server.log.wait(&["joined", "member=\"m2\"", "owner=\"fleet.\""]);
    server.counts(&[("/udp/queued", 0)]);
    let counters = server.counters();
    assert!(counters["connections"]["accepted"].as_u64().unwrap() >= 4, "{counters}");
}

#[test]
fn the_short_form_joins_by_address_and_leaves_by_it() {
    let Some(server) = Site::new("").serve() else { return };
    server.update(&[], "update add web.pool.example. 30 A 10.0.0.1");
    server.update(&[], "update add web.pool.example. 30 A 10.0.0.2");
    server.update(&[], "update add web.pool.example. 30 AAAA 2001:db8::1");
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(server.dig("web.pool.example AAAA").data(), ["2001:db8::1"]);
    assert_eq!(server.dig("10-0-0-1.web.pool.example A").data(), ["10.0.0.1"]);
    server.update(&[], "update delete web.pool.example. A 10.0.0.1");
    assert_eq!(server.web(), ["10.0.0.2"]);
}

#[test]
fn an_undeclared_pool_is_made_by_its_first_member() {
    let Some(server) = Site::new("").serve() else { return };
    server.dig("fresh.pool.example A").is_nothing("NXDOMAIN");
    server.update(&[], "update add m1.fresh.pool.example. 30 A 10.0.0.1");
    assert_eq!(server.dig("fresh.pool.example A").data(), ["10.0.0.1"]);
    server.update(&[], "update delete m1.fresh.pool.example.");
    server.dig("fresh.pool.example A").is_nothing("NOERROR");
}

#[test]
fn one_record_is_deleted_and_the_others_stay() {
    let Some(server) = Site::new("").serve() else { return };
    server.update(&[], M1);
    server.update(&[], "update add m1.web.pool.example. 30 A 10.0.0.2");
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"]);
    server.update(&[], "update delete m1.web.pool.example. A 10.0.0.1");
    assert_eq!(server.web(), ["10.0.0.2"]);
    server.update(&[], "update delete m1.web.pool.example. TXT \"site=fra\"");
    assert_eq!(server.dig("m1.web.pool.example TXT").data(), ["\"weight=20\""]);
    // Port and target tell which SRV; priority and weight do not matter.
    server.update(&[], "update delete _http._tcp.web.pool.example. SRV 7 7 8080 m1.web.pool.example.");
    server.dig("_http._tcp.web.pool.example SRV").is_nothing("NOERROR");
    server.update(&[], "update delete m1.web.pool.example. A 10.0.0.2");
    server.dig("m1.web.pool.example A").is_nothing("NXDOMAIN");
    server.log.wait(&["deregistered", "member=\"m1\""]);
}

#[test]
fn deleting_an_rrset_that_members_share_takes_the_sender_s_part() {
    let grants = "[[grant]]\nkey = 'alice'\n[[grant]]\nkey = 'bob'\n";
    let site = Site::new(grants).key("alice", "hmac-sha256").key("bob", "hmac-sha256");
    let Some(server) = site.serve() else { return };
    for (n, owner) in [(1, "alice.key"), (2, "bob.key")] {
        let join = format!(
            "update add m{n}.web.pool.example. 30 A 10.0.0.{n}
             update add _http._tcp.web.pool.example. 30 SRV 0 10 808{n} m{n}.web.pool.example."
        );
        server.update(&["-k", owner], &join);
    }
    assert_eq!(server.dig("_http._tcp.web.pool.example SRV").data().len(), 2);
    server.update(&["-k", "alice.key"], "update delete _http._tcp.web.pool.example. SRV");
    assert_eq!(server.dig("_http._tcp.web.pool.example SRV").data(), ["0 10 8082 m2.web.pool.example."]);
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"], "the addresses were not meant");
    server.update(&["-k", "bob.key"], "update delete web.pool.example. A");
    assert_eq!(server.web(), ["10.0.0.1"]);
}

#[test]
fn delete_then_add_in_one_message_is_no_leave() {
    let Some(server) = Site::new("").serve() else { return };
    server.update(&[], M1);
    server.update(&[], &format!("update delete m1.web.pool.example.\n{M1}"));
    server.update(
        &[],
        "update delete m1.web.pool.example. A
         update add m1.web.pool.example. 30 A 10.0.0.9",
    );
    assert_eq!(server.web(), ["10.0.0.9"]);
    server.counts(&[
        ("/changes/joined", 1),
        (RENEWALS, 1),
        ("/changes/changed", 1),
        ("/changes/deregistered", 0),
    ]);
}
