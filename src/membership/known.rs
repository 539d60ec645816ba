//! What heartbeats are known again by: a digest in each slot, and where to look for the slot.
//!
//! A place is a hint: the slot's own digest decides. So a place that leads nowhere does no harm, and is used again.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Slots in a chunk of the lease table.
pub(super) const CHUNK_SLOTS: usize = 4096;
/// Places in a bucket: a cache line.
const BUCKET: usize = 8;
/// Places that are made at a time: a page of memory, so that a small server has few.
const BLOCK: usize = 512;
/// How many bits of a place say which slot.
pub(super) const SLOT_BITS: u32 = 24;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;

/// What a heartbeat is known by: 128 bits that nobody can compute who does not know the server's key for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64, u64);

impl Digest {
    /// Of 128 bits of a keyed hash. The one that stands for none is another's.
    pub fn new(hash: u128) -> Self {
        Digest(((hash >> 64) as u64).max(1), hash as u64)
    }

    /// The two buckets that its place may be in, of so many.
    fn buckets(self, buckets: usize) -> [usize; 2] {
        [self.1 as usize % buckets, (self.1 >> 32) as usize % buckets]
    }

    /// What its place says of it. Never 0.
    fn tag(self) -> u64 {
        (self.0 << SLOT_BITS).max(1 << SLOT_BITS)
    }
}

/// What a heartbeat of a member means besides its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How fast what it says of its load counts, milliseconds.
    pub load_half_life_ms: u32,
    /// Whether its pool is ranked anew when it stands otherwise.
    pub ranks: bool,
}

/// A member's heartbeat, in its slot.
#[derive(Default)]
pub(super) struct Known {
    /// The first word is 0 if there is none.
    digest: [AtomicU64; 2],
    /// Half-life (32 bits), whether it ranks (1 bit).
    terms: AtomicU64,
    /// When a worker renewed the lease last, monotonic milliseconds; 0 for never.
    heard_ms: AtomicU64,
}

impl Known {
    /// Before the slot is somebody else's.
    pub fn clear(&self) {
        self.forget();
        self.heard_ms.store(0, Ordering::Relaxed);
    }

    /// Until another one is set.
    pub fn forget(&self) {
        self.digest[0].store(0, Ordering::Release);
    }

    /// One thread sets it.
    pub fn set(&self, digest: Digest, terms: Terms) {
        self.forget();
        let terms = (u64::from(terms.load_half_life_ms) << 1) | u64::from(terms.ranks);
        self.terms.store(terms, Ordering::Release);
        self.digest[1].store(digest.1, Ordering::Release);
        self.digest[0].store(digest.0, Ordering::Release);
    }

    /// A worker has renewed the lease.
    pub fn hear(&self, now_ms: u64) {
        self.heard_ms.fetch_max(now_ms, Ordering::AcqRel);
    }

    /// When one did last, monotonic milliseconds; 0 for never.
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms.load(Ordering::Acquire)
    }

    /// A digest whose halves are of two heartbeats is neither's.
    pub fn is(&self, digest: Digest) -> bool {
        self.digest[0].load(Ordering::Acquire) == digest.0
            && self.digest[1].load(Ordering::Acquire) == digest.1
    }

    /// What its place says of it, if there is one.
    pub fn tag(&self) -> Option<u64> {
        let first = self.digest[0].load(Ordering::Relaxed);
        (first != 0).then(|| Digest(first, 0).tag())
    }

    /// What it means besides its lease.
    pub fn terms(&self) -> Terms {
        let terms = self.terms.load(Ordering::Acquire);
        Terms { load_half_life_ms: (terms >> 1) as u32, ranks: terms & 1 != 0 }
    }
}

/// Slots whose members' pools are to be ranked anew: a bit each, and whether any is set.
pub(super) struct Marks {
    any: AtomicBool,
    slots: [AtomicU64; CHUNK_SLOTS / 64],
}

impl Default for Marks {
    fn default() -> Self {
        Marks { any: AtomicBool::new(false), slots: [const { AtomicU64::new(0) }; CHUNK_SLOTS / 64] }
    }
}

impl Marks {
    /// Marks a slot of the chunk.
    pub fn set(&self, at: usize) {
        let bit = 1 << (at % 64);
        // Most are set by somebody who was set already: reading takes nothing from others.
        if let Some(word) = self.slots.get(at / 64).filter(|word| word.load(Ordering::Relaxed) & bit == 0) {
            word.fetch_or(bit, Ordering::AcqRel);
            self.any.store(true, Ordering::Release);
        }
    }

