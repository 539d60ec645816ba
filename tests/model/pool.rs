//! The model's pool `web`: who is a member, and until when, by the plainest reading of what a registration means.

use std::collections::{BTreeMap, BTreeSet};

use super::message::Key;

/// A SRV record's port: with its service and target it is what the record is known by.
type Port = &'static str;

/// A member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    owner: &'static str,
    /// Each address, and when it ends.
    addresses: BTreeMap<&'static str, u64>,
    /// Each SRV record as it was registered, and when it ends.
    services: BTreeMap<Port, (&'static str, u64)>,
    attributes: BTreeMap<&'static str, &'static str>,
    /// How long the name is kept, milliseconds.
    key_lease_ms: u64,
    /// Until when it is kept.
    name_ends_ms: u64,
}

/// The pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    members: BTreeMap<&'static str, Member>,
    /// Names kept for somebody who is not there: whose they are, and until when.
    kept: BTreeMap<&'static str, (&'static str, u64)>,
}

/// What a message comes with.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub now_ms: u64,
    pub sender: &'static str,
    /// 0 leaves.
    pub lease_ms: u64,
    pub key_lease_ms: u64,
    /// Whether the message has the lease option.
    pub is_asked: bool,
}

/// A message on its way through the pool.
pub struct Draft<'a> {
    pool: &'a Pool,
    terms: Terms,
    /// Members that it touches, as they would be, with what it names of each.
    members: BTreeMap<&'static str, (Member, Named)>,
}

/// Addresses, ports, and whether there were attributes.
#[derive(Debug, Clone, Default)]
struct Named {
    addresses: BTreeSet<&'static str>,
    services: BTreeSet<Port>,
    attributes: bool,
}

/// The message is refused.
pub struct Refused;

/// Whether an RRset is made of what members register.
pub fn is_membership((name, rtype): Key) -> bool {
    match name {
        "web" => matches!(rtype, "A" | "AAAA"),
        "_s._tcp.web" => rtype == "SRV",
        _ => own_name(name).is_some(),
    }
}

/// The member whose own name it is.
fn own_name(name: &'static str) -> Option<&'static str> {
    name.strip_suffix(".web").filter(|label| !label.contains(['_', '.']))
}

/// The member that a SRV names, and the port.
fn target(srv: &'static str) -> (&'static str, Port) {
    let fields: Vec<&str> = srv.split(' ').collect();
    (own_name(fields[3]).unwrap(), fields[2])
}

/// The member that an address in the short form makes.
fn known_by(address: &str) -> &'static str {
    match address {
        "10.0.0.7" => "10-0-0-7",
        "10.0.0.8" => "10-0-0-8",
        "2001:db8::7" => "2001-db8-0-0-0-0-0-7",
        other => panic!("nobody is known by {other}"),
    }
}

fn is_of(rtype: &str, address: &str) -> bool {
    (rtype == "AAAA") == address.contains(':')
}

impl Pool {
    /// Takes away what has ended. Who is left without an address has left, with all else; the name may be kept.
    pub fn bury(&mut self, now_ms: u64) {
        for (name, member) in &mut self.members {
            member.addresses.retain(|_, ends_ms| *ends_ms > now_ms);
            member.services.retain(|_, (_, ends_ms)| *ends_ms > now_ms);
            if member.addresses.is_empty() {
                self.kept.insert(name, (member.owner, member.name_ends_ms));
            }
        }
        self.members.retain(|_, member| !member.addresses.is_empty());
        self.kept.retain(|_, (_, ends_ms)| *ends_ms > now_ms);
    }

    /// The records that the zone shows of an RRset of members.
    pub fn values(&self, (name, rtype): Key) -> BTreeSet<String> {
        let members = self.members.iter();
        match (name, rtype) {
            ("web", _) => members
                .flat_map(|(_, member)| member.addresses.keys())
                .filter(|address| is_of(rtype, address))
                .map(|address| (*address).to_owned())
                .collect(),
            ("_s._tcp.web", _) => members
                .flat_map(|(_, member)| member.services.values())
                .map(|(srv, _)| (*srv).to_owned())
                .collect(),
            _ => {
                let Some(member) = own_name(name).and_then(|label| self.members.get(label)) else {
                    return BTreeSet::new();
                };
                let attributes: Vec<_> =
                    member.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
                match rtype {
                    "TXT" => attributes.first().map(|_| attributes.join(" ")).into_iter().collect(),
                    _ => member
                        .addresses
                        .keys()
                        .filter(|ip| is_of(rtype, ip))
                        .map(|ip| (*ip).to_owned())
                        .collect(),
                }
            }
        }
    }

    /// Names of members.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.members.keys().map(|name| format!("{name}.web"))
    }

    /// Whether a service is offered.
    pub fn has_services(&self) -> bool {
        self.members.values().any(|member| !member.services.is_empty())
    }
}

impl<'a> Draft<'a> {
    pub fn of(pool: &'a Pool, terms: Terms) -> Self {
        Draft { pool, terms, members: BTreeMap::new() }
    }

    fn at(&mut self, name: &'static str) -> &mut (Member, Named) {
        let new = || Member { owner: self.terms.sender, ..Member::default() };
        let standing = || self.pool.members.get(name).cloned().unwrap_or_else(new);
        self.members.entry(name).or_insert_with(|| (standing(), Named::default()))
    }

