//! Who was good last: what a pool answers with `last-good` when nobody fit is left.
//!
//! Remembered are members whose leases ran out, each for as long as it may be answered. Who left by its own word, or drained,
//! is not: it is gone. Of those remembered, the last good ones are all whose leases ended within one lease of the last one's
//! end: they were good together when the trouble began.

use std::collections::BTreeMap;

use super::super::LAST_GOOD_MS;
use crate::membership::{Cause, Change, Entry, MemberName};

/// Members that are remembered of a pool, at most; past that, those that were lost first are forgotten.
const REMEMBERED_MAX: usize = 4096;

/// Members of a pool that were lost.
#[derive(Default, Clone)]
pub(in crate::zone) struct Remembered {
    /// What they had registered, and when that ended, monotonic milliseconds.
    lost: BTreeMap<MemberName, (Entry, u64)>,
}

impl Remembered {
    /// Notes what became of a member at `now_ms`.
    pub fn note(&mut self, change: &Change, now_ms: u64) {
        match (change.cause, change.departed()) {
            (Cause::Expired, Some(entry))
                if entry.member.attributes.weight() != Some(0) && !entry.member.drains() =>
            {
                self.lost.retain(|_, (_, ended_ms)| *ended_ms + LAST_GOOD_MS > now_ms);
                if self.lost.len() >= REMEMBERED_MAX {
                    let first = self.lost.iter().min_by_key(|(_, (_, ended_ms))| *ended_ms);
                    if let Some(first) = first.map(|(name, _)| name.clone()) {
                        self.lost.remove(&first);
                    }
                }
                self.lost.insert(change.name.clone(), (entry.clone(), now_ms));
            }
            (Cause::Released, _) => {}
            _ => _ = self.lost.remove(&change.name),
        }
    }

    /// Those that were good last, in name order, and until when they are answered, monotonic milliseconds.
    pub fn last_good(&self, now_ms: u64) -> Option<(Vec<(&MemberName, &Entry)>, u64)> {
        let last_ms = self.lost.values().map(|(_, ended_ms)| *ended_ms).max()?;
        let until_ms = last_ms + LAST_GOOD_MS;
        let is_last = |entry: &Entry, ended_ms: u64| ended_ms + u64::from(entry.member.lease_ms) >= last_ms;
        let good = self.lost.iter().filter(|(_, (entry, ended_ms))| is_last(entry, *ended_ms));
        (now_ms < until_ms).then(|| (good.map(|(name, (entry, _))| (name, entry)).collect(), until_ms))
    }
}
