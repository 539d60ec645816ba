//! Warnings: what is served, or left out, but hardly meant. Records are handed to the builder one by one.

use super::*;
use crate::zone::file::builder::{Builder, SourceFile};
use crate::zone::file::owners::Item;

/// The warnings of a zone of these records, each `OWNER TYPE RDATA` with absolute names and each on a line of its own, the
/// first on line 3. `@` is the apex.
fn doubts(records: &[&str]) -> Vec<String> {
    let apex = apex();
    let mut zone = Builder::new(&apex);
    zone.sources.0.push(SourceFile { path: "z".into(), text: "".into(), from: None });
    let base = ["@ NS ns.pool.example.", "ns.pool.example. A 10.0.0.1"];
    for (line, record) in (1..).zip(base.iter().chain(records)) {
        let [owner, rtype, rdata] = record.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{record}") };
        let owner = if owner == "@" { apex.clone() } else { Name::bytes_from_str(owner).unwrap() };
        let owner = zone.owners.intern(owner.as_slice());
        let rtype = Rtype::from_bytes(rtype.as_bytes()).unwrap();
        let rdata = rdata_of(rtype, rdata);
        zone.items.push(Item { owner, rtype, file: 0, line, ttl_s: 60, rdata, is_duplicate: false });
    }
    let soa = synthetic(&apex).unwrap().soa;
    zone.add_soa(soa, (0, 1)).unwrap();
    let warnings = zone.finish().unwrap().warnings;
    warnings.iter().map(|warning| format!("{}: {}", warning.line, warning.doubt)).collect()
}

fn rdata_of(rtype: Rtype, text: &str) -> Box<[u8]> {
    rdata(rtype, text.as_bytes()).unwrap()
}

/// Holds the beginnings of all warnings against what is wanted.
fn hold(records: &[&str], wanted: &[&str]) {
    let found = doubts(records);
    let is_same = found.len() == wanted.len()
        && found.iter().zip(wanted).all(|(found, wanted)| found.starts_with(wanted));
    assert!(is_same, "{records:?}: {found:#?}, and not {wanted:#?}");
}

#[test]
fn hosts_in_the_zone_have_addresses() {
    hold(
        &[
            "@ MX 10 A.pool.example.",
            "@ MX 20 b.pool.example.",
            "@ MX 30 c.elsewhere.example.",
            "@ MX 40 .",
            "_s._tcp.pool.example. SRV 0 0 80 b.pool.example.",
            "_s._tcp.pool.example. SRV 0 0 81 v6.POOL.example.",
            "a.pool.example. TXT x",
            "v6.pool.example. AAAA ::1",
            "@ NS b.pool.example.",
        ],
        &[
            "3: mail server A.pool.example. has no A or AAAA in the zone; clients cannot reach it",
            "4: mail server b.pool.example. has",
            "7: server b.pool.example. has",
            "11: name server b.pool.example. has no A or AAAA in the zone; resolvers cannot reach it",
        ],
    );
}

#[test]
fn hosts_are_no_aliases() {
    hold(
        &[
            "a.pool.example. CNAME ns.pool.example.",
            "@ MX 10 A.pool.example.",
            "@ NS a.pool.example.",
            "_s._tcp.pool.example. SRV 0 0 80 a.pool.example.",
            "x.pool.example. PTR a.pool.example.",
        ],
        &[
            "4: mail server A.pool.example. is a CNAME, and MX has to name a host itself (RFC 2181 section 10.3)",
            "5: name server a.pool.example. is a CNAME",
            "6: server a.pool.example. is a CNAME, and SRV",
        ],
    );
}

#[test]
fn a_wildcard_may_be_the_host() {
    let wild = "*.w.pool.example. A 10.0.0.1";
    hold(&[wild, "@ MX 10 a.w.pool.example.", "@ MX 10 a.b.w.pool.example."], &[]);
    hold(&[wild, "@ MX 10 w.pool.example."], &["4: mail server w.pool.example. has no A or AAAA"]);
    let there = "a.w.pool.example. TXT x";
    hold(&[wild, there, "@ MX 10 a.w.pool.example."], &["5: mail server a.w.pool.example. has no A or AAAA"]);
}

