//! An answer being written: the name is found, its records are copied, what is missing is said with the zone's SOA.

use std::net::IpAddr;

use super::scratch::Scratch;
use super::{Answered, Context, Transport};
use crate::membership::LeaseTable;
use crate::wire::{FLAG_AA, FLAG_TC, HEADER_LEN, NameKey, Question, Reply, Rtype};
use crate::zone::{Below, FIXED_LEN, Node, PoolView, Role, Rrset, TTL_AT, Zone, ZoneSet};

/// Aliases followed in one answer; a longer chain, or a loop, is answered as far as it got.
const ALIASES_MAX: usize = 8;
/// The farthest octet that a compression pointer reaches (RFC 1035 section 4.1.4).
pub(super) const POINTER_MAX: usize = 0x3FFF;

/// What a name or type came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Records were written.
    Records,
    /// Records were written, and some did not fit.
    SomeRecords,
    /// The name is there, the type is not.
    NoData,
    /// No such name.
    NoName,
    /// The name is an alias; where its target lies in the reply.
    Alias(usize),
    /// The answer is not for this client.
    Prohibited,
}

pub(super) struct Writer<'a, 'b> {
    zones: &'a ZoneSet,
    pub transport: Transport,
    pub client: Option<IpAddr>,
    pub now_ms: u64,
    pub leases: &'a LeaseTable,
    pub scratch: &'a mut Scratch,
    pub reply: Reply<'b>,
    /// Where the name that is being answered lies in the reply: the question's, or an alias's target.
    pub name_at: usize,
    answers: u16,
    authorities: u16,
    additionals: u16,
    /// Whether something that belongs in the reply did not fit.
    is_cut: bool,
}

impl<'a, 'b> Writer<'a, 'b> {
    /// A writer behind the question that `reply` holds already.
    pub fn new(context: &Context<'a>, scratch: &'a mut Scratch, reply: Reply<'b>) -> Self {
        scratch.places.clear();
        Writer {
            zones: context.zones,
            transport: context.transport,
            client: context.client,
            now_ms: context.now_ms,
            leases: context.zones.leases(),
            scratch,
            reply,
            name_at: HEADER_LEN,
            answers: 0,
            authorities: 0,
            additionals: 0,
            is_cut: false,
        }
    }

    /// The reply and its section counts.
    pub fn done(self) -> (Reply<'b>, [u16; 4]) {
        (self.reply, [1, self.answers, self.authorities, self.additionals])
    }

    /// Answers from `zone`. Returns the kind of answer and its flags.
    pub fn answer(&mut self, zone: &Zone, question: &Question) -> (Answered, u16) {
        let mut found = self.answer_name(zone, &question.name, question.qtype);
        if let Found::Alias(target_at) = found {
            found = self.follow_aliases(target_at, question.qtype);
        }
        let is_cut = self.is_cut || found == Found::SomeRecords;
        match found {
            _ if is_cut && self.transport == Transport::Udp => (Answered::Truncated, FLAG_AA | FLAG_TC),
            // Over TCP there is nothing larger to ask for, and an answer without records would read as "none there".
            Found::SomeRecords if self.answers == 0 => (Answered::ServFail, 0),
            Found::Records | Found::SomeRecords | Found::Alias(_) => (Answered::Positive, FLAG_AA),
            Found::NoData => (Answered::NoData, FLAG_AA),
            Found::NoName => (Answered::NxDomain, FLAG_AA),
            Found::Prohibited => (Answered::Refused, 0),
        }
    }

    /// Goes on with the name that an alias points to, as long as it is in a zone of ours (RFC 1034 section 4.3.2, step 3a).
    fn follow_aliases(&mut self, mut target_at: usize, qtype: Rtype) -> Found {
        // Taken out, so that it can be read while the rest of the scratch is written.
        let mut alias = std::mem::take(&mut self.scratch.alias);
        let mut found = Found::Records;
        for _ in 0..ALIASES_MAX {
            let target = self.reply.written_from(target_at);
            if target_at > POINTER_MAX || alias.read(target, target_at, self.zones.hasher()).is_err() {
                break;
            }
            let Some(zone) = self.zones.find(&alias) else { break };
            self.name_at = target_at;
            found = self.answer_name(zone, &alias, qtype);
            match found {
                Found::Alias(next_at) => target_at = next_at,
                _ => break,
            }
        }
        self.scratch.alias = alias;
        found
    }

