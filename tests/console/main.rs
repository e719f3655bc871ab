//! The console on real clusters, as a user meets it.
//!
//! `cfg(test)` holds for all of this binary; saying so lets helpers unwrap like the tests that they are part of.

#[cfg(test)]
mod kafka;
#[cfg(test)]
mod source;
