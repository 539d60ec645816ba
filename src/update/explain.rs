//! Which grant allows each record of an UPDATE, or why none does: what a server with nobody on its roll would say.
//!
//! ```text
//!  message -> outline -> admitted? -> each record: command -> draft -.
//!                                                                     >--> Told: what it is, allowed by which grant, or why not
//!                                     each member, each name: judged -'
//! ```
//!
//! It is the registrar's own way through a message, by the same functions, but that it does not stop at the first refusal
//! and changes nothing. What depends on who is there is not judged: prerequisites, whose member it is, and whether a member
//! is there that a record takes for granted.

mod what;

use std::collections::BTreeSet;

use super::left::Left;
use super::message::{Command, Outline, Prerequisite};
use super::names::Target;
use super::plan::{Apart, Drafts, Settled, Terms, Touched};
use super::zones::Zones;
use super::{Refusal, ZoneInput};
use crate::membership::{PoolHandle, Roll};
use crate::security::{Grant, Sent};
use crate::wire::{Class, Header, NameHasher, Rcode, WireError};
use crate::zone::{Draft, Past, RotorIds};

/// The moment of all judgements, monotonic milliseconds: any will do where nothing has ended yet.
const NOW_MS: u64 = 0;

/// Why something is refused: what the reply's RCODE and the log would say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The RCODE.
    pub rcode: Rcode,
    /// The text.
    pub text: String,
}

impl From<&Refusal> for Reason {
    fn from(refusal: &Refusal) -> Self {
        Reason { rcode: refusal.rcode(), text: refusal.to_string() }
    }
}

/// How long something would stay if nothing renewed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// So many seconds.
    Seconds(u64),
    /// Until it is deleted.
    Permanent,
    /// There is nothing that stays.
    Nothing,
}

/// What becomes of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It is allowed, if the rest of its message is.
    Allowed {
        /// The number of the grant that allows it; `None` if it does nothing, and so needs none.
        grant: Option<usize>,
        /// Who owns the member then; `None` for ordinary records, which nobody owns.
        owner: Option<Box<str>>,
        /// How long it stays.
        stay: Stay,
        /// Why it is refused all the same, unless the member is there by then.
        unless_there: Option<Reason>,
    },
    /// It is refused, and all of its message with it.
    Refused(Reason),
    /// It depends on what is there.
    Depends,
}

/// One record, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What it is to rollcall; `None` if the message did not get that far.
    pub what: Option<String>,
    /// The pool that it is about, relative to the zone.
    pub pool: Option<String>,
    /// The member, if it is about one.
    pub member: Option<String>,
    /// What becomes of it.
    pub judgement: Judgement,
}

/// A message, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Why all of it is refused, in the words of the reply: the reason that comes first in RFC 2136 section 3.
    pub refusal: Option<Reason>,
    /// Each record of the prerequisite section.
    pub prerequisites: Vec<Told>,
    /// Each record of the update section.
    pub updates: Vec<Told>,
}

/// The zones of a configuration, with nobody in them.
pub struct Explainer {
    zones: Zones,
    roll: Roll,
    /// Pools that earlier messages have made.
    made: BTreeSet<PoolHandle>,
}

impl Explainer {
    /// Publishes the zones, to nobody.
    pub fn new(zones: Vec<ZoneInput>) -> Result<Self, WireError> {
        let (hasher, roll, mut rotors) = (NameHasher::default(), Roll::new(0, NOW_MS), RotorIds::default());
        let mut built = Zones::default();
        for ZoneInput { settings, records, grants, serial } in zones {
            let past = Past { dynamics: Vec::new(), pools: Vec::new(), serial, publisher: None };
            let draft = Draft::new(settings, &records, &hasher)?;
            let (publisher, _) = draft.open(past, &roll, &mut rotors, NOW_MS)?;
            built.put(publisher, grants);
        }
        Ok(Explainer { zones: built, roll, made: BTreeSet::new() })
    }

