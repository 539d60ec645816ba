//! The roll: every member of every pool, and the one place where a member's life goes on.
//!
//! One thread owns it. Answers do not read it; they read the views that are published from the [`Change`]s it returns, and
//! the [`LeaseTable`] it shares with them.

mod absent;
mod together;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::absence::{Absences, higher};
use super::alike::Alike;
use super::drain::Drains;
use super::holders::Holders;
use super::known::{Digest, Terms};
use super::lease::{Begins, lease_end_ms, lease_length_ms};
use super::silence::Silence;
use super::wheel::{Timer, Wheel};
use super::{
    Cause, Change, Crowd, FOREVER_MS, LeaseRef, LeaseTable, Member, MemberName, PoolHandle, SLOTS_MAX, Said,
    Signed,
};

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

/// What a member registers.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The member.
    pub member: Member,
    /// When its lease ends, monotonic milliseconds; [`FOREVER_MS`] for a permanent member.
    pub ends_ms: u64,
    /// Until when its name is its owner's if nothing more is heard of it, monotonic milliseconds.
    pub name_ends_ms: u64,
    /// When the message was signed that registers it, if it was.
    pub signed: Option<Signed>,
    /// What it says of its load.
    pub said: Said,
    /// Whether the message registers anything: one that deletes alone renews nothing, and what was asked of the member still
    /// counts.
    pub renews: bool,
    /// With whom it is held when they fall silent together. One that is here already stays with those it is with.
    pub crowd: Crowd,
    /// Whether the store gave it back after a restart. Its floor is then what the store has.
    pub restored: bool,
}

/// How a member leaves.
#[derive(Debug, Clone, Copy)]
pub struct Leaving {
    /// Until when its name stays its owner's, monotonic milliseconds; 0 frees it.
    pub name_ends_ms: u64,
    /// When the message was signed that takes it off, if it was.
    pub signed: Option<Signed>,
}

/// A member on the roll.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What is registered.
    pub member: Arc<Member>,
    /// Its place in the lease table.
    pub lease: LeaseRef,
    /// Until when its name is its owner's if no worker has heard of it since, monotonic milliseconds.
    name_ends_ms: u64,
    /// The floor that the store has, packed. Heartbeats raise the one in the lease table and are not stored.
    stored: (u64, u64),
    /// When the timer that counts will fire; timers set for other moments are left over and ignored.
    timer_ms: u64,
}

impl Entry {
    /// When its lease ends as published, monotonic milliseconds; 0 if it is over.
    pub fn ends_ms(&self, leases: &LeaseTable) -> u64 {
        leases.ends_ms(self.lease).unwrap_or(0)
    }

    /// Until when its name is its owner's if nothing more is heard of it, monotonic milliseconds.
    pub fn name_ends_ms(&self, leases: &LeaseTable) -> u64 {
        match leases.heard_ms(self.lease) {
            0 => self.name_ends_ms,
            heard_ms => self.name_ends_ms.max(lease_end_ms(heard_ms, self.member.key_lease_ms)),
        }
    }

    /// The floor that the store has.
    fn stored(&self) -> Option<Signed> {
        Signed::unpack(self.stored)
    }

    /// How it goes when nothing more is heard of it.
    fn lapsing(&self, leases: &LeaseTable) -> Leaving {
        Leaving { name_ends_ms: self.name_ends_ms(leases), signed: None }
    }
}

/// All pools and their members.
pub struct Roll {
    leases: Arc<LeaseTable>,
    wheel: Wheel,
    pools: HashMap<PoolHandle, BTreeMap<MemberName, Entry>, RandomState>,
    /// Who holds each slot.
    holders: Holders,
    /// Slots to use again, the longest free first: a view that is still being read may name the newest.
    free: VecDeque<u32>,
    members: usize,
    members_max: usize,
    /// Names that are kept for who is not there, and floors of who is gone: as many as members may be. Past that, the next
    /// [`Roll::expire`] lets go of those that end first.
    absences: Absences,
    silence: Silence,
    drains: Drains,
    alike: Alike,
}

