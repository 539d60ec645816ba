//! The response to what the registrar handled, built when it is known whether the change was committed.

use super::Refusal;
use crate::wire::tsig::{Signer, TsigFailure};
use crate::wire::{Header, LeaseOption, OptRecord, Rcode, Reply};

/// What a response will say.
pub struct ReplyPlan {
    pub(super) header: Header,
    /// The zone section as sent (RFC 2136 section 3.8 lets a response repeat it).
    pub(super) zone_section: Vec<u8>,
    pub(super) rcode: Rcode,
    /// The OPT record, if the request had one.
    pub(super) opt: Option<OptRecord>,
    pub(super) tsig: Signature,
    /// A reply that is finished but for its TSIG: the answer to a signed question.
    pub(super) answer: Option<Vec<u8>>,
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

impl ReplyPlan {
    /// A plan that says NOERROR.
    pub(super) fn new(header: Header) -> Self {
        ReplyPlan {
            header,
            zone_section: Vec::new(),
            rcode: Rcode::NOERROR,
            opt: None,
            tsig: Signature::None,
            answer: None,
        }
    }

    /// Says why nothing was done; in words too if the request had an OPT.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.rcode = refusal.rcode();
        if self.opt.is_some() {
            self.opt = Some(OptRecord { error: Some(refusal.extended_error()), ..OptRecord::default() });
        }
        if let Refusal::Tsig(failure) = refusal {
            self.tsig = Signature::Failure(failure);
        }
    }

    /// Returns a granted lease (RFC 9664 section 5), in the size that was asked for. The name is its owner's for the lease
    /// and no longer, so KEY-LEASE is the lease.
    pub(super) fn grant(&mut self, asked: LeaseOption, lease_s: u32) {
        let key_lease_s = asked.key_lease_s.map(|_| lease_s);
        let lease = Some(LeaseOption { lease_s, key_lease_s });
        self.opt = Some(OptRecord { lease, ..OptRecord::default() });
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
            Signature::Failure(failure) => failure.append(&mut octets, wall_s),
        }
        octets
    }

    fn build(&self, committed: bool) -> Vec<u8> {
        // Header, a zone section of at most 259 octets, an OPT of under 300.
        let mut buffer = [0; 1024];
        let limit = buffer.len();
        let Some(mut reply) = Reply::new(&mut buffer, limit) else { return Vec::new() };
        let mut counts = [0; 4];
        if !self.zone_section.is_empty() {
            counts[0] = u16::from(reply.put(&self.zone_section));
        }
        let plain = OptRecord::default();
        if let Some(opt) = &self.opt {
            counts[3] = u16::from(if committed { opt } else { &plain }.put(&mut reply));
        }
        let rcode = if committed { self.rcode } else { Rcode::SERVFAIL };
        let len = reply.finish(&self.header, 0, rcode, counts);
        buffer.get(..len).unwrap_or_default().to_vec()
    }
}
