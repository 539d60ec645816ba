//! Files that change while members come and go: a reload leaves nothing behind and loses nothing, whatever came before it.

use std::collections::BTreeSet;

use fastrand::Rng;
use hickory_proto::op::ResponseCode;
use rollcall::policy::Policy;

use super::setup;
use super::world::{Setup, World, pool_settings, zone_file};

/// Names that the stories are about: of a declared pool, of one that members may make, of the zone that may lie there, of
/// browsing, and those between.
const NAMES: [&str; 24] = [
    "@",
    "info",
    "host",
    "lab",
    "m1.lab",
    "x.lab",
    "bench.lab",
    "_http._tcp.lab",
    "_tcp.lab",
    "y._http._tcp.lab",
    "web",
    "m1.web",
    "m2.web",
    "all.web",
    "_http._tcp.web",
    "_tcp.web",
    "y._http._tcp.web",
    "_http._tcp",
    "_tcp",
    "web._http._tcp",
    "lab._http._tcp",
    "_services._dns-sd._udp",
    "_dns-sd._udp",
    "x.wild",
];
const TYPES: [&str; 7] = ["A", "TXT", "SRV", "PTR", "CNAME", "NS", "MX"];

/// Messages.
const LINES: [&str; 24] = [
    "add m1.web 30 A 10.0.0.1",
    "add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 1 80 m1.web",
    "add m2.web 30 A 10.0.0.2; add _http._tcp.web 30 SRV 0 1 81 m2.web",
    "add web 30 A 10.0.0.3",
    "add m1.lab 30 A 10.0.0.4; add _http._tcp.lab 30 SRV 0 1 82 m1.lab",
    "add m1.lab 30 A 10.0.0.4",
    "delete m1.lab",
    "delete m1.web",
    "delete m2.web",
    "add x.lab 60 TXT v=1",
    "delete x.lab",
    "add lab 60 TXT v=2",
    "delete lab",
    "add y._http._tcp.web 60 TXT v=3",
    "delete y._http._tcp.web",
    "add y._http._tcp.lab 60 TXT v=4",
    "add host 60 TXT v=5",
    "delete host",
    "add host 60 A 10.0.0.6",
    "add web._http._tcp 60 TXT v=7",
    "add _http._tcp 60 PTR z._http._tcp",
    "delete info TXT",
    "add host 60 CNAME info",
    "delete web._http._tcp",
];

/// What the zone file may have beside the usual.
const FILES: [&str; 10] = [
    "",
    "lab CNAME info\n",
    "m1.lab A 192.0.2.9\n",
    "_http._tcp.lab TXT file\n",
    "y._http._tcp.web TXT file\n",
    "web._http._tcp TXT file\n",
    "_http._tcp PTR file._http._tcp\n",
    "host CNAME ns\n",
    "lab NS ns\nns.lab A 192.0.2.1\n",
    "*.wild TXT file\nhost MX 5 ns\n",
];

fn random_setup(rng: &mut Rng) -> Setup {
    let file = FILES[rng.usize(..FILES.len())];
    let has_nested_zone = rng.u8(..3) == 0 && !file.contains("lab");
    let mut pools = Vec::new();
    if rng.u8(..3) > 0 {
        let mut web = pool_settings(Policy::RoundRobin);
        web.ttl_s = [5, 7][rng.usize(..2)];
        pools.push(("web", web));
    }
    if rng.bool() {
        pools.push(("game", pool_settings(Policy::RoundRobin)));
    }
    Setup {
        pools,
        create_pools: rng.u8(..3) > 0,
        has_nested_zone,
        zone_file: format!("{}{file}", zone_file()),
        ..setup()
    }
}

/// A question, and what came of it.
type Answered = (String, ResponseCode, BTreeSet<String>);

fn shown(world: &mut World) -> Vec<Answered> {
    let mut shown = Vec::new();
    for name in NAMES {
        for rtype in TYPES {
            let answer = world.ask(name, rtype);
            shown.push((format!("{name} {rtype}"), answer.rcode(), answer.data().into_iter().collect()));
        }
    }
    shown
}

