//! A message's net result: each member that it touches is drafted, every record is tried on the draft, and only what
//! stands at the end counts. So delete-then-add is a heartbeat, or a change of address, and never a leave and a join.

mod apart;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::draft::{Draft, Ignored, Registration, Srv, Verdict, address, ips};
use super::message::Command;
use super::names::{
    Target, address_label, classify, has_asterisk, member_of, pool_to_make, potential, target_of, target_text,
};
use super::ordinary::{Granted, NameDraft};
use super::{Refusal, svcb};
use crate::membership::{
    FOREVER_MS, KEY_LEASE_MS_MAX, LEASE_FOREVER_MS, LeaseRules, Member, MemberName, PoolHandle, Roll,
};
use crate::security::{Asked, Grant, GrantedLease, Grants, Place, Sent};
use crate::wire::{LeaseOption, Rtype, WireError, lower, name_text};
use crate::zone::{NameChange, Publisher, is_of_signed_zone, labels_of, parent, pool_needs};

pub(super) use apart::{Apart, Settled, Touched};

/// What a message comes to, once all of it is allowed.
pub(super) struct Plan {
    pub verdicts: Vec<Verdict>,
    /// Names whose ordinary records it changes.
    pub names: Vec<NameChange>,
    /// Names of which it tries the ordinary records, and changes none.
    pub unchanged: Vec<Arc<[u8]>>,
    /// How long what the message is about stays, the least of all.
    pub left: Left,
    /// What the message's KEY-LEASE came to, seconds.
    pub key_lease_s: Option<u32>,
    /// Attributes that a heartbeat had wrong: ignored, and logged.
    pub ignored: Vec<Ignored>,
}

/// How long something stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Left {
    /// So many milliseconds.
    Ms(u64),
    /// Until it is deleted.
    Permanent,
    /// There is nothing that stays.
    Nothing,
}

impl Left {
    /// Until a moment, monotonic milliseconds.
    pub fn until(ends_ms: u64, now_ms: u64) -> Left {
        if ends_ms >= FOREVER_MS { Left::Permanent } else { Left::Ms(ends_ms.saturating_sub(now_ms)) }
    }
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

