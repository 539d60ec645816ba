//! One member as a message would have it: the member as it stands, the records tried on it, and what becomes of it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::Refusal;
use super::attributes::{self, BadAttribute};
use super::drain;
use super::names::{member_of, member_text, target_of};
use super::svcb;
use crate::membership::{
    Address, Attributes, Binding, FOLLOWS_LEASE, List, Load, Member, MemberName, NO_DRAIN, PoolHandle, Roll,
    Said, Service, lease_end_ms,
};
use crate::wire::{Rtype, lower, name_text, same_rdata};

/// Most addresses of a member.
const ADDRESSES_MAX: usize = 16;
/// Most services of a member.
const SERVICES_MAX: usize = 32;

/// Most SVCB and HTTPS records of a member.
const BINDINGS_MAX: usize = 8;
/// Wrong attributes of a heartbeat that are told of, each with a line of its own: a message has room for 32,000.
const IGNORED_MAX: usize = 16;

/// What shall become of one member.
pub(super) struct Verdict {
    pub pool: PoolHandle,
    pub name: MemberName,
    /// The member and when its lease ends, monotonic milliseconds; `None` leaves.
    pub keep: Option<(Member, u64)>,
    /// For how long its name is kept from now on if nothing more is heard of it, milliseconds; `None` as long as before.
    pub key_lease_ms: Option<u32>,
    /// Whether somebody else than its owner says so.
    pub is_by_admin: bool,
    /// What is said of its load.
    pub said: Said,
    /// Whether the message registers anything of it.
    pub renews: bool,
    /// Whether it registers all that is left of it: then all of that ends with the lease.
    pub renews_whole: bool,
}

/// An attribute that a heartbeat had wrong.
#[derive(Debug, thiserror::Error)]
#[error("{} of pool {}: {bad}", member_text(name), name_text(pool))]
pub struct Ignored {
    pool: Box<[u8]>,
    name: MemberName,
    bad: BadAttribute,
}

/// A member, drafted.
pub(super) struct Draft {
    /// The member as it stands, and when its lease ends.
    pub before: Option<(Arc<Member>, u64)>,
    pub member: Member,
    pub named_addresses: Vec<IpAddr>,
    pub named_services: Vec<(Box<[u8]>, u16)>,
    pub named_bindings: Vec<(Rtype, Box<[u8]>)>,
    pub named_attributes: bool,
    /// Every type that the message adds or deletes.
    pub named_types: BTreeSet<Rtype>,
    pub ignored: Vec<BadAttribute>,
    /// What the message says of its load, and what is known of that.
    pub said: Said,
    known_load: Option<Load>,
    /// Whether it is known by a target elsewhere, and so has no address here.
    is_elsewhere: bool,
}

/// What a registration adds to what the message says.
pub(super) struct Registration {
    pub owner: Box<str>,
    /// Whether the member is another owner's.
    pub is_by_admin: bool,
    pub lease_ms: u32,
    pub key_lease_ms: u32,
    /// Whether the message asked for a lease.
    pub is_asked: bool,
    pub run: u32,
    pub now_ms: u64,
}

impl Draft {
    /// A draft of a member as it stands at `now_ms`, whatever the roll's wheel has got to.
    pub fn of(roll: &Roll, pool: &[u8], name: &[u8], now_ms: u64) -> Self {
        let entry = roll.find(pool, name);
        let standing = entry.map(|entry| (Arc::clone(&entry.member), entry.ends_ms(roll.leases())));
        let before = standing.filter(|(member, ends_ms)| member.ends_ms(*ends_ms) > now_ms);
        let known_load = entry.filter(|_| before.is_some()).and_then(|entry| roll.leases().load(entry.lease));
        let member = match &before {
            Some((member, _)) => member.without_lapsed(now_ms),
            None => Member {
                owner: "".into(),
                lease_ms: 0,
                key_lease_ms: 0,
                own_ttl_s: 0,
                heard_run: 0,
                addresses: Vec::new(),
                services: List::default(),
                bindings: List::default(),
                attributes: Attributes::default(),
                drain_ends_ms: NO_DRAIN,
            },
        };
        Draft {
            before,
            member,
            named_addresses: Vec::new(),
            named_services: Vec::new(),
            named_bindings: Vec::new(),
            named_attributes: false,
            named_types: BTreeSet::new(),
            ignored: Vec::new(),
            said: Said::Nothing,
            known_load: known_load.map(|load| load.said),
            is_elsewhere: target_of(name).is_some(),
        }
    }

