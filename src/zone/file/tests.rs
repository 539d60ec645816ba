use super::*;

mod bad_rdata;
pub(crate) mod broken;
mod doubts;
mod included;

const HEAD: &str =
    "$TTL 60\n@ IN SOA ns hostmaster (\n  7 ; serial\n  1200 180 1209600\n  2 )\n@ NS ns\nns A 192.0.2.1\n";

fn apex() -> Name {
    Name::bytes_from_str("pool.example.").unwrap()
}

fn zone(text: &str) -> Result<ZoneRecords, ZoneFileError> {
    parse(text.as_bytes(), Path::new("z"), &apex())
}

/// The error of a file that begins with `HEAD`, whose last line is line 7.
fn error(tail: &str) -> String {
    zone(&format!("{HEAD}{tail}")).unwrap_err().to_string()
}

fn record<'z>(zone: &'z ZoneRecords, owner: &str, rtype: Rtype) -> &'z StaticRecord {
    let owner = Name::bytes_from_str(owner).unwrap();
    zone.records.iter().find(|record| record.owner == owner && record.rtype == rtype).unwrap()
}

#[test]
fn a_zone() {
    let text = "Www 30 CNAME web\n  \nmail MX 10 ns\n  TXT \"a b\" (\"x\"\n \"y\") ; c\n$ORIGIN sub.pool.example.\nx TYPE1 \\# 4 0A000001\nu TYPE65280 \\# 3 (000a\n 00)";
    let zone = zone(&format!("{HEAD}{text}")).unwrap();
    assert_eq!((zone.soa.serial, zone.soa.ttl_s, zone.soa.minimum), (7, 60, 2));
    assert_eq!(zone.soa.rname, Name::bytes_from_str("hostmaster.pool.example.").unwrap());
    assert_eq!(zone.records.len(), 7, "SOA is not among them");
    let www = record(&zone, "www.pool.example.", Rtype::CNAME);
    assert_eq!((www.ttl_s, www.line, &*www.rdata), (30, 8, &b"\x03web\x04pool\x07example\x00"[..]));
    assert_eq!(www.owner.as_slice()[1], b'W', "case is kept");
    let text = record(&zone, "mail.pool.example.", Rtype::TXT);
    assert_eq!((text.line, &*text.rdata), (11, &b"\x03a b\x01x\x01y"[..]));
    assert_eq!(&*record(&zone, "x.sub.pool.example.", Rtype::A).rdata, [10, 0, 0, 1]);
    assert_eq!(record(&zone, "u.sub.pool.example.", Rtype::from_int(65280)).line, 15);
    assert_eq!(zone.warnings, []);
}

