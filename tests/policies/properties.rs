//! What holds of every answer under every policy, whatever members there are and however many have died unnoticed.

use std::collections::BTreeSet;

use hickory_proto::rr::RData;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use rollcall::policy::{Policy, Shown};
use rollcall::zone::{OnAllDown, PoolSettings};

use super::world::{Answer, World, pool_settings};
use super::{at_most, setup};

pub fn config(cases: u32) -> ProptestConfig {
    let file = FileFailurePersistence::Direct("tests/policies/regressions.txt");
    ProptestConfig { cases, failure_persistence: Some(Box::new(file)), ..ProptestConfig::default() }
}

/// What a member registers.
#[derive(Debug, Clone)]
struct Joining {
    v4: u8,
    v6: u8,
    services: Vec<&'static str>,
    weight: Option<u32>,
    priority: Option<u32>,
    load: Option<f64>,
    degradation: Option<f64>,
    lease_s: u32,
}

const SERVICES: [&str; 2] = ["_s._tcp", "_t._udp"];

fn joining() -> impl Strategy<Value = Joining> {
    let families =
        prop_oneof![3 => Just((1_u8, 0_u8)), 1 => Just((0, 1)), 2 => Just((1, 1)), 1 => Just((2, 3))];
    let services = prop::sample::subsequence(&SERVICES[..], 0..=2);
    let weight = prop::option::of(prop_oneof![Just(0), 1_u32..5, any::<u32>()]);
    let priority = prop::option::of(0_u32..3);
    let load = prop::option::of(prop_oneof![Just(0.5), Just(1.0), 0.0..1.0]);
    let degradation = prop::option::of(prop_oneof![Just(0.0), Just(0.25), 0.0..1.0]);
    let lease_s = prop_oneof![2 => Just(60_u32), 1 => 2_u32..12];
    (families, services, weight, priority, load, degradation, lease_s).prop_map(
        |((v4, v6), services, weight, priority, load, degradation, lease_s)| Joining {
            v4,
            v6,
            services,
            weight,
            priority,
            load,
            degradation,
            lease_s,
        },
    )
}

impl Joining {
    fn join(&self, world: &mut World, m: usize) {
        let v4 = (0..self.v4).map(|n| format!("add m{m}.p 30 A 10.0.{n}.{m}"));
        let v6 = (0..self.v6).map(|n| format!("add m{m}.p 30 AAAA 2001:db8:{n}::{m}"));
        let services =
            self.services.iter().map(|service| format!("add {service}.p 30 SRV 1 2 {} m{m}.p", m + 1));
        let says = [
            self.weight.map(|value| format!("weight={value}")),
            self.priority.map(|value| format!("priority={value}")),
            self.load.map(|value| format!("load={value}")),
            self.degradation.map(|value| format!("degradation={value}")),
        ];
        let says = says.into_iter().flatten().map(|says| format!("add m{m}.p 30 TXT {says}"));
        let script: Vec<String> = v4.chain(v6).chain(services).chain(says).collect();
        let updated = world.update_with_lease(&script.join(";"), Some(&self.lease_s.to_be_bytes()));
        assert_eq!(updated.refusal, None);
    }

    /// How many records it has that a question for this type at this name finds.
    fn records(&self, name: &str, rtype: &str) -> usize {
        match rtype {
            "A" => usize::from(self.v4),
            "AAAA" => usize::from(self.v6),
            _ => usize::from(self.services.iter().any(|service| name.starts_with(service))),
        }
    }
}

/// Whose record it is.
fn member(data: &RData) -> usize {
    match data {
        RData::A(address) => usize::from(address.0.octets()[3]),
        RData::AAAA(address) => format!("{:x}", address.0.segments()[7]).parse().unwrap(),
        RData::SRV(srv) => usize::from(srv.port) - 1,
        other => panic!("{other:?}"),
    }
}

