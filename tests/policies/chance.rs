//! By lot: random (RFC 5356 section 4.3), weighted random (section 4.4), randomized least used (section 5.4). What was drawn is
//! held against the exact probability of every possible answer; seeds are fixed.

use std::collections::BTreeMap;

use rollcall::membership::Load;
use rollcall::policy::{Chooser, Policy};

use super::alone::Alone;
use super::{at_most, firsts, join, pass, rounds, world_of};

/// Pearson's chi-square as a normal deviate (Wilson and Hilferty): one in 15,000 is past 4 on either side.
fn deviate(cells: impl Iterator<Item = (u64, f64)>) -> f64 {
    let (mut chi_square, mut freedom) = (0.0, -1.0);
    for (seen, due) in cells {
        assert!(due > 5.0 || seen as f64 <= due + 20.0, "{seen}, not {due}");
        if due > 5.0 {
            chi_square += (seen as f64 - due).powi(2) / due;
            freedom += 1.0;
        }
    }
    let spread = 2.0 / (9.0 * freedom);
    ((chi_square / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
}

/// The probability of drawing these, in this order, without putting any back.
fn probability(shares: &[f64], drawn: &[usize]) -> f64 {
    let mut left: f64 = shares.iter().sum();
    let each = drawn.iter().map(|&member| {
        let probability = shares[member] / left;
        left -= shares[member];
        probability
    });
    each.product()
}

/// Every answer of so many that there may be.
fn answers(members: usize, most: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..most {
        let longer = |drawn: &Vec<usize>| {
            let drawn = drawn.clone();
            let others: Vec<usize> = (0..members).filter(|member| !drawn.contains(member)).collect();
            others.into_iter().map(move |member| [&drawn[..], &[member]].concat())
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

/// A policy, its members by weight and load, and what share of the first picks each of them is due.
type Pool = (Policy, Vec<(u32, f64)>, Vec<f64>);

fn pools() -> Vec<Pool> {
    let pool = |policy, members: &[(u32, f64)], share: fn(&(u32, f64)) -> f64| {
        (policy, members.to_vec(), members.iter().map(share).collect())
    };
    let mixed = [(7, 0.1), (1, 0.9), (30, 0.5), (2, 0.5), (7, 0.8)];
    let large = [(u32::MAX, 0.999), (1 << 30, 0.998), (3 << 29, 0.0), (1 << 31, 0.9999), (1 << 29, 1.0)];
    let weight: fn(&(u32, f64)) -> f64 = |(weight, _)| f64::from(*weight);
    // Never nothing: a client that has to choose among the fully used must be able to.
    let spare: fn(&(u32, f64)) -> f64 = |(_, load)| (1.0 - load).max(0.5_f64.powi(32));
    let mut pools = vec![
        pool(Policy::Random, &mixed, |_| 1.0),
        pool(Policy::WeightedRandom, &mixed, weight),
        pool(Policy::WeightedRandom, &large, weight),
        pool(Policy::WeightedRandom, &[(5, 0.0); 5], |_| 1.0),
        pool(Policy::RandomizedLeastUsed, &mixed, spare),
        pool(Policy::RandomizedLeastUsed, &large, spare),
        pool(Policy::RandomizedLeastUsed, &[(1, 1.0); 5], |_| 1.0),
    ];
    let many: Vec<(u32, f64)> = (0..300).map(|m| (1 + m % 17, f64::from(m) / 300.0)).collect();
    pools.extend([
        pool(Policy::Random, &many, |_| 1.0),
        pool(Policy::WeightedRandom, &many, weight),
        pool(Policy::RandomizedLeastUsed, &many, spare),
    ]);
    pools
}

fn draws(
    policy: Policy,
    members: &[(u32, f64)],
    most: u16,
    seed: u64,
    times: u32,
) -> BTreeMap<Vec<usize>, u64> {
    let mut alone = Alone::new(members.len());
    alone.chooser = Chooser::new(0, seed);
    let candidates = alone.candidates(|member, candidate| {
        let (weight, load) = members[member];
        (candidate.weight, candidate.load) = (weight, Load::of(load));
    });
    let ranking = alone.rank(policy, at_most(most), &candidates);
    let mut seen = BTreeMap::new();
    for _ in 0..times {
        *seen.entry(alone.pick(&ranking)).or_insert(0) += 1;
    }
    seen
}

#[test]
fn first_picks_fall_as_shares_say() {
    for (at, (policy, members, shares)) in pools().iter().enumerate() {
        for seed in 1..=3 {
            let times = rounds(12_000);
            let seen = draws(*policy, members, 1, seed, times);
            let cells = (0..members.len()).map(|member| {
                let seen = seen.get(&vec![member]).copied().unwrap_or(0);
                (seen, f64::from(times) * probability(shares, &[member]))
            });
            let deviate = deviate(cells);
            assert!(deviate.abs() < 4.0, "pool {at}, {policy:?}, seed {seed}: {deviate}");
        }
    }
}

#[test]
fn later_picks_fall_as_the_shares_of_those_who_are_left() {
    for (at, (policy, members, shares)) in pools().iter().enumerate().filter(|(_, pool)| pool.1.len() == 5) {
        for most in [2_u16, 3, 5] {
            let times = rounds(12_000);
            let seen = draws(*policy, members, most, 7 + u64::from(most), times);
            let all = answers(5, usize::from(most));
            assert_eq!(all.iter().filter_map(|answer| seen.get(answer)).sum::<u64>(), u64::from(times));
            let cells = all.iter().map(|answer| {
                let seen = seen.get(answer).copied().unwrap_or(0);
                (seen, f64::from(times) * probability(shares, answer))
            });
            let deviate = deviate(cells);
            assert!(deviate.abs() < 4.0, "pool {at}, {policy:?}, {most} at a time: {deviate}");
        }
    }
}

/// They died since the view was published: the others are drawn as if the dead were not there.
#[test]
fn the_dead_leave_their_shares_to_all_others() {
    let weights = [40, 1, 2, 3, 40, 4];
    for most in [1_u16, 2] {
        let (mut alone, ranking) = Alone::weighted(Policy::WeightedRandom, at_most(most), &weights);
        alone.chooser = Chooser::new(0, 11);
        alone.end(0);
        alone.end(4);
        let times = rounds(12_000);
        let mut seen: BTreeMap<Vec<usize>, u64> = BTreeMap::new();
        for _ in 0..times {
            *seen.entry(alone.pick(&ranking)).or_insert(0) += 1;
        }
        let left = [1, 2, 3, 5];
        let shares = left.map(|member: usize| f64::from(weights[member]));
        let cells = answers(4, usize::from(most)).into_iter().map(|answer| {
            let due = f64::from(times) * probability(&shares, &answer);
            let answer: Vec<usize> = answer.iter().map(|&at| left[at]).collect();
            (seen.get(&answer).copied().unwrap_or(0), due)
        });
        let deviate = deviate(cells);
        assert!(deviate.abs() < 4.0, "{most} at a time: {deviate}");
    }
}

/// From UPDATE to answer, with what members say and what is taken for who does not.
#[test]
fn answers_fall_as_members_say() {
    for (policy, says, shares) in [
        (Policy::Random, ["weight=9", "load=1", ""], [1.0, 1.0, 1.0]),
        (Policy::WeightedRandom, ["weight=9", "weight=1 load=1", ""], [9.0, 1.0, 3.0]),
        (Policy::RandomizedLeastUsed, ["load=0.25", "load=0.9 weight=50", ""], [0.75, 0.1, 0.5]),
    ] {
        let mut world = world_of(policy, at_most(1));
        (1..=3).zip(says).for_each(|(m, says)| join(&mut world, m, says));
        // A load of its own, and another one later.
        join(&mut world, 2, "load=0.3");
        join(&mut world, 2, says[1]);
        pass(&mut world, 50);
        let times = 3_000;
        let firsts = firsts(&mut world, times);
        let cells = (0..3).map(|at| {
            let seen = firsts.iter().filter(|&&m| usize::from(m) == at + 1).count() as u64;
            (seen, times as f64 * probability(&shares, &[at]))
        });
        let deviate = deviate(cells);
        assert!(deviate.abs() < 4.0, "{policy:?}: {deviate}");
    }
}
