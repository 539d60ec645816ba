//! Whose address it is, what proves it, and what the refused are told.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use rollcall::membership::Cause;
use rollcall::query::Transport;
use rollcall::security::Grant;

use super::{M1, by, world};
use crate::signing::{FUDGE_S, sign, tsig_of};
use crate::table::{assert_holds, rrset};
use crate::world::{Updated, World, every_name, key_grant, loopback_grant, update_message};

const CLIENT: [u8; 8] = *b"a client";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn own_address() -> World {
    let sources = vec!["10.0.0.0/8".parse().unwrap()];
    let key = Grant { own_address: true, sources, ..every_name(key_grant("old.")) };
    world(vec![Grant { addresses: Vec::new(), ..key }])
}

#[test]
fn own_address_takes_a_proven_source_and_no_other_address() {
    let mut world = own_address();
    world.source = ip("10.0.0.5");
    let (own, other) = ("add m5.web 30 A 10.0.0.5", "add m5.web 30 A 10.0.0.6");
    let reason = by(&world, "old.", own).refused_by(&mut world);
    assert!(reason.contains("nothing proves that it came from 10.0.0.5"), "{reason}");
    let request = by(&world, "old.", other);
    let updated = world.send_over(Transport::Tcp, &request.octets);
    assert!(updated.refusal.unwrap().contains("address 10.0.0.6 is not 10.0.0.5"));
    let request = by(&world, "old.", own);
    assert_eq!(world.send_over(Transport::Tcp, &request.octets).rcode, ResponseCode::NoError);
    // Nor may a forged source drain it, or take it away.
    for script in ["add m5.web 30 TXT weight=0", "delete m5.web", "delete m5.web A", "delete web A", own] {
        let reason = by(&world, "old.", script).refused_by(&mut world);
        assert!(reason.contains("nothing proves"), "{script}: {reason}");
    }
    let learnt = learn_cookie(&mut world);
    let request = sign(with_cookie(own, &learnt), "old.", world.wall_s(), FUDGE_S);
    assert_eq!(request.accepted_by(&mut world), [Cause::Renewed]);
    // Ordinary names hold to the same.
    by(&world, "old.", "add host 60 A 10.0.0.5").refused_by(&mut world);
    by(&world, "old.", "add host 60 TXT v=1").accepted_by(&mut world);
}

/// Two hosts, each with a member under the key that they share.
fn shared_key() -> World {
    let mut world = own_address();
    for host in ["5", "6"] {
        world.source = ip(&format!("10.0.0.{host}"));
        let join =
            format!("add m{host}.web 30 A 10.0.0.{host}; add _s._tcp.web 30 SRV 0 0 {host} m{host}.web");
        let request = by(&world, "old.", &join);
        assert_eq!(world.send_over(Transport::Tcp, &request.octets).rcode, ResponseCode::NoError);
    }
    world
}

#[test]
fn a_host_cannot_touch_the_member_of_another_that_shares_its_key() {
    let scripts = [
        "delete m5.web",
        "delete m5.web A",
        "delete m5.web A 10.0.0.5",
        "delete m5.web A; add m5.web 30 A 10.0.0.6",
        "delete m5.web; add m5.web 30 A 10.0.0.6",
        "add m5.web 30 A 10.0.0.6",
        "add m5.web 30 TXT weight=0",
        "delete _s._tcp.web SRV 0 0 5 m5.web",
    ];
    let wrong = scripts.into_iter().filter(|script| {
        let mut world = shared_key();
        let request = by(&world, "old.", script);
        let updated = world.send_over(Transport::Tcp, &request.octets);
        let is_left = rrset(&mut world, "m5.web", "A").1.contains_key("10.0.0.5");
        let reason = updated.refusal.unwrap_or_default();
        updated.rcode != ResponseCode::Refused
            || !is_left
            || !reason.contains("address 10.0.0.5 is not 10.0.0.6")
    });
    assert_eq!(wrong.collect::<Vec<_>>(), <[&str; 0]>::default());
}

