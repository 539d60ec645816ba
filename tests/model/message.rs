//! What a random UPDATE may say. Few names, types and values, so that messages meet each other's records all the time.

use hickory_proto::op::ResponseCode;
use proptest::prelude::*;
use proptest::sample::select;

/// Where a name lies, relative to the zone, with the RRsets that may be registered there.
const ORDINARY: [(&str, &str, &[&str]); 17] = [
    ("host", "A", &["10.0.0.50", "10.0.0.51"]),
    ("host", "TXT", &["v=1", "v=2"]),
    ("host", "CNAME", &["info", "ns"]),
    ("info", "KEY", &["\\# 5 0201030DAA", "\\# 5 0201030DBB"]),
    ("x.host", "TXT", &["v=1"]),
    ("x.host", "CNAME", &["info", "host"]),
    ("info", "A", &["192.0.2.80", "10.0.0.50"]),
    ("info", "MX", &["10 ns", "20 ns"]),
    ("www", "CNAME", &["info", "ns"]),
    ("www", "TXT", &["v=1"]),
    ("b.c", "TYPE65280", &["\\# 1 00", "\\# 2 0001"]),
    ("a.b.c", "A", &["192.0.2.81", "10.0.0.50"]),
    ("@", "TXT", &["v=1", "v=2"]),
    ("web", "TXT", &["v=1", "v=2"]),
    ("_acme.web", "TXT", &["v=1", "v=2"]),
    ("x.m1.web", "TXT", &["v=1"]),
    ("_s._tcp.web", "TXT", &["path=/"]),
];

/// What members register.
const MEMBERS: [(&str, &str, &[&str]); 9] = [
    ("m1.web", "A", &["10.0.0.1", "10.0.0.11"]),
    ("m1.web", "AAAA", &["2001:db8::1"]),
    ("m1.web", "TXT", &["weight=1", "weight=2", "site=fra"]),
    ("m2.web", "A", &["10.0.0.2", "10.0.0.12"]),
    ("m2.web", "TXT", &["weight=1", "site=fra"]),
    (
        "_s._tcp.web",
        "SRV",
        &["0 1 80 m1.web", "7 1 80 m1.web", "0 1 81 m1.web", "0 1 80 m2.web", "0 9 80 m2.web"],
    ),
    ("web", "A", &["10.0.0.7", "10.0.0.8"]),
    ("web", "AAAA", &["2001:db8::7"]),
    // Nobody asks for it by name: the pool's addresses have it.
    ("10-0-0-7.web", "A", &["10.0.0.7"]),
];

/// Update records that are wrong whatever the zone holds.
const WRONG: [(&str, ResponseCode); 11] = [
    ("add host.example.org. 60 TXT v=1", ResponseCode::NotZone),
    ("delete host.lab", ResponseCode::NotZone),
    ("record host 60 CH TXT v=1", ResponseCode::FormErr),
    ("record host 60 IN A \\# 3 0A0000", ResponseCode::FormErr),
    ("record host 60 ANY TXT", ResponseCode::FormErr),
    ("record host 0 NONE ANY \\# 1 00", ResponseCode::FormErr),
    ("record m1.web 0 ANY AXFR", ResponseCode::FormErr),
    ("add web 60 CNAME info", ResponseCode::Refused),
    ("add x.m1.web 60 CNAME info", ResponseCode::Refused),
    ("add *.host 60 NS ns", ResponseCode::Refused),
    ("add *.web 60 TXT v=1", ResponseCode::Refused),
];

/// Prerequisites that are wrong whatever the zone holds.
const WRONG_PREREQUISITES: [(&str, ResponseCode); 5] = [
    ("prereq yxdomain host.example.org.", ResponseCode::NotZone),
    ("prereq nxrrset host.lab TXT", ResponseCode::NotZone),
    ("prereq record host 60 ANY TXT", ResponseCode::FormErr),
    ("prereq record host 0 NONE A 10.0.0.50", ResponseCode::FormErr),
    ("prereq record host 0 CH TXT v=1", ResponseCode::FormErr),
];

/// A name and a type.
pub type Key = (&'static str, &'static str);

