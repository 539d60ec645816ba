//! Records of one type at one name, encoded once, in the order of their members.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use crate::membership::{FOLLOWS_LEASE, LeaseRef, LeaseTable};
use crate::wire::Rtype;

/// What a record's life hangs on.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// Of its member.
    pub lease: LeaseRef,
    /// Whose record it is: a number among the members of its part, or of its view, as whoever gives it says.
    pub member: u32,
    /// When the record goes although the lease runs, monotonic milliseconds.
    pub lapses_ms: u64,
}

impl Hold {
    /// When the record ends; 0 if it already has.
    pub fn ends_ms(&self, leases: &LeaseTable) -> u64 {
        leases.ends_ms(self.lease).unwrap_or(0).min(self.lapses_ms)
    }

    /// Whether its lease is over and held, so that the record lives all the same.
    pub fn is_held(&self, leases: &LeaseTable, now_ms: u64) -> bool {
        leases.deadline_ms(self.lease).is_some_and(|ends_ms| ends_ms <= now_ms)
            && self.ends_ms(leases) > now_ms
    }
}

/// Records of a part's members, in a stable order: by member, then as the member sorts them.
#[derive(Clone)]
pub struct Records {
    /// Type of all of them.
    pub rtype: Rtype,
    pub(super) octets: Arc<[u8]>,
    /// Where each record ends in `octets`; empty when all have the length `each`.
    pub(super) ends: Box<[u32]>,
    pub(super) each: u32,
    /// Of each record's member.
    pub(super) leases: Arc<[LeaseRef]>,
    /// How many records differ from all others of the part.
    pub(super) distinct: u32,
    /// What members weigh by them, if that is the same.
    pub(super) weight: u32,
    pub(super) uneven: Option<Box<Uneven>>,
    /// What stands beside them in Additional, if that is plain.
    pub(super) along: Option<Along>,
}

/// What is to be said of records if not every member has one, alike and for as long as its lease: each list has an entry a record
/// or is empty, but for `groups`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Uneven {
    /// Its member's number in the part; empty when that is the record's place.
    pub members: Box<[u32]>,
    /// When it goes although its lease runs, monotonic milliseconds; empty when none does.
    pub lapses_ms: Box<[u64]>,
    /// The place of the first record that is the same; empty if none is like another.
    pub firsts: Box<[u32]>,
    /// An entry a member: where its records end among all; empty when each member has one.
    pub groups: Box<[u32]>,
    /// What its member weighs by it; the first of a member's says what it weighs among the others. Empty when all weigh the same.
    pub weights: Box<[u32]>,
}

/// The addresses of the members that a list's records name, as encoded for Additional, so that an answer need look at no
/// member. Only where every member of the part has some, and all have the pool's TTL. Where they are the part's A or AAAA
/// records, all and in their order, the octets are the same ones.
#[derive(Clone)]
pub(super) struct Along {
    pub octets: Arc<[u8]>,
    /// Where those of each record's member end; empty when all have the length `each`. The first of a member's records has
    /// them, the others none.
    pub ends: Arc<[u32]>,
    pub each: u32,
}

/// What parts have that have no records of a type: one for all of them.
static NONE: LazyLock<[Arc<Records>; 3]> =
    LazyLock::new(|| [Rtype::A, Rtype::AAAA, Rtype::SRV].map(|rtype| Arc::new(Records::empty(rtype))));

impl Records {
    /// No records of a type.
    pub(super) fn none(rtype: Rtype) -> Arc<Records> {
        let shared = NONE.iter().find(|records| records.rtype == rtype);
        shared.map_or_else(|| Arc::new(Records::empty(rtype)), Arc::clone)
    }

    fn empty(rtype: Rtype) -> Records {
        Records {
            rtype,
            octets: Arc::default(),
            ends: Box::default(),
            each: 0,
            leases: Arc::default(),
            distinct: 0,
            weight: 0,
            uneven: None,
            along: None,
        }
    }

