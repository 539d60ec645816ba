//! Last resorts, holds and drains: answers that were not what an operator chose, or did not say what they were.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use rollcall::policy::Policy;
use rollcall::query::Transport;
use rollcall::security::Grant;
use rollcall::zone::{OnAllDown, PoolSettings};

use super::world::{Answer, Setup, World, pool_settings, records_grant};
use super::{accept_leased, forget_pools};

/// An operator's world: pool `web` answers so when nobody is fit, and `spare` is there to fall back on.
fn world(on_all_down: OnAllDown) -> World {
    let web = PoolSettings { on_all_down, ..pool_settings(Policy::RoundRobin) };
    let spare = pool_settings(Policy::RoundRobin);
    let grants = vec![Grant { admin: true, ..records_grant() }];
    World::with(Setup { pools: vec![("web", web), ("spare", spare)], grants, ..Setup::default() })
}

fn ask_edns(world: &mut World, name: &str, rtype: &str) -> Answer {
    world.ask_over(Transport::Udp, name, rtype, Some(1232))
}

/// The info code of its extended error (RFC 8914).
fn info_code(answer: &Answer) -> Option<u16> {
    code_of(&answer.message)
}

fn code_of(message: &Message) -> Option<u16> {
    match message.edns.as_ref()?.option(15.into())? {
        EdnsOption::Unknown(_, data) => Some(u16::from_be_bytes([data[0], data[1]])),
        other => panic!("{other:?}"),
    }
}

/// Whom an operator drained was not good when it was lost.
#[test]
fn who_was_drained_by_an_operator_is_not_good_last() {
    let mut world = world(OnAllDown::LastGood);
    accept_leased(&mut world, 30, "add m1.web 30 A 10.0.0.1");
    accept_leased(&mut world, 60, "add m2.web 30 A 10.0.0.2");
    world.advance(10_000);
    accept_leased(&mut world, 300, "add m2.web 30 A 10.0.0.2");
    world.accept("add _drain.m2.web 0 TXT \"\"");
    world.advance(20_000);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
    world.advance(280_000);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"], "m2's end is nobody's");
    world.accept("delete _drain.m2.web TXT");
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"], "it was drained when it was lost");
}

/// Whoever says goodbye late has said it all the same.
#[test]
fn who_is_deleted_after_it_was_lost_is_not_good_last() {
    let mut world = world(OnAllDown::LastGood);
    world.setup.grants = vec![records_grant()];
    world.reload(world.setup.clone());
    world.accept("add m1.web 30 A 10.0.0.1; add m2.web 30 A 10.0.0.2");
    world.advance(30_000);
    let owner = std::mem::replace(&mut world.source, "127.0.0.2".parse().unwrap());
    world.accept("delete m1.web");
    assert_eq!(world.ask("web", "A").sorted(), ["10.0.0.1", "10.0.0.2"], "that was somebody else");
    world.source = owner;
    world.accept("delete m1.web");
    assert_eq!(world.ask("web", "A").sorted(), ["10.0.0.2"]);
    assert!(world.ask("m1.web", "A").is_nxdomain());
}

/// From the first moment on, before anybody has swept: NXDOMAIN would be remembered.
#[test]
fn the_own_names_of_the_lost_answer_and_say_that_they_are_stale() {
    for is_swept in [false, true] {
        let mut world = world(OnAllDown::LastGood);
        world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT site=fra");
        world.accept("add m2.web 30 A 10.0.0.2; add m2.web 30 TXT weight=0; add m3.web 30 A 10.0.0.3");
        world.accept("add _drain.m3.web 0 TXT why=disk");
        world.advance_unswept(30_000);
        if is_swept {
            world.expire();
        }
        for rtype in ["A", "TXT"] {
            let answer = ask_edns(&mut world, "m1.web", rtype);
            assert_eq!((answer.data().len(), answer.ttl_s(), info_code(&answer)), (1, 1, Some(3)), "{rtype}");
        }
        for gone in ["m2.web", "m3.web"] {
            assert!(world.ask(gone, "A").is_nxdomain(), "{gone}");
        }
    }
}

