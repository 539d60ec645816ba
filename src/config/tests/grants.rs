use super::*;
use crate::security::{Grant, GrantedLease, NamePattern, Types};
use crate::wire::Rtype;

/// The only grant of a zone.
fn grant(text: &str) -> Grant {
    let config = good(KEY, &format!("create_pools = true\n[[grant]]\n{text}"));
    config.zones[0].grants.iter().next().unwrap().clone()
}

fn globs(patterns: &[NamePattern]) -> Vec<&str> {
    patterns.iter().map(NamePattern::as_str).collect()
}

#[test]
fn what_a_grant_leaves_out() {
    let Grant {
        number,
        key,
        sources,
        pools,
        names,
        types,
        addresses,
        targets,
        own_address,
        owner,
        admin,
        lease,
    } = grant("unsigned = true\n");
    assert_eq!((number, key, sources.len(), addresses.len(), targets.len()), (1, None, 0, 0, 0));
    assert_eq!((globs(&pools), globs(&names)), (vec!["*"], vec![]));
    assert_eq!((types, own_address, owner, admin), (Types::Default, false, None, false));
    assert_eq!(lease, GrantedLease::Pools);
}

#[test]
fn what_a_grant_says() {
    let grant = grant(
        "key = 'WEB'\nsources = ['10.0.0.0/8', '2001:db8::1']\npools = ['Web-*']\nnames = ['_acme-challenge.*', '@']\n\
        types = ['A', 'srv', 'CAA', 'TYPE65280', 'SOA']\naddresses = ['192.0.2.0/24', '10.0.0.0/16']\n\
        targets = ['DB.example.net.', '*.example.org', '.']\nown_address = true\nowner = 'fleet'\nadmin = true\nlease = 60\n",
    );
    assert_eq!((grant.key, grant.sources[1].to_string()), (Some(name("web.")), "2001:db8::1/128".to_owned()));
    assert_eq!((globs(&grant.pools), globs(&grant.names)), (vec!["web-*"], vec!["_acme-challenge.*", "@"]));
    let types = vec![Rtype::A, Rtype::SRV, Rtype::CAA, Rtype::from_int(65_280), Rtype::SOA];
    assert_eq!((grant.types, grant.addresses.len()), (Types::Only(types), 2));
    assert_eq!(globs(&grant.targets), ["db.example.net", "*.example.org", ""]);
    assert_eq!((grant.own_address, grant.owner.as_deref(), grant.admin), (true, Some("fleet"), true));
    assert_eq!(grant.lease, GrantedLease::Seconds(60));
}

#[test]
fn pools_are_every_pool_unless_names_are_given() {
    for (text, pools, names) in [
        ("", vec!["*"], vec![]),
        ("pools = ['web']\n", vec!["web"], vec![]),
        ("names = ['www']\n", vec![], vec!["www"]),
        ("names = ['www']\npools = ['*']\n", vec!["*"], vec!["www"]),
    ] {
        let grant = grant(&format!("key = 'web'\n{text}"));
        assert_eq!((globs(&grant.pools), globs(&grant.names)), (pools, names), "{text}");
    }
}

#[test]
fn every_type_and_no_lease() {
    let grant = grant("key = 'web'\ntypes = ['*']\nlease = 'none'\nown_address = false\n");
    assert_eq!((grant.types, grant.lease, grant.own_address), (Types::All, GrantedLease::None, false));
}

#[test]
fn unsigned_grants_may_be_for_any_network() {
    let grant =
        grant("unsigned = true\nsources = ['127.0.0.0/8', '10.0.0.0/8']\nown_address = true\nadmin = true\n");
    assert_eq!((grant.sources.len(), grant.own_address, grant.admin), (2, true, true));
}

/// Each grant is refused with a message that begins so.
fn assert_errors(rows: &[(&str, &str)]) {
    for (text, wanted) in rows {
        let found = bad_zone(&format!("[[grant]]\n{text}"));
        assert!(found.starts_with(&format!("zones/pool.example.toml:{wanted}")), "{found}\n{wanted}");
    }
}

