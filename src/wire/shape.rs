//! The shapes of rdata that the library has no parser for, or one that takes what is none: which fields they have, in their
//! order.
//!
//! One table with two readers: octets of a message are held against it here, and a zone file's text is read by it. A type
//! that stands in neither the library nor this table is octets (RFC 3597).

use domain::rdata::dnssec::RtypeBitmap;

use super::{Rtype, name_in_message, u32_at};

/// The rdata of a type.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    /// What it consists of.
    pub fields: &'static [Field],
    /// How it is written, for errors.
    pub form: &'static str,
}

/// A field of rdata. What is said to go on "to the end" is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// A number of one, two, four or eight octets.
    Number(usize),
    /// The type of a certificate (RFC 4398 section 2.1): two octets, written as a number or a word.
    CertificateType,
    /// The algorithm of a key (RFC 4034 appendix A.1): one octet, written as a number or a word.
    Algorithm,
    /// A record type.
    Rtype,
    /// A name. Old messages may have it compressed (RFC 3597 section 4).
    Name,
    /// A character-string (RFC 1035 section 3.3).
    Text,
    /// One that has letters and digits alone, and one at least (RFC 8659 section 4.1).
    Tag,
    /// One that may be missing.
    OptionalText,
    /// One or more to the end.
    Texts,
    /// An IPv4 address.
    Ipv4,
    /// So many octets, written in groups of so many octets with a character between them.
    Groups(usize, usize, char),
    /// Octets to the end, written as text.
    Rest,
    /// Octets to the end, written in hexadecimal digits.
    Hex,
    /// Octets to the end, written in hexadecimal digits that may have dots between them and 0x before (RFC 1706 section 6).
    DottedHex,
    /// Octets to the end, written in base64.
    Base64,
    /// A list of types to the end, as in NSEC (RFC 4034 section 4.1.2).
    Types,
    /// A place on earth (RFC 1876).
    Location,
    /// A list of address prefixes to the end (RFC 3123).
    Prefixes,
    /// A host identity, its key and the names of its servers (RFC 8005 section 5).
    HostIdentity,
}

