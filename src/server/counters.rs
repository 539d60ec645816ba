//! What operators see as numbers: how many of everything since the start, and how much of some things there is now.
//!
//! The question path counts into a [`Tally`] of the worker's own and adds it to the worker's [`Block`] once a batch, so no
//! question writes what another core reads. The registrar is one thread and counts as it goes.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};
use tracing::info;

use super::stderr;
use crate::membership::Cause;
use crate::query::Answered;

/// What became of a message on the question path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A reply was written.
    Answered(Answered),
    /// No reply: a response, or no DNS message at all.
    Silent,
    /// A heartbeat that was known, renewed and answered here.
    Heartbeat,
    /// The same message again as the last heartbeat: answered here, and nothing done.
    Repeat,
    /// Handed to the registrar.
    Queued,
    /// Meant for the registrar, whose queue was full.
    QueueFull,
    /// A datagram longer than the receive buffer.
    Oversized,
    /// The kernel would not take the reply.
    Unsent,
}

/// Those that answer no question.
const UNANSWERED: [Event; 7] = [
    Event::Silent,
    Event::Heartbeat,
    Event::Repeat,
    Event::Queued,
    Event::QueueFull,
    Event::Oversized,
    Event::Unsent,
];
/// How many there are.
const EVENTS: usize = Answered::ALL.len() + UNANSWERED.len();

impl Event {
    /// All of them, in the order of their places.
    fn all() -> impl Iterator<Item = Event> {
        Answered::ALL.into_iter().map(Event::Answered).chain(UNANSWERED)
    }

    /// Its place among the counts: an answer's is that of its kind among kinds, so that counting one looks nothing up.
    fn place(self) -> usize {
        const FIRST: usize = Answered::ALL.len();
        match self {
            Event::Answered(answered) => answered as usize,
            Event::Silent => FIRST,
            Event::Heartbeat => FIRST + 1,
            Event::Repeat => FIRST + 2,
            Event::Queued => FIRST + 3,
            Event::QueueFull => FIRST + 4,
            Event::Oversized => FIRST + 5,
            Event::Unsent => FIRST + 6,
        }
    }

    /// As the counters spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Event::Answered(answered) => answered.as_str(),
            Event::Silent => "silent",
            Event::Heartbeat => "heartbeats",
            Event::Repeat => "repeats",
            Event::Queued => "queued",
            Event::QueueFull => "queue_full",
            Event::Oversized => "oversized",
            Event::Unsent => "unsent",
        }
    }
}

/// A worker's counts of one batch.
#[derive(Debug, Default)]
pub struct Tally([u64; EVENTS]);

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
pub struct Block([AtomicU64; EVENTS]);

impl Block {
    /// Adds a tally and empties it.
    pub fn add(&self, tally: &mut Tally) {
        for (total, count) in self.0.iter().zip(&mut tally.0).filter(|(_, count)| **count > 0) {
            total.fetch_add(std::mem::take(count), Ordering::Relaxed);
        }
    }
}

/// All counters of a server. Each only grows, but for those of what is now.
#[derive(Debug, Default)]
pub struct Counters {
    udp: Box<[Block]>,
    /// The question path over TCP; its few threads share one block.
    pub tcp: Block,
    /// TCP connections accepted.
    pub connections: AtomicU64,
    /// TCP connections closed at once because there were too many, and none that rested.
    pub connections_over: AtomicU64,
    /// TCP connections closed at once because their client had too many.
    pub connections_over_client: AtomicU64,
    /// TCP connections closed to make room for others: they had rested longest.
    pub connections_made_room: AtomicU64,
    /// TCP connections closed because the client asked nothing for too long.
    pub connections_idle: AtomicU64,
    /// TCP connections closed because a request did not become whole, or replies were not taken, in time.
    pub connections_slow: AtomicU64,
    /// TCP connections closed because of a length that no message has.
    pub connections_malformed: AtomicU64,
    /// Attempts to accept a TCP connection that failed, mostly for want of file descriptors.
    pub accepts_failed: AtomicU64,
    /// UDP replies that were too long for the link, and went with TC instead.
    pub shortened: AtomicU64,
    /// Of members.
    pub(super) changes: [AtomicU64; CAUSES.len()],
    /// Of the ordinary records of names.
    pub(super) name_changes: [AtomicU64; CAUSES.len()],
    pub(super) updates: AtomicU64,
    pub(super) refusals: AtomicU64,
    /// Those for want of a good signature.
    pub(super) unverified: AtomicU64,
    /// Messages whose prerequisites did not hold.
    pub(super) unmet: AtomicU64,
    pub(super) attributes_ignored: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) commit_failures: AtomicU64,
    /// Whether the last commit failed, and what the store does not know: gauges.
    pub(super) store_failing: AtomicU64,
    pub(super) unsaved: AtomicU64,
    pub(super) replies_lost: AtomicU64,
    /// Times that a zone's leases began to be held.
    pub(super) holds: AtomicU64,
    /// Holds that lasted for as long as they may.
    pub(super) holds_spent: AtomicU64,
    /// Zones whose leases are held now, and members that are silent in them.
    pub(super) zones_held: AtomicU64,
    pub(super) members_silent: AtomicU64,
    /// Times that other zones, grants or keys took the place of those before.
    pub reloads: AtomicU64,
    /// Files and zones that were not good when they were read again.
    pub reload_errors: AtomicU64,
    /// Times that the process did not run for over a second.
    pub suspensions: AtomicU64,
    /// For how long in all, milliseconds.
    pub suspended_ms: AtomicU64,
}

