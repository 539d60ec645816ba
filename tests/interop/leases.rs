//! Leases on a real clock, and RFC 9664's option, which nsupdate does not have and hickory-proto writes.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::server::{Server, Site};

const LEASE: Duration = Duration::from_secs(2);

fn short_leases() -> Option<Server> {
    Site::new("[[grant]]\nkey = 'quick'\nlease = 2\n").key("quick", "hmac-sha256").serve()
}

#[test]
fn a_silent_member_is_gone_when_its_lease_is_over_and_no_ttl_outlives_it() {
    let Some(server) = short_leases() else { return };
    let before = Instant::now();
    let join = "update add m1.web.pool.example. 30 A 192.0.2.1
                update add _http._tcp.web.pool.example. 30 SRV 0 10 80 m1.web.pool.example.";
    server.update(&["-k", "quick.key"], join);
    // The lease began somewhere between these two.
    let after = Instant::now();

    let mut ttls = Vec::new();
    let gone = loop {
        let asked = Instant::now();
        let answer = server.dig("_http._tcp.web.pool.example SRV");
        if answer.answer.is_empty() {
            answer.is_nothing("NOERROR");
            break Instant::now();
        }
        assert!(asked < after + LEASE, "answered after the lease was over");
        for record in answer.answer.iter().chain(&answer.additional) {
            let ttl = Duration::from_secs(record.ttl_s.into());
            assert!(asked + ttl <= after + LEASE, "{record:?} {:?} after joining", asked - after);
        }
        ttls.push(answer.answer[0].ttl_s);
    };
    assert!(gone >= before + LEASE, "gone {:?} after joining: early", gone - before);
    assert!(ttls.is_sorted_by(|one, next| one >= next), "{ttls:?}");
    assert_eq!(ttls.last(), Some(&0), "in its last second nobody may remember it: {ttls:?}");
    server.dig("web.pool.example A").is_nothing("NOERROR");
    server.dig("m1.web.pool.example A").is_nothing("NXDOMAIN");
    server.log.wait(&["expired", "member=\"m1\""]);
}

#[test]
fn a_heartbeat_keeps_a_member_past_its_first_lease() {
    let Some(server) = short_leases() else { return };
    let join = "update add m1.web.pool.example. 30 A 192.0.2.1";
    server.update(&["-k", "quick.key"], join);
    let joined = Instant::now();
    while joined.elapsed() < LEASE + LEASE / 4 {
        server.update(&["-k", "quick.key"], join);
        assert_eq!(server.web(), ["192.0.2.1"], "{:?} after joining", joined.elapsed());
    }
    server.counts(&[("/changes/joined", 1), ("/changes/expired", 0)]);
    // The first of each second at most: of several that are signed in one, the registrar tells which are new.
    server.counters_when(|counters| counters.pointer("/udp/heartbeats").unwrap().as_u64() >= Some(2));
    server.log.wait(&["expired", "member=\"m1\""]);
    assert!(joined.elapsed() > LEASE * 2, "a lease after the last heartbeat");
}

#[test]
fn a_heartbeat_of_nsupdate_is_answered_where_it_arrives_and_a_change_is_not() {
    let unsigned = "[[grant]]\nunsigned = true\n";
    let Some(server) = Site::new(unsigned).key("other", "hmac-sha256").serve() else { return };
    let heartbeat = |weight: u32, load: &str| {
        format!(
            "update add m1.web.pool.example. 30 A 192.0.2.1
             update add m1.web.pool.example. 30 AAAA 2001:db8::1
             update add _http._tcp.web.pool.example. 30 SRV 0 10 80 m1.web.pool.example.
             update add m1.web.pool.example. 30 TXT \"weight={weight}\" \"load={load}\""
        )
    };
    // Over UDP, then over TCP: what is known by the one is known by the other, for loopback is proven either way.
    let ways = [&[][..], &["-v"]];
    for (way, (weight, taken)) in ways.into_iter().zip([(1, [2, 0]), (2, [2, 2])]) {
        for load in ["0.5", "0.5", "0.25"] {
            server.update(way, &heartbeat(weight, load));
        }
        server.counts(&[("/udp/heartbeats", taken[0]), ("/tcp/heartbeats", taken[1])]);
    }
    assert_eq!(server.dig("m1.web.pool.example TXT").answer.len(), 1);
    server.counts(&[
        ("/changes/joined", 1),
        ("/changes/changed", 1),
        ("/changes/renewed", 0),
        ("/updates/handled", 2),
    ]);
    // The message of another member that nobody has judged, and one that is not good, are the registrar's.
    server.refused(
        &["-y", &format!("quick:{}", "A".repeat(44))],
        &heartbeat(2, "0.25"),
        "NOTAUTH",
        &["TSIG"],
    );
    server.counts(&[("/udp/heartbeats", 2), ("/changes/joined", 1)]);
}

