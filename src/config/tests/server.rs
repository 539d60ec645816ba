//! `rollcall.toml` and the command line: defaults, what is said, and what is wrong with it.

use super::*;
use crate::membership::LeaseRules;

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
    let udp = &config.udp;
    assert_eq!((udp.batch, udp.receive_buffer_bytes, udp.send_buffer_bytes), (16, 4 << 20, 1 << 20));
    assert_eq!(udp.busy_poll_us, 0);
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
        "listen = ['192.0.2.1:53']\nstate = 's'\n{KEY}[store]\ncache_bytes = 1048576\n[udp]\nworkers = 3\nsend_buffer_bytes = 65536\nbusy_poll_us = 10000\n[tcp]\nidle_ms = 500\n[limits]\npools = 7\n[identity]\nversion = 'rollcall'\nnsid = 'fra1'\n"
    );
    let (dir, config) = load_files(&[("rollcall.toml", &config), ("zones/pool.example.zone", ZONE)]);
    let config = config.unwrap();
    assert_eq!(config.listen, ["192.0.2.1:53".parse().unwrap()]);
    assert_eq!(config.state_dir, dir.path().join("s"));
    assert_eq!((config.store.cache_bytes, config.udp.workers), (1 << 20, 3));
    assert_eq!((config.udp.send_buffer_bytes, config.udp.busy_poll_us), (65_536, 10_000));
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
            "[udp]\nsend_buffer_bytes = 65535\n",
            "rollcall.toml:2:21: `send_buffer_bytes` is 65535; give 65536 to 1073741824",
        ),
        ("[udp]\nbusy_poll_us = -1\n", "rollcall.toml:2:16: `busy_poll_us` is -1; give 0 to 10000"),
        ("[udp]\nbusy_poll_us = 10001\n", "rollcall.toml:2:16: `busy_poll_us` is 10001; give 0 to 10000"),
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
