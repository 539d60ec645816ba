//! What a question costs with no kernel in the way: reading it, finding its name, picking, writing its answer, and all of that.
//!
//! ```text
//! cargo bench --bench questions                      all of it: some two minutes once it is built
//! cargo bench --bench questions -- encode/SRV        what has this in its name
//! scripts/bench --questions                          all of it, as a table, and instructions by callgrind
//! ```
//!
//! What the figures are figures of:
//! 1. `read`, `pick` and `encode` find everything in the processor's caches: `read` has 4,096 questions, `pick` one pool,
//!    `encode` one batch of 16 that was read before and is answered time and again.
//! 2. `lookup` is one probe of the index and a look at what it found, for all names in no order; one does not wait for another, so
//!    that the memory which several wait for is fetched at a time. Names that are not there come from the same list, with a letter
//!    more.
//! 3. `answer` is what a UDP worker does: batches of 16, each read whole and then answered whole, over all pools in no order.
//!    At 100,000 pools little of it is in the caches.
//! 4. Questions have EDNS, but for `read/plain`. The pools of `answer` and `encode` are round-robin's; `pick` has each policy with as
//!    many members as it shows by default.
//! 5. Time is the CPU's, of this thread: what others do on the machine meanwhile is not in it, but for the caches.

#![allow(clippy::expect_used, reason = "a benchmark may fail by panicking")]

#[path = "../examples/answering/batches.rs"]
mod batches;
mod measure;
#[path = "../examples/answering/pools.rs"]
mod pools;

use std::cell::LazyCell;
use std::env;
use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::Measurement;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use rollcall::policy::{Chooser, Offer, Policy};
use rollcall::query;
use rollcall::wire::{NameKey, Question, Reading};
use rollcall::zone::{Role, ZoneSet};
use sdd::Guard;

use batches::{BATCH, Kind, Questions, Tally, Worker};
use measure::{Cpu, group};
use pools::{Size, ZONE, label, publish};

/// Left out where each benchmark runs once, to see that it does: cargo says `--bench` when it is to measure.
fn is_measured() -> bool {
    env::args().any(|argument| argument == "--bench")
}

fn sizes() -> Vec<Size> {
    let names = if is_measured() { &["100x4", "100x10", "100000x10"][..] } else { &["100x4", "100x10"] };
    names.iter().filter_map(|name| Size::named(name)).collect()
}

fn zones(size: Size, policy: Policy) -> ZoneSet {
    publish(size, policy).expect("the roll has room, and the names are names")
}

fn reads(criterion: &mut Criterion<Cpu>) {
    let size = Size { pools: 100, members: 4 };
    let zones = zones(size, Policy::RoundRobin);
    let mut group = group(criterion, "read");
    for (name, has_edns) in [("plain", false), ("EDNS", true)] {
        let list = Questions::new(Kind::A, size, has_edns);
        let mut question = Question::default();
        let mut next = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                next = if next + 1 < list.len() { next + 1 } else { 0 };
                let reading = query::read(&zones, black_box(list.get(next)), &mut question);
                assert_eq!(reading, Reading::Question);
            });
        });
    }
}

/// Names with their hashes, close together: what is waited for is the index.
struct Names {
    names: Vec<(u64, Box<[u8]>)>,
    next: usize,
}

impl Names {
    /// All pools, or as many names that are not there.
    fn new(pools: usize, are_pools: bool, zones: &ZoneSet) -> Self {
        let mut rng = fastrand::Rng::with_seed(42);
        let mut names: Vec<_> = (0..pools).map(|pool| name(pool, are_pools, zones)).collect();
        rng.shuffle(&mut names);
        Names { names: names.into_iter().map(|(hash, name)| (hash, name.into())).collect(), next: 0 }
    }

    fn next(&mut self) -> Option<&(u64, Box<[u8]>)> {
        self.next = if self.next + 1 < self.names.len() { self.next + 1 } else { 0 };
        self.names.get(self.next)
    }
}

fn name(pool: usize, is_pool: bool, zones: &ZoneSet) -> (u64, Vec<u8>) {
    let mut label = label(pool);
    if !is_pool {
        label.push(b'x');
        label.splice(..1, [label.len() as u8 - 1]);
    }
    let name = [&label, ZONE].concat();
    let key = NameKey::of(&name, zones.hasher()).expect("a name");
    (key.suffix(0).expect("a label").1, name)
}