#[test]
fn errors_name_line_and_column_and_say_what_to_do() {
    for (tail, wanted) in [
        (
            "x A 10.0.0.300\n",
            "z:8:5: \"10.0.0.300\": expected IPv4 address; write A ADDRESS\n  8 | x A 10.0.0.300\n    |     ^^^^^^^^^^\n",
        ),
        ("x TXT (\n a ; c (\n b )\ny A nonsense\nz A 10.0.0.1\n", "z:11:5: "),
        (
            "x MX 10\n",
            "z:8:8: the entry ends too early; write MX PREFERENCE HOST\n  8 | x MX 10\n    |        ^\n",
        ),
        (
            "x A 10.0.0.1 (\n ;\n 10.0.0.2 )\n",
            "z:10:2: \"10.0.0.2\": this is more than the entry takes; write A ADDRESS, and quote",
        ),
        (
            "\n\nx IN AAA 10.0.0.1\n",
            "z:10:6: unknown type AAA; write OWNER TTL CLASS TYPE RDATA\n  10 | x IN AAA",
        ),
        (
            "A 10.0.0.1\n",
            "z:8:3: \"10.0.0.1\" is neither a TTL (such as 3600 or 1h) nor a type (such as A); write",
        ),
        ("x 60 61 A 10.0.0.1\n", "z:8:6: \"61\" is neither a TTL"),
        ("x 1h30 A 10.0.0.1\n", "z:8:3: \"1h30\" is neither a TTL"),
        ("x IN IN A 10.0.0.1\n", "z:8:6: \"IN\" is neither a TTL"),
        ("x IN 60\n", "z:8:8: there is no type; write OWNER TTL CLASS TYPE RDATA"),
        ("x \"A\" 10.0.0.1\n", "z:8:3: unknown type A"),
        ("x..y A 10.0.0.1\n", "z:8:1: a name has an empty label"),
        ("x MX 1 a..b\n", "z:8:8: \"a..b\": a name has an empty label; a dot in it has nothing before it\n"),
        ("x MX 65536 a\n", "z:8:6: \"65536\": decimal number overflow; write MX"),
        ("x TXT a\\300\n", "z:8:7: \"a\\300\": a backslash that is no escape; write \\DDD"),
        ("x TXT \"a\x07\"\n", "z:8:7: \"a\u{fffd}\": control character 7; write \\007 if it is meant"),
        ("$TTL 1x\n", "z:8:6: \"1x\": expected a time; write $TTL SECONDS"),
        ("$TTL\n", "z:8:5: the entry ends too early; write $TTL"),
        ("$TTL 1 2\n", "z:8:8: \"2\": this is more than the entry takes; write $TTL"),
        ("$TTL 3000000000\n", "z:8:6: TTL 3000000000 is above 2147483647"),
        (
            "$ORIGIN a..b\n",
            "z:8:9: \"a..b\": a name has an empty label; a dot in it has nothing before it; write $ORIGIN NAME",
        ),
        ("$TTTL 5\n", "z:8:1: $TTTL is no directive; there are $ORIGIN, $TTL, $INCLUDE and $GENERATE"),
        ("$GENERATE 4-1 m$ A 10.0.0.$\n", "z:8:11: \"4-1\": expected numbers FIRST-LAST"),
        ("$GENERATE 1-4 m$ 60 IN A\n", "z:8:25: the entry ends too early; write $GENERATE FIRST-LAST"),
        (
            "$GENERATE 250-260 m$ A 10.0.0.$\n",
            "z:8:24: the record for 256: \"10.0.0.256\": expected IPv4 address; write A ADDRESS",
        ),
        ("$GENERATE 1-2 m${0,300} A 10.0.0.$\n", "z:8:15: \"m${0,300}\": expected ${OFFSET,WIDTH,BASE}"),
        (
            "$GENERATE 1-2 m$ A 10.0.0.1\n$GENERATE 0-1048574 m$ A 10.0.0.1\n",
            "z:9:11: with this directive $GENERATE makes 1048577 records in this zone, and 1048576 are the most",
        ),
        ("$INCLUDE other.zone\n", "z:8:10: other.zone is not below the directory of the zone file"),
        ("x URI 10 1\n", "z:8:11: the entry ends too early; write URI PRIORITY WEIGHT \"TARGET\""),
        (
            "x TYPE65280 abcd\n",
            "z:8:3: TYPE65280 has no form that is known here; write its rdata as \\# LENGTH HEX",
        ),
        ("x WKS 10.0.0.1 6 25\n", "z:8:3: WKS has no form"),
        ("x A \\# 4 0A0000\n", "z:8:10: \"0A0000\": generic data has incorrect length; write A ADDRESS"),
        ("x TXT \"open\ny TXT \"z\"\n", "z:8:7: a quote is not closed on its line"),
        ("\nx TXT ( open\ny TXT z\n", "z:9:7: a parenthesis is opened here and never closed"),
        ("x TXT a )\n", "z:8:9: a parenthesis is closed here that is not open"),
        (&format!("{}.x A 10.0.0.1\n", "a".repeat(64)), "z:8:1: a label has more than 63 octets"),
        (&format!("x TXT {}\n", "a".repeat(256)), "z:8:7: \"aaa"),
    ] {
        let found = error(tail);
        assert!(format!("{found}\n").starts_with(wanted), "{tail}: {found}");
    }
    assert!(
        zone("\n A 10.0.0.1\n")
            .unwrap_err()
            .to_string()
            .starts_with("z:2:2: the first record has to name its owner")
    );
    let found = zone("@ A 10.0.0.1\n").unwrap_err().to_string();
    assert!(found.starts_with("z:1:3: no TTL is known here; begin the file with $TTL"), "{found}");
    assert!(
        !zone("@ 60 NS ns\n").unwrap_err().to_string().contains('\n'),
        "no line is to blame for a missing SOA"
    );
}

