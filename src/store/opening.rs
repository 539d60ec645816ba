//! A start: the store is opened, and its members come while they are read.
//!
//! ```text
//!  begin    the file is opened and verified; names, drains and serials are read
//!  finish   one thread reads members --> a bounded queue --> the caller puts them back
//!           then the run is recorded, and a file that is mostly free is made smaller
//! ```
//!
//! To read a million members takes as long as to put them on the roll: so both go on at a time. Nobody is served before all of
//! it is done, and an entry that cannot be read still ends the start.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::{mem, thread};

use redb::Database;

use super::restart::{self, Begun};
use super::{FILE_NAME, Loaded, Returning, Store, StoreError, format, identity, lock, size};

/// Members in a batch, and batches that may wait: a few MB.
const BATCH: usize = 1_024;
const BATCHES_MAX: usize = 16;

/// A store that is opened, and has yet to give its members back.
pub struct Opening {
    /// What it holds beside members and what is left of those who are gone.
    pub loaded: Loaded,
    db: Database,
    begun: Begun,
    path: PathBuf,
    cache_bytes: usize,
    identity: (u64, u64),
    wall_ms: u64,
    lock: File,
}

impl Opening {
    /// Opens DIR/rollcall.redb, or makes it and the directory, to begin a new run at `wall_ms`, milliseconds since 1970.
    /// `cache_bytes` bounds redb's cache. The whole file is read and its checksums are verified.
    pub fn begin(dir: &Path, cache_bytes: usize, wall_ms: u64) -> Result<Opening, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|source| {
            let in_the_way = dir.ancestors().find(|path| path.exists() && !path.is_dir());
            in_the_way.map_or_else(
                || StoreError::Io { path: dir.to_owned(), source },
                |path| StoreError::NotADirectory { path: path.to_owned() },
            )
        })?;
        let lock = lock(dir)?;
        let path = dir.join(FILE_NAME);
        if !path.try_exists().map_err(StoreError::io(&path))? {
            format::create(&path)?;
            // The file's new name is durable once its directory is.
            lock.sync_all().map_err(StoreError::io(dir))?;
        }
        let (identity, _) = identity(&path)?;
        let db = format::database(&path, cache_bytes)?;
        let failed = |error| StoreError::from_redb(&path, error);
        let found = format::version(&db).map_err(failed)?;
        if !(format::VERSION_BEFORE..=format::VERSION).contains(&found) {
            let (oldest, known) = (format::VERSION_BEFORE, format::VERSION);
            return Err(StoreError::Version { path, found, oldest, known });
        }
        let (begun, loaded) = restart::begin_run(&db, found, wall_ms).map_err(failed)?;
        Ok(Opening { loaded, db, begun, path, cache_bytes, identity, wall_ms, lock })
    }

    /// Has `take` put the members back, by pool, while they are read, and begins the run. A file of the format before this program's
    /// becomes one of this with it; one that is large and mostly free is made smaller. If this fails, what `take` has made is of
    /// no use.
    pub fn finish<T>(
        self,
        take: impl FnOnce(&mut dyn Iterator<Item = Returning>) -> T,
    ) -> Result<(Store, Loaded, T), StoreError> {
        let Opening { mut loaded, mut db, begun, path, cache_bytes, identity, wall_ms, lock } = self;
        let run = begun.run;
        let (batches, taken) = sync_channel(BATCHES_MAX);
        let (read, made) = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut members = Batches { full: Vec::new(), to: batches };
                let read = begun.finish(&db, wall_ms, &mut |returning| members.push(returning));
                members.send();
                read
            });
            let made = take(&mut taken.into_iter().flatten());
            (reader.join(), made)
        });
        let read = read.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (loaded.absent, loaded.gone) = read.map_err(|error| StoreError::from_redb(&path, error))?;
        loaded.compacted = size::compact_if_worth_it(&mut db, &path)?;
        // Made longer or shorter since.
        let len = self::identity(&path)?.1;
        let (db, lock) = (Some(db), Some(lock));
        let store = Store { db, path, cache_bytes, identity, len, run, began_ms: wall_ms, lock };
        Ok((store, loaded, made))
    }
}

/// Members on their way from one thread to another.
struct Batches {
    full: Vec<Returning>,
    to: SyncSender<Vec<Returning>>,
}

impl Batches {
    fn push(&mut self, returning: Returning) {
        self.full.push(returning);
        if self.full.len() >= BATCH {
            self.send();
        }
    }

    fn send(&mut self) {
        // Nobody takes them any more after an error, and then the run comes to nothing.
        _ = self.to.send(mem::replace(&mut self.full, Vec::with_capacity(BATCH)));
    }
}
