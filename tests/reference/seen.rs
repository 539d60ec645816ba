//! A reply held against what it has to be. hickory-proto reads it.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::op::Message;
use hickory_proto::rr::Record;
use rollcall::query::Transport;

use super::drawn::Ask;
use super::plain::{A, AAAA, Beside, Group, Rrset, SRV, Wanted, left_s};
use super::world::text;

const HEADER: usize = 12;
const OPT: usize = 11;

/// A reply to be judged.
pub struct Judged<'a> {
    ask: &'a Ask,
    question: &'a [u8],
    octets: &'a [u8],
    message: Message,
    now_ms: u64,
    /// What stands in an error.
    about: String,
}

impl<'a> Judged<'a> {
    pub fn new(ask: &'a Ask, question: &'a [u8], octets: &'a [u8], now_ms: u64) -> Self {
        let message = Message::from_vec(octets).expect("a reply that can be read");
        let about = format!("{} TYPE{} udp {:?}: {message:?}", ask.name(), ask.rtype, ask.udp);
        Judged { ask, question, octets, message, now_ms, about }
    }

    pub fn transport(ask: &Ask) -> Transport {
        if ask.udp.is_some() { Transport::Udp } else { Transport::Tcp }
    }

    /// Octets that the reply may have.
    fn limit(&self) -> usize {
        match self.ask.udp {
            None => 65_535,
            Some(0) => 512,
            Some(size) => usize::from(size.clamp(512, 1_232)),
        }
    }

    /// Octets for records: what the question and an OPT leave.
    fn room(&self) -> usize {
        let opt = if self.message.edns.is_some() { OPT } else { 0 };
        self.limit() - self.question_end() - opt
    }

    fn question_end(&self) -> usize {
        let opt = if self.ask.udp.is_some_and(|size| size > 0) { OPT } else { 0 };
        self.question.len() - opt
    }

    pub fn check(&self, wanted: &Wanted) {
        let rcode: u16 = self.message.metadata.response_code.into();
        self.check_frame();
        let is_failure = matches!(wanted, Wanted::ServFail);
        assert_eq!(self.message.metadata.authoritative, !is_failure, "AA: {}", self.about);
        let wanted_rcode = match wanted {
            Wanted::Records(_) | Wanted::NoData => 0,
            Wanted::NxDomain => 3,
            Wanted::ServFail => 2,
        };
        assert_eq!(rcode, wanted_rcode, "RCODE, wanted {wanted:?}: {}", self.about);
        match wanted {
            Wanted::Records(rrset) => self.check_records(rrset),
            Wanted::NoData | Wanted::NxDomain => self.check_negative(),
            Wanted::ServFail => {
                let is_bare = self.message.answers.is_empty() && self.message.authorities.is_empty();
                assert!(is_bare && self.message.additionals.is_empty(), "{}", self.about);
            }
        }
    }

    /// What every reply is: the question's id and octets, no more than the client takes, flags, an OPT if it was asked with one.
    fn check_frame(&self) {
        let end = self.question_end();
        assert_eq!(self.octets[..2], self.question[..2], "id");
        assert_eq!(self.octets[HEADER..end], self.question[HEADER..end], "question, as it was spelt");
        assert!(self.octets.len() <= self.limit(), "{} octets: {}", self.octets.len(), self.about);
        // QR, opcode 0, RD as asked; RA, Z, AD and CD clear.
        assert_eq!((self.octets[2] & 0b1111_1001, self.octets[3] & 0xF0), (0x80 | self.question[2] & 1, 0));
        let is_edns = self.ask.udp.is_some_and(|size| size > 0);
        assert_eq!(self.message.edns.is_some(), is_edns, "OPT: {}", self.about);
    }

    fn check_negative(&self) {
        let is_soa = match &self.message.authorities[..] {
            [soa] => {
                soa.record_type().to_string() == "SOA"
                    && soa.name.to_string().to_lowercase() == "pool.example."
                    && soa.ttl == 2
            }
            _ => false,
        };
        assert!(is_soa && !self.message.metadata.truncation, "{}", self.about);
        assert!(self.message.answers.is_empty() && self.message.additionals.is_empty(), "{}", self.about);
    }

    fn check_records(&self, wanted: &Rrset) {
        let about = || format!("wanted {wanted:?}\nof {}", self.about);
        let found: Vec<String> = self.message.answers.iter().map(|record| text(&record.data)).collect();
        let distinct: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(distinct.len(), found.len(), "none twice: {}", about());
        let name = format!("{}.pool.example.", self.ask.name());
        for record in &self.message.answers {
            let is_it = record.name.to_string().to_lowercase() == name
                && u16::from(record.record_type()) == wanted.rtype;
            assert!(is_it, "owner and type: {}", about());
        }
        assert!(self.message.authorities.is_empty(), "{}", about());
        let by_record = by_record(&wanted.groups);
        assert!(
            distinct.iter().all(|data| by_record.contains_key(data)),
            "a record of nobody's: {}",
            about()
        );
        self.check_ttl(wanted, &found, &by_record, &about);
        if self.message.metadata.truncation {
            let used: usize = self.message.answers.iter().map(size).sum();
            let largest = wanted
                .groups
                .iter()
                .flat_map(|group| &group.records)
                .map(|data| size_of(wanted.rtype, data))
                .max();
            assert!(self.ask.udp.is_some() && self.message.additionals.is_empty(), "{}", about());
            assert!(used + largest.unwrap_or_default() > self.room(), "TC though there is room: {}", about());
            return;
        }
        self.check_members(wanted, &distinct, &by_record, &about);
        self.check_additional(wanted, &found, &by_record, &about);
    }

