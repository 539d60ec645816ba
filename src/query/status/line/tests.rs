//! Strings are read as they were written, whatever a member says of itself.

use std::num::NonZeroU16;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use std::net::IpAddr;

use super::*;
use crate::policy::{Policy, Shown};

fn text(line: &Line) -> String {
    let mut text = Vec::new();
    line.write(&mut text);
    String::from_utf8(text).unwrap()
}

fn member(name: &str) -> MemberLine {
    MemberLine::new(name.to_owned(), State::Up)
}

fn of_member(member: MemberLine) -> Line {
    Line::Member(Box::new(member))
}

/// A pool that somebody asked for in the name of another.
fn pool() -> PoolLine {
    PoolLine {
        name: "web.pool.example.".to_owned(),
        kind: Kind::Pool,
        policy: Policy::LeastUsed,
        answers: Shown::AtMost(NonZeroU16::MIN),
        ttl_s: 5,
        up: 2,
        out: 1,
        gone: 0,
        draining: 0,
        lost: 0,
        held: 0,
        on_all_down: None,
        client: Some(("192.0.2.7".parse().unwrap(), false)),
    }
}

#[test]
fn strings_read_as_people_would_write_them() {
    let pool = pool();
    let down = PoolLine {
        up: 0,
        draining: 2,
        lost: 3,
        held: 4,
        on_all_down: Some(Instead::LastGood(Some(540))),
        client: None,
        ..pool.clone()
    };
    let busy = MemberLine {
        lease: Left::Seconds(23),
        weight: 20,
        rank: Families { v4: Some(1), v6: Some(3) },
        share: Families { v4: Some(Millionths(333_000)), v6: None },
        load: Some(SaidLoad::Is(Millionths(250_000))),
        smoothed: Some(Millionths(310_000)),
        warming: Some(Millionths(400_000)),
        attributes: vec![(b"site".to_vec(), b"New York".to_vec())],
        addresses: vec!["10.0.0.1".parse().unwrap()],
        ..member("m1")
    };
    let mut service = MemberLine { weight: 1, ..member("gw.example.net.") };
    service.srv = Some(Srv { port: 5060, priority: 0, weight: 65_535 });
    service.load = Some(SaidLoad::Unsaid);
    let leaving =
        MemberLine { drain_s: Some(25), weight: 1, ..MemberLine::new("m2".to_owned(), State::Leaving) };
    let drained = MemberLine {
        drain_s: Some(600),
        drained_by: Some("ops team".to_owned()),
        drained_why: Some("a \\ bolt = loose".to_owned()),
        lease: Left::Held,
        ..MemberLine::new("m3".to_owned(), State::Drained)
    };
    let endless = MemberLine {
        drained_by: Some("ops.".to_owned()),
        ..MemberLine::new("m4".to_owned(), State::Drained)
    };
    for (line, wanted) in [
        (
            Line::Pool(pool),
            "web.pool.example. pool policy=least-used answers=1 ttl=5s up=2 out=1 gone=0 client=192.0.2.7 told=no",
        ),
        (
            Line::Pool(down),
            "web.pool.example. pool policy=least-used answers=1 ttl=5s up=0 out=1 gone=0 draining=2 lost=3 held=4 \
             on-all-down=last-good:540s",
        ),
        (of_member(leaving), "m2 draining own left=25s lease=none weight=1"),
        (
            of_member(drained),
            "m3 draining operator by=ops\\032team for=600s why=a\\032\\092\\032bolt\\032=\\032loose lease=held",
        ),
        (of_member(endless), "m4 draining operator by=ops. lease=none"),
        (
            of_member(busy),
            "m1 up registered lease=23s weight=20 rank=1/3 share=33.3%/- load=0.25 smoothed=0.31 warming=40% \
             site=New\\032York 10.0.0.1",
        ),
        (
            of_member(service),
            "gw.example.net. up registered lease=none weight=1 load=unsaid port=5060 srv-priority=0 \
             srv-weight=65535",
        ),
        (Line::More(1), "1 more member is not shown: they do not fit"),
        (Line::More(7), "7 more members are not shown: they do not fit"),
        (Line::Nobody, NOBODY),
    ] {
        assert_eq!(text(&line), wanted);
        assert_eq!(Line::parse(wanted.as_bytes()), Some(line));
    }
}

