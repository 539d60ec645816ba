//! A new process takes over: no question is lost, what was acknowledged is there and what left is gone; and if it fails at
//! any point, the one that is there goes on. And a stop without a successor, which owes nobody a reply.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::asking::{Asking, PATIENCE, connect, framed, heard, question, registration};
use super::clients::or_say;
use super::server::{LISTEN, Log, RENEWALS, Server, Site, rollcall, spawn, wait};

fn join(server: &Server, name: &str, host: u8) {
    server.update(&[], &format!("update add {name}.web.pool.example. 30 A 10.0.0.{host}"));
}

#[test]
fn no_question_is_lost_while_one_process_after_the_other_takes_over() {
    let Some(mut server) = Site::new("").append("[udp]\nworkers = 2\n").serve() else { return };
    join(&server, "m1", 1);
    join(&server, "m2", 2);
    server.update(&[], "update delete m2.web.pool.example.");
    let asking = Asking::begin(server.address, 8);
    for run in 2..=4 {
        server.upgrade();
        server.log.wait(&["state directory", &format!("run={run}")]);
        server.log.wait(&["members from the last run", "restored=1"]);
    }
    let (asked, lost) = asking.end();
    assert_eq!(lost, 0, "of {asked}");
    assert!(asked > 3_000, "{asked}");
    assert_eq!(server.web(), ["10.0.0.1"], "m2 left, and stays away");
    join(&server, "m3", 3);
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.3"]);
    server.counts(&[("/changes/joined", 1), ("/changes/restored", 1), ("/changes/deregistered", 0)]);
}

#[test]
fn what_is_acknowledged_meanwhile_is_there_afterwards() {
    let Some(mut server) = Site::new("").serve() else { return };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    // One after the other, each until it is acknowledged, as nsupdate does.
    let joining = thread::spawn(move || {
        let (mut reply, mut joined) = ([0; 512], 0);
        while joined < 200 && !(stopped.load(Ordering::Relaxed) && joined >= 20) {
            let id = joined + 1;
            socket.send(&registration(id, &format!("m{id}"), id as u8)).unwrap();
            let until = |reply: &[u8]| reply[..2] == id.to_be_bytes();
            if socket.recv(&mut reply).is_ok_and(|_| until(&reply)) {
                assert_eq!(reply[3] & 15, 0, "{joined} joined");
                joined += 1;
            }
            thread::sleep(Duration::from_millis(5));
        }
        joined
    });
    server.upgrade();
    server.upgrade();
    stop.store(true, Ordering::Relaxed);
    let joined = usize::from(joining.join().unwrap());
    assert!(joined >= 20);
    let here = server.dig("+tcp all.web.pool.example A").answer.len();
    assert_eq!(here, joined);
    server.upgrade();
    assert_eq!(server.dig("+tcp all.web.pool.example A").answer.len(), joined);
}

