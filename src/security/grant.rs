//! What a key, or a sender without one, may register in a zone.
//!
//! ```text
//!  Sent (key? source? proven?) --.
//!                                 >--> each Grant in turn: source, place, types, addresses, targets --> Grant | Refusal
//!  Asked (place, what is there) -'
//! ```
//!
//! A grant covers all of what is asked about a place, or nothing of it: two grants never add up, so that what each of them
//! says can be read by itself.

mod pattern;
mod refusal;
mod sender;
mod types;

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::{Special, covers, is_in};
use crate::wire::{Name, Rtype, lower, name_text};

pub use pattern::NamePattern;
pub use refusal::Refusal;
pub use sender::{Holder, Sender, Sent};
pub use types::Types;

/// Something that a grant is asked about. Both are relative to the zone, in lower-case presentation form without a closing
/// dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// A pool: its members, their services and attributes.
    Pool(&'a str),
    /// An ordinary name; `@` is the apex.
    Name(&'a str),
}

/// What a message does at one place.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Where.
    pub place: Place<'a>,
    /// The types of the records that it adds, changes or deletes.
    pub types: &'a [Rtype],
    /// The addresses in them.
    pub addresses: &'a [IpAddr],
    /// The targets of SRV records that lie outside their pool: absolute, in lower-case presentation form without the closing
    /// dot.
    pub targets: &'a [String],
}

/// How long what is registered under a grant counts, unless it is renewed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GrantedLease {
    /// As long as the pool says by default. Ordinary records are permanent, unless the message asks for a lease.
    #[default]
    Pools,
    /// So many seconds, if the message asks for nothing else.
    Seconds(u32),
    /// For ever, whatever the message asks for.
    None,
}

/// One grant of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Which of the zone's grants it is, from 1; [`Grants::new`] counts.
    pub number: usize,
    /// The key's name; `None` for unsigned updates.
    pub key: Option<Name>,
    /// Networks that it may be used from. Empty: from everywhere with a key, from loopback without one. With a key they are a
    /// second lock and no more: whoever has the key can write another source on a datagram.
    pub sources: Vec<IpNetwork>,
    /// Pools that it covers.
    pub pools: Vec<NamePattern>,
    /// Ordinary names that it covers.
    pub names: Vec<NamePattern>,
    /// Types of records that it covers, in pools and elsewhere.
    pub types: Types,
    /// Prefixes of the addresses that records may hold, see [`covers`]. Empty: all but the special ones.
    pub addresses: Vec<IpNetwork>,
    /// Targets outside their pool that SRV records may have.
    pub targets: Vec<NamePattern>,
    /// Whether records may hold the source address alone, and it has to be proven, key or not: who holds a key can forge a
    /// source too. `addresses` narrow this further, but special addresses need no naming: where the sender itself is, nobody
    /// is led astray.
    pub own_address: bool,
    /// The identity that owns what is registered; see [`Grant::owner`].
    pub owner: Option<Box<str>>,
    /// Whether it may also change what others own.
    pub admin: bool,
    /// The lease of what is registered.
    pub lease: GrantedLease,
}

impl Grant {
    /// What a grant is when nothing is said but to whom it is given: every pool, no ordinary name.
    pub fn to(holder: Holder) -> Self {
        let key = match holder {
            Holder::Key(name) => Some(name),
            Holder::Unsigned => None,
        };
        Grant {
            number: 1,
            key,
            sources: Vec::new(),
            pools: vec![NamePattern::new("*")],
            names: Vec::new(),
            types: Types::Default,
            addresses: Vec::new(),
            targets: Vec::new(),
            own_address: false,
            owner: None,
            admin: false,
            lease: GrantedLease::Pools,
        }
    }

    /// To whom it is given.
    pub fn holder(&self) -> Holder {
        self.key.clone().map_or(Holder::Unsigned, Holder::Key)
    }

