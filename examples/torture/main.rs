//! Kills the real server again and again while clients register, and counts what it loses and what it believes alive.
//!
//! ```text
//! scripts/torture --rounds 100             builds the release program and this, and runs it
//! scripts/torture --rounds 100 --seed 7    the same choices again; what meets what is up to the machine
//! ```
//!
//! `tests/torture.rs` has a few rounds of the very same for every run of the tests.
//!
//! 1. `rounds` starts the server on a state directory of its own, lets clients work, kills it with SIGKILL, starts it again,
//!    sometimes killing it while it starts, and checks.
//! 2. `client` owns members and ordinary names that no other client touches, one message a name on the way. It joins, renews,
//!    changes, leaves, falls silent.
//! 3. `ledger` is what must be there, may be, or must not: from acknowledgements, and from when the server was killed.
//! 4. `check` asks for every name, and every pool as a whole, and holds the answers against that.
//! 5. `message` is the wire, by hickory-proto; `server` the process; `report` the figures.

#![allow(clippy::disallowed_methods, reason = "clients have clocks and sockets of their own")]

mod check;
mod client;
mod ledger;
mod message;
mod report;
mod rounds;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use report::Report;
use rounds::{CLIENTS_MAX, Plan};

/// How often it is said how far it has come.
const PROGRESS_ROUNDS: u32 = 10;

/// Kills a server under its clients, round after round.
#[derive(Parser)]
struct Args {
    /// The program that is tortured.
    #[arg(long, value_name = "PATH", default_value = "target/release/rollcall")]
    program: PathBuf,
    /// How often the server is killed under its clients.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What all choices follow from; drawn if it is not given.
    #[arg(long)]
    seed: Option<u64>,
    /// Clients at a time, each with 28 members and 10 names.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=i64::from(CLIENTS_MAX)))]
    clients: u16,
}

fn main() -> ExitCode {
    let Args { program, rounds, seed, clients } = Args::parse();
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let started = Instant::now();
    let mut told = 0;
    let mut progress = |report: &Report| {
        for violation in report.told.iter().skip(told) {
            eprintln!("torture: {violation}");
        }
        told = report.told.len();
        if report.rounds.is_multiple_of(PROGRESS_ROUNDS) {
            let seconds = started.elapsed().as_secs();
            eprintln!(
                "torture: {} rounds of {rounds}, {seconds} s, {} faults",
                report.rounds,
                report.faults()
            );
        }
    };
    match rounds::run(Plan { rounds, seed, clients }, &program, &mut |_, _| Ok(()), &mut progress) {
        Ok(report) => {
            println!("{}", report.details());
            println!("torture: {:.0} s", started.elapsed().as_secs_f64());
            println!("{report}");
            if report.faults() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("torture: seed {seed}: {error}");
            ExitCode::FAILURE
        }
    }
}
