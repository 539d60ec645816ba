//! A zone file (RFC 1035 section 5), read into the static records of a zone.
//!
//! ```text
//!  text --> entries, words --> reader: $ORIGIN, $TTL, $INCLUDE, $GENERATE; owner, TTL, class, type
//!                                |            '--> files below the zone file's directory
//!                                v
//!                    fields --> rdata: the library's parsers, shapes for what it lacks, RFC 3597's form
//!                                |
//!                                v
//!                    builder: records, owners once --> one TTL an RRset, no duplicate, a CNAME alone
//!                                '--> warnings: hosts without address, glue, what is never answered
//! ```
//!
//! Words are split here, so that every fault has its line and column, and `@`, `$INCLUDE` and `$GENERATE` need no text that
//! is rewritten before it is read; what the words of a type mean is the `domain` crate's to say, through its `Scanner`. What a
//! zone may hold is judged in `rules`: half a feature in a zone file is worse than an error, because nobody sees it until it
//! is asked for.

mod builder;
mod entries;
mod error;
mod fields;
mod generate;
mod include;
mod location;
mod owners;
mod prefixes;
mod rdata;
mod reader;
mod rules;
mod svcb;
mod warning;
mod words;

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::wire::{Name, Rtype};
use entries::Word;
use include::Files;
use reader::Reader;

pub use error::{Spot, ZoneFileError};
pub use rules::{RRSET_OCTETS_MAX, ZoneFault, is_of_signed_zone};
pub use warning::{Doubt, ZoneWarning};

/// What a zone file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneRecords {
    /// The zone's SOA.
    pub soa: Soa,
    /// All other records, in file order. Records of one RRset have one TTL.
    pub records: Vec<StaticRecord>,
    /// What was mended or looks wrong, in the order of lines.
    pub warnings: Vec<ZoneWarning>,
    /// The files that were read, the zone file first; one that is included twice is there twice.
    pub files: Vec<PathBuf>,
}

impl ZoneRecords {
    /// The file that a record stands in.
    pub fn path(&self, record: &StaticRecord) -> &Path {
        self.files.get(usize::from(record.file)).map(PathBuf::as_path).unwrap_or(Path::new(""))
    }
}

/// A SOA record (RFC 1035 section 3.3.13). Times are seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// The zone's first name server.
    pub mname: Name,
    /// The mailbox of who is responsible.
    pub rname: Name,
    /// The zone's serial.
    pub serial: u32,
    /// How often secondaries ask for the serial.
    pub refresh: u32,
    /// How soon they ask again after a failure.
    pub retry: u32,
    /// When they stop answering without an answer of ours.
    pub expire: u32,
    /// The TTL of negative answers (RFC 2308 section 4); `negative_ttl` replaces it in what is served.
    pub minimum: u32,
    /// The record's own TTL.
    pub ttl_s: u32,
}

/// A record of a zone file, class IN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticRecord {
    /// Its owner, in the case in which the zone has it first.
    pub owner: Name,
    /// Its type.
    pub rtype: Rtype,
    /// Its TTL, seconds.
    pub ttl_s: u32,
    /// Its rdata, names uncompressed.
    pub rdata: Box<[u8]>,
    /// Which of the zone's files it stands in.
    pub file: u16,
    /// On which line of it, from 1, for errors that involve it.
    pub line: usize,
}

/// How far the reading of a zone has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'p> {
    /// The file that is being read.
    pub path: &'p Path,
    /// How much of it has been read, octets.
    pub octets_read: usize,
    /// How much it has, octets.
    pub octets: usize,
    /// How many records have been read, in all files of the zone.
    pub records: usize,
}

/// A time as zone files have it, in seconds: a number, or numbers that have a unit each (`1h30m`). `None` for any other text.
pub fn time_s(text: &str) -> Option<u64> {
    words::seconds(&Word { at: 0, text: text.as_bytes(), is_quoted: false, is_joined: false })
}

/// Reads the zone file at `path`, and tells its progress every few thousand entries.
pub fn read(
    path: &Path,
    apex: &Name,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<ZoneRecords, ZoneFileError> {
    let (files, text) = Files::of(path).map_err(|error| ZoneFileError::Read { path: path.into(), error })?;
    Reader::new(apex, files, progress).read(path, text.into()).map_err(|error| *error)
}

/// Reads a zone file's text, which includes no others; `path` is for errors alone. Relative names are relative to `apex`
/// until `$ORIGIN` says otherwise; records without a class are IN.
pub fn parse(text: &[u8], path: &Path, apex: &Name) -> Result<ZoneRecords, ZoneFileError> {
    let text = Bytes::copy_from_slice(text);
    Reader::new(apex, Files::none(), &mut |_| ()).read(path, text).map_err(|error| *error)
}

/// Reads the rdata of one record in presentation form, or in that of RFC 3597 section 5. Names are absolute, with their
/// closing dot or without it.
pub fn rdata(rtype: Rtype, text: &[u8]) -> Result<Box<[u8]>, ZoneFault> {
    reader::read_rdata(rtype, text)
}

/// The records of a zone that has no file: a SOA and a NS, whose names lie in the zone.
///
/// Nobody refreshes from such a zone yet; the times are those that RFC 1912 section 2.2 suggests for a small one.
pub fn synthetic(apex: &Name) -> Result<ZoneRecords, ZoneFileError> {
    let text = b"@ 3600 IN SOA ns hostmaster 1 1200 180 1209600 2\n@ 3600 IN NS ns\n";
    let mut zone = parse(text, Path::new("(no zone file)"), apex)?;
    zone.warnings.clear();
    Ok(zone)
}

#[cfg(test)]
pub(crate) mod tests;
