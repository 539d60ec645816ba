//! Random messages about few names and few values, so that they meet each other's records all the time. The same seed is the
//! same story.

use fastrand::Rng;

use super::table::rrset;
use super::world::World;

/// Names of a pool that is declared, `web`, of one that members may make, `lab`, and others.
pub const FEW_NAMES: [&str; 13] = [
    "@",
    "a",
    "lab",
    "m1.lab",
    "x.lab",
    "_http._tcp.lab",
    "y._http._tcp.lab",
    "info",
    "web",
    "m1.web",
    "m2.web",
    "x.m1.web",
    "_http._tcp.web",
];

/// What may be registered; the more often it is here, the more often it is.
const RECORDS: [(&str, &str); 11] = [
    ("TXT", "k=1"),
    ("TXT", "k=1"),
    ("TXT", "k=2"),
    ("A", "10.0.0.1"),
    ("A", "10.0.0.1"),
    ("A", "10.0.0.2"),
    ("MX", "10 mail"),
    ("CNAME", "info"),
    ("NS", "ns2"),
    ("SRV", "0 0 80 m1.POOL"),
    ("SRV", "0 0 80 m1.POOL"),
];

/// Every type of those.
const TYPES: [&str; 6] = ["A", "TXT", "MX", "CNAME", "SRV", "NS"];

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

/// An UPDATE of up to so many lines, in the words of [`super::world::update_message`].
pub fn script(rng: &mut Rng, names: &[&str], most: usize) -> String {
    let lines: Vec<_> = (0..rng.usize(1..=most)).map(|_| line(rng, names)).collect();
    lines.join("; ")
}

fn line(rng: &mut Rng, names: &[&str]) -> String {
    let (name, (rtype, data)) = (pick(rng, names), pick(rng, &RECORDS));
    let data = data.replace("POOL", if name.ends_with("lab") { "lab" } else { "web" });
    match rng.u8(..6) {
        0 => format!("delete {name}"),
        1 => format!("delete {name} {rtype}"),
        2 => format!("delete {name} {rtype} {data}"),
        _ => format!("add {name} {} {rtype} {data}", pick(rng, &[30, 60])),
    }
}

/// In one message of three, a prerequisite.
pub fn prerequisite(rng: &mut Rng) -> String {
    let (name, rtype) = (pick(rng, &FEW_NAMES), pick(rng, &["A", "TXT"]));
    match rng.u8(..12) {
        0 => format!("prereq nxdomain {name}; "),
        1 => format!("prereq yxdomain {name}; "),
        2 => format!("prereq nxrrset {name} {rtype}; "),
        3 => format!("prereq yxrrset {name} {rtype}; "),
        _ => String::new(),
    }
}

/// What the zone shows at names: TTLs by rdata, and the RCODE.
pub fn shown(world: &mut World, names: &[&str]) -> Vec<String> {
    let mut shown = Vec::new();
    for name in names {
        shown.extend(TYPES.map(|rtype| format!("{name} {rtype}: {:?}", rrset(world, name, rtype))));
    }
    shown
}
