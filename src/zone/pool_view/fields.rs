//! Priorities and weights in SRV records: what the policy says, to clients that choose for themselves (RFC 2782).

use crate::policy::{Candidate, Policy};

/// What a policy writes into the records of one service.
#[derive(PartialEq, Eq)]
pub(super) struct Fields {
    policy: Policy,
    /// Every priority that a member has, each once, the best first.
    priorities: Vec<u32>,
    /// What the heaviest counts for.
    heaviest: u64,
}

impl Fields {
    /// Those of these members. Who weighs nothing takes no part: the others' fields do not tell of it.
    pub fn of(policy: Policy, candidates: impl Iterator<Item = Candidate>) -> Self {
        let (mut priorities, mut heaviest) = (Vec::new(), 1);
        if matches!(policy, Policy::RoundRobin | Policy::Random) {
            // Nobody differs from the others.
            return Fields { policy, priorities, heaviest };
        }
        for candidate in candidates.filter(|candidate| candidate.weight > 0) {
            if policy == Policy::Priority {
                priorities.push(candidate.priority);
            }
            heaviest = heaviest.max(counts_for(policy, &candidate));
        }
        priorities.sort_unstable_by(|one, other| other.cmp(one));
        priorities.dedup();
        Fields { policy, priorities, heaviest }
    }

    /// Whether anything is written: under round-robin records stay as they were registered.
    pub fn are_written(&self) -> bool {
        self.policy != Policy::RoundRobin
    }

    /// What stands in a member's record, given the priority and weight that it registered. Round-robin leaves both, priority
    /// writes the one, and every other policy one priority and weights in proportion, so that a client's choice is the policy's.
    pub fn write(&self, candidate: &Candidate, (priority, weight): (u16, u16)) -> (u16, u16) {
        match self.policy {
            Policy::RoundRobin => (priority, weight),
            Policy::Priority => {
                let better = self.priorities.partition_point(|&other| other > candidate.priority);
                (u16::try_from(better).unwrap_or(u16::MAX), weight)
            }
            _ => (0, self.weight(candidate)),
        }
    }

    /// A weight in proportion: the heaviest has 65535, the lightest 1 at least. 0 would not be none, but hardly ever (RFC
    /// 2782).
    pub fn weight(&self, candidate: &Candidate) -> u16 {
        let counts_for = u128::from(counts_for(self.policy, candidate));
        (counts_for * 65_535 / u128::from(self.heaviest)).clamp(1, 65_535) as u16
    }
}

/// What a member counts for beside others under a policy that writes weights.
fn counts_for(policy: Policy, candidate: &Candidate) -> u64 {
    match policy {
        Policy::WeightedRoundRobin | Policy::WeightedRandom => candidate.counted_weight(),
        Policy::LeastUsed
        | Policy::LeastUsedDegradation
        | Policy::PriorityLeastUsed
        | Policy::RandomizedLeastUsed => candidate.spare(),
        Policy::RoundRobin | Policy::Random | Policy::Priority => 1,
    }
}
