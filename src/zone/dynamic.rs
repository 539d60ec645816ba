//! A name's ordinary records: those of the zone file, as UPDATE has changed them.
//!
//! ```text
//!  zone file, Dynamic (store) --> NameRecords <--> published Node: RRsets to copy, and their Dynamic
//!                                     ^
//!                                  UPDATE adds and deletes
//! ```
//!
//! What is kept is the difference from the file, so that a file which is edited while the server is down keeps its say: its
//! new records appear, what UPDATE added stays, and what UPDATE deleted stays deleted for as long as the file has it. A name
//! that no UPDATE has touched has no [`Dynamic`], and costs nothing but its RRsets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Rrset;
use crate::membership::Cause;
use crate::wire::{Name, Rtype, same_rdata};

/// The `ends_ms` of a record that stays until it is deleted.
pub const PERMANENT_MS: u64 = u64::MAX;

/// What UPDATE has made of one name's ordinary records: the difference from the zone file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dynamic {
    /// Records that the file does not have.
    pub added: Vec<Added>,
    /// Records of the file that are not served, by type and rdata.
    pub deleted: Vec<(u16, Box<[u8]>)>,
    /// RRsets whose TTL an UPDATE gave, by type, seconds.
    pub ttls: Vec<(u16, u32)>,
}

/// A record that UPDATE added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Its type.
    pub rtype: u16,
    /// Its rdata, names uncompressed.
    pub rdata: Box<[u8]>,
    /// Until when.
    pub term: Term,
}

/// How long an added record stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Term {
    /// The lease last granted, milliseconds; `None` for a record that stays until it is deleted.
    pub lease_ms: Option<u32>,
    /// The server run in which it was last heard, as a member's.
    pub heard_run: u32,
    /// When it ends, monotonic milliseconds; [`PERMANENT_MS`] without a lease. Not stored: a restart gives a grace.
    #[serde(skip, default = "permanent_ms")]
    pub ends_ms: u64,
}

fn permanent_ms() -> u64 {
    PERMANENT_MS
}

impl Dynamic {
    /// Records by which it differs.
    pub fn len(&self) -> usize {
        self.added.len() + self.deleted.len()
    }

    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.deleted.is_empty() && self.ttls.is_empty()
    }

    /// When the first added record ends, monotonic milliseconds.
    pub fn first_end_ms(&self) -> u64 {
        self.added.iter().map(|added| added.term.ends_ms).min().unwrap_or(PERMANENT_MS)
    }

    /// Whether the store would hold the same, in whatever order.
    fn stores_alike(&self, other: &Dynamic) -> bool {
        let heard = |dynamic: &Dynamic| -> BTreeSet<_> {
            let each = dynamic.added.iter();
            each.map(|added| (added.rtype, added.rdata.clone(), added.term.heard_run)).collect()
        };
        self.registers_alike(other) && heard(self) == heard(other)
    }

    /// The same, whenever its records were last heard.
    fn registers_alike(&self, other: &Dynamic) -> bool {
        let added = |dynamic: &Dynamic| -> BTreeSet<_> {
            let each = dynamic.added.iter();
            each.map(|added| (added.rtype, added.rdata.clone(), added.term.lease_ms)).collect()
        };
        let deleted = |dynamic: &Dynamic| dynamic.deleted.iter().cloned().collect::<BTreeSet<_>>();
        let ttls = |dynamic: &Dynamic| dynamic.ttls.iter().copied().collect::<BTreeSet<_>>();
        added(self) == added(other) && deleted(self) == deleted(other) && ttls(self) == ttls(other)
    }
}

/// One thing by which a name differs from the file.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Added(Box<[u8]>, u64),
    Deleted(Box<[u8]>),
    Ttl(u32),
}

/// What happened to the ordinary records of one name.
#[derive(Debug, Clone)]
pub struct NameChange {
    /// The name, lower-case wire form.
    pub name: Arc<[u8]>,
    /// Why: [`Cause::Changed`], [`Cause::Renewed`] or [`Cause::Lapsed`].
    pub cause: Cause,
    /// The difference from the file before, and now.
    pub before: Option<Arc<Dynamic>>,
    /// As `before`.
    pub after: Option<Arc<Dynamic>>,
    /// What is served from now on.
    pub rrsets: Arc<[Rrset]>,
    /// Whether anything but an end differs: then the zone's serial moves.
    pub is_visible: bool,
    /// Whose message it was; `None` if nobody signed it, or if it came by itself.
    pub key: Option<Name>,
}

