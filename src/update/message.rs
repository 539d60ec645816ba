//! An UPDATE message's sections (RFC 2136 section 2), read and prescanned (section 3.4.1).

use super::Refusal;
use crate::wire::{
    Class, Edns, HEADER_LEN, Header, LeaseOption, RawRecord, Rtype, WireError, expand_rdata, lower,
    name_in_message, read_record,
};

/// One record of the prerequisite section, as the condition that it states (RFC 2136 section 2.4). Names are in lower-case
/// wire form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Prerequisite {
    /// The RRset exists.
    RrsetExists {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
    },
    /// The RRset has this record, and the others that the section gives for it, and no other.
    RrsetHas {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
        /// Uncompressed rdata.
        rdata: Vec<u8>,
    },
    /// The RRset does not exist.
    NoRrset {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
    },
    /// The name has records.
    NameInUse {
        /// The name.
        name: Box<[u8]>,
    },
    /// The name has none.
    NameNotInUse {
        /// The name.
        name: Box<[u8]>,
    },
}

impl Prerequisite {
    /// The name that it is about.
    pub fn name(&self) -> &[u8] {
        match self {
            Prerequisite::RrsetExists { name, .. }
            | Prerequisite::RrsetHas { name, .. }
            | Prerequisite::NoRrset { name, .. }
            | Prerequisite::NameInUse { name }
            | Prerequisite::NameNotInUse { name } => name,
        }
    }
}

/// One record of the update section, as what it asks for (RFC 2136 section 2.5). Names are in lower-case wire form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Add to an RRset.
    Add {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
        /// TTL, seconds.
        ttl_s: u32,
        /// Uncompressed rdata.
        rdata: Vec<u8>,
    },
    /// Delete an RRset.
    DeleteRrset {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
    },
    /// Delete all RRsets from a name.
    DeleteName {
        /// Owner.
        name: Box<[u8]>,
    },
    /// Delete one record from an RRset.
    DeleteRecord {
        /// Owner.
        name: Box<[u8]>,
        /// Type.
        rtype: Rtype,
        /// Uncompressed rdata.
        rdata: Vec<u8>,
    },
}

impl Command {
    /// The name that it is about.
    pub fn name(&self) -> &[u8] {
        match self {
            Command::Add { name, .. }
            | Command::DeleteRrset { name, .. }
            | Command::DeleteName { name }
            | Command::DeleteRecord { name, .. } => name,
        }
    }
}

/// Whether a name lies in the message's zone: at or below its apex, and in no zone below it that is served here too.
pub(super) type InZone<'z> = &'z dyn Fn(&[u8]) -> bool;

/// The outline of an UPDATE: enough to find the zone and to reply.
#[derive(Debug)]
pub(super) struct Outline {
    /// ZNAME in lower-case wire form.
    pub zone: Box<[u8]>,
    /// ZCLASS.
    pub class: Class,
    prerequisites: Vec<RawRecord>,
    updates: Vec<RawRecord>,
    /// The OPT record, if there was one.
    pub edns: Option<Edns>,
}

impl Outline {
    /// Reads all sections; `header` is the message's. The zone section must hold one SOA (RFC 2136 section 3.1.1). No section
    /// has a limit of its own: 64 KB, the most that a message has, hold under 6,000 records.
    pub fn read(message: &[u8], header: &Header) -> Result<Self, Refusal> {
        let [zones, prerequisites, updates, additionals] = header.counts;
        if zones != 1 {
            return Err(Refusal::ZoneSection);
        }
        let (zone, fixed) = name_in_message(message, HEADER_LEN)?;
        let zone_end = fixed + 4;
        let &[t0, t1, c0, c1] = message.get(fixed..zone_end).ok_or(WireError::Short { at: fixed })? else {
            return Err(Refusal::ZoneSection);
        };
        if Rtype::from_int(u16::from_be_bytes([t0, t1])) != Rtype::SOA {
            return Err(Refusal::ZoneSection);
        }
        let class = Class::from_int(u16::from_be_bytes([c0, c1]));
        let mut at = zone_end;
        let mut next = || -> Result<RawRecord, WireError> {
            let record = read_record(message, at)?;
            at = record.end();
            Ok(record)
        };
        let prerequisites = (0..prerequisites).map(|_| next()).collect::<Result<Vec<_>, _>>()?;
        let updates = (0..updates).map(|_| next()).collect::<Result<Vec<_>, _>>()?;
        let mut edns = None;
        for _ in 0..additionals {
            let record = next()?;
            if record.rtype == Rtype::OPT && edns.replace(Edns::read(message, &record)?).is_some() {
                return Err(WireError::BadOpt.into());
            }
        }
        if at != message.len() {
            return Err(WireError::Trailing { octets: message.len() - at }.into());
        }
        Ok(Outline { zone: lower(zone.as_slice()), class, prerequisites, updates, edns })
    }

