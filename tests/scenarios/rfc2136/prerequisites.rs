//! Section 3.2: what has to hold before anything is done.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use hickory_proto::op::ResponseCode;
use hickory_proto::op::ResponseCode::{FormErr, NXDomain, NXRRSet, NoError, NotZone, YXDomain, YXRRSet};

use crate::table::Serial::{Moves, Stays};
use crate::table::{Authority, Row, assert_holds, judge_all, row, rrset};
use crate::world::{World, update_message};

/// Two addresses, a text, a name in rdata, and a name with nothing but a name below it: `only`.
const BEFORE: &str = "add host 60 A 10.0.0.1; add host 60 A 10.0.0.2; add host 60 TXT v=1; \
                      add mail 60 MX 10 Host; add deep.only 60 TXT here";

/// The rule, its prerequisites, and the RCODE. Beside them each message adds `new`.
type Case = (&'static str, &'static str, ResponseCode);

#[rustfmt::skip]
pub const CASES: [Case; 59] = [
    ("3.2.1 name is in use", "yxdomain host", NoError),
    ("3.2.1 name is in use: the zone's own", "yxdomain @", NoError),
    ("3.2.1 name is in use: an alias", "yxdomain www", NoError),
    ("3.2.1 name is in use: it is not", "yxdomain nope", NXDomain),
    ("3.2.1, 7.7 name is in use: an empty non-terminal is not", "yxdomain only", NXDomain),
    ("3.2.1 name is in use: TTL", "record host 60 ANY ANY", FormErr),
    ("3.2.1 name is in use: rdata", "record host 0 ANY ANY \\# 1 00", FormErr),
    ("3.2.1 RRset exists", "yxrrset host A", NoError),
    ("3.2.1 RRset exists: case of the name", "yxrrset HOST A", NoError),
    ("3.2.1 RRset exists: the alias itself", "yxrrset www CNAME", NoError),
    ("3.2.1 RRset exists: the SOA", "yxrrset @ SOA", NoError),
    ("3.2.1 RRset exists: no such type", "yxrrset host AAAA", NXRRSet),
    ("3.2.1 RRset exists: no such name", "yxrrset nope A", NXRRSet),
    ("3.2.1, 7.7 RRset exists: an empty non-terminal", "yxrrset only TXT", NXRRSet),
    ("3.2.1, 1.1.4 RRset exists: an alias is not followed", "yxrrset www TXT", NXRRSet),
    ("3.2.1 RRset exists: unknown type", "yxrrset host TYPE65280", NXRRSet),
    ("3.2.1 RRset exists: TTL", "record host 60 ANY A", FormErr),
    ("3.2.1 RRset exists: rdata", "record host 0 ANY A 10.0.0.1", FormErr),
    ("3.2.2 name is not in use", "nxdomain nope", NoError),
    ("3.2.2, 7.7 name is not in use: an empty non-terminal", "nxdomain only", NoError),
    ("3.2.2 name is not in use: it is", "nxdomain host", YXDomain),
    ("3.2.2 name is not in use: case of the name", "nxdomain HoSt", YXDomain),
    ("3.2.2 name is not in use: the zone's own", "nxdomain @", YXDomain),
    ("3.2.2 name is not in use: an alias", "nxdomain www", YXDomain),
    ("3.2.2 name is not in use: TTL", "record nope 60 NONE ANY", FormErr),
    ("3.2.2 name is not in use: rdata", "record nope 0 NONE ANY \\# 1 00", FormErr),
    ("3.2.2 RRset does not exist", "nxrrset host AAAA", NoError),
    ("3.2.2 RRset does not exist: no such name", "nxrrset nope A", NoError),
    ("3.2.2, 7.7 RRset does not exist: an empty non-terminal", "nxrrset only TXT", NoError),
    ("3.2.2, 1.1.4 RRset does not exist: an alias is not followed", "nxrrset www TXT", NoError),
    ("3.2.2 RRset does not exist: it does", "nxrrset host A", YXRRSet),
    ("3.2.2 RRset does not exist: the alias itself", "nxrrset www CNAME", YXRRSet),
    ("3.2.2 RRset does not exist: TTL", "record nope 60 NONE A", FormErr),
    ("3.2.2 RRset does not exist: rdata", "record nope 0 NONE A 10.0.0.1", FormErr),
    ("3.2.3 RRset is", "yxrrset host TXT v=1", NoError),
    ("3.2.3 RRset is: in any order", "yxrrset host A 10.0.0.2; prereq yxrrset host A 10.0.0.1", NoError),
    ("3.2.3, 1.1.2 RRset is: case of names", "yxrrset MAIL MX 10 hOST", NoError),
    ("3.2.3 RRset is: each of several",
        "yxrrset host TXT v=1; prereq yxrrset mail MX 10 host; prereq yxrrset www CNAME info", NoError),
    ("3.2.3 RRset is: one of several is not",
        "yxrrset host TXT v=1; prereq yxrrset mail MX 20 host; prereq yxrrset www CNAME info", NXRRSet),
    ("3.2.3 RRset is: types apart",
        "yxrrset host A 10.0.0.1; prereq yxrrset host TXT v=1; prereq yxrrset host A 10.0.0.2", NoError),
    ("3.2.3 RRset is: it has more", "yxrrset host A 10.0.0.1", NXRRSet),
    ("3.2.3 RRset is: it has less",
        "yxrrset host A 10.0.0.1; prereq yxrrset host A 10.0.0.2; prereq yxrrset host A 10.0.0.3", NXRRSet),
    ("3.2.3 RRset is: another value", "yxrrset host TXT v=2", NXRRSet),
    ("3.2.3 RRset is: case of text", "yxrrset host TXT V=1", NXRRSet),
    ("3.2.3 RRset is: no such type", "yxrrset host AAAA 2001:db8::1", NXRRSet),
    ("3.2.3 RRset is: no such name", "yxrrset nope A 10.0.0.1", NXRRSet),
    ("3.2.3 RRset is: TTL", "record host 60 IN TXT v=1", FormErr),
    ("3.2.3 RRset is: rdata of another type", "record host 0 IN A \\# 3 0A0000", FormErr),
    ("3.2.4 class CH", "record host 0 CH TXT v=1", FormErr),
    ("3.2.4 a class that nobody knows", "record host 0 CLASS65280 A", FormErr),
    ("3.2 not in the zone: in use", "yxdomain example.org.", NotZone),
    ("3.2 not in the zone: not in use", "nxdomain nope.example.", NotZone),
    ("3.2 not in the zone: RRset exists", "yxrrset example. NS", NotZone),
    ("3.2 not in the zone: RRset does not exist", "nxrrset nope.example.org. A", NotZone),
    ("3.2 not in the zone: RRset is", "yxrrset www.example.org. A 10.0.0.1", NotZone),
    ("3.2 not in the zone: its name is the end of another", "nxdomain xpool.example.", NotZone),
    ("3.2.5 several, and all hold", "yxdomain host; prereq nxrrset host AAAA; prereq nxdomain nope", NoError),
    ("3.2.5 the first that does not hold says why", "yxdomain nope; prereq nxdomain host", NXDomain),
    ("3.2.5 values are compared when all else holds", "yxrrset host TXT v=2; prereq nxdomain host", YXDomain),
];

