//! Picks that were not what the policy says.

use rollcall::policy::{Policy, Shown};
use rollcall::query::{self, Context, Outcome, Scratch, Transport};
use rollcall::wire::Question;
use rollcall::zone::PoolSettings;

use super::accept_leased;
use super::groups::{judge, take_back};
use super::world::{Setup, World, pool_settings, question_message, update_message};

fn picking(policy: Policy, count: u16) -> PoolSettings {
    PoolSettings { addresses: Shown::AtMost(count.try_into().unwrap()), ..pool_settings(policy) }
}

/// The pool `web` under these settings, with a member for each word that members say of themselves: `m1` at 10.0.0.1.
fn web(settings: PoolSettings, said: &[&str]) -> World {
    let mut world = World::with_pools(&[("web", settings)]);
    for (said, n) in said.iter().zip(1..) {
        world.accept(&format!("add m{n}.web 30 A 10.0.0.{n}; add m{n}.web 30 TXT {said}"));
    }
    world
}

/// How often each of `members` is the first of an answer, and how often it is in one.
fn shares(world: &mut World, members: usize, answers: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut first, mut shown) = (vec![0; members], vec![0; members]);
    for _ in 0..answers {
        let data = world.ask("web", "A").data();
        let member =
            |address: &String| address.strip_prefix("10.0.0.").unwrap().parse::<usize>().unwrap() - 1;
        first[member(&data[0])] += 1;
        data.iter().for_each(|address| shown[member(address)] += 1);
    }
    (first, shown)
}

/// A client without a resolver goes to the first address: were it always the same one, `answers = 3` would send everybody to one
/// of three members.
#[test]
fn everybody_is_the_first_in_turn_however_many_an_answer_shows() {
    let equals = ["site=x"; 4];
    for policy in [Policy::RoundRobin, Policy::LeastUsed, Policy::WeightedRoundRobin] {
        for answers in 1..=5 {
            let mut world = web(picking(policy, answers), &equals);
            let (first, shown) = shares(&mut world, 4, 12);
            assert_eq!(first, [3; 4], "{policy:?}, {answers} shown");
            assert_eq!(shown, [3 * usize::from(answers).min(4); 4], "{policy:?}, {answers} shown");
        }
    }
}

/// The same by weight: in six turns of weights 1, 2 and 3.
#[test]
fn who_weighs_more_is_the_first_more_often_however_many_an_answer_shows() {
    for answers in 1..=4 {
        let mut world =
            web(picking(Policy::WeightedRoundRobin, answers), &["weight=1", "weight=2", "weight=3"]);
        assert_eq!(shares(&mut world, 3, 12).0, [2, 4, 6], "{answers} shown");
    }
}

/// A turn whose member is in the answer already is everybody else's by weight, and not the same one's in every round.
#[test]
fn who_weighs_the_same_is_shown_as_often_however_many_an_answer_shows() {
    let shapes: [(&[usize], u16); 4] = [
        (&[10, 1, 1, 1, 1, 1, 1], 5),
        (&[7, 7, 7, 7, 1, 1, 1, 1], 5),
        (&[10, 1, 1, 1, 1], 4),
        (&[100, 1, 1, 1, 1], 3),
    ];
    for (weights, answers) in shapes {
        let said: Vec<_> = weights.iter().map(|weight| format!("weight={weight}")).collect();
        let said: Vec<_> = said.iter().map(String::as_str).collect();
        let mut world = web(picking(Policy::WeightedRoundRobin, answers), &said);
        // The others are drawn: a tenth is more than five standard deviations.
        let rounds = 240;
        let (first, shown) = shares(&mut world, weights.len(), rounds * weights.iter().sum::<usize>());
        assert!(first.iter().zip(weights).all(|(first, weight)| *first == weight * rounds), "{first:?}");
        for (pair, shown) in weights.windows(2).zip(shown.windows(2)) {
            let is_even = shown[0].abs_diff(shown[1]) * 10 <= shown[0];
            assert!(pair[0] != pair[1] || is_even, "{weights:?}, {answers} shown: {shown:?}");
        }
    }
}

