//! What outlives a member: its owner's claim to the name, and the floor under which signed messages are replays.
//!
//! A member that left or fell silent keeps its name for KEY-LEASE (RFC 9664 section 4), so that a server that is being
//! restarted does not find its name taken. And whoever recorded its last messages could send them again, and have it join:
//! their signatures are right for as long as the fudge (RFC 8945 section 5.2.3). A floor is signed at most one fudge ahead
//! of this server's clock, and a message below it is believed for at most one fudge after that; hence two of them.

use std::cmp::Ordering;
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
    /// The first 63 bits of its MAC, and a 0: tells the same message again from another one of the same second.
    pub mac: u64,
    /// Whether it is from before a restart: nobody knows which other messages of its second were taken then, and they are
    /// taken only while they are fresh.
    #[serde(skip, default = "is_sealed")]
    pub is_sealed: bool,
}

fn is_sealed() -> bool {
    true
}

/// How far ahead of our clock a message may be signed that changes anything, seconds, whatever its fudge: what RFC 8945
/// section 10 recommends for that. Else one message could raise a floor by hours.
pub const AHEAD_S_MAX: u64 = 300;

/// The bit of a MAC's word that says whether its second is sealed.
const SEAL: u64 = 1;

/// What a signed message is to the newest one that was accepted before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It is newer.
    New,
    /// It is another one of the same second: new, unless it was accepted before that one.
    SameSecond,
    /// It is that very one.
    Again,
    /// It is older.
    Older,
}

impl Signed {
    /// A message that was signed at `at_s`, of which `mac` are the first octets.
    pub fn new(at_s: u64, fudge_s: u16, mac: u64) -> Self {
        Signed { at_s, fudge_s, mac: mac & !SEAL, is_sealed: false }
    }

    /// What it is to a floor. It is in time itself, by our clock.
    pub fn age(self, floor: Option<Signed>) -> Age {
        let Some(floor) = floor.filter(|floor| !floor.is_of_another_clock(self)) else { return Age::New };
        match self.at_s.cmp(&floor.at_s) {
            Ordering::Less => Age::Older,
            Ordering::Greater => Age::New,
            Ordering::Equal if self.mac == floor.mac => Age::Again,
            Ordering::Equal => Age::SameSecond,
        }
    }

    /// Both as one floor: the later of the two, with the longer fudge, because an older message may be believed for longer.
    #[must_use]
    pub fn and(self, other: Option<Signed>) -> Signed {
        let Some(other) = other.filter(|other| !other.is_of_another_clock(self)) else { return self };
        let later = if other.at_s > self.at_s { other } else { self };
        let is_sealed = later.is_sealed || (other.is_sealed && other.at_s == later.at_s);
        Signed { fudge_s: self.fudge_s.max(other.fudge_s), is_sealed, ..later }
    }

    /// Whether our clock was set back since this floor was raised: it is further ahead of a message that is in time than any
    /// floor can be.
    fn is_of_another_clock(self, in_time: Signed) -> bool {
        self.at_s > in_time.at_s.saturating_add(in_time.fudge_s.into()).saturating_add(AHEAD_S_MAX)
    }

    /// How long the floor is kept once the member is gone, milliseconds.
    pub fn kept_ms(self) -> u64 {
        2_000 * u64::from(self.fudge_s.max(FUDGE_S_MIN))
    }

    /// In two words, so that atomics hold them: time and fudge, MAC and seal. The first of no floor is 0.
    pub(super) fn pack(floor: Option<Signed>) -> (u64, u64) {
        let Some(floor) = floor else { return (0, 0) };
        let seal = if floor.is_sealed { SEAL } else { 0 };
        ((floor.at_s.min(u64::MAX >> 16) << 16) | u64::from(floor.fudge_s), (floor.mac & !SEAL) | seal)
    }

    /// As [`Signed::pack`] made it.
    pub(super) fn unpack((time, mac): (u64, u64)) -> Option<Signed> {
        let (at_s, fudge_s) = (time >> 16, time as u16);
        (time != 0).then_some(Signed { at_s, fudge_s, mac: mac & !SEAL, is_sealed: mac & SEAL != 0 })
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
    pub owner: Arc<str>,
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
    fn a_floor_survives_its_words() {
        let sealed = Signed { is_sealed: true, ..Signed::new(1_795_000_000, 300, u64::MAX) };
        for floor in [
            None,
            Some(Signed::new(0, 1, 2)),
            Some(Signed::new(1_795_000_000, 300, 1 << 63)),
            Some(sealed),
            Some(Signed::new((1 << 48) - 1, u16::MAX, u64::MAX)),
        ] {
            assert_eq!(Signed::unpack(Signed::pack(floor)), floor);
        }
        let (past_48_bits, held) = (Signed::new(u64::MAX, 5, 0), Signed::new((1 << 48) - 1, 5, 0));
        assert_eq!(Signed::unpack(Signed::pack(Some(past_48_bits))), Some(held));
    }

    #[test]
    fn a_floor_is_the_later_time_kept_for_two_of_the_longer_fudge() {
        let (long, late) = (Signed::new(100, 900, 0), Signed::new(200, 10, 0));
        for floor in [long.and(Some(late)), late.and(Some(long))] {
            assert_eq!(floor, Signed::new(200, 900, 0));
        }
        assert_eq!((long.kept_ms(), late.kept_ms()), (1_800_000, 600_000), "never less than two of 300 s");
        assert_eq!(Signed::new(0, u16::MAX, 0).kept_ms(), 131_070_000, "a day and a half at most");
        assert_eq!(higher(None, Some(late)), Some(late));
        assert_eq!(higher(Some(late), None), Some(late));
        assert_eq!(higher(None, None), None);
    }

    #[test]
    fn what_a_message_is_to_a_floor() {
        let floor = Signed::new(1_000, 300, 8);
        for (at_s, mac, age) in
            [(999, 8, Age::Older), (1_000, 8, Age::Again), (1_000, 6, Age::SameSecond), (1_001, 8, Age::New)]
        {
            assert_eq!(Signed::new(at_s, 300, mac).age(Some(floor)), age, "{at_s} {mac}");
        }
        assert_eq!(floor.age(None), Age::New);
    }

    #[test]
    fn a_second_stays_sealed() {
        let (sealed, fresh) = (Signed { is_sealed: true, ..Signed::new(7, 300, 2) }, Signed::new(7, 300, 4));
        assert_eq!(fresh.and(Some(sealed)), Signed { is_sealed: true, ..fresh });
        assert_eq!(Signed::new(8, 300, 4).and(Some(sealed)), Signed::new(8, 300, 4));
        assert_eq!(Signed::new(6, 300, 4).and(Some(sealed)), sealed);
    }

    #[test]
    fn a_clock_that_was_set_back_leaves_its_floors_behind() {
        let floor = Signed::new(10_000, 300, 2);
        let (slow, set_back) = (Signed::new(9_400, 300, 4), Signed::new(9_399, 300, 4));
        assert_eq!((slow.age(Some(floor)), set_back.age(Some(floor))), (Age::Older, Age::New));
        assert_eq!((slow.and(Some(floor)).at_s, set_back.and(Some(floor)).at_s), (10_000, 9_399));
    }
}