    /// The sender's members, those of this message included.
    fn own(&self) -> Vec<&'static str> {
        let drafted = self.members.iter().map(|(name, (member, _))| (name, member));
        let standing = self.pool.members.iter().filter(|(name, _)| !self.members.contains_key(*name));
        let own = drafted.chain(standing).filter(|(_, member)| member.owner == self.terms.sender);
        own.map(|(name, _)| *name).collect()
    }

    pub fn add(&mut self, (name, rtype): Key, value: &'static str) {
        match (name, rtype) {
            ("_s._tcp.web", _) => {
                let (name, port) = target(value);
                let (member, named) = self.at(name);
                let ends_ms = member.services.get(port).map_or(u64::MAX, |(_, ends_ms)| *ends_ms);
                member.services.insert(port, (value, ends_ms));
                named.services.insert(port);
            }
            (_, "TXT") => {
                let (member, named) = self.at(own_name(name).unwrap());
                let (key, value) = value.split_once('=').unwrap();
                member.attributes.insert(key, value);
                named.attributes = true;
            }
            _ => {
                let (member, named) = self.at(own_name(name).unwrap_or_else(|| known_by(value)));
                member.addresses.entry(value).or_insert(u64::MAX);
                named.addresses.insert(value);
            }
        }
    }

    /// Deletes an RRset; what several members share loses the sender's part.
    pub fn delete_rrset(&mut self, (name, rtype): Key) {
        match (own_name(name), rtype) {
            (Some(name), "TXT") => self.at(name).0.attributes.clear(),
            (Some(name), _) => self.at(name).0.addresses.retain(|address, _| !is_of(rtype, address)),
            (None, "SRV") => self.own().into_iter().for_each(|name| self.at(name).0.services.clear()),
            (None, _) => {
                let own = self.own().into_iter();
                own.for_each(|name| self.at(name).0.addresses.retain(|address, _| !is_of(rtype, address)));
            }
        }
    }

    pub fn delete_name(&mut self, name: &'static str) {
        match (own_name(name), name) {
            (Some(name), _) => {
                let member = &mut self.at(name).0;
                member.addresses.clear();
                member.services.clear();
                member.attributes.clear();
            }
            (None, "web") => self.own().into_iter().for_each(|name| self.at(name).0.addresses.clear()),
            (None, "_s._tcp.web") => self.own().into_iter().for_each(|name| self.at(name).0.services.clear()),
            _ => {}
        }
    }

    pub fn delete_record(&mut self, (name, rtype): Key, value: &'static str) {
        match (own_name(name), rtype) {
            (Some(name), "TXT") => {
                let (key, value) = value.split_once('=').unwrap();
                self.at(name).0.attributes.retain(|held, held_value| (*held, *held_value) != (key, value));
            }
            (Some(name), _) => _ = self.at(name).0.addresses.remove(value),
            (None, "SRV") => {
                let (name, port) = target(value);
                self.at(name).0.services.remove(port);
            }
            (None, _) => self.own().into_iter().for_each(|name| _ = self.at(name).0.addresses.remove(value)),
        }
    }

    /// The pool as the message leaves it: what stands at its end counts.
    pub fn finish(self) -> Result<Pool, Refused> {
        let (terms, mut pool) = (self.terms, self.pool.clone());
        for (name, (mut member, mut named)) in self.members {
            named.addresses.retain(|address| member.addresses.contains_key(address));
            named.services.retain(|port| member.services.contains_key(port));
            let names_any = named.attributes || !named.addresses.is_empty() || !named.services.is_empty();
            let leaves = member.addresses.is_empty() || (names_any && terms.lease_ms == 0);
            match self.pool.members.get(name) {
                Some(before) if before.owner != terms.sender => return Err(Refused),
                None if leaves && names_any && terms.lease_ms > 0 => return Err(Refused),
                None if leaves => continue,
                None if pool.kept.get(name).is_some_and(|(owner, _)| *owner != terms.sender) => {
                    return Err(Refused);
                }
                _ => {}
            }
            pool.members.remove(name);
            if leaves {
                let ends_ms = terms.name_ends_ms(&member);
                if ends_ms > terms.now_ms {
                    pool.kept.insert(name, (member.owner, ends_ms));
                }
            } else {
                if names_any {
                    terms.renew(&mut member, &named);
                }
                pool.kept.remove(name);
                pool.members.insert(name, member);
            }
        }
        Ok(pool)
    }
}

impl Terms {
    /// Until when the name of somebody who leaves is kept: as the message says, else as was granted.
    fn name_ends_ms(self, member: &Member) -> u64 {
        let key_lease_ms = if self.is_asked { self.key_lease_ms } else { member.key_lease_ms };
        self.now_ms + key_lease_ms
    }

    /// What the message names lives for the lease from now on, all else for as long as before. Attributes alone renew all.
    fn renew(self, member: &mut Member, named: &Named) {
        let ends_ms = self.now_ms + self.lease_ms;
        let is_whole = named.addresses.is_empty() && named.services.is_empty();
        for (address, held_ms) in &mut member.addresses {
            if is_whole || named.addresses.contains(address) {
                *held_ms = ends_ms;
            }
        }
        for (port, (_, held_ms)) in &mut member.services {
            if is_whole || named.services.contains(port) {
                *held_ms = ends_ms;
            }
        }
        member.key_lease_ms = self.key_lease_ms;
        member.name_ends_ms = self.now_ms + self.key_lease_ms;
    }
}
