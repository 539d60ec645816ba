use std::sync::Arc;

use super::*;
use crate::wire::tsig;

fn name(text: &str) -> Name {
    Name::bytes_from_str(text).unwrap()
}

fn key(text: &str) -> Sender {
    let key = tsig::Key::new(&name(text), tsig::Algorithm::HmacSha256, &[7; 32]).unwrap();
    Sender::Key(Arc::new(key))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn prefixes(list: &[&str]) -> Vec<IpNetwork> {
    list.iter().map(|prefix| prefix.parse().unwrap()).collect()
}

fn globs(list: &[&str]) -> Vec<NamePattern> {
    list.iter().map(|pattern| NamePattern::new(pattern)).collect()
}

/// A datagram with a good TSIG.
fn signed(by: &str, from: &str) -> Sent {
    Sent { sender: key(by), source: ip(from), is_proven: false }
}

fn unsigned(from: &str, is_proven: bool) -> Sent {
    Sent { sender: Sender::Unsigned, source: ip(from), is_proven }
}

fn for_web() -> Grant {
    Grant::to(Holder::Key(name("Web.")))
}

fn for_strangers() -> Grant {
    Grant::to(Holder::Unsigned)
}

/// What is asked: place, types, addresses, targets.
type Ask<'a> = (Place<'a>, &'a [Rtype], &'a [&'a str], &'a [&'a str]);

const POOL: Ask<'_> = (Place::Pool("web"), &[Rtype::A], &["192.0.2.1"], &[]);

fn find<'g>(
    grants: &'g Grants,
    sent: &Sent,
    (place, types, addresses, targets): Ask<'_>,
) -> Result<&'g Grant, Refusal> {
    let addresses: Vec<_> = addresses.iter().map(|address| ip(address)).collect();
    let targets: Vec<_> = targets.iter().map(|&target| target.to_owned()).collect();
    grants.find(sent, &Asked { place, types, addresses: &addresses, targets: &targets })
}

/// The refusal's text; empty if the grant covers it.
fn verdict(grant: Grant, sent: &Sent, asked: Ask<'_>) -> String {
    find(&Grants::new(vec![grant]), sent, asked).err().map(|refusal| refusal.to_string()).unwrap_or_default()
}

#[test]
fn senders_and_sources() {
    let from_ten = Grant { sources: prefixes(&["10.0.0.0/8"]), ..for_web() };
    let strangers_from_ten = Grant { sources: prefixes(&["10.0.0.0/8"]), ..for_strangers() };
    for (grant, sent, wanted) in [
        (for_web(), signed("WEB.", "192.0.2.9"), ""),
        (from_ten.clone(), signed("web.", "::ffff:10.0.0.9"), ""),
        (for_web(), signed("Api.", "10.0.0.9"), "key api. has no grant in this zone; add a [[grant]] for it"),
        (
            for_strangers(),
            signed("web.", "127.0.0.1"),
            "key web. has no grant in this zone; add a [[grant]] for it",
        ),
        (
            from_ten,
            signed("web.", "192.0.2.9"),
            "source 192.0.2.9 is not granted; add 192.0.2.9/32 to `sources` of the grant for key web.",
        ),
        (
            for_web(),
            unsigned("127.0.0.1", true),
            "unsigned updates are not granted from 127.0.0.1; sign with a key that has a grant",
        ),
        (for_strangers(), unsigned("::ffff:127.0.0.1", true), ""),
        (for_strangers(), unsigned("127.0.0.1", false), ""),
        (
            for_strangers(),
            unsigned("192.0.2.9", true),
            "unsigned updates are not granted from 192.0.2.9; sign with a key that has a grant",
        ),
        (
            strangers_from_ten.clone(),
            unsigned("127.0.0.1", true),
            "unsigned updates are not granted from 127.0.0.1; sign with a key that has a grant",
        ),
        (strangers_from_ten.clone(), unsigned("::ffff:10.0.0.9", true), ""),
        (
            strangers_from_ten,
            unsigned("::ffff:10.0.0.9", false),
            "nothing proves that it came from 10.0.0.9; send it over TCP, or with a DNS cookie (RFC 7873)",
        ),
    ] {
        assert_eq!(verdict(grant.clone(), &sent, POOL), wanted, "{}", sent.source);
        // Who is not turned away because of what is asked is let in to ask.
        let admitted = Grants::new(vec![grant]).admit(&sent).err().map(|refusal| refusal.to_string());
        assert_eq!(admitted.unwrap_or_default(), wanted, "{}", sent.source);
    }
}

#[test]
fn places() {
    let pools =
        |pools: &[&str], names: &[&str]| Grant { pools: globs(pools), names: globs(names), ..for_web() };
    let both = || pools(&["web*"], &["_acme-challenge.*", "@"]);
    for (grant, place, wanted) in [
        (for_web(), Place::Pool("game.eu"), ""),
        (both(), Place::Pool("web.eu"), ""),
        (both(), Place::Name("_acme-challenge.www"), ""),
        (both(), Place::Name("@"), ""),
        (pools(&[], &["*"]), Place::Name("@"), ""),
        (
            both(),
            Place::Pool("api"),
            "pool api is not granted; add \"api\" to `pools` of the grant for key web.",
        ),
        (
            both(),
            Place::Name("web"),
            "name web is not granted; add \"web\" to `names` of the grant for key web.",
        ),
        (
            pools(&[], &["*"]),
            Place::Pool("web"),
            "pool web is not granted; add \"web\" to `pools` of the grant for key web.",
        ),
        (
            pools(&["web", "api-*"], &[]),
            Place::Name("@"),
            "name @ is not granted; write `names = [\"@\"]` in the grant for key web., with `pools = [\"web\", \"api-*\"]`",
        ),
    ] {
        assert_eq!(verdict(grant, &signed("web.", "10.0.0.9"), (place, &[], &[], &[])), wanted, "{place:?}");
    }
}

#[test]
fn types() {
    let of = |types| Grant { types, names: globs(&["*"]), ..for_web() };
    let caa = || of(Types::Only(vec![Rtype::CAA]));
    let strange = [Rtype::from_int(65_280)];
    for (grant, asked, wanted) in [
        (of(Types::Default), &[Rtype::A, Rtype::SRV, Rtype::TXT, Rtype::SVCB][..], ""),
        (of(Types::All), &[Rtype::SOA, Rtype::NS, Rtype::CNAME, strange[0]], ""),
        (caa(), &[Rtype::CAA], ""),
        (of(Types::Only(strange.to_vec())), &strange, ""),
        (
            of(Types::Default),
            &[Rtype::A, Rtype::NS],
            "type NS is not granted; write `types = [\"A\", \"AAAA\", \"SRV\", \"TXT\", \"HTTPS\", \"SVCB\", \"NS\"]` in the \
             grant for key web.",
        ),
        (
            caa(),
            &[Rtype::CAA, Rtype::A],
            "type A is not granted; add \"A\" to `types` of the grant for key web.",
        ),
        (
            caa(),
            &strange,
            "type TYPE65280 is not granted; add \"TYPE65280\" to `types` of the grant for key web.",
        ),
    ] {
        for place in [Place::Pool("web"), Place::Name("www")] {
            let found = verdict(grant.clone(), &signed("web.", "10.0.0.9"), (place, asked, &[], &[]));
            assert_eq!(found, wanted, "{asked:?}");
        }
    }
}

#[test]
fn addresses() {
    let of = |list: &[&str]| Grant { addresses: prefixes(list), names: globs(&["*"]), ..for_web() };
    for (grant, asked, wanted) in [
        (of(&[]), &["192.0.2.1", "2001:db8::1"][..], ""),
        (of(&["10.0.0.0/8", "::/0"]), &["10.0.0.1", "::ffff:10.0.0.2", "2001:db8::1"], ""),
        (
            of(&["10.0.0.0/8", "::/0"]),
            &["10.0.0.1", "192.0.2.7"],
            "address 192.0.2.7 is not granted; add 192.0.2.0/24 to `addresses` of the grant for key web.",
        ),
        (
            of(&["10.0.0.0/8"]),
            &["2001:db8::7"],
            "address 2001:db8::7 is not granted; add 2001:db8::/64 to `addresses` of the grant for key web.",
        ),
        (
            of(&[]),
            &["127.0.0.1"],
            "loopback address 127.0.0.1 needs naming; add 127.0.0.0/8 to `addresses` of the grant for key web.",
        ),
        (
            of(&["::/0"]),
            &["fe80::1"],
            "link-local address fe80::1 needs naming; add fe80::1/128 to `addresses` of the grant for key web.",
        ),
    ] {
        for place in [Place::Pool("web"), Place::Name("www")] {
            let found = verdict(grant.clone(), &signed("web.", "10.0.0.9"), (place, &[], asked, &[]));
            assert_eq!(found, wanted, "{asked:?}");
        }
    }
}

#[test]
fn own_addresses() {
    let keyed = |list: &[&str]| Grant { own_address: true, addresses: prefixes(list), ..for_web() };
    let strangers =
        |list: &[&str]| Grant { sources: prefixes(&["::/0", "0.0.0.0/0"]), key: None, ..keyed(list) };
    let proven = |from: &str| Sent { is_proven: true, ..signed("web.", from) };
    for (grant, sent, asked, wanted) in [
        (keyed(&[]), proven("10.0.0.9"), &["10.0.0.9", "::ffff:10.0.0.9"][..], ""),
        (keyed(&[]), proven("::ffff:10.0.0.9"), &["10.0.0.9"], ""),
        (strangers(&[]), unsigned("10.0.0.9", true), &["10.0.0.9"], ""),
        (keyed(&["10.0.0.0/8"]), proven("10.0.0.9"), &["10.0.0.9"], ""),
        // Where the sender is, special or not, nobody is led astray.
        (strangers(&[]), unsigned("127.0.0.1", false), &["127.0.0.1"], ""),
        (strangers(&["0.0.0.0/0"]), unsigned("127.0.0.1", false), &["127.0.0.1"], ""),
        (strangers(&[]), unsigned("fe80::9", true), &["fe80::9"], ""),
        (
            strangers(&["10.0.0.0/8"]),
            unsigned("127.0.0.1", false),
            &["127.0.0.1"],
            "address 127.0.0.1 is not granted; add 127.0.0.1/32 to `addresses` of the grant for unsigned updates",
        ),
        (
            strangers(&[]),
            unsigned("10.0.0.9", true),
            &["10.0.0.9", "10.0.0.8"],
            "address 10.0.0.8 is not 10.0.0.9, where this came from; register that one, or take `own_address` out of the \
             grant for unsigned updates",
        ),
        (
            keyed(&["10.0.0.0/8"]),
            proven("10.0.0.9"),
            &["10.0.0.8"],
            "address 10.0.0.8 is not 10.0.0.9, where this came from; register that one, or take `own_address` out of the \
             grant for key web.",
        ),
        (
            keyed(&["10.0.0.0/8"]),
            proven("192.0.2.9"),
            &["192.0.2.9"],
            "address 192.0.2.9 is not granted; add 192.0.2.9/32 to `addresses` of the grant for key web.",
        ),
        // Who holds the key can forge the source all the same.
        (
            keyed(&[]),
            signed("web.", "10.0.0.9"),
            &["10.0.0.9"],
            "nothing proves that it came from 10.0.0.9; send it over TCP, or with a DNS cookie (RFC 7873)",
        ),
        (keyed(&[]), signed("web.", "10.0.0.9"), &[], ""),
        (keyed(&[]), signed("web.", "127.0.0.1"), &["127.0.0.1"], ""),
    ] {
        let found = verdict(grant, &sent, (Place::Pool("web"), &[Rtype::A], asked, &[]));
        assert_eq!(found, wanted, "{asked:?} from {}", sent.source);
    }
}

#[test]
fn targets() {
    let of = |list: &[&str]| Grant { targets: globs(list), ..for_web() };
    for (grant, asked, wanted) in [
        (for_web(), &[][..], ""),
        (of(&["db.example.net", "*.example.org"]), &["db.example.net", "a.b.example.org"], ""),
        (of(&[""]), &[""], ""),
        (
            for_web(),
            &["db.example.net"],
            "SRV target db.example.net. is not granted; add \"db.example.net.\" to `targets` of the grant for key web.",
        ),
        (
            of(&["*.example.org"]),
            &["a.example.org", "example.org"],
            "SRV target example.org. is not granted; add \"example.org.\" to `targets` of the grant for key web.",
        ),
        (
            of(&["*.example.org"]),
            &[""],
            "SRV target . is not granted; add \".\" to `targets` of the grant for key web.",
        ),
    ] {
        let asked = (Place::Pool("web"), &[Rtype::SRV][..], &[][..], asked);
        assert_eq!(verdict(grant, &signed("web.", "10.0.0.9"), asked), wanted, "{asked:?}");
    }
}

#[test]
fn the_first_grant_that_covers_all_of_it_wins() {
    let pools = |list: &[&str], addresses: &[&str]| Grant {
        pools: globs(list),
        addresses: prefixes(addresses),
        ..for_web()
    };
    let elsewhere = Grant { sources: prefixes(&["192.0.2.0/24"]), ..for_web() };
    let names = Grant { names: globs(&["www"]), ..pools(&[], &[]) };
    let (narrow, wide) = (pools(&["web"], &["10.0.0.0/8"]), pools(&["*"], &["10.0.0.0/8", "192.0.2.0/24"]));
    let grants = Grants::new(vec![for_strangers(), elsewhere, narrow, wide, names]);
    assert_eq!(grants.iter().map(|grant| grant.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let number = |place, types, addresses| {
        find(&grants, &signed("web.", "10.0.0.9"), (place, types, addresses, &[])).map(|grant| grant.number)
    };
    let web = Place::Pool("web");
    assert_eq!(number(web, &[], &["10.0.0.1"]), Ok(3));
    assert_eq!(number(web, &[], &["10.0.0.1", "192.0.2.1"]), Ok(4));
    assert_eq!(number(Place::Pool("api"), &[], &["10.0.0.1"]), Ok(4));
    assert_eq!(number(Place::Name("www"), &[], &["203.0.113.1"]), Ok(5), "two grants do not add up");
    // Else the closest refuses.
    assert!(matches!(number(web, &[], &["203.0.113.1"]), Err(Refusal::Address { .. })));
    assert!(matches!(number(Place::Pool("api"), &[Rtype::MX], &[]), Err(Refusal::Type { .. })));
    assert!(matches!(number(Place::Name("mail"), &[], &[]), Err(Refusal::Name { .. })));
    let texts = Grant { types: Types::Only(vec![Rtype::TXT]), ..for_web() };
    let equals = Grants::new(vec![texts.clone(), for_web()]);
    let refused = find(&equals, &signed("web.", "10.0.0.9"), (web, &[Rtype::MX], &[], &[]));
    let first = Refusal::Type { rtype: Rtype::MX, has: texts.types, holder: for_web().holder() };
    assert_eq!(refused, Err(first), "the first of equals");
}

#[test]
fn each_rule_that_holds_brings_a_grant_closer() {
    let network = || Grant { sources: prefixes(&["10.0.0.0/8"]), ..for_strangers() };
    let no_pools = Grant { pools: Vec::new(), ..network() };
    let no_types = Grant { types: Types::Only(vec![Rtype::TXT]), ..network() };
    let no_address = Grant { addresses: prefixes(&["10.0.0.0/8"]), ..network() };
    let ladder = [for_strangers(), no_pools, no_types, no_address, network()];
    let asked =
        (Place::Pool("web"), &[Rtype::A, Rtype::SRV][..], &["192.0.2.1"][..], &["db.example.net"][..]);
    let refused = |grants: Vec<Grant>, is_proven| {
        find(&Grants::new(grants), &unsigned("10.0.0.9", is_proven), asked).unwrap_err()
    };
    assert!(matches!(refused(ladder[..1].to_vec(), true), Refusal::Unsigned { .. }));
    assert!(matches!(refused(ladder.to_vec(), false), Refusal::Unproven { .. }), "nothing else is told");
    for (grants, wanted) in [(2, "pool"), (3, "type"), (4, "address"), (5, "SRV target")] {
        let mut grants = ladder[..grants].to_vec();
        assert!(refused(grants.clone(), true).to_string().starts_with(wanted), "{wanted}");
        grants.reverse();
        assert!(refused(grants, true).to_string().starts_with(wanted), "{wanted}, whatever the order");
    }
}

#[test]
fn owners() {
    let mut given = for_web();
    assert_eq!(&*given.owner(&key("WEB."), ip("10.0.0.1")), "web.");
    given.owner = Some("fleet".into());
    assert_eq!(&*given.owner(&key("WEB."), ip("10.0.0.1")), "fleet");
    assert_eq!(&*for_strangers().owner(&Sender::Unsigned, ip("::ffff:127.0.0.1")), "127.0.0.1");
}
