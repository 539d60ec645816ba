//! A pool as answers see it: its members' records, encoded once, with the leases that they hang on.
//!
//! ```text
//!  members that changed --> build: which parts to make anew --> part: their records, encoded
//!                                      |                                      |
//!  the view before this one -----------'--> parts that stay ------------------'--> assemble: SRV fields, rankings --> PoolView
//! ```

mod assemble;
mod build;
mod fields;
mod good;
mod list;
mod members;
mod part;
mod rank;
mod record_list;
mod records;
mod repeats;
#[cfg(test)]
mod tests;

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::PoolSettings;
use crate::membership::{ELSEWHERE, LeaseTable, Load};
use crate::policy::Warmth;
use crate::wire::Rtype;

pub(super) use build::ViewBuilder;
use fields::Fields;
pub(super) use good::Remembered;
use members::Members;
pub use members::{DrainView, MemberRef, MemberView};
pub(super) use rank::PoolRotors;
pub use record_list::RecordList;
pub use records::{Hold, Records};
pub(super) use repeats::Counts;

/// How often a view is scanned for renewals, at most, milliseconds. In between its bound may be early, never late.
const SCAN_EVERY_MS: u64 = 100;

/// What a member's shares hang on that moves while what it registered stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// How busy it is.
    pub load: Load,
    /// Whether it is a newcomer.
    pub warmth: Warmth,
}

/// A name below a pool, resolved.
pub enum Below<'v> {
    /// A member's own name.
    Member(MemberRef<'v>),
    /// `all`: every member in service.
    All,
    /// A service that the pool knows, and whether of `all`.
    Service(&'v [u8], bool),
    /// `_status`: what the pool makes of its members, for people who look into it; below the name of a service, which is
    /// given, of its SRV records.
    Status(Option<&'v [u8]>),
    /// A name that others lie below.
    Empty,
    /// Nothing.
    Missing,
}

/// How an answer must treat a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Everything in it lives for at least the pool's TTL: copy.
    Whole,
    /// Everything in it lives, until this moment at least, monotonic milliseconds: copy, with what that leaves as TTL.
    Until(u64),
    /// Something in it may have ended: look at each record.
    Ended,
    /// What is in it has ended, and is answered all the same, to be asked for again in a second.
    Frozen,
}

/// A service's record, for people who look into a pool.
pub struct Offered<'v> {
    /// Whose it is.
    pub member: MemberRef<'v>,
    /// On what it hangs.
    pub hold: Hold,
    /// What its member weighs by it.
    pub weight: u32,
    /// Its octets.
    pub record: &'v [u8],
}

/// A pool, published.
pub struct PoolView {
    /// As configured.
    pub settings: Arc<PoolSettings>,
    /// Labels in the pool's name, the root included: what is left of them resolves in here.
    pub labels: usize,
    /// No record of the view ends before this, monotonic milliseconds. Renewals only extend, so a stale value is early,
    /// never late.
    first_end_ms: AtomicU64,
    /// When the bound may be looked for again, monotonic milliseconds.
    scan_at_ms: AtomicU64,
    members: Members,
    /// How each member stands in the services' records, and since when, monotonic milliseconds; nobody, where the policy does not
    /// ask.
    shown: Arc<[Standing]>,
    shown_since_ms: u64,
    /// What the policy wrote into each service's records, if there are several parts.
    written: Box<[Fields]>,
    /// Who was good last, while nobody is, and until when it is answered, monotonic milliseconds.
    last_good: Option<Box<(Arc<PoolView>, u64)>>,
    /// Whether it is itself that of another view.
    is_frozen: bool,
    /// The pool's A records.
    pub v4: RecordList,
    /// The pool's AAAA records.
    pub v6: RecordList,
    /// By service name, sorted. A service that nobody offers now has an empty list.
    services: Box<[(Box<[u8]>, RecordList)]>,
    /// The pool's SVCB and HTTPS records, as far as members have any: a list a type.
    bindings: Box<[RecordList]>,
}

