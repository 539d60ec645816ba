//! Ordinary records at a pool's name and below it: the pool is made and forgotten, and they stay what they are.

use super::{HOUR_MS, accept_leased, setup, stored};
use crate::table::{accept, assert_holds};
use crate::world::World;

const BESIDE: &str = "add chat 60 TXT v=1; add _acme-challenge.chat 60 TXT token; add x.y.chat 60 A 10.0.0.9; \
    add _s._tcp.chat 60 TXT path=/";
const BESIDE_HOLDS: &str = "chat 60 TXT v=1; _acme-challenge.chat TXT token; x.y.chat A 10.0.0.9; y.chat A NODATA; \
    _s._tcp.chat TXT path=/";
const JOIN: &str =
    "add m1.chat 30 A 10.0.0.1; add _s._tcp.chat 30 SRV 0 0 1 m1.chat; add m1.chat 30 TXT site=fra";

/// The pool's last member is an hour gone, and the server has looked.
fn forget_pool(world: &mut World) {
    world.advance(30_000);
    assert_holds(world, "chat A NODATA; m1.chat A NXDOMAIN; _s._tcp.chat SRV NODATA");
    assert!(world.ask("all.chat", "A").is_nodata(), "the pool is known");
    world.advance(HOUR_MS);
    world.advance(60_000);
    assert!(world.ask("all.chat", "A").is_nxdomain(), "the pool is forgotten");
}

#[test]
fn records_stay_where_a_pool_is_made_and_forgotten_and_made_again() {
    let state = tempfile::tempdir().unwrap();
    let mut world = stored(&state);
    accept(&mut world, BESIDE);
    for round in 0..3 {
        assert_holds(&mut world, BESIDE_HOLDS);
        accept(&mut world, JOIN);
        assert_holds(&mut world, BESIDE_HOLDS);
        assert_holds(
            &mut world,
            "chat A 10.0.0.1; m1.chat A 10.0.0.1; m1.chat TXT site=fra; _s._tcp.chat SRV 0 0 1 m1.chat",
        );
        if round == 1 {
            world = world.crash_and_restart(0);
            assert_holds(&mut world, BESIDE_HOLDS);
            assert_holds(&mut world, "chat A 10.0.0.1; _s._tcp.chat SRV 0 0 1 m1.chat");
        }
        forget_pool(&mut world);
        assert_holds(&mut world, BESIDE_HOLDS);
        assert_holds(&mut world, "chat A NODATA; m1.chat A NXDOMAIN; _s._tcp.chat SRV NODATA");
    }
    // Without a pool they are names like all others.
    accept(&mut world, "delete x.y.chat; delete _s._tcp.chat; delete chat");
    assert_holds(
        &mut world,
        "y.chat A NXDOMAIN; _s._tcp.chat TXT NXDOMAIN; chat TXT NODATA; _acme-challenge.chat TXT token",
    );
    accept(&mut world, "delete _acme-challenge.chat");
    assert_holds(&mut world, "chat TXT NXDOMAIN");
}

#[test]
fn records_change_while_a_pool_is_there_and_stay_changed_when_it_is_not() {
    let state = tempfile::tempdir().unwrap();
    let mut world = stored(&state);
    accept(&mut world, JOIN);
    accept(&mut world, BESIDE);
    assert_holds(&mut world, BESIDE_HOLDS);
    assert_holds(&mut world, "chat A 10.0.0.1; _s._tcp.chat SRV 0 0 1 m1.chat");
    accept(
        &mut world,
        "delete chat TXT; delete x.y.chat; add chat 60 CAA 0 issue ca.example.net; delete _s._tcp.chat TXT",
    );
    let holds = "chat TXT NODATA; chat CAA 0 issue ca.example.net; x.y.chat A NXDOMAIN; y.chat A NXDOMAIN; \
                 _s._tcp.chat TXT NODATA; _acme-challenge.chat TXT token";
    assert_holds(&mut world, holds);
    forget_pool(&mut world);
    // A forgotten pool's services are no names any more.
    let forgotten = holds.replace("_s._tcp.chat TXT NODATA", "_s._tcp.chat TXT NXDOMAIN");
    assert_holds(&mut world, &forgotten);
    let mut world = world.crash_and_restart(0);
    assert_holds(&mut world, &forgotten);
    accept(&mut world, JOIN);
    assert_holds(&mut world, holds);
    assert_holds(&mut world, "chat A 10.0.0.1");
}

#[test]
fn a_leased_record_at_a_pools_name_ends_whether_or_not_the_pool_is_there() {
    let mut world = World::with(setup());
    for is_there in [true, false] {
        accept(&mut world, JOIN);
        accept_leased(
            &mut world,
            3_600,
            "add chat 60 TXT v=1; add _s._tcp.chat 60 TXT path=/; add x.chat 60 MX 1 ns",
        );
        if is_there {
            world.advance(3_599_999);
            accept(&mut world, JOIN);
            assert_holds(
                &mut world,
                "chat TXT v=1; x.chat MX 1 ns; _s._tcp.chat TXT path=/; chat A 10.0.0.1",
            );
            world.advance(1);
            assert_holds(
                &mut world,
                "chat TXT NODATA; x.chat MX NXDOMAIN; _s._tcp.chat TXT NODATA; chat A 10.0.0.1",
            );
        } else {
            accept(&mut world, "delete m1.chat");
            accept_leased(&mut world, 3_600, "add chat 60 TXT v=1");
            world.advance(HOUR_MS);
            world.advance(60_000);
            assert_holds(&mut world, "chat TXT NXDOMAIN; x.chat MX NXDOMAIN; _s._tcp.chat TXT NXDOMAIN");
        }
    }
}

#[test]
fn a_name_that_was_emptied_stays_so_when_a_pool_was_there() {
    let state = tempfile::tempdir().unwrap();
    let mut world = stored(&state);
    accept(&mut world, "delete info; delete a.b.c");
    assert_holds(&mut world, "info A NXDOMAIN; c A NXDOMAIN");
    for _ in 0..2 {
        accept(&mut world, "add m1.info 30 A 10.0.0.1; add m1.c 30 A 10.0.0.2");
        assert_holds(&mut world, "info A 10.0.0.1; info TXT NODATA; c A 10.0.0.2; a.b.c A NXDOMAIN");
        accept(&mut world, "delete m1.info; delete m1.c");
        world.advance(HOUR_MS);
        world.advance(60_000);
        assert_holds(&mut world, "info A NXDOMAIN; info TXT NXDOMAIN; c A NXDOMAIN; a.b.c A NXDOMAIN");
        world = world.crash_and_restart(0);
        assert_holds(&mut world, "info A NXDOMAIN; info TXT NXDOMAIN; c A NXDOMAIN; a.b.c A NXDOMAIN");
    }
    accept(&mut world, "add info 300 A 192.0.2.80");
    assert_holds(&mut world, "info A 192.0.2.80; info TXT NODATA");
}
