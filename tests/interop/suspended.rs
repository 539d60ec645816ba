//! A server that is suspended as a whole: SIGSTOP here, a frozen container or a virtual machine that is paused elsewhere.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::server::{RENEWALS, Server, Site};

const LEASE: Duration = Duration::from_secs(2);
const ASLEEP: Duration = Duration::from_secs(5);
/// What of a lease may be lost at a suspension (SIGN_MS of the lease clock), rounded up.
const LOST: Duration = Duration::from_millis(150);
/// The server counts in whole ones.
const MILLISECOND: Duration = Duration::from_millis(1);

fn name(relative: &str) -> Name {
    Name::from_ascii(format!("{relative}pool.example.")).unwrap()
}

/// A heartbeat of a member with this number, for a lease of two seconds (RFC 9664).
fn heartbeat(number: u8) -> Vec<u8> {
    let mut message = Message::new(u16::from(number), MessageType::Query, OpCode::Update);
    message.add_query(Query::query(name(""), RecordType::SOA));
    let address = RData::A(Ipv4Addr::new(10, 0, 0, number).into());
    message.add_authority(Record::from_rdata(name(&format!("m{number}.web.")), 30, address));
    let mut edns = Edns::new();
    let lease_s = LEASE.as_secs() as u32;
    edns.options_mut().insert(EdnsOption::Unknown(2, lease_s.to_be_bytes().to_vec()));
    message.set_edns(edns);
    message.to_vec().unwrap()
}

fn question() -> Vec<u8> {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(name("web."), RecordType::A));
    message.to_vec().unwrap()
}

/// A datagram that the server has, or will have when it wakes.
fn send(server: &Server, message: &[u8]) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.connect(server.address).unwrap();
    socket.send(message).unwrap();
    socket
}

fn reply(socket: &UdpSocket) -> Message {
    let mut reply = [0; 1232];
    let len = socket.recv(&mut reply).unwrap();
    let reply = Message::from_vec(&reply[..len]).unwrap();
    assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
    reply
}

/// The last octets of the addresses that an answer has.
fn members(socket: &UdpSocket) -> Vec<u8> {
    let last = |record: &Record| match record.data {
        RData::A(address) => address.octets()[3],
        ref other => panic!("{other:?}"),
    };
    let mut members: Vec<_> = reply(socket).answers.iter().map(last).collect();
    members.sort_unstable();
    members
}

#[test]
fn leases_go_on_where_they_stopped() {
    let Some(server) = Site::new("").serve() else { return };
    let joining = Instant::now();
    let joins = [1, 2, 3].map(|number| send(&server, &heartbeat(number)));
    joins.iter().for_each(|socket| _ = reply(socket));
    let joined = Instant::now();
    std::thread::sleep(LEASE / 4);

    let stopping = Instant::now();
    server.signal("STOP");
    let stopped = Instant::now();
    std::thread::sleep(ASLEEP);
    // The first that it does when it wakes: whichever of its threads is first, nobody may be missing. One was heard meanwhile.
    let asked: Vec<_> = (0..40).map(|_| send(&server, &question())).collect();
    let renewal = send(&server, &heartbeat(3));
    let waking = Instant::now();
    server.signal("CONT");
    for (n, socket) in asked.iter().enumerate() {
        assert_eq!(members(socket), [1, 2, 3], "answer {n}");
    }
    reply(&renewal);
    let renewed = Instant::now();

    // The silent have the rest of their leases, no less and no more, and who was heard has all of one.
    let (mut gone, mut last_gone) = (None, None);
    while last_gone.is_none() {
        let asking = Instant::now();
        let members = members(&send(&server, &question()));
        let woken = asking.duration_since(waking);
        if members.contains(&1) {
            let rest = LEASE.saturating_sub(stopping - joined);
            assert!(asking < renewed + rest, "still there {woken:?} after it woke, {rest:?} being left");
            assert_eq!(members, [1, 2, 3], "{woken:?} after it woke");
        } else {
            gone.get_or_insert_with(Instant::now);
        }
        if members.contains(&3) {
            assert!(asking < renewed + LEASE, "still there {woken:?} after it woke");
        } else {
            last_gone.get_or_insert_with(Instant::now);
        }
    }
    let rest = LEASE.saturating_sub(stopped - joining + LOST);
    let woken = gone.unwrap().duration_since(waking);
    assert!(woken >= rest, "gone {woken:?} after it woke, {rest:?} being left");
    assert!(last_gone.unwrap() >= waking + LEASE - LOST, "the renewed had a whole lease");

    server.log.wait(&["WARN", "this process did not run for 5.", "leases go on where they stopped"]);
    let clock = server.counters()["clock"].clone();
    assert_eq!(clock["suspended"], 1, "{clock}");
    let suspended_ms = u128::from(clock["suspended_ms"].as_u64().unwrap());
    let (least, most) = (ASLEEP.as_millis(), (waking - stopping).as_millis() + 1_000);
    assert!((least..most).contains(&suspended_ms), "{clock}");
    server.counts(&[("/changes/joined", 3), (RENEWALS, 1), ("/changes/expired", 3)]);
}

#[test]
fn a_stop_of_half_a_second_is_time_that_passes() {
    let Some(server) = Site::new("").serve() else { return };
    let joining = Instant::now();
    reply(&send(&server, &heartbeat(1)));
    let joined = Instant::now();
    server.signal("STOP");
    std::thread::sleep(Duration::from_millis(500));
    server.signal("CONT");
    loop {
        let asking = Instant::now();
        if members(&send(&server, &question())).is_empty() {
            break;
        }
        assert!(asking < joined + LEASE, "answered after the lease was over");
    }
    assert!(joining.elapsed() + MILLISECOND >= LEASE, "gone {:?} after joining: early", joining.elapsed());
    let clock = server.counters()["clock"].clone();
    assert_eq!((&clock["suspended"], &clock["suspended_ms"]), (&0.into(), &0.into()), "{clock}");
}
