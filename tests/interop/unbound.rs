//! Unbound (Debian unbound) in front, as resolvers are: it asks for one label more at a time (RFC 9156) and believes nothing
//! else than what it is told (`qname-minimisation-strict`), and it asks in wILd caSe and wants it back (`use-caps-for-id`).

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::clients::{Answer, or_say};
use super::server::{Log, Server, Site};

const UNBOUND: &str = "/usr/sbin/unbound";

pub struct Unbound {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
    log: Log,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Whether it is on this machine. If not, a test passes over with a loud line; in CI it fails.
pub fn is_here() -> bool {
    or_say(Command::new(UNBOUND).arg("-V").output().is_ok(), "unbound is missing: apt-get install -y unbound")
}

/// An address that nobody listens on now. Somebody else may take it meanwhile: then another one is tried.
fn free_address() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind("127.0.0.3:0").unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// Has it ask `server` for everything below `zone`.
fn in_front_of(server: &Server, zone: &str) -> Unbound {
    in_front_with(server, zone, "")
}

/// The same, with more in its configuration: clauses of their own.
pub fn in_front_with(server: &Server, zone: &str, more: &str) -> Unbound {
    (0..5).find_map(|_| start(server, zone, more)).expect("unbound starts")
}

fn start(server: &Server, zone: &str, more: &str) -> Option<Unbound> {
    let address = free_address();
    let (ip, port, dir) = (address.ip(), address.port(), server.path().display());
    let (to, to_port) = (server.address.ip(), server.address.port());
    let config = format!(
        "server:
            interface: {ip}@{port}
            access-control: 127.0.0.0/8 allow
            directory: \"{dir}\"
            chroot: \"\"
            username: \"\"
            pidfile: \"\"
            use-syslog: no
            do-daemonize: no
            do-ip6: no
            num-threads: 1
            verbosity: 2
            module-config: \"iterator\"
            do-not-query-localhost: no
            use-caps-for-id: yes
            qname-minimisation: yes
            qname-minimisation-strict: yes
            harden-below-nxdomain: yes
        stub-zone:
            name: \"{zone}\"
            stub-addr: {to}@{to_port}
        remote-control:
            control-enable: no
        {more}\n"
    );
    let file = server.path().join("unbound.conf");
    fs::write(&file, config).unwrap();
    let mut child =
        server.client(UNBOUND).args(["-d", "-c"]).arg(&file).stderr(Stdio::piped()).spawn().unwrap();
    let log = Log::default();
    log.follow(child.stderr.take().unwrap());
    let unbound = Unbound { child, address, log };
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if !unbound.log.lines_from(0, &["start of service"]).is_empty() {
            return Some(unbound);
        }
        if !unbound.log.lines_from(0, &["can't bind socket"]).is_empty() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{}", unbound.log.text());
}

impl Unbound {
    fn dig(&self, server: &Server, question: &str) -> Answer {
        server.dig_at(self.address, question)
    }

