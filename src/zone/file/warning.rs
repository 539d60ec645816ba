//! What a zone file holds that is served, but perhaps not as meant.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use super::ZoneRecords;
use super::owners::{Item, Owners, owned_name};
use crate::wire::{Name, Rtype, lower, name_text};
use crate::zone::{is_below, parent};

/// The most warnings that are told; one slip can be made on every line of a long file.
const WARNINGS_MAX: usize = 1_000;

/// Something in a zone file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneWarning {
    /// Which file.
    pub path: PathBuf,
    /// Which line of it, from 1.
    pub line: usize,
    /// What it is.
    pub doubt: Doubt,
}

/// `FILE:LINE: warning: TEXT`.
impl fmt::Display for ZoneWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: warning: {}", self.path.display(), self.line, self.doubt)
    }
}

/// What is allowed but hardly meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// An RRset with several TTLs (RFC 2181 section 5.2).
    #[error("{} {rtype} has several TTLs; {ttl_s}, the smallest, is served", name_text(.owner.as_slice()))]
    MixedTtl {
        /// The RRset's owner.
        owner: Name,
        /// Its type.
        rtype: Rtype,
        /// The TTL served, seconds.
        ttl_s: u32,
    },
    /// A record whose owner is not in the zone.
    #[error("{} is not in the zone {} and is left out; is a dot missing or too much?", name_text(.owner.as_slice()), name_text(.apex.as_slice()))]
    OutOfZone {
        /// The owner.
        owner: Name,
        /// The zone.
        apex: Name,
    },
    /// A host that is named in the zone and has no address there.
    #[error("{} {} has no A or AAAA in the zone; {}", host_word(*.rtype), name_text(.target.as_slice()), no_address(*.rtype))]
    NoAddress {
        /// The type of the record that names it.
        rtype: Rtype,
        /// The host.
        target: Name,
    },
    /// A name server below a zone cut without the address that leads there (RFC 1034 section 4.2.1).
    #[error("name server {} lies below the delegation of {} and has no A or AAAA here as glue; add it, or nobody finds the \
        delegated zone", name_text(.server.as_slice()), name_text(.cut.as_slice()))]
    MissingGlue {
        /// The delegated name.
        cut: Name,
        /// Its server.
        server: Name,
    },
    /// A host that is an alias (RFC 2181 section 10.3, RFC 2782).
    #[error("{} {} is a CNAME, and {rtype} has to name a host itself (RFC 2181 section 10.3)", host_word(*.rtype), name_text(.target.as_slice()))]
    Alias {
        /// The type of the record that names it.
        rtype: Rtype,
        /// The alias.
        target: Name,
    },
    /// A record that no answer shows, since its name belongs to somebody else.
    #[error("{} {rtype} is never answered: {} {}", name_text(.owner.as_slice()), name_text(.above.as_slice()), above_text(*.is_cut))]
    Occluded {
        /// The record's owner.
        owner: Name,
        /// Its type.
        rtype: Rtype,
        /// The delegated name, or the DNAME's.
        above: Name,
        /// Whether it is delegated.
        is_cut: bool,
    },
    /// More than are told.
    #[error("{count} more warnings about this zone are not shown")]
    More {
        /// How many.
        count: usize,
    },
}

fn host_word(rtype: Rtype) -> &'static str {
    match rtype {
        Rtype::NS => "name server",
        Rtype::MX => "mail server",
        _ => "server",
    }
}

fn no_address(rtype: Rtype) -> &'static str {
    if rtype == Rtype::NS { "resolvers cannot reach it" } else { "clients cannot reach it" }
}

fn above_text(is_cut: bool) -> &'static str {
    if is_cut {
        "is delegated, and of it only NS and the addresses of name servers are told"
    } else {
        "has a DNAME, which answers for all that is below it"
    }
}

/// Warnings while they are found: by file and line.
#[derive(Default)]
pub(super) struct Warnings {
    found: Vec<((u16, u32), Doubt)>,
}

