//! Kea's DHCP-DDNS server (Debian kea-dhcp-ddns-server), told what a DHCP server tells it: a client has a lease, or has it no
//! more. What it makes of that is RFC 4703: a name belongs to whose DHCID stands there, which prerequisites find out.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::json;

use super::clients::{or_say, text};
use super::server::{Log, Server, Site};

/// Debian keeps it where only root's shell looks.
const PROGRAM: &str = "/usr/sbin/kea-dhcp-ddns";

/// Whether it is there, and may read what a test writes: Debian's AppArmor profile, where it is in force, says no.
fn is_here() -> bool {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("kea.json"), r#"{ "DhcpDdns": { "tsig-keys": [] } }"#).unwrap();
    let Ok(checked) = kea(dir.path()).args(["-t", "kea.json"]).output() else {
        return or_say(false, "kea-dhcp-ddns is missing: apt-get install -y kea-dhcp-ddns-server");
    };
    let said = text(checked.stderr);
    let lacking =
        "if it may not read the tests' files: apparmor_parser -R /etc/apparmor.d/usr.sbin.kea-dhcp-ddns";
    or_say(checked.status.success(), &format!("kea-dhcp-ddns says: {}; {lacking}", said.trim()))
}

/// The program, ready for arguments. What it writes by itself it writes into `dir`.
fn kea(dir: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    let places = ["KEA_PIDFILE_DIR", "KEA_LOCKFILE_DIR"];
    command.current_dir(dir).envs(places.map(|name| (name, dir))).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Kea, between a DHCP server and ours. Ended, by its id, when it is dropped.
struct Kea {
    child: Child,
    address: SocketAddr,
    log: Log,
}

impl Kea {
    /// Starts it for two zones of `server`, with a key of which `bits` of each MAC are sent; 0 for all.
    fn start(server: &Server, key: &str, algorithm: &str, bits: u16) -> Kea {
        // It takes no port of the system's choice, so it has an address that no other process uses: ids have 22 bits.
        static STARTED: AtomicU16 = AtomicU16::new(0);
        let [_, a, b, c] = std::process::id().to_be_bytes();
        let ip = Ipv4Addr::new(127, a | 0x40, b, c);
        let port = 53_001 + STARTED.fetch_add(1, Ordering::Relaxed);
        let domain = |name: &str| {
            let ours = json!({ "ip-address": server.address.ip(), "port": server.address.port() });
            json!({ "ddns-domains": [{ "name": name, "key-name": key, "dns-servers": [ours] }] })
        };
        let secret = server.secret(key);
        let config = json!({ "DhcpDdns": {
            "ip-address": ip,
            "port": port,
            // Milliseconds.
            "dns-server-timeout": 10_000,
            "tsig-keys": [{ "name": key, "algorithm": algorithm, "digest-bits": bits, "secret": secret }],
            "forward-ddns": domain("lan.example."),
            "reverse-ddns": domain("2.0.192.in-addr.arpa."),
            "loggers": [
                { "name": "kea-dhcp-ddns", "severity": "DEBUG", "debuglevel": 0, "output_options": [{ "output": "stderr" }] },
            ],
        }});
        std::fs::write(server.path().join("kea.json"), config.to_string()).unwrap();
        let mut command = kea(server.path());
        let mut child = command.args(["-c", "kea.json"]).stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::default();
        log.follow(child.stderr.take().unwrap());
        let kea = Kea { child, address: (ip, port).into(), log };
        // It says that it has started before it has a socket.
        kea.log.wait(&["DHCP_DDNS_QUEUE_MGR_STARTED"]);
        kea
    }

    /// A client's lease of an address under a name begins or ends; Kea says in a line of its log what came of that.
    fn hear(&self, begins: bool, (name, address, client): (&str, &str, u8), outcome: &str) {
        // Identifier type 1, digest type 1, and what would be a SHA-256 of who the client is (RFC 4701 section 3.3).
        let dhcid = format!("000101{}", format!("{client:02X}").repeat(32));
        let request = json!({
            "change-type": u8::from(!begins),
            "forward-change": true,
            "reverse-change": true,
            "fqdn": name,
            "ip-address": address,
            "dhcid": dhcid,
            "lease-expires-on": "20991231235959",
            "lease-length": 1800,
            "use-conflict-resolution": true,
        });
        let request = request.to_string().into_bytes();
        let octets = [&u16::try_from(request.len()).unwrap().to_be_bytes(), request.as_slice()].concat();
        let from = self.log.len();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&octets, self.address).unwrap();
        self.log.wait_from(from, &[outcome, &dhcid]);
    }
}

