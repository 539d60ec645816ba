//! Drives `targets::update` with what libFuzzer makes of testdata/corpora/update.
#![no_main]

#[path = "../../tests/corpora/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| targets::update::run(octets));
