//! What a pool answers when nobody is left that is fit to serve: each choice of `on_all_down`.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use rollcall::membership::Cause;
use rollcall::policy::Policy;
use rollcall::query::{Answered, Transport};
use rollcall::wire::{Name, lower};
use rollcall::zone::{OnAllDown, PoolSettings};

use super::world::{Answer, Setup, World, pool_settings};

const STALE: u16 = 3;
const OTHER: u16 = 0;
const LAST_GOOD_MS: u64 = 600_000;

fn pool(on_all_down: OnAllDown) -> PoolSettings {
    PoolSettings { on_all_down, ..pool_settings(Policy::RoundRobin) }
}

/// `web` with a choice, and a pool to fall back on that prefers the best.
fn setup(on_all_down: OnAllDown) -> Setup {
    let spare = PoolSettings { on_all_down: OnAllDown::All, ..pool_settings(Policy::Priority) };
    Setup { pools: vec![("web", pool(on_all_down)), ("spare", spare)], ..Setup::default() }
}

fn world(on_all_down: OnAllDown) -> World {
    World::with(setup(on_all_down))
}

fn fallback(name: &str) -> OnAllDown {
    OnAllDown::Fallback(lower(Name::bytes_from_str(name).unwrap().as_slice()).into())
}

/// A member by its number, with a service.
fn line(m: u8) -> String {
    format!("add m{m}.web 30 A 10.0.0.{m}; add _http._tcp.web 30 SRV 0 10 80 m{m}.web")
}

/// One that is in the pool, and is to get nobody.
fn idle(m: u8) -> String {
    format!("{}; add m{m}.web 30 TXT weight=0", line(m))
}

/// Asks with EDNS, over UDP.
fn ask(world: &mut World, name: &str, rtype: &str) -> Answer {
    world.ask_over(Transport::Udp, name, rtype, Some(1232))
}

/// Members that an answer for the pool's addresses shows, and how it is counted.
fn shown(world: &mut World) -> (Vec<String>, Answered) {
    let answer = ask(world, "web", "A");
    (answer.sorted(), world.answered.unwrap())
}

#[track_caller]
fn assert_told(answer: &Answer, code: u16, text: &str) {
    assert_eq!(answer.extended_error(), Some((code, text.to_owned())));
}

#[test]
fn all_shows_everybody_whose_lease_runs() {
    let mut world = world(OnAllDown::All);
    world.accept(&idle(1));
    world.advance(27_000);
    world.accept(&idle(2));
    let answer = ask(&mut world, "web", "A");
    assert_eq!((answer.sorted(), answer.ttl_s()), (vec!["10.0.0.1".into(), "10.0.0.2".into()], 3));
    assert_eq!(world.answered, Some(Answered::AllDownAll));
    assert_told(&answer, OTHER, "nobody is fit to serve: all whose lease runs are shown");
    let service = ask(&mut world, "_http._tcp.web", "SRV");
    assert_eq!((service.data().len(), service.ttl_s()), (2, 3));
    assert_eq!(service.message.additionals.len(), 2, "with their addresses");
    assert_eq!(world.answered, Some(Answered::AllDownAll));
    assert_eq!(ask(&mut world, "web", "ANY").data().len(), 2);
    assert!(ask(&mut world, "web", "AAAA").is_nodata(), "nobody has one");
    assert_eq!(world.answered, Some(Answered::NoData));
    assert!(ask(&mut world, "web", "HTTPS").is_nodata(), "that is not what it is about");
    // Nor does it keep anybody whose lease is over, swept or not.
    world.advance_unswept(3_000);
    assert_eq!(shown(&mut world), (vec!["10.0.0.2".into()], Answered::AllDownAll));
    world.advance(27_000);
    assert_eq!(shown(&mut world), (vec![], Answered::NoData));
}

