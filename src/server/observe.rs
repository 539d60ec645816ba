//! What operators see: counters, and one log line for every member that comes, changes or goes.
//!
//! The question path counts into a [`Tally`] of the worker's own and adds it to the worker's [`Block`] once a batch, so no
//! question writes what another core reads. The registrar is one thread and counts as it goes.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};
use tracing::{debug, error, info, warn};

use crate::membership::{Cause, Change};
use crate::query::Answered;
use crate::update::Handled;
use crate::wire::{label_text, name_text};

/// What became of a message on the question path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A reply was written.
    Answered(Answered),
    /// No reply: a response, or no DNS message at all.
    Silent,
    /// Handed to the registrar.
    Queued,
    /// Meant for the registrar, whose queue was full.
    QueueFull,
    /// A datagram longer than the receive buffer.
    Oversized,
    /// The kernel would not take the reply.
    Unsent,
}

impl Event {
    const ALL: [Event; 14] = [
        Event::Answered(Answered::Positive),
        Event::Answered(Answered::NoData),
        Event::Answered(Answered::NxDomain),
        Event::Answered(Answered::Refused),
        Event::Answered(Answered::FormErr),
        Event::Answered(Answered::NotImp),
        Event::Answered(Answered::BadVers),
        Event::Answered(Answered::Truncated),
        Event::Answered(Answered::ServFail),
        Event::Silent,
        Event::Queued,
        Event::QueueFull,
        Event::Oversized,
        Event::Unsent,
    ];

    /// Its place in [`Event::ALL`]. A match, so that an answer of a new kind does not go uncounted.
    fn place(self) -> usize {
        match self {
            Event::Answered(Answered::Positive) => 0,
            Event::Answered(Answered::NoData) => 1,
            Event::Answered(Answered::NxDomain) => 2,
            Event::Answered(Answered::Refused) => 3,
            Event::Answered(Answered::FormErr) => 4,
            Event::Answered(Answered::NotImp) => 5,
            Event::Answered(Answered::BadVers) => 6,
            Event::Answered(Answered::Truncated) => 7,
            Event::Answered(Answered::ServFail) => 8,
            Event::Silent => 9,
            Event::Queued => 10,
            Event::QueueFull => 11,
            Event::Oversized => 12,
            Event::Unsent => 13,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Event::Answered(answered) => answered.as_str(),
            Event::Silent => "silent",
            Event::Queued => "queued",
            Event::QueueFull => "queue_full",
            Event::Oversized => "oversized",
            Event::Unsent => "unsent",
        }
    }
}

/// A worker's counts of one batch.
#[derive(Debug, Default)]
pub struct Tally([u64; Event::ALL.len()]);

impl Tally {
    /// Counts `times` more of an event.
    pub fn count(&mut self, event: Event, times: u64) {
        if let Some(count) = self.0.get_mut(event.place()) {
            *count += times;
        }
    }
}

/// A worker's counters. On cache lines of its own: two of them, for processors that fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Block([AtomicU64; Event::ALL.len()]);

impl Block {
    /// Adds a tally and empties it.
    pub fn add(&self, tally: &mut Tally) {
        for (total, count) in self.0.iter().zip(&mut tally.0).filter(|(_, count)| **count > 0) {
            total.fetch_add(std::mem::take(count), Ordering::Relaxed);
        }
    }
}

/// All counters of a server. Each only grows.
#[derive(Debug)]
pub struct Counters {
    udp: Box<[Block]>,
    /// The question path over TCP; its few threads share one block.
    pub tcp: Block,
    /// TCP connections accepted.
    pub connections: AtomicU64,
    /// TCP connections closed at once because there were too many.
    pub connections_over: AtomicU64,
    /// TCP connections closed because the client sent nothing whole, or read nothing, for too long.
    pub connections_idle: AtomicU64,
    /// TCP connections closed because of a length that no message has.
    pub connections_malformed: AtomicU64,
    changes: [AtomicU64; CAUSES.len()],
    updates: AtomicU64,
    refusals: AtomicU64,
    attributes_ignored: AtomicU64,
    commits: AtomicU64,
    commit_failures: AtomicU64,
    replies_lost: AtomicU64,
}

