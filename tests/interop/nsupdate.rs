//! nsupdate (Debian bind9-dnsutils) beyond the life of a member, which is in `registration.rs`: every algorithm, ordinary
//! records, prerequisites, the apex, large messages.

use super::server::{Server, Site};

/// `fleet` may change everything; the server and nsupdate read its key from the same file.
fn fleet() -> Option<Server> {
    let grant = "[[grant]]\nkey = 'fleet'\npools = ['*']\nnames = ['@', '*']\ntypes = ['*']\n";
    Site::new(grant).key_in_one_file("fleet", "hmac-sha256").serve()
}

const FLEET: [&str; 2] = ["-k", "fleet.key"];

#[test]
fn signs_with_every_algorithm_and_truncated_where_a_key_says_so() {
    let algorithms = [
        "hmac-sha1",
        "hmac-sha224",
        "hmac-sha256",
        "hmac-sha384",
        "hmac-sha512",
        "hmac-sha1-80",
        "hmac-sha256-128",
        "hmac-sha512-256",
    ];
    let site = algorithms.into_iter().fold(Site::new(""), |site, name| site.key_of_others(name, name));
    let grants = algorithms.map(|name| format!("[[grant]]\nkey = '{name}'\nnames = ['by-{name}']\n"));
    let Some(server) = site.grants(&grants.concat()).serve() else { return };
    for name in algorithms {
        let (key, file) = (format!("{name}:{name}:{}", server.secret(name)), format!("{name}.key"));
        let ways = [&["-y", &key][..], &["-v", "-y", &key], &["-k", &file], &["-v", "-k", &file]];
        for (way, last) in ways.into_iter().zip(1..) {
            server.update(way, &format!("update add by-{name}.pool.example. 30 A 10.0.0.{last}"));
        }
        assert_eq!(server.dig(&format!("by-{name}.pool.example A")).answer.len(), ways.len());
    }
    // A key for 128 bits takes more too.
    let cut = |bits: &str, key: &str| format!("hmac-sha256{bits}:{key}:{}", server.secret(key));
    let script = "update add by-hmac-sha256-128.pool.example. 30 A 10.0.0.9";
    server.update(&["-y", &cut("-192", "hmac-sha256-128")], script);
    server.update(&["-y", &cut("", "hmac-sha256-128")], script);
    // One that says nothing of bits takes all of them alone.
    let script = "update add by-hmac-sha256.pool.example. 30 A 10.0.0.9";
    let short = cut("-128", "hmac-sha256");
    server.refused(&["-y", &short], script, "NOTAUTH(BADTRUNC)", &["BADTRUNC", "key hmac-sha256."]);
}

/// nsupdate asks for GSS-TSIG with `-g` alone. Without Kerberos it gives up by itself, before it sends an UPDATE.
#[test]
fn ends_without_an_update_when_told_to_use_gss_tsig() {
    let Some(server) = fleet() else { return };
    for way in ["-g", "-o"] {
        let error = server.try_update(&[way], "update add m1.web.pool.example. 30 A 10.0.0.1").unwrap_err();
        assert!(error.contains("tkey query failed: GSSAPI error"), "{error}");
    }
    assert!(server.web().is_empty());
    server.counts(&[("/updates/refused", 0), ("/store/commits", 0)]);
    server.update(&[], "update add m1.web.pool.example. 30 A 10.0.0.1");
}

