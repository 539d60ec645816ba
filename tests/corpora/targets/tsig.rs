//! Any message where a TSIG is looked for, verified and answered.

use std::sync::Arc;

use rollcall::wire::tsig::{Algorithm, Key, TsigFailure, TsigRecord, sign_request, verify};

use super::{WALL_S, beat, key};

/// The target.
pub fn run(message: &[u8]) {
    let Ok(found) = TsigRecord::find(message) else { return };
    if let Some(record) = &found {
        assert!(record.start >= 12 && record.start < message.len());
        judge(message, record, None);
        judge(message, record, Some(beat()));
        // A key of the very name and algorithm, so that the MAC's length, the MAC and the time are looked at.
        if let Some(algorithm) = Algorithm::from_wire(record.algorithm.as_slice()) {
            judge(message, record, Some(&Arc::new(Key::new(&record.key_name, algorithm, b"?").unwrap())));
        }
    }
    // Whatever is whole and unsigned can be signed, and is then what it was signed as.
    if found.is_none() && message[10..12] != [0xFF, 0xFF] {
        for algorithm in Algorithm::ALL {
            let key = Arc::new(key(algorithm));
            let mut signed = message.to_vec();
            let mac = sign_request(&mut signed, &key, WALL_S, 300);
            let record = TsigRecord::find(&signed).unwrap().expect("the TSIG that was appended");
            assert_eq!((record.start, record.mac), (message.len(), &mac[..]));
            let signer = verify(&signed, &record, Some(&key), WALL_S + 300).expect("our own signature");
            check_signed(message, signer.tsig_len(), |reply| signer.sign(reply, WALL_S));
            let late = verify(&signed, &record, Some(&key), WALL_S + 301);
            assert!(matches!(late, Err(TsigFailure::BadTime { .. })), "a second too late");
        }
    }
}

fn judge(message: &[u8], record: &TsigRecord<'_>, key: Option<&Arc<Key>>) {
    for now_s in [0, record.time_signed_s, WALL_S, u64::MAX] {
        match verify(message, record, key, now_s) {
            Ok(signer) => {
                assert!(now_s.abs_diff(record.time_signed_s) <= u64::from(record.fudge_s), "in time");
                check_signed(&message[..12], signer.tsig_len(), |reply| signer.sign(reply, now_s));
            }
            Err(failure) => {
                assert!(!failure.to_string().is_empty());
                check_signed(&message[..12], failure.tsig_len(), |reply| failure.append(reply, now_s));
            }
        }
    }
}

/// What is appended has the length that was announced, and can be found again unless it is nothing.
fn check_signed(message: &[u8], announced: usize, append: impl Fn(&mut Vec<u8>)) {
    let mut reply = message[..12].to_vec();
    reply[4..12].fill(0);
    append(&mut reply);
    assert_eq!(reply.len(), 12 + announced, "the length that a reply keeps free");
    let found = TsigRecord::find(&reply).expect("a whole reply");
    assert_eq!(found.is_some(), announced > 0);
}
