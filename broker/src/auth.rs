//! Who a client is, and what it may do.

pub mod acl;
mod certificate;
mod denial;
mod mapping;
mod principal;
pub mod sasl;

pub use acl::{Authorizer, Object, Ruling, Who};
pub use certificate::subject;
pub use mapping::{BadRule, Mapping};
pub use principal::Principal;
