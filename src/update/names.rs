//! What a name in an UPDATE is to membership.

use std::net::IpAddr;

use crate::membership::{MemberName, PoolHandle};
use crate::zone::Publisher;

/// A name, classified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A pool's own name.
    Pool(PoolHandle),
    /// A member's own name.
    Member(PoolHandle, MemberName),
    /// A service of a pool, in wire form without a root label.
    Service(PoolHandle, Box<[u8]>),
    /// At or below a pool, but none of these.
    InPool(PoolHandle),
    /// Elsewhere in the zone.
    Elsewhere,
}

/// Classifies a name in lower-case wire form that lies in the publisher's zone.
///
/// A declared pool may have any number of labels. Where the zone lets registrations make pools, a pool is one label below
/// the zone, and only the names of a member or a service make one.
pub(super) fn classify(publisher: &Publisher, name: &[u8]) -> Target {
    let apex = publisher.zone().apex();
    let mut pool = name;
    while pool.len() > apex.len() {
        if publisher.is_declared(pool) {
            return in_pool(pool, name);
        }
        let Some((_, rest)) = split_label(pool) else { break };
        if publisher.pool(pool).is_some() || publisher.may_create(pool) {
            let target = in_pool(pool, name);
            let is_known = publisher.pool(pool).is_some();
            if is_known || matches!(target, Target::Member(..) | Target::Service(..)) {
                return target;
            }
        }
        pool = rest;
    }
    Target::Elsewhere
}

fn in_pool(pool: &[u8], name: &[u8]) -> Target {
    let handle = || PoolHandle::from(pool);
    let labels = name.get(..name.len() - pool.len()).unwrap_or_default();
    let Some((first, rest)) = split_label(labels) else { return Target::Pool(handle()) };
    let is_underscored = |label: &[u8]| label.first() == Some(&b'_');
    match split_label(rest) {
        None if may_be_member(first) => Target::Member(handle(), first.into()),
        // _service._proto (RFC 2782).
        Some((second, [])) if is_underscored(first) && is_underscored(second) => {
            Target::Service(handle(), labels.into())
        }
        _ => Target::InPool(handle()),
    }
}

/// Whether a label can name a member: services begin with an underscore, `all` is everybody, and `*` would be a wildcard
/// (RFC 4592).
fn may_be_member(label: &[u8]) -> bool {
    label.first() != Some(&b'_') && label != b"all" && label != b"*"
}

/// The member of `pool` that a SRV target names, if it is one.
pub(super) fn member_of(pool: &[u8], target: &[u8]) -> Option<MemberName> {
    let labels = target.strip_suffix(pool)?;
    match split_label(labels)? {
        (label, []) if may_be_member(label) => Some(label.into()),
        _ => None,
    }
}

/// The name of a member that is known by its address: the address with dashes, a valid host name in either family.
pub(super) fn address_label(ip: IpAddr) -> MemberName {
    let text = match ip {
        IpAddr::V4(ip) => ip.to_string().replace('.', "-"),
        IpAddr::V6(ip) => ip.segments().map(|segment| format!("{segment:x}")).join("-"),
    };
    text.into_bytes().into()
}

/// The first label and what follows it; `None` if there is none, or only the root's.
fn split_label(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = name.split_first()?;
    if len == 0 {
        return None;
    }
    rest.split_at_checked(usize::from(len))
}

/// Whether `name` is `above` or lies below it.
pub(super) fn is_below(name: &[u8], above: &[u8]) -> bool {
    let mut rest = name;
    while rest.len() > above.len() {
        let Some((_, after)) = split_label(rest) else { return false };
        rest = after;
    }
    rest == above
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_pool() {
        let pool = b"\x03web\x00";
        let handle = PoolHandle::from(&pool[..]);
        let target = |labels: &[u8]| in_pool(pool, &[labels, pool].concat());
        assert_eq!(target(b""), Target::Pool(handle.clone()));
        assert_eq!(target(b"\x02m1"), Target::Member(handle.clone(), Box::from(*b"m1")));
        assert_eq!(
            target(b"\x05_http\x04_tcp"),
            Target::Service(handle.clone(), Box::from(*b"\x05_http\x04_tcp"))
        );
        for other in
            [&b"\x03all"[..], b"\x01*", b"\x04_tcp", b"\x01a\x01b", b"\x02_a\x02_b\x02_c", b"\x02_a\x01b"]
        {
            assert_eq!(target(other), Target::InPool(handle.clone()), "{other:?}");
        }
    }

    #[test]
    fn a_suffix_is_not_a_parent() {
        assert!(is_below(b"\x01a\x01b\x00", b"\x01b\x00"));
        assert!(!is_below(b"\x03a\x01b\x00", b"\x01b\x00"));
        assert_eq!(member_of(b"\x01b\x00", b"\x03a\x01b\x00"), None);
        assert_eq!(member_of(b"\x01b\x00", b"\x02m1\x01b\x00"), Some(Box::from(*b"m1")));
    }

    #[test]
    fn addresses_make_host_names() {
        assert_eq!(*address_label("10.0.0.1".parse().unwrap()), *b"10-0-0-1");
        assert_eq!(*address_label("2001:db8::1".parse().unwrap()), *b"2001-db8-0-0-0-0-0-1");
    }
}
