//! The twelve octets in front of every message (RFC 1035 section 4.1.1).

use super::{Opcode, u16_at};

/// Octets in a header.
pub const HEADER_LEN: usize = 12;

/// This is a response.
pub const FLAG_QR: u16 = 0x8000;
/// The answer is authoritative.
pub const FLAG_AA: u16 = 0x0400;
/// Truncated: ask again over TCP.
pub const FLAG_TC: u16 = 0x0200;
/// Recursion desired; copied into the response.
pub const FLAG_RD: u16 = 0x0100;
/// Checking disabled; copied into the response (RFC 4035 section 3.1.6).
pub const FLAG_CD: u16 = 0x0010;

/// A header, read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Header {
    /// The client's message id.
    pub id: u16,
    /// QR, opcode, AA, TC, RD, RA, Z, AD, CD and RCODE as they stand on the wire.
    pub flags: u16,
    /// Records in the question, answer, authority and additional sections; in an UPDATE the zone, prerequisite, update
    /// and additional sections (RFC 2136 section 2).
    pub counts: [u16; 4],
}

impl Header {
    /// Reads the first twelve octets; `None` if the message is shorter.
    pub fn read(message: &[u8]) -> Option<Self> {
        Some(Header {
            id: u16_at(message, 0)?,
            flags: u16_at(message, 2)?,
            counts: [u16_at(message, 4)?, u16_at(message, 6)?, u16_at(message, 8)?, u16_at(message, 10)?],
        })
    }

    /// The header as octets.
    pub fn octets(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        let words = [self.id, self.flags, self.counts[0], self.counts[1], self.counts[2], self.counts[3]];
        for (place, word) in out.chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    /// QUERY, UPDATE and so on.
    pub fn opcode(&self) -> Opcode {
        Opcode::from_int(((self.flags >> 11) & 0xF) as u8)
    }

    /// Whether this is a response.
    pub fn is_response(&self) -> bool {
        self.flags & FLAG_QR != 0
    }

    /// The flags of a response to this message: QR, the same opcode, RD and CD copied (RFC 1035 section 4.1.1, RFC 4035
    /// section 3.1.6); AA, TC and RCODE clear.
    pub fn response_flags(&self) -> u16 {
        FLAG_QR | (self.flags & (0x7800 | FLAG_RD | FLAG_CD))
    }
}
