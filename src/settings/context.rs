//! Contexts: the clusters an operator works with, from `contexts.toml` in the config folder.
//!
//! A context is read-only until it says `changes = true`, and its class is `prod` unless it says otherwise:
//! what is not stated is the careful choice.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, de};

use super::driver::Drivers;
use super::properties::Connection;
use super::secret::{Program, Secret};
use super::{Error, file};
use crate::model::BrokerId;

/// How careful to be with a cluster.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Class {
    Dev,
    Staging,
    #[default]
    Prod,
}

/// One cluster to talk to, with everything that decides how: read from files, or given on the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct Context {
    /// As in the file; for `--bootstrap` without a context it is the bootstrap list itself.
    pub name: String,
    /// The file it was read from; `None` when it was given on the command line alone.
    pub file: Option<PathBuf>,
    /// `host:port`, at least one.
    pub bootstrap: Vec<String>,
    pub class: Class,
    /// False is read-only.
    pub changes: bool,
    /// Every plan needs `--reason`.
    pub reason: bool,
    /// How to connect, for both clients.
    pub connection: Connection,
    /// Set by hand in the file; outranks the id pinned at first connect.
    pub cluster_id: Option<String>,
    pub aws: Option<Aws>,
    pub prometheus: Option<Endpoints>,
    /// A topic with one partition led by each broker, for write probes.
    pub probe_topic: Option<String>,
    /// Whether history goes to the state folder.
    pub record: bool,
    /// Who is told when an operation needs a person.
    pub notify: Option<Notify>,
    /// How brokers are restarted, stopped and started.
    pub driver: Option<Drivers>,
}

/// A command that gets one JSON object on stdin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// A line for the shell, or a program with its arguments.
    pub command: Program,
}

/// Where the AWS facts come from, and what cannot be found out by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// For an emulator or an interface endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// Assumed before anything is asked, for brokers in another account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// Set by `azimuth demo`: the facts are labelled as simulated wherever they show.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
    /// Only instances with all these tags are looked at, for accounts with several clusters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Only instances of this VPC are looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc: Option<String>,
    /// Broker to instance id, where address and tags do not tell.
    #[serde(default, deserialize_with = "broker_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub brokers: BTreeMap<BrokerId, String>,
}

/// The file as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    #[serde(default)]
    pub context: BTreeMap<String, Entry>,
}

/// One `[context.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// A list, or one string with commas.
    #[serde(deserialize_with = "addresses")]
    pub bootstrap: Vec<String>,
    #[serde(default)]
    pub class: Class,
    #[serde(default)]
    pub changes: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub reason: bool,
    /// A Java client properties file; a relative path counts from the folder of the context file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_config: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_topic: Option<String>,
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub record: bool,
    /// Client properties, Java's or librdkafka's names. Secrets may be elsewhere: `{ file = … }`, `{ env = … }`,
    /// `{ command = … }`; a relative path counts from the folder of the context file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws: Option<Aws>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Endpoints>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Drivers>,
}

/// Where brokers can be scraped, in Prometheus' text format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// Of every broker; `{host}` stands for its advertised host. Several, for the broker and for its host, are joined.
    #[serde(default, skip_serializing_if = "Urls::is_empty")]
    pub url: Urls,
    /// Of single brokers, instead of those above.
    #[serde(default, deserialize_with = "broker_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub brokers: BTreeMap<BrokerId, Urls>,
}