impl PoolView {
    /// Judges the view at `now_ms`: one load when nothing ends within the pool's TTL.
    ///
    /// When the bound says otherwise it may be stale. Then the members are scanned and the bound moved, at most
    /// every `SCAN_EVERY_MS`, however many ask: a pool whose members keep renewing is scanned once in (lease - TTL), and one
    /// with a member that does not costs no more than ten scans a second.
    pub fn freshness(&self, leases: &LeaseTable, now_ms: u64) -> Freshness {
        if self.is_frozen {
            return Freshness::Frozen;
        }
        // A lease that is over and held has always less left than this.
        let enough_ms = now_ms.saturating_add(u64::from(self.settings.ttl_s.max(2)) * 1000);
        let mut first_end_ms = self.first_end_ms.load(Ordering::Relaxed);
        if first_end_ms < enough_ms && self.scan_at_ms.load(Ordering::Relaxed) <= now_ms {
            self.scan_at_ms.store(now_ms + SCAN_EVERY_MS, Ordering::Relaxed);
            let ends = self.lists().flat_map(RecordList::holds).map(|hold| hold.ends_ms(leases));
            first_end_ms = ends.min().unwrap_or(u64::MAX);
            self.first_end_ms.store(first_end_ms, Ordering::Relaxed);
        }
        match first_end_ms {
            _ if first_end_ms >= enough_ms => Freshness::Whole,
            _ if first_end_ms > now_ms => Freshness::Until(first_end_ms),
            _ => Freshness::Ended,
        }
    }

    /// Reads a word of each of its parts that answers begin with, so that they are at hand.
    pub fn fetch(&self) {
        black_box((self.labels, self.shown_since_ms, self.settings.ttl_s));
        black_box(self.first_end_ms.load(Ordering::Relaxed));
        black_box((self.v4.ranking.is_empty(), self.v6.ranking.is_empty()));
        black_box(self.services.first().and_then(|(name, _)| name.first().copied()));
    }

    /// Resolves the labels left of the pool's name, in lower-case wire form without a root label.
    pub fn below<'v>(&'v self, labels: &'v [u8]) -> Below<'v> {
        const ALL: &[u8] = b"\x03all";
        if labels == ALL {
            return Below::All;
        }
        let (service, of_all) = match labels.strip_suffix(ALL) {
            Some(rest) if ends_on_label(labels, rest.len()) => (rest, true),
            _ => (labels, false),
        };
        if service.get(1) == Some(&b'_') {
            if self.service(service).is_some() {
                return Below::Service(service, of_all);
            }
            match labels.strip_prefix(b"\x07_status") {
                Some([]) => return Below::Status(None),
                Some(of) if self.service(of).is_some() => return Below::Status(Some(of)),
                _ => {}
            }
            let is_between = |name: &[u8]| {
                name.len() > service.len()
                    && name.ends_with(service)
                    && ends_on_label(name, name.len() - service.len())
            };
            let between = self.services.iter().any(|(name, _)| is_between(name));
            return if between { Below::Empty } else { Below::Missing };
        }
        // A member's name is one label. One that is known by a target elsewhere has no name here.
        let Some((&len, label)) = labels.split_first() else { return Below::Missing };
        if usize::from(len) != label.len() || label.first() == Some(&ELSEWHERE) {
            return Below::Missing;
        }
        self.members.find(label).map_or(Below::Missing, Below::Member)
    }

