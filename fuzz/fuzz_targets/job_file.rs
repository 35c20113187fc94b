#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| runner::fuzz::job_file(bytes));
