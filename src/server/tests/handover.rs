//! One server after the other in one process: what each says to the other, and what comes of it when one of them does not.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use super::super::handover::{Offer, Predecessor, Terms};
use super::super::{End, HandOverError};
use super::*;

const TERMS: Terms = Terms { word: Duration::from_secs(5), ready: Duration::from_secs(5) };

/// What happened to a store, in order. Shared with the test.
#[derive(Clone, Default)]
struct LentStore(Arc<Mutex<Vec<&'static str>>>);

impl LentStore {
    fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn noted(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

impl Commit for LentStore {
    type Error = std::convert::Infallible;

    fn commit<'c>(
        &mut self,
        _changes: impl IntoIterator<Item = &'c Change>,
        _serials: &[(Box<[u8]>, u32)],
        _at: Moment,
    ) -> Result<(), Self::Error> {
        self.note("committed");
        Ok(())
    }

    fn release(&mut self) -> Result<(), Self::Error> {
        self.note("released");
        Ok(())
    }

    fn take_back(&mut self) -> Result<(), Self::Error> {
        self.note("taken back");
        Ok(())
    }
}

/// A server that can be taken over at `state`.
fn offering(settings: &Settings, state: &Path, terms: Terms) -> (Server, LentStore) {
    let (registrar, store) = (registrar(), LentStore::default());
    let zones = Arc::new(ArcSwap::new(Arc::clone(registrar.published())));
    let desk = Desk { registrar, store: store.clone(), restored: crate::update::Restored::default() };
    let mut server = Server::start(settings, Listeners::bind(settings).unwrap(), zones, desk).unwrap();
    server.offer(Offer::open(state, terms).unwrap()).unwrap();
    (server, store)
}

/// Registers and is acknowledged.
fn registers(server: &Server, label: &str) {
    assert_eq!(rcode(&ask_udp(server.addresses()[0], &registration(label))), Rcode::NOERROR);
}

fn ask(state: &Path) -> Predecessor {
    Predecessor::ask(state).unwrap().expect("a server").0
}

/// Waits for the hand-over thread to have seen that somebody is gone: it serves the next one then.
fn serves_again(state: &Path) {
    drop(ask(state));
}

#[test]
fn one_server_takes_over_from_another_with_all_its_sockets() {
    let state = tempfile::tempdir().unwrap();
    // More sockets than go into one message.
    let settings = Settings { workers: 40, batch: 1, ..settings(&["127.0.0.1:0", "[::1]:0"]) };
    let (mut first, first_store) = offering(&settings, state.path(), TERMS);
    let addresses = first.addresses().to_vec();
    registers(&first, "m1");
    let path = state.path().to_owned();
    let second = thread::spawn(move || {
        let (listeners, predecessor) = Listeners::take_over(&settings, &path).unwrap();
        let predecessor = predecessor.expect("a server");
        predecessor.release().unwrap();
        let (registrar, store) = (registrar(), LentStore::default());
        let zones = Arc::new(ArcSwap::new(Arc::clone(registrar.published())));
        let desk = Desk { registrar, store: store.clone(), restored: crate::update::Restored::default() };
        let mut server = Server::prepare(&settings, listeners, zones, desk).unwrap();
        predecessor.ready().unwrap();
        server.open();
        (server, store)
    });
    assert_eq!(first.wait().unwrap(), End::TakenOver);
    first.stop();
    let (second, second_store) = second.join().unwrap();
    assert_eq!(first_store.noted(), ["committed", "released"]);
    assert_eq!(second.addresses(), addresses);
    // Whatever socket the kernel picks, somebody reads it.
    for _ in 0..40 {
        addresses.iter().for_each(|&address| assert_eq!(rcode(&ask_udp(address, QUESTION)), Rcode::REFUSED));
    }
    registers(&second, "m2");
    assert_eq!(second_store.noted(), ["committed"]);
}

#[test]
fn who_goes_away_at_any_point_changes_nothing() {
    let state = tempfile::tempdir().unwrap();
    let (server, store) = offering(&settings(&["127.0.0.1:0"]), state.path(), TERMS);
    drop(ask(state.path()));
    serves_again(state.path());
    registers(&server, "m1");
    assert_eq!(store.noted(), ["committed"]);
    let predecessor = ask(state.path());
    predecessor.release().unwrap();
    drop(predecessor);
    registers(&server, "m2");
    assert_eq!(store.noted(), ["committed", "released", "taken back", "committed"]);
    // And who comes after them is served as the first would have been.
    serves_again(state.path());
}

#[test]
fn who_is_not_ready_in_time_is_told_no_and_what_waited_is_judged() {
    let state = tempfile::tempdir().unwrap();
    let terms = Terms { ready: Duration::from_millis(300), ..TERMS };
    let (server, store) = offering(&settings(&["127.0.0.1:0"]), state.path(), terms);
    let predecessor = ask(state.path());
    predecessor.release().unwrap();
    let mut stream = connect(&server);
    for (id, label) in [(1, "m1"), (2, "m2")] {
        stream.write_all(&framed(id, &registration(label))).unwrap();
    }
    // Questions do not wait.
    assert_eq!(rcode(&ask_udp(server.addresses()[0], QUESTION)), Rcode::REFUSED);
    assert_eq!(store.noted(), ["released"]);
    let replies = [heard(&mut stream), heard(&mut stream)];
    assert_eq!(replies.map(|reply| (reply[1], rcode(&reply))), [(1, Rcode::NOERROR), (2, Rcode::NOERROR)]);
    assert_eq!(store.noted()[..2], ["released", "taken back"]);
    let error = predecessor.ready().unwrap_err();
    assert!(matches!(&error, HandOverError::Refused { why } if why.contains("said nothing")), "{error}");
    assert!(!is_over_within(&mut stream), "the connection goes on");
}

/// Whether the connection is closed already.
fn is_over_within(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    !matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn a_server_that_is_stopped_meanwhile_leaves_everything_to_the_next() {
    let state = tempfile::tempdir().unwrap();
    let (server, store) = offering(&settings(&["127.0.0.1:0"]), state.path(), TERMS);
    let predecessor = ask(state.path());
    predecessor.release().unwrap();
    let mut stream = connect(&server);
    stream.write_all(&framed(1, &registration("m1"))).unwrap();
    server.stop();
    predecessor.ready().unwrap();
    assert_eq!(store.noted(), ["released"]);
    assert!(is_closed(&mut stream), "without a reply: who has the store may not have it so");
}

#[test]
fn a_server_that_dies_meanwhile_is_followed_by_the_one_that_is_ready() {
    let state = tempfile::tempdir().unwrap();
    let (server, _) = offering(&settings(&["127.0.0.1:0"]), state.path(), TERMS);
    let predecessor = ask(state.path());
    // As far as the other can tell, this is an end without a word: it was not asked for the store.
    server.stop();
    assert!(matches!(predecessor.release(), Err(HandOverError::Gone)));
    predecessor.ready().unwrap();
}

#[test]
fn another_version_s_words_are_refused_with_a_reason() {
    let state = tempfile::tempdir().unwrap();
    let (server, store) = offering(&settings(&["127.0.0.1:0"]), state.path(), TERMS);
    for words in ["{\"word\":\"take-over\",\"version\":2}", "{\"word\":\"dance\"}", "GET / HTTP/1.1", "\"\""]
    {
        let reply = say(state.path(), words.as_bytes());
        assert!(reply.contains("\"no\"") && reply.contains("versions that cannot take over"), "{reply}");
    }
    registers(&server, "m1");
    serves_again(state.path());
    assert_eq!(store.noted(), ["committed"]);
}

/// Says something at the server's door, and returns what it says.
fn say(state: &Path, words: &[u8]) -> String {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None).unwrap();
    socket.connect(&socket2::SockAddr::unix(state.join("rollcall.sock")).unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send(words).unwrap();
    let mut reply = std::fs::File::from(OwnedFd::from(socket));
    let mut room = [0; 4096];
    let len = reply.read(&mut room).unwrap();
    String::from_utf8(room[..len].to_vec()).unwrap()
}

#[test]
fn a_no_is_heard_although_it_crosses_with_a_word_that_nobody_reads() {
    let state = tempfile::tempdir().unwrap();
    let door = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None).unwrap();
    door.bind(&socket2::SockAddr::unix(state.path().join("rollcall.sock")).unwrap()).unwrap();
    door.listen(1).unwrap();
    let server = thread::spawn(move || {
        let talk = door.accept().unwrap().0;
        let hears = || talk.recv(&mut [std::mem::MaybeUninit::uninit(); 100]).unwrap();
        hears();
        talk.send(b"{\"word\":\"sockets\",\"count\":0,\"more\":false}").unwrap();
        hears();
        talk.send(b"{\"word\":\"released\"}").unwrap();
        // It is ready, and is not heard.
        talk.peek(&mut [std::mem::MaybeUninit::uninit(); 100]).unwrap();
        talk.send(b"{\"word\":\"no\",\"why\":\"too late\"}").unwrap();
    });
    let predecessor = ask(state.path());
    predecessor.release().unwrap();
    assert!(matches!(predecessor.ready(), Err(HandOverError::Refused { why }) if why == "too late"));
    server.join().unwrap();
}

#[test]
fn who_comes_while_another_is_served_waits() {
    let state = tempfile::tempdir().unwrap();
    let (_server, _) = offering(&settings(&["127.0.0.1:0"]), state.path(), TERMS);
    let first = ask(state.path());
    first.release().unwrap();
    let path = state.path().to_owned();
    let (came, comes) = mpsc::channel();
    let second = thread::spawn(move || {
        let second = ask(&path);
        came.send(()).unwrap();
        second.release().unwrap();
    });
    assert!(comes.recv_timeout(Duration::from_millis(100)).is_err());
    drop(first);
    second.join().unwrap();
}

#[test]
fn without_a_server_there_is_nobody_to_take_over_from() {
    let state = tempfile::tempdir().unwrap();
    assert!(Predecessor::ask(state.path()).unwrap().is_none());
    // A server that ends takes its door with it; one that was killed leaves it, and nobody behind it.
    let (server, _) = offering(&settings(&["127.0.0.1:0"]), state.path(), TERMS);
    let door = state.path().join("rollcall.sock");
    assert!(door.exists());
    server.stop();
    assert!(!door.exists());
    let listener = std::os::unix::net::UnixListener::bind(&door).unwrap();
    drop(listener);
    let error = Predecessor::ask(state.path()).map(|found| found.is_some());
    // Of another type, and dead.
    assert!(matches!(error, Ok(false) | Err(HandOverError::Socket { .. })), "{error:?}");
    drop(Offer::open(state.path(), TERMS).unwrap());
    assert!(!door.exists());
}
