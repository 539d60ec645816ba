//! The words of an entry, for what is read beside the scanner.

use std::str::FromStr;

use crate::wire::Rtype;

/// A word of an entry, as the scanner splits them.
pub(super) struct Token<'t> {
    /// Where in the entry its text starts.
    pub at: usize,
    /// As written, without the quotes around it.
    pub text: &'t [u8],
    pub is_quoted: bool,
    /// Whether white space is before it. Before an entry's first, that stands for the last owner.
    pub follows_space: bool,
}

impl Token<'_> {
    pub fn is_at_sign(&self) -> bool {
        !self.is_quoted && self.text == b"@"
    }

    /// The type that it names, if it is not a TTL.
    pub fn rtype(&self) -> Option<Rtype> {
        let text = str::from_utf8(self.text).ok().filter(|text| u32::from_str(text).is_err())?;
        Rtype::from_str(text).ok()
    }
}

/// The words of an entry, comments left out.
pub(super) fn tokens(entry: &[u8]) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut at, mut follows_space) = (0, false);
    while let Some((&octet, after)) = entry.get(at..).and_then(<[u8]>::split_first) {
        let (is_quoted, text) = match octet {
            b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')' => {
                follows_space |= matches!(octet, b' ' | b'\t' | b'\r');
                at += 1;
                continue;
            }
            b';' => {
                at += 1 + after.iter().take_while(|&&octet| octet != b'\n').count();
                continue;
            }
            b'"' => (true, before(after, |octet| octet == b'"')),
            _ => (false, before(entry.get(at..).unwrap_or_default(), ends_word)),
        };
        at += usize::from(is_quoted);
        found.push(Token { at, text, is_quoted, follows_space });
        at += text.len() + usize::from(is_quoted);
        follows_space = false;
    }
    found
}

fn ends_word(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')' | b';' | b'"')
}

/// What stands before the first octet that `ends` it and has no backslash before it.
fn before(text: &[u8], ends: impl Fn(u8) -> bool) -> &[u8] {
    let mut octets = text.iter().enumerate();
    while let Some((at, &octet)) = octets.next() {
        match octet {
            b'\\' => _ = octets.next(),
            _ if ends(octet) => return text.get(..at).unwrap_or_default(),
            _ => {}
        }
    }
    text
}
