//! What the store gives back at a start, and what it is to be given at a start and at a stop.

use super::Registrar;
use crate::change::{Change, NameFloor};
use crate::membership::{Absence, Drain, MemberName, PoolHandle, Registered};

impl Registrar {
    /// Brings a member back that the store held. `None` if no zone has its pool any more, or the server is full. The change
    /// is to be published; it is not durable.
    pub fn restore(
        &mut self,
        pool: &PoolHandle,
        name: &[u8],
        registered: Registered,
        now_ms: u64,
    ) -> Option<Change> {
        let at = self.zone_of(pool)?;
        let (publisher, _) = self.zones.get(at)?;
        let is_new = publisher.pool(pool).is_none();
        if is_new && (!publisher.may_restore(pool, now_ms) || self.zones.pools() >= self.pools_max) {
            return None;
        }
        let (publisher, _) = self.zones.get_mut(at)?;
        publisher.claim(pool, &mut self.rotors, now_ms);
        let registered = Registered { crowd: self.crowd_at(at), ..registered };
        self.roll.put(pool, name, registered, now_ms).ok().map(Change::Member)
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
