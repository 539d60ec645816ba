//! The one thread that writes: it judges UPDATEs, lets leases run out, and is the only caller of the store.
//!
//! ```text
//!  udp, tcp --> bounded queue --> group of jobs: judge each, commit once, publish, reply
//!                                 every 50 ms:   expire, publish, and commit within a second
//!  reload ----------'              a reload: publish, commit
//! ```
//!
//! Facts that the rest relies on:
//! 1. A change that the store must hold is committed, then visible, then acknowledged (RFC 2136 section 3.5). One commit
//!    carries a whole group: an fsync costs as much for one change as for a thousand.
//! 2. When a commit fails, what needed it is undone and answered SERVFAIL. Heartbeats that needed none stand, so a full disk
//!    loses no healthy member. Whether the disk has it nobody knows, so the reverse goes with the next commit.
//! 3. Expiry is the other way round: it leaves the answers first. If the process dies before the store knows, the member
//!    comes back for one grace, which is what a restart gives anyway.
//! 4. What the store does not know yet goes with the next commit, whatever causes it, in front of it.
//! 5. A message is judged as of when it was received, and leases end as of the last one judged while others wait: a
//!    heartbeat that waits behind a slow disk is not late. The lease clock is told how far this has come, for answers wait
//!    with it. All times here are its.
//! 6. A member changes once in a group. A second message about it closes the group: what it is judged by is published.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::mpsc;
use tracing::error;

use super::clock::LeaseClock;
use super::mmsg::{Peer, send_one};
use super::observe::Observer;
use crate::change::{Change, Subject};
use crate::query::Transport;
use crate::store::{Moment, Store, StoreError};
use crate::update::{Clock, Handled, Registrar, Reload, ReplyPlan, Request};
use crate::zone::{Publisher, ZoneSet};

/// How often due leases are looked for. Answers check deadlines themselves, so this bounds how late the log, the counters,
/// the serial and the store learn of an expiry, and for how long a view with a dead member costs more than one without. Most
/// of a wake-up's cost is the queue's spinning before it sleeps: a hundred a second cost 0.5 % of a core.
const TICK_MS: u64 = 50;
/// Timers looked at in one go: under 10 ms of work, so that a mass expiry does not keep UPDATEs waiting.
const EXPIRE_SLICE: usize = 4096;
/// Members ranked in one go, each once for each of its lists: a few milliseconds of work. What is left is ranked with the next.
const RANK_SLICE: usize = 65_536;
/// Most jobs in a group. Past this, redb's commits get larger but hardly faster (39,500 changes a second at 1,024).
const GROUP_MAX: usize = 1024;
/// How long an expiry may wait for a commit that happens anyway, and a failed one for the next attempt.
const STORE_DELAY_MS: u64 = 1_000;

/// A message for the registrar.
pub struct Job {
    /// As received, without TCP's length.
    pub message: Box<[u8]>,
    /// Who sent it.
    pub source: SocketAddr,
    /// When, as [`LeaseTime`](super::clock::LeaseTime) says it.
    pub received_ms: u64,
    /// Where the reply goes.
    pub reply_to: ReplyTo,
}

/// What the registrar does, in the order in which it is asked.
pub enum Task {
    /// Judges a message.
    Judge(Job),
    /// Puts other zones in the place of those that are served.
    Reload(Box<Order>),
}

/// A reload, and where to say that it is done.
pub struct Order {
    /// The zones.
    pub reload: Reload,
    /// Takes what nobody publishes any more; nothing if the reload failed.
    pub done: Sender<Vec<Publisher>>,
}

/// The way back to a client.
pub enum ReplyTo {
    /// Through the socket that the request came in by.
    Udp {
        /// That socket.
        socket: Arc<UdpSocket>,
        /// The client, and which of our addresses it asked.
        peer: Peer,
    },
    /// To the task of its connection, which waits for exactly one message for each job, `None` if there is no reply. The
    /// channel has room for every job that the connection may have open.
    Tcp(mpsc::Sender<Option<Vec<u8>>>),
}

