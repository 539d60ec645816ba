//! The command line; the commands that need no server, `check` and `keygen`, `explain`, which asks one, and `drain` and
//! `undrain`, which tell one.
//!
//! Data goes to standard output, messages to standard error. Commands write to what they are given and return an exit code,
//! so tests read both; nothing here ends the process.

mod check;
mod decision;
mod drain;
mod explain;
mod keygen;
mod nsupdate_script;
mod reading;
mod reload;
mod restoring;
mod serve;
mod session;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser};

use crate::config::Overrides;
use crate::wire::{Name, Rtype, tsig};

pub use check::check;
pub use decision::explain;
pub use drain::{AdminArgs, DrainArgs, MemberPath, UndrainArgs, drain, undrain};
pub use keygen::keygen;
pub use serve::{ServeFailure, serve};

/// Exit code of a command that did what it was asked for.
pub const EXIT_OK: u8 = 0;
/// Exit code of a command that could not, and said why on standard error. Usage errors have clap's, 2.
pub const EXIT_FAILED: u8 = 1;
/// Exit code of a command that was asked for what cannot be.
pub const EXIT_USAGE: u8 = 2;

/// rollcall, an authoritative DNS server that answers only with the servers that are present.
#[derive(Debug, Parser)]
#[command(
    name = "rollcall",
    version,
    about = "An authoritative DNS server that answers only with the servers that are present",
    long_about = "An authoritative DNS server that answers only with the servers that are present.\n\n\
        Servers join pools by DNS UPDATE, keep their place by repeating it, and vanish from answers when they fall silent.",
    after_help = AFTER_HELP
)]
pub enum Cli {
    /// Serve the zones until SIGTERM
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Read the configuration as `serve` would, and say what it amounts to
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Say why the running server answers a question as it does, member by member
    #[command(after_help = DECISION_HELP)]
    Explain(DecisionArgs),
    /// Have a member get no more clients, for a time or until `undrain`
    #[command(after_help = drain::DRAIN_HELP)]
    Drain(DrainArgs),
    /// Let a drained member have clients again
    #[command(after_help = drain::UNDRAIN_HELP)]
    Undrain(UndrainArgs),
    /// Make a TSIG key for a server or a fleet of them
    #[command(after_help = KEYGEN_HELP)]
    Keygen(KeygenArgs),
}

const AFTER_HELP: &str = "\
Examples:
  rollcall serve                        serve zones/ on port 5300 of loopback
  rollcall check                        is the configuration good?
  rollcall explain web.pool.example     who is in the answer, and why
  rollcall drain web/m1 --for 10m       no more clients for m1 of web
  rollcall keygen web                   a key for the web servers
  dig @127.0.0.1 -p 5300 web.pool.example A";

const SERVE_HELP: &str = "\
Examples:
  rollcall serve
  rollcall serve --config /etc/rollcall/rollcall.toml
  rollcall serve --listen 192.0.2.53:53 --listen [2001:db8::53]:53
  rollcall serve --config /etc/rollcall/rollcall.toml --take-over

With --take-over, this server gets the sockets and then the state of the one that runs: give it the same arguments. The
other answers until this one is ready, then ends. If this one fails before that, the other goes on. If there is none, this
one simply starts.

Without --listen, and without `listen` in the file, it is 127.0.0.1:5300 and [::1]:5300.
Without --state, and without `state` in the file, the state is kept in $STATE_DIRECTORY, else in
$XDG_STATE_HOME/rollcall, else in ~/.local/state/rollcall.";

const CHECK_HELP: &str = "\
Examples:
  rollcall check
  rollcall check --zones zones
  rollcall check --json | jq '.zones[].pools'
  rollcall check --explain-update join.nsupdate
  rollcall check --explain-update - --key web --from 192.0.2.7 < join.nsupdate

FILE is what `serve --config` takes; the zones are read with it. Nothing is opened for use or written: it may run
beside a running server. So it does not look whether ports and state directory are free. The exit code is 0 if the
configuration is good, warnings or not, else 1.

With --explain-update, SCRIPT is what nsupdate reads. For each of its lines it says what the line is to rollcall, and
which grant allows it or why the server would refuse it. Records of one member, or of one name, are allowed together or
not at all, and one refusal refuses its message. Not judged is what depends on who is there: conditions (prereq), whose
a member is, whether a member is there that attributes or a SRV alone are for, and how full the server is; nor is the
secret of a `key` line. The exit code is 0 if every line is allowed, else 1.";

