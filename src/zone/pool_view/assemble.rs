//! From parts to a view: what stands in SRV records, and who is picked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fields::Fields;
use super::members::Members;
use super::part::Part;
use super::rank::{Electorate, PoolRotors, Standings, turn_of};
use super::record_list::Pieces;
use super::records::Records;
use super::{Counts, PoolView, RecordList};
use crate::membership::LeaseTable;
use crate::policy::{Policy, RotorId, Shown};
use crate::wire::Rtype;
use crate::zone::PoolSettings;

/// How records are known that several members have.
#[derive(Clone, Copy)]
pub(super) enum Alike<'a> {
    /// The parts have been looked through, each for itself, and there are no two.
    Within,
    /// The parts' records are counted together.
    Counted(&'a Counts),
    /// As in a view that has the same parts.
    AsIn(&'a PoolView),
}

/// Puts parts together.
pub(super) struct Assembly<'a> {
    pub settings: &'a Arc<PoolSettings>,
    pub labels: usize,
    pub rotors: &'a PoolRotors,
    pub leases: &'a LeaseTable,
    /// The view that was published before, if there was one: what its SRV records say stays while it is fresh.
    pub before: Option<&'a PoolView>,
    pub now_ms: u64,
}

impl Assembly<'_> {
    /// Makes the view of these parts, of which there is at least one, and in which nothing ends before `first_end_ms`. When it is
    /// to be ranked again though nothing is said, monotonic milliseconds, comes with it.
    pub fn assemble(
        &self,
        mut parts: Vec<Part>,
        alike: Alike<'_>,
        first_end_ms: u64,
    ) -> (PoolView, Option<u64>) {
        let settings = self.settings;
        let members = Members::of(parts.iter().map(|part| Arc::clone(&part.members)).collect());
        let standings = Standings::of(settings, &members, self.before, self.leases, self.now_ms);
        let again_ms = standings.rank_again_ms(settings, self.now_ms);
        let (policy, leases) = (settings.policy, self.leases);
        let electorate = |standings| Electorate { policy, members: &members, standings, leases };
        let (now, shown) = (electorate(&standings.now), electorate(&standings.shown));
        // What was written by how members stood then.
        let has_moved =
            settings.policy.warms_up() && self.before.is_some_and(|before| *before.shown != *standings.shown);
        let ranked = |pieces: Vec<Arc<Records>>, distinct, (policy, answers): (Policy, Shown), rotor| {
            let pieces = Pieces::of(pieces, &members, distinct);
            let ranking = now.rank(&pieces, policy, answers, rotor, turn_of(self.now_ms));
            RecordList { pieces, ranking }
        };
        let mut written = Vec::new();
        let mut offered: Vec<_> =
            parts.iter_mut().map(|part| std::mem::take(&mut part.services).into_iter()).collect();
        let services = self.rotors.services.iter().map(|(service, rotor)| {
            let mut pieces: Vec<_> = offered.iter_mut().filter_map(Iterator::next).collect();
            let fields = shown.fields(&pieces);
            let is_stale =
                has_moved || self.before.is_some_and(|before| before.has_written_other(service, &fields));
            let each = pieces.iter_mut().zip(&parts).zip(members.each_part());
            for ((piece, _), run) in each.filter(|((_, part), _)| part.is_new || is_stale) {
                shown.write(&fields, run, piece);
            }
            written.push(fields);
            let distinct = pieces.iter().map(|piece| piece.distinct as usize).sum();
            let terms = (settings.policy, settings.services);
            (service.clone(), ranked(pieces, distinct, terms, *rotor))
        });
        let services: Box<[_]> = services.collect();
        let shared = |rtype: Rtype, terms, rotor: RotorId, of: &dyn Fn(&Part) -> Arc<Records>| {
            let pieces: Vec<_> = parts.iter().map(of).collect();
            let distinct = match alike {
                Alike::Within => pieces.iter().map(|piece| piece.distinct as usize).sum(),
                Alike::Counted(counts) => counts.distinct(rtype),
                Alike::AsIn(view) => {
                    view.own_lists().find(|list| list.rtype() == Some(rtype)).map_or(0, RecordList::distinct)
                }
            };
            ranked(pieces, distinct, terms, rotor)
        };
        let addresses = (settings.policy, settings.addresses);
        let v4 = shared(Rtype::A, addresses, self.rotors.v4, &|part| Arc::clone(&part.v4));
        let v6 = shared(Rtype::AAAA, addresses, self.rotors.v6, &|part| Arc::clone(&part.v6));
        let mut types: Vec<Rtype> =
            parts.iter().flat_map(|part| part.bindings.iter().map(|records| records.rtype)).collect();
        types.sort_unstable_by_key(|rtype| rtype.to_int());
        types.dedup();
        // Never turned: these are answered as a whole.
        let whole = (Policy::RoundRobin, Shown::All);
        let bindings = types
            .into_iter()
            .map(|rtype| shared(rtype, whole, self.rotors.v4, &|part| part.bindings_of(rtype)))
            .collect();
        let view = PoolView {
            settings: Arc::clone(settings),
            labels: self.labels,
            first_end_ms: AtomicU64::new(first_end_ms),
            scan_at_ms: AtomicU64::new(0),
            shown: standings.shown,
            shown_since_ms: standings.shown_since_ms,
            written: if members.parts() > 1 { written.into() } else { Box::default() },
            members,
            services,
            bindings,
            last_good: None,
            is_frozen: false,
            v4,
            v6,
        };
        (view, again_ms)
    }
}

