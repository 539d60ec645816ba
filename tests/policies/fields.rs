//! Priority and weight in SRV records: what the policy says, to clients that choose for themselves (RFC 2782).

use rollcall::policy::{Policy, Shown};

use super::world::World;
use super::{at_most, fields, firsts, join, pass, policies, world_of};

/// Three members that take part, and the best of them all, that does not.
fn four(policy: Policy) -> World {
    let mut world = world_of(policy, Shown::All);
    join(&mut world, 1, "weight=20 priority=3 load=0.25");
    join(&mut world, 2, "weight=40 priority=9 load=0.75 degradation=1");
    join(&mut world, 3, "");
    join(&mut world, 4, "weight=0 priority=99 load=0");
    world
}

#[test]
fn each_policy_writes_what_it_would_do() {
    for policy in policies() {
        let wanted = match policy {
            Policy::RoundRobin => [(7, 1), (7, 2), (7, 3)],
            Policy::Priority => [(1, 1), (0, 2), (2, 3)],
            Policy::Random => [(0, 65_535); 3],
            // 20, 40 and 3, which its SRV record says.
            Policy::WeightedRoundRobin | Policy::WeightedRandom => [(0, 32_767), (0, 65_535), (0, 4_915)],
            // 0.75, 0.25 and 0.5 to spare.
            _ => [(0, 65_535), (0, 21_845), (0, 43_690)],
        };
        let mut world = four(policy);
        let seen = fields(&mut world, "_s._tcp.p");
        assert_eq!(seen.len(), 3, "{policy:?}: weight 0 is out");
        for ((m, priority, weight), wanted) in seen.iter().zip(wanted) {
            assert_eq!(*priority, wanted.0, "{policy:?} m{m}");
            assert!(weight.abs_diff(wanted.1) <= 1, "{policy:?} m{m}: {weight}, not {}", wanted.1);
        }
        let all = fields(&mut world, "_s._tcp.all.p");
        assert_eq!(all[..3], seen[..], "{policy:?}: who reads all of them reads the same");
    }
}

#[test]
fn equal_priorities_share_one_and_the_lightest_weighs_something() {
    let mut world = world_of(Policy::Priority, Shown::Best);
    for (m, priority) in [(1, 5), (2, 4_294_967_295_u32), (3, 5), (4, 0), (5, 4_294_967_295)] {
        join(&mut world, m, &format!("priority={priority}"));
    }
    join(&mut world, 6, "");
    let priorities: Vec<u16> = fields(&mut world, "_s._tcp.p").iter().map(|field| field.1).collect();
    assert_eq!(priorities, [1, 0, 1, 2, 0, 2]);

    let mut world = world_of(Policy::WeightedRandom, at_most(1));
    join(&mut world, 1, "weight=1");
    join(&mut world, 2, "weight=4294967295");
    assert_eq!(fields(&mut world, "_s._tcp.p"), [(1, 0, 1), (2, 0, 65_535)]);

    let mut world = world_of(Policy::LeastUsed, at_most(1));
    join(&mut world, 1, "load=1");
    join(&mut world, 2, "load=1");
    assert_eq!(fields(&mut world, "_s._tcp.p"), [(1, 0, 65_535), (2, 0, 65_535)], "equals, if hardly any");
    join(&mut world, 3, "load=0");
    pass(&mut world, 1_000);
    assert_eq!(fields(&mut world, "_s._tcp.p"), [(1, 0, 1), (2, 0, 1), (3, 0, 65_535)]);
}

/// A service on two ports, another service that has its own weights, and who offers but one of them.
#[test]
fn each_service_has_fields_of_its_own() {
    let mut world = world_of(Policy::WeightedRoundRobin, at_most(1));
    world.accept(
        "add m1.p 30 A 10.0.0.1; add _s._tcp.p 30 SRV 3 10 80 m1.p; add _s._tcp.p 30 SRV 3 20 81 m1.p",
    );
    world.accept("add _t._udp.p 30 SRV 0 9 53 m1.p");
    world.accept(
        "add m2.p 30 A 10.0.0.2; add _s._tcp.p 30 SRV 5 40 80 m2.p; add _t._udp.p 30 SRV 0 3 53 m2.p",
    );
    world.accept("add m3.p 30 A 10.0.0.3; add _t._udp.p 30 SRV 0 0 53 m3.p");
    let mut tcp = world.ask("_s._tcp.p", "SRV").sorted();
    tcp.iter_mut().for_each(|data| *data = data.replace(".p.pool.example.", ""));
    assert_eq!(tcp, ["0 16383 80 m1", "0 32767 81 m1", "0 65535 80 m2"]);
    assert_eq!(fields(&mut world, "_t._udp.p"), [(1, 0, 65_535), (2, 0, 21_845), (3, 0, 7_281)]);
    // For addresses a member weighs as much as in the service where it weighs most.
    let mut round = firsts(&mut world, 61);
    round.sort_unstable();
    assert_eq!([1, 2, 3].map(|m| round.iter().filter(|&&other| other == m).count()), [20, 40, 1]);
}

/// They may be signed: loads move them once a second at most, and questions never.
#[test]
fn loads_move_them_once_a_second_at_most_and_questions_never() {
    let mut world = world_of(Policy::LeastUsedDegradation, at_most(1));
    join(&mut world, 1, "load=0 degradation=0.1");
    join(&mut world, 2, "load=0.5 degradation=0.1");
    let (mut held, mut moved_ms) = (fields(&mut world, "_s._tcp.p"), Vec::new());
    let mut loads = Vec::new();
    for step in 0_u32..100 {
        let load = f64::from(step % 50) / 50.0;
        loads.push(load);
        join(&mut world, 2, &format!("load={load}"));
        pass(&mut world, 50);
        for _ in 0..3 {
            firsts(&mut world, 1);
            let now = fields(&mut world, "_s._tcp.p");
            if now != held {
                moved_ms.push(world.now_ms);
                held = now;
            }
        }
    }
    assert!((4..=6).contains(&moved_ms.len()), "{moved_ms:?}");
    assert!(moved_ms.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{moved_ms:?}");
    pass(&mut world, 1_000);
    let last = fields(&mut world, "_s._tcp.p");
    let wanted = (65_535.0 * (1.0 - loads[99])) as u16;
    assert!(last[0] == (1, 0, 65_535) && last[1].2.abs_diff(wanted) <= 1, "{last:?}, not {wanted}");
}
