//! DNS cookies (RFC 7873, RFC 9018): who gets one, when it is kept, and that no answer depends on it.

// Helpers of tests may fail as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use rollcall::query::Transport;

use super::world::{World, question_message, question_with_cookie};

const CLIENT: [u8; 8] = *b"a client";

/// A reply with a cookie, and that cookie.
struct Told {
    octets: Vec<u8>,
    message: Message,
    cookie: Option<Vec<u8>>,
}

impl Told {
    fn rcode(&self) -> u16 {
        let high = self.message.edns.as_ref().map_or(0, |edns| edns.rcode_high());
        (u16::from(high) << 4) | u16::from(self.octets[3] & 0x0F)
    }

    /// The cookie, which must be the client's and 16 octets of ours.
    fn cookie(&self) -> [u8; 24] {
        let cookie = self.cookie.as_deref().expect("a cookie");
        assert_eq!(cookie[..8], CLIENT);
        cookie.try_into().expect("24 octets")
    }
}

fn send(world: &mut World, transport: Transport, message: &[u8]) -> Told {
    let octets = world.answer(transport, message).expect("a reply");
    let message = Message::from_vec(&octets).expect("a reply that parses");
    let option = message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::Cookie));
    let cookie = option.map(|option| match option {
        EdnsOption::Unknown(_, data) => data.clone(),
        other => panic!("{other:?}"),
    });
    Told { octets, message, cookie }
}

/// Asks for a static address over UDP with this cookie.
fn ask(world: &mut World, cookie: &[u8]) -> Told {
    send(world, Transport::Udp, &question_with_cookie("ns", "A", 1232, cookie))
}

/// A header and an OPT with this cookie: no question.
fn alone(cookie: &[u8]) -> Vec<u8> {
    let mut message = question_with_cookie("ns", "A", 1232, cookie);
    let question_end = question_message("ns", "A", None).len();
    message.drain(12..question_end);
    message[5] = 0;
    message
}

/// The RCODE to a cookie alone: 0 for one that is good, 23 for one that is not.
fn confirm(world: &mut World, cookie: &[u8]) -> u16 {
    let told = send(world, Transport::Udp, &alone(cookie));
    assert_eq!(told.octets[4..12], [0, 0, 0, 0, 0, 0, 0, 1], "nothing but an OPT");
    let back = told.cookie();
    let again = send(world, Transport::Udp, &alone(&back));
    assert_eq!((again.rcode(), again.cookie()), (0, back), "what comes back is good, and kept");
    told.rcode()
}

#[test]
fn a_client_learns_its_cookie_keeps_it_and_is_given_the_next_in_time() {
    let mut world = World::new();
    let first = ask(&mut world, &CLIENT).cookie();
    world.advance(1_800_000);
    assert_eq!(ask(&mut world, &first).cookie(), first, "kept for half an hour");
    world.advance(1_000);
    let second = ask(&mut world, &first).cookie();
    assert_ne!(second, first);
    world.advance(1_799_000);
    assert_eq!(confirm(&mut world, &first), 0, "good for an hour");
    world.advance(1_000);
    assert_eq!(confirm(&mut world, &first), 23, "and no longer");
    assert_eq!(confirm(&mut world, &second), 0);
}

#[test]
fn a_cookie_is_good_at_its_own_address_alone() {
    let mut world = World::new();
    let mut cookies = Vec::new();
    for source in ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"] {
        world.source = source.parse().unwrap();
        cookies.push((source, ask(&mut world, &CLIENT).cookie()));
    }
    for (owner, cookie) in &cookies {
        for (source, own) in &cookies {
            world.source = source.parse().unwrap();
            assert_eq!(
                confirm(&mut world, cookie),
                if owner == source { 0 } else { 23 },
                "{owner} at {source}"
            );
            assert_eq!(ask(&mut world, cookie).cookie(), *own);
        }
    }
}

#[test]
fn a_secret_that_is_rolled_over_leaves_its_last_cookies_good() {
    let mut world = World::new();
    let first = ask(&mut world, &CLIENT).cookie();
    world.registrar.cookies().roll_over([1; 16]);
    assert_eq!(confirm(&mut world, &first), 0);
    let second = ask(&mut world, &first).cookie();
    assert_ne!(second, first, "renewed at once");
    world.registrar.cookies().roll_over([2; 16]);
    assert_eq!((confirm(&mut world, &first), confirm(&mut world, &second)), (23, 0));
}

