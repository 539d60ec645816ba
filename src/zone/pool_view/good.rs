//! Who was good last: what a pool answers with `last-good` when nobody fit is left.
//!
//! Remembered are members whose leases ran out, each for as long as it may be answered. Who left by its own word, or drained,
//! is not: it is gone. Of those remembered, the last good ones are all whose leases ended within one lease of the moment at which
//! the last good one's ended, or was heard and left: they were good together when the trouble began.
//!
//! Until they are swept, those whose leases have just ended are in the pool's own view, which then answers for them.

use std::collections::BTreeMap;

use super::super::{LAST_GOOD_MS, OnAllDown};
use super::{MemberView, PoolView};
use crate::membership::{Cause, Change, Entry, LeaseTable, Member, MemberName};

/// Members that are remembered of a pool, at most; past that, those that were lost first are forgotten.
const REMEMBERED_MAX: usize = 4096;

/// Members of a pool that were lost.
#[derive(Default, Clone)]
pub(in crate::zone) struct Remembered {
    /// What they had registered, and when that ended, monotonic milliseconds.
    lost: BTreeMap<MemberName, (Entry, u64)>,
    /// When somebody good was last heard, monotonic milliseconds.
    heard_ms: u64,
}

impl Remembered {
    /// Notes what became of a member at `now_ms`. One that an operator drains is as good as gone.
    pub fn note(&mut self, change: &Change, is_drained: bool, now_ms: u64) {
        let is_good = |member: &Member| !is_drained && is_good(member);
        match (change.cause, change.departed()) {
            (Cause::Expired, Some(entry)) if is_good(&entry.member) => {
                self.lost.retain(|_, (_, ended_ms)| *ended_ms + LAST_GOOD_MS > now_ms);
                if self.lost.len() >= REMEMBERED_MAX {
                    let first = self.lost.iter().min_by_key(|(_, (_, ended_ms))| *ended_ms);
                    if let Some(first) = first.map(|(name, _)| name.clone()) {
                        self.lost.remove(&first);
                    }
                }
                self.lost.insert(change.name.clone(), (entry.clone(), now_ms));
            }
            (Cause::Released | Cause::Lapsed, _) => {}
            _ => {
                self.lost.remove(&change.name);
                if !change.is_fact()
                    && change.before.iter().chain(&change.after).any(|member| is_good(member))
                {
                    self.heard_ms = now_ms;
                }
            }
        }
    }

    /// Forgets a member of this owner; of anybody, if none is given. Whether it was remembered.
    pub fn forget(&mut self, name: &[u8], owner: Option<&str>) -> bool {
        let held = self.lost.get(name);
        let is_theirs =
            held.is_some_and(|(entry, _)| owner.is_none_or(|owner| *entry.member.owner == *owner));
        is_theirs && self.lost.remove(name).is_some()
    }

    /// Those that were good last, in name order, and until when they are answered, monotonic milliseconds.
    pub fn last_good(&self, now_ms: u64) -> Option<(Vec<(&MemberName, &Entry)>, u64)> {
        let last_ms = self.lost.values().map(|(_, ended_ms)| *ended_ms).max()?.max(self.heard_ms);
        let until_ms = last_ms + LAST_GOOD_MS;
        let is_last = |entry: &Entry, ended_ms: u64| ended_ms + u64::from(entry.member.lease_ms) >= last_ms;
        let good = self.lost.iter().filter(|(_, (entry, ended_ms))| is_last(entry, *ended_ms));
        (now_ms < until_ms).then(|| (good.map(|(name, (entry, _))| (name, entry)).collect(), until_ms))
    }
}

fn is_good(member: &Member) -> bool {
    member.attributes.weight() != Some(0) && !member.drains()
}

impl PoolView {
    /// Whether those are to be answered whose leases have just ended: nobody else is fit, and they are yet to be swept.
    pub fn has_just_lost(&self, leases: &LeaseTable, now_ms: u64) -> bool {
        let is_there = |member: &MemberView| member.is_fit() && member.hold.ends_ms(leases) > now_ms;
        self.settings.on_all_down == OnAllDown::LastGood && !self.members.iter().any(is_there)
    }
}
