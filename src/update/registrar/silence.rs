//! Whose members fall silent together: a zone's are a crowd.

use std::collections::HashMap;

use super::Registrar;
use crate::membership::{Count, Crowd, Hold, HoldChange};

/// A zone whose members' leases are held, or are held no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silenced {
    /// Its apex, lower-case wire form.
    pub apex: Box<[u8]>,
    /// What became of it.
    pub hold: Hold,
    /// How many members it has, and how many are silent.
    pub count: Count,
}

/// The zones' crowds, by apex.
#[derive(Default)]
pub(super) struct Crowds {
    of_zones: HashMap<Box<[u8]>, Crowd>,
    free: Vec<Crowd>,
    next: u32,
}

impl Crowds {
    /// A zone's crowd; past [`Crowd::MAX`] zones, nobody's.
    fn take(&mut self, apex: &[u8]) -> Crowd {
        if let Some(crowd) = self.of_zones.get(apex) {
            return *crowd;
        }
        let crowd = match self.free.pop() {
            Some(crowd) => crowd,
            None if self.next + 1 < Crowd::MAX => {
                self.next += 1;
                Crowd(self.next)
            }
            None => Crowd::default(),
        };
        self.of_zones.insert(apex.into(), crowd);
        crowd
    }

    fn apex_of(&self, crowd: Crowd) -> Option<&[u8]> {
        self.of_zones.iter().find(|(_, held)| **held == crowd).map(|(apex, _)| &**apex)
    }
}

impl Registrar {
    /// The crowd of the zone at a place.
    pub(super) fn crowd_at(&self, at: usize) -> Crowd {
        let apex = self.zones.get(at).map(|(publisher, _)| publisher.zone().apex());
        apex.and_then(|apex| self.crowds.of_zones.get(apex)).copied().unwrap_or_default()
    }

    /// Watches the zones that there are, as they are configured, and no others. Members that are in another zone now, or in
    /// none, are with others now.
    pub(super) fn watch_zones(&mut self) {
        let zones = self
            .zones
            .iter()
            .map(|(publisher, _)| (Box::from(publisher.zone().apex()), publisher.settings().freeze_max_ms));
        let zones: HashMap<Box<[u8]>, u32> = zones.collect();
        let known = self.crowds.of_zones.len();
        let roll = &mut self.roll;
        self.crowds.of_zones.retain(|apex, crowd| {
            let stays = zones.contains_key(apex);
            if !stays && *crowd != Crowd::default() {
                roll.forget_crowd(*crowd);
                self.crowds.free.push(*crowd);
            }
            stays
        });
        let mut is_other = self.crowds.of_zones.len() != known;
        for (apex, freeze_max_ms) in zones {
            is_other |= !self.crowds.of_zones.contains_key(&apex);
            let crowd = self.crowds.take(&apex);
            if crowd != Crowd::default() {
                self.roll.watch(crowd, freeze_max_ms);
            }
        }
        if is_other {
            let pools: Vec<_> = self.roll.pools().cloned().collect();
            for pool in pools {
                let crowd = self.zone_of(&pool).map(|at| self.crowd_at(at)).unwrap_or_default();
                self.roll.regroup(&pool, crowd);
            }
        }
    }

    /// Looks at the next leases, and holds those of zones that have fallen silent. Every 50 ms, before leases end.
    pub fn listen(&mut self, now_ms: u64) -> Vec<Silenced> {
        let changes = self.roll.listen(now_ms).into_iter();
        let silenced = changes.filter_map(|HoldChange { crowd, hold, count }| {
            Some(Silenced { apex: self.crowds.apex_of(crowd)?.into(), hold, count })
        });
        silenced.collect()
    }

    /// How many members are silent in zones whose leases are held, and in how many zones.
    pub fn held(&self) -> (usize, u64) {
        let held = self.roll.held();
        held.fold((0, 0), |(zones, silent), (_, count)| (zones + 1, silent + u64::from(count.silent)))
    }
}
