//! See `keygate_fuzz::usage`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keygate_fuzz::usage::check(bytes));
