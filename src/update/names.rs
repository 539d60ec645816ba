//! What a name in an UPDATE is to membership.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::membership::{ELSEWHERE, MemberName, PoolHandle};
use crate::wire::{Rtype, label_text, name_text};
use crate::zone::{Publisher, is_below};

/// The label below which operators drain members.
pub(super) const DRAIN: &[u8] = b"_drain";

/// A name, classified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A pool's own name.
    Pool(PoolHandle),
    /// A member's own name.
    Member(PoolHandle, MemberName),
    /// A service of a pool, in wire form without a root label.
    Service(PoolHandle, Box<[u8]>),
    /// Where operators say that a member is to get no more clients: `_drain` and its name.
    Drain(PoolHandle, MemberName),
    /// At or below a pool, but none of these.
    InPool(PoolHandle),
    /// Elsewhere in the zone.
    Elsewhere,
}

/// Classifies a name in lower-case wire form that lies in the publisher's zone.
///
/// A declared pool may have any number of labels. Where the zone lets registrations make pools, a pool is one label below
/// the zone: one that is known, or one of `making`, which the message makes.
pub(super) fn classify(publisher: &Publisher, making: &BTreeSet<PoolHandle>, name: &[u8]) -> Target {
    let apex = publisher.zone().apex();
    let mut pool = name;
    while pool.len() > apex.len() {
        if publisher.pool(pool).is_some() || making.contains(pool) {
            return in_pool(pool, name);
        }
        let Some((_, rest)) = split_label(pool) else { break };
        pool = rest;
    }
    Target::Elsewhere
}

impl Target {
    /// The pool that the name is at or below.
    pub fn pool(&self) -> Option<&PoolHandle> {
        match self {
            Target::Pool(pool)
            | Target::Member(pool, _)
            | Target::Service(pool, _)
            | Target::Drain(pool, _)
            | Target::InPool(pool) => Some(pool),
            Target::Elsewhere => None,
        }
    }
}

/// [`Publisher::may_create`], which looks at up to a thousand names, as the caller remembers it.
pub(super) type MayCreate<'m> = &'m mut dyn FnMut(&[u8]) -> bool;

/// What a name would be if the label next below the zone were a pool, where a registration may make it one.
pub(super) fn potential(publisher: &Publisher, name: &[u8], may_create: MayCreate<'_>) -> Option<Target> {
    let apex = publisher.zone().apex();
    let mut pool = name;
    while let Some((_, rest)) = split_label(pool).filter(|(_, rest)| rest.len() > apex.len()) {
        pool = rest;
    }
    let target = in_pool(pool, name);
    let may_make = matches!(target, Target::Member(..) | Target::Service(..) | Target::Drain(..));
    (may_make && publisher.pool(pool).is_none() && may_create(pool)).then_some(target)
}

/// The pool that the first address or service at this name would make, if it is one that a registration may make.
pub(super) fn pool_to_make(
    publisher: &Publisher,
    name: &[u8],
    rtype: Rtype,
    may_create: MayCreate<'_>,
) -> Option<PoolHandle> {
    if !matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::SRV) {
        return None;
    }
    match potential(publisher, name, may_create)? {
        Target::Member(pool, _) if rtype != Rtype::SRV => Some(pool),
        Target::Service(pool, _) if rtype == Rtype::SRV => Some(pool),
        _ => None,
    }
}

fn in_pool(pool: &[u8], name: &[u8]) -> Target {
    let handle = || PoolHandle::from(pool);
    let labels = name.get(..name.len() - pool.len()).unwrap_or_default();
    let Some((first, rest)) = split_label(labels) else { return Target::Pool(handle()) };
    let is_underscored = |label: &[u8]| label.first() == Some(&b'_');
    match split_label(rest) {
        None if may_be_member(first) => Target::Member(handle(), first.into()),
        Some((member, [])) if first == DRAIN && may_be_member(member) => {
            Target::Drain(handle(), member.into())
        }
        // _service._proto (RFC 2782).
        Some((second, [])) if is_underscored(first) && is_underscored(second) => {
            Target::Service(handle(), labels.into())
        }
        _ => Target::InPool(handle()),
    }
}

