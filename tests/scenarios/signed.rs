//! Who may register what: keys, owners, admins, and what a grant covers.

mod proof;

use hickory_proto::op::ResponseCode;
use rollcall::membership::Cause;
use rollcall::security::{Grant, NamePattern, Types};
use rollcall::wire::Rtype;

use super::signing::{Request, signed};
use super::table::{assert_holds, soa_serial};
use super::world::{Setup, World, every_name, key_grant};

const M1: &str = "add m1.web 30 A 10.0.0.1";

fn world(grants: Vec<Grant>) -> World {
    let keys = vec!["old.", "new.", "admin.", "other."];
    World::with(Setup { keys, grants, create_pools: false, ..Setup::default() })
}

/// Signed now.
fn by(world: &World, key: &str, script: &str) -> Request {
    signed(key, world.wall_s(), script)
}

fn fleet(key: &str) -> Grant {
    Grant { owner: Some("fleet".into()), ..key_grant(key) }
}

fn patterns(texts: &[&str]) -> Vec<NamePattern> {
    texts.iter().map(|text| NamePattern::new(text)).collect()
}

#[test]
fn a_key_is_rolled_over_under_one_owner() {
    let mut world = world(vec![fleet("old."), fleet("new."), key_grant("other.")]);
    by(&world, "old.", M1).accepted_by(&mut world);
    assert_eq!(by(&world, "new.", M1).accepted_by(&mut world), [Cause::Renewed], "it is no change of owner");
    by(&world, "new.", "add m1.web 30 TXT weight=20").accepted_by(&mut world);
    by(&world, "old.", "delete m1.web TXT").accepted_by(&mut world);
    let reason = by(&world, "other.", M1).refused_by(&mut world);
    assert!(reason.contains("m1 of pool web.pool.example. belongs to fleet"), "{reason}");
    assert_eq!(by(&world, "new.", "delete m1.web").accepted_by(&mut world), [Cause::Deregistered]);
    let reason = by(&world, "other.", M1).refused_by(&mut world);
    assert!(reason.contains("is kept for fleet for another 30 s"), "{reason}");
    world.advance(1_000);
    assert_eq!(by(&world, "old.", M1).accepted_by(&mut world), [Cause::Joined]);
}

#[test]
fn a_key_that_is_gone_leaves_its_owners_members_to_the_next() {
    let state = tempfile::tempdir().unwrap();
    let grants = vec![fleet("old."), fleet("new.")];
    let keys = vec!["old.", "new."];
    let mut world = World::stored(Setup { keys, grants, ..Setup::default() }, state.path());
    by(&world, "old.", M1).accepted_by(&mut world);
    by(&world, "old.", "add m2.web 30 A 10.0.0.2").accepted_by(&mut world);
    by(&world, "old.", "delete m2.web").accepted_by(&mut world);
    (world.setup.keys, world.setup.grants) = (vec!["new."], vec![fleet("new.")]);
    let mut world = world.crash_and_restart(1_000);
    let old = by(&world, "old.", M1);
    let updated = world.send(&old.octets);
    assert_eq!(updated.rcode, ResponseCode::NotAuth);
    assert!(updated.refusal.unwrap().contains("BADKEY"));
    by(&world, "new.", M1).accepted_by(&mut world);
    by(&world, "new.", "add m2.web 30 A 10.0.0.2").accepted_by(&mut world);
    assert_holds(&mut world, "web A 10.0.0.1; web A 10.0.0.2");
}

#[test]
fn an_admin_may_change_what_others_own_and_takes_what_is_kept() {
    let admin = Grant { admin: true, ..key_grant("admin.") };
    let mut world = world(vec![key_grant("old."), key_grant("other."), admin]);
    by(&world, "old.", M1).accepted_by(&mut world);
    by(&world, "admin.", "add m1.web 30 TXT weight=0").accepted_by(&mut world);
    assert_holds(&mut world, "m1.web TXT weight=0");
    by(&world, "old.", M1).accepted_by(&mut world);
    by(&world, "other.", M1).refused_by(&mut world);

    assert_eq!(
        by(&world, "admin.", "delete web A").accepted_by(&mut world),
        [],
        "that is of its own members"
    );
    assert_eq!(by(&world, "admin.", "delete m1.web").accepted_by(&mut world), [Cause::Deregistered]);
    let reason = by(&world, "other.", M1).refused_by(&mut world);
    assert!(reason.contains("kept for old."), "whoever put it out: {reason}");
    assert_eq!(by(&world, "admin.", M1).accepted_by(&mut world), [Cause::Joined]);
    let reason = by(&world, "old.", M1).refused_by(&mut world);
    assert!(reason.contains("belongs to admin."), "{reason}");
}

