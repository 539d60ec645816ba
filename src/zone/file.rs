//! A zone file (RFC 1035 section 5), read into the static records of a zone.
//!
//! The text is the `domain` crate's to scan, entry by entry; what a zone may hold is judged here. This version serves
//! plain static records, and refuses by name and line what it could not serve right: wildcards, delegations, DNAME and
//! signed data. Half a feature in a zone file is worse than an error, because nobody sees it until it is asked for.

mod entries;
mod origin;
mod rules;
mod slips;
mod tokens;

use std::collections::hash_map::Entry as Place;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use domain::base::ToName;
use domain::base::rdata::ComposeRecordData;
use domain::rdata::ZoneRecordData;
use domain::zonefile::inplace::{self, Zonefile};

use crate::wire::{Class, Name, RawRecord, Rtype, expand_rdata};

pub use rules::{RRSET_OCTETS_MAX, ZoneFault, ZoneFileError, ZoneWarning, is_of_signed_zone};

/// What a zone file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneRecords {
    /// The zone's SOA.
    pub soa: Soa,
    /// All other records, in file order. Records of one RRset have one TTL.
    pub records: Vec<StaticRecord>,
    /// What was mended or looks wrong.
    pub warnings: Vec<ZoneWarning>,
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
    /// Its owner, its case kept.
    pub owner: Name,
    /// Its type.
    pub rtype: Rtype,
    /// Its TTL, seconds.
    pub ttl_s: u32,
    /// Its rdata, names uncompressed.
    pub rdata: Box<[u8]>,
    /// Where it stands in the file, for errors that involve it.
    pub line: usize,
}

/// Reads the zone file at `path`.
pub fn read(path: &Path, apex: &Name) -> Result<ZoneRecords, ZoneFileError> {
    let text = std::fs::read(path).map_err(|error| ZoneFileError::Read { path: path.into(), error })?;
    parse(&text, path, apex)
}

/// Reads a zone file's text; `path` is for errors alone. Relative names are relative to `apex` until `$ORIGIN` says
/// otherwise; records without a class are IN, those before any TTL have an hour.
pub fn parse(text: &[u8], path: &Path, apex: &Name) -> Result<ZoneRecords, ZoneFileError> {
    let at = |(line, fault): (usize, ZoneFault)| {
        let excerpt = rules::excerpt(text, line, &fault).into();
        ZoneFileError::Entry { path: PathBuf::from(path), line, fault: fault.into(), excerpt }
    };
    // The rules about class and class changes are ours, so that their error has the same form as all others.
    let mut scanner = Zonefile::with_capacity(text.len() + 1).allow_invalid();
    scanner.set_origin(apex.clone());
    scanner.set_default_class(Class::IN);
    let mut zone = Builder::new(apex);
    for entry in entries::entries(text).map_err(at)? {
        // The scanner has read all entries before this one, $ORIGIN among them.
        let origin = scanner.origin().unwrap_or_else(|_| apex.clone());
        scanner.extend_from_slice(&origin::spelt_out(entry.text, &origin));
        if !entry.text.ends_with(b"\n") {
            scanner.extend_from_slice(b"\n");
        }
        while let Some(scanned) = scanner.next_entry().map_err(|error| at(rules::syntax(&error, &entry)))? {
            let added = match scanned {
                inplace::Entry::Record(record) => zone.add(&record, entry.line),
                inplace::Entry::Include { .. } => Err(ZoneFault::Include),
            };
            added.map_err(|fault| at((entry.line, fault)))?;
        }
    }
    zone.finish().map_err(at)
}

/// Reads the rdata of one record in presentation form, or in that of RFC 3597 section 5. Names are absolute, with their
/// closing dot or without it.
pub fn rdata(rtype: Rtype, text: &[u8]) -> Result<Box<[u8]>, ZoneFault> {
    let line = [b". 0 IN ", rtype.to_string().as_bytes(), b" ", text, b"\n"].concat();
    let root = Name::root_bytes();
    let mut scanner = Zonefile::with_capacity(line.len()).allow_invalid();
    scanner.set_origin(root.clone());
    let entries = entries::entries(&line).map_err(|(_, fault)| fault)?;
    let [entry] = entries.as_slice() else { return Err(ZoneFault::Rdata { rtype }) };
    scanner.extend_from_slice(&origin::spelt_out(entry.text, &root));
    match scanner.next_entry().map_err(|error| rules::syntax(&error, entry).1)? {
        Some(inplace::Entry::Record(record)) => wire_rdata(&record),
        _ => Err(ZoneFault::Rdata { rtype }),
    }
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

/// A zone while its file is read.
struct Builder<'a> {
    apex: &'a Name,
    soa: Option<(Soa, usize)>,
    records: Vec<StaticRecord>,
    /// The first record of each owner: type and line.
    owners: HashMap<Name, (Rtype, usize)>,
    /// Each RRset's least TTL, and where a record was lowered to it or lowered it.
    ttls: HashMap<(Name, Rtype), (u32, Option<usize>)>,
    /// Octets that each RRset takes in a message.
    octets: HashMap<(Name, Rtype), usize>,
    /// Records that were read, with canonical rdata (RFC 4034 section 6.2).
    known: HashSet<(Name, Rtype, Vec<u8>)>,
}

impl<'a> Builder<'a> {
    fn new(apex: &'a Name) -> Self {
        Builder {
            apex,
            soa: None,
            records: Vec::new(),
            owners: HashMap::new(),
            ttls: HashMap::new(),
            octets: HashMap::new(),
            known: HashSet::new(),
        }
    }

