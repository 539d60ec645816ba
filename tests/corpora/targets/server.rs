//! A small server without sockets, and what every reply of it must be like.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use hickory_proto::op::Message;
use ipnetwork::IpNetwork;
use rollcall::change::Change;
use rollcall::policy::Policy;
use rollcall::query::{self, Context, CookieTerms, Outcome, Scratch, Transport};
use rollcall::security::{Cookies, Grant, Grants, Holder, Keyring, NamePattern, Types};
use rollcall::update::{Clock, Desk, Limits, Registrar, Request, Setup, ZoneInput};
use rollcall::wire::tsig::{Algorithm, Key, sign_request};
use rollcall::wire::{Name, Question};
use rollcall::zone::{Identity, PoolSettings, ZoneSettings, file};

use super::world::{ZONE, pool_settings, question_message, update_message};

/// How long a connection may be idle, as a client that asks is told.
pub const IDLE: u16 = 100;
/// The time at which the server's members join, monotonic milliseconds. Their leases are 30 s.
pub const NOW_MS: u64 = 1_000;
/// The same moment, seconds since 1970.
pub const WALL_S: u64 = 1_700_000_000;
/// The name of the key that the server has.
pub const BEAT: &str = "beat.lab.";

const ZONE_FILE: &str = "\
@      SOA ns hostmaster 7 3600 600 86400 3600
@      NS  ns
ns     A   192.0.2.53
www    CNAME info
info   TXT \"hello\" \"world\"
loop   CNAME pool
pool   CNAME loop
to-web CNAME web
a.b.c  A   192.0.2.81
note._tcp.web TXT \"static, below a pool\"
*.wild A   192.0.2.82
sub    NS  ns.sub
sub    NS  ns
ns.sub A   192.0.2.83
old    DNAME web
longer DNAME of-a-name-that-grows-by-some-sixty-octets-each-time-it-is-met.longer
mail   MX  10 m1.web
";

/// The members that are there, one of each kind. A crowd too large for 512 octets and the key's member come with them.
const MEMBERS: &str = "\
add m1.web 30 A 10.0.0.1
add m1.web 30 AAAA 2001:db8::1
add m1.web 30 TXT weight=20 site=fra
add _http._tcp.web 30 SRV 0 10 8080 m1.web
add _http._tcp.web 30 SRV 0 10 8081 m1.web
add m2.web 4 A 10.0.0.2
add _http._tcp.web 30 SRV 0 10 8080 m2.web
add m1.game 30 A 10.0.1.1
add _g._udp.game 30 SRV 5 1 9000 m1.game
add m2.game 30 A 10.0.1.2
add m2.game 30 TXT weight=0
add n1.new 30 A 10.0.2.1
add _s._tcp.new 30 SRV 0 0 1 n1.new
add crowd 30 A 10.0.3.1
";

/// Questions whose answers do not depend on whose turn it is: together they show every member of every pool.
const STATE: [(&str, &str); 22] = [
    ("@", "SOA"),
    ("all.web", "A"),
    ("all.web", "AAAA"),
    ("_http._tcp.all.web", "SRV"),
    ("m1.web", "TXT"),
    ("m2.web", "A"),
    ("k1.web", "A"),
    ("all.game", "A"),
    ("_g._udp.all.game", "SRV"),
    ("all.new", "A"),
    ("_s._tcp.all.new", "SRV"),
    ("all.crowd", "A"),
    ("@", "NS"),
    ("ns", "A"),
    ("www", "CNAME"),
    ("info", "TXT"),
    ("a.b.c", "A"),
    ("host", "A"),
    ("host", "TXT"),
    ("_acme.web", "TXT"),
    ("web", "TXT"),
    ("web", "HTTPS"),
];

/// The key `beat.lab.`, of any algorithm.
pub fn key(algorithm: Algorithm) -> Key {
    Key::new(&Name::bytes_from_str(BEAT).unwrap(), algorithm, &[7; 32]).unwrap()
}

/// The server's own key.
pub fn beat() -> &'static Arc<Key> {
    static KEY: OnceLock<Arc<Key>> = OnceLock::new();
    KEY.get_or_init(|| Arc::new(key(Algorithm::HmacSha256)))
}

/// What a server shows: members, serials and answers. Equal states are the same to every client.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    members: usize,
    serials: Vec<(Box<[u8]>, u32)>,
    answers: Vec<Vec<u8>>,
}

/// What a message came to.
pub struct Told {
    /// The reply; `None` for silence.
    pub reply: Option<Vec<u8>>,
    /// Whether it was refused.
    pub refused: bool,
    /// What changed, applied and published.
    pub changes: Vec<Change>,
}

