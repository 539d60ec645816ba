//! Fixtures, and what the store promises when its file is sound.

mod absences;
mod drains;
mod size;
mod upgrade;

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::membership::{
    Address, Attributes, Binding, Cause, Change as MemberChange, FOLLOWS_LEASE, Member, NO_DRAIN, Service,
};

pub(super) const CACHE_BYTES: usize = 1 << 20;
pub(super) const LEASE_MS: u32 = 30_000;
/// A morning in November 2026.
pub(super) const WALL_MS: u64 = 1_795_000_000_000;

/// When the tests' processes began, as far as they commit.
pub(super) const AT: Moment = Moment { now_ms: 0, wall_ms: WALL_MS };

pub(super) fn dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(super) fn open(dir: &Path, wall_ms: u64) -> (Store, Loaded) {
    Store::open(dir, CACHE_BYTES, wall_ms).unwrap()
}

pub(super) fn refused(dir: &Path) -> StoreError {
    Store::open(dir, CACHE_BYTES, WALL_MS).map(|(_, loaded)| loaded).unwrap_err()
}

pub(super) fn member(heard_run: u32) -> Member {
    let mut attributes = Attributes::default();
    attributes.set("site", b"fra");
    attributes.set("weight", b"20");
    let address = |ip: &str| Address { ip: ip.parse::<IpAddr>().unwrap(), lapses_ms: FOLLOWS_LEASE };
    let service = b"\x05_http\x04_tcp".as_slice().into();
    Member {
        owner: "web-key".into(),
        lease_ms: LEASE_MS,
        key_lease_ms: LEASE_MS,
        own_ttl_s: 30,
        heard_run,
        addresses: vec![address("10.0.0.1"), address("2001:db8::1")],
        services: vec![Service { service, port: 8080, priority: 0, weight: 10, lapses_ms: FOLLOWS_LEASE }]
            .into(),
        bindings: vec![Binding { rtype: 65, rdata: [0, 1, 0].into(), lapses_ms: FOLLOWS_LEASE }].into(),
        attributes,
        drain_ends_ms: NO_DRAIN,
    }
}

pub(super) fn change(name: &str, cause: Cause, before: Option<Member>, after: Option<Member>) -> Change {
    let pool = b"\x03web\x04pool\x07example\x00".as_slice().into();
    let (before, after) = (before.map(Arc::new), after.map(Arc::new));
    Change::Member(MemberChange::of(pool, name.as_bytes().into(), cause, before, after))
}

/// The change of a member that it is.
pub(super) fn of_member(change: &mut Change) -> &mut MemberChange {
    match change {
        Change::Member(change) => change,
        other => panic!("of no member: {other:?}"),
    }
}

pub(super) fn joined(name: &str, heard_run: u32) -> Change {
    change(name, Cause::Joined, None, Some(member(heard_run)))
}

/// Who came back, by name, and with how much grace.
pub(super) fn graces(loaded: &Loaded) -> Vec<(String, u32)> {
    let name = |returning: &Returning| String::from_utf8_lossy(&returning.name).into_owned();
    loaded.members.iter().map(|returning| (name(returning), returning.grace_ms)).collect()
}

/// A state directory as it is after a SIGKILL: the file as written so far, never closed.
pub(super) fn killed(running: &Path) -> TempDir {
    let copy = dir();
    std::fs::copy(running.join(FILE_NAME), copy.path().join(FILE_NAME)).unwrap();
    copy
}

/// Changes the file behind the store's back.
pub(super) fn open_after(mut store: Store, edit: impl FnOnce(&redb::WriteTransaction)) -> Store {
    let db = store.db.take().unwrap();
    let transaction = db.begin_write().unwrap();
    edit(&transaction);
    transaction.commit().unwrap();
    store
}

#[test]
fn a_new_store_is_empty_and_private() {
    let parent = dir();
    let state = parent.path().join("var/rollcall");
    let (store, loaded) = open(&state, WALL_MS);
    assert_eq!((loaded.run, loaded.members.len(), loaded.serials.len(), loaded.gone), (1, 0, 0, 0));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&state), mode(&store.path)), (0o700, 0o600));
}

#[test]
fn members_and_serials_come_back_as_they_were() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let mut other = joined("m1", 1);
    of_member(&mut other).pool = b"\x02db\x04pool\x07example\x00".as_slice().into();
    let apex: Box<[u8]> = b"\x04pool\x07example\x00".as_slice().into();
    store.commit(&[joined("m2", 1), other, joined("m1", 1)], &[(apex.clone(), 7)], AT).unwrap();
    store.commit(&[], &[(apex.clone(), 8)], AT).unwrap();

    let killed = killed(state.path());
    drop(store);
    for state in [killed, state] {
        let (_, loaded) = open(state.path(), WALL_MS);
        assert_eq!((loaded.run, loaded.gone), (2, 0));
        assert_eq!(loaded.serials, [(apex.clone(), 8)]);
        assert_eq!(
            graces(&loaded),
            [("m1".into(), LEASE_MS), ("m1".into(), LEASE_MS), ("m2".into(), LEASE_MS)]
        );
        let [db, web1, web2] = loaded.members.as_slice() else { panic!("{loaded:?}") };
        assert_eq!(
            (&*db.pool, &*web1.pool),
            (&b"\x02db\x04pool\x07example\x00"[..], &b"\x03web\x04pool\x07example\x00"[..])
        );
        assert!(Arc::ptr_eq(&web1.pool, &web2.pool), "one handle a pool");
        assert!(loaded.members.iter().all(|returning| returning.member == member(1)));
    }
}

