//! The question path: one thread a socket, batches in stages.
//!
//! Every worker has a socket of its own on its address (SO_REUSEPORT): the kernel spreads clients over them by address and
//! port, and workers share nothing that they write. A batch is read whole before any of it is answered, so that the memory
//! that one question waits for is fetched while others are read (measured: a quarter of the time an answer, at 100,000
//! pools).

mod socket;

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crossbeam_channel::TrySendError;
use sdd::Guard;
use tracing::warn;

use super::Shared;
use super::clock::{self, LeaseTime};
use super::counters::{Event, Tally};
use super::mmsg::Batch;
use super::registrar::{Job, ReplyTo, Task};
use crate::query::{self, Context, CookieTerms, Outcome, Scratch, Transport};
use crate::update::{Desk, Request};
use crate::wire::{Question, Reading};

pub use socket::{SocketSettings, bind, set_busy_poll, take_over, tell_cut_buffers};

/// How long a worker waits for a question before it looks whether it is to stop. Four wake-ups a second cost an idle worker
/// 0.02 % of a core.
pub const RECEIVE_TIMEOUT: Duration = Duration::from_millis(250);
/// Between attempts on a socket that fails otherwise than by silence: one log line a second, and no spinning.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// How many of the registrar's tasks may wait for one more to come by UDP: of four places, one is for TCP alone and for
/// reloads. Anybody can fill a queue with datagrams, under any address; who comes over TCP has shown where it is, and there are
/// only so many of it.
pub fn share_of(update_queue: usize) -> usize {
    update_queue - update_queue / 4
}

/// One thread that answers questions.
pub struct Worker {
    shared: Arc<Shared>,
    socket: Arc<UdpSocket>,
    number: usize,
    batch: Batch,
    /// One a place in the batch.
    questions: Box<[Question]>,
    readings: Vec<Reading>,
    scratch: Scratch,
    heartbeats: Desk,
    tally: Tally,
}

impl Worker {
    /// Worker `number` of the server, which takes up to `width` datagrams at a time.
    pub fn new(shared: Arc<Shared>, socket: Arc<UdpSocket>, number: usize, width: usize) -> Self {
        Worker {
            scratch: shared.scratch(),
            shared,
            socket,
            number,
            batch: Batch::new(width),
            questions: (0..width).map(|_| Question::default()).collect(),
            readings: Vec::with_capacity(width),
            heartbeats: Desk::default(),
            tally: Tally::default(),
        }
    }

    /// Answers until the server stops.
    pub fn run(mut self) {
        // A socket that was taken over is set to what its last worker needed at the end: to look up more often.
        if let Err(error) = self.socket.set_read_timeout(Some(RECEIVE_TIMEOUT)) {
            warn!(%error, worker = self.number, "cannot set how long to wait for a question: a stop may hang");
        }
        while !self.shared.stopping() {
            match self.batch.receive(&self.socket) {
                Ok(0) => {}
                Ok(received) => self.serve(received),
                Err(error) => {
                    warn!(%error, worker = self.number, "cannot receive");
                    thread::sleep(FAILURE_PAUSE);
                }
            }
        }
    }

    /// Reads, answers and sends one batch. One view of the zones and one reading of the clock serve all of it.
    fn serve(&mut self, received: usize) {
        let zones = self.shared.zones.load();
        let LeaseTime { now_ms, received_ms } = self.shared.leases.now();
        let mut context = Context {
            zones: &zones,
            transport: Transport::Udp,
            now_ms,
            reserved: 0,
            client: None,
            cookie: None,
            keepalive: None,
        };
        let mut now_s = None;
        self.readings.clear();
        for (i, question) in self.questions.iter_mut().enumerate().take(received) {
            self.readings.push(query::read(&zones, self.batch.request(i), question));
        }
        // One for all of them: to take another within it costs next to nothing.
        let guard = Guard::new();
        query::look_ahead(&zones, &self.questions, &self.readings, &self.scratch);
        for (i, (question, reading)) in self.questions.iter().zip(&self.readings).enumerate() {
            let peer = if question.depends_on_client() { self.batch.peer(i) } else { None };
            context.client = peer.map(|peer| peer.address().ip());
            context.cookie = context.client.filter(|_| question.has_cookie()).map(|client| CookieTerms {
                cookies: &self.shared.cookies,
                client,
                now_s: *now_s.get_or_insert_with(clock::serial_s),
            });
            let (message, out) = self.batch.reply_buffer(i);
            let outcome = query::answer(&context, question, *reading, message, &mut self.scratch, out);
            let event = match outcome {
                Outcome::Reply(len, answered) => {
                    self.batch.set_reply(i, len);
                    Event::Answered(answered)
                }
                Outcome::Registrar => {
                    let from = (&*self.shared, &self.socket);
                    take_update(from, &mut self.batch, &mut self.heartbeats, i, received_ms)
                }
                Outcome::Silence => Event::Silent,
            };
            self.tally.count(event, 1);
        }
        // A send may wait, and what the batch has read may have to be freed meanwhile.
        drop((guard, zones));
        let troubles = self.batch.send(&self.socket);
        self.tally.count(Event::Unsent, troubles.unsent);
        if troubles.shortened > 0 {
            self.shared.counters.shortened.fetch_add(troubles.shortened, Ordering::Relaxed);
        }
        self.tally.count(Event::Oversized, self.batch.oversized());
        if let Some(block) = self.shared.counters.udp(self.number) {
            block.add(&mut self.tally);
        }
    }
}

/// Answers datagram `i` if it is a heartbeat that is known, or hands it over.
fn take_update(
    (shared, socket): (&Shared, &Arc<UdpSocket>),
    batch: &mut Batch,
    desk: &mut Desk,
    i: usize,
    received_ms: u64,
) -> Event {
    if let Some(source) = batch.peer(i).map(|peer| peer.address().ip()) {
        let (message, out) = batch.reply_buffer(i);
        let request = Request { message, source, transport: Transport::Udp, received_ms };
        if let Some((len, event)) = shared.take_heartbeat(&request, desk, out) {
            batch.set_reply(i, len);
            return event;
        }
    }
    hand_over(shared, socket, batch, i, received_ms)
}

/// Copies datagram `i` into the registrar's queue. A queue that is full up to UDP's share drops it: the client repeats an
/// UPDATE that is not answered, and by then the queue is shorter.
fn hand_over(shared: &Shared, socket: &Arc<UdpSocket>, batch: &Batch, i: usize, received_ms: u64) -> Event {
    // Workers that look at the same moment may each put one more.
    if shared.tasks.len() >= shared.udp_share {
        return Event::QueueFull;
    }
    let Some(&peer) = batch.peer(i) else { return Event::Silent };
    let job = Job {
        message: batch.request(i).into(),
        source: peer.address(),
        received_ms,
        reply_to: ReplyTo::Udp { socket: Arc::clone(socket), peer },
    };
    match shared.tasks.try_send(Task::Judge(job)) {
        Ok(()) => Event::Queued,
        Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Event::QueueFull,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_of_any_length_takes_datagrams() {
        for (all, udp) in [(1, 1), (3, 3), (4, 3), (8, 6), (4096, 3072)] {
            assert_eq!(share_of(all), udp, "{all}");
        }
    }
}
