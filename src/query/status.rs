//! `_status`: what a pool makes of its members, in words, for people who look into it.
//!
//! One TXT record of the pool, then one a member, in name order; `_status` below a service's name says the same of its SRV
//! records. It is said of the view and the leases as they are in this moment, so nobody is to remember it: its TTL is 0. Only
//! networks in `debug_from` are told; others learn that it is not for them. Who is told may ask whether another would be, by
//! naming it as the client (RFC 7871): the reply says so in its first string, and has no option of its own, for with a TTL of
//! 0 there is no cache that would have to know. [`mod@line`] has what the strings say.

pub mod line;
mod places;
mod rows;

use std::net::IpAddr;

use super::Transport;
use super::all_down::Asked;
use super::writer::{Found, Writer};
use crate::membership::{ELSEWHERE, FOREVER_MS, Load};
use crate::policy::{Candidate, Policy, Shown};
use crate::wire::{HEADER_LEN, NameKey, Rtype, label_text, name_text};
use crate::zone::{DrainView, FIXED_LEN, LAST_GOOD_MS, OnAllDown, PoolView, Records};

use line::{Families, Instead, Kind, Left, Line, MemberLine, Millionths, PoolLine, SaidLoad, Srv, State};
use places::{Choice, Places};
use rows::{Row, Terms};

/// Octets of a string in a TXT record, at most (RFC 1035 section 3.3).
const STRING_MAX: usize = 255;
/// Octets that are kept free for the last record, which says how many members are not shown.
const REST_MAX: usize = 80;
/// More members than a UDP reply can have strings of, so that nobody ranks a big pool for a reply that is cut.
const UDP_MEMBERS_MAX: usize = 64;

