//! What one message, or one name, may come to: work and memory that whoever holds a narrow grant can cause.

use hickory_proto::op::ResponseCode;

use super::world::World;

#[test]
fn an_rrset_takes_256_records_by_update() {
    let mut world = World::for_records();
    let add = |from: u32, to: u32| {
        let records = (from..to).map(|n| format!("add host 30 A 10.0.{}.{}", n / 256, n % 256));
        records.collect::<Vec<_>>().join("; ")
    };
    world.accept(&add(0, 256));
    let reason = world.refuse(&add(256, 257));
    assert!(reason.contains("host.pool.example. A may have 256 records"), "{reason}");
    world.accept(&add(0, 256));
    world.accept(&format!("delete host A 10.0.0.0; {}", add(256, 257)));
    assert_eq!(world.ask("host", "A").rcode(), ResponseCode::NoError);
}

#[test]
fn a_name_takes_64_types_by_update() {
    let mut world = World::for_records();
    let add = |from: u16, to: u16| {
        let records = (from..to).map(|n| format!("add host 30 TYPE{} \\# 1 00", 65_280 + n));
        records.collect::<Vec<_>>().join("; ")
    };
    world.accept(&add(0, 64));
    let reason = world.refuse(&add(64, 65));
    assert!(reason.contains("host.pool.example. may have 64 types"), "{reason}");
    world.accept(&add(0, 1));
}

#[test]
fn a_name_has_40_labels_below_its_zone() {
    let mut world = World::for_records();
    let name = |labels: usize| vec!["a"; labels].join(".");
    world.accept(&format!("add {} 30 TXT yes", name(40)));
    let reason = world.refuse(&format!("add {} 30 TXT yes", name(41)));
    assert!(reason.contains("more than 40 labels"), "{reason}");
    assert!(world.ask(&name(39), "TXT").is_nodata(), "the empty names above it are there");
    assert!(world.ask(&name(20), "TXT").is_nodata());
    world.accept(&format!("delete {}", name(40)));
    assert!(world.ask(&name(1), "TXT").is_nxdomain(), "and go with it");
}

#[test]
fn wrong_attributes_are_told_sixteen_times() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1");
    let bad: Vec<_> = (0..200).map(|n| format!("bad{n}")).collect();
    let updated = world.update(&format!("add m1.web 30 TXT {} site=fra", bad.join(" ")));
    assert_eq!((updated.rcode, updated.ignored), (ResponseCode::NoError, 16));
    assert_eq!(world.ask("m1.web", "TXT").data(), ["site=fra"], "what is right counts, wherever it stands");
}

#[test]
fn an_address_that_members_share_is_one_record_to_a_prerequisite() {
    let mut world = World::new();
    world.accept("add m1.web 30 A 10.0.0.1; add m2.web 30 A 10.0.0.1; add m3.web 30 A 10.0.0.2");
    world.accept("prereq yxrrset web A 10.0.0.1; prereq yxrrset web A 10.0.0.2; add m4.web 30 A 10.0.0.4");
    let updated = world.update("prereq yxrrset web A 10.0.0.1; prereq yxrrset web A 10.0.0.2; delete m4.web");
    assert_eq!(updated.rcode, ResponseCode::NXRRSet, "m4's is there too");
}
