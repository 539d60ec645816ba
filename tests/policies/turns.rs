//! Round robin (RFC 5356 section 4.1), and weighted round robin (section 4.2): each in turn, exactly as often as it weighs.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rollcall::policy::{Chooser, Policy, Shown};
use rollcall::query::Scratch;

use super::alone::Alone;
use super::{at_most, firsts, join, pass, rounds, shown, world_of};

#[test]
fn round_robin_begins_each_answer_one_further_on_however_many_it_shows() {
    for (addresses, wanted) in [
        (at_most(1), [&[1][..], &[2], &[3], &[4], &[5], &[1]]),
        (at_most(2), [&[1, 2], &[2, 3], &[3, 4], &[4, 5], &[5, 1], &[1, 2]]),
        (at_most(3), [&[1, 2, 3], &[2, 3, 4], &[3, 4, 5], &[4, 5, 1], &[5, 1, 2], &[1, 2, 3]]),
        (
            Shown::All,
            [
                &[1, 2, 3, 4, 5],
                &[2, 3, 4, 5, 1],
                &[3, 4, 5, 1, 2],
                &[4, 5, 1, 2, 3],
                &[5, 1, 2, 3, 4],
                &[1, 2, 3, 4, 5],
            ],
        ),
    ] {
        let mut world = world_of(Policy::RoundRobin, addresses);
        (1..=5).for_each(|m| join(&mut world, m, "load=0.9 priority=7 degradation=1"));
        assert_eq!([(); 6].map(|()| shown(&mut world)), wanted, "{addresses:?}");
    }
}

/// Whoever joins or leaves, the turn goes round among those who are there.
#[test]
fn round_robin_goes_round_among_whoever_is_there() {
    let mut world = world_of(Policy::RoundRobin, at_most(1));
    (1..=3).for_each(|m| join(&mut world, m, ""));
    assert_eq!(firsts(&mut world, 3), [1, 2, 3]);
    world.accept("delete m2.p");
    assert_eq!(firsts(&mut world, 4), [1, 3, 1, 3]);
    join(&mut world, 2, "");
    assert_eq!(firsts(&mut world, 6).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([1, 2, 3]));
    join(&mut world, 3, "weight=0");
    let mut left = firsts(&mut world, 4);
    left.sort_unstable();
    assert_eq!(left, [1, 1, 2, 2]);
}

/// Questions fall on workers at random; what they answer together is as even as what one would.
#[test]
fn workers_begin_with_different_members() {
    let mut world = world_of(Policy::RoundRobin, at_most(1));
    (1..=4).for_each(|m| join(&mut world, m, ""));
    let first = |worker| {
        world.scratch = Scratch::new(worker, 1);
        firsts(&mut world, 1)[0]
    };
    assert_eq!([0, 1, 2, 3].map(first), [1, 2, 3, 4]);
}

/// How far any member is from its due after any number of turns, in turns.
fn worst_lag(weights: &[u32], turns: u64) -> f64 {
    let (mut alone, ranking) = Alone::weighted(Policy::WeightedRoundRobin, at_most(1), weights);
    let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let (mut seen, mut worst) = (vec![0_u64; weights.len()], 0.0_f64);
    for turn in 1..=turns {
        seen[alone.pick(&ranking)[0]] += 1;
        for (seen, &weight) in seen.iter().zip(weights) {
            let due = turn as f64 * f64::from(weight) / sum;
            worst = worst.max((*seen as f64 - due).abs());
        }
    }
    worst
}

proptest! {
    #![proptest_config(super::properties::config(40))]

    #[test]
    fn a_round_has_each_exactly_as_often_as_it_weighs(
        weights in prop::collection::vec(prop_oneof![1_u32..9, 1_u32..200], 1..24),
        scale in 1_u32..1_000_000,
        worker in 0_u32..8,
    ) {
        let scaled: Vec<u32> = weights.iter().map(|weight| weight * scale).collect();
        let (mut alone, ranking) = Alone::weighted(Policy::WeightedRoundRobin, at_most(1), &scaled);
        alone.chooser = Chooser::new(worker, 1);
        let round: u32 = weights.iter().sum();
        for _ in 0..2 {
            let shares = alone.shares(&ranking, round);
            prop_assert!(shares.iter().zip(&weights).all(|(&share, &weight)| share == u64::from(weight)));
        }
    }

    /// Each halving of the members rounds once, so sixteen are never two turns from their due.
    #[test]
    fn at_any_moment_each_has_had_what_it_is_due_within_two_turns(
        weights in prop::collection::vec(prop_oneof![4 => 1_u32..4, 2 => 1_u32..60, 1 => 60_u32..2_000], 1..=16),
    ) {
        let round: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
        let worst = worst_lag(&weights, round.min(3_000));
        prop_assert!(worst < 2.0, "{worst} turns");
    }
}

/// The same of larger pools, where one outweighs all: half a turn a halving.
#[test]
fn a_large_pool_is_even_within_half_a_turn_a_halving() {
    for members in [64_u32, 300] {
        let weights: Vec<u32> = (0..members)
            .map(|member| if member == members / 3 { 3 * members } else { 1 + member % 3 })
            .collect();
        let worst = worst_lag(&weights, 5_000);
        assert!(worst <= f64::from(members).log2().ceil() / 2.0, "{members} members: {worst} turns");
    }
}

#[test]
fn weights_come_from_attributes_else_from_srv_records() {
    let mut world = world_of(Policy::WeightedRoundRobin, at_most(1));
    // By its SRV record it would weigh 1.
    join(&mut world, 1, "weight=4");
    join(&mut world, 2, "");
    join(&mut world, 3, "weight=0");
    world.accept("add m4.p 30 A 10.0.0.4");
    let mut round = firsts(&mut world, 7);
    round.sort_unstable();
    assert_eq!(round, [1, 1, 1, 1, 2, 2, 4], "4 by attribute, 2 by SRV, none, 1 by default");
    join(&mut world, 1, "weight=1");
    pass(&mut world, 50);
    let mut round = firsts(&mut world, 4);
    round.sort_unstable();
    assert_eq!(round, [1, 2, 2, 4]);
}

/// An answer of several shows nobody twice: who is due again gives way, and to its equals alike.
#[test]
fn several_at_a_time_are_spread_evenly_among_equals_too() {
    for (weights, most, heavy) in [
        (&[1, 1, 1, 1, 1, 1, 1, 1, 100][..], 4, 8),
        (&[1, 1, 5], 2, 2),
        (&[1, 1, 1, 9], 2, 3),
        (&[2, 2, 2, 2, 7], 3, 4),
        (&[60, 1, 1, 1, 1, 1, 1], 3, 0),
    ] {
        let (mut alone, ranking) = Alone::weighted(Policy::WeightedRoundRobin, at_most(most), weights);
        let answers = rounds(20_000);
        let shares = alone.shares(&ranking, answers);
        let light: Vec<u64> =
            (0..weights.len()).filter(|&member| member != heavy).map(|m| shares[m]).collect();
        let mean = light.iter().sum::<u64>() as f64 / light.len() as f64;
        assert!(shares[heavy] as f64 > mean, "{weights:?} {most}: {shares:?}");
        for share in &light {
            assert!((*share as f64 / mean - 1.0).abs() < 0.04, "{weights:?} {most}: {shares:?}");
        }
    }
}
