//! The wall clock is set, by an hour either way: no lease, no TTL and no name that is kept moves. Signatures are another matter:
//! they are of the wall clock (RFC 8945 section 5.2.3), and good again when it is right again.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::TsigError;
use rollcall::membership::Cause;

use super::signing::{FUDGE_S, Request, sign, signed, tsig_of};
use super::world::{Setup, World, every_name, key_grant, records_grant, update_message};

const HOUR_MS: i64 = 3_600_000;
const M1: &str = "add m1.web 30 A 10.0.0.1";
const M2: &str = "add m2.web 30 A 10.0.0.2";

/// Somebody sets the server's clock.
fn jump(world: &mut World, by_ms: i64) {
    world.wall_ms = world.wall_ms.checked_add_signed(by_ms).unwrap();
}

fn setup() -> Setup {
    let grants = vec![every_name(key_grant("fleet.")), every_name(key_grant("other.")), records_grant()];
    Setup { keys: vec!["fleet.", "other."], grants, ..Setup::default() }
}

/// Signed by a client whose clock is right: so far behind the server's.
fn by_a_right_clock(world: &World, server_ahead_ms: i64, script: &str) -> Request {
    let right_ms = world.wall_ms.checked_sub_signed(server_ahead_ms).unwrap();
    signed("fleet.", right_ms / 1000, script)
}

/// It must be BADTIME, with the server's time for the client to see (RFC 8945 section 5.2.3).
#[track_caller]
fn is_out_of_time(request: &Request, world: &mut World) {
    let updated = world.send(&request.octets);
    assert_eq!((updated.rcode, &updated.causes[..]), (ResponseCode::NotAuth, &[][..]), "{updated:?}");
    let tsig = tsig_of(request, &updated.octets);
    let server_s = world.wall_s().to_be_bytes();
    assert_eq!((tsig.error, tsig.other.as_slice()), (Some(TsigError::BadTime), server_s.split_at(2).1));
}

/// What clients see: members with their TTL, an ordinary record with a lease, who may have a name that is kept.
fn seen(world: &mut World) -> String {
    let ttl = |world: &mut World, name, rtype| {
        let answer = world.ask(name, rtype);
        let ttl = answer.message.answers.first().map(|record| record.ttl);
        format!("{name} {rtype} {:?} {ttl:?}", answer.sorted())
    };
    let answers = [ttl(world, "web", "A"), ttl(world, "m1.web", "A"), ttl(world, "host", "TXT")];
    let kept = world.update("prereq nxrrset gone.web A; add gone.web 30 A 10.0.0.9");
    if kept.rcode == ResponseCode::NoError {
        world.accept("delete gone.web");
    }
    format!("{} gone: {:?}", answers.join("; "), kept.refusal)
}

/// One life, with the wall clock set `by_ms` at each turn of it and back at the next: what clients saw.
fn life(by_ms: i64) -> Vec<String> {
    let mut world = World::with(setup());
    let lease = |seconds: u32| seconds.to_be_bytes();
    // KEY-LEASE 60 s: for so long the name is kept for who has left.
    let both = [lease(30), lease(60)].concat();
    let leave = update_message("add gone.web 30 A 10.0.0.8", Some(&both));
    let join = sign(leave, "fleet.", world.wall_s(), FUDGE_S);
    join.accepted_by(&mut world);
    signed("fleet.", world.wall_s() + 1, "delete gone.web").accepted_by(&mut world);
    world.accept(M1);
    world.update_with_lease("add host 60 TXT v=1", Some(&lease(40)));
    let mut all = Vec::new();
    let (mut passed_ms, mut is_set) = (0, false);
    // Leases end after 30 s (m1), 35 s (m2) and 40 s (host), and a name is kept for 60 s.
    for at_ms in [0, 5_000, 10_000, 26_500, 29_999, 30_000, 34_999, 35_000, 39_999, 40_000, 59_999, 60_000] {
        world.advance(at_ms - passed_ms);
        passed_ms = at_ms;
        jump(&mut world, if is_set { -by_ms } else { by_ms });
        is_set = !is_set;
        world.expire();
        if at_ms == 5_000 {
            world.accept(M2);
        }
        all.push(format!("at {at_ms} ms: {}", seen(&mut world)));
    }
    all
}

