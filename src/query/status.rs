//! `_status`: what a pool makes of its members, in words, for people who look into it.
//!
//! One TXT record of the pool, then one a member, in name order; `_status` below a service's name says the same of its SRV
//! records. It is said of the view and the leases as they are in this moment, so nobody is to remember it: its TTL is 0. Only
//! networks in `debug_from` are told; others learn that it is not for them. Who is told may ask whether another would be, by
//! naming it as the client (RFC 7871): the reply says so in its first string, and has no option of its own, for with a TTL of
//! 0 there is no cache that would have to know. [`mod@line`] has what the strings say.

pub mod line;

use std::net::IpAddr;

use super::Transport;
use super::writer::{Found, Writer};
use crate::membership::{ELSEWHERE, FOREVER_MS, Load};
use crate::policy::{Candidate, InLine, Policy, Shown};
use crate::wire::{HEADER_LEN, NameKey, Rtype, label_text, name_text};
use crate::zone::{FIXED_LEN, Hold, MemberView, PoolView, RecordList, Records};

use line::{Families, Kind, Line, MemberLine, Millionths, PoolLine, SaidLoad, Srv, State};

/// Octets of a string in a TXT record, at most (RFC 1035 section 3.3).
const STRING_MAX: usize = 255;
/// Octets that are kept free for the last record, which says how many members are not shown.
const REST_MAX: usize = 80;
/// More members than a UDP reply can have strings of, so that nobody ranks a big pool for a reply that is cut.
const UDP_MEMBERS_MAX: usize = 64;

/// What a string is said of.
struct Row<'v> {
    member: &'v MemberView,
    /// Its place among the view's members.
    number: usize,
    hold: &'v Hold,
    weight: u32,
    /// Its record, in a service's status.
    record: Option<&'v [u8]>,
}

/// Who stands where, by the numbers of members.
struct Places(Families<Vec<Option<InLine>>>);

impl Writer<'_, '_> {
    /// The status of a pool, or of one of its services. `name` is what was asked for: `_status` and the name of either.
    pub(super) fn put_status(
        &mut self,
        view: &PoolView,
        service: Option<&RecordList>,
        name: &NameKey,
        qtype: Rtype,
    ) -> Found {
        // An alias leads others to it than those who look into the pool.
        if !matches!(qtype, Rtype::TXT | Rtype::ANY) || self.name_at != HEADER_LEN {
            return Found::NoData;
        }
        if !self.client.is_some_and(|client| view.settings.shows_status_to(client)) {
            return Found::Prohibited;
        }
        let rows = rows(view, service);
        if self.transport == Transport::Udp && rows.len() > UDP_MEMBERS_MAX {
            return Found::SomeRecords;
        }
        let of = name.suffix(1).map(|(of, _)| name_text(of)).unwrap_or_default();
        let pool = Line::Pool(self.pool_line(view, service, of, &rows));
        // Taken out, so that the rest can be read while it is written.
        let mut text = std::mem::take(&mut self.scratch.text);
        let found = match self.put_line(&pool, &mut text, REST_MAX) {
            true => self.put_members(view, service, &rows, &mut text),
            false => Found::SomeRecords,
        };
        self.scratch.text = text;
        found
    }

