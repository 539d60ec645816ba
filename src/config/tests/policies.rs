//! Which policy a pool has, and the options that only some of them make use of.

use super::*;
use crate::zone::PoolSettings;

const LOAD_POLICIES: &str =
    "only least-used, least-used-degradation, priority-least-used, randomized-least-used go by load";
const SHARES: &str = "only weighted-round-robin, weighted-random, least-used, least-used-degradation, \
    priority-least-used, randomized-least-used give each member a share of its own";

/// Half life and warm-up, milliseconds.
fn soft(pool: &PoolSettings) -> (u32, u32) {
    (pool.load_half_life_ms, pool.warm_up_ms)
}

/// Those of the zone, and then of its pools.
fn soft_of_all(zone: &str) -> Vec<(u32, u32)> {
    let settings = good("", zone).zones.remove(0).settings;
    std::iter::once(&settings.defaults).chain(settings.pools.iter().map(|(_, pool)| pool)).map(soft).collect()
}

#[test]
fn all_nine_are_known_by_name_with_answers_of_their_own() {
    let one = Shown::AtMost(NonZeroU16::MIN);
    for (text, policy, addresses) in [
        ("round-robin", Policy::RoundRobin, Shown::All),
        ("weighted-round-robin", Policy::WeightedRoundRobin, one),
        ("random", Policy::Random, Shown::All),
        ("weighted-random", Policy::WeightedRandom, one),
        ("priority", Policy::Priority, Shown::Best),
        ("least-used", Policy::LeastUsed, one),
        ("least-used-degradation", Policy::LeastUsedDegradation, one),
        ("priority-least-used", Policy::PriorityLeastUsed, one),
        ("randomized-least-used", Policy::RandomizedLeastUsed, one),
    ] {
        let written =
            format!("policy = '{text}'\n[[pool]]\nname = 'a'\n[[pool]]\nname = 'b'\nanswers = 64\n");
        let settings = good("", &written).zones.remove(0).settings;
        let [(_, a), (_, b)] = &settings.pools[..] else { panic!("two") };
        assert_eq!([settings.defaults.policy, a.policy, b.policy], [policy; 3], "{text}");
        assert_eq!((a.addresses, a.services), (addresses, Shown::All), "{text}");
        let most = Shown::AtMost(NonZeroU16::new(64).unwrap());
        assert_eq!((b.addresses, b.services), (most, most), "{text}");
        let own = good("", &format!("[[pool]]\nname = 'a'\npolicy = '{text}'\n")).zones.remove(0).settings;
        assert_eq!((own.defaults.policy, &own.pools[0].1), (Policy::RoundRobin, a), "{text}");
    }
}

#[test]
fn every_policy_takes_the_options_that_it_makes_use_of_and_no_others() {
    for (text, policy) in Policy::NAMES {
        for (option, has_use, wanted) in [
            ("load_half_life", policy.ranks_by_load(), (3_600_000, 0)),
            ("warm_up", policy.warms_up(), (0, 3_600_000)),
        ] {
            let zone = format!("policy = '{text}'\n{option} = 3600\n");
            let pool = format!("[[pool]]\nname = 'a'\n{zone}");
            if has_use {
                assert_eq!(soft_of_all(&format!("{zone}[[pool]]\nname = 'a'\n")), [wanted; 2], "{text}");
                assert_eq!(soft_of_all(&pool), [(0, 0), wanted], "{text}");
                continue;
            }
            let wanted = format!("`{option}` does nothing under {text}: only ");
            for (zone, line) in [(&zone, 2), (&pool, 4)] {
                let found = bad_zone(zone);
                let place = format!("zones/pool.example.toml:{line}:{}: ", option.len() + 4);
                assert!(found.starts_with(&format!("{place}{wanted}")), "{found}");
            }
            let off = zone.replace("3600", "0");
            assert_eq!(soft_of_all(&off), [(0, 0)], "that it is off is true under {text}");
        }
    }
}