    /// The lease that the client asks for (RFC 9664).
    pub fn lease(&self, message: &[u8]) -> Result<Option<LeaseOption>, Refusal> {
        Ok(self.edns.as_ref().map_or(Ok(None), |edns| edns.lease(message))?)
    }

    /// The prerequisite section as conditions, none of them judged yet: a record that states none refuses only after all
    /// before it hold (RFC 2136 section 3.2.5).
    pub fn prerequisites(&self, message: &[u8], zone: InZone<'_>) -> Vec<Result<Prerequisite, Refusal>> {
        self.prerequisites.iter().map(|record| prerequisite(message, record, zone)).collect()
    }

    /// The update section as commands. Every record is read and judged before any has an effect.
    pub fn commands(&self, message: &[u8], zone: InZone<'_>) -> Result<Vec<Command>, Refusal> {
        self.each_command(message, zone).collect()
    }

    /// The same, each by itself.
    pub fn each_command<'m>(
        &'m self,
        message: &'m [u8],
        zone: InZone<'m>,
    ) -> impl Iterator<Item = Result<Command, Refusal>> {
        self.updates.iter().map(move |record| command(message, record, zone))
    }
}

/// RFC 2136 section 3.2.
fn prerequisite(message: &[u8], record: &RawRecord, zone: InZone<'_>) -> Result<Prerequisite, Refusal> {
    let (name, _) = name_in_message(message, record.start)?;
    let name = lower(name.as_slice());
    let (rtype, class) = (record.rtype, record.class);
    let bad = Err(Refusal::BadPrerequisite { name: name.clone(), rtype, class });
    let is_bare = record.rdata.is_empty();
    if record.ttl != 0 || is_meta(rtype) {
        return bad;
    }
    if !zone(&name) {
        return Err(Refusal::NotZone { name });
    }
    match class {
        Class::ANY | Class::NONE if !is_bare => bad,
        Class::ANY if rtype == Rtype::ANY => Ok(Prerequisite::NameInUse { name }),
        Class::ANY => Ok(Prerequisite::RrsetExists { name, rtype }),
        Class::NONE if rtype == Rtype::ANY => Ok(Prerequisite::NameNotInUse { name }),
        Class::NONE => Ok(Prerequisite::NoRrset { name, rtype }),
        Class::IN if rtype != Rtype::ANY => {
            Ok(Prerequisite::RrsetHas { name, rtype, rdata: expand_rdata(message, record)? })
        }
        _ => bad,
    }
}

/// RFC 2136 section 3.4.1.
fn command(message: &[u8], record: &RawRecord, zone: InZone<'_>) -> Result<Command, Refusal> {
    let (name, _) = name_in_message(message, record.start)?;
    let name = lower(name.as_slice());
    if !zone(&name) {
        return Err(Refusal::NotZone { name });
    }
    let rtype = record.rtype;
    let bad = Err(Refusal::BadUpdateRecord { name: name.clone(), rtype, class: record.class });
    let is_bare = record.ttl == 0 && record.rdata.is_empty();
    match record.class {
        _ if is_meta(rtype) => bad,
        Class::IN if rtype == Rtype::ANY => bad,
        Class::IN => {
            let rdata = expand_rdata(message, record)?;
            // RFC 2181 section 8: a TTL with its first bit set is taken as 0.
            let ttl_s = if record.ttl > i32::MAX as u32 { 0 } else { record.ttl };
            Ok(Command::Add { name, rtype, ttl_s, rdata })
        }
        Class::ANY if !is_bare => bad,
        Class::ANY if rtype == Rtype::ANY => Ok(Command::DeleteName { name }),
        Class::ANY => Ok(Command::DeleteRrset { name, rtype }),
        Class::NONE if rtype == Rtype::ANY || record.ttl != 0 => bad,
        Class::NONE => Ok(Command::DeleteRecord { name, rtype, rdata: expand_rdata(message, record)? }),
        _ => bad,
    }
}

/// Types that are never data: OPT and the range of query and meta types but ANY (RFC 6895 section 3.1).
fn is_meta(rtype: Rtype) -> bool {
    rtype == Rtype::OPT || (128..=254).contains(&rtype.to_int()) || rtype.to_int() == 0
}
