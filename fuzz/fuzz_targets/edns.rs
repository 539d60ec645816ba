//! Drives `targets::edns` with what libFuzzer makes of testdata/corpora/edns.
#![no_main]

#[path = "../../tests/corpora/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| targets::edns::run(octets));
