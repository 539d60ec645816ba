//! Knot, NSD and the program under test, each a process with the same zone files, asked over sockets.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message};

use super::seen::Seen;
use super::subject::question;

/// Longer than anything here takes on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);
/// The size of datagrams that all three send (and the largest that rollcall does).
const UDP_SIZE: u16 = 1232;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Rollcall,
    Knot,
    Nsd,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Rollcall, Kind::Knot, Kind::Nsd];

    fn program(self) -> &'static str {
        match self {
            Kind::Rollcall => env!("CARGO_BIN_EXE_rollcall"),
            Kind::Knot => "/usr/sbin/knotd",
            Kind::Nsd => "/usr/sbin/nsd",
        }
    }
}

/// Whether Knot and NSD are on this machine. If not, a test passes over with a loud line; in CI it fails.
pub fn are_here() -> bool {
    let here = Kind::ALL.iter().all(|kind| Path::new(kind.program()).exists());
    if !here {
        let lacking = "Knot and NSD are missing: scripts/install-dns-tools --all";
        assert!(std::env::var_os("CI").is_none(), "{lacking}");
        eprintln!("\n!!! NOT TESTED: {lacking}\n");
    }
    here
}

/// A loopback address that no other process uses, so that a port that is free on it stays free: a client's own ports are on
/// 127.0.0.1.
fn own_address() -> Ipv4Addr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | (a & 63), b, c)
}

/// Ports that are free for UDP and TCP.
fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let address = || {
        let tcp = TcpListener::bind((own_address(), 0)).unwrap();
        let udp = UdpSocket::bind(tcp.local_addr().unwrap()).ok()?;
        Some((tcp, udp))
    };
    // All are held until the last is found.
    let held = [(); N].map(|()| (0..100).find_map(|_| address()).expect("a free port"));
    held.map(|(tcp, _)| tcp.local_addr().unwrap())
}

/// A running server, ended by its id when it is dropped.
pub struct Server {
    pub kind: Kind,
    child: Child,
    address: SocketAddr,
    socket: UdpSocket,
    next_id: Cell<u16>,
    log: PathBuf,
}

/// Starts all three below `dir` with the zones of `dir/zones`, and waits until each answers for every zone.
pub fn start(dir: &Path, apexes: &[String]) -> [Server; 3] {
    let addresses = free_ports::<3>();
    let mut each = Kind::ALL.iter().zip(addresses);
    let mut servers = [(); 3].map(|()| {
        let (kind, address) = each.next().unwrap();
        Server::start(*kind, dir, apexes, address)
    });
    servers.iter_mut().for_each(|server| server.wait_for(apexes));
    servers
}

impl Server {
    fn start(kind: Kind, dir: &Path, apexes: &[String], address: SocketAddr) -> Self {
        let own = dir.join(format!("{kind:?}"));
        fs::create_dir(&own).unwrap();
        let (zones, config) = (dir.join("zones"), own.join("conf"));
        let text = match kind {
            Kind::Rollcall => String::new(),
            Kind::Knot => knot_config(&own, &zones, apexes, address),
            Kind::Nsd => nsd_config(&own, &zones, apexes, address),
        };
        fs::write(&config, text).unwrap();
        let log = own.join("log");
        let mut command = Command::new(kind.program());
        match kind {
            Kind::Rollcall => command
                .args(["serve", "--state", "state", "--listen", &address.to_string(), "--zones"])
                .arg(&zones)
                .arg("--config")
                .arg(&config),
            Kind::Knot => command.arg("-c").arg(&config),
            Kind::Nsd => command.arg("-d").arg("-c").arg(&config),
        };
        let output = File::create(&log).unwrap();
        let child = command
            .current_dir(&own)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.connect(address).unwrap();
        Server { kind, child, address, socket, next_id: Cell::new(1), log }
    }

