//! `rollcall serve`: from a checked configuration to a running server.

use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use crossbeam_channel::bounded;
use tracing::{debug, info, warn};

use super::ServeArgs;
use super::reading::Reading;
use super::reload::Served;
use super::restoring;
use crate::config::{self, Config, ConfigError, Reader};
use crate::security::Cookies;
use crate::server::{self, Desk, Listeners, ServeError, Settings, SocketSettings, clock};
use crate::store::{Compacted, Loaded, Opening, StoreError};
use crate::update::{Limits, Registrar, Restored, Setup, ZoneInput};
use crate::wire::{WireError, lower, name_text};
use crate::zone::file::Progress;
use crate::zone::later;

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

/// Serves until SIGTERM or SIGINT, or until another process takes over.
pub fn serve(args: &ServeArgs) -> Result<(), ServeFailure> {
    let mut reading = Reading::default();
    let mut progress = |progress: Progress<'_>| {
        if let Some(line) = reading.line(clock::now_ms(), progress) {
            info!("{line}");
        }
    };
    let (reader, config) = Reader::start(args.config.as_deref(), args.overrides(), &mut progress)?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let settings = settings(&config);
    let sockets = match args.take_over {
        true => Listeners::take_over(&settings, &config.state_dir)?,
        false => (Listeners::bind(&settings)?, None),
    };
    if let Some(predecessor) = &sockets.1 {
        predecessor.release().map_err(ServeError::HandOver)?;
    }
    let mut opening = Opening::begin(&config.state_dir, config.store.cache_bytes, clock::wall_ms())?;
    let state = config.state_dir.clone();
    info!(state = %state.display(), run = opening.loaded.run, "state directory");
    let now_ms = clock::now_ms();
    let mut registrar = registrar(config, &mut opening.loaded, server::cookies()?, now_ms)?;
    let held = opening.loaded.held;
    let (mut store, loaded, restored) =
        opening.finish(|members| restoring::members(&mut registrar, members, held, now_ms))?;
    let restored = restored?;
    if let Some(format) = loaded.upgraded_from {
        info!(state = %state.display(), format, "the store was of the format before this one, and is of this one now");
    }
    if let Some(Compacted { from, to }) = loaded.compacted {
        info!(state = %state.display(), from, to, "the store was mostly free, and is smaller now, octets");
    }
    restore_rest(&mut registrar, loaded, &restored, now_ms);
    // The serials that this run begins with are on disk before anybody hears them.
    store.commit(&registrar.overtaken(), &registrar.serials(), clock::moment())?;
    registrar.serials_stored();
    let zones = Arc::new(ArcSwap::new(Arc::clone(registrar.published())));
    // One waiting word is as good as several.
    let (moved, moves) = bounded(1);
    let files = Served::new(reader, registrar.published().hasher().clone(), moved);
    let desk = Desk { registrar, store, restored };
    Ok(server::run(&settings, sockets, zones, desk, (files, moves), &state)?)
}

fn settings(config: &Config) -> Settings {
    Settings {
        listen: config.listen.clone(),
        workers: config.udp.workers,
        batch: config.udp.batch,
        sockets: SocketSettings {
            receive_buffer_bytes: config.udp.receive_buffer_bytes,
            send_buffer_bytes: config.udp.send_buffer_bytes,
            busy_poll_us: config.udp.busy_poll_us,
        },
        tcp_connections: config.tcp.connections,
        tcp_client_connections: config.tcp.client_connections,
        tcp_idle_ms: config.tcp.idle_ms,
        tcp_message_ms: config.tcp.message_ms,
        tcp_pipeline: config.tcp.pipeline,
        update_queue: config.limits.update_queue,
    }
}

/// The zones as configured, with what the store gives back beside members.
fn registrar(
    config: Config,
    loaded: &mut Loaded,
    cookies: Arc<Cookies>,
    now_ms: u64,
) -> Result<Registrar, WireError> {
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
            warn!(zone = name_text(&apex), file = %warning.path.display(), line = warning.line, "{}", warning.doubt);
        }
        let from_file = zone.records.soa.serial;
        let serial = stored(&apex).map_or(from_file, |serial| later(serial, from_file));
        let (pools, records) = (zone.settings.pools.len(), zone.records.records.len());
        info!(zone = name_text(&apex), serial, pools, records, "zone");
        zones.push(ZoneInput { settings: zone.settings, records: zone.records, grants: zone.grants, serial });
    }
    let config::Limits { members, pools, records, .. } = config.limits;
    let limits = Limits { members, pools, records };
    let dynamics = loaded.dynamics(now_ms);
    debug!(names = dynamics.len(), "names with records by UPDATE");
    let setup = Setup { zones, dynamics, keyring: config.keyring, cookies, limits, run: loaded.run };
    let mut registrar = Registrar::new(setup, now_ms, fastrand::u64(..))?;
    // A zone that is not there now may come back while the server runs.
    loaded.serials.iter().for_each(|(apex, serial)| registrar.restore_serial(apex, *serial));
    registrar.identify(config.identity);

    for drained in mem::take(&mut loaded.drains) {
        let (pool, name, drain) = drained.drain(now_ms);
        registrar.restore_drain(&pool, &name, drain);
    }
    Ok(registrar)
}

/// What the store gives back once the members are there.
fn restore_rest(registrar: &mut Registrar, loaded: Loaded, restored: &Restored, now_ms: u64) {
    let absent = loaded.absent.len();
    for absent in loaded.absent {
        let (pool, name, absence) = absent.absence(now_ms);
        registrar.restore_absence(&pool, &name, absence);
    }
    loaded.floors.iter().for_each(|floor| registrar.restore_floor(floor, now_ms));
    debug!(absent, "members that were gone, and whose name or floor is kept");
    let (count, not_restored) = (restored.count, restored.left_count);
    info!(restored = count, grace_over = loaded.gone, not_restored, "members from the last run");
}
