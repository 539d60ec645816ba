//! Against implementations that are not ours: MACs from dnspython 2.9.2, and the `domain` crate in both roles. The rules
//! of RFC 8945 section 5, one by one, are in `rfc8945`.

mod reply;
mod rfc8945;
mod sequence;

use domain::base::{Message, MessageBuilder, ParsedName};
use domain::rdata::tsig::{Time48, Tsig};
use domain::tsig::{self as reference, ClientTransaction, ServerTransaction, ValidationError};
use proptest::prelude::*;

use super::super::{Class, Name, Rcode, Rtype};
use super::*;

const NOW_S: u64 = 1_700_000_000;
const SECRET: [u8; 32] = {
    let mut secret = [0; 32];
    let mut at = 0;
    while at < 32 {
        secret[at] = at as u8;
        at += 1;
    }
    secret
};
/// An UPDATE of pool.example. that adds `m1.web 30 A 10.0.0.1`.
const UPDATE: &[u8] =
    b"\x12\x34\x28\x00\x00\x01\x00\x00\x00\x01\x00\x00\x04pool\x07example\x00\x00\x06\x00\x01\
    \x02m1\x03web\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\x0a\x00\x00\x01";
const NOERROR_REPLY: &[u8] = b"\x12\x34\xa8\x00\x00\x00\x00\x00\x00\x00\x00\x00";
const NOTAUTH_REPLY: &[u8] = b"\x12\x34\xa8\x09\x00\x00\x00\x00\x00\x00\x00\x00";
const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn named(name: &str) -> Name {
    Name::bytes_from_str(name).unwrap()
}

fn key(policy: impl Into<MacPolicy>) -> Arc<Key> {
    Arc::new(Key::new(&named("Beat.Lab."), policy, &SECRET).unwrap())
}

fn beat() -> Arc<Key> {
    key(Algorithm::HmacSha256)
}

fn signed(key: &Key) -> Vec<u8> {
    let mut message = UPDATE.to_vec();
    sign_request(&mut message, key, NOW_S, 300);
    message
}

fn judged(message: &[u8], key: Option<&Arc<Key>>, now_s: u64) -> Result<Signer, TsigFailure> {
    verify(message, &TsigRecord::find(message).unwrap().unwrap(), key, now_s)
}

fn verifies(message: &[u8], key: &Arc<Key>) -> bool {
    matches!(TsigRecord::find(message), Ok(Some(tsig)) if verify(message, &tsig, Some(key), NOW_S).is_ok())
}

/// The reply to a failed request.
fn error_reply(failure: &TsigFailure, now_s: u64) -> Vec<u8> {
    let mut reply = NOTAUTH_REPLY.to_vec();
    failure.append(&mut reply, now_s);
    reply
}

fn reference_key(algorithm: reference::Algorithm) -> reference::Key {
    reference::Key::new(algorithm, &SECRET, "beat.lab.".parse().unwrap(), None, None).unwrap()
}

/// A question signed by `domain`, and what it needs to judge the reply.
fn reference_request(key: reference::Key, now_s: u64) -> (Vec<u8>, ClientTransaction<reference::Key>) {
    let mut question = MessageBuilder::new_vec().question();
    question.header_mut().set_id(0x1234);
    question.push((named("pool.example."), Rtype::SOA)).unwrap();
    let mut message = question.additional();
    let client = ClientTransaction::request(key, &mut message, Time48::from_u64(now_s)).unwrap();
    (message.finish(), client)
}

fn reference_judges(
    client: &ClientTransaction<reference::Key>,
    reply: Vec<u8>,
    now_s: u64,
) -> Result<(), ValidationError> {
    client.answer(&mut Message::from_octets(reply).unwrap(), Time48::from_u64(now_s))
}

#[test]
fn algorithms_go_by_name_whatever_the_case() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::named(&algorithm.name().to_uppercase()), Some(algorithm));
        assert_eq!(Algorithm::named(&format!("{algorithm}.")), Some(algorithm));
        assert_eq!(Algorithm::from_wire(&algorithm.wire().to_ascii_uppercase()), Some(algorithm));
        assert_eq!(named(algorithm.name()).as_slice(), algorithm.wire());
    }
    assert_eq!(Algorithm::named("hmac-md5"), None);
    assert_eq!(Algorithm::from_wire(b"\x0bhmac-sha256"), None);
    assert_eq!(Algorithm::ALL.map(Algorithm::mac_len), [20, 28, 32, 48, 64]);
    assert_eq!(Algorithm::ALL.map(Algorithm::mac_len_min), [10, 14, 16, 24, 32]);
}

