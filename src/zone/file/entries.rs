//! Splits a zone file into entries and their words (RFC 1035 section 5.1), so that every error knows where it stands.

use super::ZoneFault;
use super::error::printable;

/// The most words that an entry may have. The longest rdata, a hexadecimal digit a word, has 131,070; without a bound one
/// forgotten parenthesis would have a whole file laid out in words before it is noticed.
const WORDS_MAX: usize = 131_072 + 16;

/// As much of a word as messages show.
const SHOWN_OCTETS_MAX: usize = 64;

/// What some editors put before the text of a file in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A word of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'t> {
    /// Where in the file its text starts.
    pub at: usize,
    /// As written, escapes and all, without the quotes around it.
    pub text: &'t [u8],
    pub is_quoted: bool,
    /// Whether it touches the word before it, as in `alpn="h2"`.
    pub is_joined: bool,
}

impl Word<'_> {
    /// For messages: its beginning, as a terminal may have it.
    pub fn shown(&self) -> String {
        let text = self.text.get(..SHOWN_OCTETS_MAX).unwrap_or(self.text);
        let rest = if text.len() < self.text.len() { "..." } else { "" };
        String::from_utf8_lossy(text).chars().map(printable).collect::<String>() + rest
    }

    /// Where it ends in the file, a closing quote included.
    pub fn end(&self) -> usize {
        self.at + self.text.len() + usize::from(self.is_quoted)
    }

    /// Whether it is this word, in either case and without quotes.
    pub fn is(&self, text: &str) -> bool {
        !self.is_quoted && self.text.eq_ignore_ascii_case(text.as_bytes())
    }
}

/// What is known of an entry besides its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The line of its first word, from 1.
    pub line: u32,
    /// Whether it begins with white space, which stands for the last owner.
    pub omits_owner: bool,
}

/// A fault, and where in the file it is.
pub(super) type Fault = (usize, ZoneFault);

/// The entries of a file, one after another.
pub(super) struct Entries<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
}

impl<'t> Entries<'t> {
    pub fn new(text: &'t [u8]) -> Self {
        let at = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Entries { text, at, line: 1 }
    }

    /// How far it has come, octets.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Puts the next entry's words in place of what `words` held. Lines with nothing but white space and comments are
    /// passed over. An entry ends with its line, unless a parenthesis is open there.
    ///
    /// A quoted string has to end on its line. RFC 1035 would let it go on, but then one forgotten quote swallows the rest
    /// of the file, and the error names the last line.
    pub fn next(&mut self, words: &mut Vec<Word<'t>>) -> Result<Option<Entry>, Fault> {
        words.clear();
        let mut entry = Entry { line: self.line, omits_owner: self.is_at_space() };
        // Where the parentheses open that are open.
        let (mut opened_at, mut depth) = (0, 0_usize);
        let mut is_joined = false;
        while let Some(&octet) = self.text.get(self.at) {
            match octet {
                b'\n' => {
                    self.at += 1;
                    self.line = self.line.saturating_add(1);
                    if depth == 0 && !words.is_empty() {
                        return Ok(Some(entry));
                    }
                    if depth == 0 {
                        entry.omits_owner = self.is_at_space();
                    }
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'(' => {
                    if depth == 0 {
                        opened_at = self.at;
                    }
                    depth += 1;
                    self.at += 1;
                }
                b')' => {
                    depth = depth.checked_sub(1).ok_or((self.at, ZoneFault::CloseParenthesis))?;
                    self.at += 1;
                }
                b';' => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    self.at += rest.iter().position(|&octet| octet == b'\n').unwrap_or(rest.len());
                }
                _ => {
                    if words.is_empty() {
                        entry.line = self.line;
                    }
                    if words.len() >= WORDS_MAX {
                        return Err((self.at, ZoneFault::TooManyWords));
                    }
                    words.push(self.word(octet, is_joined)?);
                    is_joined = true;
                    continue;
                }
            }
            is_joined = false;
        }
        match (depth, words.is_empty()) {
            (1.., _) => Err((opened_at, ZoneFault::OpenParenthesis)),
            (0, is_empty) => Ok((!is_empty).then_some(entry)),
        }
    }

