//! What `rollcall explain` found, as one object.

mod json;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::place::{Is, Place};
use super::session::{Answer, Data, Record};
use super::{Seen, text};
use crate::cli::DecisionArgs;
use crate::query::status::line::{Families, Instead, Left, MemberLine, Millionths, PoolLine, SaidLoad};
use crate::wire::{Name, Rcode, Rtype};

/// What decides which records an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Rule {
    /// The pool's policy.
    Policy,
    /// What the pool does when nobody is fit to serve.
    OnAllDown,
    /// Nothing: everybody in service is shown.
    All,
    /// What members registered for clients to choose from.
    Bindings,
    /// It is one member's own.
    Member,
    /// They are ordinary records.
    Ordinary,
}

/// Everything that there is to say, and what `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    ok: bool,
    server: String,
    /// What was asked for, and, if that is an alias, where it leads.
    pub name: String,
    #[serde(rename = "type", serialize_with = "json::displayed")]
    pub rtype: Rtype,
    pub aliases: Vec<String>,
    #[serde(skip)]
    pub is: Option<Is>,
    #[serde(skip)]
    pub is_elsewhere: bool,
    /// What the name is: `pool`, `service`, `all`, `instance`, `member` or `ordinary`.
    #[serde(rename = "is")]
    kind: &'static str,
    pub rule: Rule,
    /// Of the pool, or of the service that is asked for.
    pub pool: Option<PoolLine>,
    pub members: Vec<MemberReport>,
    /// Members that the server had no room to tell of.
    pub not_shown: usize,
    #[serde(serialize_with = "json::displayed")]
    pub rcode: Rcode,
    /// What more the server says of the answer (RFC 8914).
    pub extended_error: Option<ErrorCode>,
    /// Seconds; `None` if there are no records.
    pub ttl_s: Option<u32>,
    pub records: Vec<RecordReport>,
    /// The reason, as the end of a sentence.
    pub why: String,
    pub client: Option<ClientReport>,
}

/// An extended error.
#[derive(Debug, Serialize)]
pub(super) struct ErrorCode {
    pub code: u16,
    pub text: String,
}

/// Why a member gets no more clients.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DrainReport {
    /// The operator that drains it; `None` if it does so itself.
    pub by: Option<String>,
    pub why: Option<String>,
    /// When it leaves or, drained by an operator, serves again; `None` without end.
    pub left_s: Option<u64>,
}

