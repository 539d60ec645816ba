//! Browsing (RFC 6763): what somebody finds who knows only the zone.

use std::collections::BTreeSet;

use hickory_proto::op::ResponseCode;
use rollcall::policy::{Policy, Shown};
use rollcall::query::Transport;
use rollcall::update::Limits;

use super::world::{Setup, World, every_name, loopback_grant, pool_settings};

/// Everything may be registered, unsigned from loopback.
fn world() -> World {
    with(Setup::default())
}

fn with(setup: Setup) -> World {
    World::with(Setup { grants: vec![every_name(loopback_grant())], ..setup })
}

/// A member, with its services.
fn join(world: &mut World, pool: &str, member: &str, ip: &str, services: &[(&str, u16)]) {
    let offers = services
        .iter()
        .map(|(service, port)| format!("add {service}.{pool} 30 SRV 0 1 {port} {member}.{pool}\n"))
        .collect::<String>();
    world.accept(&format!("add {member}.{pool} 30 A {ip}\n{offers}"));
}

fn instances(world: &mut World, rtype: &str) -> Vec<String> {
    let answer = world.ask(rtype, "PTR");
    assert_eq!(answer.rcode(), ResponseCode::NoError);
    answer.data().iter().map(|name| name.trim_end_matches(".pool.example.").to_owned()).collect()
}

fn types(world: &mut World) -> Vec<String> {
    instances(world, "_services._dns-sd._udp")
}

#[test]
fn somebody_who_knows_the_zone_finds_types_instances_and_hosts() {
    let mut world = world();
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 8080)]);
    join(&mut world, "web", "m2", "10.0.0.2", &[("_http._tcp", 8081), ("_ipp._udp", 631)]);
    join(&mut world, "shop", "m1", "10.0.0.3", &[("_http._tcp", 80)]);
    assert_eq!(types(&mut world), ["_http._tcp", "_ipp._udp"]);
    assert_eq!(instances(&mut world, "_http._tcp"), ["shop._http._tcp", "web._http._tcp"]);
    assert_eq!(instances(&mut world, "_ipp._udp"), ["web._ipp._udp"]);

    let (instance, service) = (world.ask("web._http._tcp", "SRV"), world.ask("_http._tcp.web", "SRV"));
    assert_eq!(instance.sorted(), service.sorted());
    assert_eq!(instance.sorted(), ["0 1 8080 m1.web.pool.example.", "0 1 8081 m2.web.pool.example."]);
    assert_eq!(instance.ttl_s(), 5);
    let addresses = |message: &hickory_proto::op::Message| -> BTreeSet<String> {
        message.additionals.iter().map(ToString::to_string).collect()
    };
    assert_eq!(addresses(&instance.message).len(), 2);
    assert_eq!(addresses(&instance.message), addresses(&service.message));
    let text = world.ask("web._http._tcp", "TXT");
    assert_eq!((text.data(), text.ttl_s()), (vec![String::new()], 5), "one empty string");
    // The empty string is there, and is no empty rdata (RFC 6763 section 6.1).
    assert!(text.octets.ends_with(&[0, 1, 0]));
}

#[test]
fn names_between_are_empty_and_others_are_not_there() {
    let mut world = world();
    for name in ["_tcp", "_http._tcp", "_services._dns-sd._udp", "_udp"] {
        assert!(world.ask(name, "PTR").is_nxdomain(), "{name}");
    }
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    for name in ["_tcp", "_udp", "_dns-sd._udp"] {
        assert!(world.ask(name, "PTR").is_nodata() && world.ask(name, "A").is_nodata(), "{name}");
    }
    for name in ["_http._tcp", "web._http._tcp", "_services._dns-sd._udp"] {
        assert!(world.ask(name, "A").is_nodata(), "{name}");
    }
    for name in ["game._http._tcp", "x.web._http._tcp", "_x._tcp", "x._services._dns-sd._udp"] {
        assert!(world.ask(name, "SRV").is_nxdomain(), "{name}");
    }
    assert_eq!(world.ask("_http._tcp", "ANY").data(), ["web._http._tcp.pool.example."]);
    assert_eq!(world.ask("web._http._tcp", "ANY").data(), ["0 1 80 m1.web.pool.example."]);
}

