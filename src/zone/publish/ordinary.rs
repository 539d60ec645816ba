//! A zone's ordinary records: from the changes that UPDATE brings to the index that answers read.
//!
//! The index holds every name that has records, and every empty name between one of those and the apex (RFC 4592 section
//! 2.2.2). Below a pool such a name leads to a cell of its own, which knows the pool's: what it lacks, the pool may have. A
//! service of a pool leads to the pool's cell until it gets records of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sdd::Shared;

use super::browsing::put_role;
use super::{Published, Publisher};
use crate::membership::Cause;
use crate::wire::{Rtype, WireError};
use crate::zone::build::FileMark;
use crate::zone::{
    Cell, Dynamic, NameChange, NameRecords, Node, PERMANENT_MS, Role, Rrset, Soa, later, parent,
};

impl Publisher {
    /// Tells the names below a pool or a listing that it is there, or that it is gone. It has to be known, or not, by now.
    pub(super) fn set_roles_below(&self, pool: &[u8], cell: Option<&Arc<Cell>>) {
        let mut names: BTreeSet<&[u8]> = BTreeSet::new();
        for name in self.names.below(pool) {
            let mut name: &[u8] = name;
            while name.len() > pool.len() && names.insert(name) {
                name = parent(name);
            }
        }
        for name in names {
            let Some(below) = self.zone.index.cell(name) else { continue };
            // A service's name may lead to the pool's own cell.
            if cell.is_none_or(|cell| !Arc::ptr_eq(cell, &below)) {
                put_role(&below, self.role_of(name));
            }
        }
    }

    /// Notes that a name has these records in the file.
    pub(in crate::zone) fn keep(&mut self, name: &Arc<[u8]>, rrsets: &[Rrset]) {
        self.names.insert(name);
        self.note_shape(name, rrsets);
    }

    /// Notes that a name is a declared pool's.
    pub(in crate::zone) fn keep_pool(&mut self, name: &Arc<[u8]>) {
        self.names.insert(name);
        self.declared.insert(name);
    }

    fn note_shape(&mut self, name: &Arc<[u8]>, rrsets: &[Rrset]) {
        self.shape.note(&self.zone.shape, name, rrsets, **name == *self.zone.apex());
    }

    /// Notes how a name differs from the file, and when the first of its records ends.
    pub(super) fn note(&mut self, name: &Arc<[u8]>, dynamic: Option<&Arc<Dynamic>>) {
        let ends_ms = dynamic.map(|dynamic| dynamic.first_end_ms());
        self.ends.set(name, ends_ms.filter(|&ends_ms| ends_ms < PERMANENT_MS));
        match dynamic {
            Some(dynamic) => _ = self.differences.insert(Arc::clone(name), Arc::clone(dynamic)),
            None => _ = self.differences.remove(name),
        }
    }

    /// Records by which what is published differs from the zone file.
    pub fn difference(&self) -> usize {
        self.differences.values().map(|dynamic| dynamic.len()).sum()
    }

    /// What a name has published of ordinary records, and how that differs from the file's.
    pub fn records(&self, name: &[u8]) -> (NameRecords, Option<Arc<Dynamic>>) {
        let dynamic = self.differences.get(name).cloned();
        // A service's name leads to its pool's cell, whose records are not the service's.
        let node = self.own_cell(name).map(|cell| cell.load_full());
        let rrsets = node.as_ref().map_or(&[][..], |node| &node.rrsets);
        (NameRecords::of(rrsets, dynamic.as_deref()), dynamic)
    }

    /// What it knows of the zone file.
    pub fn file(&self) -> &FileMark {
        &self.file
    }

    /// The pool below whose name lies `name`, itself included, if one is known.
    fn pool_at_or_above(&self, name: &[u8]) -> Option<(&[u8], &Published)> {
        let mut above = name;
        while above.len() > self.zone.apex().len() {
            if let Some((pool, known)) = self.pools.get_key_value(above).filter(|(_, known)| known.indexed) {
                return Some((pool, known));
            }
            above = parent(above);
        }
        None
    }

    fn pool_of_service(&self, name: &[u8]) -> Option<&Published> {
        let (pool, known) = self.pool_at_or_above(name)?;
        let service = name.strip_suffix(pool)?;
        let services = &known.rotors.services;
        services.binary_search_by(|(held, _)| held.as_ref().cmp(service)).ok().map(|_| known)
    }

    /// Puts a name's changed records in place, with the empty names between it and the zone, or takes them out. Whether the
    /// name is a pool's: then they are in place when the pool is published, which has to be next.
    pub fn publish_name(&mut self, change: &NameChange) -> Result<bool, WireError> {
        if let Some((soa, serial)) = self.updated_soa(change) {
            self.zone.soa.store(Arc::new(soa));
            self.zone.serial.store(later(self.zone.serial(), serial), Ordering::Relaxed);
        }
        self.place_name(change)
    }

