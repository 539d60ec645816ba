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
//! no clock and writes nothing, so `rollcall check` may run it beside a running server. [`Reader`] reads it again while a
//! server runs, and [`Watch`] tells when that may be worth while.

mod all_down;
mod elsewhere;
mod error;
mod grant;
mod in_the_way;
mod key;
mod key_file;
mod nested;
mod policy_option;
mod pool_name;
mod reader;
mod server;
mod source;
mod warning;
mod watch;
mod zone;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::security::{Grants, Keyring};
use crate::wire::Name;
use crate::zone::file::{Progress, ZoneRecords};
use crate::zone::{Identity, ZoneSettings};

pub use error::{ConfigError, Fault, KeyFileFault};
pub use policy_option::{PolicyOf, PolicyOption};
pub use reader::{Asked, Reader, Reread};
pub use server::{Limits, StoreSettings, TcpSettings, UdpSettings};
pub use source::Place;
pub use warning::{ConfigWarning, Doubt};
pub use watch::{Watch, WatchError};

pub(crate) use key_file::KeyFile;
pub(crate) use pool_name::pool_name;
pub(crate) use zone::FREEZE_MAX_S;

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
    /// What the server says of itself.
    pub identity: Identity,
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
/// everything is as if it were empty. Relative paths in a file are relative to the file. A long zone file's progress is told.
pub fn load(
    config_file: Option<&Path>,
    overrides: Overrides,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Config, ConfigError> {
    Ok(Reader::start(config_file, overrides, progress)?.1)
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

#[cfg(test)]
mod tests;
