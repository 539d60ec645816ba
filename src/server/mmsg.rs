//! Many datagrams a system call: `recvmmsg` and `sendmmsg`, the address that each datagram was sent to, and whole datagrams
//! or none.
//!
//! The one file with `unsafe`: socket2, rustix and quinn-udp each lack one of the two calls. A [`Batch`] owns every buffer
//! that the kernel is pointed at. The pointers are set anew before each call, from the buffers as they then lie, so a batch
//! may move between calls and no pointer outlives the borrow it was made from.
//!
//! A socket bound to a wildcard address is told where each datagram went (IP_PKTINFO, IPV6_RECVPKTINFO), and the reply
//! leaves from there: without it the kernel picks the source by route, and a client that asked another of our addresses
//! drops the reply.

#![allow(unsafe_code, reason = "the socket calls that no safe wrapper has")]

#[cfg(test)]
mod tests;

use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::ptr;

use crate::wire::{UDP_PAYLOAD_MAX, cut};

/// Octets of the largest datagram taken. OPT advertises 1232, but an UPDATE with a long RRset arrives in fragments all the
/// same; past this size clients use TCP.
pub const REQUEST_MAX: usize = 4096;
/// Octets of the largest reply written in place.
pub const REPLY_MAX: usize = UDP_PAYLOAD_MAX as usize;

/// Octets of control data: one packet information, of the larger family.
// SAFETY: CMSG_SPACE is arithmetic on its argument.
const CONTROL_MAX: usize = unsafe { libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as u32) } as usize;

/// Control data, aligned as the kernel's header of it.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_MAX]);

/// Who sent a datagram and which of our addresses it was sent to: all that a reply needs.
#[derive(Clone, Copy)]
pub struct Peer {
    /// A `sockaddr_in` or a `sockaddr_in6`, as `sin6_family` says: both begin with it, and the latter has room for either.
    name: libc::sockaddr_in6,
    name_len: libc::socklen_t,
    /// Packet information with the interface cleared; none on a socket with an address of its own.
    control: Control,
    control_len: usize,
}

impl Peer {
    fn unknown() -> Self {
        Peer {
            // SAFETY: sockaddr_in6 is integers, for which zeroes are values.
            name: unsafe { mem::zeroed() },
            name_len: 0,
            control: Control([0; CONTROL_MAX]),
            control_len: 0,
        }
    }

    /// The sender's address and port.
    pub fn address(&self) -> SocketAddr {
        if i32::from(self.name.sin6_family) == libc::AF_INET {
            // SAFETY: a sockaddr_in is smaller than a sockaddr_in6, no more aligned, and all integers.
            let name = unsafe { ptr::from_ref(&self.name).cast::<libc::sockaddr_in>().read() };
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            return SocketAddr::from((ip, u16::from_be(name.sin_port)));
        }
        let ip = Ipv6Addr::from(self.name.sin6_addr.s6_addr);
        let port = u16::from_be(self.name.sin6_port);
        SocketAddr::V6(SocketAddrV6::new(ip, port, self.name.sin6_flowinfo, self.name.sin6_scope_id))
    }

    /// Points a header at this peer, to send to it.
    fn address_to(&mut self, header: &mut libc::msghdr) {
        header.msg_name = ptr::from_mut(&mut self.name).cast();
        header.msg_namelen = self.name_len;
        header.msg_control = match self.control_len {
            0 => ptr::null_mut(),
            _ => self.control.0.as_mut_ptr().cast(),
        };
        header.msg_controllen = self.control_len as _;
    }

    /// Points a header at this peer, to be filled with whoever sent the datagram.
    fn receive_from(&mut self, header: &mut libc::msghdr) {
        header.msg_name = ptr::from_mut(&mut self.name).cast();
        header.msg_namelen = size_of::<libc::sockaddr_in6>() as _;
        header.msg_control = self.control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_MAX as _;
    }

    /// Takes over the lengths that the kernel wrote, and clears the interface in the packet information: the address is
    /// to be echoed, but the way back is the routing table's. A link-local peer carries its interface in its own address.
    fn received(&mut self, header: &libc::msghdr) {
        self.name_len = header.msg_namelen;
        self.control_len = header.msg_controllen as _;
        if self.control_len < size_of::<libc::cmsghdr>() {
            return;
        }
        let header = self.control.0.as_mut_ptr().cast::<libc::cmsghdr>();
        // SAFETY: the control data are aligned for their header, and the kernel has written at least that much of them.
        let first = unsafe { header.read() };
        // SAFETY: the data follow the header, within the same array.
        let data = unsafe { libc::CMSG_DATA(header) };
        match (first.cmsg_level, first.cmsg_type) {
            // SAFETY: a header of this type is followed by an in_pktinfo, aligned as the header is, and CONTROL_MAX has room for
            // all of it whatever the kernel wrote.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => unsafe {
                (*data.cast::<libc::in_pktinfo>()).ipi_ifindex = 0;
            },
            // SAFETY: as above, for an in6_pktinfo.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => unsafe {
                (*data.cast::<libc::in6_pktinfo>()).ipi6_ifindex = 0;
            },
            // Nothing else was asked for; what is not understood is not echoed.
            _ => self.control_len = 0,
        }
    }
}

