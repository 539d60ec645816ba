//! The question path: a question's octets and the published zones in, an answer's octets out.
//!
//! Two stages, so that a batch can be read whole before any of it is answered: [`read`] parses and hashes, [`answer`]
//! probes the index, judges the view's leases and copies pre-encoded records behind the question. Neither allocates, takes
//! a lock or writes anything that another worker reads.
//!
//! The stages of an answer follow RFC 1034 section 4.3.2, and each has its file:
//!
//! ```text
//!  refusal     what no zone is asked about: EDNS versions, classes, types      here; chaos for class CH
//!  zone        the longest apex that the name lies in                          zone::ZoneSet
//!  find        the name, a wildcard, or what leads elsewhere from above it
//!  chain       an alias or a DNAME: on with the name that it leads to
//!  writer      its records, or the SOA of what is missing
//!  pool        the same of a pool, as its leases are now; all_down if nobody is fit; status for who looks into it
//!  browse      what is made for who looks for services
//!  referral    another server's name: which one's
//!  additional  addresses of the names in all of these
//!  opt         the OPT record
//! ```

mod additional;
mod ahead;
mod all_down;
mod browse;
mod chain;
mod chaos;
mod find;
mod last_resort;
mod met;
mod node;
mod opt;
mod pool;
mod referral;
mod scratch;
pub mod status;
mod writer;

use std::net::IpAddr;

use sdd::Guard;

use crate::security::Cookies;
use crate::wire::{
    COOKIE_LEN, Class, CookieOption, ExtendedError, FLAG_AA, OptRecord, Question, Rcode, Reading, Reply,
    Rtype, UDP_PAYLOAD_MAX,
};
use crate::zone::ZoneSet;

pub use ahead::look_ahead;
use last_resort::AllDown;
use opt::{ReplyOpt, cookie};
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
    /// The name is another server's, and this is which.
    Referral,
    /// A DNAME makes a name of it that is too long.
    YxDomain,
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
    /// No question, but for a server cookie (RFC 7873 section 5.4).
    Cookie,
    /// Something failed here.
    ServFail,
    /// Nobody is fit: all whose lease runs.
    AllDownAll,
    /// Nobody is fit: who was good last.
    AllDownLastGood,
    /// Nobody is fit: another pool's records.
    AllDownFallback,
    /// Nobody is fit, and nothing is to be said.
    AllDownNoData,
    /// Nobody is fit, and that is a failure.
    AllDownServFail,
}

impl Answered {
    /// All of them, in counter order.
    pub const ALL: [Answered; 17] = [
        Answered::Positive,
        Answered::NoData,
        Answered::NxDomain,
        Answered::Referral,
        Answered::YxDomain,
        Answered::Truncated,
        Answered::Refused,
        Answered::FormErr,
        Answered::NotImp,
        Answered::BadVers,
        Answered::Cookie,
        Answered::ServFail,
        Answered::AllDownAll,
        Answered::AllDownLastGood,
        Answered::AllDownFallback,
        Answered::AllDownNoData,
        Answered::AllDownServFail,
    ];

    /// As the counters spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Answered::Positive => "positive",
            Answered::NoData => "nodata",
            Answered::NxDomain => "nxdomain",
            Answered::Referral => "referral",
            Answered::YxDomain => "yxdomain",
            Answered::Truncated => "truncated",
            Answered::Refused => "refused",
            Answered::FormErr => "formerr",
            Answered::NotImp => "notimp",
            Answered::BadVers => "badvers",
            Answered::Cookie => "cookie",
            Answered::ServFail => "servfail",
            Answered::AllDownAll => "all_down_all",
            Answered::AllDownLastGood => "all_down_last_good",
            Answered::AllDownFallback => "all_down_fallback",
            Answered::AllDownNoData => "all_down_nodata",
            Answered::AllDownServFail => "all_down_servfail",
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
    /// Whose question it is. Filled in for one whose answer may depend on it ([`Question::depends_on_client`]).
    pub client: Option<IpAddr>,
    /// What the reply's cookie is made from. Filled in for a message that has one ([`Question::has_cookie`]), so that the
    /// others need neither their client's address nor the wall clock; without it a reply has none.
    pub cookie: Option<CookieTerms<'a>>,
    /// How long the client's connection may be idle from now on, in units of 100 ms, for a client that asks
    /// ([`Question::wants_keepalive`]). `None` over UDP, where the option means nothing (RFC 7828 section 3.2.2).
    pub keepalive: Option<u16>,
}

