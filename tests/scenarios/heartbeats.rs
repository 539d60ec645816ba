//! Heartbeats that workers take: nobody can tell them from those that the registrar judges, but by what they cost.

use hickory_proto::op::{Message, ResponseCode};
use rollcall::membership::Cause;
use rollcall::policy::Policy;

use super::signing::{FUDGE_S, Request, sign, signed};
use super::world::{Setup, World, key_grant, pool_settings, update_message};

const HEARTBEAT: &str =
    "add m1.web 30 A 10.0.0.1\nadd _http._tcp.web 30 SRV 0 10 8080 m1.web\nadd m1.web 30 TXT weight=7";

fn with_load(load: &str) -> String {
    format!("{HEARTBEAT} load={load}")
}

/// Pool `web` has this policy, and two keys may register in it.
fn world_of(policy: Policy) -> World {
    let keys = vec!["lab.", "other."];
    let grants = keys.iter().map(|key| key_grant(key)).collect();
    let pools = vec![("web", pool_settings(policy))];
    World::with(Setup { pools, grants, keys, ..Setup::default() })
}

fn world() -> World {
    world_of(Policy::RoundRobin)
}

fn least_used() -> World {
    world_of(Policy::LeastUsed)
}

/// Sends a message signed now. Whether a worker took it.
#[track_caller]
fn beat(world: &mut World, script: &str) -> bool {
    let before = world.taken;
    signed("lab.", world.wall_s(), script).accepted_by(world);
    world.taken > before
}

#[test]
fn the_second_of_the_same_is_taken_and_its_lease_goes_on() {
    let mut world = world();
    assert!(!beat(&mut world, HEARTBEAT), "nobody knows it yet");
    for _ in 0..10 {
        world.advance(20_000);
        assert!(beat(&mut world, HEARTBEAT));
    }
    world.advance(29_999);
    assert_eq!(world.ask("m1.web", "A").rcode(), ResponseCode::NoError);
    world.advance(1);
    assert_eq!(
        world.changes.last().unwrap().cause(),
        Cause::Expired,
        "a lease after the last, to the millisecond"
    );
    assert!(!beat(&mut world, HEARTBEAT), "who is gone joins again");
    world.advance(1_000);
    assert!(beat(&mut world, HEARTBEAT));
}

#[test]
fn another_load_is_taken_too_and_anything_else_is_judged() {
    let mut world = least_used();
    beat(&mut world, &with_load("0.25"));
    for load in ["0.5", "0.125", "1", "0.25"] {
        world.advance(1_000);
        assert!(beat(&mut world, &with_load(load)), "{load}");
    }
    let others = [
        HEARTBEAT.to_owned(),
        HEARTBEAT.replace("weight=7", "weight=8"),
        HEARTBEAT.replace("0 10 8080", "0 11 8080"),
        HEARTBEAT.replace("30 A", "31 A"),
        HEARTBEAT.replace("10.0.0.1", "10.0.0.2"),
        format!("prereq yxdomain m1.web\n{HEARTBEAT}"),
    ];
    for other in others {
        world.advance(1_000);
        assert!(!beat(&mut world, &other), "{other}");
    }
    world.advance(1_000);
    assert!(!beat(&mut world, &with_load("busy")), "a wrong one is logged each time");
    world.advance(1_000);
    assert!(!beat(&mut world, &with_load("busy")), "each time");
}

#[test]
fn a_load_ranks_the_pool_again_without_the_registrar_having_heard_it() {
    let mut world = least_used();
    let other = with_load("0.5").replace("m1", "m2").replace("10.0.0.1", "10.0.0.2");
    beat(&mut world, &with_load("0.25"));
    beat(&mut world, &other);
    let first = |world: &mut World| {
        world.registrar.rank(world.now_ms, usize::MAX);
        world.ask("web", "A").data()
    };
    world.advance(1_000);
    assert_eq!(first(&mut world), ["10.0.0.1"]);
    assert!(beat(&mut world, &with_load("0.75")));
    assert_eq!(first(&mut world), ["10.0.0.2"]);
}

#[test]
fn the_same_message_again_does_nothing_and_an_older_one_is_refused() {
    let mut world = world();
    beat(&mut world, HEARTBEAT);
    world.advance(10_000);
    let older = signed("lab.", world.wall_s(), HEARTBEAT);
    world.advance(1_000);
    let newest = signed("lab.", world.wall_s(), HEARTBEAT);
    newest.accepted_by(&mut world);
    world.advance(10_000);
    let taken = world.taken;
    assert_eq!(newest.accepted_by(&mut world), []);
    assert_eq!(world.taken, taken + 1);
    assert_eq!(world.send(&older.octets).rcode, ResponseCode::NotAuth);
    world.advance(20_000);
    assert_eq!(world.changes.last().unwrap().cause(), Cause::Expired, "neither has renewed it");
}

#[test]
fn whoever_else_sends_it_is_judged() {
    let mut world = world();
    beat(&mut world, HEARTBEAT);
    world.advance(1_000);
    let mut forged = signed("lab.", world.wall_s(), HEARTBEAT).octets;
    let last = forged.len() - 7;
    forged[last] ^= 1;
    assert_eq!(world.send(&forged).rcode, ResponseCode::NotAuth);
    assert_eq!(world.taken, 0);
    world.source = "127.0.0.2".parse().unwrap();
    assert!(!beat(&mut world, HEARTBEAT), "from elsewhere");
    world.advance(1_000);
    assert!(beat(&mut world, HEARTBEAT), "and from there again");
    let setup = world.setup.clone();
    world.reload(setup);
    world.advance(1_000);
    assert!(!beat(&mut world, HEARTBEAT), "after a reload");
}

