//! From a zone's file and settings to a zone that answers, in two steps, so that a large file holds up nobody.
//!
//! ```text
//!  Draft::new    any thread       the file's records, encoded and indexed, with the empty names between
//!  Draft::open   the registrar's  what UPDATE has made of names, and the pools with whoever is on the roll
//! ```
//!
//! A start opens drafts with what the store has, and a reload with what the zone's last [`Publisher`] holds: that one goes on
//! answering, untouched, until its successor takes its place.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use sdd::Shared;

use super::file::{StaticRecord, ZoneRecords};
use super::shape::leads_elsewhere;
use super::{
    Cell, Dynamic, Index, NameChange, NameRecords, Node, PERMANENT_MS, Publisher, Role, RotorIds, Rrset,
    Shape, Soa, Zone, ZoneSettings, later, parent, pool_needs,
};
use crate::membership::{Cause, PoolHandle, Roll};
use crate::wire::{NameHasher, NameKey, Rtype, WireError, lower};

/// What UPDATE has made of names, by name in lower-case wire form.
pub type Dynamics = Vec<(Arc<[u8]>, Arc<Dynamic>)>;

/// A zone as its file and its settings have it. Nobody has changed it yet, and nobody answers from it.
pub struct Draft {
    publisher: Publisher,
}

/// What a zone goes on from.
pub struct Past<'p> {
    /// What UPDATE has made of its names.
    pub dynamics: Dynamics,
    /// Pools of which it is the closest zone: with members on the roll, or made by registrations and known so far. One may
    /// be there twice.
    pub pools: Vec<PoolHandle>,
    /// What a SOA is to say.
    pub serial: u32,
    /// Who publishes it now, in a reload.
    pub publisher: Option<&'p Publisher>,
}

impl Draft {
    /// Encodes and indexes a zone.
    pub fn new(
        settings: ZoneSettings,
        records: &ZoneRecords,
        hasher: &NameHasher,
    ) -> Result<Self, WireError> {
        let apex = lower(settings.apex.as_slice());
        let key = NameKey::of(&apex, hasher)?;
        let soa = Soa::of_file(&records.soa, settings.negative_ttl_s);
        let serial = records.soa.serial;
        let file = FileMark { soa: soa.rdata(serial).into(), serial, digest: digest(records) };
        let zone = Arc::new(Zone {
            apex_hash: key.suffix(0).map_or(0, |(_, hash)| hash),
            apex_labels: key.labels(),
            index: Index::new(hasher.clone()),
            shape: Shape::default(),
            soa: ArcSwap::from_pointee(soa),
            serial: AtomicU32::new(serial),
            apex,
        });
        let mut publisher = Publisher::new(zone, settings, file);
        let mut names = by_name(records);
        names.entry(publisher.zone().apex().into()).or_default();
        for (pool, _) in publisher.settings().pools.clone() {
            let pool = lower(pool.as_slice()).into();
            publisher.keep_pool(&pool);
            names.entry(pool).or_default();
        }
        let mut cells = empty_names(&names, publisher.zone().apex());
        for (name, records) in names {
            let rrsets = rrsets(records);
            publisher.keep(&name, &rrsets);
            cells.push((name, Arc::new(Cell::new(Node { rrsets, role: Role::Plain }))));
        }
        publisher.zone().index.insert(cells)?;
        Ok(Draft { publisher })
    }

    /// The zone's name, lower case.
    pub fn apex(&self) -> &[u8] {
        self.publisher.zone().apex()
    }

    /// The serial that the file's SOA has.
    pub fn serial(&self) -> u32 {
        self.publisher.file().serial
    }

    /// Whether its file and its settings say what a publisher's do.
    pub fn is_as(&self, publisher: &Publisher) -> bool {
        self.publisher.file() == publisher.file() && self.publisher.settings() == publisher.settings()
    }

    /// Goes on from what the zone was. The changes say where the file, or a pool that was declared since, has overtaken what
    /// UPDATE did: the store is to forget it.
    pub fn open(
        self,
        past: Past<'_>,
        roll: &Roll,
        rotors: &mut RotorIds,
        now_ms: u64,
    ) -> Result<(Publisher, Vec<NameChange>), WireError> {
        let mut publisher = self.publisher;
        publisher.zone().serial.store(past.serial, Ordering::Relaxed);
        publisher.enlist_declared(past.publisher, rotors);
        let mut overtaken = Vec::new();
        for (name, stored) in past.dynamics {
            overtaken.extend(adopt(&mut publisher, name, stored, past.publisher.is_none())?);
        }
        publisher.enlist_made(&past.pools, past.publisher, rotors, now_ms)?;
        publisher.publish_all(past.publisher, roll, rotors, now_ms)?;
        publisher.zone().index.open();
        Ok((publisher, overtaken))
    }
}

/// What a publisher knows of the zone file, besides the records.
#[derive(Debug, PartialEq, Eq)]
pub struct FileMark {
    /// The SOA's rdata: what an UPDATE's takes the place of.
    pub soa: Box<[u8]>,
    /// The SOA's serial.
    pub serial: u32,
    /// By which another file is told from this one.
    digest: u64,
}