#[test]
fn what_this_version_does_not_serve_is_refused_by_line() {
    for (tail, wanted) in [
        ("x CH TXT a\n", "z:8:3: class CH; only IN is served"),
        ("x CLASS4 TXT a\n", "z:8:3: class HS"),
        ("x 3000000000 A 10.0.0.1\n", "z:8:3: TTL 3000000000 is above 2147483647"),
        ("*.x NS ns\n", "z:8:5: *.x.pool.example. NS: a wildcard cannot lead elsewhere"),
        ("* DNAME y\n", "z:8:3: *.pool.example. DNAME: a wildcard cannot lead elsewhere"),
        ("x DS 1 8 2 abcd\n", "z:8:3: DS belongs to a signed zone"),
        ("x RRSIG \\# 0\n", "z:8:3: RRSIG belongs"),
        ("x ZONEMD 1 1 1 00\n", "z:8:3: ZONEMD belongs"),
        ("x NULL \\# 0\n", "z:8:3: NULL is not a type"),
        ("x OPT \\# 0\n", "z:8:3: OPT is not a type"),
        ("x ANY \\# 0\n", "z:8:3: ANY is not a type"),
        ("x TYPE0 \\# 0\n", "z:8:3: TYPE0 is not a type"),
        ("x A \\# 3 0A0000\n", "z:8:10: these are not the octets of such a record; write A ADDRESS"),
        ("x LOC \\# 3 000000\n", "z:8:12: these are not the octets"),
        ("@ SOA a b 1 2 3 4 5\n", "z:8:1: a second SOA; the first is at line 2"),
        ("x SOA a b 1 2 3 4 5\n", "z:8:3: SOA at x.pool.example.; it belongs to pool.example."),
        ("x.example. SOA a b 1 2 3 4 5\n", "z:8:1: SOA at x.example.; it belongs to pool.example."),
    ] {
        let found = error(tail);
        assert!(found.starts_with(wanted), "{tail}: {found}");
    }
}

#[test]
fn a_zone_needs_its_soa_and_ns() {
    assert!(zone("@ 60 NS ns\n").unwrap_err().to_string().starts_with("z:1:1: the zone has no SOA"));
    assert!(zone("").unwrap_err().to_string().starts_with("z:1:1: the zone has no SOA"));
    let error = zone("\n\n@ SOA a b 1 2 3 4 5\n").unwrap_err().to_string();
    assert!(error.starts_with("z:3:1: the zone has no NS"), "{error}");
}

#[test]
fn a_cname_stands_alone() {
    for (tail, line, first_line) in [
        ("x CNAME y\nX A 10.0.0.1\n", 9, 8),
        ("x TXT a\nx CNAME y\n", 9, 8),
        ("x CNAME y\nx CNAME z\n", 9, 8),
        ("@ CNAME y\n", 8, 2),
    ] {
        let found = error(tail);
        assert!(found.starts_with(&format!("z:{line}:1: a CNAME stands alone")), "{found}");
        assert!(found.contains(&format!("at line {first_line};")), "{found}");
    }
    assert!(zone(&format!("{HEAD}x CNAME y\nx CNAME Y\n")).is_ok(), "the same twice is once");
}

#[test]
fn an_at_sign_is_the_current_origin() {
    let zone = zone(
        "$TTL 60\n@ SOA @ hostmaster (\n 1 1200\n 180 1209600 2 )\n@ NS @\nw CNAME @\n@ MX 10 @\n@ A 10.0.0.1\n\
         $ORIGIN sub\nw CNAME @\n  \n_s._tcp SRV 0 0 80 (\n @ ) ; @\n$ORIGIN @\n@ MX 5 @\n\
         t TXT @ \"@\"\ne CNAME \\@\nq CNAME \"@\"\n$ORIGIN a\\@\\.b.pool.example.\nx PTR @\n",
    )
    .unwrap();
    const APEX: &str = "pool.example.";
    assert_eq!(zone.soa.mname, apex());
    for (owner, rtype, before, target) in [
        (APEX, Rtype::NS, &b""[..], APEX),
        ("w.pool.example.", Rtype::CNAME, b"", APEX),
        (APEX, Rtype::MX, &[0, 10], APEX),
        ("w.sub.pool.example.", Rtype::CNAME, b"", "sub.pool.example."),
        ("_s._tcp.sub.pool.example.", Rtype::SRV, &[0, 0, 0, 0, 0, 80], "sub.pool.example."),
        ("sub.pool.example.", Rtype::MX, &[0, 5], "sub.pool.example."),
        ("e.sub.pool.example.", Rtype::CNAME, b"", "\\@.sub.pool.example."),
        ("q.sub.pool.example.", Rtype::CNAME, b"", "\\@.sub.pool.example."),
        ("x.a\\@\\.b.pool.example.", Rtype::PTR, b"", "a\\@\\.b.pool.example."),
    ] {
        let target = Name::bytes_from_str(target).unwrap();
        assert_eq!(
            *record(&zone, owner, rtype).rdata,
            [before, target.as_slice()].concat(),
            "{owner} {rtype}"
        );
    }
    assert_eq!(*record(&zone, "t.sub.pool.example.", Rtype::TXT).rdata, *b"\x01@\x01@");
}

