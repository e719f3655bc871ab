//! Listeners: their names, addresses and security protocols, and the properties that one listener has for itself.
//!
//! `listener.name.<name in small letters>.<property>` wins over `<property>` for that listener (KIP-103). For SASL the
//! property may begin with a mechanism: `listener.name.clients.scram-sha-256.sasl.jaas.config` (KIP-85).

use std::collections::BTreeMap;
use std::fmt;

use super::{Config, Invalid, Property, Source, broker_property, items};
use crate::image::Image;

/// What a property of one listener begins with.
const PREFIX: &str = "listener.name.";

/// The SASL mechanisms as they stand in names of properties.
const MECHANISMS: [&str; 4] = ["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"];

/// What connections of a listener are wrapped in, and whether clients say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

/// One entry of `listeners` or `advertised.listeners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub name: String,
    /// Empty is every address.
    pub host: String,
    pub port: u16,
    pub protocol: Protocol,
}

impl Protocol {
    const ALL: [Self; 4] = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

    /// Kafka's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// Kafka's number of it, which brokers register with.
    pub fn code(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }

    /// Whether connections are encrypted.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether clients authenticate with SASL.
    pub fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Listener {
    /// An address that others can connect to, for a listener on every address.
    pub(super) fn as_advertised(&self) -> Self {
        let everywhere = self.host.is_empty() || self.host == "0.0.0.0" || self.host == "::";
        Self {
            // Not `localhost`: clients that try ::1 first would wait for a refusal.
            host: if everywhere {
                "127.0.0.1".to_owned()
            } else {
                self.host.clone()
            },
            ..self.clone()
        }
    }
}

/// The security protocol of each listener name.
#[derive(Debug, Clone)]
pub(super) struct Protocols(BTreeMap<String, Protocol>);

impl Protocols {
    /// Without `listener.security.protocol.map` a listener has the name of its protocol, and the controller's listeners
    /// are plaintext (KIP-631).
    pub fn parse(map: Option<&str>, controllers: Option<&str>) -> Result<Self, Invalid> {
        let Some(map) = map else {
            let own = |name: &'static str| Some((name.to_owned(), Protocol::parse(name)?));
            let mut protocols: BTreeMap<_, _> = Protocol::ALL
                .iter()
                .filter_map(|protocol| own(protocol.name()))
                .collect();
            for name in items(controllers.unwrap_or("CONTROLLER")) {
                protocols.entry(name.to_owned()).or_insert(Protocol::Plaintext);
            }
            return Ok(Self(protocols));
        };
        let mut protocols = BTreeMap::new();
        for item in items(map) {
            let entry = item.split_once(':').and_then(|(name, protocol)| {
                let name = Some(name.trim()).filter(|name| !name.is_empty())?;
                Some((name.to_owned(), Protocol::parse(protocol.trim())?))
            });
            let Some((name, protocol)) = entry else {
                return Err(Invalid(format!(
                    "Invalid value {item} for configuration listener.security.protocol.map: must be NAME:PROTOCOL \
                     with one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL."
                )));
            };
            if protocols.insert(name.clone(), protocol).is_some() {
                return Err(Invalid(format!(
                    "listener.security.protocol.map names the listener {name} twice."
                )));
            }
        }
        Ok(Self(protocols))
    }

    /// The protocol of a listener that `key` names.
    pub fn of(&self, listener: &str, key: &str) -> Result<Protocol, Invalid> {
        self.0.get(listener).copied().ok_or_else(|| {
            Invalid(format!(
                "{key} names the listener {listener}, which has no security protocol; \
                 add {listener}:PLAINTEXT or another protocol to listener.security.protocol.map."
            ))
        })
    }

