//! Reads a configuration, and while a server runs, what has changed of it.
//!
//! A zone's files are read again as one: all of them have to be good, or the zone stays as it was. Zones do not wait for
//! each other, and nothing else does for a zone. What has changed is told by the files' stamps, so that an event costs two
//! `stat` calls a zone and not its reading.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::grant::Keys;
use super::nested::{self, Served};
use super::server::Server;
use super::source::Source;
use super::{
    Config, ConfigError, ConfigWarning, DEFAULT_FILE, Overrides, ZoneConfig, absolute_name,
    default_state_dir, elsewhere, in_the_way, key, warning, zone,
};
use crate::security::Keyring;
use crate::wire::Name;
use crate::zone::file::{self, Progress};

/// Why the files are looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Somebody said so: everything that has changed is read, and what is gone is unloaded.
    Explicitly,
    /// Something in the zones directory moved: zones that have changed are read, and what is gone stays, for an editor, or a
    /// copy, may be about to put it back.
    ByWatching,
}

/// What has changed, and what could not be read.
#[derive(Debug, Default)]
pub struct Reread {
    /// Zones that are new or have changed, and those that lie around one that came or went.
    pub zones: Vec<ZoneConfig>,
    /// Zones that are served no more.
    pub unloaded: Vec<Name>,
    /// The keys, if they were read.
    pub keyring: Option<Keyring>,
    /// Why zones stay as they were. Each is told once, unless somebody asks.
    pub errors: Vec<ConfigError>,
    /// Files that are gone, whose zones stay as they were.
    pub missing: Vec<PathBuf>,
    /// What is hardly meant, in what was read.
    pub warnings: Vec<ConfigWarning>,
    /// What in `rollcall.toml` differs and waits for the next start.
    pub waiting: Vec<&'static str>,
}

/// Reads a configuration again and again.
pub struct Reader {
    config_file: Option<PathBuf>,
    listen_given: bool,
    zones_dir: PathBuf,
    /// Of `rollcall.toml` and the key files.
    stamps: Stamps,
    keyring: Keyring,
    begun: Server,
    known: BTreeMap<Name, Known>,
    /// What was last told about files whose names are no zone's.
    misnamed: Vec<String>,
}

/// A zone as it was last read, or tried.
#[derive(Default)]
struct Known {
    found: Found,
    stamps: Stamps,
    is_served: bool,
    /// What was last told about it.
    told: Option<String>,
}

/// By which a changed file is told from an unchanged one: none if it could not be looked at.
type Stamps = Vec<(PathBuf, Option<Stamp>)>;

/// A file's device, inode, size and time of change in nanoseconds. A file that is replaced has another inode, or one that was
/// free again, and one that is written another time: not the time of modification, which copying programs set back, and
/// which stays when a file becomes readable.
type Stamp = (u64, u64, u64, i128);

fn stamp(path: &Path) -> Option<Stamp> {
    let data = std::fs::metadata(path).ok()?;
    let changed_ns = i128::from(data.ctime()) * 1_000_000_000 + i128::from(data.ctime_nsec());
    Some((data.dev(), data.ino(), data.size(), changed_ns))
}

fn stamps<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Stamps {
    paths.into_iter().map(|path| (path.clone(), stamp(path))).collect()
}

/// The stamps of what a zone file includes; `files` are all that the zone was read from. Those are known only when it has
/// been read: of one that was included before, the stamp `before` the reading counts, for it may have been written since.
fn included(files: &[PathBuf], before: &Stamps) -> Stamps {
    let before: HashMap<&PathBuf, Option<Stamp>> = before.iter().map(|(path, held)| (path, *held)).collect();
    let held = |path: &PathBuf| before.get(path).copied().unwrap_or_else(|| stamp(path));
    files.iter().skip(1).map(|path| (path.clone(), held(path))).collect()
}

fn is_current(stamps: &Stamps) -> bool {
    stamps.iter().all(|(path, held)| stamp(path) == *held)
}

impl Known {
    /// Whether it was read, or tried, from these files as they are now.
    fn is_as(&self, found: &Found) -> bool {
        self.found == *found && !self.stamps.is_empty() && is_current(&self.stamps)
    }
}

