//! The model of mass silence: over half of the members, and ten at least, unheard for two thirds of their lease.

/// The longest that expiry is held here, milliseconds.
pub const FREEZE_MAX_MS: u64 = 40_000;
/// The longest that those still silent are waited for once the others are back, milliseconds.
const WAIT_MAX_MS: u64 = 60_000;
/// At each tick a hold is good for so long, milliseconds: no answer says more than 1 s.
pub const AHEAD_MS: u64 = 1_999;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    None,
    /// Since when; and until when those still silent are waited for, once they are no mass any more.
    Since(u64, Option<u64>),
    /// It has lasted for as long as it may, and the mass is silent still.
    Spent,
}

impl Hold {
    /// What becomes of it at a tick: `leased` members have a lease, and the silent ones among them leases of these lengths.
    pub fn tick(self, leased: usize, silent: &[u64], now_ms: u64) -> Hold {
        let is_mass = silent.len() >= 10 && silent.len() * 2 > leased;
        match self {
            Hold::Since(since_ms, _) if now_ms >= since_ms + FREEZE_MAX_MS => Hold::Spent,
            Hold::Since(since_ms, _) if is_mass => Hold::Since(since_ms, None),
            Hold::Since(since_ms, until_ms) => {
                let Some(longest_ms) = silent.iter().max() else { return Hold::None };
                let until_ms = until_ms.unwrap_or(now_ms + longest_ms.min(&WAIT_MAX_MS));
                if now_ms >= until_ms { Hold::None } else { Hold::Since(since_ms, Some(until_ms)) }
            }
            Hold::Spent if is_mass => Hold::Spent,
            Hold::None if is_mass => Hold::Since(now_ms, None),
            Hold::Spent | Hold::None => Hold::None,
        }
    }
}