/// A digest of a file's records, in their order. Who writes the files has no need to make two of them collide.
fn digest(records: &ZoneRecords) -> u64 {
    let mut hasher = DefaultHasher::new();
    for record in &records.records {
        (record.owner.as_slice(), record.rtype.to_int(), record.ttl_s, &record.rdata).hash(&mut hasher);
    }
    records.soa.ttl_s.hash(&mut hasher);
    hasher.finish()
}

/// The file's records by lower-case owner, in their order.
fn by_name(records: &ZoneRecords) -> BTreeMap<Arc<[u8]>, Vec<&StaticRecord>> {
    let mut names: BTreeMap<Arc<[u8]>, Vec<&StaticRecord>> = BTreeMap::new();
    for record in &records.records {
        names.entry(lower(record.owner.as_slice()).into()).or_default().push(record);
    }
    names
}

/// The RRsets of one name, by type.
fn rrsets(mut records: Vec<&StaticRecord>) -> Arc<[Rrset]> {
    records.sort_by_key(|record| record.rtype.to_int());
    let sets = records.chunk_by(|one, other| one.rtype == other.rtype);
    let encoded = sets.filter_map(|set| {
        let first = set.first()?;
        let rdata = set.iter().map(|record| (record.rdata.as_ref(), PERMANENT_MS));
        Some(Rrset::new(first.rtype, first.ttl_s, rdata))
    });
    encoded.collect()
}

/// Every name between the apex and a name that has something (RFC 8020, RFC 4592 section 2.2.2). All of them hold one node.
fn empty_names(names: &BTreeMap<Arc<[u8]>, Vec<&StaticRecord>>, apex: &[u8]) -> Vec<(Arc<[u8]>, Arc<Cell>)> {
    let mut empty: HashSet<Arc<[u8]>> = HashSet::new();
    for name in names.keys() {
        let mut above = parent(name);
        while above.len() > apex.len() && !names.contains_key(above) && empty.insert(above.into()) {
            above = parent(above);
        }
    }
    let nothing = Shared::new(Node::empty());
    empty.into_iter().map(|name| (name, Arc::new(Cell::sharing(&nothing)))).collect()
}

/// Changes the file's records of one name as UPDATE did. What came of it, where that is not what was kept.
fn adopt(
    publisher: &mut Publisher,
    name: Arc<[u8]>,
    stored: Arc<Dynamic>,
    is_start: bool,
) -> Result<Option<NameChange>, WireError> {
    let is_apex = *name == *publisher.zone().apex();
    let (mut records, _) = publisher.records(&name);
    if is_apex {
        records.put_file(Rtype::SOA.to_int(), publisher.zone().soa().ttl_s, &publisher.file().soa);
    }
    records.apply(&without_pools_part(publisher, &name, &stored));
    if is_apex {
        take_soa(publisher.zone(), &mut records, is_start);
    }
    let change = NameChange {
        cause: Cause::Changed,
        // What is published so far is the file's.
        before: None,
        after: records.dynamic(),
        rrsets: records.rrsets(),
        is_visible: false,
        key: None,
        name,
    };
    publisher.place_name(&change)?;
    let change = NameChange { before: Some(stored), ..change };
    Ok(change.is_durable().then_some(change))
}

/// A pool that was declared since needs its names for itself: what UPDATE added there is left out, and what would lead
/// elsewhere from above.
fn without_pools_part(publisher: &Publisher, name: &[u8], stored: &Dynamic) -> Dynamic {
    let mut dynamic = stored.clone();
    let mut above = name;
    while above.len() > publisher.zone().apex().len() {
        if publisher.is_declared(above)
            && let Some(labels) = name.strip_suffix(above)
        {
            dynamic.added.retain(|added| !pool_needs(labels, Rtype::from_int(added.rtype)));
        }
        above = parent(above);
    }
    if publisher.has_pools_below(name) {
        let is_apex = name == publisher.zone().apex();
        dynamic.added.retain(|added| !leads_elsewhere(Rtype::from_int(added.rtype), is_apex));
    }
    dynamic
}

/// How far a zone's serial may have run ahead of a SOA that UPDATE brought, if the store knows no better: it moves after the
/// commit that has the SOA, and is stored with the next one.
const SERIALS_RESERVED: u32 = 1_000;

/// Gives the zone the SOA that UPDATE brought, if there is one, which stays among the records, unless the file has another
/// one by now, which then wins; at a start, its serial too.
fn take_soa(zone: &Zone, records: &mut NameRecords, is_start: bool) {
    let rtype = Rtype::SOA.to_int();
    let is_overtaken = records.remove(rtype, |record| record.term.is_none());
    let updated = records.sets.get(&rtype).and_then(|set| {
        let record = set.records.first()?;
        zone.soa().updated(set.ttl_s, &record.rdata)
    });
    if is_overtaken {
        records.sets.remove(&rtype);
        records.deleted.retain(|(deleted, _)| *deleted != rtype);
    }
    let Some((soa, serial)) = updated else { return };
    if is_start {
        let serial = later(zone.serial(), serial.wrapping_add(SERIALS_RESERVED));
        zone.serial.store(serial, Ordering::Relaxed);
    }
    if !is_overtaken {
        zone.soa.store(Arc::new(soa));
    }
}
