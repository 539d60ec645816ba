//! A pool's policy changes while it has members: answers do, at once and by what is known already; members, leases, loads
//! and counts of picks do not.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use std::collections::BTreeMap;

use rollcall::policy::{Policy, Shown};
use rollcall::zone::PoolSettings;

use crate::world::{Setup, World, pool_settings};

/// Three members that differ in everything that a policy may ask for.
const MEMBERS: [(&str, &str); 3] = [
    ("m1", "weight=1 priority=5 load=0.8"),
    ("m2", "weight=2 priority=9 load=0.2"),
    ("m3", "weight=4 priority=9 load=0.5"),
];

fn registration(member: &str, attributes: &str) -> String {
    let number = &member[1..];
    let service = format!("add _http._tcp.web 30 SRV 7 10 8080 {member}.web");
    format!("add {member}.web 30 A 10.0.0.{number}; {service}; add {member}.web 30 TXT {attributes}")
}

fn setup(settings: PoolSettings) -> Setup {
    Setup { pools: vec![("web", settings)], ..Setup::default() }
}

fn with_members() -> World {
    let mut world = World::with(setup(pool_settings(Policy::RoundRobin)));
    for (member, attributes) in MEMBERS {
        world.accept(&registration(member, attributes));
    }
    world
}

/// Reloads, and sees to it that nothing but the pool's answers is another.
fn reload(world: &mut World, settings: PoolSettings) {
    let (serial, changes) = (world.serial(), world.changes.len());
    let own = |world: &mut World| ["A", "TXT"].map(|rtype| world.ask("m2.web", rtype).data());
    let (member, lease_ms) = (own(world), world.ask("m2.web", "A").ttl_s());
    let reloaded = world.reload(setup(settings));
    assert!(reloaded.changes.is_empty() && reloaded.stranded.is_empty());
    assert_eq!(world.serial(), serial + 1, "what SRV records say is another");
    assert_eq!((own(world), world.ask("m2.web", "A").ttl_s()), (member, lease_ms));
    rank(world);
    assert_eq!((world.serial(), world.changes.len()), (serial + 1, changes));
}

fn reload_as(world: &mut World, policy: Policy) {
    reload(world, pool_settings(policy));
}

/// What the server's tick does.
fn rank(world: &mut World) {
    world.registrar.rank(world.now_ms, usize::MAX);
}

/// The addresses' last octets, in the order of the answer.
fn asked(world: &mut World) -> Vec<u8> {
    let data = world.ask("web", "A").data();
    data.iter().map(|address| address.rsplit_once('.').unwrap().1.parse().unwrap()).collect()
}

/// How often each is first in so many answers of one.
fn shares(world: &mut World, answers: usize) -> [usize; 3] {
    let mut counts = [0; 3];
    for _ in 0..answers {
        let [member] = asked(world)[..] else { panic!("one") };
        counts[usize::from(member) - 1] += 1;
    }
    counts
}

/// Priority and weight of each member's SRV record.
fn fields(world: &mut World) -> [(u16, u16); 3] {
    let data = world.ask("_http._tcp.web", "SRV").data();
    let fields: BTreeMap<String, (u16, u16)> = data
        .iter()
        .map(|record| {
            let [priority, weight, _, target] = record.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{record}")
            };
            (target.to_owned(), (priority.parse().unwrap(), weight.parse().unwrap()))
        })
        .collect();
    fields.into_values().collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn every_policy_begins_with_what_members_said_before_it() {
    let mut world = with_members();
    assert_eq!(fields(&mut world), [(7, 10); 3]);

    reload_as(&mut world, Policy::LeastUsed);
    assert_eq!(shares(&mut world, 10), [0, 10, 0], "loads that were known already count");
    assert_eq!(fields(&mut world), [(0, 16_383), (0, 65_535), (0, 40_959)], "what each has to spare");

    reload_as(&mut world, Policy::Priority);
    let mut best = asked(&mut world);
    best.sort();
    assert_eq!(best, [2, 3]);
    assert_eq!(fields(&mut world), [(1, 10), (0, 10), (0, 10)]);

    reload_as(&mut world, Policy::WeightedRoundRobin);
    assert_eq!(shares(&mut world, 70), [10, 20, 40]);
    assert_eq!(fields(&mut world), [(0, 16_383), (0, 32_767), (0, 65_535)]);

    reload_as(&mut world, Policy::PriorityLeastUsed);
    assert_eq!(shares(&mut world, 10), [0, 10, 0]);

    reload_as(&mut world, Policy::RandomizedLeastUsed);
    let [m1, m2, m3] = shares(&mut world, 1_500);
    assert!(m2 > m3 && m3 > m1 && m1 > 100, "200, 800 and 500 are expected: {m1}, {m2}, {m3}");

    reload_as(&mut world, Policy::WeightedRandom);
    let [m1, m2, m3] = shares(&mut world, 1_400);
    assert!(m3 > m2 && m2 > m1 && m1 > 100, "200, 400 and 800 are expected: {m1}, {m2}, {m3}");

    reload_as(&mut world, Policy::Random);
    assert_eq!((asked(&mut world).len(), fields(&mut world)), (3, [(0, 65_535); 3]));

    reload_as(&mut world, Policy::RoundRobin);
    let turns: Vec<u8> = (0..3).map(|_| asked(&mut world)[0]).collect();
    assert!(turns.iter().all(|member| turns.iter().filter(|other| *other == member).count() == 1));
    assert_eq!(fields(&mut world), [(7, 10); 3], "as they registered");
}

