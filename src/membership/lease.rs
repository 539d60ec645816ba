//! Leases in slots that never move: what heartbeats write and answers read, without a lock.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::known::{CHUNK_SLOTS, Known, Marks, Places, SLOT_BITS};
use super::{Age, Signed};

/// Chunks that a table may have. One is 385 KB, a cache line and a half a slot, and is made when its first slot is needed.
const CHUNKS_MAX: usize = 4096;
/// Members that one server may hold at a time: 16,777,216.
pub const SLOTS_MAX: usize = CHUNK_SLOTS * CHUNKS_MAX;
const _: () = assert!(SLOTS_MAX == 1 << SLOT_BITS);

const LIVE: u64 = 1;
const GENERATION_BITS: u32 = 21;
const GENERATION_MASK: u64 = (1 << GENERATION_BITS) - 1;
/// Deadlines have the remaining 42 bits: 139 years of milliseconds.
const DEADLINE_SHIFT: u32 = GENERATION_BITS + 1;
const DEADLINE_MAX: u64 = u64::MAX >> DEADLINE_SHIFT;

/// The lease of a member that is permanent (`lease = "none"`), and the key lease of a name that always is its owner's.
pub const LEASE_FOREVER_MS: u32 = u32::MAX;
/// When such a lease ends, monotonic milliseconds: the last deadline that there is, 139 years after the process began.
pub const FOREVER_MS: u64 = DEADLINE_MAX;

/// When a lease of `lease_ms` ends that begins at `now_ms`, monotonic milliseconds.
pub fn lease_end_ms(now_ms: u64, lease_ms: u32) -> u64 {
    if lease_ms == LEASE_FOREVER_MS { FOREVER_MS } else { now_ms.saturating_add(u64::from(lease_ms)) }
}

/// How long a lease is that begins at `now_ms` and ends at `ends_ms`, milliseconds; the inverse of [`lease_end_ms`].
pub(super) fn lease_length_ms(now_ms: u64, ends_ms: u64) -> u32 {
    if ends_ms >= FOREVER_MS {
        return LEASE_FOREVER_MS;
    }
    u32::try_from(ends_ms.saturating_sub(now_ms)).unwrap_or(LEASE_FOREVER_MS - 1).min(LEASE_FOREVER_MS - 1)
}

/// How long leases of a pool may be, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRules {
    /// When the client asks for nothing.
    pub default_ms: u32,
    /// A shorter wish is raised to this.
    pub min_ms: u32,
    /// A longer wish is lowered to this.
    pub max_ms: u32,
}

impl LeaseRules {
    /// The lease granted for a wish.
    pub fn grant(&self, wish_ms: Option<u64>) -> u32 {
        let wish = wish_ms.unwrap_or(u64::from(self.default_ms));
        wish.clamp(u64::from(self.min_ms), u64::from(self.max_ms)) as u32
    }
}

/// A claim on a slot: dead as soon as the slot is freed, whoever gets it next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseRef {
    /// Which slot.
    pub slot: u32,
    /// Which of the slot's successive leases.
    pub generation: u32,
}

/// How a lease begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begins {
    /// When it ends, monotonic milliseconds.
    pub ends_ms: u64,
    /// How long it is, milliseconds: after a restart, what its member has of its grace.
    pub lease_ms: u32,
    /// Whose holds it is subject to.
    pub crowd: Crowd,
    /// The floor that it begins with.
    pub floor: Option<Signed>,
    /// When its member joined, monotonic milliseconds; 0 if nobody knows.
    pub joined_ms: u64,
}

/// What heartbeats of a member write, and what picks of it do.
#[derive(Default)]
pub(super) struct Slot {
    /// Deadline (42 bits, monotonic ms), generation (21 bits), live (1 bit).
    word: AtomicU64,
    /// How long the lease is that runs (32 bits, ms), and whose holds it is subject to (32 bits).
    pub(super) terms: AtomicU64,
    /// The newest signed message accepted in this lease: time (48 bits), fudge (16 bits); 0 for none.
    floor: AtomicU64,
    /// The first bits of that message's MAC, and whether its second is sealed.
    mac: AtomicU64,
    /// The load, as said and as smoothed: [`KnownLoad`](super::KnownLoad).
    pub(super) load: AtomicU64,
    /// When the load was said last, monotonic milliseconds; 0 for never.
    pub(super) said_ms: AtomicU64,
    /// When the lease's member joined, monotonic milliseconds; 0 if nobody knows.
    pub(super) joined_ms: AtomicU64,
    /// How often answers picked the member since it last registered.
    ///
    /// A permanent member may never register again: 32 bits are a day of 50,000 answers a second.
    pub(super) picks: AtomicU64,
}