const CAUSES: [Cause; 7] = [
    Cause::Joined,
    Cause::Renewed,
    Cause::Changed,
    Cause::Lapsed,
    Cause::Deregistered,
    Cause::Expired,
    Cause::Restored,
];

/// One more.
pub fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// Zeroes, for so many UDP workers.
    pub fn new(udp_workers: usize) -> Self {
        Counters {
            udp: (0..udp_workers).map(|_| Block::default()).collect(),
            tcp: Block::default(),
            connections: AtomicU64::default(),
            connections_over: AtomicU64::default(),
            connections_idle: AtomicU64::default(),
            connections_malformed: AtomicU64::default(),
            changes: Default::default(),
            updates: AtomicU64::default(),
            refusals: AtomicU64::default(),
            attributes_ignored: AtomicU64::default(),
            commits: AtomicU64::default(),
            commit_failures: AtomicU64::default(),
            replies_lost: AtomicU64::default(),
        }
    }

    /// The block of UDP worker `number`.
    pub fn udp(&self, number: usize) -> Option<&Block> {
        self.udp.get(number)
    }

    /// Writes all of them into the log, as one line of JSON.
    pub fn log(&self) {
        info!("counters {}", self.to_json());
    }

    /// All of them as one JSON object; the UDP workers are summed.
    pub fn to_json(&self) -> Value {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let path = |blocks: &[Block]| -> Map<String, Value> {
            let sum = |event: Event| {
                blocks.iter().filter_map(|block| block.0.get(event.place())).map(read).sum::<u64>()
            };
            Event::ALL.iter().map(|event| (event.as_str().to_owned(), sum(*event).into())).collect()
        };
        let changes: Map<_, _> = CAUSES
            .iter()
            .zip(&self.changes)
            .map(|(cause, count)| (cause.as_str().to_owned(), read(count).into()))
            .collect();
        json!({
            "udp": path(&self.udp),
            "tcp": path(std::slice::from_ref(&self.tcp)),
            "connections": {
                "accepted": read(&self.connections),
                "over_limit": read(&self.connections_over),
                "idle": read(&self.connections_idle),
                "malformed": read(&self.connections_malformed),
            },
            "updates": {
                "handled": read(&self.updates),
                "refused": read(&self.refusals),
                "attributes_ignored": read(&self.attributes_ignored),
                "replies_lost": read(&self.replies_lost),
            },
            "store": { "commits": read(&self.commits), "failures": read(&self.commit_failures) },
            "changes": changes,
        })
    }
}

/// Lets so many lines a second into the log, and counts the others.
struct Limiter {
    per_second: u32,
    second: u64,
    logged: u32,
    suppressed: u64,
}

impl Limiter {
    fn new(per_second: u32) -> Self {
        Limiter { per_second, second: 0, logged: 0, suppressed: 0 }
    }

    /// Whether a line at this moment may be logged.
    fn admits(&mut self, now_ms: u64) -> bool {
        if now_ms / 1000 != self.second {
            self.second = now_ms / 1000;
            self.logged = 0;
        }
        let admitted = self.logged < self.per_second;
        if admitted {
            self.logged += 1;
        } else {
            self.suppressed += 1;
        }
        admitted
    }

    /// How many lines were kept back, once the second in which that was is over.
    fn kept_back(&mut self, now_ms: u64) -> Option<u64> {
        let over = self.suppressed > 0 && now_ms / 1000 != self.second;
        over.then(|| std::mem::take(&mut self.suppressed))
    }
}

/// Refusals logged a second: enough to see every misconfigured client of a fleet within a minute, too few for a hostile one
/// to fill a disk.
const REFUSALS_A_SECOND: u32 = 20;

/// The registrar's counters and log.
pub struct Observer {
    counters: Arc<Counters>,
    refusals: Limiter,
    commit_failures: Limiter,
}

impl Observer {
    /// An observer that counts into `counters`.
    pub fn new(counters: Arc<Counters>) -> Self {
        Observer { counters, refusals: Limiter::new(REFUSALS_A_SECOND), commit_failures: Limiter::new(1) }
    }

