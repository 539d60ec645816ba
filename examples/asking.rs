//! Asks at a steady rate whatever becomes of the answers, and says how many did not come and how long there were none.
//!
//! `scripts/upgrade` runs it while a server is upgraded, restarted or killed. By hand, for the fleet of `heartbeat`:
//!
//! ```text
//! cargo run --release --example asking -- 127.0.0.1:5300 --rate 20000 --seconds 10
//! ```
//!
//! What the figures are figures of:
//! 1. Questions leave when they are due, A and SRV in turn for each pool, over sockets in turn; none waits for an answer to another,
//!    and none is repeated. Who waits would ask less while nobody answers, and lose less than clients do.
//! 2. Each question on a socket has an id that no open one has. One without an answer two seconds after the last was sent is
//!    lost. An answer that is not NOERROR, or is empty, is wrong: every pool has members.
//! 3. What the kernel dropped because a socket was full, the server's or one of ours, is among the lost and counted apart: the
//!    machine was too busy, or the server was away for longer than its sockets have room for. A server that starts anew has new
//!    sockets, and what the old ones dropped is not known.
//! 4. The longest time without an answer is that between two answers in succession, over any socket.

#![allow(clippy::disallowed_methods, reason = "a client has a clock and sockets of its own")]

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rollcall::wire::{Name, Rtype};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How often what is due is sent: in small bursts, as from many clients.
const BURST_EVERY: Duration = Duration::from_micros(250);
/// How long answers are waited for when all is sent.
const LAST_WAIT: Duration = Duration::from_secs(2);
/// How often a socket without an answer is looked up from.
const RECEIVE_TIMEOUT: Duration = Duration::from_millis(100);

/// Asks at a steady rate, and counts what has no answer.
#[derive(Parser)]
struct Args {
    /// The server's UDP address.
    server: SocketAddr,
    /// Questions a second.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    rate: u32,
    /// For so long.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Over so many sockets.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    sockets: u16,
    /// The zone, whose pools are p00, p01 and so on.
    #[arg(long, default_value = "pool.example.")]
    zone: Name,
    /// How many pools.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=65_535))]
    pools: u16,
}

/// A socket, and when the open question with each id left: microseconds, or 0.
struct Client {
    socket: UdpSocket,
    open: Box<[AtomicU64]>,
}

/// What all clients have seen.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    wrong: AtomicU64,
    /// When the last answer came, and the longest time between two, microseconds.
    last_us: AtomicU64,
    gap_us: AtomicU64,
    slowest_us: AtomicU64,
    is_over: AtomicBool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("asking: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let questions = questions(args)?;
    let clients = (0..args.sockets).map(|_| Client::new(args.server)).collect::<Result<Vec<_>>>()?;
    let clients: Arc<[Client]> = clients.into();
    let ports = clients.iter().map(|client| Ok(client.socket.local_addr()?.port())).collect::<Result<_>>()?;
    let dropped_before = dropped(&ports, args.server)?;
    let (seen, started) = (Arc::new(Seen::default()), Instant::now());
    let receivers: Vec<_> = (0..clients.len())
        .map(|place| {
            let (clients, seen) = (Arc::clone(&clients), Arc::clone(&seen));
            thread::spawn(move || clients.get(place).map(|client| client.receive(&seen, started)))
        })
        .collect();
    let (asked, written_off) = ask(args, &questions, &clients, started);
    thread::sleep(LAST_WAIT);
    seen.is_over.store(true, Ordering::Relaxed);
    for receiver in receivers {
        receiver.join().map_err(|_| "a receiver panicked")?;
    }
    let open =
        |client: &Client| client.open.iter().filter(|at| at.load(Ordering::Relaxed) > 0).count() as u64;
    let lost = written_off + clients.iter().map(open).sum::<u64>();
    let ms = |us: &AtomicU64| us.load(Ordering::Relaxed) as f64 / 1000.0;
    println!("questions {asked}");
    println!("lost {lost}");
    println!("dropped {}", dropped(&ports, args.server)?.saturating_sub(dropped_before));
    println!("wrong {}", seen.wrong.load(Ordering::Relaxed));
    println!("gap_ms {:.1}", ms(&seen.gap_us));
    println!("slowest_ms {:.1}", ms(&seen.slowest_us));
    if seen.answered.load(Ordering::Relaxed) + lost != asked {
        return Err("answers and losses do not add up to the questions: a defect of this program".into());
    }
    Ok(())
}