#[test]
fn a_question_is_answered_alike_whatever_its_cookie() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1");
    let good = ask(&mut world, &CLIENT).cookie();
    let mut bad = good;
    bad[23] ^= 1;
    for (name, rtype, rcode) in
        [("web", "A", 0), ("web", "MX", 0), ("none", "A", 3), ("a.example.org.", "A", 5)]
    {
        let plain = world.answer(Transport::Udp, &question_message(name, rtype, Some(1232))).unwrap();
        let before_opt = world.answer(Transport::Udp, &question_message(name, rtype, None)).unwrap().len();
        for cookie in [&CLIENT[..], &good, &bad, &good[..16], &[&good[..], &[0; 16]].concat()] {
            for transport in [Transport::Udp, Transport::Tcp] {
                let told = send(&mut world, transport, &question_with_cookie(name, rtype, 1232, cookie));
                assert_eq!((told.rcode(), told.cookie()), (rcode, good), "{name} {rtype}");
                // The same but for the option.
                assert_eq!(told.octets[..before_opt], plain[..before_opt]);
                assert_eq!(told.octets.len(), plain.len() + 28);
            }
        }
    }
}

#[test]
fn no_cookie_without_a_cookie() {
    let mut world = World::new();
    for size in [None, Some(1232)] {
        let told = send(&mut world, Transport::Udp, &question_message("ns", "A", size));
        assert_eq!((told.message.edns.is_some(), told.cookie), (size.is_some(), None));
    }
}

#[test]
fn a_cookie_of_a_wrong_length_is_formerr() {
    let mut world = World::new();
    let lengths = (0..8).chain(9..16).chain(41..44);
    for len in lengths {
        let cookie = vec![7; len];
        for transport in [Transport::Udp, Transport::Tcp] {
            for message in [question_with_cookie("ns", "A", 1232, &cookie), alone(&cookie)] {
                let told = send(&mut world, transport, &message);
                assert_eq!(
                    (told.rcode(), told.message.edns.is_some(), told.cookie),
                    (1, true, None),
                    "{len}"
                );
            }
        }
        // Another version's options are not ours to read: that comes first.
        let mut later = question_with_cookie("ns", "A", 1232, &cookie);
        let version_at = later.len() - len - 9;
        later[version_at] = 1;
        let told = send(&mut world, Transport::Udp, &later);
        assert_eq!((told.rcode(), told.cookie), (16, None));
    }
}

#[test]
fn other_refusals_carry_the_cookie_too() {
    let mut world = World::new();
    let message = question_with_cookie("web", "A", 1232, &CLIENT);
    let mut rcode = |patch: &dyn Fn(&mut Vec<u8>)| {
        let mut message = message.clone();
        patch(&mut message);
        let told = send(&mut world, Transport::Udp, &message);
        told.cookie();
        told.rcode()
    };
    let class_at = question_message("web", "A", None).len() - 1;
    assert_eq!(rcode(&|m| m[2] = 2 << 3), 4, "STATUS");
    assert_eq!(rcode(&|m| m[class_at] = 3), 5, "class CH");
    assert_eq!(rcode(&|m| m.push(0)), 1, "trailing octets");
}

#[test]
fn a_cookie_alone_is_confirmed_or_badcookie() {
    let mut world = World::new();
    assert_eq!(confirm(&mut world, &CLIENT), 0, "only the client's");
    let good = ask(&mut world, &CLIENT).cookie();
    assert_eq!(confirm(&mut world, &good), 0);
    for bad in [&good[..16], &[&CLIENT[..], &[7; 16]].concat(), &[&good[..], &[0]].concat()] {
        assert_eq!(confirm(&mut world, bad), 23, "{} octets", bad.len());
    }
    // Without the option a QUERY has one question (RFC 9619).
    let mut none = alone(&CLIENT);
    none.truncate(none.len() - 14);
    none.extend([0, 0]);
    let told = send(&mut world, Transport::Udp, &none);
    assert_eq!((told.message.metadata.response_code, told.cookie), (ResponseCode::FormErr, None));
}

/// An answer has all the room but the question's, the OPT's and the cookie's, and not an octet more.
#[test]
fn the_cookie_has_its_room_in_a_datagram() {
    for (size, cookie_len) in [(512, 0), (512, 28), (1232, 0), (1232, 28)] {
        let mut world = World::new();
        let message = match cookie_len {
            0 => question_message("web", "A", Some(size)),
            _ => question_with_cookie("web", "A", size, &CLIENT),
        };
        let fixed = question_message("web", "A", None).len() + 11 + cookie_len;
        let fitting = (usize::from(size) - fixed) / 16;
        for n in 0..fitting {
            world.accept(&format!("add m{n}.web 30 A 10.0.0.{n}"));
        }
        let whole = send(&mut world, Transport::Udp, &message);
        assert_eq!((whole.message.answers.len(), whole.octets.len()), (fitting, fixed + 16 * fitting));
        assert!(!whole.message.metadata.truncation);
        world.accept("add more.web 30 A 10.0.1.1");
        let cut = send(&mut world, Transport::Udp, &message);
        assert!(cut.message.metadata.truncation && cut.octets.len() <= usize::from(size));
        assert_eq!((cut.message.answers.len(), cut.cookie.is_some()), (fitting, cookie_len > 0));
    }
}
