//! Who comes back after a restart, and for how long.
//!
//! A renewal is not written, so after a crash nobody knows when a member was last heard, only in which run. It gets the
//! benefit of that doubt once: a grace from the first start after that run, in which to renew. Later starts give what is
//! left of the same grace, else a server that crashes in a loop would answer with the dead for ever.
//!
//! ```text
//!  run h            | run h+1      | run h+2
//!  ...heartbeats... X grace begins X the rest of it
//! ```
//!
//! A permanent member comes back whole, always; one that drains, for no longer than its drain: if that ended while nobody served,
//! it has left. A name is kept for its KEY-LEASE from the moment at which the grace began, and
//! a floor for two fudges from the moment at which it is over: a member whose grace is over comes back as absent.
//!
//! The wall clock may have been set back meanwhile. Then nothing lasts longer than if it began now, and a floor that no
//! message could have been signed at is this moment: what was signed before is refused, and nobody has to wait for the
//! clock to catch up.

use std::mem;
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::drains::{self, Drains};
use super::format::{self, ABSENCES, MEMBERS, RUNS, SERIALS, StoredAbsence};
use super::grace::{Runs, bad_entry, believable, corrupted, grace_left_ms, grace_ms, share};
use super::names::{self, Names};
use super::{Absent, Loaded, Returning};
use crate::membership::{FOREVER_MS, LEASE_FOREVER_MS, Member, MemberName, PoolHandle, Signed};

/// Which entry of a table.
type Key = (PoolHandle, MemberName);

/// What there is of members after a restart beside those who come back, and what the tables are to hold of it.
#[derive(Default)]
struct Found {
    /// The first run from whose start a grace counts of what comes back.
    first_run: Option<u32>,
    absent: Vec<Absent>,
    /// Members that do not come back.
    gone: Vec<Key>,
    /// Absences that are new, or were written by a clock that was set back since.
    kept: Vec<(Key, StoredAbsence)>,
    /// Absences that are over.
    over: Vec<Key>,
    /// Members that drain, and were written by a clock that was set back since.
    rewritten: Vec<(Key, Vec<u8>)>,
}

/// The next run on a file, as far as it has begun: nothing is recorded yet.
pub(super) struct Begun {
    /// Its number.
    pub run: u32,
    runs: Runs,
    names: Names,
    drains: Drains,
}

/// Reads what there is beside members and what is left of those who are gone. Of a file of format `version`, at `wall_ms`.
pub(super) fn begin_run(db: &Database, version: u32, wall_ms: u64) -> Result<(Begun, Loaded), redb::Error> {
    let stored = db.begin_read()?;
    let mut runs = read_runs(&stored, wall_ms)?;
    let last = runs.last_key_value().map_or(0, |(&last, _)| last);
    let run = last.checked_add(1).ok_or_else(|| corrupted(format!("run {last} is the last there can be")))?;
    runs.insert(run, wall_ms);
    let mut names = names::read(&stored, run, &mut runs, wall_ms)?;
    let is_before = version < format::VERSION;
    let mut drains = if is_before { Drains::default() } else { drains::read(&stored, wall_ms)? };
    let mut serials = Vec::new();
    for entry in stored.open_table(SERIALS)?.iter()? {
        let (apex, serial) = entry?;
        serials.push((apex.value().into(), serial.value()));
    }
    let held = stored.open_table(MEMBERS)?.len()?;
    stored.close()?;
    let loaded = Loaded {
        run,
        held,
        members: Vec::new(),
        absent: Vec::new(),
        drains: mem::take(&mut drains.on),
        dynamics: mem::take(&mut names.dynamics),
        floors: mem::take(&mut names.floors),
        serials,
        gone: 0,
        upgraded_from: is_before.then_some(version),
        compacted: None,
    };
    Ok((Begun { run, runs, names, drains }, loaded))
}

