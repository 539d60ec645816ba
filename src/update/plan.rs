//! A message's net result: each member that it touches is drafted, every record is tried on the draft, and only what
//! stands at the end counts. So delete-then-add is a heartbeat, or a change of address, and never a leave and a join.

mod add;
mod apart;
mod delete;
mod drains;
mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Refusal;
use super::draft::{Draft, Ignored, Verdict, ips};
use super::drain::DrainWord;
use super::left::Left;
use super::message::Command;
use super::names::{Target, address_label, classify, pool_to_make, would_drain};
use super::ordinary::NameDraft;
use crate::change::Subject;
use crate::membership::{DrainChange, Member, MemberName, PoolHandle, Roll};
use crate::security::{Grant, Grants, Sent};
use crate::wire::{LeaseOption, Rtype, name_text};
use crate::zone::{NameChange, Publisher};

pub(super) use apart::{Apart, Settled, Touched};

/// What a message comes to, once all of it is allowed.
pub(super) struct Plan {
    pub verdicts: Vec<Verdict>,
    /// Names whose ordinary records it changes.
    pub names: Vec<NamePlan>,
    /// What operators say of members.
    pub drains: Vec<DrainPlan>,
    /// What it tries and changes nothing at, and the name of that: of ordinary records, or of a member.
    pub unchanged: Vec<(Subject, Arc<[u8]>)>,
    /// Members that it takes away and that are not there.
    pub gone: Vec<Gone>,
    /// How long what the message is about stays, the least of all.
    pub left: Left,
    /// Attributes that a heartbeat had wrong: ignored, and logged.
    pub ignored: Vec<Ignored>,
}

/// What a message comes to at a name with ordinary records.
pub(super) struct NamePlan {
    pub change: NameChange,
    /// How long what it adds stays without it, the least of all: nothing of it may be there.
    pub standing: Left,
}

/// Who is not there, and is to be gone for good.
pub(super) struct Gone {
    pub pool: PoolHandle,
    pub name: MemberName,
    /// Whose it has to have been; `None` for an administrator.
    pub owner: Option<Box<str>>,
}

/// What a message comes to at a member's drain.
pub(super) struct DrainPlan {
    pub change: DrainChange,
    /// Where it was said, in lower-case wire form.
    pub name: Arc<[u8]>,
}

/// Members that one message may have looked at for deletions of shared names and for members known by their addresses: some
/// 0.4 s of the registrar's time, and twice that if they are all the sender's. A member's own names need no looking.
const LOOKED_AT_MAX: usize = 1_000_000;

/// Labels of an ordinary name below its zone: each may be an empty name of its own in the index, where no limit of records
/// counts it. An address of `ip6.arpa.` has 32.
const LABELS_MAX: usize = 40;

/// What a message's registrations depend on besides its records.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// When it was received, monotonic milliseconds.
    pub now_ms: u64,
    /// The lease option, if there was one.
    pub wish: Option<LeaseOption>,
    /// The server's run.
    pub run: u32,
}

/// The drafts of one message.
pub(super) struct Drafts<'a> {
    publisher: &'a Publisher,
    roll: &'a Roll,
    grants: &'a Grants,
    sent: &'a Sent,
    terms: Terms,
    drafts: BTreeMap<PoolHandle, BTreeMap<MemberName, Draft>>,
    /// Names with ordinary records that the message is about.
    names: BTreeMap<Box<[u8]>, NameDraft>,
    /// What operators say of members: the last word, `None` for the end of a drain.
    drains: BTreeMap<(PoolHandle, MemberName), Option<DrainWord>>,
    /// Pools that its first member makes.
    making: BTreeSet<PoolHandle>,
    /// Pools that it names and that nobody sees yet.
    unpublished: BTreeSet<PoolHandle>,
    /// Which names a registration may make pools.
    creatable: BTreeMap<Box<[u8]>, bool>,
    looked_at: usize,
    /// Pools of which every member was looked at.
    searched: BTreeSet<PoolHandle>,
    /// What the records since the last one were tried on, if anybody wants to know.
    touched: Option<Vec<Touched>>,
}

