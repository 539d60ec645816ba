//! One pool of a real server, without its sockets: UPDATEs in, answers out, on a clock that the caller moves.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use rollcall::membership::LeaseRules;
use rollcall::policy::{Policy, Shown};
use rollcall::query::{self, Answered, Context, Outcome, Scratch, Transport};
use rollcall::security::{Cookies, Grant, Grants, Holder, Keyring};
use rollcall::update::{Clock, Limits, Registrar, Request, Setup, ZoneInput};
use rollcall::wire::{
    Class, HEADER_LEN, Header, Name, Opcode, Question, Rcode, Rtype, read_record, skip_name,
};
use rollcall::zone::{Dynamics, OnAllDown, PoolSettings, ZoneSettings, file};

pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The registrar's tick: rankings that are due are made with it.
pub const TICK_MS: u64 = 50;
/// Most members: a member's number is the last octet of its address.
pub const MEMBERS_MAX: usize = 250;

const ZONE: &str = "pool.example.";
const POOL: &str = "web.pool.example.";
const SERVICE: &str = "_http._tcp.web.pool.example.";
const ZONE_FILE: &str = "@ 300 SOA ns hostmaster 1 3600 600 86400 2\n@ 300 NS ns\nns 300 A 192.0.2.53\n";
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Seconds since 1970 when the clock says 0. Nothing here is signed.
const WALL_S: u64 = 1_700_000_000;

/// What clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The pool's A records: the first one in an answer is taken.
    Addresses,
    /// Its service's SRV records: the client chooses by their weights (RFC 2782).
    Service,
}

/// A member in an answer.
#[derive(Debug, Clone, Copy)]
pub struct Offered {
    pub member: usize,
    /// Of an address, 0.
    pub weight: u16,
}

/// What the operator configures, and what clients ask of it.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub asked: Asked,
    pub policy: Policy,
    /// How many addresses an answer shows.
    pub answers: Shown,
    /// The pool's TTL, seconds.
    pub ttl_s: u32,
    pub lease_ms: u32,
    pub load_half_life_ms: u32,
}

/// What a member says in a heartbeat.
#[derive(Debug, Clone, Copy)]
pub struct Said {
    pub weight: u32,
    /// `None` leaves it to the server's default.
    pub degradation: Option<f64>,
    pub load: f64,
}

/// A server of one pool.
pub struct Pool {
    registrar: Registrar,
    question: Question,
    scratch: Scratch,
    /// The message that asks.
    asking: Vec<u8>,
    reply: Vec<u8>,
    names: Vec<Name>,
    zone: Name,
    service: Name,
}

impl Pool {
    /// An empty pool that so many members may join, at time 0.
    pub fn new(terms: &Terms, members: usize, seed: u64) -> Result<Self> {
        if members > MEMBERS_MAX {
            return Err(format!("{members} members are more than {MEMBERS_MAX}").into());
        }
        let name = |text: &str| Name::bytes_from_str(text).map_err(|error| format!("{text}: {error}"));
        let zone = name(ZONE)?;
        let settings = PoolSettings {
            policy: terms.policy,
            ttl_s: terms.ttl_s,
            addresses: terms.answers,
            services: Shown::All,
            load_half_life_ms: terms.load_half_life_ms,
            warm_up_ms: 0,
            on_all_down: OnAllDown::All,
            leases: LeaseRules { default_ms: terms.lease_ms, min_ms: 2_000, max_ms: 3_600_000 },
            debug_from: Arc::from([]),
        };
        let grant =
            Grant { addresses: vec!["10.0.0.0/8".parse::<IpNetwork>()?], ..Grant::to(Holder::Unsigned) };
        let input = ZoneInput {
            records: file::parse(ZONE_FILE.as_bytes(), Path::new("herding.zone"), &zone)?,
            settings: ZoneSettings {
                apex: zone.clone(),
                negative_ttl_s: 2,
                freeze_max_ms: 600_000,
                create_pools: false,
                defaults: settings.clone(),
                pools: vec![(name(POOL)?, settings)],
            },
            grants: Grants::new(vec![grant]),
            serial: 1,
        };
        let setup = Setup {
            zones: vec![input],
            dynamics: Dynamics::default(),
            keyring: Keyring::default(),
            cookies: Arc::new(Cookies::new([7; 16])),
            limits: Limits { members: MEMBERS_MAX, pools: 1, records: 10 },
            run: 1,
        };
        let members = (0..members).map(|member| name(&format!("m{member}.{POOL}")));
        Ok(Pool {
            registrar: Registrar::new(setup, 0, seed)?,
            question: Question::default(),
            scratch: Scratch::new(0, seed),
            asking: match terms.asked {
                Asked::Addresses => question(&name(POOL)?, Rtype::A),
                Asked::Service => question(&name(SERVICE)?, Rtype::SRV),
            },
            reply: vec![0; usize::from(u16::MAX)],
            names: members.collect::<std::result::Result<_, _>>()?,
            zone,
            service: name(SERVICE)?,
        })
    }

