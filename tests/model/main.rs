//! Random UPDATEs, right and wrong, against a plain model of RFC 2136 and of what registrations mean: after each message the
//! RCODE is the model's, and every name and type answers as the model says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod message;
mod model;
mod pool;
mod records;
#[path = "../scenarios/world.rs"]
mod world;

use std::collections::BTreeSet;

use hickory_proto::op::ResponseCode;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use message::{Event, Key, Prerequisite, Update, event, rrsets};
use model::Model;
use pool::is_membership;
use world::script::{absolute, rdata, record_type};
use world::{World, text, update_message};

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/model/regressions.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_server_is_what_the_model_is(events in prop::collection::vec(event(), 1..40)) {
        let mut world = World::for_records();
        let mut model = Model::new(world.now_ms);
        let mut is_swept = true;
        for event in &events {
            match event {
                Event::Update(update) => {
                    send(&mut world, &mut model, update, is_swept);
                    world.expire();
                    is_swept = true;
                }
                Event::Wait { ms, is_swept: true } => {
                    world.advance(*ms);
                    model.advance(*ms);
                    is_swept = true;
                }
                Event::Wait { ms, is_swept: false } => {
                    world.advance_unswept(*ms);
                    model.advance(*ms);
                    is_swept = false;
                }
            }
            compare(&mut world, &model, is_swept);
        }
    }
}

/// Sends a message to both. What clients see changes if and only if the serial moves, by one; unless somebody's lease is over
/// and the server has not looked yet.
fn send(world: &mut World, model: &mut Model, update: &Update, is_swept: bool) {
    let script = script(model, update);
    let lease = update.lease.map(|(lease_s, key_lease_s)| {
        [Some(lease_s), key_lease_s].into_iter().flatten().flat_map(u32::to_be_bytes).collect::<Vec<u8>>()
    });
    let (serial, shown) = (world.serial(), model.shown());
    world.source = update.source.parse().unwrap();
    let message = update_message(&script, lease.as_deref()).to_vec().unwrap();
    let updated = world.send(&message);
    assert_eq!(updated.rcode, model.update(update), "{script}: {:?}", updated.refusal);
    let acknowledged = lease.filter(|_| updated.rcode == ResponseCode::NoError);
    assert_eq!(updated.lease.map(|back| back.len()), acknowledged.map(|asked| asked.len()), "{script}");
    if is_swept {
        let moves = u32::from(shown != model.shown());
        assert_eq!(world.serial().wrapping_sub(serial), moves, "the serial, after {script}");
    }
}

fn script(model: &Model, update: &Update) -> String {
    let mut lines = Vec::new();
    for prerequisite in &update.prerequisites {
        match prerequisite {
            Prerequisite::InUse(name) => lines.push(format!("prereq yxdomain {name}")),
            Prerequisite::NotInUse(name) => lines.push(format!("prereq nxdomain {name}")),
            Prerequisite::Exists((name, rtype)) => lines.push(format!("prereq yxrrset {name} {rtype}")),
            Prerequisite::DoesNotExist((name, rtype)) => lines.push(format!("prereq nxrrset {name} {rtype}")),
            Prerequisite::Is(key, difference) => {
                let wanted = model.wanted(*key, *difference).into_iter();
                lines.extend(wanted.map(|value| format!("prereq yxrrset {} {} {value}", key.0, key.1)));
            }
            Prerequisite::Wrong(line, _) => lines.push((*line).to_owned()),
        }
    }
    lines.extend(update.changes.iter().map(message::Change::line));
    lines.join("; ")
}

/// Asks for everything, and holds it against the model. A name whose last record has ended is NODATA until it is swept.
fn compare(world: &mut World, model: &Model, is_swept: bool) {
    for (key, _) in rrsets() {
        let answer = world.ask(key.0, key.1);
        let (owner, rtype) = (absolute(key.0), record_type(key.1));
        let own: Vec<_> = answer
            .message
            .answers
            .iter()
            .filter(|record| record.name == owner && record.record_type() == rtype)
            .collect();
        let found: BTreeSet<String> = own.iter().map(|record| text(&record.data)).collect();
        assert_eq!(found, texts(model, key), "{key:?} at {}", model.now_ms);
        let has_alias = key.1 != "CNAME" && !model.values((key.0, "CNAME")).is_empty();
        if !own.is_empty() && !is_membership(key) {
            let ttls: BTreeSet<u32> = own.iter().map(|record| record.ttl).collect();
            assert_eq!(ttls, model.ttl_s(key).into_iter().collect(), "{key:?} at {}", model.now_ms);
        }
        // A service that the pool has known is NODATA for a while.
        if own.is_empty() && !has_alias && key.0 != "_s._tcp.web" {
            let rcode = if model.exists(key.0) { ResponseCode::NoError } else { ResponseCode::NXDomain };
            let is_unswept = !is_swept && answer.rcode() == ResponseCode::NoError;
            assert!(answer.rcode() == rcode || is_unswept, "{key:?} at {}: not {rcode}", model.now_ms);
        }
    }
    for rtype in ["A", "AAAA"] {
        let found: BTreeSet<String> = world.ask("all.web", rtype).data().into_iter().collect();
        assert_eq!(found, texts(model, ("web", rtype)), "all.web at {}", model.now_ms);
    }
}

fn texts(model: &Model, key: Key) -> BTreeSet<String> {
    let values = model.values(key);
    values.iter().map(|value| text(&rdata(key.1, &value.split(' ').collect::<Vec<_>>()))).collect()
}