/// Where a key is shared, the address tells whose member it is: so what several share loses the sender's part alone.
#[test]
fn a_host_takes_its_own_part_of_what_is_shared_with_others_under_its_key() {
    for (script, left) in [
        ("delete _s._tcp.web SRV", "_s._tcp.web SRV 0 0 5 m5.web; web A 10.0.0.5; web A 10.0.0.6"),
        ("delete web A", "web A 10.0.0.5; m6.web A NXDOMAIN"),
        ("delete web A 10.0.0.5", "web A 10.0.0.5; web A 10.0.0.6"),
        ("delete web A; add m6.web 30 A 10.0.0.6", "web A 10.0.0.5; web A 10.0.0.6"),
    ] {
        let mut world = shared_key();
        let request = by(&world, "old.", script);
        let updated = world.send_over(Transport::Tcp, &request.octets);
        assert_eq!(updated.rcode, ResponseCode::NoError, "{script}: {:?}", updated.refusal);
        assert_holds(&mut world, left);
    }
}

fn with_cookie(script: &str, cookie: &[u8]) -> Message {
    let mut message = update_message(script, None);
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::Unknown(10, cookie.to_vec()));
    message.set_edns(edns);
    message
}

fn option(updated: &Updated, code: u16) -> Option<Vec<u8>> {
    let message = Message::from_vec(&updated.octets).unwrap();
    match message.edns.as_ref()?.option(code.into())? {
        EdnsOption::Unknown(_, data) => Some(data.clone()),
        _ => None,
    }
}

/// The RCODE with the eight bits that the OPT has of it (RFC 6891 section 6.1.3).
fn rcode(updated: &Updated) -> u16 {
    let message = Message::from_vec(&updated.octets).unwrap();
    let high = message.edns.map_or(0, |edns| edns.rcode_high());
    (u16::from(high) << 4) | u16::from(updated.octets[3] & 0x0F)
}

/// The code and the text of an extended error (RFC 8914 section 2).
fn extended_error(updated: &Updated) -> Option<(u16, String)> {
    let data = option(updated, 15)?;
    let text = String::from_utf8(data[2..].to_vec()).unwrap();
    Some((u16::from_be_bytes([data[0], data[1]]), text))
}

/// The cookie that the server gives the world's source.
fn learn_cookie(world: &mut World) -> Vec<u8> {
    let asked = with_cookie("", &CLIENT).to_vec().unwrap();
    let cookie = option(&world.send(&asked), 10).unwrap();
    assert_eq!((&cookie[..8], cookie.len()), (&CLIENT[..], 24));
    cookie
}

#[test]
fn unsigned_beyond_loopback_takes_tcp_or_a_cookie() {
    let sources = vec!["10.0.0.0/8".parse().unwrap()];
    let mut world = world(vec![Grant { sources, ..loopback_grant() }]);
    world.source = ip("10.0.0.5");
    let plain = update_message(M1, None).to_vec().unwrap();
    let mut lease = update_message(M1, Some(&[0, 0, 0, 30]));
    let lease_alone = lease.to_vec().unwrap();
    lease.edns.as_mut().unwrap().options_mut().insert(EdnsOption::Unknown(10, CLIENT.to_vec()));

    let updated = world.send(&plain);
    assert_eq!((rcode(&updated), updated.octets[11]), (5, 0), "REFUSED, and no OPT for who has none");
    let updated = world.send(&lease_alone);
    let (code, text) = extended_error(&updated).unwrap();
    assert_eq!((rcode(&updated), code, updated.lease), (5, 18, None));
    assert!(
        text.contains("nothing proves that it came from 10.0.0.5; send it over TCP, or with a DNS cookie"),
        "{text}"
    );
    let updated = world.send(&lease.to_vec().unwrap());
    assert_eq!((rcode(&updated), &updated.lease), (23, &None), "BADCOOKIE");
    let cookie = option(&updated, 10).unwrap();
    world.source = ip("10.0.0.6");
    let updated = world.send(&with_cookie(M1, &cookie).to_vec().unwrap());
    assert_eq!(rcode(&updated), 23, "it is another's");
    world.source = ip("10.0.0.5");
    let mut forged = cookie.clone();
    forged[20] ^= 1;
    assert_eq!(rcode(&world.send(&with_cookie(M1, &forged).to_vec().unwrap())), 23);
    assert_holds(&mut world, "web A NODATA");

    let updated = world.send(&with_cookie(M1, &cookie).to_vec().unwrap());
    assert_eq!(
        (rcode(&updated), option(&updated, 10), &updated.causes[..]),
        (0, Some(cookie), &[Cause::Joined][..])
    );
    let updated = world.send_over(Transport::Tcp, &plain);
    assert_eq!((rcode(&updated), &updated.causes[..]), (0, &[Cause::Renewed][..]));
    world.source = ip("192.0.2.1");
    let updated = world.send_over(Transport::Tcp, &plain);
    assert!(updated.refusal.unwrap().contains("unsigned updates are not granted from 192.0.2.1"));
}

