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

use std::collections::BTreeMap;
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::format::{self, MEMBERS, RUNS, SERIALS};
use super::{Loaded, Returning};
use crate::membership::{MemberName, PoolHandle, SLOTS_MAX};

/// The longest grace, however long the lease.
const GRACE_MS_MAX: u32 = 60_000;

/// When runs began by the wall clock, milliseconds since 1970, by number.
type Runs = BTreeMap<u32, u64>;
/// A member that does not come back.
type Gone = (PoolHandle, MemberName);

/// Begins the next run: reads everything, then, in one transaction, records the run and forgets the members whose grace
/// is over and the runs from which no grace counts any more.
pub(super) fn begin_run(db: &Database, wall_ms: u64) -> Result<Loaded, redb::Error> {
    let stored = db.begin_read()?;
    let mut runs = read_runs(&stored, wall_ms)?;
    let last = runs.last_key_value().map_or(0, |(&last, _)| last);
    let run = last.checked_add(1).ok_or_else(|| corrupted(format!("run {last} is the last there can be")))?;
    runs.insert(run, wall_ms);

    let (members, gone) = read_members(&stored, run, &mut runs, wall_ms)?;
    let mut serials = Vec::new();
    for entry in stored.open_table(SERIALS)?.iter()? {
        let (apex, serial) = entry?;
        serials.push((apex.value().into(), serial.value()));
    }
    stored.close()?;

    let first = members.iter().map(|returning| returning.member.heard_run + 1).min().unwrap_or(run);
    record_run(db, &runs.split_off(&first), &gone)?;
    Ok(Loaded { run, members, serials, gone: gone.len() })
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

/// Members that come back, and those that do not. A run that graces count from and that is not among `runs` is taken to
/// begin now.
fn read_members(
    stored: &ReadTransaction,
    run: u32,
    runs: &mut Runs,
    wall_ms: u64,
) -> Result<(Vec<Returning>, Vec<Gone>), redb::Error> {
    let table = stored.open_table(MEMBERS)?;
    let mut members = Vec::with_capacity((table.len()? as usize).min(SLOTS_MAX));
    let mut gone = Vec::new();
    let mut pool: PoolHandle = Arc::default();
    for entry in table.iter()? {
        let (key, value) = entry?;
        let (pool_octets, name) = key.value();
        let bad = |why| {
            corrupted(format!("member {} of pool {}: {why}", name.escape_ascii(), pool_octets.escape_ascii()))
        };
        let member = format::decode(value.value()).map_err(bad)?;
        // A grace from a run that has not been would never begin to run out.
        let Some(first) = member.heard_run.checked_add(1).filter(|&first| first <= run) else {
            return Err(bad(format!("last heard in run {}, and this is run {run}", member.heard_run)));
        };
        // Keys are in order, so a pool's members come together and share its handle.
        if *pool != *pool_octets {
            pool = pool_octets.into();
        }
        let began_ms = *runs.entry(first).or_insert(wall_ms);
        match grace_left_ms(member.lease_ms, wall_ms.saturating_sub(began_ms)) {
            0 => gone.push((pool.clone(), name.into())),
            grace_ms => members.push(Returning { pool: pool.clone(), name: name.into(), member, grace_ms }),
        }
    }
    Ok((members, gone))
}

/// What is left of a member's grace when `used_ms` have gone by since it began.
fn grace_left_ms(lease_ms: u32, used_ms: u64) -> u32 {
    let whole_ms = lease_ms.min(GRACE_MS_MAX);
    whole_ms.saturating_sub(u32::try_from(used_ms).unwrap_or(u32::MAX))
}

fn record_run(db: &Database, runs: &Runs, gone: &[Gone]) -> Result<(), redb::Error> {
    let transaction = db.begin_write()?;
    {
        let mut table = transaction.open_table(RUNS)?;
        table.retain(|run, _| runs.contains_key(&run))?;
        for (run, began_ms) in runs {
            table.insert(run, began_ms)?;
        }
        let mut members = transaction.open_table(MEMBERS)?;
        for (pool, name) in gone {
            members.remove((pool.as_ref(), name.as_ref()))?;
        }
    }
    Ok(transaction.commit()?)
}

fn corrupted(what: String) -> redb::Error {
    redb::Error::Corrupted(what)
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase, ReadableTable};

    use crate::membership::{Cause, Member};
    use crate::store::Store;
    use crate::store::format;
    use crate::store::tests::{WALL_MS, change, dir, graces, joined, member, open, open_after};

    fn runs(store: &Store) -> Vec<u32> {
        let table = store.db.as_ref().unwrap().begin_read().unwrap().open_table(format::RUNS).unwrap();
        table.iter().unwrap().map(|entry| entry.unwrap().0.value()).collect()
    }

    #[test]
    fn a_crash_loop_spends_one_grace() {
        let state = dir();
        let (mut store, _) = open(state.path(), WALL_MS);
        store.commit(&[joined("m1", 1), joined("m2", 1)], &[]).unwrap();
        drop(store);

        // However long the server was away: the grace counts from the first start after it.
        let second = WALL_MS + 86_400_000;
        let (mut store, loaded) = open(state.path(), second);
        assert_eq!(graces(&loaded), [("m1".into(), 30_000), ("m2".into(), 30_000)]);
        // m1 is heard again in this run, m2 is not.
        store.commit(&[change("m1", Cause::Renewed, Some(member(1)), Some(member(2)))], &[]).unwrap();
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
        store.commit(&[joined("m1", 1), change("m2", Cause::Joined, None, Some(long))], &[]).unwrap();
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
        store.commit(&[joined("m1", 1)], &[]).unwrap();
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
