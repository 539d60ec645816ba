//! Messages that no client sends.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::time::Duration;

use super::server::{Server, Site};

/// The same junk in every run.
const SEED: u64 = 7;

const QUESTION: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03web\x04pool\x07example\x00\x00\x01\x00\x01\
    \x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x08\x00\x02\x00\x04\x00\x00\x00\x3c";
/// Asks to register an address that nobody here may register, so that no change makes it right by chance.
const UPDATE: &[u8] =
    b"\x43\x21\x28\x00\x00\x01\x00\x00\x00\x01\x00\x01\x04pool\x07example\x00\x00\x06\x00\x01\
    \x02m9\x03web\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x09\x09\x09\x09\
    \x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x1d\x0bhmac-sha256\x00\x00\x00\x00\x00\x00\x00\x01\x2c\x00\x00\x43\x21\x00\x00\x00\x00";

/// Random octets of each length up to 40, every beginning of two good messages, and those two with octets changed.
fn junk() -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut junk = Vec::new();
    for len in 0..=40 {
        for _ in 0..16 {
            junk.push((0..len).map(|_| random.u8(..)).collect::<Vec<_>>());
        }
    }
    for message in [QUESTION, UPDATE] {
        junk.extend((0..message.len()).map(|len| message[..len].to_vec()));
        for _ in 0..1_000 {
            let mut changed = message.to_vec();
            for _ in 0..random.usize(1..4) {
                // Not the flag that makes it a response: nothing would read the rest.
                changed[random.usize(2..message.len())] = random.u8(..);
            }
            changed[2] &= 0x7f;
            junk.push(changed);
        }
    }
    // A name that points at itself, two that point at each other, and one that runs out of the message.
    for pointer in [&b"\xc0\x0c"[..], b"\xc0\x0e\xc0\x0c", b"\x3fabc"] {
        junk.push([&QUESTION[..12], pointer, b"\x00\x01\x00\x01"].concat());
        junk.push([&UPDATE[..12], pointer, b"\x00\x06\x00\x01"].concat());
    }
    junk
}

fn is_well(server: &Server) {
    assert_eq!(server.dig("all.web.pool.example A").data(), ["10.0.0.1"]);
    assert_eq!(server.dig("+tcp all.web.pool.example A").data(), ["10.0.0.1"]);
    server.update(&[], "update add m1.web.pool.example. 30 A 10.0.0.1");
    for word in ["panicked", "ended by itself", "ERROR"] {
        assert!(!server.log.text().contains(word), "{}", server.log.text());
    }
}

/// How many datagrams came, by the counters of what became of them.
fn received(counters: &serde_json::Value) -> u64 {
    let counts = counters["udp"].as_object().unwrap().iter().filter(|(kind, _)| *kind != "unsent");
    counts.map(|(_, count)| count.as_u64().unwrap()).sum()
}

/// nsupdate asks for the zone's SOA, then updates.
const BY_NSUPDATE: u64 = 2;

/// A server with one member, m1.
fn serve() -> Option<Server> {
    let server = Site::new("").serve()?;
    server.update(&[], "update add m1.web.pool.example. 30 A 10.0.0.1");
    server.counters_when(|counters| received(counters) == BY_NSUPDATE);
    Some(server)
}

#[test]
fn datagrams_that_are_no_dns_are_all_counted_and_hurt_nobody() {
    let Some(server) = serve() else { return };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address).unwrap();
    socket.set_nonblocking(true).unwrap();
    let junk = junk();
    for (n, datagram) in junk.iter().enumerate() {
        // Loopback takes a datagram at once.
        socket.send(datagram).unwrap();
        // Replies are taken, so that their buffer is never what is full.
        let mut reply = [0; 2048];
        while let Ok(len) = socket.recv(&mut reply) {
            assert!(len >= 12 && reply[2] & 0x80 != 0, "a reply to datagram {n} or before is a response");
        }
    }
    let all = BY_NSUPDATE + junk.len() as u64;
    let counters = server.counters_when(|counters| received(counters) == all);
    assert_eq!(counters["udp"]["queue_full"], 0, "{counters}");
    assert!(counters["udp"]["formerr"].as_u64().unwrap() > 100, "{counters}");
    is_well(&server);
}

#[test]
fn streams_that_are_no_dns_are_answered_or_closed() {
    let Some(server) = serve() else { return };
    for (n, message) in junk().into_iter().enumerate().step_by(9) {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // Every other one lies about its length, and ends before that.
        let len = message.len() as u16 + if n % 2 == 0 { 0 } else { 300 };
        let sent = [&len.to_be_bytes(), message.as_slice()].concat();
        // The server may close before it has read everything.
        _ = stream.write_all(&sent).and_then(|()| stream.shutdown(Shutdown::Write));
        let mut reply = Vec::new();
        if let Err(error) = stream.read_to_end(&mut reply) {
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "message {n}: {error}");
        }
        assert!(reply.is_empty() || reply.len() >= 14, "message {n}: {reply:?}");
    }
    is_well(&server);
}

#[test]
fn a_response_is_never_answered() {
    let Some(server) = serve() else { return };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.connect(server.address).unwrap();
    for message in [QUESTION, UPDATE] {
        let mut response = message.to_vec();
        response[2] |= 0x80;
        socket.send(&response).unwrap();
    }
    // The one reply is the question's: two servers that answer each other's errors would never stop.
    let mut question = QUESTION.to_vec();
    question[..2].copy_from_slice(b"\x56\x78");
    socket.send(&question).unwrap();
    let mut reply = [0; 1232];
    let len = socket.recv(&mut reply).unwrap();
    assert!(len > 12 && reply[..2] == *b"\x56\x78", "{:?}", &reply[..len]);
    server.counts(&[("/udp/silent", 2)]);
}
