//! A pool as answers see it: its members' records, encoded once, with the leases that they hang on.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::PoolSettings;
use super::node::encode;
use crate::membership::{ELSEWHERE, Entry, LeaseRef, LeaseTable, Member, MemberName, Service};
use crate::policy::{Policy, Ranking, RotorId, Shown};
use crate::wire::Rtype;

/// What a record's life hangs on.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    lease: LeaseRef,
    /// Whose record it is: a place in the view's members.
    pub member: u32,
    /// When the record goes although the lease runs, monotonic milliseconds.
    lapses_ms: u64,
}

impl Hold {
    /// When the record ends; 0 if it already has.
    pub fn ends_ms(&self, leases: &LeaseTable) -> u64 {
        leases.ends_ms(self.lease).unwrap_or(0).min(self.lapses_ms)
    }
}

/// How often a view is scanned for renewals, at most, milliseconds. In between its bound may be early, never late.
const SCAN_EVERY_MS: u64 = 100;

/// The pool's records of one type at one name, in a stable order: by member, then as the member sorts them.
pub struct RecordList {
    /// Type of all of them.
    pub rtype: Rtype,
    octets: Box<[u8]>,
    /// Where each record ends in `octets`; empty when all have the length `each`.
    ends: Box<[u32]>,
    each: u32,
    /// One a record.
    pub holds: Box<[Hold]>,
    /// For each record, the place of the first that is the same; empty if none is like another. Members may share one, and an
    /// RRset has it once (RFC 2181 section 5).
    firsts: Box<[u32]>,
    /// How many records differ from all others.
    pub distinct: usize,
    /// Where each member's records end among all; empty when each member has one.
    groups: Box<[u32]>,
    /// Which members an answer shows: its places are theirs in this list.
    pub ranking: Ranking,
}

impl RecordList {
    /// The octets of the record at a place.
    pub fn record(&self, place: usize) -> &[u8] {
        self.octets.get(self.start(place)..self.start(place + 1)).unwrap_or_default()
    }

    /// The octets of the records at several places.
    pub fn records(&self, places: Range<usize>) -> &[u8] {
        self.octets.get(self.start(places.start)..self.start(places.end)).unwrap_or_default()
    }

    fn start(&self, place: usize) -> usize {
        match place.checked_sub(1) {
            None => 0,
            Some(_) if self.ends.is_empty() => place.saturating_mul(self.each as usize),
            Some(before) => self.ends.get(before).map_or(self.octets.len(), |&end| end as usize),
        }
    }

    /// The records of the member at a place of the ranking; of the one past the last, an empty range at the end.
    pub fn of_member(&self, place: usize) -> Range<usize> {
        if self.groups.is_empty() {
            return place.min(self.len())..(place + 1).min(self.len());
        }
        let end = |place: usize| self.groups.get(place).map_or(self.len(), |&end| end as usize);
        place.checked_sub(1).map_or(0, end)..end(place)
    }

    /// How many members have records in it.
    pub fn members(&self) -> usize {
        if self.groups.is_empty() { self.len() } else { self.groups.len() }
    }

    /// Octets of all records.
    pub fn octets_len(&self) -> usize {
        self.octets.len()
    }

    /// Whether two members have the same record, so that the list must not be copied whole.
    pub fn has_repeats(&self) -> bool {
        !self.firsts.is_empty()
    }

    /// The place of the first record that is the same as the one at a place.
    pub fn first_like(&self, place: usize) -> u32 {
        self.firsts.get(place).copied().unwrap_or(place as u32)
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.holds.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }
}

/// A member's own names.
pub struct MemberView {
    /// Its name; of one that lives elsewhere, [`ELSEWHERE`] and its target.
    pub label: Box<[u8]>,
    /// Its weight among the pool's addresses; 0 takes it out of answers.
    pub weight: u32,
    /// The most that an answer for its own name may say, seconds.
    pub ttl_s: u32,
    /// Its own life, which ends with its last address.
    pub hold: Hold,
    /// Its places in the pool's A and AAAA lists.
    pub v4: Range<u32>,
    /// As `v4`.
    pub v6: Range<u32>,
    /// Its attributes as one TXT record, encoded; empty if it has none.
    pub txt: Box<[u8]>,
}

