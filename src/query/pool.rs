//! Answers from a pool: which records, and a TTL that no lease in them falls short of.

use std::ops::Range;

use super::writer::{Found, POINTER_MAX, Writer, ttl_left_s};
use crate::policy::Offer;
use crate::wire::Rtype;
use crate::zone::{FIXED_LEN, Freshness, MemberView, PoolView, RecordList, TTL_AT};

impl Writer<'_, '_> {
    /// The pool's A or AAAA: what the policy picks, or everyone at `all.`.
    pub(super) fn put_pool_addresses(&mut self, view: &PoolView, qtype: Rtype, of_all: bool) -> Found {
        let freshness = view.freshness(self.leases, self.now_ms);
        match qtype {
            Rtype::A => self.put_list(view, &view.v4, of_all, freshness),
            Rtype::AAAA => self.put_list(view, &view.v6, of_all, freshness),
            // One RRset is enough of an answer to ANY (RFC 8482 section 4.1).
            Rtype::ANY => match self.put_list(view, &view.v4, of_all, freshness) {
                Found::NoData => self.put_list(view, &view.v6, of_all, freshness),
                found => found,
            },
            Rtype::SVCB | Rtype::HTTPS if !of_all => match view.bindings(qtype) {
                Some(list) => self.put_list(view, list, true, freshness),
                None => Found::NoData,
            },
            _ => Found::NoData,
        }
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
        if freshness != Freshness::Ended && !list.has_repeats && list.octets_len() <= self.reply.room() {
            let start = if of_all { Some(0) } else { list.ranking.whole(&mut self.scratch.chooser) };
            if let Some(start) = start {
                return self.put_whole(view, list, start, freshness);
            }
        }
        self.put_each(view, list, of_all, freshness)
    }

    /// The whole list in two pieces, the member at `start` first. It is known to fit.
    fn put_whole(&mut self, view: &PoolView, list: &RecordList, start: usize, freshness: Freshness) -> Found {
        let at = self.reply.len();
        let start = list.of_member(start).start;
        let (first, second) = (start..list.len(), 0..start);
        if !self.reply.put_pair(list.records(first.clone()), list.records(second.clone())) {
            return Found::SomeRecords;
        }
        if list.rtype == Rtype::SRV {
            self.scratch.places.extend(first.chain(second).map(|place| place as u32));
        }
        self.count_answers(list.len());
        self.patch(at, self.shortened(view.settings.ttl_s, freshness));
        if list.is_empty() { Found::NoData } else { Found::Records }
    }

    /// Member by member: those that have ended are passed over, and the RRset's one TTL is what the first of its records to
    /// end has left, at most the pool's (RFC 2181 section 5.2).
    fn put_each(&mut self, view: &PoolView, list: &RecordList, of_all: bool, freshness: Freshness) -> Found {
        let at = self.reply.len();
        let (leases, now_ms) = (self.leases, self.now_ms);
        let (mut first_end_ms, mut records, mut is_full) = (u64::MAX, 0_usize, false);
        let (reply, places) = (&mut self.reply, &mut self.scratch.places);
        let mut take = |member: usize| {
            // Whatever the others have is in the answer already.
            if records == list.distinct {
                return Offer::Full;
            }
            let mut is_taken = false;
            for place in list.of_member(member) {
                let ends_ms = match freshness {
                    Freshness::Whole => u64::MAX,
                    _ => list.holds.get(place).map_or(0, |hold| hold.ends_ms(leases)),
                };
                if ends_ms <= now_ms {
                    continue;
                }
                first_end_ms = first_end_ms.min(ends_ms);
                let record = list.record(place);
                if list.has_repeats
                    && reply.written_from(at).chunks_exact(record.len().max(1)).any(|other| other == record)
                {
                    is_taken = true;
                    continue;
                }
                if !reply.put(record) {
                    is_full = true;
                    return Offer::Full;
                }
                if list.rtype == Rtype::SRV {
                    places.push(place as u32);
                }
                is_taken = true;
                records += 1;
            }
            if is_taken { Offer::Taken } else { Offer::Gone }
        };
        if of_all {
            _ = (0..list.members()).all(|member| take(member) != Offer::Full);
        } else {
            list.ranking.offer(&mut self.scratch.chooser, take);
        }
        self.count_answers(records);
        self.patch(at, self.shortened(view.settings.ttl_s, Freshness::Until(first_end_ms)));
        match (is_full, records) {
            (true, _) => Found::SomeRecords,
            (false, 0) => Found::NoData,
            (false, _) => Found::Records,
        }
    }

