//! Leases: how long, from when, and across restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hickory_proto::op::ResponseCode;
use rollcall::membership::Cause;
use rollcall::query::{self, Context, Scratch, Transport};
use rollcall::wire::Question;

use super::world::{World, question_message};

fn lease(seconds: u32) -> Vec<u8> {
    seconds.to_be_bytes().to_vec()
}

#[test]
fn the_lease_option_is_granted_clamped_and_returned_in_its_size() {
    let mut world = World::new();
    let m1 = "add m1.web 30 A 10.0.0.1";
    for (asked, granted) in [(10, 10), (1, 2), (90_000, 3_600)] {
        let updated = world.update_with_lease(m1, Some(&lease(asked)));
        assert_eq!(updated.rcode, ResponseCode::NoError);
        assert_eq!(updated.lease, Some(lease(granted)), "asked for {asked}");
    }
    let eight = [lease(20), lease(1_000)].concat();
    let updated = world.update_with_lease(m1, Some(&eight));
    assert_eq!(updated.lease, Some(eight), "the name is kept for longer than the lease");
    world.advance(19_999);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
    world.advance(1);
    assert!(world.ask("web", "A").is_nodata());
    let six = world.update_with_lease(m1, Some(&[0; 6]));
    assert_eq!(six.rcode, ResponseCode::FormErr);
}

#[test]
fn lease_zero_leaves() {
    let mut world = World::new();
    let m1 = "add m1.web 30 A 10.0.0.1";
    world.accept(m1);
    let updated = world.update_with_lease(m1, Some(&lease(0)));
    assert_eq!((updated.causes, updated.lease), (vec![Cause::Deregistered], Some(lease(0))));
    let again = world.update_with_lease(m1, Some(&lease(0)));
    assert_eq!((again.rcode, again.causes), (ResponseCode::NoError, vec![]), "leaving twice is no error");
}

#[test]
fn a_message_that_renews_nothing_is_told_what_is_left() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1; add m1.web 30 TXT site=fra");
    world.advance(10_000);
    for script in ["delete m1.web TXT site=fra", "delete m1.web AAAA"] {
        let updated = world.update_with_lease(script, Some(&lease(60)));
        assert_eq!(updated.lease, Some(lease(20)), "{script}");
    }
    world.accept("add _s._tcp.web 30 SRV 0 0 1 m1.web");
    let updated = world.update_with_lease("add _s._tcp.web 30 SRV 0 0 1 m1.web", Some(&lease(60)));
    assert_eq!(
        updated.lease,
        Some(lease(20)),
        "the service is renewed, but the member ends with its address"
    );
}

#[test]
fn no_reader_moves_a_views_bound_past_a_lease_that_is_being_cut() {
    let mut world = World::new();
    for round in 0..10 {
        let others = (0..200).map(|n| format!("add m{n}.web 30 A 10.0.1.{n}"));
        let all = others.chain(["add m1.chat 30 A 10.0.0.1".to_owned()]).collect::<Vec<_>>().join(";");
        world.update_with_lease(&all, Some(&lease(60)));
        let zones = Arc::clone(world.registrar.published());
        let now_ms = world.now_ms;
        let (stop, asked) = (AtomicBool::new(false), AtomicU32::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let message = question_message("m1.chat", "A", None);
                let (mut question, mut scratch, mut out) =
                    (Question::default(), Scratch::new(0, 1), [0; 512]);
                while !stop.load(Ordering::Relaxed) {
                    let transport = Transport::Udp;
                    let context = Context {
                        zones: &zones,
                        transport,
                        now_ms,
                        reserved: 0,
                        client: None,
                        cookie: None,
                        keepalive: None,
                    };
                    let reading = query::read(&zones, &message, &mut question);
                    query::answer(&context, &question, reading, &message, &mut scratch, &mut out);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
            while asked.load(Ordering::Relaxed) < 100 {
                std::thread::yield_now();
            }
            world.update_with_lease(&all, Some(&lease(2)));
            stop.store(true, Ordering::Relaxed);
        });
        world.now_ms += 1_500;
        assert_eq!(world.ask("m1.chat", "A").ttl_s(), 0, "round {round}: half a second is left");
        world.advance(10_000);
    }
}

#[test]
fn a_shorter_lease_counts_from_now() {
    let mut world = World::new();
    let m1 = "add m1.web 30 A 10.0.0.1";
    world.update_with_lease(m1, Some(&lease(3_600)));
    assert_eq!(world.ask("web", "A").ttl_s(), 5);
    world.update_with_lease(m1, Some(&lease(3)));
    assert_eq!(world.ask("web", "A").ttl_s(), 3, "the answer knows at once");
    world.advance(3_000);
    assert!(world.ask("web", "A").is_nodata());
}

