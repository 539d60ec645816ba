//! What the store gives back at a start, and what it is to be given at a start and at a stop.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Registrar;
use crate::change::{Change, NameFloor};
use crate::membership::{Absence, Crowd, Drain, MemberName, PoolHandle, Registered};
use crate::wire::WireError;
use crate::zone::Touched;

/// What came of the members that the store held.
#[derive(Debug, Default)]
pub struct Restored {
    /// How many are back, and answered.
    pub count: usize,
    /// The first of them, as changes: not durable, and published.
    pub told: Vec<Change>,
    /// How many are not: no zone has their pool any more, or a limit is reached.
    pub left_count: usize,
    /// The first of those.
    pub left: Option<(PoolHandle, MemberName)>,
}

/// A pool whose members come back.
struct Returned {
    pool: PoolHandle,
    /// The place of its zone.
    at: Option<usize>,
    crowd: Crowd,
    /// Whether any member is back.
    is_inhabited: bool,
}

impl Registrar {
    /// Brings back the members that the store held, and publishes each pool once it has all of its own: cheapest if they come pool
    /// by pool, as the store has them. Before anybody answers. `told_max` of them come back as changes.
    pub fn restore_all(
        &mut self,
        members: impl IntoIterator<Item = (PoolHandle, MemberName, Registered)>,
        told_max: usize,
        now_ms: u64,
    ) -> Result<Restored, WireError> {
        let mut zones = BTreeSet::new();
        let restored = self.restore_pools(members, told_max, &mut zones, now_ms);
        for (publisher, _) in zones.iter().filter_map(|at| self.zones.get(*at)) {
            publisher.open();
        }
        self.move_serials(zones);
        restored
    }

    fn restore_pools(
        &mut self,
        members: impl IntoIterator<Item = (PoolHandle, MemberName, Registered)>,
        told_max: usize,
        zones: &mut BTreeSet<usize>,
        now_ms: u64,
    ) -> Result<Restored, WireError> {
        let mut restored = Restored::default();
        let mut current: Option<Returned> = None;
        for (pool, name, registered) in members {
            let returned = match current.take() {
                Some(returned) if returned.pool == pool => returned,
                before => {
                    self.publish_returned(before, zones, now_ms)?;
                    let (at, crowd) = self.place_for(&pool, now_ms).unzip();
                    Returned { pool, at, crowd: crowd.unwrap_or_default(), is_inhabited: false }
                }
            };
            let returned = current.insert(returned);
            let registered = Registered { crowd: returned.crowd, ..registered };
            let change =
                returned.at.and_then(|_| self.roll.put(&returned.pool, &name, registered, now_ms).ok());
            let Some(change) = change else {
                restored.left.get_or_insert_with(|| (Arc::clone(&returned.pool), name));
                restored.left_count += 1;
                continue;
            };
            returned.is_inhabited = true;
            restored.count += 1;
            if restored.told.len() < told_max {
                restored.told.push(Change::Member(change));
            }
        }
        self.publish_returned(current, zones, now_ms)?;
        Ok(restored)
    }

    /// The zone in which a pool of the store's has its place, and whose its members are. `None` if no zone has the pool any more,
    /// or there are too many.
    fn place_for(&mut self, pool: &PoolHandle, now_ms: u64) -> Option<(usize, Crowd)> {
        let at = self.zone_of(pool)?;
        let (publisher, _) = self.zones.get(at)?;
        let is_new = publisher.pool(pool).is_none();
        if is_new && (!publisher.may_restore(pool, now_ms) || self.zones.pools() >= self.pools_max) {
            return None;
        }
        let (publisher, _) = self.zones.get_mut(at)?;
        publisher.claim(pool, &mut self.rotors, now_ms);
        Some((at, self.crowd_at(at)))
    }

    fn publish_returned(
        &mut self,
        returned: Option<Returned>,
        zones: &mut BTreeSet<usize>,
        now_ms: u64,
    ) -> Result<(), WireError> {
        let Some(Returned { pool, at: Some(at), is_inhabited: true, .. }) = returned else { return Ok(()) };
        let Some((publisher, _)) = self.zones.get_mut(at) else { return Ok(()) };
        if zones.insert(at) {
            publisher.gather();
        }
        publisher.publish(&pool, &Touched::All, &self.roll, &mut self.rotors, now_ms)
    }

    /// Remembers the serial of a zone that is not served: should it be later, its serial goes on from there.
    pub fn restore_serial(&mut self, apex: &[u8], serial: u32) {
        if self.zones.at(apex).is_none() {
            self.serials_elsewhere.insert(apex.into(), serial);
        }
    }

    /// Puts an operator's drain back, before members are published.
    pub fn restore_drain(&mut self, pool: &PoolHandle, name: &MemberName, drain: Drain) {
        self.roll.put_drain(pool, name, drain);
    }

    /// Keeps what the store held of a member that is gone, also where no zone has its pool now: it ends by itself.
    pub fn restore_absence(&mut self, pool: &PoolHandle, name: &MemberName, absence: Absence) {
        self.roll.put_absence(pool, name, absence);
    }

    /// A floor of ordinary records, as the store held it.
    pub fn restore_floor(&mut self, held: &NameFloor, now_ms: u64) {
        if let Some(floor) = held.floor.filter(|_| self.heartbeats.keyring().get(&held.key).is_some()) {
            self.floors.raise(&held.key, &held.name, floor, now_ms, true);
        }
    }

    /// What a start leaves to be stored: where the zone files have overtaken what UPDATE changed.
    pub fn overtaken(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.overtaken)
    }

    /// What a clean stop leaves to be stored: the floors that heartbeats and renewals have raised.
    pub fn unstored_floors(&self) -> Vec<Change> {
        let of_members = self.roll.unstored_floors().into_iter().map(Change::Member);
        of_members.chain(self.floors.unstored().map(Change::Floor)).collect()
    }
}
