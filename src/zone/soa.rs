//! A zone's SOA (RFC 1035 section 3.3.13), and how serials compare (RFC 1982).

use super::file;

/// A SOA around its serial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Soa {
    /// MNAME and RNAME, uncompressed.
    pub names: Box<[u8]>,
    /// REFRESH, RETRY, EXPIRE and MINIMUM, the last replaced by the zone's negative TTL.
    pub timers: [u8; 16],
    /// Seconds that a SOA answer may be remembered.
    pub ttl_s: u32,
    /// What MINIMUM was replaced by, seconds.
    minimum_s: u32,
}

/// Octets behind the two names: the serial and four timers.
const NUMBERS_LEN: usize = 20;

impl Soa {
    /// The zone file's, with `negative_ttl_s` for its MINIMUM.
    pub(super) fn of_file(soa: &file::Soa, negative_ttl_s: u32) -> Self {
        let mut timers = [0; 16];
        let fields = [soa.refresh, soa.retry, soa.expire, negative_ttl_s];
        for (place, field) in timers.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        let names = [soa.mname.as_slice(), soa.rname.as_slice()].concat().into();
        Soa { names, timers, ttl_s: soa.ttl_s, minimum_s: negative_ttl_s }
    }

    /// This one with what an UPDATE gives: uncompressed SOA rdata and a TTL. MINIMUM stays the zone's. The serial comes
    /// back too; `None` if the rdata is no SOA's.
    pub fn updated(&self, ttl_s: u32, rdata: &[u8]) -> Option<(Self, u32)> {
        let (names, numbers) = rdata.split_at_checked(rdata.len().checked_sub(NUMBERS_LEN)?)?;
        let (serial, rest) = numbers.split_first_chunk::<4>()?;
        let mut timers: [u8; 16] = rest.try_into().ok()?;
        timers[12..].copy_from_slice(&self.minimum_s.to_be_bytes());
        let soa = Soa { names: names.into(), timers, ttl_s, minimum_s: self.minimum_s };
        Some((soa, u32::from_be_bytes(*serial)))
    }

    /// The whole rdata, as a zone with this serial shows it.
    pub fn rdata(&self, serial: u32) -> Vec<u8> {
        [&self.names, &serial.to_be_bytes()[..], &self.timers].concat()
    }

    /// Seconds that a negative answer may be remembered: the lesser of the SOA's TTL and MINIMUM (RFC 2308 section 5).
    pub fn negative_ttl_s(&self) -> u32 {
        self.minimum_s.min(self.ttl_s)
    }
}

/// Whether a serial comes after another (RFC 1982 section 3.2). Of two that are 2^31 apart, neither does.
pub fn is_later(serial: u32, than: u32) -> bool {
    (1..1 << 31).contains(&serial.wrapping_sub(than))
}

/// The serial after one (RFC 1982 section 3.1), never 0, which some secondaries take for "unset".
pub fn next_serial(serial: u32) -> u32 {
    serial.wrapping_add(1).max(1)
}

/// The later of two serials.
pub fn later(one: u32, other: u32) -> u32 {
    if is_later(other, one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_compare_round_the_circle() {
        assert_eq!(later(7, 9), 9);
        assert_eq!(later(9, 7), 9);
        assert_eq!(later(u32::MAX, 3), 3);
        assert_eq!(later(3, u32::MAX), 3);
        assert!(!is_later(5, 5) && !is_later(5, 5 + (1 << 31)) && !is_later(5 + (1 << 31), 5));
    }

    #[test]
    fn an_updated_soa_keeps_the_zones_minimum() {
        let soa = Soa { names: b"\x01a\x00\x01b\x00"[..].into(), timers: [0; 16], ttl_s: 60, minimum_s: 2 };
        let rdata = [&b"\x01c\x00\x01d\x00"[..], &9_u32.to_be_bytes(), &[1; 16]].concat();
        let (updated, serial) = soa.updated(30, &rdata).unwrap();
        assert_eq!((serial, updated.ttl_s, updated.negative_ttl_s()), (9, 30, 2));
        let shown = updated.rdata(9);
        assert_eq!(shown.len(), rdata.len());
        assert!(shown.starts_with(rdata.get(..22).unwrap()) && shown.ends_with(&[0, 0, 0, 2]));
        assert_eq!(soa.updated(30, &[0; 19]), None);
    }
}
