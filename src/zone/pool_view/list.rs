//! Encoding a list of records, each once.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::{Along, Hold, MemberView, Records};
use crate::wire::Rtype;
use crate::zone::FIXED_LEN;
use crate::zone::node::encode;

/// Records of one type, as far as they are encoded.
pub(super) struct ListBuilder {
    rtype: Rtype,
    octets: Vec<u8>,
    ends: Vec<u32>,
    holds: Vec<Hold>,
    /// One a member.
    groups: Vec<u32>,
    /// One a record.
    weights: Vec<u32>,
    along: Option<Along>,
}

impl ListBuilder {
    pub fn new(rtype: Rtype) -> Self {
        let (octets, ends, holds) = (Vec::new(), Vec::new(), Vec::new());
        ListBuilder { rtype, octets, ends, holds, groups: Vec::new(), weights: Vec::new(), along: None }
    }

    /// One that has room for this many records, as long as the first.
    fn expect(&mut self, records: usize, len: usize) {
        self.octets.reserve_exact(records.saturating_mul(len));
        self.ends.reserve_exact(records);
        self.holds.reserve_exact(records);
        self.groups.reserve_exact(records);
        self.weights.reserve_exact(records);
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.holds.len()
    }

    /// Adds a record. Records of one member come one after another. With the first comes room for those of `members`.
    pub fn push(&mut self, ttl_s: u32, rdata: &[&[u8]], hold: Hold, weight: u32, members: usize) {
        if self.holds.is_empty() {
            let len: usize = rdata.iter().map(|piece| piece.len()).sum();
            self.expect(members, FIXED_LEN + len);
        }
        encode(&mut self.octets, self.rtype, ttl_s, rdata);
        self.ends.push(self.octets.len() as u32);
        if self.holds.last().is_none_or(|before| before.member != hold.member) {
            self.groups.push(0);
        }
        self.holds.push(hold);
        self.weights.push(weight);
        if let Some(end) = self.groups.last_mut() {
            *end = self.holds.len() as u32;
        }
    }

    /// Puts the addresses of the members beside their records, which name them.
    pub fn take_along(&mut self, members: &[MemberView], ttl_s: u32, [v4, v6]: &[ListBuilder; 2]) {
        // Each member mostly stands in the list once.
        let mut octets = Vec::with_capacity(v4.octets.len() + v6.octets.len());
        let (mut ends, mut previous) = (Vec::with_capacity(self.holds.len()), None);
        for hold in &self.holds {
            if previous.replace(hold.member) != Some(hold.member) {
                let start = octets.len();
                let Some(member) = members.get(hold.member as usize) else { return };
                octets.extend_from_slice(v4.octets_of(&member.v4));
                octets.extend_from_slice(v6.octets_of(&member.v6));
                // One that lives elsewhere has its addresses looked up, and a shorter TTL has to be written.
                if octets.len() == start || member.ttl_s != ttl_s {
                    return;
                }
            }
            ends.push(octets.len() as u32);
        }
        let each = equal_length(&mut ends);
        self.along = Some(Along { octets: octets.into(), ends: ends.into(), each });
    }

    /// The records at these places, encoded.
    fn octets_of(&self, places: &Range<u32>) -> &[u8] {
        let start_of = |place: u32| match place.checked_sub(1) {
            Some(before) => self.ends.get(before as usize).map_or(self.octets.len(), |&end| end as usize),
            None => 0,
        };
        self.octets.get(start_of(places.start)..start_of(places.end)).unwrap_or_default()
    }

    pub fn finish(mut self) -> Arc<Records> {
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
        let each = equal_length(&mut self.ends);
        if self.groups.len() == self.holds.len() {
            self.groups.clear();
        }
        Arc::new(Records {
            rtype: self.rtype,
            octets: self.octets.into(),
            ends: self.ends.into(),
            each,
            holds: self.holds.into(),
            firsts: firsts.into(),
            distinct,
            groups: self.groups.into(),
            weights: self.weights.into(),
            along: self.along,
        })
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
