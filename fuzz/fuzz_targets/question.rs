//! Drives `targets::question` with what libFuzzer makes of testdata/corpora/question.
#![no_main]

#[path = "../../tests/corpora/targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| targets::question::run(octets));
