//! Mass silence is our trouble, not theirs: what is held, what is not, and for how long.
//!
//! A fleet of servers with leases of 30 seconds sends heartbeats every ten, each in a second of its own.

use std::collections::BTreeSet;

use rollcall::membership::{Cause, Hold, Lifted};
use rollcall::policy::Policy;

use super::world::{Setup, World, pool_settings};

const LEASE_MS: u64 = 30_000;

struct Fleet {
    world: World,
    /// Who is alive.
    alive: BTreeSet<u8>,
    /// Whether its heartbeats reach us.
    is_heard: bool,
}

impl Fleet {
    fn of(members: u8) -> Self {
        Fleet::in_world(World::new(), members)
    }

    /// Everybody joins within ten seconds.
    fn in_world(world: World, members: u8) -> Self {
        let mut fleet = Fleet { world, alive: (0..members).collect(), is_heard: true };
        fleet.live_s(10);
        assert_eq!(fleet.shown(), usize::from(members));
        fleet
    }

    /// Seconds pass, and in each of them those send heartbeats whose turn it is.
    fn live_s(&mut self, seconds: u32) {
        for _ in 0..seconds {
            let turn = (self.world.now_ms / 1_000 % 10) as u8;
            for member in self.alive.iter().filter(|_| self.is_heard).filter(|member| *member % 10 == turn) {
                let updated = self.world.update(&heartbeat(*member));
                assert_eq!(updated.refusal, None, "m{member}");
            }
            self.world.live(1_000);
        }
    }

    fn die(&mut self, members: impl IntoIterator<Item = u8>) {
        for member in members {
            assert!(self.alive.remove(&member));
        }
    }

    /// How many the pool's answer shows.
    fn shown(&mut self) -> usize {
        self.world.ask("web", "A").data().len()
    }

    fn ttl_s(&mut self) -> u32 {
        self.world.ask("web", "A").ttl_s()
    }

    fn count(&self, cause: Cause) -> usize {
        self.world.changes.iter().filter(|change| change.cause() == cause).count()
    }

    /// What became of holds so far.
    fn holds(&self) -> Vec<Hold> {
        self.world.silenced.iter().map(|silenced| silenced.hold).collect()
    }

    fn is_held(&self) -> bool {
        self.world.registrar.held().0 > 0
    }
}

fn heartbeat(member: u8) -> String {
    format!("add m{member}.web 30 A 10.0.0.{member}; add _http._tcp.web 30 SRV 0 1 80 m{member}.web")
}

#[test]
fn our_network_is_cut_for_a_minute() {
    let mut fleet = Fleet::of(100);
    fleet.is_heard = false;
    fleet.live_s(14);
    assert!(!fleet.is_held(), "two thirds of a lease have to go by for half of them");
    fleet.live_s(5);
    assert!(fleet.is_held(), "before the first is dropped");
    fleet.live_s(11);
    for _ in 0..30 {
        fleet.live_s(1);
        assert_eq!((fleet.shown(), fleet.ttl_s()), (100, 1));
    }
    fleet.is_heard = true;
    fleet.live_s(11);
    assert!(matches!(fleet.holds()[..], [Hold::Began, Hold::Ended(Lifted::Heard, 40_000..60_000)]));
    assert_eq!((fleet.shown(), fleet.ttl_s()), (100, 5));
    fleet.live_s(60);
    assert_eq!((fleet.count(Cause::Expired), fleet.holds().len()), (0, 2));
}

#[test]
fn those_who_do_not_come_back_with_the_network_have_one_lease_more() {
    let mut fleet = Fleet::of(100);
    fleet.is_heard = false;
    fleet.live_s(60);
    // A few died while nobody could be heard.
    fleet.die(90..100);
    fleet.is_heard = true;
    fleet.live_s(10);
    assert!(fleet.is_held(), "ten are silent still, and may be slow");
    assert_eq!(fleet.shown(), 100);
    fleet.live_s(30);
    assert!(!fleet.is_held());
    assert_eq!((fleet.shown(), fleet.count(Cause::Expired)), (90, 10));
}

