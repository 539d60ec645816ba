//! Replays: signed messages that were accepted before, or are older than one that was (RFC 8945 section 5.2.3).

use std::sync::Arc;

use super::{Clock, Registrar};
use crate::change::{Change, NameFloor, Subject};
use crate::membership::{AHEAD_S_MAX, Age, Signed};
use crate::security::{Sender, Sent};
use crate::update::Refusal;
use crate::update::draft::Verdict;
use crate::update::left::Left;
use crate::update::names::own_name;
use crate::update::plan::{Gone, NamePlan, Plan};
use crate::update::reply::ReplyPlan;
use crate::wire::Name;
use crate::wire::tsig::TsigFailure;

/// How old a message may be to be taken in the second of a floor from before a restart, seconds by our clock.
const FRESH_S: u64 = 1;

/// A floor, and what it is of.
type Floor = (Subject, Option<Signed>);

impl Registrar {
    /// When a message was signed, if it was. One that is further ahead of our clock than a floor may be is refused.
    pub(super) fn signed(reply: &ReplyPlan, clock: Clock) -> Result<Option<Signed>, Refusal> {
        let (Some(signed), Some(signer)) = (reply.signed(), reply.signer()) else { return Ok(None) };
        if signed.at_s > clock.wall_s.saturating_add(AHEAD_S_MAX) {
            return Err(TsigFailure::too_far_ahead(signer.clone(), clock.wall_s).into());
        }
        Ok(Some(signed))
    }

    /// A message that was signed before the newest one that was accepted for a member, or by its key for a name, is a replay
    /// (RFC 8945 section 5.2.3). The same message again is a retry: it is answered, and does nothing, or whoever recorded it
    /// could keep a member that has fallen silent for as long as its signature is believed. Nor does it bring one back.
    pub(super) fn check_replay(
        &mut self,
        plan: &mut Plan,
        sent: &Sent,
        signed: Option<Signed>,
        reply: &ReplyPlan,
        clock: Clock,
    ) -> Result<(), Refusal> {
        let (Some(signed), Sender::Key(key), Some(signer)) = (signed, &sent.sender, reply.signer()) else {
            return Ok(());
        };
        let (key, now_ms) = (key.name(), clock.now_ms);
        let replayed = |floors: &[Floor]| {
            let newest_s = floors.iter().filter_map(|(_, floor)| Some(floor.as_ref()?.at_s)).max();
            Err(TsigFailure::replayed(signer.clone(), newest_s.unwrap_or(0), clock.wall_s).into())
        };
        let mut met = Vec::new();
        let mut verdicts = Vec::with_capacity(plan.verdicts.len());
        for verdict in std::mem::take(&mut plan.verdicts) {
            let floors = self.floors_of(&verdict, key, now_ms);
            let left = self.left_of(&verdict, now_ms);
            match (self.age(signed, &floors, clock.wall_s), left) {
                (Age::Again, Some(left)) => plan.left = plan.left.min(left),
                (Age::Again, None) | (Age::Older, _) => return replayed(&floors),
                (Age::New | Age::SameSecond, _) => {
                    verdicts.push(verdict);
                    met.extend(floors);
                }
            }
        }
        plan.verdicts = verdicts;
        let mut names = Vec::with_capacity(plan.names.len());
        for change in std::mem::take(&mut plan.names) {
            let floors = [self.floor_of_name(key, &change.change.name, now_ms)];
            match (self.age(signed, &floors, clock.wall_s), change.standing) {
                (Age::Again, Left::Ms(0)) | (Age::Older, _) => return replayed(&floors),
                (Age::Again, left) => plan.left = plan.left.min(left),
                (Age::New | Age::SameSecond, _) => {
                    names.push(change);
                    met.extend(floors);
                }
            }
        }
        plan.names = names;
        let mut drains = Vec::with_capacity(plan.drains.len());
        for drain in std::mem::take(&mut plan.drains) {
            let floors = [self.floor_of_name(key, &drain.name, now_ms)];
            match self.age(signed, &floors, clock.wall_s) {
                Age::Older => return replayed(&floors),
                Age::Again => {}
                Age::New | Age::SameSecond => {
                    drains.push(drain);
                    met.extend(floors);
                }
            }
        }
        plan.drains = drains;
        self.note_same_second(signed, &met, now_ms);
        Ok(())
    }

    /// The floors that a message about a member is held against: the member's, which its owner's messages raise, and the
    /// key's for its name. An administrator has a clock of its own, which must not lock the member out.
    fn floors_of(&self, verdict: &Verdict, key: &Name, now_ms: u64) -> Vec<Floor> {
        let Verdict { pool, name, is_by_admin, .. } = verdict;
        let own = (!is_by_admin)
            .then(|| (Subject::Member(Arc::clone(pool), name.clone()), self.roll.floor(pool, name, now_ms)));
        let by_name =
            (!self.floors.is_empty()).then(|| self.floor_of_name(key, &own_name(pool, name), now_ms));
        own.into_iter().chain(by_name).collect()
    }