#[test]
fn in_json_a_pool_has_the_same_fields_whatever_it_answers() {
    let fixed = "\"up\":2,\"out\":1,\"gone\":0,\"draining\":0,\"lost\":0,\"held\":0";
    let spare = || Instead::Fallback("spare.example.".to_owned());
    let instead = |answer: &str, left_s: &str, fallback: &str| {
        format!("{{\"answer\":\"{answer}\",\"left_s\":{left_s},\"fallback\":{fallback}}}")
    };
    for (answers, shown, on_all_down, resort) in [
        (Shown::AtMost(NonZeroU16::MIN), "1", None, "null".to_owned()),
        (Shown::All, "\"all\"", Some(Instead::All), instead("all", "null", "null")),
        (Shown::Best, "\"best\"", Some(spare()), instead("fallback", "null", "\"spare.example.\"")),
        (Shown::All, "\"all\"", Some(Instead::LastGood(Some(540))), instead("last-good", "540", "null")),
        (Shown::All, "\"all\"", Some(Instead::LastGood(None)), instead("last-good", "null", "null")),
        (Shown::All, "\"all\"", Some(Instead::NoData), instead("nodata", "null", "null")),
        (Shown::All, "\"all\"", Some(Instead::ServFail), instead("servfail", "null", "null")),
    ] {
        let json = serde_json::to_string(&PoolLine { answers, on_all_down, ..pool() }).unwrap();
        let name = "\"name\":\"web.pool.example.\",\"policy\":\"least-used\"";
        let wanted = format!("{{{name},\"answers\":{shown},\"ttl_s\":5,{fixed},\"on_all_down\":{resort}}}");
        assert_eq!(json, wanted);
    }
}

#[test]
fn nobody_says_anything_in_the_servers_name() {
    let liar = MemberLine {
        weight: 1,
        attributes: vec![
            (b"rank".to_vec(), b"1".to_vec()),
            (b"site".to_vec(), b"a share=100% 10.0.0.9".to_vec()),
            (b"by".to_vec(), b"ops.".to_vec()),
            (b"why".to_vec(), b"not".to_vec()),
        ],
        ..member("m1")
    };
    let line = of_member(liar);
    let wanted =
        "m1 up registered lease=none weight=1 \\114ank=1 site=a\\032share=100%\\03210.0.0.9 \\098y=ops. \\119hy=not"
            .to_owned();
    assert_eq!(text(&line), wanted);
    assert_eq!(Line::parse(wanted.as_bytes()), Some(line));
}

#[test]
fn other_strings_are_none_of_ours() {
    for text in [
        "",
        "hello",
        "v=spf1 -all",
        "m1 up expired lease=3s",
        "m1 up registered lease=3",
        "m1 up registered rank=first",
        "m1 up registered nonsense",
        "m1 up registered site=\\3",
        "m1 up registered site=\\999",
        "web.pool.example. pool policy=fastest answers=1 ttl=5s up=1 out=0 gone=0",
        "web.pool.example. pool policy=random answers=0 ttl=5s up=1 out=0 gone=0",
        "web.pool.example. pool policy=random",
        "web.pool.example. pool policy=random answers=1 ttl=5s up=0 out=0 gone=0 on-all-down=nothing",
        "web.pool.example. pool policy=random answers=1 ttl=5s up=0 out=0 gone=0 on-all-down=all:web",
        "web.pool.example. pool policy=random answers=1 ttl=5s up=0 out=0 gone=0 on-all-down=last-good",
        "web.pool.example. pool policy=random answers=1 ttl=5s up=0 out=0 gone=0 on-all-down=fallback:\u{9b}31m",
        "web.pool.example. pool policy=random answers=1 ttl=5s up=0 out=0 gone=0 held=many",
        "m1 draining weight=0 lease=3s",
        "m1 draining own left=soon lease=3s",
        "m1 draining operator by=\\255 lease=3s",
    ] {
        assert_eq!(Line::parse(text.as_bytes()), None, "{text}");
    }
    let later = "web. pool policy=random answers=all ttl=5s up=1 out=0 gone=0 mood=good";
    assert!(Line::parse(later.as_bytes()).is_some(), "a later version says more");
}

