//! From a run of members to their part of a view: every record encoded once, SRV records as they were registered.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use super::list::ListBuilder;
use super::members::{Apart, MemberPart, Span};
use super::records::{Hold, Records};
use super::{DrainView, MemberView};
use crate::membership::{ELSEWHERE, Entry, Member, MemberName, Roll, Service};
use crate::policy::{Candidate, RotorId};
use crate::wire::Rtype;
use crate::zone::PoolSettings;
use crate::zone::node::encode;

/// What a view has of a run of members.
pub(super) struct Part {
    pub members: Arc<MemberPart>,
    pub v4: Arc<Records>,
    pub v6: Arc<Records>,
    /// SRV records of each service that the pool knows, in the order in which it knows them.
    pub services: Vec<Arc<Records>>,
    /// SVCB and HTTPS records, a type at a time.
    pub bindings: Vec<Arc<Records>>,
    /// Whether it was made for this view, and its SRV records are yet as they were registered.
    pub is_new: bool,
}

impl Part {
    /// Its records of a type of bindings; none, if it has none.
    pub fn bindings_of(&self, rtype: Rtype) -> Arc<Records> {
        let own = self.bindings.iter().find(|records| records.rtype == rtype);
        own.map_or_else(|| Records::none(rtype), Arc::clone)
    }

    /// Finds the records that several of its members have.
    pub fn find_repeats(&mut self) {
        let lists = [&mut self.v4, &mut self.v6].into_iter().chain(&mut self.bindings);
        for records in lists.filter(|records| !records.is_empty()) {
            Arc::make_mut(records).find_repeats();
        }
    }

    /// The records that members of several parts may have in common.
    pub fn shareable(&self) -> impl Iterator<Item = &Arc<Records>> {
        [&self.v4, &self.v6].into_iter().chain(&self.bindings)
    }
}

/// What parts of a pool are made by.
pub(super) struct PartBuilder<'a> {
    /// The pool's name in lower-case wire form.
    pub pool: &'a [u8],
    pub settings: &'a PoolSettings,
    /// The services that the pool knows.
    pub services: &'a [(Box<[u8]>, RotorId)],
    pub roll: &'a Roll,
}

