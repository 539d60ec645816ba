//! The embedded store: which members there are, and what is left of those who are gone, on disk, for one server (redb).
//!
//! It sees [`Change`] and what changes, and nothing else of the server; time is an argument. What it holds is in
//! `format`, how members come back after a restart in `restart`, how ordinary records do in `names`.
//!
//! Facts that the rest relies on:
//! 1. What [`Store::commit`] returned `Ok` for is on disk: one transaction and its fsync. After an error it may be there
//!    or not.
//! 2. Renewals are not written ([`Change::is_durable`]): a lease that merely goes on costs the disk nothing. Hence each
//!    start is a *run* with a number, and a member carries the run in which it was last heard.
//! 3. Nothing is repaired by leaving entries out: a file that cannot be read whole is an error that names it. redb alone
//!    may roll back, after a crash, the one last commit, if its pages do not match their checksums: the crash cut it short,
//!    and then nobody was told of it, or the disk damaged it since.
//! 4. The file gets its name when it is complete, so an empty or half-made one is damage, not a new store.
//! 5. What a change writes is all that there is of its member: it is on the roll with its floor, or absent, or forgotten. A
//!    later change may therefore take the place of an earlier one that was not written yet.
//! 6. Floors are written with changes, and all that have risen since at a clean stop. A crash therefore takes a member's floor
//!    back to its last stored change. That is enough to keep what is registered: every message accepted after that change
//!    said what the store says, or it would be a stored change itself, and older ones are below the floor. It leaves open that who
//!    recorded such a heartbeat sends it again after the crash, while its signature is believed (a fudge from when it was
//!    signed), and so keeps a member in the answers that has fallen silent, its name reserved, or a record that it no longer
//!    names. The member's own next heartbeat ends that: the first one in a run is stored.

mod format;
mod grace;
mod names;
mod restart;

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use format::StoredAbsence;
use redb::Database;

use crate::change::{Change, NameFloor};
use crate::membership::{
    Absence, Change as MemberChange, Crowd, FOREVER_MS, Member, MemberName, PoolHandle, Registered, Said,
    Signed, lease_end_ms,
};
use crate::zone::{Dynamic, Dynamics, NameChange};

/// The store's file in the state directory.
const FILE_NAME: &str = "rollcall.redb";

/// Why the store could not be opened or written. Every message names the path and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the state directory.
    #[error(
        "{}: another rollcall is using this state directory; stop it, or give this one a directory of its own",
        path.display()
    )]
    InUse {
        /// The directory, or the store's file.
        path: PathBuf,
    },
    /// The system refused: no permission, no space, no such directory, a broken disk.
    #[error("{}: {source}; check that this user may read and write there, and that the disk has room", path.display())]
    Io {
        /// What was opened or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else has the state directory's name, or that of a directory above it.
    #[error("{}: not a directory; the state is kept in a directory: name another (--state DIR, or `state` in rollcall.toml)",
        path.display())]
    NotADirectory {
        /// What is none.
        path: PathBuf,
    },
    /// The file is no redb database, or one that another program made.
    #[error(
        "{}: not a rollcall store ({what}); name another state directory, or move the file away to start without members",
        path.display()
    )]
    Foreign {
        /// The store's file.
        path: PathBuf,
        /// What it lacks.
        what: String,
    },
    /// A rollcall of another version made the file. What it holds was left alone.
    #[error(
        "{}: store format {found}, this rollcall reads format {known}; start the version that wrote it, or name another \
         state directory",
        path.display()
    )]
    Version {
        /// The store's file.
        path: PathBuf,
        /// The format it has.
        found: u32,
        /// The format that this program reads and writes.
        known: u32,
    },
    /// The file is damaged, or holds what no rollcall writes. What it holds was left alone.
    #[error(
        "{}: damaged: {what}; put a backup in its place, or move it away to start without members (servers that renew \
         with all their records join again)",
        path.display()
    )]
    Corrupt {
        /// The store's file.
        path: PathBuf,
        /// Where the damage is and what it looks like.
        what: String,
    },
    /// The open file is not the one that its path names any more: what is written to it would not be there after a restart.
    #[error("{}: removed or replaced while rollcall was using it; put it back, or restart rollcall", path.display())]
    Vanished {
        /// The store's file.
        path: PathBuf,
    },
    /// redb failed in a way that has no variant above.
    #[error("{}: {source}; restart rollcall, and report this if it happens again", path.display())]
    Engine {
        /// The store's file.
        path: PathBuf,
        /// What redb said.
        source: Box<redb::Error>,
    },
}

