//! Referrals: the name is somebody else's, and this is whom to ask (RFC 1034 section 4.3.2 step 3b).

use super::additional::Addresses;
use super::writer::{Found, Section, Writer};
use crate::wire::{NameKey, Rtype};
use crate::zone::Node;

impl Writer<'_, '_> {
    /// The NS records of the cut that lies at the suffix `skip` of `name`, and the addresses of the servers that they name.
    pub(super) fn put_referral(&mut self, node: &Node, name: &NameKey, skip: usize) -> Found {
        let Some(servers) = node.cut(self.now_ms) else { return Found::NoData };
        let at = self.reply.len();
        let cut_at = self.name_at + name.prefix(skip).len();
        let found = self.aside(Section::Authority, cut_at, |writer| writer.put_rrset(servers));
        if found != Found::Records {
            return found;
        }
        let cut = name.suffix(skip).map_or(&[][..], |(cut, _)| cut);
        // Without the addresses of servers below the cut nobody can reach them: those that do not fit are asked for again
        // (RFC 9471 section 3.1). The others may be found otherwise.
        let end = self.reply.len();
        self.is_cut |= !self.put_additional(Rtype::NS, at..end, Addresses::Glue { cut, is_below: true });
        self.put_additional(Rtype::NS, at..end, Addresses::Glue { cut, is_below: false });
        Found::Referral
    }
}
