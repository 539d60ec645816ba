//! RFC 8945 section 5 as a table: a row a rule, with a message, what is said of it, and the TSIG of the reply. Section 5.1
//! is the client's, section 5.3.1 in `sequence`. Every signed reply's MAC is computed a second time here, from the
//! components as the RFC lists them.

use ring::hmac;

use super::*;

/// The UPDATE signed by `beat`, with a MAC of this many octets: cut, or with zeros after it.
pub fn with_mac_of(octets: usize, time_signed_s: u64) -> Vec<u8> {
    let mut mac = sign_request(&mut UPDATE.to_vec(), &beat(), time_signed_s, 300);
    mac.resize(octets, 0);
    with_mac(&mac, time_signed_s)
}

fn with_mac(mac: &[u8], time_signed_s: u64) -> Vec<u8> {
    let mut message = UPDATE.to_vec();
    let variables = Variables { time_signed_s, fudge_s: 300, error: TsigRcode::NOERROR, other: &[] };
    append(&mut message, beat().name(), Algorithm::HmacSha256.wire(), &variables, mac);
    message
}

/// The signed UPDATE with these octets in these places.
fn patched(places: &[(usize, u8)]) -> Vec<u8> {
    let mut message = signed(&beat());
    places.iter().for_each(|&(at, octet)| message[at] = octet);
    message
}

/// The signed UPDATE with another record after its TSIG.
fn followed_by(record: &[u8]) -> Vec<u8> {
    [patched(&[(11, 2)]).as_slice(), record].concat()
}

pub fn policy(text: &str) -> Option<Arc<Key>> {
    Some(key(text.parse::<MacPolicy>().unwrap()))
}

/// Section, rule, request, the server's key of that name, its time relative to the client's, what is said, and the TSIG
/// of the reply.
type Row = (&'static str, &'static str, Vec<u8>, Option<Arc<Key>>, i64, &'static str, &'static str);

/// Where the TSIG's parts are in the signed UPDATE.
const OWNER: usize = UPDATE.len();
const CLASS: usize = OWNER + 12;
const TTL: usize = CLASS + 2;
const RDATA: usize = TTL + 6;
const MAC_SIZE: usize = RDATA + 13 + 8;
const OTHER_LEN: usize = MAC_SIZE + 2 + 32 + 4;

fn placed() -> Vec<Row> {
    let tsig = signed(&beat())[OWNER..].to_vec();
    let (place, bad) = ("TSIG is not the last record, or there are two", "bad TSIG record");
    let row = |section, rule, message, says| (section, rule, message, Some(beat()), 0, says, "none");
    vec![
        row("5.1", "an unsigned message has none", UPDATE.to_vec(), "no TSIG"),
        row("5.1", "last, in the additional section", patched(&[(9, 2), (11, 0)]), place),
        row("5.2", "an OPT after it", followed_by(OPT), place),
        row("5.2", "twice", followed_by(&tsig), place),
        row(
            "5.2",
            "an octet after it",
            [signed(&beat()), vec![0]].concat(),
            "1 octets after the last record",
        ),
        row("4.2", "class ANY", patched(&[(CLASS + 1, 1)]), bad),
        row("4.2", "TTL 0", patched(&[(TTL + 3, 1)]), bad),
        row("4.2", "no compression of the algorithm", patched(&[(RDATA, 0xc0)]), bad),
        row("4.2", "a MAC that ends in the record", patched(&[(MAC_SIZE + 1, 0xff)]), bad),
        row("4.2", "Other Data that ends with the record", patched(&[(OTHER_LEN + 1, 1)]), bad),
    ]
}

