//! The short way of a heartbeat: recognised, verified, renewed and answered in the thread that received it.
//!
//! ```text
//!  message --> canonical form --> keyed digest --> a slot that has it? --> TSIG --> renew, floor, load --> reply
//!                    |                                  | no                | wrong     | too late, a replay
//!                    '----------------------------------'-------------------'-----------'--> the registrar
//! ```
//!
//! Facts that the rest relies on:
//! 1. The registrar has judged a message of the same digest, its member is on the roll as that one left it, and the store is right
//!    about it. So all that it asked (grants, owner, limits, what the records come to) comes out the same again, and only time
//!    has gone by. Whatever may change that takes the digest away: a change of the member, a commit that failed, a reload, a
//!    message about the member's name.
//! 2. The digest covers what the judgement depends on: the whole message but its id, its TSIG and the values of `load`; the key's
//!    name; the source, and whether that is proven. Which secret signed is TSIG's to say. It is keyed, so that nobody can make
//!    two messages of one digest.
//! 3. What is not recognised, and what is recognised and not good, goes to the registrar as if this room were not there: there
//!    is one place that refuses.
//! 4. A value of `load` may be shorter or longer, and moves what stands after it. A compression pointer to there would mean
//!    something else then, so a message that has one is not recognised.

use std::hash::{BuildHasher, Hasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_swap::ArcSwap;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::Request;
use super::attributes::{self, load_of};
use super::left::Left;
use super::reply::{self, BODY_MAX, Body};
use crate::membership::{
    AHEAD_S_MAX, Beat, Digest, LEASE_FOREVER_MS, LeaseTable, MemberName, PoolHandle, Said,
};
use crate::query::Transport;
use crate::security::Keyring;
use crate::wire::tsig::{self, TsigRecord};
use crate::wire::{
    Class, Edns, HEADER_LEN, Header, LeaseOption, Name, Opcode, OptRecord, RawRecord, Rcode, Rtype,
    name_in_message, pointer_in, read_record, skip_name,
};

/// Octets of an OPT with a lease of eight octets.
const OPT_LEN_MAX: usize = OptRecord::PLAIN_LEN + 4 + 8;

/// What a heartbeat of a member is known again by.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    pub(super) pool: PoolHandle,
    pub(super) name: MemberName,
    pub(super) digest: Digest,
}

/// What became of a heartbeat that was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It renewed its lease.
    Renewed,
    /// It was the message that was accepted last: it is answered, and does nothing.
    Again,
}

/// What a thread needs of its own to take heartbeats.
#[derive(Debug, Default)]
pub struct Desk {
    canonical: Vec<u8>,
    reply: Vec<u8>,
}

/// The heartbeats that a server knows again. Shared by those who receive messages; the registrar makes it, and tells it which.
pub struct Heartbeats {
    leases: Arc<LeaseTable>,
    keyring: ArcSwap<Keyring>,
    /// Of the digests.
    secret: [u64; 2],
    /// Part of each digest: what was known before it moved is known no more.
    era: AtomicU32,
}

impl Heartbeats {
    pub(super) fn new(leases: Arc<LeaseTable>, keyring: Keyring) -> Self {
        let random = RandomState::new();
        Heartbeats {
            leases,
            keyring: ArcSwap::from_pointee(keyring),
            secret: [random.hash_one(0), random.hash_one(1)],
            era: AtomicU32::new(0),
        }
    }

    pub(super) fn keyring(&self) -> Arc<Keyring> {
        self.keyring.load_full()
    }

    /// Takes other keys, from now on.
    pub(super) fn set_keyring(&self, keyring: Keyring) {
        self.keyring.store(Arc::new(keyring));
    }

    /// Forgets all heartbeats: the next one of each member is the registrar's to judge.
    pub fn forget_all(&self) {
        // After 2^32 reloads what was known before the first is known again, of members that have not been heard since.
        self.era.fetch_add(1, Ordering::AcqRel);
    }

