//! What pools answer, by the plainest reading of the rules: lists of members that are looked through for each question. It knows
//! no index, no view, no encoded record and no bound on leases, and shares nothing with the code under test but the names of
//! policies.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use rollcall::policy::{Policy, Shown};

pub const A: u16 = 1;
pub const TXT: u16 = 16;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;
pub const ANY: u16 = 255;

/// An address that several members may have.
pub const SHARED: Ipv4Addr = Ipv4Addr::new(10, 0, 99, 99);

/// A SRV record as registered.
#[derive(Debug, Clone)]
pub struct Offer {
    pub service: &'static str,
    pub port: u16,
    pub priority: u16,
    pub weight: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    No,
    Operators,
    /// Its own word, and when it leaves.
    Own(u64),
}

/// A member as registered. All times are monotonic milliseconds.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name below the pool.
    pub label: String,
    pub v4: Vec<Ipv4Addr>,
    pub v6: Vec<Ipv6Addr>,
    pub offers: Vec<Offer>,
    /// When its A, AAAA and SRV records end, as heartbeats named them.
    pub ends_ms: [u64; 3],
    pub weight: Option<u32>,
    pub priority: Option<u32>,
    pub drain: Drain,
    pub own_ttl_s: u32,
    pub attributes: String,
}

impl Member {
    /// When it is gone: with its last address, or as it said.
    fn end_ms(&self) -> u64 {
        let v4_ms = if self.v4.is_empty() { 0 } else { self.ends_ms[0] };
        let v6_ms = if self.v6.is_empty() { 0 } else { self.ends_ms[1] };
        let left_ms = if let Drain::Own(left_ms) = self.drain { left_ms } else { u64::MAX };
        v4_ms.max(v6_ms).min(left_ms)
    }

    /// When its records of a type end.
    fn ends_of(&self, rtype: u16) -> u64 {
        let own_ms = match rtype {
            A => self.ends_ms[0],
            AAAA => self.ends_ms[1],
            SRV => self.ends_ms[2],
            _ => u64::MAX,
        };
        own_ms.min(self.end_ms())
    }

    fn is_in_service(&self) -> bool {
        self.drain == Drain::No
    }

    fn is_fit(&self) -> bool {
        self.is_in_service() && self.weight != Some(0)
    }

    /// Its addresses of a family, in ascending order.
    fn addresses(&self, rtype: u16) -> Vec<String> {
        match rtype {
            A => self.v4.iter().map(ToString::to_string).collect(),
            AAAA => self.v6.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        }
    }

    /// How much it weighs in a service.
    fn weight_by(&self, offer: &Offer) -> u32 {
        self.weight.unwrap_or(u32::from(offer.weight).max(1))
    }
}

/// What is done when nobody is fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastResort {
    All,
    LastGood,
    Fallback,
    NoData,
    ServFail,
}

#[derive(Debug, Clone)]
pub struct Pool {
    /// Its name, relative to the zone.
    pub name: &'static str,
    pub policy: Policy,
    pub ttl_s: u32,
    pub addresses: Shown,
    pub services: Shown,
    pub last_resort: LastResort,
    /// Those who are there, as far as the server has looked.
    pub members: Vec<Member>,
    /// Fit members that were gone when it last looked.
    pub lost: Vec<Member>,
    /// Services that members have offered.
    pub known: BTreeSet<&'static str>,
}

/// What one member has of what was asked.
#[derive(Debug, Clone)]
pub struct Group {
    pub member: String,
    pub records: Vec<String>,
    pub ends_ms: u64,
    pub priority: u32,
}

/// An RRset for Additional.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    pub owner: String,
    pub rtype: u16,
    pub ttl_s: u32,
    pub records: Vec<String>,
}

/// What an answer's one RRset has to be.
#[derive(Debug, Clone)]
pub struct Rrset {
    pub rtype: u16,
    /// Whose records may stand in it.
    pub groups: Vec<Group>,
    /// How many of them do.
    pub members: usize,
    /// Whether the best of them do.
    pub best_first: bool,
    /// The most that its TTL may be, whoever is shown.
    pub ttl_s: u32,
    /// Whether it is of those whose leases are over: then the TTL is 1.
    pub is_lost: bool,
    /// When the first of all records of the pool's view ends, if none has: the TTL may be as short as that.
    pub first_end_ms: Option<u64>,
    /// The addresses of each group's member, for Additional.
    pub beside: Vec<(String, Vec<Beside>)>,
}

/// What has to be answered.
#[derive(Debug, Clone)]
pub enum Wanted {
    Records(Rrset),
    NoData,
    NxDomain,
    ServFail,
}

