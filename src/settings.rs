//! Our own files as values: themes, keymaps, appearance, and where they lie. Presets are embedded; the user's overlay them.

pub mod appearance;
pub mod keymap;
pub mod paths;
pub mod theme;
