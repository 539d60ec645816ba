//! The parts of SVCB and HTTPS rdata that membership and grants are about (RFC 9460 section 2.2).

use std::net::IpAddr;

use crate::wire::{address_in, skip_name, u16_at};

/// SvcParamKeys whose values are addresses (RFC 9460 section 7.3).
const IPV4HINT: u16 = 4;
const IPV6HINT: u16 = 6;

/// TargetName, in wire form as it stands: it is never compressed.
pub(super) fn target(rdata: &[u8]) -> Option<&[u8]> {
    rdata.get(2..skip_name(rdata, 2).ok()?)
}

/// Every address of the rdata's `ipv4hint` and `ipv6hint`.
pub(super) fn hints(rdata: &[u8]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let Ok(mut at) = skip_name(rdata, 2) else { return found };
    while let (Some(key), Some(len)) = (u16_at(rdata, at), u16_at(rdata, at + 2)) {
        let value = rdata.get(at + 4..at + 4 + usize::from(len)).unwrap_or_default();
        let each = match key {
            IPV4HINT => 4,
            IPV6HINT => 16,
            _ => usize::MAX,
        };
        found.extend(value.chunks_exact(each).filter_map(address_in));
        at += 4 + usize::from(len);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_of_both_families() {
        let rdata = b"\x00\x01\x02m1\x00\x00\x01\x00\x03\x02h2\x00\x04\x00\x08\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x06\x00\x10\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01";
        assert_eq!(target(rdata), Some(&b"\x02m1\x00"[..]));
        let wanted: Vec<IpAddr> =
            ["10.0.0.1", "10.0.0.2", "2001:db8::1"].map(|ip| ip.parse().unwrap()).into();
        assert_eq!(hints(rdata), wanted);
        for cut in 0..rdata.len() {
            assert!(hints(rdata.get(..cut).unwrap()).len() <= 3);
        }
    }
}
