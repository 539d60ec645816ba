//! What is asked of the kernel for UDP sockets: had by each, bound or taken over, told where it is not had, and what a full
//! send buffer costs.

use std::fs;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::{Socket, Type};

use super::clients::or_say;
use super::python;
use super::server::{Server, Site};
use super::wire::Wire;

/// Receive buffer, send buffer and busy polling of each UDP socket that the process has open, as the kernel has them. It gives
/// twice what it was asked for.
fn had(server: &Server) -> Option<Vec<(usize, usize, u32)>> {
    let process = pidfd_open(Pid::from_raw(server.id() as i32).unwrap(), PidfdFlags::empty()).unwrap();
    let mut had = Vec::new();
    for entry in fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap() {
        let path = entry.unwrap().path();
        if !fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().starts_with("socket:")) {
            continue;
        }
        let number = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let copy = pidfd_getfd(&process, number, PidfdGetfdFlags::empty());
        if !or_say(
            copy.is_ok(),
            "another process's sockets may not be looked at: the container needs CAP_SYS_PTRACE",
        ) {
            return None;
        }
        let socket = Socket::from(copy.unwrap());
        if socket.r#type().unwrap() == Type::DGRAM && socket.local_addr().unwrap().as_socket().is_some() {
            had.push((
                socket.recv_buffer_size().unwrap() / 2,
                socket.send_buffer_size().unwrap() / 2,
                socket.busy_poll().unwrap(),
            ));
        }
    }
    Some(had)
}

/// Becomes the program that its arguments name, which is denied SO_BUSY_POLL: as kernels deny it who want CAP_NET_ADMIN for it.
const DENIED: &str = r"
import ctypes, os, platform, struct, sys
SETSOCKOPT = {'x86_64': 54, 'aarch64': 208}[platform.machine()]
SOL_SOCKET, SO_BUSY_POLL = 1, 46
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
DENY, ALLOW = 0x00050000 | 1, 0x7FFF0000
# Where the call's number and its second and third arguments lie; each comparison falls through, or goes to the end.
program = [
    (LOAD, 0, 0, 0), (IF_EQUAL, 0, 5, SETSOCKOPT),
    (LOAD, 0, 0, 24), (IF_EQUAL, 0, 3, SOL_SOCKET),
    (LOAD, 0, 0, 32), (IF_EQUAL, 0, 1, SO_BUSY_POLL),
    (RETURN, 0, 0, DENY), (RETURN, 0, 0, ALLOW),
]
octets = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in program))
filter = struct.pack('HxxxxxxP', len(program), ctypes.addressof(octets))
prctl = ctypes.CDLL(None, use_errno=True).prctl
NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2
assert prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert prctl(SECCOMP, FILTER, ctypes.c_char_p(filter)) == 0, os.strerror(ctypes.get_errno())
os.execvp(sys.argv[1], sys.argv[1:])
";

/// Has the server denied busy polling.
fn denied(site: Site) -> Site {
    let interpreter = python::interpreter().to_str().unwrap().to_owned();
    site.started_by(vec![interpreter, "-Ic".to_owned(), DENIED.to_owned()])
}

#[test]
fn every_socket_has_what_was_asked_for_bound_or_taken_over() {
    let udp = "[udp]\nworkers = 3\nreceive_buffer_bytes = 131072\nsend_buffer_bytes = 65536\n";
    let Some(mut server) = Site::new("").append(udp).serve() else { return };
    let Some(bound) = had(&server) else { return };
    assert_eq!(bound, [(131_072, 65_536, 0); 3]);
    // One more worker, so that there are both: three sockets taken over, and one bound.
    let udp =
        "[udp]\nworkers = 4\nreceive_buffer_bytes = 65536\nsend_buffer_bytes = 131072\nbusy_poll_us = 50\n";
    fs::write(server.path().join("rollcall.toml"), udp).unwrap();
    server.upgrade();
    let refused = !server.log.lines_from(0, &["no busy polling"]).is_empty();
    assert_eq!(had(&server).unwrap(), [(65_536, 131_072, if refused { 0 } else { 50 }); 4]);
    // And off again, also for those that had it.
    fs::write(server.path().join("rollcall.toml"), "[udp]\nworkers = 4\n").unwrap();
    server.upgrade();
    assert!(had(&server).unwrap().iter().all(|(_, _, busy_poll_us)| *busy_poll_us == 0));
    server.dig("pool.example SOA").is("NOERROR", "qr aa");
}

#[test]
fn what_the_kernel_does_not_give_is_told_once_with_what_to_do() {
    if !python::is_here() {
        return;
    }
    // More than any machine's limit, and a right that is not there.
    let udp = "[udp]\nworkers = 2\nreceive_buffer_bytes = 1073741824\nsend_buffer_bytes = 1073741824\nbusy_poll_us = 50\n";
    let Some(mut server) = denied(Site::new("").append(udp)).serve() else { return };
    let told = |server: &Server, parts: &[&str]| {
        let lines = server.log.lines_from(0, parts);
        assert_eq!(lines.len(), 1, "{parts:?} in:\n{}", server.log.text());
    };
    let each = |server: &Server| {
        told(server, &["receive buffers cut: raise net.core.rmem_max", "receive_buffer_bytes=1073741824"]);
        told(server, &["send buffers cut: raise net.core.wmem_max", "send_buffer_bytes=1073741824"]);
    };
    each(&server);
    told(&server, &["WARN", "no busy polling", "CAP_NET_ADMIN", "net.core.busy_read", "busy_poll_us=50"]);
    server.dig("pool.example SOA").is("NOERROR", "qr aa");
    server.upgrade();
    each(&server);
    server.dig("pool.example SOA").is("NOERROR", "qr aa");
}

/// What the kernel keeps for a host that does not answer ARP stays in the sender's buffer until it gives up, after 3 s: 208 KiB a
/// host (unres_qlen_bytes). Anybody on the link can name a host that is not there.
#[test]
fn replies_to_hosts_that_are_not_there_hold_up_a_worker_once_a_batch() {
    if !python::is_here() {
        return;
    }
    // A buffer that one such host fills, and the default.
    for (udp, unsent_min, unsent_max) in [("batch = 64\nsend_buffer_bytes = 65536\n", 100, 400), ("", 0, 0)] {
        let Some(wire) = Wire::new() else { return };
        let site = Site::new("").append(&format!("[udp]\nworkers = 1\n{udp}"));
        let Some(server) = site.serve_on(wire) else { return };
        let lines = server.python(
            r"
            import socket, struct
            # So that the way there is known.
            udp(dns.message.make_query(ZONE, 'SOA'))
            question = dns.message.make_query(ZONE, 'SOA').to_wire()
            datagram = struct.pack('!HHHH', 4000, PORT, 8 + len(question), 0) + question
            nobody, server = socket.inet_aton('192.0.2.77'), socket.inet_aton(SERVER)
            header = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0, nobody, server)
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
            for _ in range(400):
                raw.sendto(header + datagram, (SERVER, 0))
            print('sent')
            ",
        );
        assert_eq!(lines, ["sent"]);
        // Each reply for itself would wait a tenth of a second: thirty before ARP gives up.
        let counters = server.counters_when(|counters| counters["udp"]["positive"] == 401);
        let unsent = counters["udp"]["unsent"].as_u64().unwrap();
        assert!((unsent_min..=unsent_max).contains(&unsent), "{udp}: {unsent}");
        server.dig("pool.example SOA").is("NOERROR", "qr aa");
    }
}
