//! What can be wrong with a configuration. Every message says what is expected instead.

use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::all_down::words;
use super::policy_option::no_use;
use super::{LEASE_MAX_S, Place, PolicyOf, PolicyOption};
use crate::policy::{Policy, Shown};
use crate::security::DuplicateKey;
use crate::wire::{Name, Rtype, name_text, tsig};
use crate::zone::file::ZoneFileError;

/// Why a configuration was not loaded. Nothing of it is used then.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{}: {error}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// A TOML file holds something that it may not.
    #[error("{place}: {fault}\n{}", .place.excerpt())]
    At {
        /// Where.
        place: Box<Place>,
        /// What.
        fault: Fault,
    },
    /// A key file holds something that it may not. The line is not shown: there may be a secret on it.
    #[error("{}:{line}: {fault}", .path.display())]
    KeyFile {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What.
        fault: KeyFileFault,
    },
    /// A key file that others could have read, or anybody but its owner written.
    #[error("{}: mode {mode:03o} lets others read it, or more than its owner write it, and it holds secrets; run \
        `chmod 640 {}`", .path.display(), .path.display())]
    KeyFileMode {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A zone file is bad.
    #[error(transparent)]
    ZoneFile(#[from] ZoneFileError),
    /// A record of the zone file stands where a pool's names are.
    #[error("{}:{line}: {} {rtype} is in the way of the pool {}: {reason}; remove one of them",
        .path.display(), name_text(.owner.as_slice()), name_text(.pool.as_slice()))]
    InTheWay {
        /// The zone file.
        path: PathBuf,
        /// The record's line.
        line: usize,
        /// The record's owner.
        owner: Name,
        /// Its type.
        rtype: Rtype,
        /// The pool.
        pool: Name,
        /// What the pool needs.
        reason: &'static str,
    },
    /// A record of the zone file that leads elsewhere with all that is below its name.
    #[error("{}:{line}: {} {rtype} leads elsewhere with all that is below it: {reason}", .path.display(),
        name_text(.owner.as_slice()))]
    Elsewhere {
        /// The zone file.
        path: PathBuf,
        /// The record's line.
        line: usize,
        /// The record's owner.
        owner: Name,
        /// Its type.
        rtype: Rtype,
        /// Why it may not, and what to do.
        reason: String,
    },
    /// A record of the zone file that another zone hides.
    #[error("{}:{line}: {} {rtype} lies in the zone {}, which is served too and answers for it; move it to that zone's \
        file, or remove it", .path.display(), name_text(.owner.as_slice()), name_text(.inner.as_slice()))]
    Occluded {
        /// The zone file.
        path: PathBuf,
        /// The record's line.
        line: usize,
        /// The record's owner.
        owner: Name,
        /// Its type.
        rtype: Rtype,
        /// The other zone.
        inner: Name,
    },
    /// A file in the zones directory whose name is not that of a zone.
    #[error("{}: a zone's file is called after the zone, such as pool.example.zone; this name is not a domain name, \
        or too long", .path.display())]
    ZoneName {
        /// Which file.
        path: PathBuf,
    },
    /// Two files whose names differ in case, or in a closing dot, alone.
    #[error("{} and {} are the same zone; remove one", .first.display(), .second.display())]
    SameZone {
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The zones directory cannot be read.
    #[error("zones directory {}: {error}; create it, or name another with --zones", .dir.display())]
    ZonesDirectory {
        /// Which directory.
        dir: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// There is no zone to serve.
    #[error("no zone in {}; put NAME.zone or NAME.toml there, such as pool.example.toml", .dir.display())]
    NoZones {
        /// The directory searched.
        dir: PathBuf,
    },
    /// No state directory is configured, and the environment names none.
    #[error(
        "no place for the state: STATE_DIRECTORY, XDG_STATE_HOME and HOME are unset; set `state` in rollcall.toml, or pass --state DIR"
    )]
    NoState,
}