const DECISION_HELP: &str = "\
Examples:
  rollcall explain web.pool.example
  rollcall explain _http._tcp.web.pool.example SRV
  rollcall explain web.pool.example AAAA --server [2001:db8::53]:53
  rollcall explain web.pool.example --client 192.0.2.7
  rollcall explain web.pool.example --json | jq '.members[] | select(.answer)'

It asks the server over TCP for the pool's `_status`, which networks in `debug_from` are told, and then the question
itself: one answer is picked, and counts as one. The number in the first column is the member's place in that answer.

No policy looks at who asks, so every client is picked for alike. --client says whether `_status` would be told to that
address too; the server is asked from here all the same.

The exit code is 0 if there was something to explain, else 1: no server, no such name, or nothing that we are told.";

const KEYGEN_HELP: &str = "\
Examples:
  rollcall keygen web
  rollcall keygen web --key-file web.key >> rollcall.toml
  nsupdate -k web.key

The [[key]] lines on standard output are for rollcall.toml. The key file is for nsupdate and everything
else that reads BIND's; rollcall.toml may name it instead of those lines: [[key]] with file = \"web.key\".";

/// Arguments of `serve`.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Configuration file [default: rollcall.toml in the working directory, if there is one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen here, over UDP and TCP, and not where the file says; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listener)]
    pub listen: Vec<SocketAddr>,
    /// Directory of NAME.zone and NAME.toml files [default: zones beside the configuration file]
    #[arg(long, value_name = "DIR")]
    pub zones: Option<PathBuf>,
    /// Directory where members outlive a restart
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Take over from the server that uses this state directory, without a lost question; it ends when this one is ready
    #[arg(long)]
    pub take_over: bool,
    /// Log heartbeats too, not only what changes
    #[arg(long, short)]
    pub verbose: bool,
}

impl ServeArgs {
    /// What these arguments say instead of the configuration file.
    pub fn overrides(&self) -> Overrides {
        Overrides { listen: self.listen.clone(), zones: self.zones.clone(), state: self.state.clone() }
    }
}

/// Arguments of `check`.
#[derive(Debug, Default, Args)]
pub struct CheckArgs {
    /// Configuration file [default: rollcall.toml in the working directory, if there is one]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Directory of NAME.zone and NAME.toml files [default: zones beside the configuration file]
    #[arg(long, value_name = "DIR")]
    pub zones: Option<PathBuf>,
    /// Print one JSON object, also when the configuration is bad
    #[arg(long)]
    pub json: bool,
    /// What to explain instead.
    #[command(flatten)]
    pub explain: ExplainArgs,
}

/// Arguments of `check --explain-update`.
#[derive(Debug, Default, Args)]
pub struct ExplainArgs {
    /// Say which grant allows or refuses each line of an nsupdate script; - reads standard input
    #[arg(long = "explain-update", value_name = "SCRIPT")]
    pub script: Option<PathBuf>,
    /// Where the updates come from [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", requires = "script")]
    pub from: Option<IpAddr>,
    /// Take them as signed with this key of the configuration [default: the script's `key`, else unsigned]
    #[arg(long, value_name = "NAME", requires = "script", value_parser = name)]
    pub key: Option<Name>,
    /// Take them as sent over TCP, not in a datagram without a DNS cookie
    #[arg(long, requires = "script")]
    pub tcp: bool,
}

/// Where `serve` listens when nobody says.
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5300);

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct DecisionArgs {
    /// The whole name that is asked for: a pool, a service, a member, or any other
    #[arg(value_parser = question_name)]
    pub name: Name,
    /// The type that is asked for
    #[arg(value_name = "TYPE", default_value = "A", value_parser = question_type)]
    pub rtype: Rtype,
    /// Say what this client would be told
    #[arg(long, value_name = "ADDRESS")]
    pub client: Option<IpAddr>,
    /// The server to ask, over TCP
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listener, default_value_t = SERVER)]
    pub server: SocketAddr,
    /// Print one JSON object, also when there is nothing to explain
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `keygen`.
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// The key's name: whom it is for, such as web or web.pool.example
    #[arg(value_parser = key_name)]
    pub name: Name,
    /// hmac-sha256, hmac-sha384 or hmac-sha512
    #[arg(long, value_name = "NAME", default_value = "hmac-sha256", value_parser = algorithm)]
    pub algorithm: tsig::Algorithm,
    /// Write the file that `nsupdate -k` reads; one that exists is not replaced
    #[arg(long, value_name = "PATH")]
    pub key_file: Option<PathBuf>,
}

fn listener(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "give ADDRESS:PORT, such as 127.0.0.1:5300 or [::1]:5300".into())
}

