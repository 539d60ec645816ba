//! The writing side of a zone: from the roll's changes to the views that answers read.

mod browsing;
mod ordinary;
mod ranking;
mod succession;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;

use browsing::Browsing;
use ranking::Due;
use sdd::Shared;

use super::build::FileMark;
use super::names::{Ends, Names};
use super::pool_view::{Counts, PoolRotors, Remembered, ViewBuilder};
use super::shape::ShapeNames;
use super::{Cell, Dynamic, Node, OnAllDown, PoolSettings, Role, Rrset, Zone, ZoneSettings, pool_needs};
use crate::membership::{Change, Entry, MemberName, PoolHandle, Roll};
use crate::policy::RotorId;
use crate::wire::WireError;

/// A pool that was made by a registration is forgotten this long after its last member, milliseconds.
const FORGOTTEN_AFTER_MS: u64 = 3_600_000;

/// Ordinary names that a new pool may find below its name: they are looked at before it is made. One with more is declared.
const BELOW_MAX: usize = 1_000;

/// Hands out rotors. One for the server: a worker's rotors serve all zones.
#[derive(Debug, Default)]
pub struct RotorIds {
    next: u32,
    free: Vec<RotorId>,
}

impl RotorIds {
    fn take(&mut self) -> RotorId {
        self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            RotorId(self.next - 1)
        })
    }
}

/// A zone's pools, and how their views reach the index.
pub struct Publisher {
    zone: Arc<Zone>,
    settings: ZoneSettings,
    /// The settings of pools that are not declared: one for all of them, so that it is at hand for each.
    defaults: Arc<PoolSettings>,
    pools: HashMap<PoolHandle, Published, RandomState>,
    file: FileMark,
    names: Names,
    shape: ShapeNames,
    /// The declared pools' names.
    declared: Names,
    ends: Ends,
    /// What all empty names that are below no pool hold: a name can have a hundred above it.
    nothing: Shared<Node>,
    /// How names differ from the file. Those that UPDATE has emptied are not in the index.
    differences: HashMap<Arc<[u8]>, Arc<Dynamic>, RandomState>,
    browsing: Browsing,
    /// Pools that are to be ranked again.
    due: Due,
}

struct Published {
    cell: Arc<Cell>,
    settings: Arc<PoolSettings>,
    rotors: PoolRotors,
    declared: bool,
    indexed: bool,
    /// Ordinary records that its name gets when it is published next.
    pending: Option<Arc<[Rrset]>>,
    /// Since when it has no member, monotonic milliseconds.
    empty_since_ms: Option<u64>,
    /// From when on it may be ranked again, monotonic milliseconds.
    rank_from_ms: u64,
    /// Whom it lost, if it answers with those that were good last.
    remembered: Option<Box<Remembered>>,
    /// Of the view that it has published, if that has several parts.
    counts: Option<Box<Counts>>,
}

/// Whose records of a pool may differ from what is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// Everybody's.
    All,
    /// Those of these members alone.
    Members(BTreeSet<MemberName>),
}

impl Default for Touched {
    fn default() -> Self {
        Touched::Members(BTreeSet::new())
    }
}

impl Touched {
    /// One more.
    pub fn add(&mut self, name: &MemberName) {
        if let Touched::Members(names) = self {
            names.insert(name.clone());
        }
    }
}

/// What came of a pool's services.
#[derive(Default)]
struct Learned {
    /// Names that the index lacks.
    names: Vec<Arc<[u8]>>,
    /// Services that gave way to others.
    forgotten: Vec<Box<[u8]>>,
}

impl Publisher {
    /// Services that a pool may know at a time.
    pub const SERVICES_MAX: usize = 64;

    /// For a zone without pools.
    pub(super) fn new(zone: Arc<Zone>, settings: ZoneSettings, file: FileMark) -> Self {
        Publisher {
            zone,
            defaults: Arc::new(settings.defaults.clone()),
            settings,
            pools: HashMap::default(),
            file,
            names: Names::default(),
            shape: ShapeNames::default(),
            declared: Names::default(),
            ends: Ends::default(),
            nothing: Shared::new(Node::empty()),
            differences: HashMap::default(),
            browsing: Browsing::default(),
            due: Due::default(),
        }
    }

    /// The zone that it publishes.
    pub fn zone(&self) -> &Arc<Zone> {
        &self.zone
    }