#[test]
fn a_rack_is_lost() {
    let mut fleet = Fleet::of(100);
    let last_heard_ms = fleet.world.now_ms;
    fleet.die(0..30);
    while fleet.world.now_ms < last_heard_ms + LEASE_MS + 1_000 {
        fleet.live_s(1);
    }
    assert_eq!((fleet.shown(), fleet.count(Cause::Expired)), (70, 30), "when their leases were over");
    assert!(fleet.holds().is_empty(), "they are no half: they are believed to be dead");
}

#[test]
fn an_autoscaler_removes_most_of_them() {
    let mut fleet = Fleet::of(100);
    for member in 0..80_u8 {
        fleet.world.accept(&format!("delete m{member}.web"));
        assert_eq!(fleet.world.ask("web", "A").data().len(), 99 - usize::from(member), "at once");
    }
    fleet.die(0..80);
    fleet.live_s(120);
    assert!(fleet.holds().is_empty(), "who leaves is not silent");
    assert_eq!((fleet.shown(), fleet.count(Cause::Deregistered), fleet.count(Cause::Expired)), (20, 80, 0));
}

#[test]
fn leaving_acts_while_expiry_is_held() {
    let mut fleet = Fleet::of(40);
    fleet.is_heard = false;
    fleet.live_s(50);
    assert!(fleet.is_held());
    fleet.world.accept("delete m7.web");
    assert_eq!(fleet.shown(), 39);
    assert!(fleet.world.ask("m7.web", "A").is_nxdomain());
    assert_eq!(fleet.world.ask("m8.web", "A").ttl_s(), 1);
    // The autoscaler is what cut the network: those that are left by then are few, and are believed.
    for member in (0..40).filter(|member| *member != 7 && *member >= 9) {
        fleet.world.accept(&format!("delete m{member}.web"));
    }
    fleet.live_s(33);
    assert!(!fleet.is_held());
    assert_eq!((fleet.shown(), fleet.count(Cause::Expired)), (0, 8));
}

#[test]
fn the_server_did_nothing_for_ten_minutes() {
    let mut fleet = Fleet::of(100);
    // The lease clock leaves such times out; should time have gone by for leases all the same, the first tick holds them.
    fleet.world.advance_unswept(600_000);
    fleet.world.live(50);
    fleet.live_s(11);
    assert_eq!((fleet.shown(), fleet.count(Cause::Expired)), (100, 0), "everybody is heard again");
    fleet.live_s(60);
    assert!(!fleet.is_held());
    assert_eq!(fleet.count(Cause::Expired), 0);
}

#[test]
fn half_of_them_are_dead_for_good() {
    let mut fleet = Fleet::of(100);
    fleet.die(0..51);
    fleet.live_s(31);
    assert!(fleet.is_held());
    assert_eq!(fleet.shown(), 100);
    // The dead cannot be told from those whom we cannot hear; but not for longer than this.
    fleet.live_s(585);
    assert_eq!((fleet.shown(), fleet.count(Cause::Expired)), (100, 0));
    fleet.live_s(5);
    assert_eq!(fleet.shown(), 49);
    fleet.live_s(2);
    assert_eq!(fleet.count(Cause::Expired), 51, "swept");
    fleet.live_s(120);
    assert_eq!(fleet.holds(), [Hold::Began, Hold::Ended(Lifted::TooLong, 600_000)], "once");
}

#[test]
fn exactly_half_of_them_are_dead() {
    let mut fleet = Fleet::of(100);
    fleet.die(0..50);
    fleet.live_s(32);
    assert_eq!((fleet.shown(), fleet.holds().len()), (50, 0));
}

#[test]
fn others_take_the_places_of_the_dead() {
    let mut fleet = Fleet::of(60);
    fleet.die(0..40);
    fleet.live_s(60);
    assert_eq!((fleet.is_held(), fleet.shown()), (true, 60));
    // An autoscaler starts forty more: the silent are half of them at most, and one lease later they are gone.
    fleet.alive.extend(100..140);
    fleet.live_s(45);
    assert!(!fleet.is_held());
    assert_eq!((fleet.shown(), fleet.count(Cause::Expired)), (60, 40));
}

