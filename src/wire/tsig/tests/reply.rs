//! RFC 8945 section 5.4: replies to what we signed, from `domain` as server and from our own.

use domain::base::MessageBuilder;

use super::*;

/// The UPDATE signed by `key`, and its MAC.
fn asked(key: &Key) -> (Vec<u8>, Vec<u8>) {
    let mut message = UPDATE.to_vec();
    let mac = sign_request(&mut message, key, NOW_S, 300);
    (message, mac)
}

/// The reply of `domain`, whose clock says `server_s`, to a signed request.
fn reference_reply(request: &[u8], theirs: reference::Key, server_s: u64) -> Vec<u8> {
    let mut message = Message::from_octets(request.to_vec()).unwrap();
    let plain = message.clone();
    let now = Time48::from_u64(server_s);
    match ServerTransaction::request(&theirs, &mut message, now) {
        Ok(server) => {
            let builder = MessageBuilder::new_vec().start_answer(&message, Rcode::REFUSED).unwrap();
            let mut builder = builder.additional();
            server.unwrap().answer(&mut builder, now).unwrap();
            builder.finish()
        }
        Err(error) => error.build_message(&plain, MessageBuilder::new_vec()).unwrap().finish(),
    }
}

/// Our own server's.
fn own_reply(request: &[u8], key: &Arc<Key>, now_s: u64) -> Vec<u8> {
    match judged(request, Some(key), now_s) {
        Ok(signer) => {
            let mut reply = NOERROR_REPLY.to_vec();
            signer.sign(&mut reply, now_s);
            reply
        }
        Err(failure) => error_reply(&failure, now_s),
    }
}

fn told(error: TsigRcode) -> Result<(), ReplyFailure> {
    Err(ReplyFailure::Told { error, server_s: None, client_s: NOW_S })
}

#[test]
fn what_domain_replies_is_believed_until_an_octet_of_it_changes() {
    for (algorithm, theirs) in REFERENCE {
        let key = key(algorithm);
        let (request, mac) = asked(&key);
        let reply = reference_reply(&request, reference_key(theirs), NOW_S + 7);
        assert_eq!(verify_reply(&reply, &key, &mac, NOW_S + 307), Ok(()), "{algorithm}");
        let late = ReplyFailure::BadTime { server_s: NOW_S + 7, client_s: NOW_S + 308 };
        assert_eq!(verify_reply(&reply, &key, &mac, NOW_S + 308), Err(late));
        for at in 2..reply.len() {
            let mut changed = reply.clone();
            changed[at] ^= 1;
            // Names are compared without case.
            if !changed.eq_ignore_ascii_case(&reply) {
                assert!(verify_reply(&changed, &key, &mac, NOW_S).is_err(), "{algorithm}, octet {at}");
            }
            assert!(verify_reply(&reply[..at], &key, &mac, NOW_S).is_err(), "{algorithm}, cut at {at}");
        }
        let other_mac = vec![0; mac.len()];
        assert_eq!(
            verify_reply(&reply, &key, &other_mac, NOW_S),
            Err(ReplyFailure::BadSig),
            "another request's"
        );
    }
}

#[test]
fn domain_says_what_was_wrong_with_the_signature() {
    let (request, mac) = asked(&beat());
    let judge = |theirs: reference::Key| {
        verify_reply(&reference_reply(&request, theirs, NOW_S), &beat(), &mac, NOW_S)
    };
    let named = |name: &str, secret: &[u8]| {
        reference::Key::new(reference::Algorithm::Sha256, secret, name.parse().unwrap(), None, None).unwrap()
    };
    assert_eq!(judge(named("other.lab.", &SECRET)), told(TsigRcode::BADKEY));
    // 0.12.3 says FORMERR there, where RFC 8945 section 5.2.2 has BADSIG.
    assert_eq!(judge(named("beat.lab.", &[7; 32])), told(TsigRcode::FORMERR));
    assert_eq!(judge(named("beat.lab.", &SECRET)), Ok(()));
}

