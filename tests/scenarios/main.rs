//! Scenarios on a simulated clock: each reads as a story of members and of what clients are told.

mod all_down;
mod answers;
mod bindings;
mod browsing;
mod cookies;
mod drain;
mod drained;
mod edns;
mod elsewhere;
mod hostile_zones;
mod kept;
mod leases;
mod life;
mod limits;
mod ordinary;
mod reload;
mod rfc2136;
mod rfc9664;
mod signed;
mod signing;
mod silence;
mod status;
mod table;
mod time;
mod truth;
mod world;