#[test]
fn changes_records_of_any_type() {
    let Some(server) = fleet() else { return };
    let records = [
        ("MX", "10 mail.example.net."),
        ("CAA", "0 issue \"ca.example.net\""),
        ("NAPTR", "10 20 \"S\" \"SIP+D2U\" \"\" _sip._udp.web.pool.example."),
        ("SSHFP", "4 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"),
        ("TLSA", "3 1 1 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"),
        ("URI", "10 1 \"https://example.net/\""),
        ("PTR", "web.pool.example."),
        ("LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"),
        ("HTTPS", "1 . alpn=\"h2,h3\""),
        ("DHCID", "AAEBqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo="),
        ("TYPE65280", "\\# 4 DEADBEEF"),
        ("TYPE65281", "\\# 0"),
    ];
    for (rtype, rdata) in records {
        server.update(&FLEET, &format!("update add any.pool.example. 77 {rtype} {rdata}"));
        let answer = server.dig(&format!("any.pool.example {rtype}"));
        let shown: Vec<_> = answer.data().iter().map(|data| data.replace(' ', "")).collect();
        assert_eq!((shown, answer.answer[0].ttl_s), (vec![rdata.replace(' ', "")], 77), "{rtype}");
    }
    for (rtype, rdata) in records {
        server.update(&FLEET, &format!("update delete any.pool.example. {rtype} {rdata}"));
        let left = server.dig(&format!("any.pool.example {rtype}"));
        assert!(left.answer.is_empty(), "{}", left.text);
    }
    server.dig("any.pool.example A").is_nothing("NXDOMAIN");

    // RFC 2136 section 3.4.2.2: an alias stands alone, and what would stand beside it is passed over in silence.
    server.update(&FLEET, "update add alias.pool.example. 30 CNAME ns.pool.example.");
    server.update(&FLEET, "update add alias.pool.example. 30 A 10.0.0.1");
    server.update(&FLEET, "update add ns.pool.example. 30 CNAME web.pool.example.");
    assert_eq!(server.dig("alias.pool.example A").data(), ["ns.pool.example.", "127.0.0.1"]);
    // What the server makes is nobody's to add; nsupdate refuses other such types itself.
    let nsec = "update add any.pool.example. 30 NSEC any2.pool.example. A NSEC";
    server.refused(&FLEET, nsec, "REFUSED", &["NSEC", "signed zones"]);
}

#[test]
fn deletes_a_record_an_rrset_and_a_name() {
    let Some(server) = fleet() else { return };
    let show = |rtype: &str| server.dig(&format!("host.pool.example {rtype}")).sorted();
    server.update(
        &FLEET,
        "update add host.pool.example. 30 A 10.0.0.1
         update add host.pool.example. 30 A 10.0.0.2
         update add host.pool.example. 30 AAAA 2001:db8::1
         update add host.pool.example. 30 TXT \"one\" \"two\"",
    );
    server.update(&FLEET, "update delete host.pool.example. A 10.0.0.2");
    server.update(&FLEET, "update delete host.pool.example. A 10.0.0.3");
    assert_eq!(show("A"), ["10.0.0.1"]);
    server.update(&FLEET, "update delete host.pool.example. A");
    assert_eq!(
        (show("A").len(), show("AAAA"), show("TXT")),
        (0, vec!["2001:db8::1".to_owned()], vec!["\"one\" \"two\"".to_owned()])
    );
    server.update(&FLEET, "update delete host.pool.example.");
    server.dig("host.pool.example ANY").is_nothing("NXDOMAIN");
    // What is not there may be deleted.
    server.update(&FLEET, "update delete host.pool.example.");
}

#[test]
fn each_prerequisite_met_and_unmet() {
    let Some(server) = fleet() else { return };
    server.update(
        &FLEET,
        "update add host.pool.example. 30 A 10.0.0.1
         update add host.pool.example. 30 A 10.0.0.2
         update add m1.web.pool.example. 30 A 10.0.0.3",
    );
    let both = "prereq yxrrset host.pool.example. A 10.0.0.2\nprereq yxrrset host.pool.example. A 10.0.0.1";
    let rows = [
        ("prereq yxdomain host.pool.example.", ""),
        ("prereq yxdomain no.pool.example.", "NXDOMAIN"),
        ("prereq nxdomain no.pool.example.", ""),
        ("prereq nxdomain host.pool.example.", "YXDOMAIN"),
        ("prereq yxrrset host.pool.example. A", ""),
        ("prereq yxrrset host.pool.example. TXT", "NXRRSET"),
        ("prereq nxrrset host.pool.example. TXT", ""),
        ("prereq nxrrset host.pool.example. A", "YXRRSET"),
        (both, ""),
        ("prereq yxrrset host.pool.example. A 10.0.0.1", "NXRRSET"),
        // Pools and members are judged by what is shown of them.
        ("prereq yxrrset web.pool.example. A 10.0.0.3\nprereq yxdomain m1.web.pool.example.", ""),
        ("prereq nxdomain m1.web.pool.example.", "YXDOMAIN"),
        ("prereq yxdomain game.pool.example.", "NXDOMAIN"),
    ];
    let mut done = Vec::new();
    for (number, (prerequisites, error)) in rows.iter().enumerate() {
        let script = format!("{prerequisites}\nupdate add done.pool.example. 30 TXT {number}");
        match server.try_update(&FLEET, &script) {
            Ok(()) => assert_eq!(*error, "", "{prerequisites}"),
            Err(said) => {
                assert!(said.contains(&format!("update failed: {error}\n")), "{prerequisites}: {said}")
            }
        }
        done.extend(error.is_empty().then(|| format!("\"{number}\"")));
        done.sort();
        assert_eq!(server.dig("done.pool.example TXT").sorted(), done, "{prerequisites}");
    }
}

