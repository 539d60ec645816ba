//! What came out: figures, and each fault with what was known.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use super::ledger::Fault;

/// Faults that are kept in words; all are counted.
const TOLD_MAX: usize = 100;

/// What clients did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Acknowledged joins, renewals and changes, of members and of ordinary names.
    pub registrations: u64,
    /// Acknowledged leaves and deletions.
    pub deregistrations: u64,
    /// Messages on the way when the server was killed.
    pub unacknowledged: u64,
    /// Names asked for right after their acknowledgement.
    pub read_back: u64,
    /// The longest wait for a reply, or for the kill.
    pub slowest: Duration,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.registrations += other.registrations;
        self.deregistrations += other.deregistrations;
        self.unacknowledged += other.unacknowledged;
        self.read_back += other.read_back;
        self.slowest = self.slowest.max(other.slowest);
    }
}

/// Something that must not be.
#[derive(Debug)]
pub struct Violation {
    pub round: u32,
    pub fault: Fault,
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fault = match self.fault {
            Fault::Lost => "lost",
            Fault::Resurrected => "resurrected",
            Fault::Returned => "expired and back",
            Fault::SerialBack => "serial stepped back",
            Fault::Other => "failed",
        };
        write!(f, "round {}: {fault}: {}", self.round, self.text)
    }
}

/// What came out so far.
#[derive(Debug, Default)]
pub struct Report {
    pub seed: u64,
    /// How many there are to be, have been, and had no fault.
    pub wanted: u32,
    pub rounds: u32,
    pub good: u32,
    pub tally: Tally,
    /// SIGKILLs in all, and those before the server listened.
    pub kills: u32,
    pub kills_at_start: u32,
    /// Names that had to be there after a restart, that must not be, and that could be either.
    pub held: u64,
    pub gone: u64,
    pub either: u64,
    pub lost: u64,
    pub resurrected: u64,
    pub returned: u64,
    pub serial_back: u64,
    pub other: u64,
    /// The first faults, in words.
    pub told: Vec<Violation>,
    /// Between spawning and listening, all starts that came so far.
    pub starting: Duration,
    pub starts: u32,
}

impl Report {
    pub fn add(&mut self, violation: Violation) {
        *match violation.fault {
            Fault::Lost => &mut self.lost,
            Fault::Resurrected => &mut self.resurrected,
            Fault::Returned => &mut self.returned,
            Fault::SerialBack => &mut self.serial_back,
            Fault::Other => &mut self.other,
        } += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(violation);
        }
    }

    /// Everything that must not be.
    pub fn faults(&self) -> u64 {
        self.lost + self.resurrected + self.returned + self.serial_back + self.other
    }

    /// What the last line rests on.
    pub fn details(&self) -> String {
        format!(
            "torture: {} kills, {} of them before the server listened; {} messages on the way when it was killed; a start \
             took {:.0} ms, the slowest reply {:.0} ms\ntorture: after restarts {} names had to be there, {} not, {} could be either; {} were asked for \
             right after their acknowledgement",
            self.kills,
            self.kills_at_start,
            self.tally.unacknowledged,
            self.starting.as_secs_f64() * 1e3 / f64::from(self.starts.max(1)),
            self.tally.slowest.as_secs_f64() * 1e3,
            self.held,
            self.gone,
            self.either,
            self.tally.read_back,
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "torture: {} of {} rounds, seed {}: {} registrations acknowledged, {} deregistrations, lost {}, resurrected {}, \
             expired and back {}, serial steps back {}, other faults {}",
            self.good,
            self.wanted,
            self.seed,
            self.tally.registrations,
            self.tally.deregistrations,
            self.lost,
            self.resurrected,
            self.returned,
            self.serial_back,
            self.other,
        )
    }
}
