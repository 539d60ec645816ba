//! Threads that somebody notices when they end, and that wait until the server is open.

use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc;
use tracing::error;

use super::ServeError;

/// What threads wait at before they answer or judge anybody: a server that takes over is whole, up to the last thread, before
/// it is told that it may begin, and then it begins at once.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<OnceLock<bool>>);

impl Gate {
    /// Lets all through, now and later.
    pub fn open(&self) {
        _ = self.0.set(true);
    }

    /// Sends all home, unless they were let through before.
    pub fn give_up(&self) {
        _ = self.0.set(false);
    }

    /// Waits for either. Whether it is open.
    pub fn wait(&self) -> bool {
        *self.0.wait()
    }
}

/// Starts a thread that rings when it ends, however it ends.
pub fn spawn(
    name: String,
    alarm: mpsc::Sender<String>,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, ServeError> {
    let bell = Bell { alarm, thread: name.clone() };
    let body = move || {
        let _bell = bell;
        body();
    };
    thread::Builder::new()
        .name(name)
        .spawn(body)
        .map_err(|source| ServeError::Start { what: "a thread", source })
}

struct Bell {
    alarm: mpsc::Sender<String>,
    thread: String,
}

impl Drop for Bell {
    fn drop(&mut self) {
        // One is enough: when the channel is full, somebody else has rung.
        _ = self.alarm.try_send(std::mem::take(&mut self.thread));
    }
}

/// Waits until a thread has ended.
pub fn join(thread: JoinHandle<()>) {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    if thread.join().is_err() {
        error!(thread = name, "the thread panicked; please report this with the log");
    }
}
