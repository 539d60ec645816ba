//! Wildcards, delegations and DNAMEs that UPDATE makes and takes away, and what they are to pools. Which answer each gives is
//! shown in tests/answering, zone by random zone.

// Helpers of tests may fail as tests do.
#![allow(clippy::indexing_slicing, clippy::panic)]

use hickory_proto::op::ResponseCode;
use rollcall::policy::Policy;
use rollcall::zone::Identity;

use super::world::{Answer, Setup, World, pool_settings, records_grant};

/// For every name and type, with the pools `web` and `db.deep`, and no others.
fn setup() -> Setup {
    let pools = ["web", "db.deep"].map(|pool| (pool, pool_settings(Policy::RoundRobin)));
    Setup { pools: pools.into(), grants: vec![records_grant()], create_pools: false, ..Setup::default() }
}

/// The sections after the question, each record as owner, type and data.
fn sections(answer: &Answer) -> [Vec<String>; 3] {
    let message = &answer.message;
    [&message.answers, &message.authorities, &message.additionals].map(|records| {
        let line = |record: &hickory_proto::rr::Record| {
            let owner = record.name.to_string().replace(".pool.example.", "");
            format!("{owner} {} {}", record.record_type(), super::world::text(&record.data))
        };
        records.iter().map(line).collect()
    })
}

/// The NS and addresses of a referral, which it has to be.
#[track_caller]
fn referral(answer: &Answer) -> (Vec<String>, Vec<String>) {
    let [answers, servers, glue] = sections(answer);
    assert_eq!((answer.rcode(), answers.len()), (ResponseCode::NoError, 0));
    assert!(!answer.message.metadata.authoritative, "it is not ours to say");
    (servers, glue)
}

#[test]
fn a_wildcard_stands_for_names_as_long_as_it_is_there() {
    let mut world = World::with(setup());
    assert!(world.ask("x.y", "TXT").is_nxdomain());
    world.accept("add * 60 TXT any; add *.y 60 TXT y; add deep.z 60 A 192.0.2.80");
    assert_eq!(world.ask("x.y", "TXT").data(), ["y"]);
    assert_eq!(sections(&world.ask("a.b", "TXT"))[0], ["a.b TXT any"]);
    assert!(world.ask("x", "A").is_nodata(), "the name is there, the type is not");
    for blocked in ["z", "y", "b.c", "web", "_tcp.web"] {
        assert!(world.ask(blocked, "TXT").is_nodata(), "{blocked} is there itself");
    }
    for below in ["x.z", "m1.web", "x.ns"] {
        assert!(world.ask(below, "TXT").is_nxdomain(), "{below}: its closest encloser has no wildcard");
    }
    world.accept("delete * TXT; delete *.y");
    for gone in ["x.y", "a"] {
        assert!(world.ask(gone, "TXT").is_nxdomain(), "{gone}");
    }
}

#[test]
fn a_wildcards_lease_ends_as_others_do() {
    let mut world = World::with(setup());
    let granted = world.update_with_lease("add *.y 60 TXT y", Some(&30_u32.to_be_bytes()));
    assert!(granted.lease.is_some(), "{granted:?}");
    world.advance_unswept(20_000);
    let answer = world.ask("x.y", "TXT");
    assert_eq!((answer.data(), answer.ttl_s()), (vec!["y".to_owned()], 10));
    world.advance_unswept(10_000);
    assert!(world.ask("x.y", "TXT").data().is_empty(), "it has ended, though nothing has swept it yet");
    world.expire();
    assert!(world.ask("x.y", "TXT").is_nxdomain());
}

