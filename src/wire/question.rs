//! Reading a question: the one message shape that must be fast (RFC 1035 section 4.1.2).

use super::{
    Class, Edns, HEADER_LEN, Header, NameHasher, NameKey, Opcode, Rcode, Rtype, WireError, read_record,
    u16_at,
};

/// A question as read from a message. Reused: a worker keeps one a batch place.
pub struct Question {
    /// The message's header.
    pub header: Header,
    /// QNAME as a lookup key; the octets as sent are `message[12..end - 4]`.
    pub name: NameKey,
    /// QTYPE.
    pub qtype: Rtype,
    /// QCLASS.
    pub qclass: Class,
    /// Where the octets after the question section start; `HEADER_LEN` when no question could be read.
    pub end: usize,
    /// The OPT record, if there was one.
    pub edns: Option<Edns>,
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// An unsigned question: answer it here and now.
    Question,
    /// An UPDATE, or a message with a TSIG: the registrar's work.
    Registrar,
    /// No question, but a COOKIE option: the client wants a server cookie, or its own confirmed (RFC 7873 section 5.4).
    Cookie,
    /// A reply that is a header with this RCODE, and an OPT if the message had one that could be read.
    Reply(Rcode),
    /// No reply: a response, or too short to have a header.
    Silence,
}

impl Default for Question {
    fn default() -> Self {
        Question {
            header: Header::default(),
            name: NameKey::default(),
            qtype: Rtype::A,
            qclass: Class::IN,
            end: HEADER_LEN,
            edns: None,
        }
    }
}

impl Question {
    /// Reads `message`, in the order in which cheap refusals come first. Allocates nothing.
    pub fn read(&mut self, message: &[u8], hasher: &NameHasher) -> Reading {
        self.edns = None;
        self.end = HEADER_LEN;
        let Some(header) = Header::read(message) else { return Reading::Silence };
        self.header = header;
        if header.is_response() {
            return Reading::Silence;
        }
        match header.opcode() {
            Opcode::QUERY => {}
            Opcode::UPDATE => return Reading::Registrar,
            _ => {
                // Read all the same, for the OPT: whoever sends one gets one (RFC 6891 section 6.1.1).
                if header.counts[0] == 1 {
                    _ = self.read_sections(message, hasher);
                }
                return Reading::Reply(Rcode::NOTIMP);
            }
        }
        // RFC 9619: a QUERY has exactly one question, or none and a COOKIE option.
        let reading = match header.counts[0] {
            0 => self.read_records(message, HEADER_LEN).map(|reading| match reading {
                Reading::Question if self.has_cookie() => Reading::Cookie,
                Reading::Question => Reading::Reply(Rcode::FORMERR),
                reading => reading,
            }),
            1 => self.read_sections(message, hasher),
            _ => return Reading::Reply(Rcode::FORMERR),
        };
        reading.unwrap_or(Reading::Reply(Rcode::FORMERR))
    }

    /// Whether what is answered may depend on who asks: its cookie does, and so does what a pool says of its members.
    pub fn depends_on_client(&self) -> bool {
        self.has_cookie() || matches!(self.qtype, Rtype::TXT | Rtype::ANY)
    }

    /// Whether the message has a COOKIE option: then the reply has one, and the client's address is needed to make it.
    pub fn has_cookie(&self) -> bool {
        self.edns.as_ref().is_some_and(Edns::has_cookie)
    }

    /// Whether the client asks how long its connection may be idle (RFC 7828).
    pub fn wants_keepalive(&self) -> bool {
        self.edns.as_ref().is_some_and(|edns| edns.wants_keepalive)
    }

    fn read_sections(&mut self, message: &[u8], hasher: &NameHasher) -> Result<Reading, WireError> {
        let rest = message.get(HEADER_LEN..).unwrap_or_default();
        let fixed = HEADER_LEN + self.name.read(rest, HEADER_LEN, hasher)?;
        let short = WireError::Short { at: fixed };
        self.qtype = Rtype::from_int(u16_at(message, fixed).ok_or(short)?);
        self.qclass = Class::from_int(u16_at(message, fixed + 2).ok_or(short)?);
        self.end = fixed + 4;
        self.read_records(message, self.end)
    }

    /// Reads what follows the question section, from octet `at` on.
    fn read_records(&mut self, message: &[u8], mut at: usize) -> Result<Reading, WireError> {
        let [_, answers, authorities, additionals] = self.header.counts;
        for _ in 0..u32::from(answers) + u32::from(authorities) {
            at = read_record(message, at)?.end();
        }
        let mut signed = false;
        for _ in 0..additionals {
            if signed {
                return Err(WireError::TsigPlace);
            }
            let record = read_record(message, at)?;
            at = record.end();
            match record.rtype {
                Rtype::OPT if self.edns.is_some() => return Err(WireError::BadOpt),
                Rtype::OPT => self.edns = Some(Edns::read(message, &record)?),
                Rtype::TSIG => signed = true,
                _ => {}
            }
        }
        if at != message.len() {
            return Err(WireError::Trailing { octets: message.len() - at });
        }
        if signed {
            return Ok(Reading::Registrar);
        }
        if let Some(edns) = &self.edns {
            edns.cookie(message)?;
        }
        Ok(Reading::Question)
    }

