//! Record sets of a hosted zone, as Route 53 has them: what clients ask for the addresses of a cluster.

use serde::{Deserialize, Serialize};

/// A hosted zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Without `/hostedzone/` in front.
    pub id: String,
    /// Without the dot at its end.
    pub name: String,
    pub private: bool,
}

/// One record set. Several of one name and type are told apart by their identifiers, and share the answers by their weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSet {
    /// In lower case, without the dot at its end.
    pub name: String,
    /// `CNAME`, `A`, ...
    #[serde(rename = "type")]
    pub kind: String,
    /// `SetIdentifier`; none of a simple record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// 0 to 255; none of a record that is routed by something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<i64>,
    /// None of an alias.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<Alias>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<String>,
}

/// Another AWS resource that is answered for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    pub zone: String,
    pub name: String,
    pub evaluates_health: bool,
}

/// What a zone has of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    pub zone: Zone,
    /// In the order of type and identifier.
    pub sets: Vec<RecordSet>,
}

/// A name as it is compared: lower case, no dot at its end. Source: RFC 4343.
pub fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl RecordSet {
    /// What it answers: values, or whom it is an alias of.
    pub fn answer(&self) -> String {
        match &self.alias {
            Some(alias) => format!("alias {}", alias.name),
            None => self.values.join(" "),
        }
    }

    /// The identifier, or `simple`.
    pub fn title(&self) -> &str {
        self.set.as_deref().unwrap_or("simple")
    }

    /// Whether both are the same one, whatever they answer.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.kind == other.kind && self.set == other.set
    }
}

impl Records {
    /// The part of the answers that each weighted set gets, in percent. Where every weight is 0 all get the same. Source:
    /// Route 53 developer guide, "Weighted routing".
    pub fn share_percent(sets: &[RecordSet], of: &RecordSet) -> f64 {
        let alike: Vec<&RecordSet> = sets.iter().filter(|set| set.kind == of.kind).collect();
        let total: i64 = alike.iter().filter_map(|set| set.weight).sum();
        match total {
            0 => 100.0 / alike.len().max(1) as f64,
            total => of.weight.unwrap_or(0) as f64 * 100.0 / total as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, weight: i64) -> RecordSet {
        RecordSet {
            name: "k.internal".to_owned(),
            kind: "CNAME".to_owned(),
            set: Some(name.to_owned()),
            weight: Some(weight),
            ttl_seconds: Some(60),
            values: vec![format!("{name}.internal")],
            alias: None,
            health_check: None,
        }
    }

    #[test]
    fn weights_are_shares_and_zeros_are_equal() {
        let sets = [set("blue", 90), set("green", 10)];
        assert_eq!(Records::share_percent(&sets, &sets[0]), 90.0);
        let none = [set("blue", 0), set("green", 0)];
        assert_eq!(Records::share_percent(&none, &none[1]), 50.0);
        assert_eq!(plain("Kafka.Internal."), "kafka.internal");
    }
}