    fn answer_name(&mut self, zone: &Zone, name: &NameKey, qtype: Rtype) -> Found {
        let found = match zone.locate(name) {
            Some((node, 0)) => self.answer_node(zone, &node, name, qtype),
            Some((node, _)) => self.answer_below(&node, name, qtype),
            None => Found::NoName,
        };
        if matches!(found, Found::NoData | Found::NoName) {
            self.put_negative(zone, name);
        }
        found
    }

    /// The name itself is in the index.
    fn answer_node(&mut self, zone: &Zone, node: &Node, name: &NameKey, qtype: Rtype) -> Found {
        let is_apex = name.labels() == zone.apex_labels();
        if is_apex && qtype == Rtype::SOA {
            let ttl_s = zone.soa().ttl_s;
            return self.put_soa(zone, self.name_at, ttl_s);
        }
        // A service's name leads to its pool's node, whose own records are not the service's.
        let is_own = !matches!(&node.role, Role::Pool(view) if view.labels != name.labels());
        if let Role::Listing(listing) = &node.role
            && let Some(found) = self.put_listing(node, listing, qtype)
        {
            return found;
        }
        if is_own && let Some(found) = self.put_ordinary(node, qtype) {
            return found;
        }
        match &node.role {
            Role::Plain | Role::Listing(_) => Found::NoData,
            Role::Pool(_) => self.answer_below(node, name, qtype),
            Role::BelowPool(_) | Role::BelowListing(_) => match self.answer_below(node, name, qtype) {
                // It is in the index: it exists.
                Found::NoName => Found::NoData,
                found => found,
            },
        }
    }

    /// The closest name in the index is `node`'s: only a pool has names below it that the index lacks.
    fn answer_below(&mut self, node: &Node, name: &NameKey, qtype: Rtype) -> Found {
        match &node.role {
            Role::Plain => Found::NoName,
            Role::Pool(view) => self.answer_in_pool(view, name, qtype),
            Role::Listing(listing) => self.put_below_listing(listing, name, qtype),
            Role::BelowPool(cell) => match &cell.load().role {
                Role::Pool(view) => self.answer_in_pool(view, name, qtype),
                _ => Found::NoName,
            },
            Role::BelowListing(cell) => match &cell.load().role {
                Role::Listing(listing) => self.put_below_listing(listing, name, qtype),
                _ => Found::NoName,
            },
        }
    }

    fn answer_in_pool(&mut self, view: &PoolView, name: &NameKey, qtype: Rtype) -> Found {
        let Some(skip) = name.labels().checked_sub(view.labels) else { return Found::NoName };
        if skip == 0 {
            return self.put_pool_addresses(view, qtype, false);
        }
        match view.below(name.prefix(skip)) {
            Below::All => self.put_pool_addresses(view, qtype, true),
            Below::Service(list, of_all) => self.put_service(view, list, qtype, of_all),
            Below::Member(member) => self.put_member(view, member, qtype),
            Below::Status => self.put_status(view, qtype),
            Below::Empty => Found::NoData,
            Below::Missing => Found::NoName,
        }
    }

    /// Ordinary records of the type, or the alias that stands for all types. ANY gets one RRset (RFC 8482 section 4.1).
    fn put_ordinary(&mut self, node: &Node, qtype: Rtype) -> Option<Found> {
        let now_ms = self.now_ms;
        let live = |rtype| node.rrset(rtype).filter(|rrset| rrset.is_live(now_ms));
        let rrset = match qtype {
            Rtype::ANY => node.rrsets.iter().find(|rrset| rrset.is_live(now_ms)),
            _ => live(qtype).or_else(|| live(Rtype::CNAME)),
        }?;
        let at = self.reply.len();
        let found = self.put_rrset(rrset);
        let is_alias = rrset.rtype == Rtype::CNAME && !matches!(qtype, Rtype::CNAME | Rtype::ANY);
        Some(if is_alias && found == Found::Records { Found::Alias(at + FIXED_LEN) } else { found })
    }

