//! The only place with sockets, clocks and threads.
//!
//! ```text
//!  udp     one thread a socket     questions, in batches ------> query
//!  tcp     two tokio threads       questions ------------------> query
//!     '--- bounded queue --------> registrar, one thread ------> update, store
//!  reload  one thread              reads the files again -------> registrar
//!  pulse   one thread              shows that this process runs
//!  hand-over  one thread           lends sockets and store ----> registrar
//!  log     one thread              writes what all of them say
//!  main thread                     waits for signals
//! ```
//!
//! A server stops in the order of that diagram: sockets first, then what they have queued, then what the store does not know
//! yet. Dropping a [`Server`] stops it as [`Server::stop`] does. A process that takes over gets the sockets from it while they
//! are open, and then the store: see `handover`.

mod bind;
pub mod clock;
mod counters;
mod handover;
mod limiter;
mod mmsg;
mod notify;
mod observe;
mod registrar;
mod reload;
mod running;
mod secret;
mod stderr;
mod tcp;
#[cfg(test)]
mod tests;
mod threads;
mod udp;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::{Level, debug, enabled, info, warn};

use crate::query::Scratch;
use crate::security::Cookies;
use crate::update::{self, Desk as HeartbeatDesk, Heartbeats, Registrar, Request, Restored, Taken};
use crate::wire::name_text;
use crate::zone::ZoneSet;
use bind::{Bound, bind, bind_all};
use clock::LeaseClock;
use handover::{Offer, Terms};
use notify::Notifier;
use observe::Observer;
use registrar::{GroupCommit, Task};
use running::Running;
use threads::{Gate, spawn};

pub use bind::ServeError;
pub use counters::Counters;
use counters::Event;
pub use handover::{HandOverError, Predecessor};
pub use registrar::Commit;
pub use reload::{Files, Read};
pub use secret::cookies;
pub use stderr::{flush_log, log_to_stderr};
pub use udp::SocketSettings;

/// Threads for TCP: one that composes a large answer does not hold up the connections of the other.
const TCP_THREADS: usize = 2;

/// What an operator decides about the sockets. Validated by config/: every number but `busy_poll_us` is at least 1.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to answer, over UDP and TCP alike. Port 0 takes a free port, the same for both.
    pub listen: Vec<SocketAddr>,
    /// UDP worker threads for each address.
    pub workers: usize,
    /// Datagrams that a worker takes at a time; 5.4 KB each, and 1.5 KB for the question.
    pub batch: usize,
    /// What the kernel is asked for, for each UDP socket.
    pub sockets: SocketSettings,
    /// TCP connections at a time.
    pub tcp_connections: usize,
    /// Those of one client: an IPv4 address, or an IPv6 network of 64 bits.
    pub tcp_client_connections: usize,
    /// Milliseconds after which a TCP connection without a request is closed (RFC 7766 section 6.2.3).
    pub tcp_idle_ms: u64,
    /// Milliseconds that a TCP request may take from its first octet to its last, and replies to be taken.
    pub tcp_message_ms: u64,
    /// UPDATEs that a TCP connection may have open at a time.
    pub tcp_pipeline: usize,
    /// UPDATEs that may wait for the registrar, up to 64 KB each.
    pub update_queue: usize,
}

/// What workers and connections answer from, hand over to, and count into.
struct Shared {
    zones: Arc<ArcSwap<ZoneSet>>,
    tasks: Sender<Task>,
    /// How many tasks may wait for one more to come by UDP.
    udp_share: usize,
    counters: Arc<Counters>,
    leases: Arc<LeaseClock>,
    cookies: Arc<Cookies>,
    heartbeats: Arc<Heartbeats>,
    stopping: AtomicBool,
    scratches: AtomicU32,
}

impl Shared {
    /// Takes a message that is no question: a heartbeat that is known is answered into `out`, the octets of which are told.
    fn take_heartbeat(
        &self,
        request: &Request<'_>,
        desk: &mut HeartbeatDesk,
        out: &mut [u8],
    ) -> Option<(usize, Event)> {
        let (len, taken) = self.heartbeats.take(request, clock::wall_s(), desk, out)?;
        let event = match taken {
            Taken::Renewed => Event::Heartbeat,
            Taken::Again => Event::Repeat,
        };
        if enabled!(Level::DEBUG) {
            let name = update::first_name(request.message).map(|name| name_text(name.as_slice()));
            debug!(source = %request.source, name, "{}", event.as_str());
        }
        Some((len, event))
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// A thread's own working memory, staggered against the others' (see [`crate::policy::Rotors`]).
    fn scratch(&self) -> Scratch {
        Scratch::new(self.scratches.fetch_add(1, Ordering::Relaxed), fastrand::u64(..))
    }
}

/// A running server.
pub struct Server {
    addresses: Vec<SocketAddr>,
    counters: Arc<Counters>,
    notifier: Arc<Notifier>,
    /// `None` once stopped.
    running: Option<Running>,
}

/// Sockets that are bound and not yet served. Bound before the store is opened: a server that cannot be heard must not
/// spend its members' grace.
pub struct Listeners(Vec<Bound>);

impl Listeners {
    /// Binds every address of the settings.
    pub fn bind(settings: &Settings) -> Result<Self, ServeError> {
        Ok(Listeners(bind(settings)?))
    }

