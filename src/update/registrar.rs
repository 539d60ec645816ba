//! The registrar: owns the roll and the zones' writing sides, and judges every message that is not a plain question.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::draft::Verdict;
use super::floors::NameFloors;
use super::message::Outline;
use super::pending::Pending;
use super::plan::{Drafts, Left, Plan, Terms};
use super::reply::{ReplyPlan, Signature};
use super::{Ignored, Refusal, RefusalKind, prerequisites};
use crate::change::{Change, NameFloor};
use crate::membership::{
    Absence, Age, Leaving, MemberName, PoolHandle, Registered, Roll, Signed, lease_end_ms,
};
use crate::query::{self, Context, CookieTerms, Outcome, Scratch, Transport};
use crate::security::{Cookies, Grants, Keyring, Sender, Sent};
use crate::wire::tsig::{self, TsigFailure, TsigRecord};
use crate::wire::{Class, Header, NameHasher, Opcode, Question, WireError, lower};
use crate::zone::file::ZoneRecords;
use crate::zone::{Dynamics, NameChange, Publisher, RotorIds, Source, ZoneSet, ZoneSettings, is_below};

/// How often pools that nobody uses are looked for, milliseconds.
const FORGET_EVERY_MS: u64 = 60_000;

/// How far serials may run ahead of the store. Expired members leave the answers up to a second before it knows, and each
/// sweep moves the serial: at twenty sweeps a second this is many times what a crash can forget.
const SERIALS_RESERVED: u32 = 1_000;

/// A message for the registrar.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its octets.
    pub message: &'a [u8],
    /// Where it came from.
    pub source: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// When, monotonic milliseconds: an UPDATE is judged as of then, for a heartbeat that waits is not late.
    pub received_ms: u64,
}

/// The time, twice.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Monotonic milliseconds: what a question is answered as of.
    pub now_ms: u64,
    /// Seconds since 1970: TSIG.
    pub wall_s: u64,
}

/// What became of a message.
pub struct Handled {
    /// The key whose signature was right; `None` if there was none, or a wrong one.
    pub key: Option<Arc<tsig::Key>>,
    /// What changed; not yet stored, nor published.
    pub changes: Vec<Change>,
    /// Why it was refused, in words.
    pub refusal: Option<String>,
    /// What kind of reason that is.
    pub kind: RefusalKind,
    /// Attributes that were wrong in a heartbeat, and ignored.
    pub ignored: Vec<Ignored>,
    /// The reply; `None` if the message deserves none.
    pub reply: Option<ReplyPlan>,
    /// Nothing was done, because the message depends on a change that is not published yet: it is to be handed in again after
    /// the next [`Registrar::publish`].
    pub waits: bool,
}

/// How much a server holds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Members in all pools.
    pub members: usize,
    /// Pools in all zones, the declared ones included.
    pub pools: usize,
    /// Ordinary records in all zones by which what is served differs from the zone files.
    pub records: usize,
}

/// A zone to serve.
pub struct ZoneInput {
    /// Its settings.
    pub settings: ZoneSettings,
    /// Its file's records.
    pub records: ZoneRecords,
    /// Who may register what.
    pub grants: Grants,
    /// The serial to begin with.
    pub serial: u32,
}

/// What a registrar begins with.
pub struct Setup {
    /// The zones.
    pub zones: Vec<ZoneInput>,
    /// What UPDATE has made of their names, as the store has it.
    pub dynamics: Dynamics,
    /// The server's keys.
    pub keyring: Keyring,
    /// Its cookies, which those who answer share.
    pub cookies: Arc<Cookies>,
    /// How much it holds.
    pub limits: Limits,
    /// The server's run as the store counts it.
    pub run: u32,
}

