//! A zone's records while its files are read: owners are kept once, and named by number.

use bytes::Bytes;
use hashbrown::HashTable;

use crate::wire::{Name, Rtype};

/// A record as it is kept while files are read.
pub(super) struct Item {
    /// Which of the owners.
    pub owner: u32,
    pub rtype: Rtype,
    pub file: u16,
    pub line: u32,
    pub ttl_s: u32,
    pub rdata: Box<[u8]>,
    /// Whether an earlier one says the same.
    pub is_duplicate: bool,
}

impl Item {
    pub fn place(&self) -> (u16, u32) {
        (self.file, self.line)
    }
}

/// The owners of a zone, each once, in the case in which it was written first. A name is found by its number.
#[derive(Default)]
pub(super) struct Owners {
    /// All of them in wire form, one behind the other.
    octets: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    table: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
}

impl Owners {
    /// The number of a name, which it is given now if it has none.
    pub fn intern(&mut self, name: &[u8]) -> u32 {
        if let Some(owner) = self.find(name) {
            return owner;
        }
        let owner = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.octets.extend_from_slice(name);
        self.ends.push(self.octets.len());
        let Owners { octets, ends, table, hasher } = self;
        let hash = hash(hasher, name);
        table.insert_unique(hash, owner, |&other| self::hash(hasher, slice(octets, ends, other)));
        owner
    }

    /// The number of a name, in whatever case.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        let hash = hash(&self.hasher, name);
        self.table.find(hash, |&owner| self.name(owner).eq_ignore_ascii_case(name)).copied()
    }

    /// A name in wire form.
    pub fn name(&self, owner: u32) -> &[u8] {
        slice(&self.octets, &self.ends, owner)
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// All of them as names that share one piece of memory.
    pub fn into_names(self) -> Vec<Name> {
        let octets = Bytes::from(self.octets);
        let mut start = 0;
        let names = self.ends.into_iter().map(|end| {
            let name = Name::from_octets(octets.slice(start..end)).unwrap_or_else(|_| Name::root_bytes());
            start = end;
            name
        });
        names.collect()
    }
}

fn slice<'o>(octets: &'o [u8], ends: &[usize], owner: u32) -> &'o [u8] {
    let owner = owner as usize;
    let start = owner.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or_default();
    ends.get(owner).and_then(|&end| octets.get(start..end)).unwrap_or_default()
}

fn hash(hasher: &foldhash::fast::RandomState, name: &[u8]) -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut lower = [0; 255];
    let lower = lower.get_mut(..name.len()).unwrap_or_default();
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    let mut hasher = hasher.build_hasher();
    hasher.write(lower);
    hasher.finish()
}

/// A name out of its wire form.
pub(super) fn owned_name(wire: &[u8]) -> Name {
    Name::from_octets(bytes::Bytes::copy_from_slice(wire)).unwrap_or_else(|_| Name::root_bytes())
}