#[test]
fn a_delegation_hides_what_is_below_it_until_it_is_gone() {
    let mut world = World::with(setup());
    world.accept("add sub 60 TXT above; add host.sub 60 A 192.0.2.80");
    assert_eq!(world.ask("host.sub", "A").data(), ["192.0.2.80"]);
    world.accept("add sub 60 NS host.sub; add sub 60 NS ns.elsewhere.example.");
    for (name, rtype) in
        [("sub", "TXT"), ("sub", "NS"), ("host.sub", "A"), ("nobody.sub", "A"), ("x.sub", "DS")]
    {
        let (mut servers, glue) = referral(&world.ask(name, rtype));
        servers.sort();
        assert_eq!(
            servers,
            ["sub NS host.sub.pool.example.", "sub NS ns.elsewhere.example."],
            "{name} {rtype}"
        );
        assert_eq!(glue, ["host.sub A 192.0.2.80"], "{name} {rtype}");
    }
    assert!(world.ask("sub", "DS").is_nodata(), "whether it is signed is the parent's to say");
    world.accept("add to-sub 60 CNAME nobody.sub");
    let alias = world.ask("to-sub", "A");
    assert!(alias.message.metadata.authoritative, "the alias is ours");
    let [answers, servers, _] = sections(&alias);
    assert_eq!((answers.len(), servers.len()), (1, 2));
    world.accept("delete sub NS");
    assert_eq!(world.ask("host.sub", "A").data(), ["192.0.2.80"]);
    assert!(world.ask("nobody.sub", "A").is_nxdomain());
}

#[test]
fn a_dname_leads_to_pools_and_members() {
    let mut world = World::with(setup());
    world.accept("add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 0 80 m1.web");
    // web.pool.example., and later pool.example. in its place.
    world.accept("record old 60 IN DNAME \\# 18 0377656204706F6F6C076578616D706C6500");
    let member = world.ask("M1.old", "A");
    assert_eq!(member.message.answers.len(), 3, "the DNAME, the CNAME, the address");
    assert_eq!(member.data().last().map(String::as_str), Some("10.0.0.1"));
    assert!(member.message.answers[1].data.to_string().starts_with("M1.web."), "spelt as asked");
    let service = world.ask("_http._tcp.old", "SRV");
    assert_eq!((service.message.answers.len(), service.message.additionals.len()), (3, 1));
    assert_eq!(world.ask("nobody.old", "A").rcode(), ResponseCode::NXDomain);
    assert!(world.ask("old", "A").is_nodata(), "its own name is not redirected");
    world.accept("record old 60 IN DNAME \\# 14 04706F6F6C076578616D706C6500");
    let moved = world.ask("m1.web.old", "A");
    assert_eq!(moved.data().last().map(String::as_str), Some("10.0.0.1"), "there is one DNAME, the last");
    world.accept("add old 60 NS ns");
    assert_eq!(
        world.ask("m1.web.old", "A").octets,
        moved.octets,
        "and no cut beside it (RFC 6672 section 2.3)"
    );
    world.accept("delete old DNAME");
    assert!(world.ask("m1.old", "A").is_nxdomain());
}

#[test]
fn nothing_leads_elsewhere_from_above_a_pool() {
    let mut world = World::with(setup());
    for (script, reason) in [
        ("add deep 60 NS ns", "deep.pool.example. NS would lead elsewhere"),
        ("record deep 60 IN DNAME \\# 1 00", "deep.pool.example. DNAME would lead elsewhere"),
        ("record @ 60 IN DNAME \\# 1 00", "pool.example. DNAME would lead elsewhere"),
        ("add web 60 NS ns", "web.pool.example."),
        ("add x.web 60 NS ns", "x.web.pool.example."),
        ("add *.web 60 MX 10 ns", "*.web.pool.example."),
        ("add *.y 60 NS ns", "*.y.pool.example."),
    ] {
        let refusal = world.refuse(script);
        assert!(refusal.contains(reason), "{script}: {refusal}");
    }
    world.accept("add other.deep 60 NS ns; add * 60 TXT any");
    world.accept("add m1.db.deep 30 A 10.0.0.1");
    assert_eq!(world.ask("db.deep", "A").data(), ["10.0.0.1"]);
}

