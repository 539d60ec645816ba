//! From a zone's file and settings to the published zone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwap;

use super::file::ZoneRecords;
use super::{
    Cell, Dynamic, Index, NameChange, NameRecords, Node, Publisher, Role, RotorIds, Soa, Zone, ZoneSettings,
    is_below, later, parent, pool_needs,
};
use crate::membership::{Cause, PoolHandle, Roll};
use crate::wire::{NameHasher, NameKey, Rtype, WireError, lower};

/// What UPDATE has made of names, by name in lower-case wire form.
pub type Dynamics = Vec<(Box<[u8]>, Dynamic)>;

/// A zone's file, and what UPDATE has made of its names since.
#[derive(Clone, Copy)]
pub struct Source<'z> {
    /// The file's records.
    pub records: &'z ZoneRecords,
    /// As the store kept it.
    pub dynamics: &'z Dynamics,
    /// What a SOA shall say.
    pub serial: u32,
}

impl Publisher {
    /// Publishes a zone for the first time: its ordinary records, the empty names between, and its declared pools with
    /// whoever is on the roll. The changes say where the file, or a pool that was declared since, has overtaken what UPDATE
    /// did: the store is to forget it.
    pub fn build(
        settings: ZoneSettings,
        source: Source<'_>,
        hasher: &NameHasher,
        roll: &Roll,
        rotors: &mut RotorIds,
    ) -> Result<(Publisher, Vec<NameChange>), WireError> {
        let apex = lower(settings.apex.as_slice());
        let key = NameKey::of(&apex, hasher)?;
        let pools: Vec<(PoolHandle, _)> =
            settings.pools.iter().map(|(name, pool)| (lower(name.as_slice()).into(), pool.clone())).collect();
        let file_soa = Soa::of_file(&source.records.soa, settings.negative_ttl_s);
        let file_soa_rdata = file_soa.rdata(source.records.soa.serial);
        let mut names = file_names(source.records);
        let apex_records = names.entry(apex.clone()).or_default();
        apex_records.put_file(Rtype::SOA.to_int(), file_soa.ttl_s, &file_soa_rdata);
        apply(&mut names, source.dynamics, &pools);
        let (soa, serial) = take_soa(names.entry(apex.clone()).or_default(), file_soa, source.serial);
        let overtaken = overtaken(&names, source.dynamics);
        let zone = Arc::new(Zone {
            apex_hash: key.suffix(0).map_or(0, |(_, hash)| hash),
            apex_labels: key.labels(),
            index: Index::new(hasher.clone()),
            soa: ArcSwap::from_pointee(soa),
            serial: AtomicU32::new(serial),
            apex,
        });
        let mut publisher = Publisher::new(zone, settings, file_soa_rdata.into());
        let mut cells = BTreeMap::new();
        for (name, records) in &names {
            let node = Node { rrsets: records.rrsets(), dynamic: records.dynamic(), role: Role::Plain };
            let is_pool = pools.iter().any(|(pool, _)| **pool == **name);
            if node.rrsets.is_empty() && !is_pool && **name != *publisher.zone().apex() {
                publisher.empty(&name.as_ref().into(), node.dynamic);
                continue;
            }
            publisher.keep(&name.as_ref().into(), node.dynamic.as_deref());
            cells.insert(name.clone(), Arc::new(Cell::new(node)));
        }
        for (pool, _) in &pools {
            publisher.keep(pool, None);
            cells.entry(pool.as_ref().into()).or_insert_with(|| Arc::new(Cell::new(Node::empty())));
        }
        add_empty_names(&mut cells, publisher.zone().apex());
        publisher
            .zone()
            .index
            .insert(cells.iter().map(|(name, cell)| (name.as_ref().into(), Arc::clone(cell))))?;
        for (pool, pool_settings) in pools {
            let Some(cell) = cells.get(pool.as_ref()) else { continue };
            publisher.declare(pool, Arc::clone(cell), pool_settings, roll, rotors)?;
        }
        Ok((publisher, overtaken))
    }
}

