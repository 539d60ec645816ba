//! The one thread that writes: it judges UPDATEs, lets leases run out, and is the only caller of the store.
//!
//! ```text
//!  udp, tcp --> bounded queue --> group of jobs: judge each, commit once, publish, reply
//!                                 every 50 ms:   expire, publish, and commit within a second
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
//! 5. A message is judged as of when it was received: a heartbeat that waits behind a slow disk is not late.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use tokio::sync::mpsc;
use tracing::error;

use super::clock;
use super::mmsg::{Peer, send_one};
use super::observe::Observer;
use crate::membership::{Change, MemberName, PoolHandle};
use crate::query::Transport;
use crate::store::{Store, StoreError};
use crate::update::{Clock, Handled, Registrar, Request};

/// How often due leases are looked for. Answers check deadlines themselves, so this bounds how late the log, the counters,
/// the serial and the store learn of an expiry, and for how long a view with a dead member costs more than one without. Most
/// of a wake-up's cost is the queue's spinning before it sleeps: a hundred a second cost 0.5 % of a core.
const TICK_MS: u64 = 50;
/// Timers looked at in one go: under 10 ms of work, so that a mass expiry does not keep UPDATEs waiting.
const EXPIRE_SLICE: usize = 4096;
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
    /// When, monotonic milliseconds.
    pub received_ms: u64,
    /// Where the reply goes.
    pub reply_to: ReplyTo,
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

    /// Writes all of it, on disk when this returns, or nothing.
    fn commit<'c>(
        &mut self,
        changes: impl IntoIterator<Item = &'c Change>,
        serials: &[(Box<[u8]>, u32)],
    ) -> Result<(), Self::Error>;
}

impl Commit for Store {
    type Error = StoreError;

    fn commit<'c>(
        &mut self,
        changes: impl IntoIterator<Item = &'c Change>,
        serials: &[(Box<[u8]>, u32)],
    ) -> Result<(), StoreError> {
        Store::commit(self, changes, serials)
    }
}

/// A job between judgement and reply.
struct Judged {
    reply_to: ReplyTo,
    handled: Handled,
    /// Its changes, among those of the group.
    changes: Range<usize>,
    /// Whether it is not undone.
    stands: bool,
}

/// The registrar, its store and its log, as one thread runs them.
pub struct GroupCommit<S> {
    registrar: Registrar,
    store: S,
    observer: Observer,
    /// What has happened and the store does not know, the last of each member: expired, lapsed, or taken back after a commit
    /// that may have reached the disk. No more than members that were on the roll when the disk last worked, and those who
    /// tried to join since.
    unsaved: HashMap<(PoolHandle, MemberName), Change>,
    /// When to store them at the latest.
    store_at_ms: u64,
    /// After a failed commit, when to try again: each attempt reads the whole store.
    retry_at_ms: u64,
}

impl<S: Commit> GroupCommit<S> {
    /// Nothing judged yet; `restored` came back from the store and is published.
    pub fn new(registrar: Registrar, store: S, observer: Observer, restored: &[Change]) -> Self {
        restored.iter().for_each(|change| observer.change(change));
        GroupCommit { registrar, store, observer, unsaved: HashMap::new(), store_at_ms: 0, retry_at_ms: 0 }
    }

