//! How busy a member is, and what answers have asked of it since it said so.
//!
//! This is soft: it changes which members answers show, never the disk and never the serial. It lies in the member's slot
//! beside its lease, so that what a heartbeat says of it and what a pick counts reach whoever ranks next without a lock.

use std::sync::atomic::Ordering;

use super::{LeaseRef, LeaseTable};

/// A share of a server's capacity: 0 is none of it, `u32::MAX` all (RFC 5356 section 3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Load(pub u32);

impl Load {
    /// All of it.
    pub const FULL: Load = Load(u32::MAX);
    /// What is taken for the load of a member that does not say: neither the first to be asked nor the last.
    pub const UNSAID: Load = Load(1 << 31);

    /// From a number of 0 to 1; what is outside is clamped, and what is no number is 0.
    pub fn of(share: f64) -> Self {
        // A cast of floats saturates.
        Load((share * f64::from(u32::MAX)).round() as u32)
    }

    /// As a number of 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(u32::MAX)
    }

    /// What a load that was `self` is taken for when `said` is said `since_ms` later: each `half_life_ms`, half of the way is
    /// left. A half life of 0 forgets at once.
    pub fn towards(self, said: Load, since_ms: u64, half_life_ms: u32) -> Load {
        if half_life_ms == 0 {
            return said;
        }
        let left = (-(since_ms as f64) / f64::from(half_life_ms)).exp2();
        Load::of(said.share() + (self.share() - said.share()) * left)
    }
}

/// What a message says of its member's load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Said {
    /// Nothing: what was said before holds.
    #[default]
    Nothing,
    /// That it is this.
    Load(Load),
    /// That what was said before holds no more.
    Unsaid,
}

/// A member's load as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownLoad {
    /// As it was said last.
    pub said: Load,
    /// The same after smoothing: what policies read.
    pub smoothed: Load,
}

impl LeaseTable {
    /// Takes in what a message says of a member's load. Whether it is another now. Of two messages at once one has the last
    /// word, as if they had come one after the other; what is smoothed may lack the other's share.
    pub fn say(&self, lease: LeaseRef, said: Said, now_ms: u64, half_life_ms: u32) -> bool {
        let Some(slot) = self.running(lease) else { return false };
        match said {
            Said::Nothing => false,
            Said::Unsaid => slot.said_ms.swap(0, Ordering::AcqRel) != 0,
            Said::Load(said) => {
                let before_ms = slot.said_ms.load(Ordering::Acquire);
                let smoothed = match before_ms {
                    0 => said,
                    _ => unpack(slot.load.load(Ordering::Acquire)).smoothed.towards(
                        said,
                        now_ms.saturating_sub(before_ms),
                        half_life_ms,
                    ),
                };
                let load = pack(KnownLoad { said, smoothed });
                let held = slot.load.swap(load, Ordering::AcqRel);
                slot.said_ms.store(now_ms.max(1), Ordering::Release);
                before_ms == 0 || held != load
            }
        }
    }

    /// A member's load; `None` if it has not said any, or is gone.
    pub fn load(&self, lease: LeaseRef) -> Option<KnownLoad> {
        let slot = self.running(lease)?;
        (slot.said_ms.load(Ordering::Acquire) != 0).then(|| unpack(slot.load.load(Ordering::Acquire)))
    }

    /// When the member joined, monotonic milliseconds; 0 for one that was here before this server was, or is gone.
    pub fn joined_ms(&self, lease: LeaseRef) -> u64 {
        self.running(lease).map_or(0, |slot| slot.joined_ms.load(Ordering::Acquire))
    }

