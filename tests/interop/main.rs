//! Real DNS clients against the real program, each test with a server of its own on a free port of the loopback.
//!
//! `nsupdate` and `dig` are in every test; the other clients that send updates have a file each, and docs/testing.md a table of
//! what each did. What no client says is spoken with plain sockets: messages that are no DNS, for one. Rules and edge cases
//! are tested beside the code and in `tests/scenarios`; here is what only processes, sockets and a disk can show.

// Helpers of tests may fail as tests do; clocks and sockets are what this is about.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod all_down;
mod answers;
mod asking;
mod browsing;
mod certbot;
mod clients;
mod clock_jumps;
mod commands;
mod cookies;
mod disk;
mod dnspython;
mod drain;
mod drill;
mod durable;
mod hostile;
mod kea;
mod knsupdate;
mod leases;
mod nsupdate;
mod python;
mod refusals;
mod registration;
mod reload;
mod restart;
mod server;
mod shares;
mod sockets;
mod stalled_log;
mod strace;
mod suspended;
mod table;
mod transport;
mod unbound;
mod upgrade;
mod wire;
mod zonefiles;
