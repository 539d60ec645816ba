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

    /// If so many are wanted: of how many equals only some are, and how many. All of them in turn, and one at a time, if it
    /// comes out even.
    pub fn cut(&self, wanted: usize) -> (usize, usize) {
        let mut left = wanted;
        for tier in self.iter() {
            if left < tier.len() {
                return if left == 0 { (self.first_len(), 1) } else { (tier.len(), left) };
            }
            left -= tier.len();
        }
        (self.first_len(), 1)
    }

    fn first_len(&self) -> usize {
        self.ends.first().map_or(0, |&end| end as usize)
    }
}

/// A tier's ranks, each as often the first as any other while `turn` counts up.
pub(super) fn in_turn(tier: &[u32], turn: usize) -> impl Iterator<Item = usize> {
    let start = turn.checked_rem(tier.len()).unwrap_or(0);
    let (before, from) = tier.split_at_checked(start).unwrap_or((&[], tier));
    from.iter().chain(before).map(|&rank| rank as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_share_a_tier() {
        let tiers = Tiers::new(&[5, 1, 5, 3, 1]);
        let all: Vec<&[u32]> = tiers.iter().collect();
        assert_eq!(all, [&[1, 4][..], &[3], &[0, 2]]);
        for (wanted, cut) in [(1, (2, 1)), (2, (2, 1)), (3, (2, 1)), (4, (2, 1)), (5, (2, 1)), (9, (2, 1))] {
            assert_eq!(tiers.cut(wanted), cut, "{wanted}");
        }
        assert_eq!(Tiers::new(&[0; 5]).cut(3), (5, 3));
        let nobody = Tiers::new::<u8>(&[]);
        assert_eq!((nobody.iter().count(), nobody.cut(1)), (0, (0, 1)));
    }

    #[test]
    fn each_is_first_in_turn() {
        let turns: Vec<Vec<usize>> = (0..4).map(|turn| in_turn(&[7, 8, 9], turn).collect()).collect();
        assert_eq!(turns, [[7, 8, 9], [8, 9, 7], [9, 7, 8], [7, 8, 9]]);
        assert_eq!(in_turn(&[], 3).count(), 0);
    }
}
