//! TTLs are truthful and the dead are not answered, whatever happened before.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use rollcall::query::Transport;

use super::world::{Answer, World};

/// What a member has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Record {
    V4,
    V6,
    Srv,
}

const RECORDS: [Record; 3] = [Record::V4, Record::V6, Record::Srv];

/// One thing that happens.
#[derive(Debug, Clone)]
enum Event {
    /// Member `m` names these of its records, with this lease in seconds.
    Beat { m: u8, records: Vec<Record>, lease_s: u32 },
    /// It deletes one of them.
    Delete { m: u8, record: Record },
    /// It deletes its name.
    Leave { m: u8 },
    /// Time passes, with or without the server's tick.
    Wait { ms: u64, swept: bool },
}

fn event() -> impl Strategy<Value = Event> {
    let record = prop::sample::select(&RECORDS);
    let records = prop::sample::subsequence(&RECORDS, 1..=3);
    let lease_s = prop_oneof![2_u32..15, Just(60), Just(3_600)];
    let wait_ms = prop_oneof![4 => 1_u64..6_000, 1 => 20_000_u64..70_000];
    prop_oneof![
        5 => (0_u8..5, records, lease_s).prop_map(|(m, records, lease_s)| Event::Beat { m, records, lease_s }),
        1 => (0_u8..5, record).prop_map(|(m, record)| Event::Delete { m, record }),
        1 => (0_u8..5).prop_map(|m| Event::Leave { m }),
        4 => (wait_ms, any::<bool>()).prop_map(|(ms, swept)| Event::Wait { ms, swept }),
    ]
}

/// When each record ends, by the plainest reading of what a registration means: the model.
#[derive(Default)]
struct Ends(BTreeMap<(u8, Record), u64>);

impl Ends {
    fn raw(&self, m: u8, record: Record, now_ms: u64) -> Option<u64> {
        self.0.get(&(m, record)).copied().filter(|&end_ms| end_ms > now_ms)
    }

    /// The end of an address, or of a SRV, which goes with its member's last address.
    fn of(&self, m: u8, record: Record, now_ms: u64) -> Option<u64> {
        let member_ms = self.raw(m, Record::V4, now_ms).max(self.raw(m, Record::V6, now_ms))?;
        self.raw(m, record, now_ms).map(|end_ms| end_ms.min(member_ms))
    }

    fn holding(&self, record: Record, now_ms: u64) -> Vec<u8> {
        (0..5).filter(|&m| self.of(m, record, now_ms).is_some()).collect()
    }

