//! Tables of rules: what the zone held, the message, its RCODE, what the zone holds then. A row asks only what DNS can ask, so
//! that any server can be held against it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use rollcall::query::Transport;

use super::world::script::{absolute, lines, rdata, record_type};
use super::world::{World, text, update_message};

/// A server that takes UPDATEs and questions.
pub trait Authority {
    /// The RCODE of an UPDATE.
    fn update(&mut self, message: &[u8]) -> ResponseCode;
    /// The answer to a question.
    fn question(&mut self, name: &str, rtype: &str) -> Message;
}

impl Authority for World {
    fn update(&mut self, message: &[u8]) -> ResponseCode {
        self.send_over(Transport::Tcp, message).rcode
    }

    fn question(&mut self, name: &str, rtype: &str) -> Message {
        self.ask(name, rtype).message
    }
}

/// Sends an UPDATE that must be accepted.
#[track_caller]
pub fn accept(server: &mut impl Authority, script: &str) {
    let rcode = server.update(&update_message(script, None).to_vec().unwrap());
    assert_eq!(rcode, ResponseCode::NoError, "{script}");
}

/// What a message does to the SOA's serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serial {
    /// It stays, and so does everything else in the zone.
    Stays,
    /// It moves by one.
    Moves,
}

/// One rule.
pub struct Row {
    /// What the rule says, with the section that says it.
    pub rule: &'static str,
    /// An UPDATE that is accepted first; empty for none.
    pub before: &'static str,
    /// The UPDATE that the rule is about.
    pub message: &'static str,
    /// Its RCODE.
    pub rcode: ResponseCode,
    /// What the zone holds then: see [`differences`].
    pub after: &'static str,
    /// What became of the serial.
    pub serial: Serial,
}

/// A row, its columns in the order of what happens.
pub const fn row(
    rule: &'static str,
    before: &'static str,
    message: &'static str,
    rcode: ResponseCode,
    after: &'static str,
    serial: Serial,
) -> Row {
    Row { rule, before, message, rcode, after, serial }
}

/// Judges each row on a server of its own, and fails with all that do not hold.
pub fn judge_all<S: Authority>(rows: &[Row], start: impl Fn() -> S) {
    let failures: Vec<String> = rows.iter().flat_map(|row| judge(&mut start(), row)).collect();
    assert!(failures.is_empty(), "{} of {} rows:\n{}", failures.len(), rows.len(), failures.join("\n"));
}

/// What of a row does not hold.
fn judge(server: &mut impl Authority, row: &Row) -> Vec<String> {
    let mut wrong = Vec::new();
    if !row.before.is_empty() {
        let rcode = server.update(&update_message(row.before, None).to_vec().unwrap());
        if rcode != ResponseCode::NoError {
            wrong.push(format!("before it, {rcode:?}"));
        }
    }
    let (serial, contents) = (soa_serial(server), contents(server, row));
    let rcode = server.update(&update_message(row.message, None).to_vec().unwrap());
    if rcode != row.rcode {
        wrong.push(format!("{rcode:?}, not {:?}", row.rcode));
    }
    wrong.extend(differences(server, row.after));
    let moved = soa_serial(server).wrapping_sub(serial);
    let set = lines(row.after).any(|line| line.starts_with("@ SOA"));
    match row.serial {
        Serial::Stays if moved != 0 => wrong.push(format!("the serial moved by {moved}")),
        Serial::Stays if contents != self::contents(server, row) => {
            wrong.push("something changed".to_owned())
        }
        Serial::Moves if !set && moved != 1 => wrong.push(format!("the serial moved by {moved}, not 1")),
        _ => {}
    }
    wrong.into_iter().map(|wrong| format!("{}: {wrong}", row.rule)).collect()
}

