//! Files that change while the server runs: the difference applies whole, and what UPDATE did, and members, go on.

mod policies;

use hickory_proto::op::ResponseCode;
use rollcall::policy::Policy;
use rollcall::wire::name_text;

use super::signing::signed;
use super::world::{Setup, World, every_name, key_grant, pool_settings, records_grant, zone_file};

const M1: &str = "add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 10 8080 m1.web";
const M2: &str = "add m2.web 30 A 10.0.0.2; add _http._tcp.web 30 SRV 0 10 8080 m2.web";

/// The default world, in which loopback may register everything.
fn setup() -> Setup {
    Setup { grants: vec![records_grant()], ..Setup::default() }
}

fn with_file(more: &str) -> Setup {
    Setup { zone_file: format!("{}{more}", zone_file()), ..setup() }
}

fn without(line: &str, more: &str) -> Setup {
    let kept: String =
        zone_file().lines().filter(|held| !held.starts_with(line)).map(|l| format!("{l}\n")).collect();
    Setup { zone_file: format!("{kept}{more}"), ..setup() }
}

#[test]
fn the_file_brings_its_difference_and_updates_keep_theirs() {
    let mut world = World::with(setup());
    world.accept("add host 60 TXT v=1; add info 60 MX 10 mail; delete ns AAAA");
    let serial = world.serial();
    let reloaded = world.reload(without("away", "new A 192.0.2.90\nnew.deep.down TXT x\n"));
    assert!(reloaded.changes.is_empty(), "the file overtook nothing");
    assert_eq!(world.serial(), serial + 1);
    assert_eq!(world.ask("new", "A").data(), ["192.0.2.90"]);
    assert!(world.ask("deep.down", "A").is_nodata());
    assert!(world.ask("away", "CNAME").is_nxdomain());
    assert_eq!(world.ask("host", "TXT").data(), ["v=1"]);
    assert_eq!((world.ask("info", "MX").data().len(), world.ask("info", "A").data().len()), (1, 1));
    assert!(world.ask("ns", "AAAA").is_nodata(), "what UPDATE deleted stays deleted");
    assert_eq!(world.ask("ns", "A").data(), ["192.0.2.53"]);
}

#[test]
fn where_the_two_cannot_both_be_the_file_wins_and_the_store_forgets() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(setup(), state.path());
    world.accept("add host 60 TXT v=1; add other 60 TXT v=2; add other 60 A 10.0.0.9");
    let reloaded = world.reload(with_file("host CNAME info\nother TXT v=2\n"));
    let names: Vec<_> = reloaded.changes.iter().map(|change| name_text(change.zone_name())).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(world.ask("host", "CNAME").data(), ["info.pool.example."]);
    assert_eq!((world.ask("other", "TXT").data().len(), world.ask("other", "A").data().len()), (1, 1));
    // What the file has now was never added, so it goes with the file.
    world.reload(setup());
    assert!(world.ask("host", "TXT").is_nxdomain());
    assert!(world.ask("other", "TXT").is_nodata());
    let mut world = world.crash_and_restart(1_000);
    assert!(world.ask("host", "TXT").is_nxdomain());
    assert_eq!(world.ask("other", "A").data(), ["10.0.0.9"]);
}

#[test]
fn the_serial_is_the_next_or_the_files_and_stays_where_nothing_differs() {
    let mut world = World::with(setup());
    assert_eq!(world.serial(), 7);
    assert!(world.reload(setup()).serials.is_empty());
    assert_eq!(world.serial(), 7);
    let dated = |serial: &str| {
        let file = zone_file().replace("hostmaster 7 ", &format!("hostmaster {serial} "));
        Setup { zone_file: file, ..setup() }
    };
    world.reload(dated("2026112301"));
    assert_eq!(world.serial(), 2_026_112_301);
    world.accept("add host 60 TXT v=1");
    world.reload(dated("2026112302"));
    assert_eq!(world.serial(), 2_026_112_303, "one more than was served");
    world.reload(dated("3"));
    assert_eq!(world.serial(), 2_026_112_304, "never back");
}

