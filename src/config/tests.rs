mod all_down;
mod elsewhere;
mod grants;
mod keys;
mod policies;
mod rereading;
mod warnings;
mod zone_files;

use std::num::NonZeroU16;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::membership::LeaseRules;
use crate::policy::{Policy, Shown};
use crate::zone::OnAllDown;

fn load_with(
    config_file: Option<&Path>,
    overrides: Overrides,
    environment: &dyn Fn(&str) -> Option<OsString>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Config, ConfigError> {
    Ok(Reader::start_with(config_file, overrides, environment, progress)?.1)
}

const KEY: &str = "[[key]]\nname = 'web'\nsecret = 'MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE='\n";
const ZONE: &str = "@ 60 SOA ns hostmaster 42 1200 180 1209600 2\n@ 60 NS ns\nns 60 A 192.0.2.1\n";

/// A directory with these files in it, which are their owner's alone, and rollcall.toml loaded from there.
fn load_files(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Config, ConfigError>) {
    load_modes(&files.iter().map(|&(name, text)| (name, text, 0o600)).collect::<Vec<_>>())
}

/// The same, with the permissions that each file has.
fn load_modes(files: &[(&str, &str, u32)]) -> (tempfile::TempDir, Result<Config, ConfigError>) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("zones")).unwrap();
    for &(name, text, mode) in files {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let file = dir.path().join("rollcall.toml");
    let config = load_with(
        Some(&file),
        Overrides::default(),
        &|variable| (variable == "HOME").then(|| "/home/u".into()),
        &mut |_| (),
    );
    (dir, config)
}

fn good(server: &str, zone: &str) -> Config {
    load_files(&[("rollcall.toml", server), ("zones/pool.example.toml", zone)]).1.unwrap()
}

/// The message of a load that fails, the directory's name cut out.
fn bad(files: &[(&str, &str)]) -> String {
    let (dir, config) = load_files(files);
    config.unwrap_err().to_string().replace(&format!("{}/", dir.path().display()), "")
}

fn bad_server(text: &str) -> String {
    bad(&[("rollcall.toml", text), ("zones/pool.example.toml", "")])
}

fn bad_zone(text: &str) -> String {
    bad(&[("rollcall.toml", KEY), ("zones/pool.example.toml", text)])
}

fn name(text: &str) -> Name {
    Name::bytes_from_str(text).unwrap()
}

#[test]
fn everything_has_a_default() {
    let config = good("", "");
    assert_eq!(
        config.listen.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["127.0.0.1:5300", "[::1]:5300"]
    );
    assert_eq!(config.state_dir, Path::new("/home/u/.local/state/rollcall"));
    assert_eq!(config.store.cache_bytes, 16 << 20);
    assert!((1..=64).contains(&config.udp.workers));
    assert_eq!((config.udp.batch, config.udp.receive_buffer_bytes), (16, 4 << 20));
    let tcp = TcpSettings {
        connections: 1024,
        client_connections: 256,
        idle_ms: 10_000,
        message_ms: 10_000,
        pipeline: 64,
    };
    assert_eq!(config.tcp, tcp);
    assert_eq!(
        config.limits,
        Limits { update_queue: 4096, pools: 131_072, members: 1_000_000, records: 1_000_000 }
    );
    assert_eq!(config.identity, Identity::default(), "nothing is said of itself");
    assert_eq!(config.files.len(), 2);
    let zone = &config.zones[0];
    assert_eq!((zone.settings.negative_ttl_s, zone.settings.create_pools), (2, false));
    assert_eq!(
        (zone.settings.freeze_max_ms, &zone.settings.defaults.on_all_down),
        (600_000, &OnAllDown::All)
    );
    assert_eq!((zone.records.soa.serial, zone.grants.iter().len()), (1, 0));
    let defaults = &zone.settings.defaults;
    assert_eq!((defaults.policy, defaults.ttl_s), (Policy::RoundRobin, 5));
    assert_eq!((defaults.addresses, defaults.services), (Shown::All, Shown::All));
    assert_eq!(defaults.leases, LeaseRules { default_ms: 30_000, min_ms: 2_000, max_ms: 3_600_000 });
}

