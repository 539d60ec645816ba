//! A message's net result: each member that it touches is drafted, every record is tried on the draft, and only what
//! stands at the end counts. So delete-then-add is a heartbeat, or a change of address, and never a leave and a join.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::draft::{Draft, Ignored, Registration, Srv, Verdict, address, ips};
use super::message::Command;
use super::names::{Target, address_label, classify};
use super::{Refusal, Sent, attributes};
use crate::membership::{Member, MemberName, PoolHandle, Roll};
use crate::security::{Grant, Grants};
use crate::wire::{LeaseOption, Rtype, name_text};
use crate::zone::Publisher;

/// What a message comes to, once all of it is allowed.
pub(super) struct Plan {
    pub verdicts: Vec<Verdict>,
    /// The lease granted, milliseconds; the least of all, if pools differ. `None` if nothing was renewed.
    pub lease_ms: Option<u32>,
    /// Attributes that a heartbeat had wrong: ignored, and logged.
    pub ignored: Vec<Ignored>,
}

/// The drafts of one message.
pub(super) struct Drafts<'a> {
    pub publisher: &'a Publisher,
    pub roll: &'a Roll,
    pub grants: &'a Grants,
    pub sent: &'a Sent,
    pub now_ms: u64,
    drafts: BTreeMap<(PoolHandle, MemberName), Draft>,
}

impl<'a> Drafts<'a> {
    pub fn new(
        publisher: &'a Publisher,
        roll: &'a Roll,
        grants: &'a Grants,
        sent: &'a Sent,
        now_ms: u64,
    ) -> Self {
        Drafts { publisher, roll, grants, sent, now_ms, drafts: BTreeMap::new() }
    }

    fn draft(&mut self, pool: PoolHandle, name: MemberName) -> &mut Draft {
        let (roll, now_ms) = (self.roll, self.now_ms);
        self.drafts.entry((pool, name)).or_insert_with_key(|(pool, name)| Draft::of(roll, pool, name, now_ms))
    }

