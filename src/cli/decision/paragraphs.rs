//! What `rollcall explain` found, for people.

use std::io::{self, Write};

use super::place::Is;
use super::report::{DrainReport, ErrorCode, Report};
use super::table;
use crate::policy::Shown;
use crate::query::status::line::PoolLine;
use crate::wire::{Rcode, Rtype};

/// Drains that have a paragraph; the table has all members that drain.
const DRAINS_MAX: usize = 4;
/// Columns that lines are broken at.
const COLUMNS: usize = 80;

impl Report {
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (alias, target) in self.aliases.iter().zip(self.aliases.iter().skip(1).chain([&self.name])) {
            writeln!(out, "{alias} is an alias of {target}")?;
        }
        paragraph(&self.headline(), out)?;
        if !self.members.is_empty() {
            writeln!(out)?;
            table::write(self, out)?;
            if self.not_shown > 0 {
                writeln!(out, "and {} more that the server had no room to tell of", self.not_shown)?;
            }
        }
        writeln!(out)?;
        self.write_answer(out)?;
        if let Some(ErrorCode { code, text }) = &self.extended_error {
            let text = if text.is_empty() { String::new() } else { format!(": {text}") };
            paragraph(&format!("Extended DNS Error {code}{text}"), out)?;
        }
        paragraph(&format!("Why: {}.", self.why), out)?;
        self.write_notes(out)?;
        if let Some(client) = &self.client {
            let told = match client.told_status {
                Some(true) => " `_status` is told to it: it is in `debug_from`.",
                Some(false) => " `_status` is not told to it: it is not in `debug_from`.",
                None => "",
            };
            let address = &client.address;
            let same = "is answered by the same rule as everybody: nothing here looks at who asks.";
            paragraph(&format!("Client {address} {same}{told}"), out)?;
        }
        Ok(())
    }

    fn headline(&self) -> String {
        let name = &self.name;
        if self.is_elsewhere {
            return format!("{name} is a name that the server has no zone for.");
        }
        let (Some(is), Some(pool)) = (&self.is, &self.pool) else {
            return format!("{name} is no pool's name: no policy has a say in what it answers.");
        };
        let of = &pool.name;
        let terms = || {
            let PoolLine { up, out, gone, draining, lost, .. } = pool;
            let counts = [(up, "up"), (out, "out"), (draining, "draining"), (lost, "lost"), (gone, "gone")];
            let counts = counts.iter().filter(|(count, state)| **count > 0 || *state == "up");
            let counts = counts.map(|(count, state)| format!("{count} {state}")).collect::<Vec<_>>();
            let shows = match pool.answers {
                Shown::All => "everybody in service".to_owned(),
                Shown::Best => "the best equally".to_owned(),
                Shown::AtMost(most) => most.to_string(),
            };
            let counts = counts.join(", ");
            format!("Policy {}, an answer shows {shows}; members: {counts}.", pool.policy.name())
        };
        match is {
            Is::Pool => format!("{name} is a pool. {}", terms()),
            Is::Service => format!("{name} is a service of a pool. {}", terms()),
            Is::All => format!("{name} is everybody of pool {of}"),
            Is::ServiceOfAll => format!("{name} is everybody of {of}"),
            Is::Instance => format!("{name} is how who browses finds {of} {}", terms()),
            Is::Member(label) if self.members.is_empty() && self.not_shown == 0 => {
                format!("{name} is below pool {of}, which has no member {label}.")
            }
            Is::Member(label) => format!("{name} is member {label} of pool {of}"),
            Is::Below => format!(
                "{name} is below pool {of} and none of its names: no policy has a say in what it answers."
            ),
        }
    }

    /// What is to be known of members besides: who drains, and whose leases are held.
    fn write_notes(&self, out: &mut dyn Write) -> io::Result<()> {
        let drained =
            || self.members.iter().filter_map(|member| Some((&member.name, member.drain.as_ref()?)));
        let mut names_before = "";
        for (name, drain) in drained().take(DRAINS_MAX) {
            // A member with several ports has a row for each.
            if std::mem::replace(&mut names_before, name) != name {
                paragraph(&drain_text(name, drain), out)?;
            }
        }
        if drained().count() > DRAINS_MAX {
            paragraph("Others drain as well: `--json` and `_status` say why.", out)?;
        }
        if self.members.iter().any(|member| member.held) {
            let held = "Leases that are held are over, and count until their members are heard again:";
            paragraph(&format!("{held} most members of the zone are silent."), out)?;
        }
        Ok(())
    }

    fn write_answer(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(ttl_s) = self.ttl_s else {
            if self.is_elsewhere {
                return writeln!(out, "Answer: the alias alone.");
            }
            if self.rcode != Rcode::NOERROR {
                return writeln!(out, "Answer: {}.", self.rcode);
            }
            return writeln!(out, "Answer: no {} record (NODATA).", self.rtype);
        };
        let is_short = matches!(self.rtype, Rtype::A | Rtype::AAAA);
        if is_short {
            let records: Vec<_> = self.records.iter().map(|record| record.data.as_str()).collect();
            return paragraph(&format!("Answer, TTL {ttl_s} s: {}", records.join(" ")), out);
        }
        writeln!(out, "Answer, TTL {ttl_s} s:")?;
        self.records.iter().try_for_each(|record| writeln!(out, "  {} {}", record.rtype, record.data))
    }
}

/// Why a member gets no more clients, and until when. Words of operators are not for a terminal as they are.
fn drain_text(name: &str, drain: &DrainReport) -> String {
    let DrainReport { by, why, left_s } = drain;
    let Some(by) = by else {
        let when = left_s.map_or_else(String::new, |left_s| format!(" in {left_s} s"));
        return format!("{name} drains by its own word, and leaves{when}.");
    };
    let until = match left_s {
        Some(left_s) => format!("serves again in {left_s} s"),
        None => "does so until it is taken back".to_owned(),
    };
    let why = why.as_ref().map_or_else(String::new, |why| format!(": \"{}\"", why.escape_debug()));
    format!("{name} is drained by {}, and {until}{why}.", by.escape_debug())
}

/// Words in lines of at most so many columns, but for words that are longer.
fn paragraph(text: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut column = 0;
    for word in text.split(' ') {
        let len = word.chars().count();
        if column > 0 && column + 1 + len > COLUMNS {
            writeln!(out)?;
            column = 0;
        }
        if column > 0 {
            write!(out, " ")?;
            column += 1;
        }
        write!(out, "{word}")?;
        column += len;
    }
    writeln!(out)
}
