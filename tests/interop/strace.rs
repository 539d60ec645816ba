//! strace (Debian): what system calls the server makes, and what becomes of it when they fail.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::clients::or_say;
use super::server::{Server, wait};

/// Whether strace is there and may trace. If not, a test passes over with a loud line; in CI it fails.
pub fn is_here() -> bool {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    or_say(traced.is_ok(), "strace is missing: apt-get install -y strace")
        && or_say(
            traced.is_ok_and(|output| output.status.success()),
            "strace may not trace here: the container needs CAP_SYS_PTRACE, or a seccomp profile that allows ptrace",
        )
}

/// What starts a server whose calls of these kinds are written to a file: line by line in the order in which they begin and end,
/// with every octet of what is read and written. The server is the process that is started, strace one of its own.
pub fn writing(calls: &str, to: &Path) -> Vec<String> {
    let (trace, to) = (format!("trace={calls}"), to.to_str().unwrap());
    ["strace", "-D", "-f", "-xx", "-s", "4096", "-e", &trace, "-e", "signal=none", "-o", to]
        .map(str::to_owned)
        .into()
}

/// A running server's system calls that fail, until this is dropped.
pub struct Failing(Child);

impl Failing {
    /// Has `calls` of the server fail with `errno` from now on.
    pub fn new(server: &Server, calls: &str, errno: &str) -> Self {
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:error={errno}"));
        let mut strace = Command::new("strace")
            .args(["-f", "-e", &trace, "-e", &inject, "-e", "signal=none", "-o", "/dev/null"])
            .args(["-p", &server.id().to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(strace.stderr.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.find(|line| line.contains("attached"));
        assert!(said.is_some(), "strace did not attach to {}", server.id());
        // It says so of each thread, and must not be stopped by a pipe that nobody reads.
        std::thread::spawn(move || lines.for_each(drop));
        Failing(strace)
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        // It lets go of the server, and ends.
        let detach = format!("kill -INT {}", self.0.id());
        _ = Command::new("sh").args(["-c", &detach]).status();
        if !std::thread::panicking() {
            wait(&mut self.0);
        }
    }
}
