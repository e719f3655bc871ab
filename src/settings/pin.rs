//! Which cluster id was behind a bootstrap list when it was first used. Another id there later is refused: a stale DNS
//! name or a reused address must not turn a command for one cluster into a command for another.
//!
//! The store is `pins.toml` in the user's state folder, mode 0600, replaced in one step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Context, Error, Paths, file};

/// The pins of this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    path: PathBuf,
    known: BTreeMap<String, Pin>,
}

/// One pin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    cluster_id: String,
    /// Contexts that used it.
    #[serde(default)]
    contexts: Vec<String>,
}

/// Another cluster than the pinned one answered. Exit 4.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{target} is now cluster {found}, it was {pinned}: refused. If the cluster was rebuilt on purpose, {way_out}")]
pub struct Mismatch {
    pub target: String,
    pub found: String,
    pub pinned: String,
    pub way_out: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    #[serde(default)]
    pin: BTreeMap<String, Pin>,
}

impl Pins {
    /// The pins so far; none when there is no store yet.
    pub fn load(paths: &Paths) -> Result<Self, Error> {
        let path = paths.state.join("pins.toml");
        let stored: Stored = match file::read(&path)? {
            Some(text) => file::parse(&path, &text)?,
            None => Stored::default(),
        };
        Ok(Self {
            path,
            known: stored.pin,
        })
    }

    /// The id that must be behind this context: the file's own, else the pinned one, else unknown.
    pub fn expected<'a>(&'a self, context: &'a Context) -> Option<&'a str> {
        context
            .cluster_id
            .as_deref()
            .or_else(|| self.pinned(&context.bootstrap))
    }

    /// The id that was first seen behind a bootstrap list.
    pub fn pinned(&self, bootstrap: &[String]) -> Option<&str> {
        self.known.get(&key(bootstrap)).map(|pin| pin.cluster_id.as_str())
    }

    /// Compares the id that answered, and pins it at first sight of a context. `Ok(true)` when the store must be saved.
    pub fn check(&mut self, context: &Context, found: &str) -> Result<bool, Mismatch> {
        if let Some(pinned) = self.expected(context) {
            if pinned != found {
                return Err(self.mismatch(context, found, pinned));
            }
            if context.cluster_id.is_some() {
                return Ok(false);
            }
        } else if context.file.is_none() {
            // A bare bootstrap names nothing that could be mistaken later; its rules come from the id itself.
            return Ok(false);
        }
        let named = context.file.is_some().then(|| context.name.clone());
        let pin = self.known.entry(key(&context.bootstrap)).or_insert_with(|| Pin {
            cluster_id: String::new(),
            contexts: Vec::new(),
        });
        let before = pin.clone();
        pin.cluster_id = found.to_owned();
        pin.contexts.extend(named.filter(|name| !pin.contexts.contains(name)));
        Ok(*pin != before)
    }

    /// Names of contexts that were ever connected to this cluster.
    pub fn contexts_of(&self, cluster_id: &str) -> impl Iterator<Item = &str> {
        let pins = self.known.values().filter(move |pin| pin.cluster_id == cluster_id);
        pins.flat_map(|pin| pin.contexts.iter().map(String::as_str))
    }

    pub fn save(&self) -> Result<(), Error> {
        let stored = Stored {
            pin: self.known.clone(),
        };
        let text = toml::to_string(&stored)
            .map_err(|error| Error::Usage(format!("cannot write the pins as TOML: {error}")))?;
        file::write_private(&self.path, &text)
    }

    fn mismatch(&self, context: &Context, found: &str, pinned: &str) -> Mismatch {
        let way_out = match &context.file {
            Some(file) => format!(
                "set cluster_id = \"{found}\" under [context.{}] in {}",
                context.name,
                file.display()
            ),
            None => format!("remove its entry from {}", shown(&self.path)),
        };
        Mismatch {
            target: context.name.clone(),
            found: found.to_owned(),
            pinned: pinned.to_owned(),
            way_out,
        }
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The order of a bootstrap list means nothing.
fn key(bootstrap: &[String]) -> String {
    let mut list = bootstrap.to_vec();
    list.sort_unstable();
    list.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::target::{Asked, resolve};

    fn home() -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        let text = "[context.a]\nbootstrap = \"a:1,b:1\"\n[context.c]\nbootstrap = \"c:1\"\ncluster_id = \"C\"\n";
        std::fs::write(folder.path().join("contexts.toml"), text).unwrap();
        let paths = Paths {
            config: folder.path().to_owned(),
            state: folder.path().join("state"),
            cache: folder.path().join("cache"),
        };
        (folder, paths)
    }

    fn context(paths: &Paths, name: &str) -> Context {
        let asked = Asked {
            context: Some(name.to_owned()),
            ..Asked::default()
        };
        resolve(&asked, paths).unwrap()
    }

    #[test]
    fn the_first_id_is_pinned_and_another_refused() {
        let (_folder, paths) = home();
        let mut pins = Pins::load(&paths).unwrap();
        let context = context(&paths, "a");
        assert!(pins.check(&context, "X").unwrap());
        pins.save().unwrap();
        let mut pins = Pins::load(&paths).unwrap();
        assert!(!pins.check(&context, "X").unwrap());
        assert_eq!(pins.contexts_of("X").collect::<Vec<_>>(), ["a"]);
        let refused = pins.check(&context, "Y").unwrap_err().to_string();
        assert!(
            refused.starts_with("a is now cluster Y, it was X: refused."),
            "{refused}"
        );
        assert!(
            refused.contains("set cluster_id = \"Y\" under [context.a]"),
            "{refused}"
        );
    }

    #[test]
    fn the_order_of_the_list_means_nothing_and_a_bare_bootstrap_is_held_to_a_contexts_pin() {
        let (_folder, paths) = home();
        let mut pins = Pins::load(&paths).unwrap();
        pins.check(&context(&paths, "a"), "X").unwrap();
        let asked = Asked {
            bootstrap: Some("b:1,a:1".to_owned()),
            ..Asked::default()
        };
        assert!(pins.check(&resolve(&asked, &paths).unwrap(), "Y").is_err());
        let stranger = Asked {
            bootstrap: Some("z:1".to_owned()),
            ..Asked::default()
        };
        let stranger = resolve(&stranger, &paths).unwrap();
        assert!(!pins.check(&stranger, "P").unwrap());
        assert!(!pins.check(&stranger, "Q").unwrap());
    }

    #[test]
    fn an_id_in_the_file_outranks_the_store_and_is_not_stored() {
        let (_folder, paths) = home();
        let mut pins = Pins::load(&paths).unwrap();
        assert!(!pins.check(&context(&paths, "c"), "C").unwrap());
        assert!(pins.check(&context(&paths, "c"), "D").is_err());
        assert_eq!(pins.contexts_of("C").count(), 0);
    }
}
