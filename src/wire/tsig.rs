//! TSIG: messages signed with a shared secret (RFC 8945), over their raw octets.
//!
//! Written here although the `domain` crate has a complete one, because a signed heartbeat is the path that must be fast:
//! one HMAC key a secret, set up once ([`Key`]); the digest is taken from the message where it lies and the reply is
//! signed where it lies, with no message tree between. `domain`'s stands against this one in the tests.
//!
//! ```text
//!  request --> TsigRecord::find --> verify --> Signer      --> sign    --> reply
//!                                     '------> TsigFailure --> append  --> error reply
//! ```
//!
//! Facts that the rest relies on:
//! 1. `verify` asks in the order of RFC 8945 section 5.2: key, MAC, time, truncation. Only a request whose MAC is right
//!    gets a [`Signer`], so no secret ever signs on the word of somebody who does not know it (section 10.1).
//! 2. The message id is the one part of a request that no MAC covers: forwarders may change it (section 5.5).
//! 3. No clock: `now_s` is wall time, seconds since 1970.

mod key;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use domain::base::ParsedName;
use domain::base::iana::TsigRcode;
use domain::base::name::ToName;
use domain::dep::octseq::Parser;
use ring::hmac;

use super::{
    Class, HEADER_LEN, Header, Name, RawRecord, Rcode, Rtype, WireError, name_text, read_record, skip_name,
    u16_at, u32_at,
};

pub use key::{Algorithm, Key, KeyError};

/// How far two clocks may differ when nobody says, seconds: what RFC 8945 section 10 recommends.
pub const FUDGE_S: u16 = 300;

/// A wire name where it lies in a message.
type NameSlice = domain::base::Name<[u8]>;

/// The TSIG record of a message (RFC 8945 section 4.2).
#[derive(Debug, Clone)]
pub struct TsigRecord<'m> {
    /// Where the record starts: the message that was signed ends here.
    pub start: usize,
    /// Whose secret signed, in lower case.
    pub key_name: Name,
    /// With which algorithm, as sent.
    pub algorithm: &'m NameSlice,
    /// When it was signed, seconds since 1970, 48 bits.
    pub time_signed_s: u64,
    /// How far the verifier's clock may be off, seconds.
    pub fudge_s: u16,
    /// The MAC, possibly truncated; empty in BADKEY and BADSIG replies.
    pub mac: &'m [u8],
    /// The message id when it was signed.
    pub original_id: u16,
    /// In replies, what was wrong with the request.
    pub error: TsigRcode,
    /// The server's time in a BADTIME reply, else empty.
    pub other: &'m [u8],
}

impl<'m> TsigRecord<'m> {
    /// Looks for a TSIG through all sections of `message`. One that is not the very last record, or is not alone, is an
    /// error (RFC 8945 section 5.2), and so are octets after the last record: no MAC covers them.
    pub fn find(message: &'m [u8]) -> Result<Option<Self>, WireError> {
        let header = Header::read(message).ok_or(WireError::Short { at: message.len() })?;
        let [questions, answers, authorities, additionals] = header.counts.map(u32::from);
        let mut at = HEADER_LEN;
        for _ in 0..questions {
            at = skip_name(message, at)? + 4;
        }
        let mut tsig = None;
        let mut left = answers + authorities + additionals;
        while left > 0 {
            left -= 1;
            let record = read_record(message, at)?;
            at = record.end();
            if record.rtype == Rtype::TSIG {
                if left > 0 || additionals == 0 {
                    return Err(WireError::TsigPlace);
                }
                tsig = Some(Self::read(message, &record)?);
            }
        }
        match message.len().checked_sub(at) {
            Some(0) => Ok(tsig),
            Some(octets) => Err(WireError::Trailing { octets }),
            None => Err(WireError::Short { at: message.len() }),
        }
    }

    fn read(message: &'m [u8], record: &RawRecord) -> Result<Self, WireError> {
        let bad = WireError::BadTsig;
        if record.class != Class::ANY || record.ttl != 0 {
            return Err(bad);
        }
        let message = message.get(..record.end()).ok_or(bad)?;
        let word = |at| u16_at(message, at).ok_or(bad);
        // The algorithm is never compressed (RFC 8945 section 4.2), which `from_slice` checks.
        let fixed = skip_name(message, record.rdata.start).map_err(|_| bad)?;
        let algorithm = message.get(record.rdata.start..fixed).ok_or(bad)?;
        let mac = fixed + 10..fixed + 10 + usize::from(word(fixed + 8)?);
        let other = mac.end + 6..mac.end + 6 + usize::from(word(mac.end + 4)?);
        if other.end != record.end() {
            return Err(bad);
        }
        Ok(TsigRecord {
            start: record.start,
            key_name: key_name(message, record.start)?,
            algorithm: NameSlice::from_slice(algorithm).map_err(|_| bad)?,
            time_signed_s: (u64::from(word(fixed)?) << 32)
                | u64::from(u32_at(message, fixed + 2).ok_or(bad)?),
            fudge_s: word(fixed + 6)?,
            mac: message.get(mac.clone()).ok_or(bad)?,
            original_id: word(mac.end)?,
            error: TsigRcode::from_int(word(mac.end + 2)?),
            other: message.get(other).ok_or(bad)?,
        })
    }

