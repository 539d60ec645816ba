//! TTLs are truthful and the dead are not answered, whatever happened before.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use rollcall::query::Transport;

use super::world::World;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    /// Member `m` registers or renews, address and SRV, with this lease in seconds.
    Beat {
        m: u8,
        lease_s: u32,
    },
    /// Only its address is named: its SRV keeps its old end.
    BeatAddress {
        m: u8,
        lease_s: u32,
    },
    Leave {
        m: u8,
    },
    /// Time passes, with or without the server's tick.
    Wait {
        ms: u64,
        swept: bool,
    },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u8..6, 2_u32..15).prop_map(|(m, lease_s)| Event::Beat { m, lease_s }),
        2 => (0_u8..6, 2_u32..15).prop_map(|(m, lease_s)| Event::BeatAddress { m, lease_s }),
        1 => (0_u8..6).prop_map(|m| Event::Leave { m }),
        4 => (1_u64..6_000, any::<bool>()).prop_map(|(ms, swept)| Event::Wait { ms, swept }),
    ]
}

/// When each member's address and SRV end, by the plainest reading of design: the model.
#[derive(Default)]
struct Ends(BTreeMap<u8, (u64, Option<u64>)>);

impl Ends {
    fn address(&self, m: u8, now_ms: u64) -> Option<u64> {
        self.0.get(&m).map(|ends| ends.0).filter(|&end_ms| end_ms > now_ms)
    }

    fn srv(&self, m: u8, now_ms: u64) -> Option<u64> {
        self.address(m, now_ms)?;
        self.0.get(&m)?.1.filter(|&end_ms| end_ms > now_ms)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_answer_is_true(pool in prop_oneof![Just("web"), Just("game")], events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new();
        let mut ends = Ends::default();
        for event in events {
            happen(&mut world, &mut ends, pool, &event);
            check(&mut world, &ends, pool);
        }
    }
}

fn happen(world: &mut World, ends: &mut Ends, pool: &str, event: &Event) {
    let now_ms = world.now_ms;
    match *event {
        Event::Beat { m, lease_s } => {
            let script =
                format!("add m{m}.{pool} 30 A 10.0.0.{m}; add _s._tcp.{pool} 30 SRV 0 1 1 m{m}.{pool}");
            world.update_with_lease(&script, Some(&lease_s.to_be_bytes()));
            let end_ms = now_ms + u64::from(lease_s) * 1000;
            ends.0.insert(m, (end_ms, Some(end_ms)));
        }
        Event::BeatAddress { m, lease_s } => {
            let script = format!("add m{m}.{pool} 30 A 10.0.0.{m}");
            world.update_with_lease(&script, Some(&lease_s.to_be_bytes()));
            let srv = ends.srv(m, now_ms);
            ends.0.insert(m, (now_ms + u64::from(lease_s) * 1000, srv));
        }
        Event::Leave { m } => {
            world.accept(&format!("delete m{m}.{pool}"));
            ends.0.remove(&m);
        }
        Event::Wait { ms, swept: true } => world.advance(ms),
        Event::Wait { ms, swept: false } => world.advance_unswept(ms),
    }
}

/// Asks everything and holds it against the model: who is answered, and for how long.
fn check(world: &mut World, ends: &Ends, pool: &str) {
    let now_ms = world.now_ms;
    let live = |m: &u8| ends.address(*m, now_ms).is_some();
    let members: Vec<u8> = (0..6).filter(live).collect();
    let offering: Vec<u8> = (0..6).filter(|&m| ends.srv(m, now_ms).is_some()).collect();
    let number = |text: &str| text.rsplit('.').next().unwrap().parse::<u8>().unwrap();
    let target = |text: &str| text.split(' ').nth(3).unwrap()[1..2].parse::<u8>().unwrap();
    let true_ttl_s = |end_ms: u64| ((end_ms - now_ms) / 1000).min(5) as u32;

    let all = world.ask(&format!("all.{pool}"), "A");
    let shown: Vec<u8> = all.data().iter().map(|text| number(text)).collect();
    assert_eq!(shown, members, "all. shows exactly who is live");
    let first_end_ms = members.iter().filter_map(|&m| ends.address(m, now_ms)).min();
    if let Some(first_end_ms) = first_end_ms {
        assert_eq!(all.ttl_s(), true_ttl_s(first_end_ms));
    }

    for transport in [Transport::Udp, Transport::Tcp] {
        let picked = world.ask_over(transport, pool, "A", Some(1232));
        assert_eq!(picked.data().is_empty(), members.is_empty());
        for record in &picked.message.answers {
            let end_ms = ends.address(number(&record.data.to_string()), now_ms).expect("a live member");
            assert!(record.ttl <= true_ttl_s(end_ms));
            assert_eq!(record.ttl, picked.ttl_s());
        }
    }

    let srv = world.ask(&format!("_s._tcp.{pool}"), "SRV");
    let mut shown: Vec<u8> = srv.data().iter().map(|text| target(text)).collect();
    shown.sort_unstable();
    assert_eq!(shown, offering, "SRV shows exactly who offers it");
    for record in &srv.message.answers {
        assert!(record.ttl <= true_ttl_s(ends.srv(target(&record.data.to_string()), now_ms).unwrap()));
        assert_eq!(record.ttl, srv.ttl_s());
    }
    for record in &srv.message.additionals {
        let end_ms = ends.address(number(&record.data.to_string()), now_ms).expect("a live member");
        assert!(record.ttl <= true_ttl_s(end_ms), "Additional is true as well");
    }
    for m in 0..6 {
        let own = world.ask(&format!("m{m}.{pool}"), "A");
        match ends.address(m, now_ms) {
            Some(end_ms) => assert!(own.ttl_s() <= true_ttl_s(end_ms)),
            None => assert!(own.is_nxdomain(), "m{m} is gone"),
        }
    }
}
