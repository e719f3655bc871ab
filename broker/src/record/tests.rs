//! Round trips, golden bytes and damaged input.
