//! Messages are judged one after the other and committed together: each comes to what it comes to by itself, and a group
//! that could not be stored leaves no trace.

use hickory_proto::op::{Message, ResponseCode};
use rollcall::change::Change;
use rollcall::query::Transport;
use rollcall::update::{Clock, Handled, Request};

use super::random::{self, script, shown};
use super::table::{assert_holds, rrset};
use super::world;
use super::world::{World, update_message};

/// Judges a message. What comes of it is not published yet: that is [`publish`]'s, or it is taken back.
pub fn judge(world: &mut World, octets: &[u8]) -> Handled {
    let (received_ms, wall_s) = (world.now_ms, world.wall_s());
    let request = Request { message: octets, source: world.source, transport: Transport::Tcp, received_ms };
    world.registrar.handle(&request, Clock { now_ms: received_ms, wall_s })
}

fn judge_script(world: &mut World, script: &str) -> Handled {
    judge(world, &update_message(script, None).to_vec().unwrap())
}

fn publish(world: &mut World, changes: &[Change]) {
    world.registrar.publish(changes, world.now_ms).unwrap();
}

/// As production does when a commit fails: what has happened all the same, such as the end of a lease, stands.
pub fn take_back(world: &mut World, changes: Vec<Change>) {
    let (facts, undone): (Vec<_>, Vec<_>) = changes.into_iter().partition(Change::is_fact);
    world.registrar.undo(&undone.iter().collect::<Vec<_>>());
    publish(world, &facts);
}

/// Fails unless the second message waits for the first, which may be taken back yet.
#[track_caller]
fn assert_waits(world: &mut World, first: &str, second: &str) {
    assert_eq!(judge_script(world, first).changes.len(), 1, "{first}");
    let handled = judge_script(world, second);
    assert!(handled.waits && handled.changes.is_empty(), "{second}: {:?}", handled.refusal);
}

/// Clients that change a zone only if nobody else has since make its SOA a prerequisite: it is judged on the serial of after
/// the changes that are pending.
#[test]
fn a_prerequisite_on_the_soa_waits_for_what_moves_the_serial() {
    let mut world = world();
    let (_, soa) = rrset(&mut world, "@", "SOA");
    let soa = soa.first_key_value().unwrap().0;
    let second = format!("prereq yxrrset @ SOA {soa}; add m2.web 30 A 10.0.0.2");
    assert_waits(&mut world, "add m1.web 30 A 10.0.0.1", &second);
}

/// A pool that is made by a join that is pending refuses nobody: there may be no such pool in a moment.
#[test]
fn nobody_is_refused_for_a_pool_that_is_not_there_yet() {
    for second in ["add lab 60 CNAME info", "add x.lab 60 TXT site=fra"] {
        assert_waits(&mut world(), "add m1.lab 30 A 10.0.0.1", second);
    }
}

/// What is in a pool's way and is about to go makes of a join neither a refusal nor an ordinary record.
#[test]
fn a_join_waits_for_an_obstacle_that_is_about_to_go() {
    let mut world = world();
    world.accept("add lab 60 A 192.0.2.80");
    assert_waits(&mut world, "delete lab A", "add m1.lab 30 A 10.0.0.1");
}

/// A pool whose making was taken back is not there: its name is free for all else, and is gone when that is.
#[test]
fn a_pool_whose_making_was_taken_back_leaves_its_name_free() {
    let mut world = world();
    world.accept("add x.y.lab 60 TXT v=1");
    let join = judge_script(&mut world, "add m1.lab 30 A 10.0.0.1; add lab 60 TXT v=2");
    take_back(&mut world, join.changes);
    assert_holds(&mut world, "lab TXT NODATA; m1.lab A NXDOMAIN; x.y.lab TXT v=1");
    world.accept("add lab 60 CNAME info");
    assert_holds(&mut world, "lab CNAME info");
    world.accept("delete lab; delete x.y.lab");
    assert_holds(&mut world, "lab TXT NXDOMAIN");
}

/// The RCODE, and what was said of the message.
fn told(handled: Handled, story: &mut Vec<String>, script: &str) -> ResponseCode {
    let reply = handled.reply.unwrap().finish(true, 0);
    let rcode = Message::from_vec(&reply).unwrap().metadata.response_code;
    story.push(format!("{script} -> {rcode:?} {}", handled.refusal.unwrap_or_default()));
    rcode
}

/// Random messages, in one group as far as they do not have to wait, and one by one: alike RCODE by RCODE, and in what the
/// zone shows.
#[test]
fn a_group_comes_to_what_its_messages_come_to_one_by_one() {
    for seed in 0..80 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut single, mut grouped) = (world(), world());
        let (mut pending, mut story) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let script = random::prerequisite(&mut rng) + &script(&mut rng, &random::FEW_NAMES, 2);
            let octets = update_message(&script, None).to_vec().unwrap();
            let alone = single.send(&octets).rcode;
            let mut handled = judge(&mut grouped, &octets);
            if handled.waits {
                publish(&mut grouped, &std::mem::take(&mut pending));
                handled = judge(&mut grouped, &octets);
                assert!(!handled.waits, "seed {seed}: nothing is pending: {script}");
            }
            pending.append(&mut handled.changes);
            let rcode = told(handled, &mut story, &script);
            assert_eq!(rcode, alone, "seed {seed}\n{}", story.join("\n"));
        }
        publish(&mut grouped, &pending);
        let (single, grouped) =
            (shown(&mut single, &random::FEW_NAMES), shown(&mut grouped, &random::FEW_NAMES));
        assert_eq!(grouped, single, "seed {seed}\n{}", story.join("\n"));
    }
}

/// Random groups that are taken back, between messages that stand: what the zone shows and what comes next are the same
/// without them.
#[test]
fn a_group_that_is_taken_back_leaves_nothing() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut with, mut without) = (world(), world());
        let mut story = Vec::new();
        for round in 0..4 {
            for _ in 0..4 {
                let script = script(&mut rng, &random::FEW_NAMES, 1);
                let rcodes = [&mut with, &mut without].map(|world| world.update(&script).rcode);
                story.push(format!("{script} -> {rcodes:?}"));
                assert_eq!(rcodes[0], rcodes[1], "seed {seed}\n{}", story.join("\n"));
            }
            // Now and then leases are over and nobody has swept.
            if round == 2 {
                with.advance_unswept(29_999);
                without.advance_unswept(29_999);
            }
            let mut changes = Vec::new();
            for _ in 0..4 {
                let script = script(&mut rng, &random::FEW_NAMES, 1);
                let mut handled = judge_script(&mut with, &script);
                changes.append(&mut handled.changes);
                story.push(format!("   taken back: {script}: {:?}", handled.refusal));
            }
            take_back(&mut with, changes);
            let [shown_with, shown_without] =
                [&mut with, &mut without].map(|world| shown(world, &random::FEW_NAMES));
            assert_eq!(shown_with, shown_without, "seed {seed}\n{}", story.join("\n"));
            with.advance(600);
            without.advance(600);
            let members = (with.registrar.members(), without.registrar.members());
            assert_eq!(members.0, members.1, "seed {seed}\n{}", story.join("\n"));
        }
    }
}