    /// Does all that a heartbeat asks for, if it is one that is known, at `wall_s` seconds since 1970: its reply is in `out`, and
    /// has so many octets. `None` if it is the registrar's to judge; then nothing was done.
    pub fn take(
        &self,
        request: &Request<'_>,
        wall_s: u64,
        desk: &mut Desk,
        out: &mut [u8],
    ) -> Option<(usize, Taken)> {
        let read = Read::of(request.message, &mut desk.canonical)?;
        let lease = self.leases.recognise(self.digest(&read, request, &desk.canonical))?;
        let signer = match &read.tsig {
            None => None,
            Some(tsig) => {
                let keyring = self.keyring.load();
                Some(tsig::verify(request.message, tsig, keyring.get(&tsig.key_name), wall_s).ok()?)
            }
        };
        let signed = signer.as_ref().map(reply::signed_by);
        if signed.is_some_and(|signed| signed.at_s > wall_s.saturating_add(AHEAD_S_MAX)) {
            return None;
        }
        let tsig_len = signer.as_ref().map_or(0, tsig::Signer::tsig_len);
        let size = reply::size_for(request.transport, read.edns.as_ref());
        // Whether all of the reply has room is known before anything is done: only digits of the lease will differ.
        if HEADER_LEN + read.section.len() + OPT_LEN_MAX + tsig_len > size.min(out.len()) {
            return None;
        }
        let beat = self.leases.beat(lease, signed, read.said, request.received_ms)?;
        let (left, taken) = match beat {
            Beat::Renewed(LEASE_FOREVER_MS) => (Left::Permanent, Taken::Renewed),
            Beat::Renewed(lease_ms) => (Left::Ms(lease_ms.into()), Taken::Renewed),
            Beat::Again(ends_ms) => (Left::until(ends_ms, request.received_ms), Taken::Again),
        };
        let opt = read.edns.as_ref().map(|edns| OptRecord {
            dnssec_ok: edns.dnssec_ok,
            lease: read.wish.map(|asked| reply::granted(asked, left)),
            ..OptRecord::default()
        });
        let body = Body { header: &read.header, section: read.section, size };
        desk.reply.resize(BODY_MAX, 0);
        let len = body.put(&mut desk.reply, opt.as_ref(), None, 0, Rcode::NOERROR);
        desk.reply.truncate(len);
        if let Some(signer) = signer {
            signer.sign(&mut desk.reply, wall_s);
        }
        out.get_mut(..desk.reply.len())?.copy_from_slice(&desk.reply);
        Some((desk.reply.len(), taken))
    }

    /// What a message is known again by, and what it says of its member's load, if it is one that can be known again at all.
    pub(super) fn of(&self, request: &Request<'_>) -> Option<(Digest, Said)> {
        let mut canonical = Vec::new();
        let read = Read::of(request.message, &mut canonical)?;
        Some((self.digest(&read, request, &canonical), read.said))
    }

    fn digest(&self, read: &Read<'_>, request: &Request<'_>, canonical: &[u8]) -> Digest {
        let [one, other] = self.secret;
        let mut hasher = SipHasher13::new_with_keys(one, other);
        hasher.write_u32(self.era.load(Ordering::Acquire));
        let source = request.source.to_canonical();
        match source {
            IpAddr::V4(ip) => hasher.write_u32(ip.to_bits()),
            IpAddr::V6(ip) => hasher.write_u128(ip.to_bits()),
        }
        // As the registrar has it of a message without a cookie.
        hasher.write_u8(u8::from(request.transport == Transport::Tcp || source.is_loopback()));
        hasher.write_u8(u8::from(source.is_ipv4()));
        let key_name = read.tsig.as_ref().map_or(&[][..], |tsig| tsig.key_name.as_slice());
        hasher.write(key_name);
        hasher.write_u8(key_name.len() as u8);
        hasher.write(canonical);
        Digest::new(hasher.finish128().as_u128())
    }
}

/// The name that the first record of an UPDATE's update section is about, in a message without prerequisites.
pub fn first_name(message: &[u8]) -> Option<Name> {
    let section_end = skip_name(message, HEADER_LEN).ok()?.checked_add(4)?;
    name_in_message(message, section_end).ok().map(|(name, _)| name)
}

/// A message that could be a heartbeat.
struct Read<'m> {
    header: Header,
    /// The zone section.
    section: &'m [u8],
    edns: Option<Edns>,
    /// The lease that it asks for.
    wish: Option<LeaseOption>,
    tsig: Option<TsigRecord<'m>>,
    said: Said,
}

