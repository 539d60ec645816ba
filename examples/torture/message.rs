//! Messages and the way to the server: UPDATEs and questions as hickory-proto writes them, over UDP or TCP, one at a time.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{A, AAAA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use rollcall::server::clock;
use rollcall::wire;
use rollcall::wire::tsig::{self, Algorithm, Key};

use super::ledger::{Kind, Span};
use super::server::Result;

pub const ZONE: &str = "pool.example.";
/// The service of all pools.
pub const SERVICE: &str = "_http._tcp";
/// The secret of the key `fleet`.
pub const SECRET: [u8; 32] = [7; 32];
/// TTL of all records, seconds.
const TTL_S: u32 = 30;
/// The option of RFC 9664.
const UPDATE_LEASE: u16 = 2;
/// What a question over UDP lets the answer have.
const UDP_SIZE: u16 = 1232;

/// How often a client that waits looks whether the server was killed.
const LOOK: Duration = Duration::from_millis(20);
/// After this a datagram is sent again, as it was.
const RESEND: Duration = Duration::from_millis(400);
/// After this a server that runs does not reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// The whole name of what is relative to the zone; `@` is the zone's own.
fn absolute(name: &str) -> Result<Name> {
    Ok(Name::from_ascii(if name == "@" { ZONE.to_owned() } else { format!("{name}.{ZONE}") })?)
}

/// An UPDATE (RFC 2136), record by record.
pub struct Update(Message);

impl Update {
    /// Of the zone, with nothing in it.
    pub fn new() -> Result<Self> {
        let mut message = Message::new(0, MessageType::Query, OpCode::Update);
        message.add_query(Query::query(absolute("@")?, RecordType::SOA));
        Ok(Update(message))
    }

    fn push(&mut self, record: Record) {
        self.0.add_authority(record);
    }

    fn add(&mut self, name: &str, data: RData) -> Result<()> {
        self.push(Record::from_rdata(absolute(name)?, TTL_S, data));
        Ok(())
    }

    pub fn add_v4(&mut self, name: &str, ip: Ipv4Addr) -> Result<()> {
        self.add(name, RData::A(A(ip)))
    }

    pub fn add_v6(&mut self, name: &str, ip: Ipv6Addr) -> Result<()> {
        self.add(name, RData::AAAA(AAAA(ip)))
    }

    pub fn add_txt(&mut self, name: &str, strings: Vec<String>) -> Result<()> {
        self.add(name, RData::TXT(TXT::new(strings)))
    }

    /// The service of a pool, on a port of this target.
    pub fn add_srv(&mut self, pool: &str, port: u16, target: &str) -> Result<()> {
        self.add(&format!("{SERVICE}.{pool}"), RData::SRV(SRV::new(0, 10, port, absolute(target)?)))
    }

    /// Deletes an RRset; `ANY` is all of the name.
    pub fn delete(&mut self, name: &str, rtype: RecordType) -> Result<()> {
        let mut record = Record::update0(absolute(name)?, 0, rtype);
        record.dns_class = DNSClass::ANY;
        self.push(record);
        Ok(())
    }

    /// Asks for a lease of so many seconds (RFC 9664).
    pub fn lease(&mut self, lease_s: u32) {
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(UPDATE_LEASE, lease_s.to_be_bytes().to_vec()));
        self.0.set_edns(edns);
    }

    /// Signed now.
    fn signed(mut self, id: u16, key: &Key) -> Result<Vec<u8>> {
        self.0.metadata.id = id;
        let mut octets = self.0.to_vec()?;
        tsig::sign_request(&mut octets, key, clock::wall_s(), tsig::FUDGE_S);
        Ok(octets)
    }
}

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Udp,
    Tcp,
}

/// Whether a reply came.
pub enum Heard {
    Reply(Box<Message>, Span),
    /// None: the server was killed.
    Killed,
    /// None, though nobody killed the server: in words.
    Nothing(String),
}

/// How far a round has come, for all who take part in it.
#[derive(Default)]
pub struct Stage(AtomicU8);

impl Stage {
    const CALM: u8 = 1;
    const KILLING: u8 = 2;
    const KILLED: u8 = 3;

    fn enter(&self, stage: u8) {
        self.0.store(stage, Ordering::Release);
    }

    fn has_come_to(&self, stage: u8) -> bool {
        self.0.load(Ordering::Acquire) >= stage
    }

    /// From now on clients renew or fall silent, and nothing else.
    pub fn calm(&self) {
        self.enter(Self::CALM);
    }

    /// From now on a connection that breaks is no wonder.
    pub fn killing(&self) {
        self.enter(Self::KILLING);
    }

    /// There is no server any more: what has not come by now does not come.
    pub fn killed(&self) {
        self.enter(Self::KILLED);
    }

    pub fn is_calm(&self) -> bool {
        self.has_come_to(Self::CALM)
    }

    pub fn is_being_killed(&self) -> bool {
        self.has_come_to(Self::KILLING)
    }
}

/// A client's way to the server.
pub struct Line<'a> {
    server: SocketAddr,
    udp: UdpSocket,
    tcp: Option<TcpStream>,
    key: Key,
    last_id: u16,
    stage: &'a Stage,
}

