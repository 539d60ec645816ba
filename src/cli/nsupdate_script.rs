//! nsupdate's language, read as nsupdate reads it (`man nsupdate`, INPUT FORMAT), into the messages that it would send.
//!
//! What nsupdate does that its manual leaves out, and that is kept here: a `;` begins a comment at the beginning of a line
//! alone, in rdata it is data like a parenthesis; each name is absolute, with its closing dot or without it; and what no
//! `send` or blank line follows is never sent.

mod fault;

use std::str::FromStr;

use crate::wire::{Class, HEADER_LEN, Header, Name, Rtype};
use crate::zone::file;

pub(super) use fault::{ScriptError, ScriptFault};

use fault::{MESSAGE_OCTETS_MAX, TTL_MAX_S, WRITE_ADD, WRITE_DELETE, WRITE_KEY, WRITE_PREREQ, printable};

/// Flags of a request to UPDATE (RFC 2136 section 2.2).
const FLAGS_UPDATE: u16 = 5 << 11;

/// The key that a `key` line names. Its secret is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScriptKey {
    pub name: Name,
    /// The algorithm, if the line names one.
    pub algorithm: Option<Name>,
}

/// One record of a message, and the line that it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScriptRecord {
    pub line: usize,
    /// The line, without control characters.
    pub text: String,
    pub name: Name,
    octets: Vec<u8>,
}

/// What one `send` sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScriptMessage {
    /// The zone, if the script says it.
    pub zone: Option<Name>,
    pub class: Class,
    pub key: Option<ScriptKey>,
    pub prerequisites: Vec<ScriptRecord>,
    pub updates: Vec<ScriptRecord>,
    /// Whether it is sent at all.
    pub is_sent: bool,
}

impl ScriptMessage {
    /// The name whose zone nsupdate asks for when the script names none.
    pub fn first_name(&self) -> Option<&Name> {
        self.updates.iter().chain(&self.prerequisites).next().map(|record| &record.name)
    }

    /// All records, in the order of the message.
    pub fn records(&self) -> impl Iterator<Item = &ScriptRecord> {
        self.prerequisites.iter().chain(&self.updates)
    }

    /// The message for a zone, unsigned (RFC 2136 section 2).
    pub fn octets(&self, zone: &Name) -> Vec<u8> {
        // Bounded by the octets of the message.
        let count = |records: &[ScriptRecord]| u16::try_from(records.len()).unwrap_or(u16::MAX);
        let counts = [1, count(&self.prerequisites), count(&self.updates), 0];
        let mut octets = Header { id: 0, flags: FLAGS_UPDATE, counts }.octets().to_vec();
        octets.extend_from_slice(zone.as_slice());
        octets.extend_from_slice(&Rtype::SOA.to_int().to_be_bytes());
        octets.extend_from_slice(&self.class.to_int().to_be_bytes());
        self.records().for_each(|record| octets.extend_from_slice(&record.octets));
        octets
    }
}

/// Reads a script. Commands about servers, printing and name checks are read over.
pub(super) fn read(script: &[u8]) -> Result<Vec<ScriptMessage>, ScriptError> {
    let mut reader = Reader::new();
    let mut lines: Vec<&[u8]> = script.split(|&octet| octet == b'\n').collect();
    // The last line's end begins no other: a blank line sends.
    lines.pop_if(|line| line.is_empty());
    for (number, line) in (1..).zip(lines) {
        (reader.line, reader.shown) = (number, printable(&String::from_utf8_lossy(line)));
        let read = match str::from_utf8(line) {
            Ok(text) => reader.read(text),
            Err(_) => Err(ScriptFault::NotText),
        };
        match read {
            Ok(true) => {}
            Ok(false) => break,
            Err(fault) => {
                // A `key` line has a secret, and a misspelt one too.
                let command = line.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
                let is_key = command.eq_ignore_ascii_case(b"key");
                let is_shown = !is_key && !matches!(fault, ScriptFault::Command { .. });
                let text = if is_shown { reader.shown } else { String::new() };
                return Err(ScriptError { line: number, fault, text });
            }
        }
    }
    Ok(reader.finish())
}

