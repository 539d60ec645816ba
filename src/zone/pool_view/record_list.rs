//! A pool's records of one type at one name: those of all its parts, and who of their members is picked.
//!
//! Places are numbered through all parts. A pool of one part, as most are, has its records in one piece, and every place is the
//! piece's own.

use std::hash::BuildHasher as _;
use std::ops::Range;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::members::Members;
use super::records::{Hold, Records};
use crate::policy::Ranking;
use crate::wire::Rtype;

/// The pool's records of one type at one name, and who of their members is picked.
pub struct RecordList {
    /// Shared by the views that differ in nothing but who is picked.
    pub(super) pieces: Pieces,
    /// Which members an answer shows: its places are theirs in this list.
    pub ranking: Ranking,
}

/// The records of each part.
#[derive(Clone)]
pub(super) enum Pieces {
    One(Arc<Records>),
    Several(Arc<Several>),
}

pub(super) struct Several {
    /// One a part of the view, some of them empty.
    pieces: Box<[Arc<Records>]>,
    /// Where each begins, and at last where all end.
    starts: Box<[Start]>,
    octets_len: usize,
    /// How many records differ from all others.
    distinct: usize,
    hasher: RandomState,
}

/// How much there is before a part.
#[derive(Debug, Clone, Copy, Default)]
struct Start {
    records: usize,
    /// Members that have records in the list.
    groups: usize,
    /// Members of the view.
    members: u32,
}

impl Pieces {
    /// Of the parts of a view with these members. `distinct` records differ from all others.
    pub fn of(pieces: Vec<Arc<Records>>, members: &Members, distinct: usize) -> Self {
        let pieces = match <[Arc<Records>; 1]>::try_from(pieces) {
            Ok([piece]) => return Pieces::One(piece),
            Err(pieces) => pieces,
        };
        let mut starts = Vec::with_capacity(pieces.len() + 1);
        let (mut next, mut octets_len) = (Start::default(), 0);
        for (piece, number) in pieces.iter().zip(1..) {
            starts.push(next);
            octets_len += piece.octets.len();
            next.records += piece.len();
            next.groups += piece.members();
            next.members = members.start(number);
        }
        starts.push(next);
        let (pieces, starts) = (pieces.into(), starts.into());
        Pieces::Several(Arc::new(Several {
            pieces,
            starts,
            octets_len,
            distinct,
            hasher: RandomState::default(),
        }))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Records>> {
        match self {
            Pieces::One(piece) => std::slice::from_ref(piece),
            Pieces::Several(several) => &several.pieces,
        }
        .iter()
    }

    /// How many members have records in it.
    pub fn members(&self) -> usize {
        match self {
            Pieces::One(piece) => piece.members(),
            Pieces::Several(several) => several.end().groups,
        }
    }

    /// Which of its members weigh nothing, by their places in the ranking.
    pub fn weightless(&self) -> Vec<u32> {
        let mut weightless = Vec::new();
        let mut before = 0;
        for piece in self.iter() {
            if piece.has_weightless() {
                let groups =
                    (0..piece.members()).filter(|group| piece.weight(piece.of_member(*group).start) == 0);
                weightless.extend(groups.map(|group| (before + group) as u32));
            }
            before += piece.members();
        }
        weightless
    }

    /// The records of a part.
    pub fn of_part(&self, part: usize) -> Option<&Arc<Records>> {
        match self {
            Pieces::One(piece) => Some(piece).filter(|_| part == 0),
            Pieces::Several(several) => several.pieces.get(part),
        }
    }
}

impl Several {
    /// The piece in which a number falls, by what of its start is counted.
    fn find(&self, number: usize, of: impl Fn(&Start) -> usize) -> Option<(&Arc<Records>, Start)> {
        let part = self.starts.partition_point(|start| of(start) <= number).checked_sub(1)?;
        Some((self.pieces.get(part)?, *self.starts.get(part)?))
    }

    fn end(&self) -> Start {
        self.starts.last().copied().unwrap_or_default()
    }
}

/// A record of a list, found.
#[derive(Clone, Copy)]
pub struct Placed<'l> {
    /// The piece that it is in.
    records: &'l Records,
    /// Its place there.
    place: usize,
    /// How many members the view has before those of the piece.
    members: u32,
}

impl<'l> Placed<'l> {
    /// Its octets.
    pub fn record(&self) -> &'l [u8] {
        self.records.record(self.place)
    }

    /// The encoded addresses of its member, if the list has them at hand: empty for all but the first of a member's records.
    pub fn along(&self) -> Option<&'l [u8]> {
        self.records.along(self.place)
    }

    /// On what it hangs; its member by its number in the view.
    pub fn hold(&self) -> Option<Hold> {
        let hold = self.records.hold(self.place)?;
        Some(Hold { member: hold.member.saturating_add(self.members), ..hold })
    }
}

