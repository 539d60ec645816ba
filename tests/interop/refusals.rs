//! What nsupdate is told when it is turned away, and what the operator reads in the log.

use super::server::{Server, Site};

const ADD: &str = "zone pool.example.\nupdate add m1.web.pool.example. 30 A";

fn two_keys() -> Option<Server> {
    let grants = "[[grant]]\nkey = 'alice'\naddresses = ['192.0.2.0/24']\npools = ['web']\n\
        [[grant]]\nkey = 'bob'\n[[grant]]\nkey = 'boss'\nadmin = true\n";
    let keys = ["alice", "bob", "boss", "idle"];
    keys.into_iter().fold(Site::new(grants), |site, name| site.key(name, "hmac-sha256")).serve()
}

#[test]
fn a_wrong_secret_and_an_unknown_key() {
    let Some(server) = two_keys() else { return };
    // One line a second from a source says that its signatures are wrong: each of these is another source.
    let script = |host: u8| format!("local 127.0.0.{host}\n{ADD} 192.0.2.1");
    let signed_as = |algorithm: &str, name: &str, secret: &str| format!("{algorithm}:{name}:{secret}");
    let bob = server.secret("bob");

    let wrong_secret = signed_as("hmac-sha256", "alice", &bob);
    let reason = ["BADSIG", "key alice."];
    server.refused(&["-y", &wrong_secret], &script(3), "NOTAUTH(BADSIG)", &reason);

    let nobody = signed_as("hmac-sha256", "nobody", &bob);
    server.refused(&["-y", &nobody], &script(4), "NOTAUTH(BADKEY)", &["BADKEY", "no key nobody."]);

    let other_algorithm = signed_as("hmac-sha512", "bob", &bob);
    server.refused(&["-y", &other_algorithm], &script(5), "NOTAUTH(BADKEY)", &["BADKEY", "hmac-sha512"]);

    // What lego signs with unless told otherwise.
    let sha1 = signed_as("hmac-sha1", "bob", &bob);
    server.refused(&["-y", &sha1], &script(6), "NOTAUTH(BADKEY)", &["BADKEY", "hmac-sha1"]);
    assert!(server.web().is_empty());
}

#[test]
fn addresses_pools_and_keys_that_no_grant_covers() {
    let Some(server) = two_keys() else { return };
    let alice = ["-k", "alice.key"];
    let reason = ["address 10.0.0.1 is not granted", "add 10.0.0.0/24", "key alice."];
    server.refused(&alice, &format!("{ADD} 10.0.0.1"), "REFUSED", &reason);
    let script = "update add m1.game.pool.example. 30 A 192.0.2.1";
    server.refused(&alice, script, "REFUSED", &["pool game is not granted", "key alice."]);
    let script = format!("{ADD} 192.0.2.1");
    server.refused(&["-k", "idle.key"], &script, "REFUSED", &["key idle. has no grant in this zone"]);
    server.refused(&["-k", "bob.key"], &format!("{ADD} 127.0.0.1"), "REFUSED", &["loopback", "key bob."]);
    server.refused(&[], &format!("{ADD} 9.9.9.9"), "REFUSED", &["address 9.9.9.9", "unsigned updates"]);
    assert!(server.web().is_empty());
}

#[test]
fn a_member_of_somebody_else_s() {
    let Some(server) = two_keys() else { return };
    server.update(&["-k", "alice.key"], &format!("{ADD} 192.0.2.1"));
    let reason = ["m1 of pool web.pool.example. belongs to alice."];
    for (host, script) in [(3, &*format!("{ADD} 192.0.2.66")), (4, "update delete m1.web.pool.example.")] {
        // The same reason is logged once a second for each source.
        let script = format!("local 127.0.0.{host}\n{script}");
        server.refused(&["-k", "bob.key"], &script, "REFUSED", &reason);
        server.refused(&[], &script.replace("127.0.0", "127.0.1"), "REFUSED", &reason);
    }
    assert_eq!(server.web(), ["192.0.2.1"]);
    server.update(&["-k", "boss.key"], "update delete m1.web.pool.example.");
    assert!(server.web().is_empty(), "an admin grant may");
}

#[test]
fn one_bad_record_refuses_the_whole_message() {
    let Some(server) = two_keys() else { return };
    let script = format!("{ADD} 192.0.2.1\nupdate add m2.web.pool.example. 30 A 10.0.0.2");
    server.refused(&["-k", "alice.key"], &script, "REFUSED", &["address 10.0.0.2"]);
    let script = format!("{ADD} 192.0.2.1\nupdate add m1.web.pool.example. 30 TXT weight=heavy");
    server.refused(&["-k", "alice.key"], &script, "REFUSED", &["weight=heavy"]);
    server.dig("m1.web.pool.example A").is_nothing("NXDOMAIN");
    server.counts(&[("/updates/refused", 2), ("/store/commits", 0)]);
}

#[test]
fn a_zone_that_is_not_ours_a_name_outside_it_and_prerequisites() {
    let Some(server) = Site::new("").serve() else { return };
    let script = "zone other.example.\nupdate add m1.web.other.example. 30 A 10.0.0.1";
    server.refused(&[], script, "NOTAUTH", &["not authoritative for zone other.example."]);
    let script = "zone pool.example.\nupdate add m1.web.other.example. 30 A 10.0.0.1";
    server.refused(&[], script, "NOTZONE", &["m1.web.other.example. is not in the zone"]);
    let script = format!("prereq nxdomain m1.web.pool.example.\n{ADD} 10.0.0.1");
    server.refused(
        &[],
        &script.replace("nxdomain m1", "yxdomain m1"),
        "NXDOMAIN",
        &["m1.web.pool.example. is in use"],
    );
    assert!(server.web().is_empty());
    server.update(&[], &script);
    server.refused(&[], &script, "YXDOMAIN", &["m1.web.pool.example. is not in use"]);
    assert_eq!(server.web(), ["10.0.0.1"]);
}

#[test]
fn attributes_alone_for_a_member_that_is_not_there() {
    let Some(server) = Site::new("").serve() else { return };
    let script = "update add m1.web.pool.example. 30 TXT load=0.5";
    server.refused(&[], script, "REFUSED", &["m1 is not a member of web.pool.example.", "register again"]);
    server.update(&[], &format!("{ADD} 10.0.0.1"));
    server.update(&[], script);
}
