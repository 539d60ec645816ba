//! What `_status` says under each policy: rank, share, and what the policy goes by.

use rollcall::policy::Policy;
use rollcall::zone::PoolSettings;

use super::{members, status};
use crate::world::{World, pool_settings};

/// A world with one pool, `web`, of a policy.
fn of(policy: Policy) -> World {
    World::with_pools(&[("web", pool_settings(policy))])
}

/// Each member's string without what all have: its name, and what stands between its lease and its address. As they are
/// after the server's tick.
fn standings(world: &mut World, name: &str) -> Vec<String> {
    world.advance(100);
    world.registrar.rank(world.now_ms, 1_000);
    let lines = members(world, name);
    let short = |line: &String| {
        let (name, rest) = line.split_once(' ').unwrap();
        let (_, rest) = rest.split_once("lease=").unwrap().1.split_once(' ').unwrap();
        format!("{name} {}", rest.rsplit_once(' ').unwrap().0)
    };
    lines.iter().map(short).collect()
}

#[test]
fn turns_and_draws_have_one_rank_and_shares_by_weight() {
    for (policy, wanted) in [
        (Policy::RoundRobin, ["m1 weight=30 rank=1 share=50%", "m2 weight=10 rank=1 share=50%"]),
        (Policy::Random, ["m1 weight=30 rank=1 share=50%", "m2 weight=10 rank=1 share=50%"]),
        (Policy::WeightedRoundRobin, ["m1 weight=30 rank=1 share=75%", "m2 weight=10 rank=2 share=25%"]),
        (Policy::WeightedRandom, ["m1 weight=30 rank=1 share=75%", "m2 weight=10 rank=2 share=25%"]),
    ] {
        let mut world = of(policy);
        world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT weight=30");
        world.accept("add m2.web 30 A 10.0.0.2; add m2.web 30 TXT weight=10");
        assert_eq!(standings(&mut world, "_status.web"), wanted, "{policy:?}");
        let answers = if policy.picks_by_weight() { "answers=1" } else { "answers=all" };
        let pool = &status(&mut world, "_status.web")[0];
        assert!(pool.contains(&format!("policy={} {answers} ", policy.name())), "{pool}");
    }
}

#[test]
fn priorities_rank_and_equals_share() {
    let mut world = of(Policy::Priority);
    world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT priority=7");
    world.accept("add m2.web 30 A 10.0.0.2");
    world.accept("add m3.web 30 A 10.0.0.3; add m3.web 30 TXT priority=7");
    let wanted = [
        "m1 weight=1 rank=1 share=50% priority=7",
        "m2 weight=1 rank=3 share=0% priority=0",
        "m3 weight=1 rank=1 share=50% priority=7",
    ];
    assert_eq!(standings(&mut world, "_status.web"), wanted);
    assert!(status(&mut world, "_status.web")[0].contains("answers=best"));
}

#[test]
fn loads_rank_and_what_is_unsaid_says_so() {
    for (policy, wanted) in [
        (
            Policy::LeastUsed,
            [
                "m1 weight=1 rank=1 share=100% load=0.2 degradation=0.5",
                "m2 weight=1 rank=2 share=0% load=0.4",
                "m3 weight=1 rank=3 share=0% load=unsaid",
            ],
        ),
        (
            Policy::PriorityLeastUsed,
            [
                "m1 weight=1 rank=3 share=0% load=0.2 degradation=0.5 level=0.7",
                "m2 weight=1 rank=1 share=100% load=0.4 degradation=0.01 level=0.41",
                "m3 weight=1 rank=2 share=0% load=unsaid degradation=0.01 level=0.51",
            ],
        ),
        (
            Policy::RandomizedLeastUsed,
            [
                "m1 weight=1 rank=1 share=42.1% load=0.2 degradation=0.5",
                "m2 weight=1 rank=2 share=31.6% load=0.4",
                "m3 weight=1 rank=3 share=26.3% load=unsaid",
            ],
        ),
    ] {
        let mut world = of(policy);
        world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT load=0.2 degradation=0.5");
        world.accept("add m2.web 30 A 10.0.0.2; add m2.web 30 TXT load=0.4");
        world.accept("add m3.web 30 A 10.0.0.3");
        assert_eq!(standings(&mut world, "_status.web"), wanted, "{policy:?}");
    }
}

