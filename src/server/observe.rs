//! What operators read in the log: one line for every member that comes, changes or goes, for every refusal, and for all that
//! is not as it should be. The registrar says it, and counts it as it goes.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::{debug, error, info, warn};

use super::counters::{CAUSES, Counters, add, increment};
use super::limiter::{Limiter, SourceLimiter};
use crate::change::Change;
use crate::membership::{Cause, Change as MemberChange, DrainChange, Hold, Lifted};
use crate::update::{Handled, RefusalKind, Reloaded, Restored, Silenced, member_text};
use crate::wire::name_text;
use crate::zone::NameChange;

/// Refusals logged a second, each reason once from each source, and one in all about signatures: enough to see every
/// misconfigured client of a fleet within a minute, too few for a hostile one to fill a disk.
const REFUSALS_A_SECOND: u32 = 20;

/// The registrar's counters and log.
pub struct Observer {
    counters: Arc<Counters>,
    refusals: SourceLimiter,
    commit_failures: Limiter,
    trouble: Option<Trouble>,
}

/// A store that cannot be written.
struct Trouble {
    /// Since when, monotonic milliseconds.
    since_ms: u64,
    /// UPDATEs that were answered SERVFAIL for it.
    refused: u64,
}

impl Observer {
    /// An observer that counts into `counters`.
    pub fn new(counters: Arc<Counters>) -> Self {
        Observer {
            counters,
            refusals: SourceLimiter::new(REFUSALS_A_SECOND),
            commit_failures: Limiter::new(1),
            trouble: None,
        }
    }

    /// A change that is published. What changes no answer, a heartbeat or the end of an absence, is logged at debug, all else
    /// at info.
    pub fn change(&self, change: &Change) {
        let counters = match change {
            Change::Member(_) | Change::Drain(_) => &self.counters.changes,
            Change::Name(_) => &self.counters.name_changes,
            // Nobody sees it.
            Change::Floor(_) => return,
        };
        let cause = change.cause();
        if let Some(place) = CAUSES.iter().position(|other| *other == cause)
            && let Some(count) = counters.get(place)
        {
            increment(count);
        }
        let is_quiet = matches!(cause, Cause::Renewed | Cause::Released);
        match change {
            Change::Member(change) => Self::log_member(change, is_quiet),
            Change::Drain(change) => Self::log_drain(change),
            Change::Name(change) => Self::log_name(change, is_quiet),
            Change::Floor(_) => {}
        }
    }

    /// Members that came back from the store: so many of them are named as are told.
    pub fn restored(&self, restored: &Restored) {
        restored.told.iter().for_each(|change| self.change(change));
        let more = restored.count - restored.told.len();
        if more == 0 {
            return;
        }
        let place = CAUSES.iter().position(|cause| *cause == Cause::Restored);
        if let Some(count) = place.and_then(|place| self.counters.changes.get(place)) {
            add(count, more as u64);
        }
        info!(more, "restored too, and not named one by one");
    }

    fn log_member(change: &MemberChange, is_quiet: bool) {
        let owner = match (change.after.as_ref().or(change.before.as_ref()), &change.absence.0) {
            (Some(member), _) => &*member.owner,
            (None, Some(absence)) => &*absence.owner,
            (None, None) => "",
        };
        let (pool, member, cause) = (&change.pool, &change.name, change.cause.as_str());
        if is_quiet {
            debug!(pool = name_text(pool), member = member_text(member), owner, "{cause}");
        } else {
            info!(pool = name_text(pool), member = member_text(member), owner, "{cause}");
        }
    }

    fn log_drain(change: &DrainChange) {
        let Some(drain) = change.after.as_ref().or(change.before.as_ref()) else { return };
        let (pool, member, cause) =
            (name_text(&change.pool), member_text(&change.name), change.cause.as_str());
        info!(pool, member, by = &*drain.by, why = &*drain.why, "{cause} by an operator");
    }

    fn log_name(change: &NameChange, is_quiet: bool) {
        let (cause, name) = (change.cause.as_str(), name_text(&change.name));
        let key = change.key.as_ref().map_or("none".to_owned(), |key| name_text(key.as_slice()));
        let types: Vec<_> = change.types().into_iter().map(|rtype| rtype.to_string()).collect();
        let types = types.join(",");
        if is_quiet {
            debug!(name, key, types, "records {cause}");
        } else {
            info!(name, key, types, "records {cause}");
        }
    }

