//! RFC 2136 section 3.2: what must hold before anything is done, judged on what the zone shows.

use std::collections::BTreeMap;

use super::Refusal;
use super::message::Prerequisite;
use super::refusal::Condition;
use crate::wire::{NameHasher, NameKey, Rtype, same_rdata};
use crate::zone::Contents;

/// Whether all of them hold; else the first that does not, those that give rdata last, as the section has it.
pub(super) fn judge(
    prerequisites: Vec<Result<Prerequisite, Refusal>>,
    contents: &Contents<'_>,
    hasher: &NameHasher,
) -> Result<(), Refusal> {
    let shown = |name: &[u8], rtype| Ok::<_, Refusal>(contents.rdata(&NameKey::of(name, hasher)?, rtype));
    let mut wanted = BTreeMap::<(Box<[u8]>, Rtype), Vec<_>>::new();
    for prerequisite in prerequisites {
        let prerequisite = prerequisite?;
        let (name, rtype, condition, holds) = match &prerequisite {
            Prerequisite::NameInUse { name } => {
                (name, Rtype::ANY, Condition::InUse, !shown(name, Rtype::ANY)?.is_empty())
            }
            Prerequisite::NameNotInUse { name } => {
                (name, Rtype::ANY, Condition::NotInUse, shown(name, Rtype::ANY)?.is_empty())
            }
            Prerequisite::RrsetExists { name, rtype } => {
                (name, *rtype, Condition::Exists, !shown(name, *rtype)?.is_empty())
            }
            Prerequisite::NoRrset { name, rtype } => {
                (name, *rtype, Condition::Absent, shown(name, *rtype)?.is_empty())
            }
            Prerequisite::RrsetHas { name, rtype, rdata } => {
                wanted.entry((name.clone(), *rtype)).or_default().push(rdata.clone());
                continue;
            }
        };
        if !holds {
            return Err(Refusal::Unmet { name: name.clone(), rtype, condition });
        }
    }
    for ((name, rtype), wanted) in wanted {
        let shown = shown(&name, rtype)?;
        let has = |one: &[u8], other: &[u8]| same_rdata(rtype, one, other);
        let all_wanted = shown.iter().all(|rdata| wanted.iter().any(|other| has(rdata, other)));
        let all_shown = wanted.iter().all(|rdata| shown.iter().any(|other| has(rdata, other)));
        if !all_wanted || !all_shown {
            return Err(Refusal::Unmet { name, rtype, condition: Condition::Equals });
        }
    }
    Ok(())
}
