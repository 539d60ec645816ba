use super::*;

#[test]
fn what_leads_elsewhere_leaves_pools_alone_and_does_so_once() {
    let refusal = |toml: &str, records: &str| {
        let zone = format!("{ZONE}{records}\n");
        let files = [
            ("rollcall.toml", ""),
            ("zones/pool.example.toml", toml),
            ("zones/pool.example.zone", zone.as_str()),
        ];
        let (dir, config) = load_files(&files);
        config.err().map(|error| error.to_string().replace(&format!("{}/zones/", dir.path().display()), ""))
    };
    let deep = "[[pool]]\nname = 'web.deep'\n";
    for (toml, records, wanted) in [
        (
            deep,
            "deep NS ns",
            "pool.example.zone:4: deep.pool.example. NS leads elsewhere with all that is below it: the",
        ),
        (deep, "DEEP DNAME x.", "pool.example.zone:4: DEEP.pool.example. DNAME leads elsewhere"),
        (deep, "@ DNAME x.", "pool.example.zone:4: pool.example. DNAME leads elsewhere"),
        ("create_pools = true", "@ DNAME x.", "pool.example.zone:4: pool.example. DNAME leads elsewhere"),
        ("", "a NS ns\nA DNAME x.", "pool.example.zone:5: a.pool.example. DNAME leads elsewhere"),
        ("", "a DNAME x.\na NS ns", "pool.example.zone:5: a.pool.example. NS leads elsewhere"),
        ("", "a DNAME x.\na DNAME y.", "pool.example.zone:5"),
    ] {
        let found = refusal(toml, records).unwrap_or_default();
        assert!(found.starts_with(wanted), "{records}: {found}");
    }
    for (toml, records) in [
        (deep, "dee NS ns\nother.deep DNAME x."),
        ("create_pools = true", "a DNAME x.\nb NS ns\nb NS ns.elsewhere."),
        ("", "@ DNAME x."),
    ] {
        assert_eq!(refusal(toml, records), None, "{records}");
    }
}
