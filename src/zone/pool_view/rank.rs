//! Ranking a view's members by how they stand now, without encoding anything anew but the weights in SRV records.
//!
//! Loads move with every heartbeat, and a newcomer's share with time. A view that is ranked again shares its records with the
//! one before; what a SRV record says of a member moves once a second at most, so that it may be signed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fields::Fields;
use super::{MemberView, PoolView, RecordList, Records, Standing};
use crate::membership::{KnownLoad, LeaseTable, Load};
use crate::policy::{Candidate, Policy, Ranking, RotorId, Shown, Warmth};
use crate::zone::{FIXED_LEN, PoolSettings};

/// How long what SRV records say of standings stays, milliseconds.
const SHOWN_MS: u64 = 1_000;
/// A newcomer's share grows in so many steps at most.
const WARM_UP_STEPS: u32 = 32;
/// How often a pool is ranked for newcomers, milliseconds: no more often than for loads, no less than SRV records.
const WARM_UP_EVERY_MS: std::ops::RangeInclusive<u32> = 50..=1_000;

/// Which rotors a pool's lists turn.
pub(in crate::zone) struct PoolRotors {
    pub v4: RotorId,
    pub v6: RotorId,
    /// One a known service, sorted by name.
    pub services: Vec<(Box<[u8]>, RotorId)>,
}

/// How the members of a view stand at a moment.
pub(super) struct Standings {
    pub now: Arc<[Standing]>,
    /// As the services' records say it, and since when, monotonic milliseconds.
    pub shown: Arc<[Standing]>,
    pub shown_since_ms: u64,
}

/// How a member stands. Under a policy that asks for neither, everybody stands alike.
fn standing_of(settings: &PoolSettings, member: &MemberView, leases: &LeaseTable, now_ms: u64) -> Standing {
    let (mut load, mut warmth) = (Load::UNSAID, Warmth::WARM);
    if settings.policy.ranks_by_load() {
        // Where nothing is smoothed any more, what was so far counts as it was said.
        let counted =
            |known: KnownLoad| if settings.load_half_life_ms == 0 { known.said } else { known.smoothed };
        load = leases.load(member.hold.lease).map_or(Load::UNSAID, counted);
    }
    if settings.policy.warms_up() && settings.warm_up_ms > 0 {
        let joined_ms = leases.joined_ms(member.hold.lease);
        let is_old = joined_ms == 0;
        let age_ms = if is_old { u64::MAX } else { now_ms.saturating_sub(joined_ms) };
        warmth = Warmth::of(age_ms, settings.warm_up_ms);
    }
    Standing { load, warmth }
}

impl Standings {
    /// As the members of a view stand, the view before it being `before`: what its SRV records said stays while it is fresh.
    pub fn of(
        settings: &PoolSettings,
        members: &[MemberView],
        before: Option<&PoolView>,
        leases: &LeaseTable,
        now_ms: u64,
    ) -> Self {
        let standings = members.iter().map(|member| standing_of(settings, member, leases, now_ms));
        let now: Arc<[Standing]> = standings.collect();
        let fresh = before.filter(|before| now_ms < before.shown_since_ms + SHOWN_MS);
        let fresh = fresh.filter(|before| before.settings.policy == settings.policy);
        let Some(before) = fresh else {
            return Standings { shown: Arc::clone(&now), now, shown_since_ms: now_ms };
        };
        // Both are sorted by name.
        let mut held = before.members.iter().zip(before.shown.iter()).peekable();
        let shown = members.iter().zip(now.iter()).map(|(member, now)| {
            while held.next_if(|(other, _)| other.label < member.label).is_some() {}
            let same = held.next_if(|(other, _)| other.hold.lease == member.hold.lease);
            same.map_or(*now, |(_, shown)| *shown)
        });
        Standings { shown: shown.collect(), now, shown_since_ms: before.shown_since_ms }
    }

    /// When a view that was ranked by these is to be ranked again though nothing is said, monotonic milliseconds.
    pub fn rank_again_ms(&self, settings: &PoolSettings, now_ms: u64) -> Option<u64> {
        let is_shown = *self.shown == *self.now;
        let show_ms = (!is_shown).then_some(self.shown_since_ms + SHOWN_MS);
        let is_warming = self.now.iter().any(|standing| standing.warmth < Warmth::WARM);
        let step_ms = settings.warm_up_ms / WARM_UP_STEPS;
        let step_ms = step_ms.clamp(*WARM_UP_EVERY_MS.start(), *WARM_UP_EVERY_MS.end());
        let warm_ms = is_warming.then_some(now_ms + u64::from(step_ms));
        show_ms.into_iter().chain(warm_ms).min()
    }
}

/// Who takes part in a list, and how.
pub(super) struct Electorate<'a> {
    pub members: &'a [MemberView],
    pub standings: &'a [Standing],
    pub leases: &'a LeaseTable,
}

