//! How much clients and replication may take, and how long who took more has to wait.

mod rate;

pub use rate::{Rate, Window};
