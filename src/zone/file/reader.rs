//! Reads the entries of a zone's files in their order: what directives say, and what each record leaves out (RFC 1035
//! section 5.1, RFC 2308 section 4).

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::builder::{Builder, SourceFile};
use super::entries::{Entries, Entry, Fault, Word};
use super::fields::Fields;
use super::generate::{self, Template};
use super::include::Files;
use super::owners::Item;
use super::warning::Doubt;
use super::{Progress, Soa, ZoneFault, ZoneFileError, ZoneRecords, rdata, rules, words};
use crate::wire::{Class, Name, Rtype, name_in_message};

/// After how many entries the progress is told.
const PROGRESS_ENTRIES: usize = 4_096;

const WRITE_ORIGIN: &str = "$ORIGIN NAME";
const WRITE_TTL: &str = "$TTL SECONDS, such as `$TTL 3600` or `$TTL 1h`";
const WRITE_INCLUDE: &str = "$INCLUDE FILE [ORIGIN]";

/// The owner of the last record.
#[derive(Clone)]
enum Owner {
    /// None yet.
    None,
    /// A name of the zone, and its number.
    Inside(Name, u32),
    /// A name elsewhere.
    Outside(Name),
}

/// Reads a zone.
pub(super) struct Reader<'a> {
    zone: Builder<'a>,
    files: Files,
    origin: Name,
    owner: Owner,
    /// What `$TTL` says, or the SOA's MINIMUM where there is none.
    default_ttl_s: Option<u32>,
    /// The last TTL that was written.
    last_ttl_s: Option<u32>,
    generated: u64,
    entries: usize,
    /// Room for rdata.
    composed: Vec<u8>,
    progress: &'a mut dyn FnMut(Progress<'_>),
}

type Failure = Box<ZoneFileError>;

