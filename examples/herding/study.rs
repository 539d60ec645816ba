//! Which trials there are: policies, resolvers, TTLs, fleets; then heartbeat intervals and smoothing.

use std::num::NonZeroU16;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rollcall::policy::{Policy, Shown};

use super::fleet::{Spread, Trial};
use super::pool::{Asked, Result, Terms};

pub const SERVERS: usize = 20;
/// Clients a second, and how long each stays: 10,000 at a time, half of what each fleet can have.
pub const ARRIVALS_A_SECOND: f64 = 500.0;
pub const STAY_S: f64 = 20.0;
/// Rollcall's default, and a heartbeat each third of it.
const LEASE_MS: u32 = 30_000;
/// Six times the time that a client stays: what the empty start left is a quarter of a per cent.
const SETTLE_MS: u64 = 120_000;
const SEED: u64 = 5356;

pub const RESOLVERS: [usize; 3] = [1, 10, 100];
pub const TTLS_S: [u32; 4] = [0, 1, 5, 30];

/// Heartbeat intervals and half lives of the second table, milliseconds, and where its clients ask.
pub const HEARTBEATS_MS: [u64; 3] = [1_000, 3_000, 10_000];
pub const HALF_LIVES_MS: [u32; 3] = [0, 5_000, 20_000];
pub const REPORTED_CACHES: [Caches; 2] =
    [Caches { resolvers: 1, ttl_s: 0 }, Caches { resolvers: 10, ttl_s: 5 }];

/// Where clients ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caches {
    pub resolvers: usize,
    pub ttl_s: u32,
}

impl Caches {
    /// All that are compared. Where nothing is cached it does not matter how many ask.
    pub fn all() -> impl Iterator<Item = Caches> {
        let caching = RESOLVERS.into_iter().flat_map(|resolvers| {
            TTLS_S.into_iter().filter(|ttl_s| *ttl_s > 0).map(move |ttl_s| Caches { resolvers, ttl_s })
        });
        std::iter::once(Caches { resolvers: 1, ttl_s: 0 }).chain(caching)
    }

    /// Clients that one answer sends on, itself and those who come while it is remembered.
    pub fn clients_an_answer(self) -> f64 {
        1.0 + ARRIVALS_A_SECOND * f64::from(self.ttl_s) / self.resolvers as f64
    }
}

/// The servers' capacities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacities {
    Equal,
    Unequal,
}

impl Capacities {
    pub const ALL: [Capacities; 2] = [Capacities::Equal, Capacities::Unequal];

    pub fn name(self) -> &'static str {
        match self {
            Capacities::Equal => "equal",
            Capacities::Unequal => "unequal",
        }
    }

    /// Clients that each server can have; 20,000 in all.
    pub fn list(self) -> Vec<u32> {
        let kinds: &[u32] = match self {
            Capacities::Equal => &[1_000],
            Capacities::Unequal => &[500, 750, 1_250, 1_500],
        };
        kinds.iter().copied().cycle().take(SERVERS).collect()
    }
}

/// A way to configure a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contender {
    /// As tables name it.
    pub name: &'static str,
    pub asked: Asked,
    pub policy: Policy,
    /// Of addresses; SRV answers show everybody.
    pub answers: Shown,
    /// Whether servers say what an answer costs them; else it is a hundredth of their capacity, the default.
    pub is_fitted: bool,
}

/// Members that some answers show: a quarter of the pool.
const FEW: u16 = 5;

impl Contender {
    pub const ROUND_ROBIN_ALL: Self =
        Self { answers: Shown::All, ..Self::of("round-robin, answers = \"all\"", Policy::RoundRobin) };
    pub const ROUND_ROBIN: Self = Self::of("round-robin, answers = 1", Policy::RoundRobin);
    pub const WEIGHTED_RANDOM: Self = Self::of("weighted-random", Policy::WeightedRandom);
    pub const RANDOMIZED: Self = Self::of("randomized-least-used", Policy::RandomizedLeastUsed);
    pub const RANDOMIZED_FEW: Self =
        Self::of("randomized-least-used, answers = 5", Policy::RandomizedLeastUsed).showing_few();
    pub const LEAST_USED: Self = Self::of("least-used", Policy::LeastUsed);
    pub const LEAST_USED_FEW: Self = Self::of("least-used, answers = 5", Policy::LeastUsed).showing_few();
    pub const PRIORITY_LEAST_USED: Self = Self::of("priority-least-used", Policy::PriorityLeastUsed);
    pub const DEGRADATION: Self = Self::of("least-used-degradation, 0.01", Policy::LeastUsedDegradation);
    pub const DEGRADATION_FITTED: Self =
        Self { is_fitted: true, ..Self::of("least-used-degradation, fitted", Policy::LeastUsedDegradation) };
    pub const SERVICE_WEIGHTED: Self =
        Self { asked: Asked::Service, ..Self::of("SRV, weighted-random", Policy::WeightedRandom) };
    pub const SERVICE_RANDOMIZED: Self =
        Self { asked: Asked::Service, ..Self::of("SRV, randomized-least-used", Policy::RandomizedLeastUsed) };

