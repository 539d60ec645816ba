//! dnspython (PyPI): whatever a client can say, and what nsupdate and knsupdate cannot: EDNS options, a clock that is off,
//! a message that somebody else has captured. It verifies the signature of every reply that is no TSIG error.

use std::net::UdpSocket;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::tsig::TsigError;

use super::python;
use super::server::{RENEWALS, Server, Site};
use super::wire::Wire;

/// `fleet` may change everything.
const FLEET: &str = "[[grant]]\nkey = 'fleet'\npools = ['*']\nnames = ['@', '*']\ntypes = ['*']\n";

fn fleet() -> Option<Server> {
    if !python::is_here() {
        return None;
    }
    Site::new(FLEET).key("fleet", "hmac-sha256").serve()
}

#[test]
fn signs_with_every_algorithm_over_udp_and_tcp() {
    if !python::is_here() {
        return;
    }
    let algorithms = ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"];
    let site = algorithms.into_iter().fold(Site::new(""), |site, name| site.key_of_others(name, name));
    let grants = algorithms.map(|name| format!("[[grant]]\nkey = '{name}'\nnames = ['by-{name}']\n"));
    let Some(server) = site.grants(&grants.concat()).serve() else { return };
    for name in algorithms {
        let told = server.python(&format!(
            r#"
            for send, address in (udp, "10.0.0.1"), (tcp, "10.0.0.2"):
                message = update("{name}", "{name}")
                message.add("by-{name}", 30, "A", address)
                reply = send(message)
                print(told(reply), reply.had_tsig)
            "#
        ));
        assert_eq!(told, ["NOERROR True", "NOERROR True"], "{name}");
        assert_eq!(server.dig(&format!("by-{name}.pool.example A")).sorted(), ["10.0.0.1", "10.0.0.2"]);
    }
}

#[test]
fn is_told_what_is_wrong_with_a_signature() {
    let Some(server) = fleet() else { return };
    let told = server.python(
        r#"
        def attempt(message):
            try:
                message.add("m1.web", 30, "A", "10.0.0.1")
                print(told(udp(message)))
            except dns.exception.DNSException as error:
                print(type(error).__name__)

        attempt(update("fleet", named="nobody"))
        attempt(update("fleet", "hmac-sha512"))
        # To dnspython this is an algorithm with a name of its own (RFC 8945 section 6 lets servers do without it).
        attempt(update("fleet", "hmac-sha256-128"))
        forged = update()
        forged.use_tsig(dns.tsig.Key("fleet", "d3Jvbmc="))
        attempt(forged)
        real = time.time
        for wrong_by_s in -400, 400:
            time.time = lambda: real() + wrong_by_s
            attempt(update("fleet"))
        time.time = real
        attempt(update("fleet"))
        "#,
    );
    let wanted = ["BadKey", "BadKey", "BadKey", "BadSignature", "BadTime", "BadTime"]
        .map(|error| format!("Peer{error}"));
    assert_eq!(told[..6], wanted);
    assert_eq!(told[6..], ["NOERROR"], "the key itself is good");
    assert_eq!(server.web(), ["10.0.0.1"]);
    server.counts(&[("/updates/unverified", 6), ("/changes/joined", 1)]);
}