#[test]
fn policies_are_written_as_binds() {
    let read =
        |text: &str| text.parse::<MacPolicy>().map(|policy| (policy.to_string(), key(policy).mac_len_min()));
    for (text, wanted, octets) in [
        ("HMAC-SHA256", "hmac-sha256", 32),
        ("hmac-sha256-256", "hmac-sha256", 32),
        ("Hmac-Sha256-128", "hmac-sha256-128", 16),
        ("hmac-sha1-80", "hmac-sha1-80", 10),
        ("hmac-sha224-112", "hmac-sha224-112", 14),
        ("hmac-sha512-504", "hmac-sha512-504", 63),
    ] {
        assert_eq!(read(text), Ok((wanted.to_owned(), octets)), "{text}");
    }
    let bits = "the bits after hmac-sha256- have to be a multiple of 8 from 128 to 256";
    let wrong = ["-120", "-264", "-100", "-", "-+128", "-0", "-18446744073709551616"];
    for bits_of in wrong {
        assert_eq!(read(&format!("hmac-sha256{bits_of}")).unwrap_err().to_string(), bits, "{bits_of}");
    }
    let sha1 = read("hmac-sha1-72").unwrap_err().to_string();
    assert!(sha1.ends_with("from 80 to 160"), "{sha1}");
    for text in ["", "-", "hmac-md5", "hmac-md5-128", "hmac-sha256-128-128", "128"] {
        assert_eq!(read(text), Err(MacPolicyError::Algorithm), "{text}");
    }
}

#[test]
fn a_key_needs_a_secret_and_does_not_tell_it() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Key::new(&named("k."), algorithm, b"").err(), Some(KeyError::EmptySecret));
    }
    assert_eq!(format!("{:?}", beat()), "Key(beat.lab. (hmac-sha256))");
    let cut: MacPolicy = "hmac-sha256-128".parse().unwrap();
    assert_eq!(format!("{:?}", key(cut)), "Key(beat.lab. (hmac-sha256-128))");
}

/// The algorithm, the MAC of the UPDATE, and that of a NOERROR reply a second later.
const DNSPYTHON: [(Algorithm, &str, &str); 5] = [
    (
        Algorithm::HmacSha1,
        "9aae33507be2491a7a688df0be033bbfca6d3d7e",
        "dfcaf93da1d87255494f4f48904b82bbf16ac1e2",
    ),
    (
        Algorithm::HmacSha224,
        "85aadeaba9fa365fd8efc28c57751ec21c949075c1f81ff3c6153a9b",
        "c57ec0135df8d2515050ce08571a86e8f194bb15d38892c10cc7506e",
    ),
    (
        Algorithm::HmacSha256,
        "318e27928366724f499d8a41091883621ca2a927450f3baada8dd1252f5a5143",
        "99fc567e27d6682b339f446b763ac3366d7add0bd03ba245a9a77406e647b0bb",
    ),
    (
        Algorithm::HmacSha384,
        "ec105b05e5dd8006f76a7a350f1dca3881049e1e5161c2e34d9c6cfc0c011686125f5e651e41f875696813649af92816",
        "69f89b358ebbeb14cf6ccdbf3816780380374fa0d4311c5362a91b6dfd80fe9b5e41f9cde037f28b68aaee5ff57032a1",
    ),
    (
        Algorithm::HmacSha512,
        "71a2d109cc50876e621d72a4e524a2d3d2805a74c8f01f90577c5b2f8d9b7342477af7eeab353dd56d7757809883f9207cf831e301b57de1\
         a1379ec9bed49ac9",
        "e1359e95081b6fa95e343fddea823f9e3ffd571ede99f71e05d9b9e5abac2d10da24ed9b895cb9d31076253a380148ba8bd6328a3d5622f8\
         dea7e4541c40d78a",
    ),
];

#[test]
fn macs_are_those_of_dnspython() {
    for (algorithm, of_request, of_reply) in DNSPYTHON {
        let message = signed(&key(algorithm));
        let tsig = TsigRecord::find(&message).unwrap().unwrap();
        assert_eq!(tsig.mac, octets(of_request), "{algorithm}");
        assert_eq!((tsig.start, tsig.original_id, tsig.other), (UPDATE.len(), 0x1234, &[][..]));
        assert_eq!(tsig.key_name.as_slice(), b"\x04beat\x03lab\x00");
        let signer = judged(&message, Some(&key(algorithm)), NOW_S + 1).unwrap();
        let mut reply = NOERROR_REPLY.to_vec();
        signer.sign(&mut reply, NOW_S + 1);
        assert_eq!(TsigRecord::find(&reply).unwrap().unwrap().mac, octets(of_reply), "{algorithm}");
    }
    let late = judged(&signed(&beat()), Some(&beat()), NOW_S + 412).unwrap_err();
    let cut = judged(&rfc8945::with_mac_of(16, NOW_S), Some(&beat()), NOW_S + 1).unwrap_err();
    for (failure, later_s, wanted) in [
        (late, 412, "0ce7876229c1087446a7abebe0b180aeddec7ea1189db535e85d5fee19363036"),
        (cut, 1, "bfd5935e146644e96afec0a1c32b2d4b790a4ddce1aba77bd5d5abec3ec38e59"),
    ] {
        let reply = error_reply(&failure, NOW_S + later_s);
        assert_eq!(TsigRecord::find(&reply).unwrap().unwrap().mac, octets(wanted), "{failure}");
    }
}

