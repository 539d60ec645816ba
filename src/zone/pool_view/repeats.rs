//! How often each record is there in a pool of several parts, so that a part can go, and another come, without a look at the rest.
//!
//! Addresses and bindings are counted: members may share one. A SRV record is its member's alone, for its target names the member.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

use super::records::Records;
use crate::wire::Rtype;

/// Records by their type and a keyed hash of their octets, and how many have it.
#[derive(Default)]
pub(in crate::zone) struct Counts {
    counts: HashMap<(u16, u64), u32, RandomState>,
    distinct: HashMap<u16, usize, RandomState>,
    hasher: RandomState,
}

impl Counts {
    /// Counts a part's records.
    pub(super) fn add(&mut self, records: &Records) {
        let rtype = records.rtype.to_int();
        for place in 0..records.len() {
            let count = self.counts.entry((rtype, self.hasher.hash_one(records.record(place)))).or_default();
            *count += 1;
            if *count == 1 {
                *self.distinct.entry(rtype).or_default() += 1;
            }
        }
    }

    /// Takes those of a part away again.
    pub(super) fn remove(&mut self, records: &Records) {
        let rtype = records.rtype.to_int();
        for place in 0..records.len() {
            let key = (rtype, self.hasher.hash_one(records.record(place)));
            let Some(count) = self.counts.get_mut(&key) else { continue };
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&key);
                let distinct = self.distinct.entry(rtype).or_default();
                *distinct = distinct.saturating_sub(1);
            }
        }
    }

    /// How many records of a type differ from all others.
    pub(super) fn distinct(&self, rtype: Rtype) -> usize {
        self.distinct.get(&rtype.to_int()).copied().unwrap_or(0)
    }
}
