//! Each in turn (RFC 5356 section 4.1).

/// Which position in a worker's [`Rotors`] belongs to a list of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RotorId(pub u32);

/// A worker's positions in all lists that it answers from.
///
/// One set a worker, so that no question writes what another worker reads. Workers start staggered: together they spread
/// as evenly as one would.
pub struct Rotors {
    positions: Vec<u32>,
    stagger: u32,
}

impl Rotors {
    /// Positions for worker number `worker`.
    pub fn new(worker: u32) -> Self {
        Rotors { positions: Vec::new(), stagger: worker }
    }

    /// Where the next answer from a list begins, if any has been given.
    pub(super) fn position(&self, rotor: RotorId) -> Option<u32> {
        self.positions.get(rotor.0 as usize).copied()
    }

    /// The place in a list of `len` where this answer begins; the next answer begins with the next, however many this one shows
    /// (RFC 5356 section 4.1.2), so that each is the first equally often.
    ///
    /// Allocates the first time that this worker answers from a list with a larger number than any before it. `len` may
    /// differ from call to call, as members come and go. 0 if the list is empty.
    pub fn turn(&mut self, rotor: RotorId, len: usize) -> usize {
        let at = rotor.0 as usize;
        if at >= self.positions.len() {
            // Twice as far as needed: a server with 100,000 lists grows this a few times in its life.
            self.positions.resize((at + 1).next_power_of_two(), self.stagger);
        }
        let (Some(place), Ok(len)) = (self.positions.get_mut(at), u32::try_from(len)) else { return 0 };
        if len == 0 {
            return 0;
        }
        let start = *place % len;
        *place = (start + 1) % len;
        start as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_leads_in_turn_whatever_other_lists_do() {
        let mut rotors = Rotors::new(0);
        let turns: Vec<_> = (0..7)
            .map(|_| {
                rotors.turn(RotorId(9), 2);
                rotors.turn(RotorId(3), 3)
            })
            .collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn a_shrinking_list_stays_in_range() {
        let mut rotors = Rotors::new(5);
        for len in [9, 9, 9, 2, 1, 0, 4] {
            assert!(rotors.turn(RotorId(0), len) < len.max(1));
        }
    }
}
