//! `_status`: what a pool makes of its members, for those who may look into it; and pools too big for one answer.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod policies;
mod troubles;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use rollcall::membership::{
    Address, Attributes, Crowd, Member, NO_DRAIN, PoolHandle, Registered, Said, Service,
};
use rollcall::policy::{Policy, Shown};
use rollcall::query::Transport;
use rollcall::query::status::line::Line;
use rollcall::security::{Grant, GrantedLease};
use rollcall::zone::PoolSettings;

use super::world::{
    Answer, Setup, World, every_name, loopback_grant, pool_settings, question_with_option, text,
};

/// The strings of a status, the pool's own first.
fn status(world: &mut World, name: &str) -> Vec<String> {
    let answer = world.ask(name, "TXT");
    assert_eq!(answer.ttl_s(), 0, "nobody is to remember it");
    answer.data()
}

/// The members' strings.
fn members(world: &mut World, name: &str) -> Vec<String> {
    status(world, name).split_off(1)
}

#[test]
fn the_pool_and_each_member_have_a_line_of_their_own() {
    let mut world = World::new();
    world.accept("add m2.web 30 A 10.0.0.2\nadd m2.web 30 TXT weight=0");
    world.accept(
        "add m1.web 30 A 10.0.0.1\nadd m1.web 30 AAAA 2001:db8::1\nadd m1.web 30 TXT weight=20 site=fra",
    );
    world.advance(7_000);
    world.accept("add m3.web 30 A 10.0.0.3\nadd _http._tcp.web 30 SRV 0 40 80 m3.web");
    let wanted = [
        "web.pool.example. pool policy=round-robin answers=all ttl=5s up=2 out=1 gone=0",
        "m1 up registered lease=23s weight=20 rank=1 share=50%/100% site=fra 10.0.0.1 2001:db8::1",
        "m2 out weight=0 lease=23s 10.0.0.2",
        "m3 up registered lease=30s weight=40 rank=1/- share=50%/- 10.0.0.3",
    ];
    assert_eq!(status(&mut world, "_status.web"), wanted);
    assert!(world.ask("_status.web", "TXT").message.metadata.authoritative);
    world.advance_unswept(24_000);
    let late = status(&mut world, "_status.web");
    assert!(late[0].ends_with(" up=1 out=0 gone=2"), "{late:?}");
    assert_eq!(late[1], "m1 gone expired lease=0s weight=20 site=fra");
    world.expire();
    let left = ["m3 up registered lease=6s weight=40 rank=1 share=100% 10.0.0.3"];
    assert_eq!(members(&mut world, "_status.web"), left);
    world.advance(7_000);
    let nobody = status(&mut world, "_status.web");
    assert!(nobody[0].ends_with(" up=0 out=0 gone=0") && nobody[1].starts_with("no member: "), "{nobody:?}");
}

#[test]
fn it_is_a_name_of_known_pools_and_has_nothing_else() {
    let mut world = World::new();
    assert!(world.ask("_status.web", "A").is_nodata(), "known, though nobody is in it");
    assert!(world.ask("_status.shop", "TXT").is_nxdomain());
    assert!(world.ask("_status.all.web", "TXT").is_nxdomain());
    assert!(world.ask("_status._http._tcp.web", "TXT").is_nxdomain(), "nobody has offered it yet");
    world.accept("add m1.web 30 A 10.0.0.1\nadd _http._tcp.web 30 SRV 0 1 80 m1.web");
    for name in ["_status.web", "_status._http._tcp.web"] {
        assert_eq!(world.ask(name, "ANY").data(), world.ask(name, "TXT").data());
        assert!(world.ask(name, "SRV").is_nodata());
        world.accept(&format!("prereq nxdomain {name}\nadd m1.web 30 A 10.0.0.1"));
        let why = world.refuse(&format!("add {name} 30 TXT mine"));
        assert!(why.contains("and `_status` are its own"), "{why}");
    }
    for name in ["_status._tcp.web", "_status._http._tcp.all.web", "_status.m1.web", "_status._ipp._tcp.web"]
    {
        assert!(world.ask(name, "TXT").is_nxdomain(), "{name}");
    }
}

#[test]
fn an_ordinary_name_beside_it_has_its_own_types() {
    let mut world = World::with(Setup { grants: vec![every_name(loopback_grant())], ..Setup::default() });
    world.accept("add m1.web 30 A 10.0.0.1\nadd _http._tcp.web 30 SRV 0 1 80 m1.web");
    for name in ["_status.web", "_status._http._tcp.web"] {
        world.accept(&format!("add {name} 30 HINFO here there"));
        assert_eq!(world.ask(name, "HINFO").data().len(), 1);
        assert_eq!(members(&mut world, name).len(), 1, "{name}");
    }
}

