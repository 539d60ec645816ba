//! A message's net result: each member that it touches is drafted, every record is tried on the draft, and only what
//! stands at the end counts. So delete-then-add is a heartbeat, or a change of address, and never a leave and a join.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::attributes::{self, BadAttribute};
use super::message::Command;
use super::names::{Target, address_label, classify, member_of};
use super::{Refusal, Sent};
use crate::membership::{Address, Attributes, FOLLOWS_LEASE, Member, MemberName, PoolHandle, Roll, Service};
use crate::security::{Grant, Grants};
use crate::wire::{LeaseOption, Rtype, label_text, lower, name_text};
use crate::zone::Publisher;

/// Most addresses of a member.
const ADDRESSES_MAX: usize = 16;
/// Most services of a member.
const SERVICES_MAX: usize = 32;

/// What shall become of one member.
pub(super) struct Verdict {
    pub pool: PoolHandle,
    pub name: MemberName,
    /// The member and when its lease ends, monotonic milliseconds; `None` leaves.
    pub keep: Option<(Member, u64)>,
}

/// What a message comes to, once all of it is allowed.
pub(super) struct Plan {
    pub verdicts: Vec<Verdict>,
    /// The lease granted, milliseconds; the least of all, if pools differ. `None` if nothing was renewed.
    pub lease_ms: Option<u32>,
    /// Attributes that a heartbeat had wrong: ignored, and logged.
    pub ignored: Vec<Ignored>,
}

/// An attribute that a heartbeat had wrong.
#[derive(Debug, thiserror::Error)]
#[error("{} of pool {}: {bad}", label_text(name), name_text(pool))]
pub struct Ignored {
    pool: Box<[u8]>,
    name: MemberName,
    bad: BadAttribute,
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

struct Draft {
    /// The member as it stands, and when its lease ends.
    before: Option<(Arc<Member>, u64)>,
    member: Member,
    named_addresses: Vec<IpAddr>,
    named_services: Vec<(Box<[u8]>, u16)>,
    named_attributes: bool,
    ignored: Vec<BadAttribute>,
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

/// What a registration adds to what the message says.
struct Registration {
    owner: Box<str>,
    lease_ms: u32,
    run: u32,
    now_ms: u64,
}

impl Draft {
    /// A draft of a member as it stands at `now_ms`, whatever the roll's wheel has got to.
    fn of(roll: &Roll, pool: &[u8], name: &[u8], now_ms: u64) -> Self {
        let standing =
            roll.find(pool, name).map(|entry| (Arc::clone(&entry.member), entry.ends_ms(roll.leases())));
        let before = standing.filter(|(member, ends_ms)| member.ends_ms(*ends_ms) > now_ms);
        let member = match &before {
            Some((member, _)) => member.without_lapsed(now_ms),
            None => Member {
                owner: "".into(),
                lease_ms: 0,
                own_ttl_s: 0,
                heard_run: 0,
                addresses: Vec::new(),
                services: Vec::new(),
                attributes: Attributes::default(),
            },
        };
        Draft {
            before,
            member,
            named_addresses: Vec::new(),
            named_services: Vec::new(),
            named_attributes: false,
            ignored: Vec::new(),
        }
    }

    /// What a later record of the message deleted again was not named: only the net result counts.
    fn forget_what_fell(&mut self) {
        let member = &self.member;
        self.named_addresses.retain(|ip| member.addresses.iter().any(|address| address.ip == *ip));
        self.named_services.retain(|(service, port)| {
            member.services.iter().any(|offer| (&offer.service, offer.port) == (service, *port))
        });
    }

    fn names_any(&self) -> bool {
        self.named_attributes || !self.named_addresses.is_empty() || !self.named_services.is_empty()
    }

    fn add_address(&mut self, ip: IpAddr, ttl_s: u32) -> Result<(), Refusal> {
        self.member.own_ttl_s = ttl_s;
        if !self.member.addresses.iter().any(|address| address.ip == ip) {
            if self.member.addresses.len() >= ADDRESSES_MAX {
                return Err(Refusal::Limit(format!("a member has at most {ADDRESSES_MAX} addresses")));
            }
            self.member.addresses.push(Address { ip, lapses_ms: FOLLOWS_LEASE });
            self.member.addresses.sort_unstable_by_key(|address| address.ip);
        }
        if !self.named_addresses.contains(&ip) {
            self.named_addresses.push(ip);
        }
        Ok(())
    }

    fn add_service(&mut self, service: Box<[u8]>, srv: &Srv) -> Result<(), Refusal> {
        let key = (service, srv.port);
        let services = &mut self.member.services;
        match services.iter().position(|offer| offer.service == key.0 && offer.port == key.1) {
            Some(at) => {
                if let Some(offer) = services.get_mut(at) {
                    (offer.priority, offer.weight) = (srv.priority, srv.weight);
                }
            }
            None if services.len() >= SERVICES_MAX => {
                return Err(Refusal::Limit(format!("a member has at most {SERVICES_MAX} services")));
            }
            None => {
                services.push(Service {
                    service: key.0.clone(),
                    port: srv.port,
                    priority: srv.priority,
                    weight: srv.weight,
                    lapses_ms: FOLLOWS_LEASE,
                });
                services.sort_by(|one, other| (&one.service, one.port).cmp(&(&other.service, other.port)));
            }
        }
        if !self.named_services.contains(&key) {
            self.named_services.push(key);
        }
        Ok(())
    }

    fn add_attributes(&mut self, rdata: &[u8]) {
        self.named_attributes = true;
        for string in attributes::strings(rdata) {
            self.ignored.extend(attributes::merge(&mut self.member.attributes, string).err());
        }
    }

