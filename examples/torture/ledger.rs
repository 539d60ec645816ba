//! What is known of every member and every name: what was acknowledged, what may be, and until when.
//!
//! ```text
//!  an acknowledgement ---------------------> one world
//!  a message without one, a kill ----------> the worlds before, and the one that it would have made
//!  an answer ------------------------------> the worlds that it agrees with; none: a fault
//! ```
//!
//! Facts that the rest relies on:
//! 1. A client has one message a name on the way, and each says all that there is at the name. So a world never depends on
//!    which of the worlds before was the true one.
//! 2. Times are bounds: a lease began between sending and acknowledgement, a grace between spawning and listening. What is
//!    between the bounds may be either way, and is counted as such.
//! 3. A renewal is not stored, so after a kill a member has one grace of min(lease, 60 s) from the first start after its last
//!    heartbeat. A start that was killed before it listened may be that first start or not.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// The longest grace.
const GRACE_MAX: Duration = Duration::from_secs(60);
/// An expiry in the second before a crash may cost one grace. Half as much again, for the registrar looks for it from time to
/// time; and what the registrar was held up by a busy disk comes on top, see [`Run::stalled`].
pub const EXPIRY_GAP: Duration = Duration::from_millis(1_500);
/// The server's clocks count whole milliseconds.
const ROUNDING: Duration = Duration::from_millis(5);
/// Acknowledged and unacknowledged messages that are told of when something is wrong.
const EVENTS_MAX: usize = 5;

/// From one moment to another: something happened in between.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub from: Instant,
    pub to: Instant,
}

/// What a name shows. A member has a port in its pool's service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    pub v4: Option<Ipv4Addr>,
    pub v6: Option<Ipv6Addr>,
    pub port: Option<u16>,
    pub txt: BTreeSet<String>,
}

/// What of it an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    A,
    Aaaa,
    Txt,
    Srv,
}

impl Records {
    /// Rdata of a kind, as answers are read.
    pub fn data(&self, kind: Kind) -> BTreeSet<String> {
        match kind {
            Kind::A => self.v4.iter().map(ToString::to_string).collect(),
            Kind::Aaaa => self.v6.iter().map(ToString::to_string).collect(),
            Kind::Txt => self.txt.clone(),
            Kind::Srv => self.port.iter().map(ToString::to_string).collect(),
        }
    }

    fn text(&self) -> String {
        let kinds = [Kind::A, Kind::Aaaa, Kind::Srv, Kind::Txt];
        let data = kinds.into_iter().flat_map(|kind| self.data(kind)).collect::<Vec<_>>();
        data.join(" ")
    }
}

/// Why a name has nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Never,
    Deregistered,
    Expired,
}

/// One state that a name may be in.
#[derive(Debug, Clone)]
pub enum World {
    Absent(Why),
    Registered(Registration),
}

/// What was registered, for how long, and when it was heard.
#[derive(Debug, Clone)]
pub struct Registration {
    pub records: Records,
    /// `None` is for ever.
    pub lease: Option<Duration>,
    /// In which run; the first is 0.
    pub run: usize,
    /// Between sending and acknowledgement; without one, the kill.
    pub heard: Span,
}

impl Registration {
    /// Its lease as a client asks for it.
    pub fn lease_s(&self) -> Option<u32> {
        self.lease.and_then(|lease| u32::try_from(lease.as_secs()).ok())
    }
}

/// What a world says of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has to be there.
    Must,
    /// Its end, or its return, is within the bounds.
    May,
    /// It must not be there.
    Gone(Why),
}

/// One start of the server.
#[derive(Debug, Clone)]
pub struct Run {
    pub spawned: Instant,
    /// `None` if it was killed before it said so.
    pub listening: Option<Instant>,
    pub killed: Option<Span>,
    /// The longest that a client waited for a reply. One thread judges messages, ends leases and waits for the disk: for so
    /// long an expiry may have waited too, once to be seen and once to be stored.
    pub stalled: Duration,
}

/// All starts; the last is the one that answers.
#[derive(Debug, Clone, Default)]
pub struct Runs(pub Vec<Run>);

