//! What has changed and is not published yet.
//!
//! A change may still be taken back, if the store cannot hold it. So whoever depends on one waits until it is published: each
//! member and each name changes once, then is published, then may change again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Refusal;
use super::message::{Command, Prerequisite};
use super::plan::Drafts;
use crate::change::Change;
use crate::membership::{MemberName, PoolHandle};
use crate::zone::parent;

/// Changes since the last publication.
#[derive(Default)]
pub(super) struct Pending {
    members: BTreeMap<PoolHandle, BTreeSet<MemberName>>,
    /// Names with changed ordinary records, and every name above them: a pool that is about to be made asks for what lies
    /// below it.
    names: BTreeSet<Arc<[u8]>>,
    growth: isize,
}

impl Pending {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.names.is_empty()
    }

    /// By how many ordinary records the server grows with them.
    pub fn growth(&self) -> isize {
        self.growth
    }

    /// Notes a change.
    pub fn insert(&mut self, change: &Change) {
        match change {
            Change::Member(change) => {
                self.members.entry(Arc::clone(&change.pool)).or_default().insert(change.name.clone());
            }
            Change::Name(change) => {
                self.growth += change.growth();
                let mut name: &[u8] = &change.name;
                while !name.is_empty() && self.names.insert(name.into()) {
                    name = parent(name);
                }
            }
            Change::Drain(change) => {
                self.members.entry(Arc::clone(&change.pool)).or_default().insert(change.name.clone());
            }
            Change::Floor(_) => {}
        }
    }

    /// Whether what a message asks about, or the ordinary records that it changes, depend on any. Its members are looked at
    /// when they are drafted, see [`Pending::touches`].
    pub fn has_any_of(
        &self,
        prerequisites: &[Result<Prerequisite, Refusal>],
        commands: &[Command],
        apex: &[u8],
    ) -> bool {
        if self.is_empty() {
            return false;
        }
        // At the apex the serial is asked about, which any change moves.
        let is_asked =
            |name: &[u8]| name == apex || self.names.contains(name) || self.has_pool_at_or_above(name);
        prerequisites.iter().flatten().map(Prerequisite::name).any(is_asked)
            || commands.iter().any(|command| self.names.contains(command.name()))
    }

    /// Whether any member that a message drafts, any pool that it searches or makes, or any pool that its ordinary records
    /// lie in, has one.
    pub fn touches(&self, drafts: &Drafts<'_>) -> bool {
        !self.is_empty()
            && (drafts
                .members()
                .any(|(pool, name)| self.members.get(pool).is_some_and(|names| names.contains(name)))
                || drafts.searched().any(|pool| self.members.contains_key(pool))
                || drafts.making().any(|pool| self.names.contains(pool.as_ref()))
                || drafts.names().any(|name| self.has_pool_at_or_above(name)))
    }

    /// Whether a message that is about to be refused names a pool of which that may not be the last word.
    pub fn may_allow(&self, drafts: &Drafts<'_>) -> bool {
        let is_pending = |pool: &[u8]| self.names.contains(pool) || self.members.contains_key(pool);
        !self.is_empty() && drafts.unpublished().any(is_pending)
    }

    fn has_pool_at_or_above(&self, mut name: &[u8]) -> bool {
        while !name.is_empty() {
            if self.members.contains_key(name) {
                return true;
            }
            name = parent(name);
        }
        false
    }
}