    /// Who owns what `sender` registers under this grant: the grant's `owner`, else the key's name in lower case, else
    /// the source address.
    pub fn owner(&self, sender: &Sender, source: IpAddr) -> Box<str> {
        match (&self.owner, sender) {
            (Some(owner), _) => owner.clone(),
            (None, Sender::Key(key)) => name_text(&lower(key.name().as_slice())).into(),
            (None, Sender::Unsigned) => source.to_canonical().to_string().into(),
        }
    }

    fn is_for(&self, sender: &Sender) -> bool {
        match (&self.key, sender) {
            (Some(name), Sender::Key(key)) => name == key.name(),
            (None, Sender::Unsigned) => true,
            _ => false,
        }
    }

    fn covers_source(&self, source: IpAddr) -> bool {
        if self.sources.is_empty() {
            return self.key.is_some() || source.is_loopback();
        }
        self.sources.iter().any(|network| network.contains(source))
    }

    /// Checks the rules in order, for a sender that the grant is for; the first that does not hold refuses.
    fn judge(&self, sent: &Sent, asked: &Asked<'_>) -> Result<(), (Rule, Refusal)> {
        self.judge_sent(sent)?;
        self.judge_place(asked.place).map_err(|refusal| (Rule::Place, refusal))?;
        self.judge_types(asked.types).map_err(|refusal| (Rule::Types, refusal))?;
        self.judge_addresses(sent, asked.addresses).map_err(|refusal| (Rule::Addresses, refusal))?;
        self.judge_targets(asked.targets).map_err(|refusal| (Rule::Targets, refusal))
    }

    /// Without a key the source is all that there is to go by, so it must be true. Loopback's is: it comes in over no wire.
    fn judge_sent(&self, sent: &Sent) -> Result<(), (Rule, Refusal)> {
        let from = sent.source.to_canonical();
        if !self.covers_source(from) {
            let refusal = match self.holder() {
                Holder::Unsigned => Refusal::Unsigned { from },
                holder => Refusal::Source { from, add: host(from), holder },
            };
            return Err((Rule::Source, refusal));
        }
        let is_trusted = self.key.is_some() || sent.is_proven || from.is_loopback();
        if is_trusted { Ok(()) } else { Err((Rule::Proof, Refusal::Unproven { from })) }
    }

    fn judge_place(&self, place: Place<'_>) -> Result<(), Refusal> {
        let any = |patterns: &[NamePattern], name| patterns.iter().any(|pattern| pattern.matches(name));
        let holder = self.holder();
        match place {
            Place::Pool(pool) if !any(&self.pools, pool) => Err(Refusal::Pool { pool: pool.into(), holder }),
            Place::Name(name) if !any(&self.names, name) => {
                let kept = if self.names.is_empty() { &self.pools[..] } else { &[] };
                let pools = kept.iter().map(|pattern| pattern.as_str().into()).collect();
                Err(Refusal::Name { name: name.into(), pools, holder })
            }
            Place::Pool(_) | Place::Name(_) => Ok(()),
        }
    }

    fn judge_types(&self, types: &[Rtype]) -> Result<(), Refusal> {
        match types.iter().find(|&&rtype| !self.types.covers(rtype)) {
            None => Ok(()),
            Some(&rtype) => Err(Refusal::Type { rtype, has: self.types.clone(), holder: self.holder() }),
        }
    }

    fn judge_addresses(&self, sent: &Sent, addresses: &[IpAddr]) -> Result<(), Refusal> {
        let from = sent.source.to_canonical();
        if self.own_address && !addresses.is_empty() && !sent.is_proven && !from.is_loopback() {
            return Err(Refusal::Unproven { from });
        }
        addresses.iter().try_for_each(|address| self.judge_address(from, address.to_canonical()))
    }

