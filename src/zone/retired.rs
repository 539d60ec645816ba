//! When what was replaced is freed.
//!
//! A node or a table that questions may still be reading is freed once every batch that was open when it was replaced is done.
//! The thread that replaced it frees it, never one that answers: while it goes on replacing, or when it says so here.

use std::thread;
use std::time::Duration;

use sdd::Guard;

/// How often it is tried: levels of what holds what, each of which takes three turns, many times over.
const TURNS: usize = 200;
/// Between two turns: longer than any batch takes.
const PAUSE: Duration = Duration::from_millis(1);

/// Takes one turn: what was replaced three turns ago is freed, if no batch has been open since. Without it the turns come every
/// 128 replacements, and as many views of a large pool would wait.
pub(super) fn turn() {
    Guard::new().accelerate();
}

/// Frees all that this thread has replaced, or dropped, for it may not come by again. Waits for batches that are open.
pub fn free_retired() {
    for _ in 0..TURNS {
        if !Guard::new().has_garbage() {
            return;
        }
        turn();
        thread::sleep(PAUSE);
    }
}
