//! Azimuth: a terminal console for the people who run Apache Kafka on AWS.
//!
//! Nouns, facts, decisions, verbs, and two faces that hold no verb of their own. The order of the modules
//! is the architecture: each may import only modules above it (the exact table is in `tests/tidy.rs`).

pub mod model;
pub mod settings;
pub mod source;
pub mod feed;
pub mod plan;
pub mod check;
pub mod command;
pub mod operation;
pub mod demo;
pub mod cli;
pub mod tui;