    /// Addresses of the SRV records that were written from `at` on. Dropped, RRset by RRset, when the room is used up: the
    /// answer is complete without them.
    fn put_additional(&mut self, view: &PoolView, list: &RecordList, mut at: usize, freshness: Freshness) {
        let mut previous = None;
        for index in 0..self.scratch.places.len() {
            let Some(&place) = self.scratch.places.get(index) else { return };
            let (srv_at, record) = (at, list.record(place as usize));
            at += record.len();
            let Some(hold) = list.holds.get(place as usize) else { continue };
            // A member that offers the service on several ports stands here several times, side by side.
            if previous.replace(hold.member) == Some(hold.member) {
                continue;
            }
            let Some(member) = view.member(hold) else { continue };
            // The SRV's target, after its priority, weight and port.
            let target_at = srv_at + FIXED_LEN + 6;
            if target_at > POINTER_MAX
                || !self.put_target(view, &view.v4, &member.v4, member, target_at, freshness)
                || !self.put_target(view, &view.v6, &member.v6, member, target_at, freshness)
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
        freshness: Freshness,
    ) -> bool {
        if range.is_empty() {
            return true;
        }
        let start = self.reply.len();
        let Some((records, ttl_s)) = self.copy_range(list, range, member.ttl_s, freshness) else {
            return false;
        };
        let owner = (0xC000 | target_at as u16).to_be_bytes();
        let each = list.record(range.start as usize).len().max(1);
        for record in self.reply.written_from(start).chunks_exact_mut(each) {
            if let Some(place) = record.get_mut(..2) {
                place.copy_from_slice(&owner);
            }
            if ttl_s != view.settings.ttl_s
                && let Some(place) = record.get_mut(TTL_AT..TTL_AT + 4)
            {
                place.copy_from_slice(&ttl_s.to_be_bytes());
            }
        }
        self.count_additionals(records);
        true
    }

    /// Copies a member's addresses; those that have ended are passed over. Returns how many, and the seconds that they may be
    /// remembered, `most_s` at most; `None`, with nothing written, if they do not fit.
    fn copy_range(
        &mut self,
        list: &RecordList,
        range: &Range<u32>,
        most_s: u32,
        freshness: Freshness,
    ) -> Option<(usize, u32)> {
        let places = range.start as usize..range.end as usize;
        if freshness == Freshness::Whole {
            return self.reply.put(list.records(places.clone())).then_some((places.len(), most_s));
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
        Some((records, ttl_left_s(most_s, first_end_ms, self.now_ms)))
    }

    /// A member's own name: its addresses, or what it says of itself.
    pub(super) fn put_member(&mut self, view: &PoolView, member: &MemberView, qtype: Rtype) -> Found {
        let freshness = view.freshness(self.leases, self.now_ms);
        let found = match qtype {
            Rtype::A => self.put_own(view, &view.v4, &member.v4, member, freshness),
            Rtype::AAAA => self.put_own(view, &view.v6, &member.v6, member, freshness),
            Rtype::ANY => match self.put_own(view, &view.v4, &member.v4, member, freshness) {
                Found::NoData => self.put_own(view, &view.v6, &member.v6, member, freshness),
                found => found,
            },
            Rtype::TXT => self.put_member_text(member, freshness),
            _ => Found::NoData,
        };
        // A member that is gone has no name either, though the view may still have it.
        match found {
            Found::NoData if member.hold.ends_ms(self.leases) <= self.now_ms => Found::NoName,
            found => found,
        }
    }

    fn put_own(
        &mut self,
        view: &PoolView,
        list: &RecordList,
        range: &Range<u32>,
        member: &MemberView,
        freshness: Freshness,
    ) -> Found {
        let at = self.reply.len();
        match self.copy_range(list, range, member.ttl_s, freshness) {
            None => Found::SomeRecords,
            Some((0, _)) => Found::NoData,
            Some((records, ttl_s)) => {
                self.count_answers(records);
                self.patch(at, (ttl_s != view.settings.ttl_s).then_some(ttl_s));
                Found::Records
            }
        }
    }

    fn put_member_text(&mut self, member: &MemberView, freshness: Freshness) -> Found {
        let ends_ms = match freshness {
            Freshness::Whole => u64::MAX,
            _ => member.hold.ends_ms(self.leases),
        };
        if member.txt.is_empty() || ends_ms <= self.now_ms {
            return Found::NoData;
        }
        let at = self.reply.len();
        if !self.reply.put(&member.txt) {
            return Found::SomeRecords;
        }
        self.count_answers(1);
        self.patch(at, self.shortened(member.ttl_s, Freshness::Until(ends_ms)));
        Found::Records
    }

    /// The TTL to write where it is not the encoded one, `most_s`.
    fn shortened(&self, most_s: u32, freshness: Freshness) -> Option<u32> {
        match freshness {
            Freshness::Until(ends_ms) => {
                Some(ttl_left_s(most_s, ends_ms, self.now_ms)).filter(|&ttl_s| ttl_s != most_s)
            }
            Freshness::Whole | Freshness::Ended => None,
        }
    }
}