    /// Counts that an answer picked the member. How often that was since it last registered.
    pub fn count_pick(&self, lease: LeaseRef) -> u64 {
        self.running(lease).map_or(0, |slot| slot.picks.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
    }

    /// How often answers picked the member since it last registered.
    pub fn picks(&self, lease: LeaseRef) -> u64 {
        self.running(lease).map_or(0, |slot| slot.picks.load(Ordering::Relaxed))
    }

    /// Begins to count anew: the member has registered (RFC 5356 section 5.2).
    pub fn forget_picks(&self, lease: LeaseRef) {
        if let Some(slot) = self.running(lease) {
            slot.picks.store(0, Ordering::Relaxed);
        }
    }
}

fn pack(load: KnownLoad) -> u64 {
    (u64::from(load.said.0) << 32) | u64::from(load.smoothed.0)
}

fn unpack(word: u64) -> KnownLoad {
    KnownLoad { said: Load((word >> 32) as u32), smoothed: Load(word as u32) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::Crowd;
    use crate::membership::lease::Begins;

    fn begins(joined_ms: u64) -> Begins {
        Begins { ends_ms: 60_000, lease_ms: 60_000, crowd: Crowd::default(), floor: None, joined_ms }
    }

    #[test]
    fn a_share_survives_its_number() {
        for share in [0.0, 0.25, 0.5, 1.0] {
            assert!((Load::of(share).share() - share).abs() < 1e-9);
        }
        assert_eq!((Load::of(-3.0), Load::of(7.5), Load::of(f64::NAN)), (Load(0), Load::FULL, Load(0)));
        assert_eq!(Load::of(f64::INFINITY), Load::FULL);
    }

    #[test]
    fn smoothing_halves_the_way_that_is_left() {
        let (idle, busy) = (Load(0), Load::FULL);
        for (since_ms, share) in [(0, 0.0), (10_000, 0.5), (20_000, 0.75), (1 << 40, 1.0)] {
            let smoothed = idle.towards(busy, since_ms, 10_000).share();
            assert!((smoothed - share).abs() < 1e-6, "{since_ms} ms: {smoothed}");
        }
        assert_eq!(idle.towards(busy, 1, 0), busy, "without a half life nothing is smoothed");
    }

    #[test]
    fn what_is_said_holds_until_something_else_is() {
        let table = LeaseTable::new(100);
        let lease = table.start(9, &begins(5)).unwrap();
        assert_eq!((table.load(lease), table.joined_ms(lease)), (None, 5));
        table.say(lease, Said::Load(Load::of(0.4)), 1_000, 10_000);
        table.say(lease, Said::Nothing, 6_000, 10_000);
        table.say(lease, Said::Load(Load::of(0.8)), 11_000, 10_000);
        let known = table.load(lease).unwrap();
        assert_eq!(known.said, Load::of(0.8));
        assert!((known.smoothed.share() - 0.6).abs() < 1e-6, "{known:?}");
        table.say(lease, Said::Unsaid, 12_000, 10_000);
        assert_eq!(table.load(lease), None);
        table.say(lease, Said::Load(Load::of(0.1)), 12_001, 10_000);
        assert_eq!(table.load(lease).unwrap().smoothed, Load::of(0.1), "what was unsaid smooths nothing");
    }

    #[test]
    fn who_says_the_same_again_stands_as_before() {
        let table = LeaseTable::new(100);
        let lease = table.start(9, &begins(5)).unwrap();
        let load = |share| Said::Load(Load::of(share));
        for (said, is_other) in [
            (Said::Unsaid, false),
            (load(0.4), true),
            (load(0.4), false),
            (Said::Nothing, false),
            (load(0.5), true),
            (Said::Unsaid, true),
            (load(0.5), true),
        ] {
            assert_eq!(table.say(lease, said, 1_000, 0), is_other, "{said:?}");
        }
    }

    #[test]
    fn picks_are_counted_until_the_member_registers_and_are_not_the_next_holders() {
        let table = LeaseTable::new(100);
        let lease = table.start(1, &begins(5)).unwrap();
        assert_eq!((table.count_pick(lease), table.count_pick(lease), table.picks(lease)), (1, 2, 2));
        table.forget_picks(lease);
        assert_eq!(table.picks(lease), 0);
        table.count_pick(lease);
        table.say(lease, Said::Load(Load::FULL), 7, 0);
        table.end(lease);
        let next = table.start(1, &begins(9)).unwrap();
        assert_eq!((table.picks(next), table.load(next), table.joined_ms(next)), (0, None, 9));
        assert_eq!((table.count_pick(lease), table.picks(next)), (0, 0));
    }
}
