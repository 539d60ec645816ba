//! What a string of `_status` says, and how it is written: the one place that the server and who reads it share.
//!
//! A string is words with one space between. What it is about comes first, then what that is, then `key=value`. A pool, or one
//! of its services, has the first string, each member one of its own:
//!
//! ```text
//! web.pool.example. pool policy=weighted-random answers=1 ttl=5s up=1 out=1 gone=0
//! m1 up registered lease=23s weight=20 rank=1 share=100% site=fra 10.0.0.1 2001:db8::1
//! m2 out weight=0 lease=23s 10.0.0.2
//! m3 draining operator by=ops. for=540s why=new\032disk lease=23s weight=1 10.0.0.3
//! ```
//!
//! Words of what is there only at times stand only then: of a pool, members that drain or are lost, leases that are held, and
//! what is answered because nobody is fit. What a member says of itself stands behind what the server says of it, its
//! addresses last. Spaces in it, and keys that are words of the server's, are written as `\DDD`, so that nobody can say
//! something in the server's name.

mod fixed;
mod instead;
mod member;
mod pool;

use std::io::Write as _;

pub use fixed::Millionths;
pub use instead::Instead;
pub use member::{Families, Left, MemberLine, SaidLoad, Srv};
pub use pool::{Kind, PoolLine};

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

/// Whether a member takes part in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does.
    Up,
    /// It says that it weighs nothing.
    Out,
    /// It drains by its own word, and leaves.
    Leaving,
    /// It drains by an operator's word.
    Drained,
    /// Its lease has run out, and it is answered all the same: nobody is fit, and it was good last.
    Lost,
    /// Its lease has run out.
    Gone,
}

impl State {
    const ALL: [State; 6] = [State::Up, State::Out, State::Leaving, State::Drained, State::Lost, State::Gone];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Out => "out",
            State::Leaving | State::Drained => "draining",
            State::Lost => "lost",
            State::Gone => "gone",
        }
    }

    /// Why it is.
    pub fn why(self) -> &'static str {
        match self {
            State::Up => "registered",
            State::Out => "weight=0",
            State::Leaving => "own",
            State::Drained => "operator",
            State::Lost | State::Gone => "expired",
        }
    }

    /// Whether it gets no more clients.
    pub fn drains(self) -> bool {
        matches!(self, State::Leaving | State::Drained)
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

#[cfg(test)]
mod tests;
