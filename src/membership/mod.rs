//! Who is in which pool, and until when.
//!
//! No DNS and no I/O: pools and members are opaque octets, time is an argument. Every function that needs the time takes
//! `now_ms`, milliseconds on the server's monotonic clock, which starts at 0 with the process.
//!
//! ```text
//!  edit (from update/) --> Roll --> Change --> published view, store, counters, log
//!                            |
//!  heartbeat (a worker) ---> +-- LeaseTable   deadlines, floors, loads: read by every answer, moved by heartbeats
//!                            +-- Wheel        when to look at a lease again
//!                            +-- Silence      whether so many are silent that the trouble is ours
//!                            +-- Drains       who gets no more clients, by an operator's word
//!                            '-- Absences     whose the name of a member that is gone is, and until when
//! ```
//!
//! Facts that the rest relies on:
//! 1. A lease's deadline lives in the [`LeaseTable`] and nowhere else. Renewing it is one compare-exchange from live to
//!    live, expiring it one from live to dead; whoever loses looks again.
//! 2. A member is immutable once published ([`Member`] behind an `Arc`); a change makes a new one.
//! 3. The wheel is lazy: a renewal leaves it alone, and a timer that fires early is set again.
//! 4. A lease is never expired early; an answer checks its end itself, so a late wheel shows nobody who is gone. The one thing
//!    that ends a lease later than its deadline is a hold of its crowd.
//! 5. A name is on the roll or absent, never both. A floor only rises, and goes with the name from the one to the other.

mod absence;
mod alike;
mod change;
mod drain;
mod heartbeat;
mod holders;
mod known;
mod lease;
mod list;
mod load;
mod member;
mod roll;
mod silence;
mod wheel;

pub use absence::{AHEAD_S_MAX, Absence, Age, KEY_LEASE_MS_MAX, Signed};
pub use change::{Cause, Change};
pub use drain::{Drain, DrainChange};
pub use heartbeat::Beat;
pub use known::{Digest, Terms};
pub use lease::{
    Crowd, FOREVER_MS, LEASE_FOREVER_MS, LeaseRef, LeaseRules, LeaseTable, SLOTS_MAX, lease_end_ms,
};
pub use list::List;
pub use load::{KnownLoad, Load, Said};
pub use member::{
    Address, Attributes, Binding, ELSEWHERE, FOLLOWS_LEASE, Member, MemberName, NO_DRAIN, PoolHandle, Service,
};
pub use roll::{Entry, Leaving, Registered, Roll, RollError};
pub use silence::{Count, Hold, HoldChange, Lifted, MASS_MIN};
