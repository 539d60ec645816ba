//! The rules of an answer, written down once more: from the RFCs' text, on a plain list of records that is searched from one end
//! to the other, with nothing in common with the code under test. It is slow and short, so that it can be read beside the
//! RFCs.

use std::collections::BTreeSet;

use super::seen::{Seen, line, line_with_ttl, negative_line};
use super::zones::{ANY, DS, Data, Labels, Rr, octets};

/// What the RFCs leave to a server, and what others do that they do not say.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// CNAMEs that an answer has at most.
    pub links_max: usize,
    /// Whether a chain goes on in another zone of the server.
    pub leaves_zone: bool,
    /// The type that ANY gets if the name has it; without one, the lowest that is not the SOA (RFC 8482 section 4.1).
    pub for_any: Option<u16>,
    /// Whether DS at an apex is asked of the zone above even if that delegates nothing there.
    pub asks_above: bool,
}

impl Habits {
    /// Rollcall's.
    pub const OURS: Habits = Habits { links_max: 17, leaves_zone: true, for_any: None, asks_above: false };
}

/// A zone: its name, and its records.
pub struct Zone {
    pub apex: Labels,
    pub records: Vec<Rr>,
}

/// A server with some zones.
pub struct Reference {
    pub zones: Vec<Zone>,
}

