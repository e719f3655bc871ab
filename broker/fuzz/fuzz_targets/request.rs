//! cargo-fuzz's way to [`azimuth_broker_fuzz::request`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| azimuth_broker_fuzz::request(data));
