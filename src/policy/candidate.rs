//! What policies know of a member.

use crate::membership::{LeaseRef, Load};

/// How far a newcomer has come on its way to its full share (`warm_up`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warmth(u16);

impl Warmth {
    /// It has its full share.
    pub const WARM: Warmth = Warmth(1024);
    /// Where it begins: with a tenth. Who is never asked never warms up.
    const COLD: Warmth = Warmth(102);

    /// Of a member that is `age_ms` old, where newcomers take `warm_up_ms`: a straight line from a tenth to all.
    pub fn of(age_ms: u64, warm_up_ms: u32) -> Self {
        let way = u64::from(Self::WARM.0 - Self::COLD.0);
        match age_ms.saturating_mul(way).checked_div(u64::from(warm_up_ms)) {
            // No more than `WARM`.
            Some(come) if come < way => Warmth(Self::COLD.0 + come as u16),
            _ => Self::WARM,
        }
    }

    /// As a number of 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WARM.0)
    }
}

/// A member as a policy sees it: the parameters of RFC 5356, each with its default where the member gave none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Where its picks are counted.
    pub lease: LeaseRef,
    /// How often it is to be asked beside others; 0 takes no part: it is not capable of any service (RFC 5356 section 3.2).
    pub weight: u32,
    /// Larger is better.
    pub priority: u32,
    /// How busy it is.
    pub load: Load,
    /// How much busier each pick makes it.
    pub degradation: Load,
    /// How often it was picked since it last registered.
    pub picks: u64,
    /// Whether it is a newcomer.
    pub warmth: Warmth,
}

impl Candidate {
    /// What members weigh that do not say.
    pub const WEIGHT: u32 = 1;
    /// The priority of members that do not say: nobody's is worse.
    pub const PRIORITY: u32 = 0;
    /// How much busier a pick makes members that do not say: a hundredth.
    pub const DEGRADATION: Load = Load(u32::MAX / 100 + 1);

    /// What its weight counts for: in proportion, a newcomer's for less.
    pub fn counted_weight(&self) -> u64 {
        u64::from(self.weight) * u64::from(self.warmth.0)
    }

    /// What its load counts for: of what a newcomer has to spare, only a part.
    pub fn counted_load(&self) -> Load {
        let spare = u64::from(Load::FULL.0 - self.load.0) * u64::from(self.warmth.0);
        Load(Load::FULL.0 - (spare / u64::from(Warmth::WARM.0)) as u32)
    }

    /// What it has to spare, and never nothing: a client that is to choose by it must be able to choose it.
    pub fn spare(&self) -> u64 {
        u64::from((Load::FULL.0 - self.counted_load().0).max(1))
    }

    /// How busy it is with what answers have asked of it since it said so: may be over [`Load::FULL`].
    pub fn level(&self, picks: u64) -> u64 {
        // Room for four billion picks that bring a full load each.
        u64::from(self.counted_load().0).saturating_add(picks.saturating_mul(u64::from(self.degradation.0)))
    }
}

/// Of a level, the bits that do not count: its steps are a millionth of what a member can bear.
const STEP_BITS: u32 = 12;

/// A level in steps, rounded. Loads and degradations are rounded to their 32 bits, and sums of them that were the same as they
/// were written are the same again.
pub(super) fn in_steps(level: u64) -> u64 {
    level.saturating_add(1 << (STEP_BITS - 1)) >> STEP_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_warm_up_in_a_straight_line() {
        for (age_ms, share) in
            [(0, 0.1), (1_000, 0.19), (5_000, 0.55), (9_999, 0.99), (10_000, 1.0), (u64::MAX, 1.0)]
        {
            let warmth = Warmth::of(age_ms, 10_000).share();
            assert!((warmth - share).abs() < 0.01, "{age_ms} ms: {warmth}");
        }
        assert_eq!(Warmth::of(0, 0), Warmth::WARM, "without warm_up nobody is a newcomer");
    }

    #[test]
    fn sums_that_are_the_same_as_written_are_the_same() {
        let sum = |load, degradation: f64| {
            let (load, picked) = (Load::of(load), Load::of(degradation));
            in_steps(u64::from(load.0) + u64::from(picked.0))
        };
        for (load, degradation, other, its) in
            [(0.2, 0.05, 0.24, 0.01), (0.1, 0.2, 0.15, 0.15), (0.7, 0.1, 0.5, 0.3), (1.0, 0.0, 0.5, 0.5)]
        {
            assert_eq!(sum(load, degradation), sum(other, its));
        }
        assert_ne!(sum(0.2, 0.05), sum(0.2, 0.050_01));
        assert_eq!(Candidate::DEGRADATION, Load::of(0.01));
    }
}