    pub fn get(&self, listener: &str) -> Option<Protocol> {
        self.0.get(listener).copied()
    }
}

/// The listeners that the property `key` holds.
pub(super) fn listeners(key: &str, text: &str, protocols: &Protocols) -> Result<Vec<Listener>, Invalid> {
    let mut found: Vec<Listener> = Vec::new();
    for item in items(text) {
        let (name, host, port) = listener(item).ok_or_else(|| {
            Invalid(format!(
                "Invalid value {item} for configuration {key}: must be NAME://host:port."
            ))
        })?;
        if found.iter().any(|other| other.name == name) {
            return Err(Invalid(format!(
                "{key} has two listeners named {name}; each needs its own name."
            )));
        }
        let protocol = protocols.of(&name, key)?;
        found.push(Listener {
            name,
            host,
            port,
            protocol,
        });
    }
    if found.is_empty() {
        return Err(Invalid(format!(
            "{key} is empty; it must hold at least one NAME://host:port."
        )));
    }
    Ok(found)
}

fn listener(item: &str) -> Option<(String, String, u16)> {
    let (name, address) = item.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    Some((
        Some(name).filter(|name| !name.is_empty())?.to_owned(),
        host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port.parse().ok()?,
    ))
}

/// A property's full name for one listener.
pub fn listener_key(listener: &str, key: &str) -> String {
    format!("{PREFIX}{}.{key}", listener.to_lowercase())
}

/// What `listener.name.<name>.<property>` is about: the listener's name in small letters, and the property's row.
/// `None` for other names, and for properties that no listener has for itself.
pub fn listener_property(name: &str) -> Option<(&str, &'static Property)> {
    let (listener, key) = name.strip_prefix(PREFIX)?.split_once('.')?;
    let of_mechanism = || {
        let (mechanism, key) = key.split_once('.')?;
        let is_known = MECHANISMS.contains(&mechanism);
        let is_sasl = key.starts_with("sasl.") || key == "connections.max.reauth.ms";
        (is_known && is_sasl).then(|| broker_property(key))?
    };
    let property = broker_property(key).or_else(of_mechanism)?;
    is_per_listener(property.name).then_some((listener, property))
}

fn is_per_listener(key: &str) -> bool {
    key.starts_with("ssl.")
        || key.starts_with("sasl.")
        || matches!(
            key,
            "connections.max.reauth.ms" | "max.connections" | "max.connection.creation.rate"
        )
}

impl Config {
    /// A listener's security protocol. Names that no property mentions are plaintext.
    pub fn protocol(&self, listener: &str) -> Protocol {
        self.protocols.get(listener).unwrap_or(Protocol::Plaintext)
    }

    /// Whether any listener of the node shows a certificate.
    pub fn has_tls(&self) -> bool {
        self.listeners()
            .iter()
            .any(|listener| self.protocol(&listener.name).is_tls())
    }

    /// A property of one listener from the file or an override: its own, else the node's; `None` if neither is set.
    /// The key may begin with a SASL mechanism in small letters, then only the listener's own counts.
    pub fn of_listener(&self, listener: &str, key: &str) -> Option<&str> {
        self.set(&listener_key(listener, key)).or_else(|| self.set(key))
    }

    /// Like [`Config::of_listener`], with what was set while the node runs, which wins, and with the default.
    /// Kafka's order: the listener's own before the node's, each dynamic before static (KIP-226).
    pub fn listener_value(&self, image: &Image, listener: &str, key: &str) -> Option<String> {
        let own = listener_key(listener, key);
        let dynamic = self.dynamic(image, &own).map(|(value, _)| value);
        dynamic
            .or_else(|| self.set(&own))
            .map(str::to_owned)
            .or_else(|| self.value(image, key))
    }

    /// What was set while the node runs, for it or for all nodes.
    pub(super) fn dynamic<'a>(&self, image: &'a Image, key: &str) -> Option<(&'a str, Source)> {
        use crate::image::Resource;
        let own = Resource::Broker(self.node_id().to_string());
        let all = Resource::Broker(String::new());
        let set = |resource, source| Some((image.config(resource, key)?, source));
        set(&own, Source::DynamicBroker).or_else(|| set(&all, Source::DynamicDefaultBroker))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Record, Resource};

    const BROKER: &str = "process.roles=broker\nnode.id=3\ncontroller.quorum.voters=0@127.0.0.1:9093\n\
        controller.listener.names=CONTROLLER\nlisteners=CLIENTS://127.0.0.1:1,PEERS://127.0.0.1:2\n\
        listener.security.protocol.map=CLIENTS:PLAINTEXT,PEERS:PLAINTEXT,CONTROLLER:PLAINTEXT\n";

    fn parse(extra: &[(&str, &str)]) -> Result<Config, Invalid> {
        let pairs: Vec<_> = extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::parse(BROKER, &pairs)
    }

