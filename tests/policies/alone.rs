//! A ranking without a zone around it: members on a roll, and a worker that picks from them.

use std::sync::Arc;

use rollcall::membership::{
    Attributes, Crowd, LeaseRef, LeaseTable, Leaving, Load, Member, NO_DRAIN, PoolHandle, Registered, Roll,
    Said,
};
use rollcall::policy::{Candidate, Chooser, Offer, Policy, Ranking, RotorId, Shown, Warmth};

const POOL: &[u8] = b"\x01p\x00";

/// Members by number, and a worker.
pub struct Alone {
    roll: Roll,
    leases: Vec<LeaseRef>,
    pub chooser: Chooser,
}

fn name(member: usize) -> Vec<u8> {
    format!("m{member:05}").into_bytes()
}

impl Alone {
    /// So many members, and worker number 0.
    pub fn new(members: usize) -> Self {
        let mut roll = Roll::new(members, 0);
        let pool: PoolHandle = POOL.into();
        for member in 0..members {
            let registered = Registered {
                member: Member {
                    owner: "test".into(),
                    lease_ms: 60_000,
                    key_lease_ms: 0,
                    own_ttl_s: 30,
                    heard_run: 1,
                    addresses: Vec::new(),
                    services: Vec::new().into(),
                    bindings: Vec::new().into(),
                    attributes: Attributes::default(),
                    drain_ends_ms: NO_DRAIN,
                },
                ends_ms: 60_000,
                name_ends_ms: 0,
                signed: None,
                said: Said::Nothing,
                renews: true,
                crowd: Crowd::default(),
                restored: false,
            };
            roll.put(&pool, &name(member), registered, 0).unwrap();
        }
        let leases = roll.members(&pool).map(|(_, entry)| entry.lease).collect();
        Alone { roll, leases, chooser: Chooser::new(0, 1) }
    }

    pub fn table(&self) -> &Arc<LeaseTable> {
        self.roll.leases()
    }

    pub fn lease(&self, member: usize) -> LeaseRef {
        self.leases[member]
    }

    /// A member that says nothing of itself, as often picked as the table has it.
    pub fn candidate(&self, member: usize) -> Candidate {
        let lease = self.leases[member];
        Candidate {
            lease,
            weight: Candidate::WEIGHT,
            priority: Candidate::PRIORITY,
            load: Load::UNSAID,
            degradation: Candidate::DEGRADATION,
            picks: self.table().picks(lease),
            warmth: Warmth::WARM,
        }
    }

    /// All of them, each changed by `change`.
    pub fn candidates(&self, change: impl Fn(usize, &mut Candidate)) -> Vec<Candidate> {
        let changed = |member| {
            let mut candidate = self.candidate(member);
            change(member, &mut candidate);
            candidate
        };
        (0..self.leases.len()).map(changed).collect()
    }

    pub fn rank(&self, policy: Policy, shown: Shown, candidates: &[Candidate]) -> Ranking {
        Ranking::new(policy, shown, RotorId(0), candidates, 0)
    }

    /// Members of these weights under a policy.
    pub fn weighted(policy: Policy, shown: Shown, weights: &[u32]) -> (Self, Ranking) {
        let alone = Alone::new(weights.len());
        let candidates = alone.candidates(|member, candidate| candidate.weight = weights[member]);
        let ranking = alone.rank(policy, shown, &candidates);
        (alone, ranking)
    }

    /// One answer: who is in it, in its order. The dead are gone when they are offered.
    pub fn pick(&mut self, ranking: &Ranking) -> Vec<usize> {
        let mut picked = Vec::new();
        let table = self.roll.leases();
        ranking.offer(&mut self.chooser, table, |member| {
            if table.ends_ms(self.leases[member]).is_none() {
                return Offer::Gone;
            }
            picked.push(member);
            Offer::Taken
        });
        picked
    }

    /// How often each of them was in so many answers.
    pub fn shares(&mut self, ranking: &Ranking, answers: u32) -> Vec<u64> {
        let mut shares = vec![0; self.leases.len()];
        for _ in 0..answers {
            self.pick(ranking).into_iter().for_each(|member| shares[member] += 1);
        }
        shares
    }

    /// A member's lease is over, and no ranking knows.
    pub fn end(&mut self, member: usize) {
        let leaving = Leaving { name_ends_ms: 0, signed: None };
        let change = self.roll.remove(POOL, &name(member), leaving, 0).unwrap();
        self.roll.release(&change);
    }
}
