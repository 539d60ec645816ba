//! Key files: TSIG keys in BIND's syntax, which `rollcall keygen --key-file` and tsig-keygen write and `nsupdate -k` reads.
//!
//! ```text
//! key "web.example." {
//!     algorithm hmac-sha256;
//!     secret "BASE64";
//! };
//! ```
//!
//! Quotes may be left out; comments begin with `#` or `//`, or stand between `/*` and `*/`. They begin where a word could,
//! not within one: base64 has slashes. A file may hold several keys.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{ConfigError, KeyFileFault, absolute_name};
use crate::wire::{Name, tsig};

/// Octets of the largest file that is read: hundreds of keys.
const SIZE_MAX: u64 = 64 * 1024;

/// Permissions that a file with secrets may not give: to write for the group, anything for others.
const MODE_REFUSED: u32 = 0o027;

/// A key file, read but not looked at.
pub(crate) struct KeyFile {
    path: PathBuf,
    text: String,
    mode: u32,
}

/// A key out of a file.
pub(crate) struct FileKey {
    pub key: tsig::Key,
    /// How long its secret is.
    pub secret_octets: usize,
    /// Where it begins, from 1.
    pub line: usize,
}

/// A fault and its line.
type Wrong = (usize, KeyFileFault);

impl KeyFile {
    pub fn read(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        // Of the file that is open: the path may lead elsewhere by now.
        let mode = file.metadata()?.permissions().mode() & 0o777;
        let mut octets = Vec::new();
        file.take(SIZE_MAX + 1).read_to_end(&mut octets)?;
        Ok(KeyFile { path, text: String::from_utf8_lossy(&octets).into_owned(), mode })
    }

    /// Its keys, at least one, if it is kept as secrets have to be.
    pub fn keys(&self) -> Result<Vec<FileKey>, ConfigError> {
        if self.mode & MODE_REFUSED != 0 {
            return Err(ConfigError::KeyFileMode { path: self.path.clone(), mode: self.mode });
        }
        let most = SIZE_MAX;
        let fits = u64::try_from(self.text.len()).is_ok_and(|octets| octets <= most);
        let keys = if fits { keys(&self.text) } else { Err((1, KeyFileFault::Size { most })) };
        keys.map_err(|(line, fault)| self.fault(line, fault))
    }

    /// The error on a line of this file.
    pub fn fault(&self, line: usize, fault: KeyFileFault) -> ConfigError {
        ConfigError::KeyFile { path: self.path.clone(), line, fault }
    }
}

fn keys(text: &str) -> Result<Vec<FileKey>, Wrong> {
    let mut tokens = Tokens { rest: text, line: 1 };
    let mut keys = Vec::new();
    while let Some((token, line)) = tokens.next()? {
        if !token.is_word("key") {
            return Err((line, KeyFileFault::Syntax { expected: "`key`" }));
        }
        keys.push(key(&mut tokens, line)?);
    }
    if keys.is_empty() { Err((1, KeyFileFault::NoKey)) } else { Ok(keys) }
}

