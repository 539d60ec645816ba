//! DNS over TCP (RFC 7766): many requests on a connection, each answered when it is ready.
//!
//! A connection is one task. It answers questions where it stands; UPDATEs go to the registrar, and meanwhile the task reads
//! on: replies leave in the order in which they are ready (RFC 7766 section 6.2.1.1). What a connection may hold is bounded:
//! one message and what one read adds to it, one buffer of replies, and `pipeline` UPDATEs. A client that does not read its
//! replies is not read from either, and is closed when a write takes too long. At rest a connection holds no buffer at all.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::Shared;
use super::clock;
use super::observe::{Event, Tally, increment};
use super::registrar::{Job, ReplyTo, Task};
use crate::query::{self, Context, CookieTerms, Outcome, Scratch, Transport};
use crate::wire::{HEADER_LEN, Question};

/// Connections that the kernel completes while we are busy; it cuts this to net.core.somaxconn.
const BACKLOG: i32 = 1024;
/// Octets asked of the socket at a time: most clients' requests fit many times over.
const READ_BYTES: usize = 4096;
/// Replies gathered before they are written although more requests are at hand.
const GATHER_BYTES: usize = 16 * 1024;
/// Octets of the length before each message.
const LENGTH_LEN: usize = 2;
/// Octets of the longest message: what that length can say.
const MESSAGE_MAX: usize = u16::MAX as usize;
/// After an accept that failed, mostly for want of file descriptors: some are free again when connections time out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A listening socket. A second server on the same port is refused, which SO_REUSEADDR alone, unlike the UDP workers'
/// SO_REUSEPORT, sees to.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What TCP clients may take up.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections of all listeners that may still be opened.
    pub connections: Arc<Semaphore>,
    /// How long a connection may bring no whole request and get no reply, or leave replies untaken.
    pub idle: Duration,
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
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stopping) => return,
        };
        let (stream, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "cannot accept");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        increment(&shared.counters.connections);
        let Ok(permit) = Arc::clone(&limits.connections).try_acquire_owned() else {
            // Dropped, hence closed: the client tries again or asks another server.
            increment(&shared.counters.connections_over);
            continue;
        };
        let connection = Connection::new(stream, source, Arc::clone(&shared), &limits);
        let stopping = stopping.clone();
        tokio::spawn(async move {
            connection.run(stopping).await;
            drop(permit);
        });
    }
}

/// Waits until the server stops. The lock that `wait_for` returns must not live across another wait.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, and the server with it.
    _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Why a connection ends before its client has closed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// Nothing whole came for too long, or a reply was not taken.
    Idle,
    /// A length below a header's (RFC 7766 section 8 leaves no way to find the next message).
    Malformed,
    /// The registrar's queue is full, so that the client learns at once what a UDP client learns by waiting.
    Busy,
    /// The socket failed.
    Lost,
}

struct Connection {
    stream: TcpStream,
    source: SocketAddr,
    shared: Arc<Shared>,
    idle: Duration,
    /// UPDATEs that may be with the registrar, and those that are.
    pipeline: usize,
    open: usize,
    to_here: mpsc::Sender<Option<Vec<u8>>>,
    replies: mpsc::Receiver<Option<Vec<u8>>>,
    /// Octets read and not yet understood.
    inbox: Vec<u8>,
    /// Replies with their lengths, not yet written.
    outbox: Vec<u8>,
    tally: Tally,
}

impl Connection {
    fn new(stream: TcpStream, source: SocketAddr, shared: Arc<Shared>, limits: &Limits) -> Self {
        let (to_here, replies) = mpsc::channel(limits.pipeline);
        Connection {
            stream,
            source,
            shared,
            idle: limits.idle,
            pipeline: limits.pipeline,
            open: 0,
            to_here,
            replies,
            inbox: Vec::new(),
            outbox: Vec::new(),
            tally: Tally::default(),
        }
    }

    async fn run(mut self, stopping: watch::Receiver<bool>) {
        // Replies are written whole, so waiting to fill a segment only delays them.
        _ = self.stream.set_nodelay(true);
        let end = self.serve(stopping).await;
        self.shared.counters.tcp.add(&mut self.tally);
        match end {
            Err(Closed::Idle) => increment(&self.shared.counters.connections_idle),
            Err(Closed::Malformed) => increment(&self.shared.counters.connections_malformed),
            Ok(()) | Err(Closed::Busy | Closed::Lost) => {}
        }
    }

    /// Serves until the client has closed its side, or the server stops, and no reply is outstanding.
    async fn serve(&mut self, mut stopping: watch::Receiver<bool>) -> Result<(), Closed> {
        let mut reading = true;
        let mut idle = pin!(sleep(self.idle));
        loop {
            if self.take_requests().await? {
                idle.as_mut().reset(Instant::now() + self.idle);
            }
            if !reading && self.open == 0 {
                return Ok(());
            }
            tokio::select! {
                ready = self.stream.readable(), if reading && self.open < self.pipeline => {
                    ready.map_err(|_| Closed::Lost)?;
                    reading = self.read()?;
                }
                // Never `None`: `to_here` is ours.
                Some(reply) = self.replies.recv(), if self.open > 0 => {
                    self.open -= 1;
                    self.put_reply(&reply.unwrap_or_default());
                    self.write().await?;
                    idle.as_mut().reset(Instant::now() + self.idle);
                }
                () = idle.as_mut() => return Err(Closed::Idle),
                () = stopped(&mut stopping), if reading => reading = false,
            }
        }
    }

