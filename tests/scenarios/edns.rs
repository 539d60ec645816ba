//! Questions with EDNS and without, one row for each test of RFC 8906 section 8 that needs no socket, and what a server says
//! of itself and of its refusals.

// Helpers of tests may fail as tests do.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use rollcall::query::Transport;
use rollcall::zone::Identity;

use super::world::{World, question_message};

/// The flags of a header: RD, and in the octet after it Z, AD and CD.
const RD: [u8; 2] = [1, 0];
const Z: [u8; 2] = [0, 0x40];
const AD: [u8; 2] = [0, 0x20];
const CD: [u8; 2] = [0, 0x10];
const NONE: [u8; 2] = [0, 0];
const DO: u16 = 0x8000;
const NSID: u16 = 3;
const COOKIE: u16 = 10;
const EXTENDED_ERROR: u16 = 15;

/// An OPT record, without its RDLENGTH and rdata.
fn opt(size: u16, version: u8, flags: u16) -> Vec<u8> {
    [&[0, 0, 41][..], &size.to_be_bytes(), &[0, version], &flags.to_be_bytes()].concat()
}

fn option(code: u16, data: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
}

/// A question with these flags and this OPT.
fn message(name: &str, rtype: &str, header: [u8; 2], opt: Option<(u8, u16, &[u8])>) -> Vec<u8> {
    let mut message = question_message(name, rtype, None);
    message[2] |= header[0];
    message[3] |= header[1];
    if let Some((version, flags, options)) = opt {
        message[11] = 1;
        message.extend(self::opt(1232, version, flags));
        message.extend(option_length(options));
        message.extend_from_slice(options);
    }
    message
}

fn option_length(options: &[u8]) -> [u8; 2] {
    (options.len() as u16).to_be_bytes()
}

/// A reply, as far as these tests look at it.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    rcode: u16,
    /// Records in the answer section.
    answers: usize,
    is_authoritative: bool,
    /// Z, AD and CD.
    header: u8,
    /// Version and flags of its OPT record, and the codes of its options.
    opt: Option<(u8, u16, Vec<u16>)>,
}

fn told(octets: &[u8]) -> Told {
    let message = Message::from_vec(octets).expect("a reply that parses");
    let edns = message.edns.as_ref();
    let high = edns.map_or(0, |edns| edns.rcode_high());
    let flags = |dnssec_ok: bool, z: u16| z | if dnssec_ok { DO } else { 0 };
    Told {
        rcode: (u16::from(high) << 4) | u16::from(octets[3] & 0x0F),
        answers: message.answers.len(),
        is_authoritative: message.metadata.authoritative,
        header: octets[3] & 0x70,
        opt: edns.map(|edns| {
            let codes = edns.options().options.iter().map(|(code, _)| u16::from(*code));
            (edns.version(), flags(edns.flags().dnssec_ok, edns.flags().z), codes.collect())
        }),
    }
}

fn ask(world: &mut World, message: &[u8]) -> Told {
    told(&world.answer(Transport::Udp, message).expect("a reply"))
}

