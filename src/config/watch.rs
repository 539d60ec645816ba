//! The zones directory, watched: something moved, and nothing more is told. What has changed is told by the files themselves
//! ([`Reader::read_again`](super::Reader::read_again)), so an event that is lost, doubled or about a file that no longer is
//! there costs nothing.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crossbeam_channel::Sender;
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

/// A watched directory, until it is dropped.
pub struct Watch {
    _watcher: RecommendedWatcher,
    directory: Option<(u64, u64)>,
}

/// A directory's device and inode: another one by its name has others.
fn identity(directory: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(directory).ok().map(|data| (data.dev(), data.ino()))
}

/// Why a directory is not watched.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WatchError(#[from] notify::Error);

impl Watch {
    /// Tells `moved` of everything that is written, made, renamed or removed in a directory and below. One waiting word is as
    /// good as several: what does not fit is dropped.
    pub fn new(directory: &Path, moved: Sender<()>) -> Result<Self, WatchError> {
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may be about events that were lost.
            if event.map_or(true, |event| may_change_files(&event.kind)) {
                _ = moved.try_send(());
            }
        })?;
        // Before it is watched: if it is replaced in between, the next look finds another.
        let identity = identity(directory);
        watcher.watch(directory, RecursiveMode::Recursive)?;
        Ok(Watch { _watcher: watcher, directory: identity })
    }

    /// Whether this is the directory that is watched, and not another one that has its name by now.
    pub fn is_of(&self, directory: &Path) -> bool {
        self.directory == identity(directory)
    }
}

/// Whether files may be other than before: reading them, as we do ourselves, changes none.
fn may_change_files(kind: &EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if *access != AccessKind::Close(AccessMode::Write))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{Receiver, bounded};

    use super::*;

    fn watched(directory: &Path) -> (Watch, Receiver<()>) {
        let (moved, moves) = bounded(1);
        (Watch::new(directory, moved).unwrap(), moves)
    }

    fn has_moved(moves: &Receiver<()>) -> bool {
        moves.recv_timeout(Duration::from_secs(5)).is_ok()
    }

    #[test]
    fn whatever_changes_files_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("a.zone"), "1").unwrap();
        std::fs::create_dir(file("parts")).unwrap();
        let acts: [(&str, &dyn Fn()); 5] = [
            ("made", &|| std::fs::write(file("b.zone"), "2").unwrap()),
            ("renamed", &|| std::fs::rename(file("b.zone"), file("a.zone")).unwrap()),
            ("written below", &|| std::fs::write(file("parts/c"), "3").unwrap()),
            ("removed", &|| std::fs::remove_file(file("parts/c")).unwrap()),
            ("linked", &|| std::os::unix::fs::symlink("a.zone", file("d.zone")).unwrap()),
        ];
        for (what, act) in acts {
            let (_watch, moves) = watched(dir.path());
            act();
            assert!(has_moved(&moves), "{what}");
        }
    }

    #[test]
    fn reading_is_not() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.zone"), "1").unwrap();
        let (_watch, moves) = watched(dir.path());
        std::fs::read(dir.path().join("a.zone")).unwrap();
        std::fs::read_dir(dir.path()).unwrap().count();
        // What comes after it would come after it.
        std::fs::write(dir.path().join("a.zone"), "2").unwrap();
        assert!(has_moved(&moves));
        assert!(!may_change_files(&EventKind::Access(AccessKind::Read)));
        assert!(!may_change_files(&EventKind::Access(AccessKind::Close(AccessMode::Read))));
        assert!(may_change_files(&EventKind::Access(AccessKind::Close(AccessMode::Write))));
    }

    #[test]
    fn a_directory_that_is_replaced_is_another_and_its_going_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("zones")).unwrap();
        std::fs::create_dir(path("next")).unwrap();
        let (watch, moves) = watched(&path("zones"));
        assert!(watch.is_of(&path("zones")));
        std::fs::rename(path("zones"), path("last")).unwrap();
        std::fs::rename(path("next"), path("zones")).unwrap();
        assert!(has_moved(&moves) && !watch.is_of(&path("zones")) && watch.is_of(&path("last")));
    }

    #[test]
    fn what_is_not_there_cannot_be_watched() {
        let dir = tempfile::tempdir().unwrap();
        let (moved, _moves) = bounded(1);
        assert!(Watch::new(&dir.path().join("zones"), moved).is_err());
    }
}