#[test]
fn where_registrations_make_pools_a_delegated_name_is_none() {
    let mut world = World::with(Setup { create_pools: true, ..setup() });
    let at_once = world.refuse("add sub 60 NS m1.sub; add m1.sub 60 A 10.0.0.1");
    assert!(at_once.contains("sub.pool.example. NS stands in the way"), "a cut, or a pool? {at_once}");
    world.accept("add sub 60 NS m1.sub");
    world.accept("add m1.sub 60 A 10.0.0.1");
    let (_, glue) = referral(&world.ask("sub", "A"));
    assert_eq!(glue, ["m1.sub A 10.0.0.1"], "glue, and no member");
    world.advance(120_000);
    assert_eq!(referral(&world.ask("sub", "A")).1, ["m1.sub A 10.0.0.1"], "and it is permanent");
    world.accept("add m1.live 30 A 10.0.0.2");
    assert!(world.refuse("add live 60 NS ns").contains("live.pool.example."));
    assert_eq!(world.ask("live", "A").data(), ["10.0.0.2"]);
}

#[test]
fn what_leads_elsewhere_is_there_after_a_crash() {
    let state = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let mut world = World::stored(setup(), state.path());
    world.accept("add *.y 60 TXT y; add sub 60 NS ns.sub; add ns.sub 60 A 192.0.2.80");
    world.accept("record old 60 IN DNAME \\# 14 04706F6F6C076578616D706C6500");
    let mut world = world.crash_and_restart(1_000);
    assert_eq!(world.ask("x.y", "TXT").data(), ["y"]);
    assert_eq!(referral(&world.ask("x.sub", "A")).1, ["ns.sub A 192.0.2.80"]);
    assert_eq!(world.ask("ns.old", "A").message.answers.len(), 3);
    // A pool that is declared now, where the delegation is: the file wins.
    world.setup.pools.push(("db.sub", pool_settings(Policy::RoundRobin)));
    let mut world = world.crash_and_restart(1_000);
    assert!(world.ask("db.sub", "A").is_nodata(), "a pool, and nobody in it");
    assert_eq!(world.ask("ns.sub", "A").data(), ["192.0.2.80"]);
}

#[test]
fn an_asterisk_makes_no_pool_and_no_member() {
    let mut world = World::with(Setup { create_pools: true, ..setup() });
    for (script, name) in [
        ("add m1.* 60 A 10.0.0.1", "m1.*"),
        ("add _http._tcp.* 60 SRV 0 0 80 ns", "_http._tcp.*"),
        ("add *.live 60 A 10.0.0.1", "*.live"),
    ] {
        world.accept(script);
        world.advance(120_000);
        let rtype = if name.starts_with('_') { "SRV" } else { "A" };
        assert_eq!(world.ask(name, rtype).data().len(), 1, "{name}: an ordinary record, and permanent");
    }
    assert!(world.ask("_http._tcp.any", "SRV").is_nodata(), "* stands for it, and _http._tcp.* for nothing");
    assert_eq!(world.ask("x.live", "A").data(), ["10.0.0.1"]);
}

#[test]
fn a_dname_at_the_apex_gives_way_where_pools_are_made_now() {
    let state = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let mut world = World::stored(Setup { pools: Vec::new(), ..setup() }, state.path());
    world.accept("record @ 60 IN DNAME \\# 14 04706F6F6C076578616D706C6500; add * 60 TXT any");
    assert_eq!(world.ask("x", "TXT").data().len(), 2, "the DNAME and its CNAME, which leads to itself");
    world.setup.create_pools = true;
    let mut world = world.crash_and_restart(1_000);
    assert_eq!(world.ask("x", "TXT").data(), ["any"], "the rest is there");
    world.accept("add m1.live 30 A 10.0.0.1");
    assert_eq!(world.ask("live", "A").data(), ["10.0.0.1"]);
}

