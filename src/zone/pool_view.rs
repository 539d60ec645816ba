//! A pool as answers see it: its members' records, encoded once, with the leases that they hang on.

mod build;
mod fields;
mod good;
mod list;
mod rank;

use std::hint::black_box;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::PoolSettings;
use crate::membership::{Drain, ELSEWHERE, LeaseRef, LeaseTable, Load};
use crate::policy::{Ranking, Warmth};
use crate::wire::Rtype;

pub(super) use build::ViewBuilder;
pub(super) use good::Remembered;
pub(super) use rank::PoolRotors;

/// What a record's life hangs on.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    lease: LeaseRef,
    /// Whose record it is: a place in the view's members.
    pub member: u32,
    /// When the record goes although the lease runs, monotonic milliseconds.
    lapses_ms: u64,
}

impl Hold {
    /// When the record ends; 0 if it already has.
    pub fn ends_ms(&self, leases: &LeaseTable) -> u64 {
        leases.ends_ms(self.lease).unwrap_or(0).min(self.lapses_ms)
    }

    /// Whether its lease is over and held, so that the record lives all the same.
    pub fn is_held(&self, leases: &LeaseTable, now_ms: u64) -> bool {
        leases.deadline_ms(self.lease).is_some_and(|ends_ms| ends_ms <= now_ms)
            && self.ends_ms(leases) > now_ms
    }
}

/// How often a view is scanned for renewals, at most, milliseconds. In between its bound may be early, never late.
const SCAN_EVERY_MS: u64 = 100;

/// The pool's records of one type at one name, and who of their members is picked.
pub struct RecordList {
    /// Shared by the views that differ in nothing but who is picked.
    records: Arc<Records>,
    /// Which members an answer shows: its places are theirs in this list.
    pub ranking: Ranking,
}

impl Deref for RecordList {
    type Target = Records;

    fn deref(&self) -> &Records {
        &self.records
    }
}

/// Records of one type at one name, in a stable order: by member, then as the member sorts them.
#[derive(Clone)]
pub struct Records {
    /// Type of all of them.
    pub rtype: Rtype,
    octets: Box<[u8]>,
    /// Where each record ends in `octets`; empty when all have the length `each`.
    ends: Box<[u32]>,
    each: u32,
    /// One a record.
    pub holds: Box<[Hold]>,
    /// For each record, the place of the first that is the same; empty if none is like another. Members may share one, and an
    /// RRset has it once (RFC 2181 section 5).
    firsts: Box<[u32]>,
    /// How many records differ from all others.
    pub distinct: usize,
    /// Where each member's records end among all; empty when each member has one.
    groups: Box<[u32]>,
    /// What its member weighs by each record; the first of a member's says what it weighs among the others.
    weights: Box<[u32]>,
    /// What stands beside them in Additional, if that is plain.
    along: Option<Along>,
}

/// The addresses of the members that a list's records name, as encoded for Additional, so that an answer need look at no
/// member. Only where every member has some, and all have the pool's TTL.
#[derive(Clone)]
struct Along {
    octets: Arc<[u8]>,
    /// Where those of each record's member end; empty when all have the length `each`. The first of a member's records has
    /// them, the others none.
    ends: Arc<[u32]>,
    each: u32,
}

impl Records {
    /// The octets of the record at a place.
    pub fn record(&self, place: usize) -> &[u8] {
        self.octets.get(self.start(place)..self.start(place + 1)).unwrap_or_default()
    }

    /// The octets of the records at several places.
    pub fn records(&self, places: Range<usize>) -> &[u8] {
        self.octets.get(self.start(places.start)..self.start(places.end)).unwrap_or_default()
    }

    fn start(&self, place: usize) -> usize {
        match place.checked_sub(1) {
            None => 0,
            Some(_) if self.ends.is_empty() => place.saturating_mul(self.each as usize),
            Some(before) => self.ends.get(before).map_or(self.octets.len(), |&end| end as usize),
        }
    }