/// Whose leases are held together when members fall silent in a mass: those of a zone. 0 is nobody's, and never held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Crowd(pub u32);

impl Crowd {
    /// How many there may be; further zones' leases are never held.
    pub const MAX: u32 = 4096;
}

/// Slots that are made together.
struct Chunk {
    slots: Box<[Slot]>,
    /// Their heartbeats. Apart from them, for answers read none.
    known: Box<[Known]>,
    marks: Marks,
}

/// All leases of a server. Shared: answers read it, heartbeats and the registrar write it.
pub struct LeaseTable {
    chunks: Box<[OnceLock<Chunk>]>,
    places: Places,
    /// By crowd, until when leases that are over are held, monotonic milliseconds.
    held: Box<[AtomicU64]>,
}

fn pack_terms(lease_ms: u32, crowd: Crowd) -> u64 {
    (u64::from(lease_ms) << 32) | u64::from(crowd.0)
}

pub(super) fn lease_ms_of(terms: u64) -> u32 {
    (terms >> 32) as u32
}

fn crowd_of(terms: u64) -> Crowd {
    Crowd(terms as u32)
}

fn pack(ends_ms: u64, generation: u32) -> u64 {
    // A deadline past 139 years is held back to it; leases are an hour at most.
    (ends_ms.min(DEADLINE_MAX) << DEADLINE_SHIFT) | ((u64::from(generation) & GENERATION_MASK) << 1) | LIVE
}

fn ends_ms_of(word: u64) -> u64 {
    word >> DEADLINE_SHIFT
}

fn generation_of(word: u64) -> u32 {
    ((word >> 1) & GENERATION_MASK) as u32
}

fn is_live(word: u64, lease: LeaseRef) -> bool {
    word & LIVE != 0 && generation_of(word) == lease.generation
}