    /// A member's heartbeat, the first of which joins it. Anything but NOERROR is an error.
    pub fn heartbeat(&mut self, member: usize, said: Said, now_ms: u64) -> Result<()> {
        let own = self.names.get(member).ok_or_else(|| format!("there is no member {member}"))?;
        let message = self.update(own, member, said);
        let request =
            Request { message: &message, source: SOURCE, transport: Transport::Udp, received_ms: now_ms };
        let clock = Clock { now_ms, wall_s: WALL_S + now_ms / 1000 };
        let handled = self.registrar.handle(&request, clock);
        self.registrar.publish(&handled.changes, now_ms)?;
        let reply = handled.reply.ok_or("a heartbeat had no reply")?.finish(true, clock.wall_s);
        let rcode = Header::read(&reply).map(|header| Rcode::masked_from_int(header.flags as u8));
        if rcode != Some(Rcode::NOERROR) || !handled.ignored.is_empty() {
            return Err(format!("a heartbeat got {rcode:?}: {:?}", handled.refusal).into());
        }
        Ok(())
    }

    /// What the registrar does every [`TICK_MS`].
    pub fn tick(&mut self, now_ms: u64) -> Result<()> {
        let (changes, _) = self.registrar.expire(now_ms, usize::MAX);
        self.registrar.publish(&changes, now_ms)?;
        self.registrar.rank(now_ms, usize::MAX);
        Ok(())
    }

    /// Asks: the answer's members, in its order, and its TTL in seconds.
    pub fn ask(&mut self, now_ms: u64, offered: &mut Vec<Offered>) -> Result<u32> {
        let zones = self.registrar.published();
        let context = Context {
            zones,
            // As resolvers do when it does not fit: the whole answer counts.
            transport: Transport::Tcp,
            now_ms,
            reserved: 0,
            client: None,
            cookie: None,
            keepalive: None,
        };
        let reading = query::read(zones, &self.asking, &mut self.question);
        let scratch = &mut self.scratch;
        let outcome =
            query::answer(&context, &self.question, reading, &self.asking, scratch, &mut self.reply);
        let Outcome::Reply(len, Answered::Positive) = outcome else {
            return Err(format!("a question came to {outcome:?}").into());
        };
        read_answer(self.reply.get(..len).unwrap_or_default(), offered)
    }

    /// `m3.web A`, `m3.web TXT` and `_http._tcp.web SRV`, as a member sends them each time.
    fn update(&self, own: &Name, member: usize, said: Said) -> Vec<u8> {
        let header = Header { id: 2, flags: u16::from(Opcode::UPDATE.to_int()) << 11, counts: [1, 0, 3, 0] };
        let mut message = header.octets().to_vec();
        put_name(&mut message, &self.zone, Rtype::SOA);
        put_record(&mut message, own, Rtype::A, &[10, 0, 0, member as u8]);
        let degradation = said.degradation.map(|share| format!("degradation={share:.9}"));
        let texts = [format!("weight={}", said.weight), format!("load={:.4}", said.load)];
        let mut rdata = Vec::new();
        for text in texts.into_iter().chain(degradation) {
            rdata.push(text.len() as u8);
            rdata.extend_from_slice(text.as_bytes());
        }
        put_record(&mut message, own, Rtype::TXT, &rdata);
        // Priority 0, weight 1, port 80; the policy writes a weight of its own.
        let srv = [&[0, 0, 0, 1, 0, 80], own.as_slice()].concat();
        put_record(&mut message, &self.service, Rtype::SRV, &srv);
        message
    }
}

fn question(name: &Name, rtype: Rtype) -> Vec<u8> {
    let header = Header { id: 1, flags: 0, counts: [1, 0, 0, 0] };
    let mut message = header.octets().to_vec();
    put_name(&mut message, name, rtype);
    message
}

/// The members in an answer, and its TTL.
fn read_answer(message: &[u8], offered: &mut Vec<Offered>) -> Result<u32> {
    let [_, records, ..] = Header::read(message).ok_or("an answer without a header")?.counts;
    let mut at = skip_name(message, HEADER_LEN)? + 4;
    let mut ttl_s = u32::MAX;
    offered.clear();
    for _ in 0..records {
        let record = read_record(message, at)?;
        at = record.end();
        ttl_s = ttl_s.min(record.ttl);
        let rdata = message.get(record.rdata.clone()).unwrap_or_default();
        offered.push(read_offered(rdata).ok_or_else(|| format!("an answer with {rdata:?}"))?);
    }
    if offered.is_empty() { Err("an answer without records".into()) } else { Ok(ttl_s) }
}

/// A member, by its address or by its name as a target.
fn read_offered(rdata: &[u8]) -> Option<Offered> {
    match rdata {
        [10, 0, 0, member] => Some(Offered { member: usize::from(*member), weight: 0 }),
        [_, _, high, low, _, _, len, b'm', rest @ ..] => {
            let digits = rest.get(..usize::from(*len).checked_sub(1)?)?;
            let member = std::str::from_utf8(digits).ok()?.parse().ok()?;
            Some(Offered { member, weight: u16::from_be_bytes([*high, *low]) })
        }
        _ => None,
    }
}

fn put_name(message: &mut Vec<u8>, name: &Name, rtype: Rtype) {
    message.extend_from_slice(name.as_slice());
    message.extend_from_slice(&rtype.to_int().to_be_bytes());
    message.extend_from_slice(&Class::IN.to_int().to_be_bytes());
}

fn put_record(message: &mut Vec<u8>, owner: &Name, rtype: Rtype, rdata: &[u8]) {
    put_name(message, owner, rtype);
    // The TTL caps the member's own names alone.
    message.extend_from_slice(&3_600_u32.to_be_bytes());
    message.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    message.extend_from_slice(rdata);
}