    /// The records of the member at a place of the ranking; of the one past the last, an empty range at the end.
    pub fn of_member(&self, place: usize) -> Range<usize> {
        if self.groups.is_empty() {
            return place.min(self.len())..(place + 1).min(self.len());
        }
        let end = |place: usize| self.groups.get(place).map_or(self.len(), |&end| end as usize);
        place.checked_sub(1).map_or(0, end)..end(place)
    }

    /// What the member of the record at a place weighs by it; 0 takes no part.
    pub fn weight(&self, place: usize) -> u32 {
        self.weights.get(place).copied().unwrap_or(0)
    }

    /// The encoded addresses of the member of the record at a place, if the list has them at hand: empty for all but the first
    /// of a member's records.
    pub fn along(&self, place: usize) -> Option<&[u8]> {
        let Along { octets, ends, each } = self.along.as_ref()?;
        if ends.is_empty() {
            let start = place.checked_mul(*each as usize)?;
            return octets.get(start..start + *each as usize);
        }
        let start = place.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied())?;
        octets.get(start as usize..*ends.get(place)? as usize)
    }

    /// The octets of all records.
    pub fn encoded(&self) -> &[u8] {
        &self.octets
    }

    /// The octets of all addresses that are at hand.
    pub fn encoded_along(&self) -> &[u8] {
        self.along.as_ref().map_or(&[], |along| &along.octets)
    }

    /// How many members have records in it.
    pub fn members(&self) -> usize {
        if self.groups.is_empty() { self.len() } else { self.groups.len() }
    }

    /// Octets of all records.
    pub fn octets_len(&self) -> usize {
        self.octets.len()
    }

    /// Whether two members have the same record, so that the list must not be copied whole.
    pub fn has_repeats(&self) -> bool {
        !self.firsts.is_empty()
    }

    /// The place of the first record that is the same as the one at a place.
    pub fn first_like(&self, place: usize) -> u32 {
        self.firsts.get(place).copied().unwrap_or(place as u32)
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.holds.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty()
    }
}

/// A member's own names.
pub struct MemberView {
    /// Its name; of one that lives elsewhere, [`ELSEWHERE`] and its target.
    pub label: Box<[u8]>,
    /// Its weight among the pool's addresses; 0 takes it out of answers.
    pub weight: u32,
    /// Its priority: larger is better.
    pub priority: u32,
    /// How much busier each pick makes it.
    pub degradation: Load,
    /// The most that an answer for its own name may say, seconds.
    pub ttl_s: u32,
    /// Its own life, which ends with its last address.
    pub hold: Hold,
    /// Why it gets no more clients, if it drains. Then its addresses are apart from the pool's.
    pub drain: Option<DrainView>,
    /// Its places in the pool's A and AAAA lists, or among the addresses apart.
    pub v4: Range<u32>,
    /// As `v4`.
    pub v6: Range<u32>,
    /// Its attributes as one TXT record, encoded; empty if it has none.
    pub txt: Box<[u8]>,
}

/// A drain as people are told of it.
#[derive(Debug, Clone)]
pub enum DrainView {
    /// The member's own word; it leaves at this moment, monotonic milliseconds.
    Own(u64),
    /// An operator's.
    Operators(Arc<Drain>),
}

impl MemberView {
    /// Whether answers for its pool may have it at all.
    pub fn is_in_service(&self) -> bool {
        self.drain.is_none()
    }

