//! Which names of a zone stand for something of their own, ordered so that what lies below a name lies together; and when
//! ordinary records with a lease end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use crate::wire::Rtype;

/// The label of a wildcard in wire form (RFC 4592 section 2.1.1).
pub(super) const WILDCARD: &[u8] = b"\x01*";

/// A name's labels from the root down, each with its length before it, without the root: what lies below a name has the
/// name's key as its prefix.
type TreeKey = Box<[u8]>;

/// The names of a zone that have ordinary records or are declared pools. All other names in the index are empty, between
/// these and the apex, or lead to a pool's view.
#[derive(Default)]
pub(super) struct Names {
    tree: BTreeMap<TreeKey, Arc<[u8]>>,
}

impl Names {
    /// Adds a name.
    pub fn insert(&mut self, name: &Arc<[u8]>) {
        self.tree.insert(key(name), Arc::clone(name));
    }

    /// Takes a name out.
    pub fn remove(&mut self, name: &[u8]) {
        self.tree.remove(&key(name));
    }

    /// Whether the name is among them.
    pub fn has(&self, name: &[u8]) -> bool {
        self.tree.contains_key(&key(name))
    }

    /// The names below a name, without it.
    pub fn below(&self, name: &[u8]) -> impl Iterator<Item = &Arc<[u8]>> {
        let above = key(name);
        let from = (Bound::Excluded(above.clone()), Bound::Unbounded);
        let below = self.tree.range::<TreeKey, _>(from);
        below.take_while(move |(key, _)| key.starts_with(&above)).map(|(_, name)| name)
    }

    /// Whether any lies below.
    pub fn has_below(&self, name: &[u8]) -> bool {
        self.below(name).next().is_some()
    }
}

fn key(name: &[u8]) -> TreeKey {
    let mut labels: Vec<&[u8]> = Vec::with_capacity(8);
    let mut rest = name;
    while let Some(&len) = rest.first().filter(|len| **len > 0) {
        let Some((label, right)) = rest.split_at_checked(1 + usize::from(len)) else { break };
        labels.push(label);
        rest = right;
    }
    labels.reverse();
    labels.concat().into()
}

/// When the first leased record of each name ends. One entry a name, however often it is renewed.
#[derive(Default)]
pub(super) struct Ends {
    due: BTreeSet<(u64, Arc<[u8]>)>,
    of: HashMap<Arc<[u8]>, u64>,
}

impl Ends {
    /// Sets when a name is to be looked at; `None` for never.
    pub fn set(&mut self, name: &Arc<[u8]>, ends_ms: Option<u64>) {
        let before = match ends_ms {
            Some(ends_ms) => self.of.insert(Arc::clone(name), ends_ms),
            None => self.of.remove(name),
        };
        if let Some(before_ms) = before {
            self.due.remove(&(before_ms, Arc::clone(name)));
        }
        if let Some(ends_ms) = ends_ms {
            self.due.insert((ends_ms, Arc::clone(name)));
        }
    }

    /// At most `limit` names that are due at `now_ms`, the longest due first. They stay until they are set again.
    pub fn due(&self, now_ms: u64, limit: usize) -> Vec<Arc<[u8]>> {
        let due = self.due.iter().take_while(|(ends_ms, _)| *ends_ms <= now_ms);
        due.take(limit).map(|(_, name)| Arc::clone(name)).collect()
    }
}

/// Whether `name` is `above` or lies below it, both in lower-case wire form.
pub fn is_below(name: &[u8], above: &[u8]) -> bool {
    let mut rest = name;
    while rest.len() > above.len() {
        rest = parent(rest);
    }
    rest == above
}

/// The name without its first label; of the root, nothing.
pub fn parent(name: &[u8]) -> &[u8] {
    let label = name.first().map_or(0, |&len| 1 + usize::from(len));
    name.get(label..).unwrap_or_default()
}

/// Whether records of a type send who asks for a name to another one, or to other servers.
pub fn leads_elsewhere(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::CNAME | Rtype::DNAME | Rtype::NS)
}

/// Whether a label of a name, or of the labels left of one, is an asterisk: it is a wildcard, or makes one exist (RFC 4592
/// section 2.2.2).
pub fn has_asterisk(mut name: &[u8]) -> bool {
    while name.len() > 1 {
        if name.starts_with(WILDCARD) {
            return true;
        }
        name = parent(name);
    }
    false
}