#[test]
fn sets_every_prerequisite_met_and_unmet() {
    let Some(server) = fleet() else { return };
    let told = server.python(
        r#"
        first = update("fleet")
        first.add("host", 30, "A", "10.0.0.1", "10.0.0.2")
        first.add("m1.web", 30, "A", "10.0.0.9")
        print(told(tcp(first)))

        def attempt(*conditions):
            message = update("fleet")
            for is_present, *what in conditions:
                (message.present if is_present else message.absent)(*what)
            message.replace("seen", 30, "TXT", "yes")
            print(told(udp(message)))

        attempt((True, "host"))
        attempt((True, "nothing"))
        attempt((False, "nothing"))
        attempt((False, "host"))
        attempt((True, "host", "A"))
        attempt((True, "host", "AAAA"))
        attempt((False, "host", "AAAA"))
        attempt((False, "host", "A"))
        attempt((True, "host", "A", "10.0.0.2"), (True, "host", "A", "10.0.0.1"))
        attempt((True, "host", "A", "10.0.0.1"))
        attempt((True, "web", "A", "10.0.0.9"), (True, "m1.web"))
        attempt((False, "m1.web"))
        # An empty non-terminal is a name not in use (RFC 2136 section 7.7).
        attempt((True, "_tcp.web"))
        attempt((True, "host.example."))
        "#,
    );
    let wanted = "NOERROR \
        NOERROR NXDOMAIN NOERROR YXDOMAIN \
        NOERROR NXRRSET NOERROR YXRRSET \
        NOERROR NXRRSET \
        NOERROR YXDOMAIN NXDOMAIN NOTZONE";
    assert_eq!(told.join(" "), wanted);
}

