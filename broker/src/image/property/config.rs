//! The properties of one node: its server.properties and overrides, checked, with typed getters.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::listener::{Listener, Protocols, listener_property, listeners};
use super::{Invalid, Property, broker, broker_property, items, nearest};
use crate::id::NodeId;
use crate::image::Image;
use crate::record::Compression;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Broker,
    Controller,
}

/// One node's static properties, checked.
#[derive(Clone)]
pub struct Config {
    properties: BTreeMap<String, String>,
    warnings: Vec<String>,
    node: NodeId,
    role: Role,
    listeners: Vec<Listener>,
    advertised: Vec<Listener>,
    pub(super) protocols: Protocols,
    controller: (Option<NodeId>, String),
}

/// The effective configs of one topic.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicSettings {
    pub min_insync_replicas: usize,
    /// `None` is for ever.
    pub retention_ms: Option<i64>,
    /// `None` is no limit.
    pub retention_bytes: Option<i64>,
    pub segment_bytes: u32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub segment_index_bytes: u32,
    pub preallocate: bool,
    /// `compression.type` with its level; `None` is `producer`.
    pub compression: Option<(Compression, Option<i32>)>,
    pub index_interval_bytes: u32,
    pub max_message_bytes: u32,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub file_delete_delay_ms: i64,
    /// A broker's property, the same for all topics.
    pub producer_id_expiration_ms: i64,
    /// `message.timestamp.type=LogAppendTime`.
    pub log_append_time: bool,
    pub timestamp_before_max_ms: i64,
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` holds `compact`: records need keys.
    pub compact: bool,
    pub delete_retention_ms: i64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub min_cleanable_dirty_ppm: u32,
    /// `cleanup.policy` holds `delete`: retention applies.
    pub delete: bool,
    /// Replicas throttled at their leader, as `partition:broker,…` or `*`.
    pub leader_throttled_replicas: String,
    /// Replicas throttled at themselves, as `partition:broker,…` or `*`.
    pub follower_throttled_replicas: String,
}

impl Config {
    /// From the text of a server.properties file and `key=value` overrides, which win.
    ///
    /// A bad value is an error; an unknown name, or a property without effect here, is a warning.
    pub fn parse(text: &str, overrides: &[(String, String)]) -> Result<Self, Invalid> {
        let mut properties = read(text);
        properties.extend(
            overrides
                .iter()
                .map(|(key, value)| (key.clone(), value.trim().to_owned())),
        );
        if let Some(id) = properties.get("broker.id").cloned() {
            properties.entry("node.id".to_owned()).or_insert(id);
        }
        let mut warnings = check_all(&properties)?;
        let get = |key: &str| properties.get(key).map(String::as_str);

        let node = NodeId(required(get("node.id"), "node.id", "the node's own number, 0 or more")?);
        let role = role(get("process.roles").unwrap_or_default())?;
        check_authorizer(&properties)?;
        let protocols = Protocols::parse(get("listener.security.protocol.map"), get("controller.listener.names"))?;
        let controller = controller(&properties)?;
        let listeners = listeners("listeners", get("listeners").unwrap_or("PLAINTEXT://:9092"), &protocols)?;
        let advertised = match get("advertised.listeners") {
            Some(text) => super::listener::listeners("advertised.listeners", text, &protocols)?,
            None => listeners.iter().map(Listener::as_advertised).collect(),
        };
        warnings.extend(unheard(&properties, &listeners, get("controller.listener.names")));
        let config = Self {
            node,
            role,
            controller,
            advertised,
            listeners,
            protocols,
            warnings,
            properties,
        };
        config.check_listeners()?;
        config.check_protocols()?;
        Ok(config)
    }

    /// Things that are odd but no error, as sentences: unknown names, properties that have no effect here.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A property's text from the file or an override; `None` if it was left out.
    pub fn set(&self, key: &str) -> Option<&str> {
        self.properties.get(key).map(String::as_str)
    }

    /// The names of all properties from the file and the overrides.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.properties.keys().map(String::as_str)
    }

    pub fn node_id(&self) -> NodeId {
        self.node
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// Where the node listens.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// Where others reach it, by the same names.
    pub fn advertised_listeners(&self) -> &[Listener] {
        &self.advertised
    }

    /// `host:port` of the controller.
    pub fn controller_address(&self) -> &str {
        &self.controller.1
    }

    /// The controller's id, if `controller.quorum.voters` tells it.
    pub fn controller_id(&self) -> Option<NodeId> {
        self.controller.0
    }

    /// The listener brokers use among themselves: the one that is named, or the one that has the name of
    /// `security.inter.broker.protocol`, or the first.
    pub fn inter_broker_listener(&self) -> &str {
        self.set("inter.broker.listener.name")
            .or_else(|| self.set("security.inter.broker.protocol"))
            .or_else(|| self.advertised.first().map(|listener| listener.name.as_str()))
            .unwrap_or("PLAINTEXT")
    }

    /// The name of the controller's listener.
    pub fn controller_listener(&self) -> &str {
        self.set("controller.listener.names")
            .and_then(|names| items(names).next())
            .unwrap_or("CONTROLLER")
    }

    /// The folders partitions are kept in; never empty.
    pub fn log_dirs(&self) -> Vec<PathBuf> {
        let dirs = self.set("log.dirs").or_else(|| self.set("log.dir"));
        items(dirs.unwrap_or("/tmp/kafka-logs")).map(PathBuf::from).collect()
    }

    /// The folder the controller keeps its log in.
    pub fn metadata_dir(&self) -> PathBuf {
        match self.set("metadata.log.dir") {
            Some(dir) => PathBuf::from(dir),
            None => self.log_dirs().swap_remove(0),
        }
    }

    /// Whether `authorizer.class.name` asks for the standard authorizer, the only one there is.
    pub fn has_authorizer(&self) -> bool {
        self.set("authorizer.class.name")
            .is_some_and(|name| !name.trim().is_empty())
    }

    /// `super.users`, each as its type and its name.
    pub fn super_users(&self) -> Vec<(String, String)> {
        let users = principals(self.set("super.users").unwrap_or_default());
        users
            .filter_map(Result::ok)
            .map(|(kind, name)| (kind.to_owned(), name.to_owned()))
            .collect()
    }

    pub fn rack(&self) -> Option<&str> {
        self.set("broker.rack").filter(|rack| !rack.is_empty())
    }

    /// A whole number of the table; values were checked by `parse`.
    pub fn int(&self, key: &str) -> i64 {
        self.set(key)
            .or_else(|| default_of(key))
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0)
    }

    /// A property's text; empty if it is not set.
    pub fn text(&self, key: &str) -> &str {
        self.set(key).or_else(|| default_of(key)).unwrap_or_default().trim()
    }

    /// A list's items.
    pub fn list(&self, key: &str) -> Vec<&str> {
        items(self.text(key)).collect()
    }

    /// A count or a size that cannot be negative.
    pub fn size(&self, key: &str) -> usize {
        usize::try_from(self.int(key)).unwrap_or(0)
    }

    /// A property in milliseconds.
    pub fn millis(&self, key: &str) -> Duration {
        Duration::from_millis(u64::try_from(self.int(key)).unwrap_or(0))
    }

    pub fn boolean(&self, key: &str) -> bool {
        self.set(key)
            .or_else(|| default_of(key))
            .is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }

    /// The effective configs of one topic.
    pub fn topic(&self, image: &Image, name: &str) -> TopicSettings {
        let text = |key: &str| self.topic_value(image, name, key).unwrap_or_default();
        let long = |key: &str| text(key).trim().parse::<i64>().unwrap_or(0);
        let int = |key: &str| u32::try_from(long(key)).unwrap_or(u32::MAX);
        let policy = text("cleanup.policy");
        TopicSettings {
            min_insync_replicas: usize::try_from(long("min.insync.replicas")).unwrap_or(1).max(1),
            retention_ms: Some(long("retention.ms")).filter(|ms| *ms >= 0),
            retention_bytes: Some(long("retention.bytes")).filter(|bytes| *bytes >= 0),
            segment_bytes: int("segment.bytes"),
            segment_ms: long("segment.ms"),
            segment_jitter_ms: long("segment.jitter.ms"),
            segment_index_bytes: int("segment.index.bytes"),
            preallocate: text("preallocate").trim().eq_ignore_ascii_case("true"),
            compression: match text("compression.type").trim() {
                "uncompressed" => Some((Compression::None, None)),
                "gzip" => {
                    let level = long("compression.gzip.level");
                    Some((Compression::Gzip, i32::try_from(level).ok().filter(|level| *level > 0)))
                }
                "snappy" => Some((Compression::Snappy, None)),
                "lz4" => Some((Compression::Lz4, None)),
                "zstd" => Some((Compression::Zstd, i32::try_from(long("compression.zstd.level")).ok())),
                _ => None,
            },
            index_interval_bytes: int("index.interval.bytes"),
            max_message_bytes: int("max.message.bytes"),
            flush_messages: long("flush.messages"),
            flush_ms: long("flush.ms"),
            file_delete_delay_ms: long("file.delete.delay.ms"),
            producer_id_expiration_ms: self
                .value(image, "producer.id.expiration.ms")
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or_else(|| self.int("producer.id.expiration.ms")),
            log_append_time: text("message.timestamp.type") == "LogAppendTime",
            timestamp_before_max_ms: long("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: long("message.timestamp.after.max.ms"),
            compact: items(&policy).any(|item| item == "compact"),
            delete_retention_ms: long("delete.retention.ms"),
            min_compaction_lag_ms: long("min.compaction.lag.ms"),
            max_compaction_lag_ms: long("max.compaction.lag.ms"),
            min_cleanable_dirty_ppm: millionths(&text("min.cleanable.dirty.ratio")),
            delete: items(&policy).any(|item| item == "delete"),
            leader_throttled_replicas: text("leader.replication.throttled.replicas"),
            follower_throttled_replicas: text("follower.replication.throttled.replicas"),
        }
    }

    fn check_listeners(&self) -> Result<(), Invalid> {
        let controller = self.controller_listener();
        let named = |list: &[Listener], name: &str| list.iter().any(|listener| listener.name == name);
        match self.role {
            Role::Controller if !named(&self.listeners, controller) => Err(Invalid(format!(
                "A controller needs a listener named {controller} (controller.listener.names) in listeners, \
                 for example listeners={controller}://127.0.0.1:9093."
            ))),
            Role::Broker if named(&self.listeners, controller) => Err(Invalid(format!(
                "The listener {controller} is the controller's (controller.listener.names); a broker cannot have it in listeners."
            ))),
            Role::Broker if !named(&self.advertised, self.inter_broker_listener()) => {
                let key = match self.set("inter.broker.listener.name") {
                    Some(_) => "inter.broker.listener.name",
                    None => "security.inter.broker.protocol",
                };
                Err(Invalid(format!(
                    "{key} is {}, which is not in advertised.listeners; other brokers could not reach this one.",
                    self.inter_broker_listener()
                )))
            }
            _ => Ok(()),
        }
    }

    fn check_protocols(&self) -> Result<(), Invalid> {
        if self.set("inter.broker.listener.name").is_some() && self.set("security.inter.broker.protocol").is_some() {
            return Err(Invalid(
                "inter.broker.listener.name and security.inter.broker.protocol are both set; only one of them can say \
                 how brokers reach each other."
                    .to_owned(),
            ));
        }
        self.protocols
            .of(self.controller_listener(), "controller.listener.names")?;
        Ok(())
    }
}

/// Without the values of secrets, and of what may be one.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.properties.iter().map(|(key, value)| {
            let property = broker_property(key).or_else(|| listener_property(key).map(|(_, property)| property));
            let open = property.is_some_and(|property| !property.is_sensitive());
            (key, if open { value.as_str() } else { "[hidden]" })
        });
        f.debug_map().entries(shown).finish()
    }
}

/// A share between 0 and 1, checked when it was set.
fn millionths(text: &str) -> u32 {
    let share = text.trim().parse::<f64>().unwrap_or(0.5);
    (share.clamp(0.0, 1.0) * 1e6) as u32
}

/// Java's properties format, without Unicode escapes: `key=value` or `key: value`, `#` and `!` comments,
/// a backslash at the end continues a line, and one elsewhere takes the next character as it is, or as a line break or tab.
fn read(text: &str) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.starts_with(['#', '!']) {
            continue;
        }
        while continues(&line) {
            line.pop();
            line.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let (key, value) = line.split_once(['=', ':']).unwrap_or((&line, ""));
        if !key.trim().is_empty() {
            properties.insert(key.trim().to_owned(), unescaped(value.trim()));
        }
    }
    properties
}