impl PoolView {
    /// Whether a service's records in parts that stay have other fields than these.
    fn has_written_other(&self, service: &[u8], fields: &Fields) -> bool {
        let at = self.services.binary_search_by(|(name, _)| name.as_ref().cmp(service)).ok();
        at.and_then(|at| self.written.get(at)).is_some_and(|written| written != fields)
    }

    /// How many parts it has.
    pub(super) fn parts(&self) -> usize {
        self.members.parts()
    }

    /// A part, to stand in another view, whose pool knows these services.
    pub(super) fn part(&self, number: usize, rotors: &PoolRotors) -> Option<Part> {
        let piece = |list: &RecordList| list.pieces.of_part(number).cloned();
        let services = rotors.services.iter().map(|(service, _)| {
            self.service(service).and_then(piece).unwrap_or_else(|| Records::none(Rtype::SRV))
        });
        let bindings = self.bindings.iter().filter_map(piece).filter(|records| !records.is_empty());
        Some(Part {
            members: Arc::clone(self.members.part(number)?),
            v4: piece(&self.v4)?,
            v6: piece(&self.v6)?,
            services: services.collect(),
            bindings: bindings.collect(),
            is_new: false,
        })
    }

    /// Takes over from a view with parts of this one how long its answers may go unlooked at: nothing in those ends before what
    /// that one knows.
    pub(super) fn follow(&mut self, before: &PoolView) {
        let own_ms = self.first_end_ms.get_mut();
        *own_ms = before.first_end_ms.load(Ordering::Relaxed).min(*own_ms);
        *self.scan_at_ms.get_mut() = before.scan_at_ms.load(Ordering::Relaxed);
    }

    /// The view with its members ranked as they stand now, and when it is to be ranked again though nothing is said. What
    /// round-robin and priority make of members does not move while what they registered stays.
    pub(in crate::zone) fn ranked(
        &self,
        rotors: &PoolRotors,
        leases: &LeaseTable,
        now_ms: u64,
    ) -> (PoolView, Option<u64>) {
        let parts = (0..self.parts()).filter_map(|number| self.part(number, rotors)).collect();
        let (settings, labels) = (&self.settings, self.labels);
        let assembly = Assembly { settings, labels, rotors, leases, before: Some(self), now_ms };
        let (mut view, again_ms) = assembly.assemble(parts, Alike::AsIn(self), u64::MAX);
        view.follow(self);
        view.last_good = self.last_good.clone();
        view.is_frozen = self.is_frozen;
        (view, again_ms)
    }
}
