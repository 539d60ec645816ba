//! certbot's RFC 2136 plugin (PyPI certbot-dns-rfc2136): the challenge of an ACME server, put up and taken down by the
//! plugin's own client, with a key that may do that and nothing else.

use super::python;
use super::server::{Server, Site};

const ACME: &str =
    "[[grant]]\nkey = 'acme'\nnames = ['_acme-challenge', '_acme-challenge.*']\ntypes = ['TXT']\n";

fn acme() -> Option<Server> {
    if !python::is_here() {
        return None;
    }
    Site::new(ACME).key("acme", "hmac-sha512").serve()
}

/// Runs calls of the plugin's client `certbot`, each as a method and its arguments.
fn run(server: &Server, calls: &str) -> Vec<String> {
    let before = r#"import dns.tsig as tsig
from certbot import errors
from certbot_dns_rfc2136._internal.dns_rfc2136 import _RFC2136Client

def client(key, sign_query=False):
    return _RFC2136Client(SERVER, PORT, key, secret("acme"), tsig.HMAC_SHA512, sign_query, PATIENCE_S)
"#;
    server.python(&format!("{before}{calls}"))
}

#[test]
fn a_challenge_is_put_up_and_taken_down() {
    let Some(server) = acme() else { return };
    let challenge = |name: &str| server.dig(&format!("{name} TXT")).sorted();
    run(
        &server,
        r#"
client("acme").add_txt_record("_acme-challenge.pool.example", "first", 120)
client("acme", True).add_txt_record("_acme-challenge.pool.example", "second", 120)
client("acme").add_txt_record("_acme-challenge.web.pool.example", "third", 120)
"#,
    );
    assert_eq!(challenge("_acme-challenge.pool.example"), ["\"first\"", "\"second\""]);
    assert_eq!(challenge("_acme-challenge.web.pool.example"), ["\"third\""]);
    run(
        &server,
        r#"
client("acme").del_txt_record("_acme-challenge.pool.example", "first")
client("acme").del_txt_record("_acme-challenge.web.pool.example", "third")
"#,
    );
    assert_eq!(challenge("_acme-challenge.pool.example"), ["\"second\""]);
    server.dig("_acme-challenge.web.pool.example TXT").is_nothing("NXDOMAIN");
}

#[test]
fn another_name_and_another_key_are_refused() {
    let Some(server) = acme() else { return };
    let told = run(
        &server,
        r#"
for key, name in ("acme", "www2.pool.example"), ("nobody", "_acme-challenge.pool.example"):
    try:
        client(key).add_txt_record(name, "first", 120)
    except errors.PluginError as error:
        print(error)
"#,
    );
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("REFUSED") && told[1].contains("The peer didn't know the key we used"),
        "{told:?}"
    );
    server.log.wait(&["UPDATE refused", "key acme.", "www2"]);
    assert!(server.dig("www2.pool.example TXT").answer.is_empty());
}