/// One datagram's place in a batch.
struct Message {
    request: [u8; REQUEST_MAX],
    request_len: usize,
    reply: [u8; REPLY_MAX],
    reply_len: usize,
    peer: Peer,
}

/// Room for so many datagrams and their replies, reused for each batch.
pub struct Batch {
    messages: Box<[Message]>,
    iovecs: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    received: usize,
    oversized: u64,
    /// Which of the replies last sent were too long for the link, counting from 0.
    too_long: Vec<usize>,
}

/// What became of replies that did not simply leave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Troubles {
    /// The kernel would not take them.
    pub unsent: u64,
    /// They were too long for the link, and left as [`cut`] makes them.
    pub shortened: u64,
}

impl Batch {
    /// A batch of up to `width` datagrams.
    pub fn new(width: usize) -> Self {
        let message = || Message {
            request: [0; REQUEST_MAX],
            request_len: 0,
            reply: [0; REPLY_MAX],
            reply_len: 0,
            peer: Peer::unknown(),
        };
        let iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
        Batch {
            messages: (0..width).map(|_| message()).collect(),
            iovecs: vec![iovec; width].into_boxed_slice(),
            // SAFETY: mmsghdr is integers and pointers, for which zeroes are values.
            headers: (0..width).map(|_| unsafe { mem::zeroed() }).collect(),
            received: 0,
            oversized: 0,
            too_long: Vec::with_capacity(width),
        }
    }

