//! Ordinary records in groups: committed, then visible, then acknowledged; and without the commit, no trace of them.

use super::*;
use crate::membership::LeaseRules;
use crate::policy::{Policy, Shown};
use crate::security::{Cookies, Grant, Grants, Holder, Keyring, NamePattern, Types};
use crate::update::{Limits, Setup, ZoneInput};
use crate::wire::tsig::{Algorithm, Key, sign_request};
use crate::wire::{Name, Rtype};
use crate::zone::{Dynamics, OnAllDown, PoolSettings, ZoneSettings, file};
use std::ops::ControlFlow;

pub(super) const WALL_S: u64 = 1_800_000_000;
/// How long nothing is written after a commit that failed.
pub(super) const RETRY_MS: u64 = 1_000;

fn name(text: &str) -> Name {
    Name::bytes_from_str(text).unwrap()
}

fn key() -> Key {
    Key::new(&name("fleet."), Algorithm::HmacSha256, &[7; 32]).unwrap()
}

/// Loopback and the key may register everything, in at most one pool and two ordinary records.
pub(super) fn small() -> Registrar {
    small_with(Vec::new())
}

/// The same, with what a store gave back of ordinary records.
pub(super) fn small_with(dynamics: Dynamics) -> Registrar {
    let apex = name("pool.example.");
    let leases = LeaseRules { default_ms: 30_000, min_ms: 2_000, max_ms: 3_600_000 };
    let (addresses, services) = (Shown::All, Shown::All);
    let defaults = PoolSettings {
        policy: Policy::RoundRobin,
        ttl_s: 5,
        addresses,
        services,
        load_half_life_ms: 0,
        warm_up_ms: 0,
        on_all_down: OnAllDown::All,
        leases,
        debug_from: [].into(),
    };
    let grant = |holder| Grant {
        addresses: vec!["127.0.0.0/8".parse().unwrap()],
        names: vec![NamePattern::new("*")],
        types: Types::All,
        ..Grant::to(holder)
    };
    let zone = ZoneInput {
        records: file::synthetic(&apex).unwrap(),
        settings: ZoneSettings {
            apex,
            negative_ttl_s: 2,
            freeze_max_ms: 600_000,
            create_pools: true,
            defaults,
            pools: Vec::new(),
        },
        grants: Grants::new(vec![grant(Holder::Unsigned), grant(Holder::Key(name("fleet.")))]),
        serial: 1,
    };
    let mut keyring = Keyring::default();
    keyring.insert(key()).unwrap();
    let limits = Limits { members: 1_000, pools: 1, records: 2 };
    let (zones, cookies) = (vec![zone], Arc::new(Cookies::new([7; 16])));
    Registrar::new(Setup { zones, dynamics, keyring, cookies, limits, run: 1 }, 0, 1).unwrap()
}

fn small_desk(store: &FakeStore) -> (GroupCommit<FakeStore>, Arc<Counters>) {
    desk_of(small(), store)
}

pub(super) const IN: u16 = 1;
const NONE: u16 = 254;
const ANY: u16 = 255;

/// A record of a name relative to the zone.
pub(super) fn record(owner: &str, rtype: Rtype, class: u16, ttl_s: u32, rdata: &[u8]) -> Vec<u8> {
    let owner = name(&format!("{owner}.pool.example."));
    let fixed = [&rtype.to_int().to_be_bytes()[..], &class.to_be_bytes(), &ttl_s.to_be_bytes()].concat();
    [owner.as_slice(), &fixed, &(rdata.len() as u16).to_be_bytes(), rdata].concat()
}

/// `add OWNER 60 TXT TEXT`.
pub(super) fn txt(owner: &str, text: &str) -> Vec<u8> {
    record(owner, Rtype::TXT, IN, 60, &[&[text.len() as u8], text.as_bytes()].concat())
}

