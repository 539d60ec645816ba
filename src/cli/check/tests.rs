use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

const ZONE: &str =
    "@ 60 SOA ns hostmaster 42 1200 180 1209600 2\n@ 60 NS ns\nns 60 A 192.0.2.1\nx 60 TXT a\nx 30 TXT b\n";
const TOML: &str = "create_pools = true\n[[pool]]\nname = 'web'\n[[pool]]\nname = 'game.eu'\npolicy = 'weighted-random'\n\
    [[grant]]\nunsigned = true\n[[grant]]\nkey = 'fleet'\nsources = ['10.0.0.0/8']\nowner = 'ops'\nadmin = true\nlease = 60\n\
    [[grant]]\nkey = 'fleet'\npools = ['web']\nnames = ['_acme-challenge.*', '@']\ntypes = ['A', 'SRV', 'CAA']\n\
    addresses = ['10.0.0.0/8']\nown_address = true\ntargets = ['db.example.net', '.']\nlease = 'none'\n";
const SERVER: &str =
    "state = '/s'\n[[key]]\nname = 'Fleet'\nsecret = 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE='\n";

fn run(toml: &str, json: bool) -> (u8, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("zones")).unwrap();
    write("rollcall.toml", SERVER);
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(dir.path().join("rollcall.toml"), private).unwrap();
    write("zones/pool.example.zone", ZONE);
    write("zones/pool.example.toml", toml);
    let args = CheckArgs { file: Some(dir.path().join("rollcall.toml")), json, ..CheckArgs::default() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = check(&args, &mut out, &mut err).unwrap();
    let text = |octets| String::from_utf8(octets).unwrap().replace(dir.path().to_str().unwrap(), "DIR");
    (code, text(out), text(err))
}

#[test]
fn a_summary_for_people() {
    let (code, out, err) = run(TOML, false);
    assert_eq!(code, EXIT_OK);
    assert_eq!(
        err,
        "DIR/zones/pool.example.zone:5: warning: x.pool.example. TXT has several TTLs; 30, the smallest, is served\n"
    );
    assert_eq!(
        out,
        "files   DIR/rollcall.toml, DIR/zones/pool.example.toml, DIR/zones/pool.example.zone
listen  127.0.0.1:5300, [::1]:5300
state   /s
keys    fleet.

pool.example.  serial 42, 5 records (DIR/zones/pool.example.zone)
  2 pools declared, others (*) are made by the first member
    web      round-robin, TTL 5 s, lease 30 s (2 to 3600), addresses all, services all
    game.eu  weighted-random, TTL 5 s, lease 30 s (2 to 3600), addresses 1, services all
    *        round-robin, TTL 5 s, lease 30 s (2 to 3600), addresses all, services all
  3 grants
    1. unsigned from loopback: pools *; types A, AAAA, SRV, TXT, HTTPS, SVCB; addresses all but special ones
    2. key fleet. from 10.0.0.0/8: pools *; types A, AAAA, SRV, TXT, HTTPS, SVCB; addresses all but special ones; owner ops; lease 60 s; admin
    3. key fleet. from anywhere: pools web; names _acme-challenge.*, @; types A, SRV, CAA; addresses 10.0.0.0/8, the sender's own; targets db.example.net., .; permanent
"
    );
}

