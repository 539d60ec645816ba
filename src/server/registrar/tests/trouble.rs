//! A disk that fails: no live member is lost, nobody is told what a crash would make untrue, and no serial goes back.

use super::ordinary::{
    IN, RETRY_MS, WALL_S, add, address, leased, on_disk, record, shown, signed, small, small_with, txt,
};
use super::*;
use crate::membership::{
    Address, Attributes, Crowd, FOLLOWS_LEASE, List, Member, NO_DRAIN, Registered, Said,
};
use crate::wire::Rtype;
use crate::zone::{Added, Dynamic, Term, is_later};

/// A member of an earlier run, as the store gives it back: m1 at 127.0.0.1, with a grace until `ends_ms`.
fn bring_back(desk: &mut GroupCommit<FakeStore>, pool: &[u8], owner: &str, ends_ms: u64) {
    let member = Member {
        owner: owner.into(),
        lease_ms: 30_000,
        key_lease_ms: 30_000,
        own_ttl_s: 30,
        heard_run: 0,
        addresses: vec![Address { ip: [127, 0, 0, 1].into(), lapses_ms: FOLLOWS_LEASE }],
        services: List::default(),
        bindings: List::default(),
        attributes: Attributes::default(),
        drain_ends_ms: NO_DRAIN,
    };
    let registered = Registered {
        member,
        ends_ms,
        name_ends_ms: ends_ms,
        signed: None,
        said: Said::Nothing,
        renews: true,
        crowd: Crowd::default(),
        restored: true,
    };
    let back = (pool.into(), b"m1".as_slice().into(), registered);
    assert_eq!(desk.registrar.restore_all([back], 0, 0).unwrap().count, 1);
}

const WEB: &[u8] = b"\x03web\x04pool\x07example\x00";
const CHAT: &[u8] = b"\x04chat\x04pool\x07example\x00";

fn of_store(counters: &Counters) -> [u64; 4] {
    let json = counters.to_json();
    ["commits", "failures", "failing", "unsaved"].map(|name| json["store"][name].as_u64().unwrap())
}

#[test]
fn the_first_heartbeat_of_a_run_renews_the_lease_and_is_acknowledged_once_it_is_stored() {
    let store = FakeStore::default();
    let (mut desk, counters) = desk(&store);
    bring_back(&mut desk, WEB, "127.0.0.1", 10_000);
    store.fill(true);
    let heartbeat = [registration("m1")];
    assert_eq!(serve(&mut desk, 5_000, &heartbeat), [Rcode::SERVFAIL]);
    desk.tick(10_000);
    assert_eq!(desk.registrar.members(), 1, "its grace is over, its lease is not");
    // Nothing about it differs any more, but a crash would still find it unheard of.
    assert_eq!(serve(&mut desk, 20_000, &heartbeat), [Rcode::SERVFAIL]);
    desk.tick(35_000);
    assert_eq!((desk.registrar.members(), of_store(&counters)[2..].to_vec()), (1, vec![1, 1]));
    store.fill(false);
    assert_eq!(serve(&mut desk, 37_000, &heartbeat), [Rcode::NOERROR]);
    desk.tick(37_050);
    // What was unsaved, and this heartbeat's own floor.
    assert_eq!((store.causes(), of_store(&counters)[2..].to_vec()), (vec![Cause::Renewed; 2], vec![0, 0]));
    store.fill(true);
    assert_eq!(serve(&mut desk, 40_000, &heartbeat), [Rcode::NOERROR], "now the store is right about it");
}

#[test]
fn a_heartbeat_that_was_not_acknowledged_is_no_replay_when_it_is_repeated() {
    let store = FakeStore::default();
    let (mut desk, _) = desk_of(small(), &store);
    bring_back(&mut desk, CHAT, "fleet.", 10_000);
    store.fill(true);
    // As its sender repeats it: octet for octet.
    let heartbeat = [signed(add(&[address("m1.chat")]), WALL_S)];
    for now_ms in [5_000, 6_000] {
        assert_eq!(serve(&mut desk, now_ms, &heartbeat), [Rcode::SERVFAIL], "not a retry of something done");
    }
    store.fill(false);
    assert_eq!(serve(&mut desk, 8_000, &heartbeat), [Rcode::NOERROR]);
    assert_eq!(store.0.borrow().floors[&b"m1"[..]], Some(WALL_S));
    store.fill(true);
    assert_eq!(serve(&mut desk, 9_000, &heartbeat), [Rcode::NOERROR], "a retry");
    desk.tick(38_000);
    assert_eq!(desk.registrar.members(), 0, "which renews nothing");
}

