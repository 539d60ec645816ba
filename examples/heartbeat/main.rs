//! A fleet on one socket: registers pools with signed UPDATEs, then repeats them and counts what is accepted.
//!
//! `scripts/bench` runs it, to fill a server with pools and to measure heartbeats. By hand:
//!
//! ```text
//! rollcall keygen bench --key-file bench.key >> rollcall.toml
//! cargo run --release --example heartbeat -- 127.0.0.1:5300 --key bench.key --seconds 10
//! cargo run --release --example heartbeat -- 127.0.0.1:5300 --key bench.key --seconds 10 --wrong-key 10000
//! cargo run --release --example heartbeat -- 127.0.0.1:5300 --key bench.key --seconds 10 --changes 100
//! ```
//!
//! What the figures are figures of:
//! 1. Every heartbeat is one datagram with an address, a SRV, a TXT and a TSIG, and is repeated as a member repeats it: the
//!    same records, signed again each second. All are signed before the clock starts; a client that signs as it goes is
//!    slower than the server.
//! 2. A member has one heartbeat on the way at a time, and the fleet at most `--window`: nothing is lost to a full queue,
//!    and the rate is the server's.
//! 3. A heartbeat counts when its reply says NOERROR. Signatures of replies are not checked: that too is the client's time.
//!    What has no reply when the server falls silent for a second is lost.
//! 4. With `--wrong-key` the same messages are signed with another secret, and sent at a rate of their own whether or not
//!    they are answered: somebody who attacks does not wait. Any reply but NOTAUTH ends it.
//! 5. With `--changes` one pool changes at a rate of its own, and each change is news: a member leaves and joins again, the next
//!    says another weight and its old one. Any reply but NOERROR ends it.

#![allow(clippy::disallowed_methods, reason = "a client has a clock and a socket of its own")]

mod client;
mod messages;

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Parser;
use rollcall::server::clock;
use rollcall::wire::tsig::{Algorithm, Key};
use rollcall::wire::{Name, Rcode};