#[test]
fn a_second_trouble_within_the_first_ones_grace_is_held_as_well() {
    let mut fleet = Fleet::of(100);
    fleet.is_heard = false;
    fleet.live_s(60);
    fleet.is_heard = true;
    // Six seconds are enough for over half of them, and then the network is gone again.
    fleet.live_s(6);
    fleet.is_heard = false;
    fleet.live_s(60);
    assert_eq!((fleet.shown(), fleet.count(Cause::Expired)), (100, 0));
    assert_eq!(fleet.holds(), [Hold::Began], "one hold");
    fleet.is_heard = true;
    fleet.live_s(12);
    assert_eq!((fleet.is_held(), fleet.count(Cause::Expired)), (false, 0));
}

#[test]
fn a_pool_of_few_is_no_mass() {
    let mut fleet = Fleet::of(9);
    fleet.is_heard = false;
    fleet.live_s(31);
    assert!(fleet.holds().is_empty());
    assert_eq!((fleet.world.ask("web", "A").is_nodata(), fleet.count(Cause::Expired)), (true, 9));
}

#[test]
fn nothing_is_held_where_an_operator_says_so() {
    let world = World::with(Setup { freeze_max_ms: 0, ..Setup::default() });
    let mut fleet = Fleet::in_world(world, 100);
    fleet.is_heard = false;
    fleet.live_s(31);
    assert!(fleet.holds().is_empty());
    assert_eq!(fleet.count(Cause::Expired), 100);
}

#[test]
fn zones_are_judged_each_by_itself() {
    let setup = Setup { has_nested_zone: true, ..Setup::default() };
    let mut fleet = Fleet::in_world(World::with(setup), 100);
    for member in 0..20_u8 {
        fleet.world.accept(&format!("zone lab; add n{member}.rig.lab 30 A 10.0.1.{member}"));
    }
    fleet.live_s(31);
    let silenced: Vec<_> = fleet.world.silenced.iter().map(|silenced| silenced.apex.to_vec()).collect();
    assert_eq!(silenced, [b"\x03lab\x04pool\x07example\x00"], "all of the lab's are silent");
    assert_eq!(fleet.world.ask("rig.lab", "A").data().len(), 20);
    assert_eq!(fleet.ttl_s(), 5, "and nobody of the zone around it");
}

#[test]
fn members_without_a_lease_are_never_silent_and_do_not_outvote_those_who_are() {
    let mut setup = Setup::default();
    setup.pools.push(("fixed", pool_settings(Policy::RoundRobin)));
    let mut permanent = super::world::loopback_grant();
    permanent.lease = rollcall::security::GrantedLease::None;
    permanent.pools = vec![rollcall::security::NamePattern::new("fixed")];
    setup.grants.insert(0, permanent);
    let mut world = World::with(setup);
    for member in 0..100 {
        world.accept(&format!("add n{member}.fixed 30 A 10.0.1.{member}"));
    }
    let mut fleet = Fleet::in_world(world, 20);
    fleet.is_heard = false;
    fleet.live_s(31);
    assert!(fleet.is_held());
    assert_eq!(fleet.shown(), 20);
}

#[test]
fn a_restart_is_followed_by_silence_and_that_is_held_too() {
    let state = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::in_world(World::with_store(state.path()), 40);
    fleet.world = fleet.world.crash_and_restart(5_000);
    fleet.is_heard = false;
    fleet.live_s(60);
    assert!(fleet.is_held(), "the network did not come up with the server");
    assert_eq!((fleet.shown(), fleet.ttl_s()), (40, 1));
    fleet.is_heard = true;
    fleet.live_s(11);
    assert_eq!((fleet.shown(), fleet.ttl_s(), fleet.count(Cause::Expired)), (40, 5, 0));
}
