//! Lists of address prefixes as text: APL (RFC 3123 section 5).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::ZoneFault;
use super::fields::Fields;

/// Reads all items that are left; there may be none.
pub(super) fn read(fields: &mut Fields<'_, '_>, out: &mut Vec<u8>) -> Result<(), ZoneFault> {
    while fields.peek().is_some() {
        let text = fields.octets()?;
        let item = str::from_utf8(&text).ok().and_then(item);
        out.append(
            &mut item.ok_or(ZoneFault::expected("a prefix such as 1:192.0.2.0/24 or !2:2001:db8::/32"))?,
        );
    }
    Ok(())
}

/// Zeros at the end of the address are left out (RFC 3123 section 4).
fn item(text: &str) -> Option<Vec<u8>> {
    let (is_negated, text) = text.strip_prefix('!').map_or((false, text), |text| (true, text));
    let (family, text) = text.split_once(':')?;
    let (address, prefix) = text.split_once('/')?;
    let (family, mut octets) = match family {
        "1" => (1, address.parse::<Ipv4Addr>().ok()?.octets().to_vec()),
        "2" => (2, address.parse::<Ipv6Addr>().ok()?.octets().to_vec()),
        _ => return None,
    };
    let is_number = prefix.bytes().all(|octet| octet.is_ascii_digit());
    let prefix =
        prefix.parse::<u8>().ok().filter(|&prefix| is_number && usize::from(prefix) <= 8 * octets.len())?;
    while octets.last() == Some(&0) {
        octets.pop();
    }
    let len = u8::try_from(octets.len()).ok()?;
    Some([&[0, family, prefix, len | if is_negated { 0x80 } else { 0 }], octets.as_slice()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items() {
        for (text, wanted) in [
            ("1:192.0.2.0/24", Some(&[0, 1, 24, 3, 192, 0, 2][..])),
            ("!1:0.0.0.0/0", Some(&[0, 1, 0, 0x80])),
            ("2:2001:db8::/32", Some(&[0, 2, 32, 4, 0x20, 1, 0xD, 0xB8])),
            ("1:10.0.0.1/32", Some(&[0, 1, 32, 4, 10, 0, 0, 1])),
            ("1:10.0.0.1/33", None),
            ("1:10.0.0.1/+1", None),
            ("1:10.0.0.1", None),
            ("3:10.0.0.1/1", None),
            ("2:10.0.0.1/1", None),
            ("!!1:10.0.0.1/1", None),
            ("1:10.0.0.1/", None),
            ("", None),
        ] {
            assert_eq!(item(text).as_deref(), wanted, "{text}");
        }
    }
}