/// Members that send heartbeats together begin anew together, at moments that are whole numbers of everything: where equals
/// begin must not come round with them.
#[test]
fn nobody_is_always_the_first_after_heartbeats() {
    for (members, period_ms) in [(2, 10_000), (4, 10_000), (3, 15_000), (5, 5_000), (4, 1_000), (2, 100)] {
        let mut world = web(pool_settings(Policy::LeastUsedDegradation), &vec!["site=x"; members]);
        let mut first = vec![0; members];
        for _ in 0..40 * members {
            world.advance(period_ms);
            let beats = (1..=members).map(|n| format!("add m{n}.web 30 A 10.0.0.{n}"));
            world.accept(&beats.collect::<Vec<_>>().join("; "));
            world.registrar.rank(world.now_ms, 1_000);
            let (picked, _) = shares(&mut world, members, 1);
            first.iter_mut().zip(picked).for_each(|(sum, picked)| *sum += picked);
        }
        let (least, most) = (first.iter().min().unwrap(), first.iter().max().unwrap());
        assert!(*least >= 30 && *most <= 50, "every {period_ms} ms: {first:?}");
    }
}

/// A sum of load and degradation goes on for as long as the member says nothing (RFC 5356 section 5.2.2).
#[test]
fn degradations_keep_their_proportion_however_many_picks_there_are() {
    let said = ["load=0 degradation=1", "load=0 degradation=0.5"];
    let mut world = web(pool_settings(Policy::LeastUsedDegradation), &said);
    let (first, _) = shares(&mut world, 2, 3_000);
    assert!(first[0].abs_diff(1_000) <= 1, "a third each, not {first:?}");
}

/// Who takes no part sets no measure: the best that does has SRV priority 0, and the largest weight is 65535.
#[test]
fn members_that_weigh_nothing_are_no_measure_for_srv_fields() {
    for (policy, said) in [
        (Policy::Priority, ["priority=9 weight=0", "priority=5", "priority=1"]),
        (Policy::RandomizedLeastUsed, ["load=0 weight=0", "load=0.5", "load=0.75"]),
    ] {
        let mut world = web(pool_settings(policy), &said);
        for n in 1..=3 {
            world.accept(&format!("add _s._tcp.web 30 SRV 7 7 {n} m{n}.web"));
        }
        let wanted = match policy {
            Policy::Priority => ["0 7 2 m2.web.pool.example.", "1 7 3 m3.web.pool.example."],
            _ => ["0 32767 3 m3.web.pool.example.", "0 65535 2 m2.web.pool.example."],
        };
        assert_eq!(world.ask("_s._tcp.web", "SRV").sorted(), wanted);
    }
}

/// What SRV records say follows loads, once a second at most, and nothing else in them moves.
#[test]
fn srv_weights_follow_loads_within_a_second() {
    let mut world = web(pool_settings(Policy::LeastUsed), &["load=0", "load=0.5"]);
    for n in 1..=2 {
        world.accept(&format!("add _s._tcp.web 30 SRV 7 7 {n} m{n}.web"));
    }
    let before = world.ask("_s._tcp.web", "SRV").sorted();
    world.advance(2_000);
    world.accept("add m1.web 30 TXT load=0.75");
    world.registrar.rank(world.now_ms, 1_000);
    let after = ["0 32767 1 m1.web.pool.example.", "0 65535 2 m2.web.pool.example."];
    assert_ne!(before, after);
    assert_eq!(world.ask("_s._tcp.web", "SRV").sorted(), after);
    world.advance(100);
    world.accept("add m1.web 30 TXT load=0");
    world.registrar.rank(world.now_ms, 1_000);
    assert_eq!(world.ask("_s._tcp.web", "SRV").sorted(), after, "not yet");
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"], "picks follow at once");
    world.advance(900);
    world.registrar.rank(world.now_ms, 1_000);
    assert_eq!(world.ask("_s._tcp.web", "SRV").sorted(), before);
}