impl<'a> Reader<'a> {
    pub fn new(apex: &'a Name, files: Files, progress: &'a mut dyn FnMut(Progress<'_>)) -> Self {
        Reader {
            zone: Builder::new(apex),
            files,
            origin: apex.clone(),
            owner: Owner::None,
            default_ttl_s: None,
            last_ttl_s: None,
            generated: 0,
            entries: 0,
            composed: Vec::new(),
            progress,
        }
    }

    /// Reads a zone file, which is at `path`.
    pub fn read(mut self, path: &Path, text: Bytes) -> Result<ZoneRecords, Failure> {
        self.read_file(path.into(), text, None)?;
        self.zone.finish()
    }

    fn read_file(&mut self, path: PathBuf, text: Bytes, from: Option<(u16, u32)>) -> Result<(), Failure> {
        let file = u16::try_from(self.zone.sources.0.len()).unwrap_or(u16::MAX);
        self.zone.sources.0.push(SourceFile { path, text: text.clone(), from });
        let (mut entries, mut words) = (Entries::new(&text), Vec::new());
        loop {
            let entry = entries.next(&mut words);
            let Some(entry) = entry.map_err(|(at, fault)| self.zone.sources.error_at(file, at, 1, fault))?
            else {
                return Ok(());
            };
            self.entries += 1;
            if self.entries.is_multiple_of(PROGRESS_ENTRIES) {
                self.tell(file, entries.at(), text.len());
            }
            let Some((first, rest)) = words.split_first() else { continue };
            let is_directive = !entry.omits_owner && !first.is_quoted && first.text.starts_with(b"$");
            if is_directive {
                self.directive(file, entry.line, first, rest)?;
            } else {
                let read = self.record(file, entry, &words);
                read.map_err(|(at, fault)| self.error(file, &words, at, fault))?;
            }
        }
    }

    fn tell(&mut self, file: u16, octets_read: usize, octets: usize) {
        let Some(source) = self.zone.sources.0.get(usize::from(file)) else { return };
        (self.progress)(Progress { path: &source.path, octets_read, octets, records: self.zone.items.len() });
    }

    /// The error of the word at `at`, or of what is missing there.
    fn error(&self, file: u16, words: &[Word<'_>], at: usize, fault: ZoneFault) -> Failure {
        match words.iter().find(|word| word.at == at) {
            Some(word) => self.zone.sources.error(file, word, fault),
            None => self.zone.sources.error_at(file, at, 1, fault),
        }
    }

    fn directive(
        &mut self,
        file: u16,
        line: u32,
        first: &Word<'_>,
        rest: &[Word<'_>],
    ) -> Result<(), Failure> {
        let text = first.text.to_ascii_uppercase();
        let last = rest.last().unwrap_or(first);
        let all = || [&[*first], rest].concat();
        let written = |at: usize, fault: ZoneFault, write: &'static str| {
            let word = rest.iter().find(|word| word.at == at).map(Word::shown).unwrap_or_default();
            (at, ZoneFault::InDirective { word, fault: Box::new(fault), write })
        };
        let result = match (text.as_slice(), rest) {
            (b"$ORIGIN", [origin]) => {
                let name = words::name(origin, &self.origin);
                name.map(|name| self.origin = super::owners::owned_name(name.as_slice()))
                    .map_err(|fault| written(origin.at, fault, WRITE_ORIGIN))
            }
            (b"$TTL", [ttl]) => match words::seconds(ttl).map(rules::check_ttl) {
                Some(Ok(ttl_s)) => {
                    self.default_ttl_s = Some(ttl_s);
                    Ok(())
                }
                Some(Err(fault)) => Err((ttl.at, fault)),
                None => Err(written(ttl.at, ZoneFault::expected("a time"), WRITE_TTL)),
            },
            (b"$INCLUDE", [included]) => return self.include(file, line, included, None),
            (b"$INCLUDE", [included, origin]) => return self.include(file, line, included, Some(origin)),
            (b"$GENERATE", [range, owner, rest @ ..]) => self.generate((file, line), range, owner, rest),
            (known, _) => {
                let write = match known {
                    b"$ORIGIN" => Some(WRITE_ORIGIN),
                    b"$TTL" => Some(WRITE_TTL),
                    b"$INCLUDE" => Some(WRITE_INCLUDE),
                    b"$GENERATE" => Some(generate::WRITE),
                    _ => None,
                };
                Err(match (write, rest) {
                    (Some(write), [_, _, ..]) => written(last.at, ZoneFault::Trailing, write),
                    (Some(write), _) => written(last.end(), ZoneFault::Missing, write),
                    (None, _) => (first.at, ZoneFault::Directive { text: first.shown() }),
                })
            }
        };
        result.map_err(|(at, fault)| self.error(file, &all(), at, fault))
    }

    /// Origin and owner are the including file's again when the included one ends (RFC 1035 section 5.1); a `$TTL` in it
    /// stays, as in BIND.
    fn include(
        &mut self,
        file: u16,
        line: u32,
        included: &Word<'_>,
        origin: Option<&Word<'_>>,
    ) -> Result<(), Failure> {
        let failure = |reader: &Self, word, fault| Err(reader.zone.sources.error(file, word, fault));
        let (before, owner) = (self.origin.clone(), self.owner.clone());
        if let Some(word) = origin {
            match words::name(word, &self.origin) {
                Ok(name) => self.origin = super::owners::owned_name(name.as_slice()),
                Err(fault) => {
                    let (word_text, fault) = (word.shown(), Box::new(fault));
                    let fault = ZoneFault::InDirective { word: word_text, fault, write: WRITE_INCLUDE };
                    return failure(self, word, fault);
                }
            }
        }
        let mut name = Vec::new();
        let unescaped = words::unescape(included, &mut name);
        let name = Path::new(std::ffi::OsStr::from_bytes(&name));
        let opened = unescaped.and_then(|()| self.files.open(name));
        match opened {
            Ok((path, text)) => self.read_file(path, text.into(), Some((file, line)))?,
            Err(fault) => {
                // It is one of the files that a zone is read from, though it is not there.
                let path = self.files.path(name);
                self.zone.sources.0.push(SourceFile { path, text: Bytes::new(), from: None });
                return failure(self, included, fault);
            }
        }
        self.files.close();
        (self.origin, self.owner) = (before, owner);
        Ok(())
    }

    /// Makes the records of `$GENERATE` as text, and reads that.
    fn generate(
        &mut self,
        (file, line): (u16, u32),
        range: &Word<'_>,
        owner: &Word<'_>,
        rest: &[Word<'_>],
    ) -> Result<(), Fault> {
        let template = Template::read(range, owner, rest)?;
        let count = self.generated.saturating_add(template.range.count());
        if count > generate::RECORDS_MAX {
            return Err((range.at, ZoneFault::GenerateTooMany { count, max: generate::RECORDS_MAX }));
        }
        self.generated = count;
        let last_owner = self.owner.clone();
        let mut text = Vec::new();
        for number in template.range.numbers() {
            text.clear();
            template.expand(number, &mut text)?;
            let octets = u64::try_from(text.len()).unwrap_or(u64::MAX);
            self.files.grow(octets).map_err(|fault| (range.at, fault))?;
            let generated = |(_, fault): Fault| {
                (template.rdata_at, ZoneFault::Generated { value: number, fault: Box::new(fault) })
            };
            let mut words = Vec::new();
            if Entries::new(&text).next(&mut words).map_err(generated)?.is_some() {
                let entry = Entry { line, omits_owner: false };
                self.record(file, entry, &words).map_err(generated)?;
            }
        }
        self.owner = last_owner;
        Ok(())
    }

    /// Reads a record: OWNER, TTL and class in either order, TYPE, RDATA.
    fn record(&mut self, file: u16, entry: Entry, words: &[Word<'_>]) -> Result<(), Fault> {
        let start = words.first().map_or(0, |word| word.at);
        let (owner_word, mut rest) = if entry.omits_owner {
            (None, words)
        } else {
            (words.first(), words.get(1..).unwrap_or_default())
        };
        if let Some(word) = owner_word {
            self.take_owner(word)?;
        }
        let (mut ttl_s, mut class) = (None, None);
        let (rtype, type_word) = loop {
            let end = words.last().map_or(0, Word::end);
            let (word, after) = rest.split_first().ok_or((end, ZoneFault::NoType))?;
            rest = after;
            if class.is_none() && words::is_class(word) {
                class = Class::from_bytes(word.text);
                if let Some(class) = class.filter(|&class| class != Class::IN) {
                    return Err((word.at, ZoneFault::Class { class }));
                }
            } else if let (None, Some(seconds)) = (ttl_s, words::seconds(word)) {
                ttl_s = Some(rules::check_ttl(seconds).map_err(|fault| (word.at, fault))?);
            } else {
                break (words::rtype(word).map_err(|fault| (word.at, fault))?, word);
            }
        };
        self.last_ttl_s = ttl_s.or(self.last_ttl_s);
        let owner = match &self.owner {
            Owner::None => return Err((start, ZoneFault::NoOwner)),
            Owner::Inside(name, number) => {
                rules::check_type(name, rtype, self.zone.apex).map_err(|fault| (type_word.at, fault))?;
                Some(*number)
            }
            Owner::Outside(name) if rtype == Rtype::SOA => {
                let (owner, apex) = (name.clone(), self.zone.apex.clone());
                return Err((start, ZoneFault::SoaPlace { owner, apex }));
            }
            Owner::Outside(_) => None,
        };
        let mut fields = Fields::new(rest, &self.origin);
        let read = rdata::read(rtype, &mut fields, &mut self.composed);
        let rdata = read.map_err(|fault| rdata_fault(rtype, fault, &fields, words, type_word))?;
        if rtype == Rtype::SOA {
            return self.take_soa(&rdata, ttl_s, (file, entry.line)).map_err(|fault| (start, fault));
        }
        let ttl_s =
            ttl_s.or(self.default_ttl_s).or(self.last_ttl_s).ok_or((type_word.at, ZoneFault::NoTtl))?;
        match (owner, &self.owner) {
            (Some(owner), _) => {
                let line = entry.line;
                self.zone.items.push(Item { owner, rtype, file, line, ttl_s, rdata, is_duplicate: false });
            }
            (None, Owner::Outside(name)) => {
                let doubt = Doubt::OutOfZone { owner: name.clone(), apex: self.zone.apex.clone() };
                self.zone.warnings.add((file, entry.line), doubt);
            }
            (None, _) => {}
        }
        Ok(())
    }

    fn take_owner(&mut self, word: &Word<'_>) -> Result<(), Fault> {
        let name = words::name(word, &self.origin).map_err(|fault| (word.at, fault))?;
        let owned = super::owners::owned_name(name.as_slice());
        if !owned.ends_with(self.zone.apex) {
            self.owner = Owner::Outside(owned);
            return Ok(());
        }
        self.owner = Owner::Inside(owned, self.zone.owner(&name));
        Ok(())
    }

    /// Without a TTL of its own and a `$TTL`, a SOA has its MINIMUM, and so have the records after it, as in BIND.
    fn take_soa(&mut self, rdata: &[u8], ttl_s: Option<u32>, place: (u16, u32)) -> Result<(), ZoneFault> {
        let mut soa = read_soa(rdata).ok_or(ZoneFault::Malformed)?;
        soa.ttl_s = match ttl_s.or(self.default_ttl_s).or(self.last_ttl_s) {
            Some(ttl_s) => ttl_s,
            None => *self.default_ttl_s.insert(rules::check_ttl(soa.minimum.into())?),
        };
        self.zone.add_soa(soa, place)
    }
}

/// Where in its entry the fault of a record's rdata is, and what it is the rdata of.
fn rdata_fault(
    rtype: Rtype,
    fault: ZoneFault,
    fields: &Fields<'_, '_>,
    words: &[Word<'_>],
    type_word: &Word<'_>,
) -> Fault {
    let word = fields.last().unwrap_or(type_word);
    let at = match fault {
        ZoneFault::Missing => words.last().map_or(word.end(), Word::end),
        _ => word.at,
    };
    (at, ZoneFault::Rdata { rtype, word: word.shown(), fault: Box::new(fault) })
}

fn read_soa(rdata: &[u8]) -> Option<Soa> {
    let (mname, at) = name_in_message(rdata, 0).ok()?;
    let (rname, at) = name_in_message(rdata, at).ok()?;
    let (numbers, rest) = rdata.get(at..)?.as_chunks::<4>();
    let &[serial, refresh, retry, expire, minimum] = numbers else { return None };
    let [serial, refresh, retry, expire, minimum] =
        [serial, refresh, retry, expire, minimum].map(u32::from_be_bytes);
    let soa = Soa { mname, rname, serial, refresh, retry, expire, minimum, ttl_s: 0 };
    rest.is_empty().then_some(soa)
}

/// Reads the rdata of one record, which `text` is.
pub(super) fn read_rdata(rtype: Rtype, text: &[u8]) -> Result<Box<[u8]>, ZoneFault> {
    let mut words = Vec::new();
    let mut entries = Entries::new(text);
    entries.next(&mut words).map_err(|(_, fault)| fault)?;
    let (mut others, root) = (Vec::new(), Name::root_bytes());
    if let Some(word) = entries.next(&mut others).map_err(|(_, fault)| fault)?.and_then(|_| others.first()) {
        return Err(ZoneFault::Rdata { rtype, word: word.shown(), fault: Box::new(ZoneFault::Trailing) });
    }
    let mut fields = Fields::new(&words, &root);
    rdata::read(rtype, &mut fields, &mut Vec::new()).map_err(|fault| {
        let word = fields.last().map(Word::shown).unwrap_or_default();
        ZoneFault::Rdata { rtype, word, fault: Box::new(fault) }
    })
}
