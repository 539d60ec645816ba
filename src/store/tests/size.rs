//! How large the file gets, and that it does not stay so.

use super::*;

const MIB: u64 = 1 << 20;

fn left(name: &str) -> Change {
    change(name, Cause::Deregistered, Some(member(1)), None)
}

fn name(n: u32) -> String {
    format!("m{n:06}")
}

fn commit(store: &mut Store, changes: &[Change]) {
    changes.chunks(1_024).for_each(|group| store.commit(group, &[], AT).unwrap());
}

fn len(state: &Path) -> u64 {
    state.join(FILE_NAME).metadata().unwrap().len()
}

/// Members that come and go all the time: the file grows to what they and a commit need, and no further.
#[test]
fn churn_does_not_make_the_file_grow() {
    const MEMBERS: u32 = 1_000;
    let state = dir();
    let (mut store, _) = open(state.path(), WALL_MS);
    let mut rng = fastrand::Rng::with_seed(7);
    let mut most = [0; 2];
    for round in 0..1_200 {
        let changes: Vec<_> = std::iter::repeat_with(|| (rng.u32(0..MEMBERS), rng.bool()))
            .map(|(n, joins)| if joins { joined(&name(n), 1) } else { left(&name(n)) })
            .take(16)
            .collect();
        store.commit(&changes, &[], AT).unwrap();
        let half = &mut most[usize::from(round >= 600)];
        *half = len(state.path()).max(*half);
    }
    assert!(most[1] <= most[0], "{most:?}: it grew to its size, and goes on growing");
    assert!(most[0] <= MIB + 512 * u64::from(MEMBERS), "{most:?}");
}

#[test]
fn a_start_after_a_crowd_has_gone_gives_the_disk_back() {
    let state = dir();
    let (mut store, loaded) = open(state.path(), WALL_MS);
    assert_eq!(loaded.compacted, None);
    let all: Vec<_> = (0..30_000).map(|n| joined(&name(n), 1)).collect();
    commit(&mut store, &all);
    let full = len(state.path());
    let crowded = killed(state.path());
    // At once, as a crowd that falls silent does: what is left is written where there is room, at the end.
    let gone: Vec<_> = (0..29_900).map(|n| left(&name(n))).collect();
    store.commit(&gone, &[], AT).unwrap();
    let thinned = killed(state.path());
    drop(store);

    let (store, loaded) = open(crowded.path(), WALL_MS);
    assert_eq!((loaded.compacted, loaded.members.len()), (None, 30_000), "what is in use stays where it is");
    drop(store);
    let (mut store, loaded) = open(thinned.path(), WALL_MS);
    let Some(Compacted { from, to }) = loaded.compacted else {
        panic!("{:?} of {full}", len(thinned.path()))
    };
    assert!(from >= 4 * MIB && to < MIB / 2, "{from} to {to}");
    assert_eq!((loaded.members.len(), store.len), (100, len(thinned.path())));
    // It is a store as before, also after a crash.
    store.commit(&[joined("another", 1)], &[], AT).unwrap();
    let (_, loaded) = open(killed(thinned.path()).path(), WALL_MS);
    assert_eq!((loaded.members.len(), loaded.compacted), (101, None));
}
