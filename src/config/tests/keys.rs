//! `[[key]]`: secrets in rollcall.toml, and in files of their own.

use super::*;

const SECRET: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const FILE: &str = "[[key]]\nfile = 'web.key'\n";

/// Names, algorithms and the lines of a key file's keys.
fn keys_of(text: &str) -> Vec<String> {
    let (_dir, config) = load_files(&[("rollcall.toml", FILE), ("web.key", text), ("zones/a.toml", "")]);
    let ring = config.unwrap().keyring;
    ring.names().into_iter().map(|name| ring.get(name).unwrap().to_string()).collect()
}

fn bad_file(text: &str) -> String {
    bad(&[("rollcall.toml", FILE), ("web.key", text), ("zones/a.toml", "")])
}

#[test]
fn key_errors_never_show_a_secret() {
    let name = "[[key]]\nname = 'web'\n";
    for (text, wanted) in [
        (
            "secret = 'hush!'\n",
            "rollcall.toml:3:10: `secret` is not base64; give what `rollcall keygen` prints",
        ),
        ("secret = ''\n", "rollcall.toml:3:10: `secret`: the secret is empty; give"),
        (
            "secert = 'hush'\n",
            "rollcall.toml:3:1: `secert`: unknown field `secert`, expected one of `name`, ",
        ),
        ("secret = 4711\n", "rollcall.toml:3:10: `secret`: expected a text in base64, found: integer"),
        ("secret = 'hush\n", "rollcall.toml:3:"),
        ("secret = hush\n", "rollcall.toml:3:10: "),
        ("'hush'\n", "rollcall.toml:3:7: "),
        ("secret = \"\"\"\nhush\"\"\"x\n", "rollcall.toml:4:"),
        (
            "algorithm = 'hmac-md5'\nsecret = 'hush'\n",
            "rollcall.toml:3:13: `algorithm`: \"hmac-md5\": not supported; give hmac-sha256, ",
        ),
        (
            "algorithm = 'hmac-sha256-100'\nsecret = 'hush'\n",
            "rollcall.toml:3:13: `algorithm`: \"hmac-sha256-100\": the bits after hmac-sha256- have to be a multiple of 8 \
             from 128 to 256\n",
        ),
        ("", "rollcall.toml:1:1: a [[key]] needs either `name` and `secret`, or `file` alone\n"),
        ("secret = 'hush'\nfile = 'web.key'\n", "rollcall.toml:1:1: a [[key]] needs either"),
        ("file = 'web.key'\n", "rollcall.toml:1:1: a [[key]] needs either"),
    ] {
        let found = bad_server(&format!("{name}{text}"));
        assert!(found.starts_with(wanted), "{found}");
        for secret in ["hush", "4711"] {
            assert!(!found.contains(secret), "{found}");
        }
    }
    let found = bad_server(&format!("{KEY}{}", KEY.replace("web", "WEB.")));
    assert!(found.starts_with("rollcall.toml:5:8: `name`: there is a key web. already; remove"), "{found}");
    for (text, wanted) in [
        ("key = [{ name = 'a b.', secret = 'hush' }]\n", "is not a domain name; give one like"),
        ("key = [{ secret = 'hush' }]\n", "a [[key]] needs either"),
    ] {
        let found = bad_server(text);
        assert!(found.contains(wanted) && !found.contains("hush"), "{found}");
    }
}

#[test]
fn key_files_are_read_as_bind_reads_them() {
    let one = format!("key \"web.\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{SECRET}\";\n}};\n");
    assert_eq!(keys_of(&one), ["web. (hmac-sha256)"]);
    // Base64 with slashes, which begin no comment there.
    let bare = "KEY Web.Example{secret aGk//zPzaGhodXNo;Algorithm HMAC-SHA512-256;};";
    assert_eq!(keys_of(bare), ["web.example. (hmac-sha512-256)"]);
    let comments = format!(
        "# one\n// two \"\n/* three\n key */ key /**/ \"a\" // {{\n{{ secret {SECRET}; /*;*/ algorithm hmac-sha1;#;\n}};#end"
    );
    assert_eq!(keys_of(&format!("{comments}\n{one}")), ["a. (hmac-sha1)", "web. (hmac-sha256)"]);
    assert_eq!(keys_of(&comments), ["a. (hmac-sha1)"]);

    let zone = "create_pools = true\n[[grant]]\nkey = 'web'\n";
    let (dir, config) = load_files(&[("rollcall.toml", FILE), ("web.key", &one), ("zones/a.toml", zone)]);
    let config = config.unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.files[1], dir.path().join("web.key"), "beside rollcall.toml");
}

