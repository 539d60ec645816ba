//! How a pool is to be spoken to, and members that live elsewhere: SVCB, HTTPS, and SRV targets outside the pool.

use rollcall::query::Transport;
use rollcall::security::{Grant, NamePattern};

use super::world::{Setup, World, loopback_grant, question_message};

const M1: &str =
    "add m1.web 30 A 10.0.0.1; add web 30 HTTPS 1 m1.web.pool.example. port=8443 ipv4hint=10.0.0.1";
const M2: &str = "add m2.web 30 A 10.0.0.2; add web 30 HTTPS 1 m2.web.pool.example. port=8444";

fn elsewhere() -> World {
    let targets = vec![NamePattern::new("gw*.example.net")];
    World::with(Setup { grants: vec![Grant { targets, ..loopback_grant() }], ..Setup::default() })
}

#[test]
fn a_members_https_record_lives_and_goes_with_it() {
    let mut world = World::new();
    assert!(world.ask("web", "HTTPS").is_nodata());
    world.accept(M1);
    world.advance(10_000);
    world.accept(M2);
    assert_eq!(world.ask("web", "HTTPS").data().len(), 2);
    assert_eq!(world.ask("web", "HTTPS").ttl_s(), 5);
    world.advance(17_000);
    assert_eq!(world.ask("web", "HTTPS").ttl_s(), 3, "what the first to end has left");
    world.advance(3_000);
    let left = world.ask("web", "HTTPS").data();
    assert!(left.len() == 1 && left[0].contains("8444"), "m1 is gone, and its record with it: {left:?}");
    world.accept("delete m2.web");
    assert!(world.ask("web", "HTTPS").is_nodata());
    assert!(world.ask("web", "SVCB").is_nodata());
}

#[test]
fn a_heartbeat_that_leaves_it_out_lets_it_lapse_and_deleting_takes_it_at_once() {
    let mut world = World::new();
    world.accept(M1);
    world.advance(20_000);
    world.accept("add m1.web 30 A 10.0.0.1");
    world.advance(10_000);
    assert!(world.ask("web", "HTTPS").is_nodata(), "others of the message's types were renewed");
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
    world.accept(M1);
    world.accept("delete web HTTPS");
    assert!(world.ask("web", "HTTPS").is_nodata());
    world.accept(M1);
    world.accept("delete web HTTPS 1 m1.web.pool.example. port=8443 ipv4hint=10.0.0.1");
    assert!(world.ask("web", "HTTPS").is_nodata());
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
}

#[test]
fn hints_are_addresses_and_a_binding_needs_its_member() {
    let mut world = World::new();
    let reason = world.refuse(&M1.replace("ipv4hint=10.0.0.1", "ipv4hint=192.0.2.1"));
    assert!(reason.contains("address 192.0.2.1 is not granted"), "{reason}");
    let reason = world.refuse("add web 30 HTTPS 1 m1.web.pool.example.");
    assert!(reason.contains("m1 of pool web.pool.example. has no address"), "{reason}");
    let reason = world.refuse("add web 30 HTTPS 1 .");
    assert!(reason.contains("stands in the way of pool web.pool.example."), "{reason}");
    world.accept(M1);
    world.accept("add m1.web 30 TXT weight=0");
    assert!(world.ask("web", "HTTPS").is_nodata(), "weight=0 takes a member out");
}

#[test]
fn a_target_elsewhere_is_a_member_without_an_address_here() {
    let mut world = elsewhere();
    world.accept("add _sip._tcp.web 30 SRV 0 10 5060 gw1.example.net.");
    world.accept("add m1.web 30 A 10.0.0.1; add _sip._tcp.web 30 SRV 0 10 5061 m1.web");
    let both = ["0 10 5060 gw1.example.net.", "0 10 5061 m1.web.pool.example."];
    assert_eq!(world.ask("_sip._tcp.web", "SRV").sorted(), both);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"], "its addresses are its own zone's business");
    world.advance(20_000);
    world.accept("add m1.web 30 A 10.0.0.1; add _sip._tcp.web 30 SRV 0 10 5061 m1.web");
    world.advance(10_000);
    assert_eq!(world.ask("_sip._tcp.web", "SRV").data(), &both[1..], "it fell silent");
    world.accept("add _sip._tcp.web 30 SRV 0 10 5060 gw1.example.net.");
    world.accept("delete _sip._tcp.web SRV 0 0 5060 gw1.example.net.");
    assert_eq!(world.ask("_sip._tcp.web", "SRV").data(), &both[1..], "it left");
}

#[test]
fn targets_elsewhere_need_a_grant_and_keep_their_owner() {
    let mut world = elsewhere();
    let reason = world.refuse("add _sip._tcp.web 30 SRV 0 10 5060 other.example.net.");
    assert!(reason.contains("SRV target other.example.net. is not granted"), "{reason}");
    world.accept("add _sip._tcp.web 30 SRV 0 10 5060 gw1.example.net.");
    world.source = "127.0.0.2".parse().unwrap();
    let reason = world.refuse("delete _sip._tcp.web SRV 0 0 5060 gw1.example.net.");
    assert!(reason.contains("gw1.example.net. of pool web.pool.example. belongs to 127.0.0.1"), "{reason}");
    // Nor is it a name below the pool, however it is spelt inside.
    let mut question = question_message(&format!("{}.web", "q".repeat(18)), "A", None);
    let at = question.windows(18).position(|octets| octets == [b'q'; 18]).unwrap();
    question[at..at + 18].copy_from_slice(b"\x00\x03gw1\x07example\x03net\x00");
    let answer = world.answer(Transport::Tcp, &question).unwrap();
    assert_eq!(answer[3] & 0x0F, 3, "NXDOMAIN");
}

#[test]
fn a_weighted_pool_picks_among_both_kinds() {
    let mut world = elsewhere();
    world.accept("add _g._udp.game 30 SRV 0 30 1 gw1.example.net.");
    world.accept("add m1.game 30 A 10.0.0.1; add _g._udp.game 30 SRV 0 10 1 m1.game");
    let shown = ["0 21845 1 m1.game.pool.example.", "0 65535 1 gw1.example.net."];
    assert_eq!(world.ask("_g._udp.game", "SRV").sorted(), shown);
}
