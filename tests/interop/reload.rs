//! Zone files that change under a running server, as people and programs change them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::server::{Server, Site};

fn zone_file(server: &Server) -> PathBuf {
    server.path().join("zones/pool.example.zone")
}

/// The zone of the tour, with this at its end.
fn zone_with(server: &Server, more: &str) -> String {
    let text = fs::read_to_string(zone_file(server)).unwrap();
    let shipped = text.split("; more\n").next().unwrap();
    format!("{shipped}; more\n{more}\n")
}

fn wait_for_reload(server: &Server, from: usize) {
    server.log.wait_from(from, &["INFO reloaded", "pool.example."]);
}

#[test]
fn a_file_is_edited_in_every_way_that_editors_have() {
    let names = "[[grant]]\nunsigned = true\nsources = ['127.0.0.0/8']\nnames = ['host']\ntypes = ['TXT']\n";
    let Some(server) = Site::new("").grants(names).serve() else { return };
    server.update(&[], "update add m1.web.pool.example. 30 A 10.0.0.1");
    server.update(&[], "update add host.pool.example. 60 TXT v=1");
    let file = zone_file(&server);
    let beside = |name: &str| server.path().join("zones").join(name);
    let shell = |script: &str| {
        assert!(
            Command::new("sh").args(["-ec", script]).current_dir(server.path()).status().unwrap().success()
        );
    };
    let text = |n: usize| zone_with(&server, &format!("new A 192.0.2.{n}"));
    let ways: [(&str, &dyn Fn(usize)); 6] = [
        ("written in place", &|n| fs::write(&file, text(n)).unwrap()),
        ("written beside and renamed", &|n| {
            fs::write(beside(".pool.example.zone.swp"), "nonsense").unwrap();
            fs::write(beside("4913"), text(n)).unwrap();
            fs::rename(beside("4913"), &file).unwrap();
            fs::remove_file(beside(".pool.example.zone.swp")).unwrap();
        }),
        ("renamed away and written anew", &|n| {
            let text = text(n);
            fs::rename(&file, beside("pool.example.zone~")).unwrap();
            fs::write(&file, text).unwrap();
        }),
        ("by sed -i", &|n| {
            shell(&format!("sed -i 's/^new A .*/new A 192.0.2.{n}/' zones/pool.example.zone"))
        }),
        ("by a link to another", &|n| {
            fs::write(server.path().join("elsewhere"), text(n)).unwrap();
            shell("ln -sf ../elsewhere zones/pool.example.zone");
        }),
        ("by a shell, line by line", &|n| {
            fs::write(server.path().join("next"), text(n)).unwrap();
            shell(
                "rm zones/pool.example.zone; while IFS= read -r line; do printf '%s\\n' \"$line\"; done <next >zones/pool.example.zone",
            );
        }),
    ];
    for (n, (way, edit)) in (1..).zip(ways) {
        let from = server.log.len();
        edit(n);
        wait_for_reload(&server, from);
        assert_eq!(server.dig("new.pool.example A").data(), [format!("192.0.2.{n}")], "{way}");
    }
    assert_eq!(server.dig("web.pool.example A").data(), ["10.0.0.1"]);
    assert_eq!(server.dig("host.pool.example TXT").data(), ["\"v=1\""]);
    assert!(server.log.lines_from(0, &["ERROR"]).is_empty(), "{}", server.log.text());
}

#[test]
fn a_bad_file_changes_nothing_and_is_reported_once_with_its_line() {
    let Some(server) = Site::new("").serve() else { return };
    let lines = zone_with(&server, "").lines().count();
    fs::write(zone_file(&server), zone_with(&server, "new A 192.0.2.1\nbad A 192.0.2.256")).unwrap();
    let place = format!("pool.example.zone:{}", lines + 1);
    server.log.wait(&["ERROR", "the zone is served as before", &place]);
    server.dig("new.pool.example A").is_nothing("NXDOMAIN");
    // Something else moves, and is reloaded: of the bad file nothing more is said.
    fs::write(server.path().join("zones/other.example.toml"), "").unwrap();
    server.log.wait(&["INFO reloaded", "other.example."]);
    server.dig("other.example SOA").is("NOERROR", "qr aa");
    assert_eq!(server.log.lines_from(0, &["ERROR"]).len(), 1, "{}", server.log.text());
    let from = server.log.len();
    server.signal("HUP");
    server.log.wait_from(from, &["ERROR", &place]);
    fs::write(zone_file(&server), zone_with(&server, "new A 192.0.2.1")).unwrap();
    wait_for_reload(&server, from);
    assert_eq!(server.dig("new.pool.example A").data(), ["192.0.2.1"], "{}", server.log.text());
    server.counts(&[("/reloads/done", 2), ("/reloads/errors", 2)]);
}