#[test]
fn a_member_that_lives_elsewhere_goes_by_its_target() {
    let grants = vec![every_name(loopback_grant())];
    let mut world = World::with(Setup { grants, ..Setup::default() });
    world.accept("add _http._tcp.web 30 SRV 0 7 80 host.example.org.");
    let wanted = ["host.example.org. up registered lease=30s weight=7"];
    assert_eq!(members(&mut world, "_status.web"), wanted, "it has no place among the addresses");
    let wanted = [
        "host.example.org. up registered lease=30s weight=7 rank=1 share=100% port=80 srv-priority=0 srv-weight=7",
    ];
    assert_eq!(members(&mut world, "_status._http._tcp.web"), wanted);
}

#[test]
fn one_that_is_permanent_has_no_lease() {
    let grant = Grant { lease: GrantedLease::None, ..loopback_grant() };
    let mut world = World::with(Setup { grants: vec![grant], ..Setup::default() });
    world.accept("add m1.web 30 A 10.0.0.1");
    world.advance(100_000);
    let wanted = ["m1 up registered lease=none weight=1 rank=1 share=100% 10.0.0.1"];
    assert_eq!(members(&mut world, "_status.web"), wanted);
}

#[test]
fn who_is_told_may_ask_whether_another_would_be() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1");
    let first = |world: &mut World, client: &[u8]| {
        let question = question_with_option("_status.web", "TXT", 8, client);
        let octets = world.answer(Transport::Tcp, &question).unwrap();
        let message = Message::from_vec(&octets).unwrap();
        message.answers.first().map(|record| text(&record.data))
    };
    let plain = "web.pool.example. pool policy=round-robin answers=all ttl=5s up=1 out=0 gone=0";
    let v6 = [&[0, 2, 128, 0, 0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7]].concat();
    for (client, wanted) in [
        (&[0, 1, 32, 0, 192, 0, 2, 7][..], " client=192.0.2.7 told=no"),
        (&[0, 1, 32, 0, 127, 3, 2, 1], " client=127.3.2.1 told=yes"),
        (&v6, " client=2001:db8::7 told=no"),
        // Networks, other families, and what is no such option at all.
        (&[0, 1, 24, 0, 127, 3, 2], ""),
        (&[0, 1, 32, 8, 127, 3, 2, 1], ""),
        (&[0, 3, 32, 0, 127, 3, 2, 1], ""),
        (&[0, 1, 32, 0, 127], ""),
        (&[0], ""),
    ] {
        assert_eq!(first(&mut world, client), Some(format!("{plain}{wanted}")), "{client:?}");
    }
    world.source = "192.0.2.7".parse().unwrap();
    assert_eq!(first(&mut world, &[0, 1, 32, 0, 127, 0, 0, 1]), None, "it makes nobody another");
}

#[test]
fn others_are_refused_and_told_that_it_is_not_for_them() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1");
    for (source, is_told) in [
        ("127.0.0.1", true),
        ("127.8.9.10", true),
        ("::1", true),
        ("10.0.0.1", false),
        ("2001:db8::1", false),
    ] {
        world.source = source.parse().unwrap();
        for edns in [None, Some(1232)] {
            let answer = world.ask_over(Transport::Udp, "_status.web", "TXT", edns);
            assert_eq!(answer.rcode() == ResponseCode::NoError, is_told, "{source}");
            assert_eq!(answer.message.answers.len(), 2 * usize::from(is_told));
            let code = answer.message.edns.as_ref().and_then(|edns| match edns.option(15.into()) {
                Some(EdnsOption::Unknown(_, data)) => Some(u16::from_be_bytes([data[0], data[1]])),
                _ => None,
            });
            assert_eq!(code, edns.filter(|_| !is_told).map(|_| 18), "{source}: Prohibited");
            if !is_told {
                assert_eq!(answer.rcode(), ResponseCode::Refused);
                assert!(!answer.message.metadata.authoritative && answer.message.authorities.is_empty());
            }
        }
        assert!(world.ask("_status.web", "A").is_nodata(), "the name is no secret");
    }
}

#[test]
fn an_alias_does_not_lead_there() {
    let grants = vec![every_name(loopback_grant())];
    let mut world = World::with(Setup { grants, ..Setup::default() });
    world.accept("add m1.web 30 A 10.0.0.1\nadd see 30 CNAME _status.web");
    assert_eq!(world.ask("see", "TXT").data(), ["_status.web.pool.example."]);
}

#[test]
fn more_than_a_string_holds_goes_into_several() {
    let mut world = World::new();
    let (site, rack) = ("s".repeat(200), "r".repeat(200));
    world.accept(&format!("add m1.web 30 A 10.0.0.1\nadd m1.web 30 TXT rack={rack} site={site}"));
    let answer = world.ask("_status.web", "TXT");
    let hickory_proto::rr::RData::TXT(txt) = &answer.message.answers[1].data else { unreachable!() };
    let lens: Vec<_> = txt.txt_data.iter().map(|string| string.len()).collect();
    assert!(lens.len() == 2 && lens[0] == 255, "{lens:?}");
    let whole = txt.txt_data.concat();
    let wanted =
        format!("m1 up registered lease=30s weight=1 rank=1 share=100% rack={rack} site={site} 10.0.0.1");
    assert_eq!(String::from_utf8(whole).unwrap(), wanted);
}

