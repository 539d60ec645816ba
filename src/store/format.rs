//! What the file holds.
//!
//! ```text
//!  meta      "format"      -> VERSION
//!  members   (pool, name)  -> an octet ENTRY, then the Member, its floor and the end of its own drain in postcard
//!  drains    (pool, name)  -> an octet ENTRY, then the StoredDrain of an operator's drain in postcard
//!  absences  (pool, name)  -> an octet ENTRY, then a StoredAbsence in postcard
//!  names     name          -> an octet ENTRY, then the name's Dynamic in postcard
//!  floors    (key, name)   -> an octet ENTRY, then the Signed of the newest message by the key that changed the name
//!  runs      run           -> when it began, milliseconds since 1970; the last one, and those that a grace counts from
//!  serials   apex          -> the zone's serial
//! ```
//!
//! redb puts a pool's length before it. A name is a member's or absent, never both; its drain is apart from either. [`VERSION`]
//! counts changes to the tables, [`ENTRY`] changes to the encoding of what is in them.
//!
//! A start reads the format before its own as well. The transaction that begins the run makes the table that is missing and
//! writes the new number, or does neither. Entries stay as they are until they are written anew: the octet in front says how to
//! read each, and a disk that is nearly full need not hold the whole store twice for an upgrade. Format 2 knew no drains; its
//! members were a pair, its other entries are those of today.

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use redb::{Builder, Database, ReadableDatabase, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::membership::{FOREVER_MS, Member, Signed};

/// The format that this program writes.
pub(super) const VERSION: u32 = 3;
/// The oldest format that it reads.
pub(super) const VERSION_BEFORE: u32 = 2;
/// How entries are encoded.
const ENTRY: u8 = 3;
/// How they were in format 2.
const ENTRY_BEFORE: u8 = 2;

const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
const FORMAT: &str = "format";

/// Members by pool and name.
pub(super) const MEMBERS: TableDefinition<'_, (&[u8], &[u8]), &[u8]> = TableDefinition::new("members");
/// Operators' drains, by pool and name of the member.
pub(super) const DRAINS: TableDefinition<'_, (&[u8], &[u8]), &[u8]> = TableDefinition::new("drains");
/// What is left of members that are gone, by pool and name.
pub(super) const ABSENCES: TableDefinition<'_, (&[u8], &[u8]), &[u8]> = TableDefinition::new("absences");
/// What UPDATE made of ordinary records, by owner.
pub(super) const NAMES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("names");
/// The newest signed message that changed ordinary records, by the key's name and the owner.
pub(super) const FLOORS: TableDefinition<'_, (&[u8], &[u8]), &[u8]> = TableDefinition::new("floors");
/// Runs by number.
pub(super) const RUNS: TableDefinition<'_, u32, u64> = TableDefinition::new("runs");
/// Serials by zone apex.
pub(super) const SERIALS: TableDefinition<'_, &[u8], u32> = TableDefinition::new("serials");

/// A member, the newest signed message accepted for it, and when its own drain ends, as read.
pub(super) type StoredMember = (Member, Option<Signed>, Option<StoredEnd>);

/// An end by the wall clock, milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredEnd {
    /// [`u64::MAX`] for never.
    pub ends_ms: u64,
    /// When this was written: if the clock is behind that now, it was set back.
    pub written_ms: u64,
}

impl StoredEnd {
    /// What is left at a moment of the wall clock, milliseconds, and no more than when this was written; [`FOREVER_MS`] if it
    /// never ends.
    pub fn left_ms(self, wall_ms: u64) -> u64 {
        match self.ends_ms {
            u64::MAX => FOREVER_MS,
            ends_ms => ends_ms.saturating_sub(wall_ms.max(self.written_ms)),
        }
    }

    /// The same as of this moment, if the clock was set back since it was written: else each start would give what was left
    /// then, until the clock has caught up.
    pub fn set_back(self, wall_ms: u64) -> Option<StoredEnd> {
        (self.written_ms > wall_ms).then(|| {
            let left_ms = self.left_ms(wall_ms);
            let ends_ms = if left_ms == FOREVER_MS { u64::MAX } else { wall_ms.saturating_add(left_ms) };
            StoredEnd { ends_ms, written_ms: wall_ms }
        })
    }
}

/// An operator's [`Drain`](crate::membership::Drain) with its end by the wall clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredDrain {
    pub by: Box<str>,
    pub why: Box<str>,
    pub end: StoredEnd,
}

/// An [`Absence`](crate::membership::Absence) with its ends by the wall clock, milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredAbsence {
    pub owner: Arc<str>,
    /// [`u64::MAX`] for a name that is kept for ever.
    pub name_ends_ms: u64,
    pub floor: Option<Signed>,
    pub floor_ends_ms: u64,
    /// When this was written: if the clock is behind that now, it was set back.
    pub written_ms: u64,
}

