//! The broker ↔ instance ↔ volume join of one snapshot, turned round to be asked by volume and by instance.

use std::collections::BTreeMap;

use crate::model::BrokerId;
use crate::model::backing::Backing;
use crate::model::identity::Identity;
use crate::model::snapshot::Snapshot;

/// Which broker and log directory a volume serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backed {
    pub broker: BrokerId,
    pub logdir: String,
    /// How that was told, for example `tag, high confidence`.
    pub method: String,
}

/// The join, by volume and by instance.
#[derive(Debug)]
pub struct Join<'a> {
    snapshot: &'a Snapshot,
    by_volume: BTreeMap<&'a str, Backed>,
    by_instance: BTreeMap<&'a str, BrokerId>,
}

impl<'a> Join<'a> {
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let mut by_volume = BTreeMap::new();
        for (broker, dirs) in &snapshot.cloud.backings {
            for (logdir, backing) in dirs {
                let Backing::Identified {
                    volumes,
                    method,
                    confidence,
                } = backing
                else {
                    continue;
                };
                for volume in volumes {
                    let method = format!("{method}, {confidence} confidence");
                    by_volume.insert(
                        volume.as_str(),
                        Backed {
                            broker: *broker,
                            logdir: logdir.clone(),
                            method,
                        },
                    );
                }
            }
        }
        let identities = snapshot.cloud.identities.iter();
        let by_instance = identities
            .filter_map(|(broker, identity)| Some((identity.instance()?, *broker)))
            .collect();
        Self {
            snapshot,
            by_volume,
            by_instance,
        }
    }

    /// The instance of a broker and how it was told, or why it was not.
    pub fn instance(&self, id: BrokerId) -> Result<(&'a str, String), String> {
        match self.snapshot.cloud.identities.get(&id) {
            Some(Identity::Identified {
                instance,
                method,
                confidence,
            }) => Ok((instance, format!("{method}, {confidence} confidence"))),
            Some(other) => Err(other.problem().unwrap_or("not identified").to_owned()),
            None => Err(self
                .snapshot
                .cloud
                .zones
                .problem()
                .unwrap_or_else(|| "not joined with EC2 yet".to_owned())),
        }
    }

    pub fn broker_of(&self, instance: &str) -> Option<BrokerId> {
        self.by_instance.get(instance).copied()
    }

    pub fn backed(&self, volume: &str) -> Option<&Backed> {
        self.by_volume.get(volume)
    }

    /// The volumes of a log directory, or why they are not known.
    pub fn volumes_of(&self, broker: BrokerId, path: &str) -> Result<Vec<String>, String> {
        let backing = self
            .snapshot
            .cloud
            .backings
            .get(&broker)
            .and_then(|dirs| dirs.get(path));
        match backing {
            Some(backing) => match backing.problem() {
                Some(problem) => Err(problem.to_owned()),
                None => Ok(backing.volumes().to_vec()),
            },
            None => Err(self
                .instance(broker)
                .err()
                .unwrap_or_else(|| "not joined with EC2 yet".to_owned())),
        }
    }

    /// Why no log directory is known to lie on a volume of `broker`.
    pub fn why_unbacked(&self, broker: Option<BrokerId>) -> String {
        let Some(broker) = broker else {
            return "attached to no broker that is known".to_owned();
        };
        let dirs = self
            .snapshot
            .cloud
            .backings
            .get(&broker)
            .into_iter()
            .flat_map(BTreeMap::values);
        let problem = dirs.filter_map(Backing::problem).next();
        problem.unwrap_or("no log dir is known to be on it").to_owned()
    }
}
