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
    /// How long those whom the message is about, and who stay, will be members, milliseconds; the least of all. `None` if
    /// nobody stays.
    pub lease_ms: Option<u64>,
    /// Attributes that a heartbeat had wrong: ignored, and logged.
    pub ignored: Vec<Ignored>,
}

/// Members that one message may have looked at for deletions of shared names and for members known by their addresses: some
/// 50 ms of the registrar's time. A member's own names need no looking.
const LOOKED_AT_MAX: usize = 1_000_000;

/// What a message's registrations depend on besides its records.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// When it was received, monotonic milliseconds.
    pub now_ms: u64,
    /// The lease option, if there was one.
    pub wish: Option<LeaseOption>,
    /// The server's run.
    pub run: u32,
}

/// The drafts of one message.
pub(super) struct Drafts<'a> {
    publisher: &'a Publisher,
    roll: &'a Roll,
    grants: &'a Grants,
    sent: &'a Sent,
    terms: Terms,
    drafts: BTreeMap<PoolHandle, BTreeMap<MemberName, Draft>>,
    looked_at: usize,
    /// Pools of which every member was looked at.
    searched: BTreeSet<PoolHandle>,
}

impl<'a> Drafts<'a> {
    /// No drafts yet.
    pub fn new(
        publisher: &'a Publisher,
        roll: &'a Roll,
        grants: &'a Grants,
        sent: &'a Sent,
        terms: Terms,
    ) -> Self {
        Drafts {
            publisher,
            roll,
            grants,
            sent,
            terms,
            drafts: BTreeMap::new(),
            looked_at: 0,
            searched: BTreeSet::new(),
        }
    }

    fn draft(&mut self, pool: PoolHandle, name: MemberName) -> &mut Draft {
        let (roll, now_ms) = (self.roll, self.terms.now_ms);
        let drafts = self.drafts.entry(PoolHandle::clone(&pool)).or_default();
        drafts.entry(name).or_insert_with_key(|name| Draft::of(roll, &pool, name, now_ms))
    }

    /// Whether anything that the message is judged by has a change that is not published yet, and may be taken back.
    pub fn touch(&self, unpublished: &BTreeMap<PoolHandle, BTreeSet<MemberName>>) -> bool {
        let is_pending = |(pool, drafts): (&PoolHandle, &BTreeMap<MemberName, Draft>)| {
            unpublished.get(pool).is_some_and(|names| drafts.keys().any(|name| names.contains(name)))
        };
        self.drafts.iter().any(is_pending) || self.searched.iter().any(|pool| unpublished.contains_key(pool))
    }

