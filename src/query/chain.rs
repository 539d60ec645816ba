//! The names of one answer: the question's, and those that aliases lead to (RFC 1034 section 4.3.2, RFC 6672 section 3.2).

use super::find::{Place, find, find_wildcard};
use super::last_resort::AllDown;
use super::scratch::{ALIASES_MAX, SEEN_MAX};
use super::writer::{Found, POINTER_MAX, Section, Writer};
use super::{Answered, Transport};
use crate::wire::{FLAG_AA, FLAG_TC, NAME_MAX, NameKey, Question, Rtype};
use crate::zone::{FIXED_LEN, Node, Role, Zone};

impl Writer<'_, '_> {
    /// Answers from `zone`. Returns the kind of answer and its flags.
    pub fn answer(&mut self, zone: &Zone, question: &Question) -> (Answered, u16) {
        self.scratch.seen.clear();
        self.scratch.seen.push(seen_name(&question.name, 0));
        let first = self.answer_name(zone, &question.name, question.qtype);
        // AA is about the name that was asked for, wherever its alias leads (RFC 1035 section 4.1.1).
        let aa = if first == Found::Referral { 0 } else { FLAG_AA };
        let found = match first {
            Found::Alias(target_at) => self.follow_aliases(target_at, question.qtype),
            found => found,
        };
        let is_cut = self.is_cut || found == Found::SomeRecords;
        match found {
            _ if is_cut && self.transport == Transport::Udp => (Answered::Truncated, aa | FLAG_TC),
            // Over TCP there is nothing larger to ask for, and an answer without records would read as "none there".
            Found::SomeRecords if self.answers() == 0 => (Answered::ServFail, 0),
            Found::Failed => {
                self.clear();
                (Answered::AllDownServFail, 0)
            }
            Found::Records | Found::SomeRecords | Found::Alias(_) => {
                (self.all_down.map_or(Answered::Positive, AllDown::answered), aa)
            }
            Found::NoData => (self.all_down.map_or(Answered::NoData, AllDown::answered), aa),
            Found::NoName => (Answered::NxDomain, aa),
            Found::Referral => (Answered::Referral, aa),
            Found::NameTooLong => (Answered::YxDomain, aa),
            Found::Prohibited => (Answered::Refused, 0),
        }
    }

    /// Goes on with the name that an alias points to, as long as it is in a zone of ours (RFC 1034 section 4.3.2, step 3a) and
    /// not one that the answer has had already.
    fn follow_aliases(&mut self, mut target_at: usize, qtype: Rtype) -> Found {
        // Taken out, so that it can be read while the rest of the scratch is written.
        let mut alias = std::mem::take(&mut self.scratch.alias);
        let mut found = Found::Records;
        for _ in 0..ALIASES_MAX {
            let target = self.reply.written_from(target_at);
            if target_at > POINTER_MAX || alias.read(target, target_at, self.zones.hasher()).is_err() {
                break;
            }
            let Some(zone) = self.zone_of(&alias, qtype) else { break };
            if !self.is_new(seen_name(&alias, 0)) {
                break;
            }
            self.name_at = target_at;
            found = self.answer_name(zone, &alias, qtype);
            match found {
                Found::Alias(next_at) => target_at = next_at,
                _ => break,
            }
        }
        self.scratch.alias = alias;
        found
    }

    /// Whether the answer has not had this before; from now on it has.
    fn is_new(&mut self, seen: u64) -> bool {
        let list = &mut self.scratch.seen;
        let is_new = !list.contains(&seen) && list.len() < SEEN_MAX;
        if is_new {
            list.push(seen);
        }
        is_new
    }

    /// Whether what answers is a DNAME that the answer has: a chain came by it, and now leads to its owner.
    fn has_had(&self, node: &Node, name: &NameKey, qtype: Rtype) -> bool {
        matches!(qtype, Rtype::DNAME | Rtype::ANY)
            && self.scratch.seen.contains(&!seen_name(name, 0))
            && self.ordinary(node, qtype).is_some_and(|rrset| rrset.rtype == Rtype::DNAME)
    }

