//! Every socket is bound before anything is served: a server that starts, starts whole.

use std::collections::HashSet;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use tracing::info;

use super::handover::{HandOverError, Inherited};
use super::{Settings, tcp, udp};

/// Attempts at a free port that both TCP and UDP can have. A UDP socket has taken the port that TCP was given about once in
/// 28,000 for each one open.
const FREE_PORT_ATTEMPTS: u32 = 16;

/// Why a server could not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody else has the address.
    #[error(
        "{transport} {address} is in use: stop the other server (`ss -lnp sport = :{port}` names it), take over from it \
         (`--take-over`, with its state directory) if it is a rollcall, or listen elsewhere",
        port = address.port()
    )]
    InUse {
        /// Which address.
        address: SocketAddr,
        /// `"UDP"` or `"TCP"`.
        transport: &'static str,
    },
    /// The same address twice: the second would find the first in the way.
    #[error("{address} is given twice: listen on it once")]
    Twice {
        /// Which address.
        address: SocketAddr,
    },
    /// The process may not bind the port.
    #[error(
        "no permission for {transport} {address}: ports below 1024 need root or CAP_NET_BIND_SERVICE \
         (`AmbientCapabilities=` in a systemd unit)"
    )]
    Denied {
        /// Which address.
        address: SocketAddr,
        /// `"UDP"` or `"TCP"`.
        transport: &'static str,
    },
    /// No interface has the address.
    #[error("no interface of this machine has {}: listen on another address, or on a wildcard", address.ip())]
    NotHere {
        /// Which address.
        address: SocketAddr,
    },
    /// Another failure of the socket calls.
    #[error("cannot listen on {transport} {address}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// `"UDP"` or `"TCP"`.
        transport: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// A thread, the TCP runtime or a signal handler could not be made.
    #[error("cannot start {what}")]
    Start {
        /// What was to start.
        what: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// The server that is there was to be taken over, and was not.
    #[error("not taken over: {0}")]
    HandOver(#[from] HandOverError),
    /// A thread ended although nobody asked it to: a defect, and the server is no longer whole.
    #[error("the {thread} thread ended by itself; please report this with the log")]
    Ended {
        /// Its name.
        thread: String,
    },
}

impl ServeError {
    fn of_bind(address: SocketAddr, transport: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => ServeError::InUse { address, transport },
            io::ErrorKind::PermissionDenied => ServeError::Denied { address, transport },
            io::ErrorKind::AddrNotAvailable => ServeError::NotHere { address },
            _ => ServeError::Bind { address, transport, source },
        }
    }
}

/// The sockets of one address.
pub struct Bound {
    /// The address, with the port that 0 became.
    pub address: SocketAddr,
    /// One for each worker.
    pub udp: Vec<UdpSocket>,
    /// For all connections.
    pub tcp: TcpListener,
}

/// Binds every address of the settings.
pub fn bind(settings: &Settings) -> Result<Vec<Bound>, ServeError> {
    bind_all(settings, Vec::new())
}

/// The same, with sockets that another process has bound where there are any. Whatever that process has, this one serves on all
/// sockets of an address: what waits in one that is closed would be lost. More are bound if more workers are wanted.
pub fn bind_all(settings: &Settings, mut inherited: Vec<Inherited>) -> Result<Vec<Bound>, ServeError> {
    if let Some(address) = given_twice(&settings.listen) {
        return Err(ServeError::Twice { address });
    }
    let mut take = |fits: &dyn Fn(SocketAddr) -> bool| {
        let place = inherited.iter().position(|inherited| fits(inherited.address))?;
        Some(inherited.swap_remove(place))
    };
    // Port 0 takes any port that is left when all others have theirs.
    let mut taken: Vec<_> = settings.listen.iter().map(|&wanted| take(&|bound| bound == wanted)).collect();
    for (taken, wanted) in taken.iter_mut().zip(&settings.listen) {
        if wanted.port() == 0 {
            *taken = take(&|bound| bound.ip() == wanted.ip());
        }
    }
    for Inherited { address, .. } in inherited {
        info!(%address, "not listened on any more");
    }
    let bind = |(wanted, taken): (&SocketAddr, Option<Inherited>)| match taken {
        Some(inherited) => complete(inherited, settings),
        None => bind_address(*wanted, settings),
    };
    let bound: Vec<_> = settings.listen.iter().zip(taken).map(bind).collect::<Result<_, _>>()?;
    udp::set_busy_poll(bound.iter().flat_map(|bound| &bound.udp), settings.sockets.busy_poll_us);
    if let Some((address, socket)) = bound.first().and_then(|bound| Some((bound.address, bound.udp.first()?)))
    {
        udp::tell_cut_buffers(socket, &settings.sockets)
            .map_err(|error| ServeError::of_bind(address, "UDP", error))?;
    }
    Ok(bound)
}

fn complete(inherited: Inherited, settings: &Settings) -> Result<Bound, ServeError> {
    let Inherited { address, udp, tcp } = inherited;
    let more = settings.workers.saturating_sub(udp.len());
    let udp = udp.into_iter().map(|socket| udp::take_over(socket, address, &settings.sockets));
    let udp = udp.chain((0..more).map(|_| udp::bind(address, &settings.sockets))).collect::<io::Result<_>>();
    Ok(Bound { address, udp: udp.map_err(|error| ServeError::of_bind(address, "UDP", error))?, tcp })
}

/// The first address that is there again. Port 0 is another one each time.
fn given_twice(listen: &[SocketAddr]) -> Option<SocketAddr> {
    let mut seen = HashSet::new();
    listen.iter().find(|address| address.port() != 0 && !seen.insert(**address)).copied()
}

fn bind_address(address: SocketAddr, settings: &Settings) -> Result<Bound, ServeError> {
    let mut attempts = if address.port() == 0 { FREE_PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_once(address, settings) {
            Err(ServeError::InUse { .. }) if attempts > 0 => {}
            bound => return bound,
        }
    }
}

/// TCP first: its port cannot be shared, so a second rollcall stops there. Its UDP sockets alone would share the port with
/// ours (SO_REUSEPORT) and quietly take half of the questions.
fn bind_once(address: SocketAddr, settings: &Settings) -> Result<Bound, ServeError> {
    let tcp = tcp::bind(address).map_err(|error| ServeError::of_bind(address, "TCP", error))?;
    let address = tcp.local_addr().map_err(|error| ServeError::of_bind(address, "TCP", error))?;
    let udp = (0..settings.workers).map(|_| udp::bind(address, &settings.sockets));
    let udp = udp.collect::<io::Result<_>>();
    Ok(Bound { address, udp: udp.map_err(|error| ServeError::of_bind(address, "UDP", error))?, tcp })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_given_twice_is_named() {
        let given = |listen: &[&str]| {
            let listen: Vec<_> = listen.iter().map(|text| text.parse().unwrap()).collect();
            given_twice(&listen).map(|address| ServeError::Twice { address }.to_string())
        };
        let wanted = "[::1]:5300 is given twice: listen on it once";
        assert_eq!(given(&["[::1]:5300", "127.0.0.1:5300", "[0::1]:5300"]).as_deref(), Some(wanted));
        assert_eq!(given(&["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:53", "[::1]:53"]), None);
    }
}
