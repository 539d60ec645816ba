//! Which addresses a list of prefixes covers, and which of them it must name.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

/// Kinds of address that mean something else on every host, or no host at all: a member there is most often a mistake, and
/// sometimes an attack on whoever asks (DNS rebinding). A grant covers them only by naming them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// 0.0.0.0/8 and :: (RFC 6890).
    Unspecified,
    /// 127.0.0.0/8 and ::1.
    Loopback,
    /// 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// 224.0.0.0/4 and ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
}

const fn v4(a: u8, b: u8, prefix: u8) -> Option<Ipv4Network> {
    Ipv4Network::new_checked(Ipv4Addr::new(a, b, 0, 0), prefix)
}

const fn v6(first: u16, last: u16, prefix: u8) -> Option<Ipv6Network> {
    Ipv6Network::new_checked(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last), prefix)
}

impl Special {
    const RANGES_V4: [(Special, Option<Ipv4Network>); 5] = [
        (Special::Unspecified, v4(0, 0, 8)),
        (Special::Loopback, v4(127, 0, 8)),
        (Special::LinkLocal, v4(169, 254, 16)),
        (Special::Multicast, v4(224, 0, 4)),
        (Special::Broadcast, Ipv4Network::new_checked(Ipv4Addr::BROADCAST, 32)),
    ];
    const RANGES_V6: [(Special, Option<Ipv6Network>); 4] = [
        (Special::Unspecified, v6(0, 0, 128)),
        (Special::Loopback, v6(0, 1, 128)),
        (Special::LinkLocal, v6(0xfe80, 0, 10)),
        (Special::Multicast, v6(0xff00, 0, 8)),
    ];

    /// The special range that `address` is in.
    pub fn of(address: IpAddr) -> Option<(Special, IpNetwork)> {
        fn find<N: Copy + Into<IpNetwork>>(
            ranges: &[(Special, Option<N>)],
            a: IpAddr,
        ) -> Option<(Special, IpNetwork)> {
            let mut ranges = ranges.iter().filter_map(|&(kind, range)| Some((kind, range?.into())));
            ranges.find(|(_, range): &(Special, IpNetwork)| range.contains(a))
        }
        match address {
            IpAddr::V4(_) => find(&Self::RANGES_V4, address),
            IpAddr::V6(_) => find(&Self::RANGES_V6, address),
        }
    }
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Special::Unspecified => "unspecified",
            Special::Loopback => "loopback",
            Special::LinkLocal => "link-local",
            Special::Multicast => "multicast",
            Special::Broadcast => "broadcast",
        })
    }
}

/// Whether `inner` lies within `outer`.
fn is_within(inner: &IpNetwork, outer: &IpNetwork) -> bool {
    outer.prefix() <= inner.prefix() && outer.contains(inner.network())
}

/// Whether a grant's `addresses` let a member have this one. Without prefixes all but the special ones are covered; a
/// special address must be inside a prefix that itself lies within the special range, so that 0.0.0.0/0 does not name
/// 127.0.0.1 by accident. An IPv4-mapped address is judged as the IPv4 address it stands for.
pub fn covers(prefixes: &[IpNetwork], address: IpAddr) -> bool {
    let address = address.to_canonical();
    let mut containing = prefixes.iter().filter(|prefix| prefix.contains(address));
    match Special::of(address) {
        Some((_, range)) => containing.any(|prefix| is_within(prefix, &range)),
        None => prefixes.is_empty() || containing.next().is_some(),
    }
}

/// Whether one of the prefixes holds the address, special or not, or none is given.
pub(super) fn is_in(prefixes: &[IpNetwork], address: IpAddr) -> bool {
    prefixes.is_empty() || prefixes.iter().any(|prefix| prefix.contains(address))
}

/// Whether any address is in both prefixes.
pub fn overlap(one: &IpNetwork, other: &IpNetwork) -> bool {
    is_within(one, other) || is_within(other, one)
}

/// The prefixes of loopback.
pub fn loopback() -> impl Iterator<Item = IpNetwork> {
    let hosts = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    hosts.into_iter().filter_map(Special::of).map(|(_, range)| range)
}

/// Whether a prefix holds loopback addresses alone.
pub fn within_loopback(prefix: &IpNetwork) -> bool {
    matches!(Special::of(prefix.network()), Some((Special::Loopback, range)) if is_within(prefix, &range))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(list: &[&str]) -> Vec<IpNetwork> {
        list.iter().map(|prefix| prefix.parse().unwrap()).collect()
    }

    #[test]
    fn special_addresses_need_naming() {
        let specials = [
            ("0.0.0.0", "0.0.0.0/32"),
            ("127.0.0.1", "127.0.0.0/8"),
            ("169.254.1.2", "169.254.0.0/16"),
            ("224.0.0.251", "224.0.0.0/4"),
            ("255.255.255.255", "255.255.255.255/32"),
            ("::", "::/128"),
            ("::1", "::1/128"),
            ("fe80::1", "fe80::/10"),
            ("ff02::fb", "ff02::/16"),
            ("::ffff:127.0.0.1", "127.0.0.1/32"),
        ];
        for (address, prefix) in specials {
            let address: IpAddr = address.parse().unwrap();
            assert!(!covers(&[], address), "{address} unnamed");
            assert!(
                !covers(&prefixes(&["0.0.0.0/0", "::/0", "126.0.0.0/7"]), address),
                "{address} in a wide prefix"
            );
            assert!(covers(&prefixes(&["10.0.0.0/8", prefix]), address), "{address} named by {prefix}");
        }
    }

    #[test]
    fn other_addresses_are_covered_by_any_prefix_or_by_none_given() {
        for address in ["10.1.2.3", "2001:db8::7", "::ffff:10.1.2.3"] {
            let address: IpAddr = address.parse().unwrap();
            assert!(covers(&[], address), "{address}");
            assert!(covers(&prefixes(&["10.0.0.0/8", "::/0"]), address), "{address}");
            assert!(!covers(&prefixes(&["192.0.2.0/24", "2001:db8:1::/48"]), address), "{address}");
        }
    }

    #[test]
    fn loopback_prefixes() {
        for (prefix, wanted) in [("127.0.0.0/8", true), ("127.1.0.0/16", true), ("::1/128", true)] {
            assert_eq!(within_loopback(&prefix.parse().unwrap()), wanted, "{prefix}");
        }
        for prefix in ["126.0.0.0/7", "0.0.0.0/0", "::/0", "::/127", "10.0.0.0/8"] {
            assert!(!within_loopback(&prefix.parse().unwrap()), "{prefix}");
        }
        assert_eq!(loopback().collect::<Vec<_>>(), prefixes(&["127.0.0.0/8", "::1/128"]));
    }

    #[test]
    fn overlaps() {
        for (one, other, wanted) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/16", "10.1.0.0/16", false),
            ("0.0.0.0/0", "::/0", false),
            ("::/0", "2001:db8::/32", true),
        ] {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!((overlap(&one, &other), overlap(&other, &one)), (wanted, wanted), "{one} {other}");
        }
    }
}
