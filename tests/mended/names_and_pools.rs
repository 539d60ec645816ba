//! What is a name, what is a pool, and what becomes of one when the other goes.

use super::table::assert_holds;
use super::{accept_leased, forget_pools, world};

const JOIN: &str = "add m1.lab 30 A 10.0.0.1; add _http._tcp.lab 30 SRV 0 0 80 m1.lab";

/// A name whose last ordinary record was deleted while a pool stood there is no name any more when the pool is forgotten.
#[test]
fn a_name_that_was_a_pools_and_nothing_else_goes_with_the_pool() {
    let mut world = world();
    world.accept("add lab 60 TXT v=1");
    world.accept(JOIN);
    world.accept("delete lab TXT");
    forget_pools(&mut world);
    assert_holds(&mut world, "lab TXT NXDOMAIN; _http._tcp.lab SRV NXDOMAIN");
}

/// A service's name with a record below it exists (RFC 8020), also when its pool is forgotten.
#[test]
fn a_name_with_records_below_it_outlives_its_pool() {
    let mut world = world();
    world.accept(JOIN);
    world.accept("add x._http._tcp.lab 60 TXT v=1");
    forget_pools(&mut world);
    assert_holds(&mut world, "x._http._tcp.lab TXT v=1; _tcp.lab A NODATA; _http._tcp.lab A NODATA");
    world.accept("delete x._http._tcp.lab");
    assert_holds(&mut world, "_http._tcp.lab A NXDOMAIN; lab A NXDOMAIN");
}

/// The same where a service that nobody offers gives way: a pool remembers 64.
#[test]
fn a_name_with_records_below_it_outlives_its_service() {
    let mut world = world();
    world.accept("add m1.web 30 A 10.0.0.1; add _old._tcp.web 30 SRV 0 0 80 m1.web");
    world.accept("add x._old._tcp.web 60 TXT v=1");
    world.accept("delete _old._tcp.web SRV");
    for (member, services) in [21, 21, 22].into_iter().enumerate() {
        let mut script = format!("add n{member}.web 30 A 10.0.1.{member}");
        for service in 0..services {
            script += &format!("; add _s{member}-{service}._tcp.web 30 SRV 0 0 80 n{member}.web");
        }
        world.accept(&script);
    }
    assert_holds(
        &mut world,
        "x._old._tcp.web TXT v=1; _old._tcp.web A NODATA; _s2-21._tcp.web SRV 0 0 80 n2.web",
    );
}

/// Attributes alone, for a pool that was forgotten meanwhile, are no ordinary record that nothing would ever end and that
/// would keep the pool from coming back: their sender is told to register again.
#[test]
fn attributes_for_a_forgotten_pool_are_refused_and_in_nobodys_way() {
    let mut world = world();
    world.accept(JOIN);
    forget_pools(&mut world);
    let reason = world.refuse("add m1.lab 30 TXT load=0.5");
    assert!(reason.contains("register again"), "{reason}");
    assert_holds(&mut world, "lab A NXDOMAIN; m1.lab TXT NXDOMAIN");
    world.accept(JOIN);
    assert_holds(&mut world, "lab A 10.0.0.1; _http._tcp.lab SRV 0 0 80 m1.lab");
}

/// A record at a pool's name to be keeps members away until its lease is over, and no longer, whether or not it has been
/// swept.
#[test]
fn a_record_is_in_a_pools_way_until_its_lease_is_over() {
    for is_swept in [true, false] {
        let mut world = world();
        accept_leased(&mut world, 10, "add lab 60 A 192.0.2.80");
        let reason = world.refuse("add m1.lab 30 A 10.0.0.1");
        assert!(reason.contains("has ordinary records"), "{reason}");
        world.advance_unswept(10_001);
        if is_swept {
            world.expire();
        }
        world.accept("add m1.lab 30 A 10.0.0.1");
        world.advance(1_000);
        assert_holds(&mut world, "lab A 10.0.0.1; m1.lab A 10.0.0.1");
        world.advance(29_000);
        assert_holds(&mut world, "lab A NODATA; m1.lab A NXDOMAIN");
    }
}

/// To delete a SRV that no member can have is to delete what is not there (RFC 2136 section 3.4.2.4), and no error.
#[test]
fn a_deletion_of_a_srv_that_cannot_be_there_does_nothing() {
    let mut world = world();
    world.accept("add m1.web 30 A 10.0.0.1; add _s._tcp.web 30 SRV 0 0 80 m1.web");
    for target in ["web", "all.web", "_x.web", "x.m1.web", "@", "."] {
        assert_eq!(world.accept(&format!("delete _s._tcp.web SRV 0 0 80 {target}")), [], "{target}");
    }
    assert_holds(&mut world, "web A 10.0.0.1; _s._tcp.web SRV 0 0 80 m1.web");
}

/// One message makes a pool, with ordinary records at its name, at its service and below; each goes by itself.
#[test]
fn a_pool_and_records_beside_it_come_in_one_message() {
    let mut world = world();
    world.accept(&format!(
        "{JOIN}; add _http._tcp.lab 60 TXT path=/; add x.y.lab 60 TXT v=1; add lab 60 TXT v=2"
    ));
    assert_holds(
        &mut world,
        "lab A 10.0.0.1; lab TXT v=2; _http._tcp.lab SRV 0 0 80 m1.lab; _http._tcp.lab TXT path=/; x.y.lab TXT v=1; \
         y.lab TXT NODATA",
    );
    world.accept("delete _http._tcp.lab TXT; delete x.y.lab");
    assert_holds(
        &mut world,
        "lab A 10.0.0.1; lab TXT v=2; _http._tcp.lab SRV 0 0 80 m1.lab; _http._tcp.lab TXT NODATA; _tcp.lab TXT NODATA; \
         y.lab TXT NXDOMAIN",
    );
}

/// A member's name may have ordinary records of types that members do not register: they stay when it falls silent, and a
/// deletion of the name takes them.
#[test]
fn ordinary_records_at_a_members_name_outlive_the_member() {
    let mut world = world();
    world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT site=fra; add m1.web 60 MX 10 mail; add a.m1.web 60 TXT v=1");
    assert_holds(&mut world, "m1.web A 10.0.0.1; m1.web TXT site=fra; m1.web MX 10 mail");
    world.advance(31_000);
    assert_holds(&mut world, "m1.web A NODATA; m1.web TXT NODATA; m1.web 60 MX 10 mail");
    world.accept("delete m1.web");
    assert_holds(&mut world, "m1.web MX NODATA; a.m1.web TXT v=1");
    world.accept("delete a.m1.web");
    assert_holds(&mut world, "m1.web MX NXDOMAIN");
}
