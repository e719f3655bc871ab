//! Keymap files: layers of chord = "action name". Presets are embedded; a user's file of the same name overlays one,
//! and `base` builds on another. The action `none` takes a chord away. What the names mean is checked where keys are read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::paths::toml_names;

/// The embedded presets, by name. `keymaps/` holds exactly these.
pub const PRESETS: &[(&str, &str)] = &[
    ("default", include_str!("../../keymaps/default.toml")),
    ("vim", include_str!("../../keymaps/vim.toml")),
    ("emacs", include_str!("../../keymaps/emacs.toml")),
];

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

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no keymap `{name}`; there are {known}")]
    Unknown { name: String, known: String },
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("keymap {file}: {source}")]
    Parse {
        file: String,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("keymap `{0}` builds on itself through `base`")]
    Circle(String),
}

/// Every keymap that can be loaded: presets first, then the user's own.
pub fn names(folder: Option<&Path>) -> Vec<String> {
    let mut names: Vec<String> = PRESETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let own = folder.map(toml_names).unwrap_or_default();
    names.extend(
        own.into_iter()
            .filter(|own| !PRESETS.iter().any(|(name, _)| name == own)),
    );
    names
}

/// The named keymap: the preset, overlaid by the file of that name in the user's folder.
pub fn load(name: &str, folder: Option<&Path>) -> Result<Keymap, Error> {
    load_below(name, folder, 8)
}

fn load_below(name: &str, folder: Option<&Path>, depth: u8) -> Result<Keymap, Error> {
    let depth = depth.checked_sub(1).ok_or_else(|| Error::Circle(name.to_owned()))?;
    let preset = PRESETS.iter().find(|(preset, _)| *preset == name);
    let preset = preset.map(|(name, text)| parse(name, text)).transpose()?;
    let preset = match preset {
        Some(Keymap {
            base: Some(base),
            layers,
        }) => Some(load_below(&base, None, depth)?.overlaid(Keymap { base: None, layers })),
        other => other,
    };
    let own = folder.map(|folder| folder.join(format!("{name}.toml")));
    let own = match own.filter(|path| path.is_file()) {
        Some(path) => {
            let text = std::fs::read_to_string(&path).map_err(|source| Error::Read {
                path: path.clone(),
                source,
            })?;
            Some(parse(&path.display().to_string(), &text)?)
        }
        None => None,
    };
    match (preset, own) {
        (Some(preset), Some(own)) => Ok(preset.overlaid(own)),
        (Some(preset), None) => Ok(preset),
        (
            None,
            Some(Keymap {
                base: Some(base),
                layers,
            }),
        ) => Ok(load_below(&base, folder, depth)?.overlaid(Keymap { base: None, layers })),
        (None, Some(own)) => Ok(own),
        (None, None) => {
            let (name, known) = (name.to_owned(), names(folder).join(", "));
            Err(Error::Unknown { name, known })
        }
    }
}

fn parse(file: &str, text: &str) -> Result<Keymap, Error> {
    toml::from_str(text).map_err(|source| Error::Parse {
        file: file.to_owned(),
        source: Box::new(source),
    })
}

impl Keymap {
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
        let vim = load("vim", None).unwrap();
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
        let keymap = load("default", Some(folder.path())).unwrap();
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
        let keymap = load("mine", Some(folder.path())).unwrap();
        assert_eq!(keymap.layers["list"]["x"], "mark");
        assert_eq!(keymap.layers["list"]["g g"], "first");
        assert_eq!(names(Some(folder.path())), ["default", "vim", "emacs", "mine"]);
    }
}
