//! A reply being written: records are copied and counted, section by section; what is missing is said with the zone's SOA.

use std::net::IpAddr;

use sdd::Guard;

use super::last_resort::AllDown;
use super::scratch::Scratch;
use super::{Context, Transport};
use crate::membership::LeaseTable;
use crate::wire::{HEADER_LEN, NameKey, Reply, Rtype};
use crate::zone::{FIXED_LEN, Rrset, TTL_AT, Zone, ZoneSet};

/// The farthest octet that a compression pointer reaches (RFC 1035 section 4.1.4).
pub(super) const POINTER_MAX: usize = 0x3FFF;

/// What a name or type came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Records were written.
    Records,
    /// Records were written, and some did not fit.
    SomeRecords,
    /// The name is there, the type is not.
    NoData,
    /// No such name.
    NoName,
    /// The name is an alias; where its target lies in the reply.
    Alias(usize),
    /// The name is somebody else's, and the reply says whose.
    Referral,
    /// The name that a DNAME makes of this one has over 255 octets (RFC 6672 section 2.2).
    NameTooLong,
    /// The answer is not for this client.
    Prohibited,
    /// There is none, by an operator's will.
    Failed,
}

/// Where records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// What was asked for.
    Answer = 1,
    /// Whose it is.
    Authority = 2,
    /// What is useful besides.
    Additional = 3,
}

pub(super) struct Writer<'a, 'b> {
    pub zones: &'a ZoneSet,
    /// Keeps what the zones hold now from being freed.
    pub guard: &'a Guard,
    pub transport: Transport,
    pub client: Option<IpAddr>,
    /// For whom it asks, if it says so.
    pub asked_for: Option<IpAddr>,
    pub now_ms: u64,
    pub leases: &'a LeaseTable,
    pub scratch: &'a mut Scratch,
    pub reply: Reply<'b>,
    /// Where the name that is being answered lies in the reply: the question's, or an alias's target.
    pub name_at: usize,
    /// Where records go now.
    section: Section,
    /// Records in each section; one question.
    counts: [u16; 4],
    /// Whether something that belongs in the reply did not fit.
    pub is_cut: bool,
    /// How nobody's being fit was answered.
    pub all_down: Option<AllDown>,
    /// Whether the answer lives by leases that are over and held.
    pub is_held: bool,
    /// Whether it is of a member that is lost, by its own name.
    pub is_lost: bool,
    /// Where the question ends.
    start: usize,
}

impl<'a, 'b> Writer<'a, 'b> {
    /// A writer behind the question that `reply` holds already.
    pub fn new(context: &Context<'a>, guard: &'a Guard, scratch: &'a mut Scratch, reply: Reply<'b>) -> Self {
        Writer {
            guard,
            zones: context.zones,
            transport: context.transport,
            client: context.client,
            asked_for: None,
            now_ms: context.now_ms,
            leases: context.zones.leases(),
            scratch,
            start: reply.len(),
            reply,
            name_at: HEADER_LEN,
            section: Section::Answer,
            counts: [1, 0, 0, 0],
            is_cut: false,
            all_down: None,
            is_held: false,
            is_lost: false,
        }
    }

    /// The reply and its section counts.
    pub fn done(self) -> (Reply<'b>, [u16; 4]) {
        (self.reply, self.counts)
    }

    /// Takes everything back but the question.
    pub fn clear(&mut self) {
        self.reply.truncate(self.start);
        self.counts = [1, 0, 0, 0];
    }

    /// Records in the answer section.
    pub fn answers(&self) -> u16 {
        self.count_of(Section::Answer)
    }

    /// Records in a section.
    pub fn count_of(&self, section: Section) -> u16 {
        self.counts.get(section as usize).copied().unwrap_or_default()
    }

    /// Sets how many records a section has.
    pub fn set_count(&mut self, section: Section, records: u16) {
        if let Some(count) = self.counts.get_mut(section as usize) {
            *count = records;
        }
    }

    /// Counts records that were appended to the section that is being written.
    pub fn count(&mut self, records: usize) {
        let before = self.count_of(self.section);
        self.set_count(self.section, before.saturating_add(records as u16));
    }

    /// Whether records go into the answer section now.
    pub fn is_in_answer(&self) -> bool {
        self.section == Section::Answer
    }

    /// Puts records of the name at `owner_at` into a section.
    pub fn aside<T>(&mut self, section: Section, owner_at: usize, put: impl FnOnce(&mut Self) -> T) -> T {
        let section = std::mem::replace(&mut self.section, section);
        let name_at = std::mem::replace(&mut self.name_at, owner_at);
        let result = put(self);
        (self.section, self.name_at) = (section, name_at);
        result
    }

