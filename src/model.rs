//! The nouns: plain values, serialisable for captures and plans. No I/O and no clock; the time is always an argument.

pub mod acl;
pub mod backing;
pub mod backlog;
pub mod broker;
mod broker_ids;
pub mod cloud;
pub mod cluster;
pub mod config;
pub mod dense;
pub mod dns;
pub mod driver;
pub mod ends;
pub mod event;
pub mod feature;
pub mod foreign;
pub mod group;
pub mod identity;
pub mod limit;
pub mod history;
pub mod logdir;
pub mod metric;
pub mod mirror;
pub mod mirrored;
pub mod name;
pub mod nearest;
pub mod need;
pub mod observed;
pub mod offset;
mod over;
pub mod pace;
mod places;
pub mod permission;
pub mod price;
pub mod probe;
pub mod quorum;
pub mod quota;
pub mod reassignment;
pub mod right;
pub mod row;
pub mod record;
pub mod secret;
pub mod snapshot;
pub mod spark;
pub mod throttle;
pub mod topic;
pub mod user;
pub mod volume;
pub mod transaction;
pub mod when;
pub mod write;

pub use broker_ids::BrokerIds;
pub use nearest::nearest;
pub use observed::{Health, Observed, Trouble};
pub use snapshot::Snapshot;

/// A broker's or controller's node id.
pub type BrokerId = i32;

/// A moment, UTC, to the microsecond.
pub type Moment = jiff::Timestamp;
