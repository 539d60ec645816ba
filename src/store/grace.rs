//! What `restart`, `names` and `drains` share: what is left of a grace and of a floor, and entries of members.

use std::collections::BTreeMap;

use crate::membership::{LEASE_FOREVER_MS, PoolHandle, Signed};

/// The longest grace, however long the lease.
const GRACE_MS_MAX: u32 = 60_000;

/// When runs began by the wall clock, milliseconds since 1970, by number.
pub(super) type Runs = BTreeMap<u32, u64>;

/// The whole of a grace. A permanent member needs none, and has it.
pub(super) fn grace_ms(lease_ms: u32) -> u32 {
    if lease_ms == LEASE_FOREVER_MS { lease_ms } else { lease_ms.min(GRACE_MS_MAX) }
}

/// What is left of a member's grace when `used_ms` have gone by since it began.
pub(super) fn grace_left_ms(lease_ms: u32, used_ms: u64) -> u32 {
    grace_ms(lease_ms).saturating_sub(u32::try_from(used_ms).unwrap_or(u32::MAX))
}

/// A floor as this clock may have seen it: one that is further ahead than its fudge was set under another.
pub(super) fn believable(floor: Signed, wall_ms: u64) -> Signed {
    let wall_s = wall_ms / 1000;
    let is_ahead = floor.at_s > wall_s.saturating_add(u64::from(floor.fudge_s));
    if is_ahead { Signed { at_s: wall_s, ..floor } } else { floor }
}

pub(super) fn corrupted(what: String) -> redb::Error {
    redb::Error::Corrupted(what)
}

/// Keys are in order, so a pool's entries come together and share its handle.
pub(super) fn share(pool: &mut PoolHandle, octets: &[u8]) {
    if **pool != *octets {
        *pool = octets.into();
    }
}

pub(super) fn bad_entry(what: &str, pool: &[u8], name: &[u8], why: String) -> redb::Error {
    corrupted(format!("{what} {} of pool {}: {why}", name.escape_ascii(), pool.escape_ascii()))
}
