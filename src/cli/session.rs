//! A connection to a running server, for the commands that talk to one: TCP, one message after the other (RFC 7766).

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::wire::Header;

/// How long a server may take to accept the connection, and for each answer. It is here or nearby.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a message has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Nobody accepts the connection.
    #[error(
        "no server answers at {server}, TCP ({error}): start it with `rollcall serve`, or say where it is with --server"
    )]
    NotThere { server: SocketAddr, error: io::Error },
    /// It was there, and went.
    #[error("the server at {server} did not answer ({error})")]
    Silent { server: SocketAddr, error: io::Error },
    /// It says nothing.
    #[error("the server at {server} took the message and did not answer within {} s", PATIENCE.as_secs())]
    Slow { server: SocketAddr },
    /// What came back is no answer to what was sent.
    #[error("what {server} says is no answer to a DNS message: is it a DNS server?")]
    NoAnswer { server: SocketAddr },
}

/// A server that listens.
pub(super) struct Connection {
    pub server: SocketAddr,
    stream: TcpStream,
}

impl Connection {
    pub fn open(server: SocketAddr) -> Result<Self, AskError> {
        let not_there = |error| AskError::NotThere { server, error };
        let stream = TcpStream::connect_timeout(&server, PATIENCE).map_err(not_there)?;
        let timed = stream.set_read_timeout(Some(PATIENCE)).and(stream.set_write_timeout(Some(PATIENCE)));
        timed.map_err(not_there)?;
        Ok(Connection { server, stream })
    }

    /// Sends a message and waits for the answer to it.
    pub fn exchange(&mut self, message: &[u8]) -> Result<Vec<u8>, AskError> {
        let server = self.server;
        let octets = self.send(message).map_err(|error| match error.kind() {
            // What a socket with a timeout says when it is over is the system's choice.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => AskError::Slow { server },
            _ => AskError::Silent { server, error },
        })?;
        let id = |message| Header::read(message).map(|header| header.id);
        let is_response = Header::read(&octets).is_some_and(|header| header.is_response());
        if is_response && id(&octets) == id(message) {
            Ok(octets)
        } else {
            Err(AskError::NoAnswer { server })
        }
    }

    fn send(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        let len = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.stream.write_all(&[&len.to_be_bytes(), message].concat())?;
        let mut len = [0; 2];
        self.stream.read_exact(&mut len)?;
        let mut octets = vec![0; usize::from(u16::from_be_bytes(len))];
        self.stream.read_exact(&mut octets)?;
        Ok(octets)
    }
}

/// A text that says nothing to a terminal: what a server says may be what others have registered.
pub(super) fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for char in text.chars() {
        if !char.is_control() {
            plain.push(char);
            continue;
        }
        let mut octets = [0; 4];
        for octet in char.encode_utf8(&mut octets).bytes() {
            plain += &format!("\\{octet:03}");
        }
    }
    plain
}