    /// Waits for a datagram and takes as many as there are, up to the width. 0 if the socket's timeout or a signal ended
    /// the wait.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.received = 0;
        self.oversized = 0;
        let places = self.messages.iter_mut().zip(&mut self.iovecs).zip(&mut self.headers);
        for ((message, iovec), header) in places {
            iovec.iov_base = message.request.as_mut_ptr().cast();
            iovec.iov_len = REQUEST_MAX;
            header.msg_hdr.msg_iov = iovec;
            header.msg_hdr.msg_iovlen = 1;
            message.peer.receive_from(&mut header.msg_hdr);
        }
        // SAFETY: every header points at an iovec, a name and control data of its own, with their lengths, in buffers that
        // `self` owns and nobody else touches during the call.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as _,
                libc::MSG_WAITFORONE as _,
                ptr::null_mut(),
            )
        };
        let Ok(received) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        };
        self.received = received;
        for (message, header) in self.messages.iter_mut().zip(&self.headers).take(received) {
            let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            self.oversized += u64::from(cut);
            message.request_len = if cut { 0 } else { header.msg_len as usize };
            message.reply_len = 0;
            message.peer.received(&header.msg_hdr);
        }
        Ok(received)
    }

    /// Datagrams of the last batch that were longer than [`REQUEST_MAX`]; their requests read as empty.
    pub fn oversized(&self) -> u64 {
        self.oversized
    }

    /// Datagram `i` of the last batch.
    pub fn request(&self, i: usize) -> &[u8] {
        self.messages
            .get(i)
            .and_then(|message| message.request.get(..message.request_len))
            .unwrap_or_default()
    }

    /// Datagram `i` and the room for its reply.
    pub fn reply_buffer(&mut self, i: usize) -> (&[u8], &mut [u8]) {
        let Some(message) = self.messages.get_mut(i) else { return (&[], &mut []) };
        (message.request.get(..message.request_len).unwrap_or_default(), &mut message.reply)
    }

    /// Says that the reply to datagram `i` has `len` octets; without it nothing is sent.
    pub fn set_reply(&mut self, i: usize, len: usize) {
        if let Some(message) = self.messages.get_mut(i) {
            message.reply_len = len.min(REPLY_MAX);
        }
    }

    /// Who sent datagram `i`.
    pub fn peer(&self, i: usize) -> Option<&Peer> {
        self.messages.get(i).map(|message| &message.peer)
    }

    /// Sends the replies that were set. One that is too long for the link goes again with TC set, so that the client comes
    /// by TCP (RFC 9715 section 3.1). One that the kernel refuses (the peer's host is unreachable, a filter forbids it) is
    /// skipped: its client asks again, the others need not. A send buffer that is still full after the socket's timeout ends
    /// the batch.
    pub fn send(&mut self, socket: &UdpSocket) -> Troubles {
        let mut troubles = Troubles::default();
        loop {
            troubles.unsent += self.send_whole(socket);
            if self.too_long.is_empty() {
                self.received = 0;
                return troubles;
            }
            let replies =
                self.messages.iter_mut().take(self.received).filter(|message| message.reply_len > 0);
            for (i, message) in replies.enumerate() {
                let reply = message.reply.get_mut(..message.reply_len).unwrap_or_default();
                // What is as short as can be is not cut twice, so this comes to an end.
                let shorter = if self.too_long.contains(&i) { cut(reply) } else { None };
                troubles.shortened += u64::from(shorter.is_some());
                troubles.unsent += u64::from(shorter.is_none() && self.too_long.contains(&i));
                message.reply_len = shorter.unwrap_or_default();
            }
        }
    }

    /// Sends the replies that were set, but for those that are too long for the link: these it notes. Returns how many the
    /// kernel would not take otherwise.
    fn send_whole(&mut self, socket: &UdpSocket) -> u64 {
        let replies = self.messages.iter_mut().take(self.received).filter(|message| message.reply_len > 0);
        let mut count = 0;
        for ((message, iovec), header) in replies.zip(&mut self.iovecs).zip(&mut self.headers) {
            iovec.iov_base = message.reply.as_mut_ptr().cast();
            iovec.iov_len = message.reply_len;
            header.msg_hdr.msg_iov = iovec;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_flags = 0;
            message.peer.address_to(&mut header.msg_hdr);
            count += 1;
        }
        self.too_long.clear();
        let (mut unsent, mut done) = (0, 0);
        while let Some(rest @ [_, ..]) = self.headers.get_mut(done..count) {
            // SAFETY: every header in `rest` was pointed, in the loop above, at buffers that `self` owns; `set_reply` and `cut`
            // leave no reply longer than its buffer.
            let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), rest.len() as _, 0) };
            // The error is the first datagram's: the kernel reports one only when it has sent nothing.
            done += match (usize::try_from(sent), io::Error::last_os_error()) {
                (Ok(sent), _) if sent > 0 => sent,
                (_, error) if error.kind() == io::ErrorKind::Interrupted => 0,
                (_, error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                    self.too_long.push(done);
                    1
                }
                // The socket's timeout has passed once. Others wait too, and each reply for itself would make that seconds.
                (_, error) if error.kind() == io::ErrorKind::WouldBlock => {
                    unsent += rest.len() as u64;
                    rest.len()
                }
                _ => {
                    unsent += 1;
                    1
                }
            };
        }
        unsent
    }
}

/// Sends one reply to a peer of this socket. Never waits: a reply that finds the send buffer full is lost, and the client asks
/// again.
pub fn send_one(socket: &UdpSocket, reply: &[u8], peer: &Peer) -> io::Result<()> {
    let mut peer = *peer;
    let mut iovec = libc::iovec { iov_base: reply.as_ptr().cast_mut().cast(), iov_len: reply.len() };
    // SAFETY: msghdr is integers and pointers, for which zeroes are values.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut iovec;
    header.msg_iovlen = 1;
    peer.address_to(&mut header);
    loop {
        // SAFETY: the header points, with their lengths, at locals and at `reply`, all of which the kernel only reads.
        if unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) } >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Asks the kernel to tell which address each datagram was sent to: for sockets bound to a wildcard address.
pub fn ask_for_destination(socket: &socket2::Socket, address: SocketAddr) -> io::Result<()> {
    let (level, option) = match address {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    set(socket, level, option, 1)
}

/// Keeps datagrams whole (RFC 9715): fragments can be replaced by somebody who sees none of them, and get lost in firewalls.
///
/// Of Linux's ways, this one sets DF, does not believe what ICMP says of the path, and fails with EMSGSIZE where the link
/// itself is too narrow. The others lack something: IP_PMTUDISC_DO believes ICMP, which anybody can forge; _OMIT, which BIND
/// and Unbound use, and _INTERFACE leave DF clear, so that routers still make fragments.
pub fn never_fragment(socket: &socket2::Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE),
        SocketAddr::V6(_) => {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
        }
    }
}

/// Sets an option whose value is an int.
fn set(
    socket: &socket2::Socket,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the option's value is the int that the pointer and the length describe.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as _,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
