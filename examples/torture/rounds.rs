//! The rounds: clients work, the server is killed, started again, and asked for everything.
//!
//! ```text
//!  clients work --- SIGKILL --- [start, SIGKILL]... --- start --- check --- clients work
//!     at random moments, the second kind as well: while the server starts, or just after
//! ```

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::check::{self, Check};
use super::client::Client;
use super::ledger::{Entry, Fault, Run, Runs};
use super::message::{Line, Stage};
use super::report::{Report, Violation};
use super::server::{Result, Server, Site};

/// The most clients: each has its own part of the addresses.
pub const CLIENTS_MAX: u16 = 64;
/// How long clients work before the kill: mostly long enough for some hundred messages, sometimes hardly at all.
const WORK_MS: Range<u64> = 200..1_300;
const SHORT_WORK_MS: Range<u64> = 0..50;
/// The fifth round, and every tenth after it, is long: after their work clients only renew or fall silent. Then leases run out
/// while nothing but their end has the store write.
const LONG_EVERY: u32 = 10;
const LONG_AT: u32 = 5;
const CALM_MS: Range<u64> = 4_000..6_000;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub rounds: u32,
    pub seed: u64,
    pub clients: u16,
}

/// What is done to the state directory between a kill and the next start, by round: nothing, unless a test wants to see it
/// noticed.
pub type Meddle<'a> = &'a mut dyn FnMut(u32, &Path) -> Result<()>;

/// Runs all rounds against this program. `progress` is told after each.
pub fn run(
    plan: Plan,
    program: &Path,
    meddle: Meddle<'_>,
    progress: &mut dyn FnMut(&Report),
) -> Result<Report> {
    let mut torture = Torture::new(plan, program)?;
    for round in 1..=plan.rounds {
        let before = torture.report.faults();
        torture.work(round)?;
        meddle(round, &torture.site.state())?;
        torture.start_again(round)?;
        torture.check(round)?;
        torture.report.rounds = round;
        torture.report.good += u32::from(torture.report.faults() == before);
        progress(&torture.report);
    }
    Ok(torture.report)
}

struct Torture {
    site: Site,
    rng: Rng,
    clients: Vec<Client>,
    runs: Runs,
    /// `None` between a kill and the next start.
    server: Option<Server>,
    address: SocketAddr,
    serial: Option<u32>,
    report: Report,
}

impl Torture {
    fn new(plan: Plan, program: &Path) -> Result<Self> {
        let Plan { rounds, seed, clients } = plan;
        let site = Site::new(program)?;
        let mut server = site.spawn(0)?;
        let address = server.listening()?;
        let now = Instant::now();
        let run =
            Run { spawned: server.spawned, listening: Some(now), killed: None, stalled: Duration::ZERO };
        Ok(Torture {
            site,
            rng: Rng::with_seed(seed),
            clients: (0..clients.min(CLIENTS_MAX)).map(|number| Client::new(number, seed, now)).collect(),
            runs: Runs(vec![run]),
            server: Some(server),
            address,
            serial: None,
            report: Report { seed, wanted: rounds, ..Report::default() },
        })
    }

    fn fault(&mut self, round: u32, fault: Fault, text: String) {
        self.report.add(Violation { round, fault, text });
    }

