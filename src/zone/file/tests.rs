use super::*;

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
    let text = "Www 30 CNAME web\n  \nmail MX 10 @\n  TXT \"a b\" (\"x\"\n \"y\") ; c\n$ORIGIN sub.pool.example.\nx TYPE1 \\# 4 0A000001\nu URI \\# 3 (000a\n 00)";
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
    assert_eq!(record(&zone, "u.sub.pool.example.", Rtype::URI).line, 15);
    assert_eq!(zone.warnings, []);
}

#[test]
fn syntax_errors_name_their_line() {
    for (tail, wanted) in [
        ("x A 10.0.0.300\n", "z:8: expected IPv4 address"),
        ("x TXT (\n a ; c (\n b )\ny A nonsense\nz A 10.0.0.1\n", "z:11: "),
        ("x MX 10\n", "z:8: unexpected end of entry; fields"),
        ("x A 10.0.0.1 (\n ;\n 10.0.0.2 )\n", "z:10: trailing tokens; there is more"),
        ("x 1h A 10.0.0.1\n", "z:8: TTLs are plain seconds here: write 3600 for 1h\n  8 | x 1h A 10.0.0.1"),
        ("  IN 1w2D A 10.0.0.1\n", "z:8: TTLs are plain seconds here: write 777600 for 1w2D"),
        ("$TTL 1h ; hour\n", "z:8: TTLs are plain seconds here: write 3600 for 1h\n  8 | $TTL 1h ; hour"),
        (
            "@ SOA a b (\n 1\n 1200 20M 1w 2)\n",
            "z:10: the times of a SOA are plain seconds here: write 1200 for 20M",
        ),
        (
            "\n\nx IN AAA 10.0.0.1\n",
            "z:10: unknown type AAA; write OWNER TTL CLASS TYPE RDATA\n  10 | x IN AAA",
        ),
        (
            "A 10.0.0.1\n",
            "z:8: \"10.0.0.1\" is neither a TTL (seconds, such as 3600) nor a type (such as A); write",
        ),
        ("x 60 61 A 10.0.0.1\n", "z:8: \"61\" is neither a TTL"),
        ("x..y A 10.0.0.1\n", "z:8: a name has an empty label"),
        ("x MX 1 a..b\n", "z:8: bad MX rdata"),
        ("x IN IN A 10.0.0.1\n", "z:8: \"IN\" is neither a TTL"),
        ("$TTL 1x\n", "z:8: expected"),
        ("$GENERATE 1-4 m$ A 10.0.0.$\n", "z:8: unknown control: $GENERATE; only"),
        ("x URI 10 1 \"http://a\"\n", "z:8: unknown record type with concrete data; write its rdata as \\#"),
        ("x TXT \"open\ny TXT \"z\"\n", "z:8: a quote is not closed"),
        ("\nx TXT ( open\ny TXT z\n", "z:9: a parenthesis is opened"),
        ("x TXT a )\n", "z:8: unbalanced parens"),
        (&format!("{}.x A 10.0.0.1\n", "a".repeat(64)), "z:8: bad name"),
    ] {
        let found = error(tail);
        assert!(found.starts_with(wanted), "{tail}: {found}");
    }
    assert!(zone("\n A 10.0.0.1\n").unwrap_err().to_string().starts_with("z:2: missing last owner"));
}

#[test]
fn errors_show_their_line() {
    assert_eq!(error("x A nonsense ; c \n"), "z:8: expected IPv4 address\n  8 | x A nonsense ; c");
    let found = error("x\tTXT (\n a\t\x1b[2J )\n");
    assert!(found.ends_with("\n  9 |  a \u{fffd}[2J )"), "{found}");
    assert!(!error("\n$GENERATE 1-4 m$ A 10.0.0.$\n").contains("\n  8"), "the line that is named is shown");
    assert!(
        !zone("@ 60 NS ns\n").unwrap_err().to_string().contains('\n'),
        "no line is to blame for a missing SOA"
    );
}

