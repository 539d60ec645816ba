//! The fields of one record's rdata: words to read one by one, by the library's parsers or ours.

use domain::base::CharStr;
use domain::base::scan::{ConvertSymbols, EntrySymbol, Scanner, ScannerError, Symbol};
use domain::dep::octseq::str::Str;

use super::ZoneFault;
use super::entries::Word;
use super::words::{self, ShortName};
use crate::wire::Name;

/// The words of rdata that are still to be read.
pub(super) struct Fields<'e, 't> {
    words: &'e [Word<'t>],
    next: usize,
    origin: &'e Name,
}

impl<'e, 't> Fields<'e, 't> {
    pub fn new(words: &'e [Word<'t>], origin: &'e Name) -> Self {
        Fields { words, next: 0, origin }
    }

    /// The word that was read last: the one that an error is about.
    pub fn last(&self) -> Option<&'e Word<'t>> {
        self.words.get(self.next.checked_sub(1)?)
    }

    pub fn peek(&self) -> Option<&'e Word<'t>> {
        self.words.get(self.next)
    }

    pub fn word(&mut self) -> Result<&'e Word<'t>, ZoneFault> {
        let word = self.peek().ok_or(ZoneFault::Missing)?;
        self.next += 1;
        Ok(word)
    }

    /// The next word, if it is `text`.
    pub fn take(&mut self, text: &str) -> bool {
        let is_it = self.peek().is_some_and(|word| word.is(text));
        self.next += usize::from(is_it);
        is_it
    }

    pub fn number<T: TryFrom<u64>>(&mut self) -> Result<T, ZoneFault> {
        words::number(self.word()?).ok_or(ZoneFault::expected("a number of the size of this field"))
    }

    /// A time: whole seconds, or with units.
    pub fn seconds(&mut self) -> Result<u32, ZoneFault> {
        let seconds = words::seconds(self.word()?).and_then(|seconds| u32::try_from(seconds).ok());
        seconds.ok_or(ZoneFault::expected("seconds, or a time such as 1h30m"))
    }

    pub fn name(&mut self) -> Result<ShortName, ZoneFault> {
        words::name(self.word()?, self.origin)
    }

    /// The next word's octets.
    pub fn octets(&mut self) -> Result<Vec<u8>, ZoneFault> {
        let word = self.word()?;
        let mut octets = Vec::with_capacity(word.text.len());
        words::unescape(word, &mut octets)?;
        Ok(octets)
    }

    /// Appends the next word as a character-string (RFC 1035 section 3.3).
    pub fn text(&mut self, out: &mut Vec<u8>) -> Result<(), ZoneFault> {
        let place = out.len();
        out.push(0);
        words::unescape(self.word()?, out)?;
        let len = out.len() - place - 1;
        let len = u8::try_from(len).map_err(|_| ZoneFault::LongText { octets: len })?;
        if let Some(place) = out.get_mut(place) {
            *place = len;
        }
        Ok(())
    }

    /// The octets of all words that are left, without anything between them; there has to be one.
    pub fn rest(&mut self) -> Result<Vec<u8>, ZoneFault> {
        let mut octets = Vec::new();
        words::unescape(self.word()?, &mut octets)?;
        while self.peek().is_some() {
            words::unescape(self.word()?, &mut octets)?;
        }
        Ok(octets)
    }

    /// Hands every symbol of the next word on. What is not ASCII is handed on as octets: text in a zone file has no encoding.
    fn symbols(&mut self, mut each: impl FnMut(Symbol) -> Result<(), ZoneFault>) -> Result<(), ZoneFault> {
        let word = self.word()?;
        let mut at = 0;
        while let Some(&octet) = word.text.get(at) {
            let (symbol, next) = match octet {
                0x80.. => (Symbol::DecimalEscape(octet), at + 1),
                _ => Symbol::from_slice_index(word.text, at)
                    .map_err(|_| ZoneFault::Escape)?
                    .ok_or(ZoneFault::Escape)?,
            };
            each(symbol)?;
            at = next;
        }
        Ok(())
    }
}