#[test]
fn a_report_for_programs() {
    let (code, out, _) = run(TOML, true);
    assert_eq!(code, EXIT_OK);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["zones"][0]["serial"], 42);
    assert_eq!(json["zones"][0]["pools"][1]["name"], "game.eu");
    let terms = |policy: &str, addresses: serde_json::Value| {
        serde_json::json!({
            "policy": policy, "ttl_s": 5, "addresses": addresses, "services": "all", "load_half_life_s": 0,
            "warm_up_s": 0, "lease_s": 30, "min_lease_s": 2, "max_lease_s": 3600,
            "on_all_down": "all", "fallback": null,
        })
    };
    assert_eq!(json["zones"][0]["defaults"], terms("round-robin", "all".into()));
    let mut game = terms("weighted-random", 1.into());
    game["name"] = "game.eu".into();
    assert_eq!(json["zones"][0]["pools"][1], game);
    let grants = &json["zones"][0]["grants"];
    assert_eq!((&grants[1]["key"], &grants[1]["lease_s"]), (&"fleet.".into(), &60.into()));
    assert_eq!((&grants[1]["types"][4], &grants[1]["permanent"]), (&"HTTPS".into(), &false.into()));
    let third = serde_json::json!({
        "number": 3, "key": "fleet.", "sources": [], "pools": ["web"], "names": ["_acme-challenge.*", "@"],
        "types": ["A", "SRV", "CAA"], "addresses": ["10.0.0.0/8"], "own_address": true,
        "targets": ["db.example.net.", "."], "owner": null, "admin": false, "lease_s": null, "permanent": true,
    });
    assert_eq!(grants[2], third);
    assert_eq!(json["zones"][0]["warnings"][0]["line"], 5);
    assert!(!out.contains("MDEy"), "a secret: {out}");
}

#[test]
fn what_a_policy_shows_and_what_softens_it_is_told_where_it_is_so() {
    let toml = "policy = 'least-used'\nload_half_life = 20\nwarm_up = 60\n[[pool]]\nname = 'db'\npolicy = 'priority'\n\
        [[pool]]\nname = 'web'\nanswers = 3\nwarm_up = 0\n[[pool]]\nname = 'game'\npolicy = 'weighted-round-robin'\n";
    let (_, out, err) = run(toml, false);
    let wanted = "  3 pools declared, no others
    db    priority, TTL 5 s, lease 30 s (2 to 3600), addresses best priority, services all
    web   least-used, TTL 5 s, lease 30 s (2 to 3600), addresses 3, services 3, load half life 20 s
    game  weighted-round-robin, TTL 5 s, lease 30 s (2 to 3600), addresses 1, services all, warm-up 60 s
  0 grants\n";
    assert!(out.contains(wanted), "{out}{err}");
    let (_, out, _) = run(toml, true);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let zone = &json["zones"][0];
    let told = |of: &serde_json::Value| {
        ["addresses", "services", "load_half_life_s", "warm_up_s"].map(|key| of[key].clone())
    };
    let best_of_all: [serde_json::Value; 4] = ["best".into(), "all".into(), 0.into(), 0.into()];
    assert_eq!(told(&zone["pools"][0]), best_of_all);
    assert_eq!(told(&zone["pools"][1]), [3, 3, 20, 0].map(serde_json::Value::from));
    assert_eq!(zone["defaults"]["load_half_life_s"], 20);
    assert_eq!((&zone["defaults"]["warm_up_s"], &zone["pools"][2]["warm_up_s"]), (&60.into(), &60.into()));
}

#[test]
fn grants_for_names_alone_and_for_everything() {
    let toml = "[[grant]]\nunsigned = true\nnames = ['*']\ntypes = ['*']\n\
        [[grant]]\nunsigned = true\nsources = ['10.0.0.0/8']\nnames = ['www']\nown_address = true\n\
        [[grant]]\nunsigned = true\nnames = ['www']\ntypes = ['CAA', 'TXT']\n";
    let (_, out, _) = run(toml, false);
    let wanted = "    1. unsigned from loopback: pools none; names *; types *; addresses all but special ones\n    \
        2. unsigned from 10.0.0.0/8: pools none; names www; types A, AAAA, SRV, TXT, HTTPS, SVCB; addresses the \
        sender's own\n    3. unsigned from loopback: pools none; names www; types CAA, TXT\n";
    assert!(out.ends_with(wanted), "{out}");
}

#[test]
fn warnings_name_file_and_line_and_are_no_error() {
    let (code, out, err) = run("[[grant]]\nunsigned = true\npools = ['web']\n", false);
    assert_eq!(code, EXIT_OK);
    assert!(out.contains("\n  1 grant\n"), "{out}");
    assert!(err.contains("DIR/zones/pool.example.toml:3: warning: no pool of this zone matches"), "{err}");
    assert!(
        err.contains("DIR/rollcall.toml:3: warning: no zone has a [[grant]] for the key fleet."),
        "{err}"
    );
    let (_, out, _) = run("", true);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["warnings"][0]["line"], 3);
    assert_eq!(json["zones"][0]["warnings"][0]["line"], 5);
}

