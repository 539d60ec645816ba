//! Replays (RFC 8945 section 5.2.3): what was signed before the newest message that was accepted is refused, for as long as
//! anybody could believe its signature, whatever became of the member or of the server meanwhile.

use hickory_proto::op::ResponseCode;
use rollcall::membership::Cause;
use rollcall::security::Grant;
use rollcall::update::Limits;

use super::signing::{FUDGE_S, Request, sign, signed};
use super::table::{assert_holds, soa_serial};
use super::world::{Setup, World, every_name, key_grant, loopback_grant, update_message};

const M1: &str = "add m1.web 30 A 10.0.0.1";
const M1_WEIGHS: &str = "add m1.web 30 A 10.0.0.1; add m1.web 30 TXT weight=20";
const M2: &str = "add m2.web 30 A 10.0.0.2";
const HOST: &str = "add host 60 TXT v=1";

/// Two keys for everything in the zone.
fn setup() -> Setup {
    let grants = ["fleet.", "other."].map(|key| every_name(key_grant(key))).into();
    Setup { keys: vec!["fleet.", "other."], grants, create_pools: false, ..Setup::default() }
}

fn world() -> World {
    World::with(setup())
}

/// Signed now, and `ago_s` ago.
fn now(world: &World, script: &str) -> Request {
    ago(world, 0, script)
}

fn ago(world: &World, ago_s: u64, script: &str) -> Request {
    signed("fleet.", world.wall_s() - ago_s, script)
}

/// Signed so long ago that only a client with a very long fudge would be believed: this one is.
fn long_ago(world: &World, at_s: u64, script: &str) -> Request {
    assert!(world.wall_s() >= at_s);
    sign(update_message(script, None), "fleet.", at_s, u16::MAX)
}

#[test]
fn what_was_signed_before_the_newest_heartbeat_of_a_member_is_a_replay() {
    let mut world = world();
    let join = now(&world, M1);
    join.accepted_by(&mut world);
    world.advance(10_000);
    let heartbeat = now(&world, M1_WEIGHS);
    heartbeat.accepted_by(&mut world);
    world.advance(1_000);
    let serial = soa_serial(&mut world);
    join.a_replay_to(&mut world);
    let older =
        [M1, "delete m1.web", "delete m1.web TXT", "add m1.web 30 TXT weight=0", "delete m1.web A 10.0.0.1"];
    for script in older {
        let older = ago(&world, 2, script);
        older.a_replay_to(&mut world);
    }
    assert_eq!(soa_serial(&mut world), serial);
    assert_holds(&mut world, "m1.web A 10.0.0.1; m1.web TXT weight=20");
}

#[test]
fn the_same_message_again_is_a_retry_and_another_of_its_second_is_new() {
    let mut world = world();
    let heartbeat = now(&world, M1);
    for _ in 0..3 {
        heartbeat.accepted_by(&mut world);
        world.advance(7_000);
    }
    assert_eq!(
        ago(&world, 21, M1_WEIGHS).accepted_by(&mut world),
        [Cause::Changed],
        "signed in the same second"
    );
    assert_eq!(heartbeat.accepted_by(&mut world), [], "it was before that one");
    assert_holds(&mut world, "m1.web TXT weight=20");
    world.advance(30_000);
    assert_holds(&mut world, "web A NODATA");
    heartbeat.a_replay_to(&mut world);
}

#[test]
fn a_member_with_a_slower_clock_is_not_locked_out_by_another_under_its_key() {
    let mut world = world();
    signed("fleet.", world.wall_s() + 250, M1).accepted_by(&mut world);
    for _ in 0..3 {
        ago(&world, 250, M2).accepted_by(&mut world);
        world.advance(5_000);
    }
    assert_holds(&mut world, "web A 10.0.0.1; web A 10.0.0.2");
    // A message about both is as new as the older of them allows.
    now(&world, &format!("{M1}; {M2}")).a_replay_to(&mut world);
    signed("fleet.", world.wall_s() + 250, &format!("{M1}; {M2}")).accepted_by(&mut world);
}

#[test]
fn the_floor_is_the_members_whichever_key_signs() {
    let grants = ["fleet.", "other."].map(|key| Grant { owner: Some("fleet".into()), ..key_grant(key) });
    let mut world = World::with(Setup { grants: grants.into(), ..setup() });
    now(&world, M1).accepted_by(&mut world);
    let by_the_other = |at_s| signed("other.", at_s, M1);
    let (behind, at) = (by_the_other(world.wall_s() - 1), by_the_other(world.wall_s()));
    behind.a_replay_to(&mut world);
    at.accepted_by(&mut world);
}

