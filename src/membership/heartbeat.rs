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

use std::sync::atomic::Ordering;

use super::known::{CHUNK_SLOTS, Digest, Known, Terms};
use super::lease::{Slot, lease_ms_of};
use super::{Age, LeaseRef, LeaseTable, Said, Signed, lease_end_ms};

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
        known.hear(now_ms);
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
        known.set(digest, terms);
        let tag_of = |slot| self.known(slot).and_then(Known::tag);
        self.places().put(digest, lease.slot, tag_of);
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
        known.map_or(0, Known::heard_ms)
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
