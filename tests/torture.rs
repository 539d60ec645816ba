//! A short form of `scripts/torture`, by the very same code: the server is killed under its clients, and loses nothing. And
//! whether that code would notice if it did.

// The example has figures that only its main prints; a test may fail by panicking.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "clients have clocks and sockets of their own")]

#[path = "../examples/torture/check.rs"]
mod check;
#[path = "../examples/torture/client.rs"]
mod client;
#[path = "../examples/torture/ledger.rs"]
mod ledger;
#[path = "../examples/torture/message.rs"]
mod message;
#[path = "../examples/torture/report.rs"]
mod report;
#[path = "../examples/torture/rounds.rs"]
mod rounds;
#[path = "../examples/torture/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ledger::{
    EXPIRY_GAP, Entry, Fault, Kind, Records, Registration, Run, Runs, Seen, Span, Standing, Why, World,
};
use report::Report;
use rounds::{Meddle, Plan};

fn torture(rounds: u32, meddle: Meddle<'_>) -> Report {
    let plan = Plan { rounds, seed: fastrand::u64(..1_000_000), clients: 4 };
    let report = rounds::run(plan, Path::new(env!("CARGO_BIN_EXE_rollcall")), meddle, &mut |_| {});
    let report = report.unwrap_or_else(|error| panic!("seed {}: {error}", plan.seed));
    // What failed is read with these.
    report.told.iter().for_each(|violation| println!("{violation}"));
    println!("{}\n{report}", report.details());
    report
}

#[test]
fn five_rounds_lose_nothing_and_believe_nobody_dead() {
    let report = torture(5, &mut |_, _| Ok(()));
    assert_eq!((report.faults(), report.good), (0, 5), "{report}");
    let tally = report.tally;
    assert!(tally.registrations > 100 && tally.deregistrations > 10, "{report}");
    assert!(report.held > 100 && report.gone > 10 && report.kills >= 5, "{}", report.details());
}

#[test]
fn a_store_that_is_gone_is_noticed() {
    // Each start takes the serial 1,000 further: there are four at least before, and three at most after.
    let report = torture(4, &mut |round, state| {
        if round == 4 {
            fs::remove_file(state.join("rollcall.redb"))?;
        }
        Ok(())
    });
    assert_eq!((report.good, report.serial_back), (3, 1), "{report}");
    assert!(report.lost > 10, "{report}");
}

#[test]
fn a_store_of_yesterday_is_noticed() {
    let mut kept = Vec::new();
    let report = torture(4, &mut |round, state| {
        let store = state.join("rollcall.redb");
        match round {
            2 => kept = fs::read(store)?,
            4 => fs::write(store, &kept)?,
            _ => {}
        }
        Ok(())
    });
    assert_eq!(report.good, 3, "{report}");
    assert!(report.lost > 0 && report.resurrected > 0, "{report}");
}

/// Seconds from the beginning of a story.
fn at(start: Instant, from_s: f64, to_s: f64) -> Span {
    let moment = |s| start + Duration::from_secs_f64(s);
    Span { from: moment(from_s), to: moment(to_s) }
}

fn member(lease_s: u64, heard: Span) -> World {
    let records = Records { v4: Some([10, 0, 0, 1].into()), ..Records::default() };
    World::Registered(Registration { records, lease: Some(Duration::from_secs(lease_s)), run: 0, heard })
}

/// A run that is killed at this second, and those after it: each spawned at its first second, listening half a second later,
/// killed at its other.
fn killed_at(start: Instant, killed_s: f64, later: &[(f64, Option<f64>)]) -> Runs {
    let run = |spawned_s, killed_s: Option<f64>| Run {
        spawned: at(start, spawned_s, spawned_s).from,
        listening: Some(at(start, spawned_s + 0.5, spawned_s + 0.5).from),
        killed: killed_s.map(|killed_s| at(start, killed_s, killed_s)),
        stalled: Duration::ZERO,
    };
    let first = run(0.0, Some(killed_s));
    Runs(std::iter::once(first).chain(later.iter().map(|later| run(later.0, later.1))).collect())
}

#[test]
fn a_lease_ends_between_sending_and_acknowledgement_later() {
    let start = Instant::now();
    let runs =
        Runs(vec![Run { spawned: start, listening: Some(start), killed: None, stalled: Duration::ZERO }]);
    let world = member(10, at(start, 1.0, 1.5));
    for (asked, wanted) in [
        (at(start, 10.0, 10.9), Standing::Must),
        (at(start, 10.0, 11.1), Standing::May),
        (at(start, 11.4, 11.6), Standing::May),
        (at(start, 11.6, 11.7), Standing::Gone(Why::Expired)),
    ] {
        assert_eq!(runs.standing(&world, asked), wanted, "{:?} after", asked.to - start);
    }
}