    /// The zone's settings.
    pub fn settings(&self) -> &ZoneSettings {
        &self.settings
    }

    /// How many pools it knows.
    pub fn pools(&self) -> usize {
        self.pools.len()
    }

    /// A known pool's settings.
    pub fn pool(&self, pool: &[u8]) -> Option<&Arc<PoolSettings>> {
        self.pools.get(pool).map(|known| &known.settings)
    }

    /// Whether the pool stands in the zone's TOML.
    pub fn is_declared(&self, pool: &[u8]) -> bool {
        self.pools.get(pool).is_some_and(|known| known.declared)
    }

    /// Whether a name is one that registrations make pools of: one plain label below the zone.
    pub fn may_be_pool(&self, pool: &[u8]) -> bool {
        let label = pool.strip_suffix(self.zone.apex()).and_then(<[u8]>::split_first);
        label.is_some_and(|(&len, label)| {
            usize::from(len) == label.len() && !matches!(label, [b'_', ..] | b"*")
        })
    }

    /// Whether a pool is there, or may be made, below a name: then nothing may lead elsewhere from it (RFC 1034 section 4.2,
    /// RFC 6672 section 2.4), for the pool's names would go with it. What is at the name or above it is not looked at.
    pub fn has_pools_below(&self, name: &[u8]) -> bool {
        // Those that registrations make are below the apex and nothing else.
        let is_apex = name == self.zone.apex();
        self.declared.has_below(name) || (is_apex && (self.settings.create_pools || !self.pools.is_empty()))
    }

    /// Whether a name below the apex is delegated.
    pub fn is_cut(&self, name: &[u8], now_ms: u64) -> bool {
        name != self.zone.apex()
            && self.zone.index.cell(name).is_some_and(|cell| cell.load_full().cut(now_ms).is_some())
    }

    /// Whether answers know the pool.
    pub fn is_published(&self, pool: &[u8]) -> bool {
        self.pools.get(pool).is_some_and(|known| known.indexed)
    }

    /// Whether a registration may make this name a pool: the zone allows it, it is one plain label below the zone, and no
    /// ordinary record stands where the pool or a member would.
    pub fn may_create(&self, pool: &[u8], now_ms: u64) -> bool {
        self.names.below(pool).nth(BELOW_MAX).is_none() && self.may_restore(pool, now_ms)
    }

    /// The same for a pool that was made before a restart, however many ordinary names lie below it by now.
    pub fn may_restore(&self, pool: &[u8], now_ms: u64) -> bool {
        if !self.settings.create_pools || !self.may_be_pool(pool) {
            return false;
        }
        let Some(cell) = self.zone.index.cell(pool) else { return true };
        let is_live = |rrset: &&Rrset| rrset.is_live(now_ms);
        let is_taken = |name: &[u8]| {
            let labels = name.strip_suffix(pool).unwrap_or_default();
            let node = self.zone.index.cell(name).map(|cell| cell.load_full());
            let needs = |rrset: &Rrset| pool_needs(labels, rrset.rtype);
            node.is_some_and(|node| node.rrsets.iter().filter(is_live).any(needs))
        };
        let in_the_way =
            cell.load_full().rrsets.iter().filter(is_live).any(|rrset| pool_needs(&[], rrset.rtype));
        !in_the_way && !self.names.below(pool).any(|name| is_taken(name))
    }

    /// Makes room for a pool that is about to have its first member. Nothing happens to one that is known.
    pub fn claim(&mut self, pool: &PoolHandle, rotors: &mut RotorIds, now_ms: u64) {
        if self.pools.contains_key(pool) {
            return;
        }
        let settings = Arc::clone(&self.defaults);
        let cell = self.zone.index.cell(pool).unwrap_or_else(|| Arc::new(Cell::new(Node::empty())));
        let mut published = Published::new(cell, settings, rotors);
        published.empty_since_ms = Some(now_ms);
        self.pools.insert(Arc::clone(pool), published);
    }

    /// Whether the pool has had a member that offers this service.
    pub fn knows_service(&self, pool: &[u8], service: &[u8]) -> bool {
        let known = self.pools.get(pool).map(|known| &known.rotors.services);
        known.is_some_and(|known| known.binary_search_by(|(name, _)| name.as_ref().cmp(service)).is_ok())
    }