#[test]
fn errors_of_holders_networks_and_owners() {
    assert_errors(&[
        ("", "1:1: a grant is for a key or for unsigned updates; give either"),
        ("key = 'web'\nunsigned = true\n", "1:1: a grant is for a key or for"),
        ("unsigned = false\n", "1:1: a grant is for a key or for"),
        ("key = 'api'\n", "2:7: `key`: there is no [[key]] \"api\" in rollcall.toml; known: web."),
        ("key = 'a..b'\n", "2:7: `key`: \"a..b\" is not a domain name"),
        ("key = 'web'\nsources = []\n", "3:11: `sources` is an empty list"),
        ("key = 'web'\naddresses = []\n", "3:13: `addresses` is an empty list"),
        (
            "key = 'web'\naddresses = ['10.0.0.1/8']\n",
            "3:14: `addresses`: \"10.0.0.1/8\" is not a prefix; give 10.0.0.0/8 or 10.0.0.1/32",
        ),
        (
            "key = 'web'\naddresses = ['ten']\n",
            "3:14: `addresses`: \"ten\" is not a prefix; give a prefix such as",
        ),
        (
            "key = 'web'\naddresses = ['::ffff:10.0.0.1']\n",
            "3:14: `addresses`: \"::ffff:10.0.0.1\" is not a prefix; give the IPv4 prefix, such as 10.0.0.1/32",
        ),
        ("key = 'web'\nowner = 'a b'\n", "3:9: `owner` has to be"),
        ("key = 'web'\nzone = 1\n", "3:1: `zone`: unknown field `zone`"),
        (
            "key = 'web'\nown_address = 1\n",
            "3:15: `own_address`: invalid type: integer `1`, expected a boolean",
        ),
    ]);
}

#[test]
fn errors_of_patterns() {
    for (key, what) in [("pools", "pool"), ("names", "name"), ("targets", "target")] {
        let start = format!("zones/pool.example.toml:3:{}: `{key}`", key.len() + 4);
        let found = bad_zone(&format!("[[grant]]\nkey = 'web'\n{key} = []\n"));
        assert!(found.starts_with(&format!("{start} is an empty list")), "{found}");
        let start = format!("zones/pool.example.toml:3:{}: `{key}`", key.len() + 5);
        for text in ["", "a b", ".web", "a..b", "web..", "a@b"] {
            let found = bad_zone(&format!("[[grant]]\nkey = 'web'\n{key} = ['{text}']\n"));
            let wanted = format!("{start}: \"{text}\" can match no {what}; patterns are ");
            assert!(found.starts_with(&wanted), "{found}");
        }
    }
    assert_errors(&[
        (
            "key = 'web'\npools = ['web.pool.example.']\n",
            "3:10: `pools`: \"web.pool.example.\" can match no pool; patterns are relative to the zone, such as \"web\" or",
        ),
        ("key = 'web'\npools = ['web', '@']\n", "3:17: `pools`: \"@\" can match no pool"),
        (
            "key = 'web'\nnames = ['www', '*.']\n",
            "3:17: `names`: \"*.\" can match no name; patterns are relative to the zone, such as \"_acme-challenge.*\", or \
             \"@\" for its apex",
        ),
        (
            "key = 'web'\ntargets = ['@']\n",
            "3:12: `targets`: \"@\" can match no target; patterns are whole names, such as",
        ),
    ]);
}

