//! What a machine already knows of Kafka clusters, for a person who has no context yet: variables, client property files
//! in the usual places, AWS profiles. Looks, and writes nothing; secrets in those files are not kept.

use std::path::{Path, PathBuf};

/// A cluster that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Find {
    /// `host:port,…`.
    pub bootstrap: String,
    /// Where it was found, for a person: `KAFKA_BOOTSTRAP_SERVERS`, or the file.
    pub place: String,
    /// The file of client properties that goes with it.
    pub command_config: Option<PathBuf>,
}

/// All that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub clusters: Vec<Find>,
    /// Names of AWS profiles, the one that the environment chose first.
    pub profiles: Vec<String>,
}

/// Variables that name brokers, as images and frameworks have them.
const VARIABLES: [&str; 4] = [
    "KAFKA_BOOTSTRAP_SERVERS",
    "BOOTSTRAP_SERVERS",
    "KAFKA_BOOTSTRAP",
    "KAFKA_BROKERS",
];

/// Client property files below the home folder.
const IN_HOME: [&str; 6] = [
    "client.properties",
    ".kafka/client.properties",
    ".config/kafka/client.properties",
    ".kafka.properties",
    ".config/kcat.conf",
    ".config/kafkacat.conf",
];

/// Client property files of the whole machine.
const ON_HOST: [&str; 3] = [
    "/etc/kafka/client.properties",
    "/etc/kafka/conf/client.properties",
    "/opt/kafka/config/client.properties",
];

/// Java's, and librdkafka's two names.
const SERVERS: [&str; 3] = ["bootstrap.servers", "metadata.broker.list", "brokers"];

/// A file longer than this is no client's properties.
const MOST_BYTES: u64 = 256 * 1024;

/// Looks at the environment, the home folder, the working directory and the usual places of the machine.
pub fn look(environment: impl Fn(&str) -> Option<String>, home: Option<&Path>, here: &Path) -> Found {
    let set = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
    let mut clusters: Vec<Find> = Vec::new();
    let mut add = |find: Find| {
        let known = clusters
            .iter()
            .any(|known| known.bootstrap == find.bootstrap && known.command_config.is_some());
        if !known {
            clusters.push(find);
        }
    };
    let in_home = IN_HOME.iter().filter_map(|path| Some(home?.join(path)));
    let on_host = ON_HOST.iter().map(PathBuf::from);
    let named = set("KCAT_CONFIG").map(PathBuf::from);
    for path in named
        .into_iter()
        .chain([here.join("client.properties")])
        .chain(in_home)
        .chain(on_host)
    {
        if let Some(bootstrap) = servers(&path) {
            add(Find {
                bootstrap,
                place: path.display().to_string(),
                command_config: Some(path),
            });
        }
    }
    for name in VARIABLES {
        if let Some(bootstrap) = set(name) {
            add(Find {
                bootstrap: bootstrap.trim().to_owned(),
                place: name.to_owned(),
                command_config: None,
            });
        }
    }
    clusters.dedup_by(|one, other| one == other);
    Found {
        clusters,
        profiles: profiles(set("AWS_PROFILE"), set("AWS_CONFIG_FILE").map(PathBuf::from), home),
    }
}

/// The brokers that a file of client properties names.
fn servers(path: &Path) -> Option<String> {
    let text = read(path)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', '!']));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .filter(|(key, _)| SERVERS.contains(&key.trim()))
        .map(|(_, value)| value.trim().to_owned())
        .find(|value| !value.is_empty())
}

fn profiles(chosen: Option<String>, file: Option<PathBuf>, home: Option<&Path>) -> Vec<String> {
    let file = file.or_else(|| Some(home?.join(".aws/config")));
    let text = file.and_then(|file| read(&file)).unwrap_or_default();
    let sections = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix('[')?.strip_suffix(']'));
    let named = sections.filter_map(|section| match section.trim() {
        "default" => Some("default".to_owned()),
        section => section.strip_prefix("profile ").map(|name| name.trim().to_owned()),
    });
    let mut profiles: Vec<String> = chosen.into_iter().collect();
    for name in named {
        if !profiles.contains(&name) {
            profiles.push(name);
        }
    }
    profiles
}

/// A file that cannot be read, is too long, or is no text was not found.
fn read(path: &Path) -> Option<String> {
    let known = std::fs::metadata(path).ok()?;
    let fits = known.is_file() && known.len() <= MOST_BYTES;
    fits.then(|| std::fs::read_to_string(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_files_and_profiles_are_found() {
        let home = tempfile::tempdir().unwrap();
        let here = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join(".aws")).unwrap();
        std::fs::write(
            home.path().join(".aws/config"),
            "[default]\nregion = eu-west-1\n[profile ops]\n[sso-session x]\n",
        )
        .unwrap();
        std::fs::write(
            home.path().join("client.properties"),
            "# ours\nsasl.jaas.config=secret\nbootstrap.servers = b1:9096,b2:9096\n",
        )
        .unwrap();
        std::fs::write(here.path().join("client.properties"), "group.id=x\n").unwrap();
        let environment = |name: &str| match name {
            "BOOTSTRAP_SERVERS" => Some(" c1:9092 ".to_owned()),
            "KAFKA_BROKERS" => Some("b1:9096,b2:9096".to_owned()),
            "AWS_PROFILE" => Some("ops".to_owned()),
            _ => None,
        };
        let found = look(environment, Some(home.path()), here.path());
        let seen: Vec<_> = found
            .clusters
            .iter()
            .map(|find| (find.bootstrap.as_str(), find.command_config.is_some()))
            .collect();
        assert_eq!(
            seen,
            [("b1:9096,b2:9096", true), ("c1:9092", false)],
            "the file knows how to log in, so its variable is not told again"
        );
        assert_eq!(found.profiles, ["ops", "default"]);
        assert!(!format!("{found:?}").contains("secret"));
    }

    #[test]
    fn a_machine_that_knows_nothing_is_no_error() {
        let here = tempfile::tempdir().unwrap();
        let found = look(|_| None, None, here.path());
        assert_eq!(found.profiles, Vec::<String>::new());
    }
}
