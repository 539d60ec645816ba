//! SVCB and HTTPS as text (RFC 9460 section 2.1). Values of named keys are the library's to read; of its list of parameters it
//! would refuse every key with a 9 in it, and take the octets behind `key1=` for the text behind `alpn=`.

use std::collections::BTreeMap;

use domain::base::iana::SvcParamKey;
use domain::base::scan::Scanner as _;
use domain::dep::octseq::Parser;
use domain::rdata::svcb::value::AllValues;
use domain::rdata::svcb::{ComposeSvcParamValue as _, ParseSvcParamValue as _, ScanSvcParamValue as _};

use super::ZoneFault;
use super::fields::Fields;

/// `mandatory`, the keys that a client has to know (RFC 9460 section 8).
const MANDATORY: u16 = 0;

/// Priority, target and parameters, each key once; in rdata they are in the order of their numbers (section 2.2).
pub(super) fn read(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), ZoneFault> {
    out.extend_from_slice(&fields.number::<u16>()?.to_be_bytes());
    out.extend_from_slice(fields.name()?.as_slice());
    let mut params = BTreeMap::new();
    while fields.peek().is_some() {
        let (key, value) = param(fields)?;
        if params.insert(key, value).is_some() {
            return Err(ZoneFault::expected("each key once"));
        }
    }
    let (mandatory, _) = params.get(&MANDATORY).map_or(&[][..], Vec::as_slice).as_chunks::<2>();
    if mandatory.iter().any(|&key| !params.contains_key(&u16::from_be_bytes(key))) {
        return Err(ZoneFault::expected("a value for each key that `mandatory` lists"));
    }
    for (key, value) in params {
        let octets = u16::try_from(value.len()).map_err(|_| ZoneFault::LongRdata)?;
        out.extend_from_slice(&key.to_be_bytes());
        out.extend_from_slice(&octets.to_be_bytes());
        out.extend_from_slice(&value);
    }
    Ok(())
}

/// `KEY` or `KEY=VALUE`: the key's number, and the value as rdata has it.
fn param(fields: &mut Fields<'_, '_>) -> Result<(u16, Vec<u8>), ZoneFault> {
    let text = fields.scan_svcb_octets()?;
    let equals = text.iter().position(|&octet| octet == b'=').unwrap_or(text.len());
    let (key, value) = (text.get(..equals).unwrap_or_default(), text.get(equals + 1..).unwrap_or_default());
    if let Some(number) = number(key) {
        // What stands behind a number is the value itself; of a known key it has to be one.
        let (key, mut parser) = (SvcParamKey::from_int(number), Parser::from_ref(value));
        let is_value = AllValues::<&[u8]>::parse_value(key, &mut parser).is_ok() && parser.remaining() == 0;
        return is_value.then(|| (number, value.to_vec())).ok_or(ZoneFault::Malformed);
    }
    let is_lower = !key.iter().any(u8::is_ascii_uppercase);
    let key = SvcParamKey::from_mnemonic(key).filter(|_| is_lower);
    let key = key.ok_or(ZoneFault::expected("a key such as alpn, port or key65280"))?;
    let value =
        AllValues::<Vec<u8>>::value_from_scan_octets(fields, key, value)?.ok_or(ZoneFault::Malformed)?;
    let mut composed = Vec::new();
    // Composing into a Vec cannot run out of room.
    _ = value.compose_value(&mut composed);
    Ok((key.to_int(), composed))
}

/// The number in `keyNNNNN`, which has no zeros in front.
fn number(key: &[u8]) -> Option<u16> {
    let digits = key.strip_prefix(b"key")?;
    let is_number = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || !digits.starts_with(b"0"));
    str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::wire::Rtype;

    #[test]
    fn parameters() {
        let read = |text: &str| crate::zone::file::rdata(Rtype::SVCB, text.as_bytes());
        for (text, wanted) in [
            ("0 a.", &b"\x00\x00\x01a\x00"[..]),
            ("1 . key9=\"\\000\\029\"", b"\x00\x01\x00\x00\x09\x00\x02\x00\x1D"),
            ("1 . key65299=a", b"\x00\x01\x00\xFF\x13\x00\x01a"),
            ("1 . key667=\"a\\210 b\"", b"\x00\x01\x00\x02\x9B\x00\x04a\xD2 b"),
            ("1 . key1=\"\\002h2\"", b"\x00\x01\x00\x00\x01\x00\x03\x02h2"),
            ("1 . alpn=h2", b"\x00\x01\x00\x00\x01\x00\x03\x02h2"),
            ("1 . port=1 mandatory=port", b"\x00\x01\x00\x00\x00\x00\x02\x00\x03\x00\x03\x00\x02\x00\x01"),
            ("1 . key19 mandatory=key19", b"\x00\x01\x00\x00\x00\x00\x02\x00\x13\x00\x13\x00\x00"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in [
            "1",
            "1 . \"\"",
            "1 . =a",
            "1 . key=a",
            "1 . key09=a",
            "1 . key65536=a",
            "1 . key-1=a",
            "1 . KEY7=a",
            "1 . ALPN=h2",
            "1 . unknown=a",
            "1 . key1=h2",
            "1 . key3=a",
            "1 . alpn=h2 key1=\"\\002h2\"",
            "1 . mandatory=port",
            "1 . mandatory=mandatory",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
