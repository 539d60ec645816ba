//! A TOML file with the place of everything in it, so that each error shows the line that it is about.

use std::fmt;
use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use ipnetwork::IpNetwork;
use serde::de::DeserializeOwned;
use toml::Spanned;

use super::{ConfigError, ConfigWarning, Doubt, Fault};

/// A number as TOML has it, with its place.
pub(super) type Number = Option<Spanned<i64>>;
/// A text with its place.
pub(super) type Text = Spanned<String>;
/// A list whose items have a place of their own.
pub(super) type List = Option<Spanned<Vec<Text>>>;

/// Where in a file something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which file.
    pub path: PathBuf,
    /// Which line, from 1.
    pub line: usize,
    /// Which character of it, from 1.
    pub column: usize,
    /// The line, without its secrets.
    pub text: String,
    /// How many characters of it are meant; 0 if they are not shown.
    width: usize,
}

impl Place {
    /// The line with its number and what is meant underlined, to be printed below a message.
    pub fn excerpt(&self) -> String {
        let (number, text) = (self.line.to_string(), &self.text);
        if self.width == 0 {
            return format!("  {number} | {text}");
        }
        let (gutter, indent) = (" ".repeat(number.len()), " ".repeat(self.column.saturating_sub(1)));
        format!("  {number} | {text}\n  {gutter} | {indent}{}", "^".repeat(self.width))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// A file, read.
pub(super) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.into(), error })?;
        Ok(Source { path: path.into(), text })
    }

    /// A file that says nothing.
    pub fn empty() -> Self {
        Source { path: PathBuf::new(), text: String::new() }
    }

    /// Where it was read; empty if nowhere.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(&self.text).map_err(|error| {
            let span = error.span().unwrap_or_default();
            let place = self.place(span);
            let key = place.text.split_once('=').map(|(key, _)| key.trim());
            let key = key.filter(|key| !key.is_empty() && !key.contains(char::is_whitespace));
            let message = error.message().replace('\n', "; ");
            let message = key.map_or_else(|| message.clone(), |key| format!("`{key}`: {message}"));
            ConfigError::At { place: Box::new(place), fault: Fault::Toml { message } }
        })
    }

    /// The error at a place in this file.
    pub fn fault(&self, span: Range<usize>, fault: Fault) -> ConfigError {
        ConfigError::At { place: Box::new(self.place(span)), fault }
    }

    /// The warning about a place in this file.
    pub fn warning(&self, span: Range<usize>, doubt: Doubt) -> ConfigWarning {
        ConfigWarning { path: self.path.clone(), line: Some(self.line(span.start)), doubt }
    }

    /// Which line `offset` is on, from 1.
    pub fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        1 + before.filter(|&&octet| octet == b'\n').count()
    }

    fn place(&self, span: Range<usize>) -> Place {
        let line = self.line(span.start);
        let shown = self.text.lines().nth(line - 1).unwrap_or_default();
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        let text = self.without_secrets(line, shown);
        let meant = self.text.get(span).unwrap_or_default().lines().next().unwrap_or_default();
        // What is not shown is not underlined.
        let width = if text == shown { meant.chars().count().max(1) } else { 0 };
        Place { path: self.path.clone(), line, column, text, width }
    }

    /// A line as errors may show it: they end up in logs and bug reports, where no secret may be. In a `[[key]]` table only
    /// the lines that cannot hold one are shown whole, for a misspelt `secret` is still a secret.
    fn without_secrets(&self, line: usize, shown: &str) -> String {
        let headers = self.text.lines().take(line).map(str::trim_start).filter(|line| line.starts_with('['));
        let header = headers.last().unwrap_or_default();
        let in_key = header.trim_start_matches(['[', ' ']).starts_with("key");
        let key = shown.split('=').next().unwrap_or_default().trim();
        let harmless = key.is_empty() || key.starts_with('[') || matches!(key, "name" | "algorithm" | "file");
        match shown.split_once('=') {
            _ if !shown.contains("secret") && (!in_key || harmless) => shown.to_owned(),
            Some((key, _)) => format!("{key}= (not shown)"),
            None => "(not shown)".to_owned(),
        }
    }

    /// A whole number within `range`, or the default.
    pub fn number<T: TryFrom<i64>>(
        &self,
        key: &'static str,
        given: &Number,
        default: T,
        range: RangeInclusive<i64>,
    ) -> Result<T, ConfigError> {
        let Some(given) = given else { return Ok(default) };
        let value = *given.get_ref();
        match T::try_from(value) {
            Ok(number) if range.contains(&value) => Ok(number),
            _ => Err(self.fault(given.span(), Fault::Range { key, value, range })),
        }
    }

    /// The items of a list; none if it was left out. An empty list is refused: it is not clear whether it means nothing
    /// or everything.
    pub fn list<'s>(&self, key: &'static str, given: &'s List) -> Result<&'s [Text], ConfigError> {
        match given {
            None => Ok(&[]),
            Some(list) if list.get_ref().is_empty() => Err(self.fault(list.span(), Fault::Empty { key })),
            Some(list) => Ok(list.get_ref()),
        }
    }

    /// A list of prefixes.
    pub fn prefixes(&self, key: &'static str, given: &List) -> Result<Vec<IpNetwork>, ConfigError> {
        self.list(key, given)?
            .iter()
            .map(|text| {
                prefix(text.get_ref()).map_err(|wanted| {
                    self.fault(text.span(), Fault::Prefix { key, text: text.get_ref().clone(), wanted })
                })
            })
            .collect()
    }
}

/// Reads a prefix; else what would be one. Bits beyond the prefix length are most often a slip, so nobody guesses.
fn prefix(text: &str) -> Result<IpNetwork, String> {
    let network: IpNetwork =
        text.parse().map_err(|_| "a prefix such as 192.0.2.0/24 or 2001:db8::/32".to_owned())?;
    if let IpAddr::V6(address) = network.ip()
        && let Some(mapped) = address.to_ipv4_mapped()
    {
        return Err(format!("the IPv4 prefix, such as {mapped}/32"));
    }
    if network.network() == network.ip() {
        return Ok(network);
    }
    let host = IpNetwork::from(network.ip());
    Err(format!("{}/{} or {host}", network.network(), network.prefix()))
}
