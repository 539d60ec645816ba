//! What a restart leaves of names that are kept, and of floors.

use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::*;
use crate::membership::{Absence, FOREVER_MS, KEY_LEASE_MS_MAX, LEASE_FOREVER_MS, Signed};

const DAY_MS: u64 = 86_400_000;
const WALL_S: u64 = WALL_MS / 1000;

fn signed(at_s: u64) -> Signed {
    sealed(at_s, 300)
}

/// As the store gives it back: what else was taken in its second is not known.
fn sealed(at_s: u64, fudge_s: u16) -> Signed {
    Signed { is_sealed: true, ..Signed::new(at_s, fudge_s, 0) }
}

/// Left when the process was 1,000 ms old, with its name kept until then on the monotonic clock.
fn left(name: &str, name_ends_ms: u64, floor: Option<Signed>) -> Change {
    let floor_ends_ms = floor.map_or(0, |floor| 1_000 + floor.kept_ms());
    let absence = Absence { owner: "web-key".into(), name_ends_ms, floor, floor_ends_ms };
    let mut gone = change(name, Cause::Deregistered, Some(member(1)), None);
    of_member(&mut gone).absence.1 = Some(Arc::new(absence));
    gone
}

fn with_floor(mut change: Change, floor: Signed) -> Change {
    of_member(&mut change).floor.1 = Some(floor);
    change
}

/// 1,000 ms after [`AT`].
const LATER: Moment = Moment { now_ms: 1_000, wall_ms: WALL_MS + 1_000 };

/// Who is absent: name, what is left of the name's time, the floor, and what is left of that.
type Rest = (String, u64, Option<Signed>, u64);

fn absent(loaded: &Loaded) -> Vec<Rest> {
    let name = |absent: &Absent| String::from_utf8_lossy(&absent.name).into_owned();
    let rest = |absent: &Absent| (name(absent), absent.name_left_ms, absent.floor, absent.floor_left_ms);
    loaded.absent.iter().map(rest).collect()
}

/// Absences in the file of a store that has just been opened.
fn rows(store: &Store) -> u64 {
    let stored = store.db.as_ref().unwrap().begin_read().unwrap();
    stored.open_table(format::ABSENCES).unwrap().len().unwrap()
}

#[test]
fn a_name_and_a_floor_come_back_with_what_is_left_of_them() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    store.commit(&[joined("m1", 1), joined("m2", 1), joined("m3", 1)], &[], AT).unwrap();
    let gone = [
        left("m1", 61_000, Some(signed(WALL_S))),
        left("m2", 0, Some(signed(WALL_S))),
        left("m3", FOREVER_MS, None),
    ];
    store.commit(&gone, &[], LATER).unwrap();
    let killed = killed(state.path());
    drop(store);
    for state in [killed, state] {
        let (store, loaded) = open(state.path(), WALL_MS + 11_000);
        let floor = Some(signed(WALL_S));
        assert_eq!(
            absent(&loaded),
            [
                ("m1".into(), 50_000, floor, 590_000),
                ("m2".into(), 0, floor, 590_000),
                ("m3".into(), FOREVER_MS, None, 0)
            ]
        );
        assert_eq!((loaded.members.len(), loaded.gone), (0, 0));
        assert!(loaded.absent.iter().all(|absent| &*absent.owner == "web-key"));
        assert!(Arc::ptr_eq(&loaded.absent[0].pool, &loaded.absent[1].pool), "one handle a pool");
        drop(store);
        // The name of m1 is free and its floor runs; then only who is kept for ever is there, and in the file.
        let (store, loaded) = open(state.path(), WALL_MS + 61_000);
        assert_eq!(absent(&loaded)[0], ("m1".into(), 0, floor, 540_000));
        drop(store);
        let (store, loaded) = open(state.path(), WALL_MS + 601_000);
        assert_eq!(absent(&loaded), [("m3".into(), FOREVER_MS, None, 0)]);
        assert_eq!(rows(&store), 1);
    }
}

