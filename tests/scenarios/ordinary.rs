//! Ordinary records that UPDATE made: across restarts, beside a zone file that is edited meanwhile, and beside pools that
//! come and go.

#![expect(clippy::panic, reason = "a test may fail by panicking")]

mod beside;

use hickory_proto::rr::RData;
use rollcall::change::Change;
use rollcall::membership::Cause;
use rollcall::policy::Policy;
use rollcall::zone::is_later;

use super::table::{accept, assert_holds, rrset, soa_serial};
use super::world::{Setup, World, pool_settings, records_grant, zone_file};

const HOUR_MS: u64 = 3_600_000;

/// For every name and type, with the pool `web`, and others where members make them.
fn setup() -> Setup {
    let pools = vec![("web", pool_settings(Policy::RoundRobin))];
    Setup { pools, grants: vec![records_grant()], ..Setup::default() }
}

fn stored(state: &tempfile::TempDir) -> World {
    World::stored(setup(), state.path())
}

/// Sends what must be accepted, with a lease of so many seconds.
#[track_caller]
fn accept_leased(world: &mut World, lease_s: u32, script: &str) {
    let updated = world.update_with_lease(script, Some(&lease_s.to_be_bytes()));
    assert!(updated.refusal.is_none() && updated.lease.is_some(), "{script}: {updated:?}");
}

/// A start with another zone file.
fn restart_with(mut world: World, file: String) -> World {
    world.setup.zone_file = file;
    world.crash_and_restart(1_000)
}

fn without(line: &str) -> String {
    let file = zone_file();
    let left: Vec<_> = file.lines().filter(|held| *held != line).collect();
    assert_eq!(left.len() + 1, file.lines().count(), "{line}");
    left.join("\n") + "\n"
}

fn with(line: &str) -> String {
    format!("{}{line}\n", zone_file())
}

/// Causes of changes of ordinary records, of those that come after so many.
fn causes_after(world: &World, seen: usize) -> Vec<Cause> {
    let names = world.changes.iter().skip(seen).filter(|change| matches!(change, Change::Name(_)));
    names.map(Change::cause).collect()
}

#[test]
fn permanent_records_outlive_every_restart() {
    let state = tempfile::tempdir().unwrap();
    let mut world = stored(&state);
    accept(
        &mut world,
        "add host 60 TXT v=1; add info 77 TXT more; add x.y.host 60 TYPE65280 \\# 2 ABCD; add web 60 TXT v=1",
    );
    let serial = soa_serial(&mut world);
    for down_ms in [0, 100 * 24 * HOUR_MS] {
        world = world.crash_and_restart(down_ms);
        assert_holds(
            &mut world,
            "host 60 TXT v=1; info 77 TXT hello world; info 77 TXT more; info 300 A 192.0.2.80; y.host TXT NODATA; \
             x.y.host 60 TYPE65280 \\# 2 ABCD; web 60 TXT v=1",
        );
        assert!(is_later(soa_serial(&mut world), serial));
    }
    accept(&mut world, "delete host; delete info TXT more; delete x.y.host");
    let mut world = world.stop_and_restart(0);
    assert_holds(&mut world, "host TXT NXDOMAIN; x.y.host TYPE65280 NXDOMAIN; info A 192.0.2.80");
}

