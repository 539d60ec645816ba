//! Sections 3.4.2 to 3.6: what an update does, and what it does to the serial.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

use hickory_proto::op::ResponseCode::NoError;

use crate::table::Serial::{Moves, Stays};
use crate::table::{Authority, Row, accept, assert_holds, differences, judge_all, row, soa_serial};
use crate::world::{World, update_message};

#[test]
fn section_3_4_2_2_add() {
    judge_all(&ADD, World::for_records);
}

#[test]
fn section_3_4_2_2_cname() {
    judge_all(&CNAME, World::for_records);
}

#[test]
fn section_3_4_2_2_soa() {
    judge_all(&SOA, World::for_records);
}

#[test]
fn section_3_4_2_3_and_4_delete() {
    judge_all(&DELETE, World::for_records);
}

#[test]
fn section_3_5_and_3_6_serial() {
    judge_all(&SERIAL, World::for_records);
}

#[rustfmt::skip]
pub const ADD: [Row; 21] = [
    row("3.4.2.2 a new name", "", "add new 60 A 10.0.0.1", NoError, "new 60 A 10.0.0.1; new AAAA NODATA", Moves),
    row("3.4.2.2 a new type", "add host 60 A 10.0.0.1", "add host 30 TXT yes", NoError,
        "host 60 A 10.0.0.1; host 30 TXT yes", Moves),
    row("3.4.2.2 a new record", "add host 60 A 10.0.0.1", "add host 60 A 10.0.0.2", NoError,
        "host 60 A 10.0.0.1; host 60 A 10.0.0.2", Moves),
    row("3.4.2.2 a record in the zone file's RRset", "", "add info 300 A 10.0.0.1", NoError,
        "info A 192.0.2.80; info A 10.0.0.1", Moves),
    row("3.4.2.2 case of the owner", "add host 60 A 10.0.0.1", "add HoST 60 A 10.0.0.2", NoError,
        "host A 10.0.0.1; host A 10.0.0.2", Moves),
    row("3.4.2.2 a name below an empty non-terminal", "", "add x.y.z 60 TXT yes", NoError,
        "x.y.z TXT yes; y.z TXT NODATA; z TXT NODATA; w.z TXT NXDOMAIN", Moves),
    row("3.4.2.2 data at an empty non-terminal", "", "add b.c 60 TXT yes", NoError,
        "b.c TXT yes; c TXT NODATA; a.b.c A 192.0.2.81", Moves),
    row("3.4.2.2 a name with underscores", "",
        "add _acme-challenge.host 60 TXT token; add _25._tcp.host 60 TXT tlsa", NoError,
        "_acme-challenge.host TXT token; _25._tcp.host TXT tlsa; host A NODATA", Moves),
    row("3.4.2.2 a service", "", "add _ldap._tcp 60 SRV 0 5 389 ns; add _ldap._tcp 60 SRV 1 5 389 info", NoError,
        "_ldap._tcp SRV 0 5 389 ns; _ldap._tcp SRV 1 5 389 info", Moves),
    row("3.4.2.2 many types", "",
        "add host 60 MX 5 ns; add host 60 CAA 0 issue ca.example.net; add host 60 HTTPS 1 . alpn=h2; \
         add host 60 KEY \\# 8 0201030DAABBCCDD", NoError,
        "host MX 5 ns; host CAA 0 issue ca.example.net; host HTTPS 1 . alpn=h2; host KEY \\# 8 0201030DAABBCCDD",
        Moves),
    row("3.4.2.2, RFC 3597 an unknown type", "",
        "add host 60 TYPE65280 \\# 3 0A0b0C; add host 60 TYPE65280 \\# 1 FF", NoError,
        "host TYPE65280 \\# 3 0A0B0C; host TYPE65280 \\# 1 FF", Moves),
    row("3.4.2.2, RFC 3597 what looks like a name is none", "add host 60 TYPE65280 \\# 4 02415A00",
        "add host 60 TYPE65280 \\# 4 02617A00", NoError,
        "host TYPE65280 \\# 4 02415A00; host TYPE65280 \\# 4 02617A00", Moves),
    row("3.4.2.2 a duplicate", "add host 60 A 10.0.0.1", "add host 60 A 10.0.0.1", NoError, "host 60 A 10.0.0.1",
        Stays),
    row("3.4.2.2 a duplicate of the zone file's", "", "add info 300 A 192.0.2.80", NoError, "info 300 A 192.0.2.80",
        Stays),
    row("3.4.2.2 a duplicate beside something new", "add host 60 A 10.0.0.1",
        "add host 60 A 10.0.0.1; add host 60 TXT yes", NoError, "host A 10.0.0.1; host TXT yes", Moves),
    row("3.4.2.2 twice in one message", "", "add host 60 A 10.0.0.1; add host 60 A 10.0.0.1", NoError,
        "host A 10.0.0.1", Moves),
    row("3.4.2.2, 1.1.2 case of a name in rdata", "add mail 60 MX 10 ns",
        "add mail 60 MX 10 NS; add mail 60 MX 20 ns", NoError, "mail MX 10 ns; mail MX 20 ns", Moves),
    row("3.4.2.2 a duplicate with another TTL moves the whole set's",
        "add host 60 A 10.0.0.1; add host 60 A 10.0.0.2", "add host 30 A 10.0.0.1", NoError,
        "host 30 A 10.0.0.1; host 30 A 10.0.0.2", Moves),
    row("3.4.2.2 a new record with another TTL moves the whole set's", "add host 60 A 10.0.0.1",
        "add host 90 A 10.0.0.2", NoError, "host 90 A 10.0.0.1; host 90 A 10.0.0.2", Moves),
    row("3.4.2.2 of several TTLs the last is the set's", "",
        "add host 60 A 10.0.0.1; add host 90 A 10.0.0.2; add host 30 A 10.0.0.3", NoError,
        "host 30 A 10.0.0.1; host 30 A 10.0.0.2; host 30 A 10.0.0.3", Moves),
    row("3.4.2.2 NS of the zone", "", "add @ 300 NS info", NoError, "@ NS ns; @ NS info", Moves),
];

