//! What a zone file may hold, and how its errors read.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use domain::base::Ttl;
use domain::zonefile::inplace;

use super::entries::Entry;
use super::{StaticRecord, slips};
use crate::wire::{Class, HEADER_LEN, Name, Rtype, name_text};

/// The largest TTL (RFC 2181 section 8).
const TTL_MAX_S: u32 = i32::MAX as u32;

/// What a record takes in a message besides its rdata: a pointer to its owner, type, class, TTL, RDLENGTH.
pub(super) const RECORD_FIXED_OCTETS: usize = 12;

/// The most that an RRset may take. A message over TCP has 65,535 octets (RFC 1035 section 4.2.2); header, the longest
/// question, an OPT, and one alias with the longest target that leads to the RRset, leave 64,986.
pub const RRSET_OCTETS_MAX: usize =
    u16::MAX as usize - HEADER_LEN - (NAME_OCTETS_MAX + 4) - 11 - (RECORD_FIXED_OCTETS + NAME_OCTETS_MAX);

/// As much of a line as an error shows.
const EXCERPT_CHARACTERS_MAX: usize = 200;

/// The longest name, octets (RFC 1035 section 2.3.4).
const NAME_OCTETS_MAX: usize = 255;

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
    #[error("{}:{line}: {fault}{excerpt}", .path.display())]
    Entry {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1. The first of an entry in parentheses, unless the scanner knows better.
        line: usize,
        /// What is wrong.
        fault: Box<ZoneFault>,
        /// The line as it stands there, to be printed below the message; empty if no line is to blame.
        excerpt: Box<str>,
    },
}

/// What is wrong with an entry, or with the zone as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneFault {
    /// The scanner cannot read it.
    #[error("{message}{}{hint}", if .hint.is_empty() { "" } else { "; " })]
    Syntax {
        /// What the scanner says.
        message: String,
        /// What to do about it, if that is known.
        hint: &'static str,
    },
    /// A time with units, as BIND takes them.
    #[error("{what} are plain seconds here: write {total_s} for {text}")]
    Units {
        /// What it is the time of.
        what: &'static str,
        /// What it was.
        text: String,
        /// What it means, seconds.
        total_s: u64,
    },
    /// A word where a type should be.
    #[error("unknown type {text}; write OWNER TTL CLASS TYPE RDATA")]
    UnknownType {
        /// The word.
        text: String,
    },
    /// Something else where a type should be.
    #[error(
        "\"{text}\" is neither a TTL (seconds, such as 3600) nor a type (such as A); write OWNER TTL CLASS TYPE RDATA"
    )]
    NotAType {
        /// What it was.
        text: String,
    },
    /// A quoted string goes on after its line.
    #[error("a quote is not closed on its line")]
    OpenQuote,
    /// The file ends before the parenthesis does.
    #[error("a parenthesis is opened here and never closed")]
    OpenParenthesis,
    /// `$INCLUDE`.
    #[error("$INCLUDE is not supported; put the records into this file")]
    Include,
    /// A name that the scanner lets pass and that is none.
    #[error("a name has an empty label; two dots stand side by side in it")]
    EmptyLabel,
    /// Rdata that does not parse as its type says.
    #[error("bad {rtype} rdata; write out the fields of its type")]
    Rdata {
        /// The record's type.
        rtype: Rtype,
    },
    /// An RRset that no message can carry.
    #[error("with this record {} {rtype} takes more than {RRSET_OCTETS_MAX} octets, and no message can carry it; remove \
        some of its records", name_text(.owner.as_slice()))]
    TooLarge {
        /// The RRset's owner.
        owner: Name,
        /// Its type.
        rtype: Rtype,
    },
    /// A class but IN.
    #[error("class {class}; only IN is served")]
    Class {
        /// The class.
        class: Class,
    },
    /// A TTL above 2^31 - 1 (RFC 2181 section 8).
    #[error("TTL {ttl_s} is above {TTL_MAX_S} (RFC 2181 section 8)")]
    Ttl {
        /// The TTL, seconds.
        ttl_s: u32,
    },
    /// An owner that is not in the zone.
    #[error("{} is not in the zone {}; is a dot missing or too much?", name_text(.owner.as_slice()), name_text(.apex.as_slice()))]
    OutOfZone {
        /// The owner.
        owner: Name,
        /// The zone.
        apex: Name,
    },
    /// An owner with a label `*` (RFC 4592).
    #[error("wildcards are not served by this version; write out the names that {} stands for", name_text(.owner.as_slice()))]
    Wildcard {
        /// The owner.
        owner: Name,
    },
    /// NS below the apex.
    #[error("NS below the apex delegates {}, and this version serves no delegations; remove it", name_text(.owner.as_slice()))]
    Delegation {
        /// The owner.
        owner: Name,
    },
    /// DNAME (RFC 6672).
    #[error("DNAME is not served by this version; write a CNAME for each name")]
    Dname,
    /// Records that only a signed zone has (RFC 4034, RFC 5155).
    #[error(
        "{rtype} belongs to a signed zone, and this version serves unsigned ones; give the unsigned file"
    )]
    Dnssec {
        /// The record's type.
        rtype: Rtype,
    },
    /// A type that no zone holds (RFC 6895 section 3.1, RFC 1035 section 3.3.10).
    #[error("{rtype} is not a type that a zone may hold; remove it")]
    Meta {
        /// The record's type.
        rtype: Rtype,
    },
    /// A CNAME beside anything else (RFC 1034 section 3.6.2).
    #[error("a CNAME stands alone, and {} has another record at line {first_line}; remove one", name_text(.owner.as_slice()))]
    Cname {
        /// The owner.
        owner: Name,
        /// Where its first record is.
        first_line: usize,
    },
    /// SOA below the apex.
    #[error("SOA at {}; it belongs to {}", name_text(.owner.as_slice()), name_text(.apex.as_slice()))]
    SoaPlace {
        /// Its owner.
        owner: Name,
        /// The zone.
        apex: Name,
    },
    /// A second SOA.
    #[error("a second SOA; the first is at line {first_line}")]
    SecondSoa {
        /// Where the first is.
        first_line: usize,
    },
    /// No SOA.
    #[error("the zone has no SOA; begin with `@ 3600 IN SOA ns hostmaster 1 1200 180 1209600 2`")]
    NoSoa,
    /// No NS at the apex.
    #[error("the zone has no NS; add `@ 3600 IN NS ns`, or whatever its name servers are")]
    NoNs,
}

