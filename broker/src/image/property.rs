//! Kafka's property names: one table for server.properties, DescribeConfigs and the validation of changes.

mod config;

pub use config::{Config, Listener, Role, TopicSettings};

/// A property that cannot be taken, as a sentence with the key, the value and the range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);
