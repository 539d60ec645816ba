//! Zones made to cost: they are served, in time and memory that grow with the file and no faster.

use std::path::Path;

use hickory_proto::op::ResponseCode;
use rollcall::query::Transport;
use rollcall::wire::Name;
use rollcall::zone::file;

use super::world::{Setup, World, ZONE, zone_file};

fn world(more: &str) -> World {
    World::with(Setup { zone_file: format!("{}{more}", zone_file()), ..Setup::default() })
}

#[test]
fn a_million_labels_are_a_million_names() {
    // 112 labels of one octet below the zone, each name's own but for the last: 9,000 of them share no name above.
    let names = (0..9_000).map(|n| format!("{}l{n:06} TXT x\n", "a.".repeat(111)));
    let mut world = world(&names.collect::<String>());
    assert_eq!(world.ask(&format!("{}l008999", "a.".repeat(111)), "TXT").data(), ["x"]);
    assert!(world.ask(&format!("{}l008999", "a.".repeat(110)), "TXT").is_nodata());
    assert!(world.ask("l000000", "TXT").is_nodata());
    assert!(world.ask(&format!("{}l009000", "a.".repeat(111)), "TXT").is_nxdomain());
}

#[test]
fn a_chain_of_ten_thousand_aliases_is_followed_so_far() {
    let links = (0..10_000).map(|n| format!("c{n} CNAME c{}\n", n + 1)).collect::<String>();
    let mut world = world(&format!("{links}c10000 A 192.0.2.99\n"));
    let short = world.ask("c9990", "A");
    assert_eq!((short.rcode(), short.data().len()), (ResponseCode::NoError, 11), "to its end");
    let long = world.ask("c0", "A");
    assert_eq!((long.rcode(), long.data().len()), (ResponseCode::NoError, 17), "as far as it goes");
    let round = world.ask("loop", "A");
    assert_eq!((round.rcode(), round.data().len()), (ResponseCode::NoError, 2), "each link once");
}

#[test]
fn the_largest_rrset_comes_whole_over_tcp_and_a_larger_one_is_no_zone() {
    let texts = |count: usize| {
        let rdata = (0..count).map(|n| format!("big TXT \"{n:03}{}\"\n", "x".repeat(250)));
        format!("{}{}", zone_file(), rdata.collect::<String>())
    };
    // 266 octets each, in a message of at most 65,535 with the question and an OPT record.
    let mut world = world(&texts(240).replace(&zone_file(), ""));
    assert_eq!(world.ask("big", "TXT").data().len(), 240);
    let udp = world.ask_over(Transport::Udp, "big", "TXT", Some(4096));
    assert!(udp.message.metadata.truncation && udp.octets.len() <= 1232);
    let error = file::parse(texts(247).as_bytes(), Path::new("z"), &Name::bytes_from_str(ZONE).unwrap());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no message can carry it"), "{error}");
}
