//! A member's life: joining, renewing, changing, leaving, and who may do it.

use hickory_proto::op::ResponseCode;
use rollcall::membership::{Cause, Crowd, FOREVER_MS, LEASE_FOREVER_MS, Member, Registered, Said};
use rollcall::update::Limits;

use super::world::{World, of_member};

const M1: &str =
    "add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 10 8080 m1.web; add m1.web 30 TXT weight=20";

#[test]
fn a_member_joins_is_found_and_leaves() {
    let mut world = World::new();
    assert!(world.ask("web", "A").is_nodata(), "a declared pool with nobody in it is NODATA");
    assert!(world.ask("m1.web", "A").is_nxdomain());
    let serial = world.serial();
    assert_eq!(world.accept(M1), [Cause::Joined]);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
    let srv = world.ask("_http._tcp.web", "SRV");
    assert_eq!(srv.data(), ["0 10 8080 m1.web.pool.example."]);
    assert_eq!(srv.message.additionals[0].name.to_string(), "m1.web.pool.example.");
    assert_eq!(srv.message.additionals[0].data.to_string(), "10.0.0.1");
    assert_eq!(world.ask("m1.web", "TXT").data(), ["weight=20"]);
    assert_eq!(world.serial(), serial + 1);

    assert_eq!(world.accept("delete m1.web"), [Cause::Deregistered]);
    assert!(world.ask("web", "A").is_nodata());
    assert!(world.ask("_http._tcp.web", "SRV").is_nodata(), "the pool still knows the service");
    assert!(world.ask("m1.web", "A").is_nxdomain());
    assert_eq!(world.serial(), serial + 2);
}

#[test]
fn the_same_message_again_is_the_heartbeat() {
    let mut world = World::new();
    world.accept(M1);
    let serial = world.serial();
    for _ in 0..10 {
        world.advance(20_000);
        assert_eq!(world.accept(M1), [Cause::Renewed]);
    }
    assert_eq!(world.serial(), serial, "a refresh moves no serial (RFC 9664)");
    world.advance(29_999);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
    world.advance(1);
    assert!(world.ask("web", "A").is_nodata(), "exactly one lease after the last heartbeat");
    world.advance(8);
    assert_eq!(world.changes.last().unwrap().cause(), Cause::Expired);
}

#[test]
fn delete_then_add_is_a_heartbeat() {
    let mut world = World::new();
    world.accept(M1);
    world.advance(20_000);
    assert_eq!(world.accept(&format!("delete m1.web; delete _http._tcp.web SRV; {M1}")), [Cause::Renewed]);
    world.advance(20_000);
    assert_eq!(world.ask("_http._tcp.web", "SRV").data().len(), 1);
}

#[test]
fn delete_then_add_of_another_address_is_a_change_and_not_a_leave() {
    let mut world = World::new();
    world.accept(M1);
    let causes = world.accept("delete m1.web A; add m1.web 30 A 10.0.0.9");
    assert_eq!(causes, [Cause::Changed]);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.9"]);
    assert_eq!(world.ask("_http._tcp.web", "SRV").message.additionals[0].data.to_string(), "10.0.0.9");
}

#[test]
fn an_address_that_heartbeats_no_longer_name_lapses_at_its_old_deadline() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1");
    world.advance(20_000);
    world.accept("add m1.web 30 A 10.0.0.2");
    assert_eq!(world.ask("web", "A").sorted(), ["10.0.0.1", "10.0.0.2"]);
    world.advance(8_000);
    assert_eq!(world.ask("web", "A").ttl_s(), 2, "what the old address has left");
    world.advance(2_000);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.2"]);
    world.advance(19_999);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.2"]);
    world.advance(1);
    assert!(world.ask("web", "A").is_nodata());
}

#[test]
fn a_message_renews_what_it_names_and_attributes_alone_renew_everything() {
    let mut world = World::new();
    world.accept(M1);
    world.advance(20_000);
    world.accept("add m1.web 30 A 10.0.0.1");
    world.advance(10_000);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"], "the address was named");
    assert!(world.ask("_http._tcp.web", "SRV").is_nodata(), "the SRV was not");
    world.accept(M1);
    for _ in 0..5 {
        world.advance(25_000);
        world.accept("add m1.web 30 TXT load=0.5");
    }
    assert_eq!(world.ask("_http._tcp.web", "SRV").data().len(), 1);
}