    /// The same, but for the SOA.
    pub(in crate::zone) fn place_name(&mut self, change: &NameChange) -> Result<bool, WireError> {
        let name = &change.name;
        self.note(name, change.after.as_ref());
        self.note_shape(name, &change.rrsets);
        let rrsets = Arc::clone(&change.rrsets);
        if let Some(known) = self.pools.get_mut(name.as_ref()).filter(|known| known.indexed) {
            if !rrsets.is_empty() || known.declared {
                self.names.insert(name);
            } else {
                self.names.remove(name);
            }
            known.pending = Some(rrsets);
            return Ok(true);
        }
        if !rrsets.is_empty() || **name == *self.zone.apex() {
            self.names.insert(name);
            self.insert_name(name, rrsets)?;
        } else {
            self.names.remove(name);
            if let Some(cell) = self.own_cell(name) {
                let role = self.role_of(name);
                cell.store(Node { role, ..Node::empty() });
            }
            self.drop_empty(name);
        }
        Ok(false)
    }

    /// The SOA that a change at the apex brings.
    fn updated_soa(&self, change: &NameChange) -> Option<(Soa, u32)> {
        let rtype = Rtype::SOA.to_int();
        let soa = |dynamic: &Option<Arc<Dynamic>>| {
            let dynamic = dynamic.as_ref()?;
            let added = dynamic.added.iter().find(|added| added.rtype == rtype)?.clone();
            let ttl = dynamic.ttls.iter().find(|(held, _)| *held == rtype).map(|(_, ttl_s)| *ttl_s);
            Some((ttl.unwrap_or_default(), added.rdata))
        };
        let after = soa(&change.after).filter(|after| soa(&change.before).as_ref() != Some(after))?;
        self.zone.soa().updated(after.0, &after.1)
    }

    /// The name's cell, if it is not its pool's.
    fn own_cell(&self, name: &[u8]) -> Option<Arc<Cell>> {
        let cell = self.zone.index.cell(name)?;
        let is_pools = self.pool_of_service(name).is_some_and(|known| Arc::ptr_eq(&known.cell, &cell));
        (!is_pools).then_some(cell)
    }

    fn role_of(&self, name: &[u8]) -> Role {
        let listing = self.browsing.listing(name).map(|listing| Role::Listing(Arc::clone(listing)));
        listing.or_else(|| self.role_below(name).map(|(_, role)| role)).unwrap_or(Role::Plain)
    }

    /// What a name is that lies below a pool or a listing, and octets of that one's name.
    fn role_below(&self, name: &[u8]) -> Option<(usize, Role)> {
        let pool = self.pool_at_or_above(name);
        let pool = pool.map(|(pool, known)| (pool.len(), Role::BelowPool(Arc::clone(&known.cell))));
        pool.or_else(|| {
            let (above, cell) = self.browsing.above(name, self.zone.apex())?;
            Some((above.len(), Role::BelowListing(Arc::clone(cell))))
        })
    }

    pub(super) fn insert_name(&mut self, name: &Arc<[u8]>, rrsets: Arc<[Rrset]>) -> Result<(), WireError> {
        if let Some(cell) = self.own_cell(name) {
            let role = self.role_of(name);
            cell.store(Node { rrsets, role });
            return Ok(());
        }
        let node = Node { rrsets, role: self.role_of(name) };
        let mut cells = vec![(Arc::clone(name), Arc::new(Cell::new(node)))];
        let below = self.role_below(name);
        let below = below.map(|(len, role)| (len, Shared::new(Node { role, ..Node::empty() })));
        let mut above = parent(name);
        while above.len() > self.zone.apex().len() {
            if self.zone.index.cell(above).is_none() {
                let is_below = below.as_ref().filter(|(len, _)| above.len() > *len);
                let node = is_below.map_or(&self.nothing, |(_, node)| node);
                cells.push((above.into(), Arc::new(Cell::sharing(node))));
            }
            above = parent(above);
        }
        self.zone.index.insert(cells)
    }

    /// Puts an empty name into the index where none stands and others lie below (RFC 8020).
    pub(super) fn keep_between(&self, name: &Arc<[u8]>) {
        if self.zone.index.cell(name).is_none() && self.names.has_below(name) {
            let node = Node { role: self.role_of(name), ..Node::empty() };
            // It was in the index: it is a name.
            _ = self.zone.index.insert([(Arc::clone(name), Arc::new(Cell::new(node)))]);
        }
    }

    /// Takes a name out of the index that has nothing left, and every empty name above it that nothing lies below any more.
    /// A service's name leads to its pool again.
    pub(super) fn drop_empty(&mut self, name: &[u8]) {
        let mut name = name;
        while name.len() > self.zone.apex().len() {
            if self.names.has(name) || self.names.has_below(name) || self.pools.contains_key(name) {
                return;
            }
            if self.browsing.needs(name) {
                return;
            }
            if let Some(cell) = self.own_cell(name) {
                match self.pool_of_service(name).map(|known| Arc::clone(&known.cell)) {
                    // The name was read from a message or from the index: it is one.
                    Some(pool_cell) => _ = self.zone.index.insert([(name.into(), pool_cell)]),
                    None => self.zone.index.remove([(name.into(), cell)]),
                }
            }
            name = parent(name);
        }
    }

    /// Changes that take out ordinary records whose lease is over at `now_ms`; of at most `limit` names. To be published.
    pub fn lapse(&self, now_ms: u64, limit: usize) -> Vec<NameChange> {
        let due = self.ends.due(now_ms, limit);
        due.into_iter()
            .map(|name| {
                let (mut records, before) = self.records(&name);
                records.remove_ended(now_ms);
                let (after, rrsets) = (records.dynamic(), records.rrsets());
                NameChange { name, cause: Cause::Lapsed, before, after, rrsets, is_visible: true, key: None }
            })
            .collect()
    }
}
