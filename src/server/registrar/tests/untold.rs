//! A disk that fails for hours under clients that do what they like, and acknowledgements of messages that find nothing to do.

use super::ordinary::{WALL_S, add, leased, on_disk, record, shown, signed, small, txt};
use super::*;
use crate::wire::Rtype;

const ANY: u16 = 255;

/// `delete NAME`, whatever is there.
fn gone(owner: &str) -> Vec<u8> {
    add(&[record(owner, Rtype::ANY, ANY, 0, b"")])
}

#[test]
fn who_leaves_after_its_lease_is_acknowledged_once_a_restart_would_not_find_it() {
    // Swept before it leaves, or only due; the disk works, or fails.
    for (is_swept, full) in [(true, false), (false, false), (true, true), (false, true)] {
        let store = FakeStore::default();
        let (mut desk, _) = desk(&store);
        serve(&mut desk, 1_000, &[registration("m1"), registration("m2")]);
        serve(&mut desk, 20_000, &[registration("m2")]);
        store.fill(full);
        if is_swept {
            desk.tick(31_000);
        }
        let leaving = [asking("m1", 1, 0), registration("m2")];
        let [left, renewed] = serve(&mut desk, 31_010, &leaving)[..] else { panic!("two replies") };
        let expected = if full { Rcode::SERVFAIL } else { Rcode::NOERROR };
        assert_eq!((left, renewed), (expected, Rcode::NOERROR), "swept {is_swept}, full {full}");
        assert_eq!(store.last_of("m1").is_some(), full, "a crash now brings back who was not told NOERROR");
        desk.tick(31_050);
        assert_eq!(desk.registrar.members(), 1);
        store.fill(false);
        assert_eq!(serve(&mut desk, 33_000, &[asking("m1", 1, 0)]), [Rcode::NOERROR]);
        assert_eq!(store.last_of("m1"), None);
    }
}

#[test]
fn who_leaves_after_a_join_that_failed_is_acknowledged_once_the_disk_has_neither() {
    let store = FakeStore::default();
    let (mut desk, _) = desk(&store);
    store.fill(true);
    assert_eq!(serve(&mut desk, 1_000, &[registration("m1")]), [Rcode::SERVFAIL]);
    // That commit may be on the disk all the same.
    assert_eq!(serve(&mut desk, 1_500, &[asking("m1", 1, 0)]), [Rcode::SERVFAIL]);
    store.fill(false);
    assert_eq!(serve(&mut desk, 2_500, &[asking("m1", 1, 0)]), [Rcode::NOERROR]);
    assert_eq!(store.causes(), [Cause::Changed], "taken back");
}

#[test]
fn deleting_a_record_that_has_ended_is_acknowledged_once_it_is_stored() {
    let store = FakeStore::default();
    let (mut desk, _) = desk_of(small(), &store);
    assert_eq!(serve(&mut desk, 1_000, &[leased(30, &[txt("host", "v=1")])]), [Rcode::NOERROR]);
    store.fill(true);
    desk.tick(31_000);
    assert!(shown(&desk.registrar, "host", 31_000).is_empty());
    assert_eq!(serve(&mut desk, 31_010, &[gone("host")]), [Rcode::SERVFAIL]);
    store.fill(false);
    assert_eq!(serve(&mut desk, 32_100, &[gone("host")]), [Rcode::NOERROR]);
    assert!(on_disk(&store).is_empty());
}

#[test]
fn whoever_tries_to_join_for_hours_costs_no_memory() {
    let store = FakeStore::default();
    let (mut desk, _) = desk(&store);
    serve(&mut desk, 1_000, &[registration("m1")]);
    store.fill(true);
    let mut refused = 0;
    for second in 2..600_u64 {
        let names: Vec<_> = (0..4).map(|n| registration(&format!("n{second}x{n}"))).collect();
        refused += serve(&mut desk, second * 1_000, &names).len();
        desk.tick(second * 1_000 + 500);
        assert!(desk.unsaved.len() <= 4 + 1, "{} after {second} s", desk.unsaved.len());
    }
    assert_eq!(refused, 598 * 4);
    store.fill(false);
    assert_eq!(serve(&mut desk, 700_000, &[registration("late")]), [Rcode::NOERROR]);
    assert_eq!((store.last_of("late"), store.last_of("m1"), desk.unsaved.len()), (Some(1), None, 0));
}

#[test]
fn what_the_disk_was_not_asked_for_makes_no_heartbeat_wait() {
    let store = FakeStore::default();
    let (mut desk, _) = desk(&store);
    serve(&mut desk, 1_000, &[registration("m1"), registration("m2")]);
    store.fill(true);
    assert_eq!(serve(&mut desk, 2_000, &[asking("m2", 2, 30)]), [Rcode::SERVFAIL]);
    // Within the second after: the store is not tried, and right about m1.
    assert_eq!(serve(&mut desk, 2_500, &[asking("m1", 2, 30)]), [Rcode::SERVFAIL]);
    let both = [registration("m1"), registration("m2")];
    assert_eq!(serve(&mut desk, 20_000, &both), [Rcode::NOERROR, Rcode::SERVFAIL]);
    // A crash in the middle of what follows the first success finds what was answered.
    store.fill(false);
    assert_eq!(serve(&mut desk, 22_000, &[asking("m1", 3, 30)]), [Rcode::NOERROR]);
    assert_eq!((store.last_of("m1"), store.last_of("m2")), (Some(3), Some(1)));
}

#[test]
fn floors_that_the_store_never_had_are_not_taken_back_from_it() {
    let store = FakeStore::default();
    let (mut desk, _) = desk_of(small(), &store);
    store.fill(true);
    let hour_ms = 3_600_000;
    for n in 0..50_u64 {
        let nothing = signed(gone(&format!("no{n}")), WALL_S);
        assert_eq!(serve(&mut desk, 1_000 + n, &[nothing]), [Rcode::NOERROR], "there is nothing to delete");
    }
    desk.tick(1_100);
    desk.tick(hour_ms);
    assert_eq!(desk.unsaved.len(), 0, "all of them are over, and no disk need know");
    store.fill(false);
    let added = signed(add(&[txt("host", "v=1")]), WALL_S);
    assert_eq!(serve(&mut desk, hour_ms + 1, &[added]), [Rcode::NOERROR]);
    // Raised by a message that is not stored: the older one still is.
    serve(
        &mut desk,
        hour_ms + 2,
        &[signed(gone("host2"), WALL_S), signed(add(&[txt("host", "v=1")]), WALL_S + 1)],
    );
    let floor = || store.0.borrow().key_floor;
    assert_eq!(floor(), Some(WALL_S));
    desk.tick(2 * hour_ms);
    desk.tick(2 * hour_ms + 1_000);
    assert_eq!(floor(), None, "over, and gone from the store");
}