/// Where the zone holds something else than `expected` says: `NAME [TTL] TYPE DATA` for each record, and all of them for a
/// name and type; `NAME TYPE NODATA`; `NAME TYPE NXDOMAIN`.
pub fn differences(server: &mut impl Authority, expected: &str) -> Vec<String> {
    let mut rrsets = BTreeMap::<(&str, &str), Vec<(Option<u32>, Vec<&str>)>>::new();
    for line in lines(expected) {
        let mut words = line.split_whitespace();
        let (name, mut rtype) = (words.next().unwrap(), words.next().unwrap());
        let ttl_s = rtype.parse().ok();
        if ttl_s.is_some() {
            rtype = words.next().unwrap();
        }
        rrsets.entry((name, rtype)).or_default().push((ttl_s, words.collect()));
    }
    let mut wrong = Vec::new();
    for ((name, rtype), records) in rrsets {
        let (rcode, found) = rrset(server, name, rtype);
        let is = match rcode {
            ResponseCode::NoError if found.is_empty() => "NODATA".to_owned(),
            ResponseCode::NoError => format!("{found:?}"),
            ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
            other => format!("{other:?}"),
        };
        let holds = match &records[..] {
            [(_, words)] if matches!(words[..], ["NODATA" | "NXDOMAIN"]) => is == words[0],
            records => {
                let data = |words: &[&str]| text(&rdata(rtype, words));
                let wanted: BTreeSet<_> = records.iter().map(|(_, words)| data(words)).collect();
                let ttl_s = records.iter().find_map(|(ttl_s, _)| *ttl_s);
                wanted == found.keys().cloned().collect()
                    && ttl_s.is_none_or(|ttl_s| found.values().all(|&found_s| found_s == ttl_s))
            }
        };
        if !holds {
            let wanted: Vec<_> = records.iter().map(|(_, words)| words.join(" ")).collect();
            wrong.push(format!("{name} {rtype} is {is}, not {}", wanted.join(", ")));
        }
    }
    wrong
}

/// Fails unless the zone holds what `expected` says, in the words of [`differences`].
#[track_caller]
pub fn assert_holds(server: &mut impl Authority, expected: &str) {
    let wrong = differences(server, expected);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An RRset as it is answered, TTL by rdata, and the RCODE.
pub fn rrset(server: &mut impl Authority, name: &str, rtype: &str) -> (ResponseCode, BTreeMap<String, u32>) {
    let message = server.question(name, rtype);
    let (owner, rtype) = (absolute(name), record_type(rtype));
    let own = message.answers.iter().filter(|record| record.name == owner && record.record_type() == rtype);
    let found = own.map(|record| (text(&record.data), record.ttl)).collect();
    (message.metadata.response_code, found)
}

/// The serial that the zone's SOA says.
pub fn soa_serial(server: &mut impl Authority) -> u32 {
    match server.question("@", "SOA").answers.first().map(|record| &record.data) {
        Some(RData::SOA(soa)) => soa.serial,
        other => panic!("no SOA: {other:?}"),
    }
}

/// Names of the zone file.
const STATIC_NAMES: [&str; 7] = ["@", "ns", "www", "info", "a.b.c", "c", "note._tcp.web"];
const TYPES: [&str; 10] = ["A", "AAAA", "TXT", "CNAME", "MX", "NS", "SRV", "SOA", "KEY", "TYPE65280"];

/// Everything at the names that a row is about, and at those of the zone file.
fn contents(server: &mut impl Authority, row: &Row) -> Vec<(ResponseCode, BTreeMap<String, u32>)> {
    let scripts = [row.before, row.message].into_iter().flat_map(lines);
    let owners = scripts.filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["add" | "delete" | "record", name, ..] => Some(name),
        _ => None,
    });
    let after = lines(row.after).filter_map(|line| line.split_whitespace().next());
    let names: BTreeSet<&str> = owners.chain(after).chain(STATIC_NAMES).collect();
    let each = names
        .into_iter()
        .filter(|name| !name.ends_with('.'))
        .flat_map(|name| TYPES.map(|rtype| (name, rtype)));
    each.collect::<Vec<_>>().into_iter().map(|(name, rtype)| rrset(server, name, rtype)).collect()
}