/// What must hold of an answer, given who is to be found there: each with all its records, at most `most` of them.
fn check(answer: &Answer, found: &BTreeSet<usize>, members: &[Joining], most: usize, now_s: f64) {
    let records = &answer.message.answers;
    let (name, rtype) =
        (answer.message.queries[0].name().to_string(), answer.message.queries[0].query_type());
    let distinct: BTreeSet<String> = records.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(distinct.len(), records.len(), "no record twice");
    let shown: BTreeSet<usize> = records.iter().map(|record| member(&record.data)).collect();
    assert!(shown.is_subset(found), "{name} {rtype}: {shown:?} of {found:?}");
    assert_eq!(shown.len(), found.len().min(most), "{name} {rtype}: {shown:?} of {found:?}");
    let all: usize = shown.iter().map(|&m| members[m].records(&name, &rtype.to_string())).sum();
    assert_eq!(records.len(), all, "a member is shown whole");
    assert!(!answer.message.metadata.truncation);
    for record in records {
        let left_s = f64::from(members[member(&record.data)].lease_s) - now_s;
        assert!(
            f64::from(record.ttl) <= left_s && record.ttl <= 5,
            "{name} {rtype}: {} of {left_s}",
            record.ttl
        );
    }
}

proptest! {
    #![proptest_config(config(120))]

    #[test]
    fn every_answer_shows_as_many_as_it_may_and_nobody_who_is_not_there(
        policy in prop::sample::select(Policy::NAMES.to_vec()),
        on_all_down in prop::sample::select(vec![OnAllDown::All, OnAllDown::NoData]),
        addresses in prop::option::of(1_u16..6),
        services in prop::option::of(1_u16..6),
        members in prop::collection::vec(joining(), 0..9),
        waits_ms in prop::collection::vec(prop_oneof![1_u64..60, 300_u64..4_000], 1..5),
    ) {
        let shown = |most: Option<u16>| most.map_or(Shown::All, at_most);
        let settings = PoolSettings {
            addresses: shown(addresses),
            services: shown(services),
            warm_up_ms: 5_000,
            on_all_down: on_all_down.clone(),
            ..pool_settings(policy.1)
        };
        let mut world = World::with(setup(settings));
        members.iter().enumerate().for_each(|(m, joining)| joining.join(&mut world, m));
        let began_ms = world.now_ms;
        for (at, wait_ms) in waits_ms.into_iter().enumerate() {
            // Every other time the server's tick is late: the dead stand in the view, and are passed over.
            if at % 2 == 0 {
                world.advance_unswept(wait_ms);
            } else {
                super::pass(&mut world, wait_ms);
            }
            let now_s = (world.now_ms - began_ms) as f64 / 1_000.0;
            let there = |name: &str, rtype: &str, is_all: bool| -> BTreeSet<usize> {
                let there = members.iter().enumerate().filter(|(_, joining)| {
                    f64::from(joining.lease_s) > now_s
                        && (is_all || joining.weight != Some(0))
                        && joining.records(name, rtype) > 0
                });
                there.map(|(m, _)| m).collect()
            };
            for _ in 0..3 {
                for (name, rtype, most) in [
                    ("p", "A", addresses),
                    ("p", "AAAA", addresses),
                    ("_s._tcp.p", "SRV", services),
                    ("_t._udp.p", "SRV", services),
                ] {
                    let most = most.map_or(usize::MAX, usize::from);
                    let answer = world.ask(name, rtype);
                    // Of a pool either family counts, of a service those that offer it.
                    let fit = ["A", "AAAA"].map(|family| there(name, if name == "p" { family } else { rtype }, false));
                    let is_last_resort = fit.iter().all(BTreeSet::is_empty) && on_all_down == OnAllDown::All;
                    let most = if is_last_resort { usize::MAX } else { most };
                    check(&answer, &there(name, rtype, is_last_resort), &members, most, now_s);
                    let of_all = name.strip_suffix('p').unwrap().to_owned() + "all.p";
                    let all = world.ask(&of_all, rtype);
                    check(&all, &there(name, rtype, true), &members, usize::MAX, now_s);
                    let again: Vec<String> = world.ask(&of_all, rtype).data();
                    prop_assert_eq!(all.data(), again, "one order");
                }
            }
        }
    }
}
