//! Whoever recorded a signed message undoes nothing with it; and nobody's clock locks others out (RFC 8945 section 5.2.3).

use hickory_proto::op::ResponseCode;
use rollcall::change::Change;
use rollcall::membership::Cause;
use rollcall::security::Grant;
use rollcall::store::{Moment, Store};

use super::groups::{judge, take_back};
use super::signing::{FUDGE_S, Request, sign, signed};
use super::table::assert_holds;
use super::world;
use super::world::{Setup, World, key_grant, update_message};
use super::{lease, setup};

const M1: &str = "add m1.web 30 A 10.0.0.1";
const HOST: &str = "add host 60 TXT v=1";

/// Signed now.
fn now(world: &World, script: &str) -> Request {
    signed("fleet.", world.wall_s(), script)
}

/// Leases end exactly: the last heartbeat of a member that fell silent, sent again, does not have it join again.
#[test]
fn the_last_heartbeat_of_who_fell_silent_is_no_join() {
    for is_swept in [true, false] {
        let mut world = world();
        let heartbeat = now(&world, M1);
        heartbeat.accepted_by(&mut world);
        world.advance_unswept(31_000);
        if is_swept {
            world.expire();
        }
        heartbeat.a_replay_to(&mut world);
        assert_holds(&mut world, "web A NODATA");
    }
}

/// Nor does it keep the member for longer than the lease that it was granted when it came first.
#[test]
fn a_heartbeat_sent_again_renews_nothing() {
    let mut world = world();
    let heartbeat = now(&world, M1);
    heartbeat.accepted_by(&mut world);
    world.advance(20_000);
    assert_eq!(heartbeat.accepted_by(&mut world), []);
    world.advance(10_000);
    assert_holds(&mut world, "web A NODATA");
}

/// Who left is gone in every view: the join that was signed in the second of the leave does not bring it back.
#[test]
fn a_join_of_the_second_in_which_its_member_left_is_a_replay() {
    let mut world = world();
    let (join, leave) = (now(&world, M1), now(&world, "delete m1.web"));
    join.accepted_by(&mut world);
    assert_eq!(leave.accepted_by(&mut world), [Cause::Deregistered]);
    join.a_replay_to(&mut world);
    assert_holds(&mut world, "web A NODATA; m1.web A NXDOMAIN");
}

/// What another sender deleted since, a recorded message of the key that added it does not bring back.
#[test]
fn a_replay_does_not_bring_back_what_another_deleted() {
    let mut world = world();
    let add = now(&world, HOST);
    add.accepted_by(&mut world);
    world.advance(10_000);
    world.accept("delete host TXT");
    world.advance(10_000);
    add.a_replay_to(&mut world);
    assert_holds(&mut world, "host TXT NXDOMAIN");
}

/// A message that was taken back, because it could not be stored, is no name's and no member's newest.
#[test]
fn a_message_that_was_taken_back_raises_no_floor() {
    let mut world = world();
    let ahead = signed("fleet.", world.wall_s() + 100, &format!("{M1}; {HOST}"));
    let handled = judge(&mut world, &ahead.octets);
    assert_eq!(handled.changes.len(), 3, "a member, a name, and the name's floor");
    take_back(&mut world, handled.changes);
    assert_eq!(now(&world, M1).accepted_by(&mut world), [Cause::Joined]);
    assert_eq!(now(&world, HOST).accepted_by(&mut world), [Cause::Changed]);
}

/// A client says how far its clock may be off, up to 18 hours. One that is further ahead than the fudge that RFC 8945 section
/// 10 recommends changes nothing, or its floors would keep who has a right clock waiting for hours.
#[test]
fn a_clock_that_is_hours_ahead_locks_nobody_out() {
    let mut world = world();
    let fudge_s = u64::from(FUDGE_S);
    let script = format!("{M1}; {HOST}");
    let ahead = |world: &World, by_s: u64| {
        sign(update_message(&script, None), "fleet.", world.wall_s() + by_s, u16::MAX)
    };
    let updated = world.send(&ahead(&world, fudge_s + 1).octets);
    assert_eq!((updated.rcode, updated.causes), (ResponseCode::NotAuth, vec![]));
    let reason = updated.refusal.unwrap();
    assert!(reason.contains("signed at 1700000301, 301 s ahead of our clock"), "{reason}");
    assert_eq!(ahead(&world, fudge_s).accepted_by(&mut world).len(), 2);
    world.advance(1_000 * fudge_s + 1_000);
    assert_eq!(now(&world, M1).accepted_by(&mut world), [Cause::Joined], "its lease was over");
    assert_eq!(now(&world, "add host 60 TXT v=2").accepted_by(&mut world), [Cause::Changed]);
}

/// A floor knows the newest message of its second; those before it are no news either. So neither of two that were recorded
/// has a silent member join, and the two in turn keep nobody.
#[test]
fn neither_of_two_messages_of_a_second_brings_a_member_back_or_keeps_it() {
    let mut world = world();
    let one = now(&world, M1);
    let two = now(&world, "add m1.web 30 A 10.0.0.1; add m1.web 30 TXT a=b");
    assert_eq!(one.accepted_by(&mut world), [Cause::Joined]);
    assert_eq!(two.accepted_by(&mut world), [Cause::Changed]);
    world.advance(20_000);
    assert_eq!((one.accepted_by(&mut world), two.accepted_by(&mut world)), (vec![], vec![]));
    world.advance(10_000);
    assert_holds(&mut world, "web A NODATA");
    one.a_replay_to(&mut world);
    two.a_replay_to(&mut world);
}

