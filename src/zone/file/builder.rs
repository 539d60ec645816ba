//! A zone while its files are read: records by the dozen bytes, owners once, and what has to hold of all of them together.
//!
//! Records are only collected at first. What involves several of them (duplicates, one TTL an RRset, a CNAME alone) is
//! judged at the end, on the records sorted by owner and type: that takes one list of numbers, where tables of RRsets would
//! take more room than the records.

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;

use super::entries::Word;
use super::error::Spot;
use super::owners::{Item, Owners, owned_name};
use super::warning::{Doubt, Warnings};
use super::words::ShortName;
use super::{Soa, StaticRecord, ZoneFault, ZoneFileError, ZoneRecords, rules, warning};
use crate::wire::{Name, Rtype, canonical_rdata};

/// A file of the zone, as it was read.
pub(super) struct SourceFile {
    pub path: PathBuf,
    pub text: Bytes,
    /// The file and the line that include it.
    pub from: Option<(u16, u32)>,
}

/// The files of a zone, the zone file first. Their texts are kept until the end, for errors that involve several lines.
#[derive(Default)]
pub(super) struct Sources(pub Vec<SourceFile>);

impl Sources {
    /// The error of a word.
    pub fn error(&self, file: u16, word: &Word<'_>, fault: ZoneFault) -> Box<ZoneFileError> {
        let len = if word.is_quoted { word.text.len() + 2 } else { word.text.len() };
        self.error_at(file, word.end() - len, len, fault)
    }

    /// The error of so many octets.
    pub fn error_at(&self, file: u16, at: usize, len: usize, fault: ZoneFault) -> Box<ZoneFileError> {
        self.with_spot(file, fault, |path, text| Spot::new(path, text, at, len))
    }

    /// The error of a line.
    pub fn error_of_line(&self, (file, line): (u16, u32), fault: ZoneFault) -> Box<ZoneFileError> {
        self.with_spot(file, fault, |path, text| Spot::of_line(path, text, line))
    }

    fn with_spot(
        &self,
        file: u16,
        fault: ZoneFault,
        spot: impl FnOnce(PathBuf, &[u8]) -> Spot,
    ) -> Box<ZoneFileError> {
        let source = self.0.get(usize::from(file));
        let path = source.map(|source| source.path.clone()).unwrap_or_default();
        let mut spot = spot(path, source.map(|source| &*source.text).unwrap_or_default());
        if fault.is_of_the_whole() {
            spot = spot.without_text();
        }
        let mut included_from = Vec::new();
        let mut from = source.and_then(|source| source.from);
        while let Some((file, line)) = from {
            let Some(source) = self.0.get(usize::from(file)) else { break };
            included_from.push((source.path.clone(), line as usize));
            from = source.from;
        }
        let files = self.0.iter().map(|source| source.path.clone()).collect();
        let spot = Box::new(spot.included_from(included_from).of_files(files));
        Box::new(ZoneFileError::Entry { spot, fault: Box::new(fault) })
    }

    /// A line, as another line of `beside` would name it.
    fn line_text(&self, (file, line): (u16, u32), beside: u16) -> String {
        let path =
            self.0.get(usize::from(file)).filter(|_| file != beside).map(|source| source.path.display());
        path.map_or_else(|| format!("line {line}"), |path| format!("{path}:{line}"))
    }
}

/// Collects a zone.
pub(super) struct Builder<'a> {
    pub apex: &'a Name,
    pub sources: Sources,
    pub owners: Owners,
    pub items: Vec<Item>,
    pub warnings: Warnings,
    soa: Option<(Soa, (u16, u32))>,
}

impl<'a> Builder<'a> {
    pub fn new(apex: &'a Name) -> Self {
        Builder {
            apex,
            sources: Sources::default(),
            owners: Owners::default(),
            items: Vec::new(),
            warnings: Warnings::default(),
            soa: None,
        }
    }

    pub fn owner(&mut self, name: &ShortName) -> u32 {
        self.owners.intern(name.as_slice())
    }

