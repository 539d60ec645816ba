//! Why an UPDATE was refused: one reason, one RCODE, one text for the log and for the client.

use std::net::IpAddr;

use super::attributes::BadAttribute;
use crate::security;
use crate::wire::tsig::TsigFailure;
use crate::wire::{Class, ExtendedError, Rcode, Rtype, WireError, label_text, name_text};

/// Why nothing of a message was done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The octets could not be read.
    #[error("malformed: {0}")]
    Wire(#[from] WireError),
    /// The zone section is not one SOA of class IN (RFC 2136 section 3.1.1).
    #[error("the zone section must be one record of type SOA, class IN")]
    ZoneSection,
    /// More records than one message may have.
    #[error("{records} records in one message; the most are {most}: split it")]
    TooManyRecords {
        /// How many there were.
        records: u16,
        /// The limit.
        most: usize,
    },
    /// A record that is neither an addition nor a deletion (RFC 2136 section 3.4.1).
    #[error("{} {rtype} of class {class} is neither an addition nor a deletion", name_text(name))]
    BadUpdateRecord {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
        /// Class.
        class: Class,
    },
    /// An EDNS version above 0 (RFC 6891 section 6.1.3).
    #[error("EDNS version {version}; only 0 is spoken here")]
    EdnsVersion {
        /// The version.
        version: u8,
    },
    /// A zone that is not ours (RFC 2136 section 3.1.2).
    #[error("not authoritative for zone {}", name_text(zone))]
    NotAuth {
        /// ZNAME.
        zone: Box<[u8]>,
    },
    /// An owner outside the zone (RFC 2136 section 3.4.1.3).
    #[error("{} is not in the zone", name_text(name))]
    NotZone {
        /// The owner.
        name: Box<[u8]>,
    },
    /// TSIG did not verify.
    #[error("TSIG: {0}")]
    Tsig(Box<TsigFailure>),
    /// No grant covers it.
    #[error("{0}")]
    Grant(Box<security::Refusal>),
    /// The member is somebody else's.
    #[error(
        "{} of pool {} belongs to {owner}; only {owner} or an admin grant may change it",
        label_text(name),
        name_text(pool)
    )]
    NotOwner {
        /// The pool.
        pool: Box<[u8]>,
        /// The member.
        name: Box<[u8]>,
        /// Who registered it.
        owner: Box<str>,
    },
    /// A heartbeat with attributes alone for a member that is not there.
    #[error("{} is not a member of {}: register again, with its address", label_text(name), name_text(pool))]
    NotRegistered {
        /// The pool.
        pool: Box<[u8]>,
        /// The member.
        name: Box<[u8]>,
    },
    /// A SRV for a member without an address.
    #[error(
        "{} of pool {} has no address: add its A or AAAA in the same message",
        label_text(name),
        name_text(pool)
    )]
    NoAddress {
        /// The pool.
        pool: Box<[u8]>,
        /// The member.
        name: Box<[u8]>,
    },
    /// A SRV whose target is no member of the pool.
    #[error("SRV target {} is not a member of pool {}", name_text(target), name_text(pool))]
    SrvTarget {
        /// The pool.
        pool: Box<[u8]>,
        /// The target.
        target: Box<[u8]>,
    },
    /// An attribute that is not as it should be, in a join.
    #[error("{0}")]
    Attribute(#[from] BadAttribute),
    /// An IPv4 address in an AAAA record.
    #[error("AAAA {ip} of {} is an IPv4 address: register it as A {}", name_text(name), ip.to_canonical())]
    Mapped {
        /// Owner.
        name: Box<[u8]>,
        /// The address.
        ip: IpAddr,
    },
    /// A record that makes nobody a member.
    #[error(
        "{} {rtype} is neither a member's address or attributes nor a pool's SRV; only these can be registered",
        name_text(name)
    )]
    NotMembership {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
    },
    /// Prerequisites (RFC 2136 section 2.4).
    #[error("prerequisites are not supported; heartbeats need none")]
    Prerequisites,
    /// A limit of this server.
    #[error("{0}")]
    Limit(String),
}

impl From<security::Refusal> for Refusal {
    fn from(refusal: security::Refusal) -> Self {
        Refusal::Grant(Box::new(refusal))
    }
}

impl From<TsigFailure> for Refusal {
    fn from(failure: TsigFailure) -> Self {
        Refusal::Tsig(Box::new(failure))
    }
}

impl Refusal {
    /// The one place where a reason becomes an RCODE.
    pub fn rcode(&self) -> Rcode {
        match self {
            Refusal::Wire(_)
            | Refusal::ZoneSection
            | Refusal::TooManyRecords { .. }
            | Refusal::BadUpdateRecord { .. } => Rcode::FORMERR,
            // BADVERS is 16: its lower four bits are 0, the OPT record has the others.
            Refusal::EdnsVersion { .. } => Rcode::NOERROR,
            Refusal::NotAuth { .. } => Rcode::NOTAUTH,
            Refusal::NotZone { .. } => Rcode::NOTZONE,
            Refusal::Tsig(failure) => failure.rcode(),
            Refusal::Prerequisites => Rcode::NOTIMP,
            Refusal::Grant(_)
            | Refusal::NotOwner { .. }
            | Refusal::NotRegistered { .. }
            | Refusal::NoAddress { .. }
            | Refusal::SrvTarget { .. }
            | Refusal::Attribute(_)
            | Refusal::Mapped { .. }
            | Refusal::NotMembership { .. }
            | Refusal::Limit(_) => Rcode::REFUSED,
        }
    }

    /// What a client that speaks EDNS is told besides (RFC 8914).
    pub fn extended_error(&self) -> ExtendedError {
        let code =
            if self.rcode() == Rcode::REFUSED { ExtendedError::PROHIBITED } else { ExtendedError::OTHER };
        ExtendedError { code, text: self.to_string() }
    }
}
