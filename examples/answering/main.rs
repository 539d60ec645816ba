//! What an answer costs with no kernel in the way: reads and answers batches of questions as a UDP worker does, without sockets.
//!
//! `scripts/bench --questions` runs it, to count the instructions of an answer. By hand, for CPU time, and for instructions and where
//! they go:
//!
//! ```text
//! cargo run --release --example answering -- 100x4
//! cargo build --release --example answering
//! valgrind --tool=callgrind --callgrind-out-file=out --collect-atstart=no '--toggle-collect=*counted_batch*' \
//!     target/release/examples/answering --untimed --batches 1000 --only A 100x4
//! callgrind_annotate --auto=yes out
//! ```
//!
//! What the figures are figures of:
//! 1. Everything between the system calls that receive a batch and send it: reading, finding, judging leases, picking, copying
//!    records. The kernel's part of an answer is many times as much.
//! 2. Each pool is asked once before any is asked again, in no order, and once before anything is counted: nothing that is made
//!    once is in it. With 100,000 pools little of what an answer reads is in the processor's caches; instructions do not tell, time does.
//! 3. Under callgrind nothing but `counted_batch` is counted, and divided by the answers that the program prints.

mod batches;
mod pools;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rollcall::policy::Policy;
use rollcall::zone::ZoneSet;
use rustix::time::{ClockId, clock_gettime};

use batches::{BATCH, Kind, Questions, Tally, Worker};
use pools::{Result, Size};

/// Answers questions without sockets, and says what it took.
#[derive(Parser)]
struct Args {
    /// Pools and members of each, as in 100x4.
    size: String,
    /// Batches of 16 questions that are counted, of each kind.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    batches: u32,
    /// A, SRV, NXDOMAIN, NODATA or mix, and nothing else.
    #[arg(long, value_name = "KIND")]
    only: Option<String>,
    /// Reads no clock: rustix's does not start under Debian 12's valgrind.
    #[arg(long)]
    untimed: bool,
    /// The pools' policy.
    #[arg(long, default_value = "round-robin")]
    policy: String,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("answering: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let size = Size::named(&args.size).ok_or("the size is POOLSxMEMBERS, up to 100000x100, as in 100x4")?;
    let policy = Policy::named(&args.policy).ok_or("there is no such policy: see the README's table")?;
    let is_asked = |name: &str| args.only.as_deref().is_none_or(|only| only == name);
    let kinds: Vec<_> = Kind::ALL.into_iter().filter(|(name, _)| is_asked(name)).collect();
    if kinds.is_empty() {
        return Err("there is no such kind of question: A, SRV, NXDOMAIN, NODATA or mix".into());
    }
    let zones = pools::publish(size, policy)?;
    for (name, kind) in kinds {
        let list = Questions::new(kind, size, true);
        let (tally, spent) = one_kind(&zones, &list, args);
        let answers = args.batches as usize * BATCH;
        if !tally.is_of(kind, answers) {
            return Err(format!("{name} {} came to {tally:?}", args.size).into());
        }
        print!("{name} {} {answers} answers {} octets", size.name(), tally.octets / answers);
        match spent {
            Some(spent) => println!(" {:.1} ns", spent.as_secs_f64() * 1e9 / answers as f64),
            None => println!(),
        }
    }
    Ok(())
}

/// Counts one list. `scripts/bench` has callgrind write a file when this is left.
#[inline(never)]
fn one_kind(zones: &ZoneSet, list: &Questions, args: &Args) -> (Tally, Option<Duration>) {
    let (mut worker, mut tally) = (Worker::warm(zones, list), Tally::default());
    let began = (!args.untimed).then(thread_cpu);
    for _ in 0..args.batches {
        counted_batch(&mut worker, zones, list, &mut tally);
    }
    (tally, began.map(|began| thread_cpu().saturating_sub(began)))
}

/// The name that callgrind is told.
#[inline(never)]
fn counted_batch(worker: &mut Worker, zones: &ZoneSet, list: &Questions, tally: &mut Tally) {
    worker.serve(black_box(zones), black_box(list), tally);
    black_box(worker);
}

/// The CPU time of this thread.
fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