    /// A grant for the pool, whose members have these addresses.
    fn grant(&self, text: &str, addresses: &[IpAddr]) -> Result<&'a Grant, Refusal> {
        let asked = Asked { place: Place::Pool(text), types: &[], addresses, targets: &[] };
        Ok(self.grants.find(self.sent, &asked)?)
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
                drafts.owner(grant) == member.owner
                    && (!grant.own_address || member.addresses.iter().all(|address| address.ip == source))
            };
            // Drafted just now by the sender, or owned under the pool's first grant, or under one for its addresses.
            member.owner.is_empty() || is_mine(first) || drafts.grant(&text, &ips(member)).is_ok_and(is_mine)
        };
        self.look(pool, is_own, usize::MAX)
    }

    fn owner(&self, grant: &Grant) -> Box<str> {
        grant.owner(&self.sent.sender, self.sent.source)
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
            Target::Elsewhere if !matches!(command, Command::Add { .. }) => self.would_be(command.name()),
            target => target,
        };
        if let Some(pool) = target.pool().filter(|pool| !self.publisher.is_published(pool)) {
            self.unpublished.insert(Arc::clone(pool));
        }
        target
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

    /// What the name of a deletion would be in a pool that is not known: who left, and whose pool was forgotten since, may
    /// leave again.
    fn would_be(&mut self, name: &[u8]) -> Target {
        let (publisher, now_ms) = (self.publisher, self.terms.now_ms);
        let has_records = || !NameDraft::of(publisher, name, now_ms).is_empty();
        let mut may_create = |pool: &[u8]| may_create(publisher, &mut self.creatable, pool, now_ms);
        match potential(publisher, name, &mut may_create) {
            Some(target) if !self.names.contains_key(name) && !has_records() => target,
            _ => Target::Elsewhere,
        }
    }

    fn add(
        &mut self,
        target: Target,
        name: &[u8],
        rtype: Rtype,
        ttl_s: u32,
        rdata: &[u8],
    ) -> Result<(), Refusal> {
        let address = address(rdata).filter(|_| matches!(rtype, Rtype::A | Rtype::AAAA));
        if let Some(ip) = address.filter(|ip| ip.to_canonical() != *ip) {
            return Err(Refusal::Mapped { name: name.into(), ip });
        }
        match (target, rtype, address) {
            (Target::Member(pool, member), _, Some(ip)) => self.draft(pool, member).add_address(ip, ttl_s),
            (Target::Pool(pool), _, Some(ip)) if self.publisher.is_declared(&pool) => {
                let member = self.member_at(&pool, ip)?;
                self.draft(pool, member).add_address(ip, ttl_s)
            }
            (Target::Member(pool, member), Rtype::TXT, _) => {
                self.draft(pool, member).add_attributes(rdata);
                Ok(())
            }
            (Target::Service(pool, service), Rtype::SRV, _) => {
                let srv = Srv::read(rdata).ok_or(WireError::BadRdata { at: 0, rtype })?;
                let member = srv.member(&pool)?;
                self.draft(pool, member).add_service(service, &srv)
            }
            (Target::Pool(pool), Rtype::SVCB | Rtype::HTTPS, _) => {
                let member = Self::bound_member(&pool, name, rtype, rdata)?;
                self.draft(pool, member).add_binding(rtype, rdata)
            }
            (target, ..) => {
                self.judge_ordinary(target.pool(), name, rtype)?;
                let (publisher, is_to_go) = (self.publisher, self.is_to_go(rtype));
                let draft = self.name(name);
                if is_to_go {
                    draft.delete_record(rtype, rdata);
                    return Ok(());
                }
                draft.add(publisher, rtype, ttl_s, rdata)
            }
        }
    }

    /// The member that a SVCB or HTTPS record at its pool's name is about: its TargetName says.
    fn bound_member(
        pool: &PoolHandle,
        name: &[u8],
        rtype: Rtype,
        rdata: &[u8],
    ) -> Result<MemberName, Refusal> {
        let target = svcb::target(rdata).map(lower);
        let member = target.and_then(|target| member_of(pool, &target));
        // One elsewhere lives by a service, which a binding is not.
        let member = member.filter(|member| target_of(member).is_none());
        member.ok_or_else(|| Refusal::InTheWay { name: name.into(), rtype, pool: pool.as_ref().into() })
    }

    /// Whether the message asks for a lease of nothing: then the ordinary records that it names are to go (RFC 9664 section 4).
    fn is_to_go(&self, rtype: Rtype) -> bool {
        let wish = self.terms.wish;
        let asked_s = match rtype {
            Rtype::KEY => wish.map(|wish| wish.key_lease_s.unwrap_or(wish.lease_s)),
            _ => wish.map(|wish| wish.lease_s),
        };
        asked_s == Some(0)
    }

    /// Whether an ordinary record of this type may stand at this name at all.
    fn judge_ordinary(
        &mut self,
        pool: Option<&PoolHandle>,
        name: &[u8],
        rtype: Rtype,
    ) -> Result<(), Refusal> {
        if pool.is_none() {
            self.judge_would_be_member(name, rtype)?;
        }
        if let Some(pool) = pool
            && pool_needs(name.strip_suffix(pool.as_ref()).unwrap_or_default(), rtype)
        {
            return Err(Refusal::InTheWay { name: name.into(), rtype, pool: pool.as_ref().into() });
        }
        let apex = self.publisher.zone().apex();
        if labels_of(name) > labels_of(apex) + LABELS_MAX {
            let name = name_text(name);
            return Err(Refusal::Limit(format!("{name} has more than {LABELS_MAX} labels below its zone")));
        }
        let is_apex = name == apex;
        let what = match rtype {
            _ if has_asterisk(name) => "wildcards",
            Rtype::NS if !is_apex => "delegations",
            Rtype::DNAME => "DNAME",
            _ if is_of_signed_zone(rtype) => "signed zones",
            _ => return Ok(()),
        };
        Err(Refusal::NotServed { name: name.into(), rtype, what })
    }

    /// Where registrations make pools, whoever sends an address or attributes of what would be a member's name means to join.
    /// If that cannot be, it is told so: an ordinary record would stay when its server is gone.
    fn judge_would_be_member(&mut self, name: &[u8], rtype: Rtype) -> Result<(), Refusal> {
        let is_members = matches!(rtype, Rtype::A | Rtype::AAAA | Rtype::TXT);
        let apex = self.publisher.zone().apex();
        let pool = parent(name);
        if !is_members || !self.publisher.settings().create_pools || parent(pool) != apex {
            return Ok(());
        }
        // What matters here is whether the label could be a member's, and the pool's a pool's.
        let publisher = self.publisher;
        let Some(Target::Member(handle, member)) = potential(publisher, name, &mut |_| true) else {
            return Ok(());
        };
        if !publisher.may_be_pool(pool) {
            return Ok(());
        }
        if may_create(publisher, &mut self.creatable, pool, self.terms.now_ms) {
            // An address would have made the pool.
            return Err(Refusal::NotRegistered { pool: handle.as_ref().into(), name: member });
        }
        Err(Refusal::NoPool { name: name.into(), pool: pool.into() })
    }

    /// The draft of a name's ordinary records.
    fn name(&mut self, name: &[u8]) -> &mut NameDraft {
        if let Some(touched) = &mut self.touched {
            touched.push(Touched::Name(name.into()));
        }
        let (publisher, now_ms) = (self.publisher, self.terms.now_ms);
        self.names.entry(name.into()).or_insert_with(|| NameDraft::of(publisher, name, now_ms))
    }

    /// The same for a deletion. Where a pool has its names, ordinary records are looked at only if there are any: whoever
    /// takes a member away need not be granted names that have nothing to do with it.
    fn name_to_delete(&mut self, target: &Target, name: &[u8]) -> Option<&mut NameDraft> {
        let is_pools = matches!(target, Target::Pool(_) | Target::Member(..) | Target::Service(..));
        let is_drafted = self.names.contains_key(name);
        if is_pools && !is_drafted && NameDraft::of(self.publisher, name, self.terms.now_ms).is_empty() {
            return None;
        }
        Some(self.name(name))
    }

    /// Deletes an RRset. What several members share loses the sender's part only.
    fn delete_rrset(&mut self, target: Target, name: &[u8], rtype: Rtype) -> Result<(), Refusal> {
        let labels = target.pool().and_then(|pool| name.strip_suffix(pool.as_ref()));
        if labels.is_some_and(|labels| pool_needs(labels, rtype)) {
            return self.delete_membership(target, Some(rtype));
        }
        if let Some(draft) = self.name_to_delete(&target, name) {
            draft.delete_rrset(rtype);
            return Ok(());
        }
        self.delete_nothing(target)
    }

    /// Deletes all RRsets of a name: what membership has there, and the ordinary ones as far as the sender may.
    fn delete_name(&mut self, target: Target, name: &[u8]) -> Result<(), Refusal> {
        let is_pools = matches!(target, Target::Pool(_) | Target::Member(..) | Target::Service(..));
        let standing = match self.names.get(name) {
            Some(draft) => draft.deletable(),
            None => NameDraft::of(self.publisher, name, self.terms.now_ms).deletable(),
        };
        let may_change = !standing.is_empty() && self.may_change(name, &standing, &[]).is_ok();
        if !is_pools || may_change {
            self.name(name).delete_name();
        }
        self.delete_membership(target, None)
    }

    /// Deletes what membership shows at a name, of one type or of all.
    fn delete_membership(&mut self, target: Target, rtype: Option<Rtype>) -> Result<(), Refusal> {
        match target {
            Target::Member(pool, member) => self.draft(pool, member).delete_at_own_name(rtype),
            Target::Pool(pool) => {
                for member in self.own_members(&pool)? {
                    let draft = self.draft(pool.clone(), member);
                    draft.delete_addresses(rtype);
                    draft.delete_bindings(rtype, None);
                }
            }
            Target::Service(pool, service) if matches!(rtype, None | Some(Rtype::SRV)) => {
                for member in self.own_members(&pool)? {
                    self.draft(pool.clone(), member).delete_service(&service, None);
                }
            }
            Target::Service(pool, _) | Target::InPool(pool) if rtype.is_some() => {
                return self.delete_nothing(Target::InPool(pool));
            }
            Target::Service(..) | Target::InPool(_) | Target::Elsewhere => {}
        }
        Ok(())
    }

    /// A deletion of what is not there does nothing, and takes a grant like one that does.
    fn delete_nothing(&mut self, target: Target) -> Result<(), Refusal> {
        match target {
            Target::Member(pool, member) => _ = self.draft(pool, member),
            Target::Pool(pool) | Target::Service(pool, _) | Target::InPool(pool) => {
                _ = self.grant(&self.pool_text(&pool), &[])?;
            }
            Target::Elsewhere => {}
        }
        Ok(())
    }

    /// Deletes one record. A SRV is known by its service, port and target; its priority and weight do not matter.
    fn delete_record(
        &mut self,
        target: Target,
        name: &[u8],
        rtype: Rtype,
        rdata: &[u8],
    ) -> Result<(), Refusal> {
        match (target, rtype) {
            (Target::Member(pool, member), Rtype::A | Rtype::AAAA) => {
                self.draft(pool, member).delete_address(address(rdata));
            }
            (Target::Pool(pool), Rtype::A | Rtype::AAAA) => {
                let ip = address(rdata);
                for member in self.own_members(&pool)? {
                    self.draft(pool.clone(), member).delete_address(ip);
                }
            }
            (Target::Pool(pool), Rtype::SVCB | Rtype::HTTPS) => {
                let member = Self::bound_member(&pool, name, rtype, rdata)?;
                self.draft(pool, member).delete_bindings(Some(rtype), Some(rdata));
            }
            (Target::Member(pool, member), Rtype::TXT) => {
                self.draft(pool, member).delete_attributes(rdata);
            }
            (Target::Service(pool, service), Rtype::SRV) => {
                let srv = Srv::read(rdata).ok_or(WireError::BadRdata { at: 0, rtype })?;
                match srv.member(&pool) {
                    Ok(member) => self.draft(pool, member).delete_service(&service, Some(srv.port)),
                    // Nobody has such a service.
                    Err(_) => self.delete_nothing(Target::Service(pool, service))?,
                }
            }
            (target, _) => {
                if let Some(draft) = self.name_to_delete(&target, name) {
                    draft.delete_record(rtype, rdata);
                } else {
                    self.delete_nothing(target)?;
                }
            }
        }
        Ok(())
    }

    /// The grant under which the sender may change ordinary records.
    fn may_change(&self, name: &[u8], types: &[Rtype], addresses: &[IpAddr]) -> Result<&'a Grant, Refusal> {
        let text = match name == self.publisher.zone().apex() {
            true => "@".to_owned(),
            false => self.pool_text(name),
        };
        let asked = Asked { place: Place::Name(&text), types, addresses, targets: &[] };
        Ok(self.grants.find(self.sent, &asked)?)
    }

    /// The grant under which a draft of ordinary records is allowed. Addresses that it takes away are no more in the way
    /// than a member's, but where a grant is for the sender's own.
    fn may_draft(&self, name: &[u8], draft: &NameDraft) -> Result<&'a Grant, Refusal> {
        let types: Vec<_> = draft.types.iter().copied().collect();
        let added: Vec<_> = draft.addresses.iter().copied().collect();
        let grant = self.may_change(name, &types, &added)?;
        if grant.own_address && !draft.deleted_addresses.is_empty() {
            let all: Vec<_> = draft.deleted_addresses.iter().copied().chain(added).collect();
            return self.may_change(name, &types, &all);
        }
        Ok(grant)
    }

    /// Judges the drafts of ordinary records.
    fn finish_names(&mut self, plan: &mut Plan) -> Result<(), Refusal> {
        for (name, draft) in std::mem::take(&mut self.names) {
            let grant = self.may_draft(&name, &draft)?;
            let (change, left) = draft.finish(&self.granted(grant));
            match change {
                Some(change) => plan.names.push(change),
                None => plan.unchanged.push(name.into()),
            }
            plan.left = plan.left.min(left);
        }
        Ok(())
    }

    /// How long ordinary records stay: as long as the message asks for, within what pools of the zone may have; else for the
    /// grant's lease; else until they are deleted.
    fn granted(&self, grant: &Grant) -> Granted {
        let leases = &self.publisher.settings().defaults.leases;
        let clamped = |wish_s: u32| leases.grant(Some(u64::from(wish_s) * 1000));
        let asked_ms = self.terms.wish.map(|wish| clamped(wish.lease_s));
        let lease_ms = match grant.lease {
            GrantedLease::None => None,
            GrantedLease::Pools => asked_ms,
            GrantedLease::Seconds(seconds) => asked_ms.or(Some(clamped(seconds))),
        };
        let key_lease_ms = lease_ms.map(|lease_ms| self.key_lease_ms(lease_ms));
        let has_key_lease = self.terms.wish.is_some_and(|wish| wish.key_lease_s.is_some());
        let Terms { run, now_ms, .. } = self.terms;
        Granted { lease_ms, key_lease_ms, has_key_lease, run, now_ms }
    }

    /// Judges what stands at the end: all of it is allowed, or nothing is done.
    pub fn finish(mut self) -> Result<Plan, Refusal> {
        let (verdicts, names, ignored) = (Vec::new(), Vec::new(), Vec::new());
        let key_lease_s = self.terms.wish.and_then(|wish| wish.key_lease_s);
        let key_lease_s = key_lease_s.map(|seconds| seconds.min(KEY_LEASE_MS_MAX / 1000));
        let unchanged = Vec::new();
        let mut plan = Plan { verdicts, names, unchanged, left: Left::Nothing, key_lease_s, ignored };
        self.check_services()?;
        self.finish_names(&mut plan)?;
        for (pool, drafts) in std::mem::take(&mut self.drafts) {
            let text = self.pool_text(&pool);
            for (name, draft) in drafts {
                let before = draft.before.as_ref().map(|(before, ends_ms)| before.ends_ms(*ends_ms));
                let verdict = self.judge(&pool, &text, name, draft, &mut plan.ignored)?;
                let ends_ms = match &verdict {
                    None => before,
                    Some(verdict) => verdict.keep.as_ref().map(|(member, ends_ms)| member.ends_ms(*ends_ms)),
                };
                let left = ends_ms.map(|ends_ms| Left::until(ends_ms, self.terms.now_ms));
                plan.left = plan.left.min(left.unwrap_or(Left::Nothing));
                plan.verdicts.extend(verdict);
            }
        }
        Ok(plan)
    }

    fn judge(
        &self,
        pool: &PoolHandle,
        text: &str,
        name: MemberName,
        mut draft: Draft,
        ignored: &mut Vec<Ignored>,
    ) -> Result<Option<Verdict>, Refusal> {
        draft.forget_what_fell();
        let grant = self.grant_for(text, &name, &draft)?;
        let Terms { now_ms, run, .. } = self.terms;
        let owner = self.owner(grant);
        let lease_ms = self.lease_ms(pool, grant);
        let held_by = match &draft.before {
            Some((before, _)) => Some((before.owner.clone(), None)),
            None => {
                let absence = self.roll.absence(pool, &name, now_ms);
                let joins = draft.names_any() && lease_ms > 0;
                let absence = absence.filter(|absence| absence.keeps_name(now_ms) && joins);
                absence.map(|absence| (absence.owner.clone(), Some(absence.name_ends_ms)))
            }
        };
        if let Some((holder, kept_until_ms)) = held_by.filter(|(holder, _)| *holder != owner && !grant.admin)
        {
            let pool = pool.as_ref().into();
            return Err(match kept_until_ms {
                None => Refusal::NotOwner { pool, name, owner: holder },
                Some(ends_ms) => {
                    let left_s = ends_ms.saturating_sub(now_ms).div_ceil(1000);
                    Refusal::Kept { pool, name, owner: holder, left_s }
                }
            });
        }
        let key_lease_ms = self.key_lease_ms(match lease_ms {
            // Who leaves for good keeps the name as long as who leaves with a lease.
            LEASE_FOREVER_MS => self.leases(pool).default_ms,
            lease_ms => lease_ms,
        });
        let is_asked = self.terms.wish.is_some();
        let registration = Registration { owner, lease_ms, key_lease_ms, is_asked, run, now_ms };
        draft.judge(PoolHandle::clone(pool), name, &registration, ignored)
    }

    fn leases(&self, pool: &PoolHandle) -> &LeaseRules {
        let settings = self.publisher.pool(pool).map_or(&self.publisher.settings().defaults, Arc::as_ref);
        &settings.leases
    }

    /// The lease of a pool's members: what the message asks for, else the grant's, else the pool's.
    fn lease_ms(&self, pool: &PoolHandle, grant: &Grant) -> u32 {
        let granted_s = match grant.lease {
            GrantedLease::Seconds(seconds) => Some(seconds),
            GrantedLease::Pools | GrantedLease::None => None,
        };
        let wish_s = self.terms.wish.map(|wish| wish.lease_s).or(granted_s);
        match (wish_s, grant.lease) {
            (Some(0), _) => 0,
            (_, GrantedLease::None) => LEASE_FOREVER_MS,
            _ => self.leases(pool).grant(wish_s.map(|seconds| u64::from(seconds) * 1000)),
        }
    }

    /// How long a name is kept for its owner: for KEY-LEASE, without one for the lease.
    fn key_lease_ms(&self, lease_ms: u32) -> u32 {
        let asked_s = self.terms.wish.and_then(|wish| wish.key_lease_s);
        asked_s.map_or(lease_ms, |seconds| seconds.saturating_mul(1000)).min(KEY_LEASE_MS_MAX)
    }

    /// The grant under which the sender may do to a member what it would. One that covers all that stands at the end comes
    /// first; an address that stands already and is in no grant does not keep its member from leaving.
    fn grant_for(&self, text: &str, name: &MemberName, draft: &Draft) -> Result<&'a Grant, Refusal> {
        let stands_at = match &draft.before {
            Some((before, _)) if draft.member.addresses.is_empty() => ips(before),
            _ => ips(&draft.member),
        };
        let stands_at: Vec<IpAddr> = stands_at.into_iter().chain(draft.hints()).collect();
        let hinted = draft.named_bindings.iter().flat_map(|(_, rdata)| svcb::hints(rdata));
        let named: Vec<IpAddr> = draft.named_addresses.iter().copied().chain(hinted).collect();
        let targets: Vec<String> = target_of(name).map(target_text).into_iter().collect();
        let types: Vec<Rtype> = draft.named_types.iter().copied().collect();
        let asked =
            |addresses| Asked { place: Place::Pool(text), types: &types, addresses, targets: &targets };
        let found = self.grants.find(self.sent, &asked(&stands_at));
        let grant = match (found, self.grants.find(self.sent, &asked(&named))) {
            (Ok(grant), _) => grant,
            // Where a key is shared, the address is all that tells whose member it is.
            (Err(refusal), Ok(grant)) if grant.own_address => return Err(refusal.into()),
            (Err(_), found) => found?,
        };
        if let Some((before, _)) = draft.before.as_ref().filter(|_| grant.own_address) {
            self.grants.find(self.sent, &asked(&ips(before)))?;
        }
        Ok(grant)
    }

    /// Every member that is drafted.
    pub fn members(&self) -> impl Iterator<Item = (&PoolHandle, &MemberName)> {
        self.drafts.iter().flat_map(|(pool, drafts)| drafts.keys().map(move |name| (pool, name)))
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

    /// A pool offers so many services and no more. Only a message that brings one which the pool does not know is looked at.
    fn check_services(&self) -> Result<(), Refusal> {
        for (pool, drafts) in &self.drafts {
            let mut named = drafts.values().flat_map(|draft| &draft.named_services);
            if named.all(|(service, _)| self.publisher.knows_service(pool, service)) {
                continue;
            }
            let staying = self.standing(pool).filter(|(_, member)| !member.addresses.is_empty());
            let services = staying.flat_map(|(_, member)| &member.services);
            let offered: BTreeSet<&[u8]> = services.map(|offer| offer.service.as_ref()).collect();
            if offered.len() > Publisher::SERVICES_MAX {
                let (pool, most) = (name_text(pool), Publisher::SERVICES_MAX);
                return Err(Refusal::Limit(format!("pool {pool} may offer {most} services")));
            }
        }
        Ok(())
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