impl<'m> Read<'m> {
    /// Reads an UPDATE without prerequisites and cookies, once from end to end, and writes its canonical form: counts, and all
    /// sections without the TSIG and without the values of `load`. `None` for anything else.
    fn of(message: &'m [u8], canonical: &mut Vec<u8>) -> Option<Self> {
        let header = Header::read(message).filter(|header| !header.is_response())?;
        let [1, 0, updates, additionals @ 0..=2] = header.counts else { return None };
        if updates == 0 || header.opcode() != Opcode::UPDATE {
            return None;
        }
        let section_end = skip_name(message, HEADER_LEN).ok()? + 4;
        // One that is compressed has nothing before it to point to.
        if pointer_in(message, HEADER_LEN).is_some() {
            return None;
        }
        let mut form = Form { message, out: canonical, copied: 2, load_at: None, said: Said::Nothing };
        form.out.clear();
        let mut at = section_end;
        for _ in 0..updates {
            let record = read_record(message, at).ok()?;
            at = record.end();
            form.add(&record)?;
        }
        let (mut opt, mut tsig) = (None, None);
        for left in (0..additionals).rev() {
            let record = read_record(message, at).ok()?;
            at = record.end();
            match record.rtype {
                Rtype::OPT if opt.is_none() => opt = Some(record),
                Rtype::TSIG if left == 0 => tsig = Some(TsigRecord::read(message, &record).ok()?),
                _ => return None,
            }
        }
        if at != message.len() {
            return None;
        }
        form.finish(tsig.as_ref().map_or(at, |tsig| tsig.start));
        let said = form.said;
        let edns = match opt {
            Some(record) => Some(Edns::read(message, &record).ok().filter(|edns| edns.version == 0)?),
            None => None,
        };
        if let Some(edns) = &edns
            && edns.cookie(message).ok()?.is_some()
        {
            return None;
        }
        let wish = edns.as_ref().map_or(Ok(None), |edns| edns.lease(message)).ok()?;
        Some(Read { header, section: message.get(HEADER_LEN..section_end)?, edns, wish, tsig, said })
    }
}

/// A canonical form in the making.
struct Form<'m, 'o> {
    message: &'m [u8],
    out: &'o mut Vec<u8>,
    /// Up to where the message is in it.
    copied: usize,
    /// Where the first value of a load stands.
    load_at: Option<usize>,
    said: Said,
}

impl Form<'_, '_> {
    /// Takes up a record of the update section. `None` if it must not be recognised.
    fn add(&mut self, record: &RawRecord) -> Option<()> {
        if let Some(load_at) = self.load_at {
            let target_at = match record.rtype {
                Rtype::A | Rtype::AAAA | Rtype::TXT => None,
                Rtype::SRV => Some(record.rdata.start + 6),
                Rtype::SVCB | Rtype::HTTPS => Some(record.rdata.start + 2),
                _ => return None,
            };
            let target_at = target_at.filter(|_| !record.rdata.is_empty());
            let moves = |at: usize| pointer_in(self.message, at).is_some_and(|target| target >= load_at);
            if moves(record.start) || target_at.is_some_and(moves) {
                return None;
            }
        }
        if record.rtype == Rtype::TXT && record.class == Class::IN {
            return self.add_attributes(record);
        }
        Some(())
    }

    /// Leaves out the values of loads, and out of the lengths before them.
    fn add_attributes(&mut self, record: &RawRecord) -> Option<()> {
        let length_at = record.rdata.start.checked_sub(2)?;
        let mut length_in_out = None;
        let mut at = record.rdata.start;
        for string in attributes::strings(self.message.get(record.rdata.clone())?) {
            let start = at + 1;
            at = start + string.len();
            let Some((value_at, load)) = load_of(string) else { continue };
            self.said = Said::Load(load?);
            self.load_at.get_or_insert(start + value_at);
            if length_in_out.is_none() {
                self.copy_to(length_at);
                length_in_out = Some(self.out.len());
            }
            self.copy_to(start - 1);
            self.out.push(value_at as u8);
            self.copied = start;
            self.copy_to(start + value_at);
            self.copied = at;
        }
        if at != record.rdata.end {
            return None;
        }
        if let Some(length_at) = length_in_out {
            self.copy_to(at);
            let length = (self.out.len() - length_at).checked_sub(2)? as u16;
            self.out.get_mut(length_at..length_at + 2)?.copy_from_slice(&length.to_be_bytes());
        }
        Some(())
    }

    fn copy_to(&mut self, end: usize) {
        self.out.extend_from_slice(self.message.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }

    /// Takes up all that is left before `end`.
    fn finish(&mut self, end: usize) {
        self.copy_to(end);
    }
}