/// Each case, with a message that adds a name if its prerequisites hold.
pub fn rows() -> Vec<Row> {
    let each = CASES.iter().map(|&(rule, prerequisites, rcode)| {
        let message = format!("prereq {prerequisites}; add new 60 TXT yes");
        let (after, serial) =
            if rcode == NoError { ("new TXT yes", Moves) } else { ("new TXT NXDOMAIN", Stays) };
        row(rule, BEFORE, message.leak(), rcode, after, serial)
    });
    each.collect()
}

#[test]
fn section_3_2() {
    judge_all(&rows(), World::for_records);
}

pub const ROWS: [Row; 6] = [
    row(
        "3.2 nothing but prerequisites that hold",
        BEFORE,
        "prereq yxdomain host",
        NoError,
        "host TXT v=1",
        Stays,
    ),
    row("3.2 nothing but one that does not", BEFORE, "prereq nxdomain host", YXDomain, "host TXT v=1", Stays),
    row(
        "3.2 the zone before the message is what counts",
        BEFORE,
        "prereq nxdomain new; prereq yxrrset host TXT v=1; add new 60 TXT yes; delete host TXT; add host 60 TXT v=2",
        NoError,
        "new TXT yes; host TXT v=2",
        Moves,
    ),
    row(
        "3.2 a retry meets what it did itself",
        "prereq nxdomain new; add new 60 TXT yes",
        "prereq nxdomain new; add new 60 TXT yes",
        YXDomain,
        "new TXT yes",
        Stays,
    ),
    row(
        "3.2.3 TTLs are not compared, and unknown types are",
        "add host 86400 TYPE65280 \\# 3 0A0b0C",
        "prereq yxrrset host TYPE65280 \\# 3 0A0B0C; add new 60 TXT yes",
        NoError,
        "new TXT yes",
        Moves,
    ),
    row(
        "3.2, 3.4.1 a prerequisite comes before a malformed update",
        "",
        "prereq yxdomain nope; add new 60 TXT yes; record new 60 ANY A",
        NXDomain,
        "new TXT NXDOMAIN",
        Stays,
    ),
];

#[test]
fn section_3_2_and_what_follows() {
    judge_all(&ROWS, World::for_records);
}

#[test]
fn the_soa_is_compared_as_it_is_served() {
    let mut world = World::for_records();
    the_soa_as_served_holds(&mut world);
}

/// Clients that change a zone only if nobody else has send back the SOA that they were shown.
pub fn the_soa_as_served_holds(server: &mut impl Authority) {
    let (_, soa) = rrset(server, "@", "SOA");
    let soa = soa.first_key_value().unwrap().0;
    let message = format!("prereq yxrrset @ SOA {soa}; add new 60 TXT yes");
    let message = update_message(&message, None).to_vec().unwrap();
    assert_eq!(server.update(&message), NoError);
    assert_holds(server, "new TXT yes");
    assert_eq!(server.update(&message), NXRRSet, "the serial has moved");
}