    /// What a later record of the message deleted again was not named: only the net result counts.
    pub fn forget_what_fell(&mut self) {
        let member = &self.member;
        self.named_addresses.retain(|ip| member.addresses.iter().any(|address| address.ip == *ip));
        self.named_services.retain(|(service, port)| {
            member.services.iter().any(|offer| (&offer.service, offer.port) == (service, *port))
        });
        self.named_bindings
            .retain(|(rtype, rdata)| member.bindings.iter().any(|held| is_it(held, *rtype, rdata)));
    }

    pub fn names_any(&self) -> bool {
        self.named_attributes || self.names_records()
    }

    /// Whether the message has attributes alone: they renew every record.
    pub fn renews_all(&self) -> bool {
        self.named_attributes && !self.names_records()
    }

    /// Whether the message renews every record that the member has.
    fn names_whole(&self) -> bool {
        let Member { addresses, services, bindings, .. } = &self.member;
        let names_each = addresses.iter().all(|address| self.named_addresses.contains(&address.ip))
            && services.iter().all(|offer| self.names_service(offer))
            && bindings.iter().all(|binding| self.names_binding(binding));
        self.renews_all() || names_each
    }

    fn names_service(&self, offer: &Service) -> bool {
        let named = &self.named_services;
        named.iter().any(|(service, port)| (service, *port) == (&offer.service, offer.port))
    }

    fn names_binding(&self, binding: &Binding) -> bool {
        self.named_bindings.iter().any(|(rtype, rdata)| is_it(binding, *rtype, rdata))
    }

    /// Whether the message names records that renew their own type and no other.
    fn names_records(&self) -> bool {
        !self.named_addresses.is_empty() || !self.named_services.is_empty() || !self.named_bindings.is_empty()
    }

