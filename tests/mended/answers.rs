//! Answers that were not what the zone holds.

use super::world::{Setup, World, zone_file};
use super::{setup, world};

/// The file's TTL is also that of what an UPDATE adds with it: nobody else says it once the file's own records are deleted, or
/// gone from the file. An answer with TTL 0 would be asked for again by every client.
#[test]
fn an_added_record_keeps_its_ttl_without_the_files_beside_it() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(setup(), state.path());
    let ttl_s = world.ask("ns", "A").ttl_s();
    assert!(ttl_s > 0);
    world.accept(&format!("add ns {ttl_s} A 10.0.0.54; delete ns A 192.0.2.53"));
    let aaaa_ttl_s = world.ask("ns", "AAAA").ttl_s();
    world.accept(&format!("add ns {aaaa_ttl_s} AAAA 2001:db8::54"));
    let mut world = world.crash_and_restart(1_000);
    assert_eq!(
        (world.ask("ns", "A").data(), world.ask("ns", "A").ttl_s()),
        (vec!["10.0.0.54".into()], ttl_s)
    );

    let without: String =
        zone_file().lines().filter(|line| !line.contains("AAAA")).map(|line| format!("{line}\n")).collect();
    world.reload(Setup { zone_file: without, ..setup() });
    assert_eq!(world.ask("ns", "AAAA").data(), ["2001:db8::54"]);
    assert_eq!(world.ask("ns", "AAAA").ttl_s(), aaaa_ttl_s);
}

/// An instance is a name: what lies below it is not the wildcard's beside it (RFC 4592 section 3.3.1).
#[test]
fn no_wildcard_stands_for_what_is_below_an_instance() {
    let mut world = world();
    world.accept("add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 10 80 m1.web");
    world.accept("add *._http._tcp 60 TXT wild");
    assert_eq!(world.ask("other._http._tcp", "TXT").data(), ["wild"]);
    assert_eq!(world.ask("x.other._http._tcp", "TXT").data(), ["wild"]);
    assert_eq!(world.ask("web._http._tcp", "TXT").data(), [""]);
    for below in ["x.web._http._tcp", "y.x.web._http._tcp"] {
        assert!(world.ask(below, "TXT").is_nxdomain(), "{below}");
    }
    // With a name of the index below the instance, the closest encloser is in the index.
    world.accept("add a.web._http._tcp 60 TXT below");
    assert!(world.ask("x.web._http._tcp", "TXT").is_nxdomain());
    world.accept("add *.web._http._tcp 60 TXT closer");
    assert_eq!(world.ask("x.web._http._tcp", "TXT").data(), ["closer"]);
}