/// A name of a key that is there already, whatever its characters.
fn name(text: &str) -> Result<Name, String> {
    Name::bytes_from_str(text).map_err(|_| "give the key's name, such as web or web.pool.example".into())
}

fn question_name(text: &str) -> Result<Name, String> {
    Name::bytes_from_str(text).map_err(|_| "give a whole domain name, such as web.pool.example".into())
}

/// A type that a question about a name may have and an answer explain.
fn question_type(text: &str) -> Result<Rtype, String> {
    let is_no_data = |rtype: &Rtype| {
        matches!(*rtype, Rtype::OPT | Rtype::TSIG | Rtype::TKEY | Rtype::AXFR | Rtype::IXFR)
            || matches!(*rtype, Rtype::MAILA | Rtype::MAILB | Rtype::ANY)
    };
    let rtype = text.parse::<Rtype>().ok().filter(|rtype| !is_no_data(rtype));
    rtype.ok_or_else(|| "give a record type, such as A, AAAA, SRV or TXT".into())
}

/// Names of letters, digits, `-`, `_` and dots alone: every program reads those alike, quoted or not.
fn key_name(text: &str) -> Result<Name, String> {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    match Name::bytes_from_str(text) {
        Ok(name) if name.label_count() > 1 && text.bytes().all(plain) => Ok(name),
        _ => Err("give a domain name of letters, digits, `-`, `_` and dots".into()),
    }
}

fn algorithm(text: &str) -> Result<tsig::Algorithm, String> {
    // The others are for clients that are there already, and those have their keys.
    let offered = tsig::Algorithm::named(text).filter(|algorithm| !algorithm.is_legacy());
    offered.ok_or_else(|| "give hmac-sha256, hmac-sha384 or hmac-sha512".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_are_typed() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        let Ok(Cli::Serve(serve)) = parse("rollcall serve --listen 127.0.0.1:1 --listen [::1]:2 --state s")
        else {
            panic!("serve")
        };
        assert_eq!(serve.overrides().listen.len(), 2);
        assert_eq!(serve.overrides().state, Some("s".into()));
        let Ok(Cli::Keygen(keygen)) = parse("rollcall keygen web --algorithm hmac-sha512") else {
            panic!("keygen")
        };
        assert_eq!(keygen.algorithm, tsig::Algorithm::HmacSha512);
        let Ok(Cli::Check(check)) =
            parse("rollcall check --explain-update - --from 192.0.2.7 --key web --tcp")
        else {
            panic!("check")
        };
        assert_eq!((check.explain.script, check.explain.tcp), (Some("-".into()), true));
        let Ok(Cli::Explain(decision)) = parse("rollcall explain web.pool.example --client ::1 --json")
        else {
            panic!("explain")
        };
        assert_eq!((decision.rtype, decision.server), (Rtype::A, "127.0.0.1:5300".parse().unwrap()));
        let decision = ["rollcall explain", "rollcall explain a..b", "rollcall explain a MX7"];
        let more_decision =
            ["rollcall explain a OPT", "rollcall explain a --client web", "rollcall explain a axfr"];
        let usage = [
            "rollcall",
            "rollcall keygen",
            "rollcall keygen a\"b",
            "rollcall keygen .",
            "rollcall keygen a..b",
        ];
        let more = ["rollcall keygen web --algorithm hmac-md5", "rollcall serve --listen localhost"];
        let legacy =
            ["rollcall keygen web --algorithm hmac-sha1", "rollcall keygen web --algorithm hmac-sha224"];
        let explain =
            ["rollcall check --from ::1", "rollcall check --tcp", "rollcall check --explain-update"];
        let explain = explain.into_iter().chain(decision).chain(more_decision);
        for line in usage.into_iter().chain(more).chain(legacy).chain(explain) {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_listener_that_is_none_is_told_what_one_looks_like() {
        for text in ["localhost:5301", "127.0.0.1", "::1:53x", "[::1]"] {
            let error = Cli::try_parse_from(["rollcall", "serve", "--listen", text]).unwrap_err().to_string();
            assert!(error.contains("give ADDRESS:PORT, such as 127.0.0.1:5300 or [::1]:5300"), "{error}");
        }
    }

    #[test]
    fn every_command_explains_itself_with_examples() {
        for command in ["serve", "check", "explain", "drain", "undrain", "keygen"] {
            let help = Cli::try_parse_from(["rollcall", command, "--help"]).unwrap_err().to_string();
            assert!(help.contains("Examples:\n  rollcall "), "{help}");
        }
        let version = Cli::try_parse_from(["rollcall", "--version"]).unwrap_err().to_string();
        assert_eq!(version, concat!("rollcall ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}
