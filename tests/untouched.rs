//! A change to one pool is a change to that pool: what is published of every other name is the very same afterwards, octet for
//! octet where it lay. And no question waits while a change is being published.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

#[path = "scenarios/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rollcall::policy::{Policy, Shown};
use rollcall::query::{self, Context, Outcome, Scratch, Transport};
use rollcall::update::{Clock, Request};
use rollcall::wire::{Name, NameKey, Question, lower};
use rollcall::zone::{Node, PoolSettings, Role, ZoneSet};

use sdd::Guard;
use world::{Setup, World, pool_settings, question_message, records_grant, update_message, zone_file};

const POOLS: [&str; 4] = ["p0", "p1", "p2", "busy"];
/// Names that are no pool's: a static one, one that UPDATE adds to, an empty one, the apex.
const OTHERS: [&str; 4] = ["info", "www", "c", "@"];

/// Four pools of two members each; `busy` ranks by load.
fn world() -> World {
    let mut pools: Vec<_> =
        POOLS[..3].iter().map(|pool| (*pool, pool_settings(Policy::RoundRobin))).collect();
    pools.push(("busy", pool_settings(Policy::LeastUsed)));
    let setup = Setup { pools, create_pools: false, grants: vec![records_grant()], ..Setup::default() };
    let mut world = World::with(setup);
    for (pool, net) in POOLS.iter().zip(0..) {
        for m in 1..=2 {
            world.accept(&registration(pool, net, m));
        }
    }
    world
}

fn registration(pool: &str, net: u8, m: u8) -> String {
    format!("add m{m}.{pool} 30 A 10.{net}.0.{m}; add _s._tcp.{pool} 30 SRV 0 1 80 m{m}.{pool}")
}

/// What a name holds, as published. As long as the guard is held nothing else comes to lie in its place.
fn node<'g>(zones: &ZoneSet, name: &str, guard: &'g Guard) -> &'g Node {
    let name = if name == "@" { "pool.example.".to_owned() } else { format!("{name}.pool.example.") };
    let wire = lower(Name::bytes_from_str(&name).unwrap().as_slice());
    let key = NameKey::of(&wire, zones.hasher()).unwrap();
    let (node, left) = zones.find(&key).unwrap().locate(&key, guard).unwrap();
    assert_eq!(left, 0, "{name} is in the index");
    node
}

fn published<'g>(world: &World, guard: &'g Guard) -> BTreeMap<String, &'g Node> {
    let services = POOLS.iter().map(|pool| format!("_s._tcp.{pool}"));
    let names = POOLS.iter().chain(&OTHERS).map(|name| (*name).to_owned()).chain(services);
    let zones = world.registrar.published();
    names.map(|name| (name.clone(), node(zones, &name, guard))).collect()
}

/// The names that hold something else after it than before.
fn touched(world: &mut World, act: impl FnOnce(&mut World)) -> Vec<String> {
    let guard = Guard::new();
    let before = published(world, &guard);
    act(world);
    let after = published(world, &guard);
    let changed = after.into_iter().filter(|(name, node)| !std::ptr::eq(before[name], *node));
    changed.map(|(name, _)| name).collect()
}

/// Where a pool's records lie.
fn places(node: &Node) -> Vec<*const u8> {
    let Role::Pool(view) = &node.role else { panic!("a pool") };
    let services = view.services().map(|(_, list)| list.record(0).as_ptr());
    [view.v4.record(0).as_ptr()].into_iter().chain(services).collect()
}

#[test]
fn a_change_touches_its_own_pool_and_nothing_else() {
    type Act = fn(&mut World);
    let of_p1: &[&str] = &["_s._tcp.p1", "p1"];
    let cases: [(&str, &[&str], Act); 10] = [
        ("a join", of_p1, |world| _ = world.accept(&registration("p1", 1, 3))),
        ("a heartbeat", &[], |world| _ = world.accept(&registration("p1", 1, 3))),
        ("a word about load that no policy asks for", &[], |world| {
            _ = world.accept("add m1.p1 30 TXT load=0.5")
        }),
        ("an attribute", of_p1, |world| _ = world.accept("add m1.p1 30 TXT weight=3")),
        ("another address", of_p1, |world| _ = world.accept("add m1.p1 30 A 10.1.0.9")),
        ("a leave", of_p1, |world| _ = world.accept("delete m3.p1")),
        ("a refusal", &[], |world| _ = world.refuse("add m4.p1 30 A 192.0.2.1")),
        ("a record of an ordinary name", &["www"], |world| {
            _ = world.accept("delete www CNAME; add www 60 TXT changed");
        }),
        ("a record at a pool's name", of_p1, |world| _ = world.accept("add p1 60 TXT text")),
        ("time", &[], |world| world.advance(1_000)),
    ];
    let mut world = world();
    for (what, wanted, act) in cases {
        assert_eq!(touched(&mut world, act), wanted, "{what}");
    }
}

