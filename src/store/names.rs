//! Ordinary records and the floors of keys, after a restart.
//!
//! A leased record comes back as a member does: with one grace, counted from the first start after the run in which it was
//! last heard. A permanent one comes back whole. A floor of a name comes back for as long as a message signed below it could be
//! believed.

use redb::{ReadTransaction, ReadableTable as _, WriteTransaction};

use super::format::{self, FLOORS, NAMES};
use super::grace::{Runs, believable, corrupted, grace_left_ms};
use crate::change::NameFloor;
use crate::membership::Signed;
use crate::wire::{Name, name_text};
use crate::zone::{Dynamic, Dynamics, PERMANENT_MS};

/// A key and an owner, both in wire form.
type Place = (Box<[u8]>, Box<[u8]>);

/// What there is of names and keys after a restart, and what the tables are to hold of it.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// What UPDATE made of names; the ends of leased records are what is left of their graces, milliseconds.
    pub dynamics: Vec<(Box<[u8]>, Dynamic)>,
    /// Names of which leased records are over: what is left of each.
    rewritten: Vec<(Box<[u8]>, Option<Dynamic>)>,
    /// The newest signed messages that changed ordinary records.
    pub floors: Vec<NameFloor>,
    /// Floors that are over, by key and owner.
    over: Vec<Place>,
    /// The first run from whose start a grace of theirs counts.
    pub first_run: Option<u32>,
}

/// Reads both tables in run number `run`, which has begun at `wall_ms`.
pub(super) fn read(
    stored: &ReadTransaction,
    run: u32,
    runs: &mut Runs,
    wall_ms: u64,
) -> Result<Names, redb::Error> {
    let mut names = Names::default();
    for entry in stored.open_table(NAMES)?.iter()? {
        let (key, value) = entry?;
        let bad = |why: String| corrupted(format!("records of {}: {why}", name_text(key.value())));
        let dynamic: Dynamic = format::decode(value.value()).map_err(bad)?;
        if let Some(added) = dynamic.added.iter().find(|added| added.term.heard_run > run.saturating_sub(1)) {
            return Err(bad(format!("last heard in run {}, and this is run {run}", added.term.heard_run)));
        }
        names.take(key.value().into(), dynamic, runs, wall_ms);
    }
    for entry in stored.open_table(FLOORS)?.iter()? {
        let (place, value) = entry?;
        let (key, owner) = place.value();
        let bad = |why: String| {
            corrupted(format!("floor of key {} for {}: {why}", name_text(key), name_text(owner)))
        };
        let floor: Signed = format::decode(value.value()).map_err(bad)?;
        let floor = believable(floor, wall_ms);
        let is_over = floor.at_s.saturating_mul(1000).saturating_add(floor.kept_ms()) <= wall_ms;
        match Name::from_octets(bytes::Bytes::copy_from_slice(key)) {
            Ok(_) if is_over => names.over.push((key.into(), owner.into())),
            Ok(key) => {
                let (before, floor) = (None, Some(floor));
                names.floors.push(NameFloor { key, name: owner.into(), before, floor, is_durable: true });
            }
            Err(_) => return Err(bad("not a name".to_owned())),
        }
    }
    Ok(names)
}

impl Names {
    fn take(&mut self, name: Box<[u8]>, mut dynamic: Dynamic, runs: &mut Runs, wall_ms: u64) {
        let before = dynamic.added.len();
        for added in &mut dynamic.added {
            let Some(lease_ms) = added.term.lease_ms else { continue };
            let first = added.term.heard_run + 1;
            let used_ms = wall_ms.saturating_sub(*runs.entry(first).or_insert(wall_ms));
            added.term.ends_ms = grace_left_ms(lease_ms, used_ms).into();
            if added.term.ends_ms > 0 {
                self.first_run = Some(self.first_run.map_or(first, |held| held.min(first)));
            }
        }
        dynamic.added.retain(|added| added.term.ends_ms > 0);
        let left = (!dynamic.is_empty()).then_some(dynamic);
        if left.as_ref().map_or(0, |dynamic| dynamic.added.len()) < before {
            self.rewritten.push((name.clone(), left.clone()));
        }
        self.dynamics.extend(left.map(|dynamic| (name, dynamic)));
    }

    /// Has the tables hold what is left.
    pub fn record(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(NAMES)?;
        for (name, dynamic) in &self.rewritten {
            match dynamic {
                Some(dynamic) => table.insert(name.as_ref(), format::encode(dynamic)?.as_slice())?,
                None => table.remove(name.as_ref())?,
            };
        }
        let mut table = transaction.open_table(FLOORS)?;
        for (key, owner) in &self.over {
            table.remove((key.as_ref(), owner.as_ref()))?;
        }
        Ok(())
    }
}