impl Reader {
    /// Reads everything for the first time. Without a file, [`DEFAULT_FILE`] in the working directory is read if it is there.
    pub fn start(
        config_file: Option<&Path>,
        overrides: Overrides,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(Self, Config), ConfigError> {
        let in_working_directory = Path::new(DEFAULT_FILE);
        let file = config_file.or_else(|| in_working_directory.exists().then_some(in_working_directory));
        Self::start_with(file, overrides, &|variable| std::env::var_os(variable), progress)
    }

    /// [`Reader::start`], with the environment as an argument.
    pub(super) fn start_with(
        config_file: Option<&Path>,
        overrides: Overrides,
        environment: &dyn Fn(&str) -> Option<OsString>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(Self, Config), ConfigError> {
        let own_stamp = stamps(config_file.map(PathBuf::from).iter());
        let mut server = read_server(config_file)?;
        let base = config_file.and_then(Path::parent).unwrap_or(Path::new(""));
        let zones = server.zones.clone().unwrap_or("zones".into());
        let zones_dir = overrides.zones.unwrap_or_else(|| base.join(zones));
        let state_dir = overrides.state.or_else(|| server.state.as_ref().map(|dir| base.join(dir)));
        let state_dir = state_dir.or_else(|| default_state_dir(environment)).ok_or(ConfigError::NoState)?;

        let key::Keys { ring: keyring, files: key_files, lines } = std::mem::take(&mut server.keys);
        let mut files: Vec<_> = config_file.map(PathBuf::from).into_iter().chain(key_files.clone()).collect();
        let mut warnings = std::mem::take(&mut server.warnings);
        let (found, misnamed) = find_zones(&zones_dir, &mut warnings)?;
        if let Some(error) = misnamed.into_iter().next() {
            return Err(error);
        }
        if found.is_empty() {
            return Err(ConfigError::NoZones { dir: zones_dir });
        }
        let served = Served::new(found.iter().map(|(apex, found)| (apex.clone(), found.toml_path())));
        let keys = Keys { ring: &keyring, file: config_file };
        let (mut zones, mut known) = (Vec::new(), BTreeMap::new());
        for (apex, found) in found {
            files.extend(found.files().cloned());
            let (mut stamps, mut read) = (stamps(found.files()), Vec::new());
            let zone = load_zone(&apex, &found, &keys, &served, &mut warnings, &mut read, progress)?;
            stamps.extend(included(&read, &Stamps::new()));
            files.extend(read.into_iter().skip(1));
            zones.push(zone);
            known.insert(apex, Known { found, stamps, is_served: true, told: None });
        }
        warnings.extend(warning::unused_keys(lines, &zones, config_file.unwrap_or(Path::new(""))));
        let listen_given = !overrides.listen.is_empty();
        let listen = if listen_given { overrides.listen } else { server.listen.clone() };
        let config_file = config_file.map(PathBuf::from);
        let config = Config {
            listen,
            state_dir,
            store: server.store.clone(),
            udp: server.udp.clone(),
            tcp: server.tcp.clone(),
            limits: server.limits.clone(),
            identity: server.identity.clone(),
            keyring: keyring.clone(),
            zones,
            config_file: config_file.clone(),
            files,
            warnings,
        };
        let stamps = own_stamp.into_iter().chain(stamps(&key_files)).collect();
        let begun = server;
        let misnamed = Vec::new();
        Ok((Reader { config_file, listen_given, zones_dir, stamps, keyring, begun, known, misnamed }, config))
    }

    /// Where the zones' files are.
    pub fn zones_dir(&self) -> &Path {
        &self.zones_dir
    }

    /// Reads what has changed. An error is about no zone alone: nothing has been read, and everything stays as it was.
    pub fn read_again(&mut self, asked: Asked) -> Result<Reread, ConfigError> {
        let mut reread = Reread::default();
        let is_explicit = asked == Asked::Explicitly;
        let mut ignored = Vec::new();
        let warnings = if is_explicit { &mut reread.warnings } else { &mut ignored };
        let (mut found, misnamed) = find_zones(&self.zones_dir, warnings)?;
        if found.is_empty() && is_explicit {
            return Err(ConfigError::NoZones { dir: self.zones_dir.clone() });
        }
        let told: Vec<String> = misnamed.iter().map(ToString::to_string).collect();
        let are_new =
            misnamed.into_iter().zip(&told).filter(|(_, told)| is_explicit || !self.misnamed.contains(told));
        reread.errors.extend(are_new.map(|(error, _)| error));
        self.misnamed = told;
        let mut unused = Vec::new();
        match asked {
            Asked::ByWatching => self.keep_missing(&mut found, &mut reread),
            Asked::Explicitly if !is_current(&self.stamps) => unused = self.read_keys(&mut reread)?,
            Asked::Explicitly => {}
        }
        let gone: Vec<Name> = self.known.keys().filter(|apex| !found.contains_key(*apex)).cloned().collect();
        let is_served = |apex: &Name| self.known.get(apex).is_some_and(|known| known.is_served);
        let was_tried =
            |apex: &Name, found: &Found| self.known.get(apex).is_some_and(|known| known.is_as(found));
        let new = found.iter().filter(|(apex, found)| !is_served(apex) && !was_tried(apex, found));
        let left = gone.iter().filter(|apex| is_served(apex));
        let moving = left.chain(new.map(|(apex, _)| apex));
        let around: HashSet<Name> = moving.flat_map(|apex| apex.iter_suffixes().skip(1)).collect();
        for apex in gone {
            if self.known.remove(&apex).is_some_and(|known| known.is_served) {
                reread.unloaded.push(apex);
            }
        }
        let served = Served::new(found.iter().map(|(apex, found)| (apex.clone(), found.toml_path())));
        for (apex, found) in found {
            let known = self.known.entry(apex.clone()).or_default();
            let is_asked_for =
                around.contains(&apex) || reread.keyring.is_some() || (is_explicit && known.told.is_some());
            if known.is_as(&found) && !is_asked_for {
                continue;
            }
            let keys = Keys { ring: &self.keyring, file: self.config_file.as_deref() };
            let before = stamps(known.stamps.iter().map(|(path, _)| path));
            known.stamps = stamps(found.files());
            let (mut warnings, mut files) = (Vec::new(), Vec::new());
            let read = load_zone(&apex, &found, &keys, &served, &mut warnings, &mut files, &mut |_| ());
            known.stamps.extend(included(&files, &before));
            known.found = found;
            match read {
                Ok(zone) => {
                    (known.is_served, known.told) = (true, None);
                    reread.warnings.extend(warnings);
                    reread.zones.push(zone);
                }
                Err(error) => {
                    let told = Some(error.to_string());
                    if is_explicit || known.told != told {
                        known.told = told;
                        reread.errors.push(error);
                    }
                }
            }
        }
        let file = self.config_file.as_deref().unwrap_or(Path::new(""));
        if reread.errors.is_empty() {
            reread.warnings.extend(warning::unused_keys(unused, &reread.zones, file));
        }
        Ok(reread)
    }

    /// Reads `rollcall.toml` and the key files again. Where it names keys.
    fn read_keys(&mut self, reread: &mut Reread) -> Result<Vec<(Name, usize)>, ConfigError> {
        let own_stamp = stamps(self.config_file.iter());
        let mut server = read_server(self.config_file.as_deref())?;
        let key::Keys { ring, files, lines } = std::mem::take(&mut server.keys);
        self.stamps = own_stamp.into_iter().chain(stamps(&files)).collect();
        self.keyring = ring.clone();
        reread.keyring = Some(ring);
        reread.warnings.append(&mut server.warnings);
        let begun = &self.begun;
        for (key, differs) in [
            ("listen", !self.listen_given && server.listen != begun.listen),
            ("zones", server.zones != begun.zones),
            ("state", server.state != begun.state),
            ("[store]", server.store != begun.store),
            ("[udp]", server.udp != begun.udp),
            ("[tcp]", server.tcp != begun.tcp),
            ("[limits]", server.limits != begun.limits),
            ("[identity]", server.identity != begun.identity),
        ] {
            reread.waiting.extend(differs.then_some(key));
        }
        Ok(lines)
    }

    /// Has zones of which a file is gone stay as they were.
    fn keep_missing(&mut self, found: &mut Zones, reread: &mut Reread) {
        for (apex, known) in self.known.iter_mut().filter(|(_, known)| known.is_served) {
            let there = found.entry(apex.clone()).or_default();
            let missing = known.found.missing_from(there);
            if missing.is_empty() {
                continue;
            }
            *there = known.found.clone();
            // Told once: its stamp is that of a file which is not there.
            for (path, held) in known.stamps.iter_mut().filter(|(path, _)| missing.contains(path)) {
                // One that another of its name stands before is still there.
                if path.exists() {
                    continue;
                }
                reread.missing.extend(held.take().map(|_| path.clone()));
            }
        }
    }
}

fn read_server(config_file: Option<&Path>) -> Result<Server, ConfigError> {
    match config_file {
        Some(path) => Server::read(&Source::read(path)?),
        None => Server::without_file(),
    }
}

/// The files of one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Found {
    zone: Option<PathBuf>,
    toml: Option<PathBuf>,
}

impl Found {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.toml.iter().chain(&self.zone)
    }

