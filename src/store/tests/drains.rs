//! What a restart leaves of drains: an operator's, and a member's own.

use redb::{ReadableDatabase, ReadableTableMetadata};

use super::*;
use crate::membership::{Drain, DrainChange, FOREVER_MS, LEASE_FOREVER_MS, Signed};

const DAY_MS: u64 = 86_400_000;

/// An operator's drain of a member, or the end of it.
fn drained(name: &str, ends_ms: Option<u64>) -> Change {
    let drain = |ends_ms| Arc::new(Drain { by: "ops.".into(), why: "new kernel".into(), ends_ms });
    let cause = if ends_ms.is_some() { Cause::Draining } else { Cause::Undrained };
    let pool = b"\x03web\x04pool\x07example\x00".as_slice().into();
    let (name, before, after) = (name.as_bytes().into(), None, ends_ms.map(drain));
    Change::Drain(DrainChange { pool, name, cause, before, after })
}

/// A member that leaves at a moment of the monotonic clock.
fn leaving(name: &str, lease_ms: u32, drain_ends_ms: u64) -> Change {
    let member = Member { drain_ends_ms, lease_ms, key_lease_ms: 90_000, ..member(1) };
    let mut joined = change(name, Cause::Joined, None, Some(member));
    of_member(&mut joined).floor.1 = Some(Signed::new(WALL_MS / 1000, 300, 0));
    joined
}

/// Whose drains go on, and for how long.
fn left(loaded: &Loaded) -> Vec<(String, u64)> {
    let name = |drained: &Drained| String::from_utf8_lossy(&drained.name).into_owned();
    loaded.drains.iter().map(|drained| (name(drained), drained.left_ms)).collect()
}

/// Who comes back, and for how long its own drain goes on.
fn own(loaded: &Loaded) -> Vec<(String, Option<u64>)> {
    let name = |returning: &Returning| String::from_utf8_lossy(&returning.name).into_owned();
    loaded.members.iter().map(|returning| (name(returning), returning.drain_left_ms)).collect()
}

fn rows(store: &Store) -> u64 {
    let stored = store.db.as_ref().unwrap().begin_read().unwrap();
    stored.open_table(format::DRAINS).unwrap().len().unwrap()
}

#[test]
fn an_operators_drain_goes_on_until_it_is_over_whether_or_not_the_member_is_there() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let changes = [joined("m1", 1), drained("m1", Some(60_000)), drained("m2", Some(FOREVER_MS))];
    store.commit(&changes, &[], AT).unwrap();
    let killed = killed(state.path());
    drop(store);
    for state in [killed, state] {
        let (store, loaded) = open(state.path(), WALL_MS + 20_000);
        assert_eq!(left(&loaded), [("m1".into(), 40_000), ("m2".into(), FOREVER_MS)]);
        assert!(Arc::ptr_eq(&loaded.drains[0].pool, &loaded.drains[1].pool), "one handle a pool");
        let mut drains = loaded.drains.into_iter();
        let (_, name, drain) = drains.next().unwrap().drain(500);
        let wanted = Drain { by: "ops.".into(), why: "new kernel".into(), ends_ms: 40_500 };
        assert_eq!((&*name, drain), (&b"m1"[..], wanted));
        assert_eq!(drains.next().unwrap().drain(500).2.ends_ms, FOREVER_MS);
        drop(store);
        // It ended while nobody served, and is forgotten; the member comes back without it.
        let (store, loaded) = open(state.path(), WALL_MS + 60_000);
        assert_eq!(left(&loaded), [("m2".into(), FOREVER_MS)]);
        assert_eq!(rows(&store), 1);
    }
}

#[test]
fn a_drain_that_is_taken_back_is_not_in_the_store() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    store.commit(&[drained("m1", Some(60_000)), drained("m2", Some(60_000))], &[], AT).unwrap();
    store.commit(&[drained("m1", None), drained("m2", Some(60_000)).reversed()], &[], AT).unwrap();
    drop(store);
    assert!(open(state.path(), WALL_MS).1.drains.is_empty());
}

#[test]
fn a_member_that_said_when_it_leaves_has_left_by_then() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let changes = [
        leaving("m1", 3_600_000, 20_000),
        leaving("m2", LEASE_FOREVER_MS, 50_000),
        leaving("m3", 3_600_000, NO_DRAIN),
    ];
    store.commit(&changes, &[], AT).unwrap();
    drop(store);
    let (store, loaded) = open(state.path(), WALL_MS + 19_000);
    assert_eq!(own(&loaded), [("m1".into(), Some(1_000)), ("m2".into(), Some(31_000)), ("m3".into(), None)]);
    let ends: Vec<_> =
        loaded.members.into_iter().map(|back| back.registered(500).2.member.drain_ends_ms).collect();
    assert_eq!(ends, [1_500, 31_500, NO_DRAIN]);
    drop(store);
    let (store, loaded) = open(state.path(), WALL_MS + 20_000);
    assert_eq!((own(&loaded).len(), loaded.gone), (2, 1));
    let gone = &loaded.absent[0];
    assert_eq!((&*gone.name, gone.name_left_ms, gone.floor_left_ms), (&b"m1"[..], 89_000, 600_000));
    drop(store);
    let (_, loaded) = open(state.path(), WALL_MS + 50_000);
    assert_eq!(own(&loaded), [("m3".into(), None)], "a permanent member leaves when it said so too");
}

#[test]
fn a_clock_that_was_set_back_lengthens_no_drain_and_gives_it_once() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let own_drain = leaving("m1", LEASE_FOREVER_MS, 60_000);
    store
        .commit(&[own_drain, drained("m1", Some(60_000)), drained("m2", Some(FOREVER_MS))], &[], AT)
        .unwrap();
    drop(store);
    let back_ms = WALL_MS - 365 * DAY_MS;
    for (later_ms, left_ms) in [(0, 60_000), (25_000, 35_000), (59_999, 1)] {
        let (_, loaded) = open(state.path(), back_ms + later_ms);
        assert_eq!(left(&loaded), [("m1".into(), left_ms), ("m2".into(), FOREVER_MS)]);
        assert_eq!(own(&loaded), [("m1".into(), Some(left_ms))]);
    }
    let (_, loaded) = open(state.path(), back_ms + 60_000);
    assert_eq!((left(&loaded).len(), loaded.members.len()), (1, 0));
}

#[test]
fn a_drain_that_makes_no_sense_is_reported_and_kept() {
    let state = dir();
    drop(open_after(open(state.path(), WALL_MS).0, |transaction| {
        let key = (&b"\x03web\x00"[..], &b"m1"[..]);
        transaction.open_table(format::DRAINS).unwrap().insert(key, &b"\x03\xff"[..]).unwrap();
    }));
    for _ in 0..2 {
        let error = refused(state.path()).to_string();
        assert!(error.contains("damaged: drain of m1 of pool \\x03web\\x00: "), "{error}");
    }
}
