//! `rollcall check`: what a configuration amounts to, or what is wrong with it.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use super::{CheckArgs, EXIT_FAILED, EXIT_OK};
use crate::config::{self, Config, ConfigWarning, Overrides, ZoneConfig};
use crate::policy::{Policy, Shown};
use crate::security::{Grant, PoolPattern};
use crate::wire::{Name, name_text};
use crate::zone::PoolSettings;

/// Loads the configuration as `serve` would and prints a summary on `out`, warnings and errors on `err`.
pub fn check(args: &CheckArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let overrides = Overrides { zones: args.zones.clone(), ..Overrides::default() };
    let report = match config::load(args.file.as_deref(), overrides) {
        Ok(config) => Report::of(&config),
        Err(error) => {
            let error = error.to_string();
            writeln!(err, "{error}")?;
            if args.json {
                let report = Report { error: Some(error), ..Report::default() };
                report.write_json(out)?;
            }
            return Ok(EXIT_FAILED);
        }
    };
    for warning in report.warnings.iter().chain(report.zones.iter().flat_map(|zone| &zone.warnings)) {
        let line = warning.line.map(|line| format!(":{line}")).unwrap_or_default();
        writeln!(err, "{}{line}: warning: {}", warning.file, warning.text)?;
    }
    if args.json {
        report.write_json(out)?
    } else {
        report.write_text(out)?
    }
    Ok(EXIT_OK)
}

/// What `--json` prints.
#[derive(Default, Serialize)]
struct Report {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// `None` if no rollcall.toml was read.
    config_file: Option<String>,
    /// Every file that was read, that one first.
    files: Vec<String>,
    listen: Vec<String>,
    state: String,
    keys: Vec<String>,
    zones: Vec<ZoneReport>,
    /// Those about TOML files and file names; the zone files' are with their zones.
    warnings: Vec<WarningReport>,
}

#[derive(Serialize)]
struct ZoneReport {
    name: String,
    /// `None` if the SOA is made up.
    file: Option<String>,
    serial: u32,
    /// Records, the SOA included.
    records: usize,
    negative_ttl_s: u32,
    create_pools: bool,
    pools: Vec<PoolReport>,
    grants: Vec<GrantReport>,
    warnings: Vec<WarningReport>,
}

#[derive(Serialize)]
struct PoolReport {
    name: String,
    policy: &'static str,
    ttl_s: u32,
    /// `None`: all of them.
    addresses: Option<u16>,
    services: Option<u16>,
    lease_s: u32,
    min_lease_s: u32,
    max_lease_s: u32,
}

#[derive(Serialize)]
struct GrantReport {
    /// `None` for unsigned updates.
    key: Option<String>,
    sources: Vec<String>,
    pools: Vec<String>,
    addresses: Vec<String>,
    owner: Option<String>,
    admin: bool,
    lease_s: Option<u32>,
}

#[derive(Serialize)]
struct WarningReport {
    file: String,
    /// `None` if it is about the file's name.
    line: Option<usize>,
    text: String,
}

fn texts<T: Display>(items: &[T]) -> Vec<String> {
    items.iter().map(T::to_string).collect()
}

impl Report {
    fn of(config: &Config) -> Self {
        Report {
            ok: true,
            error: None,
            config_file: config.config_file.as_ref().map(|file| file.display().to_string()),
            files: config.files.iter().map(|file| file.display().to_string()).collect(),
            listen: texts(&config.listen),
            state: config.state_dir.display().to_string(),
            keys: config.keyring.names().into_iter().map(|name| name_text(name.as_slice())).collect(),
            zones: config.zones.iter().map(ZoneReport::of).collect(),
            warnings: config.warnings.iter().map(WarningReport::of).collect(),
        }
    }

    fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        // There is always a zone's file among them.
        let defaults = if self.config_file.is_none() { " (no rollcall.toml: built-in defaults)" } else { "" };
        writeln!(out, "files   {}{defaults}", self.files.join(", "))?;
        writeln!(out, "listen  {}", self.listen.join(", "))?;
        writeln!(out, "state   {}", self.state)?;
        writeln!(out, "keys    {}", or(&self.keys, "none"))?;
        self.zones.iter().try_for_each(|zone| zone.write_text(out))
    }
}

impl WarningReport {
    fn of(warning: &ConfigWarning) -> Self {
        WarningReport {
            file: warning.path.display().to_string(),
            line: warning.line,
            text: warning.doubt.to_string(),
        }
    }
}

/// The items with commas between them; `none` if there are none.
fn or(items: &[String], none: &str) -> String {
    if items.is_empty() { none.to_owned() } else { items.join(", ") }
}