    /// Whether a message about a member that is gone was accepted before, or is older than one that was.
    pub(super) fn is_replay(&self, gone: &Gone, sent: &Sent, signed: Option<Signed>, clock: Clock) -> bool {
        let (Sender::Key(key), Some(signed)) = (&sent.sender, signed) else { return false };
        let Gone { pool, name, owner } = gone;
        let of_member = (
            Subject::Member(Arc::clone(pool), name.clone()),
            self.roll.floor(pool, name, clock.now_ms).filter(|_| owner.is_some()),
        );
        let floors = [of_member, self.floor_of_name(key.name(), &own_name(pool, name), clock.now_ms)];
        matches!(self.age(signed, &floors, clock.wall_s), Age::Again | Age::Older)
    }

    fn floor_of_name(&self, key: &Name, name: &Arc<[u8]>, now_ms: u64) -> Floor {
        (Subject::Floor(key.clone(), Arc::clone(name)), self.floors.get(key, name, now_ms))
    }

    /// For how long a member stays if nothing more is heard of it; `None` if it is not there.
    fn left_of(&self, verdict: &Verdict, now_ms: u64) -> Option<Left> {
        let entry = self.roll.find(&verdict.pool, &verdict.name)?;
        let ends_ms = entry.member.ends_ms(entry.ends_ms(self.roll.leases()));
        Some(Left::until(ends_ms, now_ms)).filter(|left| *left != Left::Ms(0))
    }

    /// What a message is to all of its floors: older if it is to one of them, else the same again if to one. Of a second from
    /// before a restart, whoever recorded another message has had the time to send it again.
    fn age(&self, signed: Signed, floors: &[Floor], wall_s: u64) -> Age {
        let is_fresh = signed.at_s.saturating_add(FRESH_S) >= wall_s;
        let ages = floors.iter().map(|(subject, floor)| match signed.age(*floor) {
            Age::SameSecond if self.seconds.has(subject, signed) => Age::Again,
            Age::SameSecond if floor.is_some_and(|floor| floor.is_sealed) && !is_fresh => Age::Older,
            age => age,
        });
        ages.max_by_key(|age| match age {
            Age::New => 0,
            Age::SameSecond => 1,
            Age::Again => 2,
            Age::Older => 3,
        })
        .unwrap_or(Age::New)
    }

    /// Remembers the messages whose places as floors this one takes, though they are of its own second.
    fn note_same_second(&mut self, signed: Signed, floors: &[Floor], now_ms: u64) {
        for (subject, floor) in floors {
            if let Some(floor) = floor.filter(|floor| signed.age(Some(*floor)) == Age::SameSecond) {
                self.seconds.note(subject, floor, now_ms);
            }
        }
    }

    /// A message that comes to nothing at a name is its key's newest there all the same: one that was held back on the way
    /// must not come after it.
    pub(super) fn raise_unchanged(
        &mut self,
        unchanged: &[(Subject, Arc<[u8]>)],
        sent: &Sent,
        signed: Option<Signed>,
        clock: Clock,
    ) {
        let now_ms = clock.now_ms;
        let (Sender::Key(key), Some(signed)) = (&sent.sender, signed) else { return };
        for (_, name) in unchanged {
            let floors = [self.floor_of_name(key.name(), name, now_ms)];
            if matches!(self.age(signed, &floors, clock.wall_s), Age::New | Age::SameSecond) {
                self.note_same_second(signed, &floors, now_ms);
                self.floors.raise(key.name(), name, signed, now_ms, false);
                self.forget_heartbeat_of(name);
            }
        }
    }

    /// What a plan raises of floors by key and name: those of the ordinary records that it changes, and of the members that
    /// an administrator changes, and drains.
    pub(super) fn raised(
        &self,
        plan: &Plan,
        sent: &Sent,
        signed: Option<Signed>,
        now_ms: u64,
    ) -> Vec<Change> {
        let (Sender::Key(key), Some(signed)) = (&sent.sender, signed) else { return Vec::new() };
        let of_members = plan.verdicts.iter().filter(|verdict| verdict.is_by_admin);
        let of_members = of_members.map(|verdict| (own_name(&verdict.pool, &verdict.name), true));
        let of_names = plan.names.iter().map(|NamePlan { change, .. }| {
            let is_durable = change.is_durable();
            (Arc::clone(&change.name), is_durable)
        });
        let of_drains = plan.drains.iter().map(|drain| (Arc::clone(&drain.name), true));
        let raised = of_members.chain(of_names).chain(of_drains).map(|(name, is_durable)| {
            let before = self.floors.get(key.name(), &name, now_ms);
            let (key, floor) = (key.name().clone(), Some(signed));
            Change::Floor(NameFloor { key, name, before, floor, is_durable })
        });
        raised.collect()
    }
}