#[test]
fn members_do_not_notice() {
    let mut world = World::with(setup());
    world.accept(M1);
    world.accept(M2);
    world.accept("add m1.made 30 A 10.0.0.3");
    world.advance(20_000);
    let before = world.ask("web", "A").data();
    world.reload(with_file("new A 192.0.2.90\n"));
    let after = world.ask("web", "A").data();
    assert_eq!([before[1].clone(), before[0].clone()], after[..], "the next in turn comes first");
    assert_eq!(world.ask("web", "A").ttl_s(), 5);
    assert_eq!(world.ask("_http._tcp.web", "SRV").data().len(), 2);
    assert_eq!(world.ask("m1.web", "A").data(), ["10.0.0.1"]);
    assert_eq!(world.ask("made", "A").data(), ["10.0.0.3"]);
    world.accept(M2);
    // A lease that began before the reload ends when it would have.
    world.advance(9_000);
    assert_eq!((world.ask("web", "A").data().len(), world.ask("web", "A").ttl_s()), (2, 1));
    world.advance(1_000);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.2"]);
    assert!(world.ask("made", "A").is_nodata(), "a known pool with nobody in it");
    world.reload(setup());
    assert!(world.ask("made", "A").is_nodata(), "still known");
    world.accept("add m1.made 30 A 10.0.0.3");
    assert_eq!(world.ask("made", "A").data(), ["10.0.0.3"]);
}

#[test]
fn a_pools_settings_change_under_its_members() {
    let mut world = World::with(setup());
    world.accept(M1);
    world.accept(M2);
    let mut shorter = pool_settings(Policy::RoundRobin);
    shorter.ttl_s = 2;
    world.reload(Setup { pools: vec![("web", shorter)], ..setup() });
    assert_eq!((world.ask("web", "A").ttl_s(), world.ask("web", "A").data().len()), (2, 2));
    assert_eq!(world.ask("_http._tcp.web", "SRV").ttl_s(), 2);
    let other = Setup { pools: vec![("web", pool_settings(Policy::WeightedRandom))], ..setup() };
    world.reload(other);
    assert_eq!((world.ask("web", "A").data().len(), world.ask("web", "A").ttl_s()), (1, 5), "one is picked");
}

#[test]
fn a_pool_that_is_declared_no_more_is_one_that_registrations_made() {
    let mut world = World::with(setup());
    world.accept(M1);
    let undeclared = Setup { pools: Vec::new(), ..setup() };
    assert!(world.reload(undeclared).stranded.is_empty());
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
    assert!(world.ask("game", "A").is_nxdomain(), "nobody ever was in it");
}

#[test]
fn members_of_a_pool_that_is_gone_wait_for_it_until_their_leases_are_over() {
    let mut world = World::with(setup());
    world.accept(M1);
    let without = || Setup { pools: Vec::new(), create_pools: false, ..setup() };
    let stranded = world.reload(without()).stranded;
    assert_eq!(
        (stranded.len(), stranded[0].1, name_text(&stranded[0].0)),
        (1, 1, "web.pool.example.".into())
    );
    assert!(world.ask("m1.web", "A").is_nxdomain() && world.ask("_http._tcp.web", "SRV").is_nxdomain());
    assert!(world.ask("web", "A").is_nodata(), "the file has a name below it");
    world.advance(20_000);
    world.reload(setup());
    assert_eq!(
        (world.ask("web", "A").data(), world.ask("web", "A").ttl_s()),
        (vec!["10.0.0.1".to_owned()], 5)
    );
    assert_eq!(world.ask("_http._tcp.web", "SRV").data().len(), 1);
    world.reload(without());
    world.advance(20_000);
    world.reload(setup());
    assert!(world.ask("web", "A").is_nodata());
}

#[test]
fn a_pool_that_comes_takes_its_names_from_ordinary_records() {
    let state = tempfile::tempdir().unwrap();
    let before = Setup { pools: Vec::new(), create_pools: false, ..setup() };
    let mut world = World::stored(before.clone(), state.path());
    world
        .accept("add m1.web 60 A 10.0.0.7; add m1.web 60 SSHFP 1 1 aabbccddeeff00112233445566778899aabbccdd");
    assert_eq!(world.reload(setup()).changes.len(), 1);
    assert!(world.ask("m1.web", "A").is_nodata());
    assert_eq!(world.ask("m1.web", "SSHFP").data().len(), 1, "what the pool does not need stays");
    world.accept(M1);
    assert_eq!(world.ask("m1.web", "A").data(), ["10.0.0.1"]);
    let mut world = world.crash_and_restart(1_000);
    assert_eq!(world.ask("m1.web", "A").data(), ["10.0.0.1"]);
    world.reload(before);
    assert!(world.ask("m1.web", "A").is_nodata(), "the address that UPDATE added is forgotten");
}