#[test]
fn a_leased_record_has_one_grace_and_no_further_crash_adds_to_it() {
    let state = tempfile::tempdir().unwrap();
    let mut world = stored(&state);
    accept_leased(&mut world, 20, "add short 300 TXT v=1");
    accept_leased(&mut world, 3_600, "add late 300 TXT v=1; add late 300 A 10.0.0.9");
    accept_leased(&mut world, 3_600, "add m1.web 300 A 10.0.0.1");
    // However late it was away: min(lease, 60 s) from the first start on.
    let mut world = world.crash_and_restart(24 * HOUR_MS);
    assert_holds(&mut world, "short 20 TXT v=1; late 60 TXT v=1; late 60 A 10.0.0.9; web A 10.0.0.1");
    world.advance(15_000);
    accept_leased(&mut world, 3_600, "add late 300 TXT v=1");
    let mut world = world.crash_and_restart(1_000);
    // TXT was heard of in the second run, and so was `late` as a name; its address was not.
    assert_holds(&mut world, "short 4 TXT v=1; late 60 TXT v=1; late 44 A 10.0.0.9; web A 10.0.0.1");
    world.advance(3_999);
    assert_holds(&mut world, "short 0 TXT v=1");
    let seen = world.changes.len();
    world.advance(1);
    assert_holds(&mut world, "short TXT NXDOMAIN; late 56 TXT v=1");
    assert_eq!(causes_after(&world, seen), [Cause::Lapsed]);
    world.advance(40_000);
    assert_holds(&mut world, "late A NODATA; late 16 TXT v=1; web A NODATA");
    let mut world = world.crash_and_restart(0);
    assert_holds(&mut world, "short TXT NXDOMAIN; late A NODATA; late 16 TXT v=1");
    world.advance(16_000);
    assert_holds(&mut world, "late TXT NXDOMAIN");
}

#[test]
fn what_lapsed_is_logged_moves_the_serial_and_does_not_come_back() {
    for is_swept in [true, false] {
        let state = tempfile::tempdir().unwrap();
        let mut world = stored(&state);
        accept(&mut world, "add host 60 TXT v=0");
        accept_leased(&mut world, 10, "add host 60 TXT v=1; add other 60 TXT v=1");
        world.advance_unswept(10_000);
        let (serial, seen) = (soa_serial(&mut world), world.changes.len());
        assert_holds(&mut world, "host 60 TXT v=0; other TXT NODATA");
        if is_swept {
            world.expire();
            assert_eq!(causes_after(&world, seen), [Cause::Lapsed; 2]);
            assert_eq!(soa_serial(&mut world), serial + 1, "once for both");
        }
        let mut world = world.crash_and_restart(0);
        // Nobody was told that it had lapsed: a crash before that leaves the grace.
        if is_swept {
            assert_holds(&mut world, "host 60 TXT v=0; other TXT NXDOMAIN");
        } else {
            assert_holds(&mut world, "host 10 TXT v=0; host 10 TXT v=1; other 10 TXT v=1");
        }
        world.advance(10_000);
        let mut world = world.crash_and_restart(0);
        assert_holds(&mut world, "host 60 TXT v=0; other TXT NXDOMAIN");
    }
}

#[test]
fn no_ttl_outlives_its_record_before_or_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let mut world = stored(&state);
    accept_leased(
        &mut world,
        7,
        "add host 300 TXT v=1; add web 300 TXT v=1; add _acme-challenge.m1.web 300 TXT v=1",
    );
    accept_leased(&mut world, 300, "add host 300 TXT v=2; add web 300 TXT v=2");
    for start in 0..2 {
        let ends_ms = world.now_ms + 7_000;
        while world.now_ms < ends_ms {
            let left_s = ((ends_ms - world.now_ms) / 1_000) as u32;
            for name in ["host", "web", "_acme-challenge.m1.web"] {
                let (_, found) = rrset(&mut world, name, "TXT");
                assert_eq!(found.get("v=1"), Some(&left_s), "{name}, start {start}");
                assert!(found.values().all(|ttl_s| *ttl_s == left_s), "{name}: {found:?}");
            }
            world.advance_unswept(if world.now_ms.is_multiple_of(3) { 333 } else { 500 });
        }
        if start == 0 {
            world = world.crash_and_restart(0);
        }
    }
    assert_holds(&mut world, "web TXT v=2; host TXT v=2; _acme-challenge.m1.web TXT NODATA");
}

