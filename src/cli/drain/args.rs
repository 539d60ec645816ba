//! What `drain` and `undrain` are asked, and what they say of themselves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr as _;

use bytes::Bytes;
use clap::Args;
use domain::base::name::UncertainName;

use crate::cli::{SERVER, listener};
use crate::update::DRAIN_S_MAX;
use crate::wire::{Name, label_text};
use crate::zone::file::time_s;

/// Octets of a reason: what a string of a TXT record holds (RFC 1035 section 3.3), without `why=`.
const WHY_OCTETS_MAX: usize = 255 - "why=".len();

/// The zone that is served when nobody says.
const ZONE: &str = "pool.example.";

pub(in crate::cli) const DRAIN_HELP: &str = "\
Examples:
  rollcall drain web/m1 --for 10m --why 'kernel upgrade'
  rollcall drain web/m1 --zone svc.example. --server 192.0.2.53:53 --key-file ops.key
  rollcall drain game.eu/m7 --json
  rollcall undrain web/m1

The member is in no more answers for its pool, but stays registered and is found by its own name, by those that it has.
Heartbeats do not end a drain, nor does a restart of the member or of the server; it is kept for a member that is away,
but one that was not there lately cannot be drained. With --for it ends by itself; to drain again sets a new end. A member
that is known by its address is called as in `_status`, such as 10-0-0-1.

It takes a key whose [[grant]] in the zone's TOML has `admin = true`. Sent is an UPDATE over TCP, which other programs may
send as well: update add _drain.m1.web.pool.example. 0 TXT \"for=600\" \"why=kernel upgrade\"

The exit code is 0 if it is done, 1 if it is not or nobody knows, and 2 if it cannot be asked for.";

pub(in crate::cli) const UNDRAIN_HELP: &str = "\
Examples:
  rollcall undrain web/m1
  rollcall undrain web/m1 --zone svc.example. --server 192.0.2.53:53 --key-file ops.key

What the member says of itself is left as it is: it may be down, or drain by its own will. To take back a drain that there
is not is no error. It takes a key whose [[grant]] in the zone's TOML has `admin = true`. Sent is an UPDATE over TCP, which
other programs may send as well: update delete _drain.m1.web.pool.example. TXT

The exit code is 0 if it is done, 1 if it is not or nobody knows, and 2 if it cannot be asked for.";

/// Arguments of `drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The member: its pool, relative to the zone, and its label
    #[arg(value_name = "POOL/MEMBER", value_parser = member_path)]
    pub member: MemberPath,
    /// End by itself after this time, such as 90, 10m or 1h30m; 14d at most [default: until `undrain`]
    #[arg(long = "for", value_name = "TIME", value_parser = for_s)]
    pub for_s: Option<u32>,
    /// Why, for the log and `_status`
    #[arg(long, value_name = "TEXT", value_parser = why)]
    pub why: Option<String>,
    /// Whom to tell.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Arguments of `undrain`.
#[derive(Debug, Args)]
pub struct UndrainArgs {
    /// The member: its pool, relative to the zone, and its label
    #[arg(value_name = "POOL/MEMBER", value_parser = member_path)]
    pub member: MemberPath,
    /// Whom to tell.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Which server an operator tells something, and how.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// The pool's zone
    #[arg(long, value_name = "ZONE", value_parser = zone, default_value = ZONE)]
    pub zone: Name,
    /// The server to tell, over TCP
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listener, default_value_t = SERVER)]
    pub server: SocketAddr,
    /// Sign with the key in this file, which `rollcall keygen --key-file` or tsig-keygen made
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Print one JSON object, also when it is not done
    #[arg(long)]
    pub json: bool,
}

impl AdminArgs {
    /// The options that another command about the same member takes, with a blank before each.
    pub(super) fn options(&self) -> String {
        let zone = super::text(&self.zone);
        let file = self.key_file.as_ref().map(|file| file.display().to_string());
        let options = [
            ("--zone", (!zone.eq_ignore_ascii_case(ZONE)).then_some(zone)),
            ("--server", (self.server != SERVER).then(|| self.server.to_string())),
            ("--key-file", file),
        ];
        let given = options.into_iter().filter_map(|(option, value)| Some((option, value?)));
        given.map(|(option, value)| format!(" {option} {}", shell_word(&value))).collect()
    }
}

/// A member, as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPath {
    /// As it was written.
    pub text: String,
    /// The pool, relative to the zone.
    pub pool: String,
    /// The member's label, octets.
    pub member: Box<[u8]>,
}

/// A text as one word of a shell.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:@%+,=".contains(char);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn member_path(text: &str) -> Result<MemberPath, String> {
    let example = "give POOL/MEMBER, such as web/m1";
    let mut slashes = text.match_indices('/').map(|(at, _)| at).filter(|&at| !is_escaped(text, at));
    let (Some(at), None) = (slashes.next(), slashes.next()) else {
        return Err(format!("{example}; a slash in a name is written \\047"));
    };
    let (pool, member) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
    if pool.is_empty() || member.is_empty() {
        return Err(example.to_owned());
    }
    let label = label(member)
        .ok_or("a member's name is one label, such as m1 or 10-0-0-1; write \\. for a dot in it")?;
    if label.starts_with(b"_") || label.eq_ignore_ascii_case(b"all") || *label == *b"*" {
        return Err(format!(
            "no member is called {}: `_`, `all` and `*` have a meaning of their own",
            label_text(&label)
        ));
    }
    Ok(MemberPath { text: text.to_owned(), pool: pool.to_owned(), member: label })
}

/// Whether the character at `at` follows an odd number of backslashes.
fn is_escaped(text: &str, at: usize) -> bool {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    before.iter().rev().take_while(|&&octet| octet == b'\\').count() % 2 == 1
}

/// The only label of a relative name.
fn label(text: &str) -> Option<Box<[u8]>> {
    let is_graphic = text.bytes().all(|octet| octet.is_ascii_graphic());
    let name = UncertainName::<Bytes>::from_str(text).ok().filter(|_| is_graphic)?;
    let name = name.as_relative().filter(|name| name.label_count() == 1)?;
    name.iter().next().map(|label| label.as_slice().into())
}

fn for_s(text: &str) -> Result<u32, String> {
    let seconds = time_s(text).and_then(|seconds| u32::try_from(seconds).ok());
    let seconds = seconds.filter(|seconds| (1..=DRAIN_S_MAX).contains(seconds));
    seconds.ok_or_else(|| {
        "give 1 s to 14 d: seconds, or numbers with s, m, h or d, such as 90, 10m or 1h30m".to_owned()
    })
}

fn why(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > WHY_OCTETS_MAX || text.chars().any(char::is_control) {
        return Err(format!("give 1 to {WHY_OCTETS_MAX} octets on one line, or leave --why out"));
    }
    Ok(text.to_owned())
}

fn zone(text: &str) -> Result<Name, String> {
    let is_graphic = text.bytes().all(|octet| octet.is_ascii_graphic());
    let name = Name::bytes_from_str(text).ok().filter(|_| is_graphic);
    name.ok_or_else(|| "give the name of a zone, such as pool.example.".to_owned())
}