/// A name below a pool, resolved.
pub enum Below<'v> {
    /// A member's own name.
    Member(&'v MemberView),
    /// `all`: every member in service.
    All,
    /// A service, and whether of `all`.
    Service(&'v RecordList, bool),
    /// `_status`: what the pool makes of its members, for people who look into it.
    Status,
    /// A name that others lie below.
    Empty,
    /// Nothing.
    Missing,
}

/// How an answer must treat a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Everything in it lives for at least the pool's TTL: copy.
    Whole,
    /// Everything in it lives, until this moment at least, monotonic milliseconds: copy, with what that leaves as TTL.
    Until(u64),
    /// Something in it may have ended: look at each record.
    Ended,
}

/// A pool, published.
pub struct PoolView {
    /// As configured.
    pub settings: Arc<PoolSettings>,
    /// Labels in the pool's name, the root included: what is left of them resolves in here.
    pub labels: usize,
    /// No record of the view ends before this, monotonic milliseconds. Renewals only extend, so a stale value is early,
    /// never late.
    first_end_ms: AtomicU64,
    /// When the bound may be looked for again, monotonic milliseconds.
    scan_at_ms: AtomicU64,
    members: Box<[MemberView]>,
    /// The pool's A records.
    pub v4: RecordList,
    /// The pool's AAAA records.
    pub v6: RecordList,
    /// By service name, sorted. A service that nobody offers now has an empty list.
    services: Box<[(Box<[u8]>, RecordList)]>,
    /// The pool's SVCB and HTTPS records, as far as members have any: a list a type.
    bindings: Box<[RecordList]>,
}

impl PoolView {
    /// Judges the view at `now_ms`: one load when nothing ends within the pool's TTL.
    ///
    /// When the bound says otherwise it may be stale. Then the members are scanned and the bound moved, at most
    /// every `SCAN_EVERY_MS`, however many ask: a pool whose members keep renewing is scanned once in (lease - TTL), and one
    /// with a member that does not costs no more than ten scans a second.
    pub fn freshness(&self, leases: &LeaseTable, now_ms: u64) -> Freshness {
        let enough_ms = now_ms.saturating_add(u64::from(self.settings.ttl_s) * 1000);
        let mut first_end_ms = self.first_end_ms.load(Ordering::Relaxed);
        if first_end_ms < enough_ms && self.scan_at_ms.load(Ordering::Relaxed) <= now_ms {
            self.scan_at_ms.store(now_ms + SCAN_EVERY_MS, Ordering::Relaxed);
            let lists = [&self.v4, &self.v6].into_iter().chain(self.services.iter().map(|(_, list)| list));
            let lists = lists.chain(&self.bindings);
            let ends = lists.flat_map(|list| list.holds.iter()).map(|hold| hold.ends_ms(leases));
            first_end_ms = ends.min().unwrap_or(u64::MAX);
            self.first_end_ms.store(first_end_ms, Ordering::Relaxed);
        }
        match first_end_ms {
            _ if first_end_ms >= enough_ms => Freshness::Whole,
            _ if first_end_ms > now_ms => Freshness::Until(first_end_ms),
            _ => Freshness::Ended,
        }
    }

