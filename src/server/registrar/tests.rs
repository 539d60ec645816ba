//! Groups of jobs on a simulated clock and a disk that can be full.

mod held_up;
mod ordinary;
mod slices;
mod trouble;
mod untold;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::super::clock;
use super::super::counters::Counters;
use super::super::tests::{registrar, registration};
use super::*;
use crate::membership::{Absence, Cause, LeaseRef, Signed};
use crate::wire::{NameKey, Rcode};
use crate::zone::NameChange;

/// What reached the disk, and whether the disk works.
#[derive(Default)]
struct Disk {
    full: bool,
    causes: Vec<Cause>,
    /// How many changes each commit had.
    commits: Vec<usize>,
    /// Each member's last address octet, as a restart would find it.
    members: BTreeMap<Vec<u8>, u8>,
    /// Each member's floor, seconds since 1970, as the last change about it said.
    floors: BTreeMap<Vec<u8>, Option<u64>>,
    /// The records that UPDATE added to each name, rdata alone.
    names: BTreeMap<Vec<u8>, Vec<Box<[u8]>>>,
    /// The floor of the last key that changed any, seconds since 1970.
    key_floor: Option<u64>,
    /// The serial that a restart would begin with; 0 as long as none was stored.
    serial: u32,
}

#[derive(Clone, Default)]
struct FakeStore(Rc<RefCell<Disk>>);

impl Commit for FakeStore {
    type Error = &'static str;

    fn commit<'c>(
        &mut self,
        changes: impl IntoIterator<Item = &'c Change>,
        serials: &[(Box<[u8]>, u32)],
        _at: Moment,
    ) -> Result<(), &'static str> {
        let mut disk = self.0.borrow_mut();
        if disk.full {
            return Err("no space left");
        }
        disk.serial = serials.last().map_or(disk.serial, |(_, serial)| *serial);
        disk.commits.push(0);
        for change in changes {
            disk.causes.push(change.cause());
            *disk.commits.last_mut().unwrap() += 1;
            let change = match change {
                Change::Member(change) => change,
                Change::Name(change) => {
                    disk.take_name(change);
                    continue;
                }
                Change::Drain(_) => continue,
                Change::Floor(raised) => {
                    disk.key_floor = raised.floor.map(|floor| floor.at_s);
                    continue;
                }
            };
            disk.floors.insert(change.name.to_vec(), change.floor.1.map(|floor| floor.at_s));
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

impl Disk {
    fn take_name(&mut self, change: &NameChange) {
        let rdata =
            change.after.iter().flat_map(|dynamic| dynamic.added.iter().map(|added| added.rdata.clone()));
        match change.after {
            Some(_) => _ = self.names.insert(change.name.to_vec(), rdata.collect()),
            None => _ = self.names.remove(change.name.as_ref()),
        }
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
    desk_of(registrar(), store)
}

fn desk_of(registrar: Registrar, store: &FakeStore) -> (GroupCommit<FakeStore>, Arc<Counters>) {
    let counters = Arc::new(Counters::new(0));
    let observer = Observer::new(Arc::clone(&counters));
    (group_commit(registrar, store.clone(), observer), counters)
}

fn group_commit<S: Commit>(registrar: Registrar, store: S, observer: Observer) -> GroupCommit<S> {
    let zones = Arc::new(ArcSwap::new(Arc::clone(registrar.published())));
    let leases = Arc::new(LeaseClock::new(clock::now_ms(), Arc::new(Counters::new(0))));
    GroupCommit::new(registrar, zones, store, observer, leases, &Restored::default())
}

/// The zone's serial, as a SOA says it.
fn serial(registrar: &Registrar) -> u32 {
    let zones = registrar.published();
    let apex = NameKey::of(b"\x04pool\x07example\x00", zones.hasher()).unwrap();
    zones.find(&apex).unwrap().serial()
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
    assert_eq!(serve(&mut desk, 2_000, &both), [Rcode::NOERROR; 2], "a full disk loses no healthy member");
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
    assert_eq!(store.causes()[3..], [Cause::Expired, Cause::Joined], "in the order in which they happened");
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
    desk.serve(jobs, || Clock { now_ms, wall_s: 1_800_000_000 });
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
    let again = [(2_000, asking("m1", 1, 3_600)), (2_001, asking("m1", 1, 0)), (2_002, asking("m1", 1, 30))];
    assert_eq!(serve_late(&mut desk, 2_010, &again), [Rcode::NOERROR; 3]);
    desk.tick(32_050);
    assert_eq!(desk.registrar.members(), 0);
}

#[test]
fn nobody_is_told_of_a_change_that_is_taken_back() {
    let store = FakeStore::default();
    let (mut desk, _) = desk(&store);
    serve_late(&mut desk, 1_000, &[(1_000, asking("m1", 1, 60))]);
    store.fill(true);
    // LEASE 0 leaves; the client sends it twice.
    let leaving = [(2_000, asking("m1", 1, 0)), (2_001, asking("m1", 1, 0))];
    assert_eq!(serve_late(&mut desk, 2_010, &leaving), [Rcode::SERVFAIL; 2]);
    assert_eq!((desk.registrar.members(), store.last_of("m1")), (1, Some(1)));
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
        queue.send(Task::Judge(Job { message, source, received_ms, reply_to })).unwrap();
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
    let message = registration("m2").into();
    queue.send(Task::Judge(Job { message, source, received_ms: 30_000, reply_to })).unwrap();
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

#[test]
fn a_stop_stores_the_floors_that_rose_since_they_were_stored() {
    let store = FakeStore::default();
    let (mut desk, counters) = desk(&store);
    serve(&mut desk, 1_000, &[registration("m1"), registration("m2")]);
    serve(&mut desk, 2_000, &[registration("m1")]);
    desk.stop(3_000);
    assert_eq!(counters.to_json()["store"]["commits"], 1, "nothing to write");
    // What a heartbeat does that only renews; m1 has the first slot.
    let lease = LeaseRef { slot: 0, generation: 1 };
    desk.registrar.published().leases().raise(lease, Signed::new(1_800_000_000, 300, 0));
    store.fill(true);
    desk.stop(4_000);
    store.fill(false);
    desk.stop(5_000);
    assert_eq!(store.causes()[2..], [Cause::Changed], "m2 is left alone");
    let floors = store.0.borrow().floors.clone();
    assert_eq!(floors, [(b"m1".to_vec(), Some(1_800_000_000)), (b"m2".to_vec(), None)].into());
}

#[test]
fn the_end_of_an_absence_is_stored_and_nobody_sees_it() {
    let store = FakeStore::default();
    let (mut desk, counters) = desk(&store);
    serve(&mut desk, 1_000, &[registration("m1")]);
    let before = serial(&desk.registrar);
    let absence = Absence { owner: "fleet".into(), name_ends_ms: 9_000, floor: None, floor_ends_ms: 0 };
    let web = b"\x03web\x04pool\x07example\x00".as_slice().into();
    desk.registrar.restore_absence(&web, &b"m9".as_slice().into(), absence);
    desk.tick(8_999);
    desk.tick(9_000);
    desk.tick(10_000);
    assert_eq!(store.causes(), [Cause::Joined, Cause::Released]);
    assert_eq!(
        (counters.to_json()["changes"]["released"].as_u64(), serial(&desk.registrar)),
        (Some(1), before)
    );
}