/// `add LABEL.POOL 30 A 127.0.0.1`.
pub(super) fn address(owner: &str) -> Vec<u8> {
    record(owner, Rtype::A, IN, 30, &[127, 0, 0, 1])
}

/// That the name is in use, or that it is not.
fn prerequisite(owner: &str, is_in_use: bool) -> Vec<u8> {
    record(owner, Rtype::ANY, if is_in_use { ANY } else { NONE }, 0, &[])
}

fn update(prerequisites: &[Vec<u8>], records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = b"\x00\x07\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    (message[7], message[9]) = (prerequisites.len() as u8, records.len() as u8);
    message.extend_from_slice(b"\x04pool\x07example\x00\x00\x06\x00\x01");
    message.extend(prerequisites.concat());
    message.extend(records.concat());
    message
}

pub(super) fn add(records: &[Vec<u8>]) -> Vec<u8> {
    update(&[], records)
}

/// The same with a lease asked for (RFC 9664).
pub(super) fn leased(lease_s: u32, records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = add(records);
    message[11] = 1;
    message.extend_from_slice(b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x08\x00\x02\x00\x04");
    message.extend_from_slice(&lease_s.to_be_bytes());
    message
}

pub(super) fn signed(mut message: Vec<u8>, at_s: u64) -> Vec<u8> {
    sign_request(&mut message, &key(), at_s, 300);
    message
}

/// Texts that the zone shows at a name.
pub(super) fn shown(registrar: &Registrar, owner: &str, now_ms: u64) -> Vec<String> {
    shown_by(registrar.published(), owner, now_ms)
}

fn shown_by(zones: &crate::zone::ZoneSet, owner: &str, now_ms: u64) -> Vec<String> {
    let owner = name(&format!("{owner}.pool.example."));
    let owner = NameKey::of(owner.as_slice(), zones.hasher()).unwrap();
    let contents = zones.find(&owner).unwrap().contents(zones.leases(), now_ms);
    let mut texts = Vec::new();
    let seen = contents.each(&owner, Rtype::TXT, &mut |rdata| {
        texts.push(String::from_utf8(rdata[1..].to_vec()).unwrap());
        ControlFlow::Continue(())
    });
    assert!(seen.is_continue());
    texts
}

pub(super) fn on_disk(store: &FakeStore) -> Vec<String> {
    let disk = store.0.borrow();
    disk.names.values().flatten().map(|rdata| String::from_utf8_lossy(&rdata[1..]).into_owned()).collect()
}

/// A disk that looks round while it writes.
struct Watching {
    zones: Arc<crate::zone::ZoneSet>,
    replies: Rc<RefCell<mpsc::Receiver<Option<Vec<u8>>>>>,
    commits: Rc<RefCell<usize>>,
}

impl Commit for Watching {
    type Error = &'static str;

    fn commit<'c>(
        &mut self,
        changes: impl IntoIterator<Item = &'c Change>,
        _serials: &[(Box<[u8]>, u32)],
        _at: Moment,
    ) -> Result<(), &'static str> {
        assert_eq!(changes.into_iter().count(), 2);
        assert!(self.replies.borrow_mut().try_recv().is_err(), "nobody was told");
        assert!(shown_by(&self.zones, "host", 1_000).is_empty(), "nobody can see it");
        *self.commits.borrow_mut() += 1;
        Ok(())
    }
}