#[test]
fn adds_replaces_and_deletes_in_each_form() {
    let Some(server) = fleet() else { return };
    let send = |lines: &str| {
        let program = format!("message = update('fleet')\n{lines}\nprint(told(udp(message)))");
        assert_eq!(server.python(&program), ["NOERROR"], "{lines}");
    };
    let host = || server.dig("host.pool.example A").sorted();
    send(
        "message.add('host', 30, 'A', '10.0.0.1', '10.0.0.2', '10.0.0.3')\nmessage.add('host', 30, 'TXT', 'x')",
    );
    assert_eq!(host(), ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    send("message.delete('host', 'A', '10.0.0.2')");
    assert_eq!(host(), ["10.0.0.1", "10.0.0.3"]);
    send("message.replace('host', 60, 'A', '10.0.0.4')");
    assert_eq!(host(), ["10.0.0.4"]);
    send("message.delete('host', 'A')");
    assert!(host().is_empty());
    assert_eq!(server.dig("host.pool.example TXT").data(), ["\"x\""]);
    send("message.delete('host')");
    server.dig("host.pool.example TXT").is_nothing("NXDOMAIN");
    // Of a member, the same words are a heartbeat, a change of address and a leave.
    send("message.replace('m1.web', 30, 'A', '10.0.0.5')");
    send("message.replace('m1.web', 30, 'A', '10.0.0.5')");
    send("message.replace('m1.web', 30, 'A', '10.0.0.6')");
    assert_eq!(server.web(), ["10.0.0.6"]);
    send("message.delete('m1.web')");
    assert!(server.web().is_empty());
    server.counts(&[("/changes/joined", 1), (RENEWALS, 1), ("/changes/changed", 1)]);
    server.counts(&[("/changes/deregistered", 1)]);
}

#[test]
fn asks_for_leases_of_4_and_8_octets_and_reads_what_was_granted() {
    let Some(server) = fleet() else { return };
    let told = server.python(
        r#"
        def attempt(send, name, *seconds):
            message = update("fleet")
            message.replace(name, 30, "A", "10.0.0.1")
            asked = b"".join(second.to_bytes(4, "big") for second in seconds)
            message.use_edns(options=[dns.edns.GenericOption(2, asked)])
            reply = send(message)
            granted = [int.from_bytes(octets[at:at + 4], "big") for octets in options(reply, 2)
                       for at in range(0, len(octets), 4)]
            print(told(reply), reply.had_tsig, *granted)

        for send in udp, tcp:
            attempt(send, "m1.web", 60)
            attempt(send, "m1.web", 60, 120)
            attempt(send, "m1.web", 1, 5)
            attempt(send, "m1.web", 999999)
            attempt(send, "host", 90)
            attempt(send, "host", 0)
            attempt(send, "m1.web", 0, 0)
        "#,
    );
    let wanted =
        ["60", "60 120", "2 5", "3600", "90", "0", "0 0"].map(|granted| format!("NOERROR True {granted}"));
    assert_eq!(told, [&wanted[..], &wanted].concat());
    server.dig("host.pool.example A").is_nothing("NXDOMAIN");
    assert!(server.web().is_empty());
}

#[test]
fn reads_why_it_was_refused() {
    let Some(server) = fleet() else { return };
    let told = server.python(
        r#"
        for name, what in ("m1.web", ("A", "127.0.0.1")), ("m9.web", ("TXT", "weight=1")), ("web", ("CNAME", "host")):
            message = update("fleet")
            message.add(name, 30, *what)
            message.use_edns()
            print(told(udp(message)))
        "#,
    );
    let reasons = ["loopback", "register again", "stands in the way of pool web.pool.example."];
    assert_eq!(told.len(), reasons.len());
    for (told, reason) in told.iter().zip(reasons) {
        assert!(told.starts_with("REFUSED ") && told.contains(reason), "{told}");
    }
}

#[test]
fn sends_a_message_of_nearly_64_kib_over_tcp() {
    let Some(server) = fleet() else { return };
    let told = server.python(
        r#"
        message = update("fleet")
        for number in range(262):
            message.add(f"big{number:03}", 30, "TXT", "x" * 229)
        print(told(tcp(message)), len(message.wire))
        "#,
    );
    let (told, octets) = told[0].split_once(' ').unwrap();
    assert!(told == "NOERROR" && octets.parse::<usize>().unwrap() > 65_000, "{told} {octets}");
    server.counts(&[("/updates/handled", 1), ("/names/changed", 262)]);
    assert_eq!(server.dig("big261.pool.example TXT").data(), [format!("\"{}\"", "x".repeat(229))]);
}

/// GSS-TSIG is not spoken here: a client that begins it (RFC 3645 section 3.1.2) is told so, and nothing is left of it.
#[test]
fn begins_gss_tsig_and_is_refused() {
    let Some(server) = fleet() else { return };
    let told = server.python(
        r#"
        import dns.rdtypes.ANY.TKEY as tkey
        name, now = "1.sig-host.pool.example.", int(time.time())
        gss = dns.name.from_text("gss-tsig.")
        offer = tkey.TKEY(dns.rdataclass.ANY, dns.rdatatype.TKEY, gss, now, now + 3600, 3, 0, b"token")
        for send in udp, tcp:
            question = dns.message.make_query(name, "TKEY", "ANY")
            question.additional.append(dns.rrset.from_rdata(name, 0, offer))
            print(told(send(question)))
        "#,
    );
    assert_eq!(told, ["REFUSED", "REFUSED"]);
    server.update(&[], "update add m1.web.pool.example. 30 A 10.0.0.1");
    assert_eq!(server.web(), ["10.0.0.1"]);
}

/// Sends octets as somebody else has captured them.
fn replay(server: &Server, captured: &str) -> Message {
    let octets: Vec<_> = (0..captured.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&captured[at..at + 2], 16).unwrap())
        .collect();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send_to(&octets, server.address).unwrap();
    let mut reply = [0; 1232];
    let len = socket.recv(&mut reply).unwrap();
    Message::from_vec(&reply[..len]).unwrap()
}

