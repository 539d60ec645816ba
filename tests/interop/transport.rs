//! Long connections, several addresses, narrow links, and a process without file descriptors to spare.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::clients::{or_say, text};
use super::python;
use super::server::{LISTEN, Server, Site};
use super::wire::Wire;

const BOTH: [&str; 2] = [LISTEN, "[::1]:0"];

/// `big.pool.example.`, whose TXT record makes an answer of over 1,000 octets and under 1,232.
const BIG: &str = "big.pool.example";

fn add_big(server: &Server) {
    let strings = format!("\"{}\" ", "x".repeat(255)).repeat(4);
    server.update(&["-k", "ops.key"], &format!("update add {BIG} 60 TXT {strings}"));
}

fn ops(site: Site) -> Site {
    site.key("ops", "hmac-sha256")
        .grants("[[grant]]\nkey = 'ops'\nnames = ['*']\ntypes = ['*']\nlease = 'none'\n")
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Asks for the zone's SOA, and waits for a reply.
fn ask_soa(stream: &mut TcpStream) {
    let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04pool\x07example\x00\x00\x06\x00\x01";
    let len = (question.len() as u16).to_be_bytes();
    stream.write_all(&[&len[..], question].concat()).unwrap();
    let mut reply = [0; 6];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply[2..], [0x12, 0x34, 0x85, 0], "the id, an authoritative answer, NOERROR");
}

#[test]
fn dig_asks_many_questions_on_a_connection_and_is_told_how_long_it_may_rest() {
    for listen in BOTH {
        let Some(server) = Site::new("").append("[tcp]\nidle_ms = 7300\n").serve_at(listen) else { return };
        let text =
            server.dig_text("+tcp +keepopen +keepalive pool.example SOA ns.pool.example A no.pool.example A");
        assert_eq!(text.matches(";; ->>HEADER<<-").count(), 3, "{text}");
        assert_eq!(text.matches("TCP KEEPALIVE: 7.3 secs").count(), 3, "{text}");
        let text = server.dig_text("+keepalive pool.example SOA");
        assert!(text.contains("(UDP)") && !text.to_lowercase().contains("keepalive:"), "{text}");
        server.counts(&[("/connections/accepted", 1), ("/connections/slow", 0), ("/tcp/positive", 2)]);
    }
}

#[test]
fn kdig_asks_many_questions_on_a_connection() {
    let has_kdig = std::process::Command::new("kdig").arg("-V").output().is_ok();
    if !or_say(has_kdig, "kdig is missing: apt-get install -y knot-dnsutils") {
        return;
    }
    for listen in BOTH {
        let Some(server) = Site::new("").serve_at(listen) else { return };
        let (at, port) = (format!("@{}", server.address.ip()), server.address.port().to_string());
        let output = server
            .client("kdig")
            .args([&at, "-p", &port, "+tcp", "+keepopen", "+nocookie", "+edns"])
            .args(["pool.example", "SOA", "ns.pool.example", "A", "no.pool.example", "A"])
            .output()
            .unwrap();
        let text = text(output.stdout);
        assert!(output.status.success(), "{text}");
        for status in ["status: NOERROR", "status: NXDOMAIN"] {
            assert!(text.contains(status), "{text}");
        }
        server.counts(&[("/connections/accepted", 1), ("/tcp/positive", 2), ("/tcp/nxdomain", 1)]);
    }
}

#[test]
fn dnspython_sends_a_hundred_at_once_closes_its_side_and_reads_all_replies() {
    if !python::is_here() {
        return;
    }
    for listen in BOTH {
        let Some(server) = Site::new("").serve_at(listen) else { return };
        let lines = server.python(
            r"
            import socket, struct
            KEEPALIVE = 11
            asked = {}
            octets = b''
            for i in range(100):
                query = dns.message.make_query(f'h{i}.' + ZONE, 'A', use_edns=0,
                                               options=[dns.edns.GenericOption(KEEPALIVE, b'')])
                query.id = i
                asked[i] = query
                octets += struct.pack('!H', len(query.to_wire())) + query.to_wire()
            with socket.create_connection((SERVER, PORT), PATIENCE_S) as stream:
                stream.sendall(octets)
                stream.shutdown(socket.SHUT_WR)
                octets = b''
                while more := stream.recv(65536):
                    octets += more
            count = 0
            while octets:
                length, = struct.unpack('!H', octets[:2])
                reply = dns.message.from_wire(octets[2:2 + length])
                assert asked.pop(reply.id).is_response(reply)
                assert options(reply, KEEPALIVE) == [struct.pack('!H', 100)], reply
                octets = octets[2 + length:]
                count += 1
            print(count, len(asked))
            ",
        );
        assert_eq!(lines, ["100 0"]);
    }
}

