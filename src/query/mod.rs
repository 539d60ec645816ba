//! The question path: a question's octets and the published zones in, an answer's octets out.
//!
//! Two stages, so that a batch can be read whole before any of it is answered: [`read`] parses and hashes, [`answer`]
//! probes the index, judges the view's leases and copies pre-encoded records behind the question. Neither allocates, takes
//! a lock or writes anything that another worker reads.
//!
//! The stages of an answer follow RFC 1034 section 4.3.2: the zone, the name, the type, then what is missing. What is made and
//! not registered has files of its own: `browse` for who looks for services, `status` for who looks into a pool.

mod browse;
mod pool;
mod scratch;
mod status;
mod writer;

use std::net::IpAddr;

use crate::security::Cookies;
use crate::wire::{
    COOKIE_LEN, Class, CookieOption, Edns, ExtendedError, OptRecord, Question, Rcode, Reading, Reply, Rtype,
    UDP_PAYLOAD_MAX,
};
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
    /// No question, but for a server cookie (RFC 7873 section 5.4).
    Cookie,
    /// Something failed here.
    ServFail,
}

impl Answered {
    /// All of them, in counter order.
    pub const ALL: [Answered; 10] = [
        Answered::Positive,
        Answered::NoData,
        Answered::NxDomain,
        Answered::Truncated,
        Answered::Refused,
        Answered::FormErr,
        Answered::NotImp,
        Answered::BadVers,
        Answered::Cookie,
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
            Answered::Cookie => "cookie",
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
    let cookie = cookie(context, question, message).map(|(terms, cookie)| terms.answer(&cookie));
    put_bare(question, answered, rcode, 0, (cookie, context.keepalive), out)
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
    put_bare(
        question,
        Answered::Cookie,
        rcode,
        extended_rcode,
        (Some(terms.answer(&cookie)), context.keepalive),
        out,
    )
}

fn put_bare(
    question: &Question,
    answered: Answered,
    rcode: Rcode,
    extended_rcode: u8,
    options: Options,
    out: &mut [u8],
) -> Outcome {
    let limit = out.len();
    let Some(mut reply) = Reply::new(out, limit) else { return Outcome::Silence };
    let edns = question.edns.as_ref();
    let opt = edns.is_some_and(|edns| put_opt(&mut reply, edns, extended_rcode, options, None));
    Outcome::Reply(reply.finish(&question.header, 0, rcode, [0, 0, 0, u16::from(opt)]), answered)
}

/// The message's cookies, and what to make the reply's from; `None` for the many messages that have none.
fn cookie<'a, 'm>(
    context: &Context<'a>,
    question: &Question,
    message: &'m [u8],
) -> Option<(CookieTerms<'a>, CookieOption<'m>)> {
    let edns = question.edns.as_ref().filter(|edns| edns.has_cookie())?;
    Some((context.cookie?, edns.cookie(message).ok()??))
}

impl CookieTerms<'_> {
    fn answer(&self, cookie: &CookieOption<'_>) -> [u8; COOKIE_LEN] {
        self.cookies.answer(cookie, self.client, self.now_s)
    }
}

/// The cookie and the idle timeout of a reply's OPT.
type Options = (Option<[u8; COOKIE_LEN]>, Option<u16>);

fn put_opt(
    reply: &mut Reply<'_>,
    edns: &Edns,
    extended_rcode: u8,
    (cookie, keepalive): Options,
    error: Option<u16>,
) -> bool {
    let dnssec_ok = edns.dnssec_ok;
    if cookie.is_none() && keepalive.is_none() && error.is_none() {
        return OptRecord::put_plain(reply, extended_rcode, dnssec_ok);
    }
    let error = error.map(|code| ExtendedError { code, text: String::new() });
    OptRecord { extended_rcode, dnssec_ok, cookie, keepalive, error, ..OptRecord::default() }.put(reply)
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
    let cookie = cookie(context, question, message).map(|(terms, cookie)| terms.answer(&cookie));
    if question.edns.is_some() {
        let cookie_len = if cookie.is_some() { OptRecord::COOKIE_OPTION_LEN } else { 0 };
        let keepalive_len = if context.keepalive.is_some() { OptRecord::KEEPALIVE_OPTION_LEN } else { 0 };
        reply.set_limit(size.checked_sub(OptRecord::PLAIN_LEN + cookie_len + keepalive_len)?);
    }
    let refusal = refusal(question);
    let mut writer = Writer::new(context, scratch, reply);
    let mut error = None;
    let (answered, flags) = match (refusal, context.zones.find(&question.name)) {
        (Some(answered), _) => (answered, 0),
        (None, None) => (Answered::Refused, 0),
        (None, Some(zone)) => {
            let (answered, flags) = writer.answer(zone, question);
            // What a zone of ours refuses is not for this client.
            error = (answered == Answered::Refused).then_some(ExtendedError::PROHIBITED);
            (answered, flags)
        }
    };
    let (mut reply, mut counts) = writer.done();
    if let Some(edns) = &question.edns {
        reply.set_limit(size);
        let extended_rcode = if answered == Answered::BadVers { OptRecord::BADVERS } else { 0 };
        let options = (cookie, context.keepalive);
        counts[3] += u16::from(put_opt(&mut reply, edns, extended_rcode, options, error));
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
        Answered::Positive
        | Answered::NoData
        | Answered::Truncated
        | Answered::BadVers
        | Answered::Cookie => Rcode::NOERROR,
        Answered::NxDomain => Rcode::NXDOMAIN,
        Answered::Refused => Rcode::REFUSED,
        Answered::FormErr => Rcode::FORMERR,
        Answered::NotImp => Rcode::NOTIMP,
        Answered::ServFail => Rcode::SERVFAIL,
    }
}
