//! The UPDATE that drains a member or takes a drain back, and what its reply says (RFC 2136).

use std::hash::{BuildHasher as _, RandomState};

use domain::base::iana::TsigRcode;
use domain::base::opt::ExtendedError;
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder};

use crate::cli::session::printable;
use crate::wire::tsig::{Key, ReplyFailure};
use crate::wire::{Class, Name, Opcode, Rcode, Rtype, UDP_PAYLOAD_MAX, name_text};

/// The label above a member's name at which its drain is.
const LABEL: &[u8] = b"_drain";

/// What an operator wants.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order<'a> {
    Drain {
        /// Seconds; `None` without end.
        for_s: Option<u32>,
        why: Option<&'a str>,
    },
    Undrain,
}

/// The rdata of the TXT record that says so; `None` if a string is too long.
fn rdata(for_s: Option<u32>, why: Option<&str>) -> Option<Vec<u8>> {
    let strings = [for_s.map(|for_s| format!("for={for_s}")), why.map(|why| format!("why={why}"))];
    let mut rdata = Vec::new();
    for string in strings.into_iter().flatten() {
        rdata.push(u8::try_from(string.len()).ok()?);
        rdata.extend_from_slice(string.as_bytes());
    }
    // Without strings it would be no TXT record (RFC 1035 section 3.3.14).
    Some(if rdata.is_empty() { vec![0] } else { rdata })
}

/// The name of a member's drain; `None` if it is too long.
pub(super) fn owner(member: &[u8], pool: &Name) -> Option<Name> {
    let len = u8::try_from(member.len()).ok()?;
    let wire = [&[LABEL.len() as u8], LABEL, &[len], member, pool.as_slice()].concat();
    Name::from_octets(wire.into()).ok()
}

/// The message, not signed yet. It has OPT, so that a refusal comes with its reason (RFC 8914).
pub(super) fn message(zone: &Name, owner: &Name, order: &Order<'_>) -> Option<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec();
    // The question section is the zone section of an UPDATE (RFC 2136 section 2), the authority section its updates.
    builder.header_mut().set_id(RandomState::new().hash_one(zone) as u16);
    builder.header_mut().set_opcode(Opcode::UPDATE);
    let mut builder = builder.question();
    builder.push((zone, Rtype::SOA)).ok()?;
    let mut builder = builder.authority();
    // Class ANY deletes an RRset (RFC 2136 section 2.5.2).
    let (class, rdata) = match *order {
        Order::Drain { for_s, why } => (Class::IN, rdata(for_s, why)?),
        Order::Undrain => (Class::ANY, Vec::new()),
    };
    builder.push((owner, class, 0_u32, UnknownRecordData::from_octets(Rtype::TXT, rdata).ok()?)).ok()?;
    let mut builder = builder.additional();
    builder
        .opt(|opt| {
            opt.set_udp_payload_size(UDP_PAYLOAD_MAX);
            Ok(())
        })
        .ok()?;
    Some(builder.finish())
}

/// What a server says to it.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub rcode: Rcode,
    /// The text of its Extended DNS Error, if it has one (RFC 8914).
    pub reason: Option<String>,
}

impl Reply {
    /// `None` if it is no message.
    pub fn read(octets: Vec<u8>) -> Option<Self> {
        let message = Message::from_octets(octets).ok()?;
        let opt = message.opt();
        let error = opt.as_ref().and_then(|opt| opt.opt().iter::<ExtendedError<&[u8]>>().next()?.ok());
        let text = error.as_ref().and_then(|error| error.text_slice());
        let reason = text.map(|text| printable(&String::from_utf8_lossy(text)));
        Some(Reply { rcode: message.header().rcode(), reason: reason.filter(|reason| !reason.is_empty()) })
    }
}

/// What to do about a signature that the server did not accept.
pub(super) fn signature_hint(failure: &ReplyFailure, key: &Key) -> String {
    let name = name_text(key.name().as_slice());
    let ReplyFailure::Told { error, .. } = failure else { return "its log says why".to_owned() };
    match *error {
        TsigRcode::BADKEY => {
            format!(
                "it has no key {name} for {}; add the [[key]] to rollcall.toml, and have it read again (SIGHUP)",
                key.algorithm()
            )
        }
        TsigRcode::BADSIG => {
            format!("its key {name} has another secret; give the file that its [[key]] is from")
        }
        TsigRcode::BADTIME => "set the clock of this machine, or the server's".to_owned(),
        _ => "its log says why".to_owned(),
    }
}
