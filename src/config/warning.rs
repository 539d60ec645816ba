//! What a configuration holds that is allowed, but hardly meant: it is served, and somebody should look at it.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use ipnetwork::IpNetwork;

use super::ZoneConfig;
use crate::security::{Grant, GrantedLease, NamePattern, within_loopback};
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
    /// A hash that is there only for clients that know no better one (RFC 8945 section 6).
    #[error(
        "the key {} is for {algorithm}, which is only for clients that know nothing better; prefer hmac-sha256, and make \
         a key with `rollcall keygen`",
        name_text(.key.as_slice())
    )]
    LegacyAlgorithm {
        /// The key.
        key: Name,
        /// What it is for.
        algorithm: tsig::Algorithm,
    },
    /// Secrets where everybody on the machine can read them.
    #[error(
        "everybody on this machine may read the secret (mode {mode:03o}); run `chmod 640` on this file, or keep the key in a \
         file of its own (`file = \"NAME.key\"`)"
    )]
    ReadableSecret {
        /// The file's permissions.
        mode: u32,
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
    /// A grant that a whole network may use without a key.
    #[error("whoever is in {from} may use this grant without a key{}", unguarded_advice(*.has_addresses))]
    Unguarded {
        /// The network.
        from: IpNetwork,
        /// Whether it covers types of records that hold addresses.
        has_addresses: bool,
    },
    /// A grant by which a whole network may take everything over.
    #[error("whoever is in {from} may change what others own without a key; give `admin` to a `key` instead")]
    UnsignedAdmin {
        /// The network.
        from: IpNetwork,
    },
    /// A pattern that ends in the zone's name, to which it is relative.
    #[error("\"{text}\" is relative to the zone, so it stands for {text}.{zone}.; leave the zone's name out")]
    WholeName {
        /// The pattern, in lower case.
        text: String,
        /// The zone, without the closing dot.
        zone: String,
    },
    /// A file that nobody reads, though it looks as if somebody should.
    #[error("not read: a zone's files end in .zone and .toml; rename it to {}, or move it away", .wanted.display())]
    Misspelt {
        /// The name that it may be meant to have.
        wanted: PathBuf,
    },
}

fn unguarded_advice(has_addresses: bool) -> &'static str {
    if has_addresses {
        ", for any address that it covers; set `own_address = true`, so that each host registers itself alone, or give a \
         `key` instead of `unsigned`"
    } else {
        "; give a `key` instead of `unsigned`, if not everybody there is to be trusted"
    }
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
pub(super) fn of_grant(grant: &Grant, settings: &ZoneSettings) -> Vec<Doubt> {
    let whole_names = whole_names(grant, &settings.apex);
    whole_names.chain(of_pools(grant, settings)).chain(of_strangers(grant)).collect()
}

/// Patterns that end in the zone's name: the slip of everybody who thinks in whole names.
fn whole_names(grant: &Grant, apex: &Name) -> impl Iterator<Item = Doubt> {
    let zone = name_text(&lower(apex.as_slice()));
    let zone = zone.trim_end_matches('.').to_owned();
    let patterns = grant.pools.iter().chain(&grant.names).map(NamePattern::as_str);
    patterns.filter_map(move |text| {
        let rest = text.strip_suffix(zone.as_str()).filter(|_| !zone.is_empty())?;
        let is_whole = rest.is_empty() || rest.ends_with('.');
        is_whole.then(|| Doubt::WholeName { text: text.to_owned(), zone: zone.clone() })
    })
}

/// A grant for pools that there are not, or a lease that none of them gives.
fn of_pools(grant: &Grant, settings: &ZoneSettings) -> Option<Doubt> {
    if grant.pools.is_empty() {
        return None;
    }
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
    match grant.lease {
        GrantedLease::Seconds(lease_s) if lease_s > max_ms / 1000 => {
            Some(Doubt::LongLease { lease_s, max_s: max_ms / 1000 })
        }
        _ => None,
    }
}

/// An unsigned grant trusts everybody in its networks. On loopback they are on this machine; elsewhere anybody may come by.
fn of_strangers(grant: &Grant) -> impl Iterator<Item = Doubt> {
    let beyond = grant.sources.iter().find(|network| grant.key.is_none() && !within_loopback(network));
    let has_addresses = grant.types.have_addresses();
    let unguarded = beyond.filter(|_| !grant.own_address);
    let unguarded = unguarded.map(|&from| Doubt::Unguarded { from, has_addresses });
    let admin = beyond.filter(|_| grant.admin).map(|&from| Doubt::UnsignedAdmin { from });
    unguarded.into_iter().chain(admin)
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
