//! What a zone shows, whole: the RRsets that prerequisites are judged on (RFC 2136 section 3.2), not an answer's pick.

use std::ops::ControlFlow;

use sdd::Guard;

use super::listing::{EMPTY_TXT, promised_s};
use super::{Below, FIXED_LEN, Hold, Listing, Node, PoolView, RecordList, Role, Zone};
use crate::membership::LeaseTable;
use crate::wire::{NameKey, Rtype};

/// Takes one record's rdata, and says whether to go on.
pub type See<'s> = &'s mut dyn FnMut(&[u8]) -> ControlFlow<()>;

/// The zone at one moment.
#[derive(Clone, Copy)]
pub struct Contents<'z> {
    zone: &'z Zone,
    leases: &'z LeaseTable,
    now_ms: u64,
}

impl Zone {
    /// The longest suffix of `name` that the index has, and how many labels of `name` are left of it.
    pub fn locate<'g>(&self, name: &NameKey, guard: &'g Guard) -> Option<(&'g Node, usize)> {
        let below_apex = name.labels().checked_sub(self.apex_labels)?;
        (0..=below_apex).find_map(|skip| {
            let (suffix, hash) = name.suffix(skip)?;
            Some((self.index.find(suffix, hash, guard)?, skip))
        })
    }

    /// What it shows at `now_ms`, monotonic milliseconds.
    pub fn contents<'z>(&'z self, leases: &'z LeaseTable, now_ms: u64) -> Contents<'z> {
        Contents { zone: self, leases, now_ms }
    }
}

