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

use super::limiter::{Limiter, SourceLimiter};
use crate::change::Change;
use crate::membership::{Cause, Change as MemberChange, DrainChange, Hold, Lifted};
use crate::query::Answered;
use crate::update::{Handled, RefusalKind, Reloaded, Silenced, member_text};
use crate::wire::name_text;
use crate::zone::NameChange;

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
    const ALL: [Event; 22] = [
        Event::Answered(Answered::Positive),
        Event::Answered(Answered::NoData),
        Event::Answered(Answered::NxDomain),
        Event::Answered(Answered::Refused),
        Event::Answered(Answered::FormErr),
        Event::Answered(Answered::NotImp),
        Event::Answered(Answered::BadVers),
        Event::Answered(Answered::Truncated),
        Event::Answered(Answered::ServFail),
        Event::Answered(Answered::Cookie),
        Event::Answered(Answered::Referral),
        Event::Answered(Answered::YxDomain),
        Event::Silent,
        Event::Queued,
        Event::QueueFull,
        Event::Oversized,
        Event::Unsent,
        Event::Answered(Answered::AllDownAll),
        Event::Answered(Answered::AllDownLastGood),
        Event::Answered(Answered::AllDownFallback),
        Event::Answered(Answered::AllDownNoData),
        Event::Answered(Answered::AllDownServFail),
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
            Event::Answered(Answered::Cookie) => 9,
            Event::Answered(Answered::Referral) => 10,
            Event::Answered(Answered::YxDomain) => 11,
            Event::Silent => 12,
            Event::Queued => 13,
            Event::QueueFull => 14,
            Event::Oversized => 15,
            Event::Unsent => 16,
            Event::Answered(Answered::AllDownAll) => 17,
            Event::Answered(Answered::AllDownLastGood) => 18,
            Event::Answered(Answered::AllDownFallback) => 19,
            Event::Answered(Answered::AllDownNoData) => 20,
            Event::Answered(Answered::AllDownServFail) => 21,
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

/// All counters of a server. Each only grows, but for those of what is now.
#[derive(Debug)]
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
    changes: [AtomicU64; CAUSES.len()],
    /// Of the ordinary records of names.
    name_changes: [AtomicU64; CAUSES.len()],
    updates: AtomicU64,
    refusals: AtomicU64,
    /// Those for want of a good signature.
    unverified: AtomicU64,
    /// Messages whose prerequisites did not hold.
    unmet: AtomicU64,
    attributes_ignored: AtomicU64,
    commits: AtomicU64,
    commit_failures: AtomicU64,
    /// Whether the last commit failed, and what the store does not know: gauges.
    store_failing: AtomicU64,
    unsaved: AtomicU64,
    replies_lost: AtomicU64,
    /// Times that a zone's leases began to be held.
    holds: AtomicU64,
    /// Holds that lasted for as long as they may.
    holds_spent: AtomicU64,
    /// Zones whose leases are held now, and members that are silent in them.
    zones_held: AtomicU64,
    members_silent: AtomicU64,
    /// Times that other zones, grants or keys took the place of those before.
    pub reloads: AtomicU64,
    /// Files and zones that were not good when they were read again.
    pub reload_errors: AtomicU64,
    /// Times that the process did not run for over a second.
    pub suspensions: AtomicU64,
    /// For how long in all, milliseconds.
    pub suspended_ms: AtomicU64,
}

const CAUSES: [Cause; 12] = [
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
        Counters {
            udp: (0..udp_workers).map(|_| Block::default()).collect(),
            tcp: Block::default(),
            connections: AtomicU64::default(),
            connections_over: AtomicU64::default(),
            connections_over_client: AtomicU64::default(),
            connections_made_room: AtomicU64::default(),
            connections_idle: AtomicU64::default(),
            connections_slow: AtomicU64::default(),
            connections_malformed: AtomicU64::default(),
            accepts_failed: AtomicU64::default(),
            shortened: AtomicU64::default(),
            changes: Default::default(),
            name_changes: Default::default(),
            updates: AtomicU64::default(),
            refusals: AtomicU64::default(),
            unverified: AtomicU64::default(),
            unmet: AtomicU64::default(),
            attributes_ignored: AtomicU64::default(),
            commits: AtomicU64::default(),
            commit_failures: AtomicU64::default(),
            store_failing: AtomicU64::default(),
            unsaved: AtomicU64::default(),
            replies_lost: AtomicU64::default(),
            holds: AtomicU64::default(),
            holds_spent: AtomicU64::default(),
            zones_held: AtomicU64::default(),
            members_silent: AtomicU64::default(),
            reloads: AtomicU64::default(),
            reload_errors: AtomicU64::default(),
            suspensions: AtomicU64::default(),
            suspended_ms: AtomicU64::default(),
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
            "changes": by_cause(&self.changes),
            "names": names,
        })
    }
}