    /// Resolves the labels left of the pool's name, in lower-case wire form without a root label.
    pub fn below(&self, labels: &[u8]) -> Below<'_> {
        const ALL: &[u8] = b"\x03all";
        if labels == ALL {
            return Below::All;
        }
        let (service, of_all) = match labels.strip_suffix(ALL) {
            Some(rest) if ends_on_label(labels, rest.len()) => (rest, true),
            _ => (labels, false),
        };
        if service.get(1) == Some(&b'_') {
            if let Some(list) = self.service(service) {
                return Below::Service(list, of_all);
            }
            if labels == b"\x07_status" {
                return Below::Status;
            }
            let is_between = |name: &[u8]| {
                name.len() > service.len()
                    && name.ends_with(service)
                    && ends_on_label(name, name.len() - service.len())
            };
            let between = self.services.iter().any(|(name, _)| is_between(name));
            return if between { Below::Empty } else { Below::Missing };
        }
        // A member's name is one label. One that is known by a target elsewhere has no name here.
        let Some((&len, label)) = labels.split_first() else { return Below::Missing };
        if usize::from(len) != label.len() || label.first() == Some(&ELSEWHERE) {
            return Below::Missing;
        }
        let at = self.members.binary_search_by(|member| member.label.as_ref().cmp(label));
        at.ok().and_then(|at| self.members.get(at)).map_or(Below::Missing, Below::Member)
    }

    /// The SRV records of a service that the pool knows.
    pub fn service(&self, service: &[u8]) -> Option<&RecordList> {
        let at = self.services.binary_search_by(|(name, _)| name.as_ref().cmp(service)).ok()?;
        self.services.get(at).map(|(_, list)| list)
    }

    /// The services that the pool knows, each with its SRV records.
    pub fn services(&self) -> impl Iterator<Item = (&[u8], &RecordList)> {
        self.services.iter().map(|(service, list)| (service.as_ref(), list))
    }

    /// Everyone in the pool, by name.
    pub fn members(&self) -> &[MemberView] {
        &self.members
    }

    /// The pool's SVCB or HTTPS records, if members have any.
    pub fn bindings(&self, rtype: Rtype) -> Option<&RecordList> {
        self.bindings.iter().find(|list| list.rtype == rtype)
    }

    /// The lists of the pool's own name.
    pub fn own_lists(&self) -> impl Iterator<Item = &RecordList> {
        [&self.v4, &self.v6].into_iter().chain(&self.bindings)
    }

    /// The member whose record a hold is.
    pub fn member(&self, hold: &Hold) -> Option<&MemberView> {
        self.members.get(hold.member as usize)
    }
}

/// Whether a label of `name` starts at octet `at`, so that cutting there cuts between labels.
fn ends_on_label(name: &[u8], at: usize) -> bool {
    let mut pos = 0;
    while pos < at {
        let Some(&len) = name.get(pos) else { return false };
        pos += 1 + usize::from(len);
    }
    pos == at
}

/// Which rotors a pool's lists turn.
pub(super) struct PoolRotors {
    pub v4: RotorId,
    pub v6: RotorId,
    /// One a known service, sorted by name.
    pub services: Vec<(Box<[u8]>, RotorId)>,
}

/// Encodes a view.
pub(super) struct ViewBuilder<'a> {
    /// The pool's name in lower-case wire form.
    pub pool: &'a [u8],
    pub labels: usize,
    pub settings: &'a Arc<PoolSettings>,
    pub rotors: &'a PoolRotors,
    pub leases: &'a LeaseTable,
}