/// Something in a zone file that is served, but perhaps not as meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneWarning {
    /// An RRset with several TTLs (RFC 2181 section 5.2).
    #[error("{} {rtype} has several TTLs; {ttl_s}, the smallest, is served", name_text(.owner.as_slice()))]
    MixedTtl {
        /// Where the first record is that differs.
        line: usize,
        /// The RRset's owner.
        owner: Name,
        /// Its type.
        rtype: Rtype,
        /// The TTL served, seconds.
        ttl_s: u32,
    },
    /// A name server in the zone that has no address there.
    #[error("name server {} has no A or AAAA in the zone; resolvers cannot reach it", name_text(.server.as_slice()))]
    NoAddress {
        /// The NS record.
        line: usize,
        /// Its target.
        server: Name,
    },
}

impl ZoneWarning {
    /// The line that it is about.
    pub fn line(&self) -> usize {
        match self {
            ZoneWarning::MixedTtl { line, .. } | ZoneWarning::NoAddress { line, .. } => *line,
        }
    }
}

pub(super) fn check_owner(owner: &Name, apex: &Name) -> Result<(), ZoneFault> {
    if !owner.ends_with(apex) {
        return Err(ZoneFault::OutOfZone { owner: owner.clone(), apex: apex.clone() });
    }
    // An asterisk further up makes its parent's wildcard exist all the same (RFC 4592 section 2.2.2).
    if owner.iter().any(|label| label.as_slice() == b"*") {
        return Err(ZoneFault::Wildcard { owner: owner.clone() });
    }
    Ok(())
}

pub(super) fn check_type(owner: &Name, rtype: Rtype, apex: &Name) -> Result<(), ZoneFault> {
    match rtype {
        Rtype::SOA if owner != apex => Err(ZoneFault::SoaPlace { owner: owner.clone(), apex: apex.clone() }),
        Rtype::NS if owner != apex => Err(ZoneFault::Delegation { owner: owner.clone() }),
        Rtype::DNAME => Err(ZoneFault::Dname),
        _ if is_of_signed_zone(rtype) => Err(ZoneFault::Dnssec { rtype }),
        Rtype::NULL | Rtype::OPT => Err(ZoneFault::Meta { rtype }),
        _ if matches!(rtype.to_int(), 0 | 128..=255) => Err(ZoneFault::Meta { rtype }),
        _ => Ok(()),
    }
}

