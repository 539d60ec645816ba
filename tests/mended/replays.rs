//! Whoever recorded a signed message undoes nothing with it; and nobody's clock locks others out (RFC 8945 section 5.2.3).

use rollcall::membership::Cause;

use super::groups::{judge, take_back};
use super::signing::{FUDGE_S, Request, sign, signed};
use super::table::assert_holds;
use super::world;
use super::world::{World, update_message};

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
    assert_eq!(add.accepted_by(&mut world), [], "a retry, which comes to nothing");
    assert_holds(&mut world, "host TXT NXDOMAIN");
}

/// A message that was taken back, because it could not be stored, is no name's and no member's newest.
#[test]
fn a_message_that_was_taken_back_raises_no_floor() {
    let mut world = world();
    let ahead = signed("fleet.", world.wall_s() + 100, &format!("{M1}; {HOST}"));
    let handled = judge(&mut world, &ahead.octets);
    assert_eq!(handled.changes.len(), 2);
    take_back(&mut world, handled.changes);
    assert_eq!(now(&world, M1).accepted_by(&mut world), [Cause::Joined]);
    assert_eq!(now(&world, HOST).accepted_by(&mut world), [Cause::Changed]);
}

/// A client says how far its clock may be off, up to 18 hours. What it signs that far ahead is believed, and keeps nobody
/// with a right clock waiting for longer than the fudge that RFC 8945 section 10 recommends.
#[test]
fn a_clock_that_is_hours_ahead_locks_nobody_out() {
    let mut world = world();
    let script = format!("{M1}; {HOST}");
    let ahead = sign(update_message(&script, None), "fleet.", world.wall_s() + 65_000, u16::MAX);
    assert_eq!(ahead.accepted_by(&mut world).len(), 2);
    world.advance(1_000 * u64::from(FUDGE_S) + 1_000);
    assert_eq!(now(&world, M1).accepted_by(&mut world), [Cause::Joined], "its lease was over");
    assert_eq!(now(&world, "add host 60 TXT v=2").accepted_by(&mut world), [Cause::Changed]);
}
