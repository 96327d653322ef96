//! See `check_routes_file` in `gateway/src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    gateway::fuzzing::check_routes_file(input);
});
