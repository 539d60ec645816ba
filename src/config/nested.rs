//! Zones below zones: a question goes to the closest zone, so of what an outer zone says about names of an inner one only the
//! delegation matters: it says to secondaries of the outer zone alone, and to whoever reads the file, where the inner one is.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::ConfigError;
use crate::wire::{Name, Rtype};
use crate::zone::file::ZoneRecords;

/// Every zone that is served, with its TOML file.
pub(super) struct Served(HashMap<Name, PathBuf>);

impl Served {
    pub fn new(zones: impl Iterator<Item = (Name, PathBuf)>) -> Self {
        Served(zones.collect())
    }

    /// The zone that answers for `name`, which lies in the zone `apex`, unless it is that one.
    pub fn below(&self, apex: &Name, name: &Name) -> Option<(&Name, &Path)> {
        let (closest, toml) = name.iter_suffixes().find_map(|suffix| self.0.get_key_value(&suffix))?;
        (closest != apex).then_some((closest, toml))
    }
}

/// Refuses the first record that lies in another zone, unless it delegates that zone: NS at its apex, and addresses there.
pub(super) fn check(records: &ZoneRecords, apex: &Name, served: &Served) -> Result<(), ConfigError> {
    let servers = records.records.iter().filter(|record| record.rtype == Rtype::NS);
    let delegated: HashSet<&Name> = servers.map(|record| &record.owner).collect();
    for record in &records.records {
        if let Some((inner, _)) = served.below(apex, &record.owner) {
            let delegates = match record.rtype {
                Rtype::NS => record.owner == *inner,
                rtype => matches!(rtype, Rtype::A | Rtype::AAAA) && delegated.contains(inner),
            };
            if delegates {
                continue;
            }
            return Err(ConfigError::Occluded {
                path: records.path(record).into(),
                line: record.line,
                owner: record.owner.clone(),
                rtype: record.rtype,
                inner: inner.clone(),
            });
        }
    }
    Ok(())
}
