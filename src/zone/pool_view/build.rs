//! From a pool's members to its view: every record encoded once.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::{Hold, MemberView, PoolView, RecordList};
use crate::membership::{ELSEWHERE, Entry, LeaseTable, Member, MemberName, Service};
use crate::policy::{Policy, Ranking, RotorId, Shown};
use crate::wire::Rtype;
use crate::zone::PoolSettings;
use crate::zone::node::encode;

/// Which rotors a pool's lists turn.
pub(in crate::zone) struct PoolRotors {
    pub v4: RotorId,
    pub v6: RotorId,
    /// One a known service, sorted by name.
    pub services: Vec<(Box<[u8]>, RotorId)>,
}

/// Encodes a view.
pub(in crate::zone) struct ViewBuilder<'a> {
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
