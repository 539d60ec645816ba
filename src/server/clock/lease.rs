//! The clock that leases live on. Its rule: *no lease runs out while nobody could renew it*.
//!
//! ```text
//!  monotonic clock ---> less what the process was suspended for = received_ms: when a message came
//!                                '---> at most a little ahead of the registrar = now_ms: who is over
//! ```
//!
//! 1. **The process did not run** (SIGSTOP, a frozen container, a virtual machine that was paused): that time is left out for
//!    good, and leases go on where they stopped. Every reading is a sign of life, and a thread of its own leaves one twenty times
//!    a second ([`pulse`]), whatever disks, clients and the registrar do. So when there was none for over a second, nothing
//!    here has run. Whoever reads first after that leaves the time out before it says what time it is, and nobody can see a time
//!    in between. (A machine that sleeps needs none of it: CLOCK_MONOTONIC sleeps too.)
//! 2. **The registrar alone was held up** (a disk that hangs, a huge reload): heartbeats were received and wait for it, so no time
//!    is left out. But answers stand still a little ahead of what it has judged, or they would drop members whose heartbeats
//!    wait. Once it has judged what waits, they catch up: who was heard is renewed, as of when it was heard; who was not is over.
//! 3. **A full queue is no excuse**: time goes on although UPDATEs are turned away, or whoever can fill the queue could keep the
//!    dead in the answers.
//!
//! Hence expiry is exact to the millisecond whenever the registrar keeps up; it is never early; and it is late by no more than
//! the server itself was late.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use tracing::warn;

use crate::server::counters::{Counters, add, increment};

/// How far answers run ahead of what the registrar has judged. Several times as long as it takes to come round when it keeps up:
/// 50 ms between two looks at its queue, and some 50 ms for the largest group and its fsync. It is also the end of a lease
/// within which a heartbeat may come too late behind a disk that hangs, so it is short: an eighth of the shortest lease.
const HORIZON_MS: u64 = 250;
/// How far a reading may be from the last sign of life before it leaves one itself. Twice the pulse, so that those who answer
/// questions hardly ever write. Leases lose no more than this when the process is suspended.
const SIGN_MS: u64 = 100;
/// How often [`pulse`] leaves a sign.
const PULSE: Duration = Duration::from_millis(50);
/// Without a sign for longer than this, nothing here has run. Twenty pulses: no scheduler forgets a thread for so long unless
/// all of the process fares alike. Half of the shortest lease: a shorter stop costs nobody who renews in time.
const GAP_MS: u64 = 1_000;

/// What time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTime {
    /// What leases are compared with, milliseconds. Stands still while the registrar is held up, then catches up.
    pub now_ms: u64,
    /// What a message that comes now is received at, milliseconds. Stands still only while the process does not run.
    pub received_ms: u64,
}

/// The clock. Shared by those who answer and the registrar; one a server.
///
/// Time is an argument, as a closure: it is read between two readings of `away_ms`.
///
/// Each of the three numbers only grows. `away_ms` is written before `alive_ms` and read after it, so whoever sees the sign
/// that ended a gap also sees that the gap is left out; whoever does not see the sign finds the gap itself.
#[derive(Debug)]
pub struct LeaseClock {
    /// What is left out.
    away_ms: AtomicU64,
    /// The last sign of life, on the monotonic clock.
    alive_ms: AtomicU64,
    /// Up to when, on this clock, what was received has been judged.
    judged_ms: AtomicU64,
    /// Held by who leaves a sign that is due, or finds that none was left: one at a time, and rarely.
    signing: Mutex<()>,
    counters: Arc<Counters>,
}

impl LeaseClock {
    /// A clock that begins at the monotonic clock's time. It counts suspensions in `counters`.
    pub fn new(mono_ms: u64, counters: Arc<Counters>) -> Self {
        LeaseClock {
            away_ms: AtomicU64::new(0),
            alive_ms: AtomicU64::new(mono_ms),
            judged_ms: AtomicU64::new(mono_ms),
            signing: Mutex::default(),
            counters,
        }
    }

    /// What time it is by this clock when `mono_ms` is read. Neither of the two times is ever earlier than one that any
    /// thread has read before.
    pub fn read(&self, mono_ms: impl Fn() -> u64) -> LeaseTime {
        loop {
            let away_ms = self.away_ms.load(Ordering::Acquire);
            let now_ms = mono_ms();
            if now_ms > self.alive_ms.load(Ordering::Acquire).saturating_add(SIGN_MS) {
                self.sign(now_ms);
            }
            // Else the process was suspended in here, and nobody knows on which side of it the clock was read.
            if self.away_ms.load(Ordering::Acquire) == away_ms {
                let received_ms = now_ms.saturating_sub(away_ms);
                let horizon_ms = self.judged_ms.load(Ordering::Acquire).saturating_add(HORIZON_MS);
                return LeaseTime { now_ms: received_ms.min(horizon_ms), received_ms };
            }
        }
    }

    /// Leaves a sign of life, and leaves out the time before it if there was none for too long. No reading was further than
    /// [`SIGN_MS`] past the sign before, so that is where the clock goes on.
    fn sign(&self, now_ms: u64) {
        let _one = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        let gap_ms = now_ms.saturating_sub(self.alive_ms.load(Ordering::Acquire));
        if gap_ms > GAP_MS {
            self.away_ms.fetch_add(gap_ms - SIGN_MS, Ordering::Release);
            increment(&self.counters.suspensions);
            add(&self.counters.suspended_ms, gap_ms);
        }
        self.alive_ms.fetch_max(now_ms, Ordering::Release);
    }

    /// Tells that everything that was received up to then is judged and published; a time that was read as `received_ms`.
    pub fn judged(&self, received_ms: u64) {
        self.judged_ms.fetch_max(received_ms, Ordering::AcqRel);
    }

    /// Up to when everything is judged.
    pub fn judged_ms(&self) -> u64 {
        self.judged_ms.load(Ordering::Acquire)
    }
}

/// Leaves signs of life until nobody has the clock any more, and says in the log when there were none. It alone writes there:
/// who answers must not wait for a log.
pub fn pulse(leases: &Weak<LeaseClock>) {
    let mut told_ms = 0;
    while let Some(leases) = leases.upgrade() {
        leases.now();
        let suspended_ms = leases.counters.suspended_ms.load(Ordering::Relaxed);
        if suspended_ms > told_ms {
            let seconds = (suspended_ms - told_ms) as f64 / 1000.0;
            warn!("this process did not run for {seconds:.1} s: leases go on where they stopped");
            told_ms = suspended_ms;
        }
        drop(leases);
        thread::sleep(PULSE);
    }
}

#[cfg(test)]
mod tests;