    /// Takes the zone's SOA, of which there is one.
    pub fn add_soa(&mut self, soa: Soa, place: (u16, u32)) -> Result<(), ZoneFault> {
        if let Some((_, first)) = self.soa {
            return Err(ZoneFault::SecondSoa { first: self.sources.line_text(first, place.0) });
        }
        self.soa = Some((soa, place));
        Ok(())
    }

    /// The zone, or the first record that cannot be in it.
    pub fn finish(mut self) -> Result<ZoneRecords, Box<ZoneFileError>> {
        let Some((soa, soa_place)) = self.soa.take() else {
            return Err(self.sources.error_of_line((0, 1), ZoneFault::NoSoa));
        };
        let sorted = self.sorted();
        let fault = self.settle(&sorted, soa_place);
        if let Some((place, fault)) = fault {
            return Err(self.sources.error_of_line(place, fault));
        }
        let zone = warning::Zone::new(self.apex, &self.owners, &self.items, sorted);
        if !zone.has(self.apex.as_slice(), Rtype::NS) {
            return Err(self.sources.error_of_line(soa_place, ZoneFault::NoNs));
        }
        zone.judge(&mut self.warnings);
        drop(zone);
        let files: Vec<PathBuf> = self.sources.0.into_iter().map(|source| source.path).collect();
        let names = self.owners.into_names();
        let records = self.items.into_iter().filter(|item| !item.is_duplicate).filter_map(|item| {
            let Item { owner, rtype, file, line, ttl_s, rdata, .. } = item;
            let owner = names.get(owner as usize)?.clone();
            Some(StaticRecord { owner, rtype, ttl_s, rdata, file, line: line as usize })
        });
        let records = records.collect();
        let warnings = self.warnings.finish(&files);
        Ok(ZoneRecords { soa, records, warnings, files })
    }

