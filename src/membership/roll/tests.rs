//! What happens on a roll, on a simulated clock.

use std::net::{IpAddr, Ipv4Addr};

use super::super::{
    Absence, Address, Attributes, FOLLOWS_LEASE, LEASE_FOREVER_MS, List, NO_DRAIN, lease_end_ms,
};
use super::*;

fn member(ips: &[(u8, u64)]) -> Member {
    Member {
        owner: "key".into(),
        lease_ms: 30_000,
        key_lease_ms: 30_000,
        own_ttl_s: 5,
        heard_run: 1,
        addresses: ips
            .iter()
            .map(|&(last, lapses_ms)| Address { ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), lapses_ms })
            .collect(),
        services: List::default(),
        bindings: List::default(),
        attributes: Attributes::default(),
        drain_ends_ms: NO_DRAIN,
    }
}

/// Registered without a signature, with a lease until then.
fn until(ends_ms: u64, member: Member) -> Registered {
    Registered {
        member,
        ends_ms,
        name_ends_ms: ends_ms,
        signed: None,
        said: Said::Nothing,
        renews: true,
        crowd: Crowd::default(),
        restored: false,
    }
}

/// As `until`, by a message that was signed then.
fn signed_at(at_s: u64, ends_ms: u64) -> Registered {
    Registered { signed: Some(signed(at_s)), ..until(ends_ms, member(&[(1, FOLLOWS_LEASE)])) }
}

/// The floor of m1 of pool `web`, seconds; 0 for none.
fn floor_s(roll: &Roll, now_ms: u64) -> u64 {
    roll.floor(b"web", b"m1", now_ms).map_or(0, |floor| floor.at_s)
}

fn signed(at_s: u64) -> Signed {
    Signed::new(at_s, 300, 0)
}

/// Leaves unsigned, and the name is free at once.
const FREE: Leaving = Leaving { name_ends_ms: 0, signed: None };

fn causes(changes: &[Change]) -> Vec<Cause> {
    changes.iter().map(|change| change.cause).collect()
}

