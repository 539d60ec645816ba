//! Drives `targets::zonefile` with what libFuzzer makes of testdata/corpora/zonefile.
#![no_main]

#[path = "../../tests/corpora/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| targets::zonefile::run(octets));