#[test]
fn what_comes_back_ends_on_the_roll_when_it_would_have() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    store
        .commit(&[left("m1", 61_000, Some(signed(WALL_S))), left("m2", FOREVER_MS, None)], &[], LATER)
        .unwrap();
    store.commit(&[with_floor(joined("m3", 1), signed(WALL_S))], &[], LATER).unwrap();
    drop(store);
    let (_, loaded) = open(state.path(), WALL_MS + 11_000);
    let ends = loaded.absent.into_iter().map(|absent| absent.absence(500).2);
    let ends: Vec<_> = ends.map(|absence| (absence.name_ends_ms, absence.floor_ends_ms)).collect();
    assert_eq!(ends, [(50_500, 590_500), (FOREVER_MS, 500)]);
    let (_, name, registered) = loaded.members.into_iter().next().unwrap().registered(500);
    assert_eq!((&*name, registered.ends_ms, registered.name_ends_ms), (&b"m3"[..], 30_500, 30_500));
    assert!(registered.restored && registered.signed == Some(signed(WALL_S)));
}

#[test]
fn who_joins_again_is_not_absent_and_who_is_released_is_forgotten() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let mut gone = [left("m1", 90_000, None), left("m2", 90_000, None), left("m3", 90_000, None)];
    store.commit(&gone, &[], LATER).unwrap();
    let mut took = joined("m1", 1);
    of_member(&mut took).absence.0 = of_member(&mut gone[0]).absence.1.clone();
    store.commit([&took, &change("m2", Cause::Released, None, None)], &[], LATER).unwrap();
    drop(store);
    let (mut store, loaded) = open(state.path(), LATER.wall_ms);
    assert_eq!((graces(&loaded), absent(&loaded).len()), (vec![("m1".into(), LEASE_MS)], 1));
    // A join that is taken back leaves the absence that it ended, a leave that is taken back the member and its floor.
    let mut left = left("m3", 90_000, None);
    of_member(&mut left).floor.0 = Some(signed(7));
    store.commit([&took.reversed(), &left.reversed()], &[], LATER).unwrap();
    drop(store);
    let (_, loaded) = open(state.path(), LATER.wall_ms);
    assert_eq!(absent(&loaded), [("m1".into(), 89_000, None, 0)]);
    assert_eq!((&*loaded.members[0].name, loaded.members[0].floor), (&b"m3"[..], Some(signed(7))));
}

#[test]
fn a_member_comes_back_with_its_floor_and_leaves_an_absence_when_its_grace_is_over() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let of = |key_lease_ms| Member { key_lease_ms, ..member(1) };
    let joins = |name, key_lease_ms| change(name, Cause::Joined, None, Some(of(key_lease_ms)));
    let changes = [
        with_floor(joins("both", 90_000), signed(WALL_S)),
        joins("name", 90_000),
        with_floor(joins("floor", 0), signed(WALL_S)),
        joins("none", 30_000),
        joins("owned", LEASE_FOREVER_MS),
    ];
    store.commit(&changes, &[], AT).unwrap();
    drop(store);

    // The grace begins a day later, and with it the time for which names are kept.
    let second = WALL_MS + DAY_MS;
    let (store, loaded) = open(state.path(), second);
    let floors: Vec<_> = loaded.members.iter().map(|back| (back.name_left_ms, back.floor)).collect();
    let floor = Some(signed(WALL_S));
    assert_eq!(
        floors,
        [(90_000, floor), (0, floor), (90_000, None), (30_000, None), (FOREVER_MS, None)],
        "both, floor, name, none, owned"
    );
    assert!(loaded.absent.is_empty());
    drop(store);

    for _ in 0..2 {
        let (store, loaded) = open(state.path(), second + 40_000);
        assert_eq!(
            absent(&loaded),
            [
                ("both".into(), 50_000, floor, 590_000),
                ("floor".into(), 0, floor, 590_000),
                ("name".into(), 50_000, None, 0),
                ("owned".into(), FOREVER_MS, None, 0)
            ]
        );
        assert_eq!((loaded.members.len(), rows(&store)), (0, 4));
    }
    let (_, loaded) = open(state.path(), second + 630_000);
    assert_eq!(absent(&loaded), [("owned".into(), FOREVER_MS, None, 0)]);
}

