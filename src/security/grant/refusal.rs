//! Why no grant covers an UPDATE, and what an operator would change.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::{Holder, Special, Types};
use crate::wire::Rtype;

/// Why no grant covers an UPDATE. REFUSED on the wire (RFC 2136 section 3.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The signature is good, but the zone grants the key nothing.
    #[error("{holder} has no grant in this zone; add a [[grant]] for it")]
    Key {
        /// The key.
        holder: Holder,
    },
    /// No signature, and unsigned updates are not granted from there.
    #[error("unsigned updates are not granted from {from}; sign with a key that has a grant")]
    Unsigned {
        /// Where it came from.
        from: IpAddr,
    },
    /// The key may not be used from there.
    #[error("source {from} is not granted; add {add} to `sources` of the grant for {holder}")]
    Source {
        /// Where it came from.
        from: IpAddr,
        /// What to add.
        add: IpNetwork,
        /// Whose grant.
        holder: Holder,
    },
    /// The grant trusts the source address, which anybody may have written on the datagram.
    #[error("nothing proves that it came from {from}; send it over TCP, or with a DNS cookie (RFC 7873)")]
    Unproven {
        /// Where it came from, as it says.
        from: IpAddr,
    },
    /// The grant does not cover the pool.
    #[error("pool {pool} is not granted; add \"{pool}\" to `pools` of the grant for {holder}")]
    Pool {
        /// The pool, relative to the zone.
        pool: Box<str>,
        /// Whose grant.
        holder: Holder,
    },
    /// The grant does not cover the ordinary name.
    #[error(
        "name {name} is not granted; {} the grant for {holder}{}",
        names_change(name, pools),
        pools_kept(pools)
    )]
    Name {
        /// The name, relative to the zone; `@` is the apex.
        name: Box<str>,
        /// What the grant has to say of pools once it has `names`, or it covers them no longer; nothing if it has `names`.
        pools: Vec<Box<str>>,
        /// Whose grant.
        holder: Holder,
    },
    /// The grant does not cover the type.
    #[error("type {rtype} is not granted; {} the grant for {holder}", types_change(*.rtype, has))]
    Type {
        /// The type.
        rtype: Rtype,
        /// What the grant has.
        has: Types,
        /// Whose grant.
        holder: Holder,
    },
    /// The grant's prefixes do not cover an address.
    #[error("address {address} is not granted; add {add} to `addresses` of the grant for {holder}")]
    Address {
        /// The address.
        address: IpAddr,
        /// What to add.
        add: IpNetwork,
        /// Whose grant.
        holder: Holder,
    },
    /// An address is of a kind that a grant must name.
    #[error("{kind} address {address} needs naming; add {add} to `addresses` of the grant for {holder}")]
    Special {
        /// What kind.
        kind: Special,
        /// The address.
        address: IpAddr,
        /// What to add.
        add: IpNetwork,
        /// Whose grant.
        holder: Holder,
    },
    /// The address is not the sender's, and the grant covers no other.
    #[error(
        "address {address} is not {from}, where this came from; register that one, or take `own_address` out of the grant \
         for {holder}"
    )]
    OwnAddress {
        /// The address.
        address: IpAddr,
        /// Where it came from.
        from: IpAddr,
        /// Whose grant.
        holder: Holder,
    },
    /// The grant does not cover a SRV's target outside its pool.
    #[error("SRV target {target}. is not granted; add \"{target}.\" to `targets` of the grant for {holder}")]
    Target {
        /// The target, without its closing dot.
        target: Box<str>,
        /// Whose grant.
        holder: Holder,
    },
}

impl Refusal {
    /// Whether the same message would be granted if its source were proven.
    pub fn asks_for_proof(&self) -> bool {
        matches!(self, Refusal::Unproven { .. })
    }
}

fn quoted<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| format!("\"{}\"", item.as_ref())).collect();
    items.join(", ")
}

fn names_change(name: &str, pools: &[Box<str>]) -> String {
    if pools.is_empty() {
        format!("add \"{name}\" to `names` of")
    } else {
        format!("write `names = [\"{name}\"]` in")
    }
}

/// `pools` defaults to every pool, but not beside `names`.
fn pools_kept(pools: &[Box<str>]) -> String {
    if pools.is_empty() { String::new() } else { format!(", with `pools = [{}]`", quoted(pools)) }
}

/// A list that a grant did not have takes the place of the default, so all of it has to be in there.
fn types_change(rtype: Rtype, has: &Types) -> String {
    let added = rtype.to_string();
    match has {
        Types::Default => {
            format!("write `types = [{}]` in", quoted(has.texts().into_iter().chain([added])))
        }
        Types::All | Types::Only(_) => format!("add \"{added}\" to `types` of"),
    }
}
