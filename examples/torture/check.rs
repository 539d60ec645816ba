//! Asks for everything, and holds the answers against the ledger: each name by itself, then pools as a whole.

use std::collections::BTreeSet;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::rr::RecordType;

use super::ledger::{Entry, Fault, Kind, Runs, Seen, Span, Standing};
use super::message::{By, Heard, Line, SERVICE};
use super::report::{Report, Violation};
use super::server::Result;

/// Pools, and whether an answer at the pool's own name shows everybody.
pub const POOLS: [(&str, bool); 4] = [("web", true), ("game", false), ("made", true), ("grown", true)];

/// What was found of one name.
pub enum Found {
    Seen(Vec<Seen>),
    Killed,
    /// What was no answer.
    Bad(String),
}

/// Asks for what a name shows.
pub fn ask_for(line: &mut Line<'_>, name: &str, by: By) -> Result<Found> {
    let mut found = Vec::new();
    for kind in [Kind::A, Kind::Aaaa, Kind::Txt] {
        match ask(line, name, kind.rtype(), by)? {
            Answer::Read(message, asked) => {
                let records = message.answers.iter().filter_map(|record| Kind::read(&record.data));
                let data = records.filter(|(held, _)| *held == kind).flat_map(|(_, data)| data);
                found.push(Seen { kind, data: data.collect(), asked });
            }
            Answer::Killed => return Ok(Found::Killed),
            Answer::Bad(why) => return Ok(Found::Bad(why)),
        }
    }
    Ok(Found::Seen(found))
}

/// The serial of the zone; `None` if the server was killed meanwhile.
pub fn serial(line: &mut Line<'_>) -> Result<Option<u32>> {
    match ask(line, "@", RecordType::SOA, By::Udp)? {
        Answer::Read(message, _) => match message.answers.first().map(|record| &record.data) {
            Some(RData::SOA(soa)) => Ok(Some(soa.serial)),
            other => Err(format!("the zone's SOA is {other:?}").into()),
        },
        Answer::Killed => Ok(None),
        Answer::Bad(why) => Err(why.into()),
    }
}

/// Whether a serial is not before another (RFC 1982).
pub fn is_no_step_back(before: u32, after: u32) -> bool {
    after.wrapping_sub(before) < 1 << 31
}

enum Answer {
    Read(Box<Message>, Span),
    Killed,
    Bad(String),
}

fn ask(line: &mut Line<'_>, name: &str, rtype: RecordType, by: By) -> Result<Answer> {
    Ok(match line.ask(name, rtype, by)? {
        Heard::Killed => Answer::Killed,
        Heard::Nothing(why) => Answer::Bad(format!("{name} {rtype}: {why}")),
        Heard::Reply(message, asked) => match message.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Answer::Read(message, asked),
            rcode => Answer::Bad(format!("{name} {rtype}: {rcode}")),
        },
    })
}

/// A check after a restart.
pub struct Check<'a, 'b> {
    pub line: &'a mut Line<'b>,
    pub runs: &'a Runs,
    pub report: &'a mut Report,
    pub round: u32,
}

impl Check<'_, '_> {
    fn fault(&mut self, fault: Fault, text: String) {
        self.report.add(Violation { round: self.round, fault, text });
    }

    /// Asks for every name, over UDP, and for some over TCP.
    pub fn names(&mut self, entries: &mut [&mut Entry]) -> Result<()> {
        for (number, entry) in entries.iter_mut().enumerate() {
            let by = if (number as u32 + self.round).is_multiple_of(8) { By::Tcp } else { By::Udp };
            match ask_for(self.line, &entry.name, by)? {
                Found::Seen(seen) => self.name(entry, &seen),
                Found::Killed => return Err("the server went away during the check".into()),
                Found::Bad(why) => self.fault(Fault::Other, why),
            }
        }
        Ok(())
    }