impl RecordList {
    /// The record at a place.
    #[inline]
    pub fn at(&self, place: usize) -> Option<Placed<'_>> {
        let (records, place, members) = self.find(place)?;
        Some(Placed { records, place, members })
    }

    /// The piece that a place is in, its place there, and how many members the view has before it.
    #[inline]
    fn find(&self, place: usize) -> Option<(&Records, usize, u32)> {
        match &self.pieces {
            Pieces::One(piece) => Some((piece, place, 0)),
            Pieces::Several(several) => {
                let (piece, start) = several.find(place, |start| start.records)?;
                Some((piece, place - start.records, start.members))
            }
        }
    }

    /// Type of all records.
    pub fn rtype(&self) -> Option<Rtype> {
        self.first_piece().map(|piece| piece.rtype)
    }

    /// The records of the first part: in most pools all.
    pub fn first_piece(&self) -> Option<&Records> {
        match &self.pieces {
            Pieces::One(piece) => Some(piece),
            Pieces::Several(several) => several.pieces.first().map(AsRef::as_ref),
        }
    }

    /// The octets of the record at a place.
    pub fn record(&self, place: usize) -> &[u8] {
        self.find(place).map_or(&[], |(piece, place, _)| piece.record(place))
    }

    /// All records, if they lie in one piece.
    pub fn whole(&self) -> Option<&Records> {
        match &self.pieces {
            Pieces::One(piece) => Some(piece),
            Pieces::Several(_) => None,
        }
    }

    /// The octets of the records at several places, in as many slices as they lie in.
    pub fn slices(&self, mut places: Range<usize>) -> impl Iterator<Item = &[u8]> {
        std::iter::from_fn(move || {
            let (piece, place, _) = self.find(places.start).filter(|_| !places.is_empty())?;
            let end = (place + places.len()).min(piece.len());
            // One that is past the end has no octets.
            places.start += end.checked_sub(place).filter(|taken| *taken > 0)?;
            Some(piece.records(place..end))
        })
    }

    /// On what the record at a place hangs; its member by its number in the view.
    pub fn hold(&self, place: usize) -> Option<Hold> {
        self.at(place)?.hold()
    }

    /// The same of all records, in their order.
    pub fn holds(&self) -> impl Iterator<Item = Hold> {
        let starts = match &self.pieces {
            Pieces::One(_) => &[][..],
            Pieces::Several(several) => &several.starts,
        };
        let starts = starts.iter().map(|start| start.members).chain(std::iter::repeat(0));
        self.pieces.iter().zip(starts).flat_map(|(piece, members)| {
            piece.holds().map(move |hold| Hold { member: hold.member.saturating_add(members), ..hold })
        })
    }

    /// The records of the member at a place of the ranking; of the one past the last, an empty range at the end.
    pub fn of_member(&self, place: usize) -> Range<usize> {
        match &self.pieces {
            Pieces::One(piece) => piece.of_member(place),
            Pieces::Several(several) => match several.find(place, |start| start.groups) {
                Some((piece, start)) => {
                    let places = piece.of_member(place - start.groups);
                    places.start + start.records..places.end + start.records
                }
                None => self.len()..self.len(),
            },
        }
    }

    /// What the member of the record at a place weighs by it; 0 takes no part.
    pub fn weight(&self, place: usize) -> u32 {
        self.find(place).map_or(0, |(piece, place, _)| piece.weight(place))
    }

    /// The encoded addresses of the member of the record at a place, if the list has them at hand: empty for all but the first
    /// of a member's records.
    pub fn along(&self, place: usize) -> Option<&[u8]> {
        self.at(place)?.along()
    }

    /// How many members have records in it.
    pub fn members(&self) -> usize {
        self.pieces.members()
    }

    /// How many records.
    pub fn len(&self) -> usize {
        match &self.pieces {
            Pieces::One(piece) => piece.len(),
            Pieces::Several(several) => several.end().records,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets of all records.
    pub fn octets_len(&self) -> usize {
        match &self.pieces {
            Pieces::One(piece) => piece.octets.len(),
            Pieces::Several(several) => several.octets_len,
        }
    }

    /// How many records differ from all others: members may share one, and an RRset has it once (RFC 2181 section 5).
    pub fn distinct(&self) -> usize {
        match &self.pieces {
            Pieces::One(piece) => piece.distinct as usize,
            Pieces::Several(several) => several.distinct,
        }
    }

    /// Whether two records are the same, so that the list must not be copied whole.
    pub fn has_repeats(&self) -> bool {
        match &self.pieces {
            Pieces::One(piece) => (piece.distinct as usize) < piece.len(),
            Pieces::Several(several) => several.distinct < several.end().records,
        }
    }

    /// A number that records have in common that are the same, and others not: the place of the first of them, or across
    /// parts a keyed hash.
    pub fn likeness(&self, place: usize) -> u64 {
        match &self.pieces {
            Pieces::One(piece) => piece.first(place).map_or(place as u64, u64::from),
            Pieces::Several(several) => several.hasher.hash_one(self.record(place)),
        }
    }
}
