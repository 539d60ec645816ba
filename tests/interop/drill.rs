//! drill (Debian ldnsutils): what another library makes of the same answers.

use std::collections::BTreeSet;
use std::process::Command;

use super::clients::{or_say, text};
use super::server::{Server, Site};

fn is_here() -> bool {
    or_say(Command::new("drill").arg("-v").output().is_ok(), "drill is missing: apt-get install -y ldnsutils")
}

/// The RCODE, and name, type and rdata of each record of the answer, as drill prints them.
fn drill(server: &Server, arguments: &str) -> (String, BTreeSet<String>) {
    let (at, port) = (format!("@{}", server.address.ip()), server.address.port().to_string());
    let output =
        server.client("drill").args(["-p", &port, &at]).args(arguments.split_whitespace()).output().unwrap();
    let said = text(output.stdout);
    let rcode = said.split_once("rcode: ").unwrap_or_else(|| panic!("{said}")).1;
    let answer = said.split_once(";; ANSWER SECTION:\n").unwrap().1;
    let record = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        format!("{} {} {}", words[0], words[3], words[4..].join(" "))
    };
    (
        rcode.split(',').next().unwrap().to_owned(),
        answer.lines().take_while(|line| !line.is_empty()).map(record).collect(),
    )
}

#[test]
fn sees_what_dig_sees() {
    if !is_here() {
        return;
    }
    let Some(server) = Site::new("").serve() else { return };
    server.update(
        &[],
        "update add m1.web.pool.example. 30 A 10.0.0.1
         update add m1.web.pool.example. 30 TXT site=fra
         update add m2.web.pool.example. 30 AAAA 2001:db8::2
         update add _http._tcp.web.pool.example. 30 SRV 0 10 8081 m1.web.pool.example.
         update add _http._tcp.web.pool.example. 30 SRV 0 10 8082 m2.web.pool.example.",
    );
    for question in [
        "web.pool.example A",
        "web.pool.example AAAA",
        "web.pool.example MX",
        "m1.web.pool.example TXT",
        "_http._tcp.web.pool.example SRV",
        "www.pool.example A",
        "info.pool.example TXT",
        "pool.example SOA",
        "pool.example NS",
        "m9.web.pool.example A",
        "example.org A",
    ] {
        let dig = server.dig(question);
        let seen =
            dig.answer.iter().map(|record| format!("{} {} {}", record.name, record.rtype, record.data));
        let seen: (String, BTreeSet<String>) = (dig.status.clone(), seen.collect());
        assert_eq!(drill(&server, question), seen, "{question}");
        assert_eq!(drill(&server, &format!("-t {question}")), seen, "{question} over TCP");
    }
}