    /// A member without an address has left, and takes everything along.
    fn bury(&mut self, now_ms: u64) {
        for m in 0..5 {
            if self.of(m, Record::V4, now_ms).or(self.of(m, Record::V6, now_ms)).is_none() {
                RECORDS.iter().for_each(|&record| _ = self.0.remove(&(m, record)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_answer_is_true(
        pool in prop_oneof![Just("web"), Just("game")],
        events in prop::collection::vec(event(), 1..60),
    ) {
        let mut world = World::new();
        let mut ends = Ends::default();
        for event in events {
            happen(&mut world, &mut ends, pool, &event);
            check(&mut world, &ends, pool);
        }
    }
}

fn line(m: u8, pool: &str, record: Record) -> String {
    match record {
        Record::V4 => format!("m{m}.{pool} 30 A 10.0.0.{m}"),
        Record::V6 => format!("m{m}.{pool} 30 AAAA 2001:db8::{m}"),
        Record::Srv => format!("_s._tcp.{pool} 30 SRV 0 1 1 m{m}.{pool}"),
    }
}

fn happen(world: &mut World, ends: &mut Ends, pool: &str, event: &Event) {
    let now_ms = world.now_ms;
    ends.bury(now_ms);
    match event {
        Event::Beat { m, records, lease_s } => {
            let script: Vec<_> =
                records.iter().map(|&record| format!("add {}", line(*m, pool, record))).collect();
            let updated = world.update_with_lease(&script.join(";"), Some(&lease_s.to_be_bytes()));
            if updated.refusal.is_none() {
                let end_ms = now_ms + u64::from(*lease_s) * 1000;
                records.iter().for_each(|&record| _ = ends.0.insert((*m, record), end_ms));
            }
        }
        Event::Delete { m, record } => {
            let words = line(*m, pool, *record).replacen(" 30 ", " ", 1);
            world.accept(&format!("delete {words}"));
            ends.0.remove(&(*m, *record));
        }
        Event::Leave { m } => {
            world.accept(&format!("delete m{m}.{pool}"));
            RECORDS.iter().for_each(|&record| _ = ends.0.remove(&(*m, record)));
        }
        Event::Wait { ms, swept: true } => world.advance(*ms),
        Event::Wait { ms, swept: false } => world.advance_unswept(*ms),
    }
    ends.bury(world.now_ms);
}

/// Which member a record is of, by its rdata.
fn member(text: &str) -> u8 {
    let last = match text.split(' ').nth(3) {
        Some(target) => target.split('.').next().unwrap().trim_start_matches('m'),
        None => text.rsplit(['.', ':']).next().unwrap(),
    };
    if last.is_empty() { 0 } else { last.parse().unwrap() }
}

/// Asks everything and holds it against the model: who is answered, and for how long.
fn check(world: &mut World, ends: &Ends, pool: &str) {
    let now_ms = world.now_ms;
    let true_ttl_s = |end_ms: u64| ((end_ms - now_ms) / 1000).min(5) as u32;
    let of = |text: &str| {
        if text.contains(' ') {
            Record::Srv
        } else if text.contains(':') {
            Record::V6
        } else {
            Record::V4
        }
    };
    // Every record of every section, whatever was asked.
    let check_ttls = |answer: &Answer| {
        for record in answer.message.answers.iter().chain(&answer.message.additionals) {
            let text = record.data.to_string();
            let end_ms =
                ends.of(member(&text), of(&text), now_ms).expect("nothing that has ended is answered");
            assert!(
                record.ttl <= true_ttl_s(end_ms),
                "{text} ends at {end_ms}, TTL {} at {now_ms}",
                record.ttl
            );
        }
        if !answer.message.answers.is_empty() {
            answer.ttl_s();
        }
    };

    for (record, rtype, name) in [
        (Record::V4, "A", format!("all.{pool}")),
        (Record::V6, "AAAA", format!("all.{pool}")),
        (Record::Srv, "SRV", format!("_s._tcp.all.{pool}")),
        (Record::Srv, "SRV", format!("_s._tcp.{pool}")),
    ] {
        let answer = world.ask(&name, rtype);
        let mut shown: Vec<u8> = answer.data().iter().map(|text| member(text)).collect();
        shown.sort_unstable();
        assert_eq!(shown, ends.holding(record, now_ms), "{name} {rtype} shows exactly who is there");
        check_ttls(&answer);
    }
    for transport in [Transport::Udp, Transport::Tcp] {
        for (record, rtype) in [(Record::V4, "A"), (Record::V6, "AAAA")] {
            let picked = world.ask_over(transport, pool, rtype, Some(1232));
            assert_eq!(picked.data().is_empty(), ends.holding(record, now_ms).is_empty());
            check_ttls(&picked);
        }
    }
    for m in 0..5 {
        let (v4, v6) = (ends.of(m, Record::V4, now_ms), ends.of(m, Record::V6, now_ms));
        let own = [world.ask(&format!("m{m}.{pool}"), "A"), world.ask(&format!("m{m}.{pool}"), "AAAA")];
        for (answer, end_ms) in own.iter().zip([v4, v6]) {
            match (end_ms, v4.or(v6)) {
                (Some(_), _) => check_ttls(answer),
                (None, Some(_)) => assert!(answer.is_nodata(), "m{m} has no such address"),
                (None, None) => assert!(answer.is_nxdomain(), "m{m} is gone"),
            }
        }
        let any = world.ask(&format!("m{m}.{pool}"), "ANY");
        assert_eq!(any.data().is_empty(), v4.or(v6).is_none(), "ANY shows what is there");
    }
}