/// Whether records of a type, `labels` left of a pool's name, are the pool's own, so that no ordinary record may stand
/// there: its addresses and bindings, its members' addresses and attributes, its services, everything at `all`, words
/// about drains; and whatever leads elsewhere or is a wildcard, at its name or below.
pub fn pool_needs(labels: &[u8], rtype: Rtype) -> bool {
    let is_address = matches!(rtype, Rtype::A | Rtype::AAAA);
    if leads_elsewhere(rtype) || has_asterisk(labels) {
        return true;
    }
    let mut split = Vec::with_capacity(3);
    let mut rest = labels;
    while let Some((label, right)) =
        rest.split_first().and_then(|(&len, after)| after.split_at_checked(usize::from(len)))
    {
        split.push(label);
        rest = right;
    }
    let is_underscored = |label: &[u8]| label.first() == Some(&b'_');
    match split.as_slice() {
        [] => is_address || matches!(rtype, Rtype::SVCB | Rtype::HTTPS),
        [.., b"all"] => true,
        [b"_status"] => rtype == Rtype::TXT,
        [b"_status", service, protocol] if is_underscored(service) && is_underscored(protocol) => {
            rtype == Rtype::TXT
        }
        [b"_drain", member] if !is_underscored(member) => rtype == Rtype::TXT,
        [service, protocol] if is_underscored(service) && is_underscored(protocol) => rtype == Rtype::SRV,
        [label] if !is_underscored(label) => is_address || rtype == Rtype::TXT,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pool_needs() {
        for (labels, rtype, wanted) in [
            (&b""[..], Rtype::A, true),
            (b"", Rtype::TXT, false),
            (b"", Rtype::CNAME, true),
            (b"", Rtype::HTTPS, true),
            (b"\x02m1", Rtype::TXT, true),
            (b"\x02m1", Rtype::SSHFP, false),
            (b"\x04_tcp", Rtype::A, false),
            (b"\x07_status", Rtype::TXT, true),
            (b"\x07_status", Rtype::A, false),
            (b"\x07_status\x05_http\x04_tcp", Rtype::TXT, true),
            (b"\x07_status\x05_http\x04_tcp", Rtype::SRV, false),
            (b"\x07_status\x04_tcp", Rtype::TXT, false),
            (b"\x05_http\x04_tcp", Rtype::SRV, true),
            (b"\x05_http\x04_tcp", Rtype::TXT, false),
            (b"\x05_http\x04_tcp\x03all", Rtype::TXT, true),
            (b"\x01a\x02m1", Rtype::A, false),
            (b"\x01a\x02m1", Rtype::NS, true),
            (b"\x01*", Rtype::MX, true),
            (b"\x01a\x01*\x04_tcp", Rtype::TXT, true),
        ] {
            assert_eq!(pool_needs(labels, rtype), wanted, "{labels:?} {rtype}");
        }
    }

    #[test]
    fn a_suffix_is_not_a_parent() {
        assert!(is_below(b"\x01a\x01b\x00", b"\x01b\x00"));
        assert!(is_below(b"\x01b\x00", b"\x01b\x00"));
        assert!(!is_below(b"\x03a\x01b\x00", b"\x01b\x00"));
    }

    fn name(wire: &[u8]) -> Arc<[u8]> {
        wire.into()
    }

    #[test]
    fn below_is_by_labels() {
        let mut names = Names::default();
        for wire in [&b"\x01a\x01b\x00"[..], b"\x01x\x01a\x01b\x00", b"\x02xa\x01b\x00", b"\x01c\x00"] {
            names.insert(&name(wire));
        }
        let below = |wire: &[u8]| names.below(wire).map(|name| name.to_vec()).collect::<Vec<_>>();
        assert_eq!(below(b"\x01a\x01b\x00"), [b"\x01x\x01a\x01b\x00"]);
        assert_eq!(below(b"\x01b\x00").len(), 3);
        assert_eq!(below(b"\x00").len(), 4);
        assert!(!names.has_below(b"\x01c\x00") && names.has(b"\x01c\x00") && !names.has(b"\x01b\x00"));
    }

    #[test]
    fn a_name_is_due_once_however_often_it_is_renewed() {
        let (mut ends, a, b) = (Ends::default(), name(b"\x01a\x00"), name(b"\x01b\x00"));
        for ends_ms in [50, 10, 30] {
            ends.set(&a, Some(ends_ms));
        }
        ends.set(&b, Some(20));
        assert_eq!(ends.due(19, 9), Vec::<Arc<[u8]>>::new());
        assert_eq!(ends.due(30, 9), [b.clone(), a.clone()]);
        assert_eq!(ends.due(30, 1), std::slice::from_ref(&b));
        ends.set(&b, None);
        assert_eq!(ends.due(30, 9), [a]);
    }
}
