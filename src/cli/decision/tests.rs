//! What is said of answers: each policy in its words, in tables that fit a terminal.

mod troubles;

use super::place::{Is, Place};
use super::session::{Answer, Data, Record};
use super::*;
use crate::query::status::line::Line;

fn name(text: &str) -> Name {
    Name::bytes_from_str(text).unwrap()
}

/// The status that a server tells of `web.pool.example.` in these strings, the pool's first.
fn place(is: Is, strings: &[&str]) -> Place {
    let mut lines = strings.iter().map(|string| Line::parse(string.as_bytes()).unwrap());
    let Some(Line::Pool(pool)) = lines.next() else { panic!("the pool's own string comes first") };
    let mut place = Place { is, pool, apex: name("web.pool.example"), members: Vec::new(), not_shown: 0 };
    for line in lines {
        match line {
            Line::Member(member) => place.members.push(*member),
            Line::More(more) => place.not_shown = more,
            Line::Pool(_) | Line::Nobody => {}
        }
    }
    place
}

fn answer(records: Vec<(Rtype, Data, &str)>) -> Answer {
    let record =
        |(rtype, data, text): (Rtype, Data, &str)| Record { rtype, ttl_s: 5, data, text: text.to_owned() };
    let records = records.into_iter().map(record).collect();
    Answer { rcode: Rcode::NOERROR, error: None, records, zone: None }
}

fn addresses(of: &[&str]) -> Answer {
    answer(of.iter().map(|text| (Rtype::A, Data::Address(text.parse().unwrap()), *text)).collect())
}

fn args(asked: &str, rtype: Rtype) -> DecisionArgs {
    let server = "127.0.0.1:5300".parse().unwrap();
    DecisionArgs { name: name(asked), rtype, client: None, server, json: false }
}