/// An option's data.
fn option_of(octets: &[u8], code: u16) -> Option<Vec<u8>> {
    let message = Message::from_vec(octets).expect("a reply that parses");
    message.edns.as_ref().and_then(|edns| edns.option(EdnsCode::from(code))).map(|option| match option {
        EdnsOption::Unknown(_, data) => data.clone(),
        EdnsOption::NSID(nsid) => nsid.as_ref().to_vec(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn rfc_8906_section_8() {
    let cookie = [9; 8];
    let unknown = option(100, b"");
    let many =
        [option(NSID, b""), option(COOKIE, &cookie), option(9, b""), option(8, b"\x00\x01\x00\x00")].concat();
    // Section, test, question, header, OPT; RCODE, answers, AA, header, OPT.
    #[rustfmt::skip]
    let rows = [
        ("8.1.1", "a zone's SOA", "@", "SOA", NONE, None, 0, 1, true, 0, None),
        ("8.1.2", "an unknown type", "@", "TYPE1000", NONE, None, 0, 0, true, 0, None),
        ("8.1.3.1", "CD is copied", "@", "SOA", CD, None, 0, 1, true, CD[1], None),
        ("8.1.3.2", "AD is not", "@", "SOA", AD, None, 0, 1, true, 0, None),
        ("8.1.3.3", "nor is the reserved bit", "@", "SOA", Z, None, 0, 1, true, 0, None),
        ("8.1.3.4", "recursion that there is not", "@", "SOA", RD, None, 0, 1, true, 0, None),
        ("8.2.1", "plain EDNS", "@", "SOA", NONE, Some((0, 0, &b""[..])), 0, 1, true, 0, Some((0, 0, vec![]))),
        ("8.2.2", "EDNS of another version", "@", "SOA", NONE, Some((1, 0, b"")), 16, 0, false, 0, Some((0, 0, vec![]))),
        ("8.2.3", "an unknown option", "@", "SOA", NONE, Some((0, 0, &unknown)), 0, 1, true, 0, Some((0, 0, vec![]))),
        ("8.2.4", "an unknown flag", "@", "SOA", NONE, Some((0, 0x40, b"")), 0, 1, true, 0, Some((0, 0, vec![]))),
        ("8.2.5", "another version and a flag", "@", "SOA", NONE, Some((1, 0x40, b"")), 16, 0, false, 0, Some((0, 0, vec![]))),
        ("8.2.6", "another version and an option", "@", "SOA", NONE, Some((1, 0, &unknown)), 16, 0, false, 0, Some((0, 0, vec![]))),
        ("8.2.8", "DO is copied", "@", "SOA", NONE, Some((0, DO, b"")), 0, 1, true, 0, Some((0, DO, vec![]))),
        ("8.2.9", "another version and DO", "@", "SOA", NONE, Some((1, DO, b"")), 16, 0, false, 0, Some((0, DO, vec![]))),
        ("8.2.10", "several options", "@", "SOA", NONE, Some((0, 0, &many)), 0, 1, true, 0, Some((0, 0, vec![COOKIE]))),
    ];
    let mut world = World::new();
    for (section, test, name, rtype, header, opt, rcode, answers, is_authoritative, told_header, told_opt) in
        rows
    {
        let wanted = Told { rcode, answers, is_authoritative, header: told_header, opt: told_opt };
        assert_eq!(ask(&mut world, &message(name, rtype, header, opt)), wanted, "{section} {test}");
    }
    // 8.1.4: another opcode, with a question and without.
    let mut other = message("@", "SOA", NONE, None);
    other[2] |= 15 << 3;
    for message in [&other[..], &[&other[..4], &[0; 8]].concat()] {
        let told = ask(&mut world, message);
        assert_eq!((told.rcode, told.answers, told.is_authoritative), (4, 0, false), "8.1.4");
    }
    // 8.2.7: what does not fit is cut behind the question, and the OPT is there.
    let cut = world.ask_over(Transport::Udp, "long", "TXT", Some(512));
    assert!(cut.message.metadata.truncation && cut.message.edns.is_some(), "8.2.7");
}

#[test]
fn an_opt_that_is_none_is_a_format_error() {
    let mut world = World::new();
    let question = question_message("@", "SOA", None);
    let with = |records: u8, rest: &[u8]| {
        let mut message = [&question[..], rest].concat();
        message[11] = records;
        message
    };
    let whole = [opt(1232, 0, 0), vec![0, 0]].concat();
    assert_eq!(ask(&mut world, &with(1, &whole)).rcode, 0);
    for (what, message) in [
        ("two of them (RFC 6891 section 6.1.1)", with(2, &[&whole[..], &whole].concat())),
        ("an owner that is not the root", with(1, &[&b"\x01a"[..], &whole].concat())),
        (
            "an option that is longer than it",
            with(1, &[&opt(1232, 0, 0)[..], b"\x00\x04\x00\x64\x00\x01"].concat()),
        ),
        ("half an option", with(1, &[&opt(1232, 0, 0)[..], b"\x00\x02\x00\x64"].concat())),
        ("octets behind it", with(1, &[&whole[..], b"\x00"].concat())),
    ] {
        assert_eq!(ask(&mut world, &message).rcode, 1, "{what}");
    }
}

fn identity() -> Identity {
    let text = |text: &str| Some(text.into());
    Identity { version: text("rollcall, of course"), hostname: text("ns1"), nsid: text("fra1") }
}

/// A question of class CH.
fn chaos(name: &str, rtype: &str) -> Vec<u8> {
    let mut message = message(name, rtype, NONE, Some((0, 0, b"")));
    let class = message.len() - 12;
    message[class] = 3;
    message
}

#[test]
fn what_a_server_says_of_itself_is_configured() {
    let mut world = World::new();
    let names = ["version.bind.", "version.server.", "hostname.bind.", "id.server."];
    for name in names {
        assert_eq!(ask(&mut world, &chaos(name, "TXT")).rcode, 5, "{name}: nothing is configured");
    }
    world.registrar.identify(Identity { hostname: None, ..identity() });
    let mut answer = |name: &str, rtype: &str| {
        let octets = world.answer(Transport::Udp, &chaos(name, rtype)).expect("a reply");
        let message = Message::from_vec(&octets).expect("a reply that parses");
        let records = message.answers.iter();
        let records = records.map(|record| format!("{} {} {}", record.ttl, record.dns_class, record.data));
        (told(&octets).rcode, message.metadata.authoritative, records.collect::<Vec<_>>().join(","))
    };
    let version = (0, true, "0 CH rollcall, of course".to_owned());
    let refused = (5, false, String::new());
    for (name, rtype, wanted) in [
        ("version.bind.", "TXT", &version),
        ("VERSION.Server.", "TXT", &version),
        ("version.bind.", "ANY", &version),
        ("version.bind.", "A", &refused),
        ("hostname.bind.", "TXT", &refused),
        ("id.server.", "TXT", &refused),
        ("authors.bind.", "TXT", &refused),
        ("x.version.bind.", "TXT", &refused),
        ("@", "SOA", &refused),
    ] {
        assert_eq!(answer(name, rtype), *wanted, "{name} {rtype}");
    }
    let internet = world.ask("version.bind.", "TXT");
    assert_eq!(told(&internet.octets).rcode, 5, "class IN");
}

#[test]
fn nsid_is_told_to_who_asks_if_it_is_configured() {
    let mut world = World::new();
    let asked = option(NSID, b"");
    let nsid = |world: &mut World, name: &str, opt: Option<(u8, u16, &[u8])>| {
        let octets = world.answer(Transport::Udp, &message(name, "A", NONE, opt)).expect("a reply");
        option_of(&octets, NSID)
    };
    assert_eq!(nsid(&mut world, "ns", Some((0, 0, &asked))), None, "nothing is configured");
    world.registrar.identify(identity());
    for name in ["ns", "nobody", "www.example.org."] {
        assert_eq!(nsid(&mut world, name, Some((0, 0, &asked))).as_deref(), Some(&b"fra1"[..]), "{name}");
        assert_eq!(nsid(&mut world, name, Some((0, 0, b""))), None, "{name}: nobody asks");
        assert_eq!(nsid(&mut world, name, None), None, "{name}: no EDNS");
    }
    assert_eq!(nsid(&mut world, "ns", Some((1, 0, &asked))), None, "another version's options are not ours");
}

#[test]
fn a_refusal_says_why_to_who_speaks_edns() {
    let mut world = World::new();
    let mut code = |message: &[u8]| {
        let octets = world.answer(Transport::Udp, message).expect("a reply");
        option_of(&octets, EXTENDED_ERROR)
    };
    let plain = Some((0, 0, &b""[..]));
    for (what, message, wanted) in [
        ("no zone of ours", message("www.example.org.", "A", NONE, plain), Some(20_u16)),
        ("a transfer, which there is not", message("@", "AXFR", NONE, plain), Some(21)),
        ("another class", chaos("@", "SOA"), Some(20)),
        ("no EDNS", message("www.example.org.", "A", NONE, None), None),
        ("an answer", message("ns", "A", NONE, plain), None),
        ("no such name", message("nobody", "A", NONE, plain), None),
    ] {
        assert_eq!(code(&message), wanted.map(|code| code.to_be_bytes().to_vec()), "{what}");
    }
}
