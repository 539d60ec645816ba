//! Which members an answer shows, and in what order (RFC 5356). One file a family; nothing about DNS.
//!
//! | policy | who is picked | file |
//! |---|---|---|
//! | round-robin | each in turn | round_robin |
//! | weighted-round-robin | in turn, by weight | weighted_round_robin |
//! | random, weighted-random, randomized-least-used | by lot, by weight or by what is to spare | weighted_random |
//! | priority, least-used, priority-least-used | the best, equals in turn | tiers |
//! | least-used-degradation | the least used, each pick making it busier | degradation |
//!
//! A [`Ranking`] is made when a pool's view is published or ranked anew, from what is known of the members ([`Candidate`]). A
//! pick from it costs no allocation and no lock: what a pick writes belongs to the worker ([`Chooser`]), but for the counts of
//! picks that degradation takes, which all workers share.

mod candidate;
mod degradation;
mod line;
mod round_robin;
mod tiers;
mod totals;
mod weighted_random;
mod weighted_round_robin;

use std::cell::Cell;
use std::num::NonZeroU16;

use crate::membership::LeaseTable;
use candidate::in_steps;
pub use candidate::{Candidate, Warmth};
use degradation::{Open, Tournament};
pub use line::InLine;
pub use round_robin::{RotorId, Rotors};
use tiers::Tiers;
use totals::{Drawn, Totals};
use weighted_round_robin::{Parts, ROUND_MAX};

/// How a pool's members are picked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Each in turn (RFC 5356 section 4.1).
    #[default]
    RoundRobin,
    /// In turn, each as often as its weight says (section 4.2).
    WeightedRoundRobin,
    /// At random (section 4.3).
    Random,
    /// At random, each as often as its weight says (section 4.4).
    WeightedRandom,
    /// Those of the highest priority (section 4.5).
    Priority,
    /// Those of the least load (section 5.1).
    LeastUsed,
    /// The same, and each pick counts as load until the member registers again (section 5.2).
    LeastUsedDegradation,
    /// Those that are of the least load after one more pick (section 5.3).
    PriorityLeastUsed,
    /// At random, each as often as it has capacity to spare (section 5.4).
    RandomizedLeastUsed,
}

impl Policy {
    /// All of them, by the name that configuration uses.
    pub const NAMES: [(&'static str, Policy); 9] = [
        ("round-robin", Policy::RoundRobin),
        ("weighted-round-robin", Policy::WeightedRoundRobin),
        ("random", Policy::Random),
        ("weighted-random", Policy::WeightedRandom),
        ("priority", Policy::Priority),
        ("least-used", Policy::LeastUsed),
        ("least-used-degradation", Policy::LeastUsedDegradation),
        ("priority-least-used", Policy::PriorityLeastUsed),
        ("randomized-least-used", Policy::RandomizedLeastUsed),
    ];

    /// The policy of this name.
    pub fn named(name: &str) -> Option<Policy> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, policy)| policy)
    }

    /// The name of the policy.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, policy)| *policy == self).map_or("", |&(name, _)| name)
    }

    /// How many addresses an answer shows when nobody says: one where only the pick makes weight or load count.
    pub fn addresses_by_default(self) -> Shown {
        match self {
            Policy::RoundRobin | Policy::Random => Shown::All,
            Policy::Priority => Shown::Best,
            _ => Shown::AtMost(NonZeroU16::MIN),
        }
    }

    /// Whether what members say of their load moves anybody.
    pub fn ranks_by_load(self) -> bool {
        match self {
            Policy::LeastUsed
            | Policy::LeastUsedDegradation
            | Policy::PriorityLeastUsed
            | Policy::RandomizedLeastUsed => true,
            Policy::RoundRobin
            | Policy::WeightedRoundRobin
            | Policy::Random
            | Policy::WeightedRandom
            | Policy::Priority => false,
        }
    }

    /// Whether a member's weight says how often it is picked; a weight of 0 takes it out under every policy.
    pub fn picks_by_weight(self) -> bool {
        matches!(self, Policy::WeightedRoundRobin | Policy::WeightedRandom)
    }

    /// Whether members have shares of their own, so that a newcomer's may be smaller at first.
    pub fn warms_up(self) -> bool {
        self.ranks_by_load() || self.picks_by_weight()
    }
}