    /// The end of what it says of itself.
    fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().rev().take(30).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Waits until it answers for all zones.
    fn wait_for(&mut self, apexes: &[String]) {
        let deadline = Instant::now() + PATIENCE;
        for apex in apexes {
            loop {
                self.socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                let soa = self.over_udp(&question(apex, 6));
                if soa.is_ok_and(|seen| seen.rcode == 0 && seen.is_authoritative) {
                    break;
                }
                let ended = self.child.try_wait().unwrap();
                let (kind, log) = (self.kind, self.log());
                assert!(ended.is_none(), "{kind:?} ended: {ended:?}\n{log}");
                assert!(Instant::now() < deadline, "{kind:?} does not answer for {apex}:\n{log}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// The answer to a question with EDNS: over UDP, or over TCP if it says so there or `tcp` does.
    pub fn ask(&self, name: &str, rtype: u16, tcp: bool) -> Seen {
        let mut message = question(name, rtype);
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_SIZE);
        message.edns = Some(edns);
        let failed =
            |error| panic!("{:?} does not answer {name} TYPE{rtype}: {error}\n{}", self.kind, self.log());
        if !tcp {
            let seen = self.over_udp(&message).unwrap_or_else(failed);
            if !seen.is_truncated {
                return seen;
            }
        }
        self.over_tcp(&message).unwrap_or_else(failed)
    }

    fn over_udp(&self, message: &Message) -> std::io::Result<Seen> {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        let mut sent = message.to_vec().unwrap();
        sent[..2].copy_from_slice(&id.to_be_bytes());
        self.socket.send(&sent)?;
        let mut octets = [0; 4096];
        loop {
            let len = self.socket.recv(&mut octets)?;
            // A late answer to a question before this one has another id.
            if octets.get(..2) == sent.get(..2) {
                return Ok(Seen::read(&octets[..len]));
            }
        }
    }

    fn over_tcp(&self, message: &Message) -> std::io::Result<Seen> {
        let sent = message.to_vec().unwrap();
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[&(sent.len() as u16).to_be_bytes()[..], &sent].concat())?;
        let mut len = [0; 2];
        stream.read_exact(&mut len)?;
        let mut octets = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut octets)?;
        Ok(Seen::read(&octets))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // NSD has children of its own, which it ends when it is asked to.
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + PATIENCE;
        while asked.is_ok() && Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Where a zone's file is: as rollcall names it.
pub fn zone_file(zones: &Path, apex: &str) -> PathBuf {
    zones.join(format!("{}zone", apex))
}

fn knot_config(own: &Path, zones: &Path, apexes: &[String], address: SocketAddr) -> String {
    let (own, ip, port) = (own.display(), address.ip(), address.port());
    let mut text = format!(
        "server:\n    rundir: {own}\n    listen: {ip}@{port}\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n\
         log:\n  - target: stderr\n    any: warning\n\
         database:\n    storage: {own}\n\
         template:\n  - id: default\n    zonefile-sync: -1\n    journal-content: none\n\
         zone:\n"
    );
    for apex in apexes {
        text += &format!("  - domain: {apex}\n    file: {}\n", zone_file(zones, apex).display());
    }
    text
}

fn nsd_config(own: &Path, zones: &Path, apexes: &[String], address: SocketAddr) -> String {
    let (own, ip, port) = (own.display(), address.ip(), address.port());
    // Rate limits are for the open network.
    let mut text = format!(
        "server:\n    server-count: 1\n    ip-address: {ip}@{port}\n    username: \"\"\n    chroot: \"\"\n    database: \"\"\n    \
         pidfile: \"\"\n    zonesdir: \"{own}\"\n    zonelistfile: \"{own}/zone.list\"\n    xfrdfile: \"{own}/xfrd.state\"\n    \
         xfrdir: \"{own}\"\n    rrl-ratelimit: 0\n    rrl-whitelist-ratelimit: 0\n    minimal-responses: yes\n    refuse-any: no\n\
         remote-control:\n    control-enable: no\n"
    );
    for apex in apexes {
        let file = zone_file(zones, apex);
        text += &format!("zone:\n    name: \"{apex}\"\n    zonefile: \"{}\"\n", file.display());
    }
    text
}