    /// A message that was judged: why it was refused, or which attributes of a heartbeat were ignored.
    pub fn update(&mut self, source: SocketAddr, handled: &Handled, now_ms: u64) {
        increment(&self.counters.updates);
        let key = || handled.key.as_ref().map_or("none".to_owned(), |key| key.to_string());
        for reason in handled.ignored.iter().map(ToString::to_string) {
            increment(&self.counters.attributes_ignored);
            if self.refusals.admits(source.ip(), &reason, now_ms) {
                warn!(%source, key = key(), reason, "attribute ignored in a heartbeat");
            }
        }
        let Some(reason) = &handled.refusal else { return };
        let is_unmet = handled.kind == RefusalKind::Prerequisite;
        increment(if is_unmet { &self.counters.unmet } else { &self.counters.refusals });
        let mut about = reason.as_str();
        if handled.kind == RefusalKind::Signature {
            increment(&self.counters.unverified);
            // Who has no key may write what it likes: all of that is about one thing.
            about = "TSIG";
        }
        if !self.refusals.admits(source.ip(), about, now_ms) {
            return;
        }
        if is_unmet {
            info!(%source, key = key(), reason, "UPDATE not done");
        } else {
            warn!(%source, key = key(), reason, "UPDATE refused");
        }
    }

    /// A reply to an UPDATE that could not be sent.
    pub fn reply_lost(&self) {
        increment(&self.counters.replies_lost);
    }

    /// A group that is in the store.
    pub fn committed(&mut self, now_ms: u64) {
        increment(&self.counters.commits);
        if let Some(Trouble { since_ms, refused }) = self.trouble.take() {
            self.counters.store_failing.store(0, Ordering::Relaxed);
            let failed_s = now_ms.saturating_sub(since_ms) / 1000;
            info!(
                failed_s,
                refused, "the store can be written again; UPDATEs refused meanwhile may be sent again"
            );
        }
    }

    /// A group that is not in the store.
    pub fn commit_failed(&mut self, reason: &dyn Display, now_ms: u64) {
        increment(&self.counters.commit_failures);
        self.counters.store_failing.store(1, Ordering::Relaxed);
        let is_first = self.trouble.is_none();
        self.trouble.get_or_insert(Trouble { since_ms: now_ms, refused: 0 });
        if self.commit_failures.admits(now_ms) || is_first {
            error!(
                %reason,
                "the store cannot be written: UPDATEs that need it get SERVFAIL, leases and answers go on; it is tried again"
            );
        }
    }

    /// An UPDATE that is answered SERVFAIL because the store cannot be written.
    pub fn not_stored(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            trouble.refused += 1;
        }
    }

    /// How much the store does not know.
    pub fn unsaved(&self, changes: usize) {
        self.counters.unsaved.store(changes as u64, Ordering::Relaxed);
    }

    /// The end of a server whose store cannot be written.
    pub fn stopped_unsaved(&self, changes: usize) {
        error!(
            changes,
            "stopped without storing what happened last: the next start finds what was stored before"
        );
    }

    /// Other zones are served.
    pub fn reloaded(&self, reloaded: &Reloaded) {
        for (apex, serial) in &reloaded.serials {
            info!(zone = name_text(apex), serial, "reloaded");
        }
        for (pool, members) in &reloaded.stranded {
            warn!(
                pool = name_text(pool),
                members,
                "the zone has no such pool any more, or a record of its file stands where it was: its members are not answered \
                 until a reload brings it back"
            );
        }
        for change in &reloaded.changes {
            info!(name = name_text(change.zone_name()), "the zone file has overtaken what UPDATE changed");
        }
    }

    /// Zones whose leases are held from now on, or no more; how many zones that are now, and how many members are silent there.
    pub fn silenced(&self, silenced: &[Silenced], (zones, silent): (usize, u64)) {
        self.counters.zones_held.store(zones as u64, Ordering::Relaxed);
        self.counters.members_silent.store(silent, Ordering::Relaxed);
        for Silenced { apex, hold, count } in silenced {
            let (zone, silent, members) = (name_text(apex), count.silent, count.leased);
            match *hold {
                Hold::Began => {
                    increment(&self.counters.holds);
                    warn!(
                        zone,
                        silent,
                        members,
                        "most members have fallen silent together, so the trouble may be ours: expiry is held"
                    );
                }
                Hold::Ended(Lifted::Heard, lasted_ms) => {
                    let held_s = lasted_ms / 1000;
                    info!(zone, silent, members, held_s, "members are heard again: expiry goes on");
                }
                Hold::Ended(Lifted::TooLong, lasted_ms) => {
                    increment(&self.counters.holds_spent);
                    let held_s = lasted_ms / 1000;
                    warn!(
                        zone,
                        silent,
                        members,
                        held_s,
                        "expiry was held for as long as it may be (`freeze_max`) and goes on: who is still silent expires"
                    );
                }
            }
        }
    }

    /// Says what the limits kept back. Called every tick.
    pub fn tick(&mut self, now_ms: u64) {
        if let Some(count) = self.refusals.kept_back(now_ms) {
            warn!(count, "more UPDATEs were refused than are logged");
        }
        if let Some(count) = self.commit_failures.kept_back(now_ms) {
            error!(count, "more commits failed than are logged");
        }
    }
}
