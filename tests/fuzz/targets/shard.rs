//! See `keygate_fuzz::shard`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keygate_fuzz::shard::check(bytes));