/// What the algorithm of RFC 1034 section 4.3.2 has come to.
enum Step<'z> {
    /// Records of the name, or of the wildcard that stands for it.
    Found(Vec<&'z Rr>),
    /// NS records of a cut.
    Referral(Labels, Vec<&'z Rr>),
    /// The owner of a DNAME, and the DNAME.
    Redirect(&'z Rr),
    /// No such name.
    Nowhere,
}

impl Zone {
    fn at(&self, name: &[&str]) -> Vec<&Rr> {
        self.records.iter().filter(|rr| rr.owner == name).collect()
    }

    /// A name exists if it or a name below it owns a record (RFC 4592 section 2.2.3).
    fn exists(&self, name: &[&str]) -> bool {
        self.records.iter().any(|rr| rr.owner.starts_with(name))
    }

    /// RFC 1034 section 4.3.2 step 3, with RFC 4592 section 3.3.1 and RFC 6672 section 3.2: down from the apex, label by label.
    fn step(&self, name: &Labels, qtype: u16) -> Step<'_> {
        for len in self.apex.len()..=name.len() {
            let here = &name[..len];
            if !self.exists(here) {
                // The asterisk label below the last name that exists (RFC 4592 section 3.3.1).
                let source = [&name[..len - 1], &["*"]].concat();
                return if self.exists(&source) { Step::Found(self.at(&source)) } else { Step::Nowhere };
            }
            let records = self.at(here);
            let servers: Vec<_> =
                records.iter().copied().filter(|rr| matches!(rr.data, Data::Ns(_))).collect();
            // 3b, but for the question whether the cut is signed (RFC 4035 section 3.1.4.1).
            let is_parents = here == name && qtype == DS;
            if here != self.apex && !servers.is_empty() && !is_parents {
                return Step::Referral(here.to_vec(), servers);
            }
            let dname = records.iter().find(|rr| matches!(rr.data, Data::Dname(_)));
            if let Some(dname) = dname.filter(|_| here != name) {
                return Step::Redirect(dname);
            }
        }
        Step::Found(self.at(name))
    }

    /// The records that a name has below a cut, also by a wildcard there: none is an answer, but some are glue.
    fn hidden(&self, name: &Labels) -> Vec<&Rr> {
        let encloser = (0..=name.len()).rev().find(|&len| self.exists(&name[..len])).unwrap_or_default();
        if encloser == name.len() { self.at(name) } else { self.at(&[&name[..encloser], &["*"]].concat()) }
    }

    fn soa(&self) -> Option<&Rr> {
        self.records.iter().find(|rr| rr.data == Data::Soa)
    }
}

impl Reference {
    /// The zone with the longest apex; for DS at an apex, the one that delegates it (RFC 4035 section 3.1.4.1).
    fn zone(&self, habits: Habits, name: &Labels, qtype: u16) -> Option<&Zone> {
        let mut around: Vec<_> = self.zones.iter().filter(|zone| name.starts_with(&zone.apex)).collect();
        around.sort_by_key(|zone| zone.apex.len());
        let closest = around.pop()?;
        let is_apex = closest.apex == *name;
        let has_servers = |zone: &Zone| zone.at(name).iter().any(|rr| matches!(rr.data, Data::Ns(_)));
        let delegates = |zone: &&Zone| habits.asks_above || has_servers(zone);
        match around.pop().filter(|zone| is_apex && qtype == DS && delegates(zone)) {
            Some(parent) => Some(parent),
            None => Some(closest),
        }
    }

    /// The SOA of the zone that a name is in, as a negative answer has it.
    pub fn negative_of(&self, name: &Labels) -> Option<String> {
        let zone = self.zone(Habits::OURS, name, 1)?;
        zone.soa().map(|soa| negative_line(&zone.apex, soa))
    }

    /// Our answer over a transport without a limit.
    pub fn answer(&self, qname: &Labels, qtype: u16) -> Seen {
        self.answer_with(Habits::OURS, qname, qtype)
    }

    /// The answer of a server that has these habits.
    pub fn answer_with(&self, habits: Habits, qname: &Labels, qtype: u16) -> Seen {
        let mut seen = Seen {
            rcode: 0,
            is_authoritative: true,
            is_truncated: false,
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        };
        let first = self.zone(habits, qname, qtype);
        let zone_of = |name: &Labels| match habits.leaves_zone {
            true => self.zone(habits, name, qtype),
            false => first.filter(|zone| name.starts_with(&zone.apex)),
        };
        let (mut name, mut names, mut links) = (qname.clone(), BTreeSet::new(), 0);
        // On with the name that an alias leads to, unless the answer has had it (a loop), or it is another server's.
        while let Some(zone) = zone_of(&name).filter(|_| names.insert(name.clone())) {
            let next = self.one(habits, zone, &name, qtype, &mut seen);
            links += 1;
            match next {
                Some(next) if links < habits.links_max => name = next,
                _ => break,
            }
        }
        if names.is_empty() {
            (seen.rcode, seen.is_authoritative) = (5, false);
        }
        seen.answer.sort();
        seen.answer.dedup();
        seen.authority.sort();
        seen.additional.sort();
        seen.additional.dedup();
        seen
    }

    /// One name of a chain: what it adds to the answer, and the next name.
    fn one(&self, habits: Habits, zone: &Zone, name: &Labels, qtype: u16, seen: &mut Seen) -> Option<Labels> {
        let negative = |seen: &mut Seen| {
            seen.authority.extend(zone.soa().map(|soa| negative_line(&zone.apex, soa)));
        };
        match zone.step(name, qtype) {
            Step::Nowhere => {
                seen.rcode = 3;
                negative(seen);
            }
            Step::Referral(cut, servers) => {
                seen.is_authoritative = !seen.answer.is_empty();
                seen.authority.extend(servers.iter().map(|rr| line(&cut, rr)));
                self.add_additional(name, &servers, seen);
            }
            Step::Redirect(dname) => return redirect(name, dname, qtype, seen),
            Step::Found(records) => {
                let wanted = wanted(habits, &records, qtype);
                if wanted.is_empty() {
                    negative(seen);
                }
                seen.answer.extend(wanted.iter().map(|rr| line(name, rr)));
                match wanted.first().map(|rr| &rr.data) {
                    Some(Data::Cname(target)) if !matches!(qtype, 5 | ANY) => return Some(target.clone()),
                    _ => self.add_additional(name, &wanted, seen),
                }
            }
        }
        None
    }

    /// RFC 1034 section 4.3.2 step 6: addresses of the names that the records point to; for RFC 9460 section 4.1 also the
    /// targets' records of the same type.
    fn add_additional(&self, owner: &Labels, records: &[&Rr], seen: &mut Seen) {
        for rr in records {
            let target = match (&rr.data, rr.data.target()) {
                // RFC 9460 sections 2.5.1 and 2.5.2.
                (Data::Https(0, _), Some(target)) if target.is_empty() => continue,
                (Data::Https(..), Some(target)) if target.is_empty() => owner,
                (_, Some(target)) => target,
                (_, None) => continue,
            };
            let Some(zone) = self.zone(Habits::OURS, target, 1) else { continue };
            let found = match zone.step(target, 1) {
                Step::Found(records) => records,
                // Glue (RFC 1034 section 4.2.1).
                Step::Referral(..) if matches!(rr.data, Data::Ns(_)) => zone.hidden(target),
                _ => continue,
            };
            let is_wanted = |found: &&&Rr| match found.data {
                Data::A(_) | Data::Aaaa(_) => true,
                Data::Https(..) => matches!(rr.data, Data::Https(..)),
                _ => false,
            };
            let lines = found.iter().filter(is_wanted).map(|rr| line(target, rr));
            seen.additional.extend(lines.filter(|line| !seen.answer.contains(line)).collect::<Vec<_>>());
        }
    }
}

/// RFC 6672 section 3.2: the DNAME, the CNAME that it makes of the name, and where that leads.
fn redirect(name: &Labels, dname: &Rr, qtype: u16, seen: &mut Seen) -> Option<Labels> {
    let Data::Dname(target) = &dname.data else { return None };
    seen.answer.push(line(&dname.owner, dname));
    let next = [&target[..], &name[dname.owner.len()..]].concat();
    if octets(&next) > 255 {
        seen.rcode = 6;
        return None;
    }
    let cname = Rr { owner: name.clone(), ttl_s: dname.ttl_s, data: Data::Cname(next.clone()) };
    seen.answer.push(line_with_ttl(name, &cname, dname.ttl_s));
    (qtype != 5).then_some(next)
}

/// The records that a question of this type gets: for ANY one RRset, the one with the lowest number that is not the SOA (RFC
/// 8482 section 4.1); an alias for every type that it stands for.
fn wanted<'z>(habits: Habits, records: &[&'z Rr], qtype: u16) -> Vec<&'z Rr> {
    let of = |rtype: u16| records.iter().copied().filter(|rr| rr.data.rtype() == rtype).collect::<Vec<_>>();
    if qtype == ANY {
        let lowest = records.iter().map(|rr| rr.data.rtype()).filter(|rtype| *rtype != 6).min();
        let chosen = habits.for_any.filter(|rtype| !of(*rtype).is_empty());
        return chosen.or(lowest).map(of).unwrap_or_default();
    }
    let found = of(qtype);
    if found.is_empty() { of(5) } else { found }
}