    #[test]
    fn a_listener_has_the_protocol_that_the_map_says() {
        let map = "CLIENTS:SASL_SSL,PEERS:ssl,CONTROLLER:SASL_PLAINTEXT,OTHER:PLAINTEXT";
        let protocols = Protocols::parse(Some(map), None).unwrap();
        let all = ["CLIENTS", "PEERS", "CONTROLLER", "OTHER"].map(|name| protocols.get(name).unwrap());
        assert_eq!(
            all,
            [
                Protocol::SaslSsl,
                Protocol::Ssl,
                Protocol::SaslPlaintext,
                Protocol::Plaintext
            ]
        );
        assert_eq!(all.map(Protocol::code), [3, 1, 2, 0]);
        for bad in ["CLIENTS", "CLIENTS:TLS", ":SSL", "A:SSL,A:PLAINTEXT"] {
            let error = Protocols::parse(Some(bad), None).unwrap_err().to_string();
            assert!(error.contains("listener.security.protocol.map"), "{bad}: {error}");
        }
    }

    #[test]
    fn without_a_map_names_are_protocols_and_the_controller_is_plaintext() {
        let protocols = Protocols::parse(None, Some("QUORUM")).unwrap();
        assert_eq!(protocols.get("SASL_SSL"), Some(Protocol::SaslSsl));
        assert_eq!(protocols.get("QUORUM"), Some(Protocol::Plaintext));
        let error = protocols.of("EXTERNAL", "listeners").unwrap_err().to_string();
        assert!(
            error.starts_with("listeners names the listener EXTERNAL, which has no security protocol"),
            "{error}"
        );
    }

    #[test]
    fn a_listeners_own_property_wins_and_a_dynamic_one_before_it() {
        let own = "listener.name.clients.max.connections";
        let config = parse(&[("max.connections", "7"), (own, "5")]).unwrap();
        assert_eq!(config.warnings(), &[] as &[String]);
        assert_eq!(config.of_listener("CLIENTS", "max.connections"), Some("5"));
        assert_eq!(config.of_listener("PEERS", "max.connections"), Some("7"));
        let mut image = Image::empty();
        let value = |image: &Image, listener: &str| config.listener_value(image, listener, "max.connections");
        assert_eq!(value(&image, "CLIENTS").as_deref(), Some("5"));
        let record = Record::Config {
            resource: Resource::Broker("3".to_owned()),
            key: own.to_owned(),
            value: Some("6".to_owned()),
        };
        image.apply(&record, 0, 1);
        assert_eq!(value(&image, "CLIENTS").as_deref(), Some("6"));
        assert_eq!(value(&image, "PEERS").as_deref(), Some("7"));
    }

    #[test]
    fn a_listeners_property_is_checked_like_the_nodes() {
        let error = parse(&[("listener.name.clients.max.connections", "-1")]).unwrap_err();
        assert!(error.to_string().contains("max.connections"), "{error}");
        let config = parse(&[("listener.name.client.max.connections", "1")]).unwrap();
        assert_eq!(
            config.warnings(),
            ["listener.name.client.max.connections is ignored: no listener is named client."]
        );
        let config = parse(&[("listener.name.clients.num.partitions", "1")]).unwrap();
        assert_eq!(
            config.warnings(),
            ["listener.name.clients.num.partitions is ignored: it is no property that a listener has for itself."]
        );
        assert_eq!(
            listener_property("listener.name.peers.scram-sha-256.sasl.enabled.mechanisms").map(|(name, _)| name),
            Some("peers")
        );
    }

    #[test]
    fn the_brokers_own_listener_is_named_or_found_by_protocol() {
        let config = parse(&[("inter.broker.listener.name", "PEERS")]).unwrap();
        assert_eq!(config.inter_broker_listener(), "PEERS");
        assert_eq!(parse(&[]).unwrap().inter_broker_listener(), "CLIENTS");
        let error = parse(&[
            ("inter.broker.listener.name", "PEERS"),
            ("security.inter.broker.protocol", "PLAINTEXT"),
        ]);
        assert!(error.unwrap_err().to_string().contains("only one of"));
        let error = parse(&[("security.inter.broker.protocol", "PLAINTEXT")]).unwrap_err();
        assert!(error.to_string().contains("security.inter.broker.protocol"), "{error}");
        let error = parse(&[("listener.security.protocol.map", "CLIENTS:PLAINTEXT,PEERS:PLAINTEXT")]).unwrap_err();
        assert!(error.to_string().contains("CONTROLLER"), "{error}");
    }
}