#[test]
fn what_was_deleted_from_the_file_stays_deleted_while_the_file_has_it() {
    let state = tempfile::tempdir().unwrap();
    let mut world = stored(&state);
    accept(&mut world, "delete info A; delete www CNAME; delete a.b.c; delete note._tcp.web; delete ns AAAA");
    let holds = "info A NODATA; info TXT more; www CNAME NXDOMAIN; a.b.c A NXDOMAIN; b.c A NXDOMAIN; \
                 note._tcp.web TXT NXDOMAIN; ns AAAA NODATA; ns A 192.0.2.53";
    accept(&mut world, "delete info TXT; add info 60 TXT more");
    for file in [zone_file(), zone_file(), with("fresh A 192.0.2.90"), with("info A 192.0.2.91")] {
        world = restart_with(world, file.clone());
        match file.contains("192.0.2.91") {
            true => assert_holds(&mut world, &holds.replace("info A NODATA", "info A 192.0.2.91")),
            false => assert_holds(&mut world, holds),
        }
    }
    // Added again it is the file's, and there is nothing left to remember.
    accept(&mut world, "add a.b.c 300 A 192.0.2.81; add www 300 CNAME info");
    let mut world = restart_with(world, without("a.b.c  A   192.0.2.81"));
    assert_holds(&mut world, "a.b.c A NXDOMAIN; www CNAME info");
}

#[test]
fn a_record_that_left_the_file_and_came_back_is_not_the_one_that_was_deleted() {
    let state = tempfile::tempdir().unwrap();
    let mut world = stored(&state);
    accept(&mut world, "delete info A; add info 60 TXT more");
    let world = restart_with(world, without("info   A   192.0.2.80"));
    let mut world = restart_with(world, zone_file());
    assert_holds(&mut world, "info A 192.0.2.80");
}

#[test]
fn an_edited_file_has_its_say() {
    let state = tempfile::tempdir().unwrap();
    let mut world = stored(&state);
    accept(
        &mut world,
        "add host 60 A 10.0.0.9; add alias 60 CNAME info; add info 60 TXT more; delete www; add www 60 A 10.0.0.8",
    );
    let edited = "fresh A 192.0.2.90\ninfo A 192.0.2.91\nhost TXT \"of the file\"\nalias TXT \"of the file\"";
    let mut world = restart_with(world, with(edited));
    assert_holds(
        &mut world,
        "fresh 300 A 192.0.2.90; info A 192.0.2.80; info A 192.0.2.91; host A 10.0.0.9; www A 10.0.0.8",
    );
    // Where both cannot be, the file wins.
    assert_holds(&mut world, "alias CNAME NODATA");
    assert_eq!(world.ask("alias", "TXT").data(), ["of the file"]);
    let edited =
        zone_file().replace("www    CNAME info", "www CNAME ns") + "host CNAME info\nalias CNAME ns\n";
    let mut world = restart_with(world, edited);
    assert_holds(&mut world, "host CNAME info; alias CNAME ns; www CNAME ns");
    assert_eq!(world.ask("host", "A").data(), ["info.pool.example.", "192.0.2.80"]);
}

#[test]
fn a_pool_that_is_declared_later_has_its_names_for_itself() {
    let state = tempfile::tempdir().unwrap();
    let mut world = World::stored(Setup { create_pools: false, ..setup() }, state.path());
    accept(
        &mut world,
        "add lap.top 60 A 10.0.0.9; add lap.top 60 TXT v=1; add m1.lap.top 60 A 10.0.0.8; add m1.lap.top 60 MX 1 ns; \
        add _acme-challenge.lap.top 60 TXT token; add x.m1.lap.top 60 A 10.0.0.7; add c.lap.top 60 CNAME info",
    );
    assert_holds(&mut world, "lap.top A 10.0.0.9; m1.lap.top A 10.0.0.8");
    let serial = soa_serial(&mut world);
    world.setup.pools.push(("lap.top", pool_settings(Policy::RoundRobin)));
    for _ in 0..2 {
        world = world.crash_and_restart(0);
        assert_holds(
            &mut world,
            "lap.top A NODATA; lap.top TXT v=1; m1.lap.top A NODATA; m1.lap.top MX 1 ns; c.lap.top CNAME NXDOMAIN; \
            _acme-challenge.lap.top TXT token; x.m1.lap.top A 10.0.0.7; all.lap.top A NODATA",
        );
        assert!(is_later(soa_serial(&mut world), serial));
    }
    accept(&mut world, "add m1.lap.top 30 A 10.0.0.1");
    assert_holds(&mut world, "lap.top A 10.0.0.1; m1.lap.top A 10.0.0.1; m1.lap.top MX 1 ns");
}

