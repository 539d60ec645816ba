//! The `[[key]]` tables: TSIG keys whose secrets stand there, or in a file of their own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::key_file::KeyFile;
use super::source::{Source, Text};
use super::warning::secret_octets_min;
use super::{ConfigError, ConfigWarning, Doubt, Fault, KeyFileFault, key_name};
use crate::security::Keyring;
use crate::wire::{Name, tsig};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyTable {
    name: Option<Text>,
    algorithm: Option<Text>,
    secret: Option<Spanned<Secret>>,
    file: Option<Text>,
}

/// The text of a secret. serde's own errors repeat the value that they refuse; this one does not.
struct Secret(String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Secret(text)),
            other => Err(D::Error::custom(format!("expected a text in base64, found: {}", other.type_str()))),
        }
    }
}

/// All keys.
#[derive(Default)]
pub(super) struct Keys {
    pub ring: Keyring,
    /// Where `rollcall.toml` names them: the line of the key's name, or of its file.
    pub lines: Vec<(Name, usize)>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
}

impl Keys {
    pub fn read(
        source: &Source,
        tables: &[Spanned<KeyTable>],
        warnings: &mut Vec<ConfigWarning>,
    ) -> Result<Self, ConfigError> {
        let mut keys = Keys::default();
        let mut first_secret = None;
        for table in tables {
            let span = table.span();
            let table = table.get_ref();
            match (&table.name, &table.algorithm, &table.secret, &table.file) {
                (Some(name), algorithm, Some(secret), None) => {
                    first_secret.get_or_insert(secret.span());
                    keys.add_inline(source, name, algorithm.as_ref(), secret, warnings)?;
                }
                (None, None, None, Some(file)) => keys.add_file(source, file, warnings)?,
                _ => return Err(source.fault(span, Fault::KeyParts)),
            }
        }
        if let (Some(span), Some(mode)) = (first_secret, mode_for_everybody(source.path())) {
            warnings.push(source.warning(span, Doubt::ReadableSecret { mode }));
        }
        Ok(keys)
    }

    fn add_inline(
        &mut self,
        source: &Source,
        name: &Text,
        algorithm: Option<&Text>,
        secret: &Spanned<Secret>,
        warnings: &mut Vec<ConfigWarning>,
    ) -> Result<(), ConfigError> {
        let owner = key_name(source, "name", name)?;
        let policy = match algorithm {
            None => tsig::Algorithm::HmacSha256.into(),
            Some(text) => text.get_ref().parse::<tsig::MacPolicy>().map_err(|error| {
                source.fault(text.span(), Fault::Algorithm { text: text.get_ref().clone(), error })
            })?,
        };
        let bad_secret = |fault| source.fault(secret.span(), fault);
        let octets = BASE64.decode(&secret.get_ref().0).map_err(|_| bad_secret(Fault::SecretText))?;
        let key =
            tsig::Key::new(&owner, policy, &octets).map_err(|error| bad_secret(Fault::Secret { error }))?;
        warnings.extend(doubts(&key, octets.len()).map(|doubt| {
            let about = algorithm.filter(|_| matches!(doubt, Doubt::LegacyAlgorithm { .. }));
            source.warning(about.map_or(secret.span(), Spanned::span), doubt)
        }));
        self.lines.push((key.name().clone(), source.line(name.span().start)));
        self.ring.insert(key).map_err(|error| source.fault(name.span(), Fault::DuplicateKey(error)))
    }

    fn add_file(
        &mut self,
        source: &Source,
        file: &Text,
        warnings: &mut Vec<ConfigWarning>,
    ) -> Result<(), ConfigError> {
        let path = source.path().parent().unwrap_or(Path::new("")).join(file.get_ref());
        let read = KeyFile::read(path.clone())
            .map_err(|error| source.fault(file.span(), Fault::KeyFile { path: path.clone(), error }))?;
        for found in read.keys()? {
            warnings.extend(doubts(&found.key, found.secret_octets).map(|doubt| ConfigWarning {
                path: path.clone(),
                line: Some(found.line),
                doubt,
            }));
            self.lines.push((found.key.name().clone(), source.line(file.span().start)));
            let twice = |error| read.fault(found.line, KeyFileFault::Duplicate(error));
            self.ring.insert(found.key).map_err(twice)?;
        }
        self.files.push(path);
        Ok(())
    }
}

/// What is hardly meant in a key.
fn doubts(key: &tsig::Key, secret_octets: usize) -> impl Iterator<Item = Doubt> {
    let (name, algorithm) = (key.name().clone(), key.algorithm());
    let legacy = algorithm.is_legacy().then(|| Doubt::LegacyAlgorithm { key: name.clone(), algorithm });
    let short = secret_octets < secret_octets_min(algorithm);
    let short = short.then_some(Doubt::ShortSecret { key: name, algorithm, octets: secret_octets });
    legacy.into_iter().chain(short)
}

/// The permissions of a file that everybody may read. What cannot be looked at was not read either.
fn mode_for_everybody(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    Some(mode).filter(|mode| mode & 0o004 != 0)
}
