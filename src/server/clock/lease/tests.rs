//! The lease clock on a time that the test moves: alone, on random histories, and raced.

use std::cell::Cell;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;

/// The clock, and the monotonic clock that it is told.
struct World {
    leases: LeaseClock,
    counters: Arc<Counters>,
    mono_ms: Cell<u64>,
}

impl World {
    fn new() -> Self {
        let counters = Arc::new(Counters::new(0));
        let leases = LeaseClock::new(10_000, Arc::clone(&counters));
        World { leases, counters, mono_ms: Cell::new(10_000) }
    }

    fn read(&self) -> LeaseTime {
        self.leases.read(|| self.mono_ms.get())
    }

    /// Nothing runs for so long.
    fn suspend(&self, ms: u64) {
        self.mono_ms.set(self.mono_ms.get() + ms);
    }

    /// Time passes while somebody is alive, and the registrar is not.
    fn pass(&self, ms: u64) -> LeaseTime {
        for _ in 0..ms / 50 {
            self.suspend(50);
            self.read();
        }
        self.suspend(ms % 50);
        self.read()
    }

    /// Time passes, and the registrar looks at its queue, which is empty.
    fn pass_idle(&self, ms: u64) -> LeaseTime {
        let time = self.pass(ms);
        self.leases.judged(time.received_ms);
        self.read()
    }

    fn counted(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.counters.suspensions), read(&self.counters.suspended_ms))
    }
}

fn both(ms: u64) -> LeaseTime {
    LeaseTime { now_ms: ms, received_ms: ms }
}

#[test]
fn it_follows_the_monotonic_clock_to_the_millisecond() {
    let world = World::new();
    for ms in [0, 1, 49, 50, 51, 100, HORIZON_MS] {
        let before = world.mono_ms.get();
        assert_eq!(world.pass_idle(ms), both(before + ms), "{ms}");
    }
    assert_eq!(world.counted(), (0, 0));
}

#[test]
fn a_registrar_that_is_held_up_holds_answers_up_and_they_catch_up() {
    let world = World::new();
    assert_eq!(world.pass(HORIZON_MS), both(10_250));
    assert_eq!(world.pass(30_000), LeaseTime { now_ms: 10_250, received_ms: 40_250 }, "messages still come");
    // It has judged what came in the first twenty seconds.
    world.leases.judged(30_000);
    assert_eq!(world.read(), LeaseTime { now_ms: 30_250, received_ms: 40_250 });
    world.leases.judged(29_000);
    assert_eq!(world.read().now_ms, 30_250, "what came late out of the queue takes nothing back");
    world.leases.judged(40_250);
    assert_eq!((world.read(), world.counted()), (both(40_250), (0, 0)), "no time is left out");
}

#[test]
fn the_time_in_which_nothing_ran_is_left_out_whoever_wakes_first() {
    let world = World::new();
    world.pass_idle(500);
    world.leases.sign(world.mono_ms.get());
    world.suspend(600_000);
    // Whoever it is: it is the first to see the time, and leases have lost no more than may lie between two signs.
    assert_eq!(world.read(), both(10_600));
    assert_eq!(world.counted(), (1, 600_000));
    assert_eq!(world.pass_idle(2_000), both(12_600), "and leases go on");
    world.leases.sign(world.mono_ms.get());
    world.suspend(GAP_MS + 1);
    assert_eq!(world.read(), both(12_700));
    assert_eq!(world.counted(), (2, 601_001));
    world.suspend(GAP_MS);
    assert_eq!(world.pass_idle(0), both(13_700), "a shorter stop is time that has passed");
    assert_eq!(world.counted(), (2, 601_001));
}

