//! TSIG keys and the algorithms that they are for (RFC 8945 section 6).

use std::fmt;

use domain::base::name::ToName;
use ring::hmac;

use super::super::{Class, Name, name_text};

/// A keyed hash. HMAC-MD5 and HMAC-SHA1 are left out on purpose: RFC 8945 section 6 says MUST NOT of the one and NOT
/// RECOMMENDED of the other, and a client that offers them learns it from BADKEY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `hmac-sha256`, the one that RFC 8945 section 6 recommends.
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 3] = [Algorithm::HmacSha256, Algorithm::HmacSha384, Algorithm::HmacSha512];

    /// Presentation form, without the closing dot.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::HmacSha384 => "hmac-sha384",
            Algorithm::HmacSha512 => "hmac-sha512",
        }
    }

    /// Canonical wire form: lower case, with the root label.
    pub fn wire(self) -> &'static [u8] {
        match self {
            Algorithm::HmacSha256 => b"\x0bhmac-sha256\x00",
            Algorithm::HmacSha384 => b"\x0bhmac-sha384\x00",
            Algorithm::HmacSha512 => b"\x0bhmac-sha512\x00",
        }
    }

    /// The algorithm of this wire name, whatever its case.
    pub fn from_wire(wire: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.wire().eq_ignore_ascii_case(wire))
    }

    /// The algorithm of this presentation name, whatever its case, with or without the closing dot.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// Octets in a full MAC.
    pub fn mac_len(self) -> usize {
        self.hmac().digest_algorithm().output_len()
    }

    /// The fewest octets of a truncated MAC; fewer are FORMERR (RFC 8945 section 5.2.2.1).
    pub fn mac_len_min(self) -> usize {
        (self.mac_len() / 2).max(10)
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Algorithm::HmacSha256 => hmac::HMAC_SHA256,
            Algorithm::HmacSha384 => hmac::HMAC_SHA384,
            Algorithm::HmacSha512 => hmac::HMAC_SHA512,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A secret of no octets: anyone could sign with it.
    #[error("the secret is empty")]
    EmptySecret,
}

/// A shared secret, its name, and the one algorithm that it is for. The secret itself is not kept, only HMAC's two
/// states after it was hashed in, so that a MAC costs no key set-up.
pub struct Key {
    name: Name,
    algorithm: Algorithm,
    pub(super) hmac: hmac::Key,
    /// The TSIG variables that are the same for every message: name, class, TTL and algorithm (RFC 8945 section 4.3.3).
    pub(super) variables: Box<[u8]>,
}

impl Key {
    /// A key from its configured parts.
    pub fn new(name: &Name, algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.is_empty() {
            return Err(KeyError::EmptySecret);
        }
        let name: Name = name.to_canonical_name();
        let class = Class::ANY.to_int().to_be_bytes();
        let variables = [name.as_slice(), &class, &[0; 4], algorithm.wire()].concat().into_boxed_slice();
        Ok(Key { name, algorithm, hmac: hmac::Key::new(algorithm.hmac(), secret), variables })
    }

    /// The key's name, in lower case.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// `lab.example. (hmac-sha256)`, for logs.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", name_text(self.name.as_slice()), self.algorithm)
    }
}

/// By hand: nothing that was made from the secret may reach a log.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}