#[test]
fn a_load_that_is_said_under_a_policy_that_does_not_ask_is_there_for_one_that_does() {
    let mut world = with_members();
    reload_as(&mut world, Policy::LeastUsed);
    reload_as(&mut world, Policy::WeightedRandom);
    let serial = world.serial();
    world.accept("add m2.web 30 TXT load=0.9");
    world.accept("add m1.web 30 TXT load=0.1");
    assert_eq!(world.serial(), serial, "load is soft");
    reload_as(&mut world, Policy::LeastUsedDegradation);
    assert_eq!(shares(&mut world, 10), [10, 0, 0]);
}

#[test]
fn what_answers_have_asked_of_members_is_not_forgotten() {
    let mut world = with_members();
    reload_as(&mut world, Policy::LeastUsedDegradation);
    // From 0.2 it is 30 picks to 0.5, where the next one is.
    assert_eq!(shares(&mut world, 25), [0, 25, 0]);
    reload_as(&mut world, Policy::Random);
    assert_eq!(asked(&mut world).len(), 3);
    reload_as(&mut world, Policy::LeastUsedDegradation);
    let [m1, m2, m3] = shares(&mut world, 25);
    assert!(m1 == 0 && (14..=16).contains(&m2) && m2 + m3 == 25, "5, and every other of 20: {m2}, {m3}");
}

#[test]
fn leases_end_when_they_would_have() {
    let mut world = with_members();
    world.advance(20_000);
    world.accept(&registration(MEMBERS[1].0, MEMBERS[1].1));
    reload_as(&mut world, Policy::LeastUsed);
    world.advance(9_000);
    assert_eq!(world.ask("_http._tcp.web", "SRV").data().len(), 3);
    reload_as(&mut world, Policy::WeightedRoundRobin);
    world.advance(1_000);
    assert_eq!(world.ask("_http._tcp.web", "SRV").data().len(), 1);
    assert_eq!(shares(&mut world, 3), [0, 3, 0]);
    world.advance(20_000);
    assert!(world.ask("web", "A").is_nodata());
}

#[test]
fn loads_are_evened_out_from_a_reload_on_and_as_they_were_said_after_another() {
    let mut world = with_members();
    let evened = PoolSettings { load_half_life_ms: 10_000, ..pool_settings(Policy::LeastUsed) };
    reload(&mut world, evened);
    assert_eq!(shares(&mut world, 3), [0, 3, 0], "what was said before is the beginning");
    world.advance(10_000);
    world.accept("add m2.web 30 TXT load=1");
    rank(&mut world);
    assert_eq!(shares(&mut world, 3), [0, 0, 3]);
    let [(_, m1), (_, m2), (_, m3)] = fields(&mut world);
    assert!(m1 < m2 && m2 < m3, "0.8, 0.6 after 0.2 and 1, and 0.5: {m1}, {m2}, {m3}");
    reload_as(&mut world, Policy::LeastUsed);
    let [(_, m1), (_, m2), _] = fields(&mut world);
    assert!(m1 > m2 && m2 == 1, "it has nothing to spare: {m1}, {m2}");
}

#[test]
fn newcomers_warm_up_from_when_they_joined_and_not_from_a_reload() {
    let all = |policy| PoolSettings { addresses: Shown::All, ..pool_settings(policy) };
    let mut world = World::with(setup(all(Policy::WeightedRandom)));
    world.accept(&registration("m1", "weight=5"));
    world.accept(&registration("m2", "weight=5"));
    world.advance(29_000);
    world.accept(&registration("m1", "weight=5"));
    world.accept(&registration("m2", "weight=5"));
    world.accept(&registration("m3", "weight=5"));
    assert_eq!(fields(&mut world), [(0, 65_535); 3]);
    world.advance(1_000);
    let warming = PoolSettings { warm_up_ms: 60_000, ..all(Policy::WeightedRoundRobin) };
    reload(&mut world, warming);
    let [(_, m1), (_, m2), (_, m3)] = fields(&mut world);
    assert!((m1, m2) == (65_535, 65_535) && (12_000..14_000).contains(&m3), "a fifth: {m3}");
    reload(&mut world, all(Policy::WeightedRoundRobin));
    assert_eq!(fields(&mut world), [(0, 65_535); 3]);
}
