//! Pools and questions at random, and the server that is told the same as the reference.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use rollcall::policy::{Policy, Shown};
use rollcall::security::Grant;
use rollcall::zone::{OnAllDown, PoolSettings};

use super::at_most;
use super::plain::{A, AAAA, ANY, Asking, Drain, LastResort, Member, Offer, Plain, Pool, SHARED, SRV, TXT};
use super::world::{Setup, World, loopback_grant, pool_settings};

pub const SERVICES: [&str; 3] = ["_s._tcp", "_t._udp", "_u._tcp"];
/// Who may drain others.
const OPERATOR: &str = "127.0.0.9";

/// A member before it has a pool and a time.
#[derive(Debug, Clone)]
pub struct Newcomer {
    v4: u8,
    v6: u8,
    shares: bool,
    /// Service, port, priority, weight.
    offers: Vec<(&'static str, u16)>,
    fields: (u16, u16),
    /// Seconds: of everything, then of what a second heartbeat names: its A, its AAAA, its SRV records.
    leases_s: (u32, [Option<u32>; 3]),
    weight: Option<u32>,
    priority: Option<u32>,
    /// Nobody's, an operator's, its own.
    drain: u8,
    own_ttl_s: u32,
}

/// A pool before it has a name.
#[derive(Debug, Clone)]
pub struct NewPool {
    policy: Policy,
    ttl_s: u32,
    shown: (Shown, Shown),
    last_resort: LastResort,
    members: Vec<Newcomer>,
}

/// A question.
#[derive(Debug, Clone)]
pub struct Ask {
    pub asking: Asking,
    pub rtype: u16,
    /// `None` over TCP; then the size that EDNS says, 0 without EDNS.
    pub udp: Option<u16>,
    /// Which letters of the name are capital.
    pub capitals: u64,
}

fn newcomer() -> impl Strategy<Value = Newcomer> {
    let leases = prop_oneof![3 => 2_u32..12, 2 => Just(30), 1 => Just(3_600)];
    let more = [
        prop::option::weighted(0.2, 2_u32..40),
        prop::option::weighted(0.2, 2_u32..40),
        prop::option::weighted(0.2, 2_u32..40),
    ];
    let ports: Vec<(&'static str, u16)> =
        SERVICES.into_iter().flat_map(|service| [(service, 80), (service, 81)]).collect();
    let weight = prop_oneof![5 => Just(None), 2 => (1_u32..50).prop_map(Some), 1 => Just(Some(0))];
    let priority = prop_oneof![2 => Just(None), 1 => (0_u32..3).prop_map(Some)];
    let addresses = prop_oneof![4 => Just((1_u8, 0_u8)), 1 => (0..3_u8, 1..3_u8), 1 => (1..3_u8, 0..3_u8)];
    let drain = prop_oneof![8 => Just(0_u8), 1 => Just(1), 1 => Just(2)];
    (
        addresses,
        any::<bool>(),
        subsequence(ports, 0..=3),
        (0_u16..3, 0_u16..100),
        (leases, more),
        (weight, priority),
        (drain, 1_u32..30),
    )
        .prop_map(
            |((v4, v6), shares, offers, fields, leases_s, (weight, priority), (drain, own_ttl_s))| Newcomer {
                v4,
                v6,
                shares,
                offers,
                fields,
                leases_s,
                weight,
                priority,
                drain,
                own_ttl_s,
            },
        )
}

fn shown() -> impl Strategy<Value = Shown> {
    prop_oneof![3 => Just(Shown::All), 1 => Just(Shown::Best), 2 => (1_u16..5).prop_map(at_most), 1 => Just(at_most(64))]
}

/// A pool of few members, or of more than a datagram holds.
pub fn pool() -> impl Strategy<Value = NewPool> {
    let policies: Vec<Policy> = Policy::NAMES.into_iter().map(|(_, policy)| policy).collect();
    let resorts = [
        LastResort::All,
        LastResort::LastGood,
        LastResort::Fallback,
        LastResort::NoData,
        LastResort::ServFail,
    ];
    let members = prop_oneof![
        4 => prop::collection::vec(newcomer(), 0..5),
        1 => prop::collection::vec(newcomer(), 5..45),
    ];
    (select(policies), 1_u32..8, (shown(), shown()), select(resorts.to_vec()), members).prop_map(
        |(policy, ttl_s, shown, last_resort, members)| NewPool { policy, ttl_s, shown, last_resort, members },
    )
}

pub fn ask() -> impl Strategy<Value = Ask> {
    let service = || select(&SERVICES[..]);
    let asking = prop_oneof![
        6 => Just(Asking::Pool),
        3 => Just(Asking::All),
        6 => service().prop_map(Asking::Service),
        3 => service().prop_map(Asking::AllService),
        1 => (select(&["_tcp", "_udp"][..]), any::<bool>()).prop_map(|(label, of_all)| Asking::Between(label, of_all)),
        4 => (0..6_u8).prop_map(Asking::Member),
        1 => (0..6_u8).prop_map(Asking::BelowMember),
        1 => service().prop_map(Asking::BelowService),
        1 => select(&[Asking::Note, Asking::Empty, Asking::Nowhere][..]),
    ];
    let rtype = prop_oneof![
        5 => Just(A), 3 => Just(AAAA), 5 => Just(SRV), 2 => Just(TXT), 2 => Just(ANY), 1 => select(&[15_u16, 65, 65_280][..]),
    ];
    let udp = prop_oneof![
        2 => Just(None), 2 => Just(Some(0)), 3 => (512_u16..=1_232).prop_map(Some), 1 => select(&[1_u16, 4_096, 65_535][..]).prop_map(Some),
    ];
    (asking, rtype, udp, any::<u64>()).prop_map(|(asking, rtype, udp, capitals)| Ask {
        asking,
        rtype,
        udp,
        capitals,
    })
}

impl Ask {
    /// The name, relative to the zone.
    pub fn name(&self) -> String {
        match self.asking {
            Asking::Pool => "web".to_owned(),
            Asking::All => "all.web".to_owned(),
            Asking::Service(service) => format!("{service}.web"),
            Asking::AllService(service) => format!("{service}.all.web"),
            Asking::Between(label, false) => format!("{label}.web"),
            Asking::Between(label, true) => format!("{label}.all.web"),
            Asking::Member(number) => format!("m{number}.web"),
            Asking::BelowMember(number) => format!("x.m{number}.web"),
            Asking::BelowService(service) => format!("_x.{service}.web"),
            Asking::Note => "note._tcp.web".to_owned(),
            Asking::Empty => "b.c".to_owned(),
            Asking::Nowhere => "nowhere".to_owned(),
        }
    }
}

/// The server and the reference, both told of the same pools.
pub fn both(web: &NewPool, spare: &NewPool) -> (World, Plain) {
    let operator = Grant {
        admin: true,
        owner: Some("ops".into()),
        sources: vec![format!("{OPERATOR}/32").parse().unwrap()],
        ..loopback_grant()
    };
    let pools = vec![("web", web.settings()), ("spare", spare.settings())];
    let grants = vec![operator, loopback_grant()];
    let mut world = World::with(Setup { pools, create_pools: false, grants, ..Setup::default() });
    let (web, spare) = (web.join("web", 0, &mut world), spare.join("spare", 1, &mut world));
    let now_ms = world.now_ms;
    (world, Plain { web, spare, now_ms })
}

impl NewPool {
    fn settings(&self) -> PoolSettings {
        let on_all_down = match self.last_resort {
            LastResort::All => OnAllDown::All,
            LastResort::LastGood => OnAllDown::LastGood,
            LastResort::Fallback => {
                OnAllDown::Fallback(b"\x05spare\x04pool\x07example\x00".as_slice().into())
            }
            LastResort::NoData => OnAllDown::NoData,
            LastResort::ServFail => OnAllDown::ServFail,
        };
        let (addresses, services) = self.shown;
        PoolSettings { ttl_s: self.ttl_s, addresses, services, on_all_down, ..pool_settings(self.policy) }
    }

    /// Lets everybody join.
    fn join(&self, name: &'static str, net: u8, world: &mut World) -> Pool {
        let members = self.members.iter().zip(0..);
        let members: Vec<Member> =
            members.map(|(new, number)| new.join(self, (name, net), number, world)).collect();
        let offers = members.iter().flat_map(|member| &member.offers);
        let known: BTreeSet<_> = offers.map(|offer| offer.service).collect();
        let (addresses, services) = self.shown;
        Pool {
            name,
            policy: self.policy,
            ttl_s: self.ttl_s,
            addresses,
            services,
            last_resort: self.last_resort,
            members,
            lost: Vec::new(),
            known,
        }
    }
}

impl Newcomer {
    fn join(&self, pool: &NewPool, (name, net): (&str, u8), number: u8, world: &mut World) -> Member {
        let mut v4: Vec<Ipv4Addr> = (0..self.v4).map(|n| Ipv4Addr::new(10, net, number, n)).collect();
        // Who is picked could not be told from an address that two have.
        if self.shares && self.v4 > 0 && pool.shown.0 == Shown::All {
            v4.push(SHARED);
            v4.sort_unstable();
        }
        let v6 =
            (0..self.v6).map(|n| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, net.into(), number.into(), n.into()));
        let v6: Vec<Ipv6Addr> = v6.collect();
        let (priority, weight) = self.fields;
        let offer = |&(service, port): &(&'static str, u16)| Offer {
            service,
            port,
            priority,
            weight: weight + port % 80,
        };
        let offers: Vec<Offer> = self.offers.iter().map(offer).collect();
        let mut member = Member {
            label: format!("m{number}"),
            v4,
            v6,
            offers,
            ends_ms: [0; 3],
            weight: self.weight,
            priority: self.priority,
            drain: Drain::No,
            own_ttl_s: self.own_ttl_s,
            attributes: String::new(),
        };
        self.say(pool, name, &mut member, world);
        member
    }

    /// Sends what a member registers, heartbeat by heartbeat, and notes what it means.
    fn say(&self, pool: &NewPool, name: &str, member: &mut Member, world: &mut World) {
        let own_drain_s = (self.drain == 2).then_some(5 + self.own_ttl_s / 2);
        let words = |drain_s| {
            let words = [("drain", drain_s), ("priority", self.priority), ("weight", self.weight)];
            let words = words.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?)));
            words.collect::<Vec<_>>().join(" ")
        };
        member.attributes = words(own_drain_s);
        let ttl_s = self.own_ttl_s;
        let label = format!("{}.{name}", member.label);
        let v4 = member.v4.iter().map(|ip| format!("add {label} {ttl_s} A {ip}")).collect::<Vec<_>>();
        let v6 = member.v6.iter().map(|ip| format!("add {label} {ttl_s} AAAA {ip}")).collect::<Vec<_>>();
        let srv = member.offers.iter().map(|offer| {
            let Offer { service, port, priority, weight } = offer;
            format!("add {service}.{name} {ttl_s} SRV {priority} {weight} {port} {label}")
        });
        let kinds = [v4, v6, srv.collect()];
        let mut first = kinds.concat();
        let says = |words: String| {
            let line = format!("add {label} {ttl_s} TXT {words}");
            (!words.is_empty()).then_some(line)
        };
        first.extend(says(words(None)));
        let (lease_s, more_s) = self.leases_s;
        let now_ms = world.now_ms;
        let mut send = |lines: &[String], lease_s: u32| {
            let updated = world.update_with_lease(&lines.join(";"), Some(&lease_s.to_be_bytes()));
            assert_eq!(updated.refusal, None, "{lines:?}");
            now_ms + u64::from(lease_s) * 1000
        };
        member.ends_ms = [send(&first, lease_s); 3];
        if let Some(drain_s) = own_drain_s {
            // Nobody joins who drains.
            first.extend(says(words(own_drain_s)));
            send(&first, lease_s);
            member.drain = Drain::Own(now_ms + u64::from(drain_s) * 1000);
        }
        // Those who were good last are told apart by what each had when its lease was over: one lease says that.
        let is_plain = pool.last_resort == LastResort::LastGood;
        for ((lines, ends_ms), lease_s) in kinds.iter().zip(&mut member.ends_ms).zip(more_s) {
            if let Some(lease_s) = lease_s.filter(|_| !lines.is_empty() && !is_plain) {
                *ends_ms = send(lines, lease_s);
            }
        }
        if self.drain == 1 {
            let own = std::mem::replace(&mut world.source, OPERATOR.parse().unwrap());
            world.accept(&format!("add _drain.{label} 0 TXT why=test"));
            world.source = own;
            member.drain = Drain::Operators;
        }
    }
}