    fn answer_name(&mut self, zone: &Zone, name: &NameKey, qtype: Rtype) -> Found {
        let found = match find(zone, name, qtype, self.now_ms, self.guard) {
            Place::Name(node) if self.has_had(node, name, qtype) => Found::Records,
            Place::Name(node) => self.answer_node(zone, node, name, qtype),
            Place::InView(node) => match self.answer_below(node, name, qtype) {
                Found::NoName => self.put_beside_instances(zone, node, name, qtype),
                found => found,
            },
            // A wildcard answers with the name that was asked for, as all records here do.
            Place::Wildcard(node) => self.put_ordinary(node, qtype).unwrap_or(Found::NoData),
            Place::Cut(node, skip) => self.put_referral(node, name, skip),
            Place::Redirection(node, skip) => self.put_redirection(node, name, skip, qtype),
            Place::Nowhere => Found::NoName,
        };
        if matches!(found, Found::NoData | Found::NoName) {
            self.put_negative(zone, name);
        }
        found
    }

    /// What a wildcard below a listing's name has for a name that is no instance, nor below one (RFC 4592 section 3.3.1: an
    /// instance is closer, and has no wildcard); below a pool there is none.
    fn put_beside_instances(&mut self, zone: &Zone, node: &Node, name: &NameKey, qtype: Rtype) -> Found {
        let is_listing = match &node.role {
            Role::Listing(listing) => !listing.has_above(name),
            role => matches!(role, Role::BelowListing(_)),
        };
        match find_wildcard(zone, name, self.guard).filter(|_| is_listing) {
            Some(wildcard) => self.put_ordinary(wildcard, qtype).unwrap_or(Found::NoData),
            None => Found::NoName,
        }
    }

    /// A DNAME, and the CNAME that it makes of the name (RFC 6672 section 3.1): what is left of the DNAME's owner is put before
    /// its target, spelt as it was asked for.
    fn put_redirection(&mut self, node: &Node, name: &NameKey, skip: usize, qtype: Rtype) -> Found {
        let Some(rrset) = node.redirection(self.now_ms) else { return Found::NoData };
        let Some(target) = rrset.records().next() else { return Found::NoData };
        let prefix_len = name.prefix(skip).len();
        // One DNAME may lead to a name below itself; it is in the answer once.
        if self.is_new(!seen_name(name, skip)) {
            let owner_at = self.name_at + prefix_len;
            match self.aside(Section::Answer, owner_at, |writer| writer.put_rrset(rrset)) {
                Found::Records => {}
                found => return found,
            }
        }
        let mut cname = [0; NAME_MAX];
        let len = prefix_len + target.len();
        let Some(place) = cname.get_mut(..len) else { return Found::NameTooLong };
        let (left, right) = place.split_at_mut(prefix_len);
        let written = self.reply.written().get(self.name_at..self.name_at + prefix_len);
        left.copy_from_slice(written.unwrap_or_default());
        right.copy_from_slice(target);
        let ttl_s = self.left_of(rrset);
        let at = self.reply.len();
        if !self.put_record(Rtype::CNAME, ttl_s, cname.get(..len).unwrap_or_default()) {
            return Found::SomeRecords;
        }
        // Whoever asks for anything has asked for what is there, too (RFC 6672 section 3.2 step 3c).
        if qtype == Rtype::CNAME { Found::Records } else { Found::Alias(at + FIXED_LEN) }
    }
}

/// What an answer remembers of a name that it has had, from its label `skip` on; of the owner of a DNAME, the complement. It
/// is the keyed hash: nobody who asks knows two names that share one.
fn seen_name(name: &NameKey, skip: usize) -> u64 {
    name.suffix(skip).map_or(0, |(_, hash)| hash)
}