impl ViewBuilder<'_> {
    /// Makes the view of these members, who come in name order.
    pub fn build(&self, entries: &[(&MemberName, &Entry)]) -> PoolView {
        let mut v4 = ListBuilder::new(Rtype::A);
        let mut v6 = ListBuilder::new(Rtype::AAAA);
        let mut members = Vec::with_capacity(entries.len());
        let mut first_end_ms = u64::MAX;
        for (at, (name, entry)) in entries.iter().enumerate() {
            let member = &entry.member;
            let (v4_from, v6_from) = (v4.holds.len() as u32, v6.holds.len() as u32);
            for address in &member.addresses {
                let hold = Hold { lease: entry.lease, member: at as u32, lapses_ms: address.lapses_ms };
                match address.ip {
                    IpAddr::V4(ip) => {
                        v4.push(self.settings.ttl_s, &[&ip.octets()], hold, address_weight(member))
                    }
                    IpAddr::V6(ip) => {
                        v6.push(self.settings.ttl_s, &[&ip.octets()], hold, address_weight(member))
                    }
                }
            }
            let ends_ms = entry.ends_ms(self.leases);
            first_end_ms = first_end_ms.min(member.first_end_ms(ends_ms));
            let ttl_s = self.settings.ttl_s.min(member.own_ttl_s);
            members.push(MemberView {
                label: name.as_ref().into(),
                weight: address_weight(member),
                ttl_s,
                hold: Hold { lease: entry.lease, member: at as u32, lapses_ms: member.lapses_ms() },
                v4: v4_from..v4.holds.len() as u32,
                v6: v6_from..v6.holds.len() as u32,
                txt: attributes_txt(member, ttl_s),
            });
        }
        let services = self.rotors.services.iter().map(|(service, rotor)| {
            let list = self.service_list(service, entries);
            (service.clone(), list.finish(self.settings.policy, self.settings.services, *rotor))
        });
        PoolView {
            settings: Arc::clone(self.settings),
            labels: self.labels,
            first_end_ms: AtomicU64::new(first_end_ms),
            scan_at_ms: AtomicU64::new(0),
            members: members.into(),
            services: services.collect(),
            bindings: self.bindings(entries),
            v4: v4.finish(self.settings.policy, self.settings.addresses, self.rotors.v4),
            v6: v6.finish(self.settings.policy, self.settings.addresses, self.rotors.v6),
        }
    }

    /// The members' SVCB and HTTPS records. All of them stand in every answer, in a stable order: a client chooses by their
    /// own priority (RFC 9460 section 2.4.1). Only the weight 0 takes a member out.
    fn bindings(&self, entries: &[(&MemberName, &Entry)]) -> Box<[RecordList]> {
        let in_service =
            entries.iter().enumerate().filter(|(_, (_, entry))| address_weight(&entry.member) > 0);
        let bound = || {
            in_service.clone().flat_map(|(at, (_, entry))| {
                entry.member.bindings.iter().map(move |binding| (at, *entry, binding))
            })
        };
        let types: BTreeSet<u16> = bound().map(|(_, _, binding)| binding.rtype).collect();
        let lists = types.into_iter().map(|rtype| {
            let mut list = ListBuilder::new(Rtype::from_int(rtype));
            for (at, entry, binding) in bound().filter(|(_, _, binding)| binding.rtype == rtype) {
                let lapses_ms = binding.lapses_ms.min(entry.member.lapses_ms());
                let hold = Hold { lease: entry.lease, member: at as u32, lapses_ms };
                list.push(self.settings.ttl_s, &[&binding.rdata], hold, 1);
            }
            // Never turned: these are answered as a whole.
            list.finish(Policy::RoundRobin, Shown::All, self.rotors.v4)
        });
        lists.collect()
    }

    /// The SRV records of one service. Round-robin leaves priority and weight as registered; any other policy writes one
    /// priority, and weights in proportion, so that a client's own choice (RFC 2782) is the policy's.
    fn service_list(&self, service: &[u8], entries: &[(&MemberName, &Entry)]) -> ListBuilder {
        let offers = || {
            entries.iter().enumerate().flat_map(|(at, (name, entry))| {
                let offered = entry.member.services.iter().filter(|offer| *offer.service == *service);
                offered.map(move |offer| (at, *name, *entry, offer))
            })
        };
        let heaviest =
            offers().map(|(_, _, entry, offer)| service_weight(&entry.member, offer)).max().unwrap_or(1);
        let mut list = ListBuilder::new(Rtype::SRV);
        for (at, name, entry, offer) in offers() {
            let weight = service_weight(&entry.member, offer);
            let (priority, shown_weight) = match self.settings.policy {
                Policy::RoundRobin => (offer.priority, offer.weight),
                Policy::WeightedRandom => {
                    let scaled = u64::from(weight) * 65_535 / u64::from(heaviest.max(1));
                    (0, scaled.clamp(1, 65_535) as u16)
                }
            };
            // A SRV whose member has no address left would lead nowhere.
            let lapses_ms = offer.lapses_ms.min(entry.member.lapses_ms());
            let hold = Hold { lease: entry.lease, member: at as u32, lapses_ms };
            let fixed = [priority.to_be_bytes(), shown_weight.to_be_bytes(), offer.port.to_be_bytes()];
            let len = [name.len() as u8];
            let rdata = match name.split_first() {
                Some((&ELSEWHERE, target)) => [fixed.as_flattened(), target, &[], &[]],
                _ => [fixed.as_flattened(), &len, name.as_ref(), self.pool],
            };
            list.push(self.settings.ttl_s, &rdata, hold, weight);
        }
        list
    }
}