impl Contents<'_> {
    /// Shows every record of an RRset, of [`Rtype::ANY`] of every RRset of the name, until `see` breaks off; what several
    /// members share comes once for each of them. None comes of an empty non-terminal: it has nothing (RFC 2136 section
    /// 7.7).
    pub fn each(&self, name: &NameKey, rtype: Rtype, see: See<'_>) -> ControlFlow<()> {
        let guard = Guard::new();
        let Some((node, skip)) = self.zone.locate(name, &guard) else { return ControlFlow::Continue(()) };
        let is_apex = name.labels() == self.zone.apex_labels();
        if is_apex && is_wanted(rtype, Rtype::SOA) {
            see(&self.zone.soa().rdata(self.zone.serial()))?;
        }
        let is_of_name = match &node.role {
            Role::Pool(view) => view.labels == name.labels(),
            _ => skip == 0,
        };
        if is_of_name {
            let sets = node.rrsets.iter().filter(|rrset| is_wanted(rtype, rrset.rtype));
            let live = sets.flat_map(|rrset| rrset.encoded()).filter(|(_, ends_ms)| *ends_ms > self.now_ms);
            live.map(|(record, _)| record).try_for_each(|record| see(rdata_of(record)))?;
        }
        // What is made for browsing gives way to ordinary records of an instance, and to an alias (see `query::browse`).
        let has = |held: Rtype| node.rrset(held).is_some_and(|rrset| rrset.is_live(self.now_ms));
        let gives_way = |made: Rtype| skip == 0 && (has(Rtype::CNAME) || (made != Rtype::PTR && has(made)));
        match &node.role {
            Role::Plain => ControlFlow::Continue(()),
            Role::Pool(view) => self.of_pool(view, name, rtype, see),
            Role::Listing(listing) => self.of_listing(listing, name, rtype, &gives_way, see),
            Role::BelowPool(cell) => match cell.load(&guard).map(|node| &node.role) {
                Some(Role::Pool(view)) => self.of_pool(view, name, rtype, see),
                _ => ControlFlow::Continue(()),
            },
            Role::BelowListing(cell) => match cell.load(&guard).map(|node| &node.role) {
                Some(Role::Listing(listing)) => self.of_listing(listing, name, rtype, &gives_way, see),
                _ => ControlFlow::Continue(()),
            },
        }
    }

    /// Whether the RRset has any record.
    pub fn has(&self, name: &NameKey, rtype: Rtype) -> bool {
        self.each(name, rtype, &mut |_| ControlFlow::Break(())).is_break()
    }

    fn of_pool(&self, view: &PoolView, name: &NameKey, rtype: Rtype, see: See<'_>) -> ControlFlow<()> {
        let Some(skip) = name.labels().checked_sub(view.labels) else { return ControlFlow::Continue(()) };
        if skip == 0 {
            return view.own_lists().try_for_each(|list| self.of_list(list, false, rtype, see));
        }
        match view.below(name.prefix(skip)) {
            Below::All => {
                self.of_list(&view.v4, true, rtype, see)?;
                self.of_list(&view.v6, true, rtype, see)
            }
            Below::Service(service, of_all) => match view.service(service) {
                Some(list) => self.of_list(list, of_all, rtype, see),
                None => ControlFlow::Continue(()),
            },
            Below::Member(member) => {
                let own = view.own_records(member).filter(|(list, _)| is_wanted(rtype, list.rtype));
                for (list, mut places) in own {
                    places.try_for_each(|place| self.show(list.hold(place), list.record(place), see))?;
                }
                let is_text = is_wanted(rtype, Rtype::TXT) && !member.txt().is_empty();
                if is_text {
                    self.show(Some(member.hold()), member.txt(), see)?;
                }
                ControlFlow::Continue(())
            }
            // What people look into is not in the zone.
            Below::Status(_) | Below::Empty | Below::Missing => ControlFlow::Continue(()),
        }
    }

    /// What a listing, or an instance in it, has that is made.
    fn of_listing(
        &self,
        listing: &Listing,
        name: &NameKey,
        rtype: Rtype,
        gives_way: &dyn Fn(Rtype) -> bool,
        see: See<'_>,
    ) -> ControlFlow<()> {
        let is_shown = |made: Rtype| is_wanted(rtype, made) && !gives_way(made);
        match name.labels().checked_sub(listing.labels) {
            Some(0) if is_shown(Rtype::PTR) => {
                listing.each(|entry| match listing.promised_s(entry, self.leases, self.now_ms) {
                    Some(_) => see(&[&entry.labels, &*listing.tail].concat()),
                    None => ControlFlow::Continue(()),
                })
            }
            Some(1) => {
                let of_instance = |view: &PoolView, service: &[u8]| {
                    let Some(list) = view.service(service) else { return ControlFlow::Continue(()) };
                    if is_shown(Rtype::SRV) {
                        self.of_list(list, false, Rtype::SRV, see)?;
                    }
                    let is_offered = promised_s(view, service, self.leases, self.now_ms).is_some();
                    if is_shown(Rtype::TXT) && is_offered {
                        see(EMPTY_TXT)?;
                    }
                    ControlFlow::Continue(())
                };
                listing.instance(name.prefix(1), of_instance).unwrap_or(ControlFlow::Continue(()))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    /// A list's records: of the members that take part in answers, or of all.
    fn of_list(&self, list: &RecordList, of_all: bool, rtype: Rtype, see: See<'_>) -> ControlFlow<()> {
        if !list.rtype().is_some_and(|held| is_wanted(rtype, held)) {
            return ControlFlow::Continue(());
        }
        let members = (0..list.members()).filter(|&member| of_all || list.ranking.takes_part(member));
        let mut places = members.flat_map(|member| list.of_member(member));
        places.try_for_each(|place| self.show(list.hold(place), list.record(place), see))
    }

    /// A record, if it lives.
    fn show(&self, hold: Option<Hold>, record: &[u8], see: See<'_>) -> ControlFlow<()> {
        match hold.is_some_and(|hold| hold.ends_ms(self.leases) > self.now_ms) {
            true => see(rdata_of(record)),
            false => ControlFlow::Continue(()),
        }
    }
}

fn is_wanted(asked: Rtype, has: Rtype) -> bool {
    asked == Rtype::ANY || asked == has
}

fn rdata_of(record: &[u8]) -> &[u8] {
    record.get(FIXED_LEN..).unwrap_or_default()
}