#[test]
fn an_offer_ends_with_its_last_lease_whether_it_was_swept_or_not() {
    let mut world = world();
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80), ("_ipp._tcp", 631)]);
    world.advance(10_000);
    join(&mut world, "shop", "m1", "10.0.0.2", &[("_http._tcp", 80)]);
    world.advance_unswept(17_000);
    let listed = world.ask("_http._tcp", "PTR");
    assert_eq!((listed.data().len(), listed.ttl_s()), (2, 3), "no longer than the first of them");
    assert_eq!(world.ask("_services._dns-sd._udp", "PTR").ttl_s(), 3);
    assert_eq!(world.ask("web._http._tcp", "TXT").ttl_s(), 3);
    world.advance_unswept(3_000);
    assert_eq!(instances(&mut world, "_http._tcp"), ["shop._http._tcp"]);
    assert!(world.ask("_ipp._tcp", "PTR").is_nodata());
    assert_eq!(types(&mut world), ["_http._tcp"]);
    assert!(world.ask("web._http._tcp", "TXT").is_nodata() && world.ask("web._http._tcp", "SRV").is_nodata());
    world.expire();
    assert_eq!(
        (instances(&mut world, "_http._tcp"), types(&mut world)),
        (vec!["shop._http._tcp".to_owned()], vec!["_http._tcp".to_owned()])
    );
    world.advance(10_000);
    assert!(world.ask("_http._tcp", "PTR").is_nodata(), "the zone remembers the service");
    assert!(world.ask("_services._dns-sd._udp", "PTR").is_nodata());
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    assert_eq!(instances(&mut world, "_http._tcp"), ["web._http._tcp"]);
}

#[test]
fn a_pool_of_whom_nobody_takes_part_is_not_listed() {
    let mut world = world();
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    world.accept("add m1.web 30 A 10.0.0.1\nadd m1.web 30 TXT weight=0");
    assert_eq!(world.ask("_http._tcp.web", "SRV").data().len(), 1, "the last resort of who asks for it");
    assert!(world.ask("_http._tcp", "PTR").is_nodata());
    world.accept("add m1.web 30 A 10.0.0.1\nadd m1.web 30 TXT weight=7");
    assert_eq!(instances(&mut world, "_http._tcp"), ["web._http._tcp"]);
}