#[test]
fn an_at_sign_that_is_no_name_is_named() {
    let found = error("x MX 10 @\ny MX (\n 10\n @ @ )\nz A 10.0.0.1\n");
    assert!(found.starts_with("z:11:4: \"@\": this is more"), "{found}");
    assert!(error("x SRV 0 @ 80 @\n").starts_with("z:8:9: "), "only the target is a name");
}

#[test]
fn an_rrset_that_no_message_carries_is_refused_where_it_outgrows_one() {
    // Each takes 12 + 256 octets: 242 of them take 64,856, one more 65,124.
    let texts = |count| -> String { (0..count).map(|n| format!("x TXT {n:0255}\n")).collect() };
    let other = "y TXT a\nx A 10.0.0.1\n";
    let carried = zone(&format!("{HEAD}{}{}{other}", texts(242), texts(242))).unwrap();
    assert_eq!(carried.records.len(), 2 + 242 + 2, "the same twice takes room once");
    let found = error(&format!("{other}{}{other}", texts(243)));
    assert!(
        found.starts_with("z:252:1: with this record x.pool.example. TXT takes more than 64986"),
        "{found}"
    );
}

#[test]
fn duplicates_collapse_and_ttls_are_levelled_with_a_warning() {
    let zone =
        zone(&format!("{HEAD}x 30 A 10.0.0.1\nX 30 A 10.0.0.1\nx 20 A 10.0.0.2\nx 40 TXT a\n")).unwrap();
    let ttls: Vec<_> = zone.records.iter().skip(2).map(|record| (record.rtype, record.ttl_s)).collect();
    assert_eq!(ttls, [(Rtype::A, 20), (Rtype::A, 20), (Rtype::TXT, 40)]);
    let warnings: Vec<_> =
        zone.warnings.iter().map(|warning| (warning.line, warning.doubt.to_string())).collect();
    assert_eq!(warnings, [(10, "x.pool.example. A has several TTLs; 20, the smallest, is served".into())]);
}

#[test]
fn name_servers_without_address_are_warned_about() {
    let zone = zone("@ SOA a b 1 2 3 4 5\n@ NS NS\n@ NS ns.elsewhere.\n").unwrap();
    assert_eq!(zone.warnings.len(), 1);
    let warning = zone.warnings[0].to_string();
    assert!(warning.starts_with("z:2: warning: name server NS.pool.example. has no A"), "{warning}");
}

#[test]
fn a_zone_without_a_file() {
    let zone = synthetic(&apex()).unwrap();
    assert_eq!(zone.soa.serial, 1);
    assert_eq!(zone.soa.mname, Name::bytes_from_str("ns.pool.example.").unwrap());
    assert_eq!((zone.records.len(), zone.warnings.len()), (1, 0));
    let long =
        format!("{}{}.", "a".repeat(63) + ".", ["b".repeat(63), "c".repeat(63), "d".repeat(58)].join("."));
    assert!(synthetic(&Name::bytes_from_str(&long).unwrap()).is_err(), "no room for hostmaster");
}

const RICH: &str = include_str!("../../../testdata/zones/rich.example.zone");
const TYPES: &str = include_str!("../../../testdata/zones/types.example.zone");

