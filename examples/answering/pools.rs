//! Zones as a server publishes them, full of pools, without a server: a million members in seconds.
//!
//! The pools come the way they come back after a restart, on the roll first and then opened with the zone, so that views, index
//! and listing are those that answer in production. Names and records are those of `heartbeat`'s fleet.

use std::error::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

use rollcall::membership::{
    Address, Attributes, Crowd, FOLLOWS_LEASE, LeaseRules, List, Member, NO_DRAIN, PoolHandle, Registered,
    Roll, Said, Service,
};
use rollcall::policy::{Policy, Shown};
use rollcall::wire::{Name, NameHasher};
use rollcall::zone::{Draft, OnAllDown, Past, PoolSettings, RotorIds, ZoneSet, ZoneSettings, file};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The zone, wire form.
pub const ZONE: &[u8] = b"\x04pool\x07example\x00";
/// What every member serves, wire form without a root label.
pub const SERVICE: &[u8] = b"\x05_http\x04_tcp";
/// When the pools are asked, monotonic milliseconds. Their leases began a minute earlier, and last an hour.
pub const NOW_MS: u64 = 10_000_000;
const JOINED_MS: u64 = NOW_MS - 60_000;
const LEASE_MS: u32 = 3_600_000;

/// So many pools of so many members.
#[derive(Clone, Copy)]
pub struct Size {
    pub pools: usize,
    pub members: usize,
}

impl Size {
    /// `POOLSxMEMBERS`, as in `100x4`.
    pub fn named(text: &str) -> Option<Size> {
        let (pools, members) = text.split_once('x')?;
        let size = Size { pools: pools.parse().ok()?, members: members.parse().ok()? };
        // Every member has an address of its own in 10.0.0.0/8.
        ((1..=100_000).contains(&size.pools) && (1..=100).contains(&size.members)).then_some(size)
    }

    pub fn name(self) -> String {
        format!("{}x{}", self.pools, self.members)
    }
}

/// The label of a pool, with its length octet.
pub fn label(pool: usize) -> Vec<u8> {
    let text = format!("p{pool:02}");
    [&[text.len() as u8], text.as_bytes()].concat()
}

/// Publishes one zone whose pools have this policy and that policy's defaults.
pub fn publish(size: Size, policy: Policy) -> Result<ZoneSet> {
    let mut roll = Roll::new(size.pools * size.members, 0);
    let mut pools = Vec::with_capacity(size.pools);
    for pool in 0..size.pools {
        let handle: PoolHandle = [&label(pool), ZONE].concat().into();
        for member in 1..=size.members {
            let address = Ipv4Addr::from_bits(0x0a00_0000 + (pool * size.members + member) as u32);
            roll.put(&handle, format!("m{member}").as_bytes(), registered(address), JOINED_MS)?;
        }
        pools.push(handle);
    }
    let hasher = NameHasher::default();
    let apex = Name::from_octets(ZONE.into())?;
    let records = file::synthetic(&apex)?;
    let draft = Draft::new(settings(apex, policy), &records, &hasher)?;
    let past = Past { dynamics: Vec::new(), pools, serial: draft.serial(), publisher: None };
    let (publisher, _) = draft.open(past, &roll, &mut RotorIds::default(), NOW_MS)?;
    Ok(ZoneSet::new(vec![Arc::clone(publisher.zone())], hasher, Arc::clone(roll.leases())))
}

fn settings(apex: Name, policy: Policy) -> ZoneSettings {
    let defaults = PoolSettings {
        policy,
        ttl_s: 5,
        addresses: policy.addresses_by_default(),
        services: Shown::All,
        load_half_life_ms: 0,
        warm_up_ms: 0,
        on_all_down: OnAllDown::All,
        leases: LeaseRules { default_ms: LEASE_MS, min_ms: 2_000, max_ms: LEASE_MS },
        debug_from: Arc::new([]),
    };
    ZoneSettings {
        apex,
        negative_ttl_s: 2,
        create_pools: true,
        freeze_max_ms: 0,
        defaults,
        pools: Vec::new(),
    }
}

fn registered(address: Ipv4Addr) -> Registered {
    let service =
        Service { service: SERVICE.into(), port: 8080, priority: 0, weight: 10, lapses_ms: FOLLOWS_LEASE };
    let member = Member {
        owner: "bench".into(),
        lease_ms: LEASE_MS,
        key_lease_ms: LEASE_MS,
        own_ttl_s: 30,
        heard_run: 0,
        addresses: vec![Address { ip: address.into(), lapses_ms: FOLLOWS_LEASE }],
        services: vec![service].into(),
        bindings: List::default(),
        attributes: Attributes::default(),
        drain_ends_ms: NO_DRAIN,
    };
    let ends_ms = JOINED_MS + u64::from(LEASE_MS);
    Registered {
        member,
        ends_ms,
        name_ends_ms: ends_ms,
        signed: None,
        said: Said::Nothing,
        renews: true,
        crowd: Crowd::default(),
        restored: true,
    }
}