#[test]
fn a_permanent_member_comes_back_whole_however_late_and_keeps_no_run() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let permanent = Member { lease_ms: LEASE_FOREVER_MS, key_lease_ms: LEASE_FOREVER_MS, ..member(1) };
    store.commit(&[change("m1", Cause::Joined, None, Some(permanent))], &[], AT).unwrap();
    drop(store);
    for (start, wall_ms) in [WALL_MS, WALL_MS + 400 * DAY_MS, WALL_MS].into_iter().enumerate() {
        let (store, loaded) = open(state.path(), wall_ms);
        assert_eq!((graces(&loaded), loaded.gone), (vec![("m1".into(), LEASE_FOREVER_MS)], 0));
        let stored = store.db.as_ref().unwrap().begin_read().unwrap();
        let runs = stored.open_table(format::RUNS).unwrap();
        let runs: Vec<_> = runs.iter().unwrap().map(|run| run.unwrap().0.value()).collect();
        assert_eq!(runs, [start as u32 + 2], "no grace counts from the earlier ones");
        let (_, _, registered) = loaded.members.into_iter().next().unwrap().registered(1);
        assert_eq!((registered.ends_ms, registered.name_ends_ms), (FOREVER_MS, FOREVER_MS));
    }
}

#[test]
fn a_clock_that_was_set_back_gives_what_was_left_once_more_and_that_once() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let fortnight_ms = u64::from(KEY_LEASE_MS_MAX);
    let gone = [
        left("long", 1_000 + fortnight_ms, Some(sealed(WALL_S, u16::MAX))),
        left("short", 61_000, Some(signed(WALL_S))),
    ];
    store.commit(&gone, &[], LATER).unwrap();
    store.commit(&[with_floor(joined("m1", 1), signed(WALL_S))], &[], LATER).unwrap();
    drop(store);

    let back_ms = WALL_MS - 365 * DAY_MS;
    let (store, loaded) = open(state.path(), back_ms);
    // This clock believes nothing that was signed a year ahead: what is signed from now on is no replay.
    let now = |fudge_s| Some(sealed(back_ms / 1000, fudge_s));
    assert_eq!(
        absent(&loaded),
        [
            ("long".into(), fortnight_ms, now(u16::MAX), 131_070_000),
            ("short".into(), 60_000, now(300), 600_000)
        ]
    );
    assert_eq!(loaded.members[0].floor, now(300));
    drop(store);

    let (store, loaded) = open(state.path(), back_ms + 60_000);
    assert_eq!(
        absent(&loaded),
        [
            ("long".into(), fortnight_ms - 60_000, now(u16::MAX), 131_010_000),
            ("short".into(), 0, now(300), 540_000),
            ("m1".into(), 0, Some(signed(back_ms / 1000 + 60)), 570_000)
        ]
    );
    drop(store);
    let (store, loaded) = open(state.path(), back_ms + fortnight_ms);
    assert_eq!((absent(&loaded).len(), rows(&store)), (0, 0));
}

#[test]
fn a_floor_within_its_fudge_of_the_clock_is_believed() {
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let ahead = [(0, "m1"), (300, "m2"), (301, "m3")];
    let changes = ahead.map(|(ahead_s, name)| with_floor(joined(name, 1), signed(WALL_S + ahead_s)));
    store.commit(&changes, &[], AT).unwrap();
    drop(store);
    let (_, loaded) = open(state.path(), WALL_MS);
    let floors: Vec<_> = loaded.members.iter().map(|back| back.floor.unwrap().at_s - WALL_S).collect();
    assert_eq!(floors, [0, 300, 0]);
}

#[test]
fn an_absence_that_makes_no_sense_is_reported_and_kept() {
    let state = dir();
    drop(open_after(open(state.path(), WALL_MS).0, |transaction| {
        let key = (&b"\x03web\x00"[..], &b"m1"[..]);
        transaction.open_table(format::ABSENCES).unwrap().insert(key, &b"\x02\xff"[..]).unwrap();
    }));
    for _ in 0..2 {
        let error = refused(state.path()).to_string();
        assert!(error.contains("damaged: absence of m1 of pool \\x03web\\x00: "), "{error}");
    }
}
