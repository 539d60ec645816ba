//! What a string of `_status` says, and how it is written: the one place that the server and who reads it share.
//!
//! A string is words with one space between. What it is about comes first, then what that is, then `key=value`. A pool, or one
//! of its services, has the first string, each member one of its own:
//!
//! ```text
//! web.pool.example. pool policy=weighted-random answers=1 ttl=5s up=1 out=1 gone=0
//! m1 up registered lease=23s weight=20 rank=1 share=100% site=fra 10.0.0.1 2001:db8::1
//! m2 out weight=0 lease=23s 10.0.0.2
//! ```
//!
//! What a member says of itself stands behind what the server says of it, its addresses last. Spaces in it, and keys that are
//! words of the server's, are written as `\DDD`, so that nobody can say something in the server's name.

mod fixed;
mod member;

use std::io::Write as _;
use std::net::IpAddr;

use crate::policy::{Policy, Shown};
pub use fixed::Millionths;
pub use member::{Families, MemberLine, SaidLoad, Srv};

/// What is said of a pool without members.
const NOBODY: &str = "no member: nobody has registered, or whoever had has left or let the lease run out";
/// What is said of members whose strings do not fit.
const NOT_SHOWN: &str = "not shown: they do not fit";

/// A string of `_status`.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Of the pool or the service that was asked about.
    Pool(PoolLine),
    /// Of a member.
    Member(Box<MemberLine>),
    /// There are no members.
    Nobody,
    /// So many members are not shown.
    More(usize),
}

/// Whose status it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A pool's: what its A and AAAA are picked from.
    Pool,
    /// A service's of a pool: its SRV records.
    Service,
}

/// What is said of a pool, or of one of its services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLine {
    /// Its name, with a dot at the end.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How members are picked.
    pub policy: Policy,
    /// How many members an answer shows.
    pub answers: Shown,
    /// The most that an answer's TTL may be, seconds.
    pub ttl_s: u32,
    /// How many take part in answers.
    pub up: usize,
    /// How many do not.
    pub out: usize,
    /// How many have ended and are about to be swept.
    pub gone: usize,
    /// The client that the question was asked for, and whether it would be told.
    pub client: Option<(IpAddr, bool)>,
}

/// Whether a member takes part in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does.
    Up,
    /// It says that it weighs nothing.
    Out,
    /// Its lease has run out.
    Gone,
}

impl State {
    const ALL: [State; 3] = [State::Up, State::Out, State::Gone];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Out => "out",
            State::Gone => "gone",
        }
    }

    /// Why it is.
    pub fn why(self) -> &'static str {
        match self {
            State::Up => "registered",
            State::Out => "weight=0",
            State::Gone => "expired",
        }
    }
}

impl Kind {
    const ALL: [Kind; 2] = [Kind::Pool, Kind::Service];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pool => "pool",
            Kind::Service => "service",
        }
    }
}

impl Line {
    /// Appends the string.
    pub fn write(&self, text: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        _ = match self {
            Line::Pool(pool) => pool.write(text),
            Line::Member(member) => {
                member.write(text);
                Ok(())
            }
            Line::Nobody => text.write_all(NOBODY.as_bytes()),
            Line::More(1) => write!(text, "1 more member is {NOT_SHOWN}"),
            Line::More(members) => write!(text, "{members} more members are {NOT_SHOWN}"),
        };
    }

    /// What a string says; `None` if it is none of `_status`.
    pub fn parse(text: &[u8]) -> Option<Line> {
        if text == NOBODY.as_bytes() {
            return Some(Line::Nobody);
        }
        let mut words = text.split(|octet| *octet == b' ');
        let mut word = || words.next().and_then(|word| std::str::from_utf8(word).ok());
        let (name, what) = (word()?, word()?);
        // Names are written in presentation form: anything else is not the server's word, and not for a terminal.
        if name.is_empty() || !name.bytes().all(|octet| octet.is_ascii_graphic()) {
            return None;
        }
        if what == "more" && text.ends_with(NOT_SHOWN.as_bytes()) {
            return name.parse().ok().map(Line::More);
        }
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == what) {
            return PoolLine::parse(name, kind, words).map(Line::Pool);
        }
        let why = word()?;
        let state = State::ALL.into_iter().find(|state| (state.name(), state.why()) == (what, why))?;
        MemberLine::parse(name, state, words).map(|member| Line::Member(Box::new(member)))
    }
}

impl PoolLine {
    fn write(&self, text: &mut Vec<u8>) -> std::io::Result<()> {
        let (kind, policy, ttl_s) = (self.kind.name(), self.policy.name(), self.ttl_s);
        write!(text, "{} {kind} policy={policy} answers=", self.name)?;
        match self.answers {
            Shown::All => text.write_all(b"all")?,
            Shown::Best => text.write_all(b"best")?,
            Shown::AtMost(most) => write!(text, "{most}")?,
        }
        write!(text, " ttl={ttl_s}s up={} out={} gone={}", self.up, self.out, self.gone)?;
        if let Some((client, is_told)) = self.client {
            write!(text, " client={client} told={}", if is_told { "yes" } else { "no" })?;
        }
        Ok(())
    }

    fn parse<'t>(name: &str, kind: Kind, words: impl Iterator<Item = &'t [u8]>) -> Option<Self> {
        let (mut policy, mut answers, mut ttl_s, mut counts) = (None, None, None, [None; 3]);
        let (mut client, mut is_told) = (None, false);
        let [up, out, gone] = &mut counts;
        for word in words {
            let (key, value) = std::str::from_utf8(word).ok()?.split_once('=')?;
            match key {
                "policy" => policy = Policy::named(value),
                "answers" => {
                    answers = match value {
                        "all" => Some(Shown::All),
                        "best" => Some(Shown::Best),
                        most => most.parse().ok().map(Shown::AtMost),
                    }
                }
                "ttl" => ttl_s = value.strip_suffix('s')?.parse().ok(),
                "up" => *up = value.parse().ok(),
                "out" => *out = value.parse().ok(),
                "gone" => *gone = value.parse().ok(),
                "client" => client = Some(value.parse().ok()?),
                "told" => is_told = value == "yes",
                // A later version may say more.
                _ => {}
            }
        }
        let [up, out, gone] = counts;
        Some(PoolLine {
            name: name.to_owned(),
            kind,
            policy: policy?,
            answers: answers?,
            ttl_s: ttl_s?,
            up: up?,
            out: out?,
            gone: gone?,
            client: client.map(|client| (client, is_told)),
        })
    }
}

#[cfg(test)]
mod tests;
