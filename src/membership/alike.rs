//! Members that register the same hold the same.
//!
//! A fleet's members mostly differ in name and address: their owner, services and attributes are those of their neighbours. What
//! a new member has of these is looked for among what came last, and held once for all who are alike. That is a guess and no
//! index: what is not found is simply held again, so the tables need neither an entry for everything there is nor a look at who
//! has left.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::member::{Attributes, Binding, Service};
use super::{List, Member};

/// What came last, of each kind: 256 kinds of members at a time share all that they can, and what is kept for who may come
/// is a few hundred octets a place.
const PLACES: usize = 1024;

/// What members were seen to have last, each in the place that its hash gives it.
#[derive(Default)]
pub(super) struct Alike {
    hasher: RandomState,
    owners: Recent<Arc<str>>,
    services: Recent<List<Service>>,
    bindings: Recent<List<Binding>>,
    attributes: Recent<Attributes>,
}

impl Alike {
    /// Lets a member share what it has in common with others, and hold no more than it has.
    pub fn settle(&mut self, member: &mut Member) {
        self.owners.share(&mut member.owner, &self.hasher);
        if !member.services.is_empty() {
            self.services.share(&mut member.services, &self.hasher);
        }
        if !member.bindings.is_empty() {
            self.bindings.share(&mut member.bindings, &self.hasher);
        }
        if !member.attributes.is_empty() {
            self.attributes.share(&mut member.attributes, &self.hasher);
        }
        member.addresses.shrink_to_fit();
    }
}

struct Recent<T>(Vec<Option<T>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Recent(Vec::new())
    }
}

impl<T: Clone + Hash + Eq> Recent<T> {
    fn share(&mut self, new: &mut T, hasher: &RandomState) {
        if self.0.is_empty() {
            self.0.resize_with(PLACES, || None);
        }
        let Some(place) = self.0.get_mut(hasher.hash_one(&*new) as usize % PLACES) else { return };
        match place {
            Some(known) if known == new => *new = known.clone(),
            _ => *place = Some(new.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::{FOLLOWS_LEASE, NO_DRAIN};

    fn member(owner: &str, port: u16, weight: &str) -> Member {
        let service = Service {
            service: b"\x05_http\x04_tcp"[..].into(),
            port,
            priority: 0,
            weight: 1,
            lapses_ms: FOLLOWS_LEASE,
        };
        let mut attributes = Attributes::default();
        attributes.set("weight", weight.as_bytes());
        Member {
            owner: owner.into(),
            lease_ms: 30_000,
            key_lease_ms: 30_000,
            own_ttl_s: 5,
            heard_run: 1,
            addresses: Vec::with_capacity(4),
            services: vec![service].into(),
            bindings: List::default(),
            attributes,
            drain_ends_ms: NO_DRAIN,
        }
    }

    #[test]
    fn who_is_alike_shares_and_nobody_else() {
        let mut alike = Alike::default();
        let mut settled = |owner, port, weight| {
            let mut member = member(owner, port, weight);
            let before = member.clone();
            alike.settle(&mut member);
            assert_eq!(member, before, "nothing that it registered has changed");
            member
        };
        let (one, twin, other) = (settled("a.", 80, "1"), settled("a.", 80, "1"), settled("b.", 81, "2"));
        let parts = |one: &Member, other: &Member| {
            [
                Arc::ptr_eq(&one.owner, &other.owner),
                std::ptr::eq(&*one.services, &*other.services),
                std::ptr::eq(&*one.attributes.0, &*other.attributes.0),
            ]
        };
        assert_eq!((parts(&one, &twin), parts(&one, &other)), ([true; 3], [false; 3]));
        assert_eq!(twin.addresses.capacity(), 0);
    }

    #[test]
    fn what_is_kept_for_who_may_come_is_bounded() {
        let mut alike = Alike::default();
        for number in 0..5_000_u16 {
            let text = number.to_string();
            alike.settle(&mut member(&text, number, &text));
        }
        assert_eq!(
            (alike.owners.0.len(), alike.services.0.len(), alike.attributes.0.len()),
            (PLACES, PLACES, PLACES)
        );
        assert!(alike.bindings.0.is_empty(), "nobody had any");
    }
}
