//! Responses of several messages (RFC 8945 section 5.3.1), against dnspython, `domain` and the components as the RFC lists
//! them.

use domain::tsig::ClientSequence;
use ring::hmac;

use super::*;

#[test]
fn a_sequence_runs_over_the_mac_before() {
    let macs = [
        "c57ec0135df8d2515050ce08571a86e8f194bb15d38892c10cc7506e",
        "de63ac0531bcdca46619d1077be6e6c4c9c4a5272978c7ba15f7787e",
        "d3210ba67c1b5ccb7f901128b253d1b507fc2c4a8583a5511164e8db",
    ];
    let key = key(Algorithm::HmacSha224);
    let mut sequence = SequenceSigner::new(judged(&signed(&key), Some(&key), NOW_S).unwrap());
    for (later_s, wanted) in (1..).zip(macs) {
        let mut short = vec![0; 11];
        sequence.sign(&mut short, NOW_S);
        assert_eq!(short, [0; 11], "no header, no part of it");
        let mut message = NOERROR_REPLY.to_vec();
        sequence.sign(&mut message, NOW_S + later_s);
        assert_eq!(TsigRecord::find(&message).unwrap().unwrap().mac, octets(wanted), "message {later_s}");
    }
}

/// A key's truncation goes for every message of a sequence, and what is hashed in is the MAC as it was sent.
#[test]
fn a_sequence_may_be_truncated() {
    let key = rfc8945::policy("hmac-sha256-128").unwrap();
    let mut sequence = SequenceSigner::new(judged(&signed(&key), Some(&key), NOW_S).unwrap());
    let (mut first, mut second) = (NOERROR_REPLY.to_vec(), NOERROR_REPLY.to_vec());
    sequence.sign(&mut first, NOW_S);
    sequence.sign(&mut second, NOW_S + 1);
    let prior = TsigRecord::find(&first).unwrap().unwrap().mac;
    assert_eq!(prior.len(), 16);
    let timers = [&(NOW_S + 1).to_be_bytes()[2..], &[0x01, 0x2c]].concat();
    let digested = [&[0, 16], prior, NOERROR_REPLY, &timers].concat();
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), &digested);
    assert_eq!(TsigRecord::find(&second).unwrap().unwrap().mac, &mac.as_ref()[..16]);
}

#[test]
fn domain_follows_a_sequence_and_misses_nothing_in_it() {
    let mut question = MessageBuilder::new_vec().question();
    question.header_mut().set_id(0x1234);
    question.push((named("pool.example."), Rtype::AXFR)).unwrap();
    for (algorithm, theirs) in REFERENCE {
        let mut message = question.clone().additional();
        let now = Time48::from_u64(NOW_S);
        let client = ClientSequence::request(reference_key(theirs), &mut message, now).unwrap();
        let signer = judged(&message.finish(), Some(&key(algorithm)), NOW_S).unwrap();
        let mut sequence = SequenceSigner::new(signer);
        let messages = [1, 2, 3, 4].map(|number| {
            let mut message = [NOERROR_REPLY, &[0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 1, number]].concat();
            message[7] = 1;
            let unsigned = message.len();
            sequence.sign(&mut message, NOW_S + u64::from(number));
            assert_eq!(message.len(), unsigned + sequence.tsig_len());
            message
        });
        // Which of them arrive, and how many are taken.
        for (order, taken) in
            [(&[0, 1, 2, 3][..], 4), (&[0, 2, 3], 1), (&[0, 1, 1], 2), (&[0, 2, 1], 1), (&[1], 0)]
        {
            let mut client = client.clone();
            let judge = |&&at: &&usize| {
                let mut message = Message::from_octets(messages[at].clone()).unwrap();
                client.answer(&mut message, Time48::from_u64(NOW_S + 4)).is_ok()
            };
            assert_eq!(order.iter().take_while(judge).count(), taken, "{algorithm} {order:?}");
        }
    }
}
