//! The configuration: `rollcall.toml`, and for each zone `NAME.zone` and `NAME.toml`.
//!
//! ```text
//!  rollcall.toml ----> listeners, limits, Keyring --.        (and the key files that it names)
//!  zones/NAME.toml --> ZoneSettings, Grants <-------'  (a grant's key has to exist)
//!  zones/NAME.zone --> ZoneRecords                     (none may stand where a pool's names are, or another zone's)
//! ```
//!
//! [`load`] reads all of it and returns either a [`Config`] in which everything has been checked, or one error that shows
//! the line that it is about and says what is expected there. It reads files and the environment; it opens no socket, reads
//! no clock and writes nothing, so `rollcall check` may run it beside a running server.

mod error;
mod grant;
mod in_the_way;
mod key;
mod key_file;
mod nested;
mod server;
mod source;
mod warning;
mod zone;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::security::{Grants, Keyring};
use crate::wire::Name;
use crate::zone::ZoneSettings;
use crate::zone::file::{self, ZoneRecords};

pub use error::{ConfigError, Fault, KeyFileFault};
pub use server::{Limits, StoreSettings, TcpSettings, UdpSettings};
pub use source::Place;
pub use warning::{ConfigWarning, Doubt};

use grant::Keys;
use nested::Served;
use server::Server;
use source::{Source, Text};

/// The file that is read from the working directory when none is named.
pub const DEFAULT_FILE: &str = "rollcall.toml";

/// The longest lease that a pool or a grant may give, seconds: 14 days, the longest that RFC 9664's KEY-LEASE is used with.
const LEASE_MAX_S: i64 = 14 * 24 * 3600;

/// A whole configuration, checked.
#[derive(Debug)]
pub struct Config {
    /// Where to listen, over UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Where the store is kept. It need not exist yet.
    pub state_dir: PathBuf,
    /// The store of members.
    pub store: StoreSettings,
    /// The UDP workers.
    pub udp: UdpSettings,
    /// TCP connections.
    pub tcp: TcpSettings,
    /// Where the server says no.
    pub limits: Limits,
    /// The TSIG keys.
    pub keyring: Keyring,
    /// The zones, in the order of their file names; at least one.
    pub zones: Vec<ZoneConfig>,
    /// The `rollcall.toml` that was read; `None` if the built-in defaults hold.
    pub config_file: Option<PathBuf>,
    /// Every file that was read.
    pub files: Vec<PathBuf>,
    /// What is hardly meant, in all files but the zone files, whose warnings are with their records.
    pub warnings: Vec<ConfigWarning>,
}

/// One zone's part.
#[derive(Debug)]
pub struct ZoneConfig {
    /// What its TOML says, or the defaults.
    pub settings: ZoneSettings,
    /// Who may register what in it.
    pub grants: Grants,
    /// On which line of the TOML file each of them begins, in the same order.
    pub grant_lines: Vec<usize>,
    /// What its zone file says, or a SOA and a NS made up.
    pub records: ZoneRecords,
    /// The zone file, if there is one.
    pub zone_file: Option<PathBuf>,
    /// The TOML file, if there is one.
    pub toml_file: Option<PathBuf>,
}

/// What the command line says instead of the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Listeners that replace the file's, unless empty.
    pub listen: Vec<SocketAddr>,
    /// The zones directory, relative to the working directory.
    pub zones: Option<PathBuf>,
    /// The state directory, relative to the working directory.
    pub state: Option<PathBuf>,
}

/// Reads the configuration. Without a file, [`DEFAULT_FILE`] in the working directory is read if it is there, else
/// everything is as if it were empty. Relative paths in a file are relative to the file.
pub fn load(config_file: Option<&Path>, overrides: Overrides) -> Result<Config, ConfigError> {
    let in_working_directory = Path::new(DEFAULT_FILE);
    let file = config_file.or_else(|| in_working_directory.exists().then_some(in_working_directory));
    load_with(file, overrides, &|variable| std::env::var_os(variable))
}