    fn variables(&self) -> Variables<'m> {
        Variables {
            time_signed_s: self.time_signed_s,
            fudge_s: self.fudge_s,
            error: self.error,
            other: self.other,
        }
    }
}

/// The possibly compressed name at `at`, in lower case, in one allocation.
fn key_name(message: &[u8], at: usize) -> Result<Name, WireError> {
    let bad = WireError::BadName { at };
    let mut parser = Parser::from_ref(message);
    parser.advance(at).map_err(|_| bad)?;
    let name = ParsedName::parse(&mut parser).map_err(|_| bad)?;
    Ok(name.to_canonical_name())
}

/// The TSIG variables that differ from message to message (RFC 8945 section 4.3.3).
struct Variables<'a> {
    time_signed_s: u64,
    fudge_s: u16,
    error: TsigRcode,
    other: &'a [u8],
}

/// A time as the wire has it: 48 bits.
fn time_octets(time_s: u64) -> [u8; 6] {
    let [_, _, octets @ ..] = time_s.to_be_bytes();
    octets
}

/// The MAC of a message, given as its header and the octets after it (RFC 8945 section 4.3). A reply's digest starts
/// with the request's MAC.
fn mac(
    key: &Key,
    request_mac: Option<&[u8]>,
    header: &[u8],
    body: &[u8],
    variables: &Variables<'_>,
) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&key.hmac);
    if let Some(request_mac) = request_mac {
        context.update(&(request_mac.len() as u16).to_be_bytes());
        context.update(request_mac);
    }
    context.update(header);
    context.update(body);
    context.update(&key.variables);
    context.update(&time_octets(variables.time_signed_s));
    context.update(&variables.fudge_s.to_be_bytes());
    context.update(&variables.error.to_int().to_be_bytes());
    context.update(&(variables.other.len() as u16).to_be_bytes());
    context.update(variables.other);
    context.sign()
}

/// Whether two MACs are equal, in a time that does not say where they differ: `black_box` keeps the compiler from
/// leaving the loop early. ring's own comparison of parts is deprecated, and its `verify` wants the message in one piece.
fn same_mac(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |bits, (a, b)| std::hint::black_box(bits | (a ^ b)));
    one.len() == other.len() && differing == 0
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
    if Algorithm::from_wire(tsig.algorithm.as_slice()) != Some(key.algorithm()) {
        return Err(TsigFailure::OtherAlgorithm { key, algorithm: tsig.algorithm.to_name() });
    }
    let mac_len = tsig.mac.len();
    if !(key.algorithm().mac_len_min()..=key.algorithm().mac_len()).contains(&mac_len) {
        return Err(TsigFailure::MacLength { key, octets: mac_len });
    }
    // The message as it was before it was signed: its own id, and no TSIG counted.
    let mut header = Header::read(message).unwrap_or_default();
    header.id = tsig.original_id;
    header.counts[3] = header.counts[3].saturating_sub(1);
    let body = message.get(HEADER_LEN..tsig.start).unwrap_or_default();
    let request_mac = mac(&key, None, &header.octets(), body, &tsig.variables());
    let signer = Signer { key, request_mac, request_mac_len: mac_len, fudge_s: tsig.fudge_s };
    if !same_mac(signer.request_mac(), tsig.mac) {
        return Err(TsigFailure::BadSig { key: signer.key });
    }
    if now_s.abs_diff(tsig.time_signed_s) > u64::from(tsig.fudge_s) {
        return Err(TsigFailure::BadTime { signer, client_s: tsig.time_signed_s, server_s: now_s });
    }
    if mac_len < signer.key.algorithm().mac_len() {
        return Err(TsigFailure::BadTrunc { signer, octets: mac_len });
    }
    Ok(signer)
}

/// Signs the reply to a request whose MAC was right.
#[derive(Debug, Clone)]
pub struct Signer {
    key: Arc<Key>,
    /// The full MAC of the request, of which the client sent this many octets.
    request_mac: hmac::Tag,
    request_mac_len: usize,
    fudge_s: u16,
}