/// Pools and services that are known are NODATA until they are forgotten: a start does not know of them.
fn differs(before: &Answered, after: &Answered) -> bool {
    let is_forgotten = (before.1, after.1) == (ResponseCode::NoError, ResponseCode::NXDomain);
    before.2 != after.2 || (before.1 != after.1 && !(is_forgotten && before.2.is_empty()))
}

/// One thing that happens, in words, and whether somebody waits for a pool to come back since.
fn step(rng: &mut Rng, world: &mut World) -> (String, bool) {
    match rng.u8(..10) {
        0..=5 => {
            let line = LINES[rng.usize(..LINES.len())];
            let is_nested = world.setup.has_nested_zone && line.contains("lab");
            let line = if is_nested { format!("zone lab.pool.example.; {line}") } else { line.to_owned() };
            let lease = [None, Some(20_u32), Some(100)][rng.usize(..3)].map(u32::to_be_bytes);
            let updated = world.update_with_lease(&line, lease.as_ref().map(|lease| &lease[..]));
            (format!("{line} {lease:?} -> {:?} {:?}", updated.rcode, updated.refusal), false)
        }
        6 => {
            let ms = [1_000, 15_000, 31_000, 4_000_000][rng.usize(..4)];
            world.advance(ms);
            let changes = world.changes.len();
            world.expire();
            assert_eq!(world.changes.len(), changes, "what has ended has ended");
            (format!("advance {ms}"), false)
        }
        _ => {
            let next = random_setup(rng);
            let text = format!(
                "reload pools {:?} create {} nested {} file {:?}",
                next.pools.iter().map(|pool| pool.0).collect::<Vec<_>>(),
                next.create_pools,
                next.has_nested_zone,
                next.zone_file.strip_prefix(&zone_file())
            );
            let serial = world.serial();
            let stranded = world.reload(next.clone()).stranded;
            assert!(rollcall::zone::is_later(world.serial(), serial) || world.serial() == serial, "{text}");
            let before = shown(world);
            let again = world.reload(next);
            assert!(
                again.serials.is_empty() && again.changes.is_empty() && again.retired.is_empty(),
                "{text}"
            );
            let after = shown(world);
            let wrong: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
            assert!(wrong.is_empty(), "{text}: {wrong:?}");
            (text, !stranded.is_empty())
        }
    }
}

/// Of a few stories; with `SEEDS=60-5000` in the environment, of so many.
#[test]
fn a_server_that_reloads_shows_what_one_shows_that_starts_now() {
    let seeds = std::env::var("SEEDS").map_or(0..60, |seeds| {
        let mut ends = seeds.split('-').map(|end| end.parse().unwrap());
        ends.next().unwrap()..ends.next().unwrap()
    });
    for seed in seeds {
        let mut rng = Rng::with_seed(seed);
        let state = tempfile::tempdir().unwrap();
        let mut world = World::stored(random_setup(&mut rng), state.path());
        let (mut story, mut waits) = (Vec::new(), false);
        for _ in 0..rng.usize(1..25) {
            let (line, strands) = step(&mut rng, &mut world);
            story.push(line);
            waits |= strands;
        }
        if waits {
            // Who waits for a pool comes back with a reload, and with a start.
            let zone_file = format!("{}more TXT x\n", world.setup.zone_file);
            world.reload(Setup { zone_file, ..world.setup.clone() });
        }
        let before = shown(&mut world);
        let mut world = world.crash_and_restart(0);
        let after = shown(&mut world);
        let wrong = before.iter().zip(&after).filter(|(before, after)| differs(before, after));
        let wrong: Vec<_> = wrong.map(|(before, after)| format!("{before:?}, then {after:?}")).collect();
        assert!(wrong.is_empty(), "seed {seed}\n{}\n{}", story.join("\n"), wrong.join("\n"));
    }
}

/// While a zone was away its members fell silent, or its file changed: who has its last serial has something else.
#[test]
fn a_zone_that_comes_back_has_another_serial() {
    let mut world = World::with(setup());
    world.accept("add m1.web 30 A 10.0.0.1");
    let serial = world.serial();
    world.unload();
    world.advance(31_000);
    world.reload(Setup { zone_file: format!("{}new A 192.0.2.90\n", zone_file()), ..setup() });
    assert_eq!(world.ask("new", "A").data(), ["192.0.2.90"]);
    assert!(rollcall::zone::is_later(world.serial(), serial), "{serial}, then {}", world.serial());
}