    /// Those that `there` lacks.
    fn missing_from(&self, there: &Found) -> Vec<PathBuf> {
        self.files().filter(|file| !there.files().any(|held| held == *file)).cloned().collect()
    }

    /// The zone's TOML file, or where it would be.
    fn toml_path(&self) -> PathBuf {
        let beside = || self.zone.as_ref().map(|zone| zone.with_extension("toml"));
        self.toml.clone().or_else(beside).unwrap_or_default()
    }
}

type Zones = BTreeMap<Name, Found>;

/// The zones in a directory: NAME.zone and NAME.toml, and what is wrong with the names of such files. Everything else there
/// is somebody else's, such as what editors leave.
fn find_zones(
    dir: &Path,
    warnings: &mut Vec<ConfigWarning>,
) -> Result<(Zones, Vec<ConfigError>), ConfigError> {
    let failed = |error| ConfigError::ZonesDirectory { dir: dir.into(), error };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    let (mut zones, mut misnamed) = (Zones::new(), Vec::new());
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
        let Some(apex) = absolute_name(&stem) else {
            misnamed.push(ConfigError::ZoneName { path });
            continue;
        };
        let found = zones.entry(apex).or_default();
        let place = if is_zone { &mut found.zone } else { &mut found.toml };
        match place {
            Some(first) => misnamed.push(ConfigError::SameZone { first: first.clone(), second: path }),
            None => *place = Some(path),
        }
    }
    Ok((zones, misnamed))
}

