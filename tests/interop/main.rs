//! Real `nsupdate` and `dig` against the real program, each test with a server of its own on a free port of the loopback.
//!
//! What the clients do not say is spoken with plain sockets: RFC 9664's lease option, which nsupdate does not have, and
//! messages that are no DNS. Rules and edge cases are tested beside the code and in `tests/scenarios`; here is what only
//! processes, sockets and a disk can show.

// Helpers of tests may fail as tests do; clocks and sockets are what this is about.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod answers;
mod clients;
mod commands;
mod cookies;
mod hostile;
mod leases;
mod refusals;
mod registration;
mod restart;
mod server;