impl ReplyTo {
    fn transport(&self) -> Transport {
        match self {
            ReplyTo::Udp { .. } => Transport::Udp,
            ReplyTo::Tcp(_) => Transport::Tcp,
        }
    }

    /// Whether the reply is on its way. Never waits for a slow client.
    fn send(&self, reply: Option<Vec<u8>>) -> bool {
        match self {
            ReplyTo::Udp { socket, peer } => reply.is_none_or(|reply| send_one(socket, &reply, peer).is_ok()),
            ReplyTo::Tcp(connection) => connection.try_send(reply).is_ok(),
        }
    }
}

/// Where changes are made to last: the store, or a test's stand-in.
pub trait Commit {
    /// Why a commit failed.
    type Error: Display;

    /// Writes all of it, `at` now, on disk when this returns, or nothing.
    fn commit<'c>(
        &mut self,
        changes: impl IntoIterator<Item = &'c Change>,
        serials: &[(Box<[u8]>, u32)],
        at: Moment,
    ) -> Result<(), Self::Error>;
}

impl Commit for Store {
    type Error = StoreError;

    fn commit<'c>(
        &mut self,
        changes: impl IntoIterator<Item = &'c Change>,
        serials: &[(Box<[u8]>, u32)],
        at: Moment,
    ) -> Result<(), StoreError> {
        Store::commit(self, changes, serials, at)
    }
}

/// A job between judgement and reply.
struct Judged {
    reply_to: ReplyTo,
    handled: Handled,
    /// Its changes, among those of the group.
    changes: Range<usize>,
}

/// Jobs that share a commit.
#[derive(Default)]
struct Group {
    /// Ends of leases and records that the jobs brought to light.
    facts: Vec<Change>,
    changes: Vec<Change>,
    judged: Vec<Judged>,
}

/// The registrar, its store and its log, as one thread runs them.
pub struct GroupCommit<S> {
    registrar: Registrar,
    /// What those who answer read; a reload swaps it.
    zones: Arc<ArcSwap<ZoneSet>>,
    store: S,
    observer: Observer,
    leases: Arc<LeaseClock>,
    /// What has happened and the store does not know, the last of each member: expired, lapsed, or taken back after a commit
    /// that may have reached the disk. No more than members and absences that were there when the disk last worked, and those
    /// who tried to join since.
    unsaved: HashMap<Subject, Change>,
    /// When to store them at the latest.
    store_at_ms: u64,
    /// After a failed commit, when to try again: each attempt reads the whole store.
    retry_at_ms: u64,
    /// When to look for due leases again.
    tick_at_ms: u64,
}

impl<S: Commit> GroupCommit<S> {
    /// Nothing judged yet; `restored` came back from the store and is published.
    pub fn new(
        registrar: Registrar,
        zones: Arc<ArcSwap<ZoneSet>>,
        store: S,
        observer: Observer,
        leases: Arc<LeaseClock>,
        restored: &[Change],
    ) -> Self {
        restored.iter().for_each(|change| observer.change(change));
        let unsaved = HashMap::new();
        let (store_at_ms, retry_at_ms, tick_at_ms) = (0, 0, 0);
        GroupCommit {
            registrar,
            zones,
            store,
            observer,
            leases,
            unsaved,
            store_at_ms,
            retry_at_ms,
            tick_at_ms,
        }
    }