    /// Asks the server of a state directory for its sockets, and binds what it has not. The server goes on meanwhile. Without
    /// a server there, everything is bound.
    pub fn take_over(settings: &Settings, state: &Path) -> Result<(Self, Option<Predecessor>), ServeError> {
        let Some((predecessor, inherited)) = Predecessor::ask(state)? else {
            info!(state = %state.display(), "no server is there to take over from: starting without");
            return Ok((Self::bind(settings)?, None));
        };
        Ok((Listeners(bind_all(settings, inherited)?), Some(predecessor)))
    }
}

/// What a server begins with.
pub struct Desk<S> {
    /// The writing side, its zones published.
    pub registrar: Registrar,
    /// Where its changes last.
    pub store: S,
    /// Who came back from the store, for the log and the counters.
    pub restored: Restored,
}

/// Why a server is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By SIGTERM or SIGINT.
    Asked,
    /// Another process has taken over.
    TakenOver,
}

/// Serves until SIGTERM or SIGINT, or until another process takes over, and what `files` say from time to time: when they move,
/// and at each SIGHUP. If there is a `predecessor`, it has released `state`, the directory of the store, and stops before
/// anybody is answered.
pub fn run<S: Commit + Send + 'static>(
    settings: &Settings,
    (listeners, predecessor): (Listeners, Option<Predecessor>),
    zones: Arc<ArcSwap<ZoneSet>>,
    desk: Desk<S>,
    (files, moved): (impl Files, Receiver<()>),
    state: &Path,
) -> Result<(), ServeError> {
    let mut server = Server::prepare(settings, listeners, zones, desk)?;
    server.notifier = Arc::new(Notifier::from_env());
    server.follow(files, moved)?;
    predecessor.map_or(Ok(()), Predecessor::ready)?;
    // Before anybody sees it answer, and may want the next one in its place.
    match Offer::open(state, Terms::default()) {
        Ok(offer) => server.offer(offer)?,
        Err(error) => warn!("this server cannot be taken over (`--take-over`), only restarted: {error}"),
    }
    server.open();
    server.notifier.ready();
    if server.wait()? == End::Asked {
        server.notifier.stopping();
    }
    server.stop();
    Ok(())
}

