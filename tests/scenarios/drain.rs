//! Drains: a member that gets no more clients while those that it has finish, by its own word or by an operator's.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use hickory_proto::op::ResponseCode;
use rollcall::membership::Cause;
use rollcall::policy::Policy;
use rollcall::security::{Grant, NamePattern};
use rollcall::update::Limits;

use super::signing::{Request, signed};
use super::world::{Setup, World, key_grant, loopback_grant, pool_settings};

const M1: &str = "add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 10 80 m1.web; \
                  add web 30 HTTPS 1 m1.web.pool.example. port=8443";
const M2: &str = "add m2.web 30 A 10.0.0.2; add _http._tcp.web 30 SRV 0 10 80 m2.web; \
                  add web 30 HTTPS 1 m2.web.pool.example. port=8443";
const OPERATOR: &str = "127.0.0.9";

/// Loopback may register; from one of its addresses, an operator speaks.
fn setup() -> Setup {
    let operator = Grant {
        admin: true,
        owner: Some("ops".into()),
        sources: vec!["127.0.0.9/32".parse().unwrap()],
        ..loopback_grant()
    };
    Setup { grants: vec![operator, loopback_grant()], ..Setup::default() }
}

/// Two members of `web`.
fn world() -> World {
    let mut world = World::with(setup());
    world.accept(M1);
    world.accept(M2);
    world
}

fn as_operator<T>(world: &mut World, say: impl FnOnce(&mut World) -> T) -> T {
    let own = std::mem::replace(&mut world.source, OPERATOR.parse().unwrap());
    let said = say(world);
    world.source = own;
    said
}

fn drain(world: &mut World, member: &str, word: &str) -> Vec<Cause> {
    as_operator(world, |world| world.accept(&format!("add _drain.{member} 0 TXT {word}")))
}

fn undrain(world: &mut World, member: &str) -> Vec<Cause> {
    as_operator(world, |world| world.accept(&format!("delete _drain.{member}")))
}

/// Time passes, and both renew all that they have, every ten seconds.
fn live_s(world: &mut World, seconds: u64) {
    for second in 0..seconds {
        if second % 10 == 0 {
            for member in ["m1", "m2"] {
                world.update(&format!("add {member}.web 30 TXT load=0.5"));
            }
        }
        world.advance(1_000);
    }
}

