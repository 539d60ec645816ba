//! A grant is asked for deletions as it is for additions, and says nothing against leaving.

use hickory_proto::op::ResponseCode;
use rollcall::query::Transport;
use rollcall::security::{Grant, GrantedLease, Holder, NamePattern};

use super::table::assert_holds;
use super::world::{Setup, World, every_name, loopback_grant, records_grant, update_message};
use super::{accept_leased, setup};

fn world(grant: Grant) -> World {
    World::with(Setup { grants: vec![grant], ..setup() })
}

/// `lease = "none"` makes what is registered permanent, and LEASE 0 leaves all the same: members, and ordinary records.
#[test]
fn lease_zero_leaves_where_leases_are_for_ever() {
    let mut world = world(Grant { lease: GrantedLease::None, ..records_grant() });
    let both = "add m1.web 60 A 10.0.0.1; add host 60 TXT v=1";
    accept_leased(&mut world, 30, both);
    world.advance(3_600_000);
    assert_holds(&mut world, "web A 10.0.0.1; host TXT v=1");
    assert_eq!(accept_leased(&mut world, 0, both), 0);
    assert_holds(&mut world, "web A NODATA; m1.web A NXDOMAIN; host TXT NXDOMAIN");
}

/// Under `own_address` the address of another host is not one's own to delete, at ordinary names as at members'.
#[test]
fn own_address_deletes_no_address_of_another_host() {
    let sources = vec!["10.0.0.0/8".parse().unwrap()];
    let grant = every_name(Grant { own_address: true, sources, ..Grant::to(Holder::Unsigned) });
    let mut world = world(Grant { addresses: Vec::new(), ..grant });
    let mut send = |source: &str, script: &str| {
        world.source = source.parse().unwrap();
        let updated = world.send_over(Transport::Tcp, &update_message(script, None).to_vec().unwrap());
        (updated.rcode, updated.refusal.unwrap_or_default())
    };
    assert_eq!(send("10.0.0.6", "add host 60 A 10.0.0.6").0, ResponseCode::NoError);
    for script in
        ["delete host A", "delete host A 10.0.0.6", "delete host", "delete host; add host 60 A 10.0.0.5"]
    {
        let (rcode, reason) = send("10.0.0.5", script);
        assert_eq!(rcode, ResponseCode::Refused, "{script}");
        assert!(reason.contains("address 10.0.0.6 is not 10.0.0.5"), "{script}: {reason}");
    }
    assert_eq!(send("10.0.0.6", "delete host A").0, ResponseCode::NoError);
    assert_holds(&mut world, "host A NXDOMAIN");
}

/// A deletion where there is nothing, at a service's name or at `all`, takes a grant for the pool: nobody learns what is
/// there by what is refused.
#[test]
fn a_deletion_of_nothing_takes_a_grant() {
    let grant = |pool| Grant { pools: vec![NamePattern::new(pool)], ..loopback_grant() };
    for script in ["delete _x._tcp.web SRV", "delete all.web A", "delete _x._tcp.web CNAME"] {
        let reason = world(grant("game")).refuse(script);
        assert!(reason.contains("pool web is not granted"), "{script}: {reason}");
    }
    assert_eq!(world(grant("web")).accept("delete _x._tcp.web SRV; delete all.web A"), []);
}

/// Beside a pool, and where one might be made, who is granted a name replaces its ordinary records as every script does, by
/// deleting and adding, the first time too; and deletes all of the name. What stands there of the pool is not its to delete.
#[test]
fn a_grant_of_names_deletes_and_adds_where_pools_have_their_names() {
    let of_names = Grant { names: vec![NamePattern::new("*")], pools: Vec::new(), ..records_grant() };
    let mut world = World::with(Setup { grants: vec![of_names.clone()], ..setup() });
    for name in ["web", "m1.web", "_443._tcp.web", "_443._tcp.www", "5.2", "host.lan", "all.lan"] {
        for _ in 0..2 {
            world.accept(&format!("delete {name} MX; add {name} 300 MX 10 mail.pool.example."));
            assert_holds(&mut world, &format!("{name} MX 10 mail.pool.example."));
            world.accept(&format!("delete {name} MX 10 mail.pool.example."));
        }
        world.accept(&format!("add {name} 300 MX 10 mail.pool.example."));
        world.accept(&format!("delete {name}"));
        assert!(world.ask(name, "MX").data().is_empty(), "{name}");
    }
    world.accept("delete host.lan CNAME; add host.lan 300 CNAME info");
    assert_holds(&mut world, "host.lan CNAME info.pool.example.");

    let state = tempfile::tempdir().unwrap();
    let both = Setup { grants: vec![records_grant()], ..setup() };
    let mut world = World::stored(both, state.path());
    world.accept("add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 1 80 m1.web");
    world.setup.grants = vec![of_names];
    let mut world = world.crash_and_restart(1_000);
    for script in [
        "delete web",
        "delete web A",
        "delete m1.web",
        "delete m1.web A 10.0.0.1",
        "delete m1.web TXT",
        "delete _http._tcp.web",
        "delete _http._tcp.web SRV",
    ] {
        let reason = world.refuse(script);
        assert!(reason.contains("pool web is not granted"), "{script}: {reason}");
    }
    assert_holds(&mut world, "web A 10.0.0.1");
}

/// Attributes alone renew the whole member, and so take a grant for its addresses.
#[test]
fn attributes_renew_no_address_that_no_grant_covers() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(setup(), state.path());
    world.accept("add m1.web 30 A 10.0.0.1");
    world.setup.grants[0].addresses = vec!["10.9.0.0/16".parse().unwrap()];
    let mut world = world.crash_and_restart(1_000);
    for script in ["add m1.web 30 A 10.0.0.1", "add m1.web 30 TXT site=fra"] {
        let reason = world.refuse(script);
        assert!(reason.contains("address 10.0.0.1 is not granted"), "{script}: {reason}");
    }
    world.advance(30_000);
    assert_holds(&mut world, "web A NODATA");
}
