//! A whole server on free ports of the loopback, asked by plain sockets.

mod handover;
mod tcp;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::{Commit, Desk, Listeners, ServeError, Server, Settings, SocketSettings, udp};
use crate::change::Change;
use crate::membership::{Cause, LeaseRules};
use crate::policy::{Policy, Shown};
use crate::security::{Cookies, Grant, Grants, Holder, Keyring};
use crate::store::Moment;
use crate::update::{Limits, Registrar, Setup, ZoneInput};
use crate::wire::{Name, Rcode};
use crate::zone::{OnAllDown, PoolSettings, ZoneSettings, file};

pub const SOCKETS: SocketSettings =
    SocketSettings { receive_buffer_bytes: 65_536, send_buffer_bytes: 65_536, busy_poll_us: 0 };

const QUESTION: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04none\x04test\x00\x00\x01\x00\x01";

/// A registrar for the zone `pool.example.`, in which loopback may register loopback under any name but `_x`.
pub fn registrar() -> Registrar {
    registrar_freezing(600_000)
}

/// The same, holding whom falls silent together for so long at most, milliseconds.
pub fn registrar_freezing(freeze_max_ms: u32) -> Registrar {
    let apex = Name::bytes_from_str("pool.example.").unwrap();
    let pools = PoolSettings {
        policy: Policy::RoundRobin,
        ttl_s: 5,
        addresses: Shown::All,
        services: Shown::All,
        load_half_life_ms: 0,
        warm_up_ms: 0,
        on_all_down: OnAllDown::All,
        leases: LeaseRules { default_ms: 30_000, min_ms: 2_000, max_ms: 3_600_000 },
        debug_from: [].into(),
    };
    let zone = ZoneInput {
        records: file::synthetic(&apex).unwrap(),
        settings: ZoneSettings {
            apex,
            negative_ttl_s: 2,
            freeze_max_ms,
            create_pools: true,
            defaults: pools,
            pools: Vec::new(),
        },
        grants: Grants::new(vec![Grant {
            addresses: vec!["127.0.0.0/8".parse().unwrap()],
            ..Grant::to(Holder::Unsigned)
        }]),
        serial: 1,
    };
    let limits = Limits { members: 10_000, pools: 10, records: 100 };
    let cookies = Arc::new(Cookies::new([7; 16]));
    let (zones, dynamics, keyring) = (vec![zone], Vec::new(), Keyring::default());
    Registrar::new(Setup { zones, dynamics, keyring, cookies, limits, run: 1 }, 0, 1).unwrap()
}

/// `update add LABEL.web.pool.example. 30 A 127.0.0.1`, as it lies on the wire.
pub fn registration(label: &str) -> Vec<u8> {
    let mut message = b"\x00\x07\x28\x00\x00\x01\x00\x00\x00\x01\x00\x00".to_vec();
    message.extend_from_slice(b"\x04pool\x07example\x00\x00\x06\x00\x01");
    message.push(label.len() as u8);
    message.extend_from_slice(label.as_bytes());
    message.extend_from_slice(b"\x03web\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x7f\x00\x00\x01");
    message
}

/// The causes of what was committed. Shared with the test, for the server owns its store. While the test holds it, a commit
/// waits.
#[derive(Clone, Default)]
struct FakeStore(Arc<Mutex<Vec<Cause>>>);

impl Commit for FakeStore {
    type Error = std::convert::Infallible;

    fn commit<'c>(
        &mut self,
        changes: impl IntoIterator<Item = &'c Change>,
        _serials: &[(Box<[u8]>, u32)],
        _at: Moment,
    ) -> Result<(), Self::Error> {
        self.0.lock().unwrap().extend(changes.into_iter().map(Change::cause));
        Ok(())
    }
}

fn settings(listen: &[&str]) -> Settings {
    Settings {
        listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
        workers: 2,
        batch: 4,
        sockets: SOCKETS,
        tcp_connections: 8,
        tcp_client_connections: 8,
        tcp_idle_ms: 10_000,
        tcp_message_ms: 10_000,
        tcp_pipeline: 3,
        update_queue: 64,
    }
}

