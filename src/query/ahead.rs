//! Looking ahead: between reading a batch and answering it, what the answers will read is fetched, a step for all questions
//! at a time.
//!
//! A question for one of 100,000 pools waits for main memory at every step from its name to its records: entry, cell, node,
//! list, octets. One question's steps can only follow each other, but the same step of sixteen questions can wait together. So
//! each pass below is a short loop without a branch that depends on what it fetches, and a processor that runs ahead has
//! all of a pass's loads on their way before the first has arrived. Nothing is decided here: the answer finds the name again,
//! with everything at hand, and differs by nothing if a pass has guessed wrongly.

use std::hint::black_box;

use sdd::Guard;

use super::Scratch;
use crate::wire::{Question, Reading, Rtype};
use crate::zone::{IndexEntry, Node, RecordList, Records, Role, ZoneSet};

/// Octets that come from memory at a time.
const LINE_LEN: usize = 64;
/// Lines of a list that are fetched: as many as a processor can wait for at a time, and more than most answers have.
const LINES_MAX: usize = 16;

/// How far one question has been followed.
#[derive(Clone, Copy, Default)]
pub struct Ahead<'g> {
    entry: Option<&'g IndexEntry>,
    node: Option<&'g Node>,
    list: Option<&'g RecordList>,
    records: Option<&'g Records>,
}

/// Follows questions as far as their records. `places` has as many elements as there are questions.
pub fn look_ahead<'g>(
    zones: &'g ZoneSet,
    guard: &'g Guard,
    questions: &[Question],
    readings: &[Reading],
    scratch: &Scratch,
    places: &mut [Ahead<'g>],
) {
    for ((question, reading), ahead) in questions.iter().zip(readings).zip(places.iter_mut()) {
        let is_one = *reading == Reading::Question;
        let zone = if is_one { zones.find(&question.name) } else { None };
        let entry =
            zone.zip(question.name.suffix(0)).and_then(|(zone, (_, hash))| zone.index.entry(hash, guard));
        *ahead = Ahead { entry, node: None, list: None, records: None };
    }
    for ahead in places.iter_mut() {
        ahead.node = ahead.entry.and_then(|entry| entry.guess(guard));
    }
    // A node is some lines long: what an answer reads of it, and whose turn it is.
    for (question, ahead) in questions.iter().zip(places.iter_mut()) {
        let Some(node) = ahead.node else { continue };
        ahead.list = match &node.role {
            Role::Pool(view) => match question.qtype {
                Rtype::SRV => view.first_service(),
                Rtype::AAAA => Some(&view.v6),
                _ => Some(&view.v4),
            },
            _ => None,
        };
        if let Role::Pool(view) = &node.role {
            view.fetch();
        }
    }
    for ahead in places.iter_mut() {
        ahead.records = ahead.list.map(|list| &**list);
    }
    for ahead in places.iter() {
        if let Some(list) = ahead.list {
            black_box(list.octets_len());
            scratch.chooser.fetch(&list.ranking);
        }
    }
    for ahead in places.iter() {
        if let Some(records) = ahead.records {
            let lines = records.encoded().chunks(LINE_LEN).chain(records.encoded_along().chunks(LINE_LEN));
            for line in lines.take(LINES_MAX) {
                black_box(line.first().copied());
            }
        }
    }
}