/// The `domain` crate has no HMAC-SHA224.
const REFERENCE: [(Algorithm, reference::Algorithm); 4] = [
    (Algorithm::HmacSha1, reference::Algorithm::Sha1),
    (Algorithm::HmacSha256, reference::Algorithm::Sha256),
    (Algorithm::HmacSha384, reference::Algorithm::Sha384),
    (Algorithm::HmacSha512, reference::Algorithm::Sha512),
];

#[test]
fn domain_as_client_accepts_our_replies() {
    for (algorithm, theirs) in REFERENCE {
        let (request, client) = reference_request(reference_key(theirs), NOW_S);
        let signer = judged(&request, Some(&key(algorithm)), NOW_S + 300).unwrap();
        let mut reply = NOERROR_REPLY.to_vec();
        signer.sign(&mut reply, NOW_S + 300);
        reference_judges(&client, reply.clone(), NOW_S).unwrap();
        reply[3] ^= 1;
        assert!(reference_judges(&client, reply, NOW_S).is_err(), "another RCODE than was signed");
    }
}

#[test]
fn domain_as_server_accepts_our_requests() {
    let mut message = Message::from_octets(signed(&beat())).unwrap();
    let theirs = reference_key(reference::Algorithm::Sha256);
    let server = ServerTransaction::request(&theirs, &mut message, Time48::from_u64(NOW_S)).unwrap();
    assert!(server.is_some());
}

#[test]
fn domain_understands_what_was_wrong() {
    let (request, client) = reference_request(reference_key(reference::Algorithm::Sha256), NOW_S);
    let told = |key: Option<&Arc<Key>>| {
        let failure = judged(&request, key, NOW_S).unwrap_err();
        reference_judges(&client, error_reply(&failure, NOW_S), NOW_S)
    };
    assert!(matches!(told(None), Err(ValidationError::ServerBadKey)));
    assert!(matches!(told(Some(&key(Algorithm::HmacSha512))), Err(ValidationError::ServerBadKey)));
    let stranger = Arc::new(Key::new(&named("beat.lab."), Algorithm::HmacSha256, b"guess").unwrap());
    assert!(matches!(told(Some(&stranger)), Err(ValidationError::ServerBadSig)));

    let half = reference::Key::new(
        reference::Algorithm::Sha256,
        &SECRET,
        "beat.lab.".parse().unwrap(),
        Some(16),
        Some(16),
    );
    let (request, client) = reference_request(half.unwrap(), NOW_S);
    let cut = judged(&request, Some(&beat()), NOW_S).unwrap_err();
    reference_judges(&client, error_reply(&cut, NOW_S), NOW_S).unwrap();
    let taken = judged(&request, Some(&key("hmac-sha256-128".parse::<MacPolicy>().unwrap())), NOW_S).unwrap();
    let mut reply = NOERROR_REPLY.to_vec();
    taken.sign(&mut reply, NOW_S);
    assert_eq!(TsigRecord::find(&reply).unwrap().unwrap().mac.len(), 16);
    reference_judges(&client, reply, NOW_S).unwrap();
}

/// `domain` 0.12.3 digests Other Data as eight octets where RFC 8945 section 4.2 has six, so it reads this record here
/// and does not judge its MAC; dnspython's is the one compared above.
#[test]
fn domain_reads_both_times_of_badtime() {
    let failure = judged(&signed(&beat()), Some(&beat()), NOW_S + 301).unwrap_err();
    let reply = Message::from_octets(error_reply(&failure, NOW_S + 302)).unwrap();
    let record = reply.get_last_additional::<Tsig<&[u8], ParsedName<&[u8]>>>().unwrap();
    assert_eq!((record.class(), record.data().error()), (Class::ANY, TsigRcode::BADTIME));
    assert_eq!(record.data().time_signed(), Time48::from_u64(NOW_S));
    assert_eq!(record.data().other_time(), Some(Time48::from_u64(NOW_S + 301)));
    assert_eq!((record.data().fudge(), record.data().mac().len()), (300, 32));
}

#[test]
fn what_is_cut_off_never_verifies() {
    let message = signed(&beat());
    for end in 0..message.len() {
        assert!(!verifies(&message[..end], &beat()), "cut at {end}");
    }
    let mut short = vec![0; 11];
    sign_request(&mut short, &beat(), NOW_S, 300);
    assert_eq!(short, [0; 11], "no header, no signature");
}

proptest! {
    #[test]
    fn no_octets_panic(message in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!verifies(&message, &beat()));
    }

    #[test]
    fn changed_octets_never_verify(
        changes in proptest::collection::vec((2..134_usize, 1..=255_u8), 1..6)
    ) {
        let mut message = signed(&beat());
        changes.iter().for_each(|&(at, octet)| message[at] = octet);
        let same = message[2..].eq_ignore_ascii_case(&signed(&beat())[2..]);
        prop_assert!(same || !verifies(&message, &beat()));
    }
}