impl Drop for Kea {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn dhcp_zones(site: Site) -> Site {
    let grant = |types: &str| format!("[[grant]]\nkey = 'dhcp'\nnames = ['*']\ntypes = {types}\n");
    site.zone("lan.example", &grant("['A', 'AAAA', 'DHCID']"))
        .zone("2.0.192.in-addr.arpa", &grant("['PTR', 'DHCID']"))
}

const LAPTOP: u8 = 0xAA;
const STRANGER: u8 = 0xBB;

#[test]
fn names_belong_to_the_client_that_came_first() {
    if !is_here() {
        return;
    }
    let site = dhcp_zones(Site::new("").key("dhcp", "hmac-sha256"));
    let Some(server) = site.serve() else { return };
    let kea = Kea::start(&server, "dhcp", "HMAC-SHA256", 0);
    let shows = |name: &str, address: &str| {
        let (answer, reverse) = (server.dig(&format!("{name} A")), server.dig(&format!("-x {address}")));
        assert_eq!((answer.data(), reverse.data()), (vec![address.to_owned()], vec![name.to_owned()]));
        // The lease's length, as Kea gave it: no pool's TTL.
        assert_eq!((answer.answer[0].ttl_s, reverse.answer[0].ttl_s), (1800, 1800));
    };
    let lap = "lap.lan.example.";
    kea.hear(true, (lap, "192.0.2.7", LAPTOP), "DHCP_DDNS_ADD_SUCCEEDED");
    shows(lap, "192.0.2.7");
    assert_eq!(server.dig("lap.lan.example DHCID").answer.len(), 1);

    // The name is in use, and by another client: Kea asks twice, and gives up.
    kea.hear(true, (lap, "192.0.2.8", STRANGER), "DHCP_DDNS_ADD_FAILED");
    server.log.wait(&["prerequisite not met: that lap.lan.example. is not in use"]);
    server.log.wait(&["prerequisite not met: that lap.lan.example. DHCID has just the records given"]);
    shows(lap, "192.0.2.7");
    assert!(server.dig("-x 192.0.2.8").answer.is_empty());

    // The same client at another address takes its name along.
    kea.hear(true, (lap, "192.0.2.9", LAPTOP), "DHCP_DDNS_ADD_SUCCEEDED");
    shows(lap, "192.0.2.9");

    kea.hear(false, (lap, "192.0.2.9", STRANGER), "DHCP_DDNS_REMOVE_FAILED");
    shows(lap, "192.0.2.9");
    kea.hear(false, (lap, "192.0.2.9", LAPTOP), "DHCP_DDNS_REMOVE_SUCCEEDED");
    for question in ["lap.lan.example A", "lap.lan.example DHCID", "-x 192.0.2.9"] {
        assert_eq!(server.dig(question).status, "NXDOMAIN", "{question}");
    }
    // And now it is free.
    kea.hear(true, (lap, "192.0.2.8", STRANGER), "DHCP_DDNS_ADD_SUCCEEDED");
    shows(lap, "192.0.2.8");
}

#[test]
fn signs_with_a_truncated_mac() {
    if !is_here() {
        return;
    }
    let site = dhcp_zones(Site::new("").key_of_others("dhcp", "hmac-sha512-256"));
    let Some(server) = site.serve() else { return };
    let kea = Kea::start(&server, "dhcp", "HMAC-SHA512", 256);
    kea.hear(true, ("lap.lan.example.", "192.0.2.7", LAPTOP), "DHCP_DDNS_ADD_SUCCEEDED");
    assert_eq!(server.dig("lap.lan.example A").data(), ["192.0.2.7"]);
}