/// The registrar and the question path, and every reply of theirs held against [`check_reply`].
pub struct Server {
    pub registrar: Registrar,
    pub now_ms: u64,
    question: Question,
    scratch: Scratch,
    desk: Desk,
    out: Vec<u8>,
}

impl Server {
    /// One with nine members, one of them owned by the key. It holds 16 members and 6 pools at most, so that limits are
    /// reached as well.
    pub fn new() -> Self {
        static MESSAGES: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
        let mut server = Self::empty();
        let messages = MESSAGES.get_or_init(|| {
            let message = |script: &str| update_message(script, None).to_vec().unwrap();
            let mut signed = message("add k1.web 30 A 10.0.0.9; add _http._tcp.web 30 SRV 0 10 8080 k1.web");
            sign_request(&mut signed, beat(), WALL_S, 300);
            let crowd: String =
                (0..20).map(|n| format!("add c{}.crowd 30 AAAA 2001:db8::{n}\n", n % 2)).collect();
            [message(MEMBERS), message(&crowd), signed]
        });
        for message in messages {
            let told = server.handle(Transport::Tcp, message);
            assert!(!told.refused && !told.changes.is_empty(), "the members join");
        }
        server
    }

    fn empty() -> Self {
        let apex = Name::bytes_from_str(ZONE).unwrap();
        let pool = |pool: &str| Name::bytes_from_str(&format!("{pool}.{ZONE}")).unwrap();
        let prefixes = ["10.0.0.0/8", "2001:db8::/32"].map(|prefix| prefix.parse::<IpNetwork>().unwrap());
        let all = || vec![NamePattern::new("*")];
        let (types, addresses) = (Types::All, Vec::from(prefixes));
        let rules = Grant { names: all(), targets: all(), types, addresses, ..Grant::to(Holder::Unsigned) };
        let signed = Grant { admin: true, key: Some(beat().name().clone()), ..rules.clone() };
        let zone = ZoneInput {
            records: file::parse(ZONE_FILE.as_bytes(), Path::new("pool.example.zone"), &apex).unwrap(),
            settings: ZoneSettings {
                apex,
                negative_ttl_s: 2,
                freeze_max_ms: 600_000,
                create_pools: true,
                // What most happens under.
                defaults: PoolSettings {
                    load_half_life_ms: 1_000,
                    warm_up_ms: 60_000,
                    ..pool_settings(Policy::LeastUsedDegradation)
                },
                pools: [
                    ("web", Policy::RoundRobin),
                    ("game", Policy::WeightedRandom),
                    ("crowd", Policy::RoundRobin),
                ]
                .map(|(name, policy)| (pool(name), pool_settings(policy)))
                .into(),
            },
            grants: Grants::new(vec![rules, signed]),
            serial: 7,
        };
        let mut keyring = Keyring::default();
        keyring.insert(key(Algorithm::HmacSha256)).unwrap();
        let limits = Limits { members: 16, pools: 6, records: 32 };
        let cookies = Arc::new(Cookies::new([7; 16]));
        let (zones, dynamics) = (vec![zone], Vec::new());
        let setup = Setup { zones, dynamics, keyring, cookies, limits, run: 1 };
        let mut registrar = Registrar::new(setup, NOW_MS, 1).unwrap();
        let text = |text: &str| Some(text.into());
        registrar.identify(Identity { version: text("version"), hostname: text("host"), nsid: text("nsid") });
        Server {
            registrar,
            now_ms: NOW_MS,
            question: Question::default(),
            scratch: Scratch::new(0, 1),
            desk: Desk::default(),
            out: vec![0; 65_535],
        }
    }

    /// The question path; a reply is held against the rules of all replies.
    pub fn answer(&mut self, transport: Transport, message: &[u8]) -> (Outcome, Option<&[u8]>) {
        let outcome = self.ask(transport, message);
        let Outcome::Reply(len, _) = outcome else { return (outcome, None) };
        let reply = &self.out[..len];
        check_reply(transport, message, reply);
        (outcome, Some(reply))
    }

    fn ask(&mut self, transport: Transport, message: &[u8]) -> Outcome {
        let zones = self.registrar.published();
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let terms = CookieTerms { cookies: self.registrar.cookies(), client, now_s: WALL_S as u32 };
        let reading = query::read(zones, message, &mut self.question);
        let keepalive = (transport == Transport::Tcp && self.question.wants_keepalive()).then_some(IDLE);
        let (now_ms, cookie) = (self.now_ms, Some(terms));
        let context =
            Context { zones, transport, now_ms, reserved: 0, client: Some(terms.client), cookie, keepalive };
        query::answer(&context, &self.question, reading, message, &mut self.scratch, &mut self.out)
    }