impl StoreError {
    /// The one place where redb's errors become ours. `format` and `restart` report entries of ours that make no sense as
    /// `Corrupted`, as redb does for its pages.
    fn from_redb(path: &Path, error: impl Into<redb::Error>) -> Self {
        let path = path.to_owned();
        match error.into() {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                StoreError::InUse { path }
            }
            redb::Error::Corrupted(what) => StoreError::Corrupt { path, what },
            // How redb says that the magic number at the start is missing.
            redb::Error::Io(source) if source.kind() == io::ErrorKind::InvalidData => {
                StoreError::Foreign { path, what: source.to_string() }
            }
            // A read past the end: the file is shorter than its header says.
            redb::Error::Io(source) if source.kind() == io::ErrorKind::UnexpectedEof => {
                StoreError::Corrupt { path, what: format!("cut short ({source})") }
            }
            redb::Error::Io(source) => StoreError::Io { path, source },
            error @ (redb::Error::TableDoesNotExist(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::UpgradeRequired(_)) => StoreError::Foreign { path, what: error.to_string() },
            source => StoreError::Engine { path, source: Box::new(source) },
        }
    }

    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| StoreError::Io { path: path.to_owned(), source }
    }
}

/// One moment on both clocks: what ends on the monotonic one must be told to another process by the wall's.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Monotonic milliseconds.
    pub now_ms: u64,
    /// Milliseconds since 1970.
    pub wall_ms: u64,
}

impl Moment {
    /// A monotonic moment by the wall clock. [`u64::MAX`] for one that never comes.
    fn wall_ms_of(self, ends_ms: u64) -> u64 {
        if ends_ms >= FOREVER_MS {
            return u64::MAX;
        }
        self.wall_ms.saturating_add(ends_ms.saturating_sub(self.now_ms))
    }

    fn stored(self, absence: &Absence) -> StoredAbsence {
        StoredAbsence {
            owner: absence.owner.clone(),
            name_ends_ms: self.wall_ms_of(absence.name_ends_ms),
            floor: absence.floor,
            floor_ends_ms: self.wall_ms_of(absence.floor_ends_ms),
            written_ms: self.wall_ms,
        }
    }
}

/// What a start found in the store.
#[derive(Debug)]
pub struct Loaded {
    /// This run's number: 1 for the first start, then one more each time. Members heard from now on carry it.
    pub run: u32,
    /// Who comes back, by pool.
    pub members: Vec<Returning>,
    /// Of whom something is left although they do not come back: those who were gone before, by pool, then those whose grace
    /// was over.
    pub absent: Vec<Absent>,
    /// What UPDATE made of ordinary records; see [`Loaded::dynamics`].
    dynamics: Vec<(Box<[u8]>, Dynamic)>,
    /// The newest signed messages that changed ordinary records.
    pub floors: Vec<NameFloor>,
    /// Each zone's apex in lower-case wire form, and the serial last committed.
    pub serials: Vec<(Box<[u8]>, u32)>,
    /// Members that do not come back, because their grace was over. The store has forgotten them, or holds them as absent.
    pub gone: usize,
}

impl Loaded {
    /// What UPDATE made of ordinary records, with what leased ones have left of their grace from `now_ms` on.
    pub fn dynamics(&self, now_ms: u64) -> Dynamics {
        names::from_now(&self.dynamics, now_ms)
    }
}

