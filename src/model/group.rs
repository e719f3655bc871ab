//! Consumer groups: members and committed offsets.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::BrokerId;
use super::name::{Name, Names};

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

    /// Puts the names of topics into the memory of those that others told.
    pub fn share(&mut self, names: &mut Names) {
        let commits = self.commits.iter_mut().map(|commit| &mut commit.topic);
        let members = self.members.iter_mut().flat_map(|member| &mut member.assignment);
        let topics = commits.chain(members.map(|(topic, _)| topic));
        // They are sorted: most are the same as the one before.
        let mut last: Option<Name> = None;
        for topic in topics {
            match &last {
                Some(last) if last == topic => topic.clone_from(last),
                _ => {
                    names.share(topic);
                    last = Some(topic.clone());
                }
            }
        }
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
    pub assignment: Vec<(Name, i32)>,
}

/// One committed offset: the next record that the group will read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    pub topic: Name,
    pub partition: i32,
    pub offset: i64,
    /// What the client keeps beside it; hardly any does.
    pub metadata: Box<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        let commit = |topic: &str, partition, metadata: &str| Commit {
            topic: topic.into(),
            partition,
            offset: 7,
            metadata: metadata.into(),
        };
        Group {
            name: "billing".to_owned(),
            members: vec![Member {
                id: "m".to_owned(),
                instance: None,
                client: "app".to_owned(),
                host: "10.0.0.9".to_owned(),
                assignment: vec![("clicks".into(), 0), ("orders".into(), 1)],
            }],
            commits: vec![commit("orders", 0, ""), commit("orders", 1, "own")],
            ..Group::default()
        }
    }

    #[test]
    fn a_topic_is_named_once_whoever_commits_or_is_assigned_it() {
        let mut names = Names::default();
        let (mut one, mut other) = (group(), group());
        one.share(&mut names);
        other.share(&mut names);
        assert_eq!(one, group());
        let places = |group: &Group| -> BTreeSet<*const u8> {
            let commits = group.commits.iter().map(|commit| &commit.topic);
            let assigned = group.members.iter().flat_map(|member| &member.assignment);
            commits
                .chain(assigned.map(|(topic, _)| topic))
                .map(|topic| topic.as_ptr())
                .collect()
        };
        assert_eq!((places(&one).len(), places(&one)), (2, places(&other)));
        assert_eq!(other.topics(), ["clicks", "orders"].into());
    }

    #[test]
    fn names_and_metadata_are_plain_texts_in_files_and_small_in_memory() {
        let text = serde_json::to_string(&group()).unwrap();
        assert!(text.contains(r#""assignment":[["clicks",0],["orders",1]]"#), "{text}");
        assert!(
            text.contains(r#"{"topic":"orders","partition":0,"offset":7,"metadata":""}"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Group>(&text).unwrap(), group());
        assert_eq!((size_of::<Commit>(), size_of::<(Name, i32)>()), (40, 16));
    }
}