    /// It found nothing odd in any answer: no other case, no failure.
    fn is_content(&self) {
        for doubt in ["apsforid", "SERVFAIL", "LAME", "lame", "timeout"] {
            assert!(self.log.lines_from(0, &[doubt]).is_empty(), "{doubt}: {}", self.log.text());
        }
    }
}

fn three_members() -> Option<Server> {
    if !is_here() {
        return None;
    }
    let server = Site::new("").serve()?;
    server.update(
        &[],
        "update add m1.web.pool.example. 30 A 10.0.0.1
         update add m1.web.pool.example. 30 AAAA 2001:db8::1
         update add m2.web.pool.example. 30 A 10.0.0.2
         update add m2.web.pool.example. 30 TXT site=fra
         update add _http._tcp.web.pool.example. 30 SRV 0 10 8081 m1.web.pool.example.
         update add _http._tcp.web.pool.example. 30 SRV 0 10 8082 m2.web.pool.example.",
    );
    Some(server)
}

#[test]
fn it_finds_pools_members_and_services() {
    let Some(server) = three_members() else { return };
    let unbound = in_front_of(&server, "pool.example");
    let web = unbound.dig(&server, "web.pool.example A");
    web.is("NOERROR", "qr ra");
    assert_eq!(web.sorted(), ["10.0.0.1", "10.0.0.2"]);
    assert!(web.answer.iter().all(|record| record.ttl_s <= 5), "no TTL is longer than ours");
    assert_eq!(unbound.dig(&server, "m1.web.pool.example AAAA").data(), ["2001:db8::1"]);
    assert_eq!(unbound.dig(&server, "m2.web.pool.example TXT").data(), ["\"site=fra\""]);
    let services = unbound.dig(&server, "_http._tcp.web.pool.example SRV");
    assert_eq!(services.sorted(), ["0 10 8081 m1.web.pool.example.", "0 10 8082 m2.web.pool.example."]);
    assert_eq!(unbound.dig(&server, "all.web.pool.example A").data().len(), 2);
    assert_eq!(unbound.dig(&server, "www.pool.example A").data().len(), 3, "the alias and what is behind it");
    unbound.is_content();
}

#[test]
fn it_finds_what_is_not_there() {
    let Some(server) = three_members() else { return };
    let unbound = in_front_of(&server, "pool.example");
    for question in
        ["m2.web.pool.example AAAA", "_tcp.web.pool.example A", "game.pool.example A", "web.pool.example MX"]
    {
        let nothing = unbound.dig(&server, question);
        nothing.is("NOERROR", "qr ra");
        assert!(nothing.data().is_empty(), "{question}");
    }
    for question in ["m9.web.pool.example A", "_sip._udp.web.pool.example SRV", "a.b.c.pool.example A"] {
        let nothing = unbound.dig(&server, question);
        nothing.is("NXDOMAIN", "qr ra");
    }
    unbound.is_content();
}

#[test]
fn who_leaves_is_gone_from_it_within_the_ttl() {
    let Some(server) = three_members() else { return };
    let unbound = in_front_of(&server, "pool.example");
    assert_eq!(unbound.dig(&server, "web.pool.example A").data().len(), 2);
    server.update(&[], "update delete m1.web.pool.example.");
    let left = Instant::now();
    while unbound.dig(&server, "web.pool.example A").data() != ["10.0.0.2"] {
        // A TTL of 5 s, counted in whole seconds by both.
        assert!(left.elapsed() < Duration::from_secs(7), "it goes on answering with who has left");
        std::thread::sleep(Duration::from_millis(100));
    }
    unbound.is_content();
}

#[test]
fn it_follows_wildcards_aliases_of_subtrees_and_delegations() {
    if !is_here() {
        return;
    }
    let site = Site::new("");
    let file = site.path().join("zones/pool.example.zone");
    let text = fs::read_to_string(&file).unwrap();
    let more =
        "*.any TXT wild\nleaf.some.any TXT own\nold DNAME new\nx.y.new A 192.0.2.7\n*.new A 192.0.2.8\n";
    fs::write(&file, text + more).unwrap();
    // The zone around it delegates it to where both are served.
    let outer = "@ 60 SOA ns.pool h 1 2 3 4 5\n@ 60 NS ns.pool\npool 60 NS ns.pool\nns.pool 60 A 127.0.0.2\n";
    fs::write(site.path().join("zones/example.zone"), outer).unwrap();
    let Some(server) = site.serve() else { return };
    let unbound = in_front_of(&server, "example");
    for (question, wanted) in [
        ("a.b.any.pool.example TXT", vec!["\"wild\""]),
        ("leaf.some.any.pool.example TXT", vec!["\"own\""]),
        ("*.any.pool.example TXT", vec!["\"wild\""]),
        ("x.y.old.pool.example A", vec!["new.pool.example.", "x.y.new.pool.example.", "192.0.2.7"]),
        ("z.old.pool.example A", vec!["new.pool.example.", "z.new.pool.example.", "192.0.2.8"]),
    ] {
        let answer = unbound.dig(&server, question);
        answer.is("NOERROR", "qr ra");
        // The case of the labels that a DNAME leaves as they are is the question's.
        let found: Vec<_> = answer.data().iter().map(|data| data.to_lowercase()).collect();
        assert_eq!(found, wanted, "{question}");
    }
    for (question, status) in [
        ("some.any.pool.example A", "NOERROR"),
        ("x.some.any.pool.example A", "NXDOMAIN"),
        ("q.y.old.pool.example A", "NXDOMAIN"),
    ] {
        let nothing = unbound.dig(&server, question);
        nothing.is(status, "qr ra");
        assert!(
            nothing.answer.iter().all(|record| record.rtype == "DNAME" || record.rtype == "CNAME"),
            "{question}"
        );
    }
    unbound.is_content();
}