/// Whether a line ends with a backslash that no other one escapes.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value.chars();
    while let Some(char) = rest.next() {
        match char {
            '\\' => text.extend(rest.next().map(|next| match next {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                next => next,
            })),
            char => text.push(char),
        }
    }
    text
}

/// A value as a server.properties file has to hold it to be read as it is.
pub fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

/// Checks each value; returns the warnings.
fn check_all(properties: &BTreeMap<String, String>) -> Result<Vec<String>, Invalid> {
    let mut warnings = Vec::new();
    for (key, value) in properties {
        if key.starts_with("listener.name.") {
            match listener_property(key) {
                Some((_, property)) => warnings.extend(checked(key, value, property)?),
                None => warnings.push(format!(
                    "{key} is ignored: it is no property that a listener has for itself."
                )),
            }
            continue;
        }
        let Some(property) = broker_property(key) else {
            let near = nearest(key, broker::TABLE).map(|near| format!("; did you mean {near}?"));
            warnings.push(format!(
                "Unknown property {key} is ignored{}",
                near.unwrap_or_else(|| ".".to_owned())
            ));
            continue;
        };
        warnings.extend(checked(key, value, property)?);
    }
    Ok(warnings)
}

/// Checks one value; returns what is odd about it.
fn checked(key: &str, value: &str, property: &'static Property) -> Result<Option<String>, Invalid> {
    property.check(value)?;
    let Some(why) = property.fixed.filter(|_| Some(value) != property.default) else {
        return Ok(None);
    };
    let shown = if property.is_sensitive() { "[hidden]" } else { value };
    Ok(Some(format!("{key}={shown} has no effect: {why}")))
}

