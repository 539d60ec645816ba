//! Records as they lie in a message (RFC 1035 section 4.1.3): found without copying, expanded when they are kept.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;

use domain::base::ParsedName;
use domain::base::rdata::{ComposeRecordData, ParseAnyRecordData};
use domain::dep::octseq::Parser;
use domain::rdata::AllRecordData;

use super::shape::{folded, names_fold, shape};
use super::{Class, Rtype, WireError, u16_at, u32_at};

/// One record's fields, its owner and rdata still in the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecord {
    /// Where the owner name starts.
    pub start: usize,
    /// The record's type.
    pub rtype: Rtype,
    /// The record's class; in an UPDATE it tells adding from deleting (RFC 2136 section 2.5).
    pub class: Class,
    /// Seconds, or whatever the type makes of the field.
    pub ttl: u32,
    /// Where the rdata lies.
    pub rdata: Range<usize>,
}

impl RawRecord {
    /// Where the next record starts.
    pub fn end(&self) -> usize {
        self.rdata.end
    }
}

/// Where the octets after the name at `at` start; compression pointers end a name and are not followed.
pub fn skip_name(message: &[u8], at: usize) -> Result<usize, WireError> {
    let mut pos = at;
    loop {
        let len = *message.get(pos).ok_or(WireError::Short { at: pos })?;
        match len {
            0 => return Ok(pos + 1),
            1..=63 => pos += 1 + usize::from(len),
            // A pointer: two octets.
            192..=255 => {
                return if pos + 2 <= message.len() {
                    Ok(pos + 2)
                } else {
                    Err(WireError::Short { at: pos })
                };
            }
            _ => return Err(WireError::BadName { at }),
        }
        // 255 octets are the most that a name may have, however it is cut short by a pointer.
        if pos - at > super::name::NAME_MAX {
            return Err(WireError::BadName { at });
        }
    }
}

/// Where the compression pointer leads to that ends the name at `at`, if one does and the name can be read that far.
pub fn pointer_in(message: &[u8], at: usize) -> Option<usize> {
    let mut pos = at;
    loop {
        match *message.get(pos)? {
            0 => return None,
            len @ 1..=63 => pos += 1 + usize::from(len),
            192..=255 => return Some(usize::from(u16_at(message, pos)? & 0x3FFF)),
            _ => return None,
        }
    }
}

/// Reads the record that starts at `at`.
pub fn read_record(message: &[u8], at: usize) -> Result<RawRecord, WireError> {
    let fixed = skip_name(message, at)?;
    let short = WireError::Short { at: fixed };
    let rtype = Rtype::from_int(u16_at(message, fixed).ok_or(short)?);
    let class = Class::from_int(u16_at(message, fixed + 2).ok_or(short)?);
    let ttl = u32_at(message, fixed + 4).ok_or(short)?;
    let len = usize::from(u16_at(message, fixed + 8).ok_or(short)?);
    let rdata = fixed + 10..fixed + 10 + len;
    if rdata.end > message.len() {
        return Err(WireError::Short { at: rdata.start });
    }
    Ok(RawRecord { start: at, rtype, class, ttl, rdata })
}

/// A record's rdata with every name in it uncompressed, checked to be what its type says. Types without a parser are
/// kept as they are (RFC 3597).
pub fn expand_rdata(message: &[u8], record: &RawRecord) -> Result<Vec<u8>, WireError> {
    let bad = WireError::BadRdata { at: record.rdata.start, rtype: record.rtype };
    if let Some(shape) = shape(record.rtype) {
        return shape.expand(message, record.rdata.start, record.rdata.end).ok_or(bad);
    }
    let mut parser = Parser::from_ref(message);
    parser.advance(record.rdata.start).map_err(|_| bad)?;
    let mut parser = parser.parse_parser(record.rdata.len()).map_err(|_| bad)?;
    let data =
        AllRecordData::<_, ParsedName<_>>::parse_any_rdata(record.rtype, &mut parser).map_err(|_| bad)?;
    if parser.remaining() != 0 {
        return Err(bad);
    }
    let mut out = Vec::with_capacity(record.rdata.len());
    // Composing into a Vec cannot run out of room.
    data.compose_rdata(&mut out).map_err(|_| bad)?;
    Ok(out)
}

