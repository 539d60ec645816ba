//! TSIG: messages signed with a shared secret (RFC 8945), over their raw octets.
//!
//! Written here although the `domain` crate has a complete one, because a signed heartbeat is the path that must be fast:
//! one HMAC key a secret, set up once ([`Key`]); the digest is taken from the message where it lies and the reply is
//! signed where it lies, with no message tree between. `domain`'s stands against this one in the tests.
//!
//! ```text
//!  request --> TsigRecord::find --> verify --> Signer      --> sign    --> reply
//!                                     |          '-----> SequenceSigner --> replies
//!                                     '------> TsigFailure --> append  --> error reply
//!  sign_request --> (server) --> verify_reply
//! ```
//!
//! Facts that the rest relies on:
//! 1. `verify` asks in the order of RFC 8945 section 5.2: key, MAC, time, truncation. Only a request whose MAC is right
//!    gets a [`Signer`], so no secret ever signs on the word of somebody who does not know it (section 10.1).
//! 2. The message id is the one part of a request that no MAC covers: forwarders may change it (section 5.5).
//! 3. A reply's MAC is never shorter than the request's, nor than its key accepts (section 7).
//! 4. No clock: `now_s` is wall time, seconds since 1970.

mod failure;
mod key;
mod mac;
mod record;
mod reply;
mod sequence;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::base::iana::TsigRcode;
use domain::base::name::ToName;

use super::{HEADER_LEN, Header};
use mac::{Mac, same_mac};
use record::{Variables, append, record_len, time_octets};

pub use failure::TsigFailure;
pub use key::{Algorithm, Key, KeyError, MacPolicy, MacPolicyError};
pub use record::TsigRecord;
pub use reply::{ReplyFailure, verify_reply};
pub use sequence::SequenceSigner;

/// How far two clocks may differ when nobody says, seconds: what RFC 8945 section 10 recommends.
pub const FUDGE_S: u16 = 300;

/// The MAC of a message, given as its header and the octets after it (RFC 8945 section 4.3). A reply's digest starts
/// with the request's MAC.
fn mac(key: &Key, request_mac: Option<&[u8]>, header: &[u8], body: &[u8], variables: &Variables<'_>) -> Mac {
    let request_mac = request_mac.map(|mac| ((mac.len() as u16).to_be_bytes(), mac));
    let (prefix, request_mac): (&[u8], &[u8]) = match &request_mac {
        Some((len, mac)) => (len, mac),
        None => (&[], &[]),
    };
    key.hmac.mac(&[
        prefix,
        request_mac,
        header,
        body,
        &key.variables,
        &time_octets(variables.time_signed_s),
        &variables.fudge_s.to_be_bytes(),
        &variables.error.to_int().to_be_bytes(),
        &(variables.other.len() as u16).to_be_bytes(),
        variables.other,
    ])
}

/// The MAC that `key` gives a signed message, as it was before it was signed: its own id, and no TSIG counted.
fn signed_mac(message: &[u8], tsig: &TsigRecord<'_>, key: &Key, request_mac: Option<&[u8]>) -> Mac {
    let mut header = Header::read(message).unwrap_or_default();
    header.id = tsig.original_id;
    header.counts[3] = header.counts[3].saturating_sub(1);
    let body = message.get(HEADER_LEN..tsig.start).unwrap_or_default();
    mac(key, request_mac, &header.octets(), body, &tsig.variables())
}

