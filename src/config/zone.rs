//! `zones/NAME.toml`: a zone's pools and grants.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use serde::Deserialize;
use toml::Spanned;

use super::all_down::{self, AllDown, Given, Pools};
use super::grant::{self, GrantTable, Keys};
use super::nested::Served;
use super::policy_option::{PolicyOf, PolicyOption};
use super::pool_name::pool_name;
use super::source::{List, Number, Source, Text};
use super::{ConfigError, ConfigWarning, Fault, LEASE_MAX_S, warning};
use crate::membership::LeaseRules;
use crate::policy::{Policy, Shown};
use crate::security::Grants;
use crate::wire::Name;
use crate::zone::{OnAllDown, PoolSettings, ZoneSettings};

/// The keys of a zone's file that `rollcall.toml` does not have.
pub(super) const KEYS_OF_ITS_OWN: [&str; 16] = [
    "negative_ttl",
    "freeze_max",
    "create_pools",
    "policy",
    "ttl",
    "answers",
    "load_half_life",
    "warm_up",
    "default_lease",
    "min_lease",
    "max_lease",
    "on_all_down",
    "fallback",
    "debug_from",
    "pool",
    "grant",
];

/// How long expiry is held back at most when members fall silent in a mass and nobody says otherwise, seconds.
pub(crate) const FREEZE_MAX_S: u32 = 600;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    negative_ttl: Number,
    freeze_max: Number,
    create_pools: bool,
    policy: Option<Text>,
    ttl: Number,
    answers: Option<Spanned<toml::Value>>,
    load_half_life: Number,
    warm_up: Number,
    default_lease: Number,
    min_lease: Number,
    max_lease: Number,
    on_all_down: Option<Text>,
    fallback: Option<Text>,
    debug_from: List,
    pool: Vec<PoolTable>,
    grant: Vec<Spanned<GrantTable>>,
}

/// A declared pool. serde can not flatten what the two tables share without losing the place of each value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolTable {
    name: Text,
    policy: Option<Text>,
    ttl: Number,
    answers: Option<Spanned<toml::Value>>,
    load_half_life: Number,
    warm_up: Number,
    default_lease: Number,
    min_lease: Number,
    max_lease: Number,
    on_all_down: Option<Text>,
    fallback: Option<Text>,
}

/// What a zone says for all its pools, and a pool for itself.
struct Options<'f> {
    policy: &'f Option<Text>,
    ttl: &'f Number,
    answers: &'f Option<Spanned<toml::Value>>,
    load_half_life: &'f Number,
    warm_up: &'f Number,
    default_lease: &'f Number,
    min_lease: &'f Number,
    max_lease: &'f Number,
    all_down: Given<'f>,
}

/// The options of a table, whichever of the two it is.
macro_rules! options {
    ($table:expr) => {
        Options {
            policy: &$table.policy,
            ttl: &$table.ttl,
            answers: &$table.answers,
            load_half_life: &$table.load_half_life,
            warm_up: &$table.warm_up,
            default_lease: &$table.default_lease,
            min_lease: &$table.min_lease,
            max_lease: &$table.max_lease,
            all_down: Given { on_all_down: &$table.on_all_down, fallback: &$table.fallback },
        }
    };
}

impl Options<'_> {
    /// Those that not every policy makes use of.
    fn for_some_policies(&self) -> [(PolicyOption, &Number); 2] {
        [(PolicyOption::LoadHalfLife, self.load_half_life), (PolicyOption::WarmUp, self.warm_up)]
    }
}

/// Options, with those that were left out taken from further up.
#[derive(Clone)]
struct Resolved {
    policy: Policy,
    ttl_s: u32,
    /// What somebody wrote; without it the policy says, and another policy says otherwise.
    answers: Option<Shown>,
    /// These two whether the policy makes use of them or not: a pool's may, where the zone's does not.
    load_half_life_ms: u32,
    warm_up_ms: u32,
    leases: LeaseRules,
    all_down: AllDown,
    /// The zone's.
    debug_from: Arc<[IpNetwork]>,
}

fn built_in(debug_from: Arc<[IpNetwork]>) -> Resolved {
    Resolved {
        policy: Policy::RoundRobin,
        ttl_s: 5,
        answers: None,
        load_half_life_ms: 0,
        warm_up_ms: 0,
        leases: LeaseRules { default_ms: 30_000, min_ms: 2_000, max_ms: 3_600_000 },
        all_down: AllDown::BUILT_IN,
        debug_from,
    }
}