/// A member as the policy counts it; `null` is what the policy does not ask for.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct MemberReport {
    pub name: String,
    pub state: &'static str,
    pub reason: &'static str,
    /// Its place in the answer, from 1; `None` if it was not picked.
    pub answer: Option<usize>,
    pub rank: Option<u32>,
    /// How likely it is to be the first of an answer, 0 to 1.
    #[serde(serialize_with = "json::number")]
    pub share: Option<Millionths>,
    /// `None` without end.
    pub lease_s: Option<u64>,
    /// Whether its lease is over and held.
    pub held: bool,
    pub drain: Option<DrainReport>,
    pub weight: u32,
    pub priority: Option<u32>,
    /// As it was said last.
    #[serde(serialize_with = "json::number")]
    pub load: Option<Millionths>,
    /// Whether the policy asks for a load and it says none: half is taken.
    pub load_unsaid: bool,
    #[serde(serialize_with = "json::number")]
    pub smoothed: Option<Millionths>,
    #[serde(serialize_with = "json::number")]
    pub degradation: Option<Millionths>,
    pub picks: Option<u64>,
    /// What the policy orders by, if that is neither of these.
    #[serde(serialize_with = "json::number")]
    pub level: Option<Millionths>,
    #[serde(serialize_with = "json::number")]
    pub warming: Option<Millionths>,
    pub port: Option<u16>,
    pub srv_priority: Option<u16>,
    pub srv_weight: Option<u16>,
    pub addresses: Vec<String>,
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
pub(super) struct RecordReport {
    #[serde(rename = "type", serialize_with = "json::displayed")]
    pub rtype: Rtype,
    pub data: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ClientReport {
    pub address: String,
    /// Whether it would be told `_status`; `None` if no pool answers for the name.
    pub told_status: Option<bool>,
}

/// What `--json` prints when there is nothing to explain.
#[derive(Serialize)]
pub(super) struct ErrorReport {
    ok: bool,
    error: String,
}

impl ErrorReport {
    pub fn write_json(error: String, out: &mut dyn Write) -> io::Result<()> {
        write_json(&ErrorReport { ok: false, error }, out)
    }
}

impl Report {
    /// All of it but the reason.
    pub fn of(args: &DecisionArgs, seen: &Seen) -> Self {
        let Seen { name, aliases, place, answer, is_elsewhere } = seen;
        let is = place.as_ref().map(|place| place.is.clone());
        let (kind, rule) = kind_of(is.as_ref(), args.rtype);
        let rule = if rule == Rule::Policy && seen.is_last_resort() { Rule::OnAllDown } else { rule };
        let pool = place.as_ref().filter(|_| rule != Rule::Ordinary || is != Some(Is::Below));
        let mut report = Report {
            ok: true,
            server: args.server.to_string(),
            name: text(name),
            rtype: args.rtype,
            aliases: aliases.iter().map(text).collect(),
            is,
            is_elsewhere: *is_elsewhere,
            kind,
            rule,
            pool: pool.map(|place| place.pool.clone()),
            members: Vec::new(),
            not_shown: place.as_ref().map_or(0, |place| place.not_shown),
            rcode: answer.rcode,
            extended_error: answer.error.clone().map(|(code, text)| ErrorCode { code, text }),
            ttl_s: None,
            records: Vec::new(),
            why: String::new(),
            client: args.client.map(|client| ClientReport {
                address: client.to_string(),
                told_status: place.as_ref().and_then(|place| place.pool.client).map(|(_, is_told)| is_told),
            }),
        };
        let is_asked =
            |record: &&Record| args.rtype == Rtype::CNAME || !matches!(record.data, Data::Alias(_));
        let records = answer.records.iter().filter(is_asked);
        report.ttl_s = records.clone().map(|record| record.ttl_s).min();
        report.records =
            records.map(|record| RecordReport { rtype: record.rtype, data: record.text.clone() }).collect();
        if let Some(place) = place {
            let of_member = |member: &&MemberLine| match &place.is {
                Is::Member(label) => member.name == *label,
                _ => !matches!(rule, Rule::Ordinary | Rule::Bindings),
            };
            let members = place.members.iter().filter(of_member);
            report.members =
                members.map(|member| MemberReport::of(member, place, answer, args.rtype)).collect();
            // Of a member's own name the others are of no interest.
            if !report.members.is_empty() && matches!(place.is, Is::Member(_)) {
                report.not_shown = 0;
            }
        }
        report
    }

    /// Who is in the answer, in its order.
    pub fn picked(&self) -> Vec<&MemberReport> {
        let mut picked: Vec<_> = self.members.iter().filter(|member| member.answer.is_some()).collect();
        picked.sort_by_key(|member| member.answer);
        picked
    }

    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        write_json(self, out)
    }
}

/// What a name is, and what decides about records of a type there.
fn kind_of(is: Option<&Is>, rtype: Rtype) -> (&'static str, Rule) {
    let is_address = matches!(rtype, Rtype::A | Rtype::AAAA);
    let or_ordinary = |holds: bool, rule| if holds { rule } else { Rule::Ordinary };
    match is {
        None | Some(Is::Below) => ("ordinary", Rule::Ordinary),
        Some(Is::Pool) if matches!(rtype, Rtype::HTTPS | Rtype::SVCB) => ("pool", Rule::Bindings),
        Some(Is::Pool) => ("pool", or_ordinary(is_address, Rule::Policy)),
        Some(Is::Service) => ("service", or_ordinary(rtype == Rtype::SRV, Rule::Policy)),
        Some(Is::Instance) => ("instance", or_ordinary(rtype == Rtype::SRV, Rule::Policy)),
        Some(Is::All) => ("all", or_ordinary(is_address, Rule::All)),
        Some(Is::ServiceOfAll) => ("all", or_ordinary(rtype == Rtype::SRV, Rule::All)),
        Some(Is::Member(_)) => ("member", or_ordinary(is_address || rtype == Rtype::TXT, Rule::Member)),
    }
}

