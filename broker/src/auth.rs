//! Who a client is, and what it may do.

pub mod acl;
mod denial;
mod principal;

pub use acl::{Authorizer, Object, Ruling, Who};
pub use principal::Principal;
