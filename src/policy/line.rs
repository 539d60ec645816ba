//! Who stands where in a ranking, for people who look into a pool.

use super::{Order, Ranking, Totals};

/// A member's place in line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InLine {
    /// 1 for who is the first to be asked; equals share one.
    pub rank: u32,
    /// How likely it is to be the first of the next answer: 0 to 1.
    pub share: f64,
}

impl Ranking {
    /// The line as it is now, by place; `None` for who takes no part. Takes memory and sorts: for who looks into a pool, not for
    /// who asks it.
    pub fn line(&self) -> Vec<Option<InLine>> {
        let keys = self.keys();
        let mut by_key: Vec<usize> = (0..keys.len()).collect();
        let key = |rank: usize| keys.get(rank).copied().unwrap_or(u64::MAX);
        by_key.sort_by_key(|&rank| key(rank));
        let mut line = vec![InLine { rank: 0, share: 0.0 }; keys.len()];
        let mut before: Option<(u64, u32)> = None;
        for (&rank, position) in by_key.iter().zip(1_u32..) {
            let number = before.filter(|(held, _)| *held == key(rank)).map_or(position, |(_, number)| number);
            before = Some((key(rank), number));
            if let Some(place) = line.get_mut(rank) {
                place.rank = number;
            }
        }
        let firsts = line.iter().filter(|place| place.rank == 1).count().max(1) as f64;
        for (rank, place) in line.iter_mut().enumerate() {
            place.share = match &self.order {
                Order::Turns => 1.0 / keys.len() as f64,
                Order::Interleaved(round) => share(&round.0, rank),
                Order::Drawn(totals) => share(totals, rank),
                Order::Tiers(_) | Order::Degrading(_) if place.rank == 1 => 1.0 / firsts,
                Order::Tiers(_) | Order::Degrading(_) => 0.0,
            };
        }
        match &self.places {
            None => line.into_iter().map(Some).collect(),
            Some(places) => {
                let count = places.last().map_or(0, |&last| last as usize + 1);
                let mut by_place = vec![None; count];
                for (&place, in_line) in places.iter().zip(line) {
                    if let Some(held) = by_place.get_mut(place as usize) {
                        *held = Some(in_line);
                    }
                }
                by_place
            }
        }
    }

    /// Of each rank, what it is ordered by: the least is the first.
    fn keys(&self) -> Vec<u64> {
        match &self.order {
            Order::Turns => vec![0; self.len as usize],
            Order::Interleaved(round) => heaviest_first(&round.0),
            Order::Drawn(totals) => heaviest_first(totals),
            Order::Tiers(tiers) => {
                let mut keys = vec![0; self.len as usize];
                for (tier, number) in tiers.iter().zip(0..) {
                    for &rank in tier {
                        if let Some(key) = keys.get_mut(rank as usize) {
                            *key = number;
                        }
                    }
                }
                keys
            }
            Order::Degrading(tournament) => tournament.words().collect(),
        }
    }
}

fn share(totals: &Totals, rank: usize) -> f64 {
    totals.share(rank).weight as f64 / totals.all() as f64
}

fn heaviest_first(totals: &Totals) -> Vec<u64> {
    (0..totals.len()).map(|rank| u64::MAX - totals.share(rank).weight).collect()
}