#[test]
fn what_this_version_does_not_serve_is_refused_by_line() {
    for (tail, wanted) in [
        ("x CH TXT a\n", "z:8: class CH; only IN is served"),
        ("x 3000000000 A 10.0.0.1\n", "z:8: TTL 3000000000 is above 2147483647"),
        ("x.example. A 10.0.0.1\n", "z:8: x.example. is not in the zone pool.example.;"),
        ("*.x A 10.0.0.1\n", "z:8: wildcards are not served"),
        ("a.*.x A 10.0.0.1\n", "z:8: wildcards are not served"),
        ("sub NS ns\n", "z:8: NS below the apex delegates sub.pool.example.,"),
        ("x DNAME y\n", "z:8: DNAME is not served"),
        ("x DS 1 8 2 abcd\n", "z:8: DS belongs to a signed zone"),
        ("x RRSIG \\# 0\n", "z:8: RRSIG belongs"),
        ("x NULL \\# 0\n", "z:8: NULL is not a type"),
        ("x OPT \\# 0\n", "z:8: OPT is not a type"),
        ("x ANY \\# 0\n", "z:8: ANY is not a type"),
        ("x TYPE0 \\# 0\n", "z:8: TYPE0 is not a type"),
        ("x A \\# 3 0A0000\n", "z:8: bad A rdata"),
        ("$INCLUDE other.zone\n", "z:8: $INCLUDE is not supported"),
        ("@ SOA a b 1 2 3 4 5\n", "z:8: a second SOA; the first is at line 2"),
        ("x SOA a b 1 2 3 4 5\n", "z:8: SOA at x.pool.example.; it belongs to pool.example."),
    ] {
        let found = error(tail);
        assert!(found.starts_with(wanted), "{tail}: {found}");
    }
}

#[test]
fn a_zone_needs_its_soa_and_ns() {
    assert!(zone("@ NS ns\n").unwrap_err().to_string().starts_with("z:1: the zone has no SOA"));
    assert!(zone("").unwrap_err().to_string().starts_with("z:1: the zone has no SOA"));
    let error = zone("\n\n@ SOA a b 1 2 3 4 5\n").unwrap_err().to_string();
    assert!(error.starts_with("z:3: the zone has no NS"), "{error}");
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
        assert!(found.starts_with(&format!("z:{line}: a CNAME stands alone")), "{found}");
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
    assert_eq!(zone.warnings, []);
}

#[test]
fn a_spelt_out_origin_moves_no_line() {
    let found = error("x MX 10 @\ny MX (\n 10\n @ @ )\nz A 10.0.0.1\n");
    assert!(found.starts_with("z:11: trailing tokens"), "{found}");
    assert!(error("x SRV 0 @ 80 @\n").starts_with("z:8: "), "only the target is a name");
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
        found.starts_with("z:252: with this record x.pool.example. TXT takes more than 64986"),
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
        zone.warnings.iter().map(|warning| (warning.line(), warning.to_string())).collect();
    assert_eq!(warnings, [(10, "x.pool.example. A has several TTLs; 20, the smallest, is served".into())]);
}

#[test]
fn name_servers_without_address_are_warned_about() {
    let zone = zone("@ SOA a b 1 2 3 4 5\n@ NS NS\n@ NS ns.elsewhere.\n").unwrap();
    assert_eq!(zone.warnings.len(), 1);
    let warning = zone.warnings[0].to_string();
    assert!(warning.starts_with("name server NS.pool.example. has no A"), "{warning}");
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

proptest::proptest! {
    /// The scanner is not ours; whatever an editor leaves in a file must not stop the server.
    #[test]
    fn nothing_in_a_file_panics(tail in "([a-z@$*.0-9 \t\n\r()\";\\\\#-]|A|TXT|SOA|\\\\#|é){0,60}") {
        _ = zone(&format!("{HEAD}{tail}"));
        _ = zone(&tail);
    }
}
