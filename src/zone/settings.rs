//! What an operator decides about a zone and its pools.

use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use crate::membership::LeaseRules;
use crate::policy::{Policy, Shown};
use crate::wire::Name;

/// A zone as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSettings {
    /// The zone's name.
    pub apex: Name,
    /// Seconds that a resolver may remember a negative answer: replaces SOA MINIMUM in every SOA served.
    pub negative_ttl_s: u32,
    /// Whether the first address or SRV below an undeclared name makes it a pool.
    pub create_pools: bool,
    /// The longest that expiry is held back when members fall silent in a mass, milliseconds; 0 holds nothing back.
    pub freeze_max_ms: u32,
    /// For pools made that way, and for what a declared pool leaves out.
    pub defaults: PoolSettings,
    /// The declared pools, by absolute name, each once.
    pub pools: Vec<(Name, PoolSettings)>,
}

/// What is answered for a pool, or for one of its services, when no member is left that is fit to serve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OnAllDown {
    /// Every member whose lease runs and that does not drain, also those that weigh nothing.
    #[default]
    All,
    /// Who was good last, for [`LAST_GOOD_MS`] at most.
    LastGood,
    /// What another pool of the zone answers; its name, lower-case wire form.
    Fallback(Arc<[u8]>),
    /// Nothing.
    NoData,
    /// SERVFAIL, so that a resolver asks another server or serves what it remembers (RFC 8767).
    ServFail,
}

/// For how long [`OnAllDown::LastGood`] answers after the last member that was good, milliseconds.
pub const LAST_GOOD_MS: u64 = 600_000;

/// A pool as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSettings {
    /// Which members answers show.
    pub policy: Policy,
    /// The most that an answer's TTL may be, seconds.
    pub ttl_s: u32,
    /// Members an A or AAAA answer shows.
    pub addresses: Shown,
    /// Members a SRV answer shows.
    pub services: Shown,
    /// In what time half of a difference in load shows, milliseconds; 0 shows it at once.
    pub load_half_life_ms: u32,
    /// How long a newcomer takes to its full share, milliseconds; 0 has it at once.
    pub warm_up_ms: u32,
    /// Lease lengths.
    pub leases: LeaseRules,
    /// What is answered when nobody fit is left.
    pub on_all_down: OnAllDown,
    /// Who is told what the pool makes of its members.
    pub debug_from: Arc<[IpNetwork]>,
}

impl PoolSettings {
    /// Whether the pool is ranked anew when members say how busy they are, or warm up.
    pub fn ranks_anew(&self) -> bool {
        self.policy.ranks_by_load() || self.warm_up_ms > 0
    }

    /// Whether this client is told what the pool makes of its members.
    pub fn shows_status_to(&self, client: IpAddr) -> bool {
        self.debug_from.iter().any(|network| network.contains(client))
    }
}
