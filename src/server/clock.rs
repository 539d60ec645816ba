//! The one reader of clocks. Everywhere else time is an argument.
//!
//! Leases run on the lease clock ([`LeaseClock`]), which follows the monotonic clock, which no administrator and no NTP step
//! moves; wall time serves TSIG (RFC 8945 section 5.2.3) and the store, whose times must outlive the process. What is between
//! the server and its clients alone, such as how long a connection may rest, is on the plain monotonic clock.

mod lease;

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use crate::store::Moment;
use crate::update::Clock;

pub use lease::{LeaseClock, LeaseTime, pulse};

#[expect(clippy::disallowed_methods, reason = "the clock's own file")]
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the process first asked, on the monotonic clock. The first answer is 1, so that 0 is always past.
pub fn now_ms() -> u64 {
    1 + STARTED.elapsed().as_millis() as u64
}

/// Seconds since 1970 on the wall clock.
pub fn wall_s() -> u64 {
    wall().as_secs()
}

/// The same modulo 2^32, as the serial arithmetic of cookies has it (RFC 9018 section 4.3).
pub fn serial_s() -> u32 {
    wall_s() as u32
}

/// Milliseconds since 1970 on the wall clock.
pub fn wall_ms() -> u64 {
    wall().as_millis() as u64
}

/// Microseconds on the kernel's monotonic clock, which other processes read alike.
pub fn monotonic_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // Neither is ever negative.
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// Both clocks, as the store takes them, before leases have a clock of their own.
pub fn moment() -> Moment {
    Moment { now_ms: now_ms(), wall_ms: wall_ms() }
}

impl LeaseClock {
    /// What time it is.
    pub fn now(&self) -> LeaseTime {
        self.read(now_ms)
    }

    /// The time and the wall clock's, as the registrar takes them.
    pub fn both(&self) -> Clock {
        Clock { now_ms: self.now().now_ms, wall_s: wall_s() }
    }

    /// The same as the store takes them. An end is told to another process by how long it takes from now on: not from where
    /// a registrar that is held up keeps the time, which is made up for.
    pub fn moment(&self) -> Moment {
        Moment { now_ms: self.now().received_ms, wall_ms: wall_ms() }
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock's own file")]
fn wall() -> Duration {
    // A machine that believes to be before 1970 fails every TSIG check, which is where its operator learns of it.
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
