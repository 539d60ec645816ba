//! The program under test: started, listened to, stopped.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::clients;
use super::wire::Wire;

/// Longer than anything here takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where servers listen. On 127.0.0.1, from which clients send, a free port would now and then be a client's too: both
/// nsupdate and a server's workers let others of the same user share a port (SO_REUSEPORT), and a datagram from 127.0.0.1:P
/// to 127.0.0.1:P goes back to its sender.
pub const LISTEN: &str = "127.0.0.2:0";

/// The program, ready for arguments. No log colours, no configuration from the working directory.
pub fn rollcall(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rollcall"));
    command.current_dir(dir).stdin(Stdio::null());
    command
}

/// A directory with the zone of the tour (zones/ in the repository), keys, and what a test adds to either file.
pub struct Site {
    dir: TempDir,
    /// What the server's environment has beside ours.
    environment: Vec<(String, String)>,
    /// A program and arguments that start the server, if it is not started as it is.
    before: Vec<String>,
}

impl Site {
    /// The zone of the tour, with `zone_toml` after what it says.
    pub fn new(zone_toml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let zones = dir.path().join("zones");
        fs::create_dir(&zones).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
        fs::copy(shipped.join("pool.example.zone"), zones.join("pool.example.zone")).unwrap();
        let toml = fs::read_to_string(shipped.join("pool.example.toml")).unwrap();
        fs::write(zones.join("pool.example.toml"), format!("{toml}\n{zone_toml}")).unwrap();
        let file = dir.path().join("rollcall.toml");
        fs::write(&file, "").unwrap();
        // Keys will be in it.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        Site { dir, environment: Vec::new(), before: Vec::new() }
    }

    /// Adds to the server's environment.
    pub fn environment(self, environment: Vec<(String, String)>) -> Self {
        Site { environment, ..self }
    }

    /// Has the server started by another program, which becomes it: with the server's command line as its last arguments.
    pub fn started_by(self, before: Vec<String>) -> Self {
        Site { before, ..self }
    }

    /// One UDP worker. Each has turns of its own for its answers, and the kernel chooses which of them gets a question.
    pub fn one_worker(self) -> Self {
        self.append("[udp]\nworkers = 1\n")
    }

    /// Adds to rollcall.toml.
    pub fn append(self, toml: &str) -> Self {
        let file = self.path().join("rollcall.toml");
        let text = fs::read_to_string(&file).unwrap() + toml;
        fs::write(file, text).unwrap();
        self
    }

    /// Makes a key with `rollcall keygen`, gives it to the server and leaves NAME.key for clients.
    pub fn key(self, name: &str, algorithm: &str) -> Self {
        let arguments = ["keygen", name, "--algorithm", algorithm, "--key-file", &format!("{name}.key")];
        let made = rollcall(self.path()).args(arguments).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        self.append(&String::from_utf8(made.stdout).unwrap())
    }

    /// Makes a key with `rollcall keygen`, and gives the server NAME.key itself: clients and it read one file.
    pub fn key_in_one_file(self, name: &str, algorithm: &str) -> Self {
        let arguments = ["keygen", name, "--algorithm", algorithm, "--key-file", &format!("{name}.key")];
        assert!(rollcall(self.path()).args(arguments).output().unwrap().status.success());
        self.append(&format!("[[key]]\nfile = '{name}.key'\n"))
    }

    /// Gives server and clients a key as others make them: for any algorithm, or for a truncated MAC.
    pub fn key_of_others(self, name: &str, algorithm: &str) -> Self {
        let secret = "cm9sbGNhbGwgdGVzdHMgc2lnbiB3aXRoIHRoaXMgc2VjcmV0LCBhbmQgb25seSB0aGV5IGRvLg==";
        let key = format!("key \"{name}\" {{\n    algorithm {algorithm};\n    secret \"{secret}\";\n}};\n");
        fs::write(self.path().join(format!("{name}.key")), key).unwrap();
        self.append(&format!("[[key]]\nname = '{name}'\nalgorithm = '{algorithm}'\nsecret = '{secret}'\n"))
    }

    /// Adds to the zone's grants.
    pub fn grants(self, toml: &str) -> Self {
        let file = self.path().join("zones/pool.example.toml");
        let text = fs::read_to_string(&file).unwrap() + toml;
        fs::write(file, text).unwrap();
        self
    }

