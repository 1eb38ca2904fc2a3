//! See `keygate_fuzz::converted`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keygate_fuzz::converted::check(bytes));