/// What the lines before have set, and what came together since the last `send`.
struct Reader {
    messages: Vec<ScriptMessage>,
    prerequisites: Vec<ScriptRecord>,
    updates: Vec<ScriptRecord>,
    octets: usize,
    zone: Option<Name>,
    class: Class,
    ttl_s: Option<u32>,
    key: Option<ScriptKey>,
    /// The line that is read, and how it is shown.
    line: usize,
    shown: String,
}

/// The fields of a record.
struct Fields<'r> {
    name: Name,
    class: Class,
    rtype: Rtype,
    ttl_s: u32,
    rdata: &'r [u8],
}

impl Reader {
    fn new() -> Self {
        Reader {
            messages: Vec::new(),
            prerequisites: Vec::new(),
            updates: Vec::new(),
            octets: 0,
            zone: None,
            class: Class::IN,
            ttl_s: None,
            key: None,
            line: 0,
            shown: String::new(),
        }
    }

    /// Reads one line; `false` ends the script.
    fn read(&mut self, line: &str) -> Result<bool, ScriptFault> {
        let mut words = Words(line);
        let Some(word) = words.next() else {
            self.send(true);
            return Ok(true);
        };
        if word.starts_with(';') {
            return Ok(true);
        }
        match word.to_ascii_lowercase().as_str() {
            "send" => self.send(true),
            "quit" => return Ok(false),
            "update" => {
                let what = words.next();
                self.update(what.unwrap_or_default(), words)?;
            }
            "add" | "delete" | "del" => self.update(word, words)?,
            "prereq" => {
                let what = words.next();
                self.prereq(what.unwrap_or_default(), words)?;
            }
            "nxdomain" | "yxdomain" | "nxrrset" | "yxrrset" => self.prereq(word, words)?,
            "zone" => {
                let missing = ScriptFault::Missing { what: "the zone's name", write: "write `zone NAME`" };
                self.zone = Some(name(words.next().ok_or(missing)?)?);
            }
            "class" => {
                let text = words.next().unwrap_or_default();
                self.class = class(text).ok_or_else(|| ScriptFault::Class { text: text.to_owned() })?;
            }
            "ttl" => {
                let missing = ScriptFault::Missing { what: "the TTL", write: "write `ttl SECONDS`" };
                let text = words.next().ok_or(missing)?;
                self.ttl_s = if text.eq_ignore_ascii_case("none") { None } else { Some(ttl(text)?) };
            }
            "key" => self.key = Some(key(words)?),
            "gsstsig" | "oldgsstsig" => return Err(ScriptFault::Gss),
            "server" | "local" | "port" | "realm" | "check-names" | "check-svcb" | "show" | "answer"
            | "debug" | "version" | "help" | "?" => {}
            _ => return Err(ScriptFault::Command { text: word.to_owned() }),
        }
        Ok(true)
    }

    /// What has come together since the last one. The key and the zone are those of the moment of sending.
    fn send(&mut self, is_sent: bool) {
        let (prerequisites, updates) =
            (std::mem::take(&mut self.prerequisites), std::mem::take(&mut self.updates));
        self.octets = 0;
        if !prerequisites.is_empty() || !updates.is_empty() {
            let (zone, class, key) = (self.zone.clone(), self.class, self.key.clone());
            self.messages.push(ScriptMessage { zone, class, key, prerequisites, updates, is_sent });
        }
    }

    fn finish(mut self) -> Vec<ScriptMessage> {
        self.send(false);
        self.messages
    }

