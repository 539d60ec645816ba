//! `rollcall explain`: why the running server answers a question as it does, member by member.
//!
//! It asks over DNS and TCP what anybody may ask: `_status` of the pool first, so that what it says of ranks is what the pick
//! went by, and then the question itself. What strings of `_status` say is [`crate::query::status::line`]'s to know, for both
//! sides; an admin socket would bring the same lines.

mod paragraphs;
mod place;
mod report;
mod session;
mod table;
mod why;

use std::io::{self, Write};

use super::{DecisionArgs, EXIT_FAILED, EXIT_OK};
use crate::wire::{Name, Rcode, Rtype, name_text};

use place::{Found, Is, Place, find};
use report::{ErrorReport, Report};
use session::{Answer, AskError, Data, Session};

/// Aliases that are followed.
const ALIASES_MAX: usize = 16;

/// Why nothing could be explained.
#[derive(Debug, thiserror::Error)]
enum Unexplained {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the server at {server} has no zone for {name}; see `rollcall check` for those it serves")]
    NotServed { server: String, name: String },
    #[error(
        "the server does not tell this client what {pool} makes of its members (`_status` is REFUSED): ask from a network in \
         `debug_from` of the zone's TOML, or add this one"
    )]
    NotTold { pool: String },
    #[error("there is no name {name} (NXDOMAIN): {hint}")]
    NoName { name: String, hint: String },
    #[error("{name} leads from alias to alias, more than {ALIASES_MAX} of them")]
    Aliases { name: String },
    #[error("the server answered {rcode} for {name} {rtype}: its log may say why")]
    Rcode { name: String, rtype: Rtype, rcode: Rcode },
}

/// Explains an answer on `out`; why it cannot, on `err`.
pub fn explain(args: &DecisionArgs, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    match look(args) {
        Ok(report) => {
            if args.json {
                report.write_json(out)?;
            } else {
                report.write_text(out)?;
            }
            Ok(EXIT_OK)
        }
        Err(unexplained) => {
            let error = unexplained.to_string();
            writeln!(err, "rollcall: {error}")?;
            if args.json {
                ErrorReport::write_json(error, out)?;
            }
            Ok(EXIT_FAILED)
        }
    }
}

/// What there is to say.
struct Seen {
    /// What the question came to: where its aliases lead.
    name: Name,
    /// The aliases on the way there.
    aliases: Vec<Name>,
    /// `None` if no pool answers for it.
    place: Option<Place>,
    answer: Answer,
    /// Whether its aliases lead to a name that the server has no zone for: the answer ends with the last of them.
    is_elsewhere: bool,
}

impl Seen {
    /// Whether it is what the pool answers when nobody is fit to serve: the status says what that would be, and the answer
    /// that it is.
    fn is_last_resort(&self) -> bool {
        let is_said = self.place.as_ref().is_some_and(|place| place.pool.on_all_down.is_some());
        is_said && self.answer.error.is_some()
    }
}

fn look(args: &DecisionArgs) -> Result<Report, Unexplained> {
    let mut session = Session::open(args.server)?;
    let seen = see(&mut session, args)?;
    Ok(report(args, &seen))
}

fn report(args: &DecisionArgs, seen: &Seen) -> Report {
    let mut report = Report::of(args, seen);
    report.why = why::why(&report);
    report
}

fn see(session: &mut Session, args: &DecisionArgs) -> Result<Seen, Unexplained> {
    let mut seen: Option<Seen> = None;
    // As the server sees it: its sockets have one family each.
    let client = args.client.map(|client| client.to_canonical());
    loop {
        let name = seen.as_ref().map_or(&args.name, |seen| &seen.name).clone();
        let place = match find(session, &name, client)? {
            Found::Place(place) => Some(*place),
            Found::Nothing => None,
            Found::NotTold(pool) => return Err(Unexplained::NotTold { pool: text(&pool) }),
        };
        let answer = ask(session, &name, args.rtype, place.as_ref())?;
        let mut aliases = seen.as_ref().map(|seen| seen.aliases.clone()).unwrap_or_default();
        // Where an alias leads may be another server's, and the answer to the alias is all that there is.
        if answer.rcode == Rcode::REFUSED
            && let Some(seen) = seen
        {
            return Ok(Seen { is_elsewhere: true, ..seen });
        }
        let targets = answer.records.iter().filter_map(|record| match &record.data {
            Data::Alias(target) if args.rtype != Rtype::CNAME => Some(target.clone()),
            _ => None,
        });
        let mut names: Vec<Name> = std::iter::once(name).chain(targets).collect();
        let (Some(name), is_alias) = (names.pop(), !names.is_empty()) else { continue };
        aliases.extend(names);
        let now = Seen { name, aliases, place, answer, is_elsewhere: false };
        if !is_alias {
            return judge(args, now);
        }
        if now.aliases.len() > ALIASES_MAX {
            return Err(Unexplained::Aliases { name: text(&args.name) });
        }
        seen = Some(Seen { place: None, ..now });
    }
}

/// The answer of a name, or the alias that stands there instead. An alias is asked for by itself: the answer to anything else
/// would go on to what it leads to, and be a pick there before the one that is explained.
fn ask(session: &mut Session, name: &Name, rtype: Rtype, place: Option<&Place>) -> Result<Answer, AskError> {
    // At no other name of a pool is there an alias.
    if place.is_none_or(|place| place.is == Is::Instance) {
        let alias = session.ask(name, Rtype::CNAME, None)?;
        if rtype == Rtype::CNAME || alias.records.iter().any(|record| matches!(record.data, Data::Alias(_))) {
            return Ok(alias);
        }
    }
    session.ask(name, rtype, None)
}

/// Whether the answer is one to explain.
fn judge(args: &DecisionArgs, seen: Seen) -> Result<Seen, Unexplained> {
    let name = text(&seen.name);
    match seen.answer.rcode {
        Rcode::NOERROR => Ok(seen),
        Rcode::SERVFAIL if seen.is_last_resort() => Ok(seen),
        Rcode::NXDOMAIN => {
            let hint = seen.place.as_ref().map_or_else(
                || "nobody has registered it, and no zone file has it".to_owned(),
                |place| format!("{} is a pool, and has nothing of this name now", place.pool.name),
            );
            Err(Unexplained::NoName { name, hint })
        }
        Rcode::REFUSED => Err(Unexplained::NotServed { server: args.server.to_string(), name }),
        rcode => Err(Unexplained::Rcode { name, rtype: args.rtype, rcode }),
    }
}

fn text(name: &Name) -> String {
    name_text(name.as_slice())
}

#[cfg(test)]
mod tests;