impl<'a> Drafts<'a> {
    /// No drafts yet, of a message that will have these commands applied.
    pub fn new(
        publisher: &'a Publisher,
        roll: &'a Roll,
        grants: &'a Grants,
        sent: &'a Sent,
        terms: Terms,
        commands: &[Command],
    ) -> Self {
        let mut creatable = BTreeMap::new();
        let mut may_create = |pool: &[u8]| may_create(publisher, &mut creatable, pool, terms.now_ms);
        let making = commands.iter().filter_map(|command| match command {
            Command::Add { name, rtype, .. } => pool_to_make(publisher, name, *rtype, &mut may_create),
            _ => None,
        });
        let making = making.collect();
        Drafts {
            publisher,
            roll,
            grants,
            sent,
            terms,
            drafts: BTreeMap::new(),
            names: BTreeMap::new(),
            drains: BTreeMap::new(),
            making,
            unpublished: BTreeSet::new(),
            creatable,
            looked_at: 0,
            searched: BTreeSet::new(),
            touched: None,
        }
    }

    fn draft(&mut self, pool: PoolHandle, name: MemberName) -> &mut Draft {
        if let Some(touched) = &mut self.touched {
            touched.push(Touched::Member(pool.clone(), name.clone()));
        }
        let (roll, now_ms) = (self.roll, self.terms.now_ms);
        let drafts = self.drafts.entry(PoolHandle::clone(&pool)).or_default();
        drafts.entry(name).or_insert_with_key(|name| Draft::of(roll, &pool, name, now_ms))
    }

    /// Members of a pool as they stand after the records before this one: those on the roll, and those drafted.
    fn standing(&self, pool: &[u8]) -> impl Iterator<Item = (&MemberName, &Member)> {
        let drafts = self.drafts.get(pool);
        let on_roll = self.roll.members(pool).filter(move |(name, entry)| {
            let ends_ms = entry.member.ends_ms(entry.ends_ms(self.roll.leases()));
            ends_ms > self.terms.now_ms && !drafts.is_some_and(|drafts| drafts.contains_key(*name))
        });
        let drafted = drafts.into_iter().flatten();
        on_roll
            .map(|(name, entry)| (name, entry.member.as_ref()))
            .chain(drafted.map(|(name, draft)| (name, &draft.member)))
    }

    /// Looks at a pool's standing members, within what one message may have looked at.
    fn look(
        &mut self,
        pool: &PoolHandle,
        is_it: impl Fn(&Self, &Member) -> bool,
        most: usize,
    ) -> Result<Vec<MemberName>, Refusal> {
        if self.looked_at > LOOKED_AT_MAX {
            let text =
                "one message deletes too many shared names of large pools: split it, or name the members";
            return Err(Refusal::Limit(text.to_owned()));
        }
        self.searched.insert(pool.clone());
        let mut looked_at = 0;
        let standing = self.standing(pool).inspect(|_| looked_at += 1);
        let found =
            standing.filter(|(_, member)| is_it(self, member)).map(|(name, _)| name.clone()).take(most);
        let found = found.collect();
        self.looked_at += looked_at;
        Ok(found)
    }

    /// Members of a pool that the sender owns, for deletions of what several members share. Under a grant for the sender's own
    /// address, whose key others may have too, those at that address.
    fn own_members(&mut self, pool: &PoolHandle) -> Result<Vec<MemberName>, Refusal> {
        let text = self.pool_text(pool);
        let first = self.grant(&text, &[])?;
        let is_own = |drafts: &Self, member: &Member| {
            let source = drafts.sent.source;
            let is_mine = |grant: &Grant| {
                *drafts.owner(grant) == *member.owner
                    && (!grant.own_address || member.addresses.iter().all(|address| address.ip == source))
            };
            // Drafted just now by the sender, or owned under the pool's first grant, or under one for its addresses.
            member.owner.is_empty() || is_mine(first) || drafts.grant(&text, &ips(member)).is_ok_and(is_mine)
        };
        self.look(pool, is_own, usize::MAX)
    }