/// Why somebody or a name can have changed, in counter order.
pub(super) const CAUSES: [Cause; 12] = [
    Cause::Joined,
    Cause::Renewed,
    Cause::Changed,
    Cause::Lapsed,
    Cause::Deregistered,
    Cause::Expired,
    Cause::Draining,
    Cause::Undrained,
    Cause::DrainOver,
    Cause::Drained,
    Cause::Restored,
    Cause::Released,
];

/// One more.
pub fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// So many more.
pub fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

impl Counters {
    /// Zeroes, for so many UDP workers.
    pub fn new(udp_workers: usize) -> Self {
        Counters { udp: (0..udp_workers).map(|_| Block::default()).collect(), ..Counters::default() }
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
            Event::all().map(|event| (event.as_str().to_owned(), sum(event).into())).collect()
        };
        let by_cause = |counters: &[AtomicU64]| -> Map<String, Value> {
            let counts = CAUSES.iter().zip(counters);
            counts.map(|(cause, count)| (cause.as_str().to_owned(), read(count).into())).collect()
        };
        // Nothing else happens to ordinary records.
        let mut names = by_cause(&self.name_changes);
        names.retain(|cause, _| {
            [Cause::Changed, Cause::Renewed, Cause::Lapsed].map(Cause::as_str).contains(&cause.as_str())
        });
        let mut udp = path(&self.udp);
        udp.insert("shortened".to_owned(), read(&self.shortened).into());
        json!({
            "udp": udp,
            "tcp": path(std::slice::from_ref(&self.tcp)),
            "connections": {
                "accepted": read(&self.connections),
                "over_limit": read(&self.connections_over),
                "over_client_limit": read(&self.connections_over_client),
                "made_room": read(&self.connections_made_room),
                "idle": read(&self.connections_idle),
                "slow": read(&self.connections_slow),
                "malformed": read(&self.connections_malformed),
                "accepts_failed": read(&self.accepts_failed),
            },
            "updates": {
                "handled": read(&self.updates),
                "refused": read(&self.refusals),
                "unverified": read(&self.unverified),
                "unmet": read(&self.unmet),
                "attributes_ignored": read(&self.attributes_ignored),
                "replies_lost": read(&self.replies_lost),
            },
            "holds": {
                "begun": read(&self.holds),
                "spent": read(&self.holds_spent),
                "zones_now": read(&self.zones_held),
                "silent_now": read(&self.members_silent),
            },
            "reloads": { "done": read(&self.reloads), "errors": read(&self.reload_errors) },
            "store": {
                "commits": read(&self.commits),
                "failures": read(&self.commit_failures),
                "failing": read(&self.store_failing),
                "unsaved": read(&self.unsaved),
            },
            "clock": { "suspended": read(&self.suspensions), "suspended_ms": read(&self.suspended_ms) },
            "log": { "lost": stderr::lines_lost() },
            "changes": by_cause(&self.changes),
            "names": names,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_its_place_and_its_name() {
        for (place, event) in Event::all().enumerate() {
            assert_eq!(event.place(), place, "{event:?}");
        }
        let mut names: Vec<_> = Event::all().map(Event::as_str).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EVENTS);
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
}
