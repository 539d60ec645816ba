//! Rdata as text: the library's parsers, [shapes](crate::wire::Shape) for types that it lacks, and the form of RFC 3597.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::base::iana::SecurityAlgorithm;
use domain::base::rdata::{ComposeRecordData, UnknownRecordData};
use domain::base::scan::Scanner as _;
use domain::rdata::ZoneRecordData;
use domain::rdata::dnssec::RtypeBitmap;

use super::fields::Fields;
use super::{ZoneFault, location, prefixes, svcb, words};
use crate::wire::{Class, Field, RawRecord, Rtype, Shape, expand_rdata, is_tag, shape};

/// The words for types of certificates (RFC 4398 section 2.1), by number from 1.
const CERTIFICATE_TYPES: [&str; 8] = ["PKIX", "SPKI", "PGP", "IPKIX", "ISPKI", "IPGP", "ACPKIX", "IACPKIX"];

/// How SOA rdata is written.
const SOA_FORM: &str = "SERVER MAILBOX SERIAL REFRESH RETRY EXPIRE MINIMUM";

/// Reads all of a record's fields, `composed` serving as room to work in.
pub(super) fn read(
    rtype: Rtype,
    fields: &mut Fields<'_, '_>,
    composed: &mut Vec<u8>,
) -> Result<Box<[u8]>, ZoneFault> {
    composed.clear();
    if fields.scan_opt_unknown_marker()? {
        let data = UnknownRecordData::scan_without_marker(rtype, fields)?;
        composed.extend_from_slice(data.data());
    } else if let Some(shape) = shape(rtype) {
        shape.fields.iter().try_for_each(|&field| read_field(field, fields, composed))?;
    } else if rtype == Rtype::SOA {
        read_soa(fields, composed)?;
    } else if matches!(rtype, Rtype::SVCB | Rtype::HTTPS) {
        svcb::read(fields, composed)?;
    } else if form(rtype).is_empty() {
        return Err(ZoneFault::NoForm { rtype });
    } else {
        let data = ZoneRecordData::scan(rtype, fields)?;
        // Composing into a Vec cannot run out of room.
        _ = data.compose_rdata(composed);
    }
    if fields.peek().is_some() {
        // The word is read, so that the error is about it.
        fields.word()?;
        return Err(ZoneFault::Trailing);
    }
    // Whatever the form that it was written in, it has to be what a message may hold.
    let raw = RawRecord { start: 0, rtype, class: Class::IN, ttl: 0, rdata: 0..composed.len() };
    match expand_rdata(composed, &raw) {
        Ok(rdata) if u16::try_from(rdata.len()).is_err() => Err(ZoneFault::LongRdata),
        // Names are written out: a pointer has nothing to point to (RFC 3597 section 5).
        Ok(rdata) if rdata == *composed => Ok(rdata.into()),
        _ => Err(ZoneFault::Malformed),
    }
}

/// How a type's rdata is written; empty if it has no form of its own.
pub(super) fn form(rtype: Rtype) -> &'static str {
    if let Some(Shape { form, .. }) = shape(rtype) {
        return form;
    }
    match rtype {
        Rtype::A | Rtype::AAAA => "ADDRESS",
        Rtype::CNAME | Rtype::DNAME | Rtype::NS | Rtype::PTR => "NAME",
        Rtype::MB | Rtype::MD | Rtype::MF | Rtype::MG | Rtype::MR => "NAME",
        Rtype::SOA => SOA_FORM,
        Rtype::MX => "PREFERENCE HOST",
        Rtype::HINFO => "CPU OS",
        Rtype::MINFO => "MAILBOX MAILBOX-FOR-ERRORS",
        Rtype::RP => "MAILBOX NAME-OF-TEXT",
        Rtype::SRV => "PRIORITY WEIGHT PORT TARGET",
        Rtype::NAPTR => "ORDER PREFERENCE \"FLAGS\" \"SERVICES\" \"REGEXP\" REPLACEMENT",
        Rtype::IPSECKEY => "PRECEDENCE GATEWAY-TYPE ALGORITHM GATEWAY BASE64",
        Rtype::SVCB | Rtype::HTTPS => "PRIORITY TARGET [KEY=VALUE ...]",
        // They are refused in zone files; a script for nsupdate may name them.
        Rtype::DS | Rtype::CDS => "KEY-TAG ALGORITHM DIGEST-TYPE HEX",
        Rtype::DNSKEY | Rtype::CDNSKEY => "FLAGS PROTOCOL ALGORITHM BASE64",
        Rtype::NSEC => "NEXT-NAME TYPE ...",
        Rtype::NSEC3 => "ALGORITHM FLAGS ITERATIONS SALT NEXT-HASH TYPE ...",
        Rtype::NSEC3PARAM => "ALGORITHM FLAGS ITERATIONS SALT",
        Rtype::RRSIG => "TYPE ALGORITHM LABELS TTL EXPIRATION INCEPTION KEY-TAG SIGNER BASE64",
        Rtype::ZONEMD => "SERIAL SCHEME ALGORITHM HEX",
        _ => "",
    }
}

/// SOA, which the library knows with plain seconds alone.
fn read_soa(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), ZoneFault> {
    for _ in 0..2 {
        out.extend_from_slice(fields.name()?.as_slice());
    }
    out.extend_from_slice(&fields.number::<u32>()?.to_be_bytes());
    for _ in 0..4 {
        out.extend_from_slice(&fields.seconds()?.to_be_bytes());
    }
    Ok(())
}