/// Makes a store without members or runs at `path`, under another name until it is complete: what has the name has the
/// tables. The caller holds the directory's lock, and makes the name durable.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io(&draft)(error)),
        _ => {}
    }
    fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(StoreError::io(&draft))?;
    initialise(&draft).map_err(|error| StoreError::from_redb(&draft, error))?;
    fs::rename(&draft, path).map_err(StoreError::io(path))
}

fn initialise(path: &Path) -> Result<(), redb::Error> {
    let db = Database::create(path)?;
    let transaction = db.begin_write()?;
    record_version(&transaction)?;
    transaction.open_table(MEMBERS)?;
    transaction.open_table(DRAINS)?;
    transaction.open_table(ABSENCES)?;
    transaction.open_table(NAMES)?;
    transaction.open_table(FLOORS)?;
    transaction.open_table(RUNS)?;
    transaction.open_table(SERIALS)?;
    transaction.commit()?;
    Ok(db.close()?)
}

/// Opens the database that must be at `path`.
///
/// redb may panic on a file that something else has damaged, unless it is told to verify every page first; then it says
/// `Corrupted`. The price is one reading of the file at each start, which happens after a crash anyway, and which is
/// followed by reading every member.
pub(super) fn database(path: &Path, cache_bytes: usize) -> Result<Database, StoreError> {
    Builder::new()
        .set_cache_size(cache_bytes)
        .set_check_integrity_on_open(true)
        .open(path)
        .map_err(|error| StoreError::from_redb(path, error))
}

/// The format of an open database.
pub(super) fn version(db: &Database) -> Result<u32, redb::Error> {
    let meta = db.begin_read()?.open_table(META)?;
    let version = meta.get(FORMAT)?.ok_or_else(|| redb::Error::Corrupted("no format version".to_owned()))?;
    Ok(version.value())
}

/// Has the database be of this program's format; its tables are the transaction's other part.
pub(super) fn record_version(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(META)?.insert(FORMAT, VERSION)?;
    Ok(())
}

/// An entry as stored.
pub(super) fn encode(entry: &impl Serialize) -> Result<Vec<u8>, redb::Error> {
    // Writing to a Vec cannot fail, and neither has anything that postcard lacks.
    postcard::to_extend(entry, vec![ENTRY]).map_err(|error| redb::Error::Corrupted(error.to_string()))
}

/// A member as either encoding has it.
pub(super) fn decode_member(octets: &[u8]) -> Result<StoredMember, String> {
    if octets.first() == Some(&ENTRY_BEFORE) {
        return decode(octets).map(|(member, floor)| (member, floor, None));
    }
    decode(octets)
}