/// What is wrong at a place in a TOML file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It is no TOML, or a key is unknown, missing or of the wrong type.
    #[error("{message}")]
    Toml {
        /// What the TOML reader says.
        message: String,
    },
    /// A number out of its range.
    #[error("`{key}` is {value}; give {} to {}", .range.start(), .range.end())]
    Range {
        /// Which setting.
        key: &'static str,
        /// What it was.
        value: i64,
        /// What it may be.
        range: RangeInclusive<i64>,
    },
    /// A text that is empty or too long.
    #[error("`{key}` has {octets} octets; give 1 to {octets_max}, or leave it out")]
    Length {
        /// Which setting.
        key: &'static str,
        /// How many it has.
        octets: usize,
        /// How many it may have.
        octets_max: usize,
    },
    /// A list without items.
    #[error("`{key}` is an empty list; give at least one, or leave it out")]
    Empty {
        /// Which setting.
        key: &'static str,
    },
    /// A listener that is not an address and a port.
    #[error("`listen`: \"{text}\" is not ADDRESS:PORT; give one like 127.0.0.1:5300 or [::1]:5300")]
    Listen {
        /// What it was.
        text: String,
    },
    /// A key's name that is not a domain name.
    #[error("`{key}`: \"{text}\" is not a domain name; give one like web.example.")]
    KeyName {
        /// Which setting.
        key: &'static str,
        /// What it was.
        text: String,
    },
    /// An algorithm that this server does not speak.
    #[error("`algorithm`: \"{text}\": {error}{}", algorithm_hint(.error))]
    Algorithm {
        /// What it was.
        text: String,
        /// Why not.
        error: tsig::MacPolicyError,
    },
    /// A key without all of its parts, or with parts beside a file that has them.
    #[error("a [[key]] needs either `name` and `secret`, or `file` alone")]
    KeyParts,
    /// A key file that cannot be read.
    #[error("`file`: {}: {error}; give a file with keys, relative to the directory of this one", .path.display())]
    KeyFile {
        /// Which file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// A secret that is not base64.
    #[error("`secret` is not base64; give what `rollcall keygen` prints")]
    SecretText,
    /// A secret that is no good.
    #[error("`secret`: {error}; give what `rollcall keygen` prints")]
    Secret {
        /// Why.
        error: tsig::KeyError,
    },
    /// A second key of one name.
    #[error("`name`: {0}; remove one or rename it")]
    DuplicateKey(DuplicateKey),
    /// A policy that there is not.
    #[error("`policy`: \"{text}\" is not a policy; give one of {}", Policy::NAMES.map(|(name, _)| name).join(", "))]
    Policy {
        /// What it was.
        text: String,
    },
    /// No answer that there is for when nobody fit is left.
    #[error("`on_all_down`: \"{text}\" is no answer that there is; give one of {}", words())]
    OnAllDown {
        /// What it was.
        text: String,
    },
    /// Another pool is to answer, and none is named.
    #[error(
        "`on_all_down` is \"fallback\", and there is no `fallback` here or above; give `fallback = \"POOL\"` beside it"
    )]
    NoFallback,
    /// A fallback that nothing makes use of.
    #[error("`fallback` does nothing unless `on_all_down` is \"fallback\"; set it so, or remove `fallback`")]
    IdleFallback,
    /// A fallback that is no pool.
    #[error("`fallback`: \"{text}\": {reason}")]
    Fallback {
        /// What it was.
        text: String,
        /// Why not, and what to give.
        reason: String,
    },
    /// A pool that is to answer when it cannot.
    #[error(
        "the fallback of {pool} would be {pool} itself; give it another `fallback`, or another `on_all_down`"
    )]
    OwnFallback {
        /// The pool.
        pool: String,
    },
    /// A number of answers that cannot be shown.
    #[error("`answers` is {text}; give \"all\" or 1 to {}", Shown::PICK_MAX)]
    Answers {
        /// What it was.
        text: String,
    },
    /// An option that no policy here makes use of.
    #[error("{}", no_use(*.option, *.policy, *.of))]
    NoUse {
        /// Which option.
        option: PolicyOption,
        /// The policy that makes no use of it.
        policy: Policy,
        /// Whose policy that is.
        of: PolicyOf,
    },
    /// Lease lengths out of order.
    #[error(
        "`min_lease` {min_s}, `default_lease` {default_s} and `max_lease` {max_s} have to be in rising order; some may \
        be defaults"
    )]
    Leases {
        /// Seconds.
        min_s: u32,
        /// Seconds.
        default_s: u32,
        /// Seconds.
        max_s: u32,
    },
    /// A pool's name that cannot be one.
    #[error("pool \"{text}\": {reason}")]
    PoolName {
        /// What it was.
        text: String,
        /// Why not, and what to give.
        reason: String,
    },
    /// A pool declared twice.
    #[error("pool \"{text}\" is declared at line {first_line} already; remove one")]
    DuplicatePool {
        /// The name.
        text: String,
        /// Where it was declared first.
        first_line: usize,
    },
    /// A pool below another one.
    #[error("pool \"{text}\" lies below the pool {}, where its members' names are; rename one", name_text(.above.as_slice()))]
    NestedPool {
        /// The name.
        text: String,
        /// The pool above.
        above: Name,
    },
    /// A pool that another zone hides.
    #[error("pool \"{text}\" lies in the zone {}, which is served too; declare it in {}, or rename it",
        name_text(.inner.as_slice()), .toml.display())]
    PoolInZone {
        /// The name.
        text: String,
        /// The other zone.
        inner: Name,
        /// That zone's TOML file, which need not exist yet.
        toml: PathBuf,
    },
    /// A grant to nobody, or to two.
    #[error(
        "a grant is for a key or for unsigned updates; give either `key = \"NAME\"` or `unsigned = true`"
    )]
    Holder,
    /// A grant to a key that the server does not have.
    #[error("`key`: there is no [[key]] \"{text}\" in {}; known: {known}", .file.display())]
    UnknownKey {
        /// What it was.
        text: String,
        /// The `rollcall.toml` that was read.
        file: PathBuf,
        /// The keys that there are.
        known: String,
    },
    /// A grant to a key, and no file that could have one.
    #[error(
        "`key`: there is no [[key]] \"{text}\", for no rollcall.toml was read; name it (`serve --config FILE`, `check FILE`), \
         or make the key with `rollcall keygen {text}`"
    )]
    NoKeys {
        /// What it was.
        text: String,
    },
    /// A zone's file where `rollcall.toml` should be.
    #[error(
        "`{key}`: this looks like a zone's file: it belongs in the zones directory; `check` and `serve --config` take \
         rollcall.toml, and read the zones with it"
    )]
    ZonesFile {
        /// The key that only a zone's file has.
        key: &'static str,
    },
    /// A listener that is there twice.
    #[error("`listen`: \"{text}\" is given twice; remove one")]
    ListenTwice {
        /// What it was.
        text: String,
    },
    /// Something that is not a prefix.
    #[error("`{key}`: \"{text}\" is not a prefix; give {wanted}")]
    Prefix {
        /// Which setting.
        key: &'static str,
        /// What it was.
        text: String,
        /// What would be right.
        wanted: String,
    },
    /// A pattern that can match nothing.
    #[error("`{key}`: \"{text}\" can match no {what}; patterns are {wanted}")]
    Pattern {
        /// Which setting.
        key: &'static str,
        /// What it was.
        text: String,
        /// What it would match.
        what: &'static str,
        /// What patterns are there.
        wanted: &'static str,
    },
    /// A type that there is not, or that no record has.
    #[error(
        "`types`: \"{text}\" is no type of records; give names such as \"MX\" or \"TYPE65280\", or \"*\" alone for all"
    )]
    Type {
        /// What it was.
        text: String,
    },
    /// Every type, and some.
    #[error("`types`: \"*\" is every type already; give it alone, or leave it out")]
    EveryType,
    /// A grant's lease that is none.
    #[error(
        "`lease` is {text}; give 1 to {LEASE_MAX_S} seconds, or \"none\" for records that need no renewal"
    )]
    Lease {
        /// What it was.
        text: String,
    },
    /// Something in a grant that nothing in it lets act.
    #[error("`{key}` does nothing in this grant: {reason}, or remove `{key}`")]
    Idle {
        /// Which setting.
        key: &'static str,
        /// Why, and what to give.
        reason: &'static str,
    },
    /// A grant that covers no address.
    #[error(
        "`own_address` and `addresses` allow no address together: none of these is in `sources` (loopback, if an unsigned \
        grant has none); widen one, or remove `own_address`"
    )]
    NeverOwn,
    /// An owner that is no use in a log line.
    #[error("`owner` has to be 1 to 64 printable characters without spaces")]
    Owner,
}

