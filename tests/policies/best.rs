//! The best first, equals in turn: priority (RFC 5356 section 4.5), least used (section 5.1), priority least used (section 5.3).

use rollcall::policy::{Policy, Shown};
use rollcall::zone::PoolSettings;

use super::world::{World, pool_settings};
use super::{at_most, firsts, join, pass, setup, shown, world_of};

/// Two of priority 9, one of 5, one of 1, and one that does not say.
fn ranks(addresses: Shown) -> World {
    let mut world = world_of(Policy::Priority, addresses);
    for (m, priority) in [(1, 5), (2, 9), (3, 9), (4, 1)] {
        join(&mut world, m, &format!("priority={priority}"));
    }
    join(&mut world, 5, "weight=4000 load=0");
    world
}

#[test]
fn priority_shows_the_best_alone_and_equals_in_turn() {
    let mut world = ranks(Policy::Priority.addresses_by_default());
    assert_eq!([(); 3].map(|()| shown(&mut world)), [[2, 3], [3, 2], [2, 3]]);
    for (gone, left) in [(2, 3), (3, 1), (1, 4), (4, 5)] {
        world.accept(&format!("delete m{gone}.p"));
        assert_eq!([(); 2].map(|()| shown(&mut world)), [[left], [left]]);
    }
    join(&mut world, 6, "priority=0");
    let mut both = shown(&mut world);
    both.sort_unstable();
    assert_eq!(both, [5, 6], "who does not say has priority 0");
    join(&mut world, 5, "priority=4294967295");
    assert_eq!(shown(&mut world), [5]);
}

#[test]
fn priority_shows_as_many_as_are_asked_for_from_the_best_down() {
    for (most, wanted) in [
        (1, [&[2][..], &[3], &[2]]),
        (2, [&[2, 3], &[3, 2], &[2, 3]]),
        (3, [&[2, 3, 1], &[3, 2, 1], &[2, 3, 1]]),
        (9, [&[2, 3, 1, 4, 5], &[3, 2, 1, 4, 5], &[2, 3, 1, 4, 5]]),
    ] {
        let mut world = ranks(at_most(most));
        assert_eq!([(); 3].map(|()| shown(&mut world)), wanted, "{most}");
    }
    let mut world = ranks(Shown::All);
    assert_eq!(shown(&mut world), [2, 3, 1, 4, 5]);
}

/// The tick is late, and the view still has them.
#[test]
fn when_the_best_have_died_unnoticed_the_next_answer() {
    let mut world = world_of(Policy::Priority, Shown::Best);
    for (m, priority, lease_s) in [(1, 9, 5_u32), (2, 9, 7), (3, 4, 60), (4, 4, 60), (5, 1, 60)] {
        let script = format!("add m{m}.p 30 A 10.0.0.{m}; add m{m}.p 30 TXT priority={priority}");
        let updated = world.update_with_lease(&script, Some(&lease_s.to_be_bytes()));
        assert_eq!(updated.refusal, None);
    }
    assert_eq!(shown(&mut world), [1, 2]);
    world.advance_unswept(5_000);
    assert_eq!([(); 2].map(|()| shown(&mut world)), [[2], [2]]);
    world.advance_unswept(2_000);
    let answers = [(); 2].map(|()| shown(&mut world));
    assert!(answers == [[3, 4], [4, 3]] || answers == [[4, 3], [3, 4]], "{answers:?}");
}

/// Also among those who stand in for the best, equals take turns.
#[test]
fn equals_take_turns_in_every_tier() {
    for policy in [Policy::Priority, Policy::LeastUsed, Policy::PriorityLeastUsed] {
        let mut world = world_of(policy, at_most(1));
        join(&mut world, 1, "load=0.1 priority=9");
        (2..=4).for_each(|m| join(&mut world, m, "load=0.5 priority=1"));
        world.advance_unswept(20_000);
        (2..=4).for_each(|m| join(&mut world, m, ""));
        assert_eq!(firsts(&mut world, 2), [1, 1]);
        world.advance_unswept(10_000);
        let mut next = firsts(&mut world, 6);
        next.sort_unstable();
        assert_eq!(next, [2, 2, 3, 3, 4, 4], "{policy:?}");
    }
}