    fn judge_address(&self, from: IpAddr, address: IpAddr) -> Result<(), Refusal> {
        let holder = self.holder();
        if self.own_address {
            return if address != from {
                Err(Refusal::OwnAddress { address, from, holder })
            } else if is_in(&self.addresses, address) {
                Ok(())
            } else {
                Err(Refusal::Address { address, add: host(address), holder })
            };
        }
        if covers(&self.addresses, address) {
            return Ok(());
        }
        Err(match Special::of(address) {
            Some((kind @ Special::Loopback, add)) => Refusal::Special { kind, address, add, holder },
            Some((kind, _)) => Refusal::Special { kind, address, add: host(address), holder },
            None => Refusal::Address { address, add: neighbourhood(address), holder },
        })
    }

    fn judge_targets(&self, targets: &[String]) -> Result<(), Refusal> {
        let is_covered = |target: &String| self.targets.iter().any(|pattern| pattern.matches(target));
        match targets.iter().find(|target| !is_covered(target)) {
            None => Ok(()),
            Some(target) => Err(Refusal::Target { target: target.as_str().into(), holder: self.holder() }),
        }
    }
}

/// The rule that refused: the later, the closer the grant came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Holder,
    Source,
    Proof,
    Place,
    Types,
    Addresses,
    Targets,
}

/// The prefix that holds `address` alone.
fn host(address: IpAddr) -> IpNetwork {
    IpNetwork::from(address)
}

/// The prefix that an operator most likely means by naming `address`: the subnet of ordinary size.
fn neighbourhood(address: IpAddr) -> IpNetwork {
    let prefix = if address.is_ipv4() { 24 } else { 64 };
    IpNetwork::new(address, prefix)
        .and_then(|network| IpNetwork::new(network.network(), prefix))
        .unwrap_or_else(|_| host(address))
}

/// The grants of one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(Vec<Grant>);

impl Grants {
    /// Grants in the order in which they are tried: the file's. They are numbered here.
    pub fn new(mut grants: Vec<Grant>) -> Self {
        for (number, grant) in (1..).zip(&mut grants) {
            grant.number = number;
        }
        Grants(grants)
    }

    /// In that order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Grant> {
        self.0.iter()
    }

    /// The first grant that covers the sender, the source and all that is asked. If there is none, the refusal is that of
    /// the grant that came closest: most often it is the one that the sender meant.
    pub fn find(&self, sent: &Sent, asked: &Asked<'_>) -> Result<&Grant, Refusal> {
        self.first(sent, |grant| grant.judge(sent, asked))
    }

    /// The first grant that covers all of it and makes its holder an admin, if one does.
    pub fn find_admin(&self, sent: &Sent, asked: &Asked<'_>) -> Option<&Grant> {
        let mut grants = self.0.iter().filter(|grant| grant.admin && grant.is_for(&sent.sender));
        grants.find(|grant| grant.judge(sent, asked).is_ok())
    }

    /// Whether the sender has any grant that may be used from this source: the question before all others (RFC 2136 section
    /// 3.3), so that strangers are told nothing of what is in the zone and cost nothing.
    pub fn admit(&self, sent: &Sent) -> Result<(), Refusal> {
        self.first(sent, |grant| grant.judge_sent(sent)).map(|_| ())
    }

    fn first(
        &self,
        sent: &Sent,
        judge: impl Fn(&Grant) -> Result<(), (Rule, Refusal)>,
    ) -> Result<&Grant, Refusal> {
        let nothing = match sent.sender.holder() {
            Holder::Unsigned => Refusal::Unsigned { from: sent.source.to_canonical() },
            holder => Refusal::Key { holder },
        };
        let mut closest = (Rule::Holder, nothing);
        for grant in self.0.iter().filter(|grant| grant.is_for(&sent.sender)) {
            match judge(grant) {
                Ok(()) => return Ok(grant),
                Err(refusal) if refusal.0 > closest.0 => closest = refusal,
                Err(_) => {}
            }
        }
        Err(closest.1)
    }
}

#[cfg(test)]
mod tests;
