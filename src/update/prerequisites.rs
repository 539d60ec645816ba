//! RFC 2136 section 3.2: what must hold before anything is done, judged on what the zone shows.
//!
//! Whoever has any grant may ask, of a pool of any size and thousands of times in one message. So each RRset is looked at
//! once a message, no further than the first record that decides, and none of it is kept.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::Refusal;
use super::message::Prerequisite;
use super::refusal::Condition;
use crate::wire::{NameHasher, NameKey, Rtype, canonical_rdata};
use crate::zone::Contents;

/// An RRset; of [`Rtype::ANY`], all of a name.
type Place = (Box<[u8]>, Rtype);

/// Whether all of them hold; else the first that does not, those that give rdata last, as the section has it.
pub(super) fn judge(
    prerequisites: Vec<Result<Prerequisite, Refusal>>,
    contents: &Contents<'_>,
    hasher: &NameHasher,
) -> Result<(), Refusal> {
    let mut known: BTreeMap<Place, bool> = BTreeMap::new();
    let mut wanted: BTreeMap<Place, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for prerequisite in prerequisites {
        let (name, rtype, condition, is_there) = match prerequisite? {
            Prerequisite::NameInUse { name } => (name, Rtype::ANY, Condition::InUse, true),
            Prerequisite::NameNotInUse { name } => (name, Rtype::ANY, Condition::NotInUse, false),
            Prerequisite::RrsetExists { name, rtype } => (name, rtype, Condition::Exists, true),
            Prerequisite::NoRrset { name, rtype } => (name, rtype, Condition::Absent, false),
            Prerequisite::RrsetHas { name, rtype, rdata } => {
                let rdata = canonical_rdata(rtype, &rdata).into_owned();
                wanted.entry((name, rtype)).or_default().insert(rdata);
                continue;
            }
        };
        let place = (name, rtype);
        let has = match known.get(&place) {
            Some(&has) => has,
            None => {
                let has = contents.has(&NameKey::of(&place.0, hasher)?, rtype);
                known.insert(place.clone(), has);
                has
            }
        };
        if has != is_there {
            return Err(Refusal::Unmet { name: place.0, rtype, condition });
        }
    }
    for ((name, rtype), wanted) in wanted {
        if !has_just(contents, &NameKey::of(&name, hasher)?, rtype, &wanted) {
            return Err(Refusal::Unmet { name, rtype, condition: Condition::Equals });
        }
    }
    Ok(())
}

/// Whether an RRset has these records and no other, in canonical form.
fn has_just(contents: &Contents<'_>, name: &NameKey, rtype: Rtype, wanted: &BTreeSet<Vec<u8>>) -> bool {
    let mut shown: BTreeSet<&[u8]> = BTreeSet::new();
    let another = contents.each(name, rtype, &mut |rdata| {
        let rdata: Cow<'_, [u8]> = canonical_rdata(rtype, rdata);
        match wanted.get(rdata.as_ref()) {
            Some(known) => {
                shown.insert(known);
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        }
    });
    another.is_continue() && shown.len() == wanted.len()
}