    /// The member of a pool that has this address, or the name that it gets by it. The name is tried first: for a heartbeat
    /// in the short form nobody else is looked at.
    fn member_at(&mut self, pool: &PoolHandle, ip: IpAddr) -> Result<MemberName, Refusal> {
        let has_it = |member: &Member| member.addresses.iter().any(|address| address.ip == ip);
        let label = address_label(ip);
        let is_drafted = self.drafts.get(pool).is_some_and(|drafts| drafts.contains_key(&label));
        if !is_drafted && has_it(&Draft::of(self.roll, pool, &label, self.terms.now_ms).member) {
            return Ok(label);
        }
        let known = self.look(pool, |_, member| has_it(member), 1)?;
        // Deleted by a record before this one, it is that member's again: delete-then-add is a heartbeat.
        let had_it = |draft: &Draft| draft.before.as_ref().is_some_and(|(before, _)| has_it(before));
        let drafted = self.drafts.get(pool).into_iter().flatten().find(|(_, draft)| had_it(draft));
        Ok(known.into_iter().next().or_else(|| drafted.map(|(name, _)| name.clone())).unwrap_or(label))
    }

    /// The pool's name as grants spell it: relative to the zone, without a closing dot.
    fn pool_text(&self, pool: &[u8]) -> String {
        let labels = pool.strip_suffix(self.publisher.zone().apex()).unwrap_or(pool);
        name_text(labels)
    }

    /// What the name of a record is to membership.
    fn target(&mut self, command: &Command) -> Target {
        let target = match classify(self.publisher, &self.making, command.name()) {
            // A name is kept for longer than a pool that nobody is in, and who is away can be drained.
            Target::Elsewhere if !matches!(command, Command::Add { .. }) || self.is_drain(command) => {
                self.would_be(command.name())
            }
            target => target,
        };
        if let Some(pool) = target.pool().filter(|pool| !self.publisher.is_published(pool)) {
            self.unpublished.insert(Arc::clone(pool));
        }
        target
    }

    /// Whether a record of a name in no pool that there is would drain somebody.
    fn is_drain(&self, command: &Command) -> bool {
        let is_txt = matches!(command, Command::Add { rtype: Rtype::TXT, .. });
        is_txt && would_drain(command.name(), self.publisher.zone().apex()).is_some()
    }

    /// Tries one record on the drafts.
    pub fn apply(&mut self, command: &Command) -> Result<(), Refusal> {
        let target = self.target(command);
        match command {
            Command::Add { name, rtype, ttl_s, rdata } => self.add(target, name, *rtype, *ttl_s, rdata),
            Command::DeleteRrset { name, rtype } => self.delete_rrset(target, name, *rtype),
            Command::DeleteName { name } => self.delete_name(target, name),
            Command::DeleteRecord { name, rtype, rdata } => self.delete_record(target, name, *rtype, rdata),
        }
    }

    /// The draft of a name's ordinary records.
    fn name(&mut self, name: &[u8]) -> &mut NameDraft {
        if let Some(touched) = &mut self.touched {
            touched.push(Touched::Name(name.into()));
        }
        let (publisher, now_ms) = (self.publisher, self.terms.now_ms);
        self.names.entry(name.into()).or_insert_with(|| NameDraft::of(publisher, name, now_ms))
    }

    /// Every member that is drafted, or of which an operator says something.
    pub fn members(&self) -> impl Iterator<Item = (&PoolHandle, &MemberName)> {
        let drafted =
            self.drafts.iter().flat_map(|(pool, drafts)| drafts.keys().map(move |name| (pool, name)));
        drafted.chain(self.drains.keys().map(|(pool, name)| (pool, name)))
    }

    /// Every pool of which all members were looked at.
    pub fn searched(&self) -> impl Iterator<Item = &PoolHandle> {
        self.searched.iter()
    }

    /// Every pool that the message would make.
    pub fn making(&self) -> impl Iterator<Item = &PoolHandle> {
        self.making.iter()
    }

    /// Every pool that the message names and that nobody sees yet, or that might be made if something were not in its way.
    pub fn unpublished(&self) -> impl Iterator<Item = &[u8]> {
        let blocked = self.creatable.iter().filter(|(_, may_create)| !**may_create);
        let unpublished = self.unpublished.iter().map(|pool| pool.as_ref());
        unpublished.chain(blocked.map(|(pool, _)| pool.as_ref()))
    }

    /// Every name whose ordinary records are drafted.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.keys().map(AsRef::as_ref)
    }
}

/// Whether a registration may make a name a pool, looked up once a message.
fn may_create(
    publisher: &Publisher,
    known: &mut BTreeMap<Box<[u8]>, bool>,
    pool: &[u8],
    now_ms: u64,
) -> bool {
    if let Some(&known) = known.get(pool) {
        return known;
    }
    let may = publisher.may_create(pool, now_ms);
    known.insert(pool.into(), may);
    may
}