    /// The grant under which the sender may do something to a member that has these addresses. One that covers them all
    /// comes first; an address that stands already and is in no grant does not keep its member from leaving.
    fn grant(&self, text: &str, addresses: &[IpAddr], named: &[IpAddr]) -> Result<&'a Grant, Refusal> {
        let Sent { sender, source } = self.sent;
        let all = self.grants.find(sender, *source, text, addresses);
        Ok(all.or_else(|_| self.grants.find(sender, *source, text, named))?)
    }

    /// Members of a pool as they stand after the records before this one: those on the roll, and those drafted.
    fn standing(&self, pool: &[u8]) -> impl Iterator<Item = (&MemberName, &Member)> {
        let drafts = self.drafts.get(pool);
        let on_roll = self.roll.members(pool).filter(move |(name, entry)| {
            let ends_ms = entry.member.ends_ms(entry.ends_ms(self.roll.leases()));
            ends_ms > self.terms.now_ms && !drafts.is_some_and(|drafts| drafts.contains_key(*name))
        });
        let drafted = drafts.into_iter().flatten();
        on_roll
            .map(|(name, entry)| (name, entry.member.as_ref()))
            .chain(drafted.map(|(name, draft)| (name, &draft.member)))
    }

    /// Looks at a pool's standing members, within what one message may have looked at.
    fn look(
        &mut self,
        pool: &PoolHandle,
        is_it: impl Fn(&Self, &Member) -> bool,
        most: usize,
    ) -> Result<Vec<MemberName>, Refusal> {
        if self.looked_at > LOOKED_AT_MAX {
            let text =
                "one message deletes too many shared names of large pools: split it, or name the members";
            return Err(Refusal::Limit(text.to_owned()));
        }
        self.searched.insert(pool.clone());
        let mut looked_at = 0;
        let standing = self.standing(pool).inspect(|_| looked_at += 1);
        let found =
            standing.filter(|(_, member)| is_it(self, member)).map(|(name, _)| name.clone()).take(most);
        let found = found.collect();
        self.looked_at += looked_at;
        Ok(found)
    }

    /// Members of a pool that the sender owns, for deletions of what several members share.
    fn own_members(&mut self, pool: &PoolHandle) -> Result<Vec<MemberName>, Refusal> {
        let text = self.pool_text(pool);
        let owner = self.owner(self.grant(&text, &[], &[])?);
        let is_own = |drafts: &Self, member: &Member| {
            // Drafted just now by the sender, or owned under the pool's first grant, or under one for its addresses.
            member.owner.is_empty()
                || member.owner == owner
                || drafts
                    .grant(&text, &ips(member), &[])
                    .is_ok_and(|grant| drafts.owner(grant) == member.owner)
        };
        self.look(pool, is_own, usize::MAX)
    }

    fn owner(&self, grant: &Grant) -> Box<str> {
        grant.owner(&self.sent.sender, self.sent.source)
    }

    /// The member of a pool that has this address, or the name that it gets by it. The name is tried first: for a heartbeat
    /// in the short form nobody else is looked at.
    fn member_at(&mut self, pool: &PoolHandle, ip: IpAddr) -> Result<MemberName, Refusal> {
        let has_it = |member: &Member| member.addresses.iter().any(|address| address.ip == ip);
        let label = address_label(ip);
        let is_drafted = self.drafts.get(pool).is_some_and(|drafts| drafts.contains_key(&label));
        if !is_drafted && has_it(&Draft::of(self.roll, pool, &label, self.terms.now_ms).member) {
            return Ok(label);
        }
        let known = self.look(pool, |_, member| has_it(member), 1)?;
        // Deleted by a record before this one, it is that member's again: delete-then-add is a heartbeat.
        let had_it = |draft: &Draft| draft.before.as_ref().is_some_and(|(before, _)| has_it(before));
        let drafted = self.drafts.get(pool).into_iter().flatten().find(|(_, draft)| had_it(draft));
        Ok(known.into_iter().next().or_else(|| drafted.map(|(name, _)| name.clone())).unwrap_or(label))
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
        if let Some(ip) = address(rdata).filter(|ip| rtype == Rtype::AAAA && ip.to_canonical() != *ip) {
            return Err(Refusal::Mapped { name: name.into(), ip });
        }
        match (target, rtype) {
            (Target::Member(pool, member), Rtype::A | Rtype::AAAA) => {
                let ip = address(rdata).ok_or_else(refused)?;
                self.draft(pool, member).add_address(ip, ttl_s)
            }
            (Target::Pool(pool), Rtype::A | Rtype::AAAA) if self.publisher.is_declared(&pool) => {
                let ip = address(rdata).ok_or_else(refused)?;
                let member = self.member_at(&pool, ip)?;
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
                for member in self.own_members(&pool)? {
                    self.draft(pool.clone(), member).delete_address(ip);
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

    /// Judges what stands at the end: all of it is allowed, or nothing is done.
    pub fn finish(mut self) -> Result<Plan, Refusal> {
        let mut plan = Plan { verdicts: Vec::new(), lease_ms: None, ignored: Vec::new() };
        self.check_services()?;
        for (pool, drafts) in std::mem::take(&mut self.drafts) {
            let text = self.pool_text(&pool);
            for (name, draft) in drafts {
                let before = draft.before.as_ref().map(|(before, ends_ms)| before.ends_ms(*ends_ms));
                let verdict = self.judge(&pool, &text, name, draft, &mut plan.ignored)?;
                let ends_ms = match &verdict {
                    None => before,
                    Some(verdict) => verdict.keep.as_ref().map(|(member, ends_ms)| member.ends_ms(*ends_ms)),
                };
                let left_ms = ends_ms.map(|ends_ms| ends_ms.saturating_sub(self.terms.now_ms));
                plan.lease_ms = plan.lease_ms.into_iter().chain(left_ms).min();
                plan.verdicts.extend(verdict);
            }
        }
        Ok(plan)
    }

    fn judge(
        &self,
        pool: &PoolHandle,
        text: &str,
        name: MemberName,
        mut draft: Draft,
        ignored: &mut Vec<Ignored>,
    ) -> Result<Option<Verdict>, Refusal> {
        draft.forget_what_fell();
        let stands_at = match &draft.before {
            Some((before, _)) if draft.member.addresses.is_empty() => ips(before),
            _ => ips(&draft.member),
        };
        let grant = self.grant(text, &stands_at, &draft.named_addresses)?;
        let owner = self.owner(grant);
        if let Some((before, _)) = &draft.before
            && before.owner != owner
            && !grant.admin
        {
            let owner = before.owner.clone();
            return Err(Refusal::NotOwner { pool: pool.as_ref().into(), name, owner });
        }
        let Terms { now_ms, wish, run } = self.terms;
        let settings = self.publisher.pool(pool).map_or(&self.publisher.settings().defaults, Arc::as_ref);
        let wish_s = wish.map(|wish| wish.lease_s).or(grant.lease_s);
        let lease_ms = match wish_s {
            Some(0) => 0,
            _ => settings.leases.grant(wish_s.map(|seconds| u64::from(seconds) * 1000)),
        };
        let registration = Registration { owner, lease_ms, run, now_ms };
        draft.judge(PoolHandle::clone(pool), name, &registration, ignored)
    }

    /// A pool offers so many services and no more. Only a message that brings one which the pool does not know is looked at.
    fn check_services(&self) -> Result<(), Refusal> {
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
