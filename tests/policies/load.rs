//! Load: soft, as members say it, smoothed; and newcomers, who warm up.

use rollcall::policy::{Policy, Shown};
use rollcall::zone::PoolSettings;

use super::world::{World, pool_settings};
use super::{at_most, fields, firsts, join, pass, policies, setup, world_of};

#[test]
fn it_moves_answers_and_nothing_else() {
    for policy in policies() {
        let mut world = world_of(policy, at_most(1));
        join(&mut world, 1, "load=0.3 site=fra");
        join(&mut world, 2, "load=0.6");
        let (serial, changes) = (world.serial(), world.changes.len());
        for load in ["load=0.9", "load=0", "load=-1", "load=12", "load=0.1"] {
            join(&mut world, 1, load);
            pass(&mut world, 1_100);
            assert_eq!(world.ask("m1.p", "TXT").data(), ["site=fra"]);
        }
        assert_eq!(world.serial(), serial, "{policy:?}");
        assert!(world.changes[changes..].iter().all(|change| !change.is_durable()), "{policy:?}");
        join(&mut world, 2, "load=0.2 site=ams");
        assert_ne!(world.serial(), serial);
    }
}

#[test]
fn it_holds_until_another_is_said_or_it_is_deleted() {
    let mut world = world_of(Policy::LeastUsed, at_most(1));
    join(&mut world, 1, "load=0.2");
    // Says nothing, which is 0.5.
    join(&mut world, 2, "");
    for (script, best) in [
        ("add m1.p 30 A 10.0.0.1", 1),
        ("add m1.p 30 TXT site=fra", 1),
        ("add m1.p 30 TXT load=many", 1),
        ("delete m1.p TXT load=0.3", 1),
        ("add m2.p 30 TXT load=0.1", 2),
        ("delete m2.p TXT load=0.10", 1),
        ("add m1.p 30 TXT load=0.7", 2),
        ("delete m1.p TXT; add m2.p 30 TXT load=0.6", 1),
        ("delete m2.p TXT; add m2.p 30 TXT load=0.4", 2),
    ] {
        world.accept(script);
        pass(&mut world, 50);
        assert_eq!(firsts(&mut world, 3), [best; 3], "{script}");
    }
    // Who joins again has said nothing yet.
    world.accept("delete m2.p");
    join(&mut world, 2, "");
    join(&mut world, 1, "load=0.49");
    pass(&mut world, 50);
    assert_eq!(firsts(&mut world, 2), [1, 1]);
}

#[test]
fn it_is_gone_after_a_restart_and_nobody_is_a_newcomer() {
    let state = tempfile::tempdir().unwrap();
    let settings =
        PoolSettings { warm_up_ms: 60_000, addresses: at_most(1), ..pool_settings(Policy::LeastUsed) };
    let mut world = World::stored(setup(settings), state.path());
    join(&mut world, 1, "load=0.1");
    join(&mut world, 2, "load=0.2");
    pass(&mut world, 1_100);
    assert_eq!(firsts(&mut world, 3), [1, 1, 1]);
    let mut world = world.crash_and_restart(1_000);
    assert_eq!(firsts(&mut world, 4), [1, 2, 1, 2]);
    assert_eq!(fields(&mut world, "_s._tcp.p"), [(1, 0, 65_535), (2, 0, 65_535)]);
    // 0.4 by itself would be best, were it not new: it counts as 0.94.
    join(&mut world, 3, "load=0.4");
    pass(&mut world, 1_000);
    assert_eq!(firsts(&mut world, 2), [1, 2]);
    let share = f64::from(fields(&mut world, "_s._tcp.p")[2].2) / 65_535.0;
    // A second old at most: between 0.1 and 0.115 of the 0.6 that it has to spare, beside 0.5.
    assert!((0.12..0.139).contains(&share), "{share}");
}

