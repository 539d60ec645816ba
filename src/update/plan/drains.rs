//! What operators say of members: whom they drain, and whom no more.

use std::sync::Arc;

use super::{Drafts, DrainPlan, Plan};
use crate::change::Subject;
use crate::membership::{Cause, DrainChange, MemberName, PoolHandle};
use crate::security::{Asked, Grant, Place};
use crate::update::Refusal;
use crate::update::drain::DrainWord;
use crate::update::names::drain_name;

impl<'a> Drafts<'a> {
    /// Drains a member. The message's last word counts.
    pub(super) fn drain(&mut self, pool: PoolHandle, name: MemberName, rdata: &[u8]) -> Result<(), Refusal> {
        self.drains.insert((pool, name), Some(DrainWord::read(rdata)?));
        Ok(())
    }

    /// Ends a drain, if there is one.
    pub(super) fn undrain(&mut self, pool: PoolHandle, name: MemberName) {
        self.drains.insert((pool, name), None);
    }

    /// The grant of an operator of a pool.
    pub(super) fn operator(&self, pool: &PoolHandle, name: &MemberName) -> Result<&'a Grant, Refusal> {
        let text = self.pool_text(pool);
        let asked = Asked { place: Place::Pool(&text), types: &[], addresses: &[], targets: &[] };
        self.grants.find(self.sent, &asked)?;
        let nobody = || Refusal::NotOperator { pool: pool.as_ref().into(), name: name.clone() };
        self.grants.find_admin(self.sent, &asked).ok_or_else(nobody)
    }

    /// Judges what operators say. Who is drained must be known: present, gone with its name still kept, or drained already.
    pub(super) fn finish_drains(&mut self, plan: &mut Plan) -> Result<(), Refusal> {
        let mut more = 0;
        for ((pool, name), word) in std::mem::take(&mut self.drains) {
            let grant = self.operator(&pool, &name)?;
            let before = self.roll.drain(&pool, &name).cloned();
            let is_known = before.is_some()
                || self.roll.find(&pool, &name).is_some()
                || self.roll.absence(&pool, &name, self.terms.now_ms).is_some()
                || self.drafts.get(&pool).is_some_and(|drafts| drafts.contains_key(&name));
            let said_at = drain_name(&pool, &name);
            if word.is_some() && !is_known {
                return Err(Refusal::NobodyToDrain { pool: pool.as_ref().into(), name });
            }
            if word.is_some() && before.is_none() {
                more += 1;
                self.roll.room_for_drains(more).map_err(|full| Refusal::Limit(full.to_string()))?;
            }
            let after = word.map(|word| word.drain(self.owner(grant), self.terms.now_ms));
            if before == after {
                plan.unchanged.push((Subject::Drain(pool, name), said_at));
                continue;
            }
            let cause = if after.is_some() { Cause::Draining } else { Cause::Undrained };
            let change = DrainChange { pool: Arc::clone(&pool), name, cause, before, after };
            plan.drains.push(DrainPlan { change, name: said_at });
        }
        Ok(())
    }
}