/// What `octets` hold, whole; `Err` says what is wrong with them.
pub(super) fn decode<T: DeserializeOwned>(octets: &[u8]) -> Result<T, String> {
    match octets.split_first() {
        Some((&(ENTRY | ENTRY_BEFORE), rest)) => match postcard::take_from_bytes(rest) {
            Ok((entry, [])) => Ok(entry),
            Ok((_, extra)) => Err(format!("{} octets after its end", extra.len())),
            Err(error) => Err(error.to_string()),
        },
        Some((other, _)) => {
            Err(format!("encoding {other}, this rollcall reads encodings {ENTRY_BEFORE} and {ENTRY}"))
        }
        None => Err("empty".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{
        AT, CACHE_BYTES, LEASE_MS, WALL_MS, dir, graces, joined, killed, member, open, open_after, refused,
    };
    use crate::store::{FILE_NAME, Store};

    /// Who came back, and with how much grace.
    type Graces = Vec<(String, u32)>;

    const KEY: (&[u8], &[u8]) = (b"\x03web\x00", b"m1");

    #[test]
    fn entries_that_make_no_sense_are_reported_and_kept() {
        let stored = |heard_run| encode(&(member(heard_run), None::<Signed>, None::<StoredEnd>)).unwrap();
        let good = stored(1);
        let long = [good.as_slice(), b"\x00"].concat();
        let other = [b"\x01".as_slice(), good.get(1..).unwrap()].concat();
        let from_the_future = stored(2);
        let last = stored(u32::MAX);
        for (value, why) in [
            (b"".as_slice(), "member m1 of pool \\x03web\\x00: empty"),
            (good.get(..good.len() - 1).unwrap(), "m1"),
            (&long, "1 octets after its end"),
            (&other, "encoding 1, this rollcall reads encodings 2 and 3"),
            (&from_the_future, "last heard in run 2, and this is run 2"),
            (&last, "last heard in run 4294967295"),
        ] {
            let state = dir();
            drop(open_after(open(state.path(), WALL_MS).0, |transaction| {
                transaction.open_table(MEMBERS).unwrap().insert(KEY, value).unwrap();
            }));
            for _ in 0..2 {
                let error = refused(state.path());
                assert!(
                    matches!(&error, StoreError::Corrupt { what, .. } if what.contains(why)),
                    "{why}: {error}"
                );
                assert!(error.to_string().contains(state.path().to_str().unwrap()), "{error}");
            }
        }
    }

    #[test]
    fn another_format_is_refused_and_left_alone() {
        let state = dir();
        let (mut store, _) = open(state.path(), WALL_MS);
        store.commit(&[joined("m1", 1)], &[], AT).unwrap();
        drop(store);
        for found in [1, 4] {
            set_format(state.path(), found);
            for _ in 0..2 {
                let error = refused(state.path());
                assert!(matches!(error, StoreError::Version { found: it, .. } if it == found), "{error}");
                let says = format!(
                    "store format {found}, this rollcall reads formats 2 and 3; start the version that"
                );
                assert!(error.to_string().contains(&says), "{error}");
            }
        }
        set_format(state.path(), VERSION);
        let (_, loaded) = open(state.path(), WALL_MS);
        assert_eq!((loaded.run, graces(&loaded)), (2, vec![("m1".into(), LEASE_MS)]));
    }

    /// Writes another format's number.
    fn set_format(state: &Path, version: u32) {
        let db = redb::Database::open(state.join(FILE_NAME)).unwrap();
        let transaction = db.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert(FORMAT, version).unwrap();
        transaction.commit().unwrap();
    }

    #[test]
    fn what_is_not_ours_is_refused_and_kept() {
        let state = dir();
        let path = state.path().join(FILE_NAME);
        for garbage in [b"".as_slice(), b"x", &[0; 4096], &[0xA5; 100_000]] {
            std::fs::write(&path, garbage).unwrap();
            let error = refused(state.path());
            assert!(matches!(error, StoreError::Foreign { .. } | StoreError::Corrupt { .. }), "{error}");
            assert!(std::fs::read(&path).unwrap() == garbage, "{} octets are kept", garbage.len());
        }
        std::fs::remove_file(&path).unwrap();
        let db = redb::Database::create(&path).unwrap();
        let transaction = db.begin_write().unwrap();
        transaction.open_table(TableDefinition::<u8, u8>::new("somebody's")).unwrap();
        transaction.commit().unwrap();
        drop(db);
        let error = refused(state.path());
        assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    }

    #[test]
    fn a_half_made_store_is_made_again() {
        let state = dir();
        std::fs::write(state.path().join("rollcall.new"), b"redb, or the first half of it").unwrap();
        let (_, loaded) = open(state.path(), WALL_MS);
        assert_eq!(loaded.run, 1);
        assert!(!state.path().join("rollcall.new").exists());
    }

    /// Three states of a store, one commit apart, and the files that a kill and a clean end leave of the last one.
    fn history() -> ([Graces; 3], [Vec<u8>; 2]) {
        let state = dir();
        let (mut store, _) = open(state.path(), WALL_MS);
        let mut states = Vec::new();
        for batch in 0..3 {
            let changes: Vec<_> =
                (batch * 40..batch * 40 + 40).map(|i| joined(&format!("m{i:03}"), 1)).collect();
            store.commit(&changes, &[], AT).unwrap();
            states.push(graces(&open(killed(state.path()).path(), WALL_MS).1));
        }
        let path = store.path.clone();
        let killed = std::fs::read(&path).unwrap();
        drop(store);
        (states.try_into().unwrap(), [killed, std::fs::read(&path).unwrap()])
    }

    fn open_octets(octets: &[u8]) -> Result<Graces, StoreError> {
        let state = dir();
        std::fs::write(state.path().join(FILE_NAME), octets).unwrap();
        Store::open(state.path(), CACHE_BYTES, WALL_MS).map(|(_, loaded)| graces(&loaded))
    }

    #[test]
    fn a_damaged_file_is_an_error_or_loses_at_most_the_last_commit() {
        let (states, files) = history();
        let [_, before, last] = &states;
        for (file, may_be) in files.iter().zip([[before, last], [last, last]]) {
            let header = 0..320;
            let written = (header.end..file.len()).filter(|&at| file[at] != 0);
            for at in header.chain(written.step_by(601)) {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << (at % 8);
                check(open_octets(&damaged), &may_be, &format!("octet {at}"));
            }
            for kept in [1, 8, 64, 320, 4095, 4096, 8192, file.len() / 2, file.len() - 4096, file.len() - 1] {
                check(open_octets(&file[..kept]), &may_be, &format!("{kept} octets left"));
            }
            assert_eq!(open_octets(file).unwrap(), *last);
        }
    }

    fn check(found: Result<Graces, StoreError>, may_be: &[&Graces], what: &str) {
        match found {
            Ok(found) => assert!(may_be.contains(&&found), "{what}: {} members", found.len()),
            Err(StoreError::Corrupt { .. } | StoreError::Foreign { .. }) => {}
            Err(error) => panic!("{what}: {error:?}"),
        }
    }
}