    /// The registrar's path, as the server's one writing thread goes it: judge, publish, reply. From loopback.
    pub fn handle(&mut self, transport: Transport, message: &[u8]) -> Told {
        let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let clock = Clock { now_ms: self.now_ms, wall_s: WALL_S };
        let handled =
            self.registrar.handle(&Request { message, source, transport, received_ms: clock.now_ms }, clock);
        let refused = handled.refusal.is_some();
        // That a lease was over is a fact, whatever becomes of the message that found it out.
        assert!(
            !refused || handled.changes.iter().all(Change::is_fact),
            "a refusal changes nothing: {:?}",
            handled.refusal
        );
        self.registrar.publish(&handled.changes, self.now_ms).expect("what is accepted can be published");
        self.registrar.rank(self.now_ms + 1_000, usize::MAX);
        handled.heartbeat.iter().for_each(|heartbeat| self.registrar.recognise(heartbeat));
        let reply = handled.reply.map(|plan| plan.finish(true, WALL_S));
        if let Some(reply) = &reply {
            check_reply(transport, message, reply);
        }
        Told { reply, refused, changes: handled.changes }
    }

    /// The way of a heartbeat that is known, as a worker goes it: its reply, if it is one. From loopback.
    pub fn beat(&mut self, transport: Transport, message: &[u8]) -> Option<Vec<u8>> {
        let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let request = Request { message, source, transport, received_ms: self.now_ms };
        let heartbeats = self.registrar.heartbeats();
        let (len, _) = heartbeats.take(&request, WALL_S, &mut self.desk, &mut self.out)?;
        let reply = self.out[..len].to_vec();
        check_reply(transport, message, &reply);
        Some(reply)
    }

    /// Has a message judged and its changes taken back, as when the store cannot commit them.
    pub fn handle_and_undo(&mut self, message: &[u8]) {
        let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let clock = Clock { now_ms: self.now_ms, wall_s: WALL_S };
        let request = Request { message, source, transport: Transport::Tcp, received_ms: clock.now_ms };
        let handled = self.registrar.handle(&request, clock);
        self.registrar.undo(&handled.changes.iter().collect::<Vec<_>>());
        self.registrar.publish(&[], self.now_ms).expect("what was published before can be again");
        let reply = handled.reply.expect("a reply to what was accepted").finish(false, WALL_S);
        check_reply(Transport::Tcp, message, &reply);
        assert_eq!(reply[3] & 0x0F, 2, "SERVFAIL");
    }

    /// Everything that clients see.
    pub fn state(&mut self) -> State {
        static QUESTIONS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
        let questions = QUESTIONS
            .get_or_init(|| STATE.iter().map(|(name, rtype)| question_message(name, rtype, None)).collect());
        let ask = |question: &Vec<u8>| match self.ask(Transport::Tcp, question) {
            Outcome::Reply(len, _) => self.out[..len].to_vec(),
            outcome => panic!("{outcome:?}"),
        };
        let answers = questions.iter().map(ask).collect();
        State { members: self.registrar.members(), serials: self.registrar.serials(), answers }
    }
}

/// What holds of every reply to any message: it is one (RFC 1035 section 4.1.1), its size is one that the client takes
/// (RFC 6891 section 6.2.5), and it can be read if the request could.
fn check_reply(transport: Transport, request: &[u8], reply: &[u8]) {
    assert!(request.len() >= 12 && request[2] & 0x80 == 0, "a reply to no request");
    assert!(reply.len() >= 12, "a whole header");
    assert_eq!(reply[..2], request[..2], "the id");
    assert_eq!(reply[2] & 0x80, 0x80, "QR");
    assert_eq!(reply[2] & 0x78, request[2] & 0x78, "the opcode");
    // By another reader of the request than ours. One that it cannot read may hold an OPT nevertheless.
    let read = Message::from_vec(request).ok();
    let most = match (transport, &read) {
        (Transport::Tcp, _) => 65_535,
        (Transport::Udp, None) => 1232,
        (Transport::Udp, Some(request)) => {
            request.edns.as_ref().map_or(512, |edns| usize::from(edns.max_payload().clamp(512, 1232)))
        }
    };
    assert!(reply.len() <= most, "{} octets over {transport:?}, of {most}", reply.len());
    if read.is_some() {
        Message::from_vec(reply).expect("a reply that can be read");
    }
}