/// Reads a zone. What its zone file was read from, itself first, is put into `files`, good or bad.
fn load_zone(
    apex: &Name,
    found: &Found,
    keys: &Keys<'_>,
    served: &Served,
    warnings: &mut Vec<ConfigWarning>,
    files: &mut Vec<PathBuf>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<ZoneConfig, ConfigError> {
    let source = found.toml.as_deref().map(Source::read).transpose()?;
    let (settings, grants, grant_lines) = zone::read(source.as_ref(), apex, keys, served, warnings)?;
    let records = match (&found.zone, &found.toml) {
        (Some(path), _) => {
            let mut records =
                file::read(path, apex, progress).inspect_err(|error| *files = error.files().into())?;
            files.clone_from(&records.files);
            nested::check(&records, apex, served)?;
            in_the_way::check(&records, &settings)?;
            elsewhere::check(&records, &settings)?;
            in_the_way::expect_members(&mut records, &settings);
            records.shorten_warnings();
            records
        }
        (None, toml) => file::synthetic(apex)
            .map_err(|_| ConfigError::ZoneName { path: toml.clone().unwrap_or_default() })?,
    };
    let Found { zone: zone_file, toml: toml_file } = found.clone();
    Ok(ZoneConfig { settings, grants, grant_lines, records, zone_file, toml_file })
}