#[test]
fn ten_thousand_leases_due_at_once_in_a_zone_of_twenty_five_thousand() {
    let mut world = World::new();
    for n in 0..25_000_u32 {
        let seconds = if n < 10_000 { 30 } else { 60 };
        let script = format!("add m{n}.p{} 30 A 10.1.{}.{}", n % 500, n / 250, n % 250);
        let updated = world.update_with_lease(&script, Some(&lease(seconds)));
        assert_eq!(updated.rcode, ResponseCode::NoError, "{:?}", updated.refusal);
    }
    assert_eq!(world.registrar.members(), 25_000);
    assert_eq!(world.ask("all.p7", "A").data().len(), 50);
    world.advance_unswept(30_000);
    assert_eq!(world.ask("all.p7", "A").data().len(), 30, "the answers know before the sweep");
    let (first_slice, looked_at) = world.registrar.expire(world.now_ms, 4_096);
    assert_eq!((first_slice.len(), looked_at), (4_096, 4_096), "a crowd comes in bounded slices");
    world.registrar.publish(&first_slice, world.now_ms).unwrap();
    world.expire();
    assert_eq!(world.registrar.members(), 15_000);
    assert_eq!(world.ask("all.p7", "A").data().len(), 30);
    world.advance(30_000);
    assert_eq!(world.registrar.members(), 0);
    assert!(world.ask("p7", "A").is_nodata());
}

#[test]
fn ttl_counts_down_with_the_shortest_lease() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1");
    world.advance(10_000);
    world.accept("add m2.web 30 A 10.0.0.2");
    for (wait_ms, ttl_s) in [(14_999, 5), (2, 4), (1_000, 3), (2_998, 1), (1, 1), (1, 0), (998, 0)] {
        world.advance(wait_ms);
        let answer = world.ask("web", "A");
        assert_eq!((answer.ttl_s(), answer.data().len()), (ttl_s, 2), "at {} ms", world.now_ms);
    }
    world.advance(1);
    let answer = world.ask("web", "A");
    assert_eq!((answer.ttl_s(), answer.data()), (5, vec!["10.0.0.2".to_owned()]));
}

#[test]
fn the_ttl_of_an_update_caps_the_members_own_names_only() {
    let mut world = World::new();
    world.accept("add m1.web 3 A 10.0.0.1; add _http._tcp.web 1 SRV 0 0 80 m1.web; add m1.web 3 TXT a=b");
    assert_eq!(world.ask("web", "A").ttl_s(), 5);
    assert_eq!(world.ask("m1.web", "A").ttl_s(), 3);
    assert_eq!(world.ask("m1.web", "TXT").ttl_s(), 3);
    let srv = world.ask("_http._tcp.web", "SRV");
    assert_eq!((srv.ttl_s(), srv.message.additionals[0].ttl), (5, 3));
}

#[test]
fn a_restart_brings_members_back_with_one_grace() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::with_store(state.path());
    world.accept("add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 10 8080 m1.web");
    world.accept("add left.web 30 A 10.0.0.2");
    world.accept("delete left.web");
    world.accept("add expired.web 30 A 10.0.0.3");
    world.advance(20_000);
    world.accept("add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 10 8080 m1.web");
    world.advance(11_000);
    let serial = world.serial();

    let mut world = world.crash_and_restart(5_000);
    assert_eq!(world.ask("all.web", "A").data(), ["10.0.0.1"], "neither the left nor the expired return");
    assert_eq!(world.changes[0].cause(), Cause::Restored);
    assert_eq!(world.ask("_http._tcp.web", "SRV").data(), ["0 10 8080 m1.web.pool.example."]);
    assert!(world.serial() > serial);
    world.advance(20_000);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);

    let mut world = world.crash_and_restart(1_000);
    world.advance(8_999);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"], "the grace counts from the first start");
    world.advance(1);
    assert!(world.ask("web", "A").is_nodata(), "a further crash adds none");
}

#[test]
fn a_heartbeat_after_a_restart_earns_a_new_grace() {
    let state = tempfile::tempdir().unwrap();
    let m1 = "add m1.web 30 A 10.0.0.1";
    let mut world = World::with_store(state.path());
    world.accept(m1);
    let mut world = world.crash_and_restart(1_000);
    world.advance(25_000);
    world.accept(m1);
    world.advance(29_000);
    let mut world = world.crash_and_restart(1_000);
    world.advance(29_999);
    assert_eq!(world.ask("web", "A").data(), ["10.0.0.1"]);
    world.advance(1);
    assert!(world.ask("web", "A").is_nodata());
}
