//! Random lives of members against a plain model: joins, heartbeats whole and partial, changes, drains, silence of one and of
//! all, crashes in quick succession, wall clocks that jump, ticks that are late. After every step each name that a member can
//! be found by answers as the model says, with a TTL that is true, and every message is judged and counted as the model says.
//!
//! The model is design.md's "Life of a member" in maps. `LIVES_LONG=1` runs a hundred times as many lives.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod event;
mod hold;
mod lives;
mod model;
#[path = "../scenarios/world.rs"]
mod world;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use event::{Beat, Event, KINDS, Kind, calm, crowded};
use lives::Lives;

fn config(cases: u32) -> ProptestConfig {
    let file = FileFailurePersistence::Direct("tests/lives/regressions.txt");
    let times = if std::env::var_os("LIVES_LONG").is_some() { 100 } else { 1 };
    ProptestConfig {
        cases: cases * times,
        failure_persistence: Some(Box::new(file)),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(80))]

    /// A few members: nobody's silence is a mass.
    #[test]
    fn a_few_live_as_the_model_says(events in prop::collection::vec(calm(), 1..40)) {
        live(&events);
    }
}

proptest! {
    #![proptest_config(config(40))]

    /// Enough for their silence to be a mass, and they are often silent.
    #[test]
    fn a_crowd_lives_as_the_model_says(events in prop::collection::vec(crowded(), 1..30)) {
        live(&events);
    }
}

fn live(events: &[Event]) {
    let mut lives = Lives::new();
    for event in events {
        lives.happen(event);
        lives.check();
    }
    lives.end();
}

/// Those who were let go of when a hold ended are not brought back by the next one, a moment later.
#[test]
fn a_hold_follows_another() {
    let [cut, back] = [(6_032, 0), (3_032, 11)].map(|(ms, heard)| Event::Live { ms, heard });
    live(&[Event::Everybody(8), cut, back]);
}

/// A lease that a partial heartbeat did not move began when it did before: its member is silent as of then.
#[test]
fn a_lease_of_many_lengths_in_a_hold() {
    let beat = |m, named: &[Kind], lease_s| {
        Event::Beat(Beat { m, named: named.to_vec(), lease_s: Some(lease_s), ..Beat::default() })
    };
    let [quiet, cut, back] = [(4_040, 0), (2_584, 0), (104, 11)].map(|(ms, heard)| Event::Live { ms, heard });
    live(&[beat(5, &[Kind::V6], 10), quiet, Event::Everybody(3), cut, beat(0, &KINDS, 30), back]);
}
