//! Clients, caching resolvers and servers around a pool, and how evenly the servers are busy.
//!
//! Clients arrive one by one (Poisson) at a resolver each. Who asks for addresses takes the first: resolvers turn what they
//! remember by a random number for each client, as Unbound does, so that it is any of them. Who asks for SRV records chooses
//! by their weights. Then a client stays on that server for a time that is exponential. Arriving and staying have no memory,
//! so that no client needs a timer: what comes next is an arrival or a departure by their rates, and whose departure by how
//! many clients each server has. Servers refuse nobody: one may be busier than its capacity, and that is what is looked for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fastrand::Rng;

use super::pool::{Asked, Offered, Pool, Result, Said, TICK_MS, Terms};

/// How often the servers' loads are looked at: many times within the time that a client stays.
const SAMPLE_MS: u64 = 250;

/// What is done, to whom, and for how long.
#[derive(Debug, Clone)]
pub struct Trial {
    pub terms: Terms,
    /// Clients that each server can have at a time; as many servers.
    pub capacities: Vec<u32>,
    /// What each server says that an answer costs it.
    pub degradations: Option<Vec<f64>>,
    pub resolvers: usize,
    /// Clients that arrive a second.
    pub arrivals_a_second: f64,
    /// How long a client stays, on average, seconds.
    pub stay_s: f64,
    /// How often servers send heartbeats, each from a moment of its own on.
    pub heartbeat_ms: u64,
    /// Not measured.
    pub settle_ms: u64,
    /// Measured, after that.
    pub measured_ms: u64,
    pub seed: u64,
}

/// How evenly the servers were busy: 1 is perfect, as many as there are servers if one has it all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The busiest server's load over the servers' mean load, over time.
    pub mean: f64,
    /// The same at its worst moment.
    pub worst: f64,
    /// What share of clients came to a server that was full.
    pub overflow: f64,
}

/// An answer that a resolver remembers.
#[derive(Debug, Clone, Default)]
struct Cached {
    ends_us: u64,
    offered: Vec<Offered>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Heartbeat(usize),
    Tick,
    Sample,
}

struct Fleet<'a> {
    trial: &'a Trial,
    pool: Pool,
    rng: Rng,
    resolvers: Vec<Cached>,
    /// Clients of each server, and all of them.
    clients: Vec<u32>,
    clients_in_all: u32,
    due: BinaryHeap<Reverse<(u64, Due)>>,
    tally: Tally,
}

#[derive(Default)]
struct Tally {
    samples: u32,
    spreads: f64,
    worst: f64,
    arrived: u64,
    overflowed: u64,
}

impl Trial {
    /// Runs it.
    pub fn run(&self) -> Result<Spread> {
        let mut fleet = Fleet::new(self)?;
        let end_us = (self.settle_ms + self.measured_ms) * 1000;
        let (mut now_us, arrivals) = (0, self.arrivals_a_second);
        while now_us < end_us {
            let departures = f64::from(fleet.clients_in_all) / self.stay_s;
            let wait_s = -(1.0 - fleet.rng.f64()).ln() / (arrivals + departures);
            let next_us = now_us + (wait_s * 1e6) as u64;
            let due_us = fleet.due.peek().map_or(end_us, |Reverse((at_ms, _))| at_ms * 1000);
            if next_us >= due_us {
                // Nobody comes or goes before; who has no memory may be asked again from there on.
                now_us = due_us;
                fleet.attend(now_us / 1000)?;
            } else {
                now_us = next_us;
                let is_arrival = fleet.rng.f64() * (arrivals + departures) < arrivals;
                match is_arrival || fleet.clients_in_all == 0 {
                    true => fleet.arrive(now_us)?,
                    false => fleet.depart(),
                }
            }
        }
        Ok(fleet.tally.spread())
    }

    fn is_measured(&self, now_ms: u64) -> bool {
        now_ms >= self.settle_ms
    }
}

impl<'a> Fleet<'a> {
    /// Everybody has joined, idle.
    fn new(trial: &'a Trial) -> Result<Self> {
        let servers = trial.capacities.len();
        let mut fleet = Fleet {
            trial,
            pool: Pool::new(&trial.terms, servers, trial.seed)?,
            rng: Rng::with_seed(trial.seed),
            resolvers: vec![Cached::default(); trial.resolvers.max(1)],
            clients: vec![0; servers],
            clients_in_all: 0,
            due: BinaryHeap::new(),
            tally: Tally::default(),
        };
        for server in 0..servers {
            fleet.beat(server, 0)?;
            let first_ms = fleet.rng.u64(1..=trial.heartbeat_ms);
            fleet.due.push(Reverse((first_ms, Due::Heartbeat(server))));
        }
        fleet.due.push(Reverse((0, Due::Tick)));
        fleet.due.push(Reverse((trial.settle_ms, Due::Sample)));
        Ok(fleet)
    }

