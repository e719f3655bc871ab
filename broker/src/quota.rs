//! How much clients and replication may take, and how long who took more has to wait.
//!
//! Quotas are counted by each broker for itself, as in Apache Kafka: a client that spreads over three brokers may take three
//! times its quota. While no quota is set, counting costs one atomic read.

mod bucket;
mod client;
mod connection;
mod levels;
mod meters;
mod rate;

pub use client::{ClientQuotas, Kind, Mutations};
pub use connection::{ConnectionLimits, ConnectionQuotas, Denied, ListenerLimits, Slot};
pub use rate::{Rate, Window};