/// The properties for a listener that is not there.
fn unheard(properties: &BTreeMap<String, String>, listeners: &[Listener], controllers: Option<&str>) -> Vec<String> {
    let known = |name: &str| {
        let of_controllers = items(controllers.unwrap_or("CONTROLLER"));
        let mut names = listeners
            .iter()
            .map(|listener| listener.name.as_str())
            .chain(of_controllers);
        names.any(|known| known.to_lowercase() == name)
    };
    properties
        .keys()
        .filter_map(|key| Some((key, listener_property(key)?.0)))
        .filter(|(_, name)| !known(name))
        .map(|(key, name)| format!("{key} is ignored: no listener is named {name}."))
        .collect()
}

fn default_of(key: &str) -> Option<&'static str> {
    broker_property(key).and_then(|property| property.default)
}

fn required(value: Option<&str>, key: &str, what: &str) -> Result<i32, Invalid> {
    value
        .and_then(|text| text.parse().ok())
        .filter(|id| *id >= 0)
        .ok_or_else(|| Invalid(format!("{key} is not set; it must be {what}.")))
}

fn role(text: &str) -> Result<Role, Invalid> {
    match items(text).collect::<Vec<_>>().as_slice() {
        ["broker"] => Ok(Role::Broker),
        ["controller"] => Ok(Role::Controller),
        [] => Err(Invalid(
            "process.roles is not set; it must be broker or controller.".to_owned(),
        )),
        _ => Err(Invalid(format!(
            "process.roles={text} is not supported: the controller is a node of its own. \
             Run one node with process.roles=controller and the others with process.roles=broker."
        ))),
    }
}