#[test]
fn what_is_refused_raises_no_floor() {
    let mut world = world();
    now(&world, M1).accepted_by(&mut world);
    let ahead = |world: &World, script| signed("fleet.", world.wall_s() + 200, script);
    ahead(&world, "add m1.web 30 A 172.16.0.1").refused_by(&mut world);
    ahead(&world, "add m1.web 30 A 10.0.0.1; add *.web 60 TXT v=1").refused_by(&mut world);
    let unmet = ahead(&world, "prereq yxdomain nobody; add m1.web 30 A 10.0.0.1; add host 60 TXT v=1");
    assert_eq!(world.send(&unmet.octets).rcode, ResponseCode::NXDomain);
    let elsewhere = ahead(&world, "add m1.web 30 A 10.0.0.1; add host.example.org. 60 TXT v=1");
    assert_eq!(world.send(&elsewhere.octets).rcode, ResponseCode::NotZone);
    let mut broken = ahead(&world, M1).octets;
    let mac_at = broken.len() - 10;
    broken[mac_at] ^= 1;
    assert_eq!(world.send(&broken).rcode, ResponseCode::NotAuth);
    world.advance(1_000);
    assert_eq!(now(&world, M1).accepted_by(&mut world), [Cause::Renewed]);
    assert_eq!(now(&world, HOST).accepted_by(&mut world), [Cause::Changed]);
}

#[test]
fn a_message_that_finds_the_server_full_raises_no_floor() {
    let limits = Limits { members: 2, pools: 10, records: 1 };
    let mut world = World::with(Setup { limits, ..setup() });
    now(&world, HOST).accepted_by(&mut world);
    now(&world, &format!("{M1}; {M2}")).accepted_by(&mut world);
    let ahead = |script| signed("fleet.", world.wall_s() + 200, script);
    let full = [ahead("add m1.web 30 A 10.0.0.1; add m3.web 30 A 10.0.0.3"), ahead("add more 60 TXT v=1")];
    for request in &full {
        assert!(request.refused_by(&mut world).contains("limit"), "{:?}", world.setup.limits);
    }
    now(&world, M1).accepted_by(&mut world);
    now(&world, "add host 60 TXT v=2; delete host TXT v=1").accepted_by(&mut world);
}

#[test]
fn an_unsigned_message_has_no_floor_and_is_one_for_nobody() {
    let owner = || Some("fleet".into());
    let unsigned = Grant { owner: owner(), ..every_name(loopback_grant()) };
    let key = Grant { owner: owner(), ..every_name(key_grant("fleet.")) };
    let mut world = World::with(Setup { grants: vec![unsigned, key], ..setup() });
    let join = signed("fleet.", world.wall_s() + 300, M1);
    join.accepted_by(&mut world);
    world.advance(10_000);
    assert_eq!(world.accept(M1), [Cause::Renewed]);
    assert_eq!(world.accept(HOST), [Cause::Changed]);
    join.accepted_by(&mut world);
    ago(&world, 300, "add host 60 TXT v=2").accepted_by(&mut world);
}

