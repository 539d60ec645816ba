//! What is said when not all is well: members drain, leases are held, nobody is fit to serve.

use super::*;

/// What is said of `web.pool.example.` when its status has these counts and members, and the answer this rcode, extended error
/// and addresses.
fn of_answer(counts: &str, members: &[&str], answer: Answer) -> (Report, String) {
    let pool = format!("web.pool.example. pool policy=round-robin answers=all ttl=5s {counts}");
    let strings: Vec<&str> = std::iter::once(pool.as_str()).chain(members.iter().copied()).collect();
    let args = args("web.pool.example", Rtype::A);
    let place = Some(place(Is::Pool, &strings));
    let seen = Seen { name: args.name.clone(), aliases: Vec::new(), place, answer, is_elsewhere: false };
    let seen = judge(&args, seen).unwrap();
    let report = report(&args, &seen);
    let mut out = Vec::new();
    report.write_text(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    (report, text)
}

fn with_error(answer: Answer, code: u16, text: &str) -> Answer {
    Answer { error: Some((code, text.to_owned())), ..answer }
}

#[test]
fn who_drains_and_whose_lease_is_held_is_said_in_words() {
    let (report, text) = of_answer(
        "up=1 out=0 gone=0 draining=3 held=1",
        &[
            "m1 up registered lease=held weight=1 rank=1 share=100% 10.0.0.1",
            "m2 draining own left=25s lease=25s weight=1 10.0.0.2",
            "m3 draining operator by=ops. for=540s why=new\\032\\027[31mdisk lease=held weight=1 10.0.0.3",
            "m4 draining operator by=ops. lease=none weight=1 10.0.0.4",
        ],
        with_error(addresses(&["10.0.0.1"]), 3, "their leases are held"),
    );
    let wanted = "\
web.pool.example. is a pool. Policy round-robin, an answer shows everybody in
service; members: 1 up, 3 draining.

#  rank  share  member  state              lease
1     1   100%  m1      up                  held
-     -      -  m2      draining own         25s
-     -      -  m3      draining operator   held
-     -      -  m4      draining operator   none

Answer, TTL 5 s: 10.0.0.1
Extended DNS Error 3: their leases are held
Why: it is m1's turn to be the first, and each has as many.
m2 drains by its own word, and leaves in 25 s.
m3 is drained by ops., and serves again in 540 s: \"new \\u{1b}[31mdisk\".
m4 is drained by ops., and does so until it is taken back.
Leases that are held are over, and count until their members are heard again:
most members of the zone are silent.
";
    assert_eq!(text, wanted);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["pool"]["draining"], 3);
    assert_eq!((&json["members"][0]["held"], &json["members"][0]["lease_s"]), (&true.into(), &0.into()));
    assert_eq!(json["members"][1]["drain"]["left_s"], 25);
    assert_eq!(json["members"][2]["drain"]["by"], "ops.");
    assert!(json["members"][0]["drain"].is_null() && json["members"][3]["drain"]["left_s"].is_null());
    assert_eq!(json["extended_error"]["text"], "their leases are held");
    assert_eq!((&json["rule"], &json["pool"]["on_all_down"]), (&"policy".into(), &serde_json::Value::Null));
}

