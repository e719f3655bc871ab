//! The runbooks there are: shipped ones, and those in the user's folder, which come first.

use std::path::{Path, PathBuf};

use super::book::{Book, Problem};
use crate::settings::Paths;

/// Shipped runbooks, by their names.
pub const SHIPPED: &[(&str, &str)] = &[
    ("all-active-restack", include_str!("presets/all-active-restack.yaml")),
    ("az-failure", include_str!("presets/az-failure.yaml")),
    ("blue-green", include_str!("presets/blue-green.yaml")),
    ("broker-replacement", include_str!("presets/broker-replacement.yaml")),
    ("disk-filling", include_str!("presets/disk-filling.yaml")),
    ("downtime-upgrade", include_str!("presets/downtime-upgrade.yaml")),
    ("encrypt-volumes", include_str!("presets/encrypt-volumes.yaml")),
    ("mirror-backup", include_str!("presets/mirror-backup.yaml")),
    ("rolling-upgrade", include_str!("presets/rolling-upgrade.yaml")),
    ("snapshot-backup", include_str!("presets/snapshot-backup.yaml")),
    ("standby-failover", include_str!("presets/standby-failover.yaml")),
];

/// Where one comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Shipped,
    File(PathBuf),
}

/// One that was found, read or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub name: String,
    pub origin: Origin,
    pub book: Result<Book, Vec<Problem>>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no runbook {name}; {hint}")]
    Unknown { name: String, hint: String },
    #[error("{path}: {reason}")]
    File { path: PathBuf, reason: std::io::Error },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shipped => f.write_str("shipped"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// The user's own.
pub fn folder(paths: &Paths) -> PathBuf {
    paths.config.join("runbooks")
}

/// All of them, by name. A file of the user's hides the shipped one of its name.
pub fn all(paths: &Paths) -> Vec<Found> {
    let mut found: Vec<Found> = files(&folder(paths))
        .into_iter()
        .filter_map(|path| read(&path).ok())
        .collect();
    for (name, text) in SHIPPED {
        if !found.iter().any(|one| one.name == *name) {
            found.push(shipped(name, text));
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

/// One by its name, or by the path of a file: what has a / or ends as YAML does.
///
/// # Errors
/// When there is none.
pub fn find(word: &str, paths: &Paths) -> Result<Found, Error> {
    let path = Path::new(word);
    if word.contains('/') || is_yaml(path) {
        return read(path);
    }
    for ending in ["yaml", "yml"] {
        let path = folder(paths).join(format!("{word}.{ending}"));
        if path.is_file() {
            return read(&path);
        }
    }
    match SHIPPED.iter().find(|(name, _)| *name == word) {
        Some((name, text)) => Ok(shipped(name, text)),
        None => {
            let all = all(paths);
            let near = crate::model::nearest(word, all.iter().map(|one| one.name.as_str()));
            let hint = match near {
                Some(near) => format!("did you mean {near}?"),
                None => "azimuth runbook list shows them; a file is named with a / or .yaml in it".to_owned(),
            };
            Err(Error::Unknown {
                name: word.to_owned(),
                hint,
            })
        }
    }
}

fn shipped(name: &str, text: &str) -> Found {
    Found {
        name: name.to_owned(),
        origin: Origin::Shipped,
        book: Book::read(name, text),
    }
}

fn read(path: &Path) -> Result<Found, Error> {
    let text = std::fs::read_to_string(path).map_err(|reason| Error::File {
        path: path.to_owned(),
        reason,
    })?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Found {
        book: Book::read(&name, &text),
        origin: Origin::File(path.to_owned()),
        name,
    })
}

fn is_yaml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_yaml(path)).collect();
    files.sort();
    files
}