    /// Makes a pool's view anew, of a large pool the parts whose members were touched, and puts it in place of the old one.
    pub fn publish(
        &mut self,
        pool: &PoolHandle,
        touched: &Touched,
        roll: &Roll,
        rotors: &mut RotorIds,
        now_ms: u64,
    ) -> Result<(), WireError> {
        let Some(known) = self.pools.get_mut(pool) else { return Ok(()) };
        let is_empty = roll.count(pool) == 0;
        if is_empty && !known.indexed {
            // Claimed for a member whose join was taken back: there never was such a pool.
            known.give_back(rotors);
            self.pools.remove(pool);
            return Ok(());
        }
        known.empty_since_ms = if is_empty { known.empty_since_ms.or(Some(now_ms)) } else { None };
        let touched = match touched {
            Touched::All => None,
            Touched::Members(names) => Some(names),
        };
        let learned = known.learn_services((&self.zone, &self.names), pool, (touched, roll), rotors);
        let labels = labels_of(pool);
        let before = known.cell.load_full();
        let builder = ViewBuilder {
            pool,
            labels,
            settings: &known.settings,
            rotors: &known.rotors,
            roll,
            before: match &before.role {
                Role::Pool(view) => Some(view),
                _ => None,
            },
            now_ms,
        };
        let (view, again_ms) = builder.build(touched, known.remembered.as_deref(), &mut known.counts);
        let cost = view.ranking_cost();
        let rrsets = known.pending.take().unwrap_or_else(|| Arc::clone(&before.rrsets));
        known.cell.store(Node { rrsets, role: Role::Pool(view) });
        let cell = Arc::clone(&known.cell);
        let is_new = !std::mem::replace(&mut known.indexed, true);
        self.note_ranked(pool, cost, again_ms, now_ms);
        // A name enters the index after the view that it leads to.
        let mut names: Vec<_> = learned.names.into_iter().map(|name| (name, Arc::clone(&cell))).collect();
        if is_new {
            names.push((Arc::clone(pool), Arc::clone(&cell)));
            self.set_roles_below(pool, Some(&cell));
        }
        if !names.is_empty() {
            self.zone.index.insert(names)?;
        }
        learned.forgotten.iter().for_each(|service| self.unlist(pool, service, &cell));
        self.list_pool(pool, &cell)
    }

    /// Notes a member that was lost, if its pool answers with those that were good last; and who is back, or has left.
    pub fn remember(&mut self, change: &Change, roll: &Roll, now_ms: u64) {
        let known = self.pools.get_mut(&change.pool);
        if let Some(known) = known.filter(|known| known.settings.on_all_down == OnAllDown::LastGood) {
            let is_drained = roll.drain(&change.pool, &change.name).is_some();
            known.remembered.get_or_insert_default().note(change, is_drained, now_ms);
        }
    }

    /// Forgets a member of this owner that was lost: it has left after all. Whether answers may have had it.
    pub fn forget_lost(&mut self, pool: &[u8], name: &[u8], owner: Option<&str>) -> bool {
        let known = self.pools.get_mut(pool).and_then(|known| known.remembered.as_deref_mut());
        known.is_some_and(|remembered| remembered.forget(name, owner))
    }

    /// Forgets pools that registrations made and that have been empty for an hour.
    pub fn forget_empty(&mut self, rotors: &mut RotorIds, now_ms: u64) {
        let over = |known: &Published| {
            let since_ms = known.empty_since_ms.filter(|_| !known.declared);
            since_ms.is_some_and(|since_ms| since_ms + FORGOTTEN_AFTER_MS <= now_ms)
        };
        let pools = self.pools.iter().filter(|(_, known)| over(known));
        let pools: Vec<PoolHandle> = pools.map(|(pool, _)| Arc::clone(pool)).collect();
        for pool in pools {
            let Some(known) = self.pools.remove(&pool) else { continue };
            self.due.forget(&pool);
            known.give_back(rotors);
            for (service, _) in &known.rotors.services {
                self.unlist(&pool, service, &known.cell);
            }
            self.zone.index.remove(known.service_names(&pool));
            let rrsets = Arc::clone(&known.cell.load_full().rrsets);
            known.cell.store(Node { rrsets, role: Role::Plain });
            self.set_roles_below(&pool, None);
            for (name, _) in known.service_names(&pool) {
                self.keep_between(&name);
            }
            self.drop_empty(&pool);
        }
    }

