//! Browsing (RFC 6763): what a zone offers, listed from what members register.
//!
//! ```text
//!  _services._dns-sd._udp.ZONE PTR --> _http._tcp.ZONE       Listing of service types (section 9)
//!  _http._tcp.ZONE             PTR --> web._http._tcp.ZONE   Listing of pools (section 4.1)
//!  web._http._tcp.ZONE     SRV, TXT    the pool's own view, found through the entry `web`
//! ```
//!
//! A zone can have 100,000 pools of one service, and one of them comes or goes at a time. So a listing is sorted and cut
//! into leaves of at most [`LEAF_MAX`] entries, each swapped for itself; only a leaf that is split or emptied has the list
//! of leaves made anew. Instances are no names of the index: they resolve in their listing, as members in their pool.
//!
//! What is listed is what the publisher last knew. Whether it still holds, and for how long, each answer asks the pools'
//! views about the few entries that fit it: a lease that has run out is not listed, swept or not.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use sdd::Guard;

use super::{Cell, Freshness, PoolView, Role};
use crate::membership::LeaseTable;
use crate::wire::NameKey;

/// Entries of a leaf, at most: copied when one comes or goes.
const LEAF_MAX: usize = 64;

/// Pools of a service type that are asked whether there is still one; the first that is asked most often says so. Where this
/// many have ended and are not swept yet, nobody knows about the others, and the type is listed for no time at all (TTL 0).
const ASKED_MAX: usize = 256;

/// The TXT rdata of an instance that says nothing of itself: one empty string (RFC 6763 section 6.1).
pub const EMPTY_TXT: &[u8] = &[0];

/// Octets of a label, at most (RFC 1035 section 2.3.4).
const LABEL_MAX: usize = 63;

/// One PTR set.
pub struct Listing {
    /// Labels of its own name, the root included.
    pub labels: usize,
    /// What follows an entry's labels in the name that its record points to, lower-case wire form.
    pub tail: Arc<[u8]>,
    /// Where the tail begins in the listing's own name.
    pub tail_at: usize,
    /// The service that its pools offer; `None` for the listing of service types.
    service: Option<Box<[u8]>>,
    leaves: Box<[Arc<Leaf>]>,
    totals: Arc<Totals>,
}

struct Leaf {
    /// Its first entry's labels, when it was made.
    first: Arc<[u8]>,
    entries: ArcSwap<Vec<Entry>>,
}

/// Of what is offered.
#[derive(Default)]
struct Totals {
    entries: AtomicUsize,
    octets: AtomicUsize,
}

/// A pool or a service type in a listing.
#[derive(Clone)]
pub struct Entry {
    /// What stands before the tail: a pool's label, or a type's two. Wire form without a root label.
    pub labels: Arc<[u8]>,
    /// Where the pool's view is, or the type's own listing.
    cell: Arc<Cell>,
    is_offered: bool,
}

impl Entry {
    /// Whether somebody offers it, as far as was known when it was last published.
    pub fn is_offered(&self) -> bool {
        self.is_offered
    }
}

impl Listing {
    /// The empty listing of a service's pools, or of all service types.
    pub(super) fn new(name: &[u8], labels: usize, tail: &Arc<[u8]>, service: Option<&[u8]>) -> Self {
        Listing {
            labels,
            tail: Arc::clone(tail),
            tail_at: name.len().saturating_sub(tail.len()),
            service: service.map(Into::into),
            leaves: Box::new([]),
            totals: Arc::default(),
        }
    }

    /// The entry with these labels, offered or not.
    pub fn find<T>(&self, labels: &[u8], use_it: impl FnOnce(&Entry) -> T) -> Option<T> {
        let entries = self.leaf(labels)?.1.entries.load();
        entries.get(find(&entries, labels).ok()?).map(use_it)
    }

    /// Whether there is an entry with these labels, offered or not.
    pub fn has(&self, labels: &[u8]) -> bool {
        self.find(labels, |_| ()).is_some()
    }

    /// Shows what is offered, in the labels' order, until `see` breaks off.
    pub fn each(&self, mut see: impl FnMut(&Entry) -> ControlFlow<()>) -> ControlFlow<()> {
        self.leaves.iter().try_for_each(|leaf| {
            leaf.entries.load().iter().filter(|entry| entry.is_offered).try_for_each(&mut see)
        })
    }