#[test]
fn one_who_is_fit_is_enough() {
    for on_all_down in
        [OnAllDown::All, OnAllDown::LastGood, fallback("spare.pool.example."), OnAllDown::NoData]
    {
        let mut world = world(on_all_down);
        world.accept(&idle(1));
        world.accept("add m1.web 30 AAAA 2001:db8::1");
        world.accept(&line(2));
        let answer = ask(&mut world, "web", "A");
        assert_eq!((answer.data(), answer.extended_error()), (vec!["10.0.0.2".to_owned()], None));
        assert_eq!(world.answered, Some(Answered::Positive));
        assert!(ask(&mut world, "web", "AAAA").is_nodata(), "the pool serves, in the other family");
        assert_eq!(world.answered, Some(Answered::NoData));
        world.accept("delete _http._tcp.web SRV 0 10 80 m2.web");
        _ = ask(&mut world, "_http._tcp.web", "SRV");
        assert_ne!(world.answered, Some(Answered::Positive), "a service is judged by those who offer it");
    }
}

#[test]
fn nodata_says_nothing_and_why() {
    let mut world = world(OnAllDown::NoData);
    world.accept(&idle(1));
    for (name, rtype) in [("web", "A"), ("web", "AAAA"), ("web", "ANY"), ("_http._tcp.web", "SRV")] {
        let answer = ask(&mut world, name, rtype);
        assert!(answer.is_nodata(), "{name} {rtype}");
        assert_told(&answer, OTHER, "nobody is fit to serve");
        assert_eq!(world.answered, Some(Answered::AllDownNoData));
    }
    assert_eq!(
        ask(&mut world, "all.web", "A").data(),
        ["10.0.0.1"],
        "whoever asks for the whole pool has it"
    );
    assert_eq!(ask(&mut world, "_http._tcp.all.web", "SRV").data().len(), 1);
    assert_eq!(ask(&mut world, "m1.web", "A").data(), ["10.0.0.1"]);
    assert_eq!(world.answered, Some(Answered::Positive));
}

#[test]
fn servfail_sends_resolvers_elsewhere() {
    let mut world = world(OnAllDown::ServFail);
    world.accept(&idle(1));
    for (name, rtype) in [("web", "A"), ("web", "AAAA"), ("_http._tcp.web", "SRV"), ("to-web", "A")] {
        let answer = ask(&mut world, name, rtype);
        assert_eq!(answer.rcode(), ResponseCode::ServFail, "{name} {rtype}");
        let sections = &answer.message;
        assert!(sections.answers.is_empty() && sections.authorities.is_empty(), "{name}: nothing beside it");
        assert!(!answer.message.metadata.authoritative);
        assert_told(&answer, OTHER, "nobody is fit to serve");
        assert_eq!(world.answered, Some(Answered::AllDownServFail));
    }
    for name in ["all.web", "m1.web", "info"] {
        assert_eq!(ask(&mut world, name, "A").data().len(), 1, "{name}");
    }
    world.accept("delete m1.web");
    assert_eq!(
        ask(&mut world, "web", "A").rcode(),
        ResponseCode::ServFail,
        "nor is anybody fit in an empty pool"
    );
    world.accept(&line(2));
    assert_eq!(shown(&mut world), (vec!["10.0.0.2".into()], Answered::Positive));
}

#[test]
fn who_walks_down_the_labels_is_not_stopped() {
    let choices = [OnAllDown::All, OnAllDown::LastGood, fallback("spare.pool.example.")];
    for on_all_down in choices.into_iter().chain([OnAllDown::NoData, OnAllDown::ServFail]) {
        let mut world = world(on_all_down);
        world.accept(&idle(1));
        // As a resolver that minimises its questions does (RFC 9156): neither asks for anybody.
        for (name, rtype) in
            [("_tcp.web", "A"), ("_http._tcp.web", "A"), ("web", "NS"), ("_tcp.all.web", "A")]
        {
            assert!(ask(&mut world, name, rtype).is_nodata(), "{name} {rtype}");
            assert_eq!(world.answered, Some(Answered::NoData), "{name} {rtype}");
        }
        assert!(ask(&mut world, "m7.web", "A").is_nxdomain());
    }
}

