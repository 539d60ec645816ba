//! `rollcall serve`: the files, read again while it runs, and what the log says of it.

use crossbeam_channel::Sender;
use tracing::{error, info, warn};

use crate::config::{Asked, Reader, Reread, Watch, ZoneConfig};
use crate::security::Grants;
use crate::server::{Files, Read};
use crate::update::Reload;
use crate::wire::{NameHasher, WireError, lower, name_text};
use crate::zone::Draft;

/// The files of a running server.
pub(super) struct Served {
    reader: Reader,
    hasher: NameHasher,
    moved: Sender<()>,
    watch: Option<Watch>,
}

impl Served {
    /// Goes on from what `reader` has read; from now on `moved` is told when the zones directory moves.
    pub fn new(reader: Reader, hasher: NameHasher, moved: Sender<()>) -> Self {
        let mut files = Served { reader, hasher, moved, watch: None };
        files.watch();
        // What has changed between the first reading and now.
        _ = files.moved.try_send(());
        files
    }

    fn watch(&mut self) {
        let directory = self.reader.zones_dir();
        match Watch::new(directory, self.moved.clone()) {
            Ok(watch) => self.watch = Some(watch),
            // The last one, if there is one, is kept: it tells if its directory is put back.
            Err(error) => {
                let zones = directory.display();
                warn!(%error, %zones, "the zones directory is not watched: send SIGHUP after a change");
            }
        }
    }

    /// Makes what was read ready to be served.
    fn prepare(&self, reread: Reread) -> Result<Option<Reload>, WireError> {
        let Reread { zones, unloaded, keyring, .. } = reread;
        let draft = |zone: ZoneConfig| -> Result<(Draft, Grants), WireError> {
            Ok((Draft::new(zone.settings, &zone.records, &self.hasher)?, zone.grants))
        };
        let zones: Vec<_> = zones.into_iter().map(draft).collect::<Result<_, _>>()?;
        let unloaded: Vec<_> = unloaded.iter().map(|apex| lower(apex.as_slice())).collect();
        let is_any = !zones.is_empty() || !unloaded.is_empty() || keyring.is_some();
        Ok(is_any.then_some(Reload { zones, unloaded, keyring }))
    }
}

impl Files for Served {
    fn read(&mut self, asked: Asked) -> Read {
        if asked == Asked::Explicitly {
            info!("reading the configuration again");
        }
        // The directory may be another one by this name.
        let is_another = |watch: &Watch| !watch.is_of(self.reader.zones_dir());
        if asked == Asked::Explicitly || self.watch.as_ref().is_some_and(is_another) {
            self.watch();
        }
        let reread = match self.reader.read_again(asked) {
            Ok(reread) => reread,
            Err(error) => {
                error!("nothing was reloaded, everything is served as before: {error}");
                return Read { reload: None, errors: 1 };
            }
        };
        say(&reread, asked);
        let errors = reread.errors.len() as u64;
        match self.prepare(reread) {
            Ok(reload) => Read { reload, errors },
            Err(error) => {
                error!(%error, "a zone could not be prepared; please report this with the log");
                Read { reload: None, errors: errors + 1 }
            }
        }
    }
}

fn say(reread: &Reread, asked: Asked) {
    for error in &reread.errors {
        error!("not reloaded, the zone is served as before: {error}");
    }
    for file in &reread.missing {
        let file = file.display();
        warn!(%file, "gone; its zone is served as before, until SIGHUP");
    }
    for key in &reread.waiting {
        warn!(
            "`{key}` in rollcall.toml differs from what the server runs with: it takes effect at the next start"
        );
    }
    reread.warnings.iter().for_each(|warning| warn!("{warning}"));
    for zone in &reread.zones {
        let name = name_text(&lower(zone.settings.apex.as_slice()));
        zone.records
            .warnings
            .iter()
            .for_each(|warning| warn!(zone = name, file = %warning.path.display(), line = warning.line, "{}", warning.doubt));
    }
    for apex in &reread.unloaded {
        info!(zone = name_text(apex.as_slice()), "unloaded: its files are gone");
    }
    if asked == Asked::Explicitly
        && reread.zones.is_empty()
        && reread.unloaded.is_empty()
        && reread.errors.is_empty()
    {
        info!("no zone has changed");
    }
}