#[test]
fn what_is_gone_is_served_until_sighup() {
    let Some(server) = Site::new("").zone("other.example", "").serve() else { return };
    fs::remove_file(server.path().join("zones/other.example.zone")).unwrap();
    server.log.wait(&["gone", "other.example.zone", "until SIGHUP"]);
    server.dig("other.example SOA").is("NOERROR", "qr aa");
    fs::remove_file(server.path().join("zones/other.example.toml")).unwrap();
    server.log.wait(&["gone", "other.example.toml"]);
    server.dig("other.example SOA").is("NOERROR", "qr aa");
    server.signal("HUP");
    server.log.wait(&["unloaded", "other.example"]);
    server.counts(&[("/reloads/done", 1)]);
    server.dig("other.example SOA").is("REFUSED", "qr");
    server.dig("pool.example SOA").is("NOERROR", "qr aa");
}

#[test]
fn keys_and_grants_are_taken_over_at_sighup() {
    let Some(server) = Site::new("").key("old", "hmac-sha256").grants(&grant("old")).serve() else { return };
    let join = "update add m1.web.pool.example. 30 A 10.9.0.1";
    server.update(&["-k", "old.key"], join);
    let made = super::server::rollcall(server.path())
        .args(["keygen", "new", "--key-file", "new.key"])
        .output()
        .unwrap();
    fs::write(server.path().join("rollcall.toml"), made.stdout).unwrap();
    let toml = server.path().join("zones/pool.example.toml");
    let text = fs::read_to_string(&toml).unwrap().replace("key = 'old'", "key = 'new'");
    fs::write(&toml, text).unwrap();
    // The key that it is for now is not known yet.
    server.log.wait(&["ERROR", "pool.example.toml", "new"]);
    server.update(&["-k", "old.key"], join);
    let from = server.log.len();
    server.signal("HUP");
    server.log.wait_from(from, &["reading the configuration again"]);
    server.counters_when(|counters| counters["reloads"]["done"] == 1);
    server.refused(&["-k", "old.key"], join, "NOTAUTH", &["BADKEY"]);
    server.update(&["-k", "new.key"], "update add m2.web.pool.example. 30 A 10.9.0.2");
    assert_eq!(server.dig("web.pool.example A").sorted(), ["10.9.0.1", "10.9.0.2"]);
}

fn grant(key: &str) -> String {
    format!("[[grant]]\nkey = '{key}'\npools = ['*']\naddresses = ['10.9.0.0/16']\nadmin = true\n")
}

#[test]
fn ten_thousand_zone_files_are_watched() {
    const ZONES: usize = 10_000;
    let site = Site::new("");
    let zones = site.path().join("zones");
    let file = |n: usize| zones.join(format!("z{n}.example.zone"));
    let text = |n: usize| format!("@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\nn 60 TXT {n}\n");
    (0..ZONES).for_each(|n| fs::write(file(n), text(n)).unwrap());
    let Some(server) = site.serve() else { return };
    server.dig("n.z9999.example TXT").is("NOERROR", "qr aa");
    let zones = server.path().join("zones");
    fs::write(zones.join("z1234.example.zone"), text(7)).unwrap();
    server.log.wait(&["INFO reloaded", "z1234.example."]);
    assert_eq!(server.dig("n.z1234.example TXT").data(), ["\"7\""]);
    let from = server.log.len();
    for n in 0..100 {
        fs::write(zones.join(format!("z{n}.example.zone")), text(n + 1)).unwrap();
    }
    server.log.wait_from(from, &["INFO reloaded", "z99.example."]);
    assert_eq!(server.dig("n.z99.example TXT").data(), ["\"100\""]);
    assert_eq!(server.log.lines_from(0, &["INFO reloaded"]).len(), 101);
    // A member's heartbeat costs what it cost with one zone: no commit writes ten thousand serials.
    server.update(&[], "update add m1.web.pool.example. 30 A 10.0.0.1");
    assert_eq!(server.dig("web.pool.example A").data(), ["10.0.0.1"]);
}
