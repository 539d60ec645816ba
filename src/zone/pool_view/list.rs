//! Encoding a part's records of a type, each once.

use std::collections::HashMap;
use std::sync::Arc;

use super::MemberView;
use super::records::{Along, Hold, Records, Uneven};
use crate::membership::{FOLLOWS_LEASE, LeaseRef};
use crate::wire::Rtype;
use crate::zone::FIXED_LEN;
use crate::zone::node::encode;

/// Records of one type, as far as they are encoded.
pub(super) struct ListBuilder {
    rtype: Rtype,
    octets: Vec<u8>,
    ends: Vec<u32>,
    /// One a record.
    leases: Vec<LeaseRef>,
    /// One a record.
    numbers: Vec<u32>,
    /// One a record.
    lapses_ms: Vec<u64>,
    /// One a member.
    groups: Vec<u32>,
    /// One a record.
    weights: Vec<u32>,
    along: Option<Along>,
    /// Members that may come.
    members: usize,
}

impl ListBuilder {
    /// For a part of so many members.
    pub fn new(rtype: Rtype, members: usize) -> Self {
        ListBuilder {
            rtype,
            octets: Vec::new(),
            ends: Vec::new(),
            leases: Vec::new(),
            numbers: Vec::new(),
            lapses_ms: Vec::new(),
            groups: Vec::new(),
            weights: Vec::new(),
            along: None,
            members,
        }
    }

    /// Makes room for a record of each member, as long as the first.
    fn expect(&mut self, len: usize) {
        let records = self.members;
        self.octets.reserve_exact(records.saturating_mul(len));
        self.ends.reserve_exact(records);
        self.leases.reserve_exact(records);
        self.numbers.reserve_exact(records);
        self.lapses_ms.reserve_exact(records);
        self.groups.reserve_exact(records);
        self.weights.reserve_exact(records);
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Adds a record. Records of one member come one after another.
    pub fn push(&mut self, ttl_s: u32, rdata: &[&[u8]], hold: Hold, weight: u32) {
        if self.leases.is_empty() {
            self.expect(FIXED_LEN + rdata.iter().map(|piece| piece.len()).sum::<usize>());
        }
        encode(&mut self.octets, self.rtype, ttl_s, rdata);
        self.ends.push(self.octets.len() as u32);
        if self.numbers.last() != Some(&hold.member) {
            self.groups.push(0);
        }
        self.leases.push(hold.lease);
        self.numbers.push(hold.member);
        self.lapses_ms.push(hold.lapses_ms);
        self.weights.push(weight);
        if let Some(end) = self.groups.last_mut() {
            *end = self.leases.len() as u32;
        }
    }

    /// Puts the addresses of the members beside their records, which name them.
    pub fn take_along(&mut self, members: &[MemberView], ttl_s: u32, [v4, v6]: [&Records; 2]) {
        // Each member mostly stands in the list once.
        let mut octets = Vec::with_capacity(v4.octets.len() + v6.octets.len());
        let (mut ends, mut previous) = (Vec::with_capacity(self.leases.len()), None);
        for &number in &self.numbers {
            if previous.replace(number) != Some(number) {
                let start = octets.len();
                let Some(member) = members.get(number as usize) else { return };
                octets.extend_from_slice(v4.records(member.v4()));
                octets.extend_from_slice(v6.records(member.v6()));
                // One that lives elsewhere has its addresses looked up, and a shorter TTL has to be written.
                if octets.len() == start || member.ttl_s != ttl_s {
                    return;
                }
            }
            ends.push(octets.len() as u32);
        }
        let each = equal_length(&mut ends);
        let shared = [v4, v6].into_iter().find(|addresses| *addresses.octets == *octets);
        let octets = shared.map_or_else(|| octets.into(), |addresses| Arc::clone(&addresses.octets));
        // Of nothing all share one.
        let ends = if ends.is_empty() { Arc::default() } else { ends.into() };
        self.along = Some(Along { octets, ends, each });
    }

    /// The records, none of them held to be like another. Whose they are may be as it is in one of `others`.
    pub fn finish(mut self, others: &[&Records]) -> Arc<Records> {
        if self.leases.is_empty() {
            return Records::none(self.rtype);
        }
        let each = equal_length(&mut self.ends);
        let shared = others.iter().find(|other| *other.leases == *self.leases);
        let shared = shared.map(|other| Arc::clone(&other.leases));
        let distinct = self.leases.len() as u32;
        let weight = self.weights.first().copied().unwrap_or(0);
        // Each list that says what goes without saying is left out.
        let uneven = Uneven {
            members: unless(self.numbers.iter().copied().eq(0..distinct), self.numbers),
            lapses_ms: unless(
                self.lapses_ms.iter().all(|&lapses_ms| lapses_ms == FOLLOWS_LEASE),
                self.lapses_ms,
            ),
            firsts: Box::default(),
            groups: unless(self.groups.len() == self.leases.len(), self.groups),
            weights: unless(self.weights.iter().all(|&other| other == weight), self.weights),
        };
        Arc::new(Records {
            rtype: self.rtype,
            octets: self.octets.into(),
            ends: self.ends.into(),
            each,
            leases: shared.unwrap_or_else(|| self.leases.into()),
            distinct,
            weight,
            uneven: (uneven != Uneven::default()).then(|| Box::new(uneven)),
            along: self.along,
        })
    }
}

fn unless<T>(goes_without_saying: bool, list: Vec<T>) -> Box<[T]> {
    if goes_without_saying { Box::default() } else { list.into() }
}

impl Records {
    /// Finds the records that are like others of the part.
    pub(super) fn find_repeats(&mut self) {
        let hasher = foldhash::fast::RandomState::default();
        let mut seen = HashMap::with_capacity_and_hasher(self.len(), hasher);
        let firsts = (0..self.len()).map(|place| *seen.entry(self.record(place)).or_insert(place as u32));
        let firsts: Box<[u32]> = firsts.collect();
        let distinct = seen.len();
        self.distinct = distinct as u32;
        let firsts = if distinct == firsts.len() { Box::default() } else { firsts };
        if !firsts.is_empty() || self.uneven.is_some() {
            self.uneven.get_or_insert_default().firsts = firsts;
        }
    }
}

/// The length that all have, if they have one: then where each ends need not be kept.
fn equal_length(ends: &mut Vec<u32>) -> u32 {
    let each = ends.first().copied().unwrap_or(0);
    if ends.iter().zip(1..).all(|(&end, count)| u64::from(end) == u64::from(each) * count) {
        ends.clear();
    }
    each
}
