//! UPDATE messages and the contents of a zone in words, close to what nsupdate reads. hickory-proto puts them on the wire,
//! and lets a test say what no client would: any class, any TTL, any rdata.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::ZONE;

/// A name relative to the zone, unless it ends in a dot; `@` is the zone's own.
pub fn absolute(name: &str) -> Name {
    let text = match name {
        "@" => ZONE.to_owned(),
        _ if name.ends_with('.') => name.to_owned(),
        _ => format!("{name}.{ZONE}"),
    };
    Name::from_ascii(text).unwrap()
}

/// A type by its mnemonic, or as `TYPEnnn` (RFC 3597 section 5).
pub fn record_type(text: &str) -> RecordType {
    let number = text.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok());
    number.map_or_else(|| text.parse().unwrap(), RecordType::from)
}

fn class(text: &str) -> DNSClass {
    let number = text.strip_prefix("CLASS").and_then(|number| number.parse::<u16>().ok());
    number.map_or_else(|| text.parse().unwrap(), DNSClass::from)
}

pub fn question_message(name: &str, rtype: &str, udp_size: Option<u16>) -> Vec<u8> {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(absolute(name), record_type(rtype)));
    if let Some(size) = udp_size {
        let mut edns = Edns::new();
        edns.set_max_payload(size);
        message.set_edns(edns);
    }
    message.to_vec().unwrap()
}

/// The lines of a script, which newlines or semicolons part.
pub fn lines(script: &str) -> impl Iterator<Item = &str> {
    script.split(['\n', ';']).map(str::trim).filter(|line| !line.is_empty())
}

/// An UPDATE. A line is one of
///
/// - `add NAME TTL TYPE DATA`, `delete NAME [TYPE [DATA]]`
/// - `prereq nxdomain|yxdomain NAME`, `prereq nxrrset NAME TYPE`, `prereq yxrrset NAME TYPE [DATA]`
/// - `[prereq] record NAME TTL CLASS TYPE [DATA]`: any record at all
/// - `zone NAME [CLASS [TYPE]]`: the zone section, which is the zone's SOA if no line says otherwise; `zone none` empties it
pub fn update_message(script: &str, lease: Option<&[u8]>) -> Message {
    let mut message = Message::new(0x4321, MessageType::Query, OpCode::Update);
    let (zones, records): (Vec<_>, Vec<_>) = lines(script).partition(|line| line.starts_with("zone "));
    let zones = if zones.is_empty() { vec!["zone @"] } else { zones };
    message.add_queries(zones.into_iter().filter(|zone| *zone != "zone none").map(zone_record));
    for line in records {
        match line.strip_prefix("prereq ") {
            Some(prerequisite) => _ = message.add_answer(prerequisite_record(prerequisite)),
            None => _ = message.add_authority(update_record(line)),
        }
    }
    if let Some(lease) = lease {
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(2, lease.to_vec()));
        message.set_edns(edns);
    }
    message
}

fn zone_record(line: &str) -> Query {
    let words: Vec<&str> = line.split_whitespace().collect();
    let rtype = words.get(3).map_or(RecordType::SOA, |text| record_type(text));
    let mut zone = Query::query(absolute(words[1]), rtype);
    zone.set_query_class(words.get(2).map_or(DNSClass::IN, |text| class(text)));
    zone
}

fn prerequisite_record(line: &str) -> Record {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["nxdomain", name] => bare(name, DNSClass::NONE, RecordType::ANY),
        ["yxdomain", name] => bare(name, DNSClass::ANY, RecordType::ANY),
        ["nxrrset", name, rtype] => bare(name, DNSClass::NONE, record_type(rtype)),
        ["yxrrset", name, rtype] => bare(name, DNSClass::ANY, record_type(rtype)),
        ["yxrrset", name, rtype, ..] => Record::from_rdata(absolute(name), 0, rdata(rtype, &words[3..])),
        _ => any_record(&words),
    }
}

fn update_record(line: &str) -> Record {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["add", name, ttl, rtype, ..] => {
            Record::from_rdata(absolute(name), ttl.parse().unwrap(), rdata(rtype, &words[4..]))
        }
        ["delete", name] => bare(name, DNSClass::ANY, RecordType::ANY),
        ["delete", name, rtype] => bare(name, DNSClass::ANY, record_type(rtype)),
        ["delete", name, rtype, ..] => {
            let mut record = Record::from_rdata(absolute(name), 0, rdata(rtype, &words[3..]));
            record.dns_class = DNSClass::NONE;
            record
        }
        _ => any_record(&words),
    }
}

fn any_record(words: &[&str]) -> Record {
    let ["record", name, ttl, dns_class, rtype, data @ ..] = words else {
        panic!("no such line: {}", words.join(" "))
    };
    let mut record = match data {
        [] => Record::update0(absolute(name), 0, record_type(rtype)),
        data => Record::from_rdata(absolute(name), 0, rdata(rtype, data)),
    };
    (record.ttl, record.dns_class) = (ttl.parse().unwrap(), class(dns_class));
    record
}

/// A record without rdata.
fn bare(name: &str, dns_class: DNSClass, rtype: RecordType) -> Record {
    let mut record = Record::update0(absolute(name), 0, rtype);
    record.dns_class = dns_class;
    record
}

/// Rdata in its type's own form, or as `\# LENGTH HEX` (RFC 3597 section 5). Names in it are relative to the zone unless they
/// end in a dot.
pub fn rdata(rtype: &str, words: &[&str]) -> RData {
    let code = record_type(rtype);
    if let ["\\#", _, hex @ ..] = words {
        let hex = hex.concat();
        let octets = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        let mut data = NULL::new();
        data.anything = octets.collect();
        return RData::Unknown { code, rdata: data };
    }
    let names = match rtype {
        "CNAME" | "NS" | "PTR" => 0..1,
        "MX" => 1..2,
        "SRV" => 3..4,
        "SOA" => 0..2,
        _ => 0..0,
    };
    let word = |(at, word): (usize, &&str)| match names.contains(&at) {
        true => absolute(word).to_string(),
        false => (*word).to_owned(),
    };
    let text = words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ");
    RData::try_from_str(code, &text).unwrap()
}

/// Rdata as tests write it, but with whole names.
pub fn text(data: &RData) -> String {
    match data {
        RData::TXT(txt) => {
            let strings = txt.txt_data.iter().map(|string| String::from_utf8_lossy(string));
            strings.collect::<Vec<_>>().join(" ")
        }
        RData::Unknown { rdata, .. } => {
            let hex: String = rdata.anything.iter().map(|octet| format!("{octet:02X}")).collect();
            format!("\\# {} {hex}", rdata.anything.len())
        }
        data => data.to_string(),
    }
}
