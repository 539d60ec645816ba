//! One name's ordinary records as a message would have them: RFC 2136 section 3.4.2, to the letter.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::Refusal;
use super::left::Left;
use super::svcb;
use crate::membership::Cause;
use crate::wire::{Rtype, address_in, name_text, same_rdata};
use crate::zone::{
    Dynamic, FIXED_LEN, NameChange, NameRecords, PERMANENT_MS, Publisher, RRSET_OCTETS_MAX, Record,
    RecordSet, Term, is_later,
};

const CNAME: u16 = Rtype::CNAME.to_int();
const SOA: u16 = Rtype::SOA.to_int();
const NS: u16 = Rtype::NS.to_int();
const DNAME: u16 = Rtype::DNAME.to_int();

/// Most records of an RRset that UPDATE may bring it to, and most types of a name. Work grows with their squares in an
/// UPDATE, and with the types in a question; no client of RFC 2136 comes near (BIND's own limits are 100 and 100).
const RECORDS_MAX: usize = 256;
const TYPES_MAX: usize = 64;

/// A name's ordinary records, drafted.
pub(super) struct NameDraft {
    name: Arc<[u8]>,
    is_apex: bool,
    /// What is published, and what of it still stands.
    before: Option<Arc<Dynamic>>,
    published: NameRecords,
    shown_before: NameRecords,
    records: NameRecords,
    /// Records that the message adds, by type, and that still stand in the draft.
    named: Vec<(u16, Box<[u8]>)>,
    /// Every type that it adds or deletes.
    pub types: BTreeSet<Rtype>,
    /// Every address that it adds.
    pub addresses: BTreeSet<IpAddr>,
    /// Every address that it takes away.
    pub deleted_addresses: BTreeSet<IpAddr>,
    /// The serial and TTL that a SOA of the message has, if it is later than the zone's.
    serial: u32,
}

/// What the records that a message adds are granted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granted {
    /// Milliseconds; `None` for records that stay until they are deleted.
    pub lease_ms: Option<u32>,
    /// The same for KEY records (RFC 9664 section 4).
    pub key_lease_ms: Option<u32>,
    /// Whether that is a lease of its own, and not the one of all others.
    pub has_key_lease: bool,
    /// The server's run.
    pub run: u32,
    /// When the message was received, monotonic milliseconds.
    pub now_ms: u64,
}

impl Granted {
    fn lease_of(&self, rtype: u16) -> Option<u32> {
        if is_key(rtype) { self.key_lease_ms } else { self.lease_ms }
    }
}

/// Whether it is the type that KEY-LEASE is about.
fn is_key(rtype: u16) -> bool {
    rtype == Rtype::KEY.to_int()
}

impl NameDraft {
    /// A name as it stands at `now_ms`, whether or not what has ended has been swept.
    pub fn of(publisher: &Publisher, name: &[u8], now_ms: u64) -> Self {
        let (published, before) = publisher.records(name);
        let mut records = published.clone();
        records.remove_ended(now_ms);
        NameDraft {
            name: name.into(),
            is_apex: name == publisher.zone().apex(),
            before,
            published,
            shown_before: records.clone(),
            records,
            named: Vec::new(),
            types: BTreeSet::new(),
            addresses: BTreeSet::new(),
            deleted_addresses: BTreeSet::new(),
            serial: publisher.zone().serial(),
        }
    }

    /// Whether the name has ordinary records, the apex's SOA among them.
    pub fn is_empty(&self) -> bool {
        self.records.sets.is_empty() && !self.is_apex
    }

    /// The types that deleting the whole name would take away (section 3.4.2.3).
    pub fn deletable(&self) -> Vec<Rtype> {
        let kept = |rtype: u16| self.is_apex && matches!(rtype, SOA | NS);
        let types = self.records.sets.keys().copied().filter(|&rtype| !kept(rtype));
        types.map(Rtype::from_int).collect()
    }

