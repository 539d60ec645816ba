//! What a configuration holds that is allowed, but hardly meant: it is served, and somebody should look at it.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::ZoneConfig;
use crate::security::Grant;
use crate::wire::{Name, lower, name_text, tsig};
use crate::zone::ZoneSettings;

/// A doubt, and where it arose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigWarning {
    /// Which file.
    pub path: PathBuf,
    /// Which line, from 1; `None` if it is about the file's name.
    pub line: Option<usize>,
    /// What it is.
    pub doubt: Doubt,
}

/// `FILE:LINE: warning: TEXT`.
impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": warning: {}", self.doubt)
    }
}

/// What is allowed but hardly meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// A secret that is easier to guess than its hash is to break (RFC 8945 section 8, RFC 2104 section 3).
    #[error(
        "the secret of the key {} has {octets} octets, and {algorithm} wants {} or more; make a key with \
         `rollcall keygen`",
        name_text(.key.as_slice()), secret_octets_min(*.algorithm)
    )]
    ShortSecret {
        /// The key.
        key: Name,
        /// What it is for.
        algorithm: tsig::Algorithm,
        /// How long the secret is.
        octets: usize,
    },
    /// A key that opens nothing.
    #[error("no zone has a [[grant]] for the key {}; whoever signs with it is refused", name_text(.key.as_slice()))]
    UnusedKey {
        /// The key.
        key: Name,
    },
    /// A grant that no pool is under.
    #[error(
        "no pool of this zone matches the grant's `pools` ({patterns}); declare one with [[pool]], or set `create_pools = true`"
    )]
    NoPool {
        /// The patterns, with commas between them.
        patterns: String,
    },
    /// A grant's lease that every pool cuts short.
    #[error(
        "`lease` is {lease_s}, but the pools of this grant allow {max_s} at most; that is what members get, unless `max_lease` is raised"
    )]
    LongLease {
        /// What the grant says, seconds.
        lease_s: u32,
        /// The largest `max_lease`, seconds.
        max_s: u32,
    },
    /// A file that nobody reads, though it looks as if somebody should.
    #[error("not read: a zone's files end in .zone and .toml; rename it to {}, or move it away", .wanted.display())]
    Misspelt {
        /// The name that it may be meant to have.
        wanted: PathBuf,
    },
}

/// The fewest octets of a secret that nobody is warned of: half of the hash's.
pub(super) fn secret_octets_min(algorithm: tsig::Algorithm) -> usize {
    algorithm.mac_len() / 2
}

/// The keys that no zone's grant is for. `keys` are those of the file `path`, with their lines.
pub(super) fn unused_keys(
    keys: Vec<(Name, usize)>,
    zones: &[ZoneConfig],
    path: &Path,
) -> impl Iterator<Item = ConfigWarning> {
    let used: HashSet<&Name> =
        zones.iter().flat_map(|zone| zone.grants.iter()).filter_map(|grant| grant.key.as_ref()).collect();
    keys.into_iter().filter(move |(key, _)| !used.contains(key)).map(move |(key, line)| ConfigWarning {
        path: path.into(),
        line: Some(line),
        doubt: Doubt::UnusedKey { key },
    })
}

/// What is odd about a grant, seen beside the zone's pools.
pub(super) fn of_grant(grant: &Grant, settings: &ZoneSettings) -> Option<Doubt> {
    let covers = |name: &Name| {
        let pool = relative(name, &settings.apex);
        grant.pools.iter().any(|pattern| pattern.matches(&pool))
    };
    let declared = settings.pools.iter().filter(|(name, _)| covers(name)).map(|(_, pool)| pool);
    // What the first member of a pool makes has the zone's defaults.
    let made = settings.create_pools.then_some(&settings.defaults);
    let Some(max_ms) = declared.chain(made).map(|pool| pool.leases.max_ms).max() else {
        let patterns: Vec<_> =
            grant.pools.iter().map(|pattern| format!("\"{}\"", pattern.as_str())).collect();
        return Some(Doubt::NoPool { patterns: patterns.join(", ") });
    };
    let (lease_s, max_s) = (grant.lease_s?, max_ms / 1000);
    (lease_s > max_s).then_some(Doubt::LongLease { lease_s, max_s })
}

/// A pool's name as patterns see it.
fn relative(pool: &Name, apex: &Name) -> String {
    let pool = lower(pool.as_slice());
    let octets = pool.len().saturating_sub(apex.as_slice().len());
    name_text(pool.get(..octets).unwrap_or_default())
}

/// The doubt about a file in the zones directory that is none of a zone's, if its name is nearly that of one. What
/// editors leave behind has another character in its extension, or before its name.
pub(super) fn misspelt(path: &Path) -> Option<ConfigWarning> {
    let extension = path.extension()?.to_str()?;
    let stem = path.file_stem()?.to_str()?;
    let lower = extension.to_ascii_lowercase();
    let wanted = match lower.get(..3)? {
        "zon" => "zone",
        "tom" => "toml",
        _ => return None,
    };
    let plain = extension.bytes().all(|octet| octet.is_ascii_alphanumeric()) && !stem.starts_with(['.', '#']);
    let wanted = PathBuf::from(format!("{stem}.{wanted}"));
    plain.then(|| ConfigWarning { path: path.into(), line: None, doubt: Doubt::Misspelt { wanted } })
}