impl<'a> Line<'a> {
    pub fn new(server: SocketAddr, stage: &'a Stage) -> Result<Self> {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        udp.connect(server)?;
        udp.set_read_timeout(Some(LOOK))?;
        let key = Key::new(&wire::Name::bytes_from_str("fleet.")?, Algorithm::HmacSha256, &SECRET)?;
        Ok(Line { server, udp, tcp: None, key, last_id: 0, stage })
    }

    /// Sends an UPDATE, and again until there is a reply.
    pub fn update(&mut self, update: Update, by: By) -> Result<Heard> {
        self.last_id = self.last_id.wrapping_add(1);
        let octets = update.signed(self.last_id, &self.key)?;
        self.exchange(&octets, by)
    }

    /// Asks for records of a name; over TCP too if the answer does not fit.
    pub fn ask(&mut self, name: &str, rtype: RecordType, by: By) -> Result<Heard> {
        self.last_id = self.last_id.wrapping_add(1);
        let mut message = Message::new(self.last_id, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(absolute(name)?, rtype));
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_SIZE);
        message.set_edns(edns);
        let octets = message.to_vec()?;
        match self.exchange(&octets, by)? {
            Heard::Reply(reply, _) if reply.metadata.truncation && by == By::Udp => {
                self.exchange(&octets, By::Tcp)
            }
            heard => Ok(heard),
        }
    }

    fn exchange(&mut self, octets: &[u8], by: By) -> Result<Heard> {
        let from = Instant::now();
        let reply = match by {
            By::Udp => self.over_udp(octets, from)?,
            By::Tcp => {
                let reply = self.over_tcp(octets, from);
                if reply.is_none() {
                    self.tcp = None;
                }
                reply
            }
        };
        Ok(match reply {
            Some(reply) => {
                Heard::Reply(Box::new(Message::from_vec(&reply)?), Span { from, to: Instant::now() })
            }
            None if self.stage.is_being_killed() => Heard::Killed,
            None => Heard::Nothing(format!("no reply over {by:?} after {:?}", from.elapsed())),
        })
    }

    fn over_udp(&mut self, octets: &[u8], from: Instant) -> Result<Option<Vec<u8>>> {
        let mut buffer = [0; 4096];
        let mut sent: Option<Instant> = None;
        loop {
            // Before the look for a reply: one that was sent before the kill is still found.
            let was_killed = self.stage.has_come_to(Stage::KILLED);
            if !was_killed && sent.is_none_or(|sent| sent.elapsed() >= RESEND) {
                sent = Some(Instant::now());
                if self.udp.send(octets).is_err() {
                    return Ok(None);
                }
            }
            match self.udp.recv(&mut buffer) {
                Ok(len) => {
                    let reply = buffer.get(..len).unwrap_or_default();
                    if reply.get(..2) == octets.get(..2) {
                        return Ok(Some(reply.to_vec()));
                    }
                }
                Err(error) if is_silence(error.kind()) => {
                    if was_killed || from.elapsed() >= PATIENCE {
                        return Ok(None);
                    }
                }
                // Nobody listens any more.
                Err(_) => return Ok(None),
            }
        }
    }

    /// On one connection, until it breaks.
    fn over_tcp(&mut self, octets: &[u8], from: Instant) -> Option<Vec<u8>> {
        if self.tcp.is_none() {
            let stream = TcpStream::connect_timeout(&self.server, PATIENCE).ok()?;
            stream.set_nodelay(true).ok()?;
            stream.set_read_timeout(Some(LOOK)).ok()?;
            self.tcp = Some(stream);
        }
        let stream = self.tcp.as_mut()?;
        let len = u16::try_from(octets.len()).ok()?;
        stream.write_all(&[&len.to_be_bytes(), octets].concat()).ok()?;
        let mut held = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let was_killed = self.stage.has_come_to(Stage::KILLED);
            match stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(len) => held.extend_from_slice(buffer.get(..len)?),
                Err(error) if is_silence(error.kind()) => {
                    if was_killed || from.elapsed() >= PATIENCE {
                        return None;
                    }
                }
                Err(_) => return None,
            }
            if let Some((len, reply)) = held.split_first_chunk::<2>()
                && reply.len() >= usize::from(u16::from_be_bytes(*len))
            {
                return Some(reply.to_vec());
            }
        }
    }
}

fn is_silence(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Kind {
    /// The type to ask for.
    pub fn rtype(self) -> RecordType {
        match self {
            Kind::A => RecordType::A,
            Kind::Aaaa => RecordType::AAAA,
            Kind::Txt => RecordType::TXT,
            Kind::Srv => RecordType::SRV,
        }
    }

    /// Rdata as the ledger has it: an address, each string of a TXT, the port of a SRV.
    pub fn read(data: &RData) -> Option<(Kind, Vec<String>)> {
        Some(match data {
            RData::A(A(ip)) => (Kind::A, vec![ip.to_string()]),
            RData::AAAA(AAAA(ip)) => (Kind::Aaaa, vec![ip.to_string()]),
            RData::SRV(srv) => (Kind::Srv, vec![srv.port.to_string()]),
            RData::TXT(txt) => {
                let strings = txt.txt_data.iter().map(|string| String::from_utf8_lossy(string).into_owned());
                (Kind::Txt, strings.collect())
            }
            _ => return None,
        })
    }
}
