//! Which EC2 instance a broker runs on, how that was told, and how sure it is.
//!
//! Nothing is guessed silently: every answer names its method, and where two ways of telling disagree the answer is
//! [`Identity::Mismatch`], which locks changes to that instance. Pure: names are resolved elsewhere and handed in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::BrokerId;
use super::broker::Broker;
use super::cloud::{Instance, Zone};

/// The instance of a broker, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Identity {
    Identified {
        instance: String,
        method: Method,
        confidence: Confidence,
    },
    /// Several instances fit equally well.
    Ambiguous {
        candidates: Vec<String>,
        reason: String,
    },
    /// One instance fits, and something contradicts it.
    Mismatch {
        instance: String,
        reason: String,
    },
    Unknown {
        reason: String,
    },
}

/// What told the instance, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Method {
    /// The advertised host is one of the instance's private addresses.
    Address,
    /// The advertised host spells the address: `ip-10-0-1-10.ec2.internal`.
    AddressName,
    /// The advertised host spells the instance id: `i-0abc….eu-west-1.compute.internal`.
    InstanceName,
    /// The advertised host resolves, seen from here, to one of the instance's private addresses.
    ResolvedName,
    /// The advertised host is, or resolves to, the instance's public address.
    PublicAddress,
    /// The instance's tag holds the broker id.
    Tag,
    /// The context maps the broker id.
    Map,
}

/// How far the method can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Confidence {
    Low,
    Medium,
    High,
}

/// What a context may say about the join of Kafka and EC2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Instance tag with the broker id.
    pub broker_tag: String,
    /// Volume tag with the log directory's path; several separated by commas.
    pub log_dir_tag: String,
    /// Broker to instance id, by the operator's hand.
    pub map: BTreeMap<BrokerId, String>,
}

/// Everything the verdict rests on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    pub brokers: &'a [Broker],
    /// Host name to addresses, as resolved from the console's vantage. Literals need not be in it.
    pub resolved: &'a BTreeMap<String, Vec<IpAddr>>,
    pub instances: &'a [&'a Instance],
    pub zones: Option<&'a BTreeMap<String, Zone>>,
    /// Why EC2 has not told all instances, where it has not: then nobody can say that one does not exist.
    pub untold: Option<&'a str>,
    pub rules: &'a Rules,
}

/// The instance tag with the broker id, where a context names no other.
pub const BROKER_TAG: &str = "kafka:broker-id";

impl Default for Rules {
    fn default() -> Self {
        Self {
            broker_tag: BROKER_TAG.to_owned(),
            log_dir_tag: "kafka:log-dir".to_owned(),
            map: BTreeMap::new(),
        }
    }
}

impl Identity {
    /// The instance, only when nothing speaks against it.
    pub fn instance(&self) -> Option<&str> {
        match self {
            Self::Identified { instance, .. } => Some(instance),
            _ => None,
        }
    }

    /// Why there is no instance, in one sentence.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Identified { .. } => None,
            Self::Ambiguous { reason, .. } | Self::Mismatch { reason, .. } | Self::Unknown { reason } => Some(reason),
        }
    }
}

/// Tells the instance of every broker.
pub fn identify(evidence: Evidence<'_>) -> BTreeMap<BrokerId, Identity> {
    let shared = shared_host(&evidence);
    evidence
        .brokers
        .iter()
        .map(|broker| (broker.id, evidence.one(broker, shared.as_deref())))
        .collect()
}

/// The host that all brokers advertise, when there are several brokers: a load balancer with a port for each, or one
/// machine. It says nothing about who is where.
fn shared_host(evidence: &Evidence<'_>) -> Option<String> {
    let places: BTreeSet<String> = evidence
        .brokers
        .iter()
        .map(|broker| match evidence.resolved.get(&broker.host) {
            Some(addresses) if !addresses.is_empty() => {
                let sorted: BTreeSet<String> = addresses.iter().map(IpAddr::to_string).collect();
                sorted.into_iter().collect::<Vec<_>>().join(" ")
            }
            _ => broker.host.clone(),
        })
        .collect();
    (evidence.brokers.len() > 1 && places.len() == 1).then(|| evidence.brokers[0].host.clone())
}

