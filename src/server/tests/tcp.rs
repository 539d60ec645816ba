//! Connections: what they are answered, how long they may take, and who may have one. On both families.

use std::collections::HashSet;
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::thread;

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

use super::*;
use crate::server::clock;

const BOTH: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];
/// An OPT that asks how long the connection may be idle.
const ASKS_IDLE: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x04\x00\x0b\x00\x00";

/// Settings with short clocks.
fn hurried(listen: &[&str]) -> Settings {
    Settings { tcp_idle_ms: 300, tcp_message_ms: 300, ..settings(listen) }
}

/// `QUESTION` with an OPT after it.
fn with_opt(opt: &[u8]) -> Vec<u8> {
    let mut message = [QUESTION, opt].concat();
    message[11] = 1;
    message
}

/// What the reply's edns-tcp-keepalive option says, if there is one.
fn told(reply: &[u8]) -> Option<u16> {
    let message = Message::from_vec(reply).unwrap();
    match message.edns?.option(EdnsCode::Keepalive)? {
        EdnsOption::Unknown(_, octets) => Some(u16::from_be_bytes(octets.as_slice().try_into().unwrap())),
        other => panic!("{other:?}"),
    }
}

/// Waits until a counter of connections has this value: it is counted after the client can see why.
fn counts(server: &Server, counter: &str, wanted: u64) {
    let deadline_ms = clock::now_ms() + 10_000;
    loop {
        let json = server.counters().to_json();
        if json["connections"][counter] == wanted {
            return;
        }
        assert!(clock::now_ms() < deadline_ms, "{counter} is not {wanted}: {json}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn answered(stream: &mut TcpStream, id: u8) {
    stream.write_all(&framed(id, QUESTION)).unwrap();
    assert_eq!(heard(stream)[1], id);
}

/// Whether the connection ended in good order: with everything that was sent, and no reset.
fn is_closed_in_order(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]), Ok(0))
}

#[test]
fn pipelined_requests_are_all_answered_though_more_come_than_may_be_open() {
    let (server, _) = start(&BOTH);
    for &address in server.addresses() {
        let mut stream = connect_to(address);
        // The other family's members may not register with the unsigned grant, but each request has its reply.
        let mut octets = Vec::new();
        for id in (0..40).step_by(2) {
            octets.extend(framed(id, QUESTION));
            octets.extend(framed(id + 1, &registration(&format!("m{id}"))));
        }
        // In pieces that end anywhere; then half-closed, and the replies still come.
        for piece in octets.chunks(97) {
            stream.write_all(piece).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let mut ids: Vec<_> = (0..40).map(|_| heard(&mut stream)[1]).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..40).collect::<Vec<_>>());
        assert!(is_closed_in_order(&mut stream));
    }
}

#[test]
fn questions_are_answered_while_an_update_waits() {
    let (server, store) = start_with(&Settings { tcp_idle_ms: 700, ..settings(&BOTH) });
    let disk = store.0.lock().unwrap();
    let mut streams: Vec<_> = server.addresses().iter().map(|address| connect_to(*address)).collect();
    for (i, stream) in streams.iter_mut().enumerate() {
        let update = registration(&format!("m{i}"));
        stream.write_all(&[framed(99, &update), framed(1, QUESTION)].concat()).unwrap();
        assert_eq!(heard(stream)[1], 1);
    }
    for id in 2..40 {
        streams.iter_mut().for_each(|stream| answered(stream, id));
    }
    // Longer than a connection may rest: it does not, while it is owed a reply. Nor does a half-closed one.
    streams[1].shutdown(Shutdown::Write).unwrap();
    thread::sleep(Duration::from_millis(1_000));
    drop(disk);
    streams.iter_mut().for_each(|stream| assert_eq!(heard(stream)[1], 99));
    answered(&mut streams[0], 50);
    streams.iter_mut().for_each(|stream| assert!(is_closed_in_order(stream)));
}

