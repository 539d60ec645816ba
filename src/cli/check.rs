//! `rollcall check`: what a configuration amounts to, or what is wrong with it.

use std::fmt::{self, Display};
use std::io::{self, Write};

use serde::Serialize;

use super::reading::Reading;
use super::{CheckArgs, EXIT_FAILED, EXIT_OK, explain};
use crate::config::{self, Config, ConfigWarning, FREEZE_MAX_S, Overrides, ZoneConfig};
use crate::policy::Shown;
use crate::security::{Grant, GrantedLease, NamePattern};
use crate::server::clock;
use crate::wire::{Name, lower, name_text};
use crate::zone::file::Progress;
use crate::zone::{OnAllDown, PoolSettings, ZoneSettings};

/// Loads the configuration as `serve` would and prints a summary on `out`, or explains an nsupdate script; warnings and
/// errors on `err`.
pub fn check(args: &CheckArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let overrides = Overrides { zones: args.zones.clone(), ..Overrides::default() };
    let mut reading = Reading::default();
    let mut progress = |progress: Progress<'_>| {
        // What is wrong with standard error comes out at the next line that matters.
        _ = reading.line(clock::now_ms(), progress).map(|line| writeln!(err, "{line}"));
    };
    let (config, report) = match config::load(args.file.as_deref(), overrides, &mut progress) {
        Ok(config) => {
            let report = Report::of(&config);
            (config, report)
        }
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
    if args.explain.script.is_some() {
        return explain::explain(&config, &args.explain, args.json, out, err);
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
    /// 0: mass silence holds back nothing.
    freeze_max_s: u32,
    create_pools: bool,
    /// Of pools that registrations make, and for what a declared one leaves out.
    defaults: TermsReport,
    pools: Vec<PoolReport>,
    grants: Vec<GrantReport>,
    warnings: Vec<WarningReport>,
}

#[derive(Serialize)]
struct PoolReport {
    name: String,
    #[serde(flatten)]
    terms: TermsReport,
}

/// On what terms a pool answers and keeps its members.
#[derive(Serialize)]
struct TermsReport {
    policy: &'static str,
    ttl_s: u32,
    addresses: ShownReport,
    services: ShownReport,
    /// 0: what members say counts at once.
    load_half_life_s: u32,
    /// 0: a newcomer has its full share at once.
    warm_up_s: u32,
    lease_s: u32,
    min_lease_s: u32,
    max_lease_s: u32,
    on_all_down: &'static str,
    /// The pool that answers then, if one does; its own `on_all_down` and `fallback` are not asked.
    fallback: Option<String>,
    /// Whether it answers nothing because it is the one that all others fall back on.
    #[serde(skip)]
    is_last: bool,
}

/// How many members an answer shows: so many, or which of them.
#[derive(Serialize)]
#[serde(untagged)]
enum ShownReport {
    Count(u16),
    Word(&'static str),
}

#[derive(Serialize)]
struct GrantReport {
    /// Which `[[grant]]` of the file, from 1.
    number: usize,
    /// `None` for unsigned updates.
    key: Option<String>,
    sources: Vec<String>,
    pools: Vec<String>,
    names: Vec<String>,
    types: Vec<String>,
    /// Whether records of those types hold addresses.
    #[serde(skip)]
    has_addresses: bool,
    addresses: Vec<String>,
    own_address: bool,
    targets: Vec<String>,
    owner: Option<String>,
    admin: bool,
    /// `None`: the pool's, or none at all.
    lease_s: Option<u32>,
    /// Whether what is registered needs no renewal.
    permanent: bool,
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
            file: warning.path.display().to_string(),
            line: Some(warning.line),
            text: warning.doubt.to_string(),
        });
        ZoneReport {
            name: name_text(settings.apex.as_slice()),
            serial: zone.records.soa.serial,
            records: zone.records.records.len() + 1,
            negative_ttl_s: settings.negative_ttl_s,
            freeze_max_s: settings.freeze_max_ms / 1000,
            create_pools: settings.create_pools,
            defaults: TermsReport::of(&settings.apex, &settings.defaults),
            pools: settings.pools.iter().map(|(name, pool)| PoolReport::of(name, settings, pool)).collect(),
            grants: zone.grants.iter().map(GrantReport::of).collect(),
            warnings: warnings.collect(),
            file,
        }
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let from = self.file.as_deref().unwrap_or("no zone file, SOA and NS are made up");
        writeln!(out, "\n{}  serial {}, {} records ({from})", self.name, self.serial, self.records)?;
        let others = if self.create_pools { "others (*) are made by the first member" } else { "no others" };
        writeln!(out, "  {} declared, {others}", counted(self.pools.len(), "pool"))?;
        // No pool is called so.
        let made = self.create_pools.then_some(("*", &self.defaults));
        let pools = self.pools.iter().map(|pool| (pool.name.as_str(), &pool.terms)).chain(made);
        let width = pools.clone().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, terms) in pools {
            writeln!(out, "    {name:width$}  {}", terms.text())?;
        }
        writeln!(out, "  {}", counted(self.grants.len(), "grant"))?;
        self.grants.iter().try_for_each(|grant| writeln!(out, "    {}", grant.text()))?;
        // What everybody has is not worth a line.
        match self.freeze_max_s {
            FREEZE_MAX_S => Ok(()),
            0 => writeln!(out, "  mass silence holds back no expiry (freeze_max 0)"),
            seconds => writeln!(out, "  mass silence holds expiry back for {seconds} s at most"),
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A pool's name without the zone's.
fn relative(pool: &[u8], apex: &Name) -> String {
    let octets = pool.len().saturating_sub(apex.as_slice().len());
    name_text(pool.get(..octets).unwrap_or_default())
}

impl PoolReport {
    fn of(name: &Name, zone: &ZoneSettings, pool: &PoolSettings) -> Self {
        let own = OnAllDown::Fallback(lower(name.as_slice()).into());
        let is_last = pool.on_all_down == OnAllDown::NoData && zone.defaults.on_all_down == own;
        let terms = TermsReport { is_last, ..TermsReport::of(&zone.apex, pool) };
        PoolReport { name: relative(name.as_slice(), &zone.apex), terms }
    }
}

impl TermsReport {
    fn of(apex: &Name, pool: &PoolSettings) -> Self {
        let (on_all_down, fallback) = match &pool.on_all_down {
            OnAllDown::All => ("all", None),
            OnAllDown::LastGood => ("last-good", None),
            OnAllDown::Fallback(pool) => ("fallback", Some(relative(pool, apex))),
            OnAllDown::NoData => ("nodata", None),
            OnAllDown::ServFail => ("servfail", None),
        };
        TermsReport {
            policy: pool.policy.name(),
            ttl_s: pool.ttl_s,
            addresses: ShownReport::of(pool.addresses),
            services: ShownReport::of(pool.services),
            load_half_life_s: pool.load_half_life_ms / 1000,
            warm_up_s: pool.warm_up_ms / 1000,
            lease_s: pool.leases.default_ms / 1000,
            min_lease_s: pool.leases.min_ms / 1000,
            max_lease_s: pool.leases.max_ms / 1000,
            on_all_down,
            fallback,
            is_last: false,
        }
    }

    fn text(&self) -> String {
        let TermsReport { policy, ttl_s, addresses, services, lease_s, min_lease_s, max_lease_s, .. } = self;
        let mut text = format!(
            "{policy}, TTL {ttl_s} s, lease {lease_s} s ({min_lease_s} to {max_lease_s}), \
             addresses {addresses}, services {services}"
        );
        for (what, seconds) in [("load half life", self.load_half_life_s), ("warm-up", self.warm_up_s)] {
            if seconds > 0 {
                text.push_str(&format!(", {what} {seconds} s"));
            }
        }
        match (self.on_all_down, &self.fallback) {
            // What every pool does that says nothing.
            ("all", _) => {}
            ("fallback", Some(pool)) => text.push_str(&format!(", all down: {pool} answers")),
            (word, _) => text.push_str(&format!(", all down: {word}")),
        }
        if self.is_last {
            text.push_str(" (it is the zone's fallback itself)");
        }
        text
    }
}

impl ShownReport {
    fn of(shown: Shown) -> Self {
        match shown {
            Shown::All => ShownReport::Word("all"),
            Shown::Best => ShownReport::Word("best"),
            Shown::AtMost(count) => ShownReport::Count(count.get()),
        }
    }
}

/// `best` is of the best priority: no other policy shows it.
impl Display for ShownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShownReport::Count(count) => write!(f, "{count}"),
            ShownReport::Word("best") => f.write_str("best priority"),
            ShownReport::Word(word) => f.write_str(word),
        }
    }
}