fn families<T: Copy + std::fmt::Debug>(
    one: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Families<T>> {
    (option::of(one.clone()), option::of(one)).prop_map(|(v4, v6)| Families { v4, v6 })
}

fn millionths() -> impl Strategy<Value = Millionths> + Clone {
    (0_u64..5_000_000).prop_map(Millionths)
}

fn any_left() -> impl Strategy<Value = Left> {
    prop_oneof![any::<u64>().prop_map(Left::Seconds), Just(Left::Held), Just(Left::Endless)]
}

fn any_instead() -> impl Strategy<Value = Instead> {
    prop_oneof![
        Just(Instead::All),
        option::of(any::<u64>()).prop_map(Instead::LastGood),
        "([a-z0-9:-]{1,9}\\.){1,4}".prop_map(Instead::Fallback),
        Just(Instead::NoData),
        Just(Instead::ServFail),
    ]
}

prop_compose! {
    fn any_member()(
        name in "[a-z0-9\\\\.-]{1,20}",
        state in proptest::sample::select(State::ALL.to_vec()),
        (lease, weight, rank, share) in (any_left(), any::<u32>(), families(any::<u32>()), families(millionths())),
        (drain_s, drained_by, drained_why) in
            (option::of(any::<u64>()), option::of(any::<String>()), option::of(any::<String>())),
        (priority, load, smoothed, degradation) in (
            option::of(any::<u32>()),
            option::of(option::of(millionths())),
            option::of(millionths()),
            option::of(millionths()),
        ),
        (picks, level, warming, srv) in (
            option::of(any::<u64>()),
            option::of(millionths()),
            option::of(millionths()),
            option::of(any::<(u16, u16, u16)>()),
        ),
        // Keys are neither empty nor have a `=` in them (RFC 6763 section 6.4).
        attributes in vec(("(rank|lease|port|by|for|why|left|[ -<>-~]{1,8})", vec(any::<u8>(), 0..20)), 0..4),
        addresses in vec(any::<IpAddr>(), 0..4),
    ) -> MemberLine {
        MemberLine {
            name, state, lease, drain_s, drained_by, drained_why, weight, rank, share, priority, smoothed, degradation, picks, level, warming,
            load: load.map(|load| load.map_or(SaidLoad::Unsaid, SaidLoad::Is)),
            srv: srv.map(|(port, priority, weight)| Srv { port, priority, weight }),
            attributes: attributes.into_iter().map(|(key, value)| (key.into_bytes(), value)).collect(),
            addresses,
        }
    }
}

prop_compose! {
    fn any_pool()(
        name in "([a-z0-9-]{1,9}\\.){1,4}",
        kind in proptest::sample::select(Kind::ALL.to_vec()),
        policy in proptest::sample::select(Policy::NAMES.to_vec()),
        answers in prop_oneof![
            Just(Shown::All),
            Just(Shown::Best),
            (1_u16..).prop_map(|most| NonZeroU16::new(most).map_or(Shown::All, Shown::AtMost)),
        ],
        (ttl_s, up, out, gone) in any::<(u32, usize, usize, usize)>(),
        (draining, lost, held) in any::<(usize, usize, usize)>(),
        on_all_down in option::of(any_instead()),
        client in option::of(any::<(IpAddr, bool)>()),
    ) -> PoolLine {
        let policy = policy.1;
        PoolLine {
            name, kind, policy, answers, ttl_s, up, out, gone, draining, lost, held, on_all_down, client,
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(member in any_member(), pool in any_pool(), more in any::<usize>()) {
        for line in [of_member(member), Line::Pool(pool), Line::More(more)] {
            let mut text = Vec::new();
            line.write(&mut text);
            let parsed = Line::parse(&text);
            prop_assert_eq!(parsed, Some(line), "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn nothing_is_too_odd_to_read(text in vec(any::<u8>(), 0..300), words in "[a-z0-9=. %/\\\\-]{0,60}") {
        _ = Line::parse(&text);
        _ = Line::parse(format!("m1 up registered {words}").as_bytes());
        _ = Line::parse(format!("web. pool {words}").as_bytes());
    }
}

/// A TXT record that only looks like a status, or another server's: what it says goes to a terminal.
#[test]
fn names_are_in_presentation_form() {
    for name in ["m\u{1b}[31m", "m\u{9b}31m", "m\u{e9}", "m\u{7f}", ""] {
        let text = format!("{name} up registered lease=9s weight=1 10.0.0.1");
        assert_eq!(Line::parse(text.as_bytes()), None, "{name:?}");
        let text = format!("{name} pool policy=random answers=1 ttl=5s up=1 out=0 gone=0");
        assert_eq!(Line::parse(text.as_bytes()), None, "{name:?}");
    }
}
