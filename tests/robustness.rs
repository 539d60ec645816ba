//! Messages that are nearly right, and messages that are nothing at all: no panic, no reply that breaks a promise, and no
//! trace of what was refused. Debug builds check arithmetic for overflow, which is half the point.
//!
//! What must hold of every reply is written once, in corpora/targets; here are the messages.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "corpora/targets/mod.rs"]
mod targets;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rollcall::query::{Answered, Outcome, Transport};
use rollcall::wire::tsig::sign_request;
use targets::world::{question_message, update_message};
use targets::{Server, State, WALL_S, beat, question, tsig, update};

/// A valid heartbeat and change of the key's member: address, attributes, service, a deletion, and the lease option.
fn valid_update() -> Vec<u8> {
    let script = "add k1.web 30 A 10.0.0.9; add k1.web 30 TXT weight=20 load=0.5; \
                  delete k1.web AAAA; add _http._tcp.web 30 SRV 0 10 8080 k1.web";
    update_message(script, Some(&[0, 0, 0, 60, 0, 0, 0, 60])).to_vec().unwrap()
}

fn signed(mut message: Vec<u8>) -> Vec<u8> {
    sign_request(&mut message, beat(), WALL_S, 300);
    message
}

fn valid_question() -> Vec<u8> {
    question_message("_http._tcp.web", "SRV", Some(1232))
}

/// Every message that differs from `message` in one octet, by that octet's place.
fn one_octet_off(message: &[u8]) -> impl Iterator<Item = (usize, Vec<Vec<u8>>)> + '_ {
    (0..message.len()).map(move |at| {
        let change = |bits: u8| {
            let mut changed = message.to_vec();
            changed[at] ^= bits;
            changed
        };
        (at, (1..=255).map(change).collect())
    })
}

/// Delivers a message over UDP, and says whether it changed anything. What clients saw before is in `state`, and what they
/// see now.
fn deliver(server: &mut Server, state: &mut State, message: &[u8]) -> bool {
    let is_changed = !update::deliver(server, Transport::Udp, message, state).is_empty();
    if is_changed {
        *state = server.state();
    }
    is_changed
}

#[test]
fn a_signed_update_with_one_octet_off_changes_nothing() {
    let message = signed(valid_update());
    let mut server = Server::new();
    let mut state = server.state();
    assert!(deliver(&mut server, &mut state, &message), "as it was sent, it is accepted");
    let mut accepted = Vec::new();
    for (at, changed) in one_octet_off(&message) {
        for changed in changed {
            let told = server.handle(Transport::Udp, &changed);
            assert!(told.changes.is_empty(), "the same MAC again is a retry, at most: octet {at}");
            if told.reply.is_some() && !told.refused {
                accepted.push((at, changed[at] ^ message[at]));
            }
        }
    }
    assert_eq!(server.state(), state);
    // The id, which no MAC covers (RFC 8945 section 5.5), and the case of the key's and the algorithm's name.
    let tsig_at = valid_update().len();
    let names = tsig_at..tsig_at + "_beat_lab_".len() + 10 + "_hmac-sha256_".len();
    let is_harmless = |&(at, bits): &(usize, u8)| at < 2 || (bits == 0x20 && names.contains(&at));
    assert!(accepted.iter().all(is_harmless), "{accepted:?}");
    let ids = accepted.iter().filter(|(at, _)| *at < 2).count();
    assert_eq!((ids, accepted.len() - ids), (2 * 255, "beatlabhmacsha".len()));
}

#[test]
fn an_unsigned_update_with_one_octet_off_is_accepted_or_leaves_no_trace() {
    let script = "add m1.web 30 A 10.0.0.1; add m1.web 30 TXT weight=20; delete m1.web AAAA; \
                  add _http._tcp.web 30 SRV 0 10 8080 m1.web";
    let message = update_message(script, Some(&[0, 0, 0, 60])).to_vec().unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for (_, changed) in one_octet_off(&message) {
        let mut server = Server::new();
        let mut state = server.state();
        for changed in changed {
            let is_changed = deliver(&mut server, &mut state, &changed);
            (accepted, refused) = (accepted + u32::from(is_changed), refused + u32::from(!is_changed));
        }
    }
    assert!(accepted > 1_000 && refused > 10_000, "{accepted} accepted, {refused} not");
}

#[test]
fn an_update_cut_short_changes_nothing() {
    let mut server = Server::new();
    let mut state = server.state();
    for message in [signed(valid_update()), valid_update(), signed(valid_question())] {
        for end in 0..message.len() {
            assert!(!deliver(&mut server, &mut state, &message[..end]), "cut at {end}");
        }
    }
}

#[test]
fn a_question_with_one_octet_off_or_cut_short_is_answered_within_its_rights() {
    for message in [valid_question(), question_message("m1.web", "TXT", None)] {
        let positive = |outcome| matches!(outcome, Outcome::Reply(_, Answered::Positive));
        assert!(positive(Server::new().answer(Transport::Udp, &message).0), "as it was sent, it is answered");
        one_octet_off(&message)
            .for_each(|(_, changed)| changed.iter().for_each(|changed| question::run(changed)));
        (0..message.len()).for_each(|end| question::run(&message[..end]));
    }
}

