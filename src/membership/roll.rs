//! The roll: every member of every pool, and the one place where a member's life goes on.
//!
//! One thread owns it. Answers do not read it; they read the views that are published from the [`Change`]s it returns, and
//! the [`LeaseTable`] it shares with them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::wheel::{Timer, Wheel};
use super::{Cause, Change, LeaseRef, LeaseTable, Member, MemberName, PoolHandle, SLOTS_MAX};

/// Timers left over that the wheel may hold beside those of members.
const TIMERS_SPARE: usize = 65_536;

/// Why a member could not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RollError {
    /// The server holds as many members as it may.
    #[error("the server holds its limit of {members_max} members; raise `limits.members` in rollcall.toml")]
    Full {
        /// The limit.
        members_max: usize,
    },
}

/// A member on the roll.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What is registered.
    pub member: Arc<Member>,
    /// Its place in the lease table.
    pub lease: LeaseRef,
    /// When the timer that counts will fire; timers set for other moments are left over and ignored.
    timer_ms: u64,
}

impl Entry {
    /// When its lease ends as published, monotonic milliseconds; 0 if it is over.
    pub fn ends_ms(&self, leases: &LeaseTable) -> u64 {
        leases.ends_ms(self.lease).unwrap_or(0)
    }
}

/// All pools and their members.
pub struct Roll {
    leases: Arc<LeaseTable>,
    wheel: Wheel,
    pools: HashMap<PoolHandle, BTreeMap<MemberName, Entry>, RandomState>,
    /// Who holds each slot.
    holders: Vec<Option<(PoolHandle, MemberName)>>,
    /// Slots to use again, the longest free first: a view that is still being read may name the newest.
    free: VecDeque<u32>,
    members: usize,
    members_max: usize,
}

impl Roll {
    /// An empty roll for at most `members_max` members ([`SLOTS_MAX`] at most).
    pub fn new(members_max: usize, now_ms: u64) -> Self {
        Roll {
            leases: Arc::new(LeaseTable::default()),
            wheel: Wheel::new(now_ms),
            pools: HashMap::default(),
            holders: Vec::new(),
            free: VecDeque::new(),
            members: 0,
            members_max: members_max.min(SLOTS_MAX),
        }
    }

    /// The leases, for those who answer.
    pub fn leases(&self) -> &Arc<LeaseTable> {
        &self.leases
    }

    /// Members in all pools.
    pub fn len(&self) -> usize {
        self.members
    }

    /// Whether no pool has a member.
    pub fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// A member, whether or not its lease is due.
    pub fn find(&self, pool: &[u8], name: &[u8]) -> Option<&Entry> {
        self.pools.get(pool)?.get(name)
    }

    /// A pool's members in name order.
    pub fn members(&self, pool: &[u8]) -> impl Iterator<Item = (&MemberName, &Entry)> {
        self.pools.get(pool).into_iter().flatten()
    }

    /// Whether so many more members fit.
    pub fn room_for(&self, joining: usize) -> Result<(), RollError> {
        let fits = self.members.saturating_add(joining) <= self.members_max;
        fits.then_some(()).ok_or(RollError::Full { members_max: self.members_max })
    }

    /// Registers a member, or replaces what it had registered, with a lease that ends at `ends_ms`. A lease that runs already
    /// moves with [`Roll::move_lease`]; until then the caller makes no other change to this member.
    ///
    /// An equal member keeps its old `Arc`, so consumers can tell a bare renewal by the pointer.
    pub fn put(
        &mut self,
        pool: &PoolHandle,
        name: &[u8],
        member: Member,
        ends_ms: u64,
        restored: bool,
    ) -> Result<Change, RollError> {
        let Some(entry) = self.pools.get_mut(pool).and_then(|members| members.get_mut(name)) else {
            let after = self.admit(pool, name, Arc::new(member), ends_ms)?;
            let cause = if restored { Cause::Restored } else { Cause::Joined };
            let after = Some(after);
            let (pool, name) = (Arc::clone(pool), name.into());
            let ends_ms = (0, ends_ms);
            return Ok(Change {
                pool,
                name,
                cause,
                before: None,
                after,
                ends_ms,
                lease: None,
                departed: None,
            });
        };
        let before = Arc::clone(&entry.member);
        let cause = if before.registers_otherwise(&member) { Cause::Changed } else { Cause::Renewed };
        if *before != member {
            entry.member = Arc::new(member);
        }
        let after = Arc::clone(&entry.member);
        let held_ms = entry.ends_ms(&self.leases);
        Self::set_timer(&mut self.wheel, entry, after.first_end_ms(ends_ms));
        Ok(Change {
            pool: Arc::clone(pool),
            name: name.into(),
            cause,
            before: Some(before),
            after: Some(after),
            ends_ms: (held_ms, ends_ms),
            lease: Some(entry.lease),
            departed: None,
        })
    }