    fn name(&mut self, entry: &mut Entry, seen: &[Seen]) {
        let (Some(first), Some(last)) = (seen.first(), seen.last()) else { return };
        let asked = Span { from: first.asked.from, to: last.asked.to };
        let standings: Vec<_> = entry.worlds.iter().map(|world| self.runs.standing(world, asked)).collect();
        *if !standings.is_empty() && standings.iter().all(|standing| *standing == Standing::Must) {
            &mut self.report.held
        } else if !standings.is_empty() && standings.iter().all(|it| matches!(it, Standing::Gone(_))) {
            &mut self.report.gone
        } else {
            &mut self.report.either
        } += 1;
        let told = entry.told(self.runs, asked);
        if let Some(fault) = entry.judge(self.runs, seen) {
            let shown: Vec<_> = seen.iter().flat_map(|seen| &seen.data).map(String::as_str).collect();
            self.fault(fault, format!("{told}; its name shows [{}]", shown.join(" ")));
        }
    }

    /// Asks for every pool, under each of its names: who is shown may be there, and where everybody is shown, who has to be is.
    pub fn pools(&mut self, entries: &[&mut Entry]) -> Result<()> {
        for (pool, shows_all) in POOLS {
            let service = |owner: &str| (Kind::Srv, format!("{SERVICE}.{owner}"), true);
            let all = format!("all.{pool}");
            for (kind, name, is_whole) in [
                (Kind::A, pool.to_owned(), shows_all),
                (Kind::A, all.clone(), true),
                (Kind::Aaaa, pool.to_owned(), shows_all),
                (Kind::Aaaa, all.clone(), true),
                // SRV answers show everybody under every policy.
                service(pool),
                service(&all),
                (Kind::Srv, format!("{pool}.{SERVICE}"), true),
            ] {
                match ask(self.line, &name, kind.rtype(), By::Udp)? {
                    Answer::Read(message, asked) => {
                        self.shown(entries, &name, &message, asked);
                        if is_whole {
                            self.missing(entries, (pool, kind), &name, &message, asked);
                        }
                    }
                    Answer::Killed => return Err("the server went away during the check".into()),
                    Answer::Bad(why) => self.fault(Fault::Other, why),
                }
            }
        }
        Ok(())
    }

    /// Nobody is shown, in Answer or in Additional, who must not be.
    fn shown(&mut self, entries: &[&mut Entry], name: &str, message: &Message, asked: Span) {
        for record in message.answers.iter().chain(&message.additionals) {
            let Some((kind, data)) = Kind::read(&record.data) else { continue };
            let id = owner_of(&record.data).map(usize::from);
            let Some(entry) = id.and_then(|id| entries.get(id)) else {
                self.fault(Fault::Other, format!("{name} shows what nobody registered: {record}"));
                continue;
            };
            if data.iter().any(|data| !entry.may_show(self.runs, kind, data, asked)) {
                let fault = entry.gone(self.runs, asked).unwrap_or(Fault::Resurrected);
                let told = entry.told(self.runs, asked);
                self.fault(fault, format!("{told}; {name} shows {record}"));
            }
        }
    }

    /// Everybody is shown who has to be.
    fn missing(
        &mut self,
        entries: &[&mut Entry],
        (pool, kind): (&str, Kind),
        name: &str,
        message: &Message,
        asked: Span,
    ) {
        let records = message.answers.iter().filter(|record| record.record_type() == kind.rtype());
        let shown: BTreeSet<(u16, String)> = records
            .filter_map(|record| Some((owner_of(&record.data)?, Kind::read(&record.data)?.1)))
            .flat_map(|(id, data)| data.into_iter().map(move |data| (id, data)))
            .collect();
        for entry in entries.iter().filter(|entry| entry.pool == Some(pool)) {
            let wanted = entry.must_show(self.runs, kind, asked);
            if !wanted.is_empty() && !wanted.iter().any(|data| shown.contains(&(entry.id, data.clone()))) {
                let told = entry.told(self.runs, asked);
                self.fault(Fault::Lost, format!("{told}; {name} {} does not show it", kind.rtype()));
            }
        }
    }
}

/// Whose an address is, or the target of a SRV; see `client`.
fn owner_of(data: &RData) -> Option<u16> {
    match data {
        RData::A(ip) => {
            let [_, high, low, _] = ip.0.octets();
            Some(u16::from_be_bytes([high, low]))
        }
        RData::AAAA(ip) => {
            let [.., id, _] = ip.0.segments();
            Some(id)
        }
        RData::SRV(srv) => {
            let label = srv.target.iter().next()?;
            std::str::from_utf8(label).ok()?.strip_prefix('m')?.parse().ok()
        }
        _ => None,
    }
}