/// How many members an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The whole pool: truncated over UDP if it does not fit.
    All,
    /// Those that the policy holds to be the best equally; under one that knows no better and worse, all.
    Best,
    /// So many: a complete answer.
    AtMost(NonZeroU16),
}

impl Shown {
    /// The most that may be picked; a pick of more costs more than the whole pool.
    pub const PICK_MAX: u16 = 64;
}

/// What a worker brings to a pick, and what a pick writes.
pub struct Chooser {
    /// Positions of the lists that take turns.
    pub rotors: Rotors,
    /// Not for secrets.
    pub rng: fastrand::Rng,
    /// Members already drawn in this pick.
    drawn: Drawn,
    /// Matches that this pick has yet to look at.
    open: Open,
}

impl Chooser {
    /// Reads what picking from a list begins with, so that it is at hand.
    pub fn fetch(&self, ranking: &Ranking) {
        std::hint::black_box(self.rotors.position(ranking.rotor));
    }

    /// A chooser for worker number `worker`.
    pub fn new(worker: u32, seed: u64) -> Self {
        let (rotors, rng) = (Rotors::new(worker), fastrand::Rng::with_seed(seed));
        Chooser { rotors, rng, drawn: Drawn::default(), open: Open::default() }
    }
}

/// What became of a place that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It is in the answer.
    Taken,
    /// Its member is gone: offer another instead.
    Gone,
    /// The answer is full.
    Full,
}

/// A list of members, ready to be picked from. Places are positions in the list that it was made from.
#[derive(Debug)]
pub struct Ranking {
    shown: Shown,
    rotor: RotorId,
    /// Places that take part; `None` when all of them do.
    places: Option<Box<[u32]>>,
    /// How many take part.
    len: u32,
    order: Order,
}

/// How those who take part are ordered. Ranks are positions among them. Boxed is what would make all the others larger.
#[derive(Debug)]
enum Order {
    Turns,
    Interleaved(Box<(Totals, Parts)>),
    Drawn(Totals),
    Tiers(Box<Tiers>),
    Degrading(Box<Tournament>),
}

impl Order {
    fn new(policy: Policy, shown: Shown, candidates: &[Candidate], start: u64) -> Self {
        let all = || candidates.iter();
        let weights = || all().map(Candidate::counted_weight);
        let tiers = |key: fn(&Candidate) -> u64| {
            Order::Tiers(Box::new(Tiers::new(&all().map(key).collect::<Vec<_>>())))
        };
        match policy {
            Policy::RoundRobin => Order::Turns,
            Policy::WeightedRoundRobin => {
                let totals = Totals::new(weights(), ROUND_MAX);
                let parts = Parts::new(&totals);
                Order::Interleaved(Box::new((totals, parts)))
            }
            Policy::Random => Order::Drawn(Totals::Even(candidates.len())),
            Policy::WeightedRandom => Order::Drawn(Totals::new(weights(), u64::MAX)),
            Policy::RandomizedLeastUsed => Order::Drawn(Totals::new(all().map(Candidate::spare), u64::MAX)),
            Policy::Priority => tiers(|one| u64::from(u32::MAX - one.priority)),
            Policy::LeastUsed => tiers(|one| u64::from(one.counted_load().0)),
            Policy::PriorityLeastUsed => tiers(|one| in_steps(one.level(1))),
            Policy::LeastUsedDegradation => match shown {
                Shown::AtMost(_) => Order::Degrading(Box::new(Tournament::new(all().copied(), start))),
                // Who shows everybody asks nobody in particular.
                Shown::All | Shown::Best => tiers(|one| in_steps(one.level(one.picks))),
            },
        }
    }
}

impl Ranking {
    /// Ranks a list. Weight 0 takes no part. `start` says where equals begin that no worker takes turns of: whoever ranks a
    /// list time and again moves it.
    pub fn new(policy: Policy, shown: Shown, rotor: RotorId, candidates: &[Candidate], start: u64) -> Self {
        let takes_part = |candidate: &&Candidate| candidate.weight > 0;
        let len = candidates.iter().filter(takes_part).count();
        let (mut places, mut order) = (None, None);
        if len < candidates.len() {
            let taking_part = candidates.iter().zip(0..).filter(|(candidate, _)| takes_part(candidate));
            let (some, at): (Vec<Candidate>, Vec<u32>) =
                taking_part.map(|(one, place)| (*one, place)).unzip();
            order = Some(Order::new(policy, shown, &some, start));
            places = Some(at.into());
        }
        let order = order.unwrap_or_else(|| Order::new(policy, shown, candidates, start));
        Ranking { shown, rotor, places, len: len as u32, order }
    }

