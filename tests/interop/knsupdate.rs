//! knsupdate (Debian knot-dnsutils): another reading of the same RFCs. It takes the zone from its script and verifies the
//! signature of each reply.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::clients::{or_say, text};
use super::server::{RENEWALS, Server, Site};

fn is_here() -> bool {
    let here = Command::new("knsupdate").arg("-V").output().is_ok();
    or_say(here, "knsupdate is missing: apt-get install -y knot-dnsutils")
}

fn fleet(algorithm: &str) -> Option<Server> {
    if !is_here() {
        return None;
    }
    let grant = "[[grant]]\nkey = 'fleet'\npools = ['*']\nnames = ['@', '*']\ntypes = ['*']\n";
    let server = Site::new(grant).key_of_others("fleet", algorithm).serve()?;
    let key = format!("{algorithm}:fleet:{}", server.secret("fleet"));
    fs::write(server.path().join("fleet.knot"), key).unwrap();
    Some(server)
}

/// Runs it on a script. An error is what it says of it.
fn try_update(server: &Server, arguments: &[&str], script: &str) -> Result<(), String> {
    let mut client = server
        .client("knsupdate")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (ip, port) = (server.address.ip(), server.address.port());
    let lines: Vec<_> = script.lines().map(str::trim).collect();
    let script = format!("server {ip} {port}\nzone pool.example.\n{}\nsend\n", lines.join("\n"));
    client.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = client.wait_with_output().unwrap();
    let said = text(output.stdout) + &text(output.stderr);
    match output.status.code() {
        Some(0) if said.is_empty() => Ok(()),
        Some(1) => Err(said),
        _ => panic!("knsupdate ended with {}: {said}\n{}", output.status, server.log.text()),
    }
}

fn update(server: &Server, arguments: &[&str], script: &str) {
    if let Err(error) = try_update(server, arguments, script) {
        panic!("knsupdate: {error}{script}\n{}", server.log.text());
    }
}

fn refused(server: &Server, arguments: &[&str], script: &str, status: &str) {
    let said = try_update(server, arguments, script).expect_err("it was taken");
    assert!(said.contains(&format!("status: {status};")), "{said}");
}

/// What a member says to join, in this order or the other: the same to the server, and another message, for two that have all
/// octets and their second in common are one that was sent again. Numbers are of 16 bits: now and then two are the same.
fn records(member: &str, reversed: bool) -> String {
    let mut records = [
        format!("update add {member}.web.pool.example. 30 A 10.0.0.1"),
        format!("update add _http._tcp.web.pool.example. 30 SRV 0 10 8080 {member}.web.pool.example."),
        format!("update add {member}.web.pool.example. 30 TXT weight=20"),
    ];
    if reversed {
        records.reverse();
    }
    records.join("\n")
}

#[test]
fn joins_renews_and_leaves_over_udp_and_tcp_with_every_algorithm() {
    for algorithm in ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"] {
        let Some(server) = fleet(algorithm) else { return };
        let key = format!("{algorithm}:Fleet:{}", server.secret("fleet"));
        let rounds =
            [&["-y", &key][..], &["-v", "-y", &key], &["-k", "fleet.knot"], &["-v", "-k", "fleet.knot"]];
        for (arguments, member) in rounds.into_iter().zip(["m1", "m2", "m3", "m4"]) {
            update(&server, arguments, &records(member, false));
            update(&server, arguments, &records(member, true));
            assert_eq!(server.web(), ["10.0.0.1"], "{arguments:?}");
            assert_eq!(
                server.dig("_http._tcp.web.pool.example SRV").data(),
                [format!("0 10 8080 {member}.web.pool.example.")]
            );
            update(&server, arguments, &format!("update del {member}.web.pool.example."));
            assert!(server.web().is_empty(), "{algorithm} {arguments:?}\n{}", server.log.text());
        }
        server.counts(&[("/changes/joined", 4), (RENEWALS, 4), ("/changes/deregistered", 4)]);
    }
}

#[test]
fn changes_ordinary_records_under_prerequisites() {
    let Some(server) = fleet("hmac-sha256") else { return };
    let fleet = ["-k", "fleet.knot"];
    let add = "prereq nxdomain host.pool.example.
        update add host.pool.example. 30 A 10.0.0.1
        update add host.pool.example. 30 A 10.0.0.2
        update add host.pool.example. 30 TYPE65280 \\# 4 deadbeef";
    update(&server, &fleet, add);
    refused(&server, &fleet, add, "YXDOMAIN");
    refused(&server, &fleet, "prereq yxdomain no.pool.example.\nupdate del host.pool.example.", "NXDOMAIN");
    let both = "prereq yxrrset host.pool.example. A 10.0.0.2\nprereq yxrrset host.pool.example. A 10.0.0.1\n";
    let one = "prereq yxrrset host.pool.example. A 10.0.0.1\n";
    let delete = "update del host.pool.example. A 10.0.0.1";
    refused(&server, &fleet, &format!("{one}{delete}"), "NXRRSET");
    update(&server, &fleet, &format!("{both}{delete}"));
    assert_eq!(server.dig("host.pool.example A").data(), ["10.0.0.2"]);
    refused(&server, &fleet, &format!("prereq nxrrset host.pool.example. A\n{delete}"), "YXRRSET");
    update(&server, &fleet, "prereq yxrrset host.pool.example. A\nupdate del host.pool.example. A");
    server.dig("host.pool.example A").is_nothing("NOERROR");
    assert_eq!(server.dig("host.pool.example TYPE65280").data(), ["\\# 4 DEADBEEF"]);
    update(&server, &fleet, "update del host.pool.example.");
    server.dig("host.pool.example TYPE65280").is_nothing("NXDOMAIN");
}

#[test]
fn says_why_it_was_turned_away() {
    let Some(server) = fleet("hmac-sha256") else { return };
    let add = "update add host.pool.example. 30 A 10.0.0.1";
    refused(&server, &[], add, "REFUSED");
    let secret = server.secret("fleet");
    refused(&server, &["-y", &format!("hmac-sha512:fleet:{secret}")], add, "BADKEY");
    refused(&server, &["-y", &format!("hmac-sha256:nobody:{secret}")], add, "BADKEY");
    refused(&server, &["-y", "hmac-sha256:fleet:d3Jvbmc="], add, "BADSIG");
    refused(&server, &["-k", "fleet.knot"], "update add host.example. 30 A 10.0.0.1", "NOTZONE");
    server.dig("host.pool.example A").is_nothing("NXDOMAIN");
    server.counts(&[("/updates/refused", 5), ("/store/commits", 0)]);
}
