//! An operator's drains: who is to get no more clients, whatever members say of themselves.
//!
//! A drain is kept apart from the member, by its name: no heartbeat clears it, a restart of the server or of the member does
//! not, and it outlives a member that leaves or falls silent, for an operator who drains a machine and reboots it wants to
//! find it drained. It ends when the operator says so, or by itself at the moment that was given for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::{Cause, FOREVER_MS, MemberName, PoolHandle};

/// Why a member gets no more clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// The identity that said so.
    pub by: Box<str>,
    /// Why, in the operator's words; empty if nothing was said.
    pub why: Box<str>,
    /// When it ends by itself, monotonic milliseconds; [`FOREVER_MS`] if it does not.
    pub ends_ms: u64,
}

/// A drain before and after.
#[derive(Debug, Clone)]
pub struct DrainChange {
    /// In which pool.
    pub pool: PoolHandle,
    /// Whose.
    pub name: MemberName,
    /// [`Cause::Draining`], [`Cause::Undrained`] or [`Cause::DrainOver`].
    pub cause: Cause,
    /// The drain that there was.
    pub before: Option<Arc<Drain>>,
    /// The drain that there is.
    pub after: Option<Arc<Drain>>,
}

impl DrainChange {
    /// The change that takes this one back.
    pub fn reversed(&self) -> DrainChange {
        let (before, after) = (self.after.clone(), self.before.clone());
        let cause = if after.is_some() { Cause::Draining } else { Cause::Undrained };
        DrainChange { pool: Arc::clone(&self.pool), name: self.name.clone(), cause, before, after }
    }
}

/// Drains by pool and name, and in the order in which they end.
#[derive(Default)]
pub(super) struct Drains {
    by_pool: HashMap<PoolHandle, BTreeMap<MemberName, Arc<Drain>>, RandomState>,
    ends: BTreeSet<(u64, PoolHandle, MemberName)>,
    count: usize,
}

impl Drains {
    pub fn get(&self, pool: &[u8], name: &[u8]) -> Option<&Arc<Drain>> {
        self.by_pool.get(pool)?.get(name)
    }

    /// A pool's, in name order.
    pub fn of_pool(&self, pool: &[u8]) -> impl Iterator<Item = (&MemberName, &Arc<Drain>)> {
        self.by_pool.get(pool).into_iter().flatten()
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Puts one in the place of what the name had, or takes that away.
    pub fn set(&mut self, pool: &PoolHandle, name: &MemberName, drain: Option<Arc<Drain>>) {
        let held = match &drain {
            Some(drain) => {
                self.by_pool.entry(Arc::clone(pool)).or_default().insert(name.clone(), Arc::clone(drain))
            }
            None => self.by_pool.get_mut(pool).and_then(|names| names.remove(name)),
        };
        if self.by_pool.get(pool).is_some_and(BTreeMap::is_empty) {
            self.by_pool.remove(pool);
        }
        if let Some(held) = held {
            self.count -= 1;
            self.ends.remove(&(held.ends_ms, Arc::clone(pool), name.clone()));
        }
        if let Some(drain) = drain {
            self.count += 1;
            if drain.ends_ms < FOREVER_MS {
                self.ends.insert((drain.ends_ms, Arc::clone(pool), name.clone()));
            }
        }
    }

    /// At most `limit` changes that end what is over at `now_ms`. Nothing is done yet.
    pub fn over(&self, now_ms: u64, limit: usize) -> Vec<DrainChange> {
        let over = self.ends.iter().take_while(|(ends_ms, ..)| *ends_ms <= now_ms).take(limit);
        over.map(|(_, pool, name)| DrainChange {
            pool: Arc::clone(pool),
            name: name.clone(),
            cause: Cause::DrainOver,
            before: self.get(pool, name).cloned(),
            after: None,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drains_end_in_order_and_are_counted() {
        let pool = PoolHandle::from(&b"web"[..]);
        let drain = |ends_ms| Some(Arc::new(Drain { by: "ops".into(), why: "".into(), ends_ms }));
        let [one, other]: [MemberName; 2] = [b"m1"[..].into(), b"m2"[..].into()];
        let mut drains = Drains::default();
        drains.set(&pool, &one, drain(FOREVER_MS));
        drains.set(&pool, &other, drain(50));
        drains.set(&pool, &other, drain(70));
        assert_eq!((drains.len(), drains.over(69, 9).len()), (2, 0), "the later word counts");
        let over = drains.over(70, 9);
        assert_eq!((over.len(), &over[0].name), (1, &other));
        drains.set(&pool, &other, None);
        drains.set(&pool, &other, None);
        assert_eq!((drains.len(), drains.of_pool(&pool).count()), (1, 1));
        assert!(drains.over(FOREVER_MS, 9).is_empty(), "one without an end has none");
        drains.set(&pool, &one, None);
        assert!(drains.by_pool.is_empty() && drains.ends.is_empty());
    }
}
