//! What `_status` says when not all is well: members drain, leases are held, nobody is fit to serve.

use std::collections::BTreeSet;
use std::sync::Arc;

use hickory_proto::op::ResponseCode;
use rollcall::policy::Policy;
use rollcall::query::status::line::{Line, State};
use rollcall::security::Grant;
use rollcall::zone::{OnAllDown, PoolSettings};

use super::{members, status};
use crate::world::{Setup, World, loopback_grant, pool_settings};

/// A world whose loopback may drain members, with one pool, `web`, that does this when nobody is fit.
fn world(on_all_down: OnAllDown) -> World {
    let web = PoolSettings { on_all_down, ..pool_settings(Policy::RoundRobin) };
    let pools = vec![("web", web), ("spare", pool_settings(Policy::RoundRobin))];
    let grants = vec![Grant { admin: true, ..loopback_grant() }];
    World::with(Setup { pools, grants, ..Setup::default() })
}

/// What stands behind `gone=0` in the pool's own string.
fn pool_says(world: &mut World, name: &str) -> String {
    let first = status(world, name).swap_remove(0);
    first.split_once(" up=").unwrap().1.to_owned()
}

/// Addresses of the members that `_status.web` says are answered, and those that `web A` has.
fn told_and_answered(world: &mut World) -> [BTreeSet<String>; 2] {
    let answered = |line: &String| match Line::parse(line.as_bytes()) {
        Some(Line::Member(member)) if matches!(member.state, State::Up | State::Lost) => member.addresses,
        _ => Vec::new(),
    };
    let told = members(world, "_status.web").iter().flat_map(answered).map(|ip| ip.to_string()).collect();
    [told, world.ask("web", "A").data().into_iter().collect()]
}

#[test]
fn who_drains_says_by_whose_word_and_for_how_long() {
    let mut world = world(OnAllDown::All);
    for member in ["m1", "m2", "m3", "m4"] {
        let number = &member[1..];
        world.accept(&format!(
            "add {member}.web 30 A 10.0.0.{number}; add _http._tcp.web 30 SRV 5 {number} 80 {member}.web"
        ));
    }
    world.accept("add m2.web 30 TXT drain=25 site=fra");
    world.accept("add _drain.m3.web 0 TXT for=600 \"why=new disk\"");
    world.accept("add _drain.m4.web 0 TXT \"\"");
    world.advance(5_000);
    assert_eq!(
        status(&mut world, "_status.web"),
        [
            "web.pool.example. pool policy=round-robin answers=all ttl=5s up=1 out=0 gone=0 draining=3",
            "m1 up registered lease=25s weight=1 rank=1 share=100% 10.0.0.1",
            "m2 draining own left=20s lease=20s weight=2 site=fra 10.0.0.2",
            "m3 draining operator by=127.0.0.1 for=595s why=new\\032disk lease=25s weight=3 10.0.0.3",
            "m4 draining operator by=127.0.0.1 lease=25s weight=4 10.0.0.4",
        ],
        "`drain` is said once, and who drains has no place in line"
    );
    assert_eq!(
        status(&mut world, "_status._http._tcp.web"),
        [
            "_http._tcp.web.pool.example. service policy=round-robin answers=all ttl=5s up=1 out=0 gone=0 draining=3",
            "m1 up registered lease=25s weight=1 rank=1 share=100% port=80 srv-priority=5 srv-weight=1 10.0.0.1",
            "m2 draining own left=20s lease=20s weight=2 port=80 srv-priority=5 srv-weight=2 site=fra 10.0.0.2",
            "m3 draining operator by=127.0.0.1 for=595s why=new\\032disk lease=25s weight=3 port=80 srv-priority=5 \
             srv-weight=3 10.0.0.3",
            "m4 draining operator by=127.0.0.1 lease=25s weight=4 port=80 srv-priority=5 srv-weight=4 10.0.0.4",
        ],
        "what members that drain offer is told as they registered it"
    );
    world.accept("delete _drain.m4.web TXT");
    world.advance(20_000);
    assert_eq!(pool_says(&mut world, "_status.web"), "2 out=0 gone=0 draining=1", "m2 has left");
    for name in ["_status.web", "_status._http._tcp.web"] {
        let lines = members(&mut world, name);
        assert!(lines[2].starts_with("m4 up registered lease=5s "), "{lines:?}");
    }
}

