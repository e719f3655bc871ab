//! What operators ask of groups of the consumer protocol.

use std::collections::BTreeSet;

use super::{Consumer, Partitions, Scene};
use crate::group::{Groups, Now};

/// One group in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerDescription {
    pub state: &'static str,
    pub epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: &'static str,
    pub members: Vec<ConsumerMember>,
}

/// One member in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerMember {
    pub id: String,
    pub instance: Option<String>,
    pub rack: Option<String>,
    pub epoch: i32,
    pub client_id: String,
    pub client_host: String,
    pub topics: BTreeSet<String>,
    pub regex: Option<String>,
    pub assigned: Partitions,
    pub target: Partitions,
    pub is_classic: bool,
}

impl Groups {
    /// `None` when there is no such group of the consumer protocol.
    pub fn describe_consumer(&self, name: &str, now: Now) -> Option<ConsumerDescription> {
        let consumer = self.groups.get(name)?.consumer.as_ref()?;
        let scene = self.scene(now);
        Some(ConsumerDescription {
            state: consumer.phase().name(),
            epoch: consumer.epoch(),
            assignment_epoch: consumer.target_epoch(),
            assignor: consumer.assignor(&scene).name(),
            members: consumer.members.keys().map(|id| consumer.described(id)).collect(),
        })
    }

    pub(in crate::group) fn scene(&self, now: Now) -> Scene<'_> {
        Scene {
            settings: &self.settings,
            image: &self.image,
            topics_version: self.topics_version,
            now,
        }
    }
}

impl Consumer {
    fn described(&self, id: &str) -> ConsumerMember {
        let (member, held) = (self.members.get(id).cloned().unwrap_or_default(), self.holding(id));
        ConsumerMember {
            id: id.to_owned(),
            instance: member.instance,
            rack: member.rack,
            epoch: held.epoch,
            client_id: member.client_id,
            client_host: member.client_host,
            topics: member.topics,
            regex: member.regex,
            assigned: held.assigned,
            target: self.targets.get(id).cloned().unwrap_or_default(),
            is_classic: member.classic.is_some(),
        }
    }
}
