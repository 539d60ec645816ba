//! What can be wrong with a store, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

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
        "{}: store format {found}, this rollcall reads formats {oldest} and {known}; start the version that wrote it, or name \
         another state directory",
        path.display()
    )]
    Version {
        /// The store's file.
        path: PathBuf,
        /// The format it has.
        found: u32,
        /// The oldest format that this program reads.
        oldest: u32,
        /// The format that this program writes.
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
    pub(super) fn from_redb(path: &Path, error: impl Into<redb::Error>) -> Self {
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

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| StoreError::Io { path: path.to_owned(), source }
    }
}
