//! Drives `targets::tsig` with what libFuzzer makes of testdata/corpora/tsig.
#![no_main]

#[path = "../../tests/corpora/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| targets::tsig::run(octets));
