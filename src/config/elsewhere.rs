//! Delegations and DNAMEs lead elsewhere with all that is below them: no pool may be there, and a name has one of them.

use std::collections::HashMap;

use super::ConfigError;
use crate::wire::{Name, Rtype, name_text};
use crate::zone::ZoneSettings;
use crate::zone::file::{StaticRecord, ZoneRecords};

/// Refuses the first record that leads elsewhere where it may not.
pub(super) fn check(records: &ZoneRecords, settings: &ZoneSettings) -> Result<(), ConfigError> {
    let apex = &settings.apex;
    // A pool by every name above it and its own, so that many pools and many delegations are not tried each on each.
    let pools = settings.pools.iter().map(|(pool, _)| pool);
    let pools: HashMap<Name, &Name> =
        pools.flat_map(|pool| pool.iter_suffixes().map(move |above| (above, pool))).collect();
    let mut known: HashMap<&Name, &StaticRecord> = HashMap::new();
    let leads = |record: &&StaticRecord| match record.rtype {
        Rtype::NS => record.owner != *apex,
        rtype => rtype == Rtype::DNAME,
    };
    for record in records.records.iter().filter(leads) {
        let before = *known.entry(&record.owner).or_insert(record);
        let reason = if let Some(pool) = pools.get(&record.owner) {
            format!("the pool {} would be out of reach; remove one of them", name_text(pool.as_slice()))
        } else if settings.create_pools && record.owner == *apex {
            "registrations make pools there (`create_pools`); remove one of them".to_owned()
        } else if !std::ptr::eq(before, record) && (before.rtype, record.rtype) != (Rtype::NS, Rtype::NS) {
            let (rtype, line, path) = (before.rtype, before.line, records.path(before).display());
            format!(
                "its name does so already, by {rtype} at {path}:{line} (RFC 6672 section 2.3); remove one"
            )
        } else {
            continue;
        };
        let (line, owner, rtype) = (record.line, record.owner.clone(), record.rtype);
        return Err(ConfigError::Elsewhere { path: records.path(record).into(), line, owner, rtype, reason });
    }
    Ok(())
}
