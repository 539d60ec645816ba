//! The additional section: addresses of the names that an answer's or a referral's records point to, as this server's zones
//! have them now.

use std::ops::Range;

use super::find::{Place, find, find_hidden};
use super::scratch::TARGETS_MAX;
use super::writer::{Found, POINTER_MAX, Section, Writer};
use crate::wire::{NameKey, Rtype, u16_at};
use crate::zone::{FIXED_LEN, Node, Role, Zone, is_below};

/// Which names are looked up.
#[derive(Clone, Copy)]
pub(super) enum Addresses<'c> {
    /// Every target that a zone of ours answers for.
    OfTargets,
    /// The name servers of a cut: those below it, or the others. What a cut hides counts (RFC 1034 section 4.2.1).
    Glue {
        /// The cut's name, lower case.
        cut: &'c [u8],
        /// Which of the two.
        is_below: bool,
    },
}

impl Writer<'_, '_> {
    /// Addresses of the targets in the records at `records` in the reply, which are of type `rtype`. RRset by RRset, until one
    /// does not fit: then `false`.
    pub(super) fn put_additional(
        &mut self,
        rtype: Rtype,
        records: Range<usize>,
        which: Addresses<'_>,
    ) -> bool {
        if !has_targets(rtype) {
            return true;
        }
        self.scratch.targets.clear();
        let mut at = records.start;
        let mut fits = true;
        while at < records.end && fits {
            let written = self.reply.written();
            let Some(len) = u16_at(written, at + FIXED_LEN - 2) else { return fits };
            let rdata = at + FIXED_LEN..at + FIXED_LEN + usize::from(len);
            at = rdata.end;
            let Some(target) = written.get(rdata.clone()).and_then(|rdata| target_in(rtype, rdata)) else {
                continue;
            };
            fits = match target {
                Target::At(offset) => self.put_target(rtype, rdata.start + offset, which),
                Target::Owner => self.put_target(rtype, self.name_at, which),
            };
        }
        fits
    }

    /// Addresses of the name at `target_at` in the reply. `false` if some of them do not fit.
    pub(super) fn put_target(&mut self, rtype: Rtype, target_at: usize, which: Addresses<'_>) -> bool {
        // Taken out, so that it can be read while the reply is written.
        let Some(mut name) = self.scratch.target.take() else { return true };
        let fits = self.put_named(&mut name, rtype, target_at, which);
        self.scratch.target = Some(name);
        fits
    }

    fn put_named(&mut self, name: &mut NameKey, rtype: Rtype, at: usize, which: Addresses<'_>) -> bool {
        let target = self.reply.written().get(at..).unwrap_or_default();
        if at > POINTER_MAX || name.read(target, at, self.zones.hasher()).is_err() {
            return true;
        }
        if let Addresses::Glue { cut, is_below: wanted } = which
            && is_below(name.as_wire(), cut) != wanted
        {
            return true;
        }
        let Some(zone) = self.zones.find(name) else { return true };
        let seen = name.suffix(0).map_or(0, |(_, hash)| hash);
        if self.scratch.targets.contains(&seen) || self.scratch.targets.len() >= TARGETS_MAX {
            return true;
        }
        self.scratch.targets.push(seen);
        let place = find(zone, name, Rtype::A, self.now_ms, self.guard);
        let may_be_glue = rtype == Rtype::NS;
        // A target's own bindings (RFC 9460 section 4.1), unless it is the name whose bindings these are.
        let is_answered = self.scratch.seen.contains(&seen);
        let binding = matches!(rtype, Rtype::SVCB | Rtype::HTTPS).then_some(rtype).filter(|_| !is_answered);
        // A name that is an alias has no addresses of its own (RFC 2181 section 10.3).
        [Some(Rtype::A), Some(Rtype::AAAA), binding].into_iter().flatten().all(|wanted| {
            let put = |writer: &mut Self| match &place {
                Place::Name(node) => writer.put_of_name(node, name, wanted),
                Place::InView(node) => writer.put_of_pool(node, name, wanted),
                Place::Wildcard(node) => writer.put_of_node(node, wanted),
                Place::Cut(..) if may_be_glue => writer.put_glue(zone, name, wanted),
                Place::Cut(..) | Place::Redirection(..) | Place::Nowhere => Found::NoData,
            };
            self.put_aside(at, put)
        })
    }

    /// Puts an RRset of the name at `owner_at` into the additional section, whole or not at all. `false` if it does not fit.
    fn put_aside(&mut self, owner_at: usize, put: impl FnOnce(&mut Self) -> Found) -> bool {
        let (len, count) = (self.reply.len(), self.count_of(Section::Additional));
        let found = self.aside(Section::Additional, owner_at, put);
        if found == Found::SomeRecords {
            self.reply.truncate(len);
            self.set_count(Section::Additional, count);
        }
        found != Found::SomeRecords
    }

