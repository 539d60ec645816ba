//! Both commands against servers that are not ours: messages are read by hickory, signatures judged and made by `domain`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use clap::Parser as _;
use domain::base::iana::ExtendedErrorCode;
use domain::base::message_builder::AdditionalBuilder;
use domain::base::opt::ExtendedError;
use domain::base::{Message, MessageBuilder};
use domain::rdata::tsig::Time48;
use domain::tsig::{self as reference, ServerTransaction};
use hickory_proto::op::{Message as Read, OpCode};
use hickory_proto::rr::{DNSClass, RData, RecordType};

use super::*;
use crate::cli::Cli;

const SECRET: &[u8] = b"rollcall tests sign with this secret, and only they do.";
const ANSWERED: [u8; 10] = [0xa8, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A server for one connection: what it is sent is answered with what `reply` says, or not at all. Joined, it says what it
/// was sent.
fn server(
    reply: impl FnOnce(&[u8]) -> Option<Vec<u8>> + Send + 'static,
) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    #[expect(clippy::disallowed_methods, reason = "it stands in for a server")]
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut len = [0; 2];
        stream.read_exact(&mut len).unwrap();
        let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
        stream.read_exact(&mut message).unwrap();
        if let Some(reply) = reply(&message) {
            stream.write_all(&[&(reply.len() as u16).to_be_bytes(), &*reply].concat()).unwrap();
        }
        message
    });
    (address, thread)
}

/// NOERROR and nothing else.
fn noerror(message: &[u8]) -> Option<Vec<u8>> {
    Some([&message[..2], &ANSWERED].concat())
}

fn refusal(builder: &mut AdditionalBuilder<Vec<u8>>, rcode: Rcode, text: &str) {
    builder.header_mut().set_rcode(rcode);
    builder
        .opt(|opt| {
            let error = ExtendedError::<Vec<u8>>::new_with_str(ExtendedErrorCode::PROHIBITED, text);
            opt.push(&error.unwrap())
        })
        .unwrap();
}

/// An unsigned refusal with a reason.
fn refused(message: &[u8], rcode: Rcode, text: &str) -> Option<Vec<u8>> {
    let message = Message::from_octets(message).unwrap();
    let mut builder = MessageBuilder::new_vec().start_answer(&message, Rcode::NOERROR).unwrap().additional();
    refusal(&mut builder, rcode, text);
    Some(builder.finish())
}

/// What `domain` says that has this key: the RCODE and a reason, signed; or that it does not accept the signature.
fn judged(message: &[u8], key: &str, rcode: Rcode, text: &str) -> Option<Vec<u8>> {
    let key = key.parse().unwrap();
    let key = reference::Key::new(reference::Algorithm::Sha256, SECRET, key, None, None).unwrap();
    let now = Time48::from_u64(clock::wall_s());
    let plain = Message::from_octets(message.to_vec()).unwrap();
    let mut request = plain.clone();
    match ServerTransaction::request(&key, &mut request, now) {
        Ok(signer) => {
            let mut builder =
                MessageBuilder::new_vec().start_answer(&request, Rcode::NOERROR).unwrap().additional();
            refusal(&mut builder, rcode, text);
            signer.expect("it is signed").answer(&mut builder, now).unwrap();
            Some(builder.finish())
        }
        Err(error) => Some(error.build_message(&plain, MessageBuilder::new_vec()).unwrap().finish()),
    }
}

