//! Floors of names: the newest signed message by each key that was about each name. An older one is a replay.
//!
//! By key and name, and not by key alone: hosts that share a key have clocks of their own, and one that is ahead must not
//! lock the others out. A floor outlives its message by two fudges, as a member's does. Members have one of their own, which
//! their owner's messages raise; here are those of ordinary names, of an administrator's messages about members, and of
//! messages about members that came to nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::change::NameFloor;
use crate::membership::Signed;
use crate::wire::Name;

type Place = (Name, Arc<[u8]>);

struct Held {
    signed: Signed,
    /// Until when an older message might be believed, monotonic milliseconds.
    ends_ms: u64,
    is_stored: bool,
    /// Whether the store has any floor of it, if an older one: its end is then to be stored too.
    is_known: bool,
}

/// All of a server's.
pub(super) struct NameFloors {
    held: HashMap<Place, Held>,
    ends: BTreeSet<(u64, Place)>,
    most: usize,
}

impl NameFloors {
    /// None yet, and no more than `most`: past that, the first to end gives way with [`NameFloors::pop_over`].
    pub fn new(most: usize) -> Self {
        NameFloors { held: HashMap::new(), ends: BTreeSet::new(), most }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The newest message by `key` that was about `name`.
    pub fn get(&self, key: &Name, name: &Arc<[u8]>, now_ms: u64) -> Option<Signed> {
        let held = self.held.get(&(key.clone(), Arc::clone(name)))?;
        (held.ends_ms > now_ms).then_some(held.signed)
    }

    /// Raises a floor. `is_stored` says whether the store has it.
    pub fn raise(&mut self, key: &Name, name: &Arc<[u8]>, signed: Signed, now_ms: u64, is_stored: bool) {
        let place = (key.clone(), Arc::clone(name));
        let before = self.held.remove(&place);
        if let Some(before) = &before {
            self.ends.remove(&(before.ends_ms, place.clone()));
        }
        let is_known = is_stored || before.as_ref().is_some_and(|before| before.is_known);
        let signed = signed.and(before.map(|before| before.signed));
        let ends_ms = now_ms.saturating_add(signed.kept_ms());
        self.ends.insert((ends_ms, place.clone()));
        self.held.insert(place, Held { signed, ends_ms, is_stored, is_known });
    }

    /// Raises a floor as a change says that was committed.
    pub fn publish(&mut self, raised: &NameFloor, now_ms: u64) {
        if let Some(signed) = raised.floor {
            self.raise(&raised.key, &raised.name, signed, now_ms, raised.is_durable);
        }
    }

    /// Takes out one that is over, or that is more than there may be.
    pub fn pop_over(&mut self, now_ms: u64) -> Option<NameFloor> {
        let (ends_ms, _) = self.ends.first()?;
        if *ends_ms > now_ms && self.held.len() <= self.most {
            return None;
        }
        let (_, (key, name)) = self.ends.pop_first()?;
        let held = self.held.remove(&(key.clone(), Arc::clone(&name)));
        // Of one that the store never had it has nothing to forget, nor anybody to remember that it has.
        let is_durable = held.as_ref().is_none_or(|held| held.is_known);
        Some(NameFloor { key, name, before: held.map(|held| held.signed), floor: None, is_durable })
    }

    /// Those that the store does not have: a renewal raises a floor and is not stored.
    pub fn unstored(&self) -> impl Iterator<Item = NameFloor> {
        let unstored = self.held.iter().filter(|(_, held)| !held.is_stored);
        unstored.map(|((key, name), held)| {
            let (key, name, floor) = (key.clone(), Arc::clone(name), Some(held.signed));
            NameFloor { key, name, before: None, floor, is_durable: true }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::Age;

    fn signed(at_s: u64) -> Signed {
        Signed::new(at_s, 300, at_s)
    }

    #[test]
    fn a_floor_is_its_keys_and_its_names_rises_and_ends() {
        let (a, b) = (Name::bytes_from_str("a.").unwrap(), Name::bytes_from_str("b.").unwrap());
        let (host, other) = (Arc::from(&b"\x04host\x00"[..]), Arc::from(&b"\x05other\x00"[..]));
        let mut floors = NameFloors::new(2);
        floors.raise(&a, &host, signed(10), 0, true);
        floors.raise(&a, &host, signed(20), 1_000, false);
        assert_eq!(signed(10).age(floors.get(&a, &host, 1_000)), Age::Older);
        assert_eq!(signed(20).age(floors.get(&a, &host, 1_000)), Age::Again);
        assert_eq!((floors.get(&b, &host, 1_000), floors.get(&a, &other, 1_000)), (None, None));
        assert_eq!(floors.unstored().count(), 1);
        assert_eq!(floors.pop_over(600_999), None);
        floors.raise(&b, &host, signed(30), 2_000, true);
        floors.raise(&b, &other, signed(30), 3_000, true);
        let gone = floors.pop_over(3_000).unwrap();
        assert_eq!((gone.key, gone.floor), (a, None), "one too many");
        assert_eq!(floors.get(&b, &host, 602_000), None);
        assert!(floors.pop_over(602_000).is_some() && floors.pop_over(602_000).is_none());
    }
}
