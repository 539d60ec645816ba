//! The one thread that writes: it judges UPDATEs, lets leases run out, and is the only caller of the store.
//!
//! ```text
//!  udp, tcp --> bounded queue --> group of jobs: judge each, commit once, publish, reply
//!                                 every 50 ms:   expire some, publish, and commit within a second
//!  reload ----------'              a reload: publish, commit
//! ```
//!
//! Facts that the rest relies on:
//! 1. A change that the store must hold is committed, then visible, then acknowledged (RFC 2136 section 3.5). One commit
//!    carries a whole group: an fsync costs as much for one change as for a thousand.
//! 2. A disk that fails loses no live member, and nobody hears NOERROR that a crash would make untrue. A message that changes
//!    something is undone and answered SERVFAIL when its commit fails; whether the disk has it nobody knows, so the reverse goes
//!    with the next commit. Until that is done no other group is tried, so that there is one group of them at most. A message that
//!    finds nothing to do is as true as what it finds: it waits for the commit of that. One that registers nothing otherwise
//!    than before keeps its effect: leases go on. It is answered NOERROR if the store is right about what it renews, and
//!    SERVFAIL if the store has to learn something first: that the member was heard in this run, or what was taken back. Its
//!    sender repeats it, and hears NOERROR when the disk is back.
//! 3. Expiry is the other way round: it leaves the answers first. If the process dies before the store knows, the member
//!    comes back for one grace, which is what a restart gives anyway.
//! 4. What the store does not know yet goes with the next commits, whatever causes them, in front of them: of it all that a
//!    commit's own changes and acknowledgements are about, and some of the rest. However many leases end together, nobody
//!    waits for more than a slice of that.
//! 5. A message is judged as of when it was received, and leases end as of the last one judged while others wait: a
//!    heartbeat that waits behind a slow disk is not late. The lease clock is told how far this has come, for answers wait
//!    with it. All times here are its.
//! 6. A member changes once in a group. A second message about it closes the group: what it is judged by is published.

mod lending;
mod unsaved;

use std::fmt::Display;
use std::iter;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::mpsc;
use tracing::error;

