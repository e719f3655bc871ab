//! Keys to actions: what the terminal sends, what the keymap file says, and who hears it first.

pub mod chord;
pub mod key;
pub mod router;

pub use key::Key;
pub use router::{Hit, Router};
