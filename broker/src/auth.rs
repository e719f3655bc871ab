//! Who a client is, and what it may do.

mod principal;

pub use principal::Principal;