/// [`load`], with the environment as an argument.
fn load_with(
    config_file: Option<&Path>,
    overrides: Overrides,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Config, ConfigError> {
    let server = match config_file {
        Some(path) => Server::read(&Source::read(path)?)?,
        None => Server::without_file()?,
    };
    let base = config_file.and_then(Path::parent).unwrap_or(Path::new(""));
    let zones_dir = overrides.zones.unwrap_or_else(|| base.join(server.zones.unwrap_or("zones".into())));
    let state_dir = overrides.state.or_else(|| server.state.map(|dir| base.join(dir)));
    let state_dir = state_dir.or_else(|| default_state_dir(environment)).ok_or(ConfigError::NoState)?;

    let mut files: Vec<_> = config_file.map(PathBuf::from).into_iter().chain(server.keys.files).collect();
    let mut zones = Vec::new();
    let mut warnings = server.warnings;
    let found_zones = find_zones(&zones_dir, &mut warnings)?;
    let keys = Keys { ring: &server.keys.ring, file: config_file };
    let served = Served::new(found_zones.iter().map(|(apex, found)| (apex.clone(), found.toml_path())));
    for (apex, found) in found_zones {
        files.extend(found.toml.iter().chain(&found.zone).cloned());
        zones.push(load_zone(apex, found, &keys, &served, &mut warnings)?);
    }
    warnings.extend(warning::unused_keys(server.keys.lines, &zones, config_file.unwrap_or(Path::new(""))));
    let listen = if overrides.listen.is_empty() { server.listen } else { overrides.listen };
    let Server { keys: key::Keys { ring: keyring, .. }, store, udp, tcp, limits, .. } = server;
    let config_file = config_file.map(PathBuf::from);
    Ok(Config { listen, state_dir, store, udp, tcp, limits, keyring, zones, config_file, files, warnings })
}

/// systemd's StateDirectory=, else the XDG base directory specification's.
fn default_state_dir(environment: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(dirs) = environment("STATE_DIRECTORY") {
        // systemd lists several directories with colons between them (systemd.exec(5)).
        return std::env::split_paths(&dirs).next();
    }
    // The specification has relative paths ignored.
    let absolute = |variable| environment(variable).map(PathBuf::from).filter(|dir| dir.is_absolute());
    let state_home = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    state_home.map(|dir| dir.join("rollcall"))
}

/// The files of one zone.
#[derive(Default)]
struct Found {
    zone: Option<PathBuf>,
    toml: Option<PathBuf>,
}

impl Found {
    /// The zone's TOML file, or where it would be.
    fn toml_path(&self) -> PathBuf {
        let beside = || self.zone.as_ref().map(|zone| zone.with_extension("toml"));
        self.toml.clone().or_else(beside).unwrap_or_default()
    }
}

/// The zones in a directory: NAME.zone and NAME.toml. Everything else there is somebody else's, such as what editors leave.
fn find_zones(dir: &Path, warnings: &mut Vec<ConfigWarning>) -> Result<BTreeMap<Name, Found>, ConfigError> {
    let failed = |error| ConfigError::ZonesDirectory { dir: dir.into(), error };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    let mut zones: BTreeMap<Name, Found> = BTreeMap::new();
    for path in paths.into_iter().filter(|path| path.is_file()) {
        let is_zone = match path.extension().and_then(|extension| extension.to_str()) {
            Some("zone") => true,
            Some("toml") => false,
            _ => {
                warnings.extend(warning::misspelt(&path));
                continue;
            }
        };
        let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
        if stem.starts_with(['.', '#']) {
            continue;
        }
        let Some(apex) = absolute_name(&stem) else { return Err(ConfigError::ZoneName { path }) };
        let found = zones.entry(apex).or_default();
        let place = if is_zone { &mut found.zone } else { &mut found.toml };
        if let Some(first) = place.replace(path.clone()) {
            return Err(ConfigError::SameZone { first, second: path });
        }
    }
    if zones.is_empty() { Err(ConfigError::NoZones { dir: dir.into() }) } else { Ok(zones) }
}

/// A key's name, with or without the closing dot.
fn key_name(source: &Source, key: &'static str, text: &Text) -> Result<Name, ConfigError> {
    let name = absolute_name(text.get_ref()).filter(|name| name.label_count() > 1);
    name.ok_or_else(|| source.fault(text.span(), Fault::KeyName { key, text: text.get_ref().clone() }))
}

/// A name written with or without its closing dot. `domain` takes spaces and anything else for data in a label; in a
/// configuration they are slips.
fn absolute_name(text: &str) -> Option<Name> {
    let graphic = text.bytes().all(|octet| octet.is_ascii_graphic());
    Name::bytes_from_str(text).ok().filter(|_| graphic)
}

fn load_zone(
    apex: Name,
    found: Found,
    keys: &Keys<'_>,
    served: &Served,
    warnings: &mut Vec<ConfigWarning>,
) -> Result<ZoneConfig, ConfigError> {
    let source = found.toml.as_deref().map(Source::read).transpose()?;
    let (settings, grants, grant_lines) = zone::read(source.as_ref(), &apex, keys, served, warnings)?;
    let records = match (&found.zone, &found.toml) {
        (Some(path), _) => {
            let records = file::read(path, &apex)?;
            nested::check(&records, &apex, served, path)?;
            in_the_way::check(&records, &settings, path)?;
            records
        }
        (None, toml) => file::synthetic(&apex)
            .map_err(|_| ConfigError::ZoneName { path: toml.clone().unwrap_or_default() })?,
    };
    Ok(ZoneConfig { settings, grants, grant_lines, records, zone_file: found.zone, toml_file: found.toml })
}

#[cfg(test)]
mod tests;
