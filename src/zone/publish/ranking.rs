//! Ranking pools again when members say how busy they are, or warm up: many words are one ranking.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;

use super::Publisher;
use crate::membership::{LeaseTable, PoolHandle};
use crate::zone::{Node, Role};

/// How far apart two rankings of a pool are at least, milliseconds.
const RANK_EVERY_MS: u64 = 50;
/// Of a large pool: a millisecond for so much of what ranking it costs (`PoolView::ranking_cost`), so that it takes a few
/// hundredths of a core at most.
const COST_A_MS: u64 = 200;

/// Which pools are to be ranked, and when.
#[derive(Default)]
pub(super) struct Due {
    at_ms: HashMap<PoolHandle, u64, RandomState>,
    queue: BTreeSet<(u64, PoolHandle)>,
}

impl Due {
    /// A pool is to be ranked at this moment, monotonic milliseconds, or earlier if it already was to be.
    fn set(&mut self, pool: &PoolHandle, at_ms: u64) {
        let held_ms = self.at_ms.get(pool).copied();
        if held_ms.is_some_and(|held_ms| held_ms <= at_ms) {
            return;
        }
        self.forget(pool);
        self.at_ms.insert(PoolHandle::clone(pool), at_ms);
        self.queue.insert((at_ms, PoolHandle::clone(pool)));
    }

    pub fn forget(&mut self, pool: &PoolHandle) {
        if let Some(at_ms) = self.at_ms.remove(pool) {
            self.queue.remove(&(at_ms, PoolHandle::clone(pool)));
        }
    }

    fn pop(&mut self, now_ms: u64) -> Option<PoolHandle> {
        let (_, pool) = self.queue.first().filter(|(at_ms, _)| *at_ms <= now_ms)?;
        let pool = PoolHandle::clone(pool);
        self.forget(&pool);
        Some(pool)
    }
}

impl Publisher {
    /// What is known of a pool's members has moved: it is ranked as soon as it may be again, if its policy asks for that.
    pub fn rank_soon(&mut self, pool: &PoolHandle) {
        if let Some(known) = self.pools.get(pool).filter(|known| known.settings.ranks_anew()) {
            self.due.set(pool, known.rank_from_ms);
        }
    }

    /// A pool has been ranked, and is to be ranked again at `again_ms` though nothing is said.
    pub(super) fn note_ranked(&mut self, pool: &PoolHandle, cost: usize, again_ms: Option<u64>, now_ms: u64) {
        self.due.forget(pool);
        let Some(known) = self.pools.get_mut(pool) else { return };
        known.rank_from_ms = now_ms + RANK_EVERY_MS.max(cost as u64 / COST_A_MS);
        if let Some(again_ms) = again_ms {
            self.due.set(pool, again_ms.max(known.rank_from_ms));
        }
    }

    /// Ranks the pools that are due, until that has cost `cost_max` or more (`PoolView::ranking_cost`). What it has cost.
    pub fn rank_due(&mut self, leases: &LeaseTable, now_ms: u64, cost_max: usize) -> usize {
        let mut spent = 0;
        while spent < cost_max
            && let Some(pool) = self.due.pop(now_ms)
        {
            let Some(known) = self.pools.get(&pool) else { continue };
            let node = known.cell.load_full();
            let Role::Pool(view) = &node.role else { continue };
            let (view, again_ms) = view.ranked(&known.rotors, leases, now_ms);
            let cost = view.ranking_cost();
            known.cell.store(Node { rrsets: node.rrsets.clone(), role: Role::Pool(view) });
            self.note_ranked(&pool, cost, again_ms, now_ms);
            spent += cost;
        }
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_due_once_and_at_the_earliest_moment_asked_for() {
        let (one, other): (PoolHandle, PoolHandle) = (b"one"[..].into(), b"other"[..].into());
        let mut due = Due::default();
        due.set(&one, 70);
        due.set(&one, 90);
        due.set(&other, 60);
        due.set(&one, 50);
        assert_eq!(due.pop(49), None);
        assert_eq!((due.pop(60), due.pop(60), due.pop(60)), (Some(one), Some(other), None));
        assert!(due.at_ms.is_empty() && due.queue.is_empty());
    }
}
