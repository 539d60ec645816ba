//! In turn, each as often in a round as its weight says, and evenly spread over it (RFC 5356 section 4.2).
//!
//! A round has as many turns as the weights come to. Whose a turn is, is found by halving the ranks: of the turns that fall
//! to a half of them, each half of that half gets as many as its weights say, spread as evenly as whole turns can be. So a
//! turn is a descent of log n steps, a function of its number alone: a worker keeps one number a list, in a round everybody
//! is picked exactly as often as it weighs, and at any point of it within a few turns of that. What part of a half's turns
//! falls to each of its halves is divided once, when the list is ranked: a turn multiplies.

use std::ops::Range;

use super::totals::{Drawn, Totals};
use super::weighted_random::draw_others;

/// Most turns that a round may have: their products with weights stay in 64 bits. Weights that come to more are taken in
/// proportion.
pub(super) const ROUND_MAX: u64 = 1 << 31;

/// Where ranks are halved, what part of the turns of both halves is the lower one's, in units of 2^-32 and rounded up. Each
/// place halves but once, so it tells the halves.
#[derive(Debug)]
pub(super) struct Parts(Box<[u32]>);

impl Parts {
    /// The parts of all halves, for totals of [`ROUND_MAX`] at most.
    pub fn new(totals: &Totals) -> Self {
        let mut parts = vec![0; totals.len()];
        halve(totals, 0..totals.len(), &mut parts);
        Parts(parts.into())
    }

    /// Whose a turn of a round is.
    fn whose(&self, mut turn: u64) -> usize {
        let mut ranks: Range<usize> = 0..self.0.len();
        while ranks.len() > 1 {
            let middle = ranks.start + ranks.len() / 2;
            let part = u64::from(self.0.get(middle).copied().unwrap_or(0));
            // How many of the first turns are the lower half's, rounded. That a part is up to a unit too large makes less than
            // half a turn of at most 2^31, so of all turns it is the lower half's weight. No number here is over 2^64.
            let of_first = turn * part + (1 << 31);
            let before = of_first >> 32;
            let is_lower = (of_first + part) >> 32 > before;
            (ranks, turn) = match is_lower {
                true => (ranks.start..middle, before),
                false => (middle..ranks.end, turn - before),
            };
        }
        ranks.start
    }
}

fn halve(totals: &Totals, ranks: Range<usize>, parts: &mut [u32]) {
    let middle = ranks.start + ranks.len() / 2;
    let (lower, all) = (totals.weight_of(ranks.start..middle), totals.weight_of(ranks.clone()));
    if let Some(part) = parts.get_mut(middle).filter(|_| ranks.len() > 1) {
        // The lower half is not all, and all is at most 2^31: this is below 2^32.
        *part = (lower << 32).div_ceil(all.max(1)) as u32;
        halve(totals, ranks.start..middle, parts);
        halve(totals, middle..ranks.end, parts);
    }
}

