//! Signed UPDATEs, and what the TSIG of a reply says (RFC 8945). hickory-proto lays the records out and ring computes the MACs:
//! no part of it is the code under test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError, make_tsig_record, message_tbs};
use hickory_proto::rr::{Name, RData};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};
use ring::hmac;
use rollcall::membership::Cause;

use super::world::{SECRET, World, update_message};

/// The fudge of a client that names none (RFC 8945 section 10), seconds.
pub const FUDGE_S: u16 = 300;

/// A signed request, and what its reply is checked with.
pub struct Request {
    pub octets: Vec<u8>,
    key: Name,
    at_s: u64,
    mac: Vec<u8>,
}

/// A message signed at a time of the client's choice, seconds since 1970.
pub fn sign(mut message: Message, key: &str, at_s: u64, fudge_s: u16) -> Request {
    let key = Name::from_ascii(key).unwrap();
    let id = message.metadata.id;
    let tsig = TSIG::new(TsigAlgorithm::HmacSha256, at_s, fudge_s, Vec::new(), id, None, Vec::new());
    let mac = mac(&message_tbs(&message, &tsig, &key).unwrap());
    message.signature = Some(Box::new(make_tsig_record(key.clone(), tsig.set_mac(mac.clone()))));
    Request { octets: message.to_vec().unwrap(), key, at_s, mac }
}

/// An UPDATE in the words of [`update_message`], signed at a time of the client's choice.
pub fn signed(key: &str, at_s: u64, script: &str) -> Request {
    sign(update_message(script, None), key, at_s, FUDGE_S)
}

fn mac(octets: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), octets).as_ref().to_vec()
}

/// The TSIG of a reply, whose MAC must be the one that the request and the reply give (section 5.3.1).
#[track_caller]
pub fn tsig_of(request: &Request, reply: &[u8]) -> TSIG {
    let message = Message::from_vec(reply).unwrap();
    let Some(RData::TSIG(tsig)) = message.additionals.last().map(|record| &record.data) else {
        panic!("the reply is not signed: {message:?}")
    };
    // Owner, type, class, TTL, RDLENGTH, rdata; nothing of it is compressed.
    let record_len = request.key.to_bytes().unwrap().len() + 10 + tsig.to_bytes().unwrap().len();
    let mut unsigned = reply[..reply.len() - record_len].to_vec();
    let additionals = u16::from_be_bytes([reply[10], reply[11]]) - 1;
    unsigned[10..12].copy_from_slice(&additionals.to_be_bytes());
    let mut variables = Vec::new();
    tsig.emit_tsig_for_mac(&mut BinEncoder::new(&mut variables), &request.key).unwrap();
    let mac_len = (request.mac.len() as u16).to_be_bytes();
    let digest = [&mac_len[..], &request.mac, &unsigned, &variables].concat();
    assert_eq!(mac(&digest), tsig.mac, "the reply's MAC");
    tsig.clone()
}

impl Request {
    /// It must be accepted, and answered with a good signature.
    #[track_caller]
    pub fn accepted_by(&self, world: &mut World) -> Vec<Cause> {
        let updated = world.send(&self.octets);
        assert_eq!(updated.rcode, ResponseCode::NoError, "{:?}", updated.refusal);
        let tsig = tsig_of(self, &updated.octets);
        assert_eq!((tsig.error, tsig.time), (None, world.wall_s()));
        updated.causes
    }

    /// It must be refused for what it asks and not for its signature; the reason comes back.
    #[track_caller]
    pub fn refused_by(&self, world: &mut World) -> String {
        let updated = world.send(&self.octets);
        assert_eq!((updated.rcode, &updated.causes[..]), (ResponseCode::Refused, &[][..]), "{updated:?}");
        assert_eq!(tsig_of(self, &updated.octets).error, None, "the signature was good");
        updated.refusal.unwrap()
    }

    /// It must be found to be a replay: BADTIME, signed, with the client's time and the server's (section 5.2.3).
    #[track_caller]
    pub fn a_replay_to(&self, world: &mut World) {
        let updated = world.send(&self.octets);
        assert_eq!((updated.rcode, &updated.causes[..]), (ResponseCode::NotAuth, &[][..]), "{updated:?}");
        let tsig = tsig_of(self, &updated.octets);
        let (error, other) = (Some(TsigError::BadTime), &world.wall_s().to_be_bytes()[2..]);
        assert_eq!((tsig.error, tsig.time, &tsig.other[..]), (error, self.at_s, other));
        assert!(updated.refusal.unwrap().contains("a replay"));
    }
}