/// All pools, at a moment.
pub struct Plain {
    pub web: Pool,
    /// What `web` falls back on.
    pub spare: Pool,
    pub now_ms: u64,
}

impl Pool {
    /// The server looks for what has ended.
    pub fn sweep(&mut self, now_ms: u64) {
        let (there, gone): (Vec<_>, Vec<_>) =
            self.members.drain(..).partition(|member| member.end_ms() > now_ms);
        self.members = there;
        self.lost.extend(gone.into_iter().filter(Member::is_fit));
        for member in &mut self.members {
            if member.ends_ms[0] <= now_ms {
                member.v4.clear();
            }
            if member.ends_ms[1] <= now_ms {
                member.v6.clear();
            }
            if member.ends_ms[2] <= now_ms {
                member.offers.clear();
            }
        }
    }

    fn domain(&self) -> String {
        format!("{}.pool.example.", self.name)
    }

    /// Addresses of a family, by member.
    fn address_groups(&self, members: &[&Member], rtype: u16) -> Vec<Group> {
        let group = |member: &&Member| Group {
            member: member.label.clone(),
            records: member.addresses(rtype),
            ends_ms: member.ends_of(rtype),
            priority: member.priority.unwrap_or(0),
        };
        members.iter().map(group).filter(|group| !group.records.is_empty()).collect()
    }

    /// SRV records of a service, by member. What the policy writes into them depends on all who offer it in `among`.
    fn service_groups(&self, members: &[&Member], among: &[Member], service: &str) -> Vec<Group> {
        let offered = |member: &Member| -> Vec<Offer> {
            member.offers.iter().filter(|offer| offer.service == service).cloned().collect()
        };
        let taking_part = || among.iter().filter(|member| member.is_fit());
        let mut priorities: Vec<u32> = taking_part()
            .filter(|member| !offered(member).is_empty())
            .map(|member| member.priority.unwrap_or(0))
            .collect();
        priorities.sort_unstable_by(|one, other| other.cmp(one));
        priorities.dedup();
        let weights = taking_part()
            .flat_map(|member| offered(member).into_iter().map(|offer| member.weight_by(&offer)));
        let heaviest = weights.max().unwrap_or(1).max(1);
        let fields = |member: &Member, offer: &Offer| match self.policy {
            Policy::RoundRobin => (offer.priority, offer.weight),
            Policy::Priority => {
                let better = priorities.iter().filter(|other| **other > member.priority.unwrap_or(0));
                (better.count() as u16, offer.weight)
            }
            Policy::WeightedRoundRobin | Policy::WeightedRandom => {
                let weight = u64::from(member.weight_by(offer)) * 65_535 / u64::from(heaviest);
                (0, weight.clamp(1, 65_535) as u16)
            }
            // Nobody says how busy it is: all are alike.
            _ => (0, 65_535),
        };
        let group = |member: &&Member| {
            let records = offered(member).into_iter().map(|offer| {
                let (priority, weight) = fields(member, &offer);
                format!("{priority} {weight} {} {}.{}", offer.port, member.label, self.domain())
            });
            Group {
                member: member.label.clone(),
                records: records.collect(),
                ends_ms: member.ends_of(SRV),
                priority: member.priority.unwrap_or(0),
            }
        };
        members.iter().map(group).filter(|group| !group.records.is_empty()).collect()
    }

    /// A member's own RRsets of addresses.
    fn beside(&self, member: &Member, now_ms: u64, is_lost: bool) -> Vec<Beside> {
        let rrset = |rtype| {
            let ends_ms = member.ends_of(rtype);
            let records = if is_lost || ends_ms > now_ms { member.addresses(rtype) } else { Vec::new() };
            let ttl_s = self.ttl_s.min(member.own_ttl_s);
            let ttl_s = if is_lost { ttl_s.min(1) } else { ttl_s.min(left_s(ends_ms, now_ms)) };
            Beside { owner: format!("{}.{}", member.label, self.domain()), rtype, ttl_s, records }
        };
        [A, AAAA].into_iter().map(rrset).filter(|rrset| !rrset.records.is_empty()).collect()
    }

    /// When the first record ends of all that answers for the pool are made of; `None` if one has ended.
    fn first_end_ms(&self, now_ms: u64) -> Option<u64> {
        let of = |member: &Member| {
            let [v4, v6, srv] = [A, AAAA, SRV].map(|rtype| member.ends_of(rtype));
            let has =
                [(!member.v4.is_empty(), v4), (!member.v6.is_empty(), v6), (!member.offers.is_empty(), srv)];
            has.into_iter().filter(|(has, _)| *has).map(|(_, ends_ms)| ends_ms).min()
        };
        let first_ms = self.members.iter().filter(|member| member.is_in_service()).filter_map(of).min();
        first_ms.or(Some(u64::MAX)).filter(|first_ms| *first_ms > now_ms)
    }

