//! The TSIG record itself: found and read in a message, appended to one (RFC 8945 section 4.2).

use domain::base::ParsedName;
use domain::base::iana::TsigRcode;
use domain::base::name::ToName;
use domain::dep::octseq::Parser;

use super::super::{
    Class, HEADER_LEN, Header, Name, RawRecord, Rtype, WireError, read_record, skip_name, u16_at, u32_at,
};

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

    /// Reads a record of type TSIG, the very last one of `message`.
    pub fn read(message: &'m [u8], record: &RawRecord) -> Result<Self, WireError> {
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

    pub(super) fn variables(&self) -> Variables<'m> {
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
pub(super) struct Variables<'a> {
    pub time_signed_s: u64,
    pub fudge_s: u16,
    pub error: TsigRcode,
    pub other: &'a [u8],
}

/// A time as the wire has it: 48 bits.
pub(super) fn time_octets(time_s: u64) -> [u8; 6] {
    let [_, _, octets @ ..] = time_s.to_be_bytes();
    octets
}

/// Appends a TSIG record and counts it.
pub(super) fn append(
    message: &mut Vec<u8>,
    key_name: &Name,
    algorithm: &[u8],
    variables: &Variables<'_>,
    mac: &[u8],
) {
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

/// Octets of a TSIG record whose variable parts have these many.
pub(super) fn record_len(key_name: &Name, algorithm: usize, mac: usize, other: usize) -> usize {
    key_name.len() + FIXED_LEN + rdata_len(algorithm, mac, other)
}

/// Octets of a TSIG's rdata: three fields vary, the other six have 16 octets.
fn rdata_len(algorithm: usize, mac: usize, other: usize) -> usize {
    algorithm + 16 + mac + other
}
