//! Crowds: what they leave to the disk goes there in slices, and nobody waits for all of it.

use super::super::super::tests::registrar_freezing;
use super::*;

/// Members of a crowd: more than two slices.
const CROWD: usize = 9_000;

fn crowd() -> Vec<Vec<u8>> {
    (0..CROWD).map(|n| registration(&format!("m{n}"))).collect()
}

/// The sizes of the commits since the last call.
fn commits(store: &FakeStore) -> Vec<usize> {
    std::mem::take(&mut store.0.borrow_mut().commits)
}

/// A crowd that has joined at 1 s and whose leases are over at 31 s, as the answers know; the store has yet to learn.
fn expired(store: &FakeStore) -> GroupCommit<FakeStore> {
    let (mut desk, _) = desk_of(registrar_freezing(0), store);
    assert_eq!(serve(&mut desk, 1_000, &crowd()), vec![Rcode::NOERROR; CROWD]);
    assert_eq!(commits(store), [CHANGES_MAX, CHANGES_MAX, CROWD - 2 * CHANGES_MAX]);
    let mut slices = 1;
    while desk.tick(31_000) {
        slices += 1;
    }
    assert_eq!((slices, desk.registrar.members(), desk.unsaved.len()), (3, 0, CROWD));
    assert!(commits(store).is_empty(), "the disk can wait for a second");
    desk
}

#[test]
fn a_crowd_that_falls_silent_reaches_the_disk_in_slices_between_which_others_are_served() {
    let store = FakeStore::default();
    let mut desk = expired(&store);
    assert!(desk.tick(32_000), "there is more to store");
    assert_eq!((commits(&store), desk.unsaved.len()), (vec![CHANGES_MAX], CROWD - CHANGES_MAX));
    assert_eq!(serve(&mut desk, 32_010, &[registration("new")]), [Rcode::NOERROR]);
    assert_eq!((commits(&store), store.last_of("new")), (vec![CHANGES_MAX], Some(1)));
    assert!(!desk.tick(32_020));
    assert_eq!(commits(&store), [CROWD - 2 * CHANGES_MAX + 1]);
    assert_eq!((store.0.borrow().members.len(), desk.unsaved.len()), (1, 0));
}

#[test]
fn who_comes_back_or_leaves_has_its_end_stored_in_front_of_that() {
    let store = FakeStore::default();
    let mut desk = expired(&store);
    // Whichever slice they would have been in.
    let names: Vec<_> = (0..CROWD).step_by(1_000).map(|n| format!("m{n}")).collect();
    let (back, left) = names.split_at(5);
    let messages =
        back.iter().map(|name| registration(name)).chain(left.iter().map(|name| asking(name, 1, 0)));
    let messages: Vec<_> = messages.collect();
    assert_eq!(serve(&mut desk, 31_500, &messages), vec![Rcode::NOERROR; names.len()]);
    assert!(desk.unsaved.len() > CROWD / 3, "most of the crowd is yet to be stored");
    for name in &names {
        assert_eq!(store.last_of(name), back.contains(name).then_some(1), "{name}, after a crash now");
    }
    while desk.tick(32_500) {}
    let disk = store.0.borrow();
    assert_eq!((disk.members.len(), desk.unsaved.len()), (back.len(), 0), "no end came after a return");
}

#[test]
fn a_disk_that_was_full_takes_a_slice_before_anybody_is_served() {
    let store = FakeStore::default();
    let mut desk = expired(&store);
    store.fill(true);
    desk.tick(32_000);
    assert_eq!(serve(&mut desk, 32_500, &[registration("new")]), [Rcode::SERVFAIL], "it is not asked");
    store.fill(false);
    assert_eq!(serve(&mut desk, 33_000, &[registration("new")]), [Rcode::NOERROR]);
    assert_eq!((commits(&store), desk.unsaved.len()), (vec![CHANGES_MAX; 2], CROWD - 2 * CHANGES_MAX + 1));
}

#[test]
fn a_stop_stores_all_of_it_in_slices() {
    let store = FakeStore::default();
    let mut desk = expired(&store);
    assert!(desk.stop(31_500));
    assert_eq!(commits(&store), [CHANGES_MAX, CHANGES_MAX, CROWD - 2 * CHANGES_MAX]);
    assert!(store.0.borrow().members.is_empty());
}