    /// The grant under which the sender may do something to a member that has these addresses. One that covers them all
    /// comes first; an address that stands already and is in no grant does not keep its member from leaving.
    fn grant(&self, pool: &[u8], addresses: &[IpAddr], named: &[IpAddr]) -> Result<&'a Grant, Refusal> {
        let Sent { sender, source } = self.sent;
        let text = self.pool_text(pool);
        let all = self.grants.find(sender, *source, &text, addresses);
        Ok(all.or_else(|_| self.grants.find(sender, *source, &text, named))?)
    }

    /// Members of a pool as they stand after the records before this one: those on the roll, and those drafted.
    fn standing<'s>(&'s self, pool: &'s PoolHandle) -> impl Iterator<Item = (&'s MemberName, &'s Member)> {
        let now_ms = self.now_ms;
        let key = move |name: &MemberName| (PoolHandle::clone(pool), name.clone());
        let on_roll = self.roll.members(pool).filter(move |(name, entry)| {
            entry.member.ends_ms(entry.ends_ms(self.roll.leases())) > now_ms
                && !self.drafts.contains_key(&key(name))
        });
        let drafted = self.drafts.iter().filter(move |((drafted, _), _)| drafted == pool);
        on_roll
            .map(|(name, entry)| (name, entry.member.as_ref()))
            .chain(drafted.map(|((_, name), draft)| (name, &draft.member)))
    }

    /// Members of a pool that the sender owns, for deletions of what several members share.
    fn own_members(&self, pool: &PoolHandle) -> Result<Vec<MemberName>, Refusal> {
        self.grant(pool, &[], &[])?;
        let is_own = |member: &Member| {
            // Drafted just now, by the sender.
            member.owner.is_empty()
                || self.grant(pool, &ips(member), &[]).is_ok_and(|grant| self.owner(grant) == member.owner)
        };
        Ok(self.standing(pool).filter(|(_, member)| is_own(member)).map(|(name, _)| name.clone()).collect())
    }

    fn owner(&self, grant: &Grant) -> Box<str> {
        grant.owner(&self.sent.sender, self.sent.source)
    }

    /// The member of a pool that has this address, or the name that it gets by it. The name is tried first: for a heartbeat
    /// in the short form nobody else is looked at.
    fn member_at(&self, pool: &PoolHandle, ip: IpAddr) -> MemberName {
        let has_it = |member: &Member| member.addresses.iter().any(|address| address.ip == ip);
        let label = address_label(ip);
        let draft = || Draft::of(self.roll, pool, &label, self.now_ms);
        if !self.drafts.contains_key(&(PoolHandle::clone(pool), label.clone())) && has_it(&draft().member) {
            return label;
        }
        let known = self.standing(pool).find(|(_, member)| has_it(member)).map(|(name, _)| name.clone());
        known.unwrap_or(label)
    }

    /// The pool's name as grants spell it: relative to the zone, without a closing dot.
    fn pool_text(&self, pool: &[u8]) -> String {
        let labels = pool.strip_suffix(self.publisher.zone().apex()).unwrap_or(pool);
        name_text(labels)
    }

    /// Tries one record on the drafts.
    pub fn apply(&mut self, command: &Command) -> Result<(), Refusal> {
        let target = classify(self.publisher, command.name());
        match command {
            Command::Add { name, rtype, ttl_s, rdata } => self.add(target, name, *rtype, *ttl_s, rdata),
            Command::DeleteRrset { name, rtype } => self.delete_rrset(target, name, Some(*rtype)),
            Command::DeleteName { name } => self.delete_rrset(target, name, None),
            Command::DeleteRecord { name, rtype, rdata } => self.delete_record(target, name, *rtype, rdata),
        }
    }

    fn add(
        &mut self,
        target: Target,
        name: &[u8],
        rtype: Rtype,
        ttl_s: u32,
        rdata: &[u8],
    ) -> Result<(), Refusal> {
        let refused = || Refusal::NotMembership { name: name.into(), rtype };
        match (target, rtype) {
            (Target::Member(pool, member), Rtype::A | Rtype::AAAA) => {
                let ip = address(rdata).ok_or_else(refused)?;
                self.draft(pool, member).add_address(ip, ttl_s)
            }
            (Target::Pool(pool), Rtype::A | Rtype::AAAA) => {
                let ip = address(rdata).ok_or_else(refused)?;
                let member = self.member_at(&pool, ip);
                self.draft(pool, member).add_address(ip, ttl_s)
            }
            (Target::Member(pool, member), Rtype::TXT) => {
                self.draft(pool, member).add_attributes(rdata);
                Ok(())
            }
            (Target::Service(pool, service), Rtype::SRV) => {
                let srv = Srv::read(rdata).ok_or_else(refused)?;
                let member = srv.member(&pool)?;
                self.draft(pool, member).add_service(service, &srv)
            }
            _ => Err(refused()),
        }
    }

    /// Deletes an RRset, or with `rtype` `None` all of them. What several members share loses the sender's part only.
    fn delete_rrset(&mut self, target: Target, name: &[u8], rtype: Option<Rtype>) -> Result<(), Refusal> {
        match target {
            Target::Member(pool, member) => {
                self.draft(pool, member).delete_at_own_name(rtype);
                Ok(())
            }
            Target::Pool(pool) => {
                for member in self.own_members(&pool)? {
                    self.draft(pool.clone(), member).delete_addresses(rtype);
                }
                Ok(())
            }
            Target::Service(pool, service) => {
                if matches!(rtype, None | Some(Rtype::SRV)) {
                    for member in self.own_members(&pool)? {
                        let draft = self.draft(pool.clone(), member);
                        draft.member.services.retain(|offer| offer.service != service);
                    }
                }
                Ok(())
            }
            Target::InPool(_) | Target::Elsewhere => {
                Err(Refusal::NotMembership { name: name.into(), rtype: rtype.unwrap_or(Rtype::ANY) })
            }
        }
    }

    /// Deletes one record. A SRV is known by its service, port and target; its priority and weight do not matter.
    fn delete_record(
        &mut self,
        target: Target,
        name: &[u8],
        rtype: Rtype,
        rdata: &[u8],
    ) -> Result<(), Refusal> {
        match (target, rtype) {
            (Target::Member(pool, member), Rtype::A | Rtype::AAAA) => {
                self.draft(pool, member).delete_address(address(rdata));
            }
            (Target::Pool(pool), Rtype::A | Rtype::AAAA) => {
                let ip = address(rdata);
                let member = ip.map(|ip| self.member_at(&pool, ip));
                if let Some(member) = member {
                    self.draft(pool, member).delete_address(ip);
                }
            }
            (Target::Member(pool, member), Rtype::TXT) => {
                let draft = self.draft(pool, member);
                attributes::strings(rdata)
                    .for_each(|string| attributes::remove(&mut draft.member.attributes, string));
            }
            (Target::Service(pool, service), Rtype::SRV) => {
                let refused = || Refusal::NotMembership { name: name.into(), rtype };
                let srv = Srv::read(rdata).ok_or_else(refused)?;
                let member = srv.member(&pool)?;
                let services = &mut self.draft(pool, member).member.services;
                services.retain(|offer| offer.service != service || offer.port != srv.port);
            }
            _ => return Err(Refusal::NotMembership { name: name.into(), rtype }),
        }
        Ok(())
    }

    /// Judges what stands at the end: all of it is allowed, or nothing is done. `wish` is the lease option, if there was
    /// one; `run` the server's run.
    pub fn finish(mut self, wish: Option<LeaseOption>, run: u32) -> Result<Plan, Refusal> {
        let mut plan = Plan { verdicts: Vec::new(), lease_ms: None, ignored: Vec::new() };
        self.check_services()?;
        for ((pool, name), mut draft) in std::mem::take(&mut self.drafts) {
            draft.forget_what_fell();
            let stands_at = match &draft.before {
                Some((before, _)) if draft.member.addresses.is_empty() => ips(before),
                _ => ips(&draft.member),
            };
            let grant = self.grant(&pool, &stands_at, &draft.named_addresses)?;
            let owner = self.owner(grant);
            if let Some((before, _)) = &draft.before
                && before.owner != owner
                && !grant.admin
            {
                let owner = before.owner.clone();
                return Err(Refusal::NotOwner { pool: pool.as_ref().into(), name, owner });
            }
            let settings =
                self.publisher.pool(&pool).map_or(&self.publisher.settings().defaults, Arc::as_ref);
            let wish_s = wish.map(|wish| wish.lease_s).or(grant.lease_s);
            let lease_ms = match wish_s {
                Some(0) => 0,
                _ => settings.leases.grant(wish_s.map(|seconds| u64::from(seconds) * 1000)),
            };
            let registration = Registration { owner, lease_ms, run, now_ms: self.now_ms };
            let names_any = draft.names_any();
            if let Some(verdict) = draft.judge(pool, name, &registration, &mut plan.ignored)? {
                if names_any && verdict.keep.is_some() {
                    plan.lease_ms = Some(plan.lease_ms.map_or(lease_ms, |least_ms| least_ms.min(lease_ms)));
                }
                plan.verdicts.push(verdict);
            }
        }
        Ok(plan)
    }

    /// A pool offers so many services and no more. Only a message that brings a new one is looked at.
    fn check_services(&self) -> Result<(), Refusal> {
        let named = |draft: &'_ Draft| {
            draft.named_services.iter().map(|(service, _)| service.clone()).collect::<Vec<_>>()
        };
        let mut pools = BTreeSet::new();
        for ((pool, _), draft) in &self.drafts {
            if named(draft).iter().any(|service| !self.publisher.knows_service(pool, service)) {
                pools.insert(pool);
            }
        }
        for pool in pools {
            let services = self.standing(pool).flat_map(|(_, member)| &member.services);
            let offered: BTreeSet<&[u8]> = services.map(|offer| offer.service.as_ref()).collect();
            if offered.len() > Publisher::SERVICES_MAX {
                let (pool, most) = (name_text(pool), Publisher::SERVICES_MAX);
                return Err(Refusal::Limit(format!("pool {pool} may offer {most} services")));
            }
        }
        Ok(())
    }
}