    fn load(&self, server: usize) -> f64 {
        let of = |list: &[u32]| list.get(server).copied().map_or(0.0, f64::from);
        of(&self.clients) / of(&self.trial.capacities)
    }

    /// Does what is due first, and puts it off until it is due again.
    fn attend(&mut self, now_ms: u64) -> Result<()> {
        let Some(Reverse((at_ms, due))) = self.due.pop() else { return Ok(()) };
        let every_ms = match due {
            Due::Heartbeat(server) => {
                self.beat(server, now_ms)?;
                self.trial.heartbeat_ms
            }
            Due::Tick => {
                self.pool.tick(now_ms)?;
                TICK_MS
            }
            Due::Sample => {
                self.sample();
                SAMPLE_MS
            }
        };
        self.due.push(Reverse((at_ms + every_ms, due)));
        Ok(())
    }

    fn beat(&mut self, server: usize, now_ms: u64) -> Result<()> {
        let degradations = self.trial.degradations.as_ref();
        let said = Said {
            weight: self.trial.capacities.get(server).copied().unwrap_or_default(),
            degradation: degradations.and_then(|shares| shares.get(server).copied()),
            load: self.load(server),
        };
        self.pool.heartbeat(server, said, now_ms)
    }

    fn sample(&mut self) {
        let servers = self.clients.len();
        let loads = || (0..servers).map(|server| self.load(server));
        let mean = loads().sum::<f64>() / servers as f64;
        // A moment at which nobody is there is as even as can be.
        let spread = if mean > 0.0 { loads().fold(0.0, f64::max) / mean } else { 1.0 };
        self.tally.samples += 1;
        self.tally.spreads += spread;
        self.tally.worst = self.tally.worst.max(spread);
    }

    /// A client comes to some resolver, and goes where that sends it.
    fn arrive(&mut self, now_us: u64) -> Result<()> {
        let at = self.rng.usize(..self.resolvers.len());
        let Some(cached) = self.resolvers.get_mut(at) else { return Ok(()) };
        if cached.ends_us <= now_us {
            let ttl_s = self.pool.ask(now_us / 1000, &mut cached.offered)?;
            cached.ends_us = now_us + u64::from(ttl_s) * 1_000_000;
        }
        let server = match self.trial.terms.asked {
            Asked::Addresses => self.rng.choice(&cached.offered).map(|offered| offered.member),
            Asked::Service => choose_by_weight(&cached.offered, &mut self.rng),
        };
        let server = server.ok_or("an answer without members")?;
        if self.trial.is_measured(now_us / 1000) {
            self.tally.arrived += 1;
            self.tally.overflowed += u64::from(self.load(server) >= 1.0);
        }
        *self.clients.get_mut(server).ok_or("an answer with somebody else")? += 1;
        self.clients_in_all += 1;
        Ok(())
    }

    /// Some client goes home, each as likely as any other.
    fn depart(&mut self) {
        let mut left = self.rng.u32(..self.clients_in_all);
        for clients in &mut self.clients {
            match left.checked_sub(*clients) {
                Some(rest) => left = rest,
                None => {
                    *clients -= 1;
                    self.clients_in_all -= 1;
                    return;
                }
            }
        }
    }
}

/// The choice of RFC 2782 among records of one priority, none of which weighs nothing.
fn choose_by_weight(offered: &[Offered], rng: &mut Rng) -> Option<usize> {
    let weights = || offered.iter().map(|offered| u64::from(offered.weight));
    let mut left = rng.u64(..weights().sum::<u64>().max(1));
    let chosen = offered.iter().find(|offered| match left.checked_sub(u64::from(offered.weight)) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    });
    chosen.map(|offered| offered.member)
}

impl Tally {
    fn spread(&self) -> Spread {
        Spread {
            mean: self.spreads / f64::from(self.samples.max(1)),
            worst: self.worst,
            overflow: self.overflowed as f64 / self.arrived.max(1) as f64,
        }
    }
}
