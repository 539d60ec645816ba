//! What makes a zone, and what its file says of it and of its pools.

use super::*;
use crate::membership::LeaseRules;

#[test]
fn zones_are_what_is_called_like_one() {
    let (dir, config) = load_files(&[
        ("rollcall.toml", ""),
        ("zones/b.zone", ZONE),
        ("zones/a.toml", ""),
        ("zones/a.toml~", "x"),
        ("zones/.#a.toml", "x"),
        ("zones/#b.zone#", "x"),
        ("zones/b.zone.swp", "x"),
        ("zones/README", "x"),
    ]);
    std::fs::create_dir(dir.path().join("zones/c.zone")).unwrap();
    let apexes: Vec<_> = config.unwrap().zones.into_iter().map(|zone| zone.settings.apex).collect();
    assert_eq!(apexes, [name("a."), name("b.")]);

    let found = bad(&[("rollcall.toml", ""), ("zones/a..b.toml", "")]);
    assert!(found.starts_with("zones/a..b.toml: a zone's file is called after the zone"), "{found}");
    let found = bad(&[("rollcall.toml", ""), ("zones/a.zone", ZONE), ("zones/A.zone", ZONE)]);
    assert_eq!(found, "zones/A.zone and zones/a.zone are the same zone; remove one");
    let found = bad(&[("rollcall.toml", ""), ("zones/notes.txt", "")]);
    assert!(
        found.starts_with("no zone in ") && found.contains("put NAME.zone or NAME.toml there"),
        "{found}"
    );
    let found = bad(&[("rollcall.toml", "zones = 'nowhere'")]);
    assert!(found.starts_with("zones directory nowhere: ") && found.contains("--zones"), "{found}");
    let found = bad(&[("zones/a.toml", "")]);
    assert!(found.starts_with("rollcall.toml: No such file"), "{found}");
    let found = bad(&[("rollcall.toml", ""), ("zones/a.zone", "@ A nonsense\n")]);
    assert!(found.starts_with("zones/a.zone:1:5: "), "{found}");
}

#[test]
fn pools_take_what_they_leave_out_from_the_zone() {
    let zone = "ttl = 7\ndefault_lease = 10\nmax_lease = 20\n[[pool]]\nname = 'Web'\npolicy = 'weighted-random'\nttl = 0\n\
        [[pool]]\nname = 'a.b.pool.example.'\nanswers = 3\nmin_lease = 5\n[[pool]]\nname = 'all-of-it'\n";
    let settings = good("", zone).zones.remove(0).settings;
    let one = Shown::AtMost(NonZeroU16::MIN);
    let three = Shown::AtMost(NonZeroU16::new(3).unwrap());
    let [(web, web_settings), (deep, deep_settings), _] = &settings.pools[..] else { panic!("three") };
    assert_eq!((web, deep), (&name("web.pool.example."), &name("a.b.pool.example.")));
    assert_eq!((web_settings.ttl_s, web_settings.addresses, web_settings.services), (0, one, Shown::All));
    assert_eq!((deep_settings.ttl_s, deep_settings.addresses, deep_settings.services), (7, three, three));
    assert_eq!(deep_settings.leases, LeaseRules { default_ms: 10_000, min_ms: 5_000, max_ms: 20_000 });

    let zone = "answers = 'all'\n[[pool]]\nname = 'web'\npolicy = 'weighted-random'\n";
    assert_eq!(good("", zone).zones[0].settings.pools[0].1.addresses, Shown::All, "said for the zone");
}

#[test]
fn a_pools_status_is_for_this_machine_unless_the_zone_says_otherwise() {
    let told = |zone: &str, client: &str| {
        let settings = good("", zone).zones.remove(0).settings;
        let client = client.parse().unwrap();
        let [(_, pool)] = &settings.pools[..] else { panic!("one") };
        assert_eq!(pool.shows_status_to(client), settings.defaults.shows_status_to(client));
        pool.shows_status_to(client)
    };
    let pool = "[[pool]]\nname = 'web'\n";
    for (client, by_default, with_list) in [
        ("127.0.0.1", true, false),
        ("127.255.0.1", true, false),
        ("::1", true, false),
        ("::2", false, false),
        ("10.9.0.1", false, true),
        ("11.0.0.1", false, false),
        ("2001:db8::7", false, true),
    ] {
        assert_eq!(told(pool, client), by_default, "{client}");
        let list = format!("debug_from = ['10.0.0.0/8', '2001:db8::/32']\n{pool}");
        assert_eq!(told(&list, client), with_list, "{client}");
    }
}