#[test]
fn a_record_is_committed_before_it_is_visible_and_visible_before_it_is_acknowledged() {
    let registrar = small();
    let (to_client, replies) = mpsc::channel(2);
    let (replies, commits) = (Rc::new(RefCell::new(replies)), Rc::default());
    let zones = Arc::clone(registrar.published());
    let store = Watching { zones, replies: Rc::clone(&replies), commits: Rc::clone(&commits) };
    let mut desk = group_commit(registrar, store, Observer::new(Arc::new(Counters::new(0))));
    let jobs = [txt("host", "v=1"), txt("other", "v=1")].map(|record| Job {
        message: add(&[record]).into(),
        source: ([127, 0, 0, 1], 4_000).into(),
        received_ms: 1_000,
        reply_to: ReplyTo::Tcp(to_client.clone()),
    });
    desk.serve(jobs.into_iter(), || Clock { now_ms: 1_000, wall_s: WALL_S });
    assert_eq!(*commits.borrow(), 1, "one for both");
    let rcodes: Vec<_> = std::iter::from_fn(|| replies.borrow_mut().try_recv().ok()).collect();
    assert!(rcodes.len() == 2 && rcodes.iter().flatten().all(|reply| reply[3] == 0));
    assert_eq!(shown(&desk.registrar, "host", 1_000), ["v=1"]);
}

#[test]
fn a_record_that_could_not_be_stored_leaves_no_trace() {
    let store = FakeStore::default();
    let (mut desk, counters) = small_desk(&store);
    let before = serial(&desk.registrar);
    store.fill(true);
    let both = signed(add(&[txt("host", "v=1"), txt("other", "v=1")]), WALL_S + 5);
    assert_eq!(serve(&mut desk, 1_000, std::slice::from_ref(&both)), [Rcode::SERVFAIL]);
    assert!(shown(&desk.registrar, "host", 1_000).is_empty());
    assert_eq!(serial(&desk.registrar), before);
    assert_eq!(counters.to_json()["names"]["changed"], 0);
    store.fill(false);
    desk.tick(1_000 + RETRY_MS);
    assert!(on_disk(&store).is_empty(), "taken back, in case the disk has it");
    // There is room for as much as before, and the message itself is no replay.
    let now_ms = 2_000 + RETRY_MS;
    assert_eq!(serve(&mut desk, now_ms, &[both]), [Rcode::NOERROR]);
    assert_eq!((shown(&desk.registrar, "host", now_ms), on_disk(&store).len()), (vec!["v=1".to_owned()], 2));
    assert_eq!(serve(&mut desk, now_ms, &[add(&[txt("more", "v=1")])]), [Rcode::REFUSED]);
    assert_eq!(store.0.borrow().key_floor, Some(WALL_S + 5));
}

#[test]
fn a_deletion_that_could_not_be_stored_did_not_happen() {
    let store = FakeStore::default();
    let (mut desk, _) = small_desk(&store);
    serve(&mut desk, 1_000, &[add(&[txt("host", "v=1"), txt("other", "v=1")])]);
    store.fill(true);
    let delete = add(&[record("host", Rtype::ANY, ANY, 0, &[])]);
    let change = add(&[record("other", Rtype::TXT, ANY, 0, &[]), txt("other", "v=2")]);
    assert_eq!(serve(&mut desk, 2_000, &[delete, change]), [Rcode::SERVFAIL; 2]);
    store.fill(false);
    desk.tick(2_000 + RETRY_MS);
    let seen = [shown(&desk.registrar, "host", 4_000), shown(&desk.registrar, "other", 4_000)].concat();
    assert_eq!((seen.clone(), on_disk(&store)), (vec!["v=1".to_owned(); 2], seen));
    assert_eq!(serve(&mut desk, 4_000, &[add(&[txt("more", "v=1")])]), [Rcode::REFUSED], "both count");
}

#[test]
fn a_pool_whose_making_could_not_be_stored_was_not_made() {
    let store = FakeStore::default();
    let (mut desk, _) = small_desk(&store);
    store.fill(true);
    let beside = add(&[address("m1.chat"), txt("chat", "v=1"), txt("_acme-challenge.m1.chat", "v=1")]);
    assert_eq!(serve(&mut desk, 1_000, &[beside]), [Rcode::SERVFAIL]);
    assert!(shown(&desk.registrar, "chat", 1_000).is_empty());
    store.fill(false);
    let now_ms = 1_000 + RETRY_MS;
    assert_eq!(
        serve(&mut desk, now_ms, &[add(&[address("m1.game")])]),
        [Rcode::NOERROR],
        "the one pool there may be"
    );
    assert_eq!(serve(&mut desk, now_ms, &[add(&[address("m1.chat")])]), [Rcode::REFUSED]);
    assert_eq!((desk.registrar.members(), on_disk(&store).len()), (1, 0));
}

