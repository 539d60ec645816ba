//! What the store does not know yet, when to tell it, and what becomes of messages while it cannot be told.

use std::collections::HashMap;

use crate::change::{Change, Subject};

/// How long an expiry may wait for a commit that happens anyway, and a failed one at least for the next attempt.
const STORE_DELAY_MS: u64 = 1_000;
/// How many times as long as an attempt took, after it failed, there is none: the store is opened anew for each, which reads
/// the whole file, and messages wait meanwhile. A large store on a sick disk so has a tenth of the registrar's time at most.
const REST: u64 = 10;

/// What becomes of a message whose group could not be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It needs nothing of the disk: a heartbeat of what the store has right.
    Stands,
    /// A heartbeat that the store must learn of: leases go on, and who sent it is told to send it again.
    Kept,
    /// It changes something: it did not happen.
    Fallen,
}

/// The last change of each subject that the store has yet to learn.
#[derive(Default)]
pub(super) struct Unsaved {
    changes: HashMap<Subject, Held>,
    store_at_ms: u64,
    retry_at_ms: u64,
    /// Whether the last attempt failed.
    is_failing: bool,
}

/// Whether changes are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Yes,
    /// The store was not asked to.
    No,
    /// It failed, and nobody knows.
    Perhaps,
}

/// What is on its way to the store.
pub(super) struct Taken(Vec<(Subject, Held)>);

impl Taken {
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.0.iter().map(|(_, held)| &held.change)
    }
}

struct Held {
    change: Change,
    /// Whether a crash now would make untrue what a heartbeat's NOERROR says: the store may lack the subject, hold it
    /// otherwise, or believe that it was last heard in an earlier run. An end that the store does not know is no such thing.
    contradicts: bool,
}

impl Unsaved {
    /// Remembers those of `changes` that the store must hold. What it contradicts, it does until it knows better.
    pub fn leave(&mut self, changes: &[Change], contradicts: bool, now_ms: u64) {
        if self.changes.is_empty() {
            self.store_at_ms = self.retry_at_ms.max(now_ms + STORE_DELAY_MS);
        }
        for change in changes.iter().filter(|change| change.is_durable()) {
            let subject = change.subject();
            let contradicts = contradicts || self.contradicts(&subject);
            self.changes.insert(subject, Held { change: change.clone(), contradicts });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Takes out what goes with a commit: all that is about these subjects, and of the rest, whatever brings it up to `most`.
    pub fn take(&mut self, about: impl Iterator<Item = Subject>, most: usize) -> Taken {
        let mut taken = Vec::new();
        if !self.is_empty() {
            taken.extend(about.filter_map(|subject| self.changes.remove_entry(&subject)));
            let rest = most.saturating_sub(taken.len());
            taken.extend(self.changes.extract_if(|_, _| true).take(rest));
        }
        Taken(taken)
    }

    /// Has again what a commit that failed had taken. Nothing has been left since.
    pub fn give_back(&mut self, taken: Taken) {
        self.changes.extend(taken.0);
    }

    fn contradicts(&self, subject: &Subject) -> bool {
        self.changes.get(subject).is_some_and(|held| held.contradicts)
    }

    /// Whether nobody may be told of this change before the store is right about it.
    pub fn needs_commit(&self, change: &Change) -> bool {
        change.is_durable() || (!self.is_empty() && self.contradicts(&change.subject()))
    }

    /// What the store is to learn of a heartbeat that is no durable change, of a member that it is not right about: all that it
    /// has yet to learn, with the floor that this heartbeat raises.
    pub fn restated(&self, change: &Change) -> Option<Change> {
        let Change::Member(heartbeat) = change else { return None };
        if self.is_empty() || change.is_durable() {
            return None;
        }
        let held = self.changes.get(&change.subject())?;
        match held.change.clone() {
            Change::Member(mut restated) if restated.after.is_some() => {
                restated.floor.1 = heartbeat.floor.1;
                Some(Change::Member(restated))
            }
            _ => None,
        }
    }

    /// Whether the store has yet to learn of any of these: that nothing is to be changed at them is not yet so after a crash.
    pub fn has_any_of(&self, subjects: &[Subject]) -> bool {
        !self.is_empty() && subjects.iter().any(|subject| self.changes.contains_key(subject))
    }

    /// What becomes of a message with these changes, which changes nothing at these subjects, if they cannot be committed.
    pub fn fate(&self, changes: &[Change], unchanged: &[Subject]) -> Fate {
        if !self.has_any_of(unchanged) && !changes.iter().any(|change| self.needs_commit(change)) {
            Fate::Stands
        } else if changes.iter().all(Change::is_renewal) {
            Fate::Kept
        } else {
            Fate::Fallen
        }
    }

    /// Whether they have waited for long enough.
    pub fn is_due(&self, now_ms: u64) -> bool {
        !self.is_empty() && now_ms >= self.store_at_ms
    }

    /// Whether the store may be tried.
    pub fn may_try(&self, now_ms: u64) -> bool {
        now_ms >= self.retry_at_ms
    }

    /// Lets the store be tried at once.
    pub fn try_now(&mut self) {
        self.retry_at_ms = 0;
    }

    /// Whether the store is to take some of them alone before anything else. While it fails, no group goes with them: of each that did,
    /// nobody would know whether it is on the disk, and all that it tried would be here until the disk is back.
    pub fn goes_first(&self) -> bool {
        self.is_failing && !self.is_empty()
    }

    /// The store has what was taken.
    pub fn stored(&mut self) {
        self.is_failing = false;
        if self.is_empty() {
            // A crowd may have gone through.
            self.changes = HashMap::new();
        }
    }

    /// An attempt that began at `now_ms` has failed.
    pub fn failed(&mut self, now_ms: u64, took_ms: u64) {
        let until_next_ms = took_ms.saturating_mul(1 + REST).max(STORE_DELAY_MS);
        self.retry_at_ms = now_ms.saturating_add(until_next_ms);
        self.store_at_ms = self.retry_at_ms;
        self.is_failing = true;
    }
}

/// A heartbeat that keeps its effect and is not acknowledged. It raises no floor: its sender repeats it, perhaps as the very same
/// message, which is then a heartbeat again and no retry of something that was done.
pub(super) fn unacknowledged(change: Change) -> Option<Change> {
    match change {
        Change::Member(mut change) => {
            change.floor.1 = change.floor.0;
            Some(Change::Member(change))
        }
        Change::Floor(_) => None,
        change => Some(change),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_attempt_is_followed_by_ten_times_its_length_of_rest() {
        let mut unsaved = Unsaved::default();
        for (took_ms, again_ms) in [(0, 1_000), (60, 1_000), (3_000, 33_000)] {
            unsaved.failed(10_000, took_ms);
            assert!(
                !unsaved.may_try(10_000 + again_ms - 1) && unsaved.may_try(10_000 + again_ms),
                "{took_ms}"
            );
        }
        unsaved.try_now();
        assert!(unsaved.may_try(10_000), "the last one, at a stop");
        unsaved.failed(u64::MAX, u64::MAX);
        assert!(!unsaved.may_try(u64::MAX - 1));
    }
}
