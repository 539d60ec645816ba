//! An upgrade without a lost question: a new process gets the sockets themselves, with what waits in them, and then the store.
//!
//! ```text
//!  successor (`serve --take-over`)                  the server that is there
//!    reads its configuration and zones                answers, judges
//!    take-over ------------------------------------>  has its workers look up more often
//!    <------------------------------------ sockets
//!    binds what else it wants
//!    release -------------------------------------->  registrar: finishes its queue, flushes, closes the store, waits
//!    <----------------------------------- released    (questions are answered all the while; UPDATEs wait)
//!    opens the store, restores, publishes,
//!    starts its threads behind a gate
//!    ready ---------------------------------------->  stops to read; the kernel holds what comes
//!    <--------------------------------------- yours
//!    opens the gate                                   drains TCP, exits
//! ```
//!
//! Facts that the rest relies on:
//! 1. Never do two processes answer: the old one's UDP workers have ended before the new one reads a datagram, so nobody who has
//!    left is answered by a worker that does not know, and no serial goes back. In between, a few milliseconds, questions lie
//!    in sockets that both have open; none is lost.
//! 2. The old server decides. Until it has said `yours` the new one acknowledges nothing, and whatever goes wrong, its end
//!    included, the old one takes its store back and goes on as if nothing had been. Once it is `ready`, the new one gives up
//!    only if it is told so (`no`): if it hears nothing, the old one is gone, and somebody has to answer.
//! 3. What the old one's queue still holds at the end was not judged. UDP clients repeat it; TCP clients see their connection
//!    close without a reply, and come again.
//! 4. They talk over a socket in the state directory, which only its owner may enter, and which whoever holds that directory's
//!    lock may replace. The peer must be the same user or root: it gets every socket.

mod offer;
mod successor;

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use super::clock;
pub use offer::{Offer, Sockets, Terms};
pub use successor::{Inherited, Predecessor};

/// The socket's file in the state directory.
const FILE_NAME: &str = "rollcall.sock";
/// Of the words below. A server that speaks another one refuses, and goes on.
const VERSION: u32 = 1;
/// Octets of the longest word.
const WORD_MAX: usize = 4096;
/// Sockets in one message. The kernel takes up to 253.
const SOCKETS_EACH: usize = 64;
/// Sockets in all: more than any machine has addresses and cores for.
const SOCKETS_MAX: usize = 16_384;
/// How often who waits for a word looks whether it should still wait.
const TICK: Duration = Duration::from_millis(50);
/// How long a word may take to be written: one that has found its reader gone or hung.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// What the two say to each other, each as one message of a SOCK_SEQPACKET socket, in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "kebab-case")]
enum Word {
    /// Successor: gives me what you have.
    TakeOver {
        /// Its [`VERSION`].
        version: u32,
    },
    /// Server: so many sockets come with this, and more with the next word. Each says itself where it is bound, and whether it
    /// is UDP's or TCP's.
    Sockets {
        /// How many.
        count: usize,
        /// Whether these are not all.
        more: bool,
    },
    /// Successor: lets go of the store.
    Release,
    /// Server: it is free, and all that I know is in it.
    Released,
    /// Successor: I could begin.
    Ready,
    /// Server: I have ended; begin.
    Yours,
    /// Server: I go on; end.
    No {
        /// In words.
        why: String,
    },
}

/// Why there is no hand-over.
#[derive(Debug, thiserror::Error)]
pub enum HandOverError {
    /// A path in an address of a Unix socket has 107 octets.
    #[error("{}: too long for a socket's path, which has up to 107 octets; a shorter state directory lets servers be taken over",
        path.display())]
    PathTooLong {
        /// The socket's path.
        path: PathBuf,
    },
    /// The socket cannot be made or asked at.
    #[error("{}: {source}; check that this user may write there", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The other process belongs to another user.
    #[error("process {pid} belongs to user {uid}: only the server's own user and root may take over")]
    Stranger {
        /// The process.
        pid: i32,
        /// Its user.
        uid: u32,
    },
    /// The socket between the two failed.
    #[error("the other process cannot be heard: {0}")]
    Talk(#[from] io::Error),
    /// The other process closed its side, or ended.
    #[error("the other process has gone away")]
    Gone,
    /// It said nothing for too long.
    #[error("the other process has said nothing for {} s", .0.as_secs())]
    Silent(Duration),
    /// What it said makes no sense here.
    #[error(
        "the other process said what was not expected ({what}); they are of versions that cannot take over from each other"
    )]
    Unexpected {
        /// What it was.
        what: String,
    },
    /// Not all of the sockets arrived.
    #[error("{came} of {count} sockets came; this process may open too few files (LimitNOFILE=, ulimit -n)")]
    Lost {
        /// How many came.
        came: usize,
        /// How many were sent.
        count: usize,
    },
    /// The running server said why not.
    #[error("the running server goes on, and says: {why}")]
    Refused {
        /// In its words.
        why: String,
    },
    /// Our own registrar cannot let go.
    #[error("{0}")]
    NotReleased(String),
    /// This server stops.
    #[error("this server stops")]
    Stopping,
}

