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
    /// For pools made that way, and for what a declared pool leaves out.
    pub defaults: PoolSettings,
    /// The declared pools, by absolute name, each once.
    pub pools: Vec<(Name, PoolSettings)>,
}

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
    /// Who is told what the pool makes of its members.
    pub debug_from: Arc<[IpNetwork]>,
}

impl PoolSettings {
    /// Whether this client is told what the pool makes of its members.
    pub fn shows_status_to(&self, client: IpAddr) -> bool {
        self.debug_from.iter().any(|network| network.contains(client))
    }
}