    /// A member's A and AAAA records, and their places in what holds them.
    pub fn own_records<'v>(
        &'v self,
        member: MemberRef<'v>,
    ) -> impl Iterator<Item = (&'v Records, Range<usize>)> {
        member.own_records([&self.v4, &self.v6]).into_iter().flatten()
    }

    /// Who was good last, if nobody is now and it is not too long ago.
    pub fn last_good(&self, now_ms: u64) -> Option<&PoolView> {
        let (view, until_ms) = &**self.last_good.as_ref()?;
        (now_ms < *until_ms).then_some(&**view)
    }

    /// Until when they are answered, monotonic milliseconds.
    pub fn last_good_until_ms(&self) -> Option<u64> {
        self.last_good.as_ref().map(|good| good.1)
    }

    /// Whether any member is fit to serve that has records in a list: its lease runs, it does not drain, and it weighs something.
    pub fn is_anyone_fit(&self, list: &RecordList, leases: &LeaseTable, now_ms: u64) -> bool {
        if list.ranking.is_empty() {
            return false;
        }
        if self.freshness(leases, now_ms) != Freshness::Ended {
            return true;
        }
        let is_live = |place: usize| list.hold(place).is_some_and(|hold| hold.ends_ms(leases) > now_ms);
        (0..list.members())
            .any(|member| list.ranking.takes_part(member) && list.of_member(member).any(is_live))
    }

    /// Whether leases of its members are held that are over, and `ends_ms` is the end of one.
    pub fn is_held(&self, ends_ms: u64, leases: &LeaseTable, now_ms: u64) -> bool {
        let crowd = self.members.get(0).map(|member| leases.crowd(member.lease));
        let held_ms = crowd.map_or(0, |crowd| leases.held_until_ms(crowd));
        held_ms > now_ms && ends_ms <= held_ms
    }

    /// The SRV records of a service that the pool knows.
    pub fn service(&self, service: &[u8]) -> Option<&RecordList> {
        let at = self.services.binary_search_by(|(name, _)| name.as_ref().cmp(service)).ok()?;
        self.services.get(at).map(|(_, list)| list)
    }

    /// The SRV records of the first of its services: mostly the only one.
    pub fn first_service(&self) -> Option<&RecordList> {
        self.services.first().map(|(_, list)| list)
    }

    /// Every record of a service: those of who serves first, then those of members that drain, as they registered them.
    pub fn offers<'v>(&'v self, service: &'v [u8]) -> impl Iterator<Item = Offered<'v>> {
        let serving = self.service(service).into_iter().flat_map(move |list| {
            list.holds().zip(0..).filter_map(move |(hold, place)| {
                let (weight, record) = (list.weight(place), list.record(place));
                Some(Offered { member: self.members.get(hold.member)?, hold, weight, record })
            })
        });
        let apart = self.members.each_part().flat_map(move |(part, start)| {
            let services = part.apart.iter().flat_map(|apart| apart.services.iter());
            let own = services.filter(move |(name, _)| **name == *service);
            own.flat_map(move |(_, records)| {
                records.holds().zip(0..).filter_map(move |(hold, place)| {
                    let hold = Hold { member: hold.member.saturating_add(start), ..hold };
                    let (weight, record) = (records.weight(place), records.record(place));
                    Some(Offered { member: self.members.get(hold.member)?, hold, weight, record })
                })
            })
        });
        serving.chain(apart)
    }

    /// The services that the pool knows, each with its SRV records.
    pub fn services(&self) -> impl Iterator<Item = (&[u8], &RecordList)> {
        self.services.iter().map(|(service, list)| (service.as_ref(), list))
    }

    /// Everyone in the pool, by name.
    pub fn members(&self) -> impl Iterator<Item = MemberRef<'_>> {
        self.members.iter()
    }

    /// How many they are.
    pub fn members_len(&self) -> usize {
        self.members.len()
    }

    /// The pool's SVCB or HTTPS records, if members have any.
    pub fn bindings(&self, rtype: Rtype) -> Option<&RecordList> {
        self.bindings.iter().find(|list| list.rtype() == Some(rtype))
    }

    /// The lists of the pool's own name.
    pub fn own_lists(&self) -> impl Iterator<Item = &RecordList> {
        [&self.v4, &self.v6].into_iter().chain(self.bindings.iter())
    }

    /// The lists that answers for the pool and its services are made of.
    fn lists(&self) -> impl Iterator<Item = &RecordList> {
        let services = self.services.iter().map(|(_, list)| list);
        [&self.v4, &self.v6].into_iter().chain(services).chain(self.bindings.iter())
    }

    /// The member whose record a hold of a list is.
    pub fn member(&self, hold: Hold) -> Option<MemberRef<'_>> {
        self.members.get(hold.member)
    }
}

/// Whether a label of `name` starts at octet `at`, so that cutting there cuts between labels.
fn ends_on_label(name: &[u8], at: usize) -> bool {
    let mut pos = 0;
    while pos < at {
        let Some(&len) = name.get(pos) else { return false };
        pos += 1 + usize::from(len);
    }
    pos == at
}