use client::{Client, Tally};
use messages::{CHANGES, signed_change, signed_fleet};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What is signed ahead must still be within its fudge, 300 s, at the end.
const SECONDS_MAX: u64 = 240;
/// Registers a fleet, then lets it send heartbeats.
#[derive(Parser)]
struct Args {
    /// The server's UDP address.
    server: SocketAddr,
    /// The key file, as `rollcall keygen --key-file` writes it; hmac-sha256.
    #[arg(long, value_name = "PATH")]
    key: PathBuf,
    /// The zone, whose pools are p00, p01 and so on.
    #[arg(long, default_value = "pool.example.")]
    zone: Name,
    /// How many pools.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pools: u32,
    /// The number of the first pool.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    first_pool: u32,
    /// Members in each pool.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    members: u16,
    /// Seconds of heartbeats; 0 registers, and no more.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=SECONDS_MAX))]
    seconds: u64,
    /// Heartbeats on the way at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    window: u16,
    /// No registrations and no heartbeats, but so many UPDATEs a second signed with another secret.
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    wrong_key: Option<u32>,
    /// No registrations and no heartbeats, but so many changes a second of the first pool, whose members are there: one leaves
    /// and joins again, the next says another weight and its old one, and so on.
    #[arg(long, value_name = "RATE", conflicts_with = "wrong_key", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    changes: Option<u32>,
    /// The server's process on this machine: its CPU time a heartbeat is printed too.
    #[arg(long)]
    pid: Option<u32>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("heartbeat: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let client = Client::connect(args.server, args.window)?;
    let key = read_key(&args.key)?;
    match (args.wrong_key, args.changes) {
        (Some(rate), _) => attack(args, &key, rate, client),
        (None, Some(rate)) => change(args, &key, rate, client),
        (None, None) => register(args, &key, client),
    }
}

/// Registers the fleet, and lets it send heartbeats.
fn register(args: &Args, key: &Key, mut client: Client) -> Result<()> {
    let now_s = clock::wall_s();
    // The registrations, then a round of heartbeats for each second.
    let sign = |second| signed_fleet(args, key, now_s + second);
    let mut fleet = (0..=args.seconds).map(sign).collect::<Result<Vec<_>>>()?;
    let (registrations, heartbeats) = fleet.split_first_mut().ok_or("nothing to send")?;
    let joined = client.join(registrations)?;
    println!("members {}", joined.accepted);
    println!("joins_a_second {:.0}", joined.a_second());
    if args.seconds == 0 {
        return Ok(());
    }
    let cpu_before = args.pid.map(cpu_time).transpose()?;
    let beaten = client.beat(heartbeats, Duration::from_secs(args.seconds))?;
    println!("accepted_a_second {:.0}", beaten.a_second());
    print_rest(args, &beaten, beaten.accepted, cpu_before)?;
    if beaten.accepted == 0 {
        return Err("no heartbeat was accepted; the server's log says why".into());
    }
    Ok(())
}

/// Sends what the key did not sign.
fn attack(args: &Args, key: &Key, rate: u32, mut client: Client) -> Result<()> {
    let wrong = Key::new(key.name(), key.algorithm(), b"another secret")?;
    let mut messages = signed_fleet(args, &wrong, clock::wall_s())?;
    let cpu_before = args.pid.map(cpu_time).transpose()?;
    let members = messages.len();
    let send = |client: &mut Client, number: usize| client.send(number % members, &mut messages);
    let tally = client.pace(total(args, rate), rate, Rcode::NOTAUTH, send)?;
    println!("refused_a_second {:.0}", tally.refused as f64 / tally.took.as_secs_f64());
    print_rest(args, &tally, tally.refused, cpu_before)?;
    if tally.refused == 0 {
        return Err("nothing was refused; is --seconds above 0, and the server running?".into());
    }
    Ok(())
}

/// Changes one pool, and leaves it as it was.
fn change(args: &Args, key: &Key, rate: u32, mut client: Client) -> Result<()> {
    if args.members < 2 {
        return Err("--changes takes --members from 2: one leaves, another says a new weight".into());
    }
    let cpu_before = args.pid.map(cpu_time).transpose()?;
    // Signed when it is sent, for in a minute the same member has two messages; at this rate a client has the time.
    let send = |client: &mut Client, number: usize| {
        client.send(0, &mut [signed_change(args, key, clock::wall_s(), number)?])
    };
    let tally = client.pace(total(args, rate) / CHANGES * CHANGES, rate, Rcode::NOERROR, send)?;
    println!("accepted_a_second {:.0}", tally.a_second());
    print_rest(args, &tally, tally.accepted, cpu_before)?;
    if tally.accepted == 0 {
        return Err("no change was accepted; is --seconds above 0, and the server running?".into());
    }
    Ok(())
}

/// How many messages a rate makes.
fn total(args: &Args, rate: u32) -> usize {
    args.seconds as usize * rate as usize
}

/// What became of them, how long those that count were on the way, and what one cost.
fn print_rest(args: &Args, tally: &Tally, counted: u64, cpu_before: Option<Duration>) -> Result<()> {
    println!("accepted {}\nrefused {}\nlost {}", tally.accepted, tally.refused, tally.lost);
    let each_us = |time: Duration| time.as_secs_f64() * 1e6 / (counted.max(1) as f64);
    println!("latency_us {:.0}", each_us(tally.waited));
    if let (Some(pid), Some(before)) = (args.pid, cpu_before) {
        println!("cpu_us {:.2}", each_us(cpu_time(pid)?.saturating_sub(before)));
    }
    Ok(())
}

/// The name and the secret out of a key file: the two texts in quotation marks.
fn read_key(path: &Path) -> Result<Key> {
    let bad = |reason: &dyn std::fmt::Display| format!("{}: {reason}", path.display());
    let text = fs::read_to_string(path).map_err(|error| bad(&error))?;
    let mut quoted = text.split('"').skip(1).step_by(2);
    let (Some(name), Some(secret), true) = (quoted.next(), quoted.next(), text.contains("hmac-sha256"))
    else {
        return Err(
            bad(&"not a key file for hmac-sha256; make one with `rollcall keygen NAME --key-file`").into()
        );
    };
    let name = Name::bytes_from_str(name).map_err(|error| bad(&error))?;
    let secret = BASE64.decode(secret).map_err(|error| bad(&error))?;
    Ok(Key::new(&name, Algorithm::HmacSha256, &secret)?)
}

/// CPU time, user and system, of all threads of a process so far. The kernel counts it in nanoseconds; what
/// `/proc/PID/stat` has are ticks of 10 ms.
fn cpu_time(pid: u32) -> Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanos += text.split(' ').next().ok_or("an empty schedstat")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}
