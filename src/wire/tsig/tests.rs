//! Against implementations that are not ours: MACs from dnspython 2.9.2, and the `domain` crate in both roles.

use domain::base::{Message, MessageBuilder, ParsedName};
use domain::rdata::tsig::{Time48, Tsig};
use domain::tsig::{self as reference, ClientTransaction, ServerTransaction, ValidationError};
use proptest::prelude::*;

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

fn key(algorithm: Algorithm) -> Arc<Key> {
    Arc::new(Key::new(&named("Beat.Lab."), algorithm, &SECRET).unwrap())
}

fn beat() -> Arc<Key> {
    key(Algorithm::HmacSha256)
}

fn signed(key: &Key) -> Vec<u8> {
    let mut message = UPDATE.to_vec();
    sign_request(&mut message, key, NOW_S, 300);
    message
}

/// The UPDATE with the first `len` octets of its MAC, or with zeros after it.
fn signed_with_mac_of(len: usize, time_signed_s: u64) -> Vec<u8> {
    let mut message = UPDATE.to_vec();
    let mut mac = sign_request(&mut message.clone(), &beat(), time_signed_s, 300);
    mac.resize(len, 0);
    let variables = Variables { time_signed_s, fudge_s: 300, error: TsigRcode::NOERROR, other: &[] };
    append(&mut message, beat().name(), Algorithm::HmacSha256.wire(), &variables, &mac);
    message
}

fn judged(message: &[u8], key: Option<&Arc<Key>>, now_s: u64) -> Result<Signer, TsigFailure> {
    verify(message, &TsigRecord::find(message).unwrap().unwrap(), key, now_s)
}

fn verifies(message: &[u8], key: &Arc<Key>) -> bool {
    matches!(TsigRecord::find(message), Ok(Some(tsig)) if verify(message, &tsig, Some(key), NOW_S).is_ok())
}

/// The reply to a failed request, whose announced length is checked.
fn error_reply(failure: &TsigFailure, now_s: u64) -> Vec<u8> {
    assert_eq!(failure.rcode(), Rcode::NOTAUTH);
    let mut reply = NOTAUTH_REPLY.to_vec();
    failure.append(&mut reply, now_s);
    assert_eq!(reply.len(), NOTAUTH_REPLY.len() + failure.tsig_len());
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
    assert_eq!(Algorithm::named("hmac-sha1"), None);
    assert_eq!(Algorithm::from_wire(b"\x0bhmac-sha256"), None);
    assert_eq!(Algorithm::ALL.map(Algorithm::mac_len), [32, 48, 64]);
    assert_eq!(Algorithm::ALL.map(Algorithm::mac_len_min), [16, 24, 32]);
}

#[test]
fn a_key_needs_a_secret_and_does_not_tell_it() {
    assert_eq!(Key::new(&named("k."), Algorithm::HmacSha256, b"").err(), Some(KeyError::EmptySecret));
    assert_eq!(format!("{:?}", beat()), "Key(beat.lab. (hmac-sha256))");
}

#[test]
fn macs_are_those_of_dnspython() {
    let requests = [
        "318e27928366724f499d8a41091883621ca2a927450f3baada8dd1252f5a5143",
        "ec105b05e5dd8006f76a7a350f1dca3881049e1e5161c2e34d9c6cfc0c011686125f5e651e41f875696813649af92816",
        "71a2d109cc50876e621d72a4e524a2d3d2805a74c8f01f90577c5b2f8d9b7342477af7eeab353dd56d7757809883f9207cf831e301b57de1\
         a1379ec9bed49ac9",
    ];
    for (algorithm, wanted) in Algorithm::ALL.into_iter().zip(requests) {
        let message = signed(&key(algorithm));
        let tsig = TsigRecord::find(&message).unwrap().unwrap();
        assert_eq!(tsig.mac, octets(wanted), "{algorithm}");
        assert_eq!((tsig.start, tsig.original_id, tsig.other), (UPDATE.len(), 0x1234, &[][..]));
        assert_eq!(tsig.key_name.as_slice(), b"\x04beat\x03lab\x00");
    }
    let in_time = || signed(&beat());
    let cut = signed_with_mac_of(16, NOW_S);
    let replies = [
        (in_time(), 1, "99fc567e27d6682b339f446b763ac3366d7add0bd03ba245a9a77406e647b0bb"),
        (in_time(), 412, "0ce7876229c1087446a7abebe0b180aeddec7ea1189db535e85d5fee19363036"),
        (cut, 1, "bfd5935e146644e96afec0a1c32b2d4b790a4ddce1aba77bd5d5abec3ec38e59"),
    ];
    for (request, later_s, wanted) in replies {
        let now_s = NOW_S + later_s;
        let reply = match judged(&request, Some(&beat()), now_s) {
            Ok(signer) => {
                let mut reply = NOERROR_REPLY.to_vec();
                signer.sign(&mut reply, now_s);
                assert_eq!(reply.len(), NOERROR_REPLY.len() + signer.tsig_len());
                reply
            }
            Err(failure) => error_reply(&failure, now_s),
        };
        assert_eq!(TsigRecord::find(&reply).unwrap().unwrap().mac, octets(wanted), "{later_s} s later");
    }
}