#[test]
fn who_asks_is_told_how_long_a_connection_may_be_idle_and_over_udp_nothing() {
    let idle = Settings { tcp_idle_ms: 2_345, ..settings(&BOTH) };
    let (server, _) = start_with(&idle);
    let other_version = {
        let mut opt = ASKS_IDLE.to_vec();
        opt[6] = 1;
        opt
    };
    let plain = [&ASKS_IDLE[..9], &[0, 0]].concat();
    // Data in the option say nothing, and whatever else is there is answered as ever.
    let with_data = [&ASKS_IDLE[..10], &[6, 0, 11, 0, 2, 0, 1]].concat();
    let with_cookie = [&ASKS_IDLE[..10], &[16, 0, 11, 0, 0, 0, 10, 0, 8], b"a client"].concat();
    for &address in server.addresses() {
        let mut stream = connect_to(address);
        for (opt, wanted) in [
            (ASKS_IDLE, Some(23)),
            (&with_data, Some(23)),
            (&with_cookie, Some(23)),
            (&plain, None),
            (&other_version, None),
        ] {
            let message = with_opt(opt);
            stream.write_all(&framed(1, &message)).unwrap();
            assert_eq!(told(&heard(&mut stream)), wanted, "{opt:?}");
            assert_eq!(told(&ask_udp(address, &message)), None, "{opt:?} over UDP");
        }
        // A message that is no question has an OPT in its reply too.
        let mut no_question = with_opt(ASKS_IDLE);
        no_question[2] = 0x10;
        stream.write_all(&framed(1, &no_question)).unwrap();
        let reply = heard(&mut stream);
        assert_eq!((rcode(&reply), told(&reply)), (Rcode::NOTIMP, Some(23)));
    }
}

#[test]
fn the_fewer_places_are_left_the_shorter_a_connection_may_be_idle() {
    let (server, _) = start(&BOTH);
    let mut told_to = Vec::new();
    let mut held = Vec::new();
    for i in 0..8 {
        let mut stream = connect_to(server.addresses()[i % 2]);
        stream.write_all(&framed(1, &with_opt(ASKS_IDLE))).unwrap();
        told_to.push(told(&heard(&mut stream)).unwrap());
        held.push(stream);
    }
    assert_eq!(told_to, [100, 100, 100, 100, 75, 50, 25, 0]);
    // Told to close, and given a second to do so; its connections are still served meanwhile.
    answered(&mut held[7], 2);
    assert!(is_closed_in_order(&mut held[7]));
    counts(&server, "idle", 1);
}

#[test]
fn a_request_has_so_long_to_become_whole_and_a_connection_so_long_to_rest() {
    for (tcp_idle_ms, tcp_message_ms, silent, dripping) in
        [(300, 60_000, "idle", None), (60_000, 300, "none", Some("slow"))]
    {
        let (server, _) = start_with(&Settings { tcp_idle_ms, tcp_message_ms, ..settings(&BOTH) });
        for &address in server.addresses() {
            let started_ms = clock::now_ms();
            let mut stream = connect_to(address);
            if dripping.is_some() {
                // Octet by octet is no progress.
                for octet in &framed(1, QUESTION)[..15] {
                    if stream.write_all(&[*octet]).is_err() {
                        break;
                    }
                    thread::sleep(Duration::from_millis(40));
                }
            }
            assert!(is_closed(&mut stream));
            assert!((300..5_000).contains(&(clock::now_ms() - started_ms)));
        }
        counts(&server, dripping.unwrap_or(silent), 2);
    }
}

#[test]
fn a_request_that_begins_late_is_waited_for() {
    let (server, _) = start_with(&Settings { tcp_idle_ms: 500, ..settings(&BOTH) });
    for &address in server.addresses() {
        let mut stream = connect_to(address);
        let octets = framed(1, QUESTION);
        // Each piece comes before the connection has rested too long; all of them take longer than that.
        for piece in octets.chunks(octets.len() / 4) {
            thread::sleep(Duration::from_millis(250));
            stream.write_all(piece).unwrap();
        }
        assert_eq!(heard(&mut stream)[1], 1);
        assert!(is_closed_in_order(&mut stream));
    }
}

#[test]
fn a_client_that_does_not_read_is_neither_read_from_nor_kept() {
    let (server, _) = start_with(&hurried(&BOTH));
    for &address in server.addresses() {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        let questions = framed(1, QUESTION).repeat(1_000);
        // Once the buffers of both kernels are full the server stops to read, and 300 ms later it closes.
        let error = (0..10_000).find_map(|_| stream.write_all(&questions).err()).unwrap();
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    }
    counts(&server, "slow", 2);
}

