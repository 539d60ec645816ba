//! Who was good last: what a pool answers with `last-good` when nobody fit is left.
//!
//! Remembered are members whose leases ran out, each for as long as it may be answered. Who left by its own word, or drained,
//! is not: it is gone. Of those remembered, the last good ones are all whose leases ended within one lease of the moment at which
//! the last good one's ended, or was heard and left: they were good together when the trouble began.
//!
//! Until they are swept, those whose leases have just ended are in the pool's own view, which then answers for them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{LAST_GOOD_MS, OnAllDown};
use super::PoolView;
use crate::membership::{Cause, Change, Entry, LeaseTable, Member, MemberName};

/// Members that are remembered of a pool, at most; past that, those that were lost first are forgotten.
const REMEMBERED_MAX: usize = 4096;

/// Members of a pool that were lost.
#[derive(Default, Clone)]
pub(in crate::zone) struct Remembered {
    /// What they had registered, and when that ended, monotonic milliseconds.
    lost: BTreeMap<MemberName, (Entry, u64)>,
    /// The same in the order in which they ended: a mass of expiries costs no more each than one.
    ends: BTreeSet<(u64, MemberName)>,
    /// When somebody good was last heard, monotonic milliseconds.
    heard_ms: u64,
}

impl Remembered {
    /// Notes what became of a member at `now_ms`. One that an operator drains is as good as gone.
    pub fn note(&mut self, change: &Change, is_drained: bool, now_ms: u64) {
        let is_good = |member: &Member| !is_drained && is_good(member);
        match (change.cause, change.departed()) {
            (Cause::Expired, Some(entry)) if is_good(&entry.member) => {
                self.remove(&change.name);
                while let Some((ended_ms, first)) = self.ends.first()
                    && (self.lost.len() >= REMEMBERED_MAX || *ended_ms + LAST_GOOD_MS <= now_ms)
                {
                    let first = first.clone();
                    self.remove(&first);
                }
                self.ends.insert((now_ms, change.name.clone()));
                self.lost.insert(change.name.clone(), (entry.clone(), now_ms));
            }
            (Cause::Released | Cause::Lapsed, _) => {}
            _ => {
                self.remove(&change.name);
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
        is_theirs && self.remove(name)
    }

    fn remove(&mut self, name: &[u8]) -> bool {
        let removed = self.lost.remove_entry(name);
        removed.is_some_and(|(name, (_, ended_ms))| self.ends.remove(&(ended_ms, name)))
    }

    /// Those that were good last, in name order, and until when they are answered, monotonic milliseconds.
    pub fn last_good(&self, now_ms: u64) -> Option<(Vec<(&MemberName, &Entry)>, u64)> {
        let last_ms = self.ends.last().map(|(ended_ms, _)| *ended_ms)?.max(self.heard_ms);
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
        self.settings.on_all_down == OnAllDown::LastGood
            && !self.members().any(|member| member.is_fit() && member.hold().ends_ms(leases) > now_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::membership::{Attributes, Crowd, LEASE_FOREVER_MS, List, NO_DRAIN, Registered, Roll, Said};

    fn member() -> Member {
        Member {
            owner: "o".into(),
            lease_ms: 30_000,
            key_lease_ms: 0,
            own_ttl_s: 5,
            heard_run: 1,
            addresses: vec![crate::membership::Address {
                ip: std::net::Ipv4Addr::LOCALHOST.into(),
                lapses_ms: crate::membership::FOLLOWS_LEASE,
            }],
            services: List::default(),
            bindings: List::default(),
            attributes: Attributes::default(),
            drain_ends_ms: NO_DRAIN,
        }
    }

    /// Members m0 to m(n-1) that expire at 30 s, as changes.
    fn expired(count: usize) -> Vec<Change> {
        let mut roll = Roll::new(LEASE_FOREVER_MS as usize, 0);
        let pool = Arc::from(*b"web");
        for m in 0..count {
            let registered = Registered {
                member: member(),
                ends_ms: 30_000,
                name_ends_ms: 0,
                signed: None,
                said: Said::Nothing,
                renews: true,
                crowd: Crowd::default(),
                restored: false,
            };
            roll.put(&pool, format!("m{m}").as_bytes(), registered, 0).unwrap();
        }
        roll.expire(30_000, usize::MAX).0
    }

    #[test]
    fn a_mass_is_remembered_within_its_limit_and_its_time() {
        let changes = expired(REMEMBERED_MAX + 10);
        let mut remembered = Remembered::default();
        for (change, now_ms) in changes.iter().zip(30_000..) {
            remembered.note(change, false, now_ms);
        }
        assert_eq!((remembered.lost.len(), remembered.ends.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!remembered.forget(&changes[0].name, None), "lost first, forgotten first");
        assert!(
            !remembered.forget(&changes[20].name, Some("x")) && remembered.forget(&changes[20].name, None)
        );
        let late_ms = 30_000 + LAST_GOOD_MS + 2_000_000;
        assert!(remembered.last_good(late_ms).is_none());
        remembered.note(&changes[0], false, late_ms);
        assert_eq!((remembered.lost.len(), remembered.ends.len()), (1, 1), "what is over makes room");
        remembered.note(&changes[0], false, late_ms + 1);
        assert_eq!((remembered.lost.len(), remembered.ends.len()), (1, 1), "once");
    }
}
