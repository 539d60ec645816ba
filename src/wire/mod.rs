//! Bytes to DNS and back: header, name, question, record, EDNS, TSIG, reply.
//!
//! A leaf: no I/O, no clock, and no allocation when reading a question. Anything that is read here came from the
//! network, so every access is checked and every failure is a [`WireError`].
//!
//! The code registries (types, classes, RCODEs) and the full rdata parsers are the `domain` crate's, re-exported so that
//! the rest of rollcall has one spelling for them.

mod cut;
mod edns;
mod header;
mod name;
mod question;
mod record;
mod reply;
mod shape;
pub mod tsig;

pub use domain::base::iana::{Class, Opcode, Rcode, Rtype};

pub use cut::cut;
pub use edns::{
    CLIENT_COOKIE_LEN, COOKIE_LEN, CookieOption, Edns, ExtendedError, LeaseOption, OptRecord, UDP_PAYLOAD_MAX,
};
pub use header::{FLAG_AA, FLAG_CD, FLAG_QR, FLAG_RD, FLAG_TC, HEADER_LEN, Header};
pub use name::{NAME_MAX, Name, NameHasher, NameKey, label_text, lower, name_in_message, name_text};
pub use question::{Question, Reading};
pub use record::{
    RawRecord, address_in, canonical_rdata, expand_rdata, pointer_in, read_record, same_rdata, skip_name,
};
pub use reply::Reply;
pub use shape::{Field, Shape, is_tag, shape};

/// Why bytes from the network could not be read. All of them are FORMERR on the wire (RFC 1035 section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The message ends inside a header, name or record.
    #[error("the message ends early, at octet {at}")]
    Short {
        /// Where the reader wanted more.
        at: usize,
    },
    /// A name with a bad label type, over 255 octets, or a compression pointer that does not point backwards.
    #[error("bad name at octet {at}")]
    BadName {
        /// Where the name starts.
        at: usize,
    },
    /// Rdata that does not parse as its type says.
    #[error("bad {rtype} rdata at octet {at}")]
    BadRdata {
        /// Where the rdata starts.
        at: usize,
        /// The record's type.
        rtype: Rtype,
    },
    /// Octets after the last record that the header counts.
    #[error("{octets} octets after the last record")]
    Trailing {
        /// How many.
        octets: usize,
    },
    /// More than one OPT, an OPT that is not owned by the root (RFC 6891 section 6.1.1), or one whose options overrun.
    #[error("bad OPT record")]
    BadOpt,
    /// A TSIG that is not the last record of the additional section, or a second one (RFC 8945 section 5.2).
    #[error("TSIG is not the last record, or there are two")]
    TsigPlace,
    /// A TSIG whose rdata does not parse (RFC 8945 section 4.2).
    #[error("bad TSIG record")]
    BadTsig,
}

/// Two octets in network order at `at`, if they are there.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let octets = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_be_bytes(octets.try_into().ok()?))
}

/// Four octets in network order at `at`, if they are there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let octets = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(octets.try_into().ok()?))
}