impl NameChange {
    /// Whether the store must hold it: all but a renewal that is not the first in this run.
    pub fn is_durable(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => !before.stores_alike(after),
            (None, None) => false,
            _ => true,
        }
    }

    /// Whether it registers nothing otherwise than before: what differs is when records were last heard, and until when they live.
    pub fn is_renewal(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => !self.is_visible && before.registers_alike(after),
            _ => false,
        }
    }

    /// The change that takes this one back, for a store that may or may not have it.
    pub fn reversed(&self) -> NameChange {
        NameChange { before: self.after.clone(), after: self.before.clone(), ..self.clone() }
    }

    /// The types of which a record came, went or was renewed, or the TTL moved.
    pub fn types(&self) -> BTreeSet<Rtype> {
        let of = |dynamic: &Option<Arc<Dynamic>>| -> BTreeSet<(u16, Part)> {
            let Some(dynamic) = dynamic else { return BTreeSet::new() };
            let added = dynamic.added.iter();
            let added =
                added.map(|added| (added.rtype, Part::Added(added.rdata.clone(), added.term.ends_ms)));
            let deleted = dynamic.deleted.iter().map(|(rtype, rdata)| (*rtype, Part::Deleted(rdata.clone())));
            let ttls = dynamic.ttls.iter().map(|(rtype, ttl_s)| (*rtype, Part::Ttl(*ttl_s)));
            added.chain(deleted).chain(ttls).collect()
        };
        let (before, after) = (of(&self.before), of(&self.after));
        before.symmetric_difference(&after).map(|(rtype, _)| Rtype::from_int(*rtype)).collect()
    }

    /// Records that it adds to what the server holds, less those that it takes away.
    pub fn growth(&self) -> isize {
        let count =
            |dynamic: &Option<Arc<Dynamic>>| dynamic.as_ref().map_or(0, |dynamic| dynamic.len()) as isize;
        count(&self.after) - count(&self.before)
    }
}

/// A name's ordinary records, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameRecords {
    /// The RRsets; none is empty. A SOA is here only if UPDATE brought it.
    pub sets: BTreeMap<u16, RecordSet>,
    /// Records of the file that are not served.
    pub deleted: Vec<(u16, Box<[u8]>)>,
}

/// One RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSet {
    /// The TTL of all its records, seconds (RFC 2181 section 5.2).
    pub ttl_s: u32,
    /// Whether an UPDATE gave it.
    pub has_own_ttl: bool,
    /// The records, in the order served.
    pub records: Vec<Record>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its rdata, names uncompressed.
    pub rdata: Box<[u8]>,
    /// How long it stays, if UPDATE added it; `None` for the file's.
    pub term: Option<Term>,
}

impl Record {
    /// When it ends, monotonic milliseconds.
    pub fn ends_ms(&self) -> u64 {
        self.term.map_or(PERMANENT_MS, |term| term.ends_ms)
    }
}

impl NameRecords {
    /// What a name has published, and how that differs from the file's.
    pub fn of(rrsets: &[Rrset], dynamic: Option<&Dynamic>) -> NameRecords {
        let mut records = NameRecords::default();
        for rrset in rrsets {
            let rtype = rrset.rtype.to_int();
            rrset.records().for_each(|rdata| records.put_file(rtype, rrset.ttl_s(), rdata));
        }
        if let Some(dynamic) = dynamic {
            for (rtype, _) in &dynamic.ttls {
                if let Some(set) = records.sets.get_mut(rtype) {
                    set.has_own_ttl = true;
                }
            }
            dynamic.added.iter().for_each(|added| records.mark(added, dynamic));
            records.deleted.clone_from(&dynamic.deleted);
        }
        records
    }

    /// Adds a record of the file.
    pub fn put_file(&mut self, rtype: u16, ttl_s: u32, rdata: &[u8]) {
        let empty = || RecordSet { ttl_s, has_own_ttl: false, records: Vec::new() };
        let set = self.sets.entry(rtype).or_insert_with(empty);
        set.records.push(Record { rdata: rdata.into(), term: None });
    }

    /// Says of a record that UPDATE added it, or adds it.
    fn mark(&mut self, added: &Added, dynamic: &Dynamic) {
        let own_ttl = dynamic.ttls.iter().find(|(rtype, _)| *rtype == added.rtype).map(|(_, ttl_s)| *ttl_s);
        let empty = || RecordSet {
            ttl_s: own_ttl.unwrap_or_default(),
            has_own_ttl: own_ttl.is_some(),
            records: Vec::new(),
        };
        let set = self.sets.entry(added.rtype).or_insert_with(empty);
        match set.records.iter_mut().find(|record| record.rdata == added.rdata) {
            Some(record) => record.term = Some(added.term),
            None => {
                set.records.push(Record { rdata: added.rdata.clone(), term: Some(added.term) });
            }
        }
    }

