//! What was judged becomes visible, or is taken back; and what has ended goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{FORGET_EVERY_MS, Registrar, SERIALS_RESERVED};
use crate::change::Change;
use crate::membership::{self, MemberName, PoolHandle};
use crate::update::pending::Pending;
use crate::wire::WireError;
use crate::zone::{NameChange, Touched};

/// Pools whose views are to be made anew, and of whom.
#[derive(Debug, Default)]
pub(super) struct Reshaped(BTreeMap<PoolHandle, Touched>);

impl Reshaped {
    /// A member of a pool may differ from what is published of it.
    pub fn touch(&mut self, pool: &PoolHandle, name: &MemberName) {
        match self.0.get_mut(pool) {
            Some(touched) => touched.add(name),
            None => self.0.entry(Arc::clone(pool)).or_default().add(name),
        }
    }

    fn each(&self) -> impl Iterator<Item = (&PoolHandle, &Touched)> {
        self.0.iter()
    }
}

impl Registrar {
    /// Ends leases that are due, looking at no more than `limit` timers; the number looked at comes back too, and when it
    /// is `limit` there may be more. The changes are to be published at once and may be stored later: an answer shows
    /// nobody whose lease is over, whatever the views say.
    pub fn expire(&mut self, now_ms: u64, limit: usize) -> (Vec<Change>, usize) {
        if now_ms >= self.forget_at_ms {
            self.forget_at_ms = now_ms + FORGET_EVERY_MS;
            for (publisher, _) in self.zones.iter_mut() {
                publisher.forget_empty(&mut self.rotors, now_ms);
            }
        }
        let (changes, mut looked_at) = self.roll.expire(now_ms, limit);
        let mut changes: Vec<Change> = changes.into_iter().map(Change::Member).collect();
        for (publisher, _) in self.zones.iter() {
            let lapsed = publisher.lapse(now_ms, limit.saturating_sub(looked_at));
            looked_at += lapsed.len();
            changes.extend(lapsed.into_iter().map(Change::Name));
        }
        let over = self.roll.drains_over(now_ms, limit.saturating_sub(looked_at));
        looked_at += over.len();
        changes.extend(over.into_iter().map(Change::Drain));
        while looked_at < limit
            && let Some(over) = self.floors.pop_over(now_ms)
        {
            looked_at += 1;
            changes.push(Change::Floor(over));
        }
        (changes, looked_at)
    }

    /// Makes changes visible: the view of each pool that they reshape, the ends of their leases, the ordinary records of
    /// names, and each zone's serial, once.
    pub fn publish(&mut self, changes: &[Change], now_ms: u64) -> Result<(), WireError> {
        self.pending = Pending::default();
        let mut reshaped = std::mem::take(&mut self.undone);
        let mut visible = BTreeSet::new();
        for change in changes {
            let mut is_visible = change.is_visible();
            match change {
                Change::Member(change) => {
                    self.move_lease(change, now_ms);
                    self.remember(change, now_ms);
                    let is_back = self.is_claimed(&change.pool);
                    is_visible |= is_back;
                    if is_back || change.reshapes() {
                        reshaped.touch(&change.pool, &change.name);
                    }
                }
                Change::Drain(change) => {
                    self.roll.set_drain(change);
                    reshaped.touch(&change.pool, &change.name);
                }
                Change::Name(_) | Change::Floor(_) => {}
            }
            visible.extend(is_visible.then(|| self.zone_of(change.zone_name())).flatten());
        }
        // Those that could not move when something changed, and may by now.
        visible.extend(self.reserve.take_due().iter().filter_map(|apex| self.zones.at(apex)));
        // First the serial, for a SOA that came by UPDATE may set it later still.
        self.move_serials(visible);
        for (pool, touched) in reshaped.each() {
            self.publish_pool(pool, touched, now_ms)?;
        }
        for change in changes {
            match change {
                // The views are in place: the leases of those who left may end, and their slots be used again.
                Change::Member(change) => self.roll.release(change),
                Change::Drain(_) => {}
                Change::Name(change) => self.publish_name(change, now_ms)?,
                Change::Floor(raised) => {
                    self.floors.publish(raised, now_ms);
                    self.forget_heartbeat_of(&raised.name);
                }
            }
        }
        Ok(())
    }