#[rustfmt::skip]
pub const CNAME: [Row; 13] = [
    row("3.4.2.2 a new alias", "", "add alias 60 CNAME info", NoError, "alias CNAME info", Moves),
    row("3.4.2.2 an alias beside data is ignored", "add host 60 A 10.0.0.1", "add host 60 CNAME info", NoError,
        "host A 10.0.0.1; host CNAME NODATA", Stays),
    row("3.4.2.2 an alias at the apex is ignored", "", "add @ 60 CNAME info", NoError, "@ NS ns; @ CNAME NODATA",
        Stays),
    row("3.4.2.2 data beside an alias is ignored", "", "add www 60 A 10.0.0.1", NoError, "www CNAME info", Stays),
    row("3.4.2.2 an unknown type beside an alias is ignored", "", "add www 60 TYPE65280 \\# 1 00", NoError,
        "www CNAME info", Stays),
    row("3.4.2.2 an alias replaces an alias", "", "add www 60 CNAME ns", NoError, "www 60 CNAME ns", Moves),
    row("3.4.2.2 the same alias", "", "add www 300 CNAME INFO", NoError, "www 300 CNAME info", Stays),
    row("3.4.2.2 the same alias with another TTL", "", "add www 60 CNAME info", NoError, "www 60 CNAME info", Moves),
    row("3.4.2.2 the last alias of a message counts", "", "add alias 60 CNAME ns; add alias 60 CNAME info", NoError,
        "alias CNAME info", Moves),
    row("3.4.2.2 the first of an alias and data counts", "",
        "add alias 60 CNAME info; add alias 60 A 10.0.0.1; add host 60 A 10.0.0.1; add host 60 CNAME info", NoError,
        "alias CNAME info; host A 10.0.0.1; host CNAME NODATA", Moves),
    row("3.4.2.2 an alias in the place of data", "add host 60 A 10.0.0.1", "delete host; add host 60 CNAME info",
        NoError, "host CNAME info", Moves),
    row("3.4.2.2 data in the place of an alias", "", "delete www CNAME; add www 60 A 10.0.0.1", NoError,
        "www A 10.0.0.1; www CNAME NODATA", Moves),
    row("3.4.2.2 an alias at an empty non-terminal", "", "add b.c 60 CNAME info", NoError,
        "b.c CNAME info; a.b.c A 192.0.2.81", Moves),
];

