//! Static records and pools that cannot be together: of one zone, or of a zone and one below it.

use super::*;

#[test]
fn static_records_must_leave_pools_alone() {
    let toml = "[[pool]]\nname = 'web'\n";
    let with = |record: &str| {
        [
            ("rollcall.toml", String::new()),
            ("zones/pool.example.toml", toml.into()),
            ("zones/pool.example.zone", format!("{ZONE}{record}\n")),
        ]
    };
    for (record, reason) in [
        ("Web A 10.0.0.1", "its addresses are its members'"),
        ("web AAAA ::1", "its addresses are its members'"),
        ("web HTTPS 1 . alpn=h2", "how to speak to it is its members' to say"),
        ("web CNAME ns", "nothing at or below a pool may lead elsewhere"),
        ("a.b.web CNAME ns", "nothing at or below a pool"),
        ("all.web TXT a", "`all` below it lists its members"),
        ("_Status._http._tcp.web TXT a", "`_status` below it says what it makes of its members"),
        ("_Status.web TXT a", "`_status` below it says what it makes of its members"),
        ("_http._tcp.all.web SRV 0 0 80 ns", "`all` below it"),
        ("m1.web TXT a", "names one label below it are its members'"),
        ("_http._tcp.web SRV 0 0 80 ns", "its services are its members'"),
        ("_acme-challenge.web CNAME ns", "nothing at or below a pool"),
        ("m1.all.web TXT a", "`all` below it"),
    ] {
        let files = with(record);
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let found = bad(&files);
        assert!(found.starts_with("zones/pool.example.zone:4: ") && found.contains(reason), "{found}");
        assert!(found.contains("is in the way of the pool web.pool.example."), "{found}");
    }
    for record in [
        "web TXT a",
        "_443._tcp.web TLSA 3 1 1 00",
        "_acme-challenge.web TXT a",
        "_acme-challenge.m1.web TXT a",
        "_443._tcp.all.web TLSA 3 1 1 00",
        "_http._tcp.web TXT a",
        "_a._b._c.web SRV 0 0 80 ns",
        "_x.web A 10.0.0.1",
        "x CNAME web",
        "webb A 10.0.0.1",
    ] {
        let files = with(record);
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert!(load_files(&files).1.is_ok(), "{record}");
    }
}

#[test]
fn what_lies_in_an_inner_zone_is_refused_in_the_outer() {
    let load = |inner: &str, toml: &str, record: &str| {
        let zone = format!("{ZONE}{record}\n");
        load_files(&[
            ("rollcall.toml", ""),
            (inner, if inner.ends_with("zone") { ZONE } else { "" }),
            ("zones/pool.example.toml", toml),
            ("zones/pool.example.zone", &zone),
        ])
    };
    let refusal = |inner: &str, toml: &str, record: &str| {
        let (dir, config) = load(inner, toml, record);
        config.unwrap_err().to_string().replace(&format!("{}/", dir.path().display()), "")
    };
    for inner in ["zones/Child.pool.example.toml", "zones/Child.pool.example.zone"] {
        for pool in ["child", "web.child", "a.WEB.child.pool.example."] {
            let found = refusal(inner, &format!("ttl = 5\n[[pool]]\nname = '{pool}'\n"), "");
            let wanted = format!("zones/pool.example.toml:3:8: pool \"{pool}\" lies in the zone ");
            assert!(found.starts_with(&wanted), "{found}");
            assert!(found.contains("declare it in zones/Child.pool.example.toml, or rename it"), "{found}");
        }
        for (record, owner) in [
            ("child TXT a", "child.pool.example. TXT"),
            ("ns.CHILD A 10.0.0.1", "ns.CHILD.pool.example. A"),
            ("a.b.child TXT a", "a.b.child.pool.example. TXT"),
        ] {
            let found = refusal(inner, "", record);
            let wanted = format!("zones/pool.example.zone:4: {owner} lies in the zone ");
            assert!(found.starts_with(&wanted) && found.contains("move it to that zone's file"), "{found}");
        }
        for delegation in ["child NS ns", "child NS ns.child\nns.CHILD A 10.0.0.1\nns.child AAAA ::1"] {
            assert!(load(inner, "", delegation).1.is_ok(), "{delegation}");
        }
        let found = refusal(inner, "", "x.child NS ns");
        assert!(found.starts_with("zones/pool.example.zone:4: x.child.pool.example. NS lies in"), "{found}");
        assert!(load(inner, "[[pool]]\nname = 'web'\n", "grandchild A 10.0.0.1").1.is_ok());
    }
    let own = [
        ("rollcall.toml", ""),
        ("zones/child.pool.example.toml", "[[pool]]\nname = 'web'\n"),
        ("zones/child.pool.example.zone", ZONE),
        ("zones/pool.example.zone", ZONE),
    ];
    assert_eq!(load_files(&own).1.unwrap().zones.len(), 2);
}
