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
use crate::wire::{NameKey, Question, Reading, Rtype};
use crate::zone::{IndexEntry, Node, RecordList, Records, Role, ZoneSet};

/// Octets that come from memory at a time.
const LINE_LEN: usize = 64;
/// Lines of a list that are fetched: as many as a processor can wait for at a time, and more than most answers have.
const LINES_MAX: usize = 16;

/// Questions that are followed together.
const TOGETHER: usize = 16;

/// How far one question has been followed.
#[derive(Clone, Copy, Default)]
struct Ahead<'g> {
    entry: Option<&'g IndexEntry>,
    node: Option<&'g Node>,
    list: Option<&'g RecordList>,
    records: Option<&'g Records>,
}

/// Follows the questions of a batch as far as their records. Whoever answers it keeps a guard meanwhile, so that none of its
/// answers has to take one.
pub fn look_ahead(zones: &ZoneSet, questions: &[Question], readings: &[Reading], scratch: &Scratch) {
    let guard = Guard::new();
    for (questions, readings) in questions.chunks(TOGETHER).zip(readings.chunks(TOGETHER)) {
        let mut together = [Ahead::default(); TOGETHER];
        // What waits alone waits no shorter.
        if let Some(together @ [_, _, ..]) = together.get_mut(..readings.len()) {
            follow(zones, &guard, questions, readings, scratch, together);
        }
    }
}

fn follow<'g>(
    zones: &ZoneSet,
    guard: &'g Guard,
    questions: &[Question],
    readings: &[Reading],
    scratch: &Scratch,
    together: &mut [Ahead<'g>],
) {
    for ((question, reading), ahead) in questions.iter().zip(readings).zip(together.iter_mut()) {
        ahead.entry = if *reading == Reading::Question { entry(zones, guard, &question.name) } else { None };
    }
    for ahead in together.iter_mut() {
        ahead.node = ahead.entry.and_then(|entry| entry.guess(guard));
    }
    for (question, ahead) in questions.iter().zip(together.iter_mut()) {
        if let Some(Node { role: Role::Pool(view), .. }) = ahead.node {
            view.fetch();
            ahead.list = match question.qtype {
                Rtype::SRV => view.first_service(),
                Rtype::AAAA => Some(&view.v6),
                _ => Some(&view.v4),
            };
        }
    }
    for ahead in together.iter_mut() {
        ahead.records = ahead.list.and_then(RecordList::first_piece);
    }
    for ahead in together.iter() {
        if let Some(list) = ahead.list {
            black_box(list.octets_len());
            scratch.chooser.fetch(&list.ranking);
        }
    }
    for records in together.iter().filter_map(|ahead| ahead.records) {
        let lines = records.encoded().chunks(LINE_LEN).chain(records.encoded_along().chunks(LINE_LEN));
        for line in lines.take(LINES_MAX) {
            black_box(line.first().copied());
        }
    }
}

fn entry<'g>(zones: &ZoneSet, guard: &'g Guard, name: &NameKey) -> Option<&'g IndexEntry> {
    let (_, hash) = name.suffix(0)?;
    zones.find(name)?.index.entry(hash, guard)
}