impl Begun {
    /// Reads the members and gives those that come back to `take`, in their order, and then, in one transaction, records the run
    /// and forgets the members whose grace is over, the absences and drains that are, and the runs from which no grace counts any
    /// more. The same transaction makes a file of the format before one of this. Of whom something is left although they do not
    /// come back, and how many do not.
    pub fn finish(
        mut self,
        db: &Database,
        wall_ms: u64,
        take: &mut dyn FnMut(Returning),
    ) -> Result<(Vec<Absent>, usize), redb::Error> {
        let mut found = Found { first_run: self.names.first_run, ..Found::default() };
        let stored = db.begin_read()?;
        read_absences(&stored, &mut found, wall_ms)?;
        read_members(&stored, &mut self, &mut found, wall_ms, take)?;
        stored.close()?;
        let first = found.first_run.unwrap_or(self.run);
        record_run(db, &self.runs.split_off(&first), &found, &self.names, &self.drains)?;
        Ok((found.absent, found.gone.len()))
    }
}

/// The recorded runs. None began later than now: if the clock was set back, the graces from a run begin anew once, and not
/// again at every start until the clock has caught up.
fn read_runs(stored: &ReadTransaction, wall_ms: u64) -> Result<Runs, redb::Error> {
    let mut runs = Runs::new();
    for entry in stored.open_table(RUNS)?.iter()? {
        let (run, began_ms) = entry?;
        runs.insert(run.value(), began_ms.value().min(wall_ms));
    }
    Ok(runs)
}

/// Gives the members that come back to `take`, and finds those that do not. A run that graces count from and that is not among `runs` is taken to
/// begin now.
fn read_members(
    stored: &ReadTransaction,
    Begun { run, runs, .. }: &mut Begun,
    found: &mut Found,
    wall_ms: u64,
    take: &mut dyn FnMut(Returning),
) -> Result<(), redb::Error> {
    let (run, table) = (*run, stored.open_table(MEMBERS)?);
    let mut pool: PoolHandle = Arc::default();
    for entry in table.iter()? {
        let (key, value) = entry?;
        let (pool_octets, name) = key.value();
        let bad = |why| bad_entry("member", pool_octets, name, why);
        let (member, floor, drain) = format::decode_member(value.value()).map_err(bad)?;
        let floor = floor.map(|floor| believable(floor, wall_ms));
        // A grace from a run that has not been would never begin to run out.
        let Some(first) = member.heard_run.checked_add(1).filter(|&first| first <= run) else {
            return Err(bad(format!("last heard in run {}, and this is run {run}", member.heard_run)));
        };
        share(&mut pool, pool_octets);
        let used_ms = match member.lease_ms {
            LEASE_FOREVER_MS => 0,
            _ => wall_ms.saturating_sub(*runs.entry(first).or_insert(wall_ms)),
        };
        let name_left_ms = name_left_ms(&member, used_ms);
        let (pool, name) = (Arc::clone(&pool), MemberName::from(name));
        let drain_left_ms = drain.map(|end| end.left_ms(wall_ms));
        let floor_left_ms = match drain_left_ms {
            // It has left, nobody knows when: what was signed before is a replay for as long as if it were now.
            Some(0) => floor.map(Signed::kept_ms),
            _ => floor.map(|floor| floor_left_ms(floor, member.lease_ms, used_ms)),
        };
        let grace_ms = grace_left_ms(member.lease_ms, used_ms);
        if grace_ms == 0 || drain_left_ms == Some(0) {
            let (owner, floor_left_ms) = (member.owner, floor_left_ms.unwrap_or(0));
            found.leave(Absent { pool, name, owner, name_left_ms, floor, floor_left_ms }, wall_ms);
            continue;
        }
        if let Some(end) = drain.and_then(|end| end.set_back(wall_ms)) {
            let entry = format::encode(&(&member, floor, Some(end)))?;
            found.rewritten.push(((Arc::clone(&pool), name.clone()), entry));
        }
        if grace_ms != LEASE_FOREVER_MS {
            found.first_run = Some(found.first_run.map_or(first, |held| held.min(first)));
        }
        take(Returning { pool, name, member, grace_ms, name_left_ms, floor, drain_left_ms });
    }
    Ok(())
}

