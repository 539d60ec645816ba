//! Any message on the question path, over UDP and TCP, while leases are fresh, near their end, and over.

use std::cell::RefCell;

use hickory_proto::op::{Edns, Message};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use rollcall::query::{Answered, Outcome, Transport};
use rollcall::wire::cut;

use super::{IDLE, NOW_MS, Server};

thread_local! {
    /// Questions change nothing but whose turn it is, so one server serves them all.
    static SERVER: RefCell<Server> = RefCell::new(Server::new());
}

/// The target.
pub fn run(message: &[u8]) {
    SERVER.with_borrow_mut(|server| {
        for after_ms in [0, 27_500, 31_000] {
            server.now_ms = NOW_MS + after_ms;
            let udp = ask(server, Transport::Udp, message);
            let tcp = ask(server, Transport::Tcp, message);
            // Only the size may tell the two apart.
            match (udp, tcp) {
                (Outcome::Reply(_, Answered::Truncated), Outcome::Reply(_, whole)) => {
                    use Answered::{NoData, NxDomain, Positive, Referral, YxDomain};
                    assert!(matches!(whole, Positive | NoData | NxDomain | Referral | YxDomain), "{whole:?}");
                }
                (Outcome::Reply(_, one), Outcome::Reply(_, other)) => assert_eq!(one, other),
                (one, other) => assert_eq!(one, other),
            }
        }
    });
}

fn ask(server: &mut Server, transport: Transport, message: &[u8]) -> Outcome {
    let (outcome, reply) = server.answer(transport, message);
    let is_query = message.len() >= 12 && message[2] & 0x78 == 0;
    match (&outcome, reply) {
        (Outcome::Reply(_, answered), Some(reply)) => {
            // A reply with a question has the one that was asked, octet for octet.
            if reply[5] == 1 {
                let end = question_end(message);
                assert_eq!(reply[12..end], message[12..end], "the question as sent");
            }
            let is_cut = reply[2] & 0x02 != 0;
            assert_eq!(is_cut, *answered == Answered::Truncated, "TC says that records are missing");
            assert!(!is_cut || transport == Transport::Udp, "nothing is truncated over TCP");
            check_cookie(message, reply);
            check_keepalive(transport, message, reply);
            check_cut(reply);
        }
        (Outcome::Registrar, None) => {
            let is_update = message[2] & 0x78 == 5 << 3;
            assert!(is_update || is_query, "only UPDATEs and signed questions are the registrar's");
        }
        (Outcome::Silence, None) => {
            assert!(message.len() < 12 || message[2] & 0x80 != 0, "no answer to a request");
        }
        _ => panic!("a reply that is none"),
    }
    outcome
}

/// A reply with an OPT has a cookie if the request has one that is whole; it begins as the client's (RFC 7873 section 5.2).
fn check_cookie(message: &[u8], reply: &[u8]) {
    let (Ok(asked), Ok(told)) = (Message::from_vec(message), Message::from_vec(reply)) else { return };
    let (Some(asked), Some(told)) = (asked.edns, told.edns) else { return };
    let cookie = |edns: &Edns| match edns.option(EdnsCode::Cookie) {
        Some(EdnsOption::Unknown(_, cookie)) if edns.version() == 0 => Some(cookie.clone()),
        _ => None,
    };
    let asked = cookie(&asked).filter(|cookie| matches!(cookie.len(), 8 | 16..=40));
    let told = cookie(&told);
    assert_eq!(asked.is_some(), told.is_some(), "a cookie for a cookie");
    if let (Some(asked), Some(told)) = (asked, told) {
        assert_eq!((told.len(), &told[..8]), (24, &asked[..8]));
    }
}

/// A reply with an OPT says how long the connection may be idle if the request asks, and never over UDP (RFC 7828).
fn check_keepalive(transport: Transport, message: &[u8], reply: &[u8]) {
    let (Ok(asked), Ok(told)) = (Message::from_vec(message), Message::from_vec(reply)) else { return };
    let (Some(asked), Some(told)) = (asked.edns, told.edns) else { return };
    let is_asked = asked.version() == 0 && asked.option(EdnsCode::Keepalive).is_some();
    let wanted =
        (is_asked && transport == Transport::Tcp).then(|| EdnsOption::Unknown(11, IDLE.to_be_bytes().into()));
    assert_eq!(told.option(EdnsCode::Keepalive), wanted.as_ref());
}

/// A reply that is cut has its question and its OPT still.
fn check_cut(reply: &[u8]) {
    let mut short = reply.to_vec();
    let Some(len) = cut(&mut short) else { return };
    let (whole, short) = (Message::from_vec(reply).unwrap(), Message::from_vec(&short[..len]).unwrap());
    assert!(short.metadata.truncation && len < reply.len());
    assert_eq!((&short.queries, &short.edns), (&whole.queries, &whole.edns));
    assert!(short.answers.is_empty() && short.authorities.is_empty() && short.additionals.is_empty());
}

/// Where the question that was answered ends: its name is uncompressed.
fn question_end(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5
}