impl Evidence<'_> {
    fn one(&self, broker: &Broker, shared: Option<&str>) -> Identity {
        let by_host = if shared.is_none() { self.by_host(broker) } else { None };
        let (method, candidates) = match by_host.or_else(|| self.by_tag(broker)).or_else(|| self.by_map(broker)) {
            Some(found) => found,
            None => return unknown(self.why_unknown(broker, shared)),
        };
        match self.narrow(broker, candidates).as_slice() {
            [instance] => self.cross_check(broker, instance, method),
            several => Identity::Ambiguous {
                candidates: several.iter().map(|instance| instance.id.clone()).collect(),
                reason: format!(
                    "broker {}: {} instances fit by {method}: give each the tag {} or map the broker in the context",
                    broker.id,
                    several.len(),
                    self.rules.broker_tag
                ),
            },
        }
    }

    fn by_host(&self, broker: &Broker) -> Option<(Method, Vec<&Instance>)> {
        let host = broker.host.trim_end_matches('.').to_ascii_lowercase();
        let label = host.split('.').next().unwrap_or_default();
        if let Ok(address) = host.parse::<IpAddr>() {
            return self.at(&[address], Method::Address);
        }
        if let Some(address) = spelt_address(label)
            && let found @ Some(_) = self.at(&[address], Method::AddressName)
        {
            return found;
        }
        if label.starts_with("i-") {
            let named = self.matching(|instance| instance.id == label);
            if !named.is_empty() {
                return Some((Method::InstanceName, named));
            }
        }
        let named = self.matching(|instance| instance.private_dns.as_deref() == Some(host.as_str()));
        if !named.is_empty() {
            return Some((Method::AddressName, named));
        }
        self.at(self.resolved.get(&broker.host)?, Method::ResolvedName)
    }

    /// Instances with one of these addresses: private ones first, then public.
    fn at(&self, addresses: &[IpAddr], method: Method) -> Option<(Method, Vec<&Instance>)> {
        let wanted: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        let private = self.matching(|instance| instance.private_addresses.iter().any(|have| wanted.contains(have)));
        if !private.is_empty() {
            return Some((method, private));
        }
        let public = self.matching(|instance| {
            instance
                .public_address
                .as_ref()
                .is_some_and(|have| wanted.contains(have))
        });
        (!public.is_empty()).then_some((Method::PublicAddress, public))
    }

    fn by_tag(&self, broker: &Broker) -> Option<(Method, Vec<&Instance>)> {
        let tagged = self.matching(|instance| self.tagged_id(instance) == Some(broker.id));
        (!tagged.is_empty()).then_some((Method::Tag, tagged))
    }

    fn by_map(&self, broker: &Broker) -> Option<(Method, Vec<&Instance>)> {
        let id = self.rules.map.get(&broker.id)?;
        let mapped = self.matching(|instance| instance.id == *id);
        (!mapped.is_empty()).then_some((Method::Map, mapped))
    }

    fn matching(&self, fits: impl Fn(&Instance) -> bool) -> Vec<&Instance> {
        self.instances
            .iter()
            .copied()
            .filter(|instance| instance.state != "terminated" && fits(instance))
            .collect()
    }

    fn tagged_id(&self, instance: &Instance) -> Option<BrokerId> {
        instance.tags.get(&self.rules.broker_tag)?.trim().parse().ok()
    }

    /// Of several candidates, those that more evidence points at: the map, the tag, running, the rack. A step that
    /// would leave none is skipped.
    fn narrow<'a>(&self, broker: &Broker, mut candidates: Vec<&'a Instance>) -> Vec<&'a Instance> {
        let mut keep = |fits: &dyn Fn(&Instance) -> bool| {
            if candidates.len() > 1 && candidates.iter().any(|instance| fits(instance)) {
                candidates.retain(|instance| fits(instance));
            }
        };
        keep(&|instance| self.rules.map.get(&broker.id) == Some(&instance.id));
        keep(&|instance| self.tagged_id(instance) == Some(broker.id));
        keep(&|instance| instance.state == "running");
        keep(&|instance| broker.rack.as_deref().is_some_and(|rack| self.is_in(instance, rack)));
        candidates
    }

    /// Whether the instance is in the zone of this name or id.
    fn is_in(&self, instance: &Instance, zone: &str) -> bool {
        let id = instance
            .zone_id
            .as_deref()
            .or_else(|| Some(self.zones?.get(&instance.zone)?.id.as_str()));
        instance.zone == zone || id == Some(zone)
    }

    fn is_zone(&self, name: &str) -> bool {
        let listed = self
            .zones
            .is_some_and(|zones| zones.values().any(|zone| zone.name == name || zone.id == name));
        listed || self.instances.iter().any(|instance| self.is_in(instance, name))
    }

    fn cross_check(&self, broker: &Broker, instance: &Instance, method: Method) -> Identity {
        if let Some(reason) = self.contradiction(broker, instance, method) {
            return Identity::Mismatch {
                instance: instance.id.clone(),
                reason,
            };
        }
        let tag_agrees = method != Method::Tag && self.tagged_id(instance) == Some(broker.id);
        let confidence = match method {
            Method::Address | Method::AddressName | Method::InstanceName | Method::Map => Confidence::High,
            Method::ResolvedName | Method::PublicAddress if tag_agrees => Confidence::High,
            Method::ResolvedName | Method::PublicAddress | Method::Tag => Confidence::Medium,
        };
        Identity::Identified {
            instance: instance.id.clone(),
            method,
            confidence,
        }
    }

    fn contradiction(&self, broker: &Broker, instance: &Instance, method: Method) -> Option<String> {
        let id = broker.id;
        let (tag, name) = (&self.rules.broker_tag, &instance.id);
        if let Some(mapped) = self.rules.map.get(&id).filter(|mapped| *mapped != name) {
            return Some(format!(
                "broker {id} is {name} by {method}, but the context maps it to {mapped}"
            ));
        }
        if let Some(other) = self.tagged_id(instance).filter(|tagged| *tagged != id) {
            return Some(format!(
                "broker {id} is {name} by {method}, but its tag {tag} says broker {other}"
            ));
        }
        let tagged = self.matching(|other| self.tagged_id(other) == Some(id));
        if let Some(other) = tagged.first()
            && !tagged.iter().any(|other| other.id == *name)
        {
            return Some(format!(
                "broker {id} is {name} by {method}, but the tag {tag} is on {}",
                other.id
            ));
        }
        let rack = broker
            .rack
            .as_deref()
            .filter(|rack| self.is_zone(rack) && !self.is_in(instance, rack))?;
        Some(format!(
            "broker {id} has broker.rack {rack}, but {name} (by {method}) is in {}",
            instance.zone
        ))
    }

    fn why_unknown(&self, broker: &Broker, shared: Option<&str>) -> String {
        let way_out = format!(
            "tag the instance {}={} or map the broker in the context",
            self.rules.broker_tag, broker.id
        );
        match (self.untold, shared) {
            (Some(untold), _) => format!("EC2 did not tell its instances: {untold}"),
            (None, Some(host)) => format!(
                "all {} brokers are at {host}, which tells no instance (a load balancer, or one host): {way_out}",
                self.brokers.len()
            ),
            (None, None) => format!(
                "EC2 tells of no instance with the address of broker {}, {}: other account or region? else {way_out}",
                broker.id, broker.host
            ),
        }
    }
}

fn unknown(reason: String) -> Identity {
    Identity::Unknown { reason }
}

/// The address in EC2's IP-based host name `ip-10-0-1-10`.
fn spelt_address(label: &str) -> Option<IpAddr> {
    let spelt = label.strip_prefix("ip-")?.replace('-', ".");
    spelt.parse::<std::net::Ipv4Addr>().ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests;