/// Refusals logged a second, each reason once from each source, and one in all about signatures: enough to see every misconfigured client of a fleet within a minute, too few for a hostile one
/// to fill a disk.
const REFUSALS_A_SECOND: u32 = 20;

/// The registrar's counters and log.
pub struct Observer {
    counters: Arc<Counters>,
    refusals: SourceLimiter,
    commit_failures: Limiter,
    trouble: Option<Trouble>,
}

/// A store that cannot be written.
struct Trouble {
    /// Since when, monotonic milliseconds.
    since_ms: u64,
    /// UPDATEs that were answered SERVFAIL for it.
    refused: u64,
}

impl Observer {
    /// An observer that counts into `counters`.
    pub fn new(counters: Arc<Counters>) -> Self {
        Observer {
            counters,
            refusals: SourceLimiter::new(REFUSALS_A_SECOND),
            commit_failures: Limiter::new(1),
            trouble: None,
        }
    }

    /// A change that is published. What changes no answer, a heartbeat or the end of an absence, is logged at debug, all else
    /// at info.
    pub fn change(&self, change: &Change) {
        let counters = match change {
            Change::Member(_) | Change::Drain(_) => &self.counters.changes,
            Change::Name(_) => &self.counters.name_changes,
            // Nobody sees it.
            Change::Floor(_) => return,
        };
        let cause = change.cause();
        if let Some(place) = CAUSES.iter().position(|other| *other == cause)
            && let Some(count) = counters.get(place)
        {
            increment(count);
        }
        let is_quiet = matches!(cause, Cause::Renewed | Cause::Released);
        match change {
            Change::Member(change) => Self::log_member(change, is_quiet),
            Change::Drain(change) => Self::log_drain(change),
            Change::Name(change) => Self::log_name(change, is_quiet),
            Change::Floor(_) => {}
        }
    }

    fn log_member(change: &MemberChange, is_quiet: bool) {
        let owner = match (change.after.as_ref().or(change.before.as_ref()), &change.absence.0) {
            (Some(member), _) => &*member.owner,
            (None, Some(absence)) => &*absence.owner,
            (None, None) => "",
        };
        let (pool, member, cause) = (&change.pool, &change.name, change.cause.as_str());
        if is_quiet {
            debug!(pool = name_text(pool), member = member_text(member), owner, "{cause}");
        } else {
            info!(pool = name_text(pool), member = member_text(member), owner, "{cause}");
        }
    }

    fn log_drain(change: &DrainChange) {
        let Some(drain) = change.after.as_ref().or(change.before.as_ref()) else { return };
        let (pool, member, cause) =
            (name_text(&change.pool), member_text(&change.name), change.cause.as_str());
        info!(pool, member, by = &*drain.by, why = &*drain.why, "{cause} by an operator");
    }

    fn log_name(change: &NameChange, is_quiet: bool) {
        let (cause, name) = (change.cause.as_str(), name_text(&change.name));
        let key = change.key.as_ref().map_or("none".to_owned(), |key| name_text(key.as_slice()));
        let types: Vec<_> = change.types().into_iter().map(|rtype| rtype.to_string()).collect();
        let types = types.join(",");
        if is_quiet {
            debug!(name, key, types, "records {cause}");
        } else {
            info!(name, key, types, "records {cause}");
        }
    }

