//! Theme files: a `[palette]` of named colours and the `[roles]` that use them. Presets are embedded; a user's file
//! of the same name overlays one, and a file with `base` builds on another. What a role is for is the screen's affair.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::preset::Preset;

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

impl Preset for Theme {
    const KIND: &'static str = "theme";
    /// `themes/` holds exactly these.
    const PRESETS: &'static [(&'static str, &'static str)] = &[
        ("dark", include_str!("../../themes/dark.toml")),
        ("light", include_str!("../../themes/light.toml")),
        ("high-contrast", include_str!("../../themes/high-contrast.toml")),
        ("colour-blind", include_str!("../../themes/colour-blind.toml")),
        ("mono", include_str!("../../themes/mono.toml")),
    ];

    fn take_base(&mut self) -> Option<String> {
        self.base.take()
    }

    fn overlaid(mut self, over: Theme) -> Theme {
        self.palette.extend(over.palette);
        self.roles.extend(over.roles);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::preset::Error;
    use super::*;

    #[test]
    fn a_users_file_overlays_the_preset_of_its_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("dark.toml"),
            "[palette]\nred = [\"#ff0000\", \"red\"]\n",
        )
        .unwrap();
        let theme = Theme::load("dark", Some(folder.path())).unwrap();
        assert_eq!(theme.palette["red"][0], "#ff0000");
        assert!(theme.roles.contains_key("selection"));
    }

    #[test]
    fn themes_that_build_on_each_other_are_told_apart_from_deep_ones() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.toml"), "base = \"b\"").unwrap();
        std::fs::write(folder.path().join("b.toml"), "base = \"a\"").unwrap();
        assert!(matches!(
            Theme::load("a", Some(folder.path())),
            Err(Error::Circle { .. })
        ));
    }

    #[test]
    fn an_unknown_theme_is_answered_with_the_known_ones() {
        let error = Theme::load("drak", None).unwrap_err().to_string();
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
        let error = Theme::load("mine", Some(folder.path())).unwrap_err().to_string();
        assert!(error.contains("mine.toml") && error.contains("foreground"), "{error}");
    }
}
