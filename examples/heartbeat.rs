//! A fleet on one socket: registers pools with signed UPDATEs, then repeats them and counts what is accepted.
//!
//! `scripts/bench` runs it, to fill a server with pools and to measure heartbeats. By hand:
//!
//! ```text
//! rollcall keygen bench --key-file bench.key >> rollcall.toml
//! cargo run --release --example heartbeat -- 127.0.0.1:5300 --key bench.key --seconds 10
//! cargo run --release --example heartbeat -- 127.0.0.1:5300 --key bench.key --seconds 10 --wrong-key 10000
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

#![allow(clippy::disallowed_methods, reason = "a client has a clock and a socket of its own")]

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Parser;
use rollcall::server::clock;
use rollcall::wire::tsig::{self, Algorithm, Key};
use rollcall::wire::{Class, HEADER_LEN, Header, Name, Opcode, Rcode, Rtype};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// After this a heartbeat is lost. A server that is merely slow answers long before.
const REPLY_TIMEOUT: Duration = Duration::from_secs(1);
/// How often heartbeats without a reply are looked for while none arrives.
const RECEIVE_TIMEOUT: Duration = Duration::from_millis(100);
/// How often an attack sends what is due: in small bursts, as from many sources.
const BURST_EVERY: Duration = Duration::from_micros(500);
/// What is signed ahead must still be within its fudge, 300 s, at the end.
const SECONDS_MAX: u64 = 240;
/// TTL of the records, seconds.
const TTL_S: u32 = 30;

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
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=65_535))]
    pools: u16,
    /// Members in each pool.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=250))]
    members: u8,
    /// Seconds of heartbeats; 0 registers, and no more.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=SECONDS_MAX))]
    seconds: u64,
    /// Heartbeats on the way at a time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    window: u16,
    /// No registrations and no heartbeats, but so many UPDATEs a second signed with another secret.
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    wrong_key: Option<u32>,
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
    let socket = UdpSocket::bind(match args.server {
        SocketAddr::V4(_) => "0.0.0.0:0",
        SocketAddr::V6(_) => "[::]:0",
    })?;
    socket.connect(args.server)?;
    socket.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
    let client = Client { socket, window: usize::from(args.window), last_id: 0, open: HashMap::new() };
    let key = read_key(&args.key)?;
    match args.wrong_key {
        Some(rate) => attack(args, &key, rate, client),
        None => register(args, &key, client),
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
    println!("accepted {}\nrefused {}\nlost {}", beaten.accepted, beaten.refused, beaten.lost);
    println!("latency_us {:.0}", beaten.waited.as_secs_f64() * 1e6 / (beaten.accepted.max(1) as f64));
    if let (Some(pid), Some(before)) = (args.pid, cpu_before) {
        let spent = cpu_time(pid)?.saturating_sub(before);
        println!("cpu_us {:.2}", spent.as_secs_f64() * 1e6 / (beaten.accepted.max(1) as f64));
    }
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
    let tally = client.attack(&mut messages, rate, Duration::from_secs(args.seconds))?;
    println!("refused_a_second {:.0}", tally.refused as f64 / tally.took.as_secs_f64());
    println!("refused {}\nlost {}", tally.refused, tally.lost);
    println!("latency_us {:.0}", tally.waited.as_secs_f64() * 1e6 / (tally.refused.max(1) as f64));
    if let (Some(pid), Some(before)) = (args.pid, cpu_before) {
        let spent = cpu_time(pid)?.saturating_sub(before);
        println!("cpu_us {:.2}", spent.as_secs_f64() * 1e6 / (tally.refused.max(1) as f64));
    }
    if tally.refused == 0 {
        return Err("nothing was refused; is --seconds above 0, and the server running?".into());
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

/// One signed UPDATE a member.
fn signed_fleet(args: &Args, key: &Key, wall_s: u64) -> Result<Vec<Vec<u8>>> {
    let places = (0..args.pools).flat_map(|pool| (1..=args.members).map(move |member| (pool, member)));
    let signed = places.map(|(pool, member)| {
        let mut message = registration(&args.zone, pool, member)?;
        tsig::sign_request(&mut message, key, wall_s, tsig::FUDGE_S);
        Ok(message)
    });
    signed.collect()
}

/// `m1.p00 A`, `_http._tcp.p00 SRV`, `m1.p00 TXT`: member `member` of pool `pool`, who both are in its address.
fn registration(zone: &Name, pool: u16, member: u8) -> Result<Vec<u8>> {
    let zone_text = zone.to_string();
    let zone_text = zone_text.trim_end_matches('.');
    let name = |text: String| Name::bytes_from_str(&text);
    let own = name(format!("m{member}.p{pool:02}.{zone_text}."))?;
    let service = name(format!("_http._tcp.p{pool:02}.{zone_text}."))?;
    let [high, low] = pool.to_be_bytes();
    let srv = [&[0, 0, 0, 10, 0x1F, 0x90], own.as_slice()].concat();

    let header = Header { id: 0, flags: u16::from(Opcode::UPDATE.to_int()) << 11, counts: [1, 0, 3, 0] };
    let mut message = header.octets().to_vec();
    message.extend_from_slice(zone.as_slice());
    message.extend_from_slice(&Rtype::SOA.to_int().to_be_bytes());
    message.extend_from_slice(&Class::IN.to_int().to_be_bytes());
    put_record(&mut message, &own, Rtype::A, &Ipv4Addr::new(10, high, low, member).octets());
    put_record(&mut message, &service, Rtype::SRV, &srv);
    put_record(&mut message, &own, Rtype::TXT, b"\x09weight=10\x09load=0.25");
    Ok(message)
}

fn put_record(message: &mut Vec<u8>, owner: &Name, rtype: Rtype, rdata: &[u8]) {
    message.extend_from_slice(owner.as_slice());
    message.extend_from_slice(&rtype.to_int().to_be_bytes());
    message.extend_from_slice(&Class::IN.to_int().to_be_bytes());
    message.extend_from_slice(&TTL_S.to_be_bytes());
    message.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    message.extend_from_slice(rdata);
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

/// What became of a run's messages.
#[derive(Default)]
struct Tally {
    accepted: u64,
    refused: u64,
    lost: u64,
    /// From sending to reply, all accepted together; in an attack, all refused.
    waited: Duration,
    took: Duration,
}

impl Tally {
    fn a_second(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }
}

/// The fleet's socket, and what is on the way.
struct Client {
    socket: UdpSocket,
    window: usize,
    last_id: u16,
    /// By message id: which member, and since when.
    open: HashMap<u16, (usize, Instant)>,
}

/// What a reply, or its absence, says of a member's message.
enum Heard {
    Accepted(Duration),
    Refused(Rcode, Duration),
    Lost,
}

impl Client {
    /// Registers every member once, again where a reply is lost. The first refusal ends it.
    fn join(&mut self, messages: &mut [Vec<u8>]) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut waiting: VecDeque<usize> = (0..messages.len()).collect();
        let started = Instant::now();
        while !waiting.is_empty() || !self.open.is_empty() {
            self.fill(&mut waiting, messages)?;
            for (member, heard) in self.hear()? {
                match heard {
                    Heard::Accepted(waited) => {
                        tally.accepted += 1;
                        tally.waited += waited;
                    }
                    Heard::Lost if tally.lost >= messages.len() as u64 => {
                        return Err("the server does not reply".into());
                    }
                    Heard::Lost => {
                        tally.lost += 1;
                        waiting.push_back(member);
                    }
                    Heard::Refused(rcode, _) => {
                        return Err(format!("a registration got {rcode}; the server's log says why").into());
                    }
                }
            }
        }
        tally.took = started.elapsed();
        Ok(tally)
    }

    /// Lets the members send in turn for so long. `fleet` has a round of messages for each second.
    fn beat(&mut self, fleet: &mut [Vec<Vec<u8>>], time: Duration) -> Result<Tally> {
        let mut tally = Tally::default();
        let members = fleet.first().map_or(0, Vec::len);
        let mut waiting: VecDeque<usize> = (0..members).collect();
        let started = Instant::now();
        let mut elapsed = Duration::ZERO;
        while elapsed < time || !self.open.is_empty() {
            if elapsed < time {
                let messages =
                    fleet.get_mut(elapsed.as_secs() as usize).ok_or("a second without messages")?;
                self.fill(&mut waiting, messages)?;
            }
            for (member, heard) in self.hear()? {
                waiting.push_back(member);
                match heard {
                    Heard::Accepted(waited) => {
                        tally.accepted += 1;
                        tally.waited += waited;
                        // The last replies, not the wait for one that is lost.
                        tally.took = started.elapsed();
                    }
                    Heard::Refused(..) => tally.refused += 1,
                    Heard::Lost => tally.lost += 1,
                }
            }
            elapsed = started.elapsed();
        }
        Ok(tally)
    }

    /// Sends the messages in turn at this rate for so long, and waits for the last replies.
    fn attack(&mut self, messages: &mut [Vec<u8>], rate: u32, time: Duration) -> Result<Tally> {
        self.socket.set_nonblocking(true)?;
        let mut tally = Tally::default();
        let mut sent = 0;
        let started = Instant::now();
        let mut elapsed = Duration::ZERO;
        while elapsed < time || !self.open.is_empty() {
            let due = (elapsed.min(time).as_secs_f64() * f64::from(rate)) as usize;
            for number in sent..due {
                self.send(number % messages.len(), messages)?;
            }
            sent = due;
            thread::sleep(BURST_EVERY);
            self.hear_refusals(&mut tally)?;
            elapsed = started.elapsed();
            tally.took = elapsed.min(time);
        }
        Ok(tally)
    }

    /// Takes every reply that is there.
    fn hear_refusals(&mut self, tally: &mut Tally) -> Result<()> {
        loop {
            let heard = self.hear()?;
            if heard.is_empty() {
                return Ok(());
            }
            for (_, heard) in heard {
                match heard {
                    Heard::Refused(Rcode::NOTAUTH, waited) => {
                        tally.refused += 1;
                        tally.waited += waited;
                    }
                    Heard::Refused(rcode, _) => {
                        return Err(format!("an UPDATE with a wrong key got {rcode}, not NOTAUTH").into());
                    }
                    Heard::Accepted(_) => return Err("an UPDATE with a wrong key was accepted".into()),
                    Heard::Lost => tally.lost += 1,
                }
            }
        }
    }

    /// Sends for the members that wait, up to the window.
    fn fill(&mut self, waiting: &mut VecDeque<usize>, messages: &mut [Vec<u8>]) -> Result<()> {
        while self.open.len() < self.window {
            let Some(member) = waiting.pop_front() else { break };
            self.send(member, messages)?;
        }
        Ok(())
    }

    /// Sends a member's message. The id is new each time; a TSIG does not cover it.
    fn send(&mut self, member: usize, messages: &mut [Vec<u8>]) -> Result<()> {
        let message = messages.get_mut(member).ok_or("a member without a message")?;
        self.last_id = self.last_id.wrapping_add(1);
        message.get_mut(..2).ok_or("an empty message")?.copy_from_slice(&self.last_id.to_be_bytes());
        self.socket.send(message).map_err(unreachable)?;
        self.open.insert(self.last_id, (member, Instant::now()));
        Ok(())
    }

    /// Waits for one reply. When none comes, says which messages are lost.
    fn hear(&mut self) -> Result<Vec<(usize, Heard)>> {
        let mut reply = [0; 1232];
        match self.socket.recv(&mut reply) {
            Ok(len) if len >= HEADER_LEN => {
                let Some(header) = Header::read(&reply).filter(Header::is_response) else {
                    return Ok(Vec::new());
                };
                // An id that nobody waits for: its message was given up.
                let Some((member, sent)) = self.open.remove(&header.id) else { return Ok(Vec::new()) };
                let rcode = Rcode::masked_from_int(header.flags as u8);
                let waited = sent.elapsed();
                let is_accepted = rcode == Rcode::NOERROR;
                let heard = if is_accepted { Heard::Accepted(waited) } else { Heard::Refused(rcode, waited) };
                Ok(vec![(member, heard)])
            }
            Ok(_) => Ok(Vec::new()),
            Err(error) if is_silence(&error) => {
                let late = self.open.extract_if(|_, (_, sent)| sent.elapsed() >= REPLY_TIMEOUT);
                Ok(late.map(|(_, (member, _))| (member, Heard::Lost)).collect())
            }
            Err(error) => Err(unreachable(error).into()),
        }
    }
}

/// A connected UDP socket learns from the kernel that nobody listens, on the next call whichever it is.
fn unreachable(error: io::Error) -> String {
    format!("cannot reach the server: {error}; is it running, and this its address?")
}

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
