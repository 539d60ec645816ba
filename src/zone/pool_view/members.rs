//! A view's members and their own names, in parts.
//!
//! A large pool is cut into parts, runs of members in name order, so that a change makes one of them anew and shares the others
//! with the view before it. A member is numbered within its part, and so keeps its number whatever happens elsewhere; its number in
//! the view is that and how many come before its part.

use std::ops::{Deref, Range};
use std::sync::Arc;

use super::RecordList;
use super::records::{Hold, Records};
use crate::membership::{Drain, LeaseRef, Load};

/// A member's own names.
pub struct MemberView {
    /// Its weight among the pool's addresses; 0 takes it out of answers.
    pub weight: u32,
    /// Its priority: larger is better.
    pub priority: u32,
    /// How much busier each pick makes it.
    pub degradation: Load,
    /// The most that an answer for its own name may say, seconds.
    pub ttl_s: u32,
    /// Its place in the lease table.
    pub lease: LeaseRef,
    /// When it goes although its lease runs, with its last address, monotonic milliseconds.
    pub(super) lapses_ms: u64,
    /// Why it gets no more clients, if it drains. Then its addresses are apart from the pool's.
    pub drain: Option<Box<DrainView>>,
    /// Its places in its part's A and AAAA records, or among the addresses apart.
    pub(super) v4: Span,
    /// As `v4`.
    pub(super) v6: Span,
    /// Where in its part's octets its label is, and its TXT record, which others may have too.
    pub(super) label: Span,
    /// As `label`.
    pub(super) txt: Span,
}

/// A run of what its part has: from where, and how long. A member has fewer addresses, and octets, than a message.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C, packed(2))]
pub(super) struct Span {
    start: u32,
    len: u16,
}

impl Span {
    /// From one place to another.
    pub fn of(places: Range<usize>) -> Self {
        Span { start: places.start as u32, len: places.len() as u16 }
    }

    pub fn places(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + usize::from(self.len)
    }
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

    /// Whether it has addresses; one that lives elsewhere has none.
    pub fn has_addresses(&self) -> bool {
        !self.v4().is_empty() || !self.v6().is_empty()
    }

    pub(super) fn v4(&self) -> Range<usize> {
        self.v4.places()
    }

    pub(super) fn v6(&self) -> Range<usize> {
        self.v6.places()
    }
}

/// The members of a part.
pub(super) struct MemberPart {
    pub views: Box<[MemberView]>,
    /// Their labels and TXT records.
    pub text: Box<[u8]>,
    /// What those have who drain, if any does.
    pub apart: Option<Box<Apart>>,
}

/// A service's name, and SRV records of it.
pub(super) type OfService = (Box<[u8]>, Arc<Records>);

/// The records of members that drain: in answers for their own names alone.
pub(super) struct Apart {
    pub v4: Arc<Records>,
    pub v6: Arc<Records>,
    /// Their SRV records by service, as they registered them, for who looks into the pool; none of services that nobody offers
    /// who drains.
    pub services: Box<[OfService]>,
}

impl MemberPart {
    fn label(&self, view: &MemberView) -> &[u8] {
        self.text.get(view.label.places()).unwrap_or_default()
    }

    fn txt(&self, view: &MemberView) -> &[u8] {
        self.text.get(view.txt.places()).unwrap_or_default()
    }
}

/// A member of a view.
#[derive(Clone, Copy)]
pub struct MemberRef<'v> {
    view: &'v MemberView,
    part: &'v MemberPart,
    /// The number of its part.
    part_number: usize,
    number: u32,
}

impl Deref for MemberRef<'_> {
    type Target = MemberView;

    fn deref(&self) -> &MemberView {
        self.view
    }
}

