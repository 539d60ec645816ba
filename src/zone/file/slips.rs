//! What an entry that the scanner cannot read most likely means: its own messages name what it looked for, not what it found.

use std::str::FromStr;

use super::ZoneFault;
use super::entries::Entry;
use super::tokens::{Token, tokens};
use crate::wire::{Class, Rtype};

/// The fields of a SOA's rdata that are times: refresh, retry, expire and minimum (RFC 1035 section 3.3.13).
const SOA_TIMES: std::ops::RangeInclusive<usize> = 3..=6;

/// The slip in an entry that the scanner refused with `message`, if it is one that is made often, and its line.
pub(super) fn slip(entry: &Entry<'_>, message: &str) -> Option<(usize, ZoneFault)> {
    let tokens = tokens(entry.text);
    let (at, fault) = find(&tokens, message)?;
    let lines_before = entry.text.iter().take(at).filter(|&&octet| octet == b'\n').count();
    Some((entry.line + lines_before, fault))
}

fn find(tokens: &[Token<'_>], message: &str) -> Option<(usize, ZoneFault)> {
    let (first, rest) = tokens.split_first()?;
    if !first.follows_space && first.text.eq_ignore_ascii_case(b"$TTL") {
        return with_units(rest.first()?, "TTLs");
    }
    let mut fields = if first.follows_space { tokens.iter() } else { rest.iter() }.peekable();
    // One TTL and one class, in either order: at a second one the scanner stops.
    let (mut ttls, mut classes) = (0, 0);
    while let Some(token) = fields.peek() {
        ttls += u8::from(is_ttl(token));
        classes += u8::from(is_class(token));
        if ttls > 1 || classes > 1 || !(is_ttl(token) || is_class(token)) {
            break;
        }
        fields.next();
    }
    let stopped_at = fields.next()?;
    if stopped_at.rtype() == Some(Rtype::SOA) {
        let mut times = fields.enumerate().filter(|(place, _)| SOA_TIMES.contains(place));
        return times.find_map(|(_, token)| with_units(token, "the times of a SOA"));
    }
    if message != "expected rtype" {
        return None;
    }
    let text = String::from_utf8_lossy(stopped_at.text).into_owned();
    let is_word = !is_class(stopped_at)
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let fault = if is_word { ZoneFault::UnknownType { text } } else { ZoneFault::NotAType { text } };
    with_units(stopped_at, "TTLs").or(Some((stopped_at.at, fault)))
}

fn is_ttl(token: &Token<'_>) -> bool {
    token.text.iter().all(u8::is_ascii_digit)
}

fn is_class(token: &Token<'_>) -> bool {
    str::from_utf8(token.text).is_ok_and(|text| Class::from_str(text).is_ok())
}

/// The fault of a time with units, as BIND reads them: 1h, 20M, 1w2d.
fn with_units(token: &Token<'_>, what: &'static str) -> Option<(usize, ZoneFault)> {
    let text = str::from_utf8(token.text).ok()?;
    let mut total_s: u64 = 0;
    let mut rest = text;
    while let Some(at) = rest.find(|character: char| !character.is_ascii_digit()) {
        let (count, after) = rest.split_at(at);
        let unit_s = match after.as_bytes().first()?.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 24 * 3600,
            b'w' => 7 * 24 * 3600,
            _ => return None,
        };
        total_s = total_s.checked_add(u64::from(u32::from_str(count).ok()?) * unit_s)?;
        rest = after.get(1..)?;
    }
    // A plain number is left over, and so is one after the last unit.
    let fault = || ZoneFault::Units { what, text: text.to_owned(), total_s };
    (rest.is_empty() && !text.is_empty()).then(|| (token.at, fault()))
}