#[test]
fn progress_is_told_while_a_long_file_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("z");
    let records: String = (0..10_000).map(|n| format!("h{n} A 10.0.0.1\n")).collect();
    std::fs::write(&path, format!("{HEAD}{records}")).unwrap();
    let mut told = Vec::new();
    let zone = read(&path, &apex(), &mut |progress| {
        assert_eq!((progress.path, progress.octets), (&*path, HEAD.len() + records.len()));
        told.push((progress.octets_read, progress.records));
    });
    assert_eq!(zone.unwrap().records.len(), 10_002);
    assert!(told.len() >= 2, "{told:?}");
    assert!(told.is_sorted_by(|one, other| one.0 < other.0 && one.1 < other.1), "{told:?}");
}

#[test]
fn the_readme_lists_the_types_that_have_a_text_form() {
    let readme = include_str!("../../../README.md");
    let (_, list) = readme.split_once("\nTypes with a text form: ").unwrap();
    let (list, _) = list.split_once(".\n").unwrap();
    let listed: Vec<_> = list.split(',').map(str::trim).collect();
    let apex = apex();
    let has_form = |rtype: &Rtype| {
        !rdata::form(*rtype).is_empty() && !is_of_signed_zone(*rtype) && *rtype != Rtype::DNAME
    };
    let mut known: Vec<_> = (0..=u16::MAX).map(Rtype::from_int).filter(has_form).collect();
    assert!(known.iter().all(|&rtype| rules::check_type(&apex, rtype, &apex).is_ok()));
    let text = |rtype: Rtype| if rtype == Rtype::NSAPPTR { "NSAP-PTR".into() } else { rtype.to_string() };
    known.sort_by_key(|&rtype| text(rtype));
    assert_eq!(known.into_iter().map(text).collect::<Vec<_>>(), listed);
}

#[test]
fn every_record_reads_the_same_as_octets() {
    let types = Name::bytes_from_str("types.example.").unwrap();
    let zone = parse(TYPES.as_bytes(), Path::new("z"), &types).unwrap();
    assert!(zone.records.len() > 60);
    for StaticRecord { rtype, rdata, .. } in zone.records {
        let hex: String = rdata.iter().map(|octet| format!("{octet:02x} ")).collect();
        let text = format!("\\# {} {hex}", rdata.len());
        assert_eq!(super::rdata(rtype, text.as_bytes()).as_deref(), Ok(&*rdata), "{rtype}");
        let cut = rdata.len() - 1;
        let text = format!("\\# {} {hex}", cut);
        assert!(super::rdata(rtype, text.as_bytes()).is_err(), "{rtype}: more octets than are announced");
    }
}

proptest::proptest! {
    /// Whatever an editor leaves in a file must not stop the server.
    #[test]
    fn nothing_in_a_file_panics(tail in "([a-z@$*.0-9 \t\n\r()\";\\\\#{},-]|A|TXT|SOA|LOC|APL|\\\\#|é|\\$GENERATE 1-3 ){0,60}") {
        _ = zone(&format!("{HEAD}{tail}"));
        _ = zone(&tail);
    }

    #[test]
    fn no_octets_panic(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        _ = parse(&octets, Path::new("z"), &apex());
        for rtype in (0..=300).map(Rtype::from_int) {
            _ = rdata(rtype, &octets);
        }
    }

    /// A file with a piece lost or come in, as a broken copy has it, is read, or refused at one of its lines.
    #[test]
    fn a_damaged_file_is_refused_at_its_line(
        is_rich: bool,
        at in 0..8_000_usize,
        lost in 0..40_usize,
        come in "[ -~\t\n]{0,8}",
    ) {
        let (text, apex) = if is_rich { (RICH, "rich.example.") } else { (TYPES, "types.example.") };
        let apex = Name::bytes_from_str(apex).unwrap();
        // Text includes no files.
        let mut octets = text.replace("$INCLUDE", ";").replace("$include", ";").into_bytes();
        let at = at.min(octets.len());
        let end = (at + lost).min(octets.len());
        octets.splice(at..end, come.bytes());
        let lines = 1 + octets.iter().filter(|&&octet| octet == b'\n').count();
        if let Err(error) = parse(&octets, Path::new("z"), &apex) {
            let ZoneFileError::Entry { spot, .. } = &error else { panic!("{error}") };
            proptest::prop_assert!((1..=lines).contains(&spot.line), "{}", error);
        }
    }
}