fn keys() -> Vec<Row> {
    let sha512 = Some(key(Algorithm::HmacSha512));
    let lab = Some(Arc::new(Key::new(&named("lab."), Algorithm::HmacSha256, &SECRET).unwrap()));
    let md5 = patched(&[(RDATA + 6, b'm'), (RDATA + 7, b'd'), (RDATA + 8, b'5')]);
    let mut upper = signed(&beat());
    [OWNER..OWNER + 10, RDATA..RDATA + 13].into_iter().for_each(|name| upper[name].make_ascii_uppercase());
    let unknown =
        "BADKEY: no key beat.lab. (hmac-sha256.) on this server; check the name, or give the server this key";
    vec![
        ("5.2.1", "unknown key", signed(&beat()), None, 0, unknown, "BADKEY(17) unsigned at 0"),
        (
            "5.2.1",
            "a key of another name is no help",
            signed(&beat()),
            lab,
            0,
            unknown,
            "BADKEY(17) unsigned at 0",
        ),
        (
            "5.2.1",
            "the key is for another algorithm",
            signed(&beat()),
            sha512,
            5,
            "BADKEY: key beat.lab. (hmac-sha512) does not take what is signed with hmac-sha256.; sign with the algorithm of the key",
            "BADKEY(17) unsigned at 5",
        ),
        (
            "5.2.1",
            "an algorithm that is not spoken",
            md5,
            Some(beat()),
            0,
            "BADKEY: key beat.lab. (hmac-sha256) does not take what is signed with hmac-md5256.; sign with the algorithm of the key",
            "BADKEY(17) unsigned at 0",
        ),
        (
            "5.2.1",
            "the key comes before the MAC's length",
            with_mac_of(9, NOW_S),
            None,
            0,
            unknown,
            "BADKEY(17) unsigned at 0",
        ),
        (
            "4.3.3",
            "names without regard to case",
            upper,
            Some(beat()),
            0,
            "accepted",
            "NOERROR(0), MAC of 32 at 0",
        ),
    ]
}

fn macs() -> Vec<Row> {
    let forged = "BADSIG: key beat.lab. (hmac-sha256): the MAC does not match";
    let mut cut = with_mac_of(16, NOW_S);
    cut[13] ^= 1;
    let other_secret =
        Some(Arc::new(Key::new(&named("beat.lab."), Algorithm::HmacSha256, b"guess").unwrap()));
    let row = |rule, message, says, reply| ("5.2.2", rule, message, Some(beat()), 0, says, reply);
    vec![
        ("5.2.2", "another secret", signed(&beat()), other_secret, 0, forged, "BADSIG(16) unsigned at 0"),
        row("another RCODE", patched(&[(3, 1)]), forged, "BADSIG(16) unsigned at 0"),
        row("another fudge", patched(&[(MAC_SIZE - 1, 0)]), forged, "BADSIG(16) unsigned at 0"),
        row("a zone that was not signed", patched(&[(13, b'P')]), forged, "BADSIG(16) unsigned at 0"),
        row("a truncated MAC is checked as far as it goes", cut, forged, "BADSIG(16) unsigned at 0"),
        (
            "5.2.2",
            "the MAC comes before the time",
            patched(&[(13, b'P')]),
            Some(beat()),
            999,
            forged,
            "BADSIG(16) unsigned at 999",
        ),
        (
            "5.5",
            "a forwarder's id",
            patched(&[(0, 0xff)]),
            Some(beat()),
            0,
            "accepted",
            "NOERROR(0), MAC of 32 at 0",
        ),
    ]
}

fn lengths() -> Vec<Row> {
    let sent = |octets| with_mac_of(octets, NOW_S);
    let malformed = |octets, says| {
        ("5.2.2.1", "outside the RFC's bounds", sent(octets), policy("hmac-sha256-128"), 999, says, "none")
    };
    let row = |rule, octets, text, says, reply| ("5.2.4", rule, sent(octets), policy(text), 0, says, reply);
    let cut_to_31 = "BADTRUNC: key beat.lab. (hmac-sha256): a MAC cut to 31 octets, not 32 or more";
    let cut_to_23 = "BADTRUNC: key beat.lab. (hmac-sha256-192): a MAC cut to 23 octets, not 24 or more";
    vec![
        malformed(0, "FORMERR: key beat.lab. (hmac-sha256-128): a MAC of 0 octets, not 16 to 32"),
        malformed(15, "FORMERR: key beat.lab. (hmac-sha256-128): a MAC of 15 octets, not 16 to 32"),
        malformed(33, "FORMERR: key beat.lab. (hmac-sha256-128): a MAC of 33 octets, not 16 to 32"),
        row(
            "a key without bits takes whole MACs",
            31,
            "hmac-sha256",
            cut_to_31,
            "BADTRUNC(22), MAC of 32 at 0",
        ),
        row(
            "one octet under the key's own",
            23,
            "hmac-sha256-192",
            cut_to_23,
            "BADTRUNC(22), MAC of 24 at 0",
        ),
        row(
            "the key's own, and the same back",
            24,
            "hmac-sha256-192",
            "accepted",
            "NOERROR(0), MAC of 24 at 0",
        ),
        row("the RFC's floor", 16, "hmac-sha256-128", "accepted", "NOERROR(0), MAC of 16 at 0"),
        row(
            "a longer one, and as long back",
            20,
            "hmac-sha256-128",
            "accepted",
            "NOERROR(0), MAC of 20 at 0",
        ),
        row(
            "the whole one, and the whole back",
            32,
            "hmac-sha256-128",
            "accepted",
            "NOERROR(0), MAC of 32 at 0",
        ),
        (
            "5.2.4",
            "the time comes before truncation",
            sent(16),
            Some(beat()),
            301,
            "BADTIME: key beat.lab. (hmac-sha256): signed at 1700000000, 301 s behind our clock; 300 s are allowed",
            "BADTIME(18), MAC of 32 at 0, other 301",
        ),
    ]
}