/// The controller's id and address.
fn controller(properties: &BTreeMap<String, String>) -> Result<(Option<NodeId>, String), Invalid> {
    let list = |key: &str| properties.get(key).map(String::as_str).filter(|text| !text.is_empty());
    let (key, text) = match (
        list("controller.quorum.voters"),
        list("controller.quorum.bootstrap.servers"),
    ) {
        (Some(text), _) => ("controller.quorum.voters", text),
        (None, Some(text)) => ("controller.quorum.bootstrap.servers", text),
        (None, None) => {
            return Err(Invalid(
                "Neither controller.quorum.voters nor controller.quorum.bootstrap.servers is set; \
                 the node needs to know its controller, for example controller.quorum.voters=0@127.0.0.1:9093."
                    .to_owned(),
            ));
        }
    };
    let entries: Vec<&str> = items(text).collect();
    let [entry] = entries.as_slice() else {
        return Err(Invalid(format!(
            "{key} names {} controllers, and one is the limit: the metadata log has a single voter. \
             For a cluster that must survive the loss of its controller's host run Apache Kafka.",
            entries.len()
        )));
    };
    let bad = || {
        Invalid(format!(
            "Invalid value {text} for configuration {key}: must be id@host:port or host:port."
        ))
    };
    let (id, address) = match entry.split_once('@') {
        Some((id, address)) => (Some(NodeId(id.parse().map_err(|_| bad())?)), address),
        None if key == "controller.quorum.voters" => return Err(bad()),
        None => (None, *entry),
    };
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    port.map(|_| (id, address.to_owned())).ok_or_else(bad)
}

