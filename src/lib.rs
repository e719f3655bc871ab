//! Azimuth: a terminal console for the people who run Apache Kafka on AWS.
//!
//! Nouns, facts, decisions, verbs, and two faces that hold no verb of their own. The order of the modules
//! is the architecture: each may import only modules above it (the exact table is in `tests/tidy.rs`).

// The AWS SDK's futures nest deeper than the compiler looks by default.
#![recursion_limit = "256"]

pub mod model;
pub mod settings;
pub mod source;
pub mod feed;
pub mod plan;
pub mod check;
pub mod command;
pub mod operation;
pub mod runbook;
pub mod demo;
pub mod cli;
pub mod tui;