    /// How many are offered.
    pub fn offered(&self) -> usize {
        self.totals.entries.load(Ordering::Relaxed)
    }

    /// Octets of the labels of all that are offered.
    pub fn offered_octets(&self) -> usize {
        self.totals.octets.load(Ordering::Relaxed)
    }

    /// Seconds for which it is certain that the entry is offered, at most its pool's TTL; `None` if nobody offers it.
    ///
    /// As long as the pool's SRV records have: their bound is at hand, and a promise may be shorter than it could be. Where
    /// one of them has ended, as long as the first that has not.
    pub fn promised_s(&self, entry: &Entry, leases: &LeaseTable, now_ms: u64) -> Option<u32> {
        let guard = Guard::new();
        match (entry.cell.load(&guard).map(|node| &node.role), &self.service) {
            (Some(Role::Pool(view)), Some(service)) => promised_s(view, service, leases, now_ms),
            (Some(Role::Listing(pools)), None) => pools.any_promised_s(leases, now_ms),
            _ => None,
        }
    }

    /// Seconds for which it is certain that one of the entries is offered; `None` if none is.
    fn any_promised_s(&self, leases: &LeaseTable, now_ms: u64) -> Option<u32> {
        let (mut longest_s, mut asked) = (None, 0);
        let is_cut_short = self.each(|entry| {
            longest_s = longest_s.max(self.promised_s(entry, leases, now_ms));
            asked += 1;
            match longest_s.is_some_and(|longest_s| longest_s > 0) || asked == ASKED_MAX {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        longest_s.or(is_cut_short.is_break().then_some(0))
    }

    /// Lets a reader see the pool of an instance, and the service that it offers by that name.
    pub fn instance<T>(&self, labels: &[u8], see: impl FnOnce(&PoolView, &[u8]) -> T) -> Option<T> {
        let service = self.service.as_deref()?;
        let guard = Guard::new();
        self.find(labels, |entry| match entry.cell.load(&guard).map(|node| &node.role) {
            Some(Role::Pool(view)) => Some(see(view, service)),
            _ => None,
        })?
    }

    /// Whether a name lies below an instance, or is one.
    pub fn has_above(&self, name: &NameKey) -> bool {
        let Some(skip) = name.labels().checked_sub(self.labels + 1) else { return false };
        let label = name.prefix(skip + 1).get(name.prefix(skip).len()..).unwrap_or_default();
        self.instance(label, |_, _| ()).is_some()
    }

    /// The leaf in which these labels are, if they are listed.
    fn leaf(&self, labels: &[u8]) -> Option<(usize, &Arc<Leaf>)> {
        let after = self.leaves.partition_point(|leaf| text(&leaf.first) <= text(labels));
        let at = after.saturating_sub(1);
        Some((at, self.leaves.get(at)?))
    }

    /// Adds an entry, or says whether a known one is offered. What takes the listing's place then, if anything must. Labels
    /// that another cell has are left to it.
    #[must_use]
    pub(super) fn set(&self, labels: &[u8], cell: &Arc<Cell>, is_offered: bool) -> Option<Listing> {
        let entry = || Entry { labels: labels.into(), cell: Arc::clone(cell), is_offered };
        let Some((at, leaf)) = self.leaf(labels) else {
            self.count(labels, false, is_offered);
            return Some(self.with_leaves(vec![Leaf::new(vec![entry()])]));
        };
        let before = leaf.entries.load();
        let mut entries: Vec<Entry> = match find(&before, labels) {
            Ok(place) => {
                let known = before.get(place)?;
                if known.is_offered == is_offered || !Arc::ptr_eq(&known.cell, cell) {
                    return None;
                }
                self.count(labels, known.is_offered, is_offered);
                let mut entries = before.to_vec();
                entries.get_mut(place)?.is_offered = is_offered;
                entries
            }
            Err(place) => {
                self.count(labels, false, is_offered);
                let mut entries = Vec::with_capacity(before.len() + 1);
                entries.extend_from_slice(&before);
                entries.insert(place.min(entries.len()), entry());
                entries
            }
        };
        if entries.len() <= LEAF_MAX {
            leaf.entries.store(Arc::new(entries));
            return None;
        }
        let right = Leaf::new(entries.split_off(LEAF_MAX / 2));
        let mut leaves = self.leaves.to_vec();
        leaves.splice(at..=at, [Leaf::new(entries), right]);
        Some(self.with_leaves(leaves))
    }

    /// Takes an entry out, if it is this cell's. What takes the listing's place then, if anything must.
    #[must_use]
    pub(super) fn remove(&self, labels: &[u8], cell: &Arc<Cell>) -> Option<Listing> {
        let (at, leaf) = self.leaf(labels)?;
        let mut entries = leaf.entries.load().to_vec();
        let place = find(&entries, labels).ok()?;
        let known = entries.get(place).filter(|known| Arc::ptr_eq(&known.cell, cell))?;
        self.count(labels, known.is_offered, false);
        entries.remove(place);
        if !entries.is_empty() {
            leaf.entries.store(Arc::new(entries));
            return None;
        }
        let mut leaves = self.leaves.to_vec();
        leaves.remove(at);
        Some(self.with_leaves(leaves))
    }

    /// Whether it has no entry at all.
    pub(super) fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    fn with_leaves(&self, leaves: Vec<Arc<Leaf>>) -> Listing {
        Listing {
            labels: self.labels,
            tail: Arc::clone(&self.tail),
            tail_at: self.tail_at,
            service: self.service.clone(),
            leaves: leaves.into(),
            totals: Arc::clone(&self.totals),
        }
    }

    /// Only the publisher counts.
    fn count(&self, labels: &[u8], before: bool, after: bool) {
        let Totals { entries, octets } = &*self.totals;
        match (before, after) {
            (false, true) => {
                entries.fetch_add(1, Ordering::Relaxed);
                octets.fetch_add(labels.len(), Ordering::Relaxed);
            }
            (true, false) => {
                entries.fetch_sub(1, Ordering::Relaxed);
                octets.fetch_sub(labels.len(), Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

impl Leaf {
    fn new(entries: Vec<Entry>) -> Arc<Leaf> {
        let first = entries.first().map_or_else(|| Arc::from([]), |entry| Arc::clone(&entry.labels));
        Arc::new(Leaf { first, entries: ArcSwap::from_pointee(entries) })
    }
}

fn find(entries: &[Entry], labels: &[u8]) -> Result<usize, usize> {
    entries.binary_search_by(|entry| text(&entry.labels).cmp(text(labels)))
}

/// What entries are sorted by: as names are (RFC 4034 section 6.1), and not the short ones first.
fn text(labels: &[u8]) -> &[u8] {
    labels.get(1..).unwrap_or_default()
}

/// Seconds for which it is certain that a member of the pool offers a service, as [`Listing::promised_s`].
pub fn promised_s(view: &PoolView, service: &[u8], leases: &LeaseTable, now_ms: u64) -> Option<u32> {
    let list = view.service(service).filter(|list| !list.ranking.is_empty())?;
    let most_s = view.settings.ttl_s;
    let left_s = |ends_ms: u64| {
        u32::try_from(ends_ms.saturating_sub(now_ms) / 1000).map_or(most_s, |left_s| left_s.min(most_s))
    };
    match view.freshness(leases, now_ms) {
        Freshness::Whole => Some(most_s),
        // Nobody is listed that is lost.
        Freshness::Frozen => None,
        Freshness::Until(ends_ms) => Some(left_s(ends_ms)),
        Freshness::Ended => {
            let members = (0..list.members()).filter(|&member| list.ranking.takes_part(member));
            let mut ends_ms = members
                .flat_map(|member| list.of_member(member))
                .filter_map(|place| Some(list.hold(place)?.ends_ms(leases)));
            ends_ms.find(|&ends_ms| ends_ms > now_ms).map(left_s)
        }
    }
}

/// The one label by which a pool is listed (RFC 6763 section 4.1.1): its own, or all that it has below the zone, with the dots
/// between them in the label (section 4.3). `None` for the zone itself, and for what is too long for a label.
pub(super) fn instance_label(pool: &[u8], apex: &[u8]) -> Option<Box<[u8]>> {
    let mut label = pool.strip_suffix(apex)?.to_vec();
    let octets = label.len().checked_sub(1).filter(|octets| (1..=LABEL_MAX).contains(octets))?;
    let mut at = usize::from(std::mem::replace(label.first_mut()?, octets as u8)) + 1;
    while let Some(place) = label.get_mut(at) {
        at += usize::from(std::mem::replace(place, b'.')) + 1;
    }
    Some(label.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::Node;

    fn labels(number: usize) -> Vec<u8> {
        [b"\x05", format!("{number:05}").as_bytes()].concat()
    }

    fn shown(listing: &Listing) -> Vec<Vec<u8>> {
        let mut shown = Vec::new();
        _ = listing.each(|entry| {
            shown.push(entry.labels.to_vec());
            ControlFlow::Continue(())
        });
        shown
    }

    /// A listing as the publisher keeps it, and how often its leaves were listed anew.
    struct Kept(Listing, usize);

    impl Kept {
        fn new() -> Self {
            Kept(Listing::new(b"\x05_http\x04_tcp\x00", 3, &Arc::from(&b"\x00"[..]), None), 0)
        }

        fn take(&mut self, next: Option<Listing>) {
            if let Some(next) = next {
                (self.0, self.1) = (next, self.1 + 1);
            }
        }
    }

    #[test]
    fn entries_are_listed_in_order_whatever_order_they_come_and_go_in() {
        let cell = Arc::new(Cell::new(Node::empty()));
        let mut kept = Kept::new();
        let steps = |from: usize| (0..5_000).map(move |step| (from + step * 1_237) % 5_000);
        for number in steps(3) {
            let next = kept.0.set(&labels(number), &cell, true);
            kept.take(next);
        }
        let anew = kept.1;
        assert_eq!(shown(&kept.0), (0..5_000).map(labels).collect::<Vec<_>>());
        assert!(anew < 5_000 * 2 / LEAF_MAX, "{anew} times for 5,000");
        assert_eq!((kept.0.offered(), kept.0.offered_octets()), (5_000, 30_000));
        for number in steps(7).filter(|number| number % 2 == 0) {
            let next = kept.0.set(&labels(number), &cell, false);
            kept.take(next);
        }
        let odd = (0..5_000).filter(|number| number % 2 == 1);
        assert_eq!(shown(&kept.0), odd.map(labels).collect::<Vec<_>>());
        assert_eq!((kept.0.offered(), kept.0.offered_octets()), (2_500, 15_000));
        assert!(kept.0.has(&labels(4)), "known, though nobody offers it");
        for number in steps(11) {
            let next = kept.0.remove(&labels(number), &cell);
            kept.take(next);
        }
        assert!(kept.0.is_empty() && kept.0.offered() == 0 && kept.0.offered_octets() == 0);
    }

    #[test]
    fn labels_stay_with_whom_they_came() {
        let [first, second] = [(); 2].map(|()| Arc::new(Cell::new(Node::empty())));
        let mut kept = Kept::new();
        let next = kept.0.set(b"\x01a", &first, true);
        kept.take(next);
        assert!(kept.0.set(b"\x01a", &second, false).is_none() && kept.0.offered() == 1);
        assert!(kept.0.remove(b"\x01a", &second).is_none() && !kept.0.is_empty());
        let next = kept.0.remove(b"\x01a", &first);
        kept.take(next);
        assert!(kept.0.is_empty());
    }

    #[test]
    fn a_pool_is_listed_by_one_label() {
        let label = |pool: &[u8]| instance_label(pool, b"\x04pool\x00").map(|label| label.to_vec());
        assert_eq!(label(b"\x03web\x04pool\x00"), Some(b"\x03web".to_vec()));
        assert_eq!(label(b"\x01a\x02bc\x03def\x04pool\x00"), Some(b"\x08a.bc.def".to_vec()));
        assert_eq!(label(b"\x04pool\x00"), None);
        assert_eq!(label(b"\x03web\x04else\x00"), None);
        let of = |octets: u8| {
            let filler = [&[octets][..], &vec![b'x'; octets.into()]].concat();
            label(&[b"\x01a", &filler[..], b"\x04pool\x00"].concat()).map(|label| label.len())
        };
        assert_eq!((of(61), of(62)), (Some(64), None));
    }
}
