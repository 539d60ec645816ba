//! Arguments to calls; everything else is in the library.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use rollcall::cli::{self, Cli, EXIT_FAILED, EXIT_OK};
use rollcall::server;

/// What members held is the system's again soon after they have left; Cargo.toml has the figures.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    let code = match Cli::parse() {
        Cli::Serve(args) => {
            let served = server::log_to_stderr(args.verbose)
                .map_err(|error| format!("cannot start a thread for the log: {error}"))
                .and_then(|()| cli::serve(&args).map_err(|failure| failure.to_string()));
            server::flush_log();
            served.map_or_else(
                |failure| {
                    // Nobody is left to tell if this cannot be written.
                    _ = writeln!(err, "rollcall: {failure}");
                    EXIT_FAILED
                },
                |()| EXIT_OK,
            )
        }
        // A reader that went away, as `head` does, has what it wanted.
        Cli::Check(args) => cli::check(&args, &mut out, &mut err).unwrap_or(EXIT_FAILED),
        Cli::Explain(args) => cli::explain(&args, &mut out, &mut err).unwrap_or(EXIT_FAILED),
        Cli::Drain(args) => cli::drain(&args, &mut out, &mut err).unwrap_or(EXIT_FAILED),
        Cli::Undrain(args) => cli::undrain(&args, &mut out, &mut err).unwrap_or(EXIT_FAILED),
        Cli::Keygen(args) => cli::keygen(&args, &mut out, &mut err).unwrap_or(EXIT_FAILED),
    };
    ExitCode::from(code)
}