/// What one worker has asked of a member is true for all.
#[test]
fn workers_share_what_their_picks_cost() {
    let said = ["load=0 degradation=0.02", "load=0 degradation=0.01", "load=0 degradation=0.01"];
    let world = web(pool_settings(Policy::LeastUsedDegradation), &said);
    let (zones, message) = (world.registrar.published(), question_message("web", "A", None));
    let ask = |worker: u32| {
        let (mut question, mut scratch) = (Question::default(), Scratch::new(worker, 7));
        let (mut out, mut picked) = (vec![0; 512], [0_usize; 3]);
        let (transport, now_ms) = (Transport::Udp, world.now_ms);
        let context =
            Context { zones, transport, now_ms, reserved: 0, client: None, cookie: None, keepalive: None };
        for _ in 0..20_000 {
            let reading = query::read(zones, &message, &mut question);
            let outcome = query::answer(&context, &question, reading, &message, &mut scratch, &mut out);
            let Outcome::Reply(len, _) = outcome else { panic!("no reply") };
            // One address, last in the message.
            picked[usize::from(out[len - 1]) - 1] += 1;
        }
        picked
    };
    let picked = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|worker| scope.spawn(move || ask(worker))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .reduce(|one, other| std::array::from_fn(|member| one[member] + other[member]))
    });
    let picked = picked.unwrap();
    for (picked, due) in picked.into_iter().zip([16_000_usize, 32_000, 32_000]) {
        assert!(picked.abs_diff(due) < 100, "{picked} for {due}");
    }
}

/// Who waits to be ranked when a reload comes is ranked after it.
#[test]
fn a_load_that_was_said_before_a_reload_counts_after_it() {
    for warm_up_ms in [0, 1_000] {
        let settings = PoolSettings { warm_up_ms, ..pool_settings(Policy::LeastUsed) };
        let mut world = web(settings, &["load=0", "load=0.5"]);
        world.advance(10_000);
        world.accept("add m1.web 30 TXT load=0.9");
        let zone_file = format!("{}new A 192.0.2.77\n", world.setup.zone_file);
        world.reload(Setup { zone_file, ..world.setup.clone() });
        world.advance(1_000);
        world.registrar.rank(world.now_ms, 1_000);
        assert_eq!(world.ask("web", "A").data(), ["10.0.0.2"]);
    }
}

/// A message that was not stored has said nothing, and registered nobody again.
#[test]
fn what_is_taken_back_says_no_load_and_forgets_no_picks() {
    let mut world = web(pool_settings(Policy::LeastUsedDegradation), &["load=0.2", "load=0.5"]);
    assert_eq!(shares(&mut world, 2, 30).0, [30, 0]);
    let message = update_message("add m1.web 30 TXT load=0.9 site=fra", None).to_vec().unwrap();
    let handled = judge(&mut world, &message);
    take_back(&mut world, handled.changes);
    world.advance(100);
    world.registrar.rank(world.now_ms, 1_000);
    assert_eq!(shares(&mut world, 2, 20).0, [10, 10], "0.2 and 30 picks are as busy as 0.5");
}