impl Runs {
    /// The number of the last run.
    pub fn current(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// What a world says of an answer that was given within `asked`.
    pub fn standing(&self, world: &World, asked: Span) -> Standing {
        let registration = match world {
            World::Absent(why) => return Standing::Gone(*why),
            World::Registered(registration) => registration,
        };
        let Some(lease) = registration.lease else { return Standing::Must };
        let ends = match registration.run == self.current() {
            true => Span { from: registration.heard.from + lease, to: registration.heard.to + lease },
            false => self.grace(registration, lease),
        };
        if asked.to + ROUNDING < ends.from {
            Standing::Must
        } else if asked.from > ends.to + ROUNDING {
            Standing::Gone(Why::Expired)
        } else {
            Standing::May
        }
    }

    /// Between which moments the grace ends of who was last heard in an earlier run.
    fn grace(&self, Registration { run, heard, .. }: &Registration, lease: Duration) -> Span {
        let over = Span { from: heard.from, to: heard.to + lease };
        let later = self.0.get(run + 1..).unwrap_or_default();
        let Some(Run { killed: Some(killed), stalled, .. }) = self.0.get(*run) else { return over };
        let Some(first) = later.first() else { return over };
        if heard.to + lease + EXPIRY_GAP + *stalled * 2 < killed.from {
            return over;
        }
        let listening = later.iter().find_map(|run| run.listening).unwrap_or(killed.to);
        // A start reads the store by the wall clock first, and counts what is left of the grace from a little later on.
        let starting = later.last().and_then(|run| Some(run.listening?.duration_since(run.spawned)));
        let grace = lease.min(GRACE_MAX);
        let was_alive = heard.from + lease > killed.to + ROUNDING;
        Span {
            from: if was_alive { first.spawned + grace } else { heard.from },
            to: listening + grace + starting.unwrap_or_default(),
        }
    }
}

/// An answer about one name.
#[derive(Debug)]
pub struct Seen {
    pub kind: Kind,
    pub data: BTreeSet<String>,
    pub asked: Span,
}

/// How an answer is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Acknowledged, still running, and not answered as it was registered.
    Lost,
    /// Deregistered, and answered.
    Resurrected,
    /// Expired, and answered.
    Returned,
    /// The serial is an earlier one.
    SerialBack,
    /// The server ended, panicked, refused or did not reply.
    Other,
}

impl Fault {
    /// The fault of answering what is not there.
    fn of(why: Why) -> Self {
        match why {
            Why::Expired => Fault::Returned,
            Why::Never | Why::Deregistered => Fault::Resurrected,
        }
    }
}

/// A member, or a name with ordinary records.
pub struct Entry {
    /// In its addresses, and unlike any other's.
    pub id: u16,
    /// Relative to the zone.
    pub name: String,
    /// Of a member, its pool's name.
    pub pool: Option<&'static str>,
    /// What may be. Empty after a fault, until the next acknowledgement: then nothing is known.
    pub worlds: Vec<World>,
    /// What it is to register next has the next number.
    pub version: u32,
    /// Seconds that it asks for.
    pub wish: Option<u32>,
    /// It does not send anything before.
    pub silent_until: Option<Instant>,
    events: VecDeque<String>,
}

impl Entry {
    pub fn new(id: u16, name: String, pool: Option<&'static str>, world: World) -> Self {
        let (worlds, version, wish, silent_until) = (vec![world], 0, None, None);
        Entry { id, name, pool, worlds, version, wish, silent_until, events: VecDeque::new() }
    }

    /// The one world that there is, if nothing is in doubt.
    pub fn known(&self) -> Option<&World> {
        match &self.worlds[..] {
            [world] => Some(world),
            _ => None,
        }
    }

    /// What was acknowledged is so.
    pub fn acknowledged(&mut self, what: &str, world: World) {
        self.note(format!("{what}, acknowledged"));
        self.worlds = vec![world];
    }

    /// What was not acknowledged may be so.
    pub fn unacknowledged(&mut self, what: &str, world: World) {
        self.note(format!("{what}, killed before the reply"));
        if !self.worlds.is_empty() {
            self.worlds.push(world);
        }
    }