/// Gives the rank whose turn it is and then others, each once, until `give` wants no more or none are left.
///
/// The others are those whose turns follow if all weigh the same. If not, they are drawn by weight: in turn, the heavy would be due
/// twice in an answer, and whoever stands next to them in the round would be shown for them more often than its equals.
pub(super) fn take_turns(
    (totals, parts): (&Totals, &Parts),
    turn: u64,
    (rng, drawn): (&mut fastrand::Rng, &mut Drawn),
    mut give: impl FnMut(usize) -> bool,
) {
    let round = totals.all();
    if totals.is_even() {
        // A round has each once.
        _ = (0..round).all(|later| give(parts.whose((turn + later) % round)));
        return;
    }
    let first = parts.whose(turn % round.max(1));
    if give(first) {
        drawn.clear();
        drawn.insert(totals.share(first));
        draw_others(totals, rng, drawn, give);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(weights: &[u64]) -> Totals {
        Totals::new(weights.iter().copied(), ROUND_MAX)
    }

    fn turns(totals: &Totals, start: u64, wanted: usize) -> Vec<usize> {
        let mut picked = Vec::new();
        let mut rng = fastrand::Rng::with_seed(start);
        take_turns((totals, &Parts::new(totals)), start, (&mut rng, &mut Drawn::default()), |rank| {
            picked.push(rank);
            picked.len() < wanted
        });
        picked
    }

    fn round(weights: &[u64]) -> Vec<usize> {
        let totals = totals(weights);
        (0..totals.all()).map(|turn| turns(&totals, turn, 1)[0]).collect()
    }

    #[test]
    fn a_round_has_each_as_often_as_it_weighs_and_evenly_spread() {
        for (weights, wanted) in [
            (&[1, 1, 1][..], &[1, 0, 2][..]),
            (&[1, 1, 1, 1], &[0, 2, 1, 3]),
            (&[5, 1, 1], &[0, 1, 0, 0, 0, 2, 0]),
            (&[1, 2, 3], &[2, 1, 0, 2, 1, 2]),
            (&[20, 40], &[1, 0, 1]),
            (&[3], &[0]),
        ] {
            assert_eq!(round(weights), wanted, "{weights:?}");
        }
    }

    /// Whatever the weights: exact in a round, and never far from it within.
    #[test]
    fn shares_are_kept_throughout_a_round() {
        let mut rng = fastrand::Rng::with_seed(4);
        let mut worst = 0.0_f64;
        for _ in 0..100 {
            let weights: Vec<u64> = (0..rng.usize(1..40)).map(|_| rng.u64(1..50)).collect();
            let totals = totals(&weights);
            let mut seen = vec![0_u64; weights.len()];
            for turn in 0..totals.all() {
                seen[turns(&totals, turn, 1)[0]] += 1;
                for (rank, &seen) in seen.iter().enumerate() {
                    let due = (turn + 1) as f64 * totals.share(rank).weight as f64 / totals.all() as f64;
                    worst = worst.max((seen as f64 - due).abs());
                }
            }
            assert!(seen.iter().enumerate().all(|(rank, &seen)| seen == totals.share(rank).weight));
        }
        assert!(worst < 2.0, "{worst} turns from its share");
    }

    #[test]
    fn nobody_has_two_turns_in_a_pick() {
        let weights: Vec<u64> = (1..=400).collect();
        let totals = totals(&weights);
        for wanted in [2, 64, 400] {
            let mut picked = turns(&totals, 12_345, wanted);
            picked.sort_unstable();
            picked.dedup();
            assert_eq!(picked.len(), wanted);
        }
    }

    /// Whose a turn is, divided anew at each halving.
    fn divided(totals: &Totals, mut turn: u64) -> usize {
        let mut ranks: Range<usize> = 0..totals.len();
        while ranks.len() > 1 {
            let middle = ranks.start + ranks.len() / 2;
            let (lower, all) = (totals.weight_of(ranks.start..middle), totals.weight_of(ranks.clone()));
            let of_first = |turns: u64| (2 * turns * lower + all) / (2 * all);
            let before = of_first(turn);
            if of_first(turn + 1) > before {
                (ranks.end, turn) = (middle, before);
            } else {
                (ranks.start, turn) = (middle, turn - before);
            }
        }
        ranks.start
    }

    /// In a round of up to 46,000 turns a rounded part never moves one, and in a longer one everybody has as many as before.
    #[test]
    fn multiplied_parts_are_as_good_as_division() {
        let mut rng = fastrand::Rng::with_seed(8);
        for (members, most) in [(2, 20_000), (3, 10_000), (64, 700), (1_000, 40), (40, 10_000)] {
            let weights: Vec<u64> = (0..members).map(|_| rng.u64(1..most)).collect();
            let totals = totals(&weights);
            let (parts, round) = (Parts::new(&totals), totals.all());
            let mut seen = vec![0; members];
            for turn in 0..round {
                let rank = parts.whose(turn);
                seen[rank] += 1;
                let is_short = round < 46_000;
                assert!(!is_short || rank == divided(&totals, turn), "{turn} of {round}");
            }
            assert!(seen.iter().enumerate().all(|(rank, &seen)| seen == totals.share(rank).weight));
        }
    }

    /// A part is rounded up by as much as it may be, over as many turns as a round may have.
    #[test]
    fn the_longest_round_ends_with_everybodys_last_turn() {
        let all = ROUND_MAX - 3;
        for lower in [1, 3, (1 << 30) - 1, all - 1] {
            let totals = totals(&[lower, all - lower]);
            assert_eq!(totals.all(), all);
            let parts = Parts::new(&totals);
            // How many of all turns are the lower's.
            let part = u64::from(parts.0[1]);
            assert_eq!((all * part + (1 << 31)) >> 32, lower);
            assert!([0, all - 1].iter().all(|&turn| parts.whose(turn) < 2));
        }
    }

    #[test]
    fn the_largest_weights_there_are() {
        let totals = totals(&[u64::from(u32::MAX) << 10, 1, u64::from(u32::MAX) << 10]);
        assert!((0..3).all(|rank| turns(&totals, u64::from(u32::MAX) - 1, 3).contains(&rank)));
    }
}
