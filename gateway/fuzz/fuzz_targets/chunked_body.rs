//! See `check_chunked_body` in `gateway/src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    gateway::fuzzing::check_chunked_body(input);
});
