//! The registrar: owns the roll and the zones' writing sides, and judges every message that is not a plain question.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::draft::Verdict;
use super::message::Outline;
use super::plan::{Drafts, Plan, Terms};
use super::reply::{ReplyPlan, Signature};
use super::{Ignored, Refusal};
use crate::membership::{Cause, Change, Member, MemberName, PoolHandle, Roll};
use crate::query::{self, Context, Outcome, Scratch, Transport};
use crate::security::{Grants, Keyring, Sender};
use crate::wire::tsig::{self, TsigRecord};
use crate::wire::{Header, NameHasher, Opcode, Question, WireError};
use crate::zone::file::ZoneRecords;
use crate::zone::{Publisher, RotorIds, ZoneSet, ZoneSettings};

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

/// Who sent a message, and from where.
#[derive(Clone)]
pub struct Sent {
    /// The key that signed it, if one did.
    pub sender: Sender,
    /// The source address.
    pub source: IpAddr,
}

/// What became of a message.
pub struct Handled {
    /// The key whose signature was right; `None` if there was none, or a wrong one.
    pub key: Option<Arc<tsig::Key>>,
    /// What changed; not yet stored, nor published.
    pub changes: Vec<Change>,
    /// Why it was refused, in words.
    pub refusal: Option<String>,
    /// Attributes that were wrong in a heartbeat, and ignored.
    pub ignored: Vec<Ignored>,
    /// The reply; `None` if the message deserves none.
    pub reply: Option<ReplyPlan>,
    /// Nothing was done, because the message is about a member with a change that is not published yet: it is to be handed in
    /// again after the next [`Registrar::publish`].
    pub waits: bool,
}

/// How much a server holds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Members in all pools.
    pub members: usize,
    /// Pools in all zones, the declared ones included.
    pub pools: usize,
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

/// The writing side of a server.
pub struct Registrar {
    /// Longest apex first.
    zones: Vec<(Publisher, Grants)>,
    published: Arc<ZoneSet>,
    roll: Roll,
    rotors: RotorIds,
    keyring: Keyring,
    run: u32,
    question: Question,
    scratch: Scratch,
    forget_at_ms: u64,
    pools_max: usize,
    /// Members with a change since the last publication: each changes once, then is published, then may change again.
    unpublished: BTreeMap<PoolHandle, BTreeSet<MemberName>>,
    /// Pools whose changes were taken back since the last publication.
    undone: BTreeSet<PoolHandle>,
}

impl Registrar {
    /// Publishes the zones for the first time. `run` is the server's run as the store counts it.
    pub fn new(
        zones: Vec<ZoneInput>,
        keyring: Keyring,
        limits: Limits,
        run: u32,
        now_ms: u64,
        seed: u64,
    ) -> Result<Self, WireError> {
        let hasher = NameHasher::default();
        let roll = Roll::new(limits.members, now_ms);
        let mut rotors = RotorIds::default();
        let mut built = Vec::with_capacity(zones.len());
        for zone in zones {
            let ZoneInput { settings, records, grants, serial } = zone;
            let publisher = Publisher::build(settings, &records, serial, &hasher, &roll, &mut rotors)?;
            built.push((publisher, grants));
        }
        built.sort_by_key(|(publisher, _)| std::cmp::Reverse(publisher.zone().apex().len()));
        let published = built.iter().map(|(publisher, _)| Arc::clone(publisher.zone())).collect();
        let published = Arc::new(ZoneSet::new(published, hasher, Arc::clone(roll.leases())));
        Ok(Registrar {
            zones: built,
            published,
            roll,
            rotors,
            keyring,
            run,
            question: Question::default(),
            scratch: Scratch::new(0, seed),
            forget_at_ms: now_ms + FORGET_EVERY_MS,
            pools_max: limits.pools,
            unpublished: BTreeMap::new(),
            undone: BTreeSet::new(),
        })
    }