/// The shape of a type's rdata, if it is one of those.
pub fn shape(rtype: Rtype) -> Option<&'static Shape> {
    use Field::{
        Algorithm, Base64, CertificateType, DottedHex, Groups, Hex, HostIdentity, Ipv4, Location, Name,
        Number, OptionalText, Prefixes, Rest, Tag, Text, Texts, Types,
    };
    macro_rules! shape {
        ($form:literal, $($field:expr),+) => {{
            const SHAPE: &Shape = &Shape { fields: &[$($field),+], form: $form };
            SHAPE
        }};
    }
    Some(match rtype {
        Rtype::AFSDB => shape!("SUBTYPE HOST", Number(2), Name),
        Rtype::X25 => shape!("ADDRESS", Text),
        Rtype::ISDN => shape!("ADDRESS [SUBADDRESS]", Text, OptionalText),
        Rtype::RT | Rtype::KX | Rtype::LP => shape!("PREFERENCE HOST", Number(2), Name),
        Rtype::NSAP => shape!("0xHEX", DottedHex),
        Rtype::NSAPPTR => shape!("NAME", Name),
        Rtype::KEY | Rtype::RKEY => {
            shape!("FLAGS PROTOCOL ALGORITHM BASE64", Number(2), Number(1), Algorithm, Base64)
        }
        Rtype::PX => shape!("PREFERENCE MAP822 MAPX400", Number(2), Name, Name),
        Rtype::GPOS => shape!("LONGITUDE LATITUDE ALTITUDE", Text, Text, Text),
        Rtype::LOC => shape!(
            "DEGREES [MINUTES [SECONDS]] N|S DEGREES [MINUTES [SECONDS]] E|W ALTITUDEm [SIZEm [HORIZONTALm [VERTICALm]]]",
            Location
        ),
        Rtype::EID | Rtype::NIMLOC => shape!("HEX", Hex),
        Rtype::CERT => shape!("TYPE TAG ALGORITHM BASE64", CertificateType, Number(2), Algorithm, Base64),
        Rtype::SINK => shape!("MEANING CODING SUBCODING BASE64", Number(1), Number(1), Number(1), Base64),
        Rtype::APL => shape!("[!]FAMILY:ADDRESS/PREFIX ...", Prefixes),
        Rtype::SSHFP => shape!("ALGORITHM FINGERPRINT-TYPE HEX", Number(1), Number(1), Hex),
        Rtype::DHCID | Rtype::OPENPGPKEY => shape!("BASE64", Base64),
        Rtype::TLSA | Rtype::SMIMEA => {
            shape!("USAGE SELECTOR MATCHING HEX", Number(1), Number(1), Number(1), Hex)
        }
        Rtype::HIP => shape!("ALGORITHM HIT-IN-HEX KEY-IN-BASE64 [SERVER ...]", HostIdentity),
        Rtype::TXT | Rtype::NINFO | Rtype::SPF | Rtype::AVC | Rtype::RESINFO | Rtype::WALLET | Rtype::CLA => {
            shape!("\"TEXT\" ...", Texts)
        }
        Rtype::TALINK => shape!("PREVIOUS NEXT", Name, Name),
        Rtype::CSYNC => shape!("SERIAL FLAGS TYPE ...", Number(4), Number(2), Types),
        Rtype::DSYNC => shape!("TYPE SCHEME PORT TARGET", Field::Rtype, Number(1), Number(2), Name),
        Rtype::NID | Rtype::L64 => {
            shape!("PREFERENCE HHHH:HHHH:HHHH:HHHH", Number(2), Groups(8, 2, ':'))
        }
        Rtype::L32 => shape!("PREFERENCE ADDRESS", Number(2), Ipv4),
        Rtype::EUI48 => shape!("HH-HH-HH-HH-HH-HH", Groups(6, 1, '-')),
        Rtype::EUI64 => shape!("HH-HH-HH-HH-HH-HH-HH-HH", Groups(8, 1, '-')),
        Rtype::URI => shape!("PRIORITY WEIGHT \"TARGET\"", Number(2), Number(2), Rest),
        Rtype::CAA => shape!("FLAGS TAG \"VALUE\"", Number(1), Tag, Rest),
        Rtype::IPN => shape!("NUMBER", Number(8)),
        Rtype::TA | Rtype::DLV => {
            shape!("KEY-TAG ALGORITHM DIGEST-TYPE HEX", Number(2), Algorithm, Number(1), Hex)
        }
        _ => return None,
    })
}

impl Shape {
    /// The octets from `start` to `end` of a message with every name uncompressed; `None` if they are not of this shape.
    pub(super) fn expand(&self, message: &[u8], start: usize, end: usize) -> Option<Vec<u8>> {
        let mut walk = Walk { message, at: start, end, out: Vec::with_capacity(end.checked_sub(start)?) };
        self.fields.iter().try_for_each(|&field| walk.field(field))?;
        (walk.at == end).then_some(walk.out)
    }
}

/// Whether it may be the tag of a CAA record (RFC 8659 section 4.1).
pub fn is_tag(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_alphanumeric)
}

/// Whether names in the rdata of a type are compared without regard to case (RFC 4034 section 6.2, of the types here).
pub(super) fn names_fold(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::AFSDB | Rtype::RT | Rtype::PX | Rtype::KX)
}

/// Uncompressed rdata of this shape with its names in lower case.
pub(super) fn folded(shape: &Shape, rdata: &[u8]) -> Vec<u8> {
    let mut walk = Walk { message: rdata, at: 0, end: rdata.len(), out: Vec::with_capacity(rdata.len()) };
    for &field in shape.fields {
        let from = walk.out.len();
        if walk.field(field).is_none() {
            return rdata.to_vec();
        }
        if field == Field::Name {
            walk.out.get_mut(from..).unwrap_or_default().make_ascii_lowercase();
        }
    }
    walk.out
}

struct Walk<'m> {
    message: &'m [u8],
    at: usize,
    end: usize,
    out: Vec<u8>,
}

