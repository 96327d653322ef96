//! See `check_response_head` in `gateway/src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    gateway::fuzzing::check_response_head(input);
});
