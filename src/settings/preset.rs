//! Files of ours that people overlay: embedded presets, a user's file of the same name over one, and files that build on
//! another through `base`.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::paths::toml_names;

/// Files that build on each other deeper than this go in a circle.
const DEPTH: u8 = 8;

/// A kind of file, such as a theme.
pub trait Preset: DeserializeOwned {
    /// The kind's name, for errors.
    const KIND: &'static str;
    /// The embedded ones: name and text.
    const PRESETS: &'static [(&'static str, &'static str)];

    /// What it builds on, taken out.
    fn take_base(&mut self) -> Option<String>;

    /// `over` laid over this one.
    fn overlaid(self, over: Self) -> Self;

    /// Every name that can be loaded: presets first, then the user's own.
    fn names(folder: Option<&Path>) -> Vec<String> {
        let mut names: Vec<String> = Self::PRESETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        let own = folder.map(toml_names).unwrap_or_default();
        names.extend(own.into_iter().filter(|own| preset::<Self>(own).is_none()));
        names
    }

    /// The named one: what it builds on (its `base`, or else the preset of its name), overlaid by the user's file.
    ///
    /// A preset builds on presets only, so that what a user writes over one of them changes no other.
    ///
    /// # Errors
    /// There is no such name, or a file cannot be read or understood.
    fn load(name: &str, folder: Option<&Path>) -> Result<Self, Error> {
        load_within(name, folder, DEPTH)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no {kind} `{name}`; there are {known}")]
    Unknown {
        kind: &'static str,
        name: String,
        known: String,
    },
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{kind} {file}: {source}")]
    Parse {
        kind: &'static str,
        file: String,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("{kind} `{name}` builds on itself through `base`")]
    Circle { kind: &'static str, name: String },
}

fn load_within<P: Preset>(name: &str, folder: Option<&Path>, depth: u8) -> Result<P, Error> {
    let circle = || Error::Circle {
        kind: P::KIND,
        name: name.to_owned(),
    };
    let depth = depth.checked_sub(1).ok_or_else(circle)?;
    let mut own: Option<P> = folder.map(|folder| read(folder, name)).transpose()?.flatten();
    let below = match (own.as_mut().and_then(P::take_base), preset::<P>(name)) {
        (Some(base), _) => Some(load_within(&base, folder, depth)?),
        (None, Some(text)) => {
            let mut preset: P = parse(name, text)?;
            match preset.take_base() {
                Some(base) => Some(load_within::<P>(&base, None, depth)?.overlaid(preset)),
                None => Some(preset),
            }
        }
        (None, None) => None,
    };
    match (below, own) {
        (Some(below), Some(own)) => Ok(below.overlaid(own)),
        (Some(only), None) | (None, Some(only)) => Ok(only),
        (None, None) => Err(Error::Unknown {
            kind: P::KIND,
            name: name.to_owned(),
            known: P::names(folder).join(", "),
        }),
    }
}

fn preset<P: Preset>(name: &str) -> Option<&'static str> {
    P::PRESETS
        .iter()
        .find(|(preset, _)| *preset == name)
        .map(|(_, text)| *text)
}

/// The user's file of that name, if there is one.
fn read<P: Preset>(folder: &Path, name: &str) -> Result<Option<P>, Error> {
    let path = folder.join(format!("{name}.toml"));
    if !path.is_file() {
        return Ok(None);
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&path.display().to_string(), &text).map(Some),
        Err(source) => Err(Error::Read { path, source }),
    }
}

fn parse<P: Preset>(file: &str, text: &str) -> Result<P, Error> {
    toml::from_str(text).map_err(|source| Error::Parse {
        kind: P::KIND,
        file: file.to_owned(),
        source: Box::new(source),
    })
}