#[test]
fn our_own_server_is_understood_too() {
    let (request, mac) = asked(&beat());
    let judge = |key: &Arc<Key>, server_s: u64, client_s: u64| {
        verify_reply(&own_reply(&request, key, server_s), &beat(), &mac, client_s)
    };
    assert_eq!(judge(&beat(), NOW_S + 300, NOW_S + 300), Ok(()));
    assert_eq!(judge(&key(Algorithm::HmacSha512), NOW_S, NOW_S), told(TsigRcode::BADKEY));
    let wrong = Arc::new(Key::new(&named("beat.lab."), Algorithm::HmacSha256, &[7; 32]).unwrap());
    assert_eq!(judge(&wrong, NOW_S, NOW_S), told(TsigRcode::BADSIG));
    // The clock that is wrong may be ours, as far as it likes: the reply says what theirs is.
    let server_s = NOW_S + (1 << 33);
    let failure = ReplyFailure::Told { error: TsigRcode::BADTIME, server_s: Some(server_s), client_s: NOW_S };
    let text =
        "the server did not accept the signature (BADTIME), for its clock is 8589934592 s ahead of ours";
    assert_eq!(failure.to_string(), text);
    assert_eq!(judge(&beat(), server_s, NOW_S), Err(failure));
}

#[test]
fn truncation_is_as_the_key_has_it() {
    let cut = rfc8945::policy("hmac-sha256-128").unwrap();
    let (request, mac) = asked(&cut);
    assert_eq!(mac.len(), 16);
    let reply = own_reply(&request, &cut, NOW_S);
    assert_eq!(verify_reply(&reply, &cut, &mac, NOW_S), Ok(()));
    let failure = ReplyFailure::BadTrunc { octets: 16, octets_min: 32 };
    assert_eq!(verify_reply(&reply, &beat(), &mac, NOW_S), Err(failure));
    // A server that wants all of it, asked for less.
    assert_eq!(
        verify_reply(&own_reply(&request, &beat(), NOW_S), &cut, &mac, NOW_S),
        told(TsigRcode::BADTRUNC)
    );
}

#[test]
fn what_anybody_could_say_is_not_believed() {
    let (request, mac) = asked(&beat());
    let judge = |reply: &[u8]| verify_reply(reply, &beat(), &mac, NOW_S);
    assert_eq!(judge(NOERROR_REPLY), Err(ReplyFailure::Unsigned));
    assert_eq!(judge(NOTAUTH_REPLY), Err(ReplyFailure::Unsigned));
    assert_eq!(judge(&[0; 5]), Err(ReplyFailure::Wire(crate::wire::WireError::Short { at: 5 })));
    let with = |name: &str, algorithm: Algorithm, error, mac: &[u8]| {
        let mut reply = NOERROR_REPLY.to_vec();
        let variables = Variables { time_signed_s: NOW_S, fudge_s: 300, error, other: &[] };
        append(&mut reply, &named(name), algorithm.wire(), &variables, mac);
        judge(&reply)
    };
    let sha256 = Algorithm::HmacSha256;
    assert_eq!(with("beat.lab.", sha256, TsigRcode::NOERROR, &[]), Err(ReplyFailure::Unsigned));
    for error in [TsigRcode::NOERROR, TsigRcode::BADTIME, TsigRcode::BADTRUNC] {
        assert_eq!(with("beat.lab.", sha256, error, &[0; 32]), Err(ReplyFailure::BadSig), "{error}");
    }
    for octets in [1, 15, 33] {
        let mac = vec![0; octets];
        assert_eq!(
            with("beat.lab.", sha256, TsigRcode::NOERROR, &mac),
            Err(ReplyFailure::BadSig),
            "{octets}"
        );
    }
    for (name, algorithm) in [("eve.lab.", sha256), ("beat.lab.", Algorithm::HmacSha512)] {
        let failure = with(name, algorithm, TsigRcode::NOERROR, &[0; 64]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!("the reply is signed with {name} ({algorithm}.), and not as the request was")
        );
    }
    // Our own request, sent back.
    assert_eq!(judge(&request), Err(ReplyFailure::BadSig));
}