#[test]
fn attributes_alone_for_a_member_that_is_gone_are_refused() {
    let mut world = World::new();
    let reason = world.refuse("add m1.web 30 TXT load=0.5");
    assert!(reason.contains("m1 is not a member of web.pool.example.: register again"), "{reason}");
    world.accept(M1);
    // The lease is over although the server's tick has not come round: nobody may believe in it.
    world.advance_unswept(30_000);
    world.refuse("add m1.web 30 TXT load=0.5");
    assert_eq!(world.accept(M1), [Cause::Expired, Cause::Joined]);
}

#[test]
fn attributes_merge_and_a_bad_one_never_costs_a_live_member_its_place() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT weight=20 site=fra");
    world.accept("add m1.web 30 TXT weight=5");
    assert_eq!(world.ask("m1.web", "TXT").data(), ["site=fra weight=5"]);
    let updated = world.update("add m1.web 30 TXT weight=heavy zone=b");
    assert_eq!((updated.rcode, updated.ignored), (ResponseCode::NoError, 1));
    assert_eq!(world.ask("m1.web", "TXT").data(), ["site=fra weight=5 zone=b"]);
    let reason = world.refuse("add m2.web 30 A 10.0.0.2; add m2.web 30 TXT weight=heavy");
    assert!(reason.contains("weight must be a whole number"), "{reason}");
    assert!(world.ask("m2.web", "A").is_nxdomain());
    let serial = world.serial();
    world.accept("add m1.web 30 TXT load=0.9");
    assert_eq!(world.serial(), serial, "load is soft");
    world.accept("delete m1.web TXT site=fra");
    assert_eq!(world.ask("m1.web", "TXT").data(), ["weight=5 zone=b"]);
    world.accept("delete m1.web TXT");
    assert!(world.ask("m1.web", "TXT").is_nodata());
}

#[test]
fn a_srv_is_known_by_service_port_and_target() {
    let mut world = World::new();
    world.accept(M1);
    world.accept("add _http._tcp.web 30 SRV 1 99 8080 m1.web");
    assert_eq!(world.ask("_http._tcp.web", "SRV").data(), ["1 99 8080 m1.web.pool.example."]);
    world.accept("add _http._tcp.web 30 SRV 0 0 8081 m1.web; add _sip._udp.web 30 SRV 0 0 5060 m1.web");
    let srv = world.ask("_http._tcp.web", "SRV");
    assert_eq!((srv.data().len(), srv.message.additionals.len()), (2, 1), "one member, its address once");
    world.accept("delete _http._tcp.web SRV 7 7 8080 m1.web");
    assert_eq!(world.ask("_http._tcp.web", "SRV").data(), ["0 0 8081 m1.web.pool.example."]);
    assert_eq!(world.ask("_sip._udp.web", "SRV").data().len(), 1);
}

#[test]
fn a_srv_needs_a_member_with_an_address() {
    let mut world = World::new();
    let reason = world.refuse("add _http._tcp.web 30 SRV 0 0 80 m1.web");
    assert!(reason.contains("m1 of pool web.pool.example. has no address"), "{reason}");
    let reason = world.refuse("add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 0 80 m1.game");
    assert!(reason.contains("SRV target m1.game.pool.example. is not granted"), "{reason}");
    assert!(world.ask("web", "A").is_nodata(), "nothing of a refused message is done");
}

#[test]
fn the_short_form_joins_a_member_known_by_its_address() {
    let mut world = World::new();
    assert_eq!(world.accept("add web 30 A 10.0.0.7"), [Cause::Joined]);
    assert_eq!(world.accept("add web 30 A 10.0.0.7"), [Cause::Renewed]);
    assert_eq!(world.accept("add web 30 AAAA 2001:db8::7"), [Cause::Joined]);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.7"]);
    assert_eq!(world.ask("10-0-0-7.web", "A").data(), ["10.0.0.7"]);
    assert_eq!(world.ask("2001-db8-0-0-0-0-0-7.web", "AAAA").data(), ["2001:db8::7"]);
    assert_eq!(world.accept("delete web A 10.0.0.7"), [Cause::Deregistered]);
    assert!(world.ask("web", "A").is_nodata());
}

