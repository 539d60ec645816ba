//! Faults that were found in review, each as a story, so that none comes back. A story says what must hold, and is here only
//! where no scenario told it already; what a review shows to be wrong next joins the file of its theme.
//!
//! Time is simulated and nothing has sockets, as in the scenarios, whose world this is. What production does in groups, a
//! story here may do message by message: judge, store, publish, take back ([`groups::judge`]).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answers;
mod grants;
mod groups;
mod last_resorts;
mod names_and_pools;
mod policies;
mod random;
mod reloads;
mod replays;
mod restarts;
mod serials_and_apex;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../scenarios/signing.rs"]
mod signing;
#[allow(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../scenarios/table.rs"]
mod table;
#[path = "../scenarios/world.rs"]
mod world;

use world::{Setup, World, every_name, key_grant, records_grant};

/// Loopback and the key `fleet.` may register anything; pools are `web`, `game`, and those that members make.
fn setup() -> Setup {
    let grants = vec![records_grant(), every_name(key_grant("fleet."))];
    Setup { keys: vec!["fleet."], grants, ..Setup::default() }
}

fn world() -> World {
    World::with(setup())
}

fn lease(seconds: u32) -> Vec<u8> {
    seconds.to_be_bytes().to_vec()
}

/// Sends what must be accepted, with a lease of so many seconds; the lease that was granted.
#[track_caller]
fn accept_leased(world: &mut World, lease_s: u32, script: &str) -> u32 {
    let updated = world.update_with_lease(script, Some(&lease(lease_s)));
    assert_eq!(updated.refusal, None, "{script}");
    u32::from_be_bytes(updated.lease.unwrap().try_into().unwrap())
}

/// Members' leases of 30 s end, and the pools that they made have been empty for an hour, and are forgotten.
fn forget_pools(world: &mut World) {
    for ms in [30_000, 3_600_000, 60_000] {
        world.advance(ms);
    }
}
