//! What a zone has besides plain names, so that a zone without it answers as if there were no such thing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::names::has_asterisk;
use super::{Node, Rrset};
use crate::wire::Rtype;

/// What questions need to know of a zone before they look for a name.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// Whether any name is a wildcard, or lies below one.
    pub has_wildcards: AtomicBool,
    /// Whether any name leads elsewhere with all that is below it: a zone cut, or a DNAME.
    pub has_redirections: AtomicBool,
}

/// The names that give a zone its shape. The publisher's.
#[derive(Default)]
pub(super) struct ShapeNames {
    wildcards: BTreeSet<Arc<[u8]>>,
    redirections: BTreeSet<Arc<[u8]>>,
}

impl ShapeNames {
    /// Notes what a name holds from now on. Before the index has a name that counts, so that no question misses it.
    pub fn note(&mut self, shape: &Shape, name: &Arc<[u8]>, rrsets: &[Rrset], is_apex: bool) {
        let is_wildcard = !rrsets.is_empty() && has_asterisk(name);
        let is_redirection = rrsets.iter().any(|rrset| leads_elsewhere(rrset.rtype, is_apex));
        for (names, flag, is_one) in [
            (&mut self.wildcards, &shape.has_wildcards, is_wildcard),
            (&mut self.redirections, &shape.has_redirections, is_redirection),
        ] {
            let changed = if is_one { names.insert(Arc::clone(name)) } else { names.remove(name) };
            if changed {
                flag.store(!names.is_empty(), Ordering::Relaxed);
            }
        }
    }
}

/// Whether records of a type lead elsewhere from whatever is below their name.
pub(super) fn leads_elsewhere(rtype: Rtype, is_apex: bool) -> bool {
    rtype == Rtype::DNAME || (rtype == Rtype::NS && !is_apex)
}

impl Node {
    /// The NS records that make the name a zone cut (RFC 1034 section 4.2), if it is below the apex and has any at `now_ms`.
    pub fn cut(&self, now_ms: u64) -> Option<&Rrset> {
        self.live(Rtype::NS, now_ms)
    }

    /// The DNAME that redirects what is below the name (RFC 6672), if it has one at `now_ms`.
    pub fn redirection(&self, now_ms: u64) -> Option<&Rrset> {
        self.live(Rtype::DNAME, now_ms)
    }

    /// The RRset of a type, if any of it stands at `now_ms`.
    pub fn live(&self, rtype: Rtype, now_ms: u64) -> Option<&Rrset> {
        self.rrset(rtype).filter(|rrset| rrset.is_live(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_what_any_of_its_names_has() {
        let (shape, mut names) = (Shape::default(), ShapeNames::default());
        let rrset = |rtype| Rrset::new(rtype, 60, [(&b"\x00"[..], u64::MAX)].into_iter());
        let name = |wire: &[u8]| Arc::<[u8]>::from(wire);
        let flags = || {
            let flag = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
            (flag(&shape.has_wildcards), flag(&shape.has_redirections))
        };
        names.note(&shape, &name(b"\x00"), &[rrset(Rtype::NS)], true);
        names.note(&shape, &name(b"\x02a*\x00"), &[rrset(Rtype::A)], false);
        names.note(&shape, &name(b"\x01*\x00"), &[], false);
        assert_eq!(flags(), (false, false));
        names.note(&shape, &name(b"\x01a\x01*\x00"), &[rrset(Rtype::A)], false);
        names.note(&shape, &name(b"\x01b\x00"), &[rrset(Rtype::A), rrset(Rtype::NS)], false);
        assert_eq!(flags(), (true, true));
        names.note(&shape, &name(b"\x00"), &[rrset(Rtype::NS), rrset(Rtype::DNAME)], true);
        names.note(&shape, &name(b"\x01b\x00"), &[rrset(Rtype::A)], false);
        names.note(&shape, &name(b"\x01a\x01*\x00"), &[], false);
        assert_eq!(flags(), (false, true));
        names.note(&shape, &name(b"\x00"), &[rrset(Rtype::NS)], true);
        assert_eq!(flags(), (false, false));
    }
}