/// A member that comes back after a restart.
#[derive(Debug)]
pub struct Returning {
    /// In which pool; members of a pool share one handle.
    pub pool: PoolHandle,
    /// Who.
    pub name: MemberName,
    /// What was registered; `heard_run` is still the run in which it was last heard.
    pub member: Member,
    /// What is left of its one grace, milliseconds; never 0. [`LEASE_FOREVER_MS`](crate::membership::LEASE_FOREVER_MS) for a
    /// permanent member: it needs none.
    pub grace_ms: u32,
    /// For how much longer its name is its owner's if nothing is heard of it, milliseconds; [`FOREVER_MS`] for always.
    pub name_left_ms: u64,
    /// The newest signed message accepted for it, as far as the store knows.
    pub floor: Option<Signed>,
}

impl Returning {
    /// It, as it goes back on the roll.
    pub fn registered(self, now_ms: u64) -> (PoolHandle, MemberName, Registered) {
        let registered = Registered {
            member: self.member,
            ends_ms: lease_end_ms(now_ms, self.grace_ms),
            name_ends_ms: now_ms.saturating_add(self.name_left_ms).min(FOREVER_MS),
            signed: self.floor,
            said: Said::Nothing,
            renews: true,
            crowd: Crowd::default(),
            restored: true,
        };
        (self.pool, self.name, registered)
    }
}

/// What is left of a member that does not come back.
#[derive(Debug, PartialEq, Eq)]
pub struct Absent {
    /// In which pool.
    pub pool: PoolHandle,
    /// Whose name.
    pub name: MemberName,
    /// The identity that had registered it.
    pub owner: Box<str>,
    /// For how much longer the name is its owner's, milliseconds; [`FOREVER_MS`] for always.
    pub name_left_ms: u64,
    /// The newest signed message that was accepted for it.
    pub floor: Option<Signed>,
    /// For how much longer older ones are replays, milliseconds.
    pub floor_left_ms: u64,
}

impl Absent {
    /// It, as it goes back on the roll.
    pub fn absence(self, now_ms: u64) -> (PoolHandle, MemberName, Absence) {
        let absence = Absence {
            owner: self.owner,
            name_ends_ms: now_ms.saturating_add(self.name_left_ms).min(FOREVER_MS),
            floor: self.floor,
            floor_ends_ms: now_ms.saturating_add(self.floor_left_ms),
        };
        (self.pool, self.name, absence)
    }
}

/// The store of one server.
pub struct Store {
    /// `None` after a failed commit: redb refuses everything after an I/O error until its file is opened again, and a disk
    /// that was full for a minute must not end registration until a restart.
    db: Option<Database>,
    path: PathBuf,
    cache_bytes: usize,
    /// Device and inode of the file that this run was begun in.
    identity: (u64, u64),
    /// Locked for as long as the store is open. redb locks its file as well; this also covers making that file.
    _dir: File,
}

