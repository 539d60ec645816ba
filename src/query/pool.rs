//! Answers from a pool: which records, and a TTL that no lease in them falls short of.

use std::ops::Range;

use super::additional::Addresses;
use super::all_down::Asked;
use super::writer::{Found, POINTER_MAX, Section, Writer, ttl_left_s};
use crate::policy::Offer;
use crate::wire::Rtype;
use crate::zone::{FIXED_LEN, Freshness, Hold, MemberRef, PoolView, RecordList, Records};

impl Writer<'_, '_> {
    /// The pool's A or AAAA: what the policy picks, or everyone at `all.`.
    pub(super) fn put_pool_addresses(&mut self, view: &PoolView, qtype: Rtype, of_all: bool) -> Found {
        match qtype {
            Rtype::A | Rtype::AAAA | Rtype::ANY => {
                self.put_or_last_resort(view, Asked::Addresses(qtype), of_all)
            }
            Rtype::SVCB | Rtype::HTTPS if !of_all => match view.bindings(qtype) {
                Some(list) => {
                    let freshness = view.freshness(self.leases, self.now_ms);
                    self.put_with_addresses(view, list, true, freshness)
                }
                None => Found::NoData,
            },
            _ => Found::NoData,
        }
    }

    /// A service's SRV records, and in Additional the addresses of the members in them, from this same view.
    pub(super) fn put_service(
        &mut self,
        view: &PoolView,
        service: &[u8],
        qtype: Rtype,
        of_all: bool,
    ) -> Found {
        if !matches!(qtype, Rtype::SRV | Rtype::ANY) {
            return Found::NoData;
        }
        self.put_or_last_resort(view, Asked::Service(service), of_all)
    }

    fn put_or_last_resort(&mut self, view: &PoolView, asked: Asked<'_>, of_all: bool) -> Found {
        let freshness = view.freshness(self.leases, self.now_ms);
        match self.put_asked(view, asked, of_all, freshness) {
            Found::NoData if !of_all => self.put_all_down(view, asked),
            found => found,
        }
    }

    /// A list's records, and in Additional the addresses of their members.
    pub(super) fn put_with_addresses(
        &mut self,
        view: &PoolView,
        list: &RecordList,
        of_all: bool,
        freshness: Freshness,
    ) -> Found {
        let at = self.reply.len();
        self.scratch.places.clear();
        let found = self.put_list(view, list, of_all, freshness);
        if found == Found::Records {
            self.put_members_addresses(view, list, at, freshness);
        }
        found
    }

