//! Static records must leave a declared pool's names alone: what a member registers there would be hidden, or hide them.

use std::collections::HashSet;

use super::ConfigError;
use crate::wire::{Name, Rtype};
use crate::zone::ZoneSettings;
use crate::zone::file::{Doubt, StaticRecord, ZoneRecords};

/// Refuses the first record that stands where a pool's names are.
pub(super) fn check(records: &ZoneRecords, settings: &ZoneSettings) -> Result<(), ConfigError> {
    let pools: HashSet<&Name> = settings.pools.iter().map(|(name, _)| name).collect();
    for record in &records.records {
        // No pool lies below another, so there is at most one above a record.
        let Some(&pool) = record.owner.iter_suffixes().find_map(|suffix| pools.get(&suffix)) else {
            continue;
        };
        if let Some(reason) = conflict(record, pool) {
            return Err(ConfigError::InTheWay {
                path: records.path(record).into(),
                line: record.line,
                owner: record.owner.clone(),
                rtype: record.rtype,
                pool: pool.clone(),
                reason,
            });
        }
    }
    Ok(())
}

/// How many labels left of the zone's name a member of a pool has that was made by its first member.
const MEMBER_LABELS: usize = 2;

/// Takes back warnings of hosts without an address that members may bring: those in declared pools, and, where pools are
/// made by their first member, whatever could be in one. A zone's name servers are no members.
pub(super) fn expect_members(records: &mut ZoneRecords, settings: &ZoneSettings) {
    let pools: HashSet<&Name> = settings.pools.iter().map(|(name, _)| name).collect();
    records.warnings.retain(|warning| {
        let Doubt::NoAddress { rtype, target } = &warning.doubt else { return true };
        let labels = target.label_count().saturating_sub(settings.apex.label_count());
        let may_be_made = settings.create_pools && *rtype != Rtype::NS && labels <= MEMBER_LABELS;
        !may_be_made && !target.iter_suffixes().any(|suffix| pools.contains(&suffix))
    });
}

/// What the pool needs that the record, at or below its name, takes away. Underscored names are no members': but for the
/// pool's services, whatever stands there is an ordinary record beside them (an ACME challenge, TLSA, a service's TXT).
fn conflict(record: &StaticRecord, pool: &Name) -> Option<&'static str> {
    let depth = record.owner.label_count() - pool.label_count();
    let labels: Vec<_> = record.owner.iter().take(depth).map(|label| label.as_slice()).collect();
    let is_all = |label: &[u8]| label.eq_ignore_ascii_case(b"all");
    match (labels.as_slice(), record.rtype) {
        (labels, _) if labels.contains(&&b"*"[..]) => Some("a wildcard would stand for its members"),
        (_, Rtype::CNAME | Rtype::DNAME | Rtype::NS) => Some("nothing at or below a pool may lead elsewhere"),
        ([], Rtype::A | Rtype::AAAA) => Some("its addresses are its members'"),
        ([], Rtype::SVCB | Rtype::HTTPS) => Some("how to speak to it is its members' to say"),
        ([service, protocol, rest @ ..], Rtype::SRV)
            if service.starts_with(b"_") && protocol.starts_with(b"_") =>
        {
            match rest {
                [] => Some("its services are its members'"),
                [last] if is_all(last) => Some("`all` below it lists its members"),
                _ => None,
            }
        }
        ([label, service @ ..], Rtype::TXT)
            if label.eq_ignore_ascii_case(b"_status")
                && matches!(service.len(), 0 | 2)
                && service.iter().all(|label| label.starts_with(b"_")) =>
        {
            Some("`_status` below it says what it makes of its members")
        }
        ([first, ..], _) if first.starts_with(b"_") => None,
        ([.., last], _) if is_all(last) => Some("`all` below it lists its members"),
        ([_], _) => Some("names one label below it are its members'"),
        _ => None,
    }
}
