//! Answers from a pool: which records, and a TTL that no lease in them falls short of.

use std::ops::Range;

use super::writer::{FIXED_LEN, Found, POINTER_MAX, Writer};
use crate::policy::Offer;
use crate::wire::Rtype;
use crate::zone::{Freshness, MemberView, PoolView, RecordList, TTL_AT};

impl Writer<'_, '_> {
    /// The pool's A or AAAA: what the policy picks, or everyone at `all.`.
    pub(super) fn put_pool_addresses(&mut self, view: &PoolView, qtype: Rtype, of_all: bool) -> Found {
        let list = match qtype {
            Rtype::A => &view.v4,
            Rtype::AAAA => &view.v6,
            // One RRset is enough of an answer to ANY (RFC 8482 section 4.1).
            Rtype::ANY if view.v4.is_empty() => &view.v6,
            Rtype::ANY => &view.v4,
            _ => return Found::NoData,
        };
        let freshness = view.freshness(self.leases, self.now_ms);
        self.put_list(view, list, of_all, freshness)
    }

    /// A service's SRV records, and in Additional the addresses of the members in them, from this same view.
    pub(super) fn put_service(
        &mut self,
        view: &PoolView,
        list: &RecordList,
        qtype: Rtype,
        of_all: bool,
    ) -> Found {
        if !matches!(qtype, Rtype::SRV | Rtype::ANY) {
            return Found::NoData;
        }
        let at = self.reply.len();
        let freshness = view.freshness(self.leases, self.now_ms);
        let found = self.put_list(view, list, of_all, freshness);
        if found == Found::Records {
            self.put_additional(view, list, at, freshness);
        }
        found
    }

    /// A list's records in the policy's order, or all of them in the list's own.
    fn put_list(&mut self, view: &PoolView, list: &RecordList, of_all: bool, freshness: Freshness) -> Found {
        if freshness == Freshness::Whole {
            let start = if of_all { Some(0) } else { list.ranking.whole(&mut self.scratch.chooser) };
            if let Some(start) = start
                && let Some(found) = self.put_whole(list, start)
            {
                return found;
            }
        }
        self.put_each(view, list, of_all)
    }

    /// The whole list in two pieces. `None` if it does not fit: then the records are put one by one.
    fn put_whole(&mut self, list: &RecordList, start: usize) -> Option<Found> {
        let at = self.reply.len();
        let (first, second) = (start..list.len(), 0..start);
        if !self.reply.put_pair(list.records(first.clone()), list.records(second.clone())) {
            return None;
        }
        if list.rtype == Rtype::SRV {
            self.scratch.places.extend(first.chain(second).map(|place| place as u32));
        }
        self.count_answers(list.len());
        self.patch(at, None);
        Some(if list.is_empty() { Found::NoData } else { Found::Records })
    }

    /// Record by record: those that have ended are passed over, and the RRset's one TTL is what the first of them to end
    /// has left, at most the pool's (RFC 2181 section 5.2).
    fn put_each(&mut self, view: &PoolView, list: &RecordList, of_all: bool) -> Found {
        let at = self.reply.len();
        let (leases, now_ms) = (self.leases, self.now_ms);
        let (mut first_end_ms, mut records, mut is_full) = (u64::MAX, 0_usize, false);
        let (reply, places) = (&mut self.reply, &mut self.scratch.places);
        let mut take = |place: usize| {
            let ends_ms = list.holds.get(place).map_or(0, |hold| hold.ends_ms(leases));
            if ends_ms <= now_ms {
                return Offer::Gone;
            }
            if !reply.put(list.record(place)) {
                is_full = true;
                return Offer::Full;
            }
            if list.rtype == Rtype::SRV {
                places.push(place as u32);
            }
            first_end_ms = first_end_ms.min(ends_ms);
            records += 1;
            Offer::Taken
        };
        if of_all {
            _ = (0..list.len()).all(|place| take(place) != Offer::Full);
        } else {
            list.ranking.offer(&mut self.scratch.chooser, take);
        }
        self.count_answers(records);
        let ttl_s = ttl_s(view.settings.ttl_s, first_end_ms, now_ms);
        self.patch(at, (ttl_s != view.settings.ttl_s).then_some(ttl_s));
        match (is_full, records) {
            (true, _) => Found::SomeRecords,
            (false, 0) => Found::NoData,
            (false, _) => Found::Records,
        }
    }

    /// Addresses of the SRV records that were written from `at` on. Dropped, RRset by RRset, when the room is used up: the
    /// answer is complete without them.
    fn put_additional(&mut self, view: &PoolView, list: &RecordList, mut at: usize, freshness: Freshness) {
        let is_whole = freshness == Freshness::Whole;
        let (mut first, mut previous) = (None, None);
        for index in 0..self.scratch.places.len() {
            let Some(&place) = self.scratch.places.get(index) else { return };
            let (srv_at, record) = (at, list.record(place as usize));
            at += record.len();
            let Some(hold) = list.holds.get(place as usize) else { continue };
            // A member that offers the service on several ports stands here several times, side by side but for the
            // turn of the list.
            if previous == Some(hold.member) || first == Some(hold.member) {
                continue;
            }
            (first, previous) = (first.or(Some(hold.member)), Some(hold.member));
            let Some(member) = view.member(hold) else { continue };
            // The SRV's target, after its priority, weight and port.
            let target_at = srv_at + FIXED_LEN + 6;
            if target_at > POINTER_MAX
                || !self.put_target(view, &view.v4, &member.v4, member, target_at, is_whole)
                || !self.put_target(view, &view.v6, &member.v6, member, target_at, is_whole)
            {
                return;
            }
        }
    }

