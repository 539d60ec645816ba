//! What dig sees.

use super::server::{Server, Site};

/// Three members of `web`: one with both families, one with an attribute.
fn three_members() -> Option<Server> {
    let server = Site::new("").one_worker().serve()?;
    server.update(
        &[],
        "update add m1.web.pool.example. 30 A 10.0.0.1
         update add m1.web.pool.example. 30 AAAA 2001:db8::1
         update add m2.web.pool.example. 30 A 10.0.0.2
         update add m3.web.pool.example. 30 A 10.0.0.3
         update add m3.web.pool.example. 30 TXT site=fra
         update add _http._tcp.web.pool.example. 30 SRV 0 10 8081 m1.web.pool.example.
         update add _http._tcp.web.pool.example. 30 SRV 0 10 8082 m2.web.pool.example.",
    );
    Some(server)
}

/// More members than a datagram of 512 octets shows: SRV records of 40 octets, each with an address of 16.
fn forty_members() -> Option<Server> {
    let server = Site::new("").serve()?;
    let member = |n: usize| {
        format!(
            "update add m{n}.web.pool.example. 30 A 10.0.0.{n}
             update add _http._tcp.web.pool.example. 30 SRV 0 10 80 m{n}.web.pool.example.\n"
        )
    };
    server.update(&["-v"], &(1..=40).map(member).collect::<String>());
    Some(server)
}