#[test]
fn a_load_of_many_digits_is_not_smoothed_for_that() {
    let mut world = of(Policy::LeastUsed);
    world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT load=0.33333333");
    assert_eq!(standings(&mut world, "_status.web"), ["m1 weight=1 rank=1 share=100% load=0.333333"]);
}

#[test]
fn picks_degrade_until_the_member_registers_again() {
    let mut world = of(Policy::LeastUsedDegradation);
    let m1 = "add m1.web 30 A 10.0.0.1; add m1.web 30 TXT load=0.2 degradation=0.15";
    world.accept(m1);
    world.accept("add m2.web 30 A 10.0.0.2; add m2.web 30 TXT load=0.3");
    for _ in 0..3 {
        world.ask("web", "A");
    }
    let wanted = [
        "m1 weight=1 rank=2 share=0% load=0.2 degradation=0.15 picks=1 level=0.35",
        "m2 weight=1 rank=1 share=100% load=0.3 degradation=0.01 picks=2 level=0.32",
    ];
    assert_eq!(standings(&mut world, "_status.web"), wanted);
    world.accept(m1);
    let registered = &standings(&mut world, "_status.web")[0];
    assert!(registered.contains(" rank=1 ") && registered.ends_with(" picks=0"), "{registered}");
}

#[test]
fn newcomers_say_how_warm_they_are_and_smoothed_loads_what_they_are() {
    let settings =
        PoolSettings { warm_up_ms: 10_000, load_half_life_ms: 10_000, ..pool_settings(Policy::LeastUsed) };
    let mut world = World::with_pools(&[("web", settings)]);
    world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT load=0.2");
    world.advance(4_900);
    let half = ["m1 weight=1 rank=1 share=100% load=0.2 level=0.56 warming=55%"];
    assert_eq!(standings(&mut world, "_status.web"), half);
    world.advance(5_000);
    world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT load=0.6");
    assert_eq!(
        standings(&mut world, "_status.web"),
        ["m1 weight=1 rank=1 share=100% load=0.6 smoothed=0.4"],
        "half of the way after half a life, and warm"
    );
}

#[test]
fn a_service_says_what_its_records_say_and_how_clients_choose() {
    let mut world = of(Policy::WeightedRandom);
    world.accept(
        "add m1.web 30 A 10.0.0.1; add m1.web 30 TXT weight=30; add _http._tcp.web 30 SRV 5 1 80 m1.web; \
         add _sip._udp.web 30 SRV 5 1 5060 m1.web",
    );
    world.accept(
        "add m2.web 30 A 10.0.0.2; add m2.web 30 TXT weight=10; add _http._tcp.web 30 SRV 5 1 80 m2.web; \
         add _http._tcp.web 30 SRV 5 1 81 m2.web",
    );
    let lines = status(&mut world, "_status._http._tcp.web");
    assert_eq!(
        lines[0],
        "_http._tcp.web.pool.example. service policy=weighted-random answers=all ttl=5s up=3 out=0 gone=0"
    );
    let wanted = [
        "m1 weight=30 rank=1 share=60% port=80 srv-priority=0 srv-weight=65535",
        "m2 weight=10 rank=2 share=20% port=80 srv-priority=0 srv-weight=21845",
        "m2 weight=10 rank=2 share=20% port=81 srv-priority=0 srv-weight=21845",
    ];
    assert_eq!(standings(&mut world, "_status._http._tcp.web"), wanted);
    let wanted = ["m1 weight=30 rank=1 share=100% port=5060 srv-priority=0 srv-weight=65535"];
    assert_eq!(standings(&mut world, "_status._sip._udp.web"), wanted);
}

#[test]
fn a_service_by_priority_is_all_of_the_best() {
    let mut world = of(Policy::Priority);
    for (member, priority) in [("m1", 7), ("m2", 9)] {
        world.accept(&format!(
            "add {member}.web 30 A 10.0.0.1; add {member}.web 30 TXT priority={priority}; \
             add _http._tcp.web 30 SRV 5 6 80 {member}.web"
        ));
    }
    let wanted = [
        "m1 weight=6 rank=2 share=0% priority=7 port=80 srv-priority=1 srv-weight=6",
        "m2 weight=6 rank=1 share=100% priority=9 port=80 srv-priority=0 srv-weight=6",
    ];
    assert_eq!(standings(&mut world, "_status._http._tcp.web"), wanted);
}