#[test]
fn a_life_from_joining_to_silence() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    let joined = roll.put(&pool, b"m1", until(30_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    assert_eq!((joined.cause, roll.len()), (Cause::Joined, 1));
    let renewed = roll.put(&pool, b"m1", until(40_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    roll.move_lease(&renewed, 0, 0);
    assert_eq!(renewed.cause, Cause::Renewed);
    assert!(!renewed.is_durable() && !renewed.is_visible() && !renewed.reshapes());
    assert!(roll.expire(39_990, 100).0.is_empty(), "the first timer fires and is set again");
    assert_eq!(causes(&roll.expire(40_008, 100).0), [Cause::Expired]);
    assert!(roll.is_empty() && roll.find(&pool, b"m1").is_none());
}

#[test]
fn settling_is_exact_where_the_wheel_is_not() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    roll.put(&pool, b"m1", until(30_001, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    assert!(roll.settle(&pool, b"m1", 30_000).is_none());
    assert_eq!(roll.settle(&pool, b"m1", 30_001).unwrap().cause, Cause::Expired);
}

#[test]
fn an_address_left_out_of_heartbeats_lapses_and_the_last_one_takes_the_member_along() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    let both = member(&[(1, 20_000), (2, FOLLOWS_LEASE)]);
    roll.put(&pool, b"m1", until(50_000, both), 0).unwrap();
    let (changes, _) = roll.expire(20_000, 100);
    assert_eq!(causes(&changes), [Cause::Lapsed]);
    assert_eq!(changes[0].after.as_ref().unwrap().addresses.len(), 1);
    roll.put(&pool, b"m1", until(90_000, member(&[(2, 60_000)])), 0).unwrap();
    assert_eq!(causes(&roll.expire(60_000, 100).0), [Cause::Expired], "the lease ran on, for nothing");
}

#[test]
fn what_could_not_be_committed_is_taken_back() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    roll.put(&pool, b"m1", until(30_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    let changed = roll.put(&pool, b"m1", until(60_000, member(&[(2, FOLLOWS_LEASE)])), 0).unwrap();
    roll.undo(&changed);
    let left = roll.remove(&pool, b"m1", FREE, 0).unwrap();
    let joined = roll.put(&pool, b"m2", until(60_000, member(&[(3, FOLLOWS_LEASE)])), 0).unwrap();
    roll.wheel.clear();
    [&joined, &left].into_iter().for_each(|change| roll.undo(change));
    assert_eq!(roll.len(), 1);
    let entry = roll.find(&pool, b"m1").unwrap();
    assert_eq!(entry.member.addresses, member(&[(1, FOLLOWS_LEASE)]).addresses);
    assert_eq!(entry.ends_ms(roll.leases()), 30_000);
    assert_eq!(causes(&roll.expire(30_008, 100).0), [Cause::Expired]);
}

#[test]
fn who_left_is_answered_until_that_is_published() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    roll.put(&pool, b"m1", until(30_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    let lease = roll.find(&pool, b"m1").unwrap().lease;
    let renewed = roll.put(&pool, b"m1", until(20_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    assert!(renewed.reshapes(), "a lease that ends sooner makes the view's bound late");
    assert_eq!(roll.leases().ends_ms(lease), Some(30_000));
    roll.move_lease(&renewed, 0, 0);
    assert_eq!(roll.leases().ends_ms(lease), Some(20_000));
    let left = roll.remove(&pool, b"m1", FREE, 0).unwrap();
    assert_eq!(roll.leases().ends_ms(lease), Some(20_000));
    roll.release(&left);
    assert_eq!(roll.leases().ends_ms(lease), None);
}

#[test]
fn a_lease_that_is_cut_is_swept_in_time_though_the_wheel_was_tidied() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    roll.put(&pool, b"m1", until(3_600_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    let cut = roll.put(&pool, b"m1", until(30_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    // What tidying does: timers are set anew, for the ends that the lease table has.
    roll.wheel.clear();
    roll.pools.get_mut(&pool).unwrap().get_mut(&b"m1"[..]).unwrap().timer_ms = 3_600_000;
    roll.move_lease(&cut, 0, 0);
    assert_eq!(causes(&roll.expire(30_008, 100).0), [Cause::Expired]);
}

#[test]
fn members_who_come_and_go_leave_no_timers_behind() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    roll.put(&pool, b"stays", until(30_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    for _ in 0..2 * TIMERS_SPARE {
        roll.put(&pool, b"m1", until(3_600_000, member(&[(2, FOLLOWS_LEASE)])), 0).unwrap();
        let left = roll.remove(&pool, b"m1", FREE, 0).unwrap();
        roll.release(&left);
    }
    assert!(roll.wheel.len() <= 2 * roll.len() + TIMERS_SPARE + 2);
    assert!(roll.holders.slots() <= 1_100, "slots are used again");
    assert_eq!(causes(&roll.expire(30_008, usize::MAX).0), [Cause::Expired]);
}

#[test]
fn the_limit_holds() {
    let mut roll = Roll::new(1, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    roll.put(&pool, b"m1", until(30_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    let refused = roll.put(&pool, b"m2", until(30_000, member(&[(2, FOLLOWS_LEASE)])), 0);
    assert_eq!(refused.unwrap_err(), RollError::Full { members_max: 1 });
}

#[test]
fn a_permanent_member_has_no_end_and_no_timer() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    let permanent = || Member { lease_ms: LEASE_FOREVER_MS, ..member(&[(1, FOLLOWS_LEASE)]) };
    let ends_ms = lease_end_ms(0, LEASE_FOREVER_MS);
    roll.put(&pool, b"m1", until(ends_ms, permanent()), 0).unwrap();
    assert_eq!(roll.wheel.len(), 0);
    let century_ms = 100 * 365 * 86_400_000;
    assert!(roll.settle(&pool, b"m1", century_ms).is_none());
    // It takes a lease, and is permanent again before that is over; the timer that was set finds nothing to do.
    let leased = roll.put(&pool, b"m1", until(30_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    roll.move_lease(&leased, 0, 0);
    assert!(leased.is_durable() && leased.reshapes(), "a lease that ends sooner makes the view's bound late");
    let for_ever = roll.put(&pool, b"m1", until(ends_ms, permanent()), 0).unwrap();
    roll.move_lease(&for_ever, 0, 0);
    assert_eq!(roll.expire(60_000, 100).0.len() + roll.wheel.len(), 0);
    assert_eq!(roll.find(&pool, b"m1").unwrap().ends_ms(roll.leases()), FOREVER_MS);
    // A record that it no longer names ends all the same.
    let lapsing = Member { lease_ms: LEASE_FOREVER_MS, ..member(&[(1, 70_000), (2, FOLLOWS_LEASE)]) };
    roll.put(&pool, b"m1", until(ends_ms, lapsing), 0).unwrap();
    assert_eq!(causes(&roll.expire(70_000, 100).0), [Cause::Lapsed]);
}

#[test]
fn a_name_is_kept_for_who_fell_silent_from_the_moment_it_does() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    let kept = Registered { name_ends_ms: 90_000, ..until(30_000, member(&[(1, FOLLOWS_LEASE)])) };
    roll.put(&pool, b"m1", kept, 0).unwrap();
    assert!(roll.absence(&pool, b"m1", 29_999).is_none(), "it is there");
    let unswept = roll.absence(&pool, b"m1", 30_000).unwrap();
    let expired = roll.settle(&pool, b"m1", 30_000).unwrap();
    assert_eq!(expired.absence, (None, Some(Arc::clone(&unswept))));
    let absence = roll.absence(&pool, b"m1", 30_000).unwrap();
    assert_eq!(absence, unswept);
    assert_eq!((&*absence.owner, absence.keeps_name(89_999)), ("key", true));
    assert!(!absence.keeps_name(90_000) && roll.absence(&pool, b"m1", 90_000).is_none(), "exact, unswept");
    assert!(roll.expire(89_999, 100).0.is_empty());
    let (released, looked_at) = roll.expire(90_000, 100);
    assert_eq!((causes(&released), looked_at), (vec![Cause::Released], 1));
    let released = &released[0];
    assert_eq!(released.absence, (Some(absence), None));
    assert!(released.is_durable() && released.is_fact() && !released.is_visible() && !released.reshapes());
    assert_eq!(roll.absences.len(), 0);
}

#[test]
fn nothing_is_left_of_who_frees_its_name_and_signed_nothing() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    roll.put(&pool, b"m1", until(30_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    assert_eq!(roll.remove(&pool, b"m1", FREE, 5_000).unwrap().absence, (None, None));
    roll.put(&pool, b"m2", until(30_000, member(&[(2, FOLLOWS_LEASE)])), 0).unwrap();
    assert_eq!(
        roll.settle(&pool, b"m2", 30_000).unwrap().absence,
        (None, None),
        "its name ended with its lease"
    );
    assert_eq!(roll.absences.len(), 0);
}

#[test]
fn a_heartbeat_moves_the_names_end_and_the_floor_when_it_is_published() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    let joined = roll.put(&pool, b"m1", signed_at(1_000, 30_000), 0).unwrap();
    assert_eq!((joined.floor, floor_s(&roll, 0)), ((None, Some(signed(1_000))), 1_000));
    let renewed = roll.put(&pool, b"m1", signed_at(1_010, 40_000), 10_000).unwrap();
    assert_eq!(renewed.floor, (Some(signed(1_000)), Some(signed(1_010))));
    assert_eq!(floor_s(&roll, 10_000), 1_000, "it may yet be taken back");
    roll.move_lease(&renewed, 0, 0);
    assert_eq!(floor_s(&roll, 10_000), 1_010);
    assert_eq!(roll.find(&pool, b"m1").unwrap().name_ends_ms, 40_000);
    // An unsigned message, or an older one that somebody let pass, lowers nothing.
    for older in [until(50_000, member(&[(1, FOLLOWS_LEASE)])), signed_at(900, 50_000)] {
        let change = roll.put(&pool, b"m1", older, 20_000).unwrap();
        roll.move_lease(&change, 0, 0);
        assert_eq!(floor_s(&roll, 20_000), 1_010);
    }
}

#[test]
fn a_floor_outlives_its_member_by_two_fudges_and_goes_on_with_the_next() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    assert_eq!(floor_s(&roll, 0), 0, "nobody was ever there");
    roll.put(&pool, b"m1", signed_at(1_000, 30_000), 0).unwrap();
    let leaving = Leaving { name_ends_ms: 0, signed: Some(signed(1_005)) };
    let left = roll.remove(&pool, b"m1", leaving, 5_000).unwrap();
    roll.release(&left);
    let absence = roll.absence(&pool, b"m1", 5_000).unwrap();
    assert_eq!((absence.floor_ends_ms, absence.keeps_name(5_000)), (605_000, false));
    assert_eq!(floor_s(&roll, 604_999), 1_005, "its last message is not a replay, those before are");
    assert_eq!(floor_s(&roll, 605_000), 0);

    let again = roll.put(&pool, b"m1", until(90_000, member(&[(1, FOLLOWS_LEASE)])), 60_000).unwrap();
    assert_eq!(again.absence, (Some(absence), None));
    assert_eq!((again.floor, roll.absences.len()), ((None, Some(signed(1_005))), 0));
    assert_eq!(floor_s(&roll, 60_000), 1_005);
    let expired = roll.settle(&pool, b"m1", 90_000).unwrap();
    assert_eq!(expired.absence.1.unwrap().floor_ends_ms, 690_000);
    // Long after that is over, and though nobody has swept: it holds nobody back.
    let late = roll.put(&pool, b"m1", signed_at(500, 1_000_000), 900_000).unwrap();
    assert_eq!(late.floor, (None, Some(signed(500))));
}

#[test]
fn what_is_taken_back_leaves_names_and_floors_as_they_were() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    roll.put(&pool, b"m1", signed_at(1_000, 30_000), 0).unwrap();
    let leaving = Leaving { name_ends_ms: 70_000, signed: Some(signed(1_005)) };
    let left = roll.remove(&pool, b"m1", leaving, 5_000).unwrap();
    roll.undo(&left);
    assert_eq!((roll.absences.len(), floor_s(&roll, 5_000)), (0, 1_000));

    let left = roll.remove(&pool, b"m1", leaving, 6_000).unwrap();
    roll.release(&left);
    let absence = roll.absence(&pool, b"m1", 6_000);
    let joined = roll.put(&pool, b"m1", signed_at(1_007, 37_000), 7_000).unwrap();
    roll.undo(&joined);
    assert_eq!((roll.len(), roll.absence(&pool, b"m1", 7_000)), (0, absence.clone()));
    assert_eq!(floor_s(&roll, 7_000), 1_005);
    let reversed = joined.reversed();
    assert_eq!((reversed.absence.1, reversed.floor), (absence, (Some(signed(1_007)), None)));

    roll.put(&pool, b"m2", signed_at(1_000, 30_000), 0).unwrap();
    let moved = Registered { member: member(&[(9, FOLLOWS_LEASE)]), ..signed_at(1_010, 40_000) };
    let changed = roll.put(&pool, b"m2", moved, 10_000).unwrap();
    roll.undo(&changed);
    assert_eq!(roll.floor(&pool, b"m2", 10_000).map(|floor| floor.at_s), Some(1_000));
    assert_eq!(roll.find(&pool, b"m2").unwrap().name_ends_ms, 30_000);
    assert_eq!(changed.reversed().floor.1, Some(signed(1_000)));
    assert!(roll.unstored_floors().is_empty());

    let released = roll.expire(606_000, 100).0;
    let released = released.iter().find(|change| change.cause == Cause::Released).unwrap();
    roll.undo(released);
    assert!(roll.absences.get(&pool, b"m1").is_some());
}

#[test]
fn past_the_limit_the_absence_that_ends_first_gives_way() {
    let mut roll = Roll::new(2, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    for (name, name_ends_ms) in [(b"m1", 50_000), (b"m2", FOREVER_MS), (b"m3", 40_000), (b"m4", 60_000)] {
        roll.put(&pool, name, until(30_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
        let left = roll.remove(&pool, name, Leaving { name_ends_ms, signed: None }, 0).unwrap();
        roll.release(&left);
    }
    let (first, looked_at) = roll.expire(10, 1);
    assert_eq!((&*first[0].name, looked_at), (&b"m3"[..], 1), "no more than it is told to look at");
    let (second, looked_at) = roll.expire(10, 100);
    assert_eq!((&*second[0].name, looked_at), (&b"m1"[..], 1));
    assert!(roll.expire(10, 100).0.is_empty(), "the limit itself is kept");
    assert_eq!(causes(&roll.expire(60_000, 100).0), [Cause::Released]);
    assert!(roll.absence(&pool, b"m2", u64::from(u32::MAX)).is_some(), "kept for ever");
}

#[test]
fn a_stop_lists_the_floors_that_the_store_does_not_have() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    for name in [b"m1", b"m2", b"m3"] {
        let restored = Registered { restored: name == b"m3", ..signed_at(1_000, 30_000) };
        roll.put(&pool, name, restored, 0).unwrap();
    }
    roll.put(&pool, b"m4", until(30_000, member(&[(4, FOLLOWS_LEASE)])), 0).unwrap();
    let durable = Registered { member: Member { heard_run: 2, ..member(&[]) }, ..signed_at(1_020, 50_000) };
    for change in [
        roll.put(&pool, b"m2", signed_at(1_010, 40_000), 10_000).unwrap(),
        roll.put(&pool, b"m3", durable, 20_000).unwrap(),
    ] {
        roll.move_lease(&change, 0, 0);
    }
    let [change] = roll.unstored_floors().try_into().unwrap();
    assert_eq!((&*change.name, change.floor), (&b"m2"[..], (Some(signed(1_000)), Some(signed(1_010)))));
    assert!(
        change.is_durable() && change.after == Some(Arc::clone(&roll.find(&pool, b"m2").unwrap().member))
    );
}

#[test]
fn what_the_store_kept_of_the_absent_does_not_touch_who_is_there() {
    let mut roll = Roll::new(10, 0);
    let pool: PoolHandle = Arc::from(*b"web");
    let kept = Absence {
        owner: "other".into(),
        name_ends_ms: 50_000,
        floor: Some(signed(2_000)),
        floor_ends_ms: 70_000,
    };
    roll.put(&pool, b"m1", until(30_000, member(&[(1, FOLLOWS_LEASE)])), 0).unwrap();
    for name in [b"m1", b"m2"] {
        roll.put_absence(&pool, &name.as_slice().into(), kept.clone());
    }
    assert_eq!((roll.absences.len(), floor_s(&roll, 0)), (1, 0));
    assert_eq!(roll.absence(&pool, b"m2", 69_999), Some(Arc::new(kept)));
    assert_eq!(roll.floor(&pool, b"m2", 69_999).map(|floor| floor.at_s), Some(2_000));
}
