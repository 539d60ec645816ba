//! An UPDATE, in the order of RFC 2136 section 3.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Clock, Handled, Registrar, Request};
use crate::change::{Change, Subject};
use crate::membership::{Leaving, Registered, Signed, lease_end_ms};
use crate::security::{Sender, Sent};
use crate::update::draft::Verdict;
use crate::update::message::Outline;
use crate::update::plan::{Drafts, Gone, Plan, Terms};
use crate::update::reply::ReplyPlan;
use crate::update::{Ignored, Refusal, prerequisites};
use crate::wire::Class;

impl Registrar {
    /// RFC 2136 section 3, in its order; but that who may do nothing at all here is told so first, and learns nothing of
    /// what is in the zone (section 3.3 leaves the place open).
    pub(super) fn update(
        &mut self,
        request: &Request<'_>,
        clock: Clock,
        sent: &Sent,
        plan: &mut ReplyPlan,
        handled: &mut Handled,
    ) -> Result<(), Refusal> {
        // All of it as of when it was received.
        let clock = Clock { now_ms: request.received_ms, ..clock };
        let message = request.message;
        let signed = Registrar::signed(plan, clock)?;
        let outline = Outline::read(message, &plan.header)?;
        if let Some(version) = outline.edns.as_ref().map(|edns| edns.version).filter(|&version| version != 0)
        {
            return Err(Refusal::EdnsVersion { version });
        }
        let found = self.zones.at(&outline.zone).filter(|_| outline.class == Class::IN);
        let Some((at, (publisher, grants))) = found.and_then(|at| Some((at, self.zones.get(at)?))) else {
            return Err(Refusal::NotAuth { zone: outline.zone, class: outline.class });
        };
        grants.admit(sent)?;
        if let Some(edns) = &outline.edns {
            edns.cookie(message)?;
        }
        let wish = outline.lease(message)?;
        let is_in_zone = |name: &[u8]| self.zone_of(name) == Some(at);
        let prerequisites = outline.prerequisites(message, &is_in_zone);
        let commands = outline.commands(message, &is_in_zone);
        let apex = publisher.zone().apex();
        if self.pending.has_any_of(&prerequisites, commands.as_deref().unwrap_or_default(), apex) {
            handled.waits = true;
            return Ok(());
        }
        let contents = publisher.zone().contents(self.roll.leases(), request.received_ms);
        prerequisites::judge(prerequisites, &contents, self.published.hasher())?;
        let commands = commands?;

        let terms = Terms { now_ms: request.received_ms, wish, run: self.run };
        let mut drafts = Drafts::new(publisher, &self.roll, grants, sent, terms, &commands);
        let applied = commands.iter().try_for_each(|command| drafts.apply(command));
        if self.pending.touches(&drafts) || (applied.is_err() && self.pending.may_allow(&drafts)) {
            handled.waits = true;
            return Ok(());
        }
        applied?;
        let may_allow = self.pending.may_allow(&drafts);
        let searches = drafts.searched().next().is_some();
        let mut change = match drafts.finish() {
            Err(_) if may_allow => {
                handled.waits = true;
                return Ok(());
            }
            finished => finished?,
        };
        self.check_replay(&mut change, sent, signed, plan, clock)?;
        if let Err(refusal) = self.check_limits(at, &change) {
            // What counts may be about to be taken back.
            handled.waits = !self.pending.is_empty();
            return if handled.waits { Ok(()) } else { Err(refusal) };
        }
        if let Some(asked) = wish {
            plan.grant(asked, &change);
        }
        handled.heartbeat = if searches { None } else { self.heartbeat_of(request, &change) };
        let now_ms = request.received_ms;
        self.forget_lost(&change.gone, sent, signed, clock);
        self.raise_unchanged(&change.unchanged, sent, signed, clock);
        let raised = self.raised(&change, sent, signed, now_ms);
        handled.unchanged = self.settled(std::mem::take(&mut change.unchanged), now_ms, &mut handled.changes);
        handled.changes.extend(self.carry_out(at, change, signed, now_ms, &mut handled.ignored)?);
        handled.changes.extend(raised);
        if let Sender::Key(key) = &sent.sender {
            for change in &mut handled.changes {
                if let Change::Name(change) = change {
                    change.key = Some(key.name().clone());
                }
            }
        }
        handled.changes.iter().for_each(|change| self.pending.insert(change));
        Ok(())
    }