    /// A message that was judged: why it was refused, or which attributes of a heartbeat were ignored.
    pub fn update(&mut self, source: SocketAddr, handled: &Handled, now_ms: u64) {
        increment(&self.counters.updates);
        let key = || handled.key.as_ref().map_or("none".to_owned(), |key| key.to_string());
        for reason in handled.ignored.iter().map(ToString::to_string) {
            increment(&self.counters.attributes_ignored);
            if self.refusals.admits(source.ip(), &reason, now_ms) {
                warn!(%source, key = key(), reason, "attribute ignored in a heartbeat");
            }
        }
        let Some(reason) = &handled.refusal else { return };
        let is_unmet = handled.kind == RefusalKind::Prerequisite;
        increment(if is_unmet { &self.counters.unmet } else { &self.counters.refusals });
        let mut about = reason.as_str();
        if handled.kind == RefusalKind::Signature {
            increment(&self.counters.unverified);
            // Who has no key may write what it likes: all of that is about one thing.
            about = "TSIG";
        }
        if !self.refusals.admits(source.ip(), about, now_ms) {
            return;
        }
        if is_unmet {
            info!(%source, key = key(), reason, "UPDATE not done");
        } else {
            warn!(%source, key = key(), reason, "UPDATE refused");
        }
    }

    /// A reply to an UPDATE that could not be sent.
    pub fn reply_lost(&self) {
        increment(&self.counters.replies_lost);
    }

    /// A group that is in the store.
    pub fn committed(&mut self, now_ms: u64) {
        increment(&self.counters.commits);
        if let Some(Trouble { since_ms, refused }) = self.trouble.take() {
            self.counters.store_failing.store(0, Ordering::Relaxed);
            let failed_s = now_ms.saturating_sub(since_ms) / 1000;
            info!(
                failed_s,
                refused, "the store can be written again; UPDATEs refused meanwhile may be sent again"
            );
        }
    }

    /// A group that is not in the store.
    pub fn commit_failed(&mut self, reason: &dyn Display, now_ms: u64) {
        increment(&self.counters.commit_failures);
        self.counters.store_failing.store(1, Ordering::Relaxed);
        let is_first = self.trouble.is_none();
        self.trouble.get_or_insert(Trouble { since_ms: now_ms, refused: 0 });
        if self.commit_failures.admits(now_ms) || is_first {
            error!(
                %reason,
                "the store cannot be written: UPDATEs that need it get SERVFAIL, leases and answers go on; it is tried again"
            );
        }
    }

    /// An UPDATE that is answered SERVFAIL because the store cannot be written.
    pub fn not_stored(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            trouble.refused += 1;
        }
    }

    /// How much the store does not know.
    pub fn unsaved(&self, changes: usize) {
        self.counters.unsaved.store(changes as u64, Ordering::Relaxed);
    }

    /// The end of a server whose store cannot be written.
    pub fn stopped_unsaved(&self, changes: usize) {
        error!(
            changes,
            "stopped without storing what happened last: the next start finds what was stored before"
        );
    }

    /// Other zones are served.
    pub fn reloaded(&self, reloaded: &Reloaded) {
        for (apex, serial) in &reloaded.serials {
            info!(zone = name_text(apex), serial, "reloaded");
        }
        for (pool, members) in &reloaded.stranded {
            warn!(
                pool = name_text(pool),
                members,
                "the zone has no such pool any more, or a record of its file stands where it was: its members are not answered \
                 until a reload brings it back"
            );
        }
        for change in &reloaded.changes {
            info!(name = name_text(change.zone_name()), "the zone file has overtaken what UPDATE changed");
        }
    }

    /// Zones whose leases are held from now on, or no more; how many zones that are now, and how many members are silent there.
    pub fn silenced(&self, silenced: &[Silenced], (zones, silent): (usize, u64)) {
        self.counters.zones_held.store(zones as u64, Ordering::Relaxed);
        self.counters.members_silent.store(silent, Ordering::Relaxed);
        for Silenced { apex, hold, count } in silenced {
            let (zone, silent, members) = (name_text(apex), count.silent, count.leased);
            match *hold {
                Hold::Began => {
                    increment(&self.counters.holds);
                    warn!(
                        zone,
                        silent,
                        members,
                        "most members have fallen silent together, so the trouble may be ours: expiry is held"
                    );
                }
                Hold::Ended(Lifted::Heard, lasted_ms) => {
                    let held_s = lasted_ms / 1000;
                    info!(zone, silent, members, held_s, "members are heard again: expiry goes on");
                }
                Hold::Ended(Lifted::TooLong, lasted_ms) => {
                    increment(&self.counters.holds_spent);
                    let held_s = lasted_ms / 1000;
                    warn!(
                        zone,
                        silent,
                        members,
                        held_s,
                        "expiry was held for as long as it may be (`freeze_max`) and goes on: who is still silent expires"
                    );
                }
            }
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
}