impl Signer {
    /// Who signed the request.
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// The request's MAC as the client sent it.
    pub fn request_mac(&self) -> &[u8] {
        self.request_mac.as_ref().get(..self.request_mac_len).unwrap_or_default()
    }

    /// Octets that [`sign`](Self::sign) appends: what a reply must keep free.
    pub fn tsig_len(&self) -> usize {
        signed_len(&self.key)
    }

    /// Appends the TSIG to a finished reply and counts it (RFC 8945 section 5.3). The fudge is the request's: it admitted
    /// the difference between the two clocks one way, so it does the other way. A reply without a header stays as it is.
    pub fn sign(&self, reply: &mut Vec<u8>, now_s: u64) {
        self.sign_error(reply, now_s, TsigRcode::NOERROR, &[]);
    }

    fn sign_error(&self, reply: &mut Vec<u8>, time_signed_s: u64, error: TsigRcode, other: &[u8]) {
        let variables = Variables { time_signed_s, fudge_s: self.fudge_s, error, other };
        sign(reply, &self.key, Some(self.request_mac()), &variables);
    }
}

/// Signs a request in place, as a client, and returns its MAC: what verifying the reply takes (RFC 8945 section 5.1).
pub fn sign_request(message: &mut Vec<u8>, key: &Key, now_s: u64, fudge_s: u16) -> Vec<u8> {
    let variables = Variables { time_signed_s: now_s, fudge_s, error: TsigRcode::NOERROR, other: &[] };
    sign(message, key, None, &variables).as_ref().to_vec()
}

fn sign(
    message: &mut Vec<u8>,
    key: &Key,
    request_mac: Option<&[u8]>,
    variables: &Variables<'_>,
) -> hmac::Tag {
    let (header, body) = message.split_at_checked(HEADER_LEN).unwrap_or_default();
    let tag = mac(key, request_mac, header, body, variables);
    append(message, key.name(), key.algorithm().wire(), variables, tag.as_ref());
    tag
}

/// Appends a TSIG record and counts it.
fn append(message: &mut Vec<u8>, key_name: &Name, algorithm: &[u8], variables: &Variables<'_>, mac: &[u8]) {
    let Some(mut header) = Header::read(message) else { return };
    let rdata_len = rdata_len(algorithm.len(), mac.len(), variables.other.len());
    message.reserve(key_name.len() + FIXED_LEN + rdata_len);
    message.extend_from_slice(key_name.as_slice());
    message.extend_from_slice(&Rtype::TSIG.to_int().to_be_bytes());
    message.extend_from_slice(&Class::ANY.to_int().to_be_bytes());
    message.extend_from_slice(&0_u32.to_be_bytes());
    message.extend_from_slice(&(rdata_len as u16).to_be_bytes());
    message.extend_from_slice(algorithm);
    message.extend_from_slice(&time_octets(variables.time_signed_s));
    message.extend_from_slice(&variables.fudge_s.to_be_bytes());
    message.extend_from_slice(&(mac.len() as u16).to_be_bytes());
    message.extend_from_slice(mac);
    message.extend_from_slice(&header.id.to_be_bytes());
    message.extend_from_slice(&variables.error.to_int().to_be_bytes());
    message.extend_from_slice(&(variables.other.len() as u16).to_be_bytes());
    message.extend_from_slice(variables.other);
    // 65,535 records do not fit into a message.
    header.counts[3] = header.counts[3].saturating_add(1);
    if let Some(place) = message.get_mut(..HEADER_LEN) {
        place.copy_from_slice(&header.octets());
    }
}

/// Octets between a record's owner and its rdata.
const FIXED_LEN: usize = 10;

/// Octets of a TSIG's rdata: three fields vary, the other six have 16 octets.
fn rdata_len(algorithm: usize, mac: usize, other: usize) -> usize {
    algorithm + 16 + mac + other
}

/// Octets of a TSIG record without Other Data that this key signs.
fn signed_len(key: &Key) -> usize {
    let algorithm = key.algorithm();
    key.name().len() + FIXED_LEN + rdata_len(algorithm.wire().len(), algorithm.mac_len(), 0)
}