#[test]
fn names_go_when_a_pool_is_forgotten() {
    let mut world = with(Setup { pools: Vec::new(), ..Setup::default() });
    join(&mut world, "shop", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    join(&mut world, "bank", "m1", "10.0.0.2", &[("_http._tcp", 80), ("_ipp._tcp", 631)]);
    world.accept("add shop._http._tcp 60 TXT note=kept");
    world.accept("delete m1.bank");
    world.accept("delete m1.shop");
    assert!(world.ask("bank._http._tcp", "SRV").is_nodata());
    world.advance(3_700_000);
    assert!(world.ask("bank._http._tcp", "SRV").is_nxdomain());
    assert!(world.ask("_ipp._tcp", "PTR").is_nxdomain());
    assert!(world.ask("_udp", "PTR").is_nxdomain());
    assert!(world.ask("_http._tcp", "PTR").is_nodata(), "a record is below it");
    assert_eq!(world.ask("shop._http._tcp", "TXT").data(), ["note=kept"]);
    world.accept("delete shop._http._tcp TXT");
    assert!(world.ask("_tcp", "PTR").is_nxdomain());
    join(&mut world, "shop", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    assert_eq!(instances(&mut world, "_http._tcp"), ["shop._http._tcp"]);
}

#[test]
fn a_pool_of_several_labels_is_one_label_unless_it_is_too_long() {
    let long: &'static str = Box::leak(format!("{}.{}", "a".repeat(40), "b".repeat(40)).into());
    let pools = ["a.b", long].map(|pool| (pool, pool_settings(Policy::RoundRobin)));
    let mut world = with(Setup { pools: pools.to_vec(), ..Setup::default() });
    for pool in ["a.b", long] {
        join(&mut world, pool, "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    }
    assert_eq!(instances(&mut world, "_http._tcp"), [r"a\.b._http._tcp"]);
    assert_eq!(world.ask(r"a\.b._http._tcp", "SRV").data(), ["0 1 80 m1.a.b.pool.example."]);
    assert!(world.ask("a.b._http._tcp", "SRV").is_nxdomain());
}

#[test]
fn registered_ptrs_join_the_set_and_are_there_once() {
    let mut world = world();
    world.accept("add _http._tcp 60 PTR printer.example.org.\nadd _services._dns-sd._udp 60 PTR _ssh._tcp");
    assert_eq!(world.ask("_http._tcp", "PTR").data(), ["printer.example.org."]);
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    let set = world.ask("_http._tcp", "PTR");
    assert_eq!((set.data().len(), set.ttl_s()), (2, 5));
    assert_eq!(types(&mut world), ["_ssh._tcp", "_http._tcp"]);
    world.accept("add _http._tcp 60 PTR Web._http._tcp\nadd _services._dns-sd._udp 60 PTR _http._tcp");
    assert_eq!(instances(&mut world, "_http._tcp"), ["printer.example.org.", "web._http._tcp"]);
    assert_eq!(types(&mut world), ["_ssh._tcp", "_http._tcp"]);
    // What was registered stays when what was made goes.
    world.accept("delete m1.web");
    assert_eq!(instances(&mut world, "_http._tcp"), ["printer.example.org.", "web._http._tcp"]);
    world.accept("delete _http._tcp PTR");
    assert!(world.ask("_http._tcp", "PTR").is_nodata());
}

#[test]
fn what_is_made_is_there_for_prerequisites_and_cannot_be_deleted() {
    let mut world = world();
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    let serial = world.serial();
    for prerequisite in [
        "yxrrset _http._tcp PTR",
        "yxrrset _http._tcp PTR web._http._tcp",
        "yxrrset _services._dns-sd._udp PTR _http._tcp",
        "yxrrset web._http._tcp SRV 0 1 80 m1.web",
        "yxrrset web._http._tcp TXT",
        "yxdomain _http._tcp",
        "yxdomain web._http._tcp",
        "nxrrset web._http._tcp A",
        "nxdomain _tcp",
        "nxdomain game._http._tcp",
    ] {
        world.accept(&format!("prereq {prerequisite}\ndelete nobody"));
    }
    let denied = [
        ("nxdomain web._http._tcp", ResponseCode::YXDomain),
        ("nxrrset _http._tcp PTR", ResponseCode::YXRRSet),
    ];
    for (prerequisite, rcode) in denied {
        assert_eq!(world.update(&format!("prereq {prerequisite}\ndelete nobody")).rcode, rcode);
    }
    for deletion in [
        "_http._tcp PTR web._http._tcp",
        "_http._tcp PTR",
        "_http._tcp",
        "web._http._tcp",
        "_services._dns-sd._udp",
    ] {
        assert!(world.accept(&format!("delete {deletion}")).is_empty());
    }
    assert_eq!(
        (instances(&mut world, "_http._tcp"), types(&mut world)),
        (vec!["web._http._tcp".to_owned()], vec!["_http._tcp".to_owned()])
    );
    assert_eq!(world.serial(), serial);
}

#[test]
fn ordinary_records_stand_beside_what_is_made_and_an_alias_in_its_place() {
    let mut world = world();
    world.accept("add web._http._tcp 60 TXT path=/before\nadd _http._tcp 60 TXT note");
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    join(&mut world, "shop", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    assert_eq!(world.ask("web._http._tcp", "TXT").data(), ["path=/before"]);
    assert_eq!(world.ask("web._http._tcp", "SRV").data(), ["0 1 80 m1.web.pool.example."]);
    assert_eq!(world.ask("_http._tcp", "TXT").data(), ["note"]);
    world.accept("add shop._http._tcp 60 TXT path=/after\nadd x.shop._http._tcp 60 TXT deeper");
    assert_eq!(world.ask("shop._http._tcp", "TXT").data(), ["path=/after"]);
    assert_eq!(world.ask("x.shop._http._tcp", "TXT").data(), ["deeper"]);
    assert!(world.ask("x.shop._http._tcp", "SRV").is_nodata());
    world.accept("delete shop._http._tcp TXT");
    assert_eq!(world.ask("shop._http._tcp", "TXT").data(), [""]);
    assert_eq!(world.ask("shop._http._tcp", "SRV").data(), ["0 1 80 m1.shop.pool.example."]);
    // SRV of an operator's own.
    world.accept("add shop._http._tcp 60 SRV 0 0 443 www");
    assert_eq!(world.ask("shop._http._tcp", "SRV").data(), ["0 0 443 www.pool.example."]);
    world.accept("prereq yxrrset shop._http._tcp SRV 0 0 443 www\ndelete nobody");
    // An alias.
    world.accept("delete web._http._tcp\nadd web._http._tcp 60 CNAME info");
    assert_eq!(world.ask("web._http._tcp", "TXT").data()[0], "info.pool.example.");
    assert_eq!(world.ask("web._http._tcp", "SRV").data(), ["info.pool.example."]);
    world.accept("delete _http._tcp\nadd _http._tcp 60 CNAME info");
    assert_eq!(world.ask("_http._tcp", "PTR").data(), ["info.pool.example."]);
    world.accept("delete _http._tcp CNAME");
    assert_eq!(instances(&mut world, "_http._tcp"), ["shop._http._tcp", "web._http._tcp"]);
}

#[test]
fn records_of_the_zone_file_take_part() {
    let zone_file = super::world::zone_file()
        + "_http._tcp PTR web._http._tcp\n_http._tcp PTR old\nweb._http._tcp TXT path=/x\n_services._dns-sd._udp PTR _ssh._tcp\n";
    let mut world = with(Setup { zone_file, ..Setup::default() });
    assert_eq!(instances(&mut world, "_http._tcp"), ["web._http._tcp", "old"]);
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    assert_eq!(instances(&mut world, "_http._tcp"), ["old", "web._http._tcp"]);
    assert_eq!(world.ask("web._http._tcp", "TXT").data(), ["path=/x"]);
    assert_eq!(world.ask("web._http._tcp", "SRV").data(), ["0 1 80 m1.web.pool.example."]);
    assert_eq!(types(&mut world), ["_ssh._tcp", "_http._tcp"]);
}

#[test]
fn listings_come_back_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let grants = vec![every_name(loopback_grant())];
    let mut world = World::stored(Setup { grants, ..Setup::default() }, state.path());
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    world.accept("add shop._http._tcp 60 TXT path=/x");
    join(&mut world, "shop", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    let mut world = world.crash_and_restart(1_000);
    assert_eq!(instances(&mut world, "_http._tcp"), ["shop._http._tcp", "web._http._tcp"]);
    assert_eq!(world.ask("shop._http._tcp", "TXT").data(), ["path=/x"]);
    assert_eq!(world.ask("shop._http._tcp", "SRV").data(), ["0 1 80 m1.shop.pool.example."]);
}

#[test]
fn names_are_spelt_as_they_are_however_the_question_is_spelt() {
    let mut world = world();
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    for (question, is_compressed) in [("_http._tcp", true), ("_HTTP._tcp", false)] {
        let answer = world.ask(question, "PTR");
        assert_eq!(answer.data(), ["web._http._tcp.pool.example."]);
        let whole = b"\x03web\x05_http\x04_tcp\x04pool\x07example\x00";
        assert_eq!(answer.octets.ends_with(b"\x03web\xc0\x0c"), is_compressed);
        assert_eq!(answer.octets.ends_with(whole), !is_compressed);
    }
    world.accept("add browse 60 CNAME _http._tcp");
    assert_eq!(
        world.ask("browse", "PTR").data(),
        ["_http._tcp.pool.example.", "web._http._tcp.pool.example."]
    );
}

#[test]
fn thousands_of_pools_are_cut_over_udp_and_come_whole_over_tcp_up_to_64_kb() {
    let limits = Limits { members: 100_000, pools: 100_000, records: 10_000 };
    let mut world = with(Setup { limits, ..Setup::default() });
    let pools = 5_000;
    for number in 0..pools {
        join(&mut world, &format!("p{number:05}"), "m", "10.0.0.1", &[("_http._tcp", 80)]);
        if number == 29 {
            let small = world.ask_over(Transport::Udp, "_http._tcp", "PTR", Some(1232));
            assert!(!small.message.metadata.truncation && small.data().len() == 30);
        }
        if number == 999 {
            let whole = world.ask("_http._tcp", "PTR");
            assert_eq!(whole.sorted(), whole.data(), "in order");
            assert_eq!(whole.data().len(), 1_000);
        }
    }
    let cut = world.ask_over(Transport::Udp, "_http._tcp", "PTR", Some(1232));
    assert!(cut.message.metadata.truncation);
    let (one, other) = (world.ask("_http._tcp", "PTR"), world.ask("_http._tcp", "PTR"));
    assert_eq!(one.data(), other.data());
    let distinct: BTreeSet<_> = one.data().into_iter().collect();
    assert_eq!(distinct.len(), one.data().len());
    assert!(
        one.octets.len() > 65_000 && distinct.len() > 3_000,
        "{} of {}",
        distinct.len(),
        one.octets.len()
    );
    assert_eq!(world.ask("p04999._http._tcp", "SRV").data(), ["0 1 80 m.p04999.pool.example."]);
    assert_eq!(types(&mut world), ["_http._tcp"]);
}

#[test]
fn a_type_is_listed_for_no_time_while_nobody_knows_who_is_left() {
    let limits = Limits { members: 1_000, pools: 1_000, records: 1_000 };
    let mut world = with(Setup { limits, ..Setup::default() });
    for number in 0..300 {
        join(&mut world, &format!("a{number:03}"), "m", "10.0.0.1", &[("_http._tcp", 80)]);
    }
    world.advance(20_000);
    join(&mut world, "z", "m", "10.0.0.1", &[("_http._tcp", 80)]);
    world.advance_unswept(10_000);
    let listed = world.ask("_services._dns-sd._udp", "PTR");
    assert_eq!((listed.data().len(), listed.ttl_s()), (1, 0));
    assert_eq!(instances(&mut world, "_http._tcp"), ["z._http._tcp"]);
    world.expire();
    assert_eq!(world.ask("_services._dns-sd._udp", "PTR").ttl_s(), 5);
}

#[test]
fn an_instance_shows_what_its_service_shows() {
    let two = Shown::AtMost(2.try_into().unwrap());
    let settings =
        rollcall::zone::PoolSettings { services: two, ttl_s: 3, ..pool_settings(Policy::WeightedRandom) };
    let mut world = with(Setup { pools: vec![("web", settings)], ..Setup::default() });
    for number in 1..=5 {
        join(&mut world, "web", &format!("m{number}"), &format!("10.0.0.{number}"), &[("_http._tcp", 80)]);
    }
    let answer = world.ask("web._http._tcp", "SRV");
    assert_eq!((answer.data().len(), answer.ttl_s()), (2, 3));
    assert_eq!(world.ask("_http._tcp", "PTR").ttl_s(), 3);
    assert_eq!(world.ask("all.web._http._tcp", "SRV").rcode(), ResponseCode::NXDomain);
}

#[test]
fn listings_go_on_through_a_reload() {
    let grants = vec![every_name(loopback_grant())];
    let setup = Setup { grants, ..Setup::default() };
    let mut world = World::with(setup.clone());
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80), ("_ipp._tcp", 631)]);
    join(&mut world, "shop", "m1", "10.0.0.2", &[("_http._tcp", 80)]);
    join(&mut world, "bank", "m1", "10.0.0.3", &[("_ftp._tcp", 21)]);
    world.accept("add shop._http._tcp 60 TXT path=/x\nadd _http._tcp 60 PTR old\ndelete m1.bank");
    let zone_file = super::world::zone_file() + "web._http._tcp TXT path=/y\n";
    let pools = vec![("web", pool_settings(Policy::RoundRobin))];
    world.reload(Setup { zone_file, pools, ..setup });
    assert_eq!(instances(&mut world, "_http._tcp"), ["old", "shop._http._tcp", "web._http._tcp"]);
    assert_eq!(types(&mut world), ["_http._tcp", "_ipp._tcp"]);
    assert_eq!(world.ask("shop._http._tcp", "TXT").data(), ["path=/x"]);
    assert_eq!(world.ask("web._http._tcp", "TXT").data(), ["path=/y"]);
    assert_eq!(world.ask("web._http._tcp", "SRV").data(), ["0 1 80 m1.web.pool.example."]);
    for name in ["_ftp._tcp", "bank._ftp._tcp"] {
        assert!(world.ask(name, "PTR").is_nodata(), "{name}: remembered");
    }
    world.accept("delete m1.web\ndelete m1.shop");
    assert_eq!(instances(&mut world, "_http._tcp"), ["old"]);
    assert!(world.ask("_services._dns-sd._udp", "PTR").is_nodata());
    join(&mut world, "web", "m1", "10.0.0.1", &[("_http._tcp", 80)]);
    assert_eq!(instances(&mut world, "_http._tcp"), ["old", "web._http._tcp"]);
}
