//! Pools that no message holds: the policy picks what fits, and everybody has a turn.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use hickory_proto::rr::RData;
use rollcall::policy::{Policy, Shown};
use rollcall::query::Transport;
use rollcall::zone::PoolSettings;

use super::world::{Answer, World, pool_settings};
use super::{at_most, policies, setup};

/// So many members, 200 a message, each with an address and a port of its own.
fn crowd(members: u16, settings: PoolSettings, is_named: bool) -> World {
    let mut world = World::with(setup(settings));
    let all: Vec<u16> = (0..members).collect();
    for some in all.chunks(200) {
        let joins = some.iter().map(|m| {
            let name = if is_named { format!("m{m:05}{}", "x".repeat(57)) } else { format!("m{m:05}") };
            let address = Ipv4Addr::from(0x0A00_0000 + u32::from(*m));
            let service = format!("add _s._tcp.p 3600 SRV 0 1 {} {name}.p", m + 1);
            format!(
                "add {name}.p 3600 A {address}{}",
                if is_named { format!("; {service}") } else { String::new() }
            )
        });
        let updated =
            world.update_with_lease(&joins.collect::<Vec<_>>().join(";"), Some(&3_600_u32.to_be_bytes()));
        assert_eq!(updated.refusal, None);
    }
    world
}

/// Which members stand in the answer section.
fn members(answer: &Answer) -> Vec<u32> {
    let member = |data: &RData| match data {
        RData::A(address) => u32::from(address.0) - 0x0A00_0000,
        RData::SRV(srv) => u32::from(srv.port) - 1,
        other => panic!("{other:?}"),
    };
    answer.message.answers.iter().map(|record| member(&record.data)).collect()
}

#[test]
fn addresses_that_no_message_holds() {
    let all = |policy| PoolSettings { addresses: Shown::All, ..pool_settings(policy) };
    let mut world = crowd(4_300, all(Policy::RoundRobin), false);
    let stable = members(&world.ask("all.p", "A"));
    for policy in policies() {
        world.reload(setup(all(policy)));
        for name in ["p", "all.p"] {
            let answer = world.ask(name, "A");
            let shown = members(&answer);
            assert!(
                answer.octets.len() <= 65_535 && !answer.message.metadata.truncation,
                "{policy:?} {name}"
            );
            assert!((4_000..4_300).contains(&shown.len()), "{policy:?} {name}: {}", shown.len());
            assert_eq!(shown.iter().collect::<HashSet<_>>().len(), shown.len(), "{policy:?}: nobody twice");
            assert!(name == "p" || shown == stable, "{policy:?}: all. has one order");
        }
        let cut = world.ask_over(Transport::Udp, "p", "A", Some(4_096));
        assert!(cut.message.metadata.truncation && cut.octets.len() <= 1_232, "{policy:?}");
    }
}

#[test]
fn everybody_has_a_turn_in_an_answer_that_is_full() {
    const MEMBERS: u16 = 690;
    let mut world = crowd(MEMBERS, pool_settings(Policy::RoundRobin), true);
    for policy in policies() {
        world.reload(setup(pool_settings(policy)));
        let is_in_turn = matches!(policy, Policy::RoundRobin | Policy::WeightedRoundRobin | Policy::Priority);
        // As many as it takes until everybody was left out as often as everybody else.
        let answers = if is_in_turn { u32::from(MEMBERS) } else { 100 };
        let (mut shown, mut fitting) = (vec![0_u32; usize::from(MEMBERS)], None);
        for _ in 0..answers {
            let answer = world.ask("_s._tcp.p", "SRV");
            assert!(answer.octets.len() <= 65_535 && !answer.message.metadata.truncation, "{policy:?}");
            let members = members(&answer);
            assert!(members.len() < usize::from(MEMBERS), "{policy:?}: it does not fit");
            assert_eq!(*fitting.get_or_insert(members.len()), members.len(), "{policy:?}: as many as fit");
            members.iter().for_each(|&member| shown[member as usize] += 1);
        }
        let left_out = u32::from(MEMBERS) - fitting.unwrap() as u32;
        assert_eq!(left_out, 22, "of 98 octets each, 668 fit");
        // In turn, the same one is left out so many times on end; by lot, hardly as often.
        let (least, most) = match policy {
            Policy::RoundRobin | Policy::Priority => (left_out, left_out),
            // Past some hundreds it no longer takes turns one by one.
            Policy::WeightedRoundRobin => (left_out - 4, left_out + 4),
            _ => (0, left_out),
        };
        let times = shown.iter().map(|shown| answers - shown);
        assert!(times.clone().all(|times| (least..=most).contains(&times)), "{policy:?}: {:?}", times.max());

        world.reload(setup(PoolSettings { addresses: at_most(Shown::PICK_MAX), ..pool_settings(policy) }));
        let picked = world.ask_over(Transport::Udp, "p", "A", Some(4_096));
        let shown = members(&picked);
        assert!(!picked.message.metadata.truncation && shown.len() == 64, "{policy:?}: {}", shown.len());
        assert_eq!(shown.iter().collect::<HashSet<_>>().len(), 64, "{policy:?}: nobody twice");
    }
}
