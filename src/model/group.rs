//! Consumer groups: members and committed offsets.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::BrokerId;

/// One group, as its coordinator tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub name: String,
    /// Kafka's word: `Stable`, `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Dead`, `Assigning`, ...
    pub state: String,
    /// `classic`, `consumer`, `share`, `streams`; for classic ones `protocol` names the assignor.
    pub kind: String,
    pub protocol: String,
    pub coordinator: Option<BrokerId>,
    pub members: Vec<Member>,
    /// Sorted by topic and partition; partitions without a commit are absent.
    pub commits: Vec<Commit>,
}

impl Group {
    /// Those that it commits or is assigned.
    pub fn topics(&self) -> BTreeSet<&str> {
        let commits = self.commits.iter().map(|commit| commit.topic.as_str());
        let members = self.members.iter().flat_map(|member| &member.assignment);
        commits.chain(members.map(|(topic, _)| topic.as_str())).collect()
    }
}

/// One member of a group and what it is assigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: String,
    pub instance: Option<String>,
    pub client: String,
    /// As the broker saw it, without the leading slash.
    pub host: String,
    /// Sorted (topic, partition) pairs.
    pub assignment: Vec<(String, i32)>,
}

/// One committed offset: the next record that the group will read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub metadata: String,
}
