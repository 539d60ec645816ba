//! Random zones and questions. Few labels, so that names meet: wildcards, empty names, cuts and DNAMEs above, beside and below
//! each other.

use std::fmt;

use proptest::prelude::*;

/// A name's labels from the root down, lower case, without the root: what lies below a name begins with it.
pub type Labels = Vec<&'static str>;

/// The zone.
pub const APEX: [&str; 2] = ["example", "pool"];
/// A label of which three make a name too long for a fourth one and a zone (RFC 1035 section 2.3.4).
const LONG: &str = "long-long-long-long-long-long-long-long-long-long-long-long-xx";
/// TTL of the SOA, and of negative answers.
pub const SOA_TTL_S: u32 = 300;
pub const NEGATIVE_TTL_S: u32 = 2;

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rr {
    pub owner: Labels,
    pub ttl_s: u32,
    pub data: Data,
}

/// Rdata, of as many types as there are rules about types.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Data {
    A(u8),
    Aaaa(u8),
    Txt(u8),
    Ns(Labels),
    Cname(Labels),
    Dname(Labels),
    Mx(u8, Labels),
    Srv(u8, Labels),
    Https(u8, Labels),
    Soa,
    Unknown(u8),
}

/// A type nobody knows (RFC 3597).
pub const UNKNOWN: u16 = 65_280;
pub const DS: u16 = 43;
pub const ANY: u16 = 255;

impl Data {
    pub fn rtype(&self) -> u16 {
        match self {
            Data::A(_) => 1,
            Data::Ns(_) => 2,
            Data::Cname(_) => 5,
            Data::Soa => 6,
            Data::Mx(..) => 15,
            Data::Txt(_) => 16,
            Data::Aaaa(_) => 28,
            Data::Srv(..) => 33,
            Data::Dname(_) => 39,
            Data::Https(..) => 65,
            Data::Unknown(_) => UNKNOWN,
        }
    }

    /// The name that it points to, whose addresses belong in Additional.
    pub fn target(&self) -> Option<&Labels> {
        match self {
            Data::Ns(target) | Data::Mx(_, target) | Data::Srv(_, target) => Some(target),
            // "." stands for the owner: see the reference.
            Data::Https(_, target) => Some(target),
            _ => None,
        }
    }

    /// The same with other names.
    pub fn map(self, name: impl FnOnce(&Labels) -> Labels) -> Self {
        match self {
            Data::Ns(target) => Data::Ns(name(&target)),
            Data::Cname(target) => Data::Cname(name(&target)),
            Data::Dname(target) => Data::Dname(name(&target)),
            Data::Mx(n, target) => Data::Mx(n, name(&target)),
            Data::Srv(n, target) => Data::Srv(n, name(&target)),
            Data::Https(n, target) => Data::Https(n, name(&target)),
            data => data,
        }
    }
}

/// As a zone file has it, with whole names.
impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::A(n) => write!(f, "A 192.0.2.{n}"),
            Data::Aaaa(n) => write!(f, "AAAA 2001:db8::{n:x}"),
            Data::Txt(n) => write!(f, "TXT text{n}"),
            Data::Ns(target) => write!(f, "NS {}", text(target)),
            Data::Cname(target) => write!(f, "CNAME {}", text(target)),
            Data::Dname(target) => write!(f, "DNAME {}", text(target)),
            Data::Mx(n, target) => write!(f, "MX {n} {}", text(target)),
            Data::Srv(n, target) => write!(f, "SRV {n} 0 80 {}", text(target)),
            Data::Https(n, target) => write!(f, "HTTPS {n} {}", text(target)),
            Data::Soa => {
                write!(f, "SOA ns.pool.example. host.pool.example. 7 3600 600 86400 {NEGATIVE_TTL_S}")
            }
            Data::Unknown(n) => write!(f, "TYPE{UNKNOWN} \\# 3 C00C{n:02X}"),
        }
    }
}

/// A name as text, with its closing dot.
pub fn text(labels: &[&str]) -> String {
    let text: String = labels.iter().rev().map(|label| format!("{label}.")).collect();
    if text.is_empty() { ".".to_owned() } else { text }
}

/// Octets of a name.
pub fn octets(labels: &[&str]) -> usize {
    1 + labels.iter().map(|label| 1 + label.len()).sum::<usize>()
}

/// A zone file.
pub fn zone_text(records: &[Rr]) -> String {
    let lines = records.iter().map(|rr| format!("{} {} IN {}\n", text(&rr.owner), rr.ttl_s, rr.data));
    lines.collect()
}

/// What a zone may hold besides what all servers agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// All that rollcall takes.
    All,
    /// Nothing below a DNAME: Knot and NSD refuse such a file, and rollcall serves what is to be seen of it.
    NothingBelowDnames,
}