    /// Gives a new member a slot and a timer.
    fn admit(
        &mut self,
        pool: &PoolHandle,
        name: &[u8],
        member: Arc<Member>,
        ends_ms: u64,
    ) -> Result<Arc<Member>, RollError> {
        self.room_for(1)?;
        // A freed slot rests until 1,024 others are free too, unless there is no other.
        let slot = match self.free.len() {
            1024.. => self.free.pop_front(),
            _ if self.holders.len() < SLOTS_MAX => None,
            _ => self.free.pop_front(),
        };
        let slot = slot.unwrap_or(self.holders.len() as u32);
        let full = RollError::Full { members_max: self.members_max };
        let lease = self.leases.start(slot, ends_ms).ok_or(full)?;
        let holder = Some((Arc::clone(pool), name.into()));
        match self.holders.get_mut(slot as usize) {
            Some(place) => *place = holder,
            None => self.holders.push(holder),
        }
        let mut entry = Entry { member: Arc::clone(&member), lease, timer_ms: u64::MAX };
        Self::set_timer(&mut self.wheel, &mut entry, member.first_end_ms(ends_ms));
        self.insert(pool, name, entry);
        self.tidy_wheel();
        Ok(member)
    }

    fn insert(&mut self, pool: &PoolHandle, name: &[u8], entry: Entry) {
        self.pools.entry(Arc::clone(pool)).or_default().insert(name.into(), entry);
        self.members += 1;
    }

    /// Makes sure that the wheel looks at the entry at `at_ms` or earlier.
    fn set_timer(wheel: &mut Wheel, entry: &mut Entry, at_ms: u64) {
        if at_ms < entry.timer_ms {
            entry.timer_ms = at_ms;
            wheel.set(Timer { lease: entry.lease, at_ms });
        }
    }

    /// Sets all timers anew once those left over outnumber the members: constant cost a join, and a wheel that is bounded
    /// by the members however many come and go.
    fn tidy_wheel(&mut self) {
        if self.wheel.len() <= 2 * self.members + TIMERS_SPARE {
            return;
        }
        self.wheel.clear();
        for entry in self.pools.values_mut().flat_map(BTreeMap::values_mut) {
            entry.timer_ms = u64::MAX;
            let ends_ms = entry.ends_ms(&self.leases);
            let at_ms = entry.member.first_end_ms(ends_ms);
            Self::set_timer(&mut self.wheel, entry, at_ms);
        }
    }

    /// Takes a member off the roll. Its lease is answered from until [`Roll::release`], unless it is over.
    pub fn remove(&mut self, pool: &[u8], name: &[u8], cause: Cause) -> Option<Change> {
        let (handle, _) = self.pools.get_key_value(pool)?;
        let handle = Arc::clone(handle);
        let members = self.pools.get_mut(pool)?;
        let (name, entry) = members.remove_entry(name)?;
        if members.is_empty() {
            self.pools.remove(pool);
        }
        self.members -= 1;
        Some(Change {
            pool: handle,
            name,
            cause,
            before: Some(Arc::clone(&entry.member)),
            after: None,
            ends_ms: (entry.ends_ms(&self.leases), 0),
            lease: None,
            departed: Some(entry),
        })
    }

