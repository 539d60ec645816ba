//! Nobody reads the server's standard error any more: a pager that was stopped, a journal that hangs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::asking::framed;
use super::server::{LISTEN, Site, rollcall, wait};

/// Members of one message, and messages: a line of the log for each member, of which a pipe holds some five hundred.
const MEMBERS: u8 = 200;
const MESSAGES: u8 = 15;

/// An UPDATE by which many members join at once.
fn joins(message: u8) -> Vec<u8> {
    let mut update = Message::new(u16::from(message), MessageType::Query, OpCode::Update);
    update.add_query(Query::query(Name::from_ascii("pool.example.").unwrap(), RecordType::SOA));
    for member in 0..MEMBERS {
        let name = Name::from_ascii(format!("m{message}-{member}.web.pool.example.")).unwrap();
        let address = RData::A(Ipv4Addr::new(10, 0, message, member).into());
        update.add_authority(Record::from_rdata(name, 30, address));
    }
    update.to_vec().unwrap()
}

fn ask(connection: &mut TcpStream, message: &[u8]) -> Message {
    connection.write_all(&framed(message)).unwrap();
    let mut len = [0; 2];
    connection.read_exact(&mut len).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
    connection.read_exact(&mut reply).unwrap();
    Message::from_vec(&reply).unwrap()
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let site = Site::new("");
    let arguments = ["serve", "--config", "rollcall.toml", "--listen", LISTEN, "--state", "state"];
    let mut child = rollcall(site.path()).args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let listening = log.find(|line| line.contains("listening")).unwrap();
    let address: SocketAddr = listening.split_once("address=").unwrap().1.trim().parse().unwrap();

    // From here on nobody reads.
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for message in 0..MESSAGES {
        let reply = ask(&mut connection, &joins(message));
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError, "message {message}");
    }
    drop(connection);

    let stop = format!("kill -TERM {}", child.id());
    assert!(Command::new("sh").args(["-c", &stop]).status().unwrap().success());
    let joined = log.filter(|line| line.contains("joined") && line.contains("member=")).count();
    assert_eq!(
        joined,
        usize::from(MEMBERS) * usize::from(MESSAGES),
        "who reads again misses nothing that waited"
    );
    assert!(wait(&mut child).success());
}
