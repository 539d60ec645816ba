//! Records that a message adds: to a member, to a pool, or to a name's ordinary records.

use super::{Drafts, LABELS_MAX, may_create};
use crate::membership::{MemberName, PoolHandle};
use crate::update::draft::Srv;
use crate::update::names::{Target, member_of, potential, target_of, would_drain};
use crate::update::{Refusal, svcb};
use crate::wire::{Rtype, WireError, address_in, lower, name_text};
use crate::zone::{is_of_signed_zone, labels_of, parent, pool_needs};

impl<'a> Drafts<'a> {
    pub(super) fn add(
        &mut self,
        target: Target,
        name: &[u8],
        rtype: Rtype,
        ttl_s: u32,
        rdata: &[u8],
    ) -> Result<(), Refusal> {
        let address = address_in(rdata).filter(|_| matches!(rtype, Rtype::A | Rtype::AAAA));
        if let Some(ip) = address.filter(|ip| ip.to_canonical() != *ip) {
            return Err(Refusal::Mapped { name: name.into(), ip });
        }
        match (target, rtype, address) {
            (Target::Member(pool, member), _, Some(ip)) => self.draft(pool, member).add_address(ip, ttl_s),
            (Target::Pool(pool), _, Some(ip)) if self.publisher.is_declared(&pool) => {
                let member = self.member_at(&pool, ip)?;
                self.draft(pool, member).add_address(ip, ttl_s)
            }
            (Target::Member(pool, member), Rtype::TXT, _) => {
                self.draft(pool, member).add_attributes(rdata);
                Ok(())
            }
            (Target::Drain(pool, member), Rtype::TXT, _) => self.drain(pool, member, rdata),
            (Target::Service(pool, service), Rtype::SRV, _) => {
                let srv = Srv::read(rdata).ok_or(WireError::BadRdata { at: 0, rtype })?;
                let member = srv.member(&pool)?;
                self.draft(pool, member).add_service(service, &srv)
            }
            (Target::Pool(pool), Rtype::SVCB | Rtype::HTTPS, _) => {
                let member = Self::bound_member(&pool, name, rtype, rdata)?;
                self.draft(pool, member).add_binding(rtype, rdata)
            }
            (target, ..) => {
                self.judge_ordinary(target.pool(), name, rtype)?;
                let (publisher, is_to_go) = (self.publisher, self.is_to_go(rtype));
                let draft = self.name(name);
                if is_to_go {
                    draft.delete_record(rtype, rdata);
                    return Ok(());
                }
                draft.add(publisher, rtype, ttl_s, rdata)
            }
        }
    }

    /// The member that a SVCB or HTTPS record at its pool's name is about: its TargetName says.
    pub(super) fn bound_member(
        pool: &PoolHandle,
        name: &[u8],
        rtype: Rtype,
        rdata: &[u8],
    ) -> Result<MemberName, Refusal> {
        let target = svcb::target(rdata).map(lower);
        let member = target.and_then(|target| member_of(pool, &target));
        // One elsewhere lives by a service, which a binding is not.
        let member = member.filter(|member| target_of(member).is_none());
        member.ok_or_else(|| Refusal::InTheWay { name: name.into(), rtype, pool: pool.as_ref().into() })
    }

    /// Whether the message asks for a lease of nothing: then the ordinary records that it names are to go (RFC 9664 section 4).
    pub(super) fn is_to_go(&self, rtype: Rtype) -> bool {
        let wish = self.terms.wish;
        let asked_s = match rtype {
            Rtype::KEY => wish.map(|wish| wish.key_lease_s.unwrap_or(wish.lease_s)),
            _ => wish.map(|wish| wish.lease_s),
        };
        asked_s == Some(0)
    }

    /// Whether an ordinary record of this type may stand at this name at all.
    pub(super) fn judge_ordinary(
        &mut self,
        pool: Option<&PoolHandle>,
        name: &[u8],
        rtype: Rtype,
    ) -> Result<(), Refusal> {
        if pool.is_none() {
            self.judge_would_be_member(name, rtype)?;
            // An ordinary record would drain nobody, and its sender would believe that it did.
            let apex = self.publisher.zone().apex();
            if let Some((member, pool)) = would_drain(name, apex).filter(|_| rtype == Rtype::TXT) {
                return Err(Refusal::NobodyToDrain { pool: pool.into(), name: member.into() });
            }
        }
        if let Some(pool) = pool
            && pool_needs(name.strip_suffix(pool.as_ref()).unwrap_or_default(), rtype)
        {
            return Err(Refusal::InTheWay { name: name.into(), rtype, pool: pool.as_ref().into() });
        }
        let apex = self.publisher.zone().apex();
        if labels_of(name) > labels_of(apex) + LABELS_MAX {
            let name = name_text(name);
            return Err(Refusal::Limit(format!("{name} has more than {LABELS_MAX} labels below its zone")));
        }
        let leads_elsewhere = rtype == Rtype::DNAME || (rtype == Rtype::NS && name != apex);
        let what = match rtype {
            _ if is_of_signed_zone(rtype) => "signed zones",
            _ if !leads_elsewhere => return Ok(()),
            _ if name.starts_with(b"\x01*") => "wildcards that lead elsewhere",
            _ if self.publisher.has_pools_below(name) => {
                return Err(Refusal::AbovePools { name: name.into(), rtype });
            }
            _ => return Ok(()),
        };
        Err(Refusal::NotServed { name: name.into(), rtype, what })
    }

    /// Where registrations make pools, whoever sends an address or attributes of what would be a member's name means to join.
    /// If that cannot be, it is told so: an ordinary record would stay when its server is gone.
    pub(super) fn judge_would_be_member(&mut self, name: &[u8], rtype: Rtype) -> Result<(), Refusal> {
        let is_members = matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::TXT);
        let apex = self.publisher.zone().apex();
        let pool = parent(name);
        if !is_members || !self.publisher.settings().create_pools || parent(pool) != apex {
            return Ok(());
        }
        // Below a cut it is glue.
        if self.publisher.is_cut(pool, self.terms.now_ms) {
            return Ok(());
        }
        // What matters here is whether the label could be a member's, and the pool's a pool's.
        let publisher = self.publisher;
        let Some(Target::Member(handle, member)) = potential(publisher, name, &mut |_| true) else {
            return Ok(());
        };
        if !publisher.may_be_pool(pool) {
            return Ok(());
        }
        if may_create(publisher, &mut self.creatable, pool, self.terms.now_ms) {
            // An address would have made the pool.
            return Err(Refusal::NotRegistered { pool: handle.as_ref().into(), name: member });
        }
        Err(Refusal::NoPool { name: name.into(), pool: pool.into() })
    }
}
