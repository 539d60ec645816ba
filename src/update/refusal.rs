//! Why an UPDATE was refused: one reason, one RCODE, one text for the log and for the client.

use std::fmt;
use std::net::IpAddr;

use super::attributes::BadAttribute;
use super::drain::DRAIN_S_MAX;
use super::names::member_text;
use crate::security;
use crate::wire::tsig::TsigFailure;
use crate::wire::{Class, ExtendedError, Rcode, Rtype, WireError, name_text};

/// Why nothing of a message was done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The octets could not be read.
    #[error("malformed: {0}")]
    Wire(#[from] WireError),
    /// The zone section is not one SOA (RFC 2136 section 3.1.1).
    #[error("the zone section must be one record of type SOA")]
    ZoneSection,
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
    #[error("not authoritative for zone {}{}", name_text(zone),
        if *class == Class::IN { String::new() } else { format!(" of class {class}") })]
    NotAuth {
        /// ZNAME.
        zone: Box<[u8]>,
        /// ZCLASS.
        class: Class,
    },
    /// An owner outside the zone (RFC 2136 section 3.4.1.3).
    #[error("{} is not in the zone that the message names", name_text(name))]
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
        member_text(name),
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
    /// The member is gone, and its name is still kept for its owner (RFC 9664 section 4.1).
    #[error(
        "{} of pool {} is kept for {owner} for another {left_s} s; only {owner} or an admin grant may take it before",
        member_text(name),
        name_text(pool)
    )]
    Kept {
        /// The pool.
        pool: Box<[u8]>,
        /// The member.
        name: Box<[u8]>,
        /// Whose it was.
        owner: Box<str>,
        /// For how long, seconds.
        left_s: u64,
    },
    /// A heartbeat with attributes alone for a member that is not there.
    #[error("{} is not a member of {}: register again, with its address", member_text(name), name_text(pool))]
    NotRegistered {
        /// The pool.
        pool: Box<[u8]>,
        /// The member.
        name: Box<[u8]>,
    },
    /// A SRV for a member without an address.
    #[error(
        "{} of pool {} has no address: add its A or AAAA in the same message",
        member_text(name),
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
    /// A record where a pool has its members', services' and its own, or that would lead elsewhere from there.
    #[error(
        "{} {rtype} stands in the way of pool {}: its addresses, services and bindings are its members', `all` \
         and `_status` are its own, and nothing there may lead elsewhere or be a wildcard; put addresses at a member's name, one label below it, and let SRV, HTTPS and SVCB point to \
         one",
        name_text(name),
        name_text(pool)
    )]
    InTheWay {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
        /// The pool.
        pool: Box<[u8]>,
    },
    /// A record that would lead elsewhere from above a pool.
    #[error(
        "{} {rtype} would lead elsewhere with all that is below it, and pools are, or may be made there",
        name_text(name)
    )]
    AbovePools {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
    },
    /// An address or attributes where a registration would make a pool, but for ordinary records that are there.
    #[error(
        "{} cannot join: {} has ordinary records where a pool and its members would be; declare the pool, or take them away",
        name_text(name),
        name_text(pool)
    )]
    NoPool {
        /// Owner.
        name: Box<[u8]>,
        /// What would be the pool.
        pool: Box<[u8]>,
    },
    /// A record that this version could not serve right.
    #[error("{} {rtype}: this version serves no {what}", name_text(name))]
    NotServed {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
        /// What it would be.
        what: &'static str,
    },
    /// A record of the prerequisite section that states no condition (RFC 2136 section 3.2).
    #[error("prerequisite {} {rtype} of class {class} states no condition", name_text(name))]
    BadPrerequisite {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
        /// Class.
        class: Class,
    },
    /// A prerequisite that does not hold (RFC 2136 section 3.2).
    #[error("prerequisite not met: that {}{} {condition}", name_text(name), if *rtype == Rtype::ANY { String::new() } else { format!(" {rtype}") })]
    Unmet {
        /// The name.
        name: Box<[u8]>,
        /// The type; ANY for the name as a whole.
        rtype: Rtype,
        /// What does not hold.
        condition: Condition,
    },
    /// A word about a drain from who is no operator.
    #[error(
        "draining {} of pool {} takes a grant for the pool with `admin = true`",
        member_text(name),
        name_text(pool)
    )]
    NotOperator {
        /// The pool.
        pool: Box<[u8]>,
        /// The member.
        name: Box<[u8]>,
    },
    /// A drain of somebody whom nobody knows, which may be a slip of the pen.
    #[error(
        "{} is not a member of {}, nor was it lately: there is nobody to drain",
        member_text(name),
        name_text(pool)
    )]
    NobodyToDrain {
        /// The pool.
        pool: Box<[u8]>,
        /// The member.
        name: Box<[u8]>,
    },
    /// A TXT record that says something else than for how long, and why.
    #[error(
        "\"{text}\" is no word about a drain: write \"for=SECONDS\" (1 to {DRAIN_S_MAX}), \"why=TEXT\", both, or one empty string"
    )]
    BadDrain {
        /// The string.
        text: String,
    },
    /// A member joins that says that it wants no clients: it drained before, and left.
    #[error(
        "{} of pool {} says that it drains: once it has left, it joins without `drain`",
        member_text(name),
        name_text(pool)
    )]
    JoinsDraining {
        /// The pool.
        pool: Box<[u8]>,
        /// The member.
        name: Box<[u8]>,
    },
    /// A limit of this server.
    #[error("{0}")]
    Limit(String),
}

