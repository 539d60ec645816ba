//! The process that takes over.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use socket2::{Socket, Type};
use tracing::{info, warn};

use super::{HandOverError, SOCKETS_MAX, Talk, VERSION, Word, place, seqpacket, unexpected};

/// How long the server may take for a word. Its registrar finishes its queue within that.
const WORD_TIMEOUT: Duration = Duration::from_secs(60);

/// The sockets of one address, as another process bound them.
#[derive(Debug)]
pub struct Inherited {
    /// Where.
    pub address: SocketAddr,
    /// One for each of its workers.
    pub udp: Vec<UdpSocket>,
    /// For all connections.
    pub tcp: TcpListener,
}

/// The server that is there, which is about to be taken over from.
#[derive(Debug)]
pub struct Predecessor(Talk);

impl Predecessor {
    /// Asks the server of this state directory for its sockets. `None` if there is none.
    pub fn ask(state: &Path) -> Result<Option<(Self, Vec<Inherited>)>, HandOverError> {
        let (path, address) = match place(state) {
            Ok(place) => place,
            // Then no server has offered anything there.
            Err(error @ HandOverError::PathTooLong { .. }) => {
                warn!("{error}");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let of_path = |source| HandOverError::Socket { path: path.clone(), source };
        let socket = seqpacket().map_err(of_path)?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) => {}
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => return Ok(None),
            Err(error) => return Err(of_path(error.into())),
        }
        let talk = Talk::new(socket).map_err(of_path)?;
        let pid = talk.peer()?;
        // If it cannot be said, the answer tells why.
        _ = talk.say(&Word::TakeOver { version: VERSION }, &[]);
        let mut sockets = Vec::new();
        loop {
            let more = match talk.hear(WORD_TIMEOUT, || false)? {
                (Word::Sockets { more, .. }, came) => {
                    sockets.extend(came);
                    more
                }
                (word, _) => return Err(unexpected(&word)),
            };
            if !more {
                break;
            }
            if sockets.len() >= SOCKETS_MAX {
                return Err(HandOverError::Unexpected { what: format!("over {SOCKETS_MAX} sockets") });
            }
        }
        info!(pid, sockets = sockets.len(), "taking over from the server that is there");
        Ok(Some((Predecessor(talk), sorted(sockets)?)))
    }

    /// Waits until the server has let go of the store.
    pub fn release(&self) -> Result<(), HandOverError> {
        self.0.ask(&Word::Release, &Word::Released, WORD_TIMEOUT)
    }

    /// Says that this process could begin, and waits until it may. The server decides: after an error it goes on. If it says
    /// neither, it is no more, or hangs; then this process must answer, for nobody else does.
    pub fn ready(self) -> Result<(), HandOverError> {
        match self.0.ask(&Word::Ready, &Word::Yours, WORD_TIMEOUT) {
            Ok(()) => info!("taken over"),
            Err(error @ HandOverError::Refused { .. }) => return Err(error),
            Err(error) => warn!("taken over without a word from the server that was there: {error}"),
        }
        Ok(())
    }
}

/// By address. Each socket says itself what it is.
fn sorted(sockets: Vec<OwnedFd>) -> io::Result<Vec<Inherited>> {
    let (mut inherited, mut datagrams) = (Vec::<Inherited>::new(), Vec::new());
    for socket in sockets {
        let socket = Socket::from(socket);
        let address = socket.local_addr()?.as_socket();
        match (address, socket.r#type()?) {
            (Some(address), Type::STREAM) => {
                inherited.push(Inherited { address, udp: Vec::new(), tcp: socket.into() });
            }
            (Some(address), Type::DGRAM) => datagrams.push((address, UdpSocket::from(socket))),
            // Of a kind that a later version has and this one has no use for.
            _ => {}
        }
    }
    for (address, socket) in datagrams {
        // Each address has both.
        if let Some(place) = inherited.iter_mut().find(|inherited| inherited.address == address) {
            place.udp.push(socket);
        }
    }
    Ok(inherited)
}
