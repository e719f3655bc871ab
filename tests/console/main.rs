//! The console from outside: the real binary, its data files, its screens, stories of keys in and text out, and real clusters.
//!
//! `cfg(test)` holds for all of this binary; saying so lets helpers unwrap like the tests that they are part of.

// The AWS SDK's futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

#[cfg(test)]
mod aged;
#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod captured;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod cost;
#[cfg(test)]
#[cfg(feature = "aws")]
mod dns;
#[cfg(test)]
mod drills;
#[cfg(test)]
mod features;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod groups;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod guide;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod kafka;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod lag;
#[cfg(test)]
mod leaders;
#[cfg(test)]
mod load;
#[cfg(test)]
mod mirror;
#[cfg(test)]
#[cfg(feature = "aws")]
mod moto;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod paced;
#[cfg(test)]
mod past;
#[cfg(test)]
mod planes;
#[cfg(test)]
mod presets;
#[cfg(test)]
mod pty;
#[cfg(test)]
#[cfg(feature = "aws")]
mod rates;
#[cfg(test)]
mod records;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod rolls;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod runbooks;
#[cfg(test)]
mod screens;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod security;
#[cfg(test)]
mod source;
#[cfg(test)]
#[cfg(feature = "aws")]
mod ssm;
#[cfg(test)]
mod stories;
#[cfg(test)]
#[cfg(feature = "aws")]
mod swaps;
#[cfg(test)]
mod terminal;
#[cfg(test)]
mod throttles;
#[cfg(test)]
mod together;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod tour;
#[cfg(test)]
#[cfg(feature = "aws")]
mod volumes;
#[cfg(test)]
mod waits;
#[cfg(test)]
mod watch;

/// How long a test waits for what has to come to pass: at once on an idle machine, late on a busy one with two cores.
#[cfg(test)]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);