    /// Section 3.4.2.2. What the section has ignored is ignored here, with no more said.
    pub fn add(
        &mut self,
        publisher: &Publisher,
        rtype: Rtype,
        ttl_s: u32,
        rdata: &[u8],
    ) -> Result<(), Refusal> {
        self.types.insert(rtype);
        match rtype {
            Rtype::A | Rtype::AAAA => self.addresses.extend(address_in(rdata)),
            Rtype::SVCB | Rtype::HTTPS => self.addresses.extend(svcb::hints(rdata)),
            _ => {}
        }
        let number = rtype.to_int();
        if number == SOA {
            self.replace_soa(publisher, ttl_s, rdata);
            return Ok(());
        }
        // A CNAME stands alone: one that would not, and what would stand beside one, are ignored.
        let others = self.records.sets.keys().any(|&held| (held == CNAME) != (number == CNAME));
        if others || (number == CNAME && self.is_apex) {
            return Ok(());
        }
        // Below the apex a name is delegated or redirected, not both (RFC 6672 section 2.3).
        let other = [(NS, DNAME), (DNAME, NS)].into_iter().find(|(one, _)| *one == number);
        if !self.is_apex && other.is_some_and(|(_, other)| self.records.sets.contains_key(&other)) {
            return Ok(());
        }
        // There is one of these, and a new one takes its place (RFC 6672 section 5.2).
        if matches!(number, CNAME | DNAME) {
            let is_same = |record: &Record| same_rdata(rtype, &record.rdata, rdata);
            self.take(number, |record| !is_same(record));
        }
        self.put(rtype, ttl_s, rdata)
    }

    fn put(&mut self, rtype: Rtype, ttl_s: u32, rdata: &[u8]) -> Result<(), Refusal> {
        let number = rtype.to_int();
        if self.records.sets.len() >= TYPES_MAX && !self.records.sets.contains_key(&number) {
            let name = name_text(&self.name);
            return Err(Refusal::Limit(format!("{name} may have {TYPES_MAX} types of records by UPDATE")));
        }
        // Deleted and added again, it is the file's as before.
        let deleted = &mut self.records.deleted;
        let was_files =
            deleted.iter().position(|(held, old)| *held == number && same_rdata(rtype, old, rdata));
        let restored = was_files.map(|at| deleted.swap_remove(at).1);
        let empty = || RecordSet { ttl_s, has_own_ttl: true, records: Vec::new() };
        let set = self.records.sets.entry(number).or_insert_with(empty);
        // The whole RRset takes the TTL of what is added last (RFC 2181 section 5.2).
        if set.ttl_s != ttl_s {
            (set.ttl_s, set.has_own_ttl) = (ttl_s, true);
        }
        let known = set.records.iter().find(|record| same_rdata(rtype, &record.rdata, rdata));
        let is_full = set.records.len() >= RECORDS_MAX;
        let rdata: Box<[u8]> = match known {
            Some(known) => known.rdata.clone(),
            None if is_full && restored.is_none() => {
                let name = name_text(&self.name);
                return Err(Refusal::Limit(format!(
                    "{name} {rtype} may have {RECORDS_MAX} records by UPDATE"
                )));
            }
            None => {
                let term = match restored {
                    Some(_) => None,
                    None => Some(Term { lease_ms: None, heard_run: 0, ends_ms: PERMANENT_MS }),
                };
                let rdata: Box<[u8]> = restored.unwrap_or_else(|| rdata.into());
                // Though it be the file's too: without the file's records nothing else would say it.
                set.has_own_ttl |= term.is_some();
                set.records.push(Record { rdata: rdata.clone(), term });
                rdata
            }
        };
        let octets: usize = set.records.iter().map(|record| FIXED_LEN + record.rdata.len()).sum();
        if octets > RRSET_OCTETS_MAX {
            let name = name_text(&self.name);
            let text = format!("with this record {name} {rtype} takes over {RRSET_OCTETS_MAX} octets");
            return Err(Refusal::Limit(format!("{text}, and no message can carry it")));
        }
        if !self.named.iter().any(|(held, named)| *held == number && *named == rdata) {
            self.named.push((number, rdata));
        }
        Ok(())
    }

    /// A SOA takes the place of the zone's if its serial is later (RFC 1982); below the apex there is none to replace.
    fn replace_soa(&mut self, publisher: &Publisher, ttl_s: u32, rdata: &[u8]) {
        let soa = publisher.zone().soa();
        let Some((_, serial)) = soa.updated(ttl_s, rdata) else { return };
        if !self.is_apex || !is_later(serial, self.serial) {
            return;
        }
        self.serial = serial;
        if !self.records.deleted.iter().any(|(rtype, _)| *rtype == SOA) {
            self.records.deleted.push((SOA, publisher.file().soa.clone()));
        }
        let term = Some(Term { lease_ms: None, heard_run: 0, ends_ms: PERMANENT_MS });
        let records = vec![Record { rdata: rdata.into(), term }];
        self.records.sets.insert(SOA, RecordSet { ttl_s, has_own_ttl: true, records });
    }