/// Each half life, half of the way to what is said is left.
#[test]
fn it_is_smoothed_by_half_lives() {
    let settings = PoolSettings {
        load_half_life_ms: 8_000,
        addresses: at_most(1),
        ..pool_settings(Policy::RandomizedLeastUsed)
    };
    let mut world = World::with(setup(settings));
    join(&mut world, 2, "load=0");
    join(&mut world, 1, "load=0.8");
    let (mut smoothed, mut said_ms) = (0.8, world.now_ms);
    for (wait_ms, said) in
        [(8_000, 0.0), (4_000, 1.0), (1_500, 1.0), (16_000, 0.2), (5_000, 0.2), (20_000, 0.9)]
    {
        pass(&mut world, wait_ms);
        join(&mut world, 2, "load=0");
        join(&mut world, 1, &format!("load={said}"));
        let since_ms = (world.now_ms - said_ms) as f64;
        smoothed = said + (smoothed - said) * 0.5_f64.powf(since_ms / 8_000.0);
        said_ms = world.now_ms;
        pass(&mut world, 1_050);
        let shown = f64::from(fields(&mut world, "_s._tcp.p")[0].2) / 65_535.0;
        assert!((shown - (1.0 - smoothed)).abs() < 1e-4, "{said} after {since_ms} ms: {shown}, {smoothed}");
    }
    // What was never said, or is said no more, smooths nothing.
    world.accept("delete m1.p TXT load=0.9");
    join(&mut world, 1, "load=0.1");
    pass(&mut world, 1_050);
    let shown = f64::from(fields(&mut world, "_s._tcp.p")[0].2) / 65_535.0;
    assert!((shown - 0.9).abs() < 1e-4, "{shown}");
}

/// A newcomer's share grows from a tenth to all of it in a straight line, and is never more than that.
#[test]
fn newcomers_warm_up() {
    const WARM_UP_MS: u32 = 20_000;
    for (policy, says) in [
        (Policy::WeightedRoundRobin, "weight=6"),
        (Policy::WeightedRandom, "weight=6"),
        (Policy::RandomizedLeastUsed, "load=0.4"),
        (Policy::LeastUsed, "load=0.4"),
    ] {
        let settings =
            PoolSettings { warm_up_ms: WARM_UP_MS, addresses: at_most(1), ..pool_settings(policy) };
        let mut world = World::with(setup(settings));
        join(&mut world, 1, says);
        pass(&mut world, 25_000);
        join(&mut world, 1, "");
        join(&mut world, 2, says);
        let joined_ms = world.now_ms;
        for _ in 0..44 {
            let age = (world.now_ms - joined_ms) as f64 / f64::from(WARM_UP_MS);
            let line = |age: f64| 0.1 + 0.9 * age.clamp(0.0, 1.0);
            let [(_, _, old), (_, _, new)] = fields(&mut world, "_s._tcp.p")[..] else { panic!() };
            let share = f64::from(new) / f64::from(old);
            // A second late at most, and the step that was due.
            let late = 1_700.0 / f64::from(WARM_UP_MS);
            let range = line(age - late) - 0.002..=line(age) + 0.001;
            assert!(old == 65_535 && range.contains(&share), "{policy:?} at {age}: {share}, not {range:?}");
            // Addresses do not wait for that second.
            if policy == Policy::WeightedRoundRobin {
                let picked = firsts(&mut world, 100).iter().filter(|&&m| m == 2).count() as f64;
                let due = |age: f64| 100.0 * line(age) / (1.0 + line(age));
                let range = due(age - 0.04) - 2.5..=due(age) + 2.5;
                assert!(range.contains(&picked), "{age}: {picked} of 100, not {range:?}");
            }
            if policy == Policy::LeastUsed {
                let wanted = if age < 1.0 { [1, 1] } else { [1, 2] };
                let mut picked = firsts(&mut world, 2);
                picked.sort_unstable();
                assert!(picked == wanted || (1.0..1.05).contains(&age), "{age}: {picked:?}");
            }
            pass(&mut world, 500);
            [1, 2].into_iter().for_each(|m| join(&mut world, m, ""));
        }
        assert_eq!(fields(&mut world, "_s._tcp.p"), [(1, 0, 65_535), (2, 0, 65_535)]);
    }
}

/// Where members have no shares of their own, nobody has to wait for them.
#[test]
fn policies_without_shares_have_no_newcomers() {
    for policy in [Policy::RoundRobin, Policy::Random, Policy::Priority] {
        let settings = PoolSettings { warm_up_ms: 60_000, addresses: Shown::All, ..pool_settings(policy) };
        let mut world = World::with(setup(settings));
        join(&mut world, 1, "weight=9");
        pass(&mut world, 10_000);
        join(&mut world, 2, "weight=9");
        let mut picked = firsts(&mut world, 60);
        picked.sort_unstable();
        let second = picked.iter().filter(|&&m| m == 2).count();
        assert!(
            if policy == Policy::Random { (15..=45).contains(&second) } else { second == 30 },
            "{policy:?}"
        );
    }
}
