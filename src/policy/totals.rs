//! Running totals of the weights, and what a pick has drawn from them: whose share an amount lies in is one binary search.
//!
//! An alias table would find it in constant time, but cannot leave out what this pick has drawn already, and has to be made
//! anew, with a division for each member, whenever one weight moves; the search is 14 steps at 10,000 members.

use std::ops::Range;

/// Most ranks that one pick may draw, those found gone included, before it walks on instead.
const DRAWN_MAX: usize = 256;

/// The weights of members in order of rank, each above 0, as running totals.
#[derive(Debug)]
pub(super) enum Totals {
    /// All the same: so many.
    Even(usize),
    /// Each the sum of the weights up to its rank's.
    Sums(Box<[u64]>),
}

/// The part of the totals that is a rank's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub rank: usize,
    pub start: u64,
    pub weight: u64,
}

impl Totals {
    /// Totals of weights, all above 0, divided by what divides them all, and where they come to more than `most`, in
    /// proportion, but at least 1 each.
    pub fn new(weights: impl Iterator<Item = u64> + Clone, most: u64) -> Self {
        let (mut divisor, mut sum, mut count, mut are_even) = (0, 0_u128, 0, true);
        for weight in weights.clone() {
            are_even &= count == 0 || weight == divisor;
            divisor = gcd(divisor, weight);
            sum += u128::from(weight);
            count += 1;
        }
        if are_even {
            return Totals::Even(count);
        }
        let (divisor, most) = (divisor.max(1), u128::from(most));
        let over = (sum / u128::from(divisor)).div_ceil(most.saturating_sub(count as u128).max(1)).max(1);
        let each = weights.map(|weight| match over {
            1 => weight / divisor,
            // Less than the weight, so it fits.
            _ => ((u128::from(weight / divisor) / over) as u64).max(1),
        });
        let sums = each.scan(0_u64, |total, weight| {
            *total = total.saturating_add(weight);
            Some(*total)
        });
        Totals::Sums(sums.collect())
    }

    /// Whether all weigh the same.
    pub fn is_even(&self) -> bool {
        matches!(self, Totals::Even(_))
    }

    /// How many ranks.
    pub fn len(&self) -> usize {
        match self {
            Totals::Even(count) => *count,
            Totals::Sums(sums) => sums.len(),
        }
    }

    /// All weights together.
    pub fn all(&self) -> u64 {
        self.before(self.len())
    }

    /// The weights of the ranks before this one.
    fn before(&self, rank: usize) -> u64 {
        match self {
            Totals::Even(_) => rank as u64,
            Totals::Sums(sums) => rank.checked_sub(1).and_then(|last| sums.get(last)).copied().unwrap_or(0),
        }
    }

    /// A rank's share.
    pub fn share(&self, rank: usize) -> Share {
        let start = self.before(rank);
        Share { rank, start, weight: self.before(rank + 1).saturating_sub(start) }
    }

    /// Whose share an amount below [`Totals::all`] lies in.
    pub fn rank_at(&self, amount: u64) -> usize {
        match self {
            Totals::Even(_) => amount as usize,
            Totals::Sums(sums) => sums.partition_point(|&total| total <= amount),
        }
    }

    /// The weights of a range of ranks together.
    pub fn weight_of(&self, ranks: Range<usize>) -> u64 {
        self.before(ranks.end).saturating_sub(self.before(ranks.start))
    }
}

fn gcd(mut one: u64, mut other: u64) -> u64 {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// What a pick has drawn: shares of the totals, in order. The capacity is taken once a worker.
#[derive(Debug)]
pub(super) struct Drawn(Vec<Share>);

impl Default for Drawn {
    fn default() -> Self {
        Drawn(Vec::with_capacity(DRAWN_MAX))
    }
}

impl Drawn {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether a rank is drawn.
    pub(super) fn has(&self, rank: usize) -> bool {
        self.0.binary_search_by(|share| share.rank.cmp(&rank)).is_ok()
    }

    /// Adds a share that was not drawn yet. Whether there was room.
    pub(super) fn insert(&mut self, share: Share) -> bool {
        let has_room = self.0.len() < DRAWN_MAX;
        if has_room {
            let place = self.0.partition_point(|before| before.rank < share.rank);
            self.0.insert(place, share);
        }
        has_room
    }

    /// What those who are drawn weigh together.
    pub(super) fn weight(&self) -> u64 {
        self.0.iter().map(|share| share.weight).sum()
    }

    /// An amount of what is left as an amount of the totals: moved up past every share before it.
    pub(super) fn passed_by(&self, mut amount: u64) -> u64 {
        for share in &self.0 {
            if amount < share.start {
                break;
            }
            amount = amount.saturating_add(share.weight);
        }
        amount
    }

    /// The ranks of `len` that are not drawn, from one on and around.
    pub(super) fn undrawn_from(&self, rank: usize, len: usize) -> impl Iterator<Item = usize> {
        (rank..len).chain(0..rank.min(len)).filter(|rank| !self.has(*rank))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(weights: &[u64], most: u64) -> Totals {
        Totals::new(weights.iter().copied(), most)
    }

    fn shares(totals: &Totals) -> Vec<u64> {
        (0..totals.len()).map(|rank| totals.share(rank).weight).collect()
    }

    #[test]
    fn weights_are_kept_in_proportion() {
        assert_eq!(shares(&totals(&[20, 40, 10], u64::MAX)), [2, 4, 1]);
        assert!(matches!(totals(&[7, 7, 7], u64::MAX), Totals::Even(3)));
        assert!(matches!(totals(&[], u64::MAX), Totals::Even(0)));
        assert_eq!(shares(&totals(&[6, 9], u64::MAX)), [2, 3]);
        let large = totals(&[1, u64::MAX, u64::MAX], u64::from(u32::MAX));
        assert!(large.all() <= u64::from(u32::MAX) && large.all() > u64::from(u32::MAX) / 2 - 3, "{large:?}");
        assert_eq!(large.share(0).weight, 1, "nobody is left out");
    }

    #[test]
    fn an_amount_finds_its_rank_past_what_is_drawn() {
        for totals in [totals(&[1, 3, 2], u64::MAX), totals(&[5, 5, 5], u64::MAX)] {
            for amount in 0..totals.all() {
                let share = totals.share(totals.rank_at(amount));
                assert!((share.start..share.start + share.weight).contains(&amount), "{totals:?} {amount}");
            }
            let mut drawn = Drawn::default();
            assert!(drawn.insert(totals.share(1)));
            let left = totals.all() - totals.weight_of(1..2);
            assert_eq!(left, totals.share(0).weight + totals.share(2).weight);
            assert!((0..left).all(|amount| totals.rank_at(drawn.passed_by(amount)) != 1));
            assert_eq!(drawn.undrawn_from(1, 3).collect::<Vec<_>>(), [2, 0]);
        }
    }
}
