//! A fleet on one socket: registers pools with signed UPDATEs, then repeats them and counts what is accepted.
//!
//! `scripts/bench` runs it, to fill a server with pools and to measure heartbeats. By hand:
//!
//! ```text
//! rollcall keygen bench --key-file bench.key >> rollcall.toml
//! cargo run --release --example heartbeat -- 127.0.0.1:5300 --key bench.key --seconds 10
//! cargo run --release --example heartbeat -- 127.0.0.1:5300 --key bench.key --seconds 10 --wrong-key 10000
//! cargo run --release --example heartbeat -- 127.0.0.1:5300 --key bench.key --seconds 10 --changes 100
//! cargo run --release --example heartbeat -- 127.0.0.1:5300 --key bench.key --present --loads --seconds 10 --rate 20000
//! cargo run --release --example heartbeat -- 127.0.0.1:5300 --key bench.key --addresses 10 --window 200
//! cargo run --release --example heartbeat -- 127.0.0.1:5300 --key bench.key --leave
//! ```
//!
//! Any server that takes UPDATEs will do: `--present` sends heartbeats for members that it has already.
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
//! 5. With `--rate` heartbeats are sent at a rate of their own, each member's once a second at most; the others wait for replies.
//! 6. With `--addresses` each member moves so many times, one message after another, each sent once: the address that it had is deleted
//!    and another added. With `--leave` each deletes its records. Any reply but NOERROR ends both.
//! 7. With `--changes` one pool changes at a rate of its own, and each change is news: a member leaves and joins again, the next
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
use messages::{CHANGES, questions, signed_change, signed_departures, signed_fleet, signed_moves};

/// Members that are watched as they fall silent, about.
const SAMPLE: usize = 1_000;

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
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    first_pool: u32,
    /// Members in each pool.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1000))]
    members: u16,
    /// Seconds of heartbeats; 0 registers, and no more.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=SECONDS_MAX))]
    seconds: u64,
    /// Nobody is registered: the members are there.
    #[arg(long)]
    present: bool,
    /// Heartbeats say another load each second.
    #[arg(long)]
    loads: bool,
    /// So many heartbeats a second, whether or not the last ones are answered; no more than there are members.
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..=200_000))]
    rate: Option<u32>,
    /// No registrations and no heartbeats, but as many rounds in which each member says another address.
    #[arg(long, value_name = "ROUNDS", conflicts_with_all = ["seconds", "present"], value_parser = clap::value_parser!(u8).range(1..=100))]
    addresses: Option<u8>,
    /// After one heartbeat each the members fall silent: how long after the end of their leases, of so many seconds, they are gone
    /// from the answers, for a sample of them.
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["seconds", "addresses"], value_parser = clap::value_parser!(u64).range(2..=3600))]
    silence: Option<u64>,
    /// No registrations and no heartbeats, but every member leaves.
    #[arg(long, conflicts_with_all = ["seconds", "present", "addresses"])]
    leave: bool,
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
    match (args.wrong_key, args.changes, args.addresses) {
        (Some(rate), ..) => attack(args, &key, rate, client),
        (None, Some(rate), _) => change(args, &key, rate, client),
        (None, None, Some(rounds)) => move_house(args, &key, rounds, client),
        (None, None, None) if args.leave => leave(args, &key, client),
        (None, None, None) if args.silence.is_some() => fall_silent(args, &key, client),
        (None, None, None) => register(args, &key, client),
    }
}

