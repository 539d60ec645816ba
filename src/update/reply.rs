//! The response to what the registrar handled, built when it is known whether the change was committed.

use super::left::Left;
use super::plan::Plan;
use super::{Refusal, Request};
use crate::membership::{KEY_LEASE_MS_MAX, Signed};
use crate::query::Transport;
use crate::wire::tsig::{Signer, TsigFailure};
use crate::wire::{
    Edns, FLAG_TC, HEADER_LEN, Header, LeaseOption, OptRecord, Rcode, Reply, Rtype, UDP_PAYLOAD_MAX,
    name_in_message, read_record,
};

/// What a response will say.
pub struct ReplyPlan {
    pub(super) header: Header,
    /// The question or zone section as sent; RFC 2136 section 3.8 lets a response repeat it, and TSIG errors need it.
    section: Vec<u8>,
    /// Octets that the client takes.
    size: usize,
    pub(super) rcode: Rcode,
    /// The request's OPT record, if it could be read.
    pub(super) edns: Option<Edns>,
    /// The OPT record, if the request had one.
    pub(super) opt: Option<OptRecord<'static>>,
    pub(super) tsig: Signature,
    /// A reply that is finished but for its TSIG: the answer to a signed question.
    pub(super) answer: Option<Vec<u8>>,
    /// Whether the answer to a signed question had no room.
    pub(super) is_truncated: bool,
}

/// How the response is signed.
pub(super) enum Signature {
    /// The request was not.
    None,
    /// As the request was.
    Signer(Box<Signer>),
    /// The request's TSIG failed; the response says how.
    Failure(Box<TsigFailure>),
}

impl Signature {
    /// Octets that it adds.
    pub(super) fn len(&self) -> usize {
        match self {
            Signature::None => 0,
            Signature::Signer(signer) => signer.tsig_len(),
            Signature::Failure(failure) => failure.tsig_len(),
        }
    }
}

impl ReplyPlan {
    /// A plan that says NOERROR, with as much of the request as can be read.
    pub(super) fn new(header: Header, request: &Request<'_>) -> Self {
        let message = request.message;
        // A name that is compressed has nothing before it to point to, and is not repeated.
        let name = if header.counts[0] == 1 { name_in_message(message, HEADER_LEN).ok() } else { None };
        let whole = name.filter(|(name, end)| HEADER_LEN + name.len() == *end);
        let section = whole.and_then(|(_, end)| message.get(HEADER_LEN..end + 4)).unwrap_or_default();
        let edns = find_edns(message, &header, HEADER_LEN + section.len());
        let size = size_for(request.transport, edns.as_ref());
        ReplyPlan {
            header,
            section: section.to_vec(),
            size,
            rcode: Rcode::NOERROR,
            opt: edns.as_ref().map(|edns| OptRecord { dnssec_ok: edns.dnssec_ok, ..OptRecord::default() }),
            edns,
            tsig: Signature::None,
            answer: None,
            is_truncated: false,
        }
    }

