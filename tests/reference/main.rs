//! Random pools, and whatever can be asked about them: the question path against a plain reference.
//!
//! Members join over UPDATE, heartbeats give their records leases of many ends, some drain, time passes, and the server has
//! looked for what has ended or has not. Where a policy has a choice, whom it shows is free; everything else about the answer is
//! not: see [`seen`]. With REFERENCE_LONG set, it takes its time.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod batches;
mod drawn;
mod plain;
mod seen;
#[path = "../scenarios/world.rs"]
mod world;

use std::num::NonZeroU16;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use rollcall::policy::Shown;

use drawn::{Ask, ask, both, pool};
use seen::Judged;
use world::question_message;

fn at_most(members: u16) -> Shown {
    Shown::AtMost(NonZeroU16::new(members).unwrap())
}

fn config(short: u32, long: u32) -> ProptestConfig {
    let cases = if std::env::var_os("REFERENCE_LONG").is_some() { long } else { short };
    let path = "tests/reference/regressions.txt";
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(path))),
        ..ProptestConfig::default()
    }
}

/// The question as it is sent, some of its letters capital.
fn message(ask: &Ask) -> Vec<u8> {
    let rtype = format!("TYPE{}", ask.rtype);
    let mut octets = question_message(&ask.name(), &rtype, ask.udp.filter(|size| *size > 0));
    let mut at = 12;
    while octets[at] > 0 {
        let end = at + usize::from(octets[at]);
        for (place, octet) in octets.iter_mut().enumerate().take(end + 1).skip(at + 1) {
            if ask.capitals >> (place % 64) & 1 == 1 {
                octet.make_ascii_uppercase();
            }
        }
        at = end + 1;
    }
    octets
}

proptest! {
    #![proptest_config(config(400, 20_000))]

    #[test]
    fn pools_are_answered_as_the_reference_says(
        (web, spare) in (pool(), pool()),
        swept_ms in prop_oneof![1 => Just(0_u64), 2 => 1_u64..40_000],
        unswept_ms in prop_oneof![1 => Just(0_u64), 2 => 1_u64..40_000],
        asked in prop::collection::vec(ask(), 60),
    ) {
        let (mut world, mut plain) = both(&web, &spare);
        world.advance(swept_ms);
        plain.now_ms = world.now_ms;
        plain.sweep();
        world.advance_unswept(unswept_ms);
        plain.now_ms = world.now_ms;
        for ask in &asked {
            let question = message(ask);
            let octets = world.answer(Judged::transport(ask), &question).expect("a reply");
            Judged::new(ask, &question, &octets, plain.now_ms).check(&plain.answer(ask.asking, ask.rtype));
        }
    }
}
