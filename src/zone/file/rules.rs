//! What a zone file may hold, and how its faults read.

use super::rdata::form;
use crate::wire::{Class, HEADER_LEN, Name, Rtype, name_text};

/// The largest TTL (RFC 2181 section 8).
const TTL_MAX_S: u64 = i32::MAX as u64;

/// What a record takes in a message besides its rdata: a pointer to its owner, type, class, TTL, RDLENGTH.
pub(super) const RECORD_FIXED_OCTETS: usize = 12;

/// The most that an RRset may take. A message over TCP has 65,535 octets (RFC 1035 section 4.2.2); header, the longest
/// question, an OPT, and one alias with the longest target that leads to the RRset, leave 64,986.
pub const RRSET_OCTETS_MAX: usize =
    u16::MAX as usize - HEADER_LEN - (NAME_OCTETS_MAX + 4) - 11 - (RECORD_FIXED_OCTETS + NAME_OCTETS_MAX);

/// The longest name, octets (RFC 1035 section 2.3.4).
const NAME_OCTETS_MAX: usize = 255;

/// What is wrong with an entry, or with the zone as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneFault {
    /// A field of a record.
    #[error("{}", rdata_text(*.rtype, .word, .fault))]
    Rdata {
        /// The record's type.
        rtype: Rtype,
        /// The word that the fault is about.
        word: String,
        /// What is wrong with it.
        fault: Box<ZoneFault>,
    },
    /// The library cannot read a field.
    #[error("{message}")]
    Scanner {
        /// What it says.
        message: &'static str,
    },
    /// A field that is something else than it should be.
    #[error("expected {what}")]
    Expected {
        /// What it should be.
        what: &'static str,
    },
    /// Fields are missing.
    #[error("the entry ends too early")]
    Missing,
    /// There are more words than fields.
    #[error("this is more than the entry takes")]
    Trailing,
    /// Rdata that is well written and not what its type says.
    #[error("these are not the octets of such a record")]
    Malformed,
    /// Rdata that its length field cannot tell.
    #[error("rdata of more than 65535 octets")]
    LongRdata,
    /// A character-string over 255 octets (RFC 1035 section 3.3).
    #[error("a string of {octets} octets, and one has 255 at most; write several")]
    LongText {
        /// How many it has.
        octets: usize,
    },
    /// A type that has no text form here.
    #[error("{rtype} has no form that is known here; write its rdata as \\# LENGTH HEX (RFC 3597 section 5)")]
    NoForm {
        /// The type.
        rtype: Rtype,
    },
    /// A backslash with something behind it that it cannot stand before.
    #[error(
        "a backslash that is no escape; write \\DDD, three digits up to 255, or \\ and the character that is meant"
    )]
    Escape,
    /// A control character.
    #[error("control character {octet}; write \\{octet:03} if it is meant")]
    Control {
        /// Which.
        octet: u8,
    },
    /// A label over 63 octets (RFC 1035 section 2.3.4).
    #[error("a label has more than 63 octets")]
    LongLabel,
    /// A name over 255 octets.
    #[error("a name has more than 255 octets")]
    LongName,
    /// No owner, and none before it.
    #[error("the first record has to name its owner; white space before a record stands for the last one's")]
    NoOwner,
    /// No TTL, and none before it.
    #[error("no TTL is known here; begin the file with $TTL, such as `$TTL 3600`")]
    NoTtl,
    /// Nothing behind the owner.
    #[error("there is no type; write OWNER TTL CLASS TYPE RDATA")]
    NoType,
    /// A directive that is none.
    #[error("{text} is no directive; there are $ORIGIN, $TTL, $INCLUDE and $GENERATE")]
    Directive {
        /// The word.
        text: String,
    },
    /// A directive with too much or too little behind it, or something else.
    #[error("{}{fault}; write {write}", if .word.is_empty() { String::new() } else { format!("\"{word}\": ") })]
    InDirective {
        /// The word that the fault is about; empty if one is missing.
        word: String,
        /// What is wrong with it.
        fault: Box<ZoneFault>,
        /// How the directive is written.
        write: &'static str,
    },
    /// A record that `$GENERATE` made.
    #[error("the record for {value}: {fault}")]
    Generated {
        /// The number that it was made for.
        value: u32,
        /// What is wrong with it.
        fault: Box<ZoneFault>,
    },
    /// Too many of them.
    #[error("with this directive $GENERATE makes {count} records in this zone, and {max} are the most")]
    GenerateTooMany {
        /// How many it would be.
        count: u64,
        /// How many it may be.
        max: u64,
    },
    /// `$INCLUDE` of a file that cannot be read.
    #[error("{file}: {error}; files are included from the directory of the zone file")]
    IncludeRead {
        /// The file as written.
        file: String,
        /// What the operating system says.
        error: String,
    },
    /// `$INCLUDE` of a file elsewhere.
    #[error(
        "{file} is not below the directory of the zone file, and no other files are included; move or copy it there"
    )]
    IncludeOutside {
        /// The file as written.
        file: String,
    },
    /// `$INCLUDE` of a file that is being read.
    #[error("{file} would include itself")]
    IncludeCycle {
        /// The file as written.
        file: String,
    },
    /// `$INCLUDE` in `$INCLUDE` in `$INCLUDE`.
    #[error("$INCLUDE {max} deep; take some files apart")]
    IncludeDepth {
        /// The most that is allowed.
        max: usize,
    },
    /// Too many files for one zone.
    #[error("more than {max} times $INCLUDE in one zone; put some files together")]
    IncludeTooMany {
        /// The most that is allowed.
        max: usize,
    },
    /// Too much text for one zone.
    #[error("the zone's files, and what $GENERATE makes, have more than {max} octets")]
    TooMuchText {
        /// The most that is allowed.
        max: u64,
    },
    /// A word where a type should be.
    #[error("unknown type {text}; write OWNER TTL CLASS TYPE RDATA")]
    UnknownType {
        /// The word.
        text: String,
    },
    /// Something else where a type should be.
    #[error(
        "\"{text}\" is neither a TTL (such as 3600 or 1h) nor a type (such as A); write OWNER TTL CLASS TYPE RDATA"
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
    /// A parenthesis too many.
    #[error("a parenthesis is closed here that is not open")]
    CloseParenthesis,
    /// An entry that does not end.
    #[error("the entry has more words than any record; is a parenthesis not closed?")]
    TooManyWords,
    /// Two dots side by side, or one in front.
    #[error("a name has an empty label; a dot in it has nothing before it")]
    EmptyLabel,
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
        ttl_s: u64,
    },
    /// A wildcard that would lead elsewhere, which nobody has said the meaning of (RFC 4592 sections 4.2 and 4.4).
    #[error("{} {rtype}: a wildcard cannot lead elsewhere with all that is below it; write out the names that it stands for",
        name_text(.owner.as_slice()))]
    Wildcard {
        /// The owner.
        owner: Name,
        /// The record's type.
        rtype: Rtype,
    },
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
    #[error("a CNAME stands alone, and {} has another record at {first}; remove one", name_text(.owner.as_slice()))]
    Cname {
        /// The owner.
        owner: Name,
        /// Where its first record is.
        first: String,
    },
    /// A second DNAME (RFC 6672 section 2.4).
    #[error("{} has another DNAME at {first}, and a name has one at most; remove one", name_text(.owner.as_slice()))]
    SecondDname {
        /// The owner.
        owner: Name,
        /// Where the first is.
        first: String,
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
    #[error("a second SOA; the first is at {first}")]
    SecondSoa {
        /// Where the first is.
        first: String,
    },
    /// No SOA.
    #[error("the zone has no SOA; begin with `@ 3600 IN SOA ns hostmaster 1 1200 180 1209600 2`")]
    NoSoa,
    /// No NS at the apex.
    #[error("the zone has no NS; add `@ 3600 IN NS ns`, or whatever its name servers are")]
    NoNs,
}