#[test]
fn a_granted_lease_comes_back_as_the_registrar_says_it() {
    for lease in [&[0, 0, 0, 20][..], &[0, 0, 0, 20, 0, 0, 3, 0], &[0xFF; 8]] {
        let mut worlds = [world(), world()];
        worlds[1].has_workers = false;
        let mut send = |at_ms: u64| {
            let [one, other] = &mut worlds;
            let replies = [one, other].map(|world| {
                world.advance(at_ms);
                let message = update_message(HEARTBEAT, Some(lease));
                world.send(&sign(message, "lab.", world.wall_s(), FUDGE_S).octets).octets
            });
            assert_eq!(replies[0], replies[1], "{lease:?}");
        };
        (0..5).for_each(|_| send(5_000));
        assert_eq!((worlds[0].taken, worlds[1].taken), (4, 0));
    }
}

#[test]
fn a_name_is_kept_for_as_long_after_a_heartbeat_that_a_worker_took() {
    let lease = Some(&[0, 0, 0, 10, 0, 0, 0, 100][..]);
    let mut world = world();
    let beat = |world: &mut World| {
        let at_s = world.wall_s();
        sign(update_message(HEARTBEAT, lease), "lab.", at_s, FUDGE_S).accepted_by(world);
    };
    for _ in 0..20 {
        beat(&mut world);
        world.advance(8_000);
    }
    assert!(world.taken >= 19);
    world.advance(2_000);
    let take = |world: &mut World| signed("other.", world.wall_s(), HEARTBEAT);
    let message = take(&mut world);
    assert_eq!(world.send(&message.octets).rcode, ResponseCode::Refused, "the name is its owner's");
    world.advance(91_000);
    take(&mut world).accepted_by(&mut world);
}

/// What a member sends, of a kind.
fn script(rng: &mut fastrand::Rng, member: u8, kind: u8) -> String {
    let (m, pool) = (format!("m{member}"), if member < 3 { "web" } else { "api" });
    let load = rng.choice([" load=0.1", " load=0.25", " load=1"]).unwrap_or_default();
    let address = format!("add {m}.{pool} 30 A 10.0.0.{member}");
    let service = format!("add _http._tcp.{pool} 30 SRV 0 10 8080 {m}.{pool}");
    let attributes = format!("add {m}.{pool} 30 TXT weight=7{load}");
    match kind {
        0 => format!("delete {m}.{pool}"),
        1 => address,
        2 => attributes,
        3 => format!("{address}\n{}", attributes.replace("weight=7", "weight=9")),
        4 => format!("{}\n{service}", address.replace("10.0.0.", "10.0.1.")),
        5 => format!("delete {m}.{pool} TXT\n{address}\n{service}\n{attributes}"),
        6 => format!("delete {m}.{pool} A\n{address}\n{service}\n{attributes}"),
        7 => format!("{address}\n{service}\n{attributes} drain=20"),
        8 => format!("{attributes}\n{address}\n{service}"),
        9 => format!("{address}\n{service}\n{}", attributes.replace("load=1", "load=x")),
        _ => format!("{address}\n{service}\n{attributes}"),
    }
}

/// A server with workers and one whose registrar does it all say the same to everybody, whatever is sent and when.
#[test]
fn nobody_can_tell_who_took_a_heartbeat() {
    let (mut taken, mut sent) = (0, 0);
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        // `api` is made by its first member.
        let mut worlds = [least_used(), least_used()];
        worlds[1].has_workers = false;
        let mut before: Vec<Request> = Vec::new();
        // What each sends mostly.
        let mut kinds = [u8::MAX; 6];
        for step in 0..80 {
            let wait_ms = match rng.u8(..32) {
                0 => 31_000,
                1..=3 => 12_000,
                4..=5 => 0,
                6 => 40,
                _ => rng.u64(1..4) * 1_000,
            };
            let member = rng.u8(1..6);
            let at_s = worlds[0].wall_s() + wait_ms / 1000;
            if rng.u8(..12) == 0 {
                kinds[usize::from(member)] = rng.u8(..16);
            }
            let script = script(&mut rng, member, kinds[usize::from(member)]);
            let message = match rng.u8(..12) {
                0 if !before.is_empty() => before.swap_remove(rng.usize(..before.len())),
                1 => signed("lab.", at_s - 2, &script),
                2 => sign(update_message(&script, Some(&[0, 0, 0, 12])), "lab.", at_s, FUDGE_S),
                _ => signed("lab.", at_s, &script),
            };
            let said = worlds.each_mut().map(|world| {
                world.advance(wait_ms);
                let reply = world.send(&message.octets).octets;
                world.registrar.rank(world.now_ms, usize::MAX);
                let mut seen = vec![reply];
                for pool in ["web", "api"] {
                    for (name, rtype) in [("", "A"), ("all.", "A"), ("_http._tcp.", "SRV")] {
                        seen.push(world.ask(&format!("{name}{pool}"), rtype).octets);
                    }
                }
                seen.push(world.ask("m1.web", "A").octets);
                seen.push(world.ask(&format!("m{member}.web"), "TXT").octets);
                seen
            });
            for (one, other) in said[0].iter().zip(&said[1]) {
                let text = |octets: &[u8]| format!("{:?}", Message::from_vec(octets).unwrap());
                assert!(one == other, "seed {seed}, step {step}, {script}:\n{}\n{}", text(one), text(other));
            }
            before.push(message);
            sent += 1;
        }
        assert_eq!(worlds[0].serial(), worlds[1].serial(), "seed {seed}");
        taken += worlds[0].taken;
    }
    assert!(taken * 4 > sent, "{taken} of {sent} were taken: the test tests little");
}
