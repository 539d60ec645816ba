//! Reads the files again, on a thread of its own, when somebody asks or when they move; and has the registrar put what came
//! of it in the place of what is served.
//!
//! ```text
//!  SIGHUP ----------.
//!  zones/ moves ----'--> wait until it is quiet --> read, encode --> registrar: open, swap --> let go of the old zones
//! ```

use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded, select};

use super::counters::{add, increment};
use super::notify::Notifier;
use super::registrar::{Order, Task};
use super::{Shared, clock};
use crate::config::Asked;
use crate::update::Reload;
use crate::zone::let_go;

/// How long nothing has to move before the files are read: an editor writes, renames and removes within this.
const QUIET: Duration = Duration::from_millis(100);
/// How long is waited for that at most, milliseconds: who writes all the time is read all the same.
const UNQUIET_MS_MAX: u64 = 5_000;

/// Where zones come from.
pub trait Files: Send + 'static {
    /// Reads what has changed, and says in the log what is wrong with it.
    fn read(&mut self, asked: Asked) -> Read;
}

/// What was read.
#[derive(Default)]
pub struct Read {
    /// What is to be served from now on; `None` if everything is as it was.
    pub reload: Option<Reload>,
    /// How many files or zones were not good, and are served as they were.
    pub errors: u64,
}

/// Reads the files whenever it is asked to, until nobody can ask any more.
pub(super) fn run(
    mut files: impl Files,
    asked: &Receiver<()>,
    moved: &Receiver<()>,
    shared: &Weak<Shared>,
    notifier: &Notifier,
) {
    while let Some(why) = next(asked, moved) {
        if why == Asked::Explicitly {
            notifier.reloading();
        }
        let Read { reload, errors } = files.read(why);
        // The server may have stopped meanwhile.
        let Some(shared) = shared.upgrade() else { return };
        add(&shared.counters.reload_errors, errors);
        if let Some(reload) = reload {
            increment(&shared.counters.reloads);
            put(reload, shared);
        }
        if why == Asked::Explicitly {
            notifier.ready();
        }
    }
}

/// Why the files are to be read now: who asks does not wait until they are quiet. `None` once nobody can ask any more.
fn next(asked: &Receiver<()>, moved: &Receiver<()>) -> Option<Asked> {
    select! {
        recv(asked) -> asked => return asked.ok().map(|()| Asked::Explicitly),
        recv(moved) -> moved => moved.ok()?,
    }
    let until_ms = clock::now_ms() + UNQUIET_MS_MAX;
    while clock::now_ms() < until_ms {
        select! {
            recv(asked) -> asked => return asked.ok().map(|()| Asked::Explicitly),
            recv(moved) -> moved => moved.ok()?,
            default(QUIET) => break,
        }
    }
    Some(Asked::ByWatching)
}

/// Has the registrar take it, behind the messages that wait for it. What it leaves is let go of here, for that may take
/// longer than a heartbeat may wait.
fn put(reload: Reload, shared: Arc<Shared>) {
    let (done, retired) = bounded(1);
    let order = Task::Reload(Box::new(Order { reload, done }));
    if shared.tasks.send(order).is_ok() {
        // Whoever stops the server waits for all who hold this.
        drop(shared);
        let_go(retired.recv().unwrap_or_default());
    }
}
