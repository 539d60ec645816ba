//! What one name holds.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::PoolView;
use crate::wire::Rtype;

/// The owner in every pre-encoded record: a pointer to the question's name, at octet 12 (RFC 1035 section 4.1.4).
pub const OWNER_QNAME: [u8; 2] = [0xC0, 0x0C];
/// Where a pre-encoded record has its TTL: after owner, type and class.
pub const TTL_AT: usize = 6;

/// A place in the index: stays where it is while what it holds is swapped.
pub struct Cell(ArcSwap<Node>);

/// What a name holds, immutable.
pub struct Node {
    /// Static records, without pool members.
    pub rrsets: Arc<[Rrset]>,
    /// Whether the name is a pool.
    pub role: Role,
}

/// What a name is to membership.
#[expect(
    clippy::large_enum_variant,
    reason = "a question for a pool saves a dependent load; static names are few beside"
)]
pub enum Role {
    /// Static records only; without any, an empty non-terminal.
    Plain,
    /// A pool. Its services' names lead to the same cell.
    Pool(PoolView),
    /// A name with static records below a pool: what it lacks, the pool's view may have.
    BelowPool(Arc<Cell>),
}

/// An RRset, ready to be copied into an answer.
pub struct Rrset {
    /// Type of all its records.
    pub rtype: Rtype,
    /// How many records.
    pub count: u16,
    /// The records, each with [`OWNER_QNAME`] as its owner and uncompressed rdata.
    pub octets: Box<[u8]>,
}

impl Cell {
    /// A cell that holds `node`.
    pub fn new(node: Node) -> Self {
        Cell(ArcSwap::from_pointee(node))
    }

    /// What it holds now. No lock and no reference count: the guard is a worker's own note that it is reading.
    pub fn load(&self) -> Guard<Arc<Node>> {
        self.0.load()
    }

    /// Replaces what it holds.
    pub fn store(&self, node: Node) {
        self.0.store(Arc::new(node));
    }
}

impl Node {
    /// An empty non-terminal.
    pub fn empty() -> Self {
        Node { rrsets: Arc::from([]), role: Role::Plain }
    }

    /// The RRset of a type.
    pub fn rrset(&self, rtype: Rtype) -> Option<&Rrset> {
        self.rrsets.iter().find(|rrset| rrset.rtype == rtype)
    }
}

/// Appends one pre-encoded record: owner, type, class IN, TTL, RDLENGTH, rdata.
pub(super) fn encode(out: &mut Vec<u8>, rtype: Rtype, ttl_s: u32, rdata: &[&[u8]]) {
    let len: usize = rdata.iter().map(|piece| piece.len()).sum();
    out.extend_from_slice(&OWNER_QNAME);
    out.extend_from_slice(&rtype.to_int().to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&ttl_s.to_be_bytes());
    out.extend_from_slice(&(len as u16).to_be_bytes());
    rdata.iter().for_each(|piece| out.extend_from_slice(piece));
}