#[test]
fn what_a_pool_leaves_out_is_the_zones_where_its_policy_makes_use_of_it() {
    let zone = "policy = 'least-used'\nload_half_life = 20\nwarm_up = 30\n\
        [[pool]]\nname = 'a'\n\
        [[pool]]\nname = 'b'\nload_half_life = 0\nwarm_up = 7\n\
        [[pool]]\nname = 'c'\npolicy = 'weighted-random'\n\
        [[pool]]\nname = 'd'\npolicy = 'priority'\n\
        [[pool]]\nname = 'e'\npolicy = 'round-robin'\nload_half_life = 0\nwarm_up = 0\n";
    assert_eq!(
        soft_of_all(zone),
        [(20_000, 30_000), (20_000, 30_000), (0, 7_000), (0, 30_000), (0, 0), (0, 0)]
    );
    // The zone's own policy makes no use of either, one of its pools does.
    let zone = "load_half_life = 20\nwarm_up = 30\n[[pool]]\nname = 'a'\n\
        [[pool]]\nname = 'b'\npolicy = 'randomized-least-used'\n";
    assert_eq!(soft_of_all(zone), [(0, 0), (0, 0), (20_000, 30_000)]);
}

#[test]
fn what_nothing_makes_use_of_is_refused_where_it_stands() {
    for (text, wanted) in [
        (
            "load_half_life = 5\n",
            format!(
                "1:18: `load_half_life` does nothing under round-robin: {LOAD_POLICIES}; set `policy` to one of them, or \
                 remove `load_half_life`\n  1 | load_half_life = 5\n    |                  ^"
            ),
        ),
        (
            "policy = 'priority'\n[[pool]]\nname = 'a'\nwarm_up = 60\n",
            format!(
                "4:11: `warm_up` does nothing under priority, the zone's policy: {SHARES}; give this pool one of them \
                 as its `policy`, or remove `warm_up`\n  4 | warm_up = 60\n    |           ^^"
            ),
        ),
        (
            "policy = 'least-used'\n[[pool]]\nname = 'a'\npolicy = 'weighted-random'\nload_half_life = 5\n",
            format!(
                "5:18: `load_half_life` does nothing under weighted-random: {LOAD_POLICIES}; set `policy` to one of \
                 them, or remove `load_half_life`\n  5 | load_half_life = 5\n    |                  ^"
            ),
        ),
        (
            "policy = 'random'\nwarm_up = 9\n[[pool]]\nname = 'a'\n[[pool]]\nname = 'b'\npolicy = 'priority'\n",
            format!(
                "2:11: `warm_up` does nothing under random or the policy of any [[pool]]: {SHARES}; set `policy` to one \
                 of them, for the zone or a pool, or remove `warm_up`\n  2 | warm_up = 9\n    |           ^"
            ),
        ),
    ] {
        assert_eq!(bad_zone(text), format!("zones/pool.example.toml:{wanted}"));
    }
}

#[test]
fn both_are_whole_seconds_of_an_hour_at_most() {
    for key in ["load_half_life", "warm_up"] {
        let column = key.len() + 4;
        for (value, wanted) in [
            ("3601", "is 3601; give 0 to 3600\n".to_owned()),
            ("-1", "is -1; give 0 to 3600\n".into()),
            ("9223372036854775807", "is 9223372036854775807; give 0 to 3600\n".into()),
            ("0.5", "invalid type: floating point `0.5`, expected i64\n".into()),
            ("'5s'", "invalid type: string \"5s\", expected i64\n".into()),
        ] {
            let colon = if wanted.starts_with("is") { "" } else { ":" };
            let zone = format!("policy = 'least-used'\n{key} = {value}\n");
            for (text, line) in [(format!("[[pool]]\nname = 'a'\n{zone}"), 4), (zone, 2)] {
                let found = bad_zone(&text);
                let place = format!("zones/pool.example.toml:{line}:{column}: `{key}`{colon} {wanted}");
                assert!(found.starts_with(&place), "{found}");
            }
        }
    }
}