/// Whether two pieces of uncompressed rdata are the same record's (RFC 2136 section 1.1.1): octet for octet, but for the
/// case of names in types of which names are compared so (RFC 4034 section 6.2). Unknown types have no names.
pub fn same_rdata(rtype: Rtype, one: &[u8], other: &[u8]) -> bool {
    if one == other {
        return true;
    }
    if one.len() != other.len() || !one.eq_ignore_ascii_case(other) {
        return false;
    }
    canonical_rdata(rtype, one) == canonical_rdata(rtype, other)
}

/// Uncompressed rdata in the one form that all spellings of a record share: what [`same_rdata`] calls equal is equal octet
/// for octet. Rdata that is not its type's stays as it is.
pub fn canonical_rdata(rtype: Rtype, rdata: &[u8]) -> Cow<'_, [u8]> {
    if !rdata.iter().any(u8::is_ascii_uppercase) {
        return Cow::Borrowed(rdata);
    }
    if let Some(shape) = shape(rtype) {
        return if names_fold(rtype) { Cow::Owned(folded(shape, rdata)) } else { Cow::Borrowed(rdata) };
    }
    let mut parser = Parser::from_ref(rdata);
    let mut out = Vec::with_capacity(rdata.len());
    let data = AllRecordData::<_, ParsedName<_>>::parse_any_rdata(rtype, &mut parser);
    match data.map(|data| data.compose_canonical_rdata(&mut out)) {
        Ok(Ok(())) => Cow::Owned(out),
        _ => Cow::Borrowed(rdata),
    }
}

/// The address in A or AAAA rdata (RFC 1035 section 3.4.1, RFC 3596 section 2.2): four octets, or sixteen.
pub fn address_in(rdata: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(rdata).ok().map(IpAddr::from);
    v4().or_else(|| <[u8; 16]>::try_from(rdata).ok().map(IpAddr::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_names_in_rdata_are_expanded() {
        // example. at 0, then a record: owner -> 0, MX, IN, 60, "10 mail.example." with a pointer.
        let mut message = b"\x07example\x00".to_vec();
        message
            .extend_from_slice(b"\xc0\x00\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x09\x00\x0a\x04mail\xc0\x00");
        let record = read_record(&message, 9).unwrap();
        assert_eq!((record.rtype, record.ttl, record.end()), (Rtype::MX, 60, message.len()));
        assert_eq!(expand_rdata(&message, &record).unwrap(), b"\x00\x0a\x04mail\x07example\x00");
    }

    #[test]
    fn loops_overruns_and_bad_labels_are_refused() {
        // A record whose MX exchange points at itself.
        let looping = b"\x00\x00\x0f\x00\x01\x00\x00\x00\x00\x00\x04\x00\x0a\xc0\x0d";
        let record = read_record(looping, 0).unwrap();
        assert_eq!(expand_rdata(looping, &record), Err(WireError::BadRdata { at: 11, rtype: Rtype::MX }));
        assert_eq!(skip_name(b"\x40x\x00", 0), Err(WireError::BadName { at: 0 }));
        assert_eq!(
            read_record(b"\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04\x0a", 0),
            Err(WireError::Short { at: 11 })
        );
        assert_eq!(skip_name(&[63; 400], 0), Err(WireError::BadName { at: 0 }));
    }

    #[test]
    fn rdata_longer_than_its_type_is_refused() {
        let five = b"\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x05\x0a\x00\x00\x01\x00";
        let record = read_record(five, 0).unwrap();
        assert_eq!(expand_rdata(five, &record), Err(WireError::BadRdata { at: 11, rtype: Rtype::A }));
    }

    #[test]
    fn names_in_rdata_are_compared_without_regard_to_case() {
        assert!(same_rdata(Rtype::MX, b"\x00\x0a\x04mail\x00", b"\x00\x0a\x04MAIL\x00"));
        assert!(!same_rdata(Rtype::TXT, b"\x01a", b"\x01A"), "text is text");
        assert!(!same_rdata(Rtype::from_int(65_280), b"a", b"A"), "RFC 3597 section 6: no names");
        assert!(!same_rdata(Rtype::MX, b"\x00\x0a\x04mail\x00", b"\x00\x0b\x04mail\x00"));
    }
}