impl MemberReport {
    fn of(line: &MemberLine, place: &Place, answer: &Answer, rtype: Rtype) -> Self {
        let lossy = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let attributes = line.attributes.iter().map(|(key, value)| (lossy(key), lossy(value)));
        MemberReport {
            name: line.name.clone(),
            state: line.state.name(),
            reason: line.state.why(),
            answer: place_in(line, place, answer),
            drain: line.state.drains().then(|| DrainReport {
                by: line.drained_by.clone(),
                why: line.drained_why.clone(),
                left_s: line.drain_s,
            }),
            held: line.lease == Left::Held,
            rank: of_family(&line.rank, rtype),
            share: of_family(&line.share, rtype),
            lease_s: match line.lease {
                Left::Seconds(left_s) => Some(left_s),
                Left::Held => Some(0),
                Left::Endless => None,
            },
            weight: line.weight,
            priority: line.priority,
            load: match line.load {
                Some(SaidLoad::Is(load)) => Some(load),
                Some(SaidLoad::Unsaid) | None => None,
            },
            load_unsaid: line.load == Some(SaidLoad::Unsaid),
            smoothed: line.smoothed,
            degradation: line.degradation,
            picks: line.picks,
            level: line.level,
            warming: line.warming,
            port: line.srv.map(|srv| srv.port),
            srv_priority: line.srv.map(|srv| srv.priority),
            srv_weight: line.srv.map(|srv| srv.weight),
            addresses: line.addresses.iter().map(ToString::to_string).collect(),
            attributes: attributes.collect(),
        }
    }

    /// The load that the policy goes by, before picks and warming up.
    pub fn counted_load(&self) -> Millionths {
        self.smoothed.or(self.load).unwrap_or(Millionths(500_000))
    }

    /// What the policy orders by.
    pub fn level(&self) -> Millionths {
        self.level.unwrap_or_else(|| self.counted_load())
    }
}

fn of_family<T: Copy>(families: &Families<T>, rtype: Rtype) -> Option<T> {
    if rtype == Rtype::AAAA { families.v6 } else { families.v4 }
}

/// Where the first of a member's records stands in the answer, from 1.
fn place_in(line: &MemberLine, place: &Place, answer: &Answer) -> Option<usize> {
    let target = || {
        let is_whole = line.name.ends_with('.') && !line.name.ends_with("\\.");
        let below = if is_whole { String::new() } else { format!(".{}", text(&place.apex)) };
        Name::bytes_from_str(&format!("{}{below}", line.name)).ok()
    };
    // What another pool answers is nobody's here, though the address may be.
    let is_picked = matches!(place.is, Is::Pool | Is::Service | Is::Instance);
    if is_picked && matches!(place.pool.on_all_down, Some(Instead::Fallback(_))) {
        return None;
    }
    let records = answer.records.iter().filter(|record| !matches!(record.data, Data::Alias(_)));
    let at = records.clone().position(|record| match &record.data {
        Data::Address(address) => line.addresses.contains(address),
        Data::Service { port, target: offered } => {
            line.srv.is_some_and(|srv| srv.port == *port) && target().as_ref() == Some(offered)
        }
        // At a member's name it is what it says of itself.
        Data::Text(_) => matches!(place.is, Is::Member(_)),
        Data::Alias(_) | Data::Other => false,
    });
    at.map(|at| at + 1)
}

fn write_json(report: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}