#[test]
fn its_captured_messages_are_good_once() {
    let Some(server) = fleet() else { return };
    // TSIG counts seconds: what is to be newer waits for the next.
    let captured = server.python(
        r#"
        def send(name, address):
            message = update("fleet")
            message.delete(name)
            if address:
                message.add(name, 30, "A", address)
            assert told(udp(message)) == "NOERROR"
            return message.wire.hex()

        def wait():
            second = int(time.time())
            while int(time.time()) == second:
                time.sleep(0.01)

        print(send("m1.web", "10.0.0.1"), send("host", "10.0.0.1"))
        wait()
        print(send("m1.web", "10.0.0.2"), send("host", "10.0.0.2"))
        "#,
    );
    let captured: Vec<_> = captured.iter().flat_map(|line| line.split(' ')).collect();
    let [old_member, old_host, new_member, new_host] = captured[..] else { panic!("{captured:?}") };
    let is_badtime = |server: &Server, captured| {
        let reply = replay(server, captured);
        assert_eq!(reply.metadata.response_code, ResponseCode::NotAuth);
        let Some(RData::TSIG(tsig)) = reply.additionals.last().map(|record| &record.data) else {
            panic!("{reply}");
        };
        assert_eq!(tsig.error, Some(TsigError::BadTime));
        assert!(!tsig.mac.is_empty() && tsig.other.len() == 6, "signed, with the server's time");
    };
    let is_unchanged = |server: &Server| {
        assert_eq!(server.web(), ["10.0.0.2"]);
        assert_eq!(server.dig("host.pool.example A").data(), ["10.0.0.2"]);
    };
    is_badtime(&server, old_member);
    is_badtime(&server, old_host);
    // The newest again is what a client sends that has lost the reply.
    for newest in [new_member, new_host] {
        assert_eq!(replay(&server, newest).metadata.response_code, ResponseCode::NoError);
    }
    is_unchanged(&server);
    let server = server.crash();
    is_badtime(&server, old_member);
    is_badtime(&server, old_host);
    is_unchanged(&server);

    server.python(
        r#"
        second = int(time.time())
        while int(time.time()) == second:
            time.sleep(0.01)
        message = update("fleet")
        message.delete("m1.web")
        message.delete("host")
        print(told(udp(message)))
        "#,
    );
    let server = server.restart();
    for captured in [old_member, new_member, old_host, new_host] {
        is_badtime(&server, captured);
    }
    assert!(server.web().is_empty(), "who has left is not brought back");
    server.dig("host.pool.example A").is_nothing("NXDOMAIN");
}

/// Beyond loopback, where a source can be forged: RFC 7873 section 5.2.3 as a client lives it.
#[test]
fn is_given_a_cookie_and_joins_with_it_where_no_key_is_asked_for() {
    if !python::is_here() {
        return;
    }
    let Some(wire) = Wire::new() else { return };
    let grant =
        "[[grant]]\nunsigned = true\nsources = ['192.0.2.0/24']\npools = ['web']\nown_address = true\n";
    let Some(server) = Site::new(grant).serve_on(wire) else { return };
    let told = server.python(
        r#"
        def attempt(send, address, cookie=None, **more):
            message = update()
            message.replace("m-" + address.replace(".", "-") + ".web", 30, "A", address)
            if cookie:
                message.use_edns(options=[dns.edns.GenericOption(10, cookie)])
            reply = send(message, **more)
            print(dns.rcode.to_text(reply.rcode()))
            return (options(reply, 10) or [None])[0]

        client = bytes(range(8))
        attempt(udp, "192.0.2.2")
        cookie = attempt(udp, "192.0.2.2", client)
        assert len(cookie) == 24 and cookie.startswith(client), cookie
        assert attempt(udp, "192.0.2.2", cookie) == cookie
        # Not with another's, not for another, and with none over TCP.
        attempt(udp, "192.0.2.3", cookie, source="192.0.2.3")
        attempt(udp, "192.0.2.3", cookie)
        attempt(tcp, "192.0.2.3", source="192.0.2.3")
        "#,
    );
    assert_eq!(told, ["REFUSED", "BADCOOKIE", "NOERROR", "BADCOOKIE", "REFUSED", "NOERROR"]);
    assert_eq!(server.web(), ["192.0.2.2", "192.0.2.3"]);
    server.log.wait(&["joined", "member=\"m-192-0-2-2\"", "owner=\"192.0.2.2\""]);

    // nsupdate sends no cookies: it takes TCP.
    let leave = "update delete m-192-0-2-2.web.pool.example. A";
    let error = server.try_update(&[], leave).unwrap_err();
    assert!(error.contains("update failed: REFUSED"), "{error}");
    server.update(&["-v"], leave);
    assert_eq!(server.web(), ["192.0.2.3"]);
}