impl GrantReport {
    fn of(grant: &Grant) -> Self {
        GrantReport {
            number: grant.number,
            key: grant.key.as_ref().map(|name| name_text(name.as_slice())),
            sources: texts(&grant.sources),
            pools: globs(&grant.pools),
            names: globs(&grant.names),
            types: grant.types.texts(),
            has_addresses: grant.types.have_addresses(),
            addresses: texts(&grant.addresses),
            own_address: grant.own_address,
            targets: grant.targets.iter().map(|pattern| format!("{}.", pattern.as_str())).collect(),
            owner: grant.owner.as_deref().map(str::to_owned),
            admin: grant.admin,
            lease_s: match grant.lease {
                GrantedLease::Seconds(lease_s) => Some(lease_s),
                GrantedLease::Pools | GrantedLease::None => None,
            },
            permanent: grant.lease == GrantedLease::None,
        }
    }

    fn text(&self) -> String {
        let holder = self.key.as_ref().map_or("unsigned".to_owned(), |key| format!("key {key}"));
        let anywhere = if self.key.is_some() { "anywhere" } else { "loopback" };
        let any_address = if self.own_address { "the sender's own" } else { "all but special ones" };
        let own = if self.own_address && !self.addresses.is_empty() { ", the sender's own" } else { "" };
        let (sources, pools) = (or(&self.sources, anywhere), or(&self.pools, "none"));
        let mut parts = vec![format!("{}. {holder} from {sources}: pools {pools}", self.number)];
        parts.extend((!self.names.is_empty()).then(|| format!("names {}", self.names.join(", "))));
        parts.push(format!("types {}", self.types.join(", ")));
        let addresses = format!("addresses {}{own}", or(&self.addresses, any_address));
        parts.extend(self.has_addresses.then_some(addresses));
        parts.extend((!self.targets.is_empty()).then(|| format!("targets {}", self.targets.join(", "))));
        parts.extend(self.owner.as_ref().map(|owner| format!("owner {owner}")));
        parts.extend(self.lease_s.map(|lease_s| format!("lease {lease_s} s")));
        parts.extend(self.permanent.then(|| "permanent".to_owned()));
        parts.extend(self.admin.then(|| "admin".to_owned()));
        parts.join("; ")
    }
}

fn globs(patterns: &[NamePattern]) -> Vec<String> {
    patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect()
}

#[cfg(test)]
mod tests;