    /// The zone that answers a question of this type.
    pub fn zone_of(&self, name: &NameKey, qtype: Rtype) -> Option<&'a Zone> {
        let zone = match qtype {
            Rtype::DS => self.zones.find_parent_side(name, self.now_ms, self.guard),
            _ => self.zones.find(name),
        };
        zone.map(AsRef::as_ref)
    }

    /// What stands of an RRset now.
    pub fn put_rrset(&mut self, rrset: &Rrset) -> Found {
        if self.name_at > POINTER_MAX {
            return Found::SomeRecords;
        }
        let at = self.reply.len();
        let ttl_s = self.left_of(rrset);
        let ttl_s = (ttl_s != rrset.ttl_s()).then_some(ttl_s);
        if rrset.first_end_ms() > self.now_ms {
            if !self.reply.put(&rrset.octets) {
                return Found::SomeRecords;
            }
            self.count(rrset.count.into());
            self.patch(at, ttl_s);
            return Found::Records;
        }
        // Some of it has ended: its records are looked at one by one.
        let mut records = 0;
        for (record, _) in rrset.encoded().filter(|(_, ends_ms)| *ends_ms > self.now_ms) {
            if !self.reply.put(record) {
                self.reply.truncate(at);
                return Found::SomeRecords;
            }
            records += 1;
        }
        self.count(records);
        self.patch(at, ttl_s);
        Found::Records
    }

    /// An RRset's TTL as it is now: what the first of its records to end has left, at most its own.
    pub fn left_of(&self, rrset: &Rrset) -> u32 {
        let ttl_s = rrset.ttl_s();
        if rrset.first_end_ms() >= self.now_ms.saturating_add(u64::from(ttl_s) * 1000) {
            return ttl_s;
        }
        let ends = rrset.encoded().map(|(_, ends_ms)| ends_ms).filter(|ends_ms| *ends_ms > self.now_ms);
        ttl_left_s(ttl_s, ends.min().unwrap_or_default(), self.now_ms)
    }

    /// The zone's SOA in the authority section (RFC 2308 section 3). Without it the reply is cut (RFC 2181 section 9).
    pub fn put_negative(&mut self, zone: &Zone, name: &NameKey) {
        let before_apex =
            name.labels().checked_sub(zone.apex_labels()).map_or(0, |skip| name.prefix(skip).len());
        let ttl_s = zone.soa().negative_ttl_s();
        let apex_at = self.name_at + before_apex;
        let found = self.aside(Section::Authority, apex_at, |writer| writer.put_soa(zone, ttl_s));
        self.is_cut |= found != Found::Records;
    }

    /// The SOA as it is now.
    pub fn put_soa(&mut self, zone: &Zone, ttl_s: u32) -> Found {
        let (soa, serial) = (zone.soa(), zone.serial().to_be_bytes());
        let names: &[u8] = &soa.names;
        let start = self.reply.len();
        let fits = self.put_fixed(Rtype::SOA, ttl_s, names.len() + 20)
            && self.reply.put_pair(names, &serial)
            && self.reply.put(&soa.timers);
        self.end_record(start, fits)
    }

    /// One record of the name that is being answered. `false`, with nothing written, if it does not fit.
    pub fn put_record(&mut self, rtype: Rtype, ttl_s: u32, rdata: &[u8]) -> bool {
        let start = self.reply.len();
        let fits = self.put_fixed(rtype, ttl_s, rdata.len()) && self.reply.put(rdata);
        self.end_record(start, fits) == Found::Records
    }

    /// What stands before rdata of `len` octets.
    fn put_fixed(&mut self, rtype: Rtype, ttl_s: u32, len: usize) -> bool {
        let Ok(len) = u16::try_from(len) else { return false };
        let ([owner, more_owner], [len, more_len]) = (self.owner(), len.to_be_bytes());
        let [rtype, more_rtype] = rtype.to_int().to_be_bytes();
        let [a, b, c, d] = ttl_s.to_be_bytes();
        self.name_at <= POINTER_MAX
            && self.reply.put(&[owner, more_owner, rtype, more_rtype, 0, 1, a, b, c, d, len, more_len])
    }

    fn end_record(&mut self, start: usize, fits: bool) -> Found {
        if !fits {
            self.reply.truncate(start);
            return Found::SomeRecords;
        }
        self.count(1);
        Found::Records
    }

    /// The pointer to the name that is being answered.
    fn owner(&self) -> [u8; 2] {
        (0xC000 | self.name_at as u16).to_be_bytes()
    }

    /// Gives the pre-encoded records from `at` on their owner, if it is not the question's name, and their TTL, if it is
    /// not the one that they were encoded with.
    pub fn patch(&mut self, at: usize, ttl_s: Option<u32>) {
        let owner = (self.name_at != HEADER_LEN).then(|| self.owner());
        if owner.is_some() || ttl_s.is_some() {
            self.patch_each(at, owner, ttl_s);
        }
    }

    /// Puts and counts pre-encoded records, which are known to fit.
    pub fn put_encoded(&mut self, octets: &[u8], ttl_s: Option<u32>) {
        let at = self.reply.len();
        if self.reply.put(octets) {
            let records = self.patch_each(at, Some(self.owner()), ttl_s);
            self.count(records);
        }
    }

    /// Gives the pre-encoded records from `at` on these, and counts them.
    fn patch_each(&mut self, at: usize, owner: Option<[u8; 2]>, ttl_s: Option<u32>) -> usize {
        let mut records = 0;
        let mut rest = self.reply.written_from(at);
        while let Some((fixed, after)) = rest.split_at_mut_checked(FIXED_LEN) {
            let Some((len, _)) = fixed.get(10..).and_then(|len| len.split_first_chunk()) else { break };
            let len = usize::from(u16::from_be_bytes(*len));
            records += 1;
            if let (Some(owner), Some(place)) = (owner, fixed.get_mut(..2)) {
                place.copy_from_slice(&owner);
            }
            if let (Some(ttl_s), Some(place)) = (ttl_s, fixed.get_mut(TTL_AT..TTL_AT + 4)) {
                place.copy_from_slice(&ttl_s.to_be_bytes());
            }
            rest = after.get_mut(len..).unwrap_or_default();
        }
        records
    }
}

/// Whole seconds that an RRset may be remembered: what is left of the first of its records to end, at most `most_s`.
pub(super) fn ttl_left_s(most_s: u32, first_end_ms: u64, now_ms: u64) -> u32 {
    let left_s = first_end_ms.saturating_sub(now_ms) / 1000;
    u32::try_from(left_s).map_or(most_s, |left_s| left_s.min(most_s))
}