impl PartBuilder<'_> {
    /// Makes the part of these members, who come in name order. The first moment at which anything in it ends comes with it,
    /// monotonic milliseconds.
    pub fn part(&self, entries: &[(&MemberName, &Entry)]) -> (Part, u64) {
        let ttl_s = self.settings.ttl_s;
        let lists = |members| [ListBuilder::new(Rtype::A, members), ListBuilder::new(Rtype::AAAA, members)];
        let (mut serving, mut apart) = (lists(entries.len()), lists(0));
        let is_drained = self.roll.drains(self.pool).next().is_some();
        let (mut views, mut text) = (Vec::with_capacity(entries.len()), Vec::new());
        let (mut first_end_ms, mut before) = (u64::MAX, None);
        for ((name, entry), number) in entries.iter().zip(0..) {
            let member = &*entry.member;
            let operators = || self.roll.drain(self.pool, name).filter(|_| is_drained);
            let drain = match member.drains() {
                true => Some(DrainView::Own(member.drain_ends_ms)),
                false => operators().map(|drain| DrainView::Operators(Arc::clone(drain))),
            };
            let [v4, v6] = if drain.is_some() { &mut apart } else { &mut serving };
            let (v4_from, v6_from) = (v4.len(), v6.len());
            let weight = address_weight(member);
            for address in &member.addresses {
                let lapses_ms = address.lapses_ms.min(member.drain_ends_ms);
                let hold = Hold { lease: entry.lease, member: number, lapses_ms };
                match address.ip {
                    IpAddr::V4(ip) => v4.push(ttl_s, &[&ip.octets()], hold, weight),
                    IpAddr::V6(ip) => v6.push(ttl_s, &[&ip.octets()], hold, weight),
                }
            }
            first_end_ms = first_end_ms.min(member.first_end_ms(entry.ends_ms(self.roll.leases())));
            let own_ttl_s = ttl_s.min(member.own_ttl_s);
            let label = text.len()..text.len() + name.len();
            text.extend_from_slice(name);
            // Neighbours mostly say the same of themselves.
            let said = (&member.attributes, own_ttl_s);
            let txt = match &before {
                Some((before, txt)) if *before == said => Range::clone(txt),
                _ => {
                    let start = text.len();
                    put_attributes(&mut text, member, own_ttl_s);
                    start..text.len()
                }
            };
            before = Some((said, txt.clone()));
            views.push(MemberView {
                weight,
                priority: member.attributes.priority().unwrap_or(Candidate::PRIORITY),
                degradation: member.attributes.degradation().unwrap_or(Candidate::DEGRADATION),
                ttl_s: own_ttl_s,
                lease: entry.lease,
                lapses_ms: member.lapses_ms().min(member.drain_ends_ms),
                drain: drain.map(Box::new),
                v4: Span::of(v4_from..v4.len()),
                v6: Span::of(v6_from..v6.len()),
                label: Span::of(label),
                txt: Span::of(txt),
            });
        }
        let [v4, v6] = serving.map(|list| list.finish(&[]));
        let services = self.services.iter().map(|(service, _)| {
            let mut list = self.service_list(service, entries, &views, false);
            list.take_along(&views, ttl_s, [&v4, &v6]);
            list.finish(&[&v4, &v6])
        });
        let services = services.collect();
        let bindings = self.bindings(entries, &views);
        let apart = self.apart(entries, &views, apart);
        let members = Arc::new(MemberPart { views: views.into(), text: text.into(), apart });
        (Part { members, v4, v6, services, bindings, is_new: true }, first_end_ms)
    }

    /// The members' SVCB and HTTPS records. All of them stand in every answer, in a stable order: a client chooses by their
    /// own priority (RFC 9460 section 2.4.1). Only the weight 0 and a drain take a member out.
    fn bindings(&self, entries: &[(&MemberName, &Entry)], views: &[MemberView]) -> Vec<Arc<Records>> {
        let mut lists = BTreeMap::new();
        for (((_, entry), view), number) in entries.iter().zip(views).zip(0..) {
            for binding in entry.member.bindings.iter().filter(|_| view.is_fit()) {
                let lapses_ms = binding.lapses_ms.min(entry.member.lapses_ms());
                let hold = Hold { lease: entry.lease, member: number, lapses_ms };
                let new = || ListBuilder::new(Rtype::from_int(binding.rtype), entries.len());
                let list: &mut ListBuilder = lists.entry(binding.rtype).or_insert_with(new);
                list.push(self.settings.ttl_s, &[&binding.rdata], hold, 1);
            }
        }
        lists.into_values().map(|list: ListBuilder| list.finish(&[])).collect()
    }

    /// What those have who drain.
    fn apart(
        &self,
        entries: &[(&MemberName, &Entry)],
        views: &[MemberView],
        addresses: [ListBuilder; 2],
    ) -> Option<Box<Apart>> {
        if views.iter().all(MemberView::is_in_service) {
            return None;
        }
        let services = self.services.iter().map(|(service, _)| {
            (service.clone(), self.service_list(service, entries, views, true).finish(&[]))
        });
        let services = services.filter(|(_, records)| !records.is_empty()).collect();
        let [v4, v6] = addresses.map(|list| list.finish(&[]));
        Some(Box::new(Apart { v4, v6, services }))
    }

    /// The SRV records of one service: of those who serve, or of those who drain.
    fn service_list(
        &self,
        service: &[u8],
        entries: &[(&MemberName, &Entry)],
        views: &[MemberView],
        of_draining: bool,
    ) -> ListBuilder {
        let mut list = ListBuilder::new(Rtype::SRV, if of_draining { 0 } else { entries.len() });
        let wanted = entries.iter().zip(views).zip(0..);
        let wanted = wanted.filter(|((_, view), _)| view.is_in_service() != of_draining);
        for (((name, entry), _), number) in wanted {
            let member = &*entry.member;
            for offer in member.services.iter().filter(|offer| *offer.service == *service) {
                // A SRV whose member has no address left would lead nowhere.
                let lapses_ms = offer.lapses_ms.min(member.lapses_ms()).min(member.drain_ends_ms);
                let hold = Hold { lease: entry.lease, member: number, lapses_ms };
                let fixed =
                    [offer.priority.to_be_bytes(), offer.weight.to_be_bytes(), offer.port.to_be_bytes()];
                let len = [name.len() as u8];
                let rdata = match name.split_first() {
                    Some((&ELSEWHERE, target)) => [fixed.as_flattened(), target, &[], &[]],
                    _ => [fixed.as_flattened(), &len, name.as_ref(), self.pool],
                };
                list.push(self.settings.ttl_s, &rdata, hold, service_weight(member, offer));
            }
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

/// Appends a member's attributes as a TXT record of key=value strings, or nothing.
fn put_attributes(text: &mut Vec<u8>, member: &Member, ttl_s: u32) {
    if member.attributes.is_empty() {
        return;
    }
    let mut rdata = Vec::new();
    for (key, value) in member.attributes.iter() {
        rdata.push((key.len() + 1 + value.len()) as u8);
        rdata.extend_from_slice(key.as_bytes());
        rdata.push(b'=');
        rdata.extend_from_slice(value);
    }
    encode(text, Rtype::TXT, ttl_s, &[&rdata]);
}