    fn note(&mut self, event: String) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Holds answers against what may be, and keeps the worlds that they agree with.
    pub fn judge(&mut self, runs: &Runs, seen: &[Seen]) -> Option<Fault> {
        if self.worlds.is_empty() {
            return None;
        }
        let fault = self.fault(runs, seen);
        if fault.is_some() {
            self.worlds.clear();
            return fault;
        }
        self.worlds.retain(|world| seen.iter().all(|seen| agrees(runs, world, seen)));
        for world in &mut self.worlds {
            let World::Registered(registration) = world else { continue };
            let Registration { records, run, .. } = registration;
            let is_missing = |seen: &Seen| seen.data.is_empty() && !records.data(seen.kind).is_empty();
            // Who expired in this very run may come back once.
            if *run < runs.current() && seen.iter().any(is_missing) {
                *world = World::Absent(Why::Expired);
            }
        }
        None
    }

    fn fault(&self, runs: &Runs, seen: &[Seen]) -> Option<Fault> {
        if self.worlds.iter().any(|world| seen.iter().all(|seen| agrees(runs, world, seen))) {
            return None;
        }
        let mut shown = seen.iter().filter(|seen| !seen.data.is_empty());
        Some(shown.find_map(|shown| self.gone(runs, shown.asked)).unwrap_or(Fault::Lost))
    }

    /// If it must not be there in any world: the fault of showing it.
    pub fn gone(&self, runs: &Runs, asked: Span) -> Option<Fault> {
        let standings = self.worlds.iter().map(|world| runs.standing(world, asked));
        let whys = standings.map(|standing| match standing {
            Standing::Gone(why) => Some(why),
            Standing::Must | Standing::May => None,
        });
        let whys: Option<Vec<Why>> = whys.collect();
        whys?.last().copied().map(Fault::of)
    }

    /// Whether what a pool shows of it may be so.
    pub fn may_show(&self, runs: &Runs, kind: Kind, data: &str, asked: Span) -> bool {
        let shows = |world: &World| match world {
            World::Absent(_) => false,
            World::Registered(registration) => {
                !matches!(runs.standing(world, asked), Standing::Gone(_))
                    && registration.records.data(kind).contains(data)
            }
        };
        self.worlds.is_empty() || self.worlds.iter().any(shows)
    }

    /// Of what a pool has to show of it, one must be there; empty if there is nothing that it has to show.
    pub fn must_show(&self, runs: &Runs, kind: Kind, asked: Span) -> BTreeSet<String> {
        let mut any = BTreeSet::new();
        for world in &self.worlds {
            let World::Registered(registration) = world else { return BTreeSet::new() };
            let data = registration.records.data(kind);
            if runs.standing(world, asked) != Standing::Must || data.is_empty() {
                return BTreeSet::new();
            }
            any.extend(data);
        }
        any
    }

    /// What is known of it, for who has to find out what went wrong.
    pub fn told(&self, runs: &Runs, asked: Span) -> String {
        let mut told = String::new();
        for world in &self.worlds {
            let standing = runs.standing(world, asked);
            // Writing to a String does not fail.
            _ = match world {
                World::Absent(why) => write!(told, " [nothing: {why:?}]"),
                World::Registered(Registration { records, lease, run, heard }) => write!(
                    told,
                    " [{} lease {lease:?}, heard in run {run} {:?} to {:?} before: {standing:?}]",
                    records.text(),
                    asked.to.saturating_duration_since(heard.from),
                    asked.to.saturating_duration_since(heard.to),
                ),
            };
        }
        let events: Vec<_> = self.events.iter().map(String::as_str).collect();
        format!("{}: known{told}; it last {}", self.name, events.join("; "))
    }
}

/// Whether a world and an answer may both be true.
fn agrees(runs: &Runs, world: &World, seen: &Seen) -> bool {
    let wanted = match world {
        World::Absent(_) => BTreeSet::new(),
        World::Registered(registration) => registration.records.data(seen.kind),
    };
    match runs.standing(world, seen.asked) {
        Standing::Must => seen.data == wanted,
        Standing::May => seen.data == wanted || seen.data.is_empty(),
        Standing::Gone(_) => seen.data.is_empty(),
    }
}