/// A zone that a zone file may have: its SOA and NS, and other records at random.
pub fn zone(allowed: Allowed) -> impl Strategy<Value = Vec<Rr>> {
    proptest::collection::vec((owner(), 0..3_u32, data()), 0..24).prop_map(move |drawn| {
        let soa = Rr { owner: APEX.to_vec(), ttl_s: SOA_TTL_S, data: Data::Soa };
        let server = |label| [&APEX[..], &[label]].concat();
        let ns = Rr { owner: APEX.to_vec(), ttl_s: 300, data: Data::Ns(server("ns")) };
        let address = Rr { owner: server("ns"), ttl_s: 300, data: Data::A(53) };
        let mut records = vec![soa, ns, address];
        for (owner, ttl, data) in drawn.into_iter().flat_map(with_glue) {
            // One TTL an RRset (RFC 2181 section 5.2), and none by which types could be told apart.
            let ttl_s = 100 + 100 * ((ttl + owner.len() as u32) % 3);
            let of_set = records.iter().find(|rr| rr.owner == owner && rr.data.rtype() == data.rtype());
            let rr = Rr { ttl_s: of_set.map_or(ttl_s, |rr| rr.ttl_s), owner, data };
            if may_stand(&records, &rr, allowed) {
                records.push(rr);
            }
        }
        records
    })
}

/// Of three NS records one has its server below its owner, with an address: few would be so by chance.
fn with_glue((owner, ttl, data): (Labels, u32, Data)) -> Vec<(Labels, u32, Data)> {
    if ttl > 0 || !matches!(data, Data::Ns(_)) {
        return vec![(owner, ttl, data)];
    }
    let server = [&owner[..], &["ns"]].concat();
    vec![(owner, ttl, Data::Ns(server.clone())), (server, ttl, Data::A(9))]
}

/// Whether a zone with these records may have another one.
fn may_stand(records: &[Rr], new: &Rr, allowed: Allowed) -> bool {
    let is_apex = new.owner == APEX;
    let beside = || records.iter().filter(|rr| rr.owner == new.owner);
    let is_alias = |data: &Data| matches!(data, Data::Cname(_));
    let is_dname = |data: &Data| matches!(data, Data::Dname(_));
    let is_ns = |data: &Data| matches!(data, Data::Ns(_));
    let is_below = |name: &Labels, above: &Labels| name.len() > above.len() && name.starts_with(above);
    let clashes = |rr: &Rr| {
        rr.data == new.data
            || is_alias(&rr.data)
            || is_alias(&new.data)
            || (is_dname(&rr.data) && is_dname(&new.data))
            || (!is_apex && is_dname(&rr.data) && is_ns(&new.data))
            || (!is_apex && is_ns(&rr.data) && is_dname(&new.data))
    };
    let is_wildcard = new.owner.last() == Some(&"*");
    let occludes = |rr: &Rr| {
        (is_dname(&rr.data) && is_below(&new.owner, &rr.owner))
            || (is_dname(&new.data) && is_below(&rr.owner, &new.owner))
    };
    let is_soa_of_parent = |rr: &Rr| rr.data == Data::Soa && is_alias(&new.data);
    !(beside().any(clashes)
        || beside().any(is_soa_of_parent)
        || (is_wildcard && (is_ns(&new.data) || is_dname(&new.data)))
        || (allowed == Allowed::NothingBelowDnames && records.iter().any(occludes)))
}

/// Questions about a zone: for names that it has, names beside and below those, and names elsewhere.
pub fn questions(count: usize) -> impl Strategy<Value = Vec<(Labels, u16)>> {
    let rtype = prop_oneof![
        6 => Just(1_u16), 2 => Just(28), 2 => Just(16), 2 => Just(2), 2 => Just(5), 1 => Just(6), 2 => Just(15),
        1 => Just(33), 2 => Just(39), 1 => Just(65), 1 => Just(UNKNOWN), 1 => Just(DS), 1 => Just(ANY), 1 => Just(99),
    ];
    let name = prop_oneof![
        10 => owner(),
        3 => (owner(), label()).prop_map(|(owner, label)| [owner, vec![label]].concat()),
        1 => (owner(), Just(LONG)).prop_map(|(owner, label)| [owner, vec![label, label]].concat()),
        1 => Just(vec!["example", "net", "www"]),
    ];
    proptest::collection::vec((name.prop_filter("a name", |name| octets(name) <= 255), rtype), 1..=count)
}

fn label() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("a"), 4 => Just("b"), 3 => Just("c"), 3 => Just("*"), 1 => Just("ns"), 1 => Just("_x")]
}

fn owner() -> impl Strategy<Value = Labels> {
    proptest::collection::vec(label(), 0..4).prop_map(|labels| [&APEX[..], &labels].concat())
}

fn target() -> impl Strategy<Value = Labels> {
    prop_oneof![
        12 => owner(),
        1 => Just(vec!["net", "example", "www"]),
        1 => Just([&APEX[..], &[LONG, LONG, "a"]].concat()),
    ]
}

fn data() -> impl Strategy<Value = Data> {
    let number = 1..4_u8;
    // An HTTPS record for "." is for its owner; all other targets are names.
    let https = prop_oneof![4 => target(), 1 => Just(Labels::new())];
    prop_oneof![
        4 => number.clone().prop_map(Data::A),
        2 => number.clone().prop_map(Data::Aaaa),
        2 => number.clone().prop_map(Data::Txt),
        3 => target().prop_map(Data::Ns),
        4 => target().prop_map(Data::Cname),
        3 => target().prop_map(Data::Dname),
        1 => (number.clone(), target()).prop_map(|(n, target)| Data::Mx(n, target)),
        1 => (number.clone(), target()).prop_map(|(n, target)| Data::Srv(n, target)),
        1 => (0..3_u8, https).prop_map(|(n, target)| Data::Https(n, target)),
        1 => number.prop_map(Data::Unknown),
    ]
}
