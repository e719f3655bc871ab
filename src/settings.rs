//! Our own files as values: contexts, client properties, themes, keymaps, appearance, and where they lie. Presets are
//! embedded and the user's files overlay them. Asks no cluster; runs nothing but the commands that tell a secret; errors name the file, the line and the way out.

pub mod appearance;
pub mod context;
pub mod discover;
pub mod driver;
pub mod file;
pub mod keymap;
pub mod paths;
pub mod pin;
pub mod preset;
pub mod properties;
pub mod rule;
pub mod secret;
pub mod state;
pub mod target;
pub mod theme;

mod error;

pub use context::{Aws, Class, Context};
pub use error::Error;
pub use paths::Paths;
pub use properties::Connection;
pub use secret::Secret;