#[test]
fn a_length_that_no_message_has_closes_the_connection_once_it_owes_nothing() {
    let (server, store) = start(&BOTH);
    for (i, &address) in server.addresses().iter().enumerate() {
        for len in [0, 11] {
            let mut stream = connect_to(address);
            let disk = store.0.lock().unwrap();
            let update = registration(&format!("m{i}-{len}"));
            // In one piece, with more behind it than anybody reads: the replies come whole, and no reset overtakes them.
            let after = [&[0, len][..], &[7; 20_000]].concat();
            stream.write_all(&[framed(2, &update), framed(3, QUESTION), after].concat()).unwrap();
            assert_eq!(heard(&mut stream)[1], 3);
            drop(disk);
            assert_eq!(heard(&mut stream)[1], 2);
            assert!(is_closed_in_order(&mut stream), "length {len}");
        }
    }
    counts(&server, "malformed", 4);
}

#[test]
fn who_goes_on_sending_after_the_end_holds_up_nobody_and_is_cut_off() {
    let (server, _) = start(&BOTH);
    let address = |i: usize| server.addresses()[i % 2];
    let deadline_ms = clock::now_ms() + 10_000;
    // Twice as many as there are threads for TCP.
    let senders: Vec<_> = (0..4)
        .map(|i| {
            let mut stream = connect_to(address(i));
            stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
            thread::spawn(move || {
                while clock::now_ms() < deadline_ms {
                    if stream.write_all(&[0; 65_536]).is_err() {
                        return;
                    }
                }
                panic!("still read from");
            })
        })
        .collect();
    for id in 0..20 {
        answered(&mut connect_to(address(usize::from(id))), id);
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    counts(&server, "malformed", 4);
}

#[test]
fn noise_is_answered_formerr_or_not_at_all_and_the_connection_goes_on() {
    let (server, _) = start(&BOTH);
    for (seed, &address) in server.addresses().iter().enumerate() {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let mut stream = connect_to(address);
        let mut reader = stream.try_clone().unwrap();
        let sent = thread::spawn(move || {
            for i in 0..300 {
                let len = if i % 10 == 0 { random.usize(12..=65_535) } else { random.usize(12..200) };
                let mut noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(len).collect();
                // Mostly queries; the ids of noise are odd.
                noise[1] |= 1;
                noise[2] &= if i % 2 == 0 { 0x07 } else { 0xFF };
                stream.write_all(&(len as u16).to_be_bytes()).unwrap();
                stream.write_all(&noise).unwrap();
            }
            stream.write_all(&framed(2, QUESTION)).unwrap();
        });
        let mut rcodes = HashSet::new();
        loop {
            let reply = heard(&mut reader);
            if reply[1] == 2 {
                break;
            }
            rcodes.insert(rcode(&reply));
        }
        sent.join().unwrap();
        assert!(rcodes.contains(&Rcode::FORMERR) && !rcodes.contains(&Rcode::NOERROR), "{rcodes:?}");
        assert!(!rcodes.contains(&Rcode::SERVFAIL), "{rcodes:?}");
    }
}

#[test]
fn the_connection_that_has_rested_longest_makes_room() {
    for family in BOTH {
        let (server, store) =
            start_with(&Settings { tcp_connections: 3, tcp_client_connections: 4, ..settings(&[family]) });
        let [mut busy, mut first, mut second] = [0; 3].map(|_| connect(&server));
        let disk = store.0.lock().unwrap();
        busy.write_all(&[framed(9, &registration("m1")), framed(1, QUESTION)].concat()).unwrap();
        assert_eq!(heard(&mut busy)[1], 1, "the longest without a request, but it waits for a reply");
        answered(&mut second, 2);
        thread::sleep(Duration::from_millis(20));
        answered(&mut first, 3);
        let mut newcomer = connect(&server);
        assert!(is_closed_in_order(&mut second));
        answered(&mut newcomer, 4);
        answered(&mut first, 5);
        drop(disk);
        assert_eq!(heard(&mut busy)[1], 9);
        counts(&server, "made_room", 1);
    }
}

#[test]
fn a_client_has_so_many_connections_and_others_have_theirs() {
    let (server, _) = start_with(&Settings { tcp_client_connections: 2, ..settings(&BOTH) });
    for (i, &address) in server.addresses().iter().enumerate() {
        let mut held = [connect_to(address), connect_to(address)];
        for (id, stream) in held.iter_mut().enumerate() {
            answered(stream, id as u8);
        }
        assert!(is_closed(&mut connect_to(address)));
        counts(&server, "over_client_limit", i as u64 + 1);
        answered(&mut held[0], 9);
        if address.is_ipv4() {
            answered(&mut from_elsewhere(address), 8);
        }
        drop(held);
    }
    counts(&server, "over_limit", 0);
}

#[test]
fn when_all_are_busy_one_more_is_refused() {
    let (server, store) =
        start_with(&Settings { tcp_connections: 2, tcp_client_connections: 2, ..settings(&["127.0.0.1:0"]) });
    let disk = store.0.lock().unwrap();
    let mut held = [connect(&server), connect(&server)];
    for (i, stream) in held.iter_mut().enumerate() {
        let update = registration(&format!("m{i}"));
        stream.write_all(&[framed(9, &update), framed(1, QUESTION)].concat()).unwrap();
        assert_eq!(heard(stream)[1], 1);
    }
    assert!(is_closed(&mut from_elsewhere(server.addresses()[0])));
    counts(&server, "over_limit", 1);
    drop(disk);
    held.iter_mut().for_each(|stream| assert_eq!(heard(stream)[1], 9));
}

/// A connection from 127.0.0.9; with IPv6 loopback has one address only.
fn from_elsewhere(address: SocketAddr) -> TcpStream {
    if address.is_ipv6() {
        return connect_to(address);
    }
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.9:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream
}

#[test]
fn a_stop_brings_every_reply_that_is_owed_and_no_reset() {
    let (server, store) = start(&BOTH);
    let mut streams: Vec<_> = server.addresses().iter().map(|address| connect_to(*address)).collect();
    let disk = store.0.lock().unwrap();
    for (i, stream) in streams.iter_mut().enumerate() {
        let update = registration(&format!("m{i}"));
        stream.write_all(&[framed(9, &update), framed(1, QUESTION)].concat()).unwrap();
        assert_eq!(heard(stream)[1], 1);
    }
    let stopping = thread::spawn(move || server.stop());
    // Until the server has heard that it is to stop: then it does not read what comes now.
    thread::sleep(Duration::from_millis(400));
    streams.iter_mut().for_each(|stream| stream.write_all(&framed(7, QUESTION)).unwrap());
    drop(disk);
    for stream in &mut streams {
        assert_eq!(heard(stream)[1], 9);
        assert!(is_closed_in_order(stream));
    }
    drop(streams);
    stopping.join().unwrap();
}

#[test]
fn connections_inherit_what_the_listener_was_given() {
    for address in BOTH {
        let listener = crate::server::tcp::bind(address.parse().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _client = connect_to(listener.local_addr().unwrap());
        let (accepted, _) = listener.accept().unwrap();
        let socket = socket2::SockRef::from(&accepted);
        assert!(accepted.nodelay().unwrap() && accepted.as_raw_fd() >= 0);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
    }
}

/// Anybody can send datagrams, and under any address; who comes over TCP finds a place all the same.
#[test]
fn a_flood_of_datagrams_leaves_room_for_updates_over_tcp() {
    let (server, store) = start_with(&Settings { update_queue: 8, ..settings(&["127.0.0.1:0"]) });
    let counters = Arc::clone(server.counters());
    let dropped = || counters.to_json()["udp"]["queue_full"].as_u64().unwrap();
    let held = store.0.lock().unwrap();
    let flood = udp::bind("127.0.0.1:0".parse().unwrap(), &SOCKETS).unwrap();
    flood.connect(server.addresses()[0]).unwrap();
    // The registrar waits for the disk with the first of them; the queue fills behind it, and nobody empties it.
    let mut sent = 0_u32;
    while dropped() == 0 {
        assert!(sent < 500, "datagrams are dropped before the registrar has as many members as it may");
        flood.send(&registration(&format!("u{sent}"))).unwrap();
        sent += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut streams = [connect(&server), connect(&server)];
    for (stream, label) in streams.iter_mut().zip(["t1", "t2"]) {
        stream.write_all(&framed(1, &registration(label))).unwrap();
    }
    while counters.to_json()["tcp"]["queued"].as_u64().unwrap()
        + counters.to_json()["tcp"]["queue_full"].as_u64().unwrap()
        < 2
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(held);
    for stream in &mut streams {
        assert_eq!(rcode(&heard(stream)), Rcode::NOERROR);
    }
    assert_eq!(counters.to_json()["tcp"]["queue_full"], 0);
}