#[test]
fn one_client_has_a_quarter_of_all_connections_unless_it_is_said_otherwise() {
    for (toml, wanted) in [
        ("connections = 9", (9, 3)),
        ("connections = 1", (1, 1)),
        ("connections = 9\nclient_connections = 9", (9, 9)),
    ] {
        let config = format!("[tcp]\n{toml}\nmessage_ms = 500\n");
        let files = [("rollcall.toml", config.as_str()), ("zones/pool.example.zone", ZONE)];
        let tcp = load_files(&files).1.unwrap().tcp;
        assert_eq!(((tcp.connections, tcp.client_connections), tcp.message_ms), (wanted, 500), "{toml}");
    }
}

#[test]
fn what_is_said_is_taken_and_paths_are_relative_to_the_file() {
    let config = format!(
        "listen = ['192.0.2.1:53']\nstate = 's'\n{KEY}[store]\ncache_bytes = 1048576\n[udp]\nworkers = 3\n[tcp]\nidle_ms = 500\n[limits]\npools = 7\n[identity]\nversion = 'rollcall'\nnsid = 'fra1'\n"
    );
    let (dir, config) = load_files(&[("rollcall.toml", &config), ("zones/pool.example.zone", ZONE)]);
    let config = config.unwrap();
    assert_eq!(config.listen, ["192.0.2.1:53".parse().unwrap()]);
    assert_eq!(config.state_dir, dir.path().join("s"));
    assert_eq!((config.store.cache_bytes, config.udp.workers), (1 << 20, 3));
    assert_eq!((config.tcp.idle_ms, config.limits.pools), (500, 7));
    let identity = Identity { version: Some("rollcall".into()), hostname: None, nsid: Some("fra1".into()) };
    assert_eq!(config.identity, identity);
    assert!(config.keyring.get(&name("WEB.")).is_some());
    assert_eq!(config.zones[0].records.soa.serial, 42);
}

#[test]
fn the_command_line_wins() {
    let (dir, _) = load_files(&[
        ("rollcall.toml", "listen = ['192.0.2.1:53']\nzones = 'nowhere'\nstate = 's'\n"),
        ("zones/a.toml", ""),
    ]);
    let overrides = Overrides {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        zones: Some(dir.path().join("zones")),
        state: Some("elsewhere".into()),
    };
    let config =
        load_with(Some(&dir.path().join("rollcall.toml")), overrides, &|_| None, &mut |_| ()).unwrap();
    assert_eq!((config.listen.len(), config.listen[0].port()), (1, 0));
    assert_eq!(config.state_dir, Path::new("elsewhere"));
    assert_eq!(config.zones[0].settings.apex, name("a."));
}

#[test]
fn the_state_directory_comes_from_the_environment() {
    let dir = |set: &[(&str, &str)]| {
        let set: Vec<_> = set.iter().map(|(key, value)| ((*key).to_owned(), OsString::from(value))).collect();
        default_state_dir(&|variable| {
            set.iter().find(|(key, _)| key == variable).map(|(_, value)| value.clone())
        })
    };
    let wanted = |path: &str| Some(PathBuf::from(path));
    assert_eq!(dir(&[("STATE_DIRECTORY", "/var/lib/a:/b"), ("HOME", "/h")]), wanted("/var/lib/a"));
    assert_eq!(dir(&[("XDG_STATE_HOME", "/x"), ("HOME", "/h")]), wanted("/x/rollcall"));
    assert_eq!(dir(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]), wanted("/h/.local/state/rollcall"));
    assert_eq!(dir(&[]), None);
    assert!(ConfigError::NoState.to_string().contains("or pass --state DIR"));
}

#[test]
fn errors_show_their_line() {
    assert_eq!(
        bad_server("\n[udp]\n  batch = 65 # too many\n"),
        "rollcall.toml:3:11: `batch` is 65; give 1 to 64\n  3 |   batch = 65 # too many\n    |           ^^"
    );
    assert_eq!(
        bad_zone("ttl = 5\nanswers = [\n 1 ]\n"),
        "zones/pool.example.toml:2:11: `answers` is [1]; give \"all\" or 1 to 64\n  2 | answers = [\n    |           ^"
    );
}

