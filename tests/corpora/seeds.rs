//! Where fuzzers begin: real messages of the kinds that the scenarios use, built by hickory-proto.

use rollcall::query::{Answered, Outcome, Transport};
use rollcall::wire::tsig::{Algorithm, sign_request};

use super::targets::world::{question_message, question_with_cookie, update_message};
use super::targets::{Server, WALL_S, beat, key};

/// Target, name, octets.
pub type Seed = (&'static str, &'static str, Vec<u8>);

const EDNS: Option<u16> = Some(1232);

/// Questions and what they come to.
const QUESTIONS: [(&str, &str, &str, Option<u16>, Answered); 21] = {
    use Answered::{NoData, NxDomain, Positive, Referral, Refused, Truncated, YxDomain};
    [
        ("pool-a", "web", "A", None, Positive),
        ("pool-aaaa-mixed-case", "wEB.pOOL.eXAMPLE.", "AAAA", EDNS, Positive),
        ("weighted-a", "game", "A", None, Positive),
        ("srv", "_http._tcp.web", "SRV", EDNS, Positive),
        ("all-srv", "_http._tcp.all.web", "SRV", EDNS, Positive),
        ("member-a", "m1.web", "A", None, Positive),
        ("member-txt", "m1.web", "TXT", None, Positive),
        ("soa", "@", "SOA", None, Positive),
        ("any", "web", "ANY", EDNS, Positive),
        ("alias-to-pool", "to-web", "A", None, Positive),
        ("alias-loop", "loop", "A", EDNS, Positive),
        ("crowd", "crowd", "AAAA", None, Truncated),
        ("nodata-empty-name", "b.c", "A", None, NoData),
        ("nxdomain-in-pool", "m9.web", "A", EDNS, NxDomain),
        ("nxdomain-below-note", "x.note._tcp.web", "TXT", None, NxDomain),
        ("elsewhere", "www.example.org.", "A", EDNS, Refused),
        ("wildcard", "a.b.wild", "A", None, Positive),
        ("referral", "x.sub", "A", EDNS, Referral),
        ("dname-to-member", "m1.old", "A", None, Positive),
        ("dname-too-long", "x.longer", "A", EDNS, YxDomain),
        ("mx", "mail", "MX", None, Positive),
    ]
};

/// UPDATEs, their lease option, and whether they are accepted.
const UPDATES: [(&str, &str, Option<&[u8]>, bool); 26] = [
    ("join", "add m7.web 30 A 10.0.0.7; add _http._tcp.web 30 SRV 0 10 8080 m7.web", None, true),
    ("join-new-pool", "add a.fresh 30 AAAA 2001:db8::7", Some(&[0, 0, 0, 9]), true),
    ("short-form", "add web 30 A 10.0.0.77", None, true),
    ("heartbeat", "add m1.web 30 A 10.0.0.1", Some(&[0, 0, 0, 60, 0, 0, 0, 90]), true),
    ("attributes", "add m1.web 30 TXT weight=5 load=0.25 priority=3", None, true),
    ("delete-then-add", "delete m1.web A; add m1.web 30 A 10.0.0.8", None, true),
    ("delete-record", "delete m1.web AAAA 2001:db8::1", None, true),
    ("delete-srv", "delete _http._tcp.web SRV 9 9 8081 m1.web; delete _http._tcp.web SRV", None, true),
    ("delete-pool", "delete web A; delete game", None, true),
    ("leave", "delete m1.web; delete n1.new", None, true),
    ("lease-0", "add m1.web 30 A 10.0.0.1", Some(&[0, 0, 0, 0]), true),
    ("bad-lease", "add m1.web 30 A 10.0.0.1", Some(&[0, 0, 0]), false),
    ("outside-grant", "add m1.web 30 A 192.0.2.1", Some(&[0, 0, 0, 9]), false),
    // The server has place for seven members and two pools more: the first of these are taken back.
    (
        "too-many-members",
        "add a.web 5 A 10.0.0.20; add b.web 5 A 10.0.0.21; add c.web 5 A 10.0.0.22; add d.web 5 A 10.0.0.23; \
         add e.web 5 A 10.0.0.24; add f.web 5 A 10.0.0.25; add g.web 5 A 10.0.0.26; add h.web 5 A 10.0.0.27",
        None,
        false,
    ),
    (
        "too-many-pools",
        "delete m1.web; add a.p 5 A 10.1.0.1; add a.q 5 A 10.1.0.1; add a.r 5 A 10.1.0.1",
        None,
        false,
    ),
    ("not-a-member", "add m8.web 30 TXT weight=2; add www 30 A 10.0.0.1", None, false),
    (
        "prerequisites",
        "prereq nxdomain host; prereq yxdomain info; prereq yxrrset web A; prereq nxrrset web MX; \
         prereq yxrrset a.b.c A 192.0.2.81; add host 60 A 10.0.0.50; add host 60 TXT v=1",
        None,
        true,
    ),
    ("prerequisite-not-met", "prereq yxrrset info TXT other; add host 60 A 10.0.0.50", None, false),
    (
        "leased-records",
        "add host 60 TXT v=1; add _acme.web 60 TXT v=2",
        Some(&[0, 0, 0, 20, 0, 0, 0, 90]),
        true,
    ),
    (
        "lease-0-of-records",
        "add a.b.c 60 A 192.0.2.81; add ns 60 AAAA 2001:db8::5",
        Some(&[0, 0, 0, 0]),
        true,
    ),
    ("delete-from-the-file", "delete info; delete a.b.c A; delete www CNAME info; delete @", None, true),
    ("apex", "add @ 60 NS ns2; delete @ NS ns; add @ 60 TXT v=1; add @ 60 TYPE65280 \\# 2 ABCD", None, true),
    ("binding", "add m1.web 30 A 10.0.0.1; add web 30 HTTPS 1 m1.web.pool.example. port=8443", None, true),
    ("drain", "add m1.web 30 A 10.0.0.1; add m1.web 30 TXT drain=20", None, true),
    ("operators-drain", "add _drain.m1.web 0 TXT for=60 why=bolts; delete _drain.n1.new", None, false),
    ("target-elsewhere", "add _s._tcp.web 30 SRV 0 1 5060 gw.example.net.", None, true),
];