#[test]
fn who_drained_and_fell_silent_is_gone_and_no_more_said_to_drain() {
    let mut world = world(OnAllDown::All);
    world.accept("add m1.web 30 A 10.0.0.1");
    world.accept("add _drain.m1.web 0 TXT why=disk");
    world.advance_unswept(30_000);
    assert_eq!(pool_says(&mut world, "_status.web"), "0 out=0 gone=1");
    assert_eq!(members(&mut world, "_status.web"), ["m1 gone expired lease=0s weight=1"]);
}

#[test]
fn a_lease_that_is_over_and_held_says_so_until_it_is_renewed() {
    let mut world = world(OnAllDown::All);
    let join = |world: &mut World, number: u8| {
        world.accept(&format!(
            "add m{number}.web 30 A 10.0.0.{number}; add _http._tcp.web 30 SRV 0 1 80 m{number}.web"
        ))
    };
    (10..22).for_each(|number| _ = join(&mut world, number));
    world.accept("add m22.web 30 A 10.0.0.22; add m22.web 30 TXT weight=0");
    world.live(29_000);
    let last = &members(&mut world, "_status.web")[0];
    assert_eq!(last, "m10 up registered lease=1s weight=1 rank=1 share=8.3% 10.0.0.10", "it still runs");
    assert_eq!(world.silenced.len(), 1, "though the zone's leases are held already");
    world.live(11_000);
    for name in ["_status.web", "_status._http._tcp.web"] {
        let out = if name == "_status.web" { 1 } else { 0 };
        assert_eq!(pool_says(&mut world, name), format!("12 out={out} gone=0 held={}", 12 + out));
    }
    let held = members(&mut world, "_status.web");
    assert_eq!(held[0], "m10 up registered lease=held weight=1 rank=1 share=8.3% 10.0.0.10");
    assert_eq!(held[12], "m22 out weight=0 lease=held 10.0.0.22");
    let [told, answered] = told_and_answered(&mut world);
    assert!(told == answered && told.len() == 12, "{told:?} {answered:?}");
    join(&mut world, 10);
    assert_eq!(pool_says(&mut world, "_status.web"), "12 out=1 gone=0 held=12");
    assert!(members(&mut world, "_status.web")[0].starts_with("m10 up registered lease=30s "));
    world.live(600_000);
    assert_eq!(pool_says(&mut world, "_status.web"), "0 out=0 gone=0", "no hold is for ever");
}

#[test]
fn what_is_answered_for_want_of_anybody_fit_is_told_while_it_is() {
    let spare: Arc<[u8]> = b"\x05spare\x04pool\x07example\x00"[..].into();
    for (on_all_down, wanted, addresses) in [
        (OnAllDown::All, "all", &["10.0.0.1"][..]),
        (OnAllDown::Fallback(spare), "fallback:spare.pool.example.", &["10.0.0.9"]),
        (OnAllDown::NoData, "nodata", &[]),
        (OnAllDown::ServFail, "servfail", &[]),
        (OnAllDown::LastGood, "last-good:nobody", &[]),
    ] {
        let is_failure = on_all_down == OnAllDown::ServFail;
        let mut world = world(on_all_down);
        world.accept("add m9.spare 30 A 10.0.0.9");
        world.accept("add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 1 80 m1.web");
        for name in ["_status.web", "_status._http._tcp.web"] {
            assert_eq!(pool_says(&mut world, name), "1 out=0 gone=0", "somebody is fit");
        }
        world.accept("add m1.web 30 TXT weight=0");
        for name in ["_status.web", "_status._http._tcp.web"] {
            let wanted = format!("0 out=1 gone=0 on-all-down={wanted}");
            assert_eq!(pool_says(&mut world, name), wanted, "{name}");
        }
        let answer = world.ask("web", "A");
        assert_eq!(answer.data(), addresses, "{wanted}");
        assert_eq!(answer.rcode() == ResponseCode::ServFail, is_failure, "{wanted}");
        world.accept("add m2.web 30 A 10.0.0.2");
        assert_eq!(pool_says(&mut world, "_status.web"), "1 out=1 gone=0", "m2 is fit: {wanted}");
    }
    let mut world = world(OnAllDown::All);
    assert_eq!(pool_says(&mut world, "_status.web"), "0 out=0 gone=0", "there is nobody to show");
}