/// A member's weight for addresses: its attribute, else the largest of its SRV weights, else 1.
fn address_weight(member: &Member) -> u32 {
    let registered =
        || member.services.iter().map(|service| u32::from(service.weight)).max().unwrap_or(1).max(1);
    member.attributes.weight().unwrap_or_else(registered)
}

/// A member's weight for a service: its attribute, else the SRV's. A SRV weight of 0 is the least weight, not none
/// (RFC 2782): only the attribute takes a member out.
fn service_weight(member: &Member, offer: &Service) -> u32 {
    member.attributes.weight().unwrap_or(u32::from(offer.weight).max(1))
}

/// A member's attributes as a TXT record of key=value strings, or nothing.
fn attributes_txt(member: &Member, ttl_s: u32) -> Box<[u8]> {
    let mut rdata = Vec::new();
    for (key, value) in member.attributes.iter() {
        rdata.push((key.len() + 1 + value.len()) as u8);
        rdata.extend_from_slice(key.as_bytes());
        rdata.push(b'=');
        rdata.extend_from_slice(value);
    }
    let mut record = Vec::new();
    if !rdata.is_empty() {
        encode(&mut record, Rtype::TXT, ttl_s, &[&rdata]);
    }
    record.into()
}

struct ListBuilder {
    rtype: Rtype,
    octets: Vec<u8>,
    ends: Vec<u32>,
    holds: Vec<Hold>,
    /// One a member, as are the weights.
    groups: Vec<u32>,
    weights: Vec<u32>,
}

impl ListBuilder {
    fn new(rtype: Rtype) -> Self {
        let (octets, ends, holds) = (Vec::new(), Vec::new(), Vec::new());
        ListBuilder { rtype, octets, ends, holds, groups: Vec::new(), weights: Vec::new() }
    }

    /// Adds a record. Records of one member come one after another; the first of them gives the member's weight.
    fn push(&mut self, ttl_s: u32, rdata: &[&[u8]], hold: Hold, weight: u32) {
        encode(&mut self.octets, self.rtype, ttl_s, rdata);
        self.ends.push(self.octets.len() as u32);
        if self.holds.last().is_none_or(|before| before.member != hold.member) {
            self.groups.push(0);
            self.weights.push(weight);
        }
        self.holds.push(hold);
        if let Some(end) = self.groups.last_mut() {
            *end = self.holds.len() as u32;
        }
    }

    fn finish(mut self, policy: Policy, shown: Shown, rotor: RotorId) -> RecordList {
        let hasher = foldhash::fast::RandomState::default();
        let mut seen = HashMap::with_capacity_and_hasher(self.holds.len(), hasher);
        let mut start = 0;
        let firsts = self.ends.iter().zip(0..).map(|(&end, place)| {
            let record = self.octets.get(std::mem::replace(&mut start, end as usize)..end as usize);
            *seen.entry(record).or_insert(place)
        });
        let mut firsts: Vec<u32> = firsts.collect();
        let distinct = seen.len();
        if distinct == self.holds.len() {
            firsts = Vec::new();
        }
        let each = self.ends.first().copied().unwrap_or(0);
        if self.ends.iter().zip(1..).all(|(&end, count)| u64::from(end) == u64::from(each) * count) {
            self.ends.clear();
        }
        if self.groups.len() == self.holds.len() {
            self.groups.clear();
        }
        RecordList {
            rtype: self.rtype,
            octets: self.octets.into(),
            ends: self.ends.into(),
            each,
            holds: self.holds.into(),
            firsts: firsts.into(),
            distinct,
            groups: self.groups.into(),
            ranking: Ranking::new(policy, shown, rotor, &self.weights),
        }
    }
}