impl Writer<'_, '_> {
    /// The status of a pool, or of one of its services. `name` is what was asked for: `_status` and the name of either.
    pub(super) fn put_status(
        &mut self,
        view: &PoolView,
        service: Option<&[u8]>,
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
        let asked = service.map_or(Asked::Addresses(Rtype::ANY), Asked::Service);
        let is_anyone_fit = self.is_anyone_fit(view, asked);
        let is_last_good = !is_anyone_fit && view.settings.on_all_down == OnAllDown::LastGood;
        let rows = Terms { leases: self.leases, now_ms: self.now_ms, is_last_good }.rows(view, service);
        if self.transport == Transport::Udp && rows.len() > UDP_MEMBERS_MAX {
            return Found::SomeRecords;
        }
        let of = name.suffix(1).map(|(of, _)| name_text(of)).unwrap_or_default();
        let on_all_down = if is_anyone_fit { None } else { self.instead(view, &rows) };
        let pool = Line::Pool(PoolLine { on_all_down, ..self.pool_line(view, service.is_some(), of, &rows) });
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
        service: Option<&[u8]>,
        rows: &[Row<'_>],
        text: &mut Vec<u8>,
    ) -> Found {
        if rows.is_empty() {
            return if self.put_line(&Line::Nobody, text, 0) { Found::Records } else { Found::SomeRecords };
        }
        let is_lost = |row: &&Row<'_>| !std::ptr::eq(row.view, view);
        let lost = rows.iter().find(is_lost).map(|row| Places::of(row.view, service));
        let places = Places::of(view, service);
        // Where all records are shown, whoever reads them chooses by what stands in them.
        let choice = service.filter(|_| view.settings.services == Shown::All).map(|_| {
            let answered = rows.iter().filter(|row| row.takes_part());
            Choice::of(answered.filter_map(|row| srv(row.record?)))
        });
        for (at, row) in rows.iter().enumerate() {
            let rest = rows.len() - at;
            let places = lost.as_ref().filter(|_| is_lost(&row)).unwrap_or(&places);
            let mut member = self.member_line(row, places);
            if let (Some(choice), Some(srv), true) = (&choice, member.srv, row.takes_part()) {
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

    /// What is answered for want of anybody who is fit. `all` is nothing to speak of where there is nobody at all.
    fn instead(&self, view: &PoolView, rows: &[Row<'_>]) -> Option<Instead> {
        Some(match &view.settings.on_all_down {
            OnAllDown::All => return rows.iter().any(Row::is_shown_at_last).then_some(Instead::All),
            OnAllDown::LastGood => {
                let is_anyone_lost = rows.iter().any(|row| row.state == State::Lost);
                // Time is counted from when they are swept.
                let left_ms = view
                    .last_good_until_ms()
                    .map_or(LAST_GOOD_MS, |until_ms| until_ms.saturating_sub(self.now_ms));
                Instead::LastGood(is_anyone_lost.then_some(left_ms / 1000))
            }
            OnAllDown::Fallback(pool) => Instead::Fallback(name_text(pool)),
            OnAllDown::NoData => Instead::NoData,
            OnAllDown::ServFail => Instead::ServFail,
        })
    }

    fn pool_line(&self, view: &PoolView, of_service: bool, name: String, rows: &[Row<'_>]) -> PoolLine {
        let settings = &view.settings;
        let count = |wanted: &dyn Fn(&Row<'_>) -> bool| rows.iter().filter(|row| wanted(row)).count();
        let (kind, answers) = match of_service {
            false => (Kind::Pool, settings.addresses),
            true => (Kind::Service, settings.services),
        };
        PoolLine {
            name,
            kind,
            policy: settings.policy,
            answers,
            ttl_s: settings.ttl_s,
            up: count(&|row| row.state == State::Up),
            out: count(&|row| row.state == State::Out),
            gone: count(&|row| row.state == State::Gone),
            draining: count(&|row| row.state.drains()),
            lost: count(&|row| row.state == State::Lost),
            held: count(&|row| row.hold.is_held(self.leases, self.now_ms)),
            on_all_down: None,
            client: self.asked_for.map(|client| (client, settings.shows_status_to(client))),
        }
    }

    fn member_line(&self, row: &Row<'_>, places: &Places) -> MemberLine {
        let member = row.member;
        let name = match member.label().split_first() {
            Some((&ELSEWHERE, target)) => name_text(target),
            _ => label_text(member.label()),
        };
        let mut line = MemberLine { weight: row.weight, ..MemberLine::new(name, row.state) };
        line.lease = match row.hold.ends_ms(self.leases) {
            _ if row.hold.is_held(self.leases, self.now_ms) => Left::Held,
            ends_ms if ends_ms >= FOREVER_MS => Left::Endless,
            ends_ms => Left::Seconds(self.left_s(ends_ms)),
        };
        if row.takes_part() {
            (line.rank, line.share) = places.of_member(member.number() as usize);
        }
        self.say_drain(row, &mut line);
        self.say_standing(row, &mut line);
        line.srv = row.record.and_then(srv);
        let is_said_above =
            |key: &[u8]| [&b"weight"[..], b"priority", b"degradation", b"drain"].contains(&key);
        let attributes = strings(member.txt()).filter_map(|string| {
            let at = string.iter().position(|octet| *octet == b'=')?;
            Some((string.get(..at)?, string.get(at + 1..)?))
        });
        let own = attributes.filter(|(key, _)| !is_said_above(key));
        line.attributes = own.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        for (list, places) in row.view.own_records(member) {
            line.addresses.extend(places.filter_map(|place| self.address(row, list, place)));
        }
        line
    }

    fn left_s(&self, ends_ms: u64) -> u64 {
        ends_ms.saturating_sub(self.now_ms) / 1000
    }

    /// Why a member gets no more clients, and for how long.
    fn say_drain(&self, row: &Row<'_>, line: &mut MemberLine) {
        match row.member.drain.as_deref().filter(|_| row.state.drains()) {
            Some(DrainView::Own(ends_ms)) => line.drain_s = Some(self.left_s(*ends_ms)),
            Some(DrainView::Operators(drain)) => {
                line.drained_by = Some(drain.by.to_string());
                line.drain_s = (drain.ends_ms < FOREVER_MS).then(|| self.left_s(drain.ends_ms));
                line.drained_why = Some(drain.why.to_string()).filter(|why| !why.is_empty());
            }
            None => {}
        }
    }

    /// What the policy goes by: what it asks for, and what else the member says of that.
    fn say_standing(&self, row: &Row<'_>, line: &mut MemberLine) {
        let (view, policy) = (row.view, row.view.settings.policy);
        let says = |key: &[u8]| {
            strings(row.member.txt())
                .any(|string| string.strip_prefix(key).is_some_and(|rest| rest.first() == Some(&b'=')))
        };
        if policy == Policy::Priority || says(b"priority") {
            line.priority = Some(row.member.priority);
        }
        let degrades = matches!(policy, Policy::LeastUsedDegradation | Policy::PriorityLeastUsed);
        if degrades || says(b"degradation") {
            line.degradation = Some(millionths(row.member.degradation));
        }
        let one = view.candidate(&row.member, row.weight, self.leases, self.now_ms);
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

    /// A member's address if it is answered: if it lives, or its member is lost.
    fn address(&self, row: &Row<'_>, list: &Records, place: usize) -> Option<IpAddr> {
        let is_live = list.hold(place)?.ends_ms(self.leases) > self.now_ms;
        let is_answered = is_live || row.state == State::Lost;
        crate::wire::address_in(list.record(place).get(FIXED_LEN..)?).filter(|_| is_answered)
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