impl Electorate<'_> {
    /// A member's candidacy, weighing this much; `None` if there is no such member.
    pub fn candidate(&self, member: u32, weight: u32) -> Option<Candidate> {
        let view = self.members.get(member as usize)?;
        let standing = self.standings.get(member as usize)?;
        let lease = view.hold.lease;
        let (priority, degradation) = (view.priority, view.degradation);
        let picks = self.leases.picks(lease);
        let (load, warmth) = (standing.load, standing.warmth);
        Some(Candidate { lease, weight, priority, load, degradation, picks, warmth })
    }

    /// Ranks a list's members.
    pub fn rank(
        &self,
        records: &Records,
        (policy, shown): (Policy, Shown),
        rotor: RotorId,
        start: u64,
    ) -> Ranking {
        let candidates = (0..records.members()).filter_map(|member| {
            let place = records.of_member(member).start;
            let weight = records.weights.get(place)?;
            self.candidate(records.holds.get(place)?.member, *weight)
        });
        Ranking::new(policy, shown, rotor, &candidates.collect::<Vec<_>>(), start)
    }

    /// What a policy writes into a service's records, given each record's weight.
    pub fn fields(&self, policy: Policy, records: impl Iterator<Item = (u32, u32)>) -> Fields {
        Fields::of(policy, records.filter_map(|(member, weight)| self.candidate(member, weight)))
    }

    /// A service's records with the weights that its members have now.
    fn rewritten(&self, policy: Policy, records: &Records) -> Records {
        let of_records = || records.holds.iter().map(|hold| hold.member).zip(records.weights.iter().copied());
        let fields = self.fields(policy, of_records());
        let mut rewritten = records.clone();
        for (place, (member, weight)) in of_records().enumerate() {
            // Behind the priority (RFC 2782).
            let at = records.start(place) + FIXED_LEN + 2;
            let candidate = self.candidate(member, weight);
            if let (Some(candidate), Some(octets)) = (candidate, rewritten.octets.get_mut(at..at + 2)) {
                octets.copy_from_slice(&fields.weight(&candidate).to_be_bytes());
            }
        }
        rewritten
    }
}

/// What ranking a list costs beside its members, in members.
const LIST_COST: usize = 4;

impl PoolView {
    /// What ranking it costs: one for each member in each list, for a member is ranked in every service that it offers.
    pub(in crate::zone) fn ranking_cost(&self) -> usize {
        let services = self.services.iter().map(|(_, list)| list);
        let lists = [&self.v4, &self.v6].into_iter().chain(services);
        lists.map(|list| LIST_COST + list.members()).sum()
    }

    /// A member as the policy sees it at `now_ms`, if it weighs this much; `None` if there is no such member.
    pub fn candidate(&self, member: u32, weight: u32, leases: &LeaseTable, now_ms: u64) -> Option<Candidate> {
        let view = self.members.get(member as usize)?;
        let Standing { load, warmth } = standing_of(&self.settings, view, leases, now_ms);
        let (lease, priority, degradation) = (view.hold.lease, view.priority, view.degradation);
        let picks = leases.picks(lease);
        Some(Candidate { lease, weight, priority, load, degradation, picks, warmth })
    }

    /// The view with its members ranked as they stand now, and when it is to be ranked again though nothing is said. What
    /// round-robin and priority make of members does not move while what they registered stays.
    pub(in crate::zone) fn ranked(
        &self,
        rotors: &PoolRotors,
        leases: &LeaseTable,
        now_ms: u64,
    ) -> (PoolView, Option<u64>) {
        let settings = &self.settings;
        let standings = Standings::of(settings, &self.members, Some(self), leases, now_ms);
        let again_ms = standings.rank_again_ms(settings, now_ms);
        let electorate = |standings| Electorate { members: &self.members, standings, leases };
        let (now, shown) = (electorate(&standings.now), electorate(&standings.shown));
        let start = turn_of(now_ms);
        let ranked = |list: &RecordList, records: Arc<Records>, terms: (Policy, Shown), rotor| RecordList {
            ranking: now.rank(list, terms, rotor, start),
            records,
        };
        let addresses = (settings.policy, settings.addresses);
        let is_moved = standings.shown != self.shown && settings.policy.warms_up();
        let services = self.services.iter().zip(&rotors.services).map(|((name, list), (_, rotor))| {
            let records = match is_moved {
                true => Arc::new(shown.rewritten(settings.policy, list)),
                false => Arc::clone(&list.records),
            };
            (name.clone(), ranked(list, records, (settings.policy, settings.services), *rotor))
        });
        let view = PoolView {
            settings: Arc::clone(settings),
            labels: self.labels,
            first_end_ms: AtomicU64::new(self.first_end_ms.load(Ordering::Relaxed)),
            scan_at_ms: AtomicU64::new(self.scan_at_ms.load(Ordering::Relaxed)),
            members: Arc::clone(&self.members),
            services: services.collect(),
            bindings: Arc::clone(&self.bindings),
            apart: self.apart.clone(),
            services_apart: Arc::clone(&self.services_apart),
            last_good: self.last_good.clone(),
            is_frozen: self.is_frozen,
            v4: ranked(&self.v4, Arc::clone(&self.v4.records), addresses, rotors.v4),
            v6: ranked(&self.v6, Arc::clone(&self.v6.records), addresses, rotors.v6),
            shown: standings.shown,
            shown_since_ms: standings.shown_since_ms,
        };
        (view, again_ms)
    }
}

/// Where equals begin in a ranking that is made now: all places alike, at whatever intervals members have their pool ranked.
pub(super) fn turn_of(now_ms: u64) -> u64 {
    // The golden ratio's steps fall into no rhythm.
    now_ms.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}