#[test]
fn only_the_owner_changes_a_member_and_shared_names_lose_only_the_senders_part() {
    let mut world = World::new();
    world.accept(M1);
    world.source = "127.0.0.2".parse().unwrap();
    world.accept("add m2.web 30 A 10.0.0.2; add _http._tcp.web 30 SRV 0 10 8080 m2.web");
    for theft in ["delete m1.web", "add m1.web 30 A 10.0.0.66", "delete _http._tcp.web SRV 0 10 8080 m1.web"]
    {
        let reason = world.refuse(theft);
        assert!(reason.contains("belongs to 127.0.0.1"), "{reason}");
    }
    assert_eq!(world.accept("delete _http._tcp.web SRV"), [Cause::Changed]);
    assert_eq!(world.ask("_http._tcp.web", "SRV").data(), ["0 10 8080 m1.web.pool.example."]);
    assert_eq!(world.accept("delete web A"), [Cause::Deregistered]);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
}

#[test]
fn addresses_outside_the_grant_are_refused_with_all_that_came_along() {
    let mut world = World::new();
    let reason = world.refuse("add m1.web 30 A 10.0.0.1; add m1.web 30 A 192.0.2.9");
    assert!(reason.contains("192.0.2.9"), "{reason}");
    assert!(world.ask("web", "A").is_nodata());
    world.source = "192.0.2.1".parse().unwrap();
    let reason = world.refuse(M1);
    assert!(reason.contains("192.0.2.1"), "{reason}");
}

#[test]
fn what_makes_nobody_a_member_is_refused() {
    let mut world = World::new();
    for script in [
        "add web 30 CNAME info",
        "add m1.web 30 CNAME info",
        "add all.web 30 A 10.0.0.1",
        "add x.m1.web 30 A 10.0.0.1",
        "add other 30 A 10.0.0.1",
        "add info 30 TXT hello",
        "add @ 30 NS ns",
        "delete ns",
        "add _http._tcp.web 30 TXT path=/",
    ] {
        world.refuse(script);
    }
    assert!(world.changes.is_empty());
}

#[test]
fn a_refused_message_takes_nobody_out_of_the_answers() {
    let mut world = World::with_limits(Limits { members: 2, pools: 3, records: 100 });
    world.accept("add m1.web 30 A 10.0.0.1");
    world.accept("add m2.game 30 A 10.0.0.2");
    let reason = world.refuse("delete m1.web; add m1.one 30 A 10.0.0.1; add m2.one 30 A 10.0.0.3");
    assert!(reason.contains("limit of 2 members"), "{reason}");
    world.accept("delete m2.game");
    world.accept("add m1.one 30 A 10.0.0.3");
    let reason = world.refuse("delete m1.one; add m1.two 30 A 10.0.0.1");
    assert!(reason.contains("limit of"), "{reason}");
    for _ in 0..9 {
        world.advance(20_000);
        world.accept("add m1.web 30 A 10.0.0.1");
        assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
        assert_eq!(world.ask("m1.web", "A").data(), ["10.0.0.1"]);
    }
}

#[test]
fn strangers_are_refused_before_anything_is_looked_at() {
    let mut world = World::new();
    world.source = "192.0.2.1".parse().unwrap();
    for script in ["", "add m1.web 30 A 10.0.0.1", "add host.example.org. 30 A 10.0.0.1", "delete web"] {
        let reason = world.refuse(script);
        assert!(reason.contains("192.0.2.1"), "{script}: {reason}");
    }
}

#[test]
fn records_are_tried_in_their_order() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1; add _s._tcp.web 30 SRV 0 0 1 m1.web; delete _s._tcp.web SRV");
    assert!(world.ask("_s._tcp.web", "SRV").data().is_empty(), "added and deleted again");
    world.accept("delete m1.web A 10.0.0.1; add m2.web 30 A 10.0.0.1; add web 30 A 10.0.0.1");
    assert!(world.ask("m1.web", "A").is_nxdomain());
    assert_eq!(
        world.ask("web", "A").data(),
        ["10.0.0.1"],
        "the short form found m2, who has the address now"
    );
    assert_eq!(
        world.accept("delete m2.web A 10.0.0.9"),
        [],
        "a deletion of what is not there touches nobody"
    );
}

