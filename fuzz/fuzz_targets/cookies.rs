#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| demijohn_web::fuzzing::cookies(data));
