//! From a name to its cell.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashTable;
use sdd::{AtomicShared, Guard, Shared, Tag};

use super::names::WILDCARD;
use super::{Cell, Node, retired};
use crate::wire::{NameHasher, NameKey, WireError};

/// Tables in an index. A new name copies the one it falls into, so a zone of a million names copies about a thousand
/// entries of 32 octets.
const SHARDS: usize = 1024;

/// A name, and what it leads to.
#[derive(Clone)]
pub struct Entry {
    hash: u64,
    /// Lower-case wire form.
    name: Arc<[u8]>,
    cell: Arc<Cell>,
}

impl Entry {
    /// What it leads to, if its name is the one that was looked for, whose first octets are fetched.
    pub fn guess<'g>(&self, guard: &'g Guard) -> Option<&'g Node> {
        std::hint::black_box(self.name.first().copied());
        self.cell.load(guard)
    }
}

type Table = HashTable<Entry>;

/// The names of one zone, each with its cell. Readers probe with a hash that they computed while reading the question.
pub struct Index {
    /// None where there are no names.
    shards: Box<[AtomicShared<Table>]>,
    /// The same until anybody may be reading: a name is added where it belongs, and nothing is copied.
    unread: Mutex<Option<Box<[Table]>>>,
    hasher: NameHasher,
}

impl Index {
    /// An empty index.
    pub fn new(hasher: NameHasher) -> Self {
        let shards = (0..SHARDS).map(|_| AtomicShared::null()).collect();
        let unread = (0..SHARDS).map(|_| Table::new()).collect();
        Index { shards, unread: Mutex::new(Some(unread)), hasher }
    }

    /// Gathers names until it is opened again: what is added is added where it belongs, nothing is copied, and who reads sees
    /// none of it. For many names at a time.
    pub fn gather(&self) {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = Guard::new();
        let table = |shard: &AtomicShared<Table>| {
            shard.load(Ordering::Acquire, &guard).as_ref().map_or_else(Table::new, Table::clone)
        };
        unread.get_or_insert_with(|| self.shards.iter().map(table).collect());
    }

    /// Lets others read it: from now on a shard that changes is copied, and they see it whole, as it was or as it is.
    pub fn open(&self) {
        let tables = self.unread.lock().unwrap_or_else(PoisonError::into_inner).take();
        for (shard, table) in self.shards.iter().zip(tables.into_iter().flatten()) {
            put(shard, table);
        }
    }

    fn shard(&self, hash: u64) -> Option<&AtomicShared<Table>> {
        self.shards.get(shard_of(hash))
    }

    fn table<'g>(&self, hash: u64, guard: &'g Guard) -> Option<&'g Table> {
        self.shard(hash)?.load(Ordering::Acquire, guard).as_ref()
    }

    /// The entry whose name has this hash, if the index has it. It is hardly ever another name's.
    pub fn entry<'g>(&self, hash: u64, guard: &'g Guard) -> Option<&'g Entry> {
        self.table(hash, guard)?.find(hash, |entry| entry.hash == hash)
    }

    /// What the name holds, if the index has it.
    pub fn find<'g>(&self, name: &[u8], hash: u64, guard: &'g Guard) -> Option<&'g Node> {
        let is_it = |entry: &Entry| entry.hash == hash && *entry.name == *name;
        let entry = self.table(hash, guard)?.find(hash, is_it)?;
        entry.cell.load(guard)
    }

    /// What the wildcard below a name holds (RFC 4592 section 2.1.1), if the index has one. `hash` is the name's.
    pub fn find_wildcard<'g>(&self, name: &[u8], hash: u64, guard: &'g Guard) -> Option<&'g Node> {
        let hash = self.hasher.chain(hash, WILDCARD);
        let is_it = |entry: &Entry| entry.hash == hash && entry.name.strip_prefix(WILDCARD) == Some(name);
        self.table(hash, guard)?.find(hash, is_it)?.cell.load(guard)
    }

    /// The name's cell, for the writing side.
    pub fn cell(&self, name: &[u8]) -> Option<Arc<Cell>> {
        let hash = self.hash(name).ok()?;
        let cell_in = |table: &Table| {
            let entry = table.find(hash, |entry| *entry.name == *name)?;
            Some(Arc::clone(&entry.cell))
        };
        let unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        match &*unread {
            Some(tables) => cell_in(tables.get(shard_of(hash))?),
            None => cell_in(self.table(hash, &Guard::new())?),
        }
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

    fn edit(&self, mut entries: Vec<Entry>, edit: impl Fn(&mut Table, &Entry)) {
        let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tables) = &mut *unread {
            for entry in &entries {
                if let Some(table) = tables.get_mut(shard_of(entry.hash)) {
                    edit(table, entry);
                }
            }
            return;
        }
        entries.sort_by_key(|entry| shard_of(entry.hash));
        let guard = Guard::new();
        for group in entries.chunk_by(|one, other| shard_of(one.hash) == shard_of(other.hash)) {
            let Some(shard) = group.first().and_then(|entry| self.shard(entry.hash)) else { continue };
            let before = shard.load(Ordering::Acquire, &guard);
            let mut table = before.as_ref().map_or_else(Table::new, Table::clone);
            group.iter().for_each(|entry| edit(&mut table, entry));
            put(shard, table);
        }
    }
}

/// The table takes buckets from the lowest bits of a hash and tags from the highest: these are in between.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

fn put(shard: &AtomicShared<Table>, table: Table) {
    let table = (!table.is_empty()).then(|| Shared::new(table));
    drop(shard.swap((table, Tag::None), Ordering::AcqRel));
    retired::turn();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_is_seen_at_once_and_what_was_there_meanwhile() {
        let hasher = NameHasher::default();
        let index = Index::new(hasher.clone());
        let cell = Arc::new(Cell::new(Node::empty()));
        let insert = |number: usize| index.insert([(name(number), Arc::clone(&cell))]).unwrap();
        let found = |number: usize| {
            let name = name(number);
            let key = NameKey::of(&name, &hasher).unwrap();
            let (wire, hash) = key.suffix(0).unwrap();
            index.find(wire, hash, &Guard::new()).is_some()
        };
        (0..100).for_each(insert);
        index.open();
        index.gather();
        index.gather();
        (100..5_000).for_each(insert);
        index.remove([(name(7), Arc::clone(&cell))]);
        assert!((0..100).all(found) && !(100..5_000).any(found), "as it was");
        assert!(index.cell(&name(4_999)).is_some(), "but for who writes");
        index.open();
        assert!((0..5_000).all(|number| found(number) == (number != 7)));
        insert(5_000);
        assert!(found(5_000), "open");
    }

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
            index.find(wire, hash, &Guard::new()).is_some()
        };
        assert!(index.cell(&name(4_999)).is_some() && index.cell(&name(5_000)).is_none());
        index.open();
        assert!((0..5_000).all(found) && !found(5_000));
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
        index.open();
        let found = |above: &[u8]| {
            let key = NameKey::of(above, &hasher).unwrap();
            let (wire, hash) = key.suffix(0).unwrap();
            index.find_wildcard(wire, hash, &Guard::new()).is_some()
        };
        assert!(found(b"\x01a\x00"));
        assert!(!found(b"\x00") && !found(b"\x01b\x00") && !found(b"\x01*\x01a\x00"));
    }
}