#[test]
fn what_needs_no_commit_stands_on_a_full_disk() {
    let store = FakeStore::default();
    let (mut desk, _) = small_desk(&store);
    let heartbeat = leased(10, &[txt("host", "v=1"), address("m1.chat")]);
    serve(&mut desk, 1_000, std::slice::from_ref(&heartbeat));
    store.fill(true);
    let group = [heartbeat.clone(), add(&[txt("other", "v=1")])];
    assert_eq!(serve(&mut desk, 9_000, &group), [Rcode::NOERROR, Rcode::SERVFAIL]);
    desk.tick(18_999);
    assert_eq!((shown(&desk.registrar, "host", 18_999).len(), desk.registrar.members()), (1, 1));
    desk.tick(19_000);
    assert_eq!((shown(&desk.registrar, "host", 19_000).len(), desk.registrar.members()), (0, 0));
}

#[test]
fn a_lease_that_runs_out_is_counted_and_stored_within_a_second() {
    let store = FakeStore::default();
    let (mut desk, counters) = small_desk(&store);
    serve(&mut desk, 1_000, &[leased(10, &[txt("host", "v=1")]), add(&[txt("host", "v=0")])]);
    let before = serial(&desk.registrar);
    desk.tick(10_999);
    assert_eq!(on_disk(&store), ["v=1", "v=0"]);
    desk.tick(11_000);
    assert_eq!(shown(&desk.registrar, "host", 11_000), ["v=0"]);
    assert_ne!(serial(&desk.registrar), before);
    assert_eq!(counters.to_json()["names"]["lapsed"], 1);
    desk.tick(12_000);
    assert_eq!(on_disk(&store), ["v=0"]);
    // The place in the limit is free again.
    assert_eq!(serve(&mut desk, 12_000, &[add(&[txt("other", "v=1")])]), [Rcode::NOERROR]);
}

#[test]
fn the_second_message_about_a_name_is_judged_on_what_the_first_came_to() {
    let store = FakeStore::default();
    let (mut desk, counters) = small_desk(&store);
    let first_come = |text| update(&[prerequisite("host", false)], &[txt("host", text)]);
    let group = [first_come("first"), first_come("second"), add(&[txt("host", "third")])];
    assert_eq!(serve(&mut desk, 1_000, &group), [Rcode::NOERROR, Rcode::YXDOMAIN, Rcode::NOERROR]);
    assert_eq!(shown(&desk.registrar, "host", 1_000), ["first", "third"]);
    assert_eq!(counters.to_json()["store"]["commits"], 2);
}

#[test]
fn nobody_is_told_what_stands_on_a_change_that_is_taken_back() {
    let store = FakeStore::default();
    let (mut desk, _) = small_desk(&store);
    store.fill(true);
    let group = [
        add(&[txt("host", "v=1")]),
        update(&[prerequisite("host", true)], &[txt("other", "v=1")]),
        update(&[prerequisite("host", false)], &[]),
        add(&[record("host", Rtype::ANY, ANY, 0, &[])]),
    ];
    let wanted = [Rcode::SERVFAIL, Rcode::NXDOMAIN, Rcode::NOERROR, Rcode::SERVFAIL];
    assert_eq!(serve(&mut desk, 1_000, &group), wanted, "there was no host, but a restart might find one");
    let twice = [add(&[txt("host", "v=1")]), add(&[txt("host", "v=1")])];
    assert_eq!(serve(&mut desk, 1_000, &twice), [Rcode::SERVFAIL; 2], "the retry is no success either");
}

