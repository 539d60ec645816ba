//! Clients that ask for an address and connect to the first that they are given.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

/// One question, asked again and again, one at a time.
pub struct Asker {
    socket: UdpSocket,
    question: Vec<u8>,
    reply: [u8; 1232],
}

impl Asker {
    /// Of the server there, for the addresses of this name.
    pub fn new(server: SocketAddr, name: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.queries.push(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        Asker { socket, question: message.to_vec().unwrap(), reply: [0; 1232] }
    }

    /// The member at the first address of an answer, by that address's last octet: 0 for 10.0.0.1.
    pub fn connect(&mut self) -> usize {
        // Unbound turns an answer of several records by the number of the question.
        let id = fastrand::u16(..);
        self.question[..2].copy_from_slice(&id.to_be_bytes());
        self.socket.send(&self.question).unwrap();
        let len = self.socket.recv(&mut self.reply).unwrap();
        let reply = Message::from_vec(&self.reply[..len]).unwrap();
        assert_eq!((reply.metadata.id, reply.metadata.response_code), (id, ResponseCode::NoError), "{reply}");
        let Some(RData::A(address)) = reply.answers.first().map(|record| &record.data) else {
            panic!("{reply}")
        };
        usize::from(address.octets()[3]) - 1
    }
}