    fn put_members(
        &mut self,
        view: &PoolView,
        service: Option<&RecordList>,
        rows: &[Row<'_>],
        text: &mut Vec<u8>,
    ) -> Found {
        if rows.is_empty() {
            return if self.put_line(&Line::Nobody, text, 0) { Found::Records } else { Found::SomeRecords };
        }
        let places = Places::of(view, service);
        // Where all records are shown, whoever reads them chooses by what stands in them.
        let choice = service.filter(|_| view.settings.services == Shown::All).map(|_| self.choice(rows));
        for (at, row) in rows.iter().enumerate() {
            let rest = rows.len() - at;
            let mut member = self.member_line(view, row, &places);
            if let (Some(choice), Some(srv), State::Up) = (&choice, member.srv, member.state) {
                member.share = Families::both(Some(choice.share(srv)));
            }
            if self.put_line(&Line::Member(Box::new(member)), text, if rest > 1 { REST_MAX } else { 0 }) {
                continue;
            }
            let is_told = self.transport != Transport::Udp && self.put_line(&Line::More(rest), text, 0);
            return if is_told { Found::Records } else { Found::SomeRecords };
        }
        Found::Records
    }

    fn choice(&self, rows: &[Row<'_>]) -> Choice {
        let up = rows.iter().filter(|row| self.state(row) == State::Up);
        Choice::of(up.filter_map(|row| srv(row.record?)))
    }

    fn state(&self, row: &Row<'_>) -> State {
        match row.weight {
            _ if row.hold.ends_ms(self.leases) <= self.now_ms => State::Gone,
            0 => State::Out,
            _ => State::Up,
        }
    }

    fn pool_line(
        &self,
        view: &PoolView,
        service: Option<&RecordList>,
        name: String,
        rows: &[Row<'_>],
    ) -> PoolLine {
        let settings = &view.settings;
        let count = |wanted| rows.iter().filter(|row| self.state(row) == wanted).count();
        let (kind, answers) = match service {
            None => (Kind::Pool, settings.addresses),
            Some(_) => (Kind::Service, settings.services),
        };
        PoolLine {
            name,
            kind,
            policy: settings.policy,
            answers,
            ttl_s: settings.ttl_s,
            up: count(State::Up),
            out: count(State::Out),
            gone: count(State::Gone),
            client: self.asked_for.map(|client| (client, settings.shows_status_to(client))),
        }
    }

    fn member_line(&self, view: &PoolView, row: &Row<'_>, places: &Places) -> MemberLine {
        let member = row.member;
        let name = match member.label.split_first() {
            Some((&ELSEWHERE, target)) => name_text(target),
            _ => label_text(&member.label),
        };
        let state = self.state(row);
        let mut line = MemberLine { weight: row.weight, ..MemberLine::new(name, state) };
        let ends_ms = row.hold.ends_ms(self.leases);
        line.lease_s = (ends_ms < FOREVER_MS).then(|| ends_ms.saturating_sub(self.now_ms) / 1000);
        if state == State::Up {
            (line.rank, line.share) = places.of_member(row.number);
        }
        self.say_standing(view, row, &mut line);
        line.srv = row.record.and_then(srv);
        let is_said_above = |key: &[u8]| [&b"weight"[..], b"priority", b"degradation"].contains(&key);
        let attributes = strings(&member.txt).filter_map(|string| {
            let at = string.iter().position(|octet| *octet == b'=')?;
            Some((string.get(..at)?, string.get(at + 1..)?))
        });
        let own = attributes.filter(|(key, _)| !is_said_above(key));
        line.attributes = own.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        for (list, places) in view.own_records(member) {
            let places = places.start as usize..places.end as usize;
            line.addresses.extend(places.filter_map(|place| self.live_address(list, place)));
        }
        line
    }

    /// What the policy goes by: what it asks for, and what else the member says of that.
    fn say_standing(&self, view: &PoolView, row: &Row<'_>, line: &mut MemberLine) {
        let policy = view.settings.policy;
        let says = |key: &[u8]| {
            strings(&row.member.txt)
                .any(|string| string.strip_prefix(key).is_some_and(|rest| rest.first() == Some(&b'=')))
        };
        if policy == Policy::Priority || says(b"priority") {
            line.priority = Some(row.member.priority);
        }
        let degrades = matches!(policy, Policy::LeastUsedDegradation | Policy::PriorityLeastUsed);
        if degrades || says(b"degradation") {
            line.degradation = Some(millionths(row.member.degradation));
        }
        let Some(one) = view.candidate(row.number as u32, row.weight, self.leases, self.now_ms) else {
            return;
        };
        let known = self.leases.load(one.lease);
        line.load = known.map(|known| SaidLoad::Is(millionths(known.said)));
        if policy.ranks_by_load() {
            line.load = line.load.or(Some(SaidLoad::Unsaid));
            let is_moved = |known: &Load| millionths(*known).short() != millionths(one.load).short();
            let said = known.map(|known| known.said).filter(is_moved);
            line.smoothed = said.map(|_| millionths(one.load).short());
        }
        if policy == Policy::LeastUsedDegradation {
            line.picks = Some(one.picks);
        }
        let load = line.smoothed.unwrap_or(millionths(one.load));
        line.level = level(policy, &one).filter(|level| *level != load && *level != load.short());
        line.warming = Some(one.warmth.share()).filter(|share| *share < 1.0).map(Millionths::of);
        line.warming = line.warming.map(Millionths::short);
    }

    fn live_address(&self, list: &Records, place: usize) -> Option<IpAddr> {
        let is_live = list.holds.get(place)?.ends_ms(self.leases) > self.now_ms;
        crate::wire::address_in(list.record(place).get(FIXED_LEN..)?).filter(|_| is_live)
    }

    /// A TXT record of as many strings as the line needs, if `spare` octets are free behind it.
    fn put_line(&mut self, line: &Line, text: &mut Vec<u8>, spare: usize) -> bool {
        text.clear();
        line.write(text);
        let start = self.reply.len();
        let fits = self.put_made(Rtype::TXT, 0, &[], &[])
            && text.chunks(STRING_MAX).all(|string| self.reply.put_pair(&[string.len() as u8], string));
        let len = u16::try_from(self.reply.len().saturating_sub(start + FIXED_LEN));
        let (true, Ok(len), true) = (fits, len, self.reply.room() >= spare) else {
            self.reply.truncate(start);
            return false;
        };
        if let Some(place) = self.reply.written_from(start).get_mut(FIXED_LEN - 2..FIXED_LEN) {
            place.copy_from_slice(&len.to_be_bytes());
        }
        self.count(1);
        true
    }
}

/// A row a member; of a service, a row a record.
fn rows<'v>(view: &'v PoolView, service: Option<&'v RecordList>) -> Vec<Row<'v>> {
    let Some(list) = service else {
        let members = view.members().iter().enumerate();
        let row = |(number, member): (usize, &'v MemberView)| Row {
            member,
            number,
            hold: &member.hold,
            weight: member.weight,
            record: None,
        };
        return members.map(row).collect();
    };
    let records = list.holds.iter().enumerate().filter_map(|(place, hold)| {
        let (number, weight, record) = (hold.member as usize, list.weight(place), Some(list.record(place)));
        Some(Row { member: view.member(hold)?, number, hold, weight, record })
    });
    records.collect()
}

/// What a client chooses among that has all SRV records of a service (RFC 2782).
struct Choice {
    /// The least priority: who has another is asked when nobody of these answers.
    priority: u16,
    /// How many have it, and their weights together.
    count: u32,
    weights: u64,
}

impl Choice {
    fn of(records: impl Iterator<Item = Srv> + Clone) -> Self {
        let priority = records.clone().map(|srv| srv.priority).min().unwrap_or(0);
        let best = records.filter(|srv| srv.priority == priority);
        let count = best.clone().count() as u32;
        Choice { priority, count, weights: best.map(|srv| u64::from(srv.weight)).sum() }
    }

    /// How likely a record is to be the first choice.
    fn share(&self, srv: Srv) -> Millionths {
        let share = match (srv.priority == self.priority, self.weights) {
            (false, _) => 0.0,
            (true, 0) => 1.0 / f64::from(self.count.max(1)),
            (true, weights) => f64::from(srv.weight) / weights as f64,
        };
        Millionths::of(share).short()
    }
}

impl Places {
    fn of(view: &PoolView, service: Option<&RecordList>) -> Self {
        let in_list = |list: &RecordList| {
            let mut places = vec![None; view.members().len()];
            for (in_line, place) in list.ranking.line().into_iter().zip(0..) {
                let number = list.holds.get(list.of_member(place).start).map(|hold| hold.member as usize);
                if let Some(held) = number.and_then(|number| places.get_mut(number)) {
                    *held = in_line;
                }
            }
            places
        };
        let lists = match service {
            Some(list) => [list, list],
            None if view.v6.is_empty() => [&view.v4, &view.v4],
            None if view.v4.is_empty() => [&view.v6, &view.v6],
            None => [&view.v4, &view.v6],
        };
        let [v4, v6] = lists.map(in_list);
        Places(Families { v4: Some(v4), v6: Some(v6) })
    }

    fn of_member(&self, number: usize) -> (Families<u32>, Families<Millionths>) {
        let of = |places: &Option<Vec<Option<InLine>>>| places.as_ref()?.get(number).copied().flatten();
        let (v4, v6) = (of(&self.0.v4), of(&self.0.v6));
        let share = |place: InLine| Millionths::of(place.share).short();
        (
            Families { v4: v4.map(|place| place.rank), v6: v6.map(|place| place.rank) },
            Families { v4: v4.map(share), v6: v6.map(share) },
        )
    }
}

fn millionths(load: Load) -> Millionths {
    Millionths::of(load.share())
}

/// What a policy that goes by load takes for a member's.
fn level(policy: Policy, one: &Candidate) -> Option<Millionths> {
    let level = match policy {
        Policy::LeastUsed | Policy::RandomizedLeastUsed => u64::from(one.counted_load().0),
        Policy::LeastUsedDegradation => one.level(one.picks),
        Policy::PriorityLeastUsed => one.level(1),
        _ => return None,
    };
    Some(Millionths::of(level as f64 / f64::from(Load::FULL.0)).short())
}

/// The fields of an encoded SRV record.
fn srv(record: &[u8]) -> Option<Srv> {
    let fields = record.get(FIXED_LEN..FIXED_LEN + 6)?;
    let field = |at: usize| Some(u16::from_be_bytes([*fields.get(at)?, *fields.get(at + 1)?]));
    Some(Srv { priority: field(0)?, weight: field(2)?, port: field(4)? })
}

/// The strings of an encoded TXT record.
fn strings(record: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = record.get(FIXED_LEN..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&len, after) = rest.split_first()?;
        let (string, after) = after.split_at_checked(usize::from(len))?;
        rest = after;
        Some(string)
    })
}