#[test]
fn an_alias_leads_to_the_last_resort_as_to_the_pool() {
    let mut world = world(OnAllDown::All);
    world.accept(&idle(1));
    let answer = ask(&mut world, "to-web", "A");
    assert_eq!(answer.data(), ["web.pool.example.", "10.0.0.1"]);
    assert_eq!(world.answered, Some(Answered::AllDownAll));
    assert_told(&answer, OTHER, "nobody is fit to serve: all whose lease runs are shown");
    world.reload(setup(OnAllDown::NoData));
    let answer = ask(&mut world, "to-web", "A");
    assert_eq!((answer.data(), answer.message.authorities.len()), (vec!["web.pool.example.".to_owned()], 1));
    assert_eq!(world.answered, Some(Answered::AllDownNoData));
}

#[test]
fn why_is_told_to_who_speaks_edns_as_far_as_there_is_room() {
    let mut world = world(OnAllDown::All);
    let mut seen = [false; 3];
    for m in 1..=40 {
        world.accept(&idle(m));
        assert_eq!(world.ask_over(Transport::Udp, "web", "A", None).extended_error(), None);
        let answer = world.ask_over(Transport::Udp, "web", "A", Some(512));
        assert!(answer.octets.len() <= 512);
        if answer.message.metadata.truncation {
            continue;
        }
        assert_eq!(answer.data().len(), usize::from(m), "the answer comes first");
        match answer.extended_error() {
            Some((OTHER, text)) if text.is_empty() => seen[1] = true,
            Some((OTHER, text)) => {
                assert!(text.ends_with("are shown"));
                seen[0] = true;
            }
            Some(other) => panic!("{other:?}"),
            None => seen[2] = true,
        }
    }
    // Sixteen octets a record: there need not be one for which the code alone fits.
    assert!(seen[0] && (seen[1] || seen[2]), "{seen:?}");
    let service = world.ask_over(Transport::Udp, "_http._tcp.web", "SRV", Some(512));
    assert!(service.octets.len() <= 512 && service.message.metadata.truncation);
}

#[test]
fn last_good_shows_who_was_lost_together_for_ten_minutes() {
    let mut world = world(OnAllDown::LastGood);
    world.accept(&line(1));
    world.accept("add m1.web 30 AAAA 2001:db8::1; add m1.web 30 TXT site=fra");
    world.advance(10_000);
    world.accept(&line(2));
    world.advance(20_008);
    assert_eq!(shown(&mut world), (vec!["10.0.0.2".into()], Answered::Positive), "m1 is gone, m2 is good");
    assert!(ask(&mut world, "m1.web", "A").is_nxdomain());
    world.advance(10_000);
    let answer = ask(&mut world, "web", "A");
    assert_eq!((answer.sorted(), answer.ttl_s()), (vec!["10.0.0.1".into(), "10.0.0.2".into()], 1));
    assert_eq!(world.answered, Some(Answered::AllDownLastGood));
    assert_told(&answer, STALE, "nobody is fit to serve: who was good last is shown");
    assert_eq!(ask(&mut world, "web", "AAAA").data(), ["2001:db8::1"]);
    let service = ask(&mut world, "_http._tcp.web", "SRV");
    assert_eq!((service.data().len(), service.ttl_s(), service.message.additionals.len()), (2, 1, 3));
    assert_eq!(service.additional_ttls_s(), [1]);
    for (name, rtype, data) in
        [("m1.web", "A", "10.0.0.1"), ("m2.web", "A", "10.0.0.2"), ("m1.web", "TXT", "site=fra")]
    {
        let own = ask(&mut world, name, rtype);
        assert_eq!((own.data(), own.ttl_s()), (vec![data.to_owned()], 1), "who is shown can be found");
    }
    for name in ["all.web", "_http._tcp.all.web"] {
        assert!(ask(&mut world, name, if name.starts_with('_') { "SRV" } else { "A" }).is_nodata(), "{name}");
    }
    assert!(ask(&mut world, "_http._tcp", "PTR").is_nodata(), "nobody is listed");
    // Ten minutes from the end of the last one.
    world.advance(LAST_GOOD_MS - 9);
    assert_eq!(shown(&mut world).0.len(), 2);
    world.advance(9);
    assert_eq!(shown(&mut world), (vec![], Answered::NoData));
    assert!(ask(&mut world, "m1.web", "A").is_nxdomain());
}