#[test]
fn a_pool_offers_no_more_than_its_limit_of_services() {
    let mut world = World::new();
    let services = |m: usize, range: std::ops::Range<usize>| {
        let srv = range.map(|n| format!("add _s{n}._tcp.web 30 SRV 0 0 1 m{m}.web"));
        format!("add m{m}.web 30 A 10.0.0.{m}; {}", srv.collect::<Vec<_>>().join(";"))
    };
    world.accept(&services(1, 0..32));
    let reason = world.refuse(&format!("{}; {}", services(2, 32..64), services(3, 64..65)));
    assert!(reason.contains("may offer 64 services"), "{reason}");
    world.accept(&services(2, 32..64));
    world.refuse(&services(3, 64..65));
    world.accept("delete m1.web");
    world.accept(&services(3, 64..90));
    assert_eq!(world.ask("_s70._tcp.web", "SRV").data().len(), 1);
    assert_eq!(
        world.ask("note._tcp.web", "TXT").data(),
        ["static, below a pool"],
        "forgotten services take nothing along"
    );
}

#[test]
fn an_address_that_members_share_is_answered_once_and_deleted_for_all_of_the_senders() {
    let mut world = World::new();
    for m in 1..=3 {
        world.accept(&format!("add m{m}.dup 30 A 10.0.0.5; add _s._tcp.dup 30 SRV 0 0 {m} m{m}.dup"));
    }
    world.accept("add m4.dup 30 A 10.0.0.6");
    for name in ["dup", "all.dup"] {
        assert_eq!(world.ask(name, "A").sorted(), ["10.0.0.5", "10.0.0.6"], "{name}");
    }
    let srv = world.ask("_s._tcp.dup", "SRV");
    assert_eq!((srv.data().len(), srv.message.additionals.len()), (3, 3), "three names, an address each");
    world.accept("delete m1.dup");
    assert_eq!(world.ask("dup", "A").sorted(), ["10.0.0.5", "10.0.0.6"]);
    world.accept("delete dup A 10.0.0.5");
    assert_eq!(world.ask("dup", "A").data(), ["10.0.0.6"]);
    world.accept("delete dup");
    assert!(world.ask("dup", "A").is_nodata());
    world.refuse("add dup 30 A 10.0.0.7");
}

#[test]
fn names_and_addresses_that_make_no_member() {
    let mut world = World::new();
    for script in
        ["add *.web 30 A 10.0.0.1", "add all.web 30 A 10.0.0.1", "add m1.web 30 AAAA ::ffff:10.0.0.1"]
    {
        world.refuse(script);
    }
}

#[test]
fn the_short_form_deleted_and_added_is_a_heartbeat_of_whoever_had_the_address() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT weight=3");
    assert_eq!(world.accept("delete web A; add web 30 A 10.0.0.1"), [Cause::Renewed]);
    assert_eq!(world.ask("m1.web", "TXT").data(), ["weight=3"]);
}

#[test]
fn who_leaves_takes_its_services_off_the_count() {
    let mut world = World::new();
    let services = |m: usize, range: std::ops::Range<usize>| {
        let srv = range.map(|n| format!("add _s{n}._tcp.web 30 SRV 0 0 1 m{m}.web"));
        format!("add m{m}.web 30 A 10.0.0.{m}; {}", srv.collect::<Vec<_>>().join(";"))
    };
    world.accept(&services(1, 0..32));
    world.accept(&services(2, 32..64));
    world.accept(&format!("delete m1.web A; {}", services(3, 64..70)));
}