    /// Who is taken away after it was lost has left: a pool that answers with who was good last has it no more, from the next
    /// [`Registrar::publish`] on. A replay takes nobody away.
    fn forget_lost(&mut self, gone: &[Gone], sent: &Sent, signed: Option<Signed>, clock: Clock) {
        for gone in gone {
            let is_replay = self.is_replay(gone, sent, signed, clock);
            let publisher = self.zone_of(&gone.pool).and_then(|at| self.zones.get_mut(at));
            let Some((publisher, _)) = publisher.filter(|_| !is_replay) else { continue };
            if publisher.forget_lost(&gone.pool, &gone.name, gone.owner.as_deref()) {
                self.undone.touch(&gone.pool, &gone.name);
            }
        }
    }

    /// Subjects at which a message changes nothing. A member whose end nobody has dealt with ends here: the message's NOERROR says
    /// that it is gone, so the store is to learn it before that.
    fn settled(
        &mut self,
        unchanged: Vec<(Subject, Arc<[u8]>)>,
        now_ms: u64,
        changes: &mut Vec<Change>,
    ) -> Vec<Subject> {
        let subjects: Vec<_> = unchanged.into_iter().map(|(subject, _)| subject).collect();
        for subject in &subjects {
            if let Subject::Member(pool, name) = subject {
                changes.extend(self.roll.settle(pool, name, now_ms).map(Change::Member));
            }
        }
        subjects
    }

    /// Whether the server has room for everybody who joins, for their pools, and for ordinary records.
    pub(super) fn check_limits(&self, at: usize, plan: &Plan) -> Result<(), Refusal> {
        let full = |full: String| Refusal::Limit(full);
        let joins = plan.verdicts.iter().filter(|verdict| verdict.keep.is_some());
        let joins = joins.filter(|verdict| self.roll.find(&verdict.pool, &verdict.name).is_none());
        let (mut joining, mut pools) = (0, BTreeSet::new());
        for verdict in joins {
            joining += 1;
            let known =
                self.zones.get(at).is_some_and(|(publisher, _)| publisher.pool(&verdict.pool).is_some());
            if !known {
                pools.insert(&verdict.pool);
            }
        }
        if joining > 0 {
            self.roll.room_for(joining).map_err(|error| full(error.to_string()))?;
        }
        if !pools.is_empty() && self.zones.pools() + pools.len() > self.pools_max {
            let most = self.pools_max;
            let text = "pools; raise `limits.pools` in rollcall.toml";
            return Err(full(format!("the server holds its limit of {most} {text}")));
        }
        let growth: isize = plan.names.iter().map(|name| name.change.growth()).sum();
        let records = self.records.saturating_add_signed(self.pending.growth()).saturating_add_signed(growth);
        if growth > 0 && records > self.records_max {
            let most = self.records_max;
            let text = "ordinary records beside the zone files; raise `limits.records` in rollcall.toml";
            return Err(full(format!("the server holds its limit of {most} {text}")));
        }
        Ok(())
    }

    /// Applies a plan that is allowed in all its parts and has room.
    pub(super) fn carry_out(
        &mut self,
        at: usize,
        plan: Plan,
        signed: Option<Signed>,
        now_ms: u64,
        ignored: &mut Vec<Ignored>,
    ) -> Result<Vec<Change>, Refusal> {
        ignored.extend(plan.ignored);
        let mut changes = Vec::new();
        let crowd = self.crowd_at(at);
        for Verdict { pool, name, keep, key_lease_ms, is_by_admin, said, renews, .. } in plan.verdicts {
            let signed = signed.filter(|_| !is_by_admin);
            changes.extend(self.roll.settle(&pool, &name, now_ms).map(Change::Member));
            let held_until_ms =
                || self.roll.find(&pool, &name).map_or(0, |entry| entry.name_ends_ms(self.roll.leases()));
            let name_ends_ms =
                key_lease_ms.map_or_else(held_until_ms, |key_lease_ms| lease_end_ms(now_ms, key_lease_ms));
            match keep {
                None => {
                    let leaving = Leaving { name_ends_ms, signed };
                    changes.extend(self.roll.remove(&pool, &name, leaving, now_ms).map(Change::Member));
                }
                Some((member, ends_ms)) => {
                    if let Some((publisher, _)) = self.zones.get_mut(at) {
                        publisher.claim(&pool, &mut self.rotors, now_ms);
                    }
                    let registered = Registered {
                        member,
                        ends_ms,
                        name_ends_ms,
                        signed,
                        said,
                        renews,
                        crowd,
                        restored: false,
                    };
                    let put = self.roll.put(&pool, &name, registered, now_ms);
                    changes.push(Change::Member(put.map_err(|full| Refusal::Limit(full.to_string()))?));
                }
            }
        }
        changes.extend(plan.names.into_iter().map(|name| Change::Name(name.change)));
        changes.extend(plan.drains.into_iter().map(|drain| Change::Drain(drain.change)));
        Ok(changes)
    }
}