/// What the program does and says for these arguments.
fn run(arguments: &[&str]) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments: Vec<&str> = std::iter::once("rollcall").chain(arguments.iter().copied()).collect();
    let code = match Cli::try_parse_from(&arguments).unwrap() {
        Cli::Drain(args) => drain(&args, &mut out, &mut err),
        Cli::Undrain(args) => undrain(&args, &mut out, &mut err),
        _ => panic!("{arguments:?}"),
    };
    (code.unwrap(), String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// The same of a server that answers so; and what it was sent.
fn run_at(
    arguments: &[&str],
    reply: impl FnOnce(&[u8]) -> Option<Vec<u8>> + Send + 'static,
) -> (u8, String, String, Vec<u8>) {
    let (address, thread) = server(reply);
    let address = address.to_string();
    let (code, out, err) = run(&[arguments, &["--server", &address]].concat());
    let hide = |text: String| text.replace(&address, "SERVER");
    (code, hide(out), hide(err), thread.join().unwrap())
}

/// A key file with these keys, all of one secret.
fn key_file(dir: &Path, keys: &[&str]) -> PathBuf {
    use base64::Engine as _;
    let secret = base64::engine::general_purpose::STANDARD.encode(SECRET);
    let key = |name: &&str| {
        format!("key \"{name}\" {{\n    algorithm hmac-sha256;\n    secret \"{secret}\";\n}};\n")
    };
    let path = dir.join("ops.key");
    std::fs::write(&path, keys.iter().map(key).collect::<String>()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// The only update of a message: its name, class, TTL, and the strings of its TXT record.
fn update_of(message: &[u8]) -> (String, DNSClass, u32, Option<Vec<String>>) {
    let message = Read::from_vec(message).unwrap();
    assert_eq!(message.op_code, OpCode::Update);
    let [zone] = &message.queries[..] else { panic!("one zone") };
    assert_eq!((zone.query_type(), zone.query_class()), (RecordType::SOA, DNSClass::IN));
    let [update] = &message.authorities[..] else { panic!("one update") };
    assert_eq!(update.record_type(), RecordType::TXT);
    let strings = match &update.data {
        RData::TXT(txt) => {
            Some(txt.txt_data.iter().map(|string| String::from_utf8(string.to_vec()).unwrap()).collect())
        }
        _ => None,
    };
    let name = format!("{} in {}", update.name, zone.name());
    (name, update.dns_class, update.ttl, strings)
}

#[test]
fn what_is_asked_for_is_one_update() {
    let m1 = "_drain.m1.web.pool.example. in pool.example.";
    let long = "y".repeat(251);
    for (arguments, name, strings) in [
        (
            &["drain", "web/m1", "--for", "10m", "--why", "kernel upgrade"][..],
            m1,
            &["for=600", "why=kernel upgrade"][..],
        ),
        (&["drain", "web/m1", "--for", "90"], m1, &["for=90"]),
        (&["drain", "web/m1", "--for", "14d"], m1, &["for=1209600"]),
        (&["drain", "web/m1", "--why", "Öl=0"], m1, &["why=Öl=0"]),
        (&["drain", "web/m1"], m1, &[""]),
        (&["drain", "web/m1", "--why", &long], m1, &[&format!("why={long}")]),
        (&["drain", "web.pool.example./M1"], "_drain.M1.web.pool.example. in pool.example.", &[""]),
        (&["drain", "a.b/m\\.1", "--zone", "z"], "_drain.m\\.1.a.b.z. in z.", &[""]),
        (&["drain", "a\\/b/m\\047", "--zone", "z"], "_drain.m\\/.a\\/b.z. in z.", &[""]),
    ] {
        let (code, _, err, sent) = run_at(arguments, noerror);
        assert_eq!((code, err.as_str()), (EXIT_OK, ""), "{arguments:?}");
        let strings = strings.iter().map(ToString::to_string).collect();
        assert_eq!(update_of(&sent), (name.to_owned(), DNSClass::IN, 0, Some(strings)), "{arguments:?}");
        let read = Read::from_vec(&sent).unwrap();
        assert!(read.edns.is_some(), "a refusal comes with its reason");
    }
    let (code, _, _, sent) = run_at(&["undrain", "web/m1"], noerror);
    assert_eq!(code, EXIT_OK);
    assert_eq!(update_of(&sent), (m1.to_owned(), DNSClass::ANY, 0, None));
}

#[test]
fn what_holds_now_is_said_with_the_command_that_takes_it_back() {
    for (arguments, wanted) in [
        (
            &["drain", "web/m1", "--for", "10m"][..],
            "m1 of web.pool.example. gets no more clients for 10 min; `rollcall undrain web/m1 --server SERVER` takes it back\n",
        ),
        (
            &["drain", "eu.web/m\\0321", "--zone", "z"],
            "m\\0321 of eu.web.z. gets no more clients until `rollcall undrain 'eu.web/m\\0321' --zone z. --server SERVER`\n",
        ),
        (&["undrain", "web/m1"], "no drain keeps clients from m1 of web.pool.example. any more\n"),
    ] {
        let (code, out, err, _) = run_at(arguments, noerror);
        assert_eq!((code, out.as_str(), err.as_str()), (EXIT_OK, wanted, ""));
    }
    let arguments = ["drain", "web/m1", "--for", "1h", "--why", "disk", "--json"];
    let (_, out, _, _) = run_at(&arguments, noerror);
    let wanted = serde_json::json!({
        "ok": true, "server": "SERVER", "pool": "web.pool.example.", "member": "m1", "drained": true, "for_s": 3600,
        "why": "disk", "key": null,
    });
    assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), wanted);
    let (_, out, _, _) = run_at(&["undrain", "web/m1", "--json"], noerror);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["drained"], &json["for_s"]), (&false.into(), &serde_json::Value::Null));
}

