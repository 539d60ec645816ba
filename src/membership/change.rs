//! What happened to a member: the one stream that the published view, the store, the counters and the log consume.

use std::sync::Arc;

use super::roll::Entry;
use super::{Absence, LeaseRef, Member, MemberName, PoolHandle, Said, Signed};

/// Why a member changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// It registered.
    Joined,
    /// A heartbeat that registered what was registered.
    Renewed,
    /// A heartbeat that changed its records, attributes, lease or owner.
    Changed,
    /// A record that its heartbeats no longer name came to its end; the member stays.
    Lapsed,
    /// It, or an admin, deleted it.
    Deregistered,
    /// Its lease ran out.
    Expired,
    /// It gets no more clients: it said so itself, or an operator did.
    Draining,
    /// That was taken back.
    Undrained,
    /// An operator's drain came to its end by itself.
    DrainOver,
    /// Its own drain came to its end, and it left.
    Drained,
    /// It came back from the store after a restart, with a grace.
    Restored,
    /// Nobody's name any more: it was kept for a member that was gone, or its floor was, and that is over.
    Released,
}

impl Cause {
    /// Whether it comes of time alone: then it stands, whatever becomes of the message that brought it to light.
    pub fn is_fact(self) -> bool {
        matches!(self, Cause::Expired | Cause::Lapsed | Cause::Released | Cause::DrainOver | Cause::Drained)
    }

    /// As the log and the counters spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Joined => "joined",
            Cause::Renewed => "renewed",
            Cause::Changed => "changed",
            Cause::Lapsed => "lapsed",
            Cause::Deregistered => "deregistered",
            Cause::Expired => "expired",
            Cause::Draining => "draining",
            Cause::Undrained => "undrained",
            Cause::DrainOver => "drain_over",
            Cause::Drained => "drained",
            Cause::Restored => "restored",
            Cause::Released => "released",
        }
    }
}

/// One member, or what is left of it, before and after. Consumers compare the two; none of them asks the roll.
#[derive(Debug, Clone)]
pub struct Change {
    /// In which pool.
    pub pool: PoolHandle,
    /// Who.
    pub name: MemberName,
    /// Why.
    pub cause: Cause,
    /// What was registered before; `None` when it joined.
    pub before: Option<Arc<Member>>,
    /// What is registered now; `None` when it is gone.
    pub after: Option<Arc<Member>>,
    /// When the lease ended before, and when it ends now, monotonic milliseconds; 0 for no lease.
    pub ends_ms: (u64, u64),
    /// What was left of it before, and what is left of it now: its owner's claim to the name, and the floor of one that is
    /// gone.
    pub absence: (Option<Arc<Absence>>, Option<Arc<Absence>>),
    /// The floor of a member on the roll, before and now.
    pub floor: (Option<Signed>, Option<Signed>),
    /// What is said of the load of a member that was here before.
    pub said: Said,
    /// Whether a member that was here before has registered again.
    pub renews: bool,
    /// The lease that moves from the one end to the other when the change is published, and its floor and its name's end
    /// with it.
    pub(super) lease: Option<LeaseRef>,
    /// Until when its name is its owner's once this is published, monotonic milliseconds.
    pub(super) name_ends_ms: u64,
    /// The place of a member that is gone: its lease is answered from until the change is published.
    pub(super) departed: Option<Entry>,
}

impl Change {
    /// A change that moves no lease, as the store returns and tests make it.
    pub fn of(
        pool: PoolHandle,
        name: MemberName,
        cause: Cause,
        before: Option<Arc<Member>>,
        after: Option<Arc<Member>>,
    ) -> Self {
        Change {
            pool,
            name,
            cause,
            before,
            after,
            ends_ms: (0, 0),
            absence: (None, None),
            floor: (None, None),
            said: Said::Nothing,
            renews: false,
            lease: None,
            name_ends_ms: 0,
            departed: None,
        }
    }

    /// Whether the store must hold it. A heartbeat that renews a lease and nothing else never reaches the disk, but the
    /// first one of each server run does: it ends the claim to the restart's grace.
    pub fn is_durable(&self) -> bool {
        // Lapse times are not stored, so a record that is merely due to lapse is no durable change.
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                !Arc::ptr_eq(before, after)
                    && (before.heard_run != after.heard_run || before.registers_otherwise(after))
            }
            _ => self.cause != Cause::Restored,
        }
    }

    /// The place on the roll of a member that is gone by this change.
    pub fn departed(&self) -> Option<&Entry> {
        self.departed.as_ref()
    }

    /// Whether it is a heartbeat that registers nothing otherwise than before: what differs is when the member was last heard, and
    /// until when its records live.
    pub fn is_renewal(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                before.drain_ends_ms == after.drain_ends_ms && !before.registers_otherwise(after)
            }
            _ => false,
        }
    }

    /// Whether it happened whatever becomes of the message that brought it to light: something came to its end.
    pub fn is_fact(&self) -> bool {
        self.cause.is_fact()
    }

    /// The change that takes this one back, for a store that may or may not have it.
    pub fn reversed(&self) -> Change {
        let (before, after) = (self.after.clone(), self.before.clone());
        let reverse = Change::of(Arc::clone(&self.pool), self.name.clone(), Cause::Changed, before, after);
        let (absence_before, absence_after) = &self.absence;
        Change {
            absence: (absence_after.clone(), absence_before.clone()),
            floor: (self.floor.1, self.floor.0),
            ..reverse
        }
    }

    /// Whether any record in the zone differs, TTLs aside: then the zone's serial moves.
    pub fn is_visible(&self) -> bool {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => !Arc::ptr_eq(before, after) && before.shows_otherwise(after),
            (None, None) => false,
            _ => true,
        }
    }

    /// Whether the pool's published view must be made anew: records, TTLs or ends differ from what it was made from.
    pub fn reshapes(&self) -> bool {
        match (&self.before, &self.after) {
            // A view's bound may be late once a lease ends sooner.
            (Some(_), Some(_)) if self.ends_ms.1 < self.ends_ms.0 => true,
            (Some(before), Some(after)) => {
                !Arc::ptr_eq(before, after)
                    && (before.own_ttl_s != after.own_ttl_s
                        || before.drain_ends_ms != after.drain_ends_ms
                        || before.addresses != after.addresses
                        || before.services != after.services
                        || before.bindings != after.bindings
                        || before.attributes != after.attributes)
            }
            (None, None) => false,
            _ => true,
        }
    }
}

impl Member {
    /// Whether it registers something else than `other`: in what zone records show, or in owner, leases or TTL.
    pub(super) fn registers_otherwise(&self, other: &Member) -> bool {
        let terms = |member: &Member| (member.lease_ms, member.key_lease_ms, member.own_ttl_s);
        self.owner != other.owner || terms(self) != terms(other) || self.shows_otherwise(other)
    }

    fn shows_otherwise(&self, other: &Member) -> bool {
        let ips = |member: &Member| member.addresses.iter().map(|address| address.ip).collect::<Vec<_>>();
        let services = |member: &Member| {
            let fields = member.services.iter();
            fields
                .map(|service| (service.service.clone(), service.port, service.priority, service.weight))
                .collect::<Vec<_>>()
        };
        let bindings = |member: &Member| {
            let fields = member.bindings.iter();
            fields.map(|binding| (binding.rtype, binding.rdata.clone())).collect::<Vec<_>>()
        };
        ips(self) != ips(other)
            || services(self) != services(other)
            || bindings(self) != bindings(other)
            || self.attributes != other.attributes
    }
}