    /// Whether they are to have it while its lease runs.
    pub fn is_fit(&self) -> bool {
        self.is_in_service() && self.weight > 0
    }
}

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
    Member(&'v MemberView),
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

/// SRV records by service name, sorted.
type ServiceRecords = Arc<[(Box<[u8]>, Arc<Records>)]>;

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
    members: Arc<[MemberView]>,
    /// How each member stands in the services' records, and since when, monotonic milliseconds.
    shown: Arc<[Standing]>,
    shown_since_ms: u64,
    /// The A and AAAA records of members that drain: in answers for their own names alone.
    apart: [Arc<Records>; 2],
    /// Their SRV records by service, as they registered them, for who looks into the pool; sorted, and none of services that
    /// nobody offers who drains.
    services_apart: ServiceRecords,
    /// Who was good last, while nobody is, and until when it is answered, monotonic milliseconds.
    last_good: Option<(Arc<PoolView>, u64)>,
    /// Whether it is itself that of another view.
    is_frozen: bool,
    /// The pool's A records.
    pub v4: RecordList,
    /// The pool's AAAA records.
    pub v6: RecordList,
    /// By service name, sorted. A service that nobody offers now has an empty list.
    services: Box<[(Box<[u8]>, RecordList)]>,
    /// The pool's SVCB and HTTPS records, as far as members have any: a list a type.
    bindings: Arc<[RecordList]>,
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
            let ends = self.lists().flat_map(|list| list.holds.iter()).map(|hold| hold.ends_ms(leases));
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
        let at = self.members.binary_search_by(|member| member.label.as_ref().cmp(label));
        at.ok().and_then(|at| self.members.get(at)).map_or(Below::Missing, Below::Member)
    }

    /// The records that a member's places are in.
    pub fn own_records<'v>(&'v self, member: &'v MemberView) -> [(&'v Records, &'v Range<u32>); 2] {
        let [v4, v6]: [&Records; 2] = match &member.drain {
            None => [&self.v4, &self.v6],
            Some(_) => self.apart.each_ref().map(AsRef::as_ref),
        };
        [(v4, &member.v4), (v6, &member.v6)]
    }

    /// Who was good last, if nobody is now and it is not too long ago.
    pub fn last_good(&self, now_ms: u64) -> Option<&PoolView> {
        self.last_good.as_ref().filter(|(_, until_ms)| now_ms < *until_ms).map(|(view, _)| &**view)
    }

    /// Until when they are answered, monotonic milliseconds.
    pub fn last_good_until_ms(&self) -> Option<u64> {
        self.last_good.as_ref().map(|(_, until_ms)| *until_ms)
    }

    /// Whether any member is fit to serve that has records in a list: its lease runs, it does not drain, and it weighs something.
    pub fn is_anyone_fit(&self, list: &RecordList, leases: &LeaseTable, now_ms: u64) -> bool {
        if list.ranking.is_empty() {
            return false;
        }
        if self.freshness(leases, now_ms) != Freshness::Ended {
            return true;
        }
        let is_live = |place: usize| list.holds.get(place).is_some_and(|hold| hold.ends_ms(leases) > now_ms);
        (0..list.members())
            .any(|member| list.ranking.takes_part(member) && list.of_member(member).any(is_live))
    }

    /// Whether leases of its members are held that are over, and `ends_ms` is the end of one.
    pub fn is_held(&self, ends_ms: u64, leases: &LeaseTable, now_ms: u64) -> bool {
        let crowd = self.members.first().map(|member| leases.crowd(member.hold.lease));
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

    /// The SRV records of a service that members registered who drain, if any did.
    pub fn service_apart(&self, service: &[u8]) -> Option<&Records> {
        let at = self.services_apart.binary_search_by(|(name, _)| name.as_ref().cmp(service)).ok()?;
        self.services_apart.get(at).map(|(_, records)| &**records)
    }

    /// The services that the pool knows, each with its SRV records.
    pub fn services(&self) -> impl Iterator<Item = (&[u8], &RecordList)> {
        self.services.iter().map(|(service, list)| (service.as_ref(), list))
    }

    /// Everyone in the pool, by name.
    pub fn members(&self) -> &[MemberView] {
        &self.members
    }

    /// The pool's SVCB or HTTPS records, if members have any.
    pub fn bindings(&self, rtype: Rtype) -> Option<&RecordList> {
        self.bindings.iter().find(|list| list.rtype == rtype)
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

    /// The member whose record a hold is.
    pub fn member(&self, hold: &Hold) -> Option<&MemberView> {
        self.members.get(hold.member as usize)
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
