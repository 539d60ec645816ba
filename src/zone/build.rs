//! From a zone's file and settings to the published zone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::file::ZoneRecords;
use super::node::encode;
use super::{Cell, Index, Node, Publisher, Role, RotorIds, Rrset, Soa, Zone, ZoneSettings};
use crate::membership::{PoolHandle, Roll};
use crate::wire::{NameHasher, NameKey, WireError, lower};

impl Publisher {
    /// Publishes a zone for the first time: its static records, the empty names between, and its declared pools with
    /// whoever is on the roll. `serial` is what a SOA shall say.
    pub fn build(
        settings: ZoneSettings,
        records: &ZoneRecords,
        serial: u32,
        hasher: &NameHasher,
        roll: &Roll,
        rotors: &mut RotorIds,
    ) -> Result<Publisher, WireError> {
        let apex = lower(settings.apex.as_slice());
        let key = NameKey::of(&apex, hasher)?;
        let negative_ttl_s = settings.negative_ttl_s;
        let zone = Arc::new(Zone {
            apex_hash: key.suffix(0).map_or(0, |(_, hash)| hash),
            apex_labels: key.labels(),
            index: Index::new(hasher.clone()),
            soa: Soa::new(records, negative_ttl_s),
            serial: AtomicU32::new(serial),
            apex,
        });
        let pools: Vec<(PoolHandle, _)> =
            settings.pools.iter().map(|(name, pool)| (lower(name.as_slice()).into(), pool.clone())).collect();
        let mut names = static_names(records);
        names.entry(zone.apex.clone()).or_default();
        for (pool, _) in &pools {
            names.entry(pool.as_ref().into()).or_default();
        }
        add_empty_names(&mut names, &zone.apex);

        let cells: BTreeMap<Box<[u8]>, Arc<Cell>> = names
            .into_iter()
            .map(|(name, rrsets)| {
                (name, Arc::new(Cell::new(Node { rrsets: rrsets.into(), role: Role::Plain })))
            })
            .collect();
        for (name, cell) in &cells {
            let above = pools.iter().find(|(pool, _)| name.len() > pool.len() && is_below(name, pool));
            if let Some(pool_cell) = above.and_then(|(pool, _)| cells.get(pool.as_ref())) {
                let rrsets = Arc::clone(&cell.load().rrsets);
                cell.store(Node { rrsets, role: Role::BelowPool(Arc::clone(pool_cell)) });
            }
        }
        zone.index.insert(cells.iter().map(|(name, cell)| (name.as_ref().into(), Arc::clone(cell))))?;
        let mut publisher = Publisher::new(zone, settings);
        for (pool, pool_settings) in pools {
            let Some(cell) = cells.get(pool.as_ref()) else { continue };
            publisher.declare(pool, Arc::clone(cell), pool_settings, roll, rotors)?;
        }
        Ok(publisher)
    }
}

impl Soa {
    fn new(records: &ZoneRecords, negative_ttl_s: u32) -> Self {
        let soa = &records.soa;
        let mut timers = [0; 16];
        let fields = [soa.refresh, soa.retry, soa.expire, negative_ttl_s];
        for (place, field) in timers.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        let names = [soa.mname.as_slice(), soa.rname.as_slice()].concat().into();
        Soa { names, timers, ttl_s: soa.ttl_s, negative_ttl_s }
    }
}

/// The file's records, encoded, by lower-case owner.
fn static_names(records: &ZoneRecords) -> BTreeMap<Box<[u8]>, Vec<Rrset>> {
    let mut sets = BTreeMap::<_, (u16, Vec<u8>)>::new();
    for record in &records.records {
        let (count, octets) = sets.entry((lower(record.owner.as_slice()), record.rtype)).or_default();
        *count = count.saturating_add(1);
        encode(octets, record.rtype, record.ttl_s, &[&record.rdata]);
    }
    let mut names: BTreeMap<Box<[u8]>, Vec<Rrset>> = BTreeMap::new();
    for ((owner, rtype), (count, octets)) in sets {
        names.entry(owner).or_default().push(Rrset { rtype, count, octets: octets.into() });
    }
    names
}

/// Adds every name between the apex and a name that has something (RFC 8020, RFC 4592 section 2.2.2).
fn add_empty_names(names: &mut BTreeMap<Box<[u8]>, Vec<Rrset>>, apex: &[u8]) {
    let owners: Vec<_> = names.keys().cloned().collect();
    for owner in owners {
        let mut name: &[u8] = &owner;
        while name.len() > apex.len() {
            names.entry(name.into()).or_default();
            let Some(&len) = name.first() else { break };
            name = name.get(1 + usize::from(len)..).unwrap_or_default();
        }
    }
}

/// Whether `name` is `above` or lies below it.
fn is_below(name: &[u8], above: &[u8]) -> bool {
    let mut rest = name;
    while rest.len() > above.len() {
        let Some(&len) = rest.first() else { return false };
        rest = rest.get(1 + usize::from(len)..).unwrap_or_default();
    }
    rest == above
}
