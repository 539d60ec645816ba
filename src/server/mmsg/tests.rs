use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::tests::SOCKETS;
use super::super::udp;
use super::*;

fn socket(address: &str) -> UdpSocket {
    udp::bind(address.parse().unwrap(), &SOCKETS).unwrap()
}

/// A client that hears only what comes from the address it asked.
fn client_of(server: &UdpSocket, ip: &str) -> UdpSocket {
    let port = server.local_addr().unwrap().port();
    let own = if ip.contains(':') { "[::1]:0" } else { "127.0.0.1:0" };
    let client = socket(own);
    client.connect((ip, port)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client
}

/// Receives until `wanted` datagrams have come, answering each with its own octets and an exclamation mark.
fn echo(server: &UdpSocket, wanted: usize) -> u64 {
    let mut batch = Batch::new(4);
    let mut seen = 0;
    while seen < wanted {
        let received = batch.receive(server).unwrap();
        for i in 0..received {
            let (request, reply) = batch.reply_buffer(i);
            let len = request.len();
            reply[..len].copy_from_slice(request);
            reply[len] = b'!';
            batch.set_reply(i, len + 1);
        }
        assert_eq!(batch.send(server), Troubles::default());
        seen += received;
    }
    batch.oversized()
}

fn heard(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 64];
    let len = client.recv(&mut buffer).unwrap();
    buffer[..len].to_vec()
}

#[test]
fn replies_leave_from_the_address_that_was_asked() {
    for (bound, asked) in [
        ("127.0.0.1:0", "127.0.0.1"),
        ("0.0.0.0:0", "127.0.0.1"),
        ("0.0.0.0:0", "127.0.0.2"),
        ("[::1]:0", "::1"),
        ("[::]:0", "::1"),
    ] {
        let server = socket(bound);
        let client = client_of(&server, asked);
        // More than one batch holds.
        for i in 0..9_u8 {
            client.send(&[i]).unwrap();
        }
        assert_eq!(echo(&server, 9), 0);
        for i in 0..9 {
            assert_eq!(heard(&client), [i, b'!'], "{asked} at {bound}");
        }
    }
}

#[test]
fn one_reply_later_goes_the_same_way() {
    for (bound, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1"), ("127.0.0.1:0", "127.0.0.1")] {
        let server = socket(bound);
        let client = client_of(&server, asked);
        client.send(b"?").unwrap();
        let mut batch = Batch::new(1);
        assert_eq!(batch.receive(&server).unwrap(), 1);
        let peer = *batch.peer(0).unwrap();
        assert_eq!(peer.address(), client.local_addr().unwrap());
        send_one(&server, b"later", &peer).unwrap();
        assert_eq!(heard(&client), b"later", "{asked} at {bound}");
    }
}

#[test]
fn a_reply_that_cannot_be_sent_does_not_hold_up_the_others() {
    let server = socket("127.0.0.1:0");
    let clients = [client_of(&server, "127.0.0.1"), client_of(&server, "127.0.0.1")];
    let mut batch = Batch::new(3);
    for client in [&clients[0], &clients[0], &clients[1]] {
        client.send(b"?").unwrap();
    }
    assert_eq!(batch.receive(&server).unwrap(), 3);
    // Nobody has port 0: EINVAL.
    batch.messages[1].peer.name.sin6_port = 0;
    for i in 0..3 {
        batch.set_reply(i, 1);
    }
    assert_eq!(batch.send(&server), Troubles { unsent: 1, shortened: 0 });
    assert_eq!((heard(&clients[0]).len(), heard(&clients[1]).len()), (1, 1));
}

#[test]
fn an_oversized_datagram_reads_as_empty() {
    let server = socket("127.0.0.1:0");
    let client = client_of(&server, "127.0.0.1");
    client.send(&[7; REQUEST_MAX + 1]).unwrap();
    client.send(&[8; REQUEST_MAX]).unwrap();
    let mut batch = Batch::new(2);
    assert_eq!(batch.receive(&server).unwrap(), 2);
    assert_eq!(batch.oversized(), 1);
    assert_eq!((batch.request(0).len(), batch.request(1).len()), (0, REQUEST_MAX));
    assert_eq!(batch.request(2), b"");
}

#[test]
fn a_quiet_socket_gives_the_worker_back() {
    let server = socket("127.0.0.1:0");
    assert_eq!(Batch::new(2).receive(&server).unwrap(), 0);
}

#[test]
fn one_file_alone_is_allowed_what_cargo_toml_denies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Cargo.toml denies it to all targets, so that a file has to say that it may. The fuzzers are a workspace of their own,
    // where nothing is denied. In two pieces, or this file would be found.
    let (lint, keyword) = (concat!("un", "safe_code"), concat!("un", "safe "));
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> =
        ["src", "tests", "benches", "examples", "fuzz/fuzz_targets"].map(|dir| root.join(dir)).into();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let is_fuzzer = path.starts_with(root.join("fuzz"));
            if text.contains(if is_fuzzer { keyword } else { lint }) {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    assert_eq!(found, [Path::new("src/server/mmsg.rs")]);
}
