//! Questions to a running server, one TCP connection for all (RFC 7766).

use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use domain::base::iana::ExtendedErrorCode;
use domain::base::name::ToName as _;
use domain::base::opt::ExtendedError;
use domain::base::zonefile_fmt::{DisplayKind, ZonefileFmt as _};
use domain::base::{Message, MessageBuilder, ParsedRecord};
use domain::rdata::AllRecordData;

use crate::cli::session::{Connection, printable};
use crate::wire::{Name, Rcode, Rtype, UDP_PAYLOAD_MAX};

pub(super) use crate::cli::session::AskError;

/// A server to ask.
pub(super) struct Session {
    connection: Connection,
    id: u16,
    /// A client that nobody knows beforehand, of the prefix for documentation (RFC 3849). A status that names it was said by
    /// the server; a TXT record that somebody registered to look like one can not.
    pub nobody: IpAddr,
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub rcode: Rcode,
    /// What more the server says of it (RFC 8914): an info code, and a text fit for a terminal.
    pub error: Option<(u16, String)>,
    /// The answer section.
    pub records: Vec<Record>,
    /// The zone that has no such records.
    pub zone: Option<Name>,
}

/// A record of the answer section.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub rtype: Rtype,
    pub ttl_s: u32,
    pub data: Data,
    /// Its data in presentation form.
    pub text: String,
}

/// What of a record's data is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Data {
    Address(IpAddr),
    Service {
        port: u16,
        target: Name,
    },
    /// The strings of a TXT record, one behind the other.
    Text(Vec<u8>),
    Alias(Name),
    Other,
}

impl Session {
    /// Connects to a server.
    pub fn open(server: SocketAddr) -> Result<Self, AskError> {
        let connection = Connection::open(server)?;
        let nobody = (0x2001_0db8_u128 << 96) | u128::from(RandomState::new().hash_one(server));
        Ok(Session { connection, id: 0, nobody: Ipv6Addr::from_bits(nobody).into() })
    }

    /// Asks one question, for `client` if it is given (RFC 7871).
    pub fn ask(&mut self, name: &Name, rtype: Rtype, client: Option<IpAddr>) -> Result<Answer, AskError> {
        let server = self.connection.server;
        let no_answer = || AskError::NoAnswer { server };
        self.id = self.id.wrapping_add(1);
        let question = question(self.id, name, rtype, client).ok_or_else(no_answer)?;
        let octets = self.connection.exchange(&question)?;
        let message = Message::from_octets(octets).map_err(|_| no_answer())?;
        Answer::read(&message).ok_or_else(no_answer)
    }
}

/// A question. Any message of this size can be made.
fn question(id: u16, name: &Name, rtype: Rtype, client: Option<IpAddr>) -> Option<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec().question();
    builder.header_mut().set_id(id);
    builder.push((name, rtype)).ok()?;
    let mut builder = builder.additional();
    let with_opt = builder.opt(|opt| {
        opt.set_udp_payload_size(UDP_PAYLOAD_MAX);
        match client {
            Some(client) => opt.client_subnet(if client.is_ipv4() { 32 } else { 128 }, 0, client),
            None => Ok(()),
        }
    });
    with_opt.ok()?;
    Some(builder.finish())
}

impl Answer {
    /// Whether the server refused because of who asks (RFC 8914 section 4.19).
    pub fn is_prohibited(&self) -> bool {
        let code = self.error.as_ref().map(|(code, _)| *code);
        self.rcode == Rcode::REFUSED && code == Some(ExtendedErrorCode::PROHIBITED.to_int())
    }

    /// `None` if its octets are no message.
    fn read(message: &Message<Vec<u8>>) -> Option<Self> {
        let records = message.answer().ok()?.map(|record| Record::read(&record.ok()?));
        let records = records.collect::<Option<Vec<_>>>()?;
        let mut authority = message.authority().ok()?;
        let zone = authority.find_map(|record| {
            let record = record.ok()?;
            (record.rtype() == Rtype::SOA).then(|| record.owner().to_bytes())
        });
        let error = message.opt().and_then(|opt| opt.opt().iter::<ExtendedError<&[u8]>>().next()?.ok());
        let error = error.map(|error| {
            let text = String::from_utf8_lossy(error.text_slice().unwrap_or_default());
            (error.code().to_int(), printable(&text))
        });
        Some(Answer { rcode: message.header().rcode(), error, records, zone })
    }
}

impl Record {
    fn read(record: &ParsedRecord<'_, Vec<u8>>) -> Option<Self> {
        let (rtype, ttl_s) = (record.rtype(), record.ttl().as_secs());
        let record = record.to_any_record::<AllRecordData<_, _>>().ok()?;
        let text = printable(&record.data().display_zonefile(DisplayKind::Simple).to_string());
        let data = match record.into_data() {
            AllRecordData::A(a) => Data::Address(a.addr().into()),
            AllRecordData::Aaaa(aaaa) => Data::Address(aaaa.addr().into()),
            AllRecordData::Srv(srv) => Data::Service { port: srv.port(), target: srv.target().to_bytes() },
            AllRecordData::Txt(txt) => Data::Text(txt.iter().collect::<Vec<_>>().concat()),
            AllRecordData::Cname(cname) => Data::Alias(cname.cname().to_bytes()),
            _ => Data::Other,
        };
        Some(Record { rtype, ttl_s, data, text })
    }
}
