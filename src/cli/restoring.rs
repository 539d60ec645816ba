//! Members go back on the roll at a start, and whoever waits for it hears how far that has come.

use tracing::{info, warn};

use crate::server::clock;
use crate::store::Returning;
use crate::update::{Registrar, Restored, member_text};
use crate::wire::{WireError, name_text};

/// How many of them the log names.
const TOLD_MAX: usize = 1_000;
/// How often it is said how far it has come, and how long nobody minds the silence before, milliseconds.
const EVERY_MS: u64 = 1_000;
/// After how many members the clock is looked at.
const LOOK_EVERY: usize = 4_096;

/// Puts the members of the last run back, as of `now_ms`, as they come from the store, which holds so many.
pub(super) fn members(
    registrar: &mut Registrar,
    members: &mut dyn Iterator<Item = Returning>,
    held: u64,
    now_ms: u64,
) -> Result<Restored, WireError> {
    let mut progress = Progress { held, said_ms: now_ms };
    let members = members.enumerate().map(|(done, returning)| {
        if done % LOOK_EVERY == 0
            && let Some(line) = progress.line(done, clock::now_ms())
        {
            info!("{line}");
        }
        returning.registered(now_ms)
    });
    let restored = registrar.restore_all(members, TOLD_MAX, now_ms)?;
    if let Some((pool, member)) = &restored.left {
        let (pool, member) = (name_text(pool), member_text(member));
        warn!(pool, member, "not restored: no zone has this pool any more, or a limit is reached");
    }
    Ok(restored)
}

struct Progress {
    held: u64,
    said_ms: u64,
}

impl Progress {
    /// What is to be said at `now_ms`, if it is time.
    fn line(&mut self, done: usize, now_ms: u64) -> Option<String> {
        if now_ms < self.said_ms.saturating_add(EVERY_MS) {
            return None;
        }
        self.said_ms = now_ms;
        Some(format!("restoring members: {done} of {}", self.held))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_second_and_not_of_what_is_quick() {
        let mut progress = Progress { held: 1_000_000, said_ms: 5_000 };
        assert_eq!(progress.line(4_096, 5_999), None);
        assert_eq!(progress.line(8_192, 6_000).as_deref(), Some("restoring members: 8192 of 1000000"));
        assert_eq!(progress.line(12_288, 6_999), None);
    }
}