impl Server {
    /// Starts to answer. Not to be called from async code.
    pub fn start<S: Commit + Send + 'static>(
        settings: &Settings,
        listeners: Listeners,
        zones: Arc<ArcSwap<ZoneSet>>,
        desk: Desk<S>,
    ) -> Result<Self, ServeError> {
        let mut server = Self::prepare(settings, listeners, zones, desk)?;
        server.open();
        Ok(server)
    }

    /// Starts everything, behind a gate: nothing is read and nothing judged until it opens.
    fn prepare<S: Commit + Send + 'static>(
        settings: &Settings,
        Listeners(bound): Listeners,
        zones: Arc<ArcSwap<ZoneSet>>,
        Desk { registrar, store, restored }: Desk<S>,
    ) -> Result<Self, ServeError> {
        let counters = Arc::new(Counters::new(bound.iter().map(|bound| bound.udp.len()).sum()));
        let (queue, tasks) = bounded(settings.update_queue);
        let (alarm, ended) = mpsc::channel(1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(TCP_THREADS)
            .thread_name("tcp")
            .enable_all()
            .build()
            .map_err(|source| ServeError::Start { what: "the TCP runtime", source })?;
        let cookies = Arc::clone(registrar.cookies());
        let heartbeats = Arc::clone(registrar.heartbeats());
        runtime.spawn(secret::roll_over(Arc::clone(&cookies), secret::SECRET_LIFE));
        let observer = Observer::new(Arc::clone(&counters));
        let leases = Arc::new(LeaseClock::new(clock::now_ms(), Arc::clone(&counters)));
        let clocks = Arc::downgrade(&leases);
        // Not waited for at a stop: it ends when nobody has the clock.
        spawn("pulse".to_owned(), alarm.clone(), move || clock::pulse(&clocks))?;
        let zones_of_desk = Arc::clone(&zones);
        let desk =
            GroupCommit::new(registrar, zones_of_desk, store, observer, Arc::clone(&leases), &restored);
        let gate = Gate::default();
        let opened = gate.clone();
        // A server that was never open has nothing to store, and the store may be another process's.
        let body = move || {
            if opened.wait() {
                desk.run(&tasks);
            }
        };
        let registrar = spawn("registrar".to_owned(), alarm.clone(), body)?;
        // A semaphore counts in u32; more connections than that no machine has.
        let connections_max = u32::try_from(settings.tcp_connections).unwrap_or(u32::MAX);
        let connections_max = connections_max.min(Semaphore::MAX_PERMITS as u32);
        let shared = Shared {
            zones,
            tasks: queue,
            udp_share: udp::share_of(settings.update_queue),
            counters: Arc::clone(&counters),
            leases,
            cookies,
            heartbeats,
            stopping: AtomicBool::new(false),
            scratches: AtomicU32::new(0),
        };
        let (handed, successor) = mpsc::channel(1);
        let mut running = Running {
            shared: Arc::new(shared),
            runtime,
            stopping: watch::Sender::new(false),
            connections: Arc::new(Semaphore::new(connections_max as usize)),
            connections_max,
            gate,
            accepting: Vec::new(),
            sockets: Arc::default(),
            workers: Vec::new(),
            registrar,
            ended,
            alarm,
            reload: None,
            hand_over: None,
            handed,
            successor,
        };
        let addresses = bound.iter().map(|bound| bound.address).collect();
        let started = running.listen(bound, settings);
        let notifier = Arc::default();
        // Made before the failure is returned, so that its drop ends what has started.
        let server = Server { addresses, counters, notifier, running: Some(running) };
        started.map(|()| server)
    }

    /// Lets everybody begin.
    fn open(&mut self) {
        if let Some(running) = &mut self.running {
            running.open();
        }
    }

    /// What was bound, in the order of [`Settings::listen`], with the ports that 0 became.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The counters, which grow while the server runs.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Serves what the files say, whenever `moved` tells that they may have changed, or [`Server::reload`] is called.
    pub fn follow(&mut self, files: impl Files, moved: Receiver<()>) -> Result<(), ServeError> {
        let Some(running) = &mut self.running else { return Ok(()) };
        // One waiting request is as good as several.
        let (reload, asked) = bounded(1);
        running.reload = Some(reload);
        let shared = Arc::downgrade(&running.shared);
        let (gate, notifier) = (running.gate.clone(), Arc::clone(&self.notifier));
        // Not waited for at a stop: it may be in the middle of a large file, and holds nothing.
        spawn("reload".to_owned(), running.alarm.clone(), move || {
            if gate.wait() {
                reload::run(files, &asked, &moved, &shared, &notifier);
            }
        })?;
        Ok(())
    }

    /// Lets another process take over, which asks at `offer`.
    fn offer(&mut self, offer: Offer) -> Result<(), ServeError> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let (shared, sockets) = (Arc::downgrade(&running.shared), Arc::downgrade(&running.sockets));
        let handed = running.handed.clone();
        let body = move || {
            if let Some(successor) = offer.run(&shared, &sockets) {
                // Taken by who stops the server, which has room for one and waits for one.
                _ = handed.try_send(successor);
            }
        };
        running.hand_over = Some(spawn("hand-over".to_owned(), running.alarm.clone(), body)?);
        Ok(())
    }

    /// Has the files read again.
    pub fn reload(&self) {
        ask(self.running.as_ref().and_then(|running| running.reload.as_ref()));
    }

    /// Waits for SIGTERM or SIGINT, for another process to take over, or for a thread to fail; has the files read again at each
    /// SIGHUP, and logs the counters at each SIGUSR1.
    pub fn wait(&mut self) -> Result<End, ServeError> {
        let Some(Running { runtime, ended, reload, successor, handed, .. }) = &mut self.running else {
            return Ok(End::Asked);
        };
        let (counters, notifier) = (&self.counters, &self.notifier);
        runtime.block_on(async {
            let listen =
                |kind| signal(kind).map_err(|source| ServeError::Start { what: "a signal handler", source });
            let mut terminate = listen(SignalKind::terminate())?;
            let mut interrupt = listen(SignalKind::interrupt())?;
            let mut hang_up = listen(SignalKind::hangup())?;
            let mut report = listen(SignalKind::user_defined1())?;
            loop {
                tokio::select! {
                    // In this order: the thread that hands over ends when it has.
                    biased;
                    _ = terminate.recv() => return Ok(End::Asked),
                    _ = interrupt.recv() => return Ok(End::Asked),
                    _ = hang_up.recv() => ask(reload.as_ref()),
                    _ = report.recv() => counters.log(),
                    Some(next) = successor.recv() => {
                        notifier.succeeded_by(next.1);
                        info!(pid = next.1, "another process takes over");
                        // Where a stop finds it, whoever caused the stop.
                        _ = handed.try_send(next);
                        return Ok(End::TakenOver);
                    }
                    Some(thread) = ended.recv() => return Err(ServeError::Ended { thread }),
                }
            }
        })
    }

    /// Stops to listen, finishes the UPDATEs that are queued, stores what is not stored, and ends every thread. A process that
    /// has taken over is told as soon as nothing is read any more; then what is queued is its clients' to repeat. Takes up to
    /// a receive timeout, and longer only for TCP clients that do not take their replies. Not to be called from async code.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        let Some(running) = self.running.take() else { return };
        running.halt();
        self.counters.log();
    }
}

fn ask(reload: Option<&Sender<()>>) {
    if let Some(reload) = reload {
        // Full means that somebody has just asked.
        _ = reload.try_send(());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.halt();
    }
}