    fn put_of_name(&mut self, node: &Node, name: &NameKey, rtype: Rtype) -> Found {
        match &node.role {
            Role::Plain | Role::Listing(_) | Role::BelowListing(_) => self.put_of_node(node, rtype),
            Role::Pool(_) | Role::BelowPool(_) => self.put_of_pool(node, name, rtype),
        }
    }

    /// What a pool has for its own name or one below it.
    fn put_of_pool(&mut self, node: &Node, name: &NameKey, rtype: Rtype) -> Found {
        match rtype {
            Rtype::A | Rtype::AAAA => self.answer_below(node, name, rtype),
            _ => Found::NoData,
        }
    }

    fn put_of_node(&mut self, node: &Node, rtype: Rtype) -> Found {
        node.live(rtype, self.now_ms).map_or(Found::NoData, |rrset| self.put_rrset(rrset))
    }

    /// What a cut hides, also behind a wildcard.
    fn put_glue(&mut self, zone: &Zone, name: &NameKey, rtype: Rtype) -> Found {
        match find_hidden(zone, name, self.guard) {
            Place::Name(node) | Place::Wildcard(node) => self.put_of_node(node, rtype),
            _ => Found::NoData,
        }
    }
}

/// Where a record's target is.
enum Target {
    /// At this octet of its rdata.
    At(usize),
    /// The target is the record's own owner.
    Owner,
}

/// Whether records of a type point to names whose addresses whoever reads them wants next (RFC 1035 section 3.3, RFC 2782, RFC
/// 9460 section 4.1, RFC 1183, RFC 2230, RFC 3403 section 4.1).
fn has_targets(rtype: Rtype) -> bool {
    matches!(
        rtype,
        Rtype::NS
            | Rtype::MX
            | Rtype::SRV
            | Rtype::SVCB
            | Rtype::HTTPS
            | Rtype::NAPTR
            | Rtype::KX
            | Rtype::AFSDB
            | Rtype::RT
    )
}

/// The target in uncompressed rdata, if it has one. The root is none: it says that there is no service (RFC 2782, RFC 7505).
fn target_in(rtype: Rtype, rdata: &[u8]) -> Option<Target> {
    let at = match rtype {
        Rtype::NS => 0,
        Rtype::MX | Rtype::KX | Rtype::AFSDB | Rtype::RT | Rtype::SVCB | Rtype::HTTPS => 2,
        Rtype::SRV => 6,
        Rtype::NAPTR => {
            // Order and preference, then flags, services and regular expression.
            (0..3).try_fold(4, |at: usize, _| Some(at + 1 + usize::from(*rdata.get(at)?)))?
        }
        _ => return None,
    };
    let is_root = *rdata.get(at)? == 0;
    match rtype {
        // "." is the owner (RFC 9460 section 2.5.2), unless it says that there is no service (section 2.5.1).
        Rtype::SVCB | Rtype::HTTPS if is_root => (u16_at(rdata, 0)? > 0).then_some(Target::Owner),
        _ => (!is_root).then_some(Target::At(at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_targets_are() {
        let found = |rtype, rdata: &[u8]| match target_in(rtype, rdata) {
            Some(Target::At(at)) => format!("at {at}"),
            Some(Target::Owner) => "owner".to_owned(),
            None => "none".to_owned(),
        };
        for (rtype, rdata, wanted) in [
            (Rtype::NS, &b"\x02ns\x00"[..], "at 0"),
            (Rtype::MX, b"\x00\x0a\x02mx\x00", "at 2"),
            (Rtype::MX, b"\x00\x00\x00", "none"),
            (Rtype::SRV, b"\x00\x00\x00\x00\x00\x50\x00", "none"),
            (Rtype::SRV, b"\x00\x00\x00\x00\x00\x50\x01a\x00", "at 6"),
            (Rtype::HTTPS, b"\x00\x01\x00", "owner"),
            (Rtype::HTTPS, b"\x00\x00\x00", "none"),
            (Rtype::SVCB, b"\x00\x00\x01a\x00", "at 2"),
            (Rtype::NAPTR, b"\x00\x01\x00\x01\x01a\x02xy\x00\x01t\x00", "at 10"),
            (Rtype::NAPTR, b"\x00\x01\x00\x01\x01a\x09xy", "none"),
            (Rtype::TXT, b"\x01a", "none"),
            (Rtype::NS, b"", "none"),
        ] {
            assert_eq!(found(rtype, rdata), wanted, "{rtype}");
        }
    }
}