#[test]
fn domain_as_client_accepts_our_replies() {
    use reference::Algorithm::{Sha256, Sha384, Sha512};
    for (algorithm, theirs) in Algorithm::ALL.into_iter().zip([Sha256, Sha384, Sha512]) {
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
    let unknown = judged(&request, None, NOW_S).unwrap_err();
    assert_eq!(unknown.to_string(), "BADKEY: no key beat.lab., which signed with hmac-sha256.");
    let told = reference_judges(&client, error_reply(&unknown, NOW_S), NOW_S);
    assert!(matches!(told, Err(ValidationError::ServerBadKey)));

    let other = judged(&request, Some(&key(Algorithm::HmacSha512)), NOW_S).unwrap_err();
    assert_eq!(other.to_string(), "BADKEY: key beat.lab. (hmac-sha512) signed with hmac-sha256.");
    let told = reference_judges(&client, error_reply(&other, NOW_S), NOW_S);
    assert!(matches!(told, Err(ValidationError::ServerBadKey)));

    let stranger = Arc::new(Key::new(&named("beat.lab."), Algorithm::HmacSha256, b"guess").unwrap());
    let forged = judged(&request, Some(&stranger), NOW_S).unwrap_err();
    assert_eq!(forged.to_string(), "BADSIG: key beat.lab. (hmac-sha256): the MAC does not match");
    let told = reference_judges(&client, error_reply(&forged, NOW_S), NOW_S);
    assert!(matches!(told, Err(ValidationError::ServerBadSig)));

    let half = reference::Key::new(
        reference::Algorithm::Sha256,
        &SECRET,
        "beat.lab.".parse().unwrap(),
        Some(16),
        Some(16),
    );
    let (request, client) = reference_request(half.unwrap(), NOW_S);
    let cut = judged(&request, Some(&beat()), NOW_S).unwrap_err();
    assert_eq!(cut.to_string(), "BADTRUNC: key beat.lab. (hmac-sha256): a MAC cut to 16 octets, not 32");
    let reply = error_reply(&cut, NOW_S);
    assert_eq!(TsigRecord::find(&reply).unwrap().unwrap().error, TsigRcode::BADTRUNC);
    reference_judges(&client, reply, NOW_S).unwrap();
}

/// `domain` 0.12.3 digests Other Data as eight octets where RFC 8945 section 4.2 has six, so it reads this record here
/// and does not judge its MAC; dnspython's is the one compared above.
#[test]
fn badtime_says_both_times() {
    let failure = judged(&signed(&beat()), Some(&beat()), NOW_S + 301).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "BADTIME: key beat.lab. (hmac-sha256): signed at 1700000000, 301 s behind our clock; 300 s are allowed"
    );
    let reply = Message::from_octets(error_reply(&failure, NOW_S + 302)).unwrap();
    let record = reply.get_last_additional::<Tsig<&[u8], ParsedName<&[u8]>>>().unwrap();
    assert_eq!((record.class(), record.data().error()), (Class::ANY, TsigRcode::BADTIME));
    assert_eq!(record.data().time_signed(), Time48::from_u64(NOW_S));
    assert_eq!(record.data().other_time(), Some(Time48::from_u64(NOW_S + 301)));
    assert_eq!((record.data().fudge(), record.data().mac().len()), (300, 32));

    let early = judged(&signed(&beat()), Some(&beat()), NOW_S - 301).unwrap_err();
    assert!(early.to_string().contains("301 s ahead of our clock"));
    assert!(judged(&signed(&beat()), Some(&beat()), NOW_S - 300).is_ok());
    let at_zero = signed_with_mac_of(32, 0);
    assert!(judged(&at_zero, Some(&beat()), 0).is_ok(), "a fudge before 1970");
    assert!(matches!(judged(&at_zero, Some(&beat()), u64::MAX), Err(TsigFailure::BadTime { .. })));
}