#[test]
fn who_was_good_last_is_told_as_lost_for_as_long_as_it_is_answered() {
    let mut world = world(OnAllDown::LastGood);
    world.accept("add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 3 80 m1.web");
    world.accept("add m2.web 30 A 10.0.0.2; add m2.web 30 TXT site=fra");
    world.accept("add m3.web 30 A 10.0.0.3; add m3.web 30 TXT weight=0");
    world.accept("add m4.web 3600 A 10.0.0.4; add _drain.m4.web 0 TXT for=1200");
    let lost = [
        "m1 lost expired lease=0s weight=3 rank=1 share=50% 10.0.0.1",
        "m2 lost expired lease=0s weight=1 rank=1 share=50% site=fra 10.0.0.2",
    ];
    world.advance_unswept(30_000);
    assert_eq!(pool_says(&mut world, "_status.web"), "0 out=0 gone=2 lost=2 on-all-down=last-good:600s");
    assert_eq!(members(&mut world, "_status.web")[..2], lost, "over, and not swept yet");
    let [told, answered] = told_and_answered(&mut world);
    assert!(told == answered && told.len() == 2, "{told:?} {answered:?}");
    world.expire();
    world.advance(60_000);
    world.accept("add m4.web 30 A 10.0.0.4");
    assert_eq!(
        pool_says(&mut world, "_status.web"),
        "0 out=0 gone=0 draining=1 lost=2 on-all-down=last-good:540s"
    );
    let told = members(&mut world, "_status.web");
    assert_eq!(told[..2], lost, "swept, and answered from memory");
    assert!(told.len() == 3 && told[2].starts_with("m4 draining operator "), "{told:?}");
    assert_eq!(
        status(&mut world, "_status._http._tcp.web"),
        [
            "_http._tcp.web.pool.example. service policy=round-robin answers=all ttl=5s up=0 out=0 gone=0 lost=1 \
             on-all-down=last-good:540s",
            "m1 lost expired lease=0s weight=3 rank=1 share=100% port=80 srv-priority=0 srv-weight=3 10.0.0.1",
        ]
    );
    let [told, answered] = told_and_answered(&mut world);
    assert!(told == answered && told.len() == 2, "{told:?} {answered:?}");
    world.advance(540_000);
    assert_eq!(pool_says(&mut world, "_status.web"), "0 out=0 gone=0 on-all-down=last-good:nobody");
    assert!(members(&mut world, "_status.web")[0].starts_with("no member: "));
    assert!(world.ask("web", "A").is_nodata());
}

#[test]
fn what_a_policy_would_write_into_the_records_of_who_drains_is_not_said() {
    let mut world = World::with_pools(&[("web", pool_settings(Policy::Priority))]);
    for number in [1, 2] {
        world.accept(&format!(
            "add m{number}.web 30 A 10.0.0.{number}; add _http._tcp.web 30 SRV 5 6 80 m{number}.web"
        ));
    }
    world.accept("add m2.web 30 TXT drain=25");
    let wanted = [
        "m1 up registered lease=30s weight=6 rank=1 share=100% priority=0 port=80 srv-priority=0 srv-weight=6 10.0.0.1",
        "m2 draining own left=25s lease=25s weight=6 priority=0 port=80 srv-priority=5 srv-weight=6 10.0.0.2",
    ];
    assert_eq!(members(&mut world, "_status._http._tcp.web"), wanted);
}