#[test]
fn what_happens_when_all_are_down_or_silent_is_told_where_somebody_chose() {
    let toml = "freeze_max = 90\ncreate_pools = true\non_all_down = 'fallback'\nfallback = 'spare'\n[[pool]]\nname = 'web'\n\
        [[pool]]\nname = 'game.eu'\nfallback = 'web'\n[[pool]]\nname = 'spare'\n\
        [[pool]]\nname = 'a'\non_all_down = 'nodata'\n[[pool]]\nname = 'b'\non_all_down = 'all'\n\
        [[pool]]\nname = 'c'\non_all_down = 'last-good'\n[[pool]]\nname = 'd'\non_all_down = 'servfail'\n";
    let (_, out, err) = run(toml, false);
    let told: Vec<_> =
        out.lines().filter_map(|line| Some((line.split_once("round-robin")?.0.trim(), line))).collect();
    let told = told.into_iter().map(|(name, line)| (name, line.split_once("services all").unwrap().1));
    let wanted = [
        ("web", ", all down: spare answers"),
        ("game.eu", ", all down: web answers"),
        ("spare", ", all down: nodata (it is the zone's fallback itself)"),
        ("a", ", all down: nodata"),
        ("b", ""),
        ("c", ", all down: last-good"),
        ("d", ", all down: servfail"),
        ("*", ", all down: spare answers"),
    ];
    assert_eq!(told.collect::<Vec<_>>(), wanted, "{err}");
    assert!(out.ends_with("  mass silence holds expiry back for 90 s at most\n"), "{out}");
    let (_, out, _) = run(toml, true);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let zone = &json["zones"][0];
    assert_eq!(zone["freeze_max_s"], 90);
    let told = |of: &serde_json::Value| (of["on_all_down"].clone(), of["fallback"].clone());
    assert_eq!(told(&zone["defaults"]), ("fallback".into(), "spare".into()));
    assert_eq!(told(&zone["pools"][1]), ("fallback".into(), "web".into()));
    assert_eq!(told(&zone["pools"][2]), ("nodata".into(), serde_json::Value::Null));

    for (toml, wanted) in [
        ("", None),
        ("freeze_max = 600\n", None),
        ("freeze_max = 0\n", Some("  mass silence holds back no expiry (freeze_max 0)")),
    ] {
        let (_, out, _) = run(toml, false);
        assert_eq!(out.lines().find(|line| line.contains("mass silence")), wanted, "{toml}");
    }
}

#[test]
fn the_root_zones_pools_are_named_whole() {
    let name = |text: &str| Name::bytes_from_str(text).unwrap();
    assert_eq!(relative(name("web.").as_slice(), &name(".")), "web");
    assert_eq!(relative(name("web.eu.a.").as_slice(), &name("a.")), "web.eu");
}

#[test]
fn errors_go_to_standard_error_and_into_the_json() {
    let (code, out, err) = run("ttl = 9000\n", false);
    assert_eq!((code, out.as_str()), (EXIT_FAILED, ""));
    assert!(err.starts_with("DIR/zones/pool.example.toml:1:7: `ttl` is 9000; give 0 to 3600\n"), "{err}");
    let (code, out, err) = run("ttl = 9000\n", true);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["ok"]), (EXIT_FAILED, &serde_json::Value::Bool(false)));
    assert_eq!(json["error"].as_str().unwrap(), err.trim_end());
}

#[test]
fn the_shipped_zone_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rollcall.toml");
    std::fs::write(&file, "state = '/s'\n").unwrap();
    let zones = Path::new(env!("CARGO_MANIFEST_DIR")).join("zones");
    let args = CheckArgs { file: Some(file), zones: Some(zones), ..CheckArgs::default() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(check(&args, &mut out, &mut err).unwrap(), EXIT_OK);
    assert_eq!(String::from_utf8(err).unwrap(), "");
    assert!(String::from_utf8(out).unwrap().contains("\npool.example.  serial "));
}
