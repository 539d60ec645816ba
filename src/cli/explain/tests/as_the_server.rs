//! Every verdict is the server's: the same scripts, explained and handled by a registrar with nobody on its roll.

use std::collections::BTreeSet;

use super::*;
use crate::change::Change;
use crate::config::{Overrides, load};
use crate::query::Transport;
use crate::security::Cookies;
use crate::update::{Clock, Limits, Registrar, Request, Setup, member_text};
use crate::wire::tsig::sign_request;
use crate::wire::{Header, Rcode};

const WALL_S: u64 = 1_800_000_000;

/// Scripts whose zone is pool.example. and whose names end in it, unless they end in a dot; `;` stands for the line's end.
const SCRIPTS: [&str; 51] = [
    // Members, services, attributes.
    "add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 10 8080 m1.web; add m1.web 30 TXT weight=20 load=0.5",
    "add m1.web 30 A 10.0.0.1; add m1.web 30 A 192.0.2.7",
    "add m1.web 30 A 192.0.2.7",
    "add m1.web 30 A 127.0.0.1; delete m1.web A 127.0.0.1; add m1.web 30 A 10.0.0.1",
    "add m1.web 30 A 127.0.0.1; add m1.web 30 AAAA ::1",
    "add m1.web 30 AAAA ::ffff:10.0.0.1; add m2.web 5 A 10.0.0.2",
    "add m1.web 30 A 10.0.0.1; add m1.web 30 TXT weight=heavy",
    "add m1.web 30 TXT weight=5",
    "add _http._tcp.web 30 SRV 0 10 8080 m1.web",
    "add _http._tcp.web 30 SRV 0 10 8080 a.example.net.",
    "add _http._tcp.web 30 SRV 0 10 8080 a.example.org.; add m1.web 30 A 10.0.0.1",
    "add _http._tcp.web 30 SRV 0 10 8080 x.y.web; add _http._tcp.web 30 SRV 0 0 0 .",
    "add web 30 A 10.0.0.1; add web 30 A 10.0.0.2; delete web A 10.0.0.2",
    "add web 30 A 10.0.0.1; delete web",
    "add m1.game.eu 30 A 10.0.0.1; add m1.web 30 A 10.0.0.1",
    "add m1.web 30 A 10.0.0.1; add web 30 HTTPS 1 m1.web.pool.example. alpn=h2 ipv4hint=10.0.0.1",
    "add web 30 SVCB 1 m1.web.pool.example.; add m2.web 30 A 10.0.0.1; add web 30 HTTPS 1 a.example.net.",
    "add m1.web 30 A 10.0.0.1; add web 30 HTTPS 1 m1.web.pool.example. ipv4hint=172.16.0.1; delete web SVCB",
    // Pools that a message makes.
    "add m1.fresh 30 A 10.0.0.1; add m1.fresh 30 TXT weight=1; add _s._tcp.fresh 30 SRV 0 0 1 m1.fresh",
    "add m1.fresh 30 TXT a=b; send; add m1.fresh 30 A 10.0.0.1",
    "add m1.fresh 30 A 10.0.0.1; send; add m1.fresh 30 TXT a=b; delete _s._tcp.fresh SRV; add fresh 30 TXT a",
    "add m1.taken 30 A 10.0.0.1",
    "add fresh 30 A 10.0.0.1",
    // Deletions.
    "delete m1.web; delete m1.fresh; delete web A; delete _http._tcp.web; delete _http._tcp.web SRV 0 0 1 m1.web",
    "delete all.web A; delete all.web",
    "delete m9.web CAA; delete m9.web",
    "delete m9.web",
    "delete m1.web A 172.16.0.1; delete m1.web TXT a=b; delete web AAAA ::1",
    "delete x.y.web A; delete x.y.web TXT; delete www",
    "delete host; delete host A; delete host A 10.0.0.1; delete @ NS; delete @ SOA; delete @",
    // In a pool's way, and what is not served.
    "add web 30 CNAME www; add m1.web 30 A 10.0.0.1",
    "add m1.web 30 NS ns; add all.web 30 A 10.0.0.1",
    "add *.web 30 TXT a; add host 30 DNAME www",
    "add host 30 NS ns; add host 30 DS 1 8 2 00",
    // Ordinary records.
    "add host 30 A 10.0.0.1; add host 30 TXT a",
    "add host 30 A 172.16.0.1; add _acme-challenge 30 TXT a",
    "add host 30 HTTPS 1 . ipv4hint=10.0.0.1; add m1.web 30 CAA 0 issue ca",
    "add host 30 HTTPS 1 . ipv4hint=172.16.0.1",
    "add host 30 SSHFP 1 1 00; add web 30 MX 10 ns",
    "add @ 30 SOA ns hostmaster 43 1 1 1 1; add @ 30 TXT a; add www 30 TXT a",
    "add host 30 TYPE65280 \\# 1 61; delete host TYPE65280",
    // The prescan, and names that are not the zone's.
    "add m1.web 30 A 10.0.0.1; add x.example.org. 30 A 10.0.0.1; add host 30 AXFR \\# 0",
    "add m1.web 30 A 10.0.0.1; add x.sub 30 A 10.0.0.1",
    "add host 30 OPT \\# 0; add x.sub 30 TXT a; delete host AXFR",
    "add m1.web 30 AAAA ::ffff:10.0.0.1; add x.sub 30 A 10.0.0.1",
    "add x.sub 30 A 10.0.0.1; add host 30 AXFR \\# 0",
    // Conditions: those that hold with nobody there, and those that are none.
    "nxdomain m1.web; nxrrset web A; yxrrset @ SOA; yxdomain www; add m1.web 30 A 10.0.0.1",
    "nxdomain x.sub; nxrrset host AXFR; add m1.web 30 A 10.0.0.1; add host 30 AXFR \\# 0",
    "yxdomain x.sub; add host 30 AXFR \\# 0",
    "zone example.org; add m1.web 30 A 10.0.0.1",
    "class CH; add host 30 TXT \\# 2 0161",
];

