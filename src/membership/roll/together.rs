//! What becomes of members by somebody else's word or silence: holds of crowds, and operators' drains.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Count, Crowd, Drain, DrainChange, Hold, HoldChange, MemberName, PoolHandle};
use super::{Roll, RollError};

impl Roll {
    /// Watches a crowd for mass silence, in which its leases are held for `freeze_max_ms` at most; with 0 never.
    pub fn watch(&mut self, crowd: Crowd, freeze_max_ms: u32) {
        self.silence.watch(crowd, freeze_max_ms);
    }

    /// Watches a crowd no more: its number may be another's next.
    pub fn forget_crowd(&mut self, crowd: Crowd) {
        self.silence.forget(crowd, &self.leases);
    }

    /// Puts a pool's members with another crowd.
    pub fn regroup(&mut self, pool: &[u8], crowd: Crowd) {
        for entry in self.pools.get(pool).into_iter().flat_map(|members| members.values()) {
            self.leases.regroup(entry.lease, crowd);
        }
    }

    /// Looks at the next leases, and holds what is to be held. To be called before [`Roll::expire`], every 50 ms.
    pub fn listen(&mut self, now_ms: u64) -> Vec<HoldChange> {
        let changes = self.silence.tick(&self.leases, self.holders.slots(), now_ms);
        for change in changes.iter().filter(|change| matches!(change.hold, Hold::Ended(..))) {
            self.wake(change.crowd);
        }
        changes
    }

    /// Has a crowd's members looked at whose leases were held: their timers are set for when the hold would have ended, and until
    /// they are off the roll they count as silent, and the next hold would bring them back. Looks at every member there is,
    /// once a hold.
    fn wake(&mut self, crowd: Crowd) {
        for entry in self.pools.values_mut().flat_map(BTreeMap::values_mut) {
            if self.leases.crowd(entry.lease) == crowd {
                let at_ms = entry.member.first_end_ms(entry.ends_ms(&self.leases));
                Self::set_timer(&mut self.wheel, entry, at_ms);
            }
        }
    }

    /// Crowds whose leases are held, as of the last whole look.
    pub fn held(&self) -> impl Iterator<Item = (Crowd, Count)> {
        self.silence.held()
    }

    /// An operator's drain of a member, whether or not the member is there.
    pub fn drain(&self, pool: &[u8], name: &[u8]) -> Option<&Arc<Drain>> {
        self.drains.get(pool, name)
    }

    /// The drains of a pool's members, present or not, in name order.
    pub fn drains(&self, pool: &[u8]) -> impl Iterator<Item = (&MemberName, &Arc<Drain>)> {
        self.drains.of_pool(pool)
    }

    /// Whether so many more drains fit: as many as members may be.
    pub fn room_for_drains(&self, more: usize) -> Result<(), RollError> {
        let fits = self.drains.len().saturating_add(more) <= self.members_max;
        fits.then_some(()).ok_or(RollError::Full { members_max: self.members_max })
    }

    /// Carries out a change of a drain, when it is published.
    pub fn set_drain(&mut self, change: &DrainChange) {
        self.drains.set(&change.pool, &change.name, change.after.clone());
    }

    /// Puts back a drain that the store gave back.
    pub fn put_drain(&mut self, pool: &PoolHandle, name: &MemberName, drain: Drain) {
        self.drains.set(pool, name, Some(Arc::new(drain)));
    }

    /// At most `limit` drains that are over at `now_ms`. They are until that is published.
    pub fn drains_over(&self, now_ms: u64, limit: usize) -> Vec<DrainChange> {
        self.drains.over(now_ms, limit)
    }
}
