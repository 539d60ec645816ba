//! What single words say: names, numbers, times, octets, classes and types.

use domain::dep::octseq::array::Array;

use super::ZoneFault;
use super::entries::Word;
use crate::wire::{Class, Name, Rtype};

/// The longest name and label, octets (RFC 1035 section 2.3.4).
const NAME_OCTETS_MAX: usize = 255;
const LABEL_OCTETS_MAX: usize = 63;

/// A name that was read. It lives on the stack: a file has many, and most are looked up or copied at once.
pub(super) type ShortName = domain::base::Name<Array<NAME_OCTETS_MAX>>;

/// Octets of a word, its escapes undone (RFC 1035 section 5.1), each with whether it was written plainly.
struct Unescaped<'t> {
    text: &'t [u8],
    is_quoted: bool,
}

impl Iterator for Unescaped<'_> {
    type Item = Result<(u8, bool), ZoneFault>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&octet, rest) = self.text.split_first()?;
        self.text = rest;
        match octet {
            b'\\' => Some(self.escaped().map(|octet| (octet, false)).ok_or(ZoneFault::Escape)),
            b'\t' if self.is_quoted => Some(Ok((octet, true))),
            0..0x20 | 0x7F => Some(Err(ZoneFault::Control { octet })),
            _ => Some(Ok((octet, true))),
        }
    }
}

impl Unescaped<'_> {
    /// What stands behind a backslash: three digits, or whatever it is.
    fn escaped(&mut self) -> Option<u8> {
        let (&first, rest) = self.text.split_first()?;
        if !first.is_ascii_digit() {
            self.text = rest;
            return Some(first);
        }
        let (digits, rest) = self.text.split_at_checked(3)?;
        self.text = rest;
        let number = digits.iter().try_fold(0_u16, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0'))
        })?;
        u8::try_from(number).ok()
    }
}

/// Appends the octets that a word stands for.
pub(super) fn unescape(word: &Word<'_>, out: &mut Vec<u8>) -> Result<(), ZoneFault> {
    for octet in (Unescaped { text: word.text, is_quoted: word.is_quoted }) {
        out.push(octet?.0);
    }
    Ok(())
}

/// The name that a word stands for; `@` alone, and what has no closing dot, by the origin.
pub(super) fn name(word: &Word<'_>, origin: &Name) -> Result<ShortName, ZoneFault> {
    let fault = |fault: ZoneFault| Err(fault);
    let mut wire = NameBuffer { octets: [0; NAME_OCTETS_MAX], len: 0 };
    if word.is("@") {
        return wire.finish(origin.as_slice());
    }
    if word.text == b"." {
        return wire.finish(&[0]);
    }
    if word.text.is_empty() {
        return fault(ZoneFault::EmptyLabel);
    }
    // Where the length of the label goes that is being read.
    let mut label = wire.push(0)?;
    for octet in (Unescaped { text: word.text, is_quoted: word.is_quoted }) {
        let (octet, is_plain) = octet?;
        let label_octets = wire.len - label - 1;
        if octet == b'.' && is_plain {
            wire.close(label, label_octets)?;
            label = wire.push(0)?;
            continue;
        }
        if label_octets == LABEL_OCTETS_MAX {
            return fault(ZoneFault::LongLabel);
        }
        wire.push(octet)?;
    }
    let label_octets = wire.len - label - 1;
    if label_octets == 0 {
        // The closing dot has been read: the place kept for one label more is the root's.
        wire.len = label;
        return wire.finish(&[0]);
    }
    wire.close(label, label_octets)?;
    wire.finish(origin.as_slice())
}

struct NameBuffer {
    octets: [u8; NAME_OCTETS_MAX],
    len: usize,
}

impl NameBuffer {
    /// Appends an octet, and says where it is.
    fn push(&mut self, octet: u8) -> Result<usize, ZoneFault> {
        *self.octets.get_mut(self.len).ok_or(ZoneFault::LongName)? = octet;
        self.len += 1;
        Ok(self.len - 1)
    }

    /// Says how long the label at `label` has become.
    fn close(&mut self, label: usize, octets: usize) -> Result<(), ZoneFault> {
        let place = self.octets.get_mut(label).filter(|_| octets > 0).ok_or(ZoneFault::EmptyLabel)?;
        *place = u8::try_from(octets).map_err(|_| ZoneFault::LongLabel)?;
        Ok(())
    }

    /// The name, with these labels behind it.
    fn finish(&mut self, rest: &[u8]) -> Result<ShortName, ZoneFault> {
        let end = self.len + rest.len();
        self.octets.get_mut(self.len..end).ok_or(ZoneFault::LongName)?.copy_from_slice(rest);
        let octets = Array::try_from(self.octets.get(..end).unwrap_or_default());
        let name = octets.ok().and_then(|octets| domain::base::Name::from_octets(octets).ok());
        name.ok_or(ZoneFault::LongName)
    }
}