/// The writing side of a server.
pub struct Registrar {
    /// Longest apex first.
    zones: Vec<(Publisher, Grants)>,
    published: Arc<ZoneSet>,
    roll: Roll,
    rotors: RotorIds,
    keyring: Keyring,
    cookies: Arc<Cookies>,
    run: u32,
    question: Question,
    scratch: Scratch,
    forget_at_ms: u64,
    pools_max: usize,
    records: usize,
    records_max: usize,
    /// What has a change since the last publication: each changes once, then is published, then may change again.
    pending: Pending,
    floors: NameFloors,
    /// What the zone files have overtaken of the stored differences: to be stored, once.
    overtaken: Vec<Change>,
    /// Pools whose changes were taken back since the last publication.
    undone: BTreeSet<PoolHandle>,
}

impl Registrar {
    /// Publishes the zones for the first time.
    pub fn new(setup: Setup, now_ms: u64, seed: u64) -> Result<Self, WireError> {
        let Setup { zones, dynamics, keyring, cookies, limits, run } = setup;
        let hasher = NameHasher::default();
        let roll = Roll::new(limits.members, now_ms);
        let mut rotors = RotorIds::default();
        let (mut built, mut overtaken) = (Vec::with_capacity(zones.len()), Vec::new());
        let apexes: Vec<_> = zones.iter().map(|zone| lower(zone.settings.apex.as_slice())).collect();
        for (zone, apex) in zones.into_iter().zip(&apexes) {
            let ZoneInput { settings, records, grants, serial } = zone;
            // A name that lies in a zone below this one is that one's.
            let is_inner =
                |name: &[u8]| apexes.iter().any(|inner| inner.len() > apex.len() && is_below(name, inner));
            let own = dynamics.iter().filter(|(name, _)| is_below(name, apex) && !is_inner(name));
            let source = Source { records: &records, dynamics: &own.cloned().collect(), serial };
            let (publisher, changes) = Publisher::build(settings, source, &hasher, &roll, &mut rotors)?;
            overtaken.extend(changes.into_iter().map(Change::Name));
            built.push((publisher, grants));
        }
        let records = built.iter().map(|(publisher, _): &(Publisher, Grants)| publisher.difference()).sum();
        built.sort_by_key(|(publisher, _)| std::cmp::Reverse(publisher.zone().apex().len()));
        let published = built.iter().map(|(publisher, _)| Arc::clone(publisher.zone())).collect();
        let published = Arc::new(ZoneSet::new(published, hasher, Arc::clone(roll.leases())));
        Ok(Registrar {
            zones: built,
            published,
            roll,
            rotors,
            keyring,
            cookies,
            run,
            question: Question::default(),
            scratch: Scratch::new(0, seed),
            forget_at_ms: now_ms + FORGET_EVERY_MS,
            pools_max: limits.pools,
            records,
            records_max: limits.records,
            pending: Pending::default(),
            floors: NameFloors::new(limits.records),
            overtaken,
            undone: BTreeSet::new(),
        })
    }

    /// The zones, for those who answer.
    pub fn published(&self) -> &Arc<ZoneSet> {
        &self.published
    }

    /// The cookies, for those who answer.
    pub fn cookies(&self) -> &Arc<Cookies> {
        &self.cookies
    }

    /// Members in all pools.
    pub fn members(&self) -> usize {
        self.roll.len()
    }

    /// Each zone's apex in lower-case wire form, and a serial that no SOA says before the next commit: what the store keeps,
    /// and a restart begins with.
    pub fn serials(&self) -> Vec<(Box<[u8]>, u32)> {
        let zones = self.zones.iter().map(|(publisher, _)| publisher.zone());
        zones.map(|zone| (zone.apex().into(), zone.serial().wrapping_add(SERIALS_RESERVED))).collect()
    }

