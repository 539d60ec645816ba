//! The server that is there: offers its sockets, and takes back what it lent if nobody makes good use of it.

use std::fs::{self, File, Permissions};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crossbeam_channel::bounded;
use rustix::net::sockopt::{self, Timeout};
use tracing::{info, warn};

use super::super::registrar::{Lending, Task};
use super::super::{Shared, udp};
use super::{HandOverError, SOCKETS_EACH, TICK, Talk, VERSION, Word, place, seqpacket};

/// Successors that wait while another one is served.
const BACKLOG: i32 = 4;
/// Between attempts to accept that fail.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// How long a worker waits for a question before it looks whether it is to stop, while a successor gets ready. Its own wait
/// would be one in which nobody answers.
const QUICK_RECEIVE_TIMEOUT: Duration = Duration::from_millis(4);

/// How long a successor may take.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// From the sockets until it asks for the store, and our registrar from then until it has let go.
    pub word: Duration,
    /// From the store until it is ready, in which it reads all of the store. Registration waits meanwhile, and who renews is
    /// taken for silent by those who answer.
    pub ready: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { word: Duration::from_secs(30), ready: Duration::from_secs(60) }
    }
}

/// Every socket that the server listens at.
#[derive(Debug, Default)]
pub struct Sockets {
    /// One for each worker.
    pub udp: Vec<Arc<UdpSocket>>,
    /// One for each address: another descriptor of what accepts connections.
    pub tcp: Vec<TcpListener>,
}

impl Sockets {
    fn borrowed(&self) -> Vec<BorrowedFd<'_>> {
        let udp = self.udp.iter().map(|socket| socket.as_fd());
        udp.chain(self.tcp.iter().map(|socket| socket.as_fd())).collect()
    }

    /// Has the workers look up so often: from their next wait on, which begins when this one is over.
    fn set_receive_timeout(&self, timeout: Duration) {
        for socket in &self.udp {
            if let Err(error) = socket.set_read_timeout(Some(timeout)) {
                warn!(%error, "cannot set how long a worker waits");
            }
        }
    }
}

/// A place at which successors ask. Its file is removed when it is dropped.
#[derive(Debug)]
pub struct Offer {
    listener: OwnedFd,
    path: PathBuf,
    terms: Terms,
}

impl Offer {
    /// Opens it in a state directory, in the place of one that a server has left that did not stop by itself. To be called
    /// by who holds the directory's lock.
    pub fn open(state: &Path, terms: Terms) -> Result<Self, HandOverError> {
        let (path, address) = place(state)?;
        let open = || -> io::Result<OwnedFd> {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = seqpacket()?;
            // On Linux the file gets the mode that its socket has: it is private from its first moment.
            File::from(listener.try_clone()?).set_permissions(Permissions::from_mode(0o600))?;
            sockopt::set_socket_timeout(&listener, Timeout::Recv, Some(TICK))?;
            rustix::net::bind(&listener, &address)?;
            rustix::net::listen(&listener, BACKLOG)?;
            Ok(listener)
        };
        match open() {
            Ok(listener) => Ok(Offer { listener, path, terms }),
            Err(source) => Err(HandOverError::Socket { path, source }),
        }
    }

    /// Serves successors until one has the store and is ready, or will be by the time that this server has stopped; it is
    /// returned with its process. `None` if the server stops without.
    pub(in super::super) fn run(self, shared: &Weak<Shared>, sockets: &Weak<Sockets>) -> Option<(Talk, u32)> {
        let is_over = || shared.upgrade().is_none_or(|shared| shared.stopping());
        while !is_over() {
            let talk = match rustix::net::accept_with(&self.listener, rustix::net::SocketFlags::CLOEXEC) {
                Ok(socket) => Talk::new(socket),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => continue,
                Err(error) => {
                    warn!(%error, "cannot accept a process that wants to take over");
                    thread::sleep(ACCEPT_PAUSE);
                    continue;
                }
            };
            let Ok(talk) = talk else { continue };
            let sockets = sockets.upgrade()?;
            match self.converse(&talk, shared, &sockets) {
                Ok(pid) => return Some((talk, pid)),
                Err(HandOverError::Stopping) => return None,
                Err(error) => {
                    warn!("nobody has taken over, and this server goes on: {error}");
                    // It may be gone.
                    _ = talk.say(&Word::No { why: error.to_string() }, &[]);
                }
            }
            sockets.set_receive_timeout(udp::RECEIVE_TIMEOUT);
        }
        None
    }

    /// Up to `ready`. Returns the successor's process.
    fn converse(
        &self,
        talk: &Talk,
        shared: &Weak<Shared>,
        sockets: &Arc<Sockets>,
    ) -> Result<u32, HandOverError> {
        let is_over = || shared.upgrade().is_none_or(|shared| shared.stopping());
        let pid = talk.peer()?;
        match talk.hear(self.terms.word, is_over)? {
            (Word::TakeOver { version: VERSION }, _) => {}
            (word, _) => return Err(super::unexpected(&word)),
        }
        info!(pid, "another process is about to take over");
        sockets.set_receive_timeout(QUICK_RECEIVE_TIMEOUT);
        thread::sleep(udp::RECEIVE_TIMEOUT);
        let all = sockets.borrowed();
        let mut chunks = all.chunks(SOCKETS_EACH).peekable();
        while let Some(chunk) = chunks.next() {
            let word = Word::Sockets { count: chunk.len(), more: chunks.peek().is_some() };
            talk.say(&word, chunk)?;
        }
        talk.expect(&Word::Release, self.terms.word, is_over)?;
        self.lend(talk, shared, is_over)?;
        Ok(pid)
    }

    /// Has the registrar release its store, and waits until the successor is ready, or this server stops. If neither comes to
    /// pass, the registrar takes the store back, as soon as `kept` is dropped.
    fn lend(
        &self,
        talk: &Talk,
        shared: &Weak<Shared>,
        is_over: impl Fn() -> bool,
    ) -> Result<(), HandOverError> {
        let (released, was_released) = bounded(1);
        let (kept, is_kept) = bounded(1);
        let task = Task::Release(Lending { released, is_kept });
        let shared = shared.upgrade().ok_or(HandOverError::Stopping)?;
        let busy = |_| HandOverError::NotReleased("its registrar is too busy; try again".to_owned());
        shared.tasks.send_timeout(task, self.terms.word).map_err(busy)?;
        // Whoever stops the server waits for all who hold this.
        drop(shared);
        was_released
            .recv_timeout(self.terms.word)
            .map_err(|_| HandOverError::NotReleased("its registrar is too busy; try again".to_owned()))?
            .map_err(HandOverError::NotReleased)?;
        talk.say(&Word::Released, &[])?;
        match talk.expect(&Word::Ready, self.terms.ready, is_over) {
            // If somebody ends us meanwhile, all the better that another process is about to answer: it has the store.
            Ok(()) | Err(HandOverError::Stopping) => {
                // The registrar waits for nothing else.
                _ = kept.send(());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        // Somebody may have tidied up.
        _ = fs::remove_file(&self.path);
    }
}
