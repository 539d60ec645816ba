//! Which members an answer shows, and in what order (RFC 5356). One file a family; nothing about DNS.
//!
//! A [`Ranking`] is made once, when a pool's view is published, from what the members say of themselves. A pick from it
//! costs no allocation and no lock: what a pick writes belongs to the worker ([`Rotors`], a random generator, the list of
//! places picked).

mod round_robin;
mod weighted_random;

use std::num::NonZeroU16;

use weighted_random::Weights;

pub use round_robin::{RotorId, Rotors};
pub use weighted_random::Drawn;

/// How a pool's members are picked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Each in turn (RFC 5356 section 5.1).
    #[default]
    RoundRobin,
    /// At random, each as often as its weight says (RFC 5356 section 5.4).
    WeightedRandom,
}

impl Policy {
    /// All of them, by the name that configuration uses.
    pub const NAMES: [(&'static str, Policy); 2] =
        [("round-robin", Policy::RoundRobin), ("weighted-random", Policy::WeightedRandom)];

    /// The policy of this name.
    pub fn named(name: &str) -> Option<Policy> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, policy)| policy)
    }

    /// How many addresses an answer shows when nobody says: only a policy whose pick carries the weight shows one.
    pub fn addresses_by_default(self) -> Shown {
        match self {
            Policy::RoundRobin => Shown::All,
            Policy::WeightedRandom => Shown::AtMost(NonZeroU16::MIN),
        }
    }
}

/// How many members an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The whole pool: truncated over UDP if it does not fit.
    All,
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
}

impl Chooser {
    /// A chooser for worker number `worker`.
    pub fn new(worker: u32, seed: u64) -> Self {
        Chooser { rotors: Rotors::new(worker), rng: fastrand::Rng::with_seed(seed), drawn: Drawn::default() }
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
    policy: Policy,
    shown: Shown,
    rotor: RotorId,
    /// Places that take part; `None` when all of them do.
    places: Option<Box<[u32]>>,
    /// How many take part.
    len: u32,
    weights: Option<Weights>,
}

impl Ranking {
    /// Ranks a list, given each place's weight. Weight 0 takes no part (RFC 5356 has no such member; operators ask for it).
    pub fn new(policy: Policy, shown: Shown, rotor: RotorId, weights: &[u32]) -> Self {
        let taking_part = weights.iter().enumerate().filter(|&(_, &weight)| weight > 0);
        let places: Box<[u32]> = taking_part.clone().map(|(place, _)| place as u32).collect();
        let drawn_by_weight = policy == Policy::WeightedRandom && matches!(shown, Shown::AtMost(_));
        Ranking {
            policy,
            shown,
            rotor,
            len: places.len() as u32,
            weights: drawn_by_weight.then(|| Weights::new(taking_part.map(|(_, &weight)| weight))),
            places: (places.len() < weights.len()).then_some(places),
        }
    }

    /// The policy that ranked it.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Whether no place takes part in answers.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the place takes part in answers at all.
    pub fn takes_part(&self, place: usize) -> bool {
        self.places.as_ref().is_none_or(|places| places.binary_search(&(place as u32)).is_ok())
    }

    /// Where an answer that shows the whole list begins, if that is what this ranking wants: the caller may then copy the
    /// list in two pieces. `None` means [`Ranking::offer`].
    pub fn whole(&self, chooser: &mut Chooser) -> Option<usize> {
        (self.shown == Shown::All && self.places.is_none())
            .then(|| chooser.rotors.turn(self.rotor, self.len as usize, 1))
    }

    /// Offers places in the policy's order until it has had as many taken as it wants to show, or none are left.
    pub fn offer(&self, chooser: &mut Chooser, mut take: impl FnMut(usize) -> Offer) {
        let len = self.len as usize;
        let wanted = match self.shown {
            Shown::All => len,
            Shown::AtMost(most) => len.min(usize::from(most.get())),
        };
        let mut left = wanted;
        // False once the answer wants no more.
        let mut give = |rank: usize| {
            let place = match &self.places {
                None => rank,
                Some(places) => places.get(rank).map_or(rank, |&place| place as usize),
            };
            match take(place) {
                Offer::Taken => left = left.saturating_sub(1),
                Offer::Gone => {}
                Offer::Full => left = 0,
            }
            left > 0
        };
        if wanted == 0 {
            return;
        }
        if let Some(weights) = &self.weights {
            weights.draw(&mut chooser.rng, &mut chooser.drawn, give);
            return;
        }
        let step = if self.shown == Shown::All { 1 } else { wanted };
        let start = chooser.rotors.turn(self.rotor, len, step);
        _ = (start..len).chain(0..start).all(&mut give);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROTOR: RotorId = RotorId(0);

    fn at_most(most: u16) -> Shown {
        Shown::AtMost(NonZeroU16::new(most).unwrap())
    }

    fn pick(ranking: &Ranking, chooser: &mut Chooser, gone: &[usize]) -> Vec<usize> {
        let mut picked = Vec::new();
        ranking.offer(chooser, |place| {
            if gone.contains(&place) {
                return Offer::Gone;
            }
            picked.push(place);
            Offer::Taken
        });
        picked
    }

    #[test]
    fn round_robin_gives_each_the_lead_and_some_their_turn() {
        let mut chooser = Chooser::new(0, 1);
        let all = Ranking::new(Policy::RoundRobin, Shown::All, ROTOR, &[1; 3]);
        assert_eq!(pick(&all, &mut chooser, &[]), [0, 1, 2]);
        assert_eq!(pick(&all, &mut chooser, &[]), [1, 2, 0]);
        assert_eq!(all.whole(&mut chooser), Some(2));
        let two = Ranking::new(Policy::RoundRobin, at_most(2), RotorId(1), &[1; 5]);
        let turns: Vec<_> = (0..5).map(|_| pick(&two, &mut chooser, &[])).collect();
        assert_eq!(turns, [[0, 1], [2, 3], [4, 0], [1, 2], [3, 4]]);
    }

    #[test]
    fn the_gone_are_passed_over_and_others_take_their_place() {
        let mut chooser = Chooser::new(0, 1);
        let two = Ranking::new(Policy::RoundRobin, at_most(2), ROTOR, &[1; 4]);
        assert_eq!(pick(&two, &mut chooser, &[0, 2]), [1, 3]);
        for policy in [Policy::RoundRobin, Policy::WeightedRandom] {
            let two = Ranking::new(policy, at_most(2), ROTOR, &[7; 4]);
            let mut picked = pick(&two, &mut chooser, &[0, 2]);
            picked.sort_unstable();
            assert_eq!(picked, [1, 3], "{policy:?}");
        }
    }

    #[test]
    fn weight_zero_takes_no_part() {
        let mut chooser = Chooser::new(0, 1);
        for policy in [Policy::RoundRobin, Policy::WeightedRandom] {
            for shown in [Shown::All, at_most(3)] {
                let ranking = Ranking::new(policy, shown, ROTOR, &[0, 5, 0, 5]);
                assert_eq!(ranking.whole(&mut chooser), None);
                let mut picked = pick(&ranking, &mut chooser, &[]);
                picked.sort_unstable();
                assert_eq!(picked, [1, 3]);
                assert!(pick(&Ranking::new(policy, shown, ROTOR, &[0, 0]), &mut chooser, &[]).is_empty());
                assert!(pick(&Ranking::new(policy, shown, ROTOR, &[]), &mut chooser, &[]).is_empty());
            }
        }
    }
}
