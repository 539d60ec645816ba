//! A zone as published: what answers read.
//!
//! ```text
//!  ZoneSet --> Zone --> Index (sharded: name -> cell) --> Node --> ordinary RRsets, pre-encoded: the file's, as UPDATE
//!                |                                         |       changed them, and how they differ from it (Dynamic)
//!                |                                         |----> PoolView, pre-encoded records of its live members
//!                |                                         '----> Listing: which pools offer a service
//!                '--> SOA, serial
//! ```
//!
//! Everything here is immutable or one atomic word, and swapped whole: a question never waits for a change, and a change
//! to one pool makes that pool's view anew and nothing else. [`Publisher`] is the writing side; the registrar owns it.
//!
//! The index holds every name with ordinary records, the empty names above them, pools and their services. A member's own
//! name and `all.` resolve inside the pool's view, so a join swaps one cell and the index changes only with names, pools and
//! services. An instance that can be browsed for resolves inside its service's [`Listing`]. [`Contents`] is the zone as a
//! whole, for those who ask about RRsets and not for an answer.

mod build;
mod contents;
mod dynamic;
pub mod file;
mod identity;
mod index;
mod listing;
mod names;
mod node;
mod pool_view;
mod publish;
mod retired;
mod settings;
mod shape;
mod soa;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::{ArcSwap, Guard as SoaGuard};
use hashbrown::HashTable;
use sdd::Guard;

use crate::membership::LeaseTable;
use crate::wire::{NameHasher, NameKey};

pub use build::{Draft, Dynamics, FileMark, Past};
pub use contents::Contents;
pub use dynamic::{Added, Dynamic, NameChange, NameRecords, PERMANENT_MS, Record, RecordSet, Term};
pub use file::{RRSET_OCTETS_MAX, is_of_signed_zone};
pub use identity::Identity;
pub use index::{Entry as IndexEntry, Index};
pub use listing::{EMPTY_TXT, Entry, Listing, promised_s};
pub use names::{has_asterisk, is_below, leads_elsewhere, parent, pool_needs};
pub use node::{Cell, FIXED_LEN, Node, OWNER_QNAME, Role, Rrset, TTL_AT};
pub use pool_view::{
    Below, DrainView, Freshness, Hold, MemberRef, MemberView, Offered, PoolView, RecordList, Records,
};
pub use publish::{Publisher, RotorIds, Touched, labels_of};
pub use retired::{free_retired, let_go};
pub use settings::{LAST_GOOD_MS, OnAllDown, PoolSettings, ZoneSettings};
use shape::Shape;
pub use soa::{Soa, is_later, later, next_serial};

/// All zones of a server, by reference: cheap to copy, swapped whole when a zone comes or goes.
#[derive(Clone)]
pub struct ZoneSet {
    /// By the hash of the apex.
    zones: HashTable<Arc<Zone>>,
    /// How many labels apexes have, the most first, each number once: only suffixes of these lengths are looked for.
    apex_labels: Vec<usize>,
    hasher: NameHasher,
    leases: Arc<LeaseTable>,
    identity: Arc<Identity>,
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
        ZoneSet { zones: table, apex_labels, hasher, leases, identity: Arc::default() }
    }

    /// The same zones, of a server that says this of itself.
    pub fn identified(&self, identity: Identity) -> Self {
        ZoneSet { identity: Arc::new(identity), ..self.clone() }
    }

    /// What the server says of itself.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The zone that a name belongs to, if one is ours: the one with the longest apex.
    pub fn find(&self, name: &NameKey) -> Option<&Arc<Zone>> {
        self.find_within(name, usize::MAX)
    }

    /// The zone that says whether a name is a signed zone (RFC 4035 section 3.1.4.1): of an apex, the zone that delegates it,
    /// if that is ours too, else the one that it belongs to.
    pub fn find_parent_side(&self, name: &NameKey, now_ms: u64, guard: &Guard) -> Option<&Arc<Zone>> {
        let zone = self.find(name)?;
        let above = || {
            let above = self.find_within(name, zone.apex_labels.checked_sub(1)?)?;
            let (apex, hash) = name.suffix(0)?;
            above.index.find(apex, hash, guard)?.cut(now_ms).is_some().then_some(above)
        };
        let is_apex = name.labels() == zone.apex_labels;
        if is_apex { above().or(Some(zone)) } else { Some(zone) }
    }

    /// The zone with the longest apex, of at most so many labels.
    fn find_within(&self, name: &NameKey, labels_max: usize) -> Option<&Arc<Zone>> {
        self.apex_labels.iter().filter(|&&labels| labels <= labels_max).find_map(|&labels| {
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
    /// Every name that has records, a pool or a service, and the empty ones between.
    pub index: Index,
    shape: Shape,
    soa: ArcSwap<Soa>,
    serial: AtomicU32,
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

    /// Whether any name is a wildcard, or lies below one.
    pub fn has_wildcards(&self) -> bool {
        self.shape.has_wildcards.load(Ordering::Relaxed)
    }

    /// Whether any name leads elsewhere with all that is below it: a zone cut, or a DNAME.
    pub fn has_redirections(&self) -> bool {
        self.shape.has_redirections.load(Ordering::Relaxed)
    }

    /// The serial that a SOA says now.
    pub fn serial(&self) -> u32 {
        self.serial.load(Ordering::Relaxed)
    }

    /// The SOA around its serial, which moves without it. No lock and no reference count.
    pub fn soa(&self) -> SoaGuard<Arc<Soa>> {
        self.soa.load()
    }
}
