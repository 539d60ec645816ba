//! Zones made to cost: they are served, in time and memory that grow with the file and no faster.

use super::world::{Setup, World, zone_file};

fn world(more: &str) -> World {
    World::with(Setup { zone_file: format!("{}{more}", zone_file()), ..Setup::default() })
}

#[test]
fn a_million_labels_are_a_million_names() {
    // 112 labels of one octet below the zone, each name's own but for the last: 9,000 of them share no name above.
    let names = (0..9_000).map(|n| format!("{}l{n:06} TXT x\n", "a.".repeat(111)));
    let mut world = world(&names.collect::<String>());
    assert_eq!(world.ask(&format!("{}l008999", "a.".repeat(111)), "TXT").data(), ["x"]);
    assert!(world.ask(&format!("{}l008999", "a.".repeat(110)), "TXT").is_nodata());
    assert!(world.ask("l000000", "TXT").is_nodata());
    assert!(world.ask(&format!("{}l009000", "a.".repeat(111)), "TXT").is_nxdomain());
}