/// What is left of members that were gone before the restart.
fn read_absences(stored: &ReadTransaction, found: &mut Found, wall_ms: u64) -> Result<(), redb::Error> {
    let mut pool: PoolHandle = Arc::default();
    for entry in stored.open_table(ABSENCES)?.iter()? {
        let (key, value) = entry?;
        let (pool_octets, name) = key.value();
        let bad = |why| bad_entry("absence of", pool_octets, name, why);
        let stored: StoredAbsence = format::decode(value.value()).map_err(bad)?;
        share(&mut pool, pool_octets);
        // What was left when it was written is the most that can be left.
        let used_until_ms = wall_ms.max(stored.written_ms);
        let absent = Absent {
            pool: Arc::clone(&pool),
            name: name.into(),
            name_left_ms: match stored.name_ends_ms {
                u64::MAX => FOREVER_MS,
                ends_ms => ends_ms.saturating_sub(used_until_ms),
            },
            floor: stored.floor.map(|floor| believable(floor, wall_ms)),
            floor_left_ms: stored.floor_ends_ms.saturating_sub(used_until_ms),
            owner: stored.owner,
        };
        if absent.is_over() {
            found.over.push((absent.pool, absent.name));
            continue;
        }
        if stored.written_ms > wall_ms {
            found.kept.push(((Arc::clone(&absent.pool), absent.name.clone()), absent.stored(wall_ms)));
        }
        found.absent.push(absent);
    }
    Ok(())
}

impl Found {
    /// A member does not come back, but perhaps something of it is left.
    fn leave(&mut self, absent: Absent, wall_ms: u64) {
        let key = (Arc::clone(&absent.pool), absent.name.clone());
        if !absent.is_over() {
            self.kept.push((key.clone(), absent.stored(wall_ms)));
            self.absent.push(absent);
        }
        self.gone.push(key);
    }
}

impl Absent {
    fn is_over(&self) -> bool {
        self.name_left_ms == 0 && self.floor_left_ms == 0
    }

    fn stored(&self, wall_ms: u64) -> StoredAbsence {
        let name_ends_ms = match self.name_left_ms {
            FOREVER_MS => u64::MAX,
            left_ms => wall_ms.saturating_add(left_ms),
        };
        StoredAbsence {
            owner: self.owner.clone(),
            name_ends_ms,
            floor: self.floor,
            floor_ends_ms: wall_ms.saturating_add(self.floor_left_ms),
            written_ms: wall_ms,
        }
    }
}

/// For how much longer its name is a member's when `used_ms` have gone by since its grace began.
fn name_left_ms(member: &Member, used_ms: u64) -> u64 {
    match member.key_lease_ms {
        LEASE_FOREVER_MS => FOREVER_MS,
        key_lease_ms => u64::from(key_lease_ms).saturating_sub(used_ms),
    }
}

/// For how much longer a floor counts of a member whose grace is over.
fn floor_left_ms(floor: Signed, lease_ms: u32, used_ms: u64) -> u64 {
    (u64::from(grace_ms(lease_ms)) + floor.kept_ms()).saturating_sub(used_ms)
}

fn record_run(
    db: &Database,
    runs: &Runs,
    found: &Found,
    names: &Names,
    drains: &Drains,
) -> Result<(), redb::Error> {
    let transaction = db.begin_write()?;
    format::record_version(&transaction)?;
    names.record(&transaction)?;
    drains.record(&transaction)?;
    {
        let mut table = transaction.open_table(RUNS)?;
        table.retain(|run, _| runs.contains_key(&run))?;
        for (run, began_ms) in runs {
            table.insert(run, began_ms)?;
        }
        let mut members = transaction.open_table(MEMBERS)?;
        for ((pool, name), entry) in &found.rewritten {
            members.insert((pool.as_ref(), name.as_ref()), entry.as_slice())?;
        }
        for (pool, name) in &found.gone {
            members.remove((pool.as_ref(), name.as_ref()))?;
        }
        let mut absences = transaction.open_table(ABSENCES)?;
        for (pool, name) in &found.over {
            absences.remove((pool.as_ref(), name.as_ref()))?;
        }
        for ((pool, name), absence) in &found.kept {
            absences.insert((pool.as_ref(), name.as_ref()), format::encode(absence)?.as_slice())?;
        }
    }
    Ok(transaction.commit()?)
}

