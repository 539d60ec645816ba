//! RFC 2136 section 3, a row a rule. The tables of the submodules that name no pool hold for any server of RFC 2136; where
//! rollcall differs, the row says so.

mod changes;
mod pools;
mod prerequisites;
mod prescan;
mod zone_section;
