//! `$GENERATE`: records by number, in BIND's form.
//!
//! ```text
//! $GENERATE 1-254 host-$ 1h IN A 192.0.2.$
//! $GENERATE 0-30/10 ${0,3,d}.x CNAME host-${1}
//! ```

use std::fmt::Write as _;

use super::entries::{Fault, Word};
use super::{ZoneFault, words};

/// The most records that a zone may have made.
pub(super) const RECORDS_MAX: u64 = 1 << 20;

/// How the directive is written.
pub(super) const WRITE: &str = "$GENERATE FIRST-LAST[/STEP] OWNER [TTL] [CLASS] TYPE RDATA, with $ or ${OFFSET,WIDTH,BASE} for the number";

/// The widest that a number may be padded to: no label or name takes more.
const WIDTH_MAX: usize = 255;

/// The most that a record may take as text: the longest rdata, every octet of it escaped, and more.
const RECORD_OCTETS_MAX: usize = 1 << 20;

/// The numbers that records are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    first: u32,
    last: u32,
    step: u32,
}

impl Range {
    /// `FIRST-LAST` or `FIRST-LAST/STEP`.
    pub fn read(word: &Word<'_>) -> Result<Self, ZoneFault> {
        let range = str::from_utf8(word.text).ok().and_then(|text| {
            let (range, step) = text.split_once('/').unwrap_or((text, "1"));
            let (first, last) = range.split_once('-')?;
            let number = |text: &str| {
                let number = text.parse::<i32>().ok()?;
                u32::try_from(number).ok().filter(|_| text.bytes().all(|octet| octet.is_ascii_digit()))
            };
            Some(Range { first: number(first)?, last: number(last)?, step: number(step)? })
        });
        let range = range.filter(|range| range.first <= range.last && range.step > 0);
        range.ok_or(ZoneFault::expected(
            "numbers FIRST-LAST, the first not above the last, such as 1-254 or 0-100/10",
        ))
    }

    /// How many numbers they are.
    pub fn count(&self) -> u64 {
        u64::from((self.last - self.first) / self.step) + 1
    }

    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (self.first..=self.last).step_by(self.step as usize)
    }
}

/// A directive's record, with places for the number.
pub(super) struct Template<'t> {
    pub range: Range,
    /// Where its rdata is.
    pub rdata_at: usize,
    owner: Word<'t>,
    /// What follows the owner.
    rest: Vec<u8>,
}

impl<'t> Template<'t> {
    /// Of the words behind `$GENERATE`.
    pub fn read(range: &Word<'t>, owner: &Word<'t>, rest: &[Word<'t>]) -> Result<Self, Fault> {
        let is_type = |word: &Word<'_>| !words::is_class(word) && words::seconds(word).is_none();
        let rdata_at = rest.iter().position(is_type).map_or(rest.len(), |place| place + 1);
        let (before, rdata) = rest.split_at_checked(rdata_at).unwrap_or((rest, &[]));
        let range = Range::read(range).map_err(|fault| written(range.at, range.shown(), fault))?;
        let Some(first) = rdata.first() else {
            let end = rest.last().unwrap_or(owner).end();
            return Err(written(end, String::new(), ZoneFault::Missing));
        };
        Ok(Template { range, rdata_at: first.at, owner: *owner, rest: joined(before, rdata) })
    }

    /// Appends the record for a number.
    pub fn expand(&self, number: u32, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Template { owner, rest, .. } = self;
        expand(owner.text, number, out).map_err(|fault| written(owner.at, owner.shown(), fault))?;
        out.push(b' ');
        expand(rest, number, out).map_err(|fault| written(self.rdata_at, String::new(), fault))
    }
}

fn written(at: usize, word: String, fault: ZoneFault) -> Fault {
    (at, ZoneFault::InDirective { word, fault: Box::new(fault), write: WRITE })
}

/// The words of a record behind its owner. As in BIND, rdata that is one quoted string is what stands in the quotes.
fn joined(before: &[Word<'_>], rdata: &[Word<'_>]) -> Vec<u8> {
    let mut text = before.iter().map(|word| word.text).collect::<Vec<_>>().join(&b' ');
    let is_one = rdata.len() == 1;
    for word in rdata {
        if !word.is_joined || is_one {
            text.push(b' ');
        }
        let quote: &[u8] = if word.is_quoted && !is_one { b"\"" } else { b"" };
        text.extend_from_slice(quote);
        text.extend_from_slice(word.text);
        text.extend_from_slice(quote);
    }
    text
}

/// Appends `template` with `number` put in.
fn expand(template: &[u8], number: u32, out: &mut Vec<u8>) -> Result<(), ZoneFault> {
    let mut rest = template;
    while let Some((&octet, after)) = rest.split_first() {
        if out.len() > RECORD_OCTETS_MAX {
            return Err(ZoneFault::LongRdata);
        }
        rest = after;
        match (octet, after.split_first()) {
            // Whatever is escaped stays so; for the record's own reader.
            (b'\\', Some((&next, after))) => {
                out.extend_from_slice(&[octet, next]);
                rest = after;
            }
            (b'$', Some((b'$', after))) => {
                out.push(b'$');
                rest = after;
            }
            (b'$', Some((b'{', after))) => {
                let end = after.iter().position(|&octet| octet == b'}');
                let (inner, after) = end.and_then(|end| after.split_at_checked(end)).ok_or(modifier())?;
                out.extend_from_slice(Modifier::read(inner)?.number(number)?.as_bytes());
                rest = after.get(1..).unwrap_or_default();
            }
            (b'$', _) => out.extend_from_slice(number.to_string().as_bytes()),
            _ => out.push(octet),
        }
    }
    Ok(())
}

fn modifier() -> ZoneFault {
    ZoneFault::expected("${OFFSET,WIDTH,BASE}, the width up to 255 and the base one of d, o, x, X, n and N")
}

/// What stands between the braces.
struct Modifier {
    offset: i64,
    width: usize,
    base: u8,
}

impl Modifier {
    fn read(text: &[u8]) -> Result<Self, ZoneFault> {
        let read = str::from_utf8(text).ok().and_then(|text| {
            let mut parts = text.split(',');
            let offset = i64::from(parts.next()?.parse::<i32>().ok()?);
            let width = parts.next().map_or(Some(0), |width| width.parse().ok())?;
            let base = match parts.next() {
                None => b'd',
                Some(base) => *base.as_bytes().first().filter(|_| base.len() == 1)?,
            };
            let is_known = b"doxXnN".contains(&base) && width <= WIDTH_MAX && parts.next().is_none();
            is_known.then_some(Modifier { offset, width, base })
        });
        read.ok_or_else(modifier)
    }

