//! The only place with sockets, clocks and threads.
//!
//! ```text
//!  udp     one thread a socket     questions, in batches ------> query
//!  tcp     two tokio threads       questions ------------------> query
//!     '--- bounded queue --------> registrar, one thread ------> update, store
//!  reload  one thread              reads the files again -------> registrar
//!  pulse   one thread              shows that this process runs
//!  main thread                     waits for signals
//! ```
//!
//! A server stops in the order of that diagram: sockets first, then what they have queued, then what the store does not know
//! yet. Dropping a [`Server`] stops it as [`Server::stop`] does.

mod bind;
pub mod clock;
mod limiter;
mod mmsg;
mod observe;
mod registrar;
mod reload;
mod secret;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::{error, info, warn};

use crate::change::Change;
use crate::query::Scratch;
use crate::security::Cookies;
use crate::update::Registrar;
use crate::zone::ZoneSet;
use bind::{Bound, bind};
use clock::LeaseClock;
use observe::Observer;
use registrar::{GroupCommit, Task};
use udp::Worker;

pub use bind::ServeError;
pub use observe::Counters;
pub use registrar::Commit;
pub use reload::{Files, Read};
pub use secret::cookies;

/// Threads for TCP: one that composes a large answer does not hold up the connections of the other.
const TCP_THREADS: usize = 2;
/// How long a stop waits for TCP clients to take the replies that they are owed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What an operator decides about the sockets. Validated by config/: every number is at least 1.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to answer, over UDP and TCP alike. Port 0 takes a free port, the same for both.
    pub listen: Vec<SocketAddr>,
    /// UDP worker threads for each address.
    pub workers: usize,
    /// Datagrams that a worker takes at a time; 5.4 KB each, and 1.5 KB for the question.
    pub batch: usize,
    /// Octets that the kernel holds for each UDP socket.
    pub receive_buffer_bytes: usize,
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
    counters: Arc<Counters>,
    leases: Arc<LeaseClock>,
    cookies: Arc<Cookies>,
    stopping: AtomicBool,
    scratches: AtomicU32,
}

impl Shared {
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
    /// `None` once stopped.
    running: Option<Running>,
}

/// What a stop takes apart.
struct Running {
    shared: Arc<Shared>,
    runtime: Runtime,
    stopping: watch::Sender<bool>,
    /// All permits back means that all connections are closed.
    connections: Arc<Semaphore>,
    connections_max: u32,
    workers: Vec<JoinHandle<()>>,
    registrar: JoinHandle<()>,
    ended: mpsc::Receiver<String>,
    alarm: mpsc::Sender<String>,
    /// Asks for the files to be read again, once somebody reads them.
    reload: Option<Sender<()>>,
}

/// Sockets that are bound and not yet served. Bound before the store is opened: a server that cannot be heard must not
/// spend its members' grace.
pub struct Listeners(Vec<Bound>);

impl Listeners {
    /// Binds every address of the settings.
    pub fn bind(settings: &Settings) -> Result<Self, ServeError> {
        Ok(Listeners(bind(settings)?))
    }
}

/// What a server begins with.
pub struct Desk<S> {
    /// The writing side, its zones published.
    pub registrar: Registrar,
    /// Where its changes last.
    pub store: S,
    /// Who came back from the store, for the log and the counters.
    pub restored: Vec<Change>,
}

/// Serves until SIGTERM or SIGINT, and what `files` say from time to time: when they move, and at each SIGHUP.
pub fn run<S: Commit + Send + 'static>(
    settings: &Settings,
    listeners: Listeners,
    zones: Arc<ArcSwap<ZoneSet>>,
    desk: Desk<S>,
    files: impl Files,
    moved: Receiver<()>,
) -> Result<(), ServeError> {
    let mut server = Server::start(settings, listeners, zones, desk)?;
    server.follow(files, moved)?;
    server.wait_for_signal()?;
    server.stop();
    Ok(())
}