/// One side's end of the conversation.
#[derive(Debug)]
pub struct Talk(OwnedFd);

impl Talk {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(TICK))?;
        sockopt::set_socket_timeout(&socket, Timeout::Send, Some(SEND_TIMEOUT))?;
        Ok(Talk(socket))
    }

    /// The other process, which is this user's or root's.
    fn peer(&self) -> Result<u32, HandOverError> {
        let peer = sockopt::socket_peercred(&self.0).map_err(io::Error::from)?;
        let pid = peer.pid.as_raw_nonzero().get();
        if peer.uid != geteuid() && !peer.uid.is_root() {
            return Err(HandOverError::Stranger { pid, uid: peer.uid.as_raw() });
        }
        Ok(pid.unsigned_abs())
    }

    /// Says a word, with up to [`SOCKETS_EACH`] sockets.
    fn say(&self, word: &Word, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let octets = serde_json::to_vec(word)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_EACH))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("too many sockets for one message"));
        }
        let flags = SendFlags::NOSIGNAL;
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.0, &[IoSlice::new(&octets)], &mut control, flags)
        })?;
        Ok(())
    }

    /// Waits up to `limit` for a word, and the sockets that come with it; no longer once `is_over`.
    fn hear(
        &self,
        limit: Duration,
        is_over: impl Fn() -> bool,
    ) -> Result<(Word, Vec<OwnedFd>), HandOverError> {
        let deadline_ms = clock::now_ms().saturating_add(limit.as_millis() as u64);
        let mut octets = [0; WORD_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_EACH))];
        loop {
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let room = &mut [IoSliceMut::new(&mut octets)];
            let heard = match rustix::net::recvmsg(&self.0, room, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(heard) => heard,
                // The last: the peer has closed its side with a word of ours unread. That is told once, and before what it
                // said last.
                Err(Errno::AGAIN | Errno::INTR | Errno::CONNRESET) => {
                    if is_over() {
                        return Err(HandOverError::Stopping);
                    }
                    if clock::now_ms() >= deadline_ms {
                        return Err(HandOverError::Silent(limit));
                    }
                    continue;
                }
                Err(error) => return Err(HandOverError::Talk(error.into())),
            };
            let rights = control.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
                _ => None,
            });
            let sockets: Vec<_> = rights.flatten().collect();
            if heard.bytes == 0 {
                return Err(HandOverError::Gone);
            }
            let octets = octets.get(..heard.bytes).unwrap_or_default();
            let word = serde_json::from_slice(octets).map_err(|_| HandOverError::Unexpected {
                what: String::from_utf8_lossy(octets).chars().take(60).collect(),
            })?;
            return match word {
                Word::Sockets { count, .. }
                    if count != sockets.len() || heard.flags.contains(ReturnFlags::CTRUNC) =>
                {
                    Err(HandOverError::Lost { came: sockets.len(), count })
                }
                Word::No { why } => Err(HandOverError::Refused { why }),
                word => Ok((word, sockets)),
            };
        }
    }

    /// Waits for this word, and no other.
    fn expect(
        &self,
        wanted: &Word,
        limit: Duration,
        is_over: impl Fn() -> bool,
    ) -> Result<(), HandOverError> {
        match self.hear(limit, is_over)? {
            (word, _) if word == *wanted => Ok(()),
            (word, _) => Err(unexpected(&word)),
        }
    }

    /// Says a word, and waits for the answer. That it cannot be said is no answer: the other may have said why before it closed.
    fn ask(&self, word: &Word, wanted: &Word, limit: Duration) -> Result<(), HandOverError> {
        _ = self.say(word, &[]);
        self.expect(wanted, limit, || false)
    }

    /// Has ended, so that the successor may begin.
    pub fn yours(&self) -> io::Result<()> {
        self.say(&Word::Yours, &[])
    }
}

fn unexpected(word: &Word) -> HandOverError {
    HandOverError::Unexpected { what: serde_json::to_string(word).unwrap_or_default() }
}

/// A socket that keeps messages apart, and tells when the other side is gone.
fn seqpacket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// Where servers of this state directory talk.
fn place(state: &Path) -> Result<(PathBuf, SocketAddrUnix), HandOverError> {
    let path = state.join(FILE_NAME);
    match SocketAddrUnix::new(&path) {
        Ok(address) => Ok((path, address)),
        Err(Errno::NAMETOOLONG) => Err(HandOverError::PathTooLong { path }),
        Err(error) => Err(HandOverError::Socket { path, source: error.into() }),
    }
}
