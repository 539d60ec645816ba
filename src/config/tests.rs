mod all_down;
mod elsewhere;
mod grants;
mod in_the_way;
mod keys;
mod policies;
mod rereading;
mod server;
mod warnings;
mod zone_files;
mod zones;

use std::num::NonZeroU16;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::policy::{Policy, Shown};
use crate::zone::OnAllDown;

fn load_with(
    config_file: Option<&Path>,
    overrides: Overrides,
    environment: &dyn Fn(&str) -> Option<OsString>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Config, ConfigError> {
    Ok(Reader::start_with(config_file, overrides, environment, progress)?.1)
}

const KEY: &str = "[[key]]\nname = 'web'\nsecret = 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE='\n";
const ZONE: &str = "@ 60 SOA ns hostmaster 42 1200 180 1209600 2\n@ 60 NS ns\nns 60 A 192.0.2.1\n";

/// A directory with these files in it, which are their owner's alone, and rollcall.toml loaded from there.
fn load_files(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Config, ConfigError>) {
    load_modes(&files.iter().map(|&(name, text)| (name, text, 0o600)).collect::<Vec<_>>())
}

/// The same, with the permissions that each file has.
fn load_modes(files: &[(&str, &str, u32)]) -> (tempfile::TempDir, Result<Config, ConfigError>) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("zones")).unwrap();
    for &(name, text, mode) in files {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let file = dir.path().join("rollcall.toml");
    let config = load_with(
        Some(&file),
        Overrides::default(),
        &|variable| (variable == "HOME").then(|| "/home/u".into()),
        &mut |_| (),
    );
    (dir, config)
}

fn good(server: &str, zone: &str) -> Config {
    load_files(&[("rollcall.toml", server), ("zones/pool.example.toml", zone)]).1.unwrap()
}

/// The message of a load that fails, the directory's name cut out.
fn bad(files: &[(&str, &str)]) -> String {
    let (dir, config) = load_files(files);
    config.unwrap_err().to_string().replace(&format!("{}/", dir.path().display()), "")
}

fn bad_server(text: &str) -> String {
    bad(&[("rollcall.toml", text), ("zones/pool.example.toml", "")])
}

fn bad_zone(text: &str) -> String {
    bad(&[("rollcall.toml", KEY), ("zones/pool.example.toml", text)])
}

fn name(text: &str) -> Name {
    Name::bytes_from_str(text).unwrap()
}

#[test]
fn errors_show_their_line() {
    assert_eq!(
        bad_server("\n[udp]\n  batch = 65 # too many\n"),
        "rollcall.toml:3:11: `batch` is 65; give 1 to 64\n  3 |   batch = 65 # too many\n    |           ^^"
    );
    assert_eq!(
        bad_zone("ttl = 5\nanswers = [\n 1 ]\n"),
        "zones/pool.example.toml:2:11: `answers` is [1]; give \"all\" or 1 to 64\n  2 | answers = [\n    |           ^"
    );
}
