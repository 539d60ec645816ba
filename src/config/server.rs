//! `rollcall.toml`: listeners, keys, and how much of everything.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::thread::available_parallelism;

use serde::Deserialize;
use toml::Spanned;

use super::key::{KeyTable, Keys};
use super::source::{List, Number, Source, Text};
use super::zone::KEYS_OF_ITS_OWN;
use super::{ConfigError, ConfigWarning, Fault};
use crate::membership::SLOTS_MAX;
use crate::zone::Identity;

const MIB: usize = 1 << 20;

/// The store of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// Octets of its pages that stay in memory. redb's own default, 1 GiB, is more than all members of most servers.
    pub cache_bytes: usize,
}

/// The UDP workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpSettings {
    /// Threads, each with a socket of its own on every listener.
    pub workers: usize,
    /// Datagrams taken and sent with one system call. Sixteen share the call's fixed cost down to a few nanoseconds each,
    /// while their scratch stays in the first two cache levels; more would save next to nothing and let the first answer
    /// wait for the last. gdnsd came to the same number. Measured at full speed: 32 and 64 differ from 16 by less than 16
    /// does from itself.
    pub batch: usize,
    /// SO_RCVBUF of each socket, octets: what a burst may pile up while a worker is busy. 4 MiB hold 10,000 questions, which
    /// is 60 ms of as many as a core can answer; the kernel's own default, 250.
    pub receive_buffer_bytes: usize,
    /// SO_SNDBUF of each socket, octets: what has been answered and has not left the machine. 1 MiB holds 2,500 short replies
    /// or 900 of 1,232 octets: a group of UPDATEs is acknowledged without waiting, and 100 Mbit/s empty it before a worker
    /// that waits for room gives up. The kernel's own default is what a single host that does not answer ARP can fill.
    pub send_buffer_bytes: usize,
    /// SO_BUSY_POLL of each socket, microseconds. 0: it saves the wake-up of a thread, for a core that does nothing else and
    /// a network card whose queue is that socket's alone; loopback has no card, and gains nothing.
    pub busy_poll_us: u32,
}

/// TCP connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpSettings {
    /// Connections open at a time, over all listeners.
    pub connections: usize,
    /// Those of one client, an IPv4 address or an IPv6 network of 64 bits (RFC 7766 section 6.2.2).
    pub client_connections: usize,
    /// Milliseconds after which a silent connection is closed (RFC 7766 section 6.2.3).
    pub idle_ms: u64,
    /// Milliseconds that a request may take from its first octet to its last, and replies to be taken.
    pub message_ms: u64,
    /// Requests in flight on one connection (RFC 7766 section 6.2.1.1).
    pub pipeline: usize,
}

/// Where the server says no before it runs out of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Updates that wait for the registrar.
    pub update_queue: usize,
    /// Pools, over all zones.
    pub pools: usize,
    /// Members, over all pools.
    pub members: usize,
    /// Ordinary records by which what is served differs from the zone files, over all zones.
    pub records: usize,
}