/// How a member goes; its going was signed so many seconds after its join.
type Going = (&'static str, fn(&mut World) -> u64);

fn goings() -> [Going; 4] {
    fn leave(world: &mut World, request: &Request) -> u64 {
        assert_eq!(request.accepted_by(world), [Cause::Deregistered]);
        5
    }
    [
        ("it left", |world| {
            let request = now(world, "delete m1.web");
            leave(world, &request)
        }),
        ("it left with its last address", |world| {
            let request = now(world, "delete m1.web A");
            leave(world, &request)
        }),
        ("LEASE 0", |world| {
            let request = sign(update_message(M1, Some(&[0; 4])), "fleet.", world.wall_s(), FUDGE_S);
            leave(world, &request)
        }),
        ("it fell silent", |world| {
            world.advance(25_000);
            assert_eq!(world.changes.last().map(|change| change.cause()), Some(Cause::Expired));
            0
        }),
    ]
}

#[test]
fn a_floor_outlives_its_member_by_two_fudges_and_no_longer() {
    for (what, go) in goings() {
        // Two fudges are never less than ten minutes.
        for (fudge_s, kept_ms) in [(1, 600_000), (300, 600_000), (1_000, 2_000_000)] {
            let mut world = world();
            let joined_s = world.wall_s();
            sign(update_message(M1, None), "fleet.", joined_s, fudge_s).accepted_by(&mut world);
            world.advance(5_000);
            let floor_s = joined_s + go(&mut world);
            long_ago(&world, floor_s - 1, M1).a_replay_to(&mut world);
            world.advance(kept_ms - 1);
            long_ago(&world, floor_s - 1, M1).a_replay_to(&mut world);
            assert_holds(&mut world, "web A NODATA; m1.web A NXDOMAIN");
            world.advance(1);
            let late = long_ago(&world, floor_s - 1, M1);
            assert_eq!(late.accepted_by(&mut world), [Cause::Joined], "{what}, fudge {fudge_s}");
        }
    }
}

#[test]
fn who_comes_back_has_the_floor_that_was_left_of_it() {
    for (_, go) in goings() {
        let mut world = world();
        let joined_s = world.wall_s();
        now(&world, M1).accepted_by(&mut world);
        world.advance(5_000);
        let floor_s = joined_s + go(&mut world);
        assert_eq!(long_ago(&world, floor_s, M1).accepted_by(&mut world), [Cause::Joined]);
        long_ago(&world, floor_s - 1, "delete m1.web").a_replay_to(&mut world);
    }
}

#[test]
fn a_floor_is_there_before_the_sweep_has_seen_that_its_member_is_gone() {
    let mut world = world();
    let join = now(&world, M1);
    join.accepted_by(&mut world);
    world.advance(10_000);
    now(&world, M1).accepted_by(&mut world);
    world.advance_unswept(30_000);
    join.a_replay_to(&mut world);
    world.expire();
    join.a_replay_to(&mut world);
}

/// A member that joined, and ten seconds later sent a heartbeat that needed no store.
fn heard_twice(state: &tempfile::TempDir) -> (World, u64) {
    let mut world = World::stored(setup(), state.path());
    now(&world, M1).accepted_by(&mut world);
    world.advance(10_000);
    assert_eq!(now(&world, M1).accepted_by(&mut world), [Cause::Renewed]);
    world.advance(5_000);
    let heard_s = world.wall_s() - 5;
    (world, heard_s)
}

#[test]
fn a_clean_stop_keeps_the_floors_of_heartbeats() {
    let state = tempfile::tempdir().unwrap();
    let (world, heard_s) = heard_twice(&state);
    let mut world = world.stop_and_restart(2_000);
    long_ago(&world, heard_s - 1, M1).a_replay_to(&mut world);
    signed("fleet.", heard_s, M1).accepted_by(&mut world);
    // Nothing is heard of it any more: its floor outlives the lease too, and another stop.
    world.advance(30_000);
    let mut world = world.stop_and_restart(0);
    world.advance(599_999);
    long_ago(&world, heard_s - 1, M1).a_replay_to(&mut world);
    world.advance(1);
    long_ago(&world, heard_s - 1, M1).accepted_by(&mut world);
}

#[test]
fn a_crash_leaves_the_floor_of_the_last_stored_change() {
    let state = tempfile::tempdir().unwrap();
    let (world, heard_s) = heard_twice(&state);
    let mut world = world.crash_and_restart(2_000);
    long_ago(&world, heard_s - 11, M1).a_replay_to(&mut world);
    // Of what else was taken in the floor's second nobody knows any more.
    long_ago(&world, heard_s - 10, M1).a_replay_to(&mut world);
    long_ago(&world, heard_s - 9, M1).accepted_by(&mut world);
    // That was the first in this run, and stored. So is what changes anything.
    long_ago(&world, heard_s + 1, M1_WEIGHS).accepted_by(&mut world);
    let mut world = world.crash_and_restart(2_000);
    long_ago(&world, heard_s + 1, M1).a_replay_to(&mut world);
    long_ago(&world, heard_s + 2, M1).accepted_by(&mut world);
}

#[test]
fn a_restart_within_the_second_of_a_message_refuses_no_other_of_it() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(setup(), state.path());
    now(&world, M1).accepted_by(&mut world);
    let mut world = world.crash_and_restart(200);
    assert_eq!(now(&world, M1_WEIGHS).accepted_by(&mut world), [Cause::Changed]);
}

#[test]
fn a_floor_outlives_the_restart_after_which_its_member_does_not_come_back() {
    let state = tempfile::tempdir().unwrap();
    let (world, heard_s) = heard_twice(&state);
    // A grace of 30 s, of which the server is away for the most part.
    let world = world.stop_and_restart(0);
    let mut world = world.crash_and_restart(40_000);
    assert_holds(&mut world, "m1.web A NXDOMAIN");
    long_ago(&world, heard_s - 1, M1).a_replay_to(&mut world);
    // Two fudges from the end of the grace, ten seconds ago.
    let mut world = world.crash_and_restart(100_000);
    world.advance(489_999);
    long_ago(&world, heard_s - 1, M1).a_replay_to(&mut world);
    world.advance(1);
    long_ago(&world, heard_s - 1, M1).accepted_by(&mut world);
}