#[test]
fn a_key_signs_and_the_reply_has_to_be_signed_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = key_file(dir.path(), &["ops"]);
    let file = file.to_str().unwrap();
    let arguments = ["drain", "web/m1", "--key-file", file];
    let hide = |text: String| text.replace(file, "KEY");

    let (code, out, err, _) = run_at(&arguments, |sent| judged(sent, "ops.", Rcode::NOERROR, ""));
    assert_eq!((code, err.as_str()), (EXIT_OK, ""));
    let wanted = "m1 of web.pool.example. gets no more clients until `rollcall undrain web/m1 --server SERVER --key-file KEY`\n";
    assert_eq!(hide(out), wanted);

    let (code, _, err, _) =
        run_at(&arguments, |sent| judged(sent, "ops.", Rcode::REFUSED, "not \u{1b}[1m `admin = true`"));
    let wanted = "rollcall: the server at SERVER refused it: REFUSED (not \\027[1m `admin = true`); write `admin = true` in a \
        [[grant]] for the key ops. in the zone's TOML, or sign with another key\n";
    assert_eq!((code, err.as_str()), (EXIT_FAILED, wanted));

    let (_, _, err, _) = run_at(&arguments, |sent| judged(sent, "ops.", Rcode::REFUSED, "nobody to drain"));
    assert_eq!(err, "rollcall: the server at SERVER refused it: REFUSED (nobody to drain)\n");

    let (code, _, err, _) = run_at(&arguments, |sent| judged(sent, "other.", Rcode::NOERROR, ""));
    let wanted = "rollcall: the server at SERVER refused it: NOTAUTH; the server did not accept the signature (BADKEY): it has \
        no key ops. for hmac-sha256; add the [[key]] to rollcall.toml, and have it read again (SIGHUP)\n";
    assert_eq!((code, err.as_str()), (EXIT_FAILED, wanted));

    for json in [false, true] {
        let arguments = if json { [&arguments[..], &["--json"]].concat() } else { arguments.to_vec() };
        let (code, out, err, _) = run_at(&arguments, noerror);
        let wanted = "the reply is not signed, so anybody may have said it (it says NOERROR); it may be done all the same: say \
            it again, which does no harm";
        assert_eq!((code, err), (EXIT_FAILED, format!("rollcall: {wanted}\n")));
        if json {
            let wanted =
                serde_json::json!({"ok": false, "error": wanted, "rcode": "NOERROR", "reason": null});
            assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), wanted);
        } else {
            assert_eq!(out, "");
        }
    }
}

#[test]
fn refusals_say_why_and_what_to_do() {
    for (rcode, text, wanted) in [
        (
            Rcode::REFUSED,
            "unsigned updates may not drain",
            "REFUSED (unsigned updates may not drain); it was not signed: name the file of an operator's key, whose \
             [[grant]] has `admin = true`, with --key-file",
        ),
        (Rcode::NOTAUTH, "", "NOTAUTH; it has no zone pool.example.: name the pool's with --zone"),
        (Rcode::SERVFAIL, "disk full", "SERVFAIL (disk full); its log says why"),
        (Rcode::NOTIMP, "", "NOTIMP; is it a rollcall of this version? Its log may say more"),
    ] {
        let (code, out, err, _) =
            run_at(&["undrain", "web/m1", "--json"], move |sent| refused(sent, rcode, text));
        assert_eq!(
            (code, err),
            (EXIT_FAILED, format!("rollcall: the server at SERVER refused it: {wanted}\n"))
        );
        let json: serde_json::Value = serde_json::from_str(&out).unwrap();
        let said = wanted.split([' ', ';']).next().unwrap();
        assert_eq!((&json["ok"], &json["rcode"]), (&false.into(), &said.into()));
        let reason = if text.is_empty() { serde_json::Value::Null } else { text.into() };
        assert_eq!(json["reason"], reason);
    }
}