#[test]
fn keeps_soa_and_a_last_ns_at_the_apex() {
    let Some(server) = fleet() else { return };
    let ns = || server.dig("pool.example NS").sorted();
    let soa = || server.dig("pool.example SOA").data().remove(0);
    let serial = || soa().split(' ').nth(2).unwrap().parse::<u32>().unwrap();
    server.update(&FLEET, "update add pool.example. 300 NS ns2.example.net.");
    assert_eq!(ns(), ["ns.pool.example.", "ns2.example.net."]);
    server.update(&FLEET, "update delete pool.example. NS");
    server.update(&FLEET, "update delete pool.example.");
    server.update(&FLEET, &format!("update delete pool.example. SOA {}", soa()));
    assert_eq!(ns(), ["ns.pool.example.", "ns2.example.net."]);
    server.update(&FLEET, "update delete pool.example. NS ns.pool.example.");
    server.update(&FLEET, "update delete pool.example. NS ns2.example.net.");
    assert_eq!(ns(), ["ns2.example.net."]);

    let replace = |serial: u32| {
        let soa = format!("ns2.example.net. root.example.net. {serial} 1000 100 10000 9");
        server.update(&FLEET, &format!("update add pool.example. 300 SOA {soa}"));
    };
    let before = serial();
    replace(before.wrapping_sub(1));
    assert!(soa().starts_with("ns.pool.example. ") && serial() == before, "an earlier one is passed over");
    replace(before + 5_000);
    let wanted = format!("ns2.example.net. root.example.net. {} 1000 100 10000 2", before + 5_000);
    assert_eq!(soa(), wanted, "and negative_ttl stands");
    let server = server.crash();
    let soa = server.dig("pool.example SOA").data().remove(0);
    assert!(soa.starts_with("ns2.example.net. root.example.net. "), "{soa}");
    assert_eq!(server.dig("pool.example NS").data(), ["ns2.example.net."]);
}

/// nsupdate takes TCP by itself for what does not fit into a datagram.
#[test]
fn sends_a_message_of_nearly_64_kib_over_tcp() {
    let Some(server) = fleet() else { return };
    // 249 octets each, the owner's end compressed: 65,238 with nothing around them.
    let line = |round: usize, n: usize| {
        format!("update add big{n:03}.pool.example. 30 TXT {}\n", format!("{round}").repeat(229))
    };
    for (round, arguments) in [&["-v", "-k", "fleet.key"][..], &FLEET].into_iter().enumerate() {
        let script: String = (0..262).map(|n| line(round, n)).collect();
        server.update(arguments, &script);
        // Each time a signed question for the SOA, and one UPDATE.
        let rounds = round as u64 + 1;
        server.counts(&[("/updates/handled", rounds * 2), ("/names/changed", rounds * 262)]);
    }
    assert_eq!(server.dig("big000.pool.example TXT").answer.len(), 2);
    assert_eq!(server.dig("big261.pool.example TXT").answer.len(), 2);
}
