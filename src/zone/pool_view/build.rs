//! From a pool's members to its view: every record encoded once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::good::Remembered;
use super::list::ListBuilder;
use super::rank::{Electorate, PoolRotors, Standings, turn_of};
use super::{DrainView, Hold, MemberView, PoolView, RecordList, ServiceRecords};
use crate::membership::{ELSEWHERE, Entry, LeaseTable, Member, MemberName, Roll, Service};
use crate::policy::{Candidate, Policy, Shown};
use crate::wire::Rtype;
use crate::zone::node::encode;
use crate::zone::{FIXED_LEN, PoolSettings};

/// Encodes a view.
pub(in crate::zone) struct ViewBuilder<'a> {
    /// The pool's name in lower-case wire form.
    pub pool: &'a [u8],
    pub labels: usize,
    pub settings: &'a Arc<PoolSettings>,
    pub rotors: &'a PoolRotors,
    pub roll: &'a Roll,
    /// The view that was published before, if there was one.
    pub before: Option<&'a PoolView>,
    pub now_ms: u64,
}

impl ViewBuilder<'_> {
    /// Makes the view of these members, who come in name order. When it is to be ranked again though nothing is said,
    /// monotonic milliseconds, comes with it.
    pub fn build(
        &self,
        entries: &[(&MemberName, &Entry)],
        remembered: &Remembered,
    ) -> (PoolView, Option<u64>) {
        let (mut view, again_ms) = self.view(entries);
        if !view.members.iter().any(MemberView::is_fit) {
            view.last_good = remembered.last_good(self.now_ms).map(|(good, until_ms)| {
                let (mut view, _) = ViewBuilder { before: None, ..*self }.view(&good);
                view.is_frozen = true;
                (Arc::new(view), until_ms)
            });
        }
        (view, again_ms)
    }

    fn view(&self, entries: &[(&MemberName, &Entry)]) -> (PoolView, Option<u64>) {
        let lists = || [ListBuilder::new(Rtype::A), ListBuilder::new(Rtype::AAAA)];
        let (mut serving, mut apart) = (lists(), lists());
        let drains: BTreeMap<_, _> = self.roll.drains(self.pool).collect();
        let leases = self.leases();
        let mut members = Vec::with_capacity(entries.len());
        let mut first_end_ms = u64::MAX;
        for (at, (name, entry)) in entries.iter().enumerate() {
            let member = &entry.member;
            let operators = drains.get(name).map(|drain| DrainView::Operators(Arc::clone(drain)));
            let drain = member.drains().then_some(DrainView::Own(member.drain_ends_ms)).or(operators);
            let [v4, v6] = if drain.is_some() { &mut apart } else { &mut serving };
            let (v4_from, v6_from) = (v4.len() as u32, v6.len() as u32);
            for address in &member.addresses {
                let lapses_ms = address.lapses_ms.min(member.drain_ends_ms);
                let hold = Hold { lease: entry.lease, member: at as u32, lapses_ms };
                match address.ip {
                    IpAddr::V4(ip) => v4.push(
                        self.settings.ttl_s,
                        &[&ip.octets()],
                        hold,
                        address_weight(member),
                        entries.len(),
                    ),
                    IpAddr::V6(ip) => v6.push(
                        self.settings.ttl_s,
                        &[&ip.octets()],
                        hold,
                        address_weight(member),
                        entries.len(),
                    ),
                }
            }
            let ends_ms = entry.ends_ms(leases);
            first_end_ms = first_end_ms.min(member.first_end_ms(ends_ms));
            let ttl_s = self.settings.ttl_s.min(member.own_ttl_s);
            members.push(MemberView {
                label: name.as_ref().into(),
                weight: address_weight(member),
                priority: member.attributes.priority().unwrap_or(Candidate::PRIORITY),
                degradation: member.attributes.degradation().unwrap_or(Candidate::DEGRADATION),
                ttl_s,
                hold: Hold {
                    lease: entry.lease,
                    member: at as u32,
                    lapses_ms: member.lapses_ms().min(member.drain_ends_ms),
                },
                drain,
                v4: v4_from..v4.len() as u32,
                v6: v6_from..v6.len() as u32,
                txt: attributes_txt(member, ttl_s),
            });
        }
        let standings = Standings::of(self.settings, &members, self.before, leases, self.now_ms);
        let again_ms = standings.rank_again_ms(self.settings, self.now_ms);
        let electorate = |standings| Electorate { members: &members, standings, leases };
        let (now, shown) = (electorate(&standings.now), electorate(&standings.shown));
        let ranked = |list: ListBuilder, terms: (Policy, Shown), rotor| {
            let records = list.finish();
            RecordList { ranking: now.rank(&records, terms, rotor, turn_of(self.now_ms)), records }
        };
        let addresses = (self.settings.policy, self.settings.addresses);
        let services = self.rotors.services.iter().map(|(service, rotor)| {
            let mut list = self.service_list(service, entries, &shown, false);
            list.take_along(&members, self.settings.ttl_s, &serving);
            (service.clone(), ranked(list, (self.settings.policy, self.settings.services), *rotor))
        });
        let services: Box<[_]> = services.collect();
        let services_apart = self.services_apart(entries, &shown);
        // Never turned: these are answered as a whole.
        let whole = (Policy::RoundRobin, Shown::All);
        let bindings =
            self.bindings(entries, &members).into_iter().map(|list| ranked(list, whole, self.rotors.v4));
        let [v4, v6] = serving;
        let (bindings, v4, v6) = (
            bindings.collect(),
            ranked(v4, addresses, self.rotors.v4),
            ranked(v6, addresses, self.rotors.v6),
        );
        let view = PoolView {
            settings: Arc::clone(self.settings),
            labels: self.labels,
            first_end_ms: AtomicU64::new(first_end_ms),
            scan_at_ms: AtomicU64::new(0),
            members: members.into(),
            shown: standings.shown,
            shown_since_ms: standings.shown_since_ms,
            services,
            bindings,
            apart: apart.map(ListBuilder::finish),
            services_apart,
            last_good: None,
            is_frozen: false,
            v4,
            v6,
        };
        (view, again_ms)
    }

    fn leases(&self) -> &LeaseTable {
        self.roll.leases()
    }

    /// The members' SVCB and HTTPS records. All of them stand in every answer, in a stable order: a client chooses by their
    /// own priority (RFC 9460 section 2.4.1). Only the weight 0 and a
    /// drain take a member out.
    fn bindings(&self, entries: &[(&MemberName, &Entry)], members: &[MemberView]) -> Vec<ListBuilder> {
        let serves = |at: usize| members.get(at).is_some_and(MemberView::is_in_service);
        let in_service = entries.iter().enumerate();
        let in_service =
            in_service.filter(|(at, (_, entry))| serves(*at) && address_weight(&entry.member) > 0);
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
                list.push(self.settings.ttl_s, &[&binding.rdata], hold, 1, entries.len());
            }
            list
        });
        lists.collect()
    }

    /// The SRV records of members that drain, by service.
    fn services_apart(&self, entries: &[(&MemberName, &Entry)], shown: &Electorate<'_>) -> ServiceRecords {
        if shown.members.iter().all(MemberView::is_in_service) {
            return Arc::default();
        }
        let services =
            self.rotors.services.iter().map(|(service, _)| {
                (service.clone(), self.service_list(service, entries, shown, true).finish())
            });
        services.filter(|(_, records)| !records.is_empty()).collect()
    }

    /// The SRV records of one service, with what the policy writes into them; of members that drain, as registered.
    fn service_list(
        &self,
        service: &[u8],
        entries: &[(&MemberName, &Entry)],
        shown: &Electorate<'_>,
        of_draining: bool,
    ) -> ListBuilder {
        let drains = |at: usize| shown.members.get(at).is_some_and(|member| !member.is_in_service());
        let offers = || {
            let wanted = entries.iter().enumerate().filter(|(at, _)| drains(*at) == of_draining);
            wanted.flat_map(|(at, (name, entry))| {
                let offered = entry.member.services.iter().filter(|offer| *offer.service == *service);
                offered.map(move |offer| (at as u32, *name, *entry, offer))
            })
        };
        let weights = offers().map(|(at, _, entry, offer)| (at, service_weight(&entry.member, offer)));
        let fields = shown.fields(self.settings.policy, weights);
        let mut list = ListBuilder::new(Rtype::SRV);
        for (at, name, entry, offer) in offers() {
            let weight = service_weight(&entry.member, offer);
            let Some(candidate) = shown.candidate(at, weight) else { continue };
            let registered = (offer.priority, offer.weight);
            let (priority, shown_weight) =
                if of_draining { registered } else { fields.write(&candidate, registered) };
            // A SRV whose member has no address left would lead nowhere.
            let lapses_ms = offer.lapses_ms.min(entry.member.lapses_ms()).min(entry.member.drain_ends_ms);
            let hold = Hold { lease: entry.lease, member: at, lapses_ms };
            let fixed = [priority.to_be_bytes(), shown_weight.to_be_bytes(), offer.port.to_be_bytes()];
            let len = [name.len() as u8];
            let rdata = match name.split_first() {
                Some((&ELSEWHERE, target)) => [fixed.as_flattened(), target, &[], &[]],
                _ => [fixed.as_flattened(), &len, name.as_ref(), self.pool],
            };
            list.push(self.settings.ttl_s, &rdata, hold, weight, entries.len());
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
    let strings = || member.attributes.iter().map(|(key, value)| (key.as_bytes(), value));
    let len = |(key, value): (&[u8], &[u8])| key.len() + 1 + value.len();
    let mut rdata = Vec::with_capacity(strings().map(|string| 1 + len(string)).sum());
    for (key, value) in strings() {
        rdata.push(len((key, value)) as u8);
        rdata.extend_from_slice(key);
        rdata.push(b'=');
        rdata.extend_from_slice(value);
    }
    if rdata.is_empty() {
        return Box::default();
    }
    let mut record = Vec::with_capacity(FIXED_LEN + rdata.len());
    encode(&mut record, Rtype::TXT, ttl_s, &[&rdata]);
    record.into()
}