fn name(relative: &str) -> Name {
    Name::from_ascii(format!("{relative}pool.example.")).unwrap()
}

/// Joins m1 with this address, asking for a lease with these octets, over a plain socket.
fn join_asking(server: &Server, address: [u8; 4], lease: &[u8]) -> Message {
    let mut message = Message::new(0x4321, MessageType::Query, OpCode::Update);
    message.add_query(Query::query(name(""), RecordType::SOA));
    message.add_authority(Record::from_rdata(name("m1.web."), 30, RData::A(Ipv4Addr::from(address).into())));
    let mut edns = Edns::new();
    edns.options_mut().insert(EdnsOption::Unknown(2, lease.to_vec()));
    message.set_edns(edns);

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.connect(server.address).unwrap();
    socket.send(&message.to_vec().unwrap()).unwrap();
    let mut reply = [0; 1232];
    let len = socket.recv(&mut reply).unwrap();
    let reply = Message::from_vec(&reply[..len]).unwrap();
    assert_eq!(reply.metadata.id, 0x4321);
    reply
}

fn option(message: &Message, code: u16) -> Vec<u8> {
    match message.edns.as_ref().and_then(|edns| edns.option(code.into())) {
        Some(EdnsOption::Unknown(_, data)) => data.clone(),
        other => panic!("{other:?}"),
    }
}

fn seconds(seconds: &[u32]) -> Vec<u8> {
    seconds.iter().flat_map(|seconds| seconds.to_be_bytes()).collect()
}

#[test]
fn the_lease_option_comes_back_as_granted_in_the_size_in_which_it_was_sent() {
    let Some(server) = Site::new("").serve() else { return };
    let lease =
        [(vec![60], vec![60]), (vec![1], vec![2]), (vec![9_999], vec![3_600]), (vec![60, 60], vec![60, 60])];
    for (asked, granted) in lease {
        let reply = join_asking(&server, [10, 0, 0, 1], &seconds(&asked));
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
        assert_eq!(option(&reply, 2), seconds(&granted), "asked for {asked:?}");
    }
    assert_eq!(server.web(), ["10.0.0.1"]);
    let reply = join_asking(&server, [10, 0, 0, 1], &seconds(&[0]));
    assert_eq!((reply.metadata.response_code, option(&reply, 2)), (ResponseCode::NoError, seconds(&[0])));
    assert!(server.web().is_empty(), "LEASE 0 leaves");
    let reply = join_asking(&server, [10, 0, 0, 1], &[0; 5]);
    assert_eq!(reply.metadata.response_code, ResponseCode::FormErr);
}

#[test]
fn a_lease_of_two_seconds_asked_for_by_option_ends_after_two_seconds() {
    let Some(server) = Site::new("").serve() else { return };
    let before = Instant::now();
    join_asking(&server, [10, 0, 0, 1], &seconds(&[2]));
    let after = Instant::now();
    while !server.web().is_empty() {
        assert!(after.elapsed() < LEASE + Duration::from_secs(10), "still there");
    }
    assert!(before.elapsed() >= LEASE, "early");
}

#[test]
fn a_refusal_says_why_to_a_client_that_speaks_edns() {
    let Some(server) = Site::new("").serve() else { return };
    let reply = join_asking(&server, [9, 9, 9, 9], &seconds(&[60]));
    assert_eq!(reply.metadata.response_code, ResponseCode::Refused);
    // Extended DNS Error 18, Prohibited (RFC 8914 section 4.19).
    let error = option(&reply, 15);
    let text = String::from_utf8_lossy(&error[2..]);
    assert_eq!(error[..2], [0, 18]);
    assert!(text.contains("address 9.9.9.9 is not granted"), "{text}");
}
