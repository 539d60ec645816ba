//! A zone's ordinary records: from the changes that UPDATE brings to the index that answers read.
//!
//! The index holds every name that has records, and every empty name between one of those and the apex (RFC 4592 section
//! 2.2.2). Below a pool such a name leads to a cell of its own, which knows the pool's: what it lacks, the pool may have. A
//! service of a pool leads to the pool's cell until it gets records of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Published, Publisher};
use crate::membership::{Cause, PoolHandle};
use crate::wire::{Rtype, WireError};
use crate::zone::{
    Cell, Dynamic, NameChange, NameRecords, Node, PERMANENT_MS, Role, Rrset, Soa, later, parent,
};

impl Publisher {
    /// Tells the names below a pool that it is there, or that it is gone.
    pub(super) fn set_roles_below(&self, pool: &PoolHandle, cell: Option<&Arc<Cell>>) {
        let mut names: BTreeSet<&[u8]> = BTreeSet::new();
        for name in self.names.below(pool) {
            let mut name: &[u8] = name;
            while name.len() > pool.len() && names.insert(name) {
                name = parent(name);
            }
        }
        for below in names.into_iter().filter_map(|name| self.zone.index.cell(name)) {
            // A service's name may lead to the pool's own cell.
            if cell.is_none_or(|cell| !Arc::ptr_eq(cell, &below)) {
                let node = below.load();
                let (rrsets, dynamic) = (Arc::clone(&node.rrsets), node.dynamic.clone());
                let role = cell.map_or(Role::Plain, |cell| Role::BelowPool(Arc::clone(cell)));
                below.store(Node { rrsets, dynamic, role });
            }
        }
    }

    /// Notes a name's ordinary records: that it has some, or is a declared pool, and when the first of them ends.
    pub(in crate::zone) fn keep(&mut self, name: &Arc<[u8]>, dynamic: Option<&Dynamic>) {
        self.names.insert(name);
        self.note_end(name, dynamic);
    }

    fn note_end(&mut self, name: &Arc<[u8]>, dynamic: Option<&Dynamic>) {
        let ends_ms = dynamic.map(Dynamic::first_end_ms).filter(|&ends_ms| ends_ms < PERMANENT_MS);
        self.ends.set(name, ends_ms);
    }

    /// Records by which what is published differs from the zone file.
    pub fn difference(&self) -> usize {
        let emptied = self.emptied.values().map(|dynamic| dynamic.len());
        let others = self.names.below(&[]).filter_map(|name| self.records(name).1);
        emptied.chain(others.map(|dynamic| dynamic.len())).sum()
    }

    /// What a name has published of ordinary records, and how that differs from the file's.
    pub fn records(&self, name: &[u8]) -> (NameRecords, Option<Arc<Dynamic>>) {
        if let Some(dynamic) = self.emptied.get(name) {
            let records = NameRecords { deleted: dynamic.deleted.clone(), ..NameRecords::default() };
            return (records, Some(Arc::clone(dynamic)));
        }
        let Some(cell) = self.zone.index.cell(name) else { return (NameRecords::default(), None) };
        // A service's name leads to its pool's cell, whose records are not the service's.
        if self.pool_of_service(name).is_some_and(|known| Arc::ptr_eq(&known.cell, &cell)) {
            return (NameRecords::default(), None);
        }
        let node = cell.load();
        (NameRecords::of(&node), node.dynamic.clone())
    }

    /// The zone file's SOA rdata.
    pub fn file_soa(&self) -> &[u8] {
        &self.file_soa
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
        let name = &change.name;
        if let Some((soa, serial)) = self.updated_soa(change) {
            self.zone.soa.store(Arc::new(soa));
            self.zone.serial.store(later(self.zone.serial(), serial), Ordering::Relaxed);
        }
        self.note_end(name, change.after.as_deref());
        let (rrsets, dynamic) = (Arc::clone(&change.rrsets), change.after.clone());
        if let Some(known) = self.pools.get_mut(name.as_ref()).filter(|known| known.indexed) {
            if !rrsets.is_empty() || known.declared {
                self.names.insert(name);
            } else {
                self.names.remove(name);
            }
            known.pending = Some((rrsets, dynamic));
            return Ok(true);
        }
        if !rrsets.is_empty() || **name == *self.zone.apex() {
            self.emptied.remove(name);
            self.names.insert(name);
            self.insert_name(name, rrsets, dynamic)?;
        } else {
            self.names.remove(name);
            self.empty(name, dynamic);
            if let Some(cell) = self.own_cell(name) {
                let role = self.role_of(name);
                cell.store(Node { role, ..Node::empty() });
            }
            self.drop_empty(name);
        }
        Ok(false)
    }

    /// Notes what an emptied name had in the file.
    pub(in crate::zone) fn empty(&mut self, name: &Arc<[u8]>, dynamic: Option<Arc<Dynamic>>) {
        match dynamic {
            Some(dynamic) => _ = self.emptied.insert(Arc::clone(name), dynamic),
            None => _ = self.emptied.remove(name),
        }
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
        self.pool_at_or_above(name).map_or(Role::Plain, |(_, known)| Role::BelowPool(Arc::clone(&known.cell)))
    }

    fn insert_name(
        &mut self,
        name: &Arc<[u8]>,
        rrsets: Arc<[Rrset]>,
        dynamic: Option<Arc<Dynamic>>,
    ) -> Result<(), WireError> {
        if let Some(cell) = self.own_cell(name) {
            let role = self.role_of(name);
            cell.store(Node { rrsets, dynamic, role });
            return Ok(());
        }
        let node = Node { rrsets, dynamic, role: self.role_of(name) };
        let mut cells = vec![(Arc::clone(name), Arc::new(Cell::new(node)))];
        let below_pool = self.pool_at_or_above(name).map(|(pool, known)| {
            let role = Role::BelowPool(Arc::clone(&known.cell));
            (pool.len(), Arc::new(Node { role, ..Node::empty() }))
        });
        let mut above = parent(name);
        while above.len() > self.zone.apex().len() {
            if self.zone.index.cell(above).is_none() {
                let in_pool = below_pool.as_ref().filter(|(pool, _)| above.len() > *pool);
                let node = in_pool.map_or(&self.nothing, |(_, node)| node);
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
