//! What a message deletes. At a name that several members share, only the sender's part goes; an ordinary record beside a pool
//! goes where the sender is granted it.

use super::{Drafts, may_create};
use crate::membership::Member;
use crate::update::Refusal;
use crate::update::draft::{Draft, Srv};
use crate::update::names::{Target, potential};
use crate::update::ordinary::NameDraft;
use crate::wire::{Rtype, WireError, address_in};
use crate::zone::{leads_elsewhere, pool_needs};

impl<'a> Drafts<'a> {
    /// The ordinary records of a name, for a deletion of some of a type. Where a pool has its names and none of them stands,
    /// they are nothing to who is not granted them: whoever takes a member away need not be granted names that have nothing
    /// to do with it.
    fn name_to_delete(&mut self, target: &Target, name: &[u8], rtype: Rtype) -> Option<&mut NameDraft> {
        let is_pools = matches!(target, Target::Pool(_) | Target::Member(..) | Target::Service(..));
        let is_known = self.names.contains_key(name)
            || !NameDraft::of(self.publisher, name, self.terms.now_ms).is_empty();
        if is_pools && !is_known && self.may_change(name, &[rtype], &[]).is_err() {
            return None;
        }
        Some(self.name(name))
    }

    /// Whether a deletion where a pool has its names can be about ordinary records alone: the sender is granted those, and
    /// not the pool, and nobody of the pool stands at the name.
    fn is_of_name_alone(&mut self, target: &Target, name: &[u8], types: &[Rtype]) -> Result<bool, Refusal> {
        let Some(pool) = target.pool() else { return Ok(true) };
        if self.grant(&self.pool_text(pool), &[]).is_ok() || self.may_change(name, types, &[]).is_err() {
            return Ok(false);
        }
        Ok(match target {
            Target::Member(pool, member) => {
                let is_drafted = self.drafts.get(pool).is_some_and(|drafts| drafts.contains_key(member));
                !is_drafted && Draft::of(self.roll, pool, member, self.terms.now_ms).before.is_none()
            }
            Target::Pool(pool) => self.look(pool, |_, _| true, 1)?.is_empty(),
            Target::Service(pool, service) => {
                let offers =
                    |_: &Self, member: &Member| member.services.iter().any(|held| held.service == *service);
                self.look(pool, offers, 1)?.is_empty()
            }
            Target::Drain(..) | Target::InPool(_) | Target::Elsewhere => true,
        })
    }

    /// Deletes an RRset. What several members share loses the sender's part only.
    pub(super) fn delete_rrset(&mut self, target: Target, name: &[u8], rtype: Rtype) -> Result<(), Refusal> {
        let labels = target.pool().and_then(|pool| name.strip_suffix(pool.as_ref()));
        // Nothing that leads elsewhere stands at or below a pool.
        let is_pools = |labels| pool_needs(labels, rtype) && !leads_elsewhere(rtype);
        if labels.is_some_and(is_pools) && !self.is_of_name_alone(&target, name, &[rtype])? {
            return self.delete_membership(target, Some(rtype));
        }
        if let Some(draft) = self.name_to_delete(&target, name, rtype) {
            draft.delete_rrset(rtype);
            return Ok(());
        }
        self.delete_nothing(target)
    }

    /// Deletes all RRsets of a name: what membership has there, and the ordinary ones as far as the sender may.
    pub(super) fn delete_name(&mut self, target: Target, name: &[u8]) -> Result<(), Refusal> {
        let is_pools =
            matches!(target, Target::Pool(_) | Target::Member(..) | Target::Service(..) | Target::Drain(..));
        let standing = match self.names.get(name) {
            Some(draft) => draft.deletable(),
            None => NameDraft::of(self.publisher, name, self.terms.now_ms).deletable(),
        };
        let is_alone = self.is_of_name_alone(&target, name, &standing)?;
        let may_change = !standing.is_empty() && self.may_change(name, &standing, &[]).is_ok();
        if !is_pools || is_alone || may_change {
            self.name(name).delete_name();
        }
        if is_alone { Ok(()) } else { self.delete_membership(target, None) }
    }

