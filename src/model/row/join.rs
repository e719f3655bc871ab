//! Which instance a broker runs on and which volume backs a log directory, as the rows ask it.

use std::collections::BTreeMap;

use crate::model::BrokerId;
use crate::model::snapshot::Snapshot;

/// The broker ↔ instance ↔ volume join of one snapshot.
#[derive(Debug, Clone, Default)]
pub struct Join {
    instances: BTreeMap<BrokerId, Result<(String, String), String>>,
    backings: BTreeMap<String, Backing>,
    reasons: BTreeMap<String, String>,
}

/// The log directory that a volume backs, and how that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    pub broker: BrokerId,
    pub logdir: String,
    pub method: String,
}

impl Join {
    pub fn of(_snapshot: &Snapshot) -> Self {
        Self::default()
    }

    /// The instance of a broker and how it was found, or why it was not.
    pub fn instance(&self, id: BrokerId) -> Result<(&str, String), String> {
        match self.instances.get(&id) {
            Some(Ok((instance, method))) => Ok((instance, method.clone())),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err("no AWS plane is known".to_owned()),
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