    /// Moves a change's lease to its new end. Before the view is made: a view's bound may be early, never late.
    pub fn move_lease(&mut self, change: &Change) {
        let (before_ms, after_ms) = change.ends_ms;
        let Some(lease) = change.lease else { return };
        self.leases.set(lease, before_ms, after_ms);
        let entry = self.pools.get_mut(&change.pool).and_then(|members| members.get_mut(&change.name));
        if let Some(entry) = entry.filter(|entry| entry.lease == lease) {
            // Its timer may have been set anew meanwhile, for the end that the lease had.
            let at_ms = entry.member.first_end_ms(entry.ends_ms(&self.leases));
            Self::set_timer(&mut self.wheel, entry, at_ms);
        }
    }

    /// Ends the lease of a member that is gone, and frees its slot. After the view is in place that lacks it.
    pub fn release(&mut self, change: &Change) {
        if let Some(entry) = &change.departed {
            self.free_slot(entry.lease);
        }
    }

    fn free_slot(&mut self, lease: LeaseRef) {
        self.leases.end(lease);
        if let Some(holder) = self.holders.get_mut(lease.slot as usize) {
            *holder = None;
        }
        self.free.push_back(lease.slot);
    }

    /// Brings one member up to date: what is due at `now_ms` goes. Exact, whatever the wheel has got to: the registrar
    /// calls it before it judges a message, so that nobody renews a lease which is over.
    pub fn settle(&mut self, pool: &[u8], name: &[u8], now_ms: u64) -> Option<Change> {
        loop {
            let entry = self.pools.get_mut(pool)?.get_mut(name)?;
            let ends_ms = entry.ends_ms(&self.leases);
            if entry.member.first_end_ms(ends_ms) > now_ms {
                return None;
            }
            if ends_ms <= now_ms {
                // A heartbeat may renew the lease right now, in another thread. One of us wins.
                if self.leases.expire(entry.lease, now_ms).is_err() {
                    continue;
                }
                return self.remove(pool, name, Cause::Expired);
            }
            if entry.member.ends_ms(ends_ms) <= now_ms {
                return self.remove(pool, name, Cause::Expired);
            }
            let rest = Arc::new(entry.member.without_lapsed(now_ms));
            let before = std::mem::replace(&mut entry.member, Arc::clone(&rest));
            let (handle, _) = self.pools.get_key_value(pool)?;
            return Some(Change {
                pool: Arc::clone(handle),
                name: name.into(),
                cause: Cause::Lapsed,
                before: Some(before),
                after: Some(rest),
                ends_ms: (ends_ms, ends_ms),
                lease: None,
                departed: None,
            });
        }
    }

    /// Expires what is due at `now_ms`, looking at no more than `limit` timers. Called again until it looks at fewer.
    pub fn expire(&mut self, now_ms: u64, limit: usize) -> (Vec<Change>, usize) {
        let timers = self.wheel.due(now_ms, limit);
        let looked_at = timers.len();
        let mut changes = Vec::new();
        for timer in timers {
            let Some(Some((pool, name))) = self.holders.get(timer.lease.slot as usize) else { continue };
            let (pool, name) = (Arc::clone(pool), name.clone());
            if self
                .find(&pool, &name)
                .is_none_or(|entry| entry.lease != timer.lease || entry.timer_ms != timer.at_ms)
            {
                continue;
            }
            changes.extend(self.settle(&pool, &name, now_ms));
            if let Some(entry) = self.pools.get_mut(&pool).and_then(|members| members.get_mut(&name)) {
                let ends_ms = entry.ends_ms(&self.leases);
                entry.timer_ms = u64::MAX;
                let at_ms = entry.member.first_end_ms(ends_ms);
                Self::set_timer(&mut self.wheel, entry, at_ms);
            }
        }
        (changes, looked_at)
    }

