//! A reply that has to be shorter after it was written.

use super::{FLAG_TC, HEADER_LEN, Header, Rtype, read_record, skip_name};

/// Cuts a reply of ours to what a truncated one must have: its header, question and OPT (RFC 6891 section 7), with TC set.
/// Returns its new length; `None` if it gets no shorter, or is signed, for then the signature would not hold.
pub fn cut(reply: &mut [u8]) -> Option<usize> {
    let mut header = Header::read(reply)?;
    let [questions, records @ ..] = header.counts;
    let mut end = HEADER_LEN;
    for _ in 0..questions {
        end = skip_name(reply, end).ok()? + 4;
    }
    let mut at = end;
    let mut opt = None;
    for _ in 0..records.into_iter().map(u32::from).sum::<u32>() {
        let record = read_record(reply, at).ok()?;
        at = record.end();
        match record.rtype {
            Rtype::OPT => opt = Some(record.start..at),
            Rtype::TSIG => return None,
            _ => {}
        }
    }
    header.flags |= FLAG_TC;
    header.counts = [questions, 0, 0, u16::from(opt.is_some())];
    let len = end + opt.as_ref().map_or(0, |opt| opt.len());
    if len >= reply.len() {
        return None;
    }
    if let Some(opt) = opt {
        reply.copy_within(opt, end);
    }
    reply.get_mut(..HEADER_LEN)?.copy_from_slice(&header.octets());
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x03web\x04test\x00\x00\x10\x00\x01";
    const ANSWER: &[u8] = b"\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x05\x00\x04\x03abc";
    const OPT: &[u8] = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x06\x00\x03\x00\x02ns";

    /// A reply with QR and AA.
    fn reply(counts: [u8; 4], parts: &[&[u8]]) -> Vec<u8> {
        let mut octets = vec![1, 2, 0x84, 0];
        counts.iter().for_each(|count| octets.extend_from_slice(&[0, *count]));
        parts.iter().for_each(|part| octets.extend_from_slice(part));
        octets
    }

    #[test]
    fn header_question_and_opt_stay() {
        for (counts, parts, wanted) in [
            ([1, 2, 0, 0], &[QUESTION, ANSWER, ANSWER][..], ([1, 0, 0, 0], &[QUESTION][..])),
            ([1, 1, 1, 2], &[QUESTION, ANSWER, ANSWER, ANSWER, OPT], ([1, 0, 0, 1], &[QUESTION, OPT])),
            ([1, 0, 0, 2], &[QUESTION, OPT, ANSWER], ([1, 0, 0, 1], &[QUESTION, OPT])),
        ] {
            let mut octets = reply(counts, parts);
            let len = cut(&mut octets).unwrap();
            let mut wanted = reply(wanted.0, wanted.1);
            wanted[2] |= 0x02;
            assert_eq!(octets[..len], wanted);
            assert_eq!(cut(&mut octets[..len]), None, "a second time");
        }
    }

    #[test]
    fn what_gets_no_shorter_is_signed_or_is_no_message_stays_as_it_is() {
        let tsig = b"\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00";
        let whole = reply([1, 1, 0, 0], &[QUESTION, ANSWER]);
        for octets in [
            reply([1, 0, 0, 1], &[QUESTION, OPT]),
            reply([1, 1, 0, 1], &[QUESTION, ANSWER, tsig]),
            reply([1, 2, 0, 0], &[QUESTION, ANSWER]),
            whole[..whole.len() - 1].to_vec(),
            whole[..11].to_vec(),
            Vec::new(),
        ] {
            let mut same = octets.clone();
            assert_eq!((cut(&mut same), same), (None, octets));
        }
    }
}
