//! What outlives a member: its owner's claim to the name, and the floor under which signed messages are replays.
//!
//! A member that left or fell silent keeps its name for KEY-LEASE (RFC 9664 section 4), so that a server that is being
//! restarted does not find its name taken. And whoever recorded its last messages could send them again, and have it join:
//! their signatures are right for as long as the fudge (RFC 8945 section 5.2.3). A floor is signed at most one fudge ahead
//! of this server's clock, and a message below it is believed for at most one fudge after that; hence two of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::{MemberName, PoolHandle};

/// The longest that a name is kept for who does not use it, milliseconds: 14 days.
pub const KEY_LEASE_MS_MAX: u32 = 14 * 86_400_000;

/// The least fudge that a floor is kept for, seconds: what RFC 8945 section 10 recommends.
const FUDGE_S_MIN: u16 = 300;

/// When a message was signed, and for how long around that its signature is believed (TSIG's Time Signed and Fudge).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Seconds since 1970; 48 bits.
    pub at_s: u64,
    /// Seconds.
    pub fudge_s: u16,
    /// The first octets of its MAC: tells the same message again from another one of the same second.
    pub mac: u64,
}

/// What a signed message is to the newest one that was accepted before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It is newer, or another one of the same second.
    New,
    /// It is that very one.
    Again,
    /// It is older.
    Older,
}

impl Signed {
    /// What it is to a floor.
    pub fn age(self, floor: Option<Signed>) -> Age {
        match floor {
            Some(floor) if self.at_s < floor.at_s => Age::Older,
            Some(floor) if (self.at_s, self.mac) == (floor.at_s, floor.mac) => Age::Again,
            _ => Age::New,
        }
    }

    /// Both as one floor: the later of the two, with the longer fudge, because an older message may be believed for longer.
    #[must_use]
    pub fn and(self, other: Option<Signed>) -> Signed {
        let Some(other) = other else { return self };
        let later = if other.at_s > self.at_s { other } else { self };
        Signed { fudge_s: self.fudge_s.max(other.fudge_s), ..later }
    }

    /// How long the floor is kept once the member is gone, milliseconds.
    pub fn kept_ms(self) -> u64 {
        2_000 * u64::from(self.fudge_s.max(FUDGE_S_MIN))
    }

    /// In a word but for its MAC, so that an atomic holds it. No floor is 0.
    pub(super) fn pack(floor: Option<Signed>) -> u64 {
        floor.map_or(0, |floor| (floor.at_s.min(u64::MAX >> 16) << 16) | u64::from(floor.fudge_s))
    }

    /// As [`Signed::pack`] made it.
    pub(super) fn unpack(word: u64) -> Option<Signed> {
        (word != 0).then_some(Signed { at_s: word >> 16, fudge_s: word as u16, mac: 0 })
    }
}

/// A floor and a message that was accepted above it, as the floor from then on.
pub(super) fn higher(held: Option<Signed>, newer: Option<Signed>) -> Option<Signed> {
    newer.map_or(held, |newer| Some(newer.and(held)))
}

/// What is left of a member that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// Whose the name was.
    pub owner: Box<str>,
    /// Until when nobody else gets it, monotonic milliseconds.
    pub name_ends_ms: u64,
    /// The newest signed message that was accepted for the member.
    pub floor: Option<Signed>,
    /// Until when a message signed before that is a replay, monotonic milliseconds.
    pub floor_ends_ms: u64,
}

impl Absence {
    /// Whether the name is still its owner's.
    pub fn keeps_name(&self, now_ms: u64) -> bool {
        self.name_ends_ms > now_ms
    }

    /// The floor, while it lasts.
    pub fn floor(&self, now_ms: u64) -> Option<Signed> {
        self.floor.filter(|_| self.floor_ends_ms > now_ms)
    }