#[test]
fn an_expiry_touches_its_own_pool_and_nothing_else() {
    let mut world = world();
    world.advance(1_000);
    let others = POOLS.iter().zip(0..).flat_map(|(pool, net)| [(pool, net, 1), (pool, net, 2)]);
    for (pool, net, m) in others.filter(|(pool, _, m)| (**pool, *m) != ("p2", 2)) {
        world.accept(&registration(pool, net, m));
    }
    let before = world.changes.len();
    assert_eq!(touched(&mut world, |world| world.advance(29_500)), ["_s._tcp.p2", "p2"]);
    assert_eq!(world.changes.len(), before + 1, "m2 of p2, and nobody else");
}

#[test]
fn a_load_ranks_its_pool_anew_and_encodes_nothing() {
    let mut world = world();
    // What SRV records say of loads moves once a second: let that pass.
    world.advance(2_000);
    world.registrar.rank(world.now_ms, usize::MAX);
    let guard = Guard::new();
    let (first, said) = (published(&world, &guard), "add m1.busy 30 TXT load=0.75");
    assert_eq!(
        touched(&mut world, |world| _ = world.accept(said)),
        [""; 0],
        "the heartbeat itself writes a slot"
    );
    let ranked = touched(&mut world, |world| {
        world.advance(100);
        world.registrar.rank(world.now_ms, usize::MAX);
    });
    assert_eq!(ranked, ["_s._tcp.busy", "busy"]);
    let now = published(&world, &guard);
    assert_eq!(places(first["busy"])[0], places(now["busy"])[0], "the addresses lie where they lay");
}

#[test]
fn a_reload_keeps_the_views_of_pools_that_are_as_they_were() {
    let (mut world, guard) = (world(), Guard::new());
    let before = published(&world, &guard);
    let mut setup = world.setup.clone();
    setup.zone_file = format!("{}new A 192.0.2.90\n", zone_file());
    setup.pools[1].1.ttl_s = 3;
    world.reload(setup);
    let after = published(&world, &guard);
    for pool in ["p0", "p2", "busy"] {
        assert!(std::ptr::eq(before[pool], after[pool]), "{pool}");
    }
    assert_ne!(places(before["p1"]), places(after["p1"]), "another TTL is in every record");
}

/// Members of the pool whose publishing takes its time.
const CROWD: usize = 10_000;
/// No part of a publication as long as this is without an answer: of five, one.
const PARTS: u64 = 5;
/// A machine with other things to do needs several attempts, but not for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the one who asks and the one who publishes tell each other, in nanoseconds since the test began.
struct Watch {
    since: Instant,
    /// When what is being published began to be; 0 while nothing is.
    began: AtomicU64,
    /// The last answer.
    last: AtomicU64,
    /// The longest that there was none meanwhile.
    longest: AtomicU64,
    stop: AtomicBool,
}

impl Watch {
    fn now(&self) -> u64 {
        self.since.elapsed().as_nanos() as u64
    }

    fn answered(&self) {
        let now = self.now();
        let (last, began) = (self.last.swap(now, Ordering::SeqCst), self.began.load(Ordering::SeqCst));
        if began > 0 {
            self.longest.fetch_max(now.saturating_sub(last.max(began)), Ordering::SeqCst);
        }
    }

    /// How long a publication took, and how long there was no answer meanwhile.
    fn publication(&self, publish: impl FnOnce()) -> (u64, u64) {
        self.longest.store(0, Ordering::SeqCst);
        let began = self.now();
        self.began.store(began, Ordering::SeqCst);
        publish();
        let ended = self.now();
        let since_last = ended.saturating_sub(self.last.load(Ordering::SeqCst).max(began));
        self.began.store(0, Ordering::SeqCst);
        (ended - began, since_last.max(self.longest.load(Ordering::SeqCst)))
    }
}