    /// Takes a change back that could not be committed, and was neither published nor released.
    pub fn undo(&mut self, change: &Change) {
        let Change { pool, name, before, departed, .. } = change;
        match (before, departed) {
            (None, _) => {
                if let Some(Change { departed: Some(entry), .. }) = self.remove(pool, name, change.cause) {
                    self.free_slot(entry.lease);
                }
            }
            (Some(_), Some(entry)) => {
                let mut entry = entry.clone();
                // Its timer may have been cleared meanwhile.
                entry.timer_ms = u64::MAX;
                let at_ms = entry.member.first_end_ms(entry.ends_ms(&self.leases));
                Self::set_timer(&mut self.wheel, &mut entry, at_ms);
                self.insert(pool, name, entry);
            }
            (Some(before), None) => {
                if let Some(entry) = self.pools.get_mut(pool).and_then(|members| members.get_mut(name)) {
                    entry.member = Arc::clone(before);
                    let at_ms = before.first_end_ms(entry.ends_ms(&self.leases));
                    Self::set_timer(&mut self.wheel, entry, at_ms);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::super::{Address, Attributes, FOLLOWS_LEASE};
    use super::*;

    fn member(ips: &[(u8, u64)]) -> Member {
        Member {
            owner: "key".into(),
            lease_ms: 30_000,
            own_ttl_s: 5,
            heard_run: 1,
            addresses: ips
                .iter()
                .map(|&(last, lapses_ms)| Address {
                    ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
                    lapses_ms,
                })
                .collect(),
            services: Vec::new(),
            attributes: Attributes::default(),
        }
    }

    fn causes(changes: &[Change]) -> Vec<Cause> {
        changes.iter().map(|change| change.cause).collect()
    }

    #[test]
    fn a_life_from_joining_to_silence() {
        let mut roll = Roll::new(10, 0);
        let pool: PoolHandle = Arc::from(*b"web");
        let joined = roll.put(&pool, b"m1", member(&[(1, FOLLOWS_LEASE)]), 30_000, false).unwrap();
        assert_eq!((joined.cause, roll.len()), (Cause::Joined, 1));
        let renewed = roll.put(&pool, b"m1", member(&[(1, FOLLOWS_LEASE)]), 40_000, false).unwrap();
        roll.move_lease(&renewed);
        assert_eq!(renewed.cause, Cause::Renewed);
        assert!(!renewed.is_durable() && !renewed.is_visible() && !renewed.reshapes());
        assert!(roll.expire(39_990, 100).0.is_empty(), "the first timer fires and is set again");
        assert_eq!(causes(&roll.expire(40_008, 100).0), [Cause::Expired]);
        assert!(roll.is_empty() && roll.find(&pool, b"m1").is_none());
    }

    #[test]
    fn settling_is_exact_where_the_wheel_is_not() {
        let mut roll = Roll::new(10, 0);
        let pool: PoolHandle = Arc::from(*b"web");
        roll.put(&pool, b"m1", member(&[(1, FOLLOWS_LEASE)]), 30_001, false).unwrap();
        assert!(roll.settle(&pool, b"m1", 30_000).is_none());
        assert_eq!(roll.settle(&pool, b"m1", 30_001).unwrap().cause, Cause::Expired);
    }

    #[test]
    fn an_address_left_out_of_heartbeats_lapses_and_the_last_one_takes_the_member_along() {
        let mut roll = Roll::new(10, 0);
        let pool: PoolHandle = Arc::from(*b"web");
        let both = member(&[(1, 20_000), (2, FOLLOWS_LEASE)]);
        roll.put(&pool, b"m1", both, 50_000, false).unwrap();
        let (changes, _) = roll.expire(20_000, 100);
        assert_eq!(causes(&changes), [Cause::Lapsed]);
        assert_eq!(changes[0].after.as_ref().unwrap().addresses.len(), 1);
        roll.put(&pool, b"m1", member(&[(2, 60_000)]), 90_000, false).unwrap();
        assert_eq!(causes(&roll.expire(60_000, 100).0), [Cause::Expired], "the lease ran on, for nothing");
    }

    #[test]
    fn what_could_not_be_committed_is_taken_back() {
        let mut roll = Roll::new(10, 0);
        let pool: PoolHandle = Arc::from(*b"web");
        roll.put(&pool, b"m1", member(&[(1, FOLLOWS_LEASE)]), 30_000, false).unwrap();
        let changed = roll.put(&pool, b"m1", member(&[(2, FOLLOWS_LEASE)]), 60_000, false).unwrap();
        roll.undo(&changed);
        let left = roll.remove(&pool, b"m1", Cause::Deregistered).unwrap();
        let joined = roll.put(&pool, b"m2", member(&[(3, FOLLOWS_LEASE)]), 60_000, false).unwrap();
        roll.wheel.clear();
        [&joined, &left].into_iter().for_each(|change| roll.undo(change));
        assert_eq!(roll.len(), 1);
        let entry = roll.find(&pool, b"m1").unwrap();
        assert_eq!(entry.member.addresses, member(&[(1, FOLLOWS_LEASE)]).addresses);
        assert_eq!(entry.ends_ms(roll.leases()), 30_000);
        assert_eq!(causes(&roll.expire(30_008, 100).0), [Cause::Expired]);
    }

    #[test]
    fn who_left_is_answered_until_that_is_published() {
        let mut roll = Roll::new(10, 0);
        let pool: PoolHandle = Arc::from(*b"web");
        roll.put(&pool, b"m1", member(&[(1, FOLLOWS_LEASE)]), 30_000, false).unwrap();
        let lease = roll.find(&pool, b"m1").unwrap().lease;
        let renewed = roll.put(&pool, b"m1", member(&[(1, FOLLOWS_LEASE)]), 20_000, false).unwrap();
        assert!(renewed.reshapes(), "a lease that ends sooner makes the view's bound late");
        assert_eq!(roll.leases().ends_ms(lease), Some(30_000));
        roll.move_lease(&renewed);
        assert_eq!(roll.leases().ends_ms(lease), Some(20_000));
        let left = roll.remove(&pool, b"m1", Cause::Deregistered).unwrap();
        assert_eq!(roll.leases().ends_ms(lease), Some(20_000));
        roll.release(&left);
        assert_eq!(roll.leases().ends_ms(lease), None);
    }

    #[test]
    fn a_lease_that_is_cut_is_swept_in_time_though_the_wheel_was_tidied() {
        let mut roll = Roll::new(10, 0);
        let pool: PoolHandle = Arc::from(*b"web");
        roll.put(&pool, b"m1", member(&[(1, FOLLOWS_LEASE)]), 3_600_000, false).unwrap();
        let cut = roll.put(&pool, b"m1", member(&[(1, FOLLOWS_LEASE)]), 30_000, false).unwrap();
        // What tidying does: timers are set anew, for the ends that the lease table has.
        roll.wheel.clear();
        roll.pools.get_mut(&pool).unwrap().get_mut(&b"m1"[..]).unwrap().timer_ms = 3_600_000;
        roll.move_lease(&cut);
        assert_eq!(causes(&roll.expire(30_008, 100).0), [Cause::Expired]);
    }

    #[test]
    fn members_who_come_and_go_leave_no_timers_behind() {
        let mut roll = Roll::new(10, 0);
        let pool: PoolHandle = Arc::from(*b"web");
        roll.put(&pool, b"stays", member(&[(1, FOLLOWS_LEASE)]), 30_000, false).unwrap();
        for _ in 0..2 * TIMERS_SPARE {
            roll.put(&pool, b"m1", member(&[(2, FOLLOWS_LEASE)]), 3_600_000, false).unwrap();
            let left = roll.remove(&pool, b"m1", Cause::Deregistered).unwrap();
            roll.release(&left);
        }
        assert!(roll.wheel.len() <= 2 * roll.len() + TIMERS_SPARE + 2);
        assert!(roll.holders.len() <= 1_100, "slots are used again");
        assert_eq!(causes(&roll.expire(30_008, usize::MAX).0), [Cause::Expired]);
    }

    #[test]
    fn the_limit_holds() {
        let mut roll = Roll::new(1, 0);
        let pool: PoolHandle = Arc::from(*b"web");
        roll.put(&pool, b"m1", member(&[(1, FOLLOWS_LEASE)]), 30_000, false).unwrap();
        let refused = roll.put(&pool, b"m2", member(&[(2, FOLLOWS_LEASE)]), 30_000, false);
        assert_eq!(refused.unwrap_err(), RollError::Full { members_max: 1 });
    }
}