fn times() -> Vec<Row> {
    let behind = "BADTIME: key beat.lab. (hmac-sha256): signed at 1700000000, 301 s behind our clock; 300 s are allowed";
    let ahead = "BADTIME: key beat.lab. (hmac-sha256): signed at 1700000000, 301 s ahead of our clock; 300 s are allowed";
    let never =
        "BADTIME: key beat.lab. (hmac-sha256): signed at 0, 1700000000 s behind our clock; 300 s are allowed";
    let row =
        |rule, later_s, says, reply| ("5.2.3", rule, signed(&beat()), Some(beat()), later_s, says, reply);
    let (to_1970, last_s) = (-(NOW_S as i64), (1 << 48) - 1);
    vec![
        row("a client as late as its fudge", 300, "accepted", "NOERROR(0), MAC of 32 at 300"),
        row("a second later", 301, behind, "BADTIME(18), MAC of 32 at 0, other 301"),
        row("a client as early as its fudge", -300, "accepted", "NOERROR(0), MAC of 32 at -300"),
        row("a second earlier", -301, ahead, "BADTIME(18), MAC of 32 at 0, other -301"),
        (
            "5.2.3",
            "a fudge that begins before 1970",
            with_mac_of(32, 0),
            Some(beat()),
            to_1970 + 300,
            "accepted",
            "NOERROR(0), MAC of 32 at -1699999700",
        ),
        (
            "5.2.3",
            "a client in 1970",
            with_mac_of(32, 0),
            Some(beat()),
            0,
            never,
            "BADTIME(18), MAC of 32 at -1700000000, other 0",
        ),
        (
            "5.2.3",
            "the last second of 48 bits",
            with_mac_of(32, last_s),
            Some(beat()),
            to_1970 + last_s as i64,
            "accepted",
            "NOERROR(0), MAC of 32 at 281473276710655",
        ),
    ]
}

/// The MAC of a reply, from the components that sections 4.3 and 5.3 list.
fn mac_of_reply(request_mac: &[u8], reply: &[u8], tsig: &TsigRecord<'_>) -> Vec<u8> {
    let mut unsigned = reply[..tsig.start].to_vec();
    unsigned[..2].copy_from_slice(&tsig.original_id.to_be_bytes());
    unsigned[11] -= 1;
    let digested = [
        &(request_mac.len() as u16).to_be_bytes()[..],
        request_mac,
        &unsigned,
        b"\x04beat\x03lab\x00\x00\xff\x00\x00\x00\x00\x0bhmac-sha256\x00",
        &tsig.time_signed_s.to_be_bytes()[2..],
        &tsig.fudge_s.to_be_bytes(),
        &tsig.error.to_int().to_be_bytes(),
        &(tsig.other.len() as u16).to_be_bytes(),
        tsig.other,
    ]
    .concat();
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), &digested).as_ref().to_vec()
}

