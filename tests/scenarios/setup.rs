//! What a world is made of: its zones with their files, its pools' settings, and who may register what.

use std::path::Path;

use ipnetwork::IpNetwork;
use rollcall::membership::LeaseRules;
use rollcall::policy::{Policy, Shown};
use rollcall::security::{Grant, Grants, Holder, Keyring, NamePattern, Types};
use rollcall::update::{Limits, ZoneInput};
use rollcall::wire::{Name, lower, tsig};
use rollcall::zone::{OnAllDown, PoolSettings, ZoneSettings, file, later};

const LIMITS: Limits = Limits { members: 100_000, pools: 1_000, records: 10_000 };
pub const ZONE: &str = "pool.example.";
const ZONE_FILE: &str = "\
$TTL 300
@      SOA ns hostmaster 7 3600 600 86400 3600
@      NS  ns
ns     A   192.0.2.53
ns     AAAA 2001:db8::53
www    CNAME info
info   TXT \"hello\" \"world\"
info   A   192.0.2.80
away   CNAME www.example.org.
loop   CNAME pool
pool   CNAME loop
to-web CNAME web
gone   CNAME nowhere
a.b.c  A   192.0.2.81
apex   CNAME pool.example.
note._tcp.web TXT \"static, below a pool\"
";

/// A zone below the zone.
pub const NESTED_ZONE: &str = "lab.pool.example.";
const NESTED_ZONE_FILE: &str = "\
$TTL 300
@      SOA ns.pool.example. hostmaster 7 3600 600 86400 3600
@      NS  ns.pool.example.
bench  TXT lab
";

/// With an RRset of 2 KB.
pub fn zone_file() -> String {
    format!("{ZONE_FILE}long TXT {}\n", format!("\"{}\" ", "x".repeat(200)).repeat(10))
}

pub fn pool_settings(policy: Policy) -> PoolSettings {
    PoolSettings {
        policy,
        ttl_s: 5,
        addresses: policy.addresses_by_default(),
        services: Shown::All,
        load_half_life_ms: 0,
        warm_up_ms: 0,
        on_all_down: OnAllDown::All,
        leases: LeaseRules { default_ms: 30_000, min_ms: 2_000, max_ms: 3_600_000 },
        debug_from: ["127.0.0.0/8", "::1/128"].map(|network| network.parse().unwrap()).into(),
    }
}

/// What a world is made of.
#[derive(Clone)]
pub struct Setup {
    pub pools: Vec<(&'static str, PoolSettings)>,
    /// Whether a registration makes pools.
    pub create_pools: bool,
    pub grants: Vec<Grant>,
    /// Names of the server's keys, all with [`SECRET`].
    pub keys: Vec<&'static str>,
    pub zone_file: String,
    pub limits: Limits,
    /// The longest that expiry is held, milliseconds.
    pub freeze_max_ms: u32,
    /// Whether there is a zone below the zone, `lab`.
    pub has_nested_zone: bool,
}

impl Default for Setup {
    /// Pools `web` (round-robin) and `game` (weighted-random), and any other that a registration makes.
    fn default() -> Self {
        Setup {
            pools: vec![
                ("web", pool_settings(Policy::RoundRobin)),
                ("game", pool_settings(Policy::WeightedRandom)),
            ],
            create_pools: true,
            grants: vec![loopback_grant()],
            keys: Vec::new(),
            zone_file: zone_file(),
            limits: LIMITS,
            freeze_max_ms: 600_000,
            has_nested_zone: false,
        }
    }
}

/// The secret of every key.
pub const SECRET: [u8; 32] = [7; 32];

/// Lets loopback register addresses of 10.0.0.0/8 and 2001:db8::/32.
pub fn loopback_grant() -> Grant {
    let addresses = ["10.0.0.0/8", "2001:db8::/32"].map(|prefix| prefix.parse::<IpNetwork>().unwrap());
    Grant { addresses: addresses.into(), ..Grant::to(Holder::Unsigned) }
}

/// The same for who signs with a key, from everywhere.
pub fn key_grant(key: &str) -> Grant {
    let key = Name::bytes_from_str(key).unwrap();
    Grant { key: Some(key), ..loopback_grant() }
}

/// The same for every name and every type.
pub fn records_grant() -> Grant {
    every_name(loopback_grant())
}

/// A grant widened to every name and every type.
pub fn every_name(mut grant: Grant) -> Grant {
    grant.addresses.push("192.0.2.80/31".parse::<IpNetwork>().unwrap());
    let all = || vec![NamePattern::new("*")];
    Grant { names: all(), types: Types::All, targets: all(), ..grant }
}

pub fn keyring(names: &[&str]) -> Keyring {
    let mut keyring = Keyring::default();
    for name in names {
        let name = Name::bytes_from_str(name).unwrap();
        keyring.insert(tsig::Key::new(&name, tsig::Algorithm::HmacSha256, &SECRET).unwrap()).unwrap();
    }
    keyring
}

pub fn apex(zone: &str) -> Box<[u8]> {
    lower(Name::bytes_from_str(zone).unwrap().as_slice())
}

pub fn zones(setup: &Setup, stored: &[(Box<[u8]>, u32)]) -> Vec<ZoneInput> {
    let mut zones = vec![zone(ZONE, &setup.zone_file, setup, stored)];
    if setup.has_nested_zone {
        let setup = Setup { pools: Vec::new(), ..setup.clone() };
        zones.push(zone(NESTED_ZONE, NESTED_ZONE_FILE, &setup, stored));
    }
    zones
}

/// A zone that begins with the later of the file's serial and the stored one.
fn zone(apex: &str, text: &str, setup: &Setup, stored: &[(Box<[u8]>, u32)]) -> ZoneInput {
    let name = |name: &str| Name::bytes_from_str(name).unwrap();
    let pools = setup.pools.iter();
    let records = file::parse(text.as_bytes(), Path::new("test.zone"), &name(apex)).unwrap();
    let stored = stored.iter().find(|(zone, _)| *zone == lower(name(apex).as_slice()));
    let serial = stored.map_or(records.soa.serial, |(_, serial)| later(*serial, records.soa.serial));
    ZoneInput {
        records,
        settings: ZoneSettings {
            apex: name(apex),
            negative_ttl_s: 2,
            freeze_max_ms: setup.freeze_max_ms,
            create_pools: setup.create_pools,
            defaults: pool_settings(Policy::RoundRobin),
            pools: pools
                .map(|(pool, settings)| (name(&format!("{pool}.{apex}")), settings.clone()))
                .collect(),
        },
        grants: Grants::new(setup.grants.clone()),
        serial,
    }
}