#[test]
fn last_good_begins_before_the_tick_does() {
    let mut world = world(OnAllDown::LastGood);
    world.accept(&line(1));
    world.accept(&line(2));
    world.advance_unswept(30_000);
    for _ in 0..2 {
        let answer = ask(&mut world, "web", "A");
        assert_eq!((answer.data().len(), answer.ttl_s()), (2, 1));
        assert_eq!(world.answered, Some(Answered::AllDownLastGood));
        let service = ask(&mut world, "_http._tcp.web", "SRV");
        assert_eq!((service.data().len(), service.message.additionals.len()), (2, 2));
        assert_eq!(service.additional_ttls_s(), [1]);
        assert_eq!(ask(&mut world, "m1.web", "A").data(), ["10.0.0.1"], "its own name as well");
        world.expire();
    }
}

#[test]
fn who_joins_ends_last_good() {
    let mut world = world(OnAllDown::LastGood);
    world.accept(&line(1));
    world.accept(&line(2));
    world.advance(30_008);
    assert_eq!(shown(&mut world).0.len(), 2);
    world.accept(&line(2));
    assert_eq!(shown(&mut world), (vec!["10.0.0.2".into()], Answered::Positive));
    assert!(ask(&mut world, "m1.web", "A").is_nxdomain());
    world.accept(&line(3));
    assert_eq!(shown(&mut world).0.len(), 2);
    assert_eq!(ask(&mut world, "web", "A").ttl_s(), 5);
}

#[test]
fn who_left_or_drained_or_weighs_nothing_was_not_lost() {
    let mut world = world(OnAllDown::LastGood);
    (1..=4).for_each(|m| _ = world.accept(&line(m)));
    world.accept(&idle(5));
    world.accept("delete m2.web");
    world.accept("add m3.web 30 TXT drain=5");
    world.accept("add m4.web 30 TXT drain=3600");
    world.advance(30_008);
    assert_eq!(shown(&mut world), (vec!["10.0.0.1".into()], Answered::AllDownLastGood));
    for m in 2..=5 {
        assert!(ask(&mut world, &format!("m{m}.web"), "A").is_nxdomain(), "m{m}");
    }
    // It is heard of again, and leaves: then it is lost no more.
    world.accept(&line(1));
    assert_eq!(world.accept("delete m1.web"), [Cause::Deregistered]);
    assert_eq!(shown(&mut world), (vec![], Answered::NoData));
}

#[test]
fn who_was_lost_long_before_the_last_one_is_not_good() {
    let mut world = world(OnAllDown::LastGood);
    world.accept(&line(1));
    world.accept(&line(2));
    for _ in 0..4 {
        world.advance(20_000);
        world.accept(&line(2));
    }
    world.advance(30_008);
    assert_eq!(shown(&mut world), (vec!["10.0.0.2".into()], Answered::AllDownLastGood));
}

#[test]
fn who_was_lost_long_before_the_last_one_left_or_drained_is_not_good() {
    for end in ["delete m2.web", "add m2.web 30 TXT drain=60"] {
        let mut world = world(OnAllDown::LastGood);
        world.accept(&line(1));
        for _ in 0..15 {
            world.accept(&line(2));
            world.advance(20_000);
        }
        world.accept(end);
        assert_eq!(shown(&mut world), (vec![], Answered::NoData), "{end}: m1 has been dead for minutes");
        assert!(ask(&mut world, "m1.web", "A").is_nxdomain());
    }
}