#[test]
fn a_pool_does_not_come_back_where_the_file_delegates_its_name() {
    let state = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let mut world = World::stored(Setup { create_pools: true, ..setup() }, state.path());
    world.accept("add m1.live 30 A 10.0.0.1; add m1.web 30 A 10.0.0.2");
    world.setup.zone_file += "live NS ns.elsewhere.example.\n";
    let mut world = world.crash_and_restart(1_000);
    for name in ["live", "m1.live"] {
        assert_eq!(referral(&world.ask(name, "A")).0, ["live NS ns.elsewhere.example."], "{name}");
    }
    assert_eq!(world.ask("m1.web", "A").data(), ["10.0.0.2"]);
}

#[test]
fn where_file_and_update_lead_to_two_places_the_file_wins() {
    let state = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let mut world = World::stored(setup(), state.path());
    world.accept("record a 60 IN DNAME \\# 14 04706F6F6C076578616D706C6500; add b 60 NS ns");
    world.accept("record c 60 IN DNAME \\# 14 04706F6F6C076578616D706C6500");
    world.setup.zone_file += "a DNAME web\nb DNAME web\nc NS ns.elsewhere.example.\n";
    let mut world = world.crash_and_restart(1_000);
    for name in ["a", "b"] {
        let answer = world.ask(&format!("x.{name}"), "A");
        let [answers, ..] = sections(&answer);
        assert_eq!(answers.len(), 2, "one DNAME, and its CNAME: {answers:?}");
        assert_eq!(answers[1], format!("x.{name} CNAME x.web.pool.example."));
        assert!(world.ask(name, "NS").is_nodata());
    }
    assert_eq!(referral(&world.ask("x.c", "A")).0, ["c NS ns.elsewhere.example."]);
    assert_eq!(referral(&world.ask("c", "DNAME")).0, ["c NS ns.elsewhere.example."]);
}

#[test]
fn a_reload_brings_and_takes_what_leads_elsewhere() {
    let mut world = World::with(setup());
    world.accept("add *.z 60 TXT z; add m1.web 30 A 10.0.0.1");
    let identity = Identity { nsid: Some("fra1".into()), ..Identity::default() };
    world.registrar.identify(identity.clone());
    let more = "*.y TXT y\nsub NS ns.sub\nns.sub A 192.0.2.80\nold DNAME web\n";
    world.reload(Setup { zone_file: setup().zone_file + more, ..setup() });
    assert_eq!(
        (world.ask("x.y", "TXT").data(), world.ask("x.z", "TXT").data()),
        (vec!["y".into()], vec!["z".into()])
    );
    assert_eq!(referral(&world.ask("x.sub", "A")).1, ["ns.sub A 192.0.2.80"]);
    assert_eq!(world.ask("m1.old", "A").message.answers.len(), 3);
    assert_eq!(
        world.registrar.published().identity(),
        &identity,
        "a reload changes zones, not who serves them"
    );
    world.reload(setup());
    for gone in ["x.y", "x.sub", "m1.old"] {
        assert!(world.ask(gone, "TXT").is_nxdomain(), "{gone}");
    }
    assert_eq!(world.ask("x.z", "TXT").data(), ["z"]);
}

#[test]
fn listings_stand_beside_wildcards_and_delegations() {
    let mut world = World::with(setup());
    world.accept("add m1.web 30 A 10.0.0.1; add _http._tcp.web 30 SRV 0 0 80 m1.web");
    world.accept("add *._http._tcp 60 TXT any; add * 60 PTR ns; add sub 60 NS ns");
    assert_eq!(world.ask("_http._tcp", "PTR").data(), ["web._http._tcp.pool.example."]);
    assert_eq!(world.ask("web._http._tcp", "SRV").data(), ["0 0 80 m1.web.pool.example."]);
    assert_ne!(world.ask("web._http._tcp", "TXT").data(), ["any"], "an instance is there itself");
    assert_eq!(world.ask("x._http._tcp", "TXT").data(), ["any"], "another name is the wildcard's");
    assert!(world.ask("x._http._tcp", "SRV").is_nodata());
}