    /// One member's addresses of one family, owned by the target at `target_at`. `false` if they do not fit.
    fn put_target(
        &mut self,
        view: &PoolView,
        list: &RecordList,
        range: &Range<u32>,
        member: &MemberView,
        target_at: usize,
        is_whole: bool,
    ) -> bool {
        let start = self.reply.len();
        let Some((records, first_end_ms)) = self.copy_range(list, range, is_whole) else { return false };
        let owner = (0xC000 | target_at as u16).to_be_bytes();
        let ttl_s = if is_whole { member.ttl_s } else { ttl_s(member.ttl_s, first_end_ms, self.now_ms) };
        let each = list.record(range.start as usize).len().max(1);
        let is_patched = ttl_s != view.settings.ttl_s;
        for record in self.reply.written_from(start).chunks_exact_mut(each) {
            if let Some(place) = record.get_mut(..2) {
                place.copy_from_slice(&owner);
            }
            if let (true, Some(place)) = (is_patched, record.get_mut(TTL_AT..TTL_AT + 4)) {
                place.copy_from_slice(&ttl_s.to_be_bytes());
            }
        }
        self.count_additionals(records);
        true
    }

    /// Copies a member's addresses; those that have ended are passed over unless the view is whole. Returns how many, and
    /// when the first of them ends; `None`, with nothing written, if they do not fit.
    fn copy_range(&mut self, list: &RecordList, range: &Range<u32>, is_whole: bool) -> Option<(usize, u64)> {
        let places = range.start as usize..range.end as usize;
        if is_whole {
            return self.reply.put(list.records(places.clone())).then_some((places.len(), u64::MAX));
        }
        let start = self.reply.len();
        let (mut records, mut first_end_ms) = (0, u64::MAX);
        for place in places {
            let ends_ms = list.holds.get(place).map_or(0, |hold| hold.ends_ms(self.leases));
            if ends_ms <= self.now_ms {
                continue;
            }
            if !self.reply.put(list.record(place)) {
                self.reply.truncate(start);
                return None;
            }
            records += 1;
            first_end_ms = first_end_ms.min(ends_ms);
        }
        Some((records, first_end_ms))
    }

    /// A member's own name: its addresses, or what it says of itself.
    pub(super) fn put_member(&mut self, view: &PoolView, member: &MemberView, qtype: Rtype) -> Found {
        let is_whole = view.freshness(self.leases, self.now_ms) == Freshness::Whole;
        let has_v4 = !member.v4.is_empty();
        let (list, range) = match qtype {
            Rtype::A => (&view.v4, &member.v4),
            Rtype::ANY if has_v4 => (&view.v4, &member.v4),
            Rtype::AAAA | Rtype::ANY => (&view.v6, &member.v6),
            _ => return self.put_member_text(member, qtype, is_whole),
        };
        let at = self.reply.len();
        let Some((records, first_end_ms)) = self.copy_range(list, range, is_whole) else {
            return Found::SomeRecords;
        };
        self.count_answers(records);
        let ttl_s = if is_whole { member.ttl_s } else { ttl_s(member.ttl_s, first_end_ms, self.now_ms) };
        self.patch(at, (ttl_s != view.settings.ttl_s).then_some(ttl_s));
        if records > 0 { Found::Records } else { self.nothing_of(member) }
    }

    fn put_member_text(&mut self, member: &MemberView, qtype: Rtype, is_whole: bool) -> Found {
        let ends_ms = member.hold.ends_ms(self.leases);
        if qtype != Rtype::TXT || member.txt.is_empty() || ends_ms <= self.now_ms {
            return self.nothing_of(member);
        }
        let at = self.reply.len();
        if !self.reply.put(&member.txt) {
            return Found::SomeRecords;
        }
        self.count_answers(1);
        let left_s = (!is_whole).then(|| ttl_s(member.ttl_s, ends_ms, self.now_ms));
        self.patch(at, left_s);
        Found::Records
    }

    /// No record of the type: a member that is gone has no name either, though the view may still have it.
    fn nothing_of(&self, member: &MemberView) -> Found {
        if member.hold.ends_ms(self.leases) <= self.now_ms { Found::NoName } else { Found::NoData }
    }
}

/// Whole seconds that an RRset may be remembered: what is left of the first of its records to end, at most `most_s`.
fn ttl_s(most_s: u32, first_end_ms: u64, now_ms: u64) -> u32 {
    let left_s = first_end_ms.saturating_sub(now_ms) / 1000;
    u32::try_from(left_s).map_or(most_s, |left_s| left_s.min(most_s))
}