    pub fn add_address(&mut self, ip: IpAddr, ttl_s: u32) -> Result<(), Refusal> {
        self.member.own_ttl_s = ttl_s;
        self.named_types.insert(address_type(ip));
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

    pub fn add_service(&mut self, service: Box<[u8]>, srv: &Srv) -> Result<(), Refusal> {
        self.named_types.insert(Rtype::SRV);
        let key = (service, srv.port);
        let services = &mut self.member.services;
        match services.iter().position(|offer| offer.service == key.0 && offer.port == key.1) {
            Some(at) => {
                if let Some(offer) = services.entries_mut().get_mut(at) {
                    (offer.priority, offer.weight) = (srv.priority, srv.weight);
                }
            }
            None if services.len() >= SERVICES_MAX => {
                return Err(Refusal::Limit(format!("a member has at most {SERVICES_MAX} services")));
            }
            None => {
                let offer = Service {
                    service: key.0.clone(),
                    port: srv.port,
                    priority: srv.priority,
                    weight: srv.weight,
                    lapses_ms: FOLLOWS_LEASE,
                };
                services.edit(|services| {
                    services.push(offer);
                    services
                        .sort_by(|one, other| (&one.service, one.port).cmp(&(&other.service, other.port)));
                });
            }
        }
        if !self.named_services.contains(&key) {
            self.named_services.push(key);
        }
        Ok(())
    }

    pub fn add_binding(&mut self, rtype: Rtype, rdata: &[u8]) -> Result<(), Refusal> {
        self.named_types.insert(rtype);
        let bindings = &mut self.member.bindings;
        if !bindings.iter().any(|held| is_it(held, rtype, rdata)) {
            if bindings.len() >= BINDINGS_MAX {
                return Err(Refusal::Limit(format!(
                    "a member has at most {BINDINGS_MAX} SVCB and HTTPS records"
                )));
            }
            let (rtype, rdata) = (rtype.to_int(), rdata.into());
            bindings.edit(|bindings| {
                bindings.push(Binding { rtype, rdata, lapses_ms: FOLLOWS_LEASE });
                bindings.sort_by(|one, other| (one.rtype, &one.rdata).cmp(&(other.rtype, &other.rdata)));
            });
        }
        if !self.named_bindings.iter().any(|(held, other)| *held == rtype && **other == *rdata) {
            self.named_bindings.push((rtype, rdata.into()));
        }
        Ok(())
    }

    /// Deletes a service, on one port or on all.
    pub fn delete_service(&mut self, service: &[u8], port: Option<u16>) {
        self.named_types.insert(Rtype::SRV);
        let is_it =
            |offer: &Service| *offer.service == *service && port.is_none_or(|port| offer.port == port);
        self.member.services.retain(|offer| !is_it(offer));
    }

    /// Deletes the attributes that TXT rdata gives, as far as it gives their values.
    pub fn delete_attributes(&mut self, rdata: &[u8]) {
        self.named_types.insert(Rtype::TXT);
        for string in attributes::strings(rdata) {
            attributes::remove(&mut self.member.attributes, &mut self.said, self.known_load, string);
        }
    }

    /// Deletes one binding of a type, or all.
    pub fn delete_bindings(&mut self, rtype: Option<Rtype>, rdata: Option<&[u8]>) {
        self.named_types.extend(rtype);
        self.member.bindings.retain(|held| match (rtype, rdata) {
            (Some(rtype), Some(rdata)) => !is_it(held, rtype, rdata),
            (Some(rtype), None) => held.rtype != rtype.to_int(),
            (None, _) => false,
        });
    }

    /// Every address that its bindings give as a hint.
    pub fn hints(&self) -> impl Iterator<Item = IpAddr> {
        self.member.bindings.iter().flat_map(|binding| svcb::hints(&binding.rdata))
    }

    pub fn add_attributes(&mut self, rdata: &[u8]) {
        self.named_attributes = true;
        self.named_types.insert(Rtype::TXT);
        for string in attributes::strings(rdata) {
            let bad = attributes::merge(&mut self.member.attributes, &mut self.said, string).err();
            let is_told = self.ignored.len() < IGNORED_MAX;
            self.ignored.extend(bad.filter(|_| is_told));
        }
    }

    pub fn delete_at_own_name(&mut self, rtype: Option<Rtype>) {
        self.named_types.extend(rtype);
        if rtype.is_none() {
            self.member.services.clear();
            self.member.bindings.clear();
        }
        if matches!(rtype, None | Some(Rtype::TXT)) {
            self.member.attributes.clear();
            self.said = if self.known_load.is_some() { Said::Unsaid } else { Said::Nothing };
        }
        self.delete_addresses(rtype);
    }

    pub fn delete_addresses(&mut self, rtype: Option<Rtype>) {
        let types = self.member.addresses.iter().map(|address| address_type(address.ip));
        let deleted = types.filter(|held| rtype.is_none_or(|rtype| rtype == *held));
        self.named_types.extend(deleted);
        self.member.addresses.retain(|address| match rtype {
            None => false,
            Some(Rtype::A) => address.ip.is_ipv6(),
            Some(Rtype::AAAA) => address.ip.is_ipv4(),
            Some(_) => true,
        });
    }

    pub fn delete_address(&mut self, ip: Option<IpAddr>) {
        self.named_types.extend(ip.map(address_type));
        self.member.addresses.retain(|address| Some(address.ip) != ip);
    }

    /// Whether nothing is left that a member lives by: an address, or for one elsewhere a service.
    fn is_nobody(&self) -> bool {
        if self.is_elsewhere { self.member.services.is_empty() } else { self.member.addresses.is_empty() }
    }

    /// Join, heartbeat, change, leave, or nothing.
    pub fn judge(
        mut self,
        pool: PoolHandle,
        name: MemberName,
        registration: &Registration,
        ignored: &mut Vec<Ignored>,
    ) -> Result<Option<Verdict>, Refusal> {
        self.settle_drain(registration.now_ms);
        let is_over = self.member.drain_ends_ms <= registration.now_ms;
        let leaves = self.is_nobody() || is_over || (self.names_any() && registration.lease_ms == 0);
        if self.before.is_none() {
            // A join has to be right in everything; LEASE 0 for a member that is not there asks for nothing.
            if leaves {
                let is_refused = self.names_any() && registration.lease_ms > 0 && self.is_nobody();
                let pool = pool.as_ref().into();
                let has_no_services = self.named_services.is_empty() && self.named_bindings.is_empty();
                return match (is_refused, has_no_services, self.named_addresses.is_empty()) {
                    (true, false, true) => Err(Refusal::NoAddress { pool, name }),
                    (true, true, true) => Err(Refusal::NotRegistered { pool, name }),
                    _ => Ok(None),
                };
            }
            if let Some(bad) = self.ignored.pop() {
                return Err(bad.into());
            }
            if self.member.drains() {
                return Err(Refusal::JoinsDraining { pool: pool.as_ref().into(), name });
            }
            self.member.owner = registration.owner.as_ref().into();
        }
        ignored.extend(self.ignored.drain(..).map(|bad| Ignored {
            pool: pool.as_ref().into(),
            name: name.clone(),
            bad,
        }));
        // A deletion of what was not there touches nobody.
        let names_any = self.names_any();
        let is_unmoved = self.before.as_ref().is_some_and(|(before, _)| **before == self.member);
        if is_unmoved && !names_any && self.said == Said::Nothing {
            return Ok(None);
        }
        let said = self.said;
        let key_lease_ms = match leaves {
            true if registration.is_asked => Some(registration.key_lease_ms),
            true => Some(self.member.key_lease_ms),
            // A deletion renews nothing.
            false => names_any.then_some(registration.key_lease_ms),
        };
        let renews_whole = self.names_whole();
        let keep = if leaves { None } else { Some(self.renewed(registration)) };
        let is_by_admin = registration.is_by_admin;
        Ok(Some(Verdict {
            pool,
            name,
            keep,
            key_lease_ms,
            is_by_admin,
            said,
            renews: names_any,
            renews_whole,
        }))
    }

    /// When its own drain ends: counted from when it first said so, for the same message again is a heartbeat.
    fn settle_drain(&mut self, now_ms: u64) {
        let before = self.before.as_ref().map(|(before, _)| before);
        let said = before.and_then(|before| before.attributes.drain_s());
        self.member.drain_ends_ms = match (said, self.member.attributes.drain_s()) {
            (_, None) => NO_DRAIN,
            (Some(said), Some(seconds)) if said == seconds => self.member.drain_ends_ms,
            (_, Some(seconds)) => drain::own_end_ms(now_ms, seconds),
        };
    }

    /// The member with its records' ends: those that the message names live for the lease from now on, all others keep
    /// the end that they had. The lease itself ends with the last of them. Attributes alone renew everything.
    fn renewed(mut self, registration: &Registration) -> (Member, u64) {
        let old_ends_ms = self.before.as_ref().map_or(0, |(_, ends_ms)| *ends_ms);
        if !self.names_any() {
            return (self.member, old_ends_ms);
        }
        let new_ends_ms = lease_end_ms(registration.now_ms, registration.lease_ms);
        let is_whole = !self.names_records();
        let end_of = |is_named: bool, lapses_ms: u64| {
            if is_named || is_whole { new_ends_ms } else { lapses_ms.min(old_ends_ms) }
        };
        for address in &mut self.member.addresses {
            address.lapses_ms = end_of(self.named_addresses.contains(&address.ip), address.lapses_ms);
        }
        for offer in self.member.services.entries_mut() {
            let is_named = self
                .named_services
                .iter()
                .any(|(service, port)| (service, *port) == (&offer.service, offer.port));
            offer.lapses_ms = end_of(is_named, offer.lapses_ms);
        }
        for binding in self.member.bindings.entries_mut() {
            let is_named = self.named_bindings.iter().any(|(rtype, rdata)| is_it(binding, *rtype, rdata));
            binding.lapses_ms = end_of(is_named, binding.lapses_ms);
        }
        let Member { addresses, services, bindings, .. } = &mut self.member;
        let addresses = addresses.iter_mut().map(|address| &mut address.lapses_ms);
        let services = services.entries_mut().iter_mut().map(|offer| &mut offer.lapses_ms);
        let bindings = bindings.entries_mut().iter_mut().map(|binding| &mut binding.lapses_ms);
        let mut ends: Vec<&mut u64> = addresses.chain(services).chain(bindings).collect();
        let lease_ends_ms = ends.iter().map(|end_ms| **end_ms).max().unwrap_or(new_ends_ms);
        for end_ms in &mut ends {
            if **end_ms == lease_ends_ms {
                **end_ms = FOLLOWS_LEASE;
            }
        }
        self.member.lease_ms = registration.lease_ms;
        self.member.key_lease_ms = registration.key_lease_ms;
        self.member.heard_run = registration.run;
        (self.member, lease_ends_ms)
    }
}

fn is_it(binding: &Binding, rtype: Rtype, rdata: &[u8]) -> bool {
    binding.rtype == rtype.to_int() && same_rdata(rtype, &binding.rdata, rdata)
}

/// A SRV record's rdata (RFC 2782).
pub(super) struct Srv {
    priority: u16,
    weight: u16,
    pub port: u16,
    /// Lower-case wire form.
    target: Box<[u8]>,
}

impl Srv {
    pub fn read(rdata: &[u8]) -> Option<Srv> {
        let (fixed, target) = rdata.split_first_chunk::<6>()?;
        let [p0, p1, w0, w1, o0, o1] = *fixed;
        Some(Srv {
            priority: u16::from_be_bytes([p0, p1]),
            weight: u16::from_be_bytes([w0, w1]),
            port: u16::from_be_bytes([o0, o1]),
            target: lower(target),
        })
    }

    pub fn member(&self, pool: &PoolHandle) -> Result<MemberName, Refusal> {
        let stranger = || Refusal::SrvTarget { pool: pool.as_ref().into(), target: self.target.clone() };
        member_of(pool, &self.target).ok_or_else(stranger)
    }
}

pub(super) fn ips(member: &Member) -> Vec<IpAddr> {
    member.addresses.iter().map(|address| address.ip).collect()
}

fn address_type(ip: IpAddr) -> Rtype {
    if ip.is_ipv4() { Rtype::A } else { Rtype::AAAA }
}