    /// The numbers of the records, sorted by owner and type; within an RRset they stay in the order of the files.
    pub fn sorted(&self) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..).take(self.items.len()).collect();
        let key =
            |number: &u32| self.items.get(*number as usize).map(|item| (item.owner, item.rtype, *number));
        sorted.sort_unstable_by_key(key);
        sorted
    }

    /// Gives each RRset one TTL, marks duplicates, and finds the first record that cannot stand beside others.
    fn settle(&mut self, sorted: &[u32], soa_place: (u16, u32)) -> Option<((u16, u32), ZoneFault)> {
        let apex = self.owners.find(self.apex.as_slice());
        let mut found: Option<(u32, ZoneFault)> = None;
        let mut keep = |number: u32, fault: ZoneFault| {
            if found.as_ref().is_none_or(|(first, _)| number < *first) {
                found = Some((number, fault));
            }
        };
        for name in self.runs(sorted, |item| u64::from(item.owner)) {
            let name = sorted.get(name).unwrap_or_default();
            for set in self.runs(name, |item| u64::from(item.rtype.to_int())) {
                let set = name.get(set).unwrap_or_default();
                self.level(set);
                self.mark_duplicates(set);
                if let Some((number, fault)) = self.outgrown(set) {
                    keep(number, fault);
                }
            }
            let soa = self.item(name.first()).filter(|item| Some(item.owner) == apex).map(|_| soa_place);
            if let Some((number, fault)) = self.not_alone(name, soa) {
                keep(number, fault);
            }
        }
        let (number, fault) = found?;
        Some((self.items.get(number as usize)?.place(), fault))
    }

    fn item(&self, number: Option<&u32>) -> Option<&Item> {
        self.items.get(*number? as usize)
    }

    /// Where the records in `numbers` with the same key begin and end.
    fn runs(&self, numbers: &[u32], key: impl Fn(&Item) -> u64) -> Vec<Range<usize>> {
        let key = |number: &u32| self.items.get(*number as usize).map(&key);
        let mut start = 0;
        let runs = numbers.chunk_by(|one, other| key(one) == key(other)).map(|run| {
            start += run.len();
            start - run.len()..start
        });
        runs.collect()
    }

    /// RFC 2181 section 5.2: one TTL an RRset.
    fn level(&mut self, set: &[u32]) {
        let ttls = set.iter().filter_map(|&number| Some((number, self.items.get(number as usize)?.ttl_s)));
        let Some(((_, first), least)) = ttls.clone().next().zip(ttls.clone().map(|(_, ttl_s)| ttl_s).min())
        else {
            return;
        };
        let Some((differs, _)) = ttls.clone().find(|&(_, ttl_s)| ttl_s != first) else { return };
        if let Some(item) = self.items.get(differs as usize) {
            let owner = owned_name(self.owners.name(item.owner));
            self.warnings.add(item.place(), Doubt::MixedTtl { owner, rtype: item.rtype, ttl_s: least });
        }
        for &number in set {
            if let Some(item) = self.items.get_mut(number as usize) {
                item.ttl_s = least;
            }
        }
    }

    /// Records that are there twice count once (RFC 2181 section 5).
    fn mark_duplicates(&mut self, set: &[u32]) {
        if set.len() < 2 {
            return;
        }
        let canonical = |number: u32| -> Option<Cow<'_, [u8]>> {
            let item = self.items.get(number as usize)?;
            Some(canonical_rdata(item.rtype, &item.rdata))
        };
        let mut by_rdata: Vec<_> = set.iter().map(|&number| (canonical(number), number)).collect();
        by_rdata.sort_unstable();
        let pairs = by_rdata.iter().zip(by_rdata.iter().skip(1));
        let again: Vec<u32> =
            pairs.filter(|(one, other)| one.0 == other.0).map(|(_, other)| other.1).collect();
        drop(by_rdata);
        for number in again {
            if let Some(item) = self.items.get_mut(number as usize) {
                item.is_duplicate = true;
            }
        }
    }

    /// What is larger than a message would be answered with nothing, even over TCP.
    fn outgrown(&self, set: &[u32]) -> Option<(u32, ZoneFault)> {
        let mut octets = 0;
        set.iter().find_map(|&number| {
            let item = self.items.get(number as usize).filter(|item| !item.is_duplicate)?;
            octets += rules::RECORD_FIXED_OCTETS + item.rdata.len();
            let owner = || owned_name(self.owners.name(item.owner));
            (octets > rules::RRSET_OCTETS_MAX)
                .then(|| (number, ZoneFault::TooLarge { owner: owner(), rtype: item.rtype }))
        })
    }

    /// A CNAME stands alone (RFC 1034 section 3.6.2), and a DNAME once (RFC 6672 section 2.4). `name` are the records of one
    /// owner; where that is the apex, its SOA is one more.
    fn not_alone(&self, name: &[u32], soa: Option<(u16, u32)>) -> Option<(u32, ZoneFault)> {
        let items = name.iter().filter_map(|&number| Some((number, self.items.get(number as usize)?)));
        let items = items.filter(|(_, item)| !item.is_duplicate);
        let of = |rtype| items.clone().filter(move |(_, item)| item.rtype == rtype);
        let owner = |item: &Item| owned_name(self.owners.name(item.owner));
        if let Some((cname, item)) = of(Rtype::CNAME).next() {
            // The earliest record, and the earliest after it: one of the two is a CNAME, or there is one of no other type.
            let first = items.clone().min_by_key(|(number, _)| *number)?;
            let (later, beside) = match soa {
                Some(place) => ((cname, item), place),
                None => {
                    let is_first_cname = first.1.rtype == Rtype::CNAME;
                    let later = items
                        .clone()
                        .filter(|(number, item)| {
                            *number != first.0 && (is_first_cname || item.rtype == Rtype::CNAME)
                        })
                        .min_by_key(|(number, _)| *number)?;
                    (later, first.1.place())
                }
            };
            let first = self.sources.line_text(beside, later.1.file);
            return Some((later.0, ZoneFault::Cname { owner: owner(item), first }));
        }
        let (_, first) = of(Rtype::DNAME).next()?;
        let (number, second) = of(Rtype::DNAME).nth(1)?;
        let first = self.sources.line_text(first.place(), second.file);
        Some((number, ZoneFault::SecondDname { owner: owner(second), first }))
    }
}