    /// Brings a member back that the store held. `None` if no zone has its pool any more, or the server is full. The change
    /// is to be published; it is not durable.
    pub fn restore(
        &mut self,
        pool: &PoolHandle,
        name: &[u8],
        registered: Registered,
        now_ms: u64,
    ) -> Option<Change> {
        let at = self.zone_of(pool)?;
        let known: usize = self.zones.iter().map(|(publisher, _)| publisher.pools()).sum();
        let (publisher, _) = self.zones.get_mut(at)?;
        if publisher.pool(pool).is_none() && (!publisher.may_create(pool, now_ms) || known >= self.pools_max)
        {
            return None;
        }
        publisher.claim(pool, &mut self.rotors, now_ms);
        self.roll.put(pool, name, registered, now_ms).ok().map(Change::Member)
    }

    /// Keeps what the store held of a member that is gone, also where no zone has its pool now: it ends by itself.
    pub fn restore_absence(&mut self, pool: &PoolHandle, name: &MemberName, absence: Absence) {
        self.roll.put_absence(pool, name, absence);
    }

    /// A floor of ordinary records, as the store held it.
    pub fn restore_floor(&mut self, held: &NameFloor, now_ms: u64) {
        if let Some(floor) = held.floor.filter(|_| self.keyring.get(&held.key).is_some()) {
            self.floors.raise(&held.key, &held.name, floor, now_ms, true);
        }
    }