/// This machine, unless somebody says otherwise.
fn debug_from(source: &Source, given: &List) -> Result<Arc<[IpNetwork]>, ConfigError> {
    let networks = source.prefixes("debug_from", given)?;
    if !networks.is_empty() {
        return Ok(networks.into());
    }
    let loopback =
        [(IpAddr::from(Ipv4Addr::new(127, 0, 0, 0)), 8), (Ipv6Addr::LOCALHOST.into(), 128)].into_iter();
    Ok(loopback.filter_map(|(ip, prefix)| IpNetwork::new(ip, prefix).ok()).collect())
}

impl Resolved {
    fn settings(&self, on_all_down: OnAllDown) -> PoolSettings {
        let in_use = |option: PolicyOption, ms| if option.is_for(self.policy) { ms } else { 0 };
        PoolSettings {
            policy: self.policy,
            ttl_s: self.ttl_s,
            addresses: self.answers.unwrap_or(self.policy.addresses_by_default()),
            services: self.answers.unwrap_or(Shown::All),
            load_half_life_ms: in_use(PolicyOption::LoadHalfLife, self.load_half_life_ms),
            warm_up_ms: in_use(PolicyOption::WarmUp, self.warm_up_ms),
            leases: self.leases,
            on_all_down,
            debug_from: Arc::clone(&self.debug_from),
        }
    }
}

/// A zone's settings, its grants, and each grant's line; without a file, its defaults and no grant.
pub(super) fn read(
    source: Option<&Source>,
    apex: &Name,
    keys: &Keys<'_>,
    served: &Served,
    warnings: &mut Vec<ConfigWarning>,
) -> Result<(ZoneSettings, Grants, Vec<usize>), ConfigError> {
    let empty = Source::empty();
    let (source, file) = match source {
        Some(source) => (source, source.parse()?),
        None => (&empty, File::default()),
    };
    let options = options!(file);
    let defaults = resolve(source, &options, apex, &built_in(debug_from(source, &file.debug_from)?))?;
    let freeze_max_s: u32 = source.number("freeze_max", &file.freeze_max, FREEZE_MAX_S, 0..=3600)?;
    let settings = ZoneSettings {
        apex: apex.clone(),
        negative_ttl_s: source.number("negative_ttl", &file.negative_ttl, 2, 0..=3600)?,
        freeze_max_ms: freeze_max_s * 1000,
        create_pools: file.create_pools,
        defaults: defaults.settings(defaults.all_down.setting()),
        pools: pools(source, &file.pool, apex, &defaults, served)?,
    };
    check_use(source, &options, &settings)?;
    check_fallbacks(source, &file, &defaults.all_down, &settings, served)?;
    let mut grants = Vec::with_capacity(file.grant.len());
    for table in &file.grant {
        let grant = grant::read(source, table, keys)?;
        for doubt in warning::of_grant(&grant, &settings) {
            warnings.push(source.warning(grant::place(table, &doubt), doubt));
        }
        grants.push(grant);
    }
    let lines = file.grant.iter().map(|table| source.line(table.span().start)).collect();
    Ok((settings, Grants::new(grants), lines))
}

/// What a zone gives to all its pools has to be of use to one of them at least: of those declared, or of those that
/// registrations make.
fn check_use(source: &Source, options: &Options<'_>, settings: &ZoneSettings) -> Result<(), ConfigError> {
    let of = if settings.pools.is_empty() { PolicyOf::Zone } else { PolicyOf::ZoneAndPools };
    for (option, given) in options.for_some_policies() {
        if !settings.pools.iter().any(|(_, pool)| option.is_for(pool.policy)) {
            option.check(source, given, settings.defaults.policy, of)?;
        }
    }
    Ok(())
}

/// Every `fallback` has to be a pool, and the zone's of use to somebody.
fn check_fallbacks(
    source: &Source,
    file: &File,
    zone: &AllDown,
    settings: &ZoneSettings,
    served: &Served,
) -> Result<(), ConfigError> {
    let (apex, create_pools) = (&settings.apex, settings.create_pools);
    let pools = Pools { apex, create_pools, declared: &settings.pools, served };
    let tables = file.pool.iter().map(|table| options!(table).all_down);
    all_down::check_use(source, options!(file).all_down, zone, tables)?;
    pools.check(source, &file.fallback)?;
    file.pool.iter().try_for_each(|table| pools.check(source, &table.fallback))
}

