//! Who holds each slot of the lease table.

use super::{MemberName, PoolHandle};

/// Places in a chunk: 32 KB.
const CHUNK_PLACES: usize = 1024;

/// Who: in which pool, and its name there.
pub(super) type Holder = (PoolHandle, MemberName);

/// Holders by slot, in chunks: one that nobody is in any more is given back, and to grow is to add one.
#[derive(Default)]
pub(super) struct Holders {
    chunks: Vec<Chunk>,
    /// Slots that have been held, ever.
    slots: usize,
}

#[derive(Default)]
struct Chunk {
    /// None while nobody is in it.
    places: Option<Box<[Option<Holder>]>>,
    held: usize,
}

impl Holders {
    /// Slots that have been held so far: the next new one has this number.
    pub fn slots(&self) -> usize {
        self.slots
    }

    pub fn get(&self, slot: u32) -> Option<&Holder> {
        let slot = slot as usize;
        self.chunks.get(slot / CHUNK_PLACES)?.places.as_ref()?.get(slot % CHUNK_PLACES)?.as_ref()
    }

    /// Gives a slot to somebody: one that was held before, or the next new one.
    pub fn give(&mut self, slot: u32, holder: Holder) {
        let slot = slot as usize;
        self.slots = self.slots.max(slot + 1);
        if self.chunks.len() <= slot / CHUNK_PLACES {
            self.chunks.resize_with(slot / CHUNK_PLACES + 1, Chunk::default);
        }
        let Some(chunk) = self.chunks.get_mut(slot / CHUNK_PLACES) else { return };
        let places = chunk.places.get_or_insert_with(|| (0..CHUNK_PLACES).map(|_| None).collect());
        if let Some(place) = places.get_mut(slot % CHUNK_PLACES)
            && place.replace(holder).is_none()
        {
            chunk.held += 1;
        }
    }

    /// Takes a slot from whoever holds it.
    pub fn take(&mut self, slot: u32) {
        let slot = slot as usize;
        let Some(chunk) = self.chunks.get_mut(slot / CHUNK_PLACES) else { return };
        let Some(place) = chunk.places.as_mut().and_then(|places| places.get_mut(slot % CHUNK_PLACES)) else {
            return;
        };
        if place.take().is_some() {
            chunk.held -= 1;
        }
        if chunk.held == 0 {
            chunk.places = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(slot: u32) -> Holder {
        (PoolHandle::from(&b"\x03web\x00"[..]), slot.to_be_bytes()[..].into())
    }

    #[test]
    fn a_crowd_that_left_leaves_nothing() {
        let mut holders = Holders::default();
        let crowd = 5 * CHUNK_PLACES as u32 + 7;
        (0..crowd).for_each(|slot| holders.give(slot, holder(slot)));
        assert!((0..crowd).all(|slot| holders.get(slot) == Some(&holder(slot))));
        assert_eq!((holders.slots(), holders.get(crowd)), (crowd as usize, None));
        let chunks = |holders: &Holders| holders.chunks.iter().filter(|chunk| chunk.places.is_some()).count();
        assert_eq!(chunks(&holders), 6);
        for slot in (0..crowd).filter(|slot| *slot != 2_000) {
            holders.take(slot);
            holders.take(slot);
        }
        assert_eq!((chunks(&holders), holders.get(2_000)), (1, Some(&holder(2_000))), "one is still here");
        holders.take(2_000);
        assert_eq!((chunks(&holders), holders.slots()), (0, crowd as usize));
        holders.give(3, holder(9));
        assert_eq!((holders.get(3), holders.get(4)), (Some(&holder(9)), None));
    }
}
