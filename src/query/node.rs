//! What a name has of a type: the pool's part of it, or the ordinary records of its node.

use super::additional::Addresses;
use super::writer::{Found, Writer};
use crate::wire::{NameKey, Rtype};
use crate::zone::{Below, FIXED_LEN, Node, PoolView, Role, Rrset, Zone};

impl Writer<'_, '_> {
    /// The name itself is in the index.
    pub fn answer_node(&mut self, zone: &Zone, node: &Node, name: &NameKey, qtype: Rtype) -> Found {
        let is_apex = name.labels() == zone.apex_labels();
        if is_apex && qtype == Rtype::SOA {
            let ttl_s = zone.soa().ttl_s;
            return self.put_soa(zone, ttl_s);
        }
        // A service's name leads to its pool's node, whose own records are not the service's.
        let is_own = !matches!(&node.role, Role::Pool(view) if view.labels != name.labels());
        if let Role::Listing(listing) = &node.role
            && let Some(found) = self.put_listing(node, listing, qtype)
        {
            return found;
        }
        if is_own && let Some(found) = self.put_ordinary(node, qtype) {
            return found;
        }
        match &node.role {
            Role::Plain | Role::Listing(_) => Found::NoData,
            Role::Pool(_) => self.answer_below(node, name, qtype),
            Role::BelowPool(_) | Role::BelowListing(_) => match self.answer_below(node, name, qtype) {
                // It is in the index: it exists.
                Found::NoName => Found::NoData,
                found => found,
            },
        }
    }

    /// The closest name in the index is `node`'s: only a pool has names below it that the index lacks.
    pub fn answer_below(&mut self, node: &Node, name: &NameKey, qtype: Rtype) -> Found {
        match &node.role {
            Role::Plain => Found::NoName,
            Role::Pool(view) => self.answer_in_pool(view, name, qtype),
            Role::Listing(listing) => self.put_below_listing(listing, name, qtype),
            Role::BelowPool(cell) => match cell.load(self.guard).map(|node| &node.role) {
                Some(Role::Pool(view)) => self.answer_in_pool(view, name, qtype),
                _ => Found::NoName,
            },
            Role::BelowListing(cell) => match cell.load(self.guard).map(|node| &node.role) {
                Some(Role::Listing(listing)) => self.put_below_listing(listing, name, qtype),
                _ => Found::NoName,
            },
        }
    }

    fn answer_in_pool(&mut self, view: &PoolView, name: &NameKey, qtype: Rtype) -> Found {
        let Some(skip) = name.labels().checked_sub(view.labels) else { return Found::NoName };
        if skip == 0 {
            return self.put_pool_addresses(view, qtype, false);
        }
        match view.below(name.prefix(skip)) {
            Below::All => self.put_pool_addresses(view, qtype, true),
            Below::Service(service, of_all) => self.put_service(view, service, qtype, of_all),
            Below::Member(member) => self.put_member(view, member, qtype),
            Below::Status(service) => self.put_status(view, service, name, qtype),
            Below::Empty => Found::NoData,
            Below::Missing => self.put_lost_member(view, name.prefix(skip), qtype),
        }
    }

    /// The own name of a member that is lost, and that its pool's answers have all the same.
    fn put_lost_member(&mut self, view: &PoolView, labels: &[u8], qtype: Rtype) -> Found {
        let Some(good) = view.last_good(self.now_ms) else { return Found::NoName };
        match good.below(labels) {
            Below::Member(member) => self.put_member(good, member, qtype),
            _ => Found::NoName,
        }
    }

    /// Ordinary records of the type, or the alias that stands for all types. ANY gets one RRset (RFC 8482 section 4.1).
    pub fn ordinary<'n>(&self, node: &'n Node, qtype: Rtype) -> Option<&'n Rrset> {
        let now_ms = self.now_ms;
        match qtype {
            Rtype::ANY => node.rrsets.iter().find(|rrset| rrset.is_live(now_ms)),
            _ => node.live(qtype, now_ms).or_else(|| node.live(Rtype::CNAME, now_ms)),
        }
    }

    /// Answers with ordinary records, if there are any for the type.
    pub fn put_ordinary(&mut self, node: &Node, qtype: Rtype) -> Option<Found> {
        let rrset = self.ordinary(node, qtype)?;
        let at = self.reply.len();
        let found = self.put_rrset(rrset);
        if found != Found::Records {
            return Some(found);
        }
        if rrset.rtype == Rtype::CNAME && !matches!(qtype, Rtype::CNAME | Rtype::ANY) {
            return Some(Found::Alias(at + FIXED_LEN));
        }
        // The answer is complete without them.
        _ = self.put_additional(rrset.rtype, at..self.reply.len(), Addresses::OfTargets);
        Some(Found::Records)
    }
}
