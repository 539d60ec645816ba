//! `_status`: what a pool makes of its members, in words, for people who look into it.
//!
//! One TXT record a member, in name order: `"m1 up registered lease=23s weight=20 site=fra 10.0.0.1"`. It is said of the view
//! and the leases as they are in this moment, so nobody is to remember it: its TTL is 0. Only networks in `debug_from` are
//! told; others learn that it is not for them.

use std::io::Write as _;
use std::ops::Range;

use super::Transport;
use super::writer::{Found, Writer};
use crate::membership::ELSEWHERE;
use crate::wire::{HEADER_LEN, Rtype, label_text, name_text};
use crate::zone::{FIXED_LEN, MemberView, PoolView, RecordList};

/// Octets of a string in a TXT record, at most (RFC 1035 section 3.3).
const STRING_MAX: usize = 255;
/// Octets that are kept free for the last record, which says how many members are not shown.
const REST_MAX: usize = 80;
/// What is said of a pool without members.
const NOBODY: &[u8] = b"no member: nobody has registered, or whoever had has left or let the lease run out";

impl Writer<'_, '_> {
    /// The status of a pool.
    pub(super) fn put_status(&mut self, view: &PoolView, qtype: Rtype) -> Found {
        // An alias leads others to it than those who look into the pool.
        if !matches!(qtype, Rtype::TXT | Rtype::ANY) || self.name_at != HEADER_LEN {
            return Found::NoData;
        }
        if !self.client.is_some_and(|client| view.settings.shows_status_to(client)) {
            return Found::Prohibited;
        }
        // Taken out, so that the rest can be read while it is written.
        let mut text = std::mem::take(&mut self.scratch.text);
        let found = self.put_members(view, &mut text);
        self.scratch.text = text;
        found
    }

    fn put_members(&mut self, view: &PoolView, text: &mut Vec<u8>) -> Found {
        let members = view.members();
        if members.is_empty() {
            return if self.put_text(NOBODY, 0) { Found::Records } else { Found::SomeRecords };
        }
        for (at, member) in members.iter().enumerate() {
            text.clear();
            self.describe(view, member, text);
            let rest = members.len() - at;
            if self.put_text(text, if rest > 1 { REST_MAX } else { 0 }) {
                continue;
            }
            if self.transport == Transport::Udp {
                return Found::SomeRecords;
            }
            text.clear();
            let others = if rest == 1 { "member is" } else { "members are" };
            // Writing to a Vec cannot fail.
            _ = write!(text, "{rest} more {others} not shown: they do not fit");
            return if self.put_text(text, 0) { Found::Records } else { Found::SomeRecords };
        }
        Found::Records
    }

    /// State, why, lease left, weight, attributes, addresses.
    fn describe(&self, view: &PoolView, member: &MemberView, text: &mut Vec<u8>) {
        match member.label.split_first() {
            Some((&ELSEWHERE, target)) => text.extend_from_slice(name_text(target).as_bytes()),
            _ => text.extend_from_slice(label_text(&member.label).as_bytes()),
        }
        let ends_ms = member.hold.ends_ms(self.leases);
        text.extend_from_slice(match member.weight {
            _ if ends_ms <= self.now_ms => b" gone expired",
            0 => b" out weight=0",
            _ => b" up registered",
        });
        // Writing to a Vec cannot fail.
        _ = match ends_ms {
            u64::MAX => write!(text, " lease=none"),
            _ => write!(text, " lease={}s", ends_ms.saturating_sub(self.now_ms) / 1000),
        };
        if member.weight > 0 {
            _ = write!(text, " weight={}", member.weight);
        }
        for attribute in strings(&member.txt).filter(|attribute| !attribute.starts_with(b"weight=")) {
            text.push(b' ');
            text.extend_from_slice(attribute);
        }
        self.describe_addresses(&view.v4, &member.v4, text);
        self.describe_addresses(&view.v6, &member.v6, text);
    }

    fn describe_addresses(&self, list: &RecordList, places: &Range<u32>, text: &mut Vec<u8>) {
        for place in places.start as usize..places.end as usize {
            let is_live = list.holds.get(place).is_some_and(|hold| hold.ends_ms(self.leases) > self.now_ms);
            let rdata = list.record(place).get(FIXED_LEN..).unwrap_or_default();
            if let Some(ip) = crate::wire::address_in(rdata).filter(|_| is_live) {
                _ = write!(text, " {ip}");
            }
        }
    }

    /// A TXT record of as many strings as the text needs, if `spare` octets are free behind it.
    fn put_text(&mut self, text: &[u8], spare: usize) -> bool {
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
