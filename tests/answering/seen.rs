//! An answer in a form that can be compared: names in lower case, records as text, sections as sorted lists.

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, Record};
use hickory_proto::serialize::binary::BinDecodable;

use super::zones::{NEGATIVE_TTL_S, Rr, UNKNOWN, text};

/// A reply, or what one should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub rcode: u16,
    pub is_authoritative: bool,
    pub is_truncated: bool,
    pub answer: Vec<String>,
    pub authority: Vec<String>,
    pub additional: Vec<String>,
}

impl Seen {
    /// A reply as sent.
    pub fn read(octets: &[u8]) -> Self {
        let message = Message::from_vec(octets).expect("a reply that can be read");
        Seen {
            rcode: message.metadata.response_code.into(),
            is_authoritative: message.metadata.authoritative,
            is_truncated: message.metadata.truncation,
            answer: lines(&message.answers),
            authority: lines(&message.authorities),
            additional: lines(&message.additionals),
        }
    }
}

impl Seen {
    /// Whether a line of the additional section is an address without which a referral leads nowhere: of a server that is at or
    /// below the cut (RFC 9471 section 3.1).
    pub fn is_glue(&self, line: &str) -> bool {
        let owner = line.split(' ').next().unwrap_or_default();
        let names = |line: &String| match line.split(' ').collect::<Vec<_>>()[..] {
            [cut, _, "NS", server] => {
                server == owner && (server == cut || server.ends_with(&format!(".{cut}")))
            }
            _ => false,
        };
        self.authority.iter().any(names)
    }
}

/// A record of a zone as an answer has it, at the name that was asked for.
pub fn line(owner: &[&str], rr: &Rr) -> String {
    line_with_ttl(owner, rr, rr.ttl_s)
}

/// The SOA as negative answers have it (RFC 2308 section 3).
pub fn negative_line(owner: &[&str], soa: &Rr) -> String {
    line_with_ttl(owner, soa, soa.ttl_s.min(NEGATIVE_TTL_S))
}

pub fn line_with_ttl(owner: &[&str], rr: &Rr, ttl_s: u32) -> String {
    format!("{} {ttl_s} {}", text(owner), rr.data)
}

fn lines(records: &[Record]) -> Vec<String> {
    let mut lines: Vec<String> = records
        .iter()
        .map(|record| {
            let owner = record.name.to_string().to_lowercase();
            format!("{owner} {} {}", record.ttl, data_text(&record.data))
        })
        .collect();
    lines.sort();
    lines
}

/// Rdata as [`super::zones::Data`] spells it.
fn data_text(data: &RData) -> String {
    match data {
        RData::Unknown { code, rdata } if u16::from(*code) == 39 => {
            let target = Name::from_bytes(&rdata.anything).expect("a DNAME's target is a name");
            format!("DNAME {}", target.to_string().to_lowercase())
        }
        RData::Unknown { rdata, .. } => {
            let hex: String = rdata.anything.iter().map(|octet| format!("{octet:02X}")).collect();
            format!("TYPE{UNKNOWN} \\# {} {hex}", rdata.anything.len())
        }
        data => format!("{} {}", data.record_type(), data.to_string().to_lowercase().replace('"', "").trim()),
    }
}