/// What follows the word `key`, which is on the line `begin`.
fn key(tokens: &mut Tokens<'_>, begin: usize) -> Result<FileKey, Wrong> {
    let (text, line) = tokens.word("the key's name")?;
    let name = absolute_name(text).filter(|name: &Name| name.label_count() > 1);
    let name = name.ok_or((line, KeyFileFault::Name))?;
    tokens.expect(Token::Open, "`{`")?;
    let (mut policy, mut secret) = (None, None);
    loop {
        let (token, line) = tokens.some("`}`")?;
        let is_twice = if token.is_word("algorithm") {
            let (text, line) = tokens.word("the algorithm's name")?;
            let read = text.parse::<tsig::MacPolicy>();
            let read = read.map_err(|error| (line, KeyFileFault::Algorithm { error }))?;
            policy.replace(read).is_some().then_some("`algorithm`")
        } else if token.is_word("secret") {
            let (text, line) = tokens.word("the secret, in base64,")?;
            let read = BASE64.decode(text).map_err(|_| (line, KeyFileFault::SecretText))?;
            secret.replace((read, line)).is_some().then_some("`secret`")
        } else if token == Token::Close {
            break;
        } else {
            return Err((line, KeyFileFault::Syntax { expected: "`algorithm`, `secret` or `}`" }));
        };
        if let Some(part) = is_twice {
            return Err((line, KeyFileFault::Twice { part }));
        }
        tokens.expect(Token::End, "`;`")?;
    }
    tokens.expect(Token::End, "`;` after `}`")?;
    let missing = |part| (begin, KeyFileFault::Missing { part });
    let policy = policy.ok_or_else(|| missing("`algorithm`"))?;
    let (secret, line) = secret.ok_or_else(|| missing("`secret`"))?;
    let key = tsig::Key::new(&name, policy, &secret);
    let key = key.map_err(|error| (line, KeyFileFault::Secret { error }))?;
    Ok(FileKey { key, secret_octets: secret.len(), line: begin })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Open,
    Close,
    End,
    Word(&'t str),
}

impl Token<'_> {
    fn is_word(self, wanted: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(wanted))
    }
}

/// What is left of a file.
struct Tokens<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Tokens<'t> {
    /// The next token and its line; `None` at the end.
    fn next(&mut self) -> Result<Option<(Token<'t>, usize)>, Wrong> {
        self.skip_blank()?;
        let line = self.line;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let token = match first {
            '{' => Token::Open,
            '}' => Token::Close,
            ';' => Token::End,
            '"' => return self.quoted().map(|text| Some((Token::Word(text), line))),
            _ => {
                let stops = |c: char| c.is_whitespace() || "{};\"".contains(c);
                let end = self.rest.find(stops).unwrap_or(self.rest.len());
                return Ok(Some((Token::Word(self.take(end)), line)));
            }
        };
        self.take(1);
        Ok(Some((token, line)))
    }

    /// A text between quotes. It ends on its line: a quote that was forgotten would swallow the next key.
    fn quoted(&mut self) -> Result<&'t str, Wrong> {
        self.take(1);
        let end = self.rest.find(['"', '\n']);
        let open = (self.line, KeyFileFault::Open { what: "the quoted text" });
        let end = end.filter(|&end| self.rest.as_bytes().get(end) == Some(&b'"')).ok_or(open)?;
        let text = self.take(end);
        self.take(1);
        Ok(text)
    }

    fn skip_blank(&mut self) -> Result<(), Wrong> {
        loop {
            self.take(self.rest.len() - self.rest.trim_start().len());
            let end = if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.rest.find('\n').unwrap_or(self.rest.len())
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let open = (self.line, KeyFileFault::Open { what: "the comment" });
                comment.find("*/").ok_or(open)? + 4
            } else {
                return Ok(());
            };
            self.take(end);
        }
    }

    /// Takes this many octets, and counts their lines.
    fn take(&mut self, octets: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at_checked(octets).unwrap_or((self.rest, ""));
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }

    fn some(&mut self, expected: &'static str) -> Result<(Token<'t>, usize), Wrong> {
        self.next()?.ok_or((self.line, KeyFileFault::Syntax { expected }))
    }

    fn word(&mut self, expected: &'static str) -> Result<(&'t str, usize), Wrong> {
        match self.some(expected)? {
            (Token::Word(word), line) => Ok((word, line)),
            (_, line) => Err((line, KeyFileFault::Syntax { expected })),
        }
    }

    fn expect(&mut self, wanted: Token<'_>, expected: &'static str) -> Result<(), Wrong> {
        match self.some(expected)? {
            (token, _) if token == wanted => Ok(()),
            (_, line) => Err((line, KeyFileFault::Syntax { expected })),
        }
    }
}
