//! cargo-fuzz's way to [`azimuth_broker_fuzz::sasl`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| azimuth_broker_fuzz::sasl(data));