    pub const ALL: [Self; 12] = [
        Self::ROUND_ROBIN_ALL,
        Self::ROUND_ROBIN,
        Self::WEIGHTED_RANDOM,
        Self::RANDOMIZED,
        Self::RANDOMIZED_FEW,
        Self::LEAST_USED,
        Self::LEAST_USED_FEW,
        Self::PRIORITY_LEAST_USED,
        Self::DEGRADATION,
        Self::DEGRADATION_FITTED,
        Self::SERVICE_WEIGHTED,
        Self::SERVICE_RANDOMIZED,
    ];

    /// Those that ask servers for their load, and differ in what they make of it.
    pub const REPORTING: [Self; 3] = [Self::RANDOMIZED, Self::LEAST_USED, Self::DEGRADATION_FITTED];

    const fn of(name: &'static str, policy: Policy) -> Self {
        let (asked, answers) = (Asked::Addresses, Shown::AtMost(NonZeroU16::MIN));
        Contender { name, asked, policy, answers, is_fitted: false }
    }

    const fn showing_few(self) -> Self {
        match NonZeroU16::new(FEW) {
            Some(few) => Self { answers: Shown::AtMost(few), ..self },
            None => self,
        }
    }

    /// Members that an answer shows.
    fn shows(&self) -> f64 {
        match self.answers {
            Shown::AtMost(most) => f64::from(most.get()),
            Shown::All | Shown::Best => SERVERS as f64,
        }
    }
}

/// A trial's place in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub capacities: Capacities,
    pub contender: Contender,
    pub caches: Caches,
    pub heartbeat_ms: u64,
    pub half_life_ms: u32,
}

impl Place {
    /// With heartbeats each third of the default lease, and nothing smoothed.
    pub fn plain(capacities: Capacities, contender: Contender, caches: Caches) -> Self {
        Place { capacities, contender, caches, heartbeat_ms: u64::from(LEASE_MS / 3), half_life_ms: 0 }
    }

    /// The trial that fills it.
    pub fn trial(&self, seconds: u32) -> Trial {
        let Place { contender, caches, .. } = *self;
        let capacities = self.capacities.list();
        let cost = caches.clients_an_answer() / contender.shows();
        let degradations = capacities.iter().map(|&capacity| (cost / f64::from(capacity)).min(1.0));
        Trial {
            terms: Terms {
                asked: contender.asked,
                policy: contender.policy,
                answers: contender.answers,
                ttl_s: caches.ttl_s,
                lease_ms: (self.heartbeat_ms * 3) as u32,
                load_half_life_ms: self.half_life_ms,
            },
            degradations: contender.is_fitted.then(|| degradations.collect()),
            capacities,
            resolvers: caches.resolvers,
            arrivals_a_second: ARRIVALS_A_SECOND,
            stay_s: STAY_S,
            heartbeat_ms: self.heartbeat_ms,
            settle_ms: SETTLE_MS,
            measured_ms: u64::from(seconds) * 1000,
            seed: SEED,
        }
    }
}

/// What came out.
pub struct Study {
    /// How long each trial was measured, seconds.
    pub seconds: u32,
    /// Each place once.
    pub spreads: Vec<(Place, Spread)>,
}

impl Study {
    pub fn spread(&self, place: &Place) -> Option<Spread> {
        self.spreads.iter().find(|(known, _)| known == place).map(|(_, spread)| *spread)
    }
}

fn places() -> Vec<Place> {
    let mut places = Vec::new();
    for capacities in Capacities::ALL {
        for contender in Contender::ALL {
            places.extend(Caches::all().map(|caches| Place::plain(capacities, contender, caches)));
        }
    }
    for contender in Contender::REPORTING {
        for caches in REPORTED_CACHES {
            for heartbeat_ms in HEARTBEATS_MS {
                places.extend(HALF_LIVES_MS.map(|half_life_ms| Place {
                    heartbeat_ms,
                    half_life_ms,
                    ..Place::plain(Capacities::Equal, contender, caches)
                }));
            }
        }
    }
    // Heartbeats each ten seconds, not smoothed, are in both tables.
    let mut each_once: Vec<Place> = Vec::with_capacity(places.len());
    for place in places {
        if !each_once.contains(&place) {
            each_once.push(place);
        }
    }
    each_once
}

/// Runs every trial, as many at a time as there are cores; tells `progress` how many are done, of how many.
pub fn run(seconds: u32, progress: impl Fn(usize, usize) + Sync) -> Result<Study> {
    let places = places();
    let (next, spreads) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(places.len())));
    let work = || -> Result<()> {
        while let Some((at, place)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            places.get(at).map(|place| (at, place))
        } {
            let spread = place.trial(seconds).run().map_err(|error| format!("{place:?}: {error}"))?;
            let mut spreads = spreads.lock().map_err(|_| "another trial panicked")?;
            spreads.push((at, *place, spread));
            progress(spreads.len(), places.len());
        }
        Ok(())
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a trial panicked")?)
    })?;
    let mut spreads = spreads.into_inner().map_err(|_| "a trial panicked")?;
    spreads.sort_by_key(|(at, ..)| *at);
    Ok(Study { seconds, spreads: spreads.into_iter().map(|(_, place, spread)| (place, spread)).collect() })
}
