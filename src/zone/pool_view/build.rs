//! Which parts of a view are made anew, and which it shares with the one before.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::assemble::{Alike, Assembly};
use super::good::Remembered;
use super::part::{Part, PartBuilder};
use super::rank::PoolRotors;
use super::{Counts, PoolView};
use crate::membership::{Entry, MemberName, Roll};
use crate::zone::PoolSettings;

/// Members of a part, at most: what a change of one of them encodes anew. A pool of so many has one.
const PART_MAX: usize = 256;
/// Members of a part that is cut from many: it has room for more.
const PART_CUT: usize = 192;
/// A part of less is put together with the next.
const PART_MIN: usize = 64;

/// Encodes a view.
pub(in crate::zone) struct ViewBuilder<'a> {
    /// The pool's name in lower-case wire form.
    pub pool: &'a [u8],
    pub labels: usize,
    pub settings: &'a Arc<PoolSettings>,
    pub rotors: &'a PoolRotors,
    pub roll: &'a Roll,
    /// The view that was published before, if there was one.
    pub before: Option<&'a PoolView>,
    pub now_ms: u64,
}

/// Members by name, with what they registered.
type Entries<'e> = Vec<(&'e MemberName, &'e Entry)>;

/// Parts, and the first moment at which anything ends in those that were made, monotonic milliseconds.
type Parts = (Vec<Part>, u64);

impl ViewBuilder<'_> {
    /// Makes the view of the pool's members, of whom only those in `touched` may differ from what the view before has of them;
    /// `None` is all. When it is to be ranked again though nothing is said, monotonic milliseconds, comes with it.
    ///
    /// `counts` are those of the view before, and then of this one; none of a view of one part.
    pub fn build(
        &self,
        touched: Option<&BTreeSet<MemberName>>,
        remembered: Option<&Remembered>,
        counts: &mut Option<Box<Counts>>,
    ) -> (PoolView, Option<u64>) {
        let is_small = self.roll.count(self.pool) <= PART_MAX;
        let before = self.before.filter(|before| !is_small && self.goes_on_from(before));
        let (mut view, again_ms) = match (before, touched, counts.as_deref_mut()) {
            (Some(before), Some(touched), Some(counts)) => self.patched(before, touched, counts),
            _ => self.whole(self.roll.members(self.pool).collect(), counts),
        };
        if !view.members().any(|member| member.is_fit()) {
            let good = remembered.and_then(|remembered| remembered.last_good(self.now_ms));
            view.last_good = good.map(|(good, until_ms)| {
                let (mut view, _) = ViewBuilder { before: None, ..*self }.whole(good, &mut None);
                view.is_frozen = true;
                Box::new((Arc::new(view), until_ms))
            });
        }
        (view, again_ms)
    }

    /// Whether a view's parts may stand in this one.
    fn goes_on_from(&self, before: &PoolView) -> bool {
        before.parts() > 1 && Arc::ptr_eq(&before.settings, self.settings)
    }

    fn assembly(&self) -> Assembly<'_> {
        let ViewBuilder { labels, settings, rotors, before, now_ms, .. } = *self;
        Assembly { settings, labels, rotors, leases: self.roll.leases(), before, now_ms }
    }

    /// A view of which nothing is there yet.
    fn whole(&self, entries: Entries<'_>, counts: &mut Option<Box<Counts>>) -> (PoolView, Option<u64>) {
        *counts = None;
        let (mut parts, first_end_ms) = self.parts(&entries);
        let alike = match parts.as_mut_slice() {
            [part] => {
                part.find_repeats();
                Alike::Within
            }
            parts => {
                let all = counts.insert(Box::default());
                parts.iter().flat_map(Part::shareable).for_each(|records| all.add(records));
                Alike::Counted(all)
            }
        };
        self.assembly().assemble(parts, alike, first_end_ms)
    }

    /// A view that has the parts of the one before but for those in which somebody was touched.
    fn patched(
        &self,
        before: &PoolView,
        touched: &BTreeSet<MemberName>,
        counts: &mut Counts,
    ) -> (PoolView, Option<u64>) {
        let stale: BTreeSet<usize> = touched.iter().map(|name| before.members.part_of(name)).collect();
        let (mut parts, mut first_end_ms) = (Vec::with_capacity(before.parts() + 1), u64::MAX);
        // Members of parts that are made anew: of one after another, until there are enough for a part.
        let mut open: Option<Entries<'_>> = None;
        for number in 0..before.parts() {
            let Some(part) = before.part(number, self.rotors) else { continue };
            if open.is_none() && !stale.contains(&number) {
                parts.push(part);
                continue;
            }
            part.shareable().for_each(|records| counts.remove(records));
            let open_now = open.get_or_insert_default();
            open_now.extend(self.run(before, number));
            if open_now.is_empty() || open_now.len() >= PART_MIN {
                let (made, ends_ms) = self.parts(open_now);
                made.iter().flat_map(Part::shareable).for_each(|records| counts.add(records));
                first_end_ms = first_end_ms.min(ends_ms);
                parts.extend(made.into_iter().filter(|part| !part.members.views.is_empty()));
                open = None;
            }
        }
        // The last ones may be few.
        if let Some(rest) = open {
            let (made, ends_ms) = self.parts(&rest);
            made.iter().flat_map(Part::shareable).for_each(|records| counts.add(records));
            first_end_ms = first_end_ms.min(ends_ms);
            parts.extend(made);
        }
        let (mut view, again_ms) = self.assembly().assemble(parts, Alike::Counted(counts), first_end_ms);
        view.follow(before);
        (view, again_ms)
    }

    /// The members who fall into a part of the view before.
    fn run(&self, before: &PoolView, number: usize) -> impl Iterator<Item = (&MemberName, &Entry)> {
        let first = before.members.first_label(number).filter(|_| number > 0);
        let from = first.map_or(Bound::Unbounded, Bound::Included);
        let to = before.members.first_label(number + 1).map_or(Bound::Unbounded, Bound::Excluded);
        self.roll.members_within(self.pool, (from, to))
    }

    /// Cuts members into parts: at least one, though nobody may be in it.
    fn parts(&self, entries: &[(&MemberName, &Entry)]) -> Parts {
        let builder = PartBuilder {
            pool: self.pool,
            settings: self.settings,
            services: &self.rotors.services,
            roll: self.roll,
        };
        let count = if entries.len() <= PART_MAX { 1 } else { entries.len().div_ceil(PART_CUT) };
        let (mut parts, mut first_end_ms) = (Vec::with_capacity(count), u64::MAX);
        for number in 0..count {
            let cut = |number: usize| entries.len() * number / count;
            let (part, ends_ms) = builder.part(entries.get(cut(number)..cut(number + 1)).unwrap_or_default());
            first_end_ms = first_end_ms.min(ends_ms);
            parts.push(part);
        }
        (parts, first_end_ms)
    }
}