    /// Serves the queue until everybody who could add to it is gone and it is empty; then stores what is left.
    pub fn run(mut self, tasks: &Receiver<Task>) {
        let leases = Arc::clone(&self.leases);
        loop {
            let wait = Duration::from_millis(self.tick_at_ms.saturating_sub(leases.now().now_ms));
            match tasks.recv_timeout(wait) {
                Ok(first) => {
                    let mut order = None;
                    let group = std::iter::once(first).chain(tasks.try_iter()).take(GROUP_MAX);
                    let jobs = group.map_while(|task| match task {
                        Task::Judge(job) => Some(job),
                        Task::Reload(asked) => {
                            order = Some(asked);
                            None
                        }
                    });
                    self.serve(jobs, || leases.both());
                    if let Some(order) = order {
                        self.reload(*order, leases.now().now_ms);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // Read before the queue is looked at: what is not in it by then was received later.
            let received_ms = leases.now().received_ms;
            if tasks.is_empty() {
                leases.judged(received_ms);
            }
            self.tick_if_due(leases.now().now_ms, leases.judged_ms());
        }
        self.stop(leases.now().now_ms);
    }

    /// Stores what is left: ends that wait for a commit, and the floors that heartbeats raised without one.
    fn stop(&mut self, now_ms: u64) {
        self.retry_at_ms = 0;
        let floors = self.registrar.unstored_floors();
        if !floors.is_empty() || !self.unsaved.is_empty() {
            self.commit(&floors, now_ms);
        }
    }

    /// Judges jobs in order, a group at a time: each group is committed and published, and then replied to.
    fn serve(&mut self, jobs: impl Iterator<Item = Job>, read_clock: impl Fn() -> Clock) {
        let mut clock = read_clock();
        let mut group = Group::default();
        let mut last_ms = 0;
        for Job { message, source, received_ms, reply_to } in jobs {
            let transport = reply_to.transport();
            let request = Request { message: &message, source: source.ip(), transport, received_ms };
            let mut handled = self.registrar.handle(&request, clock);
            if handled.waits {
                self.finish(std::mem::take(&mut group), clock);
                self.leases.judged(last_ms);
                clock = read_clock();
                self.tick_if_due(clock.now_ms, received_ms);
                handled = self.registrar.handle(&request, clock);
            }
            last_ms = received_ms;
            self.observer.update(source, &handled, clock.now_ms);
            if handled.reply.as_ref().is_some_and(ReplyPlan::is_answer) {
                self.reply(&reply_to, handled.reply.as_ref(), true, clock.wall_s);
                continue;
            }
            // An expiry that a message brought to light stands, whatever becomes of the message.
            let (facts, own): (Vec<_>, Vec<_>) = handled.changes.drain(..).partition(Change::is_fact);
            group.facts.extend(facts);
            let start = group.changes.len();
            group.changes.extend(own);
            group.judged.push(Judged { reply_to, handled, changes: start..group.changes.len() });
        }
        self.finish(group, clock);
        self.leases.judged(last_ms);
    }

    /// Puts other zones in the place of those that are served, all at once. What the files have overtaken is stored with the
    /// new serials; without the disk it is left to the next commit, for a file says what it says.
    fn reload(&mut self, order: Order, now_ms: u64) {
        let Order { reload, done } = order;
        let retired = match self.registrar.reload(reload, now_ms) {
            Ok(reloaded) => {
                self.zones.store(Arc::clone(&reloaded.zones));
                if !self.commit(&reloaded.changes, now_ms) {
                    self.leave_unsaved(&reloaded.changes, now_ms);
                }
                self.observer.reloaded(&reloaded);
                reloaded.retired
            }
            Err(error) => {
                // Every name in a zone was read from a file, so this is ours.
                error!(%error, "a zone could not be published; please report this with the log");
                Vec::new()
            }
        };
        // Nobody waits for it once the server stops.
        _ = done.send(retired);
    }

    /// Lets leases run out that are due as of `as_of_ms`, if it is time to look.
    fn tick_if_due(&mut self, now_ms: u64, as_of_ms: u64) {
        if now_ms >= self.tick_at_ms {
            let more = self.tick(as_of_ms);
            self.tick_at_ms = if more { now_ms } else { now_ms + TICK_MS };
        }
    }

    /// Commits and publishes what a group changed, and replies to each of its jobs.
    fn finish(&mut self, group: Group, clock: Clock) {
        let Group { facts: mut published, mut changes, judged } = group;
        self.leave_unsaved(&published, clock.now_ms);
        let is_committed = !changes.iter().any(Change::is_durable) || self.commit(&changes, clock.now_ms);
        // Without the commit, a job stands that needed none: a bare heartbeat.
        let stands = |job: &Judged| {
            is_committed
                || !changes.get(job.changes.clone()).unwrap_or_default().iter().any(Change::is_durable)
        };
        let replies: Vec<bool> = judged.iter().map(stands).collect();
        if !is_committed {
            let fallen = judged.iter().zip(&replies).filter(|(_, stands)| !**stands);
            let fallen: Vec<_> = fallen.flat_map(|(job, _)| job.changes.clone()).collect();
            let undone: Vec<_> = fallen.iter().filter_map(|&place| changes.get(place)).collect();
            self.registrar.undo(&undone);
            let reversed: Vec<_> = undone.iter().map(|change| change.reversed()).collect();
            self.leave_unsaved(&reversed, clock.now_ms);
            let mut place = 0..;
            changes.retain(|_| place.next().is_some_and(|place| fallen.binary_search(&place).is_err()));
        }
        published.append(&mut changes);
        self.publish(&published, clock.now_ms);
        published.iter().for_each(|change| self.observer.change(change));
        for (job, stands) in judged.iter().zip(replies) {
            self.reply(&job.reply_to, job.handled.reply.as_ref(), stands, clock.wall_s);
        }
    }

    fn reply(&self, to: &ReplyTo, plan: Option<&ReplyPlan>, stands: bool, wall_s: u64) {
        if !to.send(plan.map(|plan| plan.finish(stands, wall_s))) {
            self.observer.reply_lost();
        }
    }

    /// Lets due leases run out. Whether more may be due now.
    fn tick(&mut self, now_ms: u64) -> bool {
        // Who is held does not expire.
        self.observer.silenced(&self.registrar.listen(now_ms), self.registrar.held());
        let (changes, looked_at) = self.registrar.expire(now_ms, EXPIRE_SLICE);
        let more = looked_at >= EXPIRE_SLICE;
        self.publish(&changes, now_ms);
        changes.iter().for_each(|change| self.observer.change(change));
        self.leave_unsaved(&changes, now_ms);
        self.registrar.rank(now_ms, RANK_SLICE);
        if now_ms >= self.store_at_ms {
            self.store_unsaved(now_ms);
        }
        self.observer.tick(now_ms);
        more
    }

    /// Makes changes visible.
    fn publish(&mut self, changes: &[Change], now_ms: u64) {
        if let Err(error) = self.registrar.publish(changes, now_ms) {
            // Every name in a change was read from a message, so this is ours.
            error!(%error, "a pool could not be published; please report this with the log");
        }
    }

    /// Remembers what the store has yet to learn.
    fn leave_unsaved(&mut self, changes: &[Change], now_ms: u64) {
        if self.unsaved.is_empty() {
            self.store_at_ms = now_ms + STORE_DELAY_MS;
        }
        for change in changes.iter().filter(|change| change.is_durable()) {
            self.unsaved.insert(change.subject(), change.clone());
        }
    }

    fn store_unsaved(&mut self, now_ms: u64) {
        if !self.unsaved.is_empty() {
            self.commit(&[], now_ms);
        }
    }

    /// Commits what is unsaved and what of `changes` must last. Whether it is on disk.
    fn commit(&mut self, changes: &[Change], now_ms: u64) -> bool {
        if now_ms < self.retry_at_ms {
            return false;
        }
        let all = self.unsaved.values().chain(changes).filter(|change| change.is_durable());
        match self.store.commit(all, &self.registrar.serials(), self.leases.moment()) {
            Ok(()) => {
                self.unsaved.clear();
                self.registrar.serials_stored();
                self.observer.committed();
                true
            }
            Err(error) => {
                self.store_at_ms = now_ms + STORE_DELAY_MS;
                self.retry_at_ms = self.store_at_ms;
                self.observer.commit_failed(&error, now_ms);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests;
