//! For how long what a message is about stays.

use crate::membership::FOREVER_MS;

/// How long something stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Left {
    /// So many milliseconds.
    Ms(u64),
    /// Until it is deleted.
    Permanent,
    /// There is nothing that stays.
    Nothing,
}

impl Left {
    /// Until a moment, monotonic milliseconds.
    pub fn until(ends_ms: u64, now_ms: u64) -> Left {
        if ends_ms >= FOREVER_MS { Left::Permanent } else { Left::Ms(ends_ms.saturating_sub(now_ms)) }
    }
}
