//! From a name to its cell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use hashbrown::HashTable;

use super::names::WILDCARD;
use super::{Cell, Node};
use crate::wire::{NameHasher, NameKey, WireError};

/// Tables in an index. A new name copies the one it falls into, so a zone of a million names copies about a thousand
/// entries of 24 octets.
const SHARDS: usize = 1024;

#[derive(Clone)]
struct Entry {
    hash: u64,
    /// Lower-case wire form.
    name: Arc<[u8]>,
    cell: Arc<Cell>,
}

/// The names of one zone, each with its cell. Readers probe with a hash that they computed while reading the question.
pub struct Index {
    shards: Box<[ArcSwap<HashTable<Entry>>]>,
    /// What a shard holds that has nothing.
    empty: Arc<HashTable<Entry>>,
    /// Whether anybody may be reading. Before that, a name is added where it belongs and nothing is copied.
    is_read: AtomicBool,
    hasher: NameHasher,
}

impl Index {
    /// An empty index: 8 KB, for all its tables are one until they have something.
    pub fn new(hasher: NameHasher) -> Self {
        let empty = Arc::new(HashTable::new());
        let shards = (0..SHARDS).map(|_| ArcSwap::new(Arc::clone(&empty))).collect();
        Index { shards, empty, is_read: AtomicBool::new(false), hasher }
    }

    /// Lets others read it: from now on a shard that changes is copied, and they see it whole, as it was or as it is.
    pub fn open(&self) {
        self.is_read.store(true, Ordering::Relaxed);
    }

    fn shard(&self, hash: u64) -> Option<&ArcSwap<HashTable<Entry>>> {
        // The table takes buckets from the lowest bits and tags from the highest: these are in between.
        self.shards.get((hash >> 40) as usize % SHARDS)
    }

    /// What the name holds, if the index has it.
    pub fn find(&self, name: &[u8], hash: u64) -> Option<Guard<Arc<Node>>> {
        let shard = self.shard(hash)?.load();
        shard.find(hash, |entry| entry.hash == hash && *entry.name == *name).map(|entry| entry.cell.load())
    }

    /// What the wildcard below a name holds (RFC 4592 section 2.1.1), if the index has one. `hash` is the name's.
    pub fn find_wildcard(&self, name: &[u8], hash: u64) -> Option<Guard<Arc<Node>>> {
        let hash = self.hasher.chain(hash, WILDCARD);
        let is_it = |entry: &Entry| entry.hash == hash && entry.name.strip_prefix(WILDCARD) == Some(name);
        let shard = self.shard(hash)?.load();
        shard.find(hash, is_it).map(|entry| entry.cell.load())
    }

    /// The name's cell, for the writing side.
    pub fn cell(&self, name: &[u8]) -> Option<Arc<Cell>> {
        let hash = self.hash(name).ok()?;
        let shard = self.shard(hash)?.load();
        shard.find(hash, |entry| *entry.name == *name).map(|entry| Arc::clone(&entry.cell))
    }

    fn hash(&self, name: &[u8]) -> Result<u64, WireError> {
        let key = NameKey::of(name, &self.hasher)?;
        Ok(key.suffix(0).map_or(0, |(_, hash)| hash))
    }

    /// Adds names, or gives known names another cell. Each shard that is touched is copied once, if anybody may be reading.
    pub fn insert(&self, names: impl IntoIterator<Item = (Arc<[u8]>, Arc<Cell>)>) -> Result<(), WireError> {
        let mut entries = Vec::new();
        for (name, cell) in names {
            entries.push(Entry { hash: self.hash(&name)?, name, cell });
        }
        self.edit(entries, |table, new| match table.find_mut(new.hash, |known| known.name == new.name) {
            Some(known) => known.cell = Arc::clone(&new.cell),
            None => _ = table.insert_unique(new.hash, new.clone(), |entry| entry.hash),
        });
        Ok(())
    }

    /// Takes names out, as far as they lead to `cell`: a name may have a meaning of its own. Each shard that is touched is
    /// copied once.
    pub fn remove(&self, names: impl IntoIterator<Item = (Arc<[u8]>, Arc<Cell>)>) {
        let mut entries: Vec<Entry> = Vec::new();
        for (name, cell) in names {
            entries.extend(self.hash(&name).map(|hash| Entry { hash, name, cell }));
        }
        self.edit(entries, |table, gone| {
            let is_it = |entry: &Entry| entry.name == gone.name && Arc::ptr_eq(&entry.cell, &gone.cell);
            if let Ok(entry) = table.find_entry(gone.hash, is_it) {
                entry.remove();
            }
        });
    }

    fn edit(&self, mut entries: Vec<Entry>, edit: impl Fn(&mut HashTable<Entry>, &Entry)) {
        let shard = |entry: &Entry| (entry.hash >> 40) as usize % SHARDS;
        entries.sort_by_key(shard);
        for group in entries.chunk_by(|one, other| shard(one) == shard(other)) {
            let Some(place) = group.first().and_then(|entry| self.shard(entry.hash)) else { continue };
            let mut table = match self.is_read.load(Ordering::Relaxed) {
                true => HashTable::clone(&place.load()),
                false => Arc::unwrap_or_clone(place.swap(Arc::clone(&self.empty))),
            };
            group.iter().for_each(|entry| edit(&mut table, entry));
            place.store(Arc::new(table));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: usize) -> Arc<[u8]> {
        let mut wire = Vec::from(b"\x08");
        wire.extend_from_slice(format!("{number:08}").as_bytes());
        wire.push(0);
        wire.into()
    }

    #[test]
    fn every_name_is_found_until_it_is_taken_out() {
        let hasher = NameHasher::default();
        let index = Index::new(hasher.clone());
        let cell = Arc::new(Cell::new(Node::empty()));
        index.insert((0..5_000).map(|n| (name(n), Arc::clone(&cell)))).unwrap();
        let found = |n: usize| {
            let key = NameKey::of(&name(n), &hasher).unwrap();
            let (wire, hash) = key.suffix(0).unwrap();
            index.find(wire, hash).is_some()
        };
        assert!((0..5_000).all(found) && !found(5_000));
        index.open();
        index.insert([(name(5_000), Arc::clone(&cell))]).unwrap();
        assert!((0..=5_000).all(found) && !found(5_001));
        index.remove((0..5_000).step_by(2).map(|n| (name(n), Arc::clone(&cell))));
        index.remove([(name(1), Arc::new(Cell::new(Node::empty())))]);
        assert!((0..5_000).all(|n| found(n) == (n % 2 == 1)));
    }

    #[test]
    fn a_wildcard_is_found_by_the_name_above_it() {
        let hasher = NameHasher::default();
        let index = Index::new(hasher.clone());
        let cell = Arc::new(Cell::new(Node::empty()));
        index.insert([(Arc::from(*b"\x01*\x01a\x00"), cell)]).unwrap();
        let found = |above: &[u8]| {
            let key = NameKey::of(above, &hasher).unwrap();
            let (wire, hash) = key.suffix(0).unwrap();
            index.find_wildcard(wire, hash).is_some()
        };
        assert!(found(b"\x01a\x00"));
        assert!(!found(b"\x00") && !found(b"\x01b\x00") && !found(b"\x01*\x01a\x00"));
    }
}
