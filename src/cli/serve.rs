//! `rollcall serve`: from a checked configuration to a running server.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::{info, warn};

use super::ServeArgs;
use crate::config::{self, Config, ConfigError};
use crate::membership::Change;
use crate::server::{self, Desk, Listeners, ServeError, Settings, clock};
use crate::store::{Loaded, Store, StoreError};
use crate::update::{Limits, Registrar, ZoneInput};
use crate::wire::{WireError, label_text, lower, name_text};

/// Why a server did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeFailure {
    /// The configuration is not good.
    #[error("{0}")]
    Config(#[from] ConfigError),
    /// The store is not good.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A zone could not be published.
    #[error("cannot publish the zones: {0}")]
    Zone(#[from] WireError),
    /// Sockets, threads or signals.
    #[error("{0}")]
    Serve(#[from] ServeError),
}

/// Serves until SIGTERM or SIGINT.
pub fn serve(args: &ServeArgs) -> Result<(), ServeFailure> {
    let config = config::load(args.config.as_deref(), args.overrides())?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let settings = settings(&config);
    let listeners = Listeners::bind(&settings)?;
    let (mut store, loaded) = Store::open(&config.state_dir, config.store.cache_bytes, clock::wall_ms())?;
    info!(state = %config.state_dir.display(), run = loaded.run, "state directory");
    let (registrar, restored) = registrar(config, loaded)?;
    // The serials that this run begins with are on disk before anybody hears them.
    store.commit([], &registrar.serials())?;
    let zones = Arc::new(ArcSwap::new(Arc::clone(registrar.published())));
    Ok(server::run(&settings, listeners, zones, Desk { registrar, store, restored })?)
}

fn settings(config: &Config) -> Settings {
    Settings {
        listen: config.listen.clone(),
        workers: config.udp.workers,
        batch: config.udp.batch,
        receive_buffer_bytes: config.udp.receive_buffer_bytes,
        tcp_connections: config.tcp.connections,
        tcp_idle_ms: config.tcp.idle_ms,
        tcp_pipeline: config.tcp.pipeline,
        update_queue: config.limits.update_queue,
    }
}

/// The zones as configured, with the members that the store gives back.
fn registrar(config: Config, loaded: Loaded) -> Result<(Registrar, Vec<Change>), WireError> {
    let files: Vec<PathBuf> = config.files;
    for file in files {
        info!(file = %file.display(), "read");
    }
    let stored =
        |apex: &[u8]| loaded.serials.iter().find(|(zone, _)| **zone == *apex).map(|(_, serial)| *serial);
    let mut zones = Vec::with_capacity(config.zones.len());
    for zone in config.zones {
        let apex = lower(zone.settings.apex.as_slice());
        for warning in &zone.records.warnings {
            warn!(zone = name_text(&apex), line = warning.line(), "{warning}");
        }
        let from_file = zone.records.soa.serial;
        let serial = stored(&apex).map_or(from_file, |serial| later(serial, from_file));
        info!(zone = name_text(&apex), serial, pools = zone.settings.pools.len(), "zone");
        zones.push(ZoneInput { settings: zone.settings, records: zone.records, grants: zone.grants, serial });
    }
    let limits = Limits { members: config.limits.members, pools: config.limits.pools };
    let now_ms = clock::now_ms();
    let mut registrar = Registrar::new(zones, config.keyring, limits, loaded.run, now_ms, fastrand::u64(..))?;

    let mut restored: Vec<Change> = Vec::with_capacity(loaded.members.len());
    let mut not_restored = 0_usize;
    for back in loaded.members {
        match registrar.restore(&back.pool, &back.name, back.member, back.grace_ms, now_ms) {
            Some(change) => restored.push(change),
            None => {
                not_restored += 1;
                if not_restored == 1 {
                    let (pool, member) = (name_text(&back.pool), label_text(&back.name));
                    warn!(
                        pool,
                        member, "not restored: no zone has this pool any more, or a limit is reached"
                    );
                }
            }
        }
    }
    registrar.publish(&restored, now_ms)?;
    info!(restored = restored.len(), grace_over = loaded.gone, not_restored, "members from the last run");
    Ok((registrar, restored))
}

/// The later of two serials (RFC 1982 section 3.2).
fn later(one: u32, other: u32) -> u32 {
    if other.wrapping_sub(one) < 1 << 31 { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_compare_round_the_circle() {
        assert_eq!(later(7, 9), 9);
        assert_eq!(later(9, 7), 9);
        assert_eq!(later(u32::MAX, 3), 3);
        assert_eq!(later(3, u32::MAX), 3);
    }
}