impl ZoneFault {
    pub(super) fn expected(what: &'static str) -> Self {
        ZoneFault::Expected { what }
    }

    /// Whether no line is to blame for it.
    pub(super) fn is_of_the_whole(&self) -> bool {
        matches!(self, ZoneFault::NoSoa)
    }
}

fn rdata_text(rtype: Rtype, word: &str, fault: &ZoneFault) -> String {
    let write = format!("write {rtype} {}", form(rtype));
    match fault {
        ZoneFault::NoForm { .. } => fault.to_string(),
        // They say what to do themselves, in whatever record.
        ZoneFault::Escape | ZoneFault::Control { .. } | ZoneFault::LongText { .. } => {
            format!("\"{word}\": {fault}")
        }
        ZoneFault::EmptyLabel | ZoneFault::LongLabel | ZoneFault::LongName => format!("\"{word}\": {fault}"),
        ZoneFault::Missing | ZoneFault::Malformed => format!("{fault}; {write}"),
        ZoneFault::Trailing => format!("\"{word}\": {fault}; {write}, and quote text that has spaces"),
        _ => format!("\"{word}\": {fault}; {write}"),
    }
}

pub(super) fn check_type(owner: &Name, rtype: Rtype, apex: &Name) -> Result<(), ZoneFault> {
    match rtype {
        Rtype::SOA if owner != apex => Err(ZoneFault::SoaPlace { owner: owner.clone(), apex: apex.clone() }),
        Rtype::NS | Rtype::DNAME if owner.first().as_slice() == b"*" => {
            Err(ZoneFault::Wildcard { owner: owner.clone(), rtype })
        }
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

pub(super) fn check_ttl(ttl_s: u64) -> Result<u32, ZoneFault> {
    let fits = u32::try_from(ttl_s).ok().filter(|_| ttl_s <= TTL_MAX_S);
    fits.ok_or(ZoneFault::Ttl { ttl_s })
}