#[test]
fn what_the_server_says_no_member_says() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1\nadd m1.web 30 TXT rank=9 share=100%");
    let wanted = "m1 up registered lease=30s weight=1 rank=1 share=100% \\114ank=9 \\115hare=100% 10.0.0.1";
    let read = Line::parse(wanted.replace("\\\\", "\\").as_bytes());
    assert_eq!(members(&mut world, "_status.web"), [wanted.replace("\\\\", "\\")]);
    let Some(Line::Member(member)) = read else { panic!("{read:?}") };
    assert_eq!(member.attributes[0], (b"rank".to_vec(), b"9".to_vec()));
}

/// A world with a pool of so many members, each with an address and a port of its own, as a restart brings them back.
fn crowd(members: u32) -> World {
    let settings = PoolSettings { addresses: Shown::All, ..pool_settings(Policy::RoundRobin) };
    let mut world = World::with_pools(&[("web", settings)]);
    let pool: PoolHandle = b"\x03web\x04pool\x07example\x00"[..].into();
    let members = (0..members).map(|number| {
        let ip = Ipv4Addr::from(0x0A00_0000 + number).into();
        let (service, port) = (b"\x02_s\x02_p"[..].into(), (1 + number % 60_000) as u16);
        let lapses_ms = u64::MAX;
        let member = Member {
            owner: "tests".into(),
            lease_ms: 3_600_000,
            key_lease_ms: 0,
            own_ttl_s: 30,
            heard_run: 1,
            addresses: vec![Address { ip, lapses_ms }],
            services: vec![Service { service, port, priority: 0, weight: 1, lapses_ms }].into(),
            bindings: Vec::new().into(),
            attributes: Attributes::default(),
            drain_ends_ms: NO_DRAIN,
        };
        let ends_ms = world.now_ms + 3_600_000;
        let registered = Registered {
            member,
            ends_ms,
            name_ends_ms: ends_ms,
            signed: None,
            said: Said::Nothing,
            renews: true,
            crowd: Crowd::default(),
            restored: true,
        };
        let name = format!("m{number:05}");
        (Arc::clone(&pool), name.as_bytes().into(), registered)
    });
    let members: Vec<_> = members.collect();
    world.registrar.restore_all(members, 0, world.now_ms).unwrap();
    world
}

/// Asks twice over TCP: the same records in the same order, none of them twice.
fn stable(world: &mut World, name: &str, rtype: &str) -> Answer {
    let (one, other) = (world.ask(name, rtype), world.ask(name, rtype));
    assert_eq!(one.data(), other.data(), "{name}");
    assert_eq!(one.data().iter().collect::<BTreeSet<_>>().len(), one.data().len(), "{name}");
    assert!(!one.message.metadata.truncation, "{name}: nothing larger is to be had");
    one
}

fn cut(world: &mut World, name: &str, rtype: &str) {
    let answer = world.ask_over(Transport::Udp, name, rtype, Some(4096));
    assert!(answer.message.metadata.truncation && answer.octets.len() <= 1232, "{name}");
}

const BIG: [(&str, &str); 4] =
    [("all.web", "A"), ("_s._p.all.web", "SRV"), ("_status.web", "TXT"), ("_status._s._p.web", "TXT")];

#[test]
fn hundreds_of_members_are_cut_over_udp_and_whole_over_tcp() {
    let mut world = crowd(500);
    for (name, rtype) in BIG {
        cut(&mut world, name, rtype);
        let pools = usize::from(rtype == "TXT");
        assert_eq!(stable(&mut world, name, rtype).data().len(), 500 + pools, "{name}");
    }
}

#[test]
fn as_many_as_udp_takes_come_over_udp() {
    let mut world = crowd(10);
    let answer = world.ask_over(Transport::Udp, "_status.web", "TXT", Some(1232));
    assert_eq!((answer.data().len(), answer.message.metadata.truncation), (11, false));
    let mut world = crowd(20);
    cut(&mut world, "_status.web", "TXT");
}

#[test]
fn a_hundred_thousand_are_cut_at_64_kb_over_tcp() {
    let mut world = crowd(100_000);
    for (name, rtype) in BIG {
        cut(&mut world, name, rtype);
        let answer = stable(&mut world, name, rtype);
        assert!(answer.octets.len() > 65_300, "{name}: {}", answer.octets.len());
        if rtype == "TXT" {
            let data = answer.data();
            let (last, shown) = data.split_last().unwrap();
            let rest = 100_000 - (shown.len() - 1);
            assert_eq!(*last, format!("{rest} more members are not shown: they do not fit"));
            assert!(shown[1].starts_with("m00000 ") && shown.len() > 500, "{}", shown.len());
        }
    }
}