/// Dynamics with their graces as ends from `now_ms` on.
pub(super) fn from_now(dynamics: &[(Box<[u8]>, Dynamic)], now_ms: u64) -> Dynamics {
    let each = dynamics.iter().map(|(name, dynamic)| {
        let mut dynamic = dynamic.clone();
        for added in dynamic.added.iter_mut().filter(|added| added.term.ends_ms < PERMANENT_MS) {
            added.term.ends_ms = added.term.ends_ms.saturating_add(now_ms);
        }
        (name.as_ref().into(), dynamic.into())
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::change::{Change, NameFloor};
    use crate::membership::{Cause, Signed};
    use crate::store::tests::{AT, WALL_MS, dir, open};
    use crate::store::{Loaded, Moment};
    use crate::wire::Name;
    use crate::zone::{Added, Dynamic, NameChange, PERMANENT_MS, Term};

    fn changed(name: &[u8], leases_ms: &[Option<u32>], heard_run: u32) -> Change {
        let added = leases_ms.iter().enumerate().map(|(n, &lease_ms)| Added {
            rtype: 16,
            rdata: vec![1, b'a' + n as u8].into(),
            term: Term { lease_ms, heard_run, ends_ms: 0 },
        });
        let dynamic = Dynamic {
            added: added.collect(),
            deleted: vec![(1, [10, 0, 0, 1].into())],
            ttls: vec![(16, 60)],
        };
        let after = Some(Arc::new(dynamic));
        let (cause, rrsets) = (Cause::Changed, Arc::from([]));
        Change::Name(NameChange {
            name: name.into(),
            cause,
            before: None,
            after,
            rrsets,
            is_visible: true,
            key: None,
        })
    }

    fn raised(before_s: Option<u64>, at_s: u64) -> Change {
        let (key, name) = (Name::bytes_from_str("k.").unwrap(), b"\x01a\x00"[..].into());
        let signed = |at_s| Signed::new(at_s, 300, at_s);
        let (before, floor) = (before_s.map(signed), Some(signed(at_s)));
        Change::Floor(NameFloor { key, name, before, floor, is_durable: true })
    }

    fn left_ms(loaded: &Loaded, now_ms: u64) -> Vec<u64> {
        let dynamics = loaded.dynamics(now_ms);
        dynamics
            .iter()
            .flat_map(|(_, dynamic)| dynamic.added.iter().map(|added| added.term.ends_ms))
            .collect()
    }

    #[test]
    fn permanent_records_come_back_and_leased_ones_for_one_grace() {
        let state = dir();
        let (mut store, _) = open(state.path(), WALL_MS);
        store.commit(&[changed(b"\x01a\x00", &[None, Some(30_000), Some(3_600_000)], 1)], &[], AT).unwrap();
        drop(store);
        let (store, loaded) = open(state.path(), WALL_MS + 86_400_000);
        assert_eq!(left_ms(&loaded, 7), [PERMANENT_MS, 30_007, 60_007]);
        drop(store);
        let (store, loaded) = open(state.path(), WALL_MS + 86_440_000);
        assert_eq!(left_ms(&loaded, 0), [PERMANENT_MS, 20_000], "a second start gives what is left");
        drop(store);
        let (_, loaded) = open(state.path(), WALL_MS + 90_000_000);
        assert_eq!(left_ms(&loaded, 0), [PERMANENT_MS]);
        assert_eq!(loaded.dynamics(0)[0].1.deleted.len(), 1);
    }

    #[test]
    fn a_name_without_difference_is_forgotten() {
        let state = dir();
        let (mut store, _) = open(state.path(), WALL_MS);
        let change = changed(b"\x01a\x00", &[None], 1);
        let moment = Moment { now_ms: 9, ..AT };
        store.commit(&[change.clone(), change.reversed()], &[], moment).unwrap();
        drop(store);
        assert!(open(state.path(), WALL_MS).1.dynamics(0).is_empty());
    }

    #[test]
    fn a_floor_outlives_a_restart_by_two_fudges() {
        let state = dir();
        let (mut store, _) = open(state.path(), WALL_MS);
        store.commit(&[raised(None, WALL_MS / 1000)], &[], AT).unwrap();
        drop(store);
        let (store, loaded) = open(state.path(), WALL_MS + 599_000);
        assert_eq!(loaded.floors.len(), 1);
        drop(store);
        assert!(open(state.path(), WALL_MS + 600_000).1.floors.is_empty());
    }

    #[test]
    fn a_floor_that_was_taken_back_is_the_one_before() {
        let state = dir();
        let (mut store, _) = open(state.path(), WALL_MS);
        let (first, second) = (WALL_MS / 1000 - 9, WALL_MS / 1000);
        let raised = [raised(None, first), raised(Some(first), second)];
        store.commit(&raised, &[], AT).unwrap();
        store.commit(&[raised[1].reversed()], &[], AT).unwrap();
        drop(store);
        let (mut store, loaded) = open(state.path(), WALL_MS);
        let floor = loaded.floors[0].floor.unwrap();
        assert!(floor.at_s == first && floor.is_sealed);
        store.commit(&[raised[0].reversed()], &[], AT).unwrap();
        drop(store);
        assert!(open(state.path(), WALL_MS).1.floors.is_empty());
    }
}
