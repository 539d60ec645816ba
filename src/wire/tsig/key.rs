//! TSIG keys and the algorithms that they are for (RFC 8945 section 6).

use std::fmt;
use std::str::FromStr;

use domain::base::name::ToName;

use super::super::{Class, Name, name_text};
use super::mac::KeyedHash;

/// A keyed hash. HMAC-MD5 is left out on purpose: RFC 8945 section 6 says MUST NOT of it, and a client that offers it
/// learns so from BADKEY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `hmac-sha1`, for clients that know no other.
    HmacSha1,
    /// `hmac-sha224`, likewise.
    HmacSha224,
    /// `hmac-sha256`, the one that RFC 8945 section 6 recommends.
    HmacSha256,
    /// `hmac-sha384`.
    HmacSha384,
    /// `hmac-sha512`.
    HmacSha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] = [
        Algorithm::HmacSha1,
        Algorithm::HmacSha224,
        Algorithm::HmacSha256,
        Algorithm::HmacSha384,
        Algorithm::HmacSha512,
    ];

    /// Presentation form, without the closing dot.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::HmacSha1 => "hmac-sha1",
            Algorithm::HmacSha224 => "hmac-sha224",
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::HmacSha384 => "hmac-sha384",
            Algorithm::HmacSha512 => "hmac-sha512",
        }
    }

    /// Canonical wire form: lower case, with the root label.
    pub fn wire(self) -> &'static [u8] {
        match self {
            Algorithm::HmacSha1 => b"\x09hmac-sha1\x00",
            Algorithm::HmacSha224 => b"\x0bhmac-sha224\x00",
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

    /// Whether it is there only for clients that know no better one: RFC 8945 section 6 does not recommend SHA-1, and
    /// SHA-224 has nothing over SHA-256.
    pub fn is_legacy(self) -> bool {
        matches!(self, Algorithm::HmacSha1 | Algorithm::HmacSha224)
    }

    /// Octets in a full MAC.
    pub fn mac_len(self) -> usize {
        match self {
            Algorithm::HmacSha1 => 20,
            Algorithm::HmacSha224 => 28,
            Algorithm::HmacSha256 => 32,
            Algorithm::HmacSha384 => 48,
            Algorithm::HmacSha512 => 64,
        }
    }

    /// The fewest octets of a truncated MAC; fewer are FORMERR (RFC 8945 section 5.2.2.1).
    pub fn mac_len_min(self) -> usize {
        (self.mac_len() / 2).max(10)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An algorithm, and how much of its MAC a key asks for: its truncation policy (RFC 8945 section 7). Written as BIND
/// does: `hmac-sha256-128` takes 128 bits and more, `hmac-sha256` all 256 alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MacPolicy {
    algorithm: Algorithm,
    octets_min: usize,
}

/// Why a text is no [`MacPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MacPolicyError {
    /// An algorithm that is not spoken here.
    #[error("not supported")]
    Algorithm,
    /// A number of bits that a MAC cannot be cut to (RFC 8945 section 5.2.2.1).
    #[error("the bits after {algorithm}- have to be a multiple of 8 from {} to {}",
        .algorithm.mac_len_min() * 8, .algorithm.mac_len() * 8)]
    Bits {
        /// Whose MAC.
        algorithm: Algorithm,
    },
}

impl From<Algorithm> for MacPolicy {
    /// The whole MAC.
    fn from(algorithm: Algorithm) -> Self {
        MacPolicy { algorithm, octets_min: algorithm.mac_len() }
    }
}

impl FromStr for MacPolicy {
    type Err = MacPolicyError;

    fn from_str(text: &str) -> Result<Self, MacPolicyError> {
        if let Some(algorithm) = Algorithm::named(text) {
            return Ok(algorithm.into());
        }
        let (name, bits) = text.rsplit_once('-').ok_or(MacPolicyError::Algorithm)?;
        let algorithm = Algorithm::named(name).ok_or(MacPolicyError::Algorithm)?;
        let bits = Some(bits).filter(|bits| bits.bytes().all(|octet| octet.is_ascii_digit()));
        let bits = bits.and_then(|bits| bits.parse::<usize>().ok()).filter(|bits| bits.is_multiple_of(8));
        let octets = bits.map(|bits| bits / 8);
        let allowed = algorithm.mac_len_min()..=algorithm.mac_len();
        let octets = octets.filter(|octets| allowed.contains(octets));
        octets.map(|octets_min| MacPolicy { algorithm, octets_min }).ok_or(MacPolicyError::Bits { algorithm })
    }
}

impl fmt::Display for MacPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.algorithm)?;
        if self.octets_min < self.algorithm.mac_len() {
            write!(f, "-{}", self.octets_min * 8)?;
        }
        Ok(())
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
    policy: MacPolicy,
    pub(super) hmac: KeyedHash,
    /// The TSIG variables that are the same for every message: name, class, TTL and algorithm (RFC 8945 section 4.3.3).
    pub(super) variables: Box<[u8]>,
}

impl Key {
    /// A key from its configured parts; `policy` may be an [`Algorithm`], and then the whole MAC is asked for.
    pub fn new(name: &Name, policy: impl Into<MacPolicy>, secret: &[u8]) -> Result<Self, KeyError> {
        let policy = policy.into();
        let hmac = KeyedHash::new(policy.algorithm, secret)?;
        let name: Name = name.to_canonical_name();
        let class = Class::ANY.to_int().to_be_bytes();
        let variables = [name.as_slice(), &class, &[0; 4], policy.algorithm.wire()].concat();
        Ok(Key { name, policy, hmac, variables: variables.into_boxed_slice() })
    }

    /// The key's name, in lower case.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.policy.algorithm
    }

    /// The fewest octets of a MAC that it accepts; fewer are BADTRUNC (RFC 8945 section 5.2.4).
    pub fn mac_len_min(&self) -> usize {
        self.policy.octets_min
    }
}

/// `lab.example. (hmac-sha256)`, for logs.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", name_text(self.name.as_slice()), self.policy)
    }
}

/// By hand: nothing that was made from the secret may reach a log.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}