#[test]
fn an_hour_either_way_changes_no_lease_no_ttl_and_no_name_that_is_kept() {
    let still = life(0);
    assert!(still.iter().any(|seen| seen.contains("[\"10.0.0.1\", \"10.0.0.2\"]")), "{still:#?}");
    assert!(still.iter().any(|seen| seen.contains("is kept for")), "{still:#?}");
    assert!(still.last().unwrap().ends_with("web A [] None; m1.web A [] None; host TXT [] None gone: None"));
    for by_ms in [HOUR_MS, -HOUR_MS] {
        assert_eq!(life(by_ms), still, "{by_ms} ms");
    }
}

#[test]
fn who_signs_by_the_right_time_is_badtime_while_ours_is_wrong_and_in_time_once_it_is_right() {
    for ahead_ms in [HOUR_MS, -HOUR_MS] {
        let mut world = World::with(setup());
        by_a_right_clock(&world, 0, M1).accepted_by(&mut world);
        world.advance(10_000);
        jump(&mut world, ahead_ms);
        for script in [M1, "delete m1.web", "add host 60 TXT v=1"] {
            let request = by_a_right_clock(&world, ahead_ms, script);
            is_out_of_time(&request, &mut world);
        }
        // It goes on by its lease alone, neither longer nor shorter.
        world.advance(19_000);
        assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
        jump(&mut world, -ahead_ms);
        assert_eq!(by_a_right_clock(&world, 0, M1).accepted_by(&mut world), [Cause::Renewed]);
        world.advance(29_999);
        assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
        world.advance(1);
        assert!(world.ask("web", "A").is_nodata());
    }
}

#[test]
fn a_heartbeat_that_was_signed_before_the_jump_is_out_of_time_after_it() {
    for ahead_ms in [HOUR_MS, -HOUR_MS] {
        let mut world = World::with(setup());
        by_a_right_clock(&world, 0, M1).accepted_by(&mut world);
        world.advance(2_000);
        let on_its_way = by_a_right_clock(&world, 0, M1);
        jump(&mut world, ahead_ms);
        is_out_of_time(&on_its_way, &mut world);
        // A long fudge bears with a clock that is ahead, and not with one that is behind: floors would rise by an hour.
        let right_s = world.wall_ms.checked_sub_signed(ahead_ms).unwrap() / 1000;
        let patient = sign(update_message(M1, None), "fleet.", right_s + 1, u16::MAX);
        match ahead_ms {
            HOUR_MS => assert_eq!(patient.accepted_by(&mut world), [Cause::Renewed]),
            _ => is_out_of_time(&patient, &mut world),
        }
        jump(&mut world, -ahead_ms);
        world.advance(2_000);
        assert_eq!(by_a_right_clock(&world, 0, M1).accepted_by(&mut world), [Cause::Renewed]);
    }
}

#[test]
fn floors_of_a_clock_that_was_ahead_lock_nobody_out_once_it_is_right() {
    let mut world = World::with(setup());
    jump(&mut world, HOUR_MS);
    // These clients took their time from where we did.
    let (ahead, more) = (by_a_right_clock(&world, 0, M1), by_a_right_clock(&world, 0, "add host 60 TXT v=1"));
    ahead.accepted_by(&mut world);
    more.accepted_by(&mut world);
    world.advance(5_000);
    jump(&mut world, -HOUR_MS);
    assert_eq!(by_a_right_clock(&world, 0, M1).accepted_by(&mut world), [Cause::Renewed]);
    by_a_right_clock(&world, 0, "add host 60 TXT v=2").accepted_by(&mut world);
    // And from here on floors rise as ever: what is older is a replay.
    signed("fleet.", world.wall_s() - 1, M1).a_replay_to(&mut world);
    is_out_of_time(&ahead, &mut world);
}

