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
//! 5. A message is judged as of when it was received, and leases end as of the last one judged while others wait: a
//!    heartbeat that waits behind a slow disk is not late.
//! 6. A member changes once in a group. A second message about it closes the group: what it is judged by is published.

use std::collections::HashMap;
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
use crate::update::{Clock, Handled, Registrar, ReplyPlan, Request};

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
        let (mut tick_ms, mut judged_ms) = (0_u64, 0_u64);
        loop {
            let wait = Duration::from_millis(tick_ms.saturating_sub(clock::now_ms()));
            match jobs.recv_timeout(wait) {
                Ok(first) => {
                    let group = std::iter::once(first).chain(jobs.try_iter().take(GROUP_MAX - 1));
                    self.serve(group.inspect(|job| judged_ms = job.received_ms), clock::both());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now_ms = clock::now_ms();
            if now_ms >= tick_ms {
                let as_of_ms = if jobs.is_empty() { now_ms } else { judged_ms };
                let more = self.tick(as_of_ms);
                tick_ms = if more { now_ms } else { now_ms + TICK_MS };
            }
        }
        self.retry_at_ms = 0;
        self.store_unsaved(clock::now_ms());
    }

    /// Judges jobs in order, a group at a time: each group is committed and published, and then replied to.
    fn serve(&mut self, jobs: impl Iterator<Item = Job>, clock: Clock) {
        let mut group = Group::default();
        for Job { message, source, received_ms, reply_to } in jobs {
            let transport = reply_to.transport();
            let request = Request { message: &message, source: source.ip(), transport, received_ms };
            let mut handled = self.registrar.handle(&request, clock);
            if handled.waits {
                self.finish(std::mem::take(&mut group), clock);
                handled = self.registrar.handle(&request, clock);
            }
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
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
        /// Each member's last address octet, as a restart would find it.
        members: BTreeMap<Vec<u8>, u8>,
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
            for change in changes {
                disk.causes.push(change.cause);
                match &change.after {
                    Some(member) => {
                        let ip = member.addresses.last().unwrap().ip.to_string();
                        let last = ip.rsplit('.').next().unwrap().parse().unwrap();
                        disk.members.insert(change.name.to_vec(), last);
                    }
                    None => _ = disk.members.remove(change.name.as_ref()),
                }
            }
            Ok(())
        }
    }

    impl FakeStore {
        fn fill(&self, full: bool) {
            self.0.borrow_mut().full = full;
        }

        fn last_of(&self, label: &str) -> Option<u8> {
            self.0.borrow().members.get(label.as_bytes()).copied()
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

    /// Serves messages that came just now; the RCODEs of the replies, in order.
    fn serve(desk: &mut GroupCommit<FakeStore>, now_ms: u64, messages: &[Vec<u8>]) -> Vec<Rcode> {
        let messages: Vec<_> = messages.iter().map(|message| (now_ms, message.clone())).collect();
        serve_late(desk, now_ms, &messages)
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

    /// The message, with a lease asked for (RFC 9664) and another address: 127.0.0.LAST.
    fn asking(label: &str, last: u8, lease_s: u32) -> Vec<u8> {
        let mut message = registration(label);
        *message.last_mut().unwrap() = last;
        message[11] = 1;
        message.extend_from_slice(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x08\x00\x02\x00\x04");
        message.extend_from_slice(&lease_s.to_be_bytes());
        message
    }

    /// Serves messages as they come off a queue in which they waited since these moments.
    fn serve_late(desk: &mut GroupCommit<FakeStore>, now_ms: u64, messages: &[(u64, Vec<u8>)]) -> Vec<Rcode> {
        let (to_client, mut replies) = mpsc::channel(messages.len());
        let jobs = messages.iter().map(|(received_ms, message)| Job {
            message: message.as_slice().into(),
            source: ([127, 0, 0, 1], 4_000).into(),
            received_ms: *received_ms,
            reply_to: ReplyTo::Tcp(to_client.clone()),
        });
        desk.serve(jobs, Clock { now_ms, wall_s: 1_800_000_000 });
        let rcode = |reply: Option<Vec<u8>>| Rcode::masked_from_int(reply.unwrap()[3]);
        std::iter::from_fn(|| replies.try_recv().ok()).map(rcode).collect()
    }

    #[test]
    fn messages_about_one_member_are_judged_one_after_another() {
        let store = FakeStore::default();
        let (mut desk, _) = desk(&store);
        serve_late(&mut desk, 1_000, &[(1_000, asking("m1", 1, 60))]);
        // They waited in the queue while the disk was slow: a lease cut to two seconds, and the next heartbeat just too late.
        let late = [(2_000, asking("m1", 1, 2)), (4_010, asking("m1", 1, 2))];
        assert_eq!(serve_late(&mut desk, 4_100, &late), [Rcode::NOERROR; 2]);
        use Cause::{Changed, Expired, Joined};
        assert_eq!(store.causes(), [Joined, Changed, Expired, Joined]);
    }

    #[test]
    fn who_leaves_and_joins_again_has_the_new_lease_alone() {
        let store = FakeStore::default();
        let (mut desk, _) = desk(&store);
        serve_late(&mut desk, 1_000, &[(1_000, asking("m1", 1, 3_600))]);
        let again =
            [(2_000, asking("m1", 1, 3_600)), (2_001, asking("m1", 1, 0)), (2_002, asking("m1", 1, 30))];
        assert_eq!(serve_late(&mut desk, 2_010, &again), [Rcode::NOERROR; 3]);
        desk.tick(32_050);
        assert_eq!(desk.registrar.members(), 0);
    }

    #[test]
    fn what_fell_with_the_disk_is_not_brought_back_by_a_later_commit() {
        let store = FakeStore::default();
        let (mut desk, _) = desk(&store);
        serve_late(&mut desk, 1_000, &[(1_000, asking("m1", 1, 2))]);
        store.fill(true);
        let late = [(2_000, asking("m1", 2, 2)), (4_050, asking("m1", 2, 2))];
        assert_eq!(serve_late(&mut desk, 4_100, &late), [Rcode::SERVFAIL; 2]);
        store.fill(false);
        desk.tick(5_500);
        assert_eq!(desk.registrar.members(), 0);
        assert_eq!(store.last_of("m1"), None, "it expired; a restart must not find it");
    }

    #[test]
    fn a_heartbeat_that_waited_for_the_disk_is_in_time() {
        let store = FakeStore::default();
        let (desk, counters) = desk(&store);
        let (queue, jobs) = crossbeam_channel::bounded(8);
        let (to_client, replies) = mpsc::channel(8);
        let now_ms = clock::now_ms();
        // Received when the lease had 100 ms left; judged after it was over. Nobody ticks in between.
        let waited = [(now_ms, "m1"), (now_ms, "m2"), (now_ms + 1_900, "m1"), (now_ms + 3_700, "m1")];
        for (received_ms, label) in waited {
            let reply_to = ReplyTo::Tcp(to_client.clone());
            let (message, source) = (asking(label, 1, 2).into(), ([127, 0, 0, 1], 4_000).into());
            queue.send(Job { message, source, received_ms, reply_to }).unwrap();
        }
        drop(queue);
        desk.run(&jobs);
        drop(replies);
        let json = counters.to_json();
        assert_eq!((&json["changes"]["joined"], &json["changes"]["renewed"]), (&2.into(), &2.into()));
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
