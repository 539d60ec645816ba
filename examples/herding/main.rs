//! How evenly each policy spreads load, asked by clients behind caching resolvers: a simulation around the real server.
//!
//! ```text
//! cargo run --release --example herding                 the tables, in the terminal
//! cargo run --release --example herding -- --json       every figure, for a program
//! cargo run --release --example herding -- --write      docs/herding.md and docs/herding.svg anew
//! ```
//!
//! What decides is rollcall itself, without sockets and on a simulated clock; what is modelled is what lies around it:
//!
//! ```text
//!  fleet  clients --> resolvers (caches) --question--> pool: query, views, policy
//!            '------> servers -----------heartbeats--> pool: registrar, UPDATE with load
//! ```
//!
//! 1. `pool` is a server's registrar and question path. Heartbeats are UPDATE messages, questions and answers are octets,
//!    and the registrar's tick comes every 50 ms, as in production.
//! 2. `fleet` is the clients, resolvers and servers, and measures how busy each server is.
//! 3. `study` says which trials there are, and runs them side by side.
//! 4. `report` and `plot` write down what came out.
//!
//! Seeds are fixed: the same program prints the same figures.

mod fleet;
mod plot;
mod pool;
mod report;
mod study;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Measures how evenly policies spread load behind caching resolvers.
#[derive(Parser)]
struct Args {
    /// Seconds that each trial is measured for, on its own clock.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Prints every figure as JSON.
    #[arg(long, conflicts_with = "write")]
    json: bool,
    /// Writes herding.md and herding.svg into this folder, docs if none is named.
    #[arg(long, value_name = "FOLDER", num_args = 0..=1, default_missing_value = "docs")]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("herding: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error + Send + Sync>> {
    let study = study::run(args.seconds, |done, all| eprint!("\rherding: {done} of {all} trials"))?;
    eprintln!();
    if args.json {
        println!("{:#}", report::json(&study));
    } else if let Some(folder) = &args.write {
        for (name, text) in [("herding.md", report::markdown(&study)?), ("herding.svg", plot::svg(&study))] {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
            eprintln!("herding: wrote {}", path.display());
        }
    } else {
        print!("{}", report::terminal(&study));
    }
    Ok(())
}
