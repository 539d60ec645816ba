//! Why a signed request was not accepted, and the reply that says so (RFC 8945 section 5.3.2).

use std::sync::Arc;

use domain::base::iana::TsigRcode;

use super::super::{Name, Rcode, name_text};
use super::record::{Variables, append, record_len, time_octets};
use super::{FUDGE_S, Key, Signer};

/// Why a signed request was not accepted, with what the log and the error reply need.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TsigFailure {
    /// The server has no key of this name (RFC 8945 section 5.2.1).
    #[error("BADKEY: no key {} ({}) on this server; check the name, or give the server this key",
        name_text(key.as_slice()), name_text(algorithm.as_slice()))]
    UnknownKey {
        /// The name, in lower case.
        key: Name,
        /// The algorithm that came with it.
        algorithm: Name,
    },
    /// The key is for another algorithm, or the server does not know the one that was used (RFC 8945 section 5.2.1).
    #[error("BADKEY: key {key} does not take what is signed with {}; sign with the algorithm of the key",
        name_text(algorithm.as_slice()))]
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
    #[error("BADTIME: key {}: signed at {client_s}, {} s {} our clock; {} s are allowed", signer.key(),
        client_s.abs_diff(*server_s), if client_s < server_s { "behind" } else { "ahead of" }, signer.fudge_s())]
    BadTime {
        /// Signs the error reply; has the fudge.
        signer: Signer,
        /// The client's Time Signed, seconds since 1970.
        client_s: u64,
        /// Our time, seconds since 1970.
        server_s: u64,
    },
    /// Rightly signed, and within its fudge, but further ahead of our clock than the caller takes: see
    /// [`TsigFailure::too_far_ahead`].
    #[error("BADTIME: key {}: signed at {client_s}, {} s ahead of our clock; an UPDATE may be {FUDGE_S} s ahead, whatever its \
        fudge: set the client's clock", signer.key(), client_s.saturating_sub(*server_s))]
    TooFarAhead {
        /// Signs the error reply.
        signer: Signer,
        /// The client's Time Signed, seconds since 1970.
        client_s: u64,
        /// Our time, seconds since 1970.
        server_s: u64,
    },
    /// Rightly signed and in time, but before the newest message that was accepted, so it may be an old one that somebody
    /// sends again (RFC 8945 section 5.2.3). What it is held against is the caller's: see [`TsigFailure::replayed`].
    #[error("BADTIME: key {}: signed at {client_s}, {} s before the newest message accepted: a replay, or a clock set \
        back; sign it anew", signer.key(), newest_s.saturating_sub(*client_s))]
    Replayed {
        /// Signs the error reply.
        signer: Signer,
        /// The client's Time Signed, seconds since 1970.
        client_s: u64,
        /// The newest Time Signed accepted before, seconds since 1970.
        newest_s: u64,
        /// Our time, seconds since 1970.
        server_s: u64,
    },
    /// Rightly signed and in time, but shorter than this key accepts (RFC 8945 section 5.2.4).
    #[error("BADTRUNC: key {}: a MAC cut to {octets} octets, not {} or more", signer.key(), signer.key().mac_len_min())]
    BadTrunc {
        /// Signs the error reply.
        signer: Signer,
        /// Octets in the MAC.
        octets: usize,
    },
}

impl TsigFailure {
    /// The failure of a request that verified, but was signed before the newest one accepted of its kind, at `newest_s`.
    pub fn replayed(signer: Signer, newest_s: u64, now_s: u64) -> Self {
        let client_s = signer.time_signed_s();
        TsigFailure::Replayed { signer, client_s, newest_s, server_s: now_s }
    }

    /// The failure of a request that verified, but was signed too far ahead of `now_s` for what it asks.
    pub fn too_far_ahead(signer: Signer, now_s: u64) -> Self {
        let client_s = signer.time_signed_s();
        TsigFailure::TooFarAhead { signer, client_s, server_s: now_s }
    }

    /// The RCODE of the error reply.
    pub fn rcode(&self) -> Rcode {
        match self {
            TsigFailure::MacLength { .. } => Rcode::FORMERR,
            _ => Rcode::NOTAUTH,
        }
    }

    /// Octets that [`append`](Self::append) appends.
    pub fn tsig_len(&self) -> usize {
        let unsigned = |key: &Name, algorithm: usize| record_len(key, algorithm, 0, 0);
        match self {
            TsigFailure::UnknownKey { key, algorithm } => unsigned(key, algorithm.len()),
            TsigFailure::OtherAlgorithm { key, algorithm } => unsigned(key.name(), algorithm.len()),
            TsigFailure::MacLength { .. } => 0,
            TsigFailure::BadSig { key } => unsigned(key.name(), key.algorithm().wire().len()),
            TsigFailure::BadTime { signer, .. }
            | TsigFailure::TooFarAhead { signer, .. }
            | TsigFailure::Replayed { signer, .. } => signer.tsig_len() + time_octets(0).len(),
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
            TsigFailure::BadTime { signer, client_s, server_s }
            | TsigFailure::TooFarAhead { signer, client_s, server_s }
            | TsigFailure::Replayed { signer, client_s, server_s, .. } => {
                signer.sign_error(reply, *client_s, TsigRcode::BADTIME, &time_octets(*server_s));
            }
            TsigFailure::BadTrunc { signer, .. } => {
                signer.sign_error(reply, now_s, TsigRcode::BADTRUNC, &[]);
            }
        }
    }
}
