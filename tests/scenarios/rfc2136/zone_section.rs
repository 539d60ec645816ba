//! Section 3.1: which zone a message is about.

use hickory_proto::op::ResponseCode::{FormErr, NoError, NotAuth, NotZone};

use crate::table::Serial::{Moves, Stays};
use crate::table::{Row, accept, assert_holds, judge_all, row};
use crate::world::World;

#[test]
fn section_3_1() {
    judge_all(&ROWS, World::for_records);
}

#[test]
fn section_3_1_2_a_zone_below_ours() {
    let mut world = World::for_records();
    let serial = world.serial();
    accept(&mut world, "zone lab; add new.lab 60 TXT yes");
    assert_holds(&mut world, "new.lab TXT yes; bench.lab TXT lab");
    for script in
        ["add x.lab 60 TXT yes", "delete lab", "prereq yxdomain bench.lab", "zone lab; add new 60 TXT yes"]
    {
        assert_eq!(world.update(script).rcode, NotZone, "{script}");
    }
    assert_holds(&mut world, "x.lab TXT NXDOMAIN; bench.lab TXT lab; new TXT NXDOMAIN");
    assert_eq!(world.serial(), serial, "each zone has its own");
}

pub const ROWS: [Row; 9] = [
    row("3.1.1 ZOCOUNT 0", "", "zone none; add new 60 TXT yes", FormErr, "new TXT NXDOMAIN", Stays),
    row("3.1.1 ZOCOUNT 2", "", "zone @; zone @; add new 60 TXT yes", FormErr, "new TXT NXDOMAIN", Stays),
    row("3.1.1 ZTYPE is not SOA", "", "zone @ IN A; add new 60 TXT yes", FormErr, "new TXT NXDOMAIN", Stays),
    row("3.1.1 ZTYPE is ANY", "", "zone @ IN ANY; add new 60 TXT yes", FormErr, "new TXT NXDOMAIN", Stays),
    row(
        "3.1.2 a zone that is not ours",
        "",
        "zone example.org.; add new.example.org. 60 TXT yes",
        NotAuth,
        "new TXT NXDOMAIN",
        Stays,
    ),
    row(
        "3.1.2 the zone above ours",
        "",
        "zone example.; add new 60 TXT yes",
        NotAuth,
        "new TXT NXDOMAIN",
        Stays,
    ),
    row(
        "3.1.2 a name in our zone",
        "",
        "zone info; add new.info 60 TXT yes",
        NotAuth,
        "new.info TXT NXDOMAIN",
        Stays,
    ),
    row(
        "3.1.2 our zone's name in class CH",
        "",
        "zone @ CH; record new 60 CH TXT yes",
        NotAuth,
        "new TXT NXDOMAIN",
        Stays,
    ),
    row(
        "3.1.2 case of the zone's name",
        "",
        "zone POOL.eXaMPLe.; add new 60 TXT yes",
        NoError,
        "new TXT yes",
        Moves,
    ),
];
