//! The serial moves for what clients see, and for nothing else; and a zone has a name server, whatever ends.

use hickory_proto::op::ResponseCode;
use rollcall::zone::is_later;

use super::table::{assert_holds, soa_serial};
use super::world::{Setup, World};
use super::{accept_leased, setup, world};

/// A leased record of a zone below another is that zone's alone, also when the store gave it back: once renewed, its old end
/// is nobody's, and no tick moves a serial for it.
#[test]
fn a_record_of_a_zone_below_another_has_one_end() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(Setup { has_nested_zone: true, ..setup() }, state.path());
    let add = "zone lab; add host.lab 60 TXT v=1";
    accept_leased(&mut world, 30, add);
    let mut world = world.crash_and_restart(1_000);
    assert_eq!(world.ask("host.lab", "TXT").data(), ["v=1"]);
    world.advance(10_000);
    accept_leased(&mut world, 30, add);
    world.advance(21_000);
    let (serials, changes) = (world.registrar.serials(), world.changes.len());
    for _ in 0..5 {
        world.advance(50);
    }
    assert_eq!((world.registrar.serials(), world.changes.len()), (serials, changes));
    assert_holds(&mut world, "host.lab TXT v=1");
    world.advance(9_000);
    assert_eq!(
        (world.ask("host.lab", "TXT").rcode(), world.changes.len()),
        (ResponseCode::NXDomain, changes + 1)
    );
}

/// A record that ends before anybody has looked, while another of its RRset is renewed, moves the serial: the RRset that
/// clients see is not the one of before.
#[test]
fn a_record_that_ends_beside_a_renewal_moves_the_serial() {
    let mut world = world();
    accept_leased(&mut world, 10, "add host 60 TXT v=1");
    accept_leased(&mut world, 30, "add host 60 TXT v=2");
    let serial = soa_serial(&mut world);
    world.advance_unswept(10_001);
    accept_leased(&mut world, 30, "add host 60 TXT v=2");
    world.expire();
    assert_holds(&mut world, "host TXT v=2");
    assert_eq!(soa_serial(&mut world), serial + 1);
}

/// The apex keeps a last NS (RFC 2136 section 3.4.2.4) also where its lease is over, or given up with LEASE 0.
#[test]
fn no_lease_takes_the_last_ns_away() {
    let replace = "add @ 300 NS info; delete @ NS ns";
    let mut left = world();
    left.accept(replace);
    accept_leased(&mut left, 0, "add @ 300 NS info");
    assert_holds(&mut left, "@ NS info");

    let mut over = world();
    accept_leased(&mut over, 30, replace);
    over.advance(31_000);
    assert_holds(&mut over, "@ NS info");
    // With another beside it, it may go.
    over.accept("add @ 300 NS ns; delete @ NS info");
    assert_holds(&mut over, "@ NS ns");
}

/// UPDATE brought a serial by date; then the SOA in the file is edited, and wins. The serial goes on from where it was.
#[test]
fn an_edited_soa_does_not_take_the_serial_back() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(setup(), state.path());
    let soa = "SOA ns.pool.example. hostmaster.pool.example. 2026010100 3600 600 86400 60";
    world.accept(&format!("add @ 300 {soa}"));
    let before = soa_serial(&mut world);
    assert!(before >= 2_026_010_100);
    world.setup.zone_file = world.setup.zone_file.replace(" 7 3600 ", " 8 7200 ");
    let mut world = world.crash_and_restart(1_000);
    let after = soa_serial(&mut world);
    assert!(is_later(after, before), "from {before} to {after}");
    assert_holds(
        &mut world,
        &format!("@ SOA ns.pool.example. hostmaster.pool.example. {after} 7200 600 86400 2"),
    );
}
