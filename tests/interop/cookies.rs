//! DNS cookies as dig has them. It sends one unless told otherwise, and says of what comes back whether it is good.

use super::server::Site;

/// The cookie in what dig prints, as hexadecimal digits; dig must have found it good.
fn cookie(text: &str) -> String {
    let line = text.lines().filter_map(|line| line.strip_prefix("; COOKIE: ")).next_back();
    let cookie = line.and_then(|line| line.strip_suffix(" (good)"));
    cookie.unwrap_or_else(|| panic!("no good cookie: {text}")).to_owned()
}

const CLIENT: &str = "00112233445566ff";

#[test]
fn dig_is_given_a_cookie_that_it_finds_good() {
    let Some(server) = Site::new("").serve() else { return };
    for arguments in ["", "+tcp", "+bufsize=512", "+dnssec", "+opcode=status"] {
        let answer = server.dig(&format!("+cookie {arguments} ns.pool.example A"));
        assert_eq!(cookie(&answer.text).len(), 48, "{}", answer.text);
    }
    let own = server.dig(&format!("+cookie={CLIENT} ns.pool.example A"));
    let learnt = cookie(&own.text);
    assert!(learnt.starts_with(CLIENT), "{learnt}");
    let again = server.dig(&format!("+cookie={learnt} ns.pool.example A"));
    again.is("NOERROR", "qr aa");
    assert_eq!(cookie(&again.text), learnt, "kept while it is fresh");
    let without = server.dig("+nocookie ns.pool.example A");
    assert!(!without.text.contains("COOKIE"), "{}", without.text);
}

#[test]
fn a_wrong_cookie_is_answered_and_replaced_a_malformed_one_is_formerr() {
    let Some(server) = Site::new("").serve() else { return };
    let wrong = format!("{CLIENT}0100000000000000deadbeefdeadbeef");
    let answer = server.dig(&format!("+cookie={wrong} ns.pool.example A"));
    answer.is("NOERROR", "qr aa");
    assert!(cookie(&answer.text).starts_with(CLIENT) && cookie(&answer.text) != wrong);
    server.dig("+cookie=0011223344 ns.pool.example A").is("FORMERR", "qr");
}

#[test]
fn a_cookie_alone_is_asked_for_and_confirmed() {
    let Some(server) = Site::new("").serve() else { return };
    let first = server.dig(&format!("+header-only +cookie={CLIENT}"));
    first.is("NOERROR", "qr");
    let learnt = cookie(&first.text);
    server.dig(&format!("+header-only +nobadcookie +cookie={learnt}")).is("NOERROR", "qr");
    let wrong = format!("{CLIENT}0100000000000000deadbeefdeadbeef");
    let refused = server.dig(&format!("+header-only +nobadcookie +cookie={wrong}"));
    refused.is("BADCOOKIE", "qr");
    assert!(cookie(&refused.text).starts_with(CLIENT), "with one that is good");
    server.dig("+header-only +nocookie").is("FORMERR", "qr");
    server.counts(&[("/udp/cookie", 3), ("/udp/formerr", 1)]);
}

/// The address is the one that the question came from, over either transport.
#[test]
fn a_cookie_is_good_at_its_own_address_alone() {
    let Some(server) = Site::new("").serve() else { return };
    let learnt = cookie(&server.dig(&format!("+cookie={CLIENT} ns.pool.example A")).text);
    for transport in ["+notcp", "+tcp"] {
        let confirm = format!("{transport} +header-only +nobadcookie +cookie={learnt}");
        server.dig(&confirm).is("NOERROR", "qr");
        let elsewhere = server.dig(&format!("-b 127.0.0.3 {confirm}"));
        elsewhere.is("BADCOOKIE", "qr");
        assert_ne!(cookie(&elsewhere.text), learnt);
    }
}

#[test]
fn a_signed_question_gets_its_cookie_too() {
    let Some(server) = Site::new("").key("fleet", "hmac-sha256").serve() else { return };
    let key = format!("hmac-sha256:fleet:{}", server.secret("fleet"));
    let answer = server.dig(&format!("-y {key} +cookie={CLIENT} ns.pool.example A"));
    answer.is("NOERROR", "qr aa");
    assert!(cookie(&answer.text).starts_with(CLIENT), "{}", answer.text);
    assert!(answer.text.contains("TSIG PSEUDOSECTION") && !answer.text.contains("verify"));
    let alone = server.dig(&format!("-y {key} +header-only +cookie={}", cookie(&answer.text)));
    alone.is("NOERROR", "qr");
    assert_eq!(cookie(&alone.text), cookie(&answer.text));
}

#[test]
fn a_restart_draws_another_secret() {
    let Some(server) = Site::new("").serve() else { return };
    let learnt = cookie(&server.dig(&format!("+cookie={CLIENT} ns.pool.example A")).text);
    let server = server.restart();
    server.dig(&format!("+header-only +nobadcookie +cookie={learnt}")).is("BADCOOKIE", "qr");
}