/// What is wrong in a key file. No text of the file is in it: whatever stands in the wrong place may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileFault {
    /// Something else than its syntax has there.
    #[error(
        "{expected} is missing here; a key is written `key \"NAME\" {{ algorithm hmac-sha256; secret \"BASE64\"; }};`"
    )]
    Syntax {
        /// What should be there.
        expected: &'static str,
    },
    /// A comment or a quoted text without an end.
    #[error("{what} that begins here has no end")]
    Open {
        /// Which of the two.
        what: &'static str,
    },
    /// A part that a key has already.
    #[error("this key has {part} already; remove one")]
    Twice {
        /// Which part.
        part: &'static str,
    },
    /// A key that lacks a part.
    #[error("the key that begins here has no {part}; give both `algorithm` and `secret`")]
    Missing {
        /// Which part.
        part: &'static str,
    },
    /// A name that is not a domain name.
    #[error("the key's name is not a domain name; give one like web.example.")]
    Name,
    /// An algorithm that this server does not speak.
    #[error("the key's algorithm: {error}{}", algorithm_hint(.error))]
    Algorithm {
        /// Why not.
        error: tsig::MacPolicyError,
    },
    /// A secret that is not base64.
    #[error("the key's secret is not base64; give what `rollcall keygen` or tsig-keygen prints")]
    SecretText,
    /// A secret that is no good.
    #[error("the key's secret: {error}; give what `rollcall keygen` or tsig-keygen prints")]
    Secret {
        /// Why.
        error: tsig::KeyError,
    },
    /// A second key of one name.
    #[error("{0}; remove one or rename it")]
    Duplicate(DuplicateKey),
    /// No key at all.
    #[error("there is no key in this file; make one with `rollcall keygen NAME --key-file FILE`")]
    NoKey,
    /// More than anybody means to be keys.
    #[error("a key file has {most} octets at most; split it")]
    Size {
        /// The limit.
        most: u64,
    },
}

/// What to give instead of an algorithm that is not spoken.
fn algorithm_hint(error: &tsig::MacPolicyError) -> &'static str {
    match error {
        tsig::MacPolicyError::Algorithm => "; give hmac-sha256, hmac-sha384 or hmac-sha512",
        tsig::MacPolicyError::Bits { .. } => "",
    }
}