/// Where clients are sent, by each name that sends them.
#[track_caller]
fn assert_served_by(world: &mut World, addresses: &[&str]) {
    for name in ["web", "all.web"] {
        assert_eq!(world.ask(name, "A").sorted(), addresses, "{name}");
    }
    for name in ["_http._tcp.web", "_http._tcp.all.web", "web._http._tcp"] {
        let answer = world.ask(name, "SRV");
        let mut targets: Vec<String> =
            answer.message.additionals.iter().map(|record| record.data.to_string()).collect();
        targets.sort();
        assert_eq!((answer.data().len(), &targets[..]), (addresses.len(), &strings(addresses)[..]), "{name}");
    }
    assert_eq!(world.ask("web", "HTTPS").data().len(), addresses.len());
    let is_listed = !world.ask("_http._tcp", "PTR").data().is_empty();
    assert_eq!(is_listed, !addresses.is_empty(), "who browses");
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn who_says_that_it_drains_gets_no_more_clients_and_keeps_its_name() {
    let mut world = world();
    assert_served_by(&mut world, &["10.0.0.1", "10.0.0.2"]);
    let serial = world.serial();
    assert_eq!(world.accept("add m1.web 30 TXT drain=20"), [Cause::Draining]);
    assert_eq!(world.serial(), serial + 1);
    assert_served_by(&mut world, &["10.0.0.2"]);
    assert_eq!(world.ask("m1.web", "A").data(), ["10.0.0.1"], "those that it has may look again");
    assert_eq!(world.ask("m1.web", "TXT").data(), ["drain=20"]);
    assert!(world.ask("m1.web", "AAAA").is_nodata());
    assert_eq!(world.ask("m1.web", "ANY").data(), ["10.0.0.1"]);
}

#[test]
fn its_own_drain_ends_in_leaving() {
    let mut world = world();
    world.accept("add m1.web 30 TXT drain=20");
    live_s(&mut world, 17);
    let own = world.ask("m1.web", "A");
    assert_eq!((own.data(), own.ttl_s()), (strings(&["10.0.0.1"]), 3), "what is left of the drain");
    assert_eq!(world.ask("m1.web", "TXT").ttl_s(), 3);
    world.advance(2_999);
    assert_eq!(world.ask("m1.web", "A").data(), ["10.0.0.1"]);
    let serial = world.serial();
    world.advance(1);
    assert!(world.ask("m1.web", "A").is_nxdomain());
    world.advance(8);
    assert_eq!(world.changes.last().unwrap().cause(), Cause::Drained, "its lease ran");
    assert_eq!(world.serial(), serial + 1);
    assert_served_by(&mut world, &["10.0.0.2"]);
    world.refuse("add m1.web 30 TXT load=0.5");
}

#[test]
fn its_name_stays_its_own_after_it_has_drained() {
    let mut world = world();
    world.accept("add m1.web 30 TXT drain=2");
    world.advance(2_008);
    world.source = "127.0.0.2".parse().unwrap();
    let reason = world.refuse("add m1.web 30 A 10.0.0.66");
    assert!(reason.contains("m1 of pool web.pool.example. is kept for 127.0.0.1"), "{reason}");
    world.source = "127.0.0.1".parse().unwrap();
    assert_eq!(world.accept(M1), [Cause::Joined]);
    assert_served_by(&mut world, &["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn a_drain_that_is_over_ends_it_though_its_tick_is_late_and_that_is_why_it_went() {
    let mut world = world();
    world.accept("add m1.web 30 TXT drain=5");
    world.advance_unswept(5_000);
    assert!(world.ask("m1.web", "A").is_nxdomain());
    world.refuse("add m1.web 30 TXT load=0.5");
    // By the time that the server looks, the leases are over as well.
    world.advance_unswept(26_000);
    world.expire();
    let causes: Vec<_> = world.changes.iter().rev().take(2).map(|change| change.cause()).collect();
    assert!(causes.contains(&Cause::Drained) && causes.contains(&Cause::Expired), "{causes:?}");
}

#[test]
fn a_heartbeat_that_says_the_same_puts_nothing_off_and_another_value_counts_anew() {
    let mut world = world();
    world.accept("add m1.web 30 TXT drain=20");
    for beat in [M1, "add m1.web 30 TXT drain=20", "add m1.web 30 TXT load=0.5"] {
        world.advance(5_000);
        assert_eq!(world.accept(beat), [Cause::Renewed], "{beat}");
    }
    assert_eq!(world.ask("m1.web", "A").ttl_s(), 5);
    world.advance(1_000);
    assert_eq!(world.ask("m1.web", "A").ttl_s(), 4);
    assert_eq!(world.accept("add m1.web 30 TXT drain=10"), [Cause::Changed], "ten seconds from now");
    world.advance(7_000);
    assert_eq!(world.ask("m1.web", "A").ttl_s(), 3);
    world.accept("add m1.web 30 TXT drain=3600");
    live_s(&mut world, 120);
    assert_eq!(world.ask("m1.web", "A").ttl_s(), 5, "an hour is a long time, heartbeats needed");
    assert_served_by(&mut world, &["10.0.0.2"]);
}

#[test]
fn a_lease_runs_out_in_a_drain_as_ever() {
    let mut world = world();
    world.accept("add m1.web 30 TXT drain=3600");
    world.advance(28_000);
    assert_eq!(world.ask("m1.web", "A").ttl_s(), 2);
    world.advance(2_008);
    assert!(world.ask("m1.web", "A").is_nxdomain());
    assert!(world.changes.iter().all(|change| change.cause() != Cause::Drained));
}

#[test]
fn who_deletes_the_attribute_is_back() {
    let mut world = world();
    for taken_back in ["delete m1.web TXT drain=20", "delete m1.web TXT"] {
        world.accept("add m1.web 30 TXT drain=20");
        assert_served_by(&mut world, &["10.0.0.2"]);
        assert_eq!(world.accept("delete m1.web TXT drain=30"), [], "that is not what it said");
        let serial = world.serial();
        assert_eq!(world.accept(taken_back), [Cause::Undrained]);
        assert_eq!(world.serial(), serial + 1);
        assert_served_by(&mut world, &["10.0.0.1", "10.0.0.2"]);
        live_s(&mut world, 25);
    }
    assert_served_by(&mut world, &["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn who_joins_does_not_drain_and_draining_for_no_time_is_leaving() {
    let mut world = World::with(setup());
    let reason = world.refuse("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT drain=20");
    assert!(reason.contains("m1 of pool web.pool.example. says that it drains"), "{reason}");
    assert!(reason.contains("it joins without `drain`"), "{reason}");
    assert_eq!(world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT drain=0"), [], "nobody came");
    world.accept(M1);
    assert_eq!(world.accept("add m1.web 30 TXT drain=0"), [Cause::Deregistered]);
    assert!(world.ask("m1.web", "A").is_nxdomain());
    world.accept(M2);
    let updated = world.update("add m2.web 30 TXT drain=soon");
    assert_eq!(
        (updated.rcode, updated.ignored),
        (ResponseCode::NoError, 1),
        "a slip of the pen drains nobody"
    );
    assert_served_by(&mut world, &["10.0.0.2"]);
}

#[test]
fn an_operators_drain_outlasts_heartbeats_and_ends_with_the_operators_word() {
    let mut world = world();
    let serial = world.serial();
    assert_eq!(drain(&mut world, "m1.web", "why=a-bolt"), [Cause::Draining]);
    assert_eq!(world.serial(), serial + 1);
    assert_served_by(&mut world, &["10.0.0.2"]);
    for beat in
        [M1, "delete m1.web TXT; add m1.web 30 A 10.0.0.1", "add m1.web 30 TXT drain=9; delete m1.web TXT"]
    {
        world.accept(beat);
        assert_served_by(&mut world, &["10.0.0.2"]);
    }
    world.accept(M1);
    live_s(&mut world, 1_000);
    assert_served_by(&mut world, &["10.0.0.2"]);
    assert_eq!((world.ask("m1.web", "A").ttl_s(), world.ask("m1.web", "TXT").is_nodata()), (5, true));
    assert!(world.ask("_drain.m1.web", "TXT").is_nxdomain(), "the word itself is no record of the zone");
    assert_eq!(drain(&mut world, "m1.web", "why=a-bolt"), [], "the same again");
    assert_eq!(undrain(&mut world, "m1.web"), [Cause::Undrained]);
    assert_eq!(undrain(&mut world, "m1.web"), [], "there is none");
    assert_served_by(&mut world, &["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn an_operators_drain_with_an_end_ends_in_the_member_serving_again() {
    let mut world = world();
    drain(&mut world, "m1.web", "for=60");
    live_s(&mut world, 59);
    assert_served_by(&mut world, &["10.0.0.2"]);
    let serial = world.serial();
    live_s(&mut world, 1);
    assert_served_by(&mut world, &["10.0.0.1", "10.0.0.2"]);
    assert_eq!((world.changes.last().unwrap().cause(), world.serial()), (Cause::DrainOver, serial + 1));
    // The later word counts.
    drain(&mut world, "m1.web", "for=10");
    drain(&mut world, "m1.web", "for=3600 why=longer");
    live_s(&mut world, 30);
    assert_served_by(&mut world, &["10.0.0.2"]);
    drain(&mut world, "m1.web", "for=1");
    live_s(&mut world, 1);
    assert_served_by(&mut world, &["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn an_operators_drain_waits_for_a_machine_that_is_restarted() {
    let mut world = world();
    drain(&mut world, "m1.web", "why=kernel");
    world.accept("delete m1.web");
    live_s(&mut world, 20);
    assert_eq!(world.accept(M1), [Cause::Joined]);
    assert_served_by(&mut world, &["10.0.0.2"]);
    // It dies, and comes back long after its name was anybody's.
    world.accept(M2);
    for _ in 0..20 {
        world.advance(20_000);
        world.accept(M2);
    }
    assert!(world.ask("m1.web", "A").is_nxdomain());
    drain(&mut world, "m1.web", "for=7200");
    world.accept(M1);
    assert_served_by(&mut world, &["10.0.0.2"]);
    undrain(&mut world, "m1.web");
    assert_served_by(&mut world, &["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn only_an_admin_grant_drains_others() {
    let mut world = world();
    for script in ["add _drain.m1.web 0 TXT for=60", "delete _drain.m1.web", "delete _drain.m1.web TXT"] {
        let reason = world.refuse(script);
        let wanted = "draining m1 of pool web.pool.example. takes a grant for the pool with `admin = true`";
        assert!(reason.contains(wanted), "{script}: {reason}");
    }
    world.source = "192.0.2.1".parse().unwrap();
    world.refuse("add _drain.m1.web 0 TXT for=60");
    world.source = "127.0.0.1".parse().unwrap();
    assert_served_by(&mut world, &["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn an_operator_is_one_of_the_pools_that_its_grant_names() {
    let mut setup = setup();
    setup.grants[0].pools = vec![NamePattern::new("game")];
    let mut world = World::with(setup);
    world.accept(M1);
    world.accept("add g1.game 30 A 10.0.0.3");
    let reason = as_operator(&mut world, |world| world.refuse("add _drain.m1.web 0 TXT for=60"));
    assert!(reason.contains("takes a grant for the pool with `admin = true`"), "{reason}");
    drain(&mut world, "g1.game", "for=60");
    assert!(world.ask("game", "A").is_nodata());
}

#[test]
fn nobody_is_drained_whom_nobody_knows_and_bad_words_are_refused() {
    let mut world = world();
    as_operator(&mut world, |world| {
        let reason = world.refuse("add _drain.m3.web 0 TXT for=60");
        assert!(reason.contains("m3 is not a member of web.pool.example., nor was it lately"), "{reason}");
        world.accept("delete _drain.m3.web");
        for word in ["for=0", "for=1209601", "for=ever", "for=", "drain", "wy=x"] {
            let reason = world.refuse(&format!("add _drain.m1.web 0 TXT {word}"));
            assert!(reason.contains("is no word about a drain: write \"for=SECONDS\""), "{word}: {reason}");
        }
        world.refuse("add _drain.m1.web 0 A 10.0.0.1");
        // With all that came along.
        world.refuse("add _drain.m1.web 0 TXT for=60; add _drain.m3.web 0 TXT for=60");
    });
    assert_served_by(&mut world, &["10.0.0.1", "10.0.0.2"]);
    assert_eq!(drain(&mut world, "m1.web", "for=1209600"), [Cause::Draining]);
    as_operator(&mut world, |world| {
        let causes = world.accept("add m4.web 30 A 10.0.0.4; add _drain.m4.web 0 TXT for=60");
        assert_eq!(causes, [Cause::Joined, Cause::Draining], "known from this message on");
    });
    assert_served_by(&mut world, &["10.0.0.2"]);
}

#[test]
fn as_many_drains_as_members_and_no_more() {
    let mut world = World::with(Setup { limits: Limits { members: 2, pools: 9, records: 9 }, ..setup() });
    world.accept(M1);
    world.accept(M2);
    drain(&mut world, "m1.web", "why=x");
    drain(&mut world, "m2.web", "why=x");
    world.accept("delete m1.web");
    world.accept("add m3.web 30 A 10.0.0.3");
    let reason = as_operator(&mut world, |world| world.refuse("add _drain.m3.web 0 TXT for=60"));
    assert!(reason.contains("limit of 2"), "{reason}");
    drain(&mut world, "m2.web", "for=60");
    undrain(&mut world, "m1.web");
    drain(&mut world, "m3.web", "for=60");
    assert!(world.ask("web", "A").is_nodata());
}

#[test]
fn who_drains_by_both_words_is_back_when_both_are_over() {
    let mut world = world();
    drain(&mut world, "m1.web", "for=10");
    assert_eq!(world.accept("add m1.web 30 TXT drain=20"), [Cause::Draining]);
    live_s(&mut world, 11);
    assert_served_by(&mut world, &["10.0.0.2"]);
    drain(&mut world, "m1.web", "why=still");
    world.accept("delete m1.web TXT drain=20");
    assert_served_by(&mut world, &["10.0.0.2"]);
    world.accept("add m1.web 30 TXT drain=5");
    undrain(&mut world, "m1.web");
    assert_served_by(&mut world, &["10.0.0.2"]);
    live_s(&mut world, 3);
    assert_eq!(world.ask("m1.web", "A").ttl_s(), 2, "its own drain goes on as it was");
    live_s(&mut world, 3);
    assert!(world.ask("m1.web", "A").is_nxdomain());
}

#[test]
fn a_member_elsewhere_drains_no_less() {
    let targets = vec![NamePattern::new("*")];
    let mut setup = setup();
    setup.grants.iter_mut().for_each(|grant| grant.targets.clone_from(&targets));
    let mut world = World::with(setup);
    world.accept(M1);
    world.accept("add _http._tcp.web 30 SRV 0 10 80 gw.example.net.");
    assert_eq!(world.ask("_http._tcp.web", "SRV").data().len(), 2);
    drain(&mut world, "m1.web", "for=60");
    assert_eq!(world.ask("_http._tcp.web", "SRV").data(), ["0 10 80 gw.example.net."]);
    assert!(world.ask("_http._tcp.web", "SRV").message.additionals.is_empty());
}

#[test]
fn nobody_is_shown_of_a_pool_in_which_all_drain() {
    let mut world = world();
    drain(&mut world, "m1.web", "for=60");
    world.accept("add m2.web 30 TXT drain=60");
    for name in ["web", "all.web"] {
        assert!(world.ask(name, "A").is_nodata(), "the last resort is not for those who drain");
        assert!(world.ask(name, "ANY").is_nodata());
    }
    for name in ["_http._tcp.web", "_http._tcp.all.web"] {
        assert!(world.ask(name, "SRV").is_nodata());
    }
    assert!(world.ask("web", "HTTPS").is_nodata());
    assert!(world.ask("_http._tcp", "PTR").is_nodata());
    assert_eq!(world.ask("m1.web", "A").data(), ["10.0.0.1"]);
    assert_eq!(world.ask("m2.web", "A").data(), ["10.0.0.2"]);
}

#[test]
fn drains_stay_as_they_are_in_a_reload() {
    let mut world = world();
    drain(&mut world, "m1.web", "for=60");
    world.accept("add m2.web 30 TXT drain=40");
    let game = ("game", pool_settings(Policy::Random));
    world.reload(Setup { pools: vec![("web", pool_settings(Policy::Random)), game], ..setup() });
    assert!(world.ask("web", "A").is_nodata());
    live_s(&mut world, 41);
    assert!(world.ask("m2.web", "A").is_nxdomain());
    live_s(&mut world, 20);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
}

/// Members sign with `fleet.`, operators with `ops.` and `ops2.`.
fn signed_world() -> World {
    let admins = ["ops.", "ops2."].map(|key| Grant { admin: true, ..key_grant(key) });
    let grants = [&[key_grant("fleet.")][..], &admins].concat();
    let mut world = World::with(Setup { keys: vec!["fleet.", "ops.", "ops2."], grants, ..Setup::default() });
    signed("fleet.", world.wall_s(), M1).accepted_by(&mut world);
    world
}

fn by(world: &World, key: &str, script: &str) -> Request {
    signed(key, world.wall_s(), script)
}

#[test]
fn an_operators_word_that_was_overtaken_is_a_replay() {
    let mut world = signed_world();
    let drained = by(&world, "ops.", "add _drain.m1.web 0 TXT for=600");
    assert_eq!(drained.accepted_by(&mut world), [Cause::Draining]);
    world.advance(2_000);
    assert_eq!(drained.accepted_by(&mut world), [], "a retry counts nothing anew");
    by(&world, "ops.", "delete _drain.m1.web").accepted_by(&mut world);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
    drained.a_replay_to(&mut world);
    world.advance(1_000);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
}

#[test]
fn an_operators_clock_locks_no_member_out_and_operators_are_equals() {
    let mut world = signed_world();
    signed("ops.", world.wall_s() + 250, "add _drain.m1.web 0 TXT for=600").accepted_by(&mut world);
    world.advance(2_000);
    assert_eq!(by(&world, "fleet.", M1).accepted_by(&mut world), [Cause::Renewed]);
    let reason = by(&world, "fleet.", "delete _drain.m1.web").refused_by(&mut world);
    assert!(reason.contains("`admin = true`"), "{reason}");
    assert_eq!(by(&world, "ops2.", "delete _drain.m1.web").accepted_by(&mut world), [Cause::Undrained]);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
}
