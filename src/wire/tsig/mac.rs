//! Keyed hashes: one key set up once, then a MAC a call.

use std::fmt;

use ::hmac::{Hmac, KeyInit as _, Mac as _};
use ring::hmac;
use sha2::Sha224;

use super::{Algorithm, KeyError};

/// Octets of the longest MAC, that of HMAC-SHA512.
const MAC_LEN_MAX: usize = 64;

/// A MAC, perhaps truncated. By itself it is no secret: it travels with the message.
#[derive(Clone, Copy)]
pub(super) struct Mac {
    octets: [u8; MAC_LEN_MAX],
    len: usize,
}

impl Mac {
    fn new(octets: &[u8]) -> Self {
        let mut mac = Mac { octets: [0; MAC_LEN_MAX], len: octets.len().min(MAC_LEN_MAX) };
        mac.octets.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
        mac
    }

    /// Keeps the first `len` octets (RFC 8945 section 5.2.2.1), or all if there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub fn as_slice(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({} octets)", self.len)
    }
}

/// A secret that was hashed in already: HMAC's two states, so that a MAC costs no key set-up.
pub(super) enum KeyedHash {
    /// Everything but SHA-224.
    Ring(hmac::Key),
    /// The one hash of RFC 8945 section 6 that ring does not have.
    Sha224(Box<Hmac<Sha224>>),
}

impl KeyedHash {
    pub fn new(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.is_empty() {
            return Err(KeyError::EmptySecret);
        }
        let ring = |algorithm| KeyedHash::Ring(hmac::Key::new(algorithm, secret));
        Ok(match algorithm {
            Algorithm::HmacSha1 => ring(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            // HMAC takes a secret of any length (RFC 2104 section 2), so this one does not fail.
            Algorithm::HmacSha224 => {
                let keyed = Hmac::new_from_slice(secret).map_err(|_| KeyError::EmptySecret)?;
                KeyedHash::Sha224(Box::new(keyed))
            }
            Algorithm::HmacSha256 => ring(hmac::HMAC_SHA256),
            Algorithm::HmacSha384 => ring(hmac::HMAC_SHA384),
            Algorithm::HmacSha512 => ring(hmac::HMAC_SHA512),
        })
    }

    /// The whole MAC of these parts, one after the other.
    pub fn mac(&self, parts: &[&[u8]]) -> Mac {
        match self {
            KeyedHash::Ring(key) => {
                let mut context = hmac::Context::with_key(key);
                parts.iter().for_each(|part| context.update(part));
                Mac::new(context.sign().as_ref())
            }
            KeyedHash::Sha224(keyed) => {
                let mut context = Hmac::clone(keyed);
                parts.iter().for_each(|part| context.update(part));
                Mac::new(&context.finalize().into_bytes())
            }
        }
    }
}

/// Whether two MACs are equal, in a time that does not say where they differ: `black_box` keeps the compiler from
/// leaving the loop early. ring's own comparison of parts is deprecated, and its `verify` wants the message in one piece.
pub(super) fn same_mac(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |bits, (a, b)| std::hint::black_box(bits | (a ^ b)));
    one.len() == other.len() && differing == 0
}
