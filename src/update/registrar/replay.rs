//! Replays: signed messages that were accepted before, or are older than one that was (RFC 8945 section 5.2.3).

use std::sync::Arc;

use super::{Clock, Registrar};
use crate::membership::{Age, Signed};
use crate::security::{Sender, Sent};
use crate::update::Refusal;
use crate::update::draft::Verdict;
use crate::update::left::Left;
use crate::update::plan::Plan;
use crate::update::reply::ReplyPlan;
use crate::wire::tsig::TsigFailure;

impl Registrar {
    /// A message that was signed before the newest one that was accepted for a member, or by its key for another name, is a
    /// replay (RFC 8945 section 5.2.3). The same message again is a retry: it is answered, and does nothing, or whoever
    /// recorded it could keep a member that has fallen silent for as long as its signature is believed. Nor does it bring
    /// one back.
    pub(super) fn check_replay(
        &self,
        plan: &mut Plan,
        sent: &Sent,
        signed: Option<Signed>,
        reply: &ReplyPlan,
        clock: Clock,
    ) -> Result<(), Refusal> {
        let (Some(signed), Sender::Key(key), Some(signer)) = (signed, &sent.sender, reply.signer()) else {
            return Ok(());
        };
        let now_ms = clock.now_ms;
        let replayed = |floor: Option<Signed>| {
            let newest_s = floor.map_or(0, |floor| floor.at_s);
            Err(TsigFailure::replayed(signer.clone(), newest_s, clock.wall_s).into())
        };
        let mut verdicts = Vec::with_capacity(plan.verdicts.len());
        for verdict in std::mem::take(&mut plan.verdicts) {
            let Verdict { pool, name, .. } = &verdict;
            let floor = self.roll.floor(pool, name, now_ms);
            let left = self.roll.find(pool, name).map(|entry| {
                let ends_ms = entry.member.ends_ms(entry.ends_ms(self.roll.leases()));
                Left::until(ends_ms, now_ms)
            });
            match (signed.age(floor), left.filter(|left| *left != Left::Ms(0))) {
                (Age::New, _) => verdicts.push(verdict),
                (Age::Again, Some(left)) => plan.left = plan.left.min(left),
                (Age::Again, None) | (Age::Older, _) => return replayed(floor),
            }
        }
        plan.verdicts = verdicts;
        let mut names = Vec::with_capacity(plan.names.len());
        for change in std::mem::take(&mut plan.names) {
            let floor = self.floors.get(key.name(), &change.name, now_ms);
            match signed.age(floor) {
                Age::New => names.push(change),
                Age::Again => {}
                Age::Older => return replayed(floor),
            }
        }
        plan.names = names;
        Ok(())
    }

    /// A message that comes to nothing at a name is its key's newest there all the same: one that was held back on the way
    /// must not come after it.
    pub(super) fn raise_unchanged(
        &mut self,
        names: &[Arc<[u8]>],
        sent: &Sent,
        signed: Option<Signed>,
        now_ms: u64,
    ) {
        if let (Sender::Key(key), Some(signed)) = (&sent.sender, signed) {
            names.iter().for_each(|name| self.floors.raise(key.name(), name, signed, now_ms, false));
        }
    }
}
