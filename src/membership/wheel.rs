//! When to look at a lease again: a hierarchical timing wheel.
//!
//! Setting a timer and letting it fire cost the same for ten leases and for ten million. No single timer is ever taken out:
//! a heartbeat leaves the wheel alone, the roll sets a timer again that fired for a lease which was renewed, and when those
//! of members who left outnumber the rest it clears the wheel and sets the rest anew.

use super::LeaseRef;

/// Milliseconds a tick. Answers check deadlines themselves, so this only bounds how long a dead member stays in a view.
const TICK_MS: u64 = 8;
const LEVEL_BITS: u32 = 6;
const LEVEL_SLOTS: usize = 1 << LEVEL_BITS;
/// Half a second, half a minute, 35 minutes, 37 hours. What is due later waits in the last slot and is set again.
const LEVELS: usize = 4;
const SPAN_TICKS: u64 = 1 << (LEVEL_BITS * LEVELS as u32);

/// A timer that has fired, or will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timer {
    /// For whom.
    pub lease: LeaseRef,
    /// When it was set for, monotonic milliseconds.
    pub at_ms: u64,
}

pub(super) struct Wheel {
    levels: [[Vec<Timer>; LEVEL_SLOTS]; LEVELS],
    /// Timers in each level.
    held: [usize; LEVELS],
    /// Every tick up to this one has been turned.
    tick: u64,
    /// Due, and not yet handed out.
    due: Vec<Timer>,
}

impl Wheel {
    /// A wheel that begins at `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        let levels = std::array::from_fn(|_| std::array::from_fn(|_| Vec::new()));
        Wheel { levels, held: [0; LEVELS], tick: now_ms / TICK_MS, due: Vec::new() }
    }

    /// Timers that have not been handed out.
    pub fn len(&self) -> usize {
        self.due.len() + self.held.iter().sum::<usize>()
    }

    /// Forgets all timers.
    pub fn clear(&mut self) {
        *self = Wheel::new(self.tick * TICK_MS);
    }

    /// Sets a timer: it fires at the first tick that is not before `at_ms`.
    pub fn set(&mut self, timer: Timer) {
        let wanted = timer.at_ms.div_ceil(TICK_MS);
        if wanted <= self.tick {
            self.due.push(timer);
            return;
        }
        let tick = wanted.min(self.tick + SPAN_TICKS - 1);
        // The level is where the tick first differs from now's: the slot is passed before the tick is.
        let level = (63 - (tick ^ self.tick).leading_zeros()) / LEVEL_BITS;
        // A tick in the next turn of the last level would name a level too many: the last one holds it for now.
        let level = (level as usize).min(LEVELS - 1);
        let slot = (tick >> (LEVEL_BITS * level as u32)) as usize % LEVEL_SLOTS;
        if let (Some(slots), Some(held)) = (self.levels.get_mut(level), self.held.get_mut(level))
            && let Some(slot) = slots.get_mut(slot)
        {
            slot.push(timer);
            *held += 1;
        }
    }

    /// Turns the wheel to `now_ms` and hands out at most `limit` due timers. Those left over come with the next call.
    pub fn due(&mut self, now_ms: u64, limit: usize) -> Vec<Timer> {
        let target = now_ms / TICK_MS;
        while self.tick < target && self.due.len() < limit {
            // Ticks at which only empty levels would be looked at are passed over: a quiet server, or one that was
            // suspended for hours, turns in a few steps.
            let empty = self.held.iter().take(LEVELS - 1).take_while(|&&held| held == 0).count();
            let stride = (1_u64 << (LEVEL_BITS * empty as u32)) - 1;
            self.tick = ((self.tick | stride) + 1).min(target);
            self.turn();
        }
        self.due.split_off(self.due.len().saturating_sub(limit))
    }

    /// Empties the slots that the current tick has reached, the coarsest first.
    fn turn(&mut self) {
        for level in (0..LEVELS).rev() {
            let shift = LEVEL_BITS * level as u32;
            if self.tick.trailing_zeros() < shift {
                continue;
            }
            let slot = (self.tick >> shift) as usize % LEVEL_SLOTS;
            let Some(place) = self.levels.get_mut(level).and_then(|level| level.get_mut(slot)) else {
                continue;
            };
            // Taken, not drained: the memory of a crowded moment is given back.
            let timers = std::mem::take(place);
            if let Some(held) = self.held.get_mut(level) {
                *held -= timers.len();
            }
            timers.into_iter().for_each(|timer| self.set(timer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn timer(slot: u32, at_ms: u64) -> Timer {
        Timer { lease: LeaseRef { slot, generation: 1 }, at_ms }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        /// Never early, at most a tick late, each exactly once, whatever the distance and the pace of turning.
        #[test]
        fn fires_once_and_on_time(
            start_ms in 0_u64..1 << 40,
            delays_ms in proptest::collection::vec(prop_oneof![0_u64..100, 0_u64..100_000, 0_u64..7_200_000], 1..60),
            steps_ms in proptest::collection::vec(1_u64..400_000, 1..60),
        ) {
            let mut wheel = Wheel::new(start_ms);
            for (slot, delay_ms) in delays_ms.iter().enumerate() {
                wheel.set(timer(slot as u32, start_ms + delay_ms));
            }
            let mut fired = vec![false; delays_ms.len()];
            let mut now_ms = start_ms;
            for step_ms in steps_ms {
                now_ms += step_ms;
                for timer in wheel.due(now_ms, usize::MAX) {
                    prop_assert!(timer.at_ms <= now_ms, "early");
                    prop_assert!(!std::mem::replace(&mut fired[timer.lease.slot as usize], true), "twice");
                }
                for (fired, delay_ms) in fired.iter().zip(&delays_ms) {
                    prop_assert!(*fired || start_ms + delay_ms + TICK_MS > now_ms, "late by more than a tick");
                }
            }
        }
    }

    #[test]
    fn a_crowd_comes_in_slices() {
        let mut wheel = Wheel::new(0);
        (0..10_000).for_each(|slot| wheel.set(timer(slot, 5_000)));
        assert!(wheel.due(4_999, 100).is_empty());
        let mut seen = 0;
        while seen < 10_000 {
            let slice = wheel.due(5_000, 4_096);
            assert!(!slice.is_empty() && slice.len() <= 4_096);
            seen += slice.len();
        }
        assert!(wheel.due(6_000, 4_096).is_empty());
    }

    #[test]
    fn days_ahead_are_held_and_set_again() {
        let mut wheel = Wheel::new(12_345);
        let far_ms = 14 * 86_400_000;
        wheel.set(timer(0, far_ms));
        assert!(wheel.due(far_ms - 1, 10).is_empty());
        assert_eq!(wheel.due(far_ms + TICK_MS, 10).len(), 1);
    }
}
