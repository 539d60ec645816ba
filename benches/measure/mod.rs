//! How benchmarks measure: the CPU time of one thread, in equal samples.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use rustix::time::{ClockId, clock_gettime};

/// Samples of a figure, and how long all of them take together.
const SAMPLES: usize = 30;
const TIME: Duration = Duration::from_millis(900);
const WARM_UP: Duration = Duration::from_millis(200);

/// The CPU time of this thread.
pub struct Cpu;

impl Measurement for Cpu {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }

    fn end(&self, began: Duration) -> Duration {
        self.start().saturating_sub(began)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Benchmarks under one heading.
pub fn group<'c>(criterion: &'c mut Criterion<Cpu>, name: &str) -> BenchmarkGroup<'c, Cpu> {
    let mut group = criterion.benchmark_group(name);
    // Equal samples: each is an average, and the median of them forgets those that somebody disturbed.
    group.sampling_mode(SamplingMode::Flat).sample_size(SAMPLES).measurement_time(TIME).warm_up_time(WARM_UP);
    group
}