/// Kafka's own authorizer, whose rules are followed here.
const STANDARD_AUTHORIZER: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";

/// `authorizer.class.name` and `super.users`.
fn check_authorizer(properties: &BTreeMap<String, String>) -> Result<(), Invalid> {
    let get = |key: &str| properties.get(key).map(|value| value.trim()).unwrap_or_default();
    let class = get("authorizer.class.name");
    if !(class.is_empty() || class == STANDARD_AUTHORIZER) {
        return Err(Invalid(format!(
            "Invalid value {class} for configuration authorizer.class.name: must be {STANDARD_AUTHORIZER}, \
             or empty for no authorizer; other classes cannot be loaded."
        )));
    }
    match principals(get("super.users")).find_map(Result::err) {
        Some(bad) => Err(Invalid(format!(
            "Invalid value {bad} for configuration super.users: must be principals like User:admin, \
             separated by semicolons."
        ))),
        None => Ok(()),
    }
}

/// The principals of a list with semicolons; or what is none.
fn principals(list: &str) -> impl Iterator<Item = Result<(&str, &str), &str>> {
    let texts = list.split(';').map(str::trim).filter(|text| !text.is_empty());
    texts.map(|text| match text.split_once(':') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() => Ok((kind, name)),
        _ => Err(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROKER: &str = "# a broker\nprocess.roles=broker\nnode.id=3\nbroker.rack=euw1-az1\n\
        listeners=PLAINTEXT://127.0.0.1:9092\ncontroller.quorum.voters=0@127.0.0.1:9093\n\
        controller.listener.names=CONTROLLER\nlog.dirs=/data/a, \\\n  /data/b\n";

    fn parse(extra: &[(&str, &str)]) -> Result<Config, Invalid> {
        let pairs: Vec<_> = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::parse(BROKER, &pairs)
    }

    #[test]
    fn a_server_properties_file_reads_as_kafka_reads_it() {
        let config = parse(&[("num.partitions", "4")]).unwrap();
        assert_eq!((config.node_id(), config.role()), (NodeId(3), Role::Broker));
        assert_eq!(config.rack(), Some("euw1-az1"));
        assert_eq!(config.log_dirs(), [PathBuf::from("/data/a"), PathBuf::from("/data/b")]);
        assert_eq!(
            (config.controller_id(), config.controller_address()),
            (Some(NodeId(0)), "127.0.0.1:9093")
        );
        assert_eq!(config.int("num.partitions"), 4);
        assert_eq!(config.millis("broker.session.timeout.ms"), Duration::from_secs(9));
        assert!(config.boolean("auto.create.topics.enable"));
        assert_eq!(config.inter_broker_listener(), "PLAINTEXT");
        assert_eq!(config.warnings(), &[] as &[String]);
    }

    #[test]
    fn values_are_escaped_as_in_java_and_secrets_are_not_shown() {
        let value = "-----BEGIN X-----\nC:\\a\\\nlast\\";
        let text = format!("{BROKER}ssl.keystore.key={}\nnum.partitions=4\n", escaped(value));
        let config = Config::parse(&text, &[]).unwrap();
        assert_eq!(config.set("ssl.keystore.key"), Some(value));
        assert_eq!(config.int("num.partitions"), 4);
        let shown = format!("{config:?}");
        assert!(shown.contains("num.partitions") && !shown.contains("BEGIN"), "{shown}");
    }

    #[test]
    fn more_than_one_voter_is_refused_with_the_limit() {
        let error = parse(&[("controller.quorum.voters", "0@a:1,1@b:1,2@c:1")])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("controller.quorum.voters names 3 controllers, and one is the limit"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_property_is_a_warning_with_the_nearest_name() {
        let config = parse(&[("num.partition", "4"), ("ssl.protocol", "TLSv1.2")]).unwrap();
        assert_eq!(
            config.warnings(),
            [
                "Unknown property num.partition is ignored; did you mean num.partitions?",
                "ssl.protocol=TLSv1.2 has no effect: ssl.enabled.protocols says which versions are spoken.",
            ]
        );
    }

    #[test]
    fn bad_values_name_key_value_and_range() {
        let error = parse(&[("num.partitions", "0")]).unwrap_err().to_string();
        assert_eq!(
            error,
            "Invalid value 0 for configuration num.partitions: must be a whole number between 1 and 2147483647."
        );
        for (key, value) in [
            ("process.roles", "broker,controller"),
            ("listeners", "PLAINTEXT:9092"),
            ("listeners", "A://h:1,A://h:2"),
            ("listener.security.protocol.map", "PLAINTEXT:TLS"),
            ("inter.broker.listener.name", "INTERNAL"),
            ("controller.quorum.voters", "127.0.0.1:9093"),
            ("node.id", "-2"),
        ] {
            let error = parse(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(key), "{key}={value}: {error}");
        }
    }

    #[test]
    fn a_topic_gets_typed_settings() {
        let settings = parse(&[("log.retention.ms", "-1")])
            .unwrap()
            .topic(&Image::empty(), "orders");
        assert_eq!(settings.retention_ms, None);
        assert_eq!(settings.min_insync_replicas, 1);
        assert_eq!(settings.segment_bytes, 1 << 30);
        assert!(settings.delete && !settings.compact);
    }

    #[test]
    fn only_the_standard_authorizer_is_taken_and_super_users_are_principals() {
        let config = parse(&[]).unwrap();
        assert!(!config.has_authorizer() && config.super_users().is_empty());
        let users = "User:admin; User:CN=broker 1,O=x;Service:a:b;";
        let config = parse(&[("authorizer.class.name", STANDARD_AUTHORIZER), ("super.users", users)]).unwrap();
        assert!(config.has_authorizer());
        let expected = [("User", "admin"), ("User", "CN=broker 1,O=x"), ("Service", "a:b")];
        assert_eq!(
            config.super_users(),
            expected.map(|(kind, name)| (kind.to_owned(), name.to_owned()))
        );
        let error = parse(&[("authorizer.class.name", "kafka.security.authorizer.AclAuthorizer")]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("Invalid value kafka.security.authorizer.AclAuthorizer for"),
            "{error}"
        );
        let error = parse(&[("super.users", "User:a;admin")]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("Invalid value admin for configuration super.users"),
            "{error}"
        );
    }
}
