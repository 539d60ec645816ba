//! The rules of a message, told apart: what each of its records is tried on, and what becomes of each member and each name.
//! [`Drafts::finish`] stops at the first refusal; here all are wanted, each by itself.

use super::Drafts;
use crate::membership::{LEASE_FOREVER_MS, MemberName, PoolHandle};
use crate::security::Grant;
use crate::update::Refusal;
use crate::update::draft::Draft;
use crate::update::left::Left;
use crate::update::message::Command;
use crate::update::names::Target;
use crate::update::ordinary::NameDraft;

/// What a record was tried on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::update) enum Touched {
    /// A member.
    Member(PoolHandle, MemberName),
    /// A name's ordinary records.
    Name(Box<[u8]>),
}

/// What a member or a name comes to, once it is allowed.
pub(in crate::update) struct Settled<'a> {
    pub grant: &'a Grant,
    pub left: Left,
    /// Why it is refused unless the member is there by then. Who is there, nobody knows here.
    pub unless_there: Option<Refusal>,
}

/// What all drafts of a message come to, in the order in which they are judged.
pub(in crate::update) struct Apart<'a> {
    /// Whether the pools may offer so many services.
    pub services: Result<(), Refusal>,
    pub places: Vec<(Touched, Result<Settled<'a>, Refusal>)>,
}

impl<'a> Drafts<'a> {
    /// Tries one record, and says what the name is to membership and what the record was tried on.
    pub fn try_apart(&mut self, command: &Command) -> (Target, Vec<Touched>, Result<(), Refusal>) {
        self.touched = Some(Vec::new());
        let target = self.target(command);
        let applied = self.apply(command);
        (target, self.touched.take().unwrap_or_default(), applied)
    }

    /// Counts pools as known that an earlier message has made.
    pub fn know(&mut self, pools: impl IntoIterator<Item = PoolHandle>) {
        self.making.extend(pools);
    }

    /// The grant for a record that was tried on nothing, because nothing is there: the pool's, where it takes one.
    pub fn grant_for_nothing(&self, target: &Target) -> Result<Option<&'a Grant>, Refusal> {
        match target {
            Target::Pool(pool) | Target::Service(pool, _) => self.grant(&self.pool_text(pool), &[]).map(Some),
            Target::Drain(pool, name) => self.operator(pool, name).map(Some),
            Target::Member(..) | Target::InPool(_) | Target::Elsewhere => Ok(None),
        }
    }

    /// Judges what stands at the end, as [`Drafts::finish`] does.
    pub fn finish_apart(mut self) -> Apart<'a> {
        let services = self.check_services();
        let (names, drafts) = (std::mem::take(&mut self.names), std::mem::take(&mut self.drafts));
        let mut places = Vec::new();
        for (name, draft) in names {
            let settled = self.settle_name(&name, draft);
            places.push((Touched::Name(name), settled));
        }
        for (pool, drafts) in drafts {
            for (name, draft) in drafts {
                let settled = self.settle_member(&pool, &name, draft);
                places.push((Touched::Member(pool.clone(), name), settled));
            }
        }
        Apart { services, places }
    }

    fn settle_name(&self, name: &[u8], draft: NameDraft) -> Result<Settled<'a>, Refusal> {
        let grant = self.may_draft(name, &draft)?;
        let (_, left) = draft.finish(&self.granted(grant));
        Ok(Settled { grant, left, unless_there: None })
    }

    fn settle_member(
        &self,
        pool: &PoolHandle,
        name: &MemberName,
        mut draft: Draft,
    ) -> Result<Settled<'a>, Refusal> {
        draft.forget_what_fell();
        let text = self.pool_text(pool);
        let grant = self.grant_for(&text, name, &draft)?;
        let now_ms = self.terms.now_ms;
        match self.judge(pool, &text, name.clone(), draft, &mut Vec::new()) {
            Ok(verdict) => {
                let keep = verdict.and_then(|verdict| verdict.keep);
                let left = keep
                    .map_or(Left::Nothing, |(member, ends_ms)| Left::until(member.ends_ms(ends_ms), now_ms));
                Ok(Settled { grant, left, unless_there: None })
            }
            Err(refusal @ (Refusal::NotRegistered { .. } | Refusal::NoAddress { .. })) => {
                let left = match self.lease_ms(pool, grant) {
                    LEASE_FOREVER_MS => Left::Permanent,
                    lease_ms => Left::Ms(lease_ms.into()),
                };
                Ok(Settled { grant, left, unless_there: Some(refusal) })
            }
            Err(refusal) => Err(refusal),
        }
    }
}