    /// An RRset of the pool, of which the policy picks, or which shows all who are in service; `None` if there is none.
    fn rrset(&self, asked: Asked, of: Of, now_ms: u64) -> Option<Rrset> {
        let (rtype, shown) = match asked {
            Asked::Addresses(rtype) => (rtype, self.addresses),
            Asked::Service(_) => (SRV, self.services),
        };
        let members: Vec<&Member> = match of {
            Of::Policy => self.members.iter().filter(|member| member.is_fit()).collect(),
            Of::All => self.members.iter().filter(|member| member.is_in_service()).collect(),
            Of::JustLost => self.members.iter().filter(|member| member.is_fit()).collect(),
            Of::Lost => self.lost.iter().collect(),
        };
        let is_lost = matches!(of, Of::JustLost | Of::Lost);
        let among = if of == Of::Lost { &self.lost } else { &self.members };
        let mut groups = match asked {
            Asked::Addresses(rtype) => self.address_groups(&members, rtype),
            Asked::Service(service) => self.service_groups(&members, among, service),
        };
        groups.retain(|group| is_lost || group.ends_ms > now_ms);
        let shown = if of == Of::All { Shown::All } else { shown };
        let best = groups.iter().map(|group| group.priority).max()?;
        let count = match shown {
            Shown::AtMost(most) => groups.len().min(usize::from(most.get())),
            Shown::Best if self.policy == Policy::Priority => {
                groups.iter().filter(|group| group.priority == best).count()
            }
            Shown::All | Shown::Best => groups.len(),
        };
        let beside = |member: &&Member| (member.label.clone(), self.beside(member, now_ms, is_lost));
        Some(Rrset {
            rtype,
            members: count,
            best_first: self.policy == Policy::Priority,
            ttl_s: self.ttl_s,
            is_lost,
            first_end_ms: self.first_end_ms(now_ms),
            beside: if rtype == SRV { members.iter().map(beside).collect() } else { Vec::new() },
            groups,
        })
    }

    /// The same of what was asked; ANY is the first type that there is (RFC 8482 section 4.1).
    fn asked(&self, asked: Asked, of: Of, now_ms: u64) -> Option<Rrset> {
        match asked {
            Asked::Addresses(ANY) => {
                [A, AAAA].into_iter().find_map(|rtype| self.rrset(Asked::Addresses(rtype), of, now_ms))
            }
            asked => self.rrset(asked, of, now_ms),
        }
    }

    fn is_anyone_fit(&self, asked: Asked, now_ms: u64) -> bool {
        let offers = |member: &Member, service| member.offers.iter().any(|offer| offer.service == service);
        self.members.iter().filter(|member| member.is_fit()).any(|member| match asked {
            Asked::Addresses(_) => member.end_ms() > now_ms,
            Asked::Service(service) => offers(member, service) && member.ends_of(SRV) > now_ms,
        })
    }
}

/// What is asked of a pool.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Addresses(u16),
    Service(&'static str),
}

/// Of whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Policy,
    All,
    /// Those whose leases have ended since the server last looked.
    JustLost,
    /// Those whose leases had ended then.
    Lost,
}

