//! EC2, EBS, CloudWatch and Systems Manager through the AWS SDK.
//!
//! Every call has a deadline and at most one retry, and fails with one of six words: throttled, denied, expired,
//! timed out, unreachable, refused. Nothing here polls or caches answers; how often to ask is the feed's business,
//! and [`Aws::cost`] says what asking has cost.
//!
//! The way to ask that survives the loss of a zone: [`InstanceCache`] remembers which instance is in which zone;
//! each zone is asked for by its instance ids ([`Scope::Ids`]), because DescribeInstances without ids, or with an id
//! in an affected zone, fails as a whole while that zone is disrupted (EC2 API reference, DescribeInstances).
//! [`Scope::Addresses`] finds instances that are not remembered yet.

pub mod cache;
mod options;

#[cfg(not(feature = "aws"))]
mod absent;
#[cfg(feature = "aws")]
mod live;

pub use cache::InstanceCache;
pub use options::{Datum, Invocation, MetricTarget, Options, Order, Scope, Status};

#[cfg(not(feature = "aws"))]
pub use absent::Aws;
#[cfg(feature = "aws")]
pub use live::Aws;