#[test]
fn floors_stand_when_the_clock_goes_ahead() {
    let mut world = World::with(setup());
    let join = by_a_right_clock(&world, 0, M1);
    join.accepted_by(&mut world);
    world.advance(1_000);
    by_a_right_clock(&world, 0, M1).accepted_by(&mut world);
    world.advance(1_000);
    // The clock goes ahead, and is set right after the floor would have been over by it: it was not, by the time that passed.
    jump(&mut world, HOUR_MS);
    world.expire();
    jump(&mut world, -HOUR_MS);
    join.a_replay_to(&mut world);
    world.advance(40_000);
    assert!(world.ask("web", "A").is_nodata());
    join.a_replay_to(&mut world);
}

#[test]
fn a_jump_before_a_restart_costs_no_grace_and_adds_none() {
    for by_ms in [HOUR_MS, -HOUR_MS] {
        let state = tempfile::tempdir().unwrap();
        let mut world = World::with_store(state.path());
        world.accept(M1);
        world.advance(10_000);
        jump(&mut world, by_ms);
        // The grace counts from this start, by the clock as it is now.
        let mut world = world.crash_and_restart(1_000);
        world.advance(20_000);
        assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
        let mut world = world.crash_and_restart(1_000);
        world.advance(8_999);
        assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
        world.advance(1);
        assert!(world.ask("web", "A").is_nodata(), "{by_ms} ms");
    }
}

/// Between two starts only the wall clock tells how much of a grace is over. Set ahead meanwhile, it says all of it; set back, it
/// says nothing, and the grace begins anew, once.
#[test]
fn a_jump_between_two_starts_ends_a_grace_or_begins_it_anew_once() {
    let restarted = |by_ms| {
        let state = tempfile::tempdir().unwrap();
        let mut world = World::with_store(state.path());
        world.accept(M1);
        let mut world = world.crash_and_restart(1_000);
        world.advance(20_000);
        jump(&mut world, by_ms);
        assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"], "nothing changes while the server runs");
        (world.crash_and_restart(1_000), state)
    };
    let (mut ahead, _state) = restarted(HOUR_MS);
    assert!(ahead.ask("web", "A").is_nodata());
    let (mut back, _state) = restarted(-HOUR_MS);
    back.advance(10_000);
    let mut back = back.crash_and_restart(1_000);
    back.advance(18_999);
    assert_eq!(back.ask("web", "A").data(), ["10.0.0.1"]);
    back.advance(1);
    assert!(back.ask("web", "A").is_nodata(), "once");
}

#[test]
fn a_name_that_is_kept_is_kept_no_longer_after_a_jump_and_a_restart() {
    for by_ms in [HOUR_MS, -HOUR_MS] {
        let state = tempfile::tempdir().unwrap();
        let mut world = World::stored(setup(), state.path());
        by_a_right_clock(&world, 0, M1).accepted_by(&mut world);
        signed("fleet.", world.wall_s() + 1, "delete m1.web").accepted_by(&mut world);
        world.advance(10_000);
        jump(&mut world, by_ms);
        let mut world = world.crash_and_restart(1_000);
        let other = |world: &World, later_s| signed("other.", world.wall_s() + later_s, M1);
        if by_ms < 0 {
            // Nobody knows how much of it was over: what there was when it was written is the most.
            other(&world, 0).refused_by(&mut world);
            world.advance(29_999);
            other(&world, 1).refused_by(&mut world);
            world.advance(1);
        }
        assert_eq!(other(&world, 2).accepted_by(&mut world), [Cause::Joined], "{by_ms} ms");
    }
}
