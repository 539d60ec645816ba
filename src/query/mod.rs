//! The question path: a question's octets and the published zones in, an answer's octets out.
//!
//! Two stages, so that a batch can be read whole before any of it is answered: [`read`] parses and hashes, [`answer`]
//! probes the index, judges the view's leases and copies pre-encoded records behind the question. Neither allocates, takes
//! a lock or writes anything that another worker reads.
//!
//! The stages of an answer follow RFC 1034 section 4.3.2: the zone, the name, the type, then what is missing.

mod pool;
mod scratch;
mod writer;

use crate::wire::{Class, OptRecord, Question, Rcode, Reading, Reply, Rtype, UDP_PAYLOAD_MAX};
use crate::zone::ZoneSet;

pub use scratch::Scratch;
use writer::Writer;

/// How a message came, which decides how large its reply may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One datagram: at most the client's size, 512 without EDNS, and never over [`UDP_PAYLOAD_MAX`].
    Udp,
    /// A length-prefixed message (RFC 7766): at most 65,535 octets.
    Tcp,
}

/// What kind of answer it was, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Records.
    Positive,
    /// The name exists, the type does not.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// Records, but not all of them: ask over TCP.
    Truncated,
    /// Not our zone, not our class, or not for the asker.
    Refused,
    /// The question made no sense.
    FormErr,
    /// Not implemented.
    NotImp,
    /// An EDNS version that we do not speak.
    BadVers,
    /// Something failed here.
    ServFail,
}

impl Answered {
    /// All of them, in counter order.
    pub const ALL: [Answered; 9] = [
        Answered::Positive,
        Answered::NoData,
        Answered::NxDomain,
        Answered::Truncated,
        Answered::Refused,
        Answered::FormErr,
        Answered::NotImp,
        Answered::BadVers,
        Answered::ServFail,
    ];

    /// As the counters spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Answered::Positive => "positive",
            Answered::NoData => "nodata",
            Answered::NxDomain => "nxdomain",
            Answered::Truncated => "truncated",
            Answered::Refused => "refused",
            Answered::FormErr => "formerr",
            Answered::NotImp => "notimp",
            Answered::BadVers => "badvers",
            Answered::ServFail => "servfail",
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A reply of so many octets was written.
    Reply(usize, Answered),
    /// The registrar's work.
    Registrar,
    /// No reply.
    Silence,
}

/// First stage: reads a message into `question`.
pub fn read(zones: &ZoneSet, message: &[u8], question: &mut Question) -> Reading {
    question.read(message, zones.hasher())
}

/// What an answer depends on besides the question.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The zones as published now.
    pub zones: &'a ZoneSet,
    /// How the question came.
    pub transport: Transport,
    /// The monotonic clock's time, milliseconds.
    pub now_ms: u64,
    /// Octets of the reply's size that are kept for a TSIG; 0 for a question without one.
    pub reserved: usize,
}

/// Second stage: answers what [`read`] found, into `out`.
pub fn answer(
    context: &Context<'_>,
    question: &Question,
    reading: Reading,
    message: &[u8],
    scratch: &mut Scratch,
    out: &mut [u8],
) -> Outcome {
    match reading {
        Reading::Silence => Outcome::Silence,
        Reading::Registrar => Outcome::Registrar,
        Reading::Reply(rcode) => bare(question, rcode, out),
        Reading::Question => match answer_question(context, question, message, scratch, out) {
            Some((len, answered)) => Outcome::Reply(len, answered),
            // Not even the question fits: no client sends such a size, no reply of ours has it.
            None => Outcome::Silence,
        },
    }
}

/// A reply without sections, but with an OPT if the message had one.
fn bare(question: &Question, rcode: Rcode, out: &mut [u8]) -> Outcome {
    let answered = if rcode == Rcode::NOTIMP { Answered::NotImp } else { Answered::FormErr };
    let limit = out.len();
    let Some(mut reply) = Reply::new(out, limit) else { return Outcome::Silence };
    let opt = question.edns.as_ref().is_some_and(|edns| OptRecord::put_plain(&mut reply, 0, edns.dnssec_ok));
    Outcome::Reply(reply.finish(&question.header, 0, rcode, [0, 0, 0, u16::from(opt)]), answered)
}

fn answer_question(
    context: &Context<'_>,
    question: &Question,
    message: &[u8],
    scratch: &mut Scratch,
    out: &mut [u8],
) -> Option<(usize, Answered)> {
    let size = match (context.transport, &question.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, Some(edns)) => usize::from(edns.udp_size.min(UDP_PAYLOAD_MAX)),
        (Transport::Udp, None) => 512,
    };
    let size = size.checked_sub(context.reserved)?;
    let mut reply = Reply::new(out, size)?;
    if !reply.put(question.as_sent(message)) {
        return None;
    }
    // The OPT's place is kept free; an answer may fill everything else.
    if question.edns.is_some() {
        reply.set_limit(size.checked_sub(OptRecord::PLAIN_LEN)?);
    }
    let refusal = refusal(question);
    let mut writer = Writer::new(context, scratch, reply);
    let (answered, flags) = match (refusal, context.zones.find(&question.name)) {
        (Some(answered), _) => (answered, 0),
        (None, None) => (Answered::Refused, 0),
        (None, Some(zone)) => writer.answer(zone, question),
    };
    let (mut reply, mut counts) = writer.done();
    if let Some(edns) = &question.edns {
        reply.set_limit(size);
        let extended_rcode = if answered == Answered::BadVers { OptRecord::BADVERS } else { 0 };
        counts[3] += u16::from(OptRecord::put_plain(&mut reply, extended_rcode, edns.dnssec_ok));
    }
    Some((reply.finish(&question.header, flags, rcode(answered), counts), answered))
}

/// What is refused before any zone is looked at, cheapest first.
fn refusal(question: &Question) -> Option<Answered> {
    if question.edns.as_ref().is_some_and(|edns| edns.version != 0) {
        return Some(Answered::BadVers);
    }
    match question.qclass {
        Class::IN => {}
        // NONE is no class to ask for (RFC 2136 section 2.4 gives it meaning in an UPDATE alone).
        Class::NONE => return Some(Answered::FormErr),
        _ => return Some(Answered::Refused),
    }
    match question.qtype {
        // These live in a message's additional section and are in no zone (RFC 6895 section 3.1).
        Rtype::OPT | Rtype::TSIG | Rtype::TKEY => Some(Answered::FormErr),
        Rtype::AXFR | Rtype::IXFR => Some(Answered::Refused),
        Rtype::MAILA | Rtype::MAILB => Some(Answered::NotImp),
        _ => None,
    }
}

fn rcode(answered: Answered) -> Rcode {
    match answered {
        // BADVERS is 16: the OPT has its upper bits, the header its lower, which are 0.
        Answered::Positive | Answered::NoData | Answered::Truncated | Answered::BadVers => Rcode::NOERROR,
        Answered::NxDomain => Rcode::NXDOMAIN,
        Answered::Refused => Rcode::REFUSED,
        Answered::FormErr => Rcode::FORMERR,
        Answered::NotImp => Rcode::NOTIMP,
        Answered::ServFail => Rcode::SERVFAIL,
    }
}