/// The file's records by lower-case owner.
fn file_names(records: &ZoneRecords) -> BTreeMap<Box<[u8]>, NameRecords> {
    let mut names: BTreeMap<Box<[u8]>, NameRecords> = BTreeMap::new();
    for record in &records.records {
        let name = names.entry(lower(record.owner.as_slice())).or_default();
        name.put_file(record.rtype.to_int(), record.ttl_s, &record.rdata);
    }
    names
}

/// Changes the file's records as UPDATE did. A pool that was declared since needs its names for itself: what UPDATE added
/// there is left out.
fn apply(
    names: &mut BTreeMap<Box<[u8]>, NameRecords>,
    dynamics: &Dynamics,
    pools: &[(PoolHandle, super::PoolSettings)],
) {
    for (name, dynamic) in dynamics {
        let pool = pools.iter().find(|(pool, _)| is_below(name, pool));
        let labels = pool.and_then(|(pool, _)| name.strip_suffix(pool.as_ref()));
        let mut dynamic = dynamic.clone();
        if let Some(labels) = labels {
            dynamic.added.retain(|added| !pool_needs(labels, Rtype::from_int(added.rtype)));
        }
        let records = names.entry(name.clone()).or_default();
        records.apply(&dynamic);
        if records.sets.is_empty() && records.deleted.is_empty() {
            names.remove(name);
        }
    }
}

/// How far a zone's serial may have run ahead of a SOA that UPDATE brought, if the store knows no better: it moves after the
/// commit that has the SOA, and is stored with the next one.
const SERIALS_RESERVED: u32 = 1_000;

/// The zone's SOA and serial, which are not served from its records: UPDATE's SOA if there is one, which stays among them,
/// unless the file has another one by now, which then wins.
fn take_soa(records: &mut NameRecords, file_soa: Soa, serial: u32) -> (Soa, u32) {
    let rtype = Rtype::SOA.to_int();
    let is_overtaken = records.remove(rtype, |record| record.term.is_none());
    let updated = records.sets.get(&rtype).and_then(|set| {
        let record = set.records.first()?;
        file_soa.updated(set.ttl_s, &record.rdata)
    });
    if is_overtaken {
        records.sets.remove(&rtype);
        records.deleted.retain(|(deleted, _)| *deleted != rtype);
    }
    let Some((soa, updated)) = updated else { return (file_soa, serial) };
    let serial = later(serial, updated.wrapping_add(SERIALS_RESERVED));
    (if is_overtaken { file_soa } else { soa }, serial)
}

/// Where what came of the stored differences is not what is stored.
fn overtaken(names: &BTreeMap<Box<[u8]>, NameRecords>, dynamics: &Dynamics) -> Vec<NameChange> {
    let changes = dynamics.iter().map(|(name, stored)| {
        let after = names.get(name).and_then(NameRecords::dynamic);
        let (name, before) = (name.as_ref().into(), Some(Arc::new(stored.clone())));
        let (cause, rrsets) = (Cause::Changed, Arc::from([]));
        NameChange { name, cause, before, after, rrsets, is_visible: false, key: None }
    });
    changes.filter(NameChange::is_durable).collect()
}

/// Adds every name between the apex and a name that has something (RFC 8020, RFC 4592 section 2.2.2).
fn add_empty_names(cells: &mut BTreeMap<Box<[u8]>, Arc<Cell>>, apex: &[u8]) {
    let owners: Vec<_> = cells.keys().cloned().collect();
    // All of them hold the one node.
    let empty = Arc::new(Node::empty());
    for owner in owners {
        let mut name: &[u8] = &owner;
        while name.len() > apex.len() {
            cells.entry(name.into()).or_insert_with(|| Arc::new(Cell::sharing(&empty)));
            name = parent(name);
        }
    }
}