    /// Serves the queue until everybody who could add to it is gone and it is empty; then stores what is left.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        let mut tick_ms = 0_u64;
        loop {
            let wait = Duration::from_millis(tick_ms.saturating_sub(clock::now_ms()));
            match jobs.recv_timeout(wait) {
                Ok(first) => {
                    let group = std::iter::once(first).chain(jobs.try_iter().take(GROUP_MAX - 1));
                    self.serve(group, clock::both());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now_ms = clock::now_ms();
            if now_ms >= tick_ms {
                let more = self.tick(now_ms);
                tick_ms = if more { now_ms } else { now_ms + TICK_MS };
            }
        }
        self.retry_at_ms = 0;
        self.store_unsaved(clock::now_ms());
    }

    /// Judges a group of jobs, commits and publishes what they changed, and replies to each.
    fn serve(&mut self, group: impl Iterator<Item = Job>, clock: Clock) {
        let (mut published, mut changes, mut judged) = (Vec::new(), Vec::new(), Vec::new());
        for Job { message, source, received_ms, reply_to } in group {
            let request = Request { message: &message, source: source.ip(), transport: reply_to.transport() };
            let mut handled = self.registrar.handle(&request, Clock { now_ms: received_ms, ..clock });
            self.observer.update(source, &handled, clock.now_ms);
            let start = changes.len();
            // An expiry that a message brought to light stands, whatever becomes of the message.
            let (facts, own): (Vec<_>, Vec<_>) = handled.changes.drain(..).partition(Change::is_fact);
            self.leave_unsaved(&facts, clock.now_ms);
            published.extend(facts);
            changes.extend(own);
            judged.push(Judged { reply_to, handled, changes: start..changes.len(), stands: true });
        }
        if changes.iter().any(Change::is_durable) && !self.commit(&changes, clock.now_ms) {
            let stands = mark_what_falls(&mut judged, &changes);
            let fallen = changes.iter().zip(&stands).filter(|(_, stands)| !**stands);
            let fallen: Vec<_> = fallen.map(|(change, _)| change).collect();
            self.registrar.undo(&fallen);
            let reversed: Vec<_> = fallen.iter().rev().map(|change| change.reversed()).collect();
            self.leave_unsaved(&reversed, clock.now_ms);
            let mut stands = stands.into_iter();
            changes.retain(|_| stands.next().unwrap_or(true));
        }
        published.append(&mut changes);
        self.publish(&published, clock.now_ms);
        published.iter().for_each(|change| self.observer.change(change));
        for job in judged {
            let reply = job.handled.reply.as_ref().map(|plan| plan.finish(job.stands, clock.wall_s));
            if !job.reply_to.send(reply) {
                self.observer.reply_lost();
            }
        }
    }

    /// Lets due leases run out. Whether more may be due now.
    fn tick(&mut self, now_ms: u64) -> bool {
        let (changes, looked_at) = self.registrar.expire(now_ms, EXPIRE_SLICE);
        let more = looked_at >= EXPIRE_SLICE;
        self.publish(&changes, now_ms);
        changes.iter().for_each(|change| self.observer.change(change));
        self.leave_unsaved(&changes, now_ms);
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
            self.unsaved.insert((Arc::clone(&change.pool), change.name.clone()), change.clone());
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
        match self.store.commit(all, &self.registrar.serials()) {
            Ok(()) => {
                self.unsaved.clear();
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

/// Marks the jobs that cannot stand without the commit: those with changes that must last, and whatever came after them
/// for the same member, which has lost its ground. Returns which of the changes stand.
fn mark_what_falls(judged: &mut [Judged], changes: &[Change]) -> Vec<bool> {
    let mut fallen = HashSet::new();
    let mut stands = vec![true; changes.len()];
    for job in judged {
        let own = changes.get(job.changes.clone()).unwrap_or_default();
        let member = |change: &Change| (Arc::clone(&change.pool), change.name.clone());
        if own.iter().any(|change| change.is_durable() || fallen.contains(&member(change))) {
            fallen.extend(own.iter().map(member));
            job.stands = false;
            stands.get_mut(job.changes.clone()).unwrap_or_default().fill(false);
        }
    }
    stands
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::super::observe::Counters;
    use super::super::tests::{registrar, registration};
    use super::*;
    use crate::membership::Cause;
    use crate::wire::Rcode;

    /// What reached the disk, and whether the disk works.
    #[derive(Default)]
    struct Disk {
        full: bool,
        causes: Vec<Cause>,
    }

    #[derive(Clone, Default)]
    struct FakeStore(Rc<RefCell<Disk>>);

    impl Commit for FakeStore {
        type Error = &'static str;

        fn commit<'c>(
            &mut self,
            changes: impl IntoIterator<Item = &'c Change>,
            _serials: &[(Box<[u8]>, u32)],
        ) -> Result<(), &'static str> {
            let mut disk = self.0.borrow_mut();
            if disk.full {
                return Err("no space left");
            }
            disk.causes.extend(changes.into_iter().map(|change| change.cause));
            Ok(())
        }
    }

    impl FakeStore {
        fn fill(&self, full: bool) {
            self.0.borrow_mut().full = full;
        }

        fn causes(&self) -> Vec<Cause> {
            self.0.borrow().causes.clone()
        }
    }

    fn desk(store: &FakeStore) -> (GroupCommit<FakeStore>, Arc<Counters>) {
        let counters = Arc::new(Counters::new(0));
        let observer = Observer::new(Arc::clone(&counters));
        (GroupCommit::new(registrar(), store.clone(), observer, &[]), counters)
    }

    /// Serves the messages as one group at `now_ms`; the RCODEs of the replies, in order.
    fn serve(desk: &mut GroupCommit<FakeStore>, now_ms: u64, messages: &[Vec<u8>]) -> Vec<Rcode> {
        let (to_client, mut replies) = mpsc::channel(messages.len());
        let group = messages.iter().map(|message| Job {
            message: message.as_slice().into(),
            source: ([127, 0, 0, 1], 4_000).into(),
            received_ms: now_ms,
            reply_to: ReplyTo::Tcp(to_client.clone()),
        });
        desk.serve(group, Clock { now_ms, wall_s: 1_800_000_000 });
        let rcode = |reply: Option<Vec<u8>>| Rcode::masked_from_int(reply.unwrap()[3]);
        std::iter::from_fn(|| replies.try_recv().ok()).map(rcode).collect()
    }

    #[test]
    fn a_group_is_one_commit_and_heartbeats_need_none() {
        let store = FakeStore::default();
        let (mut desk, counters) = desk(&store);
        let both = [registration("m1"), registration("m2")];
        assert_eq!(serve(&mut desk, 1_000, &both), [Rcode::NOERROR; 2]);
        assert_eq!(store.causes(), [Cause::Joined; 2]);
        store.fill(true);
        assert_eq!(
            serve(&mut desk, 2_000, &both),
            [Rcode::NOERROR; 2],
            "a full disk loses no healthy member"
        );
        let json = counters.to_json();
        assert_eq!((&json["store"]["commits"], &json["changes"]["renewed"]), (&1.into(), &2.into()));
    }

    #[test]
    fn what_could_not_be_stored_did_not_happen() {
        let store = FakeStore::default();
        let (mut desk, _) = desk(&store);
        serve(&mut desk, 1_000, &[registration("m1")]);
        store.fill(true);
        let group = [registration("m1"), registration("m2"), registration("m2")];
        assert_eq!(
            serve(&mut desk, 2_000, &group),
            [Rcode::NOERROR, Rcode::SERVFAIL, Rcode::SERVFAIL],
            "m1's heartbeat stands; m2's has nothing to renew once its join is undone"
        );
        store.fill(false);
        assert_eq!(serve(&mut desk, 3_000, &[registration("m2")]), [Rcode::NOERROR]);
        assert_eq!(
            store.causes(),
            [Cause::Joined, Cause::Changed, Cause::Joined],
            "m2's join is taken back in case the disk has it; then m2 joins again, it does not renew"
        );
    }

    #[test]
    fn an_expiry_is_stored_within_a_second_or_with_the_next_commit() {
        let store = FakeStore::default();
        let (mut desk, _) = desk(&store);
        serve(&mut desk, 1_000, &[registration("m1"), registration("m2")]);
        serve(&mut desk, 11_000, &[registration("m2")]);

        desk.tick(31_000);
        assert_eq!(store.causes().len(), 2, "m1's lease has run out, and the disk can wait");
        desk.tick(31_990);
        assert_eq!(store.causes().len(), 2);
        desk.tick(32_000);
        assert_eq!(store.causes()[2..], [Cause::Expired]);

        desk.tick(41_000);
        serve(&mut desk, 41_010, &[registration("m2")]);
        assert_eq!(
            store.causes()[3..],
            [Cause::Expired, Cause::Joined],
            "in the order in which they happened"
        );
    }

    #[test]
    fn a_full_disk_delays_an_expiry_and_loses_none() {
        let store = FakeStore::default();
        let (mut desk, counters) = desk(&store);
        serve(&mut desk, 1_000, &[registration("m1")]);
        store.fill(true);
        for now_ms in [31_000, 32_000, 32_010, 33_000] {
            desk.tick(now_ms);
        }
        store.fill(false);
        desk.tick(33_990);
        assert_eq!(store.causes(), [Cause::Joined], "a second after the last attempt, not before");
        desk.tick(34_000);
        assert_eq!(store.causes(), [Cause::Joined, Cause::Expired]);
        let json = counters.to_json();
        assert_eq!(json["store"]["failures"], 2);
    }

    #[test]
    fn when_nobody_is_left_the_queue_is_finished_and_the_rest_stored() {
        let store = FakeStore::default();
        let (mut desk, _) = desk(&store);
        serve(&mut desk, 0, &[registration("m1")]);
        desk.tick(30_000);
        let (queue, jobs) = crossbeam_channel::bounded(1);
        let (to_client, mut replies) = mpsc::channel(1);
        let source = ([127, 0, 0, 1], 4_000).into();
        let reply_to = ReplyTo::Tcp(to_client);
        queue
            .send(Job { message: registration("m2").into(), source, received_ms: 30_000, reply_to })
            .unwrap();
        drop(queue);
        desk.run(&jobs);
        assert!(replies.try_recv().unwrap().is_some());
        assert_eq!(store.causes(), [Cause::Joined, Cause::Expired, Cause::Joined]);
    }

    #[test]
    fn the_refused_hear_so_and_change_nothing() {
        let store = FakeStore::default();
        let (mut desk, counters) = desk(&store);
        assert_eq!(serve(&mut desk, 1_000, &[registration("_x")]), [Rcode::REFUSED]);
        assert!(store.causes().is_empty());
        assert_eq!(counters.to_json()["updates"]["refused"], 1);
    }
}
