//! Clients that ask and register by plain sockets, many times over, and count what comes back.

use std::collections::HashSet;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::server::Server;

/// Longer than anything takes on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// `web.pool.example. A`, with this id.
pub fn question(id: u16) -> Vec<u8> {
    let rest = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03web\x04pool\x07example\x00\x00\x01\x00\x01";
    [&id.to_be_bytes()[..], rest].concat()
}

/// `update add NAME.web.pool.example. 30 A 10.0.0.HOST`, with this id.
pub fn registration(id: u16, name: &str, host: u8) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend_from_slice(
        b"\x28\x00\x00\x01\x00\x00\x00\x01\x00\x00\x04pool\x07example\x00\x00\x06\x00\x01",
    );
    message.push(name.len() as u8);
    message.extend_from_slice(name.as_bytes());
    message.extend_from_slice(b"\x03web\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x0a\x00\x00");
    message.push(host);
    message
}

/// With its length in front, as over TCP.
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

/// A reply over TCP: its id and RCODE. `None` once the server has closed the connection, in order.
pub fn heard(stream: &mut TcpStream) -> Option<(u16, u8)> {
    let mut len = [0; 2];
    if stream.read(&mut len[..1]).unwrap() == 0 {
        return None;
    }
    stream.read_exact(&mut len[1..]).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut reply).unwrap();
    Some((u16::from_be_bytes([reply[0], reply[1]]), reply[3] & 15))
}

/// A connection that waits for replies.
pub fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Clients that ask for `web`'s address all the time, each over a socket of its own, and number their questions.
pub struct Asking {
    stop: Arc<AtomicBool>,
    sockets: Vec<(JoinHandle<usize>, JoinHandle<HashSet<u16>>)>,
}

impl Asking {
    /// They begin, and go on until [`Asking::end`].
    pub fn begin(address: SocketAddr, sockets: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let begin = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(address).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let (sending, stop) = (socket.try_clone().unwrap(), Arc::clone(&stop));
            let stopped = Arc::clone(&stop);
            let asked = thread::spawn(move || {
                let mut asked = 0;
                while !stop.load(Ordering::Relaxed) {
                    assert!(asked < u16::MAX, "numbers come back");
                    sending.send(&question(asked)).unwrap();
                    asked += 1;
                    thread::sleep(Duration::from_micros(500));
                }
                usize::from(asked)
            });
            let answered = thread::spawn(move || {
                let (mut answered, mut reply) = (HashSet::new(), [0; 1232]);
                loop {
                    match socket.recv(&mut reply) {
                        Ok(_) => {
                            let id = u16::from_be_bytes([reply[0], reply[1]]);
                            assert_eq!((reply[3] & 15, reply[7]), (0, 1), "NOERROR and one address");
                            assert!(answered.insert(id), "question {id} is answered twice");
                        }
                        Err(_) if stopped.load(Ordering::Relaxed) => return answered,
                        Err(_) => {}
                    }
                }
            });
            (asked, answered)
        };
        Asking { sockets: (0..sockets).map(|_| begin()).collect(), stop }
    }

    /// How many questions there were, and how many had no answer.
    pub fn end(self) -> (usize, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let counts = self.sockets.into_iter().map(|(asked, answered)| {
            let asked = asked.join().unwrap();
            (asked, asked - answered.join().unwrap().len())
        });
        counts.fold((0, 0), |sum, (asked, lost)| (sum.0 + asked, sum.1 + lost))
    }
}
