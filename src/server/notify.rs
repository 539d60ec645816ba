//! Tells systemd, or whoever else started the server and listens at $NOTIFY_SOCKET, how it is (sd_notify(3)): lines of
//! `NAME=value`, one datagram each time. Without that variable nothing is said.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use tracing::warn;

use super::clock;

/// Where it is told, if anybody wants to know.
#[derive(Debug, Default)]
pub struct Notifier(Option<(UnixDatagram, SocketAddr)>);

impl Notifier {
    /// As $NOTIFY_SOCKET says. One that cannot be used is logged, and is none.
    pub fn from_env() -> Self {
        let Some(place) = env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else {
            return Notifier::default();
        };
        Notifier::at(&place).unwrap_or_else(|error| {
            warn!(%error, place = %place.display(), "$NOTIFY_SOCKET cannot be used: nobody is told when the server is ready");
            Notifier::default()
        })
    }

    /// A path, or a name in the abstract namespace after an `@`.
    fn at(place: &OsStr) -> io::Result<Self> {
        let address = match place.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(place)?,
        };
        let socket = UnixDatagram::unbound()?;
        // Somebody who does not listen must not hold up a server.
        socket.set_nonblocking(true)?;
        Ok(Notifier(Some((socket, address))))
    }

    /// The server answers, or answers from what it has just read again.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// It reads its files again. The time is what lets systemd tell this reload's `READY=1` from another's.
    pub fn reloading(&self) {
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic_us()));
    }

    /// It ends.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Another process is the server from now on.
    pub fn succeeded_by(&self, pid: u32) {
        self.say(&format!("MAINPID={pid}"));
    }

    fn say(&self, words: &str) {
        let Some((socket, address)) = &self.0 else { return };
        if let Err(error) = socket.send_to_addr(words.as_bytes(), address) {
            warn!(%error, words, "cannot tell $NOTIFY_SOCKET");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut room = [0; 256];
        let len = socket.recv(&mut room).unwrap();
        String::from_utf8(room[..len].to_vec()).unwrap()
    }

    #[test]
    fn it_is_told_at_a_path_and_at_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("rollcall-test-{}", std::process::id());
        let at_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (socket, place) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (UnixDatagram::bind_addr(&at_name).unwrap(), format!("@{name}").into()),
        ] {
            let notifier = Notifier::at(&place).unwrap();
            notifier.ready();
            assert_eq!(heard(&socket), "READY=1");
            notifier.succeeded_by(17);
            assert_eq!(heard(&socket), "MAINPID=17");
            let before_us = clock::monotonic_us();
            notifier.reloading();
            let text = heard(&socket);
            let at_us = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a reload's words");
            assert!((before_us..=clock::monotonic_us()).contains(&at_us.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn nobody_who_listens_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let deaf = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::at(path.as_os_str()).unwrap();
        // More than its queue holds.
        (0..10_000).for_each(|_| notifier.stopping());
        assert_eq!(heard(&deaf), "STOPPING=1");
        drop((deaf, std::fs::remove_file(&path)));
        notifier.ready();
    }
}