impl Server {
    /// Starts to answer. Not to be called from async code.
    pub fn start<S: Commit + Send + 'static>(
        settings: &Settings,
        Listeners(bound): Listeners,
        zones: Arc<ArcSwap<ZoneSet>>,
        Desk { registrar, store, restored }: Desk<S>,
    ) -> Result<Self, ServeError> {
        let counters = Arc::new(Counters::new(settings.workers * settings.listen.len()));
        let (queue, tasks) = bounded(settings.update_queue);
        let (alarm, ended) = mpsc::channel(1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(TCP_THREADS)
            .thread_name("tcp")
            .enable_all()
            .build()
            .map_err(|source| ServeError::Start { what: "the TCP runtime", source })?;
        let cookies = Arc::clone(registrar.cookies());
        runtime.spawn(secret::roll_over(Arc::clone(&cookies), secret::SECRET_LIFE));
        let observer = Observer::new(Arc::clone(&counters));
        let leases = Arc::new(LeaseClock::new(clock::now_ms(), Arc::clone(&counters)));
        let clocks = Arc::downgrade(&leases);
        // Not waited for at a stop: it ends when nobody has the clock.
        spawn("pulse".to_owned(), alarm.clone(), move || clock::pulse(&clocks))?;
        let zones_of_desk = Arc::clone(&zones);
        let desk =
            GroupCommit::new(registrar, zones_of_desk, store, observer, Arc::clone(&leases), &restored);
        let registrar = spawn("registrar".to_owned(), alarm.clone(), move || desk.run(&tasks))?;
        // A semaphore counts in u32; more connections than that no machine has.
        let connections_max = u32::try_from(settings.tcp_connections).unwrap_or(u32::MAX);
        let connections_max = connections_max.min(Semaphore::MAX_PERMITS as u32);
        let shared = Shared {
            zones,
            tasks: queue,
            counters: Arc::clone(&counters),
            leases,
            cookies,
            stopping: AtomicBool::new(false),
            scratches: AtomicU32::new(0),
        };
        let mut running = Running {
            shared: Arc::new(shared),
            runtime,
            stopping: watch::Sender::new(false),
            connections: Arc::new(Semaphore::new(connections_max as usize)),
            connections_max,
            workers: Vec::new(),
            registrar,
            ended,
            alarm: alarm.clone(),
            reload: None,
        };
        let addresses = bound.iter().map(|bound| bound.address).collect();
        let started = running.listen(bound, settings, &alarm);
        // Made before the failure is returned, so that its drop ends what has started.
        let server = Server { addresses, counters, running: Some(running) };
        started.map(|()| server)
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
        // Not waited for at a stop: it may be in the middle of a large file, and holds nothing.
        spawn("reload".to_owned(), running.alarm.clone(), move || {
            reload::run(files, &asked, &moved, &shared);
        })?;
        Ok(())
    }

    /// Has the files read again.
    pub fn reload(&self) {
        ask(self.running.as_ref().and_then(|running| running.reload.as_ref()));
    }

    /// Waits for SIGTERM or SIGINT, or for a thread to fail; has the files read again at each SIGHUP, and logs the counters at
    /// each SIGUSR1.
    pub fn wait_for_signal(&mut self) -> Result<(), ServeError> {
        let Some(Running { runtime, ended, reload, .. }) = &mut self.running else { return Ok(()) };
        let counters = &self.counters;
        runtime.block_on(async {
            let listen =
                |kind| signal(kind).map_err(|source| ServeError::Start { what: "a signal handler", source });
            let mut terminate = listen(SignalKind::terminate())?;
            let mut interrupt = listen(SignalKind::interrupt())?;
            let mut hang_up = listen(SignalKind::hangup())?;
            let mut report = listen(SignalKind::user_defined1())?;
            loop {
                tokio::select! {
                    _ = terminate.recv() => return Ok(()),
                    _ = interrupt.recv() => return Ok(()),
                    _ = hang_up.recv() => ask(reload.as_ref()),
                    _ = report.recv() => counters.log(),
                    Some(thread) = ended.recv() => return Err(ServeError::Ended { thread }),
                }
            }
        })
    }

    /// Stops to listen, finishes the UPDATEs that are queued, stores what is not stored, and ends every thread. Takes up to
    /// a receive timeout, and longer only for TCP clients that do not take their replies. Not to be called from async code.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        let Some(running) = self.running.take() else { return };
        drop(running.reload);
        running.shared.stopping.store(true, Ordering::Relaxed);
        running.stopping.send_replace(true);
        running.workers.into_iter().for_each(join);
        let closed = running.connections.acquire_many(running.connections_max);
        if running.runtime.block_on(async { tokio::time::timeout(STOP_TIMEOUT, closed).await }).is_err() {
            warn!("TCP connections are cut: their clients did not take the replies");
        }
        running.runtime.shutdown_timeout(STOP_TIMEOUT);
        // The last sender: the registrar finishes the queue, then ends.
        drop(running.shared);
        join(running.registrar);
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

impl Running {
    /// Starts the workers and the accepting tasks of every address.
    fn listen(
        &mut self,
        bound: Vec<Bound>,
        settings: &Settings,
        alarm: &mpsc::Sender<String>,
    ) -> Result<(), ServeError> {
        let limits = tcp::Limits {
            places: tcp::Places::new(
                Arc::clone(&self.connections),
                self.connections_max,
                settings.tcp_client_connections,
                Duration::from_millis(settings.tcp_idle_ms),
            ),
            message: Duration::from_millis(settings.tcp_message_ms),
            pipeline: settings.tcp_pipeline,
        };
        // tokio's sockets register with the runtime that they are made in.
        let _inside = self.runtime.enter();
        for Bound { address, udp, tcp } in bound {
            for socket in udp {
                let number = self.workers.len();
                let shared = Arc::clone(&self.shared);
                let width = settings.batch;
                // Made on its own thread, which then is the first to touch its buffers.
                let body = move || Worker::new(shared, socket, number, width).run();
                self.workers.push(spawn(format!("udp-{number}"), alarm.clone(), body)?);
            }
            let listener = tokio::net::TcpListener::from_std(tcp)
                .map_err(|source| ServeError::Start { what: "a TCP listener", source })?;
            let shared = Arc::clone(&self.shared);
            self.runtime.spawn(tcp::accept(listener, shared, limits.clone(), self.stopping.subscribe()));
            info!(%address, "listening, UDP and TCP");
        }
        Ok(())
    }
}

/// Starts a thread that rings when it ends, however it ends.
fn spawn(
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

fn join(thread: JoinHandle<()>) {
    let name = thread.thread().name().unwrap_or_default().to_owned();
    if thread.join().is_err() {
        error!(thread = name, "the thread panicked; please report this with the log");
    }
}