#[test]
fn checks_come_in_the_order_of_the_rfc() {
    let late = NOW_S + 1_000;
    for octets in [0, 9, 15, 33, 64] {
        let message = signed_with_mac_of(octets, NOW_S);
        let unknown = judged(&message, None, late);
        assert!(matches!(unknown, Err(TsigFailure::UnknownKey { .. })), "the key before the MAC's length");
        let failure = judged(&message, Some(&beat()), late).unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!("FORMERR: key beat.lab. (hmac-sha256): a MAC of {octets} octets, not 16 to 32")
        );
        let mut reply = NOTAUTH_REPLY.to_vec();
        failure.append(&mut reply, NOW_S);
        assert_eq!((failure.rcode(), reply.len(), failure.tsig_len()), (Rcode::FORMERR, 12, 0));
    }
    let mut forged = signed_with_mac_of(16, NOW_S);
    forged[13] ^= 1;
    assert!(matches!(judged(&forged, Some(&beat()), late), Err(TsigFailure::BadSig { .. })));
    let cut = signed_with_mac_of(16, NOW_S);
    assert!(matches!(judged(&cut, Some(&beat()), late), Err(TsigFailure::BadTime { .. })));
    assert!(matches!(judged(&cut, Some(&beat()), NOW_S), Err(TsigFailure::BadTrunc { octets: 16, .. })));
    let other_name = Arc::new(Key::new(&named("lab."), Algorithm::HmacSha256, &SECRET).unwrap());
    let misnamed = judged(&signed(&beat()), Some(&other_name), NOW_S);
    assert!(matches!(misnamed, Err(TsigFailure::UnknownKey { .. })));
}

#[test]
fn mixed_case_and_another_id_verify_and_every_other_bit_counts() {
    let message = signed(&beat());
    let names = [UPDATE.len()..UPDATE.len() + 10, UPDATE.len() + 20..UPDATE.len() + 33];
    for at in 0..message.len() {
        for bit in (0..8).map(|bit| 1 << bit) {
            let mut flipped = message.clone();
            flipped[at] ^= bit;
            let in_name = names.iter().any(|name| name.contains(&at));
            let case = in_name && bit == 0x20 && message[at].is_ascii_alphabetic();
            assert_eq!(verifies(&flipped, &beat()), at < 2 || case, "octet {at}, bit {bit:#x}");
        }
    }
    let mut upper = message;
    names.into_iter().for_each(|name| upper[name].make_ascii_uppercase());
    assert!(verifies(&upper, &beat()));
}

#[test]
fn tsig_is_the_last_record_of_the_additional_section_and_alone() {
    let message = signed(&beat());
    let find = |message: &[u8]| TsigRecord::find(message).map(|tsig| tsig.is_some());
    assert_eq!(find(UPDATE), Ok(false));
    assert_eq!(find(&message), Ok(true));

    let mut before_opt = [&message, OPT].concat();
    before_opt[11] = 2;
    assert_eq!(find(&before_opt), Err(WireError::TsigPlace));
    let mut twice = [&message, &message[UPDATE.len()..]].concat();
    twice[11] = 2;
    assert_eq!(find(&twice), Err(WireError::TsigPlace));
    let mut in_authority = message.clone();
    (in_authority[9], in_authority[11]) = (2, 0);
    assert_eq!(find(&in_authority), Err(WireError::TsigPlace));
    let trailing = [&message, &[0][..]].concat();
    assert_eq!(find(&trailing), Err(WireError::Trailing { octets: 1 }));

    let owner_end = UPDATE.len() + 10;
    let rdata = owner_end + 10;
    // Class IN; a TTL; Other Len over and under what follows; a MAC past the end; a compressed algorithm.
    let other_len = message.len() - 1;
    let broken = [(owner_end + 3, 1), (owner_end + 7, 1), (other_len, 1), (rdata + 21, 0xff), (rdata, 0xc0)];
    for (at, octet) in broken {
        let mut message = message.clone();
        message[at] = octet;
        assert_eq!(find(&message), Err(WireError::BadTsig), "octet {at}");
    }
}

#[test]
fn an_owner_may_be_compressed() {
    let key = Arc::new(Key::new(&named("Pool.Example."), Algorithm::HmacSha256, &SECRET).unwrap());
    let message = signed(&key);
    let (update, tsig) = message.split_at(UPDATE.len());
    let compressed = [update, b"\xc0\x0c", &tsig[key.name().len()..]].concat();
    assert!(verifies(&compressed, &key));
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
