//! Whether what stands at the end is allowed, under which grant, and for how long: all of it, or nothing is done.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::{Drafts, Gone, NamePlan, Plan, Terms};
use crate::change::Subject;
use crate::membership::{KEY_LEASE_MS_MAX, LEASE_FOREVER_MS, LeaseRules, MemberName, PoolHandle};
use crate::security::{Asked, Grant, GrantedLease, Place};
use crate::update::draft::{Draft, Ignored, Registration, Verdict, ips};
use crate::update::left::Left;
use crate::update::names::{own_name, target_of, target_text};
use crate::update::ordinary::{Granted, NameDraft};
use crate::update::{Refusal, svcb};
use crate::wire::{Rtype, name_text};
use crate::zone::Publisher;

impl<'a> Drafts<'a> {
    /// A grant for the pool, whose members have these addresses.
    pub(super) fn grant(&self, text: &str, addresses: &[IpAddr]) -> Result<&'a Grant, Refusal> {
        let asked = Asked { place: Place::Pool(text), types: &[], addresses, targets: &[] };
        Ok(self.grants.find(self.sent, &asked)?)
    }

    pub(super) fn owner(&self, grant: &Grant) -> Box<str> {
        grant.owner(&self.sent.sender, self.sent.source)
    }

    /// The grant under which the sender may change ordinary records.
    pub(super) fn may_change(
        &self,
        name: &[u8],
        types: &[Rtype],
        addresses: &[IpAddr],
    ) -> Result<&'a Grant, Refusal> {
        let text = match name == self.publisher.zone().apex() {
            true => "@".to_owned(),
            false => self.pool_text(name),
        };
        let asked = Asked { place: Place::Name(&text), types, addresses, targets: &[] };
        Ok(self.grants.find(self.sent, &asked)?)
    }

    /// The grant under which a draft of ordinary records is allowed. Addresses that it takes away are no more in the way
    /// than a member's, but where a grant is for the sender's own.
    pub(super) fn may_draft(&self, name: &[u8], draft: &NameDraft) -> Result<&'a Grant, Refusal> {
        let types: Vec<_> = draft.types.iter().copied().collect();
        let added: Vec<_> = draft.addresses.iter().copied().collect();
        let grant = self.may_change(name, &types, &added)?;
        if grant.own_address && !draft.deleted_addresses.is_empty() {
            let all: Vec<_> = draft.deleted_addresses.iter().copied().chain(added).collect();
            return self.may_change(name, &types, &all);
        }
        Ok(grant)
    }

    /// Judges the drafts of ordinary records.
    pub(super) fn finish_names(&mut self, plan: &mut Plan) -> Result<(), Refusal> {
        for (name, draft) in std::mem::take(&mut self.names) {
            let grant = self.may_draft(&name, &draft)?;
            let (change, left) = draft.finish(&self.granted(grant));
            match change {
                Some((change, standing)) => plan.names.push(NamePlan { change, standing }),
                None => {
                    let name: Arc<[u8]> = name.into();
                    plan.unchanged.push((Subject::Name(Arc::clone(&name)), name));
                }
            }
            plan.left = plan.left.min(left);
        }
        Ok(())
    }

    /// How long ordinary records stay: as long as the message asks for, within what pools of the zone may have; else for the
    /// grant's lease; else until they are deleted.
    pub(super) fn granted(&self, grant: &Grant) -> Granted {
        let leases = &self.publisher.settings().defaults.leases;
        let clamped = |wish_s: u32| leases.grant(Some(u64::from(wish_s) * 1000));
        let asked_ms = self.terms.wish.map(|wish| clamped(wish.lease_s));
        let lease_ms = match grant.lease {
            GrantedLease::None => None,
            GrantedLease::Pools => asked_ms,
            GrantedLease::Seconds(seconds) => asked_ms.or(Some(clamped(seconds))),
        };
        let key_lease_ms = lease_ms.map(|lease_ms| self.key_lease_ms(lease_ms));
        let has_key_lease = self.terms.wish.is_some_and(|wish| wish.key_lease_s.is_some());
        let Terms { run, now_ms, .. } = self.terms;
        Granted { lease_ms, key_lease_ms, has_key_lease, run, now_ms }
    }

    /// Judges what stands at the end: all of it is allowed, or nothing is done.
    pub fn finish(mut self) -> Result<Plan, Refusal> {
        let (verdicts, names, drains, ignored) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (unchanged, gone) = (Vec::new(), Vec::new());
        let mut plan = Plan { verdicts, names, drains, unchanged, gone, left: Left::Nothing, ignored };
        self.check_services()?;
        self.finish_names(&mut plan)?;
        self.finish_drains(&mut plan)?;
        for (pool, drafts) in std::mem::take(&mut self.drafts) {
            let text = self.pool_text(&pool);
            for (name, mut draft) in drafts {
                draft.forget_what_fell();
                let before = draft.before.as_ref().map(|(before, ends_ms)| before.ends_ms(*ends_ms));
                let own_name = own_name(&pool, &name);
                let subject = Subject::Member(PoolHandle::clone(&pool), name.clone());
                let gone =
                    if draft.before.is_none() { Some(self.gone(&pool, &text, &name, &draft)?) } else { None };
                let verdict = self.judge(&pool, &text, name, draft, &mut plan.ignored)?;
                plan.unchanged.extend(verdict.is_none().then_some((subject, own_name)));
                plan.gone.extend(gone.filter(|_| verdict.is_none()));
                let ends_ms = match &verdict {
                    None => before,
                    Some(verdict) => verdict.keep.as_ref().map(|(member, ends_ms)| member.ends_ms(*ends_ms)),
                };
                let left = ends_ms.map(|ends_ms| Left::until(ends_ms, self.terms.now_ms));
                plan.left = plan.left.min(left.unwrap_or(Left::Nothing));
                plan.verdicts.extend(verdict);
            }
        }
        Ok(plan)
    }

    /// Who is meant by a message about a member that is not there, should it come to nothing.
    fn gone(&self, pool: &PoolHandle, text: &str, name: &MemberName, draft: &Draft) -> Result<Gone, Refusal> {
        let grant = self.grant_for(text, name, draft)?;
        let owner = (!grant.admin).then(|| self.owner(grant));
        Ok(Gone { pool: Arc::clone(pool), name: name.clone(), owner })
    }

    pub(super) fn judge(
        &self,
        pool: &PoolHandle,
        text: &str,
        name: MemberName,
        draft: Draft,
        ignored: &mut Vec<Ignored>,
    ) -> Result<Option<Verdict>, Refusal> {
        let grant = self.grant_for(text, &name, &draft)?;
        let Terms { now_ms, run, .. } = self.terms;
        let owner = self.owner(grant);
        let lease_ms = self.lease_ms(pool, grant);
        let held_by = match &draft.before {
            Some((before, _)) => Some((before.owner.clone(), None)),
            None => {
                let absence = self.roll.absence(pool, &name, now_ms);
                let joins = draft.names_any() && lease_ms > 0;
                let absence = absence.filter(|absence| absence.keeps_name(now_ms) && joins);
                absence.map(|absence| (absence.owner.clone(), Some(absence.name_ends_ms)))
            }
        };
        let others = held_by.filter(|(holder, _)| **holder != *owner);
        // Who takes a free name is its owner from then on.
        let is_by_admin = others.as_ref().is_some_and(|(_, kept_until_ms)| kept_until_ms.is_none());
        if let Some((holder, kept_until_ms)) = others.filter(|_| !grant.admin) {
            let pool = pool.as_ref().into();
            return Err(match kept_until_ms {
                None => Refusal::NotOwner { pool, name, owner: holder.as_ref().into() },
                Some(ends_ms) => {
                    let left_s = ends_ms.saturating_sub(now_ms).div_ceil(1000);
                    Refusal::Kept { pool, name, owner: holder.as_ref().into(), left_s }
                }
            });
        }
        let key_lease_ms = self.key_lease_ms(match lease_ms {
            // Who leaves for good keeps the name as long as who leaves with a lease.
            LEASE_FOREVER_MS => self.leases(pool).default_ms,
            lease_ms => lease_ms,
        });
        let is_asked = self.terms.wish.is_some();
        let registration = Registration { owner, is_by_admin, lease_ms, key_lease_ms, is_asked, run, now_ms };
        draft.judge(PoolHandle::clone(pool), name, &registration, ignored)
    }

    pub(super) fn leases(&self, pool: &PoolHandle) -> &LeaseRules {
        let settings = self.publisher.pool(pool).map_or(&self.publisher.settings().defaults, Arc::as_ref);
        &settings.leases
    }

    /// The lease of a pool's members: what the message asks for, else the grant's, else the pool's.
    pub(super) fn lease_ms(&self, pool: &PoolHandle, grant: &Grant) -> u32 {
        let granted_s = match grant.lease {
            GrantedLease::Seconds(seconds) => Some(seconds),
            GrantedLease::Pools | GrantedLease::None => None,
        };
        let wish_s = self.terms.wish.map(|wish| wish.lease_s).or(granted_s);
        match (wish_s, grant.lease) {
            (Some(0), _) => 0,
            (_, GrantedLease::None) => LEASE_FOREVER_MS,
            _ => self.leases(pool).grant(wish_s.map(|seconds| u64::from(seconds) * 1000)),
        }
    }

    /// How long a name is kept for its owner: for KEY-LEASE, without one for the lease.
    pub(super) fn key_lease_ms(&self, lease_ms: u32) -> u32 {
        let asked_s = self.terms.wish.and_then(|wish| wish.key_lease_s);
        asked_s.map_or(lease_ms, |seconds| seconds.saturating_mul(1000)).min(KEY_LEASE_MS_MAX)
    }

    /// The grant under which the sender may do to a member what it would. One that covers all that stands at the end comes
    /// first; an address that stands already and is in no grant does not keep its member from leaving.
    pub(super) fn grant_for(
        &self,
        text: &str,
        name: &MemberName,
        draft: &Draft,
    ) -> Result<&'a Grant, Refusal> {
        let stands_at = match &draft.before {
            Some((before, _)) if draft.member.addresses.is_empty() => ips(before),
            _ => ips(&draft.member),
        };
        let stands_at: Vec<IpAddr> = stands_at.into_iter().chain(draft.hints()).collect();
        let hinted = draft.named_bindings.iter().flat_map(|(_, rdata)| svcb::hints(rdata));
        let mut named: Vec<IpAddr> = draft.named_addresses.iter().copied().chain(hinted).collect();
        let is_to_go = self.terms.wish.is_some_and(|wish| wish.lease_s == 0);
        if draft.renews_all() && !is_to_go {
            named.clone_from(&stands_at);
        }
        let targets: Vec<String> = target_of(name).map(target_text).into_iter().collect();
        let types: Vec<Rtype> = draft.named_types.iter().copied().collect();
        let asked =
            |addresses| Asked { place: Place::Pool(text), types: &types, addresses, targets: &targets };
        let found = self.grants.find(self.sent, &asked(&stands_at));
        let grant = match (found, self.grants.find(self.sent, &asked(&named))) {
            (Ok(grant), _) => grant,
            // Where a key is shared, the address is all that tells whose member it is.
            (Err(refusal), Ok(grant)) if grant.own_address => return Err(refusal.into()),
            (Err(_), found) => found?,
        };
        if let Some((before, _)) = draft.before.as_ref().filter(|_| grant.own_address) {
            self.grants.find(self.sent, &asked(&ips(before)))?;
        }
        Ok(grant)
    }

    /// A pool offers so many services and no more. Only a message that brings one which the pool does not know is looked at.
    pub(super) fn check_services(&self) -> Result<(), Refusal> {
        for (pool, drafts) in &self.drafts {
            let mut named = drafts.values().flat_map(|draft| &draft.named_services);
            if named.all(|(service, _)| self.publisher.knows_service(pool, service)) {
                continue;
            }
            let staying = self.standing(pool).filter(|(_, member)| !member.addresses.is_empty());
            let services = staying.flat_map(|(_, member)| &member.services);
            let offered: BTreeSet<&[u8]> = services.map(|offer| offer.service.as_ref()).collect();
            if offered.len() > Publisher::SERVICES_MAX {
                let (pool, most) = (name_text(pool), Publisher::SERVICES_MAX);
                return Err(Refusal::Limit(format!("pool {pool} may offer {most} services")));
            }
        }
        Ok(())
    }
}
