//! Nobody is told of a join that is not on the disk: the order of the server's own system calls, as strace sees them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use super::server::{RENEWALS, Server, Site};
use super::strace;

const PATIENCE: Duration = Duration::from_secs(20);

/// `update add mN.web.pool.example. 30 A 10.0.X.Y`, with N as the message's ID too.
fn registration(n: u16) -> Vec<u8> {
    let mut message = n.to_be_bytes().to_vec();
    message.extend_from_slice(
        b"\x28\x00\x00\x01\x00\x00\x00\x01\x00\x00\x04pool\x07example\x00\x00\x06\x00\x01",
    );
    let label = format!("m{n}");
    message.push(label.len() as u8);
    message.extend_from_slice(label.as_bytes());
    message.extend_from_slice(b"\x03web\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x0a\x00");
    message.extend_from_slice(&n.to_be_bytes());
    message
}

/// Sends all of them at once from one socket, and waits for every reply.
fn over_udp(server: &Server, ids: std::ops::Range<u16>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    ids.clone().for_each(|n| _ = socket.send(&registration(n)).unwrap());
    let mut replies = Vec::new();
    let mut reply = [0; 512];
    while replies.len() < ids.len() {
        let length = socket.recv(&mut reply).unwrap();
        replies.push((u16::from_be_bytes([reply[0], reply[1]]), reply[3] & 15, length >= 12));
    }
    replies.sort_unstable();
    assert_eq!(replies, ids.map(|n| (n, 0, true)).collect::<Vec<_>>());
}

/// The same over one connection.
fn over_tcp(server: &Server, ids: std::ops::Range<u16>) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let framed = |message: Vec<u8>| [&(message.len() as u16).to_be_bytes()[..], &message].concat();
    let messages: Vec<_> = ids.clone().flat_map(|n| framed(registration(n))).collect();
    stream.write_all(&messages).unwrap();
    for _ in ids {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut reply = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(reply[3] & 15, 0);
    }
}

/// A system call: the line on which it begins and that on which it ends, what it read or wrote, and whether it returned 0.
struct Call {
    name: String,
    begins: usize,
    ends: usize,
    text: String,
}

impl Call {
    /// IDs of the messages in what it read or wrote that have these two octets behind the ID, and one zone.
    fn ids(&self, flags: &str) -> Vec<u16> {
        let pattern = format!("{flags}\\x00\\x01");
        let found =
            self.text.match_indices(&pattern).filter_map(|(at, _)| self.text.get(at.checked_sub(8)?..at));
        let hex = |id: &str| u16::from_str_radix(&id.replace("\\x", ""), 16).ok();
        found.filter_map(hex).collect()
    }

    fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fdatasync" | "fsync") && self.text.trim_end().ends_with("= 0")
    }
}

/// The calls of a trace, in the order in which they end. A call that another thread's interrupts has a line for each half.
fn calls(trace: &str) -> Vec<Call> {
    let mut open: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let (thread, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            open.insert(thread, (at, begun.to_owned()));
        } else {
            let (begins, text) = match rest.strip_prefix("<... ") {
                Some(end) => {
                    let (begins, begun) = open.remove(thread).unwrap();
                    (begins, begun + end.split_once("resumed>").unwrap().1)
                }
                None => (at, rest.to_owned()),
            };
            let name = text.split('(').next().unwrap().to_owned();
            calls.push(Call { name, begins, ends: at, text });
        }
    }
    calls
}

/// By message, the line on which it was received and that on which its reply began to leave.
fn spans(calls: &[Call]) -> BTreeMap<u16, (usize, usize)> {
    let mut received = BTreeMap::new();
    let mut spans = BTreeMap::new();
    for call in calls {
        if call.name.starts_with("recv") || call.name.starts_with("read") {
            call.ids("\\x28\\x00").into_iter().for_each(|id| _ = received.entry(id).or_insert(call.ends));
        } else {
            for id in call.ids("\\xa8\\x00") {
                spans.entry(id).or_insert((received[&id], call.begins));
            }
        }
    }
    spans
}

#[test]
fn every_reply_to_a_join_leaves_after_a_sync_that_began_after_the_join_came() {
    if !strace::is_here() {
        return;
    }
    let trace = tempfile::NamedTempFile::new().unwrap();
    let seen = "fsync,fdatasync,recvmmsg,recvfrom,recvmsg,read,readv,sendmmsg,sendmsg,sendto,write,writev";
    let Some(mut server) = Site::new("").started_by(strace::writing(seen, trace.path())).serve() else {
        return;
    };
    const JOINS: u16 = 300;
    over_udp(&server, 0x4000..0x4000 + JOINS);
    over_tcp(&server, 0x5000..0x5000 + 20);
    server.counters_when(|counters| counters["changes"]["joined"] == u64::from(JOINS) + 20);
    // The same messages again are heartbeats.
    over_udp(&server, 0x4000..0x4000 + JOINS);
    server.counts(&[(RENEWALS, JOINS.into())]);
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0), "{}", server.log.text());

    let trace = fs::read_to_string(trace.path()).unwrap();
    let calls = calls(&trace);
    let syncs: Vec<_> = calls.iter().filter(|call| call.is_sync()).collect();
    let spans = spans(&calls);
    assert_eq!(spans.len(), usize::from(JOINS) + 20, "every join was seen to come and its reply to leave");
    for (id, (came, left)) in &spans {
        let is_durable = syncs.iter().any(|sync| sync.begins > *came && sync.ends < *left);
        assert!(is_durable, "the reply to {id:#x} left on line {left}, with no sync since line {came}");
    }
    let first = spans.values().map(|(came, _)| *came).min().unwrap();
    let joined = spans.values().map(|(_, left)| *left).max().unwrap();
    let replies = calls.iter().filter(|call| !call.ids("\\xa8\\x00").is_empty());
    let renewed = replies.map(|call| call.begins).max().unwrap();
    assert!(renewed > joined);
    let between = |from, to| syncs.iter().filter(|sync| (from..to).contains(&sync.begins)).count();
    let (of_joins, of_heartbeats) = (between(first, joined), between(joined, renewed));
    println!("{} joins, {of_joins} syncs; {JOINS} heartbeats, {of_heartbeats} syncs", spans.len());
    assert_eq!(of_heartbeats, 0, "a heartbeat touches no disk");
    assert!(of_joins <= spans.len() / 4, "{of_joins} syncs for {} joins: one for a group", spans.len());
}