/// The grant, what it is asked, and what the refusal says; nothing for what is accepted.
type Case = (Grant, &'static str, &'static str);

/// A grant to the key `old.` changed in one respect.
fn old(change: impl Fn(&mut Grant)) -> Grant {
    let mut grant = every_name(key_grant("old."));
    change(&mut grant);
    grant
}

fn only(types: &[Rtype]) -> Grant {
    old(|grant| grant.types = Types::Only(types.to_vec()))
}

#[track_caller]
fn judge_all(before: &str, cases: &[Case]) {
    let wrong: Vec<_> = cases.iter().filter_map(|case| judge(before, case).err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn judge(before: &str, (grant, script, wanted): &Case) -> Result<(), String> {
    let preparer = Grant { owner: Some("old.".into()), ..every_name(key_grant("new.")) };
    let mut world = world(vec![preparer, grant.clone()]);
    by(&world, "new.", before).accepted_by(&mut world);
    let serial = soa_serial(&mut world);
    let request = by(&world, "old.", script);
    let updated = world.send(&request.octets);
    let reason = updated.refusal.unwrap_or_default();
    let is_right = match (updated.rcode, wanted.is_empty()) {
        (ResponseCode::NoError, is_granted) => is_granted,
        (ResponseCode::Refused, false) => reason.contains(wanted) && soa_serial(&mut world) == serial,
        _ => false,
    };
    if is_right { Ok(()) } else { Err(format!("{script}: {:?} {reason}, not {wanted:?}", updated.rcode)) }
}

#[test]
fn a_grant_covers_names_pools_addresses_targets_and_sources() {
    let acme = || old(|grant| grant.names = patterns(&["_acme-challenge.*", "@"]));
    let web = || old(|grant| grant.pools = patterns(&["web"]));
    let tenth = || old(|grant| grant.addresses = vec!["10.0.0.0/30".parse().unwrap()]);
    let gateways = || old(|grant| grant.targets = patterns(&["gw*.example.net"]));
    let here = || old(|grant| grant.sources = vec!["127.0.0.0/30".parse().unwrap()]);
    let there = || old(|grant| grant.sources = vec!["127.0.1.0/30".parse().unwrap()]);
    judge_all(
        "add info 60 TXT more; add g1.game 30 A 10.0.0.1",
        &[
            (acme(), "add _acme-challenge.www 60 TXT token", ""),
            (acme(), "add _ACME-Challenge.Www 60 TXT token; add @ 60 TXT v=1", ""),
            (acme(), "add www2 60 TXT token", "name www2 is not granted"),
            (acme(), "delete info", "name info is not granted"),
            (acme(), "delete nothing TXT", "name nothing is not granted"),
            (acme(), "add _acme-challenge.www 60 TXT token; delete info A", "name info is not granted"),
            (web(), M1, ""),
            (web(), "add g1.game 30 A 10.0.0.1", "pool game is not granted"),
            (web(), "delete g1.game", "pool game is not granted"),
            (web(), "delete game A", "pool game is not granted"),
            (web(), "delete g2.game", ""),
            (web(), "delete g1.game MX", ""),
            (tenth(), "add m1.web 30 A 10.0.0.3", ""),
            (tenth(), "add m1.web 30 A 10.0.0.4", "address 10.0.0.4 is not granted"),
            (
                tenth(),
                "add m1.web 30 A 10.0.0.3; add m1.web 30 AAAA 2001:db8::1",
                "address 2001:db8::1 is not",
            ),
            (tenth(), "add host 60 A 10.0.0.4", "address 10.0.0.4 is not granted"),
            (tenth(), "add host 60 HTTPS 1 . ipv4hint=10.0.0.4", "address 10.0.0.4 is not granted"),
            (tenth(), "add host 60 A 10.0.0.4; delete host A", "address 10.0.0.4 is not granted"),
            (gateways(), "add _sip._tcp.web 30 SRV 0 0 5060 gw1.example.net.", ""),
            (
                gateways(),
                "add _sip._tcp.web 30 SRV 0 0 5060 w1.example.net.",
                "target w1.example.net. is not granted",
            ),
            (
                gateways(),
                "delete _sip._tcp.web SRV 0 0 5060 w1.example.net.",
                "target w1.example.net. is not",
            ),
            (here(), M1, ""),
            (there(), M1, "source 127.0.0.1 is not granted"),
            (there(), "delete nothing", "source 127.0.0.1 is not granted"),
        ],
    );
}

const MEMBER: &str = "add m1.web 30 A 10.0.0.1; add m1.web 30 TXT weight=20; add _s._tcp.web 30 SRV 0 0 1 m1.web; \
    add web 30 HTTPS 1 m1.web.pool.example.; add web 60 TXT v=1; add host 60 A 10.0.0.9; add host 60 TXT v=1";

#[test]
fn what_a_grant_covers_to_add_it_covers_to_delete() {
    let address = || only(&[Rtype::A]);
    let text = || only(&[Rtype::TXT]);
    judge_all(
        MEMBER,
        &[
            (address(), "delete host A", ""),
            (address(), "delete host A 10.0.0.9", ""),
            (address(), "delete host TXT", "type TXT is not granted"),
            (address(), "delete host TXT v=1", "type TXT is not granted"),
            (address(), "delete host MX", "type MX is not granted"),
            (address(), "delete host", "type TXT is not granted"),
            (address(), "delete host A; delete host", "type TXT is not granted"),
            (text(), "delete host TXT; delete host", "type A is not granted"),
            (address(), "delete nothing", ""),
            (text(), "delete m1.web TXT", ""),
            (text(), "delete m1.web A", "type A is not granted"),
            (text(), "delete m1.web A 10.0.0.1", "type A is not granted"),
            (text(), "delete web A 10.0.0.1", "type A is not granted"),
            (text(), "delete web HTTPS 1 m1.web.pool.example.", "type HTTPS is not granted"),
            (address(), "delete m1.web TXT", "type TXT is not granted"),
            (address(), "delete web TXT", "type TXT is not granted"),
        ],
    );
}

/// The same where membership deletes by another way than by the member's own name.
#[test]
fn shared_names_and_attributes_are_deleted_under_a_grant_for_their_type() {
    let address = || only(&[Rtype::A]);
    let text = || only(&[Rtype::TXT]);
    judge_all(
        MEMBER,
        &[
            (address(), "delete m1.web TXT weight=20", "type TXT is not granted"),
            (address(), "delete _s._tcp.web SRV", "type SRV is not granted"),
            (address(), "delete _s._tcp.web SRV 0 0 1 m1.web", "type SRV is not granted"),
            (address(), "delete web HTTPS", "type HTTPS is not granted"),
            (text(), "delete web A", "type A is not granted"),
        ],
    );
}

#[test]
fn whoever_may_register_a_member_may_take_all_of_it_away() {
    let mut world =
        world(vec![only(&[Rtype::A]), Grant { owner: Some("old.".into()), ..every_name(key_grant("new.")) }]);
    by(&world, "new.", MEMBER).accepted_by(&mut world);
    // What else stands at a pool's name is not its members': it stays where its types are not granted.
    by(&world, "old.", "delete web").accepted_by(&mut world);
    assert_holds(&mut world, "web A NODATA; web HTTPS NODATA; web TXT v=1; _s._tcp.web SRV NODATA");
    world.advance(1_000);
    by(&world, "new.", MEMBER).accepted_by(&mut world);
    by(&world, "old.", "delete m1.web").accepted_by(&mut world);
    assert_holds(&mut world, "web A NODATA; m1.web A NXDOMAIN; web TXT v=1; host TXT v=1");
}