impl ZoneReport {
    fn of(zone: &ZoneConfig) -> Self {
        let settings = &zone.settings;
        let file = zone.zone_file.as_ref().map(|file| file.display().to_string());
        let warnings = zone.records.warnings.iter().map(|warning| WarningReport {
            file: file.clone().unwrap_or_default(),
            line: Some(warning.line()),
            text: warning.to_string(),
        });
        ZoneReport {
            name: name_text(settings.apex.as_slice()),
            serial: zone.records.soa.serial,
            records: zone.records.records.len() + 1,
            negative_ttl_s: settings.negative_ttl_s,
            create_pools: settings.create_pools,
            pools: settings
                .pools
                .iter()
                .map(|(name, pool)| PoolReport::of(name, &settings.apex, pool))
                .collect(),
            grants: zone.grants.iter().map(GrantReport::of).collect(),
            warnings: warnings.collect(),
            file,
        }
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let from = self.file.as_deref().unwrap_or("no zone file, SOA and NS are made up");
        writeln!(out, "\n{}  serial {}, {} records ({from})", self.name, self.serial, self.records)?;
        let others = if self.create_pools { "others are made by the first member" } else { "no others" };
        writeln!(out, "  {} declared, {others}", counted(self.pools.len(), "pool"))?;
        let width = self.pools.iter().map(|pool| pool.name.len()).max().unwrap_or_default();
        for pool in &self.pools {
            writeln!(out, "    {:width$}  {}", pool.name, pool.text())?;
        }
        writeln!(out, "  {}", counted(self.grants.len(), "grant"))?;
        self.grants.iter().try_for_each(|grant| writeln!(out, "    {}", grant.text()))
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl PoolReport {
    fn of(name: &Name, apex: &Name, pool: &PoolSettings) -> Self {
        let policy = Policy::NAMES.iter().find(|(_, policy)| *policy == pool.policy);
        let shown = |shown| match shown {
            Shown::All => None,
            Shown::AtMost(count) => Some(count.get()),
        };
        let octets = name.as_slice().len().saturating_sub(apex.as_slice().len());
        PoolReport {
            name: name_text(name.as_slice().get(..octets).unwrap_or_default()),
            policy: policy.map(|(name, _)| *name).unwrap_or_default(),
            ttl_s: pool.ttl_s,
            addresses: shown(pool.addresses),
            services: shown(pool.services),
            lease_s: pool.leases.default_ms / 1000,
            min_lease_s: pool.leases.min_ms / 1000,
            max_lease_s: pool.leases.max_ms / 1000,
        }
    }

    fn text(&self) -> String {
        let count = |shown: Option<u16>| shown.map_or("all".to_owned(), |count| count.to_string());
        let PoolReport { policy, ttl_s, lease_s, min_lease_s, max_lease_s, .. } = self;
        let (addresses, services) = (count(self.addresses), count(self.services));
        format!(
            "{policy}, TTL {ttl_s} s, lease {lease_s} s ({min_lease_s} to {max_lease_s}), \
             addresses {addresses}, services {services}"
        )
    }
}

impl GrantReport {
    fn of(grant: &Grant) -> Self {
        GrantReport {
            key: grant.key.as_ref().map(|name| name_text(name.as_slice())),
            sources: texts(&grant.sources),
            pools: grant.pools.iter().map(PoolPattern::as_str).map(str::to_owned).collect(),
            addresses: texts(&grant.addresses),
            owner: grant.owner.as_deref().map(str::to_owned),
            admin: grant.admin,
            lease_s: grant.lease_s,
        }
    }

    fn text(&self) -> String {
        let holder = self.key.as_ref().map_or("unsigned".to_owned(), |key| format!("key {key}"));
        let anywhere = if self.key.is_some() { "anywhere" } else { "loopback" };
        let mut text = format!(
            "{holder} from {}: pools {}; addresses {}",
            or(&self.sources, anywhere),
            self.pools.join(", "),
            or(&self.addresses, "all but special ones")
        );
        if let Some(owner) = &self.owner {
            text += &format!("; owner {owner}");
        }
        if let Some(lease_s) = self.lease_s {
            text += &format!("; lease {lease_s} s");
        }
        if self.admin {
            text += "; admin";
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const ZONE: &str = "@ 60 SOA ns hostmaster 42 1200 180 1209600 2\n@ 60 NS ns\nns 60 A 192.0.2.1\nx 60 TXT a\nx 30 TXT b\n";
    const TOML: &str = "create_pools = true\n[[pool]]\nname = 'web'\n[[pool]]\nname = 'game.eu'\npolicy = 'weighted-random'\n\
        [[grant]]\nunsigned = true\n[[grant]]\nkey = 'fleet'\nsources = ['10.0.0.0/8']\nowner = 'ops'\nadmin = true\nlease = 60\n";
    const SERVER: &str =
        "state = '/s'\n[[key]]\nname = 'Fleet'\nsecret = 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE='\n";

    fn run(toml: &str, json: bool) -> (u8, String, String) {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        std::fs::create_dir(dir.path().join("zones")).unwrap();
        write("rollcall.toml", SERVER);
        write("zones/pool.example.zone", ZONE);
        write("zones/pool.example.toml", toml);
        let args = CheckArgs { file: Some(dir.path().join("rollcall.toml")), zones: None, json };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = check(&args, &mut out, &mut err).unwrap();
        let text = |octets| String::from_utf8(octets).unwrap().replace(dir.path().to_str().unwrap(), "DIR");
        (code, text(out), text(err))
    }

    #[test]
    fn a_summary_for_people() {
        let (code, out, err) = run(TOML, false);
        assert_eq!(code, EXIT_OK);
        assert_eq!(
            err,
            "DIR/zones/pool.example.zone:5: warning: x.pool.example. TXT has several TTLs; 30, the smallest, is served\n"
        );
        assert_eq!(
            out,
            "files   DIR/rollcall.toml, DIR/zones/pool.example.toml, DIR/zones/pool.example.zone
listen  127.0.0.1:5300, [::1]:5300
state   /s
keys    fleet.

pool.example.  serial 42, 5 records (DIR/zones/pool.example.zone)
  2 pools declared, others are made by the first member
    web      round-robin, TTL 5 s, lease 30 s (2 to 3600), addresses all, services all
    game.eu  weighted-random, TTL 5 s, lease 30 s (2 to 3600), addresses 1, services all
  2 grants
    unsigned from loopback: pools *; addresses all but special ones
    key fleet. from 10.0.0.0/8: pools *; addresses all but special ones; owner ops; lease 60 s; admin
"
        );
    }

    #[test]
    fn a_report_for_programs() {
        let (code, out, _) = run(TOML, true);
        assert_eq!(code, EXIT_OK);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["ok"], true);
        assert_eq!(json["zones"][0]["serial"], 42);
        assert_eq!(json["zones"][0]["pools"][1]["name"], "game.eu");
        assert_eq!(json["zones"][0]["pools"][1]["addresses"], 1);
        assert_eq!(json["zones"][0]["grants"][1]["key"], "fleet.");
        assert_eq!(json["zones"][0]["warnings"][0]["line"], 5);
        assert!(!out.contains("MDEy"), "a secret: {out}");
    }

    #[test]
    fn warnings_name_file_and_line_and_are_no_error() {
        let (code, out, err) = run("[[grant]]\nunsigned = true\npools = ['web']\n", false);
        assert_eq!(code, EXIT_OK);
        assert!(out.contains("\n  1 grant\n"), "{out}");
        assert!(
            err.contains("DIR/zones/pool.example.toml:3: warning: no pool of this zone matches"),
            "{err}"
        );
        assert!(
            err.contains("DIR/rollcall.toml:3: warning: no zone has a [[grant]] for the key fleet."),
            "{err}"
        );
        let (_, out, _) = run("", true);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(json["warnings"][0]["line"], 3);
        assert_eq!(json["zones"][0]["warnings"][0]["line"], 5);
    }

    #[test]
    fn the_root_zones_pools_are_named_whole() {
        let name = |text: &str| Name::bytes_from_str(text).unwrap();
        let pool = PoolSettings {
            policy: Policy::RoundRobin,
            ttl_s: 5,
            addresses: Shown::All,
            services: Shown::All,
            leases: crate::membership::LeaseRules { default_ms: 30_000, min_ms: 2_000, max_ms: 60_000 },
        };
        assert_eq!(PoolReport::of(&name("web."), &name("."), &pool).name, "web");
        assert_eq!(PoolReport::of(&name("web.eu.a."), &name("a."), &pool).name, "web.eu");
    }

    #[test]
    fn errors_go_to_standard_error_and_into_the_json() {
        let (code, out, err) = run("ttl = 9000\n", false);
        assert_eq!((code, out.as_str()), (EXIT_FAILED, ""));
        assert!(err.starts_with("DIR/zones/pool.example.toml:1:7: `ttl` is 9000; give 0 to 3600\n"), "{err}");
        let (code, out, err) = run("ttl = 9000\n", true);
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &json["ok"]), (EXIT_FAILED, &serde_json::Value::Bool(false)));
        assert_eq!(json["error"].as_str().unwrap(), err.trim_end());
    }

    #[test]
    fn the_shipped_zone_is_good() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rollcall.toml");
        std::fs::write(&file, "state = '/s'\n").unwrap();
        let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
        let args = CheckArgs { file: Some(file), zones: Some(zones), json: false };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(check(&args, &mut out, &mut err).unwrap(), EXIT_OK);
        assert_eq!(String::from_utf8(err).unwrap(), "");
        assert!(String::from_utf8(out).unwrap().contains("\npool.example.  serial "));
    }
}
