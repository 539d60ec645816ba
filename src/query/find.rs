//! From a name to what answers for it (RFC 1034 section 4.3.2 step 3, RFC 4592 section 3.2.1, RFC 6672 section 3.2).
//!
//! A zone without cuts and DNAMEs has its longest suffix of the name probed first, which for most names is the name itself. In
//! the others whatever is nearer to the apex comes first: what lies below a cut or a DNAME is not there, whether the index
//! has it or not.

use sdd::Guard;

use crate::wire::{NameKey, Rtype};
use crate::zone::{Node, Role, Zone};

/// What answers for a name. Numbers are how many of its labels are left of the name whose node it is.
pub(super) enum Place<'g> {
    /// The index has the name.
    Name(&'g Node),
    /// The name is below a pool or a listing, which knows whether it is there.
    InView(&'g Node),
    /// The name is not there, and this wildcard stands for it.
    Wildcard(&'g Node),
    /// The name is at or below a zone cut.
    Cut(&'g Node, usize),
    /// The name is below the owner of a DNAME.
    Redirection(&'g Node, usize),
    /// There is no such name.
    Nowhere,
}

/// Finds what answers a question about `name`, which lies in `zone`.
pub(super) fn find<'g>(
    zone: &Zone,
    name: &NameKey,
    qtype: Rtype,
    now_ms: u64,
    guard: &'g Guard,
) -> Place<'g> {
    if zone.has_redirections()
        && let Some(elsewhere) = find_redirection(zone, name, qtype, now_ms, guard)
    {
        return elsewhere;
    }
    find_hidden(zone, name, guard)
}

/// What answered about `name` if nothing led elsewhere from above it: below a cut, glue.
pub(super) fn find_hidden<'g>(zone: &Zone, name: &NameKey, guard: &'g Guard) -> Place<'g> {
    match zone.locate(name, guard) {
        None => Place::Nowhere,
        Some((node, 0)) => Place::Name(node),
        Some((node, skip)) => match node.role {
            Role::Pool(_) | Role::BelowPool(_) | Role::Listing(_) | Role::BelowListing(_) => {
                Place::InView(node)
            }
            // The node is the closest encloser's, and the wildcard below it the only one that can stand for the name.
            Role::Plain if zone.has_wildcards() => wildcard(zone, name, skip, guard),
            Role::Plain => Place::Nowhere,
        },
    }
}

fn wildcard<'g>(zone: &Zone, name: &NameKey, skip: usize, guard: &'g Guard) -> Place<'g> {
    let found =
        name.suffix(skip).and_then(|(encloser, hash)| zone.index.find_wildcard(encloser, hash, guard));
    found.map_or(Place::Nowhere, Place::Wildcard)
}

/// The wildcard that stands for a name that the index lacks, if its zone has one.
pub(super) fn find_wildcard<'g>(zone: &Zone, name: &NameKey, guard: &'g Guard) -> Option<&'g Node> {
    let (_, skip) = zone.locate(name, guard).filter(|_| zone.has_wildcards())?;
    let (encloser, hash) = name.suffix(skip).filter(|_| skip > 0)?;
    zone.index.find_wildcard(encloser, hash, guard)
}

/// The first cut or DNAME on the way from the apex to the name. The name that a DNAME is at is not redirected, and whether a
/// cut is signed is the parent's to say (RFC 4035 section 3.1.4.1).
fn find_redirection<'g>(
    zone: &Zone,
    name: &NameKey,
    qtype: Rtype,
    now_ms: u64,
    guard: &'g Guard,
) -> Option<Place<'g>> {
    let below_apex = name.labels().checked_sub(zone.apex_labels())?;
    for skip in (0..=below_apex).rev() {
        let (suffix, hash) = name.suffix(skip)?;
        let node = zone.index.find(suffix, hash, guard)?;
        // Nothing at or below a pool leads elsewhere.
        if matches!(node.role, Role::Pool(_) | Role::BelowPool(_)) {
            return None;
        }
        let is_of_parent = skip == 0 && qtype == Rtype::DS;
        if skip < below_apex && !is_of_parent && node.cut(now_ms).is_some() {
            return Some(Place::Cut(node, skip));
        }
        if skip > 0 && node.redirection(now_ms).is_some() {
            return Some(Place::Redirection(node, skip));
        }
    }
    None
}
