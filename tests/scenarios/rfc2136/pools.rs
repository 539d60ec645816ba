//! Section 3 where there are pools: prerequisites see what the zone shows, ordinary records live beside members, and what would
//! hide a pool is refused.

use hickory_proto::op::ResponseCode::{self, NXDomain, NXRRSet, NoError, Refused, YXDomain, YXRRSet};

use crate::table::Serial::{Moves, Stays};
use crate::table::{Row, accept, assert_holds, judge_all, row};
use crate::world::World;

const MEMBERS: &str = "add m1.web 30 A 10.0.0.1; add m1.web 30 TXT weight=20; add _s._tcp.web 30 SRV 0 10 80 m1.web; \
                       add m2.web 30 A 10.0.0.2; add g1.game 30 A 10.0.0.3; add g2.game 30 A 10.0.0.4";

/// The rule, its prerequisites, and the RCODE. Beside them each message adds `new`.
type Case = (&'static str, &'static str, ResponseCode);

#[rustfmt::skip]
const CASES: [Case; 17] = [
    ("3.2.1 name is in use: a pool", "yxdomain web", NoError),
    ("3.2.1 name is in use: a member", "yxdomain m1.web", NoError),
    ("3.2.1 name is in use: a service", "yxdomain _s._tcp.web", NoError),
    ("3.2.1, 7.7 name is in use: between a service and its pool", "yxdomain _tcp.web", NXDomain),
    ("3.2.1 RRset exists: a pool's addresses", "yxrrset web A", NoError),
    ("3.2.1 RRset exists: a pool has no such addresses", "yxrrset web AAAA", NXRRSet),
    ("3.2.2 name is not in use: nobody's", "nxdomain m3.web", NoError),
    ("3.2.2 name is not in use: a member", "nxdomain m1.web", YXDomain),
    ("3.2.2 name is not in use: a service", "nxdomain _s._tcp.web", YXDomain),
    ("3.2.2 RRset does not exist: a member's", "nxrrset m1.web AAAA", NoError),
    ("3.2.2 RRset does not exist: a pool's addresses", "nxrrset web A", YXRRSet),
    ("3.2.3 RRset is: a pool's addresses", "yxrrset web A 10.0.0.1; prereq yxrrset web A 10.0.0.2", NoError),
    ("3.2.3 RRset is: one of a pool's addresses", "yxrrset web A 10.0.0.1", NXRRSet),
    ("3.2.3 RRset is: all addresses of a pool that answers with one",
        "yxrrset game A 10.0.0.3; prereq yxrrset game A 10.0.0.4", NoError),
    ("3.2.3 RRset is: a member's address", "yxrrset m1.web A 10.0.0.1", NoError),
    ("3.2.3 RRset is: a member's attributes", "yxrrset m1.web TXT weight=20", NoError),
    ("3.2.3 RRset is: a service", "yxrrset _S._tcp.web SRV 0 10 80 M1.web", NoError),
];

#[test]
fn section_3_2_what_the_zone_shows_of_pools() {
    let rows = CASES.iter().map(|&(rule, prerequisites, rcode)| {
        let message = format!("prereq {prerequisites}; add new 60 TXT yes");
        let (after, serial) =
            if rcode == NoError { ("new TXT yes", Moves) } else { ("new TXT NXDOMAIN", Stays) };
        row(rule, MEMBERS, message.leak(), rcode, after, serial)
    });
    judge_all(&rows.collect::<Vec<_>>(), World::for_records);
}

#[test]
fn section_3_2_a_member_whose_lease_is_over_is_not_there() {
    for is_swept in [true, false] {
        let mut world = World::for_records();
        accept(&mut world, MEMBERS);
        let gone =
            "prereq nxdomain m1.web; prereq nxrrset web A; prereq nxdomain _s._tcp.web; add new 60 TXT yes";
        assert_eq!(world.update(gone).rcode, YXDomain);
        if is_swept {
            world.advance(30_000)
        } else {
            world.advance_unswept(30_000)
        }
        assert_eq!(world.update(gone).rcode, NoError, "swept: {is_swept}");
        assert_holds(&mut world, "new TXT yes");
    }
}

