//! See `keygate_fuzz::feed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keygate_fuzz::feed::check(bytes));
