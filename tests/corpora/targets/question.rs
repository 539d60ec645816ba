//! Any message on the question path, over UDP and TCP, while leases are fresh, near their end, and over.

use std::cell::RefCell;

use rollcall::query::{Answered, Outcome, Transport};

use super::{NOW_MS, Server};

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
                (Outcome::Reply(_, Answered::Truncated), Outcome::Reply(_, Answered::Positive)) => {}
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

/// Where the question that was answered ends: its name is uncompressed.
fn question_end(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5
}