/// The names and the first two timers of the SOA, and its serial.
fn soa(world: &mut World) -> (String, u32) {
    match world.ask("@", "SOA").message.answers.first().map(|record| record.data.clone()) {
        Some(RData::SOA(soa)) => {
            (format!("{} {} {} {}", soa.mname, soa.rname, soa.refresh, soa.retry), soa.serial)
        }
        other => panic!("no SOA: {other:?}"),
    }
}

const OF_FILE: &str = "ns.pool.example. hostmaster.pool.example. 3600 600";
const OF_UPDATE: &str = "ns.pool.example. admin.pool.example. 7200 900";

#[test]
fn the_serial_of_a_soa_that_update_brought_is_the_least_after_a_restart() {
    for is_crash in [true, false] {
        let state = tempfile::tempdir().unwrap();
        let mut world = stored(&state);
        accept(&mut world, "add @ 300 SOA ns admin 500000 7200 900 86400 3600");
        assert_eq!(soa(&mut world), (OF_UPDATE.to_owned(), 500_000));
        let mut world = if is_crash { world.crash_and_restart(0) } else { world.stop_and_restart(0) };
        let (text, serial) = soa(&mut world);
        assert!(text == OF_UPDATE && is_later(serial, 500_000), "{text} {serial}, crash: {is_crash}");
    }
}

#[test]
fn a_soa_that_update_brought_stays_until_the_file_has_a_new_one() {
    let state = tempfile::tempdir().unwrap();
    let mut world = stored(&state);
    assert_eq!(soa(&mut world), (OF_FILE.to_owned(), 7));
    accept(&mut world, "add @ 300 SOA ns admin 500000 7200 900 86400 3600");
    for file in [zone_file(), with("fresh A 192.0.2.90")] {
        world = restart_with(world, file);
        assert_eq!(soa(&mut world).0, OF_UPDATE);
    }
    let edited = zone_file().replace("hostmaster 7 3600", "operator 8 1800");
    for _ in 0..2 {
        world = restart_with(world, edited.clone());
        let text = soa(&mut world).0;
        assert_eq!(text, "ns.pool.example. operator.pool.example. 1800 600", "the file wins a conflict");
    }
    // And the next UPDATE wins over that.
    accept(&mut world, "add @ 300 SOA ns admin 4000000 7200 900 86400 3600");
    let mut world = restart_with(world, edited);
    assert_eq!(soa(&mut world).0, OF_UPDATE);
}

#[test]
fn the_serial_never_goes_back() {
    let file = |serial: u32| zone_file().replace("hostmaster 7 ", &format!("hostmaster {serial} "));
    let state = tempfile::tempdir().unwrap();
    let late = file(4_294_960_000);
    let mut world = World::stored(Setup { zone_file: late.clone(), ..setup() }, state.path());
    let mut serial = soa_serial(&mut world);
    assert_eq!(serial, 4_294_960_000);
    let mut next = |world: &mut World, what: &str| {
        let next = soa_serial(world);
        assert!(is_later(next, serial), "{what}: {next} after {serial}");
        serial = next;
        next
    };
    accept(&mut world, "add host 60 TXT v=1");
    next(&mut world, "a record");
    world = world.crash_and_restart(0);
    next(&mut world, "a crash");
    world = world.crash_and_restart(0);
    next(&mut world, "a crash without a commit before it");
    // 2^31 and more ahead is not later: the rest of the message counts.
    accept(&mut world, "add @ 300 SOA ns admin 2200000000 7200 900 86400 3600; add host 60 TXT v=2");
    assert_eq!(soa(&mut world).0, OF_FILE);
    next(&mut world, "a record beside a SOA that is ignored");
    accept(&mut world, "add @ 300 SOA ns admin 5 7200 900 86400 3600");
    assert_eq!(next(&mut world, "a SOA past 2^32"), 5);
    accept(&mut world, "delete host");
    next(&mut world, "a record");
    world = restart_with(world, late);
    next(&mut world, "a file of before");
    world = restart_with(world, file(1_000_000));
    assert_eq!(next(&mut world, "a file with a later serial"), 1_000_000);
}