/// One prerequisite (RFC 2136 section 2.4).
#[derive(Debug, Clone)]
pub enum Prerequisite {
    InUse(&'static str),
    NotInUse(&'static str),
    Exists(Key),
    DoesNotExist(Key),
    /// The RRset is what it is when the message is sent, but for a difference.
    Is(Key, Difference),
    Wrong(&'static str, ResponseCode),
}

/// What a prerequisite says of an RRset, beside what there is.
#[derive(Debug, Clone, Copy)]
pub enum Difference {
    None,
    Lacks,
    Has(&'static str),
}

/// One record of the update section (RFC 2136 section 2.5).
#[derive(Debug, Clone)]
pub enum Change {
    Add(Key, &'static str, u32),
    DeleteRrset(Key),
    DeleteName(&'static str),
    DeleteRecord(Key, &'static str),
    Wrong(&'static str, ResponseCode),
}

/// One UPDATE.
#[derive(Debug, Clone)]
pub struct Update {
    pub prerequisites: Vec<Prerequisite>,
    pub changes: Vec<Change>,
    /// LEASE and KEY-LEASE, seconds.
    pub lease: Option<(u32, Option<u32>)>,
    /// Which of two clients sends it.
    pub source: &'static str,
}

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Event {
    Update(Update),
    /// Time passes, with or without the server's tick.
    Wait {
        ms: u64,
        is_swept: bool,
    },
}

impl Change {
    /// As a line of a script.
    pub fn line(&self) -> String {
        match self {
            Change::Add((name, rtype), value, ttl_s) => format!("add {name} {ttl_s} {rtype} {value}"),
            Change::DeleteRrset((name, rtype)) => format!("delete {name} {rtype}"),
            Change::DeleteName(name) => format!("delete {name}"),
            Change::DeleteRecord((name, rtype), value) => format!("delete {name} {rtype} {value}"),
            Change::Wrong(line, _) => (*line).to_owned(),
        }
    }
}

/// All RRsets that may be registered, each with its values.
pub fn rrsets() -> impl Iterator<Item = (Key, &'static [&'static str])> {
    ORDINARY.iter().chain(&MEMBERS).map(|&(name, rtype, values)| ((name, rtype), values))
}

fn key_and_value() -> impl Strategy<Value = (Key, &'static str)> {
    let all: Vec<_> =
        rrsets().flat_map(|(key, values)| values.iter().map(move |&value| (key, value))).collect();
    // Members' records as often as all others together.
    let (members, ordinary): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(key, _)| MEMBERS.iter().any(|&(name, rtype, _)| *key == (name, rtype)));
    prop_oneof![select(members), select(ordinary)]
}

fn prerequisite() -> impl Strategy<Value = Prerequisite> {
    let difference = |value| {
        prop_oneof![
            4 => Just(Difference::None),
            1 => Just(Difference::Lacks),
            1 => Just(Difference::Has(value)),
        ]
    };
    prop_oneof![
        2 => key_and_value().prop_map(|(key, _)| Prerequisite::InUse(key.0)),
        2 => key_and_value().prop_map(|(key, _)| Prerequisite::NotInUse(key.0)),
        2 => key_and_value().prop_map(|(key, _)| Prerequisite::Exists(key)),
        2 => key_and_value().prop_map(|(key, _)| Prerequisite::DoesNotExist(key)),
        6 => key_and_value().prop_flat_map(move |(key, value)| {
            difference(value).prop_map(move |difference| Prerequisite::Is(key, difference))
        }),
        1 => select(&WRONG_PREREQUISITES).prop_map(|(line, rcode)| Prerequisite::Wrong(line, rcode)),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let ttl_s = |key: Key| {
        if MEMBERS.iter().any(|&(name, rtype, _)| key == (name, rtype)) { vec![30] } else { vec![60, 90] }
    };
    prop_oneof![
        24 => key_and_value().prop_flat_map(move |(key, value)| {
            select(ttl_s(key)).prop_map(move |ttl_s| Change::Add(key, value, ttl_s))
        }),
        3 => key_and_value().prop_map(|(key, _)| Change::DeleteRrset(key)),
        2 => key_and_value().prop_map(|(key, _)| Change::DeleteName(key.0)),
        5 => key_and_value().prop_map(|(key, value)| Change::DeleteRecord(key, value)),
        // The zone keeps its name server.
        1 => select(vec![
            Change::DeleteRrset(("@", "NS")),
            Change::DeleteRrset(("@", "SOA")),
            Change::DeleteRecord(("@", "NS"), "ns"),
            Change::Add(("@", "SOA"), "ns hostmaster 6 1 1 1 1", 60),
            Change::Add(("host", "SOA"), "ns hostmaster 6 1 1 1 1", 60),
        ]),
        1 => select(&WRONG).prop_map(|(line, rcode)| Change::Wrong(line, rcode)),
    ]
}

fn update() -> impl Strategy<Value = Update> {
    let prerequisites = prop_oneof![3 => Just(0..1_usize), 2 => Just(1..4)];
    let prerequisites = prerequisites.prop_flat_map(|count| prop::collection::vec(prerequisite(), count));
    let seconds = || prop_oneof![4 => 2_u32..20, 1 => Just(600), 1 => Just(0)];
    let lease = prop::option::of((seconds(), prop::option::of(seconds())));
    let source = prop_oneof![5 => Just("127.0.0.1"), 1 => Just("127.0.0.2")];
    (prerequisites, prop::collection::vec(change(), 0..6), lease, source)
        .prop_map(|(prerequisites, changes, lease, source)| Update { prerequisites, changes, lease, source })
}

/// Something that happens.
pub fn event() -> impl Strategy<Value = Event> {
    let wait_ms = prop_oneof![4 => 1_u64..8_000, 1 => 20_000_u64..70_000];
    prop_oneof![
        3 => update().prop_map(Event::Update),
        1 => (wait_ms, any::<bool>()).prop_map(|(ms, is_swept)| Event::Wait { ms, is_swept }),
    ]
}
