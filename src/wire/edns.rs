//! EDNS(0): the OPT record (RFC 6891), the lease option (RFC 9664) and extended errors (RFC 8914).

use std::ops::Range;

use super::{RawRecord, Reply, WireError, u16_at, u32_at};

/// The most that a UDP reply may have, and what we say we take: it passes every path without fragments.
pub const UDP_PAYLOAD_MAX: u16 = 1232;

/// Option code of Update Lease (RFC 9664 section 4).
const OPTION_LEASE: u16 = 2;
/// Option code of Extended DNS Errors (RFC 8914 section 2).
const OPTION_EXTENDED_ERROR: u16 = 15;

/// An OPT record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edns {
    /// Octets that the client takes over UDP, never below 512 (RFC 6891 section 6.2.3).
    pub udp_size: u16,
    /// EDNS version; anything but 0 is answered BADVERS.
    pub version: u8,
    /// The DO bit.
    pub dnssec_ok: bool,
    /// Where the options lie in the message. They are checked to be whole.
    options: Range<usize>,
}

impl Edns {
    /// Reads an OPT record, whose owner must be the root and whose options must fill its rdata.
    pub fn read(message: &[u8], record: &RawRecord) -> Result<Self, WireError> {
        if message.get(record.start) != Some(&0) {
            return Err(WireError::BadOpt);
        }
        let [_, version, flags, _] = record.ttl.to_be_bytes();
        let edns = Edns {
            udp_size: record.class.to_int().max(512),
            version,
            dnssec_ok: flags & 0x80 != 0,
            options: record.rdata.clone(),
        };
        let mut at = edns.options.start;
        while at < edns.options.end {
            let len = u16_at(message, at + 2).ok_or(WireError::BadOpt)?;
            at += 4 + usize::from(len);
        }
        if at != edns.options.end {
            return Err(WireError::BadOpt);
        }
        Ok(edns)
    }

    /// The data of the first option with this code.
    fn option<'m>(&self, message: &'m [u8], wanted: u16) -> Option<&'m [u8]> {
        let mut at = self.options.start;
        while at < self.options.end {
            let code = u16_at(message, at)?;
            let data = at + 4..at + 4 + usize::from(u16_at(message, at + 2)?);
            if code == wanted {
                return message.get(data);
            }
            at = data.end;
        }
        None
    }

    /// The Update Lease option, if the client sent one. Any length but 4 and 8 is an error (RFC 9664 section 4).
    pub fn lease(&self, message: &[u8]) -> Result<Option<LeaseOption>, WireError> {
        let Some(data) = self.option(message, OPTION_LEASE) else { return Ok(None) };
        let lease_s = u32_at(data, 0).ok_or(WireError::BadOpt)?;
        match data.len() {
            4 => Ok(Some(LeaseOption { lease_s, key_lease_s: None })),
            8 => Ok(Some(LeaseOption { lease_s, key_lease_s: u32_at(data, 4) })),
            _ => Err(WireError::BadOpt),
        }
    }
}

/// Update Lease (RFC 9664 section 4): asked for in a request, granted in a response of the same size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseOption {
    /// LEASE, seconds. 0 leaves.
    pub lease_s: u32,
    /// KEY-LEASE, seconds, in the eight-octet form.
    pub key_lease_s: Option<u32>,
}

/// An Extended DNS Error (RFC 8914): an info code and a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedError {
    /// The info code, RFC 8914 section 4.
    pub code: u16,
    /// Why, in a sentence. Cut to 200 octets on the wire.
    pub text: String,
}

impl ExtendedError {
    /// "Prohibited": the client may not do this (RFC 8914 section 4.19).
    pub const PROHIBITED: u16 = 18;
    /// "Other" (RFC 8914 section 4.1).
    pub const OTHER: u16 = 0;
}

/// The OPT record of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OptRecord {
    /// The upper eight bits of the RCODE: 1 for BADVERS.
    pub extended_rcode: u8,
    /// DO, copied from the request (RFC 6891 section 6.1.4, RFC 3225).
    pub dnssec_ok: bool,
    /// A granted lease.
    pub lease: Option<LeaseOption>,
    /// Why something was refused.
    pub error: Option<ExtendedError>,
}

impl OptRecord {
    /// Octets of an OPT without options: what a reply keeps free for it.
    pub const PLAIN_LEN: usize = 11;
    /// The upper eight bits of BADVERS, which is 16 (RFC 6891 section 9).
    pub const BADVERS: u8 = 1;

