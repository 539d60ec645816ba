//! The roll's account of who is not there: names that are kept, and floors under which messages are replays.

use std::sync::Arc;

use super::super::absence::higher;
use super::{Entry, Leaving, Roll};
use crate::membership::{Absence, Cause, Change, MemberName, PoolHandle, Signed};

impl Roll {
    /// What is left of a member that is gone at `now_ms`, whether or not its end has been dealt with; `None` if nothing is.
    pub fn absence(&self, pool: &[u8], name: &[u8], now_ms: u64) -> Option<Arc<Absence>> {
        let absence = match self.find(pool, name) {
            Some(entry) if entry.member.ends_ms(entry.ends_ms(&self.leases)) > now_ms => return None,
            Some(entry) => Arc::new(self.absence_of(entry, entry.lapsing(&self.leases), now_ms)),
            None => Arc::clone(self.absences.get(pool, name)?),
        };
        (absence.ends_ms() > now_ms).then_some(absence)
    }

    /// The newest signed message that was accepted about this name: older ones are replays. `None` if none is known to be.
    pub fn floor(&self, pool: &[u8], name: &[u8], now_ms: u64) -> Option<Signed> {
        match self.find(pool, name) {
            Some(entry) => self.leases.floor(entry.lease),
            None => self.absences.get(pool, name).and_then(|absence| absence.floor(now_ms)),
        }
    }

    /// Members whose floors have risen since the store learnt of them, as changes for the store and for nobody else: what
    /// there is to write when the server stops.
    pub fn unstored_floors(&self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (pool, members) in &self.pools {
            for (name, entry) in members {
                let floor = self.leases.floor(entry.lease);
                if floor != entry.stored() {
                    let (pool, after) = (Arc::clone(pool), Some(Arc::clone(&entry.member)));
                    // Without a before, so that it is durable.
                    let change = Change::of(pool, name.clone(), Cause::Changed, None, after);
                    changes.push(Change { floor: (entry.stored(), floor), ..change });
                }
            }
        }
        changes
    }

    /// Keeps a name and a floor that the store gave back for a member that is gone. They are not restored to a name that is
    /// on the roll.
    pub fn put_absence(&mut self, pool: &PoolHandle, name: &MemberName, absence: Absence) {
        if self.find(pool, name).is_none() {
            self.absences.insert(pool, name, Arc::new(absence));
        }
    }

    /// What is left of a member that goes now.
    pub(super) fn absence_of(&self, entry: &Entry, leaving: Leaving, now_ms: u64) -> Absence {
        let floor = higher(self.leases.floor(entry.lease), leaving.signed);
        Absence {
            owner: entry.member.owner.clone(),
            name_ends_ms: leaving.name_ends_ms,
            floor,
            floor_ends_ms: floor.map_or(0, |floor| now_ms.saturating_add(floor.kept_ms())),
        }
    }

    /// Ends at most `limit` absences that are over, or that are more than there may be.
    pub(super) fn let_go(&mut self, now_ms: u64, limit: usize) -> Vec<Change> {
        let over = std::iter::from_fn(|| self.absences.pop_over(now_ms)).take(limit);
        over.map(|(pool, name, absence)| {
            let change = Change::of(pool, name, Cause::Released, None, None);
            Change { absence: (Some(absence), None), ..change }
        })
        .collect()
    }
}
