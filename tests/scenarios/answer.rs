//! An answer, and what of it a test asks for.

use std::collections::BTreeSet;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Record, RecordType};

use super::{ZONE, text};

/// An answer, as sent and as read.
pub struct Answer {
    pub octets: Vec<u8>,
    pub message: Message,
}

impl Answer {
    pub fn rcode(&self) -> ResponseCode {
        self.message.metadata.response_code
    }

    /// Rdata of the answer section in presentation form, in the order sent.
    pub fn data(&self) -> Vec<String> {
        self.message.answers.iter().map(|record: &Record| text(&record.data)).collect()
    }

    /// The same, sorted.
    pub fn sorted(&self) -> Vec<String> {
        let mut data = self.data();
        data.sort();
        data
    }

    /// The one TTL of the answer's RRset.
    pub fn ttl_s(&self) -> u32 {
        let ttls: BTreeSet<_> = self.message.answers.iter().map(|record| record.ttl).collect();
        assert_eq!(ttls.len(), 1, "one TTL an RRset: {ttls:?}");
        *ttls.first().unwrap()
    }

    /// The TTLs of the additional section's records but for OPT, each once, ascending.
    pub fn additional_ttls_s(&self) -> Vec<u32> {
        let ttls: BTreeSet<_> = self.message.additionals.iter().map(|record| record.ttl).collect();
        ttls.into_iter().collect()
    }

    /// Its extended error (RFC 8914): info code and text.
    pub fn extended_error(&self) -> Option<(u16, String)> {
        let option = self.message.edns.as_ref()?.option(15.into())?;
        let EdnsOption::Unknown(_, data) = option else { panic!("{option:?}") };
        let text = String::from_utf8(data[2..].to_vec()).expect("UTF-8");
        Some((u16::from_be_bytes([data[0], data[1]]), text))
    }

    pub fn is_nodata(&self) -> bool {
        self.rcode() == ResponseCode::NoError && self.message.answers.is_empty() && self.soa_is_there()
    }

    pub fn is_nxdomain(&self) -> bool {
        self.rcode() == ResponseCode::NXDomain && self.soa_is_there()
    }

    fn soa_is_there(&self) -> bool {
        matches!(&self.message.authorities[..], [record] if record.record_type() == RecordType::SOA
            && record.name.to_string() == ZONE && record.ttl == 2)
    }
}