/// Valid messages of each kind, to be spoilt.
fn valid() -> impl Strategy<Value = Vec<u8>> {
    let all = vec![
        valid_question(),
        question_message("crowd", "AAAA", None),
        question_message("loop", "A", Some(512)),
        question_message("all.web", "A", Some(4096)),
        valid_update(),
        signed(valid_update()),
        signed(valid_question()),
        update_message("delete web; add web 30 A 10.0.0.77; add m1.x 0 AAAA 2001:db8::", None)
            .to_vec()
            .unwrap(),
        update_message("delete k1.web; delete _http._tcp.web SRV", Some(&[0; 4])).to_vec().unwrap(),
    ];
    select(all)
}

/// What happens to a message on its way.
#[derive(Debug, Clone)]
enum Damage {
    Set(Index, u8),
    /// An octet of the header.
    Header(usize, u8),
    Cut(Index),
    Insert(Index, Vec<u8>),
    /// The octets between two places once more, at the end.
    Repeat(Index, Index),
    Remove(Index, Index),
}

impl Damage {
    fn strategy() -> impl Strategy<Value = Damage> {
        let two = || (any::<Index>(), any::<Index>());
        prop_oneof![
            4 => (any::<Index>(), any::<u8>()).prop_map(|(at, octet)| Damage::Set(at, octet)),
            // Header counts, pointers and lengths are where small numbers matter.
            4 => (0_usize..12, 0_u8..4).prop_map(|(at, octet)| Damage::Header(at, octet)),
            1 => any::<Index>().prop_map(Damage::Cut),
            2 => (any::<Index>(), vec(any::<u8>(), 1..20)).prop_map(|(at, octets)| Damage::Insert(at, octets)),
            1 => two().prop_map(|(from, to)| Damage::Repeat(from, to)),
            1 => two().prop_map(|(from, to)| Damage::Remove(from, to)),
        ]
    }

    fn apply(&self, message: &mut Vec<u8>) {
        let place = |at: &Index, message: &[u8]| at.index(message.len() + 1);
        let range = |one: &Index, other: &Index, message: &[u8]| {
            let (one, other) = (place(one, message), place(other, message));
            one.min(other)..one.max(other)
        };
        match self {
            Damage::Set(at, octet) => {
                let at = place(at, message);
                message.get_mut(at).into_iter().for_each(|place| *place = *octet);
            }
            Damage::Header(at, octet) => {
                message.get_mut(*at).into_iter().for_each(|place| *place = *octet);
            }
            Damage::Cut(at) => message.truncate(place(at, message)),
            Damage::Insert(at, octets) => {
                let at = place(at, message);
                message.splice(at..at, octets.iter().copied());
            }
            Damage::Repeat(one, other) => message.extend_from_within(range(one, other, message)),
            Damage::Remove(one, other) => drop(message.drain(range(one, other, message))),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_octets(message in vec(any::<u8>(), 0..600)) {
        question::run(&message);
        update::run(&message);
        tsig::run(&message);
    }

    /// A header that leads somewhere, and anything after it.
    #[test]
    fn any_octets_behind_a_fair_header(
        opcode in select(vec![0_u8, 5]), counts in any::<[u8; 4]>(), rest in vec(any::<u8>(), 0..400)
    ) {
        let [zones, prerequisites, updates, additionals] = counts.map(|count| count % 4);
        let head = [1, 2, opcode << 3, 0, 0, zones, 0, prerequisites, 0, updates, 0, additionals];
        let message = [&head[..], &rest].concat();
        question::run(&message);
        update::run(&message);
        tsig::run(&message);
    }

    #[test]
    fn damaged_messages(message in valid(), damage in vec(Damage::strategy(), 1..8)) {
        let mut message = message;
        damage.iter().for_each(|damage| damage.apply(&mut message));
        question::run(&message);
        update::run(&message);
        tsig::run(&message);
    }

    /// One server, many messages: what one leaves behind, the next must be able to live with.
    #[test]
    fn damaged_messages_in_a_row(
        messages in vec((valid(), vec(Damage::strategy(), 0..3), 0_u64..20_000), 1..20)
    ) {
        let mut server = Server::new();
        for (mut message, damage, after_ms) in messages {
            damage.iter().for_each(|damage| damage.apply(&mut message));
            // The tick comes late: what is due is still on the roll.
            server.now_ms += after_ms;
            for transport in [Transport::Udp, Transport::Tcp] {
                server.answer(transport, &message);
                server.handle(transport, &message);
            }
            server.state();
            let (ended, _) = server.registrar.expire(server.now_ms, usize::MAX);
            server.registrar.publish(&ended, server.now_ms).unwrap();
        }
    }
}