#[test]
fn least_used_picks_the_least_used_and_equals_in_turn() {
    let mut world = world_of(Policy::LeastUsed, at_most(1));
    for (m, load) in [(1, 0.3), (2, 0.1), (3, 0.1), (4, 0.9)] {
        join(&mut world, m, &format!("load={load} degradation=1 weight={m} priority={m}"));
    }
    join(&mut world, 5, "");
    assert_eq!(firsts(&mut world, 4), [2, 3, 2, 3]);
    join(&mut world, 2, "load=0.11");
    pass(&mut world, 50);
    assert_eq!(firsts(&mut world, 3), [3, 3, 3]);
    join(&mut world, 3, "load=1");
    join(&mut world, 2, "load=1");
    join(&mut world, 1, "load=0.51");
    pass(&mut world, 50);
    assert_eq!(firsts(&mut world, 3), [5, 5, 5], "who does not say is half used");
    join(&mut world, 4, "load=-7");
    pass(&mut world, 50);
    assert_eq!(firsts(&mut world, 2), [4, 4], "clamped to none");
}

#[test]
fn least_used_shows_several_from_the_least_used_up() {
    let mut world = world_of(Policy::LeastUsed, at_most(3));
    for (m, load) in [(1, 0.3), (2, 0.1), (3, 0.3), (4, 0.3), (5, 0.8)] {
        join(&mut world, m, &format!("load={load}"));
    }
    let answers = [(); 6].map(|()| shown(&mut world));
    assert!(answers.iter().all(|answer| answer[0] == 2 && answer.len() == 3), "{answers:?}");
    let mut others: Vec<u8> = answers.iter().flat_map(|answer| answer[1..].to_vec()).collect();
    others.sort_unstable();
    assert_eq!(others, [1, 1, 1, 1, 3, 3, 3, 3, 4, 4, 4, 4]);
}

#[test]
fn priority_least_used_adds_what_a_pick_would_cost() {
    let mut world = world_of(Policy::PriorityLeastUsed, at_most(1));
    join(&mut world, 1, "load=0.2 degradation=0.3");
    join(&mut world, 2, "load=0.4 degradation=0.05");
    join(&mut world, 3, "load=0.46");
    assert_eq!(firsts(&mut world, 3), [2, 2, 2], "0.50, 0.45 and 0.47: picks do not add up");
    join(&mut world, 2, "load=0.43");
    pass(&mut world, 50);
    assert_eq!(firsts(&mut world, 2), [3, 3], "0.50, 0.48 and 0.47");
    join(&mut world, 1, "load=0.16");
    pass(&mut world, 50);
    assert_eq!(firsts(&mut world, 2), [1, 1], "0.46, 0.48 and 0.47");
    join(&mut world, 4, "load=0.16 degradation=0.3");
    assert_eq!(firsts(&mut world, 4).iter().filter(|&&m| m == 1).count(), 2, "equals in turn");
}

/// Parameters come with the members, the policy with the pool: another one finds them all.
#[test]
fn a_reload_changes_the_policy_and_touches_no_member() {
    let mut world = world_of(Policy::Priority, at_most(1));
    join(&mut world, 1, "priority=9 load=0.9 weight=1");
    join(&mut world, 2, "priority=1 load=0.1 weight=3");
    for (policy, wanted) in [
        (Policy::LeastUsed, [2, 2, 2, 2]),
        (Policy::Priority, [1, 1, 1, 1]),
        (Policy::PriorityLeastUsed, [2, 2, 2, 2]),
        (Policy::WeightedRoundRobin, [1, 2, 2, 2]),
        (Policy::RoundRobin, [1, 1, 2, 2]),
    ] {
        let settings = PoolSettings { addresses: at_most(1), ..pool_settings(policy) };
        assert!(world.reload(setup(settings)).changes.is_empty());
        let mut picked = firsts(&mut world, 4);
        picked.sort_unstable();
        assert_eq!(picked, wanted, "{policy:?}");
        assert_eq!(world.ask("m1.p", "TXT").data(), ["priority=9 weight=1"]);
    }
}
