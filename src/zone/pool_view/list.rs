//! Encoding a list of records, each once.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Hold, Records};
use crate::wire::Rtype;
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
}

impl ListBuilder {
    pub fn new(rtype: Rtype) -> Self {
        let (octets, ends, holds) = (Vec::new(), Vec::new(), Vec::new());
        ListBuilder { rtype, octets, ends, holds, groups: Vec::new(), weights: Vec::new() }
    }

    /// How many records it has.
    pub fn len(&self) -> usize {
        self.holds.len()
    }

    /// Adds a record. Records of one member come one after another.
    pub fn push(&mut self, ttl_s: u32, rdata: &[&[u8]], hold: Hold, weight: u32) {
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
        let each = self.ends.first().copied().unwrap_or(0);
        if self.ends.iter().zip(1..).all(|(&end, count)| u64::from(end) == u64::from(each) * count) {
            self.ends.clear();
        }
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
        })
    }
}