    fn update(&mut self, what: &str, mut words: Words<'_>) -> Result<(), ScriptFault> {
        let (is_add, write) = match what.to_ascii_lowercase().as_str() {
            "add" => (true, WRITE_ADD),
            "delete" | "del" => (false, WRITE_DELETE),
            "" => return Err(ScriptFault::Missing { what: "`add` or `delete`", write: WRITE_ADD }),
            _ => return Err(ScriptFault::Word { text: what.to_owned(), write: WRITE_ADD }),
        };
        let name = name(words.next().ok_or(ScriptFault::Missing { what: "the name", write })?)?;
        let given = words.peek().filter(|word| word.bytes().all(|octet| octet.is_ascii_digit()));
        // In a deletion a TTL is allowed, and means nothing.
        let ttl_s = match (given, is_add) {
            (Some(text), _) => {
                words.next();
                if is_add { ttl(text)? } else { 0 }
            }
            (None, false) => 0,
            (None, true) => match (self.ttl_s, words.peek()) {
                (Some(ttl_s), _) => ttl_s,
                (None, Some(text)) if rtype(text).is_none() && class(text).is_none() => {
                    return Err(ScriptFault::Ttl { text: text.to_owned() });
                }
                (None, _) => return Err(ScriptFault::Missing { what: "the TTL", write }),
            },
        };
        self.skip_class(&mut words)?;
        let Some(text) = words.next() else {
            return match is_add {
                true => Err(ScriptFault::Missing { what: "the type", write }),
                false => {
                    self.put_update(Fields { name, class: Class::ANY, rtype: Rtype::ANY, ttl_s, rdata: &[] })
                }
            };
        };
        let rtype = rtype(text).ok_or_else(|| ScriptFault::Type { text: text.to_owned() })?;
        let rdata = rdata(rtype, words.rest())?;
        let class = match (&rdata, is_add) {
            (None, true) => return Err(ScriptFault::Missing { what: "the rdata", write }),
            (Some(_), true) => self.class,
            (Some(_), false) => Class::NONE,
            (None, false) => Class::ANY,
        };
        self.put_update(Fields { name, class, rtype, ttl_s, rdata: rdata.as_deref().unwrap_or_default() })
    }

    fn put_update(&mut self, fields: Fields<'_>) -> Result<(), ScriptFault> {
        let record = self.record(fields)?;
        self.updates.push(record);
        Ok(())
    }

    fn prereq(&mut self, what: &str, mut words: Words<'_>) -> Result<(), ScriptFault> {
        let write = WRITE_PREREQ;
        let what = what.to_ascii_lowercase();
        let (class, is_name) = match what.as_str() {
            "nxdomain" => (Class::NONE, true),
            "yxdomain" => (Class::ANY, true),
            "nxrrset" => (Class::NONE, false),
            "yxrrset" => (Class::ANY, false),
            "" => return Err(ScriptFault::Missing { what: "the condition", write }),
            _ => return Err(ScriptFault::Word { text: what, write }),
        };
        let name = name(words.next().ok_or(ScriptFault::Missing { what: "the name", write })?)?;
        let (rtype, rdata) = if is_name {
            (Rtype::ANY, None)
        } else {
            self.skip_class(&mut words)?;
            let text = words.next().ok_or(ScriptFault::Missing { what: "the type", write })?;
            let rtype = rtype(text).ok_or_else(|| ScriptFault::Type { text: text.to_owned() })?;
            (rtype, rdata(rtype, words.rest())?.filter(|_| class == Class::ANY))
        };
        let class = if rdata.is_some() { self.class } else { class };
        let rdata = rdata.as_deref().unwrap_or_default();
        let record = self.record(Fields { name, class, rtype, ttl_s: 0, rdata })?;
        self.prerequisites.push(record);
        Ok(())
    }

    /// A record's class, which may be left out. `ANY` is a type there, as nsupdate has it.
    fn skip_class(&self, words: &mut Words<'_>) -> Result<(), ScriptFault> {
        let Some(found) = words.peek().and_then(class) else { return Ok(()) };
        words.next();
        if found == self.class {
            Ok(())
        } else {
            Err(ScriptFault::OtherClass { class: found, zone: self.class })
        }
    }