fn resolve(
    source: &Source,
    options: &Options<'_>,
    apex: &Name,
    base: &Resolved,
) -> Result<Resolved, ConfigError> {
    let policy = match options.policy {
        None => base.policy,
        Some(text) => Policy::named(text.get_ref())
            .ok_or_else(|| source.fault(text.span(), Fault::Policy { text: text.get_ref().clone() }))?,
    };
    let answers = match options.answers {
        None => base.answers,
        Some(value) => Some(shown(value.get_ref()).ok_or_else(|| {
            source.fault(value.span(), Fault::Answers { text: value.get_ref().to_string() })
        })?),
    };
    Ok(Resolved {
        policy,
        ttl_s: source.number("ttl", options.ttl, base.ttl_s, 0..=3600)?,
        answers,
        load_half_life_ms: PolicyOption::LoadHalfLife.read(
            source,
            options.load_half_life,
            base.load_half_life_ms,
        )?,
        warm_up_ms: PolicyOption::WarmUp.read(source, options.warm_up, base.warm_up_ms)?,
        leases: leases(source, options, base.leases)?,
        all_down: AllDown::resolve(source, options.all_down, apex, &base.all_down)?,
        debug_from: Arc::clone(&base.debug_from),
    })
}

fn shown(value: &toml::Value) -> Option<Shown> {
    match value {
        toml::Value::String(text) if text == "all" => Some(Shown::All),
        toml::Value::Integer(count) => {
            let count = u16::try_from(*count).ok().filter(|&count| count <= Shown::PICK_MAX)?;
            NonZeroU16::new(count).map(Shown::AtMost)
        }
        _ => None,
    }
}

fn leases(source: &Source, options: &Options<'_>, base: LeaseRules) -> Result<LeaseRules, ConfigError> {
    let seconds = |key, given: &Number, default_ms: u32| {
        source.number::<u32>(key, given, default_ms / 1000, 1..=LEASE_MAX_S)
    };
    let default_s = seconds("default_lease", options.default_lease, base.default_ms)?;
    let min_s = seconds("min_lease", options.min_lease, base.min_ms)?;
    let max_s = seconds("max_lease", options.max_lease, base.max_ms)?;
    let given = [options.default_lease, options.min_lease, options.max_lease].into_iter().flatten().next();
    match given {
        // What nobody wrote here was in order where it came from.
        Some(given) if min_s > default_s || default_s > max_s => {
            Err(source.fault(given.span(), Fault::Leases { min_s, default_s, max_s }))
        }
        _ => Ok(LeaseRules { default_ms: default_s * 1000, min_ms: min_s * 1000, max_ms: max_s * 1000 }),
    }
}

fn pools(
    source: &Source,
    tables: &[PoolTable],
    apex: &Name,
    defaults: &Resolved,
    served: &Served,
) -> Result<Vec<(Name, PoolSettings)>, ConfigError> {
    let mut pools = Vec::with_capacity(tables.len());
    let mut declared: HashMap<Name, &Text> = HashMap::with_capacity(tables.len());
    for table in tables {
        let bad = |fault| source.fault(table.name.span(), fault);
        let text = table.name.get_ref().clone();
        let name =
            pool_name(&text, apex).map_err(|reason| bad(Fault::PoolName { text: text.clone(), reason }))?;
        if let Some((inner, toml)) = served.below(apex, &name) {
            return Err(bad(Fault::PoolInZone { text, inner: inner.clone(), toml: toml.into() }));
        }
        if let Some(first) = declared.insert(name.clone(), &table.name) {
            return Err(bad(Fault::DuplicatePool { text, first_line: source.line(first.span().start) }));
        }
        let settings = pool(source, table, &name, apex, defaults)?;
        pools.push((name, settings));
    }
    for ((name, _), table) in pools.iter().zip(tables) {
        if let Some(above) = name.iter_suffixes().skip(1).find(|above| declared.contains_key(above)) {
            let fault = Fault::NestedPool { text: table.name.get_ref().clone(), above };
            return Err(source.fault(table.name.span(), fault));
        }
    }
    Ok(pools)
}

/// A pool's settings. What it says for itself has to be of use to it.
fn pool(
    source: &Source,
    table: &PoolTable,
    name: &Name,
    apex: &Name,
    defaults: &Resolved,
) -> Result<PoolSettings, ConfigError> {
    let options = options!(table);
    let resolved = resolve(source, &options, apex, defaults)?;
    let of = if table.policy.is_some() { PolicyOf::Pool } else { PolicyOf::PoolByDefault };
    for (option, given) in options.for_some_policies() {
        option.check(source, given, resolved.policy, of)?;
    }
    let on_all_down = resolved.all_down.setting_of(source, options.all_down, name)?;
    Ok(resolved.settings(on_all_down))
}
