//! One server in one pool, as registered.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{List, Load};

/// Which pool: opaque octets, unique in the server (its full name in lower-case wire form).
pub type PoolHandle = Arc<[u8]>;

/// Which member of a pool: opaque octets, unique in the pool (its label in lower case; for one that lives elsewhere,
/// [`ELSEWHERE`] and then whatever its services point to).
pub type MemberName = Box<[u8]>;

/// How the name of a member begins that has no address here, and lives by its services.
pub const ELSEWHERE: u8 = 0;

/// The `lapses_ms` of a record that lives as long as its member's lease.
pub const FOLLOWS_LEASE: u64 = u64::MAX;

/// The `drain_ends_ms` of a member that does not drain.
pub const NO_DRAIN: u64 = u64::MAX;

/// A member. Immutable once published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The identity that registered it; others need an admin grant.
    pub owner: Arc<str>,
    /// The lease last granted, milliseconds; [`LEASE_FOREVER_MS`](super::LEASE_FOREVER_MS) for a permanent member.
    pub lease_ms: u32,
    /// How long its name stays its owner's after it was last heard, milliseconds;
    /// [`LEASE_FOREVER_MS`](super::LEASE_FOREVER_MS) for always.
    pub key_lease_ms: u32,
    /// The most that answers for the member's own names may say, seconds: the TTL of the UPDATE.
    pub own_ttl_s: u32,
    /// The server run in which it was last heard: a restart gives one grace, counted from the first start after it.
    pub heard_run: u32,
    /// Where it serves, sorted by address; empty only for a member that lives elsewhere.
    pub addresses: Vec<Address>,
    /// What it serves; sorted by service, then port.
    pub services: List<Service>,
    /// How it is to be spoken to; sorted by type, then rdata.
    pub bindings: List<Binding>,
    /// What it says of itself.
    pub attributes: Attributes,
    /// When its own drain ends, and it leaves, monotonic milliseconds; [`NO_DRAIN`] if it does not drain. Stored by the wall
    /// clock, beside the member.
    #[serde(skip, default = "no_drain")]
    pub drain_ends_ms: u64,
}

/// An address of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// When this record goes although the member stays, monotonic milliseconds: it was left out of a heartbeat that named
    /// others of its type. [`FOLLOWS_LEASE`] for all others. Not stored: a restart gives grace to what was not yet gone.
    #[serde(skip, default = "follows_lease")]
    pub lapses_ms: u64,
}

/// A service that a member offers: what a SRV record says (RFC 2782).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Service {
    /// The service's opaque name (`_http._tcp` in lower-case wire form without a root label).
    pub service: Box<[u8]>,
    /// Port.
    pub port: u16,
    /// Priority as registered.
    pub priority: u16,
    /// Weight as registered.
    pub weight: u16,
    /// As [`Address::lapses_ms`].
    #[serde(skip, default = "follows_lease")]
    pub lapses_ms: u64,
}

/// How a member is to be spoken to: what a SVCB or HTTPS record says (RFC 9460).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Binding {
    /// The record's type, a number to membership.
    pub rtype: u16,
    /// Opaque, and unique in the member with its type.
    pub rdata: Box<[u8]>,
    /// As [`Address::lapses_ms`].
    #[serde(skip, default = "follows_lease")]
    pub lapses_ms: u64,
}

fn no_drain() -> u64 {
    NO_DRAIN
}

fn follows_lease() -> u64 {
    FOLLOWS_LEASE
}

/// Attributes by key, in key order. Keys are lower case; `load` is not among them, it is soft and never stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attributes(pub(super) List<(Box<str>, Box<[u8]>)>);

impl Attributes {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let at = self.0.binary_search_by(|(held, _)| held.as_ref().cmp(key)).ok()?;
        self.0.get(at).map(|(_, value)| value.as_ref())
    }

    /// Sets `key`, replacing what it had.
    pub fn set(&mut self, key: &str, value: &[u8]) {
        match self.0.binary_search_by(|(held, _)| held.as_ref().cmp(key)) {
            Ok(at) => {
                if let Some((_, held)) = self.0.entries_mut().get_mut(at) {
                    *held = value.into();
                }
            }
            Err(at) => self.0.edit(|held| held.insert(at, (key.into(), value.into()))),
        }
    }

    /// Removes `key`, if it is there.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|(held, _)| held.as_ref() != key);
    }

    /// Removes all of them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// In key order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `weight` as RFC 5356 has it, an unsigned 32-bit number. `None` if it was not given.
    pub fn weight(&self) -> Option<u32> {
        self.number("weight")
    }

    /// `priority` (RFC 5356 section 4.5): larger is better.
    pub fn priority(&self) -> Option<u32> {
        self.number("priority")
    }

    /// `degradation` (RFC 5356 section 5.2): how much busier one more client makes it.
    pub fn degradation(&self) -> Option<Load> {
        self.number("degradation").map(Load::of)
    }

    /// `drain`: for how long it goes on serving those that it has, seconds, before it leaves.
    pub fn drain_s(&self) -> Option<u32> {
        self.number("drain")
    }

    fn number<N: FromStr>(&self, key: &str) -> Option<N> {
        std::str::from_utf8(self.get(key)?).ok()?.parse().ok()
    }
}

impl Member {
    /// When the last of its addresses lapses, and the member with it; [`FOLLOWS_LEASE`] if one lives as long as the lease. A
    /// member that lives elsewhere goes with the last of its services.
    pub fn lapses_ms(&self) -> u64 {
        let addresses = self.addresses.iter().map(|address| address.lapses_ms).max();
        let services = || self.services.iter().map(|service| service.lapses_ms).max();
        addresses.or_else(services).unwrap_or(0)
    }

    /// The first moment at which nothing is left that it lives by, given its lease: then the member itself is gone.
    pub fn ends_ms(&self, lease_ends_ms: u64) -> u64 {
        self.lapses_ms().min(lease_ends_ms).min(self.drain_ends_ms)
    }

    /// Whether it has said that it wants no more clients.
    pub fn drains(&self) -> bool {
        self.drain_ends_ms != NO_DRAIN
    }

    /// The first moment at which anything of it ends.
    pub fn first_end_ms(&self, lease_ends_ms: u64) -> u64 {
        let addresses = self.addresses.iter().map(|address| address.lapses_ms);
        let services = self.services.iter().map(|service| service.lapses_ms);
        let bindings = self.bindings.iter().map(|binding| binding.lapses_ms);
        addresses.chain(services).chain(bindings).fold(lease_ends_ms.min(self.drain_ends_ms), u64::min)
    }

    /// The member without what has lapsed at `now_ms`.
    pub fn without_lapsed(&self, now_ms: u64) -> Member {
        let mut rest = self.clone();
        rest.addresses.retain(|address| address.lapses_ms > now_ms);
        rest.services.retain(|service| service.lapses_ms > now_ms);
        rest.bindings.retain(|binding| binding.lapses_ms > now_ms);
        rest
    }
}