const ZONES: [(&str, &str); 12] = [
    ("plain", "@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"),
    (
        "directives",
        "$TTL 1h\n$ORIGIN example.\npool 60 IN SOA ns.pool h.pool ( 1 2h 3 ; c (\n 4 5 )\n\n$ORIGIN pool.example.\n@ NS ns\nns AAAA ::1\n",
    ),
    (
        "types",
        "@ SOA . . 1 2 3 4 5\n@ NS ns\n@ MX 10 ns\n@ TXT \"a\\\"b\" c\\065 \"\"\ns SRV 1 2 3 ns\nc CNAME @\n@ CAA 0 issue \"x\"\nh HTTPS 1 . alpn=h2 port=8443\n",
    ),
    ("unknown", "@ SOA ns h 1 2 3 4 5\n@ NS ns\nx TYPE65280 \\# 4 0a000001\n_s._tcp PTR i._s._tcp\n"),
    ("include", "@ SOA ns h 1 2 3 4 5\n$INCLUDE other.zone\n"),
    ("open", "@ SOA ns h ( 1 2 3 4 5\n@ TXT \"open\n"),
    ("wildcard", "@ SOA ns h 1 2 3 4 5\n@ NS ns\n* A 192.0.2.1\nsub NS ns.sub\nd DNAME x.\n"),
    (
        "generate",
        "$TTL 1\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n$GENERATE 0-20/5 ${0,3,d}.r 60 IN CNAME ${1,0,x}-$$\n$GENERATE 1-2 ${0,8,n} TXT \"a $ b\" \\$\n",
    ),
    (
        "words",
        "@ SOA ns h 1 1h30m 3w 4 5\n NS ( ns ) ; \"\n\\@.\\000 1D CLASS1 TYPE16 a\"b c\"d \"\\\"\" (\n) \\# x\n$ORIGIN \"a.b\"\n\tPTR @\n",
    ),
    (
        "fields",
        "@ SOA . . 1 2 3 4 5\n@ NS ns\na LOC 1 2 3.4 N 5 W -6m 7m\na APL !1:10.0.0.0/8 2:::/0\na HIP 2 00ff AQID x\na NSAP 0x47.00\na L64 1 a:b:c:d\na CERT PGP 1 RSASHA256 AQID\na EUI48 00-00-5e-00-53-2a\n",
    ),
    (
        "octets",
        "@ SOA . . 1 2 3 4 5\n@ NS ns\na CSYNC \\# 9 00000001000300 0162\na SVCB \\# 3 000100\na CAA \\# 3 000161\na URI 1 2 \"a;b\"\nother. A 1.2.3.4\n",
    ),
    ("class", "@ CH SOA ns h 1 2 3 4 5\na.b.c.d 1w2d IN A 1.2.3.4\nA.B.c.d 5 A 1.2.3.5\n"),
];