#[test]
fn a_leased_record_of_an_earlier_run_is_kept_as_a_member_is() {
    let term = Term { lease_ms: Some(30_000), heard_run: 0, ends_ms: 10_000 };
    let added = vec![Added { rtype: 16, rdata: b"\x03v=1"[..].into(), term }];
    let dynamic = Dynamic { added, deleted: Vec::new(), ttls: vec![(16, 60)] };
    let host: Arc<[u8]> = b"\x04host\x04pool\x07example\x00"[..].into();
    let store = FakeStore::default();
    let (mut desk, _) = desk_of(small_with(vec![(host, Arc::new(dynamic))]), &store);
    store.fill(true);
    let heartbeat = |at_s| [signed(leased(30, &[txt("host", "v=1")]), at_s)];
    assert_eq!(serve(&mut desk, 5_000, &heartbeat(WALL_S)), [Rcode::SERVFAIL]);
    assert_eq!(serve(&mut desk, 6_000, &heartbeat(WALL_S)), [Rcode::SERVFAIL]);
    desk.tick(10_000);
    assert_eq!(serve(&mut desk, 12_000, &heartbeat(WALL_S + 7)), [Rcode::SERVFAIL]);
    store.fill(false);
    desk.tick(41_999);
    assert_eq!((shown(&desk.registrar, "host", 41_999), on_disk(&store).len()), (vec!["v=1".to_owned()], 1));
    assert_eq!(store.causes(), [Cause::Renewed]);
    assert!(shown(&desk.registrar, "host", 42_000).is_empty(), "30 s after the last one");
    store.fill(true);
    let now_ms = 42_000 - RETRY_MS;
    assert_eq!(
        serve(&mut desk, now_ms, &heartbeat(WALL_S + 8)),
        [Rcode::NOERROR],
        "the store is right about it"
    );
}

#[test]
fn while_a_change_that_was_taken_back_may_be_on_the_disk_the_member_stays_and_is_not_told_so() {
    for changing in [asking("m1", 2, 30), asking("m1", 1, 0)] {
        let store = FakeStore::default();
        let (mut desk, counters) = desk(&store);
        serve(&mut desk, 1_000, &[registration("m1"), registration("m2")]);
        store.fill(true);
        assert_eq!(serve(&mut desk, 2_000, &[changing]), [Rcode::SERVFAIL]);
        // A crash now may find m1 elsewhere, or gone: only its heartbeats wait for the disk.
        let both = [registration("m1"), registration("m2")];
        assert_eq!(serve(&mut desk, 20_000, &both), [Rcode::SERVFAIL, Rcode::NOERROR]);
        desk.tick(45_000);
        assert_eq!((desk.registrar.members(), of_store(&counters)[3]), (2, 1));
        store.fill(false);
        desk.tick(46_500);
        assert_eq!(store.last_of("m1"), Some(1), "as it is answered");
        store.fill(true);
        assert_eq!(serve(&mut desk, 47_000, &both), [Rcode::NOERROR; 2]);
    }
}

#[test]
fn a_message_that_changes_anything_falls_whole() {
    let store = FakeStore::default();
    let (mut desk, _) = desk_of(small(), &store);
    bring_back(&mut desk, CHAT, "127.0.0.1", 10_000);
    store.fill(true);
    let message = add(&[address("m1.chat"), record("m2.chat", Rtype::A, IN, 30, &[127, 0, 0, 2])]);
    assert_eq!(serve(&mut desk, 5_000, &[message]), [Rcode::SERVFAIL]);
    assert_eq!(desk.registrar.members(), 1, "m2 did not join");
    desk.tick(10_000);
    assert_eq!(desk.registrar.members(), 0, "and m1 was not heard: what its sender asked was refused as one");
}

