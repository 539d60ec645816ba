//! rollcall: an authoritative DNS server that answers only with the servers that are present.
//!
//! Two flows, and everything has its place on one of them.
//!
//! ```text
//! QUESTION   server -> wire -> query -> (zone index, pool view, policy) -> answer bytes -> server
//!                                 ^ immutable views, one cell a pool
//!                                 |
//! ROLL CALL  server -> wire -> security -> update -> membership -----> Change -> zone: views, ordinary records
//!                                              '---> ordinary records --'  '----> store, counters, log
//! ```
//!
//! A *question* is answered in the thread that received it: [`wire`] reads it in place, [`query`] finds the name in the
//! [`zone`] index, judges the pool view's leases, lets the [`policy`] pick, and copies records that were encoded when the
//! view was published. No allocation, no lock, nothing written that another worker reads.
//!
//! The *roll call* is one thread: [`update`] turns a message into checked commands and their net result, [`membership`]
//! keeps who is in which pool and until when, a name's ordinary records are drafted from what the [`zone`] has published, and
//! what happened comes out as [`change::Change`]s. The [`store`] commits them, the zone is published from them, and only then
//! is the message acknowledged.
//!
//! What an operator writes comes in beside the two: [`config`] watches the zones' files, a [`zone::Draft`] is made of each that
//! changed, and the registrar opens it between two groups of messages in the place of the zone before.
//!
//! Rooms, and which way arrows run: `wire, membership <- policy, security, zone <- query, update <- server`, with [`store`]
//! seeing changes only, [`config`] making the settings of the rooms below it, and [`cli`] on top. Time is an argument
//! everywhere but in [`server`], so the same scenario runs on a simulated clock in a test and on sockets in production.

pub mod change;
pub mod cli;
pub mod config;
pub mod membership;
pub mod policy;
pub mod query;
pub mod security;
pub mod server;
pub mod store;
pub mod update;
pub mod wire;
pub mod zone;
