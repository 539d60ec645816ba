//! Any message at the registrar: as it is, and signed with a key that the server knows, so that the ways behind the
//! signature are reached too.

use std::cell::Cell;

use hickory_proto::op::Message;
use rollcall::change::Change;
use rollcall::query::Transport;
use rollcall::wire::tsig::sign_request;

use super::{Server, State, WALL_S, beat};

thread_local! {
    /// A server, and what clients see of it, that the last message left as it was: making one takes longer than a message.
    /// Made with its first value: what comes to be before it in a thread outlives it, and its zones need what frees them.
    static UNTOUCHED: Cell<Option<(Server, State)>> = Cell::new(Some(fresh()));
}

fn fresh() -> (Server, State) {
    let mut server = Server::new();
    let state = server.state();
    (server, state)
}

/// The target.
pub fn run(message: &[u8]) {
    judge(message);
    if message.len() >= 12 {
        let mut signed = message.to_vec();
        sign_request(&mut signed, beat(), WALL_S, 300);
        judge(&signed);
    }
}

fn judge(message: &[u8]) {
    let (mut server, before) = UNTOUCHED.take().unwrap_or_else(fresh);
    assert!(server.beat(Transport::Udp, message).is_none(), "nobody has judged such a message");
    let changes = deliver(&mut server, Transport::Udp, message, &before);
    if changes.is_empty() {
        return UNTOUCHED.set(Some((server, before)));
    }
    let members = changes.iter().filter_map(|change| match change {
        Change::Member(change) => change.after.as_ref(),
        Change::Name(_) | Change::Drain(_) | Change::Floor(_) => None,
    });
    let longest_ms = members.map(|member| member.lease_ms).fold(30_000, u32::max);
    assert!((2_000..=3_600_000).contains(&longest_ms), "a lease within the pool's bounds");
    // What was accepted leaves a server that lets it end. A tick of the wheel is 8 ms.
    server.now_ms += u64::from(longest_ms) + 8;
    let (ended, _) = server.registrar.expire(server.now_ms, usize::MAX);
    server.registrar.publish(&ended, server.now_ms).expect("an expiry can be published");
    assert_eq!(server.registrar.members(), 0, "every lease ends");
    server.state();

    repeat(message);

    // A store that cannot commit takes it back whole.
    let (mut server, before) = fresh();
    server.handle_and_undo(message);
    assert_eq!(server.state(), before, "taken back");
}

/// Sends a message twice, a second apart. If a worker takes the second, it does as the registrar would.
fn repeat(message: &[u8]) {
    let twice = || {
        let (mut server, _) = fresh();
        server.handle(Transport::Udp, message);
        server.now_ms += 1_000;
        server
    };
    let mut with_worker = twice();
    let Some(reply) = with_worker.beat(Transport::Udp, message) else { return };
    let mut alone = twice();
    let told = alone.handle(Transport::Udp, message);
    assert_eq!(told.reply, Some(reply), "the reply");
    assert_eq!(with_worker.state(), alone.state(), "what clients see");
}

/// Delivers a message and returns its changes. If there are none, clients see nothing else than `before`.
pub fn deliver(server: &mut Server, transport: Transport, message: &[u8], before: &State) -> Vec<Change> {
    let told = server.handle(transport, message);
    let is_request = message.len() >= 12 && message[2] & 0x80 == 0;
    assert_eq!(told.reply.is_some(), is_request, "every request is answered, and nothing else");
    if let Some(reply) = &told.reply {
        let read = Message::from_vec(reply).expect("a reply that parses");
        let high = read.edns.as_ref().map_or(0, |edns| edns.rcode_high());
        let rcode = (u16::from(high) << 4) | u16::from(reply[3] & 0x0F);
        assert!(!told.refused || rcode != 0, "a refusal says so");
        assert!(rcode == 0 || told.changes.is_empty(), "RCODE {rcode} and yet a change");
    }
    let after = server.state();
    if told.changes.is_empty() {
        assert_eq!(after, *before, "nothing changed, says the registrar");
    }
    told.changes
}
