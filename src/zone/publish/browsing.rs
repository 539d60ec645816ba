//! The writing side of browsing: from the views of a zone's pools to its listings.
//!
//! A listing is there as long as a pool is that has had its service, so that its name is NODATA and not NXDOMAIN when nobody
//! offers it. Ordinary records at its name, and at those of instances, stay where they are.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::{Publisher, labels_of};
use crate::membership::PoolHandle;
use crate::wire::WireError;
use crate::zone::listing::instance_label;
use crate::zone::names::Names;
use crate::zone::{Cell, Listing, Node, Role, parent};

/// The listing of all service types, left of the zone (RFC 6763 section 9).
const SERVICE_TYPES: &[u8] = b"\x09_services\x07_dns-sd\x04_udp";
/// Where that listing is, no service can have its own.
const RESERVED: &[u8] = b"\x07_dns-sd\x04_udp";

/// A zone's listings, by name.
#[derive(Default)]
pub(super) struct Browsing {
    listings: HashMap<Arc<[u8]>, Listed, RandomState>,
    names: Names,
}

struct Listed {
    cell: Arc<Cell>,
    listing: Arc<Listing>,
}

impl Browsing {
    /// The listing of this name.
    pub fn listing(&self, name: &[u8]) -> Option<&Arc<Listing>> {
        self.listings.get(name).map(|listed| &listed.listing)
    }

    /// The listing below whose name lies `name`: that name, and its cell.
    pub fn above<'n>(&self, name: &'n [u8], apex: &[u8]) -> Option<(&'n [u8], &Arc<Cell>)> {
        let mut above = parent(name);
        while above.len() > apex.len() {
            if let Some(listed) = self.listings.get(above) {
                return Some((above, &listed.cell));
            }
            above = parent(above);
        }
        None
    }

    /// Whether a name stays in the index for the sake of browsing.
    pub fn needs(&self, name: &[u8]) -> bool {
        self.names.has(name) || self.names.has_below(name)
    }
}

impl Publisher {
    /// Service types that a zone lists, at most. Pools have others too, which cannot be browsed for.
    pub const SERVICE_TYPES_MAX: usize = 1_024;

    /// Lists a pool under each service that it knows, as its view in `cell` has it.
    pub(super) fn list_pool(&mut self, pool: &PoolHandle, cell: &Arc<Cell>) -> Result<(), WireError> {
        let node = cell.load_full();
        let Role::Pool(view) = &node.role else { return Ok(()) };
        let Some(label) = instance_label(pool, self.zone.apex()) else { return Ok(()) };
        for (service, list) in view.services().filter(|(service, _)| *service != RESERVED) {
            self.list(service, &label, cell, !list.ranking.is_empty())?;
        }
        Ok(())
    }

    /// Lists who offers `service`, or all service types if that is empty.
    fn list(
        &mut self,
        service: &[u8],
        labels: &[u8],
        cell: &Arc<Cell>,
        is_offered: bool,
    ) -> Result<(), WireError> {
        let name = self.listing_name(service);
        let is_new = !self.browsing.listings.contains_key(&name);
        if is_new {
            if self.browsing.listings.len() > Self::SERVICE_TYPES_MAX {
                return Ok(());
            }
            self.add_listing(&name, service)?;
        }
        let Some(listed) = self.browsing.listings.get_mut(&name) else { return Ok(()) };
        let before = listed.listing.offered() > 0;
        if let Some(next) = listed.listing.set(labels, cell, is_offered) {
            listed.put(next);
        }
        let after = listed.listing.offered() > 0;
        if (before == after && !is_new) || service.is_empty() {
            return Ok(());
        }
        let cell = Arc::clone(&listed.cell);
        self.list(&[], service, &cell, after)
    }

    /// Takes a pool out of the listing of a service that it has forgotten.
    pub(super) fn unlist(&mut self, pool: &[u8], service: &[u8], cell: &Arc<Cell>) {
        if let Some(label) = instance_label(pool, self.zone.apex()) {
            self.take_out(service, &label, cell);
        }
    }

    fn take_out(&mut self, service: &[u8], labels: &[u8], cell: &Arc<Cell>) {
        let name = self.listing_name(service);
        let Some(listed) = self.browsing.listings.get_mut(&name) else { return };
        let before = listed.listing.offered() > 0;
        if let Some(next) = listed.listing.remove(labels, cell) {
            listed.put(next);
        }
        let (is_gone, after) = (listed.listing.is_empty(), listed.listing.offered() > 0);
        let own = Arc::clone(&listed.cell);
        if is_gone {
            self.browsing.listings.remove(&name);
            self.browsing.names.remove(&name);
            put_role(&own, Role::Plain);
            self.set_roles_below(&name, None);
            self.drop_empty(&name);
        }
        if service.is_empty() {
            return;
        }
        if is_gone {
            self.take_out(&[], service, &own);
        } else if before != after {
            // It is listed: nothing has to be made that could fail.
            _ = self.list(&[], service, &own, after);
        }
    }

    fn listing_name(&self, service: &[u8]) -> Arc<[u8]> {
        let left = if service.is_empty() { SERVICE_TYPES } else { service };
        [left, self.zone.apex()].concat().into()
    }

    /// Makes an empty listing and puts its name into the index, with the empty names above it.
    fn add_listing(&mut self, name: &Arc<[u8]>, service: &[u8]) -> Result<(), WireError> {
        let of_pools = (!service.is_empty()).then_some(service);
        let tail: Arc<[u8]> = if service.is_empty() { self.zone.apex().into() } else { Arc::clone(name) };
        let listing = Arc::new(Listing::new(name, labels_of(name), &tail, of_pools));
        let before = self.zone.index.cell(name).map(|cell| cell.load_full());
        let rrsets = before.map_or_else(|| Arc::from([]), |node| Arc::clone(&node.rrsets));
        self.insert_name(name, rrsets)?;
        let Some(cell) = self.zone.index.cell(name) else { return Ok(()) };
        put_role(&cell, Role::Listing(Arc::clone(&listing)));
        self.browsing.names.insert(name);
        self.browsing.listings.insert(Arc::clone(name), Listed { cell: Arc::clone(&cell), listing });
        self.set_roles_below(name, Some(&cell));
        Ok(())
    }
}

impl Listed {
    /// Lets answers see another state of the listing.
    fn put(&mut self, next: Listing) {
        self.listing = Arc::new(next);
        put_role(&self.cell, Role::Listing(Arc::clone(&self.listing)));
    }
}

/// Changes what a name is, and not its ordinary records.
pub(super) fn put_role(cell: &Cell, role: Role) {
    let node = cell.load_full();
    cell.store(Node { rrsets: Arc::clone(&node.rrsets), role });
}
