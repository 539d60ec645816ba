//! DNS over TCP (RFC 7766, RFC 9210): who may connect.

mod connection;
mod places;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use super::Shared;
use super::clock;
use super::counters::increment;
use super::limiter::{Limiter, SourceLimiter};
use connection::Connection;
use places::Full;
pub use places::Places;

/// Connections that the kernel completes while we are busy; it cuts this to net.core.somaxconn.
const BACKLOG: i32 = 1024;
/// How long the kernel repeats what a client does not acknowledge or has no room for, also after we have closed; its own limit
/// is a quarter of an hour. No `message_ms` is longer. SO_KEEPALIVE would find peers that are gone without a word no sooner
/// than our clocks do.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// After an accept that failed, mostly for want of file descriptors: one is free again when a connection has made room.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Refused connections logged a second, one for each client.
const REFUSALS_A_SECOND: u32 = 5;

/// A listening socket. A second server on the same port is refused, which SO_REUSEADDR alone, unlike the UDP workers'
/// SO_REUSEPORT, sees to. Connections inherit its options. No TCP Fast Open: what comes in a SYN may come twice, and UPDATEs
/// are not to be done twice.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    // Replies are written whole, so waiting to fill a segment only delays them.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What TCP clients may take up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections of all listeners, and how long they may rest.
    pub places: Arc<Places>,
    /// How long a request may take from its first octet to its last, and replies to be taken.
    pub message: Duration,
    /// UPDATEs that one connection may have open at a time.
    pub pipeline: usize,
}

/// Accepts until the server stops. Connections go on until their open UPDATEs are answered.
pub async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let (mut failures, mut refusals) = (Limiter::new(1), SourceLimiter::new(REFUSALS_A_SECOND));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => return,
        };
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            // The client has gone while it waited to be accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                let no_descriptor = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
                if !no_descriptor || somebody_waits(&listener) {
                    increment(&shared.counters.accepts_failed);
                    if failures.admits(clock::now_ms()) {
                        warn!(%error, "cannot accept; `[tcp] connections` may need more open files than the process may have");
                    }
                    if no_descriptor {
                        limits.places.free_descriptor();
                    }
                }
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        increment(&shared.counters.connections);
        // In this order: who has been accepted and has a place is served, also when the server stops.
        let taken = tokio::select! {
            biased;
            taken = limits.places.take(source.ip()) => taken,
            () = stopped(&mut stopping) => return,
        };
        match taken {
            Ok(held) => {
                let connection = Connection::new(stream, source, held, Arc::clone(&shared), &limits);
                tokio::spawn(connection.run(stopping.clone()));
            }
            // Dropped, hence closed: the client tries again or asks another server.
            Err(full) => refused(&shared, &mut refusals, source, full),
        }
    }
}

/// Whether a client is there to be accepted: accept(2) takes a descriptor before it looks, and fails without one although
/// nobody has come.
fn somebody_waits(listener: &TcpListener) -> bool {
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    // What cannot be asked is taken to be so: then a connection that rests is closed in vain.
    poll(&mut polled, Some(&Timespec::default())).is_err() || !polled[0].revents().is_empty()
}

fn refused(shared: &Shared, refusals: &mut SourceLimiter, source: SocketAddr, full: Full) {
    let (counter, reason) = match full {
        Full::Client => (
            &shared.counters.connections_over_client,
            "its client has as many as one may have (`[tcp] client_connections`)",
        ),
        Full::All => {
            (&shared.counters.connections_over, "there are too many, all of them busy (`[tcp] connections`)")
        }
    };
    increment(counter);
    if refusals.admits(source.ip(), reason, clock::now_ms()) {
        warn!(%source, reason, "TCP connection refused");
    }
}

/// Waits until the server stops. The lock that `wait_for` returns must not live across another wait.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and the server with it.
    _ = stopping.wait_for(|stopping| *stopping).await;
}
