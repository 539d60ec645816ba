//! At random, each as often as its weight says (RFC 5356 section 5.4).

/// Most places that one pick may draw, those found gone included, before it walks on instead.
const DRAWN_MAX: usize = 256;

/// Running totals of the weights: a draw is one random number and a binary search.
///
/// An alias table would draw in constant time, but cannot leave out what this pick has drawn already; the search is 14
/// steps at 10,000 members.
#[derive(Debug)]
pub(super) struct Weights {
    totals: Box<[u64]>,
}

/// What a pick has drawn: each place's share of the totals, in order. The capacity is taken once a worker.
#[derive(Debug)]
pub struct Drawn(Vec<Share>);

#[derive(Debug, Clone, Copy)]
struct Share {
    rank: usize,
    start: u64,
    weight: u64,
}

impl Default for Drawn {
    fn default() -> Self {
        Drawn(Vec::with_capacity(DRAWN_MAX))
    }
}

impl Weights {
    /// Totals of weights, all of them above 0.
    pub fn new(weights: impl Iterator<Item = u32>) -> Self {
        let totals = weights.scan(0_u64, |total, weight| {
            *total += u64::from(weight);
            Some(*total)
        });
        Weights { totals: totals.collect() }
    }

    /// The share of the totals that a place has.
    fn share(&self, rank: usize) -> Option<Share> {
        let start = rank.checked_sub(1).and_then(|before| self.totals.get(before)).copied().unwrap_or(0);
        Some(Share { rank, start, weight: self.totals.get(rank)? - start })
    }

    /// Draws places without replacement until `give` wants no more or none are left.
    ///
    /// Each draw is exact: a number below the weight that is left, moved up past every share drawn before.
    pub fn draw(&self, rng: &mut fastrand::Rng, drawn: &mut Drawn, mut give: impl FnMut(usize) -> bool) {
        drawn.0.clear();
        let mut left = self.totals.last().copied().unwrap_or(0);
        while left > 0 {
            let mut at = rng.u64(..left);
            for share in &drawn.0 {
                if at >= share.start {
                    at += share.weight;
                }
            }
            let rank = self.totals.partition_point(|&total| total <= at);
            let Some(share) = self.share(rank) else { return };
            if !give(rank) {
                return;
            }
            if drawn.0.len() == DRAWN_MAX {
                // Hundreds of members died since the view was published: any that is left will do until the next view.
                let rest = (rank + 1..self.totals.len()).chain(0..rank);
                let mut undrawn = rest.filter(|rank| drawn.0.iter().all(|share| share.rank != *rank));
                _ = undrawn.all(give);
                return;
            }
            let place = drawn.0.partition_point(|before| before.start < share.start);
            drawn.0.insert(place, share);
            left -= share.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(weights: &Weights, rng: &mut fastrand::Rng, wanted: usize) -> Vec<usize> {
        let mut picked = Vec::new();
        weights.draw(rng, &mut Drawn::default(), |rank| {
            picked.push(rank);
            picked.len() < wanted
        });
        picked
    }

    /// Chi-square of first draws against weights. 3 degrees of freedom: 16.3 is passed by chance once in a thousand, and
    /// the seed is fixed.
    #[test]
    fn shares_follow_the_weights() {
        let weights = [1_u32, 2, 3, 10];
        let ranks = Weights::new(weights.into_iter());
        let mut rng = fastrand::Rng::with_seed(7);
        let draws = 160_000_u32;
        let mut seen = [0_u32; 4];
        (0..draws).for_each(|_| seen[draw(&ranks, &mut rng, 1)[0]] += 1);
        let chi_square: f64 = seen
            .iter()
            .zip(weights)
            .map(|(&seen, weight)| {
                let wanted = f64::from(draws) * f64::from(weight) / 16.0;
                (f64::from(seen) - wanted).powi(2) / wanted
            })
            .sum();
        assert!(chi_square < 16.3, "chi-square {chi_square}, seen {seen:?}");
    }

    /// The second of two draws falls on a place with probability w / (total - first), exactly.
    #[test]
    fn later_draws_are_exact_too() {
        let ranks = Weights::new([1, 1, 2].into_iter());
        let mut rng = fastrand::Rng::with_seed(3);
        let draws = 120_000;
        let second_is_heavy = (0..draws).filter(|_| draw(&ranks, &mut rng, 2)[1] == 2).count();
        // First is light (1/2), then 2 of the 3 left: 1/3.
        let share = second_is_heavy as f64 / f64::from(draws);
        assert!((share - 1.0 / 3.0).abs() < 0.005, "{share}");
    }

    #[test]
    fn nobody_twice_and_everybody_in_the_end() {
        let ranks = Weights::new((1..=40).map(|weight| weight * weight));
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let mut picked = draw(&ranks, &mut rng, usize::MAX);
            picked.sort_unstable();
            assert_eq!(picked, (0..40).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_one_who_is_left_of_a_thousand_is_found() {
        let ranks = Weights::new(std::iter::repeat_n(1, 1_000));
        let mut rng = fastrand::Rng::with_seed(1);
        let mut found = 0;
        ranks.draw(&mut rng, &mut Drawn::default(), |rank| {
            found += usize::from(rank == 777);
            rank != 777
        });
        assert_eq!(found, 1);
    }
}