#[test]
fn a_suspension_while_the_registrar_is_held_up_is_left_out_of_both_times() {
    let world = World::new();
    world.pass(3_000);
    world.suspend(60_000);
    assert_eq!(world.read(), LeaseTime { now_ms: 10_250, received_ms: 13_100 });
    world.pass(1_000);
    world.leases.judged(13_000);
    assert_eq!(world.read(), LeaseTime { now_ms: 13_250, received_ms: 14_100 });
}

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    /// Time passes while somebody is alive.
    Pass(u64),
    /// Nothing runs.
    Suspend(u64),
    /// The registrar has emptied its queue.
    Empty,
    /// It has judged what was received until so much of what waits, per cent.
    Judge(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u64..600).prop_map(Step::Pass),
        1 => (0_u64..GAP_MS * 3).prop_map(Step::Suspend),
        1 => (0_u64..1 << 40).prop_map(Step::Suspend),
        4 => Just(Step::Empty),
        2 => (0_u64..=100).prop_map(Step::Judge),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn no_history_takes_it_back_or_ahead(steps in steps()) {
        let world = World::new();
        // What has passed while somebody was alive, as a plain sum: no less can have gone by, and no more than a sign's distance
        // at each suspension.
        let (mut lived_ms, mut suspensions, mut suspended_ms) = (10_000, 0, 0);
        let mut last = both(10_000);
        let mut judged_ms = 10_000;
        for step in steps {
            match step {
                Step::Pass(ms) => {
                    world.pass(ms);
                    lived_ms += ms;
                }
                Step::Suspend(ms) => {
                    world.read();
                    let unsigned_ms = ms + world.mono_ms.get() - world.leases.alive_ms.load(Ordering::Relaxed);
                    world.suspend(ms);
                    if unsigned_ms > GAP_MS {
                        suspensions += 1;
                        suspended_ms += unsigned_ms;
                    } else {
                        lived_ms += ms;
                    }
                    world.read();
                }
                Step::Empty => judged_ms = judged_ms.max(world.read().received_ms),
                Step::Judge(percent) => {
                    judged_ms += (world.read().received_ms - judged_ms) * percent / 100;
                }
            }
            world.leases.judged(judged_ms);
            let time = world.read();
            prop_assert!(time.now_ms >= last.now_ms && time.received_ms >= last.received_ms, "{last:?} {time:?}");
            prop_assert_eq!(time.now_ms, time.received_ms.min(judged_ms + HORIZON_MS));
            let most_ms = lived_ms + suspensions * SIGN_MS;
            prop_assert!((lived_ms..=most_ms).contains(&time.received_ms), "{time:?} {lived_ms}");
            prop_assert_eq!(world.counted(), (suspensions, suspended_ms));
            last = time;
        }
    }
}

/// Says that it is over, also when a test fails: others wait for that.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Threads that read while another jumps ahead, as a process does that was suspended, and a registrar follows.
#[test]
fn racing_threads_see_it_run_neither_back_nor_ahead() {
    const JUMPS: u64 = 200;
    const JUMP_MS: u64 = 1_000_000;
    let mono_ms = AtomicU64::new(10_000);
    let leases = LeaseClock::new(10_000, Arc::new(Counters::new(0)));
    let read = || leases.read(|| mono_ms.load(Ordering::SeqCst));
    // The latest of each time that anybody has seen.
    let (latest_now_ms, latest_received_ms) = (AtomicU64::new(0), AtomicU64::new(0));
    let lived_ms = AtomicU64::new(10_000);
    let over = AtomicBool::new(false);
    let look = || {
        let before = (latest_now_ms.load(Ordering::SeqCst), latest_received_ms.load(Ordering::SeqCst));
        let time = read();
        assert!(time.now_ms >= before.0 && time.received_ms >= before.1, "back: {before:?} {time:?}");
        assert!(time.now_ms <= time.received_ms);
        let most_ms = lived_ms.load(Ordering::SeqCst) + JUMPS * SIGN_MS;
        assert!(time.received_ms <= most_ms, "ahead: {time:?}, {most_ms} at most");
        latest_now_ms.fetch_max(time.now_ms, Ordering::SeqCst);
        latest_received_ms.fetch_max(time.received_ms, Ordering::SeqCst);
        time
    };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    look();
                }
            });
        }
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                leases.judged(look().received_ms);
            }
        });
        let _over = Over(&over);
        for _ in 0..JUMPS {
            for _ in 0..50 {
                lived_ms.fetch_add(7, Ordering::SeqCst);
                mono_ms.fetch_add(7, Ordering::SeqCst);
                look();
            }
            mono_ms.fetch_add(JUMP_MS, Ordering::SeqCst);
            if fastrand::bool() {
                thread::yield_now();
            }
            look();
        }
    });
    let suspensions = leases.counters.suspensions.load(Ordering::Relaxed);
    assert_eq!(suspensions, JUMPS, "each was found, and once");
    let least_ms = lived_ms.load(Ordering::Relaxed);
    assert!(read().received_ms >= least_ms, "nothing is lost but what was jumped over");
}

#[test]
fn the_pulse_ends_with_the_clock() {
    let leases = Arc::new(LeaseClock::new(crate::server::clock::now_ms(), Arc::new(Counters::new(0))));
    let clocks = Arc::downgrade(&leases);
    let pulse = thread::spawn(move || pulse(&clocks));
    drop(leases);
    pulse.join().unwrap();
}