    /// Explains an UPDATE from a sender, or one whose signature is refused. A pool that it makes is known to those after it.
    pub fn explain(&mut self, message: &[u8], sent: Result<Sent, Refusal>) -> Explanation {
        let header = Header::read(message).unwrap_or_default();
        let explained = sent.and_then(|sent| self.judge(message, &header, &sent));
        let (explanation, made) = explained.unwrap_or_else(|refusal| {
            let [_, prerequisites, updates, _] = header.counts;
            (Explanation::refused(&refusal, prerequisites.into(), updates.into()), BTreeSet::new())
        });
        if explanation.refusal.is_none() {
            self.made.extend(made);
        }
        explanation
    }

    /// The order is that of [`super::Registrar::handle`].
    fn judge(
        &self,
        message: &[u8],
        header: &Header,
        sent: &Sent,
    ) -> Result<(Explanation, BTreeSet<PoolHandle>), Refusal> {
        let outline = Outline::read(message, header)?;
        if let Some(version) = outline.edns.as_ref().map(|edns| edns.version).filter(|&version| version != 0)
        {
            return Err(Refusal::EdnsVersion { version });
        }
        let found = self.zones.of_apex(&outline.zone).filter(|_| outline.class == Class::IN);
        let Some((publisher, grants)) = found else {
            return Err(Refusal::NotAuth { zone: outline.zone, class: outline.class });
        };
        let admitted = grants.admit(sent);
        let wish = outline.lease(message)?;
        let at = self.zones.at(&outline.zone);
        let is_in_zone = |name: &[u8]| self.zones.closest(name) == at;
        let prerequisites = outline.prerequisites(message, &is_in_zone);
        let commands: Vec<Result<Command, Refusal>> = outline.each_command(message, &is_in_zone).collect();
        let readable: Vec<Command> = commands.iter().flatten().cloned().collect();
        let terms = Terms { now_ms: NOW_MS, wish, run: 0 };
        let mut drafts = Drafts::new(publisher, &self.roll, grants, sent, terms, &readable);
        drafts.know(self.made.iter().cloned());
        let tried: Vec<_> = commands.into_iter().map(|command| Tried::of(command, &mut drafts)).collect();
        let made: BTreeSet<PoolHandle> = drafts.making().cloned().collect();
        let names = what::Names::of(publisher);
        let apart = drafts.finish_apart();

        let admitted = admitted.map_err(Refusal::from);
        let refusal = (admitted.as_ref().err())
            .or_else(|| prerequisites.iter().find_map(|read| read.as_ref().err()))
            .or_else(|| tried.iter().find_map(Tried::prescanned))
            .or_else(|| tried.iter().find_map(Tried::applied))
            .or(apart.services.as_ref().err())
            .or_else(|| apart.places.iter().find_map(|(_, settled)| settled.as_ref().err()));
        let unadmitted = admitted.as_ref().err().map(Reason::from);
        let mut explanation = Explanation {
            refusal: refusal.map(Reason::from),
            prerequisites: prerequisites.iter().map(|read| told_of_prerequisite(read, &names)).collect(),
            updates: tried.iter().map(|one| one.told(&apart, &names, sent)).collect(),
        };
        if let Some(reason) = unadmitted {
            let told = explanation.prerequisites.iter_mut().chain(&mut explanation.updates);
            told.for_each(|told| told.judgement = Judgement::Refused(reason.clone()));
        }
        Ok((explanation, made))
    }
}

impl Explanation {
    /// A message of which nothing was looked at but how many records it has.
    fn refused(refusal: &Refusal, prerequisites: usize, updates: usize) -> Self {
        let reason = Reason::from(refusal);
        let judgement = Judgement::Refused(reason.clone());
        let told = Told { what: None, pool: None, member: None, judgement };
        Explanation {
            refusal: Some(reason),
            prerequisites: vec![told.clone(); prerequisites],
            updates: vec![told; updates],
        }
    }
}

/// One record of the update section, tried.
enum Tried<'a> {
    /// Refused before it came to a draft (RFC 2136 section 3.4.1).
    Refused(Refusal),
    /// Tried on drafts.
    Drafted {
        command: Command,
        target: Target,
        touched: Vec<Touched>,
        /// The grant for it, if it was tried on nothing.
        grant: Option<&'a Grant>,
        refusal: Option<Refusal>,
    },
}