#[rustfmt::skip]
const ROWS: [Row; 16] = [
    row("3.2.1 name is in use: a pool with nobody in it", "", "prereq yxdomain web", NXDomain, "web A NODATA", Stays),
    row("3.2.2 name is not in use: a pool with nobody in it", "", "prereq nxdomain web; add m1.web 30 A 10.0.0.1",
        NoError, "web A 10.0.0.1", Moves),
    row("3.2.2 whoever comes first has the name", MEMBERS, "prereq nxdomain m2.web; add m2.web 30 A 10.0.0.9",
        YXDomain, "m2.web A 10.0.0.2", Stays),
    row("3.3 all or nothing: an address that is not granted comes last", MEMBERS,
        "add new 60 TXT yes; delete m1.web; add m3.web 30 A 192.0.2.1", Refused,
        "new TXT NXDOMAIN; web A 10.0.0.1; web A 10.0.0.2; m3.web A NXDOMAIN", Stays),
    row("3.3 all or nothing: an address that is not granted comes first", MEMBERS,
        "add host 60 A 192.0.2.1; add new 60 TXT yes; add m3.web 30 A 10.0.0.5", Refused,
        "host A NXDOMAIN; new TXT NXDOMAIN; m3.web A NXDOMAIN", Stays),
    row("3.4.2.2 ordinary records at a pool's name", MEMBERS,
        "add web 60 TXT v=1; add web 60 CAA 0 issue ca.example.net", NoError,
        "web 60 TXT v=1; web 60 CAA 0 issue ca.example.net; web A 10.0.0.1; web A 10.0.0.2", Moves),
    row("3.4.2.2 ordinary records are permanent, whoever is a member",
        "add web 60 TXT v=1; add m1.web 30 A 10.0.0.1", "delete m1.web", NoError,
        "web 60 TXT v=1; web A NODATA; m1.web A NXDOMAIN", Moves),
    row("3.4.2.2 underscores below a pool", MEMBERS,
        "add _acme-challenge.web 60 TXT token; add _acme-challenge.m1.web 60 TXT token", NoError,
        "_acme-challenge.web TXT token; _acme-challenge.m1.web TXT token; m1.web A 10.0.0.1", Moves),
    row("3.4.2.2 a service's text", MEMBERS, "add _s._tcp.web 60 TXT path=/", NoError,
        "_s._tcp.web TXT path=/; _s._tcp.web SRV 0 10 80 m1.web", Moves),
    row("3.4.2.2 deeper names", MEMBERS, "add x.m1.web 60 TXT v=1; add y.x.m1.web 60 A 10.0.0.9", NoError,
        "x.m1.web TXT v=1; y.x.m1.web A 10.0.0.9; m1.web A 10.0.0.1; web A 10.0.0.1; web A 10.0.0.2", Moves),
    row("3.4.2.2 hosts are no members", MEMBERS, "add laptop 300 A 10.0.0.9", NoError, "laptop 300 A 10.0.0.9",
        Moves),
    row("3.4.2.3 delete a pool's name: members lose their addresses, ordinary records go",
        "add web 60 TXT v=1; add m1.web 30 A 10.0.0.1", "delete web", NoError,
        "web TXT NODATA; web A NODATA; m1.web A NXDOMAIN", Moves),
    row("3.4.2.3 delete an ordinary RRset at a pool's name", "add web 60 TXT v=1; add m1.web 30 A 10.0.0.1",
        "delete web TXT", NoError, "web TXT NODATA; web A 10.0.0.1", Moves),
    row("3.4.2.4 delete an ordinary record at a pool's name", "add web 60 TXT v=1; add web 60 TXT v=2",
        "delete web TXT v=1", NoError, "web TXT v=2", Moves),
    row("3.6 a heartbeat", MEMBERS, "add m1.web 30 A 10.0.0.1; add m1.web 30 TXT weight=20", NoError,
        "web A 10.0.0.1; web A 10.0.0.2", Stays),
    row("3.6 a heartbeat with something ordinary", MEMBERS, "add m1.web 30 A 10.0.0.1; add new 60 TXT yes", NoError,
        "new TXT yes; web A 10.0.0.1; web A 10.0.0.2", Moves),
];

#[test]
fn section_3_4_2_beside_pools() {
    judge_all(&ROWS, World::for_records);
}

/// What this version does not serve, or what would stand in the way of a pool.
const REFUSED: [(&str, &str); 16] = [
    ("CNAME at a pool", "add web 60 CNAME info"),
    ("CNAME at a member", "add m1.web 60 CNAME info"),
    ("CNAME at a name that may be a member's", "add m9.web 60 CNAME info"),
    ("CNAME below a member", "add x.m1.web 60 CNAME info"),
    ("CNAME at a service", "add _s._tcp.web 60 CNAME info"),
    ("CNAME below a pool with underscores", "add _acme-challenge.web 60 CNAME info"),
    ("NS at a pool", "add web 60 NS ns"),
    ("NS below a pool", "add x.m1.web 60 NS ns"),
    ("DNAME at a pool", "record web 60 IN DNAME \\# 1 00"),
    ("DNAME below a pool", "record x.web 60 IN DNAME \\# 1 00"),
    ("DNAME above pools", "record @ 60 IN DNAME \\# 1 00"),
    ("a wildcard in a pool", "add *.web 60 A 10.0.0.1"),
    ("a wildcard in a pool, of a type that members do not have", "add *.web 60 MX 10 ns"),
    ("an asterisk in a pool", "add x.*._tcp.web 60 TXT yes"),
    ("NS at a wildcard", "add *.host 60 NS ns"),
    ("DNAME at a wildcard", "record *.host 60 IN DNAME \\# 1 00"),
];

#[test]
fn what_is_refused() {
    let rows = REFUSED.iter().map(|(rule, record)| {
        let message = format!("add new 60 TXT yes; {record}");
        row(rule, MEMBERS, message.leak(), Refused, "new TXT NXDOMAIN; web A 10.0.0.1; web A 10.0.0.2", Stays)
    });
    judge_all(&rows.collect::<Vec<_>>(), World::for_records);
}
