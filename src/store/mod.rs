//! The embedded store: which members there are, and what is left of those who are gone, on disk, for one server (redb).
//!
//! It sees [`Change`] and what changes, and nothing else of the server; time is an argument. What it holds is in
//! `format`, how a start goes in `opening`, how members come back after a restart in `restart`, how ordinary records do in `names` and drains in `drains`; how
//! large it gets in `size`, how another process gets it while this one is still there in `release`.
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
//! 5. What a change of a member writes is all that there is of its member: it is on the roll with its floor, or absent, or
//!    forgotten. A later change may therefore take the place of an earlier one that was not written yet.
//! 6. Floors are written with changes, and all that have risen since at a clean stop. A crash therefore takes a member's floor
//!    back to its last stored change. That is enough to keep what is registered: every message accepted after that change
//!    said what the store says, or it would be a stored change itself, and older ones are below the floor. It leaves open that who
//!    recorded such a heartbeat sends it again after the crash, while its signature is believed (a fudge from when it was
//!    signed), and so keeps a member in the answers that has fallen silent, its name reserved, or a record that it no longer
//!    names. The member's own next heartbeat ends that: the first one in a run is stored.

mod drains;
mod error;
mod format;
mod grace;
mod loaded;
mod names;
mod opening;
mod release;
mod restart;
mod size;
mod write;

use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use redb::Database;

use crate::change::Change;

pub use error::StoreError;
pub use loaded::{Absent, Drained, Loaded, Returning};
pub use opening::Opening;
pub use size::Compacted;

/// The store's file in the state directory.
const FILE_NAME: &str = "rollcall.redb";

/// One moment on both clocks: what ends on the monotonic one must be told to another process by the wall's.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Monotonic milliseconds.
    pub now_ms: u64,
    /// Milliseconds since 1970.
    pub wall_ms: u64,
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
    /// How long the file was after the last commit, octets.
    len: u64,
    /// This run's number.
    run: u32,
    /// When it began, milliseconds since 1970.
    began_ms: u64,
    /// Locked for as long as the store is ours; `None` while it is released. redb locks its file as well; this also covers
    /// making that file.
    lock: Option<File>,
}

impl Store {
    /// Opens the store in `dir` and begins a new run; see [`Opening`]. All that it held comes back at once.
    pub fn open(dir: &Path, cache_bytes: usize, wall_ms: u64) -> Result<(Store, Loaded), StoreError> {
        let (store, mut loaded, members) =
            Opening::begin(dir, cache_bytes, wall_ms)?.finish(|members| members.collect())?;
        loaded.members = members;
        Ok((store, loaded))
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
        if self.lock.is_none() {
            self.take_back()?;
        }
        // A removed file can still be written to, and so can one that was cut short. Nobody may be told that such a commit is
        // durable.
        match identity(&self.path) {
            Ok((identity, len)) if identity == self.identity => {
                if len < self.len {
                    let what = format!("cut from {} to {len} octets while rollcall was using it", self.len);
                    return Err(StoreError::Corrupt { path: self.path.clone(), what });
                }
            }
            _ => return Err(StoreError::Vanished { path: self.path.clone() }),
        }
        let db = match self.db.take() {
            Some(db) => db,
            None => format::database(&self.path, self.cache_bytes)?,
        };
        write::write(&db, changes, serials, at).map_err(|error| StoreError::from_redb(&self.path, error))?;
        self.db = Some(db);
        self.len = identity(&self.path)?.1;
        Ok(())
    }
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let file = File::open(dir).map_err(StoreError::io(dir))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(StoreError::Io { path: dir.to_owned(), source }),
    }
}

/// Device and inode of a file, and how long it is.
fn identity(path: &Path) -> Result<((u64, u64), u64), StoreError> {
    let metadata = path.metadata().map_err(StoreError::io(path))?;
    Ok(((metadata.dev(), metadata.ino()), metadata.len()))
}

#[cfg(test)]
mod tests;
