//! A UDP socket as the workers use it, whether this process bound it or took it over, and what the kernel gave of what it was
//! asked for.
//!
//! A buffer's size is a limit, not memory: a socket in which nothing waits holds nothing. The kernel counts what a datagram
//! takes up, not its octets: 832 for a question or a short reply, 2,304 for a reply of 1,232. It doubles what it is
//! asked for, and cuts what is above net.core.rmem_max or net.core.wmem_max without a word.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tracing::{info, warn};

use super::super::mmsg;
use super::RECEIVE_TIMEOUT;

/// How long a full send buffer may hold up a worker before the rest of its batch is given up.
pub const SEND_TIMEOUT: Duration = Duration::from_millis(100);

/// What the kernel is asked for, for every UDP socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketSettings {
    /// SO_RCVBUF, octets.
    pub receive_buffer_bytes: usize,
    /// SO_SNDBUF, octets.
    pub send_buffer_bytes: usize,
    /// SO_BUSY_POLL, microseconds; 0 is off, whatever net.core.busy_read says.
    pub busy_poll_us: u32,
}

/// Binds one: shared port, no IPv4 on IPv6 sockets, no fragments, and told the asked address if it has none of its own.
pub fn bind(address: SocketAddr, settings: &SocketSettings) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    socket.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
    set_options(&socket, address, settings)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// A socket that another process has bound in the same way, as this one uses it. Both have it open, and what is set here holds
/// for both.
pub fn take_over(socket: UdpSocket, address: SocketAddr, settings: &SocketSettings) -> io::Result<UdpSocket> {
    let socket = Socket::from(socket);
    set_options(&socket, address, settings)?;
    Ok(socket.into())
}

/// All that may be set on a socket whether it is bound or not.
fn set_options(socket: &Socket, address: SocketAddr, settings: &SocketSettings) -> io::Result<()> {
    socket.set_recv_buffer_size(settings.receive_buffer_bytes)?;
    socket.set_send_buffer_size(settings.send_buffer_bytes)?;
    socket.set_write_timeout(Some(SEND_TIMEOUT))?;
    mmsg::never_fragment(socket, address)?;
    if address.ip().is_unspecified() {
        mmsg::ask_for_destination(socket, address)?;
    }
    Ok(())
}

/// Sets how long a worker that finds nothing asks the network card before it sleeps. A server that may not goes on without;
/// this is told once, for what one socket is denied, all are.
///
/// SO_PREFER_BUSY_POLL is left alone: it keeps a card's interrupts off for as long as somebody polls, which pays where a
/// thread does nothing else. A worker with nothing to do sleeps, and needs the interrupt.
pub fn set_busy_poll<'s>(sockets: impl Iterator<Item = &'s UdpSocket>, busy_poll_us: u32) {
    for socket in sockets {
        let Err(error) = SockRef::from(socket).set_busy_poll(busy_poll_us) else { continue };
        // A kernel that does not know it does not do it either.
        if busy_poll_us > 0 {
            warn!(
                busy_poll_us,
                "no busy polling: {error}; give the server CAP_NET_ADMIN (`AmbientCapabilities=` in a systemd unit) or the \
                 machine as much in net.core.busy_read, if its kernel can do it, or leave `busy_poll_us` out"
            );
        }
        return;
    }
}

/// Says which buffers the kernel cut. One socket shows it for all: the limits are the machine's.
pub fn tell_cut_buffers(socket: &UdpSocket, settings: &SocketSettings) -> io::Result<()> {
    let socket = SockRef::from(socket);
    let SocketSettings { receive_buffer_bytes, send_buffer_bytes, .. } = *settings;
    let granted_bytes = socket.recv_buffer_size()? / 2;
    if granted_bytes < receive_buffer_bytes {
        info!(granted_bytes, receive_buffer_bytes, "receive buffers cut: raise net.core.rmem_max");
    }
    let granted_bytes = socket.send_buffer_size()? / 2;
    if granted_bytes < send_buffer_bytes {
        info!(granted_bytes, send_buffer_bytes, "send buffers cut: raise net.core.wmem_max");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(socket: &UdpSocket) -> (usize, usize, u32) {
        let socket = SockRef::from(socket);
        (
            socket.recv_buffer_size().unwrap() / 2,
            socket.send_buffer_size().unwrap() / 2,
            socket.busy_poll().unwrap(),
        )
    }

    #[test]
    fn a_socket_has_the_buffers_asked_for_and_another_one_s_once_it_is_taken_over() {
        // No more than every kernel grants by default.
        let asked = |receive, send| SocketSettings {
            receive_buffer_bytes: receive,
            send_buffer_bytes: send,
            busy_poll_us: 0,
        };
        for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let socket = bind(address.parse().unwrap(), &asked(65_536, 131_072)).unwrap();
            set_busy_poll([&socket].into_iter(), 0);
            assert_eq!(granted(&socket), (65_536, 131_072, 0), "{address}");
            let bound = socket.local_addr().unwrap();
            let socket = take_over(socket, bound, &asked(131_072, 70_000)).unwrap();
            assert_eq!(granted(&socket), (131_072, 70_000, 0), "{address}");
            let timeout = socket.write_timeout().unwrap();
            assert_eq!((socket.local_addr().unwrap(), timeout), (bound, Some(SEND_TIMEOUT)));
        }
    }
}