    /// Deletes what membership shows at a name, of one type or of all.
    pub(super) fn delete_membership(&mut self, target: Target, rtype: Option<Rtype>) -> Result<(), Refusal> {
        match target {
            Target::Member(pool, member) => self.draft(pool, member).delete_at_own_name(rtype),
            Target::Pool(pool) => {
                for member in self.own_members(&pool)? {
                    let draft = self.draft(pool.clone(), member);
                    draft.delete_addresses(rtype);
                    draft.delete_bindings(rtype, None);
                }
            }
            Target::Service(pool, service) if matches!(rtype, None | Some(Rtype::SRV)) => {
                for member in self.own_members(&pool)? {
                    self.draft(pool.clone(), member).delete_service(&service, None);
                }
            }
            Target::Drain(pool, member) if matches!(rtype, None | Some(Rtype::TXT)) => {
                self.undrain(pool, member);
            }
            Target::Service(pool, _) | Target::Drain(pool, _) | Target::InPool(pool) if rtype.is_some() => {
                return self.delete_nothing(Target::InPool(pool));
            }
            Target::Service(..) | Target::Drain(..) | Target::InPool(_) | Target::Elsewhere => {}
        }
        Ok(())
    }

    /// A deletion of what is not there does nothing, and takes a grant like one that does.
    pub(super) fn delete_nothing(&mut self, target: Target) -> Result<(), Refusal> {
        match target {
            Target::Member(pool, member) => _ = self.draft(pool, member),
            Target::Pool(pool) | Target::Service(pool, _) | Target::Drain(pool, _) | Target::InPool(pool) => {
                _ = self.grant(&self.pool_text(&pool), &[])?;
            }
            Target::Elsewhere => {}
        }
        Ok(())
    }

    /// Deletes one record. A SRV is known by its service, port and target; its priority and weight do not matter.
    pub(super) fn delete_record(
        &mut self,
        target: Target,
        name: &[u8],
        rtype: Rtype,
        rdata: &[u8],
    ) -> Result<(), Refusal> {
        let target = if self.is_of_name_alone(&target, name, &[rtype])? { Target::Elsewhere } else { target };
        match (target, rtype) {
            (Target::Member(pool, member), Rtype::A | Rtype::AAAA) => {
                self.draft(pool, member).delete_address(address_in(rdata));
            }
            (Target::Pool(pool), Rtype::A | Rtype::AAAA) => {
                let ip = address_in(rdata);
                for member in self.own_members(&pool)? {
                    self.draft(pool.clone(), member).delete_address(ip);
                }
            }
            (Target::Pool(pool), Rtype::SVCB | Rtype::HTTPS) => {
                let member = Self::bound_member(&pool, name, rtype, rdata)?;
                self.draft(pool, member).delete_bindings(Some(rtype), Some(rdata));
            }
            (Target::Member(pool, member), Rtype::TXT) => {
                self.draft(pool, member).delete_attributes(rdata);
            }
            (Target::Drain(pool, member), Rtype::TXT) => self.undrain(pool, member),
            (Target::Service(pool, service), Rtype::SRV) => {
                let srv = Srv::read(rdata).ok_or(WireError::BadRdata { at: 0, rtype })?;
                match srv.member(&pool) {
                    Ok(member) => self.draft(pool, member).delete_service(&service, Some(srv.port)),
                    // Nobody has such a service.
                    Err(_) => self.delete_nothing(Target::Service(pool, service))?,
                }
            }
            (target, _) => {
                if let Some(draft) = self.name_to_delete(&target, name, rtype) {
                    draft.delete_record(rtype, rdata);
                } else {
                    self.delete_nothing(target)?;
                }
            }
        }
        Ok(())
    }

    /// What the name of a deletion would be in a pool that is not known: who left, and whose pool was forgotten since, may
    /// leave again.
    pub(super) fn would_be(&mut self, name: &[u8]) -> Target {
        let (publisher, now_ms) = (self.publisher, self.terms.now_ms);
        let has_records = || !NameDraft::of(publisher, name, now_ms).is_empty();
        let mut may_create = |pool: &[u8]| may_create(publisher, &mut self.creatable, pool, now_ms);
        match potential(publisher, name, &mut may_create) {
            Some(target) if !self.names.contains_key(name) && !has_records() => target,
            _ => Target::Elsewhere,
        }
    }
}