impl Roll {
    /// An empty roll for at most `members_max` members ([`SLOTS_MAX`] at most).
    pub fn new(members_max: usize, now_ms: u64) -> Self {
        let members_max = members_max.min(SLOTS_MAX);
        Roll {
            leases: Arc::new(LeaseTable::new(members_max)),
            wheel: Wheel::new(now_ms),
            pools: HashMap::default(),
            holders: Holders::default(),
            free: VecDeque::new(),
            members: 0,
            members_max,
            absences: Absences::new(members_max),
            silence: Silence::default(),
            drains: Drains::default(),
            alike: Alike::default(),
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

    /// The pools that have members.
    pub fn pools(&self) -> impl Iterator<Item = &PoolHandle> {
        self.pools.keys()
    }

    /// A pool's members in name order.
    pub fn members(&self, pool: &[u8]) -> impl Iterator<Item = (&MemberName, &Entry)> {
        self.pools.get(pool).into_iter().flatten()
    }

    /// Those of them whose names lie between two.
    pub fn members_within(
        &self,
        pool: &[u8],
        names: (Bound<&[u8]>, Bound<&[u8]>),
    ) -> impl Iterator<Item = (&MemberName, &Entry)> {
        self.pools.get(pool).into_iter().flat_map(move |members| members.range::<[u8], _>(names))
    }

    /// How many members a pool has.
    pub fn count(&self, pool: &[u8]) -> usize {
        self.pools.get(pool).map_or(0, BTreeMap::len)
    }

    /// Whether so many more members fit.
    pub fn room_for(&self, joining: usize) -> Result<(), RollError> {
        let fits = self.members.saturating_add(joining) <= self.members_max;
        fits.then_some(()).ok_or(RollError::Full { members_max: self.members_max })
    }

    /// Registers a member, or replaces what it had registered. A lease that runs already, its floor and its name's end move
    /// with [`Roll::move_lease`]; until then the caller makes no other change to this member.
    ///
    /// An equal member keeps its old `Arc`, so consumers can tell a bare renewal by the pointer.
    pub fn put(
        &mut self,
        pool: &PoolHandle,
        name: &[u8],
        registered: Registered,
        now_ms: u64,
    ) -> Result<Change, RollError> {
        let Some(entry) = self.pools.get_mut(pool).and_then(|members| members.get_mut(name)) else {
            return self.admit(pool, name, registered, now_ms);
        };
        let Registered { mut member, ends_ms, name_ends_ms, signed, said, renews, .. } = registered;
        let before = Arc::clone(&entry.member);
        let cause = match (before.drains(), member.drains()) {
            (false, true) => Cause::Draining,
            (true, false) => Cause::Undrained,
            _ if before.registers_otherwise(&member) => Cause::Changed,
            _ => Cause::Renewed,
        };
        if *before != member {
            self.alike.settle(&mut member);
            entry.member = Arc::new(member);
        }
        let after = Arc::clone(&entry.member);
        let held_ms = self.leases.deadline_ms(entry.lease).unwrap_or(0);
        let floor = self.leases.floor(entry.lease);
        Self::set_timer(&mut self.wheel, entry, after.first_end_ms(ends_ms));
        Ok(Change {
            ends_ms: (held_ms, ends_ms),
            floor: (floor, higher(floor, signed)),
            lease: Some(entry.lease),
            name_ends_ms,
            said,
            renews,
            ..Change::of(Arc::clone(pool), name.into(), cause, Some(before), Some(after))
        })
    }

    /// Gives a new member a slot and a timer. What was left of it while it was gone ends; the floor goes on.
    fn admit(
        &mut self,
        pool: &PoolHandle,
        name: &[u8],
        registered: Registered,
        now_ms: u64,
    ) -> Result<Change, RollError> {
        self.room_for(1)?;
        let Registered { mut member, ends_ms, name_ends_ms, signed, said, restored, crowd, .. } = registered;
        let left = self.absences.get(pool, name).and_then(|absence| absence.floor(now_ms));
        let floor = higher(left, signed);
        // A freed slot rests until 1,024 others are free too, unless there is no other.
        let slot = match self.free.len() {
            1024.. => self.free.pop_front(),
            _ if self.holders.slots() < SLOTS_MAX => None,
            _ => self.free.pop_front(),
        };
        let slot = slot.unwrap_or(self.holders.slots() as u32);
        let full = RollError::Full { members_max: self.members_max };
        // One that was restored was here before this server was: it is no newcomer.
        let joined_ms = if restored { 0 } else { now_ms };
        let lease_ms = lease_length_ms(now_ms, ends_ms);
        let begins = Begins { ends_ms, lease_ms, crowd, floor, joined_ms };
        let lease = self.leases.start(slot, &begins).ok_or(full)?;
        // Nobody reads it before it is published, and a first word is not smoothed.
        self.leases.say(lease, said, now_ms, 0);
        self.holders.give(slot, (Arc::clone(pool), name.into()));
        let absence = self.absences.take(pool, name);
        self.alike.settle(&mut member);
        let member = Arc::new(member);
        let after = Some(Arc::clone(&member));
        let mut entry =
            Entry { member, lease, name_ends_ms, stored: Signed::pack(floor), timer_ms: u64::MAX };
        let at_ms = entry.member.first_end_ms(ends_ms);
        Self::set_timer(&mut self.wheel, &mut entry, at_ms);
        self.insert(pool, name, entry);
        self.tidy_wheel();
        let cause = if restored { Cause::Restored } else { Cause::Joined };
        Ok(Change {
            ends_ms: (0, ends_ms),
            absence: (absence, None),
            floor: (None, floor),
            ..Change::of(Arc::clone(pool), name.into(), cause, None, after)
        })
    }

    fn insert(&mut self, pool: &PoolHandle, name: &[u8], entry: Entry) {
        self.pools.entry(Arc::clone(pool)).or_default().insert(name.into(), entry);
        self.members += 1;
    }

    /// Makes sure that the wheel looks at the entry at `at_ms` or earlier. What never ends is never looked at.
    fn set_timer(wheel: &mut Wheel, entry: &mut Entry, at_ms: u64) {
        if at_ms < entry.timer_ms.min(FOREVER_MS) {
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

    /// Takes a member off the roll because it left. Its lease is answered from until [`Roll::release`], unless it is over.
    pub fn remove(&mut self, pool: &[u8], name: &[u8], leaving: Leaving, now_ms: u64) -> Option<Change> {
        self.depart(pool, name, Cause::Deregistered, leaving, now_ms)
    }

    /// Takes a member off the roll, and keeps its name and its floor for as long as they last.
    fn depart(
        &mut self,
        pool: &[u8],
        name: &[u8],
        cause: Cause,
        leaving: Leaving,
        now_ms: u64,
    ) -> Option<Change> {
        let (pool, name, entry) = self.take_off(pool, name)?;
        let absence = Arc::new(self.absence_of(&entry, leaving, now_ms));
        let absence = (absence.ends_ms() > now_ms).then_some(absence);
        if let Some(absence) = &absence {
            self.absences.insert(&pool, &name, Arc::clone(absence));
        }
        Some(Change {
            ends_ms: (entry.ends_ms(&self.leases), 0),
            absence: (None, absence),
            floor: (self.leases.floor(entry.lease), None),
            departed: Some(entry.clone()),
            ..Change::of(pool, name, cause, Some(entry.member), None)
        })
    }

    fn take_off(&mut self, pool: &[u8], name: &[u8]) -> Option<(PoolHandle, MemberName, Entry)> {
        let (handle, _) = self.pools.get_key_value(pool)?;
        let handle = Arc::clone(handle);
        let members = self.pools.get_mut(pool)?;
        let (name, entry) = members.remove_entry(name)?;
        if members.is_empty() {
            self.pools.remove(pool);
        }
        self.members -= 1;
        Some((handle, name, entry))
    }

    /// Moves a change's lease to its new end, its floor up, its name's end with it, and takes in what it says of the member's
    /// load. Before the view is made: a view's bound may be early, never late. Whether the member stands otherwise now among
    /// others that are ranked by load.
    pub fn move_lease(&mut self, change: &Change, now_ms: u64, load_half_life_ms: u32) -> bool {
        let (before_ms, after_ms) = change.ends_ms;
        let Some(lease) = change.lease else { return false };
        self.leases.forget(lease);
        let is_other = self.leases.say(lease, change.said, now_ms, load_half_life_ms);
        let is_forgotten = change.renews && self.leases.picks(lease) > 0;
        if is_forgotten {
            self.leases.forget_picks(lease);
        }
        if let Some(floor) = change.floor.1 {
            self.leases.raise(lease, floor);
        }
        self.leases.set(lease, before_ms, after_ms, lease_length_ms(now_ms, after_ms));
        let entry = self.pools.get_mut(&change.pool).and_then(|members| members.get_mut(&change.name));
        if let Some(entry) = entry.filter(|entry| entry.lease == lease) {
            entry.name_ends_ms = change.name_ends_ms;
            if change.is_durable() {
                entry.stored = Signed::pack(change.floor.1);
            }
            // Its timer may have been set anew meanwhile, for the end that the lease had.
            let at_ms = entry.member.first_end_ms(entry.ends_ms(&self.leases));
            Self::set_timer(&mut self.wheel, entry, at_ms);
        }
        is_forgotten || is_other
    }

    /// Lets workers renew a member's lease by heartbeats of this digest. Only a member of which nothing lapses before its lease
    /// ends, and of which the store is right.
    pub fn remember(&self, pool: &[u8], name: &[u8], digest: Digest, terms: Terms) {
        if let Some(entry) = self.find(pool, name) {
            self.leases.remember(entry.lease, digest, terms);
        }
    }

    /// Has a member's next heartbeat go to the registrar.
    pub fn forget_heartbeat(&self, pool: &[u8], name: &[u8]) {
        if let Some(entry) = self.find(pool, name) {
            self.leases.forget(entry.lease);
        }
    }

    /// The pools whose members stand otherwise since the last time, by heartbeats that workers took: a pool for each of them.
    pub fn take_marks(&self, mut see: impl FnMut(&PoolHandle)) {
        self.leases.take_marks(|slot| {
            if let Some((pool, _)) = self.holders.get(slot) {
                see(pool);
            }
        });
    }

    /// Ends the lease of a member that is gone, and frees its slot. After the view is in place that lacks it.
    pub fn release(&mut self, change: &Change) {
        if let Some(entry) = &change.departed {
            self.free_slot(entry.lease);
        }
    }

    fn free_slot(&mut self, lease: LeaseRef) {
        self.leases.end(lease);
        self.holders.take(lease.slot);
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
            if entry.member.ends_ms(ends_ms) <= now_ms {
                // A heartbeat may renew the lease right now, in another thread. One of us wins.
                if ends_ms <= now_ms && self.leases.expire(entry.lease, now_ms).is_err() {
                    continue;
                }
                // A late tick may find both over: what was over first is why.
                let is_drained = entry.member.drain_ends_ms <= entry.member.lapses_ms().min(ends_ms);
                let cause = if is_drained { Cause::Drained } else { Cause::Expired };
                let leaving = entry.lapsing(&self.leases);
                return self.depart(pool, name, cause, leaving, now_ms);
            }
            self.leases.forget(entry.lease);
            let rest = Arc::new(entry.member.without_lapsed(now_ms));
            let before = std::mem::replace(&mut entry.member, Arc::clone(&rest));
            let floor = self.leases.floor(entry.lease);
            let (handle, _) = self.pools.get_key_value(pool)?;
            return Some(Change {
                ends_ms: (ends_ms, ends_ms),
                floor: (floor, floor),
                ..Change::of(Arc::clone(handle), name.into(), Cause::Lapsed, Some(before), Some(rest))
            });
        }
    }

    /// Expires what is due at `now_ms`, looking at no more than `limit` timers and absences. Called again until it looks at
    /// fewer.
    pub fn expire(&mut self, now_ms: u64, limit: usize) -> (Vec<Change>, usize) {
        let timers = self.wheel.due(now_ms, limit);
        let looked_at = timers.len();
        let mut changes = Vec::new();
        for timer in timers {
            let Some((pool, name)) = self.holders.get(timer.lease.slot) else { continue };
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
        let released = self.let_go(now_ms, limit.saturating_sub(looked_at));
        let looked_at = looked_at + released.len();
        changes.extend(released);
        (changes, looked_at)
    }

    /// Takes a change back that could not be committed, and was neither published nor released.
    pub fn undo(&mut self, change: &Change) {
        let Change { pool, name, before, after, departed, .. } = change;
        match (before, departed) {
            (None, _) => {
                if after.is_some()
                    && let Some((_, _, entry)) = self.take_off(pool, name)
                {
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
                    // The store may have what is taken back: until it knows better, a heartbeat has to wait for it.
                    self.leases.forget(entry.lease);
                    let at_ms = before.first_end_ms(entry.ends_ms(&self.leases));
                    Self::set_timer(&mut self.wheel, entry, at_ms);
                }
            }
        }
        match &change.absence {
            (Some(before), _) => self.absences.insert(pool, name, Arc::clone(before)),
            (None, Some(_)) => _ = self.absences.take(pool, name),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
mod tests;