    fn is_at_space(&self) -> bool {
        matches!(self.text.get(self.at), Some(b' ' | b'\t'))
    }

    /// The word that begins here with `first`.
    fn word(&mut self, first: u8, is_joined: bool) -> Result<Word<'t>, Fault> {
        let is_quoted = first == b'"';
        let at = self.at + usize::from(is_quoted);
        let len = if is_quoted {
            self.until(at, |octet| matches!(octet, b'"' | b'\n'))
        } else {
            self.until(at, ends_word)
        };
        let after = self.text.get(at + len);
        let text = self.text.get(at..at + len).unwrap_or_default();
        if is_quoted && after != Some(&b'"') {
            return Err((self.at, ZoneFault::OpenQuote));
        }
        self.at = at + len + usize::from(is_quoted);
        Ok(Word { at, text, is_quoted, is_joined })
    }

    /// How many octets there are from `from` to one that `ends` them and has no backslash before it. A backslash does not
    /// reach over the end of a line.
    fn until(&self, from: usize, ends: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let mut octets = rest.iter().enumerate();
        while let Some((at, &octet)) = octets.next() {
            match octet {
                b'\\' if rest.get(at + 1).is_some_and(|&next| next != b'\n') => _ = octets.next(),
                _ if ends(octet) => return at,
                _ => {}
            }
        }
        rest.len()
    }
}

fn ends_word(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')' | b';' | b'"')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, whether the owner is left out, and the words of each entry.
    fn entries(text: &str) -> Result<Vec<(u32, bool, Vec<String>)>, Fault> {
        let (mut entries, mut words, mut found) = (Entries::new(text.as_bytes()), Vec::new(), Vec::new());
        while let Some(entry) = entries.next(&mut words)? {
            let words = words.iter().map(|word| {
                let quote = if word.is_quoted { "\"" } else { "" };
                format!("{}{quote}{}{quote}", if word.is_joined { "+" } else { "" }, word.shown())
            });
            found.push((entry.line, entry.omits_owner, words.collect()));
        }
        Ok(found)
    }

    #[test]
    fn an_entry_knows_its_line_and_its_words() {
        let text = "; c (\n@ SOA ( ; \"\n 1 2 )\n \t ; c\nx TXT \"(;\" \\( \\\"\n\n\ty a\\ b k=\"v\\\"w\"\"\"z\r\n(\n u )";
        let words = |text: &str| text.split(' ').map(|word| word.replace('_', " ")).collect::<Vec<_>>();
        assert_eq!(
            entries(text).unwrap(),
            [
                (2, false, words("@ SOA 1 2")),
                (5, false, words("x TXT \"(;\" \\( \\\"")),
                (7, true, words("y a\\_b k= +\"v\\\"w\" +\"\" +z")),
                (9, false, words("u")),
            ]
        );
        assert_eq!(entries("\u{feff}@ A").unwrap(), [(1, false, words("@ A"))]);
        assert_eq!(entries(" (\n x )").unwrap(), [(2, true, words("x"))]);
        assert_eq!(entries("a\\").unwrap(), [(1, false, words("a\\"))]);
        assert_eq!(entries("a ;\\\nb").unwrap().len(), 2, "a comment ends with its line");
    }

    #[test]
    fn what_stays_open_is_named_where_it_opens() {
        for (text, at, fault) in [
            ("a\nb TXT \"x\nc\n", 8, ZoneFault::OpenQuote),
            ("a \"b\\", 2, ZoneFault::OpenQuote),
            ("a \"b\\\n\"", 2, ZoneFault::OpenQuote),
            ("a\nb ((\nc)\nd\n", 4, ZoneFault::OpenParenthesis),
            ("a ) b", 2, ZoneFault::CloseParenthesis),
        ] {
            assert_eq!(entries(text), Err((at, fault)), "{text}");
        }
        let long = format!("a ({}", "b ".repeat(WORDS_MAX));
        assert_eq!(entries(&long).unwrap_err().1, ZoneFault::TooManyWords);
    }
}
