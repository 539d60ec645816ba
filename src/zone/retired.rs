//! When what was replaced is freed.
//!
//! A node or a table that questions may still be reading is freed once every batch that was open when it was replaced is done.
//! The thread that replaced it frees it, never one that answers: while it goes on replacing, or when it says so here.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use sdd::Guard;
use tracing::debug;

use super::Publisher;

/// How often it is tried, at most.
const TURNS: usize = 200;
/// Between two turns: longer than most batches take.
const PAUSE: Duration = Duration::from_millis(1);
/// After so many turns without anything left, nothing is left in what was freed by them either: a zone holds tables, those
/// cells, and those nodes.
const CLEAN_TURNS: usize = 8;

/// Takes one turn: what was replaced three turns ago is freed, if no batch has been open since. Without it the turns come every
/// 128 replacements, and as many views of a large pool would wait.
pub(super) fn turn() {
    Guard::new().accelerate();
}

/// Lets go of zones that nobody publishes any more, once no batch reads them: who held them last would have to free them.
pub fn let_go(publishers: Vec<Publisher>) {
    let is_read = |publisher: &Publisher| Arc::strong_count(publisher.zone()) > 1;
    for _ in 0..TURNS {
        if !publishers.iter().any(is_read) {
            break;
        }
        thread::sleep(PAUSE);
    }
    drop(publishers);
    free_retired();
}

/// Frees all that this thread has replaced, or dropped, for it may not come by again. Waits for batches that are open.
pub fn free_retired() {
    let mut clean = 0;
    for _ in 0..TURNS {
        clean = if Guard::new().has_garbage() { 0 } else { clean + 1 };
        if clean > CLEAN_TURNS {
            return;
        }
        turn();
        if clean == 0 {
            thread::sleep(PAUSE);
        }
    }
    debug!("some of what was replaced is still being read, and is freed later");
}

#[cfg(test)]
mod tests {
    use sdd::{AtomicShared, Shared};

    use super::*;

    #[test]
    fn what_is_in_what_was_freed_is_freed_too() {
        let alive = Arc::new(());
        let inner = Shared::new(AtomicShared::new(AtomicShared::new(Arc::clone(&alive))));
        drop(AtomicShared::new(AtomicShared::from(inner)));
        assert_eq!(Arc::strong_count(&alive), 2, "a batch may be reading it");
        free_retired();
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