    /// Ranks a list of `count` members that are all equal to the policy, but for those at the places `weightless`, in order, which
    /// take no part. `None` where the policy tells members apart: then [`Ranking::new`].
    pub fn of_equals(
        policy: Policy,
        shown: Shown,
        rotor: RotorId,
        count: usize,
        weightless: &[u32],
    ) -> Option<Self> {
        let len = count.saturating_sub(weightless.len());
        let order = match policy {
            Policy::RoundRobin => Order::Turns,
            Policy::Random => Order::Drawn(Totals::Even(len)),
            _ => return None,
        };
        let mut out = weightless.iter().peekable();
        let places = (!weightless.is_empty()).then(|| {
            (0..count as u32).filter(|place| out.next_if(|next| *next == place).is_none()).collect()
        });
        Some(Ranking { shown, rotor, places, len: len as u32, order })
    }

    /// Whether no place takes part in answers.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the place takes part in answers at all.
    pub fn takes_part(&self, place: usize) -> bool {
        self.rank(place).is_some()
    }

    fn rank(&self, place: usize) -> Option<usize> {
        match &self.places {
            None => (place < self.len as usize).then_some(place),
            Some(places) => places.binary_search(&(place as u32)).ok(),
        }
    }

    /// Where an answer that shows the whole list begins, if that is what this ranking wants: the caller may then copy the
    /// list in two pieces. `None` means [`Ranking::offer`]. Where `order_matters`, the policy's own order is the only one.
    pub fn whole(&self, chooser: &mut Chooser, order_matters: bool) -> Option<usize> {
        let shows_all = self.shown == Shown::All && self.places.is_none();
        let is_any = !order_matters || matches!(self.order, Order::Turns);
        (shows_all && is_any).then(|| chooser.rotors.turn(self.rotor, self.len as usize))
    }

    /// Offers places in the policy's order until it has had as many taken as it wants to show, or none are left.
    pub fn offer(&self, chooser: &mut Chooser, leases: &LeaseTable, mut take: impl FnMut(usize) -> Offer) {
        let len = self.len as usize;
        let wanted = match self.shown {
            Shown::All | Shown::Best => len,
            Shown::AtMost(most) => len.min(usize::from(most.get())),
        };
        let (mut left, has_taken) = (wanted, Cell::new(false));
        // False once the answer wants no more.
        let mut give = |rank: usize| {
            let place = match &self.places {
                None => rank,
                Some(places) => places.get(rank).map_or(rank, |&place| place as usize),
            };
            match take(place) {
                Offer::Taken => {
                    left = left.saturating_sub(1);
                    has_taken.set(true);
                    if let Order::Degrading(tournament) = &self.order {
                        tournament.count(rank, leases);
                    }
                }
                Offer::Gone => {}
                Offer::Full => left = 0,
            }
            left > 0
        };
        if wanted == 0 {
            return;
        }
        let Chooser { rotors, rng, drawn, open } = chooser;
        match &self.order {
            Order::Turns => {
                let start = rotors.turn(self.rotor, len);
                _ = (start..len).chain(0..start).all(&mut give);
            }
            Order::Interleaved(round) => {
                let (totals, parts) = &**round;
                let start = rotors.turn(self.rotor, totals.all() as usize);
                weighted_round_robin::take_turns((totals, parts), start as u64, (rng, drawn), give);
            }
            Order::Drawn(totals) => weighted_random::draw(totals, rng, drawn, give),
            Order::Tiers(tiers) => {
                // Tiers differ in length, so what counts up is how many answers there were.
                let turn = rotors.turn(self.rotor, u32::MAX as usize);
                for mut tier in tiers.in_turn(turn) {
                    let wants_more = tier.all(&mut give);
                    if !wants_more || (self.shown == Shown::Best && has_taken.get()) {
                        return;
                    }
                }
            }
            Order::Degrading(tournament) => tournament.least(open, give),
        }
    }
}
