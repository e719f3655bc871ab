//! Which cluster a command is for: `--context`, then `AZIMUTH_CONTEXT`, then the only one; or `--bootstrap`. Never "last used".

use std::path::{Path, PathBuf};

use super::context::{Contexts, Entry, address_list};
use super::properties::{self, Place, Property};
use super::{Class, Connection, Context, Error, Paths, Secret};
use crate::model::nearest;

/// What the command line says about the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    pub context: Option<String>,
    /// The value of `AZIMUTH_CONTEXT`.
    pub environment: Option<String>,
    pub context_file: Option<PathBuf>,
    pub bootstrap: Option<String>,
    pub command_config: Option<PathBuf>,
    /// `-X key=value`, in order.
    pub properties: Vec<String>,
    pub allow_changes: bool,
}

impl Asked {
    /// The file of contexts that applies.
    pub fn file(&self, paths: &Paths) -> PathBuf {
        self.context_file.clone().unwrap_or_else(|| paths.contexts())
    }
}

/// The context asked for. Nothing is asked of any cluster here; for `--bootstrap` the rules of a known cluster are
/// looked up once its id is known (`rule::of`).
pub fn resolve(asked: &Asked, paths: &Paths) -> Result<Context, Error> {
    let file = asked.file(paths);
    if let Some(list) = &asked.bootstrap {
        if let Some(name) = &asked.context {
            return Err(Error::Usage(format!(
                "--bootstrap and --context {name} name two targets; leave one out"
            )));
        }
        return by_addresses("--bootstrap", list, asked);
    }
    if asked.context_file.is_some() && !file.exists() {
        return Err(Error::Usage(format!("there is no context file {}", file.display())));
    }
    let mut contexts = Contexts::load(&file)?;
    // Where no context is known, a file of client properties may say where the cluster is.
    if let (None, None | Some(""), Some(path), true) = (
        &asked.context,
        asked.environment.as_deref(),
        &asked.command_config,
        contexts.context.is_empty(),
    ) {
        let place = format!("{}: {SERVERS}", path.display());
        let list = properties::read(path)?
            .into_iter()
            .find(|property| property.key == SERVERS);
        if let Some(list) = list.as_ref().and_then(|property| property.value.written()) {
            return by_addresses(&place, list, asked);
        }
    }
    let name = choose(asked, &contexts, &file)?;
    let entry = contexts.context.remove(&name).unwrap_or_default();
    of_entry(name, entry, file, asked)
}

/// Java's and librdkafka's name for the list of brokers.
const SERVERS: &str = "bootstrap.servers";

/// A cluster that no context names.
fn by_addresses(place: &str, list: &str, asked: &Asked) -> Result<Context, Error> {
    let bootstrap = address_list(list).map_err(|message| Error::Usage(format!("{place}: {message}")))?;
    Ok(Context {
        name: bootstrap.join(","),
        file: None,
        bootstrap,
        class: if asked.allow_changes { Class::Dev } else { Class::Prod },
        changes: asked.allow_changes,
        reason: false,
        connection: Connection::of(&given(asked)?)?,
        cluster_id: None,
        aws: None,
        prometheus: None,
        probe_topic: None,
        record: true,
        notify: None,
        driver: None,
    })
}

/// The context of a file's entry, with the command line's properties laid over it.
///
/// # Errors
/// A property that cannot be honoured, with its place.
pub fn of_entry(name: String, entry: Entry, file: PathBuf, asked: &Asked) -> Result<Context, Error> {
    let mut properties = Vec::new();
    let folder = file.parent().unwrap_or(Path::new(""));
    if let Some(path) = &entry.command_config {
        properties.extend(properties::read(&folder.join(path))?);
    }
    properties.extend(entry.properties.into_iter().map(|(key, value)| Property {
        value: located(&key, value.within(folder), folder),
        key,
        place: Place::Context {
            path: file.clone(),
            name: name.clone(),
        },
    }));
    properties.extend(given(asked)?);
    let driver = entry.driver.map(|drivers| drivers.within(folder));
    Ok(Context {
        connection: Connection::of(&properties)?,
        name,
        file: Some(file),
        bootstrap: entry.bootstrap,
        class: entry.class,
        changes: entry.changes,
        reason: entry.reason,
        cluster_id: entry.cluster_id,
        aws: entry.aws,
        prometheus: entry.prometheus,
        probe_topic: entry.probe_topic,
        record: entry.record,
        notify: entry.notify,
        driver,
    })
}

