//! Which instance a broker runs on and which volume backs a log directory, as the rows ask it.

use std::collections::BTreeMap;

use crate::model::backing::Backing as Verdict;
use crate::model::identity::Identity;
use crate::model::snapshot::Snapshot;
use crate::model::{BrokerId, Health};

/// The broker ↔ instance ↔ volume join of one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Join {
    instances: BTreeMap<BrokerId, Result<(String, String), String>>,
    backings: BTreeMap<String, Backing>,
    reasons: BTreeMap<String, String>,
    /// Why a broker that is in none of the above has no instance.
    absence: String,
}

/// The log directory that a volume backs, and how that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    pub broker: BrokerId,
    pub logdir: String,
    pub method: String,
}

impl Join {
    pub fn of(snapshot: &Snapshot) -> Self {
        let mut join = Self {
            absence: absence(snapshot),
            ..Self::default()
        };
        for (broker, identity) in &snapshot.cloud.identities {
            join.instances.insert(*broker, join.told(identity));
        }
        for (broker, directories) in &snapshot.cloud.backings {
            for (path, verdict) in directories {
                join.add(*broker, path, verdict);
            }
        }
        join
    }

    fn told(&self, identity: &Identity) -> Result<(String, String), String> {
        match identity {
            Identity::Identified {
                instance,
                method,
                confidence,
            } => Ok((instance.clone(), format!("{method}, {confidence} confidence"))),
            Identity::Unknown { .. } if !self.absence.is_empty() => Err(format!("unknown: {}", self.absence)),
            Identity::Unknown { reason } => Err(format!("unknown: {reason}")),
            Identity::Ambiguous { reason, .. } => Err(format!("ambiguous: {reason}")),
            Identity::Mismatch { reason, .. } => Err(format!("identity mismatch: {reason}")),
        }
    }

    fn add(&mut self, broker: BrokerId, path: &str, verdict: &Verdict) {
        let (volumes, reason) = match verdict {
            Verdict::Identified {
                volumes,
                method,
                confidence,
            } => {
                for volume in volumes {
                    let backing = Backing {
                        broker,
                        logdir: path.to_owned(),
                        method: format!("{method}, {confidence} confidence"),
                    };
                    self.backings.insert(volume.clone(), backing);
                }
                return;
            }
            Verdict::Ambiguous { candidates, reason } => (candidates, format!("ambiguous: {reason}")),
            Verdict::Mismatch { volumes, reason } => (volumes, format!("mismatch: {reason}")),
            Verdict::Unknown { .. } => return,
        };
        for volume in volumes {
            self.reasons.entry(volume.clone()).or_insert_with(|| reason.clone());
        }
    }

    /// The instance of a broker and how it was found, or why it was not.
    pub fn instance(&self, id: BrokerId) -> Result<(&str, String), String> {
        match self.instances.get(&id) {
            Some(Ok((instance, method))) => Ok((instance, method.clone())),
            Some(Err(reason)) => Err(reason.clone()),
            None if self.absence.is_empty() => Err("not joined to EC2 yet".to_owned()),
            None => Err(self.absence.clone()),
        }
    }

    pub fn broker_of(&self, instance: &str) -> Option<BrokerId> {
        self.instances
            .iter()
            .find(|(_, found)| found.as_ref().is_ok_and(|(id, _)| id == instance))
            .map(|(id, _)| *id)
    }

    pub fn backing(&self, volume: &str) -> Option<&Backing> {
        self.backings.get(volume)
    }

    pub fn why_no_logdir(&self, volume: &str) -> String {
        self.reasons
            .get(volume)
            .cloned()
            .unwrap_or_else(|| "no log dir is known to be on it".to_owned())
    }
}

/// Why nothing is known of any instance: there is no AWS plane, or it has not told of one. Empty when it has.
fn absence(snapshot: &Snapshot) -> String {
    let cloud = &snapshot.cloud;
    if cloud.all_instances().next().is_some() {
        return String::new();
    }
    let sections = cloud
        .instances
        .values()
        .map(|section| (&section.health, section.problem()));
    let zones = std::iter::once((&cloud.zones.health, cloud.zones.problem()));
    let told = sections
        .chain(zones)
        .find(|(health, _)| !matches!(health, Health::Unasked | Health::Fresh));
    match told.and_then(|(_, problem)| problem) {
        Some(problem) => problem,
        None if cloud.zones.is_fresh() => "EC2 told of no instance here: other account or region?".to_owned(),
        None => "no AWS plane is known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::backing::BackingMethod;
    use crate::model::cloud::Instance;
    use crate::model::identity::{Confidence, Method};
    use crate::model::{Observed, Trouble};

    #[test]
    fn says_what_is_known_and_why_the_rest_is_not() {
        let mut snapshot = Snapshot::default();
        let instances = BTreeMap::from([("i-1".to_owned(), Instance::default())]);
        let seen = Observed::fresh(instances, crate::model::Moment::UNIX_EPOCH);
        snapshot.cloud.instances.insert("a".to_owned(), seen);
        let found = Identity::Identified {
            instance: "i-1".to_owned(),
            method: Method::Address,
            confidence: Confidence::High,
        };
        let lost = Identity::Unknown {
            reason: "all at one address".to_owned(),
        };
        snapshot.cloud.identities = BTreeMap::from([(1, found), (2, lost)]);
        let backing = Verdict::Identified {
            volumes: vec!["vol-1".to_owned()],
            method: BackingMethod::Tag,
            confidence: Confidence::High,
        };
        let unclear = Verdict::Ambiguous {
            candidates: vec!["vol-2".to_owned()],
            reason: "two fit".to_owned(),
        };
        let directories = BTreeMap::from([("/a".to_owned(), backing), ("/b".to_owned(), unclear)]);
        snapshot.cloud.backings.insert(1, directories);

        let join = Join::of(&snapshot);
        assert_eq!(join.instance(1), Ok(("i-1", "address, high confidence".to_owned())));
        assert_eq!(join.instance(2), Err("unknown: all at one address".to_owned()));
        assert_eq!(join.broker_of("i-1"), Some(1));
        assert_eq!(join.backing("vol-1").map(|backing| backing.logdir.as_str()), Some("/a"));
        assert_eq!(join.why_no_logdir("vol-2"), "ambiguous: two fit");
    }

    #[test]
    fn a_failing_plane_is_the_reason() {
        let mut snapshot = Snapshot::default();
        let now = crate::model::Moment::UNIX_EPOCH;
        snapshot
            .cloud
            .zones
            .fail(Trouble::Denied, "EC2 denies DescribeAvailabilityZones", now);
        let reason = Join::of(&snapshot).instance(1).unwrap_err();
        assert!(reason.starts_with("denied"), "{reason}");
    }
}
