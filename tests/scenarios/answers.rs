//! What clients are told: names, types, sections, sizes, flags.

use hickory_proto::op::{Message, ResponseCode};
use rollcall::policy::{Policy, Shown};
use rollcall::query::Transport;
use rollcall::zone::PoolSettings;

use super::world::{World, pool_settings, question_message};

fn crowd(world: &mut World, pool: &str, members: u32) {
    for n in 0..members {
        world.accept(&format!(
            "add m{n}.{pool} 30 A 10.0.{}.{}; add _http._tcp.{pool} 30 SRV 0 10 8080 m{n}.{pool}",
            n / 250,
            n % 250
        ));
    }
}

#[test]
fn static_records_aliases_and_empty_names() {
    let mut world = World::new();
    assert_eq!(world.ask("ns", "A").data(), ["192.0.2.53"]);
    assert_eq!(world.ask("NS", "AAAA").data(), ["2001:db8::53"]);
    assert_eq!(world.ask("@", "NS").data(), ["ns.pool.example."]);
    assert_eq!(world.ask("info", "TXT").data(), ["hello world"]);
    assert_eq!(world.ask("www", "A").data(), ["info.pool.example.", "192.0.2.80"]);
    assert_eq!(world.ask("www", "A").message.answers[1].name.to_string(), "info.pool.example.");
    assert_eq!(world.ask("www", "CNAME").data(), ["info.pool.example."]);
    assert_eq!(world.ask("away", "A").data(), ["www.example.org."]);
    let looping = world.ask("loop", "A");
    assert_eq!(looping.data(), ["pool.pool.example.", "loop.pool.example."], "each link once");
    assert_eq!((looping.rcode(), looping.message.authorities.len()), (ResponseCode::NoError, 0));
    let dangling = world.ask("gone", "A");
    assert_eq!((dangling.rcode(), dangling.data().len()), (ResponseCode::NXDomain, 1), "RFC 6604");
    assert_eq!(dangling.message.authorities[0].name.to_string(), "pool.example.");
    assert!(world.ask("ns", "MX").is_nodata());
    for empty in ["c", "b.c"] {
        assert!(world.ask(empty, "A").is_nodata(), "{empty} is an empty non-terminal");
    }
    assert!(world.ask("x.ns", "A").is_nxdomain());
    assert!(world.ask("nowhere", "A").is_nxdomain());
}

#[test]
fn an_alias_may_lead_to_a_pool() {
    let mut world = World::new();
    assert_eq!(world.ask("to-web", "A").message.authorities.len(), 1);
    world.accept("add m1.web 30 A 10.0.0.1");
    let answer = world.ask("to-web", "A");
    assert_eq!(answer.data(), ["web.pool.example.", "10.0.0.1"]);
    assert_eq!(answer.message.answers[1].name.to_string(), "web.pool.example.");
}

#[test]
fn soa_says_the_negative_ttl_and_moves() {
    let mut world = World::new();
    let before = world.ask("@", "SOA").data();
    assert_eq!(before, ["ns.pool.example. hostmaster.pool.example. 7 3600 600 86400 2"]);
    world.accept("add m1.web 30 A 10.0.0.1");
    assert!(world.ask("@", "SOA").data()[0].contains(" 8 3600 "));
}

#[test]
fn names_in_a_pool() {
    let mut world = World::new();
    crowd(&mut world, "web", 3);
    assert_eq!(world.ask("all.web", "A").data(), ["10.0.0.0", "10.0.0.1", "10.0.0.2"], "in a stable order");
    assert_eq!(world.ask("all.web", "A").data(), world.ask("all.web", "A").data());
    assert_eq!(world.ask("_http._tcp.all.web", "SRV").data().len(), 3);
    assert_eq!(world.ask("m2.web", "A").data(), ["10.0.0.2"]);
    assert!(world.ask("m2.web", "AAAA").is_nodata());
    assert!(world.ask("web", "AAAA").is_nodata());
    for between in ["_tcp.web", "_tcp.all.web"] {
        assert!(world.ask(between, "A").is_nodata(), "{between}");
    }
    assert!(world.ask("_http._tcp.web", "A").is_nodata());
    for missing in ["m3.web", "x.m1.web", "_sip._udp.web", "_udp.web", "x.all.web", "x._tcp.web"] {
        assert!(world.ask(missing, "A").is_nxdomain(), "{missing}");
    }
    assert_eq!(world.ask("note._tcp.web", "TXT").data(), ["static, below a pool"]);
}