#[test]
fn a_delegation_needs_its_glue() {
    let cut = "cut.pool.example. NS ";
    let missing =
        "name server ns.cut.pool.example. lies below the delegation of cut.pool.example. and has no A";
    hold(&[&format!("{cut}ns.cut.pool.example.")], &[&format!("3: {missing}")]);
    hold(&[&format!("{cut}ns.cut.pool.example."), "ns.cut.pool.example. AAAA ::1"], &[]);
    hold(&[&format!("{cut}cut.pool.example."), "cut.pool.example. A 10.0.0.1"], &[]);
    hold(&[&format!("{cut}ns.pool.example.")], &[]);
    hold(&[&format!("{cut}ns.elsewhere.")], &[]);
    // Of the hosts of a delegated zone only its servers have to be known here.
    hold(&[&format!("{cut}ns.pool.example."), "@ MX 10 mail.cut.pool.example."], &[]);
    // A sibling's server needs its address too.
    hold(
        &["one.pool.example. NS ns.two.pool.example.", "two.pool.example. NS ns.two.pool.example."],
        &[
            "3: name server ns.two.pool.example. lies below the delegation of two.pool.example.",
            "4: name server",
        ],
    );
}

#[test]
fn what_lies_below_a_cut_is_never_answered() {
    hold(
        &[
            "cut.pool.example. NS ns.CUT.pool.example.",
            "ns.cut.pool.example. A 10.0.0.1",
            "cut.pool.example. TXT x",
            "other.cut.pool.example. A 10.0.0.1",
            "ns.cut.pool.example. TXT x",
            "x.cut.pool.example. NS ns.pool.example.",
            "cute.pool.example. TXT x",
        ],
        &[
            "5: cut.pool.example. TXT is never answered: cut.pool.example. is delegated, and of it only NS",
            "6: other.cut.pool.example. A is never answered: cut.pool.example. is delegated, and of it only NS",
            "7: ns.cut.pool.example. TXT is",
            "8: x.cut.pool.example. NS is never answered: cut.pool.example. is delegated",
        ],
    );
}

#[test]
fn what_lies_below_a_dname_is_never_answered() {
    hold(
        &[
            "d.pool.example. DNAME elsewhere.",
            "d.pool.example. TXT x",
            "a.D.pool.example. TXT x",
            "a.b.d.pool.example. NS ns.pool.example.",
            "ad.pool.example. TXT x",
            "@ MX 10 mail.d.pool.example.",
            "cut.pool.example. NS ns.pool.example.",
            "d.cut.pool.example. DNAME elsewhere.",
        ],
        &[
            "5: a.D.pool.example. TXT is never answered: d.pool.example. has a DNAME, which answers",
            "6: a.b.d.pool.example. NS is never answered: d.pool.example. has a DNAME, which answers",
            "10: d.cut.pool.example. DNAME is never answered: cut.pool.example. is delegated, and of it only NS",
        ],
    );
}

#[test]
fn a_dname_stands_once() {
    let both = format!("{HEAD}d TXT x\n");
    assert!(zone(&both).is_ok());
    let apex = apex();
    let mut zone = Builder::new(&apex);
    zone.sources.0.push(SourceFile { path: "z".into(), text: "".into(), from: None });
    let owner = zone.owners.intern(b"\x01d\x04pool\x07example\x00");
    for (line, target) in [(2, "a."), (3, "A."), (4, "b.")] {
        let rdata = rdata_of(Rtype::DNAME, target);
        zone.items.push(Item {
            owner,
            rtype: Rtype::DNAME,
            file: 0,
            line,
            ttl_s: 60,
            rdata,
            is_duplicate: false,
        });
    }
    zone.add_soa(synthetic(&apex).unwrap().soa, (0, 1)).unwrap();
    let found = zone.finish().unwrap_err().to_string();
    assert!(
        found.contains("d.pool.example. has another DNAME at line 2, and a name has one at most"),
        "{found}"
    );
}

#[test]
fn what_is_not_in_the_zone_is_left_out() {
    let tail = "x.example. A 10.0.0.1\n TXT x\nexample. A 10.0.0.1\ny A 10.0.0.1\n";
    let zone = zone(&format!("{HEAD}{tail}")).unwrap();
    assert_eq!(zone.records.len(), 3);
    let told: Vec<_> = zone.warnings.iter().map(ToString::to_string).collect();
    let [first, second, third] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        first,
        "z:8: warning: x.example. is not in the zone pool.example. and is left out; is a dot missing or too much?"
    );
    assert!(second.starts_with("z:9: warning: x.example. is not in the zone"), "{second}");
    assert!(third.starts_with("z:10: warning: example. is not in the zone"), "{third}");
}

#[test]
fn warnings_have_an_end() {
    let tail: String = (0..1_500).map(|n| format!("@ MX {n} missing\n")).collect();
    let mut zone = zone(&format!("{HEAD}{tail}")).unwrap();
    assert_eq!(zone.warnings.len(), 1_500);
    zone.shorten_warnings();
    let warnings = zone.warnings;
    assert_eq!(warnings.len(), 1_001);
    assert_eq!(warnings[1_000].to_string(), "z:1: warning: 500 more warnings about this zone are not shown");
}