#[test]
fn errors_of_types_and_leases() {
    assert_errors(&[
        ("key = 'web'\ntypes = []\n", "3:9: `types` is an empty list; give at least one, or leave it out"),
        (
            "key = 'web'\ntypes = ['A', 'CNAMES']\n",
            "3:15: `types`: \"CNAMES\" is no type of records; give names such as \"MX\" or \"TYPE65280\", or \"*\" alone",
        ),
        ("key = 'web'\ntypes = ['ANY']\n", "3:10: `types`: \"ANY\" is no type of records"),
        ("key = 'web'\ntypes = ['TYPE250']\n", "3:10: `types`: \"TYPE250\" is no type of records"),
        ("key = 'web'\ntypes = ['A', '*']\n", "3:15: `types`: \"*\" is every type already; give it alone"),
        ("key = 'web'\nlease = 0\n", "3:9: `lease` is 0; give 1 to 1209600 seconds, or \"none\" for"),
        ("key = 'web'\nlease = 1209601\n", "3:9: `lease` is 1209601; give"),
        ("key = 'web'\nlease = -1\n", "3:9: `lease` is -1; give"),
        ("key = 'web'\nlease = 'never'\n", "3:9: `lease` is \"never\"; give"),
        ("key = 'web'\nlease = '60'\n", "3:9: `lease` is \"60\"; give"),
        ("key = 'web'\nlease = 1.5\n", "3:9: `lease` is 1.5; give"),
    ]);
}

#[test]
fn errors_of_what_could_do_nothing() {
    assert_errors(&[
        (
            "key = 'web'\nnames = ['www']\ntargets = ['db.example.net.']\n",
            "4:11: `targets` does nothing in this grant: it covers no pool, and other SRV records need none; give `pools`, \
             or remove `targets`",
        ),
        (
            "key = 'web'\ntypes = ['A']\ntargets = ['db.example.net.']\n",
            "4:11: `targets` does nothing in this grant: its `types` have no SRV; add it, or remove `targets`",
        ),
        (
            "key = 'web'\ntypes = ['TXT']\naddresses = ['10.0.0.0/8']\n",
            "4:13: `addresses` does nothing in this grant: its `types` have none of A, AAAA, HTTPS and SVCB; add one, or \
             remove `addresses`",
        ),
        (
            "key = 'web'\ntypes = ['TXT', 'CAA']\nown_address = true\n",
            "4:15: `own_address` does nothing in this grant: its `types` have none of A,",
        ),
        (
            "key = 'web'\nsources = ['10.0.0.0/8']\nown_address = true\naddresses = ['192.0.2.0/24']\n",
            "5:13: `own_address` and `addresses` allow no address together: none of these is in `sources`",
        ),
        (
            "unsigned = true\nown_address = true\naddresses = ['192.0.2.0/24']\n",
            "4:13: `own_address` and `addresses` allow no address together",
        ),
    ]);
    for text in [
        "key = 'web'\nown_address = true\naddresses = ['192.0.2.0/24']\n",
        "key = 'web'\nsources = ['10.0.0.0/8']\nown_address = true\naddresses = ['192.0.2.0/24', '10.1.0.0/16']\n",
        "unsigned = true\nown_address = true\naddresses = ['127.0.0.1']\n",
        "key = 'web'\ntypes = ['HTTPS']\naddresses = ['10.0.0.0/8']\n",
        "key = 'web'\ntypes = ['TXT']\nown_address = false\n",
    ] {
        grant(text);
    }
}

#[test]
fn a_grant_without_its_key_says_where_keys_were_looked_for() {
    let grant = "[[grant]]\nkey = 'api'\n";
    let (dir, config) = load_files(&[("rollcall.toml", KEY), ("zones/a.toml", grant)]);
    let wanted =
        format!("there is no [[key]] \"api\" in {}/rollcall.toml; known: web.", dir.path().display());
    assert!(config.unwrap_err().to_string().contains(&wanted));

    let overrides =
        Overrides { zones: Some(dir.path().join("zones")), state: Some("s".into()), ..Overrides::default() };
    let found = load_with(None, overrides, &|_| None, &mut |_| ()).unwrap_err().to_string();
    assert!(found.contains("there is no [[key]] \"api\", for no rollcall.toml was read; name it"), "{found}");
}