impl LeaseTable {
    /// No leases, of so many members at most whose heartbeats are known again.
    pub fn new(members_max: usize) -> Self {
        LeaseTable {
            chunks: (0..CHUNKS_MAX).map(|_| OnceLock::new()).collect(),
            places: Places::new(members_max),
            held: (0..Crowd::MAX).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn chunk(&self, slot: u32) -> Option<&Chunk> {
        self.chunks.get(slot as usize / CHUNK_SLOTS)?.get()
    }

    fn slot(&self, slot: u32) -> Option<&Slot> {
        self.chunk(slot)?.slots.get(slot as usize % CHUNK_SLOTS)
    }

    /// What a slot's member is known again by.
    pub(super) fn known(&self, slot: u32) -> Option<&Known> {
        self.chunk(slot)?.known.get(slot as usize % CHUNK_SLOTS)
    }

    pub(super) fn marks(&self, chunk: usize) -> Option<&Marks> {
        Some(&self.chunks.get(chunk)?.get()?.marks)
    }

    /// How many chunks there may be.
    pub(super) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// The lease that runs in a slot.
    pub(super) fn lease_of(&self, slot: u32) -> Option<LeaseRef> {
        let word = self.slot(slot)?.word.load(Ordering::Acquire);
        (word & LIVE != 0).then(|| LeaseRef { slot, generation: generation_of(word) })
    }

    /// The word of a live lease of this generation.
    fn live(&self, lease: LeaseRef) -> Option<(&AtomicU64, u64)> {
        let Slot { word: place, .. } = self.slot(lease.slot)?;
        let word = place.load(Ordering::Acquire);
        is_live(word, lease).then_some((place, word))
    }

    /// The slot of a lease that runs.
    pub(super) fn running(&self, lease: LeaseRef) -> Option<&Slot> {
        self.slot(lease.slot).filter(|slot| is_live(slot.word.load(Ordering::Acquire), lease))
    }

    /// The floor of a lease that runs, or that has ended and whose slot nobody has got since.
    pub(super) fn floor_slot(&self, lease: LeaseRef) -> Option<&Slot> {
        let slot = self.slot(lease.slot)?;
        (generation_of(slot.word.load(Ordering::Acquire)) == lease.generation).then_some(slot)
    }

    /// The newest signed message that was accepted in this lease, also while its end is being dealt with.
    pub fn floor(&self, lease: LeaseRef) -> Option<Signed> {
        let slot = self.floor_slot(lease)?;
        Signed::unpack((slot.floor.load(Ordering::Acquire), slot.mac.load(Ordering::Acquire)))
    }

    /// Raises the floor of a lease; nothing lowers it, but that a message of today takes the place of a floor from a clock
    /// which was set back since. A slot rests before it is used again, so a claim that dies in here raises nobody else's.
    pub fn raise(&self, lease: LeaseRef, signed: Signed) {
        _ = self.raise_if(lease, signed, |_| true);
    }

    /// Raises the floor of a lease if the message is newer than it; of two messages of one second, that only one is.
    pub(super) fn advance(&self, lease: LeaseRef, signed: Signed) -> bool {
        self.raise_if(lease, signed, |held| signed.age(held) == Age::New)
    }

    fn raise_if(&self, lease: LeaseRef, signed: Signed, may: impl Fn(Option<Signed>) -> bool) -> bool {
        let Some(slot) = self.floor_slot(lease) else { return false };
        let held_mac = slot.mac.load(Ordering::Acquire);
        let held = |time| Signed::unpack((time, held_mac));
        let update = |time| may(held(time)).then(|| Signed::pack(Some(signed.and(held(time)))).0);
        let Ok(before) = slot.floor.fetch_update(Ordering::AcqRel, Ordering::Acquire, update) else {
            return false;
        };
        // A reader in between sees the MAC of another message, and takes a retry for a new one.
        let raised = signed.and(held(before));
        if raised.mac == signed.mac {
            slot.mac.store(Signed::pack(Some(raised)).1, Ordering::Release);
        }
        true
    }

    /// When this lease ends, monotonic milliseconds, a hold of its crowd included; `None` once it has expired or been freed.
    /// That it ends later than now is the caller's check.
    pub fn ends_ms(&self, lease: LeaseRef) -> Option<u64> {
        let slot = self.running(lease)?;
        let ends_ms = ends_ms_of(slot.word.load(Ordering::Acquire));
        Some(ends_ms.max(self.held_until_ms(crowd_of(slot.terms.load(Ordering::Relaxed)))))
    }

    /// When this lease ends as it was granted, whatever is held; `None` once it has expired or been freed.
    pub fn deadline_ms(&self, lease: LeaseRef) -> Option<u64> {
        self.live(lease).map(|(_, word)| ends_ms_of(word))
    }

    /// Whose holds a lease is subject to.
    pub fn crowd(&self, lease: LeaseRef) -> Crowd {
        self.slot(lease.slot).map_or_else(Crowd::default, |slot| crowd_of(slot.terms.load(Ordering::Relaxed)))
    }

    /// Until when a crowd's leases are held that are over, monotonic milliseconds; in the past if they are not.
    pub fn held_until_ms(&self, crowd: Crowd) -> u64 {
        self.held.get(crowd.0 as usize).map_or(0, |held| held.load(Ordering::Acquire))
    }

    /// Holds a crowd's leases until a moment, or, with one in the past, lets go of them. The registrar alone calls it.
    pub(super) fn hold(&self, crowd: Crowd, until_ms: u64) {
        if let Some(held) = self.held.get(crowd.0 as usize).filter(|_| crowd != Crowd::default()) {
            held.store(until_ms, Ordering::Release);
        }
    }

    /// Moves a lease to another crowd. The registrar alone calls it.
    pub(super) fn regroup(&self, lease: LeaseRef, crowd: Crowd) {
        if let Some(slot) = self.running(lease) {
            let lease_ms = lease_ms_of(slot.terms.load(Ordering::Relaxed));
            slot.terms.store(pack_terms(lease_ms, crowd), Ordering::Relaxed);
        }
    }

    /// Shows the leases that run among some slots: whose each is, when it ends as granted, monotonic milliseconds, and its
    /// length, milliseconds.
    pub(super) fn scan(&self, slots: Range<usize>, mut see: impl FnMut(Crowd, u64, u32)) {
        let (mut at, end) = (slots.start, slots.end.min(SLOTS_MAX));
        while at < end {
            let (chunk, within) = (at / CHUNK_SLOTS, at % CHUNK_SLOTS);
            let until = end.min((chunk + 1) * CHUNK_SLOTS);
            if let Some(chunk) = self.chunks.get(chunk).and_then(OnceLock::get) {
                for slot in chunk.slots.iter().skip(within).take(until - at) {
                    let word = slot.word.load(Ordering::Relaxed);
                    if word & LIVE != 0 {
                        let terms = slot.terms.load(Ordering::Relaxed);
                        see(crowd_of(terms), ends_ms_of(word), lease_ms_of(terms));
                    }
                }
            }
            at = until;
        }
    }

    /// Starts a lease in a slot that nobody holds. The registrar alone calls it. `None` past [`SLOTS_MAX`].
    pub(super) fn start(&self, slot: u32, begins: &Begins) -> Option<LeaseRef> {
        let Begins { ends_ms, lease_ms, crowd, floor, joined_ms } = *begins;
        let chunk = self.chunks.get(slot as usize / CHUNK_SLOTS)?;
        let chunk = chunk.get_or_init(|| Chunk {
            slots: (0..CHUNK_SLOTS).map(|_| Slot::default()).collect(),
            known: (0..CHUNK_SLOTS).map(|_| Known::default()).collect(),
            marks: Marks::default(),
        });
        let place = chunk.slots.get(slot as usize % CHUNK_SLOTS)?;
        if let Some(known) = chunk.known.get(slot as usize % CHUNK_SLOTS) {
            known.clear();
        }
        let generation = (u64::from(generation_of(place.word.load(Ordering::Relaxed))) + 1) & GENERATION_MASK;
        let generation = generation as u32;
        let (time, mac) = Signed::pack(floor);
        place.floor.store(time, Ordering::Relaxed);
        place.mac.store(mac, Ordering::Relaxed);
        place.said_ms.store(0, Ordering::Relaxed);
        place.joined_ms.store(joined_ms, Ordering::Relaxed);
        place.terms.store(pack_terms(lease_ms, crowd), Ordering::Relaxed);
        place.picks.store(0, Ordering::Relaxed);
        place.word.store(pack(ends_ms, generation), Ordering::Release);
        Some(LeaseRef { slot, generation })
    }

    /// Swaps a live lease's word for what `next` makes of it, until nobody came between. `None` from `next` leaves the
    /// word alone. Returns the word that stands, or `None` if the lease is not live any more.
    fn swap(&self, lease: LeaseRef, next: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let (slot, mut word) = self.live(lease)?;
        loop {
            let Some(wanted) = next(word) else { return Some(word) };
            match slot.compare_exchange(word, wanted, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(wanted),
                Err(now) if is_live(now, lease) => word = now,
                Err(_) => return None,
            }
        }
    }

    /// Extends a live lease to `ends_ms`; a lease never gets shorter this way. `false` if it is not live any more: then
    /// the registrar decides whether the member joins again.
    #[must_use]
    pub fn renew(&self, lease: LeaseRef, ends_ms: u64) -> bool {
        let later = |word| (ends_ms_of(word) < ends_ms).then(|| pack(ends_ms, lease.generation));
        self.swap(lease, later).is_some()
    }

    /// Moves a live lease's end from `from_ms`, earlier or later. An end that is not `from_ms` any more was renewed in
    /// between, by a heartbeat that may be acknowledged: then only a later end is taken. The registrar alone calls it, and
    /// publishes the pool's view with it.
    pub(super) fn set(&self, lease: LeaseRef, from_ms: u64, ends_ms: u64, lease_ms: u32) {
        let moved = |word| {
            let held_ms = ends_ms_of(word);
            let moves = held_ms < ends_ms || (held_ms == from_ms && held_ms != ends_ms);
            moves.then(|| pack(ends_ms, lease.generation))
        };
        _ = self.swap(lease, moved);
        if let Some(slot) = self.running(lease).filter(|_| ends_ms != from_ms) {
            let crowd = crowd_of(slot.terms.load(Ordering::Relaxed));
            slot.terms.store(pack_terms(lease_ms, crowd), Ordering::Relaxed);
        }
    }

    /// Ends a lease that is due at `now_ms` and not held. `Err` with the end that it has if a renewal came first or it is held;
    /// `Ok(false)` if it was dead.
    pub(super) fn expire(&self, lease: LeaseRef, now_ms: u64) -> Result<bool, u64> {
        let held_ms = self.held_until_ms(self.crowd(lease));
        if held_ms > now_ms && self.live(lease).is_some() {
            return Err(held_ms);
        }
        match self.swap(lease, |word| (ends_ms_of(word) <= now_ms).then_some(word & !LIVE)) {
            Some(word) if word & LIVE != 0 => Err(ends_ms_of(word)),
            Some(_) => Ok(true),
            None => Ok(false),
        }
    }

    /// Ends a lease at once.
    pub(super) fn end(&self, lease: LeaseRef) {
        if let Some((slot, _)) = self.live(lease) {
            slot.fetch_and(!LIVE, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(ends_ms: u64, floor: Option<Signed>) -> Begins {
        Begins { ends_ms, lease_ms: 1_000, crowd: Crowd(1), floor, joined_ms: 0 }
    }

    #[test]
    fn renewal_and_expiry_cannot_both_win() {
        let table = LeaseTable::new(10_000);
        let lease = table.start(5, &begins(1_000, None)).unwrap();
        assert_eq!(table.ends_ms(lease), Some(1_000));
        assert!(table.renew(lease, 2_000));
        assert_eq!(table.expire(lease, 1_500), Err(2_000), "renewed in time");
        assert_eq!(table.expire(lease, 2_000), Ok(true), "a lease ends at its deadline, not after it");
        assert!(!table.renew(lease, 9_000), "the dead are not renewed");
        assert_eq!(table.ends_ms(lease), None);
        assert_eq!(table.expire(lease, 9_000), Ok(false));
    }

    #[test]
    fn a_slot_used_again_does_not_revive_old_claims() {
        let table = LeaseTable::new(10_000);
        let first = table.start(0, &begins(1_000, None)).unwrap();
        table.end(first);
        let second = table.start(0, &begins(5_000, None)).unwrap();
        assert_eq!(table.ends_ms(first), None);
        assert!(!table.renew(first, 9_000));
        table.end(first);
        assert_eq!(table.ends_ms(second), Some(5_000));
    }

    #[test]
    fn renewal_only_extends_and_set_shortens_what_it_knows() {
        let table = LeaseTable::new(10_000);
        let lease = table.start(4_097, &begins(5_000, None)).unwrap();
        assert!(table.renew(lease, 3_000));
        assert_eq!(table.ends_ms(lease), Some(5_000));
        table.set(lease, 4_000, 3_000, 1_000);
        assert_eq!(table.ends_ms(lease), Some(5_000), "somebody else renewed it");
        table.set(lease, 5_000, 3_000, 1_000);
        assert_eq!(table.ends_ms(lease), Some(3_000));
        assert_eq!(table.start(SLOTS_MAX as u32, &begins(1, None)), None);
    }

    #[test]
    fn racing_renewals_and_expiries_leave_one_winner() {
        let table = LeaseTable::new(10_000);
        for round in 0..200 {
            let lease = table.start(1, &begins(1_000, None)).unwrap();
            let (renewed, expired) = std::thread::scope(|scope| {
                let renewer = scope.spawn(|| table.renew(lease, 2_000));
                let expirer = scope.spawn(|| table.expire(lease, 1_000));
                (renewer.join().unwrap(), expirer.join().unwrap())
            });
            assert_ne!(renewed, expired == Ok(true), "round {round}: {renewed} {expired:?}");
            table.end(lease);
        }
    }

    #[test]
    fn a_floor_only_rises_and_is_not_the_next_holders() {
        let table = LeaseTable::new(10_000);
        let signed = |at_s| Signed::new(at_s, 300, 0);
        let lease = table.start(3, &begins(1_000, Some(signed(50)))).unwrap();
        table.raise(lease, signed(70));
        table.raise(lease, signed(60));
        assert_eq!(table.floor(lease), Some(signed(70)));
        assert_eq!(table.expire(lease, 1_000), Ok(true));
        assert_eq!(table.floor(lease), Some(signed(70)), "its end is being dealt with");
        let next = table.start(3, &begins(2_000, None)).unwrap();
        table.raise(lease, signed(80));
        assert_eq!((table.floor(lease), table.floor(next)), (None, None));
    }

    #[test]
    fn racing_messages_leave_the_newest_as_floor() {
        let table = LeaseTable::new(10_000);
        let lease = table.start(1, &begins(1_000, None)).unwrap();
        std::thread::scope(|scope| {
            for worker in 0..2 {
                let table = &table;
                // All of them in time by one clock.
                let times = (0..10_000).map(move |at_s| Signed::new(2 * at_s + worker, u16::MAX, 0));
                scope.spawn(move || times.for_each(|signed| table.raise(lease, signed)));
            }
        });
        assert_eq!(table.floor(lease), Some(Signed::new(19_999, u16::MAX, 0)));
    }

    #[test]
    fn a_lease_for_ever_is_one_that_the_table_holds() {
        let table = LeaseTable::new(10_000);
        let lease = table.start(0, &begins(lease_end_ms(7, LEASE_FOREVER_MS), None)).unwrap();
        assert_eq!(table.ends_ms(lease), Some(FOREVER_MS));
        assert_eq!(table.expire(lease, FOREVER_MS - 1), Err(FOREVER_MS));
        table.set(lease, FOREVER_MS, 5_000, 1_000);
        assert_eq!(table.ends_ms(lease), Some(5_000), "a permanent member that takes a lease has one");
        assert!(table.renew(lease, lease_end_ms(9, LEASE_FOREVER_MS)));
        assert_eq!(table.ends_ms(lease), Some(FOREVER_MS));
        assert_eq!(lease_end_ms(7, LEASE_FOREVER_MS - 1), 7 + u64::from(u32::MAX - 1));
    }

    #[test]
    fn a_held_lease_goes_on_and_its_deadline_does_not_move() {
        let table = LeaseTable::new(10_000);
        let lease = table.start(0, &begins(1_000, None)).unwrap();
        let other = table.start(1, &Begins { crowd: Crowd(2), ..begins(1_000, None) }).unwrap();
        let nobodys = table.start(2, &Begins { crowd: Crowd(0), ..begins(1_000, None) }).unwrap();
        table.hold(Crowd(1), 5_000);
        table.hold(Crowd(0), 5_000);
        assert_eq!((table.ends_ms(lease), table.deadline_ms(lease)), (Some(5_000), Some(1_000)));
        assert_eq!((table.ends_ms(other), table.ends_ms(nobodys)), (Some(1_000), Some(1_000)));
        assert_eq!((table.expire(lease, 1_500), table.expire(other, 1_500)), (Err(5_000), Ok(true)));
        table.set(lease, 1_000, 900, 900);
        assert_eq!(table.deadline_ms(lease), Some(900), "what was granted can still be shortened");
        let mut seen = Vec::new();
        table.scan(0..usize::MAX, |crowd, ends_ms, lease_ms| seen.push((crowd.0, ends_ms, lease_ms)));
        assert_eq!(seen, [(1, 900, 900), (0, 1_000, 1_000)], "those that run");
        table.regroup(lease, Crowd(2));
        assert_eq!(table.expire(lease, 1_500), Ok(true), "another crowd is not held");
        table.hold(Crowd(Crowd::MAX), 5_000);
        assert_eq!(table.held_until_ms(Crowd(Crowd::MAX)), 0);
    }

    #[test]
    fn wishes_are_clamped() {
        let rules = LeaseRules { default_ms: 30_000, min_ms: 2_000, max_ms: 3_600_000 };
        assert_eq!(rules.grant(None), 30_000);
        assert_eq!(rules.grant(Some(1)), 2_000);
        assert_eq!(rules.grant(Some(u64::MAX)), 3_600_000);
    }
}