#[test]
fn what_is_not_durable_is_not_written() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    store.commit(&[joined("m1", 1)], &[], AT).unwrap();
    let written = std::fs::read(&store.path).unwrap();
    let renewed = change("m1", Cause::Renewed, Some(member(1)), Some(member(1)));
    let restored = change("m2", Cause::Restored, None, Some(member(1)));
    store.commit(&[renewed.clone(), restored.clone()], &[], AT).unwrap();
    assert!(std::fs::read(&store.path).unwrap() == written, "the disk is left alone");
    store.commit(&[renewed, restored, joined("m3", 1)], &[], AT).unwrap();
    drop(store);
    let (_, loaded) = open(state.path(), WALL_MS);
    assert_eq!(graces(&loaded), [("m1".into(), LEASE_MS), ("m3".into(), LEASE_MS)]);
}

#[test]
fn who_left_or_expired_stays_away_and_who_changed_is_as_last_committed() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    store.commit(&[joined("m1", 1), joined("m2", 1), joined("m3", 1), joined("m4", 1)], &[], AT).unwrap();
    let longer = Member { lease_ms: 90_000, ..member(1) };
    let changes = [
        change("m1", Cause::Deregistered, Some(member(1)), None),
        change("m2", Cause::Expired, Some(member(1)), None),
        change("m3", Cause::Changed, Some(member(1)), Some(longer)),
        change("m4", Cause::Deregistered, Some(member(1)), None),
        joined("m4", 1),
    ];
    store.commit(&changes, &[], AT).unwrap();
    let (_, loaded) = open(killed(state.path()).path(), WALL_MS);
    assert_eq!(graces(&loaded), [("m3".into(), 60_000), ("m4".into(), LEASE_MS)]);
}

#[test]
fn a_file_in_place_of_the_directory_or_of_the_file_is_an_error() {
    let state = dir();
    let taken = state.path().join("taken");
    std::fs::write(&taken, b"").unwrap();
    assert!(matches!(refused(&taken), StoreError::NotADirectory { .. }));
    std::fs::create_dir(state.path().join(FILE_NAME)).unwrap();
    assert!(matches!(refused(state.path()), StoreError::Io { .. }));
}

#[test]
fn a_directory_has_one_server() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let error = refused(state.path());
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    store.commit(&[joined("m1", 1)], &[], AT).unwrap();
    drop(store);
    // A program that opens the file and not the directory is seen as well.
    let db = redb::Database::open(state.path().join(FILE_NAME)).unwrap();
    let error = refused(state.path());
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(db);
    assert_eq!(open(state.path(), WALL_MS).1.run, 2);
}

#[test]
fn nothing_is_acknowledged_into_a_file_that_is_gone() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let (path, aside) = (store.path.clone(), state.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    assert!(matches!(store.commit(&[joined("m1", 1)], &[], AT), Err(StoreError::Vanished { .. })));
    std::fs::copy(&aside, &path).unwrap();
    assert!(
        matches!(store.commit(&[joined("m1", 1)], &[], AT), Err(StoreError::Vanished { .. })),
        "a copy is another file"
    );
    std::fs::rename(&aside, &path).unwrap();
    store.commit(&[joined("m1", 1)], &[], AT).unwrap();
    drop(store);
    assert_eq!(open(state.path(), WALL_MS).1.members.len(), 1);
}

#[test]
fn a_commit_after_a_failed_one_opens_the_file_again() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    store.commit(&[joined("m1", 1)], &[], AT).unwrap();
    store.db = None;
    store.commit(&[joined("m2", 1)], &[], AT).unwrap();
    drop(store);
    let (_, loaded) = open(state.path(), WALL_MS);
    assert_eq!((loaded.run, loaded.members.len()), (2, 2));
}

#[test]
fn a_file_where_the_state_directory_should_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state");
    std::fs::write(&file, "mine").unwrap();
    for state in [file.clone(), file.join("deeper")] {
        let error = Store::open(&state, CACHE_BYTES, 0).err().unwrap().to_string();
        let wanted = format!("{}: not a directory; ", file.display());
        assert!(error.starts_with(&wanted) && error.contains("--state DIR"), "{error}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}