/// What a server cookie is made from besides the client's.
#[derive(Clone, Copy)]
pub struct CookieTerms<'a> {
    /// The server's secret.
    pub cookies: &'a Cookies,
    /// The client's address.
    pub client: IpAddr,
    /// The wall clock's time, seconds since 1970 modulo 2^32.
    pub now_s: u32,
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
        Reading::Reply(rcode) => bare(context, question, rcode, message, out),
        Reading::Cookie => answer_cookie(context, question, message, out),
        Reading::Question => match answer_question(context, question, message, scratch, out) {
            Some((len, answered)) => Outcome::Reply(len, answered),
            // Not even the question fits: no client sends such a size, no reply of ours has it.
            None => Outcome::Silence,
        },
    }
}

/// A reply without sections, but with an OPT if the message had one.
fn bare(context: &Context<'_>, question: &Question, rcode: Rcode, message: &[u8], out: &mut [u8]) -> Outcome {
    let answered = if rcode == Rcode::NOTIMP { Answered::NotImp } else { Answered::FormErr };
    put_bare(context, question, message, (answered, rcode, 0), out)
}

/// The reply to a message that is about the cookie alone: NOERROR with one that is good, or BADCOOKIE if the client thought
/// it had one (RFC 7873 section 5.4).
fn answer_cookie(context: &Context<'_>, question: &Question, message: &[u8], out: &mut [u8]) -> Outcome {
    let Some((terms, cookie)) = cookie(context, question, message) else {
        return bare(context, question, Rcode::FORMERR, message, out);
    };
    let is_good = cookie.server.is_none() || terms.cookies.check(&cookie, terms.client, terms.now_s);
    let (rcode, extended_rcode) =
        if is_good { (Rcode::NOERROR, 0) } else { (OptRecord::BADCOOKIE_RCODE, OptRecord::BADCOOKIE) };
    put_bare(context, question, message, (Answered::Cookie, rcode, extended_rcode), out)
}

fn put_bare(
    context: &Context<'_>,
    question: &Question,
    message: &[u8],
    (answered, rcode, extended_rcode): (Answered, Rcode, u8),
    out: &mut [u8],
) -> Outcome {
    let limit = out.len();
    let Some(mut reply) = Reply::new(out, limit) else { return Outcome::Silence };
    let opt = ReplyOpt::of(context, question, message);
    let has_opt = opt.is_some_and(|opt| opt.put(&mut reply, extended_rcode, None));
    Outcome::Reply(reply.finish(&question.header, 0, rcode, [0, 0, 0, u16::from(has_opt)]), answered)
}

impl CookieTerms<'_> {
    fn answer(&self, cookie: &CookieOption<'_>) -> [u8; COOKIE_LEN] {
        self.cookies.answer(cookie, self.client, self.now_s)
    }
}

