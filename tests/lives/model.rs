//! The model: who is a member, until when, and who is shown, in maps. Its time goes on while the server is down.
//!
//! ```text
//!     joining -> up -> (draining) -> left        deregistered: gone at once, in every view
//!                up -> expired                   lease ran out: exact, on a monotonic clock, never early
//! ```

use std::collections::{BTreeMap, BTreeSet};

use rollcall::membership::Cause;

use super::event::{Beat, Kind};
use super::hold::{AHEAD_MS, Hold};

/// The lease of a member that asks for none, milliseconds.
const DEFAULT_LEASE_MS: u64 = 30_000;
/// The longest grace after a restart, milliseconds.
const GRACE_MAX_MS: u64 = 60_000;
/// When something ends that lives as long as something else.
const FOLLOWS: u64 = u64::MAX;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// When its lease ends, whatever is held.
    ends_ms: u64,
    /// When the lease that runs began: when a message last moved its end.
    begins_ms: u64,
    /// The lease that it was granted, milliseconds.
    lease_ms: u64,
    /// What it registers, and when that lapses although the lease runs.
    records: BTreeMap<Kind, u64>,
    site: Option<&'static str>,
    /// The drain that it says, seconds, and when that ends.
    drain: Option<(u32, u64)>,
    /// By the wall clock, the first start after it was last heard.
    graced_ms: Option<u64>,
}