/// The reply's TSIG in words, its times relative to the client's. The reply is held against the announced length, and its
/// MAC against the request's.
fn told(request: &[u8], reply: &[u8], announced: usize) -> String {
    assert_eq!(reply.len(), NOTAUTH_REPLY.len() + announced, "what a reply keeps free");
    let Some(tsig) = TsigRecord::find(reply).unwrap() else { return "none".into() };
    let asked = TsigRecord::find(request).unwrap().unwrap();
    assert_eq!((tsig.key_name, tsig.original_id), (asked.key_name, 0x1234));
    assert!(tsig.algorithm.name_eq(asked.algorithm));
    let at = tsig.time_signed_s as i64 - NOW_S as i64;
    if tsig.mac.is_empty() {
        assert!(tsig.other.is_empty());
        return format!("{} unsigned at {at}", tsig.error);
    }
    let tsig = TsigRecord::find(reply).unwrap().unwrap();
    assert_eq!(tsig.mac, &mac_of_reply(asked.mac, reply, &tsig)[..tsig.mac.len()], "the MAC of the reply");
    assert_eq!(tsig.fudge_s, 300);
    let mut text = format!("{}, MAC of {} at {at}", tsig.error, tsig.mac.len());
    if let Some(octets) = tsig.other.first_chunk::<6>() {
        let [a, b, c, d, e, f] = *octets;
        let server_s = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        text += &format!(", other {}", server_s as i64 - NOW_S as i64);
    }
    text
}

#[test]
fn section_5() {
    for (section, rule, request, key, later_s, says, answered) in
        [placed(), keys(), macs(), lengths(), times()].into_iter().flatten()
    {
        let now_s = NOW_S.saturating_add_signed(later_s);
        let found = TsigRecord::find(&request);
        let (said, reply) = match &found {
            Err(error) => (error.to_string(), "none".to_owned()),
            Ok(None) => ("no TSIG".to_owned(), "none".to_owned()),
            Ok(Some(tsig)) => match verify(&request, tsig, key.as_ref(), now_s) {
                Ok(signer) => {
                    let mut reply = NOERROR_REPLY.to_vec();
                    signer.sign(&mut reply, now_s);
                    assert_eq!((signer.time_signed_s(), signer.fudge_s()), (tsig.time_signed_s, 300));
                    ("accepted".to_owned(), told(&request, &reply, signer.tsig_len()))
                }
                Err(failure) => {
                    let is_malformed = failure.to_string().starts_with("FORMERR");
                    let rcode = if is_malformed { Rcode::FORMERR } else { Rcode::NOTAUTH };
                    assert_eq!(failure.rcode(), rcode, "{section} {rule}");
                    let reply = error_reply(&failure, now_s);
                    (failure.to_string(), told(&request, &reply, failure.tsig_len()))
                }
            },
        };
        assert_eq!((said.as_str(), reply.as_str()), (says, answered), "{section}: {rule}");
    }
}

#[test]
fn a_replay_is_badtime_and_says_so() {
    let request = signed(&beat());
    let signer = judged(&request, Some(&beat()), NOW_S + 60).unwrap();
    let failure = TsigFailure::replayed(signer, NOW_S + 50, NOW_S + 60);
    let text = "BADTIME: key beat.lab. (hmac-sha256): signed at 1700000000, 50 s before the newest message accepted: a \
                replay, or a clock set back; sign it anew";
    assert_eq!((failure.rcode(), failure.to_string().as_str()), (Rcode::NOTAUTH, text));
    // Long after: what it says is what was true when it was judged.
    let reply = error_reply(&failure, NOW_S + 99);
    assert_eq!(told(&request, &reply, failure.tsig_len()), "BADTIME(18), MAC of 32 at 0, other 60");
}

/// Section 5.5: whoever forwards changes the id both ways; the id that was signed is in the record.
#[test]
fn a_reply_that_was_forwarded_still_verifies() {
    let (request, client) = reference_request(reference_key(reference::Algorithm::Sha256), NOW_S);
    let forwarded = [&[0xab, 0xcd], &request[2..]].concat();
    let signer = judged(&forwarded, Some(&beat()), NOW_S).unwrap();
    let mut reply = [&[0xab, 0xcd], &NOERROR_REPLY[2..]].concat();
    signer.sign(&mut reply, NOW_S);
    reply[..2].copy_from_slice(&request[..2]);
    reference_judges(&client, reply, NOW_S).unwrap();
}

#[test]
fn every_bit_but_case_and_id_counts() {
    let message = signed(&beat());
    let names = [OWNER..OWNER + 10, RDATA..RDATA + 13];
    for at in 0..message.len() {
        for bit in (0..8).map(|bit| 1 << bit) {
            let mut flipped = message.clone();
            flipped[at] ^= bit;
            let in_name = names.iter().any(|name| name.contains(&at));
            let case = in_name && bit == 0x20 && message[at].is_ascii_alphabetic();
            assert_eq!(verifies(&flipped, &beat()), at < 2 || case, "octet {at}, bit {bit:#x}");
        }
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