#[test]
fn a_zone_that_is_gone_is_refused_and_comes_back_as_it_was() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(setup(), state.path());
    world.accept(M1);
    world.accept("add host 60 TXT v=1");
    let serial = world.serial();
    let reloaded = world.unload();
    assert_eq!((reloaded.stranded.len(), reloaded.retired.len()), (1, 1));
    assert_eq!(world.ask("web", "A").rcode(), ResponseCode::Refused);
    assert_eq!(world.update(M1).rcode, ResponseCode::NotAuth);
    world.reload(setup());
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
    assert_eq!(world.ask("host", "TXT").data(), ["v=1"]);
    assert!(world.serial() >= serial, "never back");
    world.unload();
    let mut world = world.crash_and_restart(1_000);
    assert_eq!((world.ask("web", "A").data().len(), world.ask("host", "TXT").data().len()), (1, 1));
    assert!(world.serial() >= serial);
}

#[test]
fn names_change_hands_when_a_zone_comes_or_goes_below_another() {
    let setup = || Setup { create_pools: false, ..setup() };
    let mut world = World::with(setup());
    world.accept("add x.lab 60 TXT v=1; add host 60 TXT v=2");
    let nested = || Setup { has_nested_zone: true, ..setup() };
    world.reload(nested());
    assert_eq!(world.ask("bench.lab", "TXT").data(), ["lab"]);
    assert_eq!(world.ask("x.lab", "TXT").data(), ["v=1"], "the inner zone has it now");
    world
        .accept("zone lab.pool.example.; delete x.lab.pool.example. TXT; add y.lab.pool.example. 60 TXT v=3");
    assert!(world.ask("x.lab", "TXT").rcode() == ResponseCode::NXDomain);
    assert_eq!(world.ask("host", "TXT").data(), ["v=2"]);
    world.reload(setup());
    assert!(world.ask("bench.lab", "TXT").is_nxdomain());
    assert_eq!(world.ask("y.lab", "TXT").data(), ["v=3"]);
    assert_eq!(world.ask("host", "TXT").data(), ["v=2"]);
}

#[test]
fn grants_and_keys_change_without_the_zone() {
    let keyed = |key| Setup { keys: vec![key], grants: vec![every_name(key_grant(key))], ..Setup::default() };
    let mut world = World::with(keyed("fleet."));
    signed("fleet.", world.wall_s(), M1).accepted_by(&mut world);
    let serial = world.serial();
    let reloaded = world.reload(keyed("other."));
    assert!(reloaded.serials.is_empty() && reloaded.retired.is_empty());
    assert_eq!(world.serial(), serial);
    let unknown = signed("fleet.", world.wall_s(), M2);
    assert_eq!(world.send(&unknown.octets).rcode, ResponseCode::NotAuth, "BADKEY");
    signed("other.", world.wall_s(), M2).accepted_by(&mut world);
    assert_eq!(world.ask("web", "A").data().len(), 2);
}

#[test]
fn leases_of_ordinary_records_go_on() {
    let mut world = World::with(setup());
    let lease: [u8; 4] = 20_u32.to_be_bytes();
    assert_eq!(world.update_with_lease("add host 60 TXT v=1", Some(&lease)).rcode, ResponseCode::NoError);
    world.advance(15_000);
    world.reload(with_file("new A 192.0.2.90\n"));
    assert_eq!((world.ask("host", "TXT").data().len(), world.ask("host", "TXT").ttl_s()), (1, 5));
    world.advance(5_000);
    assert!(world.ask("host", "TXT").is_nxdomain());
    assert!(world.changes.iter().any(|change| name_text(change.zone_name()) == "host.pool.example."));
}

#[test]
fn a_soa_that_came_by_update_stays_until_the_file_has_another() {
    let mut world = World::with(setup());
    world.accept("add @ 60 SOA ns admin 50 1 2 3 4");
    world.reload(with_file("new A 192.0.2.90\n"));
    let soa = world.ask("@", "SOA").data();
    assert!(soa[0].contains("admin.") && world.serial() == 51, "{soa:?}");
    let file = zone_file().replace("hostmaster 7 3600 600", "boss 7 3600 600");
    let reloaded = world.reload(Setup { zone_file: file, ..setup() });
    let soa = world.ask("@", "SOA").data();
    assert!(soa[0].contains("boss.") && world.serial() == 52, "{soa:?}");
    assert_eq!(reloaded.changes.len(), 1);
}