fn read_field(field: Field, fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), ZoneFault> {
    match field {
        Field::Number(octets) => {
            let number = fields.number::<u64>()?.to_be_bytes();
            let (above, number) = number.split_at_checked(8 - octets).unwrap_or_default();
            if above.iter().any(|&octet| octet != 0) {
                return Err(ZoneFault::expected("a number of the size of this field"));
            }
            out.extend_from_slice(number);
        }
        Field::CertificateType => {
            let place =
                fields.peek().and_then(|word| CERTIFICATE_TYPES.iter().position(|name| word.is(name)));
            let special = [(253_u16, "URI"), (254, "OID")].into_iter().find(|(_, name)| fields.take(name));
            let number = match (place.and_then(|place| u16::try_from(place + 1).ok()), special) {
                (Some(number), _) => {
                    fields.word()?;
                    number
                }
                (None, Some((number, _))) => number,
                (None, None) => fields.number()?,
            };
            out.extend_from_slice(&number.to_be_bytes());
        }
        Field::Algorithm => {
            let word = fields.word()?;
            let named = SecurityAlgorithm::from_mnemonic(word.text).map(SecurityAlgorithm::to_int);
            let algorithm = named.or_else(|| words::number(word));
            out.push(algorithm.ok_or(ZoneFault::expected("the number or the name of an algorithm"))?);
        }
        Field::Rtype => {
            let rtype = Rtype::from_bytes(&fields.octets()?).ok_or(ZoneFault::expected("a record type"))?;
            out.extend_from_slice(&rtype.to_int().to_be_bytes());
        }
        Field::Name => out.extend_from_slice(fields.name()?.as_slice()),
        Field::Text => fields.text(out)?,
        Field::Tag => {
            let from = out.len() + 1;
            fields.text(out)?;
            if !out.get(from..).is_some_and(is_tag) {
                return Err(ZoneFault::expected("a tag of letters and digits"));
            }
        }
        Field::OptionalText => {
            if fields.peek().is_some() {
                fields.text(out)?;
            }
        }
        Field::Texts => {
            fields.text(out)?;
            while fields.peek().is_some() {
                fields.text(out)?;
            }
        }
        Field::Ipv4 => {
            let text = fields.scan_string()?;
            let address =
                text.parse::<std::net::Ipv4Addr>().map_err(|_| ZoneFault::expected("an IPv4 address"))?;
            out.extend_from_slice(&address.octets());
        }
        Field::Groups(octets, group, separator) => groups(octets, group, separator, &fields.octets()?, out)?,
        Field::Rest => out.append(&mut fields.octets()?),
        Field::Hex => hex(&fields.rest()?, out)?,
        Field::DottedHex => dotted_hex(&fields.rest()?, out)?,
        Field::Base64 => base64(&fields.rest()?, out)?,
        Field::Types => out.extend_from_slice(RtypeBitmap::scan(fields)?.as_slice()),
        Field::Location => location::read(fields, out)?,
        Field::Prefixes => prefixes::read(fields, out)?,
        Field::HostIdentity => host_identity(fields, out)?,
    }
    Ok(())
}

fn hex(text: &[u8], out: &mut Vec<u8>) -> Result<(), ZoneFault> {
    let expected = || ZoneFault::expected("hexadecimal digits, two for each octet");
    let (pairs, rest) = text.as_chunks::<2>();
    if text.is_empty() || !rest.is_empty() {
        return Err(expected());
    }
    for &[high, low] in pairs {
        let digit = |octet| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        out.push(digit(high).ok_or_else(expected)? << 4 | digit(low).ok_or_else(expected)?);
    }
    Ok(())
}

/// RFC 1706 section 6.
fn dotted_hex(text: &[u8], out: &mut Vec<u8>) -> Result<(), ZoneFault> {
    let digits = text.strip_prefix(b"0x").or(text.strip_prefix(b"0X"));
    let digits = digits.ok_or(ZoneFault::expected("0x and hexadecimal digits"))?;
    hex(&digits.iter().copied().filter(|&octet| octet != b'.').collect::<Vec<_>>(), out)
}

fn base64(text: &[u8], out: &mut Vec<u8>) -> Result<(), ZoneFault> {
    BASE64.decode_vec(text, out).map_err(|_| ZoneFault::expected("base64"))
}

/// Such as an EUI-48 (RFC 7043 section 3.2) or a locator (RFC 6742 section 2.3.3): every group has all its digits, but for
/// the zeros in front of a locator's.
fn groups(
    octets: usize,
    group: usize,
    separator: char,
    text: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), ZoneFault> {
    let expected = || ZoneFault::expected("groups of hexadecimal digits");
    let (mut count, digits_min) = (0, if group == 1 { 2 } else { 1 });
    for digits in text.split(|&octet| char::from(octet) == separator) {
        if !(digits_min..=2 * group).contains(&digits.len()) {
            return Err(expected());
        }
        let zeros = b"0000".get(digits.len()..2 * group).unwrap_or_default();
        let padded = [zeros, digits].concat();
        hex(&padded, out).map_err(|_| expected())?;
        count += group;
    }
    if count == octets { Ok(()) } else { Err(expected()) }
}

/// RFC 8005 section 6.
fn host_identity(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), ZoneFault> {
    let algorithm: u8 = fields.number()?;
    let (mut tag, mut key) = (Vec::new(), Vec::new());
    hex(&fields.octets()?, &mut tag)?;
    let tag_octets = u8::try_from(tag.len()).map_err(|_| ZoneFault::LongRdata)?;
    base64(&fields.octets()?, &mut key)?;
    let key_octets = u16::try_from(key.len()).map_err(|_| ZoneFault::LongRdata)?;
    out.extend_from_slice(&[tag_octets, algorithm]);
    out.extend_from_slice(&key_octets.to_be_bytes());
    out.append(&mut tag);
    out.append(&mut key);
    while fields.peek().is_some() {
        out.extend_from_slice(fields.name()?.as_slice());
    }
    Ok(())
}
