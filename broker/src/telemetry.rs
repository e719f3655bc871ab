//! What a node counts, and how it tells: Prometheus text over HTTP, under the names that Kafka's metrics have there.
//!
//! Counting is atomic adds on the path; whatever can be looked up is looked up when it is asked for. A node without an
//! endpoint counts nothing.

mod clients;
mod counters;
mod exposition;
mod histogram;
mod http;
mod otlp;
mod waiting;

pub use clients::{Clients, Granted, Identity, Wanted};
pub use counters::{Answered, Telemetry};
pub use exposition::Exposition;
pub use http::{Endpoint, bind};
pub use waiting::Waiting;
