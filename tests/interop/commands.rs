//! The program as an operator's shell sees it: exit codes, and where it says what.

use std::fs;
use std::process::{Output, Stdio};

use super::server::{LISTEN, Site, rollcall, wait};

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
