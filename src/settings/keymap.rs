//! Keymap files: layers of chord = "action name". Presets are embedded; a user's file of the same name overlays one,
//! and `base` builds on another. The action `none` takes a chord away. What the names mean is checked where keys are read.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::preset::Preset;

/// Takes a chord away from the keymap below.
pub const NONE: &str = "none";

/// A keymap as its file says it: layer, then chord, then the action's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Keymap {
    /// The keymap that this one builds on.
    pub base: Option<String>,
    #[serde(flatten)]
    pub layers: BTreeMap<String, BTreeMap<String, String>>,
}

impl Preset for Keymap {
    const KIND: &'static str = "keymap";
    /// `keymaps/` holds exactly these.
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("default", include_str!("../../keymaps/default.toml")),
        ("vim", include_str!("../../keymaps/vim.toml")),
        ("emacs", include_str!("../../keymaps/emacs.toml")),
    ];

    fn take_base(&mut self) -> Option<String> {
        self.base.take()
    }

    /// `over`'s chords win; `none` removes. Removal comes first, so that a prefix can be freed and used in one file.
    fn overlaid(mut self, over: Keymap) -> Keymap {
        for (layer, chords) in over.layers {
            let below = self.layers.entry(layer).or_default();
            below.retain(|chord, _| chords.get(chord).is_none_or(|action| action != NONE));
            below.extend(chords.into_iter().filter(|(_, action)| action != NONE));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vim_frees_g_before_it_uses_it_as_a_prefix() {
        let vim = Keymap::load("vim", None).unwrap();
        assert!(!vim.layers["list"].contains_key("g"));
        assert_eq!(vim.layers["list"]["g g"], "first");
        assert_eq!(vim.layers["list"]["j"], "next");
    }

    #[test]
    fn a_users_file_overlays_the_preset_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("default.toml"),
            "[global]\n\"q\" = \"none\"\n\"Q\" = \"quit\"\n",
        )
        .unwrap();
        let keymap = Keymap::load("default", Some(folder.path())).unwrap();
        assert!(!keymap.layers["global"].contains_key("q"));
        assert_eq!(keymap.layers["global"]["Q"], "quit");
        assert_eq!(keymap.layers["list"]["j"], "next");
    }

    #[test]
    fn a_users_own_keymap_builds_on_a_preset() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("mine.toml"),
            "base = \"vim\"\n[list]\n\"x\" = \"mark\"\n",
        )
        .unwrap();
        let keymap = Keymap::load("mine", Some(folder.path())).unwrap();
        assert_eq!(keymap.layers["list"]["x"], "mark");
        assert_eq!(keymap.layers["list"]["g g"], "first");
        assert_eq!(Keymap::names(Some(folder.path())), ["default", "vim", "emacs", "mine"]);
    }
}