use super::clock::{self, LeaseClock};
use super::mmsg::{Peer, send_one};
use super::observe::Observer;
use crate::change::Change;
use crate::query::Transport;
use crate::store::{Moment, Store, StoreError};
use crate::update::{Clock, Handled, Registrar, Reload, ReplyPlan, Request, Restored};
use crate::zone::{Publisher, ZoneSet};
pub use lending::Lending;
use unsaved::{Fate, Stored, Taken, Unsaved, unacknowledged};

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
/// Changes with which a group is full, for a message over TCP may have hundreds, and those that the store has yet to learn which
/// go along with a commit: some 100 ms of work for the disk's sake.
const CHANGES_MAX: usize = 4096;

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
    /// Lets another process have the store.
    Release(Lending),
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

    /// Lets another process have what has been written. A stand-in has none of that.
    fn release(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Has it again, if the other process has heard nobody.
    fn take_back(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }
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

    fn release(&mut self) -> Result<(), StoreError> {
        Store::release(self)
    }

    fn take_back(&mut self) -> Result<(), StoreError> {
        Store::take_back(self)
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
    /// What has happened and the store does not know: expired, lapsed, heard, or taken back after a commit that may have reached
    /// the disk. No more than what was there when the disk last worked, and what one group tried.
    unsaved: Unsaved,
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
        restored: &Restored,
    ) -> Self {
        observer.restored(restored);
        let (unsaved, tick_at_ms) = (Unsaved::default(), 0);
        GroupCommit { registrar, zones, store, observer, leases, unsaved, tick_at_ms }
    }

    /// Serves the queue until everybody who could add to it is gone and it is empty, then stores what is left; or until
    /// another process has the store for good.
    pub fn run(mut self, tasks: &Receiver<Task>) {
        let leases = Arc::clone(&self.leases);
        loop {
            let wait = Duration::from_millis(self.tick_at_ms.saturating_sub(leases.now().now_ms));
            match tasks.recv_timeout(wait) {
                Ok(first) => {
                    let waiting = iter::once(first).chain(tasks.try_iter());
                    if let Some(lending) = self.attend(waiting)
                        && self.lend(&lending, tasks)
                    {
                        return;
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
        if !self.stop(leases.now().now_ms) {
            self.observer.stopped_unsaved(self.unsaved.len());
        }
    }

    /// Serves the first group of what waits, and what ended it. The latter is returned if it is for the caller.
    fn attend(&mut self, waiting: impl Iterator<Item = Task>) -> Option<Lending> {
        let leases = Arc::clone(&self.leases);
        let mut other = None;
        let jobs = waiting.take(GROUP_MAX).map_while(|task| match task {
            Task::Judge(job) => Some(job),
            task => {
                other = Some(task);
                None
            }
        });
        self.serve(jobs, || leases.both());
        match other? {
            Task::Reload(order) => self.reload(*order, leases.now().now_ms),
            Task::Release(lending) => return Some(lending),
            // Does not end a group.
            Task::Judge(_) => {}
        }
        None
    }

    /// Stores what is left: ends that wait for a commit, and the floors that heartbeats raised without one. Whether all is on
    /// disk.
    fn stop(&mut self, now_ms: u64) -> bool {
        self.unsaved.try_now();
        while !self.unsaved.is_empty() {
            if self.commit(&[], &[], now_ms) != Stored::Yes {
                return false;
            }
        }
        let floors = self.registrar.unstored_floors();
        floors.chunks(CHANGES_MAX).all(|some| self.commit(some, &[], now_ms) == Stored::Yes)
    }

    /// Judges jobs in order, a group at a time: each group is committed and published, and then replied to.
    fn serve(&mut self, jobs: impl Iterator<Item = Job>, read_clock: impl Fn() -> Clock) {
        let mut clock = read_clock();
        let mut group = Group::default();
        let mut last_ms = 0;
        for Job { message, source, received_ms, reply_to } in jobs {
            let transport = reply_to.transport();
            let request = Request { message: &message, source: source.ip(), transport, received_ms };
            let is_full = group.changes.len() >= CHANGES_MAX;
            let judged = (!is_full).then(|| self.registrar.handle(&request, clock));
            let mut handled = match judged.filter(|handled| !handled.waits) {
                Some(handled) => handled,
                None => {
                    self.finish(std::mem::take(&mut group), clock);
                    self.leases.judged(last_ms);
                    clock = read_clock();
                    self.tick_if_due(clock.now_ms, received_ms);
                    self.registrar.handle(&request, clock)
                }
            };
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
                if self.commit(&reloaded.changes, &[], now_ms) != Stored::Yes {
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
        let needs_commit = changes.iter().any(|change| self.unsaved.needs_commit(change))
            || judged.iter().any(|job| self.unsaved.has_any_of(&job.handled.unchanged));
        let stored = if needs_commit { self.commit(&changes, &judged, clock.now_ms) } else { Stored::Yes };
        let fate = |job: &Judged| match stored {
            Stored::Yes => Fate::Stands,
            _ => {
                let changes = changes.get(job.changes.clone()).unwrap_or_default();
                self.unsaved.fate(changes, &job.handled.unchanged)
            }
        };
        let fates: Vec<Fate> = judged.iter().map(fate).collect();
        if stored != Stored::Yes {
            let jobs = judged.iter().map(|job| job.changes.len()).zip(fates.iter().copied());
            changes = self.keep_and_undo(changes, jobs, stored, clock.now_ms);
        }
        published.append(&mut changes);
        self.publish(&published, clock.now_ms);
        published.iter().for_each(|change| self.observer.change(change));
        for (job, fate) in judged.iter().zip(fates) {
            let stands = fate == Fate::Stands;
            match &job.handled.heartbeat {
                _ if !stands => self.observer.not_stored(),
                Some(heartbeat) => self.registrar.recognise(heartbeat),
                None => {}
            }
            self.reply(&job.reply_to, job.handled.reply.as_ref(), stands, clock.wall_s);
        }
    }

    /// What is left of a group's changes without its commit, given how many each job has, in order, and its fate. What has
    /// fallen is undone.
    fn keep_and_undo(
        &mut self,
        changes: Vec<Change>,
        jobs: impl Iterator<Item = (usize, Fate)>,
        stored: Stored,
        now_ms: u64,
    ) -> Vec<Change> {
        let (mut standing, mut kept, mut fallen) = (Vec::new(), Vec::new(), Vec::new());
        let mut changes = changes.into_iter();
        for (length, fate) in jobs {
            let own = changes.by_ref().take(length);
            match fate {
                Fate::Stands => standing.extend(own),
                Fate::Kept => kept.extend(own.filter_map(unacknowledged)),
                Fate::Fallen => fallen.extend(own),
            }
        }
        self.registrar.undo(&fallen.iter().collect::<Vec<_>>());
        if stored == Stored::Perhaps {
            let reversed: Vec<_> = fallen.iter().map(Change::reversed).collect();
            self.unsaved.leave(&reversed, true, now_ms);
        }
        self.unsaved.leave(&kept, true, now_ms);
        standing.append(&mut kept);
        standing
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
        if self.unsaved.is_due(now_ms) {
            self.commit(&[], &[], now_ms);
        }
        let more = more || self.unsaved.is_due(now_ms);
        self.observer.unsaved(self.unsaved.len());
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

    /// Remembers ends that the store has yet to learn of.
    fn leave_unsaved(&mut self, changes: &[Change], now_ms: u64) {
        self.unsaved.leave(changes, false, now_ms);
    }

    /// Commits what of `changes` must last, with what is unsaved about these and about what `judged` found unchanged, and with
    /// some of what else is unsaved; after a failure, some of that first.
    fn commit(&mut self, changes: &[Change], judged: &[Judged], now_ms: u64) -> Stored {
        if !self.unsaved.may_try(now_ms) {
            return Stored::No;
        }
        let restated: Vec<_> = changes.iter().filter_map(|change| self.unsaved.restated(change)).collect();
        if self.unsaved.goes_first() {
            let some = self.unsaved.take(iter::empty(), CHANGES_MAX);
            if !self.write(some, &[], &[], now_ms) {
                return Stored::No;
            }
        }
        let unchanged = judged.iter().flat_map(|job| job.handled.unchanged.iter().cloned());
        let about = changes.iter().map(Change::subject).chain(unchanged);
        let along = self.unsaved.take(about, CHANGES_MAX.saturating_sub(changes.len()));
        if self.write(along, &restated, changes, now_ms) { Stored::Yes } else { Stored::Perhaps }
    }

    /// One commit of what was taken of the unsaved, then of `restated` and `changes`. Whether it is on disk; if not, what was
    /// taken is unsaved again.
    fn write(&mut self, along: Taken, restated: &[Change], changes: &[Change], now_ms: u64) -> bool {
        let began_ms = clock::now_ms();
        let all = along.changes().chain(restated).chain(changes).filter(|change| change.is_durable());
        let committed = self.store.commit(all, &self.registrar.serials(), self.leases.moment());
        match &committed {
            Ok(()) => {
                self.unsaved.stored();
                self.registrar.serials_stored();
                self.observer.committed(now_ms);
            }
            Err(error) => {
                let took_ms = clock::now_ms().saturating_sub(began_ms);
                self.unsaved.give_back(along);
                self.unsaved.failed(now_ms, took_ms);
                self.observer.commit_failed(error, now_ms);
            }
        }
        committed.is_ok()
    }
}

#[cfg(test)]
mod tests;
