//! The real program on a directory of its own: started, killed by its process id, started again.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tempfile::TempDir;

use super::ledger::Span;
use super::message::SECRET;

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Longer than a start takes on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(20);
/// The lease of a member that asks for none, seconds.
pub const DEFAULT_LEASE_S: u32 = 7;
/// Names in the zone file, each with a TXT record `file=1`.
pub const FILE_NAMES: usize = 12;
/// Lines of a server's log that are kept for a message.
const TAIL: usize = 30;

/// A directory with configuration and state, and the address that servers on it have.
pub struct Site {
    dir: TempDir,
    program: PathBuf,
    host: Ipv4Addr,
}

impl Site {
    /// A zone, a key and no state.
    pub fn new(program: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let zones = dir.path().join("zones");
        fs::create_dir(&zones)?;
        let key = format!(
            "[[key]]\nname = 'fleet'\nalgorithm = 'hmac-sha256'\nsecret = '{}'\n[udp]\nworkers = 2\n",
            BASE64.encode(SECRET)
        );
        let config = dir.path().join("rollcall.toml");
        fs::write(&config, key)?;
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600))?;
        // Clients fall silent by the dozen: nothing is held for them.
        let zone = format!(
            "create_pools = true\ndefault_lease = {DEFAULT_LEASE_S}\nfreeze_max = 0\n\
             [[pool]]\nname = 'web'\npolicy = 'round-robin'\n\
             [[pool]]\nname = 'game'\npolicy = 'weighted-random'\n\
             [[grant]]\nkey = 'fleet'\npools = ['*']\nnames = ['*']\naddresses = ['10.0.0.0/8', '2001:db8::/32']\n"
        );
        fs::write(zones.join("pool.example.toml"), zone)?;
        let mut records =
            "$TTL 3600\n@ SOA ns hostmaster 1 1200 180 1209600 2\n@ NS ns\nns A 127.0.0.1\n".to_owned();
        for number in 0..FILE_NAMES {
            records += &format!("f{number} TXT file=1\n");
        }
        fs::write(zones.join("pool.example.zone"), records)?;
        // It is started in another directory.
        let program = program.canonicalize().map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Site { dir, program, host: own_host() })
    }

    /// Where the store is.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Starts a server. Port 0 takes a free one.
    pub fn spawn(&self, port: u16) -> Result<Server> {
        let spawned = Instant::now();
        let mut child = Command::new(&self.program)
            .current_dir(self.dir.path())
            .args(["serve", "--config", "rollcall.toml", "--state", "state"])
            .args(["--listen", &SocketAddr::from((self.host, port)).to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        let log = Log::default();
        let reader = child.stderr.take().map(|stderr| log.follow(stderr));
        Ok(Server { child, log, reader, spawned })
    }
}

/// A loopback address that no other run uses: between a kill and the start on the same port nobody else is to get that port.
fn own_host() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + NEXT.fetch_add(1, Ordering::Relaxed) % 64, high, low)
}

/// A server that runs. Killed when it is dropped.
pub struct Server {
    child: Child,
    log: Log,
    reader: Option<JoinHandle<()>>,
    pub spawned: Instant,
}

impl Server {
    /// Waits until it listens, and says where.
    pub fn listening(&mut self) -> Result<SocketAddr> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(address) = self.log.address(Duration::from_millis(20)) {
                return Ok(address);
            }
            if let Some(status) = self.ended()? {
                return Err(format!("the server did not start: {status}\n{}", self.log.tail()).into());
            }
            if Instant::now() > deadline {
                return Err(format!("the server did not say where it listens\n{}", self.log.tail()).into());
            }
        }
    }

    /// Whether it has said that it listens.
    pub fn is_listening(&self) -> bool {
        self.log.address(Duration::ZERO).is_some()
    }

    /// How it ended, if it did by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// SIGKILL. When this returns there is no such process, and all that it said has been read.
    pub fn kill(mut self) -> Result<(Span, Log)> {
        let from = Instant::now();
        self.child.kill()?;
        self.child.wait()?;
        let span = Span { from, to: Instant::now() };
        if let Some(reader) = self.reader.take() {
            reader.join().map_err(|_| "the reader of the server's log panicked")?;
        }
        Ok((span, self.log.clone()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has been killed already, or there was an error and nobody else ends it.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// What a server said.
#[derive(Clone, Default)]
pub struct Log(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Log {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, stderr: ChildStderr) -> JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(std::result::Result::ok) {
                log.lines().push(line);
                log.0.1.notify_all();
            }
        })
    }

    /// Where it listens, if it says so before long.
    fn address(&self, patience: Duration) -> Option<SocketAddr> {
        let is_silent = |lines: &mut Vec<String>| address(lines).is_none();
        let waited = self.0.1.wait_timeout_while(self.lines(), patience, is_silent);
        address(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn tail(&self) -> String {
        let lines = self.lines();
        lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n")
    }

    /// Lines that a sound server on a sound disk never writes.
    pub fn alarms(&self) -> Vec<String> {
        let signs = [" ERROR ", "panicked", "please report"];
        let is_alarm = |line: &&String| signs.iter().any(|sign| line.contains(sign));
        self.lines().iter().filter(is_alarm).cloned().collect()
    }
}

fn address(lines: &[String]) -> Option<SocketAddr> {
    let line = lines.iter().find(|line| line.contains("listening, UDP and TCP"))?;
    line.split_once("address=")?.1.trim().parse().ok()
}
