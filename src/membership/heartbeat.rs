//! Heartbeats that are known again: what a worker needs to renew a lease by itself.
//!
//! A heartbeat says what its member has said before. The registrar judged it then, and left a digest of it in the member's slot:
//! whoever finds that digest in a message need not judge it again. So a worker renews the lease, moves the floor and the load,
//! and leaves a mark if the member's pool is to be ranked anew; members, views and the disk are not touched.
//!
//! ```text
//!  registrar: judged, committed, published --> remember(lease, digest) --.
//!             any other change             --> forget(lease)             |--> slot: digest, terms
//!                                                                        '--> places: some bits of the digest -> slot
//!  worker:    digest of a message --> recognise --> beat --> lease, floor, load, mark
//! ```
//!
//! A place is a hint: the slot's own digest decides. So a place that leads nowhere does no harm, and is used again.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::lease::{CHUNK_SLOTS, Slot, lease_ms_of};
use super::{Age, LeaseRef, LeaseTable, SLOTS_MAX, Said, Signed, lease_end_ms};

/// Places in a bucket: a cache line.
const BUCKET: usize = 8;
/// Places that are made at a time: a page of memory, so that a small server has few.
const BLOCK: usize = 512;
/// How many bits of a place say which slot.
const SLOT_BITS: u32 = SLOTS_MAX.trailing_zeros();
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

    fn forget(&self) {
        self.digest[0].store(0, Ordering::Release);
    }

    /// A digest whose halves are of two heartbeats is neither's.
    fn is(&self, digest: Digest) -> bool {
        self.digest[0].load(Ordering::Acquire) == digest.0
            && self.digest[1].load(Ordering::Acquire) == digest.1
    }

    fn tag(&self) -> Option<u64> {
        let first = self.digest[0].load(Ordering::Relaxed);
        (first != 0).then(|| Digest(first, 0).tag())
    }

    fn terms(&self) -> Terms {
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
    fn set(&self, at: usize) {
        let bit = 1 << (at % 64);
        // Most are set by somebody who was set already: reading takes nothing from others.
        if let Some(word) = self.slots.get(at / 64).filter(|word| word.load(Ordering::Relaxed) & bit == 0) {
            word.fetch_or(bit, Ordering::AcqRel);
            self.any.store(true, Ordering::Release);
        }
    }

    fn take(&self, mut see: impl FnMut(usize)) {
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

/// Where to look for the slot of a digest: twice as many places as members, in buckets of which each digest has two to choose
/// from, so that hardly any is ever full. Where both are, somebody else's heartbeats go to the registrar.
pub(super) struct Places {
    blocks: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

impl Places {
    /// For so many members.
    pub fn new(members_max: usize) -> Self {
        let places = members_max.saturating_mul(2).clamp(BLOCK, 2 * SLOTS_MAX);
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
    fn slots(&self, digest: Digest) -> impl Iterator<Item = u32> {
        let buckets = digest.buckets(self.buckets()).into_iter().filter_map(|number| self.bucket(number));
        let words = buckets.flatten().map(|place| place.load(Ordering::Acquire));
        words.filter(move |word| *word & !SLOT_MASK == digest.tag()).map(|word| (word & SLOT_MASK) as u32)
    }

    /// Notes where a digest is. `is_used` says whether what a place says still holds.
    fn put(&self, digest: Digest, slot: u32, is_used: impl Fn(u64) -> bool) {
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

/// What became of a heartbeat that was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The lease was renewed, and is so long now, milliseconds; [`LEASE_FOREVER_MS`](super::LEASE_FOREVER_MS) for ever.
    Renewed(u32),
    /// It is the very message that was accepted last: nothing happens. The lease ends then, monotonic milliseconds.
    Again(u64),
}

impl LeaseTable {
    /// The lease whose member's heartbeat has this digest.
    pub fn recognise(&self, digest: Digest) -> Option<LeaseRef> {
        self.places().slots(digest).find_map(|slot| {
            let (known, lease) = (self.known(slot)?, self.lease_of(slot)?);
            known.is(digest).then_some(lease)
        })
    }

    /// Does what a heartbeat asks for that was recognised, received at `now_ms`. `None` if it is the registrar's to judge: the
    /// lease is over, or the message is not newer than the last one.
    pub fn beat(&self, lease: LeaseRef, signed: Option<Signed>, said: Said, now_ms: u64) -> Option<Beat> {
        let ends_ms = self.ends_ms(lease).filter(|&ends_ms| ends_ms > now_ms)?;
        let known = self.known(lease.slot)?;
        if let Some(signed) = signed {
            match signed.age(self.floor(lease)) {
                Age::New => {}
                Age::Again => return Some(Beat::Again(ends_ms)),
                // The registrar knows which messages of a second it has had.
                Age::SameSecond | Age::Older => return None,
            }
        }
        let lease_ms = self.running(lease).map(Slot::lease_ms)?;
        let terms = known.terms();
        // In this order: one that comes too late for the lease raises nothing, and the registrar can have it.
        if !self.renew(lease, lease_end_ms(now_ms, lease_ms)) {
            return None;
        }
        if signed.is_some_and(|signed| !self.advance(lease, signed)) {
            // Another one was quicker, in another thread: it renewed the lease too.
            return None;
        }
        known.heard_ms.fetch_max(now_ms, Ordering::AcqRel);
        let is_other = self.say(lease, said, now_ms, terms.load_half_life_ms);
        let is_forgotten = self.picks(lease) > 0;
        if is_forgotten {
            self.forget_picks(lease);
        }
        if terms.ranks && (is_other || is_forgotten) {
            self.mark(lease.slot);
        }
        Some(Beat::Renewed(lease_ms))
    }

    /// Lets workers renew a lease by heartbeats of this digest. The registrar alone calls it, after the message that has it was
    /// judged, its member published, and the store right about it.
    pub(super) fn remember(&self, lease: LeaseRef, digest: Digest, terms: Terms) {
        let Some(known) = self.running(lease).and_then(|_| self.known(lease.slot)) else { return };
        known.forget();
        known
            .terms
            .store((u64::from(terms.load_half_life_ms) << 1) | u64::from(terms.ranks), Ordering::Release);
        known.digest[1].store(digest.1, Ordering::Release);
        known.digest[0].store(digest.0, Ordering::Release);
        let is_used = |word: u64| {
            let tag = self.known((word & SLOT_MASK) as u32).and_then(Known::tag);
            tag == Some(word & !SLOT_MASK)
        };
        self.places().put(digest, lease.slot, is_used);
    }

    /// Lets workers renew a lease no more: its next heartbeat goes to the registrar. The registrar alone calls it.
    pub(super) fn forget(&self, lease: LeaseRef) {
        if let Some(known) = self.running(lease).and_then(|_| self.known(lease.slot)) {
            known.forget();
        }
    }

    /// When a worker renewed a lease last, monotonic milliseconds; 0 if none has.
    pub(super) fn heard_ms(&self, lease: LeaseRef) -> u64 {
        let known = self.floor_slot(lease).and_then(|_| self.known(lease.slot));
        known.map_or(0, |known| known.heard_ms.load(Ordering::Acquire))
    }

    fn mark(&self, slot: u32) {
        if let Some(marks) = self.marks(slot as usize / CHUNK_SLOTS) {
            marks.set(slot as usize % CHUNK_SLOTS);
        }
    }

    /// Shows the slots that were marked since the last time.
    pub(super) fn take_marks(&self, mut see: impl FnMut(u32)) {
        for chunk in 0..self.chunks() {
            if let Some(marks) = self.marks(chunk) {
                marks.take(|at| see((chunk * CHUNK_SLOTS + at) as u32));
            }
        }
    }
}

impl Slot {
    fn lease_ms(&self) -> u32 {
        lease_ms_of(self.terms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::lease::Begins;
    use crate::membership::{Crowd, Load};

    const TERMS: Terms = Terms { load_half_life_ms: 0, ranks: true };

    fn begins() -> Begins {
        Begins { ends_ms: 30_000, lease_ms: 30_000, crowd: Crowd::default(), floor: None, joined_ms: 0 }
    }

    fn digest(number: u64) -> Digest {
        // Any that spreads.
        Digest::new(u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
    }

    fn marks(table: &LeaseTable) -> Vec<u32> {
        let mut marked = Vec::new();
        table.take_marks(|slot| marked.push(slot));
        marked
    }

    #[test]
    fn a_digest_leads_to_its_lease_until_it_is_forgotten_or_the_lease_is_over() {
        let table = LeaseTable::new(100);
        let lease = table.start(7, &begins()).unwrap();
        assert_eq!(table.recognise(digest(1)), None);
        table.remember(lease, digest(1), TERMS);
        assert_eq!((table.recognise(digest(1)), table.recognise(digest(2))), (Some(lease), None));
        table.remember(lease, digest(2), TERMS);
        assert_eq!((table.recognise(digest(1)), table.recognise(digest(2))), (None, Some(lease)));
        table.forget(lease);
        assert_eq!(table.recognise(digest(2)), None);
        table.remember(lease, digest(2), TERMS);
        table.end(lease);
        assert_eq!(table.recognise(digest(2)), None, "the dead are not recognised");
        let next = table.start(7, &begins()).unwrap();
        assert_eq!(table.recognise(digest(2)), None, "nor the next in their slot");
        table.remember(lease, digest(2), TERMS);
        assert_eq!(table.recognise(digest(2)), None, "a claim that has died remembers nothing");
        table.remember(next, digest(2), TERMS);
        assert_eq!(table.recognise(digest(2)), Some(next));
    }

    #[test]
    fn as_many_as_there_may_be_find_a_place_and_places_are_used_again() {
        const MEMBERS: u32 = 20_000;
        let table = LeaseTable::new(MEMBERS as usize);
        let leases: Vec<_> = (0..MEMBERS).map(|slot| table.start(slot, &begins()).unwrap()).collect();
        for round in 0..3 {
            let of = |slot: u32| digest(u64::from(round * MEMBERS + slot) + 1);
            for lease in &leases {
                table.remember(*lease, of(lease.slot), TERMS);
            }
            let found = leases.iter().filter(|lease| table.recognise(of(lease.slot)) == Some(**lease));
            assert_eq!(found.count(), leases.len(), "round {round}");
        }
    }

    #[test]
    fn a_heartbeat_renews_raises_and_marks() {
        let table = LeaseTable::new(100);
        let lease = table.start(70, &begins()).unwrap();
        table.remember(lease, digest(1), TERMS);
        let signed = |at_s| Some(Signed::new(at_s, 300, at_s << 1));
        let load = |share| Said::Load(Load::of(share));
        assert_eq!(table.beat(lease, signed(10), load(0.5), 1_000), Some(Beat::Renewed(30_000)));
        assert_eq!((table.deadline_ms(lease), table.floor(lease)), (Some(31_000), signed(10)));
        assert_eq!((table.heard_ms(lease), marks(&table)), (1_000, vec![70]));
        assert_eq!(table.beat(lease, signed(10), load(0.9), 2_000), Some(Beat::Again(31_000)));
        assert_eq!((table.deadline_ms(lease), marks(&table)), (Some(31_000), vec![]), "a retry does nothing");
        assert_eq!(table.load(lease).unwrap().said, Load::of(0.5));
        assert_eq!(table.beat(lease, Some(Signed::new(10, 300, 8)), Said::Nothing, 2_000), None);
        assert_eq!(table.beat(lease, signed(9), Said::Nothing, 2_000), None, "a replay");
        assert_eq!(table.beat(lease, signed(11), load(0.5), 3_000), Some(Beat::Renewed(30_000)));
        assert_eq!(marks(&table), Vec::<u32>::new(), "it stands as before");
        table.count_pick(lease);
        assert_eq!(table.beat(lease, signed(12), Said::Nothing, 4_000), Some(Beat::Renewed(30_000)));
        assert_eq!((table.picks(lease), marks(&table)), (0, vec![70]));
        assert_eq!(table.beat(lease, signed(13), Said::Nothing, 34_000), None, "over at its deadline");
        assert_eq!(table.floor(lease), signed(12), "what was not taken raises nothing");
        table.remember(lease, digest(1), Terms { ranks: false, ..TERMS });
        assert_eq!(table.beat(lease, signed(13), load(0.1), 5_000), Some(Beat::Renewed(30_000)));
        assert_eq!(marks(&table), Vec::<u32>::new(), "its policy does not ask for loads");
    }

    #[test]
    fn unsigned_heartbeats_and_permanent_members_are_renewed_too() {
        let table = LeaseTable::new(100);
        let forever = Begins { ends_ms: crate::membership::FOREVER_MS, lease_ms: u32::MAX, ..begins() };
        let lease = table.start(0, &forever).unwrap();
        assert_eq!(table.beat(lease, None, Said::Nothing, 9_000), Some(Beat::Renewed(u32::MAX)));
        assert_eq!(table.deadline_ms(lease), Some(crate::membership::FOREVER_MS));
    }

    #[test]
    fn racing_heartbeats_and_expiries_leave_one_winner() {
        let table = LeaseTable::new(10);
        for round in 0..200 {
            let lease = table.start(1, &begins()).unwrap();
            let (beat, expired) = std::thread::scope(|scope| {
                let worker = scope.spawn(|| table.beat(lease, None, Said::Nothing, 29_999));
                let registrar = scope.spawn(|| table.expire(lease, 30_000));
                (worker.join().unwrap(), registrar.join().unwrap())
            });
            assert_ne!(beat.is_some(), expired == Ok(true), "round {round}: {beat:?} {expired:?}");
            table.end(lease);
        }
    }
}
