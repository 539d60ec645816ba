//! Whether the model of `examples/herding` is right: where theory or plain sense says what must come out, it does.

// Of the example's modules, those that measure; a test may fail by panicking.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../examples/herding/fleet.rs"]
mod fleet;
#[path = "../examples/herding/pool.rs"]
mod pool;
#[path = "../examples/herding/study.rs"]
mod study;

use fleet::{Spread, Trial};
use study::{Caches, Capacities, Contender, Place};

const UNCACHED: Caches = Caches { resolvers: 1, ttl_s: 0 };

/// A short trial of it.
fn spread(capacities: Capacities, contender: Contender, caches: Caches) -> Spread {
    settled(40_000, capacities, contender, caches)
}

fn settled(settle_ms: u64, capacities: Capacities, contender: Contender, caches: Caches) -> Spread {
    let trial = Place::plain(capacities, contender, caches).trial(20);
    Trial { settle_ms, ..trial }.run().unwrap()
}

/// The busiest of 20 servers that chance gives 500 clients each, give or take the root of that: 1.87 deviations above the mean.
#[test]
fn where_every_client_draws_for_itself_the_spread_is_chances() {
    let chance = 1.0 + 1.87 / 500_f64.sqrt();
    for (contender, caches) in [
        (Contender::WEIGHTED_RANDOM, UNCACHED),
        (Contender::SERVICE_WEIGHTED, Caches { resolvers: 1, ttl_s: 30 }),
        (Contender::ROUND_ROBIN_ALL, Caches { resolvers: 1, ttl_s: 30 }),
    ] {
        let spread = spread(Capacities::Equal, contender, caches);
        assert!((spread.mean - chance).abs() < 0.05, "{}: {spread:?}", contender.name);
        assert_eq!(spread.overflow, 0.0, "{}", contender.name);
    }
}

#[test]
fn taking_turns_without_caches_is_near_even() {
    let spread = spread(Capacities::Equal, Contender::ROUND_ROBIN, UNCACHED);
    assert!((1.0..1.1).contains(&spread.mean) && spread.worst < 1.2, "{spread:?}");
}

/// An answer stays for 5 s, in which 2,500 clients follow it; a round of turns takes 100 s, and nearly all of an answer's
/// clients are gone by then. So the busiest has what came in the last 5 s at the end of each, of 10,000 in all.
#[test]
fn one_resolver_sends_everybody_where_its_answer_points() {
    let caches = Caches { resolvers: 1, ttl_s: 5 };
    // All who will be there are, but for one in 150.
    let spread = settled(100_000, Capacities::Equal, Contender::ROUND_ROBIN, caches);
    // 20 servers * (1 - e^(-5 s / 20 s)) of those who are there.
    let worst = 20.0 * (1.0 - (-0.25_f64).exp());
    assert!((spread.worst - worst).abs() < 0.3, "{spread:?}, not {worst}");
}

/// Between heartbeats the least used stays the least used; counting picks is the cure.
#[test]
fn least_used_herds_without_any_cache_and_degradation_does_not() {
    let herd = spread(Capacities::Equal, Contender::LEAST_USED, UNCACHED);
    assert!(herd.mean > 3.0 && herd.overflow > 0.3, "{herd:?}");
    let even = spread(Capacities::Equal, Contender::DEGRADATION_FITTED, UNCACHED);
    assert!(even.mean < 1.3 && even.overflow == 0.0, "{even:?}");
}

/// Turns give each server as many clients; then the mean of 1, 2/3, 0.4 and 1/3 is 0.6.
#[test]
fn loads_are_shares_of_a_servers_own_capacity() {
    let turns = spread(Capacities::Unequal, Contender::ROUND_ROBIN, UNCACHED);
    assert!((1.0 / 0.6..1.8).contains(&turns.mean), "{turns:?}");
    let weighted = spread(Capacities::Unequal, Contender::WEIGHTED_RANDOM, UNCACHED);
    assert!(weighted.mean < 1.2, "{weighted:?}");
}

#[test]
fn the_same_trial_comes_to_the_same_figures() {
    let run = || spread(Capacities::Unequal, Contender::RANDOMIZED, Caches { resolvers: 10, ttl_s: 1 });
    assert_eq!(run(), run());
}
