//! Options that only some policies make use of.
//!
//! One that nothing acts on is refused: whoever writes it relies on it. A pool that has it from the zone goes without, for
//! there it may be meant for others.

use std::fmt;

use super::source::{Number, Source};
use super::{ConfigError, Fault};
use crate::policy::Policy;

/// An option that needs a policy which makes use of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyOption {
    /// How fast what members say of their load takes effect.
    LoadHalfLife,
    /// How long a newcomer takes to its full share.
    WarmUp,
}

/// Whose policy it is that makes no use of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyOf {
    /// The pool's own.
    Pool,
    /// The zone's, which the pool has because it names none.
    PoolByDefault,
    /// The zone's, and there are no pools declared.
    Zone,
    /// The zone's, and that of each of its pools.
    ZoneAndPools,
}

impl PolicyOption {
    /// What it is called in a file.
    pub fn key(self) -> &'static str {
        match self {
            PolicyOption::LoadHalfLife => "load_half_life",
            PolicyOption::WarmUp => "warm_up",
        }
    }

    /// Whether a policy makes use of it.
    pub fn is_for(self, policy: Policy) -> bool {
        match self {
            PolicyOption::LoadHalfLife => policy.ranks_by_load(),
            PolicyOption::WarmUp => policy.warms_up(),
        }
    }

    /// The policies that make use of it, and what they have in common.
    fn needs(self) -> String {
        let policies = Policy::NAMES.iter().filter(|(_, policy)| self.is_for(*policy)).map(|(name, _)| *name);
        let trait_of_theirs = match self {
            PolicyOption::LoadHalfLife => "go by load",
            PolicyOption::WarmUp => "give each member a share of its own",
        };
        format!("only {} {trait_of_theirs}", policies.collect::<Vec<_>>().join(", "))
    }

    /// How many milliseconds were given, in seconds, or else come from further up.
    pub(super) fn read(self, source: &Source, given: &Number, base_ms: u32) -> Result<u32, ConfigError> {
        let seconds: u32 = source.number(self.key(), given, base_ms / 1000, 0..=3600)?;
        Ok(seconds * 1000)
    }

    /// Refuses it where it was given and `policy` makes no use of it. To say that it is off is always right.
    pub(super) fn check(
        self,
        source: &Source,
        given: &Number,
        policy: Policy,
        of: PolicyOf,
    ) -> Result<(), ConfigError> {
        match given {
            Some(given) if *given.get_ref() != 0 && !self.is_for(policy) => {
                Err(source.fault(given.span(), Fault::NoUse { option: self, policy, of }))
            }
            _ => Ok(()),
        }
    }
}

/// What is wrong with an option, and what to do.
pub(super) fn no_use(option: PolicyOption, policy: Policy, of: PolicyOf) -> impl fmt::Display {
    let (key, policy, needs) = (option.key(), policy.name(), option.needs());
    let (under, remedy) = match of {
        PolicyOf::Pool | PolicyOf::Zone => ("", "set `policy` to one of them"),
        PolicyOf::PoolByDefault => (", the zone's policy", "give this pool one of them as its `policy`"),
        PolicyOf::ZoneAndPools => {
            (" or the policy of any [[pool]]", "set `policy` to one of them, for the zone or a pool")
        }
    };
    format!("`{key}` does nothing under {policy}{under}: {needs}; {remedy}, or remove `{key}`")
}
