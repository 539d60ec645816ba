//! The program as an operator's shell sees it: exit codes, and where it says what.

use std::fs;
use std::net::TcpListener;
use std::process::{Output, Stdio};

use serde_json::Value;

use super::server::{LISTEN, Server, Site, rollcall, wait};

fn run(site: &Site, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = rollcall(site.path()).args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn check_says_what_a_configuration_amounts_to() {
    let site = Site::new("[[grant]]\nkey = 'fleet'\n").key("fleet", "hmac-sha384");
    let (code, out, err) = run(&site, &["check", "rollcall.toml"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("keys    fleet.") && out.contains("pool.example.  serial 1"), "{out}");
    assert!(!site.path().join("state").exists(), "it writes nothing");
}

#[test]
fn a_bad_configuration_is_named_by_file_line_and_key_and_not_served() {
    let site = Site::new("[[pool]]\nname = 'bad'\nttl = 9000\n");
    let text = fs::read_to_string(site.path().join("zones/pool.example.toml")).unwrap();
    let line = text.lines().position(|line| line == "ttl = 9000").unwrap() + 1;
    let place = format!("zones/pool.example.toml:{line}:7: `ttl` is 9000");
    let (code, out, err) = run(&site, &["check", "rollcall.toml"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains(&place), "{err}");

    let mut serving = rollcall(site.path())
        .args(["serve", "--listen", LISTEN, "--state", "state"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    assert_eq!(wait(&mut serving).code(), Some(1));
    let err = std::io::read_to_string(serving.stderr.take().unwrap()).unwrap();
    assert!(err.starts_with("rollcall: ") && err.contains(&place), "{err}");

    let (code, _, err) = run(&site, &["serve", "--listen", "nowhere"]);
    assert_eq!(code, Some(2), "{err}");
}

#[test]
fn a_second_server_on_the_same_port_or_state_is_turned_away() {
    let Some(server) = Site::new("").serve() else { return };
    server.update(&[], "update add m1.web.pool.example. 30 A 10.0.0.1");
    let second = |listen: &str, state: &str| {
        let arguments = ["serve", "--config", "rollcall.toml", "--listen", listen, "--state", state];
        let mut child = rollcall(server.path()).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
        let code = wait(&mut child).code();
        (code, std::io::read_to_string(child.stderr.take().unwrap()).unwrap())
    };
    let (code, err) = second(&server.address.to_string(), "other");
    let wanted = format!("rollcall: TCP {} is in use: stop the other server", server.address);
    assert!(code == Some(1) && err.contains(&wanted), "{code:?} {err}");
    let (code, err) = second(LISTEN, "state");
    let wanted = "rollcall: state: another rollcall is using this state directory";
    assert!(code == Some(1) && err.contains(wanted), "{code:?} {err}");
    for _ in 0..8 {
        assert_eq!(server.web(), ["10.0.0.1"], "the first one has lost no question to the second");
    }
}

#[test]
fn sigusr1_has_the_counters_logged_as_json() {
    let Some(server) = Site::new("").serve() else { return };
    server.dig("info.pool.example TXT").is("NOERROR", "qr aa");
    server.dig("nobody.pool.example A").is_nothing("NXDOMAIN");
    server.dig("+tcp web.pool.example A").is_nothing("NOERROR");
    server.dig("example.org A").is("REFUSED", "qr");
    server.counts(&[("/udp/positive", 1), ("/udp/nxdomain", 1), ("/udp/refused", 1), ("/udp/nodata", 0)]);
    server.counts(&[("/tcp/nodata", 1), ("/connections/accepted", 1)]);
}

#[test]
fn the_state_directory_is_printed_and_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(server) = Site::new("").serve() else { return };
    server.log.wait(&["state directory", "state=state", "run=1"]);
    let mode = server.path().join("state").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// What `rollcall explain` says of a question to this server.
fn explain(server: &Server, question: &str) -> (Option<i32>, String, String) {
    let address = server.address.to_string();
    let mut command = rollcall(server.path());
    command.args(["explain", "--server", &address]).args(question.split(' '));
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The same as JSON.
fn explained(server: &Server, question: &str) -> Value {
    let (code, out, err) = explain(server, &format!("{question} --json"));
    assert_eq!((code, err.as_str()), (Some(0), ""), "{question}: {out}");
    serde_json::from_str(&out).unwrap()
}

/// A site with a pool for each of these policies, named like them.
fn site_of(policies: &[&str]) -> Site {
    let pool = |policy: &&str| format!("[[pool]]\nname = '{policy}'\npolicy = '{policy}'\n");
    Site::new(&policies.iter().map(pool).collect::<String>()).one_worker()
}

#[test]
fn explain_marks_who_is_in_the_answer_and_dig_is_told_the_same() {
    let Some(server) = site_of(&["least-used", "priority"]).serve() else { return };
    let join = |pool: &str, member: &str, number: u8, says: &str| {
        let name = format!("{member}.{pool}.pool.example.");
        server.update(
            &[],
            &format!(
                "update add {name} 600 A 10.0.0.{number}\nupdate add {name} 600 TXT {says}\n\
                 update add _http._tcp.{pool}.pool.example. 600 SRV 0 10 808{number} {name}\n"
            ),
        );
    };
    join("least-used", "m1", 1, "load=0.7");
    join("least-used", "m2", 2, "load=0.2");
    join("least-used", "m3", 3, "weight=0");
    join("priority", "m1", 4, "priority=3");
    join("priority", "m2", 5, "priority=3");
    join("priority", "m3", 6, "priority=1");

    let (code, out, err) = explain(&server, "least-used.pool.example");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<_> = out.lines().collect();
    assert!(
        lines[0].starts_with("least-used.pool.example. is a pool. Policy least-used, an answer shows 1"),
        "{out}"
    );
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{out}");
    for (start, end) in [
        ("#  rank  share  member  state", "lease"),
        ("-     2     0%  m1      up", "s"),
        ("1     1   100%  m2      up", "s"),
        ("-     -      -  m3      out weight=0", "s"),
        ("Answer, TTL 5 s: 10.0.0.2", ""),
        ("Why: m2 has the least load, 0.2.", ""),
    ] {
        assert!(lines.iter().any(|line| line.starts_with(start) && line.ends_with(end)), "{start}:\n{out}");
    }
    assert_eq!(server.dig("least-used.pool.example A").data(), ["10.0.0.2"]);

    let found = explained(&server, "priority.pool.example A");
    let addresses = |found: &Value| {
        let mut picked: Vec<_> = found["members"].as_array().unwrap().iter().collect();
        picked.retain(|member| member["answer"].is_u64());
        picked.sort_by_key(|member| member["answer"].as_u64());
        picked.iter().map(|member| member["addresses"][0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let mut picked = addresses(&found);
    picked.sort();
    assert_eq!(picked, server.dig("priority.pool.example A").sorted());
    assert_eq!((&found["pool"]["policy"], &found["pool"]["answers"]), (&"priority".into(), &"best".into()));
    assert_eq!((&found["members"][2]["rank"], &found["members"][2]["answer"]), (&3.into(), &Value::Null));

    let service = explained(&server, "_http._tcp.priority.pool.example SRV");
    for member in service["members"].as_array().unwrap() {
        let is_best = member["priority"] == 3;
        assert_eq!(member["srv_priority"], if is_best { 0 } else { 1 }, "{member}");
        assert_eq!(member["share"], if is_best { 0.5 } else { 0.0 }, "{member}");
        assert!(member["answer"].is_u64(), "{member}");
    }
    for (question, is) in [
        ("all.priority.pool.example", "all"),
        ("_http._tcp.all.priority.pool.example SRV", "all"),
        ("priority._http._tcp.pool.example SRV", "instance"),
        ("m1.priority.pool.example TXT", "member"),
        ("info.pool.example TXT", "ordinary"),
        ("priority.pool.example MX", "pool"),
    ] {
        assert_eq!(explained(&server, question)["is"], is, "{question}");
    }
    assert_eq!(addresses(&explained(&server, "all.priority.pool.example")).len(), 3);
}

#[test]
fn explain_tells_of_drains_and_of_the_last_resort() {
    let Some(server) = Site::new("[[grant]]\nunsigned = true\nadmin = true\n").serve() else { return };
    let join = |member: &str, number: u8, says: &str| {
        let name = format!("{member}.web.pool.example.");
        server.update(
            &[],
            &format!(
                "update add {name} 600 A 10.0.0.{number}\nupdate add {name} 600 TXT {says}\n\
                 update add _http._tcp.web.pool.example. 600 SRV 0 10 80 {name}\n"
            ),
        );
    };
    join("m1", 1, "site=fra");
    join("m2", 2, "site=fra");
    server.update(&[], "update add m2.web.pool.example. 600 TXT drain=600");
    join("m3", 3, "site=fra");
    let drain = |words: &str| {
        server.update(&[], &format!("update add _drain.m3.web.pool.example. 0 TXT {words}\n"));
    };
    drain("for=600 \"why=new disk\"");
    let why = "m3 is drained by 127.0.0.1, and serves again in ";
    for question in ["web.pool.example", "_http._tcp.web.pool.example SRV"] {
        let (code, out, err) = explain(&server, question);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{question}");
        let lines = out.replace('\n', " ");
        for wanted in
            ["members: 1 up, 2 draining.", "m2 drains by its own word, and leaves in ", why, "\"new disk\""]
        {
            assert!(lines.contains(wanted), "{wanted}:\n{out}");
        }
    }
    let found = explained(&server, "_http._tcp.web.pool.example SRV");
    let [m1, m2, m3] = [0, 1, 2].map(|at| &found["members"][at]);
    assert_eq!((&m1["answer"], &m2["answer"], &m3["answer"]), (&1.into(), &Value::Null, &Value::Null));
    assert_eq!((&m3["drain"]["by"], &m3["drain"]["why"]), (&"127.0.0.1".into(), &"new disk".into()), "{m3}");
    assert_eq!((&m2["drain"]["by"], &m2["port"]), (&Value::Null, &80.into()), "{m2}");
    let (code, out, _) = explain(&server, "m3.web.pool.example");
    assert!(code == Some(0) && out.contains("also while it drains"), "{out}");

    join("m1", 1, "weight=0");
    let (code, out, _) = explain(&server, "web.pool.example");
    let lines = out.replace('\n', " ");
    assert_eq!(code, Some(0));
    for wanted in [
        " s: 10.0.0.1 Extended DNS Error 0: nobody is fit to serve",
        "Why: nobody is fit to serve, and on_all_down = \"all\": ",
    ] {
        assert!(lines.contains(wanted), "{wanted}:\n{out}");
    }
    let found = explained(&server, "web.pool.example");
    assert_eq!(
        (&found["rule"], &found["pool"]["on_all_down"]["answer"]),
        (&"on-all-down".into(), &"all".into())
    );
    assert_eq!((&found["members"][0]["answer"], &found["extended_error"]["code"]), (&1.into(), &0.into()));
}

#[test]
fn explain_says_what_is_lacking() {
    let Some(server) = Site::new("").serve() else { return };
    server.update(&[], "update add m1.web.pool.example. 600 A 10.0.0.1");
    for (question, wanted) in [
        ("m9.web.pool.example", "no name m9.web.pool.example. (NXDOMAIN): web.pool.example. is a pool"),
        ("nobody.pool.example", "no name nobody.pool.example. (NXDOMAIN): nobody has registered it"),
        ("example.org", "has no zone for example.org."),
    ] {
        let (code, out, err) = explain(&server, question);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{question}");
        assert!(err.starts_with("rollcall: ") && err.contains(wanted), "{err}");
    }
    let free = TcpListener::bind(LISTEN).unwrap().local_addr().unwrap();
    let arguments = ["explain", "web.pool.example", "--json", "--server", &free.to_string()];
    let Output { status, stdout, stderr } = rollcall(server.path()).args(arguments).output().unwrap();
    let (out, err): (Value, _) =
        (serde_json::from_slice(&stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!((status.code(), &out["ok"]), (Some(1), &Value::Bool(false)));
    assert!(
        err.contains("start it with `rollcall serve`") && err.contains(out["error"].as_str().unwrap()),
        "{err}"
    );
    assert_eq!(explain(&server, "web.pool.example NOSUCH").0, Some(2));
}

#[test]
fn explain_says_who_is_told() {
    let Some(server) = Site::new("").serve() else { return };
    server.update(&[], "update add m1.web.pool.example. 600 A 10.0.0.1");
    for (client, told) in [("127.0.0.9", "told"), ("192.0.2.7", "not told"), ("2001:db8::7", "not told")] {
        let (code, out, _) = explain(&server, &format!("web.pool.example --client {client}"));
        // Lines are broken where they are full.
        let out = out.replace('\n', " ");
        let wanted = format!("`_status` is {told} to it: ");
        assert!(
            code == Some(0) && out.contains(&format!("Client {client} ")) && out.contains(&wanted),
            "{out}"
        );
    }
    let client = &explained(&server, "web.pool.example --client 192.0.2.7")["client"];
    assert_eq!((&client["address"], &client["told_status"]), (&"192.0.2.7".into(), &false.into()));

    let site = Site::new("");
    let file = site.path().join("zones/pool.example.toml");
    let toml = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("debug_from = ['192.0.2.0/24']\n{toml}")).unwrap();
    let Some(server) = site.serve() else { return };
    let (code, out, err) = explain(&server, "web.pool.example");
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(
        err.contains("what web.pool.example. makes of its members") && err.contains("`debug_from`"),
        "{err}"
    );
}

#[test]
fn explain_follows_aliases_and_picks_once() {
    let pool = "[[pool]]\nname = 'lud'\npolicy = 'least-used-degradation'\n";
    let grant = "[[grant]]\nunsigned = true\nnames = ['*']\ntypes = ['CNAME']\n";
    let Some(server) = Site::new(&format!("{pool}{grant}")).one_worker().serve() else { return };
    server.update(&[], "update add m1.lud.pool.example. 600 A 10.0.0.1");
    server.update(&[], "update add to-lud.pool.example. 60 CNAME lud.pool.example.");
    server.update(&[], "update add away.pool.example. 60 CNAME www.example.org.");

    let found = explained(&server, "to-lud.pool.example");
    assert_eq!((&found["name"], &found["is"]), (&"lud.pool.example.".into(), &"pool".into()));
    let found = explained(&server, "lud.pool.example");
    assert_eq!(found["members"][0]["picks"], 1, "the first explanation was one answer: {found}");

    let found = explained(&server, "to-lud.pool.example CNAME");
    assert_eq!(found["records"][0]["data"], "lud.pool.example.", "{found}");
    let (code, out, _) = explain(&server, "away.pool.example");
    assert_eq!(code, Some(0));
    assert!(out.contains("www.example.org. is a name that the server has no zone for."), "{out}");
    assert!(out.contains("the answer ends with the alias"), "{out}");
}

/// Members may register any octets as a protocol (RFC 9460 section 7.1.1).
#[test]
fn explain_writes_nothing_that_a_terminal_obeys() {
    let Some(server) = Site::new("").serve() else { return };
    server.update(
        &[],
        "update add m1.web.pool.example. 600 A 10.0.0.1\n\
         update add web.pool.example. 600 HTTPS 1 m1.web.pool.example. alpn=\"\\027[31m\"",
    );
    for json in ["", " --json"] {
        let (code, out, err) = explain(&server, &format!("web.pool.example HTTPS{json}"));
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(out.contains("027[31m") && !out.contains('\u{1b}'), "{out:?}");
    }
}

#[test]
fn a_server_that_says_nothing_is_said_to_be_slow() {
    let dir = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind(LISTEN).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let arguments = ["explain", "web.pool.example", "--server", &address];
    let Output { status, stderr, .. } = rollcall(dir.path()).args(arguments).output().unwrap();
    let err = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(err.contains("did not answer within 5 s"), "{err}");
}

/// Whoever is granted ordinary names may register a TXT record that looks like a status.
#[test]
fn explain_believes_only_the_servers_word() {
    let grant = "[[grant]]\nunsigned = true\nnames = ['*']\ntypes = ['TXT', 'A']\n";
    let Some(server) = Site::new(grant).serve() else { return };
    server.update(
        &[],
        "update add m1.web.pool.example. 600 A 10.0.0.1\n\
         update add _http._tcp.web.pool.example. 600 SRV 0 10 80 m1.web.pool.example.",
    );
    for name in ["m1.web", "web._http._tcp", "info"] {
        let status = format!("update add _status.{name}.pool.example. 60 TXT");
        server.update(
            &[],
            &format!(
                "{status} \"{name}.pool.example. pool policy=random answers=1 ttl=5s up=1 out=0 gone=0\"\n\
                 {status} \"evil up registered lease=none weight=1 rank=1 share=100% 10.6.6.6\""
            ),
        );
    }
    for (question, is) in [
        ("m1.web.pool.example", "member"),
        ("web._http._tcp.pool.example SRV", "instance"),
        ("info.pool.example TXT", "ordinary"),
        ("m1.web.pool.example --client 192.0.2.7", "member"),
    ] {
        assert_eq!(explained(&server, question)["is"], is, "{question}");
    }
}