fn lookups(criterion: &mut Criterion<Cpu>) {
    let large = if is_measured() { 100_000 } else { 1_000 };
    for pools in [100, large] {
        let zones = LazyCell::new(|| zones(Size { pools, members: 1 }, Policy::RoundRobin));
        let mut group = group(criterion, "lookup");
        for (kind, are_pools) in [("found", true), ("not-there", false)] {
            group.bench_function(BenchmarkId::new(kind, pools), |bencher| {
                let mut names = Names::new(pools, are_pools, &zones);
                let apex = NameKey::of(ZONE, zones.hasher()).expect("a name");
                let zone = zones.find(&apex).expect("the zone");
                bencher.iter(|| {
                    let (hash, name) = names.next().expect("the list goes round");
                    let guard = Guard::new();
                    let node = zone.index.find(name, *hash, &guard);
                    assert_eq!(node.is_some_and(|node| matches!(node.role, Role::Pool(_))), are_pools);
                });
            });
        }
    }
}

fn picks(criterion: &mut Criterion<Cpu>) {
    let mut group = group(criterion, "pick");
    for (name, policy) in Policy::NAMES {
        for members in [4, 10] {
            group.bench_function(BenchmarkId::new(name, members), |bencher| {
                let zones = zones(Size { pools: 1, members }, policy);
                let key = NameKey::of(&[&label(0), ZONE].concat(), zones.hasher()).expect("a name");
                let guard = Guard::new();
                let zone = zones.find(&key).expect("the zone");
                let (node, _) = zone.locate(&key, &guard).expect("the pool");
                let Role::Pool(view) = &node.role else { return };
                let mut chooser = Chooser::new(0, 7);
                bencher.iter(|| {
                    let ranking = &black_box(view).v4.ranking;
                    if let Some(start) = ranking.whole(&mut chooser, true) {
                        return black_box(start);
                    }
                    let mut last = 0;
                    ranking.offer(&mut chooser, zones.leases(), |place| {
                        last = black_box(place);
                        Offer::Taken
                    });
                    last
                });
            });
        }
    }
}

/// The CPU time of so many answers, of which `batch` makes a batch at a time.
fn time_batches(answers: u64, mut batch: impl FnMut(&mut Tally), kind: Kind) -> Duration {
    let batches = answers.div_ceil(BATCH as u64);
    let mut tally = Tally::default();
    let began = Cpu.start();
    for _ in 0..batches {
        batch(&mut tally);
    }
    let spent = Cpu.end(began);
    let made = batches * BATCH as u64;
    assert!(tally.is_of(kind, made as usize), "{tally:?}");
    spent.mul_f64(answers as f64 / made as f64)
}

fn answers(criterion: &mut Criterion<Cpu>) {
    for size in sizes() {
        let zones = LazyCell::new(|| zones(size, Policy::RoundRobin));
        let mut encodes = group(criterion, "encode");
        for (name, kind) in Kind::ALL.into_iter().filter(|(_, kind)| size.pools <= 100 && *kind != Kind::Mix)
        {
            encodes.bench_function(BenchmarkId::new(name, size.name()), |bencher| {
                let list = Questions::new(kind, size, true);
                let mut worker = Worker::warm(&zones, &list);
                worker.read(&zones, &list);
                bencher.iter_custom(|answers| {
                    time_batches(answers, |tally| worker.answer(black_box(&zones), &list, tally), kind)
                });
            });
        }
        encodes.finish();
        let mut whole = group(criterion, "answer");
        for (name, kind) in Kind::ALL {
            whole.bench_function(BenchmarkId::new(name, size.name()), |bencher| {
                let list = Questions::new(kind, size, true);
                let mut worker = Worker::warm(&zones, &list);
                bencher.iter_custom(|answers| {
                    time_batches(answers, |tally| worker.serve(black_box(&zones), &list, tally), kind)
                });
            });
        }
    }
}

criterion_group! {
    name = all;
    config = Criterion::default().with_measurement(Cpu);
    targets = reads, lookups, picks, answers
}
criterion_main!(all);
