//! RFC 9664, a story a rule: what is asked for, what is granted, and what the zone holds while time passes.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use hickory_proto::op::ResponseCode;

use super::table::{differences, soa_serial};
use super::world::World;

/// What happens next.
enum Step {
    /// An UPDATE with a lease option of one or two fields that is accepted; the option that comes back.
    Lease(&'static [u32], &'static str, &'static [u32]),
    /// The same, and the serial stays.
    Refresh(&'static [u32], &'static str, &'static [u32]),
    /// An UPDATE without the option that is accepted; no option comes back.
    Plain(&'static str),
    /// An UPDATE without the option that is refused.
    Refused(&'static str),
    /// What the zone holds, see [`differences`].
    Holds(&'static str),
    /// Milliseconds pass, and the server looks for leases that are over.
    Wait(u64),
    /// Milliseconds pass, and it does not.
    WaitUnswept(u64),
    /// Who sends from now on.
    From(&'static str),
}

use Step::*;

type Story = (&'static str, &'static [Step]);

const M1: &str = "add m1.web 30 A 10.0.0.1";
const HOST: &str = "add host 60 TXT v=1";
/// With a KEY record of a host.
const SERVICE: &str = "add host 60 TXT v=1; add host 60 KEY \\# 8 0201030DAABBCCDD";
const KEY: &str = "host KEY \\# 8 0201030DAABBCCDD";
/// The most that a name is kept.
const FOURTEEN_DAYS_S: u32 = 14 * 86_400;

/// The option: its sizes, and what is granted.
#[rustfmt::skip]
const OPTION: [Story; 7] = [
    ("4 octets come back as 4: member", &[Lease(&[10], M1, &[10])]),
    ("4 octets come back as 4: ordinary record", &[Lease(&[10], HOST, &[10])]),
    ("8 octets come back as 8: member", &[Lease(&[10, 100], M1, &[10, 100])]),
    ("8 octets come back as 8: ordinary record", &[Lease(&[10, 100], SERVICE, &[10, 100])]),
    ("a lease that is too short is raised", &[Lease(&[1], M1, &[2]), Lease(&[1], HOST, &[2])]),
    ("a lease that is too long is lowered", &[Lease(&[90_000], M1, &[3_600]), Lease(&[u32::MAX], HOST, &[3_600])]),
    ("a name is kept for 14 days at most", &[Lease(&[90_000, u32::MAX], M1, &[3_600, FOURTEEN_DAYS_S])]),
];

/// A registration that is not renewed (section 7).
#[rustfmt::skip]
const EXPIRY: [Story; 12] = [
    ("a record lives for its lease, and its TTL never outlives it", &[
        Lease(&[10], HOST, &[10]),
        Holds("host 10 TXT v=1"),
        Wait(4_500),
        Holds("host 5 TXT v=1"),
        Wait(5_499),
        Holds("host 0 TXT v=1"),
        Wait(1),
        Holds("host TXT NXDOMAIN"),
    ]),
    ("a TTL that is shorter than the lease stays", &[
        Lease(&[1_000], HOST, &[1_000]),
        Wait(900_000),
        Holds("host 60 TXT v=1"),
    ]),
    ("what has expired is not answered, even if nobody has looked yet", &[
        Lease(&[10], "add host 60 TXT v=1; add x.host 60 A 10.0.0.9", &[10]),
        WaitUnswept(9_999),
        Holds("host TXT v=1; x.host A 10.0.0.9"),
        WaitUnswept(1),
        Holds("host TXT NODATA; x.host A NODATA"),
        Wait(0),
        Holds("host TXT NXDOMAIN; x.host A NXDOMAIN"),
    ]),
    ("what is permanent stays when what has a lease goes", &[
        Plain("add host 60 TXT v=0"),
        Lease(&[10], HOST, &[10]),
        Holds("host 10 TXT v=0; host 10 TXT v=1"),
        WaitUnswept(10_000),
        Holds("host 60 TXT v=0"),
        Wait(3_600_000),
        Holds("host 60 TXT v=0"),
    ]),
    ("what is below an expired name keeps it", &[
        Plain("add x.host 60 TXT v=0"),
        Lease(&[10], HOST, &[10]),
        WaitUnswept(10_000),
        Holds("host TXT NODATA; x.host TXT v=0"),
    ]),
    ("an alias expires, and the name is free for data", &[
        Lease(&[10], "add host 60 CNAME info", &[10]),
        Plain("add host 60 A 10.0.0.9"),
        Holds("host CNAME info"),
        WaitUnswept(10_000),
        Plain("add host 60 A 10.0.0.9"),
        Holds("host A 10.0.0.9; host CNAME NODATA"),
    ]),
    ("without the option a record is permanent", &[Plain(HOST), Wait(100 * 86_400_000), Holds("host 60 TXT v=1")]),
    ("without the option a member has the pool's default", &[
        Plain(M1),
        Wait(29_999),
        Holds("web A 10.0.0.1"),
        Wait(1),
        Holds("web A NODATA; m1.web A NXDOMAIN"),
    ]),
    ("a member's TTL never outlives its lease", &[
        Lease(&[4], M1, &[4]),
        Holds("web 4 A 10.0.0.1; m1.web 4 A 10.0.0.1"),
        Wait(3_001),
        Holds("web 0 A 10.0.0.1; m1.web 0 A 10.0.0.1"),
    ]),
    ("KEY records live for KEY-LEASE", &[
        Lease(&[10, 100], SERVICE, &[10, 100]),
        Wait(10_000),
        Holds("host TXT NODATA; host KEY \\# 8 0201030DAABBCCDD"),
        Wait(89_999),
        Holds(KEY),
        WaitUnswept(1),
        Holds("host KEY NODATA"),
        Wait(0),
        Holds("host KEY NXDOMAIN"),
    ]),
    ("with 4 octets KEY records live for LEASE", &[
        Lease(&[10], SERVICE, &[10]),
        Wait(9_999),
        Holds(KEY),
        Wait(1),
        Holds("host KEY NXDOMAIN"),
    ]),
    ("a member and an ordinary record of one message end together", &[
        Lease(&[10], "add m1.web 30 A 10.0.0.1; add web 60 TXT v=1", &[10]),
        Wait(9_999),
        Holds("web A 10.0.0.1; web TXT v=1"),
        Wait(1),
        Holds("web A NODATA; web TXT NODATA"),
    ]),
];

/// A registration that is renewed (section 5).
#[rustfmt::skip]
const REFRESH: [Story; 8] = [
    ("a refresh moves no serial: member", &[
        Lease(&[10], M1, &[10]),
        Wait(9_999),
        Refresh(&[10], M1, &[10]),
        Wait(9_999),
        Holds("web A 10.0.0.1"),
        Wait(1),
        Holds("web A NODATA"),
    ]),
    ("a refresh moves no serial: ordinary record", &[
        Lease(&[10], HOST, &[10]),
        Wait(9_999),
        Refresh(&[10], HOST, &[10]),
        Holds("host 10 TXT v=1"),
        Wait(9_999),
        Holds("host TXT v=1"),
        Wait(1),
        Holds("host TXT NXDOMAIN"),
    ]),
    ("a refresh in the same instant is acknowledged", &[
        Lease(&[10, 20], SERVICE, &[10, 20]),
        Refresh(&[10, 20], SERVICE, &[10, 20]),
        Refresh(&[10, 20], SERVICE, &[10, 20]),
    ]),
    ("a refresh asks for another lease", &[
        Lease(&[10], HOST, &[10]),
        Refresh(&[100], HOST, &[100]),
        Wait(50_000),
        Refresh(&[5], HOST, &[5]),
        Holds("host 5 TXT v=1"),
        Wait(5_000),
        Holds("host TXT NXDOMAIN"),
    ]),
    ("a refresh that comes too late is a registration", &[
        Lease(&[10], HOST, &[10]),
        Wait(10_000),
        Holds("host TXT NXDOMAIN"),
        Lease(&[10], HOST, &[10]),
        Holds("host TXT v=1"),
    ]),
    ("what is not renewed lapses: types", &[
        Lease(&[10], "add host 60 TXT v=1; add host 60 A 10.0.0.9", &[10]),
        Wait(5_000),
        Refresh(&[10], HOST, &[10]),
        Wait(5_000),
        Holds("host TXT v=1; host A NODATA"),
    ]),
    ("what is not renewed lapses: records of one type", &[
        Lease(&[10], "add host 60 A 10.0.0.8; add host 60 A 10.0.0.9", &[10]),
        Wait(5_000),
        Refresh(&[10], "add host 60 A 10.0.0.9", &[10]),
        Holds("host 5 A 10.0.0.8; host 5 A 10.0.0.9"),
        WaitUnswept(5_000),
        Holds("host 5 A 10.0.0.9"),
    ]),
    ("what is not renewed lapses: a member's addresses", &[
        Lease(&[10], "add m1.web 30 A 10.0.0.1; add m1.web 30 A 10.0.0.2", &[10]),
        Wait(5_000),
        Refresh(&[10], M1, &[10]),
        Wait(5_000),
        Holds("m1.web A 10.0.0.1; web A 10.0.0.1"),
    ]),
];

/// LEASE 0, and what becomes of names.
#[rustfmt::skip]
const LEAVING: [Story; 10] = [
    ("LEASE 0 leaves: member", &[
        Lease(&[10], M1, &[10]),
        Lease(&[0], M1, &[0]),
        Holds("m1.web A NXDOMAIN; web A NODATA"),
    ]),
    ("LEASE 0 leaves: ordinary record", &[
        Plain("add host 60 TXT v=0"),
        Lease(&[10], HOST, &[10]),
        Lease(&[0], HOST, &[0]),
        Holds("host 60 TXT v=0"),
    ]),
    ("LEASE 0 for what is not there changes nothing", &[
        Refresh(&[0], M1, &[0]),
        Refresh(&[0], HOST, &[0]),
        Holds("host TXT NXDOMAIN"),
    ]),
    ("LEASE 0 leaves, and KEY-LEASE keeps the KEY record", &[
        Lease(&[10, 100], SERVICE, &[10, 100]),
        Lease(&[0, 100], SERVICE, &[0, 100]),
        Holds("host TXT NODATA; host KEY \\# 8 0201030DAABBCCDD"),
        Wait(100_000),
        Holds("host KEY NXDOMAIN"),
    ]),
    ("a name is its owner's for KEY-LEASE after leaving", &[
        Lease(&[10, 100], M1, &[10, 100]),
        Plain("delete m1.web"),
        From("127.0.0.2"),
        Refused(M1),
        Wait(99_000),
        Refused(M1),
        From("127.0.0.1"),
        Plain(M1),
    ]),
    ("a name is anybody's when KEY-LEASE is over", &[
        Lease(&[10, 100], M1, &[10, 100]),
        Plain("delete m1.web"),
        Wait(100_000),
        From("127.0.0.2"),
        Plain(M1),
        From("127.0.0.1"),
        Refused(M1),
    ]),
    ("a name is its owner's for KEY-LEASE after expiry", &[
        Lease(&[10, 100], M1, &[10, 100]),
        Wait(99_999),
        Holds("m1.web A NXDOMAIN"),
        From("127.0.0.2"),
        Refused(M1),
        Wait(1),
        Plain(M1),
    ]),
    ("KEY-LEASE 0 frees the name with the lease", &[
        Lease(&[10, 0], M1, &[10, 0]),
        From("127.0.0.2"),
        Refused(M1),
        Wait(10_000),
        Plain(M1),
    ]),
    ("KEY-LEASE 0 frees the name on leaving", &[
        Lease(&[10, 100], M1, &[10, 100]),
        Lease(&[0, 0], M1, &[0, 0]),
        From("127.0.0.2"),
        Plain(M1),
    ]),
    ("without KEY-LEASE a name is kept for the lease", &[
        Lease(&[20], M1, &[20]),
        Wait(5_000),
        Plain("delete m1.web"),
        Wait(14_000),
        From("127.0.0.2"),
        Refused(M1),
        Wait(6_000),
        Plain(M1),
    ]),
];

#[test]
fn section_4_the_option() {
    tell_all(&OPTION);
}

#[test]
fn section_5_refreshes() {
    tell_all(&REFRESH);
}

#[test]
fn section_7_expiry() {
    tell_all(&EXPIRY);
}

#[test]
fn leaving_and_names() {
    tell_all(&LEAVING);
}

#[test]
fn section_4_other_lengths_are_formerr() {
    for length in [0, 1, 2, 3, 5, 6, 7, 9, 12, 16] {
        for script in [M1, HOST] {
            let mut world = World::for_records();
            let updated = world.update_with_lease(script, Some(&vec![1; length]));
            assert_eq!((updated.rcode, updated.lease), (ResponseCode::FormErr, None), "{length} octets");
            let holds = "web A NODATA; m1.web A NXDOMAIN; host TXT NXDOMAIN";
            assert_eq!(differences(&mut world, holds), Vec::<String>::new());
        }
    }
}

/// Section 4.3: whoever asked and succeeded is told, in the size that it asked in.
#[test]
fn section_4_3_always_acknowledged() {
    let scripts = [
        M1,
        HOST,
        "delete m1.web AAAA",
        "delete nope",
        "delete nope TXT v=1",
        "delete host",
        "",
        "prereq nxdomain nope",
    ];
    for script in scripts {
        for asked in [&[0, 0, 0, 9][..], &[0, 0, 0, 9, 0, 0, 1, 0]] {
            let mut world = World::for_records();
            for _ in 0..2 {
                let updated = world.update_with_lease(script, Some(asked));
                assert_eq!(updated.rcode, ResponseCode::NoError, "{script}");
                assert_eq!(updated.lease.map(|back| back.len()), Some(asked.len()), "{script}");
            }
        }
    }
    let mut world = World::for_records();
    for refused in ["prereq yxdomain nope; add host 60 TXT v=1", "add m1.web 30 A 192.0.2.1"] {
        let updated = world.update_with_lease(refused, Some(&[0, 0, 0, 9]));
        assert_eq!(updated.lease, None, "nothing is granted where nothing is done: {refused}");
    }
}

fn tell_all(stories: &[Story]) {
    let failures: Vec<String> = stories.iter().filter_map(|(rule, steps)| tell(rule, steps).err()).collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), stories.len(), failures.join("\n"));
}

fn tell(rule: &str, steps: &[Step]) -> Result<(), String> {
    let mut world = World::for_records();
    for (number, step) in (1..).zip(steps) {
        take(&mut world, step).map_err(|wrong| format!("{rule}: step {number}: {wrong}"))?;
    }
    Ok(())
}

fn take(world: &mut World, step: &Step) -> Result<(), String> {
    match step {
        Lease(asked, script, granted) => send(world, asked, script, granted),
        Refresh(asked, script, granted) => {
            let serial = soa_serial(world);
            send(world, asked, script, granted)?;
            let moved = soa_serial(world).wrapping_sub(serial);
            if moved == 0 { Ok(()) } else { Err(format!("the serial moved by {moved}")) }
        }
        Plain(script) => send(world, &[], script, &[]),
        Refused(script) => match world.update(script).rcode {
            ResponseCode::Refused => Ok(()),
            rcode => Err(format!("{script}: {rcode:?}, not Refused")),
        },
        Holds(expected) => match &differences(world, expected)[..] {
            [] => Ok(()),
            wrong => Err(wrong.join(", ")),
        },
        Wait(ms) => {
            world.advance(*ms);
            Ok(())
        }
        WaitUnswept(ms) => {
            world.advance_unswept(*ms);
            Ok(())
        }
        From(source) => {
            world.source = source.parse().unwrap();
            Ok(())
        }
    }
}

/// Sends what must be accepted, and granted so.
fn send(world: &mut World, asked: &[u32], script: &str, granted: &[u32]) -> Result<(), String> {
    let octets = |fields: &[u32]| fields.iter().flat_map(|field| field.to_be_bytes()).collect::<Vec<u8>>();
    let option = |fields: &[u32]| Some(octets(fields)).filter(|octets| !octets.is_empty());
    let updated = world.update_with_lease(script, option(asked).as_deref());
    match (updated.rcode, updated.lease) {
        (ResponseCode::NoError, lease) if lease == option(granted) => Ok(()),
        (ResponseCode::NoError, lease) => Err(format!("{script}: granted {lease:?}, not {granted:?}")),
        (rcode, _) => Err(format!("{script}: {rcode:?}, {:?}", updated.refusal)),
    }
}
