//! A write that was tried: one record to a partition led by each broker, acknowledged by all in sync and read back.

use serde::{Deserialize, Serialize};

/// One record that went through a broker.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Of the context's probe topic.
    pub partition: i32,
    /// Milliseconds from handing the record over to the acknowledgement with acks=all.
    pub append_ms: f64,
    /// Milliseconds from the acknowledgement until the record was read back.
    pub read_ms: f64,
}