/// `rollcall.toml`, checked. Paths are as they stand there.
pub(super) struct Server {
    pub listen: Vec<SocketAddr>,
    pub zones: Option<PathBuf>,
    pub state: Option<PathBuf>,
    pub keys: Keys,
    pub store: StoreSettings,
    pub udp: UdpSettings,
    pub tcp: TcpSettings,
    pub limits: Limits,
    pub identity: Identity,
    pub warnings: Vec<ConfigWarning>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: List,
    zones: Option<PathBuf>,
    state: Option<PathBuf>,
    key: Vec<Spanned<KeyTable>>,
    store: StoreTable,
    udp: UdpTable,
    tcp: TcpTable,
    limits: LimitsTable,
    identity: IdentityTable,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreTable {
    cache_bytes: Number,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct UdpTable {
    workers: Number,
    batch: Number,
    receive_buffer_bytes: Number,
    send_buffer_bytes: Number,
    busy_poll_us: Number,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TcpTable {
    connections: Number,
    client_connections: Number,
    idle_ms: Number,
    message_ms: Number,
    pipeline: Number,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsTable {
    update_queue: Number,
    pools: Number,
    members: Number,
    records: Number,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityTable {
    version: Option<Text>,
    hostname: Option<Text>,
    nsid: Option<Text>,
}

impl Server {
    pub fn read(source: &Source) -> Result<Self, ConfigError> {
        Server::check(source, &source.parse::<File>().map_err(zones_file)?)
    }

    /// What holds without a file.
    pub fn without_file() -> Result<Self, ConfigError> {
        Server::check(&Source::empty(), &File::default())
    }

    fn check(source: &Source, file: &File) -> Result<Self, ConfigError> {
        let members_max = SLOTS_MAX as i64;
        let mut warnings = Vec::new();
        let keys = Keys::read(source, &file.key, &mut warnings)?;
        Ok(Server {
            listen: listeners(source, &file.listen)?,
            identity: identity(source, &file.identity)?,
            zones: file.zones.clone(),
            state: file.state.clone(),
            keys,
            warnings,
            store: StoreSettings {
                cache_bytes: source.number(
                    "cache_bytes",
                    &file.store.cache_bytes,
                    16 * MIB,
                    1 << 20..=1 << 40,
                )?,
            },
            udp: udp(source, &file.udp)?,
            tcp: tcp(source, &file.tcp)?,
            limits: Limits {
                update_queue: source.number("update_queue", &file.limits.update_queue, 4096, 1..=1 << 20)?,
                pools: source.number("pools", &file.limits.pools, 131_072, 1..=members_max)?,
                members: source.number("members", &file.limits.members, 1_000_000, 1..=members_max)?,
                records: source.number("records", &file.limits.records, 1_000_000, 1..=members_max)?,
            },
        })
    }
}

fn identity(source: &Source, file: &IdentityTable) -> Result<Identity, ConfigError> {
    let text = |key, given: &Option<Text>, octets_max| match given {
        None => Ok(None),
        Some(text) if (1..=octets_max).contains(&text.get_ref().len()) => {
            Ok(Some(text.get_ref().as_str().into()))
        }
        Some(text) => {
            let octets = text.get_ref().len();
            Err(source.fault(text.span(), Fault::Length { key, octets, octets_max }))
        }
    };
    Ok(Identity {
        version: text("version", &file.version, Identity::TEXT_MAX)?,
        hostname: text("hostname", &file.hostname, Identity::TEXT_MAX)?,
        nsid: text("nsid", &file.nsid, Identity::NSID_MAX)?,
    })
}

/// The error of a file that is a zone's: which keys `rollcall.toml` has is then no help.
fn zones_file(error: ConfigError) -> ConfigError {
    match error {
        ConfigError::At { place, fault: Fault::Toml { message } } => {
            let is_in_message =
                |key: &&str| message.contains(&format!("unknown field `{key}`, expected one of `listen`"));
            let fault = match KEYS_OF_ITS_OWN.into_iter().find(is_in_message) {
                Some(key) => Fault::ZonesFile { key },
                None => Fault::Toml { message },
            };
            ConfigError::At { place, fault }
        }
        error => error,
    }
}

fn listeners(source: &Source, given: &List) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut listen: Vec<SocketAddr> = Vec::new();
    for text in source.list("listen", given)? {
        let bad = |fault: fn(String) -> Fault| source.fault(text.span(), fault(text.get_ref().clone()));
        let address: SocketAddr = text.get_ref().parse().map_err(|_| bad(|text| Fault::Listen { text }))?;
        // Port 0 is another one each time.
        if address.port() != 0 && listen.contains(&address) {
            return Err(bad(|text| Fault::ListenTwice { text }));
        }
        listen.push(address);
    }
    if listen.is_empty() {
        listen = vec![([127, 0, 0, 1], 5300).into(), ([0, 0, 0, 0, 0, 0, 0, 1], 5300).into()];
    }
    Ok(listen)
}

fn udp(source: &Source, file: &UdpTable) -> Result<UdpSettings, ConfigError> {
    let cores = available_parallelism().map_or(1, |cores| cores.get().min(64));
    let buffer = |key, given, default| source.number(key, given, default, 1 << 16..=1 << 30);
    Ok(UdpSettings {
        workers: source.number("workers", &file.workers, cores, 1..=64)?,
        batch: source.number("batch", &file.batch, 16, 1..=64)?,
        receive_buffer_bytes: buffer("receive_buffer_bytes", &file.receive_buffer_bytes, 4 * MIB)?,
        send_buffer_bytes: buffer("send_buffer_bytes", &file.send_buffer_bytes, MIB)?,
        // Longer than 10 ms would be a core for each worker, and a stop that waits.
        busy_poll_us: source.number("busy_poll_us", &file.busy_poll_us, 0, 0..=10_000)?,
    })
}

fn tcp(source: &Source, file: &TcpTable) -> Result<TcpSettings, ConfigError> {
    let connections: usize = source.number("connections", &file.connections, 1024, 1..=65_536)?;
    // One client leaves room for others, and a site behind one address has as many as hosts that speak TCP at once.
    let each = connections.div_ceil(4);
    Ok(TcpSettings {
        connections,
        client_connections: source.number(
            "client_connections",
            &file.client_connections,
            each,
            1..=65_536,
        )?,
        idle_ms: source.number("idle_ms", &file.idle_ms, 10_000, 100..=3_600_000)?,
        message_ms: source.number("message_ms", &file.message_ms, 10_000, 100..=30_000)?,
        pipeline: source.number("pipeline", &file.pipeline, 64, 1..=4096)?,
    })
}