#[test]
fn a_floor_of_a_member_that_was_gone_before_outlives_restarts() {
    for (what, go) in goings() {
        let state = tempfile::tempdir().unwrap();
        let mut world = World::stored(setup(), state.path());
        let joined_s = world.wall_s();
        now(&world, M1).accepted_by(&mut world);
        world.advance(5_000);
        let floor_s = joined_s + go(&mut world);
        world.advance(100_000);
        let world = world.crash_and_restart(100_000);
        let mut world = world.stop_and_restart(100_000);
        world.advance(299_999);
        long_ago(&world, floor_s - 1, M1).a_replay_to(&mut world);
        world.advance(1);
        let late = long_ago(&world, floor_s - 1, M1);
        assert_eq!(late.accepted_by(&mut world), [Cause::Joined], "{what}");
    }
}

#[test]
fn an_ordinary_name_has_a_floor_for_each_key() {
    let mut world = world();
    now(&world, HOST).accepted_by(&mut world);
    for script in ["add host 60 TXT v=2", "delete host"] {
        ago(&world, 1, script).a_replay_to(&mut world);
    }
    // Another host that shares the key, and whose clock is behind.
    ago(&world, 200, "add other 60 TXT v=1").accepted_by(&mut world);
    // Members have their own, and other keys theirs.
    ago(&world, 200, M1).accepted_by(&mut world);
    signed("other.", world.wall_s() - 200, "add host 60 TXT v=2").accepted_by(&mut world);
    signed("FLEET.", world.wall_s(), "delete host TXT v=1").accepted_by(&mut world);
    ago(&world, 1, &format!("{M2}; {HOST}")).a_replay_to(&mut world);
    assert_holds(&mut world, "host TXT v=2; other TXT v=1; info A 192.0.2.80; web A 10.0.0.1");
}

/// Who can hold a message back and let it through later must not undo what the client has asked for since.
#[test]
fn a_message_that_comes_to_nothing_is_its_keys_newest_all_the_same() {
    let mut world = world();
    let held_back = now(&world, HOST);
    world.advance(5_000);
    assert_eq!(now(&world, "delete host").accepted_by(&mut world), []);
    held_back.a_replay_to(&mut world);
}

#[test]
fn a_keys_floor_outlives_restarts_and_what_it_registered() {
    for is_crash in [true, false] {
        let state = tempfile::tempdir().unwrap();
        let mut world = World::stored(setup(), state.path());
        let (added_s, add) = (world.wall_s(), now(&world, HOST));
        add.accepted_by(&mut world);
        world.advance(1_000);
        now(&world, "delete host").accepted_by(&mut world);
        let restart = |world: World| match is_crash {
            true => world.crash_and_restart(100_000),
            false => world.stop_and_restart(100_000),
        };
        let mut world = restart(world);
        add.a_replay_to(&mut world);
        let mut world = restart(world);
        add.a_replay_to(&mut world);
        assert_holds(&mut world, "host TXT NXDOMAIN");
        // Two fudges after the newest was signed nobody's clock can make the older one believable.
        let mut world = world.crash_and_restart(400_000);
        long_ago(&world, added_s, HOST).accepted_by(&mut world);
    }
}

#[test]
fn a_clean_stop_keeps_the_floor_of_a_key_that_only_renewed() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(setup(), state.path());
    let leased =
        |world: &World| sign(update_message(HOST, Some(&[0, 0, 1, 0])), "fleet.", world.wall_s(), 300);
    leased(&world).accepted_by(&mut world);
    world.advance(100_000);
    assert_eq!(leased(&world).accepted_by(&mut world), [Cause::Renewed]);
    let mut world = world.stop_and_restart(2_000);
    ago(&world, 50, "delete host").a_replay_to(&mut world);
    assert_holds(&mut world, "host TXT v=1");
}

#[test]
fn a_clock_that_was_set_back_locks_nobody_out() {
    let state = tempfile::tempdir().unwrap();
    let (mut world, _) = heard_twice(&state);
    now(&world, HOST).accepted_by(&mut world);
    // An hour back, of all.
    world.wall_ms -= 3_600_000;
    let mut world = world.stop_and_restart(0);
    now(&world, M1).accepted_by(&mut world);
    now(&world, "add host 60 TXT v=2").accepted_by(&mut world);
    ago(&world, 1, M1).a_replay_to(&mut world);
    ago(&world, 1, HOST).a_replay_to(&mut world);
}
