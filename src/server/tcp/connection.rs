//! One connection (RFC 7766): many requests, each answered when it is ready.
//!
//! A connection is one task. It answers questions where it stands; UPDATEs go to the registrar, and meanwhile the task reads
//! on: replies leave in the order in which they are ready (RFC 7766 section 6.2.1.1). What a connection may hold is bounded:
//! one message and what one read adds to it, one buffer of replies, and `pipeline` UPDATEs. A client that does not read its
//! replies is not read from either, and is closed when a write takes too long. At rest a connection holds no buffer at all.
//!
//! Three clocks end a connection, never two at a time: a request that has begun has so long to become whole, replies so long
//! to be taken, and a connection with neither may rest so long. While the registrar has an UPDATE of the connection none
//! runs for its sake: every job gets its reply. When a connection ends, whatever it is owed goes first.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use super::super::Shared;
use super::super::clock;
use super::super::counters::{Event, Tally, increment};
use super::super::registrar::{Job, ReplyTo, Task};
use super::places::Held;
use super::{Limits, stopped};
use crate::query::{self, Context, CookieTerms, Outcome, Scratch, Transport};
use crate::update::{Desk, Request};
use crate::wire::{HEADER_LEN, Question};

/// Octets asked of the socket at a time: most clients' requests fit many times over.
const READ_BYTES: usize = 4096;
/// Replies gathered before they are written although more requests are at hand.
const GATHER_BYTES: usize = 16 * 1024;
/// Octets of the length before each message.
const LENGTH_LEN: usize = 2;
/// Octets of the longest message: what that length can say.
const MESSAGE_MAX: usize = u16::MAX as usize;
/// How long a connection that we close takes what its client still sends.
const LINGER: Duration = Duration::from_secs(1);

/// Why a connection ends before its client has closed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// It has rested for too long.
    Idle,
    /// It has made room for another.
    MadeRoom,
    /// A request took too long to become whole.
    Slow,
    /// A reply was not taken.
    Untaken,
    /// A length below a header's (RFC 7766 section 8 leaves no way to find the next message).
    Malformed,
    /// The registrar's queue is full, so that the client learns at once what a UDP client learns by waiting.
    Busy,
    /// The server stops.
    Stopped,
    /// The socket failed.
    Lost,
}

/// A connection, and what it has to do.
pub struct Connection {
    stream: TcpStream,
    source: SocketAddr,
    shared: Arc<Shared>,
    held: Held,
    /// As in [`Limits`].
    message: Duration,
    /// UPDATEs that may be with the registrar, and those that are.
    pipeline: usize,
    open: usize,
    to_here: mpsc::Sender<Option<Vec<u8>>>,
    replies: mpsc::Receiver<Option<Vec<u8>>>,
    /// Whether more requests are welcome; if not, why the connection ends once it owes nothing.
    reading: Result<(), Option<Closed>>,
    /// Octets read and not yet understood.
    inbox: Vec<u8>,
    /// Until when they must be a whole request, if they are the beginning of one.
    whole_by: Option<Instant>,
    /// Until when it may rest, if it does.
    rest_until: Instant,
    /// Replies with their lengths, not yet written.
    outbox: Vec<u8>,
    tally: Tally,
}

