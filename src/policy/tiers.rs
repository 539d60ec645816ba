//! The best first, and equals in turn: by priority (RFC 5356 section 4.5), by load (section 5.1), by load and what a pick
//! would add to it (section 5.3).

use std::cmp::Ordering;

/// Ranks from the best to the worst, in tiers of equals.
#[derive(Debug)]
pub(super) struct Tiers {
    ranks: Box<[u32]>,
    /// Where each tier ends.
    ends: Box<[u32]>,
}

impl Tiers {
    /// Sorts ranks by their keys, the best of which is the least.
    pub fn new<K: Ord>(keys: &[K]) -> Self {
        let mut ranks: Vec<u32> = (0..keys.len() as u32).collect();
        let key = |rank: &u32| keys.get(*rank as usize);
        // Equals stay in the list's order.
        ranks.sort_unstable_by(|one, other| key(one).cmp(&key(other)).then(one.cmp(other)));
        let pairs = ranks.windows(2).zip(1..);
        let ends = pairs.filter(|(pair, _)| match pair {
            [one, other] => key(one).cmp(&key(other)) != Ordering::Equal,
            _ => false,
        });
        let last = (!ranks.is_empty()).then_some(ranks.len() as u32);
        let ends = ends.map(|(_, end)| end).chain(last).collect();
        Tiers { ranks: ranks.into(), ends }
    }

    /// The ranks of each tier, the best first.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let tier = start..end as usize;
            start = tier.end;
            self.ranks.get(tier).unwrap_or_default()
        })
    }

    /// The ranks of each tier as this turn has them, the best tier first: while turns count up, each of a tier is the first as
    /// often as any other.
    pub fn in_turn(&self, turn: usize) -> impl Iterator<Item = impl Iterator<Item = usize>> {
        self.iter().map(move |tier| {
            let start = turn.checked_rem(tier.len()).unwrap_or(0);
            let (before, from) = tier.split_at_checked(start).unwrap_or((&[], tier));
            from.iter().chain(before).map(|&rank| rank as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_share_a_tier() {
        let tiers = Tiers::new(&[5, 1, 5, 3, 1]);
        let all: Vec<&[u32]> = tiers.iter().collect();
        assert_eq!(all, [&[1, 4][..], &[3], &[0, 2]]);
        assert_eq!(Tiers::new::<u8>(&[]).iter().count(), 0);
    }

    #[test]
    fn each_is_first_in_turn_in_every_tier() {
        let tiers = Tiers::new(&[5, 1, 5, 3, 1, 5]);
        let turn = |turn| -> Vec<Vec<usize>> { tiers.in_turn(turn).map(Iterator::collect).collect() };
        assert_eq!(turn(0), [&[1, 4][..], &[3], &[0, 2, 5]]);
        assert_eq!(turn(1), [&[4, 1][..], &[3], &[2, 5, 0]]);
        assert_eq!(turn(2), [&[1, 4][..], &[3], &[5, 0, 2]]);
        assert_eq!(turn(usize::MAX)[1], [3]);
        assert_eq!(Tiers::new::<u8>(&[]).in_turn(3).count(), 0);
    }
}
