//! Which of a list's records an answer has already: an RRset has each once (RFC 2181 section 5), though members may share
//! one.

/// Twice the records that a reply of 64 KB can have, and a power of two.
const SLOTS: usize = 8192;

/// A set of numbers that say which records are alike, in memory that is made once.
pub(super) struct Met {
    /// Each holds a number plus one; 0 is free.
    slots: Box<[u64]>,
}

impl Met {
    pub fn new() -> Self {
        Met { slots: vec![0; SLOTS].into() }
    }

    pub fn clear(&mut self) {
        self.slots.fill(0);
    }

    /// Adds a number. Whether it was not there. One that finds every slot taken was.
    pub fn insert(&mut self, number: u64) -> bool {
        let wanted = number.wrapping_add(1);
        // Fibonacci hashing: neighbours spread over the table.
        let start = (number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 51) as usize;
        let (before, after) = self.slots.split_at_mut(start % SLOTS);
        for slot in after.iter_mut().chain(before) {
            match *slot {
                0 => {
                    *slot = wanted;
                    return true;
                }
                held if held == wanted => return false,
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_new_once() {
        let mut met = Met::new();
        for step in [1, 7, 8192, 1 << 20] {
            met.clear();
            let numbers = || (0..4096_u64).map(|n| n * step);
            assert!(numbers().all(|number| met.insert(number)), "{step}");
            assert!(!numbers().any(|number| met.insert(number)), "{step}");
        }
    }

    #[test]
    fn a_full_table_takes_nothing_more() {
        let mut met = Met::new();
        assert!((0..SLOTS as u64).all(|number| met.insert(number)));
        assert!(!met.insert(SLOTS as u64));
    }
}