/// All of them.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, owner, rtype, size, _) in QUESTIONS {
        seeds.push(("question", name, question_message(owner, rtype, size)));
    }
    let question = question_message("web", "A", Some(512));
    let patched = |at: usize, octet: u8| {
        let mut message = question.clone();
        message[at] = octet;
        message
    };
    seeds.push(("question", "status", patched(2, 2 << 3)));
    seeds.push(("question", "badvers", patched(question.len() - 5, 1)));
    seeds.push(("question", "chaos", patched(question.len() - 12, 3)));
    seeds.push(("question", "version-nsid", version_with_nsid()));
    for (name, octets) in [("cookie", 8), ("cookie-foreign", 40), ("cookie-malformed", 9)] {
        seeds.push(("question", name, question_with_cookie("web", "A", 512, &[7; 40][..octets])));
    }
    seeds.push(("question", "cookie-alone", cookie_alone()));
    seeds.push(("question", "keepalive", keepalive("crowd", &[])));
    seeds.push(("question", "keepalive-with-data", keepalive("web", &[0, 100])));
    for (name, script, lease, _) in UPDATES {
        seeds.push(("update", name, update_message(script, lease).to_vec().unwrap()));
    }
    let heartbeat = update_message("add k1.web 30 A 10.0.0.9", Some(&[0, 0, 0, 9])).to_vec().unwrap();
    let signed = |message: &[u8], algorithm: Algorithm| {
        let mut message = message.to_vec();
        sign_request(&mut message, &key(algorithm), WALL_S, 300);
        message
    };
    seeds.push(("update", "signed-question", signed(&question, Algorithm::HmacSha256)));
    seeds.push(("update", "signed-heartbeat", signed(&heartbeat, Algorithm::HmacSha256)));
    seeds.push(("update", "other-algorithm", signed(&heartbeat, Algorithm::HmacSha512)));
    for algorithm in Algorithm::ALL {
        seeds.push(("tsig", algorithm.name(), signed(&heartbeat, algorithm)));
    }
    seeds.push(("tsig", "unsigned", heartbeat.clone()));
    let twice = signed(&signed(&heartbeat, Algorithm::HmacSha256), Algorithm::HmacSha256);
    seeds.push(("tsig", "twice", twice));
    seeds.extend(opts());
    seeds.extend(ZONES.map(|(name, text)| ("zonefile", name, text.into())));
    seeds
}

/// A header, and an OPT with a client cookie.
fn cookie_alone() -> Vec<u8> {
    let mut message = question_with_cookie("web", "A", 512, &[7; 8]);
    message.drain(12..message.len() - 23);
    message[5] = 0;
    message
}

/// A question that asks how long its connection may be idle.
fn keepalive(name: &str, data: &[u8]) -> Vec<u8> {
    let mut message = question_with_cookie(name, "AAAA", 512, data);
    let code = message.len() - data.len() - 3;
    message[code] = 11;
    message
}

/// `version.bind` in class CH, with an empty NSID option.
fn version_with_nsid() -> Vec<u8> {
    let mut message = question_message("version.bind.", "TXT", Some(512));
    let class = message.len() - 12;
    message[class] = 3;
    message.truncate(message.len() - 2);
    message.extend([0, 4, 0, 3, 0, 0]);
    message
}

fn opts() -> [Seed; 9] {
    let opt = |size: u16, version: u8, options: &[u8]| {
        let mut record = vec![0, 0, 41];
        record.extend(size.to_be_bytes());
        record.extend([0, version, 0x80, 0, 0, options.len() as u8]);
        record.extend(options);
        record
    };
    [
        ("edns", "plain", opt(1232, 0, &[])),
        ("edns", "small-version-1", opt(100, 1, &[])),
        ("edns", "lease-4", opt(4096, 0, &[0, 2, 0, 4, 0, 0, 0, 30])),
        ("edns", "cookie-lease-8", opt(512, 0, &[0, 10, 0, 1, 9, 0, 2, 0, 8, 0, 0, 0, 30, 0, 0, 1, 0])),
        ("edns", "lease-6", opt(512, 0, &[0, 2, 0, 6, 0, 0, 0, 30, 0, 0])),
        ("edns", "cookie-8", opt(512, 0, &[&[0, 10, 0, 8][..], &[7; 8]].concat())),
        ("edns", "cookie-24", opt(512, 0, &[&[0, 10, 0, 24][..], &[7; 8], &[1, 0, 0, 0], &[9; 12]].concat())),
        ("edns", "cookie-41", opt(512, 0, &[&[0, 10, 0, 41][..], &[7; 41]].concat())),
        ("edns", "overrun", opt(512, 0, &[0, 2, 0, 9, 0, 0])),
    ]
}

/// Holds seeds against what they are for.
pub fn check() {
    let mut server = Server::new();
    for (what, owner, rtype, size, wanted) in QUESTIONS {
        let (outcome, _) = server.answer(Transport::Udp, &question_message(owner, rtype, size));
        assert!(matches!(outcome, Outcome::Reply(_, answered) if answered == wanted), "{what}: {outcome:?}");
    }
    let outcome = Server::new().answer(Transport::Udp, &cookie_alone()).0;
    assert_eq!(outcome, Outcome::Reply(12 + 39, Answered::Cookie));
    for (what, script, lease, is_accepted) in UPDATES {
        let message = update_message(script, lease).to_vec().unwrap();
        let told = Server::new().handle(Transport::Udp, &message);
        assert_eq!((told.refused, told.changes.is_empty()), (!is_accepted, !is_accepted), "{what}");
    }
    let mut heartbeat = update_message("add k1.web 30 A 10.0.0.9", None).to_vec().unwrap();
    assert!(Server::new().handle(Transport::Udp, &heartbeat).refused, "k1 is the key's");
    sign_request(&mut heartbeat, beat(), WALL_S, 300);
    assert!(!Server::new().handle(Transport::Udp, &heartbeat).refused);
}