/// Asks again and again, all kinds of names.
fn ask(zones: &ZoneSet, now_ms: u64, watch: &Watch) {
    let asked = [
        ("p0", "A"),
        ("crowd", "A"),
        ("m7.crowd", "A"),
        ("_s._tcp.p0", "SRV"),
        ("info", "A"),
        ("nobody", "A"),
    ];
    let questions = asked.map(|(name, rtype)| question_message(name, rtype, None));
    let (mut question, mut scratch, mut out) = (Question::default(), Scratch::new(0, 1), vec![0; 65_535]);
    let (transport, client) = (Transport::Udp, None);
    let context = Context { zones, transport, now_ms, reserved: 0, client, cookie: None, keepalive: None };
    for message in questions.iter().cycle() {
        if watch.stop.load(Ordering::SeqCst) {
            return;
        }
        let reading = query::read(zones, message, &mut question);
        let outcome = query::answer(&context, &question, reading, message, &mut scratch, &mut out);
        assert!(matches!(outcome, Outcome::Reply(..)), "{outcome:?}");
        watch.answered();
    }
}

#[test]
fn questions_are_answered_while_a_large_pool_is_being_published() {
    let few =
        PoolSettings { addresses: Shown::AtMost(4.try_into().unwrap()), ..pool_settings(Policy::RoundRobin) };
    let pools = vec![("p0", few.clone()), ("crowd", few)];
    let mut world = World::with(Setup { pools, create_pools: false, ..Setup::default() });
    world.accept(&registration("p0", 0, 1));
    let clock = Clock { now_ms: world.now_ms, wall_s: 1_700_000_000 };
    let handle = |registrar: &mut rollcall::update::Registrar, m: usize, last: u8| {
        let [high, low] = u16::try_from(m).unwrap().to_be_bytes();
        let script = format!("delete m{m}.crowd A; add m{m}.crowd 30 A 10.{high}.{low}.{last}");
        let message = update_message(&script, None).to_vec().unwrap();
        let (source, transport) = (world.source, Transport::Tcp);
        let request = Request { message: &message, source, transport, received_ms: clock.now_ms };
        let handled = registrar.handle(&request, clock);
        assert_eq!(handled.refusal, None);
        handled.changes
    };
    let mut registrar = world.registrar;
    let joined: Vec<_> = (0..CROWD).flat_map(|m| handle(&mut registrar, m, 1)).collect();
    registrar.publish(&joined, clock.now_ms).unwrap();
    let few: Vec<_> = handle(&mut registrar, 7, 3);
    let guard = Guard::new();
    let records = |registrar: &rollcall::update::Registrar| {
        let Role::Pool(view) = &node(registrar.published(), "crowd", &guard).role else { panic!("a pool") };
        (0..CROWD).map(|place| view.v4.record(place).as_ptr()).collect::<Vec<_>>()
    };
    let before = records(&registrar);
    registrar.publish(&few, clock.now_ms).unwrap();
    let moved = before.iter().zip(records(&registrar)).filter(|(before, after)| **before != *after).count();
    assert!((1..CROWD / 20).contains(&moved), "{moved} records were encoded anew for one member");
    drop(guard);

    let zones = Arc::clone(registrar.published());
    let watch = Watch {
        since: Instant::now(),
        began: AtomicU64::new(0),
        last: AtomicU64::new(0),
        longest: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    let (mut seen, mut moved) = (Vec::new(), true);
    thread::scope(|threads| {
        threads.spawn(|| ask(&zones, clock.now_ms, &watch));
        for last in [2, 1].into_iter().cycle() {
            // Members in every part of the pool have another address: the whole of it is encoded anew.
            let changes: Vec<_> =
                (0..CROWD).step_by(100).flat_map(|m| handle(&mut registrar, m, last)).collect();
            let guard = Guard::new();
            let before = node(&zones, "crowd", &guard);
            let (took, silent) = watch.publication(|| registrar.publish(&changes, clock.now_ms).unwrap());
            moved &= places(before) != places(node(&zones, "crowd", &guard));
            seen.push((took, silent));
            if silent * PARTS <= took || watch.since.elapsed() > PATIENCE {
                break;
            }
        }
        watch.stop.store(true, Ordering::SeqCst);
    });
    assert!(moved);
    let (took, silent) = seen[seen.len() - 1];
    assert!(silent * PARTS <= took, "publications, and how long nobody was answered meanwhile, ns: {seen:?}");
}
