//! Client quotas as the metadata log holds them: who they are for, and how much.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All quotas by entity; an entity without any is not in it.
pub type Quotas = BTreeMap<QuotaEntity, BTreeMap<String, f64>>;

/// `producer_byte_rate`: bytes of Produce requests for each second.
pub const PRODUCER_BYTE_RATE: &str = "producer_byte_rate";
/// `consumer_byte_rate`: bytes of Fetch answers for each second.
pub const CONSUMER_BYTE_RATE: &str = "consumer_byte_rate";
/// `request_percentage`: time spent on requests, in percent of one thread.
pub const REQUEST_PERCENTAGE: &str = "request_percentage";
/// `controller_mutation_rate`: partitions created and deleted for each second (KIP-599).
pub const CONTROLLER_MUTATION_RATE: &str = "controller_mutation_rate";
/// `connection_creation_rate`: connections accepted from one address for each second (KIP-612).
pub const CONNECTION_CREATION_RATE: &str = "connection_creation_rate";

/// Whom a quota is for: a user, a client id, both together, or an IP address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct QuotaEntity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<QuotaName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<QuotaName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<QuotaName>,
}

/// One name, or `<default>`: all that have no quota of their own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaName {
    Default,
    Named(String),
}

impl QuotaEntity {
    /// Its parts by the protocol's names for them, in Kafka's order; a name of `None` is the default.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        [("user", &self.user), ("client-id", &self.client_id), ("ip", &self.ip)]
            .into_iter()
            .filter_map(|(kind, name)| Some((kind, name.as_ref()?.as_option())))
    }

    /// The part of that kind, if the entity has one.
    pub fn part(&self, kind: &str) -> Option<Option<&str>> {
        self.parts().find(|(own, _)| *own == kind).map(|(_, name)| name)
    }
}

impl QuotaName {
    pub fn new(name: Option<&str>) -> Self {
        name.map_or(Self::Default, |name| Self::Named(name.to_owned()))
    }

    /// `None` is the default.
    pub fn as_option(&self) -> Option<&str> {
        match self {
            Self::Default => None,
            Self::Named(name) => Some(name),
        }
    }
}

/// Sets one value, or takes it away.
pub(super) fn set(quotas: &mut Quotas, entity: &QuotaEntity, key: &str, value: Option<f64>) {
    match value {
        Some(value) => {
            let values = quotas.entry(entity.clone()).or_default();
            values.insert(key.to_owned(), value);
        }
        None => {
            if let Some(values) = quotas.get_mut(entity) {
                values.remove(key);
                if values.is_empty() {
                    quotas.remove(entity);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Image, Record};

    fn alice() -> QuotaEntity {
        QuotaEntity {
            user: Some(QuotaName::new(Some("alice"))),
            client_id: Some(QuotaName::Default),
            ip: None,
        }
    }

    #[test]
    fn a_quota_comes_and_goes_with_its_record_and_is_readable_in_the_log() {
        let mut image = Image::empty();
        let record = |value| Record::ClientQuota {
            entity: alice(),
            key: PRODUCER_BYTE_RATE.to_owned(),
            value,
        };
        let text = serde_json::to_string(&record(Some(1e6))).unwrap();
        assert_eq!(
            text,
            r#"{"type":"client_quota","entity":{"user":{"named":"alice"},"client_id":"default"},"key":"producer_byte_rate","value":1000000.0}"#
        );
        image.apply(&serde_json::from_str(&text).unwrap(), 0, 1);
        assert_eq!(image.quotas[&alice()][PRODUCER_BYTE_RATE], 1e6);
        image.apply(&record(None), 1, 1);
        assert!(image.quotas.is_empty());
    }

    #[test]
    fn parts_have_the_protocols_names() {
        let entity = alice();
        let parts: Vec<_> = entity.parts().collect();
        assert_eq!(parts, [("user", Some("alice")), ("client-id", None)]);
        assert_eq!(entity.part("ip"), None);
        assert_eq!(entity.part("client-id"), Some(None));
    }
}
