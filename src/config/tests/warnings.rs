use super::*;

/// The warnings of a load that succeeds, the directory's name cut out.
fn warnings(files: &[(&str, &str)]) -> Vec<String> {
    let (dir, config) = load_files(files);
    let dir = format!("{}/", dir.path().display());
    config.unwrap().warnings.iter().map(|warning| warning.to_string().replace(&dir, "")).collect()
}

#[test]
fn a_short_secret_is_warned_about_without_being_shown() {
    // 15, 16 and 31 octets.
    let (short, enough, long) =
        ("aHVzaGh1c2hodXNoaHVz", "aHVzaGh1c2hodXNoaHVzaA==", "aHVzaGh1c2hodXNoaHVzaGh1c2hodXNoaHVzaGh1cw==");
    let key = |name: &str, algorithm: &str, secret: &str| {
        format!("[[key]]\nname = '{name}'\nalgorithm = '{algorithm}'\nsecret = '{secret}'\n")
    };
    let server =
        key("a", "hmac-sha256", short) + &key("b", "hmac-sha256", enough) + &key("c", "hmac-sha512", long);
    let zone = "create_pools = true\n[[grant]]\nkey = 'a'\n[[grant]]\nkey = 'B'\n[[grant]]\nkey = 'c.'\n";
    let found = warnings(&[("rollcall.toml", &server), ("zones/a.toml", zone)]);
    assert_eq!(
        found,
        [
            "rollcall.toml:4: warning: the secret of the key a. has 15 octets, and hmac-sha256 wants 16 or more; make a \
             key with `rollcall keygen`",
            "rollcall.toml:12: warning: the secret of the key c. has 31 octets, and hmac-sha512 wants 32 or more; make a \
             key with `rollcall keygen`",
        ]
    );
}

#[test]
fn a_key_that_no_zone_grants_anything_is_warned_about() {
    let zone = "create_pools = true\n[[grant]]\nkey = 'web'\n";
    let other = KEY.replace("web", "api");
    let server = format!("{other}{KEY}");
    let files = [("rollcall.toml", server.as_str()), ("zones/a.toml", ""), ("zones/b.toml", zone)];
    let wanted = "rollcall.toml:2: warning: no zone has a [[grant]] for the key api.; whoever signs with it is refused";
    assert_eq!(warnings(&files), [wanted]);
}

#[test]
fn grants_that_cover_nothing_or_promise_too_much_are_warned_about() {
    let found = |zone: &str| warnings(&[("rollcall.toml", ""), ("zones/pool.example.toml", zone)]);
    let pools = "max_lease = 60\n[[pool]]\nname = 'Web.EU'\n[[pool]]\nname = 'api'\nmax_lease = 600\n[[grant]]\nunsigned = true\n";
    let at = |line: usize| format!("zones/pool.example.toml:{line}: warning: ");
    for (grant, wanted) in [
        (
            "pools = ['wbe', 'x-*']\n",
            at(9) + "no pool of this zone matches the grant's `pools` (\"wbe\", \"x-*\"); declare",
        ),
        (
            "pools = ['web.*']\nlease = 61\n",
            at(10) + "`lease` is 61, but the pools of this grant allow 60 at most;",
        ),
        ("\nlease = 601\n", at(10) + "`lease` is 601, but the pools of this grant allow 600 at most;"),
    ] {
        let found = found(&format!("{pools}{grant}"));
        assert!(found.len() == 1 && found[0].starts_with(&wanted), "{found:?}");
    }
    for grant in ["pools = ['wbe', 'web.eu']\nlease = 60\n", "lease = 600\n", ""] {
        assert_eq!(found(&format!("{pools}{grant}")), [""; 0], "{grant}");
    }
    let made = "create_pools = true\nmax_lease = 60\n[[grant]]\nunsigned = true\npools = ['later']\nlease = ";
    assert_eq!(found(&format!("{made}60\n")), [""; 0]);
    assert!(found(&format!("{made}61\n"))[0].contains("allow 60 at most"));
    assert!(found("[[grant]]\nunsigned = true\n")[0].starts_with(&(at(1) + "no pool of this zone matches")));
}

#[test]
fn files_that_are_nearly_a_zones_are_warned_about() {
    let named = |name: &'static str| {
        warnings(&[("rollcall.toml", ""), ("zones/a.toml", ""), (name, "x")]).into_iter().next()
    };
    for (name, wanted) in [
        ("zones/b.example.zon", "b.example.zone"),
        ("zones/b.zones", "b.zone"),
        ("zones/b.TOML", "b.toml"),
        ("zones/b.tom", "b.toml"),
    ] {
        let start = format!("{name}: warning: not read: ");
        let found = named(name).unwrap();
        assert!(found.starts_with(&start) && found.contains(&format!("rename it to {wanted},")), "{found}");
    }
    for name in [
        "zones/b.toml~",
        "zones/.#b.tom",
        "zones/#b.zone#",
        "zones/.b.zone.swp",
        "zones/b.zone.bak",
        "zones/zones",
    ] {
        assert_eq!(named(name), None, "{name}");
    }
}