/// Who sends each of them: key, source, and whether over TCP.
const SENDERS: [(&str, &str, bool); 7] = [
    ("", "127.0.0.1", false),
    ("", "192.0.2.7", false),
    ("", "192.0.2.7", true),
    ("", "198.51.100.1", true),
    ("fleet", "198.51.100.1", false),
    ("acme", "198.51.100.1", false),
    ("stranger", "127.0.0.1", false),
];

/// The script with whole names.
fn spelt_out(script: &str) -> String {
    let whole = |word: &str| match word {
        "@" => "pool.example.".to_owned(),
        word if word.ends_with('.') => word.to_owned(),
        word => format!("{word}.pool.example."),
    };
    let line = |line: &str| {
        let mut words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        if !matches!(words[0].as_str(), "send" | "zone" | "class") {
            words[1] = whole(&words[1]);
            let is_name = |word: &str| matches!(word, "CNAME" | "NS" | "DNAME" | "SRV" | "MX" | "SOA");
            let has_name = words.iter().any(|word| is_name(word)) && words.len() > 4;
            if let Some(last) = words.last_mut().filter(|last| has_name && *last != "1") {
                *last = whole(last);
            }
        }
        words.join(" ")
    };
    let lines: Vec<_> = script.split("; ").map(line).collect();
    format!("zone pool.example\n{}\nsend\n", lines.join("\n"))
}

fn registrar(config: Config) -> Registrar {
    let zones = config.zones.into_iter().map(|zone| ZoneInput {
        serial: zone.records.soa.serial,
        settings: zone.settings,
        records: zone.records,
        grants: zone.grants,
    });
    let limits = Limits { members: 100, pools: 100, records: 100 };
    let cookies = Arc::new(Cookies::new([7; 16]));
    let (zones, keyring) = (zones.collect(), config.keyring);
    let setup = Setup { zones, dynamics: Vec::new(), keyring, cookies, limits, run: 1 };
    Registrar::new(setup, 1_000, 1).unwrap()
}

/// What the server says of one message: its RCODE, and why if it refuses; and what it changes.
fn handle(
    registrar: &mut Registrar,
    message: &ScriptMessage,
    key: Option<&crate::wire::tsig::Key>,
    args: &ExplainArgs,
) -> (Rcode, Option<String>, Vec<Change>) {
    let zone = message.zone.clone().unwrap();
    let mut octets = message.octets(&zone);
    if let Some(key) = key {
        sign_request(&mut octets, key, WALL_S, 300);
    }
    let transport = if args.tcp { Transport::Tcp } else { Transport::Udp };
    let request = Request { message: &octets, source: args.from.unwrap(), transport, received_ms: 1_000 };
    let handled = registrar.handle(&request, Clock { now_ms: 1_000, wall_s: WALL_S });
    registrar.publish(&handled.changes, 1_000).unwrap();
    let reply = handled.reply.unwrap().finish(true, WALL_S);
    let rcode = Rcode::masked_from_int(Header::read(&reply).unwrap().flags as u8);
    (rcode, handled.refusal, handled.changes)
}