    /// Gathers the names of pools that are published from now on, until [`Publisher::open`] shows them all at once: for many at a
    /// time.
    pub fn gather(&self) {
        self.zone.index.gather();
    }

    /// Lets answers see the names that were gathered.
    pub fn open(&self) {
        self.zone.index.open();
    }

    /// Moves the zone's serial to this one: some record differs from what a secondary may hold.
    pub fn move_serial(&self, serial: u32) {
        self.zone.serial.store(serial, Ordering::Relaxed);
    }
}

impl Published {
    fn new(cell: Arc<Cell>, settings: Arc<PoolSettings>, rotors: &mut RotorIds) -> Self {
        let rotors = PoolRotors { v4: rotors.take(), v6: rotors.take(), services: Vec::new() };
        Published {
            cell,
            settings,
            rotors,
            declared: false,
            indexed: false,
            pending: None,
            empty_since_ms: None,
            rank_from_ms: 0,
            remembered: None,
            counts: None,
        }
    }

    /// Remembers services that members began to offer. A service stays known while the pool is, so that its name is NODATA and
    /// not NXDOMAIN when nobody offers it; past the limit those that nobody offers give way. New are those of members that were
    /// touched; `None` is all.
    fn learn_services(
        &mut self,
        (zone, names): (&Zone, &Names),
        pool: &[u8],
        (touched, roll): (Option<&BTreeSet<MemberName>>, &Roll),
        rotors: &mut RotorIds,
    ) -> Learned {
        let of_all = || offered_by(roll.members(pool).map(|(_, entry)| entry));
        let offered = match touched {
            None => of_all(),
            Some(names) => offered_by(names.iter().filter_map(|name| roll.find(pool, name))),
        };
        let known = &mut self.rotors.services;
        let mut learned = Learned::default();
        for service in &offered {
            if let Err(at) = known.binary_search_by(|(name, _)| name.as_ref().cmp(service)) {
                // Most pools have one.
                known.reserve_exact(1);
                known.insert(at, ((*service).into(), rotors.take()));
                let name = service_name(service, pool);
                if zone.index.cell(&name).is_none() {
                    learned.names.push(name);
                }
            }
        }
        if known.len() > Publisher::SERVICES_MAX {
            let (cell, offered) = (&self.cell, of_all());
            let mut forgotten = Vec::new();
            known.retain(|(service, rotor)| {
                let kept = offered.contains(service.as_ref());
                if !kept {
                    forgotten.push((service_name(service, pool), Arc::clone(cell)));
                    learned.forgotten.push(service.clone());
                    rotors.free.push(*rotor);
                }
                kept
            });
            // One that others lie below stays, as an empty name.
            let (between, gone): (Vec<_>, Vec<_>) =
                forgotten.into_iter().partition(|(name, _)| names.has_below(name));
            zone.index.remove(gone);
            let empty = between.into_iter().map(|(name, cell)| {
                let node = Node { role: Role::BelowPool(cell), ..Node::empty() };
                (name, Arc::new(Cell::new(node)))
            });
            // They were in the index: they are names.
            _ = zone.index.insert(empty);
        }
        learned
    }

    /// Its services' names, with its cell.
    fn service_names(&self, pool: &PoolHandle) -> Vec<(Arc<[u8]>, Arc<Cell>)> {
        let services = self.rotors.services.iter().map(|(service, _)| service_name(service, pool));
        services.map(|name| (name, Arc::clone(&self.cell))).collect()
    }

    /// Gives its rotors to whoever needs some next.
    fn give_back(&self, rotors: &mut RotorIds) {
        rotors.free.extend([self.rotors.v4, self.rotors.v6]);
        rotors.free.extend(self.rotors.services.iter().map(|(_, rotor)| *rotor));
    }
}

/// The services that members offer.
fn offered_by<'e>(entries: impl Iterator<Item = &'e Entry>) -> BTreeSet<&'e [u8]> {
    entries.flat_map(|entry| entry.member.services.iter().map(|service| service.service.as_ref())).collect()
}

fn service_name(service: &[u8], pool: &[u8]) -> Arc<[u8]> {
    [service, pool].concat().into()
}

/// Labels of a wire name, the root included.
pub fn labels_of(mut name: &[u8]) -> usize {
    let mut labels = 0;
    while let Some((&len, rest)) = name.split_first() {
        labels += 1;
        name = rest.get(usize::from(len)..).unwrap_or_default();
    }
    labels
}
