//! What a node takes from the outside world: time, disk, network and chance; and whose work it is.
//!
//! Everything above asks these values instead of the operating system, so that a test can turn the
//! clock, fill a volume, fail a write, or put all of it into a [`world::World`] of its own.

pub mod clock;
pub mod disk;
pub mod expiry;
pub mod limit;
pub mod logger;
pub mod net;
pub mod origin;
pub mod random;
pub mod world;
