//! Arguments to calls; everything else is in the library.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use rollcall::cli::{self, Cli, EXIT_FAILED, EXIT_OK};
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr());
    let code = match Cli::parse() {
        Cli::Serve(args) => {
            log_to_stderr(args.verbose);
            cli::serve(&args).map_or_else(
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

fn log_to_stderr(verbose: bool) {
    let level = if verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}