    /// Lets the clients work, and kills the server under them.
    fn work(&mut self, round: u32) -> Result<()> {
        // There has to be something to lose in the first.
        let range = if round > 1 && self.rng.u8(..10) == 0 { SHORT_WORK_MS } else { WORK_MS };
        let time = Duration::from_millis(self.rng.u64(range));
        let is_long = round % LONG_EVERY == LONG_AT;
        let calm = is_long.then(|| Duration::from_millis(self.rng.u64(CALM_MS)));
        let server = self.server.take().ok_or("there is no server to kill")?;
        let stage = Stage::default();
        let (runs, address, clients) = (&self.runs, self.address, &mut self.clients);
        let (killed, worked) = thread::scope(|scope| {
            let works: Vec<_> = clients
                .iter_mut()
                .map(|client| {
                    let stage = &stage;
                    scope.spawn(move || {
                        let mut line = Line::new(address, stage)?;
                        client.work(&mut line, runs, stage, round)
                    })
                })
                .collect();
            thread::sleep(time);
            if let Some(calm) = calm {
                stage.calm();
                thread::sleep(calm);
            }
            let killed = kill(server, &stage);
            // Whatever went wrong, nobody waits for replies any longer.
            stage.killed();
            let worked: Vec<Result<()>> = works
                .into_iter()
                .map(|work| work.join().unwrap_or_else(|_| Err("a client panicked".into())))
                .collect();
            (killed, worked)
        });
        let (run, faults) = killed?;
        if let Some(last) = self.runs.0.last_mut() {
            last.killed = run.killed;
            last.stalled = self.clients.iter().map(|client| client.tally.slowest).max().unwrap_or_default();
        }
        self.report.kills += 1;
        faults.into_iter().for_each(|text| self.fault(round, Fault::Other, text));
        worked
            .into_iter()
            .filter_map(Result::err)
            .for_each(|error| self.fault(round, Fault::Other, error.to_string()));
        for client in &mut self.clients {
            self.report.tally += std::mem::take(&mut client.tally);
            client.violations.drain(..).for_each(|violation| self.report.add(violation));
        }
        Ok(())
    }

    /// Starts the server on the same state, now and then killing it while it starts, or right after.
    fn start_again(&mut self, round: u32) -> Result<()> {
        let crashes = match self.rng.u8(..10) {
            0..6 => 0,
            6..9 => 1,
            _ => 2,
        };
        let mean = self.report.starting.checked_div(self.report.starts).unwrap_or(Duration::from_millis(50));
        for _ in 0..crashes {
            let server = self.site.spawn(self.address.port())?;
            thread::sleep(mean.mul_f64(self.rng.f64() * 1.5));
            let listened = server.is_listening().then(Instant::now);
            let (run, faults) = kill(server, &Stage::default())?;
            self.runs.0.push(Run { listening: listened, ..run });
            self.report.kills += 1;
            self.report.kills_at_start += u32::from(listened.is_none());
            faults.into_iter().for_each(|text| self.fault(round, Fault::Other, text));
        }
        let port = if self.rng.bool() { self.address.port() } else { 0 };
        let mut server = self.site.spawn(port)?;
        self.address = server.listening()?;
        let listening = Instant::now();
        self.report.starting += listening.duration_since(server.spawned);
        self.report.starts += 1;
        let (spawned, listening) = (server.spawned, Some(listening));
        self.runs.0.push(Run { spawned, listening, killed: None, stalled: Duration::ZERO });
        self.server = Some(server);
        Ok(())
    }

    /// Asks for everything before any client goes on.
    fn check(&mut self, round: u32) -> Result<()> {
        let stage = Stage::default();
        let mut line = Line::new(self.address, &stage)?;
        let serial = check::serial(&mut line)?.ok_or("the server went away during the check")?;
        let seen = self.clients.iter().filter_map(|client| client.serial).chain(self.serial);
        let later = seen.filter(|before| !check::is_no_step_back(*before, serial));
        if let Some(before) = later.max() {
            self.fault(round, Fault::SerialBack, format!("from {before} to {serial} over a restart"));
        }
        self.serial = Some(serial);
        self.clients.iter_mut().for_each(|client| client.serial = Some(serial));
        let clients = self.clients.iter_mut();
        let mut entries: Vec<&mut Entry> = clients.flat_map(|client| &mut client.entries).collect();
        let mut check = Check { line: &mut line, runs: &self.runs, report: &mut self.report, round };
        check.names(&mut entries)?;
        check.pools(&entries)
    }
}

/// Kills a server. The run as far as it is known here, and what a sound server would not have done.
fn kill(mut server: Server, stage: &Stage) -> Result<(Run, Vec<String>)> {
    let mut faults = Vec::new();
    if let Some(status) = server.ended()? {
        faults.push(format!("the server ended by itself: {status}"));
    }
    stage.killing();
    let spawned = server.spawned;
    let (killed, log) = server.kill()?;
    faults.extend(log.alarms());
    Ok((Run { spawned, listening: None, killed: Some(killed), stalled: Duration::ZERO }, faults))
}