    /// As many members as are to be shown, with all that they have, and the best of them if the policy knows who that is.
    fn check_members(
        &self,
        wanted: &Rrset,
        found: &BTreeSet<&str>,
        by_record: &ByRecord<'_>,
        about: &dyn Fn() -> String,
    ) {
        if wanted.members == wanted.groups.len() {
            let all: BTreeSet<&str> = by_record.keys().copied().collect();
            assert_eq!(*found, all, "everybody: {}", about());
            return;
        }
        let is_whole = |group: &&Group| group.records.iter().all(|data| found.contains(data.as_str()));
        let is_part = |group: &&Group| group.records.iter().any(|data| found.contains(data.as_str()));
        let shown: Vec<&Group> = wanted.groups.iter().filter(is_part).collect();
        assert!(shown.iter().all(is_whole), "all that a member has: {}", about());
        assert_eq!(shown.len(), wanted.members, "members shown: {}", about());
        let others = wanted.groups.iter().filter(|group| !is_part(group));
        if wanted.best_first {
            let least = shown.iter().map(|group| group.priority).min();
            assert!(least >= others.map(|group| group.priority).max(), "the best: {}", about());
        }
    }

    /// One TTL: never more than the pool's, nor than what the first record to end has left, of whoever keeps it longest. Never
    /// less than what the first record of the whole pool to end has, or, once some have ended, the first of those shown.
    fn check_ttl(
        &self,
        wanted: &Rrset,
        found: &[String],
        by_record: &ByRecord<'_>,
        about: &dyn Fn() -> String,
    ) {
        let ttls: BTreeSet<u32> = self.message.answers.iter().map(|record| record.ttl).collect();
        // Over UDP an answer may be cut to nothing.
        let Some(&ttl_s) = ttls.first() else { return };
        assert_eq!(ttls.len(), 1, "one TTL: {}", about());
        if wanted.is_lost {
            assert_eq!(ttl_s, 1, "TTL of who is lost: {}", about());
            return;
        }
        let ends = |data: &String| by_record[data.as_str()].iter().map(|group| group.ends_ms);
        let most_ms = found.iter().filter_map(|data| ends(data).max()).min().unwrap();
        let least_ms = found.iter().filter_map(|data| ends(data).min()).min().unwrap();
        let least_ms = wanted.first_end_ms.map_or(least_ms, |first_ms| first_ms.min(least_ms));
        let [least_s, most_s] =
            [least_ms, most_ms].map(|ends_ms| wanted.ttl_s.min(left_s(ends_ms, self.now_ms)));
        assert!((least_s..=most_s).contains(&ttl_s), "TTL {ttl_s}, not {least_s}..={most_s}: {}", about());
    }

    /// The addresses of exactly the members that are shown, in their order, RRset by RRset until one does not fit.
    fn check_additional(
        &self,
        wanted: &Rrset,
        found: &[String],
        by_record: &ByRecord<'_>,
        about: &dyn Fn() -> String,
    ) {
        let mut order: Vec<&str> = Vec::new();
        if wanted.rtype == SRV {
            let members = found.iter().map(|data| by_record[data.as_str()][0].member.as_str());
            members.for_each(|member| {
                if !order.contains(&member) {
                    order.push(member)
                }
            });
        }
        let due = order.iter().flat_map(|member| {
            let (_, rrsets) = wanted.beside.iter().find(|(label, _)| label == member).expect("its addresses");
            rrsets.clone()
        });
        let due: Vec<Beside> = due.collect();
        let there = rrsets(&self.message.additionals);
        assert!(
            there.len() <= due.len() && due[..there.len()] == there,
            "Additional, due {due:?}: {}",
            about()
        );
        if let Some(next) = due.get(there.len()) {
            let records = self.message.answers.iter().chain(&self.message.additionals);
            let used: usize = records.map(size).sum();
            let more: usize = next.records.iter().map(|data| size_of(next.rtype, data)).sum();
            assert!(used + more > self.room(), "room for {next:?}: {}", about());
        }
    }
}

/// Whose each record is.
type ByRecord<'a> = BTreeMap<&'a str, Vec<&'a Group>>;

fn by_record(groups: &[Group]) -> ByRecord<'_> {
    let mut by_record = ByRecord::new();
    for group in groups {
        for data in &group.records {
            by_record.entry(data.as_str()).or_default().push(group);
        }
    }
    by_record
}

/// Records as RRsets, in their order.
fn rrsets(records: &[Record]) -> Vec<Beside> {
    let mut rrsets: Vec<Beside> = Vec::new();
    for record in records {
        let (owner, rtype) = (record.name.to_string().to_lowercase(), u16::from(record.record_type()));
        match rrsets
            .last_mut()
            .filter(|last| (&last.owner, last.rtype, last.ttl_s) == (&owner, rtype, record.ttl))
        {
            Some(last) => last.records.push(text(&record.data)),
            None => {
                rrsets.push(Beside { owner, rtype, ttl_s: record.ttl, records: vec![text(&record.data)] })
            }
        }
    }
    rrsets
}

fn size(record: &Record) -> usize {
    size_of(record.record_type().into(), &text(&record.data))
}

/// Octets of a record whose owner is a pointer and whose rdata has no compressed names.
fn size_of(rtype: u16, data: &str) -> usize {
    let rdata = match rtype {
        A => 4,
        AAAA => 16,
        // Priority, weight and port; then a length and the label for each label, and the root, which is what the dots and one
        // more octet are.
        SRV => 6 + data.rsplit(' ').next().map_or(0, |target| target.len() + 1),
        _ => data.len() + 1,
    };
    12 + rdata
}
