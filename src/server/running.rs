//! What runs: sockets and threads, from the gate behind which they wait to the stop that takes them apart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::Sender;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, watch};
use tracing::{info, warn};

use super::bind::Bound;
use super::handover::{Sockets, Talk};
use super::threads::{Gate, join, spawn};
use super::udp::Worker;
use super::{ServeError, Settings, Shared, tcp};

/// How long a stop waits for TCP clients to take the replies that they are owed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// A listener, and what its clients may take up.
pub struct Accepting {
    address: SocketAddr,
    listener: TcpListener,
    limits: tcp::Limits,
}

/// What a stop takes apart.
pub struct Running {
    pub shared: Arc<Shared>,
    pub runtime: Runtime,
    pub stopping: watch::Sender<bool>,
    /// All permits back means that all connections are closed.
    pub connections: Arc<Semaphore>,
    pub connections_max: u32,
    /// Before which every thread waits.
    pub gate: Gate,
    /// Listeners that wait for it too.
    pub accepting: Vec<Accepting>,
    /// For a process that takes over.
    pub sockets: Arc<Sockets>,
    pub workers: Vec<JoinHandle<()>>,
    pub registrar: JoinHandle<()>,
    pub ended: mpsc::Receiver<String>,
    pub alarm: mpsc::Sender<String>,
    /// Asks for the files to be read again, once somebody reads them.
    pub reload: Option<Sender<()>>,
    /// Who lets others take over.
    pub hand_over: Option<JoinHandle<()>>,
    /// The process that takes over, until it is told that this one has stopped.
    pub successor: mpsc::Receiver<(Talk, u32)>,
    pub handed: mpsc::Sender<(Talk, u32)>,
}

impl Running {
    /// Makes the workers and the listeners of every address. None of them begins before [`Running::open`].
    pub fn listen(&mut self, bound: Vec<Bound>, settings: &Settings) -> Result<(), ServeError> {
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
        let of_tcp = |source| ServeError::Start { what: "a TCP listener", source };
        let mut sockets = Sockets::default();
        // tokio's sockets register with the runtime that they are made in.
        let _inside = self.runtime.enter();
        for Bound { address, udp, tcp } in bound {
            for socket in udp {
                let socket = Arc::new(socket);
                sockets.udp.push(Arc::clone(&socket));
                let (number, width) = (self.workers.len(), settings.batch);
                let (shared, gate) = (Arc::clone(&self.shared), self.gate.clone());
                // Made on its own thread, which then is the first to touch its buffers.
                let body = move || {
                    let worker = Worker::new(shared, socket, number, width);
                    if gate.wait() {
                        worker.run();
                    }
                };
                self.workers.push(spawn(format!("udp-{number}"), self.alarm.clone(), body)?);
            }
            sockets.tcp.push(tcp.try_clone().map_err(of_tcp)?);
            let listener = TcpListener::from_std(tcp).map_err(of_tcp)?;
            self.accepting.push(Accepting { address, listener, limits: limits.clone() });
        }
        self.sockets = Arc::new(sockets);
        Ok(())
    }

    /// Lets everybody begin.
    pub fn open(&mut self) {
        self.gate.open();
        for Accepting { address, listener, limits } in self.accepting.drain(..) {
            let (shared, stopping) = (Arc::clone(&self.shared), self.stopping.subscribe());
            self.runtime.spawn(tcp::accept(listener, shared, limits, stopping));
            info!(%address, "listening, UDP and TCP");
        }
    }

    /// As [`super::Server::stop`].
    pub fn halt(mut self) {
        drop(self.reload);
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.gate.give_up();
        // Its own descriptors of the listeners too: nobody is to knock at a door behind which nobody is.
        drop((self.accepting, self.sockets));
        self.stopping.send_replace(true);
        self.workers.into_iter().for_each(join);
        self.hand_over.into_iter().for_each(join);
        if let Ok((successor, pid)) = self.successor.try_recv()
            && let Err(error) = successor.yours()
        {
            warn!(%error, pid, "the process that takes over cannot be told that it may");
        }
        let closed = self.connections.acquire_many(self.connections_max);
        if self.runtime.block_on(async { tokio::time::timeout(STOP_TIMEOUT, closed).await }).is_err() {
            warn!("TCP connections are cut: their clients did not take the replies");
        }
        self.runtime.shutdown_timeout(STOP_TIMEOUT);
        // The last sender: the registrar finishes the queue, then ends.
        drop(self.shared);
        join(self.registrar);
    }
}