impl Walk<'_> {
    fn left(&self) -> &[u8] {
        self.message.get(self.at..self.end).unwrap_or_default()
    }

    /// Copies so many octets.
    fn octets(&mut self, count: usize) -> Option<()> {
        let octets = self.message.get(self.at..self.end)?.get(..count)?;
        self.out.extend_from_slice(octets);
        self.at += count;
        Some(())
    }

    fn text(&mut self) -> Option<()> {
        let len = usize::from(*self.left().first()?);
        self.octets(1 + len)
    }

    fn name(&mut self) -> Option<()> {
        let (name, after) =
            name_in_message(self.message, self.at).ok().filter(|(_, after)| *after <= self.end)?;
        self.out.extend_from_slice(name.as_slice());
        self.at = after;
        Some(())
    }

    fn field(&mut self, field: Field) -> Option<()> {
        match field {
            Field::Number(octets) | Field::Groups(octets, _, _) => self.octets(octets),
            Field::Algorithm => self.octets(1),
            Field::CertificateType | Field::Rtype => self.octets(2),
            Field::Ipv4 => self.octets(4),
            Field::Name => self.name(),
            Field::Text => self.text(),
            Field::Tag => {
                let from = self.out.len() + 1;
                self.text()?;
                is_tag(self.out.get(from..)?).then_some(())
            }
            Field::OptionalText if self.left().is_empty() => Some(()),
            Field::OptionalText => self.text(),
            Field::Texts => {
                self.text()?;
                while !self.left().is_empty() {
                    self.text()?;
                }
                Some(())
            }
            Field::Rest | Field::Hex | Field::DottedHex | Field::Base64 => self.octets(self.left().len()),
            Field::Types => {
                RtypeBitmap::from_octets(self.left()).ok()?;
                self.octets(self.left().len())
            }
            Field::Location => self.location(),
            Field::Prefixes => {
                while !self.left().is_empty() {
                    self.prefix()?;
                }
                Some(())
            }
            Field::HostIdentity => {
                let [hit, _, key @ ..] = *self.left().first_chunk::<4>()?;
                let key = usize::from(u16::from_be_bytes(key));
                let has_both = hit > 0 && key > 0;
                has_both.then_some(())?;
                self.octets(4 + usize::from(hit) + key)?;
                while !self.left().is_empty() {
                    self.name()?;
                }
                Some(())
            }
        }
    }

    /// Of another version than 0 nothing is known (RFC 1876 section 2).
    fn location(&mut self) -> Option<()> {
        let left = self.left();
        if *left.first()? != 0 {
            return self.octets(left.len());
        }
        let sizes = left.get(1..4)?.iter().all(|size| size >> 4 <= 9 && size & 15 <= 9);
        let within =
            |at, degrees: u32| u32_at(left, at).map(|angle| angle.abs_diff(1 << 31) <= degrees * 3_600_000);
        (sizes && within(4, 90)? && within(8, 180)?).then_some(())?;
        self.octets(16)
    }

    /// An item of an APL. Octets of the address that are zero at its end are left out (RFC 3123 section 4).
    fn prefix(&mut self) -> Option<()> {
        let [family @ .., prefix, len] = *self.left().first_chunk::<4>()?;
        let len = usize::from(len & 0x7F);
        let address = self.left().get(4..)?.get(..len)?;
        let bits = match u16::from_be_bytes(family) {
            1 => 32,
            2 => 128,
            _ => return self.octets(4 + len),
        };
        let is_whole = prefix <= bits && len * 8 <= usize::from(bits) && address.last() != Some(&0);
        is_whole.then_some(())?;
        self.octets(4 + len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Class, RawRecord, canonical_rdata, expand_rdata, same_rdata};

    fn expand(rtype: Rtype, rdata: &[u8]) -> Option<Vec<u8>> {
        let record = RawRecord { start: 0, rtype, class: Class::IN, ttl: 0, rdata: 0..rdata.len() };
        expand_rdata(rdata, &record).ok()
    }

    #[test]
    fn octets_are_held_against_the_shape_of_their_type() {
        const LOC: [u8; 16] = [0, 0x12, 0x16, 0x13, 0x8B, 0, 0, 0, 0x80, 0, 0, 0, 0, 0x98, 0x96, 0x80];
        let patched = |at: usize, octet| {
            let mut loc = LOC;
            loc[at] = octet;
            loc
        };
        for (rtype, rdata, is_good) in [
            (Rtype::AFSDB, &b"\x00\x01\x01a\x00"[..], true),
            (Rtype::AFSDB, b"\x00\x01\x01a", false),
            (Rtype::AFSDB, b"\x00\x01\x01a\x00\x00", false),
            (Rtype::ISDN, b"\x01a", true),
            (Rtype::ISDN, b"\x01a\x01b", true),
            (Rtype::ISDN, b"\x01a\x01b\x01c", false),
            (Rtype::ISDN, b"", false),
            (Rtype::SPF, b"\x01a\x00", true),
            (Rtype::SPF, b"", false),
            (Rtype::SPF, b"\x02a", false),
            (Rtype::CAA, b"\x00\x05issueca", true),
            (Rtype::CAA, b"\x00\x00ca", false),
            (Rtype::CAA, b"\x00\x03a-b", false),
            (Rtype::TXT, b"", false),
            (Rtype::EUI48, b"123456", true),
            (Rtype::EUI48, b"12345", false),
            (Rtype::URI, b"\x00\x01\x00\x01", true),
            (Rtype::URI, b"\x00\x01\x00", false),
            (Rtype::CSYNC, b"\x00\x00\x00\x01\x00\x03\x00\x01\x62", true),
            (Rtype::CSYNC, b"\x00\x00\x00\x01\x00\x03\x00\x00", false),
            (Rtype::LOC, &LOC, true),
            (Rtype::LOC, LOC.get(..15).unwrap(), false),
            (Rtype::LOC, &patched(1, 0xA0), false),
            (Rtype::LOC, &patched(4, 0xFF), false),
            (Rtype::LOC, b"\x01unknown", true),
            (Rtype::APL, b"", true),
            (Rtype::APL, b"\x00\x01\x18\x83\x0a\x00\x01", true),
            (Rtype::APL, b"\x00\x01\x18\x03\x0a\x00\x00", false),
            (Rtype::APL, b"\x00\x01\x21\x01\x0a", false),
            (Rtype::APL, b"\x00\x01\x08\x02\x0a", false),
            (Rtype::HIP, b"\x01\x02\x00\x01\xAA\xBB\x01a\x00", true),
            (Rtype::HIP, b"\x00\x02\x00\x01\xBB", false),
            (Rtype::HIP, b"\x01\x02\x00\x01\xAA\xBB\x01a", false),
            (Rtype::IPN, &[0; 8], true),
            (Rtype::IPN, &[0; 7], false),
        ] {
            let found = expand(rtype, rdata);
            assert_eq!(found.as_deref(), is_good.then_some(rdata), "{rtype} {rdata:?}");
        }
    }

    #[test]
    fn names_of_old_types_are_expanded_and_compared_without_regard_to_case() {
        let message = b"\x07example\x00\x00\x01\x01A\xC0\x00";
        let rdata = 9..message.len();
        let record = RawRecord { start: 9, rtype: Rtype::AFSDB, class: Class::IN, ttl: 0, rdata };
        assert_eq!(expand_rdata(message, &record).unwrap(), b"\x00\x01\x01A\x07example\x00");
        assert!(same_rdata(Rtype::AFSDB, b"\x00\x01\x01A\x00", b"\x00\x01\x01a\x00"));
        assert!(!same_rdata(Rtype::LP, b"\x00\x01\x01A\x00", b"\x00\x01\x01a\x00"), "not in RFC 4034's list");
        assert_eq!(
            *canonical_rdata(Rtype::AFSDB, b"\x00\x41\x01A\x00"),
            *b"\x00\x41\x01a\x00",
            "a number is none"
        );
        assert_eq!(*canonical_rdata(Rtype::AFSDB, b"\x00\x41\x05A\x00"), *b"\x00\x41\x05A\x00");
    }
}