/// Holds a report against what the server did; the number of lines compared.
fn compare(told: &serde_json::Value, done: (Rcode, Option<String>, Vec<Change>), context: &str) -> usize {
    let (rcode, refusal, changes) = done;
    let lines = told["lines"].as_array().unwrap();
    let texts =
        |key: &str| -> BTreeSet<&str> { lines.iter().filter_map(|line| line[key].as_str()).collect() };
    match (&refusal, told["refusal"].as_str()) {
        (Some(refusal), Some(told)) => {
            assert_eq!(refusal, told, "{context}");
            let is_told = texts("refusal").contains(told) || told.contains("services");
            assert!(is_told, "{context}: no line has {told}");
        }
        // What is taken for granted is not there.
        (Some(refusal), None) => {
            assert!(texts("unless_there").contains(refusal.as_str()), "{context}: {refusal}")
        }
        (None, told) => assert_eq!(told, None, "{context}: the server takes it"),
    }
    if refusal.is_none() || told["refusal"].is_string() {
        assert_eq!(told["rcode"].as_str(), Some(rcode.to_string().as_str()), "{context}");
    }
    for change in &changes {
        let Change::Member(change) = change else { continue };
        let Some(after) = &change.after else { continue };
        let member = member_text(&change.name);
        let mut lines = lines.iter().filter(|line| line["member"] == member.as_str());
        let line = lines.find(|line| name_text(&change.pool).starts_with(line["pool"].as_str().unwrap()));
        let line = line.unwrap_or_else(|| panic!("{context}: {member}"));
        assert_eq!(line["owner"].as_str(), Some(&*after.owner), "{context}: {member}");
        let lease_s = (after.lease_ms != u32::MAX).then_some(u64::from(after.lease_ms) / 1000);
        assert_eq!(
            (line["lease_s"].as_u64(), line["permanent"].as_bool()),
            (lease_s, Some(lease_s.is_none())),
            "{context}: {member}"
        );
    }
    lines.len()
}

/// Explains a script, and has it handled; how many lines were compared and how many messages were refused.
fn hold_against(
    site: &Site,
    text: &str,
    (key, from, tcp): (&str, &str, bool),
    context: &str,
) -> (usize, usize) {
    let args = sender(key, from, tcp);
    let messages =
        nsupdate_script::read(text.as_bytes()).unwrap_or_else(|error| panic!("{context}: {error}"));
    let (_, out, _) = site.check(text, sender(key, from, tcp), true);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    let told = json["messages"].as_array().unwrap();
    assert_eq!(told.len(), messages.len(), "{context}");
    let config =
        load(Some(&site.dir.path().join("rollcall.toml")), Overrides::default(), &mut |_| ()).unwrap();
    let key = args.key.as_ref().and_then(|key| config.keyring.get(key)).cloned();
    let mut registrar = registrar(config);
    let (mut compared, mut refused) = (0, 0);
    for (message, told) in messages.iter().zip(told) {
        let done = handle(&mut registrar, message, key.as_deref(), &args);
        refused += usize::from(done.1.is_some());
        compared += compare(told, done, context);
    }
    (compared, refused)
}

#[test]
fn every_verdict_is_the_servers() {
    let site = Site::new();
    // Each script as it is, and each of its records in a message of its own.
    let is_update = |line: &&str| line.starts_with("add") || line.starts_with("delete");
    let alone = SCRIPTS.iter().flat_map(|script| script.split("; ").filter(is_update));
    let scripts: BTreeSet<&str> = SCRIPTS.into_iter().chain(alone).collect();
    let (mut compared, mut refused) = (0, 0);
    for from in SENDERS {
        for script in &scripts {
            let (lines, refusals) =
                hold_against(&site, &spelt_out(script), from, &format!("{script} {from:?}"));
            (compared, refused) = (compared + lines, refused + refusals);
        }
    }
    println!("{compared} lines, {refused} messages refused");
    assert!(compared > 1_000 && refused > 300, "{compared} {refused}");
}

#[test]
fn limits_of_a_message_are_the_servers() {
    let site = Site::new();
    let srv = |n: usize| format!("add _s{n}._tcp.web 30 SRV 0 0 1 m{}.web", n % 3);
    let services: Vec<_> = (0..65).map(srv).collect();
    let addresses: Vec<_> = (1..=17).map(|n| format!("add m0.web 30 A 10.0.0.{n}")).collect();
    let members = "add m0.web 30 A 10.0.0.1; add m1.web 30 A 10.0.0.1; add m2.web 30 A 10.0.0.1";
    for script in [format!("{members}; {}", services.join("; ")), addresses.join("; ")] {
        let (_, refused) = hold_against(&site, &spelt_out(&script), ("", "127.0.0.1", false), &script);
        assert_eq!(refused, 1, "{script}");
    }
}