#[rustfmt::skip]
pub const SOA: [Row; 8] = [
    row("3.4.2.2 a SOA with a later serial", "", "add @ 300 SOA info admin 20 1 2 3 2", NoError,
        "@ SOA info admin 20 1 2 3 2", Moves),
    row("3.4.2.2, 3.6 the serial of a SOA stands beside other changes", "",
        "add @ 300 SOA info admin 20 1 2 3 2; add new 60 TXT yes", NoError,
        "@ SOA info admin 20 1 2 3 2; new TXT yes", Moves),
    row("3.4.2.2, RFC 1982 a serial half the circle on is later", "",
        "add @ 300 SOA ns hostmaster 2147483654 3600 600 86400 2", NoError,
        "@ SOA ns hostmaster 2147483654 3600 600 86400 2", Moves),
    row("3.4.2.2 a SOA with the same serial is ignored", "", "add @ 300 SOA info admin 7 1 2 3 2", NoError,
        "@ NS ns", Stays),
    row("3.4.2.2 a SOA with an earlier serial is ignored", "", "add @ 300 SOA info admin 6 1 2 3 2", NoError,
        "@ NS ns", Stays),
    row("3.4.2.2, RFC 1982 a serial more than half the circle on is earlier", "",
        "add @ 300 SOA info admin 2147483656 1 2 3 2", NoError, "@ NS ns", Stays),
    row("3.4.2.2 a SOA below the apex is ignored", "add host 60 A 10.0.0.1",
        "add host 60 SOA ns hostmaster 99 1 2 3 2", NoError, "host SOA NODATA", Stays),
    row("3.4.2.2 a SOA at a new name is ignored", "", "add new 60 SOA ns hostmaster 99 1 2 3 2", NoError,
        "new SOA NXDOMAIN", Stays),
];

const HOST: &str = "add host 60 A 10.0.0.1; add host 60 A 10.0.0.2; add host 60 TXT v=1";

#[rustfmt::skip]
pub const DELETE: [Row; 28] = [
    row("3.4.2.3 delete an RRset", HOST, "delete host A", NoError, "host A NODATA; host TXT v=1", Moves),
    row("3.4.2.3 delete an RRset: case of the name", HOST, "delete HOST A", NoError, "host A NODATA", Moves),
    row("3.4.2.3 delete the last RRset of a name", HOST, "delete host A; delete host TXT", NoError,
        "host A NXDOMAIN", Moves),
    row("3.4.2.3 delete an RRset of an unknown type", "add host 60 TYPE65280 \\# 1 00; add host 60 TXT v=1",
        "delete host TYPE65280", NoError, "host TYPE65280 NODATA; host TXT v=1", Moves),
    row("3.4.2.3 delete an RRset that is not there", HOST, "delete host AAAA; delete nope A", NoError,
        "nope A NXDOMAIN", Stays),
    row("3.4.2.3, 1.1.4 delete an RRset: aliases are not followed", "", "delete www TXT", NoError,
        "info TXT hello world", Stays),
    row("3.4.2.3 delete an alias", "", "delete www CNAME", NoError, "www CNAME NXDOMAIN", Moves),
    row("3.4.2.3 delete a name", HOST, "delete host", NoError, "host A NXDOMAIN; host TXT NXDOMAIN", Moves),
    row("3.4.2.3 delete a name of the zone file", "", "delete info", NoError, "info A NXDOMAIN", Moves),
    row("3.4.2.3 delete a name: what is below stays", HOST, "add x.host 60 TXT yes; delete host", NoError,
        "x.host TXT yes; host A NODATA", Moves),
    row("3.4.2.3 delete the last name below empty non-terminals", "", "delete a.b.c", NoError,
        "b.c A NXDOMAIN; c A NXDOMAIN", Moves),
    row("3.4.2.3 delete a name that is not there", "", "delete nope", NoError, "nope A NXDOMAIN", Stays),
    row("3.4.2.3 delete an empty non-terminal", "", "delete b.c", NoError, "a.b.c A 192.0.2.81", Stays),
    row("3.4.2.3 delete the apex: SOA and NS stay", "add @ 60 TXT v=1; add @ 60 MX 10 ns", "delete @", NoError,
        "@ NS ns; @ TXT NODATA; @ MX NODATA", Moves),
    row("3.4.2.3 delete the apex with nothing but SOA and NS", "", "delete @", NoError, "@ NS ns", Stays),
    row("3.4.2.3 delete the SOA", "", "delete @ SOA", NoError, "@ NS ns", Stays),
    row("3.4.2.3 delete the zone's NS", "add @ 300 NS info", "delete @ NS", NoError, "@ NS ns; @ NS info", Stays),
    row("3.4.2.3 delete another RRset of the apex", "add @ 60 TXT v=1", "delete @ TXT", NoError,
        "@ TXT NODATA; @ NS ns", Moves),
    row("3.4.2.4 delete a record", HOST, "delete host A 10.0.0.1", NoError, "host 60 A 10.0.0.2", Moves),
    row("3.4.2.4 delete the last record of a name", HOST,
        "delete host A 10.0.0.1; delete host A 10.0.0.2; delete host TXT v=1", NoError, "host A NXDOMAIN", Moves),
    row("3.4.2.4 delete a record that is not there", HOST,
        "delete host A 10.0.0.3; delete host TXT v=2; delete nope A 10.0.0.1", NoError,
        "host A 10.0.0.1; host A 10.0.0.2; host TXT v=1", Stays),
    row("3.4.2.4, 1.1.2 delete a record: case of a name in rdata", "add mail 60 MX 10 ns", "delete MAIL MX 10 nS",
        NoError, "mail MX NXDOMAIN", Moves),
    row("3.4.2.4 delete a record of an unknown type",
        "add host 60 TYPE65280 \\# 1 00; add host 60 TYPE65280 \\# 1 01", "delete host TYPE65280 \\# 1 00", NoError,
        "host TYPE65280 \\# 1 01", Moves),
    row("3.4.2.4 delete the SOA by its rdata", "",
        "delete @ SOA ns hostmaster 7 3600 600 86400 2; delete @ SOA ns hostmaster 7 3600 600 86400 3600", NoError,
        "@ NS ns", Stays),
    row("3.4.2.4 delete one NS of the zone", "add @ 300 NS info", "delete @ NS ns", NoError, "@ NS info", Moves),
    row("3.4.2.4 delete the last NS of the zone", "", "delete @ NS ns", NoError, "@ NS ns", Stays),
    row("3.4.2.4 delete all NS of the zone, one by one", "add @ 300 NS info", "delete @ NS info; delete @ NS ns",
        NoError, "@ NS ns", Moves),
    row("3.4.2.4 another NS in the place of the last", "", "add @ 300 NS info; delete @ NS ns", NoError, "@ NS info",
        Moves),
];