impl Warnings {
    pub fn add(&mut self, place: (u16, u32), doubt: Doubt) {
        self.found.push((place, doubt));
    }

    /// All of them in the order of lines; those of the zone file come first.
    pub fn finish(mut self, files: &[PathBuf]) -> Vec<ZoneWarning> {
        self.found.sort_by_key(|(place, _)| *place);
        let warnings = self.found.into_iter().map(|((file, line), doubt)| {
            let path = files.get(usize::from(file)).cloned().unwrap_or_default();
            ZoneWarning { path, line: line as usize, doubt }
        });
        warnings.collect()
    }
}

impl ZoneRecords {
    /// Leaves of very many warnings the first, and says how many more there are.
    pub fn shorten_warnings(&mut self) {
        let count = self.warnings.len().saturating_sub(WARNINGS_MAX);
        if count > 0 {
            self.warnings.truncate(WARNINGS_MAX);
            let path = self.files.first().cloned().unwrap_or_default();
            self.warnings.push(ZoneWarning { path, line: 1, doubt: Doubt::More { count } });
        }
    }
}

/// The records of a zone by owner.
pub(super) struct Zone<'z> {
    /// In lower case.
    apex: Box<[u8]>,
    owners: &'z Owners,
    items: &'z [Item],
    sorted: Vec<u32>,
    /// Which of the sorted records each owner has.
    ranges: Vec<Range<usize>>,
    has_cuts: bool,
    has_dnames: bool,
    has_wildcards: bool,
}

impl<'z> Zone<'z> {
    /// `sorted` are the numbers of all records by owner.
    pub fn new(apex: &Name, owners: &'z Owners, items: &'z [Item], sorted: Vec<u32>) -> Self {
        let owner = |number: &u32| items.get(*number as usize).map(|item| item.owner);
        let mut ranges = vec![0..0; owners.len()];
        let mut start = 0;
        for run in sorted.chunk_by(|one, other| owner(one) == owner(other)) {
            let range = run.first().and_then(owner).and_then(|owner| ranges.get_mut(owner as usize));
            if let Some(range) = range {
                *range = start..start + run.len();
            }
            start += run.len();
        }
        let apex_number = owners.find(apex.as_slice());
        let is_cut = |item: &Item| item.rtype == Rtype::NS && Some(item.owner) != apex_number;
        Zone {
            apex: lower(apex.as_slice()),
            owners,
            items,
            sorted,
            ranges,
            has_cuts: items.iter().any(is_cut),
            has_dnames: items.iter().any(|item| item.rtype == Rtype::DNAME),
            has_wildcards: (0..).take(owners.len()).any(|owner| owners.name(owner).starts_with(b"\x01*")),
        }
    }