    /// Says why nothing was done; in words too if the request had an OPT.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.rcode = refusal.rcode();
        if let Some(opt) = &mut self.opt {
            opt.error = Some(refusal.extended_error());
            match &refusal {
                Refusal::EdnsVersion { .. } => opt.extended_rcode = OptRecord::BADVERS,
                // Whoever sends cookies gets one here, and comes again with it (RFC 7873 section 5.2.3).
                Refusal::Grant(grant) if grant.asks_for_proof() && opt.cookie.is_some() => {
                    opt.extended_rcode = OptRecord::BADCOOKIE;
                    self.rcode = OptRecord::BADCOOKIE_RCODE;
                }
                _ => {}
            }
        }
        if let Refusal::Tsig(failure) = refusal {
            self.tsig = Signature::Failure(failure);
        }
    }

    /// Returns a granted lease (RFC 9664 section 5), always, and in the size that was asked for: what is left of what the
    /// message is about, 0 where nothing stays. What is permanent is granted what was asked for: it stays that long too.
    pub(super) fn grant(&mut self, asked: LeaseOption, plan: &Plan) {
        if let Some(opt) = &mut self.opt {
            opt.lease = Some(granted(asked, plan.left));
        }
    }

    /// Who signed the request, if somebody did.
    pub(super) fn signer(&self) -> Option<&Signer> {
        match &self.tsig {
            Signature::Signer(signer) => Some(signer),
            Signature::None | Signature::Failure(_) => None,
        }
    }

    /// When the request was signed, and by what MAC it is known again.
    pub(super) fn signed(&self) -> Option<Signed> {
        self.signer().map(signed_by)
    }

    /// Whether it answers a question, and so waits for no commit: it is true now, and less so later.
    pub fn is_answer(&self) -> bool {
        self.answer.is_some()
    }

    /// The response. `committed` is false if a change could not be stored: then it was taken back, and the response is
    /// SERVFAIL, so that nobody believes in it.
    pub fn finish(&self, committed: bool, wall_s: u64) -> Vec<u8> {
        let mut octets = match (&self.answer, committed) {
            (Some(answer), true) => answer.clone(),
            _ => self.build(committed),
        };
        match &self.tsig {
            Signature::None => {}
            Signature::Signer(signer) => signer.sign(&mut octets, wall_s),
            // An unknown key's name may alone be too long for the client's size: then the RCODE has to do.
            Signature::Failure(failure) if octets.len() + failure.tsig_len() > self.size => {}
            Signature::Failure(failure) => failure.append(&mut octets, wall_s),
        }
        octets
    }

    fn build(&self, committed: bool) -> Vec<u8> {
        // Words give way before the record does.
        let plain = self.opt.as_ref().map(|opt| OptRecord { lease: None, error: None, ..opt.clone() });
        let opt = if committed { self.opt.as_ref() } else { plain.as_ref() };
        let rcode = if committed { self.rcode } else { Rcode::SERVFAIL };
        let flags = if self.is_truncated { FLAG_TC } else { 0 };
        let size = self.size.saturating_sub(self.tsig.len()).max(HEADER_LEN);
        let body = Body { header: &self.header, section: &self.section, size };
        let mut buffer = [0; BODY_MAX];
        let len = body.put(&mut buffer, opt, plain.as_ref(), flags, rcode);
        buffer.get(..len).unwrap_or_default().to_vec()
    }
}

/// Octets of a response without its TSIG at most: header, a section of at most 259, an OPT of under 300.
pub(super) const BODY_MAX: usize = 1024;

/// What a response says before its OPT, and how long it may be.
pub(super) struct Body<'a> {
    pub header: &'a Header,
    pub section: &'a [u8],
    /// Without the TSIG.
    pub size: usize,
}

impl Body<'_> {
    /// Writes a response with `opt`, or with `plain` if that does not fit. How long it is.
    pub fn put(
        &self,
        buffer: &mut [u8],
        opt: Option<&OptRecord<'_>>,
        plain: Option<&OptRecord<'_>>,
        flags: u16,
        rcode: Rcode,
    ) -> usize {
        let Some(mut reply) = Reply::new(buffer, self.size) else { return 0 };
        let mut counts = [0; 4];
        if !self.section.is_empty() {
            counts[0] = u16::from(reply.put(self.section));
        }
        let is_put =
            opt.is_some_and(|opt| opt.put(&mut reply)) || plain.is_some_and(|opt| opt.put(&mut reply));
        counts[3] = u16::from(is_put);
        reply.finish(self.header, flags, rcode, counts)
    }
}

/// Octets that a client takes.
pub(super) fn size_for(transport: Transport, edns: Option<&Edns>) -> usize {
    match (transport, edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, Some(edns)) => usize::from(edns.udp_size.min(UDP_PAYLOAD_MAX)),
        (Transport::Udp, None) => 512,
    }
}

/// The lease that is granted where one was asked for, when what the message is about stays for so long.
pub(super) fn granted(asked: LeaseOption, left: Left) -> LeaseOption {
    let lease_s = match left {
        Left::Nothing | Left::Ms(0) => 0,
        Left::Permanent => asked.lease_s,
        Left::Ms(left_ms) => u32::try_from((left_ms / 1000).max(1)).unwrap_or(u32::MAX),
    };
    LeaseOption {
        lease_s,
        key_lease_s: asked.key_lease_s.map(|seconds| seconds.min(KEY_LEASE_MS_MAX / 1000)),
    }
}

/// When a request was signed, and by what MAC it is known again.
pub(super) fn signed_by(signer: &Signer) -> Signed {
    let mac = signer.request_mac().first_chunk().map_or(0, |octets| u64::from_be_bytes(*octets));
    Signed::new(signer.time_signed_s(), signer.fudge_s(), mac)
}

/// The message's OPT record, if the records up to it can be read: a refusal of anything else is told in words then.
fn find_edns(message: &[u8], header: &Header, mut at: usize) -> Option<Edns> {
    let [_, prerequisites, updates, additionals] = header.counts.map(u32::from);
    for number in 0..prerequisites + updates + additionals {
        let record = read_record(message, at).ok()?;
        if number >= prerequisites + updates && record.rtype == Rtype::OPT {
            return Edns::read(message, &record).ok();
        }
        at = record.end();
    }
    None
}