    fn number(&self, number: u32) -> Result<String, ZoneFault> {
        let number = u32::try_from(i64::from(number) + self.offset)
            .map_err(|_| ZoneFault::expected("an offset that leaves no number below 0"))?;
        let width = self.width;
        Ok(match self.base {
            b'o' => format!("{number:0width$o}"),
            b'x' => format!("{number:0width$x}"),
            b'X' => format!("{number:0width$X}"),
            b'n' => nibbles(number, width, false),
            b'N' => nibbles(number, width, true),
            _ => format!("{number:0width$}"),
        })
    }
}

/// Hexadecimal digits, the least first, with dots between them, as reverse names of IPv6 have them. The width counts the dots.
fn nibbles(mut number: u32, mut width: usize, is_upper: bool) -> String {
    let mut text = String::new();
    loop {
        let digit = number & 15;
        // Writing to a String cannot fail.
        _ = if is_upper { write!(text, "{digit:X}") } else { write!(text, "{digit:x}") };
        number >>= 4;
        width = width.saturating_sub(1);
        if width == 0 && number == 0 {
            return text;
        }
        text.push('.');
        width = width.saturating_sub(1);
        if width == 0 && number == 0 {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Option<Range> {
        Range::read(&Word { at: 0, text: text.as_bytes(), is_quoted: false, is_joined: false }).ok()
    }

    #[test]
    fn ranges() {
        for (text, numbers) in [
            ("1-3", &[1, 2, 3][..]),
            ("0-10/4", &[0, 4, 8]),
            ("7-7", &[7]),
            ("2147483647-2147483647", &[0x7FFF_FFFF]),
        ] {
            let range = range(text).unwrap();
            assert_eq!(range.numbers().collect::<Vec<_>>(), numbers);
            assert_eq!(range.count(), numbers.len() as u64);
        }
        for text in
            ["", "1", "1-", "-1", "3-1", "1-3/0", "1-3/", "+1-3", "1--3", "1-2147483648", "a-b", "1-3/4/5"]
        {
            assert_eq!(range(text), None, "{text}");
        }
    }

    #[test]
    fn templates() {
        let made = |template: &str, number| {
            let mut out = Vec::new();
            expand(template.as_bytes(), number, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        for (template, number, wanted) in [
            ("a$b", 7, "a7b"),
            ("$$", 7, "$"),
            ("\\$\\$a", 7, "\\$\\$a"),
            ("$-$", 12, "12-12"),
            ("${0}", 5, "5"),
            ("${-5}", 5, "0"),
            ("${1,3}", 5, "006"),
            ("${0,3,d}${0,4,x}${0,0,X}${0,2,o}", 255, "25500ffFF377"),
            ("${0,3,n}", 0x1F, "f.1"),
            ("${0,8,N}", 0x1F, "F.1.0.0."),
            ("${0,7,n}", 0x1F, "f.1.0.0"),
            ("${0,1,n}", 0x123, "3.2.1"),
            ("a", 7, "a"),
            ("a\\", 7, "a\\"),
        ] {
            assert_eq!(made(template, number).as_deref(), Ok(wanted), "{template}");
        }
        for template in [
            "${",
            "${}",
            "${1",
            "${a}",
            "${0,}",
            "${0,256}",
            "${0,1,}",
            "${0,1,q}",
            "${0,1,d,}",
            "${0,1,dd}",
            "${-8}",
        ] {
            assert!(made(template, 7).is_err(), "{template}");
        }
    }
}
