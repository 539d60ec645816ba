//! Messages that no client sends.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rollcall::server::clock;
use rollcall::wire::Name;
use rollcall::wire::tsig::{Algorithm, Key, MacPolicy, sign_request};

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

/// Takes m1 off and puts m9 in its place: what it needs is a signature.
const TAKE_OVER: &[u8] =
    b"\x00\x00\x28\x00\x00\x01\x00\x00\x00\x02\x00\x00\x04pool\x07example\x00\x00\x06\x00\x01\
    \x02m9\x03web\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x0a\x00\x00\x09\
    \x02m1\x03web\xc0\x0c\x00\xff\x00\xff\x00\x00\x00\x00\x00\x00";

const NOTAUTH: u8 = 9;
const FORMERR: u8 = 1;

fn signed(key: &str, policy: impl Into<MacPolicy>, secret: &[u8], at_s: u64) -> Vec<u8> {
    let key = Key::new(&Name::bytes_from_str(key).unwrap(), policy, secret).unwrap();
    let mut message = TAKE_OVER.to_vec();
    sign_request(&mut message, &key, at_s, 300);
    message
}

/// [`TAKE_OVER`] with everything that a signature can have wrong, and the RCODE that each is due (RFC 8945 section 5.2).
/// The last is rightly signed, and older than what alice has sent since.
fn wrongly_signed(secret: &[u8], now_s: u64) -> Vec<(Vec<u8>, u8)> {
    let sha256 = Algorithm::HmacSha256;
    let mut short = signed("alice.", sha256, secret, now_s);
    // Of the MAC's 32 octets the first 8 stay, fewer than a MAC may have; what follows it are 6 octets.
    let (mac_at, tail_at) = (short.len() - 6 - 32, short.len() - 6);
    let rdata_at = mac_at - 10 - sha256.wire().len();
    let rdata_len = (short.len() - rdata_at - 24) as u16;
    short[mac_at - 2..mac_at].copy_from_slice(&8_u16.to_be_bytes());
    short[rdata_at - 2..rdata_at].copy_from_slice(&rdata_len.to_be_bytes());
    short.drain(mac_at + 8..tail_at);
    vec![
        (signed("alice.", sha256, b"another secret", now_s), NOTAUTH),
        (signed("nobody.", sha256, secret, now_s), NOTAUTH),
        (signed("alice.", Algorithm::HmacSha512, secret, now_s), NOTAUTH),
        (signed("alice.", "hmac-sha256-128".parse::<MacPolicy>().unwrap(), secret, now_s), NOTAUTH),
        (short, FORMERR),
        (signed("alice.", sha256, secret, now_s - 3_600), NOTAUTH),
        (signed("alice.", sha256, secret, now_s - 1), NOTAUTH),
    ]
}

/// Sends the messages in turn for so long, 64 on the way at a time, and waits for every reply. How many there were, and
/// how long it took in all.
fn flood(server: SocketAddr, messages: &mut [(Vec<u8>, u8)], time: Duration) -> (u64, Duration) {
    let socket = UdpSocket::bind("127.0.0.3:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.connect(server).unwrap();
    let (started, mut id, mut refused) = (Instant::now(), 0_u16, 0);
    while started.elapsed() < time {
        let first = id;
        for _ in 0..64 {
            let place = usize::from(id) % messages.len();
            let (message, _) = &mut messages[place];
            message[..2].copy_from_slice(&id.to_be_bytes());
            socket.send(message).unwrap();
            id += 1;
        }
        // One thread judges them, so they are answered in turn.
        for expected in first..id {
            let mut reply = [0; 1232];
            let len = socket.recv(&mut reply).unwrap();
            assert!(
                len >= 12 && reply[..2] == expected.to_be_bytes(),
                "reply {expected}: {:?}",
                &reply[..len]
            );
            let due = messages[usize::from(expected) % messages.len()].1;
            assert_eq!(
                reply[3] & 0x0f,
                due,
                "message {} of the list",
                usize::from(expected) % messages.len()
            );
            refused += 1;
        }
        // Ids start again before they run out, at one that begins the list.
        if id > 60_000 && usize::from(id) % messages.len() == 0 {
            id = 0;
        }
    }
    (refused, started.elapsed())
}

#[test]
fn wrong_signatures_change_nothing_slow_nobody_and_are_logged_once_a_second() {
    let site = Site::new("[[grant]]\nkey = 'alice'\n").key("alice", "hmac-sha256");
    let Some(server) = site.serve() else { return };
    let secret = BASE64.decode(server.secret("alice")).unwrap();
    let mut messages = wrongly_signed(&secret, clock::wall_s());
    server.update(&["-k", "alice.key"], "update add m1.web.pool.example. 30 A 10.0.0.1");

    let from = server.log.len();
    let (refused, took) = std::thread::scope(|threads| {
        let flood = threads.spawn(|| flood(server.address, &mut messages, Duration::from_secs(2)));
        while !flood.is_finished() {
            // One try: a question that is lost fails.
            let answer = server.dig("+tries=1 all.web.pool.example A");
            assert_eq!(answer.data(), ["10.0.0.1"]);
        }
        flood.join().unwrap()
    });
    assert!(refused >= 1_000, "{refused} are no flood");

    server.counts(&[
        ("/updates/unverified", refused),
        ("/changes/joined", 1),
        ("/changes/renewed", 0),
        ("/changes/changed", 0),
        ("/changes/deregistered", 0),
        ("/store/commits", 1),
    ]);
    server.dig("m9.web.pool.example A").is_nothing("NXDOMAIN");

    // What is not logged is counted in a line of its own, a second later.
    let lines = |parts: &[&str]| server.log.lines_from(from, parts);
    let kept_back = || {
        let summaries = lines(&["more UPDATEs were refused than are logged"]);
        let counts = summaries.iter().map(|line| line.split_once("count=").unwrap().1.trim());
        counts.map(|count| count.parse::<u64>().unwrap()).sum::<u64>()
    };
    let logged = || lines(&["UPDATE refused", "source=127.0.0.3:"]).len() as u64;
    server.counters_when(|_| logged() + kept_back() == refused);
    // Two seconds may begin in one second of the clock and end in the third after it.
    assert!(
        (2..=took.as_secs() + 2).contains(&logged()),
        "{} lines in {took:?}\n{}",
        logged(),
        server.log.text()
    );

    // It was the signature alone.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let right = signed("alice.", Algorithm::HmacSha256, &secret, clock::wall_s());
    socket.send_to(&right, server.address).unwrap();
    let mut reply = [0; 1232];
    let len = socket.recv(&mut reply).unwrap();
    assert!(len > 12 && reply[3] & 0x0f == 0, "{:?}", &reply[..len]);
    assert_eq!(server.dig("all.web.pool.example A").data(), ["10.0.0.9"]);
}
