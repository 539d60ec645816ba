//! `$INCLUDE`: which files a zone file may bring in (RFC 1035 section 5.1).
//!
//! Only such as lie below the directory that the zone file is in: whoever may write a zone file, perhaps by a web form, is
//! not to read whatever the server can.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::ZoneFault;

/// How deep files may include each other.
const DEPTH_MAX: usize = 16;
/// How many times one zone may include a file.
const INCLUDES_MAX: usize = 4_096;
/// How many octets the files of one zone may have, together with what `$GENERATE` makes.
const OCTETS_MAX: u64 = 1 << 30;

/// The files that a zone is read from.
pub(super) struct Files {
    /// The directory that they are in: as it was named, and as it is.
    root: Option<(PathBuf, PathBuf)>,
    /// Those that are being read, each included by the one before it, by their real paths.
    open: Vec<PathBuf>,
    includes: usize,
    octets: u64,
}

impl Files {
    /// Of a text that includes no files.
    pub fn none() -> Self {
        Files { root: None, open: Vec::new(), includes: 0, octets: 0 }
    }

    /// Of the zone file at `path`, with its text.
    pub fn of(path: &Path) -> std::io::Result<(Self, Vec<u8>)> {
        let too_large = || std::io::Error::other(ZoneFault::TooMuchText { max: OCTETS_MAX }.to_string());
        let metadata = fs::metadata(path)?;
        let len = metadata.len();
        if !metadata.is_file() {
            return Err(no_file());
        }
        if len > OCTETS_MAX {
            return Err(too_large());
        }
        let text = fs::read(path)?;
        let real = path.canonicalize()?;
        let parent = |path: &Path| path.parent().map(PathBuf::from).unwrap_or_default();
        let (named, root) = (parent(path), parent(&real));
        // Of a zone file that is a link to another directory, the files that it includes are there.
        let is_there = Path::new(".").join(&named).canonicalize().is_ok_and(|named| named == root);
        let root = Some((if is_there { named } else { root.clone() }, root));
        Ok((Files { root, open: vec![real], includes: 0, octets: len }, text))
    }

    /// Opens the file that is called `file` in a directive: its path for messages, and its text.
    pub fn open(&mut self, file: &Path) -> Result<(PathBuf, Vec<u8>), ZoneFault> {
        let shown = || file.display().to_string();
        let failed =
            |error: std::io::Error| ZoneFault::IncludeRead { file: shown(), error: error.to_string() };
        let outside = || ZoneFault::IncludeOutside { file: shown() };
        let (named, root) = self.root.clone().ok_or_else(outside)?;
        if file.components().any(|component| component == Component::ParentDir) {
            return Err(outside());
        }
        if self.open.len() > DEPTH_MAX {
            return Err(ZoneFault::IncludeDepth { max: DEPTH_MAX });
        }
        if self.includes >= INCLUDES_MAX {
            return Err(ZoneFault::IncludeTooMany { max: INCLUDES_MAX });
        }
        // Symbolic links are followed before the path is judged.
        let real = root.join(file).canonicalize().map_err(failed)?;
        if !real.starts_with(&root) {
            return Err(outside());
        }
        if self.open.contains(&real) {
            return Err(ZoneFault::IncludeCycle { file: shown() });
        }
        let metadata = fs::metadata(&real).map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(no_file()));
        }
        self.grow(metadata.len())?;
        let text = fs::read(&real).map_err(failed)?;
        self.includes += 1;
        self.open.push(real);
        Ok((named.join(file), text))
    }

    /// Where a file of that name would be.
    pub fn path(&self, file: &Path) -> PathBuf {
        self.root.as_ref().map_or_else(|| file.into(), |(named, _)| named.join(file))
    }

    /// Counts so many octets of text: a file's, or what `$GENERATE` makes of a line.
    pub fn grow(&mut self, octets: u64) -> Result<(), ZoneFault> {
        self.octets = self.octets.saturating_add(octets);
        if self.octets > OCTETS_MAX { Err(ZoneFault::TooMuchText { max: OCTETS_MAX }) } else { Ok(()) }
    }

    /// Closes the file that was opened last.
    pub fn close(&mut self) {
        self.open.pop();
    }
}

/// Of a directory, or what one could wait on for ever.
fn no_file() -> std::io::Error {
    std::io::Error::other("this is no file")
}
