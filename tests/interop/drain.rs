//! An operator's drains, by `rollcall drain` and `rollcall undrain` as a shell has them, and by nsupdate.

use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::clients::text;
use super::server::{Server, Site, rollcall};

/// Longer than anything here takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a key of an operator's, and one of members'; two members are there.
fn two_members() -> Option<Server> {
    let grants = "[[grant]]\nkey = 'ops'\nadmin = true\n[[grant]]\nkey = 'fleet'\n";
    let site = Site::new(grants).key("ops", "hmac-sha256").key("fleet", "hmac-sha512");
    let server = site.serve()?;
    join(&server, 1);
    join(&server, 2);
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"]);
    Some(server)
}

fn join(server: &Server, n: u8) {
    server.update(&["-k", "fleet.key"], &format!("update add m{n}.web.pool.example. 600 A 10.0.0.{n}"));
}

/// What the program does and says, told to this server.
fn run(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let address = server.address.to_string();
    let mut command = rollcall(server.path());
    let Output { status, stdout, stderr } =
        command.args(arguments).args(["--server", &address]).output().unwrap();
    (status.code(), text(stdout).replace(&address, "SERVER"), text(stderr).replace(&address, "SERVER"))
}

/// The same with the operator's key, which has to do it. What it says.
fn done(server: &Server, arguments: &[&str]) -> String {
    let (code, out, err) = run(server, &[arguments, &["--key-file", "ops.key"]].concat());
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}{}", server.log.text());
    out
}

#[test]
fn a_drained_member_gets_no_more_clients_until_it_is_taken_back() {
    let Some(server) = two_members() else { return };
    let out = done(&server, &["drain", "web/m1", "--why", "kernel upgrade"]);
    let undrain = "rollcall undrain web/m1 --server SERVER --key-file ops.key";
    assert_eq!(out, format!("m1 of web.pool.example. gets no more clients until `{undrain}`\n"));
    assert_eq!(server.web(), ["10.0.0.2"]);
    assert_eq!(server.dig("m1.web.pool.example A").data(), ["10.0.0.1"], "its own name is answered");

    join(&server, 1);
    assert_eq!(server.web(), ["10.0.0.2"], "a heartbeat does not end it");

    let out = done(&server, &["undrain", "web/m1"]);
    assert_eq!(out, "no drain keeps clients from m1 of web.pool.example. any more\n");
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"]);
    done(&server, &["undrain", "web/m1"]);
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"], "to take it back twice is no error");
}

#[test]
fn a_drain_with_an_end_ends_by_itself() {
    let Some(server) = two_members() else { return };
    let out = done(&server, &["drain", "web/m2", "--for", "1h30m", "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["ok"], &json["for_s"], &json["key"]), (&true.into(), &5400.into(), &"ops.".into()));
    assert_eq!(server.web(), ["10.0.0.1"]);

    let begin = Instant::now();
    done(&server, &["drain", "web/m2", "--for", "1"]);
    while server.web() != ["10.0.0.1", "10.0.0.2"] {
        assert!(begin.elapsed() < PATIENCE, "it has not ended\n{}", server.log.text());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(begin.elapsed() >= Duration::from_secs(1), "it ended early");
}

#[test]
fn a_member_that_is_away_is_found_drained_when_it_comes_back() {
    let Some(server) = two_members() else { return };
    server.update(&["-k", "fleet.key"], "update delete m1.web.pool.example.");
    done(&server, &["drain", "web/m1"]);
    join(&server, 1);
    assert_eq!(server.web(), ["10.0.0.2"]);
    assert_eq!(server.dig("m1.web.pool.example A").data(), ["10.0.0.1"]);
    done(&server, &["undrain", "web/m1"]);
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"]);

    let (code, out, err) = run(&server, &["drain", "web/m3", "--key-file", "ops.key"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let reason = "m3 is not a member of web.pool.example., nor was it lately: there is nobody to drain";
    assert_eq!(err, format!("rollcall: the server at SERVER refused it: REFUSED ({reason})\n"));
}

#[test]
fn nsupdate_says_the_same() {
    let Some(server) = two_members() else { return };
    let ops = ["-k", "ops.key"];
    server.update(&ops, "update add _drain.m1.web.pool.example. 0 TXT \"for=600\" \"why=disk\"");
    assert_eq!(server.web(), ["10.0.0.2"]);
    server.update(&ops, "update delete _drain.m1.web.pool.example. TXT");
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn who_may_not_drain_is_told_so_and_nothing_happens() {
    let Some(server) = two_members() else { return };
    let of_fleet = "write `admin = true` in a [[grant]] for the key fleet. in the zone's TOML";
    for (arguments, hint) in [
        (
            &["drain", "web/m1"][..],
            "name the file of an operator's key, whose [[grant]] has `admin = true`, with --key-file",
        ),
        (&["drain", "web/m1", "--key-file", "fleet.key"], of_fleet),
        (&["undrain", "web/m1", "--key-file", "fleet.key"], of_fleet),
    ] {
        let (code, out, err) = run(&server, arguments);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}");
        let refused = "rollcall: the server at SERVER refused it: REFUSED (draining m1 of pool web.pool.example. takes ";
        assert!(err.starts_with(refused) && err.contains(hint), "{err}");
    }
    let (code, out, err) = run(&server, &["drain", "web/m1", "--zone", "example.org", "--json"]);
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["ok"], &json["rcode"]), (Some(1), &false.into(), &"NOTAUTH".into()));
    assert!(err.contains("it has no zone example.org.: name the pool's with --zone"), "{err}");
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"]);
}

/// The signature is right or wrong whatever the message says.
#[test]
fn a_signature_that_the_server_does_not_accept_is_explained() {
    let Some(server) = two_members() else { return };
    let text = std::fs::read_to_string(server.key_file("ops")).unwrap();
    let write = |name: &str, text: String| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = server.key_file(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("stranger", text.replace("key \"ops.\"", "key \"stranger.\""));
    write("forger", text.replace(&server.secret("ops"), &server.secret("fleet")));
    for (file, wanted) in [
        ("stranger.key", "(BADKEY): it has no key stranger. for hmac-sha256; add the [[key]]"),
        ("forger.key", "(BADSIG): its key ops. has another secret; give the file"),
    ] {
        let (code, out, err) = run(&server, &["drain", "web/m1", "--key-file", file]);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{file}");
        assert!(err.starts_with("rollcall: the server at SERVER refused it: NOTAUTH"), "{err}");
        assert!(err.contains(wanted), "{err}");
    }
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn a_drain_outlives_the_server() {
    let Some(server) = two_members() else { return };
    done(&server, &["drain", "web/m1"]);
    let server = server.restart();
    assert_eq!(server.web(), ["10.0.0.2"], "it was stopped");
    let server = server.crash();
    assert_eq!(server.web(), ["10.0.0.2"], "it crashed");
    done(&server, &["undrain", "web/m1"]);
    let server = server.crash();
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"], "what was taken back stays so");
}