#[test]
fn server_errors() {
    for (text, wanted) in [
        ("listen = 5\n", "rollcall.toml:1:10: `listen`: invalid type: integer `5`, expected a sequence"),
        (
            "listen = [\n '127.0.0.1:53',\n 'localhost']\n",
            "rollcall.toml:3:2: `listen`: \"localhost\" is not ADDRESS:PORT; give",
        ),
        (
            "listen = []\n",
            "rollcall.toml:1:10: `listen` is an empty list; give at least one, or leave it out",
        ),
        (
            "listen = ['127.0.0.1:53', '[::1]:0',\n '[::1]:0', '127.0.0.1:53']\n",
            "rollcall.toml:2:13: `listen`: \"127.0.0.1:53\" is given twice; remove one",
        ),
        ("\nport = 53\n", "rollcall.toml:2:1: `port`: unknown field `port`, expected one of `listen`, "),
        ("listen\n", "rollcall.toml:1:7: "),
        ("state = 'a\n", "rollcall.toml:1:1"),
        ("[store]\ncache_bytes = 1000\n", "rollcall.toml:2:15: `cache_bytes` is 1000; give 1048576 to "),
        (
            "[identity]\nversion = ''\n",
            "rollcall.toml:2:11: `version` has 0 octets; give 1 to 255, or leave it out",
        ),
        (
            "[identity]\nname = 'a'\n",
            "rollcall.toml:2:1: `name`: unknown field `name`, expected one of `version`",
        ),
        ("[udp]\nworkers = 0\n", "rollcall.toml:2:11: `workers` is 0; give 1 to 64"),
        ("[udp]\nreceive_buffer_bytes = -1\n", "rollcall.toml:2:24: `receive_buffer_bytes` is -1; give"),
        (
            "[tcp]\nconnections = '9'\n",
            "rollcall.toml:2:15: `connections`: invalid type: string \"9\", expected i64",
        ),
        (
            "[tcp]\nidle = 9\n",
            "rollcall.toml:2:1: `idle`: unknown field `idle`, expected one of `connections`",
        ),
        ("[tcp]\nidle_ms = 0\n", "rollcall.toml:2:11: `idle_ms` is 0; give"),
        ("[tcp]\npipeline = 0\n", "rollcall.toml:2:12: `pipeline` is 0; give"),
        ("[limits]\nupdate_queue = 0\n", "rollcall.toml:2:16: `update_queue` is 0; give"),
        ("[limits]\npools = 0\n", "rollcall.toml:2:9: `pools` is 0; give"),
        ("[limits]\nmembers = 99999999\n", "rollcall.toml:2:11: `members` is 99999999; give 1 to 16777216"),
    ] {
        let found = bad_server(text);
        assert!(found.starts_with(wanted), "{found}");
    }
    let found = bad_server(&format!("[identity]\nnsid = '{}'\n", "x".repeat(129)));
    assert!(found.starts_with("rollcall.toml:2:8: `nsid` has 129 octets; give 1 to 128"), "{found}");
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
fn a_zones_file_in_place_of_the_servers_is_recognised() {
    for (text, place) in [
        ("# c\ncreate_pools = true\n", "2:1: `create_pools`"),
        ("negative_ttl = 2\n", "1:1: `negative_ttl`"),
        ("freeze_max = 0\n", "1:1: `freeze_max`"),
        ("on_all_down = 'all'\n", "1:1: `on_all_down`"),
        ("fallback = 'web'\n", "1:1: `fallback`"),
        ("[[pool]]\nname = 'web'\n", "1:3: `pool`"),
        ("[[grant]]\nunsigned = true\n", "1:3: `grant`"),
    ] {
        let found = bad_server(text);
        let wanted = format!(
            "rollcall.toml:{place}: this looks like a zone's file: it belongs in the zones directory; "
        );
        assert!(found.starts_with(&wanted) && found.contains("take rollcall.toml"), "{found}");
    }
    let found = bad_server("[udp]\nttl = 3\n");
    assert!(found.contains("unknown field `ttl`, expected one of `workers`"), "{found}");
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