    /// Appends an OPT without options: what every answer carries. No allocation.
    #[must_use]
    pub fn put_plain(reply: &mut Reply<'_>, extended_rcode: u8, dnssec_ok: bool) -> bool {
        let size = UDP_PAYLOAD_MAX.to_be_bytes();
        let flags = if dnssec_ok { 0x80 } else { 0 };
        reply.put(&[0, 0, 41, size[0], size[1], extended_rcode, 0, flags, 0, 0, 0])
    }

    /// Appends the record with its options.
    #[must_use]
    pub fn put(&self, reply: &mut Reply<'_>) -> bool {
        let mut options = Vec::new();
        if let Some(lease) = self.lease {
            options.extend_from_slice(&OPTION_LEASE.to_be_bytes());
            let len: u16 = if lease.key_lease_s.is_some() { 8 } else { 4 };
            options.extend_from_slice(&len.to_be_bytes());
            options.extend_from_slice(&lease.lease_s.to_be_bytes());
            options.extend(lease.key_lease_s.iter().flat_map(|seconds| seconds.to_be_bytes()));
        }
        if let Some(error) = &self.error {
            let text = error.text.get(..error.text.floor_char_boundary(200)).unwrap_or_default();
            options.extend_from_slice(&OPTION_EXTENDED_ERROR.to_be_bytes());
            options.extend_from_slice(&(2 + text.len() as u16).to_be_bytes());
            options.extend_from_slice(&error.code.to_be_bytes());
            options.extend_from_slice(text.as_bytes());
        }
        let start = reply.len();
        if !Self::put_plain(reply, self.extended_rcode, self.dnssec_ok) {
            return false;
        }
        if !reply.put(&options) {
            reply.truncate(start);
            return false;
        }
        // RDLENGTH: the last two octets of the plain record. The options are under 300 octets.
        if let Some(place) = reply.written_from(start).get_mut(Self::PLAIN_LEN - 2..Self::PLAIN_LEN) {
            place.copy_from_slice(&(options.len() as u16).to_be_bytes());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::read_record;

    fn opt(options: &[u8]) -> Vec<u8> {
        let mut record = vec![0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8];
        record.extend_from_slice(options);
        record
    }

    fn edns(message: &[u8]) -> Result<Edns, WireError> {
        Edns::read(message, &read_record(message, 0).unwrap())
    }

    #[test]
    fn a_lease_has_four_or_eight_octets() {
        let four = opt(&[0, 2, 0, 4, 0, 0, 0, 30]);
        let eight = opt(&[0, 10, 0, 1, 9, 0, 2, 0, 8, 0, 0, 0, 30, 0, 0, 1, 0]);
        let six = opt(&[0, 2, 0, 6, 0, 0, 0, 30, 0, 0]);
        assert_eq!(
            edns(&four).unwrap().lease(&four),
            Ok(Some(LeaseOption { lease_s: 30, key_lease_s: None }))
        );
        assert_eq!(
            edns(&eight).unwrap().lease(&eight),
            Ok(Some(LeaseOption { lease_s: 30, key_lease_s: Some(256) }))
        );
        assert_eq!(edns(&six).unwrap().lease(&six), Err(WireError::BadOpt));
        assert_eq!(edns(&opt(&[])).unwrap().lease(&opt(&[])), Ok(None));
    }

    #[test]
    fn options_that_overrun_are_refused() {
        assert_eq!(edns(&opt(&[0, 2, 0, 9, 0, 0])), Err(WireError::BadOpt));
        assert_eq!(edns(&opt(&[0, 2, 0])), Err(WireError::BadOpt));
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut buffer = [0; 512];
        let mut reply = Reply::new(&mut buffer, 512).unwrap();
        let lease = LeaseOption { lease_s: 7, key_lease_s: Some(9) };
        let error = ExtendedError { code: ExtendedError::PROHIBITED, text: "é".repeat(150) };
        let record = OptRecord { lease: Some(lease), error: Some(error), ..OptRecord::default() };
        assert!(record.put(&mut reply));
        let written = reply.written_from(12).to_vec();
        let edns = edns(&written).unwrap();
        assert_eq!(edns.lease(&written), Ok(Some(lease)));
        assert_eq!(edns.option(&written, OPTION_EXTENDED_ERROR).unwrap().len(), 2 + 200);
    }
}