/// Goes on with a run after others have begun in which nobody was heard: they have not been, as far as graces go. The run
/// itself is recorded again, for a start forgets runs that no grace counts from, and the next one must not have its number.
pub(super) fn resume_run(db: &Database, run: u32, began_ms: u64) -> Result<(), redb::Error> {
    let transaction = db.begin_write()?;
    {
        let mut table = transaction.open_table(RUNS)?;
        table.retain(|other, _| other <= run)?;
        table.insert(run, began_ms)?;
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase, ReadableTable};

    use crate::membership::{Cause, Member};
    use crate::store::Store;
    use crate::store::format;
    use crate::store::tests::{AT, WALL_MS, change, dir, graces, joined, member, open, open_after};

    fn runs(store: &Store) -> Vec<u32> {
        let table = store.db.as_ref().unwrap().begin_read().unwrap().open_table(format::RUNS).unwrap();
        table.iter().unwrap().map(|entry| entry.unwrap().0.value()).collect()
    }

    #[test]
    fn a_crash_loop_spends_one_grace() {
        let state = dir();
        let (mut store, _) = open(state.path(), WALL_MS);
        store.commit(&[joined("m1", 1), joined("m2", 1)], &[], AT).unwrap();
        drop(store);

        // However long the server was away: the grace counts from the first start after it.
        let second = WALL_MS + 86_400_000;
        let (mut store, loaded) = open(state.path(), second);
        assert_eq!(graces(&loaded), [("m1".into(), 30_000), ("m2".into(), 30_000)]);
        // m1 is heard again in this run, m2 is not.
        store.commit(&[change("m1", Cause::Renewed, Some(member(1)), Some(member(2)))], &[], AT).unwrap();
        drop(store);

        let (store, loaded) = open(state.path(), second + 10_000);
        assert_eq!(graces(&loaded), [("m1".into(), 30_000), ("m2".into(), 20_000)]);
        drop(store);
        let (store, loaded) = open(state.path(), second + 29_999);
        assert_eq!(graces(&loaded), [("m1".into(), 10_001), ("m2".into(), 1)]);
        drop(store);
        let (store, loaded) = open(state.path(), second + 30_000);
        assert_eq!((graces(&loaded), loaded.gone), (vec![("m1".into(), 10_000)], 1));
        drop(store);
        let (store, loaded) = open(state.path(), second + 40_000);
        assert_eq!(
            (loaded.run, loaded.members.len(), loaded.gone),
            (6, 0, 1),
            "m2 was forgotten the last time"
        );
        drop(store);
        let (store, loaded) = open(state.path(), second);
        assert_eq!((loaded.run, loaded.members.len(), loaded.gone), (7, 0, 0));
        assert_eq!(runs(&store), [7], "earlier runs are of no use to anybody");
    }

    #[test]
    fn setting_the_clock_never_lengthens_a_grace() {
        let state = dir();
        let (mut store, _) = open(state.path(), WALL_MS);
        let long = Member { lease_ms: 3_600_000, ..member(1) };
        store.commit(&[joined("m1", 1), change("m2", Cause::Joined, None, Some(long))], &[], AT).unwrap();
        drop(store);
        drop(open(state.path(), WALL_MS));

        // An hour back: nobody knows how much was used, so the whole grace again, but no more than that, and only once.
        let back = WALL_MS - 3_600_000;
        let (store, loaded) = open(state.path(), back);
        assert_eq!(graces(&loaded), [("m1".into(), 30_000), ("m2".into(), 60_000)]);
        drop(store);
        let (store, loaded) = open(state.path(), back + 25_000);
        assert_eq!(graces(&loaded), [("m1".into(), 5_000), ("m2".into(), 35_000)]);
        drop(store);
        // Far ahead, past what 32 bits of milliseconds hold.
        let (_, loaded) = open(state.path(), WALL_MS + u64::from(u32::MAX) + 1);
        assert_eq!((loaded.members.len(), loaded.gone), (0, 2));
    }

    #[test]
    fn a_run_that_was_not_recorded_begins_now() {
        let state = dir();
        let (mut store, _) = open(state.path(), WALL_MS);
        store.commit(&[joined("m1", 1)], &[], AT).unwrap();
        drop(store);
        let (store, _) = open(state.path(), WALL_MS);
        drop(open_after(store, |transaction| {
            transaction.open_table(format::RUNS).unwrap().remove(2).unwrap();
            transaction.open_table(format::RUNS).unwrap().insert(3, WALL_MS).unwrap();
        }));
        let (store, loaded) = open(state.path(), WALL_MS + 50_000);
        assert_eq!((loaded.run, graces(&loaded)), (4, vec![("m1".into(), 30_000)]));
        drop(store);
        let (_, loaded) = open(state.path(), WALL_MS + 60_000);
        assert_eq!(graces(&loaded), [("m1".into(), 20_000)], "once");
    }
}