impl Connection {
    /// The connection of a client that has a place.
    pub fn new(
        stream: TcpStream,
        source: SocketAddr,
        held: Held,
        shared: Arc<Shared>,
        limits: &Limits,
    ) -> Self {
        let (to_here, replies) = mpsc::channel(limits.pipeline);
        Connection {
            stream,
            source,
            shared,
            rest_until: Instant::now() + held.idle().wait,
            held,
            message: limits.message,
            pipeline: limits.pipeline,
            open: 0,
            to_here,
            replies,
            reading: Ok(()),
            inbox: Vec::new(),
            whole_by: None,
            outbox: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Serves it until it ends, and says why in the counters.
    pub async fn run(mut self, stopping: watch::Receiver<bool>) {
        let end = self.serve(stopping).await;
        let counters = &self.shared.counters;
        counters.tcp.add(&mut self.tally);
        match end {
            Err(Closed::Idle) => increment(&counters.connections_idle),
            Err(Closed::MadeRoom) => increment(&counters.connections_made_room),
            Err(Closed::Slow | Closed::Untaken) => increment(&counters.connections_slow),
            Err(Closed::Malformed) => increment(&counters.connections_malformed),
            Ok(()) | Err(Closed::Busy | Closed::Stopped | Closed::Lost) => {}
        }
        // One that has rested till now could be asked to make room, and would not hear it.
        let may_have_unread =
            matches!(end, Err(Closed::Slow | Closed::Malformed | Closed::Busy | Closed::Stopped));
        if may_have_unread && self.held.wake() {
            self.part().await;
        }
    }

    /// Closes our side, then takes what the client still sends, for a moment. To close a socket with unread octets resets the
    /// connection, and the reset can overtake replies that are on their way (RFC 9293 section 3.6.1).
    async fn part(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let drain = async {
            loop {
                self.inbox.clear();
                // Most clients have sent nothing more, and a server that stops need not wait to hear so.
                match self.read() {
                    Ok(None) if self.reading == Err(Some(Closed::Stopped)) => return,
                    Ok(Some(0)) | Err(_) => return,
                    // Whoever sends without a pause must not keep the timeout from being looked at.
                    Ok(Some(_)) => yield_now().await,
                    Ok(None) if self.stream.readable().await.is_err() => return,
                    Ok(None) => {}
                }
            }
        };
        _ = timeout(LINGER, drain).await;
    }

    /// Serves until the client has closed its side, or the connection has to end, and no reply is outstanding.
    async fn serve(&mut self, mut stopping: watch::Receiver<bool>) -> Result<(), Closed> {
        let mut clock = pin!(sleep(Duration::ZERO));
        loop {
            self.take_requests().await?;
            if self.open == 0 {
                match self.reading {
                    Ok(()) => self.held.rest(),
                    Err(end) => return end.map_or(Ok(()), Err),
                }
            }
            let deadline = self.deadline();
            if let Some((at, _)) = deadline {
                clock.as_mut().reset(at);
            }
            let is_reading = self.reading.is_ok();
            tokio::select! {
                ready = self.stream.readable(), if is_reading && self.open < self.pipeline => {
                    ready.map_err(|_| Closed::Lost)?;
                    if self.read()? == Some(0) {
                        self.reading = Err(None);
                    }
                }
                // Never `None`: `to_here` is ours.
                Some(reply) = self.replies.recv(), if self.open > 0 => {
                    self.open -= 1;
                    self.put_reply(&reply.unwrap_or_default());
                    self.write().await?;
                    self.rest_until = Instant::now() + self.held.idle().wait;
                }
                () = clock.as_mut(), if deadline.is_some() => self.end(deadline.map(|(_, why)| why)),
                () = self.held.given_up(), if self.open == 0 => return Err(Closed::MadeRoom),
                () = stopped(&mut stopping), if is_reading => {
                    // What has come by now was asked in time: as much of it as two of the longest messages.
                    while self.inbox.len() <= MESSAGE_MAX && self.read()?.is_some_and(|len| len > 0) {}
                    self.reading = Err(Some(Closed::Stopped));
                }
            }
        }
    }

    /// Which clock runs, and what it ends the connection for.
    fn deadline(&mut self) -> Option<(Instant, Closed)> {
        let is_partial = self.reading.is_ok() && self.open < self.pipeline && !self.inbox.is_empty();
        if is_partial {
            let whole_by = *self.whole_by.get_or_insert_with(|| Instant::now() + self.message);
            return Some((whole_by, Closed::Slow));
        }
        // Nothing has begun, or it is us who do not read.
        self.whole_by = None;
        (self.reading.is_ok() && self.open == 0).then_some((self.rest_until, Closed::Idle))
    }

    /// Takes no more requests: what has come of the next one is of no use.
    fn end(&mut self, why: Option<Closed>) {
        self.reading = Err(why);
        self.inbox = Vec::new();
    }

    /// Reads what is there: so many octets, 0 once the client has closed its side, `None` if there is nothing.
    fn read(&mut self) -> Result<Option<usize>, Closed> {
        self.inbox.reserve(READ_BYTES);
        match self.stream.try_read_buf(&mut self.inbox) {
            Ok(len) => Ok(Some(len)),
            // Readiness is a hint (tokio's `readable`).
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(_) => Err(Closed::Lost),
        }
    }

    /// Answers or hands over every whole request in the inbox, and writes the replies.
    async fn take_requests(&mut self) -> Result<(), Closed> {
        let inbox = std::mem::take(&mut self.inbox);
        let mut rest = inbox.as_slice();
        while self.open < self.pipeline {
            let message = match next_message(rest) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(why) => {
                    self.end(Some(why));
                    return self.write().await;
                }
            };
            if !self.held.wake() {
                return Err(Closed::MadeRoom);
            }
            rest = rest.get(LENGTH_LEN + message.len()..).unwrap_or_default();
            if !self.take_request(message) {
                self.end(Some(Closed::Busy));
                return self.write().await;
            }
            if self.outbox.len() >= GATHER_BYTES {
                self.write().await?;
            }
        }
        if rest.len() == inbox.len() {
            self.inbox = inbox;
            return Ok(());
        }
        self.inbox = rest.to_vec();
        self.whole_by = None;
        self.shared.counters.tcp.add(&mut self.tally);
        self.write().await?;
        self.rest_until = Instant::now() + self.held.idle().wait;
        Ok(())
    }

    /// Answers a request or hands it over; `false` if the registrar's queue is full.
    fn take_request(&mut self, message: &[u8]) -> bool {
        let event = ANSWERER.with_borrow_mut(|answerer| {
            let answerer = answerer.get_or_insert_with(|| Answerer::new(&self.shared));
            match answerer.answer(&self.shared, message, self.source.ip(), &self.held) {
                Outcome::Reply(len, answered) => {
                    self.put_reply(answerer.out.get(..len).unwrap_or_default());
                    Event::Answered(answered)
                }
                Outcome::Registrar => answerer.beat(&self.shared, message, self.source.ip()).map_or(
                    Event::Queued,
                    |(len, event)| {
                        self.put_reply(answerer.out.get(..len).unwrap_or_default());
                        event
                    },
                ),
                Outcome::Silence => Event::Silent,
            }
        });
        if event != Event::Queued {
            self.tally.count(event, 1);
            return true;
        }
        let reply_to = ReplyTo::Tcp(self.to_here.clone());
        let received_ms = self.shared.leases.now().received_ms;
        let job = Job { message: message.into(), source: self.source, received_ms, reply_to };
        let is_queued = self.shared.tasks.try_send(Task::Judge(job)).is_ok();
        self.open += usize::from(is_queued);
        self.tally.count(if is_queued { Event::Queued } else { Event::QueueFull }, 1);
        is_queued
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
        match timeout(self.message, self.stream.write_all(&outbox)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Closed::Lost),
            Err(_) => Err(Closed::Untaken),
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
    heartbeats: Desk,
    out: Box<[u8]>,
}

impl Answerer {
    fn new(shared: &Shared) -> Self {
        Answerer {
            question: Question::default(),
            scratch: shared.scratch(),
            heartbeats: Desk::default(),
            out: vec![0; MESSAGE_MAX].into_boxed_slice(),
        }
    }

    /// Answers a heartbeat that is known: how long the reply is.
    fn beat(&mut self, shared: &Shared, message: &[u8], source: IpAddr) -> Option<(usize, Event)> {
        let received_ms = shared.leases.now().received_ms;
        let request = Request { message, source, transport: Transport::Tcp, received_ms };
        shared.take_heartbeat(&request, &mut self.heartbeats, &mut self.out)
    }

    fn answer(&mut self, shared: &Shared, message: &[u8], client: IpAddr, held: &Held) -> Outcome {
        let zones = shared.zones.load();
        let reading = query::read(&zones, message, &mut self.question);
        let Answerer { question, scratch, out, .. } = self;
        let (transport, now_ms, cookies) = (Transport::Tcp, shared.leases.now().now_ms, &shared.cookies);
        let terms = || CookieTerms { cookies, client, now_s: clock::serial_s() };
        let cookie = question.has_cookie().then(terms);
        let keepalive = question.wants_keepalive().then(|| held.idle().told);
        let context = Context {
            zones: &zones,
            transport,
            now_ms,
            reserved: 0,
            client: Some(client),
            cookie,
            keepalive,
        };
        query::answer(&context, question, reading, message, scratch, out)
    }
}