    fn put_rrset(&mut self, rrset: &Rrset) -> Found {
        let at = self.reply.len();
        let ttl_s = rrset.ttl_s();
        if rrset.first_end_ms() >= self.now_ms.saturating_add(u64::from(ttl_s) * 1000) {
            if !self.reply.put(&rrset.octets) {
                return Found::SomeRecords;
            }
            self.answers += rrset.count;
            self.patch(at, None);
            return Found::Records;
        }
        // Some of it has a lease that ends soon, or has ended: its records are looked at one by one, and what the first to
        // end has left is the TTL of all.
        let (mut first_end_ms, mut records) = (u64::MAX, 0);
        for (record, ends_ms) in rrset.encoded().filter(|(_, ends_ms)| *ends_ms > self.now_ms) {
            if !self.reply.put(record) {
                self.reply.truncate(at);
                return Found::SomeRecords;
            }
            first_end_ms = first_end_ms.min(ends_ms);
            records += 1;
        }
        self.count_answers(records);
        self.patch(at, Some(ttl_left_s(ttl_s, first_end_ms, self.now_ms)));
        Found::Records
    }

    /// The zone's SOA in the authority section (RFC 2308 section 3). Without it the reply is cut (RFC 2181 section 9).
    fn put_negative(&mut self, zone: &Zone, name: &NameKey) {
        let before_apex =
            name.labels().checked_sub(zone.apex_labels()).map_or(0, |skip| name.prefix(skip).len());
        let answers = self.answers;
        let found = self.put_soa(zone, self.name_at + before_apex, zone.soa().negative_ttl_s());
        self.answers = answers;
        self.authorities += u16::from(found == Found::Records);
        self.is_cut |= found != Found::Records;
    }

    /// The SOA as it is now, its owner a pointer to `owner_at`. Counted as an answer.
    fn put_soa(&mut self, zone: &Zone, owner_at: usize, ttl_s: u32) -> Found {
        let (soa, serial) = (zone.soa(), zone.serial().to_be_bytes());
        let names: &[u8] = &soa.names;
        let start = self.reply.len();
        if owner_at > POINTER_MAX {
            return Found::SomeRecords;
        }
        let owner = (0xC000 | owner_at as u16).to_be_bytes();
        let ttl = ttl_s.to_be_bytes();
        let len = ((names.len() + 20) as u16).to_be_bytes();
        let fixed = [owner[0], owner[1], 0, 6, 0, 1, ttl[0], ttl[1], ttl[2], ttl[3], len[0], len[1]];
        let fits = self.reply.put_pair(&fixed, names) && self.reply.put_pair(&serial, &soa.timers);
        if !fits {
            self.reply.truncate(start);
            return Found::SomeRecords;
        }
        self.answers += 1;
        Found::Records
    }

    /// Counts records that were appended to the answer.
    pub fn count_answers(&mut self, records: usize) {
        self.answers = self.answers.saturating_add(records as u16);
    }

    /// Counts records that were appended to the additional section.
    pub fn count_additionals(&mut self, records: usize) {
        self.additionals = self.additionals.saturating_add(records as u16);
    }

    /// Gives the pre-encoded records from `at` on their owner, if it is not the question's name, and their TTL, if it is
    /// not the one that they were encoded with.
    pub fn patch(&mut self, at: usize, ttl_s: Option<u32>) {
        let owner = (self.name_at != HEADER_LEN).then(|| (0xC000 | self.name_at as u16).to_be_bytes());
        if owner.is_none() && ttl_s.is_none() {
            return;
        }
        let mut rest = self.reply.written_from(at);
        while let Some((fixed, after)) = rest.split_at_mut_checked(FIXED_LEN) {
            let Some((len, _)) = fixed.get(10..).and_then(|len| len.split_first_chunk()) else { return };
            let len = usize::from(u16::from_be_bytes(*len));
            if let (Some(owner), Some(place)) = (owner, fixed.get_mut(..2)) {
                place.copy_from_slice(&owner);
            }
            if let (Some(ttl_s), Some(place)) = (ttl_s, fixed.get_mut(TTL_AT..TTL_AT + 4)) {
                place.copy_from_slice(&ttl_s.to_be_bytes());
            }
            rest = after.get_mut(len..).unwrap_or_default();
        }
    }
}

/// Whole seconds that an RRset may be remembered: what is left of the first of its records to end, at most `most_s`.
pub(super) fn ttl_left_s(most_s: u32, first_end_ms: u64, now_ms: u64) -> u32 {
    let left_s = first_end_ms.saturating_sub(now_ms) / 1000;
    u32::try_from(left_s).map_or(most_s, |left_s| left_s.min(most_s))
}