    /// QNAME, QTYPE and QCLASS as sent: a response repeats them octet for octet, case included, which is what clients
    /// that mix case (0x20) check.
    pub fn as_sent<'m>(&self, message: &'m [u8]) -> &'m [u8] {
        message.get(HEADER_LEN..self.end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03WeB\x00\x00\x01\x00\x01";
    const OPT: &[u8] = b"\x00\x00\x29\x10\x00\x00\x00\x80\x00\x00\x00";

    fn read(message: &[u8]) -> (Question, Reading) {
        let mut question = Question::default();
        let reading = question.read(message, &NameHasher::default());
        (question, reading)
    }

    fn with_additional(records: &[&[u8]]) -> Vec<u8> {
        let mut message = PLAIN.to_vec();
        message[11] = records.len() as u8;
        records.iter().for_each(|record| message.extend_from_slice(record));
        message
    }

    #[test]
    fn a_plain_question() {
        let (question, reading) = read(PLAIN);
        assert_eq!(reading, Reading::Question);
        assert_eq!((question.qtype, question.qclass, question.end), (Rtype::A, Class::IN, PLAIN.len()));
        assert_eq!(question.name.as_wire(), b"\x03web\x00");
        assert_eq!(question.as_sent(PLAIN), &PLAIN[12..]);
        assert!(question.edns.is_none());
    }

    #[test]
    fn edns_is_read_and_a_second_opt_is_formerr() {
        let (question, reading) = read(&with_additional(&[OPT]));
        assert_eq!(reading, Reading::Question);
        let edns = question.edns.unwrap();
        assert_eq!((edns.udp_size, edns.version, edns.dnssec_ok), (4096, 0, true));
        assert_eq!(read(&with_additional(&[OPT, OPT])).1, Reading::Reply(Rcode::FORMERR));
    }

    #[test]
    fn a_cookie_is_noticed_judged_and_may_come_without_a_question() {
        let cookie = b"\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x0c\x00\x0a\x00\x08a client";
        let (question, reading) = read(&with_additional(&[cookie]));
        assert_eq!((reading, question.has_cookie()), (Reading::Question, true));
        let mut malformed = *cookie;
        (malformed[10], malformed[14]) = (11, 7);
        let (question, reading) = read(&with_additional(&[&malformed[..22]]));
        assert_eq!((reading, question.edns.is_some()), (Reading::Reply(Rcode::FORMERR), true));
        assert!(!read(&with_additional(&[OPT])).0.has_cookie());

        let header = b"\x12\x34\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01";
        assert_eq!(read(&[&header[..], cookie].concat()).1, Reading::Cookie);
        for other in [OPT, &malformed[..22], &cookie[..22], &[&cookie[..], &[0]].concat()] {
            assert_eq!(read(&[&header[..], other].concat()).1, Reading::Reply(Rcode::FORMERR));
        }
    }

    #[test]
    fn tsig_goes_to_the_registrar_only_as_the_last_record() {
        let tsig = b"\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x00";
        assert_eq!(read(&with_additional(&[OPT, tsig])).1, Reading::Registrar);
        assert_eq!(read(&with_additional(&[tsig, OPT])).1, Reading::Reply(Rcode::FORMERR));
    }

    #[test]
    fn what_is_no_question_is_refused_the_cheap_way() {
        assert_eq!(read(&PLAIN[..11]).1, Reading::Silence);
        let mut message = PLAIN.to_vec();
        message[2] = 0x81;
        assert_eq!(read(&message).1, Reading::Silence, "a response");
        for (opcode, wanted) in [
            (1, Reading::Reply(Rcode::NOTIMP)),
            (4, Reading::Reply(Rcode::NOTIMP)),
            (5, Reading::Registrar),
            (15, Reading::Reply(Rcode::NOTIMP)),
        ] {
            message[2] = opcode << 3;
            assert_eq!(read(&message).1, wanted, "opcode {opcode}");
        }
        for count in [0, 2] {
            let mut message = PLAIN.to_vec();
            message[5] = count;
            assert_eq!(read(&message).1, Reading::Reply(Rcode::FORMERR), "QDCOUNT {count}");
        }
        for cut in 12..PLAIN.len() {
            assert_eq!(read(&PLAIN[..cut]).1, Reading::Reply(Rcode::FORMERR), "cut at {cut}");
        }
        let mut trailing = PLAIN.to_vec();
        trailing.push(0);
        assert_eq!(read(&trailing).1, Reading::Reply(Rcode::FORMERR));
    }
}