impl<'a> Tried<'a> {
    fn of(command: Result<Command, Refusal>, drafts: &mut Drafts<'a>) -> Self {
        let command = match command {
            Ok(command) => command,
            Err(refusal) => return Tried::Refused(refusal),
        };
        let (target, touched, applied) = drafts.try_apart(&command);
        let for_nothing = match &applied {
            Ok(()) if touched.is_empty() => drafts.grant_for_nothing(&target),
            _ => Ok(None),
        };
        let (grant, refusal) = match for_nothing {
            Ok(grant) => (grant, applied.err()),
            Err(refusal) => (None, Some(refusal)),
        };
        Tried::Drafted { command, target, touched, grant, refusal }
    }

    /// Why it was refused before it came to a draft.
    fn prescanned(&self) -> Option<&Refusal> {
        match self {
            Tried::Refused(refusal) => Some(refusal),
            Tried::Drafted { .. } => None,
        }
    }

    /// Why no draft took it.
    fn applied(&self) -> Option<&Refusal> {
        match self {
            Tried::Refused(_) => None,
            Tried::Drafted { refusal, .. } => refusal.as_ref(),
        }
    }

    fn told(&self, apart: &Apart<'_>, names: &what::Names<'_>, sent: &Sent) -> Told {
        let (command, target, touched, grant, refusal) = match self {
            Tried::Refused(refusal) => {
                let judgement = Judgement::Refused(refusal.into());
                return Told { what: None, pool: None, member: None, judgement };
            }
            Tried::Drafted { command, target, touched, grant, refusal } => {
                (command, target, touched, *grant, refusal)
            }
        };
        let judgement = match refusal {
            Some(refusal) => Judgement::Refused(refusal.into()),
            None => judgement(apart, touched, grant, sent),
        };
        let (what, member) = names.what(command, target, touched);
        let pool = target.pool().map(|pool| names.relative(pool));
        Told { what: Some(what), pool, member, judgement }
    }
}

/// What becomes of a record is what becomes of all that it was tried on: of one member or name, a message's records are
/// allowed together or not at all. A member's grant is named before a name's.
fn judgement(apart: &Apart<'_>, touched: &[Touched], grant: Option<&Grant>, sent: &Sent) -> Judgement {
    let places = || apart.places.iter().filter(|(place, _)| touched.contains(place));
    if let Some(refusal) = places().find_map(|(_, settled)| settled.as_ref().err()) {
        return Judgement::Refused(refusal.into());
    }
    let is_member = |place: &Touched| matches!(place, Touched::Member(..));
    let settled = |(place, settled): &'_ (Touched, Result<Settled<'_>, Refusal>)| {
        let settled = settled.as_ref().ok()?;
        let grant = settled.grant;
        Some(Judgement::Allowed {
            grant: Some(grant.number),
            owner: is_member(place).then(|| grant.owner(&sent.sender, sent.source)),
            stay: match settled.left {
                Left::Ms(left_ms) => Stay::Seconds(left_ms / 1000),
                Left::Permanent => Stay::Permanent,
                Left::Nothing => Stay::Nothing,
            },
            unless_there: settled.unless_there.as_ref().map(Reason::from),
        })
    };
    let first = places().find(|(place, _)| is_member(place)).or_else(|| places().next());
    first.and_then(settled).unwrap_or(Judgement::Allowed {
        grant: grant.map(|grant| grant.number),
        owner: grant.map(|grant| grant.owner(&sent.sender, sent.source)),
        stay: Stay::Nothing,
        unless_there: None,
    })
}

fn told_of_prerequisite(read: &Result<Prerequisite, Refusal>, names: &what::Names<'_>) -> Told {
    let (what, judgement) = match read {
        Ok(prerequisite) => (Some(names.condition(prerequisite)), Judgement::Depends),
        Err(refusal) => (None, Judgement::Refused(refusal.into())),
    };
    Told { what, pool: None, member: None, judgement }
}