/// A zone comes below one whose file is not good just then: names that lie in the new zone go there all the same, with their
/// leases, which end once.
#[test]
fn names_go_to_a_zone_that_comes_below_one_that_cannot_be_read() {
    let setup = || Setup { create_pools: false, ..setup() };
    let mut world = World::with(setup());
    super::accept_leased(&mut world, 30, "add x.lab 60 TXT v=1; add host 60 TXT v=2");
    world.add_nested_zone_alone();
    assert_eq!(world.ask("x.lab", "TXT").data(), ["v=1"]);
    world.advance(31_000);
    assert_eq!(world.ask("x.lab", "TXT").rcode(), ResponseCode::NXDomain);
    assert!(world.ask("host", "TXT").is_nxdomain());
    let (serials, changes) = (world.registrar.serials(), world.changes.len());
    for _ in 0..5 {
        world.advance(50);
    }
    assert_eq!((world.registrar.serials(), world.changes.len()), (serials, changes), "they have ended once");
    // What is registered there meanwhile is the zone's once it can be read again, though it says what it said.
    world.accept("zone lab; add y.lab 60 TXT v=3");
    world.drop_nested_zone_alone();
    world.reload(setup());
    assert_eq!(world.ask("y.lab", "TXT").data(), ["v=3"]);
    world.reload(Setup { has_nested_zone: true, ..setup() });
    assert_eq!(world.ask("x.lab", "TXT").rcode(), ResponseCode::NXDomain);
    assert_eq!(world.ask("bench.lab", "TXT").data(), ["lab"]);
}

/// A zone that comes moves what lies around it, and nothing else: other zones say what they said.
#[test]
fn a_zone_that_comes_moves_no_serial_of_a_zone_beside_it() {
    let mut world = World::with(Setup { has_nested_zone: true, ..setup() });
    world.unload();
    // `lab` says what it said, and comes with all others since the keys were read again.
    let reloaded = world.reload(Setup { has_nested_zone: true, ..setup() });
    assert_eq!(reloaded.serials.len(), 1, "{:?}", reloaded.serials);
}

/// Members made a pool where now a zone comes: it is no pool of the zone around any more, and nobody browses for it there.
#[test]
fn a_pool_where_a_zone_comes_is_not_listed_any_more() {
    let mut world = World::with(setup());
    world.accept("add m1.lab 30 A 10.0.0.4; add _http._tcp.lab 30 SRV 0 1 82 m1.lab");
    assert_eq!(world.ask("lab._http._tcp", "SRV").data().len(), 1);
    assert_eq!(world.reload(Setup { has_nested_zone: true, ..setup() }).stranded.len(), 1);
    assert!(world.ask("lab._http._tcp", "SRV").is_nxdomain());
    assert!(world.ask("_http._tcp", "PTR").is_nxdomain());
    // It waits: the zone goes again.
    world.reload(setup());
    assert_eq!(world.ask("lab._http._tcp", "SRV").data(), ["0 1 82 m1.lab.pool.example."]);
    assert_eq!(world.ask("m1.lab", "A").data(), ["10.0.0.4"]);
}

/// Members that waited for their pool while ordinary records stood in its way are back when they say so, once those are gone.
#[test]
fn who_waits_comes_back_with_a_heartbeat() {
    let mut world = World::with(setup());
    let join = "add m1.lab 30 A 10.0.0.4; add _http._tcp.lab 30 SRV 0 1 82 m1.lab";
    world.accept(join);
    world.reload(Setup { create_pools: false, ..setup() });
    world.accept("add m2.lab 60 A 10.0.0.5");
    assert_eq!(world.reload(setup()).stranded.len(), 0);
    assert!(world.ask("m1.lab", "A").is_nxdomain());
    world.accept("delete m2.lab");
    world.accept(join);
    assert_eq!(world.ask("m1.lab", "A").data(), ["10.0.0.4"]);
    assert_eq!(world.ask("_http._tcp.lab", "SRV").data().len(), 1);
}