    /// The zones, for those who answer.
    pub fn published(&self) -> &Arc<ZoneSet> {
        &self.published
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

    /// Brings a member back that the store held, with the grace that it has left. `None` if no zone has its pool any more,
    /// or the server is full. The change is to be published; it is not durable.
    pub fn restore(
        &mut self,
        pool: &PoolHandle,
        name: &[u8],
        member: Member,
        grace_ms: u32,
        now_ms: u64,
    ) -> Option<Change> {
        let at = self.zone_of(pool)?;
        let known: usize = self.zones.iter().map(|(publisher, _)| publisher.pools()).sum();
        let (publisher, _) = self.zones.get_mut(at)?;
        if publisher.pool(pool).is_none() && (!publisher.may_create(pool) || known >= self.pools_max) {
            return None;
        }
        publisher.claim(pool, &mut self.rotors, now_ms);
        self.roll.put(pool, name, member, now_ms + u64::from(grace_ms), true).ok()
    }

    fn zone_of(&self, name: &[u8]) -> Option<usize> {
        self.zones.iter().position(|(publisher, _)| super::names::is_below(name, publisher.zone().apex()))
    }

    /// Judges one message and applies it to the roll.
    pub fn handle(&mut self, request: &Request<'_>, clock: Clock) -> Handled {
        let mut handled = Handled {
            key: None,
            changes: Vec::new(),
            refusal: None,
            ignored: Vec::new(),
            reply: None,
            waits: false,
        };
        let Some(header) = Header::read(request.message).filter(|header| !header.is_response()) else {
            return handled;
        };
        let mut plan = ReplyPlan::new(header, request);
        let result = self.authenticate(request, clock).and_then(|(sent, signature)| {
            if let Sender::Key(key) = &sent.sender {
                handled.key = Some(Arc::clone(key));
            }
            plan.tsig = signature;
            match header.opcode() {
                Opcode::QUERY => self.answer_signed(request, clock, &mut plan),
                _ => self.update(request, &sent, &mut plan, &mut handled),
            }
        });
        if let Err(refusal) = result {
            handled.refusal = Some(refusal.to_string());
            plan.refuse(refusal);
        }
        handled.reply = Some(plan);
        handled
    }

    /// RFC 8945 section 5.2.
    fn authenticate(&self, request: &Request<'_>, clock: Clock) -> Result<(Sent, Signature), Refusal> {
        let source = request.source;
        let Some(record) = TsigRecord::find(request.message)? else {
            return Ok((Sent { sender: Sender::Unsigned, source }, Signature::None));
        };
        let key = self.keyring.get(&record.key_name);
        let signer = tsig::verify(request.message, &record, key, clock.wall_s)?;
        let sender = Sender::Key(Arc::clone(signer.key()));
        Ok((Sent { sender, source }, Signature::Signer(Box::new(signer))))
    }

    fn update(
        &mut self,
        request: &Request<'_>,
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
        let is_it = |publisher: &Publisher| *publisher.zone().apex() == *outline.zone;
        let found = self.zones.iter().enumerate().find(|(_, (publisher, _))| is_it(publisher));
        let Some((at, (publisher, grants))) = found else {
            return Err(Refusal::NotAuth { zone: outline.zone });
        };
        grants.admit(&sent.sender, sent.source)?;
        let wish = outline.lease(message)?;
        let commands = outline.commands(message)?;
        // A name that lies in the zone may lie in one below it that is served here too.
        if let Some(stray) = commands.iter().find(|command| self.zone_of(command.name()) != Some(at)) {
            return Err(Refusal::NotZone { name: stray.name().into() });
        }
        let terms = Terms { now_ms: request.received_ms, wish, run: self.run };
        let mut drafts = Drafts::new(publisher, &self.roll, grants, sent, terms);
        let applied = commands.iter().try_for_each(|command| drafts.apply(command));
        if drafts.touch(&self.unpublished) {
            handled.waits = true;
            return Ok(());
        }
        applied?;
        let Plan { verdicts, lease_ms, ignored } = drafts.finish()?;
        if let Err(refusal) = self.check_limits(at, &verdicts) {
            // What counts may be about to be taken back.
            handled.waits = !self.unpublished.is_empty();
            return if handled.waits { Ok(()) } else { Err(refusal) };
        }
        if let Some(asked) = wish {
            // Always acknowledged (RFC 9664); 0 where no lease runs on.
            let lease_s = lease_ms.map_or(0, |lease_ms| (lease_ms / 1000).max(1));
            plan.grant(asked, u32::try_from(lease_s).unwrap_or(u32::MAX));
        }
        handled.ignored = ignored;
        self.carry_out(at, verdicts, request.received_ms, &mut handled.changes)?;
        for change in &handled.changes {
            self.unpublished.entry(Arc::clone(&change.pool)).or_default().insert(change.name.clone());
        }
        Ok(())
    }

    /// Whether the server has room for everybody who joins, and for their pools.
    fn check_limits(&self, at: usize, verdicts: &[Verdict]) -> Result<(), Refusal> {
        let full = |full: String| Refusal::Limit(full);
        let joins = verdicts.iter().filter(|verdict| verdict.keep.is_some());
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
        Ok(())
    }

    /// Applies a plan that is allowed in all its parts and has room.
    fn carry_out(
        &mut self,
        at: usize,
        verdicts: Vec<Verdict>,
        now_ms: u64,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refusal> {
        for Verdict { pool, name, keep } in verdicts {
            changes.extend(self.roll.settle(&pool, &name, now_ms));
            match keep {
                None => changes.extend(self.roll.remove(&pool, &name, Cause::Deregistered)),
                Some((member, ends_ms)) => {
                    if let Some((publisher, _)) = self.zones.get_mut(at) {
                        publisher.claim(&pool, &mut self.rotors, now_ms);
                    }
                    let put = self.roll.put(&pool, &name, member, ends_ms, false);
                    changes.push(put.map_err(|full| Refusal::Limit(full.to_string()))?);
                }
            }
        }
        Ok(())
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
        let context = Context { zones: &self.published, transport, now_ms, reserved };
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
        self.roll.expire(now_ms, limit)
    }

    /// Makes changes visible: the view of each pool that they reshape, the ends of their leases, and each zone's serial, once.
    pub fn publish(&mut self, changes: &[Change], now_ms: u64) -> Result<(), WireError> {
        self.unpublished.clear();
        changes.iter().for_each(|change| self.roll.move_lease(change));
        let mut reshaped = std::mem::take(&mut self.undone);
        reshaped
            .extend(changes.iter().filter(|change| change.reshapes()).map(|change| Arc::clone(&change.pool)));
        let visible: BTreeSet<usize> = changes
            .iter()
            .filter(|change| change.is_visible())
            .filter_map(|change| self.zone_of(&change.pool))
            .collect();
        for pool in &reshaped {
            let at = self.zone_of(pool);
            if let Some((publisher, _)) = at.and_then(|at| self.zones.get_mut(at)) {
                publisher.publish(pool, &self.roll, &mut self.rotors, now_ms)?;
            }
        }
        // The views are in place: the leases of those who left may end, and their slots be used again.
        changes.iter().for_each(|change| self.roll.release(change));
        for (publisher, _) in visible.into_iter().filter_map(|at| self.zones.get(at)) {
            publisher.bump_serial();
        }
        Ok(())
    }

    /// Takes changes back that could not be stored; they come in the order in which they happened, and are not published.
    pub fn undo(&mut self, changes: &[&Change]) {
        changes.iter().rev().for_each(|change| self.roll.undo(change));
        // A pool that was claimed for a join is given up again with the next publication.
        self.undone.extend(changes.iter().map(|change| Arc::clone(&change.pool)));
    }
}
