//! What is wrong with a script, and how its errors read.

use std::fmt;

use crate::wire::{Class, Rtype};
use crate::zone::file::ZoneFault;

/// The largest TTL (RFC 2181 section 8).
pub(super) const TTL_MAX_S: u32 = i32::MAX as u32;
/// The most octets of a message whose TSIG still has room.
pub(super) const MESSAGE_OCTETS_MAX: usize = u16::MAX as usize - 1_024;

pub(super) const WRITE_ADD: &str = "write `update add NAME TTL TYPE RDATA`";
pub(super) const WRITE_DELETE: &str =
    "write `update delete NAME`, `update delete NAME TYPE` or `update delete NAME TYPE RDATA`";
pub(super) const WRITE_PREREQ: &str = "write `prereq nxdomain NAME`, `prereq yxdomain NAME`, \
    `prereq nxrrset NAME TYPE` or `prereq yxrrset NAME TYPE`";
pub(super) const WRITE_KEY: &str = "write `key ALGORITHM:NAME SECRET`, such as `key hmac-sha256:web SECRET`";

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::cli) enum ScriptFault {
    /// Octets that are no text.
    #[error("this is not UTF-8; write other octets as \\DDD")]
    NotText,
    /// A command that nsupdate does not have.
    #[error(
        "`{text}` is no command of nsupdate; write `update add`, `update delete`, `prereq`, `zone` or `send`"
    )]
    Command {
        /// The word.
        text: String,
    },
    /// Too few words.
    #[error("{what} is missing; {write}")]
    Missing {
        /// What.
        what: &'static str,
        /// How it is written.
        write: &'static str,
    },
    /// A word of a section that it does not have.
    #[error("`{text}` is not known here; {write}")]
    Word {
        /// The word.
        text: String,
        /// How it is written.
        write: &'static str,
    },
    /// Not a domain name.
    #[error(
        "`{text}` is not a domain name: labels of 1 to 63 octets with dots between them, 255 octets at most"
    )]
    Name {
        /// The word.
        text: String,
    },
    /// Not a TTL.
    #[error("`{text}` is not a TTL; give seconds from 0 to {TTL_MAX_S}, without units")]
    Ttl {
        /// The word.
        text: String,
    },
    /// Not a type.
    #[error("`{text}` is not a type; give one such as A, SRV or TYPE65280")]
    Type {
        /// The word.
        text: String,
    },
    /// Not a class.
    #[error("`{text}` is not a class; give IN")]
    Class {
        /// The word.
        text: String,
    },
    /// A record of another class than its zone.
    #[error("class {class}, and the zone's is {zone}; leave it out")]
    OtherClass {
        /// The record's.
        class: Class,
        /// The zone's.
        zone: Class,
    },
    /// Rdata that is not its type's.
    #[error(
        "{rtype} rdata: {fault}{}",
        if *.has_semicolon { "; nsupdate takes comments on lines of their own alone" } else { "" }
    )]
    Rdata {
        /// The type.
        rtype: Rtype,
        /// What is wrong.
        fault: ZoneFault,
        /// Whether a comment may have been meant.
        has_semicolon: bool,
    },
    /// GSS-TSIG.
    #[error("GSS-TSIG (RFC 3645) is not spoken by rollcall; sign with a `key`")]
    Gss,
    /// A message that is too large.
    #[error("with this line the message takes over {MESSAGE_OCTETS_MAX} octets; put `send` before it")]
    TooLarge,
}

/// An error with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct ScriptError {
    pub line: usize,
    pub fault: ScriptFault,
    /// The line as it stands there, printable; empty if it is not shown.
    pub text: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScriptError { line, fault, text } = self;
        write!(f, "{line}: {}", printable(&fault.to_string()))?;
        if text.is_empty() { Ok(()) } else { write!(f, "\n  {line} | {text}") }
    }
}

/// A line for a terminal, which acts on some octets.
pub(super) fn printable(line: &str) -> String {
    let shown = line.trim().chars().map(|character| match character {
        '\t' => ' ',
        character if character.is_control() => char::REPLACEMENT_CHARACTER,
        character => character,
    });
    shown.collect()
}
