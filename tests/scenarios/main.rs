//! Scenarios on a simulated clock: each reads as a story of members and of what clients are told.

mod answers;
mod bindings;
mod cookies;
mod leases;
mod life;
mod rfc2136;
mod rfc9664;
mod table;
mod truth;
mod world;