/// A pool with many services is ranked in each of them: that is what ranking it costs, however few its members are.
#[test]
fn ranking_costs_what_is_ranked() {
    let pools = ["one", "two", "six"];
    let mut world = World::with_pools(&pools.map(|name| (name, pool_settings(Policy::LeastUsed))));
    for pool in pools {
        for n in 1..=2 {
            let services = (0..20).map(|at| format!("add _s{at}._tcp.{pool} 30 SRV 0 0 {n} m{n}.{pool}"));
            let services = services.collect::<Vec<_>>().join("; ");
            world.accept(&format!("add m{n}.{pool} 30 A 10.0.0.{n}; {services}"));
        }
    }
    world.advance(1_000);
    for pool in pools {
        world.accept(&format!("add m1.{pool} 30 TXT load=0.9"));
    }
    let ranked = |world: &mut World| {
        // Before, both are equals, and take turns.
        let mut is_ranked = |pool: &&str| (0..2).all(|_| world.ask(pool, "A").data() == ["10.0.0.2"]);
        pools.iter().filter(|pool| is_ranked(pool)).count()
    };
    world.registrar.rank(world.now_ms, 20);
    assert_eq!(ranked(&mut world), 1, "two members in 20 services are more than 20");
    world.registrar.rank(world.now_ms, 1_000);
    assert_eq!(ranked(&mut world), 3);
}

/// Whatever is ranked, renewed, cut short or unsaid in between: nobody is shown whose lease is over, everybody else can be, and
/// no TTL outlives a lease.
#[test]
fn ranking_again_and_again_keeps_to_the_leases() {
    for ((_, policy), seed) in Policy::NAMES.into_iter().zip(0..) {
        let settings = PoolSettings {
            warm_up_ms: if policy.warms_up() { 7_000 } else { 0 },
            load_half_life_ms: if policy.ranks_by_load() { 3_000 } else { 0 },
            ..picking(policy, 2)
        };
        let mut world = World::with_pools(&[("web", settings)]);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut ends_ms = [0_u64; 5];
        for _ in 0..1_500 {
            let n = rng.usize(1..=4);
            let said = format!("add m{n}.web 30 TXT load={} degradation=0.{}", rng.f32(), rng.u8(1..10));
            match rng.u8(..8) {
                0 | 1 => {
                    let records =
                        format!("add m{n}.web 30 A 10.0.0.{n}; add _s._tcp.web 30 SRV 1 1 1 m{n}.web");
                    let lease_s = accept_leased(&mut world, rng.u32(2..20), &format!("{records}; {said}"));
                    ends_ms[n] = world.now_ms + u64::from(lease_s) * 1_000;
                }
                2 if ends_ms[n] > world.now_ms => {
                    let lease_s = accept_leased(&mut world, rng.u32(2..20), &said);
                    ends_ms[n] = world.now_ms + u64::from(lease_s) * 1_000;
                }
                3 if rng.u8(..4) == 0 => {
                    world.accept(&format!("delete m{n}.web TXT"));
                }
                4 => world.advance(rng.u64(..500)),
                5 | 6 => world.advance_unswept(rng.u64(..1_500)),
                _ => world.registrar.rank(world.now_ms, 1_000),
            }
            let now_ms = world.now_ms;
            let alive: Vec<usize> = (1..=4).filter(|&n| ends_ms[n] > now_ms).collect();
            for (name, rtype, most) in [("web", "A", 2), ("all.web", "A", 4), ("_s._tcp.web", "SRV", 4)] {
                let answer = world.ask(name, rtype);
                let member = |data: &String| match rtype {
                    "A" => data.strip_prefix("10.0.0.").unwrap().parse::<usize>().unwrap(),
                    _ => data.split(" m").last().unwrap()[..1].parse().unwrap(),
                };
                let shown: Vec<usize> = answer.data().iter().map(member).collect();
                assert!(shown.iter().all(|n| alive.contains(n)), "{policy:?} {name}: {shown:?} of {alive:?}");
                assert_eq!(shown.len(), alive.len().min(most), "{policy:?} {name}: {shown:?} of {alive:?}");
                if let Some(left_ms) = shown.iter().map(|&n| ends_ms[n] - now_ms).min() {
                    assert!(u64::from(answer.ttl_s()) * 1_000 <= left_ms, "{policy:?} {name} {left_ms}");
                }
            }
        }
    }
}
