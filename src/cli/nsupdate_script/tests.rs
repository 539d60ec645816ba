use std::io::Write as _;
use std::process::{Command, Stdio};

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record};

use super::*;

/// The messages of a script, each as lines "SECTION NAME TTL CLASS TYPE RDATA", read by hickory.
fn messages(script: &str) -> Vec<Vec<String>> {
    let zone = Name::bytes_from_str("pool.example.").unwrap();
    let read = super::read(script.as_bytes()).unwrap();
    read.iter().map(|message| lines(&message.octets(message.zone.as_ref().unwrap_or(&zone)))).collect()
}

fn lines(octets: &[u8]) -> Vec<String> {
    let message = Message::from_vec(octets).unwrap();
    let zone = format!("zone {} {}", message.queries[0].name(), message.queries[0].query_class());
    let text = |section: &str, record: &Record| {
        let rdata = match &record.data {
            RData::Update0(_) => String::new(),
            RData::TXT(txt) => {
                let strings = txt.txt_data.iter().map(|string| String::from_utf8_lossy(string));
                format!(" {}", strings.collect::<Vec<_>>().join("|"))
            }
            data => format!(" {data}"),
        };
        let (name, ttl, class, rtype) = (&record.name, record.ttl, record.dns_class, record.record_type());
        format!("{section} {name} {ttl} {class} {rtype}{rdata}")
    };
    let prerequisites = message.answers.iter().map(|record| text("if", record));
    let updates = message.authorities.iter().map(|record| text("do", record));
    std::iter::once(zone).chain(prerequisites).chain(updates).collect()
}

fn error(script: &str) -> String {
    super::read(script.as_bytes()).unwrap_err().to_string()
}

/// Every form of a record, and beside it what nsupdate 9.18 sends for it.
const FORMS: [(&str, &str); 17] = [
    ("update add m1.web.pool.example. 30 A 10.0.0.1", "do m1.web.pool.example. 30 IN A 10.0.0.1"),
    ("UPDATE ADD m1.web.pool.example 30 in a 10.0.0.1", "do m1.web.pool.example. 30 IN A 10.0.0.1"),
    ("add x.pool.example 5 TXT \"a;(b\" \"c d\"", "do x.pool.example. 5 IN TXT a;(b|c d"),
    ("add x.pool.example 5 TXT a=1;2 (x)", "do x.pool.example. 5 IN TXT a=1;2|(x)"),
    ("add x.pool.example 5 MX 10 mail.pool.example", "do x.pool.example. 5 IN MX 10 mail.pool.example."),
    ("add x.pool.example 5 MX 10 @", "do x.pool.example. 5 IN MX 10 ."),
    ("add x.pool.example 5 A \\# 4 0a000001", "do x.pool.example. 5 IN A 10.0.0.1"),
    ("add @ 5 A 10.0.0.1", "do . 5 IN A 10.0.0.1"),
    ("update del x.pool.example", "do x.pool.example. 0 ANY ANY"),
    ("delete x.pool.example ANY", "do x.pool.example. 0 ANY ANY"),
    ("update delete x.pool.example 77 IN AAAA", "do x.pool.example. 0 ANY AAAA"),
    ("delete x.pool.example A 10.0.0.1", "do x.pool.example. 0 NONE A 10.0.0.1"),
    ("prereq nxdomain x.pool.example", "if x.pool.example. 0 NONE ANY"),
    ("yxdomain x.pool.example", "if x.pool.example. 0 ANY ANY"),
    ("prereq nxrrset x.pool.example IN A", "if x.pool.example. 0 NONE A"),
    ("yxrrset x.pool.example A", "if x.pool.example. 0 ANY A"),
    ("prereq yxrrset x.pool.example A 10.0.0.1", "if x.pool.example. 0 IN A 10.0.0.1"),
];

#[test]
fn every_form_of_a_record() {
    for (form, wanted) in FORMS {
        assert_eq!(messages(form), [vec!["zone pool.example. IN".to_owned(), wanted.to_owned()]], "{form}");
    }
}

#[test]
fn a_send_or_a_blank_line_ends_a_message_and_settings_stay() {
    let script = "server 192.0.2.1\n ; a comment\nkey hmac-sha512:Web c2VjcmV0\nzone a.example\nttl 60\n\
        add x.a.example TXT one\nshow\nsend\n\nadd y.a.example A 10.0.0.1\n\nzone b.example.\nttl none\n\
        prereq yxdomain b.example\nadd x.b.example 5 TXT two\r\nquit\nnonsense\n";
    let read = super::read(script.as_bytes()).unwrap();
    let sent: Vec<_> = read.iter().map(|message| (message.is_sent, message.records().count())).collect();
    assert_eq!(sent, [(true, 1), (true, 1), (false, 2)], "what no `send` follows is not sent");
    assert_eq!(messages(script)[0], ["zone a.example. IN", "do x.a.example. 60 IN TXT one"]);
    assert_eq!(messages(script)[1][1], "do y.a.example. 60 IN A 10.0.0.1");
    let wanted = ["zone b.example. IN", "if b.example. 0 ANY ANY", "do x.b.example. 5 IN TXT two"];
    assert_eq!(messages(script)[2], wanted);
    let key = read[2].key.as_ref().unwrap();
    assert_eq!(key.name, Name::bytes_from_str("web").unwrap());
    assert_eq!(key.algorithm, Name::bytes_from_str("hmac-sha512").ok());
    let places: Vec<_> = read[2].records().map(|record| (record.line, record.text.as_str())).collect();
    assert_eq!(places, [(14, "prereq yxdomain b.example"), (15, "add x.b.example 5 TXT two")]);
    assert_eq!(super::read(b"; nothing\n\nsend\n").unwrap(), []);
}