/// Whether a label can name a member: services begin with an underscore, `all` is everybody, `*` would be a wildcard (RFC
/// 4592), and members elsewhere are told apart by an octet 0.
fn may_be_member(label: &[u8]) -> bool {
    let is_special = |&first: &u8| first == b'_' || first == ELSEWHERE;
    !label.first().is_some_and(is_special) && label != b"all" && label != b"*"
}

/// The member that a SRV target of `pool` names: one of its own by its label; a target elsewhere is itself a member, known by
/// its whole name behind [`ELSEWHERE`], with which no label of a member begins. `None` for names below the pool that are no
/// member's, the pool's own, and the root, which says that there is no service (RFC 2782).
pub(super) fn member_of(pool: &[u8], target: &[u8]) -> Option<MemberName> {
    if !is_below(target, pool) {
        return (target.len() > 1).then(|| [&[ELSEWHERE], target].concat().into());
    }
    let labels = target.strip_suffix(pool)?;
    match split_label(labels)? {
        (label, []) if may_be_member(label) => Some(label.into()),
        _ => None,
    }
}

/// The target elsewhere that a member is known by, in wire form.
pub(super) fn target_of(member: &[u8]) -> Option<&[u8]> {
    member.strip_prefix(&[ELSEWHERE])
}

/// A member's name for people: its label, or the target that it is known by.
pub fn member_text(member: &[u8]) -> String {
    target_of(member).map_or_else(|| label_text(member), name_text)
}

/// A member's own name, or the target elsewhere that it is known by, in lower-case wire form.
pub(super) fn own_name(pool: &[u8], member: &[u8]) -> Arc<[u8]> {
    match target_of(member) {
        Some(target) => target.into(),
        // A label has at most 63 octets.
        None => [&[member.len() as u8], member, pool].concat().into(),
    }
}

/// Where operators drain a member, in lower-case wire form.
pub(super) fn drain_name(pool: &[u8], member: &[u8]) -> Arc<[u8]> {
    [&[DRAIN.len() as u8], DRAIN, &own_name(pool, member)].concat().into()
}

/// The member and the pool that a TXT record at a name would drain if there were such a pool, of a name below `apex`.
pub(super) fn would_drain<'n>(name: &'n [u8], apex: &[u8]) -> Option<(&'n [u8], &'n [u8])> {
    let (_, rest) = split_label(name).filter(|(first, _)| *first == DRAIN)?;
    let (member, pool) = split_label(rest).filter(|(member, _)| may_be_member(member))?;
    (pool.len() > apex.len()).then_some((member, pool))
}

/// A target as grants spell it: absolute, without the closing dot.
pub(super) fn target_text(target: &[u8]) -> String {
    let mut text = name_text(target);
    text.pop();
    text
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
        assert_eq!(target(b"\x06_drain\x02m1"), Target::Drain(handle.clone(), Box::from(*b"m1")));
        for other in [
            &b"\x06_drain\x03all"[..],
            b"\x06_drain",
            b"\x03all",
            b"\x01*",
            b"\x04_tcp",
            b"\x01a\x01b",
            b"\x02_a\x02_b\x02_c",
            b"\x02_a\x01b",
        ] {
            assert_eq!(target(other), Target::InPool(handle.clone()), "{other:?}");
        }
    }

    #[test]
    fn a_suffix_is_not_a_parent() {
        let elsewhere = b"\x00\x03a\x01b\x00";
        assert_eq!(member_of(b"\x01b\x00", b"\x03a\x01b\x00"), Some(Box::from(*elsewhere)));
        assert_eq!(target_of(elsewhere).map(target_text).as_deref(), Some("a\\001b"));
        assert_eq!(member_of(b"\x01b\x00", b"\x01b\x00"), None, "the pool itself");
        assert_eq!(member_of(b"\x01b\x00", b"\x00"), None);
        assert_eq!(member_of(b"\x01b\x00", b"\x02m1\x01b\x00"), Some(Box::from(*b"m1")));
    }

    #[test]
    fn addresses_make_host_names() {
        assert_eq!(*address_label("10.0.0.1".parse().unwrap()), *b"10-0-0-1");
        assert_eq!(*address_label("2001:db8::1".parse().unwrap()), *b"2001-db8-0-0-0-0-0-1");
    }
}