#[test]
fn a_last_resort_is_said_to_be_one() {
    let out = "m1 out weight=0 lease=9s 10.0.0.1";
    let lost = "m1 lost expired lease=0s weight=1 rank=1 share=100% 10.0.0.1";
    let failed = Answer { rcode: Rcode::SERVFAIL, ..addresses(&[]) };
    for (counts, member, answer, wanted, picked) in [
        (
            "out=1 gone=0 on-all-down=all",
            out,
            addresses(&["10.0.0.1"]),
            "= \"all\": whoever lives and does not drain is shown, though it weighs nothing.",
            Some(1),
        ),
        (
            "out=0 gone=0 lost=1 on-all-down=last-good:540s",
            lost,
            addresses(&["10.0.0.1"]),
            "= \"last-good\": who was good last is shown, for 540 s more.",
            Some(1),
        ),
        (
            "out=1 gone=0 on-all-down=fallback:spare.pool.example.",
            out,
            addresses(&["10.0.0.1"]),
            "= \"fallback\": spare.pool.example. answers instead.",
            None,
        ),
        ("out=1 gone=0 on-all-down=nodata", out, addresses(&[]), "= \"nodata\": nothing is answered.", None),
        (
            "out=1 gone=0 on-all-down=servfail",
            out,
            failed,
            "= \"servfail\": whoever asks is to ask elsewhere, or to use what it remembers.",
            None,
        ),
    ] {
        let is_failure = answer.rcode == Rcode::SERVFAIL;
        let answer = with_error(answer, 0, "nobody is fit to serve");
        let (report, text) = of_answer(&format!("up=0 {counts}"), &[member], answer);
        assert_eq!(reason(&text), format!("nobody is fit to serve, and on_all_down {wanted}"));
        assert!(text.contains("\nExtended DNS Error 0: nobody is fit to serve\n"), "{text}");
        assert_eq!(text.contains("\nAnswer: SERVFAIL.\n"), is_failure, "{text}");
        assert_eq!(report.members[0].answer, picked, "{text}");
        assert_eq!(text.contains("  rank  share  "), member == lost, "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["rule"], "on-all-down");
        assert!(wanted.starts_with(&format!("= {}:", json["pool"]["on_all_down"]["answer"])), "{json}");
        assert_eq!(json["rcode"], if is_failure { "SERVFAIL" } else { "NOERROR" });
    }
}

#[test]
fn a_last_resort_that_finds_nobody_is_none() {
    let drains = "m1 draining own left=9s lease=9s weight=1 10.0.0.1";
    for (counts, members, wanted) in [
        ("draining=1", &[drains][..], "whoever is here drains."),
        (
            "on-all-down=last-good:nobody",
            &[],
            "nobody is fit to serve, and on_all_down = \"last-good\" finds nobody with an IPv4 address.",
        ),
    ] {
        let (report, text) = of_answer(&format!("up=0 out=0 gone=0 {counts}"), members, addresses(&[]));
        assert!(text.contains("Answer: no A record (NODATA)."), "{text}");
        assert!(reason(&text).starts_with(wanted), "{text}");
        assert_eq!(serde_json::to_value(&report).unwrap()["rule"], "policy");
    }
}

#[test]
fn a_failure_that_no_pool_chose_is_not_explained() {
    let strings = ["web.pool.example. pool policy=random answers=1 ttl=5s up=1 out=0 gone=0"];
    let args = args("web.pool.example", Rtype::A);
    let answer = Answer { rcode: Rcode::SERVFAIL, ..addresses(&[]) };
    let place = Some(place(Is::Pool, &strings));
    let seen = Seen { name: args.name.clone(), aliases: Vec::new(), place, answer, is_elsewhere: false };
    let error = judge(&args, seen).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("answered SERVFAIL for web.pool.example. A"), "{error}");
}

#[test]
fn a_member_that_drains_or_is_lost_has_a_name_of_its_own() {
    for (member, wanted) in [
        (
            "m1 draining operator by=ops. for=9s lease=9s weight=1 10.0.0.1",
            "a member's own name shows what it registered, also while it drains. m1 is drained by ops., and serves \
             again in 9 s.",
        ),
        (
            "m1 lost expired lease=0s weight=1 10.0.0.1",
            "a member's own name shows what it registered while its pool's answers have it.",
        ),
    ] {
        let strings = [
            "web.pool.example. pool policy=random answers=1 ttl=5s up=0 out=0 gone=0 on-all-down=fallback:b.example.",
            member,
        ];
        let place = place(Is::Member("m1".to_owned()), &strings);
        let text = told("m1.web.pool.example", Rtype::A, Some(place), addresses(&["10.0.0.1"]));
        assert_eq!(reason(&text), wanted);
        assert!(text.contains("\n1  m1      "), "its own name is no fallback's: {text}");
    }
}
