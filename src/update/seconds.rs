//! The other messages of a floor's second.
//!
//! TSIG tells the time in seconds (RFC 8945 section 4.2), and a client that deletes and adds sends two messages in one. A
//! floor knows the newest of them by its MAC; the MACs of those before it are here, or whoever recorded one could send it
//! again. Nothing of this is stored: after a restart a floor's second is sealed.

use std::collections::{HashMap, VecDeque};

use crate::change::Subject;
use crate::membership::Signed;

/// Floors that have any. Past it, the first to get some give way.
const SUBJECTS_MAX: usize = 65_536;
/// Messages of a floor's second. Past it, the first of them give way.
const MESSAGES_MAX: usize = 256;

/// All of a server's.
#[derive(Default)]
pub(super) struct Seconds {
    held: HashMap<Subject, Second>,
    /// When each may be over: it is looked at again then.
    order: VecDeque<(Subject, u64)>,
}

struct Second {
    at_s: u64,
    macs: VecDeque<u64>,
    /// Until when its messages might be believed, monotonic milliseconds.
    ends_ms: u64,
}

impl Seconds {
    /// Whether a message of the floor's second was accepted before the one that the floor knows.
    pub fn has(&self, subject: &Subject, signed: Signed) -> bool {
        let second = self.held.get(subject).filter(|second| second.at_s == signed.at_s);
        second.is_some_and(|second| second.macs.contains(&signed.mac))
    }

    /// Notes the message that a floor knows now: another one of its second is about to take its place.
    pub fn note(&mut self, subject: &Subject, floor: Signed, now_ms: u64) {
        let ends_ms = now_ms.saturating_add(floor.kept_ms());
        self.forget(now_ms);
        if !self.held.contains_key(subject) {
            self.order.push_back((subject.clone(), ends_ms));
        }
        let empty = || Second { at_s: floor.at_s, macs: VecDeque::new(), ends_ms };
        let second = self.held.entry(subject.clone()).or_insert_with(empty);
        if second.at_s != floor.at_s {
            *second = empty();
        }
        second.ends_ms = ends_ms;
        if second.macs.len() >= MESSAGES_MAX {
            second.macs.pop_front();
        }
        second.macs.push_back(floor.mac);
    }

    /// Lets go of what is over, and of what is more than there may be.
    fn forget(&mut self, now_ms: u64) {
        loop {
            let is_full = self.held.len() >= SUBJECTS_MAX;
            let is_over = |(_, ends_ms): &mut (Subject, u64)| *ends_ms <= now_ms || is_full;
            let Some((subject, _)) = self.order.pop_front_if(is_over) else { return };
            match self.held.get(&subject).map(|second| second.ends_ms) {
                Some(ends_ms) if ends_ms > now_ms && !is_full => self.order.push_back((subject, ends_ms)),
                _ => _ = self.held.remove(&subject),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(number: u64) -> Subject {
        Subject::Name(number.to_be_bytes().as_slice().into())
    }

    fn signed(at_s: u64, mac: u64) -> Signed {
        Signed::new(at_s, 300, mac)
    }

    #[test]
    fn messages_of_a_second_are_known_until_the_floor_moves_on() {
        let mut seconds = Seconds::default();
        let (one, other) = (subject(1), subject(2));
        seconds.note(&one, signed(10, 2), 0);
        seconds.note(&one, signed(10, 4), 0);
        assert!(seconds.has(&one, signed(10, 2)) && seconds.has(&one, signed(10, 4)));
        assert!(!seconds.has(&one, signed(10, 6)) && !seconds.has(&one, signed(11, 2)));
        assert!(!seconds.has(&other, signed(10, 2)));
        seconds.note(&one, signed(11, 8), 1_000);
        assert!(!seconds.has(&one, signed(10, 2)) && seconds.has(&one, signed(11, 8)));
    }

    #[test]
    fn they_are_kept_while_a_floor_is_and_are_bounded() {
        let mut seconds = Seconds::default();
        seconds.note(&subject(0), signed(10, 2), 0);
        seconds.note(&subject(0), signed(10, 4), 400_000);
        seconds.note(&subject(1), signed(10, 2), 600_000);
        assert!(seconds.has(&subject(0), signed(10, 2)), "the second of them keeps both");
        seconds.note(&subject(1), signed(10, 4), 1_000_000);
        assert!(!seconds.has(&subject(0), signed(10, 4)));
        for number in 0..=SUBJECTS_MAX as u64 {
            seconds.note(&subject(number + 2), signed(10, 2), 1_000_000);
        }
        assert_eq!((seconds.held.len(), seconds.order.len()), (SUBJECTS_MAX, SUBJECTS_MAX));
        for number in 0..=MESSAGES_MAX as u64 {
            seconds.note(&subject(9), signed(20, 2 * number), 1_000_000);
        }
        assert!(!seconds.has(&subject(9), signed(20, 0)) && seconds.has(&subject(9), signed(20, 2)));
    }
}