#[test]
fn slips_are_named_with_their_line_and_what_is_expected() {
    for (line, wanted) in [
        ("updat add x 5 A 10.0.0.1", "`updat` is no command of nsupdate; write `update add`"),
        ("update remove x", "`remove` is not known here; write `update add NAME TTL TYPE RDATA`"),
        ("update", "`add` or `delete` is missing; write `update add"),
        ("add", "the name is missing; write `update add"),
        ("add a..b 5 A 10.0.0.1", "`a..b` is not a domain name"),
        ("add x A 10.0.0.1", "the TTL is missing; write `update add"),
        ("add x 1h A 10.0.0.1", "`1h` is not a TTL; give seconds from 0 to 2147483647"),
        ("add x 2147483648 A 10.0.0.1", "`2147483648` is not a TTL"),
        ("add x 5", "the type is missing"),
        ("add x 5 QQ 1", "`QQ` is not a type; give one such as A"),
        ("add x 5 A", "the rdata is missing"),
        ("add x 5 CH A 10.0.0.1", "class CH, and the zone's is IN; leave it out"),
        ("add x 5 A 10.0.0.256", "A rdata: "),
        ("add x 5 A 10.0.0.1 ; home", "nsupdate takes comments on lines of their own alone"),
        ("add x 5 TXT \"open", "TXT rdata: a quote is not closed"),
        ("add x 5 MX 10 a..b", "MX rdata: "),
        ("add x 5 TYPE65280 abc", "TYPE65280 rdata: "),
        ("delete x 5 IN QQ", "`QQ` is not a type"),
        ("prereq nxrrset x", "the type is missing; write `prereq nxdomain"),
        ("prereq maybe x", "`maybe` is not known here; write `prereq nxdomain"),
        ("zone", "the zone's name is missing; write `zone NAME`"),
        ("class", "`` is not a class"),
        ("ttl", "the TTL is missing; write `ttl SECONDS`"),
        ("gsstsig", "GSS-TSIG (RFC 3645) is not spoken by rollcall; sign with a `key`"),
    ] {
        let error = error(&format!("; first\n{line}\n"));
        let (message, excerpt) = error.split_once('\n').unwrap_or((&error, ""));
        assert!(message.starts_with("2: ") && message.contains(wanted), "{line}: {error}");
        let is_command = !message.contains("no command");
        assert_eq!(excerpt, if is_command { format!("  2 | {line}") } else { String::new() });
    }
    let error = super::read(b"add x 5 TXT \xff\n").unwrap_err();
    assert_eq!((error.line, error.fault), (1, ScriptFault::NotText));
    let error = super::read(b"add x \x1b[2J A 10.0.0.1\n").unwrap_err().to_string();
    assert!(error.contains("`\u{FFFD}[2J` is not a TTL") && !error.contains('\u{1b}'), "{error:?}");
}

#[test]
fn a_secret_is_never_shown() {
    for line in [
        "key c2VjcmV0",
        "KEY\thmac-sha256:.. c2VjcmV0 \u{1}",
        "kye web c2VjcmV0",
        "key hmac-sha256:a..b c2VjcmV0",
        "keys web c2VjcmV0",
        "mykey c2VjcmV0\u{1}",
    ] {
        let error = error(line);
        assert!(error.starts_with("1: ") && !error.contains("c2V"), "{error}");
    }
}

#[test]
fn no_message_grows_over_what_a_message_may_have() {
    let line = format!("add x.pool.example 5 TXT {}\n", format!("{} ", "x".repeat(250)).repeat(8));
    let fits = line.repeat(31);
    assert_eq!(super::read(fits.as_bytes()).unwrap().len(), 1);
    let more = line.repeat(32);
    assert_eq!(super::read(more.as_bytes()).unwrap_err().line, 32);
    assert!(super::read(format!("{fits}send\n{fits}").as_bytes()).is_ok());
}

/// What the real nsupdate sends for the same lines, octet for octet. A socket of our own takes it, and says NOERROR.
#[test]
#[expect(clippy::disallowed_methods, reason = "it stands in for a server")]
fn nsupdate_sends_the_same() {
    if Command::new("nsupdate").arg("-V").output().is_err() {
        let text = "nsupdate is missing: apt-get install -y bind9-dnsutils";
        assert!(std::env::var_os("CI").is_none(), "{text}");
        eprintln!("\n!!! NOT TESTED: {text}\n");
        return;
    }
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let forms: String = FORMS.iter().map(|(form, _)| format!("{form}\n")).collect();
    let script =
        format!("server 127.0.0.1 {}\nzone pool.example\n{forms}send\n", socket.local_addr().unwrap().port());
    let mut client = Command::new("nsupdate").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let mut buffer = [0; 4096];
    let (len, from) = socket.recv_from(&mut buffer).unwrap();
    let mut sent = buffer[..len].to_vec();
    let reply = [sent[0], sent[1], 0xA8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    socket.send_to(&reply, from).unwrap();
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ours = super::read(script.as_bytes()).unwrap().remove(0);
    sent[..2].fill(0);
    let ours = ours.octets(&ours.zone.clone().unwrap());
    assert_eq!(lines(&ours), lines(&sent));
}
