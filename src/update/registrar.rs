//! The registrar: owns the roll and the zones' writing sides, and judges every message that is not a plain question.

mod publish;
mod recognise;
mod reload;
mod replay;
mod reserve;
mod restore;
mod silence;
mod update;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::floors::NameFloors;
use super::heartbeat::{Heartbeat, Heartbeats};
use super::pending::Pending;
use super::reply::{ReplyPlan, Signature};
use super::seconds::Seconds;
use super::zones::Zones;
use super::{Ignored, Refusal, RefusalKind};
use crate::change::{Change, Subject};
use crate::membership::Roll;
use crate::query::{self, Context, CookieTerms, Outcome, Scratch, Transport};
use crate::security::{Cookies, Grants, Keyring, Sender, Sent};
use crate::wire::tsig::{self, TsigRecord};
use crate::wire::{Header, NameHasher, Opcode, Question, WireError, lower};
use crate::zone::file::ZoneRecords;
use crate::zone::{Draft, Dynamics, Identity, RotorIds, ZoneSet, ZoneSettings};
use publish::Reshaped;
use reserve::Reserve;

pub use reload::{Reload, Reloaded};
pub use restore::Restored;
use silence::Crowds;
pub use silence::Silenced;

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
    /// At what it changes nothing: its acknowledgement says that it is as it is now.
    pub unchanged: Vec<Subject>,
    /// Why it was refused, in words.
    pub refusal: Option<String>,
    /// What kind of reason that is.
    pub kind: RefusalKind,
    /// Attributes that were wrong in a heartbeat, and ignored.
    pub ignored: Vec<Ignored>,
    /// The reply; `None` if the message deserves none.
    pub reply: Option<ReplyPlan>,
    /// What its next heartbeat is known again by, once this one stands.
    pub heartbeat: Option<Heartbeat>,
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
    zones: Zones,
    /// What UPDATE has made of names that are in no zone now.
    elsewhere: Dynamics,
    /// Apexes of zones whose serials have moved since they were last stored.
    moved: BTreeSet<Box<[u8]>>,
    /// How far serials may move before the store knows more.
    reserve: Reserve,
    /// Serials of zones that are not served now, by apex.
    serials_elsewhere: HashMap<Box<[u8]>, u32>,
    /// Apexes of zones around one that came or went while their own files were not good: they take up what moved then with
    /// their next reload, whatever it brings.
    late: HashSet<Box<[u8]>>,
    published: Arc<ZoneSet>,
    roll: Roll,
    rotors: RotorIds,
    heartbeats: Arc<Heartbeats>,
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
    seconds: Seconds,
    /// What the zone files have overtaken of the stored differences: to be stored, once.
    overtaken: Vec<Change>,
    /// Pools whose changes were taken back since the last publication.
    undone: Reshaped,
    crowds: Crowds,
}

impl Registrar {
    /// Publishes the zones for the first time.
    pub fn new(setup: Setup, now_ms: u64, seed: u64) -> Result<Self, WireError> {
        let Setup { zones, dynamics, keyring, cookies, limits, run } = setup;
        let hasher = NameHasher::default();
        let roll = Roll::new(limits.members, now_ms);
        let (mut drafts, mut serials) = (Vec::with_capacity(zones.len()), HashMap::new());
        for ZoneInput { settings, records, grants, serial } in zones {
            serials.insert(lower(settings.apex.as_slice()), serial);
            drafts.push((Draft::new(settings, &records, &hasher)?, grants));
        }
        let heartbeats = Arc::new(Heartbeats::new(Arc::clone(roll.leases()), keyring));
        let published = Arc::new(ZoneSet::new(Vec::new(), hasher, Arc::clone(roll.leases())));
        let mut registrar = Registrar {
            zones: Zones::default(),
            elsewhere: dynamics,
            moved: BTreeSet::new(),
            reserve: Reserve::default(),
            serials_elsewhere: serials,
            late: HashSet::new(),
            published,
            roll,
            rotors: RotorIds::default(),
            heartbeats,
            cookies,
            run,
            question: Question::default(),
            scratch: Scratch::new(0, seed),
            forget_at_ms: now_ms + FORGET_EVERY_MS,
            pools_max: limits.pools,
            records: 0,
            records_max: limits.records,
            pending: Pending::default(),
            floors: NameFloors::new(limits.records),
            seconds: Seconds::default(),
            overtaken: Vec::new(),
            undone: Reshaped::default(),
            crowds: Crowds::default(),
        };
        let begun = registrar.reload(Reload { zones: drafts, ..Reload::default() }, now_ms)?;
        registrar.overtaken = begun.changes;
        Ok(registrar)
    }

    /// The zones, for those who answer.
    pub fn published(&self) -> &Arc<ZoneSet> {
        &self.published
    }

    /// Lets the zones' server say this of itself. Before anybody answers from them.
    pub fn identify(&mut self, identity: Identity) {
        self.published = Arc::new(self.published.identified(identity));
    }

    /// The cookies, for those who answer.
    pub fn cookies(&self) -> &Arc<Cookies> {
        &self.cookies
    }

    /// The heartbeats that need no registrar, for those who receive messages.
    pub fn heartbeats(&self) -> &Arc<Heartbeats> {
        &self.heartbeats
    }

    /// Members in all pools.
    pub fn members(&self) -> usize {
        self.roll.len()
    }

    /// Of each zone whose serial has moved since it was last stored, the apex in lower-case wire form, and a serial that no SOA
    /// says before the next commit: what the store keeps, and a restart begins with.
    pub fn serials(&self) -> Vec<(Box<[u8]>, u32)> {
        let zones = self.moved.iter().filter_map(|apex| self.zones.of_apex(apex));
        let zones = zones.map(|(publisher, _)| publisher.zone());
        zones.map(|zone| (zone.apex().into(), zone.serial().wrapping_add(SERIALS_RESERVED))).collect()
    }

    /// Notes that the store has these serials. A zone whose serial had come to the end of what the store had before moves with the
    /// next [`Registrar::publish`].
    pub fn serials_stored(&mut self) {
        for (apex, end) in self.serials() {
            self.reserve.stored(apex, end);
        }
        self.moved.clear();
    }

    fn zone_of(&self, name: &[u8]) -> Option<usize> {
        self.zones.closest(name)
    }

    /// Judges one message and applies it to the roll.
    pub fn handle(&mut self, request: &Request<'_>, clock: Clock) -> Handled {
        let mut handled = Handled {
            key: None,
            changes: Vec::new(),
            unchanged: Vec::new(),
            refusal: None,
            kind: RefusalKind::Other,
            ignored: Vec::new(),
            reply: None,
            heartbeat: None,
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
        let keyring = self.heartbeats.keyring();
        let key = keyring.get(&record.key_name);
        let signer = tsig::verify(request.message, &record, key, clock.wall_s)?;
        let sender = Sender::Key(Arc::clone(signer.key()));
        Ok((Sent { sender, source, is_proven }, Signature::Signer(Box::new(signer))))
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
        let context = Context {
            zones: &self.published,
            transport,
            now_ms,
            reserved,
            client: Some(request.source),
            cookie: Some(terms),
            keepalive: None,
        };
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
}
