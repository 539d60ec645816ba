//! What the store gives back is what there was, and what is over it forgets.

use rollcall::security::{Grant, GrantedLease};
use rollcall::store::Store;

use super::random::{script, shown};
use super::table::assert_holds;
use super::world::{Setup, World, records_grant};
use super::{accept_leased, forget_pools, setup};

/// A name whose leased records did not come back after a restart is not in the store for ever.
#[test]
fn the_store_forgets_a_name_whose_records_are_over() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(setup(), state.path());
    accept_leased(&mut world, 30, "add host 60 TXT v=1");
    let mut world = world.crash_and_restart(1_000);
    assert_eq!(world.ask("host", "TXT").data(), ["v=1"], "in its grace");
    drop(world.crash_and_restart(100_000));
    let (_, loaded) = Store::open(state.path(), 1 << 20, 1_800_000_000_000).unwrap();
    assert_eq!(loaded.dynamics(0), []);
}

const NAMES: [&str; 21] = [
    "@",
    "a",
    "b.a",
    "c.b.a",
    "lab",
    "m1.lab",
    "x.lab",
    "_http._tcp.lab",
    "y._http._tcp.lab",
    "_tcp.lab",
    "info",
    "web",
    "m1.web",
    "x.m1.web",
    "_http._tcp.web",
    "_x._tcp.web",
    "z._x._tcp.web",
    "a.b.c",
    "b.c",
    "all.web",
    "d.a.b.c",
];

/// Random messages whose records are permanent, and a crash: each name shows what it showed before.
fn a_restart_shows_the_same(seed: u64, forgets: bool) {
    let state = tempfile::tempdir().unwrap();
    let grants = vec![Grant { lease: GrantedLease::None, ..records_grant() }];
    let mut world = World::stored(Setup { grants, ..setup() }, state.path());
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut story = Vec::new();
    for _ in 0..12 {
        let script = script(&mut rng, &NAMES, 3);
        story.push(format!("{script} -> {:?}", world.update(&script).rcode));
    }
    if forgets {
        forget_pools(&mut world);
    }
    let live = shown(&mut world, &NAMES);
    let mut world = world.crash_and_restart(1_000);
    let differ =
        std::iter::zip(live, shown(&mut world, &NAMES)).filter(|(live, now)| plain(live) != plain(now));
    let differ: Vec<_> = differ.collect();
    assert!(differ.is_empty(), "seed {seed}\n{}\n{differ:#?}", story.join("\n"));
}

/// A pool that members made and that is empty is not known after a restart, nor is a service that nobody offers: there
/// NODATA may have become NXDOMAIN.
fn plain(shown: &str) -> String {
    let name = shown.split(' ').next().unwrap();
    let may_go = ["lab", "a", "_tcp.web"].iter().any(|end| name.ends_with(end));
    if may_go { shown.replace("NXDomain", "NoError") } else { shown.to_owned() }
}

#[test]
fn restarts_show_the_same() {
    (0..12).for_each(|seed| a_restart_shows_the_same(seed, false));
}

#[test]
fn restarts_show_the_same_after_pools_are_forgotten() {
    (0..12).for_each(|seed| a_restart_shows_the_same(seed, true));
}

/// A pool that a registration made comes back with its members, however many ordinary names were added below it since.
#[test]
fn members_of_a_made_pool_with_many_names_below_come_back() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(setup(), state.path());
    world.accept("add m1.lab 30 A 10.0.0.1");
    let names: Vec<_> = (0..1_001).map(|n| format!("add _acme-challenge.h{n}.lab 60 TXT a")).collect();
    names.chunks(200).for_each(|part| _ = world.accept(&part.join("; ")));
    let mut world = world.crash_and_restart(1_000);
    assert_holds(&mut world, "lab A 10.0.0.1");
    world.accept("add m1.lab 30 A 10.0.0.1");
}