/// A path in a context counts from the folder of its file.
fn located(key: &str, value: Secret, folder: &Path) -> Secret {
    match value
        .written()
        .filter(|path| key.ends_with(".location") && !path.trim().is_empty())
    {
        Some(path) => Secret::text(folder.join(path.trim()).display().to_string()),
        None => value,
    }
}

fn choose(asked: &Asked, contexts: &Contexts, file: &Path) -> Result<String, Error> {
    let names = || {
        contexts
            .context
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let (name, source) = match (&asked.context, &asked.environment) {
        (Some(name), _) => (name, "--context"),
        (None, Some(name)) if !name.is_empty() => (name, "AZIMUTH_CONTEXT"),
        _ => {
            let mut all = contexts.context.keys();
            return match (all.next(), all.next()) {
                (Some(only), None) => Ok(only.clone()),
                (None, _) => Err(Error::Usage(format!(
                    "no cluster is named: {} has no contexts; add one with `azimuth context add NAME --bootstrap HOST:PORT`, \
                     or give --bootstrap HOST:PORT",
                    file.display()
                ))),
                _ => Err(Error::Usage(format!(
                    "several contexts; choose one with --context: {}",
                    names()
                ))),
            };
        }
    };
    if contexts.context.contains_key(name) {
        return Ok(name.clone());
    }
    let known = match nearest(name, contexts.context.keys().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None if contexts.context.is_empty() => format!("{} has no contexts", file.display()),
        None => format!("known are {}", names()),
    };
    Err(Error::Usage(format!("{source}: there is no context {name}; {known}")))
}

/// `--command-config`, then `-X`.
fn given(asked: &Asked) -> Result<Vec<Property>, Error> {
    let mut list = match &asked.command_config {
        Some(path) => properties::read(path)?,
        None => Vec::new(),
    };
    for text in &asked.properties {
        list.push(properties::argument(text)?);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home {
        folder: tempfile::TempDir,
    }

    impl Home {
        fn with(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("contexts.toml"), text).unwrap();
            Self { folder }
        }

        fn resolve(&self, asked: Asked) -> Result<Context, String> {
            let paths = Paths {
                config: self.folder.path().to_owned(),
                state: self.folder.path().join("state"),
                cache: self.folder.path().join("cache"),
            };
            resolve(&asked, &paths).map_err(|error| error.to_string())
        }
    }

    const TWO: &str =
        "[context.a]\nbootstrap = \"a:1\"\n[context.b]\nbootstrap = \"b:1\"\nclass = \"dev\"\nchanges = true\n";

    fn named(name: &str) -> Asked {
        Asked {
            context: Some(name.to_owned()),
            ..Asked::default()
        }
    }

    #[test]
    fn of_several_none_is_guessed() {
        let home = Home::with(TWO);
        assert_eq!(
            home.resolve(Asked::default()).unwrap_err(),
            "several contexts; choose one with --context: a, b"
        );
        let asked = Asked {
            environment: Some("b".to_owned()),
            ..Asked::default()
        };
        assert_eq!(home.resolve(asked.clone()).unwrap().name, "b");
        let both = Asked {
            context: Some("a".to_owned()),
            ..asked
        };
        assert_eq!(home.resolve(both).unwrap().name, "a");
    }

    #[test]
    fn the_only_one_is_taken() {
        let home = Home::with("[context.one]\nbootstrap = \"a:1\"\n");
        assert_eq!(home.resolve(Asked::default()).unwrap().name, "one");
    }

    #[test]
    fn a_file_of_client_properties_says_where_the_cluster_is_where_no_context_does() {
        let home = Home::with("");
        let file = home.folder.path().join("client.properties");
        std::fs::write(&file, "bootstrap.servers=b-1:9092,b-2:9092\nclient.id=me\n").unwrap();
        let asked = Asked {
            command_config: Some(file.clone()),
            ..Asked::default()
        };
        let context = home.resolve(asked.clone()).unwrap();
        assert_eq!(context.bootstrap, ["b-1:9092", "b-2:9092"]);
        assert_eq!((context.changes, context.class), (false, Class::Prod));
        assert_eq!(context.connection.client_id.as_deref(), Some("me"));
        std::fs::write(&file, "bootstrap.servers=b-1\n").unwrap();
        let error = home.resolve(asked.clone()).unwrap_err();
        assert!(
            error.contains("client.properties: bootstrap.servers: ") && error.contains("HOST:PORT"),
            "{error}"
        );
        // A context that is known is the target, as ever.
        let home = Home::with("[context.one]\nbootstrap = \"a:1\"\n");
        let file = home.folder.path().join("client.properties");
        std::fs::write(&file, "bootstrap.servers=b-1:9092\n").unwrap();
        let asked = Asked {
            command_config: Some(file),
            ..asked
        };
        assert_eq!(home.resolve(asked).unwrap().bootstrap, ["a:1"]);
    }

    #[test]
    fn a_wrong_name_offers_the_nearest() {
        let home = Home::with("[context.prod-eu]\nbootstrap = \"a:1\"\n");
        let error = home.resolve(named("prod-ue")).unwrap_err();
        assert_eq!(error, "--context: there is no context prod-ue; did you mean prod-eu?");
    }

    #[test]
    fn a_bare_bootstrap_is_read_only_unless_allowed() {
        let home = Home::with(TWO);
        let asked = Asked {
            bootstrap: Some("x:1,y:2".to_owned()),
            ..Asked::default()
        };
        let context = home.resolve(asked.clone()).unwrap();
        assert_eq!((context.changes, context.class), (false, Class::Prod));
        let allowed = Asked {
            allow_changes: true,
            ..asked.clone()
        };
        let context = home.resolve(allowed).unwrap();
        assert_eq!((context.changes, context.class), (true, Class::Dev));
        let both = Asked {
            context: Some("a".to_owned()),
            ..asked
        };
        assert!(home.resolve(both).is_err());
    }

    #[test]
    fn the_command_line_outranks_the_files() {
        let home = Home::with(
            "[context.a]\nbootstrap = \"a:1\"\ncommand_config = \"c.properties\"\nproperties = { \"client.id\" = \"two\" }\n",
        );
        std::fs::write(
            home.folder.path().join("c.properties"),
            "client.id=one\nclient.rack=r1\n",
        )
        .unwrap();
        let context = home.resolve(named("a")).unwrap();
        assert_eq!(context.connection.client_id.as_deref(), Some("two"));
        assert_eq!(context.connection.rdkafka["client.rack"], "r1");
        let asked = Asked {
            properties: vec!["client.id=three".to_owned()],
            ..named("a")
        };
        assert_eq!(
            home.resolve(asked).unwrap().connection.client_id.as_deref(),
            Some("three")
        );
    }

    #[test]
    fn a_fault_in_the_context_names_the_place() {
        let home = Home::with("[context.a]\nbootstrap = \"a:1\"\nproperties = { \"sasl.password\" = \"x\" }\n");
        let error = home.resolve(named("a")).unwrap_err();
        assert!(
            error.contains("contexts.toml [context.a.properties]: sasl.password is set and security.protocol is not"),
            "{error}"
        );
    }
}
