//! See `check_proxy_header` in `gateway/src/fuzzing.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    gateway::fuzzing::check_proxy_header(input);
});