#[test]
fn fallback_answers_with_another_pool_by_its_policy() {
    let mut world = world(fallback("spare.pool.example."));
    world.accept(&idle(1));
    for (s, priority) in [(1, 5), (2, 9), (3, 9)] {
        world.accept(&format!(
            "add s{s}.spare 30 A 10.0.1.{s}; add _http._tcp.spare 30 SRV 0 10 80 s{s}.spare; \
             add s{s}.spare 30 TXT priority={priority}"
        ));
    }
    world.advance(27_000);
    let answer = ask(&mut world, "web", "A");
    assert_eq!(answer.sorted(), ["10.0.1.2", "10.0.1.3"], "the best of them");
    assert_eq!(answer.ttl_s(), 3, "what they have left");
    assert!(answer.message.answers.iter().all(|record| record.name.to_string() == "web.pool.example."));
    assert_told(&answer, OTHER, "nobody is fit to serve: another pool answers");
    assert_eq!(world.answered, Some(Answered::AllDownFallback));
    let service = ask(&mut world, "_http._tcp.web", "SRV");
    assert_eq!((service.data().len(), service.ttl_s()), (3, 3));
    assert!(service.data().iter().all(|data| data.ends_with(".spare.pool.example.")));
    let addresses =
        service.message.additionals.iter().map(|record| (record.name.to_string(), record.record_type()));
    let addresses: Vec<_> = addresses.collect();
    assert_eq!(addresses.len(), 3);
    assert!(addresses.contains(&("s1.spare.pool.example.".to_owned(), RecordType::A)));
    assert!(ask(&mut world, "web", "AAAA").is_nodata());
    assert_eq!(ask(&mut world, "all.web", "A").data(), ["10.0.0.1"]);
    world.accept(&line(2));
    assert_eq!(shown(&mut world), (vec!["10.0.0.2".into()], Answered::Positive));
}

#[test]
fn fallback_goes_no_further_than_one_pool() {
    let mut setup = setup(fallback("spare.pool.example."));
    setup.pools[1].1.on_all_down = fallback("web.pool.example.");
    let mut world = World::with(setup.clone());
    world.accept(&idle(1));
    assert_eq!(shown(&mut world), (vec![], Answered::NoData), "nobody is there either");
    world.accept("add s1.spare 30 A 10.0.1.1; add s1.spare 30 TXT weight=0");
    assert_eq!(shown(&mut world), (vec![], Answered::NoData), "what that pool would do is not asked");
    // What is no pool has nobody.
    for name in ["nowhere.pool.example.", "info.pool.example.", "m1.web.pool.example.", "example.org."] {
        setup.pools[0].1.on_all_down = fallback(name);
        world.reload(setup.clone());
        assert_eq!(shown(&mut world), (vec![], Answered::NoData), "{name}");
        assert!(ask(&mut world, "_http._tcp.web", "SRV").is_nodata());
    }
}

#[test]
fn a_reload_changes_what_is_answered_at_once() {
    let mut world = world(OnAllDown::All);
    world.accept(&line(1));
    world.accept(&idle(2));
    world.accept("delete m1.web");
    let serial = world.serial();
    assert_eq!(shown(&mut world), (vec!["10.0.0.2".into()], Answered::AllDownAll));
    world.reload(setup(OnAllDown::NoData));
    assert_eq!(shown(&mut world), (vec![], Answered::AllDownNoData));
    world.reload(setup(OnAllDown::ServFail));
    assert_eq!(shown(&mut world), (vec![], Answered::AllDownServFail));
    world.reload(setup(OnAllDown::LastGood));
    assert_eq!(shown(&mut world), (vec![], Answered::NoData), "nobody was lost since");
    world.reload(setup(OnAllDown::All));
    assert_eq!(shown(&mut world).0.len(), 1);
    assert!(world.serial() > serial);
}

#[test]
fn who_was_lost_is_remembered_through_a_reload() {
    let mut world = world(OnAllDown::LastGood);
    world.accept(&line(1));
    world.advance(30_008);
    assert_eq!(shown(&mut world).0, ["10.0.0.1"]);
    let mut shorter = setup(OnAllDown::LastGood);
    shorter.pools[0].1.ttl_s = 3;
    world.reload(shorter);
    assert_eq!(shown(&mut world), (vec!["10.0.0.1".into()], Answered::AllDownLastGood));
    world.advance(LAST_GOOD_MS);
    assert_eq!(shown(&mut world), (vec![], Answered::NoData));
}