#[test]
fn round_robin_gives_each_member_the_lead_in_turn() {
    let mut world = World::new();
    crowd(&mut world, "web", 3);
    let leads: Vec<_> = (0..6).map(|_| world.ask("web", "A").data()[0].clone()).collect();
    assert_eq!(leads, ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.0", "10.0.0.1", "10.0.0.2"]);
    let targets: Vec<_> = (0..3).map(|_| world.ask("_http._tcp.web", "SRV").data()[0].clone()).collect();
    assert_eq!(targets.len(), 3);
    assert_ne!(targets[0], targets[1]);
}

#[test]
fn weighted_random_shows_one_address_by_weight_and_weights_in_every_srv() {
    let mut world = World::new();
    world.accept(
        "add m1.game 30 A 10.0.0.1; add m1.game 30 TXT weight=30; add _g._udp.game 30 SRV 5 1 1 m1.game",
    );
    world.accept(
        "add m2.game 30 A 10.0.0.2; add m2.game 30 TXT weight=10; add _g._udp.game 30 SRV 5 1 1 m2.game",
    );
    world.accept(
        "add m3.game 30 A 10.0.0.3; add m3.game 30 TXT weight=0; add _g._udp.game 30 SRV 5 1 1 m3.game",
    );
    let mut first = 0;
    for _ in 0..4_000 {
        let data = world.ask("game", "A").data();
        assert_eq!(data.len(), 1);
        assert_ne!(data[0], "10.0.0.3", "weight 0 is out");
        first += usize::from(data[0] == "10.0.0.1");
    }
    assert!((2_850..3_150).contains(&first), "three quarters, not {first} of 4000");
    let srv = world.ask("_g._udp.game", "SRV");
    assert_eq!(srv.sorted(), ["0 21845 1 m2.game.pool.example.", "0 65535 1 m1.game.pool.example."]);
    assert_eq!(world.ask("all.game", "A").data().len(), 3, "all. has everyone in service");
}

#[test]
fn replies_keep_to_the_clients_size_and_to_1232() {
    let mut world = World::new();
    crowd(&mut world, "web", 60);
    let plain = world.ask_over(Transport::Udp, "_http._tcp.web", "SRV", None);
    assert!(plain.message.metadata.truncation && plain.octets.len() <= 512);
    assert!(!plain.message.answers.is_empty(), "what fits is there, for clients that never ask again");
    assert!(plain.message.edns.is_none());
    let small = world.ask_over(Transport::Udp, "web", "A", Some(100));
    assert!(small.octets.len() <= 512 && small.message.edns.is_some(), "a size below 512 means 512");
    let large = world.ask_over(Transport::Udp, "_http._tcp.web", "SRV", Some(65_000));
    assert!(large.message.metadata.truncation && large.octets.len() <= 1232);
    let fits = world.ask_over(Transport::Udp, "web", "A", Some(1232));
    assert!(!fits.message.metadata.truncation, "60 addresses fit");
    assert_eq!(fits.message.answers.len(), 60);
    let whole = world.ask("_http._tcp.web", "SRV");
    assert_eq!((whole.message.answers.len(), whole.message.additionals.len()), (60, 60));
    assert!(!whole.message.metadata.truncation);
}

#[test]
fn additional_gives_way_before_the_answer() {
    let mut world = World::new();
    crowd(&mut world, "web", 10);
    let srv = world.ask_over(Transport::Udp, "_http._tcp.web", "SRV", None);
    assert!(!srv.message.metadata.truncation);
    assert_eq!(srv.message.answers.len(), 10);
    assert!(srv.message.additionals.len() < 10, "some addresses had no room");
}

#[test]
fn past_64_kb_tcp_has_what_fits() {
    let mut world = World::new();
    crowd(&mut world, "web", 1_800);
    let whole = world.ask("_http._tcp.web", "SRV");
    assert!(whole.octets.len() > 60_000 && whole.octets.len() <= 65_535);
    assert!(!whole.message.metadata.truncation);
    assert_eq!(world.ask("all.web", "A").data().len(), 1_800);
}

#[test]
fn a_list_that_does_not_fit_still_gives_each_member_the_lead() {
    let mut world = World::new();
    crowd(&mut world, "web", 60);
    let mut leads = std::collections::BTreeSet::new();
    for _ in 0..60 {
        leads.insert(world.ask_over(Transport::Udp, "_http._tcp.web", "SRV", None).data()[0].clone());
    }
    assert_eq!(leads.len(), 60);
}

#[test]
fn a_member_with_more_addresses_or_ports_has_no_larger_share() {
    let two = Shown::AtMost(2.try_into().unwrap());
    let settings = PoolSettings { addresses: two, services: two, ..pool_settings(Policy::WeightedRandom) };
    let mut world = World::with_pools(&[("web", settings), ("game", pool_settings(Policy::WeightedRandom))]);
    for pool in ["game", "web"] {
        world.accept(&format!(
            "add m1.{pool} 30 A 10.0.0.1; add m1.{pool} 30 A 10.0.1.1; add m1.{pool} 30 TXT weight=10"
        ));
        world.accept(&format!("add m2.{pool} 30 A 10.0.0.2; add m2.{pool} 30 TXT weight=10"));
        for m in ["m1", "m2"] {
            world.accept(&format!(
                "add _s._tcp.{pool} 30 SRV 0 0 1 {m}.{pool}; add _s._tcp.{pool} 30 SRV 0 0 2 {m}.{pool}"
            ));
        }
    }
    let picked = (0..2_000).filter(|_| world.ask("game", "A").data() == ["10.0.0.2"]).count();
    assert!((900..1_100).contains(&picked), "half, not {picked} of 2000");
    for _ in 0..50 {
        assert_eq!(world.ask("web", "A").sorted(), ["10.0.0.1", "10.0.0.2", "10.0.1.1"], "nobody twice");
        let srv = world.ask("_s._tcp.web", "SRV");
        assert_eq!((srv.data().len(), srv.message.additionals.len()), (4, 3));
    }
}

#[test]
fn soa_through_an_alias_has_its_own_owner() {
    let mut world = World::new();
    let answer = world.ask("apex", "SOA");
    let owners: Vec<_> = answer.message.answers.iter().map(|record| record.name.to_string()).collect();
    assert_eq!(owners, ["apex.pool.example.", "pool.example."]);
}

#[test]
fn a_static_rrset_that_does_not_fit_a_datagram_is_truncated() {
    let mut world = World::new();
    let long = world.ask_over(Transport::Udp, "long", "TXT", Some(1232));
    assert!(long.message.metadata.truncation && long.data().is_empty());
    assert_eq!(world.ask("long", "TXT").data().len(), 1, "over TCP it fits");
}

#[test]
fn qname_comes_back_as_sent() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1");
    let mut message = question_message("wEb.PoOl.ExAmPlE.", "A", None);
    let reply = world.answer(Transport::Udp, &message).unwrap();
    assert_eq!(reply[12..message.len()], message[12..]);
    assert_eq!(&reply[message.len()..message.len() + 2], b"\xc0\x0c");
    message[12 + 3] = b'X';
    let reply = world.answer(Transport::Udp, &message).unwrap();
    assert_eq!(reply[12..message.len()], message[12..]);
}