    /// What a start leaves to be stored: where the zone files have overtaken what UPDATE changed.
    pub fn overtaken(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.overtaken)
    }

    /// What a clean stop leaves to be stored: the floors that heartbeats and renewals have raised.
    pub fn unstored_floors(&self) -> Vec<Change> {
        let of_members = self.roll.unstored_floors().into_iter().map(Change::Member);
        of_members.chain(self.floors.unstored().map(Change::Floor)).collect()
    }

    fn zone_of(&self, name: &[u8]) -> Option<usize> {
        self.zones.iter().position(|(publisher, _)| is_below(name, publisher.zone().apex()))
    }

    /// Judges one message and applies it to the roll.
    pub fn handle(&mut self, request: &Request<'_>, clock: Clock) -> Handled {
        let mut handled = Handled {
            key: None,
            changes: Vec::new(),
            refusal: None,
            kind: RefusalKind::Other,
            ignored: Vec::new(),
            reply: None,
            waits: false,
        };
        let Some(header) = Header::read(request.message).filter(|header| !header.is_response()) else {
            return handled;
        };
        let mut plan = ReplyPlan::new(header, request);
        let has_cookie = self.take_cookie(request, clock, &mut plan);
        let result = self.authenticate(request, clock, has_cookie).and_then(|(sent, signature)| {
            if let Sender::Key(key) = &sent.sender {
                handled.key = Some(Arc::clone(key));
            }
            plan.tsig = signature;
            match header.opcode() {
                Opcode::QUERY => self.answer_signed(request, clock, &mut plan),
                _ => self.update(request, clock, &sent, &mut plan, &mut handled),
            }
        });
        if let Err(refusal) = result {
            handled.refusal = Some(refusal.to_string());
            handled.kind = refusal.kind();
            plan.refuse(refusal);
        }
        handled.reply = Some(plan);
        handled
    }

    /// Gives a cookie for a cookie (RFC 7873 section 5.2). Whether the request's was ours: then its source is not forged.
    fn take_cookie(&self, request: &Request<'_>, clock: Clock, plan: &mut ReplyPlan) -> bool {
        let edns = plan.edns.as_ref().filter(|edns| edns.version == 0);
        // One of a wrong length is refused with all else that cannot be read.
        let cookie = edns.and_then(|edns| edns.cookie(request.message).ok().flatten());
        let (Some(cookie), Some(opt)) = (cookie, &mut plan.opt) else { return false };
        // Modulo 2^32, as cookies have it.
        let now_s = clock.wall_s as u32;
        opt.cookie = Some(self.cookies.answer(&cookie, request.source, now_s));
        self.cookies.check(&cookie, request.source, now_s)
    }

    /// RFC 8945 section 5.2, and for who does not sign, what proves its address.
    fn authenticate(
        &self,
        request: &Request<'_>,
        clock: Clock,
        has_cookie: bool,
    ) -> Result<(Sent, Signature), Refusal> {
        let source = request.source.to_canonical();
        let is_proven = request.transport == Transport::Tcp || source.is_loopback() || has_cookie;
        let Some(record) = TsigRecord::find(request.message)? else {
            return Ok((Sent { sender: Sender::Unsigned, source, is_proven }, Signature::None));
        };
        let key = self.keyring.get(&record.key_name);
        let signer = tsig::verify(request.message, &record, key, clock.wall_s)?;
        let sender = Sender::Key(Arc::clone(signer.key()));
        Ok((Sent { sender, source, is_proven }, Signature::Signer(Box::new(signer))))
    }

    /// RFC 2136 section 3, in its order; but that who may do nothing at all here is told so first, and learns nothing of
    /// what is in the zone (section 3.3 leaves the place open).
    fn update(
        &mut self,
        request: &Request<'_>,
        clock: Clock,
        sent: &Sent,
        plan: &mut ReplyPlan,
        handled: &mut Handled,
    ) -> Result<(), Refusal> {
        let message = request.message;
        let outline = Outline::read(message, &plan.header)?;
        if let Some(version) = outline.edns.as_ref().map(|edns| edns.version).filter(|&version| version != 0)
        {
            return Err(Refusal::EdnsVersion { version });
        }
        let is_it =
            |publisher: &Publisher| outline.class == Class::IN && *publisher.zone().apex() == *outline.zone;
        let found = self.zones.iter().position(|(publisher, _)| is_it(publisher));
        let Some((at, (publisher, grants))) = found.and_then(|at| Some((at, self.zones.get(at)?))) else {
            return Err(Refusal::NotAuth { zone: outline.zone, class: outline.class });
        };
        grants.admit(sent)?;
        if let Some(edns) = &outline.edns {
            edns.cookie(message)?;
        }
        let wish = outline.lease(message)?;
        let is_in_zone = |name: &[u8]| self.zone_of(name) == Some(at);
        let prerequisites = outline.prerequisites(message, &is_in_zone);
        let commands = outline.commands(message, &is_in_zone);
        let apex = publisher.zone().apex();
        if self.pending.has_any_of(&prerequisites, commands.as_deref().unwrap_or_default(), apex) {
            handled.waits = true;
            return Ok(());
        }
        let contents = publisher.zone().contents(self.roll.leases(), request.received_ms);
        prerequisites::judge(prerequisites, &contents, self.published.hasher())?;
        let commands = commands?;

        let terms = Terms { now_ms: request.received_ms, wish, run: self.run };
        let mut drafts = Drafts::new(publisher, &self.roll, grants, sent, terms, &commands);
        let applied = commands.iter().try_for_each(|command| drafts.apply(command));
        if self.pending.touches(&drafts) || (applied.is_err() && self.pending.may_allow(&drafts)) {
            handled.waits = true;
            return Ok(());
        }
        applied?;
        let may_allow = self.pending.may_allow(&drafts);
        let mut change = match drafts.finish() {
            Err(_) if may_allow => {
                handled.waits = true;
                return Ok(());
            }
            finished => finished?,
        };
        let signed = plan.signed(clock.wall_s);
        self.check_replay(&mut change, sent, signed, plan, clock)?;
        if let Err(refusal) = self.check_limits(at, &change) {
            // What counts may be about to be taken back.
            handled.waits = !self.pending.is_empty();
            return if handled.waits { Ok(()) } else { Err(refusal) };
        }
        if let Some(asked) = wish {
            plan.grant(asked, &change);
        }
        self.raise_unchanged(&change.unchanged, sent, signed, request.received_ms);
        handled.changes.extend(self.carry_out(
            at,
            change,
            signed,
            request.received_ms,
            &mut handled.ignored,
        )?);
        if let (Sender::Key(key), Some(signed)) = (&sent.sender, signed) {
            for change in &mut handled.changes {
                if let Change::Name(change) = change {
                    change.signed = Some((key.name().clone(), signed));
                }
            }
        }
        handled.changes.iter().for_each(|change| self.pending.insert(change));
        Ok(())
    }

    /// A message that was signed before the newest one that was accepted for a member, or by its key for another name, is a
    /// replay (RFC 8945 section 5.2.3). The same message again is a retry: it is answered, and does nothing, or whoever
    /// recorded it could keep a member that has fallen silent for as long as its signature is believed. Nor does it bring
    /// one back.
    fn check_replay(
        &self,
        plan: &mut Plan,
        sent: &Sent,
        signed: Option<Signed>,
        reply: &ReplyPlan,
        clock: Clock,
    ) -> Result<(), Refusal> {
        let (Some(signed), Sender::Key(key), Some(signer)) = (signed, &sent.sender, reply.signer()) else {
            return Ok(());
        };
        let now_ms = clock.now_ms;
        let replayed = |floor: Option<Signed>| {
            let newest_s = floor.map_or(0, |floor| floor.at_s);
            Err(TsigFailure::replayed(signer.clone(), newest_s, clock.wall_s).into())
        };
        let mut verdicts = Vec::with_capacity(plan.verdicts.len());
        for verdict in std::mem::take(&mut plan.verdicts) {
            let Verdict { pool, name, .. } = &verdict;
            let floor = self.roll.floor(pool, name, now_ms);
            let left = self.roll.find(pool, name).map(|entry| {
                let ends_ms = entry.member.ends_ms(entry.ends_ms(self.roll.leases()));
                Left::until(ends_ms, now_ms)
            });
            match (signed.age(floor), left.filter(|left| *left != Left::Ms(0))) {
                (Age::New, _) => verdicts.push(verdict),
                (Age::Again, Some(left)) => plan.left = plan.left.min(left),
                (Age::Again, None) | (Age::Older, _) => return replayed(floor),
            }
        }
        plan.verdicts = verdicts;
        let mut names = Vec::with_capacity(plan.names.len());
        for change in std::mem::take(&mut plan.names) {
            let floor = self.floors.get(key.name(), &change.name, now_ms);
            match signed.age(floor) {
                Age::New => names.push(change),
                Age::Again => {}
                Age::Older => return replayed(floor),
            }
        }
        plan.names = names;
        Ok(())
    }

    /// A message that comes to nothing at a name is its key's newest there all the same: one that was held back on the way
    /// must not come after it.
    fn raise_unchanged(&mut self, names: &[Arc<[u8]>], sent: &Sent, signed: Option<Signed>, now_ms: u64) {
        if let (Sender::Key(key), Some(signed)) = (&sent.sender, signed) {
            names.iter().for_each(|name| self.floors.raise(key.name(), name, signed, now_ms, false));
        }
    }

    /// Whether the server has room for everybody who joins, for their pools, and for ordinary records.
    fn check_limits(&self, at: usize, plan: &Plan) -> Result<(), Refusal> {
        let full = |full: String| Refusal::Limit(full);
        let joins = plan.verdicts.iter().filter(|verdict| verdict.keep.is_some());
        let joins = joins.filter(|verdict| self.roll.find(&verdict.pool, &verdict.name).is_none());
        let (mut joining, mut pools) = (0, BTreeSet::new());
        for verdict in joins {
            joining += 1;
            let known =
                self.zones.get(at).is_some_and(|(publisher, _)| publisher.pool(&verdict.pool).is_some());
            if !known {
                pools.insert(&verdict.pool);
            }
        }
        if joining > 0 {
            self.roll.room_for(joining).map_err(|error| full(error.to_string()))?;
        }
        let known: usize = self.zones.iter().map(|(publisher, _)| publisher.pools()).sum();
        if !pools.is_empty() && known + pools.len() > self.pools_max {
            let most = self.pools_max;
            let text = "pools; raise `limits.pools` in rollcall.toml";
            return Err(full(format!("the server holds its limit of {most} {text}")));
        }
        let growth: isize = plan.names.iter().map(NameChange::growth).sum();
        let records = self.records.saturating_add_signed(self.pending.growth()).saturating_add_signed(growth);
        if growth > 0 && records > self.records_max {
            let most = self.records_max;
            let text = "ordinary records beside the zone files; raise `limits.records` in rollcall.toml";
            return Err(full(format!("the server holds its limit of {most} {text}")));
        }
        Ok(())
    }

    /// Applies a plan that is allowed in all its parts and has room.
    fn carry_out(
        &mut self,
        at: usize,
        plan: Plan,
        signed: Option<Signed>,
        now_ms: u64,
        ignored: &mut Vec<Ignored>,
    ) -> Result<Vec<Change>, Refusal> {
        ignored.extend(plan.ignored);
        let mut changes = Vec::new();
        for Verdict { pool, name, keep, key_lease_ms } in plan.verdicts {
            changes.extend(self.roll.settle(&pool, &name, now_ms).map(Change::Member));
            let held_until_ms = || self.roll.find(&pool, &name).map_or(0, |entry| entry.name_ends_ms);
            let name_ends_ms =
                key_lease_ms.map_or_else(held_until_ms, |key_lease_ms| lease_end_ms(now_ms, key_lease_ms));
            match keep {
                None => {
                    let leaving = Leaving { name_ends_ms, signed };
                    changes.extend(self.roll.remove(&pool, &name, leaving, now_ms).map(Change::Member));
                }
                Some((member, ends_ms)) => {
                    if let Some((publisher, _)) = self.zones.get_mut(at) {
                        publisher.claim(&pool, &mut self.rotors, now_ms);
                    }
                    let registered = Registered { member, ends_ms, name_ends_ms, signed, restored: false };
                    let put = self.roll.put(&pool, &name, registered, now_ms);
                    changes.push(Change::Member(put.map_err(|full| Refusal::Limit(full.to_string()))?));
                }
            }
        }
        changes.extend(plan.names.into_iter().map(Change::Name));
        Ok(changes)
    }

    /// Answers a signed question: as if it were not, but with room for the TSIG.
    fn answer_signed(
        &mut self,
        request: &Request<'_>,
        clock: Clock,
        plan: &mut ReplyPlan,
    ) -> Result<(), Refusal> {
        let message = request.message;
        let Some(tsig) = TsigRecord::find(message)? else {
            return Err(Refusal::ZoneSection);
        };
        let mut unsigned = message.get(..tsig.start).unwrap_or_default().to_vec();
        let additionals = plan.header.counts[3].saturating_sub(1);
        if let Some(place) = unsigned.get_mut(10..12) {
            place.copy_from_slice(&additionals.to_be_bytes());
        }
        let reading = query::read(&self.published, &unsigned, &mut self.question);
        let reserved = plan.tsig.len();
        let (transport, now_ms) = (request.transport, clock.now_ms);
        // Modulo 2^32, as cookies have it.
        let terms =
            CookieTerms { cookies: &self.cookies, client: request.source, now_s: clock.wall_s as u32 };
        let context = Context { zones: &self.published, transport, now_ms, reserved, cookie: Some(terms) };
        let mut out = vec![0; usize::from(u16::MAX)];
        let outcome =
            query::answer(&context, &self.question, reading, &unsigned, &mut self.scratch, &mut out);
        match outcome {
            Outcome::Reply(len, _) => {
                out.truncate(len);
                plan.answer = Some(out);
            }
            // Not even the question fits beside the TSIG: ask over TCP.
            Outcome::Registrar | Outcome::Silence => plan.is_truncated = true,
        }
        Ok(())
    }

    /// Ends leases that are due, looking at no more than `limit` timers; the number looked at comes back too, and when it
    /// is `limit` there may be more. The changes are to be published at once and may be stored later: an answer shows
    /// nobody whose lease is over, whatever the views say.
    pub fn expire(&mut self, now_ms: u64, limit: usize) -> (Vec<Change>, usize) {
        if now_ms >= self.forget_at_ms {
            self.forget_at_ms = now_ms + FORGET_EVERY_MS;
            for (publisher, _) in &mut self.zones {
                publisher.forget_empty(&mut self.rotors, now_ms);
            }
        }
        let (changes, mut looked_at) = self.roll.expire(now_ms, limit);
        let mut changes: Vec<Change> = changes.into_iter().map(Change::Member).collect();
        for (publisher, _) in &self.zones {
            let lapsed = publisher.lapse(now_ms, limit.saturating_sub(looked_at));
            looked_at += lapsed.len();
            changes.extend(lapsed.into_iter().map(Change::Name));
        }
        while looked_at < limit
            && let Some(over) = self.floors.pop_over(now_ms)
        {
            looked_at += 1;
            changes.push(Change::Floor(over));
        }
        (changes, looked_at)
    }

    /// Makes changes visible: the view of each pool that they reshape, the ends of their leases, the ordinary records of
    /// names, and each zone's serial, once.
    pub fn publish(&mut self, changes: &[Change], now_ms: u64) -> Result<(), WireError> {
        self.pending = Pending::default();
        let mut reshaped = std::mem::take(&mut self.undone);
        let mut visible = BTreeSet::new();
        for change in changes {
            visible.extend(change.is_visible().then(|| self.zone_of(change.zone_name())).flatten());
            if let Change::Member(change) = change {
                self.roll.move_lease(change);
                reshaped.extend(change.reshapes().then(|| Arc::clone(&change.pool)));
            }
        }
        // First the serial, for a SOA that came by UPDATE may set it later still.
        for (publisher, _) in visible.into_iter().filter_map(|at| self.zones.get(at)) {
            publisher.bump_serial();
        }
        for pool in &reshaped {
            self.publish_pool(pool, now_ms)?;
        }
        for change in changes {
            match change {
                // The views are in place: the leases of those who left may end, and their slots be used again.
                Change::Member(change) => self.roll.release(change),
                Change::Name(change) => self.publish_name(change, now_ms)?,
                Change::Floor(_) => {}
            }
        }
        Ok(())
    }

    fn publish_pool(&mut self, pool: &PoolHandle, now_ms: u64) -> Result<(), WireError> {
        let at = self.zone_of(pool);
        let Some((publisher, _)) = at.and_then(|at| self.zones.get_mut(at)) else { return Ok(()) };
        publisher.publish(pool, &self.roll, &mut self.rotors, now_ms)
    }

    fn publish_name(&mut self, change: &NameChange, now_ms: u64) -> Result<(), WireError> {
        self.records = self.records.saturating_add_signed(change.growth());
        if let Some((key, signed)) = &change.signed {
            self.floors.raise(key, &change.name, *signed, now_ms, change.is_durable());
        }
        let at = self.zone_of(&change.name);
        let Some((publisher, _)) = at.and_then(|at| self.zones.get_mut(at)) else { return Ok(()) };
        if publisher.publish_name(change)? {
            publisher.publish(&change.name, &self.roll, &mut self.rotors, now_ms)?;
        }
        Ok(())
    }

    /// Takes changes back that could not be stored; they come in the order in which they happened, and are not published.
    pub fn undo(&mut self, changes: &[&Change]) {
        for change in changes.iter().rev() {
            // Of ordinary records nothing has been done before they are published.
            if let Change::Member(change) = change {
                self.roll.undo(change);
                // A pool that was claimed for a join is given up again with the next publication.
                self.undone.insert(Arc::clone(&change.pool));
            }
        }
    }
}