#[test]
fn zone_errors() {
    for (text, wanted) in [
        ("negative_ttl = 3601\n", "1:16: `negative_ttl` is 3601; give 0 to 3600"),
        ("freeze_max = 3601\n", "1:14: `freeze_max` is 3601; give 0 to 3600"),
        ("freeze_max = -1\n", "1:14: `freeze_max` is -1; give 0 to 3600"),
        ("freeze_max = '10m'\n", "1:14: `freeze_max`: invalid type: string \"10m\", expected i64"),
        ("[[pool]]\nname = 'web'\nfreeze_max = 1\n", "3:1: `freeze_max`: unknown field"),
        ("ttl = 3601\n", "1:7: `ttl` is 3601; give 0 to 3600"),
        ("debug_from = []\n", "1:14: `debug_from` is an empty list"),
        (
            "debug_from = ['10.0.0.1/8']\n",
            "1:15: `debug_from`: \"10.0.0.1/8\" is not a prefix; give 10.0.0.0/8",
        ),
        ("[[pool]]\nname = 'web'\ndebug_from = ['::1']\n", "3:1: `debug_from`: unknown field"),
        (
            "policy = 'best'\n",
            "1:10: `policy`: \"best\" is not a policy; give one of round-robin, weighted-round-robin, random, \
             weighted-random, priority, least-used, least-used-degradation, priority-least-used, \
             randomized-least-used",
        ),
        ("answers = 0\n", "1:11: `answers` is 0; give \"all\" or 1 to 64"),
        ("answers = 65\n", "1:11: `answers` is 65; give"),
        ("answers = 'some'\n", "1:11: `answers` is \"some\"; give"),
        (
            "ttl = 5\nmax_lease = 20\n",
            "2:13: `min_lease` 2, `default_lease` 30 and `max_lease` 20 have to be in rising order",
        ),
        ("min_lease = 31\n", "1:13: `min_lease` 31, `default_lease` 30"),
        ("max_lease = 9999999\n", "1:13: `max_lease` is 9999999; give 1 to 1209600"),
        ("lease = 3\n", "1:1: `lease`: unknown field `lease`, expected one of `negative_ttl`"),
        ("[[pool]]\npolicy = 'random'\n", "1:1: missing field `name`"),
        ("[[pool]]\nname = 'web'\nweight = 1\n", "3:1: `weight`: unknown field `weight`"),
        ("[[pool]]\nname = 'web'\nttl = -1\n", "3:7: `ttl` is -1; give"),
        ("[[pool]]\nname = ''\n", "2:8: pool \"\": "),
        ("[[pool]]\nname = 'a b'\n", "2:8: pool \"a b\": this is not a domain name; give one"),
        ("[[pool]]\nname = 'web'\n\n[[pool]]\nttl = 1\n", "4:1: missing field `name`"),
        (
            "[[pool]]\nname = 'a..b'\n",
            "2:8: pool \"a..b\": this is not a domain name; give one relative to pool.example., such as",
        ),
        ("[[pool]]\nname = 'pool.example.'\n", "2:8: pool \"pool.example.\": a pool lies below the zone"),
        ("[[pool]]\nname = 'web.example.'\n", "2:8: pool \"web.example.\": a pool lies below the zone"),
        (
            "[[pool]]\nname = 'web.pool.example'\n",
            "2:8: pool \"web.pool.example\": this would be web.pool.example.pool.example.; end it",
        ),
        ("[[pool]]\nname = '_http.web'\n", "2:8: pool \"_http.web\": the label \"_http\" has a meaning"),
        ("[[pool]]\nname = 'All'\n", "2:8: pool \"All\": the label \"All\" has"),
        ("[[pool]]\nname = '*'\n", "2:8: pool \"*\": the label \"*\" has"),
        (
            "[[pool]]\nname = 'web'\n[[pool]]\nname = 'WEB.pool.example.'\n",
            "4:8: pool \"WEB.pool.example.\" is declared at line 2 already",
        ),
        (
            "[[pool]]\nname = 'eu.web'\n[[pool]]\nname = 'web'\n",
            "2:8: pool \"eu.web\" lies below the pool web.pool.example., where",
        ),
        ("[[pool]]\nname = 'web'\n[[pool]]\nname = 'a.b.web'\n", "4:8: pool \"a.b.web\" lies below"),
    ] {
        let found = bad_zone(text);
        assert!(found.starts_with(&format!("zones/pool.example.toml:{wanted}")), "{found}");
    }
}