#[test]
fn key_file_errors_name_the_line_and_show_nothing() {
    let in_key = |clauses: &str| format!("\nkey hush1 {{\n{clauses}}};\n");
    let secret = format!("secret \"{SECRET}\";\n");
    for (text, wanted) in [
        (String::new(), "web.key:1: there is no key in this file; make one with"),
        ("# hush\n".into(), "web.key:1: there is no key in this file; make one with"),
        ("hush;\n".into(), "web.key:1: `key` is missing here; a key is written `key \"NAME\" { algorithm "),
        ("\nkey {".into(), "web.key:2: the key's name is missing here;"),
        ("key \"hush hush\" {".into(), "web.key:1: the key's name is not a domain name; give"),
        ("key . {".into(), "web.key:1: the key's name is not a domain name; give"),
        ("key hush\nhush".into(), "web.key:2: `{` is missing here;"),
        ("key hush\n".into(), "web.key:2: `{` is missing here;"),
        (in_key("hush 1;\n"), "web.key:3: `algorithm`, `secret` or `}` is missing here;"),
        (in_key("secret hush\n"), "web.key:4: `;` is missing here;"),
        (in_key("secret hush hush;\n"), "web.key:3: `;` is missing here;"),
        (in_key("secret hush!;\n"), "web.key:3: the key's secret is not base64; give"),
        (
            in_key("secret \"\";algorithm hmac-sha256;"),
            "web.key:3: the key's secret: the secret is empty; give",
        ),
        (in_key("secret\n;\n"), "web.key:4: the secret, in base64, is missing here;"),
        (in_key("secret \"hush;\n"), "web.key:3: the quoted text that begins here has no end"),
        (in_key("/* hush\n"), "web.key:3: the comment that begins here has no end"),
        (in_key("algorithm hush;\n"), "web.key:3: the key's algorithm: not supported; give hmac-sha256, "),
        (
            in_key("algorithm hmac-sha256-64;\n"),
            "web.key:3: the key's algorithm: the bits after hmac-sha256- have to be a multiple of 8 from 128 to 256",
        ),
        (in_key("algorithm hmac-sha256;\n"), "web.key:2: the key that begins here has no `secret`; give"),
        (in_key(&secret), "web.key:2: the key that begins here has no `algorithm`; give"),
        (in_key(&format!("{secret}{secret}")), "web.key:4: this key has `secret` already; remove one"),
        (
            format!("key hush1 {{ algorithm hmac-sha256; {secret}}}"),
            "web.key:2: `;` after `}` is missing here;",
        ),
        (format!("key hush1 {{ algorithm hmac-sha256; {secret}"), "web.key:2: `}` is missing here;"),
        ("#".repeat(65_537), "web.key:1: a key file has 65536 octets at most; split it"),
    ] {
        let found = bad_file(&text);
        assert!(found.starts_with(wanted), "{found}");
        assert!(!found.contains("hush") && !found.contains("MDEy"), "{found}");
    }
    let one = format!("key web {{ algorithm hmac-sha256; {secret}}};\n");
    let twice = bad_file(&format!("{one}{}", one.replace("web", "WEB.")));
    assert_eq!(twice, "web.key:3: there is a key web. already; remove one or rename it");
    let both = format!("{KEY}{FILE}");
    let found = bad(&[("rollcall.toml", &both), ("web.key", &one), ("zones/a.toml", "")]);
    assert_eq!(found, twice.replace(":3:", ":1:"));
    let found = bad_server("[[key]]\nfile = 'gone.key'\n");
    assert!(
        found.starts_with("rollcall.toml:2:8: `file`: gone.key: No such file")
            && found.contains("relative to the directory of this one\n  2 | file = 'gone.key'\n"),
        "{found}"
    );
}

#[test]
fn a_key_file_is_its_owners_and_at_most_its_groups() {
    let text = format!("key web {{ algorithm hmac-sha256; secret {SECRET}; }};");
    let load = |mode| {
        let files =
            [("rollcall.toml", FILE, 0o644), ("web.key", text.as_str(), mode), ("zones/a.toml", "", 0o644)];
        let (dir, config) = load_modes(&files);
        config.map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
    };
    for mode in [0o600, 0o640, 0o440, 0o400] {
        assert_eq!(load(mode).unwrap().keyring.names().len(), 1, "{mode:o}");
    }
    for mode in [0o644, 0o660, 0o604, 0o602, 0o601, 0o620] {
        let wanted = format!(
            "web.key: mode {mode:03o} lets others read it, or more than its owner write it, and it holds secrets; run \
             `chmod 640 web.key`"
        );
        assert_eq!(load(mode).unwrap_err(), wanted);
    }
}