/// What a prerequisite states (RFC 2136 section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The name has records.
    InUse,
    /// The name has none.
    NotInUse,
    /// The RRset exists.
    Exists,
    /// The RRset does not exist.
    Absent,
    /// The RRset has exactly the records given.
    Equals,
}

impl Condition {
    /// What it is answered with when it does not hold.
    fn rcode(self) -> Rcode {
        match self {
            Condition::InUse => Rcode::NXDOMAIN,
            Condition::NotInUse => Rcode::YXDOMAIN,
            Condition::Exists | Condition::Equals => Rcode::NXRRSET,
            Condition::Absent => Rcode::YXRRSET,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Condition::InUse => "is in use",
            Condition::NotInUse => "is not in use",
            Condition::Exists => "exists",
            Condition::Absent => "does not exist",
            Condition::Equals => "has just the records given",
        })
    }
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

/// Whose affair a refusal is, for the log and the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The message is not signed by who it says: whoever sent it may be anybody.
    Signature,
    /// A prerequisite does not hold, which is how clients ask: a DHCP server does it for every name.
    Prerequisite,
    /// The sender's or the operator's: something is to be changed.
    Other,
}

impl Refusal {
    /// What kind of reason it is.
    pub fn kind(&self) -> RefusalKind {
        match self {
            Refusal::Tsig(_) => RefusalKind::Signature,
            Refusal::Unmet { .. } => RefusalKind::Prerequisite,
            _ => RefusalKind::Other,
        }
    }

    /// The one place where a reason becomes an RCODE.
    pub fn rcode(&self) -> Rcode {
        match self {
            Refusal::Wire(_)
            | Refusal::ZoneSection
            | Refusal::BadPrerequisite { .. }
            | Refusal::BadUpdateRecord { .. } => Rcode::FORMERR,
            // BADVERS is 16: its lower four bits are 0, the OPT record has the others.
            Refusal::EdnsVersion { .. } => Rcode::NOERROR,
            Refusal::NotAuth { .. } => Rcode::NOTAUTH,
            Refusal::NotZone { .. } => Rcode::NOTZONE,
            Refusal::Tsig(failure) => failure.rcode(),
            Refusal::Unmet { condition, .. } => condition.rcode(),
            Refusal::Grant(_)
            | Refusal::NotOwner { .. }
            | Refusal::Kept { .. }
            | Refusal::NotRegistered { .. }
            | Refusal::NoAddress { .. }
            | Refusal::SrvTarget { .. }
            | Refusal::Attribute(_)
            | Refusal::Mapped { .. }
            | Refusal::InTheWay { .. }
            | Refusal::AbovePools { .. }
            | Refusal::NoPool { .. }
            | Refusal::NotServed { .. }
            | Refusal::NotOperator { .. }
            | Refusal::NobodyToDrain { .. }
            | Refusal::BadDrain { .. }
            | Refusal::JoinsDraining { .. }
            | Refusal::Limit(_) => Rcode::REFUSED,
        }
    }

    /// What a client that speaks EDNS is told besides (RFC 8914).
    pub fn extended_error(&self) -> ExtendedError {
        let code =
            if self.rcode() == Rcode::REFUSED { ExtendedError::PROHIBITED } else { ExtendedError::OTHER };
        ExtendedError { code, text: self.to_string().into() }
    }
}
