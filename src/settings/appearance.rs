//! How the screens look and which keys they hear: theme, keymap, glyphs, colours. From `appearance.toml`, then the
//! environment (`AZIMUTH_THEME`, `AZIMUTH_KEYMAP`, `AZIMUTH_GLYPHS`, `NO_COLOR`), then what the terminal says of itself.

use std::path::Path;

use serde::Deserialize;

/// What the user chose; what is absent is detected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Appearance {
    pub theme: Option<String>,
    pub keymap: Option<String>,
    pub glyphs: Option<Glyphs>,
    pub colours: Option<Colours>,
    /// Whether the wheel and clicks are heard; the terminal then selects no text with them. Off unless it is asked for.
    pub mouse: Option<bool>,
}

/// The characters that the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, strum::EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Glyphs {
    Unicode,
    Ascii,
}

/// The colours that the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, strum::EnumString)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Colours {
    /// None: weight, slant and reverse only.
    None,
    /// The terminal's 16, by name.
    Sixteen,
    /// The 256 of xterm.
    Indexed,
    /// 24 bits.
    True,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path}: {source}")]
    Parse {
        path: String,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("{name}={value}: it must be one of {known}")]
    Value {
        name: &'static str,
        value: String,
        known: &'static str,
    },
}

impl Appearance {
    /// The file's choices, overridden by the environment's. A file that is not there is no choice.
    pub fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let mut chosen = match file.filter(|file| file.is_file()) {
            Some(file) => {
                let path = file.display().to_string();
                let text = std::fs::read_to_string(file).map_err(|source| Error::Read {
                    path: path.clone(),
                    source,
                })?;
                toml::from_str(&text).map_err(|source| Error::Parse {
                    path,
                    source: Box::new(source),
                })?
            }
            None => Self::default(),
        };
        let said = |name: &str| environment(name).filter(|value| !value.is_empty());
        chosen.theme = said("AZIMUTH_THEME").or(chosen.theme);
        chosen.keymap = said("AZIMUTH_KEYMAP").or(chosen.keymap);
        if let Some(value) = said("AZIMUTH_GLYPHS") {
            let glyphs = value.parse();
            chosen.glyphs = Some(glyphs.map_err(|_| Error::Value {
                name: "AZIMUTH_GLYPHS",
                value,
                known: "unicode, ascii",
            })?);
        }
        if said("NO_COLOR").is_some() {
            chosen.colours = Some(Colours::None);
        }
        chosen.glyphs = chosen.glyphs.or_else(|| Some(Glyphs::detect(&environment)));
        chosen.colours = chosen.colours.or_else(|| Some(Colours::detect(&environment)));
        Ok(chosen)
    }
}

impl Glyphs {
    /// ASCII where the locale is not UTF-8 or the terminal is one that cannot draw more.
    pub fn detect(environment: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        let utf8 = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        let plain = matches!(
            environment("TERM").as_deref(),
            Some("linux" | "dumb" | "vt100" | "vt220")
        );
        if utf8 && !plain { Self::Unicode } else { Self::Ascii }
    }
}

impl Colours {
    pub fn detect(environment: impl Fn(&str) -> Option<String>) -> Self {
        let term = environment("TERM").unwrap_or_default();
        match environment("COLORTERM").as_deref() {
            Some("truecolor" | "24bit") => Self::True,
            _ if term == "dumb" || term.starts_with("vt") => Self::None,
            _ if term.contains("direct") => Self::True,
            _ if term.contains("256color") => Self::Indexed,
            _ => Self::Sixteen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment<'a>(set: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn a_terminal_that_speaks_no_utf8_gets_ascii() {
        assert_eq!(Glyphs::detect(environment(&[("LANG", "en_GB.UTF-8")])), Glyphs::Unicode);
        assert_eq!(
            Glyphs::detect(environment(&[("LANG", "C.utf8"), ("TERM", "linux")])),
            Glyphs::Ascii
        );
        assert_eq!(
            Glyphs::detect(environment(&[("LC_ALL", "POSIX"), ("LANG", "C.UTF-8")])),
            Glyphs::Ascii
        );
        assert_eq!(Glyphs::detect(environment(&[])), Glyphs::Ascii);
    }

    #[test]
    fn no_color_wins_over_the_file_and_the_terminal() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("appearance.toml");
        std::fs::write(&file, "theme = \"light\"\ncolours = \"true\"\n").unwrap();
        let set = [("NO_COLOR", "1"), ("COLORTERM", "truecolor")];
        let chosen = Appearance::load(Some(&file), environment(&set)).unwrap();
        assert_eq!(
            (chosen.theme.as_deref(), chosen.colours),
            (Some("light"), Some(Colours::None))
        );
    }

    #[test]
    fn a_wrong_glyph_set_is_an_error_with_the_right_ones() {
        let error = Appearance::load(None, environment(&[("AZIMUTH_GLYPHS", "emoji")]))
            .unwrap_err()
            .to_string();
        assert_eq!(error, "AZIMUTH_GLYPHS=emoji: it must be one of unicode, ascii");
    }
}
