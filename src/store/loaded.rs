//! What a start finds in the store, and how it goes back on the roll.

use std::sync::Arc;

use super::{Compacted, names};
use crate::change::NameFloor;
use crate::membership::{
    Absence, Crowd, Drain, FOREVER_MS, Member, MemberName, NO_DRAIN, PoolHandle, Registered, Said, Signed,
    lease_end_ms,
};
use crate::zone::{Dynamic, Dynamics};

/// What a start found in the store.
#[derive(Debug)]
pub struct Loaded {
    /// This run's number: 1 for the first start, then one more each time. Members heard from now on carry it.
    pub run: u32,
    /// How many members it holds, those that do not come back included.
    pub held: u64,
    /// Who comes back, by pool.
    pub members: Vec<Returning>,
    /// Of whom something is left although they do not come back: those who were gone before, by pool, then those whose grace
    /// was over.
    pub absent: Vec<Absent>,
    /// Operators' drains that are not over, by pool.
    pub drains: Vec<Drained>,
    /// What UPDATE made of ordinary records; see [`Loaded::dynamics`].
    pub(super) dynamics: Vec<(Box<[u8]>, Dynamic)>,
    /// The newest signed messages that changed ordinary records.
    pub floors: Vec<NameFloor>,
    /// Each zone's apex in lower-case wire form, and the serial last committed.
    pub serials: Vec<(Box<[u8]>, u32)>,
    /// Members that do not come back, because their grace was over, or their own drain. The store has forgotten them, or holds
    /// them as absent.
    pub gone: usize,
    /// The format that the file had, if it was the one before this program's. It has this program's now.
    pub upgraded_from: Option<u32>,
    /// What the file was made smaller by, if it was.
    pub compacted: Option<Compacted>,
}

impl Loaded {
    /// What UPDATE made of ordinary records, with what leased ones have left of their grace from `now_ms` on.
    pub fn dynamics(&self, now_ms: u64) -> Dynamics {
        names::from_now(&self.dynamics, now_ms)
    }
}

/// A member that comes back after a restart.
#[derive(Debug)]
pub struct Returning {
    /// In which pool; members of a pool share one handle.
    pub pool: PoolHandle,
    /// Who.
    pub name: MemberName,
    /// What was registered; `heard_run` is still the run in which it was last heard.
    pub member: Member,
    /// What is left of its one grace, milliseconds; never 0. [`LEASE_FOREVER_MS`](crate::membership::LEASE_FOREVER_MS) for a
    /// permanent member: it needs none.
    pub grace_ms: u32,
    /// For how much longer its name is its owner's if nothing is heard of it, milliseconds; [`FOREVER_MS`] for always.
    pub name_left_ms: u64,
    /// The newest signed message accepted for it, as far as the store knows.
    pub floor: Option<Signed>,
    /// For how much longer it drains before it leaves, if it said so, milliseconds; never 0, and [`FOREVER_MS`] for always.
    pub drain_left_ms: Option<u64>,
}

impl Returning {
    /// It, as it goes back on the roll.
    pub fn registered(self, now_ms: u64) -> (PoolHandle, MemberName, Registered) {
        let drain_ends_ms = self.drain_left_ms.map_or(NO_DRAIN, |left_ms| ends_ms(now_ms, left_ms));
        let registered = Registered {
            member: Member { drain_ends_ms, ..self.member },
            ends_ms: lease_end_ms(now_ms, self.grace_ms),
            name_ends_ms: ends_ms(now_ms, self.name_left_ms),
            signed: self.floor,
            said: Said::Nothing,
            renews: true,
            crowd: Crowd::default(),
            restored: true,
        };
        (self.pool, self.name, registered)
    }
}

/// What is left of a member that does not come back.
#[derive(Debug, PartialEq, Eq)]
pub struct Absent {
    /// In which pool.
    pub pool: PoolHandle,
    /// Whose name.
    pub name: MemberName,
    /// The identity that had registered it.
    pub owner: Arc<str>,
    /// For how much longer the name is its owner's, milliseconds; [`FOREVER_MS`] for always.
    pub name_left_ms: u64,
    /// The newest signed message that was accepted for it.
    pub floor: Option<Signed>,
    /// For how much longer older ones are replays, milliseconds.
    pub floor_left_ms: u64,
}

impl Absent {
    /// It, as it goes back on the roll.
    pub fn absence(self, now_ms: u64) -> (PoolHandle, MemberName, Absence) {
        let absence = Absence {
            owner: self.owner,
            name_ends_ms: ends_ms(now_ms, self.name_left_ms),
            floor: self.floor,
            floor_ends_ms: now_ms.saturating_add(self.floor_left_ms),
        };
        (self.pool, self.name, absence)
    }
}

/// An operator's drain that goes on after a restart.
#[derive(Debug, PartialEq, Eq)]
pub struct Drained {
    /// In which pool.
    pub pool: PoolHandle,
    /// Which member's, whether or not it is there.
    pub name: MemberName,
    /// Who said so.
    pub by: Box<str>,
    /// Why.
    pub why: Box<str>,
    /// For how much longer, milliseconds; never 0, and [`FOREVER_MS`] for one without an end.
    pub left_ms: u64,
}

impl Drained {
    /// It, as it goes back on the roll.
    pub fn drain(self, now_ms: u64) -> (PoolHandle, MemberName, Drain) {
        let drain = Drain { by: self.by, why: self.why, ends_ms: ends_ms(now_ms, self.left_ms) };
        (self.pool, self.name, drain)
    }
}

/// When what is left is over, monotonic milliseconds.
fn ends_ms(now_ms: u64, left_ms: u64) -> u64 {
    now_ms.saturating_add(left_ms).min(FOREVER_MS)
}
