//! Mass silence: when most of a zone's members fall silent at once, the trouble is ours and not theirs.
//!
//! A network that is cut looks to the server like everybody dying in the same minute. So leases of a *crowd*, the members of
//! one zone, are watched: each is silent once two thirds of it have gone by without a renewal. When over half of a crowd is
//! silent, and ten at least, what is over is held: [`LeaseTable::ends_ms`] then says that it ends in two seconds, again and
//! again, which makes every TTL with it 1. Deadlines do not move, so a renewal shows as one, and who leaves, leaves.
//!
//! ```text
//!            over half silent, ten at least
//!   quiet ------------------------------------> held
//!     ^   half at most; then one lease more,      |
//!     |<-- 60 s at most, for those still silent --'   freeze_max is over
//!     |                                           '--------------------> spent
//!     '-- half at most -------------------------------------------------'
//! ```
//!
//! It clears itself: whoever renews is silent no more, whoever leaves is counted no more, and `freeze_max` ends it in any
//! case, once. Who is silent when the silent share has fallen gets the time of one lease to be heard, as after a restart:
//! the network is back for everybody, but heartbeats come when they are due.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Crowd, LEASE_FOREVER_MS, LeaseTable};

/// Fewer silent members than this are no mass.
pub const MASS_MIN: u32 = 10;
/// All leases are looked at once in so many ticks: with a tick every 50 ms, twice and more in the last third of the shortest
/// lease of 2 s.
const CYCLE_TICKS: usize = 6;
/// Slots looked at in a tick at least.
const SLICE_MIN: usize = 4096;
/// How far ahead a hold is renewed at each tick, milliseconds: a TTL of 1 is what is left for up to a second.
const AHEAD_MS: u64 = 1_999;
/// The longest that who is still silent is waited for once the others are back, milliseconds: the longest grace of a restart.
const WAIT_MS_MAX: u32 = 60_000;

/// Why a hold is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifted {
    /// Half of the crowd at most is silent now.
    Heard,
    /// It has lasted for as long as it may.
    TooLong,
}

/// What became of a crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Its leases are held from now on.
    Began,
    /// They are held no more; they were for so long, milliseconds.
    Ended(Lifted, u64),
}

/// What became of a crowd, and how many of it there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldChange {
    /// Whose leases.
    pub crowd: Crowd,
    /// What became of them.
    pub hold: Hold,
    /// Of it, members with a lease, and those that are silent.
    pub count: Count,
}

/// How many of a crowd there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// With a lease.
    pub leased: u32,
    /// Of these, unheard for two thirds of it.
    pub silent: u32,
    /// The longest lease of a silent one, milliseconds.
    wait_ms: u32,
}

impl Count {
    fn add(&mut self, ends_ms: u64, lease_ms: u32, now_ms: u64) {
        if lease_ms == LEASE_FOREVER_MS {
            return;
        }
        self.leased += 1;
        if now_ms.saturating_add(u64::from(lease_ms / 3)) >= ends_ms {
            self.silent += 1;
            self.wait_ms = self.wait_ms.max(lease_ms.min(WAIT_MS_MAX));
        }
    }

    fn is_mass(&self) -> bool {
        self.silent >= MASS_MIN && u64::from(self.silent) * 2 > u64::from(self.leased)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Quiet,
    Held {
        since_ms: u64,
        /// Until when those still silent are waited for, once the silent share has fallen.
        waits_until_ms: Option<u64>,
    },
    Spent,
}

#[derive(Debug)]
struct Watch {
    freeze_max_ms: u32,
    state: State,
    /// As of the last whole look.
    count: Count,
}

/// The crowds of a server.
#[derive(Default)]
pub(super) struct Silence {
    crowds: HashMap<Crowd, Watch, RandomState>,
    /// Counts of the look that goes on.
    counts: HashMap<Crowd, Count, RandomState>,
    /// The next slot to look at.
    at: usize,
}

impl Silence {
    /// Watches a crowd, and holds its leases for `freeze_max_ms` at most; with 0 never.
    pub fn watch(&mut self, crowd: Crowd, freeze_max_ms: u32) {
        let watch = self.crowds.entry(crowd);
        let new = Watch { freeze_max_ms, state: State::Quiet, count: Count::default() };
        watch.or_insert(new).freeze_max_ms = freeze_max_ms;
    }

    /// Watches a crowd no more.
    pub fn forget(&mut self, crowd: Crowd, leases: &LeaseTable) {
        self.crowds.remove(&crowd);
        leases.hold(crowd, 0);
    }

    /// Crowds whose leases are held.
    pub fn held(&self) -> impl Iterator<Item = (Crowd, Count)> {
        let held = self.crowds.iter().filter(|(_, watch)| matches!(watch.state, State::Held { .. }));
        held.map(|(crowd, watch)| (*crowd, watch.count))
    }

    /// Looks at the next leases among the first `slots`, judges the crowds once all have been looked at, and renews the holds
    /// that there are.
    pub fn tick(&mut self, leases: &LeaseTable, slots: usize, now_ms: u64) -> Vec<HoldChange> {
        let until = slots.min(self.at + slots.div_ceil(CYCLE_TICKS).max(SLICE_MIN));
        leases.scan(self.at..until, |crowd, ends_ms, lease_ms| {
            self.counts.entry(crowd).or_default().add(ends_ms, lease_ms, now_ms);
        });
        self.at = until;
        let is_whole = until >= slots;
        if is_whole {
            self.at = 0;
            for (crowd, watch) in &mut self.crowds {
                watch.count = self.counts.get(crowd).copied().unwrap_or_default();
            }
            self.counts.clear();
        }
        let mut changes = Vec::new();
        for (&crowd, watch) in &mut self.crowds {
            if let Some(hold) = watch.tick(is_whole, now_ms) {
                changes.push(HoldChange { crowd, hold, count: watch.count });
            }
            // The last one is not taken back: answers have told what it is good for.
            if matches!(watch.state, State::Held { .. }) {
                leases.hold(crowd, now_ms + AHEAD_MS);
            }
        }
        changes
    }
}

impl Watch {
    /// What becomes of it now, if its count is `new`, or only time has gone by.
    fn tick(&mut self, is_new: bool, now_ms: u64) -> Option<Hold> {
        let is_mass = self.count.is_mass();
        match &mut self.state {
            State::Held { since_ms, .. } if *since_ms + u64::from(self.freeze_max_ms) <= now_ms => {
                let lasted_ms = now_ms - *since_ms;
                self.state = State::Spent;
                Some(Hold::Ended(Lifted::TooLong, lasted_ms))
            }
            _ if !is_new => None,
            State::Quiet if is_mass && self.freeze_max_ms > 0 => {
                self.state = State::Held { since_ms: now_ms, waits_until_ms: None };
                Some(Hold::Began)
            }
            State::Held { waits_until_ms, .. } if is_mass => {
                *waits_until_ms = None;
                None
            }
            State::Held { since_ms, waits_until_ms } => {
                let wait_ms = u64::from(self.count.wait_ms);
                let until_ms = *waits_until_ms.get_or_insert(now_ms + wait_ms);
                let lasted_ms = now_ms - *since_ms;
                (self.count.silent == 0 || until_ms <= now_ms).then(|| {
                    self.state = State::Quiet;
                    Hold::Ended(Lifted::Heard, lasted_ms)
                })
            }
            State::Spent if !is_mass => {
                self.state = State::Quiet;
                None
            }
            State::Quiet | State::Spent => None,
        }
    }
}