/// A decimal number; `None` if it is none, or does not fit.
pub(super) fn number<T: TryFrom<u64>>(word: &Word<'_>) -> Option<T> {
    if word.text.is_empty() || !word.text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = word
        .text
        .iter()
        .try_fold(0_u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    T::try_from(number?).ok()
}

/// A time: seconds, or numbers that have a unit each, as BIND writes them (`1h30m`, `2W`). `None` for any other word; the
/// seconds may be more than a TTL can be.
pub(super) fn seconds(word: &Word<'_>) -> Option<u64> {
    if !word.text.first()?.is_ascii_digit() || word.is_quoted {
        return None;
    }
    if let Some(seconds) = number(word) {
        return Some(seconds);
    }
    let (mut total, mut rest) = (0_u64, word.text);
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
        let (count, after) = rest.split_at_checked(digits)?;
        let (unit, after) = after.split_first()?;
        let unit_s = match unit.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 24 * 3_600,
            b'w' => 7 * 24 * 3_600,
            _ => return None,
        };
        let count: u32 = number(&Word { text: count, ..*word })?;
        total = total.checked_add(u64::from(count) * unit_s)?;
        rest = after;
    }
    Some(total)
}

/// Whether a word is a class. `ANY` and `NONE` are no classes that a record could have, and `ANY` is a type too.
pub(super) fn is_class(word: &Word<'_>) -> bool {
    let class = Class::from_bytes(word.text).filter(|_| is_plain(word));
    class.is_some_and(|class| !matches!(class, Class::ANY | Class::NONE))
}

/// Whether a word may be a class or a type: the library takes `TYPE+1` for one.
fn is_plain(word: &Word<'_>) -> bool {
    !word.is_quoted && !word.text.contains(&b'+')
}

/// The type that a word names.
pub(super) fn rtype(word: &Word<'_>) -> Result<Rtype, ZoneFault> {
    // The library has it without its hyphen.
    let rtype = if word.is("NSAP-PTR") { Some(Rtype::NSAPPTR) } else { Rtype::from_bytes(word.text) };
    rtype.filter(|_| is_plain(word)).ok_or_else(|| {
        let text = word.shown();
        let is_word = !is_class(word)
            && text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        if is_word { ZoneFault::UnknownType { text } } else { ZoneFault::NotAType { text } }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word<'_> {
        Word { at: 0, text: text.as_bytes(), is_quoted: false, is_joined: false }
    }

    #[test]
    fn names() {
        let origin = Name::bytes_from_str("o.").unwrap();
        let (label, long) = ("a".repeat(63), ["a".repeat(63).as_str(); 3].join("."));
        let whole = format!("{long}.{}.", "a".repeat(61));
        let whole_wire =
            [&[b"\x3F", label.as_bytes()].concat().repeat(3), &b"\x3D"[..], &[b'a'; 61], b"\x00"].concat();
        for (text, wanted) in [
            ("@", Ok(&b"\x01o\x00"[..])),
            (".", Ok(b"\x00")),
            ("A.b", Ok(b"\x01A\x01b\x01o\x00")),
            ("a.", Ok(b"\x01a\x00")),
            ("a\\.b.", Ok(b"\x03a.b\x00")),
            ("\\@.\\000\\255.", Ok(b"\x01@\x02\x00\xFF\x00")),
            ("\u{e9}.", Ok(b"\x02\xC3\xA9\x00")),
            (&whole, Ok(&whole_wire)),
            ("", Err(ZoneFault::EmptyLabel)),
            ("a..b", Err(ZoneFault::EmptyLabel)),
            ("..", Err(ZoneFault::EmptyLabel)),
            (".a", Err(ZoneFault::EmptyLabel)),
            (&format!("{label}a"), Err(ZoneFault::LongLabel)),
            (&format!("b.{whole}"), Err(ZoneFault::LongName)),
            (&format!("{long}.{}", "a".repeat(60)), Err(ZoneFault::LongName)),
            (&format!("{whole}a"), Err(ZoneFault::LongName)),
            ("\\256", Err(ZoneFault::Escape)),
            ("\\25", Err(ZoneFault::Escape)),
            ("\\2a5", Err(ZoneFault::Escape)),
            ("a\\", Err(ZoneFault::Escape)),
            ("a\u{1}", Err(ZoneFault::Control { octet: 1 })),
        ] {
            let found = name(&word(text), &origin);
            assert_eq!(
                found.as_ref().map(|name| name.as_slice()),
                wanted.as_ref().map(|wire| &wire[..]),
                "{text}"
            );
        }
        let quoted = Word { is_quoted: true, ..word("@") };
        assert_eq!(name(&quoted, &origin).unwrap().as_slice(), b"\x01@\x01o\x00");
    }

    #[test]
    fn times() {
        for (text, wanted) in [
            ("0", Some(0)),
            ("3600", Some(3600)),
            ("1h", Some(3600)),
            ("1w2D3h4M5s", Some(788_645)),
            ("5000000000", Some(5_000_000_000)),
            ("1h30", None),
            ("h", None),
            ("1x", None),
            ("1hh", None),
            ("99999999999s", None),
            ("18446744073709551616", None),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(seconds(&word(text)), wanted, "{text}");
        }
    }
}