#[test]
fn a_refusal_says_why_to_who_speaks_edns_and_grants_no_lease() {
    let mut world = world(vec![every_name(loopback_grant()), every_name(key_grant("old."))]);
    by(&world, "old.", "add taken.web 30 A 10.0.0.7").accepted_by(&mut world);
    for (script, rcode_wanted, code, text) in [
        ("add m1.web 30 A 172.16.0.1", 5, 18, "address 172.16.0.1 is not granted"),
        ("add taken.web 30 A 10.0.0.7", 5, 18, "belongs to old."),
        ("add web 30 CNAME info", 5, 18, "stands in the way of pool web.pool.example."),
        ("add m1.web 30 TXT weight=1", 5, 18, "register again"),
        (
            "prereq nxdomain info; add info 60 TXT v=1",
            6,
            0,
            "prerequisite not met: that info.pool.example. is not in use",
        ),
        ("prereq yxrrset info MX", 8, 0, "prerequisite not met: that info.pool.example. MX exists"),
        ("add host.example.org. 60 TXT v=1", 10, 0, "host.example.org. is not in the zone"),
        ("zone example.org.; add host 60 TXT v=1", 9, 0, "not authoritative for zone example.org."),
        ("record host 60 ANY TXT v=1", 1, 0, "is neither an addition nor a deletion"),
    ] {
        let updated = world.update_with_lease(script, Some(&[0, 0, 0, 30]));
        let told = extended_error(&updated).unwrap_or_default();
        assert_eq!(
            (rcode(&updated), told.0, &updated.lease),
            (rcode_wanted, code, &None),
            "{script}: {told:?}"
        );
        assert!(told.1.contains(text), "{script}: {told:?}");
        let mut reason = updated.refusal.unwrap();
        reason.truncate(200);
        assert_eq!(told.1, reason, "what the log says, as far as it has room");
        let updated = world.update(script);
        assert_eq!((rcode(&updated), updated.octets[11]), (rcode_wanted, 0), "{script}: OPT only if asked");
    }
    let accepted = world.update_with_lease("add m2.web 30 A 10.0.0.2", Some(&[0, 0, 0, 30]));
    assert_eq!((extended_error(&accepted), accepted.lease), (None, Some(vec![0, 0, 0, 30])));
}

#[test]
fn a_signed_refusal_says_why_within_its_signature() {
    let mut world = world(vec![every_name(key_grant("old."))]);
    let with_lease = |world: &World, key, ago_s, script| {
        sign(update_message(script, Some(&[0, 0, 0, 30])), key, world.wall_s() - ago_s, FUDGE_S)
    };
    with_lease(&world, "old.", 0, M1).accepted_by(&mut world);
    let none = with_lease(&world, "other.", 0, M1);
    let updated = world.send(&none.octets);
    tsig_of(&none, &updated.octets);
    let (code, text) = extended_error(&updated).unwrap();
    assert_eq!((code, &text[..40], updated.lease), (18, "key other. has no grant in this zone; ad", None));
    let replay = with_lease(&world, "old.", 1, M1);
    replay.a_replay_to(&mut world);
    let updated = world.send(&replay.octets);
    assert!(extended_error(&updated).unwrap().1.contains("BADTIME"));
    assert_eq!(updated.lease, None);
}
