//! Answers to who browses (RFC 6763): which pools offer a service, which service types there are, and an instance's SRV and
//! TXT.
//!
//! Ordinary records stand beside what is made. PTRs of a listing's name join its set; at an instance's name an ordinary SRV or
//! TXT takes the place of the made one; and where an alias stands, nothing is made.

use std::ops::ControlFlow;

use super::Transport;
use super::writer::{Found, POINTER_MAX, Writer, ttl_left_s};
use crate::wire::{NAME_MAX, NameKey, Rtype};
use crate::zone::{EMPTY_TXT, Entry, FIXED_LEN, Listing, Node, PoolView, Rrset, promised_s};

/// Entries that one answer asks whether they are still offered: as many as fit, and again as many that have just ended.
const ASKED_MAX: usize = 8_192;

impl Writer<'_, '_> {
    /// The PTR set of a listing's name; `None` if ordinary records of the name are what is wanted.
    ///
    /// One TTL, as all RRsets have: the shortest for which each record is certain. Whoever remembers the set looks again
    /// before any pool in it can be gone, but learns of a new pool that late.
    pub(super) fn put_listing(&mut self, node: &Node, listing: &Listing, qtype: Rtype) -> Option<Found> {
        let now_ms = self.now_ms;
        let live = |rtype| node.rrset(rtype).filter(|rrset| rrset.is_live(now_ms));
        if !matches!(qtype, Rtype::PTR | Rtype::ANY) || live(Rtype::CNAME).is_some() {
            return None;
        }
        let at = self.reply.len();
        let (pointer, is_compressed) = self.tail_pointer(listing);
        let tail: &[u8] = if is_compressed { &pointer } else { &listing.tail };
        let octets = listing.offered_octets() + listing.offered() * (FIXED_LEN + tail.len());
        if self.transport == Transport::Udp && octets > self.reply.room() {
            // What is cut is asked for again over TCP: no pool's view is looked at for it.
            return Some(Found::SomeRecords);
        }
        let mut set = PtrSet { ttl_s: u32::MAX, records: 0, is_cut: false };
        if let Some(registered) = live(Rtype::PTR) {
            self.put_registered(registered, listing, &mut set);
        }
        let mut asked = 0;
        _ = listing.each(|entry| {
            asked += 1;
            set.is_cut |= asked > ASKED_MAX;
            if let Some(ttl_s) = listing.promised_s(entry, self.leases, now_ms).filter(|_| !set.is_cut) {
                let fits = self.put_made(Rtype::PTR, ttl_s, &entry.labels, tail);
                set.count(fits, ttl_s);
            }
            if set.is_cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.count(set.records);
        self.patch(at, Some(set.ttl_s));
        match (set.is_cut, set.records) {
            (true, _) => Some(Found::SomeRecords),
            (false, 0) => None,
            (false, _) => Some(Found::Records),
        }
    }

    /// The registered PTRs that are not made as well.
    fn put_registered(&mut self, rrset: &Rrset, listing: &Listing, set: &mut PtrSet) {
        for (record, ends_ms) in rrset.encoded().filter(|(_, ends_ms)| *ends_ms > self.now_ms) {
            let rdata = record.get(FIXED_LEN..).unwrap_or_default();
            if self.is_made(rdata, listing) {
                continue;
            }
            let ttl_s = ttl_left_s(rrset.ttl_s(), ends_ms, self.now_ms);
            let fits = self.reply.put(record);
            set.count(fits, ttl_s);
            if set.is_cut {
                return;
            }
        }
    }

    /// Whether a PTR's target is listed now.
    fn is_made(&self, target: &[u8], listing: &Listing) -> bool {
        let mut lower = [0; NAME_MAX];
        let Some(lower) = lower.get_mut(..target.len()) else { return false };
        lower.copy_from_slice(target);
        lower.make_ascii_lowercase();
        let is_offered = |entry: &Entry| {
            entry.is_offered() && listing.promised_s(entry, self.leases, self.now_ms).is_some()
        };
        let labels = lower.strip_suffix(&*listing.tail);
        labels.and_then(|labels| listing.find(labels, is_offered)).unwrap_or(false)
    }

    /// A pointer to the listing's tail in the name that is being answered, and whether it says the same: where the question
    /// spells it in capitals, records are to have it as it is.
    fn tail_pointer(&mut self, listing: &Listing) -> ([u8; 2], bool) {
        let tail_at = self.name_at + listing.tail_at;
        let is_same = self.reply.written_from(tail_at).starts_with(&listing.tail);
        ((0xC000 | tail_at as u16).to_be_bytes(), is_same && tail_at <= POINTER_MAX)
    }

    /// What a name below a listing's has that is made.
    pub(super) fn put_below_listing(&mut self, listing: &Listing, name: &NameKey, qtype: Rtype) -> Found {
        if name.labels() != listing.labels + 1 {
            return Found::NoName;
        }
        let put = |view: &PoolView, service: &[u8]| self.put_instance(view, service, qtype);
        listing.instance(name.prefix(1), put).unwrap_or(Found::NoName)
    }

    /// A pool under one of its services' names: that service's SRV records, and the TXT record that every instance has (RFC
    /// 6763 section 6).
    fn put_instance(&mut self, view: &PoolView, service: &[u8], qtype: Rtype) -> Found {
        if qtype != Rtype::TXT {
            return self.put_service(view, service, qtype, false);
        }
        let Some(ttl_s) = promised_s(view, service, self.leases, self.now_ms) else { return Found::NoData };
        self.note_end(view, view.freshness(self.leases, self.now_ms));
        if !self.put_made(Rtype::TXT, ttl_s, EMPTY_TXT, &[]) {
            return Found::SomeRecords;
        }
        self.count(1);
        Found::Records
    }

    /// One record of the name that is being answered, its rdata in two pieces. `false`, with nothing written, if it does not
    /// fit. It is not counted.
    pub(super) fn put_made(&mut self, rtype: Rtype, ttl_s: u32, left: &[u8], right: &[u8]) -> bool {
        let Ok(len) = u16::try_from(left.len() + right.len()) else { return false };
        let start = self.reply.len();
        let mut fixed = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        fixed[..2].copy_from_slice(&(0xC000 | self.name_at as u16).to_be_bytes());
        fixed[2..4].copy_from_slice(&rtype.to_int().to_be_bytes());
        fixed[6..10].copy_from_slice(&ttl_s.to_be_bytes());
        fixed[10..].copy_from_slice(&len.to_be_bytes());
        let fits = self.name_at <= POINTER_MAX && self.reply.put(&fixed) && self.reply.put_pair(left, right);
        if !fits {
            self.reply.truncate(start);
        }
        fits
    }
}

/// A PTR set as far as it is written.
struct PtrSet {
    /// What its records may all be remembered for, seconds.
    ttl_s: u32,
    records: usize,
    is_cut: bool,
}

impl PtrSet {
    /// Counts a record that may be remembered so long, if it did fit.
    fn count(&mut self, fits: bool, ttl_s: u32) {
        if fits {
            (self.ttl_s, self.records) = (self.ttl_s.min(ttl_s), self.records + 1);
        }
        self.is_cut |= !fits;
    }
}