/// Whether only a signed zone has records of this type (RFC 4034, RFC 5155), which this version does not serve.
pub fn is_of_signed_zone(rtype: Rtype) -> bool {
    matches!(
        rtype,
        Rtype::SIG
            | Rtype::NXT
            | Rtype::DS
            | Rtype::RRSIG
            | Rtype::NSEC
            | Rtype::DNSKEY
            | Rtype::NSEC3
            | Rtype::NSEC3PARAM
            | Rtype::CDS
            | Rtype::CDNSKEY
            | Rtype::ZONEMD
    )
}

pub(super) fn check_ttl(ttl: Ttl) -> Result<u32, ZoneFault> {
    let ttl_s = ttl.as_secs();
    if ttl_s > TTL_MAX_S { Err(ZoneFault::Ttl { ttl_s }) } else { Ok(ttl_s) }
}

/// The NS records whose target is in the zone without an address. Its parent can have no better glue than the zone's.
pub(super) fn servers_without_address(
    records: &[StaticRecord],
    apex: &Name,
) -> impl Iterator<Item = ZoneWarning> {
    let is_address = |record: &&StaticRecord| matches!(record.rtype, Rtype::A | Rtype::AAAA);
    let reachable: HashSet<&Name> = records.iter().filter(is_address).map(|record| &record.owner).collect();
    records.iter().filter(|record| record.rtype == Rtype::NS).filter_map(move |record| {
        let server = Name::from_octets(bytes::Bytes::copy_from_slice(&record.rdata)).ok()?;
        let missing = server.ends_with(apex) && !reachable.contains(&server);
        missing.then_some(ZoneWarning::NoAddress { line: record.line, server })
    })
}

/// The line that an error is about, as the errors of TOML files show theirs; nothing for what the zone as a whole lacks.
/// A zone file may hold any octets and a terminal acts on some, so only characters that print are shown.
pub(super) fn excerpt(text: &[u8], line: usize, fault: &ZoneFault) -> String {
    let shown = text.split(|&octet| octet == b'\n').nth(line.saturating_sub(1)).unwrap_or_default();
    let shown = String::from_utf8_lossy(shown);
    if matches!(fault, ZoneFault::NoSoa) || shown.trim().is_empty() {
        return String::new();
    }
    let printed = shown.trim_end().chars().take(EXCERPT_CHARACTERS_MAX);
    let printed = printed.map(|character| match character {
        '\t' => ' ',
        character if character.is_control() => char::REPLACEMENT_CHARACTER,
        character => character,
    });
    format!("\n  {line} | {}", printed.collect::<String>())
}

/// The scanner's error, which reads "LINE:COLUMN: MESSAGE". Its line is right within an entry in parentheses, but it is
/// the next entry's when fields are missing: so it is held within the entry that was being read.
pub(super) fn syntax(error: &inplace::Error, entry: &Entry<'_>) -> (usize, ZoneFault) {
    let text = error.to_string();
    let mut parts = text.splitn(3, ':');
    let line = parts.next().and_then(|line| line.parse().ok()).unwrap_or(entry.line);
    let message = parts.nth(1).unwrap_or(&text).trim().to_owned();
    if let Some(slip) = slips::slip(entry, &message) {
        return slip;
    }
    let hint = match message.as_str() {
        "expected rtype" => "write OWNER TTL CLASS TYPE RDATA",
        "unexpected end of entry" => "fields of the record are missing",
        "trailing tokens" => "there is more than the fields of the type; quote text that has spaces",
        "missing last owner" => "the first record has to name its owner",
        "unknown record type with concrete data" => "write its rdata as \\# LENGTH HEX (RFC 3597 section 5)",
        text if text.starts_with("unknown control") => "only $ORIGIN and $TTL are supported",
        _ => "",
    };
    (line.clamp(entry.line, entry.last_line), ZoneFault::Syntax { message, hint })
}