impl<'v> MemberRef<'v> {
    /// Its number in the view.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its name; of one that lives elsewhere, [`ELSEWHERE`](crate::membership::ELSEWHERE) and its target.
    pub fn label(&self) -> &'v [u8] {
        self.part.label(self.view)
    }

    /// Its attributes as one TXT record, encoded; empty if it has none.
    pub fn txt(&self) -> &'v [u8] {
        self.part.txt(self.view)
    }

    /// Its own life, which ends with its last address.
    pub fn hold(&self) -> Hold {
        Hold { lease: self.view.lease, member: self.number, lapses_ms: self.view.lapses_ms }
    }

    /// Its A and AAAA records, by their places in its part's. `lists` are the pool's.
    pub(super) fn own_records(&self, lists: [&'v RecordList; 2]) -> [Option<(&'v Records, Range<usize>)>; 2] {
        let [v4, v6] = match (&self.view.drain, &self.part.apart) {
            (Some(_), Some(apart)) => [Some(&*apart.v4), Some(&*apart.v6)],
            _ => lists.map(|list| list.pieces.of_part(self.part_number).map(AsRef::as_ref)),
        };
        [v4.map(|records| (records, self.view.v4())), v6.map(|records| (records, self.view.v6()))]
    }
}

/// Parts, each with how many members come before it.
type Parts = Vec<(Arc<MemberPart>, u32)>;

/// The members of a view, in name order.
#[derive(Clone)]
pub(super) enum Members {
    One(Arc<MemberPart>),
    Several(Arc<Parts>),
}

impl Members {
    /// Those of these parts.
    pub fn of(parts: Vec<Arc<MemberPart>>) -> Self {
        let parts = match <[Arc<MemberPart>; 1]>::try_from(parts) {
            Ok([part]) => return Members::One(part),
            Err(parts) => parts,
        };
        let mut before = 0;
        let parts = parts.into_iter().map(|part| {
            let start = before;
            before += part.views.len() as u32;
            (part, start)
        });
        Members::Several(Arc::new(parts.collect()))
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        match self {
            Members::One(_) => 1,
            Members::Several(parts) => parts.len(),
        }
    }

    /// A part.
    pub fn part(&self, number: usize) -> Option<&Arc<MemberPart>> {
        match self {
            Members::One(part) => Some(part).filter(|_| number == 0),
            Members::Several(parts) => parts.get(number).map(|(part, _)| part),
        }
    }

    /// How many members come before a part; all, before the one past the last.
    pub fn start(&self, number: usize) -> u32 {
        match self {
            Members::One(_) if number == 0 => 0,
            Members::One(part) => part.views.len() as u32,
            Members::Several(parts) => match parts.get(number) {
                Some((_, start)) => *start,
                None => parts.last().map_or(0, |(part, start)| start + part.views.len() as u32),
            },
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.start(self.parts()) as usize
    }

    /// The parts, each with how many members come before it.
    pub fn each_part(&self) -> impl Iterator<Item = (&Arc<MemberPart>, u32)> {
        (0..self.parts()).filter_map(|number| Some((self.part(number)?, self.start(number))))
    }

    /// The members by their numbers.
    pub fn iter(&self) -> impl Iterator<Item = MemberRef<'_>> {
        self.each_part().zip(0..).flat_map(|((part, start), part_number)| {
            part.views.iter().zip(start..).map(move |(view, number)| MemberRef {
                view,
                part,
                part_number,
                number,
            })
        })
    }

    /// The member of a number.
    pub fn get(&self, number: u32) -> Option<MemberRef<'_>> {
        let part_number = match self {
            Members::One(_) => 0,
            Members::Several(parts) => parts.partition_point(|(_, start)| *start <= number).checked_sub(1)?,
        };
        let part = self.part(part_number)?;
        let view = part.views.get((number - self.start(part_number)) as usize)?;
        Some(MemberRef { view, part, part_number, number })
    }

    /// The part in whose run of names a label falls.
    pub fn part_of(&self, label: &[u8]) -> usize {
        match self {
            Members::One(_) => 0,
            Members::Several(parts) => {
                let first = |part: &Arc<MemberPart>| {
                    part.views.first().map_or(&[][..], |view| part.label(view)) <= label
                };
                parts.partition_point(|(part, _)| first(part)).saturating_sub(1)
            }
        }
    }

    /// The first label of a part.
    pub fn first_label(&self, number: usize) -> Option<&[u8]> {
        let part = self.part(number)?;
        part.views.first().map(|view| part.label(view))
    }

    /// The member of this label.
    pub fn find(&self, label: &[u8]) -> Option<MemberRef<'_>> {
        let part_number = self.part_of(label);
        let part = self.part(part_number)?;
        let at = part.views.binary_search_by(|view| part.label(view).cmp(label)).ok()?;
        let number = self.start(part_number) + at as u32;
        Some(MemberRef { view: part.views.get(at)?, part, part_number, number })
    }
}