    fn records<'s>(&'s self, name: &[u8]) -> impl Iterator<Item = &'z Item> + use<'s, 'z> {
        let range = self.owners.find(name).and_then(|owner| self.ranges.get(owner as usize)).cloned();
        let numbers = self.sorted.get(range.unwrap_or_default()).unwrap_or_default();
        numbers.iter().filter_map(|&number| self.items.get(number as usize))
    }

    /// Whether a name has an RRset.
    pub fn has(&self, name: &[u8], rtype: Rtype) -> bool {
        self.records(name).any(|item| item.rtype == rtype)
    }

    fn has_address(&self, name: &[u8]) -> bool {
        self.records(name).any(|item| matches!(item.rtype, Rtype::A | Rtype::AAAA))
    }

    /// Looks at every record.
    pub fn judge(&self, warnings: &mut Warnings) {
        let servers = if self.has_cuts { self.servers() } else { HashSet::new() };
        for item in self.items.iter().filter(|item| !item.is_duplicate) {
            let owner = lower(self.owners.name(item.owner));
            if let Some((above, is_cut)) = self.occluding(item, &owner, &servers) {
                let (owner, above) = (owned_name(self.owners.name(item.owner)), owned_name(above));
                warnings.add(item.place(), Doubt::Occluded { owner, rtype: item.rtype, above, is_cut });
            } else if let Some(doubt) = self.target(item, &owner) {
                warnings.add(item.place(), doubt);
            }
        }
    }

    /// The name servers that the zone names, in lower case.
    fn servers(&self) -> HashSet<Box<[u8]>> {
        let servers = self.items.iter().filter(|item| item.rtype == Rtype::NS);
        servers.map(|item| lower(&item.rdata)).collect()
    }

    /// The names from one in the zone to just below the apex.
    fn up_from<'n>(&self, name: &'n [u8]) -> impl Iterator<Item = &'n [u8]> {
        let apex = self.apex.len();
        std::iter::successors(Some(name), |name| Some(parent(name))).take_while(move |name| name.len() > apex)
    }

    /// The delegated name at or above `name` that is nearest to the apex.
    fn cut<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        if !self.has_cuts {
            return None;
        }
        self.up_from(name).filter(|name| self.has(name, Rtype::NS)).last()
    }

    /// The name with a DNAME above `name` that is nearest to the apex.
    fn dname<'n>(&self, name: &'n [u8]) -> Option<&'n [u8]> {
        if !self.has_dnames {
            return None;
        }
        let above = self.up_from(name).map(parent);
        above.filter(|name| self.has(name, Rtype::DNAME)).last()
    }

    /// What hides a record from answers: the name, and whether it is delegated.
    fn occluding<'n>(
        &self,
        item: &Item,
        owner: &'n [u8],
        servers: &HashSet<Box<[u8]>>,
    ) -> Option<(&'n [u8], bool)> {
        let dname = self.dname(owner);
        let cut = self.cut(owner).filter(|cut| match item.rtype {
            Rtype::NS | Rtype::DS if cut.len() == owner.len() => false,
            Rtype::A | Rtype::AAAA => !servers.contains(owner),
            _ => true,
        });
        match (dname, cut) {
            (Some(dname), Some(cut)) if cut.len() < dname.len() => Some((cut, true)),
            (Some(dname), _) => Some((dname, false)),
            (None, cut) => Some((cut?, true)),
        }
    }

    /// What is wrong with the host that a record names.
    fn target(&self, item: &Item, owner: &[u8]) -> Option<Doubt> {
        let target = match item.rtype {
            Rtype::NS => item.rdata.get(..),
            Rtype::MX => item.rdata.get(2..),
            Rtype::SRV => item.rdata.get(6..),
            _ => None,
        }?;
        let lower_target = lower(target);
        if !is_below(&lower_target, &self.apex) || self.dname(&lower_target).is_some() {
            return None;
        }
        let rtype = item.rtype;
        if let Some(cut) = self.cut(&lower_target) {
            // Of other hosts there the delegated zone knows.
            let is_missing = rtype == Rtype::NS && !self.has_address(&lower_target);
            let cut =
                if owner.len() > self.apex.len() && is_below(&lower_target, owner) { owner } else { cut };
            return is_missing
                .then(|| Doubt::MissingGlue { cut: owned_name(cut), server: owned_name(target) });
        }
        if self.has(&lower_target, Rtype::CNAME) {
            return Some(Doubt::Alias { rtype, target: owned_name(target) });
        }
        let has_address = self.has_address(&lower_target) || self.is_covered(&lower_target);
        (!has_address).then(|| Doubt::NoAddress { rtype, target: owned_name(target) })
    }

    /// Whether a wildcard gives a name that is not there an address. The nearest name above that exists would be the one to
    /// ask (RFC 4592 section 3.3.1); here any will do, so that nothing good is warned of.
    fn is_covered(&self, name: &[u8]) -> bool {
        if !self.has_wildcards || self.owners.find(name).is_some() {
            return false;
        }
        let wildcard = |name: &[u8]| [b"\x01*", parent(name)].concat();
        self.up_from(name).any(|name| self.has_address(&wildcard(name)))
    }
}