/// Why a signed request was not accepted, with what the log and the error reply need.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TsigFailure {
    /// The server has no key of this name (RFC 8945 section 5.2.1).
    #[error("BADKEY: no key {}, which signed with {}", name_text(key.as_slice()), name_text(algorithm.as_slice()))]
    UnknownKey {
        /// The name, in lower case.
        key: Name,
        /// The algorithm that came with it.
        algorithm: Name,
    },
    /// The key is for another algorithm, or the server does not know the one that was used (RFC 8945 section 5.2.1).
    #[error("BADKEY: key {key} signed with {}", name_text(algorithm.as_slice()))]
    OtherAlgorithm {
        /// The key as the server has it.
        key: Arc<Key>,
        /// The algorithm as sent.
        algorithm: Name,
    },
    /// The MAC has more octets than the hash gives, or fewer than truncation may leave (RFC 8945 section 5.2.2.1).
    #[error("FORMERR: key {key}: a MAC of {octets} octets, not {} to {}",
        key.algorithm().mac_len_min(), key.algorithm().mac_len())]
    MacLength {
        /// The key named.
        key: Arc<Key>,
        /// Octets in the MAC.
        octets: usize,
    },
    /// The MAC is not what this key gives: another secret, or a changed message (RFC 8945 section 5.2.2).
    #[error("BADSIG: key {key}: the MAC does not match")]
    BadSig {
        /// The key named.
        key: Arc<Key>,
    },
    /// Rightly signed, but too long ago or too far ahead (RFC 8945 section 5.2.3).
    #[error("BADTIME: key {}: signed at {client_s}, {} s {} our clock; {} s are allowed", signer.key,
        client_s.abs_diff(*server_s), if client_s < server_s { "behind" } else { "ahead of" }, signer.fudge_s)]
    BadTime {
        /// Signs the error reply; has the fudge.
        signer: Signer,
        /// The client's Time Signed, seconds since 1970.
        client_s: u64,
        /// Our time, seconds since 1970.
        server_s: u64,
    },
    /// Rightly signed and in time, but truncated: our policy is full MACs (RFC 8945 section 5.2.4).
    #[error("BADTRUNC: key {}: a MAC cut to {octets} octets, not {}", signer.key, signer.key.algorithm().mac_len())]
    BadTrunc {
        /// Signs the error reply.
        signer: Signer,
        /// Octets in the MAC.
        octets: usize,
    },
}

impl TsigFailure {
    /// The RCODE of the error reply.
    pub fn rcode(&self) -> Rcode {
        match self {
            TsigFailure::MacLength { .. } => Rcode::FORMERR,
            _ => Rcode::NOTAUTH,
        }
    }

    /// Octets that [`append`](Self::append) appends.
    pub fn tsig_len(&self) -> usize {
        let unsigned = |key: &Name, algorithm: usize| key.len() + FIXED_LEN + rdata_len(algorithm, 0, 0);
        match self {
            TsigFailure::UnknownKey { key, algorithm } => unsigned(key, algorithm.len()),
            TsigFailure::OtherAlgorithm { key, algorithm } => unsigned(key.name(), algorithm.len()),
            TsigFailure::MacLength { .. } => 0,
            TsigFailure::BadSig { key } => unsigned(key.name(), key.algorithm().wire().len()),
            TsigFailure::BadTime { signer, .. } => signer.tsig_len() + time_octets(0).len(),
            TsigFailure::BadTrunc { signer, .. } => signer.tsig_len(),
        }
    }

    /// Appends the TSIG of the error reply, whose RCODE is [`rcode`](Self::rcode), and counts it (RFC 8945 section
    /// 5.3.2): none to FORMERR, an unsigned one when key or MAC were wrong, else a signed one.
    pub fn append(&self, reply: &mut Vec<u8>, now_s: u64) {
        let unsigned = |error| Variables { time_signed_s: now_s, fudge_s: FUDGE_S, error, other: &[] };
        match self {
            TsigFailure::UnknownKey { key, algorithm } => {
                append(reply, key, algorithm.as_slice(), &unsigned(TsigRcode::BADKEY), &[]);
            }
            TsigFailure::OtherAlgorithm { key, algorithm } => {
                append(reply, key.name(), algorithm.as_slice(), &unsigned(TsigRcode::BADKEY), &[]);
            }
            TsigFailure::MacLength { .. } => {}
            TsigFailure::BadSig { key } => {
                append(reply, key.name(), key.algorithm().wire(), &unsigned(TsigRcode::BADSIG), &[]);
            }
            // The client's own time, so that its clock does not make it refuse this reply too (section 5.2.3).
            TsigFailure::BadTime { signer, client_s, server_s } => {
                signer.sign_error(reply, *client_s, TsigRcode::BADTIME, &time_octets(*server_s));
            }
            TsigFailure::BadTrunc { signer, .. } => {
                signer.sign_error(reply, now_s, TsigRcode::BADTRUNC, &[]);
            }
        }
    }
}