/// What clients see of a member, TTLs aside.
pub type Shown = (Vec<Kind>, Option<&'static str>, Option<u32>);

impl Member {
    fn shown(&self) -> Shown {
        (self.records.keys().copied().collect(), self.site, self.drain.map(|(seconds, _)| seconds))
    }

    /// What it registers: what clients see, and the lease.
    fn registers(&self) -> (Shown, u64) {
        (self.shown(), self.lease_ms)
    }

    /// How long the lease is that runs.
    fn length_ms(&self) -> u64 {
        self.ends_ms.saturating_sub(self.begins_ms)
    }

    fn move_end(&mut self, ends_ms: u64, now_ms: u64) {
        if ends_ms != self.ends_ms {
            (self.begins_ms, self.ends_ms) = (now_ms, ends_ms);
        }
    }

    fn is_silent(&self, now_ms: u64) -> bool {
        now_ms + self.length_ms() / 3 >= self.ends_ms
    }

    fn drain_ends_ms(&self) -> u64 {
        self.drain.map_or(FOLLOWS, |(_, ends_ms)| ends_ms)
    }

    /// When its last address lapses.
    fn lapses_ms(&self) -> u64 {
        let address = |kind| self.records.get(&kind).copied().unwrap_or(0);
        address(Kind::V4).max(address(Kind::V6))
    }

    fn without_lapsed(mut self, now_ms: u64) -> Self {
        self.records.retain(|_, lapses_ms| *lapses_ms > now_ms);
        self
    }
}

/// What was said is refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused;

pub struct Model {
    pub now_ms: u64,
    pub wall_ms: u64,
    /// The last tick.
    pub tick_ms: u64,
    pub hold: Hold,
    /// Until when the last tick of a hold was good; answers have told so.
    held_ms: u64,
    /// Who is on the roll: whoever is over leaves it with a tick, or when a message is about it.
    members: BTreeMap<u8, Member>,
    /// Drains by an operator, and when they end.
    drains: BTreeMap<u8, u64>,
    /// How often each thing has happened by itself.
    pub facts: BTreeMap<&'static str, usize>,
}

impl Model {
    pub fn new(wall_ms: u64) -> Self {
        Model {
            now_ms: 0,
            wall_ms,
            tick_ms: 0,
            hold: Hold::None,
            held_ms: 0,
            members: BTreeMap::new(),
            drains: BTreeMap::new(),
            facts: BTreeMap::new(),
        }
    }

    /// When a member's lease ends, a hold included.
    fn lease_ends_ms(&self, member: &Member) -> u64 {
        member.ends_ms.max(self.held_until_ms())
    }

    /// Until when leases that are over go on; in the past if they are not held.
    pub fn held_until_ms(&self) -> u64 {
        self.held_ms
    }

    /// When a member ends.
    fn ends_ms(&self, member: &Member) -> u64 {
        self.lease_ends_ms(member).min(member.lapses_ms()).min(member.drain_ends_ms())
    }

    /// What was over first of a member that is.
    fn why_over(&self, member: &Member) -> Cause {
        let is_drained = member.drain_ends_ms() <= self.lease_ends_ms(member).min(member.lapses_ms());
        if is_drained { Cause::Drained } else { Cause::Expired }
    }

    /// A member that is there.
    fn standing(&self, m: u8) -> Option<&Member> {
        self.members.get(&m).filter(|member| self.ends_ms(member) > self.now_ms)
    }

    /// Who is there.
    pub fn present(&self) -> Vec<u8> {
        self.members.keys().copied().filter(|&m| self.standing(m).is_some()).collect()
    }

    /// What clients see of whoever is there, and whom an operator drains.
    pub fn shown(&self) -> (Vec<(u8, Shown)>, BTreeSet<u8>) {
        let present = self.present().into_iter();
        let now_ms = self.now_ms;
        let shown = present.map(|m| (m, self.members[&m].clone().without_lapsed(now_ms).shown()));
        (shown.collect(), self.drains.keys().copied().collect())
    }

    /// When a member's record ends, if it is there.
    pub fn own(&self, m: u8, kind: Kind) -> Option<u64> {
        let member = self.standing(m)?;
        let ends_ms = (*member.records.get(&kind)?).min(self.ends_ms(member));
        Some(ends_ms).filter(|ends_ms| *ends_ms > self.now_ms)
    }

    /// The same of a member that gets new clients: it does not drain.
    pub fn in_service(&self, m: u8, kind: Kind) -> Option<u64> {
        let drains = self.drains.contains_key(&m) || self.members.get(&m)?.drain.is_some();
        self.own(m, kind).filter(|_| !drains)
    }

    /// Who says that it drains, and what; and whom an operator drains.
    pub fn draining(&self) -> (Vec<u8>, Vec<u8>) {
        let own = self.members.iter().filter(|(_, member)| member.drain.is_some());
        (own.map(|(m, _)| *m).collect(), self.drains.keys().copied().collect())
    }

    /// The drain that a member says of itself, seconds.
    pub fn own_drain_s(&self, m: u8) -> Option<u32> {
        self.standing(m)?.drain.map(|(seconds, _)| seconds)
    }

    pub fn is_held(&self) -> bool {
        matches!(self.hold, Hold::Since(..))
    }

    pub fn advance(&mut self, ms: u64) {
        self.now_ms += ms;
        self.wall_ms += ms;
    }

    /// The server looks round: it holds what is to be held, and whoever is over goes.
    pub fn tick(&mut self) {
        let now_ms = self.now_ms;
        self.tick_ms = now_ms;
        let silent = self.members.values().filter(|member| member.is_silent(now_ms));
        let silent: Vec<u64> = silent.map(Member::length_ms).collect();
        self.hold = self.hold.tick(self.members.len(), &silent, now_ms);
        if self.is_held() {
            self.held_ms = now_ms + AHEAD_MS;
        }
        let over = |member: &Member| self.ends_ms(member) <= now_ms;
        let gone: Vec<u8> = self.members.keys().copied().filter(|m| over(&self.members[m])).collect();
        for m in gone {
            let member = self.members.remove(&m).unwrap();
            self.count(self.why_over(&member));
        }
        for member in self.members.values_mut() {
            *member = member.clone().without_lapsed(now_ms);
        }
        let before = self.drains.len();
        self.drains.retain(|_, ends_ms| *ends_ms > now_ms);
        (self.drains.len()..before).for_each(|_| self.count(Cause::DrainOver));
    }

    fn count(&mut self, cause: Cause) {
        *self.facts.entry(cause.as_str()).or_default() += 1;
    }

    /// What a message about a member begins with: who is over is gone.
    fn draft(&mut self, m: u8) -> Option<Member> {
        let now_ms = self.now_ms;
        self.standing(m).cloned().map(|member| member.without_lapsed(now_ms))
    }

    /// Puts a member, or nobody, in the place of what it was. Whoever was over is counted, also by a message that has nothing else
    /// to do: its NOERROR says that nobody is there.
    fn put(&mut self, m: u8, member: Option<Member>) {
        if let Some(before) = self.members.get(&m).filter(|before| self.ends_ms(before) <= self.now_ms) {
            self.count(self.why_over(before));
        }
        match member {
            Some(member) => _ = self.members.insert(m, member),
            None => _ = self.members.remove(&m),
        }
    }

    /// A heartbeat, a join, a change.
    pub fn beat(&mut self, beat: &Beat) -> Result<Option<Cause>, Refused> {
        let now_ms = self.now_ms;
        let lease_ms = beat.lease_s.map_or(DEFAULT_LEASE_MS, |seconds| u64::from(seconds) * 1000);
        let before = self.draft(beat.m);
        let old_end_ms = before.as_ref().map_or(0, |member| self.lease_ends_ms(member));
        let mut member = before.clone().unwrap_or(Member {
            ends_ms: 0,
            begins_ms: now_ms,
            lease_ms,
            records: BTreeMap::new(),
            site: None,
            drain: None,
            graced_ms: None,
        });
        for kind in &beat.named {
            member.records.entry(*kind).or_insert(FOLLOWS);
        }
        member.site = beat.site.or(member.site);
        // The same again is a heartbeat; another value counts from now on.
        let said = |seconds: u32| (seconds, now_ms + u64::from(seconds) * 1000);
        let repeats = |seconds| member.drain.filter(|(said_s, _)| *said_s == seconds);
        member.drain = beat.drain_s.map(|seconds| repeats(seconds).unwrap_or(said(seconds))).or(member.drain);
        let is_nobody = member.lapses_ms() == 0;
        let leaves = is_nobody || lease_ms == 0 || member.drain_ends_ms() <= now_ms;
        match (&before, leaves) {
            (None, true) if lease_ms > 0 && is_nobody => Err(Refused),
            (None, true) => {
                self.put(beat.m, None);
                Ok(None)
            }
            (None, false) if member.drain.is_some() => Err(Refused),
            (Some(_), true) => {
                self.put(beat.m, None);
                Ok(Some(Cause::Deregistered))
            }
            (_, false) => {
                // What is named lives for the lease from now on, all else keeps its end; attributes alone renew all.
                let end_ms = now_ms + lease_ms;
                for (kind, lapses_ms) in &mut member.records {
                    let is_renewed = beat.named.is_empty() || beat.named.contains(kind);
                    *lapses_ms = if is_renewed { end_ms } else { (*lapses_ms).min(old_end_ms) };
                }
                let ends_ms = member.records.values().copied().max().unwrap();
                member.move_end(ends_ms, now_ms);
                let last = member.records.values_mut().filter(|lapses_ms| **lapses_ms == ends_ms);
                last.for_each(|lapses_ms| *lapses_ms = FOLLOWS);
                (member.lease_ms, member.graced_ms) = (lease_ms, None);
                let cause = before.map_or(Cause::Joined, |before| Self::cause(&before, &member));
                self.put(beat.m, Some(member));
                Ok(Some(cause))
            }
        }
    }

    fn cause(before: &Member, after: &Member) -> Cause {
        match (before.drain, after.drain) {
            (None, Some(_)) => Cause::Draining,
            (Some(_), None) => Cause::Undrained,
            _ if before.registers() != after.registers() => Cause::Changed,
            _ => Cause::Renewed,
        }
    }

    /// A deletion, which renews nothing. Without an address nobody is left.
    pub fn delete(&mut self, m: u8, delete: impl FnOnce(&mut Member)) -> Option<Cause> {
        let Some(before) = self.draft(m) else {
            self.put(m, None);
            return None;
        };
        let mut member = before.clone();
        delete(&mut member);
        // Of a member that is held, what the hold leaves becomes its lease.
        let had_lapsed = self.members[&m].records.len() > before.records.len();
        if member == before && !had_lapsed {
            return None;
        }
        member.move_end(self.lease_ends_ms(&before), self.now_ms);
        let cause = Self::cause(&before, &member);
        let is_nobody = member.lapses_ms() == 0;
        self.put(m, Some(member).filter(|_| !is_nobody));
        match cause {
            _ if is_nobody => Some(Cause::Deregistered),
            Cause::Renewed => None,
            cause => Some(cause),
        }
    }

    pub fn delete_record(&mut self, m: u8, kind: Kind) -> Option<Cause> {
        self.delete(m, |member| _ = member.records.remove(&kind))
    }

    pub fn leave(&mut self, m: u8) -> Option<Cause> {
        self.delete(m, |member| member.records.clear())
    }

    pub fn take_back(&mut self, m: u8) -> Option<Cause> {
        self.delete(m, |member| member.drain = None)
    }

    /// An operator's word, apart from the member whatever becomes of that. The same again says nothing new, unless it counts
    /// from another moment.
    pub fn drain(&mut self, m: u8, for_s: Option<u32>) -> Option<Cause> {
        let ends_ms = for_s.map_or(FOLLOWS, |seconds| self.now_ms + u64::from(seconds) * 1000);
        (self.drains.insert(m, ends_ms) != Some(ends_ms)).then_some(Cause::Draining)
    }

    pub fn undrain(&mut self, m: u8) -> Option<Cause> {
        self.drains.remove(&m).map(|_| Cause::Undrained)
    }

    /// The server starts again. Whoever was on the roll comes back with one grace of its lease, 60 s at most, counted from
    /// the first start after it was last heard, which the wall clock alone can tell; what was about to lapse shares it.
    pub fn restart(&mut self) {
        let (now_ms, wall_ms) = (self.now_ms, self.wall_ms);
        (self.hold, self.held_ms, self.tick_ms) = (Hold::None, 0, now_ms);
        self.drains.retain(|_, ends_ms| *ends_ms > now_ms);
        self.members.retain(|_, member| {
            // A clock that was set back gives no more than a whole grace.
            let from_ms = member.graced_ms.map_or(wall_ms, |from_ms| from_ms.min(wall_ms));
            member.graced_ms = Some(from_ms);
            let left_ms = member.lease_ms.min(GRACE_MAX_MS).saturating_sub(wall_ms - from_ms);
            (member.begins_ms, member.ends_ms) = (now_ms, now_ms + left_ms);
            member.records.values_mut().for_each(|lapses_ms| *lapses_ms = FOLLOWS);
            left_ms > 0 && member.drain_ends_ms() > now_ms
        });
    }

    /// How many are on the roll.
    pub fn len(&self) -> usize {
        self.members.len()
    }
}