fn told(asked: &str, rtype: Rtype, place: Option<Place>, answer: Answer) -> String {
    let args = args(asked, rtype);
    let seen = Seen { name: name(asked), aliases: Vec::new(), place, answer, is_elsewhere: false };
    let mut out = Vec::new();
    report(&args, &seen).write_text(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What is said of `web.pool.example. A` under a policy.
fn of_pool(policy: &str, shows: &str, members: &[&str], picked: &[&str]) -> String {
    let pool = format!("web.pool.example. pool policy={policy} answers={shows} ttl=5s up=2 out=0 gone=0");
    let strings: Vec<&str> = std::iter::once(pool.as_str()).chain(members.iter().copied()).collect();
    told("web.pool.example", Rtype::A, Some(place(Is::Pool, &strings)), addresses(picked))
}

/// The sentence that says why, on one line.
fn reason(text: &str) -> String {
    let (_, reason) = text.split_once("\nWhy: ").unwrap();
    reason.trim_end().replace('\n', " ")
}

#[test]
fn a_table_has_what_the_policy_counts() {
    let text = of_pool(
        "least-used-degradation",
        "1",
        &[
            "m1 up registered lease=23s weight=1 rank=2 share=0% load=0.2 degradation=0.15 picks=1 level=0.35 10.0.0.1",
            "m2 up registered lease=none weight=1 rank=1 share=100% load=0.3 degradation=0.01 picks=2 level=0.32 10.0.0.2",
            "m3 out weight=0 lease=5s load=unsaid degradation=0.01 picks=0 10.0.0.3",
            "4 more members are not shown: they do not fit",
        ],
        &["10.0.0.2"],
    );
    let wanted = "\
web.pool.example. is a pool. Policy least-used-degradation, an answer shows 1;
members: 2 up.

#  rank  share  member  state           load  a pick  picks  level  lease
-     2     0%  m1      up               0.2   +0.15      1   0.35    23s
1     1   100%  m2      up               0.3   +0.01      2   0.32   none
-     -      -  m3      out weight=0  unsaid   +0.01      0    0.5     5s
and 4 more that the server had no room to tell of

Answer, TTL 5 s: 10.0.0.2
Why: m2 has the least load with what was asked of it, 0.32 (2 picks since it
registered).
";
    assert_eq!(text, wanted);
}

#[test]
fn each_policy_says_why_in_its_words() {
    let two = |said: [&str; 2]| {
        said.map(|said| said.to_owned())
            .into_iter()
            .zip(1..)
            .map(|(said, number)| format!("m{number} up registered lease=9s weight=1 {said} 10.0.0.{number}"))
    };
    for (policy, shows, said, wanted) in [
        (
            "round-robin",
            "all",
            ["rank=1 share=50%", "rank=1 share=50%"],
            "it is m2's turn to be the first, and each has as many; all in service are shown.",
        ),
        (
            "weighted-round-robin",
            "1",
            ["rank=2 share=25%", "rank=1 share=75%"],
            "it is m2's turn, and turns go by weight: 75% of them are its.",
        ),
        (
            "random",
            "1",
            ["rank=1 share=50%", "rank=1 share=50%"],
            "m2 was drawn first, where each is as likely as any other.",
        ),
        (
            "weighted-random",
            "2",
            ["rank=2 share=25%", "rank=1 share=75%"],
            "m2 was drawn first, and draws go by weight: 75% of them are its; the answer has m2 and m1, in this order.",
        ),
        (
            "priority",
            "best",
            ["rank=1 share=50% priority=4", "rank=1 share=50% priority=4"],
            "m1 and m2 have the highest priority, 4, and take turns: it is m2's; the answer has m2 and m1, in this order.",
        ),
        (
            "least-used",
            "1",
            ["rank=2 share=0% load=0.9", "rank=1 share=100% load=0.4 level=0.8 warming=33.3%"],
            "m2 has the least load, 0.8.",
        ),
        (
            "priority-least-used",
            "1",
            [
                "rank=2 share=0% load=0.9 degradation=0.01",
                "rank=1 share=100% load=0.4 degradation=0.1 level=0.5",
            ],
            "m2 has the least load if it is asked once more, 0.5.",
        ),
        (
            "randomized-least-used",
            "1",
            ["rank=1 share=80% load=0.2", "rank=2 share=20% load=0.8"],
            "m2 was drawn first, and draws go by what is to spare: 20% of them are its.",
        ),
        (
            "least-used",
            "1",
            ["rank=1 share=100% load=0.2", "rank=2 share=0% load=0.4"],
            "m2 was the first when the question came: ranks have moved since they were asked for.",
        ),
    ] {
        let members: Vec<String> = two(said).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        let picked: &[&str] = if shows == "1" { &["10.0.0.2"] } else { &["10.0.0.2", "10.0.0.1"] };
        let text = of_pool(policy, shows, &members, picked);
        assert_eq!(reason(&text), wanted, "{policy}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    }
}

#[test]
fn who_is_picked_may_be_one_that_is_not_told_of() {
    let m1 = "m1 up registered lease=9s weight=1 rank=1 share=0.1% 10.0.0.1";
    let more = "999 more members are not shown: they do not fit";
    for (strings, wanted) in [
        (&[m1][..], "whose records these are has joined since `_status` was asked for."),
        (&[m1, more], "whose records these are is among those that the server had no room to tell of."),
    ] {
        assert_eq!(reason(&of_pool("random", "1", strings, &["10.0.0.9"])), wanted);
    }
}

#[test]
fn who_reads_srv_records_chooses_by_them() {
    let strings = [
        "_http._tcp.web.pool.example. service policy=priority answers=all ttl=5s up=2 out=0 gone=0",
        "m1 up registered lease=9s weight=6 rank=2 share=0% priority=7 port=80 srv-priority=1 srv-weight=6 10.0.0.1",
        "gw.example.net. up registered lease=9s weight=6 rank=1 share=100% priority=9 port=81 srv-priority=0 srv-weight=6",
    ];
    let srv = |port, target: &str, text| (Rtype::SRV, Data::Service { port, target: name(target) }, text);
    let answer = answer(vec![
        srv(81, "GW.example.net", "0 6 81 gw.example.net."),
        srv(80, "m1.web.pool.example", "1 6 80 m1.web.pool.example."),
    ]);
    let asked = "_http._tcp.web.pool.example";
    let text = told(asked, Rtype::SRV, Some(place(Is::Service, &strings)), answer);
    for line in [
        "#  rank  share  member           state  priority  SRV     lease",
        "2     2     0%  m1               up            7  1 6 80     9s",
        "1     1   100%  gw.example.net.  up            9  0 6 81     9s",
        "  SRV 0 6 81 gw.example.net.",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(reason(&text).ends_with("(RFC 2782), the best priority being the least number there."), "{text}");
}

#[test]
fn who_is_not_there_is_said_to_be() {
    let gone = "m1 gone expired lease=0s weight=1";
    let out = "m1 out weight=0 lease=9s 10.0.0.1";
    for (counts, member, wanted) in [
        (
            "up=1 out=0 gone=0",
            "m1 up registered lease=9s weight=1 2001:db8::1",
            "nobody in service has an IPv4 address.",
        ),
        ("up=0 out=1 gone=0", out, "whoever is here weighs nothing (weight=0)."),
        ("up=0 out=0 gone=1", gone, "nobody is here."),
    ] {
        let pool = format!("web.pool.example. pool policy=random answers=all ttl=5s {counts}");
        let place = place(Is::Pool, &[&pool, member]);
        let text = told("web.pool.example", Rtype::A, Some(place), answer(Vec::new()));
        assert!(text.contains("Answer: no A record (NODATA)."), "{text}");
        assert_eq!(reason(&text), wanted);
    }
    let ordinary = told("info.pool.example", Rtype::MX, None, answer(Vec::new()));
    assert!(ordinary.starts_with("info.pool.example. is no pool's name: "), "{ordinary}");
}

#[test]
fn who_is_first_is_not_guessed() {
    let two = [
        "m1 up registered lease=9s weight=1 rank=2 share=0.1% 10.0.0.1",
        "m2 up registered lease=9s weight=999 rank=1 share=99.9% 10.0.0.1",
    ];
    let wanted = "members share the address that is first, and which of them was picked it does not say.";
    assert_eq!(reason(&of_pool("weighted-random", "1", &two, &["10.0.0.1"])), wanted);
    // m1 is the second of the answer; the first is one of the thousand.
    let many = [two[0], "999 more members are not shown: they do not fit"];
    let wanted = "whose records these are is among those that the server had no room to tell of.";
    assert_eq!(reason(&of_pool("round-robin", "all", &many, &["10.0.3.231", "10.0.0.1"])), wanted);
}

#[test]
fn a_member_may_be_one_that_is_not_told_of() {
    let strings = [
        "web.pool.example. pool policy=random answers=1 ttl=5s up=1000 out=0 gone=0",
        "m1 up registered lease=9s weight=1 rank=1 share=0.1% 10.0.0.1",
        "999 more members are not shown: they do not fit",
    ];
    let of = |label: &str, address| {
        let is = Is::Member(label.to_owned());
        told(&format!("{label}.web.pool.example"), Rtype::A, Some(place(is, &strings)), addresses(&[address]))
    };
    let text = of("m999", "10.0.3.231");
    assert!(text.starts_with("m999.web.pool.example. is member m999 of pool web.pool.example.\n"), "{text}");
    let text = of("m1", "10.0.0.1");
    assert!(!text.contains("no room to tell of"), "the others are of no interest: {text}");
}

#[test]
fn a_members_attributes_are_its_own() {
    let strings = [
        "web.pool.example. pool policy=random answers=1 ttl=5s up=1 out=0 gone=0",
        "m1 up registered lease=9s weight=1 rank=1 share=100% site=fra 10.0.0.1",
    ];
    let txt = answer(vec![(Rtype::TXT, Data::Text(b"site=fra".to_vec()), "\"site=fra\"")]);
    let place = place(Is::Member("m1".to_owned()), &strings);
    let text = told("m1.web.pool.example", Rtype::TXT, Some(place), txt);
    assert!(text.contains("\n1  m1      up        9s\n"), "{text}");
}

#[test]
fn several_ports_of_a_member_are_one_pick() {
    let strings = [
        "_http._tcp.web.pool.example. service policy=weighted-random answers=2 ttl=5s up=3 out=0 gone=0",
        "m1 up registered lease=9s weight=2 rank=1 share=66.7% port=80 srv-priority=0 srv-weight=65535",
        "m1 up registered lease=9s weight=2 rank=1 share=66.7% port=81 srv-priority=0 srv-weight=65535",
        "m2 up registered lease=9s weight=1 rank=2 share=33.3% port=80 srv-priority=0 srv-weight=32767",
    ];
    let srv = |port, member: &str| {
        let target = name(&format!("{member}.web.pool.example"));
        (Rtype::SRV, Data::Service { port, target }, "")
    };
    let answer = answer(vec![srv(80, "m1"), srv(81, "m1"), srv(80, "m2")]);
    let text = told("_http._tcp.web.pool.example", Rtype::SRV, Some(place(Is::Service, &strings)), answer);
    assert!(reason(&text).ends_with("; the answer has m1 and m2, in this order."), "{text}");
}

#[test]
fn what_does_not_fit_is_not_said_to_be_shown() {
    let pool = |up| {
        format!("_s._tcp.web.pool.example. service policy=random answers=all ttl=5s up={up} out=0 gone=0")
    };
    let srv = |port| (Rtype::SRV, Data::Service { port, target: name("m1.web.pool.example") }, "");
    let told = |up, is| {
        let answer = answer((0..1_234).map(srv).collect());
        reason(&told("_s._tcp.web.pool.example", Rtype::SRV, Some(place(is, &[&pool(up)])), answer))
    };
    assert!(told(1_234, Is::Service).starts_with("all in service are shown, and "));
    assert!(
        told(1_500, Is::Service).starts_with("as many as 64 KB hold are shown, in the policy's order, and ")
    );
    assert_eq!(told(1_500, Is::ServiceOfAll), "as many as 64 KB hold are shown, in a stable order.");
}
