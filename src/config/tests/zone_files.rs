//! What the configuration makes of zone files: the files that they include, and the hosts that members may bring.

use super::*;

const ZONE_TOML: &str = "zones/pool.example.toml";
const ZONE_FILE: &str = "zones/pool.example.zone";

#[test]
fn included_files_are_files_of_the_configuration() {
    let zone = format!("{ZONE}$TTL 60\n$INCLUDE hosts.inc\n");
    let files = |toml, hosts| {
        [("rollcall.toml", ""), (ZONE_TOML, toml), (ZONE_FILE, zone.as_str()), ("zones/hosts.inc", hosts)]
    };
    let (dir, config) = load_files(&files("", "\na A 10.0.0.1\n"));
    let config = config.unwrap();
    let named: Vec<_> = config.files.iter().map(|file| file.strip_prefix(dir.path()).unwrap()).collect();
    assert_eq!(named, ["rollcall.toml", ZONE_TOML, ZONE_FILE, "zones/hosts.inc"].map(Path::new));
    assert_eq!(config.zones.len(), 1, "what is included is no zone by itself");

    let found = bad(&files("[[pool]]\nname = 'web'\n", "\na A 10.0.0.1\nweb A 10.0.0.1\n"));
    assert!(
        found.starts_with("zones/hosts.inc:3: ") && found.contains("is in the way of the pool"),
        "{found}"
    );
    let found = bad(&files("", "a A 10.0.0.300\n"));
    assert!(found.starts_with("zones/hosts.inc:1:5: \"10.0.0.300\""), "{found}");
    assert!(found.ends_with(&format!("included from {ZONE_FILE}:5")), "{found}");
}

#[test]
fn hosts_that_members_may_bring_are_not_missed() {
    let records = "mail 60 MX 10 m1.web\nmail 60 MX 20 m1.other\nmail 60 MX 30 host\nmail 60 MX 40 a.b.c\n@ 60 NS m1.other\n@ 60 NS m1.web\n";
    let zone = format!("{ZONE}{records}");
    let missed = |toml| {
        let (_dir, config) =
            load_files(&[("rollcall.toml", ""), (ZONE_TOML, toml), (ZONE_FILE, zone.as_str())]);
        let warnings = config.unwrap().zones.remove(0).records.warnings;
        warnings.iter().map(|warning| warning.line).collect::<Vec<_>>()
    };
    assert_eq!(missed(""), [4, 5, 6, 7, 8, 9]);
    assert_eq!(missed("[[pool]]\nname = 'web'\n"), [5, 6, 7, 8]);
    assert_eq!(
        missed("create_pools = true\n"),
        [7, 8, 9],
        "a.b.c is too deep, and name servers are no members"
    );
}

#[test]
fn hosts_that_members_may_bring_do_not_hide_those_that_nobody_brings() {
    let services: String = (0..1_500).map(|n| format!("_s{n}._tcp SRV 0 0 80 m{n}.web\n")).collect();
    let zone = format!("{ZONE}{services}@ MX 5 nowhere\n");
    let toml = "[[pool]]\nname = 'web'\n";
    let files = [
        ("rollcall.toml", ""),
        ("zones/pool.example.toml", toml),
        ("zones/pool.example.zone", zone.as_str()),
    ];
    let warnings = &load_files(&files).1.unwrap().zones[0].records.warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].to_string().contains("nowhere.pool.example."), "{}", warnings[0]);
}
