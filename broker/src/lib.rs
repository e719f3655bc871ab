//! A Kafka-wire-compatible multi-broker data plane on one host.
//!
//! The order of the modules below is the architecture: each may import only modules above it
//! (the exact table is in `tests/tidy.rs`).

pub mod id;
pub mod env;
pub mod record;
pub mod wire;
pub mod telemetry;
pub mod log;
pub mod image;
pub mod controller;
pub mod group;
pub mod txn;
pub mod auth;
pub mod quota;
pub mod replica;
pub mod coordinator;
pub mod handler;
pub mod server;
pub mod node;
pub mod cluster;