    /// The octets of the record at a place.
    pub fn record(&self, place: usize) -> &[u8] {
        self.octets.get(self.start(place)..self.start(place + 1)).unwrap_or_default()
    }

    /// The octets of the records at several places.
    pub fn records(&self, places: Range<usize>) -> &[u8] {
        self.octets.get(self.start(places.start)..self.start(places.end)).unwrap_or_default()
    }

    pub(super) fn start(&self, place: usize) -> usize {
        match place.checked_sub(1) {
            None => 0,
            Some(_) if self.ends.is_empty() => place.saturating_mul(self.each as usize),
            Some(before) => self.ends.get(before).map_or(self.octets.len(), |&end| end as usize),
        }
    }

    /// On what the record at a place hangs; its member by its number in the part.
    pub fn hold(&self, place: usize) -> Option<Hold> {
        let lease = *self.leases.get(place)?;
        let lapses_ms = self.uneven.as_ref().and_then(|uneven| uneven.lapses_ms.get(place));
        let lapses_ms = lapses_ms.copied().unwrap_or(FOLLOWS_LEASE);
        Some(Hold { lease, member: self.member(place), lapses_ms })
    }

    /// The number in the part of the member of the record at a place.
    pub(super) fn member(&self, place: usize) -> u32 {
        let member = self.uneven.as_ref().and_then(|uneven| uneven.members.get(place));
        member.map_or(place as u32, |&member| member)
    }

    /// Where each member's records end among all; empty when each member has one.
    pub(super) fn groups(&self) -> &[u32] {
        self.uneven.as_ref().map_or(&[], |uneven| &uneven.groups)
    }

    /// The place of the first record that is the same, if any of the part are like others.
    pub(super) fn first(&self, place: usize) -> Option<u32> {
        self.uneven.as_ref().and_then(|uneven| uneven.firsts.get(place)).copied()
    }

    /// The same of all records, in their order.
    pub fn holds(&self) -> impl Iterator<Item = Hold> {
        (0..self.len()).filter_map(|place| self.hold(place))
    }

    /// The records of the member at a place of the ranking; of the one past the last, an empty range at the end.
    pub fn of_member(&self, place: usize) -> Range<usize> {
        let groups = self.groups();
        if groups.is_empty() {
            return place.min(self.len())..(place + 1).min(self.len());
        }
        let end = |place: usize| groups.get(place).map_or(self.len(), |&end| end as usize);
        place.checked_sub(1).map_or(0, end)..end(place)
    }

    /// What the member of the record at a place weighs by it; 0 takes no part.
    pub fn weight(&self, place: usize) -> u32 {
        let weight = self.uneven.as_ref().and_then(|uneven| uneven.weights.get(place));
        weight.copied().unwrap_or(self.weight)
    }

    /// Whether it has members that weigh nothing.
    pub(super) fn has_weightless(&self) -> bool {
        match &self.uneven {
            Some(uneven) if !uneven.weights.is_empty() => uneven.weights.contains(&0),
            _ => self.weight == 0,
        }
    }

    /// The encoded addresses of the member of the record at a place, if the list has them at hand: empty for all but the first
    /// of a member's records.
    pub fn along(&self, place: usize) -> Option<&[u8]> {
        let Along { octets, ends, each } = self.along.as_ref()?;
        if ends.is_empty() {
            let start = place.checked_mul(*each as usize)?;
            return octets.get(start..start + *each as usize);
        }
        let start = place.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied())?;
        octets.get(start as usize..*ends.get(place)? as usize)
    }

    /// The octets of all records.
    pub fn encoded(&self) -> &[u8] {
        &self.octets
    }

    /// The octets of all addresses that are at hand.
    pub fn encoded_along(&self) -> &[u8] {
        self.along.as_ref().map_or(&[], |along| &along.octets)
    }

    /// How many members have records in it.
    pub fn members(&self) -> usize {
        if self.groups().is_empty() { self.len() } else { self.groups().len() }
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }
}
