//! Clients written in Python, in an environment of their own that `scripts/install-dns-tools --all` makes from PyPI.

use std::fs;
use std::path::PathBuf;

use super::clients::{or_say, text};
use super::server::Server;

const PRELUDE: &str = include_str!("python/prelude.py");
const REQUIREMENTS: &str = include_str!("python/requirements.txt");

/// The environment's interpreter.
pub fn interpreter() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/interop-python/bin/python")
}

/// Whether there is such an environment, with all that is asked of it. If not, a test passes over with a loud line; in CI
/// it fails.
pub fn is_here() -> bool {
    // Written last, when everything is in it.
    let installed = fs::read_to_string(interpreter().with_file_name("requirements.txt"));
    let is_whole = installed.is_ok_and(|installed| installed == REQUIREMENTS);
    or_say(
        is_whole,
        "dnspython and certbot from PyPI are missing, or others: run scripts/install-dns-tools --all",
    )
}

impl Server {
    /// Runs a program after the prelude, and returns the lines that it prints. The program's indentation is that of its
    /// first line.
    pub fn python(&self, program: &str) -> Vec<String> {
        let lines = program.lines().skip_while(|line| line.trim().is_empty());
        let lines: Vec<_> = lines.collect();
        let margin = lines.first().map_or(0, |line| line.len() - line.trim_start().len());
        let lines: Vec<_> = lines.iter().map(|line| line.get(margin..).unwrap_or_default()).collect();
        let program = [PRELUDE, &lines.join("\n"), "\n"].concat();
        let (ip, port) = (self.address.ip().to_string(), self.address.port().to_string());
        // -I: nobody's PYTHONPATH changes what runs.
        let output = self.client(interpreter()).args(["-I", "-c", &program, &ip, &port]).output().unwrap();
        let errors = text(output.stderr);
        assert!(output.status.success(), "{errors}\n{}", self.log.text());
        text(output.stdout).lines().map(str::to_owned).collect()
    }
}