#[test]
fn a_connection_is_closed_in_order_and_the_next_one_is_the_new_process_s() {
    let Some(mut server) = Site::new("").serve() else { return };
    join(&server, "m1", 1);
    let mut resting = connect(&server);
    resting.write_all(&framed(&question(7))).unwrap();
    assert_eq!(heard(&mut resting), Some((7, 0)));
    // One that asks without a pause, and comes again whenever it is closed, has an answer to each question that it did not find
    // the door closed for.
    let stop = Arc::new(AtomicBool::new(false));
    let (stopped, address) = (Arc::clone(&stop), server.address);
    let asking = thread::spawn(move || {
        let (mut answered, mut connections) = (0, 0);
        while !stopped.load(Ordering::Relaxed) {
            connections += 1;
            let mut stream = TcpStream::connect(address).expect("somebody listens at every moment");
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            while stream.write_all(&framed(&question(answered))).is_ok() {
                let mut len = [0; 2];
                if stream.read_exact(&mut len).is_err() {
                    break;
                }
                let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
                stream.read_exact(&mut reply).unwrap();
                assert_eq!((&reply[..2], reply[3] & 15, reply[7]), (&answered.to_be_bytes()[..], 0, 1));
                answered = answered.wrapping_add(1);
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
        (answered, connections)
    });
    server.upgrade();
    assert_eq!(heard(&mut resting), None);
    server.upgrade();
    stop.store(true, Ordering::Relaxed);
    let (answered, connections) = asking.join().unwrap();
    assert!(answered > 10 && (1..=5).contains(&connections), "{answered} on {connections}");
    let mut again = connect(&server);
    again.write_all(&framed(&question(8))).unwrap();
    assert_eq!(heard(&mut again), Some((8, 0)));
}

/// The server goes on as if nothing had been: questions, heartbeats and registrations, across a restart too.
fn goes_on(server: Server, run: &str) {
    let heartbeat = "update add m1.web.pool.example. 30 A 10.0.0.1";
    server.update(&[], heartbeat);
    server.counts(&[("/changes/joined", 1), (RENEWALS, 1), ("/changes/expired", 0)]);
    join(&server, "m2", 2);
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"]);
    server.counts(&[("/store/failures", 0), ("/updates/refused", 0)]);
    let server = server.crash();
    server.log.wait(&["state directory", &format!("run={run}")]);
    assert_eq!(server.web(), ["10.0.0.1", "10.0.0.2"]);
}

#[test]
fn one_whose_configuration_is_damaged_takes_nothing() {
    let Some(server) = Site::new("").serve() else { return };
    join(&server, "m1", 1);
    let file = server.path().join("rollcall.toml");
    fs::write(&file, "[udp\n").unwrap();
    let (mut child, log) = server.successor(|program| program, &["--listen", LISTEN]);
    assert_eq!(wait(&mut child).code(), Some(1), "{}", log.text());
    fs::write(&file, "").unwrap();
    assert!(server.log.lines_from(0, &["take over"]).is_empty(), "{}", server.log.text());
    goes_on(server, "2");
}

#[test]
fn one_that_cannot_listen_where_it_should_leaves_the_other_serving() {
    let Some(server) = Site::new("").serve() else { return };
    join(&server, "m1", 1);
    // An address of documentation, which this machine does not have.
    let (mut child, log) = server.successor(|program| program, &["--listen", "192.0.2.77:5300"]);
    assert_eq!(wait(&mut child).code(), Some(1), "{}", log.text());
    log.wait(&["no interface of this machine has 192.0.2.77"]);
    server.log.wait(&["WARN", "nobody has taken over, and this server goes on", "gone away"]);
    goes_on(server, "2");
}

#[test]
fn one_that_is_killed_while_it_has_the_store_leaves_the_other_serving() {
    if !or_say(
        Command::new("strace").arg("-V").output().is_ok(),
        "strace is missing: apt-get install -y strace",
    ) {
        return;
    }
    // Before it has locked the directory, before it has recorded its run, and after that.
    for (call, which) in [("flock", 1), ("fdatasync", 1), ("fdatasync", 2)] {
        let Some(server) = Site::new("").serve() else { return };
        join(&server, "m1", 1);
        let asking = Asking::begin(server.address, 2);
        let kill = |program: Command| {
            let mut strace = Command::new("strace");
            strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            strace.args(["-e", &format!("inject={call}:signal=KILL:when={which}"), "--"]);
            strace.arg(program.get_program()).current_dir(server.path()).stdin(Stdio::null());
            strace
        };
        let (mut child, log) = server.successor(kill, &["--listen", LISTEN]);
        assert_eq!(wait(&mut child).code(), None, "killed: {}", log.text());
        server.log.wait(&["the store is this server's again"]);
        server.log.wait(&["WARN", "nobody has taken over, and this server goes on", "gone away"]);
        let (asked, lost) = asking.end();
        assert_eq!(lost, 0, "of {asked}");
        goes_on(server, "2");
    }
}

#[test]
fn registration_waits_while_another_process_has_the_store_and_nothing_else_does() {
    let Some(mut server) = Site::new("").key("ops", "hmac-sha256").serve() else { return };
    join(&server, "m1", 1);
    // A process that takes over and is stopped where it stands.
    if !or_say(
        Command::new("strace").arg("-V").output().is_ok(),
        "strace is missing: apt-get install -y strace",
    ) {
        return;
    }
    let hold = |program: Command| {
        let mut strace = Command::new("strace");
        strace.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock"]);
        strace.args(["-e", "inject=flock:delay_enter=2s:when=1", "--"]);
        strace.arg(program.get_program()).current_dir(server.path()).stdin(Stdio::null());
        strace
    };
    let (child, log) = server.successor(hold, &["--listen", LISTEN]);
    let mut child = Ended(child);
    log.wait(&["taking over from the server that is there"]);
    let mut stream = connect(&server);
    // Until it has the store, UPDATEs are answered.
    let mut id = 0;
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    loop {
        id += 1;
        stream.write_all(&framed(&registration(id, "m1", 1))).unwrap();
        let mut first = [0; 1];
        if stream.peek(&mut first).is_err() {
            break;
        }
        assert_eq!(heard(&mut stream), Some((id, 0)));
    }
    // Questions are, on the same connection and others, signed ones too.
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&framed(&question(900))).unwrap();
    assert_eq!(heard(&mut stream), Some((900, 0)));
    assert_eq!(server.web(), ["10.0.0.1"]);
    let signed = server.dig("-k ops.key web.pool.example A");
    assert!(signed.text.contains("TSIG") && signed.status == "NOERROR", "{}", signed.text);
    // The UPDATE that waited is not answered by who has not judged it.
    log.wait(&["listening, UDP and TCP"]);
    assert_eq!(heard(&mut stream), None);
    assert_eq!(server.ended().code(), Some(0), "{}", server.log.text());
    assert_eq!(server.web(), ["10.0.0.1"]);
    terminate(&mut child.0);
}

/// A process of a test, ended with it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn terminate(child: &mut Child) {
    let kill = format!("kill -TERM {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    wait(child);
}

#[test]
fn addresses_and_workers_are_those_of_the_new_configuration() {
    let Some(mut server) = Site::new("").one_worker().serve() else { return };
    let before = server.address;
    fs::write(server.path().join("rollcall.toml"), "[udp]\nworkers = 3\n").unwrap();
    let at = before.to_string();
    let (child, log) = server.successor(|program| program, &["--listen", "[::1]:0", "--listen", &at]);
    let mut child = Ended(child);
    let line = log.wait(&["listening, UDP and TCP", "[::1]"]);
    let other: SocketAddr = line.split_once("address=").unwrap().1.trim().parse().unwrap();
    log.wait(&["listening, UDP and TCP", &at]);
    log.wait(&["taking over", "sockets=2"]);
    assert_eq!(server.ended().code(), Some(0), "{}", server.log.text());
    for address in [before, other] {
        for transport in ["+notcp", "+tcp"] {
            server.dig_at(address, &format!("{transport} pool.example SOA")).is("NOERROR", "qr aa");
        }
    }
    let workers = |address: SocketAddr| {
        let output = Command::new("ss").args(["-Hlnu", "src", &address.to_string()]).output();
        output.map(|output| String::from_utf8(output.stdout).unwrap().lines().count())
    };
    if or_say(workers(before).is_ok(), "ss is missing: apt-get install -y iproute2") {
        assert_eq!((workers(before).unwrap(), workers(other).unwrap()), (3, 3));
    }
    // And back to the first address alone.
    let (next, log) = server.successor(|program| program, &["--listen", &at]);
    let mut next = Ended(next);
    log.wait(&["not listened on any more", "[::1]"]);
    log.wait(&["listening, UDP and TCP", &at]);
    assert_eq!(wait(&mut child.0).code(), Some(0));
    assert!(TcpStream::connect(other).is_err());
    server.dig_at(before, "pool.example SOA").is("NOERROR", "qr aa");
    terminate(&mut next.0);
}

fn socket_of(path: &Path) -> std::path::PathBuf {
    path.join("state/rollcall.sock")
}

#[test]
fn with_nobody_there_it_starts_and_what_a_crash_has_left_is_no_server() {
    let Some(server) = Site::new("").serve() else { return };
    let file = fs::metadata(socket_of(server.path())).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
    server.signal("KILL");
    let mut server = server;
    server.ended();
    assert!(socket_of(server.path()).exists());
    let (mut child, log) = server.successor(|program| program, &["--listen", LISTEN]);
    log.wait(&["INFO", "no server is there to take over from"]);
    let line = log.wait(&["listening, UDP and TCP"]);
    server.address = line.split_once("address=").unwrap().1.trim().parse().unwrap();
    server.dig("pool.example SOA").is("NOERROR", "qr aa");
    terminate(&mut child);
    assert!(!socket_of(server.path()).exists(), "{}", log.text());
}

#[test]
fn another_user_gets_nothing_even_if_the_door_stands_open() {
    let Some(server) = Site::new("").one_worker().serve() else { return };
    // As somebody may have set them by mistake.
    for (path, mode) in [("", 0o755), ("state", 0o755), ("state/rollcall.sock", 0o777)] {
        fs::set_permissions(server.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let ask = "import os, socket, sys
os.seteuid(int(sys.argv[1]))
talk = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
talk.connect('state/rollcall.sock')
talk.settimeout(20)
try:
    talk.send(b'{\"word\":\"take-over\",\"version\":1}')
    words, sockets, _, _ = socket.recv_fds(talk, 4096, 64)
except OSError:
    # It has said no before it was asked, and closed its side.
    words, sockets, _, _ = socket.recv_fds(talk, 4096, 64)
print(words.decode(), len(sockets))";
    let ask_as = |user: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", ask, user]).current_dir(server.path());
        command.output().map(|output| {
            let words = [output.stdout, output.stderr].concat();
            (output.status.success(), String::from_utf8(words).unwrap())
        })
    };
    let own = ask_as("0");
    if !or_say(matches!(own, Ok((true, _))), "root or python3 is missing: another user cannot be had") {
        return;
    }
    assert_eq!(own.unwrap().1, "{\"word\":\"sockets\",\"count\":2,\"more\":false} 2\n");
    let (_, words) = ask_as("65534").unwrap();
    assert!(words.contains("\"no\"") && words.contains("belongs to user 65534"), "{words}");
    assert!(words.ends_with(" 0\n"), "{words}");
    server.log.wait(&["WARN", "belongs to user 65534"]);
    server.dig("pool.example SOA").is("NOERROR", "qr aa");
}

#[test]
fn a_second_server_that_does_not_take_over_is_told_that_it_may() {
    let Some(server) = Site::new("").serve() else { return };
    let at = server.address.to_string();
    let output = rollcall(server.path())
        .args(["serve", "--config", "rollcall.toml", "--listen", &at, "--state", "state"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("is in use") && text.contains("--take-over"), "{text}");
    server.dig("pool.example SOA").is("NOERROR", "qr aa");
}

#[test]
fn where_the_path_is_too_long_the_server_says_that_it_cannot_be_taken_over() {
    let site = Site::new("");
    let long = "x".repeat(120);
    let arguments = ["--listen", LISTEN, "--state", &long, "--take-over"];
    let (child, log) = spawn(rollcall(site.path()), &arguments);
    let mut child = Ended(child);
    log.wait(&["WARN", "too long for a socket's path"]);
    log.wait(&["listening, UDP and TCP"]);
    log.wait(&["WARN", "this server cannot be taken over", "only restarted"]);
    terminate(&mut child.0);
}

#[test]
fn whoever_started_it_is_told_how_it_is() {
    let Some(mut server) = Site::new("").serve() else { return };
    let manager = UnixDatagram::bind(server.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let told = || {
        let mut room = [0; 256];
        let len = manager.recv(&mut room).unwrap();
        String::from_utf8(room[..len].to_vec()).unwrap()
    };
    let notify = |mut program: Command| {
        program.env("NOTIFY_SOCKET", "notify");
        program
    };
    let (first, log) = server.successor(notify, &["--listen", LISTEN]);
    let mut first = Ended(first);
    assert_eq!(told(), "READY=1");
    assert_eq!(server.ended().code(), Some(0), "{}", log.text());
    let hang_up = format!("kill -HUP {}", first.0.id());
    assert!(Command::new("sh").args(["-c", &hang_up]).status().unwrap().success());
    assert!(told().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(told(), "READY=1");
    let (second, _log): (Child, Log) = server.successor(notify, &["--listen", LISTEN]);
    let mut second = Ended(second);
    assert_eq!(told(), format!("MAINPID={}", second.0.id()));
    assert_eq!(told(), "READY=1");
    assert_eq!(wait(&mut first.0).code(), Some(0));
    terminate(&mut second.0);
    assert_eq!(told(), "STOPPING=1");
}

#[test]
fn a_stop_replies_to_every_update_that_has_come_and_the_next_start_has_them_all() {
    const COUNT: u16 = 250;
    let Some(mut server) = Site::new("").serve() else { return };
    let mut stream = connect(&server);
    stream.write_all(&framed(&question(0))).unwrap();
    assert_eq!(heard(&mut stream), Some((0, 0)));
    let message = |id| framed(&registration(id, &format!("m{id}"), id as u8));
    stream.write_all(&(1..=COUNT).flat_map(message).collect::<Vec<_>>()).unwrap();
    server.signal("TERM");
    let mut replied: Vec<_> = std::iter::from_fn(|| heard(&mut stream)).collect();
    replied.sort();
    assert_eq!(replied, (1..=COUNT).map(|id| (id, 0)).collect::<Vec<_>>());
    assert_eq!(server.ended().code(), Some(0), "{}", server.log.text());
    let server = server.again();
    assert_eq!(server.dig("+tcp all.web.pool.example A").answer.len(), usize::from(COUNT));
    server.log.wait(&["members from the last run", &format!("restored={COUNT}")]);
}