#[test]
fn addresses_of_either_family_with_a_ttl_of_at_most_five_seconds() {
    let Some(server) = three_members() else { return };
    let answer = server.dig("web.pool.example A");
    answer.is("NOERROR", "qr aa");
    assert_eq!(answer.sorted(), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    assert!(answer.answer.iter().all(|record| record.ttl_s == 5 && record.name == "web.pool.example."));
    assert_eq!(answer.transport, "UDP");
    assert_eq!(server.dig("web.pool.example AAAA").data(), ["2001:db8::1"]);
    assert_eq!(server.dig("m3.web.pool.example TXT").data(), ["\"site=fra\""]);
    server.dig("m2.web.pool.example AAAA").is_nothing("NOERROR");
    server.dig("m4.web.pool.example A").is_nothing("NXDOMAIN");
}

#[test]
fn each_member_is_first_in_turn() {
    let Some(server) = three_members() else { return };
    let mut each: Vec<_> = (0..3).map(|_| server.dig("web.pool.example A").data().remove(0)).collect();
    each.sort();
    assert_eq!(each, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
}

#[test]
fn srv_brings_the_addresses_of_its_targets() {
    let Some(server) = three_members() else { return };
    let answer = server.dig("_http._tcp.web.pool.example SRV");
    answer.is("NOERROR", "qr aa");
    assert_eq!(answer.sorted(), ["0 10 8081 m1.web.pool.example.", "0 10 8082 m2.web.pool.example."]);
    let mut beside: Vec<_> =
        answer.additional.iter().map(|record| (record.name.as_str(), record.data.as_str())).collect();
    beside.sort_unstable();
    let wanted = [
        ("m1.web.pool.example.", "10.0.0.1"),
        ("m1.web.pool.example.", "2001:db8::1"),
        ("m2.web.pool.example.", "10.0.0.2"),
    ];
    assert_eq!(beside, wanted);
}

#[test]
fn all_has_everyone_in_a_stable_order_where_the_pool_itself_picks_one() {
    let Some(server) = Site::new("").serve() else { return };
    let join = |n: usize| {
        format!(
            "update add g{n}.game.pool.example. 30 A 10.0.1.{n}
             update add _udp._udp.game.pool.example. 30 SRV 0 1 99 g{n}.game.pool.example.\n"
        )
    };
    server.update(&[], &(1..=4).map(join).collect::<String>());
    let first = server.dig("all.game.pool.example A").data();
    assert_eq!(first.len(), 4);
    for _ in 0..4 {
        assert_eq!(server.dig("all.game.pool.example A").data(), first);
        assert_eq!(server.dig("game.pool.example A").data().len(), 1);
    }
    assert_eq!(server.dig("_udp._udp.all.game.pool.example SRV").data().len(), 4);
    server.dig("all.game.pool.example TXT").is_nothing("NOERROR");
}

#[test]
fn static_records_aliases_and_what_is_not_there() {
    let Some(server) = three_members() else { return };
    let soa = server.dig("pool.example SOA");
    soa.is("NOERROR", "qr aa");
    assert!(soa.answer[0].data.ends_with(" 2"), "MINIMUM is negative_ttl: {}", soa.text);
    assert_eq!(server.dig("pool.example NS").data(), ["ns.pool.example."]);
    assert_eq!(server.dig("ns.pool.example A").data(), ["127.0.0.1"]);
    assert!(server.dig("info.pool.example TXT").data()[0].starts_with("\"pool.example. is served"));
    let alias = server.dig("www.pool.example A").data();
    assert_eq!((alias.len(), alias[0].as_str()), (4, "web.pool.example."), "the alias, then the pool");
    server.dig("info.pool.example A").is_nothing("NOERROR");
    server.dig("nobody.pool.example A").is_nothing("NXDOMAIN");
    // An empty non-terminal, as resolvers that minimise the question ask for it.
    server.dig("_tcp.web.pool.example A").is_nothing("NOERROR");
    server.dig("game.pool.example A").is_nothing("NOERROR");
}

#[test]
fn any_is_answered_with_one_rrset() {
    let Some(server) = three_members() else { return };
    let answer = server.dig("web.pool.example ANY");
    answer.is("NOERROR", "qr aa");
    assert!(answer.answer.iter().all(|record| record.rtype == "A"), "{}", answer.text);
    assert_eq!(answer.answer.len(), 3);
}

#[test]
fn the_name_comes_back_in_the_case_in_which_it_was_asked() {
    let Some(server) = three_members() else { return };
    for name in ["wEb.pOOl.eXaMPLe.", "M1.WEB.pool.example.", "Ns.Pool.EXAMPLE."] {
        let answer = server.dig(&format!("{name} A"));
        assert!(answer.question.starts_with(name), "{}", answer.text);
        assert!(answer.answer.iter().all(|record| record.name == name), "{}", answer.text);
        assert!(!answer.answer.is_empty());
    }
    let answer = server.dig("NoBody.Pool.Example. A");
    assert!(answer.question.starts_with("NoBody.Pool.Example."), "{}", answer.text);
}

#[test]
fn edns_only_where_it_was_asked_for_and_other_versions_are_badvers() {
    let Some(server) = three_members() else { return };
    let with = server.dig("web.pool.example A");
    assert!(with.text.contains("EDNS: version: 0, flags:; udp: 1232"), "{}", with.text);
    let without = server.dig("+noedns web.pool.example A");
    without.is("NOERROR", "qr aa");
    assert!(!without.text.contains("OPT PSEUDOSECTION"), "{}", without.text);
    let later = server.dig("+edns=1 +noednsnegotiation web.pool.example A");
    later.is("BADVERS", "qr");
    assert!(later.answer.is_empty() && later.text.contains("EDNS: version: 0"), "{}", later.text);
    let negotiated = server.dig_text("+edns=1 web.pool.example A");
    assert!(negotiated.contains("BADVERS, retrying") && negotiated.contains("NOERROR"), "{negotiated}");
    let strange = server.dig("+ednsopt=65001:c0ffee +subnet=192.0.2.0/24 web.pool.example A");
    strange.is("NOERROR", "qr aa");
}

#[test]
fn other_opcodes_classes_and_zones() {
    let Some(server) = three_members() else { return };
    for opcode in ["notify", "status", "3", "15"] {
        server.dig(&format!("+opcode={opcode} web.pool.example A")).is("NOTIMP", "qr");
    }
    server.dig("version.bind CH TXT").is("REFUSED", "qr");
    server.dig("web.pool.example CH A").is("REFUSED", "qr");
    server.dig("example.org A").is("REFUSED", "qr");
    server.dig(". NS").is("REFUSED", "qr");
    server.dig("-t TYPE666 web.pool.example").is_nothing("NOERROR");
}

#[test]
fn what_does_not_fit_is_truncated_and_asked_again_over_tcp() {
    let Some(server) = forty_members() else { return };
    let cut = server.dig("+bufsize=512 +ignore _http._tcp.web.pool.example SRV");
    cut.is("NOERROR", "qr aa tc");
    assert!(cut.size <= 512, "{}", cut.text);
    let again = server.dig("+bufsize=512 _http._tcp.web.pool.example SRV");
    again.is("NOERROR", "qr aa");
    assert_eq!((again.transport.as_str(), again.answer.len(), again.additional.len()), ("TCP", 40, 40));
    assert!(again.text.contains("Truncated, retrying in TCP mode"), "{}", again.text);

    // Without EDNS the limit is 512; with it no more than 1,232, however much the client takes.
    server.dig("+noedns +ignore web.pool.example A").is("NOERROR", "qr aa tc");
    let plain = server.dig("+bufsize=4096 +ignore _http._tcp.web.pool.example SRV");
    plain.is("NOERROR", "qr aa tc");
    assert!((513..=1232).contains(&plain.size), "{}", plain.text);
    let whole = server.dig("+bufsize=1232 +ignore web.pool.example A");
    whole.is("NOERROR", "qr aa");
    assert_eq!(whole.answer.len(), 40);
}

#[test]
fn several_questions_on_one_connection() {
    let Some(server) = three_members() else { return };
    let text = server.dig_text(
        "+tcp +keepopen web.pool.example A _http._tcp.web.pool.example SRV pool.example SOA nobody.pool.example A",
    );
    let statuses: Vec<_> = text.match_indices("status: ").map(|(at, _)| &text[at + 8..at + 15]).collect();
    assert_eq!(statuses, ["NOERROR", "NOERROR", "NOERROR", "NXDOMAI"], "{text}");
    assert_eq!(text.matches("(TCP)").count(), 4, "{text}");
    server.counts(&[("/connections/accepted", 1), ("/tcp/positive", 3), ("/tcp/nxdomain", 1)]);
}

#[test]
fn a_signed_question_gets_a_signed_answer_that_dig_verifies() {
    let algorithms = ["hmac-sha256", "hmac-sha384", "hmac-sha512"];
    let site = algorithms.into_iter().fold(Site::new(""), |site, name| site.key(name, name));
    let Some(server) = site.serve() else { return };
    server.update(&[], "update add m1.web.pool.example. 30 A 10.0.0.1");
    for name in algorithms {
        let key = format!("{name}:{name}:{}", server.secret(name));
        for signing in [format!("-y {key}"), format!("-k {name}.key"), format!("+tcp -y {key}")] {
            let answer = server.dig(&format!("{signing} web.pool.example A"));
            answer.is("NOERROR", "qr aa");
            assert_eq!(answer.data(), ["10.0.0.1"]);
            assert!(answer.text.contains("TSIG PSEUDOSECTION") && answer.text.contains(" NOERROR 0"));
            for complaint in ["verify", "WARNING -- Some TSIG", "TSIG error"] {
                assert!(!answer.text.contains(complaint), "{}", answer.text);
            }
        }
    }
    // That dig does complain: signed with another key's secret, the answer cannot be verified.
    let wrong = format!("hmac-sha256:hmac-sha256:{}", server.secret("hmac-sha512"));
    let answer = server.dig(&format!("-y {wrong} web.pool.example A"));
    assert_eq!(answer.status, "NOTAUTH", "{}", answer.text);
    assert!(answer.answer.is_empty() && answer.text.contains("BADSIG"), "{}", answer.text);
}

#[test]
fn a_server_says_of_itself_what_is_configured_and_no_more() {
    let Some(server) = Site::new("").serve() else { return };
    server.dig("version.bind CH TXT").is("REFUSED", "qr");
    assert!(!server.dig_text("+nsid ns.pool.example A").contains("NSID"));
    let identity = "[identity]\nversion = 'rollcall'\nnsid = 'fra1'\n";
    let Some(server) = Site::new("").append(identity).serve() else { return };
    for name in ["version.bind", "version.server"] {
        assert!(server.dig_text(&format!("{name} CH TXT")).contains("\"rollcall\""), "{name}");
    }
    server.dig("hostname.bind CH TXT").is("REFUSED", "qr");
    assert!(server.dig_text("+nsid ns.pool.example A").contains("(\"fra1\")"));
    assert!(server.dig_text("www.example.org A").contains("EDE: 20 (Not Authoritative)"));
}
