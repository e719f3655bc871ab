//! Where our own files lie, by the platform's conventions: `$XDG_CONFIG_HOME/azimuth` and its neighbours on Linux.

use std::path::{Path, PathBuf};

/// The folders of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Contexts, themes, keymaps, appearance: what the user writes.
    pub config: PathBuf,
    /// Journals, captures, pinned cluster ids: what we write and must keep.
    pub state: PathBuf,
    /// What can be asked for again.
    pub cache: PathBuf,
}

impl Paths {
    /// The user's folders; `None` when the user has no home directory.
    pub fn of_user() -> Option<Self> {
        let dirs = directories::ProjectDirs::from("", "", "azimuth")?;
        Some(Self {
            config: dirs.config_dir().to_owned(),
            state: dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_owned(),
            cache: dirs.cache_dir().to_owned(),
        })
    }

    /// All folders under one root, for tests, demos and captures.
    pub fn under(root: &Path) -> Self {
        Self {
            config: root.join("config"),
            state: root.join("state"),
            cache: root.join("cache"),
        }
    }

    pub fn contexts(&self) -> PathBuf {
        self.config.join("contexts.toml")
    }

    pub fn appearance(&self) -> PathBuf {
        self.config.join("appearance.toml")
    }

    pub fn themes(&self) -> PathBuf {
        self.config.join("themes")
    }

    pub fn keymaps(&self) -> PathBuf {
        self.config.join("keymaps")
    }
}

/// Names of the `*.toml` files in a folder; none when it cannot be read.
pub(super) fn toml_names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            (path.extension()? == "toml").then(|| path.file_stem()?.to_str().map(str::to_owned))?
        })
        .collect();
    names.sort();
    names
}