#[test]
fn a_prerequisite_on_what_is_pending_waits() {
    let (join, record) = (add(&[address("m1.chat")]), add(&[txt("host", "v=1")]));
    for (pending, asked, commits) in [
        (&record, "host", 2),
        (&join, "chat", 2),
        (&join, "m1.chat", 2),
        (&add(&[txt("_x.host", "v=1")]), "_x.host", 2),
    ] {
        for is_in_use in [true, false] {
            let store = FakeStore::default();
            let (mut desk, counters) = small_desk(&store);
            let asking = update(&[prerequisite(asked, is_in_use)], &[txt("other", "v=1")]);
            let (rcode, commits) = if is_in_use { (Rcode::NOERROR, commits) } else { (Rcode::YXDOMAIN, 1) };
            assert_eq!(
                serve(&mut desk, 1_000, &[pending.clone(), asking]),
                [Rcode::NOERROR, rcode],
                "{asked}"
            );
            assert_eq!(counters.to_json()["store"]["commits"], commits, "{asked}");
        }
    }
    // What has nothing to do with it shares its commit.
    let store = FakeStore::default();
    let (mut desk, counters) = small_desk(&store);
    let asking = update(&[prerequisite("nobody", false)], &[txt("other", "v=1")]);
    assert_eq!(serve(&mut desk, 1_000, &[record, asking]), [Rcode::NOERROR; 2]);
    assert_eq!(counters.to_json()["store"]["commits"], 1);
}

#[test]
fn records_that_are_pending_count_in_the_limit_until_they_are_taken_back() {
    let store = FakeStore::default();
    let (mut desk, _) = small_desk(&store);
    let group = [txt("one", "v=1"), txt("two", "v=1"), txt("three", "v=1")].map(|record| add(&[record]));
    assert_eq!(serve(&mut desk, 1_000, &group), [Rcode::NOERROR, Rcode::NOERROR, Rcode::REFUSED]);
    // One goes and another comes.
    let swap = [add(&[record("one", Rtype::ANY, ANY, 0, &[])]), group[2].clone()];
    assert_eq!(serve(&mut desk, 2_000, &swap), [Rcode::NOERROR; 2]);
    assert_eq!(serve(&mut desk, 3_000, &group[..1]), [Rcode::REFUSED]);
    // The deletion that made room is taken back, and so is the room.
    store.fill(true);
    let swap = [add(&[record("two", Rtype::ANY, ANY, 0, &[])]), group[0].clone()];
    assert_eq!(serve(&mut desk, 4_000, &swap), [Rcode::SERVFAIL; 2]);
    store.fill(false);
    assert_eq!(serve(&mut desk, 4_000 + RETRY_MS, &group[..1]), [Rcode::REFUSED]);
    assert_eq!(shown(&desk.registrar, "two", 9_000).len() + shown(&desk.registrar, "three", 9_000).len(), 2);
}

#[test]
fn a_pool_is_not_made_where_an_alias_is_about_to_stand() {
    let store = FakeStore::default();
    let (mut desk, _) = small_desk(&store);
    let alias = add(&[record("chat", Rtype::CNAME, IN, 60, b"\x02ns\x04pool\x07example\x00")]);
    assert_eq!(
        serve(&mut desk, 1_000, &[alias.clone(), add(&[address("m1.chat")])]),
        [Rcode::NOERROR, Rcode::REFUSED]
    );
    assert_eq!((desk.registrar.members(), on_disk(&store).len()), (0, 1), "a pool is no alias");
    let store = FakeStore::default();
    let (mut desk, _) = small_desk(&store);
    let group = [add(&[address("m1.chat")]), alias];
    assert_eq!(serve(&mut desk, 1_000, &group), [Rcode::NOERROR, Rcode::REFUSED], "nor an alias at a pool");
    assert_eq!((desk.registrar.members(), on_disk(&store).len()), (1, 0));
}