/// Judges a signed request in the order of RFC 8945 section 5.2. `key` is the one that the server has under
/// `tsig.key_name`; `tsig` was found in `message`.
pub fn verify(
    message: &[u8],
    tsig: &TsigRecord<'_>,
    key: Option<&Arc<Key>>,
    now_s: u64,
) -> Result<Signer, TsigFailure> {
    let Some(key) = key.filter(|key| *key.name() == tsig.key_name) else {
        let (key, algorithm) = (tsig.key_name.clone(), tsig.algorithm.to_name());
        return Err(TsigFailure::UnknownKey { key, algorithm });
    };
    let key = Arc::clone(key);
    let algorithm = key.algorithm();
    if Algorithm::from_wire(tsig.algorithm.as_slice()) != Some(algorithm) {
        return Err(TsigFailure::OtherAlgorithm { key, algorithm: tsig.algorithm.to_name() });
    }
    let octets = tsig.mac.len();
    if !(algorithm.mac_len_min()..=algorithm.mac_len()).contains(&octets) {
        return Err(TsigFailure::MacLength { key, octets });
    }
    let mut request_mac = signed_mac(message, tsig, &key, None);
    request_mac.truncate(octets);
    if !same_mac(request_mac.as_slice(), tsig.mac) {
        return Err(TsigFailure::BadSig { key });
    }
    let signer = Signer { key, request_mac, time_signed_s: tsig.time_signed_s, fudge_s: tsig.fudge_s };
    if now_s.abs_diff(tsig.time_signed_s) > u64::from(tsig.fudge_s) {
        return Err(TsigFailure::BadTime { signer, client_s: tsig.time_signed_s, server_s: now_s });
    }
    if octets < signer.key.mac_len_min() {
        return Err(TsigFailure::BadTrunc { signer, octets });
    }
    Ok(signer)
}

/// Signs the reply to a request whose MAC was right.
#[derive(Debug, Clone)]
pub struct Signer {
    key: Arc<Key>,
    /// As the client sent it: what a reply's digest starts with (RFC 8945 section 5.2.2.1).
    request_mac: Mac,
    time_signed_s: u64,
    fudge_s: u16,
}

impl Signer {
    /// Who signed the request.
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// The request's MAC as the client sent it, perhaps truncated.
    pub fn request_mac(&self) -> &[u8] {
        self.request_mac.as_slice()
    }

    /// When the request was signed, by the client's clock, seconds since 1970.
    pub fn time_signed_s(&self) -> u64 {
        self.time_signed_s
    }

    /// How far the client lets the clocks differ, seconds.
    pub fn fudge_s(&self) -> u16 {
        self.fudge_s
    }

    /// Octets of the MAC in a reply: as many as the client sent, which it will take back, but no fewer than the key
    /// accepts (RFC 8945 section 7).
    fn mac_len(&self) -> usize {
        self.request_mac().len().max(self.key.mac_len_min())
    }

    /// Octets that [`sign`](Self::sign) appends: what a reply must keep free.
    pub fn tsig_len(&self) -> usize {
        record_len(self.key.name(), self.key.algorithm().wire().len(), self.mac_len(), 0)
    }

    /// Appends the TSIG to a finished reply and counts it (RFC 8945 section 5.3). The fudge is the request's: it admitted
    /// the difference between the two clocks one way, so it does the other way. A reply without a header stays as it is.
    pub fn sign(&self, reply: &mut Vec<u8>, now_s: u64) {
        self.sign_error(reply, now_s, TsigRcode::NOERROR, &[]);
    }

    /// [`sign`](Self::sign) with a TSIG error and what goes with it; returns the MAC as it is sent.
    fn sign_error(&self, reply: &mut Vec<u8>, time_signed_s: u64, error: TsigRcode, other: &[u8]) -> Mac {
        let variables = Variables { time_signed_s, fudge_s: self.fudge_s, error, other };
        sign(reply, &self.key, Some(self.request_mac()), self.mac_len(), &variables)
    }
}

/// Signs a request in place, as a client, and returns its MAC: what verifying the reply takes (RFC 8945 section 5.1). The
/// MAC is as short as the key accepts.
pub fn sign_request(message: &mut Vec<u8>, key: &Key, now_s: u64, fudge_s: u16) -> Vec<u8> {
    let variables = Variables { time_signed_s: now_s, fudge_s, error: TsigRcode::NOERROR, other: &[] };
    sign(message, key, None, key.mac_len_min(), &variables).as_slice().to_vec()
}

/// Appends a TSIG with the first `mac_len` octets of the message's MAC, and returns them.
fn sign(
    message: &mut Vec<u8>,
    key: &Key,
    request_mac: Option<&[u8]>,
    mac_len: usize,
    variables: &Variables<'_>,
) -> Mac {
    let (header, body) = message.split_at_checked(HEADER_LEN).unwrap_or_default();
    let mut mac = mac(key, request_mac, header, body, variables);
    mac.truncate(mac_len);
    append(message, key.name(), key.algorithm().wire(), variables, mac.as_slice());
    mac
}