#[test]
fn a_grace_counts_from_the_first_start_and_crashes_add_none() {
    let start = Instant::now();
    let world = member(10, at(start, 1.0, 1.1));
    // The second start comes three seconds after the first.
    for later in [&[(5.0, None)][..], &[(5.0, Some(7.0)), (8.0, None)]] {
        let runs = killed_at(start, 3.0, later);
        let standing = |from_s, to_s| runs.standing(&world, at(start, from_s, to_s));
        assert_eq!(standing(14.0, 14.9), Standing::Must, "{later:?}");
        assert_eq!(standing(15.1, 15.2), Standing::May, "{later:?}: listening half a second later");
        assert_eq!(standing(16.1, 16.2), Standing::Gone(Why::Expired), "{later:?}");
    }
    // The longest is a minute.
    let (long, runs) = (member(3_600, at(start, 1.0, 1.1)), killed_at(start, 3.0, &[(5.0, None)]));
    assert_eq!(runs.standing(&long, at(start, 64.0, 64.9)), Standing::Must);
    assert_eq!(runs.standing(&long, at(start, 66.1, 66.2)), Standing::Gone(Why::Expired));
}

#[test]
fn who_expired_just_before_a_crash_may_come_back_once() {
    let start = Instant::now();
    let world = member(2, at(start, 1.0, 1.1));
    let gap_s = EXPIRY_GAP.as_secs_f64();
    let after_crash = |killed_s: f64, stalled_ms| {
        let mut runs = killed_at(start, killed_s, &[(killed_s + 0.1, None)]);
        runs.0[0].stalled = Duration::from_millis(stalled_ms);
        runs.standing(&world, at(start, killed_s + 0.7, killed_s + 0.8))
    };
    assert_eq!(after_crash(2.9, 0), Standing::Must);
    assert_eq!(after_crash(3.1 + gap_s - 0.1, 0), Standing::May);
    assert_eq!(after_crash(3.1 + gap_s + 0.1, 0), Standing::Gone(Why::Expired));
    // Twice as long as anybody waited.
    assert_eq!(after_crash(3.1 + gap_s + 0.1, 100), Standing::May);
}

/// What an answer's A records have to say to a name of which this is known.
fn judged(worlds: Vec<World>, shown: &[&str]) -> (Option<Fault>, usize) {
    let start = Instant::now();
    let runs =
        Runs(vec![Run { spawned: start, listening: Some(start), killed: None, stalled: Duration::ZERO }]);
    let mut entry = Entry::new(1, "m1.web".to_owned(), Some("web"), World::Absent(Why::Never));
    entry.worlds = worlds;
    let data: BTreeSet<String> = shown.iter().map(ToString::to_string).collect();
    let fault = entry.judge(&runs, &[Seen { kind: Kind::A, data, asked: at(start, 0.1, 0.2) }]);
    (fault, entry.worlds.len())
}

#[test]
fn an_answer_is_held_against_all_that_may_be() {
    let now = Instant::now();
    let there = || member(60, Span { from: now, to: now });
    let (left, never) = (World::Absent(Why::Deregistered), World::Absent(Why::Never));
    let expired = World::Absent(Why::Expired);
    for (worlds, shown, wanted) in [
        (vec![there()], &["10.0.0.1"][..], None),
        (vec![there()], &[], Some(Fault::Lost)),
        (vec![there()], &["10.0.0.2"], Some(Fault::Lost)),
        (vec![there()], &["10.0.0.1", "10.0.0.2"], Some(Fault::Lost)),
        (vec![left.clone()], &[], None),
        (vec![left.clone()], &["10.0.0.1"], Some(Fault::Resurrected)),
        (vec![never], &["10.0.0.1"], Some(Fault::Resurrected)),
        (vec![expired], &["10.0.0.1"], Some(Fault::Returned)),
        // Killed before the reply: either is right.
        (vec![there(), left.clone()], &["10.0.0.1"], None),
        (vec![there(), left], &[], None),
    ] {
        let (fault, left) = judged(worlds.clone(), shown);
        // What is known now is what was seen; after a fault, nothing.
        assert_eq!((fault, left), (wanted, usize::from(wanted.is_none())), "{worlds:?} {shown:?}");
    }
}

#[test]
fn serials_are_compared_as_rfc_1982_has_it() {
    for (before, after, holds) in
        [(1, 1, true), (1, 2, true), (2, 1, false), (u32::MAX, 5, true), (5, u32::MAX, false)]
    {
        assert_eq!(check::is_no_step_back(before, after), holds, "{before} {after}");
    }
}
