//! What arbitrary octets must never do to rollcall: one function a target, each panicking when a promise is broken.
//!
//! The fuzzers in fuzz/, the corpora that are replayed on every test run, and the robustness tests all call these same
//! functions, so that a promise is written down once. All of them are pure: octets in, no clock, no state left behind that
//! a promise depends on.

// Each program that includes this uses its own part of it.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod edns;
pub mod question;
mod server;
pub mod tsig;
pub mod update;
#[path = "../../scenarios/world.rs"]
pub mod world;
pub mod zonefile;

pub use server::{IDLE, NOW_MS, Server, State, WALL_S, beat, key};

/// A target, by the name that its corpus and its fuzzer have.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 5] = [
    ("question", question::run),
    ("update", update::run),
    ("tsig", tsig::run),
    ("edns", edns::run),
    ("zonefile", zonefile::run),
];