impl ScannerError for ZoneFault {
    fn custom(message: &'static str) -> Self {
        ZoneFault::Scanner { message }
    }

    fn end_of_entry() -> Self {
        ZoneFault::Missing
    }

    fn short_buf() -> Self {
        ZoneFault::LongRdata
    }

    fn trailing_tokens() -> Self {
        ZoneFault::Trailing
    }
}

impl Scanner for Fields<'_, '_> {
    type Octets = Vec<u8>;
    type OctetsBuilder = Vec<u8>;
    type Name = ShortName;
    type Error = ZoneFault;

    fn has_space(&self) -> bool {
        self.peek().is_some_and(|word| !word.is_joined)
    }

    fn continues(&mut self) -> bool {
        self.peek().is_some()
    }

    fn scan_symbols<F>(&mut self, op: F) -> Result<(), ZoneFault>
    where
        F: FnMut(Symbol) -> Result<(), ZoneFault>,
    {
        self.symbols(op)
    }

    fn scan_entry_symbols<F>(&mut self, mut op: F) -> Result<(), ZoneFault>
    where
        F: FnMut(EntrySymbol) -> Result<(), ZoneFault>,
    {
        while self.peek().is_some() {
            self.symbols(|symbol| op(symbol.into()))?;
            op(EntrySymbol::EndOfToken)?;
        }
        Ok(())
    }

    fn convert_token<C: ConvertSymbols<Symbol, ZoneFault>>(
        &mut self,
        mut convert: C,
    ) -> Result<Vec<u8>, ZoneFault> {
        let mut out = Vec::new();
        self.symbols(|symbol| {
            out.extend_from_slice(convert.process_symbol(symbol)?.unwrap_or_default());
            Ok(())
        })?;
        out.extend_from_slice(convert.process_tail()?.unwrap_or_default());
        Ok(out)
    }

    fn convert_entry<C: ConvertSymbols<EntrySymbol, ZoneFault>>(
        &mut self,
        mut convert: C,
    ) -> Result<Vec<u8>, ZoneFault> {
        let mut out = Vec::new();
        self.scan_entry_symbols(|symbol| {
            out.extend_from_slice(convert.process_symbol(symbol)?.unwrap_or_default());
            Ok(())
        })?;
        out.extend_from_slice(convert.process_tail()?.unwrap_or_default());
        Ok(out)
    }

    fn scan_octets(&mut self) -> Result<Vec<u8>, ZoneFault> {
        self.octets()
    }

    fn scan_svcb_octets(&mut self) -> Result<Vec<u8>, ZoneFault> {
        let mut octets = self.octets()?;
        while self.peek().is_some_and(|word| word.is_joined) {
            octets.append(&mut self.octets()?);
        }
        Ok(octets)
    }

    fn scan_ascii_str<F, T>(&mut self, op: F) -> Result<T, ZoneFault>
    where
        F: FnOnce(&str) -> Result<T, ZoneFault>,
    {
        let text = self.scan_string()?;
        if text.is_ascii() { op(&text) } else { Err(ZoneFault::expected("ASCII")) }
    }

    fn scan_name(&mut self) -> Result<ShortName, ZoneFault> {
        self.name()
    }

    fn scan_charstr(&mut self) -> Result<CharStr<Vec<u8>>, ZoneFault> {
        let octets = self.octets()?;
        let len = octets.len();
        CharStr::from_octets(octets).map_err(|_| ZoneFault::LongText { octets: len })
    }

    fn scan_string(&mut self) -> Result<Str<Vec<u8>>, ZoneFault> {
        Str::from_utf8(self.octets()?).map_err(|_| ZoneFault::expected("UTF-8"))
    }

    fn scan_charstr_entry(&mut self) -> Result<Vec<u8>, ZoneFault> {
        let mut out = Vec::new();
        while self.peek().is_some() {
            self.text(&mut out)?;
        }
        Ok(out)
    }

    fn scan_opt_unknown_marker(&mut self) -> Result<bool, ZoneFault> {
        Ok(self.take("\\#"))
    }

    fn octets_builder(&mut self) -> Result<Vec<u8>, ZoneFault> {
        Ok(Vec::new())
    }
}
