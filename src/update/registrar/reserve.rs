//! How far zones' serials may run ahead of the store.
//!
//! A restart begins with the serial that the store holds, which is [`SERIALS_RESERVED`](super::SERIALS_RESERVED) further on than
//! the zone was then. While the store cannot be written, changes that need no commit still move serials: expiries, with each
//! sweep. A serial that comes to the end of its reserve stays there, or a crash would take it back, and secondaries would never
//! ask again (RFC 1982). Once the store works, one step says that something is other than before, however much that is.

use std::collections::{BTreeSet, HashMap};

use crate::zone::{is_later, later, next_serial};

/// The ends of all zones, by apex.
#[derive(Default)]
pub(super) struct Reserve {
    /// The serial that a restart would begin with. None of a zone of which the store knows nothing, as in a test.
    ends: HashMap<Box<[u8]>, u32>,
    /// Zones whose serials are to move, and could not.
    held: BTreeSet<Box<[u8]>>,
    /// Those that may by now.
    due: Vec<Box<[u8]>>,
}

impl Reserve {
    /// The store holds this serial.
    pub fn stored(&mut self, apex: Box<[u8]>, end: u32) {
        self.due.extend(self.held.take(&apex));
        self.ends.insert(apex, end);
    }

    /// A restart would begin with this one, if it is later than what the store holds: a SOA says so that is stored itself.
    pub fn raise(&mut self, apex: &[u8], serial: u32) {
        if let Some(end) = self.ends.get_mut(apex) {
            *end = later(*end, serial);
        }
    }

    /// The serial after one, if there is room for it; else the zone moves when there is.
    pub fn next(&mut self, apex: &[u8], serial: u32) -> Option<u32> {
        let next = next_serial(serial);
        if self.ends.get(apex).is_none_or(|&end| is_later(end, next)) {
            return Some(next);
        }
        self.held.insert(apex.into());
        None
    }

    /// Zones that were held and may move now.
    pub fn take_due(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(&mut self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_never_reaches_what_a_restart_begins_with() {
        let mut reserve = Reserve::default();
        let apex: &[u8] = b"\x01z\x00";
        assert_eq!(reserve.next(apex, 7), Some(8), "nothing is known of a store");
        // Round the circle as well, and past the 0 that is left out.
        for end in [100, 2, 1, u32::MAX] {
            reserve.stored(apex.into(), end);
            let (mut serial, mut steps) = (end.wrapping_sub(50), 0);
            while let Some(next) = reserve.next(apex, serial) {
                assert!(is_later(end, next) && is_later(next, serial), "{next} before {end}");
                (serial, steps) = (next, steps + 1);
            }
            assert!((47..50).contains(&steps), "{steps} steps to {end}");
            assert!(reserve.take_due().is_empty());
            reserve.stored(apex.into(), serial.wrapping_add(1_000));
            assert_eq!(reserve.take_due(), [apex.into()], "once");
            assert!(reserve.take_due().is_empty() && reserve.next(apex, serial).is_some());
        }
    }

    #[test]
    fn a_soa_only_raises() {
        let mut reserve = Reserve::default();
        let apex: &[u8] = b"\x01z\x00";
        reserve.raise(apex, 9);
        reserve.stored(apex.into(), 100);
        reserve.raise(apex, 90);
        assert_eq!((reserve.next(apex, 98), reserve.next(apex, 99)), (Some(99), None));
        reserve.raise(apex, 5_000);
        assert_eq!((reserve.next(apex, 4_000), reserve.next(apex, 4_999)), (Some(4_001), None));
    }
}