#[test]
fn a_server_that_is_not_there_or_goes_away_is_told_apart() {
    let gone = server(|_| None).0;
    // One connection ends it; the next finds nobody.
    let (code, _, err) = run(&["drain", "web/m1", "--server", &gone.to_string()]);
    assert_eq!(code, EXIT_FAILED);
    assert!(err.contains("did not answer (") && err.contains("it may be done all the same"), "{err}");

    #[expect(clippy::disallowed_methods, reason = "a port that is free a moment later")]
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, out, err) = run(&["drain", "web/m1", "--server", &free.to_string(), "--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &json["ok"], &json["rcode"]), (EXIT_FAILED, &false.into(), &serde_json::Value::Null));
    assert!(err.contains("no server answers at ") && err.contains("start it with `rollcall serve`"), "{err}");

    for reply in [b"no DNS".to_vec(), [&[0, 1], &ANSWERED[..]].concat(), Vec::new()] {
        let (code, _, err, _) = run_at(&["drain", "web/m1"], move |sent| {
            // An id that is surely another.
            let other = |octet: &u8| octet ^ 0xff;
            Some(if reply.len() == 12 {
                [&[other(&sent[0]), sent[1]], &ANSWERED[..]].concat()
            } else {
                reply
            })
        });
        assert_eq!(code, EXIT_FAILED);
        assert!(err.contains("is no answer to a DNS message"), "{err}");
    }
}

#[test]
fn what_cannot_be_asked_for_is_said_before_anything_is_sent() {
    let parse = |arguments: &[&str]| {
        let line = [&["rollcall", "drain"], arguments].concat();
        Cli::try_parse_from(line).map(|_| ()).map_err(|error| (error.exit_code(), error.to_string()))
    };
    for (arguments, wanted) in [
        (&["web"][..], "give POOL/MEMBER, such as web/m1"),
        (&["web/"], "give POOL/MEMBER"),
        (&["/m1"], "give POOL/MEMBER"),
        (&["web/m1/x"], "a slash in a name is written \\047"),
        (&["web/m1.x"], "a member's name is one label"),
        (&["web/m1."], "a member's name is one label"),
        (&["web/m 1"], "a member's name is one label"),
        (&["web/_http"], "no member is called _http"),
        (&["web/All"], "no member is called All"),
        (&["web/*"], "no member is called"),
        (&["web/m1", "--for", "0"], "give 1 s to 14 d"),
        (&["web/m1", "--for", "1209601"], "give 1 s to 14 d"),
        (&["web/m1", "--for", "4294967297"], "give 1 s to 14 d"),
        (&["web/m1", "--for", "1h30"], "give 1 s to 14 d"),
        (&["web/m1", "--for", "soon"], "give 1 s to 14 d"),
        (&["web/m1", "--why", ""], "give 1 to 251 octets"),
        (&["web/m1", "--why", "a\nb"], "give 1 to 251 octets"),
        (&["web/m1", "--why", &"é".repeat(126)], "give 1 to 251 octets"),
        (&["web/m1", "--zone", "a..b"], "give the name of a zone"),
        (&["web/m1", "--zone", "a b"], "give the name of a zone"),
    ] {
        let (code, text) = parse(arguments).unwrap_err();
        assert!(code == i32::from(EXIT_USAGE) && text.contains(wanted), "{arguments:?}: {text}");
    }
    for (path, wanted) in [
        ("web.pool.example/m1", "this would be web.pool.example.pool.example.; end it with a dot"),
        ("pool.example./m1", "a pool lies below the zone"),
        ("web.example./m1", "a pool lies below the zone"),
        ("_tcp/m1", "the label \"_tcp\" has a meaning of its own"),
        ("a..b/m1", "this is not a domain name"),
    ] {
        let (code, out, err) = run(&["undrain", path]);
        assert_eq!((code, out.as_str()), (EXIT_USAGE, ""));
        assert!(err.starts_with(&format!("rollcall: {path}: {wanted}")), "{err}");
    }
    let label = "x".repeat(60);
    let (code, _, err) = run(&["drain", &format!("{label}.{label}.{label}/{label}")]);
    assert!(code == EXIT_USAGE && err.contains("the whole name has more than 255 octets"), "{err}");
}

#[test]
fn a_key_file_is_read_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let file = key_file(dir.path(), &["ops", "fleet"]);
    let said = || {
        let (code, out, err) = run(&["drain", "web/m1", "--key-file", file.to_str().unwrap()]);
        assert_eq!((code, out.as_str()), (EXIT_FAILED, ""));
        err.replace(file.to_str().unwrap(), "KEY")
    };
    assert_eq!(said(), "rollcall: KEY: 2 keys are in it, and one signs; give a file with that key alone\n");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(said().contains("run `chmod 640 KEY`"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&file, "key ops {\n algorithm none;\n};\n").unwrap();
    assert!(said().starts_with("rollcall: KEY:2: the key's algorithm: not supported"));
    std::fs::remove_file(&file).unwrap();
    assert!(said().contains("give the file that `rollcall keygen --key-file` or tsig-keygen made"));
}
