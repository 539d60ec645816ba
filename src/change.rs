//! What happened: the one stream that the published zones, the store, the counters and the log consume.

use std::sync::Arc;

use crate::membership::{self, Cause, DrainChange, MemberName, PoolHandle, Signed};
use crate::wire::Name;
use crate::zone::NameChange;

/// One thing before and after. Consumers compare the two; none of them asks where it came from.
#[derive(Debug, Clone)]
pub enum Change {
    /// Of a member of a pool.
    Member(membership::Change),
    /// Of an operator's drain of a member.
    Drain(DrainChange),
    /// Of the ordinary records of a name.
    Name(NameChange),
    /// Of a floor under which a key's changes of a name are replays.
    Floor(NameFloor),
}

/// A floor of a name: the newest message by a key that was about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFloor {
    /// The key.
    pub key: Name,
    /// The name, lower-case wire form.
    pub name: Arc<[u8]>,
    /// The message before.
    pub before: Option<Signed>,
    /// The message; `None` once no message below it would be believed any more.
    pub floor: Option<Signed>,
    /// Whether the store must hold it; what a renewal raises waits for a clean stop.
    pub is_durable: bool,
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A member of a pool.
    Member(PoolHandle, MemberName),
    /// The drain of a member.
    Drain(PoolHandle, MemberName),
    /// A name with ordinary records, lower-case wire form.
    Name(Arc<[u8]>),
    /// A key's floor of a name.
    Floor(Name, Arc<[u8]>),
}

impl Change {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Change::Member(change) => Subject::Member(Arc::clone(&change.pool), change.name.clone()),
            Change::Drain(change) => Subject::Drain(Arc::clone(&change.pool), change.name.clone()),
            Change::Name(change) => Subject::Name(Arc::clone(&change.name)),
            Change::Floor(floor) => Subject::Floor(floor.key.clone(), Arc::clone(&floor.name)),
        }
    }

    /// Why it happened.
    pub fn cause(&self) -> Cause {
        match self {
            Change::Member(change) => change.cause,
            Change::Drain(change) => change.cause,
            Change::Name(change) => change.cause,
            Change::Floor(NameFloor { floor: Some(_), .. }) => Cause::Renewed,
            Change::Floor(NameFloor { floor: None, .. }) => Cause::Released,
        }
    }

    /// The name whose zone it is in: the pool's, or its own.
    pub fn zone_name(&self) -> &[u8] {
        match self {
            Change::Member(change) => &change.pool,
            Change::Drain(change) => &change.pool,
            Change::Name(change) => &change.name,
            Change::Floor(floor) => &floor.name,
        }
    }

    /// Whether the store must hold it.
    pub fn is_durable(&self) -> bool {
        match self {
            Change::Member(change) => change.is_durable(),
            Change::Drain(_) => true,
            Change::Name(change) => change.is_durable(),
            Change::Floor(floor) => floor.is_durable,
        }
    }

    /// Whether any record in the zone differs: then the zone's serial moves.
    pub fn is_visible(&self) -> bool {
        match self {
            Change::Member(change) => change.is_visible(),
            Change::Drain(_) => true,
            Change::Name(change) => change.is_visible,
            Change::Floor(_) => false,
        }
    }

    /// Whether it registers nothing otherwise than before: a heartbeat, and the floor that it raises.
    pub fn is_renewal(&self) -> bool {
        match self {
            Change::Member(change) => change.is_renewal(),
            Change::Drain(_) => false,
            Change::Name(change) => change.is_renewal(),
            Change::Floor(_) => true,
        }
    }

    /// Whether it happened whatever becomes of the message that brought it to light: a lease or a record came to its end.
    pub fn is_fact(&self) -> bool {
        self.cause().is_fact()
    }

    /// The change that takes this one back, for a store that may or may not have it.
    pub fn reversed(&self) -> Change {
        match self {
            Change::Member(change) => Change::Member(change.reversed()),
            Change::Drain(change) => Change::Drain(change.reversed()),
            Change::Name(change) => Change::Name(change.reversed()),
            Change::Floor(floor) => {
                Change::Floor(NameFloor { before: floor.floor, floor: floor.before, ..floor.clone() })
            }
        }
    }
}