#[rustfmt::skip]
pub const SERIAL: [Row; 7] = [
    row("3.4.2 records are processed in their order: add, delete", "",
        "add host 60 A 10.0.0.1; delete host A; add host 60 A 10.0.0.2", NoError, "host A 10.0.0.2", Moves),
    row("3.4.2 records are processed in their order: delete, add", HOST, "delete host; add host 60 A 10.0.0.3",
        NoError, "host A 10.0.0.3; host TXT NODATA", Moves),
    row("3.6 many changes, one serial", HOST,
        "delete host A; add host 60 TXT v=2; add x 60 TXT yes; add y 60 TXT yes; delete info", NoError,
        "host TXT v=1; host TXT v=2; x TXT yes; y TXT yes; info TXT NXDOMAIN", Moves),
    row("3.6 nothing in the update section", HOST, "", NoError, "host TXT v=1", Stays),
    row("3.6 a deletion undone", HOST, "delete host TXT; add host 60 TXT v=1", NoError, "host 60 TXT v=1", Stays),
    row("3.6 an addition undone", HOST, "add new 60 TXT yes; delete new", NoError, "new TXT NXDOMAIN", Stays),
    row("3.6 a deletion undone with another TTL", HOST, "delete host TXT; add host 30 TXT v=1", NoError,
        "host 30 TXT v=1", Moves),
];

#[test]
fn serials_go_round() {
    serial_goes_round(&mut World::for_records());
}

/// RFC 1982, to the end of the numbers and past it.
pub fn serial_goes_round(server: &mut impl Authority) {
    let soa = |serial: u32| format!("add @ 300 SOA ns hostmaster {serial} 3600 600 86400 2");
    for serial in [2_147_483_654, u32::MAX] {
        accept(server, &soa(serial));
        assert_eq!(soa_serial(server), serial);
    }
    accept(server, "add new 60 TXT yes");
    let serial = soa_serial(server);
    assert!((0..=1).contains(&serial), "{serial} comes after the last number");
    accept(server, &soa(u32::MAX));
    assert_eq!(soa_serial(server), serial, "which is earlier now");
    assert_holds(server, "new TXT yes");
}

#[test]
fn messages_near_64_kb() {
    let mut world = World::for_records();
    messages_near_64_kb_are_taken(&mut world);
}

/// Close to the longest message that TCP carries, and each of its records is in the zone then.
pub fn messages_near_64_kb_are_taken(server: &mut impl Authority) {
    let names: [&str; 4] = ["n0", "n1", "n2", "n3"];
    let records = |name: &str| (0..60).map(|n| format!("{name} 60 TXT {name}-{n:0>246}")).collect::<Vec<_>>();
    let script = names.map(|name| format!("add {}", records(name).join("; add "))).join(";");
    let message = update_message(&script, None).to_vec().unwrap();
    assert!((64_000..=65_535).contains(&message.len()), "{}", message.len());
    assert_eq!(message[8..10], 240_u16.to_be_bytes(), "hickory-proto leaves out what does not fit");
    assert_eq!(server.update(&message), NoError);
    for name in names {
        assert!(differences(server, &records(name).join(";")).is_empty(), "{name}");
    }
}
