//! Each policy against its definition: RFC 5356 for who is picked, and what this server adds to it: picks of several, SRV fields,
//! weight 0, slow start, smoothing.
//!
//! What a policy decides is asked of a ranking alone ([`alone`]), where an expected value is exact, and of a whole server on a
//! simulated clock, where UPDATEs go in and answers come out. Expected values are worked out here a second time, in the plainest
//! way: a sorted list, a sum, a product of probabilities. With POLICIES_LONG set, the tests by lot run a hundred times as long.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod alone;
mod best;
mod chance;
mod crowd;
mod degradation;
mod equals;
mod fields;
mod load;
mod properties;
mod turns;
#[path = "../scenarios/world.rs"]
mod world;

use std::num::NonZeroU16;

use rollcall::policy::{Policy, Shown};
use rollcall::zone::PoolSettings;
use world::{Setup, World, pool_settings};

/// An answer shows so many.
fn at_most(members: u16) -> Shown {
    Shown::AtMost(NonZeroU16::new(members).unwrap())
}

/// All nine.
fn policies() -> impl Iterator<Item = Policy> {
    Policy::NAMES.into_iter().map(|(_, policy)| policy)
}

/// What a test is made of whose only pool is `p`.
fn setup(settings: PoolSettings) -> Setup {
    Setup { pools: vec![("p", settings)], ..Setup::default() }
}

/// A server whose pool `p` has this policy, and shows so many addresses.
fn world_of(policy: Policy, addresses: Shown) -> World {
    World::with(setup(PoolSettings { addresses, ..pool_settings(policy) }))
}

/// Member `m` joins `p`, or sends a heartbeat: an address, a service, and what it says of itself.
fn join(world: &mut World, m: u8, attributes: &str) {
    let says =
        if attributes.is_empty() { String::new() } else { format!("; add m{m}.p 30 TXT {attributes}") };
    let records = format!("add m{m}.p 30 A 10.0.0.{m}; add _s._tcp.p 30 SRV 7 {m} 80 m{m}.p");
    let updated = world.update(&format!("{records}{says}"));
    assert_eq!(updated.refusal, None, "m{m}: {attributes}");
}

/// Who stands in an answer for the addresses of `p`, in its order.
fn shown(world: &mut World) -> Vec<u8> {
    let data = world.ask("p", "A").data();
    data.iter().map(|address| address.rsplit('.').next().unwrap().parse().unwrap()).collect()
}

/// Who is picked first in each of so many answers.
fn firsts(world: &mut World, answers: usize) -> Vec<u8> {
    (0..answers).map(|_| shown(world)[0]).collect()
}

/// Priority and weight in each member's SRV record, by member.
fn fields(world: &mut World, name: &str) -> Vec<(u8, u16, u16)> {
    let read = |data: &String| {
        let words: Vec<&str> = data.split(' ').collect();
        let member = words[3].trim_start_matches('m').split('.').next().unwrap().parse().unwrap();
        (member, words[0].parse().unwrap(), words[1].parse().unwrap())
    };
    let mut fields: Vec<_> = world.ask(name, "SRV").data().iter().map(read).collect();
    fields.sort_unstable();
    fields
}

/// Time passes as in production: the tick ends leases and ranks what is due.
fn pass(world: &mut World, ms: u64) {
    let mut left = ms;
    while left > 0 {
        let step = left.min(25);
        world.advance(step);
        world.registrar.rank(world.now_ms, usize::MAX);
        left -= step;
    }
}

/// So many draws, or a hundred times as many if somebody wants to wait for them.
fn rounds(short: u32) -> u32 {
    if std::env::var_os("POLICIES_LONG").is_some() { short.saturating_mul(100) } else { short }
}