impl Store {
    /// Opens DIR/rollcall.redb, or makes it and the directory, and begins a new run at `wall_ms`, milliseconds since 1970.
    /// `cache_bytes` bounds redb's cache. The whole file is read and its checksums are verified.
    pub fn open(dir: &Path, cache_bytes: usize, wall_ms: u64) -> Result<(Store, Loaded), StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| {
            let in_the_way = dir.ancestors().find(|path| path.exists() && !path.is_dir());
            in_the_way.map_or_else(
                || StoreError::Io { path: dir.to_owned(), source },
                |path| StoreError::NotADirectory { path: path.to_owned() },
            )
        })?;
        let locked = lock(dir)?;
        let path = dir.join(FILE_NAME);
        if !path.try_exists().map_err(StoreError::io(&path))? {
            format::create(&path)?;
            // The file's new name is durable once its directory is.
            locked.sync_all().map_err(StoreError::io(dir))?;
        }
        let identity = identity(&path)?;
        let db = format::database(&path, cache_bytes)?;
        let found = format::version(&db).map_err(|error| StoreError::from_redb(&path, error))?;
        if found != format::VERSION {
            return Err(StoreError::Version { path, found, known: format::VERSION });
        }
        let loaded = restart::begin_run(&db, wall_ms).map_err(|error| StoreError::from_redb(&path, error))?;
        Ok((Store { db: Some(db), path, cache_bytes, identity, _dir: locked }, loaded))
    }

    /// Writes the durable ones of `changes`, in order, and `serials` (a zone's apex in lower-case wire form, its serial) in
    /// one transaction, `at` now. All of it is on disk when this returns `Ok`. With nothing to write, the disk is left alone.
    pub fn commit<'a>(
        &mut self,
        changes: impl IntoIterator<Item = &'a Change>,
        serials: &[(Box<[u8]>, u32)],
        at: Moment,
    ) -> Result<(), StoreError> {
        let mut changes = changes.into_iter().filter(|change| change.is_durable()).peekable();
        if changes.peek().is_none() && serials.is_empty() {
            return Ok(());
        }
        // A removed file can still be written to. Nobody may be told that such a commit is durable.
        if !matches!(identity(&self.path), Ok(identity) if identity == self.identity) {
            return Err(StoreError::Vanished { path: self.path.clone() });
        }
        let db = match self.db.take() {
            Some(db) => db,
            None => format::database(&self.path, self.cache_bytes)?,
        };
        write(&db, changes, serials, at).map_err(|error| StoreError::from_redb(&self.path, error))?;
        self.db = Some(db);
        Ok(())
    }
}

/// One transaction. redb's two-phase commit, with a second fsync, would tell a commit that a crash cut short from one that
/// the disk damaged later; it halves the commits a second (350 to 181 of one change, on the disk where this was written).
fn write<'a>(
    db: &Database,
    changes: impl Iterator<Item = &'a Change>,
    serials: &[(Box<[u8]>, u32)],
    at: Moment,
) -> Result<(), redb::Error> {
    let transaction = db.begin_write()?;
    {
        let mut members = transaction.open_table(format::MEMBERS)?;
        let mut absences = transaction.open_table(format::ABSENCES)?;
        let mut names = transaction.open_table(format::NAMES)?;
        let mut floors = transaction.open_table(format::FLOORS)?;
        for change in changes {
            match change {
                Change::Member(MemberChange { pool, name, after, floor, absence, .. }) => {
                    let key = (pool.as_ref(), name.as_ref());
                    match after {
                        Some(member) => {
                            members.insert(key, format::encode(&(&**member, floor.1))?.as_slice())?
                        }
                        None => members.remove(key)?,
                    };
                    match &absence.1 {
                        Some(absence) => {
                            absences.insert(key, format::encode(&at.stored(absence))?.as_slice())?
                        }
                        None => absences.remove(key)?,
                    };
                }
                Change::Name(NameChange { name, after, .. }) => {
                    match after {
                        Some(dynamic) => {
                            names.insert(name.as_ref(), format::encode(&**dynamic)?.as_slice())?
                        }
                        None => names.remove(name.as_ref())?,
                    };
                }
                Change::Drain(_) => {}
                Change::Floor(NameFloor { key, name, floor, .. }) => {
                    let place = (key.as_slice(), name.as_ref());
                    match floor {
                        Some(floor) => floors.insert(place, format::encode(floor)?.as_slice())?,
                        None => floors.remove(place)?,
                    };
                }
            }
        }
        let mut table = transaction.open_table(format::SERIALS)?;
        for (apex, serial) in serials {
            table.insert(apex.as_ref(), serial)?;
        }
    }
    Ok(transaction.commit()?)
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let file = File::open(dir).map_err(StoreError::io(dir))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(StoreError::Io { path: dir.to_owned(), source }),
    }
}

fn identity(path: &Path) -> Result<(u64, u64), StoreError> {
    let metadata = path.metadata().map_err(StoreError::io(path))?;
    Ok((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests;
