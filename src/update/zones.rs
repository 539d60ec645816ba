//! The zones of a registrar, found by name: however many there are, a name has few labels.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::security::Grants;
use crate::zone::{Publisher, parent};

/// Each zone's writing side, and who may register what in it.
#[derive(Default)]
pub(super) struct Zones {
    each: Vec<(Publisher, Grants)>,
    /// By apex.
    places: HashMap<Box<[u8]>, usize, RandomState>,
}

impl Zones {
    /// The place of the zone with this apex.
    pub fn at(&self, apex: &[u8]) -> Option<usize> {
        self.places.get(apex).copied()
    }

    /// The place of the zone that a name belongs to: the one with the longest apex, for one may lie in another.
    pub fn closest(&self, name: &[u8]) -> Option<usize> {
        closest(name, |apex| self.at(apex))
    }

    /// The zone at a place.
    pub fn get(&self, place: usize) -> Option<&(Publisher, Grants)> {
        self.each.get(place)
    }

    /// As [`Zones::get`].
    pub fn get_mut(&mut self, place: usize) -> Option<&mut (Publisher, Grants)> {
        self.each.get_mut(place)
    }

    /// The zone with this apex.
    pub fn of_apex(&self, apex: &[u8]) -> Option<&(Publisher, Grants)> {
        self.get(self.at(apex)?)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &(Publisher, Grants)> {
        self.each.iter()
    }

    /// As [`Zones::iter`].
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut (Publisher, Grants)> {
        self.each.iter_mut()
    }

    /// Pools of all of them.
    pub fn pools(&self) -> usize {
        self.each.iter().map(|(publisher, _)| publisher.pools()).sum()
    }

    /// Puts a zone in the place of the one with its apex, which comes back, or adds it.
    pub fn put(&mut self, publisher: Publisher, grants: Grants) -> Option<Publisher> {
        match self.at(publisher.zone().apex()).and_then(|place| self.each.get_mut(place)) {
            Some(held) => Some(std::mem::replace(held, (publisher, grants)).0),
            None => {
                self.places.insert(publisher.zone().apex().into(), self.each.len());
                self.each.push((publisher, grants));
                None
            }
        }
    }

    /// Takes a zone out.
    pub fn remove(&mut self, apex: &[u8]) -> Option<Publisher> {
        let place = self.places.remove(apex).filter(|place| *place < self.each.len())?;
        let (publisher, _) = self.each.swap_remove(place);
        if let Some((moved, _)) = self.each.get(place) {
            self.places.insert(moved.zone().apex().into(), place);
        }
        Some(publisher)
    }
}

/// What `find` has for the longest apex that a name lies below, itself included.
pub(super) fn closest<T>(name: &[u8], find: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let mut above = name;
    while !above.is_empty() {
        if let Some(found) = find(above) {
            return Some(found);
        }
        above = parent(above);
    }
    None
}