    /// Another zone: an apex without a closing dot, its grants, and no records but SOA and NS.
    pub fn zone(self, apex: &str, toml: &str) -> Self {
        let zones = self.path().join("zones");
        let records =
            "@ 3600 IN SOA ns.pool.example. hostmaster 1 1200 180 1209600 2\n@ 3600 IN NS ns.pool.example.\n";
        fs::write(zones.join(format!("{apex}.zone")), records).unwrap();
        fs::write(zones.join(format!("{apex}.toml")), toml).unwrap();
        self
    }

    /// Where everything is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Serves it. `None` if there are no clients to ask it with, which the test runs must not hide: see [`clients`].
    pub fn serve(self) -> Option<Server> {
        self.serve_at(LISTEN)
    }

    /// The same on another address.
    pub fn serve_at(self, listen: &'static str) -> Option<Server> {
        clients::are_here().then(|| Server::start(self, listen, None))
    }

    /// Serves it on one of two hosts that a wire joins, to be asked from the other.
    pub fn serve_on(self, wire: Wire) -> Option<Server> {
        self.serve_on_at(wire, Wire::LISTEN)
    }

    /// The same on another address of that host.
    pub fn serve_on_at(self, wire: Wire, listen: &'static str) -> Option<Server> {
        clients::are_here().then(|| Server::start(self, listen, Some(wire)))
    }
}

