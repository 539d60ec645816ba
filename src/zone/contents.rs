//! What a zone shows, whole: the RRsets that prerequisites are judged on (RFC 2136 section 3.2), not an answer's pick.

use std::sync::Arc;

use arc_swap::Guard;

use super::{Below, FIXED_LEN, Node, PoolView, RecordList, Role, Zone};
use crate::membership::LeaseTable;
use crate::wire::{NameKey, Rtype};

/// The zone at one moment.
#[derive(Clone, Copy)]
pub struct Contents<'z> {
    zone: &'z Zone,
    leases: &'z LeaseTable,
    now_ms: u64,
}

impl Zone {
    /// The longest suffix of `name` that the index has, and how many labels of `name` are left of it.
    pub fn locate(&self, name: &NameKey) -> Option<(Guard<Arc<Node>>, usize)> {
        let below_apex = name.labels().checked_sub(self.apex_labels)?;
        (0..=below_apex).find_map(|skip| {
            let (suffix, hash) = name.suffix(skip)?;
            Some((self.index.find(suffix, hash)?, skip))
        })
    }

    /// What it shows at `now_ms`, monotonic milliseconds.
    pub fn contents<'z>(&'z self, leases: &'z LeaseTable, now_ms: u64) -> Contents<'z> {
        Contents { zone: self, leases, now_ms }
    }
}

impl Contents<'_> {
    /// The rdata of every record of an RRset, each once; of [`Rtype::ANY`], of every RRset of the name. Empty if there is
    /// none: an empty non-terminal has nothing (RFC 2136 section 7.7).
    pub fn rdata(&self, name: &NameKey, rtype: Rtype) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        let Some((node, skip)) = self.zone.locate(name) else { return found };
        let is_apex = name.labels() == self.zone.apex_labels();
        if is_apex && matches!(rtype, Rtype::SOA | Rtype::ANY) {
            found.push(self.zone.soa().rdata(self.zone.serial()));
        }
        let is_of_name = match &node.role {
            Role::Pool(view) => view.labels == name.labels(),
            _ => skip == 0,
        };
        if is_of_name {
            let sets = node.rrsets.iter().filter(|rrset| rtype == Rtype::ANY || rrset.rtype == rtype);
            for (record, ends_ms) in sets.flat_map(|rrset| rrset.encoded()) {
                if ends_ms > self.now_ms {
                    found.push(record.get(FIXED_LEN..).unwrap_or_default().to_vec());
                }
            }
        }
        match &node.role {
            Role::Plain => {}
            Role::Pool(view) => self.of_pool(view, name, rtype, &mut found),
            Role::BelowPool(cell) => {
                if let Role::Pool(view) = &cell.load().role {
                    self.of_pool(view, name, rtype, &mut found);
                }
            }
        }
        found
    }

    fn of_pool(&self, view: &PoolView, name: &NameKey, rtype: Rtype, found: &mut Vec<Vec<u8>>) {
        let Some(skip) = name.labels().checked_sub(view.labels) else { return };
        let addresses = |of_all: bool, found: &mut Vec<Vec<u8>>| {
            for list in [&view.v4, &view.v6] {
                self.of_list(list, of_all, rtype, found);
            }
        };
        if skip == 0 {
            return view.own_lists().for_each(|list| self.of_list(list, false, rtype, found));
        }
        match view.below(name.prefix(skip)) {
            Below::All => addresses(true, found),
            Below::Service(list, of_all) => self.of_list(list, of_all, rtype, found),
            Below::Member(member) => {
                for (list, places) in [(&view.v4, &member.v4), (&view.v6, &member.v6)] {
                    let places = places.start as usize..places.end as usize;
                    places.for_each(|place| self.of_place(list, place, rtype, found));
                }
                let is_text = matches!(rtype, Rtype::TXT | Rtype::ANY) && !member.txt.is_empty();
                if is_text && member.hold.ends_ms(self.leases) > self.now_ms {
                    found.push(member.txt.get(FIXED_LEN..).unwrap_or_default().to_vec());
                }
            }
            Below::Empty | Below::Missing => {}
        }
    }

    /// A list's records: of the members that take part in answers, or of all.
    fn of_list(&self, list: &RecordList, of_all: bool, rtype: Rtype, found: &mut Vec<Vec<u8>>) {
        let members = (0..list.members()).filter(|&member| of_all || list.ranking.takes_part(member));
        members.flat_map(|member| list.of_member(member)).for_each(|place| {
            self.of_place(list, place, rtype, found);
        });
    }

    fn of_place(&self, list: &RecordList, place: usize, rtype: Rtype, found: &mut Vec<Vec<u8>>) {
        let is_live = list.holds.get(place).is_some_and(|hold| hold.ends_ms(self.leases) > self.now_ms);
        let rdata = list.record(place).get(FIXED_LEN..).unwrap_or_default();
        let is_wanted = rtype == list.rtype || rtype == Rtype::ANY;
        if is_wanted && is_live && !(list.has_repeats && found.iter().any(|other| other == rdata)) {
            found.push(rdata.to_vec());
        }
    }
}