    /// A change that is published. Heartbeats that change nothing are logged at debug, all others at info.
    pub fn change(&self, change: &Change) {
        if let Some(place) = CAUSES.iter().position(|cause| *cause == change.cause)
            && let Some(count) = self.counters.changes.get(place)
        {
            increment(count);
        }
        let owner = change.after.as_ref().or(change.before.as_ref()).map_or("", |member| &member.owner);
        let (pool, member) = (&change.pool, &change.name);
        let cause = change.cause.as_str();
        if change.cause == Cause::Renewed {
            debug!(pool = name_text(pool), member = label_text(member), owner, "{cause}");
        } else {
            info!(pool = name_text(pool), member = label_text(member), owner, "{cause}");
        }
    }

    /// A message that was judged: why it was refused, or which attributes of a heartbeat were ignored.
    pub fn update(&mut self, source: SocketAddr, handled: &Handled, now_ms: u64) {
        increment(&self.counters.updates);
        let key = || handled.key.as_ref().map_or("none".to_owned(), |key| key.to_string());
        for ignored in &handled.ignored {
            increment(&self.counters.attributes_ignored);
            if self.refusals.admits(now_ms) {
                warn!(%source, key = key(), reason = ignored.to_string(), "attribute ignored in a heartbeat");
            }
        }
        let Some(reason) = &handled.refusal else { return };
        increment(&self.counters.refusals);
        if self.refusals.admits(now_ms) {
            warn!(%source, key = key(), reason, "UPDATE refused");
        }
    }

    /// A reply to an UPDATE that could not be sent.
    pub fn reply_lost(&self) {
        increment(&self.counters.replies_lost);
    }

    /// A group that is in the store.
    pub fn committed(&self) {
        increment(&self.counters.commits);
    }

    /// A group that is not in the store.
    pub fn commit_failed(&mut self, reason: &dyn Display, now_ms: u64) {
        increment(&self.counters.commit_failures);
        if self.commit_failures.admits(now_ms) {
            error!(
                %reason,
                "the store cannot be written: UPDATEs that need it get SERVFAIL, heartbeats and answers go on; check the \
                 free space and the permissions of the state directory"
            );
        }
    }

    /// Says what the limits kept back. Called every tick.
    pub fn tick(&mut self, now_ms: u64) {
        if let Some(count) = self.refusals.kept_back(now_ms) {
            warn!(count, "more UPDATEs were refused than are logged");
        }
        if let Some(count) = self.commit_failures.kept_back(now_ms) {
            error!(count, "more commits failed than are logged");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_place_and_its_name() {
        for (place, event) in Event::ALL.iter().enumerate() {
            assert_eq!(event.place(), place, "{event:?}");
        }
        let mut names: Vec<_> = Event::ALL.iter().map(|event| event.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Event::ALL.len());
    }

    #[test]
    fn tallies_of_all_workers_add_up() {
        let counters = Counters::new(2);
        let mut tally = Tally::default();
        for worker in [0, 1, 1] {
            tally.count(Event::Answered(Answered::Positive), 3);
            tally.count(Event::Silent, 1);
            counters.udp(worker).unwrap().add(&mut tally);
        }
        counters.tcp.add(&mut tally);
        let json = counters.to_json();
        assert_eq!(json["udp"]["positive"], 9);
        assert_eq!(json["udp"]["silent"], 3);
        assert_eq!(json["tcp"]["positive"], 0, "an added tally is empty");
        assert!(counters.udp(2).is_none());
    }

    #[test]
    fn a_flood_of_refusals_is_logged_in_part_and_counted_whole() {
        let mut limiter = Limiter::new(20);
        let logged = (0..50).filter(|i| limiter.admits(1_000 + i)).count();
        assert_eq!(logged, 20);
        assert_eq!(limiter.kept_back(1_999), None, "its second is not over");
        assert_eq!(limiter.kept_back(2_000), Some(30));
        assert_eq!(limiter.kept_back(2_010), None);
        assert!(limiter.admits(2_020));
    }
}