/// A held lease is said to be one wherever it shows, and however short the pool's TTLs are.
#[test]
fn every_answer_that_lives_by_a_held_lease_is_stale() {
    for ttl_s in [0, 1, 2, 5] {
        let web = PoolSettings { ttl_s, ..pool_settings(Policy::RoundRobin) };
        let mut world = World::with(Setup { pools: vec![("web", web)], ..Setup::default() });
        for at in 0..20 {
            world.accept(&format!(
                "add m{at}.web 30 A 10.0.0.{at}; add _http._tcp.web 30 SRV 0 1 80 m{at}.web; add m{at}.web 30 TXT site=fra"
            ));
        }
        let names = [
            ("web", "A"),
            ("all.web", "A"),
            ("_http._tcp.web", "SRV"),
            ("m1.web", "A"),
            ("m1.web", "TXT"),
            ("web._http._tcp", "SRV"),
            ("web._http._tcp", "TXT"),
        ];
        for (name, rtype) in names {
            assert_eq!(info_code(&ask_edns(&mut world, name, rtype)), None, "{name} {rtype}");
        }
        world.live(35_000);
        assert_eq!(world.registrar.held().0, 1);
        for (name, rtype) in names {
            let answer = ask_edns(&mut world, name, rtype);
            assert!(answer.ttl_s() <= 1, "{name} {rtype}");
            assert_eq!(info_code(&answer), Some(3), "TTL {ttl_s}: {name} {rtype}");
        }
    }
}

/// A slip of the pen in the pool's name drains nobody, and must not be told that it does.
#[test]
fn a_drain_in_a_pool_that_is_not_there_is_refused() {
    let mut world = world(OnAllDown::All);
    world.accept("add m1.web 30 A 10.0.0.1");
    world.refuse("add _drain.m1.wbe 0 TXT \"\"");
    assert!(world.ask("_drain.m1.wbe", "TXT").data().is_empty());
    let mut setup = world.setup.clone();
    setup.create_pools = false;
    world.reload(setup);
    world.refuse("add _drain.m1.wbe 0 TXT for=10");
    world.refuse("add _drain.m1.a.b 0 TXT for=10");
}

/// However many of them one message brings.
#[test]
fn no_more_drains_are_kept_than_members_may_be() {
    let limits = rollcall::update::Limits { members: 2, pools: 10, records: 10 };
    let grants = vec![Grant { admin: true, ..records_grant() }];
    let mut world = World::with(Setup { limits, grants, ..Setup::default() });
    world.accept("add m1.web 30 A 10.0.0.1; add m2.web 30 A 10.0.0.2; add _drain.m1.web 0 TXT for=600");
    world.accept("delete m1.web");
    world.accept("add m3.web 30 A 10.0.0.3");
    let refusal = world.refuse("add _drain.m2.web 0 TXT for=60; add _drain.m3.web 0 TXT for=60");
    assert!(refusal.contains("limit of 2"), "{refusal}");
    world.accept("add _drain.m2.web 0 TXT for=60; add _drain.m1.web 0 TXT for=60");
}

/// A drain without end can be taken back also when its pool has been forgotten.
#[test]
fn a_drain_is_taken_back_though_its_pool_was_forgotten() {
    let mut world = world(OnAllDown::All);
    world.accept("add m1.made 30 A 10.0.0.1");
    world.accept("add _drain.m1.made 0 TXT \"\"");
    forget_pools(&mut world);
    assert!(world.ask("made", "A").is_nxdomain());
    world.accept("delete _drain.m1.made TXT");
    world.accept("add m1.made 30 A 10.0.0.1");
    assert_eq!(world.ask("made", "A").data(), ["10.0.0.1"]);
}

/// A name is kept for longer than a pool that nobody is in, and so is who can be drained.
#[test]
fn who_is_away_can_be_drained_though_its_pool_was_forgotten() {
    let mut world = world(OnAllDown::All);
    let key_lease: Vec<u8> = [30_u32.to_be_bytes(), 86_400_u32.to_be_bytes()].concat();
    let joined = world.update_with_lease("add m1.made 30 A 10.0.0.1", Some(&key_lease));
    assert_eq!(joined.rcode, ResponseCode::NoError);
    forget_pools(&mut world);
    world.accept("add _drain.m1.made 0 TXT \"\"");
    world.accept("add m1.made 30 A 10.0.0.1");
    assert!(world.ask("made", "A").data().is_empty());
}