    /// When nothing of it is left, monotonic milliseconds.
    pub fn ends_ms(&self) -> u64 {
        self.name_ends_ms.max(self.floor_ends_ms)
    }
}

/// Absences by pool and name, and in the order in which they end.
pub(super) struct Absences {
    by_pool: HashMap<PoolHandle, BTreeMap<MemberName, Arc<Absence>>, RandomState>,
    ends: BTreeSet<(u64, PoolHandle, MemberName)>,
    most: usize,
}

impl Absences {
    /// None yet, and no more than `most`: what is over that goes with [`Absences::pop_over`].
    pub fn new(most: usize) -> Self {
        Absences { by_pool: HashMap::default(), ends: BTreeSet::new(), most }
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn get(&self, pool: &[u8], name: &[u8]) -> Option<&Arc<Absence>> {
        self.by_pool.get(pool)?.get(name)
    }

    /// Adds one, in place of what the name had.
    pub fn insert(&mut self, pool: &PoolHandle, name: &MemberName, absence: Arc<Absence>) {
        self.take(pool, name);
        self.ends.insert((absence.ends_ms(), Arc::clone(pool), name.clone()));
        self.by_pool.entry(Arc::clone(pool)).or_default().insert(name.clone(), absence);
    }

    pub fn take(&mut self, pool: &[u8], name: &[u8]) -> Option<Arc<Absence>> {
        let (handle, _) = self.by_pool.get_key_value(pool)?;
        let handle = Arc::clone(handle);
        let names = self.by_pool.get_mut(pool)?;
        let (name, absence) = names.remove_entry(name)?;
        if names.is_empty() {
            self.by_pool.remove(pool);
        }
        self.ends.remove(&(absence.ends_ms(), handle, name));
        Some(absence)
    }

    /// Takes out the first to end, if it has ended or there are too many.
    pub fn pop_over(&mut self, now_ms: u64) -> Option<(PoolHandle, MemberName, Arc<Absence>)> {
        let (ends_ms, pool, name) = self.ends.first()?;
        if *ends_ms > now_ms && self.ends.len() <= self.most {
            return None;
        }
        let (pool, name) = (Arc::clone(pool), name.clone());
        let absence = self.take(&pool, &name)?;
        Some((pool, name, absence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_survives_its_word() {
        for floor in [
            None,
            Some(Signed { at_s: 0, fudge_s: 1, mac: 0 }),
            Some(Signed { at_s: 1_795_000_000, fudge_s: 300, mac: 0 }),
            Some(Signed { at_s: (1 << 48) - 1, fudge_s: u16::MAX, mac: 0 }),
        ] {
            assert_eq!(Signed::unpack(Signed::pack(floor)), floor);
        }
        let past_48_bits = Signed { at_s: u64::MAX, fudge_s: 5, mac: 0 };
        let held = Signed { at_s: (1 << 48) - 1, fudge_s: 5, mac: 0 };
        assert_eq!(Signed::unpack(Signed::pack(Some(past_48_bits))), Some(held));
    }

    #[test]
    fn a_floor_is_the_later_time_kept_for_two_of_the_longer_fudge() {
        let (long, late) =
            (Signed { at_s: 100, fudge_s: 900, mac: 0 }, Signed { at_s: 200, fudge_s: 10, mac: 0 });
        for floor in [long.and(Some(late)), late.and(Some(long))] {
            assert_eq!(floor, Signed { at_s: 200, fudge_s: 900, mac: 0 });
        }
        assert_eq!((long.kept_ms(), late.kept_ms()), (1_800_000, 600_000), "never less than two of 300 s");
        assert_eq!(
            Signed { at_s: 0, fudge_s: u16::MAX, mac: 0 }.kept_ms(),
            131_070_000,
            "a day and a half at most"
        );
        assert_eq!(higher(None, Some(late)), Some(late));
        assert_eq!(higher(Some(late), None), Some(late));
        assert_eq!(higher(None, None), None);
    }
}