#[test]
fn flags_are_those_of_an_authority() {
    let mut world = World::new();
    let mut message = question_message("ns", "A", None);
    message[2] |= 1;
    message[3] |= 0x10;
    let reply = Message::from_vec(&world.answer(Transport::Udp, &message).unwrap()).unwrap();
    assert!(
        reply.metadata.authoritative && reply.metadata.recursion_desired && reply.metadata.checking_disabled
    );
    assert!(!reply.metadata.recursion_available);
}

#[test]
fn oddities_have_their_rcodes() {
    let mut world = World::new();
    let mut rcode = |patch: &dyn Fn(&mut Vec<u8>)| {
        let mut message = question_message("web", "A", Some(1232));
        patch(&mut message);
        let reply = world.answer(Transport::Udp, &message)?;
        let reply = Message::from_vec(&reply).unwrap();
        let high = reply.edns.as_ref().map_or(0, |edns| edns.rcode_high());
        Some((u16::from(high) << 4) | u16::from(reply.metadata.response_code.low()))
    };
    // The question ends 11 octets before the end: its type and class are the four octets before that.
    let with_type = |rtype: u16| {
        move |m: &mut Vec<u8>| (m.len() - 15..).zip(rtype.to_be_bytes()).for_each(|(at, octet)| m[at] = octet)
    };
    let with_class = |class: u16| {
        move |m: &mut Vec<u8>| (m.len() - 13..).zip(class.to_be_bytes()).for_each(|(at, octet)| m[at] = octet)
    };
    assert_eq!(rcode(&|_| {}), Some(0));
    for class in [3, 4, 255] {
        assert_eq!(rcode(&with_class(class)), Some(5), "class {class}");
    }
    assert_eq!(rcode(&with_class(254)), Some(1), "class NONE");
    assert_eq!(rcode(&with_type(666)), Some(0), "an unknown type is NODATA");
    assert_eq!(rcode(&with_type(252)), Some(5), "AXFR");
    assert_eq!(rcode(&with_type(41)), Some(1), "OPT as a type");
    assert_eq!(rcode(&with_type(254)), Some(4), "MAILA");
    for opcode in [1_u8, 2, 4, 6, 15] {
        assert_eq!(rcode(&|m| m[2] = opcode << 3), Some(4), "opcode {opcode}");
    }
    assert_eq!(rcode(&|m| m[2] = 0x80), None, "a response");
    assert_eq!(rcode(&|m| m[5] = 0), Some(1), "QDCOUNT 0");
    assert_eq!(rcode(&|m| m[5] = 2), Some(1), "QDCOUNT 2");
    let version_at = |m: &Vec<u8>| m.len() - 5;
    assert_eq!(
        rcode(&|m| {
            let at = version_at(m);
            m[at] = 1
        }),
        Some(16),
        "BADVERS"
    );
    assert_eq!(rcode(&|m| m.push(0)), Some(1), "trailing octets");
    let elsewhere = world.ask("www.example.org.", "A");
    assert_eq!((elsewhere.rcode(), elsewhere.message.queries.len()), (ResponseCode::Refused, 1));
    assert!(!elsewhere.message.metadata.authoritative);
}

#[test]
fn any_gets_one_rrset() {
    let mut world = World::new();
    crowd(&mut world, "web", 2);
    for (name, records) in [("web", 2), ("m1.web", 1), ("_http._tcp.web", 2), ("ns", 1), ("@", 1)] {
        assert_eq!(world.ask(name, "ANY").data().len(), records, "{name}");
    }
}

#[test]
fn both_families_and_additional_from_the_same_view() {
    let mut world = World::new();
    world.accept(
        "add m1.web 30 A 10.0.0.1; add m1.web 30 A 10.0.0.2; add m1.web 30 AAAA 2001:db8::1; add _h._tcp.web 30 SRV 0 0 1 m1.web",
    );
    let srv = world.ask("_h._tcp.web", "SRV");
    let additional: Vec<_> = srv.message.additionals.iter().map(|record| record.data.to_string()).collect();
    assert_eq!(additional, ["10.0.0.1", "10.0.0.2", "2001:db8::1"]);
    assert!(srv.message.additionals.iter().all(|record| record.name.to_string() == "m1.web.pool.example."));
}
