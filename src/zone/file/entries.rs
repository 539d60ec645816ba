//! Splits a zone file into entries, so that every error and every record knows its line.

use super::ZoneFault;

/// One entry: a record, a directive, or nothing but white space and a comment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'t> {
    /// The line on which it begins, counted from 1.
    pub line: usize,
    /// The line on which it ends.
    pub last_line: usize,
    /// Its text, line ends included.
    pub text: &'t [u8],
}

/// The entries of a zone file. An entry ends with its line, unless a parenthesis is open there (RFC 1035 section 5.1).
///
/// A quoted string has to end on its line. RFC 1035 would let it go on, but then one forgotten quote swallows the rest of
/// the file, and the error names the last line.
pub(super) fn entries(text: &[u8]) -> Result<Vec<Entry<'_>>, (usize, ZoneFault)> {
    let mut found = Vec::new();
    let mut rest = text;
    let (mut octets, mut depth, mut first_line) = (0, 0_usize, 1);
    let mut last_line = 0;
    for line in text.split_inclusive(|&octet| octet == b'\n') {
        last_line += 1;
        octets += line.len();
        if depth == 0 {
            first_line = last_line;
        }
        depth = depth_after(line, depth).ok_or((last_line, ZoneFault::OpenQuote))?;
        if depth == 0 {
            let (text, after) = rest.split_at(octets.min(rest.len()));
            found.push(Entry { line: first_line, last_line, text });
            (rest, octets) = (after, 0);
        }
    }
    if depth > 0 { Err((first_line, ZoneFault::OpenParenthesis)) } else { Ok(found) }
}

/// How many parentheses are open after `line`; `None` if a quote is.
fn depth_after(line: &[u8], mut depth: usize) -> Option<usize> {
    let mut quoted = false;
    let mut octets = line.iter();
    while let Some(octet) = octets.next() {
        match octet {
            // Whatever follows a backslash is data; of \DDD the two other digits are, anyway.
            b'\\' => _ = octets.next(),
            b'"' => quoted = !quoted,
            b';' if !quoted => break,
            b'(' if !quoted => depth += 1,
            // One too many is the scanner's to refuse.
            b')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (!quoted).then_some(depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_knows_its_lines() {
        let text = b"; c (\n@ SOA ( ; \"\n 1 2 )\nx TXT \"(;\" \\( \\\"\n\ny A 1.2.3.4";
        let lines: Vec<_> =
            entries(text).unwrap().iter().map(|entry| (entry.line, entry.last_line)).collect();
        assert_eq!(lines, [(1, 1), (2, 3), (4, 4), (5, 5), (6, 6)]);
        let texts: Vec<&[u8]> = entries(text).unwrap().iter().map(|entry| entry.text).collect();
        assert_eq!(texts.concat(), text);
    }

    #[test]
    fn what_stays_open_is_named_where_it_opens() {
        assert_eq!(entries(b"a\nb TXT \"x\nc\n"), Err((2, ZoneFault::OpenQuote)));
        assert_eq!(entries(b"a\nb (\nc\nd\n"), Err((2, ZoneFault::OpenParenthesis)));
    }
}