#[test]
fn dig_hears_from_the_address_it_asked_on_a_host_that_has_several() {
    for (listen, addresses) in
        [("0.0.0.0:0", ["192.0.2.1", "192.0.2.9"]), ("[::]:0", ["2001:db8::1", "2001:db8::9"])]
    {
        let Some(wire) = Wire::new() else { return };
        let Some(mut server) = Site::new("").serve_on_at(wire, listen) else { return };
        for address in addresses {
            server.address.set_ip(address.parse().unwrap());
            // dig takes a reply from nowhere else.
            for more in ["", "+tcp", "+cookie"] {
                let answer = server.dig(&format!("pool.example SOA {more}"));
                answer.is("NOERROR", "qr aa");
                assert!(!answer.text.contains("unexpected source"), "{}", answer.text);
            }
            // The registrar's way back is another one.
            let error = server.try_update(&[], "update add m1.web.pool.example 30 A 10.0.0.1").unwrap_err();
            assert!(error.contains("REFUSED"), "{error}");
        }
    }
}

#[test]
fn dig_comes_by_tcp_where_an_answer_is_too_long_for_the_link() {
    let Some(wire) = Wire::new() else { return };
    wire.narrow(1000);
    let Some(server) = ops(Site::new("")).serve_on(wire) else { return };
    add_big(&server);
    let cut = server.dig(&format!("+ignore +bufsize=1232 {BIG} TXT"));
    cut.is("NOERROR", "qr aa tc");
    assert!(cut.answer.is_empty() && cut.text.contains("EDNS: version: 0"), "{}", cut.text);
    let whole = server.dig(&format!("+bufsize=1232 {BIG} TXT"));
    assert_eq!((whole.transport.as_str(), whole.answer.len()), ("TCP", 1), "{}", whole.text);
    server.dig("pool.example SOA").is("NOERROR", "qr aa");
    server.counts(&[("/udp/shortened", 2), ("/udp/unsent", 0), ("/tcp/positive", 1)]);
}

#[test]
fn dnspython_sees_datagrams_that_routers_must_not_break_up() {
    if !python::is_here() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let Some(server) = ops(Site::new("")).serve_on(wire) else { return };
    add_big(&server);
    let lines = server.python(
        r"
        import socket, struct
        IPV4 = 0x0800
        # As they came over the wire, from the IP header on.
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IPV4))
        packets.bind(('wire0', IPV4))
        packets.settimeout(PATIENCE_S)
        # As a router between here and there would say it: nothing longer than 552 octets passes. Anybody could say so.
        query = dns.message.make_query('big.' + ZONE, 'TXT', use_edns=0, payload=1232)
        for _ in range(3):
            reply = udp(query)
            while True:
                packet = packets.recv(65536)
                total, _, fragment = struct.unpack('!HHH', packet[2:8])
                source, = struct.unpack('!H', packet[20:22])
                if packet[9] == socket.IPPROTO_UDP and packet[12:16] == socket.inet_aton(SERVER) and source == PORT:
                    break
            print(total > 1000, hex(fragment), len(reply.answer))
            icmp = packet[:28]
            icmp = struct.pack('!BBHHH', 3, 4, 0, 0, 552) + icmp
            words = struct.unpack(f'!{len(icmp) // 2}H', icmp)
            checksum = sum(words)
            checksum = (checksum & 0xFFFF) + (checksum >> 16)
            checksum = ~((checksum & 0xFFFF) + (checksum >> 16)) & 0xFFFF
            icmp = icmp[:2] + struct.pack('!H', checksum) + icmp[4:]
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).sendto(icmp, (SERVER, 0))
        ",
    );
    // 0x4000 is DF, without MF or an offset.
    assert_eq!(lines, ["True 0x4000 1"; 3]);
    server.counts(&[("/udp/shortened", 0), ("/udp/unsent", 0)]);
}

#[test]
fn a_client_with_too_many_connections_is_refused_counted_and_logged_once_a_second() {
    let Some(server) = Site::new("").append("[tcp]\nclient_connections = 2\n").serve() else { return };
    let mut held = [0; 2].map(|_| connect(&server));
    let started = Instant::now();
    for _ in 0..5 {
        let mut refused = connect(&server);
        assert_eq!(refused.read(&mut [0]).unwrap(), 0);
    }
    server.counts(&[("/connections/over_client_limit", 5), ("/connections/accepted", 7)]);
    server.log.wait(&["TCP connection refused", "source=127.0.0.1", "client_connections"]);
    let lines = server.log.lines_from(0, &["TCP connection refused"]).len();
    assert!(lines as u64 <= 2 + started.elapsed().as_secs(), "{lines} lines");
    // Its other connections are served as before, and so is UDP.
    held.iter_mut().for_each(ask_soa);
    server.dig("pool.example SOA").is("NOERROR", "qr aa");
}

#[test]
fn a_server_without_a_file_descriptor_to_spare_closes_what_rests() {
    let Some(server) = Site::new("").serve() else { return };
    if !server.may_open(2) {
        return;
    }
    let mut held = Vec::new();
    for _ in 0..6 {
        let mut stream = connect(&server);
        ask_soa(&mut stream);
        held.push(stream);
    }
    let counters = server.counters();
    assert_eq!(counters["connections"]["accepted"], 6);
    // Or one more or less: the server may have had a file open for a moment while its descriptors were counted.
    assert!(matches!(counters["connections"]["made_room"].as_u64(), Some(3..=5)), "{counters}");
    assert!(counters["connections"]["accepts_failed"].as_u64() >= Some(3), "{counters}");
    server.log.wait(&["cannot accept", "open files"]);
    // Until here, so that each of them took a descriptor.
    drop(held);
}
