//! Responses of several messages, such as a zone transfer's (RFC 8945 section 5.3.1).
//!
//! ```text
//!  request MAC --.
//!                '-> message 1, all TSIG variables -> MAC 1 --.
//!                                                             '-> message 2, timers -> MAC 2 --> ...
//! ```
//!
//! So no message can be left out, repeated or put elsewhere unnoticed. Each one is signed: the RFC asks servers for that
//! now, and lets only clients put up with up to 99 unsigned ones between.

use domain::base::iana::TsigRcode;

use super::super::HEADER_LEN;
use super::mac::Mac;
use super::record::{Variables, append, time_octets};
use super::{Key, Signer};

/// Signs the messages of one response, in the order in which they are sent.
#[derive(Debug, Clone)]
pub struct SequenceSigner {
    signer: Signer,
    /// Of the message signed last; `None` before the first.
    prior_mac: Option<Mac>,
}

impl SequenceSigner {
    /// For the response to the request that `signer` comes from.
    pub fn new(signer: Signer) -> Self {
        SequenceSigner { signer, prior_mac: None }
    }

    /// Octets that [`sign`](Self::sign) appends: what every message must keep free.
    pub fn tsig_len(&self) -> usize {
        self.signer.tsig_len()
    }

    /// Appends the TSIG to the next finished message and counts it. Octets that hold no header stay as they are, and no
    /// part of the response.
    pub fn sign(&mut self, message: &mut Vec<u8>, now_s: u64) {
        let Some((header, body)) = message.split_at_checked(HEADER_LEN) else { return };
        let signer = &self.signer;
        let mac = match &self.prior_mac {
            None => signer.sign_error(message, now_s, TsigRcode::NOERROR, &[]),
            Some(prior) => {
                let (error, fudge_s) = (TsigRcode::NOERROR, signer.fudge_s());
                let variables = Variables { time_signed_s: now_s, fudge_s, error, other: &[] };
                let mut mac = subsequent_mac(signer.key(), prior.as_slice(), header, body, &variables);
                mac.truncate(signer.mac_len());
                let key = signer.key();
                append(message, key.name(), key.algorithm().wire(), &variables, mac.as_slice());
                mac
            }
        };
        self.prior_mac = Some(mac);
    }
}

/// The MAC of a message after the first: of the TSIG variables it covers the timers alone.
fn subsequent_mac(key: &Key, prior_mac: &[u8], header: &[u8], body: &[u8], timers: &Variables<'_>) -> Mac {
    key.hmac.mac(&[
        &(prior_mac.len() as u16).to_be_bytes(),
        prior_mac,
        header,
        body,
        &time_octets(timers.time_signed_s),
        &timers.fudge_s.to_be_bytes(),
    ])
}
