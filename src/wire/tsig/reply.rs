//! A reply, as the client judges it that signed the request (RFC 8945 section 5.4).

use domain::base::iana::TsigRcode;
use domain::base::name::ToName as _;

use super::super::{Name, WireError, name_text, u16_at, u32_at};
use super::mac::same_mac;
use super::{Algorithm, Key, TsigRecord, signed_mac};

/// Why a reply is not to be believed, or what it says was wrong with the request's signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFailure {
    /// It cannot be read as far as its signature.
    #[error("the reply cannot be read: {0}")]
    Wire(#[from] WireError),
    /// No TSIG, or one without a MAC where there should be one.
    #[error("the reply is not signed, so anybody may have said it")]
    Unsigned,
    /// Signed with another key, or with another algorithm than the key's (RFC 8945 section 5.2.1).
    #[error("the reply is signed with {} ({}), and not as the request was", name_text(.key.as_slice()), name_text(.algorithm.as_slice()))]
    OtherKey {
        /// The name, in lower case.
        key: Name,
        /// The algorithm as sent.
        algorithm: Name,
    },
    /// The MAC is not what the key gives for this reply to this request.
    #[error("the reply's signature does not match: it was changed on its way, or comes from somebody else")]
    BadSig,
    /// Signed too long ago, or too far ahead (RFC 8945 section 5.2.3).
    #[error("the reply was signed {} s {} our clock; set the clocks", client_s.abs_diff(*server_s),
        if server_s < client_s { "behind" } else { "ahead of" })]
    BadTime {
        /// The server's Time Signed, seconds since 1970.
        server_s: u64,
        /// Our time, seconds since 1970.
        client_s: u64,
    },
    /// Shorter than the key accepts (RFC 8945 section 5.2.4).
    #[error("the reply's MAC is cut to {octets} octets, not {octets_min} or more")]
    BadTrunc {
        /// Octets in the MAC.
        octets: usize,
        /// The fewest that the key accepts.
        octets_min: usize,
    },
    /// The server did not accept the request's signature. BADKEY and BADSIG it can not sign, so they may be anybody's word.
    #[error("the server did not accept the signature ({}){}", mnemonic(*.error), clocks(.server_s, *.client_s))]
    Told {
        /// What was wrong with it.
        error: TsigRcode,
        /// The server's time, seconds since 1970, if that was it (RFC 8945 section 5.2.3).
        server_s: Option<u64>,
        /// Our time, seconds since 1970.
        client_s: u64,
    },
}

/// The error without its number, where it has a name.
fn mnemonic(error: TsigRcode) -> String {
    error.to_mnemonic_str().map_or_else(|| error.to_string(), str::to_owned)
}

fn clocks(server_s: &Option<u64>, client_s: u64) -> String {
    let Some(server_s) = *server_s else { return String::new() };
    let way = if server_s < client_s { "behind" } else { "ahead of" };
    format!(", for its clock is {} s {way} ours", server_s.abs_diff(client_s))
}

/// Judges the reply to a request that was signed with `key` and had the MAC `request_mac`, which [`sign_request`] returned.
///
/// [`sign_request`]: super::sign_request
pub fn verify_reply(reply: &[u8], key: &Key, request_mac: &[u8], now_s: u64) -> Result<(), ReplyFailure> {
    let tsig = TsigRecord::find(reply)?.ok_or(ReplyFailure::Unsigned)?;
    let error = tsig.error;
    if tsig.mac.is_empty() {
        return Err(match error {
            TsigRcode::NOERROR => ReplyFailure::Unsigned,
            _ => ReplyFailure::Told { error, server_s: None, client_s: now_s },
        });
    }
    let algorithm = key.algorithm();
    if *key.name() != tsig.key_name || Algorithm::from_wire(tsig.algorithm.as_slice()) != Some(algorithm) {
        return Err(ReplyFailure::OtherKey { key: tsig.key_name, algorithm: tsig.algorithm.to_name() });
    }
    let octets = tsig.mac.len();
    if !(algorithm.mac_len_min()..=algorithm.mac_len()).contains(&octets) {
        return Err(ReplyFailure::BadSig);
    }
    let mut mac = signed_mac(reply, &tsig, key, Some(request_mac));
    mac.truncate(octets);
    if !same_mac(mac.as_slice(), tsig.mac) {
        return Err(ReplyFailure::BadSig);
    }
    // The request's MAC is in this one, so it is no old reply, whatever its time.
    if error != TsigRcode::NOERROR {
        let server_s = server_time(tsig.other);
        return Err(ReplyFailure::Told { error, server_s, client_s: now_s });
    }
    if now_s.abs_diff(tsig.time_signed_s) > u64::from(tsig.fudge_s) {
        return Err(ReplyFailure::BadTime { server_s: tsig.time_signed_s, client_s: now_s });
    }
    let octets_min = key.mac_len_min();
    if octets < octets_min {
        return Err(ReplyFailure::BadTrunc { octets, octets_min });
    }
    Ok(())
}

/// The time in the Other Data of BADTIME: 48 bits.
fn server_time(other: &[u8]) -> Option<u64> {
    let (high, low) = (u16_at(other, 0)?, u32_at(other, 2)?);
    (other.len() == 6).then_some(u64::from(high) << 32 | u64::from(low))
}
