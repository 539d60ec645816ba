//! What a pick costs, and what a ranking: each policy at 4, 64, 1,000 and 10,000 members.
//!
//! ```text
//! cargo bench --bench picks                          all of it: some four minutes once it is built
//! cargo bench --bench picks -- picked-1/weighted     what has this in its name
//! scripts/bench --picks                              all of it, as a table
//! ```
//!
//! What the figures are figures of:
//! 1. A pick is what one answer asks of a [`Ranking`]: `picked-1` and `picked-3` members of it. Nothing of the answer is
//!    written; a whole answer costs microseconds, most of them the kernel's.
//! 2. No two members have the same load, and few the same weight. Priorities are 0 to 3, so that there are ties.
//! 3. Each sample begins with a new ranking and counts of 0, as after a round of heartbeats: under least-used-degradation, picks
//!    that nobody ever takes back would end with everybody as busy as can be told.
//! 4. Time is the CPU's, of this thread: what others do on the machine meanwhile is not in it, but for the caches.

mod measure;

use std::hint::black_box;
use std::num::NonZeroU16;
use std::sync::Arc;

use criterion::measurement::Measurement;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fastrand::Rng;
use rollcall::membership::{
    Attributes, Crowd, FOREVER_MS, LEASE_FOREVER_MS, LeaseRef, LeaseTable, Load, Member, NO_DRAIN,
    PoolHandle, Registered, Roll, Said,
};
use rollcall::policy::{Candidate, Chooser, Offer, Policy, Ranking, RotorId, Shown, Warmth};

use measure::{Cpu, group};

const MEMBERS: [usize; 4] = [4, 64, 1_000, 10_000];
const PICKED: [u16; 2] = [1, 3];

/// A pool whose leases run, as far as a policy looks into it.
struct Pool {
    leases: Arc<LeaseTable>,
    candidates: Vec<Candidate>,
}

impl Pool {
    fn new(members: usize) -> Self {
        let mut roll = Roll::new(members, 0);
        let handle: PoolHandle = b"web".as_slice().into();
        let mut rng = Rng::with_seed(42);
        let candidates = (0..members).filter_map(|number| {
            let name = format!("m{number}");
            roll.put(&handle, name.as_bytes(), registered(), 0).ok()?;
            let lease = roll.find(&handle, name.as_bytes())?.lease;
            Some(candidate(lease, &mut rng))
        });
        let candidates: Vec<Candidate> = candidates.collect();
        assert_eq!(candidates.len(), members, "everybody has joined");
        Pool { leases: Arc::clone(roll.leases()), candidates }
    }

    fn rank(&self, policy: Policy, shown: Shown, round: u64) -> Ranking {
        Ranking::new(policy, shown, RotorId(0), &self.candidates, round)
    }

    fn forget_picks(&self) {
        for candidate in &self.candidates {
            self.leases.forget_picks(candidate.lease);
        }
    }
}

fn registered() -> Registered {
    let member = Member {
        owner: "bench".into(),
        lease_ms: LEASE_FOREVER_MS,
        key_lease_ms: LEASE_FOREVER_MS,
        own_ttl_s: 30,
        heard_run: 0,
        addresses: Vec::new(),
        services: Vec::new().into(),
        bindings: Vec::new().into(),
        attributes: Attributes::default(),
        drain_ends_ms: NO_DRAIN,
    };
    Registered {
        member,
        ends_ms: FOREVER_MS,
        name_ends_ms: FOREVER_MS,
        signed: None,
        said: Said::Nothing,
        renews: true,
        crowd: Crowd::default(),
        restored: false,
    }
}

fn candidate(lease: LeaseRef, rng: &mut Rng) -> Candidate {
    Candidate {
        lease,
        weight: rng.u32(1..=100),
        priority: rng.u32(0..4),
        load: Load(rng.u32(..)),
        degradation: Load(u32::MAX / 1_000),
        picks: 0,
        warmth: Warmth::WARM,
    }
}

fn picks(criterion: &mut Criterion<Cpu>) {
    for picked in PICKED {
        let shown = NonZeroU16::new(picked).map_or(Shown::All, Shown::AtMost);
        let mut group = group(criterion, &format!("picked-{picked}"));
        for (name, policy) in Policy::NAMES {
            for members in MEMBERS {
                let pool = Pool::new(members);
                let mut chooser = Chooser::new(0, 7);
                let mut round = 0;
                group.bench_function(BenchmarkId::new(name, members), |bencher| {
                    bencher.iter_custom(|picks| {
                        pool.forget_picks();
                        round += 1;
                        let ranking = pool.rank(policy, shown, round);
                        let began = Cpu.start();
                        for _ in 0..picks {
                            black_box(&ranking).offer(&mut chooser, &pool.leases, |place| {
                                black_box(place);
                                Offer::Taken
                            });
                        }
                        Cpu.end(began)
                    });
                });
            }
        }
    }
}

fn rankings(criterion: &mut Criterion<Cpu>) {
    let mut group = group(criterion, "ranking");
    for (name, policy) in Policy::NAMES {
        for members in MEMBERS {
            let pool = Pool::new(members);
            group.bench_function(BenchmarkId::new(name, members), |bencher| {
                bencher.iter(|| black_box(&pool).rank(policy, Shown::AtMost(NonZeroU16::MIN), 1));
            });
        }
    }
}

criterion_group! {
    name = all;
    config = Criterion::default().with_measurement(Cpu);
    targets = picks, rankings
}
criterion_main!(all);