fn start(listen: &[&str]) -> (Server, FakeStore) {
    start_with(&settings(listen))
}

fn try_start(settings: &Settings, store: &FakeStore) -> Result<Server, ServeError> {
    let registrar = registrar();
    let zones = Arc::new(ArcSwap::new(Arc::clone(registrar.published())));
    let desk = Desk { registrar, store: store.clone(), restored: crate::update::Restored::default() };
    Server::start(settings, Listeners::bind(settings)?, zones, desk)
}

fn start_with(settings: &Settings) -> (Server, FakeStore) {
    let store = FakeStore::default();
    let server = try_start(settings, &store).unwrap();
    (server, store)
}

fn ask_udp(address: SocketAddr, message: &[u8]) -> Vec<u8> {
    let own = if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let client: UdpSocket = udp::bind(own.parse().unwrap(), &SOCKETS).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    client.connect(address).unwrap();
    client.send(message).unwrap();
    let mut reply = [0; 1232];
    let len = client.recv(&mut reply).unwrap();
    reply[..len].to_vec()
}

fn connect(server: &Server) -> TcpStream {
    connect_to(server.addresses()[0])
}

fn connect_to(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream
}

/// The message with this id, and its length in front.
fn framed(id: u8, message: &[u8]) -> Vec<u8> {
    let mut octets = (message.len() as u16).to_be_bytes().to_vec();
    octets.extend_from_slice(message);
    octets[3] = id;
    octets
}

fn heard(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut reply).unwrap();
    reply
}

fn rcode(reply: &[u8]) -> Rcode {
    Rcode::masked_from_int(reply[3])
}

fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn every_address_answers_over_udp_and_tcp_on_one_port() {
    let (server, _) = start(&["127.0.0.1:0", "[::1]:0"]);
    for &address in server.addresses() {
        for id in 0..20 {
            let mut question = QUESTION.to_vec();
            question[1] = id;
            let reply = ask_udp(address, &question);
            assert_eq!((reply[1], rcode(&reply)), (id, Rcode::REFUSED), "no such zone");
        }
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&framed(7, QUESTION)).unwrap();
        assert_eq!(rcode(&heard(&mut stream)), Rcode::REFUSED);
    }
    let counters = Arc::clone(server.counters());
    server.stop();
    let json = counters.to_json();
    assert_eq!((&json["udp"]["refused"], &json["tcp"]["refused"]), (&40.into(), &2.into()));
}

#[test]
fn an_update_is_committed_before_it_is_acknowledged() {
    let (server, store) = start(&["127.0.0.1:0"]);
    assert_eq!(rcode(&ask_udp(server.addresses()[0], &registration("m1"))), Rcode::NOERROR);
    assert_eq!(*store.0.lock().unwrap(), [Cause::Joined]);
    let mut stream = connect(&server);
    stream.write_all(&framed(1, &registration("m2"))).unwrap();
    assert_eq!(rcode(&heard(&mut stream)), Rcode::NOERROR);
    assert_eq!(*store.0.lock().unwrap(), [Cause::Joined; 2]);
}

#[test]
fn a_stop_finishes_what_was_asked_and_frees_the_port() {
    let (server, store) = start(&["127.0.0.1:0"]);
    let address = server.addresses()[0];
    let mut stream = connect(&server);
    stream.write_all(&framed(1, &registration("m1"))).unwrap();
    assert_eq!(rcode(&heard(&mut stream)), Rcode::NOERROR);
    server.stop();
    assert!(is_closed(&mut stream));
    assert_eq!(*store.0.lock().unwrap(), [Cause::Joined]);
    let (again, _) = start(&[&address.to_string()]);
    assert_eq!(again.addresses(), [address]);
}

#[test]
fn addresses_that_cannot_be_had_are_named() {
    let (server, store) = start(&["127.0.0.1:0"]);
    let address = server.addresses()[0];
    let fail = |listen: &str| try_start(&settings(&[listen]), &store).err().unwrap();
    assert!(
        matches!(fail(&address.to_string()), ServeError::InUse { address: named, transport: "TCP" } if named == address)
    );
    assert!(matches!(fail("192.0.2.1:5300"), ServeError::NotHere { .. }));
}
