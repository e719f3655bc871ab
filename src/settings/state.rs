//! The state folder of one cluster: journals, locks, recordings.
//!
//! `/var/lib/azimuth/<cluster-id>` where it exists and may be written, so that the operators of one host share it;
//! otherwise the user's own, which nobody else can see.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{Error, Paths};

/// Where the operators of a host share state.
pub const SHARED: &str = "/var/lib/azimuth";

/// A cluster's state folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub folder: PathBuf,
    /// True where other operators of this host do not see it; shown as `private journal`.
    pub private: bool,
}

/// The state folder of a cluster; the user's own is made (mode 0700) where it is needed.
pub fn of(cluster_id: &str, paths: &Paths) -> Result<State, Error> {
    within(Path::new(SHARED), cluster_id, paths)
}

fn within(shared: &Path, cluster_id: &str, paths: &Paths) -> Result<State, Error> {
    let name = folder_name(cluster_id)?;
    let folder = shared.join(&name);
    if folder.is_dir() && writable(&folder) {
        return Ok(State { folder, private: false });
    }
    let folder = paths.state.join(name);
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|reason| Error::Write {
        path: folder.clone(),
        reason,
    })?;
    Ok(State { folder, private: true })
}

/// The most brokers that were ever seen of the cluster of this folder, `seen` among them.
///
/// # Errors
/// When the folder cannot be written.
pub fn most_brokers(folder: &Path, seen: u32) -> Result<u32, Error> {
    let path = folder.join("most-brokers");
    let known = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
    let most = known.map_or(seen, |known: u32| known.max(seen));
    if known != Some(most) {
        super::file::write_private(&path, &format!("{most}\n"))?;
    }
    Ok(most)
}

/// A cluster id comes from the network; it must not lead out of the folder.
fn folder_name(cluster_id: &str) -> Result<String, Error> {
    let fine = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    if cluster_id.is_empty() || cluster_id.starts_with('.') || cluster_id.len() > 128 || !cluster_id.chars().all(fine) {
        return Err(Error::Usage(format!(
            "the cluster calls itself {cluster_id:?}, which cannot name a folder"
        )));
    }
    Ok(cluster_id.to_owned())
}

fn writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_folder_is_taken_only_where_it_exists() {
        let root = tempfile::tempdir().unwrap();
        let shared = root.path().join("shared");
        let paths = Paths {
            config: root.path().join("config"),
            state: root.path().join("state"),
            cache: root.path().join("cache"),
        };
        let own = within(&shared, "abc", &paths).unwrap();
        assert_eq!((own.folder, own.private), (paths.state.join("abc"), true));
        fs::create_dir_all(shared.join("abc")).unwrap();
        let common = within(&shared, "abc", &paths).unwrap();
        assert_eq!((common.folder, common.private), (shared.join("abc"), false));
    }

    #[test]
    fn an_id_from_the_network_cannot_lead_elsewhere() {
        for id in ["", "..", "../x", "a/b", ".hidden", "a\0b"] {
            assert!(folder_name(id).is_err(), "{id:?}");
        }
        assert!(folder_name("MkU3OEVBNTcwNTJENDM2Qg").is_ok());
    }
}