/// What a client that speaks EDNS is told of an answer that lives by leases which are over.
const HELD: &str = "most of the zone's members are silent: their leases are held";

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
    let opt = ReplyOpt::of(context, question, message);
    if let Some(opt) = &opt {
        reply.set_limit(size.checked_sub(opt.len())?);
    }
    let guard = Guard::new();
    let mut error = None;
    let mut writer = Writer::new(context, &guard, scratch, reply);
    if question.qtype == Rtype::TXT {
        writer.asked_for = question.edns.as_ref().and_then(|edns| edns.client_subnet(message));
    }
    let (answered, flags) = match refusal(question) {
        Some((answered, code)) => {
            error = code.map(|code| (code, ""));
            (answered, 0)
        }
        None if question.qclass == Class::CH => writer.answer_chaos(question),
        None => match writer.zone_of(&question.name, question.qtype) {
            Some(zone) => {
                let (answered, flags) = writer.answer(zone, question);
                // What a zone of ours refuses is not for this client.
                let is_refused = answered == Answered::Refused;
                error = is_refused.then_some((ExtendedError::PROHIBITED, ""));
                (answered, flags)
            }
            None => (Answered::Refused, 0),
        },
    };
    if answered == Answered::Refused {
        error = error.or(Some((ExtendedError::NOT_AUTHORITATIVE, "")));
    }
    let held = writer.is_held.then_some((ExtendedError::STALE, HELD));
    let lost = writer.is_lost.then(|| AllDown::LastGood.error());
    let error = error.or(writer.all_down.map(AllDown::error)).or(held).or(lost);
    let (mut reply, mut counts) = writer.done();
    if let Some(opt) = opt {
        reply.set_limit(size);
        let extended_rcode = if answered == Answered::BadVers { OptRecord::BADVERS } else { 0 };
        counts[3] += u16::from(opt.put(&mut reply, extended_rcode, error));
    }
    Some((reply.finish(&question.header, flags, rcode(answered), counts), answered))
}

impl Writer<'_, '_> {
    /// Answers a question of class CH.
    fn answer_chaos(&mut self, question: &Question) -> (Answered, u16) {
        if !chaos::put_answer(self.zones.identity(), question, &mut self.reply) {
            return (Answered::Refused, 0);
        }
        self.count(1);
        (Answered::Positive, FLAG_AA)
    }
}

/// What is refused before any zone is looked at, cheapest first, and the info code that says more (RFC 8914).
fn refusal(question: &Question) -> Option<(Answered, Option<u16>)> {
    if question.edns.as_ref().is_some_and(|edns| edns.version != 0) {
        return Some((Answered::BadVers, None));
    }
    match question.qclass {
        Class::IN | Class::CH => {}
        // NONE is no class to ask for (RFC 2136 section 2.4 gives it meaning in an UPDATE alone).
        Class::NONE => return Some((Answered::FormErr, None)),
        _ => return Some((Answered::Refused, Some(ExtendedError::NOT_AUTHORITATIVE))),
    }
    match question.qtype {
        // These live in a message's additional section and are in no zone (RFC 6895 section 3.1).
        Rtype::OPT | Rtype::TSIG | Rtype::TKEY => Some((Answered::FormErr, None)),
        Rtype::AXFR | Rtype::IXFR => Some((Answered::Refused, Some(ExtendedError::NOT_SUPPORTED))),
        Rtype::MAILA | Rtype::MAILB => Some((Answered::NotImp, None)),
        _ => None,
    }
}

fn rcode(answered: Answered) -> Rcode {
    match answered {
        // BADVERS is 16: the OPT has its upper bits, the header its lower, which are 0.
        Answered::Positive
        | Answered::NoData
        | Answered::Referral
        | Answered::Truncated
        | Answered::AllDownAll
        | Answered::AllDownLastGood
        | Answered::AllDownFallback
        | Answered::AllDownNoData
        | Answered::BadVers
        | Answered::Cookie => Rcode::NOERROR,
        Answered::NxDomain => Rcode::NXDOMAIN,
        Answered::YxDomain => Rcode::YXDOMAIN,
        Answered::Refused => Rcode::REFUSED,
        Answered::FormErr => Rcode::FORMERR,
        Answered::NotImp => Rcode::NOTIMP,
        Answered::ServFail | Answered::AllDownServFail => Rcode::SERVFAIL,
    }
}