#[test]
fn a_pool_that_no_zone_has_any_more_does_not_come_back() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1");
    let member = of_member(&world.changes[0]).after.clone().unwrap();
    for (pool, comes_back) in [
        (&b"\x04pool\x07example\x00"[..], false),
        (b"\x01a\x01z\x04pool\x07example\x00", false),
        (b"\x02_z\x04pool\x07example\x00", false),
        (b"\x01z\x04pool\x07example\x00", true),
    ] {
        let registered = Registered {
            member: (*member).clone(),
            ends_ms: world.now_ms + 30_000,
            name_ends_ms: world.now_ms + 30_000,
            signed: None,
            said: Said::Nothing,
            renews: true,
            crowd: Crowd::default(),
            restored: true,
        };
        let back = (pool.into(), b"m1".as_slice().into(), registered);
        let restored = world.registrar.restore_all([back], 1, world.now_ms).unwrap();
        let expected = if comes_back { (1, 1, 0) } else { (0, 0, 1) };
        assert_eq!((restored.count, restored.told.len(), restored.left_count), expected, "{pool:?}");
        assert_eq!(restored.left.map(|(pool, _)| pool), (!comes_back).then(|| pool.into()));
    }
}

#[test]
fn a_permanent_member_is_answered_with_the_pools_ttl_however_long_it_is_there() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1");
    let change = of_member(&world.changes.pop().unwrap()).clone();
    let member =
        Member { lease_ms: LEASE_FOREVER_MS, own_ttl_s: 4, ..(**change.after.as_ref().unwrap()).clone() };
    let registered = Registered {
        member,
        ends_ms: FOREVER_MS,
        name_ends_ms: FOREVER_MS,
        signed: None,
        said: Said::Nothing,
        renews: true,
        crowd: Crowd::default(),
        restored: true,
    };
    let back = (change.pool, b"m2".as_slice().into(), registered);
    world.registrar.restore_all([back], 0, world.now_ms).unwrap();
    assert_eq!(world.ask("m2.web", "A").ttl_s(), 4);
    for _ in 0..5 {
        world.advance(365 * 86_400_000);
        assert_eq!(world.ask("all.web", "A").data(), ["10.0.0.1"], "m2 alone, at the address that m1 had");
        assert_eq!((world.ask("web", "A").ttl_s(), world.ask("m2.web", "A").ttl_s()), (5, 4));
    }
}

#[test]
fn one_message_cannot_keep_the_registrar_busy() {
    let mut world = World::new();
    for block in 0..20 {
        let members = (0..250).map(|n| format!("add m{block}x{n}.web 30 A 10.1.{block}.{n}"));
        world.update_with_lease(&members.collect::<Vec<_>>().join(";"), Some(&3_600_u32.to_be_bytes()));
    }
    world.source = "127.0.0.9".parse().unwrap();
    for deletion in ["delete web A", "delete web A 10.200.0.X"] {
        let records = (0..1_000).map(|n| deletion.replace('X', &(n % 250).to_string()));
        let reason = world.refuse(&records.collect::<Vec<_>>().join(";"));
        assert!(reason.contains("too many shared names"), "{reason}");
    }
    world.accept("delete web A; delete web AAAA; delete web A 10.200.0.1");
}

#[test]
fn the_first_registration_makes_a_pool_and_an_hour_after_the_last_it_is_forgotten() {
    let mut world = World::new();
    assert!(world.ask("chat", "A").is_nxdomain());
    world.accept("add m1.chat 30 A 10.0.0.1; add _xmpp._tcp.chat 30 SRV 0 0 5222 m1.chat");
    assert_eq!(world.ask("chat", "A").data(), ["10.0.0.1"]);
    assert_eq!(world.ask("_xmpp._tcp.chat", "SRV").data().len(), 1);
    world.advance(31_000);
    assert!(world.ask("chat", "A").is_nodata());
    assert!(world.ask("_xmpp._tcp.chat", "SRV").is_nodata());
    world.advance(3_599_000);
    assert!(world.ask("chat", "A").is_nodata());
    world.advance(120_000);
    assert!(world.ask("chat", "A").is_nxdomain());
    assert!(world.ask("_xmpp._tcp.chat", "SRV").is_nxdomain());
    assert!(world.ask("web", "A").is_nodata(), "a declared pool is never forgotten");
    world.refuse("add m1.info 30 A 10.0.0.1");
    // What lies deeper than a member is in no pool's way.
    world.accept("add m1.c 30 A 10.0.0.1");
    assert_eq!(world.ask("c", "A").data(), ["10.0.0.1"]);
    assert_eq!(world.ask("a.b.c", "A").data(), ["192.0.2.81"]);
    assert!(world.ask("b.c", "A").is_nodata() && world.ask("x.c", "A").is_nxdomain());
}
