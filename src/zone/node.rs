//! What one name holds.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sdd::{AtomicShared, Guard, Shared, Tag};

use super::retired;
use super::{Listing, PERMANENT_MS, PoolView};
use crate::wire::Rtype;

/// The owner in every pre-encoded record: a pointer to the question's name, at octet 12 (RFC 1035 section 4.1.4).
pub const OWNER_QNAME: [u8; 2] = [0xC0, 0x0C];
/// Where a pre-encoded record has its TTL: after owner, type and class.
pub const TTL_AT: usize = 6;
/// Octets of a pre-encoded record before its rdata: owner, type, class, TTL, RDLENGTH.
pub const FIXED_LEN: usize = 12;

/// A place in the index: stays where it is while what it holds is swapped. It always holds something.
pub struct Cell(AtomicShared<Node>);

/// What a name holds, immutable.
pub struct Node {
    /// Ordinary records: the file's and those that UPDATE added, without pool members.
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
    /// Ordinary records only; without any, an empty non-terminal.
    Plain,
    /// A pool. Its services' names lead to the same cell.
    Pool(PoolView),
    /// A name with ordinary records below a pool: what it lacks, the pool's view may have.
    BelowPool(Arc<Cell>),
    /// A name to browse for what the zone offers.
    Listing(Arc<Listing>),
    /// A name with ordinary records below a listing: what it lacks, an instance may have.
    BelowListing(Arc<Cell>),
}

/// An RRset, ready to be copied into an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rrset {
    /// Type of all its records.
    pub rtype: Rtype,
    /// How many records.
    pub count: u16,
    /// The records, each with [`OWNER_QNAME`] as its owner and uncompressed rdata.
    pub octets: Box<[u8]>,
    /// When the first of its records ends, and the last, monotonic milliseconds.
    ends_ms: (u64, u64),
    /// When each ends; empty if none does.
    each_ends_ms: Box<[u64]>,
}

impl Rrset {
    /// An RRset of these records: each one's rdata, and when it ends ([`PERMANENT_MS`]: never).
    pub fn new<'r>(rtype: Rtype, ttl_s: u32, records: impl Iterator<Item = (&'r [u8], u64)>) -> Self {
        let (mut octets, mut each) = (Vec::new(), Vec::new());
        for (rdata, ends_ms) in records {
            encode(&mut octets, rtype, ttl_s, &[rdata]);
            each.push(ends_ms);
        }
        let first_ms = each.iter().copied().min().unwrap_or(PERMANENT_MS);
        let last_ms = each.iter().copied().max().unwrap_or(PERMANENT_MS);
        // An RRset has to fit into a message, and no record has fewer than 12 octets.
        let count = each.len() as u16;
        if first_ms == PERMANENT_MS {
            each.clear();
        }
        let (octets, each_ends_ms) = (octets.into(), each.into());
        Rrset { rtype, count, octets, ends_ms: (first_ms, last_ms), each_ends_ms }
    }

    /// When the first of its records ends, monotonic milliseconds.
    pub fn first_end_ms(&self) -> u64 {
        self.ends_ms.0
    }

    /// Whether any of its records stands at `now_ms`.
    pub fn is_live(&self, now_ms: u64) -> bool {
        self.ends_ms.1 > now_ms
    }

    /// Its TTL, seconds.
    pub fn ttl_s(&self) -> u32 {
        crate::wire::u32_at(&self.octets, TTL_AT).unwrap_or_default()
    }

    /// The encoded records, each with the moment at which it ends.
    pub fn encoded(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut rest: &[u8] = &self.octets;
        let records = std::iter::from_fn(move || {
            let len = crate::wire::u16_at(rest, FIXED_LEN - 2)?;
            let (record, after) = rest.split_at_checked(FIXED_LEN + usize::from(len))?;
            rest = after;
            Some(record)
        });
        let ends = self.each_ends_ms.iter().copied().chain(std::iter::repeat(PERMANENT_MS));
        records.zip(ends)
    }

    /// The records' rdata.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        self.encoded().map(|(record, _)| record.get(FIXED_LEN..).unwrap_or_default())
    }
}

impl Cell {
    /// A cell that holds `node`.
    pub fn new(node: Node) -> Self {
        Cell(AtomicShared::new(node))
    }

    /// A cell that holds what others hold too, until it is given something of its own.
    pub fn sharing(node: &Shared<Node>) -> Self {
        Cell(AtomicShared::from(node.clone()))
    }

    /// What it holds now, for as long as the guard lives: one load, without a lock or a reference count.
    pub fn load<'g>(&self, guard: &'g Guard) -> Option<&'g Node> {
        self.0.load(Ordering::Acquire, guard).as_ref()
    }

    /// What it holds now, to keep.
    pub fn load_full(&self) -> Shared<Node> {
        let held = self.0.get_shared(Ordering::Acquire, &Guard::new());
        held.unwrap_or_else(|| Shared::new(Node::empty()))
    }

    /// Lets it hold what another one holds.
    pub fn share(&self, node: Shared<Node>) {
        drop(self.0.swap((Some(node), Tag::None), Ordering::AcqRel));
        retired::turn();
    }

    /// Replaces what it holds.
    pub fn store(&self, node: Node) {
        self.share(Shared::new(node));
    }
}

impl Node {
    /// An empty non-terminal.
    pub fn empty() -> Self {
        Node { rrsets: Arc::default(), role: Role::Plain }
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
