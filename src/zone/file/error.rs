//! Why a zone file was not read, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::ZoneFault;

/// As much of a line as an error shows, characters.
const EXCERPT_CHARACTERS_MAX: usize = 200;
/// How much of a longer line is shown before the column that is meant.
const EXCERPT_BEFORE: usize = 80;

/// Why a zone file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ZoneFileError {
    /// The operating system said no.
    #[error("{}: {error}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// An entry that cannot be read or served.
    #[error("{spot}: {fault}{}", .spot.excerpt())]
    Entry {
        /// Where.
        spot: Box<Spot>,
        /// What is wrong.
        fault: Box<ZoneFault>,
    },
}

/// Where in a zone file something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Which file.
    pub path: PathBuf,
    /// Which line, from 1.
    pub line: usize,
    /// Which character of it, from 1.
    pub column: usize,
    /// The line as it stands there; empty if no line is to blame.
    text: String,
    /// How many characters of it are meant.
    width: usize,
    /// By which lines of which files this file is included, the innermost first.
    included_from: Vec<(PathBuf, usize)>,
    /// What had been opened of the zone.
    files: Vec<PathBuf>,
}

impl ZoneFileError {
    /// The files that had been opened, or looked for, when this was found: a change of any may mend it.
    pub fn files(&self) -> &[PathBuf] {
        match self {
            ZoneFileError::Read { path, .. } => std::slice::from_ref(path),
            ZoneFileError::Entry { spot, .. } => &spot.files,
        }
    }
}

/// `FILE:LINE:COLUMN`.
impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

impl Spot {
    /// The spot `at` octets into the text of a file. `len` octets are meant.
    pub(super) fn new(path: PathBuf, text: &[u8], at: usize, len: usize) -> Self {
        let (before, _) = text.split_at_checked(at).unwrap_or((text, &[]));
        let line = 1 + before.iter().filter(|&&octet| octet == b'\n').count();
        let start = before.iter().rposition(|&octet| octet == b'\n').map_or(0, |at| at + 1);
        let rest = text.get(start..).unwrap_or_default();
        let whole = rest.split(|&octet| octet == b'\n').next().unwrap_or_default();
        let characters =
            |octets: Option<&[u8]>| String::from_utf8_lossy(octets.unwrap_or_default()).chars().count();
        let column = 1 + characters(text.get(start..before.len()));
        let to = (at + len).min(start + whole.len());
        let width = characters(text.get(before.len()..to)).max(1);
        let text = String::from_utf8_lossy(whole).trim_end().to_owned();
        Spot { path, line, column, text, width, included_from: Vec::new(), files: Vec::new() }
    }

    /// The spot of a line, which `line` counts from 1: where its text begins.
    pub(super) fn of_line(path: PathBuf, text: &[u8], line: u32) -> Self {
        let lines = text.split_inclusive(|&octet| octet == b'\n');
        let start: usize = lines.take((line as usize).saturating_sub(1)).map(<[u8]>::len).sum();
        let rest = text.get(start..).unwrap_or_default();
        let indent = rest.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        let word = rest.iter().skip(indent).take_while(|octet| octet.is_ascii_graphic()).count();
        Spot::new(path, text, start + indent, word)
    }

    /// The same, without the line's text.
    pub(super) fn without_text(self) -> Self {
        Spot { text: String::new(), ..self }
    }

    pub(super) fn included_from(self, included_from: Vec<(PathBuf, usize)>) -> Self {
        Spot { included_from, ..self }
    }

    pub(super) fn of_files(self, files: Vec<PathBuf>) -> Self {
        Spot { files, ..self }
    }

    /// What is printed below a message: the line, as the errors of TOML files show theirs, and where it was included from.
    /// A zone file may hold any octets; only characters that print are shown.
    fn excerpt(&self) -> String {
        let mut text = String::new();
        if !self.text.is_empty() {
            let column = self.column.saturating_sub(1);
            let from = if column + self.width < EXCERPT_CHARACTERS_MAX {
                0
            } else {
                column.saturating_sub(EXCERPT_BEFORE)
            };
            let shown =
                self.text.chars().skip(from).take(EXCERPT_CHARACTERS_MAX).map(printable).collect::<String>();
            let number = self.line.to_string();
            let (gutter, indent) = (" ".repeat(number.len()), " ".repeat(column - from));
            let marks = "^".repeat(self.width.min(EXCERPT_CHARACTERS_MAX));
            text = format!("\n  {number} | {shown}\n  {gutter} | {indent}{marks}");
        }
        for (path, line) in &self.included_from {
            text.push_str(&format!("\n  included from {}:{line}", path.display()));
        }
        text
    }
}

/// A character as a terminal, which acts on some, may have it.
pub(super) fn printable(character: char) -> char {
    match character {
        '\t' => ' ',
        character if character.is_control() => char::REPLACEMENT_CHARACTER,
        character => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spot_counts_characters_and_shows_what_prints() {
        let text = "\u{e9}\n\tx\u{e9} A\x1b bad\r\n".as_bytes();
        let spot = Spot::new("z".into(), text, text.len() - 5, 3);
        assert_eq!(spot.to_string(), "z:2:8");
        assert_eq!(spot.excerpt(), "\n  2 |  x\u{e9} A\u{fffd} bad\n    |        ^^^");
        assert_eq!(Spot::of_line("z".into(), text, 2).to_string(), "z:2:2");
        assert_eq!(Spot::new("z".into(), b"a\n", 99, 1).to_string(), "z:2:1");
        assert_eq!(Spot::new("z".into(), b"", 0, 0).excerpt(), "");
    }

    #[test]
    fn a_long_line_is_shown_around_its_spot() {
        let text = [b"x".repeat(1000), b"bad".to_vec(), b"y".repeat(1000)].concat();
        let excerpt = Spot::new("z".into(), &text, 1000, 3).excerpt();
        let lines: Vec<_> = excerpt.lines().collect();
        assert_eq!(lines[1].len(), "  1 | ".len() + EXCERPT_CHARACTERS_MAX);
        assert_eq!(lines[1].find("bad"), lines[2].find("^^^"));
    }
}