#[test]
fn an_end_that_the_store_does_not_know_makes_no_heartbeat_wait() {
    let store = FakeStore::default();
    let (mut desk, counters) = desk(&store);
    let short = asking("m2", 1, 2);
    serve(&mut desk, 1_000, &[registration("m1"), short]);
    store.fill(true);
    desk.tick(3_000);
    desk.tick(4_000);
    assert_eq!(of_store(&counters)[1..].to_vec(), [1, 1, 1], "m2's end is unsaved");
    assert_eq!(serve(&mut desk, 5_000, &[registration("m1")]), [Rcode::NOERROR]);
    // m1 loses one of two addresses by letting it lapse: that is an end as well.
    let with_second = asking("m1", 2, 30);
    store.fill(false);
    assert_eq!(serve(&mut desk, 6_000, &[with_second]), [Rcode::NOERROR]);
    store.fill(true);
    assert_eq!(serve(&mut desk, 7_000, &[registration("m1")]), [Rcode::NOERROR]);
    desk.tick(36_000);
    assert_eq!(of_store(&counters)[3], 1, "the second address has lapsed");
    assert_eq!(serve(&mut desk, 36_500, &[registration("m1")]), [Rcode::NOERROR]);
}

/// The disk fails for longer than the serial's reserve lasts: each of so many members moves it, which expires and asks to join
/// again.
fn outrun(desk: &mut GroupCommit<FakeStore>, store: &FakeStore, members: u32) {
    let joins: Vec<_> = (0..members).map(|n| registration(&format!("m{n}"))).collect();
    assert!(serve(desk, 1_000, &joins).iter().all(|rcode| *rcode == Rcode::NOERROR));
    store.fill(true);
    for join in joins {
        assert_eq!(serve(desk, 31_000, &[join]), [Rcode::SERVFAIL]);
        let live = serial(&desk.registrar);
        assert!(is_later(store.0.borrow().serial, live), "{live} may go back to {}", store.0.borrow().serial);
    }
    assert_eq!(desk.registrar.members(), 0);
}

#[test]
fn a_serial_that_outruns_its_reserve_waits_for_the_disk_and_then_moves_by_one() {
    let store = FakeStore::default();
    let (mut desk, _) = desk(&store);
    outrun(&mut desk, &store, 1_000);
    let held = serial(&desk.registrar);
    assert_eq!(held, store.0.borrow().serial - 1, "no further");
    store.fill(false);
    desk.tick(33_000);
    desk.tick(33_050);
    assert_eq!((serial(&desk.registrar), store.0.borrow().serial), (held + 1, held + 1_000));
    desk.tick(33_100);
    assert_eq!(serial(&desk.registrar), held + 1, "once");
}

#[test]
fn a_serial_that_a_soa_set_has_its_reserve_from_there() {
    let store = FakeStore::default();
    let (mut desk, _) = desk_of(small(), &store);
    let names = b"\x02ns\x04pool\x07example\x00\x01h\x04pool\x07example\x00";
    let numbers = [1_000_000_u32, 60, 60, 60, 2].map(u32::to_be_bytes).concat();
    let owner = b"\x04pool\x07example\x00\x00\x06\x00\x01\x00\x00\x00\x3c";
    let rdata = [&names[..], &numbers].concat();
    let soa = [&owner[..], &(rdata.len() as u16).to_be_bytes(), &rdata].concat();
    assert_eq!(serve(&mut desk, 1_000, &[add(&[soa])]), [Rcode::NOERROR]);
    assert_eq!(serial(&desk.registrar), 1_000_000);
    // The store has the SOA, and a serial of before it. A restart begins 1,000 after the SOA.
    assert!(is_later(1_000_000, store.0.borrow().serial));
    assert_eq!(serve(&mut desk, 2_000, &[leased(2, &[address("m1.chat")])]), [Rcode::NOERROR]);
    assert_eq!((serial(&desk.registrar), store.0.borrow().serial), (1_000_001, 1_001_000));
    store.fill(true);
    desk.tick(4_000);
    assert_eq!(serial(&desk.registrar), 1_000_002);
}