    fn record(&mut self, fields: Fields<'_>) -> Result<ScriptRecord, ScriptFault> {
        let Fields { name, class, rtype, ttl_s, rdata } = fields;
        let len = u16::try_from(rdata.len()).map_err(|_| ScriptFault::TooLarge)?;
        let mut octets = name.as_slice().to_vec();
        octets.extend_from_slice(&rtype.to_int().to_be_bytes());
        octets.extend_from_slice(&class.to_int().to_be_bytes());
        octets.extend_from_slice(&ttl_s.to_be_bytes());
        octets.extend_from_slice(&len.to_be_bytes());
        octets.extend_from_slice(rdata);
        self.octets += octets.len();
        if HEADER_LEN + self.octets > MESSAGE_OCTETS_MAX {
            return Err(ScriptFault::TooLarge);
        }
        Ok(ScriptRecord { line: self.line, text: self.shown.clone(), name, octets })
    }
}

/// The words of a line.
#[derive(Clone, Copy)]
struct Words<'l>(&'l str);

impl<'l> Words<'l> {
    fn next(&mut self) -> Option<&'l str> {
        let text = self.rest();
        let len = text.find(|character: char| character.is_ascii_whitespace()).unwrap_or(text.len());
        let (word, rest) = text.split_at(len);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    fn peek(mut self) -> Option<&'l str> {
        self.next()
    }

    fn rest(&self) -> &'l str {
        self.0.trim_ascii()
    }
}

fn name(text: &str) -> Result<Name, ScriptFault> {
    match text {
        "@" => Ok(Name::root_bytes()),
        text => Name::bytes_from_str(text).map_err(|_| ScriptFault::Name { text: text.to_owned() }),
    }
}

fn ttl(text: &str) -> Result<u32, ScriptFault> {
    let ttl_s = text.parse().ok().filter(|&ttl_s| ttl_s <= TTL_MAX_S);
    ttl_s.ok_or_else(|| ScriptFault::Ttl { text: text.to_owned() })
}

fn class(text: &str) -> Option<Class> {
    let class = Class::from_str(text).ok()?;
    (!matches!(class, Class::ANY | Class::NONE)).then_some(class)
}

fn rtype(text: &str) -> Option<Rtype> {
    Rtype::from_str(text).ok()
}

/// A line's rdata; `None` if it has none.
fn rdata(rtype: Rtype, text: &str) -> Result<Option<Box<[u8]>>, ScriptFault> {
    if text.is_empty() {
        return Ok(None);
    }
    let has_semicolon = text.contains(';');
    let read = file::rdata(rtype, literal(text).as_bytes());
    read.map(Some).map_err(|fault| ScriptFault::Rdata { rtype, fault, has_semicolon })
}

/// The text with what a zone file would take for a comment or a parenthesis spelt as the data that it is to nsupdate.
fn literal(text: &str) -> String {
    let (mut out, mut quoted, mut escaped) = (String::with_capacity(text.len()), false, false);
    for character in text.chars() {
        if matches!(character, ';' | '(' | ')') && !quoted && !escaped {
            out.push('\\');
        }
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        out.push(character);
    }
    out
}

fn key(mut words: Words<'_>) -> Result<ScriptKey, ScriptFault> {
    let missing = |what| ScriptFault::Missing { what, write: WRITE_KEY };
    let text = words.next().ok_or(missing("the key's name"))?;
    let (algorithm, text) = text.split_once(':').map_or((None, text), |(hmac, text)| (Some(hmac), text));
    words.next().ok_or(missing("the secret"))?;
    Ok(ScriptKey { name: name(text)?, algorithm: algorithm.map(name).transpose()? })
}

#[cfg(test)]
mod tests;