    /// Changes the file's records as a stored [`Dynamic`] says. Where the two cannot both be, the file wins: an alias stands
    /// alone (RFC 2181 section 10.1), and what the file has was not added.
    pub fn apply(&mut self, dynamic: &Dynamic) {
        for (rtype, rdata) in &dynamic.deleted {
            if self.remove(*rtype, |record| same_rdata(Rtype::from_int(*rtype), &record.rdata, rdata)) {
                self.deleted.push((*rtype, rdata.clone()));
            }
        }
        let [cname, dname, ns] = [Rtype::CNAME, Rtype::DNAME, Rtype::NS].map(Rtype::to_int);
        let is_apex = self.sets.contains_key(&Rtype::SOA.to_int());
        for added in &dynamic.added {
            let in_file = self.sets.get(&added.rtype).is_some_and(|set| {
                let rtype = Rtype::from_int(added.rtype);
                set.records.iter().any(|record| same_rdata(rtype, &record.rdata, &added.rdata))
            });
            let clashes = self.sets.keys().any(|&held| {
                let is_two_ways = (held, added.rtype) == (ns, dname) || (held, added.rtype) == (dname, ns);
                (held == cname) != (added.rtype == cname) || (is_two_ways && !is_apex)
            });
            let is_second =
                (added.rtype == cname || added.rtype == dname) && self.sets.contains_key(&added.rtype);
            if !in_file && !clashes && !is_second {
                self.mark(added, dynamic);
            }
        }
        for (rtype, ttl_s) in &dynamic.ttls {
            if let Some(set) = self.sets.get_mut(rtype) {
                (set.ttl_s, set.has_own_ttl) = (*ttl_s, true);
            }
        }
    }

    /// Takes the records of a type out that `is_it` picks, and the RRset with the last of them. Whether there were any.
    pub fn remove(&mut self, rtype: u16, is_it: impl Fn(&Record) -> bool) -> bool {
        let Some(set) = self.sets.get_mut(&rtype) else { return false };
        let before = set.records.len();
        set.records.retain(|record| !is_it(record));
        let any = set.records.len() < before;
        if set.records.is_empty() {
            self.sets.remove(&rtype);
        }
        any
    }

    /// Takes out what has ended at `now_ms`.
    pub fn remove_ended(&mut self, now_ms: u64) {
        self.sets.retain(|_, set| {
            set.records.retain(|record| record.ends_ms() > now_ms);
            !set.records.is_empty()
        });
    }

    /// The difference from the file; `None` if there is none.
    pub fn dynamic(&self) -> Option<Arc<Dynamic>> {
        let added = self.sets.iter().flat_map(|(&rtype, set)| {
            set.records.iter().filter_map(move |record| {
                Some(Added { rtype, rdata: record.rdata.clone(), term: record.term? })
            })
        });
        let ttls = self.sets.iter().filter(|(_, set)| set.has_own_ttl);
        let dynamic = Dynamic {
            added: added.collect(),
            deleted: self.deleted.clone(),
            ttls: ttls.map(|(&rtype, set)| (rtype, set.ttl_s)).collect(),
        };
        (!dynamic.is_empty()).then(|| Arc::new(dynamic))
    }

    /// The RRsets as answers copy them. The SOA is not among them: its serial is the zone's.
    pub fn rrsets(&self) -> Arc<[Rrset]> {
        let sets = self.sets.iter().filter(|(rtype, _)| **rtype != Rtype::SOA.to_int());
        let encoded = sets.map(|(&rtype, set)| {
            let records = set.records.iter().map(|record| (record.rdata.as_ref(), record.ends_ms()));
            Rrset::new(Rtype::from_int(rtype), set.ttl_s, records)
        });
        encoded.collect()
    }

    /// Whether it shows the same records, with the same TTLs.
    pub fn shows_alike(&self, other: &NameRecords) -> bool {
        let shown = |records: &NameRecords| {
            let sets = records.sets.iter();
            sets.map(|(&rtype, set)| {
                let mut rdata: Vec<_> = set.records.iter().map(|record| record.rdata.clone()).collect();
                rdata.sort_unstable();
                (rtype, set.ttl_s, rdata)
            })
            .collect::<Vec<_>>()
        };
        shown(self) == shown(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: &[(u16, u64)], after: &[(u16, u64)]) -> NameChange {
        let dynamic = |records: &[(u16, u64)]| {
            let added = records.iter().map(|&(rtype, ends_ms)| {
                let term = Term { lease_ms: None, heard_run: 0, ends_ms };
                Added { rtype, rdata: [1].into(), term }
            });
            let dynamic = Dynamic { added: added.collect(), ..Dynamic::default() };
            (!records.is_empty()).then(|| Arc::new(dynamic))
        };
        NameChange {
            name: b"\x01a\x00"[..].into(),
            cause: Cause::Changed,
            before: dynamic(before),
            after: dynamic(after),
            rrsets: Arc::from([]),
            is_visible: true,
            key: None,
        }
    }

    #[test]
    fn a_change_is_of_the_types_that_differ() {
        let types = |before: &[(u16, u64)], after: &[(u16, u64)]| {
            change(before, after).types().into_iter().map(Rtype::to_int).collect::<Vec<_>>()
        };
        assert_eq!(types(&[(16, 5), (1, 5)], &[(16, 5), (15, 5)]), [1, 15]);
        assert_eq!(types(&[(16, 5), (1, 5)], &[]), [1, 16], "all went");
        assert_eq!(types(&[(16, 5), (1, 5)], &[(16, 9), (1, 5)]), [16], "renewed");
    }
}