/// Sends what is due, until all is. How many there were, and how many of them had no answer when their id came round again.
fn ask(args: &Args, questions: &[Vec<u8>], clients: &[Client], started: Instant) -> (u64, u64) {
    let all = u64::from(args.rate) * u64::from(args.seconds);
    let (mut asked, mut written_off) = (0, 0);
    let mut places = questions.iter().cycle();
    let mut message = Vec::new();
    while asked < all {
        let due = (started.elapsed().as_secs_f64() * f64::from(args.rate)) as u64;
        while asked < due.min(all) {
            for (client, question) in clients.iter().zip(places.by_ref()) {
                // Of this socket. A day's worth of them, modulo 2^16.
                let id = (asked / clients.len() as u64) as u16;
                message.clear();
                message.extend_from_slice(&id.to_be_bytes());
                message.extend_from_slice(question);
                if let Some(open) = client.open.get(usize::from(id)) {
                    written_off += u64::from(open.swap(us(started), Ordering::Relaxed) > 0);
                }
                // While nobody listens the kernel says so, of the question before; this one is lost, as that was.
                _ = client.socket.send(&message);
                asked += 1;
                if asked >= all {
                    break;
                }
            }
        }
        thread::sleep(BURST_EVERY);
    }
    (asked, written_off)
}

/// How many datagrams the kernel has dropped at the server's sockets, which are on this machine, and at ours.
fn dropped(ours: &HashSet<u16>, server: SocketAddr) -> Result<u64> {
    let mut sum = 0;
    for table in ["/proc/net/udp", "/proc/net/udp6"] {
        for line in fs::read_to_string(table)?.lines().skip(1) {
            let mut fields = line.split_whitespace();
            let port = fields.nth(1).and_then(|local| local.rsplit_once(':'));
            let port = u16::from_str_radix(port.ok_or("no local address")?.1, 16)?;
            if port == server.port() || ours.contains(&port) {
                sum += fields.last().ok_or("no count of drops")?.parse::<u64>()?;
            }
        }
    }
    Ok(sum)
}

/// Microseconds since then, and never 0.
fn us(started: Instant) -> u64 {
    started.elapsed().as_micros() as u64 + 1
}

impl Client {
    fn new(server: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
        let open = (0..=u16::MAX).map(|_| AtomicU64::new(0)).collect();
        Ok(Client { socket, open })
    }

    /// Takes answers until it is over.
    fn receive(&self, seen: &Seen, started: Instant) {
        let mut answer = [0; 4096];
        while !seen.is_over.load(Ordering::Relaxed) {
            let Ok(len) = self.socket.recv(&mut answer) else { continue };
            let now_us = us(started);
            let Some([id_high, id_low, _, flags, _, _, count_high, count_low]) = answer.get(..len.min(8))
            else {
                continue;
            };
            let id = u16::from_be_bytes([*id_high, *id_low]);
            let Some(open) = self.open.get(usize::from(id)) else { continue };
            let asked_us = open.swap(0, Ordering::Relaxed);
            if asked_us == 0 {
                // A second answer, which would be a defect of the server.
                seen.wrong.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            seen.answered.fetch_add(1, Ordering::Relaxed);
            if flags & 15 != 0 || (*count_high, *count_low) == (0, 0) {
                seen.wrong.fetch_add(1, Ordering::Relaxed);
            }
            seen.slowest_us.fetch_max(now_us.saturating_sub(asked_us), Ordering::Relaxed);
            let last_us = seen.last_us.fetch_max(now_us, Ordering::Relaxed);
            if last_us > 0 {
                seen.gap_us.fetch_max(now_us.saturating_sub(last_us), Ordering::Relaxed);
            }
        }
    }
}

/// What is asked, without ids.
fn questions(args: &Args) -> Result<Vec<Vec<u8>>> {
    let mut questions = Vec::new();
    for pool in 0..args.pools {
        for (before, rtype) in [("", Rtype::A), ("_http._tcp.", Rtype::SRV)] {
            let name = Name::bytes_from_str(&format!("{before}p{pool:02}.{}", args.zone))?;
            let mut question = b"\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
            question.extend_from_slice(name.as_slice());
            question.extend_from_slice(&rtype.to_int().to_be_bytes());
            question.extend_from_slice(b"\x00\x01");
            questions.push(question);
        }
    }
    Ok(questions)
}
