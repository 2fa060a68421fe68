//! Feeds `bodies::template` with whatever the fuzzer makes up.
//!
//! Knows the fuzzer. Refuses to judge: the body does.
#![no_main]

#[path = "../bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::template(data));