    /// Reads what is there; `false` once the client has closed its side.
    fn read(&mut self) -> Result<bool, Closed> {
        self.inbox.reserve(READ_BYTES);
        match self.stream.try_read_buf(&mut self.inbox) {
            Ok(0) => Ok(false),
            Ok(_) => Ok(true),
            // Readiness is a hint (tokio's `readable`).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(_) => Err(Closed::Lost),
        }
    }

    /// Answers or hands over every whole request in the inbox, and writes the replies. Whether there was one.
    async fn take_requests(&mut self) -> Result<bool, Closed> {
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = inbox.as_slice();
        while self.open < self.pipeline
            && let Some(message) = next_message(rest)?
        {
            rest = rest.get(LENGTH_LEN + message.len()..).unwrap_or_default();
            self.take_request(message)?;
            if self.outbox.len() >= GATHER_BYTES {
                self.write().await?;
            }
        }
        let any = rest.len() < inbox.len();
        if any {
            self.inbox = rest.to_vec();
            self.shared.counters.tcp.add(&mut self.tally);
            self.write().await?;
        } else {
            self.inbox = inbox;
        }
        Ok(any)
    }

    fn take_request(&mut self, message: &[u8]) -> Result<(), Closed> {
        let event = ANSWERER.with_borrow_mut(|answerer| {
            let answerer = answerer.get_or_insert_with(|| Answerer::new(&self.shared));
            match answerer.answer(&self.shared, message, self.source.ip()) {
                Outcome::Reply(len, answered) => {
                    self.put_reply(answerer.out.get(..len).unwrap_or_default());
                    Event::Answered(answered)
                }
                Outcome::Registrar => Event::Queued,
                Outcome::Silence => Event::Silent,
            }
        });
        if event != Event::Queued {
            self.tally.count(event, 1);
            return Ok(());
        }
        let reply_to = ReplyTo::Tcp(self.to_here.clone());
        let received_ms = clock::now_ms();
        let job = Job { message: message.into(), source: self.source, received_ms, reply_to };
        if self.shared.tasks.try_send(Task::Judge(job)).is_err() {
            self.tally.count(Event::QueueFull, 1);
            return Err(Closed::Busy);
        }
        self.open += 1;
        self.tally.count(Event::Queued, 1);
        Ok(())
    }

    /// Adds a reply and its length to the outbox; an empty one is none.
    fn put_reply(&mut self, reply: &[u8]) {
        if let Ok(len) = u16::try_from(reply.len())
            && len > 0
        {
            self.outbox.extend_from_slice(&len.to_be_bytes());
            self.outbox.extend_from_slice(reply);
        }
    }

    async fn write(&mut self) -> Result<(), Closed> {
        if self.outbox.is_empty() {
            return Ok(());
        }
        let outbox = std::mem::take(&mut self.outbox);
        match timeout(self.idle, self.stream.write_all(&outbox)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Closed::Lost),
            Err(_) => Err(Closed::Idle),
        }
    }
}

/// The first whole message (RFC 7766 section 8: two octets of length before each); `None` if more octets must come first.
fn next_message(octets: &[u8]) -> Result<Option<&[u8]>, Closed> {
    let Some((len, rest)) = octets.split_first_chunk::<LENGTH_LEN>() else { return Ok(None) };
    let len = usize::from(u16::from_be_bytes(*len));
    if len < HEADER_LEN {
        return Err(Closed::Malformed);
    }
    Ok(rest.get(..len))
}

thread_local! {
    /// One a runtime thread: answering does not wait, so connections can share it, and none holds 64 KB at rest.
    static ANSWERER: RefCell<Option<Answerer>> = const { RefCell::new(None) };
}

struct Answerer {
    question: Question,
    scratch: Scratch,
    out: Box<[u8]>,
}

impl Answerer {
    fn new(shared: &Shared) -> Self {
        Answerer {
            question: Question::default(),
            scratch: shared.scratch(),
            out: vec![0; MESSAGE_MAX].into_boxed_slice(),
        }
    }

    fn answer(&mut self, shared: &Shared, message: &[u8], client: IpAddr) -> Outcome {
        let zones = shared.zones.load();
        let reading = query::read(&zones, message, &mut self.question);
        let Answerer { question, scratch, out } = self;
        let (transport, now_ms, cookies) = (Transport::Tcp, clock::now_ms(), &shared.cookies);
        let terms = || CookieTerms { cookies, client, now_s: clock::serial_s() };
        let cookie = question.has_cookie().then(terms);
        let context = Context { zones: &zones, transport, now_ms, reserved: 0, cookie };
        query::answer(&context, question, reading, message, scratch, out)
    }
}
