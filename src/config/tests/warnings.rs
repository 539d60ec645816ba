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
fn an_old_hash_is_warned_about_wherever_the_key_is() {
    let secret = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let server = format!(
        "[[key]]\nname = 'a'\nsecret = '{secret}'\nalgorithm = 'hmac-sha1'\n[[key]]\nfile = 'b.key'\n"
    );
    let file = format!(
        "key c {{ algorithm hmac-sha512; secret aHVzaA==; }};\nkey b {{ algorithm hmac-sha224-112; secret {secret}; }};\n"
    );
    let zone = "create_pools = true\n[[grant]]\nkey = 'a'\n[[grant]]\nkey = 'b'\n";
    let found = warnings(&[("rollcall.toml", &server), ("b.key", &file), ("zones/a.toml", zone)]);
    let old = |place: &str, key: &str, algorithm: &str| {
        format!(
            "{place}: warning: the key {key} is for {algorithm}, which is only for clients that know nothing better; \
             prefer hmac-sha256, and make a key with `rollcall keygen`"
        )
    };
    let short = "b.key:1: warning: the secret of the key c. has 4 octets, and hmac-sha512 wants 32 or more; make a key \
                 with `rollcall keygen`";
    let unused =
        "rollcall.toml:6: warning: no zone has a [[grant]] for the key c.; whoever signs with it is refused";
    let wanted = [
        old("rollcall.toml:4", "a.", "hmac-sha1"),
        short.into(),
        old("b.key:2", "b.", "hmac-sha224"),
        unused.into(),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn secrets_that_everybody_can_read_are_warned_about_once() {
    let server = format!("{KEY}{}", KEY.replace("web", "api"));
    let zone = "create_pools = true\n[[grant]]\nkey = 'web'\n[[grant]]\nkey = 'api'\n";
    let found = |text: &str, zone: &str, mode: u32| {
        let (dir, config) = load_modes(&[("rollcall.toml", text, mode), ("zones/a.toml", zone, 0o644)]);
        let dir = format!("{}/", dir.path().display());
        config
            .unwrap()
            .warnings
            .iter()
            .map(|warning| warning.to_string().replace(&dir, ""))
            .collect::<Vec<_>>()
    };
    let wanted = "rollcall.toml:3: warning: everybody on this machine may read the secret (mode 644); run `chmod 640` on \
                  this file, or keep the key in a file of its own (`file = \"NAME.key\"`)";
    assert_eq!(found(&server, zone, 0o644), [wanted]);
    assert_eq!(found(&server, zone, 0o640), [""; 0]);
    assert_eq!(found("", "", 0o644), [""; 0], "no secret in it");
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
fn unsigned_grants_beyond_loopback_are_warned_about() {
    let found = |grant: &str| {
        let zone = format!("create_pools = true\n[[grant]]\nunsigned = true\n{grant}");
        warnings(&[("rollcall.toml", ""), ("zones/a.toml", &zone)])
    };
    let open = "zones/a.toml:4: warning: whoever is in 10.0.0.0/8 may use this grant without a key";
    let networks = "sources = ['127.0.0.0/8', '10.0.0.0/8', '::/0']\n";
    assert_eq!(
        found(networks),
        [format!(
            "{open}, for any address that it covers; set `own_address = true`, so that each host registers itself alone, or \
             give a `key` instead of `unsigned`"
        )]
    );
    assert_eq!(
        found(&format!("{networks}names = ['_acme-challenge']\ntypes = ['TXT']\n")),
        [format!("{open}; give a `key` instead of `unsigned`, if not everybody there is to be trusted")]
    );
    let admin = "zones/a.toml:4: warning: whoever is in 10.0.0.0/8 may change what others own without a key; give `admin` \
         to a `key` instead";
    let own = format!("{networks}own_address = true\n");
    assert_eq!(found(&format!("{own}admin = true\n")), [admin]);
    assert_eq!(found(&format!("{networks}admin = true\n")).len(), 2);
    for grant in ["", "admin = true\n", "sources = ['127.0.0.0/8', '::1']\nadmin = true\n", &own] {
        assert_eq!(found(grant), [""; 0], "{grant}");
    }
}

#[test]
fn patterns_that_end_in_the_zones_name_are_warned_about() {
    let found = |apex: &str, grant: &str| {
        let zone = format!("create_pools = true\n[[grant]]\nunsigned = true\n{grant}");
        warnings(&[("rollcall.toml", ""), (&format!("zones/{apex}.toml"), &zone)])
    };
    for (text, line, pattern) in [
        ("names = ['@',\n '_acme-challenge.Pool.Example']\n", 5, "_acme-challenge.pool.example"),
        ("names = ['pool.example']\n", 4, "pool.example"),
        ("names = ['www']\npools = ['*.pool.example']\n", 5, "*.pool.example"),
    ] {
        let wanted = format!(
            "zones/Pool.example.toml:{line}: warning: \"{pattern}\" is relative to the zone, so it stands for \
             {pattern}.pool.example.; leave the zone's name out"
        );
        assert_eq!(found("Pool.example", text), [wanted]);
    }
    for grant in ["names = ['*', 'spool.example', 'pool.example.www']\n", "targets = ['www.pool.example.']\n"]
    {
        assert_eq!(found("pool.example", grant), [""; 0], "{grant}");
    }
}

#[test]
fn a_grant_for_names_needs_no_pool() {
    let grant = "[[grant]]\nunsigned = true\nnames = ['www']\nlease = 1209600\n";
    assert_eq!(warnings(&[("rollcall.toml", ""), ("zones/a.toml", grant)]), [""; 0]);
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
