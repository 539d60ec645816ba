//! `rollcall drain` and `rollcall undrain`: a member gets no more clients, whatever it says of itself, and gets them again.
//!
//! Both are one UPDATE over TCP, which nsupdate could send as well: a TXT record at `_drain.MEMBER.POOL` is added or
//! deleted. It is signed with a key, and then the reply has to be too; for a server that lets this machine drain without a key
//! it need not be.

mod args;
mod report;
mod update;

use std::io::{self, Write};

use super::session::{AskError, Connection};
use super::{EXIT_FAILED, EXIT_OK, EXIT_USAGE};
use crate::config::{ConfigError, KeyFile, pool_name};
use crate::server::clock;
use crate::wire::tsig::{FUDGE_S, Key, ReplyFailure, sign_request, verify_reply};
use crate::wire::{Name, Rcode, name_text};

pub use args::{AdminArgs, DrainArgs, MemberPath, UndrainArgs};
pub(super) use args::{DRAIN_HELP, UNDRAIN_HELP};
use report::{ErrorReport, Report};
use update::{Order, Reply};

/// Why nothing is known to have been done.
#[derive(Debug, thiserror::Error)]
enum Undone {
    /// The name is none that a member of that zone can have.
    #[error("{path}: {reason}")]
    Name { path: String, reason: String },
    #[error("{path}: {error}; give the file that `rollcall keygen --key-file` or tsig-keygen made")]
    NoKeyFile { path: String, error: io::Error },
    #[error(transparent)]
    KeyFile(ConfigError),
    #[error("{path}: {count} keys are in it, and one signs; give a file with that key alone")]
    Keys { path: String, count: usize },
    #[error(transparent)]
    Ask(AskError),
    /// It may have been done: the answer did not come, or proves nothing.
    #[error("{what}; it may be done all the same: say it again, which does no harm")]
    Unknown { what: String, rcode: Option<Rcode> },
    /// The server says no.
    #[error("the server at {server} refused it: {rcode}{}{}", because(.reason), advice(.hint))]
    Refused { server: String, rcode: Rcode, reason: Option<String>, hint: String },
}

fn because(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
}

fn advice(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("; {hint}") }
}

/// Has a member drained; what then holds is on `out`, why it does not on `err`.
pub fn drain(args: &DrainArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let order = Order::Drain { for_s: args.for_s, why: args.why.as_deref() };
    carry_out(&args.member, &order, &args.admin, out, err)
}

/// Takes a drain back; likewise.
pub fn undrain(args: &UndrainArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    carry_out(&args.member, &Order::Undrain, &args.admin, out, err)
}

fn carry_out(
    path: &MemberPath,
    order: &Order<'_>,
    admin: &AdminArgs,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    match order_done(path, order, admin) {
        Ok(report) if admin.json => report.write_json(out).map(|()| EXIT_OK),
        Ok(report) => report.write_text(out).map(|()| EXIT_OK),
        Err(undone) => {
            writeln!(err, "rollcall: {undone}")?;
            if admin.json {
                ErrorReport::of(&undone).write_json(out)?;
            }
            Ok(if matches!(undone, Undone::Name { .. }) { EXIT_USAGE } else { EXIT_FAILED })
        }
    }
}

fn order_done(path: &MemberPath, order: &Order<'_>, admin: &AdminArgs) -> Result<Report, Undone> {
    let bad_name = |reason: String| Undone::Name { path: path.text.clone(), reason };
    let pool = pool_name(&path.pool, &admin.zone).map_err(bad_name)?;
    let owner = update::owner(&path.member, &pool);
    let owner = owner.ok_or_else(|| bad_name("the whole name has more than 255 octets".to_owned()))?;
    let key = key(admin)?;
    let mut message = update::message(&admin.zone, &owner, order)
        .ok_or_else(|| bad_name("what there is to say does not fit into a message".to_owned()))?;
    let mut connection = Connection::open(admin.server).map_err(Undone::Ask)?;
    let mac = key.as_ref().map(|key| sign_request(&mut message, key, clock::wall_s(), FUDGE_S));
    let reply = connection.exchange(&message).map_err(|error| match error {
        AskError::Silent { .. } | AskError::Slow { .. } => {
            Undone::Unknown { what: error.to_string(), rcode: None }
        }
        AskError::NotThere { .. } | AskError::NoAnswer { .. } => Undone::Ask(error),
    })?;
    let proof = match (&key, &mac) {
        (Some(key), Some(mac)) => verify_reply(&reply, key, mac, clock::wall_s()),
        _ => Ok(()),
    };
    let server = admin.server;
    let reply = Reply::read(reply).ok_or(Undone::Ask(AskError::NoAnswer { server }))?;
    judge(admin, key.as_ref(), proof, reply)?;
    Ok(Report::of(path, &pool, order, admin, key.as_ref()))
}

/// The key to sign with, if one is named.
fn key(admin: &AdminArgs) -> Result<Option<Key>, Undone> {
    let Some(file) = &admin.key_file else { return Ok(None) };
    let path = file.display().to_string();
    let read = KeyFile::read(file.clone());
    let read = read.map_err(|error| Undone::NoKeyFile { path: path.clone(), error })?;
    let mut keys = read.keys().map_err(Undone::KeyFile)?;
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(Some(key.key)),
        (_, others) => Err(Undone::Keys { path, count: others + 1 }),
    }
}

/// Whether the reply says that it is done, and may be believed.
fn judge(
    admin: &AdminArgs,
    key: Option<&Key>,
    proof: Result<(), ReplyFailure>,
    reply: Reply,
) -> Result<(), Undone> {
    let rcode = reply.rcode;
    let refused = |hint: String| {
        let (server, reason) = (admin.server.to_string(), reply.reason.clone());
        Undone::Refused { server, rcode, reason, hint }
    };
    match (proof, key) {
        (Ok(()), _) => {}
        (Err(failure @ ReplyFailure::Told { .. }), Some(key)) => {
            return Err(refused(format!("{failure}: {}", update::signature_hint(&failure, key))));
        }
        // That much cannot be signed: a server signs no reply to what it cannot read (RFC 8945 section 5.2).
        (Err(ReplyFailure::Unsigned), _) if rcode == Rcode::FORMERR => {}
        (Err(failure), _) => {
            return Err(Undone::Unknown { what: format!("{failure} (it says {rcode})"), rcode: Some(rcode) });
        }
    }
    match rcode {
        Rcode::NOERROR => Ok(()),
        Rcode::REFUSED => Err(refused(refused_hint(key, reply.reason.as_deref()))),
        Rcode::NOTAUTH => {
            let zone = name_text(admin.zone.as_slice());
            Err(refused(format!("it has no zone {zone}: name the pool's with --zone")))
        }
        Rcode::SERVFAIL => Err(refused("its log says why".to_owned())),
        _ => Err(refused("is it a rollcall of this version? Its log may say more".to_owned())),
    }
}

/// What to do about REFUSED. Most reasons say that themselves (RFC 8914); none says what this command lacks.
fn refused_hint(key: Option<&Key>, reason: Option<&str>) -> String {
    match key {
        None => "it was not signed: name the file of an operator's key, whose [[grant]] has `admin = true`, with --key-file"
            .to_owned(),
        Some(key) if reason.is_none_or(|reason| reason.contains("`admin = true`")) => {
            let name = text(key.name());
            format!("write `admin = true` in a [[grant]] for the key {name} in the zone's TOML, or sign with another key")
        }
        Some(_) => String::new(),
    }
}

/// A name as people read it.
fn text(name: &Name) -> String {
    name_text(name.as_slice())
}

#[cfg(test)]
mod tests;