    /// Takes records of a type out, remembering those of the file.
    fn take(&mut self, rtype: u16, is_it: impl Fn(&Record) -> bool) {
        if let Some(set) = self.records.sets.get(&rtype) {
            let files = set.records.iter().filter(|record| record.term.is_none() && is_it(record));
            let files: Vec<_> = files.map(|record| (rtype, record.rdata.clone())).collect();
            self.records.deleted.extend(files);
            if matches!(Rtype::from_int(rtype), Rtype::A | Rtype::AAAA) {
                let gone = set.records.iter().filter(|record| is_it(record));
                self.deleted_addresses.extend(gone.filter_map(|record| address_in(&record.rdata)));
            }
        }
        self.records.remove(rtype, is_it);
    }

    /// Section 3.4.2.3: the apex keeps its SOA and its NS.
    pub fn delete_rrset(&mut self, rtype: Rtype) {
        self.types.insert(rtype);
        if !(self.is_apex && matches!(rtype, Rtype::SOA | Rtype::NS)) {
            self.take(rtype.to_int(), |_| true);
        }
    }

    /// Section 3.4.2.3, for all types that the name has.
    pub fn delete_name(&mut self) {
        for rtype in self.deletable() {
            self.delete_rrset(rtype);
        }
    }

    /// Section 3.4.2.4: SOA stays, and so does the last NS of the apex.
    pub fn delete_record(&mut self, rtype: Rtype, rdata: &[u8]) {
        self.types.insert(rtype);
        let number = rtype.to_int();
        let is_last = || self.records.sets.get(&NS).is_none_or(|set| set.records.len() < 2);
        if number == SOA || (self.is_apex && number == NS && is_last()) {
            return;
        }
        self.take(number, |record| same_rdata(rtype, &record.rdata, rdata));
    }

    /// How long what the message adds stays without it.
    fn standing(&self, named: &[(u16, Box<[u8]>)], now_ms: u64) -> Left {
        let standing = named.iter().map(|(rtype, rdata)| {
            let records = self.shown_before.sets.get(rtype).map(|set| &set.records);
            let record = records.into_iter().flatten().find(|record| record.rdata == *rdata);
            record.map_or(Left::Ms(0), |record| Left::until(record.ends_ms(), now_ms))
        });
        standing.min().unwrap_or(Left::Nothing)
    }

    /// The change that the message comes to, and how long what it adds would stay without it, `None` if it comes to none; and
    /// for how long what it adds stays now, the least of all.
    pub fn finish(mut self, granted: &Granted) -> (Option<(NameChange, Left)>, Left) {
        let named = std::mem::take(&mut self.named);
        let (mut left, standing) = (Left::Nothing, self.standing(&named, granted.now_ms));
        for (&rtype, set) in self.records.sets.iter_mut().filter(|(rtype, _)| **rtype != SOA) {
            // The apex keeps its SOA and a NS; a lease would take the last one away.
            let lease_ms = granted.lease_of(rtype).filter(|_| !(self.is_apex && rtype == NS));
            let is_named =
                |record: &Record| named.iter().any(|(held, rdata)| *held == rtype && *rdata == record.rdata);
            for record in set.records.iter_mut().filter(|record| is_named(record)) {
                // The file's stay as they are.
                let lease_ms = lease_ms.filter(|_| record.term.is_some());
                if !(is_key(rtype) && granted.has_key_lease) {
                    left = left.min(lease_ms.map_or(Left::Permanent, |lease_ms| Left::Ms(lease_ms.into())));
                }
                if let Some(term) = &mut record.term {
                    let ends_ms =
                        lease_ms.map_or(PERMANENT_MS, |lease_ms| granted.now_ms + u64::from(lease_ms));
                    *term = Term { lease_ms, heard_run: granted.run, ends_ms };
                }
            }
        }
        if self.records == self.shown_before {
            return (None, left);
        }
        // Against what is published: what has ended since and was not swept goes with this change.
        let is_visible = !self.records.shows_alike(&self.published);
        let cause = if is_visible { Cause::Changed } else { Cause::Renewed };
        let (after, rrsets) = (self.records.dynamic(), self.records.rrsets());
        let NameDraft { name, before, .. } = self;
        let change = NameChange { name, cause, before, after, rrsets, is_visible, key: None };
        (Some((change, standing)), left)
    }
}
