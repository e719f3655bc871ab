//! Theme files: a `[palette]` of named colours and the `[roles]` that use them. Presets are embedded; a user's file
//! of the same name overlays one, and a file with `base` builds on another. What a role is for is the screen's affair.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::paths::toml_names;

/// The embedded presets, by name. `themes/` holds exactly these.
pub const PRESETS: &[(&str, &str)] = &[
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("colour-blind", include_str!("../../themes/colour-blind.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
];

/// A theme as its file says it; references are not resolved yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Theme {
    /// The theme that this one builds on.
    pub base: Option<String>,
    /// Name to [true colour `#rrggbb`, stand-in among the terminal's 16 such as `bright-blue`].
    #[serde(default)]
    pub palette: BTreeMap<String, [String; 2]>,
    #[serde(default)]
    pub roles: BTreeMap<String, Look>,
}

/// How one role looks; colours are names of the palette.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Look {
    pub fg: Option<String>,
    pub bg: Option<String>,
    pub bold: bool,
    pub dim: bool,
    pub italic: bool,
    pub underline: bool,
    pub reverse: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no theme `{name}`; there are {known}")]
    Unknown { name: String, known: String },
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("theme {file}: {source}")]
    Parse {
        file: String,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("theme `{0}` builds on itself through `base`")]
    Circle(String),
}

/// Every theme that can be loaded: presets first, then the user's own.
pub fn names(folder: Option<&Path>) -> Vec<String> {
    let mut names: Vec<String> = PRESETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let own = folder.map(toml_names).unwrap_or_default();
    names.extend(
        own.into_iter()
            .filter(|own| !PRESETS.iter().any(|(name, _)| name == own)),
    );
    names
}

/// The named theme: the preset, overlaid by the file of that name in the user's folder.
pub fn load(name: &str, folder: Option<&Path>) -> Result<Theme, Error> {
    load_below(name, folder, 8)
}

fn load_below(name: &str, folder: Option<&Path>, depth: u8) -> Result<Theme, Error> {
    let depth = depth.checked_sub(1).ok_or_else(|| Error::Circle(name.to_owned()))?;
    let preset = PRESETS.iter().find(|(preset, _)| *preset == name);
    let preset = preset.map(|(name, text)| parse(name, text)).transpose()?;
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
    let theme = match (preset, own) {
        (Some(preset), Some(own)) => preset.overlaid(own),
        (Some(theme), None) | (None, Some(theme)) => theme,
        (None, None) => {
            let (name, known) = (name.to_owned(), names(folder).join(", "));
            return Err(Error::Unknown { name, known });
        }
    };
    match theme.base.clone() {
        Some(base) => Ok(load_below(&base, folder, depth)?.overlaid(theme)),
        None => Ok(theme),
    }
}

fn parse(file: &str, text: &str) -> Result<Theme, Error> {
    toml::from_str(text).map_err(|source| Error::Parse {
        file: file.to_owned(),
        source: Box::new(source),
    })
}

impl Theme {
    fn overlaid(mut self, over: Theme) -> Theme {
        self.palette.extend(over.palette);
        self.roles.extend(over.roles);
        self.base = over.base;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_file_overlays_the_preset_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("dark.toml"),
            "[palette]\nred = [\"#ff0000\", \"red\"]\n",
        )
        .unwrap();
        let theme = load("dark", Some(folder.path())).unwrap();
        assert_eq!(theme.palette["red"][0], "#ff0000");
        assert!(theme.roles.contains_key("selection"));
    }

    #[test]
    fn themes_that_build_on_each_other_are_told_apart_from_deep_ones() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.toml"), "base = \"b\"").unwrap();
        std::fs::write(folder.path().join("b.toml"), "base = \"a\"").unwrap();
        assert!(matches!(load("a", Some(folder.path())), Err(Error::Circle(_))));
    }

    #[test]
    fn an_unknown_theme_is_answered_with_the_known_ones() {
        let error = load("drak", None).unwrap_err().to_string();
        assert!(error.contains("drak") && error.contains("high-contrast"), "{error}");
    }

    #[test]
    fn a_misspelt_field_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("mine.toml"),
            "[roles]\ntext = { foreground = \"x\" }",
        )
        .unwrap();
        let error = load("mine", Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("mine.toml") && error.contains("foreground"), "{error}");
    }
}