/// The same where the second of them took the member, or the record, away.
#[test]
fn what_was_added_and_deleted_in_a_second_stays_away() {
    let mut world = world();
    let (join, add) = (now(&world, M1), now(&world, HOST));
    let (leave, delete) = (now(&world, "delete m1.web"), now(&world, "delete host TXT"));
    for message in [&join, &leave, &add, &delete] {
        assert_eq!(message.accepted_by(&mut world).len(), 1);
    }
    world.advance(10_000);
    join.a_replay_to(&mut world);
    add.a_replay_to(&mut world);
    assert_eq!((leave.accepted_by(&mut world), delete.accepted_by(&mut world)), (vec![], vec![]));
    assert_holds(&mut world, "web A NODATA; host TXT NXDOMAIN");
}

/// A retry of leased records renews nothing, and is told what is left of them; once they have lapsed it is told that it
/// comes too late.
#[test]
fn a_retry_of_leased_records_is_told_what_is_left() {
    let mut world = world();
    let add = sign(update_message(HOST, Some(&lease(60))), "fleet.", world.wall_s(), FUDGE_S);
    let granted = |world: &mut World| world.send(&add.octets).lease.unwrap();
    assert_eq!(granted(&mut world), lease(60));
    world.advance(50_000);
    assert_eq!(granted(&mut world), lease(10));
    world.advance(10_000);
    add.a_replay_to(&mut world);
}

/// An administrator's clock is ahead, within the fudge: what it sets of a member locks the member's own heartbeats out no
/// more than another host's would. Its own older messages about that member are replays.
#[test]
fn an_admins_clock_locks_no_member_out() {
    let admin = Grant { admin: true, ..key_grant("admin.") };
    let grants = vec![key_grant("fleet."), admin];
    let mut world = World::with(Setup { keys: vec!["fleet.", "admin."], grants, ..setup() });
    now(&world, M1).accepted_by(&mut world);
    let weighs = |weight: u8| format!("add m1.web 30 TXT weight={weight}");
    signed("admin.", world.wall_s() + 120, &weighs(5)).accepted_by(&mut world);
    for _ in 0..4 {
        world.advance(10_000);
        assert_eq!(now(&world, M1).accepted_by(&mut world), [Cause::Renewed]);
    }
    signed("admin.", world.wall_s() + 79, &weighs(7)).a_replay_to(&mut world);
    signed("admin.", world.wall_s() + 80, &weighs(6)).accepted_by(&mut world);
    assert_holds(&mut world, "m1.web TXT weight=6");
}

/// The wall clock is set back an hour, everybody's: floors of a time that has not come keep nobody waiting for it.
#[test]
fn a_clock_that_is_set_back_while_running_loses_nobody() {
    let mut world = world();
    now(&world, &format!("{M1}; {HOST}")).accepted_by(&mut world);
    world.wall_ms -= 3_600_000;
    for _ in 0..6 {
        world.advance(10_000);
        now(&world, M1).accepted_by(&mut world);
    }
    now(&world, "add host 60 TXT v=2").accepted_by(&mut world);
    signed("fleet.", world.wall_s() - 1, M1).a_replay_to(&mut world);
    assert_holds(&mut world, "web A 10.0.0.1; host TXT v=1; host TXT v=2");
}

/// A message that comes to nothing is the newest all the same: a join that was held back does not come after the leave, nor
/// a record after its deletion.
#[test]
fn what_was_held_back_does_not_come_after_a_deletion_that_found_nothing() {
    let mut world = world();
    let (join, add) = (now(&world, M1), now(&world, HOST));
    world.advance(5_000);
    for script in ["delete m1.web", "delete host TXT"] {
        assert_eq!(now(&world, script).accepted_by(&mut world), []);
    }
    join.a_replay_to(&mut world);
    add.a_replay_to(&mut world);
}

/// A change that was taken back after a commit that failed leaves the store with the floor of before: the same message again
/// is then judged anew, and not taken for a retry of what is not there.
#[test]
fn what_was_taken_back_leaves_no_floor_in_the_store() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(setup(), state.path());
    let add = now(&world, HOST);
    let changes = judge(&mut world, &add.octets).changes;
    drop(world);
    let (mut store, _) = Store::open(state.path(), 1 << 20, 1_700_000_000_000).unwrap();
    let at = Moment { now_ms: 1_000, wall_ms: 1_700_000_000_000 };
    // The commit that failed may have reached the disk.
    store.commit(&changes, &[], at).unwrap();
    store.commit(&changes.iter().map(Change::reversed).collect::<Vec<_>>(), &[], at).unwrap();
    drop(store);
    let mut world = World::stored(setup(), state.path());
    assert_holds(&mut world, "host TXT NXDOMAIN");
    assert_eq!(add.accepted_by(&mut world), [Cause::Changed]);
    assert_holds(&mut world, "host TXT v=1");
}