    fn add(&mut self, record: &inplace::ScannedRecord, line: usize) -> Result<(), ZoneFault> {
        let (owner, rtype) = (whole(record.owner().to_name())?, record.rtype());
        if record.class() != Class::IN {
            return Err(ZoneFault::Class { class: record.class() });
        }
        rules::check_owner(&owner, self.apex)?;
        rules::check_type(&owner, rtype, self.apex)?;
        let ttl_s = rules::check_ttl(record.ttl())?;
        if rtype == Rtype::SOA {
            return self.add_soa(record, ttl_s, line);
        }
        let rdata = wire_rdata(record)?;
        let mut canonical = Vec::new();
        // Composing into a Vec cannot run out of room.
        _ = record.data().compose_canonical_rdata(&mut canonical);
        self.note_ttl(&owner, rtype, ttl_s, line);
        if !self.known.insert((owner.clone(), rtype, canonical)) {
            return Ok(());
        }
        self.note_owner(&owner, rtype, line)?;
        self.note_octets(&owner, rtype, rdata.len())?;
        self.records.push(StaticRecord { owner, rtype, ttl_s, rdata, line });
        Ok(())
    }

    fn add_soa(&mut self, record: &inplace::ScannedRecord, ttl_s: u32, line: usize) -> Result<(), ZoneFault> {
        if let Some((_, first_line)) = self.soa {
            return Err(ZoneFault::SecondSoa { first_line });
        }
        let ZoneRecordData::Soa(soa) = record.data() else {
            return Err(ZoneFault::Rdata { rtype: Rtype::SOA });
        };
        self.note_owner(&self.apex.clone(), Rtype::SOA, line)?;
        let soa = Soa {
            mname: whole(soa.mname().to_name())?,
            rname: whole(soa.rname().to_name())?,
            serial: soa.serial().into_int(),
            refresh: soa.refresh().as_secs(),
            retry: soa.retry().as_secs(),
            expire: soa.expire().as_secs(),
            minimum: soa.minimum().as_secs(),
            ttl_s,
        };
        self.soa = Some((soa, line));
        Ok(())
    }

    /// A CNAME stands alone (RFC 1034 section 3.6.2).
    fn note_owner(&mut self, owner: &Name, rtype: Rtype, line: usize) -> Result<(), ZoneFault> {
        let &mut (first, first_line) = self.owners.entry(owner.clone()).or_insert((rtype, line));
        if first_line != line && (first == Rtype::CNAME || rtype == Rtype::CNAME) {
            return Err(ZoneFault::Cname { owner: owner.clone(), first_line });
        }
        Ok(())
    }

    /// What is larger than a message would be answered with nothing, even over TCP.
    fn note_octets(&mut self, owner: &Name, rtype: Rtype, rdata: usize) -> Result<(), ZoneFault> {
        let octets = self.octets.entry((owner.clone(), rtype)).or_default();
        *octets += rules::RECORD_FIXED_OCTETS + rdata;
        if *octets > rules::RRSET_OCTETS_MAX {
            return Err(ZoneFault::TooLarge { owner: owner.clone(), rtype });
        }
        Ok(())
    }

    fn note_ttl(&mut self, owner: &Name, rtype: Rtype, ttl_s: u32, line: usize) {
        match self.ttls.entry((owner.clone(), rtype)) {
            Place::Vacant(place) => _ = place.insert((ttl_s, None)),
            Place::Occupied(mut held) => {
                let (least, differs) = held.get_mut();
                if *least != ttl_s {
                    *least = ttl_s.min(*least);
                    differs.get_or_insert(line);
                }
            }
        }
    }

    fn finish(mut self) -> Result<ZoneRecords, (usize, ZoneFault)> {
        let Some((soa, soa_line)) = self.soa else { return Err((1, ZoneFault::NoSoa)) };
        let is_apex_ns = |record: &StaticRecord| record.rtype == Rtype::NS && record.owner == *self.apex;
        if !self.records.iter().any(is_apex_ns) {
            return Err((soa_line, ZoneFault::NoNs));
        }
        for record in &mut self.records {
            // RFC 2181 section 5.2: one TTL an RRset.
            if let Some(&(least, _)) = self.ttls.get(&(record.owner.clone(), record.rtype)) {
                record.ttl_s = least;
            }
        }
        let mut warnings: Vec<_> = self
            .ttls
            .into_iter()
            .filter_map(|((owner, rtype), (ttl_s, line))| {
                Some(ZoneWarning::MixedTtl { line: line?, owner, rtype, ttl_s })
            })
            .collect();
        warnings.extend(rules::servers_without_address(&self.records, self.apex));
        warnings.sort_by_key(ZoneWarning::line);
        Ok(ZoneRecords { soa, records: self.records, warnings })
    }
}

/// The name, if it is one: the scanner takes "a..b." for a name with an empty label, which would end it early on the wire.
fn whole(name: Name) -> Result<Name, ZoneFault> {
    match domain::base::Name::from_slice(name.as_slice()) {
        Ok(_) => Ok(name),
        Err(_) => Err(ZoneFault::EmptyLabel),
    }
}

/// A record's rdata in wire form, checked to be what its type says: the scanner takes anything in the form of RFC 3597.
fn wire_rdata(record: &inplace::ScannedRecord) -> Result<Box<[u8]>, ZoneFault> {
    let rtype = record.rtype();
    let mut composed = Vec::new();
    // Composing into a Vec cannot run out of room.
    _ = record.data().compose_rdata(&mut composed);
    let raw = RawRecord { start: 0, rtype, class: Class::IN, ttl: 0, rdata: 0..composed.len() };
    match expand_rdata(&composed, &raw) {
        Ok(rdata) if u16::try_from(rdata.len()).is_ok() => Ok(rdata.into()),
        _ => Err(ZoneFault::Rdata { rtype }),
    }
}

#[cfg(test)]
mod tests;