/// Registers the fleet, and lets it send heartbeats.
fn register(args: &Args, key: &Key, mut client: Client) -> Result<()> {
    let now_s = clock::wall_s();
    // The registrations, then a round of heartbeats for each second.
    let sign = |second| signed_fleet(args, key, now_s + second, if args.loads { second } else { 0 });
    if !args.present {
        let joined = client.join(&mut sign(0)?)?;
        println!("members {}", joined.accepted);
        println!("joins_a_second {:.0}", joined.a_second());
    }
    if args.seconds == 0 {
        return Ok(());
    }
    // To join may have taken longer than what was signed is believed.
    let now_s = clock::wall_s();
    let sign = |second| signed_fleet(args, key, now_s + second, if args.loads { second } else { 0 });
    let mut heartbeats = (1..=args.seconds).map(sign).collect::<Result<Vec<_>>>()?;
    let cpu_before = args.pid.map(cpu_time).transpose()?;
    let beaten = match args.rate {
        None => client.beat(&mut heartbeats, Duration::from_secs(args.seconds))?,
        Some(rate) => {
            let members = heartbeats.first().map_or(0, Vec::len);
            if members < rate as usize {
                return Err(format!("--rate {rate} takes as many members, and there are {members}").into());
            }
            client.pace(total(args, rate), rate, Rcode::NOERROR, |client, number| {
                let round = heartbeats.get_mut(number / rate as usize).ok_or("a second without messages")?;
                client.send(number % rate as usize, round)
            })?
        }
    };
    println!("accepted_a_second {:.0}", beaten.a_second());
    print_rest(args, &beaten, beaten.accepted, cpu_before)?;
    if beaten.accepted == 0 {
        return Err("no heartbeat was accepted; the server's log says why".into());
    }
    Ok(())
}

/// Has each member say another address, as often as there are rounds.
fn move_house(args: &Args, key: &Key, rounds: u8, mut client: Client) -> Result<()> {
    let now_s = clock::wall_s();
    // A round a second: of two messages about a member the later is signed later.
    let sign = |round: u8| signed_moves(args, key, now_s + u64::from(round), round);
    let mut messages = (1..=rounds).map(sign).collect::<Result<Vec<_>>>()?.concat();
    let cpu_before = args.pid.map(cpu_time).transpose()?;
    let moved = client.join(&mut messages)?;
    println!("changes_a_second {:.0}", moved.a_second());
    print_rest(args, &moved, moved.accepted, cpu_before)
}

/// Registers the fleet, renews it once, and sees its leases run out.
fn fall_silent(args: &Args, key: &Key, mut client: Client) -> Result<()> {
    let lease = Duration::from_secs(args.silence.unwrap_or_default());
    if !args.present {
        client.join(&mut signed_fleet(args, key, clock::wall_s(), 0)?)?;
    }
    let mut heartbeats = signed_fleet(args, key, clock::wall_s() + 1, 0)?;
    let renewed = client.join(&mut heartbeats)?;
    println!("renewed {}\nrenewed_in_ms {}", renewed.accepted, renewed.took.as_millis());
    let every = (heartbeats.len() / SAMPLE).max(1);
    let sample = questions(args)?.into_iter().zip(&client.sent).step_by(every);
    let mut sample: Vec<_> =
        sample.filter_map(|(question, sent)| Some(((*sent)? + lease, question))).collect();
    sample.sort_unstable_by_key(|(moment, _)| *moment);
    let mut late = client.watch(sample)?;
    late.sort_unstable();
    let ms = |part: usize| {
        late.get(late.len().saturating_sub(1) * part / 100).map_or(0.0, |late| late.as_secs_f64() * 1e3)
    };
    println!(
        "watched {}\nlate_median_ms {:.2}\nlate_p99_ms {:.2}\nlate_longest_ms {:.2}",
        late.len(),
        ms(50),
        ms(99),
        ms(100)
    );
    Ok(())
}

/// Has every member leave.
fn leave(args: &Args, key: &Key, mut client: Client) -> Result<()> {
    let mut messages = signed_departures(args, key, clock::wall_s() + 1)?;
    let left = client.join(&mut messages)?;
    println!("leaves_a_second {:.0}", left.a_second());
    print_rest(args, &left, left.accepted, None)
}

/// Sends what the key did not sign.
fn attack(args: &Args, key: &Key, rate: u32, mut client: Client) -> Result<()> {
    let wrong = Key::new(key.name(), key.algorithm(), b"another secret")?;
    let mut messages = signed_fleet(args, &wrong, clock::wall_s(), 0)?;
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
