//! What holds after `drain` or `undrain`, for people and for programs.

use std::io::{self, Write};

use serde::Serialize;

use super::args::shell_word;
use super::update::Order;
use super::{AdminArgs, MemberPath, Undone, text};
use crate::wire::tsig::Key;
use crate::wire::{Name, label_text};

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    ok: bool,
    server: String,
    pool: String,
    member: String,
    drained: bool,
    /// `None` without end, or undrained.
    for_s: Option<u32>,
    why: Option<String>,
    /// The key that it was signed with.
    key: Option<String>,
    /// The command that takes it back.
    #[serde(skip)]
    undrain: String,
}

impl Report {
    pub fn of(
        path: &MemberPath,
        pool: &Name,
        order: &Order<'_>,
        admin: &AdminArgs,
        key: Option<&Key>,
    ) -> Self {
        let (drained, for_s, why) = match *order {
            Order::Drain { for_s, why } => (true, for_s, why.map(str::to_owned)),
            Order::Undrain => (false, None, None),
        };
        Report {
            ok: true,
            server: admin.server.to_string(),
            pool: text(pool),
            member: label_text(&path.member),
            drained,
            for_s,
            why,
            key: key.map(|key| text(key.name())),
            undrain: format!("rollcall undrain {}{}", shell_word(&path.text), admin.options()),
        }
    }

    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }

    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Report { pool, member, undrain, .. } = self;
        match (self.drained, self.for_s) {
            (true, Some(for_s)) => {
                let time = time_text(for_s);
                writeln!(out, "{member} of {pool} gets no more clients for {time}; `{undrain}` takes it back")
            }
            (true, None) => writeln!(out, "{member} of {pool} gets no more clients until `{undrain}`"),
            (false, _) => writeln!(out, "no drain keeps clients from {member} of {pool} any more"),
        }
    }
}

/// What `--json` prints when it is not done.
#[derive(Serialize)]
pub(super) struct ErrorReport {
    ok: bool,
    error: String,
    /// What the server said, if it said something.
    rcode: Option<String>,
    /// And why.
    reason: Option<String>,
}

impl ErrorReport {
    pub fn of(undone: &Undone) -> Self {
        let (rcode, reason) = match undone {
            Undone::Refused { rcode, reason, .. } => (Some(rcode), reason.clone()),
            Undone::Unknown { rcode, .. } => (rcode.as_ref(), None),
            _ => (None, None),
        };
        let rcode = rcode.map(ToString::to_string);
        ErrorReport { ok: false, error: undone.to_string(), rcode, reason }
    }

    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }
}

/// A time in the units that make it short: `1 h 30 min`.
fn time_text(seconds: u32) -> String {
    let units = [(24 * 3600, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let mut left = seconds;
    let mut parts = Vec::new();
    for (unit_s, unit) in units {
        if left >= unit_s {
            parts.push(format!("{} {unit}", left / unit_s));
            left %= unit_s;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_units() {
        for (seconds, wanted) in [
            (1, "1 s"),
            (59, "59 s"),
            (60, "1 min"),
            (90, "1 min 30 s"),
            (600, "10 min"),
            (5400, "1 h 30 min"),
            (86_400, "1 d"),
            (1_209_599, "13 d 23 h 59 min 59 s"),
            (1_209_600, "14 d"),
        ] {
            assert_eq!(time_text(seconds), wanted);
        }
    }
}
