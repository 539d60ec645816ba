//! Ranking a view's members by how they stand now, without encoding anything anew but the weights in SRV records.
//!
//! Loads move with every heartbeat, and a newcomer's share with time. A view that is ranked again shares its records with the
//! one before; what a SRV record says of a member moves once a second at most, so that it may be signed.

use std::sync::Arc;

use super::fields::Fields;
use super::members::{MemberPart, Members};
use super::record_list::Pieces;
use super::records::Records;
use super::{MemberView, PoolView, Standing};
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

/// How the members of a view stand at a moment, by their numbers; nobody, where the policy does not ask.
pub(super) struct Standings {
    pub now: Arc<[Standing]>,
    /// As the services' records say it, and since when, monotonic milliseconds.
    pub shown: Arc<[Standing]>,
    pub shown_since_ms: u64,
}

/// How everybody stands where nobody asks.
const ALIKE: Standing = Standing { load: Load::UNSAID, warmth: Warmth::WARM };

/// How a member stands. Under a policy that asks for neither, everybody stands alike.
fn standing_of(settings: &PoolSettings, member: &MemberView, leases: &LeaseTable, now_ms: u64) -> Standing {
    let Standing { mut load, mut warmth } = ALIKE;
    if settings.policy.ranks_by_load() {
        // Where nothing is smoothed any more, what was so far counts as it was said.
        let counted =
            |known: KnownLoad| if settings.load_half_life_ms == 0 { known.said } else { known.smoothed };
        load = leases.load(member.lease).map_or(Load::UNSAID, counted);
    }
    if settings.policy.warms_up() && settings.warm_up_ms > 0 {
        let joined_ms = leases.joined_ms(member.lease);
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
        members: &Members,
        before: Option<&PoolView>,
        leases: &LeaseTable,
        now_ms: u64,
    ) -> Self {
        if !settings.ranks_anew() {
            return Standings { now: Arc::default(), shown: Arc::default(), shown_since_ms: now_ms };
        }
        let standings = members.iter().map(|member| standing_of(settings, &member, leases, now_ms));
        let now: Arc<[Standing]> = standings.collect();
        let fresh = before.filter(|before| now_ms < before.shown_since_ms + SHOWN_MS);
        let fresh = fresh.filter(|before| before.settings.policy == settings.policy);
        let Some(before) = fresh else {
            return Standings { shown: Arc::clone(&now), now, shown_since_ms: now_ms };
        };
        // Both are sorted by name.
        let mut held = before.members.iter().zip(before.shown.iter()).peekable();
        let shown = members.iter().zip(now.iter()).map(|(member, now)| {
            while held.next_if(|(other, _)| other.label() < member.label()).is_some() {}
            let same = held.next_if(|(other, _)| other.lease == member.lease);
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
    pub policy: Policy,
    pub members: &'a Members,
    pub standings: &'a [Standing],
    pub leases: &'a LeaseTable,
}

/// A part's members, and how many come before them.
type Run<'a> = (&'a Arc<MemberPart>, u32);

impl Electorate<'_> {
    /// The candidacy of the member of a part's record, by what it weighs there.
    fn candidate(&self, (part, before): Run<'_>, records: &Records, place: usize) -> Option<Candidate> {
        let member = records.member(place);
        let standing = self.standings.get((before + member) as usize).copied().unwrap_or(ALIKE);
        let view = part.views.get(member as usize)?;
        Some(candidate_of(self.policy, view, standing, records.weight(place), self.leases))
    }

    /// Ranks a list's members.
    pub fn rank(
        &self,
        pieces: &Pieces,
        policy: Policy,
        answers: Shown,
        rotor: RotorId,
        start: u64,
    ) -> Ranking {
        if let Some(ranking) =
            Ranking::of_equals(policy, answers, rotor, pieces.members(), &pieces.weightless())
        {
            return ranking;
        }
        let candidates = pieces.iter().zip(self.members.each_part()).flat_map(|(piece, run)| {
            let groups = 0..piece.members();
            groups.filter_map(move |group| self.candidate(run, piece, piece.of_member(group).start))
        });
        Ranking::new(policy, answers, rotor, &candidates.collect::<Vec<_>>(), start)
    }

    /// What the policy writes into a service's records, given those of each part.
    pub fn fields(&self, pieces: &[Arc<Records>]) -> Fields {
        let candidates = pieces.iter().zip(self.members.each_part()).flat_map(|(piece, run)| {
            (0..piece.len()).filter_map(move |place| self.candidate(run, piece, place))
        });
        Fields::of(self.policy, candidates)
    }

    /// Writes what the policy says of its members into a part's records of a service.
    pub fn write(&self, fields: &Fields, run: Run<'_>, records: &mut Arc<Records>) {
        let is_written = fields.are_written();
        // Those of one member may become the same; those of two never are, for their targets name them.
        let has_several = !records.groups().is_empty();
        if records.is_empty() || !(is_written || has_several) {
            return;
        }
        let records = Arc::make_mut(records);
        // Taken out, so that the rest can be read while it is written.
        let mut encoded = std::mem::take(&mut records.octets);
        let octets = Arc::make_mut(&mut encoded);
        for place in (0..records.len()).filter(|_| is_written) {
            let candidate = self.candidate(run, records, place);
            // Priority and weight stand first (RFC 2782).
            let at = records.start(place) + FIXED_LEN;
            if let (Some(candidate), Some([p0, p1, w0, w1])) = (candidate, octets.get_mut(at..at + 4)) {
                let held = (u16::from_be_bytes([*p0, *p1]), u16::from_be_bytes([*w0, *w1]));
                let (priority, weight) = fields.write(&candidate, held);
                ([*p0, *p1], [*w0, *w1]) = (priority.to_be_bytes(), weight.to_be_bytes());
            }
        }
        records.octets = encoded;
        if has_several {
            records.find_repeats();
        }
    }
}

fn candidate_of(
    policy: Policy,
    view: &MemberView,
    standing: Standing,
    weight: u32,
    leases: &LeaseTable,
) -> Candidate {
    let MemberView { lease, priority, degradation, .. } = *view;
    let Standing { load, warmth } = standing;
    // They are far away, and one policy counts them.
    let picks = if policy == Policy::LeastUsedDegradation { leases.picks(lease) } else { 0 };
    Candidate { lease, weight, priority, load, degradation, picks, warmth }
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

    /// A member as the policy sees it at `now_ms`, if it weighs this much.
    pub fn candidate(&self, member: &MemberView, weight: u32, leases: &LeaseTable, now_ms: u64) -> Candidate {
        let standing = standing_of(&self.settings, member, leases, now_ms);
        candidate_of(self.settings.policy, member, standing, weight, leases)
    }
}

/// Where equals begin in a ranking that is made now: all places alike, at whatever intervals members have their pool ranked.
pub(super) fn turn_of(now_ms: u64) -> u64 {
    // The golden ratio's steps fall into no rhythm.
    now_ms.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}