/// A list, or one text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMore")]
pub struct Urls(pub Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl From<OneOrMore> for Urls {
    fn from(given: OneOrMore) -> Self {
        match given {
            OneOrMore::One(url) => Self(vec![url]),
            OneOrMore::More(urls) => Self(urls),
        }
    }
}

impl Urls {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Contexts {
    /// The contexts of a file; none when there is no such file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        file::read(path)?.map_or_else(|| Ok(Self::default()), |text| file::parse(path, &text))
    }

    /// The file's text for these contexts.
    pub fn print(&self) -> Result<String, Error> {
        toml::to_string(self).map_err(|error| Error::Usage(format!("cannot write the contexts as TOML: {error}")))
    }

    /// Adds one context at the end of a file and leaves every other byte of it alone. The file gets mode 0600.
    pub fn append(path: &Path, name: &str, entry: Entry) -> Result<(), Error> {
        let text = file::read(path)?.unwrap_or_default();
        let known: Self = file::parse(path, &text)?;
        if known.context.contains_key(name) {
            return Err(Error::Usage(format!(
                "context {name} is already in {}; edit it there, or choose another name",
                path.display()
            )));
        }
        let added = Self {
            context: BTreeMap::from([(name.to_owned(), entry)]),
        };
        let gap = if text.is_empty() || text.ends_with("\n\n") {
            ""
        } else {
            "\n"
        };
        file::write_private(path, &format!("{text}{gap}{}", added.print()?))
    }
}

/// Checks one `host:port` of a bootstrap list.
pub fn address(text: &str) -> Result<String, String> {
    let text = text.trim();
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(port) if port > 0 => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` is not a broker address; write HOST:PORT, for example broker-1:9092"
        )),
    }
}

/// Checks a bootstrap list with commas.
pub fn address_list(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(address).collect()
}

fn is_false(flag: &bool) -> bool {
    !flag
}

fn yes() -> bool {
    true
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("\"HOST:PORT,HOST:PORT\" or a list of them")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            address_list(text).map_err(E::custom)
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(text) = seq.next_element::<String>()? {
                list.push(address(&text).map_err(de::Error::custom)?);
            }
            if list.is_empty() {
                return Err(de::Error::custom("bootstrap is empty; name at least one HOST:PORT"));
            }
            Ok(list)
        }
    }
    deserializer.deserialize_any(Visitor)
}

/// TOML has only text as keys.
fn broker_map<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<BrokerId, T>, D::Error> {
    let table = BTreeMap::<String, T>::deserialize(deserializer)?;
    let entries = table.into_iter().map(|(id, value)| match id.parse() {
        Ok(id) => Ok((id, value)),
        Err(_) => Err(de::Error::custom(format!("`{id}` is not a broker id"))),
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Contexts, Error> {
        file::parse(Path::new("contexts.toml"), text)
    }

    #[test]
    fn what_is_not_stated_is_the_careful_choice() {
        let contexts = parse("[context.prod-eu]\nbootstrap = \"b1:9092, b2:9092\"\n").unwrap();
        let entry = &contexts.context["prod-eu"];
        assert_eq!(entry.class, Class::Prod);
        assert!(!entry.changes);
        assert!(entry.record);
        assert_eq!(entry.bootstrap, ["b1:9092", "b2:9092"]);
    }

    #[test]
    fn a_full_context_survives_printing() {
        let text = r#"
[context.dev]
bootstrap = ["127.0.1.10:19092"]
class = "dev"
changes = true
cluster_id = "abc"
probe_topic = "probe"
record = false
properties = { "client.id" = "me", "socket.timeout.ms" = 5000, "sasl.password" = { command = ["pass", "kafka"] } }
[context.dev.aws]
region = "eu-west-1"
endpoint_url = "http://127.0.0.1:5000"
simulated = true
brokers = { 4 = "i-0c" }
[context.dev.prometheus]
url = "http://{host}:9404/metrics"
brokers = { 4 = ["http://b4:9404/metrics", "http://b4:9100/metrics"] }
[context.dev.notify]
command = ["/usr/local/bin/page", "--team", "kafka"]
[context.dev.driver]
soak = "30s"
[context.dev.driver.command]
run = ["kafkactl", "{action}", "{broker}"]
environment = { TOKEN = { file = "token" } }
[context.dev.driver.ssh]
run = "sudo systemctl {action} kafka"
"#;
        let contexts = parse(text).unwrap();
        let prometheus = contexts.context["dev"].prometheus.as_ref().unwrap();
        assert_eq!(prometheus.url.0, ["http://{host}:9404/metrics"]);
        assert_eq!(prometheus.brokers[&4].0.len(), 2);
        let properties = &contexts.context["dev"].properties;
        assert_eq!(properties["socket.timeout.ms"], Secret::text("5000"));
        assert_eq!(format!("{:?}", properties["sasl.password"]), "the command pass");
        assert_eq!(parse(&contexts.print().unwrap()).unwrap(), contexts);
    }

    #[test]
    fn faults_name_the_line() {
        let cases = [
            (
                "[context.a]\nbootstrap = \"b1\"\n",
                "contexts.toml:2: `b1` is not a broker address",
            ),
            ("[context.a]\nbootstrap = []\n", "contexts.toml:2: bootstrap is empty"),
            (
                "[context.a]\nbootstrap = \"b:1\"\nclas = \"dev\"\n",
                "contexts.toml:3: unknown name `clas`; did you mean `class`?",
            ),
            (
                "[context.a]\nbootstrap = \"b:1\"\nclass = \"test\"\n",
                "contexts.toml:3: unknown name `test`; known are dev, staging, prod",
            ),
            (
                "[contexts.a]\n",
                "contexts.toml:1: unknown name `contexts`; did you mean `context`?",
            ),
        ];
        for (text, wanted) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{text}\n{error}");
        }
    }

    #[test]
    fn adding_keeps_comments_and_refuses_a_known_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contexts.toml");
        std::fs::write(&path, "# mine\n[context.a]\nbootstrap = \"b:1\" # here\n").unwrap();
        let entry = Entry {
            bootstrap: vec!["c:2".to_owned()],
            record: true,
            ..Entry::default()
        };
        Contexts::append(&path, "b.c", entry.clone()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("# mine\n[context.a]\nbootstrap = \"b:1\" # here\n\n[context.\"b.c\"]\n"),
            "{text}"
        );
        assert_eq!(Contexts::load(&path).unwrap().context["b.c"], entry);
        assert!(Contexts::append(&path, "a", entry).is_err());
    }
}