/// A name that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    Pool,
    All,
    Service(&'static str),
    AllService(&'static str),
    /// `_tcp` or `_udp`, of the pool or of `all`.
    Between(&'static str, bool),
    Member(u8),
    BelowMember(u8),
    BelowService(&'static str),
    /// Static, below the pool; and static records elsewhere have an empty name above them.
    Note,
    Empty,
    Nowhere,
}

impl Plain {
    /// The server looks for what has ended.
    pub fn sweep(&mut self) {
        self.web.sweep(self.now_ms);
        self.spare.sweep(self.now_ms);
    }

    pub fn answer(&self, asking: Asking, rtype: u16) -> Wanted {
        let is_address = matches!(rtype, A | AAAA | ANY);
        let is_service = matches!(rtype, SRV | ANY);
        let is_known = |service| self.web.known.contains(service);
        let is_between = |label: &str| self.web.known.iter().any(|service| service.ends_with(label));
        match asking {
            Asking::Pool if is_address => self.by_policy(Asked::Addresses(rtype)),
            Asking::All if is_address => self.of_all(Asked::Addresses(rtype)),
            Asking::Pool | Asking::All | Asking::Empty => Wanted::NoData,
            Asking::Service(service) | Asking::AllService(service) if !is_known(service) => Wanted::NxDomain,
            Asking::Service(service) if is_service => self.by_policy(Asked::Service(service)),
            Asking::AllService(service) if is_service => self.of_all(Asked::Service(service)),
            Asking::Service(_) | Asking::AllService(_) => Wanted::NoData,
            // A static name lies below this one.
            Asking::Between("_tcp", false) => Wanted::NoData,
            Asking::Between(label, _) if is_between(label) => Wanted::NoData,
            Asking::Member(number) => self.member(&format!("m{number}"), rtype),
            Asking::Note if matches!(rtype, TXT | ANY) => Wanted::Records(note()),
            Asking::Note => Wanted::NoData,
            Asking::Between(..) | Asking::BelowMember(_) | Asking::BelowService(_) | Asking::Nowhere => {
                Wanted::NxDomain
            }
        }
    }

    fn by_policy(&self, asked: Asked) -> Wanted {
        let now_ms = self.now_ms;
        if let Some(rrset) = self.web.asked(asked, Of::Policy, now_ms) {
            return Wanted::Records(rrset);
        }
        if self.web.is_anyone_fit(asked, now_ms) {
            return Wanted::NoData;
        }
        let rrset = match self.web.last_resort {
            LastResort::All => self.web.asked(asked, Of::All, now_ms),
            LastResort::LastGood => {
                let just = self.is_nobody_fit().then(|| self.web.asked(asked, Of::JustLost, now_ms));
                just.flatten().or_else(|| self.has_lost().then(|| self.web.asked(asked, Of::Lost, now_ms))?)
            }
            LastResort::Fallback => self.spare.asked(asked, Of::Policy, now_ms),
            LastResort::NoData => None,
            LastResort::ServFail => return Wanted::ServFail,
        };
        rrset.map_or(Wanted::NoData, Wanted::Records)
    }

    fn of_all(&self, asked: Asked) -> Wanted {
        self.web.asked(asked, Of::All, self.now_ms).map_or(Wanted::NoData, Wanted::Records)
    }

    fn is_nobody_fit(&self) -> bool {
        let is_good = self.web.last_resort == LastResort::LastGood;
        is_good && !self.web.members.iter().any(|member| member.is_fit() && member.end_ms() > self.now_ms)
    }

    /// Whether those count who were gone when the server last looked: nobody fit was left then.
    fn has_lost(&self) -> bool {
        let is_good = self.web.last_resort == LastResort::LastGood;
        is_good && !self.web.members.iter().any(Member::is_fit)
    }

    /// A member's own name.
    fn member(&self, label: &str, rtype: u16) -> Wanted {
        let named = |members: &'_ [Member]| members.iter().find(|member| member.label == label).cloned();
        let (member, is_lost) = match named(&self.web.members) {
            Some(member) if member.end_ms() > self.now_ms => (member, false),
            Some(member) if member.is_fit() && self.is_nobody_fit() => (member, true),
            Some(_) => return Wanted::NxDomain,
            None => match named(&self.web.lost).filter(|_| self.has_lost()) {
                Some(member) => (member, true),
                None => return Wanted::NxDomain,
            },
        };
        let mut own = self.web.beside(&member, self.now_ms, is_lost);
        if !member.attributes.is_empty() {
            let ends_ms = member.end_ms();
            let ttl_s = self.web.ttl_s.min(member.own_ttl_s);
            let ttl_s = if is_lost { ttl_s.min(1) } else { ttl_s.min(left_s(ends_ms, self.now_ms)) };
            let (owner, records) = (String::new(), vec![member.attributes.clone()]);
            own.push(Beside { owner, rtype: TXT, ttl_s, records });
        }
        let is_it = |rrset: &Beside| rrset.rtype == rtype || (rtype == ANY && rrset.rtype != TXT);
        match own.into_iter().find(is_it) {
            Some(rrset) => Wanted::Records(only(rrset)),
            None => Wanted::NoData,
        }
    }
}

/// An RRset that leaves no choice.
fn only(rrset: Beside) -> Rrset {
    let Beside { rtype, ttl_s, records, .. } = rrset;
    let group = Group { member: String::new(), records, ends_ms: u64::MAX, priority: 0 };
    Rrset {
        rtype,
        groups: vec![group],
        members: 1,
        best_first: false,
        ttl_s,
        is_lost: false,
        first_end_ms: None,
        beside: Vec::new(),
    }
}

fn note() -> Rrset {
    let records = vec!["static, below a pool".to_owned()];
    only(Beside { owner: String::new(), rtype: TXT, ttl_s: 300, records })
}

/// Whole seconds until then.
pub fn left_s(ends_ms: u64, now_ms: u64) -> u32 {
    u32::try_from(ends_ms.saturating_sub(now_ms) / 1000).unwrap_or(u32::MAX)
}