    /// A list's records in the policy's order, or all of them in the list's own.
    pub(super) fn put_list(
        &mut self,
        view: &PoolView,
        list: &RecordList,
        of_all: bool,
        freshness: Freshness,
    ) -> Found {
        if freshness != Freshness::Ended && !list.has_repeats() && list.octets_len() <= self.reply.room() {
            // Who reads SRV records chooses by what stands in them.
            let order_matters = list.rtype() != Some(Rtype::SRV);
            let start =
                if of_all { Some(0) } else { list.ranking.whole(&mut self.scratch.chooser, order_matters) };
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
        let is_put = match list.whole() {
            Some(records) => {
                self.reply.put_pair(records.records(first.clone()), records.records(second.clone()))
            }
            None => {
                let mut slices = list.slices(first.clone()).chain(list.slices(second.clone()));
                slices.all(|octets| self.reply.put(octets))
            }
        };
        if !is_put {
            return Found::SomeRecords;
        }
        if names_members(list) {
            self.scratch.places.extend(first.chain(second).map(|place| place as u32));
        }
        self.count(list.len());
        self.note_end(view, freshness);
        self.patch(at, self.shortened(view.settings.ttl_s, freshness));
        if list.is_empty() { Found::NoData } else { Found::Records }
    }

    /// Member by member: those that have ended are passed over, and the RRset's one TTL is what the first of its records to
    /// end has left, at most the pool's (RFC 2181 section 5.2).
    fn put_each(&mut self, view: &PoolView, list: &RecordList, of_all: bool, freshness: Freshness) -> Found {
        let at = self.reply.len();
        let (leases, now_ms) = (self.leases, self.now_ms);
        let (mut first_end_ms, mut records, mut is_full) = (u64::MAX, 0_usize, false);
        let (distinct, has_repeats, names_members) =
            (list.distinct(), list.has_repeats(), names_members(list));
        let (reply, places, met) = (&mut self.reply, &mut self.scratch.places, &mut self.scratch.met);
        if has_repeats {
            met.clear();
        }
        let mut take = |member: usize| {
            // Whatever the others have is in the answer already.
            if records == distinct {
                return Offer::Full;
            }
            let mut is_taken = false;
            for place in list.of_member(member) {
                let Some(at) = list.at(place) else { continue };
                let ends_ms = match freshness {
                    Freshness::Whole | Freshness::Frozen => u64::MAX,
                    _ => at.hold().map_or(0, |hold| hold.ends_ms(leases)),
                };
                if ends_ms <= now_ms {
                    continue;
                }
                first_end_ms = first_end_ms.min(ends_ms);
                let record = at.record();
                if has_repeats && !met.insert(list.likeness(place)) {
                    is_taken = true;
                    continue;
                }
                if !reply.put(record) {
                    is_full = true;
                    return Offer::Full;
                }
                if names_members {
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
            list.ranking.offer(&mut self.scratch.chooser, leases, take);
        }
        self.count(records);
        let freshness =
            if freshness == Freshness::Frozen { freshness } else { Freshness::Until(first_end_ms) };
        self.note_end(view, freshness);
        self.patch(at, self.shortened(view.settings.ttl_s, freshness));
        match (is_full, records) {
            (true, _) => Found::SomeRecords,
            (false, 0) => Found::NoData,
            (false, _) => Found::Records,
        }
    }

    /// Addresses of the members in the records that were written from `at` on. Dropped, RRset by RRset, when the room is used
    /// up: the answer is complete without them.
    fn put_members_addresses(
        &mut self,
        view: &PoolView,
        list: &RecordList,
        mut at: usize,
        freshness: Freshness,
    ) {
        // Where the target is in the rdata: a SRV's after its priority, weight and port, a binding's after its priority.
        let Some(rtype) = list.rtype() else { return };
        let target = if rtype == Rtype::SRV { 6 } else { 2 };
        let is_uniform = matches!(freshness, Freshness::Whole | Freshness::Frozen);
        let ttl_s = self.shortened(view.settings.ttl_s, freshness);
        self.scratch.targets.clear();
        let mut previous = None;
        for index in 0..self.scratch.places.len() {
            let Some(&place) = self.scratch.places.get(index) else { return };
            let Some(found) = list.at(place as usize) else { continue };
            let record_at = at;
            at += found.record().len();
            // Where each record has the TTL of all, the addresses are at hand. What does not fit whole goes RRset by RRset.
            if is_uniform
                && let Some(octets) = found.along().filter(|octets| octets.len() <= self.reply.room())
            {
                let target_at = record_at + FIXED_LEN + target;
                if target_at > POINTER_MAX {
                    return;
                }
                self.aside(Section::Additional, target_at, |writer| writer.put_encoded(octets, ttl_s));
                continue;
            }
            let Some(hold) = found.hold() else { continue };
            // A member that offers the service on several ports stands here several times, side by side.
            if previous.replace(hold.member) == Some(hold.member) {
                continue;
            }
            let Some(member) = view.member(hold) else { continue };
            let target_at = record_at + FIXED_LEN + target;
            if target_at > POINTER_MAX {
                return;
            }
            let fits = match member.has_addresses() {
                // One that is known by a target elsewhere, which may be a name of ours.
                false => self.put_target(rtype, target_at, Addresses::OfTargets),
                true => self.aside(Section::Additional, target_at, |writer| {
                    let mut own = view.own_records(member).filter(|(_, places)| !places.is_empty());
                    own.all(|own| writer.put_own(view, own, member, freshness) != Found::SomeRecords)
                }),
            };
            if !fits {
                return;
            }
        }
    }

    /// Copies a member's addresses; those that have ended are passed over. Returns how many, and the seconds that they may be
    /// remembered, `most_s` at most; `None`, with nothing written, if they do not fit.
    fn copy_range(
        &mut self,
        list: &Records,
        places: Range<usize>,
        most_s: u32,
        freshness: Freshness,
    ) -> Option<(usize, u32)> {
        if let Freshness::Whole | Freshness::Frozen = freshness {
            let ttl_s = self.shortened(most_s, freshness).unwrap_or(most_s);
            return self.reply.put(list.records(places.clone())).then_some((places.len(), ttl_s));
        }
        let start = self.reply.len();
        let (mut records, mut first_end_ms) = (0, u64::MAX);
        for place in places {
            let ends_ms = list.hold(place).map_or(0, |hold| hold.ends_ms(self.leases));
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
    pub(super) fn put_member(&mut self, view: &PoolView, member: MemberRef<'_>, qtype: Rtype) -> Found {
        let is_there = member.hold().ends_ms(self.leases) > self.now_ms;
        let is_shown = || member.is_fit() && view.has_just_lost(self.leases, self.now_ms);
        let freshness = match member.is_in_service() {
            true if !is_there && is_shown() => Freshness::Frozen,
            true => view.freshness(self.leases, self.now_ms),
            // What drains is in no list that freshness is judged by.
            false => Freshness::Ended,
        };
        let is_wanted = |rtype: Rtype| qtype == rtype || qtype == Rtype::ANY;
        let mut put = || {
            let own = view.own_records(member).filter(|(list, _)| is_wanted(list.rtype));
            // One RRset is enough of an answer to ANY (RFC 8482 section 4.1).
            let mut found = own.map(|own| self.put_own(view, own, member, freshness));
            found.find(|found| *found != Found::NoData).unwrap_or(Found::NoData)
        };
        let found = match qtype {
            Rtype::A | Rtype::AAAA | Rtype::ANY => put(),
            Rtype::TXT => self.put_member_text(member, freshness),
            _ => Found::NoData,
        };
        self.is_lost |= freshness == Freshness::Frozen && found == Found::Records && self.is_in_answer();
        // A member that is gone has no name either, though the view may still have it.
        match found {
            Found::NoData if !is_there && freshness != Freshness::Frozen => Found::NoName,
            found => found,
        }
    }

    fn put_own(
        &mut self,
        view: &PoolView,
        (list, places): (&Records, Range<usize>),
        member: MemberRef<'_>,
        freshness: Freshness,
    ) -> Found {
        let at = self.reply.len();
        match self.copy_range(list, places.clone(), member.ttl_s, freshness) {
            None => Found::SomeRecords,
            Some((0, _)) => Found::NoData,
            Some((records, ttl_s)) => {
                self.note_held(places.filter_map(|place| list.hold(place)), freshness);
                self.count(records);
                self.patch(at, (ttl_s != view.settings.ttl_s).then_some(ttl_s));
                Found::Records
            }
        }
    }

    fn put_member_text(&mut self, member: MemberRef<'_>, freshness: Freshness) -> Found {
        let ends_ms = match freshness {
            Freshness::Whole | Freshness::Frozen => u64::MAX,
            _ => member.hold().ends_ms(self.leases),
        };
        if member.txt().is_empty() || ends_ms <= self.now_ms {
            return Found::NoData;
        }
        let at = self.reply.len();
        if !self.reply.put(member.txt()) {
            return Found::SomeRecords;
        }
        self.count(1);
        self.note_held(std::iter::once(member.hold()), freshness);
        let freshness = if freshness == Freshness::Frozen { freshness } else { Freshness::Until(ends_ms) };
        self.patch(at, self.shortened(member.ttl_s, freshness));
        Found::Records
    }

    /// The TTL to write where it is not the encoded one, `most_s`.
    fn shortened(&self, most_s: u32, freshness: Freshness) -> Option<u32> {
        match freshness {
            Freshness::Until(ends_ms) => {
                Some(ttl_left_s(most_s, ends_ms, self.now_ms)).filter(|&ttl_s| ttl_s != most_s)
            }
            Freshness::Frozen => Some(1).filter(|_| most_s > 1),
            Freshness::Whole | Freshness::Ended => None,
        }
    }

    /// Notes whether an answer for a member's own name lives by such a lease.
    fn note_held(&mut self, mut holds: impl Iterator<Item = Hold>, freshness: Freshness) {
        if self.is_in_answer() && !matches!(freshness, Freshness::Whole | Freshness::Frozen) {
            self.is_held |= holds.any(|hold| hold.is_held(self.leases, self.now_ms));
        }
    }

    /// Notes whether an answer lives by a lease that is over and held.
    pub(super) fn note_end(&mut self, view: &PoolView, freshness: Freshness) {
        if let Freshness::Until(ends_ms) = freshness {
            self.is_held |= view.is_held(ends_ms, self.leases, self.now_ms);
        }
    }
}

/// Whether a list's records name their members, whose addresses whoever reads them wants next.
fn names_members(list: &RecordList) -> bool {
    matches!(list.rtype(), Some(Rtype::SRV | Rtype::SVCB | Rtype::HTTPS))
}
