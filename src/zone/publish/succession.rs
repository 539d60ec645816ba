//! What a zone's publisher takes over from the one before it: the pools, and of those that are as they were, their views.

use std::sync::Arc;

use sdd::Shared;

use super::{Published, Publisher, RotorIds, Touched};
use crate::membership::{PoolHandle, Roll};
use crate::wire::{WireError, lower};
use crate::zone::pool_view::PoolRotors;
use crate::zone::{Cell, Dynamics, Node, OnAllDown, PoolSettings};

impl Publisher {
    /// What UPDATE has made of the zone's names.
    pub fn dynamics(&self) -> Dynamics {
        let each = self.differences.iter();
        each.map(|(name, dynamic)| (Arc::clone(name), Arc::clone(dynamic))).collect()
    }

    /// Forgets how a name differs from the file: it lies in another zone from now on, which answers for it, and ends its leases.
    pub fn leave(&mut self, name: &Arc<[u8]>) {
        self.note(name, None);
    }

    /// Makes the declared pools known, with the rotors and services that they had.
    pub(in crate::zone) fn enlist_declared(&mut self, before: Option<&Publisher>, rotors: &mut RotorIds) {
        for (name, settings) in self.settings.pools.clone() {
            let pool: PoolHandle = lower(name.as_slice()).into();
            let Some(cell) = self.zone.index.cell(&pool) else { continue };
            let known = before.and_then(|before| before.pools.get(&pool));
            let mut published = Published::after(known, cell, Arc::new(settings), rotors);
            (published.declared, published.indexed) = (true, true);
            self.pools.insert(pool, published);
        }
    }

    /// The pools that answers know and that registrations made.
    pub fn made_pools(&self) -> impl Iterator<Item = &PoolHandle> {
        let made = self.pools.iter().filter(|(_, known)| known.indexed && !known.declared);
        made.map(|(pool, _)| pool)
    }

    /// Makes the pools known that registrations made, as far as they may still be.
    pub(in crate::zone) fn enlist_made(
        &mut self,
        made: &[PoolHandle],
        before: Option<&Publisher>,
        rotors: &mut RotorIds,
        now_ms: u64,
    ) -> Result<(), WireError> {
        let settings = Arc::clone(&self.defaults);
        for pool in made {
            if self.pools.contains_key(pool) || !self.may_restore(pool, now_ms) {
                continue;
            }
            let known = before.and_then(|before| before.pools.get(pool));
            let cell = self.zone.index.cell(pool).unwrap_or_else(|| Arc::new(Cell::new(Node::empty())));
            let mut published = Published::after(known, Arc::clone(&cell), Arc::clone(&settings), rotors);
            published.indexed = true;
            published.empty_since_ms = Some(known.and_then(|known| known.empty_since_ms).unwrap_or(now_ms));
            self.pools.insert(Arc::clone(pool), published);
            self.zone.index.insert([(Arc::clone(pool), cell)])?;
        }
        Ok(())
    }

    /// Publishes every pool: as it was, if nothing about it differs.
    pub(in crate::zone) fn publish_all(
        &mut self,
        before: Option<&Publisher>,
        roll: &Roll,
        rotors: &mut RotorIds,
        now_ms: u64,
    ) -> Result<(), WireError> {
        let pools: Vec<PoolHandle> = self.pools.keys().cloned().collect();
        for pool in pools {
            let Some(known) = self.pools.get_mut(&pool) else { continue };
            let cell = Arc::clone(&known.cell);
            let services: Vec<_> = known.service_names(&pool);
            let services = services.into_iter().filter(|(name, _)| self.zone.index.cell(name).is_none());
            self.zone.index.insert(services)?;
            let was = before.and_then(|before| before.pools.get(&pool)).filter(|was| was.indexed);
            match was.and_then(|was| known.unchanged_since(was)) {
                Some(node) => {
                    known.pending = None;
                    cell.share(node);
                    self.list_pool(&pool, &cell)?;
                    // Whatever was to come of it goes on from here.
                    self.rank_soon(&pool);
                }
                None => self.publish(&pool, &Touched::All, roll, rotors, now_ms)?,
            }
            self.set_roles_below(&pool, Some(&cell));
        }
        Ok(())
    }

    /// Gives back the rotors of pools that the publisher which takes this one's place does not know.
    pub fn retire(&self, successor: Option<&Publisher>, rotors: &mut RotorIds) {
        let is_gone = |pool: &PoolHandle| successor.is_none_or(|next| !next.pools.contains_key(pool));
        let gone = self.pools.iter().filter(|(pool, _)| is_gone(pool));
        gone.for_each(|(_, known)| known.give_back(rotors));
    }
}

impl Published {
    /// One in the place of another, whose rotors it goes on with.
    fn after(
        known: Option<&Published>,
        cell: Arc<Cell>,
        settings: Arc<PoolSettings>,
        rotors: &mut RotorIds,
    ) -> Self {
        let Some(known) = known else { return Published::new(cell, settings, rotors) };
        let PoolRotors { v4, v6, services } = &known.rotors;
        let keeps_lost = settings.on_all_down == OnAllDown::LastGood;
        let remembered = known.remembered.clone().filter(|_| keeps_lost);
        let rotors = PoolRotors { v4: *v4, v6: *v6, services: services.clone() };
        Published {
            cell,
            settings,
            rotors,
            declared: false,
            indexed: false,
            pending: None,
            empty_since_ms: known.empty_since_ms,
            rank_from_ms: known.rank_from_ms,
            remembered,
            // What it goes on with, if anything, is not cut by these.
            counts: None,
        }
    }

    /// What `was` has published, if this pool would publish the same.
    fn unchanged_since(&self, was: &Published) -> Option<Shared<Node>> {
        let node = was.cell.load_full();
        let own = self.cell.load_full();
        let rrsets = self.pending.as_ref().unwrap_or(&own.rrsets);
        (*self.settings == *was.settings && *rrsets == node.rrsets).then_some(node)
    }
}