    fn delete_at_own_name(&mut self, rtype: Option<Rtype>) {
        if rtype.is_none() {
            self.member.services.clear();
        }
        if matches!(rtype, None | Some(Rtype::TXT)) {
            self.member.attributes.clear();
        }
        self.delete_addresses(rtype);
    }

    fn delete_addresses(&mut self, rtype: Option<Rtype>) {
        self.member.addresses.retain(|address| match rtype {
            None => false,
            Some(Rtype::A) => address.ip.is_ipv6(),
            Some(Rtype::AAAA) => address.ip.is_ipv4(),
            Some(_) => true,
        });
    }

    fn delete_address(&mut self, ip: Option<IpAddr>) {
        self.member.addresses.retain(|address| Some(address.ip) != ip);
    }

    /// Join, heartbeat, change, leave, or nothing.
    fn judge(
        mut self,
        pool: PoolHandle,
        name: MemberName,
        registration: &Registration,
        ignored: &mut Vec<Ignored>,
    ) -> Result<Option<Verdict>, Refusal> {
        let leaves = self.member.addresses.is_empty() || (self.names_any() && registration.lease_ms == 0);
        if self.before.is_none() {
            // A join has to be right in everything; LEASE 0 for a member that is not there asks for nothing.
            if leaves {
                let is_refused =
                    self.names_any() && registration.lease_ms > 0 && self.member.addresses.is_empty();
                let pool = pool.as_ref().into();
                return match (is_refused, self.named_services.is_empty(), self.named_addresses.is_empty()) {
                    (true, false, true) => Err(Refusal::NoAddress { pool, name }),
                    (true, true, true) => Err(Refusal::NotRegistered { pool, name }),
                    _ => Ok(None),
                };
            }
            if let Some(bad) = self.ignored.pop() {
                return Err(bad.into());
            }
            self.member.owner = registration.owner.clone();
        }
        ignored.extend(self.ignored.drain(..).map(|bad| Ignored {
            pool: pool.as_ref().into(),
            name: name.clone(),
            bad,
        }));
        // A deletion of what was not there touches nobody.
        if self.before.as_ref().is_some_and(|(before, _)| **before == self.member && !self.names_any()) {
            return Ok(None);
        }
        let keep = if leaves { None } else { Some(self.renewed(registration)) };
        Ok(Some(Verdict { pool, name, keep }))
    }

    /// The member with its records' ends: those that the message names live for the lease from now on, all others keep
    /// the end that they had. The lease itself ends with the last of them. Attributes alone renew everything.
    fn renewed(mut self, registration: &Registration) -> (Member, u64) {
        let old_ends_ms = self.before.as_ref().map_or(0, |(_, ends_ms)| *ends_ms);
        if !self.names_any() {
            return (self.member, old_ends_ms);
        }
        let new_ends_ms = registration.now_ms + u64::from(registration.lease_ms);
        let is_whole = self.named_addresses.is_empty() && self.named_services.is_empty();
        let end_of = |is_named: bool, lapses_ms: u64| {
            if is_named || is_whole { new_ends_ms } else { lapses_ms.min(old_ends_ms) }
        };
        for address in &mut self.member.addresses {
            address.lapses_ms = end_of(self.named_addresses.contains(&address.ip), address.lapses_ms);
        }
        for offer in &mut self.member.services {
            let is_named = self
                .named_services
                .iter()
                .any(|(service, port)| (service, *port) == (&offer.service, offer.port));
            offer.lapses_ms = end_of(is_named, offer.lapses_ms);
        }
        let addresses = self.member.addresses.iter_mut().map(|address| &mut address.lapses_ms);
        let mut ends: Vec<&mut u64> =
            addresses.chain(self.member.services.iter_mut().map(|offer| &mut offer.lapses_ms)).collect();
        let lease_ends_ms = ends.iter().map(|end_ms| **end_ms).max().unwrap_or(new_ends_ms);
        for end_ms in &mut ends {
            if **end_ms == lease_ends_ms {
                **end_ms = FOLLOWS_LEASE;
            }
        }
        self.member.lease_ms = registration.lease_ms;
        self.member.heard_run = registration.run;
        (self.member, lease_ends_ms)
    }
}

/// A SRV record's rdata (RFC 2782).
struct Srv {
    priority: u16,
    weight: u16,
    port: u16,
    /// Lower-case wire form.
    target: Box<[u8]>,
}

impl Srv {
    fn read(rdata: &[u8]) -> Option<Srv> {
        let (fixed, target) = rdata.split_first_chunk::<6>()?;
        let [p0, p1, w0, w1, o0, o1] = *fixed;
        Some(Srv {
            priority: u16::from_be_bytes([p0, p1]),
            weight: u16::from_be_bytes([w0, w1]),
            port: u16::from_be_bytes([o0, o1]),
            target: lower(target),
        })
    }

    fn member(&self, pool: &PoolHandle) -> Result<MemberName, Refusal> {
        let stranger = || Refusal::SrvTarget { pool: pool.as_ref().into(), target: self.target.clone() };
        member_of(pool, &self.target).ok_or_else(stranger)
    }
}

fn ips(member: &Member) -> Vec<IpAddr> {
    member.addresses.iter().map(|address| address.ip).collect()
}

/// The address in A or AAAA rdata.
fn address(rdata: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(rdata).ok().map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    v4().or_else(|| <[u8; 16]>::try_from(rdata).ok().map(|octets| IpAddr::V6(Ipv6Addr::from(octets))))
}