/// The lines of a program's standard error so far.
#[derive(Clone, Default)]
pub struct Log(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Log {
    /// Takes the lines of this one.
    pub fn follow(&self, stderr: ChildStderr) {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let (lines, grown) = &*log.0;
                lines.lock().unwrap().push(line);
                grown.notify_all();
            }
        });
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.0.0.lock().unwrap().len()
    }

    /// All lines, for a message.
    pub fn text(&self) -> String {
        self.0.0.lock().unwrap().join("\n")
    }

    /// The lines so far that have all of `parts`, from line `from` on.
    pub fn lines_from(&self, from: usize, parts: &[&str]) -> Vec<String> {
        let lines = self.0.0.lock().unwrap();
        let found = lines.iter().skip(from).filter(|line| parts.iter().all(|part| line.contains(part)));
        found.cloned().collect()
    }

    /// Waits for a line with all of `parts`, from line `from` on, and returns it.
    pub fn wait_from(&self, from: usize, parts: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        let (lines, grown) = &*self.0;
        let mut lines = lines.lock().unwrap();
        loop {
            let found = lines.iter().skip(from).find(|line| parts.iter().all(|part| line.contains(part)));
            if let Some(line) = found {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no line with {parts:?} in:\n{}", lines.join("\n"));
            lines = grown.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// The same, from the first line on.
    pub fn wait(&self, parts: &[&str]) -> String {
        self.wait_from(0, parts)
    }
}

/// A running server. Ended, by its id, when it is dropped.
pub struct Server {
    site: Site,
    child: Child,
    listen: &'static str,
    wire: Option<Wire>,
    /// Where it answers.
    pub address: SocketAddr,
    /// What it says.
    pub log: Log,
}

/// Heartbeats, whoever took them: a worker, or the registrar if it is signed in the same second as the last.
pub const RENEWALS: &str = "/changes/renewed+/udp/heartbeats+/tcp/heartbeats";

impl Server {
    fn start(site: Site, listen: &'static str, wire: Option<Wire>) -> Self {
        let program = match &site.before[..] {
            [] => rollcall(site.path()),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(env!("CARGO_BIN_EXE_rollcall"));
                command.current_dir(site.path()).stdin(Stdio::null());
                command
            }
        };
        let mut command = match &wire {
            Some(wire) => wire.on_server(program),
            None => program,
        };
        command.envs(site.environment.iter().cloned());
        let (child, log) = spawn(command, &["--listen", listen, "--state", "state"]);
        let mut server = Server { site, child, listen, wire, address: listen.parse().unwrap(), log };
        let line = server.log.wait(&["listening", "address="]);
        server.address = line.split_once("address=").unwrap().1.trim().parse().unwrap();
        server
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its directory: key files, configuration, state.
    pub fn path(&self) -> &Path {
        self.site.path()
    }

    /// Lets it have so many more files open than it has now. `false` where that is not possible.
    pub fn may_open(&self, more: usize) -> bool {
        let id = self.child.id();
        let open = fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
        let limit = format!("--nofile={}:", open + more);
        let done = Command::new("prlimit").args(["--pid", &id.to_string(), &limit]).status();
        clients::or_say(
            done.is_ok_and(|status| status.success()),
            "prlimit is missing: apt-get install -y util-linux",
        )
    }

    /// A client, on the host where this server's clients are, in the server's directory.
    pub fn client(&self, program: impl AsRef<OsStr>) -> Command {
        let mut client = Command::new(program);
        client.current_dir(self.path());
        match &self.wire {
            Some(wire) => wire.on_client(client),
            None => client,
        }
    }

    /// A key's file.
    pub fn key_file(&self, name: &str) -> PathBuf {
        self.path().join(format!("{name}.key"))
    }

    /// A key's secret, as `-y` of nsupdate and dig takes it.
    pub fn secret(&self, name: &str) -> String {
        let text = fs::read_to_string(self.key_file(name)).unwrap();
        text.split('"').nth(3).unwrap().to_owned()
    }

    /// Sends a signal, such as `"TERM"`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// The counters, as SIGUSR1 has them logged.
    pub fn counters(&self) -> Value {
        let from = self.log.len();
        self.signal("USR1");
        let line = self.log.wait_from(from, &["counters {"]);
        serde_json::from_str(line.split_once("counters ").unwrap().1).unwrap()
    }

    /// Waits until the counters are such. The question path counts once a batch, just after it has answered.
    pub fn counters_when(&self, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counters = self.counters();
            if holds(&counters) {
                return counters;
            }
            assert!(Instant::now() < deadline, "{counters}");
        }
    }

    /// Waits until each of these counters, named by their JSON pointers, has this value. Several with `+` between them are added up.
    pub fn counts(&self, wanted: &[(&str, u64)]) {
        self.counters_when(|counters| {
            let count = |pointer: &str| {
                counters
                    .pointer(pointer)
                    .and_then(Value::as_u64)
                    .unwrap_or_else(|| panic!("no counter {pointer}"))
            };
            wanted.iter().all(|(pointers, wanted)| pointers.split('+').map(count).sum::<u64>() == *wanted)
        });
    }

    /// Waits for it to end by itself.
    pub fn ended(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }

    /// Ends it with SIGTERM, and starts it again on the same files.
    pub fn restart(mut self) -> Server {
        self.signal("TERM");
        assert_eq!(self.ended().code(), Some(0), "{}", self.log.text());
        self.again()
    }

    /// Ends it with SIGKILL, and starts it again on the same files.
    pub fn crash(mut self) -> Server {
        self.child.kill().unwrap();
        assert_eq!(self.ended().code(), None, "it had no time to end by itself");
        self.again()
    }

    /// Starts the program on the same files with `--take-over`, and `more` arguments, `run` by something or as it is.
    pub fn successor(&self, run: impl FnOnce(Command) -> Command, more: &[&str]) -> (Child, Log) {
        spawn(run(rollcall(self.path())), &[&["--take-over", "--state", "state"], more].concat())
    }

    /// Has a new process take over, and waits until it has and the other is gone.
    pub fn upgrade(&mut self) {
        let (child, log) = self.successor(|program| program, &["--listen", self.listen]);
        log.wait(&["listening, UDP and TCP"]);
        assert_eq!(self.ended().code(), Some(0), "{}", self.log.text());
        (self.child, self.log) = (child, log);
    }

    /// Starts one that has ended by itself again, on the same files.
    pub fn again(mut self) -> Server {
        let empty = Site { dir: tempfile::tempdir().unwrap(), environment: Vec::new(), before: Vec::new() };
        let site = std::mem::replace(&mut self.site, empty);
        Server::start(site, self.listen, self.wire.take())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Starts the server, and reads along.
pub fn spawn(mut command: Command, arguments: &[&str]) -> (Child, Log) {
    let fixed = ["serve", "--config", "rollcall.toml"];
    let mut child = command.args(fixed).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    let log = Log::default();
    log.follow(child.stderr.take().unwrap());
    (child, log)
}

/// Waits for a process that is about to end, and ends it if it does not.
pub fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            _ = child.kill();
            _ = child.wait();
            panic!("process {} did not end", child.id());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