    /// Shows those that were marked since the last time.
    pub fn take(&self, mut see: impl FnMut(usize)) {
        if !self.any.load(Ordering::Acquire) || !self.any.swap(false, Ordering::AcqRel) {
            return;
        }
        for (at, word) in self.slots.iter().enumerate() {
            let mut bits = if word.load(Ordering::Relaxed) == 0 { 0 } else { word.swap(0, Ordering::AcqRel) };
            while bits != 0 {
                see(at * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }
}

/// Where to look for the slot of a digest: half as many places again as members, in buckets of which each digest has two to choose
/// from, so that hardly any is ever full. Where both are, somebody else's heartbeats go to the registrar.
pub(super) struct Places {
    blocks: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

impl Places {
    /// For so many members.
    pub fn new(members_max: usize) -> Self {
        let places = members_max.saturating_add(members_max / 2).clamp(BLOCK, 3 << (SLOT_BITS - 1));
        Places { blocks: (0..places.div_ceil(BLOCK)).map(|_| OnceLock::new()).collect() }
    }

    fn buckets(&self) -> usize {
        self.blocks.len() * (BLOCK / BUCKET)
    }

    /// A bucket, if any of its block's places was ever needed.
    fn bucket(&self, number: usize) -> Option<&[AtomicU64]> {
        let (block, within) = (number / (BLOCK / BUCKET), number % (BLOCK / BUCKET) * BUCKET);
        self.blocks.get(block)?.get()?.get(within..within + BUCKET)
    }

    fn bucket_to_fill(&self, number: usize) -> Option<&[AtomicU64]> {
        let block = self.blocks.get(number / (BLOCK / BUCKET))?;
        block.get_or_init(|| (0..BLOCK).map(|_| AtomicU64::new(0)).collect());
        self.bucket(number)
    }

    /// Slots that may have this digest: mostly one, and that the right one.
    pub fn slots(&self, digest: Digest) -> impl Iterator<Item = u32> {
        let buckets = digest.buckets(self.buckets()).into_iter().filter_map(|number| self.bucket(number));
        let words = buckets.flatten().map(|place| place.load(Ordering::Acquire));
        words.filter(move |word| *word & !SLOT_MASK == digest.tag()).map(|word| (word & SLOT_MASK) as u32)
    }

    /// Notes where a digest is. `tag_of` says what a slot has now: a place that says something else is free.
    pub fn put(&self, digest: Digest, slot: u32, tag_of: impl Fn(u32) -> Option<u64>) {
        let is_used = |word: u64| tag_of((word & SLOT_MASK) as u32) == Some(word & !SLOT_MASK);
        let word = digest.tag() | u64::from(slot);
        let buckets =
            digest.buckets(self.buckets()).map(|number| self.bucket_to_fill(number).unwrap_or_default());
        let places = || buckets.iter().copied().flatten();
        if places().any(|place| place.load(Ordering::Relaxed) == word) {
            return;
        }
        let empty =
            |bucket: &&[AtomicU64]| bucket.iter().filter(|place| place.load(Ordering::Relaxed) == 0).count();
        let free = |place: &&AtomicU64| place.load(Ordering::Relaxed) == 0;
        let [one, other] = buckets;
        let emptier = if empty(&one) >= empty(&other) { one } else { other };
        let place = emptier
            .iter()
            .find(free)
            .or_else(|| places().find(|place| !is_used(place.load(Ordering::Relaxed))))
            .or_else(|| one.get(digest.0 as usize % BUCKET));
        if let Some(place) = place {
            place.store(word, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digest_is_found_when_there_are_as_many_as_there_may_be() {
        const MEMBERS: u32 = 200_000;
        let places = Places::new(MEMBERS as usize);
        let mut rng = fastrand::Rng::with_seed(1);
        let digests: Vec<Digest> = (0..MEMBERS).map(|_| Digest::new(rng.u128(..))).collect();
        for (slot, digest) in (0..).zip(&digests) {
            places.put(*digest, slot, |held| digests.get(held as usize).map(|digest| digest.tag()));
        }
        let is_found = |(slot, digest): (u32, &Digest)| places.slots(*digest).any(|found| found == slot);
        assert!((0..).zip(&digests).all(is_found));
    }
}
