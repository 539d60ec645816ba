//! A zone as published: what answers read.
//!
//! ```text
//!  ZoneSet --> Zone --> Index (sharded: name -> cell) --> Node --> static RRsets, pre-encoded
//!                |                                         '----> PoolView, pre-encoded records of its live members
//!                '--> SOA, serial
//! ```
//!
//! Everything here is immutable or one atomic word, and swapped whole: a question never waits for a change, and a change
//! to one pool makes that pool's view anew and nothing else. [`Publisher`] is the writing side; the registrar owns it.
//!
//! The index holds the zone's static names, its pools and their services. A member's own name, `all.` and the empty names
//! between resolve inside the pool's view, so a join swaps one cell and the index changes only with pools and services.

mod build;
pub mod file;
mod index;
mod node;
mod pool_view;
mod publish;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashTable;

use crate::membership::LeaseTable;
use crate::wire::{NameHasher, NameKey};

pub use index::Index;
pub use node::{Cell, Node, OWNER_QNAME, Role, Rrset, TTL_AT};
pub use pool_view::{Below, Freshness, Hold, MemberView, PoolView, RecordList};
pub use publish::{Publisher, RotorIds};
pub use settings::{PoolSettings, ZoneSettings};

/// All zones of a server, by reference: cheap to copy, swapped whole when a zone comes or goes.
#[derive(Clone)]
pub struct ZoneSet {
    /// By the hash of the apex.
    zones: HashTable<Arc<Zone>>,
    /// How many labels apexes have, the most first, each number once: only suffixes of these lengths are looked for.
    apex_labels: Vec<usize>,
    hasher: NameHasher,
    leases: Arc<LeaseTable>,
}

impl ZoneSet {
    /// A set of zones that share one hasher and one lease table.
    pub fn new(zones: Vec<Arc<Zone>>, hasher: NameHasher, leases: Arc<LeaseTable>) -> Self {
        let mut apex_labels: Vec<usize> = zones.iter().map(|zone| zone.apex_labels).collect();
        apex_labels.sort_unstable_by(|one, other| other.cmp(one));
        apex_labels.dedup();
        let mut table = HashTable::with_capacity(zones.len());
        for zone in zones {
            table.insert_unique(zone.apex_hash, zone, |zone| zone.apex_hash);
        }
        ZoneSet { zones: table, apex_labels, hasher, leases }
    }

    /// The zone that a name belongs to, if one is ours: the one with the longest apex.
    pub fn find(&self, name: &NameKey) -> Option<&Arc<Zone>> {
        self.apex_labels.iter().find_map(|&labels| {
            let (suffix, hash) = name.suffix(name.labels().checked_sub(labels)?)?;
            self.zones.find(hash, |zone| *zone.apex == *suffix)
        })
    }

    /// What names are hashed with.
    pub fn hasher(&self) -> &NameHasher {
        &self.hasher
    }

    /// The leases that views refer to.
    pub fn leases(&self) -> &LeaseTable {
        &self.leases
    }
}

/// One zone.
pub struct Zone {
    apex: Box<[u8]>,
    apex_hash: u64,
    apex_labels: usize,
    /// Every name that has records, a pool or a service.
    pub index: Index,
    soa: Soa,
    serial: AtomicU32,
}

/// A SOA's rdata around its serial, which moves without it (RFC 1035 section 3.3.13).
struct Soa {
    names: Box<[u8]>,
    /// REFRESH, RETRY, EXPIRE and MINIMUM, the last replaced by the zone's negative TTL.
    timers: [u8; 16],
    ttl_s: u32,
    negative_ttl_s: u32,
}

impl Zone {
    /// The zone's name, lower case.
    pub fn apex(&self) -> &[u8] {
        &self.apex
    }

    /// Labels in the zone's name, the root included.
    pub fn apex_labels(&self) -> usize {
        self.apex_labels
    }

    /// The serial that a SOA says now.
    pub fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    /// Moves the serial by one (RFC 1982), never to 0, which some secondaries take for "unset".
    fn bump_serial(&self) {
        let next = self.serial().wrapping_add(1);
        self.serial.store(if next == 0 { 1 } else { next }, Ordering::Relaxed);
    }

    /// Seconds that a SOA answer may be remembered.
    pub fn soa_ttl_s(&self) -> u32 {
        self.soa.ttl_s
    }

    /// Seconds that a negative answer may be remembered: the lesser of the SOA's TTL and MINIMUM (RFC 2308 section 5).
    pub fn negative_ttl_s(&self) -> u32 {
        self.soa.negative_ttl_s.min(self.soa.ttl_s)
    }

    /// The SOA's rdata in three pieces: names, serial, timers.
    pub fn soa_rdata(&self) -> (&[u8], [u8; 4], &[u8; 16]) {
        (&self.soa.names, self.serial().to_be_bytes(), &self.soa.timers)
    }
}
