//! Drains that a restart finds: an operator's goes on for who comes back and for who is yet to, a member's own ends when it said.

use rollcall::security::Grant;

use super::world::{Setup, World, loopback_grant};

fn world(state: &std::path::Path) -> World {
    let grants = vec![Grant { admin: true, ..loopback_grant() }];
    World::stored(Setup { grants, ..Setup::default() }, state)
}

#[test]
fn an_operators_drain_outlives_a_crash_and_ends_while_nobody_serves() {
    let state = tempfile::tempdir().unwrap();
    let mut world = world(state.path());
    world.accept("add m1.web 30 A 10.0.0.1; add m2.web 30 A 10.0.0.2; add m3.web 30 A 10.0.0.3");
    world.accept("add _drain.m1.web 0 TXT for=60");
    world.accept("add _drain.m2.web 0 TXT \"why=new disk\"");
    assert_eq!(world.ask("web", "A").sorted(), ["10.0.0.3"]);

    let mut world = world.crash_and_restart(10_000);
    assert_eq!(world.ask("web", "A").sorted(), ["10.0.0.3"], "both go on");
    world.advance(49_999);
    world.accept("add m1.web 30 A 10.0.0.1; add m2.web 30 A 10.0.0.2; add m3.web 30 A 10.0.0.3");
    assert_eq!(world.ask("web", "A").sorted(), ["10.0.0.3"], "1 ms is left of m1's");
    world.advance(1);
    assert_eq!(world.ask("web", "A").sorted(), ["10.0.0.1", "10.0.0.3"]);

    world.accept("add _drain.m3.web 0 TXT for=20");
    let mut world = world.crash_and_restart(25_000);
    assert_eq!(
        world.ask("web", "A").sorted(),
        ["10.0.0.1", "10.0.0.3"],
        "m3's ended meanwhile, m2's never does"
    );
    world.accept("delete _drain.m2.web TXT");
    let mut world = world.crash_and_restart(1_000);
    assert_eq!(world.ask("web", "A").sorted(), ["10.0.0.1", "10.0.0.2", "10.0.0.3"], "taken back for good");
}

#[test]
fn a_member_that_is_leaving_has_what_is_left_of_its_time_after_a_crash() {
    for (down_ms, is_back) in [(10_000, true), (20_000, false)] {
        let state = tempfile::tempdir().unwrap();
        let mut world = world(state.path());
        world.accept("add m1.web 30 A 10.0.0.1; add m2.web 30 A 10.0.0.2");
        world.accept("add m1.web 30 TXT drain=20");
        let mut world = world.crash_and_restart(down_ms);
        assert_eq!(world.ask("web", "A").sorted(), ["10.0.0.2"]);
        assert_eq!(world.ask("m1.web", "A").sorted().len(), usize::from(is_back), "{down_ms}");
        // Heartbeats lengthen nothing.
        if is_back {
            world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT drain=20");
            world.advance(9_999);
            assert_eq!(world.ask("m1.web", "A").sorted(), ["10.0.0.1"]);
            world.advance(1);
            assert!(world.ask("m1.web", "A").data().is_empty());
        }
    }
}
