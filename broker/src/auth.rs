//! Who a client is, and what it may do.

pub mod acl;
mod certificate;
mod denial;
mod listener;
mod mapping;
mod principal;
pub mod sasl;

pub use acl::{Authorizer, Object, Ruling, Who};
pub use certificate::{subject, validity};
pub use listener::tls_settings;
pub use mapping::{BadRule, Mapping};
pub use principal::Principal;