    /// Moves the serials of zones in which something shows that did not, or no more: once each, as far as the reserve goes.
    pub(super) fn move_serials(&mut self, zones: impl IntoIterator<Item = usize>) {
        for (publisher, _) in zones.into_iter().filter_map(|at| self.zones.get(at)) {
            let (apex, serial) = (publisher.zone().apex(), publisher.zone().serial());
            if let Some(next) = self.reserve.next(apex, serial) {
                publisher.move_serial(next);
            }
            if !self.moved.contains(apex) {
                self.moved.insert(apex.into());
            }
        }
    }

    /// Moves a member's lease, and has its pool ranked again if the member stands otherwise in it.
    fn move_lease(&mut self, change: &membership::Change, now_ms: u64) {
        let at = self.zone_of(&change.pool);
        let Some((publisher, _)) = at.and_then(|at| self.zones.get_mut(at)) else {
            self.roll.move_lease(change, now_ms, 0);
            return;
        };
        let half_life_ms = publisher.pool(&change.pool).map_or(0, |settings| settings.load_half_life_ms);
        if self.roll.move_lease(change, now_ms, half_life_ms) {
            publisher.rank_soon(&change.pool);
        }
    }

    /// Ranks pools whose members stand otherwise than they did, by what the registrar or a worker has heard, until about
    /// `cost_max` members have been ranked, each in all its lists: the rest is still due.
    pub fn rank(&mut self, now_ms: u64, cost_max: usize) {
        let zones = &mut self.zones;
        self.roll.take_marks(|pool| {
            if let Some((publisher, _)) = zones.closest(pool).and_then(|at| zones.get_mut(at)) {
                publisher.rank_soon(pool);
            }
        });
        let mut left = cost_max;
        for (publisher, _) in self.zones.iter_mut() {
            left = left.saturating_sub(publisher.rank_due(self.roll.leases(), now_ms, left));
        }
    }

    /// Notes whom a pool's answers may fall back on when nobody fit is left: who was lost, not who left.
    fn remember(&mut self, change: &membership::Change, now_ms: u64) {
        let at = self.zone_of(&change.pool);
        if let Some((publisher, _)) = at.and_then(|at| self.zones.get_mut(at)) {
            publisher.remember(change, &self.roll, now_ms);
        }
    }

    /// Whether a pool is yet to be published: of its first member, or of one who waited while no zone could have it.
    fn is_claimed(&self, pool: &PoolHandle) -> bool {
        let zone = self.zone_of(pool).and_then(|at| self.zones.get(at));
        zone.is_some_and(|(publisher, _)| publisher.pool(pool).is_some() && !publisher.is_published(pool))
    }

    fn publish_pool(&mut self, pool: &PoolHandle, touched: &Touched, now_ms: u64) -> Result<(), WireError> {
        let at = self.zone_of(pool);
        let Some((publisher, _)) = at.and_then(|at| self.zones.get_mut(at)) else { return Ok(()) };
        publisher.publish(pool, touched, &self.roll, &mut self.rotors, now_ms)
    }

    pub(super) fn publish_name(&mut self, change: &NameChange, now_ms: u64) -> Result<(), WireError> {
        self.records = self.records.saturating_add_signed(change.growth());
        let at = self.zone_of(&change.name);
        let Some((publisher, _)) = at.and_then(|at| self.zones.get_mut(at)) else { return Ok(()) };
        let serial = publisher.zone().serial();
        let is_pools = publisher.publish_name(change)?;
        let zone = publisher.zone();
        if zone.serial() != serial {
            // The SOA is in the store, and a restart begins as far behind it.
            self.reserve.raise(zone.apex(), zone.serial().wrapping_add(SERIALS_RESERVED));
        }
        if is_pools {
            publisher.publish(&change.name, &Touched::default(), &self.roll, &mut self.rotors, now_ms)?;
        }
        Ok(())
    }

    /// Takes changes back that could not be stored; they come in the order in which they happened, and are not published.
    pub fn undo(&mut self, changes: &[&Change]) {
        for change in changes.iter().rev() {
            // Of ordinary records nothing has been done before they are published.
            if let Change::Member(change) = change {
                self.roll.undo(change);
                // A pool that was claimed for a join is given up again with the next publication.
                self.undone.touch(&change.pool, &change.name);
            }
        }
    }
}
