//! What a server says of itself to whoever asks.

/// Nothing is said that is not here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The answer to `version.bind` and `version.server`, class CH.
    pub version: Option<Box<str>>,
    /// The answer to `hostname.bind` and `id.server`, class CH (RFC 4892).
    pub hostname: Option<Box<str>>,
    /// The NSID option (RFC 5001).
    pub nsid: Option<Box<str>>,
}

impl Identity {
    /// The most octets of a version or a hostname: a character-string (RFC 1035 section 3.3).
    pub const TEXT_MAX: usize = 255;
    /// The most octets of a NSID: it fits beside everything else that a refusal over UDP without EDNS sizes carries.
    pub const NSID_MAX: usize = 128;
}
